"""The folder of a batch: a fit and a small summary for each task, each written in one step.

``fits/<key>.nc`` is a fit as :meth:`cellmodels.Fit.save` writes it, ``tasks/<key>.json`` the
summary with the task's fingerprint and its outcome, ``checkpoints/`` what running tasks have
found so far, and ``table.csv`` and ``failed.csv`` are made of the summaries.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import xarray as xr

from cellmodels.errors import InputError
from cellmodels.writing import replacing

__all__ = ["Store", "key_of", "summary_of"]

_SCHEMA = "cellmodels-batch/1"
_NUMBERS = (
    "value", "standard_error", "interval_low", "interval_high", "start", "lower_bound",
    "upper_bound",
)  # fmt: skip
_FLAGS = ("identifiable", "at_bound")


def key_of(name: str) -> str:
    """The file name of a task: what of its name a file can be called, and a hash of all of it."""
    words = re.sub(r"[^A-Za-z0-9.+-]+", "_", name).strip("_.")[:80]
    return f"{words}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


class Store:
    """The results of a batch on disk.

    Parameters
    ----------
    folder : path
        Made when it is not there.

    Raises
    ------
    InputError
        When nothing can be written there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            for name in ("fits", "tasks", "checkpoints"):
                (folder / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"Nothing can be written to '{folder}' ({error.strerror}).") from None

    def fit_path(self, key: str) -> Path:
        """Where a task's fit is."""
        return self.folder / "fits" / f"{key}.nc"

    def checkpoint(self, key: str, fingerprint: str) -> Path:
        """Where a running task keeps what it has found; another task has another file."""
        return self.folder / "checkpoints" / f"{key}-{fingerprint[:8]}.json"

    def read(self, key: str) -> dict[str, Any] | None:
        """A task's summary, or None where there is none that can be used."""
        try:
            found = json.loads((self.folder / "tasks" / f"{key}.json").read_text("utf8"))
        except (OSError, ValueError):
            return None
        if not isinstance(found, dict) or found.get("schema") != _SCHEMA:
            return None
        if found.get("state") == "fitted" and not self.fit_path(key).is_file():
            return None
        return found

    def read_all(self) -> list[dict[str, Any]]:
        """All summaries, in the order of their names."""
        keys = sorted(path.stem for path in (self.folder / "tasks").glob("[!.]*.json"))
        return [found for key in keys if (found := self.read(key)) is not None]

    def tidy(self) -> None:
        """Remove what a process that was killed had begun to write."""
        for name in ("fits", "tasks", "checkpoints"):
            for path in (self.folder / name).glob(".*-????????.*"):
                path.unlink(missing_ok=True)

    def write(self, key: str, summary: Mapping[str, Any], tree: xr.DataTree | None) -> None:
        """Keep an outcome: the fit first, so that no summary speaks of one that is not there."""
        if tree is not None:
            with replacing(self.fit_path(key)) as temporary:
                tree.to_netcdf(temporary, engine="h5netcdf")
        else:
            self.fit_path(key).unlink(missing_ok=True)
        with replacing(self.folder / "tasks" / f"{key}.json") as temporary:
            text = json.dumps({"schema": _SCHEMA, **summary}, indent=1, ensure_ascii=False)
            temporary.write_text(text, "utf8")
        if tree is not None:
            for old in (self.folder / "checkpoints").glob(f"{key}-????????.json"):
                old.unlink(missing_ok=True)


def summary_of(outcome: Mapping[str, Any], tree: xr.DataTree | None) -> dict[str, Any]:
    """What the table of a batch says of a task, from a worker's outcome."""
    kept = ("state", "reason", "deaths", "seconds", "cpu_seconds", "peak_memory_MB", "warnings")
    summary = {name: _finite(outcome[name]) for name in kept if name in outcome}
    if tree is None:
        return summary
    p, v = tree["parameters"].to_dataset(), tree["variables"].to_dataset()
    numbers = ("points", "chi_square", "reduced_chi_square", "aicc", "evaluations")
    summary["fit"] = {
        "status": str(tree.attrs["status"]),
        "cell_hash": str(tree.attrs["cell_hash"]),
        **{name: _finite(float(tree.attrs[name])) for name in numbers},
    }
    summary["parameters"] = {
        str(name): {
            "unit": str(p["unit"].values[i]),
            **{key: _finite(float(p[key].values[i])) for key in _NUMBERS},
            **{key: bool(p[key].values[i]) for key in _FLAGS},
        }
        for i, name in enumerate(p["parameter"].values)
    }
    summary["variables"] = {
        str(name): {
            "used": int(v["used"].values[i]),
            "flagged": int(v["flagged"].values[i]),
            "rms": _finite(float(v["rms_natural"].values[i])),
            "autocorrelation": _finite(float(v["autocorrelation"].values[i])),
            "unit": str(v["unit"].values[i]),
        }
        for i, name in enumerate(v["variable"].values)
    }
    return summary


def _finite(value: Any) -> Any:
    """A value that JSON can hold: None for a number that is not finite."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
