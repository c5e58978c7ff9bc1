"""The columns of a long text table, read in pieces: only those that are wanted are kept."""

from __future__ import annotations

import csv
import io
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import pandas as pd
from tqdm import tqdm

from cellmodels.errors import InputError
from cellmodels.record.files.contents import Content, whole
from cellmodels.record.files.text_layout import Layout

_ROWS = 250_000  # in one piece
_LONG = 50_000_000  # bytes from which on progress is shown
_MOST_SECTIONS = 500
_CLOCK_ROWS = 20_000  # whose dates are read


class Raw(NamedTuple):
    """Columns as they are in the file, and the dates of its first rows.

    Parameters
    ----------
    frame : pandas.DataFrame
        Under the names that were asked for.
    wall : pandas.Series or None
        What stands in the column ``wall`` in the first rows.
    """

    frame: pd.DataFrame
    wall: pd.Series | None


def tables(content: Content, layout: Layout, kept: Mapping[int, str]) -> Iterator[Raw]:
    """Read the tables of a file: one, unless its format repeats its headers.

    Parameters
    ----------
    content : Content
        The text.
    layout : Layout
        Where its table is.
    kept : mapping of int to str
        Columns to read, by place, and their names in what is returned. The one named ``wall``
        holds dates, which are read in the first rows only.

    Yields
    ------
    Raw

    Raises
    ------
    InputError
        If a table cannot be read.
    """
    places: dict[str, int] = {}
    for k, name in kept.items():
        if places.setdefault(name, k) != k:
            raise InputError(f"{content.where}: two columns have the header '{name}'.")
    if layout.format is not None and layout.format.sections:
        for section in _sections(content, layout):
            yield _read(section, content.where, layout, kept, 0)
    else:
        with content.open() as stream, _progress(content, stream) as shown:
            yield _read(shown, content.where, layout, kept, layout.line + 1)


def _read(stream: Any, where: str, layout: Layout, kept: Mapping[int, str], skip: int) -> Raw:
    """The kept columns of all rows, under the given names."""
    pieces: dict[str, list[pd.Series]] = {name: [] for name in kept.values()}
    options: dict[str, Any] = {
        "sep": layout.separator,
        "decimal": layout.decimal,
        "header": None,
        "names": range(max(kept) + 1),
        "usecols": sorted(kept),
        "index_col": False,
        "skiprows": skip,
        "skip_blank_lines": layout.format is not None,
        "skipinitialspace": True,
        "chunksize": _ROWS,
        "low_memory": False,
        "quoting": csv.QUOTE_NONE if layout.quoted else csv.QUOTE_MINIMAL,
        "encoding": layout.encoding,
        "encoding_errors": "replace",
    }
    rows = 0
    try:
        with pd.read_csv(stream, **options) as reader:
            for piece in reader:
                rows += len(piece)
                if len(piece) == _ROWS and piece.isna().all(axis=None):
                    raise InputError(f"{where}: {_ROWS} rows without a value, one after another.")
                for k, name in kept.items():
                    if name != "wall" or rows == len(piece):
                        pieces[name].append(piece[k].copy())  # and not a view of all of it
    except (pd.errors.ParserError, pd.errors.EmptyDataError, OverflowError, csv.Error) as error:
        words = " ".join(str(error).split())[:200]
        if words.startswith("Too many columns specified"):
            words = "its lines have fewer values than there are headers"
        raise InputError(f"{where}: no table: {words}.") from None
    wall = pieces.pop("wall", [])
    frame = {name: _joined(pieces[name]) for name in list(pieces)}
    dates_ = wall[0].iloc[:_CLOCK_ROWS] if wall else None
    return Raw(pd.DataFrame(frame, copy=False), dates_)


def _joined(pieces: list[pd.Series]) -> Any:
    """Pieces of a column as one; they are given up one after another."""
    if not all(pd.api.types.is_numeric_dtype(piece) for piece in pieces):
        out = pd.concat(pieces, ignore_index=True)
        return out.astype(object) if out.dtype == object else out
    whole = np.empty(sum(len(piece) for piece in pieces))
    end = len(whole)
    while pieces:
        piece = pieces.pop()
        whole[end - len(piece) : end] = piece.to_numpy(dtype=float, na_value=np.nan)
        end -= len(piece)
    return whole


@contextmanager
def _progress(content: Content, stream: BinaryIO) -> Iterator[Any]:
    """A bar over the bytes that were read, for a long file."""
    total = content.size if not content.packing else None
    with tqdm.wrapattr(
        stream,
        "read",
        total=total,
        unit="B",
        unit_scale=True,
        desc=f"Reading {Path(content.where).name}",
        leave=False,
        disable=content.size < _LONG,
    ) as wrapped:
        yield wrapped


def _sections(content: Content, layout: Layout) -> Iterator[io.StringIO]:
    """The tables of a file that repeats its line of headers after new descriptions."""
    data = whole(content)
    lines = data.decode(layout.encoding, errors="replace").splitlines(keepends=True)
    header = lines[layout.line].strip()
    begins = [k + 1 for k, line in enumerate(lines) if line.strip() == header]
    if len(begins) > _MOST_SECTIONS:
        raise InputError(f"{content.where}: its line of headers comes {len(begins)} times.")
    ends = [k for k, line in enumerate(lines) if line.startswith("[")]
    for k, following in zip(begins, [*begins[1:], len(lines) + 1], strict=True):
        place = bisect_left(ends, k)
        end = min(following - 1, ends[place] if place < len(ends) else len(lines))
        if any(line.strip() for line in lines[k:end]):
            yield io.StringIO("".join(lines[k:end]))
