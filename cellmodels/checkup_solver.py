"""Check-ups simulated beside a life: tests run from its state, measured and differentiated."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from cellmodels.cell import Cell
from cellmodels.checkup_plan import Test
from cellmodels.errors import InputError, did_you_mean
from cellmodels.lowering import ampere_hours
from cellmodels.protocol import Protocol
from cellmodels.quantities import MEASURES, STATE_VARIABLES
from cellmodels.solver.curve import voltage_at_charge
from cellmodels.solver.cycle import CycleSolution, SequenceSolver
from cellmodels.solver.outcome import Reason, SolveFailure
from cellmodels.solver.sensitivity import StepSensitivity
from cellmodels.steps import Step

#: Name under which the state before any test is measured.
AT_REST = ""
#: A rest so short that it only lets the current and what follows it at once fall to zero.
_MOMENT = Step("rest", 0.0, "", max_duration=1.0)


@dataclass(frozen=True)
class CheckupRun:
    """One test at one place of a life.

    `values` and `slopes` hold each variable's value, a float or an array over the curve's
    charges, and its derivatives with a last axis n_theta; `reached` tells which charges
    of a curve the discharge reached.
    """

    place: float
    solution: CycleSolution
    values: Mapping[str, np.ndarray]
    slopes: Mapping[str, np.ndarray]
    reached: Mapping[str, np.ndarray]

    def value(self, variable: str, column: int | None) -> tuple[float, np.ndarray]:
        """A variable, or one column of a curve, with its derivatives (n_theta,)."""
        where = () if column is None else (column,)
        return float(self.values[variable][where]), self.slopes[variable][where]

    def table(self) -> dict[str, np.ndarray]:
        """Values for a record: NaN on a curve beyond the end of the discharge."""
        return {
            name: np.where(self.reached[name], value, np.nan) if name in self.reached else value
            for name, value in self.values.items()
        }

    def without_chords(self) -> CheckupRun:
        """The same without factorised matrices."""
        return replace(self, solution=self.solution.without_chords())


class CheckupSolver:
    """The tests of a protocol's check-ups, compiled.

    Parameters
    ----------
    protocol : Protocol
    cell : Cell
    sequence : callable
        Makes a `SequenceSolver` from steps.
    states : mapping of str to str
        Quantities of the cell's state that it has -> names of the model's outputs.

    Raises
    ------
    InputError
        If a test measures a quantity that the cell does not have.
    """

    def __init__(
        self,
        protocol: Protocol,
        cell: Cell,
        sequence: Callable[[Sequence[Step]], SequenceSolver],
        states: Mapping[str, str],
    ) -> None:
        self._protocol, self._cell, self._sequence = protocol, cell, sequence
        self._states = states
        self._tests: dict[str, Test] = {}
        for checkup in protocol.every.values():
            for test in checkup.tests:
                self._tests[test.name] = test
                known = (*MEASURES, *states)
                if test.measure not in known:
                    raise InputError(
                        f"Test '{test.name}': this cell has no {test.measure!r}."
                        + did_you_mean(test.measure, known)
                    )
        self._solvers: dict[str, SequenceSolver] = {}

    def variables(self) -> tuple[str, ...]:
        """All variables that the tests give, and those of the state before any test."""
        return (*(v for test in self._tests.values() for v in test.variables), *self._states)

    def test_of(self, variable: str) -> str:
        """Name of the test that gives a variable."""
        if variable in self._states:
            return AT_REST
        return next(t.name for t in self._tests.values() if variable in t.variables)

    def tests_at(self, cycle: int, last: int) -> tuple[str, ...]:
        """Names of the tests done after so many cycles."""
        first = (AT_REST,) if self._states else ()
        return (*first, *self._protocol.tests_at(cycle, last))

    def charges(self, test: str) -> np.ndarray:
        """Discharged charges at which a test's voltage curve is given [A.h]."""
        return np.array([ampere_hours(v, u, self._cell) for v, u in self._tests[test].voltages_at])

    def run(
        self,
        test: str,
        x: np.ndarray,
        dx: np.ndarray,
        theta: np.ndarray,
        near: CheckupRun | None,
        place: float,
    ) -> CheckupRun:
        """Run one test from the state x with derivatives dx, shape (nx, k).

        Raises
        ------
        SolveFailure
        """
        spec = self._tests.get(test)
        if test not in self._solvers:
            self._solvers[test] = self._sequence((_MOMENT,) if spec is None else spec.steps)
        solver = self._solvers[test]
        solution = solver.solve(x, theta, near.solution if near is not None else None)
        k = dx.shape[1]
        steps: tuple[StepSensitivity | None, ...] = (None,) * len(solution.steps)
        if k:
            keep = spec is not None and bool(spec.voltages_at)
            steps = solver.sensitivity(solution, theta, dx, np.eye(len(theta)), keep_stages=keep)[1]
        if spec is None:
            found = {s: self._state(s, solver, theta, solution, steps, k) for s in self._states}
            values = {name: np.asarray(value) for name, (value, _) in found.items()}
            slopes = {name: slope for name, (_, slope) in found.items()}
            return CheckupRun(place, solution, values, slopes, {})
        if spec.measure == "capacity":
            return self._capacity(test, place, solver, theta, solution, steps, k)
        if spec.measure == "resistance":
            value, slope = _resistance(test, solution, steps, k)
        elif spec.measure == "discharged":
            value, slope = _discharged(solution, steps, k)
        elif spec.measure == "end_voltage":
            value, slope = _end_voltage(solution, steps, k)
        else:
            value, slope = self._state(spec.measure, solver, theta, solution, steps, k)
        name = spec.variables[0]
        return CheckupRun(place, solution, {name: np.asarray(value)}, {name: slope}, {})

    def _state(
        self,
        name: str,
        solver: SequenceSolver,
        theta: np.ndarray,
        solution: CycleSolution,
        steps: Sequence[StepSensitivity | None],
        k: int,
    ) -> tuple[float, np.ndarray]:
        """A quantity of the state at the end of the last step."""
        dae, point = solver.dae, solution.steps[-1].stages[-1, -1]
        row = dae.output_names.index(self._states[name])
        value = float(dae.outputs(point[None, :], theta)[0, row])
        tangent = steps[-1]
        if tangent is None:
            return value, np.zeros(k)
        by_point, by_theta = dae.outputs_jacobian(point, theta)
        return value, by_point[row] @ tangent.last + by_theta[row]

    def _capacity(
        self,
        test: str,
        place: float,
        solver: SequenceSolver,
        theta: np.ndarray,
        solution: CycleSolution,
        steps: Sequence[StepSensitivity | None],
        k: int,
    ) -> CheckupRun:
        last, tangent = solution.steps[-1], steps[-1]
        none = np.zeros(k)
        values = {f"capacity_{test}": np.asarray(abs(last.charge))}
        sign = np.sign(last.charge) or 1.0
        slopes = {f"capacity_{test}": none if tangent is None else sign * tangent.charge}
        reached = {}
        charges = self.charges(test)
        if len(charges) and not last.skipped:
            name = f"voltage_{test}"
            values[name], slope, reached[name] = voltage_at_charge(
                solver.collocation, solver.specs[-1].control, last, theta, charges, tangent
            )
            slopes[name] = np.zeros((len(charges), k)) if slope is None else slope
        elif len(charges):
            name = f"voltage_{test}"
            values[name] = np.full(len(charges), last.voltage[-1, -1])
            slopes[name] = np.zeros((len(charges), k))
            reached[name] = np.zeros(len(charges), bool)
        return CheckupRun(place, solution, values, slopes, reached)

    def dataset(self, rows: Sequence[Mapping[str, np.ndarray]]) -> dict:
        """Rows of test values as variables of /checkups (NaN where a test was not done)."""
        data: dict[str, tuple] = {}
        for name, test in self._tests.items():
            first = test.variables[0]
            known = MEASURES.get(test.measure) or STATE_VARIABLES[test.measure]
            data[first] = ("checkup", _column(rows, first), {"units": known.unit})
            charges = self.charges(name)
            if len(charges):
                empty = np.full(len(charges), np.nan)
                curve = np.array([row.get(f"voltage_{name}", empty) for row in rows])
                data[f"voltage_{name}"] = (("checkup", f"charge_{name}"), curve, {"units": "V"})
                data[f"charge_{name}"] = (f"charge_{name}", charges, {"units": "A.h"})
        for name in self._states:
            known = STATE_VARIABLES[name]
            attrs = {"units": known.unit, "long_name": known.long_name}
            data[name] = ("checkup", _column(rows, name), attrs)
        return data


def _discharged(
    solution: CycleSolution, steps: Sequence[StepSensitivity | None], k: int
) -> tuple[float, np.ndarray]:
    """Charge that all steps discharge, less what they charge [A.h]."""
    value = sum(step.charge for step in solution.steps)
    return value, sum((step.charge for step in steps if step is not None), np.zeros(k))


def _end_voltage(
    solution: CycleSolution, steps: Sequence[StepSensitivity | None], k: int
) -> tuple[float, np.ndarray]:
    """Voltage at the end of the last step [V]."""
    slope = np.zeros(k) if steps[-1] is None else steps[-1].voltage[-1, -1]
    return float(solution.steps[-1].voltage[-1, -1]), slope


def _resistance(
    test: str, solution: CycleSolution, steps: Sequence[StepSensitivity | None], k: int
) -> tuple[float, np.ndarray]:
    """Pulse resistance: voltage drop over current change, from the step before to the last."""
    before, pulse = solution.steps[-2], solution.steps[-1]
    if pulse.skipped:
        raise SolveFailure(Reason.END_NOT_REACHED, f"the pulse of {test!r} ends before it begins")
    drop = before.voltage[-1, -1] - pulse.voltage[-1, -1]
    rise = pulse.current[-1, -1] - before.current[-1, -1]
    slope = np.zeros(k)
    if k and steps[-1] is not None and steps[-2] is not None:
        d_drop = steps[-2].voltage[-1, -1] - steps[-1].voltage[-1, -1]
        d_rise = steps[-1].current[-1, -1] - steps[-2].current[-1, -1]
        slope = (d_drop - drop / rise * d_rise) / rise
    return float(drop / rise), slope


def _column(rows: Sequence[Mapping[str, np.ndarray]], name: str) -> np.ndarray:
    return np.array([float(row.get(name, np.nan)) for row in rows])
