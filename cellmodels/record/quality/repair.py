"""Cures for faults of traces, on request: each from a dataset to a dataset, and said in words.

Nothing is interpolated. A row that cannot be used is left out, and a gap stays a gap: its row is
flagged (``time_flag`` is 1 where the interval before a row is not known).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from itertools import pairwise

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from cellmodels.errors import InputError, did_you_mean
from cellmodels.record.files.clocks import UNITS
from cellmodels.record.quality.trace_channels import (
    disconnected,
    outside,
    spikes,
    stuck_voltages,
    temperature_shift,
    voltage_steps_up,
)
from cellmodels.record.quality.trace_counters import counted, counter_resets, wrong_unit
from cellmodels.record.quality.trace_quality import faults
from cellmodels.record.quality.trace_times import copies, gaps, repeats
from cellmodels.record.quality.trace_view import Found, View, behind
from cellmodels.record.schema import COUNTERS, TRACE_VARIABLES

__all__ = ["REPAIRS", "repair_trace", "wanted_repairs"]

_NEEDED = ("time", "voltage", "current")
_MILLI = 1e-3


def repair_trace(dataset: xr.Dataset, kinds: Collection[str]) -> tuple[xr.Dataset, list[Found]]:
    """Cure the faults of a trace.

    Parameters
    ----------
    dataset : xarray.Dataset
        /traces of a record, in the schema's form; its numbers may be impossible.
    kinds : collection of str
        Which, of :data:`REPAIRS`.

    Returns
    -------
    dataset : xarray.Dataset
        A new one.
    cured : list of Found
        What was found and cured, at the samples that it then had.
    """
    cured: list[Found] = []
    for kind, cure in REPAIRS.items():
        found = [one for one in faults(dataset, kind) if one.repair] if kind in kinds else []
        if found:
            row = dataset["row"].values if "row" in dataset.coords else None
            cured += [one if row is None else _at(one, row) for one in found]
            dataset = cure(dataset)
    return dataset, cured


def _at(found: Found, row: NDArray[np.int64]) -> Found:
    return found._replace(samples=row[found.samples])


def wanted_repairs(repair: str | Collection[str]) -> frozenset[str]:
    """Check names of repairs.

    Parameters
    ----------
    repair : str or collection of str
        A name of :data:`REPAIRS`, several, or ``"all"``.

    Returns
    -------
    frozenset of str

    Raises
    ------
    InputError
        If there is no such repair.
    """
    names = {repair} if isinstance(repair, str) else set(repair)
    if "all" in names:
        return frozenset(REPAIRS)
    for name in names:
        if name not in REPAIRS:
            raise InputError(f"repair: there is no '{name}'.{did_you_mean(str(name), REPAIRS)}")
    return frozenset(names)


# --- rows --------------------------------------------------------------------------------------


def _rows(dataset: xr.Dataset, keep: NDArray[np.bool_] | NDArray[np.intp]) -> xr.Dataset:
    return dataset.isel(sample=np.flatnonzero(keep) if keep.dtype == bool else keep)


def _replaced(dataset: xr.Dataset, name: str, values: NDArray[np.generic]) -> xr.Dataset:
    """The same with other numbers of a variable."""
    return dataset.assign({name: ("sample", values, dataset[name].attrs)})


def _without(dataset: xr.Dataset, bad: NDArray[np.intp]) -> xr.Dataset:
    keep = np.ones(dataset.sizes["sample"], dtype=bool)
    keep[bad] = False
    return _rows(dataset, keep)


def without_missing(dataset: xr.Dataset) -> xr.Dataset:
    """Rows without a time, a voltage or a current are left out."""
    keep = np.ones(dataset.sizes["sample"], dtype=bool)
    for name in _NEEDED:
        keep &= ~np.isnan(dataset[name].values)
    return _rows(dataset, keep)


def without_impossible(dataset: xr.Dataset) -> xr.Dataset:
    """Rows with an impossible voltage or current are left out; other numbers become missing."""
    for name in TRACE_VARIABLES:
        if name in dataset and dataset[name].dtype.kind == "f":
            values = dataset[name].values
            bad = outside(values, name)
            if bad.any():
                dataset = _replaced(dataset, name, np.where(bad, np.nan, values))
    return without_missing(dataset)


def without_repeated(dataset: xr.Dataset) -> xr.Dataset:
    """Rows that were written twice are left out the second time."""
    view = View(dataset)
    dataset = _without(dataset, view.samples(repeats(view)))
    view = View(dataset)
    return _without(dataset, view.samples(copies(view)))


def without_stuck(dataset: xr.Dataset) -> xr.Dataset:
    """Rows with a voltage that stands still are left out; the gap is flagged."""
    view = View(dataset)
    bad = [view.samples(np.arange(a, b)) for a, b in stuck_voltages(view)]
    for one in bad[::-1]:
        dataset = _without(dataset, one)
        if one[0] < dataset.sizes["sample"]:
            dataset = _flagged(dataset, "time_flag", one[:1])
    for name in ("temperature", "ambient_temperature"):
        off = disconnected(dataset, name)
        if off.any():
            values = np.where(off, np.nan, dataset[name].values)
            dataset = _replaced(dataset, name, values)
    return dataset


def without_spikes(dataset: xr.Dataset) -> xr.Dataset:
    """Rows with single voltages far from their neighbours are left out."""
    view = View(dataset)
    return _without(dataset, view.samples(spikes(view)))


def with_flagged_gaps(dataset: xr.Dataset) -> xr.Dataset:
    """The row after each gap is flagged: the charge of the interval before it is not known."""
    view = View(dataset)
    return _flagged(dataset, "time_flag", view.samples(gaps(view) + 1))


def _flagged(dataset: xr.Dataset, name: str, samples: NDArray[np.intp]) -> xr.Dataset:
    known = dataset[name].values if name in dataset else np.zeros(dataset.sizes["sample"])
    flags = known.astype(np.int8)
    flags[samples] = 1
    return dataset.assign({name: ("sample", flags, {"units": "-"})})


def flag_noted(dataset: xr.Dataset, found: Collection[Found]) -> xr.Dataset:
    """Flag the rows of noted findings: gaps in ``time_flag``, spikes in ``voltage_flag``.

    Parameters
    ----------
    dataset : xarray.Dataset
    found : collection of Found
        Of this dataset.

    Returns
    -------
    xarray.Dataset
    """
    for kind, name in (("gap", "time_flag"), ("spike", "voltage_flag")):
        rows = [one.samples for one in found if one.kind == kind]
        if rows:
            dataset = _flagged(dataset, name, np.concatenate(rows))
    return dataset


# --- time --------------------------------------------------------------------------------------


def with_one_clock(dataset: xr.Dataset) -> xr.Dataset:
    """Times that go on: rows out of place are put back, what follows a reset clock is shifted.

    A row is out of place where an earlier hole in the times awaits it. Any other fall of the time
    is a clock that was set: the next row follows after the usual interval, and so on, until the
    file's own times are ahead again.
    """
    dataset = without_missing(dataset)
    time = dataset["time"].values
    if not behind(time).any():
        return dataset
    moved = _out_of_place(time)
    kept = np.flatnonzero(~moved)
    out = time.copy()
    out[kept] = continued(time[kept])
    ordered = _replaced(dataset, "time", out)
    return _rows(ordered, np.argsort(out, kind="stable"))


def _out_of_place(time: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Rows that fit into a hole of the times before them."""
    late = behind(time)
    ahead = time[~late]
    step = np.diff(time)
    usual = float(np.median(step[step > 0])) if (step > 0).any() else 0.0
    out = np.zeros(len(time), dtype=bool)
    for a, b in _stretches(late):
        block = time[a:b]
        if (np.diff(block) < 0).any():
            continue
        place = int(np.searchsorted(ahead, block[0]))
        if not 0 < place < len(ahead) or block[-1] >= ahead[place]:
            continue
        around = np.diff(ahead[max(place - 6, 0) : place + 6])
        local = min(float(np.median(around)), usual) if len(around) > 2 else usual
        hole = ahead[place] - ahead[place - 1]
        out[a:b] = hole >= block[-1] - block[0] + 1.5 * local
    return out


def _stretches(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.r_[False, mask, False].astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def continued(time: NDArray[np.float64]) -> NDArray[np.float64]:
    """Times of a clock that was set, as those of one that was not.

    Parameters
    ----------
    time : ndarray, shape (n,)
        May fall.

    Returns
    -------
    ndarray, shape (n,)
        Never falls. Unchanged up to the first fall, and from where the times of the file are ahead
        again.
    """
    step = np.diff(time)
    usual = float(np.median(step[step > 0])) if (step > 0).any() else 0.0
    late = behind(time)
    ends = np.union1d(np.flatnonzero(step < 0) + 1, [b for _, b in _stretches(late)])
    ends = np.r_[0, ends[ends < len(time)], len(time)].astype(int)
    out, shift, before = time.copy(), 0.0, -np.inf
    for a, b in pairwise(ends.tolist()):
        own = time[a:b]
        if a and not late[a] and own[0] >= before and own[0] - time[a - 1] > 2 * usual:
            shift = 0.0
        elif own[0] + shift < before:
            ahead = b < len(time) and time[b] - time[b - 1] > 2 * usual
            room = time[b] - before - (own[-1] - own[0]) if ahead else -1.0
            shift = before + (min(usual, room / 2) if room >= 0 else usual) - own[0]
        out[a:b] = own + shift
        before = float(out[b - 1])
    return out


# --- units and signs ---------------------------------------------------------------------------


def in_seconds(dataset: xr.Dataset) -> xr.Dataset:
    """Times in the unit that the dates or the instrument's counter say; else milliseconds."""
    unit = dataset.attrs.get("time_unit_by_dates")
    factor = _MILLI if unit is None else UNITS[str(unit)]
    if unit is None:
        by_counter = _by_counter(dataset, "time")
        factor = by_counter or factor
    scaled = _replaced(dataset, "time", dataset["time"].values * factor)
    scaled.attrs = {k: v for k, v in dataset.attrs.items() if k != "time_unit_by_dates"}
    return scaled


def in_amperes(dataset: xr.Dataset) -> xr.Dataset:
    """Currents in the unit that the instrument's counter says."""
    factor = _by_counter(dataset, "current") or _MILLI
    return _replaced(dataset, "current", dataset["current"].values * factor)


def _by_counter(dataset: xr.Dataset, what: str) -> float:
    """What a time or current has to be multiplied by, by a counter; 0 where none says."""
    view = View(dataset)
    for name in (one for one in COUNTERS if one in dataset):
        by_counter, by_current = counted(view, name)
        if not by_counter or not by_current:
            continue
        found = wrong_unit(view, by_current / by_counter, by_counter)
        if found is not None and found[0] == what:
            return 1.0 / found[1]
    return 0.0


def in_volts(dataset: xr.Dataset) -> xr.Dataset:
    """Millivolts as volts."""
    return _replaced(dataset, "voltage", dataset["voltage"].values * _MILLI)


def in_kelvin(dataset: xr.Dataset) -> xr.Dataset:
    """Temperatures whose unit was the other one of K and °C."""
    for name in ("temperature", "ambient_temperature"):
        shift = temperature_shift(dataset, name)
        if shift:
            dataset = _replaced(dataset, name, dataset[name].values + shift)
    return dataset


def with_other_sign(dataset: xr.Dataset) -> xr.Dataset:
    """Currents of the other sign."""
    return _replaced(dataset, "current", 0.0 - dataset["current"].values)


def with_signs(dataset: xr.Dataset) -> xr.Dataset:
    """Currents without sign with the one that the voltage says, stretch by stretch."""
    view = View(dataset)
    current = dataset["current"].values.copy()
    for a, b in view.runs:
        rises = voltage_steps_up(view, a, b)
        if rises is not None:
            places = view.samples(np.arange(a, b))
            current[places] = np.where(rises, -1.0, 1.0) * np.abs(current[places])
    return _replaced(dataset, "current", current)


# --- counters ----------------------------------------------------------------------------------


def with_running_counters(dataset: xr.Dataset) -> xr.Dataset:
    """Counters that run on where they began anew."""
    view = View(dataset)
    for name in (one for one in COUNTERS if one in dataset and one != "step_capacity"):
        values = dataset[name].values
        at = view.samples(counter_resets(view, name))
        if at.size:
            lifted = np.zeros(len(values))
            lifted[at] = values[at - 1]
            dataset = _replaced(dataset, name, values + np.cumsum(lifted))
    return dataset


def with_cycle_numbers(dataset: xr.Dataset) -> xr.Dataset:
    """Cycle numbers that go on; none where they counted rows."""
    numbers = dataset["cycle"].values.astype(float)
    if np.mean(np.diff(numbers) > 0) > 0.9:
        return dataset.drop_vars("cycle")
    at = np.flatnonzero(np.diff(numbers) < 0) + 1
    lifted = np.zeros(len(numbers))
    lifted[at] = numbers[at - 1] - numbers[at] + 1
    out = numbers + np.cumsum(lifted)
    whole = out.astype(np.int64) if np.isfinite(out).all() else out
    return _replaced(dataset, "cycle", whole)


#: Cures by the kind of finding, in the order in which they are done.
REPAIRS: Mapping[str, Callable[[xr.Dataset], xr.Dataset]] = {
    "impossible": without_impossible,
    "missing": without_missing,
    "voltage unit": in_volts,
    "temperature unit": in_kelvin,
    "repeated": without_repeated,
    "clock": with_one_clock,
    "time unit": in_seconds,
    "current unit": in_amperes,
    "cycle": with_cycle_numbers,
    "sign": with_other_sign,
    "unsigned": with_signs,
    "saturated": without_stuck,
    "frozen": without_stuck,
    "spike": without_spikes,
    "counter reset": with_running_counters,
    "gap": with_flagged_gaps,
}
