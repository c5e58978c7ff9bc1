"""A fit of five ageing parameters to a whole life, against simulating that life with PyBaMM.

Run with ``python -m benchmarks.fit_life``. The record is that of `benchmarks.life`: the
capacity of a thousand cycles and eleven check-ups with capacities, a resistance and a curve,
simulated by PyBaMM's IDAKLU cycle by cycle at a relative tolerance of 1e-6 (tighter where
that does not complete) with the noise of `NOISE`. `cellmodels.fit` starts up to ten times off
in every parameter. All is measured in one process; times are CPU seconds of one thread.

- Against one simulation: the time of a whole fit over that of PyBaMM's simulation of the
  true life with its check-ups, once, at its default tolerance; reading results not counted.
- Against finite differences (`benchmarks.finite_differences`, from start A): SciPy's least
  squares on PyBaMM's simulation of the SPM at 1e-6 is given fifty times our CPU time; the
  row tells how far it has come. To its own end it would run for hours: how many lives that
  takes is counted with our simulator of the SPM in PyBaMM's place, values only, and the rows
  labelled ESTIMATED are that number times the CPU time of PyBaMM's life at 1e-6.
- Whether the optimum is one: chi-square above that of the truth, which no optimum has, and
  the deviation from the truth.

A DFN's fit begins with a fit of the SPMe (`simpler_models` of `cellmodels.fit`): all of it,
its simulator included, is in the time of the fit, and the lives are counted apart. From start
B the DFN is also fitted without, which is how it ends in a local minimum.

Set-up is compiling and building: PyBaMM's is not counted, and ours is measured on a
simulator of its own and taken off the time of the fit, which has to build one too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

import cellmodels as cm
from benchmarks.accuracy import CYCLE, FREE, cell_of
from benchmarks.finite_differences import PeerFit, Simulate, gauss_newton
from benchmarks.life import CURVE, SIZE, TESTS, all_points, protocol, pybamm_life, timed
from benchmarks.pybamm_reference import IncompleteLife, Reference
from benchmarks.report import Target, arguments, report

#: Standard deviations of the noise by what is measured, normal and independent [A.h, ohm, V].
NOISE = {
    "discharge_capacity": 2e-3,
    "capacity_1C": 2e-3,
    "capacity_C20": 2e-3,
    "resistance_10s": 5e-5,
    "voltage_C20": 1e-3,
}
SEED = 1
#: Factors on the truth from which fits start, in the order of FREE.
STARTS = {
    "A": (10.0, 0.1, 3.0, 0.2, 5.0),
    "B": (0.1, 0.1, 0.1, 10.0, 0.1),
}
#: model: time of a fit over that of one simulation by PyBaMM
TARGETS = {"SPM": 1.0, "SPMe": 1.0, "DFN": 2.0}
#: How many times our CPU time a fit with finite differences is to take.
TIMES = 50
#: A fit has arrived when its chi-square is above ours by less than this.
ARRIVED = 1.0
RECORD_RTOL = 1e-6
#: Voltage of a curve beyond the end of its discharge, where PyBaMM's life is too weak [V].
CUT_OFF = 2.5
#: Cycles between check-ups and check-ups after the first of the short form.
QUICK = (20, 2)
#: How many times our time finite differences are given in the short form.
QUICK_TIMES = 2


def truth(model: str) -> dict[str, float]:
    """What a fit is to find."""
    return {name: cell_of(model).value(name) for name in FREE}


def measured(life: Mapping[str, Any], seed: int | None = None) -> dict[str, np.ndarray]:
    """The measured quantities of a life, with noise if there is a seed."""
    random = np.random.default_rng(seed)
    values = {name: np.array(life[name]) for name in NOISE}
    if seed is None:
        return values
    return {k: v + NOISE[k] * random.standard_normal(v.shape) for k, v in values.items()}


def record_of(values: Mapping[str, np.ndarray], every: int) -> xr.DataTree:
    """A record of measured quantities, with their noise beside them."""

    def table(names: list[str], cycle: np.ndarray) -> dict[str, Any]:
        noise = {f"{k}_std": np.full(values[k].shape, NOISE[k]) for k in names}
        return {"cycle": cycle} | {k: values[k] for k in names} | noise

    first, *checkups = NOISE
    cycles = np.arange(1, len(values[first]) + 1)
    places = every * np.arange(len(values[checkups[0]]))
    return cm.build_record(
        cycles=table([first], cycles),
        checkups=table(checkups, places) | {"charge_C20": np.array(CURVE)},
        title="benchmarks.fit_life",
        synthetic=True,
        flag=False,  # all noise is normal, and both sides get the same points
    )


def flat(values: Mapping[str, np.ndarray]) -> np.ndarray:
    """All measured quantities in one row."""
    return np.concatenate([np.ravel(values[name]) for name in NOISE])


def our_fit(
    model: str, record: xr.DataTree, every: int, factors: tuple[float, ...], **options: Any
) -> tuple[cm.Fit, float]:
    """A fit and its CPU time; the cell knows the start, not the truth."""
    start = {k: f * v for f, (k, v) in zip(factors, truth(model).items(), strict=True)}
    cell = cell_of(model).with_parameters(start)
    return timed(lambda: cm.fit(cell, record, protocol(every), FREE, progress=False, **options))


def lives_before(fit: cm.Fit) -> int:
    """Simulated lives of simpler models."""
    first = fit.simpler_models
    return int(first["evaluations"].sum()) if "evaluations" in first else 0


def set_up(model: str, every: int, count: int) -> float:
    """CPU time of a simulator; what Numba compiles once for all is compiled here."""
    simulator, build = timed(lambda: cm.Simulator(cell_of(model), protocol(every), FREE))
    short = max(30 // count, 1)  # the shortest life over cycle number
    simulator.predict(simulator.nominal, all_points(short, count))
    return build


def deviation(fit: cm.Fit, values: Mapping[str, float]) -> np.ndarray:
    """Distance from values in standard errors of the logarithm; nan where not identifiable."""
    found, known = fit.values, fit.table["identifiable"]
    errors = np.sqrt(np.diag(fit.covariance.values))
    logs = np.log([found[name] / values[name] for name in FREE])
    return np.where([known[name] for name in FREE], logs / errors, np.nan)


def rounded(off: np.ndarray) -> list[float | None]:
    """For a table; None where not identifiable."""
    return [None if np.isnan(x) else round(float(x), 2) for x in off]


def with_pybamm(model: str, every: int, count: int) -> Simulate:
    """All measured quantities by PyBaMM, compiled; reading results is not in the time."""
    reference = Reference(
        cell_of(model), CYCLE, tests=TESTS, free=FREE, rtol=RECORD_RTOL, atol=0.01 * RECORD_RTOL
    )
    cycles, places = every * count, range(0, every * count + 1, every)
    reference.run(min(2 * reference.chunk, cycles), truth(model), [0, 1])

    def simulate(values: Mapping[str, float]) -> tuple[np.ndarray, float]:
        life = reference.run(cycles, values, places)
        predicted = np.nan_to_num(flat(measured(life)), nan=CUT_OFF)
        return predicted, life["cpu_time"] + life["checkup_cpu_time"]

    return simulate


def with_ours(model: str, every: int, count: int) -> Simulate:
    """The same by this library, tighter than a fit has it."""
    simulator = cm.Simulator(cell_of(model), protocol(every), FREE)
    points = all_points(every, count)
    curve = len(CURVE) * (count + 1)

    def simulate(values: Mapping[str, float]) -> tuple[np.ndarray, float]:
        theta = np.array([values[name] for name in FREE])
        found, cpu = timed(lambda: simulator.predict(theta, points, jacobian=False, tolerance=1e-5))
        if found.values is None:
            raise IncompleteLife(found.outcome.message)
        voltages = found.values[-curve:].reshape(len(CURVE), -1).T  # check-ups first
        return np.append(found.values[:-curve], voltages), cpu

    return simulate


def differences_fit(
    simulate: Simulate, data: Mapping[str, np.ndarray], ours: cm.Fit, seconds: float = np.inf
) -> PeerFit:
    """The same fit with finite differences: same record, start and bounds."""
    p = ours.parameters
    names = [str(name) for name in p["parameter"].values]
    start = dict(zip(names, p["start"].values.tolist(), strict=True))
    ends = zip(p["lower_bound"].values.tolist(), p["upper_bound"].values.tolist(), strict=True)
    std = flat({k: np.full(v.shape, NOISE[k]) for k, v in data.items()})
    bounds = dict(zip(names, ends, strict=True))
    return gauss_newton(simulate, start, bounds, flat(data), std, seconds)


class Comparison:
    """The rows and targets of one model."""

    def __init__(self, model: str, every: int, count: int) -> None:
        self.model, self.every, self.count = model, every, count
        self.rows: list[dict[str, Any]] = []
        self.targets: list[Target] = []
        self.peer = pybamm_life(model, every, count, 1e-4)
        self.one = self.peer["cpu_time"] + self.peer["checkup_cpu_time"]
        tight = pybamm_life(model, every, count, RECORD_RTOL)
        self.one_tight = tight["cpu_time"] + tight["checkup_cpu_time"]
        self.data = measured(tight, SEED)
        noise = flat(self.data) - flat(measured(tight))
        std = flat({k: np.full(v.shape, NOISE[k]) for k, v in self.data.items()})
        self.truth_chi_square = float(np.sum((noise / std) ** 2))
        self.build = set_up(model, every, count)
        self.add("PyBaMM, one life", "", self.one, status=f"rtol {self.peer['rtol']:g}")
        self.add("PyBaMM, the record", "", self.one_tight, status=f"rtol {tight['rtol']:g}")

    def add(self, what: str, start: str, cpu: float, **found: Any) -> None:
        """One row; what is not known of it is left empty."""
        row: dict[str, Any] = {"model": self.model, "what": what, "start": start, "CPU s": cpu}
        row["in lives of PyBaMM"] = cpu / self.one
        keys = (
            "simulations",
            "before them",
            "failed",
            "status",
            "identifiable",
            "deviations",
        )
        for key in keys:
            row[key] = found.get(key, "")
        known = "chi_square" in found
        row["chi-square above truth"] = found["chi_square"] - self.truth_chi_square if known else ""
        print(row, flush=True)
        self.rows.append(row)

    def target(self, what: str, value: float, most: float) -> None:
        """One more figure against what it should be."""
        self.targets.append(Target(f"{self.model}: {what}", value, most))

    def fitted(self, what: str, label: str, **options: Any) -> tuple[cm.Fit, float]:
        """A fit from one of the starts, and its row."""
        record = record_of(self.data, self.every)
        fit, cpu = our_fit(self.model, record, self.every, STARTS[label], **options)
        cpu -= self.build
        off = deviation(fit, truth(self.model))
        row = {
            "simulations": int(fit.trials.sizes["trial"]),
            "before them": lives_before(fit),
            "failed": int((~fit.trials["ok"].values.astype(bool)).sum()),
            "status": fit.status,
            "identifiable": int(np.isfinite(off).sum()),
            "deviations": rounded(off),
            "chi_square": fit.statistics["chi_square"],
        }
        self.add(what, label, cpu, **row)
        return fit, cpu

    def ours(self, label: str, quick: bool) -> tuple[cm.Fit, float]:
        """A fit from one of the starts."""
        fit, cpu = self.fitted("cellmodels, a fit", label)
        chi_square = fit.statistics["chi_square"]
        self.target(f"start {label}: not converged", float(not fit.converged), 0.0)
        above = chi_square - self.truth_chi_square
        self.target(f"start {label}: chi-square above the truth's", above, 0.0)
        if not quick:
            most = TARGETS[self.model]
            self.target(f"start {label}: a fit over one simulation", cpu / self.one, most)
        return fit, cpu

    def differences(self, fit: cm.Fit, label: str, cpu: float, times: float) -> None:
        """Finite differences from the same start, given so many times our time."""
        simulate = with_pybamm(self.model, self.every, self.count)
        peer = differences_fit(simulate, self.data, fit, times * cpu)
        self.add_peer("finite differences", label, peer, fit, peer.cpu)
        if times == TIMES:
            arrived = peer.chi_square < fit.statistics["chi_square"] + ARRIVED
            self.target(
                f"finite differences arrived in {times} times our time", float(arrived), 0.0
            )

    def counted(self, fit: cm.Fit, label: str) -> PeerFit:
        """Finite differences to their own end with our simulator in PyBaMM's place."""
        simulate = with_ours(self.model, self.every, self.count)
        peer = differences_fit(simulate, self.data, fit)
        self.add_peer("finite differences on our simulator", label, peer, fit, peer.cpu)
        above = fit.statistics["chi_square"] - peer.chi_square
        self.target("our chi-square above that of finite differences", above, 0.1)
        return peer

    def estimate(self, label: str, cpu: float, simulations: int) -> None:
        """What finite differences would take, in as many simulations."""
        theirs = simulations * self.one_tight
        what = "finite differences, ESTIMATED"
        self.add(what, label, theirs, simulations=simulations, status="not run")
        self.target("a fit over finite differences, estimated", cpu / theirs, 1 / TIMES)

    def add_peer(self, what: str, label: str, peer: PeerFit, fit: cm.Fit, cpu: float) -> None:
        """The row of a fit with finite differences; deviations in our standard errors."""
        self.add(
            what,
            label,
            cpu,
            simulations=peer.simulations,
            failed=peer.failed,
            status=peer.status,
            deviations=rounded(deviation(fit, truth(self.model)) - deviation(fit, peer.values)),
            chi_square=peer.chi_square,
        )


def main() -> None:
    """Compare all models and report."""
    quick = arguments(__doc__ or "").quick
    cases: dict[str, Comparison] = {}
    fits: dict[str, tuple[cm.Fit, float]] = {}
    for model in ("SPM",) if quick else TARGETS:
        cases[model] = Comparison(model, *(QUICK if quick else SIZE))
        found = [cases[model].ours(label, quick) for label in list(STARTS)[: 1 if quick else None]]
        fits[model] = found[0]
    first, spm = cases["SPM"], fits["SPM"]
    first.differences(spm[0], "A", spm[1], QUICK_TIMES if quick else TIMES)
    if not quick:
        cases["DFN"].fitted("cellmodels, from the start itself", "B", simpler_models=())
        simulations = first.counted(spm[0], "A").simulations
        for model, case in cases.items():
            case.estimate("A", fits[model][1], simulations)
    rows = [row for case in cases.values() for row in case.rows]
    targets = [target for case in cases.values() for target in case.targets]
    report("fit_life", rows, targets, quick)


if __name__ == "__main__":
    main()
