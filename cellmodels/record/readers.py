"""Records from files."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import xarray as xr

from cellmodels.errors import InputError, warn
from cellmodels.record.build import make_record
from cellmodels.record.checks import check_group
from cellmodels.record.files.adapting import EVIDENCE
from cellmodels.record.files.combining import joined, spectra_of
from cellmodels.record.files.contents import contents
from cellmodels.record.files.folders import GROUPS, paths_of
from cellmodels.record.files.table import Table, read_table
from cellmodels.record.files.table_groups import check_mapping, groups_of, selected
from cellmodels.record.netcdf import read_netcdf
from cellmodels.record.quality.inspection import Inspected, in_words, inspect, quality_of
from cellmodels.record.quality.repair import wanted_repairs
from cellmodels.record.quality.report import QualityReport, report
from cellmodels.record.table_folder import is_record, read_tables

__all__ = ["check_quality", "read_record"]


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
    time_restarts: str | None = None,
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
        - a netCDF file from :func:`write_record`, or a folder from :func:`write_tables`;
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
    time_restarts : {"cycle", "step"}, optional
        Which numbers change where the time of a trace begins anew. Time then goes on from where it
        was; how long the cell waited in between is not known. Without it such a time is refused.
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
        :mod:`cellmodels.record.quality.repair`. What was done is in the attribute ``repaired``.

    Returns
    -------
    xarray.DataTree
        In the form of :mod:`cellmodels.record.schema`. A netCDF file is returned as it was
        written; its attributes are not changed by the arguments. Headers that are not known are
        listed in the attribute ``ignored_columns``. Of a cycler's file, ``cycler`` names the
        format, ``start_time`` is its first date, ``instrument_…`` is what it says about itself,
        ``left_out`` which rows were not read, ``joined`` how the time of several parts goes on,
        ``time_restarts`` that it began anew, and
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
        :func:`cellmodels.record.files.current_sign.sign_by_voltage`), or something in it is
        doubtful.
    """
    kinds = wanted_repairs(repair)
    given = {"cycles": cycles, "checkups": checkups, "traces": traces, "impedance": impedance}
    paths = paths_of(path, given)
    if path is not None and is_record(Path(path)):
        _refuse_as_written(Path(path), columns, where, cycle_offset, time_restarts, kinds)
        return read_tables(Path(path))
    if list(paths) == [""]:
        with contents(paths[""]) as content:
            if content.kind == "netcdf":
                _refuse_as_written(paths[""], columns, where, cycle_offset, time_restarts, kinds)
                return read_netcdf(content)
    tables = _tables(paths, columns or {}, where or {})
    groups, ignored = _inspected(tables, columns or {}, cycle_offset, time_restarts, kinds)
    quality = _report(groups, tables)
    quality.raise_if_refused()
    if quality.noted:
        warn(f"{quality.where}: {quality.text()}.")
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
        datasets["traces"], how = joined(raw, tables, str(path))
    spectra = {name: table for name, table in tables.items() if table.impedance is not None}
    if spectra:
        datasets["impedance"] = spectra_of(spectra)
    names = ", ".join(found.name for found in paths.values())
    attrs = {
        "title": names if title is None else title,
        "source": names,
        "synthetic": int(synthetic),
        "checkups_count_as_cycles": int(checkups_count_as_cycles),
        **how,
        **_of_files(tables, how.get("parts", "").split(", ")),
    }
    cured = [c for found in groups.values() for one in found.values() for c in one.cured]
    goes_on = f"with each {time_restarts}; it goes on from where it was"
    attrs |= {} if time_restarts is None else {"time_restarts": goes_on}
    attrs |= {"quality": quality.text()} if quality.noted else {}
    attrs |= {"repaired": in_words(cured)} if cured else {}
    attrs |= {"ignored_columns": ", ".join(dict.fromkeys(ignored))} if ignored else {}
    ordered = {group: datasets[group] for group in GROUPS if group in datasets}
    return make_record(ordered, attrs, flag)


def _of_files(tables: Mapping[str, Table], parts: Sequence[str]) -> dict[str, Any]:
    """What the files say about themselves; of several parts, the first in time goes before."""
    first = [tables[f"/{name}"] for name in parts if f"/{name}" in tables]
    attrs: dict[str, Any] = {}
    for table in (*first, *tables.values()):
        attrs = {key: v for key, v in table.attrs.items() if key not in EVIDENCE} | attrs
    return attrs


def check_quality(
    record: xr.DataTree | str | Path,
    *,
    columns: Mapping[str, str | None] | None = None,
    where: Mapping[str, Any] | None = None,
    cycle_offset: int = 0,
    time_restarts: str | None = None,
    repair: str | Collection[str] = (),
) -> QualityReport:
    """Look for what is wrong or doubtful in cycling data.

    Parameters
    ----------
    record : xarray.DataTree, str or pathlib.Path
        A record, or what :func:`read_record` takes for `path`: then also what it would refuse is
        reported, with the numbers of the rows in the file.
    columns, where, cycle_offset, time_restarts, repair
        As in :func:`read_record`, for a file: what is left after the repairs is reported.

    Returns
    -------
    QualityReport
        Findings of the kinds that :data:`cellmodels.record.quality.report.KINDS` lists, each with
        its rows, whether :func:`read_record` refuses or only notes it, and the repair for it.

    Raises
    ------
    InputError
        If the file cannot be read at all.
    """
    if isinstance(record, xr.DataTree):
        return quality_of(record)
    paths = paths_of(record, {})
    if list(paths) == [""]:
        with contents(paths[""]) as content:
            if content.kind == "netcdf":
                return quality_of(read_netcdf(content), str(record))
    tables = _tables(paths, columns or {}, where or {})
    kinds = wanted_repairs(repair)
    groups, _ = _inspected(tables, columns or {}, cycle_offset, time_restarts, kinds)
    return _report(groups, tables)


def _tables(
    paths: Mapping[str, Path], columns: Mapping[str, str | None], where: Mapping[str, Any]
) -> dict[str, Table]:
    tables = {
        group: read_table(found, columns, where, headerless=group == "impedance")
        for group, found in paths.items()
    }
    tables = selected(tables, where)
    check_mapping(tables, columns)
    return tables


def _inspected(
    tables: Mapping[str, Table],
    columns: Mapping[str, str | None],
    offset: int,
    restarts: str | None,
    kinds: Collection[str],
) -> tuple[dict[str, dict[str, Inspected]], list[str]]:
    """The groups of each table, repaired as far as is asked for; and headers that are not known."""
    if restarts not in (None, "cycle", "step"):
        raise InputError(f"time_restarts is 'cycle' or 'step', not {restarts!r}.")
    groups: dict[str, dict[str, Inspected]] = {}
    ignored: list[str] = []
    for name, table in tables.items():
        ignored += table.ignored
        if table.impedance is not None and table.frame.empty:
            continue
        group = "" if name.startswith("/") else name
        found, unknown = groups_of(table, group, columns, offset, restarts)
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


def _refuse_as_written(path: Path, *arguments: Any) -> None:
    if any(arguments):
        raise InputError(
            f"{path}: columns, where, cycle_offset, time_restarts and repair are for tables, not "
            "for netCDF and other records that this library has written."
        )
