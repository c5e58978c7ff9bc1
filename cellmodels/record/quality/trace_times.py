"""Faults of a trace's times: rows written twice, clocks, units, pauses and gaps."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from cellmodels.record.checks import LONGEST_INTERVAL, usual_under_current
from cellmodels.record.quality.report import duration
from cellmodels.record.quality.trace_view import (
    FEWEST,
    FLOWS,
    NOTED,
    REFUSED,
    Found,
    Mask,
    Numbers,
    View,
    behind,
)

_GAP = 10.0  # times the sampling around it
_GAP_NEIGHBOURS = 10  # on either side
_HABIT = 4  # other intervals of the same length make it no gap
_UNKNOWN_CHARGE = 0.01  # of the charge that the trace moves


def repeated(view: View) -> Iterator[Found]:
    """Rows that were written twice: at once, or again after others."""
    late = repeats(view)
    if late.any():
        message = "rows with the time, voltage and current of an earlier row, out of order"
        yield Found("repeated", "time", view.samples(late), REFUSED, message, "repeated")
    same = copies(view)
    if same.any():
        message = "rows that are the same as the one before in everything, also in time"
        yield Found("repeated", "time", view.samples(same), NOTED, message, "repeated")


def copies(view: View) -> Mask:
    """Rows that are equal to the one before in every variable."""
    out: Mask = np.zeros(len(view.time), dtype=bool)
    at = np.flatnonzero(np.diff(view.time) == 0)
    for name in view.dataset.data_vars:
        if not at.size:
            return out
        values = view.of(str(name))
        one, other = values[at], values[at + 1]
        at = at[(one == other) | ((one != one) & (other != other))]
    out[at + 1] = True
    return out


def repeats(view: View) -> Mask:
    """Rows behind the time that was reached, which an earlier row has already."""
    out: Mask = np.zeros(len(view.time), dtype=bool)
    late = np.flatnonzero(behind(view.time))
    if not late.size:
        return out
    twins = np.flatnonzero(np.isin(view.time, view.time[late]))
    columns = [one[twins] for one in (view.time, view.voltage, view.current)]
    order = np.lexsort((twins, *columns))
    same = np.ones(len(order) - 1, dtype=bool)
    for values in columns:
        same &= np.diff(values[order]) == 0
    out[twins[order[1:][same]]] = True  # in a group of equals, all but the first in the file
    return out & behind(view.time)


def clock(view: View) -> Iterator[Found]:
    """Times that go back."""
    kept = ~repeats(view)
    if not (behind(view.time) & kept).any():
        return
    places = np.flatnonzero(kept)
    step = np.diff(view.time[kept])
    falls = places[1:][step < 0]
    by = -step[step < 0]
    hours = np.all(np.abs(by / 3600 - np.round(by / 3600)) * 3600 <= max(view.interval, 1.0))
    summer = " (whole hours: was a clock set?)" if hours and np.round(by / 3600).min() >= 1 else ""
    shown = f"{by[0]:.6g} s" if len(by) == 1 else f"{by.min():.6g} to {by.max():.6g} s"
    message = f"'time' goes back, by {shown}{summer}{_restarts(view, falls)}"
    yield Found("clock", "time", view.samples(falls), REFUSED, message, "clock")


def _restarts(view: View, falls: NDArray[np.intp]) -> str:
    """What to say where the time only begins anew with each cycle or step."""
    for name in ("cycle", "step"):
        numbers = view.of(name) if name in view.dataset else None
        if numbers is not None and np.all(numbers[falls] != numbers[falls - 1]):
            return f"; if it begins anew with each {name}, say time_restarts='{name}'"
    return ""


def time_unit(view: View) -> Iterator[Found]:
    """A time that the dates beside it, or its own intervals, say is in another unit."""
    unit = view.dataset.attrs.get("time_unit_by_dates")
    none = np.empty(0, np.intp)
    if unit is not None:
        header = view.dataset.attrs.get("time_header", "time")
        message = (
            f"the column '{header}' says that it is in seconds, but by the dates beside it, it is "
            f"in {unit} (columns={{'{header}': 'time [{unit}]'}} says so too)"
        )
        yield Found("time unit", "time", none, REFUSED, message, "time unit")
        return
    middle = usual_under_current(view.intervals, view.current)
    if middle > LONGEST_INTERVAL:
        message = (
            f"{middle / 3600:.3g} hours lie between two samples while a current flows. Is the time "
            "in milliseconds? (Mapping its column to 'time [ms]' says so too)"
        )
        yield Found("time unit", "time", none, REFUSED, message, "time unit")


def pause(view: View) -> Iterator[Found]:
    """Where dates beside the time run on, or are set, while the elapsed time does not."""
    rows, hours = (
        np.atleast_1d(view.dataset.attrs.get(n, [])) for n in ("date_rows", "date_hours")
    )
    if len(rows):
        shown = ", ".join(f"{one:+.4g} h" for one in hours[:5])
        message = f"the dates jump against the elapsed time, by {shown}"
        yield Found("pause", "time", np.asarray(rows, np.intp), NOTED, message)


def gap(view: View) -> Iterator[Found]:
    """Intervals without rows, much longer than those around them."""
    at = gaps(view)
    if not at.size:
        return
    length, unknown = view.intervals[at], unknown_charge(view, at)
    lost = unknown > _UNKNOWN_CHARGE * view.moved
    if "time_flag" in view.dataset:  # known to whoever reads the flags
        lost &= view.of("time_flag")[at + 1] != 1
    flows = np.maximum(np.abs(view.current[at]), np.abs(view.current[at + 1]))
    flows = flows > FLOWS * view.largest
    for bad, severity, words in (
        (lost, REFUSED, "while the current changes: up to {q:.3g} A.h of charge are not known"),
        (flows & ~lost, NOTED, "while a current flows, equal on both sides"),
        (~flows & ~lost, NOTED, "without a current"),
    ):
        if bad.any():
            what = words.format(q=float(unknown[bad].sum()))
            message = f"no row for {_span(length[bad])} {what} (the row after each gap is named)"
            repair = "gap" if severity == REFUSED else ""
            yield Found("gap", "time", view.samples(at[bad] + 1), severity, message, repair)


def gaps(view: View) -> NDArray[np.intp]:
    """Rows after which others are missing."""
    steps = view.intervals
    if len(steps) < FEWEST or view.interval == 0:
        return np.empty(0, np.intp)
    at = np.flatnonzero(steps > _GAP * view.interval)
    if not at.size:
        return at
    near = np.arange(-_GAP_NEIGHBOURS, _GAP_NEIGHBOURS + 1)
    near = near[near != 0]
    usual = np.empty(len(at))
    for k in range(0, len(at), 10_000):  # in pieces, for the memory
        places = np.clip(at[k : k + 10_000, None] + near, 0, len(steps) - 1)
        usual[k : k + 10_000] = np.sort(steps[places], axis=1)[:, -4]
    at = at[steps[at] > _GAP * usual]
    changes = unknown_charge(view, at) > _UNKNOWN_CHARGE * view.moved
    ordered = np.sort(steps[steps > _GAP * view.interval])
    low = np.searchsorted(ordered, 0.98 * steps[at], side="left")
    high = np.searchsorted(ordered, 1.02 * steps[at], side="right")
    return at[(high - low <= _HABIT) | changes]


def unknown_charge(view: View, at: NDArray[np.intp]) -> Numbers:
    """Half of what the charge over an interval may be wrong by [A.h]."""
    return np.abs(view.current[at + 1] - view.current[at]) * view.intervals[at] / 2 / 3600


def _span(seconds: Numbers) -> str:
    """Durations in words."""
    low, high = duration(float(seconds.min())), duration(float(seconds.max()))
    return low if low == high else f"{low} to {high}"
