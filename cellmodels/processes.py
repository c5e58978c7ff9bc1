"""Processes of our own: who dies in one takes no other along.

In a pool of many workers the death of one breaks the whole pool, and nobody can tell which of
the running tasks was to blame. Here every slot is a pool of a single process.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager, suppress
from multiprocessing import connection, parent_process
from typing import TypeVar

from cellmodels.errors import CellModelsError

__all__ = ["Slot", "prepare_worker", "set_environment"]

D = TypeVar("D")
R = TypeVar("R")

_ENVIRONMENT = {
    "PYBAMM_DISABLE_TELEMETRY": "true",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "VECLIB_MAXIMUM_THREADS": "1",
}


class Slot:
    """A pool of one process, started when it is first used."""

    def __init__(self) -> None:
        self._pool: ProcessPoolExecutor | None = None
        self._pid: Future[int] | None = None

    def start(self, work: Callable[[D], R], data: D) -> Future[R]:
        """Begin some work, of which the process has nothing else to do."""
        if self._pool is None:
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(1, mp_context=context, initializer=prepare_worker)
            with _worker_environment():
                self._pid = self._pool.submit(os.getpid)
        return self._pool.submit(work, data)

    def check_start(self) -> None:
        """Raise an error where the process died before it could work."""
        if self._pid is not None and self._pid.done() and self._pid.exception() is not None:
            raise CellModelsError(
                "No worker process comes up. A script that starts processes needs "
                "`if __name__ == '__main__':` around it, because each process imports the script."
            )

    def close(self) -> None:
        """Let the process end."""
        if self._pool is not None:
            self._pool.shutdown()
        self._pool = self._pid = None

    def kill(self) -> None:
        """End the process now, whatever it does."""
        if self._pool is None or self._pid is None:
            return
        with suppress(Exception):  # a process that never came up
            number = self._pid.result(timeout=60)
            for process in multiprocessing.active_children():
                if process.pid == number:
                    process.kill()
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._pool = self._pid = None


@contextmanager
def _worker_environment() -> Iterator[None]:
    """The environment that a new process inherits: set before it loads its libraries."""
    added = set_environment()
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]


def set_environment() -> list[str]:
    """No telemetry, and one thread for libraries that are not loaded yet; names that were set."""
    missing = [name for name in _ENVIRONMENT if name not in os.environ]
    os.environ.update({name: _ENVIRONMENT[name] for name in missing})
    return missing


def prepare_worker() -> None:
    """Set up a process of our own: Ctrl-C is for its parent, with which it ends."""
    set_environment()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
