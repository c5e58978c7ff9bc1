"""PyBaMM's own simulation of a cell's life: the other side of every comparison.

A life is run cycle by cycle through `pybamm.Simulation` with the SUNDIALS solver IDAKLU. The
cycles are run in chunks, each continued from the last state of the one before, so that a long life
needs no more memory than one chunk. Check-ups are run beside the life, from the state it has at
that cycle, and do not age the cell.

What is read from a step is exact to the solver's tolerance: the charge of a step is the difference
of the state "Discharge capacity [A.h]", which the solver integrates, between the first and the last
point of the step; the last point of a step that an event ends is the event itself as located by
the solver's root finding, not an interpolation between saved points. Variables are evaluated by
CasADi functions of the state made here, because PyBaMM's `Solution[...]` adds and subtracts one and
so loses the digits of small numbers such as a film thickness in metres.

``python -m benchmarks.pybamm_reference`` measures its cost and its error.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import casadi
import numpy as np
import pybamm

from benchmarks.report import Target, arguments, report
from cellmodels.cell import Cell

CHARGE = "Discharge capacity [A.h]"
ENERGY = "Discharge energy [W.h]"
VOLTAGE = "Voltage [V]"
CURRENT = "Current [A]"

#: Slow quantities followed by default, where the model has them.
SLOW_STATES = (
    "X-averaged negative SEI thickness [m]",
    "X-averaged negative lithium plating concentration [mol.m-3]",
    "X-averaged negative dead lithium concentration [mol.m-3]",
    "X-averaged negative electrode active material volume fraction",
    "X-averaged positive electrode active material volume fraction",
    "X-averaged negative particle crack length [m]",
    "Loss of lithium inventory [%]",
    "Loss of active material in negative electrode [%]",
    "Loss of active material in positive electrode [%]",
)


class IncompleteLife(RuntimeError):
    """PyBaMM did not finish what it was asked to simulate."""


@dataclass(frozen=True)
class Test:
    """One test of a check-up.

    Parameters
    ----------
    name
        Name of the test; results are called ``capacity_<name>`` and so on.
    steps
        PyBaMM's step strings, run one after the other from the state of the life. A step before
        the last whose end is already passed when it begins, such as the charge of a charged cell,
        is left out, as PyBaMM does.
    measure
        "capacity": charge discharged by the last step (A.h). "resistance": fall of the voltage
        between the ends of the last two steps over the rise of the current (ohm). Or one of the
        variables that are followed, read at the end of the last step; the result is called
        ``state_<name>``.
    voltages_at
        Charges (A.h) discharged since the start of the last step, a constant-current one, at which
        the voltage (V) is read; nan beyond the end of the step.
    """

    __test__ = False  # not a test case, though pytest would think so

    name: str
    steps: tuple[str, ...]
    measure: str = "capacity"
    voltages_at: tuple[float, ...] = ()


@dataclass(frozen=True)
class _StepResult:
    """What is kept of one step."""

    duration: float
    first: np.ndarray
    last: np.ndarray


@dataclass
class _Reader:
    """CasADi functions of the state for a few variables, made once for each built model."""

    variables: Sequence[str]
    _functions: dict[int, tuple[Any, casadi.Function]] = field(default_factory=dict)

    def __call__(self, solution: pybamm.Solution, point: int) -> np.ndarray:
        """Values of the variables at the first (0) or last (-1) point of `solution`."""
        model = solution.all_models[point]
        if id(model) not in self._functions:
            # The model is kept beside its function so that its id stays its own.
            self._functions[id(model)] = (model, self._compile(model, solution))
        y = np.asarray(solution.all_ys[point])[:, point]
        t = solution.all_ts[point][point]
        p = solution.all_inputs_stacked[point] if solution.all_inputs[point] else []
        values = self._functions[id(model)][1](t, y, p)
        return np.asarray(values, dtype=float).ravel()

    def _compile(self, model: Any, solution: pybamm.Solution) -> casadi.Function:
        t, y = casadi.MX.sym("t"), casadi.MX.sym("y", solution.all_ys[-1].shape[0])
        inputs, offset = {}, 0
        size = sum(np.size(v) for v in solution.all_inputs[-1].values())
        p = casadi.MX.sym("p", size)
        for name, value in solution.all_inputs[-1].items():
            inputs[name] = p[offset : offset + np.size(value)]
            offset += np.size(value)
        outputs = [
            model.get_processed_variable(v).to_casadi(t, y, inputs=inputs) for v in self.variables
        ]
        return casadi.Function("read", [t, y, p], [casadi.vertcat(*outputs)])


class Reference:
    """A cell's life in PyBaMM, built once and run for any values of its free parameters.

    Parameters
    ----------
    cell
        Anything with ``pybamm_model()``, ``parameter_values()`` and ``var_pts()``, such as
        `cellmodels.Cell`.
    cycle_steps
        PyBaMM's step strings of one cycle.
    tests
        The check-up's tests, if any.
    free
        Names of parameters whose values are given to `run`, without building anew.
    rtol, atol
        Tolerances of IDAKLU.
    states
        Slow variables to keep; by default those of `SLOW_STATES` that the model has.
    chunk
        Cycles per call of PyBaMM, at least 2 (so that PyBaMM's compiled step-to-step maps cover
        the joint between two cycles).
    mode
        PyBaMM's `experiment_model_mode`: "legacy" (a model for each step) or "unified".
    options
        Further options of IDAKLU.
    root_method
        How IDAKLU finds consistent states; by default its own way.
    may_skip
        Whether a step may have nothing to do, such as a strip that finds no zinc.
    """

    def __init__(
        self,
        cell: Any,
        cycle_steps: Sequence[str],
        *,
        tests: Iterable[Test] = (),
        free: Iterable[str] = (),
        rtol: float = 1e-8,
        atol: float = 1e-10,
        states: Sequence[str] | None = None,
        chunk: int = 20,
        mode: str = "legacy",
        options: Mapping[str, Any] | None = None,
        root_method: str | None = None,
        may_skip: bool = False,
    ) -> None:
        self.may_skip = may_skip
        self.cell, self.cycle_steps, self.tests = cell, tuple(cycle_steps), tuple(tests)
        self._root = {} if root_method is None else {"root_method": root_method}
        self.options = dict(options or {})
        self.free, self.rtol, self.atol = tuple(free), rtol, atol
        self.chunk, self.mode = max(2, chunk), mode
        known = cell.pybamm_model().variables
        self.states = tuple(v for v in SLOW_STATES if v in known) if states is None else states
        more = (ENERGY,) if ENERGY in known else ()
        self._read = _Reader((CHARGE, VOLTAGE, CURRENT, *self.states, *more))
        self._simulations: dict[Any, pybamm.Simulation] = {}

    def run(
        self,
        cycles: int,
        inputs: Mapping[str, float] | None = None,
        checkups: Iterable[int] = (),
    ) -> dict[str, Any]:
        """Simulate a life.

        Parameters
        ----------
        cycles
            Number of cycles.
        inputs
            Values of the free parameters.
        checkups
            Cycles after which the tests are run; 0 is the fresh cell as the parameter set leaves
            it, before any step.

        Returns
        -------
        dict
            ``cycle`` (n,), ``discharge_capacity``, ``charge_capacity`` (n,) [A.h],
            ``step_duration`` (n, steps) [s], ``step_charge`` (n, steps) [A.h, positive on
            discharge], ``elapsed_time`` (n,) [s], ``throughput`` (n,) [A.h discharged],
            ``states`` {name: (n,)} at cycle ends and ``step_states`` {name: (n, steps)} at the ends
            of steps, ``step_energy`` (n, steps) [W.h] where the model counts it, ``wall_time``
            and ``cpu_time`` [s] of PyBaMM's solves of the cycles, ``checkup_cpu_time`` of those of
            the check-ups (reading results not counted), and ``build_time``; with check-ups also
            ``checkup`` (k,) and, per test,
            ``capacity_<name>`` (k,), ``voltage_<name>`` (k, charges), ``resistance_<name>`` (k,).

        Raises
        ------
        IncompleteLife
            If a step was skipped, failed, ended by another event than its own, or is not finite.
        """
        inputs = dict(inputs or {})
        if set(inputs) != set(self.free):
            raise IncompleteLife(f"free parameters are {self.free}, values given: {list(inputs)}")
        wanted = sorted({int(k) for k in checkups})
        rows: list[list[_StepResult]] = []
        tests: list[dict[str, Any]] = []
        clock = dict.fromkeys(("wall_time", "cpu_time", "build_time", "checkup_cpu_time"), 0.0)
        if wanted and wanted[0] == 0:
            tests.append(self._checkup(None, inputs, clock))
        state = None
        while len(rows) < cycles:
            done, count = len(rows), min(self.chunk, cycles - len(rows))
            solution = self._chunk(count, state, inputs, clock)
            for k, cycle in enumerate(solution.cycles[-count:], start=done + 1):
                before = None
                if self.may_skip:
                    nothing = np.zeros(len(self._read.variables))
                    before = rows[-1][-1].last if rows else nothing
                rows.append(self._steps(cycle, self.cycle_steps, f"cycle {k}", before))
                if k in wanted:
                    tests.append(self._checkup(cycle.steps[-1].last_state, inputs, clock))
            state = _own(_last_state(solution.cycles[-count:]))
        return self._life(rows) | clock | _stack(wanted, tests)

    def attempt(
        self, cycles: int, inputs: Mapping[str, float] | None = None
    ) -> tuple[dict[str, Any], str]:
        """What PyBaMM completes of a life, and why it goes no further.

        A step whose end is passed when it begins is left out, as PyBaMM does: it takes no time.

        Parameters
        ----------
        cycles, inputs
            As `run`.

        Returns
        -------
        dict, str
            As `run`, with as many cycles as were completed, and the reason why no more were, empty
            if all are there.
        """
        inputs = dict(inputs or {})
        rows: list[list[_StepResult]] = []
        clock = dict.fromkeys(("wall_time", "cpu_time", "build_time"), 0.0)
        state, reason, chunk = None, "", self.chunk
        while len(rows) < cycles and not reason:
            count = min(chunk, cycles - len(rows))
            try:
                solution = self._solution(count, state, inputs, clock)
                done = getattr(solution, "cycles", [])[0 if state is None else 1 :]
                for cycle in done:
                    nothing = np.zeros(len(self._read.variables))
                    last = rows[-1][-1].last if rows else nothing
                    where = f"cycle {len(rows) + 1}"
                    rows.append(self._steps(cycle, self.cycle_steps, where, last))
                if len(done) < count:
                    reason = str(solution.termination)
                elif len(rows) < cycles:
                    state = _own(_last_state(done))
            except IncompleteLife as failed:
                if chunk > 1 and len(rows) % chunk == 0:
                    chunk = (
                        1  # where no step of a cycle can be done, that of the whole chunk is lost
                    )
                    continue
                reason = str(failed) or "no reason given"
        return self._life(rows) | clock, reason

    def build(self, *counts: int) -> None:
        """Build the simulations of so many cycles at once, instead of when first needed."""
        for count in counts:
            self._simulation(count, [self.cycle_steps] * count)

    def _simulation(self, key: Any, steps: Sequence[Any]) -> tuple[pybamm.Simulation, float]:
        """The simulation of `steps`, built on first use, and the seconds that took."""
        if key in self._simulations:
            return self._simulations[key], 0.0
        start = time.perf_counter()
        values = self.cell.parameter_values()
        values.update(dict.fromkeys(self.free, "[input]"), check_already_exists=False)
        solver = pybamm.IDAKLUSolver(
            rtol=self.rtol,
            atol=self.atol,
            root_tol=min(1e-6, 10 * self.atol),
            options=self.options,
            **self._root,
        )
        simulation = pybamm.Simulation(
            self.cell.pybamm_model(),
            experiment=pybamm.Experiment(list(steps)),
            parameter_values=values,
            solver=solver,
            var_pts=self.cell.var_pts(),
            experiment_model_mode=self.mode,
        )
        simulation.build_for_experiment(inputs=dict.fromkeys(self.free, 1.0))
        self._simulations[key] = simulation
        return simulation, time.perf_counter() - start

    def _chunk(
        self, count: int, state: Any, inputs: dict[str, float], clock: dict[str, float]
    ) -> pybamm.Solution:
        """Run `count` more cycles from `state`."""
        solution = self._solution(count, state, inputs, clock)
        found = len(solution.cycles) - (0 if state is None else 1)
        if found != count:
            raise IncompleteLife(f"{found} of {count} cycles done: {solution.termination}")
        return solution

    def _solution(
        self, count: int, state: Any, inputs: dict[str, float], clock: dict[str, float]
    ) -> pybamm.Solution:
        """What comes of `count` more cycles from `state`, on the clock."""
        simulation, built = self._simulation(count, [self.cycle_steps] * count)
        clock["build_time"] += built
        wall, cpu = time.perf_counter(), time.process_time()
        solution = _solve(simulation, state, inputs)
        clock["wall_time"] += time.perf_counter() - wall
        clock["cpu_time"] += time.process_time() - cpu
        return solution

    def _steps(
        self, cycle: Any, steps: Sequence[str], where: str, before: np.ndarray | None = None
    ) -> list[_StepResult]:
        """Results of all steps of a cycle, each of them checked.

        A step that had nothing to do takes no time from what was `before`, or is refused.
        """
        if len(cycle.steps) != len(steps):
            raise IncompleteLife(f"{where}: {len(cycle.steps)} of {len(steps)} steps done")
        results: list[_StepResult] = []
        for solution, text in zip(cycle.steps, steps, strict=True):
            if before is not None and isinstance(solution, pybamm.EmptySolution):
                results.append(_StepResult(0.0, before, before))
                continue
            results.append(self._step(solution, text, f"{where}, {text!r}"))
            before = results[-1].last if before is not None else None
        return results

    def _test_steps(self, cycle: Any, test: Test) -> list[_StepResult]:
        """Results of a test's steps, without those before the last that had nothing to do."""
        *before, last = zip(cycle.steps, test.steps, strict=True)
        done = [pair for pair in before if not isinstance(pair[0], pybamm.EmptySolution)]
        where = f"check-up {test.name!r}"
        return [
            self._step(solution, text, f"{where}, {text!r}") for solution, text in [*done, last]
        ]

    def _step(self, solution: Any, text: str, where: str) -> _StepResult:
        if isinstance(solution, pybamm.EmptySolution):
            raise IncompleteLife(f"{where}: skipped, its end was passed before it began")
        ended = solution.termination
        endless = "until" in text and " for " not in text
        if "[experiment]" not in ended and (endless or ended != "final time"):
            raise IncompleteLife(f"{where}: ended by {ended!r}")
        first, last = self._read(solution, 0), self._read(solution, -1)
        if not (np.isfinite(first).all() and np.isfinite(last).all()):
            raise IncompleteLife(f"{where}: not finite")
        return _StepResult(float(solution.t[-1] - solution.t[0]), first, last)

    def _life(self, rows: list[list[_StepResult]]) -> dict[str, Any]:
        shape = (len(rows), len(self.cycle_steps))
        charge = np.array([[s.last[0] - s.first[0] for s in row] for row in rows]).reshape(shape)
        duration = np.array([[s.duration for s in row] for row in rows]).reshape(shape)
        count = 3 + len(self.states)
        ends = np.array([[s.last[3:count] for s in row] for row in rows])
        ends = ends.reshape(*shape, len(self.states))
        energy = np.array([[s.last[count:] - s.first[count:] for s in row] for row in rows])
        discharged = charge.clip(min=0).sum(axis=1)
        return {
            "cycle": np.arange(1, len(rows) + 1),
            "discharge_capacity": discharged,
            "charge_capacity": -charge.clip(max=0).sum(axis=1),
            "step_duration": duration,
            "step_charge": charge,
            "elapsed_time": duration.sum(axis=1).cumsum(),
            "throughput": discharged.cumsum(),
            "states": {name: ends[:, -1, i] for i, name in enumerate(self.states)},
            "step_states": {name: ends[..., i] for i, name in enumerate(self.states)},
            **({"step_energy": energy.reshape(shape)} if energy.size else {}),
        }

    def _checkup(
        self, state: Any, inputs: dict[str, float], clock: dict[str, float]
    ) -> dict[str, Any]:
        """All tests, each from a copy of `state`."""
        results: dict[str, Any] = {}
        for test in self.tests:
            simulation, _ = self._simulation(test, [test.steps])
            cpu = time.process_time()
            solution = _solve(simulation, state, inputs)
            clock["checkup_cpu_time"] += time.process_time() - cpu
            if len(solution.cycles) != (1 if state is None else 2):
                raise IncompleteLife(f"check-up {test.name!r}: {solution.termination}")
            cycle = solution.cycles[-1]
            if len(cycle.steps) != len(test.steps):
                raise IncompleteLife(f"check-up {test.name!r}: {solution.termination}")
            results |= self._measure(test, cycle.steps[-1], self._test_steps(cycle, test))
        return results

    def _measure(self, test: Test, last: Any, steps: list[_StepResult]) -> dict[str, Any]:
        end = steps[-1]
        if test.measure == "resistance":
            (_, v0, i0), (_, v1, i1) = steps[-2].last[:3], end.last[:3]
            return {f"resistance_{test.name}": (v0 - v1) / (i1 - i0)}
        if test.measure in self.states:
            place = 3 + list(self.states).index(test.measure)
            return {f"state_{test.name}": end.last[place]}
        results = {f"capacity_{test.name}": end.last[0] - end.first[0]}
        if test.voltages_at:
            current = end.first[2]
            times = np.array(test.voltages_at) * 3600 / current
            inside = times <= end.duration
            voltages = np.full(times.size, np.nan)
            # Hermite interpolation of the solver's own steps, as exact as the steps.
            voltages[inside] = last[VOLTAGE](last.t[0] + times[inside])
            results[f"voltage_{test.name}"] = voltages
        return results


def reference_life(
    cell: Any,
    cycle_steps: Sequence[str],
    cycles: int,
    rtol: float = 1e-8,
    atol: float = 1e-10,
    inputs: Mapping[str, float] | None = None,
    checkups: tuple[Iterable[int], Iterable[Test]] | None = None,
    **settings: Any,
) -> dict[str, Any]:
    """Simulate one life with PyBaMM; see `Reference` for many lives of the same cell.

    Parameters
    ----------
    cell, cycle_steps, cycles, rtol, atol, inputs
        As `Reference` and `Reference.run`; the names in `inputs` are the free parameters.
    checkups
        ``(cycles, tests)``, the same tests at each of these cycles.
    **settings
        `states`, `chunk`, `mode`, `options` of `Reference`.

    Returns
    -------
    dict
        As `Reference.run`.

    Raises
    ------
    IncompleteLife
        As `Reference.run`.
    """
    at, tests = checkups or ((), ())
    reference = Reference(
        cell, cycle_steps, tests=tests, free=inputs or (), rtol=rtol, atol=atol, **settings
    )
    return reference.run(cycles, inputs, at)


def _solve(simulation: pybamm.Simulation, state: Any, inputs: dict[str, float]) -> pybamm.Solution:
    try:
        return simulation.solve(starting_solution=state, inputs=inputs, calc_esoh=False)
    except pybamm.SolverError as error:
        raise IncompleteLife(str(error)) from error


def _last_state(cycles: Sequence[Any]) -> pybamm.Solution:
    """The state at the end of the last step that took time."""
    steps = [s for c in cycles for s in c.steps if not isinstance(s, pybamm.EmptySolution)]
    return steps[-1].last_state


def _own(state: pybamm.Solution) -> pybamm.Solution:
    """The state with arrays of its own: PyBaMM's is a view that keeps the whole step alive."""
    copy = state.copy()
    copy._all_ys = [np.array(y) for y in state.all_ys]
    if state.all_yps is not None:
        copy._all_yps = [np.array(y) for y in state.all_yps]
    return copy


def _stack(cycles: Sequence[int], tests: list[dict[str, Any]]) -> dict[str, Any]:
    if not tests:
        return {}
    return {"checkup": np.array(cycles)} | {k: np.array([t[k] for t in tests]) for k in tests[0]}


def main() -> None:
    """Measure what the reference costs and how exact it is."""
    quick = arguments("PyBaMM's cost and error per cycle, by tolerance and mode").quick
    rows, targets = [], []
    for model, full in (("SPM", 60), ("SPMe", 20), ("DFN", 6)):
        cell = Cell(
            "lithium_ion",
            parameters="nmc_graphite_siox",
            model=model,
            mechanisms=["SEI", "lithium plating", "loss of active material"],
        )
        cycles = 4 if quick else full
        rows += _rows(cell, cycles)
        chunks = _timed(cell, cycles, 1e-8, 1e-10, chunk=2)["discharge_capacity"]
        whole = _timed(cell, cycles, 1e-8, 1e-10, chunk=cycles)["discharge_capacity"]
        name = f"{model}: chunks of 2 cycles against one uninterrupted run, A.h"
        targets.append(Target(name, float(np.abs(chunks - whole).max()), 1e-7))
    report("pybamm_reference", rows, targets, quick)


def _rows(cell: Cell, cycles: int) -> list[dict[str, Any]]:
    tight = _timed(cell, cycles, 1e-10, 1e-12)["discharge_capacity"]
    rows = []
    for rtol, atol in ((1e-4, 1e-6), (1e-6, 1e-8), (1e-8, 1e-10)):
        for mode in ("legacy", "unified"):
            found = _timed(cell, cycles, rtol, atol, mode)
            error = np.abs(found["discharge_capacity"] - tight).max()
            row = {"model": cell.model, "cycles": cycles, "rtol": rtol, "mode": mode}
            row |= {"wall ms per cycle": 1e3 * found["wall_time"] / cycles}
            row |= {"CPU ms per cycle": 1e3 * found["cpu_time"] / cycles}
            rows.append(row | {"largest error of a capacity, A.h": float(error)})
    return rows


def _timed(
    cell: Cell, cycles: int, rtol: float, atol: float, mode: str = "legacy", chunk: int = 20
) -> dict[str, Any]:
    """A life with everything built and compiled before the clock starts."""
    steps = (
        "Discharge at 1C until 2.5 V",
        "Charge at 0.5C until 4.2 V",
        "Hold at 4.2 V until C/50",
    )
    reference = Reference(cell, steps, rtol=rtol, atol=atol, mode=mode, chunk=chunk)
    reference.run(cycles if cycles <= chunk else chunk + cycles % chunk)
    return reference.run(cycles)


if __name__ == "__main__":
    main()
