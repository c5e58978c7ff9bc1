"""Figures of electrode balances and degradation modes, made from their datasets."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cellmodels.plotting import AXIS_NAMES, COLOURS, DATA, STYLE, literal

__all__ = ["plot_balance", "plot_curves", "plot_modes"]

_MODEL, _POSITIVE, _NEGATIVE = COLOURS[0], COLOURS[1], COLOURS[2]
_MOST_ROWS = 6
_STEEPEST = 2.5  # of the 80 % quantile of the slopes, that are shown
_DAY = 86400.0
_WORDS = {
    "loss_of_lithium_inventory": "lithium inventory",
    "loss_of_active_material_negative": "negative active material",
    "loss_of_active_material_positive": "positive active material",
}


def plot_balance(curves: xr.Dataset) -> Figure:
    """One fitted curve: voltage, residuals, differential voltage and incremental capacity.

    Parameters
    ----------
    curves : xarray.Dataset
        Of one check-up, from `ElectrodeBalance.curves` or `DegradationModes.curves`.

    Returns
    -------
    matplotlib.figure.Figure
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(10.0, 6.6), layout="constrained")
        (volts, slopes), (rest, densities) = figure.subplots(2, 2)
        _draw_voltages(volts, curves)
        _draw_slopes(slopes, curves)
        known = np.isfinite(curves["residual"].values)
        charge = curves["fitted_charge"].values[known]
        rest.axhline(0.0, color=_MODEL, lw=1.2)
        rest.plot(charge, 1e3 * curves["residual"].values[known], ".", color=DATA, ms=3)
        rest.set(title="Residuals", xlabel="Discharged charge [A·h]", ylabel="Model − data [mV]")
        _draw_densities(densities, curves)
    return figure


def plot_curves(curves: xr.Dataset) -> Figure:
    """Differential voltage and incremental capacity of each check-up.

    Parameters
    ----------
    curves : xarray.Dataset
        From `DegradationModes.curves`, dimension ``checkup``.

    Returns
    -------
    matplotlib.figure.Figure
        One row a check-up; of more than six the first, the last and four between.
    """
    count = curves.sizes["checkup"]
    rows = np.unique(np.linspace(0, count - 1, min(count, _MOST_ROWS)).round().astype(int))
    coordinate, at, _ = _abscissa(curves)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(10.0, 0.4 + 2.5 * rows.size), layout="constrained")
        axes = figure.subplots(rows.size, 2, squeeze=False, sharex="col")
        for (left, right), row in zip(axes, rows, strict=True):
            one = curves.isel(checkup=row)
            _draw_slopes(left, one, legend=bool(row == rows[0]))
            _draw_densities(right, one, legend=bool(row == rows[0]))
            for ax in (left, right):
                ax.set_title(f"{coordinate} {at[row]:.4g}")
                if row != rows[-1]:
                    ax.set_xlabel("")
    return figure


def plot_modes(modes: xr.Dataset) -> Figure:
    """Degradation modes and capacity over life, with bars of one standard error.

    Parameters
    ----------
    modes : xarray.Dataset
        From `DegradationModes.dataset`.

    Returns
    -------
    matplotlib.figure.Figure
    """
    _, at, label = _abscissa(modes)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9.6, 3.8), layout="constrained")
        left, right = figure.subplots(1, 2)
        for (name, words), colour in zip(
            _WORDS.items(), (_MODEL, _NEGATIVE, _POSITIVE), strict=True
        ):
            _draw_errors(left, at, modes, name, colour, words)
        left.axhline(0.0, color="0.8", lw=0.8, zorder=0)
        left.legend(loc="best")
        left.set(title="Losses", xlabel=label, ylabel="Loss [%]")
        _draw_errors(right, at, modes, "capacity", DATA, "capacity")
        right.set(title="Capacity at open circuit", xlabel=label, ylabel="Capacity [A·h]")
    return figure


def _draw_errors(ax: Axes, at: Any, modes: xr.Dataset, name: str, colour: str, label: str) -> None:
    ax.errorbar(
        at,
        modes[name].values,
        yerr=modes[f"{name}_std"].values,
        fmt="o-",
        ms=4,
        lw=1.2,
        capsize=2.5,
        elinewidth=0.9,
        color=colour,
        label=label,
    )


def _abscissa(dataset: xr.Dataset) -> tuple[str, Any, str]:
    """Name, values and label of what check-ups are placed by."""
    for name in ("cycle", "throughput", "elapsed_time"):
        if name in dataset.coords:
            at = np.asarray(dataset[name].values, dtype=float)
            if np.isfinite(at).all():
                scale = _DAY if name == "elapsed_time" else 1.0
                label = AXIS_NAMES[name]
                return label.partition(" [")[0], np.atleast_1d(at) / scale, label
    return "Check-up", np.arange(dataset.sizes.get("checkup", 1)), "Check-up"


def _draw_voltages(ax: Axes, curves: xr.Dataset) -> None:
    charge = curves["charge"].values
    ax.plot(charge, curves["voltage"].values, color=DATA, lw=3.0, alpha=0.45, label="data")
    ax.plot(charge, curves["model_voltage"].values, color=_MODEL, lw=1.2, label="model")
    positive, negative = (curves[f"{side}_potential"].values for side in ("positive", "negative"))
    ax.plot(charge, positive, color=_POSITIVE, lw=1.0, ls="--", label="positive electrode")
    ax.plot(charge, negative, color=_NEGATIVE, lw=1.0, ls="--", label="negative electrode")
    ax.set(title="Voltage", xlabel="Discharged charge [A·h]", ylabel="Voltage, potential [V]")
    ax.legend(loc="best")


def _draw_slopes(ax: Axes, curves: xr.Dataset, legend: bool = True) -> None:
    charge = curves["charge"].values
    measured = curves["differential_voltage"].values
    ax.plot(charge, measured, color=DATA, lw=2.4, alpha=0.45, label="data")
    for name, colour, style, label in (
        ("model", _MODEL, "-", "model"),
        ("positive", _POSITIVE, "--", "positive electrode"),
        ("negative", _NEGATIVE, "--", "negative electrode"),
    ):
        values = curves[f"{name}_differential_voltage"].values
        ax.plot(charge, values, color=colour, lw=1.1, ls=style, label=label)
    top = _STEEPEST * float(np.nanquantile(measured, 0.8))
    ax.set_ylim(min(0.0, 0.3 * float(np.nanmin(measured))), top)  # the ends are steep
    ax.set(
        title="Differential voltage",
        xlabel="Discharged charge [A·h]",
        ylabel=literal("−dV/dQ [V·A⁻¹·h⁻¹]"),
    )
    if legend:
        ax.legend(loc="best")


def _draw_densities(ax: Axes, curves: xr.Dataset, legend: bool = True) -> None:
    level = curves["level"].values
    ax.plot(
        level, curves["incremental_capacity"].values, color=DATA, lw=2.4, alpha=0.45, label="data"
    )
    ax.plot(level, curves["model_incremental_capacity"].values, color=_MODEL, lw=1.1, label="model")
    ax.set(title="Incremental capacity", xlabel="Voltage [V]", ylabel="−dQ/dV [A·h·V⁻¹]")
    if legend:
        ax.legend(loc="best")
