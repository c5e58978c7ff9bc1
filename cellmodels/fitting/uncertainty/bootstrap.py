"""Parametric bootstrap: new noise around the best model, and the parameters fitted again.

The spread of the refits is that of the estimate, its skewness and its bounds included, were the
best model the truth and the noise as assumed (B. Efron and R. J. Tibshirani, An Introduction to
the Bootstrap (1993), chapter 6, doi:10.1007/978-1-4899-4541-9). The noise is as large as stated,
or as large as the residuals where these are larger; it is white, or, where residuals are alike
from one point to the next, a first-order autoregression with the same correlation. A prior is
drawn anew too, as the data that it stands for.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace

import numpy as np
import scipy.signal
import xarray as xr
from numpy.typing import NDArray

from cellmodels.errors import InputError, did_you_mean
from cellmodels.fitting.least_squares import minimise
from cellmodels.fitting.problem import Evaluation, Problem
from cellmodels.fitting.residuals import Observations
from cellmodels.fitting.statistics import VariableFit, variable_fits
from cellmodels.fitting.uncertainty.workers import Given, Refit, Source, Workshop, run_all

__all__ = ["NOISES", "parametric_bootstrap"]

Array = NDArray[np.float64]

NOISES = ("as residuals", "white")
_MOST_ALIKE = 0.99
_FEWEST = 2
_MEDIAN_OF_NORMAL = 0.6745  # of the absolute value


def parametric_bootstrap(
    problem: Problem,
    best: Evaluation,
    *,
    samples: int = 100,
    seed: int = 0,
    noise: str = "as residuals",
    level: float = 0.95,
    source: Source | None = None,
    executor: Executor | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    max_evaluations: int = 30,
    progress: bool = False,
) -> xr.Dataset:
    """Fit to new noise around the best model, many times.

    Parameters
    ----------
    problem : Problem
    best : Evaluation
        At the optimum; it succeeded.
    samples : int
        Number of refits. Standard errors need some fifty, ends of intervals some hundreds.
    seed : int
        The same seed gives the same numbers, whoever computes them.
    noise : {"as residuals", "white"}
        Whether noise is alike from point to point where residuals are.
    level : float
        Of the intervals, which are percentiles.
    source : Source, optional
        What workers make the problem of; by default they are sent the problem itself.
    executor : concurrent.futures.Executor, optional
        Whose workers fit; this process by default.
    checkpoint : path, optional
        File of the refits that are done; continued where it exists.
    max_evaluations : int
        Largest number of simulations of a refit.
    progress : bool
        Show a progress bar.

    Returns
    -------
    xarray.Dataset
        ``values`` by ``draw`` and ``parameter``, in the parameters' units and NaN where nothing
        could be simulated, ``cost``, ``status`` and ``evaluations`` by ``draw``;
        ``interval_low``, ``interval_high``, ``optimum`` and ``scaled_standard_error`` (of
        logarithms where positive) by ``parameter``; ``spread`` (standard deviation of the noise
        over the stated one) and ``alike`` (its lag-one correlation) by ``variable``. Attributes
        count refits that ``failed`` and those that did not converge (``unconverged``).

    Raises
    ------
    InputError
        On a wrong number or name, or a checkpoint of something else.
    ValueError
        When the evaluation failed.
    """
    _check(samples, noise, level)
    if not best.ok:
        raise ValueError("the simulation failed at the optimum around which noise is drawn")
    spread, alike = _noise(problem, best, noise)
    task = Redraw(tuple(map(float, best.scaled)), int(seed), spread, alike, max_evaluations)
    refits = run_all(
        task,
        samples,
        source or Given(problem),
        executor=executor,
        checkpoint=checkpoint,
        label="bootstrap",
        progress=progress,
    )
    return _dataset(problem, best, task, refits, level, noise)


@dataclass(frozen=True)
class Redraw:
    """A refit to new noise.

    Parameters
    ----------
    scaled : tuple of float
        The optimum.
    seed : int
    spread, alike : tuple of float
        Of each variable: standard deviation over the stated one, and lag-one correlation.
    max_evaluations : int
    """

    scaled: tuple[float, ...]
    seed: int
    spread: tuple[float, ...]
    alike: tuple[float, ...]
    max_evaluations: int

    def __call__(self, shop: Workshop, number: int) -> Refit:
        """The refit of a number."""
        best = shop.evaluation(self.scaled)
        if best.prediction.values is None:
            return Refit((), float("inf"), "failed", 0, best.outcome.message)
        # each number has a stream of its own, whoever draws from it
        rng = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(number,)))
        observations = shop.problem.observations
        drawn = drawn_noise(observations, self.spread, self.alike, rng)
        problem = shop.problem.with_data(best.prediction.values + observations.std * drawn)
        if problem.prior is not None:
            known = problem.prior
            drawn = np.linalg.pinv(known.root) @ rng.standard_normal(len(known.root))
            problem = replace(problem, prior=replace(known, mean=best.scaled + drawn))
        start = problem.evaluation(best.scaled, best.prediction)
        found = minimise(problem, start=start, progress=False, max_evaluations=self.max_evaluations)
        return Refit.of(found)


def drawn_noise(
    observations: Observations,
    spread: Sequence[float],
    alike: Sequence[float],
    rng: np.random.Generator,
) -> Array:
    """Normalised noise at every point, shape (k,): a stationary autoregression in each series."""
    drawn = rng.standard_normal(observations.size)
    series = observations.series
    for number in np.unique(series):
        mine = series == number
        variable = int(observations.owner[mine][0])
        r = alike[variable]
        white = drawn[mine]
        white[1:] *= np.sqrt(1.0 - r**2)
        drawn[mine] = spread[variable] * scipy.signal.lfilter([1.0], [1.0, -r], white)
    return drawn


def _noise(
    problem: Problem, best: Evaluation, noise: str
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Spread and correlation of each variable's noise."""
    observations = problem.observations
    fits = variable_fits(observations, best.residuals, problem.loss)
    freedom = max(observations.size - problem.size, 1)
    spread = []
    for index, fit in enumerate(fits):
        mine = best.residuals[observations.owner == index]
        size = fit.rms
        if problem.loss.robust and mine.size:  # a few wrong points are not noise
            size = float(np.median(np.abs(mine))) / _MEDIAN_OF_NORMAL
        larger = size * np.sqrt(observations.size / freedom)
        spread.append(max(1.0, float(larger)) if mine.size else 1.0)
    alike = [0.0 if noise == "white" else _alike(fit) for fit in fits]
    return tuple(spread), tuple(alike)


def _alike(fit: VariableFit) -> float:
    return min(float(fit.autocorrelation), _MOST_ALIKE) if fit.autocorrelated else 0.0


def _dataset(
    problem: Problem,
    best: Evaluation,
    task: Redraw,
    refits: Sequence[Refit],
    level: float,
    noise: str,
) -> xr.Dataset:
    scaling = problem.scaling
    nothing = np.full(problem.size, np.nan)
    scaled = np.array([np.array(r.scaled) if r.scaled else nothing for r in refits])
    usable = scaled[np.all(np.isfinite(scaled), axis=1)]
    ends = np.full((2, problem.size), np.nan)
    errors = nothing
    if len(usable) >= _FEWEST:
        ends = np.quantile(usable, [0.5 - level / 2, 0.5 + level / 2], axis=0)
        errors = usable.std(axis=0, ddof=1)
    return xr.Dataset(
        {
            "values": (("draw", "parameter"), scaling.to_values(scaled)),
            "cost": ("draw", [r.cost for r in refits]),
            "status": ("draw", [r.status for r in refits]),
            "evaluations": ("draw", [r.evaluations for r in refits]),
            "optimum": ("parameter", best.values),
            "interval_low": ("parameter", scaling.to_values(ends[0])),
            "interval_high": ("parameter", scaling.to_values(ends[1])),
            "scaled_standard_error": ("parameter", errors),
            "logarithmic": ("parameter", scaling.logarithmic),
            "unit": ("parameter", [p.unit for p in scaling.parameters]),
            "spread": ("variable", list(task.spread)),
            "alike": ("variable", list(task.alike)),
        },
        coords={
            "parameter": list(scaling.names),
            "variable": [v.key for v in problem.observations.variables],
        },
        attrs={
            "level": level,
            "seed": task.seed,
            "noise": noise,
            "samples": len(refits),
            "failed": sum(r.status == "failed" for r in refits),
            "unconverged": sum(r.status not in ("failed", "converged") for r in refits),
        },
    )


def _check(samples: int, noise: str, level: float) -> None:
    if samples < _FEWEST:
        raise InputError(f"samples is {samples}; a bootstrap needs at least {_FEWEST}.")
    if noise not in NOISES:
        raise InputError(f"Unknown noise {noise!r}." + did_you_mean(str(noise), NOISES))
    if not 0.0 < level < 1.0:
        raise InputError(f"The level of intervals lies between 0 and 1, not {level!r}.")
