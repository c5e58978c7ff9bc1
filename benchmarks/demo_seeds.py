"""The demonstration over twenty noise seeds: do the intervals hold the truth?

Run with ``python -m benchmarks.demo_seeds``. The noise-free record was simulated by PyBaMM
cycle by cycle (`benchmarks.demo_record`); each seed adds its own noise to it and the
demonstration's fit is repeated from its own start. Coverage counts how often the truth
lies within the 95 % interval and within 2.5 standard errors of an identifiable parameter.
"""

from __future__ import annotations

import tempfile
import time
import tomllib
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

import cellmodels as cm
from benchmarks.demo_record import add_noise, noise_free
from benchmarks.report import Target, arguments, report
from cellmodels.fit_file import FitJob, read_fit_file

DEMO = Path(cm.__file__).parent / "demo"
SEEDS, QUICK_SEEDS = range(1, 21), range(1, 2)


def noisy_record(seed: int) -> xr.DataTree:
    """The demonstration's record with the noise of a seed."""
    life, checkups = add_noise(*noise_free(), seed)
    with tempfile.TemporaryDirectory() as folder:
        cycles, tests = Path(folder) / "life.csv", Path(folder) / "checkups.csv"
        life.to_csv(cycles, index=False)
        checkups.to_csv(tests, index=False)
        return cm.read_record(
            cycles=cycles, checkups=tests, title=f"demo, seed {seed}", synthetic=True
        )


def one_fit(seed: int) -> dict[str, Any]:
    """Fit the record of one seed."""
    job: FitJob = read_fit_file(DEMO / "demo.toml")
    truth = tomllib.loads((DEMO / "demo_truth.toml").read_text())["truth"]
    start = time.process_time()
    found = cm.fit(job.cell, noisy_record(seed), job.protocol, progress=False, **job.settings)
    cpu = time.process_time() - start
    table = found.table
    true = np.array([truth[name] for name in table.index])
    value, error = table["value"].to_numpy(), table["standard error"].to_numpy()
    low, high = (found.parameters[f"interval_{side}"].values for side in ("low", "high"))
    return {
        "seed": seed,
        "status": found.status,
        "evaluations": int(found.trials.sizes["trial"]),
        "CPU s": cpu,
        "identifiable": table["identifiable"].tolist(),
        "deviation / standard error": ((value - true) / error).round(2).tolist(),
        "inside 95 %": ((low <= true) & (true <= high)).tolist(),
    }


def main() -> None:
    """Fit all seeds, two at a time, and report."""
    quick = arguments(__doc__ or "").quick
    with ProcessPoolExecutor(max_workers=1 if quick else 2) as pool:
        rows = []
        for row in pool.map(one_fit, QUICK_SEEDS if quick else SEEDS):
            print(row, flush=True)
            rows.append(row)
    known = np.array([row["identifiable"] for row in rows])
    deviation = np.abs([row["deviation / standard error"] for row in rows])
    inside = np.array([row["inside 95 %"] for row in rows])
    count = int(known.sum())
    targets = [
        Target(
            "seeds whose fit did not converge", sum(r["status"] != "converged" for r in rows), 0
        ),
        Target(
            "seeds with fewer than three identifiable parameters",
            int((known.sum(axis=1) < 3).sum()),
            0,
        ),
        Target(
            "identifiable parameters further than 2.5 standard errors from the truth",
            float((known & (deviation > 2.5)).sum() / max(count, 1)),
            0.02,
        ),
        Target(
            "identifiable parameters whose 95 % interval misses the truth",
            float((known & ~inside).sum() / max(count, 1)),
            0.10,
        ),
    ]
    covered = int((known & inside).sum())
    print(f"95 % intervals that hold the truth: {covered} of {count} identifiable parameters")
    report("demo_seeds", rows, targets, quick)


if __name__ == "__main__":
    main()
