"""Capacities, energies and efficiencies of each cycle, from raw traces."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from cellmodels.errors import InputError
from cellmodels.record.build import make_group
from cellmodels.record.checks import Rows, outliers
from cellmodels.record.cycles.segments import KINDS, segment
from cellmodels.record.schema import COORDINATES, CYCLE_VARIABLES, SUMMARY_VARIABLES

__all__ = ["IrregularCycle", "irregular_cycles", "summarise_cycles", "summarise_steps"]

_MOST_EFFICIENT = 1.1  # more says that the cycle is not whole
_SPAN = 0.02  # of the usual span of voltage: another limit
_OVERRUN = 5.0  # times as much beyond the limit as short of it
_SPREADS = 5.0  # median distances from the median: more than usual
_OTHER_RATE = 0.05
_PARTIAL = 0.95  # of what was discharged: less charge before it is none that was full

Array = NDArray[np.float64]
_REST, _VOLTAGE = KINDS.index("rest"), KINDS.index("voltage")


@dataclass(frozen=True)
class IrregularCycle:
    """A cycle whose discharge capacity is not like that of the others.

    Parameters
    ----------
    cycle : int
        Its number.
    reason : str
        Why, for people.
    """

    cycle: int
    reason: str


def summarise_cycles(
    record: xr.DataTree | xr.Dataset,
    *,
    end_voltage: float | None = None,
    interpolate: bool = True,
) -> xr.Dataset:
    """Capacities, energies and efficiencies of each cycle of a trace.

    Parameters
    ----------
    record : xarray.DataTree or xarray.Dataset
        A record with /traces, or that group alone. Its own cycle numbers are used where they are
        usable, else cycles are counted (:func:`cellmodels.record.cycles.half_cycles.count_cycles`).
    end_voltage : float, optional
        Voltage [V] down to which the discharge is counted; what follows in the cycle is not.
    interpolate : bool
        Whether the discharge ends where the voltage is `end_voltage`, between two samples, or, as
        in some published tables, with the first sample that is below.

    Returns
    -------
    xarray.Dataset
        The group /cycles of a record (:mod:`cellmodels.record.schema`), dimension ``point``, one
        row a cycle in which a current flows; NaN where a cycle has no such step, and for
        efficiencies of more than 1.1, which say that the cycle is not whole. Temperatures are
        those of all steps; their mean is that over time. ``throughput`` [A.h] and
        ``elapsed_time`` [s] are those at the end of the cycle. Currents at rest count for
        nothing; steps are those of :func:`cellmodels.record.cycles.segments.segment`, which says
        how they are integrated and that gaps are not. Charge at constant voltage is that of the
        charging steps that hold one, all other charge is that at constant current.
        ``voltage_efficiency`` is the energy efficiency over the coulombic one.
        ``discharge_capacity_flag`` is 1 for the cycles of :func:`irregular_cycles`, whose reasons
        are the attribute ``irregular_cycles``; ``cycles`` says who numbered them.

    Raises
    ------
    InputError
        If there is no trace, or no current flows in it.
    """
    traces = _traces(record)
    return summarise_steps(traces, segment(traces), end_voltage, interpolate)


def summarise_steps(
    traces: xr.Dataset,
    steps: xr.Dataset,
    end_voltage: float | None = None,
    interpolate: bool = True,
) -> xr.Dataset:
    """Summarise the cycles of a trace that is cut into steps already.

    Parameters
    ----------
    traces : xarray.Dataset
        The group /traces.
    steps : xarray.Dataset
        From :func:`cellmodels.record.cycles.segments.segment`, or some of its rows, with cycle
        numbers that do not fall.
    end_voltage, interpolate
        As in :func:`summarise_cycles`.

    Returns
    -------
    xarray.Dataset
        As from :func:`summarise_cycles`; ``throughput`` [A.h] is that of the given steps.

    Raises
    ------
    InputError
        If no current flows in them.
    """
    flows = steps["kind"].values != _REST
    cycle = steps["cycle"].values
    numbers = np.unique(cycle[flows])
    if not numbers.size:
        raise InputError("/traces: no current flows in any cycle.")
    columns = _sums(steps, numbers)
    capacity, energy = columns["discharge_capacity"], columns["discharge_energy"]
    columns["throughput"] = np.cumsum(capacity)
    if end_voltage is not None:
        counted = [_down_to(traces, steps, number, end_voltage, interpolate) for number in numbers]
        capacity, energy = np.array(counted).T
        columns |= {"discharge_capacity": capacity, "discharge_energy": energy}
    columns |= _voltages(steps, numbers)
    columns |= _temperatures(traces, steps, numbers)
    _add_efficiencies(columns)
    _without_zeros(columns)
    units = {**COORDINATES, **CYCLE_VARIABLES, **SUMMARY_VARIABLES}
    known = {
        name: (values, units[name].unit)
        for name, values in columns.items()
        if np.isfinite(values).any()
    }
    summary = make_group(
        "cycles", {"cycle": (numbers.astype(float), "-"), **known}, Rows("/cycles")
    )
    summary.attrs["cycles"] = steps.attrs["cycles"]
    summary.attrs["cycles_begin_with"] = _first_direction(steps, numbers)
    if end_voltage is not None:
        summary.attrs["end_voltage"] = f"discharge counted down to {end_voltage:g} V"
    return _flagged(summary, end_voltage)


def irregular_cycles(
    summary: xr.Dataset, *, end_voltage: float | None = None
) -> list[IrregularCycle]:
    """Find the cycles that are not like the others, and say why.

    Parameters
    ----------
    summary : xarray.Dataset
        From :func:`summarise_cycles`.
    end_voltage : float, optional
        Voltage that each discharge must reach [V]; by default the usual one.

    Returns
    -------
    list of IrregularCycle
        In order of cycles; one for each reason: no discharge; time without samples; a discharge or
        a charge that ends short of the usual voltage by 2 % of the usual span of voltages and
        five times the median distance from the median, or beyond it by five times as much; one that
        does not end as low as `end_voltage`; less than
        95 % of the discharged charge charged before it; another current than usual, where most
        cycles have the same within 5 %; a capacity that does not belong to its series
        (:func:`cellmodels.record.flag_outliers`).
    """
    found = [
        IrregularCycle(int(summary["cycle"].values[row]), reason)
        for rows, reasons in _checks(summary, end_voltage)
        for row, reason in zip(rows, reasons, strict=True)
    ]
    return sorted(found, key=lambda one: one.cycle)


# --- sums over cycles --------------------------------------------------------------------------


def _traces(record: xr.DataTree | xr.Dataset) -> xr.Dataset:
    if isinstance(record, xr.Dataset):
        return record
    if "traces" not in record.children:
        raise InputError("The record has no /traces from which cycles could be summarised.")
    return record.children["traces"].to_dataset()


def _sums(steps: xr.Dataset, numbers: NDArray[np.int64]) -> dict[str, Array]:
    """What adds up: shape (cycles,)."""
    kind = steps["kind"].values
    places = np.searchsorted(numbers, steps["cycle"].values)
    places = np.minimum(places, len(numbers) - 1)
    own = numbers[places] == steps["cycle"].values

    def total(name: str, chosen: NDArray[np.bool_]) -> Array:
        rows = chosen & own
        weights = steps[name].values[rows]
        return np.bincount(places[rows], weights, minlength=len(numbers)).astype(float)

    flows = kind != _REST
    charges = flows & (steps["charge"].values < 0)
    discharges = flows & (steps["charge"].values > 0)
    holds = charges & (kind == _VOLTAGE)
    out = {
        name: total(name, flows)
        for name in ("discharge_capacity", "charge_capacity", "discharge_energy", "charge_energy")
    }
    out["cv_charge_capacity"] = total("charge_capacity", holds)
    out["cc_charge_capacity"] = out["charge_capacity"] - out["cv_charge_capacity"]
    out["cv_charge_time"] = total("duration", holds)
    out["gap"] = total("gap", flows)
    with np.errstate(invalid="ignore", divide="ignore"):
        for name, rows in (("discharge", discharges), ("charge", charges)):
            time = total("duration", rows) - total("gap", rows)
            out[f"mean_{name}_current"] = np.abs(total("charge", rows)) * 3600 / time
            out[f"mean_{name}_voltage"] = out[f"{name}_energy"] / out[f"{name}_capacity"]
    ends = steps["start_time"].values + steps["duration"].values
    last = np.searchsorted(steps["cycle"].values, numbers, side="right") - 1
    out["elapsed_time"] = ends[last]
    return out


def _first_direction(steps: xr.Dataset, numbers: NDArray[np.int64]) -> str:
    """Whether most cycles begin with a charge or a discharge."""
    charge, cycle = steps["charge"].values, steps["cycle"].values
    largest = float(np.max(np.abs(charge)))
    rows = np.flatnonzero((steps["kind"].values != _REST) & (np.abs(charge) > 0.01 * largest))
    _, first = np.unique(cycle[rows], return_index=True)
    return "charge" if np.mean(charge[rows[first]] < 0) >= 0.5 else "discharge"


def _voltages(steps: xr.Dataset, numbers: NDArray[np.int64]) -> dict[str, Array]:
    """Where charges and discharges end, and the rests after them."""
    kind, cycle = steps["kind"].values, steps["cycle"].values
    charge, end = steps["charge"].values, steps["end_voltage"].values
    flows = kind != _REST
    out = {}
    for name, sign, extreme in (
        ("discharge", 1.0, steps["min_voltage"].values),
        ("charge", -1.0, steps["max_voltage"].values),
    ):
        ended = np.full(len(numbers), np.nan)
        rested = np.full(len(numbers), np.nan)
        # of each cycle the step of this direction that moves most, and the steps that follow on it
        rows = np.flatnonzero(flows & (sign * charge > 0))
        order = rows[np.lexsort((sign * charge[rows], cycle[rows]))]
        largest = order[np.append(np.diff(cycle[order]) != 0, True)] if len(order) else order
        for row in largest:
            place = int(np.searchsorted(numbers, cycle[row]))
            last = row
            while last + 1 < len(kind) and flows[last + 1] and sign * charge[last + 1] > 0:
                last += 1
            reached = extreme[row : last + 1]
            ended[place] = reached.min() if sign > 0 else end[last]
            if last + 1 < len(kind) and kind[last + 1] == _REST:
                while last + 1 < len(kind) and kind[last + 1] == _REST:
                    last += 1
                rested[place] = end[last]
        out[f"end_of_{name}_voltage"] = ended
        out[f"rest_voltage_after_{name}"] = rested
    return out


def _temperatures(
    traces: xr.Dataset, steps: xr.Dataset, numbers: NDArray[np.int64]
) -> dict[str, Array]:
    if "temperature" not in traces:
        return {}
    values = np.asarray(traces["temperature"].values, dtype=float)
    cycle = steps["cycle"].values
    begin = np.searchsorted(cycle, numbers, side="left")
    end = np.searchsorted(cycle, numbers, side="right") - 1
    rows = [
        values[a : b + 1]
        for a, b in zip(steps["first"].values[begin], steps["last"].values[end], strict=True)
    ]
    known = [one[np.isfinite(one)] for one in rows]
    # steps are sampled at different intervals: their means are weighted by their durations
    means, lengths = steps["temperature"].values, steps["duration"].values - steps["gap"].values
    weights = np.where(np.isfinite(means), np.maximum(lengths, 0.0), 0.0)
    sums = (
        np.cumsum(np.append(0.0, weights)),
        np.cumsum(np.append(0.0, weights * np.nan_to_num(means))),
    )
    whole, weighted = (one[end + 1] - one[begin] for one in sums)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = weighted / whole
    return {
        "mean_temperature": np.where(whole > 0, mean, np.nan),
        "max_temperature": np.array([one.max() if one.size else np.nan for one in known]),
    }


def _down_to(
    traces: xr.Dataset, steps: xr.Dataset, number: int, end_voltage: float, interpolate: bool
) -> tuple[float, float]:
    """Charge [A.h] and energy [W.h] of a cycle's discharge until the voltage is first below."""
    capacity = energy = 0.0
    rows = np.flatnonzero((steps["cycle"].values == number) & (steps["kind"].values != _REST))
    for row in rows[steps["charge"].values[rows] > 0]:
        whole = steps["discharge_capacity"].values[row], steps["discharge_energy"].values[row]
        if steps["min_voltage"].values[row] < end_voltage:
            first, last = (int(steps[name].values[row]) for name in ("first", "last"))
            time, volts, amps = (
                traces[name].values[first : last + 1] for name in ("time", "voltage", "current")
            )
            # what comes after the crossing is taken from the whole: both ends of the step stay
            less = _beyond(time, volts, amps, end_voltage, interpolate)
            tail = time[-1], float(steps["start_time"][row] + steps["duration"][row])
            lasts = (tail[1] - tail[0]) * amps[-1] / 3600
            return (
                capacity + max(whole[0] - less[0] - lasts, 0.0),
                energy + max(whole[1] - less[1] - lasts * volts[-1], 0.0),
            )
        capacity, energy = capacity + whole[0], energy + whole[1]
    return capacity, energy


def _beyond(
    time: Array, volts: Array, amps: Array, end_voltage: float, interpolate: bool
) -> tuple[float, float]:
    """Charge [A.h] and energy [W.h] of a step after the voltage is first below."""
    below = int(np.argmax(volts < end_voltage))
    watts = amps * volts
    charge = np.trapezoid(np.maximum(amps[below:], 0), time[below:])
    energy = np.trapezoid(np.maximum(watts[below:], 0), time[below:])
    if below > 0 and interpolate:
        part = (volts[below] - end_voltage) / (volts[below] - volts[below - 1])
        width = part * (time[below] - time[below - 1])
        there = [one[below] + part * (one[below - 1] - one[below]) for one in (amps, watts)]
        charge += (amps[below] + there[0]) / 2 * width
        energy += (watts[below] + there[1]) / 2 * width
    return float(charge) / 3600, float(energy) / 3600


def _add_efficiencies(columns: dict[str, Array]) -> None:
    with np.errstate(invalid="ignore", divide="ignore"):
        coulombic = columns["discharge_capacity"] / columns["charge_capacity"]
        energy = columns["discharge_energy"] / columns["charge_energy"]
        found = {
            "coulombic_efficiency": coulombic,
            "energy_efficiency": energy,
            "voltage_efficiency": energy / coulombic,
        }
    for name, values in found.items():
        possible = (values > 0) & (values <= _MOST_EFFICIENT)
        columns[name] = np.where(possible, values, np.nan)


def _without_zeros(columns: dict[str, Array]) -> None:
    """A cycle without a discharge has no discharge capacity, and not one of zero."""
    for name in ("discharge", "charge"):
        none = ~(columns[f"{name}_capacity"] > 0)
        for one in columns:
            if one == f"{name}_capacity" or one.endswith((f"{name}_energy", f"v_{name}_capacity")):
                columns[one] = np.where(none | (columns[one] < 0), np.nan, columns[one])
        for one in (f"{name}_energy", f"{name}_capacity"):
            columns[one] = np.where(columns[one] > 0, columns[one], np.nan)
    none = np.isnan(columns["charge_capacity"])
    for one in ("cc_charge_capacity", "cv_charge_capacity", "cv_charge_time"):
        columns[one] = np.where(none, np.nan, columns[one])


# --- irregular? --------------------------------------------------------------------------------


def _flagged(summary: xr.Dataset, end_voltage: float | None) -> xr.Dataset:
    found = irregular_cycles(summary, end_voltage=end_voltage)
    flags = np.isin(summary["cycle"].values, [one.cycle for one in found])
    if "discharge_capacity" in summary:
        summary["discharge_capacity_flag"] = ("point", flags.astype(np.int8), {"units": "-"})
    if found:
        words = "; ".join(f"cycle {one.cycle}: {one.reason}" for one in found)
        summary.attrs["irregular_cycles"] = words
    return summary


def _checks(summary: xr.Dataset, end_voltage: float | None) -> list[tuple[Any, list[str]]]:
    """Rows and reasons of each check."""
    capacity = _column(summary, "discharge_capacity")
    gap = _column(summary, "gap")
    return [
        _where(np.isnan(capacity), lambda k: "no discharge"),
        _where(gap > 0, lambda k: f"{gap[k]:.0f} s without samples"),
        _low(summary, end_voltage),
        _ends(summary, "charge"),
        _charged(summary),
        _rates(summary),
        _where(outliers(capacity), lambda k: "capacity far from that of its neighbours"),
    ]


def _where(bad: Any, reason: Callable[[int], str]) -> tuple[Any, list[str]]:
    rows = np.flatnonzero(bad)
    return rows, [reason(k) for k in rows]


def _column(summary: xr.Dataset, name: str) -> Array:
    if name not in summary:
        return np.full(summary.sizes["point"], np.nan)
    return np.asarray(summary[name].values, dtype=float)


def _low(summary: xr.Dataset, end_voltage: float | None) -> tuple[Any, list[str]]:
    if end_voltage is None:
        return _ends(summary, "discharge")
    reached = _column(summary, "end_of_discharge_voltage")
    return _where(
        reached > end_voltage,
        lambda k: f"cut short: the discharge ends at {reached[k]:.3f} V, not at {end_voltage:g} V",
    )


def _ends(summary: xr.Dataset, name: str) -> tuple[Any, list[str]]:
    """Ends at another voltage than usual."""
    reached = _column(summary, f"end_of_{name}_voltage")
    other = _column(summary, f"end_of_{'charge' if name == 'discharge' else 'discharge'}_voltage")
    if not np.isfinite(reached).any():
        return [], []
    usual = float(np.nanmedian(reached))
    span = abs(usual - float(np.nanmedian(other))) if np.isfinite(other).any() else 0.3 * usual
    away = np.abs(reached - usual)
    limit = max(_SPAN * span, _SPREADS * float(np.nanmedian(away)))
    sign = 1.0 if name == "discharge" else -1.0
    # a limit is overrun by what the voltage does between two samples
    away = np.where(sign * (reached - usual) > 0, away, away / _OVERRUN)
    short = "cut short: " if name == "discharge" else "no full charge: "
    return _where(
        away > limit,
        lambda k: (
            f"{short if sign * (reached[k] - usual) > 0 else ''}the {name} ends at "
            f"{reached[k]:.3f} V, usually at {usual:.3f} V"
        ),
    )


def _charged(summary: xr.Dataset) -> tuple[Any, list[str]]:
    """Less charged than discharged, by more than any self-discharge or lag explains."""
    charged = _column(summary, "charge_capacity")
    capacity = _column(summary, "discharge_capacity")
    if np.isfinite(charged).mean() < 0.5:
        return [], []
    if summary.attrs.get("cycles_begin_with") == "discharge":
        charged = np.concatenate([[np.nan], charged[:-1]])
    return _where(
        charged < _PARTIAL * capacity,
        lambda k: (
            f"no full charge before: {charged[k]:.4g} A.h for {capacity[k]:.4g} A.h discharged"
        ),
    )


def _rates(summary: xr.Dataset) -> tuple[Any, list[str]]:
    """Another current than usual, where there is a usual one."""
    current = _column(summary, "mean_discharge_current")
    if not np.isfinite(current).any():
        return [], []
    usual = float(np.nanmedian(current))
    other = np.abs(current - usual) > _OTHER_RATE * usual
    if other.mean() > 0.5:
        return [], []
    return _where(
        other, lambda k: f"discharged with {current[k]:.3g} A on average, usually {usual:.3g} A"
    )
