"""A cycle: a sequence of steps as one differentiable map of the state and the parameters."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from cellmodels.solver.collocation import Collocation
from cellmodels.solver.dae import Dae
from cellmodels.solver.integrate import begin_step, integrate_step
from cellmodels.solver.mesh import MeshOptions
from cellmodels.solver.newton import NewtonOptions, newton_step
from cellmodels.solver.outcome import Reason, SolveFailure
from cellmodels.solver.sensitivity import StepSensitivity, step_sensitivity
from cellmodels.solver.step import HOUR, StepSolution, StepSpec, skipped_step, watched

#: A step that ends further from its condition than this was ended by a jump [V, A, s, A.h].
_NEAR_THE_END = 1e-3

#: Tolerances with which a step is integrated, the first at which it works.
_TIMES_FINER = (1.0, 10.0, 0.1)


@dataclass
class Counts:
    """How much work was done: steps solved warm, by retry, and by adaptive integration.

    `abrupt` counts those of the last that end at a jump, or as an electrode vanishes, before their
    condition is met exactly.
    """

    warm: int = 0
    retried: int = 0
    adaptive: int = 0
    abrupt: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.warm + other.warm,
            self.retried + other.retried,
            self.adaptive + other.adaptive,
            self.abrupt + other.abrupt,
        )

    def since(self, before: Counts) -> dict[str, int]:
        """What was added to `before`, as plain numbers."""
        return {
            "steps_warm": self.warm - before.warm,
            "steps_retried": self.retried - before.retried,
            "steps_adaptive": self.adaptive - before.adaptive,
            "steps_abrupt": self.abrupt - before.abrupt,
        }


@dataclass(frozen=True)
class CycleSolution:
    """The solved steps of one pass through a sequence."""

    steps: tuple[StepSolution, ...]

    @property
    def end(self) -> np.ndarray:
        """x at the end, shape (nx,)."""
        return self.steps[-1].end

    @property
    def start(self) -> np.ndarray:
        """x at the start, shape (nx,)."""
        return self.steps[0].start

    @property
    def duration(self) -> float:
        """Total time [s]."""
        return sum(step.duration for step in self.steps)

    def without_chords(self) -> CycleSolution:
        """The same solution without factorised matrices, which take most of its memory."""
        return CycleSolution(tuple(step.without_chord() for step in self.steps))

    def with_chords(self, chords: Sequence[object]) -> CycleSolution:
        """The same solution with factorised matrices, one for each step or None."""
        pairs = zip(self.steps, chords, strict=True)
        return CycleSolution(tuple(replace(step, chord=chord) for step, chord in pairs))

    def with_chords_of(self, other: CycleSolution) -> CycleSolution:
        """The same solution with the matrices of another one on the same time meshes."""
        same = [
            mine.chord or (theirs.chord if np.array_equal(mine.mesh, theirs.mesh) else None)
            for mine, theirs in zip(self.steps, other.steps, strict=True)
        ]
        return self.with_chords(same)

    def same_meshes(self, other: CycleSolution) -> bool:
        """Whether all steps have the time meshes of another solution."""
        pairs = zip(self.steps, other.steps, strict=True)
        return all(np.array_equal(mine.mesh, theirs.mesh) for mine, theirs in pairs)

    @property
    def discharged(self) -> float:
        """Charge of the steps that discharge [A.h]."""
        return sum(max(step.charge, 0.0) for step in self.steps)


class SequenceSolver:
    """Solves a sequence of steps from any start state, warm-started from a neighbour.

    Parameters
    ----------
    dae : Dae
    specs : sequence of StepSpec
    collocation : Collocation, optional
        Shared between sequences of the same model.
    """

    def __init__(
        self,
        dae: Dae,
        specs: Sequence[StepSpec],
        *,
        collocation: Collocation | None = None,
        mesh: MeshOptions | None = None,
        newton: NewtonOptions | None = None,
    ) -> None:
        self.dae = dae
        self.specs = tuple(specs)
        self.collocation = collocation or Collocation(dae)
        self.mesh = mesh or MeshOptions()
        self.newton = newton or NewtonOptions()
        self.counts = Counts()

    def solve(
        self,
        start: np.ndarray,
        theta: np.ndarray,
        guess: CycleSolution | None = None,
        point: np.ndarray | None = None,
        tolerance: float | None = None,
    ) -> CycleSolution:
        """Solve all steps.

        Parameters
        ----------
        start : numpy.ndarray
            x, shape (nx,).
        theta : numpy.ndarray
            Parameter factors, shape (n_theta,).
        guess : CycleSolution, optional
            A neighbouring solution of the same sequence.
        point : numpy.ndarray, optional
            A v = [x, z, I] near the start, used when there is no neighbour.
        tolerance : float, optional
            Of Newton's method from a neighbour, in place of that of the options; steps that are
            integrated anew keep theirs.

        Raises
        ------
        SolveFailure
            With the reason and the step.
        """
        newton = self.newton if tolerance is None else replace(self.newton, tolerance=tolerance)
        if point is None:
            point = np.concatenate([start, self.dae.start(theta)[1], [0.0]])
        steps: list[StepSolution] = []
        x = start
        # without a neighbour, the last step of the same kind is one, if there was any
        alike: dict[StepSpec, StepSolution] = {}
        for k, spec in enumerate(self.specs):
            near = guess.steps[k] if guess is not None else alike.get(spec)
            try:
                step = self._solve_step(spec, x, theta, near, point, newton)
                # a step that takes no time does not reach anything
                reached = step.stages[:0, -1] if step.skipped else step.stages[:, -1]
                violated = self.dae.violated_event(reached, theta) if len(reached) else None
                if violated:
                    raise SolveFailure(Reason.MODEL_EVENT, violated)
            except SolveFailure as failure:
                raise replace(failure, step=k) from None
            steps.append(step)
            alike[spec] = step
            x, point = step.end, step.stages[-1, -1]
        return CycleSolution(tuple(steps))

    def sensitivity(
        self,
        solution: CycleSolution,
        theta: np.ndarray,
        start: np.ndarray,
        parameters: np.ndarray,
        *,
        keep_stages: Collection[int] = (),
    ) -> tuple[np.ndarray, tuple[StepSensitivity, ...]]:
        """Derivatives along directions of start state and parameters.

        Parameters
        ----------
        start : numpy.ndarray
            dx_0, shape (nx, k).
        parameters : numpy.ndarray
            dtheta, shape (n_theta, k).
        keep_stages : collection of int
            Steps of which the directions of all collocation points are kept.

        Returns
        -------
        numpy.ndarray
            dx at the end, shape (nx, k).
        tuple of StepSensitivity
            One for each step.
        """
        out: list[StepSensitivity] = []
        for k, (spec, step) in enumerate(zip(self.specs, solution.steps, strict=True)):
            one = step_sensitivity(
                self.collocation,
                spec,
                step,
                theta,
                start,
                parameters,
                keep_stages=k in keep_stages,
            )
            out.append(one)
            start = one.end
        return start, tuple(out)

    def _solve_step(
        self,
        spec: StepSpec,
        x: np.ndarray,
        theta: np.ndarray,
        near: StepSolution | None,
        point: np.ndarray,
        newton: NewtonOptions,
    ) -> StepSolution:
        if near is not None:
            found = (
                self._skipped(spec, x, theta, near.stages[-1, -1])
                if near.skipped
                else self._from_neighbour(spec, x, theta, near, point, newton)
            )
            if found is not None:
                return found
        self.counts.adaptive += 1
        step = self._integrated(spec, x, theta, point)
        past = 0.0 if step.skipped else self._past_the_end(spec, step, theta)
        self.counts.abrupt += int(past < -_NEAR_THE_END)
        return step

    def _integrated(
        self, spec: StepSpec, x: np.ndarray, theta: np.ndarray, point: np.ndarray
    ) -> StepSolution:
        """The step integrated anew, where it fails with other tolerances too.

        Where electrolyte runs out it may hang on a hair whether an integration gets through.
        """
        first: SolveFailure | None = None
        for times in _TIMES_FINER:
            mesh = self.mesh.finer(times)
            try:
                return integrate_step(self.collocation, spec, x, theta, point, mesh, self.newton)
            except SolveFailure as failure:
                first = first or failure
                if failure.reason != Reason.STEP_TOO_SMALL:
                    break
        assert first is not None
        raise first

    def _from_neighbour(
        self,
        spec: StepSpec,
        x: np.ndarray,
        theta: np.ndarray,
        near: StepSolution,
        point: np.ndarray,
        newton: NewtonOptions,
    ) -> StepSolution | None:
        """Newton's method with the neighbour's matrix, if it has one, then with a new one."""
        attempts = (near,) if near.chord is None else (near, near.without_chord())
        for retry, attempt in enumerate(attempts):
            try:
                # often there is nothing left to do where a neighbour had something
                skipped = self._skipped(spec, x, theta, point) if retry else None
                if skipped is not None:
                    return skipped
                step = newton_step(self.collocation, spec, x, theta, attempt, newton)
            except SolveFailure:
                continue
            if not self._valid(spec, step, theta):
                return None
            self.counts.warm += 1
            self.counts.retried += retry
            return step
        return None

    def _skipped(
        self, spec: StepSpec, x: np.ndarray, theta: np.ndarray, guess: np.ndarray
    ) -> StepSolution | None:
        """The step if its end condition is met when it begins, or None."""
        at, voltage, met = begin_step(self.collocation, spec, x, theta, guess)
        return None if met is None else skipped_step(x, at, voltage, met)

    def _valid(self, spec: StepSpec, step: StepSolution, theta: np.ndarray) -> bool:
        """Whether no end condition is met before the one that was solved for.

        Nor may there be less than nothing of an electrode.
        """
        if not step.duration > 0.0 or self.dae.vanishes(step.start, step.stages):
            return False
        rows = _at_interval_ends(step)
        direction = np.sign(step.current[0, 0])
        for k, stop in enumerate(spec.all_stops):
            outputs = watched(self.dae, stop, step.stages[:, -1], theta)
            checked = list(zip(rows, outputs, strict=True))
            if k == step.stop:
                checked = checked[:-1]
            if any(stop.distance(*row, direction, out) > stop.slack for row, out in checked):
                return False
        return True

    def _past_the_end(self, spec: StepSpec, step: StepSolution, theta: np.ndarray) -> float:
        """How far a step's end is past the condition that ended it."""
        stop = spec.all_stops[step.stop]
        output = float(watched(self.dae, stop, step.stages[-1, -1:], theta)[0])
        return stop.distance(*_at_interval_ends(step)[-1], output=output)


def _at_interval_ends(step: StepSolution) -> list[tuple[float, float, float, float]]:
    """Current, voltage, time and charge at the end of every interval."""
    charges = np.cumsum((step.quadrature * step.current).sum(axis=1)) / HOUR
    ends = step.duration * step.mesh[1:]
    return list(zip(step.current[:, -1], step.voltage[:, -1], ends, charges, strict=True))
