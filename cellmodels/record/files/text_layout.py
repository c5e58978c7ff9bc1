"""Where the table of a text file begins, and what kind of table it is.

Instruments write descriptions of every kind before their measurements; a table is found by its line
of headers: that of a known export, or one that says itself that time, voltage and current follow.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cellmodels.errors import InputError
from cellmodels.record.columns import is_trace
from cellmodels.record.files.contents import Content
from cellmodels.record.files.text_formats import (
    Format,
    matching,
    names_and_units,
)

#: Where a table begins, it does within these first bytes and lines.
HEAD_BYTES = 2_000_000
HEAD_LINES = 3000
#: Most columns of a table in a text file.
MOST_COLUMNS = 10_000

_SEPARATORS = "\t,;"
_VOLTAGE = re.compile(r"volt|ecell|ewe|potential|\bu\b|u\[", re.IGNORECASE)
_IMPEDANCE_TEXT = re.compile(r"A\.C\. Impedance|^TAG\s+\w*EIS|Z60W Data File", re.MULTILINE)
_COMMA = re.compile(r"[+-]?\d+,\d+(?:[eE][+-]?\d+)?")
_POINT = re.compile(r"[+-]?\d+\.\d+(?:[eE][+-]?\d+)?")


@dataclass(frozen=True)
class Layout:
    """Where a table begins, and what its columns are.

    Parameters
    ----------
    encoding, separator, decimal : str
        How it is written.
    line : int
        The line of headers, counted from 0.
    headers : tuple of str
        As in the file.
    format : Format or None
        The instrument's export; None where the headers themselves say all.
    quoted : bool
        Whether quotation marks stand around whole lines, as some spreadsheets leave them.
    preamble : tuple of str
        The lines before it.
    """

    encoding: str
    separator: str
    line: int
    headers: tuple[str, ...]
    format: Format | None
    decimal: str
    quoted: bool
    preamble: tuple[str, ...]


def layout_of(content: Content, columns: Mapping[str, str | None]) -> Layout | None:
    """Find the table of a text file.

    Parameters
    ----------
    content : Content
        The text.
    columns : mapping of str to (str or None)
        What the caller says that columns hold, by their headers.

    Returns
    -------
    Layout or None
        None for a text without a table of measurements in time.

    Raises
    ------
    InputError
        If it is no text, or says that it holds impedance and does not.
    """
    with content.open() as stream:
        head = stream.read(HEAD_BYTES)
    encoding = encoding_of(head, content.where)
    text = head.decode(encoding, errors="replace")
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")[:HEAD_LINES]
    first = next((k for k, line in enumerate(lines) if not line.startswith("#")), 0)
    for k, line in enumerate(lines):
        if any(line.count(separator) >= MOST_COLUMNS for separator in _SEPARATORS):
            continue
        named = bool(columns) and all(header in line for header in columns)
        if (k == first or named) and (
            plain := _plain_layout(lines, k, encoding, columns)
        ) is not None:
            return plain
        if _VOLTAGE.search(line) and (found := _format_of(line)) is not None:
            return _described(lines, k, encoding, *found)
    if _IMPEDANCE_TEXT.search(text):
        raise InputError(f"{content.where}: a file of impedance without a table of it.")
    return None


def _plain_layout(
    lines: Sequence[str], k: int, encoding: str, columns: Mapping[str, str | None]
) -> Layout | None:
    """A table whose own headers say all: the Battery Data Format, ours, or named by the caller."""
    separator = max(",;\t", key=lines[k].count)
    headers = [header.strip() for header in _split(lines[k], separator)]
    if not is_trace([columns.get(header, header) or "" for header in headers]):
        return None
    if _format_of(lines[k]) is not None:
        return None
    return _described(lines, k, encoding, separator, headers, None)


def _described(
    lines: Sequence[str],
    k: int,
    encoding: str,
    separator: str,
    headers: Sequence[str],
    known: Format | None,
) -> Layout:
    sample = [cell for line in lines[k + 1 : k + 20] for cell in line.split(separator)]
    commas = sum(bool(_COMMA.fullmatch(cell.strip())) for cell in sample)
    points = sum(bool(_POINT.fullmatch(cell.strip())) for cell in sample)
    quoted = lines[k].startswith('"') and lines[k].count('"') == 2 and separator in lines[k]
    return Layout(
        encoding,
        separator,
        k,
        tuple(header.strip().strip('"').strip() for header in headers),
        known,
        "," if separator != "," and commas > points else ".",
        quoted,
        tuple(lines[:k]),
    )


def _format_of(line: str) -> tuple[str, list[str], Format] | None:
    """Separator, headers and format of a line, if it is one of headers."""
    for separator in sorted(_SEPARATORS, key=line.count, reverse=True):
        if line.count(separator) < 2:
            break
        headers = _split(line, separator)
        known = matching([name for name, _ in names_and_units(headers)])
        if known is not None:
            return separator, headers, known
    return None


def _split(line: str, separator: str) -> list[str]:
    if line.startswith('"') and line.count('"') == 2:
        line = line.replace('"', "")
    try:
        return next(csv.reader([line], delimiter=separator), [])
    except csv.Error:
        return line.split(separator)


def encoding_of(head: bytes, where: str) -> str:
    """How a text is written.

    Parameters
    ----------
    head : bytes
        Its beginning.
    where : str
        The file, for the message.

    Returns
    -------
    str

    Raises
    ------
    InputError
        If it is no text.
    """
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    if b"\0" in head:
        raise InputError(f"{where}: not a text file.")
    try:
        head[: len(head) - 4 if len(head) > 4 else None].decode("utf-8")
    except UnicodeDecodeError as error:
        return "utf-8-sig" if error.reason == "unexpected end of data" else "cp1252"
    return "utf-8-sig"
