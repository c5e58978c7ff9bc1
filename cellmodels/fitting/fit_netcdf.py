"""The tree of a fit in a netCDF file, and back with the cell that was fitted."""

from __future__ import annotations

import json
import os
from pathlib import Path

import xarray as xr

from cellmodels.cell import Cell
from cellmodels.errors import InputError
from cellmodels.fitting import fit_tree
from cellmodels.record.files.contents import contents
from cellmodels.record.netcdf import read_tree
from cellmodels.writing import replacing

__all__ = ["DAMAGED", "GROUPS", "read_fit", "write_fit"]

#: Groups that every fit has.
GROUPS = ("parameters", "points", "variables", "trials")

#: What damaged content of a file raises where it is read.
DAMAGED = (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError)


def write_fit(tree: xr.DataTree, path: str | os.PathLike[str]) -> None:
    """Write the tree of a fit to a netCDF file, replacing it in one step."""
    target = Path(path).absolute()
    if not target.parent.is_dir():
        raise InputError(f"The folder {target.parent} does not exist.")
    with replacing(target) as temporary:
        tree.to_netcdf(temporary, engine="h5netcdf")


def read_fit(path: str | os.PathLike[str]) -> tuple[xr.DataTree, Cell]:
    """Tree and fitted cell of a file that :func:`write_fit` wrote.

    Raises
    ------
    InputError
        When the file is not a fit, or its cell does not match the hash stored beside it.
    """
    if not Path(path).is_file():
        raise InputError(f"There is no file {path}.")
    with contents(Path(path)) as content:
        if content.kind != "netcdf":
            raise InputError(f"{path} is not a netCDF file of a fit.")
        tree = fit_tree.plain(read_tree(content))
    if tree.attrs.get("schema") != fit_tree.SCHEMA:
        raise InputError(f"{path} is not a fit: its schema is {tree.attrs.get('schema')!r}.")
    for name in GROUPS:
        if name not in tree.children:
            raise InputError(f"{path} is a damaged fit: it has no group '{name}'.")
    try:
        cell = Cell.from_dict(json.loads(tree.attrs["cell"]))
        stored = str(tree.attrs["cell_hash"])
    except InputError:
        raise
    except DAMAGED as error:
        raise InputError(f"{path} is a damaged fit: {error!r}.") from error
    if cell.hash != stored:
        raise InputError(
            f"The cell in {path} is not the one that was fitted: its hash is {cell.hash}, the "
            f"stored one {stored}. A parameter set or chemistry it is based "
            "on has changed since, or the file was edited."
        )
    return tree, cell
