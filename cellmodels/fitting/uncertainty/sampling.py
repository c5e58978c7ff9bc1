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
from cellmodels.fitting.uncertainty.workers import Given, Source, Workshop, workshop

__all__ = ["sample_posterior", "split_r_hat"]

Array = NDArray[np.float64]

#: A chain is long enough when it has so many autocorrelation times.
_LONG = 50.0
_MIXED = 1.05
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
        When emcee is not installed, or on a wrong number.
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
    rng = np.random.default_rng(seed)
    first = _ball(problem.scaling, best.scaled, np.asarray(covariance, float), number, rng)
    sampler = emcee.EnsembleSampler(
        number,
        count,
        density,
        pool=None if executor is None else _Pool(executor),
        moves=[(emcee.moves.DEMove(), 0.8), (emcee.moves.DESnookerMove(), 0.2)],
        blobs_dtype=_PARTS,
    )
    mapped = map if executor is None else executor.map
    state = emcee.State(
        *_alive(density, first, best.scaled, mapped),
        random_state=np.random.RandomState(seed).get_state(),
    )
    with tqdm(total=steps, desc="samples", unit="step", disable=not progress) as bar:
        for _ in sampler.sample(state, iterations=steps, skip_initial_state_check=True):
            bar.update(1)
            if sampler.iteration % _BLOCK == 0 and _diagnosed(emcee, sampler).converged:
                break
    return _dataset(problem, sampler, _diagnosed(emcee, sampler), level, seed, variance)


def split_r_hat(chains: ArrayLike) -> float:
    """R-hat of the halves of chains: variance between them against that within, as a ratio.

    Parameters
    ----------
    chains : array_like, shape (chains, draws)

    Returns
    -------
    float
        One when all halves tell the same; NaN with fewer than four draws.
    """
    chains = np.asarray(chains, dtype=float)
    half = chains.shape[1] // 2
    if half < 2:
        return float("nan")
    parts = np.concatenate([chains[:, :half], chains[:, -half:]])
    within = float(parts.var(axis=1, ddof=1).mean())
    between = float(half * parts.mean(axis=1).var(ddof=1))
    if within == 0.0:
        return float("nan")
    return float(np.sqrt((half - 1) / half + between / (half * within)))


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


@dataclass(frozen=True, eq=False)
class _Diagnosis:
    """What the chains so far are worth."""

    times: Array
    discarded: int
    r_hat: Array
    draws: int

    @property
    def resolved(self) -> bool:
        """Whether the autocorrelation times can be believed."""
        return bool(np.all(self.draws > _LONG * self.times))

    @property
    def converged(self) -> bool:
        return self.resolved and bool(np.all(self.r_hat < _MIXED))

    @property
    def message(self) -> str:
        if self.converged:
            return "converged"
        if not self.resolved:
            longest = float(np.nanmax(self.times)) if np.isfinite(self.times).any() else np.nan
            return (
                f"not converged: {self.draws} steps are less than {_LONG:g} autocorrelation "
                f"times, which are at least {longest:.3g} steps"
            )
        return f"not converged: R-hat is {float(np.max(self.r_hat)):.3g}, not below {_MIXED:g}"


def _diagnosed(emcee: Any, sampler: Any) -> _Diagnosis:
    chain = sampler.get_chain()  # steps, walkers, parameters
    times = np.asarray(emcee.autocorr.integrated_time(chain, tol=0, quiet=True), dtype=float)
    # a walker that never moved has no autocorrelation time
    times = np.where(np.isfinite(times), times, np.inf)
    longest = float(np.max(times))
    burn = len(chain) // 2
    if np.isfinite(longest):
        burn = min(int(np.ceil(3.0 * longest)), burn)
    kept = chain[burn:]
    r_hat = np.array([split_r_hat(kept[:, :, i].T) for i in range(chain.shape[2])])
    return _Diagnosis(times, burn, r_hat, len(kept))


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


def _alive(
    density: _Density, starts: Array, best: Array, mapped: Callable[..., Iterable[Any]]
) -> tuple[Array, Array, Array]:
    """Starts at which the simulation succeeds, their log-densities, and the parts of these.

    Where it fails, a walker starts nearer to the optimum.
    """
    starts = starts.copy()
    found = np.array(list(mapped(density, list(starts))))
    for left in reversed(range(_TRIES)):
        failed = np.flatnonzero(~np.isfinite(found[:, 0]))
        if not failed.size:
            break
        starts[failed] = best + (0.5 if left else 0.0) * (starts[failed] - best)
        found[failed] = list(mapped(density, list(starts[failed])))
    parts = np.array([tuple(row) for row in found[:, 1:]], dtype=_PARTS)
    return starts, found[:, 0], parts


def _dataset(
    problem: Problem,
    sampler: Any,
    diagnosis: _Diagnosis,
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
