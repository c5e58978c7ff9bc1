"""What a fit squares and sums, differentiated by its parameters and by its fixed inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellmodels.cell import Cell
from cellmodels.errors import InputError
from cellmodels.fitting.input_prior import FixedInput
from cellmodels.fitting.least_squares import FitError
from cellmodels.fitting.problem import Predictor, Problem
from cellmodels.observations import Prediction
from cellmodels.protocol import Protocol
from cellmodels.simulator import Simulator

__all__ = ["Maker", "Sums", "differentiate", "no_prediction", "simulators"]

Array = NDArray[np.float64]
#: Makes the predictor of a fit's parameters followed by the named inputs.
Maker = Callable[[tuple[str, ...]], Predictor]


@dataclass(frozen=True, eq=False)
class Sums:
    """What is squared and summed at the optimum, and its derivatives.

    Parameters
    ----------
    terms : ndarray, shape (m,)
        Residuals after the loss, followed by the prior's rows.
    by_parameters : ndarray, shape (m, p)
        By the scaled parameters.
    by_inputs : ndarray, shape (m, q)
        By standard deviations of the inputs.
    """

    terms: Array
    by_parameters: Array
    by_inputs: Array


def no_prediction(*arguments: Any, **options: Any) -> Prediction:
    """Stands for the predictor of a problem that is only read."""
    raise NotImplementedError


def simulators(cell: Cell, protocol: Protocol, free: Sequence[str]) -> Maker:
    """What makes simulators of a cell with `free` and any inputs variable."""

    def make(names: tuple[str, ...]) -> Predictor:
        return Simulator(cell, protocol, free=[*free, *names]).predict

    return make


def differentiate(
    problem: Problem, make: Maker, values: Array, inputs: Sequence[FixedInput]
) -> tuple[tuple[FixedInput, ...], Sums, list[str]]:
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
    return taken, Sums(terms, rows[:, :count], rows[:, count:]), failed


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
