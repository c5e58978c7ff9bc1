"""Slow curves over a cell's life, out of records, raw traces or arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from cellmodels.checkups import CheckupsFound, find_checkups
from cellmodels.errors import InputError, did_you_mean
from cellmodels.modes.curves import FEWEST, SETTLE, Direction, OcvCurve, ocv_curve
from cellmodels.record.cycles.checkup_tests import MEAN_CURVE, mean_curve, test_curve
from cellmodels.record.schema import COORDINATES

__all__ = ["CurveSource", "CurvesOverLife", "curves_over_life"]

CurveSource = xr.DataTree | CheckupsFound | Sequence[tuple[ArrayLike, ArrayLike]]

_SLOW = ("slow discharge", "slow charge")


@dataclass(frozen=True, eq=False)
class CurvesOverLife:
    """Curves of one cell, and where in its life they were measured.

    Parameters
    ----------
    curves : tuple of OcvCurve
    coordinates : xarray.Dataset
        ``cycle``, ``throughput`` and ``elapsed_time`` of each, as far as they are known, along
        ``checkup``.
    number : tuple of int
        Row of each among the check-ups of the source.
    """

    curves: tuple[OcvCurve, ...]
    coordinates: xr.Dataset
    number: tuple[int, ...]


def curves_over_life(
    source: CurveSource,
    ocv: str,
    direction: Direction | None = None,
    end_voltage: float | None = None,
    settle: float = SETTLE,
) -> CurvesOverLife:
    """Collect the curves of one test over a cell's life.

    Parameters
    ----------
    source : xarray.DataTree, CheckupsFound or sequence of pairs
        See :func:`cellmodels.modes.analysis.degradation_modes`.
    ocv : str
        Name of the test.
    direction : {"discharge", "charge", "mean"}, optional
    end_voltage : float, optional
        Voltage at which a test of ``/checkups`` ended [V].
    settle : float
        See :func:`cellmodels.modes.curves.ocv_curve`.

    Returns
    -------
    CurvesOverLife

    Raises
    ------
    InputError
        If there are no such curves.
    """
    test = ocv.removeprefix("voltage_")
    if isinstance(source, xr.DataTree):
        checkups = source.children.get("checkups")
        if checkups is not None and f"voltage_{test}" in checkups:
            return _of_checkups(checkups.to_dataset(), test, direction, end_voltage, settle)
        if "traces" not in source.children:
            raise InputError(_missing(source, test))
        source = find_checkups(source)
    if isinstance(source, CheckupsFound):
        return _of_traces(source, test, direction, settle)
    if isinstance(source, xr.Dataset | str):
        raise InputError(
            "Curves come from a record, from find_checkups, or as a list of (charge, voltage), not "
            f"from a {type(source).__name__}."
        )
    curves = tuple(
        ocv_curve(*_pair(one, k), direction, f"Curve {k}", settle) for k, one in enumerate(source)
    )
    if not curves:
        raise InputError("There are no curves.")
    return CurvesOverLife(curves, xr.Dataset(), tuple(range(len(curves))))


def _pair(one: tuple[ArrayLike, ArrayLike], number: int) -> tuple[ArrayLike, ArrayLike]:
    if len(one) != 2:
        raise InputError(f"Curve {number}: charge [A.h] and voltage [V] are needed.")
    return one


def _missing(record: xr.DataTree, test: str) -> str:
    known: list[str] = []
    if "checkups" in record.children:
        dataset = record["checkups"].to_dataset()
        known = [str(name) for name in dataset.data_vars if dataset[name].ndim == 2]
    hint = did_you_mean(f"voltage_{test}", known)
    return f"The record's check-ups have no 'voltage_{test}', and it has no /traces.{hint}"


def _of_checkups(
    checkups: xr.Dataset,
    test: str,
    direction: Direction | None,
    end_voltage: float | None,
    settle: float,
) -> CurvesOverLife:
    """Curves of ``voltage_<test>``; where the end of the test is known it is a point too."""
    array = checkups[f"voltage_{test}"].transpose("checkup", ...)
    charge = np.asarray(checkups[array.dims[1]].values, dtype=float)
    flagged = checkups.get(f"voltage_{test}_flag")
    values = np.asarray(array.values, dtype=float)
    if flagged is not None:
        bad = np.nan_to_num(flagged.transpose(*array.dims).values.astype(float)) != 0
        values = np.where(bad, np.nan, values)
    ends = _ends(checkups, test, end_voltage)
    curves, numbers = [], []
    for k, row in enumerate(values):
        at, volts = np.append(charge, ends[k][0]), np.append(row, ends[k][1])
        known = np.isfinite(at) & np.isfinite(volts)
        if known.sum() >= FEWEST:
            where = f"'voltage_{test}' of check-up {k}"
            curves.append(ocv_curve(at[known], volts[known], direction, where, settle))
            numbers.append(k)
    if not curves:
        raise InputError(
            f"'voltage_{test}' has no check-up with {FEWEST} points; electrode balance needs them."
        )
    names = [name for name in COORDINATES if name in checkups.variables]
    places = xr.Dataset(coords={n: ("checkup", checkups[n].values[numbers]) for n in names})
    return CurvesOverLife(tuple(curves), places, tuple(numbers))


def _ends(checkups: xr.Dataset, test: str, end_voltage: float | None) -> list[tuple[float, float]]:
    """Charge and voltage at the end of each test, NaN where not known."""
    count = checkups.sizes["checkup"]
    capacity, voltage = (
        np.asarray(checkups[name].values, dtype=float)
        if name in checkups
        else np.full(count, np.nan)
        for name in (f"capacity_{test}", f"end_voltage_{test}")
    )
    if end_voltage is not None:
        voltage = np.full(count, float(end_voltage))
    return list(zip(capacity.tolist(), voltage.tolist(), strict=True))


def _of_traces(
    found: CheckupsFound, test: str, direction: Direction | None, settle: float
) -> CurvesOverLife:
    """Curves of slow tests in a trace, with all their rows."""
    curves, numbers, names = [], [], []
    for k, checkup in enumerate(found.recognition.checkups):
        slow = [one for one in checkup.tests if one.kind in _SLOW]
        names += [one.name for one in slow]
        mean = mean_curve(found.traces, found.segments, checkup)
        names += [MEAN_CURVE] if mean is not None else []
        if test == MEAN_CURVE and mean is not None:
            pair = (mean["charge"].values, mean["voltage"].values)
            where = f"'{test}' of check-up {k}"
            curves.append(ocv_curve(*pair, direction or "mean", where, settle))
            numbers.append(k)
        for one in [one for one in slow if one.name == test][:1]:
            q, v = test_curve(found.traces, found.segments, one)
            charged = q[-1] < q[0]
            pair = (q - q.min() if not charged else q[0] - q, v)
            curves.append(ocv_curve(*pair, direction, f"'{test}' of check-up {k}", settle))
            numbers.append(k)
    if not curves:
        raise InputError(
            f"No slow test '{test}' was found in the trace.{did_you_mean(test, names)}"
            + (f" There are {', '.join(dict.fromkeys(names))}." if names else "")
        )
    return CurvesOverLife(tuple(curves), _places(found, numbers), tuple(numbers))


def _places(found: CheckupsFound, numbers: list[int]) -> xr.Dataset:
    if "checkups" not in found.record.children:
        cycles = [found.recognition.checkups[k].after_cycle for k in numbers]
        return xr.Dataset(coords={"cycle": ("checkup", cycles)})
    checkups = found.record["checkups"].to_dataset()
    names = [name for name in COORDINATES if name in checkups.variables]
    return xr.Dataset(coords={name: ("checkup", checkups[name].values[numbers]) for name in names})
