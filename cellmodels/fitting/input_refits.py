"""Refits with other inputs: whether the linear answer of a fit to its fixed inputs holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from cellmodels.errors import InputError
from cellmodels.fitting import fit_tree
from cellmodels.fitting.input_derivatives import Maker, simulators
from cellmodels.fitting.input_prior import FixedInput
from cellmodels.fitting.least_squares import FitError, minimise
from cellmodels.fitting.problem import Predictor
from cellmodels.observations import Points, Prediction

if TYPE_CHECKING:
    from cellmodels.fitting.result import Fit

__all__ = ["with_refits"]

Array = NDArray[np.float64]
SIDES = (-1.0, 1.0)
_MAX_EVALUATIONS = 30
_NEAR_BOUND = 1e-3  # of the distance between the bounds


def with_refits(fit: Fit, inputs: xr.Dataset, count: int, maker: Maker | None = None) -> xr.Dataset:
    """Repeat a fit with the inputs that contribute most one standard deviation lower and higher.

    In the reading "updated" that is the deviation that the data leave to the input alone.

    Parameters
    ----------
    fit : Fit
    inputs : xarray.Dataset
        From :func:`~cellmodels.fitting.fixed_inputs.input_uncertainty`.
    count : int
        Number of inputs; none for zero.
    maker : callable, optional
        As there.

    Returns
    -------
    xarray.Dataset
        With ``refit_change`` (refitted, side, parameter), the change of each scaled parameter;
        ``refit_disagreement``, its difference from the linear answer in standard errors;
        ``refit_cost``, and ``refit_status``: how each refit ended, or why it did not.

    Raises
    ------
    InputError
        When `count` is not a whole number from 0 on.
    """
    if isinstance(count, bool) or count != int(count) or count < 0:
        raise InputError(f"check: {count!r} is not a whole number from 0 on.")
    most = inputs["share"].max("parameter").values
    chosen = [int(i) for i in np.argsort(-most)[: int(count)] if most[i] > 0]
    if not chosen:
        return inputs
    names = [str(inputs["input"].values[i]) for i in chosen]
    free = [str(name) for name in inputs["parameter"].values]
    predict = (maker or simulators(fit.cell, fit.protocol, free))(tuple(names))
    fixed = [_fixed(inputs, i) for i in chosen]
    steps = np.ones(len(names))
    if inputs.attrs["reading"] == "updated":
        steps = inputs["data_deviation"].values[chosen]
    response = inputs["response"].values[:, chosen] * steps
    size = (len(names), len(SIDES))
    change, cost = np.full((*size, len(free)), np.nan), np.full(size, np.nan)
    status = np.full(size, "", dtype="<U60")
    for k in range(len(names)):
        for j, side in enumerate(SIDES):
            values = [each.at(side * steps[k] * (n == k)) for n, each in enumerate(fixed)]
            found = _refit(fit, predict, values, side * response[:, k])
            status[k, j] = found[2]
            change[k, j], cost[k, j] = found[:2]
    linear = np.einsum("j,pk->kjp", SIDES, response)
    errors = inputs["scaled_standard_error"].values
    return inputs.assign(
        refit_change=(("refitted", "side", "parameter"), change),
        refit_disagreement=(("refitted", "side", "parameter"), np.abs(change - linear) / errors),
        refit_cost=(("refitted", "side"), cost),
        refit_status=(("refitted", "side"), status),
    ).assign_coords(refitted=names, side=list(SIDES))


def _fixed(inputs: xr.Dataset, i: int) -> FixedInput:
    row = inputs.isel(input=i)
    name, unit, status, origin = (str(row[n].item()) for n in ("input", "unit", "status", "origin"))
    value, low, high = (float(row[n]) for n in ("value", "low", "high"))
    return FixedInput(name, unit, value, low, high, status, origin)


def _refit(
    fit: Fit, predict: Predictor, inputs: Sequence[float], step: Array
) -> tuple[Array, float, str]:
    """Change of the scaled parameters, cost and status of one refit; NaN where it failed."""
    best = fit_tree.scaling(fit.tree).to_scaled(list(fit.values.values()))
    problem = fit.problem(_at(predict, inputs))
    start = problem.scaling.inside(best + step)
    try:
        found = minimise(problem, start=start, progress=False, max_evaluations=_MAX_EVALUATIONS)
    except FitError:
        return np.full(len(best), np.nan), float("nan"), "no simulation at the start"
    if found.status == "interrupted":
        raise KeyboardInterrupt
    lower, upper = problem.scaling.bounds
    near = _NEAR_BOUND * np.where(np.isfinite(upper - lower), upper - lower, 0.0)
    scaled = found.best.scaled
    blocked = bool(np.any((scaled - lower <= near) | (upper - scaled <= near)))
    status = f"{found.status}, on a bound" if blocked else found.status
    return scaled - best, found.best.cost, status


def _at(predict: Predictor, inputs: Sequence[float]) -> Predictor:
    """The predictor of the fitted parameters alone, at fixed values of the inputs."""

    def fixed(values: Array, points: Points, *arguments: Any, **options: Any) -> Prediction:
        found = predict(np.concatenate([values, inputs]), points, *arguments, **options)
        if found.jacobian is None:
            return found
        return Prediction(
            found.values, found.jacobian[:, : len(values)], found.outcome, found.error, found.state
        )

    return fixed
