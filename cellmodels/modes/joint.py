r"""Electrodes of one cell from several curves at once, by least squares with known covariance.

What is sought are the parameters pₖ of each curve k and the coefficients c of the half cells'
errors, which all curves have in common. The voltages are

.. math:: V_k = f(p_k, c) + e_k, \qquad e_k \sim N(0, R_k), \qquad
          R = w^2 I + s^2 \exp(-|u - u'| / \ell)

with white noise w and autocorrelated residuals of size s and length ℓ, as those of a fitted
open-circuit curve are; u is the charge as a share of the curve's. Priors on p and on c (of unit
variance) are Gaussian. The estimate is the maximum of the posterior, found by the method of
Levenberg (1944), doi:10.1090/qam/10666, and Marquardt (1963), doi:10.1137/0111030, with exact
derivatives; its covariance is the inverse of the Gauss-Newton matrix, in which c is marginalised.
w, s and ℓ maximise the marginal likelihood of the linearised model (Rasmussen and Williams,
Gaussian Processes for Machine Learning, 2006, section 5.4.1), which counts what the parameters
have absorbed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from cellmodels.modes.linearised import Noise, Prior, Problem, Unknowns, normal, squares
from cellmodels.modes.noise import estimate_noise

__all__ = ["Solution", "solve"]

Array = NDArray[np.float64]

_FIRST = Noise(5e-3)  # residuals that the first fits assume
_ROUNDS = 4  # of noise and fit
_CHANGE = 0.02  # of the noise's logarithms, below which it stays
_STEPS = 60
_SETTLED = 1e-7  # of the sum of squares
_SHIFT = 0.1  # of starts: of a capacity's logarithm, and of a stoichiometry


@dataclass(frozen=True, eq=False)
class Solution:
    """Parameters of all curves, and their covariance.

    Parameters
    ----------
    unknowns : Unknowns
    covariance : ndarray, shape (k p + m, k p + m)
        Of the free parameters, curve by curve, and of the coefficients.
    noise : Noise
    residuals : list of ndarray
        Model minus data [V].
    converged : bool
    """

    unknowns: Unknowns
    covariance: Array
    noise: Noise
    residuals: list[Array]
    converged: bool


def solve(problem: Problem, white: float | None = None) -> Solution:
    """Fit all curves of a cell.

    Parameters
    ----------
    problem : Problem
    white : float, optional
        White noise of the fitted points [V], where it is known.

    Returns
    -------
    Solution
    """
    unknowns = Unknowns(_separate(problem), np.zeros(problem.model.coefficients))
    noise = _FIRST
    for _ in range(_ROUNDS):
        found = estimate_noise(problem, unknowns, noise, white)
        unknowns, converged = _fit(problem, found, unknowns)
        change = np.log([found.white / noise.white, found.correlated / (noise.correlated or 1e-9)])
        noise = found
        if np.abs(change).max() < _CHANGE:
            break
    rows = problem.whitened(unknowns, noise)
    matrix, _ = normal(rows, unknowns, problem.prior)
    covariance = cho_solve(cho_factor(matrix), np.eye(len(matrix)))
    residuals = [one.residual for one in problem.rows(unknowns)]
    return Solution(unknowns, covariance, noise, residuals, converged)


def _separate(problem: Problem) -> Array:
    """Each curve alone, with half cells as they are, from several starts."""
    found: list[Array] = []
    none = np.zeros(problem.model.coefficients)
    for number in range(len(problem.curves)):
        one = problem.one(number)
        starts = [Unknowns(v[None], none) for v in (*found[-1:], *_starts(problem.prior))]
        fits = [_fit(one, _FIRST, start)[0] for start in starts]
        costs = [squares(one.whitened(fit, _FIRST), fit, one.prior) for fit in fits]
        found.append(fits[int(np.argmin(costs))].values[0])
    return np.array(found)


def _starts(prior: Prior) -> list[Array]:
    """The prior's mean, and other balances near it."""
    reach = np.minimum(2.0 * prior.std, _SHIFT)
    starts = []
    for lithium in (0.0, -1.0, 1.0):
        for capacity in (0.0, -1.0, 1.0):
            start = prior.mean.copy()
            start[0] += capacity * reach[0]
            start[2] = min(start[2] + lithium * reach[2], 0.99)
            starts.append(start)
    return starts


def _fit(problem: Problem, noise: Noise, unknowns: Unknowns) -> tuple[Unknowns, bool]:
    """Least squares with known noise: where, and whether it has settled."""
    damping, rows = 1e-4, problem.whitened(unknowns, noise)
    cost = squares(rows, unknowns, problem.prior)
    for _ in range(_STEPS):
        matrix, gradient = normal(rows, unknowns, problem.prior)
        while damping < 1e8:
            damped = matrix + damping * np.diag(np.diag(matrix))
            step = -cho_solve(cho_factor(damped), gradient)
            tried = unknowns.moved(step, problem.prior.free)
            next_rows = problem.whitened(tried, noise)
            next_cost = squares(next_rows, tried, problem.prior)
            if next_cost <= cost:
                break
            damping = max(10.0 * damping, 1e-6)
        else:
            return unknowns, True  # no step gains: at the limit of arithmetic
        gained, cost = cost - next_cost, next_cost
        unknowns, rows, damping = tried, next_rows, damping / 10.0
        if gained <= _SETTLED * (1.0 + cost):
            return unknowns, True
    return unknowns, False
