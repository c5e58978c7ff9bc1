r"""Electrodes of one cell from several curves at once, by least squares with known covariance.

What is sought are the parameters pₖ of each curve k and the coefficients c of the half cells'
errors, which all curves have in common. The voltages are

.. math:: V_k = f(p_k, c) + e_k, \qquad e_k \sim N(0, R_k), \qquad
          R = w^2 I + s^2 \exp(-|u - u'| / \ell)

with white noise w and autocorrelated residuals of size s and length ℓ, as those of a fitted
open-circuit curve are; u is the charge as a share of the curve's. Priors on p and on c (of unit
variance, or λ² where the half cells are worse than stated) are Gaussian. The estimate is the
maximum of the posterior, found by the method of Levenberg (1944), doi:10.1090/qam/10666, and
Marquardt (1963), doi:10.1137/0111030, with exact derivatives; its covariance is the inverse of the
Gauss-Newton matrix, in which c is marginalised. Where a stoichiometry would leave 0 to 1 it is held
there, and the covariance is that without. w, s, ℓ and λ ≥ 1 maximise the marginal likelihood of the
linearised model (Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, section
5.4.1), which counts what the parameters have absorbed; they count as known afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from cellmodels.modes.linearised import Noise, Prior, Problem, Rows, Unknowns, normal, squares
from cellmodels.modes.noise import LENGTHS, estimate_noise

__all__ = ["Solution", "solve"]

Array = NDArray[np.float64]

_FIRST = Noise(5e-3)  # residuals that the first fits assume
_ROUNDS = 4  # of noise and fit
_CHANGE = 0.02  # of the noise's logarithms, below which it stays
_STEPS = 100
_SETTLED = 1e-7  # of the sum of squares
_FARTHEST = 0.3  # that a parameter moves in one step: e-fold, stoichiometry or volt
_SHIFTS = np.array([0.0, -1.0, 1.0])  # of starts, in standard deviations of the prior
_LARGEST = 0.15  # shift of a capacity's logarithm
_HELD = 1e-3  # standard deviation of what is as good as known
_FEW = 8  # steps towards a start
_WORSE = 2.0  # times the first curve's sum of squares, from which on starts are tried again


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
    noise, lengths = _FIRST, LENGTHS
    for _ in range(_ROUNDS):
        found = estimate_noise(problem, unknowns, noise, white, lengths)
        lengths = (found.length,)
        unknowns, converged = _fit(problem, found, unknowns)
        settled = _alike(found, noise)
        noise = found
        if settled:
            break
    rows = problem.whitened(unknowns, problem.factors(noise))
    matrix, _ = normal(rows, unknowns, problem.prior, noise.curves)
    covariance = cho_solve(cho_factor(matrix), np.eye(len(matrix)))
    residuals = [one.residual for one in problem.rows(unknowns)]
    return Solution(unknowns, covariance, noise, residuals, converged)


def _alike(one: Noise, other: Noise) -> bool:
    names = ("white", "correlated", "curves")
    pairs = [(getattr(one, name), getattr(other, name)) for name in names]
    return all(abs(np.log((a + 1e-9) / (b + 1e-9))) < _CHANGE for a, b in pairs)


def _separate(problem: Problem) -> Array:
    """Each curve alone, with half cells as they are: the first from several starts.

    So are those that the one before does not lead to.
    """
    found: list[Array] = []
    costs: list[float] = []
    for number in range(len(problem.curves)):
        one = problem.one(number)
        tried = [_alone(one, start) for start in found[-1:]]
        if not tried or tried[0][0] > _WORSE * costs[0]:
            tried += [_alone(one, start) for start in _starts(one)]
        cost, values = min(tried, key=lambda each: each[0])
        costs.append(cost)
        found.append(values)
    return np.array(found)


def _alone(one: Problem, start: Array, steps: int = _STEPS) -> tuple[float, Array]:
    """Sum of squares and parameters of one curve."""
    unknowns = Unknowns(start[None], np.zeros(one.model.coefficients))
    fit, _ = _fit(one, _FIRST, unknowns, steps)
    return squares(_walled(one, fit, one.factors(_FIRST)), fit, one.prior, 1.0), fit.values[0]


def _starts(one: Problem) -> list[Array]:
    """Balances of other capacities than the prior's, whose curve ends where the measured one does.

    They are found by fits in which the capacities are as good as known.
    """
    reach = np.minimum(_SHIFTS[:, None] * one.prior.std[:2], np.abs(_SHIFTS[:, None]) * _LARGEST)
    starts = []
    for negative in reach[:, 0]:
        for positive in reach[:, 1]:
            mean, std = one.prior.mean.copy(), one.prior.std.copy()
            mean[:2] += negative, positive
            std[:2] = np.minimum(std[:2], _HELD)
            held = replace(one, prior=Prior(mean, std))
            starts.append(_alone(held, mean, _FEW)[1])
    return starts


def _walled(problem: Problem, unknowns: Unknowns, factors: Sequence[Array]) -> list[Rows]:
    rows, walls = problem.whitened(unknowns, factors), problem.walls(unknowns)
    return [one.with_more(wall) for one, wall in zip(rows, walls, strict=True)]


def _fit(
    problem: Problem, noise: Noise, unknowns: Unknowns, steps: int = _STEPS
) -> tuple[Unknowns, bool]:
    """Least squares with known noise: where, and whether it has settled."""
    factors = problem.factors(noise)
    damping, rows = 1e-4, _walled(problem, unknowns, factors)
    cost = squares(rows, unknowns, problem.prior, noise.curves)
    for _ in range(steps):
        matrix, gradient = normal(rows, unknowns, problem.prior, noise.curves)
        while damping < 1e8:
            damped = matrix + damping * np.diag(np.diag(matrix))
            step = -cho_solve(cho_factor(damped), gradient)
            own = np.abs(step[: unknowns.values.shape[0] * problem.prior.free.size]).max()
            tried = unknowns.moved(step * (_FARTHEST / max(own, _FARTHEST)), problem.prior.free)
            next_rows = _walled(problem, tried, factors)
            next_cost = squares(next_rows, tried, problem.prior, noise.curves)
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
