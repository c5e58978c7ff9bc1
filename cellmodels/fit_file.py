"""Run files: a fit or a simulation written down in one TOML file.

``cellmodels fit`` and ``cellmodels simulate`` read the same kind of file::

    protocol = "protocol.toml"     # or [protocol], [[checkup]], [[pause]] as in such a file

    [cell]
    chemistry = "lithium_ion"
    parameters = "nmc_graphite_siox"         # a name, or a file beside this one
    model = "SPM"
    mechanisms = ["SEI", { mechanism = "lithium plating", kind = "irreversible" }]
    mesh = { r_n = 20, r_p = 20 }
    initial_soc = "100 %"
    values = { "Ambient temperature [K]" = "45 degC" }     # other values than the set's

    [record]                       # arguments of cellmodels.read_record
    path = "cell_017.csv"          # or cycles = "…", checkups = "…", traces = "…"
    columns = { "Q" = "discharge_capacity [A.h]", "Q2" = false }
    where = { cell = "017" }

    [fit]                          # arguments of cellmodels.fit
    free = ["SEI solvent diffusivity [m2.s-1]"]
    observables = ["discharge_capacity", "capacity_C20"]
    coordinate = "throughput"      # or { cycles = "cycle", checkups = "throughput" }
    noise = { discharge_capacity = "2 mA.h" }
    loss = "pseudo-Huber"          # where some points may be wrong; { name = …, threshold = … } too
    simpler_models = []            # start at once; by default the SPMe is fitted before a DFN
    tolerance = "0.1 mA.h"
    adapt = true                   # first scale the cell to the record's first capacity
    max_evaluations = 50

    [simulate]                     # arguments of cellmodels.simulate
    cycles = 1000

    [output]
    folder = "results"
    name = "cell_017"

In place of its list of names, ``free`` may say where each parameter starts and how far it may go::

    [fit.free]
    "SEI solvent diffusivity [m2.s-1]" = { start = 1e-21, bounds = ["1e-23 m2.s-1", 1e-19] }
    "SEI resistivity [Ohm.m]" = { prior = [2e5, 0.5] }   # value, sd of its logarithm
    "Dead lithium decay constant [s-1]" = 1e-6     # a start

A number stands for itself, in the unit of the quantity; a text is a number and its unit. Paths
are relative to the file. ``fit`` needs [record] and [fit], ``simulate`` needs [simulate]; the
other's sections are checked too, but not used.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import xarray as xr
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    model_validator,
)

from cellmodels.cell import Cell
from cellmodels.errors import InputError
from cellmodels.fitting import Fit, adapt, fit
from cellmodels.fitting.fit import free_parameters, simpler_levels
from cellmodels.fitting.loss import LOSSES, Loss
from cellmodels.fitting.matching import observe_with_protocol
from cellmodels.fitting.prior import Prior
from cellmodels.many.task import FitTask
from cellmodels.protocol import Protocol
from cellmodels.record import read_record
from cellmodels.record.schema import quantity
from cellmodels.simulator import simulate
from cellmodels.toml_io import read_toml, validate
from cellmodels.units import convert, unit_of_name

__all__ = ["FitJob", "Output", "SimulateJob", "fit_task", "read_fit_file", "read_simulate_file"]


# --- the form of the file ----------------------------------------------------------------------

_NUMBER = re.compile(r"(?>([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?))\s*(\S.*)")


@dataclass(frozen=True)
class _Amount:
    """A number of the file; without a unit, in the unit of the quantity that it is given for."""

    value: float
    unit: str | None = None

    def to(self, unit: str, what: str) -> float:
        """The number in `unit`."""
        if self.unit is None or self.unit == unit:
            return self.value
        return convert(self.value, self.unit, unit, what=what)


def _amount(given: Any) -> _Amount:
    if isinstance(given, int | float) and not isinstance(given, bool):
        return _Amount(float(given))
    found = _NUMBER.fullmatch(given.strip()) if isinstance(given, str) else None
    if found is None:
        raise ValueError(f"a number, or a number and its unit such as '2 mA.h', not {given!r}.")
    return _Amount(float(found[1]), found[2])


def _text_or_table(given: Any) -> str | dict[str, Any]:
    if not isinstance(given, str | dict):
        raise ValueError(f"a text or a table, not {given!r}.")
    return given


def _column(given: Any) -> str | None:
    """What a column holds; false leaves it out (TOML has no null)."""
    if not isinstance(given, str) and given is not False:
        raise ValueError(f"a name and a unit, or false to leave the column out, not {given!r}.")
    return given or None


_Number = Annotated[Any, AfterValidator(_amount)]
_TextOrTable = Annotated[Any, AfterValidator(_text_or_table)]
_Coordinate = Literal["cycle", "throughput", "elapsed_time"]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _CellSection(_Section):
    chemistry: str
    parameters: str | None = None
    model: str | None = None
    mechanisms: list[_TextOrTable] = []
    mesh: dict[str, int] | None = None
    initial_soc: _Number | None = None
    values: dict[str, _Number] = {}


class _RecordSection(_Section):
    path: str | None = None
    cycles: str | None = None
    checkups: str | None = None
    traces: str | None = None
    columns: dict[str, Annotated[Any, AfterValidator(_column)]] = {}
    where: dict[str, Any] = {}
    cycle_offset: int = 0
    title: str | None = None
    synthetic: bool = False
    time_restarts: str | None = None
    checkups_count_as_cycles: bool = False


class _Coordinates(_Section):
    cycles: _Coordinate | None = None
    checkups: _Coordinate | None = None

    @model_validator(mode="before")
    @classmethod
    def _of_both(cls, given: Any) -> Any:
        return {"cycles": given, "checkups": given} if isinstance(given, str) else given


class _FreeSection(_Section):
    start: _Number | None = None
    bounds: Annotated[list[_Number], Field(min_length=2, max_length=2)] | None = None
    prior: Annotated[list[_Number], Field(min_length=2, max_length=2)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_start(cls, given: Any) -> Any:
        return given if isinstance(given, dict) else {"start": given}


def _free(given: Any) -> Any:
    """A list of names as a table without starts."""
    if not isinstance(given, list):
        return given
    for k, name in enumerate(given):
        if not isinstance(name, str):
            raise ValueError(f"the names of parameters, not {name!r}.")
        if name in given[:k]:
            raise ValueError(f"'{name}' is named twice.")
    return {name: {} for name in given}


class _LossSection(_Section):
    name: Literal[LOSSES] = "squares"  # type: ignore[valid-type]
    threshold: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, given: Any) -> Any:
        return {"name": given} if isinstance(given, str) else given


class _FitSection(_Section):
    free: Annotated[dict[str, _FreeSection], BeforeValidator(_free), Field(min_length=1)]
    observables: list[str] | None = None
    coordinate: _Coordinates | None = None
    noise: dict[str, _Number] = {}
    loss: _LossSection = _LossSection()
    simpler_models: list[str] | None = None
    tolerance: _Number | None = None
    adapt: bool = False
    max_evaluations: Annotated[int, Field(ge=1)] = 100


class _SimulateSection(_Section):
    cycles: Annotated[int, Field(ge=1)]
    method: Literal["macro", "direct"] = "macro"
    tolerance: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None


class _OutputSection(_Section):
    folder: str | None = None
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_. +-]*$")] | None = None


class _RunFile(_Section):
    protocol: _TextOrTable
    checkup: list[dict[str, Any]] = []
    pause: list[dict[str, Any]] = []
    cell: _CellSection
    record: _RecordSection | None = None
    fit: _FitSection | None = None
    simulate: _SimulateSection | None = None
    output: _OutputSection = _OutputSection()


_ADAPTER = TypeAdapter(_RunFile)


# --- what is made of it ------------------------------------------------------------------------


@dataclass(frozen=True)
class Output:
    """Where results go.

    Parameters
    ----------
    folder : pathlib.Path
        By default ``<file>-results`` beside the file.
    name : str
        Beginning of the files' names; ``"fit"`` or ``"life"`` by default.
    """

    folder: Path
    name: str

    def path(self, ending: str) -> Path:
        """The file with an ending such as ``".nc"``."""
        return self.folder / f"{self.name}{ending}"


@dataclass(frozen=True, eq=False)
class FitJob:
    """A fit, ready to run: everything about it that can be checked has been.

    Parameters
    ----------
    cell : Cell
        Before it is adapted.
    protocol : Protocol
    record : xarray.DataTree
    settings : mapping
        Arguments of :func:`cellmodels.fit`: ``free``, ``start``, ``bounds``, ``observables``,
        ``coordinate``, ``noise``, ``loss``, ``prior``, ``simpler_models``, ``tolerance`` [A.h],
        ``max_evaluations``.
    adapt : bool
        Whether the cell is first scaled to the record with :func:`cellmodels.adapt`.
    output : Output
    inputs : tuple of pathlib.Path
        The files that were read.
    """

    cell: Cell
    protocol: Protocol
    record: xr.DataTree
    settings: Mapping[str, Any]
    adapt: bool
    output: Output
    inputs: tuple[Path, ...]

    def run(self, checkpoint: Path, *, resume: bool = False, progress: bool = True) -> Fit:
        """Do the fit.

        Parameters
        ----------
        checkpoint : pathlib.Path
            Rewritten after every accepted iteration, and every simpler model that was fitted.
        resume : bool
            Continue from `checkpoint`, if it exists.
        progress : bool
            Show a progress bar.

        Returns
        -------
        Fit
            Also when it was interrupted or did not converge; see its ``status``.

        Raises
        ------
        InputError
            If the checkpoint is that of another fit.
        FitError
            If the cell cannot be simulated at the start.
        """
        cell = adapt(self.cell, self.record, self.protocol) if self.adapt else self.cell
        return fit(
            cell,
            self.record,
            self.protocol,
            **self.settings,
            checkpoint=checkpoint,
            resume=resume,
            progress=progress,
        )


@dataclass(frozen=True)
class SimulateJob:
    """A simulation, ready to run.

    Parameters
    ----------
    cell : Cell
    protocol : Protocol
    cycles : int
    method : {"macro", "direct"}
    tolerance : float or None
        As in :func:`cellmodels.simulate`.
    output : Output
    inputs : tuple of pathlib.Path
        The files that were read.
    """

    cell: Cell
    protocol: Protocol
    cycles: int
    method: str
    tolerance: float | None
    output: Output
    inputs: tuple[Path, ...]

    def run(self, *, progress: bool = True) -> xr.DataTree:
        """Simulate.

        Parameters
        ----------
        progress : bool
            Show a progress bar.

        Returns
        -------
        xarray.DataTree
            The life as a record; its attributes say whether it was completed.
        """
        return simulate(
            self.cell,
            self.protocol,
            self.cycles,
            method=self.method,
            tolerance=self.tolerance,
            progress=progress,
        )


def read_fit_file(path: str | Path, folder: Path | None = None) -> FitJob:
    """Read a fit from a file, and check it before anything is solved.

    Parameters
    ----------
    path : str or pathlib.Path
        A TOML file; see the module's text.
    folder : pathlib.Path, optional
        Folder for the results, instead of the file's.

    Returns
    -------
    FitJob

    Raises
    ------
    InputError
        If something is wrong with the file or with one that it names; the message names the file
        and the place.
    """
    run = _Reader(Path(path))
    if run.file.fit is None or run.file.record is None:
        missing = "fit" if run.file.fit is None else "record"
        raise InputError(f"{path}: a fit needs a section [{missing}].")
    cell, protocol = run.cell(), run.protocol()
    record = run.record(run.file.record)
    settings = _settings(run.file.fit, str(path))
    with _at(f"{path}: fit"):
        _check(cell, protocol, record, settings)
    output = run.output("fit", folder)
    return FitJob(cell, protocol, record, settings, run.file.fit.adapt, output, tuple(run.inputs))


def read_simulate_file(
    path: str | Path, cycles: int | None = None, folder: Path | None = None
) -> SimulateJob:
    """Read a simulation from a file.

    Parameters
    ----------
    path : str or pathlib.Path
        A TOML file; see the module's text.
    cycles : int, optional
        Number of cycles, instead of the file's.
    folder : pathlib.Path, optional
        Folder for the results, instead of the file's.

    Returns
    -------
    SimulateJob

    Raises
    ------
    InputError
        If something is wrong with the file or with one that it names; the message names the file
        and the place.
    """
    run = _Reader(Path(path))
    section = run.file.simulate
    if section is None:
        if cycles is None:
            raise InputError(f"{path}: say how many cycles: [simulate] cycles, or --cycles.")
        section = _SimulateSection(cycles=cycles)
    return SimulateJob(
        run.cell(),
        run.protocol(),
        section.cycles if cycles is None else cycles,
        section.method,
        section.tolerance,
        run.output("life", folder),
        tuple(run.inputs),
    )


def fit_task(
    path: Path, data: Mapping[str, Any], name: str, labels: Mapping[str, str | float]
) -> tuple[FitTask, tuple[Path, ...]]:
    """A fit as a task of a batch, whose record is read where it runs.

    Parameters
    ----------
    path : pathlib.Path
        The file of the batch, beside which others lie.
    data : mapping
        What a file of this fit alone would hold.
    name : str
        Of the task.
    labels : mapping of str to str or float
        Of the task.

    Returns
    -------
    task : FitTask
    inputs : tuple of pathlib.Path
        The files that are read.

    Raises
    ------
    InputError
        If something is wrong; the message names the file, the task and the place.
    """
    run = _Reader(path, data, f"{path}: {name}")
    section, given = run.file.fit, run.file.record
    if section is None or given is None:
        missing = "fit" if section is None else "record"
        raise InputError(f"{run.where}: a fit needs a section [{missing}].")
    settings = _settings(section, run.where)
    read: dict[str, Any] = {}
    if given.path is None:
        record: Path | xr.DataTree = run.record(given)
    else:
        record = run.existing(given.path)
        read = given.model_dump(exclude={"path"}, exclude_defaults=True)
        for key in read.keys() & {"cycles", "checkups", "traces"}:
            read[key] = str(run.existing(read[key]))
    with _at(f"{run.where}: fit"):
        free = settings.pop("free")
        task = FitTask(
            name=name,
            cell=run.cell(),
            record=record,
            protocol=run.protocol(),
            free=free,
            options=settings,
            adapt=section.adapt,
            read=read,
            labels=labels,
        )
    return task, tuple(run.inputs)


# --- from sections to objects ------------------------------------------------------------------


class _Reader:
    """A run file, and the files that it names."""

    def __init__(
        self, path: Path, data: Mapping[str, Any] | None = None, where: str | None = None
    ) -> None:
        self.where = where or str(path)
        self.file = validate(_ADAPTER, read_toml(path) if data is None else data, self.where)
        self.folder = path.parent
        self.stem = path.stem
        self.inputs = [path]

    def cell(self) -> Cell:
        section = self.file.cell
        with _at(f"{self.where}: cell"):
            soc = section.initial_soc
            cell = Cell(
                self._named(section.chemistry),
                None if section.parameters is None else self._named(section.parameters),
                section.model,
                section.mechanisms,
                section.mesh,
                None if soc is None else soc.to("-", "initial_soc"),
            )
            if not section.values:
                return cell
            values = {name: _in_its_unit(v, name) for name, v in section.values.items()}
            return cell.with_parameters(values, source=f"{self.stem}.toml")

    def protocol(self) -> Protocol:
        file = self.file
        if isinstance(file.protocol, str):
            for key in ("checkup", "pause"):
                if getattr(file, key):
                    raise InputError(
                        f"{self.where}: {key}: the protocol is in the file '{file.protocol}'; "
                        f"write its {key}s there."
                    )
            with _at(f"{self.where}: protocol"):
                return Protocol.load(self._file(file.protocol))
        data = {"protocol": file.protocol, "checkup": file.checkup, "pause": file.pause}
        with _at(self.where):
            return Protocol.from_dict(data)

    def record(self, section: _RecordSection) -> xr.DataTree:
        arguments = section.model_dump()
        for key in ("path", "cycles", "checkups", "traces"):
            if arguments[key] is not None:
                arguments[key] = self._file(arguments[key])
        with _at(f"{self.where}: record"):
            return read_record(arguments.pop("path"), **arguments)

    def output(self, name: str, folder: Path | None) -> Output:
        section = self.file.output
        own = self.folder / (section.folder or f"{self.stem}-results")
        return Output(own if folder is None else folder, section.name or name)

    def _named(self, name: str) -> str | Path:
        """A name as it is; a TOML or BPX file beside this one."""
        return self._file(name) if name.endswith((".toml", ".json")) else name

    def existing(self, path: str) -> Path:
        """A file of data beside this one."""
        found = self._file(path)
        if not found.exists():
            raise InputError(f"{self.where}: record: there is no '{found}'.")
        return found

    def _file(self, path: str) -> Path:
        self.inputs.append(self.folder / path)
        return self.inputs[-1]


def _settings(section: _FitSection, where: str) -> dict[str, Any]:
    """Arguments of `fit`, in its units."""
    free = section.free
    with _at(f"{where}: fit"):
        tolerance = section.tolerance and section.tolerance.to("A.h", "tolerance")
        if tolerance is not None and not (math.isfinite(tolerance) and tolerance > 0):
            raise InputError(f"tolerance: {tolerance:g} A.h is not a positive charge.")
        return {
            "free": list(free),
            "start": {n: _in_its_unit(f.start, n) for n, f in free.items() if f.start is not None},
            "bounds": {
                n: tuple(_in_its_unit(bound, n) for bound in f.bounds)
                for n, f in free.items()
                if f.bounds is not None
            },
            "observables": section.observables,
            "coordinate": _coordinates(section.coordinate),
            "noise": {n: _in_record_unit(noise, n) for n, noise in section.noise.items()},
            "loss": Loss(section.loss.name, section.loss.threshold or 0.0),
            "prior": {
                n: (_in_its_unit(f.prior[0], n), f.prior[1].to("-", f"prior of {n}"))
                for n, f in free.items()
                if f.prior is not None
            },
            "simpler_models": section.simpler_models,
            "tolerance": tolerance,
            "max_evaluations": section.max_evaluations,
        }


def _coordinates(section: _Coordinates | None) -> dict[str, str] | None:
    return None if section is None else section.model_dump(exclude_none=True)


def _in_its_unit(amount: _Amount, parameter: str) -> float:
    """A number in the unit of the bracket of a parameter's name."""
    return amount.to(unit_of_name(parameter) or "-", parameter)


def _in_record_unit(amount: _Amount, variable: str) -> float:
    """A number in the unit of a variable such as "capacity_C20" or "checkups/capacity_C20"."""
    name = variable.rpartition("/")[2]
    found = quantity("cycles", name) or quantity("checkups", name)
    return amount.value if found is None else amount.to(found.unit, variable)


def _check(
    cell: Cell, protocol: Protocol, record: xr.DataTree, settings: Mapping[str, Any]
) -> None:
    """Whatever `fit` would refuse, before `adapt` simulates anything."""
    given = {key: settings[key] for key in ("free", "start", "bounds")}
    Prior.independent(free_parameters(cell, **given), settings["prior"])
    simpler_levels(cell, settings["simpler_models"])
    given = {key: settings[key] for key in ("observables", "coordinate", "noise")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the fit says it again
        observe_with_protocol(record, cell, protocol, **given)


@contextmanager
def _at(where: str) -> Iterator[None]:
    """Put the place before an error's text."""
    try:
        yield
    except InputError as error:
        raise type(error)(f"{where}: {error}") from None
