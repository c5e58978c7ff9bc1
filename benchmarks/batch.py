"""A batch over all cells of two laboratories, killed half-way and resumed.

About 90 cells (NCA at 25, 35 and 45 °C; NCM charged at 2C and 3C), each fitted with four sets of
mechanisms on capacity and the charge of the hold, in two processes. The benchmark starts the batch
in a process group of its own, ends the group with SIGKILL when half of the fits are done, starts
it again, and sees that nothing was done twice. It ends with ``table.csv``, ``protocols.csv`` and
``page.md``: parameters over protocols, and what the data support.

Needs the folder that CELLMODELS_DATA names. See ``batch_cells`` for what is fitted to what.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.batch_cells import FILES, SETS, Measured, measured, tasks
from benchmarks.batch_page import page, protocols
from benchmarks.report import Target, parser, report

HOUR = 3600.0
WORKERS = 2
TIME_LIMIT = 600.0
QUICK_CELLS, QUICK_SETS = 2, ("film, diffusion",)
LOOK = 0.5  # s, between two looks at how far the batch is


def chosen(data: Path, quick: bool, most: int | None) -> tuple[list[Measured], list[str]]:
    """The cells to fit: for a short form the shortest lives, or some of each kind."""
    cells, left_out = measured(data)
    if quick:
        short = sorted(cells, key=lambda c: c.record["cycles"].to_dataset()["cycle"].values[-1])
        return short[:QUICK_CELLS], left_out
    if most is None:
        return cells, left_out
    kinds: dict[str, list[Measured]] = {}
    for cell in cells:
        kinds.setdefault(cell.kind.name, []).append(cell)
    return [cell for alike in kinds.values() for cell in alike[:most]], left_out


def work(options: argparse.Namespace, data: Path) -> None:
    """The batch itself, in a process that may be killed."""
    import cellmodels as cm

    cells, _ = chosen(data, options.quick, options.of_each)
    made = [t for t in tasks(cells) if not options.quick or t.labels["mechanisms"] in QUICK_SETS]
    print(cm.fit_many(made, options.output / "fits", workers=WORKERS, time_limit=TIME_LIMIT))


def done(folder: Path) -> dict[str, int]:
    """Fits that are done, and when each was."""
    return {p.name: p.stat().st_mtime_ns for p in (folder / "fits" / "tasks").glob("[!.]*.json")}


def start(options: argparse.Namespace) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "benchmarks.batch", "--work", "--output", str(options.output)]
    command += ["--quick"] if options.quick else []
    command += ["--of-each", str(options.of_each)] if options.of_each is not None else []
    return subprocess.Popen(command, start_new_session=True)


def killed_half_way(options: argparse.Namespace, total: int) -> dict[str, int]:
    """Start the batch, and end its process group when half of it is done; what was done then."""
    process = start(options)
    try:
        while process.poll() is None and len(done(options.output)) < max(total // 2, 1):
            time.sleep(LOOK)
        if process.poll() is not None:
            raise SystemExit("the batch ended before it could be killed")
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return done(options.output)


def run(options: argparse.Namespace, data: Path) -> None:
    import cellmodels as cm

    cells, left_out = chosen(data, options.quick, options.of_each)
    sets = QUICK_SETS if options.quick else tuple(SETS)
    total = len(cells) * len(sets)
    kinds = {c.kind.name for c in cells}
    print(f"{len(cells)} cells of {len(kinds)} protocols, {len(sets)} sets: {total} fits")
    print(f"Not at constant rates, left out: {', '.join(left_out) or 'none'}")
    if done(options.output):
        raise SystemExit(f"{options.output} holds a batch already: name another --output.")
    begin = time.perf_counter()
    before = killed_half_way(options, total)
    print(f"Killed after {time.perf_counter() - begin:.0f} s: {len(before)} of {total} fits done")
    if start(options).wait() != 0:
        raise SystemExit("the batch failed when it was resumed")
    seconds = time.perf_counter() - begin
    after = done(options.output)
    again = sum(after[name] != when for name, when in before.items())
    batch = cm.Batch.load(options.output / "fits")
    print(batch)
    table = protocols(batch.table)
    table.to_csv(options.output / "protocols.csv", index=False)
    batch.table.to_csv(options.output / "table.csv")
    text = page(batch, cells, left_out, seconds)
    (options.output / "page.md").write_text(text, encoding="utf8")
    print(text)
    cpu = float(batch.table["cpu_seconds"].sum())
    row: dict[str, Any] = {
        "cells": len(cells),
        "fits": total,
        "done when killed": len(before),
        "done": len(after),
        "done twice": again,
        "failed": len(batch.failed),
        "converged": len(batch.converged),
        "seconds": seconds,
        "CPU seconds of fits": cpu,
        "largest memory of a worker, MB": float(batch.table["peak_memory_MB"].max()),
    }
    targets = [
        Target("wall time on two cores, h", seconds / HOUR, 1.0),
        Target("CPU time of the fits over two cores, h", cpu / WORKERS / HOUR, 1.0),
        Target("fits without a result", total - len(after), 0),
        Target("fits done twice", again, 0),
    ]
    report("batch", [row], targets, options.quick)


def main() -> None:
    options = parser(__doc__ or "")
    options.add_argument("--output", type=Path, default=Path("benchmark-batch"))
    options.add_argument("--of-each", type=int, help="only so many cells of each protocol")
    options.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    given = options.parse_args()
    folder = os.environ.get("CELLMODELS_DATA")
    if not folder or not all((Path(folder) / file).is_file() for file in FILES):
        print("CELLMODELS_DATA names no folder with the cells: nothing is fitted.", file=sys.stderr)
        report("batch", [{"skipped": "no data"}], [], given.quick)
        return
    if given.quick and not given.work:
        import tempfile

        with tempfile.TemporaryDirectory() as temporary:
            given.output = Path(temporary)
            run(given, Path(folder))
        return
    given.output.mkdir(parents=True, exist_ok=True)
    (work if given.work else run)(given, Path(folder))


if __name__ == "__main__":
    main()
