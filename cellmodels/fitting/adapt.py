"""``adapt``: make a cell of the literature the size of the cell that was measured.

A parameter set describes one product; the record often comes from another with the same
chemistry. Before anything about ageing is fitted, three things about the fresh cell are set:

- *Size.* Electrode area and nominal capacity are multiplied by measured over simulated
  capacity. C-rates, current densities and temperatures keep their meaning: a life with
  currents in C is exactly the same, times that factor.
- *Series resistance.* What the measured resistance has more than the simulated one becomes a
  contact resistance.
- *Electrode balance*, only where a pseudo-open-circuit curve was measured: capacities and
  stoichiometries of both electrodes, with the parameter set as a prior (`cellmodels.modes`). The
  notes of these parameters say how well they are known.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from cellmodels.cell import Cell
from cellmodels.errors import InputError, did_you_mean, warn
from cellmodels.fitting.least_squares import FitError
from cellmodels.fitting.matching import observe_with_protocol
from cellmodels.fitting.problem import Predictor
from cellmodels.fitting.residuals import Observations, fitted_variables, observe
from cellmodels.modes.balance import BalancePrior, fit_curves
from cellmodels.modes.curves import FEWEST, ocv_curve
from cellmodels.modes.electrodes import Electrodes, electrodes_of, usable_charge
from cellmodels.modes.half_cells import HalfCells
from cellmodels.observations import Points
from cellmodels.protocol import Protocol
from cellmodels.simulator import Simulator

__all__ = ["adapt", "adapt_with", "resize", "with_balance"]

CONTACT_RESISTANCE = "Contact resistance [Ohm]"
_AREA_LENGTHS = ("Electrode width [m]", "Electrode area [m2]")
_EXTENSIVE = (
    "Nominal cell capacity [A.h]",
    "Current function [A]",
    "Cell volume [m3]",
    "Cell cooling surface area [m2]",
)
_CAPACITY = ("capacity_", "discharge_capacity")
_RESISTANCE = "resistance_"
_FIRST_CYCLES = 3
_ROUNDS = 3

#: Spread between like cells, and the overvoltage of a slow discharge.
_PRIOR = BalancePrior(capacity=0.10, stoichiometry=0.05, overvoltage=0.02)
_POSSIBLE = (0.001, 0.999)  # stoichiometries that a model starts from


def adapt(
    cell: Cell, record: xr.DataTree, protocol: Protocol | None = None, *, ocv: str | None = None
) -> Cell:
    """Scale a cell to the size and resistance of the measured one.

    Parameters
    ----------
    cell : Cell
    record : xarray.DataTree
        Record whose first check-up, or else first cycles, tell capacity and resistance.
    protocol : Protocol, optional
        What was done to the cell. Its fresh-cell check-up, or first cycles, are simulated to
        compare like with like. Without it the measured capacity is compared with the nominal
        one, and the resistance is left alone.
    ocv : str, optional
        Name of a ``voltage_<ocv>`` of ``/checkups`` that is slow enough to be an open-circuit
        curve, e.g. ``"C20"``. It sets the electrode balance of a lithium-ion cell, and its
        initial state to the full state from which that curve starts.

    Returns
    -------
    Cell
        The provenance of every changed parameter names the record.

    Raises
    ------
    InputError
        When the record has no capacity that can be compared, or `ocv` is not in it.
    FitError
        When the fresh cell cannot be simulated.
    """
    return adapt_with(_simulated, cell, record, protocol, ocv=ocv)


def adapt_with(
    predictor: Callable[[Cell, Protocol], Predictor],
    cell: Cell,
    record: xr.DataTree,
    protocol: Protocol | None = None,
    *,
    ocv: str | None = None,
) -> Cell:
    """:func:`adapt` with anything that predicts the life of a cell without free parameters."""
    source = f"adapted to {record.attrs.get('title') or 'a record'}"
    if ocv is not None:
        cell = with_balance(cell, record, ocv, source)
    if protocol is None:
        balanced = ocv is not None
        return cell if balanced else resize(cell, _nominal_ratio(cell, record), source)
    observations = _first_points(observe_with_protocol(_scalars(record), cell, protocol)[0])
    for _ in range(_ROUNDS):
        values = _predicted(predictor(cell, protocol), observations)
        cell = resize(cell, _ratio(observations, values), source)
        if not any(s.variable.startswith(_RESISTANCE) for s in observations.points):
            break
        values = _predicted(predictor(cell, protocol), observations)
        resized, cell = cell, _with_series_resistance(cell, observations, values, source)
        if cell is resized:
            break  # one step makes the size exact; only a resistance changes it again
    return cell


def _scalars(record: xr.DataTree) -> xr.DataTree:
    """The record without voltage curves, whose charges belong to the size still to be found."""
    groups = {
        name: node.to_dataset().drop_vars([v for v, a in node.data_vars.items() if a.ndim > 1])
        for name, node in record.children.items()
    }
    scalars = xr.DataTree.from_dict(groups)
    scalars.attrs = dict(record.attrs)
    return scalars


def resize(cell: Cell, factor: float, source: str) -> Cell:
    """A cell with `factor` times the electrode area, and everything that goes with it.

    Nominal capacity, volume and cooling surface grow alike and the contact resistance
    shrinks, so that a life with currents in C keeps its voltages and temperatures.

    Parameters
    ----------
    cell : Cell
    factor : float
        Positive.
    source : str
        Provenance of the changed parameters.

    Returns
    -------
    Cell

    Raises
    ------
    InputError
        When the factor is not positive, or the cell has no electrode area.
    """
    if not (np.isfinite(factor) and factor > 0):
        raise InputError(f"A cell cannot be {factor:g} times as large.")
    if factor == 1.0:
        return cell
    held = {name: value for name, value in cell.parameter_values().items() if _is_number(value)}
    lengths = [name for name in _AREA_LENGTHS if name in held]
    if not lengths:
        raise InputError(f"The cell has none of {', '.join(_AREA_LENGTHS)} to scale.")
    grown = {name: held[name] * factor for name in (lengths[0], *_EXTENSIVE) if name in held}
    if held.get(CONTACT_RESISTANCE):
        grown[CONTACT_RESISTANCE] = held[CONTACT_RESISTANCE] / factor
    return cell.with_parameters(grown, source=f"{source}: electrode area times {factor:.6g}")


# Size and resistance ----------------------------------------------------------------------


def _simulated(cell: Cell, protocol: Protocol) -> Predictor:
    return Simulator(cell, protocol, free=()).predict


def _nominal_ratio(cell: Cell, record: xr.DataTree) -> float:
    """First measured capacity over the nominal one."""
    names = [
        f"{group}/{name}" for group, name in fitted_variables(record) if name.startswith(_CAPACITY)
    ]
    if not names:
        raise InputError("The record has no capacity to adapt the cell to.")
    observations = _first_points(observe(record, names))
    values = [float(np.median(observations.data[part])) for part in observations.points.slices()]
    in_checkups = [points.group == "checkups" for points in observations.points]
    # The slowest test of a check-up gives most, and is nearest to what "nominal" means.
    chosen = [v for v, c in zip(values, in_checkups, strict=True) if c or not any(in_checkups)]
    return max(chosen) / cell.nominal_capacity


def _first_points(observations: Observations) -> Observations:
    """Of each scalar series the first check-up, or the first cycles."""
    rows = []
    sets = []
    for points, part in zip(observations.points, observations.points.slices(), strict=True):
        if points.column is None:
            count = min(points.size, 1 if points.group == "checkups" else _FIRST_CYCLES)
            rows.append(np.arange(part.start, part.start + count))
            sets.append(dataclasses.replace(points, at=points.at[:count]))
    if not sets:
        raise InputError("The record has no scalar variable to adapt the cell to.")
    row = np.concatenate(rows)
    arrays = {
        name: getattr(observations, name)[row]
        for name in ("data", "std", "owner", "position", "charge", "time")
    }
    return dataclasses.replace(observations, points=Points(tuple(sets)), **arrays)


def _predicted(predict: Predictor, observations: Observations) -> NDArray[np.float64]:
    prediction = predict(
        np.empty(0),
        observations.points,
        jacobian=False,
        tolerance=observations.solver_tolerance,
    )
    outcome = prediction.outcome
    if not outcome.ok or prediction.values is None:
        raise FitError(f"The fresh cell cannot be simulated: {outcome.message or outcome.reason}.")
    return prediction.values


def _ratio(observations: Observations, values: NDArray[np.float64]) -> float:
    """Measured over simulated capacity: of check-ups where there are any, else of cycles."""
    ratios: dict[str, list[float]] = {"checkups": [], "cycles": []}
    for points, part in zip(observations.points, observations.points.slices(), strict=True):
        if points.variable.startswith(_CAPACITY):
            ratio = float(np.median(observations.data[part] / values[part]))
            ratios[points.group].append(ratio)
    found = ratios["checkups"] or ratios["cycles"]
    if not found:
        raise InputError("The record has no capacity that the protocol measures too.")
    return float(np.median(found))


def _with_series_resistance(
    cell: Cell, observations: Observations, values: NDArray[np.float64], source: str
) -> Cell:
    """The cell with the resistance that it lacks, in series."""
    excess = [
        float(observations.data[part][0] - values[part][0])
        for points, part in zip(observations.points, observations.points.slices(), strict=True)
        if points.variable.startswith(_RESISTANCE)
    ]
    parameters = cell.parameter_values()
    if not excess or CONTACT_RESISTANCE not in parameters:
        return cell
    held = float(parameters[CONTACT_RESISTANCE])
    wanted = held + float(np.median(excess))
    if wanted < 0:
        warn(
            f"The simulated cell has {-wanted:.3g} Ohm more resistance than the measured one; "
            "no series resistance can correct that."
        )
        wanted = 0.0
    if abs(wanted - held) <= 1e-6 * max(wanted, held):
        return cell
    note = f"{source}: measured minus simulated resistance"
    return cell.with_parameters({CONTACT_RESISTANCE: wanted}, source=note, status="fitted")


# Electrode balance ------------------------------------------------------------------------


def with_balance(cell: Cell, record: xr.DataTree, ocv: str, source: str = "adapted") -> Cell:
    """Fit electrode capacities and stoichiometries to a slow discharge of the fresh cell.

    As `cellmodels.balance_electrodes` does, with the parameter set as a closer prior: electrode
    capacities within 10 %, stoichiometries within 0.05.

    Parameters
    ----------
    cell : Cell
        A lithium-ion cell.
    record : xarray.DataTree
        Its first check-up holds ``voltage_<ocv>``, a discharge from the full cell.
    ocv : str
    source : str
        Provenance of the changed parameters.

    Returns
    -------
    Cell
        With other active material fractions and initial concentrations; the latter are those
        of the full cell. Their notes hold standard errors.

    Raises
    ------
    InputError
        When the curve is missing or has fewer than eight points.
    """
    charge, voltage, capacity = _slow_discharge(record, ocv)
    half_cells = HalfCells.of(cell)
    known = electrodes_of(cell)
    # A cell of another size is first brought to size, so that the prior is about the balance.
    size = capacity / usable_charge(known, half_cells, cell.voltage_limits[0])
    prior = Electrodes(known.capacity * size, known.full)
    curve = ocv_curve(charge, voltage, "discharge", f"'voltage_{ocv}' of the first check-up")
    fit = fit_curves(cell, [curve], half_cells, _PRIOR, prior)
    fitted, errors = fit.parameters(0)
    cell = resize(cell, size, source)
    note = f"{source}: electrode balance from voltage_{ocv}"
    for i, side in enumerate(("negative", "positive")):
        fraction = f"{side.capitalize()} electrode active material volume fraction"
        largest = cell.value(f"Maximum concentration in {side} electrode [mol.m-3]")
        change = float(np.exp(fitted[i])) / prior.capacity[i]
        found = {
            fraction: (cell.value(fraction) * change, errors[i] * change * cell.value(fraction)),
            f"Initial concentration in {side} electrode [mol.m-3]": (
                float(np.clip(fitted[2 + i], *_POSSIBLE)) * largest,
                errors[2 + i] * largest,
            ),
        }
        for name, (value, error) in found.items():
            text = f"standard error {error:.2g}"
            cell = cell.with_parameters({name: value}, source=note, status="fitted", note=text)
    return cell


def _slow_discharge(
    record: xr.DataTree, ocv: str
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Charge [A.h] and voltage [V] of the first check-up's slow discharge, and its capacity.

    The capacity is the largest charge of the curve where ``capacity_<ocv>`` is not recorded.
    """
    name = f"voltage_{ocv.removeprefix('voltage_')}"
    dataset = record["checkups"].to_dataset() if "checkups" in record.children else xr.Dataset()
    if name not in dataset:
        curves = [str(n) for n in dataset.data_vars if dataset[n].ndim == 2]
        raise InputError(f"The record's check-ups have no {name!r}." + did_you_mean(name, curves))
    array = dataset[name].transpose("checkup", ...)
    curve = np.asarray(array.values[0], dtype=float)
    charge = np.asarray(dataset[array.dims[1]].values, dtype=float)
    good = np.isfinite(curve) & np.isfinite(charge)
    if good.sum() < FEWEST:
        raise InputError(
            f"{name!r} of the first check-up has {good.sum()} points; electrode balance needs "
            f"{FEWEST}."
        )
    whole = dataset.get(name.replace("voltage_", "capacity_", 1))
    capacity = float("nan") if whole is None else float(whole.values[0])
    if not np.isfinite(capacity):
        capacity = float(charge[good].max())
    return charge[good], curve[good], capacity


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)
