"""How wrong a half-cell curve may be: a random error that is smooth in the stoichiometry."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from cellmodels.errors import InputError

__all__ = ["CurveError"]

_GRID = 201
_LEFT_OUT = 5e-3  # share of the variance

Array = NDArray[np.float64]


@dataclass(frozen=True)
class CurveError:
    """What is not known of a half-cell curve.

    The potential of the electrode is taken as U(x + s g₂(x)) + a g₁(x) with the curve U and two
    independent Gaussian processes of unit variance and the Matérn covariance of order 3/2,
    (1 + d) exp(-d) with d = √3 |x - x'| / ℓ (Rasmussen and Williams, Gaussian Processes for Machine
    Learning, 2006, section 4.2.1). Both belong to the cell, not to one measurement: over its life
    they are the same. Where the curves of a cell show that the errors are larger, up to ten times,
    they are taken to be.

    Parameters
    ----------
    potential : float
        Standard deviation a of the potential [V]. 3 mV is what half cells of one product differ
        by; curves of another product may be off by 10 mV and more.
    stoichiometry : float
        Standard deviation s of the stoichiometry, which matters where the curve is steep.
    length : float
        Correlation length ℓ in stoichiometry.

    Raises
    ------
    InputError
        If a size is negative, or the length is not from 0.02 to 10.
    """

    potential: float = 0.003
    stoichiometry: float = 0.002
    length: float = 0.1

    def __post_init__(self) -> None:
        """Check the numbers."""
        for name in ("potential", "stoichiometry"):
            value = getattr(self, name)
            if not (np.isfinite(value) and 0 <= value < 1):
                raise InputError(f"A curve's error in {name} is from 0 to 1, not {value!r}.")
        if not 0.02 <= self.length <= 10.0:
            raise InputError(
                f"A curve's error is correlated over 0.02 to 10, not over {self.length!r}."
            )

    @property
    def size(self) -> int:
        """Number of coefficients of each of both processes."""
        return _modes(self.length).size

    def modes(self, stoichiometry: Array) -> tuple[Array, Array]:
        """Basis of a process, whose coefficients are independent and of unit variance.

        Parameters
        ----------
        stoichiometry : ndarray
            Any shape; outside 0 to 1 the basis keeps its value.

        Returns
        -------
        modes, slopes : ndarray
            Values and derivatives, with one more axis, of the length `size`.
        """
        return _modes(self.length)(stoichiometry)


class _Modes:
    """Karhunen-Loève expansion of a process on 0 to 1, interpolated."""

    def __init__(self, length: float) -> None:
        at = np.linspace(0.0, 1.0, _GRID)
        away = np.sqrt(3.0) * np.abs(at[:, None] - at) / length
        covariance = (1.0 + away) * np.exp(-away)
        variances, vectors = np.linalg.eigh(covariance)
        variances, vectors = variances[::-1], vectors[:, ::-1]
        kept = 1 + int(np.searchsorted(np.cumsum(variances), (1 - _LEFT_OUT) * _GRID))
        self.size = kept
        self._spline = CubicSpline(at, vectors[:, :kept] * np.sqrt(variances[:kept]))

    def __call__(self, stoichiometry: Array) -> tuple[Array, Array]:
        inside = np.clip(stoichiometry, 0.0, 1.0)
        slopes = self._spline(inside, 1) * (stoichiometry == inside)[..., None]
        return self._spline(inside), slopes


@lru_cache(maxsize=16)
def _modes(length: float) -> _Modes:
    return _Modes(length)
