"""``fit_many``: many fits, in many processes, that survive whatever happens to one of them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from tqdm.auto import tqdm

from cellmodels.errors import InputError, did_you_mean
from cellmodels.fitting import Fit
from cellmodels.many.slots import Job, run_in_slots, run_on_executor
from cellmodels.many.store import Store, key_of, summary_of
from cellmodels.many.task import FitTask, tree_of
from cellmodels.writing import replacing

__all__ = ["Batch", "fit_many"]

_SHOWN = 12  # failed tasks in a text


def fit_many(
    tasks: Iterable[FitTask],
    folder: str | os.PathLike[str],
    *,
    workers: int | None = None,
    executor: Executor | None = None,
    resume: bool = True,
    retry_failed: bool = False,
    retries: int = 1,
    time_limit: float | None = None,
    progress: bool = True,
) -> Batch:
    """Do many fits, and keep each as soon as it is done.

    A task that raises an error, or whose process dies twice, is recorded as failed with the
    reason, and the others go on. After Ctrl-C, or when this process is killed, the same call
    goes on where it was: tasks whose fit is in `folder` are left alone unless the task has
    changed, those that were running continue from their checkpoints.

    Parameters
    ----------
    tasks : iterable of FitTask
        In any order: results do not depend on it.
    folder : path
        For the results; of one batch.
    workers : int, optional
        Number of processes; by default that of the processors. They are started anew ("spawn"),
        so that a script that calls this needs ``if __name__ == "__main__":``.
    executor : concurrent.futures.Executor, optional
        Where to run instead: a process pool of your own, loky's, or
        ``dask.distributed.Client(...).get_executor()``. Should it break because a worker died,
        what is left runs in `workers` processes of our own.
    resume : bool
        False makes all fits again.
    retry_failed : bool
        Whether tasks that are recorded as failed are tried again.
    retries : int
        How often a task is tried again when its process dies.
    time_limit : float, optional
        Seconds for each task; in processes of our own, what hangs in a library is ended too, at
        twice that and half a minute.
    progress : bool
        Show a progress bar.

    Returns
    -------
    Batch

    Raises
    ------
    InputError
        When two tasks have the same name, a record is not there, or the folder cannot be written.
    CellModelsError
        When no process of our own can be started.
    KeyboardInterrupt
        On Ctrl-C, when the tables of what is done are written.
    """
    tasks = list(tasks)
    _check(tasks, workers, retries, time_limit)
    store = Store(Path(folder).absolute())
    store.tidy()
    marks = {key_of(task.name): (task, task.fingerprint) for task in tasks}
    jobs = [
        Job(key, {
            "task": task.to_plain(),
            "checkpoint": str(store.checkpoint(key, mark)),
            "time_limit": time_limit,
        })
        for key, (task, mark) in marks.items()
        if not (resume and _is_done(store.read(key), mark, retry_failed))
    ]  # fmt: skip
    if not resume:
        for job in jobs:
            Path(job.data["checkpoint"]).unlink(missing_ok=True)
    failed = 0
    with tqdm(total=len(tasks), desc="fits", unit="fit", disable=not progress) as bar:
        bar.update(len(tasks) - len(jobs))

        def done(key: str, outcome: dict[str, Any]) -> None:
            nonlocal failed
            task, mark = marks[key]
            tree = tree_of(outcome["tree"]) if outcome["state"] == "fitted" else None
            head = {"name": task.name, "labels": dict(task.labels), "fingerprint": mark}
            store.write(key, {**head, **summary_of(outcome, tree)}, tree)
            failed += tree is None
            bar.set_postfix_str(f"failed {failed}")
            bar.update(1)

        try:
            if executor is not None:
                jobs = run_on_executor(executor, jobs, retries, done)
            run_in_slots(jobs, workers or os.cpu_count() or 1, retries, done)
        finally:
            batch = Batch.load(folder, [task.name for task in tasks])
            batch.write_tables()
    return batch


def _is_done(summary: Mapping[str, Any] | None, mark: str, retry_failed: bool) -> bool:
    if summary is None or summary.get("fingerprint") != mark:
        return False
    return summary["state"] == "fitted" or not retry_failed


def _check(
    tasks: Sequence[FitTask], workers: int | None, retries: int, time_limit: float | None
) -> None:
    names = [task.name for task in tasks]
    twice = next((name for k, name in enumerate(names) if name in names[:k]), None)
    if twice is not None:
        raise InputError(f"Two tasks are called {twice!r}.")
    if workers is not None and workers < 1:
        raise InputError(f"workers is {workers}; it must be at least 1.")
    if retries < 0:
        raise InputError(f"retries is {retries}; it cannot be negative.")
    if time_limit is not None and not time_limit > 0:
        raise InputError(f"time_limit is {time_limit}; it must be positive.")


@dataclass(frozen=True, eq=False, repr=False)
class Batch:
    """The results of many fits: made by :func:`fit_many` or :meth:`load`.

    Parameters
    ----------
    folder : pathlib.Path
        Where they are.
    summaries : tuple of mapping
        One a task, as in the folder's ``tasks/``.
    """

    folder: Path
    summaries: tuple[Mapping[str, Any], ...]

    @classmethod
    def load(cls, folder: str | os.PathLike[str], names: Sequence[str] | None = None) -> Batch:
        """Read the results that are in a folder, of the named tasks or of all.

        Raises
        ------
        InputError
            When there is no batch in the folder.
        """
        path = Path(folder).absolute()
        if not (path / "tasks").is_dir():
            raise InputError(f"'{folder}' is not the folder of a batch.")
        found = Store(path).read_all()
        if names is not None:
            by_name = {summary["name"]: summary for summary in found}
            found = [by_name[name] for name in names if name in by_name]
        return cls(path, tuple(found))

    @property
    def names(self) -> list[str]:
        """Names of the tasks that were fitted."""
        return [str(s["name"]) for s in self.summaries if s["state"] == "fitted"]

    @property
    def converged(self) -> list[str]:
        """Names of those whose fit ended at a minimum."""
        fitted = (s for s in self.summaries if s["state"] == "fitted")
        return [str(s["name"]) for s in fitted if s["fit"]["status"] == "converged"]

    @property
    def table(self) -> pd.DataFrame:
        """One row a fitted task: labels, how the fit ended, and its parameters with errors.

        A parameter has the columns ``<name>``, ``<name> standard error``, ``<name> low`` and
        ``<name> high`` (95 %) and ``<name> identifiable``.
        """
        rows = [_row(s) for s in self.summaries if s["state"] == "fitted"]
        return pd.DataFrame(rows, index=pd.Index(self.names, name="task"))

    @property
    def failed(self) -> pd.DataFrame:
        """One row a failed task, with the reason."""
        rows = [s for s in self.summaries if s["state"] != "fitted"]
        data = [{**s["labels"], "reason": s["reason"], "seconds": s.get("seconds")} for s in rows]
        index = pd.Index([str(s["name"]) for s in rows], name="task")
        return pd.DataFrame(data, index=index, columns=None if data else ["reason", "seconds"])

    @property
    def parameters(self) -> xr.Dataset:
        """Fitted values, errors, intervals and flags by ``task`` and ``parameter``.

        NaN where a task does not fit a parameter. Units are in the coordinate ``unit``.
        """
        fitted = [s for s in self.summaries if s["state"] == "fitted"]
        units = {n: p["unit"] for s in fitted for n, p in s["parameters"].items()}
        numbers = ("value", "standard_error", "interval_low", "interval_high")
        flags = ("identifiable", "at_bound")
        shape = len(fitted), len(units)
        data = {name: np.full(shape, np.nan) for name in numbers}
        data |= {name: np.zeros(shape, dtype=bool) for name in flags}
        for i, summary in enumerate(fitted):
            for j, name in enumerate(units):
                for key in data:
                    found = summary["parameters"].get(name, {}).get(key)
                    if found is not None:
                        data[key][i, j] = found
        return xr.Dataset(
            {key: (("task", "parameter"), values) for key, values in data.items()},
            coords={
                "task": self.names,
                "parameter": list(units),
                "unit": ("parameter", list(units.values())),
            },
        )

    def fit(self, name: str) -> Fit:
        """The whole fit of a task.

        Raises
        ------
        InputError
            When there is none of this name.
        """
        if name not in self.names:
            raise InputError(f"There is no fit {name!r}." + did_you_mean(name, self.names))
        return Fit.load(Store(self.folder).fit_path(key_of(name)))

    def write_tables(self) -> None:
        """Write ``table.csv`` and ``failed.csv`` into the folder."""
        for name, table in (("table", self.table), ("failed", self.failed)):
            with replacing(self.folder / f"{name}.csv") as temporary:
                table.to_csv(temporary)

    def __repr__(self) -> str:
        table, failed = self.table, self.failed
        lines = [f"Batch in {self.folder}: {len(table)} fitted, {len(failed)} failed"]
        if len(table):
            ends = table["status"].value_counts()
            lines.append("    " + ", ".join(f"{n} {status}" for status, n in ends.items()))
        rows = list(failed["reason"].items())
        lines += [f"    failed: {name}: {reason}" for name, reason in rows[:_SHOWN]]
        if len(rows) > _SHOWN:
            lines.append(f"    and {len(rows) - _SHOWN} more")
        return "\n".join(lines)


def _row(summary: Mapping[str, Any]) -> dict[str, Any]:
    """A task's row of the table."""
    row = {**summary["labels"], **summary["fit"]}
    for name, v in summary["variables"].items():
        row[f"rms {name} [{v['unit']}]"] = v["rms"]
        row[f"autocorrelation {name}"] = v["autocorrelation"]
    for name, p in summary["parameters"].items():
        row[name] = p["value"]
        row[f"{name} standard error"] = p["standard_error"]
        row[f"{name} low"], row[f"{name} high"] = p["interval_low"], p["interval_high"]
        row[f"{name} identifiable"] = p["identifiable"]
    for name in ("seconds", "cpu_seconds", "peak_memory_MB"):
        row[name] = summary.get(name)
    return row
