"""What fixed inputs do to a fit, in words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

__all__ = ["input_notes"]

_MOST, _MUCH = 0.5, 0.1  # of the sum of squares that an input explains
SURPRISING = 0.01
"""Less than most is mentioned where the input's shift is less likely than this."""
INFORMED = 0.5
"""An input is called better known from the data than from its range below this deviation."""
_MATTERS = 0.05  # of a parameter's variance
_NAMED = 3


def input_notes(inputs: xr.Dataset) -> list[str]:
    """Sentences for a reader of a fit whose uncertainty includes its fixed inputs.

    Parameters
    ----------
    inputs : xarray.Dataset
        From :func:`~cellmodels.fitting.fixed_inputs.input_uncertainty`.

    Returns
    -------
    list of str
    """
    return [
        *_budget(inputs),
        *_data_notes(inputs),
        *_refit_notes(inputs),
        *_left_out(inputs),
    ]


def short(name: str) -> str:
    """A parameter's name without its unit."""
    return str(name).partition(" [")[0]


def _budget(inputs: xr.Dataset) -> list[str]:
    count = inputs.sizes["input"]
    how = ", as far as the data leave it open" if inputs.attrs["reading"] == "updated" else ""
    notes = [
        f"Standard errors include the uncertainty of {count} fixed input{'s' * (count > 1)}{how} "
        f"({inputs.attrs['prior']})."
    ]
    for name in inputs["parameter"].values:
        row = inputs.sel(parameter=name)
        share = row["share"].values
        first = [i for i in np.argsort(-share)[:_NAMED] if share[i] > _MATTERS]
        most = ", ".join(
            f"{short(inputs['input'].values[i])} {100 * share[i]:.0f} %" for i in first
        )
        error, alone = float(row["scaled_standard_error"]), float(row["data_standard_error"])
        notes.append(
            f"{short(name)}: {_spread(error)} with them, {_spread(alone)} without"
            + (f"; shares of the variance that would go with one known: {most}." if most else ".")
        )
    return notes


def _spread(error: float) -> str:
    """A standard error of a scaled parameter."""
    if error < 0.5:
        return f"±{100 * error:.2g} %"
    return f"a factor of {np.exp(min(error, 700.0)):.2g}"


def _data_notes(inputs: xr.Dataset) -> list[str]:
    names = [str(name) for name in inputs["input"].values]
    matter = inputs["share"].max("parameter").values
    surprise, shift = inputs["surprise"].values, inputs["data_shift"].values
    deviation = inputs["data_deviation"].values
    notes = []
    explains = inputs["explains"].values
    against = [
        i
        for i in np.argsort(-explains)
        if explains[i] > _MOST or (surprise[i] < SURPRISING and explains[i] > _MUCH)
    ]
    if against:
        said = _some(
            [f"{short(names[i])} {100 * explains[i]:.0f} % ({shift[i]:+.1f})" for i in against]
        )
        notes.append(
            "Inputs that would explain much of what the fit misses, were they freed (each alone; "
            f"its shift in standard deviations of its range): {said}. Check them, or free one."
        )
    informed = [
        i
        for i in np.argsort(-matter)
        if inputs.attrs["reading"] == "consider"
        and deviation[i] < INFORMED
        and matter[i] > _MATTERS
        and i not in against
    ]
    if informed:
        notes.append(
            "These inputs matter, and the data would know them better than their ranges do; "
            f"consider freeing them: {_some([short(names[i]) for i in informed])}."
        )
    return notes


def _refit_notes(inputs: xr.Dataset) -> list[str]:
    if "refit_change" not in inputs:
        return []
    notes = []
    for name in inputs["refitted"].values:
        row = inputs.sel(refitted=name)
        failed = [str(s) for s in row["refit_status"].values if str(s) != "converged"]
        if failed:
            notes.append(f"Refits with another {short(name)} ended: {', '.join(failed)}.")
        worst = row["refit_disagreement"].values
        if np.any(worst > 1.0):
            notes.append(
                f"The fit does not follow {short(name)} linearly (refits with it one standard "
                f"deviation lower and higher differ from the linear answer by up to "
                f"{np.nanmax(worst):.2g} standard errors): its part of the uncertainty is rough."
            )
    return notes


def _left_out(inputs: xr.Dataset) -> list[str]:
    reasons: dict[str, list[str]] = {}
    for name, reason in zip(inputs["left_out"].values, inputs["reason"].values, strict=True):
        reasons.setdefault(str(reason), []).append(short(name))
    if not reasons:
        return []
    parts = "; ".join(f"{len(who)} ({_some(who)}): {why}" for why, who in reasons.items())
    return [f"Inputs whose uncertainty is not included: {parts}."]


def _some(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - _NAMED} more" if len(texts) > _NAMED else ""
    return ", ".join(texts[:_NAMED]) + more
