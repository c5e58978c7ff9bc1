"""Bytes in, nothing out: each harness gives them to a reader as a stranger's file.

Whatever the bytes, a reader returns or raises a :class:`CellModelsError`. Anything else passes
through the harness: another error, a warning that is no ``UserWarning``, and what
:mod:`tests.fuzz.guard` forbids. Limits on time and memory are set by who calls.
"""

from __future__ import annotations

import gzip
import io
import json
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache, partial
from pathlib import Path
from unittest import mock

import numpy as np
import xarray as xr

from cellmodels.cell import Cell
from cellmodels.checkups import find_checkups
from cellmodels.chemistry import Chemistry
from cellmodels.errors import CellModelsError
from cellmodels.expressions import Expression, casadi_functions
from cellmodels.fit_file import read_fit_file, read_simulate_file
from cellmodels.fitting import Fit, fit_netcdf
from cellmodels.fitting.checkpoint import read_checkpoint
from cellmodels.fitting.fit_netcdf import GROUPS
from cellmodels.fitting.fit_tree import SCHEMA
from cellmodels.parameter_set import ParameterSet
from cellmodels.protocol import Protocol
from cellmodels.record import build_record, check_quality, read_record
from cellmodels.record.checks import check_record
from cellmodels.record.files import foreign_readers, reader_process
from cellmodels.record.files.contents import contents
from cellmodels.step_text import parse_step, read_quantity
from cellmodels.tables import read_table
from cellmodels.units import convert, parse_unit, unit_of_name
from tests.fuzz.guard import guarded

TRACE = b"Test Time / s,Voltage / V,Current / A\n0,4.0,0\n10,3.9,-1.5\n20,4.1,0.5\n"
CYCLES = b"Q,Q2,cycle\n4.9,1,1\n4.8,1,2\n4.7,1,3\n"
TABLE = b"sto [-],U [V]\n0,4.2\n0.5,3.8\n1,3.0\n"


@contextmanager
def _folder(name: str, data: bytes) -> Iterator[Path]:
    """A folder with the file, and beside the folder what must not be read."""
    with tempfile.TemporaryDirectory(prefix="fuzz-") as outer:
        Path(outer, "secret.csv").write_bytes(TABLE)
        Path(outer, "secret.toml").write_bytes(b"secret = 1\n")
        inner = Path(outer, "inner")
        inner.mkdir()
        Path(inner, "table.csv").write_bytes(TABLE)
        Path(inner, "trace.csv").write_bytes(TRACE)
        Path(inner, "cycles.csv").write_bytes(CYCLES)
        Path(inner, name).write_bytes(data)
        yield inner / name


@contextmanager
def _expected() -> Iterator[None]:
    """Refusals are fine; warnings are for people, or they are faults."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", UserWarning)
        warnings.filterwarnings("ignore", category=RuntimeWarning, module="pybamm")  # inf is inf
        try:
            yield
        except CellModelsError as error:
            str(error).encode("utf-8", "backslashreplace")


def _read(name: str, read: Callable[[Path], object], data: bytes, processes: bool = False) -> None:
    with _folder(name, data) as path, _expected(), guarded(path.parent, processes):
        read(path)


# --- formulas, units, steps --------------------------------------------------------------------


def expression(data: bytes) -> None:
    """A formula: parsed, evaluated, and turned into symbols."""
    text = data.decode("utf-8", "surrogateescape")
    _warm()
    with _expected(), guarded("/nonexistent"):
        formula = Expression(text, ("sto", "T"))
        values = {name: np.array([0.0, -1.0, 0.5, 1e308]) for name in ("sto", "T")}
        called = dict.fromkeys(formula.calls, lambda *a: np.asarray(a[0]))
        quoted = dict.fromkeys(formula.parameters, 2.0)
        formula.evaluate({**values, **quoted, **called})
        if len(text) < 300:  # a symbol takes long
            formula.to_pybamm()(*_symbols())
            casadi = dict(zip(("sto", "T"), _casadi(), strict=True))
            numbers = dict.fromkeys(formula.parameters, 2.0)
            formula.evaluate(
                {**numbers, **casadi, **dict.fromkeys(formula.calls, lambda *a: a[0])},
                casadi_functions(),
            )


@lru_cache
def _symbols() -> tuple:
    import pybamm

    return pybamm.Variable("sto"), pybamm.Variable("T")


@lru_cache
def _casadi() -> tuple:
    import casadi

    return casadi.MX.sym("sto"), casadi.MX.sym("T")


@lru_cache
def _warm() -> None:
    """Load what is loaded at the first use."""
    formula = Expression('exp(sto)*max(T, 2) + "a"(sto)', ("sto", "T"))
    formula.to_pybamm()(*_symbols())


def words(data: bytes) -> None:
    """Units, quantities and steps."""
    text = data.decode("utf-8", "surrogateescape")
    for read in (
        parse_unit,
        unit_of_name,
        parse_step,
        read_quantity,
        partial(convert, 2.5, to_unit="m2.s-1"),
        lambda text: convert(1e300, *text.split(" ", 1)) if " " in text else None,
    ):
        with _expected(), guarded("/nonexistent"):
            read(text)


# --- files that people write -------------------------------------------------------------------


def _protocol(path: Path) -> None:
    found = Protocol.load(path)
    assert Protocol.from_dict(found.to_dict()) == found


def _parameters(path: Path) -> None:
    ParameterSet.load(path).to_dict()


@lru_cache
def ageing() -> xr.DataTree:
    """A trace of a slow discharge, a charge and a pulse."""
    time = np.arange(0.0, 6000.0, 50.0)
    current = np.select([time < 2000, time < 4500, time < 5000], [1.0, -0.8, 0.0], 0.0)
    current[(time > 5200) & (time < 5400)] = 2.0
    voltage = 4.0 - np.cumsum(current) * 50.0 / 4000.0 - 0.05 * current
    return build_record(traces={"time": time, "current": current, "voltage": voltage})


def _checkups(path: Path) -> None:
    str(find_checkups(ageing(), corrections=path))


def _chemistry(path: Path) -> None:
    Chemistry.load(path).to_dict()


TOML: tuple[Callable[[Path], object], ...] = (
    _parameters,
    _chemistry,
    _protocol,
    read_fit_file,
    read_simulate_file,
    _checkups,
)


def toml(data: bytes) -> None:
    """A parameter set, chemistry, protocol or run file, chosen by the first byte."""
    if data:
        kind = TOML[data[0] % len(TOML)]
        _read("file.toml", kind, data[1:])


def table(data: bytes) -> None:
    """The CSV file of a table of a parameter set."""
    _read("file.csv", lambda path: read_table(path, "V", ("sto",)), data)


def bpx(data: bytes) -> None:
    """A BPX file."""
    _read("file.json", lambda path: ParameterSet.load(path).to_dict(), data)


def checkpoint(data: bytes) -> None:
    """The state of a running fit."""
    _read("file.json", lambda path: read_checkpoint(path, "abc"), data)


# --- records -----------------------------------------------------------------------------------


def _record(path: Path) -> None:
    """A record, its faults, the same with all repairs, and its check-ups."""
    str(check_quality(path))
    for repair in ((), "all"):
        try:
            record = read_record(path, repair=repair)
        except CellModelsError:
            continue
        check_record(record)
        if "traces" in record.children:
            str(find_checkups(record))


def _text_record(path: Path) -> None:
    with contents(path) as found:
        if found.kind != "text":
            return
    _record(path)


def text(data: bytes) -> None:
    """A table or a cycler's text."""
    _read("cell.dat", _text_record, data)


def impedance(data: bytes) -> None:
    """A table of impedance, which needs no headers."""

    def read(path: Path) -> None:
        with contents(path) as found:
            if found.kind != "text":
                return
        check_record(read_record(impedance=path))

    _read("cell.dat", read, data)


def packed(data: bytes) -> None:
    """The same in a gzip file or a zip archive, chosen by the first byte; or as it comes."""
    how, payload = (data[0] % 5, data[1:]) if data else (0, b"")
    if how in (1, 3):
        payload = gzip.compress(payload)
    if how in (2, 3, 4):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("cell.csv", payload)
        payload = out.getvalue()
    _read("cell.dat", _text_record, gzip.compress(payload) if how == 4 else payload)


def _in_this_process(content: object, path: Path, out: Path) -> None:
    foreign_readers.main(content.kind, str(path), str(out))  # type: ignore[attr-defined]


def binary(data: bytes) -> None:
    """A binary file, whose reader runs in this process, so that its coverage is seen.

    Not netCDF: HDF5 does not survive what it may be given.
    """
    import bdf  # noqa: F401
    import fastexcel  # noqa: F401
    import fastnda  # noqa: F401
    import polars  # noqa: F401
    import pyarrow.parquet  # noqa: F401

    if not data.startswith((b"\x89HDF", b"CDF")):
        with mock.patch.object(reader_process, "_run", _in_this_process):
            _read("cell.dat", _record, data)


def process(data: bytes) -> None:
    """A binary file, read as it is for a user: in a process of its own."""
    _read("cell.dat", _record, data, processes=True)


def fit(data: bytes) -> None:
    """The file of a fit: one of its attributes, chosen by the first byte, is the rest."""
    if not data:
        return
    name = list(FIT)[data[0] % len(FIT)]
    text = data[1:].decode("utf-8", "replace")
    groups = {f"/{group}": xr.Dataset() for group in GROUPS}
    tree = xr.DataTree.from_dict(groups)
    tree.attrs = {**FIT, name: text}
    with mock.patch.object(fit_netcdf, "read_tree", return_value=tree):
        _read("fit.nc", Fit.load, b"\x89HDF\r\n\x1a\n")


def _fit_attributes() -> dict[str, str]:
    cell = Cell("lithium_ion", "OKane2022", "SPM")
    protocol = Protocol(["Discharge at 1C until 2.5 V", "Charge at C/2 until 4.2 V"])
    return {
        "cell": json.dumps(cell.to_dict()),
        "protocol": json.dumps(protocol.to_dict()),
        "cell_hash": cell.hash,
        "schema": SCHEMA,
    }


FIT = _fit_attributes()


HARNESSES: dict[str, Callable[[bytes], None]] = {
    one.__name__: one
    for one in (
        expression, words, toml, table, bpx, checkpoint, text, impedance, packed, binary, process,
        fit,
    )
}  # fmt: skip
