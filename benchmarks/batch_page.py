"""Tables and page of ``benchmarks.batch``: what the data of many cells support.

Every number and every verdict on the page is made of the results; only the reasons why something
cannot be said are written here.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import scipy.stats
from numpy.typing import NDArray

from benchmarks.batch_cells import HOLD, RATES, SERIES, SIZE, Measured
from cellmodels.fitting.model_selection.task import aicc_of
from cellmodels.fitting.model_selection.verdict import TIE
from cellmodels.many.batch import Batch

CAPACITY = "rms cycles/discharge_capacity [A.h]"
OF_HOLD = f"rms cycles/{HOLD} [A.h]"
DESCRIBED = 0.05  # of the fade: residual below which a set describes a cell
WITH_SPREAD = 3  # cells of a kind from which on kinds are compared
AGREE = 3.0  # between the quartiles of equal cells, for a comparison with others
MOST_FACTOR = 100.0  # of an interval that says anything


def protocols(table: pd.DataFrame) -> pd.DataFrame:
    """One row a protocol, set and parameter: median and quartiles over equal cells."""
    rows = []
    for (kind, chosen), group in table.groupby(["kind", "mechanisms"], sort=False):
        for name in (*RATES[str(chosen)], SIZE, SERIES):
            values = group[name].to_numpy(float)
            low, median, high = np.nanquantile(values, [0.25, 0.5, 0.75])
            factors = group[f"{name} high"] / group[name]
            rows.append(
                {
                    "protocol": kind,
                    "celsius": group["celsius"].iloc[0],
                    "charge": group["charge"].iloc[0],
                    "mechanisms": chosen,
                    "parameter": name,
                    "cells": len(group),
                    "identifiable": int(group[f"{name} identifiable"].astype(bool).sum()),
                    "median": float(median),
                    "lower quartile": float(low),
                    "upper quartile": float(high),
                    "median factor of a cell's interval": float(np.nanmedian(factors)),
                    "rms capacity, mA.h": 1e3 * float(group[CAPACITY].median()),
                    "rms hold, mA.h": 1e3 * float(group[OF_HOLD].median()),
                }
            )
    return pd.DataFrame(rows)


def criteria(batch: Batch) -> pd.Series[float]:
    """AICc of each fit by task, with the likelihood of ``compare_mechanisms``.

    The table's own is for least squares and independent residuals, and these are neither.
    """
    return pd.Series({name: aicc_of(batch.fit(name)) for name in batch.names}, dtype=float)


def page(batch: Batch, cells: Sequence[Measured], left_out: Sequence[str], seconds: float) -> str:
    """The page as Markdown."""
    table = batch.table
    rows = protocols(table)
    parts = [
        _head(batch, cells, left_out, seconds),
        "## Which mechanism sets describe which cells",
        _sets(table, criteria(batch)),
        "## Parameters over protocols",
        _parameters(rows),
        "## Trends, against the spread between equal cells",
        _trends(table),
        "## What cannot be said",
        _limits(table, rows, cells),
        "## Failed fits",
        _failed(batch),
    ]
    return "\n\n".join(parts) + "\n"


def _head(batch: Batch, cells: Sequence[Measured], left_out: Sequence[str], seconds: float) -> str:
    counts: dict[str, int] = {}
    for cell in cells:
        counts[cell.kind.name] = counts.get(cell.kind.name, 0) + 1
    flagged = sum(cell.flagged for cell in cells)
    kinds = ", ".join(f"{n} of {kind}" for kind, n in counts.items())
    return f"""# Two laboratories, {len(cells)} cells: what capacity and charge split tell

Cells: {kinds}. Left out because their current is not constant: {", ".join(left_out) or "none"} (the
random walks, the changing rates and the satellite profile of XJTU, and the batches D2 and D3 of
Tongji, are not among the shared files at all). {flagged} values are flagged as outliers and not
fitted; the loss is pseudo-Huber.

Model: SPM on the parameters of `nmc_graphite_siox` (LG M50: NMC811 against graphite with silicon
oxide), scaled in size. **No set for NCA nor for NMC532 exists**: rates are effective numbers of
that cell, to be compared with each other and not with the literature. Observables: discharge
capacity, and the charge of the hold from 0.5 A down to its end. The other half of the split, the
charge between 4.0 and 4.2 V at constant current, is left out. In one fresh cell of each of six
protocols the model was between 12 % below and 36 % above it, and with the capacities of both
electrodes free its residuals stayed at 33 to 59 mA·h in three cells, while those of the discharge
capacity grew: it tells of the pair of electrodes rather than of ageing. Free beside the rates: size
of the cell, series resistance.

{len(batch.names)} fits, {len(batch.converged)} converged, {len(batch.failed)} failed, in
{seconds / 60:.0f} minutes."""


def _sets(table: pd.DataFrame, aicc: pd.Series[float]) -> str:
    wide = table.assign(aicc=aicc).pivot_table(
        index="record", columns="mechanisms", values="aicc", sort=False
    )
    rms = table.pivot_table(index="record", columns="mechanisms", values=CAPACITY, sort=False)
    kinds = table.groupby("record", sort=False)[["kind", "fade"]].first()
    best = wide.idxmin(axis=1)
    gap = wide.apply(lambda row: np.diff(np.sort(row.dropna()))[:1].sum(), axis=1)
    lines = []
    for kind, names in kinds.groupby("kind", sort=False).groups.items():
        for chosen in wide.columns:
            share = (rms.loc[names, chosen] / kinds.loc[names, "fade"]).dropna()
            mine = (table["kind"] == kind) & (table["mechanisms"] == chosen)
            of_hold = table[mine][OF_HOLD]
            wins = [n for n in names if best[n] == chosen and gap[n] > TIE]
            lines.append(
                {
                    "protocol": kind,
                    "set": chosen,
                    "cells": len(names),
                    f"best by more than {TIE:g} AICc": len(wins),
                    "median residual / fade": f"{100 * share.median():.1f} %",
                    f"residual below {100 * DESCRIBED:g} % of fade": int((share < DESCRIBED).sum()),
                    "median residual of hold, mA·h": _number(1e3 * of_hold.median()),
                }
            )
    if len(wide.columns) < 2:
        return _markdown(lines)
    unclear = int((gap <= TIE).sum())
    words = (
        f"In {unclear} of {len(best)} cells the two best sets are within {TIE:g} of each other: "
        "these data do not choose between them. AICc is that of `compare_mechanisms`: residuals "
        "that are alike from cycle to cycle count for few points."
    )
    return _markdown(lines) + "\n\n" + words


def _parameters(rows: pd.DataFrame) -> str:
    lines = [
        {
            "protocol": r["protocol"],
            "set": r["mechanisms"],
            "parameter": r["parameter"],
            "median": _number(r["median"]),
            "quartiles": f"{_number(r['lower quartile'])} to {_number(r['upper quartile'])}",
            "a cell's 95 % interval": _factor(r["median factor of a cell's interval"]),
            "identifiable in": f"{r['identifiable']} of {r['cells']}",
        }
        for _, r in rows.iterrows()
        if r["parameter"] != SIZE
    ]
    return (
        "Medians and quartiles over all cells of a protocol, and how wide the interval of one cell "
        "is (median, upwards). Identifiable: the interval is closed and narrower than a factor of "
        "two. Where quartiles are much narrower than intervals, equal cells agree although what "
        "the model misses could have moved each of them further.\n\n" + _markdown(lines)
    )


def _factor(factor: float) -> str:
    if not np.isfinite(factor) or factor > MOST_FACTOR:
        return "anything"
    return f"a factor of {factor:.2g}"


def _trends(table: pd.DataFrame) -> str:
    """Pairs of protocols that differ in temperature or charge rate alone."""
    kinds = table.groupby("kind", sort=False)[["celsius", "charge", "discharge"]].first()
    lines = []
    for i, (one, a) in enumerate(kinds.iterrows()):
        for other, b in list(kinds.iterrows())[i + 1 :]:
            if str(one)[:3] != str(other)[:3] or a["discharge"] != b["discharge"]:
                continue
            if (a["celsius"] == b["celsius"]) == (a["charge"] == b["charge"]):
                continue
            lines += _pair(table, str(one), str(other))
    if not lines:
        return "No two protocols with enough cells differ in one thing alone."
    words = (
        "Rates are those at the reference temperature: for the film the model multiplies them by "
        "Arrhenius' law with 38 kJ/mol already, so that a ratio of 1 over temperature means just "
        "that energy, and for loss of material and plating no dependence on temperature. p: "
        "Mann and Whitney's test of ranks, cells as the sample. Left out where quartiles of equal "
        f"cells are a factor of {AGREE:g} or more apart, or all cells at a bound. Of "
        f"{len(lines)} comparisons about {0.05 * len(lines):.1g} are below 0.05 by chance."
    )
    return _markdown(lines) + "\n\n" + words


def _pair(table: pd.DataFrame, one: str, other: str) -> list[dict[str, object]]:
    lines: list[dict[str, object]] = []
    for chosen, names in RATES.items():
        for name in names:
            samples = []
            for kind in (one, other):
                mine = table[(table.kind == kind) & (table.mechanisms == chosen)]
                samples.append(mine[name].dropna().to_numpy(float) if len(mine) else np.empty(0))
            if not all(_agree(sample) for sample in samples):
                continue
            ratio = np.median(samples[1]) / np.median(samples[0])
            test = scipy.stats.mannwhitneyu(*samples)
            lines.append(
                {
                    "from": one,
                    "to": other,
                    "set": chosen,
                    "parameter": name,
                    "cells": f"{samples[0].size}, {samples[1].size}",
                    "ratio of medians": _number(float(ratio)),
                    "p": _number(float(test.pvalue)),
                }
            )
    return lines


def _agree(sample: NDArray[np.float64]) -> bool:
    """Whether enough equal cells give about the same value, and not all of them a bound."""
    if sample.size < WITH_SPREAD:
        return False
    low, high = np.quantile(sample, [0.25, 0.75])
    return bool(low * (1.0 + 1e-6) < high < AGREE * low)


def _shapes(cells: Sequence[Measured]) -> str:
    """Whether cells of each kind fade faster and faster."""
    found: dict[str, list[float]] = {}
    for cell in cells:
        cycles = cell.record["cycles"].to_dataset()
        at, capacity = cycles["cycle"].values, cycles["discharge_capacity"].values
        thirds = np.interp(np.linspace(at[0], at[-1], 4), at, capacity)
        middle, last = thirds[1] - thirds[2], thirds[2] - thirds[3]
        if middle > 0:
            found.setdefault(cell.kind.name, []).append(last / middle)
    return ", ".join(f"{np.median(ratios):.2g} for {kind}" for kind, ratios in found.items())


def _limits(table: pd.DataFrame, rows: pd.DataFrame, cells: Sequence[Measured]) -> str:
    said = []
    for chosen, group in rows[rows.parameter != SIZE].groupby("mechanisms", sort=False):
        for name, each in group.groupby("parameter", sort=False):
            share = each["identifiable"].sum() / each["cells"].sum()
            if share < 0.5:
                said.append(
                    f"With the set *{chosen}*, `{name}` is identifiable in "
                    f"{each['identifiable'].sum()} of {each['cells'].sum()} cells."
                )
    alike = table["autocorrelation cycles/discharge_capacity"].median()
    best = table.groupby("record")[CAPACITY].min() / table.groupby("record")["fade"].first()
    said += [
        f"The best set leaves a residual of {100 * best.median():.1f} % of the fade (median), "
        f"with a lag-one autocorrelation of {alike:.2f}: no set is the truth, and standard errors, "
        "which allow for both, are those of a model that misses something.",
        "Two mechanisms that lower one capacity are told apart by their shape in time, and by what "
        "the film's resistance does to the hold. That the material is lost in the negative "
        "electrode is an assumption that only slow voltage curves could test.",
        f"Loss in the last third of a life over that in the middle third: {_shapes(cells)} "
        "(medians). Where it is well above one, cells fade ever faster, and whether by plating, by "
        "filled pores or otherwise these two observables do not say.",
        "Temperature is that of the chamber, without self-heating; at 2C and 3C that is a guess.",
    ]
    return "\n".join(f"- {each}" for each in said)


def _failed(batch: Batch) -> str:
    failed = batch.failed
    if not len(failed):
        return "None."
    return "\n".join(f"- {name}: {reason}" for name, reason in failed["reason"].items())


def _markdown(lines: Sequence[dict[str, object]]) -> str:
    if not lines:
        return "Nothing."
    head = list(lines[0])
    rows = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    rows += ["| " + " | ".join(str(line[key]) for key in head) + " |" for line in lines]
    return "\n".join(rows)


def _number(value: float) -> str:
    return "" if not np.isfinite(value) else f"{value:.3g}"
