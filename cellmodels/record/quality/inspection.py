"""Groups of records looked at for faults, and repaired on request."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from cellmodels.record.checks import Rows
from cellmodels.record.files.adapting import EVIDENCE
from cellmodels.record.quality import table_quality, trace_quality
from cellmodels.record.quality.repair import flag_noted, repair_trace
from cellmodels.record.quality.report import Finding, QualityReport, report
from cellmodels.record.quality.table_quality import with_true_cycles
from cellmodels.record.quality.trace_view import Found


@dataclass(frozen=True)
class Inspected:
    """One group of a record, and what was found in it.

    Parameters
    ----------
    dataset : xarray.Dataset
        Repaired where that was asked for; rows of noted gaps and spikes are flagged.
    rows : Rows
        What its rows are called.
    found : tuple of Finding
        What is still wrong or doubtful.
    cured : tuple of Finding
        What was repaired.
    """

    dataset: xr.Dataset
    rows: Rows
    found: tuple[Finding, ...]
    cured: tuple[Finding, ...]


def inspect(dataset: xr.Dataset, group: str, rows: Rows, kinds: Collection[str] = ()) -> Inspected:
    """Look for the faults of one group, after the repairs that are asked for.

    Parameters
    ----------
    dataset : xarray.Dataset
        In the schema's form; numbers of /traces may be impossible.
    group : {"cycles", "checkups", "traces"}
        Which.
    rows : Rows
        What its rows are called.
    kinds : collection of str
        What to repair, of :data:`cellmodels.record.quality.repair.REPAIRS`.

    Returns
    -------
    Inspected
    """
    cured: list[Finding] = []
    if kinds and group == "traces":
        dataset, rows, cured = _mended(dataset, rows, kinds)
    elif "cycle" in kinds and group == "cycles":
        cured = [_named(one, group, rows) for one in table_quality.faults(dataset, group, "cycle")]
        dataset = with_true_cycles(dataset) if cured else dataset
    if group == "traces":
        found = trace_quality.faults(dataset)
        dataset = flag_noted(dataset, found)
        dataset.attrs = {k: v for k, v in dataset.attrs.items() if k not in EVIDENCE}
    else:
        found = table_quality.faults(dataset, group)
    return Inspected(dataset, rows, tuple(_named(one, group, rows) for one in found), tuple(cured))


def _mended(
    dataset: xr.Dataset, rows: Rows, kinds: Collection[str]
) -> tuple[xr.Dataset, Rows, list[Finding]]:
    """A repaired trace; its rows keep their numbers."""
    numbers = np.arange(dataset.sizes["sample"]) if rows.numbers is None else rows.numbers
    dataset, cured = repair_trace(dataset.assign_coords(row=("sample", numbers)), kinds)
    left = Rows(rows.where, rows.word, dataset["row"].values)
    return dataset.drop_vars("row"), left, [_finding(one, "traces", rows.word) for one in cured]


def _named(found: Found, group: str, rows: Rows) -> Finding:
    """A fault with the numbers of its rows."""
    if rows.numbers is not None:
        found = found._replace(samples=rows.numbers[found.samples])
    return _finding(found, group, rows.word)


def _finding(found: Found, group: str, word: str) -> Finding:
    kind, variable, numbers, severity, message, cure = found
    return Finding(kind, group, variable, numbers.astype(np.int64), severity, message, cure, word)


def quality_of(record: xr.DataTree, where: str = "record") -> QualityReport:
    """Look for the faults of a record.

    Parameters
    ----------
    record : xarray.DataTree
        In the form of :mod:`cellmodels.record.schema`.
    where : str
        For messages.

    Returns
    -------
    QualityReport
        With the numbers of samples and rows, from 0.
    """
    found: list[Finding] = []
    for group, child in record.children.items():
        dataset = child.to_dataset()
        found += inspect(dataset, str(group), Rows(where)).found
    return report(found, where)


def in_words(cured: Sequence[Finding]) -> str:
    """What was repaired, for an attribute: kinds, variables and rows."""
    return "; ".join(
        f"{one.kind} ('{one.variable}'{', ' if len(one.rows) else ''}{one.where})" for one in cured
    )
