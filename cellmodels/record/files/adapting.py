"""What an instrument measured, in the terms of the Battery Data Format.

Whichever instrument wrote a file, its columns come out with these labels and units, so that one
reader follows, and one place that turns the current's sign.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cellmodels.errors import InputError
from cellmodels.record.files.clocks import dates, durations, evidence, real_unit, written
from cellmodels.record.files.impedance_tables import impedance_columns, split_impedance
from cellmodels.record.schema import COUNTERS
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
    "charge_capacity": "Charging Capacity / Ah",
    "discharge_capacity": "Discharging Capacity / Ah",
    "step_capacity": "Step Capacity / Ah",
}
#: Units of these labels.
UNITS = {
    "time": "s", "voltage": "V", "current": "A", "temperature": "degC",
    "ambient_temperature": "degC",
    "charge_capacity": "A.h", "discharge_capacity": "A.h", "step_capacity": "A.h",
}  # fmt: skip

#: Attributes of /traces that only serve to look for faults.
EVIDENCE = ("time_unit_by_dates", "time_header", "voltage_header", "date_rows", "date_hours")

_DISCHARGES = re.compile(r"^D$|dch|disch", re.IGNORECASE)


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
    impedance : pandas.DataFrame or None
        Its spectra, as :func:`cellmodels.record.files.impedance_tables.tabulate` gives them. The
        frame may then be empty.
    headers : tuple of str
        Of the table in the file, where spectra were taken out of it.
    """

    frame: pd.DataFrame
    first: int = 1
    rows: str = "data row"
    attrs: dict[str, Any] = field(default_factory=dict)
    starts: float = float("nan")
    ignored: tuple[str, ...] = ()
    impedance: pd.DataFrame | None = None
    headers: tuple[str, ...] = ()


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
        If a column holds no numbers.
    """
    if "frequency" in raw:
        return _with_impedance(raw, wall, units, headers, where)
    attrs: dict[str, Any] = {}
    raw = _without_cut_row(raw, attrs)
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
        elif name in COUNTERS:
            values = _counter(series, name, unit)
        else:
            values = _in_units(_numbers(series, header, where), name, unit)
        if name == "voltage":
            attrs["voltage_header"] = header
        if np.isnan(values).all():
            empty += [] if name in COUNTERS else [header]
        else:
            frame[LABELS[name]] = values
    if empty:
        attrs["empty_channels"] = ", ".join(empty)
    if "state" in raw and LABELS["current"] in frame:
        frame[LABELS["current"]] = signed(frame[LABELS["current"]], raw.pop("state"))
    for name in raw.columns.drop("state", errors="ignore"):
        frame[name] = raw[name].to_numpy()
    starts = float(seconds[0]) if len(seconds) else float("nan")
    return Trace(pd.DataFrame(frame, copy=False), attrs=attrs, starts=starts)


def _with_impedance(
    raw: pd.DataFrame,
    wall: pd.Series | None,
    units: Mapping[str, tuple[str, bool]],
    headers: Mapping[str, str],
    where: str,
) -> Trace:
    """A trace that has rows of impedance, whose voltages and currents are not of their times."""
    begun: dict[str, Any] = {}
    if "time" in raw and not pd.api.types.is_numeric_dtype(raw["time"]):
        time = _time(raw["time"], "s", False, np.empty(0), headers["time"], where, begun)
        raw, units = raw.assign(time=time), {**units, "time": ("s", False)}
    frequency = pd.to_numeric(raw["frequency"], errors="coerce").to_numpy(dtype=float)
    measured = np.nan_to_num(frequency) != 0.0
    found = {
        k: replace(c, header=headers.get(c.header, c.header), unit=units[c.header][0] or c.unit)
        if c.header in units
        else c
        for k, c in impedance_columns([str(name) for name in raw.columns]).items()
    }
    others, table = split_impedance(raw, found, where)
    if not found:
        others = raw[~measured].drop(columns="frequency")
        if others.empty and len(raw):
            raise InputError(f"{where}: impedance without both its real and its imaginary part.")
        begun["left_out"] = (
            f"{int(measured.sum())} rows of impedance without real or imaginary part"
        )
    if wall is not None:
        wall = wall[~measured[: len(wall)]].reset_index(drop=True)
    if table is not None and others.empty:
        return Trace(pd.DataFrame(), attrs=begun, impedance=table)
    trace = adapt(others.reset_index(drop=True), wall, units, headers, where)
    return replace(trace, attrs=begun | trace.attrs, impedance=table)


def _in_units(values: Numbers, name: str, unit: str) -> Numbers:
    wanted = UNITS.get(name, unit)
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
            attrs |= evidence(head, wall, header)
        elif (real := real_unit(head, wall)) != "s":
            values = values * convert(1.0, real, "s")
            attrs["time_unit"] = f"{real}, told by the dates in the file: the header says none"
        else:
            attrs |= evidence(head, wall, header, said)
        return values
    values = durations(series)
    if np.isnan(values).mean() > 0.5:
        values = dates(series)
        if np.isfinite(values).any():
            attrs["start_time"] = str(series.iloc[0]).strip()
            values = values - values[0]
    else:
        attrs |= evidence(values[: len(wall)], wall[: len(values)], header)
    bad = np.isnan(values)
    if bad.any():
        raise InputError(
            f"{where}: column '{header}' holds no time but '{series[bad].iloc[0]}'; "
            f"data row {int(np.flatnonzero(bad)[0]) + 1}."
        )
    return values


def _counter(series: pd.Series, name: str, unit: str) -> Numbers:
    """A counter of charge; NaN where it cannot be read, as it only serves to check the current."""
    if not unit:
        return np.full(len(series), np.nan)
    values = pd.to_numeric(series, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    return _in_units(values, name, unit)


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
