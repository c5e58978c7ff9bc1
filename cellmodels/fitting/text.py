"""A fit in words: its notes, its text and its HTML, all read from the fit's tree."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator

import numpy as np
import xarray as xr

from cellmodels.cell import Cell
from cellmodels.estimates import names_in, sentence
from cellmodels.fitting.inflation import Inflation
from cellmodels.fitting.input_text import input_notes
from cellmodels.fitting.residuals import TOLERANCE_TO_NOISE
from cellmodels.fitting.statistics import strong_correlations
from cellmodels.fitting.uncertainty.sloppy import in_words

__all__ = ["notes", "page", "text"]


def notes(tree: xr.DataTree) -> list[str]:
    """What a reader of a fit's numbers must know, most important first."""
    return [
        *_convergence_notes(tree),
        *_parameter_notes(tree["parameters"].to_dataset()),
        *in_words(*Inflation.of_tree(tree).told),
        *_answer_notes(tree),
        *_variable_notes(tree["variables"].to_dataset()),
        *_widening_notes(tree),
        *_comparison_notes(tree),
        *_simpler_notes(tree),
        *_input_notes(tree),
        *_estimate_notes(tree),
        *json.loads(tree.attrs["remarks"]),
    ]


def _convergence_notes(tree: xr.DataTree) -> list[str]:
    notes = [] if tree.attrs["status"] == "converged" else [f"The fit {_ended(tree)}."]
    failures = json.loads(tree.attrs["failures"])
    if failures:
        reasons = ", ".join(f"{reason} ({count})" for reason, count in failures.items())
        notes.append(f"Simulations failed during the fit: {reasons}.")
    error, limit = tree.attrs["solver_error"], tree.attrs.get("solver_tolerance")
    if limit is not None and error > limit:
        notes.append(
            f"The solver's error, about {error:.2g} A.h, is above {TOLERANCE_TO_NOISE:g} of the "
            "smallest capacity noise."
        )
    return notes


def _parameter_notes(parameters: xr.Dataset) -> list[str]:
    notes = []
    names = [str(name) for name in parameters["parameter"].values]
    loose = [n for n, ok in zip(names, parameters["identifiable"].values, strict=True) if not ok]
    if loose:
        notes.append("Not determined by these data: " + ", ".join(loose) + ".")
    for name, at_bound in zip(names, parameters["at_bound"].values, strict=True):
        if at_bound:
            notes.append(f"{name} lies on a bound.")
    for a, b, r in strong_correlations(names, parameters["correlation"].values):
        notes.append(f"{a} and {b} are strongly correlated ({r:+.3f}).")
    return notes


def _answer_notes(tree: xr.DataTree) -> list[str]:
    """What profile, bootstrap and samples have to say about themselves."""
    notes = []
    if "profile" in tree.children:
        profile = tree["profile"].to_dataset()
        if "better" in profile:
            notes.append(
                "The profile has met a better optimum (deviance "
                f"{float(profile.attrs['better_deviance']):.3g}): fit again from there."
            )
        notes += [
            f"The interval of {name} consists of separate pieces, as several optima explain the "
            f"data: {' and '.join(f'{low:.3g} to {high:.3g}' for low, high in known)}."
            for name, known in _pieces(profile)
            if len(known) > 1
        ]
        notes += [
            f"The interval of {name} is not known on the {side} side: there simulations "
            "fail, or the other parameters cannot be fitted."
            for side in ("low", "high")
            for name, end in zip(
                profile["parameter"].values, profile[f"end_{side}"].values, strict=True
            )
            if end == "blocked"
        ]
    if "bootstrap" in tree.children:
        attrs = tree["bootstrap"].attrs
        lost = int(attrs["failed"]) + int(attrs["unconverged"])
        if lost:
            notes.append(f"{lost} of {attrs['samples']} refits of the bootstrap did not converge.")
    if "samples" in tree.children and not int(tree["samples"].attrs["converged"]):
        notes.append(f"Samples of the posterior: {tree['samples'].attrs['message']}.")
    return notes


def _pieces(profile: xr.Dataset) -> Iterator[tuple[str, np.ndarray]]:
    """Parameters and the ends of their intervals' pieces, shape (n, 2)."""
    for name, pieces in zip(profile["parameter"].values, profile["pieces"].values, strict=True):
        yield str(name), pieces[np.isfinite(pieces).all(axis=1)]


def _variable_notes(variables: xr.Dataset) -> list[str]:
    notes = []
    for key in variables["variable"].values:
        v = variables.sel(variable=key)
        if v["drift"] > 0 or v["wander"] > 0:
            notes.append(
                f"The model misses something systematic in {key}: {v['discrepancy'].item()} is "
                "assumed."
            )
        if str(v["noise_origin"].item()) == "assumed" and v["used"] > 0:
            unit = v["unit"].item()
            notes.append(f"The noise of {key} is assumed: {float(v['noise']):.2g} {unit}.")
    return notes


def _widening_notes(tree: xr.DataTree) -> list[str]:
    variables = tree["variables"].to_dataset()
    if not ((variables["drift"] > 0) | (variables["wander"] > 0)).any():
        return []
    factors = tree["parameters"].to_dataset()["widening"].values
    low, high = f"{factors.min():.2g}", f"{factors.max():.2g}"
    times = low if low == high else f"{low} to {high}"
    return [f"For all of this, standard errors are {times} times those of the noise alone."]


def _simpler_notes(tree: xr.DataTree) -> list[str]:
    if "simpler_models" not in tree.children:
        return []
    fits = tree["simpler_models"].to_dataset()
    return [
        f"The {fit.model} could not be fitted first: {fit.message}"
        for fit in fits[["status", "message"]].to_dataframe().reset_index().itertuples()
        if fit.status == "left out"
    ]


def _input_notes(tree: xr.DataTree) -> list[str]:
    if "fixed_inputs" not in tree.children:
        return []
    return input_notes(tree["fixed_inputs"].to_dataset())


def _estimate_notes(tree: xr.DataTree) -> list[str]:
    said = sentence(names_in(tree.attrs))
    return [f"{said}."] if said else []


def _comparison_notes(tree: xr.DataTree) -> list[str]:
    if "comparison" not in tree.children:
        return []
    aicc = tree["comparison"].to_dataset()["aicc"]
    best = str(aicc["law"].values[int(np.argmin(aicc.values))])
    if best == "model" or not np.isfinite(float(aicc.min())):
        return []
    return [
        f"An empirical curve ({best}) describes the scalar data better than the model "
        f"(AICc lower by {float(aicc.sel(law='model') - aicc.min()):.1f})."
    ]


def _ended(tree: xr.DataTree) -> str:
    message = str(tree.attrs["message"])
    return message if message.startswith("converged") else f"ended: {message}"


def _headline(tree: xr.DataTree, cell: Cell) -> list[tuple[str, str]]:
    a = tree.attrs
    first = "".join(
        f"; before them {evaluations} of the {model}" for model, evaluations in _simpler(tree)
    )
    title = tree["record"].attrs.get("title") or "untitled"
    aicc = f"; AICc {a['aicc']:.6g}" if not np.isnan(a["aicc"]) else ""
    return [
        ("status", str(a["message"])),
        ("cell", " ".join(repr(cell).split())),
        ("record", str(title) + (" (synthetic)" if tree["record"].attrs.get("synthetic") else "")),
        ("points", f"{a['points']}, free parameters {a['free_parameters']}"),
        (
            "chi-square",
            f"{a['chi_square']:.5g}, per degree of freedom {a['reduced_chi_square']:.4g}{aicc}",
        ),
        ("evaluations", f"{a['evaluations']}, of which failed {a['failed_evaluations']}{first}"),
    ]


def _simpler(tree: xr.DataTree) -> list[tuple[str, int]]:
    """Simpler models that were fitted first, and their evaluations."""
    if "simpler_models" not in tree.children:
        return []
    fits = tree["simpler_models"].to_dataset()
    pairs = zip(fits["model"].values, fits["evaluations"].values, strict=True)
    return [(str(model), int(evaluations)) for model, evaluations in pairs if evaluations]


def _parameter_rows(tree: xr.DataTree) -> list[list[str]]:
    p = tree["parameters"].to_dataset()
    rows = []
    for i, name in enumerate(p["parameter"].values):
        value, error = float(p["value"][i]), float(p["standard_error"][i])
        relative = f" ({_percent(error / value)})" if value else ""
        far = not np.isfinite(error) or abs(error) > 1e3 * abs(value) > 0
        rows.append(
            [
                str(name),
                _number(value, error),
                "unknown" if far else f"{error:.2g}{relative}",
                _interval(p, i, "unbounded" if far else None),
                f"{float(p['start'][i]):.4g}",
                "yes" if bool(p["identifiable"][i]) else "not determined",
            ]
        )
    return rows


def _interval(p: xr.Dataset, i: int, otherwise: str | None) -> str:
    """The interval of a parameter; a side that a profile found open is called so."""
    error = float(p["standard_error"][i])
    ends = [_number(float(p[f"interval_{side}"][i]), error) for side in ("low", "high")]
    if "profiled" not in p or not bool(p["profiled"][i]):
        return otherwise or " to ".join(ends)
    sides = [
        "open" if bool(p[f"open_{side}"][i]) else end
        for side, end in zip(("low", "high"), ends, strict=True)
    ]
    return "open" if sides == ["open", "open"] else " to ".join(sides)


_PARAMETER_HEAD = ["parameter", "value", "standard error", "95 % interval", "start", "identifiable"]
_VARIABLE_HEAD = ["variable", "used", "flagged", "missing", "noise", "rms / noise", "lag-1"]


def _variable_rows(tree: xr.DataTree) -> list[list[str]]:
    rows = []
    variables = tree["variables"].to_dataset()
    for key in variables["variable"].values:
        v = {name: variables[name].sel(variable=key).item() for name in variables.data_vars}
        rows.append(
            [
                str(key),
                *(str(v[name]) for name in ("used", "flagged", "missing")),
                f"{v['noise']:.2g} {v['unit']}, {v['noise_origin']}",
                f"{v['rms']:.3g}",
                f"{v['autocorrelation']:.2f}",
            ]
        )
    return rows


def _number(value: float, error: float) -> str:
    """A value with one digit more than its standard error justifies."""
    if not np.isfinite(error) or error <= 0 or value == 0:
        return f"{value:.4g}"
    digits = int(np.clip(np.ceil(np.log10(abs(value) / error)) + 2, 2, 8))
    return f"{value:.{digits}g}"


def _percent(fraction: float) -> str:
    percent = 100 * abs(fraction)
    return f"{percent:.0f} %" if percent >= 10 else f"{percent:.2g} %"


def text(tree: xr.DataTree, cell: Cell) -> str:
    """A fit as plain text: headline, parameters, variables and notes."""
    width = max(len(name) for name, _ in _headline(tree, cell))
    lines = ["Fit"]
    lines += [f"    {name:<{width}}  {value}" for name, value in _headline(tree, cell)]
    lines += ["Parameters", *_aligned([_PARAMETER_HEAD, *_parameter_rows(tree)])]
    lines += ["Variables", *_aligned([_VARIABLE_HEAD, *_variable_rows(tree)])]
    remarks = notes(tree)
    return "\n".join(lines + (["Notes", *(f"    {note}" for note in remarks)] if remarks else []))


def _aligned(rows: list[list[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        ("    " + "  ".join(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=True))).rstrip()
        for row in rows
    ]


def page(tree: xr.DataTree, cell: Cell) -> str:
    """The same as a piece of HTML; every text is escaped."""
    headline = "".join(
        f"<tr><th style='text-align:left'>{html.escape(name)}</th>"
        f"<td style='text-align:left'>{html.escape(text)}</td></tr>"
        for name, text in _headline(tree, cell)
    )
    remarks = "".join(f"<li>{html.escape(note)}</li>" for note in notes(tree))
    return (
        f"<div><table>{headline}</table>"
        + _html_table(_PARAMETER_HEAD, _parameter_rows(tree))
        + _html_table(_VARIABLE_HEAD, _variable_rows(tree))
        + (f"<ul>{remarks}</ul>" if remarks else "")
        + "</div>"
    )


def _html_table(head: list[str], rows: list[list[str]]) -> str:
    cells = "".join(f"<th style='text-align:left'>{html.escape(text)}</th>" for text in head)
    body = "".join(
        f"<tr{_grey(row)}>"
        + "".join(f"<td style='text-align:left'>{html.escape(text)}</td>" for text in row)
        + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table>"


def _grey(row: list[str]) -> str:
    return " style='color:#888'" if row[-1] == "not determined" else ""
