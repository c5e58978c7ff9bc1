"""Figures of many cells, from trees and datasets."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from cellmodels.many.laws import Law, per_kilojoule

__all__ = ["plot_population", "plot_predictions"]

_POINT, _LINE, _BAND = "#1f4e79", "#c2571a", "#c2571a"
_ZERO = 273.15
_RATIO = 3.0  # ratio from which on an axis is logarithmic


def plot_population(tree: xr.DataTree) -> Figure:
    """Parameters of the cells over the inverse temperature, with means and spread.

    Parameters
    ----------
    tree : xarray.DataTree
        Of a ``PooledFit``.

    Returns
    -------
    matplotlib.figure.Figure
        One panel a parameter: grey crosses are the cells' own fits, dots their estimates in the
        population (bars: one standard error), the line the mean with its 95 % interval, the outer
        band that of a new cell. Rates with an activation energy of the model's own are multiplied
        by it: they are the rates at the cell's temperature.
    """
    cells, p = tree["cells"].to_dataset(), tree["parameters"].to_dataset()
    names = [str(name) for name in p["parameter"].values]
    columns = min(len(names), 3)
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(3.6 * columns, 3.1 * rows + 0.4), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for i, name in enumerate(names):
        _panel(axes.flat[i], tree, cells, p, i, name)
    for axis in axes.flat[len(names) :]:
        axis.set_visible(False)
    return figure


def _panel(
    axis: Any, tree: xr.DataTree, cells: xr.Dataset, p: xr.Dataset, i: int, name: str
) -> None:
    law, c = Law.from_plain(json.loads(tree.attrs["law"])), tree["coefficients"].to_dataset()
    kelvin = cells["temperature"].values
    logarithmic = bool(p["logarithmic"].values[i])
    energy = law.built_in(name)
    start, unit = float(p["start"].values[i]), float(p["scaled_unit"].values[i])

    def natural(scaled: Any, t: Any) -> Any:
        """A value from scaled coordinates, at the temperature where the model has a law of it."""
        own = np.exp(energy * per_kilojoule(law.reference, t))
        return start * np.exp(scaled) * own if logarithmic else start + unit * scaled

    t = np.linspace(kelvin.min() - 3, kelvin.max() + 3, 60)
    x = np.array([law.design(each)[i] for each in t])
    mean = x @ c["beta"].values
    error = np.sqrt(np.einsum("tk,kl,tl->t", x, c["covariance"].values, x))
    spread = float(p["spread"].values[i]) / unit
    at = 1e3 / t
    for reach, alpha in ((np.hypot(error, spread), 0.13), (error, 0.25)):
        low, high = natural(mean - 1.96 * reach, t), natural(mean + 1.96 * reach, t)
        axis.fill_between(at, low, high, color=_BAND, alpha=alpha, lw=0)
    axis.plot(at, natural(mean, t), color=_LINE, lw=1.4)
    shift = _shift(kelvin)
    factor = natural(np.zeros_like(kelvin), kelvin) / start if logarithmic else 1.0
    alone, value = cells["alone"].values[:, i] * factor, cells["value"].values[:, i] * factor
    errors = cells["scaled_error"].values[:, i]
    bars = value * errors if logarithmic else unit * errors
    axis.plot(1e3 / kelvin + shift, alone, "x", color="0.55", ms=5, label="cell alone")
    axis.errorbar(
        1e3 / kelvin + shift,
        value,
        bars,
        fmt="o",
        color=_POINT,
        ms=4,
        lw=1,
        label="in the population",
    )
    if logarithmic and value.max() > _RATIO * value.min():
        axis.set_yscale("log")
    axis.set_title(name, fontsize=8, loc="left", pad=16)
    axis.set_xlabel("1000 K / T", fontsize=8)
    axis.tick_params(which="both", labelsize=7)
    top = axis.secondary_xaxis("top", functions=(_celsius, _inverse))
    top.set_xticks(np.unique(np.round(kelvin - _ZERO)))
    top.set_xticks(top.get_xticks(), [f"{t:g} °C" for t in top.get_xticks()])
    top.tick_params(labelsize=7)
    if i == 0:
        axis.legend(fontsize=7, frameon=False)


def _celsius(x: Any) -> Any:
    """1000 K / T to °C."""
    return 1e3 / np.maximum(np.asarray(x, float), 1e-3) - _ZERO


def _inverse(celsius: Any) -> Any:
    """°C to 1000 K / T."""
    return 1e3 / np.maximum(np.asarray(celsius, float) + _ZERO, 1e-3)


def _shift(kelvin: Any) -> Any:
    """Cells of one temperature side by side."""
    shift = np.zeros(len(kelvin))
    for t in np.unique(np.round(kelvin)):
        mine = np.flatnonzero(np.round(kelvin) == t)
        shift[mine] = 0.012 * (np.arange(mine.size) - (mine.size - 1) / 2)
    return shift


def plot_predictions(
    predictions: Sequence[xr.Dataset], measured: Sequence[xr.Dataset] = ()
) -> Figure:
    """Predicted lives with intervals, one panel a temperature.

    Parameters
    ----------
    predictions : sequence of Dataset
        Of ``predict_cells``.
    measured : sequence of Dataset
        Lives to draw beside them: the attribute ``temperature`` [K] says into which panel; one
        variable with the coordinate ``cycle``.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure = Figure(figsize=(4.2 * len(predictions), 3.5), layout="constrained")
    axes = figure.subplots(1, len(predictions), sharey=True, squeeze=False)
    for axis, found in zip(axes.flat, predictions, strict=True):
        at = found["cycle"].values
        for kind, alpha, label in (
            ("new_cell", 0.15, "a new cell, 95 %"),
            ("mean_cell", 0.35, "the mean cell, 95 %"),
        ):
            band = found[kind].sel(quantile=[0.025, 0.975]).values
            axis.fill_between(at, band[0], band[1], color=_BAND, alpha=alpha, lw=0, label=label)
        axis.plot(at, found["mean_cell"].sel(quantile=0.5).values, color=_LINE, lw=1.4)
        kelvin = float(found.attrs["temperature"])
        alike = [m for m in measured if abs(float(m.attrs["temperature"]) - kelvin) < 0.5]
        for k, life in enumerate(alike):
            values = life[next(iter(life.data_vars))].values
            words = "measured" if k == 0 else "_"
            axis.plot(life["cycle"].values, values, color=_POINT, lw=0.6, alpha=0.7, label=words)
        axis.set_title(f"{kelvin - _ZERO:.0f} °C", fontsize=9, loc="left")
        axis.set_xlabel("cycle")
    axes.flat[0].set_ylabel(
        f"{predictions[0].attrs['variable'].replace('_', ' ')} [{predictions[0].attrs['unit']}]"
    )
    axes.flat[0].legend(fontsize=7, frameon=False, loc="lower left")
    return figure
