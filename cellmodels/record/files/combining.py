"""One group of a record from several files: traces one after another, spectra numbered on."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import xarray as xr

from cellmodels.errors import warn
from cellmodels.record.build import make_group
from cellmodels.record.checks import Rows
from cellmodels.record.files.adapting import LABELS
from cellmodels.record.files.current_sign import discharge_positive
from cellmodels.record.files.impedance_tables import inductive, unordered
from cellmodels.record.files.joining import join
from cellmodels.record.files.table import Table
from cellmodels.record.schema import IMPEDANCE_VARIABLES, TRACE_VARIABLES


def joined(
    traces: Mapping[str, xr.Dataset], tables: Mapping[str, Table], where: str
) -> tuple[xr.Dataset, dict[str, str]]:
    """Put the traces of a folder one after another.

    Parameters
    ----------
    traces : mapping of str to xarray.Dataset
        By the names of their files.
    tables : mapping of str to Table
        What was read of these, with the dates.
    where : str
        The folder, for messages.

    Returns
    -------
    dataset : xarray.Dataset
    how : dict of str to str
        As :func:`cellmodels.record.files.joining.join` says it.

    Raises
    ------
    InputError
        If two overlap by their dates.
    """
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


def spectra_of(tables: Mapping[str, Table]) -> xr.Dataset:
    """Put the spectra of all files into one group.

    Parameters
    ----------
    tables : mapping of str to Table
        Each with impedance, by the names of their files.

    Returns
    -------
    xarray.Dataset
        Numbered on from file to file.

    Warns
    -----
    UserWarning
        If a spectrum looks as if its order or sign were another.
    """
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
            warn(f"{table.where}: spectrum {named}: its {words}.")
