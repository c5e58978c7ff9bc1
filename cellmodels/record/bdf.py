"""Traces in the Battery Data Format, for other programs."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from cellmodels.errors import InputError
from cellmodels.record.checks import check_record
from cellmodels.record.files.adapting import LABELS, UNITS
from cellmodels.record.files.clocks import dates
from cellmodels.record.files.current_sign import discharge_positive
from cellmodels.record.schema import TRACE_VARIABLES
from cellmodels.units import convert
from cellmodels.writing import replacing

__all__ = ["write_bdf"]

_UNIX = "Unix Time / s"
_INSTALL = "pip install 'cellmodels[data]'"


def write_bdf(record: xr.DataTree, path: str | Path, *, overwrite: bool = False) -> tuple[str, ...]:
    """Write the traces of a record in the Battery Data Format.

    Its columns have the format's preferred labels (https://w3id.org/battery-data-alliance): "Test
    Time / s", "Voltage / V", "Current / A", positive on charge; where the record has them, also
    "Surface Temperature / degC", "Ambient Temperature / degC", "Cycle Count / 1", "Step Count / 1".
    "Unix Time / s" is there where the record's attribute ``start_time`` is a date; it is taken for
    UTC, as records do not say their time zone. :func:`read_record` reads the numbers back exactly.

    Parameters
    ----------
    record : xarray.DataTree
        A record with ``/traces``.
    path : str or pathlib.Path
        Ends in ``.bdf.csv``, ``.bdf.csv.gz`` or ``.bdf.parquet`` (which needs the extra ``data``).
    overwrite : bool
        Whether an existing file is replaced, when the new one is complete.

    Returns
    -------
    tuple of str
        Names of what the record holds besides and the file does not: other groups, and variables
        that the format has no label for.

    Raises
    ------
    InputError
        If the record has no traces, the name ends otherwise, or the file is there already or cannot
        be written.
    """
    path = Path(path)
    write = next((w for ending, w in _WRITERS.items() if path.name.lower().endswith(ending)), None)
    if write is None:
        raise InputError(
            f"'{path}': a file in the Battery Data Format has a name that ends in "
            f"{', '.join(list(_WRITERS)[:-1])} or {list(_WRITERS)[-1]}."
        )
    check_record(record)
    if "traces" not in record.children:
        raise InputError(f"'{path}': the record has no traces to write.")
    traces = record["traces"].to_dataset()
    frame = pd.DataFrame(_columns(traces, record.attrs.get("start_time")))
    with replacing(path, overwrite) as temporary:
        write(frame, temporary)
    others = [f"/{group}" for group in record.children if group != "traces"]
    return (*others, *(str(name) for name in traces.variables if name not in LABELS))


def _columns(traces: xr.Dataset, start: object) -> dict[str, NDArray[np.generic]]:
    columns = {}
    for name in [one for one in LABELS if one in traces.variables]:
        values = traces[name].values
        if name == "current":
            values = discharge_positive(values)  # the same turn back
        unit = TRACE_VARIABLES[name].unit
        if name in UNITS and unit != UNITS[name]:
            values = values + convert(0.0, unit, UNITS[name])
        columns[LABELS[name]] = values
    begun = float(dates(pd.Series([str(start)]))[0]) if start is not None else np.nan
    if np.isfinite(begun):
        time = traces["time"].values
        columns[_UNIX] = begun + (time - time[0])
    return columns


def _csv(frame: pd.DataFrame, path: Path) -> None:
    frame.to_csv(path, index=False, lineterminator="\n")


def _csv_gz(frame: pd.DataFrame, path: Path) -> None:
    with (
        path.open("wb") as file,
        gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed,
        io.TextIOWrapper(packed, encoding="utf-8", newline="") as text,
    ):
        frame.to_csv(text, index=False, lineterminator="\n")


def _parquet(frame: pd.DataFrame, path: Path) -> None:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise InputError(f"To write Parquet, 'pyarrow' is needed: {_INSTALL}.") from None
    table = pyarrow.table({name: pyarrow.array(frame[name].to_numpy()) for name in frame.columns})
    parquet.write_table(table, path)


_WRITERS = {".bdf.csv": _csv, ".bdf.csv.gz": _csv_gz, ".bdf.parquet": _parquet}
