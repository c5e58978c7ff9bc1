"""Records as netCDF files."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from cellmodels.errors import InputError
from cellmodels.record.checks import check_record
from cellmodels.record.contents import Content, whole
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
    data, path = whole(content), content.where
    try:
        with xr.open_datatree(
            io.BytesIO(data), engine="h5netcdf", decode_times=False, decode_timedelta=False
        ) as opened:
            tree = opened.load()
    except Exception as error:  # whatever HDF5 and its wrappers say about a damaged file
        raise InputError(f"{path}: no netCDF file: {' '.join(str(error).split())[:200]}.") from None
    record = plain_record(tree)
    check_record(record, path)
    return record


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
