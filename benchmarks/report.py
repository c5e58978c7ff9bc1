"""How benchmarks report: a readable table, and one JSON object as the last line."""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Target:
    """A figure against what it should be.

    Parameters
    ----------
    name
        What was measured.
    value
        What was found; nan if it could not be measured.
    target
        What it should be at most.
    """

    name: str
    value: float
    target: float

    @property
    def met(self) -> bool:
        """Whether the value is at most the target; a nan is not."""
        return bool(self.value <= self.target)


def arguments(description: str) -> argparse.Namespace:
    """The options that every benchmark has: ``--quick`` runs a short form."""
    return parser(description).parse_args()


def parser(description: str) -> argparse.ArgumentParser:
    """A parser of those options, to which a benchmark may add its own."""
    found = argparse.ArgumentParser(description=description)
    found.add_argument("--quick", action="store_true", help="a short form, to see that it runs")
    return found


def machine() -> dict[str, Any]:
    """What the figures were measured on and with."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    } | {name: version(name) for name in ("pybamm", "casadi", "numpy", "scipy")}


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as aligned text; all rows have the keys of the first."""
    cells = [[_text(row.get(key)) for key in rows[0]] for row in rows]
    header = list(rows[0])
    widths = [max(len(line[k]) for line in [header, *cells]) for k in range(len(header))]
    lines = [
        "  ".join(t.ljust(w) for t, w in zip(line, widths, strict=True))
        for line in [header, *cells]
    ]
    return "\n".join([lines[0], "  ".join("-" * w for w in widths), *lines[1:]])


def report(
    name: str, rows: Sequence[Mapping[str, Any]], targets: Sequence[Target], quick: bool = False
) -> None:
    """Print a table of each kind of rows, each target met or missed, and the JSON object."""
    for _, alike in itertools.groupby(rows, key=list):
        print(table(list(alike)), end="\n\n")
    for target in targets:
        mark = "met   " if target.met else "MISSED"
        print(f"{mark}  {target.name}: {target.value:.3g} (target {target.target:.3g})")
    print(
        json.dumps(
            {
                "benchmark": name,
                "quick": quick,
                "machine": machine(),
                "targets": [{**asdict(t), "met": t.met} for t in targets],
                "rows": list(rows),
            },
            default=float,
        )
    )


def _text(value: Any) -> str:
    if isinstance(value, float | np.floating):
        return f"{value:.4g}"
    return str(value)


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf8") as lines:
            return next(
                line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")
            )
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
