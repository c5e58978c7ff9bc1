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
import scipy.special
import scipy.stats
from numpy.typing import NDArray

from cellmodels.fitting.drift import DRIFTS, NO_WANDER, WANDERS
from cellmodels.fitting.likelihood_grid import (
    Choice,
    Grid,
    grid_of,
    places_of,
    robust_noise,
    scaled_rows,
)
from cellmodels.fitting.problem import Evaluation, Problem
from cellmodels.solver.threads import single_threaded

__all__ = ["Discrepancy", "Search", "estimate_discrepancies"]

Array = NDArray[np.float64]

SIGNIFICANT = 0.01
"""A discrepancy is assumed where its likelihood ratio is as unlikely as this without one."""

_FEWEST_FOR_WANDER = 30  # points of a series
_SWEEPS = 6
_TINY = 1e-150
_UNITS = {"cycle": "cycles", "throughput": "A.h", "elapsed_time": "s"}


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
        Over which what is missing keeps its value, in units of the coordinate.
    order : int
        What is missing: a rate (1) or an acceleration (2); zero without a drift.
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
        without a discrepancy (at most: chi-square with two degrees of freedom for each of drift
        and wander).
    stated_variance, slope : float
        Variance of the loss's influence under the stated noise, and its mean derivative: one, but
        for a robust loss.
    grid : Grid
        What was tried.
    weights : ndarray, shape (drifts, h, f)
        How probable each is.
    """

    key: str
    unit: str
    along: str
    present: bool
    size: float
    length: float
    order: int
    offset: bool
    wander: float
    wander_length: float
    noise_factor: float
    statistic: float
    p_value: float
    stated_variance: float
    slope: float
    grid: Grid
    weights: Array

    @property
    def sentence(self) -> str:
        """What is assumed, in words."""
        if not self.present:
            return "white noise"
        parts = []
        if self.size > 0:
            kept = "acceleration" if self.order == 2 else "rate"
            start = ", with an offset at the first point" if self.offset else ""
            parts.append(
                f"a drift of {self.size:.2g} {self.unit} by the end of the data, whose {kept} "
                f"keeps its value over some {self.length:.2g} {self.along}{start}"
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
        return self.grid.places.points

    @property
    def noise_alone(self) -> Discrepancy:
        """The same variable with white noise of the stated size."""
        return replace(self, present=False, size=0.0, order=0, wander=0.0, noise_factor=1.0)

    def covariance(self, rows: Array) -> Array:
        """Covariance of linear functions of the influence of residuals; rows (k, p) -> (p, p).

        Parameters
        ----------
        rows : ndarray, shape (k, p)
            What each point of the fit counts for in each of the p functions.

        Returns
        -------
        ndarray, shape (p, p)
            ``rows' V rows``. With a drift V is not known but a mixture: each standard deviation is
            half the central 68 % of it.
        """
        grid, mine = self.grid, rows[self.points]
        noise = self.stated_variance * mine.T @ mine
        if self.present:
            noise = noise + self.slope**2 * grid.places.moments(rows, grid.wander)
        if self.size == 0:
            return self.noise_factor * noise
        drifts = np.array([grid.places.moments(rows, drift) for drift in grid.drifts])
        squares = self.slope**2 * grid.ratios[:, None] ** 2 * grid.factors
        mean = float((self.weights * grid.factors).sum()) * noise
        mean += np.tensordot((self.weights * squares).sum(axis=(1, 2)), drifts, 1)
        variances = grid.factors[:, None] * np.diag(noise)
        variances = variances + squares[..., None] * np.einsum("dii->di", drifts)[:, None, None]
        wanted = _central(self.weights.ravel(), np.sqrt(variances).reshape(-1, len(noise)))
        scale = wanted / np.maximum(np.sqrt(np.diag(mean)), _TINY)
        return mean * np.outer(scale, scale)


def _central(weights: Array, deviations: Array) -> Array:
    """Half the central 68 % of a mixture of normal distributions about zero; (g, p) -> (p,)."""
    probability, deviations = scipy.special.ndtr(1.0), np.maximum(deviations, _TINY)
    low, high = np.zeros(deviations.shape[1]), deviations.max(axis=0)
    for _ in range(60):
        middle = (low + high) / 2
        below = weights @ scipy.special.ndtr(middle / deviations) < probability
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return (low + high) / 2


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

    With a robust loss, points that it takes for wrong have a larger noise. Derivatives are taken
    for parameters in units of :attr:`scale`.

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
        std = robust_noise(problem, best)
        self.scale, self.rows, self.prior = scaled_rows(problem, best, std)
        if precision is not None:
            self.prior[:-1, :-1] += np.diag(precision / self.scale**2)
        self._places = [places_of(observations, i, std) for i in self.owners]
        self._plain = [grid_of(places, self.rows) for places in self._places]
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
        grid, choice, places = self.grids[i], self.choices[i], self._places[i]
        ratio = float(grid.ratios[choice.ratio])
        wanders, drifts = grid.wander != NO_WANDER, ratio > 0
        present = wanders or drifts
        noise = float(grid.factors[choice.noise]) if present else self._white_factor(i)
        size = places.unit * np.sqrt(noise)
        statistic, p_value = self.test(i)
        drift = grid.drifts[choice.drift]
        variable = self.problem.observations.variables[self.owners[i]]
        return Discrepancy(
            key=variable.key,
            unit=variable.unit,
            along=_UNITS.get(variable.coordinate, variable.coordinate),
            present=present,
            size=float(ratio * size),
            length=drift.length * places.span if drifts else float("nan"),
            order=drift.order if drifts else 0,
            offset=drifts and drift.offset > 0,
            wander=float(grid.wander.ratio * size),
            wander_length=grid.wander.length * places.span if wanders else float("nan"),
            noise_factor=noise,
            statistic=statistic,
            p_value=p_value,
            stated_variance=self.problem.loss.stated_variance,
            slope=self.problem.loss.mean_slope(self.best.residuals[places.points]),
            grid=grid,
            weights=grid.weights(self.rest(i)),
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
        if max(s.size for s in self._places[i].series) < _FEWEST_FOR_WANDER:
            return False
        rest, choice = self.rest(i), self.choices[i]
        drift = self.grids[i].drifts[choice.drift]
        tried = {
            wander: grid_of(self._places[i], self.rows, (drift,), wander).likelihoods(rest)
            for wander in WANDERS
        }
        best = max(tried, key=lambda wander: tried[wander].max())
        before = self.grids[i].likelihoods(rest).max()
        both = scipy.stats.chi2.sf(2 * (tried[best].max() - before), 2) <= SIGNIFICANT
        if not both:
            best = max(tried, key=lambda wander: tried[wander][0, 0].max())
        if not both and (choice.ratio == 0 or tried[best][0, 0].max() <= before):
            return False
        self.grids[i] = grid_of(self._places[i], self.rows, DRIFTS, best)
        return True

    def _white_factor(self, i: int) -> float:
        """Variance of a variable's residuals over the stated one, never less than one.

        Where neighbours are alike over less than a bin, it is the variance that the average of a
        bin shows.
        """
        loss, places = self.problem.loss, self._places[i]
        size, count = self.best.jacobian.shape
        spare = size / max(size - count, 1) / loss.stated_variance
        influence = loss.influence(self.best.residuals)
        alone = max(1.0, float(np.mean(influence[places.points] ** 2)) * spare)
        averages = np.concatenate(places.averages(influence[:, None]))
        freedom, binned = averages.size, float(np.mean(averages**2)) * spare
        if scipy.stats.chi2.sf(freedom * binned / alone, freedom) <= SIGNIFICANT:
            return binned
        return alone
