"""Figures of what fitted values are worth, made from datasets."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from itertools import pairwise

import matplotlib as mpl
import numpy as np
import scipy.interpolate
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from numpy.typing import NDArray

from cellmodels.errors import InputError
from cellmodels.plotting import COLOURS, DATA, GREY, STYLE, literal, mark

__all__ = ["plot_pairs", "plot_profiles"]

Array = NDArray[np.float64]

_BLUE, _RED = COLOURS[0], COLOURS[1]
_TALLEST = 2.4  # of a profile's axis, in thresholds
_COLUMNS = 3
_WIDE = 1.15  # room beside what is shown
_SPREAD = 2.5  # factor between the ends of an axis from which on it is logarithmic
_DECADES = 30.0  # up to which ends of an axis more than powers of ten are labelled
_MOST_DOTS = 3000
_BINS = 40
_ERRORS = (1.515, 2.448)  # radii that hold 68.3 and 95 % of a normal distribution of two


def plot_profiles(profile: xr.Dataset, *trees: xr.DataTree) -> Figure:
    """The deviance over each profiled parameter.

    Parameters
    ----------
    profile : xarray.Dataset
        From ``Fit.profile()``.
    *trees : xarray.DataTree
        The fit's, from ``Fit.to_datatree()``: the figure then says what must be known of its
        numbers (:func:`cellmodels.plotting.mark`).

    Returns
    -------
    matplotlib.figure.Figure
        For each parameter the evaluated points and a curve through them, the threshold, the
        interval shaded (up to the axis where a side is open), the optimum, and dotted the parabola
        of the standard error.

    Raises
    ------
    InputError
        When the dataset is no profile.
    """
    if "closed_low" not in profile or "deviance" not in profile:
        raise InputError("There is no profile to plot: the dataset is not of fit.profile().")
    count = profile.sizes["parameter"]
    columns = min(_COLUMNS, count)
    rows = -(-count // columns)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(3.1 * columns + 0.4, 2.7 * rows + 0.4), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
        for k in range(count):
            _draw_profile(axes[k], profile.isel(parameter=k), float(profile.attrs["threshold"]))
            if k % columns == 0:
                axes[k].set_ylabel("Deviance")
        for ax in axes[count:]:
            ax.set_axis_off()
        figure.legend(handles=_profile_legend(profile), loc="outside lower center", ncols=4)
        mark(figure, *trees)
    return figure


def plot_pairs(tree: xr.DataTree) -> Figure:
    """Fitted parameters against each other.

    Parameters
    ----------
    tree : xarray.DataTree
        From ``Fit.to_datatree()``. Samples are shown where it has any, else bootstrap refits, and
        in any case the ellipses of the covariance.

    Returns
    -------
    matplotlib.figure.Figure
        Below the diagonal pairs of parameters, with ellipses that hold 68 and 95 % of a normal
        distribution; on the diagonal each of them. Parameters on a logarithmic scale are shown over
        their fitted value.

    Raises
    ------
    InputError
        When the tree is not that of a fit.
    """
    if "parameters" not in tree.children:
        raise InputError("There are no pairs to plot: the tree is not that of a fit.")
    shown = _Shown.of(tree)
    count = len(shown.names)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(1.9 * count + 1.2, 1.9 * count + 0.8), layout="constrained")
        axes = figure.subplots(count, count, squeeze=False)
        for row in range(count):
            for column in range(count):
                _draw_pair(axes[row, column], shown, row, column)
                _label_pair(axes[row, column], shown, row, column)
        mark(figure, tree)
    return figure


# Profiles -----------------------------------------------------------------------------------


def _draw_profile(ax: Axes, profile: xr.Dataset, threshold: float) -> None:
    at, deviance = profile["at"].values, profile["deviance"].values
    known = np.isfinite(at)
    at, deviance = at[known], deviance[known]
    optimum = float(profile["optimum"])
    logarithmic = bool(profile["logarithmic"])
    left, right = _limits(profile, at, logarithmic)
    pieces = _pieces(profile, left, right)
    for low, high in pieces:
        ax.axvspan(low, high, color=_BLUE, alpha=0.10, lw=0)
        for end in (low, high):
            if left < end < right:
                ax.axvline(end, color=_BLUE, lw=0.8)
    for side in ("low", "high"):
        if not bool(profile[f"closed_{side}"]):
            why = {"blocked": "simulations\nfail"}.get(str(profile[f"end_{side}"].item()), "open")
            ax.annotate(
                why, (0.04 if side == "low" else 0.96, 0.93), xycoords="axes fraction",
                ha="left" if side == "low" else "right", va="top", color=_RED, fontsize=8,
            )  # fmt: skip
    grid = _between(left, right, logarithmic)
    ax.plot(grid, _parabola(profile, grid), color=GREY, lw=1.0, ls=(0, (1, 1.5)))
    for mine in _by_piece(at, pieces, logarithmic):
        lowest = at[mine][np.argmin(deviance[mine])]
        ax.plot(*_smooth(at[mine], deviance[mine], lowest, logarithmic), color=_BLUE, lw=1.4)
    ax.plot(at, deviance, "o", color=_BLUE, ms=3.2)
    ax.axhline(threshold, color=DATA, lw=0.9, ls=(0, (4, 2)))
    ax.axvline(optimum, color=DATA, lw=0.8)
    if logarithmic and right / left > _SPREAD:
        ax.set_xscale("log")
    ax.set_xlim(left, right)
    ax.set_ylim(min(0.0, 1.1 * float(deviance.min())), _TALLEST * threshold)
    _tidy(ax, logarithmic and right / left > _SPREAD)
    ax.set_xlabel(_wrapped(str(profile["parameter"].item()), 34))


def _limits(profile: xr.Dataset, at: Array, logarithmic: bool) -> tuple[float, float]:
    """Ends of the axis: a little beyond interval and points."""
    ends = [at.min(), at.max()]
    for side in ("low", "high"):
        if bool(profile[f"closed_{side}"]):
            ends.append(float(profile[f"interval_{side}"]))
    left, right = min(ends), max(ends)
    if logarithmic:
        room = (right / left) ** ((_WIDE - 1) / 2)
        return left / room, right * room
    room = (right - left) * (_WIDE - 1) / 2 or abs(left) or 1.0
    return left - room, right + room


def _pieces(profile: xr.Dataset, left: float, right: float) -> list[tuple[float, float]]:
    """The interval's parts, up to the axis where a side is open."""
    known = [(low, high) for low, high in profile["pieces"].values if np.isfinite(low + high)]
    if not bool(profile["closed_low"]):
        known[0] = (left, known[0][1])
    if not bool(profile["closed_high"]):
        known[-1] = (known[-1][0], right)
    return known


def _by_piece(
    at: Array, pieces: list[tuple[float, float]], logarithmic: bool
) -> list[NDArray[np.intp]]:
    """Which points belong to which piece: they part in the middle of the gaps."""
    gaps = [(a[1], b[0]) for a, b in pairwise(pieces)]
    middles = [np.sqrt(a * b) if logarithmic else 0.5 * (a + b) for a, b in gaps]
    owner = np.searchsorted(middles, at)
    return [found for k in range(len(pieces)) if len(found := np.flatnonzero(owner == k))]


def _smooth(at: Array, deviance: Array, optimum: float, logarithmic: bool) -> tuple[Array, Array]:
    """A curve through the points: monotone between them in the signed root of the deviance.

    That of another optimum is measured from there.
    """
    lowest = float(max(deviance.min(), 0.0))
    deviance = deviance - lowest
    side = np.sign(at - optimum)
    root = np.where(side == 0, 0.0, side * np.sign(deviance) * np.sqrt(np.abs(deviance)))
    x = np.log(at) if logarithmic else at
    _, first = np.unique(x, return_index=True)
    if len(first) < 2:
        return at, deviance + lowest
    fine = np.linspace(x[first[0]], x[first[-1]], 300)
    roots = scipy.interpolate.PchipInterpolator(x[first], root[first])(fine)
    here = np.exp(fine) if logarithmic else fine
    sign = np.sign(roots) * np.where(here < optimum, -1.0, 1.0)
    return here, np.asarray(sign * roots**2 + lowest)


def _parabola(profile: xr.Dataset, grid: Array) -> Array:
    """The deviance that the standard error promises."""
    optimum, error = float(profile["optimum"]), float(profile["scaled_standard_error"])
    if bool(profile["logarithmic"]):
        return np.asarray((np.log(grid / optimum) / error) ** 2)
    return np.asarray(((grid - optimum) / (error * float(profile["linear_unit"]))) ** 2)


def _profile_legend(profile: xr.Dataset) -> list[Line2D]:
    level = 100.0 * float(profile.attrs["level"])
    return [
        Line2D([], [], color=_BLUE, marker="o", ms=3.2, lw=1.4, label="profile"),
        Line2D([], [], color=GREY, lw=1.0, ls=(0, (1, 1.5)), label="standard error"),
        Line2D([], [], color=DATA, lw=0.9, ls=(0, (4, 2)), label=f"{level:g} % threshold"),
        Line2D([], [], color=DATA, lw=0.8, label="optimum"),
    ]


# Pairs --------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Shown:
    """What a pair plot shows, in coordinates in which the covariance is."""

    names: list[str]
    logarithmic: NDArray[np.bool_]
    optimum: Array
    slopes: Array
    covariance: Array
    draws: Array
    lower: Array
    upper: Array

    @classmethod
    def of(cls, tree: xr.DataTree) -> _Shown:
        p = tree["parameters"].to_dataset()
        logarithmic = p["logarithmic"].values.astype(bool)
        value, error = p["value"].values, p["standard_error"].values
        scaled_error = p["scaled_standard_error"].values
        slopes = np.where(logarithmic, value, error / np.where(scaled_error > 0, scaled_error, 1.0))
        kind = next((k for k in ("samples", "bootstrap") if k in tree.children), None)
        draws = np.empty((0, value.size))
        if kind is not None:
            draws = tree[kind].to_dataset()["values"].values.reshape(-1, value.size)
            draws = draws[np.all(np.isfinite(draws), axis=1)]
        bounds = [p[name].values for name in ("lower_bound", "upper_bound")]
        names = [str(n) for n in p["parameter"].values]
        return cls(
            names, logarithmic, value, slopes, p["covariance"].values, draws, bounds[0], bounds[1]
        )

    def natural(self, index: int, step: Array) -> Array:
        """What the axis of a parameter shows for a step of its scaled coordinate."""
        if self.logarithmic[index]:
            return np.exp(np.clip(step, -60, 60))
        return np.asarray(self.optimum[index] + step * self.slopes[index])

    def column(self, index: int) -> Array:
        """Draws as the axis shows them."""
        values = self.draws[:, index]
        return values / self.optimum[index] if self.logarithmic[index] else values

    def limits(self, index: int) -> tuple[float, float]:
        """Ends of a parameter's axis: draws and four standard errors, inside the bounds."""
        error = float(np.sqrt(self.covariance[index, index]))
        ends = list(self.natural(index, np.array([-3.0, 3.0]) * error))
        if len(self.draws):
            column = self.column(index)
            ends = [min(ends[0], column.min()), max(ends[1], column.max())]
        unit = self.optimum[index] if self.logarithmic[index] else 1.0
        low = max(ends[0], float(self.lower[index]) / unit)
        return low, min(ends[1], float(self.upper[index]) / unit)


def _draw_pair(ax: Axes, shown: _Shown, row: int, column: int) -> None:
    if column > row:
        ax.set_axis_off()
        return
    x = shown.limits(column)
    ax.set_xlim(*x)
    if shown.logarithmic[column] and x[1] / x[0] > _SPREAD:
        ax.set_xscale("log")
    if row == column:
        _draw_one(ax, shown, row)
        return
    y = shown.limits(row)
    if shown.logarithmic[row] and y[1] / y[0] > _SPREAD:
        ax.set_yscale("log")
    step = max(len(shown.draws) // _MOST_DOTS, 1)
    ax.plot(
        shown.column(column)[::step], shown.column(row)[::step], ".", color=DATA, ms=1.6, alpha=0.35
    )
    pair = [column, row]
    values, vectors = np.linalg.eigh(shown.covariance[np.ix_(pair, pair)])
    angle = np.linspace(0.0, 2 * np.pi, 200)
    circle = vectors @ (np.sqrt(np.clip(values, 0, None))[:, None] * [np.cos(angle), np.sin(angle)])
    for radius in _ERRORS:
        ax.plot(
            shown.natural(column, radius * circle[0]), shown.natural(row, radius * circle[1]),
            color=_BLUE, lw=1.0,
        )  # fmt: skip
    here = [shown.natural(k, np.zeros(1))[0] for k in (column, row)]
    ax.plot(*here, "+", color=_RED, ms=8, mew=1.4)
    ax.set_ylim(*y)


def _draw_one(ax: Axes, shown: _Shown, index: int) -> None:
    """The distribution of one parameter."""
    low, high = shown.limits(index)
    wide = bool(shown.logarithmic[index]) and high / low > _SPREAD
    if len(shown.draws):
        column = shown.column(index)
        edges = _between(low, high, wide, min(_BINS, 8 + int(np.sqrt(len(column)))))
        counts, _ = np.histogram(column, edges)
        widths = np.diff(np.log(edges) if wide else edges)
        ax.stairs(counts / (len(column) * widths), edges, fill=True, color=DATA, alpha=0.35)
    error = float(np.sqrt(shown.covariance[index, index]))
    step = np.linspace(-4.0, 4.0, 300) * error
    here = shown.natural(index, step)
    # density by what the axis shows evenly: the value, or its logarithm
    slope = here if shown.logarithmic[index] else shown.slopes[index]
    scale = error * np.abs(1.0 if wide else slope)
    density = np.exp(-0.5 * (step / error) ** 2) / (np.sqrt(2 * np.pi) * scale)
    ax.plot(here, density, color=_BLUE, lw=1.2)
    ax.axvline(shown.natural(index, np.zeros(1))[0], color=_RED, lw=1.0)
    ax.set_xlim(low, high)
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)


def _label_pair(ax: Axes, shown: _Shown, row: int, column: int) -> None:
    if column > row:
        return
    last = len(shown.names) - 1
    _tidy(ax, ax.get_xscale() == "log", few=True)
    if row != column:
        _tidy(ax, ax.get_yscale() == "log", axis="y", few=True)
    if row == last:
        ax.set_xlabel(_axis_name(shown, column))
    else:
        ax.tick_params(axis="x", labelbottom=False)
    if column == 0 and row > 0:
        ax.set_ylabel(_axis_name(shown, row))
    elif row != column:
        ax.tick_params(axis="y", labelleft=False)


def _axis_name(shown: _Shown, index: int) -> str:
    name = shown.names[index]
    over = " / fitted" if shown.logarithmic[index] else ""
    return _wrapped((name.split(" [")[0] if over else name) + over, 24)


# Axes ---------------------------------------------------------------------------------------


def _between(left: float, right: float, logarithmic: bool, count: int = 300) -> Array:
    if logarithmic:
        return np.geomspace(left, right, count)
    return np.linspace(left, right, count)


def _tidy(ax: Axes, logarithmic: bool, axis: str = "x", few: bool = False) -> None:
    """Few ticks, with short labels."""
    which = ax.xaxis if axis == "x" else ax.yaxis
    if logarithmic:
        low, high = which.get_view_interval()
        if high < _DECADES * low:
            which.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        which.set_major_formatter(FuncFormatter(lambda x, _: f"{x:.3g}"))
        which.set_minor_formatter(NullFormatter())
    else:
        which.set_major_locator(MaxNLocator(3 if few else 4))
        which.set_major_formatter(FuncFormatter(lambda x, _: f"{x:.6g}"))
    ax.tick_params(axis="x" if axis == "x" else "y", labelsize=7.5)


def _wrapped(name: str, width: int) -> str:
    return literal("\n".join(textwrap.wrap(name, width)))
