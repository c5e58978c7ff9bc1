"""What a reader must not do while it reads: run code or programs, use the network, open others."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

#: Events of :func:`sys.addaudithook` that no reader of a file has a reason for.
_REFUSED = (
    "os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.putenv",
    "os.kill", "pty.spawn", "socket.", "ftplib.", "smtplib.", "urllib.", "http.client.",
    "ctypes.dlopen", "pickle.find_class", "webbrowser.open",
    "os.symlink", "os.link", "os.chmod", "os.chown",
)  # fmt: skip
_PROCESS = ("subprocess.Popen", "os.posix_spawn", "os.fork")
#: Where Python, its packages and this project lie.
_OWN = tuple(
    {
        os.path.realpath(p)
        for p in (sys.prefix, sys.base_prefix, sys.exec_prefix, *sys.path, ROOT)
        if p
    }
)
_SYSTEM = (
    "/dev/null",
    "/dev/urandom",
    "/proc/self/",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/sys/devices/system/cpu",
    "/sys/fs/cgroup",
    "/usr/share/zoneinfo",
    "/etc/localtime",
)
_MAKERS = ("collections", "dataclasses", "enum", "typing")
_TEMPORARY = os.path.join(os.path.realpath(tempfile.gettempdir()), "cellmodels-")


class Forbidden(BaseException):
    """A reader did what it must not do; no ``except Exception`` hides it."""


class _State:
    folder: str | None = None
    processes = False
    done: list[str]


def _hook(event: str, arguments: tuple) -> None:
    if _State.folder is None:
        return
    if event == "open":
        _check_open(arguments[0], str(arguments[1] or ""))
    elif event == "exec":
        name = getattr(arguments[0], "co_filename", "")
        maker = sys._getframe(1).f_globals.get("__name__")  # of named tuples and the like
        if not name.startswith(("<frozen", *_OWN)) and maker not in _MAKERS:
            _refuse(f"code from {name}")
    elif event in _PROCESS and _State.processes:
        return
    elif event == "subprocess.Popen" or event.startswith(_REFUSED):
        _refuse(f"{event} {arguments!r}"[:300])


def _check_open(path: object, mode: str) -> None:
    if not isinstance(path, str | bytes | os.PathLike):
        return  # a descriptor that was opened before
    found = os.path.realpath(os.fsdecode(path))
    if found.startswith((_State.folder or "", _TEMPORARY)):
        return
    reading = not set(mode) & set("wax+")
    if reading and found.startswith(_OWN + _SYSTEM):
        return
    _refuse(f"open {found} {mode}")


def _refuse(what: str) -> None:
    _State.done.append(what)
    raise Forbidden(what)


@contextmanager
def guarded(folder: str | Path, processes: bool = False) -> Iterator[None]:
    """Raise :class:`Forbidden` where the body does what no reader of a file in `folder` may do.

    Parameters
    ----------
    folder : path
        Files may be opened here, and where Python and this project lie.
    processes : bool
        Whether processes may be started.
    """
    global _hooked
    if not _hooked:
        sys.addaudithook(_hook)
        _hooked = True
    _State.folder, _State.processes, _State.done = os.path.realpath(folder), processes, []
    try:
        yield
    finally:
        _State.folder = None
        if _State.done:  # whatever became of it
            raise Forbidden("; ".join(_State.done))


_hooked = False
