"""Check-ups simulated beside a life: tests run from its state, measured and differentiated."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from cellmodels.cell import Cell
from cellmodels.checkup_plan import Test
from cellmodels.lowering import ampere_hours
from cellmodels.protocol import Protocol
from cellmodels.solver.curve import voltage_at_charge
from cellmodels.solver.cycle import CycleSolution, SequenceSolver
from cellmodels.solver.outcome import Reason, SolveFailure
from cellmodels.solver.sensitivity import StepSensitivity
from cellmodels.steps import Step


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
    """

    def __init__(
        self, protocol: Protocol, cell: Cell, sequence: Callable[[Sequence[Step]], SequenceSolver]
    ) -> None:
        self._protocol, self._cell, self._sequence = protocol, cell, sequence
        self._tests: dict[str, Test] = {}
        for checkup in protocol.every.values():
            for test in checkup.tests:
                self._tests[test.name] = test
        self._solvers: dict[str, SequenceSolver] = {}

    def variables(self) -> tuple[str, ...]:
        """All variables that the tests give."""
        return tuple(v for test in self._tests.values() for v in test.variables)

    def test_of(self, variable: str) -> str:
        """Name of the test that gives a variable."""
        return next(t.name for t in self._tests.values() if variable in t.variables)

    def tests_at(self, cycle: int, last: int) -> tuple[str, ...]:
        """Names of the tests done after so many cycles."""
        return tuple(self._protocol.tests_at(cycle, last))

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
        spec = self._tests[test]
        if test not in self._solvers:
            self._solvers[test] = self._sequence(spec.steps)
        solver = self._solvers[test]
        solution = solver.solve(x, theta, near.solution if near is not None else None)
        k = dx.shape[1]
        steps: tuple[StepSensitivity | None, ...] = (None,) * len(solution.steps)
        if k:
            keep = bool(spec.voltages_at)
            steps = solver.sensitivity(solution, theta, dx, np.eye(len(theta)), keep_stages=keep)[1]
        if spec.measure == "resistance":
            return _resistance(test, place, solution, steps, k)
        return self._capacity(test, place, solver, theta, solution, steps, k)

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
            if test.measure == "resistance":
                data[f"resistance_{name}"] = (
                    "checkup",
                    _column(rows, f"resistance_{name}"),
                    {"units": "ohm"},
                )
                continue
            data[f"capacity_{name}"] = (
                "checkup",
                _column(rows, f"capacity_{name}"),
                {"units": "A.h"},
            )
            charges = self.charges(name)
            if len(charges):
                empty = np.full(len(charges), np.nan)
                curve = np.array([row.get(f"voltage_{name}", empty) for row in rows])
                data[f"voltage_{name}"] = (("checkup", f"charge_{name}"), curve, {"units": "V"})
                data[f"charge_{name}"] = (f"charge_{name}", charges, {"units": "A.h"})
        return data


def _resistance(
    test: str,
    place: float,
    solution: CycleSolution,
    steps: Sequence[StepSensitivity | None],
    k: int,
) -> CheckupRun:
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
    name = f"resistance_{test}"
    return CheckupRun(place, solution, {name: np.asarray(drop / rise)}, {name: slope}, {})


def _column(rows: Sequence[Mapping[str, np.ndarray]], name: str) -> np.ndarray:
    return np.array([float(row.get(name, np.nan)) for row in rows])
