"""Files of impedance: tables over frequency, wherever they stand in a text, and in data frames."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from cellmodels.errors import InputError
from cellmodels.record.columns import is_trace
from cellmodels.record.files.adapting import Trace
from cellmodels.record.files.contents import Content, whole
from cellmodels.record.files.impedance_tables import (
    ImpedanceColumn,
    impedance_columns,
    split_impedance,
)
from cellmodels.record.files.text_formats import matching, names_and_units
from cellmodels.record.files.text_layout import HEAD_BYTES, HEAD_LINES, encoding_of
from cellmodels.record.files.text_preamble import described

#: How each maker's files begin or are marked.
_MAKERS: tuple[tuple[str, str], ...] = (
    (r"EC-Lab ASCII|BT-Lab ASCII", "BioLogic"),
    (r"^EXPLAIN\s+TAG\s", "Gamry"),
    (r"Instrument Model:\s*CHI", "CH Instruments"),
    (r"^\W*Z60W Data File|^ZPLOT2 ASCII", "Scribner"),
    (r"Name=VersaStudio", "VersaStudio"),
)
_MISSING = ("", "nan", "NaN", "0", "0.0")
_LONGEST = 20_000  # characters of a line of headers
_FREQUENCY = re.compile(r"freq|\bf\b", re.IGNORECASE)
_TWO_SPACES = re.compile(r"\s{2,}")
_FIRST = "Definition="  # in VersaStudio, before the headers
_NO_HEADERS = ("frequency [Hz]", "impedance_real [ohm]", "impedance_imaginary [ohm]")
_UNITS_LINES = 3  # between the headers and the first row


@dataclass(frozen=True)
class _Header:
    """A line of headers: its place, how its cells and those below it are told apart."""

    line: int
    separator: str
    headers: tuple[str, ...]
    columns: Mapping[int, ImpedanceColumn]


def read_impedance(
    content: Content, columns: Mapping[str, str | None], headerless: bool = False
) -> Trace | None:
    """Read a text as a table of impedance, if it holds one.

    Parameters
    ----------
    content : Content
        The text.
    columns : mapping of str to (str or None)
        What the caller says that columns hold, by their headers.
    headerless : bool
        Whether three columns of numbers without headers are frequency [Hz], real and imaginary
        part [ohm].

    Returns
    -------
    Trace or None
        None for a text without such a table, and for a trace that has columns of impedance.

    Raises
    ------
    InputError
        If there are headers but no rows, or the numbers contradict each other.
    """
    with content.open() as stream:
        head = stream.read(HEAD_BYTES)
    encoding = encoding_of(head, content.where)
    lines = _lines(head, encoding)[:HEAD_LINES]
    header = next((h for k in range(len(lines)) if (h := _header(lines, k, columns))), None)
    if header is None and headerless:
        header = _without_headers(lines, content.where)
    if header is None or _is_trace(header, columns):
        return None
    attrs: dict[str, Any] = described(lines[: header.line])
    text = "\n".join(lines)
    maker = next((name for mark, name in _MAKERS if re.search(mark, text[:20_000])), None)
    if maker is not None:
        attrs = {"cycler": maker, **attrs}
    rows, starts = _rows(_lines(whole(content), encoding), header)
    if not rows:
        raise InputError(f"{content.where}: the file has headers of impedance but no rows.")
    width = len(header.headers)
    frame = pd.DataFrame([[*row[:width], *[None] * (width - len(row))] for row in rows])
    frame.columns = pd.Index(header.headers)
    others, table = split_impedance(frame, header.columns, content.where, np.array(starts))
    if table is None:
        raise InputError(f"{content.where}: the file has headers of impedance but no frequencies.")
    if len(others):
        attrs["left_out"] = f"{len(others)} rows without frequency"
    ignored = tuple(h for k, h in enumerate(header.headers) if k not in header.columns and h)
    return Trace(
        pd.DataFrame(), attrs=attrs, ignored=ignored, impedance=table, headers=header.headers
    )


# --- where the table is ------------------------------------------------------------------------


def _lines(data: bytes, encoding: str) -> list[str]:
    text = data.decode(encoding, errors="replace")
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _header(lines: Sequence[str], k: int, columns: Mapping[str, str | None]) -> _Header | None:
    line = lines[k].removeprefix(_FIRST)
    if len(line) > _LONGEST or (not columns and not _FREQUENCY.search(line)):
        return None
    for separator in ("\t", ";", ",", "  "):
        cells = [cell.strip() for cell in _cells(line, separator)]
        if len(cells) > 2 and (found := impedance_columns(cells, columns)):
            return _Header(k, separator, tuple(cells), found)
    return None


def _cells(line: str, separator: str) -> list[str]:
    """Cells of a line. Marks of inches and seconds are no quotation: Z" is an imaginary part."""
    if separator == "  ":
        return _TWO_SPACES.split(line.strip().strip('"').strip())
    if line.count('"') % 2 == 0:
        try:
            return next(csv.reader([line], delimiter=separator), [])
        except csv.Error:
            pass
    return line.split(separator)


def _without_headers(lines: Sequence[str], where: str) -> _Header:
    first = next((line for line in lines if line.strip()), "")
    for separator in ("\t", ";", ",", "  "):
        cells = _cells(first, separator)
        if len(cells) == len(_NO_HEADERS) and all(_number(c) is not None for c in cells):
            return _Header(-1, separator, _NO_HEADERS, impedance_columns(_NO_HEADERS))
    raise InputError(
        f"{where}: no headers of impedance. Without headers, a file is three columns: frequency "
        "[Hz], real and imaginary part [ohm]."
    )


def _is_trace(header: _Header, columns: Mapping[str, str | None]) -> bool:
    """Whether impedance is measured between rows of time."""
    if is_trace([columns.get(name, name) or "" for name in header.headers]):
        return True
    known = matching([name for name, _ in names_and_units(header.headers)])
    return known is not None and "frequency" in known.columns.values()


# --- its rows ----------------------------------------------------------------------------------


def _rows(lines: Sequence[str], header: _Header) -> tuple[list[list[str]], list[bool]]:
    """The cells of all rows, and where a section begins: headers may come again further down."""
    rows: list[list[str]] = []
    starts: list[bool] = []
    own = lines[header.line].strip() if header.line >= 0 else None
    begins = [k for k, line in enumerate(lines) if own is not None and line.strip() == own] or [-1]
    for begin in begins:
        section = list(_section(lines, begin + 1, header))
        rows += section
        starts += [n == 0 for n in range(len(section))]
    return rows, starts


def _section(lines: Sequence[str], first: int, header: _Header) -> Iterator[list[str]]:
    """Rows from a line on, until one is none."""
    place = next(k for k, column in header.columns.items() if column.name == "frequency")
    found = False
    for k in range(first, len(lines)):
        line = lines[k]
        separator = header.separator
        if separator == "  ":  # headers in columns of spaces stand over rows with commas, too
            cells = line.split(",") if "," in line else line.split()
        else:
            cells = _cells(line, separator)
        cells = [cell.strip() for cell in cells]
        if separator != ",":
            cells = [cell.replace(",", ".") for cell in cells]
        if len(cells) > place and (cells[place] in _MISSING or _number(cells[place]) is not None):
            if any(cells):
                found = True
                yield cells[: len(header.headers)]
        elif (found and line.strip()) or (not found and k > first + _UNITS_LINES):
            return


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None
