r"""Likelihood of a fit whose misfit may be alike from point to point.

Residuals of a model that misses something are alike between neighbours. A likelihood that takes
them for independent counts every one of them as evidence, and an AICc made of it prefers whatever
follows the misfit. Here each variable's normalised residuals have the covariance

.. math:: V = s^2 (1 + \eta^2 K), \qquad K_{ij} = e^{-|x_i - x_j| / \ell}

white noise and an Ornstein-Uhlenbeck process along the coordinate x, independent between series (G.
E. Uhlenbeck, L. S. Ornstein, Phys. Rev. 36 (1930) 823, doi:10.1103/PhysRev.36.823). Each variable
has a noise factor s, and a size :math:`\eta` and length :math:`\ell`; variables of few points share
these two, the length as a part of their span. They are the most likely ones, found on a grid
together with the parameters, of which the model is linear about the fit's optimum. The likelihood
takes a number of operations in proportion to the number of points, by Kalman's filter.

Maximum likelihood, not restricted: models with other parameters are compared by it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.optimize
from numpy.typing import NDArray

from cellmodels.fitting.residuals import Observations

__all__ = ["Misfit", "MisfitLikelihood", "misfit_likelihood"]

Array = NDArray[np.float64]

_SIZES = np.concatenate([[0.0], np.geomspace(0.1, 100.0, 16)])
_LENGTHS, _LONGEST = 10, 3.0  # from half the median spacing to three times the span
_FEW = 8  # points, from which on a misfit that is alike is looked for
_LEAST_NOISE = 0.01  # of the stated one
_LARGEST_STEP = 1.0  # of a scaled parameter: further away the linear model says nothing
_SWEEPS, _SETTLED = 30, 1e-6


@dataclass(frozen=True)
class Misfit:
    """The covariance found for a variable's residuals.

    Parameters
    ----------
    key : str
        ``group/name`` of the variable.
    noise : float
        Standard deviation of the white part, over the stated noise.
    size : float
        That of the part that is alike, over the stated noise.
    length : float
        Distance over which it is alike, in units of the coordinate; NaN without such a part.
    """

    key: str
    noise: float
    size: float
    length: float


@dataclass(frozen=True, eq=False)
class MisfitLikelihood:
    """The most likely covariance of a fit's residuals, and how likely they are.

    Parameters
    ----------
    log_likelihood : float
        At its maximum, of the data in their units.
    parameters : int
        Numbers estimated besides the model's: a noise factor for each variable; a size and a
        length for each with at least eight points, and for the others together.
    misfits : tuple of Misfit
        One for each variable with points.
    """

    log_likelihood: float
    parameters: int
    misfits: tuple[Misfit, ...]


def misfit_likelihood(
    observations: Observations, residuals: Array, jacobian: Array, low: Array, high: Array
) -> MisfitLikelihood:
    """Likelihood of a fit from its optimum.

    Parameters
    ----------
    observations : Observations
    residuals : ndarray, shape (k,)
        Normalised, at the optimum.
    jacobian : ndarray, shape (k, p)
        Their derivative by the scaled parameters.
    low, high : ndarray, shape (p,)
        Bounds of the scaled parameters, relative to the optimum.

    Returns
    -------
    MisfitLikelihood
    """
    groups = _groups(
        [_Variable.of(observations, i) for i, v in enumerate(observations.variables) if v.used]
    )
    bounds = np.clip(low, -_LARGEST_STEP, -1e-12), np.clip(high, 1e-12, _LARGEST_STEP)
    step, best = np.zeros(jacobian.shape[1]), np.inf
    both = np.column_stack([jacobian, residuals])
    for _ in range(_SWEEPS):
        left = residuals + jacobian @ step
        pairs = [pair for group in groups for pair in group.most_likely(left)]
        total = sum(choice.cost for _, choice in pairs)
        if best - total < _SETTLED:
            break
        best = total
        rows = np.vstack([variable.whitened(both, choice) for variable, choice in pairs])
        if jacobian.shape[1]:
            step = scipy.optimize.lsq_linear(rows[:, :-1], -rows[:, -1], bounds).x
    constant = observations.size * np.log(2 * np.pi) + 2 * float(np.log(observations.std).sum())
    found = {variable.key: variable.misfit(choice) for variable, choice in pairs}
    return MisfitLikelihood(
        -0.5 * (min(best, total) + constant),
        sum(group.parameters for group in groups),
        tuple(found[v.key] for v in observations.variables if v.used),
    )


@dataclass(frozen=True)
class _Choice:
    """The covariance of one variable, and minus twice its log-likelihood."""

    size: float
    length: float
    variance: float
    cost: float


@dataclass(frozen=True, eq=False)
class _Variable:
    """Points of one variable, by series and in order."""

    key: str
    at: tuple[Array, ...]
    parts: tuple[NDArray[np.int64], ...]

    @classmethod
    def of(cls, observations: Observations, index: int) -> _Variable:
        mine = [
            (points.at, np.arange(part.start, part.stop))
            for points, part in zip(observations.points, observations.points.slices(), strict=True)
            if part.stop > part.start and observations.owner[part.start] == index
        ]
        orders = [np.argsort(at, kind="stable") for at, _ in mine]
        return cls(
            observations.variables[index].key,
            tuple(at[order] for (at, _), order in zip(mine, orders, strict=True)),
            tuple(part[order] for (_, part), order in zip(mine, orders, strict=True)),
        )

    @property
    def count(self) -> int:
        return sum(part.size for part in self.parts)

    @property
    def span(self) -> float:
        return float(max(at[-1] - at[0] for at in self.at))

    @property
    def shortest(self) -> float:
        """Half the median distance of neighbours, as a part of the span."""
        steps = np.concatenate([np.diff(at) for at in self.at])
        return 0.5 * float(np.median(steps[steps > 0])) / self.span

    def costs(self, residuals: Array, sizes: Array, lengths: Array) -> tuple[Array, Array]:
        """The most likely variance and minus twice the log-likelihood on a grid, (g,) and (g,)."""
        squares, log_det = np.zeros(sizes.shape), np.zeros(sizes.shape)
        for at, part in zip(self.at, self.parts, strict=True):
            rows, logs = _filtered(at, residuals[part, None], sizes, lengths)
            squares += np.sum(rows[:, :, 0] ** 2, axis=0)
            log_det += logs
        variance = np.maximum(squares / self.count, _LEAST_NOISE**2)
        return variance, self.count * np.log(variance) + squares / variance + log_det

    def whitened(self, rows: Array, choice: _Choice) -> Array:
        size, length = np.array([choice.size]), np.array([choice.length])
        parts = [
            _filtered(at, rows[part], size, length)[0][:, 0]
            for at, part in zip(self.at, self.parts, strict=True)
        ]
        return np.vstack(parts) / np.sqrt(choice.variance)

    def misfit(self, choice: _Choice) -> Misfit:
        noise = float(np.sqrt(choice.variance))
        length = choice.length if choice.size > 0 else float("nan")
        return Misfit(self.key, noise, noise * choice.size, length)


@dataclass(frozen=True, eq=False)
class _Group:
    """Variables that share the size and the relative length of what is alike."""

    variables: tuple[_Variable, ...]

    @property
    def alike(self) -> bool:
        """Whether there are points enough to tell a misfit that is alike."""
        return sum(v.count for v in self.variables) >= _FEW and any(
            v.span > 0 for v in self.variables
        )

    @property
    def parameters(self) -> int:
        return len(self.variables) + (2 if self.alike else 0)

    def most_likely(self, residuals: Array) -> list[tuple[_Variable, _Choice]]:
        sizes, parts = self._grid()
        found = [
            v.costs(residuals, sizes, parts * v.span if v.span > 0 else np.ones_like(parts))
            for v in self.variables
        ]
        k = int(np.argmin(sum(cost for _, cost in found)))
        size, part = float(sizes[k]), float(parts[k])
        return [
            (v, _Choice(size, part * v.span or 1.0, float(variance[k]), float(cost[k])))
            for v, (variance, cost) in zip(self.variables, found, strict=True)
        ]

    def _grid(self) -> tuple[Array, Array]:
        """Sizes, and lengths as parts of the span, that are tried."""
        if not self.alike:
            return np.zeros(1), np.ones(1)
        shortest = min(v.shortest for v in self.variables if v.span > 0)
        sizes, parts = np.meshgrid(_SIZES[1:], np.geomspace(shortest, _LONGEST, _LENGTHS))
        return np.append(0.0, sizes.ravel()), np.append(1.0, parts.ravel())


def _groups(variables: list[_Variable]) -> list[_Group]:
    """Each variable alone; those of few points together."""
    few = tuple(v for v in variables if v.count < _FEW)
    groups = [_Group((v,)) for v in variables if v.count >= _FEW]
    return [*groups, _Group(few)] if few else groups


def _filtered(at: Array, rows: Array, sizes: Array, lengths: Array) -> tuple[Array, Array]:
    """Rows made white by ``1 + size^2 K``, for each of g covariances, and its log-determinant.

    Parameters
    ----------
    at : ndarray, shape (n,)
        In order.
    rows : ndarray, shape (n, c)
    sizes, lengths : ndarray, shape (g,)

    Returns
    -------
    white : ndarray, shape (n, g, c)
    log_det : ndarray, shape (g,)
    """
    white = np.empty((len(at), len(sizes), rows.shape[1]))
    log_det = np.zeros(len(sizes))
    full = sizes**2
    mean, variance = np.zeros(white.shape[1:]), full.copy()
    kept = np.exp(-np.diff(at, append=at[-1])[:, None] / lengths)
    for i in range(len(at)):
        spread = variance + 1.0
        surprise = rows[i] - mean
        white[i] = surprise / np.sqrt(spread)[:, None]
        log_det += np.log(spread)
        gain = variance / spread
        mean = kept[i][:, None] * (mean + gain[:, None] * surprise)
        variance = kept[i] ** 2 * (variance / spread) + full * (1 - kept[i] ** 2)
    return white, log_det
