"""Samples of the posterior by Markov chain Monte Carlo, with emcee.

An ensemble of walkers starts in a ball around the optimum, of the size of the covariance, and
moves by differences of its own members, which suits parameters that are strongly correlated
(C. J. F. ter Braak, Stat. Comput. 16 (2006) 239, doi:10.1007/s11222-006-8769-1; D. Foreman-Mackey,
D. W. Hogg, D. Lang and J. Goodman, Publ. Astron. Soc. Pac. 125 (2013) 306, doi:10.1086/670067).
The prior is flat in the scaled parameters (logarithms where positive) between the bounds, times
that of the problem where it has one.

Every sample costs a simulation, so that this is for cheap models, or for patience. Samples are
only called converged when the chain is fifty times as long as its autocorrelation time and R-hat
over halves of the walkers' chains is below 1.05 (A. Gelman and D. B. Rubin, Stat. Sci. 7 (1992)
457, doi:10.1214/ss/1177011136).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from tqdm.auto import tqdm

from cellmodels.errors import InputError
from cellmodels.fitting.problem import Evaluation, Problem
from cellmodels.fitting.scaling import Scaling
from cellmodels.fitting.uncertainty.chain_file import ChainFile
from cellmodels.fitting.uncertainty.convergence import Diagnosis, diagnosed
from cellmodels.fitting.uncertainty.workers import Given, Source, Workshop, workshop

__all__ = ["sample_posterior"]

Array = NDArray[np.float64]

_BLOCK = 50
_FEWEST_WALKERS = 12
#: The ball is at most this part of the distance between the bounds wide.
_BALL = 0.1
_TRIES = 20
_PARTS = [("likelihood", float), ("prior", float)]


def sample_posterior(
    problem: Problem,
    best: Evaluation,
    covariance: ArrayLike,
    *,
    steps: int = 2000,
    walkers: int | None = None,
    seed: int = 0,
    variance: float = 1.0,
    level: float = 0.95,
    source: Source | None = None,
    executor: Executor | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    progress: bool = False,
) -> xr.Dataset:
    """Sample the posterior around an optimum.

    Parameters
    ----------
    problem : Problem
        Its predictor is asked for values alone.
    best : Evaluation
        At the optimum; it succeeded, and is the warm start of every simulation.
    covariance : array_like, shape (p, p)
        Of the scaled parameters: the size of the ball in which walkers start.
    steps : int
        Largest number of steps of each walker; the chains end earlier when they have converged.
    walkers : int, optional
        Even, and at least ``2 p``; four times the number of parameters by default, at least 12.
    seed : int
        The same seed gives the same samples, whoever computes them.
    variance : float
        Of the residuals over the stated one, by which the log-likelihood is divided.
    level : float
        Of the intervals, which are percentiles.
    source : Source, optional
        What workers make the problem of; by default they are sent the problem itself.
    executor : concurrent.futures.Executor, optional
        Whose workers simulate; this process by default.
    checkpoint : path, optional
        File of the chains so far, rewritten every half a minute; continued where it exists, as if
        it had not been interrupted.
    progress : bool
        Show a progress bar.

    Returns
    -------
    xarray.Dataset
        ``values`` by ``chain`` (walker), ``draw`` and ``parameter``, in the parameters' units,
        burn-in left out; ``lp`` (log-density), ``log_likelihood`` and ``log_prior`` by chain and
        draw, but for constants; by parameter ``interval_low``, ``interval_high``, ``mean``,
        ``autocorrelation_time`` [steps], ``effective_sample_size`` and ``r_hat``. Attributes:
        ``converged``, ``message``, ``steps``, ``discarded``, ``acceptance``.

    Raises
    ------
    InputError
        When emcee is not installed, on a wrong number, or a checkpoint of something else.
    ValueError
        When the evaluation failed.
    """
    emcee = _emcee()
    count = problem.size
    number = max(4 * count, _FEWEST_WALKERS) if walkers is None else walkers
    _check(count, number, steps, variance, level)
    if not best.ok:
        raise ValueError("the simulation failed at the optimum from which samples start")
    density = _Density(
        source or Given(problem),
        tuple(map(float, best.scaled)),
        float(variance),
        None if executor is not None else Workshop(problem),
    )
    file = None
    if checkpoint is not None:
        settings = f"{density.source.mark} {density.best} {variance} {number} {seed}"
        file = ChainFile(checkpoint, hashlib.sha256(settings.encode()).hexdigest())
    backend = emcee.backends.Backend()
    sampler = emcee.EnsembleSampler(
        number,
        count,
        density,
        pool=None if executor is None else _Pool(executor),
        moves=[(emcee.moves.DEMove(), 0.8), (emcee.moves.DESnookerMove(), 0.2)],
        blobs_dtype=_PARTS,
        backend=backend,
    )
    if file is not None and file.read(backend, _PARTS):
        state = backend.get_last_sample()
    else:
        spread = np.asarray(covariance, float)
        state = _start(emcee, density, problem.scaling, spread, number, seed, executor)
    _run(emcee, sampler, state, steps, file, progress)
    return _dataset(problem, sampler, diagnosed(emcee, sampler), level, seed, variance)


def _run(
    emcee: Any, sampler: Any, state: Any, steps: int, file: ChainFile | None, progress: bool
) -> None:
    """Step until the chains have converged, or are as long as they may be."""
    done = sampler.backend.iteration
    with tqdm(total=steps, initial=done, desc="samples", unit="step", disable=not progress) as bar:
        if done and diagnosed(emcee, sampler).converged:
            return
        for _ in sampler.sample(
            state, iterations=max(steps - done, 0), skip_initial_state_check=True
        ):
            bar.update(1)
            if file is not None:
                file.write(sampler.backend)
            if sampler.iteration % _BLOCK == 0 and diagnosed(emcee, sampler).converged:
                break
    if file is not None:
        file.write(sampler.backend, now=True)


@dataclass(frozen=True, eq=False)
class _Density:
    """Log-density of scaled parameters; with its parts, for the record."""

    source: Source
    best: tuple[float, ...]
    variance: float
    shop: Workshop | None = field(default=None, repr=False)

    def __call__(self, scaled: Array) -> tuple[float, float, float]:
        shop = self.shop or workshop(self.source)
        lower, upper = shop.problem.scaling.bounds
        if np.any(scaled < lower) or np.any(scaled > upper):
            return -np.inf, -np.inf, -np.inf
        # all from one start: a density must not depend on what was asked before
        near = shop.evaluation(self.best)
        likelihood, prior = shop.problem.log_density(scaled, near if near.ok else None)
        likelihood /= self.variance
        return likelihood + prior, likelihood, prior


@dataclass(frozen=True)
class _Pool:
    """An executor as what emcee asks for."""

    executor: Executor

    def map(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        """In order."""
        return self.executor.map(function, list(items))


def _ball(
    scaling: Scaling, best: Array, covariance: Array, number: int, rng: np.random.Generator
) -> Array:
    """Starts of the walkers inside the bounds, shape (number, p)."""
    lower, upper = scaling.bounds
    width = np.where(np.isfinite(upper - lower), upper - lower, 4.0)
    values, vectors = np.linalg.eigh(0.5 * (covariance + covariance.T))
    longest = _BALL * float(width.min())
    root = vectors * np.sqrt(np.clip(values, (1e-6 * longest) ** 2, longest**2))
    starts = []
    for _ in range(number):
        for _ in range(_TRIES):
            start = best + root @ rng.standard_normal(best.size)
            if np.all((start >= lower) & (start <= upper)):
                break
        starts.append(scaling.inside(start))
    return np.array(starts)


def _start(
    emcee: Any,
    density: _Density,
    scaling: Scaling,
    covariance: Array,
    walkers: int,
    seed: int,
    executor: Executor | None,
) -> Any:
    """The ensemble's first state.

    Where the simulation fails, a walker starts nearer to the optimum.
    """
    mapped = map if executor is None else executor.map
    best, rng = np.array(density.best), np.random.default_rng(seed)
    starts = _ball(scaling, best, covariance, walkers, rng)
    found = np.array(list(mapped(density, list(starts))))
    for left in reversed(range(_TRIES)):
        failed = np.flatnonzero(~np.isfinite(found[:, 0]))
        if not failed.size:
            break
        starts[failed] = best + (0.5 if left else 0.0) * (starts[failed] - best)
        found[failed] = list(mapped(density, list(starts[failed])))
    parts = np.array([tuple(row) for row in found[:, 1:]], dtype=_PARTS)
    random_state = np.random.RandomState(seed).get_state()
    return emcee.State(starts, log_prob=found[:, 0], blobs=parts, random_state=random_state)


def _dataset(
    problem: Problem,
    sampler: Any,
    diagnosis: Diagnosis,
    level: float,
    seed: int,
    variance: float,
) -> xr.Dataset:
    kept = {"discard": diagnosis.discarded}
    scaled = np.swapaxes(sampler.get_chain(**kept), 0, 1)  # walkers, steps, parameters
    blobs = sampler.get_blobs(**kept)
    scaling, draws = problem.scaling, ("chain", "draw")
    flat = scaled.reshape(-1, problem.size)
    ends = np.quantile(flat, [0.5 - level / 2, 0.5 + level / 2], axis=0)
    size = flat.shape[0] / diagnosis.times
    return xr.Dataset(
        {
            "values": ((*draws, "parameter"), scaling.to_values(scaled)),
            "lp": (draws, sampler.get_log_prob(**kept).T),
            "log_likelihood": (draws, blobs["likelihood"].T),
            "log_prior": (draws, blobs["prior"].T),
            "mean": ("parameter", scaling.to_values(flat).mean(axis=0)),
            "interval_low": ("parameter", scaling.to_values(ends[0])),
            "interval_high": ("parameter", scaling.to_values(ends[1])),
            "scaled_standard_error": ("parameter", flat.std(axis=0, ddof=1)),
            "autocorrelation_time": ("parameter", diagnosis.times, {"units": "steps"}),
            "effective_sample_size": ("parameter", size),
            "r_hat": ("parameter", diagnosis.r_hat),
            "logarithmic": ("parameter", scaling.logarithmic),
            "unit": ("parameter", [p.unit for p in scaling.parameters]),
        },
        coords={
            "parameter": list(scaling.names),
            "chain": np.arange(scaled.shape[0]),
            "draw": np.arange(scaled.shape[1]),
        },
        attrs={
            "level": level,
            "seed": int(seed),
            "variance": variance,
            "converged": int(diagnosis.converged),
            "message": diagnosis.message,
            "steps": int(sampler.iteration),
            "discarded": diagnosis.discarded,
            "acceptance": float(np.mean(sampler.acceptance_fraction)),
        },
    )


def _emcee() -> Any:
    try:
        import emcee
    except ImportError as error:
        raise InputError(
            "Samples need emcee, which is not installed: pip install 'cellmodels[mcmc]'."
        ) from error
    return emcee


def _check(count: int, walkers: int, steps: int, variance: float, level: float) -> None:
    if walkers < 2 * count or walkers < 4 or walkers % 2:
        raise InputError(
            f"walkers is {walkers}; it is an even number, at least {max(2 * count, 4)}."
        )
    if steps < 4:
        raise InputError(f"steps is {steps}; it must be at least 4.")
    if not (np.isfinite(variance) and variance > 0):
        raise InputError(f"The variance of the residuals is {variance!r}.")
    if not 0.0 < level < 1.0:
        raise InputError(f"The level of intervals lies between 0 and 1, not {level!r}.")
