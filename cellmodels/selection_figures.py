"""Figure of a comparison of mechanisms, made from its tree."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator
from numpy.typing import NDArray

from cellmodels.plotting import AXIS_NAMES, COLOURS, DATA, GREY, STYLE, literal, mark

__all__ = ["plot_selection"]

_TOLD_APART = 4.0  # difference of AICc
_DAY = 86400.0


def plot_selection(tree: xr.DataTree) -> Figure:
    """Data with the models of all sets, their AICc, and their errors in predictions.

    Parameters
    ----------
    tree : xarray.DataTree
        Of a comparison of mechanisms.

    Returns
    -------
    matplotlib.figure.Figure
        Above, for each fitted scalar (three at most), the residuals of every set in the noise's
        units. Below, the differences of AICc, and the root mean square of what each set predicts
        after every cut.
    """
    sets = [str(name) for name in tree["sets"].to_dataset()["set"].values]
    kept = tree.children["fits"].children if "fits" in tree.children else {}
    fits = {name: kept[str(k)] for k, name in enumerate(sets) if str(k) in kept}
    keys = _keys(fits)
    with mpl.rc_context(STYLE):
        height = 2.3 * len(keys) + 1.1 + 0.34 * len(sets) + 0.6
        figure = Figure(figsize=(8.4, height), layout="constrained")
        ratios = [2.3 * len(keys), 1.4 + 0.34 * len(sets)] if keys else [1.0]
        parts = figure.subfigures(len(ratios), 1, height_ratios=ratios, squeeze=False).ravel()
        if keys:
            rows = parts[0].subplots(len(keys), 1, squeeze=False).ravel()
            for ax, key in zip(rows, keys, strict=True):
                _draw_residuals(ax, key, sets, fits)
            parts[0].legend(*rows[0].get_legend_handles_labels(), loc="outside upper center",
                            ncols=min(len(fits), 4))  # fmt: skip
        left, right = parts[-1].subplots(1, 2)
        _draw_aicc(left, tree["sets"].to_dataset(), sets)
        _draw_scores(right, tree["scores"].to_dataset(), sets)
        mark(figure, *fits.values())
    return figure


def _keys(fits: dict[str, xr.DataTree]) -> list[tuple[str, str]]:
    """Fitted scalars, those with most points first."""
    if not fits:
        return []
    points = next(iter(fits.values()))["points"].to_dataset()
    scalar = points["column"].values < 0
    groups, variables = points["group"].values[scalar], points["variable"].values[scalar]
    pairs = list(zip(groups, variables, strict=True))
    found = sorted(set(pairs), key=lambda pair: -pairs.count(pair))
    return [(str(group), str(variable)) for group, variable in found[:3]]


def _draw_residuals(
    ax: Axes, key: tuple[str, str], sets: list[str], fits: dict[str, xr.DataTree]
) -> None:
    ax.axhspan(-1.0, 1.0, color="0.92", zorder=0)
    ax.axhline(0.0, color=DATA, lw=0.8)
    for name, fit in fits.items():
        points = fit["points"].to_dataset()
        mine = (points["group"].values == key[0]) & (points["variable"].values == key[1])
        mine = points.isel(point=mine).sortby("at")
        coordinate = str(mine["coordinate"].values[0])
        at = mine["at"].values / (_DAY if coordinate == "elapsed_time" else 1.0)
        colour = COLOURS[sets.index(name) % len(COLOURS)]
        style = "." if len(at) > 80 else "o-"
        ax.plot(
            at, mine["normalised_residual"].values, style, ms=2.5, lw=0.8, color=colour,
            label=literal(name), alpha=0.8,
        )  # fmt: skip
        ax.set_xlabel(AXIS_NAMES[coordinate])
    where = "" if key[0] == "cycles" else " at check-ups"
    title = literal(key[1][:1].upper() + key[1][1:].replace("_", " "))
    ax.set_yscale("symlog", linthresh=3.0)
    ax.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
    ax.set(title=title + where, ylabel="(Model − data) / noise")


def _draw_aicc(ax: Axes, data: xr.Dataset, sets: list[str]) -> None:
    delta = data["delta_aicc"].values
    shown = np.clip(np.nan_to_num(delta, nan=0.0), 0.0, None)
    ax.barh(np.arange(len(sets)), shown, height=0.6, color=_colours(len(sets)))
    for k, value in enumerate(delta):
        text = f" {value:.3g}" if np.isfinite(value) else " failed"
        ax.text(shown[k], k, text, va="center", size=8)
    ax.axvline(_TOLD_APART, color=GREY, lw=0.8, ls="--")
    ax.set_xscale("symlog", linthresh=_TOLD_APART, linscale=0.6)
    ax.set_xlim(0.0, 3.0 * max(float(shown.max(initial=0.0)), _TOLD_APART))
    ticks = [t for t in (0, 4, 10, 30, 100, 300, 1000, 3000, 10000) if t <= ax.get_xlim()[1]]
    ax.set_xticks(ticks, [f"{t}" for t in ticks], minor=False)
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_yticks(np.arange(len(sets)), [literal(name) for name in sets])
    ax.invert_yaxis()
    ax.set(title="Less is better", xlabel="AICc above the smallest (dashed: told apart)")


def _draw_scores(ax: Axes, scores: xr.Dataset, sets: list[str]) -> None:
    at = np.arange(len(sets), dtype=float)
    count = max(scores.sizes["cut"], 1)
    finite: NDArray[np.float64] = np.array([])
    for k, cut in enumerate(scores["cut"].values):
        rmse = scores["rmse"].sel(cut=cut).values
        finite = np.append(finite, rmse[np.isfinite(rmse)])
        shade = 0.25 + 0.6 * k / count
        ax.plot(rmse, at + 0.2 * (k - (count - 1) / 2), "o", ms=5, color=str(shade),
                label=f"{100 * cut:.0f} %")  # fmt: skip
    if finite.size:
        ax.set_xscale("log")
        ax.set_xlim(finite.min() / 1.5, finite.max() * 1.5)
        ax.legend(loc="best", title="of the life fitted", title_fontsize=8)
    ax.set_ylim(len(sets) - 0.5, -0.5)
    ax.set_yticks(at, [""] * len(sets))
    ax.grid(axis="x", color="0.9", lw=0.6)
    ax.set(title="Prediction of the rest", xlabel="Root mean square / noise")


def _colours(count: int) -> list[str]:
    return [COLOURS[k % len(COLOURS)] for k in range(count)]
