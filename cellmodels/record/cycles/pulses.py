"""Resistance from a step of the current, at given times after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cellmodels.errors import InputError

__all__ = ["TIMES", "PulseResistance", "pulse_resistances", "step_time"]

#: Times after a step [s] at which its resistance is usually told.
TIMES = (1.0, 10.0, 30.0)

_CONSTANT = 0.02  # of the step, by which the current may vary
_NEAR = 0.05  # of the time, by which rows may be early or late
_SMALLEST = 1e-9  # A

Array = NDArray[np.float64]


@dataclass(frozen=True)
class PulseResistance:
    """One resistance, or why there is none.

    Parameters
    ----------
    at : float
        Time after the step of the current [s].
    value : float
        Resistance [ohm]; NaN where it cannot be told.
    reason : str
        Why not; empty where it can.
    """

    at: float
    value: float
    reason: str = ""


def step_time(time: Array, first: int) -> float:
    """When the current changed.

    Parameters
    ----------
    time : ndarray, shape (n,)
        Time of the rows [s], ascending.
    first : int
        First row with the new current.

    Returns
    -------
    float
        Time [s]. A cycler may write a row when a step begins, or one sampling interval later. The
        step begins at the row before where that is no farther away than the step's own first
        interval, and else that interval before its first row.
    """
    if first == 0:
        return float(time[0])
    interval = float(time[first + 1] - time[first]) if first + 1 < len(time) else np.inf
    return float(max(time[first - 1], time[first] - interval))


def pulse_resistances(
    time: Array,
    voltage: Array,
    current: Array,
    first: int,
    last: int,
    at: Sequence[float] = TIMES,
) -> list[PulseResistance]:
    """Resistance of a step of the current: change of voltage over change of current.

    As in the pulse tests of IEC 62660-1:2018 and of the battery test manual INL/EXT-15-34184
    (Christophersen, J. P. (2015), Idaho National Laboratory), for a discharge or charge from
    rest, a change from one current to another, and the relaxation after it (rows of the rest).

    Parameters
    ----------
    time, voltage, current : ndarray, shape (n,)
        Rows of a trace [s, V, A]; current positive on discharge.
    first, last : int
        First and last row of the step. The row before it gives voltage and current before.
    at : sequence of float
        Times after the step [s].

    Returns
    -------
    list of PulseResistance
        One for each time: ``-(V(t) - V before) / (I(t) - I before)``, V and I interpolated
        linearly between the rows. NaN, with the reason, where the step is shorter than the time,
        rows around it lie farther apart than the time itself (5 % in either), the current does
        not change, or is not constant (within 2 % of the step) from its first settled row on, or
        the voltage moves the wrong way.

    Raises
    ------
    InputError
        If the rows are not those of the trace.
    """
    if not 0 <= first <= last < len(time):
        raise InputError(
            f"The step's rows {first} to {last} are not among the trace's 0 to {len(time) - 1}."
        )
    if first == 0:
        return [PulseResistance(t, np.nan, "no row before the step") for t in at]
    begin = step_time(time, first)
    rows = slice(first, last + 1)
    elapsed, v, i = time[rows] - begin, voltage[rows], current[rows]
    before = float(voltage[first - 1]), float(current[first - 1])
    return [_resistance(elapsed, v, i, before, t) for t in at]


def _resistance(
    elapsed: Array, voltage: Array, current: Array, before: tuple[float, float], at: float
) -> PulseResistance:
    reason = _invalid(elapsed, current, before[1], at)
    if reason:
        return PulseResistance(at, np.nan, reason)
    v, i = np.interp(at, elapsed, voltage), np.interp(at, elapsed, current)
    resistance = float((before[0] - v) / (i - before[1]))
    if resistance <= 0:
        return PulseResistance(at, np.nan, "the voltage moves against the current")
    return PulseResistance(at, resistance)


def _invalid(elapsed: Array, current: Array, before: float, at: float) -> str:
    """Why there is no resistance at a time; empty where there is."""
    if elapsed[-1] < at * (1 - _NEAR):
        return f"the step lasts {elapsed[-1]:.2g} s"
    after = int(np.searchsorted(elapsed, at))
    if after < len(elapsed):
        reached = elapsed[after - 1] if after else 0.0
        if elapsed[after] > at and elapsed[after] - reached > at * (1 + _NEAR):
            return f"rows are {elapsed[after] - reached:.2g} s apart"
        if after == 0 and elapsed[0] > at * (1 + _NEAR):
            return f"its first row is {elapsed[0]:.2g} s after the step"
    upto = current[: min(after, len(elapsed) - 1) + 1]
    step = float(np.median(upto)) - before
    if abs(step) < _SMALLEST:
        return "the current does not change"
    off = np.abs(upto - before - step) > _CONSTANT * abs(step)
    settled = int(np.argmin(off))  # the first that is not off
    if off[settled:].any() or elapsed[settled] > at * (1 + _NEAR):
        return "the current is not constant"
    return ""
