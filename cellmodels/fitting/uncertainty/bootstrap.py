"""Parametric bootstrap: new noise around the best model, and the parameters fitted again.

The spread of the refits is that of the estimate, its skewness and its bounds included, were the
best model the truth and the noise as assumed (B. Efron and R. J. Tibshirani, An Introduction to
the Bootstrap (1993), chapter 6, doi:10.1007/978-1-4899-4541-9). The noise is as large as stated,
or as large as the residuals where these are larger; where the fit has found that the model misses
something, a drift or noise that wanders is drawn with it, or all of it is white
(:mod:`cellmodels.fitting.uncertainty.noise`). A prior is drawn anew too, as the data that it stands
for.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from cellmodels.errors import InputError, did_you_mean
from cellmodels.fitting.least_squares import minimise
from cellmodels.fitting.problem import Evaluation, Problem
from cellmodels.fitting.uncertainty.noise import NOISES, VariableNoise, drawn_noise, noise_of
from cellmodels.fitting.uncertainty.workers import Given, Refit, Source, Workshop, run_all

__all__ = ["NOISES", "parametric_bootstrap"]

Array = NDArray[np.float64]

_FEWEST = 2


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
        Whether the discrepancies that the fit has found are drawn too.
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
        logarithms where positive) by ``parameter``; ``spread`` (standard deviation of the white
        noise over the stated one), ``drift`` and ``wander`` (standard deviations of what the model
        is seen to miss, in the variable's unit) by ``variable``. Attributes
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
    found = noise_of(problem, best, noise)
    task = Redraw(tuple(map(float, best.scaled)), int(seed), found, max_evaluations)
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
    noise : tuple of VariableNoise
    max_evaluations : int
    """

    scaled: tuple[float, ...]
    seed: int
    noise: tuple[VariableNoise, ...]
    max_evaluations: int

    def __call__(self, shop: Workshop, number: int) -> Refit:
        """The refit of a number."""
        best = shop.evaluation(self.scaled)
        if best.prediction.values is None:
            return Refit((), float("inf"), "failed", 0, best.outcome.message)
        # each number has a stream of its own, whoever draws from it
        rng = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(number,)))
        observations = shop.problem.observations
        drawn = drawn_noise(self.noise, observations.std, rng)
        problem = shop.problem.with_data(best.prediction.values + observations.std * drawn)
        if problem.prior is not None:
            known = problem.prior
            drawn = np.linalg.pinv(known.root) @ rng.standard_normal(len(known.root))
            problem = replace(problem, prior=replace(known, mean=best.scaled + drawn))
        start = problem.evaluation(best.scaled, best.prediction)
        found = minimise(problem, start=start, progress=False, max_evaluations=self.max_evaluations)
        return Refit.of(found)


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
            "spread": ("variable", [each.spread for each in task.noise]),
            "drift": ("variable", [each.drift for each in task.noise]),
            "wander": ("variable", [each.wander for each in task.noise]),
        },
        coords={
            "parameter": list(scaling.names),
            "variable": [each.key for each in task.noise],
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
