"""How large the residuals of open-circuit curves are, and the errors of the half cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize

from cellmodels.modes.curves import OcvCurve
from cellmodels.modes.linearised import (
    Noise,
    Prior,
    Problem,
    Rows,
    Unknowns,
    kernel,
    normal,
    of_alike,
    squares,
)

__all__ = ["LENGTHS", "MOST_CURVES", "estimate_noise"]

Array = NDArray[np.float64]

LENGTHS: tuple[float, ...] = (
    0.01,
    0.03,
    0.1,
    0.3,
)  # of autocorrelation, in shares of a curve's charge
MOST_CURVES = 10.0  # times larger than stated that half cells' errors may be found
_ENOUGH = 6  # curves that tell the noise of all
# White and correlated noise [V] and the factor on the half cells' errors: what is usual, within
# which factors, and what is possible. No two slow curves of a cell have the same overvoltage at
# every charge: half a millivolt of that is taken for granted.
_USUAL, _SPREAD = np.log([3e-4, 1e-3, 1.0]), np.array([1.5, 1.5, 0.5])
_LEAST, _MOST = np.log([1e-4, 5e-4, 1.0]), np.log([0.1, 0.1, MOST_CURVES])
_OUTSIDE = 1e3  # penalty of values beyond these


def estimate_noise(
    problem: Problem,
    unknowns: Unknowns,
    start: Noise,
    white: float | None = None,
    lengths: Sequence[float] = LENGTHS,
) -> Noise:
    """Noise of the largest marginal likelihood, with the model linearised.

    Parameters
    ----------
    problem : Problem
    unknowns : Unknowns
        Where it is linearised.
    start : Noise
        Where the search begins.
    white : float, optional
        White noise, where it is known [V].
    lengths : sequence of float
        Of the autocorrelation, that are tried.

    Returns
    -------
    Noise
        The same of all curves, of which six at most are looked at. Half cells are never taken to
        be better than stated.
    """
    count = len(problem.curves)
    chosen = np.unique(np.linspace(0, count - 1, min(count, _ENOUGH)).astype(int))
    problem = replace(problem, curves=tuple(problem.curves[k] for k in chosen))
    unknowns = Unknowns(unknowns.values[chosen], unknowns.errors)
    rows = problem.rows(unknowns)
    first = np.log([max(start.white / 5, 2e-5), max(start.correlated, 1e-3), start.curves * 1.2])
    found: list[tuple[float, Noise]] = []
    for length in lengths:
        turned = _Turned(problem, rows, length)

        def objective(x: Array, turned: _Turned = turned) -> float:
            return turned.evidence(x, unknowns, problem.prior, white)

        options = {"xatol": 0.02, "fatol": 0.05}
        best = minimize(objective, first, method="Nelder-Mead", options=options)
        first = best.x
        own, correlated, curves = np.exp(np.clip(best.x, _LEAST, _MOST)).tolist()
        found.append((float(best.fun), Noise(white or own, correlated, length, curves)))
    return min(found, key=lambda one: one[0])[1]


class _Turned:
    """Curves in the bases in which every covariance of one length is diagonal."""

    def __init__(self, problem: Problem, rows: Sequence[Rows], length: float) -> None:
        def basis(curve: OcvCurve) -> Array:
            variances, vectors = np.linalg.eigh(kernel(curve.place, length))
            return np.concatenate([np.maximum(variances, 0.0)[None], vectors])

        bases = of_alike(problem.curves, basis)
        self._variances = [basis[0] for basis in bases]
        self._rows = [
            one.mapped(basis[1:].T.__matmul__) for one, basis in zip(rows, bases, strict=True)
        ]

    def evidence(
        self, logarithms: Array, unknowns: Unknowns, prior: Prior, white: float | None
    ) -> float:
        """Minus twice the logarithm of the marginal likelihood, up to a constant."""
        inside = np.clip(logarithms, _LEAST, _MOST)
        own, correlated, curves = np.exp(inside)
        stds = [np.sqrt((white or own) ** 2 + correlated**2 * v) for v in self._variances]
        rows = [
            one.mapped(lambda each, std=std: (each.T / std).T)  # type: ignore[misc]
            for one, std in zip(self._rows, stds, strict=True)
        ]
        matrix, gradient = normal(rows, unknowns, prior, curves)
        factor = cho_factor(matrix, lower=True)
        least = squares(rows, unknowns, prior, curves)
        least -= float(gradient @ cho_solve(factor, gradient))
        determinants = float(np.log(np.diag(factor[0])).sum())
        determinants += sum(float(np.log(std).sum()) for std in stds)
        determinants += unknowns.errors.size * inside[2]
        unusual, beyond = (inside - _USUAL) / _SPREAD, logarithms - inside
        return least + 2 * determinants + float(unusual @ unusual + _OUTSIDE * beyond @ beyond)
