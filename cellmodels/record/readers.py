"""Records from files."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from cellmodels.errors import InputError, did_you_mean
from cellmodels.record.build import in_unit, make_group, make_record
from cellmodels.record.checks import Rows
from cellmodels.record.columns import (
    Column,
    Meaning,
    identify,
    is_trace,
    mapped,
    near_misses,
    recognise,
)
from cellmodels.record.files import Table, check_path, kind_of, read_table
from cellmodels.record.netcdf import read_netcdf
from cellmodels.record.schema import COORDINATES, known_names

__all__ = ["read_record"]

_GROUPS = ("cycles", "checkups", "traces")

Numbers = NDArray[np.float64]


def read_record(
    path: str | Path | None = None,
    *,
    cycles: str | Path | None = None,
    checkups: str | Path | None = None,
    traces: str | Path | None = None,
    columns: Mapping[str, str | None] | None = None,
    where: Mapping[str, Any] | None = None,
    cycle_offset: int = 0,
    title: str | None = None,
    synthetic: bool = False,
    checkups_count_as_cycles: bool = False,
    flag: bool = True,
) -> xr.DataTree:
    """Read cycling data.

    Parameters
    ----------
    path : str or pathlib.Path, optional
        One of

        - a CSV or Parquet table, one row a cycle or a check-up or both. Headers say what a
          column holds and in which unit: ``cycle``, ``discharge_capacity [A.h]``,
          ``capacity_Ah``, ``capacity_C20 [A.h]``, ``resistance_10s [mohm]``,
          ``voltage_C20 @ 0.5 A.h [V]``; see :mod:`cellmodels.record.columns`;
        - a CSV or Parquet trace with time, voltage and current, in the Battery Data Format;
        - a netCDF file from :func:`write_record`;
        - a folder that holds ``cycles.csv``, ``checkups.csv`` and ``traces.csv``, or some of
          them, or the same as Parquet.

        All but the folder may be compressed (``.gz``).
    cycles, checkups, traces : str or pathlib.Path, optional
        Instead of `path`: one table for each group.
    columns : mapping of str to str or None, optional
        What columns hold, by their header, where it does not say so itself:
        ``{"Q": "discharge_capacity [A.h]"}``. The unit is that of the file. None leaves a column
        out.
    where : mapping of str to value, optional
        Only rows in which a column has this value: ``{"cell": "B1"}``.
    cycle_offset : int
        Added to cycle numbers: 1 for a file that counts from 0.
    title : str, optional
        The file's name by default.
    synthetic : bool
        Whether the data are made up.
    checkups_count_as_cycles : bool
        Whether the cycle numbers count the check-ups.
    flag : bool
        Whether to flag outliers, see :func:`cellmodels.record.flag_outliers`.

    Returns
    -------
    xarray.DataTree
        In the form of :mod:`cellmodels.record.schema`. A netCDF file is returned as it was
        written; its attributes are not changed by the arguments. Headers that are not known are
        listed in the attribute ``ignored_columns``.

    Raises
    ------
    InputError
        If a file cannot be read, a unit is missing or wrong, or numbers are impossible; the
        message names the file, the column and the lines. Addresses in a network are refused.

    Warns
    -----
    UserWarning
        If an unknown header looks like a misspelt known one.
    """
    paths = _paths(path, cycles, checkups, traces)
    if list(paths) == [""] and kind_of(paths[""]) == "netcdf":
        _refuse_with_netcdf(paths[""], columns, where, cycle_offset)
        return read_netcdf(paths[""])
    tables = {group: read_table(found) for group, found in paths.items()}
    tables = _selected(tables, where or {})
    _check_mapping(tables, columns or {})
    datasets: dict[str, xr.Dataset] = {}
    ignored: list[str] = []
    for group, table in tables.items():
        found, unknown = _datasets(table, group, columns or {}, cycle_offset)
        datasets.update(found)
        ignored += unknown
    names = ", ".join(found.name for found in paths.values())
    attrs = {
        "title": names if title is None else title,
        "source": names,
        "synthetic": int(synthetic),
        "checkups_count_as_cycles": int(checkups_count_as_cycles),
    }
    if ignored:
        attrs["ignored_columns"] = ", ".join(dict.fromkeys(ignored))
    ordered = {group: datasets[group] for group in _GROUPS if group in datasets}
    return make_record(ordered, attrs, flag)


# --- files -------------------------------------------------------------------------------------


def _paths(path: Any, cycles: Any, checkups: Any, traces: Any) -> dict[str, Path]:
    """The files by group; the group is "" where the file itself tells."""
    given = {"cycles": cycles, "checkups": checkups, "traces": traces}
    given = {group: one for group, one in given.items() if one is not None}
    if (path is None) == (not given):
        raise InputError("Give read_record either one path, or cycles=, checkups= and traces=.")
    if given:
        return {group: check_path(one) for group, one in given.items()}
    found = check_path(path)
    return _in_folder(found) if found.is_dir() else {"": found}


def _in_folder(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for one in sorted(folder.iterdir()):
        group, _, ending = one.name.lower().partition(".")
        if group in _GROUPS and ending and one.is_file():
            if group in found:
                raise InputError(f"'{folder}' has two tables of {group}: {found[group]}, {one}.")
            found[group] = one
    if not found:
        names = [one.name for one in folder.iterdir()]
        raise InputError(
            f"The folder '{folder}' has no cycles.csv, checkups.csv or traces.csv."
            + (f" It has: {', '.join(sorted(names)[:10])}." if names else " It is empty.")
        )
    return found


def _refuse_with_netcdf(path: Path, columns: Any, where: Any, offset: int) -> None:
    if columns or where or offset:
        raise InputError(f"{path}: columns, where and cycle_offset are for tables, not for netCDF.")


# --- rows and columns --------------------------------------------------------------------------


def _selected(tables: Mapping[str, Table], where: Mapping[str, Any]) -> dict[str, Table]:
    """The tables with only the wanted rows; the index keeps their numbers."""
    frames = {group: table.frame for group, table in tables.items()}
    for header, value in where.items():
        owners = [group for group, frame in frames.items() if header in frame.columns]
        if not owners:
            headers = [str(h) for frame in frames.values() for h in frame.columns]
            hint = did_you_mean(header, headers)
            raise InputError(f"where: there is no column '{header}'.{hint}")
        for group in owners:
            frames[group] = _rows_with(frames[group], header, value, tables[group].where)
    return {
        group: Table(frames[group], table.where, table.rows, table.first)
        for group, table in tables.items()
    }


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


def _check_mapping(tables: Mapping[str, Table], columns: Mapping[str, str | None]) -> None:
    headers = [str(h) for table in tables.values() for h in table.frame.columns]
    for header in columns:
        if header not in headers:
            hint = did_you_mean(str(header), headers)
            raise InputError(f"columns: there is no column '{header}'.{hint}")


def _datasets(
    table: Table, group: str, columns: Mapping[str, str | None], offset: int
) -> tuple[dict[str, xr.Dataset], list[str]]:
    """The groups that a table gives, and the headers that were not known."""
    found, unknown = _recognised(table, group, columns)
    unknown += [c.header for c in found if group and not _belongs(c, group)]
    found = [c for c in found if not group or _belongs(c, group)]
    names = {c.name for c in found if c.name not in COORDINATES or c.group == "traces"}
    if not names:
        raise InputError(_nothing_known(table, group, unknown))
    values = {c.key: _values(table, c, offset) for c in found}
    if any(c.group == "traces" for c in found):
        return {"traces": _trace(table, found, values)}, unknown
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
        if meaning.key in found:
            other = found[meaning.key].header
            raise InputError(
                f"{table.where}: '{other}' and '{header}' both are '{meaning.name}'. Leave one out "
                f"with columns={{'{header}': None}}."
            )
        found[meaning.key] = _checked(meaning, table)
    _warn_of_misspelt(table, [] if trace else unknown)
    return list(found.values()), [header for header in unknown if not header.startswith("Unnamed:")]


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
        warnings.warn(
            f"{table.where}: column '{header}' is left out. Did you mean '{name}'?", stacklevel=5
        )


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
    text = series.astype(str).str.strip()
    bad = np.isnan(numbers) & series.notna().to_numpy() & (text != "").to_numpy()
    if bad.any():
        rows = _rows(table, np.ones(len(numbers), dtype=bool))
        raise InputError(
            f"{table.where}: column '{column.header}' holds no number but "
            f"'{text.to_numpy()[bad][0]}'; {rows.of(bad)}."
        )
    if column.reversed_sign:
        return discharge_positive(numbers)
    return numbers + offset if column.name == "cycle" and offset else numbers


def discharge_positive(current: Numbers) -> Numbers:
    """Turn a current that is positive on charge into one that is positive on discharge.

    The only place where signs are changed.

    Parameters
    ----------
    current : ndarray
        Positive on charge, as in the Battery Data Format.

    Returns
    -------
    ndarray
        Positive on discharge.
    """
    return 0.0 - current  # and no negative zero


def _rows(table: Table, chosen: NDArray[np.bool_]) -> Rows:
    numbers = np.asarray(table.frame.index, dtype=np.int64)[chosen] + table.first
    return Rows(table.where, table.rows, numbers)


def _trace(
    table: Table, found: list[Column], values: Mapping[tuple[str, float | None], Numbers]
) -> xr.Dataset:
    chosen = _with_any_value(values.values())
    columns = {c.name: (values[c.key][chosen], c.unit) for c in found}
    for name in ("cycle", "step"):
        if name in columns and not _are_counts(columns[name][0]):
            warnings.warn(
                f"{table.where}: the column of '{name}' holds no whole numbers; it is left out.",
                stacklevel=4,
            )
            del columns[name]
    return make_group("traces", columns, _rows(table, chosen))


def _group(
    table: Table,
    group: str,
    own: list[Column],
    placed: list[Column],
    values: Mapping[tuple[str, float | None], Numbers],
) -> xr.Dataset:
    """One group of a table: the rows in which it has values."""
    chosen = _with_any_value([values[c.key] for c in own])
    if not chosen.any():
        raise InputError(f"{table.where}: the columns of /{group} are empty.")
    simple = [c for c in (*placed, *own) if c.charge is None]
    columns = {c.name: (values[c.key][chosen], c.unit) for c in simple}
    for name in dict.fromkeys(c.name for c in own if c.charge is not None):
        parts = sorted((c for c in own if c.name == name and c.charge is not None), key=_charge)
        scaled = [in_unit(values[c.key], c.unit, "V", c.header, name != c.name) for c in parts]
        columns[name] = (np.stack(scaled, axis=1)[chosen], "V")
        if not name.endswith(("_std", "_flag")):
            charges = np.array([_charge(c) for c in parts])
            columns[f"charge_{name.removeprefix('voltage_')}"] = (charges, "A.h")
    return make_group(group, columns, _rows(table, chosen))


def _charge(column: Column) -> float:
    return float("nan") if column.charge is None else column.charge


def _with_any_value(columns: Any) -> NDArray[np.bool_]:
    return np.any([~np.isnan(column) for column in columns], axis=0)


def _are_counts(values: Numbers) -> bool:
    known = values[np.isfinite(values)]
    return bool(np.all(known == np.round(known)))
