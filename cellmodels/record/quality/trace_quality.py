"""Faults of traces: everything that is looked for.

Every criterion is relative to the trace itself: its largest currents, the range of its voltages,
the charge that it moves, its own sampling. None needs to know the cell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import xarray as xr

from cellmodels.record.checks import outliers
from cellmodels.record.quality.trace_channels import (
    impossible,
    missing,
    sensor,
    sign,
    spike,
    stuck,
    temperature_unit,
    voltage_unit,
)
from cellmodels.record.quality.trace_counters import counter, counter_reset
from cellmodels.record.quality.trace_times import clock, gap, pause, repeated, time_unit
from cellmodels.record.quality.trace_view import FEWEST, FLOWS, NOTED, REFUSED, Found, View

_SHORT = 0.9  # of the charge that the cycles around discharge


def faults(dataset: xr.Dataset, kind: str = "") -> list[Found]:
    """Look for the faults of a trace.

    Parameters
    ----------
    dataset : xarray.Dataset
        /traces of a record, in the schema's form; its numbers may be impossible.
    kind : str
        Of this kind only; of every kind by default.

    Returns
    -------
    list of Found
    """
    view = View(dataset)
    out = [*missing(dataset), *impossible(dataset)]
    if len(view.time):
        for check, kinds in CHECKS.items():
            if (not kind or kind in kinds) and (view.ordered or check not in _OF_AN_ORDER):
                out += check(view)
    told: dict[tuple[object, ...], Found] = {}
    for one in out:  # a whole variable is named once, whatever says so
        rows = (one.message,) if one.samples.size else ()
        told.setdefault((one.kind, one.variable, *rows), one)
    return [one for one in told.values() if kind in ("", one.kind)]


def cycle(view: View) -> Iterator[Found]:
    """Cycle numbers that count rows, or go back."""
    if "cycle" not in view.dataset or len(view.time) < FEWEST:
        return
    numbers = view.of("cycle")
    step = np.diff(numbers)
    none = np.empty(0, np.intp)
    if np.mean(step > 0) > 0.9:
        message = "'cycle' changes with every row: it counts rows"
        yield Found("cycle", "cycle", none, REFUSED, message, "cycle")
    elif (step < 0).any():
        at = np.flatnonzero(step < 0) + 1
        message = "'cycle' goes back"
        yield Found("cycle", "cycle", view.samples(at), NOTED, message, "cycle")


def cut_short(view: View) -> Iterator[Found]:
    """Cycles of much less discharge than those around them, and a last one that ends in a step."""
    if "cycle" not in view.dataset or len(view.time) < FEWEST:
        return
    numbers = view.of("cycle")
    edges = np.flatnonzero(np.diff(numbers) != 0) + 1
    if not np.isfinite(numbers).all() or len(edges) < 2 or len(edges) > len(numbers) / 5:
        return
    begins = np.r_[0, edges]
    out = np.add.reduceat(np.r_[np.maximum(view.charges, 0.0), 0.0], begins)
    short = outliers(out) & (out < _SHORT * np.median(out))
    before = out[-4:-1]
    flows = abs(view.current[-1]) > FLOWS * view.largest
    alike = len(before) == 3 and float(np.ptp(before)) < 0.1 * float(before.max())
    short[-1] = bool(short[-1]) or bool(flows and alike and out[-1] < _SHORT * before.min())
    ends = np.r_[edges, len(numbers)]
    for k in np.flatnonzero(short):
        message = (
            f"cycle {numbers[begins[k]]:g} discharges {out[k]:.4g} A.h, those around it "
            f"{float(np.median(out)):.4g} A.h"
        )
        places = view.samples(np.arange(begins[k], ends[k]))
        yield Found("cut short", "cycle", places, NOTED, message)


#: What looks for which kinds.
CHECKS: Mapping[Callable[[View], Iterator[Found]], tuple[str, ...]] = {
    repeated: ("repeated",),
    clock: ("clock",),
    time_unit: ("time unit",),
    pause: ("pause",),
    gap: ("gap",),
    voltage_unit: ("voltage unit",),
    temperature_unit: ("temperature unit",),
    stuck: ("frozen", "saturated"),
    sensor: ("saturated",),
    spike: ("spike",),
    sign: ("sign", "unsigned"),
    counter: ("time unit", "current unit", "sign", "counter"),
    counter_reset: ("counter reset",),
    cycle: ("cycle",),
    cut_short: ("cut short",),
}

#: What can be told where the rows are in the order of time alone.
_OF_AN_ORDER = (gap, stuck, spike, counter, counter_reset, cycle, cut_short)
