"""Adaptive sequential integration of one step: the cold start and the fallback.

Radau IIA intervals are advanced one after the other, with step-size control by the
embedded error estimate of Hairer and Wanner (1996, section IV.8); the interval in which
the end condition is met is solved again with its length as an unknown. The accepted
intervals become the mesh that neighbouring solutions reuse.
"""

from __future__ import annotations

import numpy as np

from cellmodels.solver import radau
from cellmodels.solver.collocation import Collocation, Linearisation
from cellmodels.solver.consistent import consistent_point, power_slope
from cellmodels.solver.mesh import MeshOptions, agrees, thinned
from cellmodels.solver.newton import NewtonOptions, converged, newton_step
from cellmodels.solver.outcome import Reason, SolveFailure
from cellmodels.solver.step import (
    HOUR,
    Control,
    StepSolution,
    StepSpec,
    Stop,
    skipped_step,
    watched,
)


def integrate_step(
    collocation: Collocation,
    spec: StepSpec,
    start: np.ndarray,
    theta: np.ndarray,
    guess: np.ndarray,
    mesh: MeshOptions,
    newton: NewtonOptions,
) -> StepSolution:
    """Integrate a step from `start` until its end condition.

    Parameters
    ----------
    guess : numpy.ndarray
        A point v = [x, z, I] near the step's start, shape (n,).

    Raises
    ------
    SolveFailure
        With the reason.
    """
    point, voltage, met = begin_step(collocation, spec, start, theta, guess)
    if met is not None:
        return skipped_step(start, point, voltage, met)
    violated = collocation.dae.violated_event(point[None], theta)
    if violated:
        raise SolveFailure(Reason.MODEL_EVENT, f"{violated}, as the step begins")
    step = _March(collocation, spec, theta, mesh, newton).run(start, point, voltage)
    return _with_fewer_intervals(collocation, spec, theta, step, mesh, newton)


def begin_step(
    collocation: Collocation,
    spec: StepSpec,
    start: np.ndarray,
    theta: np.ndarray,
    guess: np.ndarray,
) -> tuple[np.ndarray, float, int | None]:
    """The point v at the start of a step, its voltage, and the end condition that is met there.

    A discharge at constant power has ended where the cell does not give that power above its
    cut-off: there is no such point, and v is that of the cut-off.

    Raises
    ------
    SolveFailure
        If no algebraic state fits.
    """
    control = spec.control
    try:
        point, voltage = consistent_point(collocation, control, start, theta, guess)
    except SolveFailure:
        if control.kind != "power" or control.value <= 0.0:
            raise
        for k, stop in enumerate(spec.stops):
            if stop.quantity == "voltage":
                held = Control("voltage", stop.value)
                point, voltage = consistent_point(collocation, held, start, theta, guess)
                if point[-1] * voltage < control.value:
                    return point, voltage, k
        raise SolveFailure(Reason.EXHAUSTED, f"it does not give {control.value:g} W") from None
    return point, voltage, spec.met_at_start(collocation.dae, point, voltage, theta)


def _with_fewer_intervals(
    collocation: Collocation,
    spec: StepSpec,
    theta: np.ndarray,
    step: StepSolution,
    mesh: MeshOptions,
    newton: NewtonOptions,
) -> StepSolution:
    """The step on the thinnest mesh that hardly changes it."""
    for share in (mesh.share, 0.5 * (1.0 + mesh.share)):
        guess = thinned(step, share)
        if guess is None:
            return step
        try:
            fewer = newton_step(collocation, spec, step.start, theta, guess, newton)
        except SolveFailure:
            continue
        vanishes = collocation.dae.vanishes(step.start, fewer.stages)
        if not vanishes and agrees(step, fewer, mesh, collocation.dae.potentials):
            return fewer
    return step


#: Newton iterations of an interval and growth of its corrections, at most: a long interval is
#: rather shortened, a short one must converge. A thin film that grows as its inverse doubles in
#: every iteration until it is as thick as it will be.
_HASTY, _PATIENT = (12, 2.0), (25, 4.0)
#: Scaled corrections below this may grow.
_SMALL = 1e-3
#: A limit of the model of which less than this share is left is being reached.
_NEAR = 1e-3
#: One place of a DFN's electrode may lose its material and the rest go on, but only in so short an
#: interval [s]: as a rule the voltage has ended the step before.
_BRIEF = 1e-6
#: The power is at its peak where its change with the current, by the voltage, is below this.
_PEAK = 0.05
#: A step whose end condition is met within this time takes no time [s].
_INSTANT = 1e-3


#: Power that counts as none: a rest has no energy to be accurate about [W].
_NO_POWER = 1e-4
#: Time over which an energy error at the very start of a step is spread [s].
_SETTLING = 60.0


class _March:
    """One adaptive integration; holds what stays fixed during it."""

    def __init__(
        self,
        collocation: Collocation,
        spec: StepSpec,
        theta: np.ndarray,
        mesh: MeshOptions,
        newton: NewtonOptions,
    ) -> None:
        self.collocation, self.spec, self.theta = collocation, spec, theta
        self.mesh, self.newton = mesh, newton
        self.matrix = collocation.matrix(spec.control)
        self.nx = collocation.dae.nx

    def run(self, start: np.ndarray, point: np.ndarray, voltage: float) -> StepSolution:
        times = [0.0]
        stages: list[np.ndarray] = []
        voltages: list[np.ndarray] = []
        charge, h, last_width = 0.0, self.mesh.first, None
        begin, missed = start, None
        while len(stages) < self.mesh.max_intervals:
            left = self.spec.limit - times[-1]
            h = min(h, left)
            if h < self.mesh.smallest and h < left:
                failure = self._stuck(point, times[-1])
                if missed is None and failure.reason != Reason.MODEL_EVENT:
                    missed = self._vanishing(point)
                if missed is None and failure.reason == Reason.EXHAUSTED:
                    missed = self._cut_off(point)
                if missed is not None and stages:
                    # the end lies within so short a time, behind a jump such as that of depletion
                    return self._finish(start, times, stages, voltages, missed)
                raise failure
            predicted = self._predict(point, stages, last_width, h)
            try:
                trial, at, error = self._interval(begin, point, predicted, h)
                error = max(error, self._energy_error(point, voltage, trial, at, times[-1], h))
            except SolveFailure:
                h *= 0.25
                continue
            if error > 1.0:
                h *= max(0.2, 0.9 * error**-0.25)
                continue
            if self._loses_an_electrode(begin, trial, h):
                h *= 0.25
                continue
            found = self._ends(point, voltage, trial, at, times[-1], h, charge)
            if found is not None:
                end = self._land(begin, trial, at, h, charge, times[-1], found)
                if end is None and not stages and h < _INSTANT:
                    return skipped_step(start, point, voltage, found[0])
                if end is None:
                    h, missed = 0.5 * h, found[0]
                    continue
                trial, h, stop, volts = end
            else:
                volts, stop = at.system[0, :, -1], None
            violated = self.collocation.dae.violated_event(trial[2:], self.theta)
            if violated:
                raise SolveFailure(Reason.MODEL_EVENT, f"{violated}, at {times[-1] + h:.6g} s")
            times.append(times[-1] + h)
            stages.append(trial)
            voltages.append(volts)
            charge += h * float(radau.WEIGHTS @ trial[:, -1]) / HOUR
            begin, point, voltage, last_width = trial[2, : self.nx], trial[2], float(volts[2]), h
            missed = None
            if stop is not None:
                return self._finish(start, times, stages, voltages, stop)
            if times[-1] >= self.spec.limit * (1 - 1e-12):
                return self._time_up(start, times, stages, voltages)
            h *= min(self.mesh.growth, max(0.3, 0.9 * max(error, 1e-8) ** -0.25))
        raise SolveFailure(
            Reason.STEP_TOO_SMALL, f"{self.mesh.max_intervals} intervals were not enough"
        )

    def _loses_an_electrode(self, begin: np.ndarray, stages: np.ndarray, h: float) -> bool:
        dae = self.collocation.dae
        if h > _BRIEF:
            return dae.vanishes(begin, stages)
        # where no cut-off can end the step, as in a rest, it goes on without the electrode
        ends = self._cut_off(stages[0]) is not None
        return ends and dae.vanishes(begin, stages, everywhere=True)

    def _cut_off(self, point: np.ndarray) -> int | None:
        """The stop at a voltage to which the current drives the cell, if there is one."""
        for k, stop in enumerate(self.spec.stops):
            if stop.quantity == "voltage" and stop.sign * point[-1] < 0.0:
                return k
        return None

    def _vanishing(self, point: np.ndarray) -> int | None:
        """The stop at which a step ends as the rest of an electrode vanishes, if it does.

        The voltage then goes to its cut-off with infinite slope.
        """
        dae = self.collocation.dae
        gone = dae.nearly_gone(point, dae.start(self.theta)[0], _NEAR)
        return self._cut_off(point) if gone else None

    def _stuck(self, point: np.ndarray, time: float) -> SolveFailure:
        """Why the intervals become ever shorter: often a limit of the model is being reached.

        A quantity that must stay positive may tend to zero ever faster, as the last pores do. And a
        cell gives a power only as long as more current would give more.
        """
        dae = self.collocation.dae
        fresh = np.append(np.concatenate(dae.start(self.theta)), 0.0)
        left, whole = dae.events(np.array([point, fresh]), self.theta)
        near = np.flatnonzero(left < _NEAR * whole)
        if len(near):
            name = dae.event_names[near[np.argmin(left[near] / whole[near])]]
            return SolveFailure(Reason.MODEL_EVENT, f"{name}, at {time:.6g} s")
        power = self.spec.control.value if self.spec.control.kind == "power" else 0.0
        if power > 0.0 and power_slope(dae, point, self.theta) < _PEAK:
            return SolveFailure(Reason.EXHAUSTED, f"no more than {power:g} W, at {time:.6g} s")
        return SolveFailure(Reason.STEP_TOO_SMALL, f"at {time:.6g} s")

    def _predict(
        self, point: np.ndarray, stages: list, width: float | None, h: float
    ) -> np.ndarray:
        """Extrapolate the last interval's polynomial, or repeat the start."""
        if not stages or width is None or h > 3.0 * width:
            return np.tile(point, (3, 1))
        basis = radau.lagrange_basis(radau.ABSCISSAE, 1.0 + radau.ABSCISSAE * h / width)
        return basis @ stages[-1]

    def _interval(
        self, begin: np.ndarray, point: np.ndarray, stages: np.ndarray, h: float
    ) -> tuple[np.ndarray, Linearisation, float]:
        """Solve one interval of fixed length; returns stages, F there and the scaled error."""
        collocation, control = self.collocation, self.spec.control
        widths = np.array([h])
        stages = stages[None, :, :].copy()
        stages[0, :, -1] = control.value if control.kind == "current" else stages[0, :, -1]
        first = collocation.evaluate(stages, self.theta, jacobian=True)
        at, lu, previous, largest = first, None, np.inf, np.inf
        iterations, growth = _PATIENT if h < self.mesh.first else _HASTY
        for _ in range(iterations):
            fresh = lu is None
            if lu is None:
                lu = collocation.factorise_intervals(stages, widths, control, at)
            residual = collocation.residual(begin, stages, widths, control, at.system)
            delta = self.matrix.solve(lu, -residual)
            size = np.abs(stages + delta).max(axis=(0, 1)) + self.newton.floor
            norm = float(np.max(np.abs(delta).max(axis=(0, 1)) / size))
            if not np.isfinite(norm) or (fresh and norm > largest):
                raise SolveFailure(Reason.NOT_CONVERGED, "within an interval")
            if fresh:
                largest = growth * max(norm, _SMALL)
            stages = stages + delta
            rate = norm / previous
            if converged(norm, rate, self.newton.tolerance):
                break
            lu = None if rate > 0.1 else lu
            previous = norm
            at = collocation.evaluate(stages, self.theta, jacobian=lu is None)
        else:
            raise SolveFailure(Reason.NOT_CONVERGED, "within an interval")
        at = collocation.evaluate(stages, self.theta, jacobian=False)
        return stages[0], at, self._error(begin, point, stages[0], h, first)

    def _error(
        self, begin: np.ndarray, point: np.ndarray, stages: np.ndarray, h: float, at: Linearisation
    ) -> float:
        """Embedded error estimate of the differential states, in units of the tolerance."""
        dae, nx = self.collocation.dae, self.nx
        rhs = np.zeros(dae.n)
        rhs[:nx] = h * dae.evaluate(point[None, :], self.theta)[0, :nx] + radau.ERROR_WEIGHTS @ (
            stages[:, :nx] - begin
        )
        error = self.matrix.filter_error(rhs, h, at, stages, self.spec.control)[:nx]
        size = np.maximum(np.abs(begin), np.abs(stages[2, :nx]))
        return float(np.max(np.abs(error) / self.mesh.allowed(size, dae.potentials)))

    def _energy_error(
        self,
        point: np.ndarray,
        voltage: float,
        stages: np.ndarray,
        at: Linearisation,
        time: float,
        h: float,
    ) -> float:
        """The same estimate for the integral of the power, relative to the step so far.

        The voltage may bend where the states do not, as at the end of a discharge.
        """
        before = point[-1] * voltage
        power = stages[:, -1] * at.system[0, :, -1]
        largest = max(abs(before), float(np.max(np.abs(power))), _NO_POWER)
        error = (before + radau.ERROR_WEIGHTS @ (radau.INTEGRAL @ power)) / radau.REAL_EIGENVALUE
        return abs(float(error)) * h / (self.mesh.energy * largest * (time + h + _SETTLING))

    def _ends(
        self,
        point: np.ndarray,
        voltage: float,
        stages: np.ndarray,
        at: Linearisation,
        time: float,
        h: float,
        charge: float,
    ) -> tuple[int, float] | None:
        """The first end condition met in this interval: its index and a relative position."""
        dae = self.collocation.dae
        volts = np.concatenate([[voltage], at.system[0, :, -1]])
        current = np.concatenate([[point[-1]], stages[:, -1]])
        charges = charge + h * np.concatenate([[0.0], radau.INTEGRAL @ stages[:, -1]]) / HOUR
        best: tuple[int, float] | None = None
        for k, stop in enumerate(self.spec.stops):
            if stop.quantity == "time":
                past = time + h * radau.NODES - stop.value
            else:
                outputs = watched(dae, stop, np.vstack([point, stages]), self.theta)
                past = np.array(
                    [
                        stop.distance(i, v, 0.0, q, np.sign(point[-1]), out)
                        for i, v, q, out in zip(current, volts, charges, outputs, strict=True)
                    ]
                )
            met = np.flatnonzero(past[1:] >= 0.0)
            if len(met):
                j = met[0] + 1
                slope = past[j] - past[j - 1]
                step = (radau.NODES[j] - radau.NODES[j - 1]) * (
                    -past[j - 1] / slope if slope > 0 else 1.0
                )
                where = float(np.clip(radau.NODES[j - 1] + step, 1e-6, 1.0))
                if best is None or where < best[1]:
                    best = (k, where)
        return best

    def _land(
        self,
        begin: np.ndarray,
        stages: np.ndarray,
        at: Linearisation,
        h: float,
        charge: float,
        time: float,
        found: tuple[int, float],
    ) -> tuple[np.ndarray, float, int, np.ndarray] | None:
        """Solve the last interval with its length unknown; None if that fails."""
        k, where = found
        stop = self.spec.stops[k]
        if stop.quantity == "time":
            stop = Stop("time", stop.value - time)
        elif stop.quantity == "charge":
            direction = np.sign(charge + h * float(radau.WEIGHTS @ stages[:, -1])) or 1.0
            stop = Stop("charge", stop.value - direction * charge)
        spec = StepSpec(self.spec.control, (stop,), self.spec.limit)
        basis = radau.lagrange_basis(radau.ABSCISSAE, where * radau.ABSCISSAE)
        guess = StepSolution(
            np.array([0.0, 1.0]),
            (basis @ stages)[None, :, :],
            where * h,
            0,
            begin,
            at.system[:, :, -1],
        )
        try:
            end = newton_step(self.collocation, spec, begin, self.theta, guess, self.newton)
        except SolveFailure:
            return None
        if not 0.0 < end.duration <= 1.05 * h:
            return None
        return end.stages[0], end.duration, k, end.voltage[0]

    def _time_up(
        self, start: np.ndarray, times: list, stages: list, voltages: list
    ) -> StepSolution:
        if not self.spec.limit_is_end:
            raise SolveFailure(
                Reason.END_NOT_REACHED,
                f"none of the end conditions was met within {self.spec.limit:g} s",
            )
        return self._finish(start, times, stages, voltages, len(self.spec.stops))

    def _finish(
        self, start: np.ndarray, times: list, stages: list, voltages: list, stop: int
    ) -> StepSolution:
        mesh = np.array(times) / times[-1]
        return StepSolution(mesh, np.array(stages), times[-1], stop, start, np.array(voltages))
