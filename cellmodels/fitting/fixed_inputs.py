r"""Uncertainty of the fixed inputs, carried over to the fitted parameters and to forecasts.

Let z be the scaled parameters of a fit and v its fixed inputs, in standard deviations from the
values used (:mod:`cellmodels.fitting.input_prior`), with derivatives :math:`A` and :math:`B` of
what the fit squares and sums, :math:`r`. With other inputs the fit would end elsewhere:

.. math:: \hat z(v) = \hat z + R v, \qquad R = -(A^T A)^{-1} A^T B

One simulation with exact derivatives by both gives R. With C the covariance that the data give z
where the inputs are right, and S the mean square of the inputs about the values used,

.. math::
    \operatorname{cov}(z, v) =
    \begin{pmatrix} C + R S R^T & R S \\ S R^T & S \end{pmatrix}

Two readings of S:

- ``"updated"`` (the default): what the data say of the inputs counts as well. Their covariance is
  :math:`P = (1 + B^T M B)^{-1}` and they lie about :math:`m = -P B^T M r`, with M the projection on
  what z cannot describe. Values are not moved, so that the shift counts as an error:
  :math:`S = P + m m^T`. Where the noise is white and of the stated size, P and m are those of the
  posterior of z and v together.
- ``"consider"``: the inputs are as uncertain as before the fit, S = 1, whatever the data say (S. F.
  Schmidt, Application of state-space methods to navigation problems, Advances in Control Systems 3
  (1966) 293, doi:10.1016/B978-1-4831-6716-9.50011-4). It is what refits with other inputs would
  show, also refits that miss the data by far, and so an upper bound: a share of active material
  that is 10 % off costs 10 % of the fresh capacity, and a fit to that follows no ageing any more.

A model is never quite right, and what it misses looks like information on some input. In M a
variable's points therefore count only for as many independent ones as the size and likeness of its
residuals leave. These residuals are those at the inputs used, so that what an input could explain
counts as the model's fault until it is freed: that is the cautious side. For each input alone the
dataset says by how much the data would narrow and move it, and there the residuals are those that
are left once it is freed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.stats
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from cellmodels.cell import Cell
from cellmodels.errors import InputError, did_you_mean
from cellmodels.fitting import fit_tree
from cellmodels.fitting.input_prior import KNOWN, READING, FixedInput, choose_inputs
from cellmodels.fitting.least_squares import FitError
from cellmodels.fitting.problem import Predictor, Problem
from cellmodels.fitting.statistics import correlation_from, estimate_parameters, variable_fits
from cellmodels.observations import Points, Prediction
from cellmodels.protocol import Protocol
from cellmodels.simulator import Simulator

if TYPE_CHECKING:
    from cellmodels.fitting.result import Fit

__all__ = [
    "READINGS",
    "independent_points",
    "input_uncertainty",
    "prediction_variance",
    "simulators",
    "tree_with_inputs",
]

Array = NDArray[np.float64]
#: Makes the predictor of a fit's parameters followed by the named inputs.
Maker = Callable[[tuple[str, ...]], Predictor]

READINGS = ("updated", "consider")

_SMALLEST_SINGULAR_VALUE = 1e-12  # of the largest, as in `statistics`
_LARGEST_AUTOCORRELATION = 0.99
_NO_DERIVATIVE = "the life cannot be differentiated by it"


def input_uncertainty(
    fit: Fit,
    names: Sequence[str] | None = None,
    *,
    statuses: Sequence[str] = KNOWN,
    ranges: Mapping[str, tuple[float, float]] | None = None,
    reading: str = "updated",
    maker: Maker | None = None,
) -> xr.Dataset:
    """How much of a fit's uncertainty comes from what was not fitted.

    Parameters
    ----------
    fit : Fit
    names : sequence of str, optional
        Inputs to take; by default all that the cell's equations read and whose status is one of
        `statuses`.
    statuses : sequence of str
        See :func:`~cellmodels.fitting.input_prior.choose_inputs`.
    ranges : mapping of str to (float, float), optional
        95 % intervals in place of those of the parameter set.
    reading : {"updated", "consider"}
        See the module's docstring.
    maker : callable, optional
        In place of a simulator: makes the predictor of the fitted parameters and named inputs.

    Returns
    -------
    xarray.Dataset
        Along ``input``: its interval; ``response`` (parameter, input), the change of each scaled
        parameter with one standard deviation of it; ``share`` (parameter, input) of the
        parameter's variance that would go if the input were known (inputs may share a part);
        ``data_deviation`` and ``data_shift``, its standard deviation and place after the data, if
        it alone were freed, in standard deviations of before; ``surprise``, the probability of
        such a shift where input and model are right. Along ``parameter``: standard errors with
        the inputs, without them, and in the reading "consider". ``joint_covariance`` of
        ``quantity``, scaled parameters and inputs in standard deviations, and ``joint_slope``, by
        which a derivative in natural units is multiplied. Along ``left_out``: reasons.

    Raises
    ------
    InputError
        On an unknown name, status, interval or reading.
    FitError
        When the fitted cell cannot be simulated.
    """
    if reading not in READINGS:
        raise InputError(f"Unknown reading {reading!r}." + did_you_mean(str(reading), READINGS))
    parameters = fit.tree["parameters"].to_dataset()
    chosen = parameters["parameter"].values.astype(str).tolist()
    inputs, left_out = choose_inputs(fit.cell, chosen, names, statuses=statuses, ranges=ranges)
    if not inputs:
        raise InputError(
            "No fixed input of this cell has a range of one of the statuses "
            f"{', '.join(statuses)}; give some, as ranges={{name: (low, high)}}."
        )
    make = maker or simulators(fit.cell, fit.protocol, chosen)
    problem = fit.problem(_no_prediction)  # each group of inputs has a predictor of its own
    values = parameters["value"].values
    taken, sums, failed = _differentiate(problem, make, values, inputs)
    left_out = {**left_out, **dict.fromkeys(failed, _NO_DERIVATIVE)}
    covariance = _data_covariance(parameters)
    return _dataset(problem, values, covariance, taken, sums, left_out, reading)


def tree_with_inputs(tree: xr.DataTree, inputs: xr.Dataset) -> xr.DataTree:
    """A fit's tree whose covariance, standard errors and intervals include its fixed inputs.

    Parameters
    ----------
    tree : xarray.DataTree
        Of a fit; not changed.
    inputs : xarray.Dataset
        From :func:`input_uncertainty` for this fit.

    Returns
    -------
    xarray.DataTree
        With the group ``/fixed_inputs``; ``/parameters`` keeps what the data alone say as
        ``data_covariance`` and ``data_standard_error``. Whether a parameter is identifiable stays
        what the data say, were the inputs right.
    """
    new = tree.copy(deep=True)
    scaling, old = fit_tree.scaling(tree), tree["parameters"].to_dataset()
    total = inputs["covariance"].values
    estimates = estimate_parameters(
        scaling, scaling.to_scaled(old["value"].values), total, tree.attrs["degrees_of_freedom"]
    )
    scaled = {"long_name": "of scaled parameters, the fixed inputs being right"}
    error = old["data_standard_error" if "data_standard_error" in old else "standard_error"]
    columns = {
        "standard_error": [e.standard_error for e in estimates],
        "scaled_standard_error": [e.scaled_error for e in estimates],
        "interval_low": [e.interval[0] for e in estimates],
        "interval_high": [e.interval[1] for e in estimates],
    }
    matrix = old["covariance"].dims
    matrices = {"covariance": total, "correlation": correlation_from(total)}
    changed = {name: old[name].copy(data=np.array(data)) for name, data in columns.items()}
    changed |= {name: old[name].copy(data=data) for name, data in matrices.items()}
    about = {"long_name": "standard error, the fixed inputs being right"}
    changed["data_covariance"] = xr.DataArray(_data_covariance(old), dims=matrix, attrs=scaled)
    changed["data_standard_error"] = xr.DataArray(error.values, dims=error.dims, attrs=about)
    new["parameters"] = xr.DataTree(old.assign(changed))
    new["fixed_inputs"] = xr.DataTree(fit_tree.plain_dataset(inputs))
    return new


def prediction_variance(
    inputs: xr.Dataset, jacobian: ArrayLike, names: Sequence[str] | None = None
) -> xr.Dataset:
    """Variance of predictions of a fitted cell, from the data and from its fixed inputs.

    Parameters
    ----------
    inputs : xarray.Dataset
        From :func:`input_uncertainty`, or the group ``/fixed_inputs`` of a fit's tree.
    jacobian : array_like, shape (k, p + q)
        Derivatives of k predicted values by fitted parameters and inputs in natural units, such as
        ``Prediction.jacobian`` of a simulator whose free parameters are ``quantity``.
    names : sequence of str, optional
        Order of the columns, where it is not that of ``quantity``.

    Returns
    -------
    xarray.Dataset
        Along ``prediction``: ``variance``; ``data_variance``, the part that would stay if all
        inputs were known; ``input_variance`` the rest, and by ``input`` what would go if it were
        known.
        An input to which the fitted parameters answer so that the prediction stays, gives nothing.

    Raises
    ------
    InputError
        When the columns are not those of the inputs' dataset.
    """
    quantities = inputs["quantity"].values.astype(str).tolist()
    order = quantities if names is None else list(names)
    slopes = np.atleast_2d(np.asarray(jacobian, dtype=float))
    if sorted(order) != sorted(quantities) or slopes.shape[-1] != len(order):
        raise InputError(
            f"A derivative by {len(quantities)} quantities is needed: {', '.join(quantities)}."
        )
    scaled = slopes[:, [order.index(name) for name in quantities]] * inputs["joint_slope"].values
    count = inputs.sizes["parameter"]
    own, by_input = scaled[:, :count], scaled[:, count:]
    data = np.einsum("ki,ij,kj->k", own, inputs["data_covariance"].values, own)
    answer = own @ inputs["response"].values + by_input  # fitted parameters follow the inputs
    spread = inputs["joint_covariance"].values[count:, count:]
    through = np.einsum("ki,ij,kj->k", answer, spread, answer)
    return xr.Dataset(
        {
            "variance": ("prediction", data + through),
            "data_variance": ("prediction", data),
            "input_variance": ("prediction", through),
            "variance_by_input": (("prediction", "input"), _explained(answer @ spread, spread)),
        },
        coords={"input": inputs["input"].values},
    )


def variance_from_inputs(
    inputs: xr.Dataset, maker: Maker, fitted: ArrayLike, points: Points
) -> Array:
    """Part of the variance of a fitted life's values that comes from its fixed inputs.

    Parameters
    ----------
    inputs : xarray.Dataset
        From :func:`input_uncertainty`, or the group ``/fixed_inputs`` of a fit's tree.
    maker : callable
        As in :func:`input_uncertainty`.
    fitted : array_like, shape (p,)
        Values of the fitted parameters, in their units.
    points : Points
        k points of the life.

    Returns
    -------
    ndarray, shape (k,)
        In the squared units of the points' variables.

    Raises
    ------
    FitError
        When the life cannot be simulated to the points.
    """
    names = tuple(map(str, inputs["input"].values))
    values = np.concatenate([np.asarray(fitted, dtype=float), inputs["value"].values])
    prediction = maker(names)(values, points, jacobian=True)
    if not prediction.outcome.ok or prediction.jacobian is None:
        said = prediction.outcome.message or prediction.outcome.reason
        raise FitError(f"The life cannot be differentiated by its fixed inputs: {said}.")
    return prediction_variance(inputs, prediction.jacobian)["input_variance"].values


# Derivatives ------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Sums:
    """What is squared and summed at the optimum, and its derivatives."""

    terms: Array  # (m,): after the loss, with the prior's rows
    by_parameters: Array  # (m, p), scaled parameters
    by_inputs: Array  # (m, q), standard deviations of the inputs


def _no_prediction(*arguments: Any, **options: Any) -> Prediction:
    raise NotImplementedError


def simulators(cell: Cell, protocol: Protocol, free: Sequence[str]) -> Maker:
    """What makes simulators of a cell with `free` and any inputs variable."""

    def make(names: tuple[str, ...]) -> Predictor:
        return Simulator(cell, protocol, free=[*free, *names]).predict

    return make


def _differentiate(
    problem: Problem, make: Maker, values: Array, inputs: Sequence[FixedInput]
) -> tuple[tuple[FixedInput, ...], _Sums, list[str]]:
    """Derivatives by all inputs at once; where that fails, those that fail are looked for."""
    failed: list[str] = []
    parts = _columns(problem, make, values, tuple(inputs), failed)
    if not parts:
        raise FitError(
            "The fitted cell cannot be simulated with its derivatives; no uncertainty of its "
            "fixed inputs follows."
        )
    first = parts[0][1]
    assert first.values is not None and first.jacobian is not None
    count = len(values)
    residuals = problem.observations.residuals(first.values)
    slopes = problem.scaling.slopes(problem.scaling.to_scaled(values))
    taken = tuple(each for group, _ in parts for each in group)
    columns = [p.jacobian[:, count:] for _, p in parts if p.jacobian is not None]
    by_inputs = np.hstack(columns) * [each.slope for each in taken]
    both = np.hstack([first.jacobian[:, :count] * slopes, by_inputs])
    terms, rows = problem.loss.terms(residuals, both / problem.observations.std[:, None])
    if problem.prior is not None:
        known = problem.prior.root
        terms = np.concatenate([terms, problem.prior.residuals(problem.scaling.to_scaled(values))])
        rows = np.vstack([rows, np.hstack([known, np.zeros((len(known), len(taken)))])])
    return taken, _Sums(terms, rows[:, :count], rows[:, count:]), failed


def _columns(
    problem: Problem,
    make: Maker,
    values: Array,
    inputs: tuple[FixedInput, ...],
    failed: list[str],
) -> list[tuple[tuple[FixedInput, ...], Prediction]]:
    """Predictions with derivatives by groups of inputs; those by which none is found fail."""
    found = _predict(problem, make, values, inputs)
    if found is not None:
        return [(inputs, found)]
    if len(inputs) == 1:
        failed.append(inputs[0].name)
        return []
    if _predict(problem, make, values, ()) is None:  # no input is to blame
        return []
    half = len(inputs) // 2
    return [
        each
        for part in (inputs[:half], inputs[half:])
        for each in _columns(problem, make, values, part, failed)
    ]


def _predict(
    problem: Problem, make: Maker, values: Array, inputs: tuple[FixedInput, ...]
) -> Prediction | None:
    """The fitted life with derivatives, or None where there is none."""
    try:
        predict = make(tuple(each.name for each in inputs))
    except InputError:  # one of them acts on nothing in the equations that are left
        return None
    found = predict(
        np.concatenate([values, [each.value for each in inputs]]),
        problem.observations.points,
        jacobian=True,
        tolerance=problem.tolerance,
    )
    if not found.outcome.ok or found.values is None or found.jacobian is None:
        return None
    finite = np.all(np.isfinite(found.values)) and np.all(np.isfinite(found.jacobian))
    return found if finite else None


# The dataset ------------------------------------------------------------------------------


def _data_covariance(parameters: xr.Dataset) -> Array:
    """Covariance of the scaled parameters, the inputs being right."""
    name = "data_covariance" if "data_covariance" in parameters else "covariance"
    return np.array(parameters[name].values)


def _response(sums: _Sums) -> Array:
    """R: change of the scaled parameters with one standard deviation of each input, (p, q)."""
    left, singular, directions = np.linalg.svd(sums.by_parameters, full_matrices=False)
    floor = _SMALLEST_SINGULAR_VALUE * (singular.max(initial=0.0) or 1.0)
    return -(directions.T / np.maximum(singular, floor)) @ (left.T @ sums.by_inputs)


def independent_points(problem: Problem, terms: Array) -> Array:
    """How many independent points of the stated noise each term counts for, from their likeness.

    Parameters
    ----------
    problem : Problem
    terms : ndarray, shape (m,)
        Normalised residuals, which rows of a prior may follow; those count for one.

    Returns
    -------
    ndarray, shape (m,)
        ``(1 - r) / (1 + r)`` over the residuals' variance, never taken below one, with r the
        lag-one autocorrelation of their variable where that is significant.
    """
    observations = problem.observations
    size = observations.size
    inflation = size / max(size - problem.size, 1)
    counts = np.ones(len(terms))
    for index, fit in enumerate(variable_fits(observations, terms[:size])):
        mine = np.flatnonzero(observations.owner == index)
        if not mine.size:
            continue
        alike = min(fit.autocorrelation, _LARGEST_AUTOCORRELATION) if fit.autocorrelated else 0.0
        variance = max(1.0, fit.rms**2 * inflation)
        counts[mine] = (1 - alike) / (1 + alike) / variance
    return counts


def _information(sums: _Sums, counts: Array) -> tuple[Array, Array]:
    """Information of the data on the inputs besides the parameters, and its gradient."""
    root = np.sqrt(counts)
    left, singular, _ = np.linalg.svd(root[:, None] * sums.by_parameters, full_matrices=False)
    left = left[:, singular > _SMALLEST_SINGULAR_VALUE * singular.max(initial=0.0)]
    both = root[:, None] * np.column_stack([sums.by_inputs, sums.terms])
    both -= left @ (left.T @ both)
    beside, rest = both[:, :-1], both[:, -1]
    return beside.T @ beside, beside.T @ rest


def _explained(covariance: Array, spread: Array) -> Array:
    """What knowing each input would take from variances, (k, q), from covariances with them."""
    return covariance**2 / np.diag(spread)


def _dataset(
    problem: Problem,
    values: Array,
    data_covariance: Array,
    inputs: Sequence[FixedInput],
    sums: _Sums,
    left_out: Mapping[str, str],
    reading: str,
) -> xr.Dataset:
    response = _response(sums)
    information, gradient = _information(sums, independent_points(problem, sums.terms))
    narrowed = np.linalg.inv(np.eye(len(inputs)) + information)
    moved = -narrowed @ gradient
    updated = narrowed + np.outer(moved, moved)
    spread = updated if reading == "updated" else np.eye(len(inputs))
    covariance = data_covariance + response @ spread @ response.T
    considered = np.diag(data_covariance) + np.sum(response**2, axis=1)
    slopes = problem.scaling.slopes(problem.scaling.to_scaled(values))
    with_inputs = response @ spread
    data: dict[str, tuple] = {
        **_input_columns(inputs),
        **_one_by_one(problem, sums),
        "response": (("parameter", "input"), response),
        "share": (
            ("parameter", "input"),
            _explained(with_inputs, spread) / np.diag(covariance)[:, None],
        ),
        "updated_deviation": ("input", np.sqrt(np.diag(narrowed))),
        "updated_shift": ("input", moved),
        "data_standard_error": ("parameter", np.sqrt(np.diag(data_covariance))),
        "scaled_standard_error": ("parameter", np.sqrt(np.diag(covariance))),
        "consider_standard_error": ("parameter", np.sqrt(considered)),
        "data_covariance": (("parameter", "other"), data_covariance),
        "covariance": (("parameter", "other"), covariance),
        "joint_covariance": (
            ("quantity", "other_quantity"),
            np.block([[covariance, with_inputs], [with_inputs.T, spread]]),
        ),
        "joint_slope": ("quantity", np.concatenate([slopes, [each.slope for each in inputs]])),
        "reason": ("left_out", np.array(list(left_out.values()), dtype=str)),
    }
    names, quantities = list(problem.scaling.names), [each.name for each in inputs]
    both = [*names, *quantities]
    found = xr.Dataset(
        {n: (dims, numbers, {"long_name": _ABOUT[n]}) for n, (dims, numbers) in data.items()},
        coords={
            "parameter": names,
            "other": names,
            "input": quantities,
            "quantity": both,
            "other_quantity": both,
            "left_out": np.array(list(left_out), dtype=str),
        },
        attrs={"reading": reading, "prior": READING},
    )
    return fit_tree.plain_dataset(found)


def _one_by_one(problem: Problem, sums: _Sums) -> dict[str, tuple]:
    """What the data say of each input, were it alone freed: residuals are then what is left."""
    flat = np.ones(len(sums.terms))
    total = float(sums.terms @ sums.terms) or 1.0
    found = []
    for k in range(sums.by_inputs.shape[1]):
        alone = replace(sums, by_inputs=sums.by_inputs[:, [k]])
        both = np.hstack([sums.by_parameters, alone.by_inputs])
        freed = sums.terms - both @ np.linalg.lstsq(both, sums.terms, rcond=None)[0]
        informed = _information(alone, flat)[0].item() > 0
        information, gradient = _information(alone, independent_points(problem, freed))
        gain = 1 - float(freed @ freed) / total if informed else 0.0
        found.append((information.item(), gradient.item(), gain))
    information, gradient, explains = np.array(found).T
    shift, explained = -gradient / (1 + information), information / (1 + information)
    score = np.abs(shift) / np.sqrt(np.where(explained > 0, explained, 1.0))
    return {
        "data_deviation": ("input", 1 / np.sqrt(1 + information)),
        "data_shift": ("input", shift),
        "surprise": ("input", 2 * scipy.stats.norm.sf(score)),
        "explains": ("input", explains),
    }


def _input_columns(inputs: Sequence[FixedInput]) -> dict[str, tuple]:
    names = ("unit", "value", "low", "high", "status", "origin", "logarithmic", "deviation")
    return {name: ("input", [getattr(each, name) for each in inputs]) for name in names}


_ABOUT = {
    "unit": "unit",
    "value": "value used",
    "low": "lower end of the interval of 95 %",
    "high": "upper end of the interval of 95 %",
    "status": "how well the number is known",
    "origin": "where the interval is from",
    "logarithmic": "whether the logarithm is normal",
    "deviation": "standard deviation, of the logarithm or of the value in its unit",
    "explains": "of the fit's sum of squares, were it alone freed",
    "response": "change of the scaled parameter with one standard deviation of the input",
    "share": "of the scaled parameter's variance, which would go if the input were known",
    "data_deviation": "after the data, in standard deviations of before, were it alone freed",
    "data_shift": "by the data, in standard deviations of before, were it alone freed",
    "surprise": "probability of such a shift, were input and model right",
    "data_standard_error": "of the scaled parameter, fixed inputs being right",
    "scaled_standard_error": "of the scaled parameter, fixed inputs included",
    "updated_deviation": "after the data, in standard deviations of before, were all freed",
    "updated_shift": "by the data, in standard deviations of before, were all freed",
    "consider_standard_error": "of the scaled parameter, inputs as uncertain as before the data",
    "data_covariance": "of scaled parameters, fixed inputs being right",
    "covariance": "of scaled parameters, fixed inputs included",
    "joint_covariance": "of scaled parameters, and inputs in standard deviations",
    "joint_slope": "change of the value in its unit with the scaled quantity",
    "reason": "why an input is left out",
}
