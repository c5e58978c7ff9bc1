r"""A population of cells: means that follow from each cell's conditions, and spread between cells.

The scaled parameters of cell c are :math:`z_c = X_c \beta + b_c`, :math:`b_c \sim N(0, \Omega)`,
where :math:`\Omega = \Lambda\Lambda^T` is zero for what all cells share. Of the cell's data
only the quadratic form around a point is used, :math:`-\log L_c(z) = \tfrac12 z^T H_c z - g_c^T z`
and a constant, which is exact for a linear model with normal noise. With
:math:`M_c = I + \Lambda^T H_c \Lambda`, the likelihood after integration over :math:`b_c` is

.. math::
    -2 \log L = \sum_c \log|M_c| + \mu_c^T H_c \mu_c - 2 g_c^T \mu_c
    - r_c^T \Lambda M_c^{-1} \Lambda^T r_c, \qquad \mu_c = X_c\beta,\; r_c = g_c - H_c\mu_c

In this form nothing is inverted that may be singular: neither the information :math:`H_c` of
a cell that says nothing of some parameter, nor the :math:`\Omega` of a shared one. Spread is
estimated at the maximum of the restricted likelihood, in which :math:`\beta` is integrated out
(D. A. Harville, J. Am. Stat. Assoc. 72 (1977) 320, doi:10.1080/01621459.1977.10480998), times
a half-normal prior of the standard deviation (A. Gelman, Bayesian Analysis 1 (2006) 515,
doi:10.1214/06-BA117A): few cells say little of it.

Parameters that a life makes up for one another, such as a rate of growth and the resistance of
what grows, differ together from cell to cell; taken as independent, they would give lives of new
cells that no cell has. Their correlations have the prior of D. Lewandowski, D. Kurowicka and H. Joe
(J. Multivar. Anal. 100 (2009) 1989, doi:10.1016/j.jmva.2009.04.008) with a shape of 2, which
prefers none; they are estimated as the partial correlations of that paper's C-vine.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import scipy.optimize
import scipy.stats
from numpy.typing import NDArray

__all__ = [
    "Cells",
    "Population",
    "Settings",
    "estimate",
    "sample",
    "spread_objective",
    "without_prior_of_means",
]

Array = NDArray[np.float64]

_SMALLEST, _LARGEST = 1e-5, 20.0  # standard deviations between cells, scaled
_STARTS = (0.03, 0.3)
_TAIL, _WIDER = 5.0, 1.3  # degrees of freedom and width of the proposals
_PROPOSALS = 4  # for each draw
_SHAPE = 2.0  # of the prior of correlations; 1 is flat
_MOST_ALIKE = 4.0  # largest inverse hyperbolic tangent of a partial correlation


@dataclass(frozen=True, eq=False)
class Cells:
    """What the data of each cell say, and its design.

    Parameters
    ----------
    design : ndarray, shape (n, p, k)
        X of each cell.
    information : ndarray, shape (n, p, p)
        H, the second derivative of half the sum of squares.
    pull : ndarray, shape (n, p)
        g: H times the optimum, where there is one.
    """

    design: Array
    information: Array
    pull: Array

    @property
    def count(self) -> int:
        """Number of cells."""
        return len(self.design)


@dataclass(frozen=True, eq=False)
class Settings:
    """What is assumed of a population.

    Parameters
    ----------
    varies : ndarray of bool, shape (p,)
        Which parameters differ between cells.
    mean, precision : ndarray, shapes (k,) and (k, k)
        Normal prior of beta; a precision of zero is flat.
    scale : ndarray, shape (p,)
        Of the half-normal prior of the spread, as a standard deviation; infinite for none.
    correlated : bool
        Whether what varies may vary together.
    restricted : bool
        Whether beta is integrated out in the estimate of the spread (REML), or not (ML).
    """

    varies: NDArray[np.bool_]
    mean: Array
    precision: Array
    scale: Array
    correlated: bool = False
    restricted: bool = True

    @property
    def count(self) -> int:
        """Number of parameters that vary, v."""
        return int(self.varies.sum())


@dataclass(frozen=True, eq=False)
class Population:
    """Estimates.

    Parameters
    ----------
    beta, covariance : ndarray, shapes (k,) and (k, k)
    root : ndarray, shape (p, v)
        Lambda; rows of what is shared are zero.
    unknowns : ndarray, shape (u,)
        Logarithms of the spreads, and inverse hyperbolic tangents of partial correlations.
    unknowns_covariance : ndarray, shape (u, u)
    objective : float
        -2 log of the (restricted) likelihood times the priors, without constants of the data.
    centre, shrunk : ndarray, shape (n, p)
        Mean of the population for each cell, and the cell's own estimate given the population.
    shrunk_covariance : ndarray, shape (n, p, p)
        Of the latter, beta's uncertainty included.
    """

    beta: Array
    covariance: Array
    root: Array
    unknowns: Array
    unknowns_covariance: Array
    objective: float
    centre: Array
    shrunk: Array
    shrunk_covariance: Array

    @property
    def spread(self) -> Array:
        """Standard deviations between cells, shape (p,); zero for what is shared."""
        return np.sqrt(np.sum(self.root**2, axis=1))

    @property
    def correlation(self) -> Array:
        """Correlations between cells, shape (p, p); zero beside what is shared."""
        size = np.where(self.spread > 0, self.spread, 1.0)
        return (self.root @ self.root.T) / np.outer(size, size)


def estimate(cells: Cells, settings: Settings) -> Population:
    """Means and spread of the highest (restricted) posterior density.

    Parameters
    ----------
    cells : Cells
    settings : Settings

    Returns
    -------
    Population
    """
    count = settings.count
    pairs = count * (count - 1) // 2 if settings.correlated else 0

    def objective(unknowns: Array) -> float:
        return _objective(cells, settings, unknowns)

    if not count:
        return _population(cells, settings, np.empty(0), np.empty((0, 0)))
    limits = [(np.log(_SMALLEST), np.log(_LARGEST))] * count + [(-_MOST_ALIKE, _MOST_ALIKE)] * pairs
    found = [
        scipy.optimize.minimize(
            objective,
            np.concatenate([np.full(count, np.log(start)), np.zeros(pairs)]),
            method="L-BFGS-B",
            bounds=limits,
            options={"ftol": 1e-13, "gtol": 1e-8, "maxfun": 50_000},
        )
        for start in _STARTS
    ]
    best = min(found, key=lambda each: float(each.fun)).x
    return _population(cells, settings, best, _curvature(objective, best))


def sample(
    cells: Cells, settings: Settings, population: Population, draws: int, rng: np.random.Generator
) -> tuple[Array, Array, float]:
    """Draws of beta and the spread from their posterior.

    By importance resampling: logarithms of the spread and correlations are proposed from Student's
    t distribution around their mode and drawn again in proportion to their exact posterior; beta
    is normal, given them. So the doubt about the spread widens what is predicted of a new cell.

    Returns
    -------
    beta : ndarray, shape (draws, k)
    root : ndarray, shape (draws, p, v)
        Lambda.
    effective : float
        Effective number of proposals; of few, draws are repeated.
    """
    if not settings.count:
        roots = np.linalg.cholesky(population.covariance)
        beta = population.beta + rng.standard_normal((draws, len(roots))) @ roots.T
        return beta, np.zeros((draws, settings.varies.size, 0)), float(draws)
    size = population.unknowns.size
    proposal = scipy.stats.multivariate_t(
        population.unknowns, _WIDER * population.unknowns_covariance, df=_TAIL, seed=rng
    )
    tried = np.atleast_2d(proposal.rvs(size=_PROPOSALS * draws).reshape(-1, size))
    heights = np.array([-0.5 * _objective(cells, settings, each) for each in tried])
    weights = heights - np.atleast_1d(proposal.logpdf(tried))
    weights = np.exp(weights - weights.max())
    weights /= weights.sum()
    chosen = rng.choice(len(weights), size=draws, p=weights)
    beta = np.empty((draws, population.beta.size))
    found = np.empty((draws, *population.root.shape))
    for i, k in enumerate(chosen):
        found[i] = _root(settings, tried[k])
        system, right, _ = _system(cells, settings, found[i])
        normal = np.linalg.cholesky(np.linalg.inv(system)) @ rng.standard_normal(len(right))
        beta[i] = np.linalg.solve(system, right) + normal
    return beta, found, float(1 / np.sum(weights**2))


def without_prior_of_means(settings: Settings, count: int) -> Settings:
    """The same for likelihoods of `count` means, as tests compare them."""
    return replace(
        settings, restricted=False, mean=np.zeros(count), precision=np.zeros((count, count))
    )


def spread_objective(cells: Cells, settings: Settings, unknowns: Array) -> float:
    """-2 log of the (restricted) likelihood times priors at a spread, the means at their best."""
    return _objective(cells, settings, unknowns)


# ------------------------------------------------------------------------------------------


def _root(settings: Settings, unknowns: Array) -> Array:
    """Lambda from logarithms of spreads and partial correlations, shape (p, v)."""
    count = settings.count
    lower = np.eye(count)
    if settings.correlated:
        partial = np.tanh(unknowns[count:])
        for (i, j), r in zip(_pairs(count), partial, strict=True):
            lower[i, j] = r * np.sqrt(1 - np.sum(lower[i, :j] ** 2))
        for i in range(count):
            lower[i, i] = np.sqrt(1 - np.sum(lower[i, :i] ** 2))
    root = np.zeros((settings.varies.size, count))
    root[settings.varies] = np.exp(unknowns[:count])[:, None] * lower
    return root


def _pairs(count: int) -> list[tuple[int, int]]:
    """Rows and columns of a triangle, column by column."""
    return [(i, j) for j in range(count) for i in range(j + 1, count)]


def _whitened(cells: Cells, root: Array) -> tuple[Array, Array]:
    """M of each cell, (n, v, v), and Lambda M^-1 Lambda^T, (n, p, p)."""
    middle = np.eye(root.shape[1]) + root.T @ cells.information @ root
    return middle, root @ np.linalg.inv(middle) @ root.T


def _system(cells: Cells, settings: Settings, root: Array) -> tuple[Array, Array, float]:
    """Normal equations of beta, and the part of -2 log L that is left at their solution."""
    middle, filter_ = _whitened(cells, root)
    h, g, x = cells.information, cells.pull, cells.design
    passed = h @ filter_
    weights = h - passed @ h
    pulls = g - np.einsum("npq,nq->np", passed, g)
    system = np.einsum("npk,npq,nql->kl", x, weights, x) + settings.precision
    right = np.einsum("npk,np->k", x, pulls) + settings.precision @ settings.mean
    rest = float(np.linalg.slogdet(middle)[1].sum())
    rest -= float(np.einsum("np,npq,nq->", g, filter_, g))
    rest += float(settings.mean @ settings.precision @ settings.mean)
    return 0.5 * (system + system.T), right, rest


def _objective(cells: Cells, settings: Settings, unknowns: Array) -> float:
    """-2 log of the posterior density of the unknowns of the spread."""
    system, right, value = _system(cells, settings, _root(settings, unknowns))
    value -= float(right @ np.linalg.solve(system, right))
    if settings.restricted:
        value += float(np.linalg.slogdet(system)[1])
    return value + _prior(settings, unknowns)


def _prior(settings: Settings, unknowns: Array) -> float:
    """-2 log of the prior density of the unknowns."""
    count, scale = settings.count, settings.scale[settings.varies]
    spread, known = np.exp(unknowns[:count]), np.isfinite(scale)
    # Of the logarithm the density has the spread itself as a factor: it is not zero for sure.
    value = float(np.sum((spread[known] / scale[known]) ** 2 - 2 * np.log(spread[known])))
    if settings.correlated:
        level = np.array([j for _, j in _pairs(count)])
        power = _SHAPE + 0.5 * (count - 2 - level)
        value += float(np.sum(4 * power * np.log(np.cosh(unknowns[count:]))))
    return value


def _population(
    cells: Cells, settings: Settings, unknowns: Array, unknowns_covariance: Array
) -> Population:
    root = _root(settings, unknowns)
    system, right, _ = _system(cells, settings, root)
    covariance = np.asarray(np.linalg.inv(system), dtype=np.float64)
    beta = covariance @ right
    _, filter_ = _whitened(cells, root)
    x, h = cells.design, cells.information
    centre = x @ beta
    left = cells.pull - np.einsum("npq,nq->np", h, centre)
    shrunk = centre + np.einsum("npq,nq->np", filter_, left)
    carried = x - filter_ @ h @ x
    spread_left = np.einsum("npk,kl,nql->npq", carried, covariance, carried)
    return Population(
        beta=beta,
        covariance=covariance,
        root=root,
        unknowns=unknowns,
        unknowns_covariance=unknowns_covariance,
        objective=_objective(cells, settings, unknowns),
        centre=centre,
        shrunk=shrunk,
        shrunk_covariance=filter_ + spread_left,
    )


def _curvature(objective: object, best: Array) -> Array:
    """Inverse of half the Hessian of the objective, by differences; wide where it is flat."""
    assert callable(objective)
    size, step = best.size, 0.05
    steps = step * np.eye(size)
    hessian = np.empty((size, size))
    for i in range(size):
        for j in range(i + 1):
            corners = [
                si * sj * objective(best + si * steps[i] + sj * steps[j])
                for si in (1, -1)
                for sj in (1, -1)
            ]
            hessian[i, j] = hessian[j, i] = sum(corners) / (4 * step**2)
    values, vectors = np.linalg.eigh(0.5 * hessian)
    return (vectors / np.clip(values, 0.05, None)) @ vectors.T
