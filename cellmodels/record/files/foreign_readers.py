"""Readers of binary formats, run as a script in a process of their own.

``python -P foreign_readers.py <kind> <file> <folder> <bytes of memory> <bytes written> <seconds>``
writes what it reads to the folder: plain arrays of numbers and texts as ``table.npz``, or sheets as
CSV, and their names and what went on as ``about.json``; of a netCDF file also how the arrays belong
together. It imports nothing of cellmodels, so that
it starts fast and can be limited; what it writes is read back as data. See
:mod:`cellmodels.record.files.reader_process`.
"""

from __future__ import annotations

import json
import logging
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

_MOST_SHEETS = 50
_MOST_VECTORS = 1000
_MOST_METADATA = 100
_MOST_DEPTH = 10
_MOST_PLACES = 2000


def parquet(path: str, folder: Path) -> dict[str, Any]:
    """Columns of a Parquet file, without its metadata, which may name types to rebuild."""
    from pyarrow import parquet as reader

    table = reader.ParquetFile(path).read()
    columns = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        columns[name] = column.to_numpy() if _is_number(column) else column.to_pylist()
    return _save(folder, columns)


def neware(path: str, folder: Path) -> dict[str, Any]:
    """Neware .nda and .ndax, by batterydf (Apache-2.0) with fastnda (BSD-3)."""
    import bdf
    import fastnda

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of columns that batterydf has no name for
        frame = bdf.read(path, plugin="neware_nda", validate=False, include_unknown=True)[0]
    about = _save(folder, {name: frame[name].to_numpy() for name in frame.columns})
    logging.disable()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            about["metadata"] = _plain(fastnda.read_metadata(path))
    except Exception:  # what a file says about itself may be damaged, its rows not
        about["metadata"] = {}
    finally:
        logging.disable(logging.NOTSET)
    return about


def access(path: str, folder: Path) -> dict[str, Any]:
    """Arbin .res, a database of Access, by access-parser (Apache-2.0)."""
    from access_parser import AccessParser

    database = AccessParser(path)
    if "Channel_Normal_Table" not in database.catalog:
        raise ValueError("a database without Arbin's table 'Channel_Normal_Table'")
    columns = database.parse_table("Channel_Normal_Table")
    order = np.argsort(np.asarray(columns["Test_Time"], dtype=float), kind="stable")
    tests = set(columns.get("Test_ID", ()))
    if len(tests) > 1:
        raise ValueError(f"a database of {len(tests)} tests; export them one by one")
    about = _save(folder, {name: np.asarray(v)[order] for name, v in columns.items()})
    general = database.parse_table("Global_Table") if "Global_Table" in database.catalog else {}
    about["metadata"] = _plain({k: v[0] for k, v in general.items() if len(v) == 1})
    return about


def excel(path: str, folder: Path) -> dict[str, Any]:
    """Sheets of a workbook as CSV, by fastexcel (MIT); no formula is evaluated."""
    import fastexcel

    book = fastexcel.read_excel(path)
    names = book.sheet_names[:_MOST_SHEETS]
    for k, name in enumerate(names):
        sheet = book.load_sheet(name, header_row=None, dtypes="string").to_polars()
        sheet.write_csv(folder / f"{k}.csv", include_header=False)
    return {"sheets": names}


def matlab(path: str, folder: Path) -> dict[str, Any]:
    """Vectors of a MATLAB file (version 5), those in structures under dotted names, by scipy."""
    from scipy.io import loadmat

    found: dict[str, Any] = {}
    waiting = [(name, value) for name, value in loadmat(path).items() if not name.startswith("__")]
    while waiting and len(found) < _MOST_VECTORS:
        name, value = waiting.pop(0)
        fields = value.dtype.names or ()
        if fields and value.size == 1:
            waiting += [(f"{name}.{field}", value[field].flat[0]) for field in fields]
        elif value.dtype.kind in "fiu" and value.size > 1 and value.size == max(value.shape):
            found[name] = value.ravel()
    return _save(folder, found)


def netcdf(path: str, folder: Path) -> dict[str, Any]:
    """Groups of a netCDF file, undecoded, by h5netcdf (BSD-3) and h5py (BSD-3)."""
    import h5netcdf
    import h5py

    arrays: list[np.ndarray[Any, Any]] = []
    with h5py.File(path, "r") as file:
        _refuse_links(file, set())
        with h5netcdf.File(file, "r", decode_vlen_strings=True) as opened:
            groups = [_group(one, arrays) for one in _groups_in(opened)]
    np.savez(folder / "table.npz", allow_pickle=False, **dict(_numbered(arrays)))
    return {"names": [f"{k}" for k in range(len(arrays))], "groups": groups}


def _refuse_links(group: Any, seen: set[int], depth: int = 0) -> None:
    """HDF5 reads other files where a link, a dataset's storage or a virtual dataset says so."""
    import h5py

    if depth > _MOST_DEPTH:
        raise ValueError(f"groups nested more than {_MOST_DEPTH} levels deep")
    for name in group:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise ValueError(f"'{name[:100]}' is a link to another place")
        one = group[name]
        address = h5py.h5o.get_info(one.id).addr
        if address in seen:
            raise ValueError(f"'{name[:100]}' is in two places")
        seen.add(address)
        if len(seen) > _MOST_PLACES:
            raise ValueError(f"more than {_MOST_PLACES} groups and variables")
        if isinstance(one, h5py.Group):
            _refuse_links(one, seen, depth + 1)
        elif isinstance(one, h5py.Dataset) and (
            one.is_virtual or one.id.get_create_plist().get_external_count()
        ):
            raise ValueError(f"the values of '{name[:100]}' are in another file")


def _groups_in(group: Any) -> Iterator[Any]:
    yield group
    for one in group.groups.values():
        yield from _groups_in(one)


def _group(group: Any, arrays: list[np.ndarray[Any, Any]]) -> dict[str, Any]:
    variables = {}
    for name, variable in group.variables.items():
        variables[name] = {
            "dimensions": list(variable.dimensions),
            "attributes": _attributes(variable),
            "array": str(len(arrays)),
        }
        arrays.append(_array(variable[...], name))
    return {"path": group.name, "attributes": _attributes(group), "variables": variables}


def _array(values: Any, name: str) -> np.ndarray[Any, Any]:
    array = np.asarray(values)
    if array.dtype.kind == "O" and all(isinstance(one, str) for one in array.flat):
        return array.astype(str)
    if array.dtype.kind not in "iufSU":
        raise ValueError(f"'{name}' holds neither numbers nor texts")
    return array


def _attributes(owner: Any) -> dict[str, Any]:
    """Texts and lists of texts as they are; numbers as an array's type and content."""
    return {name: _attribute(owner.attrs[name], name) for name in owner.attrs}


def _attribute(value: Any, name: str) -> Any:
    if isinstance(value, bytes):
        value = value.decode("utf-8")
    if isinstance(value, str) or (
        isinstance(value, list) and all(isinstance(one, str) for one in value)
    ):
        return value
    array = np.asarray(value)
    if array.dtype.kind not in "iuf":
        raise ValueError(f"the attribute '{name}' is neither number nor text")
    return {"type": array.dtype.str, "value": array.tolist()}


def _numbered(arrays: list[np.ndarray[Any, Any]]) -> Iterator[tuple[str, np.ndarray[Any, Any]]]:
    return ((f"c{k}", array) for k, array in enumerate(arrays))


def _is_number(column: Any) -> bool:
    import pyarrow

    kind = column.type
    return bool(pyarrow.types.is_integer(kind) or pyarrow.types.is_floating(kind))


def _save(folder: Path, columns: dict[str, Any]) -> dict[str, Any]:
    """Numbers as numbers, the rest as text; nothing that would need pickle."""
    arrays = {}
    for k, values in enumerate(columns.values()):
        array = np.asarray(values)
        if array.dtype.kind in "fiu":
            arrays[f"c{k}"] = array.astype(float)
        else:
            arrays[f"c{k}"] = np.array(["" if v is None else str(v) for v in values], dtype=str)
    np.savez(folder / "table.npz", allow_pickle=False, **arrays)
    return {"names": [str(name) for name in columns]}


def _plain(given: Any, prefix: str = "") -> dict[str, str | float | int]:
    """Nested descriptions as one level of texts and numbers."""
    out: dict[str, str | float | int] = {}
    for key, value in given.items() if isinstance(given, dict) else ():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            out |= _plain(value, f"{name}_")
        elif isinstance(value, bool | int | float):
            out[name] = value if isinstance(value, float) else int(value)
        elif isinstance(value, str) and value:
            out[name] = value[:200]
    return dict(list(out.items())[:_MOST_METADATA])


READERS: dict[str, Callable[[str, Path], dict[str, Any]]] = {
    "parquet": parquet,
    "nda": neware,
    "ndax": neware,
    "access": access,
    "excel": excel,
    "matlab": matlab,
    "netcdf": netcdf,
}


def limit(memory: int, written: int, seconds: int) -> None:
    """Limit this process, before any reader is loaded; a system without limits has none."""
    try:
        import resource
    except ImportError:
        return
    for kind, most in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_FSIZE, written),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(kind)[1]
        least = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (least, hard))


def main(kind: str, path: str, folder: str) -> int:
    """Read one file; the exit code says whether it went well."""
    said: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger().addHandler(handler)
    logging.lastResort = None
    about: dict[str, Any]
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            about = READERS[kind](path, Path(folder))
        said += [str(one.message) for one in caught if issubclass(one.category, UserWarning)]
        about["messages"] = [" ".join(text.split())[:200] for text in said[:10]]
    except ImportError as error:
        about = {"missing": str(error.name or error)}
    except MemoryError:
        about = {"error": "it needs more memory than a reader may have"}
    except BaseException as error:  # a panic of a compiled reader, too, is a damaged file
        about = {"error": f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"}
    Path(folder, "about.json").write_text(json.dumps(about), encoding="utf-8")
    return 1 if "error" in about or "missing" in about else 0


if __name__ == "__main__":
    limit(*(int(number) for number in sys.argv[4:7]))
    sys.exit(main(*sys.argv[1:4]))
