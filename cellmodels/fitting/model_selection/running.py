"""Sets of mechanisms fitted beside each other, whatever becomes of the workers that do it.

A set waits for those that it contains. With an executor it runs there. Where that breaks, or gives
no result of a set, because a worker died or was lost, the set is fitted once more, in a process of
our own, which takes nothing along should it die too: one after another, as memory may be what was
short. A set of which a process dies twice is one without a fit, and is not kept in the folder: the
next call tries it again.
"""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cellmodels.errors import warn
from cellmodels.fitting.model_selection.result import read_result, write_result
from cellmodels.fitting.model_selection.task import SetResult, SetTask, run_set
from cellmodels.processes import Slot

__all__ = ["run_sets"]

_TRIES = 2  # with a worker: of a set whose workers die


def run_sets(
    tasks: Mapping[str, SetTask], folder: Path | None, executor: Executor | None, bar: Any
) -> dict[str, SetResult]:
    """Run every set once those that it contains are done.

    Parameters
    ----------
    tasks : mapping of str to SetTask
    folder : path or None
        Where results are kept, and looked for.
    executor : concurrent.futures.Executor or None
        None to run in this process.
    bar : tqdm.tqdm
        Updated by each set.

    Returns
    -------
    dict of str to SetResult

    Raises
    ------
    CellModelsError
        When no process of our own can be started.
    Exception
        What is raised where a set is fitted.
    """
    inside = {
        name: [n for n in tasks if n != name and _nested(tasks[n], tasks[name])] for name in tasks
    }
    done: dict[str, SetResult] = {}
    waiting = dict(tasks)
    workers = _Workers(executor)

    def finish(name: str, result: SetResult) -> None:
        done[name] = result
        bar.update()

    try:
        while waiting or workers.busy:
            for name in [n for n in waiting if all(m in done for m in inside[n])]:
                task = _from(waiting.pop(name), [done[m] for m in inside[name]])
                kept = _kept(folder, task)
                if kept is not None:
                    finish(name, kept)
                elif executor is None:
                    finish(name, _written(folder, task, run_set(task)))
                else:
                    workers.start(_Try(task))
            for task, result in workers.finished() if workers.busy else ():
                if isinstance(result, str):  # not kept: the next call may have more luck
                    finish(task.name, SetResult(None, (), result))
                else:
                    finish(task.name, _written(folder, task, result))
    finally:
        workers.stop()
    return done


@dataclass(frozen=True, eq=False)
class _Try:
    """A set on its way, and how often a worker was lost with it."""

    task: SetTask
    lost: int = 0


class _Workers:
    """Somebody's executor while it lasts, and a process of our own for what it gives no result of.

    Parameters
    ----------
    executor : concurrent.futures.Executor or None
    """

    def __init__(self, executor: Executor | None) -> None:
        self._executor = executor
        self._running: dict[Future[SetResult | Exception], _Try] = {}
        self._own: deque[_Try] = deque()
        self._slot = Slot()
        self._in_slot: Future[SetResult | Exception] | None = None

    @property
    def busy(self) -> bool:
        """Whether anything is running or about to."""
        return bool(self._running or self._own)

    def start(self, attempt: _Try) -> None:
        """Fit a set: on the executor, or when it is the turn of our own process."""
        if self._executor is not None and not attempt.lost:
            try:
                self._running[self._executor.submit(_run, attempt.task)] = attempt
                return
            except Exception as error:  # executors have errors of their own for this
                self._broke(error)
        self._own.append(attempt)

    def finished(self) -> Iterator[tuple[SetTask, SetResult | str]]:
        """Wait for some: each with its result, or what was lost with it in words."""
        if self._own and self._in_slot is None:
            attempt = self._own.popleft()
            try:
                self._in_slot = self._slot.start(_run, attempt.task)
            except BrokenExecutor:  # it died between two sets
                self._slot = Slot()
                self._in_slot = self._slot.start(_run, attempt.task)
            self._running[self._in_slot] = attempt
        for future in wait(self._running, return_when=FIRST_COMPLETED).done:
            attempt = self._running.pop(future)
            result = self._result(future, attempt)
            if result is not None:
                yield attempt.task, result

    def stop(self) -> None:
        """Leave nothing running that is ours, and nothing waiting that is not."""
        for future in self._running:
            future.cancel()
        self._slot.kill()

    def _result(
        self, future: Future[SetResult | Exception], attempt: _Try
    ) -> SetResult | str | None:
        """What came of a set; None where it is tried again."""
        own = future is self._in_slot
        self._in_slot = None if own else self._in_slot
        try:
            result = future.result()
        except Exception as error:  # of the executor: what the fit raises is returned
            return self._lost(error, attempt, own)
        if isinstance(result, Exception):
            raise result
        return result

    def _lost(self, error: Exception, attempt: _Try, own: bool) -> str | None:
        """What is said of a set whose worker was lost; None where it is tried again."""
        died = isinstance(error, BrokenExecutor)
        if own and not died:
            raise error  # it cannot be sent to a process
        if own:
            self._slot.check_start()
            self._slot.kill()
            self._slot = Slot()
        elif died:
            self._broke(error)
        again = replace(attempt, lost=attempt.lost + 1)
        if again.lost >= _TRIES:
            return f"its worker died, {again.lost} times: {error}"
        self.start(again)
        return None

    def _broke(self, error: Exception) -> None:
        if self._executor is not None:
            warn(
                f"The executor broke ({error}). The sets that are left are fitted one after "
                "another, in a process of their own."
            )
        self._executor = None


def _run(task: SetTask) -> SetResult | Exception:
    """In a worker: an error of the fit is returned, to be told from those of executors."""
    try:
        return run_set(task)
    except Exception as error:
        return error


def _nested(smaller: SetTask, larger: SetTask) -> bool:
    """Whether a set's model is the other one with something left out."""
    return (
        len(smaller.cell.mechanisms) < len(larger.cell.mechanisms)
        and all(m in larger.cell.mechanisms for m in smaller.cell.mechanisms)
        and set(smaller.scaling.names) <= set(larger.scaling.names)
    )


def _from(task: SetTask, smaller: Sequence[SetResult]) -> SetTask:
    return replace(task, near=tuple(r.fit.values for r in smaller if r.fit is not None))


def _mark(task: SetTask) -> str:
    """What a kept result must be of."""
    observed, scaling = task.observations, task.scaling
    facts = [
        task.cell.hash,
        task.protocol.to_dict(),
        [[p.name, p.start, p.lower, p.upper] for p in scaling.parameters],
        [dict(known) for known in task.near],
        [task.cuts, task.tolerance, task.max_evaluations],
        [[s.group, s.variable, s.coordinate, s.column] for s in observed.points],
    ]
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for numbers in (observed.data, observed.std, *(s.at for s in observed.points)):
        digest.update(numbers.tobytes())
    return digest.hexdigest()


def _path(folder: Path, task: SetTask) -> Path:
    plain = "".join(c if c.isalnum() else "_" for c in task.name)[:60]
    return folder / f"{plain}-{hashlib.sha256(task.name.encode()).hexdigest()[:8]}.nc"


def _kept(folder: Path | None, task: SetTask) -> SetResult | None:
    return None if folder is None else read_result(_path(folder, task), _mark(task))


def _written(folder: Path | None, task: SetTask, result: SetResult) -> SetResult:
    if folder is not None:
        write_result(result, _path(folder, task), _mark(task))
    return result
