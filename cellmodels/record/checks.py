"""Whether a record is possible, and which of its points do not belong to their series.

What cannot be is refused, with the rows; what is only unlikely is flagged, never dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from cellmodels.errors import InputError, did_you_mean
from cellmodels.quantities import Quantity
from cellmodels.record.schema import (
    COORDINATES,
    DIMENSIONS,
    SCHEMA,
    TEST_TEXTS,
    curve_places,
    is_places,
    known_names,
    quantity,
    without_companion,
)

__all__ = ["check_record", "flag_outliers", "outliers"]

_HALF_WIDTH = 5
_SCALE_WINDOW = 51
_FEWEST = 15
_LIMIT = 8.0
_LEAST = 0.005
_STEPS = 4.0
_COARSEST = 0.01
LONGEST_INTERVAL = 3600.0  # s between samples while a current flows

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Rows:
    """What the rows of a group are called in messages.

    Parameters
    ----------
    where : str
        Beginning of every message, e.g. a file's name.
    word : str
        "row" or "line".
    numbers : ndarray of int, optional
        Number of each row; counted from 0 by default.
    """

    where: str
    word: str = "row"
    numbers: NDArray[np.int64] | None = None

    def of(self, bad: NDArray[np.bool_]) -> str:
        """The rows where `bad` holds, such as ``"lines 3, 4 and 7 more"``."""
        found = np.flatnonzero(bad)
        if self.numbers is not None:
            found = self.numbers[found]
        named = ", ".join(str(number) for number in found[:5])
        more = f" and {len(found) - 5} more" if len(found) > 5 else ""
        return f"{self.word}{'s' if len(found) > 1 else ''} {named}{more}"


# --- possible? ---------------------------------------------------------------------------------


def check_record(record: xr.DataTree, where: str = "record") -> None:
    """Check that a tree is a record whose numbers are possible.

    Parameters
    ----------
    record : xarray.DataTree
        In the form of :mod:`cellmodels.record.schema`.
    where : str
        Beginning of every message.

    Raises
    ------
    InputError
        If it is not. The message names the variable and the rows.
    """
    found = record.attrs.get("schema")
    if found != SCHEMA:
        raise InputError(f"{where}: no record: its 'schema' is {found!r}, not '{SCHEMA}'.")
    if not record.children:
        raise InputError(f"{where}: the record is empty.")
    for group, child in record.children.items():
        if group not in DIMENSIONS:
            hint = did_you_mean(group, DIMENSIONS)
            raise InputError(f"{where}: a record has no group '{group}'.{hint}")
        check_group(child.to_dataset(), group, Rows(f"{where}: /{group}"))


def check_group(dataset: xr.Dataset, group: str, rows: Rows, possible: bool = True) -> None:
    """Check one group of a record.

    Parameters
    ----------
    dataset : xarray.Dataset
        The group.
    group : {"cycles", "checkups", "traces", "impedance", "tests"}
        Which.
    rows : Rows
        For the messages.
    possible : bool
        Whether to check more than the form, that the numbers are possible too.

    Raises
    ------
    InputError
        If it is not in the schema's form, or its numbers are impossible.
    """
    if group == "tests":
        dataset = _without_texts(dataset, rows)
    for name in dataset.variables:
        _check_form(dataset, group, str(name), rows)
    if not any(_has_values(dataset[name]) for name in dataset.data_vars):
        raise InputError(f"{rows.where}: there are no values. Known: {_known(group)}.")
    if not possible:
        return
    for name in dataset.variables:
        _check_values(dataset, group, str(name), rows)
    if group == "traces":
        _check_trace(dataset, rows)
    elif group == "impedance":
        _check_impedance(dataset, rows)
    elif group != "tests":
        _check_coordinates(dataset, group, rows)


def _check_form(dataset: xr.Dataset, group: str, name: str, rows: Rows) -> None:
    """Type, dimensions and unit of one variable."""
    array, dimension = dataset[name], DIMENSIONS[group]
    if array.dtype.kind not in "fiu":
        raise InputError(f"{rows.where}: '{name}' holds no numbers.")
    own, ending = without_companion(name)
    expected = quantity(group, own)
    is_curve = group == "checkups" and own.startswith("voltage_")
    allowed: list[tuple[str, ...]] = [(dimension,)]
    if is_curve:
        test = own.removeprefix("voltage_")
        places = curve_places(own, [str(n) for n in dataset.variables])
        if places is None:
            raise InputError(
                f"{rows.where}: '{own}' needs the charges 'charge_{test}' or the times "
                f"'time_{test}'."
            )
        curve = (dimension, places)
        allowed = [curve, (dimension,)] if ending else [curve]
    if is_places(group, own):
        allowed = [(own,)]
    if array.dims not in allowed:
        raise InputError(
            f"{rows.where}: '{name}' has the dimensions {tuple(array.dims)}, not {allowed[0]}."
        )
    unit = array.attrs.get("units")
    if expected is not None and unit is not None and ending != "_flag" and unit != expected.unit:
        raise InputError(f"{rows.where}: '{name}' is in '{unit}', not in '{expected.unit}'.")
    if expected is None and unit is None:
        hint = did_you_mean(own, known_names(group))
        raise InputError(f"{rows.where}: '{name}' is not known and has no unit.{hint}")


def _without_texts(dataset: xr.Dataset, rows: Rows) -> xr.Dataset:
    """The numbers of /tests, whose texts are there."""
    for name in TEST_TEXTS:
        if name not in dataset or dataset[name].dtype.kind not in "OUT":
            raise InputError(f"{rows.where}: a table of tests needs the texts '{name}'.")
    return dataset.drop_vars(TEST_TEXTS)


def _check_values(dataset: xr.Dataset, group: str, name: str, rows: Rows) -> None:
    """Finite (or missing), and within what is possible."""
    values = _rows_first(dataset[name])
    _refuse(np.isinf(values), f"'{name}' is infinite", values, rows)
    own, ending = without_companion(name)
    if ending == "_flag":
        _refuse(~np.isin(np.nan_to_num(values), (0, 1)), f"'{name}' is 0 or 1, not", values, rows)
    elif ending == "_std":
        _refuse(values <= 0, f"'{name}' must be positive, not", values, rows)
    elif (expected := quantity(group, own)) is not None:
        _check_limits(values, name, expected, rows)


def _check_limits(values: Array, name: str, expected: Quantity, rows: Rows) -> None:
    unit = "" if expected.unit == "-" else f" [{expected.unit}]"
    low, least = values <= expected.above, max(expected.above, 0.0)
    _refuse(low, f"'{name}'{unit} must be more than {least:g}, not", values, rows)
    high = values > expected.most
    hint = f" (percent? write '{name} [%]')" if expected.unit == "-" else ""
    _refuse(high, f"'{name}'{unit} cannot be more than {expected.most:g}{hint}:", values, rows)


def _check_coordinates(dataset: xr.Dataset, group: str, rows: Rows) -> None:
    known = [str(name) for name in COORDINATES if name in dataset.variables]
    if not any(_has_values(dataset[name]) for name in known):
        raise InputError(
            f"{rows.where}: one of {', '.join(COORDINATES)} is needed to place the rows."
        )
    placed = np.any([np.isfinite(dataset[name].values.astype(float)) for name in known], axis=0)
    _refuse(~placed, "no coordinate says where these are", None, rows)
    for name in known:
        values = dataset[name].values.astype(float)
        if name == "cycle":
            _check_cycles(values, group, rows)
        else:
            _refuse(values < 0, f"'{name}' cannot be negative:", values, rows)
            _refuse(_falls(values, equal=False), f"'{name}' becomes smaller:", values, rows)


def _check_cycles(values: Array, group: str, rows: Rows) -> None:
    broken = np.isfinite(values) & (values != np.round(values))
    _refuse(broken, "'cycle' is no whole number:", values, rows)
    first = 1 if group == "cycles" else 0
    hint = " (cycle_offset=1 counts from 1 what a file counts from 0)" if first else ""
    _refuse(values < first, f"'cycle' begins with {first}{hint}, not", values, rows)
    hint = "does not increase (several cells? choose one with where=):"
    _refuse(_falls(values, equal=True), f"'cycle' {hint}", values, rows)


def _check_trace(dataset: xr.Dataset, rows: Rows) -> None:
    for name in ("time", "voltage", "current"):
        if name not in dataset.variables:
            raise InputError(f"{rows.where}: a trace needs '{name}'.")
        values = dataset[name].values.astype(float)
        _refuse(np.isnan(values), f"'{name}' is missing", None, rows)
    time = dataset["time"].values.astype(float)
    _refuse(_falls(time, equal=False), "'time' goes back:", time, rows)
    middle = usual_under_current(np.diff(time), dataset["current"].values)
    if middle > LONGEST_INTERVAL:
        raise InputError(
            f"{rows.where}: {middle / 3600:.3g} hours lie between two samples while a current "
            "flows. Is the time in milliseconds? Then map its column to 'time [ms]'."
        )


def usual_under_current(intervals: Array, current: Array) -> float:
    """Median interval between samples while a current flows [s], where it is long; else 0.

    Parameters
    ----------
    intervals : ndarray, shape (n - 1,)
        From each sample to the next [s].
    current : ndarray, shape (n,)

    Returns
    -------
    float
        0 also where it is not more than :data:`LONGEST_INTERVAL`: to count is faster than to sort.
    """
    flows = current[1:] != 0
    long = int(np.count_nonzero(flows & (intervals > LONGEST_INTERVAL)))
    if long == 0 or 2 * long < np.count_nonzero(flows) or np.count_nonzero(flows) <= 2:
        return 0.0
    return float(np.median(intervals[flows]))


def _check_impedance(dataset: xr.Dataset, rows: Rows) -> None:
    for name in ("frequency", "impedance_real", "impedance_imaginary"):
        if name not in dataset.variables:
            raise InputError(f"{rows.where}: impedance needs '{name}'.")
        values = dataset[name].values.astype(float)
        _refuse(np.isnan(values), f"'{name}' is missing", None, rows)
    for name in [one for one in ("spectrum", "cycle") if one in dataset.variables]:
        values = dataset[name].values.astype(float)
        broken = np.isfinite(values) & (values != np.round(values))
        _refuse(broken, f"'{name}' is no whole number:", values, rows)


def _falls(values: Array, equal: bool) -> NDArray[np.bool_]:
    """Where a value is smaller than (or equal to) the last known one before it."""
    known = np.flatnonzero(np.isfinite(values))
    step = np.diff(values[known])
    out = np.zeros(len(values), dtype=bool)
    out[known[1:][step <= 0 if equal else step < 0]] = True
    return out


def _refuse(bad: NDArray[np.bool_], what: str, values: Array | None, rows: Rows) -> None:
    """Raise an error that names the rows and the first value."""
    if not bad.any():
        return
    shown = "" if values is None else f" {values[bad].ravel()[0]:g}"
    per_row = np.asarray(bad.reshape(len(bad), -1).any(axis=1), dtype=bool)
    raise InputError(f"{rows.where}: {what}{shown}; {rows.of(per_row)}.")


def _rows_first(array: xr.DataArray) -> Array:
    return np.asarray(array.values, dtype=float)


def _has_values(array: xr.DataArray) -> bool:
    return bool(np.isfinite(array.values.astype(float)).any())


def _known(group: str) -> str:
    return ", ".join(name for name in known_names(group) if name not in COORDINATES)


# --- likely? -----------------------------------------------------------------------------------


def flag_outliers(record: xr.DataTree) -> xr.DataTree:
    """Flag the points of a record that do not belong to their series.

    Parameters
    ----------
    record : xarray.DataTree
        A record.

    Returns
    -------
    xarray.DataTree
        The same, with ``<name>_flag`` (1 for an outlier) for every variable of /cycles and
        /checkups in which :func:`outliers` finds any and that has no flags yet; and with
        ``impedance_real_flag``, 1 where a real part is not positive: no cell at rest gives power
        to the instrument, but leads and ranges at their limits seem to.
    """
    groups = {}
    for group, child in record.children.items():
        dataset = child.to_dataset()
        if group == "impedance":
            dataset = _flag_negative(dataset)
        if group in ("cycles", "checkups"):
            flags = {str(name): _flags(dataset, str(name)) for name in dataset.data_vars}
            dataset = dataset.assign(
                {
                    f"{name}_flag": (dataset[name].dims, found.astype(np.int8), {"units": "-"})
                    for name, found in flags.items()
                    if found is not None and found.any()
                }
            )
        groups[group] = dataset
    tree = xr.DataTree.from_dict(groups)
    tree.attrs = dict(record.attrs)
    return tree


def _flag_negative(dataset: xr.Dataset) -> xr.Dataset:
    real = dataset["impedance_real"]
    if "impedance_real_flag" in dataset or bool((real > 0).all()):
        return dataset
    flags = (real.dims, (real.values <= 0).astype(np.int8), {"units": "-"})
    return dataset.assign(impedance_real_flag=flags)


def _flags(dataset: xr.Dataset, name: str) -> NDArray[np.bool_] | None:
    """Outliers of a variable; None where it is not asked."""
    if without_companion(name)[1] or f"{name}_flag" in dataset:
        return None
    values = _rows_first(dataset[name])
    if values.ndim == 1:
        return outliers(values)
    return np.stack([outliers(column) for column in values.T], axis=1)


def outliers(values: Sequence[float] | Array) -> NDArray[np.bool_]:
    """Find the points of a series that do not belong to it.

    A point is an outlier if it lies far both from the median of itself and its neighbours,
    which leaves out no step in level and no knee, and from the straight line through its
    neighbours (Theil-Sen: Sen, P. K. (1968), doi:10.1080/01621459.1968.10480934), which is not
    misled by other outliers nearby. Neighbours are five on either side; fewer near the ends,
    but as many on both; the first and the last point never are outliers. The scale is 1.4826
    times the median distance from the lines, over the whole series or the 51 nearest points,
    whichever is larger (Hampel, F. R. (1974), doi:10.1080/01621459.1974.10482962).

    Parameters
    ----------
    values : array_like, shape (n,)
        In order; NaN is missing.

    Returns
    -------
    ndarray of bool, shape (n,)
        Where both distances are more than 8 times the scale, 4 times the resolution of rounded
        values, and 0.5 % of the value expected. None in a series of fewer than 15 values.
    """
    series = np.asarray(values, dtype=float)
    out = np.zeros(series.shape, dtype=bool)
    known = np.flatnonzero(np.isfinite(series))
    if known.size < _FEWEST:
        return out
    found = series[known]
    median, line = _expected(found)
    off_line = np.abs(found - line)
    scale = 1.4826 * np.maximum(np.median(off_line), _windowed_median(off_line))
    least = np.maximum(_LEAST * np.abs(median), _STEPS * _resolution(found))
    distance = np.minimum(off_line, np.abs(found - median))
    out[known] = distance > np.maximum(_LIMIT * scale, least)
    return out


def _expected(values: Array) -> tuple[Array, Array]:
    """Median around every point, and the line through its neighbours, there."""
    median, line = values.copy(), values.copy()
    for width in range(1, _HALF_WIDTH + 1):
        windows = np.lib.stride_tricks.sliding_window_view(values, 2 * width + 1)
        # the widest windows for all points that have one, narrower ones only near the ends
        rows = np.arange(len(windows)) if width == _HALF_WIDTH else np.array([0, len(windows) - 1])
        median[rows + width] = np.median(windows[rows], axis=1)
        line[rows + width] = _line_at_centre(windows[rows], width)
    return median, line


def _line_at_centre(windows: Array, width: int) -> Array:
    """Theil-Sen line through all but the central column, at the centre; shape (rows,)."""
    neighbours = np.delete(windows, width, axis=1)
    offsets = np.delete(np.arange(-width, width + 1), width)
    first, second = np.triu_indices(2 * width, k=1)
    slopes = (neighbours[:, second] - neighbours[:, first]) / (offsets[second] - offsets[first])
    slope = np.median(slopes, axis=1)
    return np.asarray(np.median(neighbours - slope[:, None] * offsets, axis=1))


def _windowed_median(values: Array) -> Array:
    """Median of the nearest points to each, as many as the scale's window has."""
    width = min(_SCALE_WINDOW, len(values))
    medians = np.median(np.lib.stride_tricks.sliding_window_view(values, width), axis=1)
    first = np.clip(np.arange(len(values)) - width // 2, 0, len(values) - width)
    return medians[first]


def _resolution(values: Array) -> float:
    """The last digit of rounded values: their smallest difference, if that is small."""
    steps = np.diff(np.unique(values))
    steps = steps[steps > 1e-9 * np.max(np.abs(values))]
    size = float(np.median(np.abs(values)))
    return min(float(steps.min()), _COARSEST * size) if steps.size else 0.0
