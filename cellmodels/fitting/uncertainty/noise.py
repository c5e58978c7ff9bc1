"""Noise as a fit has found it, to be drawn anew.

White noise, larger than stated where the residuals are, and the discrepancies of the fit
(:mod:`cellmodels.fitting.discrepancy`): drifts and wandering noise of the sizes and lengths that
the residuals allow, each as often as it is probable.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from cellmodels.fitting.discrepancy import Discrepancy, estimate_discrepancies
from cellmodels.fitting.drift import Drift, Series, Wander
from cellmodels.fitting.likelihood_grid import Places
from cellmodels.fitting.problem import Evaluation, Problem
from cellmodels.fitting.statistics import variable_fits

__all__ = ["NOISES", "VariableNoise", "drawn_noise", "noise_of"]

Array = NDArray[np.float64]

NOISES = ("as residuals", "white")
_MEDIAN_OF_NORMAL = 0.6745  # of the absolute value


@dataclass(frozen=True, eq=False)
class VariableNoise:
    """Noise of one variable.

    Parameters
    ----------
    key : str
        ``group/name`` of the variable.
    spread : float
        Standard deviation of the white part over the stated one.
    drift, wander : float
        Standard deviations of the drift at the end of the data, and of what wanders, in units of
        the variable; zero without.
    places : Places
        Of its points.
    drifts : tuple of Drift
        The possible ones.
    process : Wander
    ratios, factors : ndarray, shapes (h,) and (f,)
        Sizes of a drift over the noise, and factors of the noise's variance.
    weights : ndarray, shape (drifts, h, f)
        Probability of each, where there is a drift.
    """

    key: str
    spread: float
    drift: float
    wander: float
    places: Places = field(repr=False)
    drifts: tuple[Drift, ...] = field(repr=False)
    process: Wander = field(repr=False)
    ratios: Array = field(repr=False)
    factors: Array = field(repr=False)
    weights: Array = field(repr=False)

    @classmethod
    def of(cls, found: Discrepancy) -> VariableNoise:
        """From what a fit is seen to miss."""
        grid = found.grid
        spread = float(np.sqrt(found.noise_factor))
        parts = grid.drifts, grid.wander, grid.ratios, grid.factors, found.weights
        return cls(found.key, spread, found.size, found.wander, grid.places, *parts)

    def draw(self, std: Array, random: np.random.Generator) -> Array:
        """Normalised noise at the variable's points, of standard deviations std, (n,)."""
        drift, ratio, spread = self._chosen(random)
        found = spread * random.standard_normal(std.size)
        if not ratio and not self.wander:
            return found
        start = 0
        for series in self.places.series:
            mine = slice(start, start + series.index.size)
            moved = self._moved(series, drift, ratio, random)[series.index]
            found[mine] += spread * self.places.unit * moved / std[mine]
            start = mine.stop
        return found

    def _chosen(self, random: np.random.Generator) -> tuple[Drift, float, float]:
        """A drift, its size over the noise, and the noise over the stated one."""
        if not self.drift:
            return self.drifts[0], 0.0, self.spread
        number = random.choice(self.weights.size, p=self.weights.ravel())
        i, j, k = np.unravel_index(number, self.weights.shape)
        return self.drifts[i], float(self.ratios[j]), float(np.sqrt(self.factors[k]))

    def _moved(
        self, series: Series, drift: Drift, ratio: float, random: np.random.Generator
    ) -> Array:
        """Drift and wander of a series' bins over the noise of a usual point, shape (b,)."""
        at = series.place
        covariance = ratio**2 * drift.covariance(at, at)
        if self.wander:
            covariance = covariance + self.process.covariance(at, at)
        values, vectors = np.linalg.eigh(covariance)
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        return np.asarray(root @ random.standard_normal(at.size))


def noise_of(problem: Problem, best: Evaluation, kind: str) -> tuple[VariableNoise, ...]:
    """The noise of each variable with points.

    Parameters
    ----------
    problem : Problem
    best : Evaluation
        Its optimum.
    kind : {"as residuals", "white"}
        White noise is as large as the residuals, and has no drift.
    """
    found = estimate_discrepancies(problem, best)
    if kind == "as residuals":
        return tuple(map(VariableNoise.of, found))
    sizes = _sizes(problem, best)
    white = [each.noise_alone for each in found]
    return tuple(
        VariableNoise.of(replace(each, noise_factor=sizes[each.key] ** 2)) for each in white
    )


def drawn_noise(noise: Sequence[VariableNoise], std: Array, random: np.random.Generator) -> Array:
    """Normalised noise at every point, of standard deviations std, shape (k,)."""
    drawn = np.empty(std.size)
    for each in noise:
        points = each.places.points
        drawn[points] = each.draw(std[points], random)
    return drawn


def _sizes(problem: Problem, best: Evaluation) -> dict[str, float]:
    """Standard deviation of each variable's residuals over the stated one, at least one."""
    observations = problem.observations
    freedom = max(observations.size - problem.size, 1)
    sizes = {}
    for index, fit in enumerate(variable_fits(observations, best.residuals, problem.loss)):
        mine = best.residuals[observations.owner == index]
        size = fit.rms
        if problem.loss.robust and mine.size:  # a few wrong points are not noise
            size = float(np.median(np.abs(mine))) / _MEDIAN_OF_NORMAL
        larger = float(size * np.sqrt(observations.size / freedom))
        sizes[observations.variables[index].key] = max(1.0, larger) if mine.size else 1.0
    return sizes
