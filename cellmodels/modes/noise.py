"""How large the residuals of open-circuit curves are, and how far they are correlated."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize

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

__all__ = ["estimate_noise"]

Array = NDArray[np.float64]

_LENGTHS = (0.01, 0.03, 0.1, 0.3)  # of autocorrelation, in shares of a curve's charge
_USUAL = np.log([3e-4, 1e-3])  # V, white and correlated, where the curves tell nothing
_SPREAD = 1.5  # of their logarithms
_LEAST, _MOST = np.log(1e-5), np.log(0.1)
_OUTSIDE = 1e3  # penalty of values beyond these


def estimate_noise(
    problem: Problem, unknowns: Unknowns, start: Noise, white: float | None = None
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

    Returns
    -------
    Noise
        The same of all curves.
    """
    rows = problem.rows(unknowns)
    first = np.log([max(start.white / 5, 2e-5), max(start.correlated, 1e-3)])
    found: list[tuple[float, Noise]] = []
    for length in _LENGTHS:
        turned = _Turned(problem, rows, length)

        def objective(x: Array, turned: _Turned = turned) -> float:
            return turned.evidence(x, unknowns, problem.prior, white)

        options = {"xatol": 0.02, "fatol": 0.05}
        best = minimize(objective, first, method="Nelder-Mead", options=options)
        first = best.x
        own, correlated = np.exp(np.clip(best.x, _LEAST, _MOST))
        found.append((float(best.fun), Noise(white or own, correlated, length)))
    return min(found, key=lambda one: one[0])[1]


class _Turned:
    """Curves in the bases in which every covariance of one length is diagonal."""

    def __init__(self, problem: Problem, rows: Sequence[Rows], length: float) -> None:
        def basis(curve: object) -> Array:
            variances, vectors = np.linalg.eigh(kernel(curve.place, length))  # type: ignore[attr-defined]
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
        own, correlated = np.exp(inside)
        stds = [np.sqrt((white or own) ** 2 + correlated**2 * v) for v in self._variances]
        rows = [
            one.mapped(lambda each, std=std: (each.T / std).T)  # type: ignore[misc]
            for one, std in zip(self._rows, stds, strict=True)
        ]
        matrix, gradient = normal(rows, unknowns, prior)
        factor = cho_factor(matrix, lower=True)
        least = squares(rows, unknowns, prior) - float(gradient @ cho_solve(factor, gradient))
        determinants = float(np.log(np.diag(factor[0])).sum())
        determinants += sum(float(np.log(std).sum()) for std in stds)
        unusual, beyond = (inside - _USUAL) / _SPREAD, logarithms - inside
        return least + 2 * determinants + float(unusual @ unusual + _OUTSIDE * beyond @ beyond)
