"""Whether Markov chains are long enough, and alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Diagnosis", "diagnosed", "split_r_hat"]

Array = NDArray[np.float64]

#: A chain is long enough when it has so many autocorrelation times.
_LONG = 50.0
_MIXED = 1.05


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
class Diagnosis:
    """What the chains so far are worth.

    Parameters
    ----------
    times : ndarray, shape (p,)
        Autocorrelation times [steps]; infinite where a chain never moved.
    discarded : int
        Steps at the beginning that are left out.
    r_hat : ndarray, shape (p,)
    draws : int
        Steps that are left.
    """

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
        """Whether the samples can be used."""
        return self.resolved and bool(np.all(self.r_hat < _MIXED))

    @property
    def message(self) -> str:
        """The same as a sentence."""
        if self.converged:
            return "converged"
        if not self.resolved:
            longest = float(np.nanmax(self.times)) if np.isfinite(self.times).any() else np.nan
            return (
                f"not converged: {self.draws} steps are less than {_LONG:g} autocorrelation "
                f"times, which are at least {longest:.3g} steps"
            )
        return f"not converged: R-hat is {float(np.max(self.r_hat)):.3g}, not below {_MIXED:g}"


def diagnosed(emcee: Any, sampler: Any) -> Diagnosis:
    """The diagnosis of a sampler of emcee, with the module itself.

    The integrated autocorrelation time is emcee's (J. Goodman and J. Weare, Commun. Appl. Math.
    Comput. Sci. 5 (2010) 65, doi:10.2140/camcos.2010.5.65).
    """
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
    return Diagnosis(times, burn, r_hat, len(kept))
