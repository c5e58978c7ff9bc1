"""Files of cyclers: what is read of each, how fast, and whether it agrees with its oracle.

The files are those that ``tests/record/vendor_formats.toml`` names, in the folder that the
environment variable CELLMODELS_DATA names; without it only the synthetic file is read. That is a
trace of ten million rows in the Battery Data Format, read in a process of its own, whose peak
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

MANIFEST = Path(__file__).parents[1] / "tests" / "record" / "vendor_formats.toml"
ROWS = 10_000_000
MEMORY = 2.0  # GB
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
    """A row for each file of the manifest."""
    entries = tomllib.loads(MANIFEST.read_text(encoding="utf-8"))
    names = list(entries)[: QUICK if quick else None]
    return [one_file(data, name, entries[name]) for name in names if (data / name).is_file()]


def one_file(data: Path, name: str, entry: dict[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = {"file": Path(name).name[:60], "rows": "", "seconds": 0.0, "result": ""}
    begin = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            record = read_record(data / name, columns=entry.get("columns"))
        except InputError as error:
            expected = entry.get("words", "") in str(error) and "refused" in entry
            row["result"] = f"refused: {entry['refused']}" if expected else f"FAILED: {error}"
            row["seconds"] = time.perf_counter() - begin
            return row
    row["seconds"] = time.perf_counter() - begin
    if "traces" not in record.children:
        row["rows"] = record["cycles"].sizes["point"]
        row["result"] = "as expected" if row["rows"] == entry.get("cycles") else "FAILED"
        return row
    traces = record["traces"].to_dataset()
    row["rows"] = traces.sizes["sample"]
    row["result"] = agreement(data, entry, traces)
    return row


def agreement(data: Path, entry: dict[str, Any], traces: xr.Dataset) -> str:
    """Against what the manifest says, and the reading of another program where there is one."""
    if traces.sizes["sample"] != entry.get("rows"):
        return f"FAILED: {entry.get('rows')} rows expected"
    found = []
    for key, sign in (("discharge", 1), ("charge", -1)):
        if entry.get(key):
            error = abs(throughput(traces, sign) / entry[key] - 1)
            found.append(f"{key} {error:.0e}" if error < 2e-6 else f"FAILED: {key} {error:.1e}")
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
