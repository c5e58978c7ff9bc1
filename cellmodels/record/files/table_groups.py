"""The groups of a record that a table gives: what its columns hold, as numbers in their units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from cellmodels.errors import InputError, did_you_mean, warn
from cellmodels.quantities import CURVE_PLACES
from cellmodels.record.build import in_unit, make_group
from cellmodels.record.checks import Rows
from cellmodels.record.columns import (
    Column,
    Meaning,
    identify,
    is_trace,
    mapped,
    missing_of_trace,
    near_misses,
    recognise,
    unclear_direction,
)
from cellmodels.record.files.adapting import EVIDENCE
from cellmodels.record.files.current_sign import discharge_positive, sign_by_voltage
from cellmodels.record.files.joining import going_on
from cellmodels.record.files.table import Table
from cellmodels.record.schema import COORDINATES, COUNTERS, known_names

Numbers = NDArray[np.float64]


def selected(tables: Mapping[str, Table], where: Mapping[str, Any]) -> dict[str, Table]:
    """Choose rows.

    Parameters
    ----------
    tables : mapping of str to Table
    where : mapping of str to value
        What a column must hold, by its header.

    Returns
    -------
    dict of str to Table
        With only these rows; the index keeps their numbers.

    Raises
    ------
    InputError
        If there is no such column, or no such row.
    """
    frames = {group: table.frame for group, table in tables.items()}
    for header, value in where.items():
        owners = [group for group, frame in frames.items() if header in frame.columns]
        if not owners:
            headers = [str(h) for frame in frames.values() for h in frame.columns]
            hint = did_you_mean(header, headers)
            raise InputError(f"where: there is no column '{header}'.{hint}")
        for group in owners:
            frames[group] = _rows_with(frames[group], header, value, tables[group].where)
    return {group: replace(table, frame=frames[group]) for group, table in tables.items()}


def _rows_with(frame: pd.DataFrame, header: str, value: Any, where: str) -> pd.DataFrame:
    """Rows with a value, compared as text or, for a number, as a number."""
    column = frame[header]
    chosen = column.astype(str).str.strip() == str(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        chosen |= pd.to_numeric(column, errors="coerce") == value
    if not chosen.any():
        values = [str(one) for one in column.dropna().unique()[:1000]]
        hint = did_you_mean(str(value), values)
        raise InputError(f"{where}: no row has {header} = {value!r}.{hint}")
    return frame[chosen]


def check_mapping(tables: Mapping[str, Table], columns: Mapping[str, str | None]) -> None:
    """Check that what the caller names is there.

    Parameters
    ----------
    tables : mapping of str to Table
    columns : mapping of str to (str or None)
        What columns hold, by their headers.

    Raises
    ------
    InputError
        If none of the tables has such a header.
    """
    headers = [str(h) for table in tables.values() for h in (*table.frame.columns, *table.headers)]
    for header in columns:
        if header not in headers:
            hint = did_you_mean(str(header), headers)
            raise InputError(f"columns: there is no column '{header}'.{hint}")


def groups_of(
    table: Table,
    group: str,
    columns: Mapping[str, str | None],
    offset: int,
    restarts: str | None = None,
) -> tuple[dict[str, tuple[xr.Dataset, Rows]], list[str]]:
    """Read the groups that a table gives.

    Parameters
    ----------
    table : Table
        The columns of a trace are taken out of it, to save memory.
    group : str
        The group that the caller says it is; empty where the headers tell.
    columns : mapping of str to (str or None)
        What the caller says that columns hold, by their headers.
    offset : int
        Added to cycle numbers.
    restarts : str, optional
        Which of its columns changes where the time of a trace begins anew.

    Returns
    -------
    datasets : dict of str to (xarray.Dataset, Rows)
        By group, with the numbers of the rows in the file.
    unknown : list of str
        Headers that were not known.

    Raises
    ------
    InputError
        If nothing of a record is there, a unit is missing or wrong, or a cell holds no number.
    """
    found, unknown = _recognised(table, group, columns)
    unknown += [c.header for c in found if group and not _belongs(c, group)]
    found = [c for c in found if not group or _belongs(c, group)]
    names = {c.name for c in found if c.name not in COORDINATES or c.group == "traces"}
    somewhere = any(c.name in COORDINATES or c.group == "traces" for c in found)
    if not names or (not somewhere and missing_of_trace(map(str, table.frame.columns))):
        raise InputError(_nothing_known(table, group, unknown))
    if any(c.group == "traces" for c in found):
        rows = replace(table, frame=table.frame[[]])
        taken = {}
        for c in found:  # long columns are given up one by one
            taken[c.key] = _values(table, c, offset)
            del table.frame[c.header]
        return {"traces": _trace(rows, found, taken, restarts)}, unknown
    values = {c.key: _values(table, c, offset) for c in found}
    datasets = {}
    for wanted in ("cycles", "checkups"):
        own = [c for c in found if c.group == wanted and c.name not in COORDINATES]
        if own:
            placed = [c for c in found if c.name in COORDINATES]
            datasets[wanted] = _group(table, wanted, own, placed, values)
    return datasets, unknown


def _recognised(
    table: Table, group: str, columns: Mapping[str, str | None]
) -> tuple[list[Column], list[str]]:
    """Columns with a meaning, those that the user named first; and headers without."""
    headers = [str(header) for header in table.frame.columns]
    meanings = [columns.get(header, header) or "" for header in headers]
    trace = group == "traces" or (group == "" and is_trace(meanings))
    found: dict[tuple[str, float | None], Column] = {}
    for header in headers:
        target = columns.get(header)
        if target is not None:
            column = mapped(header, target, trace)
            if column.key in found:
                raise InputError(f"columns: two of them are '{target}'.")
            found[column.key] = column
    named, unknown = set(found), []
    for header in headers:
        meaning = None if header in columns else identify(header, trace)
        if meaning is None or meaning.key in named:
            unknown += [] if header in columns else [header]
            continue
        if meaning.group == "traces" and meaning.name in COUNTERS and not _usable(meaning, found):
            unknown.append(header)
            continue
        if meaning.key in found:
            other = found[meaning.key].header
            raise InputError(
                f"{table.where}: '{other}' and '{header}' both are '{meaning.name}'. Leave one out "
                f"with columns={{'{header}': None}}."
            )
        found[meaning.key] = _checked(meaning, table)
    _warn_of_misspelt(table, [] if trace else unknown)
    return list(found.values()), [header for header in unknown if not header.startswith("Unnamed:")]


def _usable(meaning: Meaning, found: Mapping[tuple[str, float | None], Column]) -> bool:
    """Whether a counter of charge is the first of its kind, and in a unit that it says."""
    try:
        recognise(meaning)
    except InputError:
        return False
    return meaning.key not in found


def _checked(meaning: Meaning, table: Table) -> Column:
    try:
        return recognise(meaning)
    except InputError as error:
        raise type(error)(f"{table.where}: {error}") from None


def _belongs(column: Column, group: str) -> bool:
    """Whether a column serves a group; coordinates serve both /cycles and /checkups."""
    if column.name in COORDINATES and group != "traces":
        return True
    return column.group == group


def _warn_of_misspelt(table: Table, unknown: list[str]) -> None:
    for header, name in near_misses(unknown).items():
        warn(f"{table.where}: column '{header}' is left out. Did you mean '{name}'?")


def _nothing_known(table: Table, group: str, unknown: list[str]) -> str:
    headers = ", ".join(f"'{header}'" for header in table.frame.columns[:12])
    if group == "checkups":
        for meaning in map(identify, unknown):
            if meaning is not None and meaning.name == "discharge_capacity":
                return (
                    f"{table.where}: '{meaning.header}' does not say of which test it is. Name it: "
                    f"columns={{'{meaning.header}': 'capacity_1C [{meaning.unit or 'A.h'}]'}}."
                )
        return (
            f"{table.where}: no check-up variable among {headers}. Name the test: "
            "'capacity_1C [A.h]', 'resistance_10s [ohm]', 'voltage_C20 @ 0.5 A.h [V]'."
        )
    if missing := missing_of_trace(map(str, table.frame.columns)):
        return (
            f"{table.where}: no trace: among {headers} there is no {missing}. A trace needs time, "
            "voltage and current."
        )
    names = known_names(group or "cycles")
    return (
        f"{table.where}: no column of a record among {headers}. Say what they hold, "
        f"columns={{'…': 'discharge_capacity [A.h]'}}; known: {', '.join(names)}."
    )


# --- numbers -----------------------------------------------------------------------------------


def _values(table: Table, column: Column, offset: int) -> Numbers:
    """The numbers of a column, in the unit of the file."""
    series = table.frame[column.header]
    if series.dtype == bool:
        raise InputError(f"{table.where}: column '{column.header}' holds no numbers.")
    try:
        numbers = pd.to_numeric(series, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"{table.where}: column '{column.header}' holds no numbers.") from None
    if pd.api.types.is_numeric_dtype(series):
        bad = np.zeros(len(numbers), dtype=bool)
    else:
        text = series.astype(str).str.strip()
        bad = np.isnan(numbers) & series.notna().to_numpy() & (text != "").to_numpy()
    if bad.any() and not (column.group == "traces" and column.name in COUNTERS):
        rows = _rows(table, np.ones(len(numbers), dtype=bool))
        raise InputError(
            f"{table.where}: column '{column.header}' holds no number but "
            f"'{text.to_numpy()[bad][0]}'; {rows.of(bad)}."
        )
    return numbers + offset if column.name == "cycle" and offset else numbers


def _rows(table: Table, chosen: NDArray[np.bool_]) -> Rows:
    numbers = np.asarray(table.frame.index, dtype=np.int64)[chosen] + table.first
    return Rows(table.where, table.rows, numbers)


def _trace(
    table: Table,
    found: list[Column],
    values: dict[tuple[str, float | None], Numbers],
    restarts: str | None,
) -> tuple[xr.Dataset, Rows]:
    chosen = _with_any_value(values.values())
    some = not chosen.all()
    columns = {}
    for c in found:
        column = values.pop(c.key)
        columns[c.name] = (column[chosen] if some else column, c.unit)
    current = next((c for c in found if c.name == "current"), None)
    if current is not None:
        columns["current"] = (_discharging(table, current, columns), current.unit)
    for name in ("cycle", "step"):
        if name in columns and not _are_counts(columns[name][0]):
            warn(f"{table.where}: the column of '{name}' holds no whole numbers; it is left out.")
            del columns[name]
    for name in [n for n, (v, unit) in columns.items() if _is_dead(n, v, unit)]:
        header = next(c.header for c in found if c.name == name)
        warn(f"{table.where}: the channel '{header}' is empty or 0 °C throughout; it is left out.")
        del columns[name]
    if restarts is not None and "time" in columns:
        if restarts not in columns:
            raise InputError(
                f"{table.where}: time_restarts='{restarts}', but there is no column of it."
            )
        time, unit = columns["time"]
        columns["time"] = going_on(time, columns[restarts][0]), unit
    rows = _rows(table, chosen)
    dataset = make_group("traces", columns, rows, possible=False)
    headers = {f"{c.name}_header": c.header for c in found if c.name == "voltage"}
    evidence = {key: value for key, value in table.attrs.items() if key in EVIDENCE}
    dataset.attrs = {**headers, **evidence}
    return dataset, rows


def _discharging(
    table: Table, column: Column, columns: Mapping[str, tuple[Numbers, str]]
) -> Numbers:
    """The current, positive on discharge: as its header says, or else as the voltage does."""
    values, direction = columns["current"][0], column.direction
    if not direction and "voltage" in columns:
        direction = sign_by_voltage(values, columns["voltage"][0])
        does = "discharge" if direction > 0 else "charge"
        if direction:
            warn(
                f"{table.where}: '{column.header}' does not say which sign of the current is "
                f"which; by what the voltage does, positive values {does}."
            )
    if not direction:
        raise InputError(f"{table.where}: {unclear_direction(column.header)}")
    return values if direction > 0 else discharge_positive(values)


def _is_dead(name: str, values: Numbers, unit: str) -> bool:
    """Whether a channel that is not needed was not connected."""
    if name in ("time", "voltage", "current"):
        return False
    return bool(np.isnan(values).all() or (unit == "degC" and not np.nan_to_num(values).any()))


def _group(
    table: Table,
    group: str,
    own: list[Column],
    placed: list[Column],
    values: Mapping[tuple[str, float | None], Numbers],
) -> tuple[xr.Dataset, Rows]:
    """One group of a table: the rows in which it has values."""
    chosen = _with_any_value([values[c.key] for c in own])
    if not chosen.any():
        raise InputError(f"{table.where}: the columns of /{group} are empty.")
    simple = [c for c in (*placed, *own) if c.place is None]
    columns = {c.name: (values[c.key][chosen], c.unit) for c in simple}
    for name in dict.fromkeys(c.name for c in own if c.place is not None):
        parts = sorted((c for c in own if c.name == name and c.place is not None), key=_place)
        along = parts[0].along
        if any(part.along != along for part in parts):
            raise InputError(f"{table.where}: '{name}' is given over charge and over time.")
        scaled = [in_unit(values[c.key], c.unit, "V", c.header, name != c.name) for c in parts]
        columns[name] = (np.stack(scaled, axis=1)[chosen], "V")
        if not name.endswith(("_std", "_flag")):
            places = np.array([_place(c) for c in parts])
            columns[f"{along}_{name.removeprefix('voltage_')}"] = places, CURVE_PLACES[along].unit
    rows = _rows(table, chosen)
    return make_group(group, columns, rows), rows


def _place(column: Column) -> float:
    return float("nan") if column.place is None else column.place


def _with_any_value(columns: Any) -> NDArray[np.bool_]:
    found: Any = False
    for column in columns:
        found = found | ~np.isnan(column)
    return np.asarray(found)


def _are_counts(values: Numbers) -> bool:
    known = values[np.isfinite(values)]
    return bool(np.all(known == np.round(known)))
