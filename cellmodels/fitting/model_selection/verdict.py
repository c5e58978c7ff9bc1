"""What a comparison of mechanisms says, in words.

Differences of AICc are read after K. P. Burnham and D. R. Anderson (Sociol. Methods Res. 33 (2004)
261, doi:10.1177/0049124104268644): models within 2 of each other are hardly told apart, and one
that is more than 10 worse has essentially no support. Here sets within 4 of the best (odds of 1 to
7) count as not told from it; a set that contains another of these adds nothing that the data see.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr

__all__ = ["TIE", "verdict"]

TIE = 4.0
"""Sets whose AICc is larger than the smallest by no more than this are not told apart."""
_GOOD = 1.5  # root mean square of the normalised residuals of a model that explains its data
_BETTER = 0.8  # of the best set's error in predictions: another one predicts better


def verdict(sets: xr.Dataset, scores: xr.Dataset, contained: Mapping[str, Sequence[str]]) -> str:
    """A few sentences, the most important first.

    Parameters
    ----------
    sets, scores : xarray.Dataset
        Of a comparison.
    contained : mapping of str to sequence of str
        Set -> the sets whose mechanisms it has all, and more.

    Returns
    -------
    str
    """
    delta = {str(n): float(sets["delta_aicc"].sel(set=n)) for n in sets["set"].values}
    known = sorted((n for n in delta if np.isfinite(delta[n])), key=lambda n: delta[n])
    if not known:
        return "No set could be fitted. " + " ".join(_failures(sets))
    near = [name for name in known if delta[name] <= TIE]
    simple = [n for n in near if not any(other in near for other in contained[n])]
    sentences = [_first(sets, simple)]
    larger = [n for n in known if n not in simple and any(m in contained[n] for m in simple)]
    sentences += _superfluous(sets, larger, simple, contained)
    sentences += _worse(delta, [n for n in known if n not in {*near, *larger}])
    sentences += _predictions(scores, simple)
    sentences += _failures(sets)
    return " ".join(sentences)


def _first(sets: xr.Dataset, simple: Sequence[str]) -> str:
    if len(simple) > 1:
        return f"These data do not tell {_listed(simple, 'from')}."
    name = simple[0]
    row = sets.sel(set=name)
    rms = float(row["rms"])
    if bool(row["autocorrelated"]):
        return (
            f"{name} describes this cell best of these, but does not explain it: residuals are "
            f"{rms:.2g} times the noise, and alike from point to point."
        )
    if bool(row["assumed"]):
        return (
            f"{name} describes this cell best of these, within {rms:.2g} times a noise that is "
            "assumed."
        )
    if rms > _GOOD:
        return (
            f"{name} describes this cell best of these; its residuals are {rms:.2g} times the "
            "noise."
        )
    return f"{name} explains this cell."


def _superfluous(
    sets: xr.Dataset,
    larger: Sequence[str],
    simple: Sequence[str],
    contained: Mapping[str, Sequence[str]],
) -> list[str]:
    """Sets that contain one of the simple ones, and are no better."""
    sentences = []
    for name in larger:
        inside = [n for n in simple if n in contained[name]]
        loose = [n.partition(" [")[0] for n in json.loads(str(sets["loose"].sel(set=name).item()))]
        why = f"; not determined: {', '.join(loose)}" if loose else ""
        sentences.append(
            f"What {name} has beyond {inside[0]} adds nothing the data can see (AICc "
            f"{float(sets['aicc'].sel(set=name) - sets['aicc'].sel(set=inside[0])):+.2g}{why})."
        )
    return sentences


def _worse(delta: Mapping[str, float], names: Sequence[str]) -> list[str]:
    if not names:
        return []
    said = ", ".join(f"{name} by {delta[name]:.3g}" for name in names)
    return [f"Worse in AICc: {said}."]


def _predictions(scores: xr.Dataset, simple: Sequence[str]) -> list[str]:
    """Whether predictions of the rest of the life agree."""
    if not scores.sizes["cut"]:
        return []
    rmse = scores["rmse"].median("cut", skipna=True)
    known = {str(n): float(rmse.sel(set=n)) for n in scores["set"].values}
    known = {name: value for name, value in known.items() if np.isfinite(value)}
    chosen = [name for name in simple if name in known]
    if not chosen:
        return ["No prediction of the rest of its life could be scored."]
    best = min(chosen, key=lambda name: known[name])
    cuts = ", ".join(f"{100 * cut:.0f}" for cut in scores["cut"].values)
    sentence = (
        f"Fitted to {cuts} % of its life, {best} predicts the rest within {known[best]:.2g} times "
        "the noise (root mean square; median)"
    )
    other = min(known, key=lambda name: known[name])
    if known[other] < _BETTER * known[best]:
        return [f"{sentence}; {other} predicts it better, within {known[other]:.2g} times."]
    return [sentence + "."]


def _failures(sets: xr.Dataset) -> list[str]:
    sentences = []
    for name in sets["set"].values:
        row = sets.sel(set=name)
        status, message = str(row["status"].item()), str(row["message"].item())
        if status == "failed":
            sentences.append(f"{name} could not be fitted: {message}")
        elif status != "converged":
            sentences.append(f"The fit of {name} did not converge: {message}.")
    return sentences


def _listed(names: Sequence[str], word: str) -> str:
    return f" {word} ".join([", ".join(names[:-1]), names[-1]])
