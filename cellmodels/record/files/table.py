"""Tables in files, read as data and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from cellmodels.errors import InputError, did_you_mean
from cellmodels.record.files.adapting import Trace
from cellmodels.record.files.contents import contents
from cellmodels.record.files.cyclers import read_cycler
from cellmodels.record.files.text_tables import text_table

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")


@dataclass(frozen=True)
class Table:
    """A table from a file.

    Parameters
    ----------
    frame : pandas.DataFrame
        Its columns, headers as in the file.
    where : str
        The file's name, for error messages.
    rows : str
        What rows are called in messages: "line" of a text, "row" of another file.
    first : int
        Number of the first row.
    attrs : mapping
        What the file says about itself, for the record's attributes.
    ignored : tuple of str
        Headers of columns that were not read.
    starts : float
        Date of a trace's first row [s since 1970]; NaN where there is none.
    impedance : pandas.DataFrame or None
        Its spectra, see :func:`cellmodels.record.files.impedance_tables.tabulate`.
    headers : tuple of str
        Of the table in the file, where spectra were taken out of it.
    """

    frame: pd.DataFrame
    where: str
    rows: str = "row"
    first: int = 0
    attrs: Mapping[str, Any] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()
    starts: float = float("nan")
    impedance: pd.DataFrame | None = None
    headers: tuple[str, ...] = ()


def check_path(path: object) -> Path:
    """Check that a path leads to a file on this machine.

    Parameters
    ----------
    path : str or pathlib.Path
        What the user gave.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    InputError
        If it is an address in a network, or nothing is there.
    """
    if not isinstance(path, str | Path) or str(path) == "":
        raise InputError(f"A path is a text that names a file or folder, not {path!r}.")
    if _URL.match(str(path)) or str(path).startswith(("//", "\\\\")):
        raise InputError(f"'{path}' is an address in a network: download the file first.")
    found = Path(path)
    try:
        if found.exists():
            return found
        siblings = [other.name for other in found.parent.iterdir()] if found.parent.is_dir() else []
        if found.name in siblings:
            raise InputError(f"'{path}' is a link that leads nowhere.")
    except (OSError, ValueError) as error:
        raise InputError(f"'{path}' cannot be opened ({error}).") from None
    hint = did_you_mean(found.name, siblings) if len(siblings) < 1000 else ""
    raise InputError(f"There is no file '{path}'.{hint}")


def read_table(
    path: Path,
    columns: Mapping[str, str | None] | None = None,
    wanted: Iterable[str] = (),
    headerless: bool = False,
) -> Table:
    """Read a table, or a cycler's file as one.

    Parameters
    ----------
    path : pathlib.Path
        The file; what it holds is found by its content. Text is UTF-8 (or Windows-1252), separated
        by comma, semicolon or tab, with one line of headers; lines before it that begin with ``#``
        are left out. Other texts are those of :mod:`cellmodels.record.files.text_formats`.
    columns : mapping of str to (str or None), optional
        What the caller says that columns hold, by their headers.
    wanted : iterable of str
        Further headers whose columns are kept.
    headerless : bool
        Whether three columns without headers are impedance.

    Returns
    -------
    Table

    Raises
    ------
    InputError
        If it is no such table.
    """
    with contents(path) as content:
        found = read_cycler(content, columns, wanted, headerless)
        if isinstance(found, Trace):
            about = found.rows, found.first, found.attrs, found.ignored, found.starts
            return Table(found.frame, content.where, *about, found.impedance, found.headers)
        if found is not None:
            return Table(found, content.where)
        frame, first = text_table(content)
        return Table(frame, content.where, "line", first)
