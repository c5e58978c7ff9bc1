"""The voltage of a sequence of steps at given times, with derivatives: a trace.

Steps are guarded: one that meets its guard (a voltage far outside what was measured) ends
there, and the clock runs on to the step's planned end. The voltage of the missing part is
continued with a fixed slope. Where a particle empties or fills too early, the trace is so
still a continuous function of the parameters, and its derivatives, which hold the movement of
the step's end, tell in which direction the step is too short.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cellmodels.solver.curve import AtTimes, StepDirections, at_times
from cellmodels.solver.cycle import CycleSolution, SequenceSolver
from cellmodels.solver.joined import Joined, JoinedSolver, joinable
from cellmodels.solver.outcome import Reason, SolveFailure
from cellmodels.solver.sensitivity import step_sensitivity
from cellmodels.solver.step import StepSpec, Stop

#: Change of voltage over a step's planned duration with which a step that ended early is
#: continued [V].
BEYOND = 10.0


def guarded(spec: StepSpec, lowest: float, highest: float) -> StepSpec:
    """A step that ends, after its own end conditions, at a voltage outside the limits [V].

    Rests and held voltages stay as they are, and so do steps with a voltage end of their own.
    """
    control = spec.control
    own = any(stop.quantity == "voltage" for stop in spec.stops)
    if own or control.kind == "voltage" or control.value == 0.0:
        return spec
    guard = Stop("voltage", lowest, -1) if control.value > 0.0 else Stop("voltage", highest, 1)
    return replace(spec, stops=(*spec.stops, guard))


@dataclass(frozen=True)
class Cut:
    """A step that met its guard.

    Attributes
    ----------
    step : int
        Index of the step.
    time : float
        When, since the step began [s].
    voltage : float
        The guard [V].
    """

    step: int
    time: float
    voltage: float


@dataclass(frozen=True)
class Trace:
    """Voltage and outputs of a solved sequence at the asked times.

    Attributes
    ----------
    at : AtTimes
        With the derivatives by the parameter factors.
    cuts : tuple of Cut
        Steps that ended at their guard.
    near : CycleSolution or Joined
        The solution, from which a neighbour's can be found.
    """

    at: AtTimes
    cuts: tuple[Cut, ...]
    near: CycleSolution | Joined

    @property
    def voltage(self) -> np.ndarray:
        """[V], shape (m,)."""
        return self.at.voltage

    @property
    def slopes(self) -> np.ndarray:
        """Derivatives of the voltage by the parameter factors, shape (m, n_theta)."""
        assert self.at.slopes is not None
        return self.at.slopes


class TraceSolver:
    """Solves guarded steps from the cell's start, and gives the voltage at fixed times.

    Parameters
    ----------
    sequence : SequenceSolver
        Of steps that went through `guarded`.
    guards : sequence of bool
        Whether the last of a step's end conditions is its guard.
    times : numpy.ndarray
        Since the first step began [s], ascending, not negative, shape (m,).
    """

    def __init__(self, sequence: SequenceSolver, guards: Sequence[bool], times: np.ndarray) -> None:
        self._sequence, self._guards, self._times = sequence, tuple(guards), times
        self._joined = JoinedSolver(sequence.collocation, sequence.newton, times)

    def solve(self, theta: np.ndarray, near: Trace | None = None) -> Trace:
        """The trace and its derivatives by the parameter factors, (n_theta,).

        Parameters
        ----------
        near : Trace, optional
            At neighbouring parameters.

        Raises
        ------
        SolveFailure
        """
        sequence = self._sequence
        guess = None if near is None else near.near
        if isinstance(guess, Joined):
            try:
                return self._solve_joined(guess.moved(theta))
            except SolveFailure:
                guess = None
        solution = sequence.solve(sequence.dae.start(theta)[0], theta, guess)
        if joinable(sequence.specs, solution.steps):
            return self._solve_joined(Joined.of(solution.steps, theta))
        return self._one_by_one(theta, solution)

    def _solve_joined(self, guess: Joined) -> Trace:
        joined, stages, found = self._joined.solve(guess)
        self._check_guards(joined, stages)
        return Trace(found, (), joined)

    def _check_guards(self, joined: Joined, voltage: np.ndarray) -> None:
        """Raise if a step should have ended earlier."""
        ends = np.append(joined.firsts[1:], len(voltage))
        for spec, first, end in zip(self._sequence.specs, joined.firsts, ends, strict=True):
            for stop in spec.stops:
                past = stop.sign * (voltage[first:end] - stop.value)
                if stop.quantity != "voltage" or np.any(past > stop.slack):
                    raise SolveFailure(Reason.END_NOT_REACHED, "a step ends before its time")
        violated = self._sequence.dae.violated_event(joined.stages[:, -1], joined.theta)
        if violated:
            raise SolveFailure(Reason.MODEL_EVENT, violated)

    def _one_by_one(self, theta: np.ndarray, solution: CycleSolution) -> Trace:
        """The voltage of steps that may end before their time, or whenever they end."""
        sequence, parameters = self._sequence, np.eye(len(theta))
        begin, moves = 0.0, np.zeros(len(theta))
        first, start = 0, sequence.dae.start_jacobian(theta)
        parts: list[AtTimes] = []
        cuts = []
        last = len(solution.steps) - 1
        for k, (spec, step) in enumerate(zip(sequence.specs, solution.steps, strict=True)):
            tangent = step_sensitivity(
                sequence.collocation, spec, step, theta, start, parameters, keep_stages=True
            )
            length, longer = step.duration, tangent.duration
            if self._guards[k] and step.stop == len(spec.stops) - 1:
                cuts.append(Cut(k, float(step.duration), float(spec.stops[-1].value)))
                if spec.limit_is_end:
                    length, longer = spec.limit, np.zeros_like(longer)
            end = begin + length
            to = len(self._times) if k == last else _count(self._times, end)
            if to > first:
                rate = -np.sign(spec.control.value) * BEYOND / length if length > 0.0 else 0.0
                found = at_times(
                    sequence.collocation,
                    spec.control,
                    step,
                    theta,
                    np.maximum(self._times[first:to] - begin, 0.0),
                    StepDirections(tangent, parameters, -moves),
                    beyond=0.0 if spec.control.kind == "voltage" else float(rate),
                )
                parts.append(found)
            begin, moves, start = end, moves + longer, tangent.end
            first = max(first, to)
        return Trace(_joined(parts), tuple(cuts), solution.without_chords())


def _joined(parts: Sequence[AtTimes]) -> AtTimes:
    """The times of all parts, in their order."""
    arrays = [
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("voltage", "slopes", "outputs", "output_slopes")
    ]
    return AtTimes(*arrays)


#: A point this long after a step's end still belongs to it [s].
_AFTER = 1e-6


def _count(times: np.ndarray, end: float) -> int:
    """How many times are not after `end`."""
    return int(np.searchsorted(times, end + _AFTER, side="right"))
