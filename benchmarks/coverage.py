"""Do the intervals hold what they claim? A thousand synthetic records with known truth.

Run with ``python -m benchmarks.coverage --results coverage.jsonl``; it takes about two hours on two
cores, and continues where it stopped when run again with the same file. Lives are simulated by
PyBaMM cycle by cycle (`benchmarks.coverage_lives`), never by the solver that fits them; a record is
the first 240 cycles of one with its own draw of the noise. Fits start up to five times off in every
parameter; where intervals of parameters are judged, from five starts. The lives are none of those
that the methods were developed with.

- Half of the records are fitted with the mechanisms that made them. A parameter of a life is
  *identifiable* where its profile likelihood on the data without noise is closed on both sides
  inside the bounds. Of those, profile intervals of the noisy records must hold the truth in 95 %,
  by a two-sided exact binomial test for each parameter, at 1 % for all of them together
  (Bonferroni); intervals from standard errors (Wald) are printed beside them. Where a parameter is
  not identifiable, its profile in the noisy records must be open in at least 95 %.
- Half come from a cell with something that the fit does not have, of six kinds; the last was not
  there when the forecast was developed. Judged is the forecast of the
  capacity, 25 and 50 % of the record's length ahead: the cell's true capacity must lie in the 95 %
  interval in not significantly less than 95 % (one-sided exact binomial test, 1 % for all). The
  five records of a life share what the fit misses, so that they are no independent trials: a
  second test counts them for as many as their correlation leaves (design effect: L. Kish, Survey
  Sampling (1965)). Widths are compared with those of an empirical curve, whose own intervals are
  first stretched to hold the truth in 95 % of these very records, which no one could do beforehand.
- The solver's own error is measured at the truth of each life that is fitted with its own
  mechanisms: largest difference from PyBaMM in units of the noise, and what it moves the
  parameters by, in their standard errors.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import scipy.stats
import xarray as xr
from tqdm.auto import tqdm

import benchmarks.coverage_lives as lives
import cellmodels.fitting
import cellmodels.solver
from benchmarks.coverage_lives import CYCLES, HORIZON, KINDS, RIGHT, WRONG, Kind, Life
from benchmarks.report import Target, parser, report
from cellmodels.errors import CellModelsError
from cellmodels.fitting.empirical import fit_power_law
from cellmodels.fitting.fit import fit_with, free_parameters
from cellmodels.fitting.forecast import forecast
from cellmodels.fitting.least_squares import minimise
from cellmodels.fitting.matching import observe_with_protocol
from cellmodels.fitting.problem import Evaluation, Problem
from cellmodels.fitting.result import Fit
from cellmodels.fitting.uncertainty.profile import profile_likelihood
from cellmodels.observations import Points, PointSet
from cellmodels.simulator import Simulator

LEVEL, FAMILY = 0.95, 0.01
#: Lives of each kind, and records of each life.
LIVES = {"right": (25, 10), "wrong": (17, 5)}
#: Number of the first; lower ones are those that the methods were developed with.
FIRST = 500
#: Largest factor by which a start is off.
FARTHEST = 5.0
#: Starts of a record's fits, and how many are tried where the best of these did not converge. The
#: sum of squares has several minima in the parameters of losses of active material.
STARTS = {"right": 5, "wrong": 1}
MOST_STARTS = 8
#: Cycles whose forecast is judged: 25 and 50 % beyond the record.
AHEAD = (CYCLES * 5 // 4, CYCLES * 3 // 2)


def analyse(kind: str, number: int, draws: int) -> dict[str, Any]:
    """Simulate a life, and fit its records."""
    start = time.process_time()
    life = lives.simulate(kind, number)
    simulated = time.process_time() - start
    found: dict[str, Any] = {
        "kind": kind,
        "life": number,
        "truth": life.values,
        "redrawn": life.redrawn,
        "capacity": [life.capacity[cycle - 1] for cycle in (2, CYCLES, *AHEAD)],
        "PyBaMM CPU s": simulated,
    }
    chosen, identifiable = KINDS[kind], None
    if chosen in RIGHT:
        at_truth = _without_noise(chosen, life)
        found |= at_truth
        identifiable = at_truth["identifiable"]
    found["records"] = [_fitted(chosen, life, draw, identifiable) for draw in range(draws)]
    found["CPU s"] = time.process_time() - start
    return found


def _without_noise(kind: Kind, life: Life) -> dict[str, Any]:
    """The solver's error at the truth, and what data without noise can tell."""
    problem = _problem(kind, life, None, _start(kind, life, dict.fromkeys(kind.free, 1.0)))
    truth = problem.evaluate_optimum([life.values[name] for name in kind.free])
    left, singular, directions = np.linalg.svd(truth.jacobian, full_matrices=False)
    shift = directions.T @ ((left.T @ truth.residuals) / singular)
    errors = np.sqrt((directions.T**2 / singular**2).sum(axis=1))
    best = minimise(problem, start=truth.scaled, progress=False).best
    profile = profile_likelihood(problem, best)
    closed = profile["closed_low"].values & profile["closed_high"].values
    return {
        "identifiable": dict(zip(kind.free, closed.tolist(), strict=True)),
        "bias in noise": float(np.abs(truth.residuals).max()),
        "bias in standard errors": float(np.abs(shift / errors).max()),
    }


def _fitted(
    kind: Kind, life: Life, draw: int, identifiable: dict[str, bool] | None
) -> dict[str, Any]:
    """One record: its fit, intervals and forecast."""
    start = time.process_time()
    random = np.random.default_rng([lives.seed(life), draw, 7])
    row: dict[str, Any] = {"draw": draw}
    try:
        fit, problem = _best_fit(kind, life, draw, random)
        best = problem.evaluate_optimum(list(fit.values.values()))
        row |= {"status": fit.status, "starts": fit.optima.sizes["start"]}
        row |= {"optima": fit.optima.sizes["optimum"]}
        row |= {"evaluations": int(fit.statistics["evaluations"])}
        row["forecast"] = _forecast(forecast(problem, best, AHEAD))
        row["noise alone"] = _noise_alone(problem, best)
        row["naive"] = _naive(lives.record(life, draw)["cycles"].to_dataset())
        if identifiable is not None:
            row["parameters"] = _intervals(problem, fit)
        row["done"] = True
    except CellModelsError as error:
        row |= {"status": f"{type(error).__name__}: {error}", "done": False}
    row["CPU s"] = time.process_time() - start
    return row


def _best_fit(
    kind: Kind, life: Life, draw: int, random: np.random.Generator
) -> tuple[Fit, Problem]:
    """The lowest of the fits from some starts, as `cellmodels.fit` gives it."""

    def start() -> dict[str, float]:
        factors = np.exp(random.uniform(-1, 1, len(kind.free)) * np.log(FARTHEST))
        return _start(kind, life, dict(zip(kind.free, factors.tolist(), strict=True)))

    starts = [start() for _ in range(MOST_STARTS)]
    problem = _problem(kind, life, draw, starts[0])
    record, cell = lives.record(life, draw), kind.fitted_cell()
    count = STARTS["right" if kind in RIGHT else "wrong"]
    for used in (starts[:count], starts):
        fit = fit_with(problem, cell, record, lives.protocol(), starts=used, progress=False)
        if fit.converged:
            break
    return fit, problem


def _intervals(problem: Problem, fit: Fit) -> dict[str, Any]:
    """Both kinds of intervals of each parameter, and whether each calls it identifiable."""
    profile = fit.profile(predict=problem.predict, progress=False)
    found = {}
    for name in problem.scaling.names:
        wald, curve = fit.parameters.sel(parameter=name), profile.sel(parameter=name)
        found[name] = {
            "wald": [float(wald["interval_low"]), float(wald["interval_high"])],
            "narrow": bool(wald["identifiable"]),
            "profile": [float(curve["interval_low"]), float(curve["interval_high"])],
            "closed": bool(curve["closed_low"] & curve["closed_high"]),
            "pieces": [part for part in curve["pieces"].values.tolist() if part[0] == part[0]],
        }
    return found


def _forecast(dataset: xr.Dataset) -> dict[str, list[float]]:
    name = "discharge_capacity"
    return {
        "low": dataset[f"{name}_low"].values[0].tolist(),
        "median": dataset[name].values.tolist(),
        "high": dataset[f"{name}_high"].values[0].tolist(),
    }


def _noise_alone(problem: Problem, best: Evaluation) -> dict[str, list[float]]:
    """The fitted model's capacities, and their standard errors were there no discrepancy."""
    at = np.array(AHEAD, dtype=float)
    points = Points((PointSet("cycles", "discharge_capacity", "cycle", at),))
    prediction = problem.predict(
        best.values, points, tolerance=problem.tolerance, state=best.prediction.state
    )
    assert prediction.values is not None and prediction.jacobian is not None
    slopes = prediction.jacobian * problem.scaling.slopes(best.scaled)
    covariance = np.linalg.pinv(best.jacobian.T @ best.jacobian, rcond=1e-13)
    errors = np.sqrt(np.einsum("mi,ij,mj->m", slopes, covariance, slopes))
    return {"model": prediction.values.tolist(), "error": errors.tolist()}


def _naive(cycles: xr.Dataset) -> dict[str, list[float]]:
    """A power law through the capacities, and its interval from the scatter about it.

    The first cycle begins with a cell charged more fully than all others; it is left out.
    """
    n, y = cycles["cycle"].values[1:].astype(float), cycles["discharge_capacity"].values[1:]
    std = cycles["discharge_capacity_std"].values[1:]
    curve = fit_power_law(n, y, std)
    at = np.array(AHEAD, dtype=float)

    def slopes(x: np.ndarray) -> np.ndarray:
        _, size, exponent = curve.coefficients
        scaled, size = x / n.max(), size * n.max() ** exponent
        power = scaled**exponent
        return np.stack([np.ones_like(x), power, size * power * np.log(scaled)], axis=1)

    residuals = y - curve(n)
    variance = residuals @ residuals / (n.size - 3)
    covariance = variance * np.linalg.pinv(slopes(n).T @ slopes(n))
    errors = np.sqrt(np.einsum("mi,ij,mj->m", slopes(at), covariance, slopes(at)))
    return {"value": curve(at).tolist(), "error": errors.tolist()}


@lru_cache(maxsize=2)
def _simulator(kind: str) -> Simulator:
    chosen = KINDS[kind]
    return Simulator(chosen.fitted_cell(), lives.protocol(), free=chosen.free)


def _problem(kind: Kind, life: Life, draw: int | None, start: dict[str, float]) -> Problem:
    """The problem of a record, from a start."""
    cell = kind.fitted_cell()
    observations, _ = observe_with_protocol(lives.record(life, draw), cell, lives.protocol())
    bounds = {name: lives.BOUNDS[name] for name in kind.free}
    scaling = free_parameters(cell, kind.free, start=start, bounds=bounds)
    return Problem(_simulator(kind.name).predict, observations, scaling)


def _start(kind: Kind, life: Life, factors: dict[str, float]) -> dict[str, float]:
    """Values that are off by factors on the truth, well inside the bounds."""
    cell, start = kind.fitted_cell(), {}
    for name in kind.free:
        low, high = lives.BOUNDS[name]
        truth = life.values.get(name, cell.value(name))
        start[name] = float(np.clip(truth * factors[name], 2 * low, high / 2))
    return start


# Judgement --------------------------------------------------------------------------------


def judge(found: Sequence[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[Target]]:
    """Rows and targets of all lives."""
    right = [life for life in found if KINDS[life["kind"]] in RIGHT]
    wrong = [life for life in found if KINDS[life["kind"]] in WRONG]
    parameter_rows, parameter_targets = _judge_parameters(right)
    forecast_rows, forecast_targets = _judge_forecasts(wrong)
    nothing = [_forecast_row(right, "nothing", k) for k in range(len(AHEAD))]
    targets = [
        Target("records that could not be fitted and forecast", _failures(found), 0),
        Target("solver bias at the truth, in units of the noise", _worst(right, "noise"), 0.1),
        Target(
            "shift of a parameter by it, in standard errors", _worst(right, "standard errors"), 0.1
        ),
    ]
    rows = [*parameter_rows, *forecast_rows, *nothing]
    return [row for row in rows if row], targets + parameter_targets + forecast_targets


def _judge_parameters(
    right: Sequence[dict[str, Any]],
) -> tuple[list[dict[str, Any]], list[Target]]:
    pairs = [(kind, name) for kind in RIGHT for name in kind.free]
    rows, off, called, opened = [], 0, 0, 0
    tested = [p for p in pairs if _hits(right, *p, "profile")]
    for kind, name in pairs:
        profile, wald = _hits(right, kind, name, "profile"), _hits(right, kind, name, "wald")
        p = _two_sided(profile)
        off += bool(profile) and p < FAMILY / len(tested)
        unknown = _called(right, kind, name)
        called += sum(unknown)
        opened += len(unknown)
        rows.append(
            {
                "mechanisms": kind.name,
                "parameter": name,
                "identifiable": len(profile),
                "profile holds truth": _share(profile),
                "in pieces": _share(_parted(right, kind, name)),
                "p": p,
                "Wald holds truth": _share(wald),
                "not identifiable": len(unknown),
                "called so": _share(unknown),
            }
        )
    return rows, [
        Target(
            "parameters whose profile intervals do not hold the truth in 95 % "
            "(two-sided, 1 % family-wise)",
            off,
            0,
        ),
        Target(
            "share of records in which a parameter that is not identifiable is not called so",
            1 - called / opened if opened else float("nan"),
            0.05,
        ),
    ]


def _hits(right: Sequence[dict[str, Any]], kind: Kind, name: str, method: str) -> list[bool]:
    """Whether intervals of an identifiable parameter hold its truth, record by record."""
    return [
        any(low <= life["truth"][name] <= high for low, high in pieces)
        for life in right
        if life["kind"] == kind.name and life["identifiable"][name]
        for record in life["records"]
        if record["done"]
        for found in [record["parameters"][name]]
        for pieces in [found["pieces"] if method == "profile" else [found[method]]]
    ]


def _parted(right: Sequence[dict[str, Any]], kind: Kind, name: str) -> list[bool]:
    """Whether the interval of an identifiable parameter has gaps, record by record."""
    return [
        len(record["parameters"][name]["pieces"]) > 1
        for life in right
        if life["kind"] == kind.name and life["identifiable"][name]
        for record in life["records"]
        if record["done"]
    ]


def _called(right: Sequence[dict[str, Any]], kind: Kind, name: str) -> list[bool]:
    """Whether a parameter that is not identifiable is called so, record by record."""
    return [
        not record["parameters"][name]["closed"]
        for life in right
        if life["kind"] == kind.name and not life["identifiable"][name]
        for record in life["records"]
        if record["done"]
    ]


def _judge_forecasts(
    wrong: Sequence[dict[str, Any]],
) -> tuple[list[dict[str, Any]], list[Target]]:
    rows = [
        _forecast_row([life for life in wrong if life["kind"] == kind.name], kind.name, k)
        for kind in WRONG
        for k in range(len(AHEAD))
    ]
    everything = [_forecast_row(wrong, "all of these", k) for k in range(len(AHEAD))]
    below = sum(row["p, records"] < FAMILY / len(AHEAD) for row in everything)
    clustered = sum(row["p, lives"] < FAMILY / len(AHEAD) for row in everything)
    targets = [
        Target(
            "horizons at which forecasts hold the truth in significantly less than 95 %", below, 0
        ),
        Target(
            "the same, with records of a life counted as one by their correlation", clustered, 0
        ),
    ]
    targets += [
        Target(
            f"mean width of the forecast for cycle {AHEAD[k]} over that of a power law stretched "
            "to hold the truth in 95 %",
            row["width, mA.h"] / row["power law stretched, mA.h"],
            1.0,
        )
        for k, row in enumerate(everything)
    ]
    return rows + everything, targets


def _forecast_row(chosen: Sequence[dict[str, Any]], name: str, k: int) -> dict[str, Any]:
    """Coverage and widths of the forecasts for one horizon."""
    truth, forecast, alone, naive, life = [], [], [], [], []
    for each in chosen:
        for record in each["records"]:
            if record["done"]:
                truth.append(each["capacity"][2 + k])
                forecast.append([record["forecast"][s][k] for s in ("low", "median", "high")])
                alone.append([record["noise alone"][s][k] for s in ("model", "error")])
                naive.append([record["naive"][s][k] for s in ("value", "error")])
                life.append(f"{each['kind']} {each['life']}")
    if not truth:
        return {}
    y, f, a, n = map(np.array, (truth, forecast, alone, naive))
    reach = scipy.stats.norm.ppf(0.5 + LEVEL / 2)
    inside = (f[:, 0] <= y) & (y <= f[:, 2])
    stretched = np.quantile(np.abs(n[:, 0] - y) / n[:, 1], LEVEL) * n[:, 1]
    return {
        "missing from the fit": name,
        "cycle": AHEAD[k],
        "records": y.size,
        "forecast holds truth": float(inside.mean()),
        "p, records": _below(inside.sum(), y.size),
        "p, lives": _clustered(inside, life),
        "width, mA.h": 1e3 * float((f[:, 2] - f[:, 0]).mean()),
        "median's error, mA.h": 1e3 * float(np.sqrt(np.mean((f[:, 1] - y) ** 2))),
        "model's error, mA.h": 1e3 * float(np.sqrt(np.mean((a[:, 0] - y) ** 2))),
        "noise alone holds truth": float(np.mean(np.abs(a[:, 0] - y) <= reach * a[:, 1])),
        "power law holds truth": float(np.mean(np.abs(n[:, 0] - y) <= reach * n[:, 1])),
        "power law's error, mA.h": 1e3 * float(np.sqrt(np.mean((n[:, 0] - y) ** 2))),
        "power law stretched, mA.h": 2e3 * float(stretched.mean()),
    }


def _clustered(inside: np.ndarray, life: Sequence[str]) -> float:
    """The one-sided test with the effective number of independent records."""
    groups = [inside[np.array(life) == name].astype(float) for name in dict.fromkeys(life)]
    mean, size = inside.mean(), inside.size / len(groups)
    if mean in (0.0, 1.0) or len(groups) < 2:
        return _below(round(mean * len(groups)), len(groups))
    between = sum(g.size * (g.mean() - mean) ** 2 for g in groups) / (len(groups) - 1)
    within = sum(((g - g.mean()) ** 2).sum() for g in groups) / max(inside.size - len(groups), 1)
    correlation = np.clip((between - within) / (between + (size - 1) * within), 0.0, 1.0)
    effective = round(inside.size / (1 + (size - 1) * correlation))
    return _below(round(mean * effective), effective)


def _below(hits: int, trials: int) -> float:
    return float(scipy.stats.binomtest(int(hits), int(trials), LEVEL, "less").pvalue)


def _two_sided(hits: Sequence[bool]) -> float:
    if not hits:
        return float("nan")
    return float(scipy.stats.binomtest(sum(hits), len(hits), LEVEL).pvalue)


def _share(hits: Sequence[bool]) -> float:
    return float(np.mean(hits)) if hits else float("nan")


def _failures(found: Sequence[dict[str, Any]]) -> int:
    return sum(not record["done"] for life in found for record in life["records"])


def _worst(right: Sequence[dict[str, Any]], what: str) -> float:
    return max((life[f"bias in {what}"] for life in right), default=float("nan"))


# Running ----------------------------------------------------------------------------------


def design() -> str:
    """A mark of what is simulated, and by what it is fitted: other results are not used."""
    folders = (Path(cellmodels.fitting.__file__).parent, Path(cellmodels.solver.__file__).parent)
    files = [path for folder in folders for path in sorted(folder.rglob("*.py"))]
    mark = hashlib.sha256(b"".join(path.read_bytes() for path in files))
    starts = (FARTHEST, STARTS, MOST_STARTS)
    what = (RIGHT, WRONG, lives.BOUNDS, lives.NOISE, CYCLES, HORIZON, starts)
    mark.update(repr(what).encode())
    return mark.hexdigest()[:12]


def run(tasks: Sequence[tuple[str, int, int]], path: Path | None, workers: int) -> list[Any]:
    """Results of all tasks; those that the file already holds are taken from there."""
    done: dict[tuple[str, int, int], dict[str, Any]] = {}
    mark = design()
    if path is not None and path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            found = json.loads(line)
            if found.pop("design") == mark:
                done[found["kind"], found["life"], len(found["records"])] = found
    missing = [task for task in tasks if task not in done]
    with ProcessPoolExecutor(max_workers=workers) as pool:
        futures = {pool.submit(analyse, *task): task for task in missing}
        for future in tqdm(as_completed(futures), total=len(missing), desc="lives"):
            found = done[futures[future]] = future.result()
            if path is not None:
                with path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps({"design": mark, **found}) + "\n")
    return [done[task] for task in tasks]


def main() -> None:
    """Run what is missing, and report."""
    options = parser(__doc__ or "")
    options.add_argument("--results", type=Path, help="file that keeps results, to be continued")
    options.add_argument("--workers", type=int, default=2, help="processes")
    options.add_argument("--share", type=float, default=1.0, help="of the lives")
    chosen = options.parse_args()
    if chosen.quick:
        tasks = [(RIGHT[0].name, 0, 1), (WRONG[0].name, 0, 1)]
    else:
        tasks = [
            (kind.name, number, draws)
            for kinds, (count, draws) in ((RIGHT, LIVES["right"]), (WRONG, LIVES["wrong"]))
            for number in range(FIRST, FIRST + max(1, round(chosen.share * count)))
            for kind in kinds
        ]
        tasks.sort(key=lambda task: task[1])  # some of each kind from early on
    found = run(tasks, chosen.results, chosen.workers)
    rows, targets = judge(found)
    print(f"{sum(len(life['records']) for life in found)} records of {len(found)} lives")
    report("coverage", rows, targets, chosen.quick)


if __name__ == "__main__":
    main()
