"""Electrode balance: capacities and stoichiometries of both electrodes from one slow curve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from cellmodels.cell import Cell
from cellmodels.errors import InputError, warn
from cellmodels.modes.curves import SETTLE, Direction, OcvCurve, ocv_curve
from cellmodels.modes.derived import QUANTITIES, Values, electrode_quantities
from cellmodels.modes.electrodes import Electrodes, Model, electrodes_of, usable_charge
from cellmodels.modes.figures import plot_balance
from cellmodels.modes.fitted_curves import curves_dataset
from cellmodels.modes.half_cells import HalfCells
from cellmodels.modes.joint import Solution, solve
from cellmodels.modes.linearised import Noise, Prior, Problem
from cellmodels.modes.noise import MOST_CURVES

__all__ = ["BalancePrior", "ElectrodeBalance", "balance_electrodes", "fit_curves"]

Array = NDArray[np.float64]

_FAR = 0.98  # of the most
_WORSE = 1.05  # times the stated error of the half cells, from which on it is said


@dataclass(frozen=True)
class BalancePrior:
    """How far a cell's electrodes may be from those of its parameter set.

    Standard deviations of Gaussian priors. The defaults are wide, so that what a curve does not
    tell comes out with the error that stands here.

    Parameters
    ----------
    capacity : float
        Of the logarithm of each electrode's capacity, after the cell was brought to size.
    stoichiometry : float
        Of each electrode's stoichiometry where the charge is zero.
    overvoltage : float
        Of the voltage below the open-circuit voltage on discharge, above it on charge [V]; each
        curve has its own. It holds hysteresis too, where the half cells have one curve each.
    branch : float
        Of how far each half cell is from the branch of its hysteresis in which the cell runs, as a
        share of half their difference; each curve has its own.

    Raises
    ------
    InputError
        If one is not positive.
    """

    capacity: float = 0.3
    stoichiometry: float = 0.2
    overvoltage: float = 0.02
    branch: float = 0.3

    def __post_init__(self) -> None:
        """Check the numbers."""
        for name in ("capacity", "stoichiometry", "overvoltage", "branch"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value > 0):
                raise InputError(f"The prior's {name} must be positive, not {value!r}.")

    def around(self, electrodes: Electrodes, half_cells: HalfCells) -> Prior:
        """The prior of a curve's parameters."""
        sides = (half_cells.negative, half_cells.positive)
        mean = np.concatenate([np.log(electrodes.capacity), electrodes.full, np.zeros(3)])
        branches = [0.0 if side.gap is None else self.branch for side in sides]
        std = [self.capacity] * 2 + [self.stoichiometry] * 2 + [self.overvoltage, *branches]
        return Prior(mean, np.array(std))


@dataclass(frozen=True, eq=False)
class CurvesFit:
    """Curves of one cell, fitted together.

    Parameters
    ----------
    model : Model
    prior : Prior
    curves : tuple of OcvCurve
    solution : Solution
    quantities : Values
    """

    model: Model
    prior: Prior
    curves: tuple[OcvCurve, ...]
    solution: Solution
    quantities: Values

    @property
    def noise(self) -> Noise:
        """What the residuals are made of."""
        return self.solution.noise

    @property
    def rmse(self) -> Array:
        """Root mean square of each curve's residuals [V]."""
        return np.array([np.sqrt(np.mean(r**2)) for r in self.solution.residuals])

    def parameters(self, curve: int) -> tuple[Array, Array]:
        """Parameters of a curve as in :data:`PARAMETERS`, and their standard errors."""
        free = self.prior.free
        errors = np.zeros(self.prior.mean.size)
        variances = np.diag(self.solution.covariance)
        errors[free] = np.sqrt(variances[curve * free.size : (curve + 1) * free.size])
        return self.solution.unknowns.values[curve], errors

    def dataset(self) -> xr.Dataset:
        """Measured and fitted curves, see :func:`curves_dataset`."""
        return curves_dataset(self.model, self.curves, self.solution)

    def electrodes(self) -> xr.Dataset:
        """Quantities of :data:`QUANTITIES` with standard errors, dimension ``checkup``."""
        covariance = self.quantities.covariance(self.solution.covariance)
        std = np.sqrt(np.einsum("kiki->ki", covariance))
        data: dict[str, tuple] = {}
        for k, (name, (unit, words)) in enumerate(QUANTITIES.items()):
            attrs = {"units": unit, "long_name": words}
            data[name] = ("checkup", self.quantities.values[:, k], attrs)
            data[f"{name}_std"] = ("checkup", std[:, k], {"units": unit})
        data["rmse"] = ("checkup", self.rmse, {"units": "V"})
        return xr.Dataset(data, attrs=self.attrs())

    def attrs(self) -> dict[str, float | int | str]:
        """How the numbers were obtained."""
        half_cells = self.model.half_cells
        noise = self.noise
        known: dict[str, float | int | str] = {
            "white_noise_V": float(noise.white),
            "correlated_residuals_V": float(noise.correlated),
            "correlation_length": float(noise.length),
            "curve_error_factor": float(noise.curves),
            "converged": int(self.solution.converged),
        }
        for side in ("negative", "positive"):
            half_cell = getattr(half_cells, side)
            known[f"{side}_half_cell"] = half_cell.source
            known[f"{side}_curve_error_V"] = half_cell.error.potential
            known[f"{side}_curve_error_stoichiometry"] = half_cell.error.stoichiometry
            known[f"{side}_curve_error_length"] = half_cell.error.length
        return known


def fit_curves(
    cell: Cell,
    curves: Sequence[OcvCurve],
    half_cells: HalfCells | None = None,
    prior: BalancePrior | None = None,
    electrodes: Electrodes | None = None,
    noise: float | None = None,
    reference: int = 0,
) -> CurvesFit:
    """Fit the electrodes of a cell to slow curves over its life.

    Parameters
    ----------
    cell : Cell
    curves : sequence of OcvCurve
    half_cells : HalfCells, optional
        By default those of the cell's parameter set.
    prior : BalancePrior, optional
    electrodes : Electrodes, optional
        Around which the prior lies; by default those of the cell, brought to the size and to the
        full state of the reference.
    noise : float, optional
        White noise of a fitted point [V], where it is known.
    reference : int
        The curve that tells the size.

    Returns
    -------
    CurvesFit

    Raises
    ------
    InputError
        If the cell is none of lithium ion.
    """
    if noise is not None and not (np.isfinite(noise) and noise > 0):
        raise InputError(f"The noise must be positive [V], not {noise!r}.")
    half_cells = half_cells or HalfCells.of(cell)
    if electrodes is None:
        electrodes = sized(cell, half_cells, curves[reference])
    known = (prior or BalancePrior()).around(electrodes, half_cells)
    model = Model(half_cells)
    solution = solve(Problem(model, tuple(curves), known), noise)
    if not solution.converged:
        warn("The electrode balance has not converged; its numbers are those of the last step.")
    quantities = electrode_quantities(model, known, solution, cell.voltage_limits)
    return CurvesFit(model, known, tuple(curves), solution, quantities)


def sized(cell: Cell, half_cells: HalfCells, curve: OcvCurve) -> Electrodes:
    """The cell's electrodes with the size and the full state of a curve.

    Lithium is moved between the electrodes until the open-circuit voltage is the curve's first
    one; the size is that which has the curve's charge between its first and last voltage.
    """
    own = electrodes_of(cell)
    q, v = curve.raw
    first, last = (
        usable_charge(own, half_cells, float(each), curve.share) for each in (v[0], v[-1])
    )
    if not last > first:
        raise InputError(
            f"The voltages of the curve, {v[0]:.3f} to {v[-1]:.3f} V, are not those of a discharge "
            "of this cell."
        )
    size = curve.span / (last - first)
    zero = first - q[0] / size  # where the curve's charge is zero
    full = own.full + np.array([-zero, zero]) / own.capacity
    return Electrodes(own.capacity * size, np.clip(full, 0.001, 0.999))


@dataclass(frozen=True, eq=False)
class ElectrodeBalance:
    """Electrode capacities and stoichiometries of a cell, from one slow curve.

    Made by :func:`balance_electrodes`. Its repr is a table.

    Parameters
    ----------
    electrodes : xarray.Dataset
        Quantities, each with ``_std``; attributes say how they were obtained.
    covariance : xarray.DataArray
        Of the quantities, dimensions ``quantity`` and ``other_quantity``, in their units.
    curves : xarray.Dataset
        Measured and fitted curve, their derivatives and both electrodes' parts in them.
    """

    electrodes: xr.Dataset
    covariance: xr.DataArray = field(repr=False)
    curves: xr.Dataset = field(repr=False)

    @property
    def table(self) -> pd.DataFrame:
        """One row a quantity: value, standard error and unit."""
        rows = {
            name: (
                float(self.electrodes[name]),
                float(self.electrodes[f"{name}_std"]),
                unit,
            )
            for name, (unit, _) in QUANTITIES.items()
        }
        columns = ["value", "standard error", "unit"]
        return pd.DataFrame.from_dict(rows, orient="index", columns=columns)

    @property
    def rmse(self) -> float:
        """Root mean square of the residuals [V]."""
        return float(self.electrodes["rmse"])

    def to_datatree(self) -> xr.DataTree:
        """Everything, in ``/electrodes`` and ``/curves``; ``to_netcdf`` writes it."""
        electrodes = self.electrodes.assign(covariance=self.covariance)
        return xr.DataTree.from_dict({"electrodes": electrodes, "curves": self.curves})

    def plot(self) -> Figure:
        """Voltage, residuals, differential voltage and incremental capacity."""
        return plot_balance(self.curves)

    def __repr__(self) -> str:
        attrs = self.electrodes.attrs
        lines = [
            f"Electrode balance: {1e3 * self.rmse:.2g} mV between model and data (root mean square)"
        ]
        for name, value, error, unit in self.table.itertuples():
            shown = "" if unit == "-" else f" {unit}"
            lines.append(f"  {QUANTITIES[str(name)][1]:<52} {value:9.4f} ± {error:.2g}{shown}")
        lines.append(f"  {residuals_text(attrs)}")
        return "\n".join(lines)


def residuals_text(attrs: dict) -> str:
    """What the standard errors hold, in words."""
    factor = attrs["curve_error_factor"]
    curves = " and ".join(
        f"{1e3 * factor * attrs[f'{side}_curve_error_V']:.2g} mV ({side})"
        for side in ("negative", "positive")
    )
    worse = f", {factor:.2g} times what was stated" if factor > _WORSE else ""
    if factor > _FAR * MOST_CURVES:
        worse += " and no more allowed: these half cells are not those of this cell"
    return (
        f"Errors hold white noise of {1e3 * attrs['white_noise_V']:.2g} mV a point, autocorrelated "
        f"residuals of {1e3 * attrs['correlated_residuals_V']:.2g} mV, and half-cell curves wrong "
        f"by {curves}{worse}."
    )


def balance_electrodes(
    cell: Cell,
    charge: ArrayLike,
    voltage: ArrayLike,
    *,
    direction: Direction | None = None,
    half_cells: HalfCells | None = None,
    prior: BalancePrior | None = None,
    noise: float | None = None,
    settle: float = SETTLE,
) -> ElectrodeBalance:
    """Electrode capacities and stoichiometries from a slow discharge or charge.

    The voltage is that of both half cells, which have their own capacities and are shifted along
    each other (Dahn et al. (2012), doi:10.1149/2.013203jes), less an overvoltage. How errors are
    found is in :mod:`cellmodels.modes.joint`.

    Parameters
    ----------
    cell : Cell
        A lithium-ion cell of the same chemistry; of any size. A blend such as graphite with
        silicon oxide counts as one electrode with one curve.
    charge : array_like, shape (n,)
        Charge [A.h], discharged since the cell was full where the voltage falls with it. Where the
        voltage rises with it, it is what was charged, and the last row is the full cell.
    voltage : array_like, shape (n,)
        [V].
    direction : {"discharge", "charge", "mean"}, optional
        Whether it was measured on discharge, on charge, or is the mean of both; by default as it
        runs.
    half_cells : HalfCells, optional
        By default those of the cell's parameter set, see :meth:`HalfCells.of`.
    prior : BalancePrior, optional
        How far the electrodes may be from those of the set.
    noise : float, optional
        White noise of a fitted point [V], where it is known; by default it is estimated.
    settle : float
        Share of the charge after the current has begun that is left out: until lithium has spread
        in the particles and the electrolyte the overvoltage is not the later one.

    Returns
    -------
    ElectrodeBalance

    Raises
    ------
    InputError
        If the cell is none of lithium ion, or the curve is none.
    """
    curve = ocv_curve(charge, voltage, direction, settle=settle)
    fit = fit_curves(cell, [curve], half_cells, prior, noise=noise)
    covariance = fit.quantities.covariance(fit.solution.covariance)[0, :, 0]
    names = list(QUANTITIES)
    return ElectrodeBalance(
        electrodes=fit.electrodes().isel(checkup=0),
        covariance=xr.DataArray(
            covariance,
            {"quantity": names, "other_quantity": names},
            ("quantity", "other_quantity"),
            "covariance",
        ),
        curves=fit.dataset().isel(checkup=0),
    )
