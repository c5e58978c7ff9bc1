"""What a task may use of time, and what its process has used of memory."""

from __future__ import annotations

import ctypes
import faulthandler
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["HARD", "TimeLimit", "alone", "peak_memory", "time_limit"]

HARD = 2.0
"""A process of our own whose task goes on for so many times its limit is ended from inside."""
_GRACE = 30.0  # s, added to that


class TimeLimit(KeyboardInterrupt):
    """The time of a task is over."""


@contextmanager
def alone(limit: float | None) -> Iterator[None]:
    """End this process, whatever it does, some time after the limit of its task [s]."""
    if limit is None:
        yield
        return
    # A thread of C that waits for no Python code: it ends what hangs in a library, too.
    faulthandler.dump_traceback_later(HARD * limit + _GRACE, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


class _Watch:
    """Whether the time is over."""

    over = False


@contextmanager
def time_limit(limit: float | None) -> Iterator[_Watch]:
    """Raise :class:`TimeLimit` in this thread after so many seconds.

    Between two instructions of Python; what runs in a library is waited for. This works in
    threads other than the main one too, where signals do not.
    """
    watch = _Watch()
    if limit is None:
        yield watch
        return
    thread = threading.get_ident()

    def end() -> None:
        watch.over = True
        ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(thread), ctypes.py_object(TimeLimit)
        )

    timer = threading.Timer(limit, end)
    timer.daemon = True
    timer.start()
    try:
        yield watch
    except TimeLimit:
        pass
    finally:
        timer.cancel()
        _take_late_one(timer)


def _take_late_one(timer: threading.Timer) -> None:
    """An exception that was sent as the task ended arrives here."""
    try:
        timer.join()
        for _ in range(1000):
            pass
    except TimeLimit:
        pass


def peak_memory() -> float:
    """Largest memory that this process has used so far [MB]; NaN where it cannot be told."""
    try:
        import resource
    except ImportError:  # Windows
        return float("nan")
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / (1e6 if sys.platform == "darwin" else 1e3)
