"""Steps of fixed current and fixed duration, solved as one, with their voltage at given times.

Where nothing ends a step but its time, no duration is unknown: the intervals of all steps
follow each other in one block bidiagonal system without a border. Near a known solution a
whole sequence then costs hardly more than one of its steps, and the same factorisation gives
its derivatives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from cellmodels.solver.collocation import Collocation, Linearisation
from cellmodels.solver.curve import (
    AtTimes,
    Interpolation,
    interpolation,
    outputs_at_points,
    voltage_at_points,
)
from cellmodels.solver.newton import NewtonOptions, converged
from cellmodels.solver.outcome import Reason, SolveFailure
from cellmodels.solver.step import Control, StepSolution, StepSpec

#: What all joined steps hold is a current; its value is not that of any of them.
_CURRENT = Control("current", 0.0)


@dataclass(frozen=True)
class Joined:
    """The intervals of several steps in a row.

    Attributes
    ----------
    stages : numpy.ndarray
        v = [x, z, I] at the collocation points, shape (N, 3, n).
    ends : numpy.ndarray
        When each interval ends, since the first step began [s], shape (N,).
    firsts : numpy.ndarray
        Each step's first interval.
    theta : numpy.ndarray
        The parameter factors.
    slopes : numpy.ndarray or None
        Derivatives of the stages by theta, shape (N, 3, n, n_theta), if they are known.
    """

    stages: np.ndarray
    ends: np.ndarray
    firsts: np.ndarray
    theta: np.ndarray
    slopes: np.ndarray | None = None

    @classmethod
    def of(cls, steps: Sequence[StepSolution], theta: np.ndarray) -> Joined:
        """Solved steps, joined."""
        counts = [len(step.stages) for step in steps]
        begins = np.concatenate([[0.0], np.cumsum([step.duration for step in steps])])
        ends = [b + step.duration * step.mesh[1:] for b, step in zip(begins, steps, strict=False)]
        return cls(
            np.concatenate([step.stages for step in steps]),
            np.concatenate(ends),
            np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(int),
            theta,
        )

    @cached_property
    def widths(self) -> np.ndarray:
        """Lengths of the intervals [s], shape (N,)."""
        return np.diff(self.ends, prepend=0.0)

    def moved(self, theta: np.ndarray) -> Joined:
        """The same at other parameters to first order, a guess there."""
        stages = self.stages
        if self.slopes is not None:
            stages = stages + self.slopes @ (theta - self.theta)
        return Joined(stages, self.ends, self.firsts, theta)


def joinable(specs: Sequence[StepSpec], steps: Sequence[StepSolution]) -> bool:
    """Whether all steps held a current until their time was up."""
    return all(
        spec.control.kind == "current"
        and spec.limit_is_end
        and not step.skipped
        and step.stop == len(spec.stops)
        for spec, step in zip(specs, steps, strict=True)
    )


class JoinedSolver:
    """Solves joined steps near a guess, and gives voltages and derivatives.

    Parameters
    ----------
    collocation : Collocation
    newton : NewtonOptions
    times : numpy.ndarray
        Where the voltage is wanted [s], ascending, shape (m,).
    """

    def __init__(self, collocation: Collocation, newton: NewtonOptions, times: np.ndarray) -> None:
        self._collocation, self._newton, self._times = collocation, newton, times
        self._known: tuple[np.ndarray, Interpolation] | None = None

    def solve(self, guess: Joined) -> tuple[Joined, np.ndarray, AtTimes]:
        """The solution at the guess's parameters.

        Returns
        -------
        Joined
            With the derivatives of its stages.
        numpy.ndarray
            Voltage at the collocation points [V], shape (N, 3).
        AtTimes
            Voltage and outputs at the times, with their derivatives by theta.

        Raises
        ------
        SolveFailure
            If the iteration does not converge or meets a non-finite value.
        """
        collocation, theta, h = self._collocation, guess.theta, guess.widths
        matrix = collocation.matrix(_CURRENT)
        start = collocation.dae.start(theta)[0]
        moved = collocation.dae.start_jacobian(theta)
        stages, previous = guess.stages, np.inf
        held, free = np.ones((len(h), 3)), np.zeros((len(h), 3))
        for _ in range(self._newton.max_iterations):
            at = collocation.evaluate(stages, theta, jacobian=True)
            if not np.all(np.isfinite(at.jacobian)):
                raise SolveFailure(Reason.NON_FINITE, "the Jacobian is not finite")
            blocks = matrix.factorise(at.jacobian, h, held, free)
            residual = collocation.residual(start, stages, h, _CURRENT, at.system)
            residual[:, :, -1] = 0.0
            change = matrix.solve(blocks, -residual)
            size = np.abs(stages).max(axis=(0, 1)) + self._newton.floor
            norm = float(np.max(np.abs(change).max(axis=(0, 1)) / size))
            if not np.isfinite(norm) or norm > 2.0 * max(previous, 1.0):
                raise SolveFailure(Reason.NOT_CONVERGED, "joined steps")
            stages = stages + change
            if converged(norm, 1.0, self._newton.tolerance):
                break
            previous = norm
        else:
            raise SolveFailure(Reason.NOT_CONVERGED, "joined steps")
        slopes = self._slopes(blocks, at, stages, h, theta, moved)
        solution = replace(guess, stages=stages, slopes=slopes)
        return solution, at.system[:, :, -1], self._at_times(solution, start, moved)

    def _slopes(
        self,
        blocks: np.ndarray,
        at: Linearisation,
        stages: np.ndarray,
        h: np.ndarray,
        theta: np.ndarray,
        start: np.ndarray,
    ) -> np.ndarray:
        """Derivatives of the stages by theta, shape (N, 3, n, n_theta)."""
        dae = self._collocation.dae
        shape = (len(h), 3, dae.n, len(theta))
        rhs = np.zeros((len(h) * 3, dae.n, len(theta)))
        pattern = dae.parametric_pattern
        rhs[:, pattern.rows, pattern.cols] = -dae.parametric(stages.reshape(-1, dae.n), theta)
        rhs[:, -1] = 0.0
        rhs = rhs.reshape(shape)
        rhs[:, :, : dae.nx] *= -h[:, None, None, None]
        *_, slopes = self._collocation.matrix(_CURRENT).propagate(
            blocks,
            start,
            rhs,
            np.arange(len(theta)),
            self._collocation.voltage_slopes(at),
            True,
        )
        if not np.all(np.isfinite(slopes)):
            raise SolveFailure(Reason.NON_FINITE, "sensitivities")
        return slopes

    def _at_times(self, solution: Joined, start: np.ndarray, moved: np.ndarray) -> AtTimes:
        """Voltage and outputs, with derivatives."""
        if self._known is None or self._known[0] is not solution.ends:
            found = interpolation(np.append(0.0, solution.ends), self._times, solution.firsts)
            self._known = (solution.ends, found)
        where, slopes = self._known[1], solution.slopes
        assert slopes is not None
        theta, parameters = solution.theta, np.eye(len(solution.theta))
        points = where.at(solution.stages, start)
        points[:, -1] = solution.stages[where.owner, 0, -1]

        def moves(unknowns: np.ndarray | slice) -> np.ndarray:
            return where.at(slopes, moved, unknowns)

        outputs = outputs_at_points(self._collocation.dae, points, theta, moves, parameters)
        voltage = voltage_at_points(self._collocation, _CURRENT, points, theta, moves, parameters)
        return AtTimes(*voltage, *outputs)
