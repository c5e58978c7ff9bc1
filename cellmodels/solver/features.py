"""What solved steps are measured by: a few numbers of each, with their derivatives.

Beside the step's own numbers there are two of an output of the model that is *followed*, such as
a temperature: its integral over time, and the highest value that it has. Between the stages the
output is the collocation polynomial through its values there and at the interval's start.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cellmodels.solver import radau
from cellmodels.solver.dae import Dae
from cellmodels.solver.sensitivity import StepSensitivity
from cellmodels.solver.step import StepSolution

#: Features of every step, in their order: attributes of its solution and of its sensitivity.
FEATURES = ("duration", "charge", "energy", "end_voltage")
#: Those of the followed output after them: its integral [times s] and its highest value.
FOLLOWED = ("integral", "highest")


class StepFeatures:
    """The features of the steps of a sequence.

    Parameters
    ----------
    dae : Dae
    follow : str, optional
        The output that is followed.

    Attributes
    ----------
    names : tuple of str
        Of one step's features; those of a sequence are flattened, step by step.
    """

    def __init__(self, dae: Dae, follow: str | None = None) -> None:
        self._dae, self.follow = dae, follow
        self.names = FEATURES if follow is None else (*FEATURES, *FOLLOWED)

    def values(self, steps: Sequence[StepSolution], theta: np.ndarray) -> np.ndarray:
        """Features of all steps, shape (n_steps * len(names),)."""
        rows = [[getattr(step, name) for name in FEATURES] for step in steps]
        if self.follow is not None:
            for row, step in zip(rows, steps, strict=True):
                row += _Followed(self._dae, self.follow, step, theta).values()
        return np.array(rows).ravel()

    def directions(
        self,
        steps: Sequence[StepSolution],
        moved: Sequence[StepSensitivity],
        theta: np.ndarray,
        parameters: np.ndarray,
    ) -> np.ndarray:
        """Their derivatives along k directions, shape (n_steps * len(names), k).

        `moved` are the steps' sensitivities, with their stages where an output is followed;
        `parameters` is dtheta, shape (n_theta, k).
        """
        rows = []
        for step, one in zip(steps, moved, strict=True):
            rows += [getattr(one, name) for name in FEATURES]
            if self.follow is not None:
                rows += _Followed(self._dae, self.follow, step, theta).directions(one, parameters)
        return np.array(rows)


class _Followed:
    """An output of the model along one solved step."""

    def __init__(self, dae: Dae, name: str, step: StepSolution, theta: np.ndarray) -> None:
        self._step = step
        # the start of the step, with the algebraic states of its first stage, then all stages
        flat = step.stages.reshape(-1, dae.n)
        start = np.concatenate([step.start, flat[0, step.nx :]])
        self._sees = dae.output_sees(name)
        values, self._slopes, self._by_theta = dae.output_slopes(
            name, np.vstack([start, flat]), theta
        )
        self._points = values
        self._values = values[1:].reshape(-1, 3)

    def values(self) -> list[float]:
        """Its integral and its highest value."""
        return [float(np.sum(self._step.quadrature * self._values)), self._highest()[2]]

    def directions(self, moved: StepSensitivity, parameters: np.ndarray) -> list[np.ndarray]:
        """Derivatives of both, each of shape (k,).

        The highest value moves as the output does where it is highest: there its slope is zero,
        or the step begins or ends.
        """
        step, change = self._step, self._moves(moved, parameters)
        interval, place, _ = self._highest()
        weights = radau.lagrange_basis(radau.NODES, place)[0]
        highest = weights @ change[3 * interval : 3 * interval + 4]
        if step.skipped:
            return [np.zeros_like(highest), highest]
        stages = change[1:].reshape(*self._values.shape, change.shape[1])
        integral = np.einsum("ij,ijk->k", step.quadrature, stages)
        whole = float(np.sum(step.quadrature * self._values))
        return [integral + whole / step.duration * moved.duration, highest]

    def _moves(self, moved: StepSensitivity, parameters: np.ndarray) -> np.ndarray:
        """Directions of the output at the start and at all stages, shape (1 + 3 N, k)."""
        step, k = self._step, moved.start.shape[1]
        n = step.stages.shape[2]
        if step.skipped:
            stages = np.zeros((3, n, k))
            stages[:, : step.nx] = moved.start
        else:
            assert moved.stages is not None
            stages = moved.stages.reshape(3 * len(moved.stages), n, k)
        start = np.concatenate([moved.start, stages[0, step.nx :]])
        seen = np.concatenate([start[None, self._sees], stages[:, self._sees]])
        return np.einsum("ms,msk->mk", self._slopes, seen) + self._by_theta @ parameters

    def _highest(self) -> tuple[int, float, float]:
        """Interval, relative place in it and value of the maximum."""
        points = self._points
        top = int(np.argmax(points))
        best = max(top - 1, 0) // 3, (0.0 if top == 0 else float(radau.ABSCISSAE[(top - 1) % 3]))
        found = (*best, float(points[top]))
        # a maximum between the nodes lies in the interval of the highest one, or in the next
        for interval in {best[0], min(best[0] + 1, len(self._values) - 1)}:
            powers = _POWERS @ points[3 * interval : 3 * interval + 4]
            for place in _stationary(powers):
                value = float(np.polynomial.polynomial.polyval(place, powers))
                if value > found[2]:
                    found = interval, place, value
        return found


#: From values at the nodes of an interval to coefficients of powers, shape (4, 4).
_POWERS = np.linalg.inv(radau.NODES[:, None] ** np.arange(4))


def _stationary(powers: np.ndarray) -> list[float]:
    """Where in (0, 1) the slope of a cubic vanishes."""
    a, b, c = 3.0 * powers[3], 2.0 * powers[2], powers[1]
    square = b * b - 4.0 * a * c
    if square < 0.0:
        return []
    # the root of the larger magnitude first, which loses no digits
    large = -0.5 * (b + np.copysign(np.sqrt(square), b))
    roots = [c / large] if large != 0.0 else []
    roots += [large / a] if a != 0.0 else []
    return [float(root) for root in roots if 0.0 < root < 1.0]
