"""Capacity at every cycle against PyBaMM's IDAKLU, cycle by cycle, at tight tolerance.

Run with ``python -m benchmarks.accuracy``. Both sides simulate the same cell and protocol;
the figure is the largest relative difference of the discharge capacity over all cycles.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

import cellmodels as cm
from benchmarks.pybamm_reference import Reference
from benchmarks.report import Target, arguments, report

CYCLE = ("Discharge at 1C until 2.5 V", "Charge at C/2 until 4.2 V", "Hold at 4.2 V until C/50")
MECHANISMS = ("SEI", "lithium plating", "loss of active material")
#: Faster than the set's own ageing (1 % in 500 cycles), so that there is a life to follow.
AGEING = {
    "SEI solvent diffusivity [m2.s-1]": 2e-21,
    "Negative electrode LAM constant proportional term [s-1]": 2.5e-6,
    "Positive electrode LAM constant proportional term [s-1]": 6e-6,
    "Dead lithium decay constant [s-1]": 1.5e-5,
}
#: What other benchmarks leave free: parameters that these mechanisms age by.
FREE = (
    "SEI solvent diffusivity [m2.s-1]",
    "Negative electrode LAM constant proportional term [s-1]",
    "Positive electrode LAM constant proportional term [s-1]",
    "Lithium plating kinetic rate constant [m.s-1]",
    "Dead lithium decay constant [s-1]",
)
TARGET = 1e-4

#: model, way of simulating, cycles in the full and in the quick form
CASES = (
    ("SPM", "direct", 200, 10),
    ("SPMe", "direct", 200, 5),
    ("DFN", "direct", 50, 2),
    ("SPM", "macro", 500, 60),
)


def cell_of(model: str) -> cm.Cell:
    """The cell that is simulated, at one of the model levels."""
    cell = cm.Cell(
        "lithium_ion", parameters="nmc_graphite_siox", model=model, mechanisms=MECHANISMS
    )
    return cell.with_parameters(AGEING, source="benchmarks.accuracy")


def compare(model: str, method: str, cycles: int) -> dict[str, Any]:
    """One row: both sides of one case."""
    cell = cell_of(model)
    start = time.process_time()
    life = cm.simulate(cell, cm.Protocol(CYCLE), cycles=cycles, method=method)
    ours = time.process_time() - start
    # 1e-8 is tight: a run at 1e-10 moves the capacity by less than a part in 1e8
    peer = Reference(cell, CYCLE, rtol=1e-8, atol=1e-10).run(cycles)
    mine, theirs = life["cycles"]["discharge_capacity"].values, peer["discharge_capacity"]
    if len(mine) != len(theirs):
        difference, at = float("nan"), len(mine)
    else:
        relative = np.abs(mine / theirs - 1.0)
        difference, at = float(relative.max()), int(relative.argmax()) + 1
    return {
        "model": model,
        "method": method,
        "cycles": cycles,
        "largest relative difference": difference,
        "at cycle": at,
        "capacity lost": 1.0 - float(theirs[-1] / theirs[1]),
        "own error estimate, relative": float(life.attrs["estimated_error_Ah"]) / float(theirs[0]),
        "cycles simulated": int(life.attrs["simulated_cycles"]),
        "CPU s, with set-up": ours,
        "PyBaMM CPU s (tight), cycles only": peer["cpu_time"],
    }


def main() -> None:
    """Run all cases and report."""
    quick = arguments(__doc__ or "").quick
    rows = [
        compare(model, method, short if quick else full) for model, method, full, short in CASES
    ]
    targets = [
        Target(
            f"{r['model']} {r['method']}, {r['cycles']} cycles: capacity, largest difference",
            r["largest relative difference"],
            TARGET,
        )
        for r in rows
    ]
    report("accuracy", rows, targets, quick)


if __name__ == "__main__":
    main()
