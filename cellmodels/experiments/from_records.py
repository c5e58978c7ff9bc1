"""Experiments out of a record's trace: a stretch of it, or the check-ups that were found in it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from cellmodels.errors import InputError, did_you_mean
from cellmodels.experiments.values import VoltageTrace

if TYPE_CHECKING:
    from cellmodels.checkups import CheckupsFound

__all__ = ["checkup_experiments", "trace_experiment"]

_POINTS = 300
_RESTED = 1800.0  # s, after which a cell's voltage is taken for that of equilibrium
_AFTER = 3600.0  # s of the rest after a test


def trace_experiment(
    record: xr.DataTree | xr.Dataset,
    begin: float,
    end: float,
    *,
    name: str = "",
    points: int | None = _POINTS,
    **given: Any,
) -> VoltageTrace:
    """A stretch of a record's trace as an experiment, its current as it was logged.

    Parameters
    ----------
    record : xarray.DataTree or xarray.Dataset
        With ``/traces``, or that group.
    begin, end : float
        Times of the record [s] between which the experiment lies. It begins at rest.
    name : str
        Of the experiment.
    points : int, optional
        Largest number of points that are compared, spread evenly over time and voltage; None
        for all.
    **given
        Other arguments of :class:`cellmodels.VoltageTrace`, such as ``rest_voltage`` (by default
        the last voltage before `begin`, if the cell rested there), ``soc`` or ``noise``.

    Returns
    -------
    VoltageTrace

    Raises
    ------
    InputError
        When the record has no such stretch.
    """
    traces = _traces(record)
    time = np.asarray(traces["time"].values, float)
    rows = np.flatnonzero((time >= begin) & (time <= end))
    if rows.size < 3:
        raise InputError(f"The record has {rows.size} rows between {begin:g} and {end:g} s.")
    return _experiment(traces, int(rows[0]), int(rows[-1]), name, points, given)


def checkup_experiments(
    found: CheckupsFound,
    checkup: int = 0,
    tests: Iterable[str] | None = None,
    *,
    noise: ArrayLike | None = None,
    temperature_noise: float | None = None,
    rested: float = _RESTED,
    points: int = _POINTS,
) -> list[VoltageTrace]:
    """The tests of a check-up as experiments, for a fit of the fresh cell.

    Each test that began after a rest becomes an experiment: slow and fast discharges and charges,
    pulses, and each pulse of a GITT, with up to an hour of the rest that follows. It starts in
    equilibrium at the voltage of the rest.

    Parameters
    ----------
    found : CheckupsFound
        From :func:`cellmodels.find_checkups`.
    checkup : int
        Which of its check-ups; 0 is the first.
    tests : iterable of str, optional
        Names of tests (``found.tests["name"]``); by default all that began rested.
    noise, temperature_noise : float, optional
        As of :class:`cellmodels.VoltageTrace`.
    rested : float
        Least duration of the rest before [s].
    points : int
        Largest number of points of a test.

    Returns
    -------
    list of VoltageTrace

    Raises
    ------
    InputError
        When there is no such check-up or test, or none that began rested.
    """
    table = found.tests
    if not table.sizes.get("test"):
        raise InputError("No check-ups were found in this record.")
    own = table.isel(test=table["checkup"].values == checkup)
    if not own.sizes["test"]:
        most = int(table["checkup"].values.max())
        raise InputError(f"There is no check-up {checkup}; they are numbered 0 to {most}.")
    names = [str(name) for name in own["name"].values]
    wanted = names if tests is None else [tests] if isinstance(tests, str) else list(tests)
    for name in wanted:
        if name not in names:
            raise InputError(f"Check-up {checkup} has no test {name!r}.{did_you_mean(name, names)}")
    made = []
    for k, name in enumerate(names):
        row = own.isel(test=k)
        if name in wanted and float(row["rest_before"]) >= rested:
            last = _with_rest(found.traces, int(row["last"]), float(row["rest_after"]))
            given: dict[str, Any] = {"rest_voltage": float(row["start_voltage"]), "noise": noise}
            if temperature_noise is not None:
                given["temperature_noise"] = temperature_noise
            first = int(row["first"])
            made.append(_experiment(found.traces, first, last, name, points, given))
    if not made:
        raise InputError(
            f"No test of check-up {checkup} began after a rest of {rested:g} s; those that did "
            "begin are shown by found.table (rest_before)."
        )
    return made


def _traces(record: xr.DataTree | xr.Dataset) -> xr.Dataset:
    if isinstance(record, xr.DataTree):
        if "traces" not in record.children:
            raise InputError("The record has no trace.")
        record = record["traces"].to_dataset()
    for name in ("time", "voltage", "current"):
        if name not in record.variables:
            raise InputError(f"The record's trace has no {name}.")
    return record


def _with_rest(traces: xr.Dataset, last: int, rest: float) -> int:
    """The last row of the rest after a test, or of its first hour."""
    time = np.asarray(traces["time"].values, float)
    return int(np.searchsorted(time, time[last] + min(rest, _AFTER), side="right")) - 1


def _experiment(
    traces: xr.Dataset, first: int, last: int, name: str, points: int | None, given: dict[str, Any]
) -> VoltageTrace:
    part = traces.isel({traces["time"].dims[0]: slice(max(first - 1, 0), last + 1)})
    time, voltage, current = (np.asarray(part[n].values, float) for n in _CHANNELS)
    good = np.isfinite(time) & np.isfinite(voltage) & np.isfinite(current)
    good &= np.concatenate([[True], np.diff(time) > 0.0])
    before = bool(good[0]) and first > 0
    if "rest_voltage" not in given and "soc" not in given and before and current[0] == 0.0:
        given = {**given, "rest_voltage": float(voltage[0])}
    good[0] &= first == 0
    kelvin = np.asarray(part["temperature"].values, float) if "temperature" in part else None
    if kelvin is not None and np.any(np.isfinite(kelvin[good])):
        given = {"temperature": kelvin[good], **given}
        given.setdefault("ambient", _ambient(part, kelvin))
    begin = time[good][0]
    trace = VoltageTrace(
        time[good] - begin,
        voltage[good],
        current=current[good],
        between="next",
        name=name,
        **given,
    )
    return trace if points is None else trace.thinned(points)


_CHANNELS = ("time", "voltage", "current")


def _ambient(part: xr.Dataset, kelvin: np.ndarray) -> float:
    """Temperature around the cell: as measured, or that of the cell at rest before."""
    if "ambient_temperature" in part:
        measured = np.asarray(part["ambient_temperature"].values, float)
        if np.any(np.isfinite(measured)):
            return float(np.nanmean(measured))
    return float(kelvin[np.isfinite(kelvin)][0])
