"""Records from files."""

from __future__ import annotations

import re
import warnings
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from cellmodels.errors import InputError, did_you_mean
from cellmodels.record.adapting import LABELS
from cellmodels.record.build import in_unit, make_group, make_record
from cellmodels.record.checks import Rows, check_group
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
from cellmodels.record.contents import contents
from cellmodels.record.current_sign import sign_by_voltage
from cellmodels.record.files import Table, check_path, read_table
from cellmodels.record.impedance_tables import inductive, unordered
from cellmodels.record.inspection import EVIDENCE, Inspected, in_words, inspect, quality_of
from cellmodels.record.joining import join
from cellmodels.record.netcdf import read_netcdf
from cellmodels.record.quality import QualityReport, report
from cellmodels.record.repair import wanted_repairs
from cellmodels.record.schema import (
    COORDINATES,
    COUNTERS,
    IMPEDANCE_VARIABLES,
    TRACE_VARIABLES,
    known_names,
)

__all__ = ["check_quality", "read_record"]

_GROUPS = ("cycles", "checkups", "traces", "impedance")

#: What may lie beside the files of a cycler.
_BESIDE = re.compile(
    r"[.~].*|.*\.(md|rst|pdf|png|jpe?g|svg|toml|ya?ml|json|log)|(readme|licen[cs]e)[^.]*(\.txt)?",
    re.IGNORECASE,
)

Numbers = NDArray[np.float64]


def read_record(
    path: str | Path | None = None,
    *,
    cycles: str | Path | None = None,
    checkups: str | Path | None = None,
    traces: str | Path | None = None,
    impedance: str | Path | None = None,
    columns: Mapping[str, str | None] | None = None,
    where: Mapping[str, Any] | None = None,
    cycle_offset: int = 0,
    title: str | None = None,
    synthetic: bool = False,
    checkups_count_as_cycles: bool = False,
    flag: bool = True,
    repair: str | Collection[str] = (),
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
        - a cycler's own file: text of Arbin, Neware, Maccor, BioLogic, Basytec, PEC, Novonix,
          Landt or Digatron, Arbin's .res and .xlsx, Neware's .nda, .ndax and .xlsx (the binary ones
          need the extra ``data``);
        - a workbook or a MATLAB file (version 5) of columns, which `columns` names; those in
          structures are ``"test.voltage"``;
        - impedance over frequency, as potentiostats export it or with such headers, also between
          the rows of a trace;
        - a netCDF file from :func:`write_record`;
        - a folder that holds ``cycles.csv``, ``checkups.csv``, ``traces.csv`` and
          ``impedance.csv``, or some of them, or the same as Parquet;
        - a folder of a cycler's files, one a test of the same cell: one trace in order of time,
          and the spectra of all.

        What a file holds is found from its content, not from its name. All but a folder may be in
        a gzip file, or alone in a zip archive.
    cycles, checkups, traces, impedance : str or pathlib.Path, optional
        Instead of `path`: one table for each group. A table of impedance may then be three
        columns of numbers without headers: frequency [Hz], real and imaginary part [ohm].
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
    repair : str or collection of str
        Faults to repair, by the kinds of :func:`check_quality`, or ``"all"``; see
        :mod:`cellmodels.record.repair`. What was done is in the attribute ``repaired``.

    Returns
    -------
    xarray.DataTree
        In the form of :mod:`cellmodels.record.schema`. A netCDF file is returned as it was
        written; its attributes are not changed by the arguments. Headers that are not known are
        listed in the attribute ``ignored_columns``. Of a cycler's file, ``cycler`` names the
        format, ``start_time`` is its first date, ``instrument_…`` is what it says about itself,
        ``left_out`` which rows were not read, ``joined`` how the time of several parts goes on, and
        ``quality`` what is doubtful. ``time_flag`` is 1 where the interval before a row is a gap,
        ``voltage_flag`` for a single voltage far from both neighbours.

    Raises
    ------
    InputError
        If a file cannot be read, a unit is missing or wrong, or numbers are impossible; the
        message names the file, the column and the lines. Addresses in a network are refused, so
        are BioLogic's .mpr (its readers are under the GPL: export .mpt), and what would give wrong
        numbers, such as times that go back, until its repair is asked for.

    Warns
    -----
    UserWarning
        If an unknown header looks like a misspelt known one, rows or channels of a cycler's file
        were left out, a unit or sign was not said in it (the sign of a current is then told by
        :func:`cellmodels.record.current_sign.sign_by_voltage`), or something in it is doubtful.
    """
    kinds = wanted_repairs(repair)
    given = {"cycles": cycles, "checkups": checkups, "traces": traces, "impedance": impedance}
    paths = _paths(path, given)
    if list(paths) == [""]:
        with contents(paths[""]) as content:
            if content.kind == "netcdf":
                _refuse_with_netcdf(paths[""], columns, where, cycle_offset, kinds)
                return read_netcdf(content)
    tables = _tables(paths, columns or {}, where or {})
    groups, ignored = _inspected(tables, columns or {}, cycle_offset, kinds)
    quality = _report(groups, tables)
    quality.raise_if_refused()
    if quality.noted:
        warnings.warn(f"{quality.where}: {quality.text()}.", stacklevel=2)
    datasets: dict[str, xr.Dataset] = {}
    raw: dict[str, xr.Dataset] = {}
    for name, found in groups.items():
        for group, one in found.items():
            check_group(one.dataset, group, one.rows)
        if not name.startswith("/"):
            datasets |= {group: one.dataset for group, one in found.items()}
        elif "traces" in found:
            raw[name] = found["traces"].dataset
        else:
            where_ = tables[name].where
            raise InputError(f"{where_}: no trace; a folder of raw files holds traces alone.")
    how: dict[str, str] = {}
    if raw:
        datasets["traces"], how = _joined(raw, tables, str(path))
    spectra = {name: table for name, table in tables.items() if table.impedance is not None}
    if spectra:
        datasets["impedance"] = _impedance(spectra)
    names = ", ".join(found.name for found in paths.values())
    attrs = {
        "title": names if title is None else title,
        "source": names,
        "synthetic": int(synthetic),
        "checkups_count_as_cycles": int(checkups_count_as_cycles),
    }
    attrs |= how
    order = how.get("parts", "").split(", ") if raw else []
    for table in [
        *(tables[f"/{name}"] for name in order if f"/{name}" in tables),
        *tables.values(),
    ]:
        own = {key: value for key, value in table.attrs.items() if key not in EVIDENCE}
        attrs |= {key: value for key, value in own.items() if key not in attrs}
    cured = [c for found in groups.values() for one in found.values() for c in one.cured]
    attrs |= {"quality": quality.text()} if quality.noted else {}
    attrs |= {"repaired": in_words(cured)} if cured else {}
    if ignored:
        attrs["ignored_columns"] = ", ".join(dict.fromkeys(ignored))
    ordered = {group: datasets[group] for group in _GROUPS if group in datasets}
    return make_record(ordered, attrs, flag)


def check_quality(
    record: xr.DataTree | str | Path,
    *,
    columns: Mapping[str, str | None] | None = None,
    where: Mapping[str, Any] | None = None,
    cycle_offset: int = 0,
    repair: str | Collection[str] = (),
) -> QualityReport:
    """Look for what is wrong or doubtful in cycling data.

    Parameters
    ----------
    record : xarray.DataTree, str or pathlib.Path
        A record, or what :func:`read_record` takes for `path`: then also what it would refuse is
        reported, with the numbers of the rows in the file.
    columns, where, cycle_offset, repair
        As in :func:`read_record`, for a file: what is left after the repairs is reported.

    Returns
    -------
    QualityReport
        Findings of the kinds that :data:`cellmodels.record.quality.KINDS` lists, each with its
        rows, whether :func:`read_record` refuses or only notes it, and the repair for it.

    Raises
    ------
    InputError
        If the file cannot be read at all.
    """
    if isinstance(record, xr.DataTree):
        return quality_of(record)
    paths = _paths(record, {})
    if list(paths) == [""]:
        with contents(paths[""]) as content:
            if content.kind == "netcdf":
                return quality_of(read_netcdf(content), str(record))
    tables = _tables(paths, columns or {}, where or {})
    groups, _ = _inspected(tables, columns or {}, cycle_offset, wanted_repairs(repair))
    return _report(groups, tables)


def _tables(
    paths: Mapping[str, Path], columns: Mapping[str, str | None], where: Mapping[str, Any]
) -> dict[str, Table]:
    tables = {
        group: read_table(found, columns, where, headerless=group == "impedance")
        for group, found in paths.items()
    }
    tables = _selected(tables, where)
    _check_mapping(tables, columns)
    return tables


def _inspected(
    tables: Mapping[str, Table],
    columns: Mapping[str, str | None],
    offset: int,
    kinds: Collection[str],
) -> tuple[dict[str, dict[str, Inspected]], list[str]]:
    """The groups of each table, repaired as far as is asked for; and headers that are not known."""
    groups: dict[str, dict[str, Inspected]] = {}
    ignored: list[str] = []
    for name, table in tables.items():
        ignored += table.ignored
        if table.impedance is not None and table.frame.empty:
            continue
        group = "" if name.startswith("/") else name
        found, unknown = _datasets(table, group, columns, offset)
        ignored += unknown
        groups[name] = {key: inspect(one, key, rows, kinds) for key, (one, rows) in found.items()}
    return groups, ignored


def _report(
    groups: Mapping[str, Mapping[str, Inspected]], tables: Mapping[str, Table]
) -> QualityReport:
    """What was found in all tables; where there are several, each finding names its own."""
    found = []
    for name, inspected in groups.items():
        for one in (one for part in inspected.values() for one in part.found):
            of = f"{tables[name].where}: " if len(tables) > 1 else ""
            found.append(replace(one, message=f"{of}{one.message}"))
    return report(found, ", ".join(table.where for table in tables.values()))


# --- files -------------------------------------------------------------------------------------


def _paths(path: Any, groups: Mapping[str, Any]) -> dict[str, Path]:
    """The files by group; "" where the file itself tells, the name of each of several raw files."""
    given = {group: one for group, one in groups.items() if one is not None}
    if (path is None) == (not given):
        names = [f"{group}=" for group in groups]
        raise InputError(
            f"Give read_record either one path, or {', '.join(names[:-1])} and {names[-1]}."
        )
    if given:
        return {group: check_path(one) for group, one in given.items()}
    found = check_path(path)
    return _in_folder(found) if found.is_dir() else {"": found}


def _in_folder(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    raw: dict[str, Path] = {}
    for one in sorted(folder.iterdir()):
        group, _, ending = one.name.lower().partition(".")
        if group in _GROUPS and ending and one.is_file():
            if group in found:
                raise InputError(f"'{folder}' has two tables of {group}: {found[group]}, {one}.")
            found[group] = one
        elif one.is_file() and not _BESIDE.fullmatch(one.name):
            raw[f"/{one.name}"] = one
    if not found and not raw:
        raise InputError(
            f"The folder '{folder}' has no cycles.csv, checkups.csv, traces.csv or impedance.csv, "
            "and no files of a cycler."
        )
    return found or raw


def _joined(
    traces: Mapping[str, xr.Dataset], tables: Mapping[str, Table], where: str
) -> tuple[xr.Dataset, dict[str, str]]:
    """The files of a folder, one after another, and how they were put together."""
    frames = [
        pd.DataFrame({str(name): one[name].values for name in one.data_vars}, copy=False)
        for one in traces.values()
    ]
    names = [name.removeprefix("/") for name in traces]
    starts = [tables[name].starts for name in traces]
    frame, how = join(frames, starts, names, where, "time", "cycle")
    columns = {}
    for name in map(str, frame.columns):
        values = frame[name].to_numpy(dtype=float)
        if name.endswith("_flag"):  # of some parts
            columns[name] = (np.nan_to_num(values), "-")
        else:
            columns[name] = (values, TRACE_VARIABLES[name].unit)
    return make_group("traces", columns, Rows(where)), how


def _impedance(tables: Mapping[str, Table]) -> xr.Dataset:
    """The spectra of all files, numbered on."""
    parts, last, words = [], 0.0, []
    first = min((t.starts for t in tables.values()), default=float("nan"))
    for name, table in tables.items():
        assert table.impedance is not None
        part = table.impedance.copy()
        if name.startswith("/") and len(tables) > 1:
            part["spectrum"] += last - part["spectrum"].min() + 1
            last = float(part["spectrum"].max())
            if "time" in part:
                part["time"] += table.starts - first  # NaN without dates
        parts.append(part)
        words.append(table.where)
    frame = pd.concat(parts, ignore_index=True)
    columns = {}
    for header in frame.columns:
        values = frame[header].to_numpy(dtype=float)
        if header == LABELS["current"]:
            columns["current"] = (discharge_positive(values), "A")
        elif header != "time" or np.isfinite(values).any():
            columns[str(header)] = (values, IMPEDANCE_VARIABLES[str(header)].unit)
    dataset = make_group("impedance", columns, Rows(", ".join(words), "data row"))
    for table in tables.values():
        _tell_of_spectra(table)
    return dataset


def _tell_of_spectra(table: Table) -> None:
    """Say what of a spectrum is unusual: it may be the file's sign or order."""
    assert table.impedance is not None
    for found, words in (
        (unordered(table.impedance), "frequencies go up and down"),
        (
            inductive(table.impedance),
            "imaginary part is positive at the lowest frequency; is it the negative of it? Then "
            "say so: columns={'…': '-impedance_imaginary [ohm]'}",
        ),
    ):
        if found:
            more = f" and {len(found) - 5} more" if len(found) > 5 else ""
            named = ", ".join(map(str, found[:5])) + more
            warnings.warn(f"{table.where}: spectrum {named}: its {words}.", stacklevel=5)


def _refuse_with_netcdf(path: Path, *arguments: Any) -> None:
    if any(arguments):
        raise InputError(
            f"{path}: columns, where, cycle_offset and repair are for tables, not for netCDF."
        )


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


def _check_mapping(tables: Mapping[str, Table], columns: Mapping[str, str | None]) -> None:
    headers = [str(h) for table in tables.values() for h in (*table.frame.columns, *table.headers)]
    for header in columns:
        if header not in headers:
            hint = did_you_mean(str(header), headers)
            raise InputError(f"columns: there is no column '{header}'.{hint}")


def _datasets(
    table: Table, group: str, columns: Mapping[str, str | None], offset: int
) -> tuple[dict[str, tuple[xr.Dataset, Rows]], list[str]]:
    """The groups that a table gives, with their rows, and the headers that were not known."""
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
        return {"traces": _trace(rows, found, taken)}, unknown
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
    table: Table, found: list[Column], values: dict[tuple[str, float | None], Numbers]
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
            warnings.warn(
                f"{table.where}: the column of '{name}' holds no whole numbers; it is left out.",
                stacklevel=4,
            )
            del columns[name]
    for name in [n for n, (v, unit) in columns.items() if _is_dead(n, v, unit)]:
        header = next(c.header for c in found if c.name == name)
        warnings.warn(
            f"{table.where}: the channel '{header}' is empty or 0 °C throughout; it is left out.",
            stacklevel=4,
        )
        del columns[name]
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
            warnings.warn(
                f"{table.where}: '{column.header}' does not say which sign of the current is "
                f"which; by what the voltage does, positive values {does}.",
                stacklevel=5,
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
    simple = [c for c in (*placed, *own) if c.charge is None]
    columns = {c.name: (values[c.key][chosen], c.unit) for c in simple}
    for name in dict.fromkeys(c.name for c in own if c.charge is not None):
        parts = sorted((c for c in own if c.name == name and c.charge is not None), key=_charge)
        scaled = [in_unit(values[c.key], c.unit, "V", c.header, name != c.name) for c in parts]
        columns[name] = (np.stack(scaled, axis=1)[chosen], "V")
        if not name.endswith(("_std", "_flag")):
            charges = np.array([_charge(c) for c in parts])
            columns[f"charge_{name.removeprefix('voltage_')}"] = (charges, "A.h")
    rows = _rows(table, chosen)
    return make_group(group, columns, rows), rows


def _charge(column: Column) -> float:
    return float("nan") if column.charge is None else column.charge


def _with_any_value(columns: Any) -> NDArray[np.bool_]:
    found: Any = False
    for column in columns:
        found = found | ~np.isnan(column)
    return np.asarray(found)


def _are_counts(values: Numbers) -> bool:
    known = values[np.isfinite(values)]
    return bool(np.all(known == np.round(known)))
