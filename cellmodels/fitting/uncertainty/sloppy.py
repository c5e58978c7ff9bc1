"""Stiff and sloppy directions of a fit, in words.

The eigenvectors of the Fisher information of scaled parameters tell which combinations the data
determine (stiff) and which they do not (sloppy); of the eigenvalues of models with many
parameters, a few are large and most are small (R. N. Gutenkunst et al., PLoS Comput. Biol. 3
(2007) e189, doi:10.1371/journal.pcbi.0030189). For logarithms of parameters a combination is a
product of powers.

An eigenvector mixes whatever it can. What is said is therefore found in three steps: parameters
that are determined by themselves are set aside (the information on the others that is left is
the Schur complement); among the others the determined combinations of the fewest parameters are
looked for; and these get exponents as simple as they can be without losing accuracy.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from cellmodels.fitting.scaling import FreeParameter

__all__ = ["LOOSE", "directions", "in_words"]

Array = NDArray[np.float64]

#: Standard error of a scaled parameter from which on it is not determined: that of a logarithm
#: whose 95 % interval spans a factor of two.
LOOSE = float(np.log(2.0) / (2.0 * 1.96))
#: A simpler combination may have an error this much larger than the best one.
_WORSE = 1.25
#: A combination has an error this much smaller than each of its parameters.
_LESS = 0.5
#: Relative size of eigenvalues that are zero.
_ZERO = 1e-12
#: Information on a scaled parameter that is none.
_UNKNOWN = 1e-12
_EXPONENTS = (
    tuple(float(k) for k in range(4)),
    (0.5, 1.5, 1 / 3, 2 / 3, 0.25, 0.75),
)
_MOST_FACTOR = 100.0
#: Of more parameters than the first number, no combinations of more than the second are looked at.
_MANY, _FEW = 10, 4
#: Errors above this part of that of any value between the bounds say nothing.
_ANYWHERE = 0.7


def directions(
    information: Array, parameters: Sequence[FreeParameter], variance: float = 1.0
) -> xr.Dataset:
    """Eigenvectors of the information, the stiffest first.

    Parameters
    ----------
    information : ndarray, shape (p, p)
        Fisher information of the scaled parameters.
    parameters : sequence of FreeParameter
    variance : float
        Of the normalised residuals.

    Returns
    -------
    xarray.Dataset
        ``eigenvalue`` and ``standard_error`` (of the scaled combination, infinite where nothing
        is known) by ``direction``, ``vector`` by ``direction`` and ``parameter``.
    """
    values, vectors = np.linalg.eigh(information)
    values, vectors = values[::-1], vectors[:, ::-1]
    known = values > _ZERO * max(float(values[0]), 0.0)
    errors = np.where(known, np.sqrt(variance / np.where(known, values, 1.0)), np.inf)
    return xr.Dataset(
        {
            "eigenvalue": ("direction", np.where(known, values, 0.0)),
            "standard_error": ("direction", errors),
            "vector": (("direction", "parameter"), vectors.T),
        },
        coords={"parameter": [p.name for p in parameters]},
    )


def in_words(
    information: Array, parameters: Sequence[FreeParameter], variance: float = 1.0
) -> list[str]:
    """What the data determine, one sentence a group of parameters.

    Parameters
    ----------
    information : ndarray, shape (p, p)
        Fisher information of the scaled parameters.
    parameters : sequence of FreeParameter
    variance : float
        Of the normalised residuals.

    Returns
    -------
    list of str
        Empty when every parameter is determined by itself.
    """
    alone = np.sqrt(np.diag(_covariance(information / variance)))
    # one that nothing is known of cannot leave its bounds, and spoils others only so far
    told = information / variance + np.diag(_from_bounds(parameters))
    loose = np.flatnonzero(np.sqrt(np.diag(_covariance(told))) > LOOSE)
    if not loose.size:
        return []
    left = _Loose([parameters[i] for i in loose], _schur(told, loose), alone[loose])
    return _sentences(left, _readable(left))


class _Loose:
    """Parameters that are not determined by themselves, and the information left on them."""

    def __init__(
        self, parameters: Sequence[FreeParameter], information: Array, alone: Array
    ) -> None:
        self.parameters, self.covariance = parameters, _covariance(information)
        self.alone = alone  # standard error of each by the data, whatever the bounds
        self.stiff = int(np.sum(np.linalg.eigvalsh(information) > LOOSE**-2))

    def error(self, weights: Array) -> float:
        """Standard error of a combination of scaled parameters."""
        return float(np.sqrt(max(float(weights @ self.covariance @ weights), 0.0)))


def _sentences(group: _Loose, combined: Sequence[Array]) -> list[str]:
    said = []
    for members, mine in _connected(len(group.parameters), combined):
        names = [_short(group.parameters[i].name) for i in members]
        told = "; ".join(_combination(group, weights) for weights in mine)
        if not mine:
            said.append(f"{names[0]} is not determined{_how_far(group, members[0])}.")
        elif len(names) == 2:
            said.append(
                f"Only {told} is determined, neither of the two by itself: one makes up for the "
                "other."
            )
        else:
            what = "this combination is" if len(mine) == 1 else "these combinations are"
            said.append(f"Of {_listed(names)} only {what} determined: {told}.")
    return said


def _connected(count: int, combined: Sequence[Array]) -> Iterator[tuple[list[int], list[Array]]]:
    """Parameters that share combinations, with these; those in none by themselves, last."""
    groups = [{i} for i in range(count)]
    for weights in combined:
        used = set(np.flatnonzero(weights).tolist())
        linked = [g for g in groups if g & used]
        groups = [g for g in groups if not g & used] + [set().union(*linked)]
    for group in sorted(groups, key=lambda g: (len(g) == 1, min(g))):
        yield sorted(group), [w for w in combined if set(np.flatnonzero(w).tolist()) <= group]


def _readable(group: _Loose) -> list[Array]:
    """Combinations that span what is stiff, with few parameters and simple weights each.

    One that hardly says more than one of its parameters by itself is none.
    """
    found: list[Array] = []
    count = len(group.parameters)
    largest = count if count <= _MANY else _FEW
    for size in range(2, largest + 1):
        candidates = [_best_of(group, m) for m in combinations(range(count), size)]
        for weights in sorted(candidates, key=group.error):
            alone = float(np.sqrt(np.diag(group.covariance))[weights != 0].min())
            if len(found) == group.stiff:
                break
            if group.error(weights) > min(LOOSE, _LESS * alone):
                continue
            simple = _simplified(group, weights)
            if np.linalg.matrix_rank(np.array([*found, simple]), tol=1e-2) > len(found):
                found.append(simple)
    return found


def _best_of(group: _Loose, members: Sequence[int]) -> Array:
    """The combination of some parameters with the smallest error; its largest weight is one."""
    weights = np.zeros(len(group.parameters))
    part = group.covariance[np.ix_(members, members)]
    weights[list(members)] = np.linalg.eigh(part)[1][:, 0]
    return weights / weights[np.argmax(np.abs(weights))]


def _simplified(group: _Loose, weights: Array) -> Array:
    """The same with simple weights, where these are nearly as well determined."""
    limit = min(_WORSE * group.error(weights), LOOSE)
    first = int(np.argmax(np.abs(weights)))
    # written for the first parameter, so that it is that one to the power of one, if it can be
    leading = int(np.flatnonzero(np.abs(weights) > 0.3)[0])
    sign = np.sign(weights[leading])
    for candidate in _candidates(sign * weights, leading):
        scale = np.abs(candidate[first] / weights[first])
        if group.error(candidate) <= limit * scale:
            return candidate
    return np.asarray(sign * weights)


def _candidates(weights: Array, leading: int) -> Iterator[Array]:
    """Simpler and simpler weights, the simplest first."""
    for scaled in (weights / weights[leading], weights):
        for allowed in (_EXPONENTS[0], _EXPONENTS[0] + _EXPONENTS[1]):
            choices = np.array(allowed)
            nearest = choices[np.argmin(np.abs(np.abs(scaled)[:, None] - choices), axis=1)]
            yield np.sign(scaled) * nearest
    for digits in (1, 2):
        yield np.round(weights / weights[leading], digits)


def _combination(group: _Loose, weights: Array) -> str:
    """A combination and how well it is determined."""
    error = group.error(weights)
    used = [(p, w) for p, w in zip(group.parameters, weights, strict=True) if w]
    if all(p.logarithmic for p, _ in used):
        over = [_power(p, -w) for p, w in used if w < 0]
        kind = "the ratio" if over else "the product"
        text = " × ".join(_power(p, w) for p, w in used if w > 0) or "1"
        if over:
            text += " / " + (over[0] if len(over) == 1 else f"({' × '.join(over)})")
        return f"{kind} {text} (standard error {_percent(error)})"
    if not any(p.logarithmic for p, _ in used) and len({p.unit for p, _ in used}) == 1:
        return _sum(used, error)
    terms = [
        f"{'-' if w < 0 else '+'} {'' if abs(w) == 1 else f'{abs(w):.2g} × '}"
        + (f"ln({_short(p.name)})" if p.logarithmic else _scaled_name(p))
        for p, w in used
    ]
    text = " ".join(terms).removeprefix("+ ")
    return f"the combination {text} (standard error {error:.2g})"


def _sum(used: Sequence[tuple[FreeParameter, float]], error: float) -> str:
    """A combination of parameters on linear scales, in their common unit."""
    slopes = [w / p.linear_unit for p, w in used]
    first = max(slopes, key=abs)
    terms = []
    for (p, _), slope in zip(used, slopes, strict=True):
        weight = round(slope / first, 2)
        number = "" if abs(weight) == 1 else f"{abs(weight):.2g} × "
        terms.append(f"{'-' if weight < 0 else '+'} {number}{_short(p.name)}")
    text = " ".join(terms).removeprefix("+ ")
    unit = used[0][0].unit
    size = f"{abs(error / first):.2g}" + ("" if unit in ("", "-") else f" {unit}")
    kind = "the sum" if all(s / first > 0 for s in slopes) else "the difference"
    return f"{kind} {text} (standard error {size})"


def _scaled_name(parameter: FreeParameter) -> str:
    unit = "" if parameter.unit in ("", "-") else f" {parameter.unit}"
    return f"{_short(parameter.name)} / ({parameter.linear_unit:.3g}{unit})"


def _power(parameter: FreeParameter, exponent: float) -> str:
    name = _short(parameter.name)
    if exponent == 1:
        return name
    for denominator in (1, 2, 3, 4):
        whole = exponent * denominator
        if abs(whole - round(whole)) < 1e-9:
            text = f"{round(whole)}" + ("" if denominator == 1 else f"/{denominator}")
            return f"({name})^{text}" if denominator == 1 else f"({name})^({text})"
    return f"({name})^{exponent:.2g}"


def _how_far(group: _Loose, index: int) -> str:
    """How uncertain a single parameter is."""
    parameter, error = group.parameters[index], float(group.alone[index])
    if error > _ANYWHERE * _width(parameter) / np.sqrt(12.0):
        return ": it may lie anywhere between its bounds"
    if not parameter.logarithmic:
        unit = "" if parameter.unit in ("", "-") else f" {parameter.unit}"
        return f" (standard error {error * parameter.linear_unit:.2g}{unit})"
    factor = float(np.exp(min(1.96 * error, 700.0)))
    if factor > _MOST_FACTOR:
        return " within a factor of a hundred"
    return f" (95 % interval: a factor of {factor:.2g} either way)"


# Matrices -----------------------------------------------------------------------------------


def _width(parameter: FreeParameter) -> float:
    """Distance between the bounds of a scaled parameter."""
    if parameter.logarithmic:
        return float(np.log(parameter.upper / parameter.lower))
    return (parameter.upper - parameter.lower) / parameter.linear_unit


def _from_bounds(parameters: Sequence[FreeParameter]) -> Array:
    """Information on scaled parameters that lie anywhere between their bounds, shape (p,).

    Narrow bounds do not determine a parameter: it is the data that are asked.
    """
    errors = np.array([max(_width(p) / np.sqrt(12.0), 3.0 * LOOSE) for p in parameters])
    return np.asarray(errors**-2.0)


def _covariance(information: Array) -> Array:
    """Inverse of the information; huge, not infinite, where nothing is known."""
    values, vectors = np.linalg.eigh(0.5 * (information + information.T))
    floor = max(_ZERO * float(values[-1]), _UNKNOWN)
    return np.asarray((vectors / np.maximum(values, floor)) @ vectors.T)


def _schur(information: Array, group: NDArray[np.int64]) -> Array:
    """Information on a group when all other parameters are fitted too."""
    others = np.setdiff1d(np.arange(len(information)), group)
    across = information[np.ix_(group, others)]
    solved = np.linalg.pinv(information[np.ix_(others, others)], rcond=_ZERO, hermitian=True)
    return np.asarray(information[np.ix_(group, group)] - across @ solved @ across.T)


def _short(name: str) -> str:
    """A parameter's name without its unit."""
    return name.split(" [")[0]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:-1]) + f" and {names[-1]}"


def _percent(error: float) -> str:
    percent = 100.0 * error
    return f"{percent:.0f} %" if percent >= 10 else f"{percent:.2g} %"
