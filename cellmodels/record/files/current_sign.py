"""The sign of a current: the one place where it is turned, and what the voltage tells of it.

A cell's own resistance is positive: where the current changes towards discharge the voltage falls
at once, and while a cell is discharged its voltage falls. A file whose header does not say which
sign is which can so be read, and one that says it wrongly can be found.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

_STEP = 0.1  # of the largest current: a change that is a step
_FLOWS = 0.02  # of the largest current: less is a rest
_CLEAR = 0.6  # of the evidence that has to agree
_LEAST = 0.003  # of the voltage: less change tells nothing


def discharge_positive(current: Numbers) -> Numbers:
    """Turn a current that is positive on charge into one that is positive on discharge.

    The only place where signs are changed.

    Parameters
    ----------
    current : ndarray
        Positive on charge, as in the Battery Data Format.

    Returns
    -------
    ndarray
        Positive on discharge.
    """
    return 0.0 - current  # and no negative zero


def sign_by_voltage(current: Numbers, voltage: Numbers) -> int:
    """Say which sign of a current discharges the cell.

    Parameters
    ----------
    current : ndarray, shape (n,)
        In the order of time, in any unit; NaN is missing.
    voltage : ndarray, shape (n,)
        At the same times, in any unit.

    Returns
    -------
    {1, -1, 0}
        1 where positive currents discharge, -1 where they charge, and 0 where the voltage does not
        tell: it hardly changes, or its steps at changes of the current and its course between them
        contradict one another.
    """
    known = np.isfinite(current) & np.isfinite(voltage)
    if not known.all():
        current, voltage = current[known], voltage[known]
    most = float(np.abs(current).max(initial=0.0))
    if not most:
        return 0
    least = _LEAST * float(np.median(np.abs(voltage)))
    relative = current / most
    told = {_at_steps(relative, voltage, least), _between(relative, voltage, least)}
    told -= {0}
    return told.pop() if len(told) == 1 else 0


def _at_steps(current: Numbers, voltage: Numbers, least: float) -> int:
    """By the resistance: changes of the voltage where the current changes."""
    change = np.diff(current)
    steps = np.flatnonzero(np.abs(change) > _STEP)
    return _verdict(np.sign(change[steps]), voltage[steps + 1] - voltage[steps], least)


def _between(current: Numbers, voltage: Numbers, least: float) -> int:
    """By the charge: the course of the voltage while the current keeps its sign."""
    direction = (current > _FLOWS).astype(np.int8) - (current < -_FLOWS)
    ends = np.r_[np.flatnonzero(direction[1:] != direction[:-1]), len(direction) - 1]
    begins = np.r_[0, ends[:-1] + 1]
    return _verdict(direction[ends], voltage[ends] - voltage[begins], least)


def _verdict(signs: Numbers | NDArray[np.int8], changes: Numbers, least: float) -> int:
    """Which sign lowers the voltage, if most of its changes agree."""
    changes = np.where(signs == 0, 0.0, changes)
    total = float(np.abs(changes).sum())
    falls = -float((signs * changes).sum())
    return int(np.sign(falls)) if total > least and abs(falls) > _CLEAR * total else 0
