"""``FitTask``: one fit of a batch as a small value that can be sent to another process."""

from __future__ import annotations

import hashlib
import inspect
import itertools
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import xarray as xr

from cellmodels.cell import Cell
from cellmodels.errors import InputError, did_you_mean
from cellmodels.fitting import fit
from cellmodels.fitting.fit import free_parameters, simpler_levels
from cellmodels.fitting.loss import Loss
from cellmodels.models.mechanisms import Mechanism
from cellmodels.protocol import Protocol
from cellmodels.record import read_record

__all__ = ["FitTask", "fit_tasks"]

T = TypeVar("T")

_NOT_OPTIONS = {
    "cell", "record", "protocol", "free", "checkpoint", "resume", "progress"
}  # fmt: skip
_OPTIONS = tuple(name for name in inspect.signature(fit).parameters if name not in _NOT_OPTIONS)
_READ = tuple(inspect.signature(read_record).parameters)
#: Goes into the fingerprint: results of another version are made again.
_FORMAT = "cellmodels-task/1"


@dataclass(frozen=True, eq=False)
class FitTask:
    """A fit of a batch: what :func:`cellmodels.fit` needs, and a name.

    Parameters
    ----------
    name : str
        Unique in its batch.
    cell : Cell
        Before it is adapted.
    record : path or xarray.DataTree
        Data, or the file that holds them; it is read where the fit runs.
    protocol : Protocol
    free : sequence of str
        Names of the parameters to fit.
    options : mapping
        Further arguments of :func:`cellmodels.fit`, such as ``start``, ``bounds``, ``noise``.
    adapt : bool
        Whether the cell is first scaled to the record with :func:`cellmodels.adapt`.
    relative_bounds : mapping of str to (float, float)
        Bounds as multiples of the value in the cell, after it is adapted.
    read : mapping
        Arguments of :func:`cellmodels.read_record`, where the record is a file.
    labels : mapping of str to str or float
        What the table of results says of this task beside its name, such as a temperature; also
        numpy's numbers and texts.

    Raises
    ------
    InputError
        On a parameter, option or label that cannot be.
    """

    name: str
    cell: Cell
    record: str | os.PathLike[str] | xr.DataTree
    protocol: Protocol
    free: Sequence[str]
    options: Mapping[str, Any] = field(default_factory=dict)
    adapt: bool = False
    relative_bounds: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    read: Mapping[str, Any] = field(default_factory=dict)
    labels: Mapping[str, str | float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.strip():
            raise InputError(f"A task needs a name, not {self.name!r}.")
        with_names = [self.free] if isinstance(self.free, str) else list(self.free)
        object.__setattr__(self, "free", tuple(with_names))
        for known, given, what in (
            (_OPTIONS, self.options, "option of a fit"),
            (_READ, self.read, "argument of read_record"),
        ):
            for name in given:
                if name not in known:
                    raise InputError(
                        f"Task {self.name!r}: {name!r} is no {what}." + did_you_mean(name, known)
                    )
        # Labels out of a table of pandas are numpy's.
        labels = {k: v.item() if isinstance(v, np.generic) else v for k, v in self.labels.items()}
        object.__setattr__(self, "labels", labels)
        for name, value in labels.items():
            if not isinstance(value, str | int | float):
                raise InputError(f"Task {self.name!r}: the label {name!r} is {value!r}.")
        self._check()

    def _check(self) -> None:
        """What `fit` would refuse, as far as it can be told without the record."""
        try:
            settings = {key: self.options.get(key) for key in ("start", "bounds")}
            bounds = {**(settings["bounds"] or {}), **self.bounds_for(self.cell)}
            free_parameters(self.cell, self.free, start=settings["start"], bounds=bounds)
            simpler_levels(self.cell, self.options.get("simpler_models"))
            Loss.of(self.options.get("loss", "squares"))
        except InputError as error:
            raise InputError(f"Task {self.name!r}: {error}") from None

    def bounds_for(self, cell: Cell) -> dict[str, tuple[float, float]]:
        """The relative bounds, in the parameters' units, for a cell."""
        found = {}
        for name, pair in self.relative_bounds.items():
            value = cell.value(name)
            low, high = (float(factor) * value for factor in pair)
            found[name] = (min(low, high), max(low, high))
        return found

    def to_plain(self) -> dict[str, Any]:
        """The task as dicts, lists, numbers, texts and arrays; :meth:`from_plain` reads it back."""
        record = (
            {"tree": plain_tree(self.record)}
            if isinstance(self.record, xr.DataTree)
            else {"path": str(Path(self.record).absolute())}
        )
        return {
            "name": self.name,
            "cell": self.cell.to_dict(),
            "record": record,
            "protocol": self.protocol.to_dict(),
            "free": list(self.free),
            "options": _plain(dict(self.options)),
            "adapt": self.adapt,
            "relative_bounds": _plain(dict(self.relative_bounds)),
            "read": _plain(dict(self.read)),
            "labels": dict(self.labels),
        }

    @classmethod
    def from_plain(cls, data: Mapping[str, Any]) -> FitTask:
        """A task from :meth:`to_plain`."""
        record = data["record"]
        options = dict(data["options"])
        if isinstance(options.get("loss"), dict):
            options["loss"] = Loss(**options["loss"])
        return cls(
            name=data["name"],
            cell=Cell.from_dict(data["cell"]),
            record=tree_of(record["tree"]) if "tree" in record else Path(record["path"]),
            protocol=Protocol.from_dict(data["protocol"]),
            free=data["free"],
            options=options,
            adapt=data["adapt"],
            relative_bounds=data["relative_bounds"],
            read=data["read"],
            labels=data["labels"],
        )

    @property
    def fingerprint(self) -> str:
        """Hash of everything that the result depends on: not of name and labels.

        Raises
        ------
        InputError
            When the record's file is not there.
        """
        plain = self.to_plain()
        if isinstance(self.record, xr.DataTree):
            plain["record"] = _hash_of_tree(self.record)
        else:
            path = Path(self.record)
            if not path.exists():
                raise InputError(f"Task {self.name!r}: there is no record '{path}'.")
            plain["record"] = _hash_of_path(path.resolve(), _state(path))
        del plain["name"], plain["labels"]
        plain["format"] = _FORMAT
        return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()

    def load_record(self) -> xr.DataTree:
        """The record, read where it is a file."""
        if isinstance(self.record, xr.DataTree):
            return self.record
        return read_record(Path(self.record), **self.read)


def fit_tasks(
    records: Mapping[str, str | os.PathLike[str] | xr.DataTree],
    cell: Cell | Mapping[str, Cell],
    protocol: Protocol | Mapping[str, Protocol],
    free: Sequence[str] | Mapping[str, Sequence[str]],
    *,
    mechanism_sets: Mapping[str, Sequence[Mechanism | str]] | None = None,
    starts: Mapping[str, Mapping[str, float]] | None = None,
    labels: Mapping[str, Mapping[str, str | float]] | None = None,
    **common: Any,
) -> list[FitTask]:
    """Tasks of a batch over records, mechanism sets and starts.

    Parameters
    ----------
    records : mapping of str to path or xarray.DataTree
        By name.
    cell : Cell or mapping of str to Cell
        One for all, or one a record.
    protocol : Protocol or mapping of str to Protocol
        One for all, or one a record.
    free : sequence of str or mapping of str to sequence of str
        Parameters to fit; a mapping gives those of each mechanism set. A start for a parameter
        that a set does not fit is left out.
    mechanism_sets : mapping of str to sequence, optional
        Mechanisms by which each cell is fitted, in place of those that age it; those that do not,
        such as a lumped temperature, stay (:meth:`cellmodels.Cell.with_ageing`).
    starts : mapping of str to mapping of str to float, optional
        Starts by name; each makes a fit of its own.
    labels : mapping of str to mapping, optional
        Labels by record, see :class:`FitTask`.
    **common
        Further fields of :class:`FitTask`, such as ``options``, ``adapt``, ``read``.

    Returns
    -------
    list of FitTask
        Named ``"record | set | start"``, parts that do not vary left out. The labels ``record``,
        ``mechanisms`` and ``start`` hold the same.

    Raises
    ------
    InputError
        When a record has no cell or protocol, or a set no parameters.
    """
    options = dict(common.pop("options", {}))
    sets: Mapping[str, Any] = mechanism_sets or {"": None}
    begins: Mapping[str, Any] = starts or {"": None}
    tasks = []
    for name, chosen, start in itertools.product(records, sets, begins):
        base = _of(cell, name, "cell")
        mechanisms = sets[chosen]
        if mechanisms is not None:
            base = base.with_ageing(mechanisms)
        names = _of(free, chosen, "list of parameters") if isinstance(free, Mapping) else free
        given = {**(options.get("start") or {}), **(begins[start] or {})}
        kept = {key: value for key, value in given.items() if key in names}
        bounds = {k: v for k, v in (options.get("bounds") or {}).items() if k in names}
        relative = {k: v for k, v in common.get("relative_bounds", {}).items() if k in names}
        parts = {"record": name, "mechanisms": chosen, "start": start}
        shown = {key: part for key, part in parts.items() if part or key == "record"}
        tasks.append(
            FitTask(
                name=" | ".join(shown.values()),
                cell=base,
                record=records[name],
                protocol=_of(protocol, name, "protocol"),
                free=names,
                options={**options, "start": kept, "bounds": bounds},
                labels={**shown, **(labels or {}).get(name, {})},
                **{**common, "relative_bounds": relative},
            )
        )
    return tasks


def _of(given: Any, name: str, what: str) -> Any:
    """The value for a name, of a mapping; anything else is for all."""
    if not isinstance(given, Mapping):
        return given
    if name not in given:
        raise InputError(f"No {what} is given for {name!r}." + did_you_mean(name, given))
    return given[name]


# Plain data -------------------------------------------------------------------------------


def plain_tree(tree: xr.DataTree) -> dict[str, Any]:
    """A tree as dicts and arrays by path."""
    return {
        node.path: node.to_dataset(inherit=False).to_dict(data="array") for node in tree.subtree
    }


def tree_of(plain: Mapping[str, Any]) -> xr.DataTree:
    """A tree from :func:`plain_tree`."""
    return xr.DataTree.from_dict(
        {path: xr.Dataset.from_dict(dict(node)) for path, node in plain.items()}
    )


def _plain(value: Any) -> Any:
    """Settings in JSON's types."""
    if isinstance(value, Loss):
        return {"name": value.name, "threshold": value.threshold}
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, os.PathLike):
        return str(value)
    if value is None or isinstance(value, str | int | float | bool):
        return value
    try:
        return [_plain(each) for each in value]
    except TypeError:
        raise InputError(f"A task cannot hold {value!r}: it is no plain data.") from None


def _hash_of_tree(tree: xr.DataTree) -> str:
    found = hashlib.sha256()
    for node in tree.subtree:
        dataset = node.to_dataset(inherit=False)
        found.update(json.dumps([node.path, _texts(dataset.attrs)], sort_keys=True).encode())
        for name in sorted(map(str, dataset.variables)):
            variable = dataset[name].variable
            values = np.ascontiguousarray(variable.values)
            values = values if values.dtype.kind in "fiub" else values.astype(str)
            head = [name, list(map(str, variable.dims)), values.dtype.str, _texts(variable.attrs)]
            found.update(json.dumps(head, sort_keys=True).encode())
            found.update(values.tobytes())
    return found.hexdigest()


def _texts(attributes: Mapping[Any, Any]) -> dict[str, str]:
    return {str(key): str(value) for key, value in attributes.items()}


def _state(path: Path) -> tuple[tuple[str, int, int], ...]:
    """Names, sizes and times of a file, or of those in a folder: whether it must be read again."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    stats = [(str(file), file.stat()) for file in files if file.is_file()]
    return tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in stats)


@lru_cache(maxsize=4096)
def _hash_of_path(path: Path, state: tuple[tuple[str, int, int], ...]) -> str:
    """Hash of the content of a file or folder, wherever it lies."""
    found = hashlib.sha256()
    for name, _, _ in state:
        file = Path(name)
        found.update(file.relative_to(path.parent).as_posix().encode() if path.is_dir() else b"")
        with file.open("rb") as opened:
            found.update(hashlib.file_digest(opened, "sha256").digest())
    return found.hexdigest()
