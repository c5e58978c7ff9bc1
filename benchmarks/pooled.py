"""Sunwoda cells at 25 and 55 °C fitted as one population, which predicts 35 and 45 °C.

NMC811 against graphite with 13 % silicon oxide, 1.1 A·h (TBSI-Sunwoda dataset, MIT licence,
arXiv 2406.00276), in the folder that CELLMODELS_DATA names. Five cells at 25 °C and four at
55 °C are fitted, one by one and pooled. The predictions, with intervals, are written before
anything but these cells is read; only then are the others looked at: those at 35 and 45 °C where
the file has them, and those at 25 and 55 °C that were not fitted.

Model: an SPM with a film that is limited by its reaction and has a resistance. Loss of active
material beside it did not lower the AICc of any of four cells (B1, B6, B27, B28); a film that is
limited by diffusion, with loss of material, raised it in the one in which it was tried (B1). Rate
and resistivity of the film follow Arrhenius' law. So does the size of the cell, with next to no
activation energy: the fresh cells have the same capacity at 25 and 55 °C, the model has not, and
the size makes up for that. Every fiftieth cycle is fitted, a quarter of the way between two
diagnostic tests, after which the capacity jumps up for a while. What is replaced in the protocol
(nine charge steps) is said in docs/examples/fit_sunwoda_temperatures.py.
"""

from __future__ import annotations

import os
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

import cellmodels as cm
from benchmarks.report import Target, parser, report

FILE = "sunwoda_nmc811_labels/capacity_per_cycle.csv.gz"
RATE = "SEI reaction exchange current density [A.m-2]"
FILM = "SEI resistivity [Ohm.m]"
SIZE = "Electrode width [m]"
FITTED = {25: ("B1", "B2", "B3", "B4", "B5"), 55: ("B26", "B27", "B28", "B29")}
QUICK = {25: ("B1", "B3"), 55: ("B26", "B27")}
PREDICTED = (35, 45)
EVERY, FIRST, NOISE = 50, 26, 0.003
LAST = {25: 1276, 35: 1276, 45: 1076, 55: 876}  # cycles; at 35 and 45 °C a guess of the length
#: Conduction in the film needs activation: its resistivity falls with temperature. An estimate.
ENERGIES = {FILM: (-40e3, 40e3), SIZE: (0.0, 3e3)}
DRAWS = 100


def protocol() -> cm.Protocol:
    return cm.Protocol(
        [
            "Discharge at 1C until 2.5 V",
            "Rest for 1 hour",
            "Charge at 1C until 4.2 V",
            "Hold at 4.2 V until C/20",
            "Rest for 2 hours",
        ],
        name="1C, 3 h of rest",
    )


def record_of(path: Path, cell: str, every: int = EVERY, last: int = 10_000) -> xr.DataTree:
    """The capacities of a cell, away from the diagnostic tests."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # spikes: the jumps after diagnostic tests
        record = cm.read_record(
            path,
            columns={"capacity_Ah": "discharge_capacity [A.h]", "temperature_C": None},
            where={"cell": cell},
            title=f"Sunwoda {cell}",
            flag=False,
        )
    cycles = record["cycles"].to_dataset()
    number = cycles["cycle"].values
    record["cycles"] = cycles.isel(
        point=np.flatnonzero((number % every == FIRST) & (number <= last))
    )
    return record


def base_cell(record: xr.DataTree) -> cm.Cell:
    """One cell for all: sized by one record at 25 °C, next to no ageing before the fit."""
    cell = cm.Cell(
        "lithium_ion",
        parameters="nmc_graphite_siox",
        model="SPM",
        mechanisms=[cm.SEI(limit="reaction", porosity_change=False)],
    )
    fresh = cell.with_parameters({RATE: 1e-10})
    return cm.adapt(fresh, record, protocol())


def at(cell: cm.Cell, celsius: float) -> cm.Cell:
    kelvin = celsius + 273.15
    names = ("Ambient temperature [K]", "Initial temperature [K]")
    return cell.with_parameters(dict.fromkeys(names, kelvin), source="chamber")


def tasks(
    path: Path, chosen: dict[int, tuple[str, ...]], every: int, last: int
) -> list[cm.FitTask]:
    first = record_of(path, chosen[25][0], every, last)
    cell = base_cell(first)
    width = cell.value(SIZE)
    options = {
        "start": {RATE: 1.2e-7, FILM: 4e5},
        "bounds": {RATE: (1e-9, 1e-5), FILM: (2e3, 2e8), SIZE: (0.85 * width, 1.2 * width)},
        "noise": {"discharge_capacity": NOISE},
        "max_evaluations": 30,
    }
    return [
        cm.FitTask(name, at(cell, celsius), record_of(path, name, every, last), protocol(),
                   [RATE, FILM, SIZE], options, labels={"celsius": celsius})
        for celsius, names in chosen.items()
        for name in names
    ]  # fmt: skip


def write(predictions: list[xr.Dataset], folder: Path) -> list[Path]:
    """Predictions as netCDF and as CSV."""
    whole = xr.concat(
        [p.assign_coords(temperature=p.attrs["temperature"]) for p in predictions],
        dim="temperature",
        join="outer",
        combine_attrs="drop",
    )
    whole.attrs = {
        "title": "Sunwoda cells, predicted from fits of others at 25 and 55 degC",
        "fitted_cells": predictions[0].attrs["fitted_cells"],
        "variable": predictions[0].attrs["variable"],
        "unit": predictions[0].attrs["unit"],
    }
    nc, csv = folder / "predictions.nc", folder / "predictions.csv"
    whole.to_netcdf(nc, engine="h5netcdf")
    rows = []
    for p in predictions:
        for kind in ("mean_cell", "new_cell", "new_measurement"):
            values = p[kind].transpose("cycle", "quantile").values
            names = [f"q{100 * q:g}" for q in p["quantile"].values]
            table = pd.DataFrame(values, pd.Index(p["cycle"].values, name="cycle"), names)
            table.insert(0, "kind", kind)
            table.insert(0, "celsius", round(p.attrs["temperature"] - 273.15, 2))
            rows.append(table.reset_index())
    pd.concat(rows).to_csv(csv, index=False, float_format="%.5f")
    return [nc, csv]


def judge(path: Path, prediction: xr.Dataset, names: list[str]) -> dict[str, Any]:
    """Predictions against cells that were not fitted: error of the median, and coverage."""
    inside, points, error, ends = 0, 0, [], 0
    low, high = (prediction["new_measurement"].sel(quantile=q) for q in (0.025, 0.975))
    for name in names:
        cycles = record_of(path, name)["cycles"].to_dataset()
        common = np.intersect1d(cycles["cycle"].values, prediction["cycle"].values)
        data = cycles["discharge_capacity"].values[np.isin(cycles["cycle"].values, common)]
        lower, upper = low.sel(cycle=common).values, high.sel(cycle=common).values
        within = (lower <= data) & (data <= upper)
        inside, points, ends = inside + within.sum(), points + data.size, ends + bool(within[-1])
        error.append(data - prediction["new_cell"].sel(quantile=0.5, cycle=common).values)
    all_errors = np.concatenate(error)
    return {
        "celsius": round(prediction.attrs["temperature"] - 273.15),
        "cells not fitted": len(names),
        "points": points,
        "in their 95 % interval": inside / points,
        "last points inside": f"{ends} of {len(names)}",
        "rms error, mA.h": 1e3 * float(np.sqrt(np.mean(all_errors**2))),
        "mean error, mA.h": 1e3 * float(np.mean(all_errors)),
        "half width at the end, mA.h": 500 * float(high[-1] - low[-1]),
    }


def others(path: Path, fitted: dict[int, tuple[str, ...]]) -> dict[int, list[str]]:
    """Cells of the file that were not fitted, by temperature."""
    table = pd.read_csv(path, usecols=["cell", "temperature_C"]).drop_duplicates()
    used = {name for names in fitted.values() for name in names}
    found: dict[int, list[str]] = {}
    for name, celsius in table.itertuples(index=False):
        if name not in used:
            found.setdefault(round(celsius), []).append(name)
    return found


def run(path: Path, folder: Path, quick: bool, workers: int) -> None:
    begin = time.perf_counter()
    chosen = QUICK if quick else FITTED
    every, last = (2 * EVERY, 526) if quick else (EVERY, 10_000)
    batch = cm.fit_many(tasks(path, chosen, every, last), folder / "fits", workers=workers)
    print(batch)
    fits = {name: batch.fit(name) for name in batch.names}
    pooled = cm.fit_pooled(
        fits,
        arrhenius=[RATE, FILM, SIZE],
        activation_energies=ENERGIES,
        spread={SIZE: 0.02},
    )
    pooled.save(folder / "pooled.nc")
    print(pooled)
    pooled.plot().savefig(folder / "pooled.png", dpi=140)
    temperatures = PREDICTED if quick else (25, *PREDICTED, 55)
    predictions = []
    for celsius in temperatures:
        cycles = np.arange(FIRST, min(last, LAST[celsius]) + 1, every)
        found = cm.predict_cells(
            pooled, celsius + 273.15, cycles, draws=4 if quick else DRAWS, seed=celsius
        )
        found.attrs["fitted_cells"] = ", ".join(fits)
        predictions.append(found)
    written = write(predictions, folder)
    print("Written, before any other cell was looked at:", ", ".join(map(str, written)))
    # --- only from here on the other cells ---
    left = others(path, chosen)
    rows = []
    for found in predictions:
        celsius = round(found.attrs["temperature"] - 273.15)
        if left.get(celsius):
            rows.append(judge(path, found, left[celsius]))
        else:
            print(f"No measured cell at {celsius} °C in this file: its prediction stands unjudged.")
    figure(path, folder, predictions, left)
    seconds = time.perf_counter() - begin
    here = [p for p in predictions if round(p.attrs["temperature"] - 273.15) in PREDICTED]
    targets = [
        Target("predictions at 35 and 45 °C that are not in the file", 2 - len(here), 0),
        Target("pooled fit not converged", float(not pooled.converged), 0),
    ]
    targets += [
        Target(
            f"{row['celsius']} °C: share of points outside their 95 % interval",
            1 - row["in their 95 % interval"],
            0.05,
        )
        for row in rows
        if not quick
    ]
    ends = {
        "seconds": seconds,
        "cells fitted": len(fits),
        **{
            f"{round(p.attrs['temperature'] - 273.15)} °C, last cycle, A.h": " ".join(
                f"{v:.3f}" for v in p["new_cell"].sel(quantile=[0.025, 0.5, 0.975]).values[:, -1]
            )
            for p in predictions
        },
    }
    report("pooled", [*rows, ends], targets, quick)


def figure(
    path: Path, folder: Path, predictions: list[xr.Dataset], left: dict[int, list[str]]
) -> None:
    from cellmodels.many.figures import plot_predictions

    measured = []
    for celsius, names in left.items():
        for name in names:
            cycles = record_of(path, name)["cycles"].to_dataset()
            measured.append(cycles.assign_attrs(temperature=celsius + 273.15))
    plot_predictions(predictions, measured).savefig(folder / "predictions.png", dpi=140)


def main() -> None:
    options = parser(__doc__ or "")
    options.add_argument("--output", type=Path, default=Path("benchmark-pooled"))
    options.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    given = options.parse_args()
    data = os.environ.get("CELLMODELS_DATA")
    if not data or not (Path(data) / FILE).is_file():
        print(f"CELLMODELS_DATA names no folder with {FILE}: nothing is fitted.", file=sys.stderr)
        report("pooled", [{"skipped": "no data"}], [], given.quick)
        return
    folder = given.output / "quick" if given.quick else given.output
    folder.mkdir(parents=True, exist_ok=True)
    run(Path(data) / FILE, folder, given.quick, given.workers)


if __name__ == "__main__":
    main()
