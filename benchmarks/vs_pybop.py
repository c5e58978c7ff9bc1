"""Fits beside PyBOP's, on the same records: what they find, and what that costs.

Run with ``python -m benchmarks.vs_pybop``; PyBOP comes with the extra ``benchmarks``. Times are
CPU seconds of one process, one fit after the other, each built and compiled before its clock
starts; that is listed as set-up.

Ageing: the kinetics of two mechanisms, growth of the SEI and loss of active material of the
negative electrode, from the capacity of each of fifty cycles that end by their voltage and
current. The record is PyBaMM's (IDAKLU, 1e-8) with normal noise. All start at a third of both
values.

- `cellmodels.fit`.
- PyBOP's CMA-ES until it stops by itself, with its recommended tolerances, the logarithmic
  transformation, and the sum of squares below as its cost: PyBOP has no cost for capacity
  against cycle number, and no derivatives through an experiment, so that its gradient
  optimisers and least squares are out.
- Finite differences: SciPy's least squares on PyBaMM's simulations at 1e-6
  (`benchmarks.finite_differences`), reading results not counted. This is the real bar.

Voltage traces of a fresh cell: `benchmarks.trace_fits`.

A fit of the ageing is at the optimum if it is within a fifth of a standard error of ours in both
parameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pybamm
import scipy.stats

import cellmodels as cm
from benchmarks.accuracy import CYCLE
from benchmarks.finite_differences import gauss_newton
from benchmarks.life import timed
from benchmarks.pybamm_reference import Reference
from benchmarks.report import Target, arguments, report
from benchmarks.trace_fits import trace_rows

try:
    import pybop
    from pybop.costs.base_cost import BaseCost
except ImportError:  # it is optional
    pybop, BaseCost = None, object

#: What the fits are to find.
TRUTH = {
    "SEI solvent diffusivity [m2.s-1]": 2e-20,
    "Negative electrode LAM constant proportional term [s-1]": 2e-5,
}
START = {name: value / 3 for name, value in TRUTH.items()}
BOUNDS = {name: (value / 30, value * 30) for name, value in START.items()}
#: Standard deviation of the noise on a capacity [A.h].
NOISE = 2e-3
SEED = 1
CYCLES, QUICK = 50, 6
#: CMA-ES's iterations in the short form; otherwise it stops by itself.
QUICK_ITERATIONS = 3
#: Largest difference of two optima, in standard errors.
SAME = 0.2
#: Our time over theirs.
TARGET_PYBOP, TARGET_DIFFERENCES = 1 / 100, 1 / 10


def ageing_cell() -> cm.Cell:
    """The cell with the start values: nothing that is fitted knows the truth."""
    cell = cm.Cell(
        "lithium_ion",
        parameters="nmc_graphite_siox",
        model="SPM",
        mechanisms=["SEI", cm.LossOfActiveMaterial(electrodes=("negative",))],
    )
    return cell.with_parameters(START, source="benchmarks.vs_pybop")


def capacities(solution: pybamm.Solution) -> np.ndarray:
    """Charge of the first step of every cycle [A.h]."""
    charges = [cycle.steps[0]["Discharge capacity [A.h]"].data for cycle in solution.cycles]
    return np.array([charge[-1] - charge[0] for charge in charges])


class CapacityCost(BaseCost):
    """Sum of squares of the capacities, in noises, as a cost of PyBOP."""

    def __init__(self, data: np.ndarray) -> None:
        super().__init__()
        self.data = data

    def set_target(self, target: Any = None, dataset: Any = None) -> None:
        """PyBOP's targets are variables over time; here the whole solution is read."""
        self._target: list[Any] = []

    def evaluate(
        self, solution: Any, inputs: Any = None, calculate_sensitivities: bool = False
    ) -> float:
        """The sum; infinite where the simulation did not come to its end."""
        if not isinstance(solution, pybamm.Solution) or len(solution.cycles) != len(self.data):
            return np.inf
        return float(np.sum(((capacities(solution) - self.data) / NOISE) ** 2))


def pybop_problem(data: np.ndarray) -> Any:
    """The fit as PyBOP takes it."""
    cell = ageing_cell()
    values = cell.parameter_values()
    for name, start in START.items():
        # population-based optimisers start at the mean, with the standard deviation as step
        around = scipy.stats.lognorm(s=1.0, scale=start * np.exp(-0.5))
        values[name] = pybop.Parameter(
            distribution=around, initial_value=start, transformation=pybop.LogTransformation()
        )
    simulator = pybop.pybamm.Simulator(
        cell.pybamm_model(),
        parameter_values=values,
        protocol=pybamm.Experiment([CYCLE] * len(data)),
        solver=pybamm.IDAKLUSolver(rtol=1e-6, atol=1e-6, on_failure="ignore"),
        var_pts=cell.var_pts(),
    )
    return pybop.Problem(simulator, CapacityCost(data))


def by_pybop(data: np.ndarray, quick: bool) -> dict[str, Any]:
    """CMA-ES to its own end."""
    problem, built = timed(lambda: pybop_problem(data))
    _, first = timed(lambda: problem(START))
    _, again = timed(lambda: problem(START))
    limit = {"max_iterations": QUICK_ITERATIONS} if quick else {}
    np.random.seed(SEED)  # noqa: NPY002, what PINTS draws from
    optimiser = pybop.CMAES(problem, options=pybop.PintsOptions(**limit))
    found, cpu = timed(optimiser.run)
    return {
        "fit": "PyBOP, CMA-ES",
        "CPU s": cpu,
        "set-up CPU s": built + first - again,
        "simulations": int(found.n_evaluations),
        "status": str(found._message[0]),
        "values": {name: float(found.best_inputs[name]) for name in TRUTH},
        "chi-square": float(found.best_cost),
    }


def by_differences(data: np.ndarray) -> dict[str, Any]:
    """SciPy's least squares on PyBaMM's simulations."""
    reference = Reference(
        ageing_cell(), CYCLE, free=tuple(TRUTH), rtol=1e-6, atol=1e-8, chunk=len(data)
    )
    _, built = timed(lambda: reference.run(len(data), START))

    def simulate(values: Mapping[str, float]) -> tuple[np.ndarray, float]:
        life = reference.run(len(data), values)
        return life["discharge_capacity"], life["cpu_time"]

    found = gauss_newton(simulate, START, BOUNDS, data, np.full(len(data), NOISE))
    return {
        "fit": "finite differences",
        "CPU s": found.cpu,
        "set-up CPU s": built,
        "simulations": found.simulations + found.failed,
        "status": found.status,
        "values": found.values,
        "chi-square": found.chi_square,
    }


def ours(data: np.ndarray) -> tuple[dict[str, Any], cm.Fit]:
    """The same by this library."""
    cell, protocol = ageing_cell(), cm.Protocol(CYCLE)
    cycles = {"cycle": np.arange(1, len(data) + 1), "discharge_capacity": data}
    record = cm.build_record(cycles=cycles, synthetic=True, flag=False)

    def run(most: int) -> cm.Fit:
        return cm.fit(
            cell,
            record,
            protocol,
            tuple(TRUTH),
            bounds=BOUNDS,
            noise={"discharge_capacity": NOISE},
            progress=False,
            max_evaluations=most,
        )

    run(1)  # what Numba compiles once for all
    _, built = timed(lambda: cm.Simulator(cell, protocol, tuple(TRUTH)))
    fit, cpu = timed(lambda: run(100))
    row = {
        "fit": "cellmodels",
        "CPU s": cpu - built,
        "set-up CPU s": built,
        "simulations": int(fit.trials.sizes["trial"]),
        "status": fit.status,
        "values": fit.values,
        "chi-square": fit.statistics["chi_square"],
    }
    return row, fit


def ageing_rows(quick: bool) -> tuple[list[dict[str, Any]], list[Target]]:
    """Two ageing parameters from capacities: all three fits, and our targets."""
    cycles = QUICK if quick else CYCLES
    life = Reference(ageing_cell(), CYCLE, free=tuple(TRUTH)).run(cycles, TRUTH)
    noise = NOISE * np.random.default_rng(SEED).standard_normal(cycles)
    data = life["discharge_capacity"] + noise
    row, fit = ours(data)
    rows = [row, by_differences(data), by_pybop(data, quick)]
    errors = np.sqrt(np.diag(fit.covariance.values))
    for row in rows:
        found = row.pop("values")
        from_ours = np.log([found[k] / fit.values[k] for k in TRUTH]) / errors
        from_truth = np.log([found[k] / v for k, v in TRUTH.items()]) / errors
        row["from the truth, standard errors"] = from_truth.round(2).tolist()
        row["from our optimum"] = float(np.max(np.abs(from_ours)))
        row["our CPU time over its"] = rows[0]["CPU s"] / row["CPU s"]
    rows = [{"case": f"ageing, {cycles} cycles"} | row for row in rows]
    targets = [Target("ageing: our fit not converged", float(not fit.converged), 0.0)]
    if not quick:
        for row, most in zip(rows[1:], (TARGET_DIFFERENCES, TARGET_PYBOP), strict=True):
            name = f"ageing: our CPU time over that of {row['fit']}"
            targets.append(Target(name, row["our CPU time over its"], most))
        off = rows[1]["from our optimum"]
        targets.append(Target("ageing: optimum of finite differences from ours", off, SAME))
        above = rows[0]["chi-square"] - rows[2]["chi-square"]
        targets.append(Target("ageing: our chi-square above PyBOP's", above, 0.01))
    return rows, targets


def main() -> None:
    """Run all cases and report."""
    quick = arguments(__doc__ or "").quick
    if pybop is None:
        raise SystemExit("PyBOP is not installed: pip install '.[benchmarks]' in the checkout.")
    rows, targets = ageing_rows(quick)
    trace, trace_targets = trace_rows(quick)
    report("vs_pybop", rows + trace, targets + trace_targets, quick)


if __name__ == "__main__":
    main()
