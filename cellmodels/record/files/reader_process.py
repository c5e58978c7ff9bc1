"""Readers of other people's making run in a process of their own, with limits.

A damaged or hostile file may crash a compiled reader, fill the memory or never end. Here that ends
the process, not the caller's, and becomes an :class:`InputError` that names the file. What was read
comes back as plain arrays and CSV in files; nothing is unpickled.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellmodels.errors import InputError
from cellmodels.record.files import foreign_readers
from cellmodels.record.files.contents import Content

#: What a reader may use at most: seconds, bytes of address space (where the system can limit it),
#: bytes written. Compiled readers reserve more address space than they fill.
MAX_SECONDS = 600.0
MAX_MEMORY = 8_000_000_000
MAX_WRITTEN = 4_000_000_000

#: The same for an empty file, and more for each byte of a file: a small one gets less.
_SECONDS = 60.0, 5e-5
_MEMORY = 4_000_000_000, 100
_WRITTEN = 200_000_000, 150

_INSTALL = "pip install 'cellmodels[data]'"


@dataclass(frozen=True)
class Foreign:
    """What a reader found.

    Parameters
    ----------
    columns : dict of str to ndarray
        Numbers or texts by header.
    sheets : tuple of (str, pathlib.Path)
        Name and CSV of each sheet of a workbook.
    metadata : dict of str to (str or float or int)
        What the file says about itself.
    messages : tuple of str
        What the reader warned of.
    groups : tuple of dict
        Of a netCDF file: ``path``, ``attributes`` and ``variables`` of each group. An attribute is
        a text, a list of texts, or a mapping of ``type`` and ``value`` of numbers; a variable has
        ``dimensions``, ``attributes`` and ``array``, its name among the columns.
    """

    columns: dict[str, NDArray[Any]] = field(default_factory=dict)
    sheets: tuple[tuple[str, Path], ...] = ()
    metadata: dict[str, Any] = field(default_factory=dict)
    messages: tuple[str, ...] = ()
    groups: tuple[dict[str, Any], ...] = ()


@contextmanager
def read_foreign(content: Content) -> Iterator[Foreign]:
    """Read a binary file in a process of its own.

    Parameters
    ----------
    content : Content
        Its kind chooses the reader.

    Yields
    ------
    Foreign
        Its sheets are files that exist inside the `with` block.

    Raises
    ------
    InputError
        If the file is damaged, the reader crashed or exceeded a limit, or is not installed.
    """
    with tempfile.TemporaryDirectory(prefix="cellmodels-", ignore_cleanup_errors=True) as folder:
        # a name of our own: some readers go by the ending
        copy = Path(folder) / f"input.{_ENDINGS[content.kind]}"
        with content.open() as stream, copy.open("wb") as file:
            shutil.copyfileobj(stream, file)
        out = Path(folder) / "out"
        out.mkdir()
        _run(content, copy, out)
        yield _result(content, out)


_ENDINGS = {
    "parquet": "parquet", "nda": "nda", "ndax": "ndax", "access": "res", "excel": "xlsx",
    "matlab": "mat", "netcdf": "nc",
}  # fmt: skip


def _run(content: Content, path: Path, out: Path) -> None:
    command = [sys.executable, "-P", str(Path(foreign_readers.__file__)), content.kind]
    size = path.stat().st_size
    memory, written, seconds = (
        min(most, least + size * more)
        for most, (least, more) in (
            (MAX_MEMORY, _MEMORY), (MAX_WRITTEN, _WRITTEN), (MAX_SECONDS, _SECONDS)
        )
    )  # fmt: skip
    limits = (memory, written, int(seconds) + 1)
    environment = os.environ | {
        "POLARS_MAX_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "MALLOC_ARENA_MAX": "2",  # each reserves address space
        "TMPDIR": str(out.parent),  # so that nothing is left of a reader that was ended
    }
    try:
        done = subprocess.run(
            [*command, str(path), str(out), *map(str, limits)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=out,
            env=environment,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise InputError(
            f"{content.where}: reading it took more than {seconds:.0f} s and was given up."
        ) from None
    except (OSError, subprocess.SubprocessError) as error:
        raise InputError(f"{content.where}: no process to read it in ({error}).") from None
    if not (out / "about.json").is_file():
        raise InputError(
            f"{content.where}: its reader ended without a result ({_ending(done.returncode)}): the "
            "file is damaged, or too large to be read."
        )


def _ending(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def _result(content: Content, out: Path) -> Foreign:
    try:
        about = json.loads((out / "about.json").read_text(encoding="utf-8"))
        if "missing" in about:
            raise InputError(
                f"{content.where}: to read this format, '{about['missing']}' is needed: {_INSTALL}."
            )
        if "error" in about:
            raise InputError(f"{content.where}: cannot be read ({about['error']}).")
        columns = {}
        if "names" in about:
            with np.load(out / "table.npz", allow_pickle=False) as table:
                columns = {name: table[f"c{k}"] for k, name in enumerate(about["names"])}
    except (OSError, ValueError, KeyError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{content.where}: cannot be read ({error}).") from None
    sheets = tuple((name, out / f"{k}.csv") for k, name in enumerate(about.get("sheets", ())))
    metadata, messages = about.get("metadata", {}), tuple(about.get("messages", ()))
    return Foreign(columns, sheets, metadata, messages, tuple(about.get("groups", ())))
