"""Check-ups and their tests, recognised among the discharges and charges of a test.

A test is one discharge or charge with the hold that ends it. In regular cycling most discharges
have the same current; a check-up is what lies between: other currents, pulses, longer rests. Where
there is no regular cycling, all of a file is one check-up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, get_args

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from cellmodels.record.cycles.runs import Run, find_runs, largest_half_cycle

__all__ = [
    "TEST_KINDS",
    "FoundCheckup",
    "FoundTest",
    "Recognition",
    "TestKind",
    "cycle_numbers",
    "depths",
    "recognise",
]

#: What a test may be.
TestKind = Literal[
    "slow discharge",
    "slow charge",
    "discharge",
    "charge",
    "discharge pulse",
    "charge pulse",
    "GITT discharge",
    "GITT charge",
    "partial discharge",
    "partial charge",
]
TEST_KINDS: tuple[str, ...] = get_args(TestKind)

_SLOW = 1.1 / 8  # C-rate up to which a voltage is a pseudo-open-circuit voltage
_WHOLE = 0.3  # of the capacity: more, up to the end of the voltage's range, is a capacity test
_TOP = 0.1  # of the capacity, below which a discharge begins full
_END = 0.1  # of the range of voltage, in which it ends
_PULSE_SECONDS, _PULSE_SHARE = 200.0, 0.1
_PART = 0.25  # largest share of the capacity in a step of a GITT
_REPEATS = 4
_EQUAL = 0.1  # relative difference of charges that are repeats
_CYCLE_SHARE = 0.25  # of the capacity: a discharge that may belong to a regular cycle
_SHALLOW_SHARE, _SHALLOW_CYCLES = 0.05, 50  # or less, where there are so many
_LEVEL = 0.05  # relative difference of currents that are one protocol
_MOST, _LONG = 5, 10  # cycles that are regular: of most discharges, or one after another
_LONGER_REST = 900.0  # s by which the rest before a capacity test is longer
_HALF = 0.5
_MORE = 1.1  # of the capacity: more in one direction is more than one cycle


@dataclass(frozen=True)
class FoundTest:
    """One test.

    Parameters
    ----------
    name : str
        Part of the names of what it measures.
    kind : str
        One of :data:`TEST_KINDS`.
    first, last : int
        Its segments.
    """

    name: str
    kind: str
    first: int
    last: int


@dataclass(frozen=True)
class FoundCheckup:
    """Tests done together.

    Parameters
    ----------
    after_cycle : int
        How many cycles lie before it.
    tests : tuple of FoundTest
        In order of time.
    """

    after_cycle: int
    tests: tuple[FoundTest, ...]


@dataclass(frozen=True)
class Recognition:
    """What was recognised.

    Parameters
    ----------
    capacity : float
        To which C-rates and depths refer [A.h]; NaN where it is not known.
    checkups : tuple of FoundCheckup
        In order of time.
    """

    capacity: float
    checkups: tuple[FoundCheckup, ...]


def recognise(segments: xr.Dataset, nominal_capacity: float | None = None) -> Recognition:
    """Recognise check-ups and their tests.

    Parameters
    ----------
    segments : xarray.Dataset
        From :func:`cellmodels.record.cycles.segments.segment`.
    nominal_capacity : float, optional
        To which C-rates and depths refer [A.h]; by default the largest half-cycle.

    Returns
    -------
    Recognition
        Tests by kind:

        - a discharge of at least 30 % of the capacity that begins within a tenth of it from full,
          or a charge of as much, which reaches the last tenth of the range of voltage, is "slow" up
          to C/8 (within 10 %), else a "discharge" or "charge";
        - a "pulse" lasts up to 200 s, is at most 10 % of the capacity, and follows a rest or
          another pulse;
        - four or more parts of at most 25 %, equal within 10 %, each followed by a rest, without
          pulses between them, are "GITT";
        - what else there is, such as the discharges between pulses, is "partial".

        A cycle is regular where its discharge has the current (within 5 %) of at least half of all
        discharges, and of five, or of ten one after another; these have at least 25 % of the
        capacity, or 5 % where they are fifty. It is none, but a capacity test, where the rest
        before it is a quarter of an hour longer than twice the usual one and no regular cycle
        follows. Single regular cycles
        between tests belong to the check-up, and a cycle that was cut short, between others of its
        current, is no test. Without a known capacity there are neither cycles nor capacity tests,
        and pulses and GITT are told by their times alone.
    """
    runs = find_runs(segments)
    capacity = nominal_capacity or largest_half_cycle(segments)
    if not runs:
        return Recognition(float(capacity), ())
    regular = _regular(runs, capacity)
    low = min((run.end_voltage for run in runs if run.discharges), default=-np.inf)
    high = max((run.end_voltage for run in runs if not run.discharges), default=np.inf)
    if not np.isfinite(low):
        low = min(run.start_voltage for run in runs)
    if not np.isfinite(high):
        high = max(run.start_voltage for run in runs)
    found = []
    for after, chosen in _stretches(runs, regular):
        own = [runs[k] for k in chosen]
        kinds = _kinds(own, capacity, low, high)
        tests = _named(own, kinds, depths(own, kinds), capacity)
        found.append(FoundCheckup(after, tests))
    return Recognition(float(capacity), tuple(found))


def cycle_numbers(segments: xr.Dataset, recognition: Recognition) -> NDArray[np.int64]:
    """Cycle of each segment outside the check-ups.

    Parameters
    ----------
    segments : xarray.Dataset
        From :func:`cellmodels.record.cycles.segments.segment`.
    recognition : Recognition
        What was recognised.

    Returns
    -------
    ndarray of int, shape (segments,)
        From 1, and after a check-up from its ``after_cycle`` on; 0 in check-ups (from their first
        test to their last) and before the first cycle. Between check-ups a cycle begins with a
        charge where the first run is one and the last a discharge, and else with a discharge, so
        that a charge after a check-up is no cycle. Rests belong to the run before them. Without
        regular cycling there are none, and none beyond the ``after_cycle`` of the next check-up.
    """
    inside = np.zeros(segments.sizes["segment"], dtype=np.int64)  # number of the check-up, from 1
    for k, checkup in enumerate(recognition.checkups, start=1):
        first = min(test.first for test in checkup.tests)
        inside[first : max(test.last for test in checkup.tests) + 1] = k
    reached = np.maximum.accumulate(inside)
    numbers = np.zeros(len(inside), dtype=np.int64)
    runs = find_runs(segments)
    if not any(_regular(runs, recognition.capacity)):
        return numbers
    outside = [run for run in runs if not inside[run.first]]
    after = [0, *(checkup.after_cycle for checkup in recognition.checkups)]
    for k, number in enumerate(after):
        own = [run for run in outside if reached[run.first] == k]
        most = after[k + 1] - number if k + 1 < len(after) else None
        cycles = _cycles_between(own, recognition.capacity)
        for n, (begin, end) in enumerate(cycles[:most], start=number + 1):
            numbers[begin:end] = n
        if own:  # the rests after the last of them
            rests = np.flatnonzero((reached == k) & (inside == 0))
            numbers[rests[rests > own[-1].last]] = numbers[own[-1].last]
    return numbers


def _cycles_between(runs: Sequence[Run], capacity: float) -> list[tuple[int, int]]:
    """First segment of each cycle, and the one after its last.

    One that goes on in its first direction for more than the capacity is several, whose other
    halves are not in the data.
    """
    if not runs:
        return []
    with_discharge = runs[0].discharges or not runs[-1].discharges
    begins: list[int] = []
    passed = np.inf
    for run in runs:
        if run.discharges != with_discharge:
            passed = np.inf
            continue
        if passed + abs(run.charge) > _MORE * capacity:
            begins.append(run.first)
            passed = 0.0
        passed += abs(run.charge)
    return list(pairwise([*begins, runs[-1].last + 1]))


# --- regular cycles ----------------------------------------------------------------------------


def _regular(runs: Sequence[Run], capacity: float) -> list[bool]:
    """Whether each run belongs to regular cycling."""
    regular = [False] * len(runs)
    for share, fewest in ((_CYCLE_SHARE, _MOST), (_SHALLOW_SHARE, _SHALLOW_CYCLES)):
        places = [k for k, run in enumerate(runs) if run.charge >= share * capacity]
        chosen = _repeated([runs[k] for k in places], fewest)
        if not any(chosen):
            continue
        usual = float(
            np.median([runs[k].rest_before for k, c in zip(places, chosen, strict=True) if c])
        )
        rested = [runs[k].rest_before > 2 * usual + _LONGER_REST for k in places]
        follows = [c and not r for c, r in zip(chosen, rested, strict=True)]
        for n, k in enumerate(places):
            # the first cycle after a check-up or a pause has rested, too
            regular[k] = follows[n] or (chosen[n] and _at(follows, n + 1))
        return _with_cut_short(runs, _with_charges(runs, regular))
    return regular


def _repeated(runs: Sequence[Run], fewest: int) -> list[bool]:
    """Whether each discharge has a current that is repeated often."""
    if len(runs) < fewest:
        return [False] * len(runs)
    current = np.array([run.current for run in runs])
    ordered = np.sort(current)
    count = np.searchsorted(ordered, (1 + _LEVEL) * current, side="right")
    count -= np.searchsorted(ordered, (1 - _LEVEL) * current)  # those like each
    often = (count >= fewest) & (2 * count >= len(runs))
    level = np.concatenate([[0], np.cumsum(np.abs(np.diff(current)) > _LEVEL * current[:-1])])
    often |= np.bincount(level)[level] >= _LONG
    return [bool(one) for one in often]


def _with_cut_short(runs: Sequence[Run], regular: Sequence[bool]) -> list[bool]:
    """Add runs between regular ones with a current of these: cycles that were cut short."""
    out = list(regular)
    for k, run in enumerate(runs):
        beside = [regular[i] for i in (k - 2, k - 1, k + 1, k + 2) if 0 <= i < len(runs)]
        if regular[k] or not all(beside) or run.duration <= _PULSE_SECONDS:
            continue
        near = [runs[i] for i in range(max(k - 4, 0), min(k + 5, len(runs))) if regular[i]]
        out[k] = any(abs(one.current - run.current) <= _LEVEL * abs(run.current) for one in near)
    return out


def _with_charges(runs: Sequence[Run], regular: list[bool]) -> list[bool]:
    """Add the charges that have the usual current and follow or lead to regular discharges."""
    beside = [
        k
        for k, run in enumerate(runs)
        if not run.discharges and (_at(regular, k - 1) or _at(regular, k + 1))
    ]
    if not beside:
        return regular
    currents = np.array([runs[k].current for k in beside])
    out = list(regular)
    for k, current in zip(beside, currents, strict=True):
        like = np.abs(currents - current) <= _LEVEL * abs(current)
        out[k] = bool(2 * like.sum() >= min(len(beside), 2 * _MOST))
    return out


def _at(values: Sequence[bool], k: int) -> bool:
    return 0 <= k < len(values) and values[k]


def _stretches(runs: Sequence[Run], regular: Sequence[bool]) -> list[tuple[int, list[int]]]:
    """Runs of each check-up, and how many regular discharges lie before it."""
    if not any(regular):
        return [(0, list(range(len(runs))))]
    odd = [k for k, one in enumerate(regular) if not one]
    stretches: list[list[int]] = []
    for k in odd:
        if stretches and _cycles(runs, stretches[-1][-1], k) <= 1:
            stretches[-1] += range(stretches[-1][-1] + 1, k + 1)
        else:
            stretches.append([k])
    inside = {k for stretch in stretches for k in stretch}
    counted = np.cumsum([run.discharges and k not in inside for k, run in enumerate(runs)])
    found = []
    for stretch in stretches:
        if any(runs[k].discharges for k in stretch if not regular[k]) or stretch[0] == 0:
            found.append((int(counted[stretch[0]]), stretch))
    return found


def _cycles(runs: Sequence[Run], before: int, after: int) -> int:
    """How many discharges lie between two runs."""
    return sum(run.discharges for run in runs[before + 1 : after])


# --- what each test is -------------------------------------------------------------------------


def _kinds(runs: Sequence[Run], capacity: float, low: float, high: float) -> list[str]:
    kinds = [""] * len(runs)
    for k, run in enumerate(runs):
        word = "discharge" if run.discharges else "charge"
        share = abs(run.charge) / capacity  # NaN where the capacity is not known
        beyond = run.end_voltage - low if run.discharges else high - run.end_voltage
        if share >= _WHOLE and beyond <= _END * (high - low):
            slow = abs(run.current) <= _SLOW * capacity
            kinds[k] = f"slow {word}" if slow else word
        elif _is_pulse(run, share, kinds[k - 1] if k else ""):
            kinds[k] = f"{word} pulse"
        else:
            kinds[k] = f"partial {word}"
    kinds = _from_full(kinds, depths(runs, kinds), capacity)
    return _with_gitt(runs, kinds, capacity)


def _from_full(kinds: Sequence[str], at: Sequence[float], capacity: float) -> list[str]:
    """The kinds, with discharges that do not begin full as partial ones."""
    return [
        "partial discharge"
        if kind in ("slow discharge", "discharge") and depth > _TOP * capacity
        else kind
        for kind, depth in zip(kinds, at, strict=True)
    ]


def _is_pulse(run: Run, share: float, before: str) -> bool:
    short = run.duration <= _PULSE_SECONDS and not share > _PULSE_SHARE
    return short and (run.from_rest or before.endswith("pulse"))


def _with_gitt(runs: Sequence[Run], kinds: list[str], capacity: float) -> list[str]:
    """Call the equal parts GITT, where each is followed by a rest and no pulses lie between."""
    out = list(kinds)
    for word in ("discharge", "charge"):
        parts = [
            k
            for k, run in enumerate(runs)
            if kinds[k].endswith((word, f"{word} pulse"))
            and kinds[k] in (f"partial {word}", f"{word} pulse")
            and not abs(run.charge) > _PART * capacity
            and run.rest_after >= max(_HALF * run.duration, 1.0)
            and run.duration > 60.0
        ]
        if len(parts) < _REPEATS:
            continue
        charges = np.abs([runs[k].charge for k in parts])
        equal = [
            k
            for k, q in zip(parts, charges, strict=True)
            if abs(q - np.median(charges)) <= _EQUAL * np.median(charges)
        ]
        pulses = sum(kinds[k].endswith("pulse") for k in range(equal[0], equal[-1])) if equal else 0
        pulses -= sum(kinds[k].endswith("pulse") for k in equal)
        if len(equal) >= _REPEATS and 2 * pulses < len(equal):
            for k in equal:
                out[k] = f"GITT {word}"
    return out


# --- names -------------------------------------------------------------------------------------


def _named(
    runs: Sequence[Run], kinds: Sequence[str], at: Sequence[float], capacity: float
) -> tuple[FoundTest, ...]:
    names = [
        _name(run, kind, depth, capacity) for run, kind, depth in zip(runs, kinds, at, strict=True)
    ]
    for kind, name in (("discharge pulse", "pulse"), ("charge pulse", "charge_pulse")):
        pulses = [k for k, own in enumerate(kinds) if own == kind]
        if pulses:
            middle = _HALF * (max(at) if np.isnan(capacity) else capacity)
            nearest = min(pulses, key=lambda k: abs(at[k] - middle))
            names[nearest] = name
    return tuple(
        FoundTest(name, kind, run.first, run.last)
        for name, kind, run in zip(_unique(names), kinds, runs, strict=True)
    )


def depths(runs: Sequence[Run], kinds: Sequence[str]) -> list[float]:
    """Charge discharged since the cell was full, at the start of each run of a check-up.

    Parameters
    ----------
    runs : sequence of Run
        All runs from the first to the last of a check-up.
    kinds : sequence of str
        What each is.

    Returns
    -------
    list of float
        [A.h]. Full is the end of the last "charge" or "slow charge" before it; before the first of
        these, the fullest state up to that.
    """
    total = np.concatenate([[0.0], np.cumsum([run.charge for run in runs])])
    fulls = [k + 1 for k, kind in enumerate(kinds) if kind in ("slow charge", "charge")]
    first = min(fulls, default=len(runs))
    out = []
    for k in range(len(runs)):
        before = [full for full in fulls if full <= k]
        full = total[before[-1]] if before else total[: first + 1].min()
        out.append(float(total[k] - full))
    return out


def _name(run: Run, kind: str, depth: float, capacity: float) -> str:
    if kind in ("slow discharge", "discharge", "slow charge", "charge"):
        rate = rate_name(abs(run.current) / capacity)
        return rate if run.discharges else f"{rate}_charge"
    prefix = kind.lower().replace(" ", "_")
    place = f"{depth:.3g}Ah".replace(".", "_").replace("-", "_")
    if not np.isnan(capacity):
        place = f"d{round(100 * depth / capacity)}"
    if kind.endswith("pulse"):
        return place if run.discharges else f"charge_{place}"
    return f"{prefix}_{place}"


def rate_name(rate: float) -> str:
    """Name of a test by its C-rate.

    Parameters
    ----------
    rate : float
        Current over capacity [h-1].

    Returns
    -------
    str
        Such as "C20", "1C" or "1_5C", rounded.
    """
    if rate >= 0.75:
        rounded = round(2 * rate) / 2
        return f"{rounded:g}C".replace(".", "_")
    hours = 1 / rate
    usual = (2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50, 100)
    nearest = min(usual, key=lambda h: abs(np.log(hours / h)))
    return f"C{nearest if abs(hours / nearest - 1) < 0.1 else round(hours)}"


def _unique(names: Sequence[str]) -> list[str]:
    taken: dict[str, None] = {}
    counts: dict[str, int] = {}
    for name in names:
        new = name
        while new in taken:
            counts[name] = counts.get(name, 1) + 1
            new = f"{name}_{counts[name]}"
        taken[new] = None
    return list(taken)
