"""Running the jobs of a batch, in slots of our own or on somebody's executor."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    Executor,
    Future,
    wait,
)
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from cellmodels.errors import warn
from cellmodels.many.limits import HARD
from cellmodels.many.worker import run_alone, run_task
from cellmodels.processes import Slot

__all__ = ["Job", "run_in_slots", "run_on_executor"]

_DIED = "the worker process died: killed, out of memory, or a crash in a library"


@dataclass
class Job:
    """A task on its way: its plain data, and how often a worker died of it."""

    key: str
    data: Mapping[str, Any]
    deaths: int = 0


Done = Callable[[str, dict[str, Any]], None]


def run_in_slots(jobs: Iterable[Job], workers: int, retries: int, done: Done) -> None:
    """Run jobs in so many processes at a time.

    Parameters
    ----------
    jobs : iterable of Job
    workers : int
    retries : int
        How often a job is tried again after its process died.
    done : callable
        Called in this process with each job's key and outcome as it arrives.

    Raises
    ------
    CellModelsError
        When a process dies before it has begun.
    """
    waiting = deque(jobs)
    free = [Slot() for _ in range(min(workers, len(waiting)))]
    running: dict[Future[dict[str, Any]], tuple[Slot, Job]] = {}
    try:
        while waiting or running:
            while waiting and free:
                slot, job = free.pop(), waiting.popleft()
                try:
                    future = slot.start(run_alone, job.data)
                except BrokenExecutor:  # it died between two jobs
                    slot = Slot()
                    future = slot.start(run_alone, job.data)
                running[future] = (slot, job)
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                slot, job = running.pop(future)
                outcome = _outcome(future)
                if outcome is None:
                    slot.check_start()
                    slot.kill()
                    slot = Slot()
                    outcome = _after_death(job, retries, slot_own=True)
                free.append(slot)
                if outcome is None:
                    waiting.append(job)
                else:
                    done(job.key, outcome)
        for slot in free:
            slot.close()
    finally:  # also after Ctrl-C: nothing is left running
        for slot in [*free, *(slot for slot, _ in running.values())]:
            slot.kill()


def run_on_executor(executor: Executor, jobs: Iterable[Job], retries: int, done: Done) -> list[Job]:
    """Run jobs on somebody's executor; what is left when it breaks is returned."""
    running: dict[Future[dict[str, Any]], Job] = {}
    left: list[Job] = []
    try:
        waiting = list(jobs)
        while waiting or running:
            for job in waiting:
                try:
                    running[executor.submit(run_task, job.data)] = job
                except BrokenExecutor:
                    left.append(job)
            waiting = []
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                job = running.pop(future)
                if _broken(future):
                    left.append(job)
                    continue
                outcome = _outcome(future) or _after_death(job, retries)
                if outcome is None:
                    waiting.append(job)
                else:
                    done(job.key, outcome)
    finally:
        for future in running:
            future.cancel()
    if left:
        warn(
            f"The executor broke: one of its workers died. The {len(left)} tasks that are left "
            "run in processes of their own."
        )
    return left


def _outcome(future: Future[dict[str, Any]]) -> dict[str, Any] | None:
    """What a worker returned; None where it died, or nothing came back."""
    with suppress(Exception):
        return future.result()
    return None


def _broken(future: Future[dict[str, Any]]) -> bool:
    return not future.cancelled() and isinstance(future.exception(), BrokenExecutor)


def _after_death(job: Job, retries: int, slot_own: bool = False) -> dict[str, Any] | None:
    """The outcome of a job of which a worker died; None where it is tried again."""
    job.deaths += 1
    if job.deaths <= retries:
        return None
    limit = job.data["time_limit"]
    hung = "" if limit is None or not slot_own else f" (or it ran for {HARD:g} times its limit)"
    times = "once" if job.deaths == 1 else f"{job.deaths} times"
    return {"state": "failed", "reason": f"{_DIED}{hung}; {times}", "deaths": job.deaths}
