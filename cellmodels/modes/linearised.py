"""Curves linearised at trial parameters, and the normal equations of all of them together."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cellmodels.modes.curves import OcvCurve
from cellmodels.modes.electrodes import PARAMETERS, Model

__all__ = [
    "Noise",
    "Prior",
    "Problem",
    "Rows",
    "Unknowns",
    "kernel",
    "normal",
    "of_alike",
    "squares",
]

Array = NDArray[np.float64]

_WALL = 1e-3  # by how much a stoichiometry leaves 0 to 1, that costs as much as a standard error


@dataclass(frozen=True)
class Noise:
    """Residuals of a curve.

    Parameters
    ----------
    white : float
        Standard deviation of what is independent from point to point [V].
    correlated : float
        Standard deviation of what is not [V].
    length : float
        Over which that is forgotten, as a share of the curve's charge.
    curves : float
        How many times larger the errors of the half cells are than stated, at least 1.
    """

    white: float
    correlated: float = 0.0
    length: float = 0.01
    curves: float = 1.0


@dataclass(frozen=True, eq=False)
class Prior:
    """What is known of a curve's parameters before.

    Parameters
    ----------
    mean, std : ndarray, shape (7,)
        Of :data:`cellmodels.modes.electrodes.PARAMETERS`. Where std is zero, it is known.
    """

    mean: Array
    std: Array

    @property
    def free(self) -> NDArray[np.intp]:
        """Numbers of the parameters that are not known, shape (p,)."""
        return np.asarray(np.flatnonzero(self.std > 0))


@dataclass(frozen=True, eq=False)
class Unknowns:
    """What is sought.

    Parameters
    ----------
    values : ndarray, shape (k, 7)
        Parameters of each curve.
    errors : ndarray, shape (m,)
        Coefficients of the half cells' errors, which all curves have in common; may be held.
    """

    values: Array
    errors: Array

    def moved(self, step: Array, free: NDArray[np.intp]) -> Unknowns:
        """With a step of the free parameters, curve by curve, and of the coefficients if any."""
        size = len(self.values) * free.size
        values = self.values.copy()
        values[:, free] += step[:size].reshape(-1, free.size)
        return Unknowns(values, self.errors + step[size:] if step.size > size else self.errors)


@dataclass(frozen=True, eq=False)
class Rows:
    """A curve at trial values: model minus data, and its derivatives.

    Parameters
    ----------
    residual : ndarray, shape (n,)
    own : ndarray, shape (n, p)
        By the curve's own free parameters.
    common : ndarray, shape (n, m)
        By the coefficients.
    """

    residual: Array
    own: Array
    common: Array

    def with_more(self, other: Rows) -> Rows:
        """Followed by other rows."""
        names = ("residual", "own", "common")
        both = [np.concatenate([getattr(self, n), getattr(other, n)]) for n in names]
        return Rows(*both)

    def mapped(self, function: Callable[[Array], Array]) -> Rows:
        """With a linear function of all rows."""
        return Rows(function(self.residual), function(self.own), function(self.common))


@dataclass(frozen=True, eq=False)
class Problem:
    """Curves of one cell and what is known before.

    Parameters
    ----------
    model : Model
    curves : tuple of OcvCurve
    prior : Prior
    common : bool
        Whether the half cells' errors are sought too.
    """

    model: Model
    curves: tuple[OcvCurve, ...]
    prior: Prior
    common: bool = True

    def one(self, number: int) -> Problem:
        """That of one curve, with half cells as they are."""
        return replace(self, curves=(self.curves[number],), common=False)

    def rows(self, unknowns: Unknowns) -> list[Rows]:
        """The curves linearised."""
        found = []
        for curve, values in zip(self.curves, unknowns.values, strict=True):
            voltage, own, common = self.model.voltage(values, unknowns.errors, curve)
            held = common if self.common else common[:, :0]
            found.append(Rows(voltage - curve.voltage, own[:, self.prior.free], held))
        return found

    def factors(self, noise: Noise) -> list[Array]:
        """Inverse Cholesky factors of each curve's covariance."""
        return of_alike(self.curves, lambda curve: _inverse_factor(curve, noise))

    def whitened(self, unknowns: Unknowns, factors: Sequence[Array]) -> list[Rows]:
        """The curves linearised, in units in which residuals are independent and of size one."""
        rows = self.rows(unknowns)
        return [one.mapped(factor.__matmul__) for one, factor in zip(rows, factors, strict=True)]

    def walls(self, unknowns: Unknowns) -> list[Rows]:
        """Penalties of stoichiometries that are not between 0 and 1 at either end of a curve."""
        found = []
        for curve, values in zip(self.curves, unknowns.values, strict=True):
            ends = curve.charge[[0, -1], [0, -1]]
            residual, own = np.zeros(4), np.zeros((4, len(PARAMETERS)))
            for side, sign in ((0, -1.0), (1, 1.0)):
                moved = sign * ends / np.exp(values[side])
                place = values[2 + side] + moved
                rows = slice(2 * side, 2 * side + 2)
                beyond = place - np.clip(place, 0.0, 1.0)
                residual[rows] = beyond / _WALL
                own[rows, 2 + side] = (beyond != 0) / _WALL
                own[rows, side] = -moved * (beyond != 0) / _WALL
            common = np.zeros((4, unknowns.errors.size if self.common else 0))
            found.append(Rows(residual, own[:, self.prior.free], common))
        return found


def of_alike(curves: Sequence[OcvCurve], make: Callable[[OcvCurve], Array]) -> list[Array]:
    """What depends on the places of a curve's points alone, made once for curves alike."""
    known: dict[Hashable, Array] = {}
    found = []
    for curve in curves:
        key = curve.place.round(9).tobytes()
        if key not in known:
            known[key] = make(curve)
        found.append(known[key])
    return found


def kernel(place: Array, length: float) -> Array:
    """Correlation of residuals at places of a curve."""
    return np.asarray(np.exp(-np.abs(place[:, None] - place) / length))


def _inverse_factor(curve: OcvCurve, noise: Noise) -> Array:
    covariance = noise.correlated**2 * kernel(curve.place, noise.length)
    covariance[np.diag_indices_from(covariance)] += noise.white**2
    return np.asarray(np.linalg.inv(np.linalg.cholesky(covariance)))


def normal(
    rows: Sequence[Rows], unknowns: Unknowns, prior: Prior, curves: float
) -> tuple[Array, Array]:
    """Gauss-Newton matrix and gradient of half the sum of squares, priors included.

    Parameters
    ----------
    rows : sequence of Rows
        Whitened.
    unknowns : Unknowns
        Where.
    prior : Prior
    curves : float
        As in `Noise`.

    Returns
    -------
    matrix, gradient : ndarray
        Of the size k p + m.
    """
    free, common = prior.free.size, rows[0].common.shape[1]
    own = len(rows) * free
    matrix, gradient = np.zeros((own + common, own + common)), np.zeros(own + common)
    for k, one in enumerate(rows):
        both = np.concatenate([one.own, one.common], axis=1)
        part = np.r_[k * free : (k + 1) * free, own : own + common]
        matrix[np.ix_(part, part)] += both.T @ both
        gradient[part] += both.T @ one.residual
    own_weights = np.tile(prior.std[prior.free] ** -2.0, len(rows))
    weights = np.concatenate([own_weights, np.full(common, curves**-2.0)])
    off = (unknowns.values - prior.mean)[:, prior.free].ravel()
    matrix[np.diag_indices_from(matrix)] += weights
    gradient += weights * np.concatenate([off, unknowns.errors[:common]])
    return matrix, gradient


def squares(rows: Sequence[Rows], unknowns: Unknowns, prior: Prior, curves: float) -> float:
    """Sum of squares of whitened rows, priors included."""
    off = ((unknowns.values - prior.mean)[:, prior.free] / prior.std[prior.free]).ravel()
    total = sum(float(one.residual @ one.residual) for one in rows)
    return total + float(off @ off + unknowns.errors @ unknowns.errors / curves**2)
