"""Check-ups simulated beside a life: tests run from its state, measured and differentiated."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from cellmodels.cell import Cell
from cellmodels.checkup_measures import Measured, SolvedTest, measured, state_at_end
from cellmodels.checkup_test import Test
from cellmodels.errors import InputError, did_you_mean
from cellmodels.lowering import ampere_hours
from cellmodels.protocol import Protocol
from cellmodels.quantities import CURVE_PLACES, MEASURES, STATE_VARIABLES, unit_of
from cellmodels.solver.cycle import CycleSolution, SequenceSolver
from cellmodels.solver.sensitivity import StepSensitivity
from cellmodels.steps import Step

#: Name under which the state before any test is measured.
AT_REST = ""
#: A rest so short that it only lets the current and what follows it at once fall to zero.
_MOMENT = Step("rest", 0.0, "", max_duration=1.0)


@dataclass(frozen=True)
class CheckupRun:
    """One test at one place of a life, and what it measured."""

    place: float
    solution: CycleSolution
    measured: Mapping[str, Measured]

    def value(self, variable: str, column: int | None) -> tuple[float, np.ndarray]:
        """A variable, or one column of a curve, with its derivatives (n_theta,)."""
        where = () if column is None else (column,)
        found = self.measured[variable]
        return float(found.value[where]), found.slope[where]

    def table(self) -> dict[str, np.ndarray]:
        """Values for a record: NaN where the test ended before it came there."""
        return {
            name: np.where(found.reached, found.value, np.nan)
            for name, found in self.measured.items()
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
        tangents: tuple[StepSensitivity | None, ...] = (None,) * len(solution.steps)
        if dx.shape[1]:
            interpolated = spec is not None and (spec.curve is not None or spec.times_at)
            keep = (spec.measured_step,) if spec is not None and interpolated else ()
            unit = np.eye(len(theta))
            _, tangents = solver.sensitivity(solution, theta, dx, unit, keep_stages=keep)
        solved = SolvedTest(solver, theta, solution, tangents, self._cell.voltage_limits)
        if spec is None:
            found = {name: state_at_end(solved, output) for name, output in self._states.items()}
        else:
            output = self._states.get(spec.measure, "")
            found = dict(measured(spec, solved, self.charges(test), output))
        return CheckupRun(place, solution, found)

    def dataset(self, rows: Sequence[Mapping[str, np.ndarray]]) -> dict:
        """Rows of test values as variables of /checkups (NaN where a test was not done)."""
        data: dict[str, tuple] = {}
        for name, test in self._tests.items():
            for variable in test.variables:
                attrs = {"units": unit_of(variable)}
                if variable == test.curve:
                    kind, places = self._places(test)
                    data[f"{kind}_{name}"] = (
                        f"{kind}_{name}",
                        places,
                        {"units": CURVE_PLACES[kind].unit},
                    )
                    empty = np.full(len(places), np.nan)
                    curve = np.array([row.get(variable, empty) for row in rows])
                    data[variable] = (("checkup", f"{kind}_{name}"), curve, attrs)
                else:
                    data[variable] = ("checkup", _column(rows, variable), attrs)
        for name in self._states:
            known = STATE_VARIABLES[name]
            attrs = {"units": known.unit, "long_name": known.long_name}
            data[name] = ("checkup", _column(rows, name), attrs)
        return data

    def _places(self, test: Test) -> tuple[str, np.ndarray]:
        """Of which kind the places along a test's curve are, and where they are."""
        if test.times_at:
            return "time", np.array(test.times_at)
        return "charge", self.charges(test.name)


def _column(rows: Sequence[Mapping[str, np.ndarray]], name: str) -> np.ndarray:
    return np.array([float(row.get(name, np.nan)) for row in rows])
