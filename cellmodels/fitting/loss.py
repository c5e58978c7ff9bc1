"""What a residual counts for in the sum of a fit: its square, or less where it is large.

With r a residual divided by its noise, a fit makes half the sum of rho(r) small. The square,
rho = r^2, is right for normal noise. A robust loss grows more slowly beyond a threshold c, so
that a few wrong points do not move the result (P. J. Huber, Ann. Math. Stat. 35 (1964) 73,
doi:10.1214/aoms/1177703732):

- "pseudo-Huber": rho = 2 c^2 (sqrt(1 + (r/c)^2) - 1), which grows linearly (P. Charbonnier,
  L. Blanc-Feraud, G. Aubert and M. Barlaud, IEEE Trans. Image Process. 6 (1997) 298,
  doi:10.1109/83.551699);
- "Cauchy": rho = c^2 ln(1 + (r/c)^2), by which a point far off hardly counts at all; its sum of
  squares may have several minima.

A loss is applied as a change of the residual, r' = sign(r) sqrt(rho(r)), so that the sum stays
one of squares, and its derivatives exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cellmodels.errors import InputError, did_you_mean

__all__ = ["LOSSES", "SQUARES", "Loss"]

Array = NDArray[np.float64]

LOSSES = ("squares", "pseudo-Huber", "Cauchy")

_THRESHOLD = {"pseudo-Huber": 1.345, "Cauchy": 2.385}
"""Thresholds of 95 % efficiency on normal noise (for Huber's and Cauchy's functions: R. A.
Maronna, R. D. Martin and V. J. Yohai, Robust Statistics (2006), doi:10.1002/0470010940)."""
_SMALL = 1e-8
_SMALLEST_SLOPE = 0.1
_NORMAL_NODES, _NORMAL_WEIGHTS = np.polynomial.hermite_e.hermegauss(64)
_NORMAL_WEIGHTS = _NORMAL_WEIGHTS / _NORMAL_WEIGHTS.sum()


@dataclass(frozen=True)
class Loss:
    """A loss function.

    Parameters
    ----------
    name : {"squares", "pseudo-Huber", "Cauchy"}
    threshold : float, optional
        c, in standard deviations of the noise; 1.345 and 2.385 by default.

    Raises
    ------
    InputError
        On an unknown name, or a threshold that is not positive.
    """

    name: str = "squares"
    threshold: float = 0.0

    def __post_init__(self) -> None:
        if self.name not in LOSSES:
            raise InputError(f"Unknown loss {self.name!r}." + did_you_mean(str(self.name), LOSSES))
        c = float(self.threshold or _THRESHOLD.get(self.name, 1.0))
        if not (np.isfinite(c) and c > 0):
            raise InputError(f"The threshold of a loss is a positive number, not {c!r}.")
        object.__setattr__(self, "threshold", c)

    @classmethod
    def of(cls, given: str | Loss) -> Loss:
        """A loss from its name, or itself."""
        return given if isinstance(given, Loss) else cls(given)

    @property
    def robust(self) -> bool:
        """Whether large residuals count for less than their square."""
        return self.name != "squares"

    def rho(self, residuals: Array) -> Array:
        """What each residual counts for, twice its part of the cost; shape (k,)."""
        c = self.threshold
        if self.name == "pseudo-Huber":
            u = (residuals / c) ** 2
            return 2 * c**2 * u / (np.sqrt(1 + u) + 1)
        if self.name == "Cauchy":
            return c**2 * np.log1p((residuals / c) ** 2)
        return residuals**2

    def influence(self, residuals: Array) -> Array:
        """Half the derivative of rho, shape (k,): the residual itself where that is small."""
        u = (residuals / self.threshold) ** 2
        if self.name == "pseudo-Huber":
            return residuals / np.sqrt(1 + u)
        if self.name == "Cauchy":
            return residuals / (1 + u)
        return residuals

    def curvature(self, residuals: Array) -> Array:
        """Half the second derivative of rho, shape (k,): one where the residual is small."""
        u = (residuals / self.threshold) ** 2
        if self.name == "pseudo-Huber":
            return (1 + u) ** -1.5
        if self.name == "Cauchy":
            return (1 - u) / (1 + u) ** 2
        return np.ones_like(residuals)

    def mean_slope(self, residuals: Array) -> float:
        """Mean of the influence's derivative: how much of the data's weight is left."""
        if not self.robust:
            return 1.0
        return max(float(np.mean(self.curvature(residuals))), _SMALLEST_SLOPE)

    @property
    def stated_variance(self) -> float:
        """Variance of the influence under normal noise of the stated size."""
        if not self.robust:
            return 1.0
        return float(_NORMAL_WEIGHTS @ self.influence(_NORMAL_NODES) ** 2)

    def terms(self, residuals: Array, jacobian: Array) -> tuple[Array, Array]:
        """Changed residuals, whose squares are rho, and their Jacobian; (k,) and (k, p)."""
        if not self.robust:
            return residuals, jacobian
        changed = np.sign(residuals) * np.sqrt(self.rho(residuals))
        small = np.abs(changed) < _SMALL
        slope = np.where(small, 1.0, self.influence(residuals) / np.where(small, 1.0, changed))
        return changed, slope[:, None] * jacobian


SQUARES = Loss()
