"""Files of cyclers, whatever instrument wrote them, as one kind of table.

The format is found by content. Text exports are read by the tables of
:mod:`cellmodels.record.files.text_formats`; binary ones by other people's readers in a process of
their own (:mod:`cellmodels.record.files.reader_process`). Both give the Battery Data Format's
labels.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from cellmodels.errors import InputError, warn
from cellmodels.record.files.adapting import LABELS, Trace, adapt
from cellmodels.record.files.clocks import evidence, written
from cellmodels.record.files.contents import Content
from cellmodels.record.files.impedance_files import read_impedance
from cellmodels.record.files.impedance_tables import impedance_columns, split_impedance
from cellmodels.record.files.reader_process import Foreign, read_foreign
from cellmodels.record.files.text_formats import matching, names_and_units
from cellmodels.record.files.text_tables import text_table
from cellmodels.record.files.text_traces import read_trace

#: What a record is read from, for messages.
READABLE = (
    "CSV and other text, Parquet, netCDF, Excel, MATLAB, the files of Arbin (.res), Neware (.nda, "
    ".ndax), Maccor, BioLogic, Basytec, PEC, Novonix, Landt and Digatron, and of impedance"
)
_REFUSED = {
    "mpr": (
        "BioLogic's binary file; the readers of it are under the GPL, which this library is not. "
        "Export it as text (.mpt) in EC-Lab or BT-Lab"
    ),
    "ole": "an old Excel file or another of Microsoft's; save it as .xlsx or CSV",
    "matlab 7.3": "a MATLAB file of version 7.3; save it by save(…, '-v7')",
    "numpy": "an archive of NumPy's arrays; save them as the columns of a CSV file",
    "office": "an Office document without tables",
    "pdf": "a PDF",
    "image": "an image",
}
_MOST_METADATA = 60


def read_cycler(
    content: Content,
    columns: Mapping[str, str | None] | None = None,
    wanted: Iterable[str] = (),
    headerless: bool = False,
) -> Trace | pd.DataFrame | None:
    """Read a file that is no plain table.

    Parameters
    ----------
    content : Content
        The file.
    columns : mapping of str to (str or None), optional
        What the caller says that columns hold, by their headers.
    wanted : iterable of str
        Further headers whose columns are kept.
    headerless : bool
        Whether three columns without headers are impedance.

    Returns
    -------
    Trace, pandas.DataFrame or None
        A trace with the labels of the Battery Data Format, or spectra, or both; a table of
        something else; None for a text that is neither, to be read as a table.

    Raises
    ------
    InputError
        If the file is of a kind that no record is read from, or is damaged.
    """
    columns, wanted = columns or {}, tuple(wanted)
    if content.kind == "text":
        trace = read_impedance(content, columns, headerless)
        trace = read_trace(content, columns, wanted) if trace is None else trace
    elif content.kind == "excel":
        return _workbook(content, columns, wanted)
    elif content.kind == "matlab":
        return _vectors(content, columns)
    elif content.kind in ("parquet", "nda", "ndax", "access"):
        with read_foreign(content) as found:
            if content.kind == "parquet":
                return _parquet(found, content, columns)
            trace = _neware(found, content) if content.kind != "access" else _arbin(found, content)
            trace.attrs |= _described(found)
    else:
        what = _REFUSED.get(content.kind, "not a file that a record is read from")
        raise InputError(f"{content.where}: {what}. A record is read from {READABLE}.")
    if trace is not None:
        _tell(trace, content.where)
    return trace


def _workbook(
    content: Content, columns: Mapping[str, str | None], wanted: tuple[str, ...]
) -> Trace | pd.DataFrame:
    """The sheets of a workbook that hold a trace, or its only table."""
    with read_foreign(content) as found:
        sheets = [
            Content(f"{content.where}: {name}", "text", path)
            for name, path in found.sheets
            if path.stat().st_size > 1
        ]
        traces = []
        for sheet in sheets:
            trace = read_impedance(sheet, columns) or read_trace(sheet, columns, wanted)
            if trace is not None:
                traces.append((sheet.where, trace))
        if traces:
            one = _continued([trace for _, trace in traces])
            names = ", ".join(name.rpartition(": ")[2] for name, _ in traces)
            if one is None:
                raise InputError(
                    f"{content.where}: several sheets hold measurements, and none goes on from the "
                    f"one before it: {names}. Save each as a file."
                )
            one.attrs["sheet"] = names
            _tell(one, content.where)
            return one
        if len(sheets) != 1:
            raise InputError(f"{content.where}: none of its {len(sheets)} sheets is a trace.")
        return text_table(sheets[0])[0]


def _continued(parts: Sequence[Trace]) -> Trace | None:
    """Sheets over which a long test was spread, as one; None where they are different tests.

    They have the same columns, and the time of each goes on from the one before it.
    """
    first = parts[0]
    if len(parts) == 1:
        return first
    time = LABELS["time"]
    if any(one.impedance is not None or time not in one.frame for one in parts):
        return None
    if any(list(one.frame.columns) != list(first.frame.columns) for one in parts):
        return None
    ends = [(one.frame[time].iloc[0], one.frame[time].iloc[-1]) for one in parts]
    if any(after[0] < before[1] for before, after in pairwise(ends)):
        return None
    frame = pd.concat([one.frame for one in parts], ignore_index=True)
    return replace(first, frame=frame, attrs=dict(first.attrs))


def _vectors(content: Content, columns: Mapping[str, str | None]) -> pd.DataFrame:
    """Those vectors of a MATLAB file that are as long as the ones that the caller names.

    Without such, those of the length that most have.
    """
    with read_foreign(content) as found:
        lengths = [len(values) for name, values in found.columns.items() if name in columns]
        lengths = lengths or [len(values) for values in found.columns.values()]
        if not lengths:
            raise InputError(f"{content.where}: the file holds no vectors of numbers.")
        rows = max(lengths, key=lengths.count)
        same = {name: values for name, values in found.columns.items() if len(values) == rows}
        return pd.DataFrame(same, copy=False)


def _parquet(
    found: Foreign, content: Content, columns: Mapping[str, str | None]
) -> Trace | pd.DataFrame:
    """A table whose headers say all; rows of impedance are taken out of it."""
    frame = pd.DataFrame(found.columns, copy=False)
    places = impedance_columns([str(name) for name in frame.columns], columns)
    headers = tuple(str(name) for name in frame.columns)
    frame, spectra = split_impedance(frame, places, content.where)
    if spectra is None:
        return frame
    return Trace(frame.reset_index(drop=True), 0, "row", impedance=spectra, headers=headers)


def _neware(found: Foreign, content: Content) -> Trace:
    """What batterydf makes of Neware's binary files: already the labels that are wanted."""
    columns = found.columns
    time = columns.get(LABELS["time"], np.empty(0))
    if not len(time):
        raise InputError(f"{content.where}: the file holds no measurements.")
    frame = {name: columns[label] for name, label in _NEWARE.items() if label in columns}
    kept = {LABELS[name]: values for name, values in frame.items()}
    attrs: dict[str, Any] = {"cycler": "Neware"}
    wall = columns.get("Unix Time / s", np.full(len(time), np.nan))
    if np.isfinite(wall[0]):
        attrs["start_time"] = written(float(wall[0]), float(wall[0]))
        attrs |= evidence(time, wall, "total time")
    return Trace(pd.DataFrame(kept, copy=False), attrs=attrs, starts=float(wall[0]))


#: What batterydf leaves as fastnda names it: the first auxiliary temperature, taken for the cell's.
_NEWARE: Mapping[str, str] = {
    **LABELS,
    "temperature": "aux1_temperature_degC",
    "step_capacity": "Step Net Capacity / Ah",
}


def _arbin(found: Foreign, content: Content) -> Trace:
    """Arbin's database has the columns of its text export, in its units."""
    headers = list(found.columns)
    names = [name for name, _ in names_and_units(headers)]
    known = matching(names)
    if known is None:
        raise InputError(f"{content.where}: no measurements among {', '.join(headers[:12])}.")
    raw, units, own = {}, {}, {}
    for header, name in zip(headers, names, strict=True):
        role, _, unit = known.columns.get(name, "").partition(" ")
        if role and role not in raw:
            raw[role], units[role] = found.columns[header], (unit.strip("[]"), False)
            own[role] = header
    wall = pd.Series(raw.pop("wall")) if "wall" in raw else None
    trace = adapt(pd.DataFrame(raw), wall, units, own, content.where)
    trace.attrs = {"cycler": known.name, **trace.attrs}
    return trace


def _described(found: Foreign) -> dict[str, Any]:
    """Metadata of a reader as attributes."""
    out: dict[str, Any] = {}
    for key, value in list(found.metadata.items())[:_MOST_METADATA]:
        name = re.sub(r"[^A-Za-z0-9]+", "_", str(key)).strip("_").lower()
        if name and isinstance(value, str | int | float):
            out[f"instrument_{name}"] = value
    if found.messages:
        out["reader_messages"] = "; ".join(found.messages)
    return out


def _tell(trace: Trace, where: str) -> None:
    """Say what a user should know before he uses the numbers."""
    for key in ("left_out", "time_unit", "reader_messages", "current_sign"):
        if key in trace.attrs:
            warn(f"{where}: {key.replace('_', ' ')}: {trace.attrs[key]}.")
