"""What a model misses: an autocorrelated difference between it and the cell.

A measured variable is ``y_i = f_i(theta) + delta(x_i) + e_i`` (M. C. Kennedy and A. O'Hagan, J. R.
Stat. Soc. B 63 (2001) 425, doi:10.1111/1467-9868.00294): the model f, noise e, and a *discrepancy*
delta, a Gaussian process of zero mean along the coordinate x that places the points
(`cellmodels.fitting.drift`). Its size and length, and a factor on the noise, are those of
restricted maximum likelihood (H. D. Patterson and R. Thompson, Biometrika 58 (1971) 545,
doi:10.1093/biomet/58.3.545): the likelihood of the residuals in the directions that the parameters
cannot describe, with the model linearised at the optimum. So the part of a misfit that the
parameters have absorbed is allowed for, which the size of the residuals does not show.

Assumed: the variables of a fit have independent discrepancies; the columns of a voltage curve have
independent ones of the same size and length. A discrepancy enters a fit's uncertainty only where
its likelihood ratio is significant. Noise that wanders, alike over a few points, is told from a
drift that lasts only where it is significant too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import scipy.stats
from numpy.typing import NDArray

from cellmodels.fitting.drift import DRIFTS, NO_WANDER, WANDERS, Drift, Series, Wander
from cellmodels.fitting.problem import Evaluation, Problem
from cellmodels.fitting.residuals import Observations
from cellmodels.solver.threads import single_threaded

__all__ = ["Choice", "Discrepancy", "Grid", "Search", "estimate_discrepancies"]

Array = NDArray[np.float64]

SIGNIFICANT = 0.01
"""A discrepancy is assumed where its likelihood ratio is as unlikely as this without one."""

_RATIOS = np.concatenate([[0.0], np.geomspace(0.05, 500, 21)])
"""Standard deviations of a discrepancy at the end of the data that are tried, in units of the noise
(the median over the variable's points)."""
_NOISE_STEP = 1.3
_FEWEST_FOR_WANDER = 30  # points of a series
_RIDGE = 1e-10  # of the information of each parameter: directions without any count as known
_SWEEPS = 6
_UNITS = {"cycle": "cycles", "throughput": "A.h", "elapsed_time": "s"}


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
    series : tuple of Series
    parts : tuple of ndarray of int
        Points of each series, as indices into the fit's.
    first, span : float
        First place and length of the data, in units of the coordinate.
    unit : float
        Median standard deviation of the points, in units of the variable.
    """

    drifts: tuple[Drift, ...]
    wander: Wander
    ratios: Array
    factors: Array
    count: int
    log_det: Array
    moments: Array
    series: tuple[Series, ...]
    parts: tuple[NDArray[np.int64], ...]
    first: float
    span: float
    unit: float

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


@dataclass(frozen=True, eq=False)
class Discrepancy:
    """The covariance that is assumed for a variable's residuals.

    Parameters
    ----------
    key : str
        ``group/name`` of the variable.
    unit, along : str
        Units of the variable and of the coordinate.
    present : bool
        Whether there is anything but white noise.
    size : float
        Standard deviation of the drift at the end of the data, in the variable's unit; zero
        without one.
    length : float
        Over which the missing rate of change keeps its value, in units of the coordinate.
    offset : bool
        Whether the model may be off at the first point already.
    wander : float
        Standard deviation of noise that is alike over several points, in the variable's unit.
    wander_length : float
        Over which it is alike, in units of the coordinate.
    noise_factor : float
        Of the variance of the white noise; at least one.
    statistic, p_value : float
        Twice the gain in restricted log-likelihood over white noise, and how likely that much is
        without a discrepancy (at most: chi-square of two degrees of freedom).
    """

    key: str
    unit: str
    along: str
    present: bool
    size: float
    length: float
    offset: bool
    wander: float
    wander_length: float
    noise_factor: float
    statistic: float
    p_value: float
    grid: Grid
    choice: Choice

    @property
    def sentence(self) -> str:
        """What is assumed, in words."""
        if not self.present:
            return "white noise"
        parts = []
        if self.size > 0:
            start = ", from the first point on" if self.offset else ""
            parts.append(
                f"a drift of {self.size:.2g} {self.unit} by the end of the data, whose rate keeps "
                f"its value over some {self.length:.2g} {self.along}{start}"
            )
        if self.wander > 0:
            parts.append(
                f"noise of {self.wander:.2g} {self.unit} that is alike over some "
                f"{self.wander_length:.2g} {self.along}"
            )
        return " and ".join(parts)

    @property
    def points(self) -> NDArray[np.int64]:
        """The variable's points, as indices into the fit's."""
        return np.concatenate(self.grid.parts)

    @property
    def noise_alone(self) -> Discrepancy:
        """The same variable with white noise of the stated size."""
        return replace(self, present=False, size=0.0, wander=0.0, noise_factor=1.0)

    def quadratic(self, rows: Array) -> Array:
        """``L' V L`` for a row of L for each point of the fit; (k, p) -> (p, p).

        V is the covariance of this variable's residuals, over that of the stated noise.
        """
        drift, ratio = self.grid.drifts[self.choice.drift], self.grid.ratios[self.choice.ratio]
        total = np.zeros((rows.shape[1], rows.shape[1]))
        for series, part in zip(self.grid.series, self.grid.parts, strict=True):
            mine = rows[part]
            total += mine.T @ mine
            if self.present:
                total += series.quadratic(mine, drift, self.grid.wander, float(ratio))
        return self.noise_factor * total


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


@single_threaded
def estimate_discrepancies(problem: Problem, best: Evaluation) -> tuple[Discrepancy, ...]:
    """What each variable of a fit is seen to miss.

    Parameters
    ----------
    problem : Problem
    best : Evaluation
        Its optimum.

    Returns
    -------
    tuple of Discrepancy
        One for each variable with points, in their order; without one, with the noise alone, where
        the likelihood ratio is not significant.
    """
    search = Search(problem, best)
    search.climb()
    search.keep_significant()
    return tuple(search.result(i) for i in range(len(search.owners)))


class Search:
    """The most likely covariances of a fit's variables, found one variable after the other.

    With a robust loss, residuals are those of its influence. Derivatives are taken for parameters
    in units of :attr:`scale`.

    Parameters
    ----------
    problem : Problem
    best : Evaluation
        Where it is linearised.
    precision : ndarray, shape (p,), optional
        Of what is known of the scaled parameters besides, about `best`.

    Attributes
    ----------
    owners : list of int
        Variables with points, as indices into the observations' variables.
    scale : ndarray, shape (p,)
        Root of each parameter's own information.
    prior : ndarray, shape (p + 1, p + 1)
        Moments of what is known besides the data.
    rows : ndarray, shape (k, p + 1)
        ``[J | r]`` of all points.
    grids : list of Grid
        Of the variables.
    choices : list of Choice
        The most likely so far.
    """

    def __init__(self, problem: Problem, best: Evaluation, precision: Array | None = None) -> None:
        self.problem, self.best = problem, best
        observations = problem.observations
        self.owners = [i for i, v in enumerate(observations.variables) if v.used]
        self.stated_variance = problem.loss.stated_variance
        self.scale, self.rows, self.prior = _scaled_rows(problem, best)
        if precision is not None:
            self.prior[:-1, :-1] += np.diag(precision / self.scale**2)
        self._points = [_points(observations, i) for i in self.owners]
        self._plain = [_grid(points, self.rows) for points in self._points]
        self.grids = list(self._plain)
        self.choices = [Choice(0, 0, 0)] * len(self.grids)
        self._driftless: set[int] = set()

    def climb(self) -> None:
        """Improve each variable's covariance in turn, until none changes."""
        self._settle()
        wandering = [i for i in range(len(self.grids)) if self._try_wander(i)]
        if wandering:
            self._settle()

    def keep_significant(self) -> None:
        """Take the least significant drift or wander away, until all that are left are."""
        while True:
            weakest = max(self._open(), key=self._own_p_value, default=None)
            if weakest is None or self._own_p_value(weakest) <= SIGNIFICANT:
                return
            if weakest in self._driftless:
                self.grids[weakest] = self._plain[weakest]
            self._driftless.add(weakest)
            self._settle()

    def rest(self, i: int) -> Array:
        """Moments of the prior and of all variables but one."""
        others = [k for k in range(len(self.grids)) if k != i]
        return self.prior + sum(self.grids[k].at(self.choices[k]) for k in others)

    def test(self, i: int) -> tuple[float, float]:
        """Twice the gain of a variable's covariance over white noise, and its p-value."""
        rest, grid = self.rest(i), self.grids[i]
        choice = self.choices[i]
        here = grid.likelihoods(rest)[choice.drift, choice.ratio, choice.noise]
        gain = 2 * float(here - self._plain[i].likelihoods(rest)[0, 0].max())
        freedom = 2 * (int(choice.ratio > 0) + int(grid.wander != NO_WANDER))
        return gain, float(scipy.stats.chi2.sf(gain, freedom)) if freedom else 1.0

    def result(self, i: int) -> Discrepancy:
        """What is found for a variable."""
        grid, choice, points = self.grids[i], self.choices[i], self._points[i]
        ratio = float(grid.ratios[choice.ratio])
        wanders, drifts = grid.wander != NO_WANDER, ratio > 0
        present = wanders or drifts
        noise = float(grid.factors[choice.noise]) if present else self._white_factor(i)
        size = points.unit * np.sqrt(noise * self.stated_variance)
        statistic, p_value = self.test(i)
        drift = grid.drifts[choice.drift]
        variable = self.problem.observations.variables[self.owners[i]]
        return Discrepancy(
            key=variable.key,
            unit=variable.unit,
            along=_UNITS[variable.coordinate],
            present=present,
            size=float(ratio * size),
            length=drift.length * points.span if drifts else float("nan"),
            offset=drifts and drift.offset > 0,
            wander=float(grid.wander.ratio * size),
            wander_length=grid.wander.length * points.span if wanders else float("nan"),
            noise_factor=noise,
            statistic=statistic,
            p_value=p_value,
            grid=grid,
            choice=choice,
        )

    def _open(self) -> list[int]:
        """Variables with a drift or a wander."""
        return [
            i
            for i, grid in enumerate(self.grids)
            if i not in self._driftless or grid.wander != NO_WANDER
        ]

    def _own_p_value(self, i: int) -> float:
        """How likely a variable's drift is without one or, where that is gone, its wander."""
        rest, grid = self.rest(i), self.grids[i]
        found = grid.likelihoods(rest)
        if i in self._driftless:
            gain = found[0, 0].max() - self._plain[i].likelihoods(rest)[0, 0].max()
        else:
            gain = found.max() - found[0, 0].max()
        return float(scipy.stats.chi2.sf(2 * gain, 2))

    def _settle(self) -> None:
        for _ in range(_SWEEPS):
            before = list(self.choices)
            for i, grid in enumerate(self.grids):
                found = grid.likelihoods(self.rest(i))
                if i in self._driftless:
                    found = found[:1, :1]
                self.choices[i] = Choice(*map(int, np.unravel_index(found.argmax(), found.shape)))
            if self.choices == before:
                return

    def _try_wander(self, i: int) -> bool:
        """Count noise that wanders as noise, if the data ask for it; whether they do.

        They do when it is more likely than a drift, or when a drift beside it is significantly
        more likely than a drift alone.
        """
        if max(s.size for s in self._points[i].series) < _FEWEST_FOR_WANDER:
            return False
        rest, choice = self.rest(i), self.choices[i]
        drift = self.grids[i].drifts[choice.drift]
        tried = {
            wander: _grid(self._points[i], self.rows, (drift,), wander).likelihoods(rest)
            for wander in WANDERS
        }
        best = max(tried, key=lambda wander: tried[wander].max())
        before = self.grids[i].likelihoods(rest).max()
        both = scipy.stats.chi2.sf(2 * (tried[best].max() - before), 2) <= SIGNIFICANT
        if not both:
            best = max(tried, key=lambda wander: tried[wander][0, 0].max())
        if not both and (choice.ratio == 0 or tried[best][0, 0].max() <= before):
            return False
        self.grids[i] = _grid(self._points[i], self.rows, DRIFTS, best)
        return True

    def _white_factor(self, i: int) -> float:
        """Variance of a variable's residuals over the stated one, never less than one.

        Where neighbours are alike over less than a bin, it is the variance that the average of a
        bin shows.
        """
        (size, count), points = self.best.jacobian.shape, self._points[i]
        spare = size / max(size - count, 1)
        alone = max(1.0, float(np.mean(self.rows[points.all, -1] ** 2)) * spare)
        averages = np.concatenate(
            [
                series.average(self.rows[part, -1:])
                for series, part in zip(points.series, points.parts, strict=True)
            ]
        )
        freedom, binned = averages.size, float(np.mean(averages**2)) * spare
        if scipy.stats.chi2.sf(freedom * binned / alone, freedom) <= SIGNIFICANT:
            return binned
        return alone


# ------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Points:
    """Where the points of a variable lie; see the attributes of :class:`Grid`."""

    series: tuple[Series, ...]
    parts: tuple[NDArray[np.int64], ...]
    first: float
    span: float
    unit: float

    @property
    def all(self) -> NDArray[np.int64]:
        """All points, as indices into the fit's."""
        return np.concatenate(self.parts)


def _points(observations: Observations, owner: int) -> _Points:
    at = np.concatenate([points.at for points in observations.points])
    mine = np.flatnonzero(observations.owner == owner)
    number = observations.series[mine]
    parts = tuple(mine[number == s] for s in np.unique(number))
    unit = float(np.median(observations.std[mine]))
    first, span = float(at[mine].min()), float(np.ptp(at[mine])) or 1.0
    series = tuple(
        Series.of((at[part] - first) / span, observations.std[part] / unit) for part in parts
    )
    return _Points(series, parts, first, span, unit)


def _scaled_rows(problem: Problem, best: Evaluation) -> tuple[Array, Array, Array]:
    """Scale of the parameters, ``[J | r]`` of all points in it, and the moments of the prior."""
    loss, owner = problem.loss, problem.observations.owner
    slope = np.ones(owner.size)
    for i in np.unique(owner):
        slope[owner == i] = loss.mean_slope(best.residuals[owner == i])
    rows = np.column_stack([slope[:, None] * best.jacobian, loss.influence(best.residuals)])
    rows /= np.sqrt(loss.stated_variance)
    known = np.zeros((0, problem.size + 1))
    if problem.prior is not None:
        known = np.column_stack([problem.prior.root, problem.prior.residuals(best.scaled)])
    scale = np.linalg.norm(np.vstack([rows, known])[:, :-1], axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    rows, known = rows / np.append(scale, 1.0), known / np.append(scale, 1.0)
    return scale, rows, known.T @ known + np.diag(np.append(np.full(problem.size, _RIDGE), 0.0))


def _grid(
    points: _Points,
    rows: Array,
    drifts: tuple[Drift, ...] = DRIFTS,
    wander: Wander = NO_WANDER,
) -> Grid:
    """The grid of a variable, from the rows of all points of the fit."""
    pairs = list(zip(points.series, points.parts, strict=True))
    means = [series.average(rows[part]) for series, part in pairs]
    log_det = np.zeros((len(drifts), _RATIOS.size))
    moments = np.zeros((*log_det.shape, rows.shape[1], rows.shape[1]))
    for i, drift in enumerate(drifts):
        for series, mean in zip(points.series, means, strict=True):
            modes = series.modes(drift, wander)
            log_det[i] += modes.log_det(_RATIOS)
            moments[i] += modes.moments(mean, _RATIOS)
    largest = max(2.0, 2 * max(float(np.mean(mean[:, -1] ** 2)) for mean in means))
    steps = int(np.ceil(np.log(largest) / np.log(_NOISE_STEP)))
    return Grid(
        drifts=drifts,
        wander=wander,
        ratios=_RATIOS,
        factors=np.power(_NOISE_STEP, np.arange(steps + 1.0)),
        count=sum(series.size for series in points.series),
        log_det=log_det,
        moments=moments,
        series=points.series,
        parts=points.parts,
        first=points.first,
        span=points.span,
        unit=points.unit,
    )
