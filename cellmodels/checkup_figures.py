"""Figure of the check-ups found in a trace, made from its datasets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure, SubFigure
from numpy.typing import NDArray

from cellmodels.plotting import COLOURS, CURVES, GREY, STYLE, colour_bar, mark

__all__ = ["plot_checkups", "resistance_unit"]

_KIND_COLOURS = {
    "slow": "#0072B2",
    "discharge": "#D55E00",
    "charge": "#E69F00",
    "pulse": "#009E73",
    "GITT": "#CC79A7",
    "partial": "#56B4E9",
}
_MOST_POINTS = 4000  # of a line
_MOST_LABELS = 14
_MOST_NAMES = 7  # of curves in a legend
#: Units of time, and up to how many seconds each is used.
_TIMES = (("s", 1.0, 300.0), ("min", 60.0, 7200.0), ("h", 3600.0, 864e3), ("days", 86400.0, np.inf))
_LARGE = 10.0  # ohm: more, in the middle, is not told in milliohms


def plot_checkups(tree: xr.DataTree, traces: xr.Dataset, curves: xr.Dataset) -> Figure:
    """Trace with the tests found in it, their curves, and how results change.

    Parameters
    ----------
    tree : xarray.DataTree
        Record with the group ``/tests``, and ``/checkups`` where there are any.
    traces : xarray.Dataset
        Its trace: ``time`` [s], ``voltage`` [V], ``current`` [A].
    curves : xarray.Dataset
        Slow discharges and charges, from ``CheckupsFound.curves``.

    Returns
    -------
    matplotlib.figure.Figure
        Above the voltage over time, tests coloured by their kind. Below, as far as there are such:
        voltage, differential voltage and incremental capacity of slow tests, resistance over depth,
        capacity over cycles, and capacity and resistance over check-ups.
    """
    found = "tests" in tree.children
    tests = tree["tests"].to_dataset() if found else xr.Dataset()
    panels = _panels(tree, tests, curves)
    columns = 2 if len(panels) in (2, 4) else max(1, min(3, len(panels)))
    rows = -(-len(panels) // columns)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(11.0, 3.2 + 3.0 * rows), layout="constrained")
        if not panels:
            _draw_trace(figure.subplots(), tests, traces)
        else:
            halves = figure.subfigures(2, 1, height_ratios=[3.2, 3.0 * rows], squeeze=False)
            upper, lower = halves.ravel()
            _draw_trace(upper.subplots(), tests, traces)
            axes = lower.subplots(rows, columns, squeeze=False).ravel()
            for ax, draw in zip(axes, panels, strict=False):
                draw(lower, ax)
            for ax in axes[len(panels) :]:
                ax.set_axis_off()
        mark(figure, tree)
    return figure


_Draw = Callable[[SubFigure, Axes], None]


def _panels(tree: xr.DataTree, tests: xr.Dataset, curves: xr.Dataset) -> list[_Draw]:
    panels: list[_Draw] = []
    if curves.sizes.get("curve"):
        panels += [
            lambda f, ax: _draw_curves(f, ax, curves, "charge", "voltage"),
            lambda f, ax: _draw_curves(f, ax, curves, "level", "incremental_capacity"),
            lambda f, ax: _draw_curves(f, ax, curves, "charge", "differential_voltage"),
        ]
    if tests.sizes.get("test") and _at_several_depths(tests):
        panels.append(lambda f, ax: _draw_depths(f, ax, tests))
    if "cycles" in tree.children and "discharge_capacity" in tree["cycles"]:
        panels.append(lambda _, ax: _draw_cycles(ax, tree["cycles"].to_dataset()))
    checkups = tree["checkups"].to_dataset() if "checkups" in tree.children else xr.Dataset()
    if checkups.sizes.get("checkup", 0) > 1:
        for start, quantity in (("capacity_", "Capacity"), ("resistance_", "Resistance")):
            names = _series(checkups, start)
            if names:
                panels.append(_over_checkups(checkups, names, quantity))
    return panels


# The trace --------------------------------------------------------------------------------


def _draw_trace(ax: Axes, tests: xr.Dataset, traces: xr.Dataset) -> None:
    """Voltage over time, and over it the tests in the colours of their kinds."""
    time, voltage = traces["time"].values, traces["voltage"].values
    unit, scale = next((u, size) for u, size, most in _TIMES if time[-1] - time[0] < most)
    elapsed = (time - time[0]) / scale
    ax.plot(*_thinned(elapsed, voltage), color=GREY, lw=0.8)
    labelled: set[str] = set()
    count = tests.sizes.get("test", 0)
    few = count <= _MOST_LABELS
    top = float(np.max(voltage)) + 0.03 * float(np.ptp(voltage))
    for row in range(count):
        one = tests.isel(test=row)
        kind = _colour_of(str(one["kind"].values))
        rows = slice(int(one["first"]), int(one["last"]) + 1)
        label = kind if kind not in labelled else "_nolegend_"
        labelled.add(kind)
        ax.plot(
            *_thinned(elapsed[rows], voltage[rows]), color=_KIND_COLOURS[kind], lw=1.6, label=label
        )
        if few:
            middle = (elapsed[rows][0] + elapsed[rows][-1]) / 2
            ax.text(middle, top, str(one["name"].values), ha="center", va="bottom", fontsize=7.0,
                    rotation=30, rotation_mode="anchor", color=_KIND_COLOURS[kind])  # fmt: skip
    ax.set_xlabel(f"Time [{unit}]")
    ax.set_ylabel("Voltage [V]")
    ax.set_title(
        "Tests found" if count else "No check-ups found", pad=34 if count and few else None
    )
    if count:
        ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))


def _colour_of(kind: str) -> str:
    words = ("slow", "pulse", "GITT", "partial")
    return next((word for word in words if word in kind), kind)


def _thinned(x: NDArray[Any], y: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Fewer points with the same extremes: the least and the largest of each interval."""
    if len(x) <= _MOST_POINTS:
        return x, y
    starts = np.linspace(0, len(x), _MOST_POINTS // 2, endpoint=False).astype(int)
    ends = np.append(starts[1:], len(x))
    kept = {0, len(x) - 1}
    for a, b in zip(starts, ends, strict=True):
        kept |= {a + int(np.argmin(y[a:b])), a + int(np.argmax(y[a:b]))}
    rows = sorted(kept)
    return x[rows], y[rows]


# Curves -----------------------------------------------------------------------------------

_CURVE_AXES = {
    "voltage": ("Pseudo-OCV", "Discharged charge [A·h]", "Voltage [V]"),
    "incremental_capacity": ("Incremental capacity", "Voltage [V]", "dQ/dV [A·h·V⁻¹]"),
    "differential_voltage": (
        "Differential voltage",
        "Discharged charge [A·h]",
        "dV/dQ [V·A⁻¹·h⁻¹]",
    ),
}


def _draw_curves(figure: SubFigure, ax: Axes, curves: xr.Dataset, x: str, y: str) -> None:
    """Curves by name for one check-up, by cycle for several."""
    cycles = curves["cycle"].values
    several = len(np.unique(cycles)) > 1
    norm = Normalize(cycles.min(), max(cycles.max(), cycles.min() + 1))
    names = list(dict.fromkeys(str(name) for name in curves["name"].values))
    styles = {name: ("-", "--", ":", "-.")[k % 4] for k, name in enumerate(names)}
    for k in range(curves.sizes["curve"]):
        one = curves.isel(curve=k)
        name = str(one["name"].values)
        if not np.isfinite(one[y].values).any():
            continue
        colour = (
            CURVES(0.92 * norm(cycles[k])) if several else COLOURS[names.index(name) % len(COLOURS)]
        )
        style = styles[name] if several else "-"
        ax.plot(one[x].values, one[y].values, color=colour, lw=1.1, ls=style, label=name)
    title, bottom, left = _CURVE_AXES[y]
    ax.set_title(title)
    ax.set_xlabel(bottom)
    ax.set_ylabel(left)
    if y == "differential_voltage":
        values = curves[y].values[np.isfinite(curves[y].values)]
        ax.set_ylim(0, 2.5 * float(np.quantile(values, 0.8)))  # the ends are steep
    if y == "voltage":
        handles = dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
        if len(handles) <= _MOST_NAMES:
            ax.legend(handles.values(), handles.keys(), loc="best")
    if several and y == "incremental_capacity":
        colour_bar(figure, [ax], norm, "cycle")


# Pulses -----------------------------------------------------------------------------------


def _pulse_rows(tests: xr.Dataset) -> NDArray[np.bool_]:
    kinds = [str(kind) for kind in tests["kind"].values]
    return np.array([kind.endswith("pulse") or "GITT" in kind for kind in kinds], dtype=bool)


def _at_several_depths(tests: xr.Dataset) -> bool:
    """Whether there are pulses at clearly different depths."""
    depths = tests["depth"].values[_pulse_rows(tests)]
    charges = np.abs(tests["charge"].values[_pulse_rows(tests)])
    return bool(depths.size > 1 and np.ptp(depths) > 3 * np.median(charges))


def resistance_unit(resistances: NDArray[np.float64]) -> tuple[float, str]:
    """In what unit resistances are told.

    Parameters
    ----------
    resistances : ndarray
        [ohm]; may have NaN.

    Returns
    -------
    factor : float
        From ohms to the unit.
    unit : str
        "mΩ", or "Ω" for small cells.
    """
    known = resistances[np.isfinite(resistances)]
    large = known.size > 0 and float(np.median(known)) > _LARGE
    return (1.0, "Ω") if large else (1e3, "mΩ")


def _draw_depths(_: SubFigure, ax: Axes, tests: xr.Dataset) -> None:
    """Resistance of the pulses over the charge discharged before them."""
    own = tests.isel(test=np.flatnonzero(_pulse_rows(tests)))
    charging = own["charge"].values < 0
    times = [t for t in (1, 10, 30) if np.isfinite(own[f"resistance_{t}s"].values).any()]
    factor, unit = resistance_unit(np.concatenate([own[f"resistance_{t}s"] for t in times or (1,)]))
    for k, time in enumerate(times):
        values = factor * own[f"resistance_{time}s"].values
        for where, marker, word in ((~charging, "o", "discharge"), (charging, "^", "charge")):
            known = where & np.isfinite(values)
            if known.any():
                ax.plot(own["depth"].values[known], values[known], marker, color=COLOURS[k], ms=4,
                        mew=0, label=f"{time} s, {word}")  # fmt: skip
    ax.set_title("Pulse resistance")
    ax.set_xlabel("Discharged charge [A·h]")
    ax.set_ylabel(f"Resistance [{unit}]")
    if ax.get_legend_handles_labels()[0]:
        ax.legend(loc="best")


# Over cycles ------------------------------------------------------------------------------


def _draw_cycles(ax: Axes, cycles: xr.Dataset) -> None:
    """Discharge capacity of every cycle; irregular ones as rings."""
    number, capacity = cycles["cycle"].values, cycles["discharge_capacity"].values
    flags = cycles.get("discharge_capacity_flag")
    odd = np.zeros(len(number), dtype=bool) if flags is None else flags.values.astype(bool)
    ax.plot(number[~odd], capacity[~odd], ".", ms=4, color=COLOURS[0], label="cycles")
    if odd.any():
        ax.plot(number[odd], capacity[odd], "o", ms=4, mfc="none", color=GREY, label="irregular")
        ax.legend(loc="best")
    ax.set_title("Discharge capacity of the cycles")
    ax.set_xlabel("Cycle")
    ax.set_ylabel("Capacity [A·h]")


# Over check-ups ---------------------------------------------------------------------------


def _series(checkups: xr.Dataset, start: str) -> list[str]:
    """Variables that at least two check-ups have."""
    return [
        str(name)
        for name in checkups.data_vars
        if str(name).startswith(start)
        and not str(name).endswith(("_std", "_flag"))
        and np.isfinite(checkups[name].values).sum() > 1
    ][: len(COLOURS)]


def _over_checkups(checkups: xr.Dataset, names: list[str], quantity: str) -> _Draw:
    factor, unit = 1.0, "A·h"
    if quantity == "Resistance":
        factor, unit = resistance_unit(np.concatenate([checkups[name] for name in names]))

    def draw(_: SubFigure, ax: Axes) -> None:
        for name, colour in zip(names, COLOURS, strict=False):
            label = name.partition("_")[2].replace("_", " ")
            values = factor * checkups[name].values
            ax.plot(checkups["cycle"].values, values, "o-", color=colour, ms=4, mew=0, label=label)
        ax.set_title(f"{quantity} at check-ups")
        ax.set_xlabel("Cycle")
        ax.set_ylabel(f"{quantity} [{unit}]")
        ax.legend(loc="best")

    return draw
