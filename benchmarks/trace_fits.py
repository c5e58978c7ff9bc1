"""Fits of a fresh cell's voltage trace against what can be written with PyBaMM and SciPy.

``python -m benchmarks.vs_pybop`` prints it. Four parameters (the active material of both
electrodes, both particle diffusivities) are fitted to a 1C discharge, a rest, a 1C charge and a
rest: 319 voltages with 1 mV of noise, made by PyBaMM's IDAKLU at tight tolerance.

- `cellmodels.fit_trace` against nine lines of `scipy.optimize.least_squares` on PyBaMM's forward
  sensitivities, in the logarithms of the parameters: the same data, start and bounds. CPU
  seconds of one thread, medians of three fits, in one process, in turn; models are built and
  compiled before the clock starts on both sides. What `fit_trace` takes as a whole, with
  building and result, is a column of its own.
- From a start where the particle empties before the discharge ends ("deep"), also PyBOP's
  gradient optimiser: whether who calls a fit converged is at the optimum.
- The same for fits of ours from starts drawn at random between the bounds.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pybamm
import scipy.optimize

import cellmodels as cm
from benchmarks.report import Target
from cellmodels.fitting.fit import free_parameters
from cellmodels.fitting.trace import TraceProblem, trace_problem

FREE = (
    "Negative electrode active material volume fraction",
    "Positive electrode active material volume fraction",
    "Negative particle diffusivity [m2.s-1]",
    "Positive particle diffusivity [m2.s-1]",
)
TRUTH = np.array([0.75, 0.665, 3.3e-14, 4e-15])
LOWER = np.array([0.5, 0.45, 3e-15, 5e-16])
UPPER = np.array([0.9, 0.85, 3e-13, 4e-14])
EASY = np.array([0.70, 0.615, 1.65e-14, 8e-15])
HARD = np.array([0.62, 0.55, 1.1e-14, 1.2e-14])
#: start, discharge [s]
STARTS = {"easy": (EASY, 3000), "hard": (HARD, 3000), "deep": (HARD, 3400)}
REST, CHARGE = 1200, 2400
POINTS, NOISE, SEED = 319, 1e-3, 1
CURRENTS = (5.0, 0.0, -5.0, 0.0)
#: Half of the time in which PyBaMM's current changes between steps [s].
RAMP = 0.05
REPEATS = 3
FASTER = 3.0
#: Random starts, in the quick form and in the full one.
SOME, MANY = 10, 50
#: Residuals of a fit that is at the optimum exceed those at the truth by no more than this.
EXCESS = 0.02


@dataclass(frozen=True)
class Case:
    """A model, a start, and the data."""

    model: str
    name: str

    @property
    def start(self) -> np.ndarray:
        return STARTS[self.name][0]

    @property
    def cell(self) -> cm.Cell:
        return cm.Cell("lithium_ion", parameters="Chen2020", model=self.model)

    @property
    def lengths(self) -> tuple[int, ...]:
        return (STARTS[self.name][1], REST, CHARGE, REST)

    @property
    def steps(self) -> list[str]:
        first, rest, charge, last = self.lengths
        return [
            f"Discharge at 1C for {first} seconds",
            f"Rest for {rest} seconds",
            f"Charge at 1C for {charge} seconds",
            f"Rest for {last} seconds",
        ]

    @property
    def time(self) -> np.ndarray:
        """Where the voltage is read; never at a change of step but the last."""
        return np.linspace(0.0, sum(self.lengths), POINTS + 1)[1:]

    @cached_property
    def voltage(self) -> np.ndarray:
        rng = np.random.default_rng(SEED)
        return true_voltage(self, self.time) + NOISE * rng.standard_normal(POINTS)

    @cached_property
    def least(self) -> float:
        """Root mean square of the noise [V], about what is left at the optimum."""
        noise = self.voltage - true_voltage(self, self.time)
        return float(np.sqrt(np.mean(noise**2)))

    @property
    def knots(self) -> tuple[np.ndarray, np.ndarray]:
        """The current as a polygon, as PyBaMM's interpolation wants it: times, amperes."""
        changes = np.cumsum(self.lengths)
        inner = np.concatenate([[t - RAMP, t + RAMP] for t in changes[:-1]])
        times = np.concatenate([[0.0], inner, [changes[-1] + 1.0]])
        return times, np.repeat(CURRENTS, 2)


def true_voltage(case: Case, times: np.ndarray) -> np.ndarray:
    """PyBaMM's voltage with the true parameters, step by step at tight tolerance."""
    values = pybamm.ParameterValues("Chen2020")
    values.update(dict(zip(FREE, TRUTH, strict=True)))
    values["Current function [A]"] = "[input]"
    solver = pybamm.IDAKLUSolver(rtol=1e-9, atol=1e-9)
    simulation = pybamm.Simulation(_model(case.model), parameter_values=values, solver=solver)
    out, begin = [], 0.0
    for length, current in zip(case.lengths, CURRENTS, strict=True):
        own = times[(times > begin) & (times <= begin + length)] - begin
        at = np.unique(np.concatenate([[0.0], own, [length]]))
        simulation.step(length, t_interp=at, inputs={"Current function [A]": current}, save=False)
        found = simulation.solution["Voltage [V]"].data
        out.append(found[-len(at) :][np.searchsorted(at, own)])
        begin += length
    return np.concatenate(out)


def _model(name: str) -> pybamm.BaseModel:
    """PyBaMM's model without its voltage limits, at which a trial would end."""
    model = getattr(pybamm.lithium_ion, name)()
    model.events = [event for event in model.events if "[V]" not in event.name]
    return model


# --- both sides ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Found:
    """What a fit found, and whether it says that it converged."""

    values: np.ndarray
    errors: np.ndarray
    rms: float
    evaluations: int
    converged: bool


def settings(start: np.ndarray) -> dict[str, Any]:
    """Start and bounds of the parameters, by name."""
    bounds = {n: (a, b) for n, a, b in zip(FREE, LOWER, UPPER, strict=True)}
    return {"start": dict(zip(FREE, start, strict=True)), "bounds": bounds}


def problem_of(case: Case) -> TraceProblem:
    """Our fit, checked and compiled."""
    chosen = settings(case.start)
    return trace_problem(
        case.cell, case.time, case.voltage, case.steps, FREE, noise=NOISE, **chosen
    )


def found_by(problem: TraceProblem) -> Found:
    """Run our fit."""
    optimum = problem.optimum()
    best = optimum.best
    return Found(
        best.values,
        np.sqrt(np.diag(np.linalg.pinv(best.jacobian.T @ best.jacobian))),
        NOISE * float(np.sqrt(np.mean(best.residuals**2))),
        len(optimum.trials),
        optimum.converged,
    )


def whole_fit(case: Case) -> cm.TraceFit:
    """The public call, with compiling and result."""
    return cm.fit_trace(
        case.cell,
        case.time,
        case.voltage,
        case.steps,
        FREE,
        noise=NOISE,
        progress=False,
        **settings(case.start),
    )


def scipy_on_pybamm(case: Case) -> Callable[[], Found]:
    """`scipy.optimize.least_squares` with PyBaMM's sensitivities, built and compiled."""
    values = pybamm.ParameterValues("Chen2020")
    values["Current function [A]"] = pybamm.Interpolant(*case.knots, pybamm.t)
    values.update(dict.fromkeys(FREE, "[input]"))
    simulation = pybamm.Simulation(
        _model(case.model),
        parameter_values=values,
        solver=pybamm.IDAKLUSolver(rtol=1e-6, atol=1e-6, output_variables=["Voltage [V]"]),
    )
    times, volts = case.time, case.voltage
    memory: dict[bytes, tuple[np.ndarray, np.ndarray]] = {}
    count = [0]

    def evaluate(logs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        key = logs.tobytes()
        if key not in memory:
            count[0] += 1
            memory.clear()
            memory[key] = solve(np.exp(logs))
        return memory[key]

    def solve(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        inputs = dict(zip(FREE, x, strict=True))
        try:
            solution = simulation.solve(
                [0.0, times[-1]],
                t_interp=np.append(0.0, times),
                inputs=inputs,
                calculate_sensitivities=True,
            )
            voltage = solution["Voltage [V]"]
            slopes = [
                np.asarray(voltage.sensitivities[n]).ravel()[1:] * p
                for n, p in zip(FREE, x, strict=True)
            ]
            residuals, jacobian = voltage.data[1:] - volts, np.stack(slopes, axis=1)
            if np.all(np.isfinite(residuals)) and np.all(np.isfinite(jacobian)):
                return residuals / NOISE, jacobian / NOISE
        except (pybamm.SolverError, ValueError):
            pass
        return np.full(len(times), 10.0 / NOISE), np.zeros((len(times), len(x)))

    def run() -> Found:
        memory.clear()
        count[0] = 0
        found = scipy.optimize.least_squares(
            lambda logs: evaluate(logs)[0],
            np.log(case.start),
            jac=lambda logs: evaluate(logs)[1],
            bounds=(np.log(LOWER), np.log(UPPER)),
            x_scale=0.1,
            xtol=1e-6,
            ftol=1e-8,
        )
        errors = np.sqrt(np.diag(np.linalg.pinv(found.jac.T @ found.jac)))
        rms = NOISE * float(np.sqrt(np.mean(found.fun**2)))
        return Found(np.exp(found.x), errors, rms, count[0], bool(found.success))

    evaluate(np.log(case.start))  # compiles
    return run


def timed(run: Callable[[], Any]) -> tuple[Any, float]:
    """What a call returns, and its CPU time [s]."""
    begin = time.process_time()
    found = run()
    return found, time.process_time() - begin


def compare(case: Case, repeats: int = REPEATS) -> tuple[dict[str, Any], Found]:
    """One row, both sides of one case in turn; and what we found."""
    problem = problem_of(case)
    peer = scipy_on_pybamm(case)
    found_by(problem)  # compiles
    mine, theirs = [], []
    for _ in range(repeats):
        mine.append(timed(lambda: found_by(problem)))
        theirs.append(timed(peer))
    own, other = mine[-1][0], theirs[-1][0]
    seconds = float(np.median([t for _, t in mine]))
    peer_seconds = float(np.median([t for _, t in theirs]))
    row = {
        "model": case.model,
        "start": case.name,
        "peer": "SciPy least_squares",
        "our CPU s": seconds,
        "peer CPU s": peer_seconds,
        "times faster": peer_seconds / seconds,
        "our evaluations": own.evaluations,
        "peer evaluations": other.evaluations,
        "our rms mV": 1e3 * own.rms,
        "peer rms mV": 1e3 * other.rms,
        "our deviation / se": _deviation(own.values, own.errors),
        "peer deviation / se": _deviation(other.values, own.errors),
        "we say": "converged" if own.converged else "not converged",
        "peer says": "converged" if other.converged else "not converged",
        "fit_trace as a whole, CPU s": timed(lambda: whole_fit(case))[1],
    }
    return row, own


def _deviation(values: np.ndarray, errors: np.ndarray) -> float:
    """Largest deviation of a parameter from the truth in (our) standard errors."""
    return float(np.max(np.abs(np.log(values / TRUTH)) / errors))


# --- PyBOP ---------------------------------------------------------------------------------------


def pybop_row(row: dict[str, Any], own: Found) -> dict[str, Any] | None:
    """The same row with PyBOP's L-BFGS-B as the peer, in a process of its own.

    None where PyBOP is missing.
    """
    code = f"import benchmarks.trace_fits as t; t.pybop_fit({row['model']!r}, {row['start']!r})"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if run.returncode:
        print("PyBOP could not be run:", *run.stderr.strip().splitlines()[-1:], flush=True)
        return None
    found = json.loads(run.stdout.strip().splitlines()[-1])
    values = np.array(found.pop("values"))
    return (
        row
        | found
        | {
            "peer": "PyBOP SciPyMinimize L-BFGS-B",
            "times faster": found["peer CPU s"] / row["our CPU s"],
            "peer deviation / se": _deviation(values, own.errors),
        }
    )


def pybop_fit(model: str, start: str) -> None:
    """Fit with PyBOP and print what it found as JSON."""
    import pybop

    warnings.simplefilter("ignore")
    case = Case(model, start)
    knots, amperes = case.knots
    times = np.unique(np.concatenate([[0.0], case.time, knots[1:-1]]))
    volts = np.interp(times, case.time, case.voltage)
    mine = np.isin(times, case.time)
    extra = times[~mine][1:]
    volts[np.isin(times, extra)] = true_voltage(case, extra)
    volts[0] = volts[1]
    current = np.interp(times, knots, amperes)
    data = pybop.Dataset(
        {
            "Time [s]": times,
            "Voltage [V]": volts,
            "Current function [A]": current,
            "Current [A]": current,
        }
    )
    values = pybamm.ParameterValues("Chen2020")
    for name, start, low, high in zip(FREE, case.start, LOWER, UPPER, strict=True):
        values[name] = pybop.Parameter(
            distribution=pybop.Uniform(low, high),
            initial_value=start,
            transformation=pybop.LogTransformation()
            if "diffusivity" in name
            else pybop.ScaledTransformation(coefficient=1 / (high - low), intercept=-low),
        )
    simulator = pybop.pybamm.Simulator(_model(case.model), parameter_values=values, protocol=data)
    problem = pybop.Problem(simulator, pybop.SumSquaredError(data))
    problem.evaluate(dict(zip(FREE, case.start, strict=True)), calculate_sensitivities=True)
    options = pybop.SciPyMinimizeOptions(method="L-BFGS-B", jac=True, maxiter=300)
    found, seconds = timed(lambda: pybop.SciPyMinimize(problem, options=options).run())
    best = {name: float(found.best_inputs[name]) for name in FREE}
    cost = float(problem(best))
    print(
        json.dumps(
            {
                "peer CPU s": seconds,
                "peer evaluations": int(np.sum(found._n_evaluations)),
                "peer rms mV": 1e3 * float(np.sqrt(cost / len(times))),
                "peer says": str(found._message[0]),
                "values": list(best.values()),
            }
        )
    )


# --- report --------------------------------------------------------------------------------------

QUICK = (("SPM", "easy"), ("SPM", "deep"), ("SPMe", "easy"))
FULL = tuple((model, start) for model in ("SPM", "SPMe") for start in STARTS)


def trace_rows(quick: bool) -> tuple[list[dict[str, Any]], list[Target]]:
    """Rows and targets of all cases."""
    pybamm.set_logging_level("ERROR")
    rows: list[dict[str, Any]] = []
    targets: list[Target] = []
    false: list[bool] = []
    for model, start in QUICK if quick else FULL:
        case = Case(model, start)
        row, own = compare(case)
        found = [row]
        if start == "deep":
            found += [other for other in [pybop_row(row, own)] if other is not None]
        for one in found:
            print(one, flush=True)
        rows += found
        false.append(_false(case, own))
        label = f"trace fit, {model}, {start} start"
        targets.append(
            Target(f"{label}: our CPU time over SciPy's", 1 / row["times faster"], 1 / FASTER)
        )
    for model in ("SPM",) if quick else ("SPM", "SPMe"):
        case = Case(model, "deep")
        others = random_starts(case, SOME if quick else MANY)
        wrong = [_false(case, own) for own in others]
        right = sum(own.converged for own in others) - sum(wrong)
        print(f"{model}: of {len(others)} random starts {right} end at the optimum", flush=True)
        false += wrong
    label = f"trace fits of ours, of {len(false)}, that say converged away from the optimum"
    targets.append(Target(label, sum(false), 0))
    return rows, targets


def random_starts(case: Case, count: int) -> list[Found]:
    """Our fits from starts drawn evenly, in their logarithms, between the bounds."""
    problem, rng = problem_of(case), np.random.default_rng(SEED)
    found = []
    for _ in range(count):
        start = np.exp(rng.uniform(np.log(LOWER), np.log(UPPER)))
        scaling = free_parameters(problem.cell, FREE, **settings(start))
        other = replace(problem.problem, scaling=scaling)
        found.append(found_by(replace(problem, problem=other)))
    return found


def _false(case: Case, found: Found) -> bool:
    """Whether a fit says that it converged, but did not end at the optimum."""
    return bool(found.converged and found.rms > (1.0 + EXCESS) * case.least)
