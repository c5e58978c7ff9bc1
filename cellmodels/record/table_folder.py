"""Records as a folder of CSV tables, for spreadsheets and other programs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from cellmodels.errors import InputError
from cellmodels.quantities import CURVE_PLACES
from cellmodels.record.checks import check_record
from cellmodels.record.files.contents import contents, whole
from cellmodels.record.netcdf import plain_record
from cellmodels.record.schema import DIMENSIONS, SCHEMA
from cellmodels.writing import replacing

__all__ = ["group_table", "write_tables"]

#: What the tables cannot say: attributes, of the record, its groups and their variables.
ABOUT = "record.json"


def write_tables(record: xr.DataTree, folder: str | Path, *, overwrite: bool = False) -> None:
    """Write a record as a folder of CSV tables; :func:`read_record` reads it back exactly.

    Parameters
    ----------
    record : xarray.DataTree
        A record, or a simulated life.
    folder : str or pathlib.Path
        Made if it is not there. It gets a table for each group: ``cycles.csv``, ``checkups.csv``,
        ``traces.csv``, ``impedance.csv``, with headers ``name [unit]`` and a voltage curve in
        columns ``voltage_C20 @ 0.5 A.h [V]`` or, over time, ``voltage_relax @ 10.0 s [V]``; and
        ``record.json`` with the attributes, last: a folder without it is not complete.
    overwrite : bool
        Whether a record that is there already is replaced.

    Raises
    ------
    InputError
        If the tree is no record, or the folder cannot be written or holds tables already.
    """
    folder = Path(folder)
    check_record(record)
    record = plain_record(record)
    there = [folder / ABOUT, *(folder / f"{group}.csv" for group in DIMENSIONS)]
    found = [path for path in there if path.exists()]
    if found and not overwrite:
        raise InputError(f"'{found[0]}' is there already; overwrite=True replaces the record.")
    try:
        folder.mkdir(exist_ok=True)
        for path in found:  # the attributes first: what is left is no whole record
            path.unlink()
    except OSError as error:
        raise InputError(f"'{folder}' cannot be written ({error.strerror or error}).") from None
    groups = {}
    for group, child in record.children.items():
        dataset = child.to_dataset()
        with replacing(folder / f"{group}.csv") as temporary:
            group_table(dataset, group).to_csv(temporary, index=False)
        groups[group] = _about(dataset)
    about = {"schema": SCHEMA, "attributes": record.attrs, "groups": groups}
    with replacing(folder / ABOUT) as temporary:
        temporary.write_text(json.dumps(about, indent=1, default=_plain), encoding="utf-8")


def group_table(dataset: xr.Dataset, group: str) -> pd.DataFrame:
    """A group of a record as a table that `read_record` understands.

    Parameters
    ----------
    dataset : xarray.Dataset
        The group.
    group : {"cycles", "checkups", "traces", "impedance"}
        Which.

    Returns
    -------
    pandas.DataFrame
        Units in the headers, as in ``discharge_capacity [A.h]``; a column for each charge of a
        voltage curve.
    """
    columns: dict[str, Any] = {}
    rows = DIMENSIONS[group]
    for name in (*dataset.coords, *dataset.data_vars):
        variable = dataset[name]
        if variable.dims == (rows,):
            columns[_header(str(name), None, variable.attrs)] = variable.values
        elif rows in variable.dims:
            dimension = str(variable.dims[1])
            places = dataset[dimension].values
            if len(set(places.tolist())) < len(places):
                raise InputError(f"'{dimension}' has a value twice.")
            for k, place in enumerate(places):
                header = _header(str(name), (place, dimension), variable.attrs)
                columns[header] = variable.values[:, k]
    return pd.DataFrame(columns)


def _header(name: str, place: tuple[float, str] | None, attrs: Mapping[str, Any]) -> str:
    """A column's header; `place` is its place along a curve, and what that is."""
    at = ""
    if place is not None:
        at = f" @ {float(place[0])!r} {CURVE_PLACES[place[1].partition('_')[0]].unit}"
    unit = attrs.get("units", "-")
    return f"{name}{at}" if unit == "-" else f"{name}{at} [{unit}]"


def _about(dataset: xr.Dataset) -> dict[str, Any]:
    return {
        "attributes": dataset.attrs,
        "coordinates": [str(name) for name in dataset.coords],
        "variables": {
            str(name): {
                "dimensions": [str(one) for one in array.dims],
                "type": str(array.dtype),
                "attributes": array.attrs,
                **({"values": array.values.tolist()} if array.dims == (name,) else {}),
            }
            for name, array in dataset.variables.items()
        },
    }


def _plain(value: Any) -> Any:
    """Arrays in attributes as lists."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise InputError(f"An attribute is neither text nor numbers: {value!r}.")


def is_record(folder: Path) -> bool:
    """Whether :func:`write_tables` has written a folder."""
    return (folder / ABOUT).is_file()


def read_tables(folder: Path) -> xr.DataTree:
    """Read what :func:`write_tables` has written.

    Parameters
    ----------
    folder : pathlib.Path
        The folder.

    Returns
    -------
    xarray.DataTree

    Raises
    ------
    InputError
        If a table is missing or does not fit what ``record.json`` says of it.
    """
    with contents(folder / ABOUT) as content:
        data = whole(content)
    try:
        about = json.loads(data)
        if about["schema"] != SCHEMA:
            found = about["schema"]
            raise InputError(f"{folder / ABOUT}: its 'schema' is {found!r}, not '{SCHEMA}'.")
        groups = {
            group: _dataset(folder / f"{group}.csv", group, said)
            for group, said in about["groups"].items()
            if group in DIMENSIONS
        }
        tree = xr.DataTree.from_dict(groups)
        tree.attrs = dict(about["attributes"])
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{folder / ABOUT}: not as it was written ({error!r:.200}).") from None
    check_record(tree, str(folder))
    return tree


def _dataset(path: Path, group: str, said: dict[str, Any]) -> xr.Dataset:
    with contents(path) as content, content.open() as stream:
        frame = pd.read_csv(stream, skip_blank_lines=False)
    rows, left = DIMENSIONS[group], list(frame.columns)
    variables: dict[str, Any] = {}
    for name, about in said["variables"].items():
        dims, attrs, kind = tuple(about["dimensions"]), about["attributes"], about["type"]
        if np.dtype(kind).kind not in "fiu":
            raise InputError(f"{path}: '{name}' is of the type '{kind}', which is no number.")
        if dims == (name,):
            values = np.asarray(about["values"])
        else:
            values = said["variables"][dims[1]]["values"] if len(dims) > 1 else []
            places = [(value, dims[1]) for value in values] if len(dims) > 1 else [None]
            headers = [_header(name, place, attrs) for place in places]
            missing = [header for header in headers if header not in frame.columns]
            if missing:
                raise InputError(f"{path}: there is no column '{missing[0]}'.")
            left = [header for header in left if header not in headers]
            values = frame[headers].to_numpy(dtype=float)
            values = values if len(dims) > 1 else values[:, 0]
        if np.dtype(kind).kind in "iu" and not np.array_equal(values, np.round(values)):
            raise InputError(f"{path}: '{name}' has values that are no whole numbers.")
        variables[name] = (dims, values.astype(kind), attrs)
    if left:
        raise InputError(
            f"{path}: the column '{left[0]}' is not in {ABOUT}. Without that file, tables are read "
            "by their headers alone."
        )
    if any(rows not in dims and dims != (name,) for name, (dims, *_) in variables.items()):
        raise InputError(f"{path}: a variable without rows.")
    dataset = xr.Dataset(variables, attrs=said["attributes"])
    return dataset.set_coords(said["coordinates"])
