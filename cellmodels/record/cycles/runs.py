"""Discharges and charges of a test: steps in one direction, with the hold that ends them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

__all__ = ["Run", "find_runs", "largest_half_cycle"]

_REST = 0  # code of a rest among the kinds of steps
_NOTHING = 1e-6  # of all charge: less is no discharge
_SAME = 0.02  # relative difference of currents that are one level
_BAND = (0.005, 0.003)  # V and share, within which a held voltage stays
_BACK = 0.25  # share of a half-cycle by which it may go back
_FASTEST = 12.0  # C-rate
_JUMP, _JUMP_AT_REST = 0.3, 0.1  # of the range of voltage, by which it rises without a charge


@dataclass(frozen=True)
class Run:
    """One discharge or charge.

    Parameters
    ----------
    first, main, last : int
        Segments: the first, the last before the voltage is held, and the last.
    current : float
        Mean before the hold [A], positive on discharge.
    charge, energy : float
        All of it [A.h, W.h], positive on discharge.
    duration : float
        Without the hold [s].
    end_voltage : float
        Before the hold [V].
    hold_charge, hold_duration : float
        Of the hold [A.h, s]; 0 without one.
    start_time, end_time : float
        Hold included [s].
    start_voltage : float
        Of the last sample before it, or its own first [V].
    rest_before, rest_after : float
        Length of the rests beside it [s].
    rest_voltage : float
        At the end of the rest after it [V]; NaN without one.
    from_rest : bool
        Whether no current flowed before it.
    """

    first: int
    main: int
    last: int
    current: float
    charge: float
    energy: float
    duration: float
    end_voltage: float
    hold_charge: float
    hold_duration: float
    start_time: float
    end_time: float
    start_voltage: float
    rest_before: float
    rest_after: float
    rest_voltage: float
    from_rest: bool

    @property
    def discharges(self) -> bool:
        """Whether it is a discharge."""
        return self.charge > 0


def find_runs(segments: xr.Dataset, first: int = 0, last: int | None = None) -> list[Run]:
    """Find the discharges and charges.

    Parameters
    ----------
    segments : xarray.Dataset
        From :func:`cellmodels.record.cycles.segments.segment`.
    first, last : int, optional
        Only within these segments.

    Returns
    -------
    list of Run
        In order. Steps of the same direction without a rest between them are one run where the
        current is the same (within 2 %), or where it only falls while the voltage stays (within
        5 mV or 0.3 %): a hold.
    """
    columns = {str(name): segments[name].values for name in segments.data_vars}
    most = np.sum(np.abs(columns["charge"]))
    resting = (columns["kind"] == _REST) | (np.abs(columns["charge"]) <= _NOTHING * most)
    end = len(resting) if last is None else last + 1
    runs = []
    k = first
    while k < end:
        if resting[k]:
            k += 1
            continue
        main = k
        while main + 1 < end and not resting[main + 1] and _goes_on(columns, k, main + 1):
            main += 1
        stop = main
        while stop + 1 < end and not resting[stop + 1] and _held(columns, main, stop + 1):
            stop += 1
        runs.append(_run(columns, resting, k, main, stop))
        k = stop + 1
    return runs


def largest_half_cycle(segments: xr.Dataset) -> float:
    """Largest charge that the cell gave or took without a larger turn between.

    Parameters
    ----------
    segments : xarray.Dataset
        From :func:`cellmodels.record.cycles.segments.segment`.

    Returns
    -------
    float
        The largest discharge [A.h], in pieces or in one, that goes back by less than a quarter
        between them; the largest such charge where nothing is discharged. Where a charge is missing
        in the data, as the voltage jumps up to a rest or a discharge, it ends too. NaN where half
        of it passes at more than 12C: such a test holds parts of the capacity only.
    """
    charge = np.nan_to_num(segments["charge"].values)
    starts, ends = segments["start_voltage"].values, segments["end_voltage"].values
    low, high = float(np.min(ends)), float(np.max(np.maximum(starts, ends)))
    jump = (starts[1:] - ends[:-1]) / max(high - low, 1e-12)
    flows = segments["kind"].values != _REST
    limit = np.where(flows[:-1], np.where(flows[1:], _JUMP, np.inf), _JUMP_AT_REST)
    charged = flows[1:] & (charge[1:] < 0)
    renewed = np.flatnonzero((jump > limit) & ~charged) + 1
    pieces = np.split(charge, renewed)
    found = max(_largest_rise(piece) for piece in pieces)
    found = found or max(_largest_rise(-piece) for piece in pieces)
    parts = [run for run in find_runs(segments) if abs(run.charge) >= found / 2]
    if not found or any(abs(run.current) > _FASTEST * found for run in parts):
        return float("nan")
    return found


def _largest_rise(steps: ArrayLike) -> float:
    """Largest rise of a running total that falls by less than a quarter of it on the way."""
    largest, total, low, high = 0.0, 0.0, 0.0, 0.0
    for step in np.asarray(steps, dtype=float):
        total += step
        if total > high:
            high = total
            largest = max(largest, high - low)
        if total < low or total < high - _BACK * (high - low):
            low = high = total
    return largest


def _begins_at_rest(columns: Mapping[str, NDArray[Any]], first: int) -> bool:
    """Whether the trace begins with a single row at rest, which the first step then holds."""
    return first == 0 and abs(columns["start_current"][0]) < _SAME * abs(columns["current"][0])


def _goes_on(columns: Mapping[str, NDArray[Any]], first: int, k: int) -> bool:
    """Whether a step goes on with the current of a run."""
    ours, new = float(columns["current"][first]), float(columns["current"][k])
    return abs(new - ours) <= _SAME * abs(ours)


def _held(columns: Mapping[str, NDArray[Any]], main: int, k: int) -> bool:
    """Whether a step holds the voltage at which a run arrived."""
    level, before = float(columns["end_voltage"][main]), float(columns["current"][k - 1])
    band = max(_BAND[0], _BAND[1] * abs(level))
    new = float(columns["current"][k])
    far = max(columns["max_voltage"][k] - level, level - columns["min_voltage"][k])
    return bool(far <= band and new * before > 0 and abs(new) <= abs(before) * (1 + _SAME))


def _run(
    columns: Mapping[str, NDArray[Any]],
    resting: NDArray[np.bool_],
    first: int,
    main: int,
    last: int,
) -> Run:
    def total(name: str, a: int, b: int) -> float:
        return float(np.sum(columns[name][a : b + 1]))

    duration = total("duration", first, main)
    before, after = first, last
    while before > 0 and resting[before - 1]:
        before -= 1
    while after + 1 < len(resting) and resting[after + 1]:
        after += 1
    start = columns["end_voltage"][first - 1] if first else columns["start_voltage"][first]
    return Run(
        first=first,
        main=main,
        last=last,
        current=float(columns["current"][first : main + 1].mean()),
        charge=total("charge", first, last),
        energy=total("energy", first, last),
        duration=duration,
        end_voltage=float(columns["end_voltage"][main]),
        hold_charge=total("charge", main + 1, last),
        hold_duration=total("duration", main + 1, last),
        start_time=float(columns["start_time"][first]),
        end_time=float(columns["start_time"][last] + columns["duration"][last]),
        start_voltage=float(start),
        rest_before=total("duration", before, first - 1),
        rest_after=total("duration", last + 1, after),
        rest_voltage=float(columns["end_voltage"][after]) if after > last else float("nan"),
        from_rest=before < first or _begins_at_rest(columns, first),
    )
