"""Many fits of one problem, here or by the workers of an executor.

A problem predicts with compiled functions, which no other process can be sent. What is sent is a
:class:`Source`, from which each worker makes the problem once and keeps it. Every task starts
from the same state, so that its result does not depend on who does it, or after what.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, as_completed
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from tqdm.auto import tqdm

from cellmodels.errors import InputError
from cellmodels.fitting.checkpoint import fingerprint
from cellmodels.fitting.least_squares import FitError, Optimum
from cellmodels.fitting.problem import Evaluation, Problem
from cellmodels.writing import replacing

__all__ = ["Given", "Refit", "Source", "Task", "Workshop", "as_done", "run_all", "workshop"]

_SCHEMA = "cellmodels-refits/1"
_LOCAL = threading.local()


class Source(Protocol):
    """What a problem is made of, in a form that can be sent to another process."""

    @property
    def key(self) -> str:
        """Under which a worker keeps the problem."""
        ...

    @property
    def mark(self) -> str:
        """Identifies the problem in checkpoints, also in another run."""
        ...

    @property
    def problem(self) -> Problem:
        """The problem as it is in this process."""
        ...

    def build(self) -> Problem:
        """The problem, compiled anew for a worker."""
        ...


@dataclass(frozen=True, eq=False)
class Given:
    """A problem as it is: for threads, or predictors that can be pickled.

    Parameters
    ----------
    problem : Problem
    """

    problem: Problem
    key: str = field(default_factory=lambda: os.urandom(16).hex())

    @property
    def mark(self) -> str:
        """Hash of what is fitted to what."""
        return fingerprint(self.problem)

    def build(self) -> Problem:
        """The problem itself."""
        return self.problem


@dataclass(frozen=True)
class Refit:
    """How one fit of many ended.

    Parameters
    ----------
    scaled : tuple of float
        Scaled coordinates of the best point; empty where nothing could be simulated.
    cost : float
    status : str
        As in `Optimum`, or ``"failed"``.
    evaluations : int
    message : str
    information : tuple of float
        Fisher information of the scaled parameters at the best point, row by row.
    """

    scaled: tuple[float, ...]
    cost: float
    status: str
    evaluations: int
    message: str = ""
    information: tuple[float, ...] = ()

    @classmethod
    def of(cls, optimum: Optimum) -> Refit:
        """From what the driver found.

        Raises
        ------
        KeyboardInterrupt
            Where it was interrupted: one of many fits is not worth keeping half done.
        """
        if optimum.status == "interrupted":
            raise KeyboardInterrupt
        best = optimum.best
        return cls(
            tuple(map(float, best.scaled)),
            float(best.cost),
            optimum.status,
            len(optimum.trials),
            optimum.message,
            tuple(map(float, (best.slopes.T @ best.slopes).ravel())),
        )


class Workshop:
    """A problem in a worker, with the evaluation from which tasks set out.

    Parameters
    ----------
    problem : Problem
    known : sequence of Evaluation
        Made from a cold start; their points are not evaluated again.
    """

    def __init__(self, problem: Problem, known: Sequence[Evaluation] = ()) -> None:
        self.problem = problem
        self._known = {tuple(map(float, each.scaled)): each for each in known}
        self._at: tuple[float, ...] | None = None
        self._evaluation: Evaluation | None = None

    def evaluation(self, scaled: tuple[float, ...]) -> Evaluation:
        """At a point, from a cold start; kept until another is asked for."""
        if scaled in self._known:
            return self._known[scaled]
        if self._evaluation is None or self._at != scaled:
            self._at, self._evaluation = scaled, self.problem.evaluate(np.array(scaled))
        return self._evaluation


Result = TypeVar("Result")

Task = Callable[[Workshop, int], Result]
"""What is done for each number; an instance of a frozen dataclass, which can be sent."""


def run_all(
    task: Task[Refit],
    count: int,
    source: Source,
    *,
    executor: Executor | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    label: str = "refits",
    progress: bool = False,
) -> list[Refit]:
    """Do a task for the numbers from 0 to `count`, in any order.

    Parameters
    ----------
    task : Task
    count : int
    source : Source
    executor : concurrent.futures.Executor, optional
        Whose workers do it; this process by default.
    checkpoint : path, optional
        File of results, rewritten as they arrive; those that it already holds are not done again.
    label : str
        Of the progress bar.
    progress : bool
        Show a progress bar.

    Returns
    -------
    list of Refit
        In the order of the numbers. A task that raises `FitError` is one that failed.

    Raises
    ------
    InputError
        When the checkpoint is of something else.
    """
    key = hashlib.sha256(f"{source.mark} {task!r}".encode()).hexdigest()
    book = _Book.open(checkpoint, key)
    todo = [k for k in range(count) if k not in book.done]
    done = count - len(todo)
    with tqdm(total=count, initial=done, desc=label, unit="fit", disable=not progress) as bar:
        for number, refit in as_done(_Forgiving(task), todo, source, executor):
            book.add(number, refit)
            bar.update(1)
            failed = sum(r.status == "failed" for r in book.done.values())
            bar.set_postfix_str(f"failed {failed}" if failed else "")
    return [book.done[k] for k in range(count)]


def as_done(
    task: Task[Result],
    numbers: Sequence[int],
    source: Source,
    executor: Executor | None = None,
    known: Sequence[Evaluation] = (),
) -> Iterator[tuple[int, Result]]:
    """Do a task for some numbers: each with its result, as they are done.

    Parameters
    ----------
    task : Task
    numbers : sequence of int
    source : Source
    executor : concurrent.futures.Executor, optional
        Whose workers do it; this process by default, in the given order.
    known : sequence of Evaluation
        Of the problem from a cold start, which this process need not make again.
    """
    if executor is None:
        shop = Workshop(source.problem, known)
        for number in numbers:
            yield number, task(shop, number)
        return
    futures = {executor.submit(_do, task, number, source): number for number in numbers}
    try:
        for future in as_completed(futures):
            yield futures[future], future.result()
    finally:
        for future in futures:
            future.cancel()


def workshop(source: Source) -> Workshop:
    """The source's problem, built once in this thread."""
    shops: dict[str, Workshop] = _LOCAL.__dict__.setdefault("shops", {})
    if source.key not in shops:
        shops.clear()  # a compiled cell is large, and one problem is worked on at a time
        shops[source.key] = Workshop(source.build())
    return shops[source.key]


def _do(task: Task[Result], number: int, source: Source) -> Result:
    return task(workshop(source), number)


@dataclass(frozen=True)
class _Forgiving:
    """A task whose `FitError` is a refit that failed: nothing could be simulated at its start."""

    task: Task[Refit]

    def __call__(self, shop: Workshop, number: int) -> Refit:
        try:
            return self.task(shop, number)
        except FitError as error:
            return Refit((), float("inf"), "failed", 0, " ".join(str(error).split()))


@dataclass(eq=False)
class _Book:
    """Results so far, on disk where there is a file."""

    file: Path | None
    key: str
    done: dict[int, Refit] = field(default_factory=dict)

    @classmethod
    def open(cls, path: str | os.PathLike[str] | None, key: str) -> _Book:
        file = None if path is None else Path(path).absolute()
        if file is None or not file.exists():
            if file is not None and not file.parent.is_dir():
                raise InputError(f"The folder of the checkpoint {file} does not exist.")
            return cls(file, key)
        try:
            content = json.loads(file.read_text(encoding="utf8"))
            if content["schema"] != _SCHEMA:
                raise ValueError(f"schema {content['schema']!r}")
            done = {int(k): _read(entry) for k, entry in content["done"].items()}
            same = content["key"] == key
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise InputError(f"{path} is not a checkpoint of fits: {error!r}.") from error
        if not same:
            raise InputError(f"The checkpoint {path} belongs to another fit or other settings.")
        return cls(file, key, done)

    def add(self, number: int, refit: Refit) -> None:
        self.done[number] = refit
        if self.file is None:
            return
        done = {k: asdict(r) for k, r in sorted(self.done.items())}
        for entry in done.values():  # JSON has no infinity
            entry["cost"] = entry["cost"] if np.isfinite(entry["cost"]) else None
        text = json.dumps({"schema": _SCHEMA, "key": self.key, "done": done}, allow_nan=False)
        with replacing(self.file) as temporary:
            temporary.write_text(text, encoding="utf8")


def _read(entry: dict[str, Any]) -> Refit:
    return Refit(
        tuple(float(z) for z in entry["scaled"]),
        float("inf") if entry["cost"] is None else float(entry["cost"]),
        str(entry["status"]),
        int(entry["evaluations"]),
        str(entry["message"]),
        tuple(float(x) for x in entry["information"]),
    )
