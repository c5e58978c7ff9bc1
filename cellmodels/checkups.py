"""Check-ups found in raw traces: `find_checkups`, and what it returns."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from cellmodels.checkup_figures import plot_checkups, resistance_unit
from cellmodels.checkup_plan import CURVE
from cellmodels.checkups_file import (
    CheckupsFile,
    ReadSection,
    as_recognition,
    checkups_text,
    corrections_path,
    read_checkups_file,
)
from cellmodels.errors import InputError, did_you_mean
from cellmodels.record import build_record, read_record
from cellmodels.record.cycles.checkup_tests import (
    MEAN_CURVE,
    checkup_rows,
    mean_curve,
    test_curve,
    test_rows,
)
from cellmodels.record.cycles.curves import differential_voltage, incremental_capacity
from cellmodels.record.cycles.cycling import summarise_steps
from cellmodels.record.cycles.recognition import Recognition, cycle_numbers, recognise
from cellmodels.record.cycles.segments import segment
from cellmodels.record.quality.report import duration

__all__ = ["CheckupsFound", "find_checkups"]

_POINTS = 400  # of a curve
_FEWEST_CYCLES = 2
_SHOWN = 30  # rows of the printed table
_LAST = 5
_ODD = 5  # irregular cycles that are named

#: Columns of the printed table: heading, variable, factor, format.
_COLUMNS = (
    ("rate", "c_rate", 1.0, "{:.3g}C"),
    ("current A", "current", 1.0, "{:.4g}"),
    ("T °C", "temperature", 1.0, "{:.1f}"),
    ("rise K", "temperature_rise", 1.0, "{:+.1f}"),
    ("rest s", "rest_before", 1.0, "{:.0f}"),
    ("depth A.h", "depth", 1.0, "{:.4g}"),
    ("from V", "start_voltage", 1.0, "{:.3f}"),
    ("to V", "end_voltage", 1.0, "{:.3f}"),
    ("charge A.h", "charge", 1.0, "{:.5g}"),
    ("energy W.h", "energy", 1.0, "{:.5g}"),
    ("CV s", "cv_duration", 1.0, "{:.0f}"),
    ("then V", "rest_voltage", 1.0, "{:.3f}"),
    ("1 s", "resistance_1s", 1.0, "{:.2f}"),
    ("10 s", "resistance_10s", 1.0, "{:.2f}"),
    ("30 s", "resistance_30s", 1.0, "{:.2f}"),
)


@dataclass(frozen=True, eq=False)
class CheckupsFound:
    """Check-ups found in a trace, and how each number was obtained.

    Made by :func:`find_checkups`. Its repr is a table with one row a test.

    Parameters
    ----------
    record : xarray.DataTree
        ``/cycles`` (of regular cycling: check-ups are no cycles, but count for throughput and
        time), ``/checkups`` and ``/tests``, in the form of :mod:`cellmodels.record.schema`; what
        `cellmodels.fit` takes.
    traces : xarray.Dataset
        The trace.
    segments : xarray.Dataset
        Its segments.
    recognition : Recognition
        Which segments are tests.
    source : str
        Name of the data file.
    nominal_capacity : float, optional
        As it was given [A.h].
    read : mapping
        Arguments of `read_record` with which the file was read.
    corrections : str
        The file that a person corrected; empty without one.
    """

    record: xr.DataTree
    traces: xr.Dataset = field(repr=False)
    segments: xr.Dataset = field(repr=False)
    recognition: Recognition
    source: str = ""
    nominal_capacity: float | None = None
    read: Mapping[str, Any] = field(default_factory=dict)
    corrections: str = ""

    @property
    def tests(self) -> xr.Dataset:
        """The group ``/tests`` of the record; without rows where nothing was found."""
        if "tests" not in self.record.children:
            return xr.Dataset()
        return self.record["tests"].to_dataset()

    @property
    def table(self) -> pd.DataFrame:
        """One row a test, with all that is known of it; units in the headings."""
        tests = self.tests
        if not tests.sizes.get("test"):
            return pd.DataFrame()
        columns: dict[str, Any] = {n: tests[n].values for n in ("checkup", "cycle", "name", "kind")}
        for name in tests.data_vars:
            if name not in columns:
                unit = tests[name].attrs.get("units", "-")
                heading = str(name) if unit == "-" else f"{name} [{unit}]"
                columns[heading] = tests[name].values
        return pd.DataFrame(columns)

    @property
    def curves(self) -> xr.Dataset:
        """Voltage and its derivatives of slow discharges and charges, and between them.

        Returns
        -------
        xarray.Dataset
            Dimension ``curve`` with ``name``, ``cycle`` and ``checkup``; ``charge`` [A.h],
            ``voltage`` [V] and ``differential_voltage`` [V.A-1.h-1] along ``point``; ``level`` [V]
            and ``incremental_capacity`` [A.h.V-1] along ``place``. Charge is what was discharged
            since the test began; of a charge, what is missing to its end.
        """
        return _curves(self.traces, self.segments, self.recognition)

    def corrections_text(self) -> str:
        """The recognition as TOML, for a person to correct."""
        return checkups_text(
            self.recognition,
            self.tests,
            self.traces,
            file=self.source,
            nominal_capacity=self.nominal_capacity,
            read=self.read,
        )

    def write_corrections(self, path: str | os.PathLike[str]) -> None:
        """Write the recognition as TOML, for a person to correct.

        Parameters
        ----------
        path : path
            The file, which must not be there.

        Raises
        ------
        InputError
            If it is there, or cannot be written.
        """
        try:
            with Path(path).open("x", encoding="utf8") as file:
                file.write(self.corrections_text())
        except FileExistsError:
            raise InputError(
                f"There is a file '{path}' already: what it says is used. Delete it to have it "
                "written anew."
            ) from None
        except OSError as error:
            raise InputError(f"'{path}' cannot be written ({error.strerror}).") from None

    def plot(self) -> Figure:
        """Trace with the tests found, their curves, and how results change over check-ups."""
        return plot_checkups(self.record, self.traces, self.curves)

    def __repr__(self) -> str:
        return _text(self)


def find_checkups(
    record: xr.DataTree | str | os.PathLike[str],
    *,
    nominal_capacity: float | None = None,
    corrections: str | os.PathLike[str] | CheckupsFile | None = None,
    read: Mapping[str, Any] | None = None,
    voltages_at: Sequence[float] = CURVE,
) -> CheckupsFound:
    """Find the check-ups in a trace, and what their tests measured.

    Parameters
    ----------
    record : xarray.DataTree or path
        A record with ``/traces``, or a file or folder that `read_record` reads.
    nominal_capacity : float, optional
        To which C-rates and depths refer [A.h]; by default the largest half-cycle of the trace.
    corrections : path, optional
        A file in which a person said which tests there are, instead of their recognition: see
        `CheckupsFound.write_corrections`. For a `record` given as a path, by default the file
        ``<path>.checkups.toml`` where there is one.
    read : mapping, optional
        For a path, the arguments ``columns``, ``where``, ``time_restarts`` and ``repair`` of
        `read_record`; by default those that the corrections say.
    voltages_at : sequence of float
        Discharged charges at which slow tests give ``voltage_<test>``, as shares of the capacity
        that C-rates refer to.

    Returns
    -------
    CheckupsFound
        How tests are told is in :func:`cellmodels.record.cycles.recognition.recognise`, what
        becomes of them in :func:`cellmodels.record.cycles.checkup_tests.checkup_rows`.

    Raises
    ------
    InputError
        If the record has no trace, or the corrections are wrong or were written for other data.
    """
    where = ""
    if not isinstance(record, xr.DataTree):
        path = Path(record)
        if corrections is None and corrections_path(path).is_file():
            corrections = corrections_path(path)
        source = path.name
    else:
        source = str(record.attrs.get("source", ""))
    if corrections is not None and not isinstance(corrections, CheckupsFile):
        where = str(corrections)
        corrections = read_checkups_file(where)
    if not isinstance(record, xr.DataTree):
        if read is None and corrections is not None:
            read = corrections.read.arguments
        record = read_record(path, **_readable(read or {}))
    if "traces" not in record.children:
        raise InputError("Check-ups are found in /traces, which this record does not have.")
    if nominal_capacity is not None and not 0 < nominal_capacity < np.inf:
        raise InputError(f"nominal_capacity must be positive [A.h], not {nominal_capacity!r}.")
    traces = record["traces"].to_dataset()
    segments = segment(traces)
    if corrections is None:
        recognition = recognise(segments, nominal_capacity)
    else:
        nominal_capacity = nominal_capacity or corrections.nominal_capacity
        said = corrections.model_copy(update={"nominal_capacity": nominal_capacity})
        recognition = as_recognition(said, traces, segments, where or "corrections")
    return CheckupsFound(
        record=_record(record, traces, segments, recognition, voltages_at),
        traces=traces,
        segments=segments,
        recognition=recognition,
        source=source,
        nominal_capacity=nominal_capacity,
        read=dict(read or {}),
        corrections=where,
    )


def _readable(read: Mapping[str, Any]) -> Mapping[str, Any]:
    """Arguments of `read_record`, those that a file of check-ups can hold."""
    for name in read:
        if name not in ReadSection.model_fields:
            hint = did_you_mean(name, ReadSection.model_fields)
            raise InputError(f"read: there is no argument '{name}'.{hint}")
    return read


def _record(
    record: xr.DataTree,
    traces: xr.Dataset,
    segments: xr.Dataset,
    recognition: Recognition,
    voltages_at: Sequence[float],
) -> xr.DataTree:
    """Cycles, check-ups and tests as a record."""
    groups: dict[str, xr.Dataset] = {}
    cycles = _cycle_rows(traces, segments, recognition)
    if cycles is not None:
        groups["cycles"] = cycles
    if recognition.checkups:
        tests = test_rows(traces, segments, recognition)
        rows = checkup_rows(traces, segments, recognition, tests, voltages_at)
        if len(rows) > len(("cycle", "elapsed_time", "throughput")):
            built = build_record(checkups=rows, flag=False)
            groups["checkups"] = built["checkups"].to_dataset()
        groups["tests"] = tests
    tree = xr.DataTree.from_dict(groups)
    tree.attrs = {
        **record.attrs,
        "checkups_count_as_cycles": 0,
        "capacity_of_rates": recognition.capacity,
    }
    return tree


def _cycle_rows(
    traces: xr.Dataset, segments: xr.Dataset, recognition: Recognition
) -> xr.Dataset | None:
    """The group /cycles: what lies outside check-ups; time and throughput include these."""
    numbers = cycle_numbers(segments, recognition)
    if len(np.unique(numbers[numbers > 0])) < _FEWEST_CYCLES:
        return None
    steps = segments.assign(cycle=("segment", numbers)).isel(segment=numbers > 0)
    cycles = summarise_steps(traces, steps)
    last = [int(np.flatnonzero(numbers == number)[-1]) for number in cycles["cycle"].values]
    passed = np.cumsum(np.maximum(segments["charge"].values, 0.0))
    ends = segments["start_time"].values + segments["duration"].values
    return cycles.assign_coords(
        throughput=cycles["throughput"].copy(data=passed[last]),
        elapsed_time=cycles["elapsed_time"].copy(data=ends[last] - float(traces["time"][0])),
    )


def _curves(traces: xr.Dataset, segments: xr.Dataset, recognition: Recognition) -> xr.Dataset:
    found = []
    for number, checkup in enumerate(recognition.checkups):
        place = (number, checkup.after_cycle)
        for test in checkup.tests:
            if test.kind in ("slow discharge", "slow charge"):
                q, v = test_curve(traces, segments, test)
                found.append((test.name, *place, q if q[-1] > q[0] else q - q[-1], v))
        mean = mean_curve(traces, segments, checkup)
        if mean is not None:
            found.append((MEAN_CURVE, *place, mean["charge"].values, mean["voltage"].values))
    curves = [_curve(*one) for one in found if len(one[3]) > 2 and np.ptp(one[3]) > 0]
    return xr.concat(curves, "curve") if curves else xr.Dataset()


def _curve(name: str, checkup: int, cycle: int, q: Any, v: Any) -> xr.Dataset:
    """One curve on points of its own."""
    order = np.argsort(q, kind="stable")
    at = np.linspace(q.min(), q.max(), _POINTS)
    slope = differential_voltage(q, v)
    level = np.linspace(v.min(), v.max(), _POINTS)
    try:
        density = incremental_capacity(q, v)
        ic = np.interp(level, density["voltage"], density["incremental_capacity"])
    except InputError:  # the voltage hardly changes
        ic = np.full(_POINTS, np.nan)
    along = {
        "charge": ("point", at, {"units": "A.h"}),
        "voltage": ("point", np.interp(at, q[order], v[order]), {"units": "V"}),
        "differential_voltage": (
            "point",
            np.interp(at, slope["charge"], slope["differential_voltage"]),
            {"units": "V.A-1.h-1"},
        ),
        "level": ("place", level, {"units": "V"}),
        "incremental_capacity": ("place", ic, {"units": "A.h.V-1"}),
    }
    return xr.Dataset({"name": name, "checkup": checkup, "cycle": cycle, **along})


# --- the printed table -------------------------------------------------------------------------


def _text(found: CheckupsFound) -> str:
    tests, capacity = found.tests, found.recognition.capacity
    count, rows = len(found.recognition.checkups), tests.sizes.get("test", 0)
    span = duration(float(found.traces["time"][-1] - found.traces["time"][0]))
    said = "nominal" if found.nominal_capacity else "the largest half-cycle"
    known = f"{capacity:.5g} A.h ({said})"
    if not capacity > 0:
        known = "no known capacity: give nominal_capacity"
    lines = [
        f"{found.source or 'Trace'}: {found.traces.sizes['sample']} rows, {span}, "
        f"{found.segments.sizes['segment']} segments",
        f"{count} check-up{'s' if count != 1 else ''} with {rows} test{'s' if rows != 1 else ''}, "
        f"{_cycles(found)} regular cycles; C-rates and depths refer to {known}",
    ]
    if "repaired" in found.record.attrs:
        lines.append(f"Repaired: {found.record.attrs['repaired']}.")
    if found.corrections:
        lines.append(f"Tests as {found.corrections} says.")
    lines += _cycles_text(found)
    if rows:
        lines += ["", _aligned(_table_rows(tests)), *_remarks(tests)]
    return "\n".join(lines)


def _cycles(found: CheckupsFound) -> int:
    if "cycles" not in found.record.children:
        return 0
    return int(found.record["cycles"].sizes["point"])


def _cycles_text(found: CheckupsFound) -> list[str]:
    """Capacity of the first and the last regular cycle, and which are not like the others."""
    if "cycles" not in found.record.children:
        return []
    cycles = found.record["cycles"].to_dataset()
    lines = []
    if "discharge_capacity" in cycles:
        known = cycles.isel(point=np.isfinite(cycles["discharge_capacity"].values))
        number, capacity = known["cycle"].values, known["discharge_capacity"].values
        lines.append(
            f"Cycle {number[0]} discharges {capacity[0]:.5g} A.h, cycle {number[-1]} "
            f"{capacity[-1]:.5g} A.h."
        )
    odd = str(cycles.attrs.get("irregular_cycles", ""))
    shown = odd.split("; ")[:_ODD] if odd else []
    more = odd.count("; ") + 1 - len(shown) if odd else 0
    lines += [f"  {one}" for one in shown] + ([f"  … {more} more irregular cycles"] if more else [])
    return lines


def _shown_rows(count: int) -> list[int | None]:
    """Rows that are printed; None for those left out between."""
    if count <= _SHOWN + _LAST:
        return list(range(count))
    return [*range(_SHOWN), None, *range(count - _LAST, count)]


def _table_rows(tests: xr.Dataset) -> list[list[str]]:
    used = [c for c in _COLUMNS if np.isfinite(tests[c[1]].values).any()]
    resistances = [n for _, n, *_ in used if n.startswith("resistance_")]
    ohms, ohm = resistance_unit(np.concatenate([[], *(tests[n].values for n in resistances)]))
    headings = [  # the first resistance says what it is
        f"R {heading} {ohm}" if name in resistances[:1] else heading for heading, name, *_ in used
    ]
    rows = [["after", "test", "kind", "segments", *headings]]
    for k in _shown_rows(tests.sizes["test"]):
        if k is None:
            left = tests.sizes["test"] - _SHOWN - _LAST
            rows.append(["", f"… {left} more", "", "", *([""] * len(used))])
            continue
        one = tests.isel(test=k)
        first, last = int(one["first_segment"]), int(one["last_segment"])
        row = [str(int(one["cycle"])), str(one["name"].values), str(one["kind"].values)]
        row.append(f"{first}" if first == last else f"{first}-{last}")
        for heading, name, factor, form in used:
            factor = ohms if name in resistances else factor
            value = factor * float(one[name]) - (273.15 if heading == "T °C" else 0.0)
            row.append(form.format(value) if np.isfinite(value) else "")
        rows.append(row)
    return rows


def _remarks(tests: xr.Dataset) -> list[str]:
    """Remarks, each with the tests that it is about."""
    about: dict[str, list[str]] = {}
    for name, remarks in zip(tests["name"].values, tests["remarks"].values, strict=True):
        for remark in filter(None, str(remarks).split("; ")):
            about.setdefault(remark, []).append(str(name))
    about = {remark: list(dict.fromkeys(names)) for remark, names in about.items()}
    lines = []
    for remark, names in list(about.items())[:10]:
        more = f" and {len(names) - 4} more" if len(names) > 4 else ""
        lines.append(f"  {', '.join(names[:4])}{more}: {remark}")
    return ["", *lines] if lines else []


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    """Words to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    words = 4
    return "\n".join(
        "  "
        + "  ".join(
            f"{text:<{w}}" if 0 < k < words else f"{text:>{w}}"
            for k, (text, w) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )
