"""Figure of what fixed inputs add to a fit's uncertainty, made from its tree."""

from __future__ import annotations

import textwrap

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cellmodels.errors import InputError
from cellmodels.plotting import COLOURS, CURVES, GREY, STYLE, literal, mark

__all__ = ["plot_inputs"]

_ROWS = 14  # inputs shown
_DARK = 0.55  # shares below this are written in white


def plot_inputs(tree: xr.DataTree) -> Figure:
    """Which fixed inputs make a fit's parameters uncertain, and what the data say of them.

    Parameters
    ----------
    tree : xarray.DataTree
        Of a fit whose uncertainty includes its fixed inputs: group ``/fixed_inputs``.

    Returns
    -------
    matplotlib.figure.Figure
        One row for each input that matters most. Left the share of each parameter's variance that
        would go if it were known; right one standard deviation of its range as a grey bar, and
        where the data would put it, were it alone freed.

    Raises
    ------
    InputError
        When the tree has no such group.
    """
    if "fixed_inputs" not in tree.children:
        raise InputError(
            "There is nothing to plot: this fit does not include its fixed inputs; see "
            "Fit.with_fixed_inputs."
        )
    inputs = tree["fixed_inputs"].to_dataset()
    order = np.argsort(-inputs["share"].max("parameter").values, kind="stable")[:_ROWS]
    rows, columns = inputs.isel(input=order), inputs.sizes["parameter"]
    with mpl.rc_context(STYLE):
        size = (6.6 + 1.35 * columns, 2.2 + 0.27 * len(order))
        figure = Figure(figsize=size, layout="constrained")
        ratios = [1.35 * columns, 3.2]
        left, right = figure.subplots(1, 2, sharey=True, gridspec_kw={"width_ratios": ratios})
        _draw_shares(left, rows)
        _draw_places(right, rows)
        mark(figure, tree)
    return figure


def _draw_shares(ax: Axes, inputs: xr.Dataset) -> None:
    share = inputs["share"].values.T
    ax.imshow(share, cmap=CURVES, vmin=0, vmax=1, aspect="auto")
    for (i, k), value in np.ndenumerate(share):
        colour = "white" if value < _DARK else "black"
        text = f"{100 * value:.0f}" if value >= 0.005 else "·"
        ax.text(k, i, text, ha="center", va="center", color=colour, size=8)
    names = [textwrap.fill(literal(_short(n)), 20) for n in inputs["parameter"].values]
    errors = [
        f"{_spread(alone)} → {_spread(error)}"
        for alone, error in zip(
            inputs["data_standard_error"].values,
            inputs["scaled_standard_error"].values,
            strict=True,
        )
    ]
    labels = [f"{name}\n{error}" for name, error in zip(names, errors, strict=True)]
    ax.set_xticks(np.arange(len(names)), labels)
    ax.set_yticks(
        np.arange(inputs.sizes["input"]), [literal(_short(n)) for n in inputs["input"].values]
    )
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set_title("Share of the variance that would go if the input were known [%]")


def _draw_places(ax: Axes, inputs: xr.Dataset) -> None:
    at = np.arange(inputs.sizes["input"])
    ax.barh(at, 2.0, left=-1.0, height=0.7, color="0.88", lw=0, label="its range (±1 deviation)")
    ax.errorbar(
        inputs["data_shift"].values,
        at,
        xerr=inputs["data_deviation"].values,
        fmt="o",
        ms=4,
        color=COLOURS[0],
        elinewidth=1.4,
        label="after the data, if freed alone",
    )
    ax.axvline(0.0, color=GREY, lw=0.8, zorder=0)
    ax.tick_params(axis="y", length=0, labelleft=False)
    ax.set(title="The input itself", xlabel="Standard deviations from the value used")
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.5 / (0.27 * len(at) + 0.6)), ncols=1)


def _short(name: str) -> str:
    return str(name).partition(" [")[0]


def _spread(error: float) -> str:
    """A standard error of a scaled parameter."""
    if error < 0.5:
        return f"±{100 * error:.2g} %"
    return f"×{np.exp(min(error, 700.0)):.2g}"
