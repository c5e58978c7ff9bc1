"""Text files of measurements as traces: instruments' exports, and tables whose headers say all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from cellmodels.errors import InputError
from cellmodels.record.columns import identify
from cellmodels.record.files.adapting import LABELS, UNITS, Trace, adapt
from cellmodels.record.files.clocks import dates, evidence
from cellmodels.record.files.contents import Content
from cellmodels.record.files.impedance_tables import impedance_columns, split_impedance
from cellmodels.record.files.joining import join
from cellmodels.record.files.text_formats import Format, names_and_units
from cellmodels.record.files.text_layout import Layout, layout_of
from cellmodels.record.files.text_pieces import Raw, tables
from cellmodels.record.files.text_preamble import described
from cellmodels.record.schema import COUNTERS
from cellmodels.units import convert


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
        If the numbers cannot be read.
    """
    layout = layout_of(content, columns)
    if layout is None:
        return None
    own = frozenset((*columns, *wanted))
    if layout.format is None:
        kept = _plain_columns(layout, own, columns)
        (raw,) = tables(content, layout, kept)
        attrs = _clocks(raw, own)
        found = impedance_columns([str(name) for name in raw.frame.columns], columns)
        frame, spectra = split_impedance(raw.frame, found, content.where)
        begun = np.empty(0) if raw.wall is None else dates(raw.wall)
        starts = float(begun[0]) if begun.size else float("nan")
        return Trace(
            frame,
            layout.line + 2,
            "line",
            attrs,
            starts=starts,
            ignored=_ignored(layout, kept),
            impedance=spectra,
            headers=layout.headers if spectra is not None else (),
        )
    return _export(content, layout, layout.format, own)


# --- tables whose headers say all --------------------------------------------------------------


def _plain_columns(
    layout: Layout, own: frozenset[str], columns: Mapping[str, str | None]
) -> dict[int, str]:
    """Of a trace: the columns with a meaning, and a clock to check the time with."""
    kept = {}
    impedance = impedance_columns(layout.headers, columns)
    for k, header in enumerate(layout.headers):
        if header in own or k in impedance or identify(header, trace=True) is not None:
            kept[k] = header
        elif _is_wall(header) and "wall" not in kept.values():
            kept[k] = "wall"
    return kept


def _is_wall(header: str) -> bool:
    return names_and_units([header])[0][0] in ("unix_time", "date_time")


def _clocks(raw: Raw, own: frozenset[str]) -> dict[str, Any]:
    """The time of a plain trace against the dates beside it, unless the caller named it."""
    if raw.wall is None:
        return {}
    for header in raw.frame.columns.difference(list(own)):
        meaning = identify(str(header), trace=True)
        if meaning is None or meaning.name != "time" or meaning.unit != "s":
            continue
        series = raw.frame[header].iloc[: len(raw.wall)]
        if pd.api.types.is_numeric_dtype(series):
            elapsed = series.to_numpy(dtype=float, na_value=np.nan)
            return evidence(elapsed, dates(raw.wall), str(header))
    return {}


def _ignored(layout: Layout, kept: Mapping[int, str]) -> tuple[str, ...]:
    return tuple(h for k, h in enumerate(layout.headers) if k not in kept and h)


# --- exports of instruments --------------------------------------------------------------------


def _export(content: Content, layout: Layout, known: Format, own: frozenset[str]) -> Trace:
    kept = _kept(layout, known, own)
    parts = []
    for raw in tables(content, layout, kept):
        rows = _measurements(raw) if known.blank else raw
        meaning = _units(layout, known, content.where), _headers(layout, known)
        parts.append(adapt(rows.frame, rows.wall, *meaning, content.where))
    if not parts:
        raise InputError(f"{content.where}: the file has headers but no measurements.")
    if known.unsigned and "state" not in kept.values() and _without_sign(parts):
        parts[0].attrs["current_sign"] = (
            "no column says which rows discharge and no current is negative: all taken to charge"
        )
    frame, how = join(
        [one.frame for one in parts],
        [one.starts for one in parts],
        [f"part {k + 1}" for k in range(len(parts))],
        content.where,
        LABELS["time"],
        LABELS["cycle"],
    )
    attrs = {"cycler": known.name, **parts[0].attrs, **how, **described(layout.preamble)}
    return Trace(
        frame,
        attrs=attrs,
        starts=parts[0].starts,
        ignored=_ignored(layout, kept),
        impedance=parts[0].impedance,
        headers=layout.headers if parts[0].impedance is not None else (),
    )


def _without_sign(traces: Sequence[Trace]) -> bool:
    return not any((one.frame[LABELS["current"]] < 0).any() for one in traces)


def _kept(layout: Layout, known: Format, own: frozenset[str]) -> dict[int, str]:
    """Columns that are read, by place, and what each is called from here on."""
    kept = _roles(layout, known, own)
    for k, header in enumerate(layout.headers):
        if header in own:
            kept.setdefault(k, header)
    if "frequency" in kept.values():
        for k, column in impedance_columns(layout.headers).items():
            kept.setdefault(k, column.header)
    return kept | {k: f"blank {k}" for k in range(known.blank)}


def _roles(layout: Layout, known: Format, own: frozenset[str]) -> dict[int, str]:
    """What each column holds: for every variable the first header that the format knows."""
    names = [name for name, _ in names_and_units(layout.headers)]
    roles: dict[int, str] = {}
    for name, target in known.columns.items():
        role = target.partition(" ")[0]
        places = [k for k, one in enumerate(names) if one == name and layout.headers[k] not in own]
        if places and role not in roles.values():
            roles[places[0]] = role
    return roles


def _units(layout: Layout, known: Format, where: str) -> dict[str, tuple[str, bool]]:
    """Unit of each variable, and whether its header says so."""
    found: dict[str, tuple[str, bool]] = {}
    for k, role in _roles(layout, known, frozenset()).items():
        name, written = names_and_units([layout.headers[k]])[0]
        default = known.columns[name].partition(" ")[2].strip("[]")
        found[role] = _unit(role, written, default, where)
    return found


def _unit(role: str, written: str | None, default: str, where: str) -> tuple[str, bool]:
    if role not in UNITS or written is None:
        return default, False
    unit = written.replace("µ", "u").replace("μ", "u")
    if role.endswith("temperature") and unit in ("C", "c"):
        return "degC", True
    try:
        convert(1.0, unit, UNITS[role], what=f"{where}: the column of '{role}'")
    except ValueError:
        if role in ("voltage", "current"):
            raise
        if role in COUNTERS:
            return "", False  # and not in a unit that it does not say
        return default, False  # "hh:mm:ss", or a degree sign lost in some encoding
    return unit, True


def _headers(layout: Layout, known: Format) -> dict[str, str]:
    """The header of each variable, for messages."""
    return {r: layout.headers[k] for k, r in _roles(layout, known, frozenset()).items()}


def _measurements(raw: Raw) -> Raw:
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
    return Raw(out.reset_index(drop=True), wall)
