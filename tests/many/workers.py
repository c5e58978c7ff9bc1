"""Work that dies in the ways in which workers die, for processes of a batch."""

import ctypes
import os
import signal
import threading
import time
from pathlib import Path

from cellmodels.many import limits


def work(job):
    """What `job["order"]` says; counts its attempts in the folder."""
    attempts = _count(Path(job["folder"]) / f"{job['key']}.attempts")
    order = job["order"]
    if order == "exit" or (order == "die once" and attempts == 1):
        os._exit(7)
    if order == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if order == "segfault":
        ctypes.string_at(0)
    if order == "die after":
        threading.Timer(0.02, os._exit, [7]).start()
        return {"state": "fitted", "attempts": attempts}
    if order == "hang":
        limits._GRACE = 0.5
        with limits.alone(job["time_limit"]):
            ctypes.PyDLL(None).sleep(60)  # holds the interpreter: no exception can end it
    time.sleep(0.05)
    return {"state": "fitted", "attempts": attempts}


def never():
    """A start that fails."""
    os._exit(3)


def _count(path):
    count = int(path.read_text()) + 1 if path.exists() else 1
    path.write_text(str(count))
    return count
