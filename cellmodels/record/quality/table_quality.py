"""Faults of tables, a row a cycle or a check-up: what tells each of them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from cellmodels.record.checks import outliers
from cellmodels.record.quality.trace_view import NOTED, REFUSED, Found
from cellmodels.record.schema import DIMENSIONS, without_companion

Numbers = NDArray[np.float64]

_SHORT = 0.9  # of the capacity that is expected
_FEWEST = 10
_MISSING = 1.8  # times the usual: at least one row is missing
_MORE_OUT = 1.02  # discharged over charged, in the middle
_MOST_EFFICIENT = 1.1  # more is no noise, but a wrong unit or a cycle that is not whole


def faults(dataset: xr.Dataset, group: str, kind: str = "") -> list[Found]:
    """Look for the faults of a table.

    Parameters
    ----------
    dataset : xarray.Dataset
        /cycles or /checkups of a record.
    group : {"cycles", "checkups"}
        Which.
    kind : str
        Of this kind only; of every kind by default.

    Returns
    -------
    list of Found
        With the number of each row, from 0.
    """
    out = [*outlying(dataset, group)]
    if group == "cycles":
        out += [*row_numbers(dataset), *more_out_than_in(dataset), *too_efficient(dataset)]
    return [one for one in out if kind in ("", one.kind)]


def outlying(dataset: xr.Dataset, group: str) -> Iterator[Found]:
    """Single numbers that do not belong to their series: cut cycles and others."""
    for name in map(str, dataset.data_vars):
        if without_companion(name)[1] or dataset[name].dims != (DIMENSIONS[group],):
            continue
        values = np.asarray(dataset[name].values, dtype=float)
        far = outliers(values)
        short = far & (values < _SHORT * _around(values, far))
        if "capacity" in name and short.any():
            message = f"'{name}' is much less than before and after: cycles that were cut short"
            if group == "checkups":
                message = f"'{name}' is much less than before and after"
            yield Found("cut short", name, np.flatnonzero(short), NOTED, message)
            far &= ~short
        if far.any():
            message = f"'{name}' is far from the numbers before and after"
            yield Found("spike", name, np.flatnonzero(far), NOTED, message)


def _around(values: Numbers, far: NDArray[np.bool_]) -> Numbers:
    """Values of a series without its outliers."""
    places = np.arange(len(values))
    good = np.isfinite(values) & ~far
    return np.interp(places, places[good], values[good]) if good.any() else values


def row_numbers(dataset: xr.Dataset) -> Iterator[Found]:
    """Cycle numbers without a gap, although throughput or time say that rows are missing."""
    at = after_missing(dataset)
    if at.size:
        message = (
            "'cycle' counts the rows of the table, but by the throughput cycles are missing before "
            "these rows"
        )
        yield Found("cycle", "cycle", at, REFUSED, message, "cycle")


def after_missing(dataset: xr.Dataset) -> NDArray[np.intp]:
    """Rows before which cycles are missing, by the throughput, where the numbers have no gap."""
    cycles = true_cycles(dataset)
    if cycles is None:
        return np.empty(0, np.intp)
    return np.flatnonzero(np.diff(cycles) > 1) + 1


def true_cycles(dataset: xr.Dataset) -> NDArray[np.int64] | None:
    """Cycle numbers by the throughput, where those of the table have no gap.

    Parameters
    ----------
    dataset : xarray.Dataset
        /cycles of a record.

    Returns
    -------
    ndarray of int or None
        None where nothing can be said.
    """
    names = ("cycle", "throughput", "discharge_capacity")
    if any(name not in dataset for name in names):
        return None
    number, through, capacity = (np.asarray(dataset[n].values, dtype=float) for n in names)
    if len(number) < _FEWEST or not np.all(np.diff(number) == 1):
        return None
    if not (np.isfinite(through).all() and np.isfinite(capacity).all()):
        return None
    step = np.diff(through) / np.median(capacity)
    if abs(np.median(step) - 1) > 0.2:  # not cycle by cycle
        return None
    counted = np.where(step > _MISSING, np.round(step), 1.0)
    return np.round(number[0] + np.r_[0.0, np.cumsum(counted)]).astype(np.int64)


def more_out_than_in(dataset: xr.Dataset) -> Iterator[Found]:
    """More energy out of the cell than into it, cycle by cycle."""
    if "discharge_energy" not in dataset or "charge_energy" not in dataset:
        return
    out, into = (dataset[n].values.astype(float) for n in ("discharge_energy", "charge_energy"))
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = out / into
    ratio = ratio[np.isfinite(ratio)]
    if ratio.size >= _FEWEST and float(np.median(ratio)) > _MORE_OUT:
        none = np.empty(0, np.intp)
        message = (
            f"{100 * (float(np.median(ratio)) - 1):.3g} % more energy comes out than goes in. Are "
            "the columns of charge and discharge exchanged?"
        )
        yield Found("sign", "discharge_energy", none, NOTED, message)


def too_efficient(dataset: xr.Dataset) -> Iterator[Found]:
    """Efficiencies that no whole cycle has; the first cycle may begin charged."""
    for name in (str(one) for one in dataset.data_vars if str(one).endswith("_efficiency")):
        rows = np.flatnonzero(np.asarray(dataset[name].values, dtype=float) > _MOST_EFFICIENT)
        message = f"'{name}' is more than {_MOST_EFFICIENT:g}"
        if (rows == 0).any():
            first = f"{message} in the first cycle, which began charged"
            yield Found("efficiency", name, rows[:1], NOTED, first)
        if (rows > 0).any():
            yield Found("efficiency", name, rows[rows > 0], REFUSED, message)


def with_true_cycles(dataset: xr.Dataset) -> xr.Dataset:
    """The same with cycle numbers by the throughput."""
    cycles = true_cycles(dataset)
    if cycles is None:
        return dataset
    return dataset.assign_coords(cycle=(dataset["cycle"].dims, cycles, dataset["cycle"].attrs))
