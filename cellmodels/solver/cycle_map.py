"""One cycle of a life as a map of the life state, with its measurable features.

The life state is y = [x, throughput, elapsed time]: the cell's differential states, the
charge discharged so far [A.h] and the time so far [s]. The features of a cycle are those of each
of its steps (`cellmodels.solver.features`), flattened: duration [s], charge [A.h], energy [W.h],
voltage at the end [V], and where an output of the model is followed, its integral and its highest
value. A map may keep the state x at the end of some of the steps as further features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cellmodels.solver.cycle import CycleSolution, SequenceSolver
from cellmodels.solver.features import StepFeatures
from cellmodels.solver.outcome import Reason, SolveFailure
from cellmodels.solver.sensitivity import StepSensitivity, step_pull_back
from cellmodels.solver.step import StepSolution


@dataclass(frozen=True)
class CyclePoint:
    """One evaluated cycle.

    Attributes
    ----------
    start, end : numpy.ndarray
        Life states before and after, shape (ny,).
    features : numpy.ndarray
        Shape (n_features,).
    solution : CycleSolution
        The solved steps, a warm start for neighbours.
    start_directions, end_directions, feature_directions : numpy.ndarray
        Derivatives along k directions, shapes (ny, k), (ny, k) and (n_features, k).
    """

    start: np.ndarray
    end: np.ndarray
    features: np.ndarray
    solution: CycleSolution
    start_directions: np.ndarray
    end_directions: np.ndarray
    feature_directions: np.ndarray

    def without_chords(self) -> CyclePoint:
        """The same cycle without factorised matrices, which take most of its memory."""
        return replace(self, solution=self.solution.without_chords())

    def without_directions(self) -> CyclePoint:
        """The same cycle without derivatives, but with the matrices they came from."""
        return replace(
            self,
            start_directions=self.start_directions[:, :0],
            end_directions=self.end_directions[:, :0],
            feature_directions=self.feature_directions[:, :0],
        )


class CycleMap:
    """The map y -> y after one pass through a sequence of steps.

    Parameters
    ----------
    sequence : SequenceSolver
    may_be_empty : bool
        Whether all steps may end before they begin, such as a strip that finds nothing; a cycle
        that does is that of an exhausted cell.
    kept : sequence of int
        Steps at whose end x is kept among the features.
    follow : str, optional
        An output of the model that is followed along the steps.

    Attributes
    ----------
    features : StepFeatures
        Which features each step has.
    calls : int
        How many cycles have been simulated, those that failed included.
    """

    def __init__(
        self,
        sequence: SequenceSolver,
        may_be_empty: bool = False,
        kept: Sequence[int] = (),
        follow: str | None = None,
    ) -> None:
        self.sequence = sequence
        self.may_be_empty = may_be_empty
        self.kept = tuple(kept)
        self.features = StepFeatures(sequence.dae, follow)
        self.calls = 0
        self.nx = sequence.dae.nx
        self.ny = self.nx + 2

    def __call__(
        self,
        y: np.ndarray,
        theta: np.ndarray,
        guess: CycleSolution | None,
        directions: tuple[np.ndarray, np.ndarray] | None = None,
        tolerance: float | None = None,
    ) -> CyclePoint:
        """Run one cycle from `y`.

        Parameters
        ----------
        directions : (numpy.ndarray, numpy.ndarray), optional
            dy, shape (ny, k), and dtheta, shape (n_theta, k).
        tolerance : float, optional
            Of Newton's method; see `SequenceSolver.solve`.

        Raises
        ------
        SolveFailure
        """
        self.calls += 1
        solution = self.sequence.solve(y[: self.nx], theta, guess, tolerance=tolerance)
        if solution.duration == 0.0 and not self.may_be_empty:
            raise SolveFailure(Reason.EXHAUSTED, "every step ends before it begins")
        end = np.concatenate([solution.end, y[self.nx :] + _advance(solution)])
        counted = self.features.values(solution.steps, theta)
        features = np.concatenate([counted, *(solution.steps[k].end for k in self.kept)])
        none, no_features = np.zeros((self.ny, 0)), np.zeros((len(features), 0))
        point = CyclePoint(y, end, features, solution, none, none, no_features)
        if directions is None or directions[0].shape[1] == 0:
            return point
        return self.differentiate(point, theta, directions)

    def differentiate(
        self,
        point: CyclePoint,
        theta: np.ndarray,
        directions: tuple[np.ndarray, np.ndarray],
    ) -> CyclePoint:
        """The same cycle with its derivatives along `directions`.

        Factorised matrices that belong to this very solution are used again.
        """
        dy, dtheta = directions
        followed = () if self.features.follow is None else range(len(point.solution.steps))
        dx, steps = self.sequence.sensitivity(
            point.solution, theta, dy[: self.nx], dtheta, keep_stages=followed
        )
        solution = point.solution.with_chords([step.factors for step in steps])
        counted = self.features.directions(point.solution.steps, steps, theta, dtheta)
        counters = dy[self.nx :] + _advance_directions(solution.steps, steps)
        return replace(
            point,
            solution=solution,
            start_directions=dy,
            end_directions=np.vstack([dx, counters]),
            feature_directions=np.vstack([counted, *(steps[k].end for k in self.kept)]),
        )

    def pull_back(self, point: CyclePoint, outputs: np.ndarray) -> np.ndarray:
        """Derivatives of k combinations of the end by the start, both of shape (ny, k)."""
        x, throughput, time = outputs[: self.nx], outputs[self.nx], outputs[self.nx + 1]
        for step in reversed(point.solution.steps):
            charge = throughput if step.charge > 0.0 else np.zeros_like(throughput)
            x = step_pull_back(step, x, time, charge)
        return np.vstack([x, throughput, time])


def _advance(solution: CycleSolution) -> np.ndarray:
    """Charge discharged [A.h] and time [s] of a cycle."""
    return np.array([solution.discharged, solution.duration])


def _advance_directions(
    steps: tuple[StepSolution, ...], directions: tuple[StepSensitivity, ...]
) -> np.ndarray:
    """Derivatives of `_advance`, shape (2, k)."""
    discharged = sum(
        (d.charge for s, d in zip(steps, directions, strict=True) if s.charge > 0.0),
        np.zeros(directions[0].charge.shape),
    )
    return np.array([discharged, sum(d.duration for d in directions)])
