"""What a solved test of a check-up measures, with its derivatives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from cellmodels.checkup_test import Test
from cellmodels.quantities import pulse_variable
from cellmodels.solver.curve import BEYOND, StepDirections, voltage_at_charge, voltage_at_times
from cellmodels.solver.cycle import CycleSolution, SequenceSolver
from cellmodels.solver.outcome import Reason, SolveFailure
from cellmodels.solver.sensitivity import StepSensitivity

#: How long after a step's end a time still counts as reached [s].
_SLACK = 1e-6


@dataclass(frozen=True)
class Measured:
    """One variable: its value, its derivatives with a last axis k, and what of it was reached."""

    value: np.ndarray
    slope: np.ndarray
    reached: np.ndarray | bool = True


@dataclass(frozen=True)
class SolvedTest:
    """The steps of a test, solved.

    Attributes
    ----------
    solver : SequenceSolver
    theta : numpy.ndarray
        Parameter factors, shape (n_theta,).
    solution : CycleSolution
    tangents : tuple of StepSensitivity or None
        Derivatives of the steps by theta; None where they are not wanted. Stages are kept of the
        step whose voltage is interpolated.
    limits : tuple of float
        The cell's lower and upper cut-off [V].
    """

    solver: SequenceSolver
    theta: np.ndarray
    solution: CycleSolution
    tangents: tuple[StepSensitivity | None, ...]
    limits: tuple[float, float]

    @property
    def k(self) -> int:
        """Number of derivatives."""
        return len(self.theta) if self.tangents[0] is not None else 0

    def tangent(self, step: int) -> StepSensitivity:
        """Derivatives of a step, where they are wanted."""
        found = self.tangents[step]
        assert found is not None
        return found


def measured(
    test: Test, solved: SolvedTest, charges: np.ndarray, output: str
) -> Mapping[str, Measured]:
    """The variables of a test.

    Parameters
    ----------
    test : Test
    solved : SolvedTest
    charges : numpy.ndarray
        Of its voltage curve [A.h], shape (m,).
    output : str
        The model's name of the quantity of the state that it measures, if it does.

    Returns
    -------
    mapping of str to Measured
        By the names of `test.variables`.

    Raises
    ------
    SolveFailure
        If a pulse ends before it begins, or no state fits between the solver's points.
    """
    first = test.variables[0]
    if test.measure in ("capacity", "energy"):
        return _charged(test, solved, charges)
    if test.measure == "voltage":
        return {first: _relaxation(test, solved)}
    if test.measure == "resistance":
        return _resistances(test, solved)
    if test.measure == "discharged":
        return {first: _summed(solved, range(len(test.steps)), "charge", 1.0)}
    if test.measure == "end_voltage":
        return {first: _end_voltage(solved, -1)}
    return {first: state_at_end(solved, output)}


def state_at_end(solved: SolvedTest, output: str) -> Measured:
    """A quantity of the state at the end of the last step, by the model's name for it."""
    dae, point = solved.solver.dae, solved.solution.steps[-1].stages[-1, -1]
    row = dae.output_names.index(output)
    value = np.asarray(dae.outputs(point[None, :], solved.theta)[0, row])
    if not solved.k:
        return Measured(value, np.zeros(0))
    by_point, by_theta = dae.outputs_jacobian(point, solved.theta)
    return Measured(value, by_point[row] @ solved.tangent(-1).last + by_theta[row])


def _charged(test: Test, solved: SolvedTest, charges: np.ndarray) -> dict[str, Measured]:
    """Charge and energy of a discharge, or of a charge with its hold; the voltage over charge."""
    step = test.steps[test.measured_step]
    sign = 1.0 if step.direction == "discharge" else -1.0
    steps = range(test.measured_step, len(test.steps))
    kinds = {"capacity": "charge", "energy": "energy"}
    found = {
        name: _summed(solved, steps, kinds[name.removesuffix(f"_{test.name}")], sign)
        for name in test.variables
        if name != test.curve
    }
    if test.curve is not None:
        found[test.curve] = _over_charge(test, solved, charges, from_end=sign < 0)
    return found


def _summed(solved: SolvedTest, steps: range, name: str, sign: float) -> Measured:
    """Charge or energy of some steps, positive in one direction."""
    value = sign * sum(getattr(solved.solution.steps[k], name) for k in steps)
    slope = np.zeros(solved.k)
    if solved.k:
        slope = slope + sign * sum(getattr(solved.tangent(k), name) for k in steps)
    return Measured(np.asarray(value), slope)


def _over_charge(
    test: Test, solved: SolvedTest, charges: np.ndarray, *, from_end: bool
) -> Measured:
    k, step = test.measured_step, solved.solution.steps[test.measured_step]
    none = np.zeros((len(charges), solved.k))
    if step.skipped:
        return Measured(np.full(len(charges), step.end_voltage), none, np.zeros(len(charges), bool))
    value, slope, reached = voltage_at_charge(
        solved.solver.collocation,
        solved.solver.specs[k].control,
        step,
        solved.theta,
        charges,
        solved.tangents[k],
        from_end=from_end,
    )
    return Measured(value, none if slope is None else slope, reached)


def _relaxation(test: Test, solved: SolvedTest) -> Measured:
    """Voltage of the last step at times since it began.

    Where it ends earlier the curve goes on as over charge: downwards after a discharge, upwards
    after a charge.
    """
    times, step = np.array(test.times_at), solved.solution.steps[-1]
    directions = None
    if solved.k:
        directions = StepDirections(solved.tangent(-1), np.eye(solved.k), np.zeros(solved.k))
    value, slope = voltage_at_times(
        solved.solver.collocation,
        solved.solver.specs[-1].control,
        step,
        solved.theta,
        times,
        directions,
        beyond=-np.sign(step.charge) * BEYOND / times[-1],
    )
    slope = np.zeros((len(times), 0)) if slope is None else slope
    value, scale, reached = _in_reach(value, solved.limits)
    return Measured(value, scale[:, None] * slope, reached & (times <= step.duration + _SLACK))


def _end_voltage(solved: SolvedTest, step: int) -> Measured:
    """At the end of a step."""
    value, scale, reached = _in_reach(solved.solution.steps[step].end_voltage, solved.limits)
    slope = solved.tangent(step).end_voltage if solved.k else np.zeros(0)
    return Measured(value, scale * slope, reached)


def _in_reach(
    voltage: np.ndarray | float, limits: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A voltage, what its derivatives are multiplied by, and whether a cell can have it.

    Steps without a cut-off may drain an exhausted cell, and formulas of open-circuit potentials
    give millions of volts outside their range. Farther from the limits than these are apart, the
    voltage goes on as a logarithm: it still says in which direction a fit must go, but does not
    outweigh all else.
    """
    width = limits[1] - limits[0]
    nearest = np.clip(voltage, limits[0] - width, limits[1] + width)
    over = np.asarray(voltage) - nearest
    far = np.abs(over)
    return nearest + np.sign(over) * np.log1p(far), 1.0 / (1.0 + far), far == 0.0


def _resistances(test: Test, solved: SolvedTest) -> dict[str, Measured]:
    """Pulse resistance at the pulse's end, or at times after its start.

    Voltage drop over change of current, both from the step before to the pulse.
    """
    before, pulse = solved.solution.steps[-2:]
    start, end = _end_voltage(solved, -2), _end_voltage(solved, -1)
    if pulse.skipped:
        message = f"the pulse of {test.name!r} ends before it begins"
        raise SolveFailure(Reason.END_NOT_REACHED, message)
    rise = pulse.current[-1, -1] - before.current[-1, -1]
    if test.times_at:
        curve = _relaxation(test, solved)
        names = [pulse_variable(time, test.name) for time in test.times_at]
        reached = np.broadcast_to(curve.reached, len(names))
        voltage, moved = curve.value, curve.slope
    else:
        names, reached = list(test.variables), np.array([end.reached])
        voltage, moved = end.value[None], end.slope[None]
    values = (start.value - voltage) / rise
    slopes = np.zeros((len(names), 0))
    if solved.k:
        last, now = solved.tangent(-2), solved.tangent(-1)
        d_rise = now.current[-1, -1] - last.current[-1, -1]
        slopes = (start.slope - moved - values[:, None] * d_rise) / rise
    return {
        name: Measured(value, slope, bool(there and start.reached))
        for name, value, slope, there in zip(names, values, slopes, reached, strict=True)
    }
