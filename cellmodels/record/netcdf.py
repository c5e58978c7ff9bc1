"""Records as netCDF files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from cellmodels.errors import InputError
from cellmodels.record.checks import check_record
from cellmodels.record.files.contents import Content
from cellmodels.record.files.reader_process import read_foreign
from cellmodels.writing import replacing

__all__ = ["write_record"]


def write_record(record: xr.DataTree, path: str | Path) -> None:
    """Write a record as netCDF; :func:`read_record` reads it back exactly.

    Parameters
    ----------
    record : xarray.DataTree
        A record.
    path : str or pathlib.Path
        Ends in ``.nc``. An existing file is replaced when the new one is complete.

    Raises
    ------
    InputError
        If the tree is no record, or the file cannot be written.
    """
    path = Path(path)
    if path.suffix != ".nc":
        raise InputError(f"'{path}': a record is written as netCDF, to a name that ends in '.nc'.")
    check_record(record)
    with replacing(path) as temporary:
        plain_record(record).to_netcdf(temporary, engine="h5netcdf")


def read_netcdf(content: Content) -> xr.DataTree:
    """Read a record from a netCDF file, also compressed.

    Parameters
    ----------
    content : Content
        The file.

    Returns
    -------
    xarray.DataTree
        In memory; the file is closed.

    Raises
    ------
    InputError
        If the file is damaged or holds no record.
    """
    record = plain_record(read_tree(content))
    check_record(record, content.where)
    return record


def read_tree(content: Content) -> xr.DataTree:
    """Read a netCDF file, in a process of its own: HDF5 crashes on damaged files.

    Parameters
    ----------
    content : Content
        The file.

    Returns
    -------
    xarray.DataTree
        As :func:`xarray.open_datatree` gives it, in memory, but for times, which stay numbers.

    Raises
    ------
    InputError
        If the file is damaged, needs more than a reader may use, refers to other files, or holds
        something else than numbers and texts.
    """
    with read_foreign(content) as found:
        try:
            groups = {one["path"]: _dataset(one, found.columns) for one in found.groups}
            return xr.DataTree.from_dict(groups).load()
        except Exception as error:  # whatever xarray says about attributes that do not fit
            words = " ".join(str(error).split())[:200]
            raise InputError(f"{content.where}: no netCDF file: {words}.") from None


def _dataset(group: Mapping[str, Any], arrays: Mapping[str, Any]) -> xr.Dataset:
    """A group, decoded by the conventions for which xarray writes it."""
    variables = {
        name: xr.Variable(one["dimensions"], arrays[one["array"]], _attributes(one["attributes"]))
        for name, one in group["variables"].items()
    }
    dataset = xr.Dataset(variables, attrs=_attributes(group["attributes"]))
    return xr.decode_cf(dataset, decode_times=False, decode_timedelta=False)


def _attributes(given: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: np.array(one["value"], one["type"])[()] if isinstance(one, dict) else one
        for name, one in given.items()
    }


def plain_record(tree: xr.DataTree) -> xr.DataTree:
    """The same tree, with plain attributes and no memory of how a file stored it."""
    groups = {}
    for group, child in tree.children.items():
        dataset = child.to_dataset().drop_encoding()
        dataset.attrs = _plain(dataset.attrs)
        for name in dataset.variables:
            dataset[name].attrs = _plain(dataset[name].attrs)
        groups[group] = dataset
    out = xr.DataTree.from_dict(groups)
    out.attrs = _plain(tree.attrs)
    return out


def _plain(attrs: Any) -> dict[str, Any]:
    """Attributes as Python's own numbers and texts."""
    return {str(k): v.item() if isinstance(v, np.generic) else v for k, v in attrs.items()}
