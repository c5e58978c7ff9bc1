"""A cell's life: our cost and error against PyBaMM's Experiment, cycle by cycle.

Run with ``python -m benchmarks.life``. Both sides simulate the same cell over the same cycles
with check-ups beside them, in one process, one after the other, each built and compiled
before the clock starts; times are CPU seconds of one thread.

- Cost: PyBaMM's IDAKLU at its default tolerance, reading results not counted, over
  `cellmodels.Simulator.simulate`, its table of results included.
- Error: the capacity of every cycle, and of every check-up, against IDAKLU at 1e-8.
- Derivatives: `Simulator.predict` of all capacities and check-ups with five parameters free,
  with derivatives over without.
- Length: a life of ten times as many cycles with the same number of check-ups.
- Memory: peak of a process that simulates a long DFN life with derivatives.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import cellmodels as cm
from benchmarks.accuracy import CYCLE, FREE, cell_of
from benchmarks.pybamm_reference import IncompleteLife, Reference, Test
from benchmarks.report import Target, arguments, report
from cellmodels.observations import Points, PointSet
from cellmodels.simulator import Simulator, SolverOptions

#: Charges at which the slow discharge's voltage is read [A.h].
CURVE = tuple(0.5 * k for k in range(1, 8))
#: The same tests for both sides: capacity at two rates, a curve and a pulse.
CHARGE = ("Charge at 0.5C until 4.2 V", "Hold at 4.2 V until C/50")
TESTS = (
    Test("1C", (*CHARGE, "Discharge at 1C until 2.5 V")),
    Test("C20", (*CHARGE, "Discharge at C/20 until 2.5 V"), voltages_at=CURVE),
    Test("10s", (*CHARGE, "Rest for 1 hour", "Discharge at 1C for 10 seconds"), "resistance"),
)
ERROR = 1e-4
#: model: times as fast as PyBaMM, cost of derivatives over the value's
TARGETS = {"SPM": (30.0, 2.0), "SPMe": (30.0, 2.0), "DFN": (30.0, 4.0)}
#: cycles between check-ups and number of check-ups after the first, full and quick
SIZE, QUICK = (100, 10), (10, 2)


def protocol(every: int) -> cm.Protocol:
    """The cycle, with the tests every so many cycles."""
    tests = [
        cm.Test(t.name, t.steps, measure=t.measure, voltages_at=[f"{q} A.h" for q in t.voltages_at])
        for t in TESTS
    ]
    return cm.Protocol(CYCLE, every={every: cm.Checkup(tuple(tests))})


def timed(run: Callable[[], Any]) -> tuple[Any, float]:
    """What a call returns, and its CPU time [s]."""
    start = time.process_time()
    found = run()
    return found, time.process_time() - start


def pybamm_life(model: str, every: int, count: int, rtol: float) -> dict[str, Any]:
    """PyBaMM's life with check-ups, built before it is timed, at the loosest tolerance that works.

    IDAKLU does not complete every life at every tolerance; a failed attempt is not counted.
    """
    places = range(0, every * count + 1, every)
    while True:
        reference = Reference(cell_of(model), CYCLE, tests=TESTS, rtol=rtol, atol=0.01 * rtol)
        try:
            reference.run(min(2 * reference.chunk, every * count), checkups=[0, 1])
            return reference.run(every * count, checkups=places) | {"rtol": rtol}
        except IncompleteLife as failed:
            print(f"{model}: PyBaMM at rtol {rtol:g}: {failed}", flush=True)
            if rtol < 1e-9:
                raise
            rtol *= 0.1


def compare(model: str, every: int, count: int) -> dict[str, Any]:
    """One model: cost, error and derivatives."""
    cycles = every * count
    build_start = time.process_time()
    simulator = Simulator(cell_of(model), protocol(every), FREE)
    build = time.process_time() - build_start
    simulator.simulate(min(cycles, 2 * every))  # compiles
    life, ours = timed(lambda: simulator.simulate(cycles))
    peer = pybamm_life(model, every, count, 1e-4)
    theirs = peer["cpu_time"] + peer["checkup_cpu_time"]
    again = timed(lambda: simulator.simulate(cycles))[1]
    points = all_points(every, count)
    value = timed(lambda: simulator.predict(simulator.nominal, points, jacobian=False))[1]
    slopes = timed(lambda: simulator.predict(simulator.nominal, points))[1]
    tight = pybamm_life(model, every, count, 1e-8)
    return {
        "model": model,
        "cycles": cycles,
        "check-ups": count + 1,
        "PyBaMM CPU s": theirs,
        "PyBaMM rtol": peer["rtol"],
        "of which check-ups": peer["checkup_cpu_time"],
        "our CPU s": min(ours, again),
        "times faster": theirs / min(ours, again),
        "our set-up CPU s": build,
        "PyBaMM set-up s": peer["build_time"],
        "capacity error": largest(life["cycles"]["discharge_capacity"], tight),
        "check-up error": max(
            largest(life["checkups"][f"capacity_{t}"], tight) for t in ("1C", "C20")
        ),
        "voltage error, V": float(
            np.max(np.abs(life["checkups"]["voltage_C20"].values - tight["voltage_C20"]))
        ),
        "PyBaMM's own capacity error": largest_of(peer, tight, "discharge_capacity"),
        "value CPU s": value,
        "with 5 derivatives CPU s": slopes,
        "derivatives over value": slopes / value,
        "cycles simulated": int(life.attrs["simulated_cycles"]),
        "capacity lost": 1.0
        - float(tight["discharge_capacity"][-1] / tight["discharge_capacity"][1]),
    }


def all_points(every: int, count: int) -> Points:
    """The capacity of every cycle and everything that the check-ups measure."""
    places = np.arange(0, every * count + 1, every)
    measured = ("capacity_1C", "capacity_C20", "resistance_10s")
    cycles = np.arange(1, every * count + 1)
    return Points(
        (
            PointSet("cycles", "discharge_capacity", "cycle", cycles),
            *(PointSet("checkups", name, "cycle", places) for name in measured),
            *(PointSet("checkups", "voltage_C20", "cycle", places, k) for k in range(len(CURVE))),
        )
    )


def largest(ours: Any, tight: dict[str, Any]) -> float:
    """Largest relative difference of a table's column from the reference."""
    expected = tight[ours.name]
    if len(ours) != len(expected):
        return float("nan")
    return float(np.max(np.abs(ours.values / expected - 1.0)))


def largest_of(one: dict[str, Any], other: dict[str, Any], name: str) -> float:
    """Largest relative difference between two reference lives."""
    return float(np.max(np.abs(one[name] / other[name] - 1.0)))


def ten_times_longer(model: str, every: int, count: int) -> dict[str, Any]:
    """The cost of a smooth life with ten times as many cycles, same number of check-ups."""
    slower = {name: 0.1 * cell_of(model).value(name) for name in FREE[:3]}
    costs = []
    for factor in (1, 10):
        simulator = Simulator(cell_of(model).with_parameters(slower), protocol(factor * every))
        cycles = factor * every * count
        simulator.simulate(2)
        costs.append(min(timed(partial(simulator.simulate, cycles))[1] for _ in range(2)))
    return {
        "model": model,
        "cycles": every * count,
        "CPU s": costs[0],
        "ten times as many, CPU s": costs[1],
        "ratio": costs[1] / costs[0],
    }


def memory(cycles: int) -> dict[str, Any]:
    """Peak memory of a DFN life with derivatives, in a process of its own."""
    code = f"import benchmarks.life as life; life.long_life({cycles})"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    before, peak, done = out.stdout.split()
    return {
        "model": "DFN",
        "cycles": int(done),
        "before the life, MB": float(before),
        "peak, MB": float(peak),
    }


def long_life(cycles: int) -> None:
    """Simulate a DFN life with derivatives; print memory before, at most, and its cycles."""
    slower = {name: 0.1 * cell_of("DFN").value(name) for name in FREE[:3]}
    simulator = Simulator(
        cell_of("DFN").with_parameters(slower),
        cm.Protocol(CYCLE),
        FREE,
        SolverOptions(method="macro"),
    )
    before = peak_memory()
    life = simulator.life(simulator.nominal, cycles)
    print(before, peak_memory(), life.cycles)


def peak_memory() -> float:
    """Largest memory of this process so far [MB]."""
    try:  # getrusage would count that of the process which started this one
        with open("/proc/self/status", encoding="ascii") as lines:
            line = next(line for line in lines if line.startswith("VmHWM"))
        return float(line.split()[1]) / 1024
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Run all comparisons and report."""
    quick = arguments(__doc__ or "").quick
    every, count = QUICK if quick else SIZE
    rows, targets = [], []
    for model, (faster, slopes) in TARGETS.items():
        row = compare(model, every, count)
        print(row, flush=True)
        rows.append(row)
        targets.append(Target(f"{model}: capacity error", row["capacity error"], ERROR))
        targets.append(Target(f"{model}: check-up error", row["check-up error"], ERROR))
        if not quick:
            targets.append(
                Target(f"{model}: our cost over PyBaMM's", 1 / row["times faster"], 1 / faster)
            )
            targets.append(
                Target(f"{model}: derivatives over value", row["derivatives over value"], slopes)
            )
    if not quick:
        for model in TARGETS:
            longer = ten_times_longer(model, every, count)
            print(longer, flush=True)
            rows.append(longer)
            targets.append(
                Target(f"{model}: ten times as many cycles over the cost", longer["ratio"], 2.0)
            )
        used = memory(5000)
        print(used, flush=True)
        targets.append(
            Target("DFN, 5000 cycles with derivatives: peak memory, MB", used["peak, MB"], 1000.0)
        )
    report("life", [r for r in rows if "our CPU s" in r], targets, quick)


if __name__ == "__main__":
    main()
