"""Batches of fits written down in one TOML file and a table of records.

``cellmodels batch`` reads a run file as ``cellmodels fit`` does, which holds what all fits have in
common, with one section more::

    [batch]
    table = "cells.csv"            # one row a record, and what differs from this file
    workers = 2                    # processes; by default one a processor
    time_limit = 600               # s, of each fit
    retries = 1                    # of a fit whose process dies

    [batch.sets."SEI and LAM"]     # each record is fitted with every set; without sets once
    cell.mechanisms = ["SEI", "loss of active material"]
    fit.free = ["SEI solvent diffusivity [m2.s-1]", "Electrode width [m]"]

In the table the column ``name`` names the record. A header such as ``record.where.cell``,
``protocol`` or ``cell.values.Ambient temperature [K]`` is a place in the file, and an empty cell
leaves it as it is there. Any other column is a label that the results repeat.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from cellmodels.errors import InputError, did_you_mean
from cellmodels.fit_file import fit_task
from cellmodels.many.batch import Batch, fit_many
from cellmodels.many.task import FitTask
from cellmodels.toml_io import read_text, read_toml, validate

__all__ = ["BatchJob", "read_batch_file"]

_SECTIONS = ("cell", "record", "fit", "protocol")
_PLACE = re.compile(r"([a-z_]+)\.[a-z_]")
_DEPTH = 2  # dots that separate: "cell.values.Ambient temperature [K]"; names may hold more


class _BatchSection(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    table: str | None = None
    sets: dict[str, dict[str, Any]] = {}
    workers: Annotated[int, Field(ge=1)] | None = None
    time_limit: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    retries: Annotated[int, Field(ge=0)] = 1


_ADAPTER = TypeAdapter(_BatchSection)


@dataclass(frozen=True, eq=False)
class BatchJob:
    """A batch, ready to run.

    Parameters
    ----------
    tasks : tuple of FitTask
    folder : pathlib.Path
        For the results.
    workers : int or None
    time_limit : float or None
    retries : int
        As in :func:`cellmodels.fit_many`.
    inputs : tuple of pathlib.Path
        The files that were read.
    """

    tasks: tuple[FitTask, ...]
    folder: Path
    workers: int | None
    time_limit: float | None
    retries: int
    inputs: tuple[Path, ...]

    def run(
        self,
        *,
        workers: int | None = None,
        resume: bool = True,
        retry_failed: bool = False,
        progress: bool = True,
    ) -> Batch:
        """Do what is not done yet; as :func:`cellmodels.fit_many`."""
        return fit_many(
            self.tasks,
            self.folder,
            workers=workers or self.workers,
            resume=resume,
            retry_failed=retry_failed,
            retries=self.retries,
            time_limit=self.time_limit,
            progress=progress,
        )


def read_batch_file(path: str | Path, folder: Path | None = None) -> BatchJob:
    """Read a batch from a file and its table, and check all of its fits.

    Parameters
    ----------
    path : str or pathlib.Path
        A TOML file; see the module's text.
    folder : pathlib.Path, optional
        Folder for the results, instead of the file's.

    Returns
    -------
    BatchJob

    Raises
    ------
    InputError
        If something is wrong; the message names the file, the fit and the place.
    """
    path = Path(path)
    data = read_toml(path)
    if not isinstance(data.get("batch"), dict):
        raise InputError(f"{path}: a batch needs a section [batch].")
    section = validate(_ADAPTER, data.pop("batch"), f"{path}: batch")
    inputs, tasks = [path], []
    rows: list[_Row] = [_Row(path.stem, {}, {})]
    if section.table is not None:
        inputs.append(path.parent / section.table)
        rows = list(_rows(inputs[-1]))
    for row in rows:
        for chosen, changes in (section.sets or {"": {}}).items():
            name = f"{row.name} | {chosen}" if chosen else row.name
            labels = {"record": row.name, **({"set": chosen} if chosen else {}), **row.labels}
            whole = _merged(_merged(data, row.changes), changes)
            task, files = fit_task(path, whole, name, labels)
            tasks.append(task)
            inputs += [file for file in files if file not in inputs]
    own = path.parent / (data.get("output", {}).get("folder") or f"{path.stem}-results")
    return BatchJob(
        tuple(tasks),
        folder or own,
        section.workers,
        section.time_limit,
        section.retries,
        tuple(inputs),
    )


@dataclass(frozen=True)
class _Row:
    """A record of the table: its name, what differs from the file, and labels."""

    name: str
    changes: Mapping[str, Any]
    labels: Mapping[str, str | float]


def _rows(path: Path) -> Iterator[_Row]:
    lines = [line for line in read_text(path).splitlines() if not line.startswith("#")]
    reader = csv.DictReader(lines)
    headers = [header.strip() for header in reader.fieldnames or ()]
    if "name" not in headers:
        raise InputError(
            f"{path}: the table needs a column 'name'." + did_you_mean("name", headers)
        )
    for header in headers:
        found = _PLACE.match(header)
        if found is not None and found[1] not in _SECTIONS:
            raise InputError(
                f"{path}: '{header}' is no place in the file." + did_you_mean(found[1], _SECTIONS)
            )
    seen: set[str] = set()
    for number, cells in enumerate(reader, start=2):
        row = {str(k).strip(): v.strip() for k, v in cells.items() if isinstance(v, str)}
        if None in cells or len(row) < len(headers):
            raise InputError(f"{path}: row {number} has not as many cells as the header.")
        name = row.pop("name")
        if not name or name in seen:
            raise InputError(f"{path}: row {number}: {'twice ' if name else 'no '}name '{name}'.")
        seen.add(name)
        changes: dict[str, Any] = {}
        labels: dict[str, str | float] = {}
        for header, text in row.items():
            if header != "protocol" and _PLACE.match(header) is None:
                labels[header] = _value(text)
            elif text:
                changes = _merged(changes, _nested(header.split(".", _DEPTH), _value(text)))
        yield _Row(name, changes, labels)


def _value(text: str) -> Any:
    """A number, true or false, or a text."""
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _nested(keys: list[str], value: Any) -> dict[str, Any]:
    return {keys[0]: _nested(keys[1:], value) if keys[1:] else value}


def _merged(data: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A file with other values in some places; tables are merged, all else is replaced."""
    out = dict(data)
    for key, value in changes.items():
        held = out.get(key)
        both = isinstance(held, Mapping) and isinstance(value, Mapping)
        out[key] = _merged(held, value) if both else value  # type: ignore[arg-type]
    return out
