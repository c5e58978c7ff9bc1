"""The sum of a fit near a point, linearised: its minimum where one parameter is held."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.optimize
from numpy.typing import NDArray

from cellmodels.fitting.problem import Evaluation
from cellmodels.fitting.scaling import Scaling
from cellmodels.fitting.step_model import PastPoint, model_step

__all__ = ["Linearised", "Minimum"]

Array = NDArray[np.float64]

#: To move a parameter by one (a factor of e) must lower the cost by this, in units of the
#: residual variance. Directions that promise less are felt as flat, and not gone along.
_WORTH = 0.005


@dataclass(frozen=True, eq=False)
class Minimum:
    """Where the linearised sum is smallest.

    Parameters
    ----------
    scaled : ndarray, shape (p,)
    cost : float
        Of the linearised problem there.
    slope : float
        Derivative of the minimal cost by the held parameter (envelope theorem).
    """

    scaled: Array
    cost: float
    slope: float


class Linearised:
    """A problem linearised at an evaluation.

    Parameters
    ----------
    at : Evaluation
        One that succeeded.
    scaling : Scaling
        For the bounds.
    variance : float
        Of the residuals, by which the damping is measured.
    """

    def __init__(self, at: Evaluation, scaling: Scaling, variance: float = 1.0) -> None:
        self.at = at
        self._damping = float(np.sqrt(2.0 * _WORTH * variance))
        lower, upper = scaling.bounds
        self._lower = np.minimum(lower - at.scaled, 0.0)
        self._upper = np.maximum(upper - at.scaled, 0.0)
        # what is orthogonal to all terms adds a constant: the problem is as small as p + 1
        small = np.asarray(np.linalg.qr(np.column_stack([at.slopes, at.terms]), mode="r"))
        self._slopes, self._terms = small[:, :-1], small[:, -1]

    def minimum(self, held: int | None, value: float = 0.0) -> Minimum:
        """The minimum inside the bounds.

        Parameters
        ----------
        held : int, optional
            Index of a parameter that is kept at a value; none by default.
        value : float
            That value, in scaled coordinates.
        """
        step = np.zeros(self.at.scaled.size)
        others = np.ones(step.size, dtype=bool)
        if held is not None:
            step[held] = value - self.at.scaled[held]
            others[held] = False
        # parameters between two equal ends cannot move, and the solver refuses them
        lower, upper = self._lower, self._upper
        others &= lower < upper
        constant = self._terms + self._slopes @ step
        if others.any():
            count = int(others.sum())
            step[others] = scipy.optimize.lsq_linear(
                np.vstack([self._slopes[:, others], self._damping * np.eye(count)]),
                np.append(-constant, np.zeros(count)),
                bounds=(lower[others], upper[others]),
                method="bvls",
            ).x
        terms = self._terms + self._slopes @ step
        slope = 0.0 if held is None else float(self._slopes[:, held] @ terms)
        return Minimum(self.at.scaled + step, float(0.5 * terms @ terms), slope)

    def bent_minimum(self, held: int, past: Sequence[Evaluation], radius: float) -> Array:
        """The minimum with the curvature that past points have shown, shape (p,).

        Parameters
        ----------
        held : int
            Index of the parameter that keeps its value, as it has in all of `past`.
        past : sequence of Evaluation
        radius : float
            Largest change of any other scaled parameter.
        """
        here = self.at
        others = np.arange(here.scaled.size) != held
        lower, upper = np.maximum(self._lower, -radius), np.minimum(self._upper, radius)
        others &= lower < upper
        seen = [
            PastPoint(e.scaled[others] - here.scaled[others], e.terms, e.slopes[:, others])
            for e in past
        ]
        step, _ = model_step(
            here.terms, here.slopes[:, others], seen, lower[others], upper[others], radius
        )
        scaled = here.scaled.copy()
        scaled[others] += step
        return scaled

    def tangent(self, held: int, value: float, reach: float = 1e-3) -> Array:
        """Derivative of the minimum's place by the held parameter, shape (p,)."""
        ahead, back = (self.minimum(held, value + reach * s).scaled for s in (1.0, -1.0))
        return np.asarray((ahead - back) / (2.0 * reach))
