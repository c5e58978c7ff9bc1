"""Slow discharges and charges in the form in which electrode balances are fitted to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cellmodels.errors import InputError, did_you_mean
from cellmodels.record.cycles.curves import integral_at, rising

__all__ = ["FEWEST", "SETTLE", "Direction", "OcvCurve", "ocv_curve"]

Array = NDArray[np.float64]
Direction = Literal["discharge", "charge", "mean"]
DIRECTIONS: dict[str, float] = {"discharge": 1.0, "charge": -1.0, "mean": 0.0}

FEWEST = 8  # points of a curve
_INTERVALS = 200
SETTLE = 0.03
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(3)


@dataclass(frozen=True, eq=False)
class OcvCurve:
    """Voltage of a cell over the charge that was discharged since it was full.

    Parameters
    ----------
    charge : ndarray, shape (n, g)
        Discharged charge [A.h]. The voltage of a point is the mean over its g places.
    weights : ndarray, shape (g,)
        Their weights.
    voltage : ndarray, shape (n,)
        [V].
    share : float
        1 for a discharge, -1 for a charge, 0 for the mean of both.
    raw : tuple of ndarray
        Charge and voltage, rising in charge, as they were measured.
    """

    charge: Array
    weights: Array
    voltage: Array
    share: float
    raw: tuple[Array, Array]

    @property
    def middle(self) -> Array:
        """Charge of each point [A.h], shape (n,)."""
        return np.asarray(self.charge @ self.weights)

    @property
    def span(self) -> float:
        """Charge between the first and the last measured row [A.h]."""
        return float(self.raw[0][-1] - self.raw[0][0])

    @property
    def place(self) -> Array:
        """Charge of each point as a share of the span, shape (n,)."""
        return np.asarray((self.middle - self.raw[0][0]) / self.span)


def ocv_curve(
    charge: ArrayLike,
    voltage: ArrayLike,
    direction: Direction | None = None,
    where: str = "The curve",
    settle: float = SETTLE,
) -> OcvCurve:
    """Bring a measured curve into the form that is fitted.

    Parameters
    ----------
    charge : array_like, shape (n,)
        Charge [A.h], discharged since the cell was full where the voltage falls with it. Where the
        voltage rises with it, it is what was charged, and the last row is the full cell.
    voltage : array_like, shape (n,)
        [V].
    direction : {"discharge", "charge", "mean"}, optional
        Whether it was measured on discharge, on charge, or is the mean of both. By default it is
        the direction in which the voltage runs over the charge given.
    where : str
        What it is, for messages.
    settle : float
        Share of the charge after the current has begun that is left out: until lithium has spread
        in the particles and the electrolyte the overvoltage is not the later one. Of a mean of
        both directions it is left out at either end.

    Returns
    -------
    OcvCurve
        Curves of more than 400 rows are means over 200 equal intervals of charge, in each of which
        the model is averaged too (Gauss, three points), so that steep ends are not blurred.

    Raises
    ------
    InputError
        If the numbers are no such curve.
    """
    q, v = np.asarray(charge, dtype=float), np.asarray(voltage, dtype=float)
    if q.ndim != 1 or q.shape != v.shape:
        raise InputError(f"{where}: charge {q.shape} and voltage {v.shape} must be as many.")
    if np.isinf(q).any() or np.isinf(v).any():
        raise InputError(f"{where}: a number is infinite.")
    known = np.isfinite(q) & np.isfinite(v)
    q, v = q[known], v[known]
    if q.size < FEWEST or q.max() == q.min():
        raise InputError(f"{where} has {q.size} points; electrode balance needs {FEWEST}.")
    if direction is not None and direction not in DIRECTIONS:
        hint = did_you_mean(str(direction), list(DIRECTIONS))
        raise InputError(f"{where}: there is no direction {direction!r}.{hint}")
    q, v = rising(q, v)
    if v[-1] > v[0]:
        direction = direction or "charge"
        q, v = rising(q[-1] - q, v)
    share = DIRECTIONS[direction or "discharge"]
    if not 0 <= settle < 0.5:
        raise InputError(f"settle is a share of the charge below 0.5, not {settle!r}.")
    points, weights, means = _points(q, v)
    place = (points @ weights - q[0]) / (q[-1] - q[0])
    kept = (place >= settle * (share >= 0)) & (place <= 1.0 - settle * (share <= 0))
    if kept.sum() < FEWEST:
        raise InputError(f"{where} has {kept.sum()} settled points; {FEWEST} are needed.")
    return OcvCurve(points[kept], weights, means[kept], share, (q, v))


def _points(q: Array, v: Array) -> tuple[Array, Array, Array]:
    """Places, weights and voltages of the points that are fitted."""
    if q.size <= 2 * _INTERVALS:
        return q[:, None], np.ones(1), v
    edges = np.linspace(q[0], q[-1], _INTERVALS + 1)
    means = np.diff(integral_at(edges, q, v)) / np.diff(edges)
    middle, half = (edges[1:] + edges[:-1]) / 2, np.diff(edges) / 2
    return middle[:, None] + half[:, None] * _NODES, _WEIGHTS / 2, means
