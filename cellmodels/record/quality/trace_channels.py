"""Faults of a trace's channels: impossible numbers, units, sensors that stick, spikes, signs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from cellmodels.record.files.current_sign import sign_by_voltage
from cellmodels.record.quality.trace_view import (
    FEWEST,
    FLOWS,
    LONG,
    NOTED,
    REFUSED,
    Found,
    Mask,
    Numbers,
    View,
    last_digit,
)
from cellmodels.record.schema import TRACE_VARIABLES

_MOST_VOLTS = 1000.0
_HOTTEST, _COLDEST = 450.0, 150.0  # K, in the middle

_STEP = 0.2  # of the largest current
_MOVES = 0.005  # of the range of the voltages

_FROZEN_ROWS = 20
_FROZEN_CHARGE = 0.1  # of the charge that the trace moves
_FINE = 200  # steps of the last digit in the range of the voltages

_SPIKE = 0.02  # of the range
_SPIKE_NOISE = 10.0  # times all but two of the movements around it
_DISCONNECTED = 20.0  # K between a sensor that is out of range and the rest


# --- numbers that cannot be -----------------------------------------------------------------------


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


# --- units ----------------------------------------------------------------------------------------


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


# --- sensors --------------------------------------------------------------------------------------


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
    if size < FEWEST or view.span == 0:
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
    usual = np.maximum(np.sort(moves, axis=1)[:, -3], last_digit(voltage))
    around = np.abs(np.diff(current[np.clip(places[:, None] + np.arange(-2, 3), 0, last)], axis=1))
    quiet = (around[:, 1:3].max(axis=1) < FLOWS * view.largest) | (view.largest == 0)
    quiet &= (around[:, [0, 3]].max(axis=1) < _STEP * view.largest) | (view.largest == 0)
    return (jump > _SPIKE_NOISE * usual) & (np.abs(after - before) < 0.2 * jump) & quiet


# --- signs ----------------------------------------------------------------------------------------


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
    if np.abs(view.current[a]) <= FLOWS * view.largest or view.span == 0:
        return None
    size = np.abs(view.charges[a : b - 1])
    if b - a > 5 and float(size.sum()) >= LONG * view.moved:
        part = np.cumsum(size)
        begin = min(a + 1 + int(np.searchsorted(part, 0.2 * part[-1])), b - 1)
        moves = float(view.voltage[b - 1] - view.voltage[begin])
        even = abs(view.current[b - 1] - view.current[begin]) < 0.1 * view.largest
        if even and abs(moves) >= _MOVES * view.span:
            return moves > 0
    if a > 0 and abs(view.current[a - 1]) <= FLOWS * view.largest:
        moves = float(view.voltage[a] - view.voltage[a - 1])
        if abs(moves) >= _MOVES * view.span:
            return moves > 0
    return None


def sign(view: View) -> Iterator[Found]:
    """Currents that the voltage says are of the other sign, or have none."""
    if len(view.time) < FEWEST or view.largest == 0 or view.span == 0:
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
    return abs(float(view.charges[a : b - 1].sum())) >= LONG * view.moved
