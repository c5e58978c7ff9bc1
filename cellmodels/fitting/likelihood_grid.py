"""Restricted likelihood of a variable's residuals under all covariances that are tried.

The restricted likelihood (H. D. Patterson and R. Thompson, Biometrika 58 (1971) 545,
doi:10.1093/biomet/58.3.545) of residuals r with derivatives J and covariance V is, but for a
constant, ``-(log det V + log det J'inv(V)J + min_u (r + J u)' inv(V) (r + J u)) / 2``: that of the
part of r which no change u of the parameters can describe. With several variables, whose residuals
are independent, V is the covariance of each in turn, and the products with inv(V) are sums.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from cellmodels.fitting.drift import DRIFTS, NO_WANDER, Drift, Series, Wander
from cellmodels.fitting.problem import Evaluation, Problem
from cellmodels.fitting.residuals import Observations

__all__ = [
    "Choice",
    "Grid",
    "Places",
    "grid_of",
    "places_of",
    "restricted_likelihood",
    "robust_noise",
    "scaled_rows",
]

Array = NDArray[np.float64]

RATIOS = np.concatenate([[0.0], np.geomspace(0.05, 500, 21)])
"""Standard deviations of a drift at the end of the data that are tried, in units of the noise (the
median over the variable's points)."""
_NOISE_STEP = 1.3
_MEDIAN = 9  # points
_RIDGE = 1e-10  # of the information of each parameter: directions without any count as known


@dataclass(frozen=True, eq=False)
class Places:
    """Where the points of a variable lie.

    Parameters
    ----------
    series : tuple of Series
    parts : tuple of ndarray of int
        Points of each series, as indices into the fit's.
    first, span : float
        First place and length of the data, in units of the coordinate.
    unit : float
        Median standard deviation of the points, in units of the variable.
    """

    series: tuple[Series, ...]
    parts: tuple[NDArray[np.int64], ...]
    first: float
    span: float
    unit: float

    @property
    def points(self) -> NDArray[np.int64]:
        """All points, as indices into the fit's."""
        return np.concatenate(self.parts)

    def averages(self, rows: Array) -> list[Array]:
        """Averages of each series, of rows of all points of the fit; (k, q) -> (b, q) each."""
        pairs = zip(self.series, self.parts, strict=True)
        return [series.average(rows[part]) for series, part in pairs]

    def moments(self, rows: Array, process: Drift | Wander) -> Array:
        """``L' K L`` with K the covariance of a process, L rows of all points of the fit."""
        pairs = zip(self.series, self.parts, strict=True)
        return np.sum([series.moments(rows[part], process) for series, part in pairs], axis=0)


@dataclass(frozen=True)
class Choice:
    """One point of a :class:`Grid`: drift, ratio and noise factor, as indices."""

    drift: int
    ratio: int
    noise: int


@dataclass(frozen=True, eq=False)
class Grid:
    """Moments of one variable's residuals under every covariance that is tried.

    With ``Z = [J | r]`` the derivatives of a variable's n normalised residuals and the residuals
    themselves, and ``V = factor (1 + wander + ratio^2 drift)`` their covariance, all that a
    likelihood needs is ``log det V`` and ``Z' inv(V) Z``.

    Parameters
    ----------
    drifts : tuple of Drift
    wander : Wander
        Part of the noise.
    ratios : ndarray, shape (h,)
        Sizes of the drift over the noise; the first is zero.
    factors : ndarray, shape (f,)
        Of the noise's variance, from one on.
    count : int
        Number of averaged points.
    log_det : ndarray, shape (drifts, h)
        For a factor of one.
    moments : ndarray, shape (drifts, h, p + 1, p + 1)
        For a factor of one.
    places : Places
    """

    drifts: tuple[Drift, ...]
    wander: Wander
    ratios: Array
    factors: Array
    count: int
    log_det: Array
    moments: Array
    places: Places

    def at(self, choice: Choice) -> Array:
        """Moments of one covariance, shape (p + 1, p + 1)."""
        return self.moments[choice.drift, choice.ratio] / self.factors[choice.noise]

    def likelihoods(self, rest: Array) -> Array:
        """Restricted log-likelihood of every covariance, shape (drifts, h, f).

        Parameters
        ----------
        rest : ndarray, shape (p + 1, p + 1)
            Moments of the other variables, and of the prior.
        """
        total = rest + self.moments[:, :, None] / self.factors[:, None, None]
        own = self.log_det[:, :, None] + self.count * np.log(self.factors)
        return restricted_likelihood(total) - 0.5 * own

    def weights(self, rest: Array) -> Array:
        """Probability of every covariance, shape (drifts, h, f).

        The likelihood with a prior that is flat for drifts smaller than the noise, and falls with
        the root of their size beyond. A flat one believes in drifts of any size where the data
        hardly tell, one that falls as the size itself in none: intervals were too wide with the
        first and too narrow with the second, on simulated lives (`benchmarks.coverage`).
        """
        edges = np.concatenate([[0.0], (self.ratios[1:] + self.ratios[:-1]) / 2, self.ratios[-1:]])
        believed = np.log(np.diff(edges) / np.sqrt(1 + self.ratios))
        logarithm = self.likelihoods(rest) + believed[:, None]
        weights = np.exp(logarithm - logarithm.max())
        return weights / weights.sum()


def restricted_likelihood(moments: Array) -> Array:
    """The part of the restricted log-likelihood that depends on all variables together.

    Parameters
    ----------
    moments : ndarray, shape (..., p + 1, p + 1)
        ``[J | r]' inv(V) [J | r]``, summed over the variables.

    Returns
    -------
    ndarray, shape (...)
        ``-(log det J'inv(V)J + min_u (r + J u)' inv(V) (r + J u)) / 2``.
    """
    information, slope = moments[..., :-1, :-1], moments[..., :-1, -1]
    solved = np.linalg.solve(information, slope[..., None])[..., 0]
    rest = moments[..., -1, -1] - np.einsum("...k,...k->...", slope, solved)
    return -0.5 * (np.linalg.slogdet(information)[1] + rest)


def robust_noise(problem: Problem, best: Evaluation) -> Array:
    """Standard deviation of each point, larger where a robust loss takes it for wrong; (k,).

    A point is judged by its distance from the running median of the residuals around it, so that
    a drift is not taken for outliers, and weighs as in iteratively reweighted least squares (P. W.
    Holland and R. E. Welsch, Commun. Stat. A 6 (1977) 813, doi:10.1080/03610927708827533).
    """
    observations, loss = problem.observations, problem.loss
    if not loss.robust:
        return observations.std
    weights = np.ones(observations.size)
    for part in observations.points.slices():
        mine = best.residuals[part]
        middle = scipy.ndimage.median_filter(mine, size=min(_MEDIAN, mine.size), mode="nearest")
        apart = np.where(mine == middle, 1e-9, mine - middle)
        weights[part] = loss.influence(apart) / apart
    return observations.std / np.sqrt(weights)


def places_of(observations: Observations, owner: int, std: Array) -> Places:
    """Where the points of the variable of that index lie, with these standard deviations."""
    at = np.concatenate([points.at for points in observations.points])
    mine = np.flatnonzero(observations.owner == owner)
    number = observations.series[mine]
    parts = tuple(mine[number == s] for s in np.unique(number))
    unit = float(np.median(std[mine]))
    first, span = float(at[mine].min()), float(np.ptp(at[mine])) or 1.0
    series = tuple(Series.of((at[part] - first) / span, std[part] / unit) for part in parts)
    return Places(series, parts, first, span, unit)


def scaled_rows(problem: Problem, best: Evaluation, std: Array) -> tuple[Array, Array, Array]:
    """Scale of the parameters, ``[J | r]`` of all points in it, and the moments of the prior."""
    rows = np.column_stack([best.jacobian, best.residuals])
    rows = rows * (problem.observations.std / std)[:, None]
    known = np.zeros((0, problem.size + 1))
    if problem.prior is not None:
        known = np.column_stack([problem.prior.root, problem.prior.residuals(best.scaled)])
    scale = np.linalg.norm(np.vstack([rows, known])[:, :-1], axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    rows, known = rows / np.append(scale, 1.0), known / np.append(scale, 1.0)
    return scale, rows, known.T @ known + np.diag(np.append(np.full(problem.size, _RIDGE), 0.0))


def grid_of(
    places: Places,
    rows: Array,
    drifts: tuple[Drift, ...] = DRIFTS,
    wander: Wander = NO_WANDER,
) -> Grid:
    """The grid of a variable, from the rows of all points of the fit."""
    means = places.averages(rows)
    log_det = np.zeros((len(drifts), RATIOS.size))
    moments = np.zeros((*log_det.shape, rows.shape[1], rows.shape[1]))
    for i, drift in enumerate(drifts):
        for series, mean in zip(places.series, means, strict=True):
            modes = series.modes(drift, wander)
            log_det[i] += modes.log_det(RATIOS)
            moments[i] += modes.moments(mean, RATIOS)
    largest = max(2.0, 2 * max(float(np.mean(mean[:, -1] ** 2)) for mean in means))
    steps = int(np.ceil(np.log(largest) / np.log(_NOISE_STEP)))
    factors = np.power(_NOISE_STEP, np.arange(steps + 1.0))
    count = sum(series.size for series in places.series)
    return Grid(drifts, wander, RATIOS, factors, count, log_det, moments, places)
