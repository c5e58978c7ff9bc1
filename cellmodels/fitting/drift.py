"""How a discrepancy runs along a life: its covariance, and that of a measured series with it.

Two processes, along ``s = (x - first) / span`` with x the coordinate of the points and ``span``
the length of the data:

- :class:`Drift`: the model misses a rate of change, or an acceleration, which is a Matern process
  of order 3/2 (M. L. Stein, Interpolation of Spatial Data (1999), doi:10.1007/978-1-4612-1494-6)
  and keeps its value over a length l. The discrepancy is its integral, once or twice, from the
  first point on, and may begin with an offset. A mechanism that a model lacks leaves such a trace.
  It does not come back to zero.
- :class:`Wander`: noise that is alike over a short length, an Ornstein-Uhlenbeck process, such as
  the temperature of a room makes.

A series is averaged over at most :data:`BINS` bins, which are far shorter than the lengths of a
drift. The covariance of the averages is then diagonalised once for each pair of lengths, after
which every size of the drift costs next to nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

__all__ = ["BINS", "DRIFTS", "NO_WANDER", "WANDERS", "Drift", "Modes", "Series", "Wander"]

Array = NDArray[np.float64]

BINS = 100
"""Most bins of a series."""


@dataclass(frozen=True)
class Drift:
    """Covariance of a drift whose variance at the end of the data, ``s = 1``, is one.

    Parameters
    ----------
    length : float
        Over which what is missing keeps its value, as a fraction of the span.
    offset : float
        Standard deviation at the first point, over that of the change from there to the end.
    order : {1, 2}
        What is missing: a rate, or an acceleration.
    """

    length: float
    offset: float = 0.0
    order: int = 1

    def covariance(self, s: Array, t: Array) -> Array:
        """Covariance between places s (k,) and t (m,), shape (k, m)."""
        s, t = np.asarray(s, dtype=float)[:, None], np.asarray(t, dtype=float)[None, :]
        return self._scaled(self._change(s, t))

    def variance(self, s: Array) -> Array:
        """Variance at places s, shape (k,)."""
        s = np.asarray(s, dtype=float)
        return self._scaled(self._change(s, s))

    def _scaled(self, change: Array) -> Array:
        end = float(self._change(np.ones(1), np.ones(1))[0])
        return (change / end + self.offset**2) / (1 + self.offset**2)

    def _change(self, s: Array, t: Array) -> Array:
        """Covariance of the changes since the first point, for what is missing of variance one."""
        a = np.sqrt(3) / self.length
        if self.order == 1:
            return _twice(s, a) + _twice(t, a) - _twice(s - t, a)
        alike = _four_times(s, a) + _four_times(t, a) - _four_times(s - t, a)
        return t * _three_times(s, a) + s * _three_times(t, a) - alike


# Integrals from 0 to r of the Matern covariance (1 + a r) exp(-a r), repeated. The covariance of a
# process's integral is a sum of second ones, that of the integral of the integral of third and
# fourth ones. Where a r is small, the first terms of a series, as the others cancel.


def _twice(r: Array, a: float) -> Array:
    r = np.abs(r)
    u = a * r
    series = r**2 * (1 / 2 - u**2 / 24 + u**3 / 60 - u**4 / 240)
    return np.where(u < 0.03, series, (2 * u - 3 + np.exp(-u) * (3 + u)) / a**2)


def _three_times(r: Array, a: float) -> Array:
    u = a * r
    series = r**3 * (1 / 6 - u**2 / 120 + u**3 / 360 - u**4 / 1680)
    return np.where(u < 0.03, series, (u**2 - 3 * u + 4 - np.exp(-u) * (4 + u)) / a**3)


def _four_times(r: Array, a: float) -> Array:
    r = np.abs(r)
    u = a * r
    series = r**4 * (1 / 24 - u**2 / 720 + u**3 / 2520 - u**4 / 13440)
    exact = u**3 / 3 - 1.5 * u**2 + 4 * u - 5 + np.exp(-u) * (5 + u)
    return np.where(u < 0.03, series, exact / a**4)


@dataclass(frozen=True)
class Wander:
    """Noise of exponential covariance.

    Parameters
    ----------
    ratio : float
        Its standard deviation over that of the white noise.
    length : float
        Correlation length, as a fraction of the span.
    """

    ratio: float
    length: float

    def covariance(self, s: Array, t: Array) -> Array:
        """Covariance between places s (k,) and t (m,), shape (k, m)."""
        return self.ratio**2 * np.exp(-np.abs(np.subtract.outer(s, t)) / self.length)


NO_WANDER = Wander(0.0, 1.0)
DRIFTS = (
    *(Drift(length, offset) for length in (0.1, 0.3, 1.0, 3.0) for offset in (0.0, 1.0)),
    *(Drift(length, order=2) for length in (0.3, 1.0, 3.0)),
)
WANDERS = tuple(Wander(ratio, length) for ratio in (0.5, 1.0, 2.0, 5.0) for length in (0.02, 0.06))


@dataclass(frozen=True, eq=False)
class Modes:
    """A covariance ``1 + wander + ratio^2 drift`` of averages, diagonal for all ratios.

    Parameters
    ----------
    values : ndarray, shape (b,)
        Variances of the drift at a ratio of one, over those of the noise.
    whiten : ndarray, shape (b, b)
        Turns averages into uncorrelated numbers; noise alone gives them a variance of one.
    noise_log_det : float
        Of the covariance of the noise.
    """

    values: Array
    whiten: Array
    noise_log_det: float

    def log_det(self, ratios: Array) -> Array:
        """Logarithm of the determinant for each ratio, shape (h,)."""
        return self.noise_log_det + np.log1p(np.outer(ratios**2, self.values)).sum(axis=1)

    def moments(self, rows: Array, ratios: Array) -> Array:
        """``rows' inv(V) rows`` for each ratio; (b, q) -> (h, q, q)."""
        turned = self.whiten @ rows
        products = (turned[:, :, None] * turned[:, None, :]).reshape(self.values.size, -1)
        weights = 1 / (1 + np.outer(ratios**2, self.values))
        return (weights @ products).reshape(-1, rows.shape[1], rows.shape[1])


@dataclass(frozen=True, eq=False)
class Series:
    """Where one series lies, averaged over bins.

    Parameters
    ----------
    index : ndarray of int, shape (n,)
        Bin of each point.
    noise : ndarray, shape (n,)
        Standard deviation of each point, in units of the variable's.
    place : ndarray, shape (b,)
        Of each bin, as s.
    root : ndarray, shape (b,)
        Inverse standard deviation of each bin's average, in units of the variable's.
    """

    index: NDArray[np.int64]
    noise: Array
    place: Array
    root: Array

    @classmethod
    def of(cls, place: Array, noise: Array) -> Series:
        """From places s and standard deviations of the points, each of shape (n,)."""
        known, index = np.unique(place, return_inverse=True)
        if known.size > BINS:
            fraction = (place - known[0]) / np.ptp(known)
            index = np.unique(
                np.minimum(fraction * BINS, BINS - 1).astype(np.int64), return_inverse=True
            )[1]
        precision = np.bincount(index, noise**-2)
        return cls(
            index, noise, np.bincount(index, place * noise**-2) / precision, np.sqrt(precision)
        )

    @property
    def size(self) -> int:
        """Number of bins, b."""
        return self.place.size

    def average(self, rows: Array) -> Array:
        """Averages of normalised rows, normalised by their own noise; (n, q) -> (b, q)."""
        sums = [np.bincount(self.index, column / self.noise) for column in rows.T]
        return np.stack(sums, axis=1) / self.root[:, None]

    def modes(self, drift: Drift, wander: Wander) -> Modes:
        """The covariance of averages for all sizes of the drift."""
        moving = self._outer(drift.covariance(self.place, self.place))
        values, vectors, log_det = *np.linalg.eigh(moving), 0.0
        if wander.ratio == 0:
            return Modes(np.maximum(values, 0), vectors.T, 0.0)
        noise = np.eye(self.size) + self._outer(wander.covariance(self.place, self.place))
        lower = np.linalg.cholesky(noise)
        log_det = 2 * float(np.log(np.diag(lower)).sum())
        inverse = scipy.linalg.solve_triangular(lower, np.eye(self.size), lower=True)
        values, vectors = np.linalg.eigh(inverse @ moving @ inverse.T)
        return Modes(np.maximum(values, 0), vectors.T @ inverse, log_det)

    def cross(self, drift: Drift, s: Array) -> Array:
        """Covariance of the drift at places s with normalised averages, shape (m, b)."""
        return drift.covariance(s, self.place) * self.root

    def moments(self, rows: Array, process: Drift | Wander) -> Array:
        """``L' K L`` with K the covariance of a process, L the points' rows; (n, p) -> (p, p)."""
        sums = self.root[:, None] * self.average(rows)
        return sums.T @ process.covariance(self.place, self.place) @ sums

    def _outer(self, covariance: Array) -> Array:
        return self.root[:, None] * covariance * self.root
