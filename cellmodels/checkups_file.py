"""The form of a file of check-ups: what was recognised in a trace, for a person to correct."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import xarray as xr
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, field_validator

from cellmodels.errors import InputError, did_you_mean
from cellmodels.record.cycles.recognition import (
    TEST_KINDS,
    FoundCheckup,
    FoundTest,
    Recognition,
    TestKind,
)
from cellmodels.record.cycles.runs import find_runs, largest_half_cycle
from cellmodels.toml_io import read_toml, validate

__all__ = [
    "CheckupsFile",
    "as_recognition",
    "checkups_text",
    "corrections_path",
    "fingerprint",
    "read_checkups_file",
]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_]{0,39}")
_RESERVED = ("_std", "_flag")
_Number = Annotated[int, Field(ge=0)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class DataSection(_Section):
    """``[data]``: of which trace the numbers of segments are."""

    file: str = ""
    rows: _Number
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class ReadSection(_Section):
    """``[read]``: arguments of ``read_record``; false leaves a column out."""

    columns: dict[str, str | Literal[False]] = {}
    where: dict[str, str | int | float] = {}
    time_restarts: Literal["cycle", "step"] | None = None
    repair: list[str] = []

    @property
    def arguments(self) -> dict[str, Any]:
        """What is given, as ``read_record`` takes it."""
        given = self.model_dump(exclude_defaults=True)
        if "columns" in given:
            given["columns"] = {k: v or None for k, v in self.columns.items()}
        return given


class TestSection(_Section):
    """``[[checkup.test]]``: one test, its first and last segment."""

    __test__ = False

    name: str
    kind: TestKind
    segments: Annotated[list[_Number], Field(min_length=1, max_length=2)]

    @field_validator("name")
    @classmethod
    def _usable(cls, name: str) -> str:
        if not _NAME.fullmatch(name) or name.endswith(_RESERVED):
            raise ValueError(
                f"a test's name has up to 40 letters, digits and underscores, such as 'C20', and "
                f"does not end in '_std' or '_flag': not {name!r}."
            )
        return name


class CheckupSection(_Section):
    """``[[checkup]]``."""

    after_cycle: _Number
    test: Annotated[list[TestSection], Field(min_length=1, max_length=10_000)]


class CheckupsFile(_Section):
    """A whole file."""

    format: Literal[1]
    nominal_capacity: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    read: ReadSection = ReadSection()
    data: DataSection
    checkup: Annotated[list[CheckupSection], Field(max_length=10_000)] = []

    @field_validator("nominal_capacity", mode="before")
    @classmethod
    def _as_float(cls, value: Any) -> Any:
        return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


_ADAPTER = TypeAdapter(CheckupsFile)


def corrections_path(path: str | Path) -> Path:
    """Where the file of check-ups of a data file lies: ``<path>.checkups.toml``."""
    path = Path(path)
    return path.with_name(path.name + ".checkups.toml")


def read_checkups_file(path: str | Path) -> CheckupsFile:
    """Read a file of check-ups.

    Parameters
    ----------
    path : str or pathlib.Path
        The file.

    Returns
    -------
    CheckupsFile

    Raises
    ------
    InputError
        If keys are missing or unknown, or values are wrong.
    """
    return validate(_ADAPTER, read_toml(path), str(path))


def fingerprint(traces: xr.Dataset) -> str:
    """SHA-256 of the time, voltage and current of a trace.

    Parameters
    ----------
    traces : xarray.Dataset
        The group /traces of a record.

    Returns
    -------
    str
        Hexadecimal. It changes with the data, not with how the file holds them.
    """
    digest = hashlib.sha256()
    for name in ("time", "voltage", "current"):
        digest.update(np.ascontiguousarray(traces[name].values, dtype="<f8").tobytes())
    return digest.hexdigest()


def as_recognition(
    file: CheckupsFile, traces: xr.Dataset, segments: xr.Dataset, where: str
) -> Recognition:
    """What a person's file says was done, checked against the data.

    Parameters
    ----------
    file : CheckupsFile
        The content.
    traces : xarray.Dataset
        The group /traces of a record.
    segments : xarray.Dataset
        From :func:`cellmodels.record.cycles.segments.segment`.
    where : str
        The file's name, for messages.

    Returns
    -------
    Recognition
        Its check-ups, and nothing else.

    Raises
    ------
    InputError
        If the file was written for other data, or its segments are not there, hold no such
        discharge or charge, or are used twice.
    """
    _check_data(file, traces, where)
    used: dict[int, str] = {}
    found = []
    for number, checkup in enumerate(file.checkup):
        tests = []
        for test in checkup.test:
            place = f"{where}: checkup -> {number} -> test '{test.name}'"
            tests.append(_checked(test, segments, used, place))
        names = [test.name for test in tests]
        twice = next((name for k, name in enumerate(names) if name in names[:k]), None)
        if twice is not None:
            raise InputError(f"{where}: checkup -> {number}: two tests have the name '{twice}'.")
        found.append(FoundCheckup(checkup.after_cycle, tuple(sorted(tests, key=lambda t: t.first))))
    for one, other in pairwise(found):
        if other.after_cycle <= one.after_cycle or other.tests[0].first < one.tests[-1].last:
            raise InputError(
                f"{where}: check-ups stand in order of time, and each comes after more cycles than "
                f"the one before it: after_cycle = {other.after_cycle} follows {one.after_cycle}."
            )
    capacity = file.nominal_capacity or largest_half_cycle(segments)
    return Recognition(float(capacity), tuple(found))


def checkups_text(
    recognition: Recognition,
    tests: xr.Dataset,
    traces: xr.Dataset,
    *,
    file: str = "",
    nominal_capacity: float | None = None,
    read: Mapping[str, Any] | None = None,
) -> str:
    """What was recognised, as the text of such a file.

    Parameters
    ----------
    recognition : Recognition
        What was recognised.
    tests : xarray.Dataset
        From :func:`cellmodels.record.cycles.checkup_tests.test_rows`, for the comments.
    traces : xarray.Dataset
        The group /traces of the record.
    file : str
        Name of the data file.
    nominal_capacity : float, optional
        As it was given [A.h].
    read : mapping, optional
        Arguments of `read_record` with which the file was read.

    Returns
    -------
    str
        TOML, with the segments, current, charge and voltages of each test in a comment.
    """
    lines = [
        "# Check-ups recognised in the file below. What stands here is what is used: rename a",
        "# test, change its kind or segments (first and last), leave tests or check-ups out.",
        f"# Kinds: {', '.join(TEST_KINDS)}.",
        "format = 1",
    ]
    if nominal_capacity is not None:
        lines.append(f"nominal_capacity = {float(nominal_capacity)!r}  # A.h")
    else:
        lines.append(
            "# nominal_capacity = 5.0  # A.h; C-rates and depths refer to it, now to "
            + (f"{recognition.capacity:.5g}, found" if recognition.capacity > 0 else "nothing")
        )
    if read:
        lines += ["", "[read]", *(f"{name} = {_value(value)}" for name, value in read.items())]
    lines += ["", "[data]", f"file = {_text(file)}", f"rows = {traces.sizes['sample']}"]
    lines.append(f'sha256 = "{fingerprint(traces)}"')
    row = 0
    for checkup in recognition.checkups:
        lines += ["", "[[checkup]]", f"after_cycle = {checkup.after_cycle}"]
        for test in checkup.tests:
            one = tests.isel(test=row)
            segments = [test.first] if test.first == test.last else [test.first, test.last]
            lines += ["", f"[[checkup.test]]  # {_comment(one)}", f"name = {_text(test.name)}"]
            lines += [f"kind = {_text(test.kind)}", f"segments = {segments}"]
            row += 1
    return "\n".join(lines) + "\n"


def _comment(test: xr.Dataset) -> str:
    return (
        f"rows {int(test['first'])} to {int(test['last'])}: {float(test['current']):.4g} A, "
        f"{float(test['charge']):.5g} A.h, {float(test['start_voltage']):.4g} to "
        f"{float(test['end_voltage']):.4g} V"
    )


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _value(value: Any) -> str:
    """An argument of `read_record` as TOML; None, which leaves a column out, is false there."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_text(k)} = {_value(v)}" for k, v in value.items()) + " }"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, list | tuple | set | frozenset):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value or False) if isinstance(value, bool | None) else repr(value)


def _check_data(file: CheckupsFile, traces: xr.Dataset, where: str) -> None:
    rows = traces.sizes["sample"]
    again = "Check it against the data, or delete it and have it written anew."
    if file.data.rows != rows:
        raise InputError(
            f"{where}: written for a trace of {file.data.rows} rows, but there are {rows}. {again}"
        )
    if file.data.sha256 != fingerprint(traces):
        raise InputError(
            f"{where}: the data have changed since it was written, so its segments may be others. "
            f"{again}"
        )


def _checked(
    test: TestSection, segments: xr.Dataset, used: dict[int, str], place: str
) -> FoundTest:
    """One test, whose segments are there, hold its kind, and are used once."""
    first, last = test.segments[0], test.segments[-1]
    count = segments.sizes["segment"]
    if last < first or last >= count:
        near = did_you_mean(str(last), [str(k) for k in _currents(segments)])
        raise InputError(
            f"{place}: there are no segments {first} to {last}; the trace has 0 to {count - 1}, "
            f"and a current flows in {_listed(_currents(segments))}.{near}"
        )
    runs = find_runs(segments, first, last)
    if not runs:
        nearest = min(_currents(segments), key=lambda k: abs(k - first), default=first)
        raise InputError(
            f"{place}: no current flows in segments {first} to {last}. Did you mean {nearest}?"
        )
    charge = sum(run.charge for run in runs)
    if (charge > 0) != ("discharge" in test.kind):
        word = "discharge" if charge > 0 else "charge"
        kinds = [kind for kind in TEST_KINDS if ("discharge" in kind) == (charge > 0)]
        raise InputError(
            f"{place}: segments {first} to {last} {word} the cell by {abs(charge):.4g} A.h, which "
            f"is no '{test.kind}'. Choose from: {', '.join(kinds)}."
        )
    for k in range(first, last + 1):
        if k in used:
            raise InputError(f"{place}: segment {k} belongs to the test '{used[k]}' already.")
        used[k] = test.name
    return FoundTest(test.name, test.kind, first, last)


def _currents(segments: xr.Dataset) -> list[int]:
    return [k for run in find_runs(segments) for k in range(run.first, run.last + 1)]


def _listed(numbers: list[int]) -> str:
    """Numbers as ranges: "1 to 3, 5"."""
    parts: list[list[int]] = []
    for k in numbers:
        if parts and parts[-1][-1] == k - 1:
            parts[-1][1:] = [k]
        else:
            parts.append([k])
    shown = [f"{p[0]} to {p[-1]}" if len(p) > 1 else str(p[0]) for p in parts[:12]]
    return ", ".join(shown) + (f" and {len(parts) - 12} more" if len(parts) > 12 else "")
