"""A logged current as steps: as few as its charge and its size allow."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cellmodels.errors import InputError, did_you_mean
from cellmodels.steps import Step

__all__ = ["BETWEEN", "check_logged", "logged_steps"]

#: The current between two rows: their mean, that of the first, or that of the second.
BETWEEN = ("mean", "previous", "next")

Array = NDArray[np.float64]

_CHARGE_TOLERANCE = 1e-5
_CURRENT_TOLERANCE = 5e-3


def logged_steps(
    time: ArrayLike,
    current: ArrayLike,
    *,
    between: str = "mean",
    charge_tolerance: float = _CHARGE_TOLERANCE,
    current_tolerance: float = _CURRENT_TOLERANCE,
) -> tuple[Step, ...]:
    """Steps of constant current that replay a logged one.

    Neighbouring intervals between rows are merged as long as the charge of the merged step, at
    each of its rows, differs by less than `charge_tolerance` from the logged one, and their
    currents by less than `current_tolerance` from each other. Where steps meet, the charge is
    exact, so that nothing drifts.

    Parameters
    ----------
    time : array_like, shape (m,)
        [s], ascending; the steps begin at the first.
    current : array_like, shape (m,)
        [A], positive on discharge.
    between : {"mean", "previous", "next"}
        The current between two rows: their mean (the trapezoidal rule), as suits a current that is
        sampled evenly; or that of the second row, as suits a cycler, which logs while it holds a
        current; or that of the first.
    charge_tolerance : float
        Relative to the charge that passes in both directions.
    current_tolerance : float
        Relative to the largest current.

    Returns
    -------
    tuple of Step

    Raises
    ------
    InputError
        When there are fewer than two rows, or they do not ascend.
    """
    times, amperes = np.asarray(time, float), np.asarray(current, float)
    check_logged(times, amperes, "The trace")
    width = np.diff(times)
    mean = _between(amperes, between)
    charge = np.concatenate([[0.0], np.cumsum(mean * width)])
    slack = charge_tolerance * float(np.abs(mean) @ width)
    near = current_tolerance * float(np.max(np.abs(mean), initial=0.0))
    ends = _knots(times, charge, mean, slack, near)
    return tuple(
        _step(float(times[b] - times[a]), float((charge[b] - charge[a]) / (times[b] - times[a])))
        for a, b in pairwise(ends)
    )


def _between(current: Array, between: str) -> Array:
    if between == "mean":
        return np.asarray(0.5 * (current[1:] + current[:-1]))
    if between not in BETWEEN:
        raise InputError(f"between is {between!r}.{did_you_mean(str(between), BETWEEN)}")
    return current[1:] if between == "next" else current[:-1]


def check_logged(time: Array, current: Array, of: str) -> None:
    """Refuse what cannot be replayed."""
    if time.shape != current.shape or time.ndim != 1 or time.size < 2:
        raise InputError(f"{of}: a logged current needs two rows or more, one current for a time.")
    if not np.all(np.isfinite(time)) or not np.all(np.isfinite(current)):
        raise InputError(f"{of}: a logged current is finite everywhere.")
    if np.any(np.diff(time) <= 0.0):
        raise InputError(f"{of}: the times of a logged current ascend.")


def _step(duration: float, current: float) -> Step:
    if current == 0.0:
        return Step("rest", 0.0, "", max_duration=duration)
    return Step("current", current, "A", max_duration=duration)


def _knots(time: Array, charge: Array, mean: Array, slack: float, near: float) -> list[int]:
    """Rows at which steps meet: each reaches as far as the tolerances let it."""
    knots, last = [0], len(time) - 1
    while knots[-1] < last:
        knots.append(_reach(knots[-1], time, charge, mean, slack, near))
    return knots


def _reach(first: int, time: Array, charge: Array, mean: Array, slack: float, near: float) -> int:
    """The last row of the step that begins at a row.

    Straight lines from the row's charge that pass all later rows within the slack lie in a cone,
    which only becomes narrower; a step may end where the line to its last row lies in it.
    """
    low, high = -np.inf, np.inf
    least = most = mean[first]
    found = first + 1
    for k in range(first + 1, len(time)):
        least, most = min(least, mean[k - 1]), max(most, mean[k - 1])
        if most - least > near:
            break
        span, passed = time[k] - time[first], charge[k] - charge[first]
        if low <= passed / span <= high:
            found = k
        low = max(low, (passed - slack) / span)
        high = min(high, (passed + slack) / span)
        if low > high:
            break
    return found
