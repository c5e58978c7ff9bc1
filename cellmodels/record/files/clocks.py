"""Times in cycler files: durations and dates as text, and whether two clocks agree."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

#: Seconds in what a time column may really be in, by the ratio to a clock beside it.
UNITS = {"us": 1e-6, "ms": 1e-3, "min": 60.0, "h": 3600.0, "d": 86400.0}
_TOLERANCE = 0.05
_FEWEST = 10
_ROWS = 250_000  # in one piece
_LEAST_JUMP = 120.0  # s by which dates, some of whole minutes, may differ from a time
_ENDS = 100  # rows at both ends of a long column
_SHORTEST = 0.5  # s between rows of a clock that often counts whole seconds

_DURATION = r"^(?:(\d+)\s*d\s*)?(\d+):(\d+):(\d+(?:[.,]\d*)?)$"
_DATES = (
    "ISO8601", "%m/%d/%Y %H:%M:%S.%f", "%m/%d/%Y %H:%M:%S", "%m/%d/%Y %I:%M:%S %p",
    "%d/%m/%Y %H:%M:%S", "%d/%m/%Y %I:%M:%S %p", "%Y-%m-%d %I:%M:%S %p", "%d-%b-%y %I:%M:%S %p",
    "%d-%b-%y %H:%M:%S", "%d.%m.%Y %H:%M:%S", "%Y/%m/%d %H:%M:%S", "%m/%d/%Y %H:%M",
)  # fmt: skip
_EPOCH = pd.Timestamp(0, tz="UTC").as_unit("us")  # microseconds hold any year of a text
_EXCEL_DAYS = (20_000.0, 80_000.0)  # 1954 to 2119
_MATLAB_DAYS = (700_000.0, 800_000.0)
_UNIX_SECONDS = (3e8, 5e9)


def durations(text: pd.Series) -> Numbers:
    """Durations such as ``"01:30:00.5"``, ``"2d 01:00:00"`` or ``"123.4"`` in seconds.

    Parameters
    ----------
    text : pandas.Series of str
        Hours may be more than 24.

    Returns
    -------
    ndarray
        NaN where there is no such duration.
    """
    pieces = [_durations(text.iloc[k : k + _ROWS]) for k in range(0, len(text), _ROWS)]
    return np.concatenate(pieces) if pieces else np.empty(0)


def _durations(text: pd.Series) -> Numbers:
    plain = pd.to_numeric(text, errors="coerce").to_numpy(dtype=float, na_value=np.nan).copy()
    odd = np.isnan(plain)
    parts = text[odd].astype(str).str.strip().str.extract(_DURATION, flags=re.IGNORECASE)
    numbers = parts.apply(lambda one: pd.to_numeric(one.str.replace(",", "."), errors="coerce"))
    days, hours, minutes, seconds = (numbers[k].to_numpy(dtype=float) for k in range(4))
    plain[odd] = np.nan_to_num(days) * 86400 + hours * 3600 + minutes * 60 + seconds
    return plain


def dates(values: pd.Series) -> Numbers:
    """Dates in seconds since 1970: text, or days or seconds as spreadsheets and cyclers count them.

    Parameters
    ----------
    values : pandas.Series
        Text in one of the usual orders (the month before the day where both are possible), or
        numbers: days since 1899-12-30, MATLAB's days, or seconds since 1970.

    Returns
    -------
    ndarray
        NaN where there is no date.
    """
    if pd.api.types.is_numeric_dtype(values):
        return _counted(values.to_numpy(dtype=float, na_value=np.nan))
    text = values.astype(str).str.strip().str.strip('"')
    best = np.full(len(text), np.nan)
    ends = pd.concat([text.iloc[:_ENDS], text.iloc[-_ENDS:]])
    for form in _DATES:
        if (
            len(text) > 2 * _ENDS
            and pd.to_datetime(ends, format=form, errors="coerce").isna().all()
        ):
            continue  # one look at a long column is enough to see that it is not so written
        parsed = pd.to_datetime(text, format=form, errors="coerce", utc=True)
        found = (parsed.dt.as_unit("us") - _EPOCH).dt.total_seconds().to_numpy(dtype=float)
        if np.isfinite(found).sum() > np.isfinite(best).sum():
            best = found
        if np.isfinite(best).all():
            break
    return best


def written(value: object, seconds: float) -> str:
    """A date as the file writes it, or, where it counts days or seconds, as ISO 8601.

    Parameters
    ----------
    value : object
        In the file.
    seconds : float
        The same in seconds since 1970.

    Returns
    -------
    str
        Without a time zone: files do not say theirs.
    """
    if isinstance(value, str):
        return value.strip().strip('"')
    return pd.Timestamp(round(seconds, 3), unit="s").isoformat(timespec="milliseconds")


def _counted(values: Numbers) -> Numbers:
    middle = float(np.nanmedian(values)) if np.isfinite(values).any() else np.nan
    if _UNIX_SECONDS[0] < middle < _UNIX_SECONDS[1]:
        return values
    if _EXCEL_DAYS[0] < middle < _EXCEL_DAYS[1]:
        return (values - 25_569.0) * 86400.0
    if _MATLAB_DAYS[0] < middle < _MATLAB_DAYS[1]:
        return (values - 719_529.0) * 86400.0
    return np.full(len(values), np.nan)


def real_unit(time: Numbers, wall: Numbers) -> str:
    """The unit in which a time really is, told by the dates beside it.

    Parameters
    ----------
    time : ndarray, shape (n,)
        Elapsed time, taken for seconds.
    wall : ndarray, shape (n,)
        Date of each row [s]; NaN is missing.

    Returns
    -------
    str
        "s" also where the dates do not tell: too few of them, or no constant ratio.
    """
    if len(time) != len(wall):
        return "s"
    step, clock = np.diff(time), np.diff(wall)
    with np.errstate(invalid="ignore"):
        known = (step > 0) & (clock >= _SHORTEST)
    if known.sum() < _FEWEST:
        return "s"
    ratio = float(np.median(clock[known] / step[known]))  # seconds in the unit
    for unit, seconds in UNITS.items():
        if abs(ratio / seconds - 1.0) < _TOLERANCE:
            return unit
    return "s"


def evidence(time: Numbers, wall: Numbers, header: str, said: bool = True) -> dict[str, Any]:
    """What the dates say about a time beside them.

    Parameters
    ----------
    time, wall : ndarray, shape (n,)
        As in :func:`real_unit`.
    header : str
        The column, for messages.
    said : bool
        Whether the file says that it is in seconds.

    Returns
    -------
    dict of str to object
        Attributes for :mod:`cellmodels.record.quality.trace_times`: ``time_unit_by_dates`` and
        ``time_header`` where it is in another unit; ``date_rows`` and ``date_hours`` where the
        dates jump against it.
    """
    unit = real_unit(time, wall)
    if unit != "s":
        return {"time_unit_by_dates": unit, "time_header": header} if said else {}
    if len(time) != len(wall) or len(time) < 2:
        return {}
    with np.errstate(invalid="ignore"):
        ahead = np.diff(wall) - np.diff(time)
        at = np.flatnonzero((np.abs(ahead) > _LEAST_JUMP) & (np.diff(time) >= 0))
    if not at.size:
        return {}
    return {"date_rows": at + 1, "date_hours": ahead[at] / 3600}
