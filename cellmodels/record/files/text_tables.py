"""Plain tables in text files: one line of headers, and rows of numbers."""

from __future__ import annotations

import csv
import io
import re

import pandas as pd

from cellmodels.errors import InputError
from cellmodels.record.files.contents import Content, whole
from cellmodels.record.files.text_layout import MOST_COLUMNS


def text_table(content: Content) -> tuple[pd.DataFrame, int]:
    """Read a plain text table.

    Parameters
    ----------
    content : Content
        The text.

    Returns
    -------
    frame : pandas.DataFrame
        Headers as in the file.
    first : int
        Number of its first line of values.

    Raises
    ------
    InputError
        If it is no such table.
    """
    path = content.where
    text = _decoded(whole(content), path)
    if text.startswith("{"):
        raise InputError(f"{path}: JSON, and no table. Parameters are read by cm.ParameterSet.")
    lines = text.split("\n", 1001)
    skipped = 0
    while skipped < len(lines) - 1 and lines[skipped].startswith("#"):
        skipped += 1
    header, sample = lines[skipped], lines[skipped + 1] if skipped + 1 < len(lines) else ""
    separator = max(",;\t", key=header.count)
    _check_headers(header, separator, path)
    comma = separator != "," and re.search(r"\d,\d", sample) and "." not in sample
    try:
        frame = pd.read_csv(
            io.StringIO(text),
            sep=separator,
            decimal="," if comma else ".",
            skiprows=skipped,
            skipinitialspace=True,
            skip_blank_lines=False,
            low_memory=False,
        )
    except (ValueError, OverflowError, csv.Error) as error:
        raise InputError(f"{path}: no table: {_short(error)}.") from None
    if not isinstance(frame.index, pd.RangeIndex):
        raise InputError(f"{path}: its lines have more values than there are headers.")
    frame = frame.rename(columns=lambda name: str(name).strip())
    return frame, skipped + 2


def _decoded(data: bytes, path: str) -> str:
    if b"\0" in data:
        raise InputError(f"{path}: not a text file.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("cp1252", errors="replace")
    text = text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n")
    if not text.strip():
        raise InputError(f"{path}: the file is empty.")
    return text


def _check_headers(header: str, separator: str, path: str) -> None:
    if header.count(separator) >= MOST_COLUMNS:
        raise InputError(f"{path}: more than {MOST_COLUMNS} columns.")
    try:
        names = [name.strip() for name in next(csv.reader([header], delimiter=separator), [])]
    except csv.Error as error:
        raise InputError(f"{path}: no table: {_short(error)}.") from None
    cells = [cell for name in names for cell in name.split()]
    if cells and all(_is_number(cell) for cell in cells):
        raise InputError(
            f"{path}: no headers: its first line is '{header[:60].strip()}'. Write above it what "
            "its columns hold, such as 'time [s],voltage [V],current [A]'. Three columns of "
            "frequency, real and imaginary part are read by read_record(impedance=…)."
        )
    known: set[str] = set()
    for name in filter(None, names):
        if name in known:
            raise InputError(f"{path}: two columns have the header '{name}'.")
        known.add(name)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _short(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text.rstrip(".") if len(text) < 200 else text[:200] + "…"
