"""Figures of fits of a fresh cell: each experiment with what was simulated, before and after."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from numpy.typing import NDArray

from cellmodels.errors import InputError
from cellmodels.plotting import COLOURS, DATA, GREY, STYLE, draw_parameters, literal, mark

__all__ = ["draw_experiment", "plot_fresh_fit"]

_MODEL = COLOURS[0]
_HOUR = 3600.0
_COLUMNS = 2
_IMPEDANCE = ("impedance, real", "impedance, imaginary")


def plot_fresh_fit(tree: xr.DataTree) -> Figure:
    """Every variable of every experiment over time, charge or frequency, and the parameters.

    Parameters
    ----------
    tree : xarray.DataTree
        From ``FreshFit.to_datatree()``: groups ``/points`` and ``/parameters``.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        When the tree is not that of a fit.
    """
    if "points" not in tree.children or "parameters" not in tree.children:
        raise InputError("This tree is not that of a fit: it has no points or no parameters.")
    points, parameters = tree["points"].to_dataset(), tree["parameters"].to_dataset()
    panels = _panels(points)
    columns = min(len(panels), _COLUMNS)
    rows = -(-len(panels) // columns)
    strip = 0.7 + 0.34 * parameters.sizes["parameter"]
    with mpl.rc_context(STYLE):
        size = (4.2 * columns + 0.6 if columns > 1 else 7.0, 2.9 * rows + strip)
        figure = Figure(figsize=size, layout="constrained")
        upper, lower = figure.subfigures(
            2, 1, height_ratios=[2.9 * rows, strip], squeeze=False
        ).ravel()
        cells = upper.subfigures(rows, columns, squeeze=False).ravel()
        for cell, names in zip(cells, panels, strict=False):
            _draw_panel(cell, points, names)
        draw_parameters(lower, parameters)
        mark(figure, tree)
    return figure


def draw_experiment(
    ax: Axes,
    rest: Axes,
    at: NDArray[np.float64],
    data: NDArray[np.float64],
    after: NDArray[np.float64],
    before: NDArray[np.float64] | None = None,
    factor: float = 1.0,
) -> None:
    """Data, simulated before and after a fit, and below what is left times a factor."""
    ax.plot(at, data, ".", color=DATA, ms=3, label="data")
    if before is not None:
        ax.plot(at, before, color=GREY, lw=1.1, ls=(0, (4, 2)), label="start")
    ax.plot(at, after, color=_MODEL, lw=1.2, label="fit")
    ax.set_ylim(*_limits(data, after))
    if before is not None:
        rest.plot(at, factor * (before - data), color=GREY, lw=1.0, ls=(0, (4, 2)))
    rest.plot(at, factor * (after - data), color=_MODEL, lw=1.2)
    rest.axhline(0.0, color=DATA, lw=0.7)
    _keep_in_view(rest, factor * (after - data))


def _limits(*curves: NDArray[np.float64]) -> tuple[float, float]:
    """Limits for data and fit, wherever the start was."""
    low, high = min(map(np.min, curves)), max(map(np.max, curves))
    margin = 0.08 * float(high - low) or 1.0
    return float(low) - margin, float(high) + margin


def _keep_in_view(ax: Axes, values: NDArray[np.float64]) -> None:
    """Limits for the residuals of the fit, whatever they were before."""
    most = float(np.max(np.abs(values), initial=0.0))
    if most > 0.0:
        ax.set_ylim(-1.15 * most, 1.15 * most)


def _panels(points: xr.Dataset) -> list[tuple[str, ...]]:
    """Variables that share a panel: real and imaginary parts of an impedance do."""
    names = list(dict.fromkeys(points["variable"].values.astype(str)))
    real = _IMPEDANCE[0]
    panels: list[tuple[str, ...]] = []
    for name in names:
        if name.endswith(real):
            panels.append((name, name.removesuffix(real) + _IMPEDANCE[1]))
        elif not name.endswith(_IMPEDANCE[1]):
            panels.append((name,))
    return panels


def _draw_panel(subfigure: SubFigure, points: xr.Dataset, names: Sequence[str]) -> None:
    parts = [points.isel(point=points["variable"].values == name) for name in names]
    title = names[0].removesuffix(", real")
    if len(parts) > 1:
        ax = subfigure.subplots(1, 1)
        _draw_nyquist(ax, parts)
    else:
        one = parts[0]
        ax, rest = subfigure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": [2.4, 1.0]})
        order = np.argsort(one["at"].values, kind="stable")
        one = one.isel(point=order)
        label, scale = _axis(str(one["coordinate"].values[0]), one["at"].values)
        unit = str(one["unit"].values[0])
        before = one["start"].values if "start" in one else None
        draw_experiment(
            ax, rest, one["at"].values / scale, one["data"].values, one["prediction"].values,
            before, 1e3 if unit == "V" else 1.0,
        )  # fmt: skip
        ax.set_ylabel("Temperature [K]" if unit == "K" else "Voltage [V]")
        rest.set_ylabel("Fit − data\n[mV]" if unit == "V" else "Fit − data\n[K]")
        rest.set_xlabel(label)
    ax.set_title(literal(title))
    ax.legend(loc="best")


def _draw_nyquist(ax: Axes, parts: Sequence[xr.Dataset]) -> None:
    """Negative imaginary part over the real part."""
    real, imaginary = parts

    def pair(name: str) -> tuple[Any, Any]:
        return real[name].values, -imaginary[name].values

    ax.plot(*pair("data"), "o", color=DATA, ms=3.5, mfc="none", label="data")
    if "start" in real:
        ax.plot(*pair("start"), color=GREY, lw=1.1, ls=(0, (4, 2)), label="start")
    ax.plot(*pair("prediction"), ".-", color=_MODEL, lw=1.2, ms=3, label="fit")
    ax.set_aspect("equal", adjustable="datalim")
    ax.set_xlabel("Z′ [Ω]")
    ax.set_ylabel("−Z″ [Ω]")


def _axis(coordinate: str, at: NDArray[np.float64]) -> tuple[str, float]:
    if coordinate == "elapsed_time":
        return ("Time [h]", _HOUR) if np.ptp(at) > 0.5 * _HOUR else ("Time [s]", 1.0)
    return "Charge [A·h]", 1.0
