"""What the tests of check-ups measured, and how: one row a test, and one row a check-up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from cellmodels.record.cycles.curves import pseudo_ocv
from cellmodels.record.cycles.pulses import TIMES, PulseResistance, pulse_resistances
from cellmodels.record.cycles.recognition import FoundCheckup, FoundTest, Recognition, depths
from cellmodels.record.cycles.runs import Run, find_runs
from cellmodels.record.schema import TEST_TEXTS, TEST_VARIABLES

__all__ = ["checkup_rows", "run_curve", "test_curve", "test_rows"]

_FULL_KINDS = ("slow charge", "charge")
_CAPACITY_KINDS = ("slow discharge", "discharge")
_SLOW_KINDS = ("slow discharge", "slow charge")

_LONGER = 1.25  # times: slow tests whose mean is a pseudo-OCV are alike
_COUNTER = 0.05  # of the charge: by more, the instrument's counter differs
_DIGITS = 2.0  # of the counter: what it may be wrong by
_NEAR_ROWS = 1000  # before and after a test, which tell what its counter resolves
_MOST = 0.8  # of the largest discharge: less is no whole charge

#: Name of the curve between a slow discharge and a slow charge.
MEAN_CURVE = "pocv"

Array = NDArray[np.float64]


@dataclass(frozen=True)
class _Place:
    """Where a test is: its check-up's number and its runs."""

    checkup: int
    after_cycle: int
    test: FoundTest
    runs: tuple[Run, ...]


def test_rows(traces: xr.Dataset, segments: xr.Dataset, recognition: Recognition) -> xr.Dataset:
    """One row for each test found: what it measured, and how.

    Parameters
    ----------
    traces : xarray.Dataset
        The group /traces of a record.
    segments : xarray.Dataset
        From :func:`cellmodels.record.cycles.segments.segment`.
    recognition : Recognition
        What was recognised.

    Returns
    -------
    xarray.Dataset
        The group /tests of a record (:mod:`cellmodels.record.schema`), dimension ``test``.
    """
    rows = []
    at = [depth for checkup in recognition.checkups for depth in _depths(segments, checkup)]
    for place, depth in zip(_places(segments, recognition), at, strict=True):
        rows.append(_row(traces, segments, place, recognition.capacity, depth))
    columns: dict[str, Any] = {}
    for name, known in TEST_VARIABLES.items():
        values = [row[name] for row in rows]
        attrs = {"units": known.unit, "long_name": known.long_name}
        columns[name] = ("test", np.array(values, dtype=int if name in _COUNTS else float), attrs)
    for name in TEST_TEXTS:
        columns[name] = ("test", np.array([row[name] for row in rows], dtype=str))
    return xr.Dataset(columns, attrs={"capacity_of_rates": recognition.capacity})


_COUNTS = ("checkup", "cycle", "first_segment", "last_segment", "first", "last")


def checkup_rows(
    traces: xr.Dataset,
    segments: xr.Dataset,
    recognition: Recognition,
    tests: xr.Dataset,
    voltages_at: Sequence[float],
) -> dict[str, Array]:
    """One row for each check-up, by the names of the schema.

    Parameters
    ----------
    traces, segments, recognition
        As in :func:`test_rows`.
    tests : xarray.Dataset
        From :func:`test_rows`.
    voltages_at : sequence of float
        Charges of the voltages, as shares of the capacity to which rates refer.

    Returns
    -------
    dict of str to ndarray
        ``capacity_<test>`` of whole discharges (without a hold) and of charges (with it) that
        give at least 80 % of the check-up's largest discharge, ``energy_<test>`` of both (not of
        discharges that end in a hold),
        ``voltage_<test>`` of slow ones over the discharged charge (of a charge: what is missing to
        its end), ``voltage_pocv`` between a slow discharge and a slow charge,
        ``resistance_<time>`` of the test named "pulse" and ``resistance_<time>_<test>`` of other
        pulses, ``end_voltage_<test>`` of pulses, and ``discharged_<test>`` of partial discharges;
        with ``cycle``, ``elapsed_time`` and ``throughput``.
    """
    count = len(recognition.checkups)
    first = [min(t.first for t in c.tests) for c in recognition.checkups]
    passed = np.concatenate([[0.0], np.cumsum(np.maximum(segments["charge"].values, 0.0))])
    start = float(traces["time"].values[0])
    columns: dict[str, Array] = {
        "cycle": np.array([c.after_cycle for c in recognition.checkups]),
        "elapsed_time": segments["start_time"].values[first] - start,
        "throughput": passed[first],
    }
    charges = np.asarray(voltages_at, dtype=float) * recognition.capacity

    def put(name: str, checkup: int, value: Any) -> None:
        shape = (count,) if np.ndim(value) == 0 else (count, len(value))
        columns.setdefault(name, np.full(shape, np.nan))[checkup] = value

    whole = [_whole(tests, k, recognition.capacity) for k in range(count)]
    for row, place in enumerate(_places(segments, recognition)):
        one = tests.isel(test=row)
        for name, value in _scalars(one, whole[place.checkup]).items():
            if np.isfinite(value):
                put(name, place.checkup, value)
        if place.test.kind in _SLOW_KINDS and charges.size and np.isfinite(charges).all():
            q, v = test_curve(traces, segments, place.test)
            q = q if q[-1] > q[0] else q - q[-1]
            put(f"voltage_{place.test.name}", place.checkup, _at(charges, q, v))
            columns[f"charge_{place.test.name}"] = charges
    for k, checkup in enumerate(recognition.checkups):
        mean = mean_curve(traces, segments, checkup)
        if mean is not None and charges.size and np.isfinite(charges).all():
            values = _at(charges, mean["charge"].values, mean["voltage"].values)
            put(f"voltage_{MEAN_CURVE}", k, values)
            columns[f"charge_{MEAN_CURVE}"] = charges
    return columns


def mean_curve(
    traces: xr.Dataset, segments: xr.Dataset, checkup: FoundCheckup
) -> xr.Dataset | None:
    """Pseudo-open-circuit voltage of a check-up, between its slow discharge and charge.

    Parameters
    ----------
    traces, segments : xarray.Dataset
        As in :func:`test_rows`.
    checkup : FoundCheckup
        Which.

    Returns
    -------
    xarray.Dataset or None
        From :func:`cellmodels.record.cycles.curves.pseudo_ocv`, over the charge discharged since
        the discharge began; of the first slow discharge with a slow charge right before or after
        it. None where there are none, one is more than a quarter longer than the other, or they
        have no charge in common.
    """
    tests = sorted(checkup.tests, key=lambda test: test.first)
    total = np.concatenate([[0.0], np.cumsum(segments["charge"].values)])
    for one, other in pairwise(tests):
        if {one.kind, other.kind} != set(_SLOW_KINDS):
            continue
        down, up = (one, other) if one.kind == "slow discharge" else (other, one)
        begin = total[find_runs(segments, down.first, down.last)[0].first]
        q, v = test_curve(traces, segments, down)
        back = find_runs(segments, up.first, up.last)[0]
        q_up, v_up = test_curve(traces, segments, up)
        q_up = q_up + total[back.first] - begin
        if max(np.ptp(q), np.ptp(q_up)) > _LONGER * min(np.ptp(q), np.ptp(q_up)):
            continue
        if min(q.max(), q_up.max()) > max(q.min(), q_up.min()):
            return pseudo_ocv((q, v), (q_up, v_up))
    return None


def test_curve(traces: xr.Dataset, segments: xr.Dataset, test: FoundTest) -> tuple[Array, Array]:
    """Charge and voltage of a test, without its hold.

    Parameters
    ----------
    traces, segments : xarray.Dataset
        As in :func:`test_rows`.
    test : FoundTest
        Which; of several discharges and charges in it, the longest counts.

    Returns
    -------
    charge, voltage : ndarray
        Charge discharged since its beginning [A.h], which falls in a charge, and voltage [V].
    """
    runs = find_runs(segments, test.first, test.last)
    return run_curve(traces, segments, max(runs, key=lambda run: abs(run.charge)))


def run_curve(traces: xr.Dataset, segments: xr.Dataset, run: Run) -> tuple[Array, Array]:
    """Charge and voltage of a discharge or charge, without its hold; see :func:`test_curve`."""
    rows = slice(int(segments["first"][run.first]), int(segments["last"][run.main]) + 1)
    time, current = (traces[name].values[rows].astype(float) for name in ("time", "current"))
    begin = (time[0] - run.start_time) * current[0]  # before the first row
    steps = np.diff(time) * (current[1:] + current[:-1]) / 2
    charge = (begin + np.concatenate([[0.0], np.cumsum(steps)])) / 3600
    return charge, traces["voltage"].values[rows].astype(float)


# --- rows --------------------------------------------------------------------------------------


def _places(segments: xr.Dataset, recognition: Recognition) -> list[_Place]:
    return [
        _Place(k, checkup.after_cycle, test, tuple(find_runs(segments, test.first, test.last)))
        for k, checkup in enumerate(recognition.checkups)
        for test in checkup.tests
    ]


def _row(
    traces: xr.Dataset, segments: xr.Dataset, place: _Place, capacity: float, depth: float
) -> dict[str, Any]:
    """One row of /tests."""
    runs, begin, end = place.runs, place.runs[0], place.runs[-1]
    longest = max(runs, key=lambda run: abs(run.charge))
    inside = segments.isel(segment=slice(begin.first, end.last + 1))
    resistances, relaxations = _resistances(traces, segments, longest)
    charge = sum(run.charge for run in runs)
    counted = _counted(traces, int(inside["first"][0]), int(inside["last"][-1]), charge)
    return {
        "name": place.test.name,
        "kind": place.test.kind,
        "remarks": _remarks(place, inside, resistances, charge, counted),
        "checkup": place.checkup,
        "cycle": place.after_cycle,
        "first_segment": begin.first,
        "last_segment": end.last,
        "first": int(inside["first"][0]),
        "last": int(inside["last"][-1]),
        "start_time": begin.start_time,
        "duration": sum(run.duration for run in runs),
        "current": longest.current,
        "c_rate": abs(longest.current) / capacity,
        "temperature": _weighted(inside["temperature"].values, inside["duration"].values),
        "temperature_rise": _rise(traces, inside),
        "rest_before": begin.rest_before,
        "rest_after": end.rest_after,
        "start_voltage": begin.start_voltage,
        "end_voltage": end.end_voltage,
        "rest_voltage": end.rest_voltage,
        "charge": charge,
        "counter_charge": counted[0],
        "energy": sum(run.energy for run in runs),
        "cv_charge": sum(run.hold_charge for run in runs),
        "cv_duration": sum(run.hold_duration for run in runs),
        "depth": depth,
        **{f"resistance_{one.at:g}s": one.value for one in resistances},
        **{f"relaxation_{one.at:g}s": one.value for one in relaxations},
    }


def _resistances(
    traces: xr.Dataset, segments: xr.Dataset, run: Run
) -> tuple[list[PulseResistance], list[PulseResistance]]:
    """Resistances of a discharge or charge, and of the rest after it."""
    columns = [traces[name].values for name in ("time", "voltage", "current")]
    first, last = int(segments["first"][run.first]), int(segments["last"][run.main])
    if run.from_rest and first == 0:
        first = 1  # its first row is the one before it
    onset = _step(columns, first, last)
    after = run.last + 1
    if run.rest_after > 0 and run.hold_duration == 0 and after < segments.sizes["segment"]:
        first, last = int(segments["first"][after]), int(segments["last"][after])
        return onset, _step(columns, first, last)
    return onset, [PulseResistance(at, float("nan"), "no rest follows") for at in TIMES]


def _step(columns: Sequence[Any], first: int, last: int) -> list[PulseResistance]:
    """Resistances of a step, from the rows that they need."""
    begin = max(first - 1, 0)
    stop = min(last, int(np.searchsorted(columns[0], columns[0][first] + 2 * TIMES[-1]) + 2))
    rows = [np.asarray(c[begin : stop + 1], dtype=float) for c in columns]
    return pulse_resistances(rows[0], rows[1], rows[2], first - begin, stop - begin)


def _counted(traces: xr.Dataset, first: int, last: int, charge: float) -> tuple[float, float]:
    """Charge of some rows by the instrument's counters, and what these resolve [A.h].

    Positive on discharge, NaN without counters. A counter that begins anew counts from nought.
    """
    ways = [name for name in ("discharge_capacity", "charge_capacity") if name in traces]
    if len(ways) < 2:
        own = ("discharge_capacity" if charge > 0 else "charge_capacity", "step_capacity")
        ways = [name for name in own if name in traces][:1]
    passed, digits = [], [0.0]
    for name in ways:
        near = slice(max(first - 1 - _NEAR_ROWS, 0), last + 1 + _NEAR_ROWS)
        steps = np.abs(np.diff(traces[name].values[near].astype(float)))
        digits.append(float(np.min(steps[steps > 0], initial=np.inf)))
        values = np.abs(traces[name].values[max(first - 1, 0) : last + 1].astype(float))
        anew = values[1:] < values[:-1] / 2
        passed.append(float(np.sum(np.where(anew, values[1:], np.diff(values)))))
    if len(passed) == 2:
        return passed[0] - passed[1], max(digit for digit in digits if np.isfinite(digit))
    return float(np.sign(charge)) * passed[0] if passed else float("nan"), digits[-1]


def _remarks(
    place: _Place,
    inside: xr.Dataset,
    resistances: Sequence[PulseResistance],
    charge: float,
    counted: tuple[float, float],
) -> str:
    """What a reader must know of the numbers."""
    remarks = []
    if len(place.runs) > 1:
        remarks.append(f"{len(place.runs)} discharges and charges together")
    if "pulse" in place.test.kind or "GITT" in place.test.kind:
        reasons: dict[str, list[str]] = {}
        for one in resistances:
            reasons.setdefault(one.reason, []).append(f"{one.at:g}")
        remarks += [
            f"no resistance at {', '.join(t)} s: {why}" for why, t in reasons.items() if why
        ]
    gap = float(np.nansum(inside["gap"].values)) if "gap" in inside else 0.0
    if gap > 0:
        remarks.append(f"{gap:.0f} s without samples")
    other, digit = counted
    limit = max(_COUNTER * max(abs(other), abs(charge)), _DIGITS * digit)
    if abs(other - charge) > limit:
        remarks.append(
            f"the instrument's counter differs by over {100 * _COUNTER:.0f} % (see counter_charge)"
        )
    return "; ".join(remarks)


def _depths(segments: xr.Dataset, checkup: FoundCheckup) -> list[float]:
    """Charge discharged at the beginning of each test, since the cell was full [A.h]."""
    first = min(test.first for test in checkup.tests)
    runs = find_runs(segments, first, max(test.last for test in checkup.tests))
    kinds = [
        next((test.kind for test in checkup.tests if test.first <= run.first <= test.last), "")
        for run in runs
    ]
    at = dict(zip((run.first for run in runs), depths(runs, kinds), strict=True))
    return [at[find_runs(segments, test.first, test.last)[0].first] for test in checkup.tests]


def _weighted(values: Array, weights: Array) -> float:
    known = np.isfinite(values)
    if not known.any() or not weights[known].sum() > 0:
        return float("nan")
    return float(np.average(values[known], weights=weights[known]))


def _rise(traces: xr.Dataset, inside: xr.Dataset) -> float:
    """Temperature at the end less that at the beginning [K]."""
    if "temperature" not in traces:
        return float("nan")
    rows = traces["temperature"].values
    return float(rows[int(inside["last"][-1])] - rows[int(inside["first"][0])])


# --- variables of /checkups --------------------------------------------------------------------


def _whole(tests: xr.Dataset, checkup: int, capacity: float) -> float:
    """Charge of a charge that began empty: most of what the check-up's discharges gave [A.h]."""
    kinds = tests["kind"].values
    own = (tests["checkup"].values == checkup) & np.isin(kinds, ("slow discharge", "discharge"))
    given = tests["charge"].values[own]
    return _MOST * float(given.max() if given.size else capacity)


def _scalars(test: xr.Dataset, whole: float) -> dict[str, float]:
    """Variables of a check-up that one test gives."""
    name, kind = str(test["name"].values), str(test["kind"].values)
    charge, held = float(test["charge"]), float(test["cv_charge"])
    energy = float(test["energy"])
    if kind in _FULL_KINDS:
        found = {f"capacity_{name}": -charge, f"energy_{name}": -energy}
        return found if -charge >= whole else {}
    if kind in _CAPACITY_KINDS:
        # the energy of the discharge alone is not known where a hold follows it
        alone = {f"energy_{name}": energy} if held == 0 else {}
        return {f"capacity_{name}": charge - held} | alone
    if kind.endswith("pulse"):
        ending = "" if name == "pulse" else f"_{name}"
        found = {f"resistance_{t:g}s{ending}": float(test[f"resistance_{t:g}s"]) for t in TIMES}
        return found | {f"end_voltage_{name}": float(test["end_voltage"])}
    if kind == "partial discharge":
        return {f"discharged_{name}": charge}
    return {}


def _at(charges: Array, q: Array, v: Array) -> Array:
    """Voltages at charges; NaN beyond the curve."""
    order = np.argsort(q, kind="stable")
    return np.interp(charges, q[order], v[order], left=np.nan, right=np.nan)
