"""Figures of lives and fits, made from their datasets.

Nothing here touches pyplot or its global state: every function returns a new
``matplotlib.figure.Figure``, which works without a display. Colours are those of Okabe & Ito
(https://jfly.uni-koeln.de/color/) and ``cividis``, which colour-blind readers can tell apart.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter
from numpy.typing import NDArray

from cellmodels.errors import InputError
from cellmodels.estimates import names_in, sentence

__all__ = ["draw_parameters", "mark", "plot_fit", "plot_impedance", "plot_life", "plot_trace_fit"]

_BLUE, _ORANGE, _GREEN, _RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
DATA, _MODEL, _FLAG, GREY = "#555555", _BLUE, _RED, "#9A9A9A"
COLOURS = (_BLUE, _RED, _GREEN, _ORANGE, "#CC79A7", "#56B4E9", "#000000")
CURVES: Colormap = mpl.colormaps["cividis"].copy()

AXIS_NAMES = {
    "cycle": "Cycle",
    "throughput": "Charge throughput [A·h]",
    "elapsed_time": "Time [days]",
    "spectrum": "Spectrum",
}
_COORDINATES = ("cycle", "throughput", "elapsed_time")
_ALONG = {"charge": "Discharged charge [A·h]", "time": "Time since the step began [s]"}
_POINTS = "frequency_point"
_SECONDS_A_DAY = 86400.0
_MANY = 8  # panels, from which on there are more columns
#: Quantities of a cell's state that are compared, and the name of their panel.
_TOGETHER = {
    "metal_state_of_charge": "State of charge",
    "halogen_state_of_charge": "State of charge",
    "ph_negative": "pH",
    "ph_positive": "pH",
    "metal_amount": "Amount on an electrode",
    "halogen_amount": "Amount on an electrode",
}
_LETTERS = 14.0  # of a title, an inch
_UNITS = {"A.h": "A·h", "W.h": "W·h", "ohm": "Ω", "Ohm": "Ω", "-": "", "": ""}
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
STYLE: Any = {
    "font.size": 9.0,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "legend.frameon": False,
    "legend.fontsize": 8.0,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "axes.formatter.useoffset": False,
}


def plot_fit(tree: xr.DataTree) -> Figure:
    """Data, model and residuals of every fitted variable, and the parameters.

    Parameters
    ----------
    tree : xarray.DataTree
        From ``Fit.to_datatree()``: groups ``/points``, ``/parameters`` and ``/record``.

    Returns
    -------
    matplotlib.figure.Figure
        For each variable the data with bars of one standard deviation, flagged outliers as
        crosses, the model as a line, and below it the residuals divided by the noise. Last,
        each parameter's 95 % interval relative to the start, with its bounds; grey where the
        data do not determine it.

    Raises
    ------
    InputError
        When the tree is not that of a fit.
    """
    _require(tree, "points", "parameters")
    panels = _fit_panels(tree)
    parameters = tree["parameters"].to_dataset()
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    strip = 0.7 + 0.34 * parameters.sizes["parameter"]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.6 * columns + 1.0, 3.1 * rows + strip), layout="constrained")
        halves = figure.subfigures(2, 1, height_ratios=[3.1 * rows, strip], squeeze=False)
        upper, lower = halves.ravel()
        cells = upper.subfigures(rows, columns, squeeze=False).ravel()
        for subfigure, panel in zip(cells, panels, strict=False):
            _draw_panel(subfigure, panel)
        draw_parameters(lower, parameters)
        mark(figure, tree)
    return figure


def plot_life(tree: xr.DataTree) -> Figure:
    """Everything that a record or a simulated life holds by cycle and by check-up.

    Parameters
    ----------
    tree : xarray.DataTree
        Record with groups ``/cycles`` and/or ``/checkups``.

    Returns
    -------
    matplotlib.figure.Figure
        One panel a unit and group (capacities together, resistances together, …), and one
        for each voltage curve.

    Raises
    ------
    InputError
        When there is nothing to show.
    """
    panels = _life_panels(tree)
    if not panels:
        raise InputError("There is nothing to plot: the record has no cycles and no check-ups.")
    columns = min(2 if len(panels) <= _MANY else 4, len(panels))
    rows = -(-len(panels) // columns)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.6 * columns + 0.4, 2.9 * rows), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for ax, (dataset, names) in zip(axes, panels, strict=False):
            if dataset[names[0]].ndim == 2:
                _draw_voltage_curves(figure, ax, dataset, names[0])
            else:
                _draw_scalars(ax, dataset, names)
        for ax in axes[len(panels) :]:
            ax.set_axis_off()
        mark(figure, tree)
    return figure


def plot_trace_fit(tree: xr.DataTree) -> Figure:
    """A measured voltage trace with the fitted one, their difference, and the parameters.

    Parameters
    ----------
    tree : xarray.DataTree
        From ``TraceFit.to_datatree()``: groups ``/points`` and ``/parameters``.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        When the tree is not that of a fit.
    """
    _require(tree, "points", "parameters")
    points, parameters = tree["points"].to_dataset(), tree["parameters"].to_dataset()
    hours = points["at"].values / 3600.0
    strip = 0.7 + 0.34 * parameters.sizes["parameter"]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.0, 3.8 + strip), layout="constrained")
        halves = figure.subfigures(2, 1, height_ratios=[3.8, strip], squeeze=False)
        upper, lower = halves.ravel()
        trace, rest = upper.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": [2.6, 1.0]})
        trace.plot(hours, points["data"].values, ".", color=DATA, ms=3, label="data")
        trace.plot(hours, points["prediction"].values, color=_MODEL, lw=1.2, label="fit")
        trace.set_ylabel("Voltage [V]")
        trace.legend(loc="best")
        rest.plot(hours, 1e3 * points["residual"].values, ".", color=DATA, ms=3)
        rest.axhline(0.0, color=_MODEL, lw=1.2)
        rest.set_ylabel("Fit − data [mV]")
        rest.set_xlabel("Time [h]")
        draw_parameters(lower, parameters)
        mark(figure, tree)
    return figure


def plot_impedance(tree: xr.DataTree) -> Figure:
    """Spectra of a record, after Nyquist and after Bode.

    Parameters
    ----------
    tree : xarray.DataTree
        Record with the group ``/impedance``.

    Returns
    -------
    matplotlib.figure.Figure
        The negative imaginary part over the real part, equally scaled; magnitude and phase over
        frequency. A colour a spectrum; points whose real part is flagged are crosses.

    Raises
    ------
    InputError
        When there is no impedance.
    """
    _require(tree, "impedance")
    data = tree["impedance"].to_dataset()
    number = data["spectrum"].values if "spectrum" in data else np.zeros(data.sizes[_POINTS])
    names = list(dict.fromkeys(number.tolist()))
    many = len(names) > len(COLOURS)
    norm = Normalize(min(names), max(names) if len(names) > 1 else min(names) + 1)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9.6, 4.4), layout="constrained")
        left, right = figure.subfigures(1, 2, width_ratios=[1.1, 1], squeeze=False).ravel()
        nyquist = left.subplots()
        magnitude, phase = right.subplots(2, 1, sharex=True)
        for k, name in enumerate(names):
            colour = CURVES(0.92 * norm(name)) if many else COLOURS[k]
            rows = data.isel({_POINTS: np.flatnonzero(number == name)})
            _draw_spectrum((nyquist, magnitude, phase), rows, colour, f"Spectrum {name:g}")
        nyquist.set_aspect("equal", adjustable="datalim")
        nyquist.axhline(0, color=GREY, lw=0.6, zorder=0)
        nyquist.set(title="Nyquist", xlabel="Re(Z) [Ω]", ylabel="−Im(Z) [Ω]")
        magnitude.set(title="Bode", ylabel="|Z| [Ω]", xscale="log", yscale="log")
        phase.set(xlabel="Frequency [Hz]", ylabel="Phase [°]", xscale="log")
        if many:
            colour_bar(right, [magnitude, phase], norm, "spectrum")
        elif len(names) > 1:
            nyquist.legend(loc="best")
        mark(figure, tree)
    return figure


def _draw_spectrum(
    axes: tuple[Axes, Axes, Axes], rows: xr.Dataset, colour: Any, label: str
) -> None:
    frequency = rows["frequency"].values
    impedance = rows["impedance_real"].values + 1j * rows["impedance_imaginary"].values
    flagged = np.zeros(frequency.shape, dtype=bool)
    if "impedance_real_flag" in rows:
        flagged = rows["impedance_real_flag"].values != 0
    shown = (
        (impedance.real, -impedance.imag),
        (frequency, np.abs(impedance)),
        (frequency, np.angle(impedance, deg=True)),
    )
    for ax, (x, y) in zip(axes, shown, strict=True):
        ax.plot(x[~flagged], y[~flagged], "o-", ms=2.8, lw=1.0, mew=0, color=colour, label=label)
        ax.plot(x[flagged], y[flagged], "x", ms=5, mew=1.2, color=colour)


def mark(figure: Figure, *trees: xr.DataTree, estimates: Sequence[str] = ()) -> None:
    """Say on a figure what a reader must know of its numbers.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        Changed: its title says whether data were simulated and not measured, and which parameters
        are estimates, neither fitted nor measured. It stays without a title where neither is so.
    *trees : xarray.DataTree
        Lives, records and fits that the figure shows.
    estimates : sequence of str
        Names of further estimates, such as `Cell.estimates` where PyBaMM made the results.
    """
    records = [tree.children.get("record", tree) for tree in trees]
    told = [names_in(tree.attrs) for tree in trees]
    names = dict.fromkeys(name for each in (estimates, *told) for name in each)
    synthetic = any(int(record.attrs.get("synthetic", 0)) for record in records)
    lines = ["SYNTHETIC DATA (simulated, not measured)"] if synthetic else []
    lines += textwrap.wrap(sentence(tuple(names)), int(_LETTERS * figure.get_figwidth()))
    if lines:
        figure.suptitle(literal("\n".join(lines)), fontsize=9.0, color="0.4")


# A fit's variables ------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Panel:
    """What one panel shows: points of one variable, and those that were left out."""

    title: str
    kind: str
    unit: str
    coordinate: str
    points: xr.Dataset
    flagged_at: NDArray[np.float64]
    flagged: NDArray[np.float64]

    @property
    def along(self) -> str:
        """Along what a voltage curve goes, "charge" or "time"; empty for scalars."""
        known = (name for name in _ALONG if name in self.points.coords)
        return next((n for n in known if np.isfinite(self.points[n].values).any()), "")


def _fit_panels(tree: xr.DataTree) -> list[_Panel]:
    points = tree["points"].to_dataset()
    keys = [
        (str(g), str(v))
        for g, v in zip(points["group"].values, points["variable"].values, strict=True)
    ]
    panels = []
    for group, name in dict.fromkeys(keys):
        mine = points.isel(point=[key == (group, name) for key in keys])
        coordinate = str(mine["coordinate"].values[0])
        at, values = _flagged(tree, group, name, coordinate)
        unit = str(mine["unit"].values[0])
        where = "" if group == "cycles" else " at check-ups"
        title, kind = _title(name) + where, _kind(unit, name)
        panels.append(_Panel(title, kind, unit, coordinate, mine, at, values))
    return panels


def _flagged(
    tree: xr.DataTree, group: str, name: str, coordinate: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where flagged scalar outliers lie, and their values."""
    nothing = np.empty(0)
    if "record" not in tree.children or group not in tree["record"].children:
        return nothing, nothing
    dataset = tree["record"][group].to_dataset()
    if f"{name}_flag" not in dataset or dataset[name].ndim != 1:
        return nothing, nothing
    flags = np.nan_to_num(np.asarray(dataset[f"{name}_flag"].values, dtype=float)) != 0
    at = np.asarray(dataset[coordinate].values, dtype=float)
    return at[flags], np.asarray(dataset[name].values, dtype=float)[flags]


def _draw_panel(subfigure: SubFigure, panel: _Panel) -> None:
    upper, lower = subfigure.subplots(
        2, 1, sharex=True, gridspec_kw={"height_ratios": [2.6, 1.0], "hspace": 0.04}
    )
    upper.set_title(panel.title)
    upper.tick_params(axis="x", length=0)
    upper.spines["bottom"].set_color(GREY)
    upper.set_ylabel(_with_unit(panel.kind, panel.unit))
    if panel.along:
        _draw_curve_panel(subfigure, upper, lower, panel)
    else:
        _draw_scalar_panel(upper, lower, panel)
    _finish_residuals(lower, panel.points["normalised_residual"].values)


def _draw_scalar_panel(upper: Axes, lower: Axes, panel: _Panel) -> None:
    points = panel.points.sortby("at")
    at = _shown(points["at"].values, panel.coordinate)
    dense = at.size > 80
    upper.errorbar(
        at,
        points["data"].values,
        yerr=points["std"].values,
        fmt="o",
        ms=2.0 if dense else 4.0,
        color=DATA,
        ecolor=GREY,
        elinewidth=0.4 if dense else 0.9,
        alpha=0.45 if dense else 1.0,
        mew=0,
        label="data ± noise",
    )
    if panel.flagged.size:
        flagged_at = _shown(panel.flagged_at, panel.coordinate)
        _mark_flagged(upper, flagged_at, panel.flagged, points)
    upper.plot(at, points["prediction"].values, color=_MODEL, lw=1.4, label="model", zorder=5)
    upper.legend(loc="best")
    lower.plot(
        at,
        points["normalised_residual"].values,
        "o",
        ms=1.8 if dense else 3.5,
        color=_MODEL,
        alpha=0.5 if dense else 1.0,
        mew=0,
    )
    lower.set_xlabel(AXIS_NAMES[panel.coordinate])


def _mark_flagged(
    ax: Axes, at: NDArray[np.float64], values: NDArray[np.float64], points: xr.Dataset
) -> None:
    """Crosses; those far from all other data sit on the edge, so that the scale stays useful."""
    data = np.concatenate([points["data"].values, points["prediction"].values])
    reach = 0.35 * (np.ptp(data) or 1.0)
    inside = np.clip(values, data.min() - reach, data.max() + reach)
    outside = inside != values
    label = f"flagged, not fitted ({values.size})"
    ax.plot(at[~outside], values[~outside], "x", color=_FLAG, ms=5, mew=1.2, label=label)
    label = "flagged, beyond this axis"
    for sign, marker in ((1, "^"), (-1, "v")):
        beyond = outside & (np.sign(values - inside) == sign)
        if beyond.any():
            ax.plot(
                at[beyond],
                inside[beyond],
                marker,
                color=_FLAG,
                ms=5,
                mfc="none",
                label=label,
            )
            label = "_nolegend_"


def _draw_curve_panel(subfigure: SubFigure, upper: Axes, lower: Axes, panel: _Panel) -> None:
    points = panel.points
    at = points["at"].values
    shown = _shown(at, panel.coordinate)
    norm = Normalize(shown.min(), shown.max() if np.ptp(shown) else shown.min() + 1)
    for place in np.unique(at):
        curve = points.isel(point=at == place).sortby(panel.along)
        colour = CURVES(0.92 * norm(_shown(place, panel.coordinate)))
        x = curve[panel.along].values
        upper.plot(x, curve["prediction"].values, color=colour, lw=1.2)
        upper.errorbar(
            x, curve["data"].values, yerr=curve["std"].values, fmt="o", ms=3.2,
            color=colour, elinewidth=0.8, mew=0,
        )  # fmt: skip
        lower.plot(x, curve["normalised_residual"].values, "o", ms=3, color=colour, mew=0)
    upper.legend(
        handles=[
            Line2D([], [], marker="o", ls="", ms=4, color=DATA, mew=0, label="data ± noise"),
            Line2D([], [], color=DATA, lw=1.2, label="model"),
        ],
        loc="best",
    )
    colour_bar(subfigure, [upper, lower], norm, panel.coordinate)
    _name_places(lower, panel.along)


def _finish_residuals(ax: Axes, residuals: NDArray[np.float64]) -> None:
    """A band of two standard deviations, in which 95 % of good residuals lie."""
    limit = max(3.2, 1.1 * float(np.abs(residuals).max(initial=0.0)))
    ax.axhspan(-2, 2, color=GREY, alpha=0.18, lw=0)
    ax.axhline(0, color=DATA, lw=0.8)
    ax.set_ylim(-limit, limit)
    ax.yaxis.set_major_locator(MaxNLocator(3, symmetric=True, integer=True))
    ax.set_ylabel("residual\n/ noise")


# A fit's parameters -----------------------------------------------------------------------


def draw_parameters(subfigure: SubFigure, parameters: xr.Dataset) -> None:
    """Parameters on logarithmic and on linear scales, each kind on its own axes."""
    logarithmic = parameters["logarithmic"].values.astype(bool)
    kinds = [kind for kind in (True, False) if (logarithmic == kind).any()]
    axes = subfigure.subplots(1, len(kinds), squeeze=False).ravel()
    for ax, kind in zip(axes, kinds, strict=True):
        _draw_intervals(ax, parameters.isel(parameter=logarithmic == kind), kind)
    axes[0].set_title("Parameters")
    axes[-1].legend(handles=_parameter_legend(), loc="center left", bbox_to_anchor=(1.0, 0.5))


def _draw_intervals(ax: Axes, parameters: xr.Dataset, ratio: bool) -> None:
    """One row a parameter: bounds as a pale bar, interval as a line, value as a point."""
    good = parameters["identifiable"].values.astype(bool)
    rows = [_relative(parameters, i, ratio) for i in range(good.size)]
    left, right = _parameter_limits(rows, ratio)
    for row, ((low, value, high), (lower, upper)) in enumerate(rows):
        colour = _MODEL if good[row] else GREY
        ax.barh(row, min(upper, right) - max(lower, left), left=max(lower, left), height=0.62,
                color=GREY, alpha=0.16, lw=0)  # fmt: skip
        ax.plot([max(low, left), min(high, right)], [row, row], color=colour, lw=2.2,
                solid_capstyle="butt")  # fmt: skip
        ax.plot([value], [row], "o", color=colour, ms=5.5, mfc=colour if good[row] else "white")
    ax.axvline(1.0 if ratio else 0.0, color=DATA, lw=0.9, ls=(0, (3, 2)))
    if ratio:
        ax.set_xscale("log")
        ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
        ax.xaxis.set_minor_formatter(
            NullFormatter() if right / left > 30 else FuncFormatter(_minor_ratio)
        )
    ax.set_xlim(left, right)
    ax.set_ylim(good.size - 0.4, -0.6)
    ax.set_yticks(range(good.size), labels=_parameter_labels(parameters))
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    for label, fine in zip(ax.get_yticklabels(), good, strict=True):
        label.set_color("black" if fine else "#7A7A7A")
    ax.set_xlabel("value / start" if ratio else "(value − start) / distance to farther bound")


def _relative(
    parameters: xr.Dataset, i: int, ratio: bool
) -> tuple[tuple[float, float, float], tuple[float, float]]:
    """Interval and bounds of one parameter relative to its start."""
    p = parameters.isel(parameter=i)
    start, lower, upper = (float(p[n]) for n in ("start", "lower_bound", "upper_bound"))
    scale = start if ratio else max(abs(x - start) for x in (lower, upper) if np.isfinite(x))
    shift = 0.0 if ratio else start
    low, value, high = (
        (float(p[n]) - shift) / scale for n in ("interval_low", "value", "interval_high")
    )
    return (low, value, high), ((lower - shift) / scale, (upper - shift) / scale)


def _parameter_limits(
    bounds: Sequence[tuple[tuple[float, float, float], tuple[float, float]]], ratio: bool
) -> tuple[float, float]:
    """Axis limits: wide enough for all values, narrow enough to see the intervals."""
    values = [x for (low, value, high), (lower, upper) in bounds
              for x in (max(low, lower), value, min(high, upper)) if np.isfinite(x)]  # fmt: skip
    low, high = min(values), max(values)
    if ratio:
        return min(low / 1.3, 0.7), max(high * 1.3, 1.4)
    return min(low, 0.0) - 0.1, max(high, 0.0) + 0.1


def _minor_ratio(x: float, _: int) -> str:
    """Labels between the decades, few enough to stay apart."""
    first = f"{x:.0e}"[0]
    return f"{x:g}" if first in "235" else ""


def _parameter_labels(parameters: xr.Dataset) -> list[str]:
    labels = []
    for i, name in enumerate(parameters["parameter"].values):
        p = parameters.isel(parameter=i)
        value, error = float(p["value"]), float(p["scaled_standard_error"])
        short, _, bracket = literal(str(name)).partition(" [")
        unit = _pretty_unit(bracket.rstrip("]"))
        text = f"{short}\n{_pretty_number(value)}{' ' + unit if unit else ''}"
        if not bool(p["identifiable"]):
            labels.append(f"{text}, not determined")
        elif bool(p["logarithmic"]):
            labels.append(f"{text} ± {100 * error:.2g} %")
        else:
            labels.append(f"{text} ± {_pretty_number(float(p['standard_error']))}")
    return labels


def _parameter_legend() -> list[Any]:
    return [
        Line2D([], [], marker="o", color=_MODEL, lw=2.2, ms=5.5, label="value, 95 % interval"),
        Line2D([], [], marker="o", color=GREY, lw=2.2, ms=5.5, mfc="white",
               label="not determined"),
        Patch(color=GREY, alpha=0.16, lw=0, label="inside the bounds"),
        Line2D([], [], color=DATA, lw=0.9, ls=(0, (3, 2)), label="start"),
    ]  # fmt: skip


# A life -----------------------------------------------------------------------------------


def _life_panels(tree: xr.DataTree) -> list[tuple[xr.Dataset, list[str]]]:
    """Datasets and names that share a panel: same group, kind and unit."""
    panels: dict[tuple[str, str, str], tuple[xr.Dataset, list[str]]] = {}
    for group in ("cycles", "checkups"):
        if group not in tree.children:
            continue
        dataset = tree[group].to_dataset()
        for key in dataset.data_vars:
            name, array = str(key), dataset[key]
            if name.endswith(("_std", "_flag")) or array.dtype.kind not in "fiu":
                continue
            if not np.isfinite(array.values.astype(float)).any():
                continue
            alone = name if array.ndim == 2 else _kind_of(dataset, name)
            place = (group, alone, str(array.attrs.get("units", "")))
            panels.setdefault(place, (dataset, []))[1].append(name)
    return list(panels.values())


def _draw_scalars(ax: Axes, dataset: xr.Dataset, names: Sequence[str]) -> None:
    coordinate = _known_coordinate(dataset)
    at = _shown(np.asarray(dataset[coordinate].values, dtype=float), coordinate)
    dense = at.size > 60
    for name, colour in zip(names, COLOURS * len(names), strict=False):
        values = np.asarray(dataset[name].values, dtype=float)
        flags = np.zeros(values.shape, dtype=bool)
        if f"{name}_flag" in dataset:
            flags = np.nan_to_num(dataset[f"{name}_flag"].values.astype(float)) != 0
        std = dataset[f"{name}_std"].values[~flags] if f"{name}_std" in dataset else None
        ax.errorbar(
            at[~flags], values[~flags], yerr=std, color=colour, ecolor=colour,
            fmt="-" if dense else "o-", ms=4, lw=1.2, elinewidth=0.6, mew=0,
            label=_title(name, dataset),
        )  # fmt: skip
        if flags.any():
            ax.plot(at[flags], values[flags], "x", color=colour, ms=5, mew=1.2)
    unit = str(dataset[names[0]].attrs.get("units", ""))
    kind, title = _kind_of(dataset, names[0]), _title(names[0], dataset)
    ax.set_title(title if len(names) == 1 else kind)
    ax.set_ylabel(_with_unit("" if kind == title else kind, unit))
    ax.set_xlabel(AXIS_NAMES[coordinate])
    if len(names) > 1:
        ax.legend(loc="best")


def _draw_voltage_curves(figure: Figure, ax: Axes, dataset: xr.Dataset, name: str) -> None:
    coordinate = _known_coordinate(dataset)
    at = _shown(np.asarray(dataset[coordinate].values, dtype=float), coordinate)
    norm = Normalize(np.nanmin(at), np.nanmax(at) if np.ptp(at) else np.nanmin(at) + 1)
    array = dataset[name].transpose("checkup", ...)
    places = np.asarray(dataset[array.dims[1]].values, dtype=float)
    for place, curve in zip(at, array.values, strict=True):
        ax.plot(places, curve, "o-", ms=2.5, lw=1.2, mew=0, color=CURVES(0.92 * norm(place)))
    colour_bar(figure, [ax], norm, coordinate)
    ax.set_title(_title(name))
    _name_places(ax, str(array.dims[1]).partition("_")[0])
    ax.set_ylabel("Voltage [V]")


def _name_places(ax: Axes, along: str) -> None:
    """The axis of a voltage curve: times go over decades."""
    ax.set_xlabel(_ALONG.get(along, along))
    if along == "time":
        ax.set_xscale("log")


# Small things -----------------------------------------------------------------------------


def colour_bar(
    figure: Figure | SubFigure, axes: list[Axes], norm: Normalize, coordinate: str
) -> None:
    shades = mpl.colors.ListedColormap(CURVES(np.linspace(0, 0.92, 256)))
    mappable = mpl.cm.ScalarMappable(norm=norm, cmap=shades)
    bar = figure.colorbar(mappable, ax=axes, aspect=30, pad=0.02)
    bar.set_label(AXIS_NAMES[coordinate])
    bar.outline.set_visible(False)


def _known_coordinate(dataset: xr.Dataset) -> str:
    for name in _COORDINATES:
        if name in dataset.variables and np.isfinite(dataset[name].values.astype(float)).any():
            return name
    raise InputError(f"The record needs one of {', '.join(_COORDINATES)} to plot against.")


def _shown(at: Any, coordinate: str) -> Any:
    """Coordinates in the unit of the axis."""
    return np.asarray(at, dtype=float) / (_SECONDS_A_DAY if coordinate == "elapsed_time" else 1.0)


def _title(name: str, dataset: xr.Dataset | None = None) -> str:
    """``capacity_C20`` -> ``Capacity C20``, or the long name that a dataset has."""
    known = {} if dataset is None else dataset[name].attrs
    text = str(known.get("long_name", name.replace("_", " ")))
    return literal(text if text.startswith("pH") else text[:1].upper() + text[1:])


def literal(text: str) -> str:
    """A text of a file as matplotlib shows it: a dollar sign begins no formula."""
    return text.replace("$", r"\$")


def _kind_of(dataset: xr.Dataset, name: str) -> str:
    """What an axis is called on which a variable is shown."""
    kind = _kind(str(dataset[name].attrs.get("units", "")), name)
    return _TOGETHER.get(name, _title(name, dataset) if kind == _title(name) else kind)


def _kind(unit: str, name: str = "") -> str:
    kinds = {"A.h": "Capacity", "W.h": "Energy", "ohm": "Resistance", "Ohm": "Resistance",
             "V": "Voltage", "K": "Temperature", "A": "Current"}  # fmt: skip
    if unit in kinds:
        return kinds[unit]
    return "Efficiency" if name.endswith("efficiency") else _title(name) or "Value"


def _with_unit(text: str, unit: str) -> str:
    pretty = _pretty_unit(unit)
    return f"{text} [{pretty}]".strip() if pretty else text


def _pretty_unit(unit: str) -> str:
    """``m2.s-1`` -> ``m²·s⁻¹``."""
    if unit in _UNITS:
        return _UNITS[unit]
    return literal("·".join(_pretty_factor(factor) for factor in unit.split(".")))


def _pretty_factor(factor: str) -> str:
    name = factor.rstrip("-0123456789")
    return _UNITS.get(name, name) + factor[len(name) :].translate(_SUPERSCRIPTS)


def _pretty_number(value: float) -> str:
    """Three digits, with a power of ten where that is shorter."""
    digits, _, exponent = f"{value:.3g}".partition("e")
    return f"{digits}×10{str(int(exponent)).translate(_SUPERSCRIPTS)}" if exponent else digits


def _require(tree: xr.DataTree, *groups: str) -> None:
    for group in groups:
        if group not in tree.children:
            raise InputError(f"The tree is not that of a fit: it has no group /{group}.")
