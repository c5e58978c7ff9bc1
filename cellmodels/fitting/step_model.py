"""A step of least squares from a model with the curvature that a past point has shown.

Gauss-Newton steps follow a straight line, and from far off the optimum of an ageing fit is
reached along a curved valley: one mechanism takes over from another. A point s away that was
evaluated before has shown by its residuals and its Jacobian, J_s, how the valley bends. With
d = u s + e, e orthogonal to s, the model

    r(d)  =  r + J d + a u^2 / 2 + b u^3 / 6 + u (J_s - J) e

is along s the cubic with the values and slopes of both points, and next to it its Jacobian
changes evenly from one to the other. It needs no evaluations of its own. (Tensor methods,
R. B. Schnabel and P. D. Frank, SIAM J. Numer. Anal. 21 (1984) 815, doi:10.1137/0721054, take
the residuals of past points alone, and the square.)

Parameters that the data hardly tell promise little, and would go to the end of the box for
it. A step is therefore damped (D. W. Marquardt, SIAM J. Appl. Math. 11 (1963) 431,
doi:10.1137/0111030), by so little that it is felt in such directions only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.optimize
from numpy.typing import NDArray

__all__ = ["PastPoint", "model_step"]

Array = NDArray[np.float64]

#: A past point is used from this distance on, as a fraction of the radius: what nearer ones
#: show of the curvature is drowned by the solver's errors.
_NEAREST = 0.3
#: To move a parameter by the radius must gain this fraction of what all together gain.
_WORTH = 1e-3


@dataclass(frozen=True, eq=False)
class PastPoint:
    """A point that was evaluated before.

    Parameters
    ----------
    step : ndarray, shape (p,)
        From the present point to it.
    residuals, jacobian : ndarray
        There, shapes (k,) and (k, p).
    """

    step: Array
    residuals: Array
    jacobian: Array


def model_step(
    residuals: Array,
    jacobian: Array,
    past: Sequence[PastPoint],
    lower: Array,
    upper: Array,
    radius: float,
) -> tuple[Array, float]:
    """The step inside a box that minimises the damped model, and the model's cost there.

    Parameters
    ----------
    residuals, jacobian : ndarray
        At the present point, shapes (k,) and (k, p).
    past : sequence of PastPoint
        The last is the most recent.
    lower, upper : ndarray
        Ends of the box, shape (p,); zero lies inside.
    radius : float
        Half the width of the box where no bound cuts it.

    Returns
    -------
    step : ndarray, shape (p,)
    cost : float
        Half the sum of the model's squared residuals.
    """
    count = jacobian.shape[1]
    known = next((p for p in reversed(past) if _far_enough(p, radius)), None)
    columns = [jacobian, residuals[:, None]]
    if known is not None:
        columns += [_bends(residuals, jacobian, known), known.jacobian - jacobian]
    # what is orthogonal to all terms adds a constant: the model is as small as its terms
    small = np.asarray(np.linalg.qr(np.column_stack(columns), mode="r"))
    slope, constant = small[:, :count], small[:, count]
    damping = _damping(slope, constant, lower, upper) / radius * np.eye(count)
    linear = scipy.optimize.lsq_linear(
        np.vstack([slope, damping]),
        np.append(-constant, np.zeros(count)),
        bounds=(lower, upper),
        method="bvls",
    ).x
    if known is None:
        return linear, float(0.5 * np.sum((constant + slope @ linear) ** 2))
    model, model_slope = _curved(small, known.step)
    found = min(
        (
            scipy.optimize.least_squares(
                lambda d: np.append(model(d), damping @ d),
                _inside(start, lower, upper),
                jac=lambda d: np.vstack([model_slope(d), damping]),
                bounds=(lower, upper),
            )
            for start in (linear, np.zeros(count))
        ),
        key=lambda result: float(result.cost),
    )
    return found.x, float(0.5 * np.sum(model(found.x) ** 2))


def _far_enough(point: PastPoint, radius: float) -> bool:
    size = float(np.max(np.abs(point.step)))
    return size > 0.0 and size >= _NEAREST * radius


def _bends(residuals: Array, jacobian: Array, point: PastPoint) -> Array:
    """The a and b of the cubic along the step to a point, as columns, shape (k, 2)."""
    value = point.residuals - residuals - jacobian @ point.step
    slope = (point.jacobian - jacobian) @ point.step
    return np.column_stack([6.0 * value - 2.0 * slope, 6.0 * slope - 12.0 * value])


def _curved(small: Array, step: Array) -> tuple[Callable[[Array], Array], Callable[[Array], Array]]:
    """The model and its derivative, from the columns [J, r, a, b, J_s - J]."""
    p = len(step)
    slope, constant, a, b, change = np.split(small, [p, p + 1, p + 2, p + 3], axis=1)
    along = step / (step @ step)

    def model(d: Array) -> Array:
        u = along @ d
        terms = (u**2 / 2) * a + (u**3 / 6) * b + constant
        return np.asarray(terms[:, 0] + slope @ d + u * (change @ (d - u * step)))

    def derivative(d: Array) -> Array:
        u = along @ d
        by_u = (u * a + (u**2 / 2) * b)[:, 0] + change @ (d - u * step)
        across = change - np.outer(change @ step, along)
        return np.asarray(slope + np.outer(by_u, along) + u * across)

    return model, derivative


def _damping(slope: Array, constant: Array, lower: Array, upper: Array) -> float:
    """Root of the cost of a step of one radius."""
    free = scipy.optimize.lsq_linear(slope, -constant, bounds=(lower, upper), method="bvls")
    gain = max(0.5 * float(constant @ constant) - float(free.cost), 0.0)
    return float(np.sqrt(2.0 * _WORTH * gain))


def _inside(step: Array, lower: Array, upper: Array) -> Array:
    margin = 1e-9 * (upper - lower)
    return np.clip(step, lower + margin, upper - margin)
