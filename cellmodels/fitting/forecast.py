"""What comes after the data: a fitted cell's life with intervals.

The forecast of a variable is universal kriging (G. Matheron, Adv. Appl. Probab. 5 (1973) 439,
doi:10.2307/1425829): the fitted model, with its parameters and the discrepancy between model and
cell (:mod:`cellmodels.fitting.discrepancy`) estimated together from all data, so that what the
data tell of either is counted once. Its variance holds

- the parameters': their covariance, through the exact derivatives of the simulated life;
- the discrepancy's: known where there are data, and growing beyond them;
- that of the cell's fixed inputs, where the fit includes it
  (:mod:`cellmodels.fitting.fixed_inputs`).

The discrepancy's size and length, and the factor on the noise, are not taken as known: forecasts
for all values on a grid are mixed, each with its probability (`likelihood_grid.Grid.weights`).
Hence intervals are wider than a normal distribution's where the data are few, and a drift too small
to be seen widens them too. An interval is one of the cell's true value; that of a measurement adds
the noise.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy.special
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from cellmodels.errors import CellModelsError, InputError, did_you_mean
from cellmodels.fitting.discrepancy import Search
from cellmodels.fitting.problem import Evaluation, Problem
from cellmodels.fitting.residuals import Variable
from cellmodels.observations import Points, PointSet
from cellmodels.solver.threads import single_threaded

__all__ = ["ForecastError", "Mixture", "forecast", "predictive"]

Array = NDArray[np.float64]

_MOST = 200
"""Most cycles of a forecast whose end alone is given."""
_NEGLIGIBLE = 1e-4  # of the largest weight
_DEFAULT = "cycles/discharge_capacity"


class ForecastError(CellModelsError):
    """The fitted model cannot be simulated as far as was asked for."""


@dataclass(frozen=True, eq=False)
class Mixture:
    """Normal distributions with weights, at m places.

    Parameters
    ----------
    weights : ndarray, shape (g,)
        Their sum is one.
    means, deviations : ndarray, shape (g, m)
    noise : ndarray, shape (g,)
        Standard deviation of a measurement.
    """

    weights: Array
    means: Array
    deviations: Array
    noise: Array

    def widened(self, variance: Array) -> Mixture:
        """The same with an independent normal variable added, of variance (m,)."""
        return replace(self, deviations=np.sqrt(self.deviations**2 + variance))

    def quantile(self, probability: float, measured: bool = False) -> Array:
        """Quantile of the true value, or of a measurement; shape (m,)."""
        added = self.noise[:, None] if measured else 0.0
        spread = np.maximum(np.hypot(self.deviations, added), 1e-300)
        low, high = (self.means - 40 * spread).min(0), (self.means + 40 * spread).max(0)
        for _ in range(80):
            middle = (low + high) / 2
            below = self.weights @ scipy.special.ndtr((middle - self.means) / spread)
            low, high = (
                np.where(below < probability, middle, low),
                np.where(below < probability, high, middle),
            )
        return (low + high) / 2


@single_threaded
def forecast(
    problem: Problem,
    best: Evaluation,
    cycles: ArrayLike,
    variables: Iterable[str] | None = None,
    *,
    levels: Sequence[float] = (0.95,),
    added: Callable[[Points], Array] | None = None,
) -> xr.Dataset:
    """Forecast variables of a fitted life beyond its data.

    Parameters
    ----------
    problem : Problem
    best : Evaluation
        Its optimum.
    cycles : int or array_like of int
        Cycle numbers, or the last one: then at most some two hundred from the last cycle with
        data on.
    variables : iterable of str, optional
        Fitted scalars that are placed by cycle, such as ``"discharge_capacity"``; by default the
        discharge capacity, or the first fitted capacity.
    levels : sequence of float
        Of the intervals.
    added : callable, optional
        Gives the variance, at points of the life, of what is not free in the problem: that of
        fixed inputs, say.

    Returns
    -------
    xarray.Dataset
        Along ``cycle``, for each variable: ``<name>`` the median, ``<name>_model`` the fitted model
        alone, ``<name>_low`` and ``<name>_high`` (level, cycle) the interval of the true value,
        ``<name>_measured_low`` and ``<name>_measured_high`` that of a measurement.
        Attributes say what was assumed.

    Raises
    ------
    InputError
        On a variable that is not fitted, no scalar or not placed by cycle, on cycles that are no
        whole numbers or not beyond the data, or on a level outside (0, 1).
    ForecastError
        When the fitted cell does not last so long.
    """
    chosen = _variables(problem, variables)
    levels = [_level(level) for level in levels]
    at = _cycles(cycles, max(_last(problem, i) for i in chosen))
    known = problem.observations.variables
    asked = Points(tuple(PointSet(known[i].group, known[i].name, "cycle", at) for i in chosen))
    prediction = problem.predict(
        best.values,
        asked,
        jacobian=True,
        tolerance=problem.tolerance,
        state=best.prediction.state,
    )
    if not prediction.outcome.ok:
        outcome = prediction.outcome
        raise ForecastError(
            f"The fitted cell cannot be simulated to cycle {at[-1]:g}: "
            f"{outcome.message or outcome.reason}"
        )
    assert prediction.values is not None and prediction.jacobian is not None
    slopes = problem.scaling.slopes(best.scaled)
    search = Search(problem, best, _within_bounds(problem))
    search.climb()
    further = np.zeros(asked.size) if added is None else added(asked)
    dataset = xr.Dataset(coords={"cycle": at.astype(np.int64), "level": levels})
    for number, i in enumerate(chosen):
        part = slice(number * at.size, (number + 1) * at.size)
        values = prediction.values[part]
        mixture = predictive(search, i, at, values, prediction.jacobian[part] * slopes)
        mixture = mixture.widened(further[part])
        dataset = dataset.assign(_columns(known[i], values, mixture, levels))
    dataset.attrs = _assumptions(search, chosen)
    return dataset


def predictive(search: Search, variable: int, at: Array, values: Array, jacobian: Array) -> Mixture:
    """The distribution of a variable's true values, given all data of a fit.

    Parameters
    ----------
    search : Search
        The discrepancies of the fit.
    variable : int
        Index into the observations' variables, of a scalar.
    at : ndarray, shape (m,)
        Places, in the variable's coordinate.
    values : ndarray, shape (m,)
        What the model gives there, where it is linearised.
    jacobian : ndarray, shape (m, p)
        Its derivatives with respect to the scaled parameters.

    Returns
    -------
    Mixture
    """
    i = search.owners.index(variable)
    grid, rest = search.grids[i], search.rest(i)
    weights = grid.weights(rest)
    kept = np.argwhere(weights > _NEGLIGIBLE * weights.max())
    unit = grid.places.unit
    means, deviations = np.empty((2, len(kept), values.size))
    for drift in np.unique(kept[:, 0]):
        kriging = _Kriging.of(search, i, int(drift), (at - grid.places.first) / grid.places.span)
        for k in np.flatnonzero(kept[:, 0] == drift):
            factor, ratio = grid.factors[kept[k, 2]], grid.ratios[kept[k, 1]]
            information = rest + grid.moments[drift, kept[k, 1]] / factor
            shift, deviations[k] = kriging(
                information, factor, ratio, jacobian / search.scale / unit
            )
            means[k] = values + unit * shift
    white = grid.factors[kept[:, 2]] * (1 + grid.wander.ratio**2)
    weight = weights[tuple(kept.T)]
    return Mixture(weight / weight.sum(), means, unit * deviations, unit * np.sqrt(white))


# ------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Kriging:
    """Universal kriging of one series with one drift, all in units of its noise.

    Parameters
    ----------
    values : ndarray, shape (b,)
        Variances of the modes of the data, for a ratio of one.
    rows : ndarray, shape (b, p + 1)
        Modes of ``[J | r]``.
    cross : ndarray, shape (m, b)
        Covariance of the drift at the places asked for with the modes.
    variance : ndarray, shape (m,)
        Of the drift there.
    """

    values: Array
    rows: Array
    cross: Array
    variance: Array

    @classmethod
    def of(cls, search: Search, i: int, drift: int, places: Array) -> _Kriging:
        grid = search.grids[i]
        (series,), (rows,) = grid.places.series, grid.places.averages(search.rows)
        modes = series.modes(grid.drifts[drift], grid.wander)
        return cls(
            modes.values,
            modes.whiten @ rows,
            series.cross(grid.drifts[drift], places) @ modes.whiten.T,
            grid.drifts[drift].variance(places),
        )

    def __call__(
        self, moments: Array, factor: float, ratio: float, jacobian: Array
    ) -> tuple[Array, Array]:
        """Change of the model's values, and standard deviation; each of shape (m,).

        Parameters
        ----------
        moments : ndarray, shape (p + 1, p + 1)
            Of all data, for this factor on the noise and this ratio of the drift to it.
        factor, ratio : float
        jacobian : ndarray, shape (m, p)
        """
        inverse = np.linalg.inv(moments[:-1, :-1])
        best = -inverse @ moments[:-1, -1]
        weights = ratio**2 * self.cross / (1 + ratio**2 * self.values)
        seen = weights @ self.rows  # residuals are model minus data: the drift is their opposite
        slope = jacobian - seen[:, :-1]
        drift = ratio**2 * (self.variance - (weights * self.cross).sum(axis=1))
        variance = factor * np.maximum(drift, 0) + np.einsum("mi,ij,mj->m", slope, inverse, slope)
        return slope @ best - seen[:, -1], np.sqrt(variance)


def _within_bounds(problem: Problem) -> Array:
    """Precision of a normal distribution as wide as the bounds' uniform one, shape (p,)."""
    lower, upper = problem.scaling.bounds
    return 12 / (upper - lower) ** 2


def _variables(problem: Problem, names: Iterable[str] | None) -> list[int]:
    """Indices of the variables to forecast."""
    known = problem.observations.variables
    columns = {(s.group, s.variable) for s in problem.observations.points if s.column is not None}
    scalars = {v.key: i for i, v in enumerate(known) if v.used and (v.group, v.name) not in columns}
    if names is None:
        capacities = [key for key in scalars if known[scalars[key]].unit == "A.h"]
        names = [_DEFAULT] if _DEFAULT in scalars else capacities[:1]
        if not names:
            raise InputError("No capacity was fitted: name the variables to forecast.")
    names = [names] if isinstance(names, str) else list(names)
    if not names:
        raise InputError("Name at least one variable to forecast.")
    found = []
    for name in names:
        matching = [i for key, i in scalars.items() if name in (key, known[i].name)]
        if len(matching) != 1:
            raise InputError(
                f"{name!r} is not one of the fitted scalars: {', '.join(scalars) or 'none'}."
                + did_you_mean(name, scalars)
            )
        variable = known[matching[0]]
        if variable.coordinate != "cycle":
            raise InputError(
                f"{variable.key} is placed by {variable.coordinate} in the record; it can only be "
                "forecast where it is placed by cycle."
            )
        found.append(matching[0])
    return found


def _cycles(cycles: ArrayLike, last: float) -> Array:
    """The cycle numbers of a forecast."""
    try:
        at = np.atleast_1d(np.asarray(cycles, dtype=float))
    except (TypeError, ValueError):
        raise InputError(f"cycles: {cycles!r} are no numbers.") from None
    if at.ndim != 1 or at.size == 0 or not np.all(np.isfinite(at)) or np.any(at % 1):
        raise InputError("cycles is a whole number, the last cycle, or a list of whole numbers.")
    if at.min() <= last:
        raise InputError(
            f"cycles: {at.min():g} is not beyond the data, which end in cycle {last:g}."
        )
    if np.ndim(cycles):
        return np.unique(at)
    steps = int(min(at[0] - last, _MOST))
    return np.unique(np.round(np.linspace(last + 1, at[0], steps)))


def _last(problem: Problem, variable: int) -> float:
    v = problem.observations.variables[variable]
    return float(max(s.at.max() for s in problem.observations.points if s.variable == v.name))


def _level(level: float) -> float:
    if not (isinstance(level, int | float) and 0 < level < 1):
        raise InputError(f"A level of an interval lies between 0 and 1, not at {level!r}.")
    return float(level)


def _columns(
    variable: Variable, values: Array, mixture: Mixture, levels: Sequence[float]
) -> dict[str, xr.DataArray]:
    """Variables of the dataset for one that is forecast."""
    name, units = variable.name, {"units": variable.unit}

    def interval(side: int, measured: bool) -> xr.DataArray:
        rows = [mixture.quantile(0.5 + side * level / 2, measured) for level in levels]
        about = "a measurement" if measured else "the true value"
        return xr.DataArray(
            rows, dims=("level", "cycle"), attrs={**units, "long_name": f"interval of {about}"}
        )

    return {
        name: xr.DataArray(
            mixture.quantile(0.5), dims="cycle", attrs={**units, "long_name": "median forecast"}
        ),
        f"{name}_model": xr.DataArray(
            values, dims="cycle", attrs={**units, "long_name": "fitted model alone"}
        ),
        f"{name}_low": interval(-1, False),
        f"{name}_high": interval(1, False),
        f"{name}_measured_low": interval(-1, True),
        f"{name}_measured_high": interval(1, True),
    }


def _assumptions(search: Search, chosen: Sequence[int]) -> dict[str, str]:
    """What a forecast assumes, as attributes."""
    likely = [search.result(i) for i in range(len(search.owners))]
    return {
        "assumed": (
            "parameters as determined by the data, or else within their bounds; protocol and "
            "mechanisms as before; a discrepancy between model and cell in each variable, of a "
            "size and length that the data leave possible, independent between variables"
        ),
        "discrepancies": json.dumps({found.key: found.sentence for found in likely}),
    }
