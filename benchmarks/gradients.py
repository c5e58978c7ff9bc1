"""Derivatives of the capacity of a late cycle against central differences of both sides.

Run with ``python -m benchmarks.gradients``. The exact derivatives with respect to five
ageing parameters (as logarithms) are compared with central differences of our own map,
cycle by cycle on the same time meshes, and of PyBaMM's IDAKLU at 1e-10. The differences'
own error is estimated from two step sizes. The derivatives of the macro scheme are compared
with the exact ones of the cycle-by-cycle simulation, in units of the data's noise.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import cellmodels as cm
from benchmarks.accuracy import CYCLE, FREE, cell_of
from benchmarks.pybamm_reference import Reference
from benchmarks.report import Target, arguments, report
from cellmodels.observables import CycleObservables
from cellmodels.simulator import Simulator, SolverOptions
from cellmodels.solver.life import Life, LifeOptions, LifeSolver
from cellmodels.solver.newton import NewtonOptions

#: model, cycle in the full and in the quick form
CASES = (("SPM", 100, 4), ("SPMe", 40, 2), ("DFN", 12, 2))
OWN_STEP, PEER_STEP = 1e-3, 1e-2
#: Capacity noise [A.h] in whose units the macro scheme's derivatives are judged.
NOISE = 1e-3


def _capacity(simulator: Simulator, life: Life, cycle: int) -> tuple[float, np.ndarray]:
    """Discharge capacity of a cycle and its derivatives by ln(parameter)."""
    values, slopes = CycleObservables(simulator.specs, simulator.cell.electrode_area).integer(
        life, "discharge_capacity", np.array([cycle])
    )
    return float(values[0]), slopes[0]


def _direct(simulator: Simulator, cycles: int) -> LifeSolver:
    return simulator.life_solver(cycles, LifeOptions(method="direct", keep_solutions=True))


def own(cell: cm.Cell, cycle: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Exact derivatives, central differences on the same meshes, and the latter's error."""
    tight = SolverOptions(method="direct", newton=NewtonOptions(tolerance=1e-12, max_iterations=40))
    simulator = Simulator(cell, cm.Protocol(CYCLE), FREE, tight)
    solver, theta = _direct(simulator, cycle), np.ones(len(FREE))
    base = solver.run(theta, cycle)
    exact = _capacity(simulator, base, cycle)[1]

    def capacity(shifted: np.ndarray) -> float:
        life = solver.run(shifted, cycle, sensitivities=False, previous=base)
        return _capacity(simulator, life, cycle)[0]

    fine, coarse = _differences(capacity, OWN_STEP), _differences(capacity, 2.0 * OWN_STEP)
    return exact, (4.0 * fine - coarse) / 3.0, np.abs(fine - coarse) / 3.0


def peer(cell: cm.Cell, cycle: int) -> tuple[np.ndarray, np.ndarray]:
    """Central differences of PyBaMM by ln(parameter), and their error."""
    reference = Reference(cell, CYCLE, free=FREE, rtol=1e-10, atol=1e-10)
    nominal = np.array([cell.value(name) for name in FREE])

    def capacity(theta: np.ndarray) -> float:
        run = reference.run(cycle, dict(zip(FREE, theta * nominal, strict=True)))
        return float(run["discharge_capacity"][-1])

    fine, coarse = _differences(capacity, PEER_STEP), _differences(capacity, 2.0 * PEER_STEP)
    return (4.0 * fine - coarse) / 3.0, np.abs(fine - coarse) / 3.0


def _differences(capacity: Any, step: float) -> np.ndarray:
    out = []
    for k in range(len(FREE)):
        shift = np.zeros(len(FREE))
        shift[k] = step
        out.append((capacity(1.0 + shift) - capacity(1.0 - shift)) / (2.0 * step))
    return np.array(out)


def _relative(found: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Relative difference, entries floored at 1e-3 of the largest."""
    size = np.abs(reference)
    return np.abs(found - reference) / np.maximum(size, 1e-3 * size.max())


def rows_of(model: str, cycle: int) -> list[dict[str, Any]]:
    """One row for each parameter."""
    cell = cell_of(model)
    exact, differences, own_error = own(cell, cycle)
    other, other_error = peer(cell, cycle)
    return [
        {
            "model": model,
            "cycle": cycle,
            "parameter": name,
            "d capacity / d ln p [A.h]": exact[k],
            "own difference": differences[k],
            "relative to own": _relative(exact, differences)[k],
            "own difference's error": own_error[k] / abs(differences[k]) if differences[k] else 0.0,
            "PyBaMM difference": other[k],
            "relative to PyBaMM": _relative(exact, other)[k],
            "PyBaMM difference's error": other_error[k] / abs(other[k]) if other[k] else 0.0,
        }
        for k, name in enumerate(FREE)
    ]


def macro_error(cycles: int) -> float:
    """Largest difference of the macro scheme's derivatives from the exact ones, in noises."""
    simulator = Simulator(cell_of("SPM"), cm.Protocol(CYCLE), FREE)
    theta = np.ones(len(FREE))
    macro = simulator.life(simulator.nominal, cycles)
    direct = _direct(simulator, cycles).run(theta, cycles)
    n = np.arange(1, cycles + 1)
    observables = CycleObservables(simulator.specs, simulator.cell.electrode_area)
    difference = (
        observables.integer(macro, "discharge_capacity", n)[1]
        - observables.integer(direct, "discharge_capacity", n)[1]
    )
    return float(np.abs(difference).max() / NOISE)


def main() -> None:
    """Run all cases and report."""
    quick = arguments(__doc__ or "").quick
    rows: list[dict[str, Any]] = []
    targets = []
    for model, full, short in CASES:
        found = rows_of(model, short if quick else full)
        rows += found
        worst = {
            key: max(r[key] for r in found) for key in ("relative to own", "relative to PyBaMM")
        }
        targets.append(
            Target(
                f"{model}: from central differences of our own map", worst["relative to own"], 1e-5
            )
        )
        targets.append(
            Target(
                f"{model}: from central differences of IDAKLU", worst["relative to PyBaMM"], 1e-3
            )
        )
    cycles = 40 if quick else 300
    targets.append(
        Target(
            f"macro scheme, SPM, {cycles} cycles: error of d capacity / d ln p in noises of 1 mA.h",
            macro_error(cycles),
            0.1,
        )
    )
    report("gradients", rows, targets, quick)


if __name__ == "__main__":
    main()
