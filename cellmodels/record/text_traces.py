"""Long text files of measurements, read in pieces: only the columns that a record needs are kept.

What comes out has the Battery Data Format's labels, whichever instrument wrote the file, so that
one reader follows, and one place that turns the current's sign.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from cellmodels.errors import InputError
from cellmodels.record.clocks import dates, durations, real_unit, refuse_wrong_unit, written
from cellmodels.record.columns import identify, is_trace
from cellmodels.record.contents import Content, whole
from cellmodels.record.joining import join
from cellmodels.record.text_formats import (
    IMPEDANCE_HEADERS,
    Format,
    matching,
    names_and_units,
)
from cellmodels.units import convert

Numbers = NDArray[np.float64]

#: Headers of the Battery Data Format for what a trace holds. Its current is positive on charge.
LABELS: Mapping[str, str] = {
    "time": "Test Time / s",
    "voltage": "Voltage / V",
    "current": "Current / A",
    "temperature": "Surface Temperature / degC",
    "ambient_temperature": "Ambient Temperature / degC",
    "cycle": "Cycle Count / 1",
    "step": "Step Count / 1",
}
_UNITS = {
    "time": "s", "voltage": "V", "current": "A", "temperature": "degC",
    "ambient_temperature": "degC",
}  # fmt: skip

_HEAD_BYTES = 2_000_000
_HEAD_LINES = 3000
_ROWS = 250_000  # in one piece
_LONG = 50_000_000  # bytes from which on progress is shown
_CLOCK_ROWS = 20_000  # whose dates are read
_MOST_VOLTS = 1000.0
_MOST_METADATA = 100

_SEPARATORS = "\t,;"
_VOLTAGE = re.compile(r"volt|ecell|ewe|potential|\bu\b|u\[", re.IGNORECASE)
_IMPEDANCE = re.compile(r"freq|z'|zreal|re\(z\)", re.IGNORECASE)
_IMPEDANCE_TEXT = re.compile(r"A\.C\. Impedance|^TAG\s+\w*EIS|Z60W Data File", re.MULTILINE)
_COMMA = re.compile(r"[+-]?\d+,\d+(?:[eE][+-]?\d+)?")
_POINT = re.compile(r"[+-]?\d+\.\d+(?:[eE][+-]?\d+)?")
_DISCHARGES = re.compile(r"^D$|dch|disch", re.IGNORECASE)
_CHARGES = re.compile(r"^C$|chg|charge", re.IGNORECASE)
_PREAMBLE = re.compile(r"[~#\s\"]*([A-Za-z][^:=\t,;]{1,60}?)\s*(?:[:=]\s*[\t,;]?|[\t,;])\s*(.+)")


@dataclass
class Trace:
    """Measurements from one file.

    Parameters
    ----------
    frame : pandas.DataFrame
        With the labels of the Battery Data Format, and columns that were asked for.
    first : int
        Number of the first row, for messages.
    rows : str
        What rows are called in messages.
    attrs : dict
        What the file says about itself, and what was done to it: texts and numbers.
    starts : float
        Date of the first row [s since 1970]; NaN where there is none.
    ignored : tuple of str
        Headers of columns that were not read.
    """

    frame: pd.DataFrame
    first: int = 1
    rows: str = "data row"
    attrs: dict[str, Any] = field(default_factory=dict)
    starts: float = float("nan")
    ignored: tuple[str, ...] = ()


class _Raw(NamedTuple):
    """Columns as they are in the file, and the dates of its first rows."""

    frame: pd.DataFrame
    wall: pd.Series | None


@dataclass(frozen=True)
class _Layout:
    """Where the table begins, and what its columns are."""

    encoding: str
    separator: str
    line: int
    headers: tuple[str, ...]
    format: Format | None
    decimal: str
    quoted: bool
    preamble: tuple[str, ...]


def read_trace(
    content: Content, columns: Mapping[str, str | None], wanted: Iterable[str]
) -> Trace | None:
    """Read a text file as a trace, if it is one.

    Parameters
    ----------
    content : Content
        The text.
    columns : mapping of str to (str or None)
        What the caller says that columns hold, by their headers.
    wanted : iterable of str
        Further headers whose columns are kept as they are.

    Returns
    -------
    Trace or None
        None for a text that is no export of a known cycler and has no time, voltage and current
        in its first line.

    Raises
    ------
    InputError
        If the numbers cannot be read, or the file holds impedance.
    """
    layout = _layout(content, columns)
    if layout is None:
        return None
    own = frozenset((*columns, *wanted))
    if layout.format is None:
        kept = _plain_columns(layout, own)
        with content.open() as stream, _progress(content, stream) as shown:
            raw = _read(shown, content.where, layout, kept, layout.line + 1)
        _check_clock(raw, own, content.where)
        starts = float("nan") if raw.wall is None else float(dates(raw.wall)[0])
        ignored = _ignored(layout, kept)
        return Trace(raw.frame, layout.line + 2, "line", starts=starts, ignored=ignored)
    return _cycler(content, layout, own)


# --- where the table is ------------------------------------------------------------------------


def _layout(content: Content, columns: Mapping[str, str | None]) -> _Layout | None:
    with content.open() as stream:
        head = stream.read(_HEAD_BYTES)
    encoding = _encoding(head, content.where)
    text = head.decode(encoding, errors="replace")
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")[:_HEAD_LINES]
    first = next((k for k, line in enumerate(lines) if not line.startswith("#")), 0)
    for k, line in enumerate(lines):
        named = bool(columns) and all(header in line for header in columns)
        if (k == first or named) and (
            plain := _plain_layout(lines, k, encoding, columns)
        ) is not None:
            return plain
        if _IMPEDANCE.search(line) or _VOLTAGE.search(line):
            found = _format_of(line)
            if found is not None:
                separator, headers, known = found
                _refuse_impedance(headers, lines[k + 1 :], content.where)
                if known is not None:
                    return _described(lines, k, encoding, separator, headers, known)
    if _IMPEDANCE_TEXT.search(text):
        raise InputError(_impedance(content.where))
    return None


def _plain_layout(
    lines: Sequence[str], k: int, encoding: str, columns: Mapping[str, str | None]
) -> _Layout | None:
    """A table whose own headers say all: the Battery Data Format, ours, or named by the caller."""
    separator = max(",;\t", key=lines[k].count)
    headers = [header.strip() for header in _split(lines[k], separator)]
    if not is_trace([columns.get(header, header) or "" for header in headers]):
        return None
    known = _format_of(lines[k])
    if known is not None and known[2] is not None:
        return None
    return _described(lines, k, encoding, separator, headers, None)


def _described(
    lines: Sequence[str],
    k: int,
    encoding: str,
    separator: str,
    headers: Sequence[str],
    known: Format | None,
) -> _Layout:
    sample = [cell for line in lines[k + 1 : k + 20] for cell in line.split(separator)]
    commas = sum(bool(_COMMA.fullmatch(cell.strip())) for cell in sample)
    points = sum(bool(_POINT.fullmatch(cell.strip())) for cell in sample)
    quoted = lines[k].startswith('"') and lines[k].count('"') == 2 and separator in lines[k]
    return _Layout(
        encoding,
        separator,
        k,
        tuple(header.strip().strip('"').strip() for header in headers),
        known,
        "," if separator != "," and commas > points else ".",
        quoted,
        tuple(lines[:k]),
    )


def _format_of(line: str) -> tuple[str, list[str], Format | None] | None:
    """Separator, headers and format of a line, if it may be a line of headers."""
    best: tuple[str, list[str], Format | None] | None = None
    for separator in sorted(_SEPARATORS, key=line.count, reverse=True):
        if line.count(separator) < 2:
            break
        headers = _split(line, separator)
        found = matching([name for name, _ in names_and_units(headers)])
        if found is not None:
            return separator, headers, found
        names = {name for name, _ in names_and_units(headers)}
        if best is None and names & IMPEDANCE_HEADERS:
            best = separator, headers, None
    return best


def _split(line: str, separator: str) -> list[str]:
    if line.startswith('"') and line.count('"') == 2:
        line = line.replace('"', "")
    try:
        return next(csv.reader([line], delimiter=separator), [])
    except csv.Error:
        return line.split(separator)


def _encoding(head: bytes, where: str) -> str:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    if b"\0" in head:
        raise InputError(f"{where}: not a text file.")
    try:
        head[: len(head) - 4 if len(head) > 4 else None].decode("utf-8")
    except UnicodeDecodeError as error:
        return "utf-8-sig" if error.reason == "unexpected end of data" else "cp1252"
    return "utf-8-sig"


def _refuse_impedance(headers: Sequence[str], lines: Sequence[str], where: str) -> None:
    """A table over frequency, unless frequency is a column of a trace that is mostly empty."""
    named = [name for name, _ in names_and_units(headers)]
    found = next((k for k, name in enumerate(named) if name in IMPEDANCE_HEADERS), None)
    if found is None:
        return
    cells = [line.split("\t" if "\t" in line else ",") for line in lines[:50] if line.strip()]
    values = [cell[found].strip() for cell in cells if len(cell) > found]
    if sum(v.lower() not in ("", "nan", "0") and _zero(v) for v in values) > len(values) / 2:
        raise InputError(_impedance(where))


def _zero(value: str) -> bool:
    """Whether a frequency is given; an instrument writes 0 where it measures none."""
    try:
        return float(value.replace(",", ".")) != 0.0
    except ValueError:
        return False


def _impedance(where: str) -> str:
    return (
        f"{where}: an impedance spectrum, a table over frequency. A record is read from cycling "
        "data: times, voltages and currents."
    )


# --- an instrument's file ----------------------------------------------------------------------


def _without_sign(traces: Sequence[Trace]) -> bool:
    return not any((one.frame[LABELS["current"]] < 0).any() for one in traces)


def _cycler(content: Content, layout: _Layout, own: frozenset[str]) -> Trace:
    known = layout.format
    assert known is not None
    roles = _roles(layout, known, own)
    kept = {k: role for k, role in roles.items() if role}
    for k, header in enumerate(layout.headers):
        if header in own:
            kept.setdefault(k, header)
    if known.blank:
        kept |= {k: f"blank {k}" for k in range(known.blank)}
    parts = []
    for raw in _tables(content, layout, kept):
        if known.blank:
            raw = _measurements(raw)
        meaning = _units(layout, known, content.where), _headers(layout)
        parts.append(adapt(raw.frame, raw.wall, *meaning, content.where))
    if known.unsigned and "state" not in kept.values() and _without_sign(parts):
        parts[0].attrs["current_sign"] = (
            "no column says which rows discharge and no current is negative: all taken to charge"
        )
    if not parts:
        raise InputError(f"{content.where}: the file has headers but no measurements.")
    frame, how = join(
        [one.frame for one in parts],
        [one.starts for one in parts],
        [f"part {k + 1}" for k in range(len(parts))],
        content.where,
        LABELS["time"],
        LABELS["cycle"],
    )
    attrs = {"cycler": known.name, **parts[0].attrs, **how, **_metadata(layout)}
    return Trace(frame, attrs=attrs, starts=parts[0].starts, ignored=_ignored(layout, kept))


def _ignored(layout: _Layout, kept: Mapping[int, str]) -> tuple[str, ...]:
    return tuple(h for k, h in enumerate(layout.headers) if k not in kept and h)


def _tables(content: Content, layout: _Layout, kept: Mapping[int, str]) -> Iterator[_Raw]:
    if layout.format is not None and layout.format.sections:
        for section in _sections(content, layout):
            yield _read(section, content.where, layout, kept, 0)
    else:
        with content.open() as stream, _progress(content, stream) as shown:
            yield _read(shown, content.where, layout, kept, layout.line + 1)


def _roles(layout: _Layout, known: Format, own: frozenset[str]) -> dict[int, str]:
    """What each column holds: for every variable the first header that the format knows."""
    names = [name for name, _ in names_and_units(layout.headers)]
    roles: dict[int, str] = {}
    for name, target in known.columns.items():
        role = target.partition(" ")[0]
        places = [k for k, one in enumerate(names) if one == name and layout.headers[k] not in own]
        if places and role not in roles.values():
            roles[places[0]] = role
    return roles


def _units(layout: _Layout, known: Format, where: str) -> dict[str, tuple[str, bool]]:
    """Unit of each variable, and whether its header says so."""
    found: dict[str, tuple[str, bool]] = {}
    for k, role in _roles(layout, known, frozenset()).items():
        name, written = names_and_units([layout.headers[k]])[0]
        default = known.columns[name].partition(" ")[2].strip("[]")
        found[role] = _unit(role, written, default, where)
    return found


def _unit(role: str, written: str | None, default: str, where: str) -> tuple[str, bool]:
    if role not in _UNITS or written is None:
        return default, False
    unit = written.replace("µ", "u").replace("μ", "u")
    if role.endswith("temperature") and unit in ("C", "c"):
        return "degC", True
    try:
        convert(1.0, unit, _UNITS[role], what=f"{where}: the column of '{role}'")
    except ValueError:
        if role in ("voltage", "current"):
            raise
        return default, False  # "hh:mm:ss", or a degree sign lost in some encoding
    return unit, True


def _headers(layout: _Layout) -> dict[str, str]:
    """The header of each variable, for messages."""
    known = layout.format
    assert known is not None
    return {r: layout.headers[k] for k, r in _roles(layout, known, frozenset()).items()}


def _metadata(layout: _Layout) -> dict[str, Any]:
    """What the lines before the table say, such as "Channel: 1"."""
    found: dict[str, Any] = {}
    for line in (one for one in layout.preamble if len(one) < 500):
        match = _PREAMBLE.fullmatch(line.strip().rstrip(",;\t"))
        if match is not None and len(found) < _MOST_METADATA:
            key = re.sub(r"[^A-Za-z0-9]+", "_", match[1]).strip("_").lower()
            if key:
                found.setdefault(f"instrument_{key}", match[2].strip()[:200])
    return found


def _measurements(raw: _Raw) -> _Raw:
    """Rows of measurements among rows that sum up cycles and steps."""
    frame = raw.frame
    blanks = [name for name in frame.columns if name.startswith("blank ")]
    cycle = pd.to_numeric(frame[blanks[0]], errors="coerce").ffill()
    measured = frame[blanks].isna().all(axis=1)
    out = frame.loc[measured].drop(columns=blanks)
    if "cycle" not in out:
        out["cycle"] = cycle[measured]
    wall = raw.wall
    if wall is not None:
        wall = wall[measured.iloc[: len(wall)].to_numpy()].reset_index(drop=True)
    return _Raw(out.reset_index(drop=True), wall)


def adapt(
    raw: pd.DataFrame,
    wall: pd.Series | None,
    units: Mapping[str, tuple[str, bool]],
    headers: Mapping[str, str],
    where: str,
) -> Trace:
    """Turn an instrument's columns into those of the Battery Data Format.

    Parameters
    ----------
    raw : pandas.DataFrame
        Columns named by what they hold ("time", "voltage", "current", "state", …); others are
        kept as they are.
    wall : pandas.Series or None
        Dates of the first rows.
    units : mapping of str to (str, bool)
        Unit of each, and whether the file says so itself.
    headers : mapping of str to str
        The file's own headers, for messages.
    where : str
        The file, for messages.

    Returns
    -------
    Trace

    Raises
    ------
    InputError
        If a column holds no numbers, a time is in another unit than it says, or voltages are
        those of no cell.
    """
    attrs: dict[str, Any] = {}
    raw = _without_cut_row(raw, attrs)
    if "frequency" in raw:
        raw, wall = _without_impedance(raw, wall, attrs)
    if raw.empty:
        raise InputError(f"{where}: the file has headers but no measurements.")
    seconds = np.empty(0) if wall is None else dates(wall.iloc[: len(raw)])
    if wall is not None and np.isfinite(seconds[:1]).all():
        attrs["start_time"] = written(wall.iloc[0], float(seconds[0]))
    frame: dict[str, Any] = {}
    empty = []
    for name in [n for n in LABELS if n in raw]:
        series, header = raw.pop(name), headers.get(name, name)
        unit, said = units.get(name, ("", False))
        if name == "time":
            values = _time(series, unit, said, seconds, header, where, attrs)
        else:
            values = _in_units(_numbers(series, header, where), name, unit)
        if np.isnan(values).all():
            empty.append(header)
        else:
            frame[LABELS[name]] = values
        if name == "voltage":
            _check_voltage(values, header, where)
    if empty:
        attrs["empty_channels"] = ", ".join(empty)
    if "state" in raw and LABELS["current"] in frame:
        frame[LABELS["current"]] = signed(frame[LABELS["current"]], raw.pop("state"))
    for name in raw.columns.drop("state", errors="ignore"):
        frame[name] = raw[name].to_numpy()
    starts = float(seconds[0]) if len(seconds) else float("nan")
    return Trace(pd.DataFrame(frame, copy=False), attrs=attrs, starts=starts)


def _without_impedance(
    raw: pd.DataFrame, wall: pd.Series | None, attrs: dict[str, Any]
) -> tuple[pd.DataFrame, pd.Series | None]:
    """Rows of a spectrum within a trace hold no voltages and currents of their times."""
    frequency = pd.to_numeric(raw.pop("frequency"), errors="coerce").to_numpy(dtype=float)
    measured = ~(np.nan_to_num(frequency) != 0.0)
    if measured.all():
        return raw, wall
    attrs["left_out"] = f"{int((~measured).sum())} rows of impedance"
    if wall is not None:
        wall = wall[measured[: len(wall)]].reset_index(drop=True)
    return raw[measured].reset_index(drop=True), wall


def _in_units(values: Numbers, name: str, unit: str) -> Numbers:
    wanted = _UNITS.get(name, unit)
    if unit == wanted:
        return values
    offset = convert(0.0, unit, wanted)
    return values * (convert(1.0, unit, wanted) - offset) + offset


def signed(current: Numbers, state: pd.Series) -> Numbers:
    """Give a current that has no sign the one that its steps' names say.

    Parameters
    ----------
    current : ndarray
        Positive on charge, or without sign.
    state : pandas.Series of str
        What each row does: "C" and "D", "CC Chg" and "CC DChg".

    Returns
    -------
    ndarray
        Positive on charge. Unchanged where any row that discharges is negative already.
    """
    words = pd.Categorical(state.astype(str).str.strip())
    found = np.array([bool(_DISCHARGES.search(word)) for word in words.categories] + [False])
    discharging = found[words.codes]
    if (current[discharging] < 0).any():
        return current
    return np.where(discharging, -np.abs(current), current)


def _time(
    series: pd.Series,
    unit: str,
    said: bool,
    wall: Numbers,
    header: str,
    where: str,
    attrs: dict[str, Any],
) -> Numbers:
    """Elapsed time in seconds."""
    if pd.api.types.is_numeric_dtype(series):
        values = series.to_numpy(dtype=float, na_value=np.nan)
        values = values if unit == "s" else values * convert(1.0, unit, "s")
        head, wall = values[: len(wall)], wall[: len(values)]
        if said:
            refuse_wrong_unit(head, wall, header, where)
        elif (real := real_unit(head, wall)) != "s":
            values = values * convert(1.0, real, "s")
            attrs["time_unit"] = f"{real}, told by the dates in the file: the header says none"
        return values
    values = durations(series)
    if np.isnan(values).mean() > 0.5:
        values = dates(series)
        if np.isfinite(values).any():
            attrs["start_time"] = str(series.iloc[0]).strip()
            values = values - values[0]
    bad = np.isnan(values)
    if bad.any():
        raise InputError(
            f"{where}: column '{header}' holds no time but '{series[bad].iloc[0]}'; "
            f"data row {int(np.flatnonzero(bad)[0]) + 1}."
        )
    return values


def _numbers(series: pd.Series, header: str, where: str) -> Numbers:
    values = pd.to_numeric(series, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    if not pd.api.types.is_numeric_dtype(series):
        bad = np.isnan(values) & series.notna().to_numpy()
        bad &= ~series.astype(str).str.strip().isin(("", "N/A", "-", "---")).to_numpy()
        if bad.any():
            raise InputError(
                f"{where}: column '{header}' holds no number but '{series[bad].iloc[0]}'; "
                f"data row {int(np.flatnonzero(bad)[0]) + 1}."
            )
    return values


def _without_cut_row(raw: pd.DataFrame, attrs: dict[str, Any]) -> pd.DataFrame:
    """A last row that ends in its middle is left out."""
    needed = [name for name in ("time", "voltage", "current") if name in raw]
    if len(raw) > 1 and needed and bool(raw[needed].iloc[-1].isna().any()):
        attrs["left_out"] = "the last row, which is cut off"
        return raw.iloc[:-1]
    return raw


def _check_voltage(values: Numbers, header: str, where: str) -> None:
    middle = float(np.nanmedian(np.abs(values))) if np.isfinite(values).any() else 0.0
    if middle > _MOST_VOLTS:
        raise InputError(
            f"{where}: '{header}' is {middle:.4g} V in the middle. Is it in millivolts? Then say "
            f"so: columns={{'{header}': 'voltage [mV]'}}."
        )


# --- reading in pieces -------------------------------------------------------------------------


def _plain_columns(layout: _Layout, own: frozenset[str]) -> dict[int, str]:
    """Of a trace: the columns with a meaning, and a clock to check the time with."""
    kept = {}
    for k, header in enumerate(layout.headers):
        if header in own or identify(header, trace=True) is not None:
            kept[k] = header
        elif _is_wall(header) and "wall" not in kept.values():
            kept[k] = "wall"
    return kept


def _is_wall(header: str) -> bool:
    return names_and_units([header])[0][0] in ("unix_time", "date_time")


def _check_clock(raw: _Raw, own: frozenset[str], where: str) -> None:
    """The time of a plain trace against the dates beside it, unless the caller named it."""
    if raw.wall is None:
        return
    for header in raw.frame.columns.difference(list(own)):
        meaning = identify(str(header), trace=True)
        if meaning is None or meaning.name != "time" or meaning.unit != "s":
            continue
        series = raw.frame[header].iloc[: len(raw.wall)]
        if pd.api.types.is_numeric_dtype(series):
            elapsed = series.to_numpy(dtype=float, na_value=np.nan)
            refuse_wrong_unit(elapsed, dates(raw.wall), str(header), where)


def _read(stream: Any, where: str, layout: _Layout, kept: Mapping[int, str], skip: int) -> _Raw:
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
                for k, name in kept.items():
                    if name != "wall" or rows == len(piece):
                        pieces[name].append(piece[k].copy())  # and not a view of all of it
    except (pd.errors.ParserError, pd.errors.EmptyDataError, OverflowError, csv.Error) as error:
        words = " ".join(str(error).split())[:200]
        raise InputError(f"{where}: no table: {words}.") from None
    wall = pieces.pop("wall", [])
    frame = {name: _joined(pieces[name]) for name in list(pieces)}
    dates_ = wall[0].iloc[:_CLOCK_ROWS] if wall else None
    return _Raw(pd.DataFrame(frame, copy=False), dates_)


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


def _sections(content: Content, layout: _Layout) -> Iterator[io.StringIO]:
    """The tables of a file that repeats its line of headers after new descriptions."""
    data = whole(content)
    lines = data.decode(layout.encoding, errors="replace").splitlines(keepends=True)
    header = lines[layout.line].strip()
    begins = [k + 1 for k, line in enumerate(lines) if line.strip() == header]
    for k in begins:
        end = next((n for n in range(k, len(lines)) if lines[n].startswith("[")), len(lines))
        if any(line.strip() for line in lines[k:end]):
            yield io.StringIO("".join(lines[k:end]))
