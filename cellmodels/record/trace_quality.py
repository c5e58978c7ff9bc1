"""Faults of traces: what tells each of them, from the numbers alone.

Every criterion is relative to the trace itself: its largest currents, the range of its voltages,
the charge that it moves, its own sampling. None needs to know the cell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from cellmodels.record.checks import LONGEST_INTERVAL, outliers, usual_under_current
from cellmodels.record.current_sign import sign_by_voltage
from cellmodels.record.quality import duration
from cellmodels.record.schema import COUNTERS, TRACE_VARIABLES

Numbers = NDArray[np.float64]
Mask = NDArray[np.bool_]

REFUSED, NOTED = "refused", "noted"

_FEWEST = 20  # rows, for what is told by the trace's own habits

_MOST_VOLTS = 1000.0
_HOTTEST, _COLDEST = 450.0, 150.0  # K, in the middle

_GAP = 10.0  # times the sampling around it
_GAP_NEIGHBOURS = 10  # on either side
_HABIT = 4  # other intervals of the same length make it no gap
_UNKNOWN_CHARGE = 0.01  # of the charge that the trace moves

_FLOWS = 0.01  # of the largest current
_STEP = 0.2  # of the largest current
_MOVES = 0.005  # of the range of the voltages
_LONG = 0.02  # of the charge that the trace moves

_FROZEN_ROWS = 20
_FROZEN_CHARGE = 0.1  # of the charge that the trace moves
_FINE = 200  # steps of the last digit in the range of the voltages

_SPIKE = 0.02  # of the range
_SPIKE_NOISE = 10.0  # times all but two of the movements around it
_DISCONNECTED = 20.0  # K between a sensor that is out of range and the rest

_SHORT = 0.9  # of the charge that the cycles around discharge

_COUNTER = 0.05  # relative difference of charge
_DIGITS = 100.0  # of a counter: less is too coarse to tell a unit
_COARSE = 30.0  # of them, each time that it begins: less tells nothing
_FACTORS: Mapping[str, float] = {"1000": 1e3, "3600": 3600.0, "60": 60.0, "24": 24.0}
_FASTEST = 60.0  # 1/h: the current over the capacity, by the counter


class Found(NamedTuple):
    """A fault, at samples instead of at rows of a file."""

    kind: str
    variable: str
    samples: NDArray[np.intp]
    severity: str
    message: str
    repair: str = ""


@dataclass(frozen=True)
class View:
    """Times, voltages and currents of a trace, those rows that have all three.

    Parameters
    ----------
    dataset : xarray.Dataset
        /traces of a record, whether its numbers are possible or not.
    """

    dataset: xr.Dataset

    @cached_property
    def known(self) -> NDArray[np.intp] | None:
        """Samples of these rows; None for all."""
        good: Mask = np.ones(self.dataset.sizes["sample"], dtype=bool)
        for name in ("time", "voltage", "current"):
            good &= np.isfinite(self.dataset[name].values)
        return None if good.all() else np.flatnonzero(good)

    def of(self, name: str) -> Numbers:
        """A variable in these rows."""
        values = self.dataset[name].values
        return values if self.known is None else values[self.known]

    def samples(self, found: Mask | NDArray[np.intp]) -> NDArray[np.intp]:
        """From places among these rows to samples."""
        places = np.flatnonzero(found) if found.dtype == bool else np.asarray(found, np.intp)
        return places if self.known is None else self.known[places]

    @cached_property
    def time(self) -> Numbers:
        """Times [s]."""
        return self.of("time")

    @cached_property
    def voltage(self) -> Numbers:
        """Voltages [V]."""
        return self.of("voltage")

    @cached_property
    def current(self) -> Numbers:
        """Currents [A], positive on discharge."""
        return self.of("current")

    @cached_property
    def intervals(self) -> Numbers:
        """Seconds from each row to the next; 0 where the time goes back."""
        return np.maximum(np.diff(self.time), 0.0)

    @cached_property
    def ordered(self) -> bool:
        """Whether the time never goes back."""
        return not behind(self.time).any()

    @cached_property
    def interval(self) -> float:
        """The usual one [s]."""
        positive = self.intervals[self.intervals > 0]
        return float(np.median(positive)) if positive.size else 0.0

    @cached_property
    def charges(self) -> Numbers:
        """Charge from each row to the next [A.h], by the trapezoidal rule."""
        mean = self.current[1:] + self.current[:-1]
        mean *= self.intervals
        mean /= 2 * 3600.0
        return mean

    @cached_property
    def moved(self) -> float:
        """Range of the charge [A.h], of the part of the trace that is not a drift."""
        if len(self.time) < 2:
            return 0.0
        charge = np.cumsum(self.charges)
        return float(max(charge.max(), 0.0) - min(charge.min(), 0.0))

    @cached_property
    def largest(self) -> float:
        """Largest current [A] but for single spikes."""
        size = np.abs(self.current)
        size = size[size > 0]
        return float(np.quantile(size, 0.99)) if size.size else 0.0

    @cached_property
    def span(self) -> float:
        """Range of the voltages [V] but for single spikes."""
        if not len(self.voltage):
            return 0.0
        low, high = np.quantile(self.voltage, (0.005, 0.995))
        return float(high - low)

    @cached_property
    def runs(self) -> NDArray[np.intp]:
        """Stretches [a, b) of rows in which the current keeps its sign, or rests; shape (n, 2)."""
        state = np.sign(np.where(np.abs(self.current) > _FLOWS * self.largest, self.current, 0.0))
        edges = np.flatnonzero(np.diff(state)) + 1
        ends = np.r_[0, edges, len(state)]
        return np.stack([ends[:-1], ends[1:]], axis=1)


def faults(dataset: xr.Dataset, kind: str = "") -> list[Found]:
    """Look for the faults of a trace.

    Parameters
    ----------
    dataset : xarray.Dataset
        /traces of a record, in the schema's form; its numbers may be impossible.
    kind : str
        Of this kind only; of every kind by default.

    Returns
    -------
    list of Found
    """
    view = View(dataset)
    out = [*missing(dataset), *impossible(dataset)]
    if len(view.time):
        for check, kinds in CHECKS.items():
            if (not kind or kind in kinds) and (view.ordered or check not in _OF_AN_ORDER):
                out += check(view)
    told: dict[tuple[object, ...], Found] = {}
    for one in out:  # a whole variable is named once, whatever says so
        rows = (one.message,) if one.samples.size else ()
        told.setdefault((one.kind, one.variable, *rows), one)
    return [one for one in told.values() if kind in ("", one.kind)]


# --- numbers that cannot be --------------------------------------------------------------------


def missing(dataset: xr.Dataset) -> Iterator[Found]:
    """Rows without a time, a voltage or a current."""
    for name in ("time", "voltage", "current"):
        bad = np.isnan(dataset[name].values)
        if bad.any():
            at = np.flatnonzero(bad)
            yield Found("missing", name, at, REFUSED, f"'{name}' is missing", "missing")


def impossible(dataset: xr.Dataset) -> Iterator[Found]:
    """Numbers that are infinite, or outside of what the schema allows."""
    for name in TRACE_VARIABLES:
        if name not in dataset or dataset[name].dtype.kind != "f":
            continue
        bad = outside(dataset[name].values, name)
        if bad.any():
            shown = dataset[name].values[bad][0]
            unit = TRACE_VARIABLES[name].unit
            message = f"'{name}' cannot be {shown:g} {'' if unit == '-' else unit}".rstrip()
            yield Found("impossible", name, np.flatnonzero(bad), REFUSED, message, "impossible")


def outside(values: Numbers, name: str) -> Mask:
    """Where a trace's variable is infinite or outside of its limits."""
    known = TRACE_VARIABLES[name]
    with np.errstate(invalid="ignore"):
        return np.isinf(values) | (values <= known.above) | (values > known.most)


# --- time --------------------------------------------------------------------------------------


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


def behind(time: Numbers) -> Mask:
    """Rows whose time is before one that was reached already."""
    return time < np.maximum.accumulate(time)


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
    flows = flows > _FLOWS * view.largest
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
    if len(steps) < _FEWEST or view.interval == 0:
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


# --- units -------------------------------------------------------------------------------------


def voltage_unit(view: View) -> Iterator[Found]:
    """Voltages that are those of no cell: millivolts."""
    middle = float(np.median(np.abs(view.voltage)))
    if middle > _MOST_VOLTS:
        header = view.dataset.attrs.get("voltage_header", "voltage")
        message = (
            f"'{header}' is {middle:.4g} V in the middle. Is it in millivolts? "
            f"(columns={{'{header}': 'voltage [mV]'}} says so too)"
        )
        yield Found(
            "voltage unit", "voltage", np.empty(0, np.intp), REFUSED, message, "voltage unit"
        )


def temperature_unit(view: View) -> Iterator[Found]:
    """Kelvin taken for °C, and the other way round."""
    for name in ("temperature", "ambient_temperature"):
        shift = temperature_shift(view.dataset, name)
        if shift:
            middle = float(np.nanmedian(view.dataset[name].values))
            words = "kelvin that are called °C" if shift < 0 else "°C that are called kelvin"
            message = f"'{name}' is {middle:.4g} K in the middle. Are they {words}?"
            none = np.empty(0, np.intp)
            yield Found("temperature unit", name, none, REFUSED, message, "temperature unit")


def temperature_shift(dataset: xr.Dataset, name: str) -> float:
    """What has to be added to a temperature in the wrong unit [K]; 0 for none."""
    if name not in dataset or not np.isfinite(dataset[name].values).any():
        return 0.0
    middle = float(np.nanmedian(dataset[name].values))
    if middle > _HOTTEST and middle - 273.15 < _HOTTEST:
        return -273.15
    return 273.15 if -100.0 < middle < _COLDEST else 0.0


# --- channels ----------------------------------------------------------------------------------


def stuck(view: View) -> Iterator[Found]:
    """A voltage that is the same to its last digit while the current must move it."""
    for a, b in stuck_voltages(view):
        level = view.voltage[a]
        extreme = level in (view.voltage.max(), view.voltage.min())
        kind = "saturated" if extreme else "frozen"
        places = view.samples(np.arange(a, b))
        message = f"'voltage' is {level:.6g} V to its last digit, while the current must move it"
        yield Found(kind, "voltage", places, REFUSED, message, kind)


def stuck_voltages(view: View) -> list[tuple[int, int]]:
    """Stretches [a, b) of equal voltages in which a current steps, or passes much charge.

    Not the end of a charge at constant voltage, in which the current falls without steps.
    """
    if len(view.voltage) < _FROZEN_ROWS or view.largest == 0:
        return []
    same = np.zeros(len(view.voltage) + 1, dtype=bool)
    same[1:-1] = view.voltage[1:] == view.voltage[:-1]
    turns = np.flatnonzero(same[1:] != same[:-1])  # only of the stretches, as these are few
    first, last = turns[::2], turns[1::2] + 1
    long = last - first >= _FROZEN_ROWS
    first, last = first[long], last[long]
    if not first.size:
        return []
    digits = np.abs(np.diff(view.voltage))
    digit = float(np.min(digits, where=digits > 0, initial=np.inf))
    fine = view.span > _FINE * digit
    return [
        (a, b)
        for a, b in zip(first.tolist(), last.tolist(), strict=True)
        if _steps(view, a, b) or (fine and _flows_evenly(view, a, b))
    ]


def _steps(view: View, a: int, b: int) -> bool:
    """Whether the current steps up and down by much, after the stretch's first rows."""
    steps = np.diff(view.current[a + 1 : b - 1])
    size = _STEP * view.largest
    return int((steps > size).sum()) >= 2 and int((steps < -size).sum()) >= 2


def _flows_evenly(view: View, a: int, b: int) -> bool:
    current = view.current[a:b]
    even = float(np.ptp(current)) < 0.02 * view.largest
    flows = float(np.abs(current).min()) > 0.05 * view.largest
    return (
        even and flows and abs(float(view.charges[a : b - 1].sum())) > (_FROZEN_CHARGE * view.moved)
    )


def sensor(view: View) -> Iterator[Found]:
    """Temperatures at the end of a sensor's range, far from all others."""
    for name in ("temperature", "ambient_temperature"):
        bad = disconnected(view.dataset, name)
        if bad.any():
            level = view.dataset[name].values[bad][0]
            message = f"'{name}' is {level:.5g} K, the end of its range and far from all others"
            yield Found("saturated", name, np.flatnonzero(bad), REFUSED, message, "saturated")


def disconnected(dataset: xr.Dataset, name: str) -> Mask:
    """Where a temperature is at its highest or lowest number, twice or more, far from others."""
    size = dataset.sizes["sample"]
    out: Mask = np.zeros(size, dtype=bool)
    if name not in dataset:
        return out
    values = dataset[name].values
    finite = values[np.isfinite(values)]
    if not finite.size:
        return out
    for level, others in (
        (finite.max(), finite[finite < finite.max()]),
        (finite.min(), finite[finite > finite.min()]),
    ):
        if not others.size or others.size < 0.05 * finite.size:
            continue
        nearest = others.max() if level > others.max() else others.min()
        at = values == level
        if abs(level - nearest) > _DISCONNECTED and at.sum() >= 2:
            out |= at
    return out


def spike(view: View) -> Iterator[Found]:
    """Single voltages far from both neighbours, while the current stays as it is."""
    bad = spikes(view)
    if bad.any():
        values = view.voltage[bad]
        shown = f"{values[0]:.5g} V" if len(values) == 1 else f"e.g. {values[0]:.5g} V"
        message = f"single voltages far from both neighbours, {shown}"
        yield Found("spike", "voltage", view.samples(bad), NOTED, message, "spike")


def spikes(view: View) -> Mask:
    """Where a voltage jumps and comes back at once."""
    size = len(view.voltage)
    out: Mask = np.zeros(size, dtype=bool)
    if size < _FEWEST or view.span == 0:
        return out
    step = np.diff(view.voltage)
    far = np.abs(step) > _SPIKE * view.span
    at = np.flatnonzero(far[:-1] & far[1:])
    at = at[np.sign(step[at]) != np.sign(step[at + 1])]  # there and back
    for k in range(0, len(at), 10_000):  # in pieces, for the memory
        places = at[k : k + 10_000] + 1
        out[places] = _stands_out(view, places)
    return out


def _stands_out(view: View, places: NDArray[np.intp]) -> Mask:
    """Whether a voltage that jumps is far from all but two moves around it, the current quiet."""
    voltage, current, last = view.voltage, view.current, len(view.voltage) - 1
    before, after = voltage[places - 1], voltage[places + 1]
    jump = np.minimum(np.abs(voltage[places] - before), np.abs(voltage[places] - after))
    near = np.r_[np.arange(-6, 0), np.arange(1, 7)]
    moves = np.abs(np.diff(voltage[np.clip(places[:, None] + near, 0, last)], axis=1))
    usual = np.maximum(np.sort(moves, axis=1)[:, -3], _digit(voltage))
    around = np.abs(np.diff(current[np.clip(places[:, None] + np.arange(-2, 3), 0, last)], axis=1))
    quiet = (around[:, 1:3].max(axis=1) < _FLOWS * view.largest) | (view.largest == 0)
    quiet &= (around[:, [0, 3]].max(axis=1) < _STEP * view.largest) | (view.largest == 0)
    return (jump > _SPIKE_NOISE * usual) & (np.abs(after - before) < 0.2 * jump) & quiet


# --- signs -------------------------------------------------------------------------------------


def voltage_steps_up(view: View, a: int, b: int) -> bool | None:
    """Whether the voltage rises over a stretch of current, or at its begin after a rest.

    Parameters
    ----------
    view : View
    a, b : int
        Rows [a, b).

    Returns
    -------
    bool or None
        None where nothing flows, or the voltage does not tell.
    """
    if np.abs(view.current[a]) <= _FLOWS * view.largest or view.span == 0:
        return None
    size = np.abs(view.charges[a : b - 1])
    if b - a > 5 and float(size.sum()) >= _LONG * view.moved:
        part = np.cumsum(size)
        begin = min(a + 1 + int(np.searchsorted(part, 0.2 * part[-1])), b - 1)
        moves = float(view.voltage[b - 1] - view.voltage[begin])
        even = abs(view.current[b - 1] - view.current[begin]) < 0.1 * view.largest
        if even and abs(moves) >= _MOVES * view.span:
            return moves > 0
    if a > 0 and abs(view.current[a - 1]) <= _FLOWS * view.largest:
        moves = float(view.voltage[a] - view.voltage[a - 1])
        if abs(moves) >= _MOVES * view.span:
            return moves > 0
    return None


def sign(view: View) -> Iterator[Found]:
    """Currents that the voltage says are of the other sign, or have none."""
    if len(view.time) < _FEWEST or view.largest == 0 or view.span == 0:
        return
    none = np.empty(0, np.intp)
    if (view.current >= 0).all() or (view.current <= 0).all():
        told = [(a, b, voltage_steps_up(view, a, b)) for a, b in view.runs]
        rising = [(a, b) for a, b, up in told if up is True and _long(view, a, b)]
        falling = [(a, b) for a, b, up in told if up is False and _long(view, a, b)]
        if rising and falling:
            discharges = bool((view.current >= 0).all())
            places = np.concatenate(
                [np.arange(*one) for one in (rising if discharges else falling)]
            )
            message = (
                f"no current is {'negative' if discharges else 'positive'}, but the voltage goes "
                "both ways: in these rows the current must be of the other sign"
            )
            yield Found("unsigned", "current", view.samples(places), REFUSED, message, "unsigned")
            return
    if sign_by_voltage(view.current, view.voltage) < 0:
        message = (
            "the voltage rises while the current says discharge, and falls while it says charge"
        )
        yield Found("sign", "current", none, REFUSED, message, "sign")


def _long(view: View, a: int, b: int) -> bool:
    """Whether much charge flows in a stretch."""
    return abs(float(view.charges[a : b - 1].sum())) >= _LONG * view.moved


# --- counters ----------------------------------------------------------------------------------

#: The instrument's counters, with the sign of the current that they count; 0 for both.
DIRECTIONS: Mapping[str, int] = {
    "charge_capacity": -1,
    "discharge_capacity": 1,
    "step_capacity": 0,
}


def counter_resets(view: View, name: str) -> NDArray[np.intp]:
    """Rows at which a counter is less than before in its direction: it began anew."""
    values = view.of(name)
    if name == "step_capacity":  # counts down, or up, by instrument: it begins anew at nought
        size = np.abs(values)
        fell = np.diff(size) < 0
        near = size[1:] < 0.05 * np.maximum(size[:-1], 1e-300)
        return np.flatnonzero(fell & near) + 1
    return np.flatnonzero(np.diff(values) < 0) + 1


def counter_reset(view: View) -> Iterator[Found]:
    """Counters that begin anew where neither step nor cycle nor the current's sign changes."""
    for name in (one for one in COUNTERS if one in view.dataset and one != "step_capacity"):
        at = counter_resets(view, name)
        values = view.of(name)
        digit = _digit(values)
        at = at[values[at - 1] - values[at] > 10 * digit]
        for other in ("cycle", "step"):
            if other in view.dataset:
                numbers = view.of(other)
                at = at[numbers[at] == numbers[at - 1]]
        state = np.sign(view.current)
        at = at[state[at] == state[at - 1]]
        if at.size:
            message = f"'{name}' begins anew within a step"
            places = view.samples(at)
            yield Found("counter reset", name, places, NOTED, message, "counter reset")


def counted(view: View, name: str) -> tuple[float, float]:
    """Charge by a counter and by the current, over the intervals in which the counter counts.

    Parameters
    ----------
    view : View
    name : str
        One of :data:`DIRECTIONS`.

    Returns
    -------
    counter, current : float
        Both without sign [A.h].
    """
    step = np.diff(view.of(name))
    charge = view.charges
    direction = DIRECTIONS[name]
    if direction:
        good = (step >= 0) & (charge * direction >= 0)
        wanted = np.where(good, np.abs(charge), 0.0)
        return float(step[good].sum()), float(wanted.sum())
    same = np.sign(view.current[1:]) == np.sign(view.current[:-1])
    good = same & (np.abs(view.of(name)[1:]) >= np.abs(view.of(name)[:-1]))
    return float(np.abs(step[good]).sum()), float(np.abs(charge[good]).sum())


def counter(view: View) -> Iterator[Found]:
    """Counters that disagree with the integral of the current: units, signs, or sampling."""
    if len(view.time) < _FEWEST or view.largest == 0 or "time_unit_by_dates" in view.dataset.attrs:
        return
    none = np.empty(0, np.intp)
    for name in (one for one in COUNTERS if one in view.dataset):
        if not np.isfinite(view.of(name)).all():
            continue
        by_counter, by_current = counted(view, name)
        digit = _digit(view.of(name))
        began = 1 + len(counter_resets(view, name))
        fine = by_counter > _DIGITS * digit
        if not fine and (by_counter < _LONG * view.moved or by_counter <= began * _COARSE * digit):
            continue
        if by_counter == 0:
            continue
        if _counts_the_other(view, name, by_counter):
            message = f"'{name}' counts while the current has the other sign"
            yield Found("sign", "current", none, REFUSED, message, "sign")
            continue
        if by_current <= 0:
            continue
        ratio = by_current / by_counter
        unit = wrong_unit(view, ratio, by_counter) if fine else None
        if unit is not None:
            what, factor = unit
            message = (
                f"the current over time gives {by_current:.4g} A.h, '{name}' {by_counter:.4g} A.h: "
                f"{factor:g} times. Is the {what} in another unit?"
            )
            yield Found(f"{what} unit", what, none, REFUSED, message, f"{what} unit")
        elif abs(ratio - 1) > _COUNTER:
            apart = np.abs(view.charges) - np.abs(np.diff(view.of(name)))
            running = np.diff(view.of(name)) * (DIRECTIONS[name] or 1) >= 0
            much = max(_UNKNOWN_CHARGE / 2 * by_counter, 2 * digit)
            at = np.flatnonzero((np.abs(apart) > much) & running)
            message = (
                f"the current over time gives {by_current:.4g} A.h, '{name}' {by_counter:.4g} A.h: "
                f"{100 * (ratio - 1):+.3g} %"
                + (" (rows before which they differ most are named)" if at.size else "")
            )
            yield Found("counter", name, view.samples(at + 1), NOTED, message)


def _counts_the_other(view: View, name: str, by_counter: float) -> bool:
    """Whether a counter runs while the current says the opposite, and only then."""
    direction = DIRECTIONS[name]
    if not direction:
        return False
    step, mean = np.diff(view.of(name)), (view.current[1:] + view.current[:-1]) / 2
    up = step > 0
    against = float(step[up & (mean * direction < -_FLOWS * view.largest)].sum())
    along = float(step[up & (mean * direction > _FLOWS * view.largest)].sum())
    return against > 20 * along and against > 0.1 * by_counter


def wrong_unit(view: View, ratio: float, by_counter: float) -> tuple[str, float] | None:
    """Which of time and current is in another unit, and by which factor; None for neither."""
    for factor in _FACTORS.values():
        for size in (factor, 1 / factor):
            if abs(ratio / size - 1) < _COUNTER:
                fast = view.largest / by_counter > _FASTEST
                what = "current" if fast and size == 1000.0 else "time"
                return what, size
    return None


def _digit(values: Numbers) -> float:
    """The smallest step of a counter."""
    steps = np.abs(np.diff(values[:100_000]))
    steps = steps[steps > 0]
    return float(steps.min()) if steps.size else 0.0


# --- cycle numbers -----------------------------------------------------------------------------


def cycle(view: View) -> Iterator[Found]:
    """Cycle numbers that count rows, or go back."""
    if "cycle" not in view.dataset or len(view.time) < _FEWEST:
        return
    numbers = view.of("cycle")
    step = np.diff(numbers)
    none = np.empty(0, np.intp)
    if np.mean(step > 0) > 0.9:
        message = "'cycle' changes with every row: it counts rows"
        yield Found("cycle", "cycle", none, REFUSED, message, "cycle")
    elif (step < 0).any():
        at = np.flatnonzero(step < 0) + 1
        message = "'cycle' goes back"
        yield Found("cycle", "cycle", view.samples(at), NOTED, message, "cycle")


def cut_short(view: View) -> Iterator[Found]:
    """Cycles of much less discharge than those around them, and a last one that ends in a step."""
    if "cycle" not in view.dataset or len(view.time) < _FEWEST:
        return
    numbers = view.of("cycle")
    edges = np.flatnonzero(np.diff(numbers) != 0) + 1
    if not np.isfinite(numbers).all() or len(edges) < 2 or len(edges) > len(numbers) / 5:
        return
    begins = np.r_[0, edges]
    out = np.add.reduceat(np.r_[np.maximum(view.charges, 0.0), 0.0], begins)
    short = outliers(out) & (out < _SHORT * np.median(out))
    before = out[-4:-1]
    flows = abs(view.current[-1]) > _FLOWS * view.largest
    alike = len(before) == 3 and float(np.ptp(before)) < 0.1 * float(before.max())
    short[-1] = bool(short[-1]) or bool(flows and alike and out[-1] < _SHORT * before.min())
    ends = np.r_[edges, len(numbers)]
    for k in np.flatnonzero(short):
        message = (
            f"cycle {numbers[begins[k]]:g} discharges {out[k]:.4g} A.h, those around it "
            f"{float(np.median(out)):.4g} A.h"
        )
        places = view.samples(np.arange(begins[k], ends[k]))
        yield Found("cut short", "cycle", places, NOTED, message)


#: What looks for which kinds.
CHECKS: Mapping[Callable[[View], Iterator[Found]], tuple[str, ...]] = {
    repeated: ("repeated",),
    clock: ("clock",),
    time_unit: ("time unit",),
    pause: ("pause",),
    gap: ("gap",),
    voltage_unit: ("voltage unit",),
    temperature_unit: ("temperature unit",),
    stuck: ("frozen", "saturated"),
    sensor: ("saturated",),
    spike: ("spike",),
    sign: ("sign", "unsigned"),
    counter: ("time unit", "current unit", "sign", "counter"),
    counter_reset: ("counter reset",),
    cycle: ("cycle",),
    cut_short: ("cut short",),
}

#: What can be told where the rows are in the order of time alone.
_OF_AN_ORDER = (gap, stuck, spike, counter, counter_reset, cycle, cut_short)
