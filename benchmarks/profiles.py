"""Profile likelihood of five ageing parameters: its cost over the fit's, and whether it is right.

Run with ``python -m benchmarks.profiles``. Record, cell and fit are those of
`benchmarks.fit_life`: the capacity of a thousand cycles and eleven check-ups, simulated by
PyBaMM's IDAKLU cycle by cycle, with noise; the fit begins up to ten times off in every parameter.
Fit and profile are measured in one process in CPU seconds of one thread; building the simulator
is in neither.

- Cost: the profile of all five parameters, both sides, over the fit.
- Intervals: those of the profile beside those of standard errors, and whether they hold the truth.
- Brute force, for the parameter whose profile is least like a parabola: on a fixed grid of its
  values SciPy's least squares fits the other four to the end, warm-started from neighbour to
  neighbour, and the threshold is interpolated. The difference of the ends, over the interval's
  width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.interpolate
import scipy.optimize
import xarray as xr

import cellmodels as cm
from benchmarks.accuracy import FREE, cell_of
from benchmarks.fit_life import (
    QUICK,
    RECORD_RTOL,
    SEED,
    STARTS,
    measured,
    our_fit,
    record_of,
    set_up,
    truth,
)
from benchmarks.life import SIZE, protocol, pybamm_life, timed
from benchmarks.report import Target, arguments, report
from cellmodels.fitting.problem import Evaluation, Problem

MODELS = ("SPM", "SPMe")
#: CPU time of the profile over that of the fit.
COST = 20.0
#: Largest difference to the ends found by brute force, in widths of the interval.
DIFFERENCE = 0.02
#: Values of the grid on each side, in parts of the way to the profile's end.
GRID = (0.35, 0.7, 0.9, 1.0, 1.1)
QUICK_GRID = (0.7, 1.0, 1.1)
START = "A"


def over(low: float, high: float) -> str:
    """An interval."""
    return f"{low:.4f} to {high:.4f}"


class Profiled:
    """A fit of one model, profiled."""

    def __init__(self, model: str, every: int, count: int) -> None:
        self.model = model
        life = pybamm_life(model, every, count, RECORD_RTOL)
        record = record_of(measured(life, SEED), every)
        build = set_up(model, every, count)
        self.fit, cpu = our_fit(model, record, every, STARTS[START])
        self.fit_cpu = cpu - build
        simulator = cm.Simulator(cell_of(model), protocol(every), FREE)
        self.problem: Problem = self.fit.problem(simulator.predict)
        self.profile, self.cpu = timed(
            lambda: self.fit.profile(predict=simulator.predict, progress=False)
        )

    @property
    def costs(self) -> dict[str, Any]:
        """One row about the whole."""
        return {
            "model": self.model,
            "points": self.problem.observations.size,
            "lives of the fit": int(self.fit.trials.sizes["trial"]),
            "fit, CPU s": self.fit_cpu,
            "lives of the profile": int(self.profile["evaluations"].sum()) + 1,
            "profile, CPU s": self.cpu,
            "profile over fit": self.cpu / self.fit_cpu,
        }

    @property
    def rows(self) -> list[dict[str, Any]]:
        """One row a parameter: ends of the intervals over the fitted value."""
        rows = []
        for name, wald in self.fit.table.iterrows():
            p = self.profile.sel(parameter=name)
            value = wald["value"]
            low, high = float(p["interval_low"]), float(p["interval_high"])
            true = truth(self.model)[str(name)]
            rows.append(
                {
                    "model": self.model,
                    "parameter": str(name).split(" [")[0],
                    "lives": int(p["evaluations"]),
                    "standard error": over(wald["95 % low"] / value, wald["95 % high"] / value),
                    "profile": over(low / value, high / value),
                    "ends": f"{p['end_low'].item()}, {p['end_high'].item()}",
                    "truth": f"{true / value:.4f}",
                    "holds it": "yes" if low <= true <= high else "no",
                }
            )
        return rows

    @property
    def oddest(self) -> str:
        """The parameter, closed on both sides, whose interval is least like that of its error."""
        p, table = self.profile, self.fit.table
        lopsided = np.abs(np.log(p["interval_high"].values / table["95 % high"].values)) + np.abs(
            np.log(p["interval_low"].values / table["95 % low"].values)
        )
        width = np.log(p["interval_high"].values / p["interval_low"].values)
        closed = p["closed_low"].values & p["closed_high"].values
        return str(p["parameter"].values[int(np.argmax(np.where(closed, lopsided / width, -1.0)))])

    def brute_force(self, parts: Sequence[float]) -> tuple[dict[str, Any], float]:
        """A row, and the largest difference of the ends over the interval's width."""
        name = self.oddest
        p = self.profile.sel(parameter=name)
        held = self.problem.scaling.names.index(name)
        best = self.problem.evaluate_optimum(self.fit.parameters["value"].values)
        ends = [
            float(np.log(p[f"interval_{side}"] / best.values[held])) for side in ("low", "high")
        ]
        (found, cpu) = timed(lambda: [self._side(best, held, end, parts) for end in ends])
        width = ends[1] - ends[0]
        off = max(abs(a - b) for (a, _), b in zip(found, ends, strict=True)) / width
        row = {
            "model": self.model,
            "brute force": name.split(" [")[0],
            "profile": over(*np.exp(ends)),
            "found": over(*np.exp([at for at, _ in found])),
            "lives": sum(lives for _, lives in found),
            "lives of the profile": int(p["evaluations"]),
            "CPU s": cpu,
            "difference over width": off,
        }
        return row, off

    def _side(
        self, best: Evaluation, held: int, end: float, parts: Sequence[float]
    ) -> tuple[float, int]:
        """Where the deviance crosses the threshold, as a logarithm over the best value."""
        variance = float(self.profile["variance"].values[held])
        lowest = self._minimum(best, None, 0.0)
        lives, near, roots = 0, lowest[0], [0.0]
        for part in parts:
            near, count = self._minimum(near, held, best.scaled[held] + part * end)
            lives += count
            deviance = 2.0 * (near.cost - lowest[0].cost) / variance
            roots.append(float(np.sign(deviance) * np.sqrt(abs(deviance))))
        at = np.array([0.0, *parts]) * end
        target = float(np.sqrt(self.profile.attrs["threshold"]))
        order = np.argsort(roots)
        curve = scipy.interpolate.PchipInterpolator(np.array(roots)[order], at[order])
        return float(curve(target)), lives

    def _minimum(self, start: Evaluation, held: int | None, at: float) -> tuple[Evaluation, int]:
        """The others, or all, fitted to the end by SciPy."""
        others = [k for k in range(self.problem.size) if k != held]
        lower, upper = self.problem.scaling.bounds
        known: dict[bytes, Evaluation] = {}
        last = [start]

        def evaluated(y: np.ndarray) -> Evaluation:
            if y.tobytes() not in known:
                scaled = start.scaled.copy()
                scaled[others] = y
                if held is not None:
                    scaled[held] = at
                known[y.tobytes()] = found = self.problem.evaluate(scaled, last[0])
                last[0] = found if found.ok else last[0]
            return known[y.tobytes()]

        scipy.optimize.least_squares(
            lambda y: evaluated(y).terms,
            start.scaled[others],
            jac=lambda y: evaluated(y).slopes[:, others],
            bounds=(lower[others], upper[others]),
            x_scale="jac",
            ftol=1e-8,
            xtol=1e-8,
            gtol=1e-8,
            max_nfev=60,
        )
        return min(known.values(), key=lambda e: e.cost), len(known)


def main() -> None:
    """Profile the fits and report."""
    quick = arguments(__doc__ or "").quick
    costs, rows, forced, targets = [], [], [], []
    for model in MODELS[:1] if quick else MODELS:
        case = Profiled(model, *(QUICK if quick else SIZE))
        costs.append(case.costs)
        rows += case.rows
        print(costs[-1], *case.rows, sep="\n", flush=True)
        row, off = case.brute_force(QUICK_GRID if quick else GRID)
        forced.append(row)
        p: xr.Dataset = case.profile
        inside = p["deviance"] < p.attrs["threshold"]  # false for NaN
        unsettled = int((inside & ~p["settled"]).sum())
        targets += [
            Target(f"{model}: profile over fit, CPU", costs[-1]["profile over fit"], COST),
            Target(f"{model}: difference to brute force over the width", off, DIFFERENCE),
            Target(f"{model}: points of intervals not at their minimum", float(unsettled), 0.0),
            Target(f"{model}: better optima met", float("better" in p), 0.0),
        ]
    report("profiles", [*costs, *rows, *forced], targets, quick)


if __name__ == "__main__":
    main()
