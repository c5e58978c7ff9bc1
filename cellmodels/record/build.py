"""Records from arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from cellmodels.errors import InputError, did_you_mean
from cellmodels.record.checks import Rows, check_group, flag_outliers
from cellmodels.record.columns import split_header
from cellmodels.record.schema import (
    COORDINATES,
    DIMENSIONS,
    SCHEMA,
    curve_places,
    is_places,
    known_names,
    quantity,
    without_companion,
)
from cellmodels.units import convert, parse_unit

__all__ = ["build_record"]

#: Arrays by name, with their unit.
Columns = Mapping[str, tuple[NDArray[np.float64], str]]


def build_record(
    cycles: Mapping[str, ArrayLike] | pd.DataFrame | None = None,
    checkups: Mapping[str, ArrayLike] | pd.DataFrame | None = None,
    traces: Mapping[str, ArrayLike] | pd.DataFrame | None = None,
    impedance: Mapping[str, ArrayLike] | pd.DataFrame | None = None,
    *,
    title: str = "",
    source: str = "",
    synthetic: bool = False,
    checkups_count_as_cycles: bool = False,
    flag: bool = True,
) -> xr.DataTree:
    """Make a record from arrays.

    Parameters
    ----------
    cycles, checkups, traces, impedance : mapping of str to array_like or DataFrame, optional
        The groups, by the schema's names (:mod:`cellmodels.record.schema`) and in its units, or
        with another unit in brackets: ``{"cycle": n, "discharge_capacity [mA.h]": q}``. Arrays
        have the shape (rows,); a voltage curve ``voltage_<test>`` has (rows, places), beside
        ``charge_<test>`` or ``time_<test>`` (places,). A variable that the schema does not know
        needs a unit. Currents are positive on discharge, imaginary parts negative where the cell
        is capacitive.
    title, source : str
        For people.
    synthetic : bool
        Whether the data are made up.
    checkups_count_as_cycles : bool
        Whether the cycle numbers count the check-ups.
    flag : bool
        Whether to flag outliers, see :func:`cellmodels.record.flag_outliers`.

    Returns
    -------
    xarray.DataTree

    Raises
    ------
    InputError
        If names, units or shapes are wrong, or numbers impossible.
    """
    groups = {"cycles": cycles, "checkups": checkups, "traces": traces, "impedance": impedance}
    datasets = {}
    for group, given in groups.items():
        if given is not None:
            rows = Rows(f"/{group}")
            datasets[group] = make_group(group, _columns(group, given), rows)
    attrs = {
        "title": title,
        "source": source,
        "synthetic": int(synthetic),
        "checkups_count_as_cycles": int(checkups_count_as_cycles),
    }
    return make_record(datasets, attrs, flag)


def make_record(
    datasets: Mapping[str, xr.Dataset], attrs: Mapping[str, Any], flag: bool
) -> xr.DataTree:
    """Join checked groups to a record.

    Parameters
    ----------
    datasets : mapping of str to xarray.Dataset
        By group.
    attrs : mapping
        Attributes of the root.
    flag : bool
        Whether to flag outliers.

    Returns
    -------
    xarray.DataTree
    """
    if not datasets:
        raise InputError("A record needs cycles, check-ups, traces or impedance.")
    tree = xr.DataTree.from_dict(dict(datasets))
    tree.attrs = {"schema": SCHEMA, **attrs}
    return flag_outliers(tree) if flag else tree


def make_group(group: str, columns: Columns, rows: Rows, possible: bool = True) -> xr.Dataset:
    """Make and check one group.

    Parameters
    ----------
    group : {"cycles", "checkups", "traces", "impedance"}
        Which.
    columns : mapping of str to (ndarray, str)
        Values, in the given units, by the schema's names.
    rows : Rows
        For messages.
    possible : bool
        Whether to check that the numbers are possible, beside their form.

    Returns
    -------
    xarray.Dataset
        In the schema's units.

    Raises
    ------
    InputError
        If shapes or units are wrong, or numbers impossible.
    """
    _check_lengths(group, columns, rows)
    variables: dict[str, Any] = {}
    coordinates: dict[str, Any] = {}
    for name, (values, unit) in columns.items():
        own, ending = without_companion(name)
        known = quantity(group, own)
        kept = unit if known is None or ending == "_flag" else known.unit
        scaled = in_unit(values, unit, kept, f"{rows.where}: '{name}'", difference=bool(ending))
        attrs = {"units": kept}
        if known is not None and not ending:
            attrs["long_name"] = known.long_name
        place = coordinates if _is_coordinate(group, name) else variables
        dimensions = _dimensions(group, own, scaled, columns)
        place[name] = (dimensions, _as_counts(name, scaled), attrs)
    dataset = xr.Dataset(variables, coordinates)
    check_group(dataset, group, rows, possible)
    return dataset


def in_unit(
    values: NDArray[np.float64], unit: str, kept: str, what: str, difference: bool = False
) -> NDArray[np.float64]:
    """Convert an array.

    Parameters
    ----------
    values : ndarray
        In `unit`.
    unit, kept : str
        Given and wanted.
    what : str
        For the error message.
    difference : bool
        Whether the values are differences, to which the offset of °C does not apply.

    Returns
    -------
    ndarray
        Unchanged where the units are the same.

    Raises
    ------
    UnitError
        If the dimensions differ.
    """
    if parse_unit(unit) == parse_unit(kept):
        return values
    offset = convert(0.0, unit, kept, what=what)
    factor = convert(1.0, unit, kept, what=what) - offset
    return values * factor if difference else values * factor + offset


def _columns(group: str, given: Any) -> Columns:
    """Names, arrays and units of what the user gave."""
    if isinstance(given, xr.Dataset):
        given = {str(k): v.values for k, v in given.variables.items()}
    if not isinstance(given, Mapping | pd.DataFrame):
        raise InputError(f"/{group}: a mapping of names to arrays is needed, not {given!r}.")
    columns = {}
    for header in given:
        name, unit = _named(group, str(header))
        if name in columns:
            raise InputError(f"/{group}: '{name}' is given twice.")
        columns[name] = (_numbers(given[header], f"/{group}: '{header}'"), unit)
    return columns


def _named(group: str, header: str) -> tuple[str, str]:
    """Name and unit; the schema's unit where none is in brackets."""
    name, unit = split_header(header) if header.rstrip().endswith("]") else (header.strip(), None)
    own, ending = without_companion(name)
    known = quantity(group, own)
    if ending == "_flag":
        return name, "-"
    if unit is not None:
        parse_unit(unit)
        return name, unit
    if known is None:
        hint = did_you_mean(own, known_names(group))
        raise InputError(f"/{group}: '{name}' is not known and has no unit in brackets.{hint}")
    return name, known.unit


def _numbers(values: ArrayLike, what: str) -> NDArray[np.float64]:
    try:
        array = np.array(values, dtype=float)
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"{what} holds no numbers.") from None
    if array.ndim not in (1, 2):
        raise InputError(f"{what} has {array.ndim} dimensions.")
    return array


def _check_lengths(group: str, columns: Columns, rows: Rows) -> None:
    """All rows, and all charges of a curve, are as many."""
    lengths = {
        name: len(values) for name, (values, _) in columns.items() if not is_places(group, name)
    }
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise InputError(f"{rows.where}: the arrays have different lengths: {listed}.")
    for name, (values, _) in columns.items():
        own, _ = without_companion(name)
        is_curve = group == "checkups" and own.startswith("voltage_")
        if values.ndim == 2 and not is_curve:
            raise InputError(f"{rows.where}: '{name}' has two dimensions instead of one.")
        if not is_curve:
            continue
        places = curve_places(own, columns)
        if places is None:
            test = own.removeprefix("voltage_")
            raise InputError(
                f"{rows.where}: '{name}' needs the charges 'charge_{test}' or the times "
                f"'time_{test}'."
            )
        if values.ndim == 2 and values.shape[1] != len(columns[places][0]):
            raise InputError(
                f"{rows.where}: '{name}' has {values.shape[1]} columns, but there are "
                f"{len(columns[places][0])} in '{places}'."
            )


def _is_coordinate(group: str, name: str) -> bool:
    return group in ("cycles", "checkups") and (name in COORDINATES or is_places(group, name))


def _dimensions(
    group: str, own: str, values: NDArray[np.float64], columns: Columns
) -> tuple[str, ...]:
    if is_places(group, own):
        return (own,)
    places = curve_places(own, columns) if values.ndim == 2 else None
    return (DIMENSIONS[group],) if places is None else (DIMENSIONS[group], places)


def _as_counts(name: str, values: NDArray[np.float64]) -> NDArray[Any]:
    """Whole numbers as integers, where none is missing."""
    if name in ("cycle", "step", "spectrum") and np.all(np.abs(values) < 2**53):  # False for NaN
        whole = values.astype(np.int64)
        return whole if np.array_equal(whole, values) else values
    if name.endswith("_flag") and np.isin(values, (0, 1)).all():
        return values.astype(np.int8)
    return values
