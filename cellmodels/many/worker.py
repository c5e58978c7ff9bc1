"""What runs in a worker: one task, from plain data to plain data, whatever happens."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cellmodels.many.limits import alone, peak_memory, time_limit
from cellmodels.processes import set_environment

__all__ = ["run_alone", "run_task"]


def run_alone(job: Mapping[str, Any]) -> dict[str, Any]:
    """:func:`run_task` in a process that has nothing else to do, and may be ended from inside."""
    with alone(job["time_limit"]):
        return run_task(job)


def run_task(job: Mapping[str, Any]) -> dict[str, Any]:
    """Do a task.

    Parameters
    ----------
    job : mapping
        ``task`` as from ``FitTask.to_plain``, ``checkpoint`` (a path), ``time_limit`` [s] or None.

    Returns
    -------
    dict
        ``state``: ``"fitted"`` with the fit's tree as plain data in ``tree``, or ``"failed"`` with
        a ``reason``; ``seconds``, ``cpu_seconds``, ``peak_memory_MB`` of the process so far, and
        ``warnings``.
    """
    begin, cpu = time.perf_counter(), time.process_time()
    set_environment()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("default")
        outcome = _guarded(job)
    return {
        **outcome,
        "seconds": time.perf_counter() - begin,
        "cpu_seconds": time.process_time() - cpu,
        "peak_memory_MB": peak_memory(),
        "warnings": sorted({str(warning.message) for warning in said})[:20],
    }


def _guarded(job: Mapping[str, Any]) -> dict[str, Any]:
    """The outcome, whatever is raised on the way."""
    limit = job["time_limit"]
    outcome: dict[str, Any] | None = None
    with time_limit(limit) as watch:
        try:
            outcome = _fitted(job)
        except KeyboardInterrupt:
            if not watch.over:
                raise
        except Exception as error:
            words = " ".join(str(error).split())
            outcome = {"state": "failed", "reason": f"{type(error).__name__}: {words}"[:2000]}
    if outcome is None or (watch.over and outcome["state"] == "failed"):
        # whatever was raised: what is interrupted inside an import becomes an ImportError
        outcome = {"state": "failed", "reason": f"not done within the time limit of {limit:g} s"}
    elif watch.over and outcome.get("status") == "interrupted":
        reason = f"not done within the time limit of {limit:g} s; the checkpoint is kept"
        outcome = {"state": "failed", "reason": reason}
    return outcome


def _fitted(job: Mapping[str, Any]) -> dict[str, Any]:
    from threadpoolctl import threadpool_limits

    from cellmodels.fitting import adapt, fit
    from cellmodels.many.task import FitTask, plain_tree

    with threadpool_limits(limits=1):
        task = FitTask.from_plain(job["task"])
        record = task.load_record()
        cell = adapt(task.cell, record, task.protocol) if task.adapt else task.cell
        options = dict(task.options)
        options["bounds"] = {**(options.get("bounds") or {}), **task.bounds_for(cell)}
        found = fit(
            cell,
            record,
            task.protocol,
            task.free,
            **options,
            **_checkpoint(job["checkpoint"]),
            progress=False,
        )
    return {"state": "fitted", "status": found.status, "tree": plain_tree(found.to_datatree())}


def _checkpoint(path: str) -> dict[str, Any]:
    """Arguments of `fit`: none where the folder cannot be had, as on another machine."""
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    except OSError:
        return {}
    return {"checkpoint": path, "resume": True}
