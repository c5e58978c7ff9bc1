"""``adapt``: make a cell of the literature the size of the cell that was measured.

A parameter set describes one product; the record often comes from another with the same
chemistry. Before anything about ageing is fitted, three things about the fresh cell are set:

- *Size.* Electrode area and nominal capacity are multiplied by measured over simulated
  capacity. C-rates, current densities and temperatures keep their meaning: a life with
  currents in C is exactly the same, times that factor.
- *Series resistance.* What the measured resistance has more than the simulated one becomes a
  contact resistance.
- *Electrode balance*, only where a pseudo-open-circuit curve was measured: capacities and
  stoichiometries of both electrodes, with the parameter set as a prior.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pybamm
import scipy.optimize
import xarray as xr
from numpy.typing import NDArray

from cellmodels.cell import Cell
from cellmodels.errors import InputError, did_you_mean, warn
from cellmodels.fitting.least_squares import FitError, Predictor
from cellmodels.fitting.matching import observe_with_protocol
from cellmodels.fitting.residuals import Observations, fitted_variables, observe
from cellmodels.observations import Points
from cellmodels.protocol import Protocol
from cellmodels.simulator import Simulator

__all__ = ["adapt", "adapt_with", "balance_electrodes", "resize"]

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
_FARADAY = 96485.33212
_HOUR = 3600.0

_FEWEST_CURVE_POINTS = 8
_PRIOR_CAPACITY = 0.10  # relative spread of electrode capacities between like cells
_PRIOR_STOICHIOMETRY = 0.05
_PRIOR_OFFSET = 0.02  # V, overpotential of a slow discharge
_MODEL_NOISE = 0.005  # V, how well half-cell curves of the literature describe another cell


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
        cell = balance_electrodes(cell, record, ocv, source)
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


@dataclass(frozen=True, eq=False)
class _Electrodes:
    """Both electrodes of a lithium-ion cell at full charge.

    Parameters
    ----------
    capacity : ndarray, shape (2,)
        Charge between stoichiometry 0 and 1 of the negative and positive electrode [A.h].
    full : ndarray, shape (2,)
        Their stoichiometries in the full cell.
    """

    capacity: NDArray[np.float64]
    full: NDArray[np.float64]

    def voltage(self, charge: NDArray[np.float64], potentials: list[Callable]) -> Any:
        """Open-circuit voltage after discharging `charge` [A.h] from full, shape (k,)."""
        negative = self.full[0] - charge / self.capacity[0]
        positive = self.full[1] + charge / self.capacity[1]
        return potentials[1](positive) - potentials[0](negative)


def balance_electrodes(cell: Cell, record: xr.DataTree, ocv: str, source: str = "adapted") -> Cell:
    """Fit electrode capacities and stoichiometries to a slow discharge of the fresh cell.

    The measured voltage is that of both half cells (Dubarry, Truchot & Liaw 2012,
    doi:10.1016/j.jpowsour.2012.07.016) less a constant overpotential. The parameter set is the
    prior: electrode capacities within 10 %, stoichiometries within 0.05.

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
        of the full cell.

    Raises
    ------
    InputError
        When the curve is missing or has fewer than eight points.
    """
    charge, voltage, capacity = _slow_discharge(record, ocv)
    prior = _electrodes(cell)
    # A cell of another size is first brought to size, so that the prior is about the balance.
    size = capacity / _usable_charge(cell, prior)
    prior = _Electrodes(prior.capacity * size, prior.full)
    fitted = _fitted_balance(prior, charge, voltage, _potentials(cell))
    fraction = {
        f"{side} electrode active material volume fraction": cell.value(
            f"{side} electrode active material volume fraction"
        )
        * float(fitted.capacity[i] / prior.capacity[i])
        for i, side in enumerate(("Negative", "Positive"))
    }
    concentration = {
        f"Initial concentration in {side} electrode [mol.m-3]": float(fitted.full[i])
        * cell.value(f"Maximum concentration in {side} electrode [mol.m-3]")
        for i, side in enumerate(("negative", "positive"))
    }
    note = f"{source}: electrode balance from voltage_{ocv}"
    found = {**fraction, **concentration}
    return resize(cell, size, source).with_parameters(found, source=note, status="fitted")


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
    if good.sum() < _FEWEST_CURVE_POINTS:
        raise InputError(
            f"{name!r} of the first check-up has {good.sum()} points; electrode balance needs "
            f"{_FEWEST_CURVE_POINTS}."
        )
    whole = dataset.get(name.replace("voltage_", "capacity_", 1))
    capacity = float("nan") if whole is None else float(whole.values[0])
    if not np.isfinite(capacity):
        capacity = float(charge[good].max())
    return charge[good], curve[good], capacity


def _fitted_balance(
    prior: _Electrodes,
    charge: NDArray[np.float64],
    voltage: NDArray[np.float64],
    potentials: list[Callable],
) -> _Electrodes:
    def electrodes(x: NDArray[np.float64]) -> _Electrodes:
        return _Electrodes(prior.capacity * np.exp(x[:2]), prior.full + x[2:4])

    def residuals(x: NDArray[np.float64]) -> NDArray[np.float64]:
        model = electrodes(x).voltage(charge, potentials) - x[4]
        return np.concatenate([(model - voltage) / _MODEL_NOISE, x / spread])

    spread = np.array([_PRIOR_CAPACITY] * 2 + [_PRIOR_STOICHIOMETRY] * 2 + [_PRIOR_OFFSET])
    limit = 0.999
    lower = np.array([-0.5, -0.5, 0.001 - prior.full[0], 0.001 - prior.full[1], -0.1])
    upper = np.array([0.5, 0.5, limit - prior.full[0], limit - prior.full[1], 0.1])
    result = scipy.optimize.least_squares(residuals, np.zeros(5), bounds=(lower, upper))
    return electrodes(result.x)


def _electrodes(cell: Cell) -> _Electrodes:
    """The electrodes of a cell as its parameter set has them."""
    capacity, full = [], []
    for side in ("negative", "positive"):
        title = side.capitalize()
        largest = cell.value(f"Maximum concentration in {side} electrode [mol.m-3]")
        volume = (
            cell.value(f"{title} electrode active material volume fraction")
            * cell.value(f"{title} electrode thickness [m]")
            * cell.electrode_area
        )
        capacity.append(_FARADAY * largest * volume / _HOUR)
        full.append(cell.value(f"Initial concentration in {side} electrode [mol.m-3]") / largest)
    return _Electrodes(np.array(capacity), np.array(full))


def _usable_charge(cell: Cell, electrodes: _Electrodes) -> float:
    """Charge from full to the lower cut-off at open circuit [A.h]."""
    potentials = _potentials(cell)
    lower = cell.voltage_limits[0]
    room = np.array([electrodes.full[0], 1 - electrodes.full[1]]) * electrodes.capacity

    def above(charge: float) -> float:
        return float(electrodes.voltage(np.array([charge]), potentials)[0]) - lower

    most = 0.9999 * float(room.min())
    return most if above(most) > 0 else float(scipy.optimize.brentq(above, 0.0, most))


def _potentials(cell: Cell) -> list[Callable[[NDArray[np.float64]], NDArray[np.float64]]]:
    """Open-circuit potentials of negative and positive electrode as functions [V]."""
    values = cell.parameter_values()

    def potential(side: str) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
        law = values[f"{side} electrode OCP [V]"]

        def evaluate(stoichiometry: NDArray[np.float64]) -> NDArray[np.float64]:
            inside = np.clip(stoichiometry, 1e-4, 1 - 1e-4)
            symbol = values.process_symbol(law(pybamm.Vector(inside)))
            return np.asarray(symbol.evaluate(), dtype=float).reshape(-1)

        return evaluate

    return [potential("Negative"), potential("Positive")]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)
