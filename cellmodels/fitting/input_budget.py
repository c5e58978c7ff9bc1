"""The budget of a fit's uncertainty: what each fixed input adds, and what the data say of it.

The mathematics is in :mod:`cellmodels.fitting.fixed_inputs`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import scipy.stats
import xarray as xr
from numpy.typing import NDArray

from cellmodels.fitting import fit_tree
from cellmodels.fitting.input_derivatives import Sums
from cellmodels.fitting.input_prior import READING, FixedInput
from cellmodels.fitting.problem import Problem
from cellmodels.fitting.statistics import variable_fits

__all__ = ["budget", "explained", "independent_points"]

Array = NDArray[np.float64]

_SMALLEST_SINGULAR_VALUE = 1e-12  # of the largest, as in `statistics`
_LARGEST_AUTOCORRELATION = 0.99


def _response(sums: Sums) -> Array:
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


def _information(sums: Sums, counts: Array) -> tuple[Array, Array]:
    """Information of the data on the inputs besides the parameters, and its gradient."""
    root = np.sqrt(counts)
    left, singular, _ = np.linalg.svd(root[:, None] * sums.by_parameters, full_matrices=False)
    left = left[:, singular > _SMALLEST_SINGULAR_VALUE * singular.max(initial=0.0)]
    both = root[:, None] * np.column_stack([sums.by_inputs, sums.terms])
    both -= left @ (left.T @ both)
    beside, rest = both[:, :-1], both[:, -1]
    return beside.T @ beside, beside.T @ rest


def explained(covariance: Array, spread: Array) -> Array:
    """What knowing each input would take from variances, (k, q), from covariances with them."""
    return covariance**2 / np.diag(spread)


def budget(
    problem: Problem,
    values: Array,
    data_covariance: Array,
    inputs: Sequence[FixedInput],
    sums: Sums,
    left_out: Mapping[str, str],
    reading: str,
) -> xr.Dataset:
    """The dataset that :func:`~cellmodels.fitting.fixed_inputs.input_uncertainty` returns.

    Parameters
    ----------
    problem : Problem
    values : ndarray, shape (p,)
        Fitted values, in their units.
    data_covariance : ndarray, shape (p, p)
        Of the scaled parameters, the inputs being right.
    inputs : sequence of FixedInput
    sums : Sums
    left_out : mapping of str to str
        Name of an input -> why it is left out.
    reading : {"updated", "consider"}
    """
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
            explained(with_inputs, spread) / np.diag(covariance)[:, None],
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


def _one_by_one(problem: Problem, sums: Sums) -> dict[str, tuple]:
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
