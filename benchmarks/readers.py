"""Files of cyclers: what is read of each, how fast, and whether it agrees with its oracle.

The files are those that ``vendor_formats.toml`` and ``laboratory_files.toml`` in ``tests/record``
name, in the folder that CELLMODELS_DATA names; without it only the synthetic file is read. That
is a trace of ten million rows in the Battery Data Format, read in a process of its own, whose peak
memory is measured.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import tomllib
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from benchmarks.report import Target, arguments, report
from cellmodels.errors import InputError
from cellmodels.record import read_record

MANIFESTS = [
    Path(__file__).parents[1] / "tests" / "record" / f"{name}.toml"
    for name in ("vendor_formats", "laboratory_files")
]
ROWS = 10_000_000
MEMORY = 2.0  # GB
WITHIN = 2e-6  # of charges: the digits of the manifests
QUICK = 3  # files

READ = """
import resource, sys, time
from cellmodels.record import read_record
begin = time.perf_counter()
rows = read_record(sys.argv[1])["traces"].sizes["sample"]
seconds = time.perf_counter() - begin
print(rows, seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6)
"""


def throughput(traces: xr.Dataset, sign: int) -> float:
    current = np.clip(sign * traces["current"].values, 0, None)
    return float(np.trapezoid(current, traces["time"].values)) / 3600


def files(data: Path, quick: bool) -> list[dict[str, Any]]:
    """A row for each file of the manifests."""
    rows = []
    for manifest in MANIFESTS:
        entries = tomllib.loads(manifest.read_text(encoding="utf-8"))
        names = list(entries)[: QUICK if quick else None]
        rows += [one_file(data, name, entries[name]) for name in names]
    return rows


def one_file(data: Path, name: str, entry: dict[str, Any]) -> dict[str, Any]:
    """What is read of a file with what a user adds, and whether it is refused without."""
    row: dict[str, Any] = {"file": short(name), "rows": "", "seconds": 0.0, "result": ""}
    words = ""
    if "refused" in entry:
        row["seconds"], found = timed(data / name)
        expected = isinstance(found, InputError) and entry["words"] in str(found)
        row["result"] = words = f"refused: {entry['refused']}" if expected else f"FAILED: {found}"
    if "repaired" in entry:
        row["seconds"], found = timed(data / name, repair=entry["repair"])
        if isinstance(found, InputError):
            return row | {"result": f"FAILED: {found}"}
        row["rows"], result = agreement(data, entry["repaired"], found, 1e-5)
        row["result"] = f"{words}; repaired: {result}"
    if {"rows", "sums", "frequencies"} & entry.keys():
        options = {key: entry[key] for key in ("columns", "where", "as") if key in entry}
        row["seconds"], found = timed(data / name, **options)
        if isinstance(found, InputError):
            return row | {"result": f"FAILED: {found}"}
        row["rows"], result = agreement(data, entry, found)
        added = f"; with {' and '.join(options)}: " if words else ""
        row["result"] = words + added + result
    return row


def short(name: str) -> str:
    """A name that fits into the table: its folder and its last characters."""
    folder, _, last = name.rpartition("/")
    folder = folder.partition("/")[2] if folder.startswith("vendor_formats/") else folder
    shown = f"{folder.partition('/')[0]}/{last}"
    return shown if len(shown) <= 62 else f"{shown[:30]}…{shown[-31:]}"


def timed(path: Path, **options: Any) -> tuple[float, xr.DataTree | InputError]:
    """Seconds, and the record or why there is none."""
    group = options.pop("as", "path")
    begin = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found: xr.DataTree | InputError = read_record(**{group: path}, **options)
        except InputError as error:
            found = error
    return time.perf_counter() - begin, found


def agreement(
    data: Path, entry: dict[str, Any], record: xr.DataTree, within: float = WITHIN
) -> tuple[int, str]:
    """Rows, and how far what was read is from what the manifest says."""
    if "sums" in entry:
        group = "cycles" if "cycles" in entry else "checkups"
        rows = record[group][next(iter(entry["sums"]))].size
        sums = {name: float(record[group][name].sum()) for name in entry["sums"]}
        found = [deviation(name, sums[name], entry["sums"][name]) for name in sums]
        return rows, ", ".join(found) if rows == entry[group] else f"FAILED: {entry[group]} rows"
    rows, found = 0, []
    if "frequencies" in entry:
        spectra = record["impedance"].to_dataset()
        rows = spectra.sizes["frequency_point"]
        found.append(of_spectra(entry, spectra))
    if "rows" in entry:
        traces = record["traces"].to_dataset()
        rows = traces.sizes["sample"]
        right = rows == entry["rows"]
        found.append(
            of_trace(data, entry, traces, within) if right else f"FAILED: {entry['rows']} rows"
        )
    return rows, ", ".join(found)


def of_spectra(entry: dict[str, Any], spectra: xr.Dataset) -> str:
    """Whether the first and the last row are those of the file."""
    names = ["frequency", "impedance_real", "impedance_imaginary"]
    ends = [[float(spectra[name][k]) for name in names] for k in (0, -1)]
    same = spectra.sizes["frequency_point"] == entry["frequencies"]
    right = same and ends == [entry["first"], entry["last"]]
    return "impedance as in the file" if right else f"FAILED: impedance {ends}"


def deviation(name: str, found: float, expected: float, within: float = WITHIN) -> str:
    error = abs(found / expected - 1)
    return f"{name} {error:.0e}" if error < within else f"FAILED: {name} {error:.1e}"


def of_trace(data: Path, entry: dict[str, Any], traces: xr.Dataset, within: float) -> str:
    """Against the manifest's charges, and the reading of another program where there is one."""
    found = [
        deviation(key, throughput(traces, sign), entry[key], within)
        for key, sign in (("discharge", 1), ("charge", -1))
        if entry.get(key)
    ]
    if "counter" in entry:
        found.append(f"counter {abs(throughput(traces, 1) / entry['counter'] - 1):.0e}")
    if "oracle" in entry:
        folder = data / "vendor_formats" / "neware_fastnda" / "expected"
        oracle = pd.read_parquet(folder / f"{entry['oracle']}.parquet")
        volts = np.abs(traces["voltage"].values - oracle["Voltage(mV)"].to_numpy() / 1e3).max()
        amperes = np.abs(traces["current"].values + oracle["Current(uA)"].to_numpy() / 1e6).max()
        words = f"oracle {volts:.0e} V {amperes:.0e} A"
        found.append(words if volts < 5.1e-5 and amperes < 1e-6 else f"FAILED: {words}")
    return ", ".join(found) or "as expected"


def write_long(path: Path, rows: int) -> None:
    """A trace in the Battery Data Format with temperature and cycle number."""
    with path.open("w", encoding="ascii") as file:
        file.write(
            "Test Time / s,Voltage / V,Current / A,Surface Temperature / degC,Cycle Count / 1\n"
        )
        for begin in range(0, rows, 100_000):
            k = np.arange(begin, min(begin + 100_000, rows))
            columns = (
                k + 0.5,
                3.6 + 0.3 * np.sin(k / 3600),
                np.where((k // 3600) % 2, 2.5, -2.5),
                25 + np.sin(k / 1e4),
                k // 7200 + 1,
            )
            np.savetxt(file, np.stack(columns, axis=1), "%.1f,%.5f,%.4f,%.2f,%d")


def long_file(rows: int) -> dict[str, Any]:
    """Seconds and peak memory of a long trace, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "long.bdf.csv"
        write_long(path, rows)
        done = subprocess.run(
            [sys.executable, "-c", READ, str(path)], capture_output=True, text=True, check=True
        )
        read, seconds, memory = done.stdout.split()
        return {
            "long file, MB": path.stat().st_size / 1e6,
            "rows": int(read),
            "seconds": float(seconds),
            "peak memory, GB": float(memory),
        }


def main() -> None:
    options = arguments(__doc__ or "")
    folder = os.environ.get("CELLMODELS_DATA")
    rows = files(Path(folder), options.quick) if folder else []
    long = long_file(100_000 if options.quick else ROWS)
    failed = sum("FAILED" in row["result"] for row in rows)
    targets = [
        Target(f"files of {len(rows)} that are not read or refused as they must be", failed, 0),
        Target(f"peak memory of {long['rows']} rows, GB", long["peak memory, GB"], MEMORY),
    ]
    report("readers", [*rows, long], targets, options.quick)


if __name__ == "__main__":
    main()
