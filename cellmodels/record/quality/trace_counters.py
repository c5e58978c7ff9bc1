"""Faults that an instrument's counters of charge have, or tell of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from cellmodels.record.quality.trace_view import (
    FEWEST,
    FLOWS,
    LONG,
    NOTED,
    REFUSED,
    Found,
    View,
    last_digit,
)
from cellmodels.record.schema import COUNTERS

_COUNTER = 0.05  # relative difference of charge
_APART = 0.005  # of the charge, over one interval
_DIGITS = 100.0  # of a counter: less is too coarse to tell a unit
_COARSE = 30.0  # of them, each time that it begins: less tells nothing
_FACTORS = (1000.0, 3600.0, 60.0, 24.0)
_STEADY = 0.25  # relative change of the current over an interval whose charge is known
_FASTEST = 60.0  # 1/h: the current over the capacity, by the counter

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
        digit = last_digit(values)
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

    Those in which the current changes its level are left out: when it changed is not known.

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
    direction, held = DIRECTIONS[name], _steady(view)
    if direction:
        good = held & (step >= 0) & (charge * direction >= 0)
        wanted = np.where(good, np.abs(charge), 0.0)
        return float(step[good].sum()), float(wanted.sum())
    same = np.sign(view.current[1:]) == np.sign(view.current[:-1])
    good = held & same & (np.abs(view.of(name)[1:]) >= np.abs(view.of(name)[:-1]))
    return float(np.abs(step[good]).sum()), float(np.abs(charge[good]).sum())


def _steady(view: View) -> NDArray[np.bool_]:
    size = np.abs(view.current)
    larger = np.maximum(size[1:], size[:-1])
    return np.asarray(np.abs(np.diff(view.current)) <= _STEADY * larger)


def counter(view: View) -> Iterator[Found]:
    """Counters that disagree with the integral of the current: units, signs, or sampling."""
    if len(view.time) < FEWEST or view.largest == 0 or "time_unit_by_dates" in view.dataset.attrs:
        return
    none = np.empty(0, np.intp)
    for name in (one for one in COUNTERS if one in view.dataset):
        if not np.isfinite(view.of(name)).all():
            continue
        by_counter, by_current = counted(view, name)
        digit = last_digit(view.of(name))
        began = 1 + len(counter_resets(view, name))
        fine = by_counter > _DIGITS * digit
        if not fine and (by_counter < LONG * view.moved or by_counter <= began * _COARSE * digit):
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
            running = _steady(view) & (np.diff(view.of(name)) * (DIRECTIONS[name] or 1) >= 0)
            much = max(_APART * by_counter, 2 * digit)
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
    against = float(step[up & (mean * direction < -FLOWS * view.largest)].sum())
    along = float(step[up & (mean * direction > FLOWS * view.largest)].sum())
    return against > 20 * along and against > 0.1 * by_counter


def wrong_unit(view: View, ratio: float, by_counter: float) -> tuple[str, float] | None:
    """Which of time and current is in another unit, and by which factor; None for neither."""
    for factor in _FACTORS:
        for size in (factor, 1 / factor):
            if abs(ratio / size - 1) < _COUNTER:
                fast = view.largest / by_counter > _FASTEST
                what = "current" if fast and size == 1000.0 else "time"
                return what, size
    return None
