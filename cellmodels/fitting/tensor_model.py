"""A step of least squares from a model with the curvature that past points have shown.

Gauss-Newton steps follow a straight line, and from far off the optimum of an ageing fit is
reached along a curved valley: one mechanism takes over from another. The tensor model

    r(d)  =  r + J d + 1/2 sum_k a_k (s_k'd)^2

adds, without further evaluations, curvature along the directions s_k to a few points that
were evaluated before, such that it gives their residuals too (R. B. Schnabel and
P. D. Frank, SIAM J. Numer. Anal. 21 (1984) 815, doi:10.1137/0721054).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.optimize
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: Past points that the model uses at most.
_MOST = 2
#: Smallest sine of the angle between the direction of a past point and those used already.
_INDEPENDENT = 0.7


def tensor_step(
    residuals: Array,
    jacobian: Array,
    past: Sequence[tuple[Array, Array]],
    lower: Array,
    upper: Array,
) -> tuple[Array, float]:
    """The step inside a box that minimises the model, and the model's cost there.

    Parameters
    ----------
    residuals, jacobian : ndarray
        At the present point, shapes (k,) and (k, p).
    past : sequence of (ndarray, ndarray)
        Steps from the present point to others, (p,), and the residuals there, (k,); the
        last is the most recent.
    lower, upper : ndarray
        Ends of the box, shape (p,); zero lies inside.
    """
    steps, curvature = _curvature(residuals, jacobian, past)
    # what is orthogonal to all terms adds a constant: the model is as small as its terms
    small = np.asarray(np.linalg.qr(np.column_stack([jacobian, residuals, curvature]), mode="r"))
    count = jacobian.shape[1]
    slope, constant, bend = small[:, :count], small[:, count], small[:, count + 1 :]
    linear = scipy.optimize.lsq_linear(slope, -constant, bounds=(lower, upper), method="bvls")
    if not len(steps):
        return linear.x, float(linear.cost)
    found = scipy.optimize.least_squares(
        lambda d: constant + slope @ d + 0.5 * bend @ (steps @ d) ** 2,
        _inside(linear.x, lower, upper),
        jac=lambda d: slope + (bend * (steps @ d)) @ steps,
        bounds=(lower, upper),
    )
    return found.x, float(found.cost)


def _curvature(
    residuals: Array, jacobian: Array, past: Sequence[tuple[Array, Array]]
) -> tuple[Array, Array]:
    """The directions s_k, shape (m, p), and the a_k as columns, shape (k, m)."""
    chosen = _independent(past)
    if not chosen:
        return np.empty((0, jacobian.shape[1])), np.empty((len(residuals), 0))
    steps = np.array([past[i][0] for i in chosen])
    missing = np.array([past[i][1] - residuals - jacobian @ past[i][0] for i in chosen])
    return steps, np.linalg.solve((steps @ steps.T) ** 2, 2.0 * missing).T


def _independent(past: Sequence[tuple[Array, Array]]) -> list[int]:
    """Indices of the most recent points in directions of their own."""
    chosen: list[int] = []
    known: list[Array] = []
    for i in reversed(range(len(past))):
        length = float(np.linalg.norm(past[i][0]))
        if length == 0.0 or len(chosen) == _MOST:
            continue
        direction = past[i][0] / length
        rest = direction - sum((q * (q @ direction) for q in known), np.zeros_like(direction))
        size = float(np.linalg.norm(rest))
        if size >= _INDEPENDENT:
            chosen.append(i)
            known.append(rest / size)
    return chosen


def _inside(step: Array, lower: Array, upper: Array) -> Array:
    margin = 1e-9 * (upper - lower)
    return np.clip(step, lower + margin, upper - margin)
