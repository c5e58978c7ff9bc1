"""Curves without physics, as a yardstick for the model.

Two laws are fitted to every scalar series of the same points, each on its own:

- ``y = y0 + a sqrt(n) + b n``, a film growing by diffusion and a constant rate beside it;
- ``y = y0 + a n**b``.

*How AICc is compared.* Both sides use the same points, the record's relative noise, and the
same error model: normal errors with one noise level estimated for each variable (see
``statistics.residual_log_likelihood``). Every estimated number is counted: three for each
curve and one noise level for each variable on the empirical side; all of the fit's parameters
and the same noise levels on the physical side, although its parameters describe the other
variables too. Voltage curves are left out of the comparison on both sides.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.optimize
from numpy.typing import ArrayLike, NDArray

from cellmodels.fitting.residuals import Observations
from cellmodels.fitting.statistics import aicc, residual_log_likelihood
from cellmodels.observations import Points

__all__ = [
    "Comparison",
    "EmpiricalCurve",
    "compare_with_empirical",
    "fit_power_law",
    "fit_square_root",
]

_POWERS = (0.1, 4.0)
_FEWEST = 4  # points of a series that a curve of three numbers can be fitted to


@dataclass(frozen=True)
class EmpiricalCurve:
    """An empirical law fitted to one series.

    Parameters
    ----------
    law : {"square root", "power law"}
    coefficients : tuple of float
        ``(y0, a, b)`` in ``y0 + a sqrt(n) + b n`` or ``y0 + a n**b``.
    """

    law: str
    coefficients: tuple[float, float, float]

    def __call__(self, n: ArrayLike) -> NDArray[np.float64]:
        """Value of the curve at coordinates `n`, in the unit of the fitted series."""
        n = np.asarray(n, dtype=float)
        y0, a, b = self.coefficients
        if self.law == "square root":
            return y0 + a * np.sqrt(n) + b * n
        return y0 + a * n**b


@dataclass(frozen=True)
class Comparison:
    """A model beside others on the same points; smaller AICc is better.

    Parameters
    ----------
    law : str
        ``"model"``, ``"square root"`` or ``"power law"``.
    parameters : int
        Estimated numbers, noise levels included.
    points : int
    rms : float
        Root mean square of the normalised residuals.
    aicc : float
    """

    law: str
    parameters: int
    points: int
    rms: float
    aicc: float


def fit_square_root(n: ArrayLike, y: ArrayLike, std: ArrayLike) -> EmpiricalCurve:
    """Fit ``y0 + a sqrt(n) + b n`` by weighted linear least squares.

    Parameters
    ----------
    n, y, std : array_like, shape (k,)
        Coordinates (not negative), values, and standard deviations of the values.

    Returns
    -------
    EmpiricalCurve
    """
    n = np.asarray(n, dtype=float)
    scale = n.max() or 1.0  # columns of like size
    columns = [np.ones_like(n), np.sqrt(n / scale), n / scale]
    (y0, a, b), _ = _solve(columns, y, std)
    return EmpiricalCurve("square root", (float(y0), float(a / np.sqrt(scale)), float(b / scale)))


def fit_power_law(n: ArrayLike, y: ArrayLike, std: ArrayLike) -> EmpiricalCurve:
    """Fit ``y0 + a n**b`` by weighted least squares, with b from 0.1 to 4.

    The two linear coefficients are eliminated (variable projection, Golub & Pereyra 1973,
    doi:10.1137/0710036); the exponent is searched on a grid and refined.

    Parameters
    ----------
    n, y, std : array_like, shape (k,)
        Coordinates (not negative), values, and standard deviations of the values.

    Returns
    -------
    EmpiricalCurve
    """
    n = np.asarray(n, dtype=float)
    scale = n.max() or 1.0

    def solve(power: float) -> tuple[NDArray[np.float64], float]:
        return _solve([np.ones_like(n), (n / scale) ** power], y, std)

    grid = np.geomspace(*_POWERS, 40)
    best = int(np.argmin([solve(power)[1] for power in grid]))
    around = (float(grid[max(best - 1, 0)]), float(grid[min(best + 1, grid.size - 1)]))
    refined = scipy.optimize.minimize_scalar(
        lambda power: solve(power)[1], bounds=around, method="bounded", options={"xatol": 1e-9}
    )
    power = float(refined.x)
    (y0, a), _ = solve(power)
    return EmpiricalCurve("power law", (float(y0), float(a / scale**power), power))


def compare_with_empirical(
    observations: Observations, residuals: NDArray[np.float64], parameters: int
) -> tuple[Comparison, ...]:
    """AICc of a fitted model beside that of the empirical laws, on its scalar series.

    Parameters
    ----------
    observations : Observations
        Of the whole fit.
    residuals : ndarray, shape (k,)
        Its normalised residuals.
    parameters : int
        Number of its free parameters.

    Returns
    -------
    tuple of Comparison
        Empty when no scalar series has enough points.
    """
    chosen = _comparable(observations)
    if not chosen.any():
        return ()
    subset = _subset(observations, chosen)
    curves = len(subset.points.sets)
    return (
        _compared("model", subset, residuals[chosen], parameters),
        _compared("square root", subset, _residuals(subset, fit_square_root), 3 * curves),
        _compared("power law", subset, _residuals(subset, fit_power_law), 3 * curves),
    )


# ------------------------------------------------------------------------------------------


def _comparable(observations: Observations) -> NDArray[np.bool_]:
    enough = [
        points.column is None and points.size >= _FEWEST and points.at.min() >= 0
        for points in observations.points
    ]
    return np.array(enough, dtype=bool)[observations.series]


def _subset(observations: Observations, chosen: NDArray[np.bool_]) -> Observations:
    """The chosen points, which are whole series."""
    kept = set(observations.series[chosen].tolist())
    return Observations(
        points=Points(tuple(s for i, s in enumerate(observations.points) if i in kept)),
        data=observations.data[chosen],
        std=observations.std[chosen],
        variables=observations.variables,
        owner=observations.owner[chosen],
        position=observations.position[chosen],
        charge=observations.charge[chosen],
        time=observations.time[chosen],
    )


def _residuals(
    observations: Observations, fit: Callable[[ArrayLike, ArrayLike, ArrayLike], EmpiricalCurve]
) -> NDArray[np.float64]:
    values = []
    for points, part in zip(observations.points, observations.points.slices(), strict=True):
        curve = fit(points.at, observations.data[part], observations.std[part])
        values.append(curve(points.at))
    return observations.residuals(np.concatenate(values))


def _compared(
    law: str, observations: Observations, residuals: NDArray[np.float64], parameters: int
) -> Comparison:
    counted = parameters + np.unique(observations.owner).size
    likelihood = residual_log_likelihood(observations, residuals)
    return Comparison(
        law=law,
        parameters=counted,
        points=residuals.size,
        rms=float(np.sqrt(np.mean(residuals**2))),
        aicc=aicc(likelihood, counted, residuals.size),
    )


def _solve(
    columns: list[NDArray[np.float64]], y: ArrayLike, std: ArrayLike
) -> tuple[NDArray[np.float64], float]:
    """Coefficients of weighted linear least squares, and their sum of squares."""
    std = np.asarray(std, dtype=float)
    matrix, right = np.stack(columns, axis=1) / std[:, None], np.asarray(y, dtype=float) / std
    coefficients = np.linalg.lstsq(matrix, right, rcond=None)[0]
    misfit = matrix @ coefficients - right
    return coefficients, float(misfit @ misfit)
