"""Curves of slow discharges and charges: pseudo-open-circuit voltage and its derivatives."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.signal import savgol_filter

from cellmodels.errors import InputError

__all__ = ["differential_voltage", "incremental_capacity", "pseudo_ocv"]

_BINS = 5  # of the voltage, in one width of smoothing
_MOST_BINS = 1_000_000
_NARROW = 1e-3  # of an interval of voltage
_REACH = 5.0  # widths after which the kernel is cut off
_WINDOW = 51  # points of the charge's grid in one window
_ORDER = 3  # of the polynomial in a window

Array = NDArray[np.float64]


def incremental_capacity(
    charge: ArrayLike, voltage: ArrayLike, *, smoothing: float = 0.003
) -> xr.Dataset:
    r"""Incremental capacity dQ/dV of a slow discharge or charge.

    It is the density of the charge over voltage, so it is found by counting: the charge that
    passes in each narrow interval of voltage, as in the level evaluation analysis of Feng et al.
    (2020), doi:10.1016/j.etran.2020.100051, smoothed by a normal kernel (Parzen (1962),
    doi:10.1214/aoms/1177704472),

    .. math:: dQ/dV(v) = \int N(v - V(q); \sigma)\, |dq| .

    That needs no voltage without noise, and the kernel is symmetric: a symmetric peak stays where
    it is, a normal one of width s becomes one of width sqrt(s² + σ²), and the charge under the
    curve is that passed. Near the first and last voltage the result is divided by the share of the
    kernel that lies within. For how such curves are read see Dubarry and Anseán (2022),
    doi:10.3389/fenrg.2022.1023555.

    Parameters
    ----------
    charge : array_like, shape (n,)
        Charge that has passed [A.h], rising or falling.
    voltage : array_like, shape (n,)
        Voltage then [V].
    smoothing : float
        Standard deviation σ of the kernel [V]: wider than the voltage's noise and resolution,
        narrower than the peaks.

    Returns
    -------
    xarray.Dataset
        ``incremental_capacity`` [A.h.V-1], positive in either direction, over ``voltage`` [V],
        five points in each width.

    Raises
    ------
    InputError
        If there are fewer than three points, no voltage is passed, or a number is wrong.
    """
    q, v = _checked(charge, voltage)
    if not smoothing > 0:
        raise InputError(f"The smoothing must be positive [V], not {smoothing!r}.")
    low, high = float(v.min()), float(v.max())
    width = smoothing / _BINS
    count = int(np.ceil((high - low) / width))
    if count < 2:
        raise InputError(
            f"The voltage varies by {high - low:.3g} V, less than the smoothing of {smoothing:g} V."
        )
    if count > _MOST_BINS:
        raise InputError(f"A smoothing of {smoothing:g} V is too fine for {high - low:.3g} V.")
    edges: Array = low + width * np.arange(count + 1, dtype=float)
    passed = _charge_in(edges, np.abs(np.diff(q)), v)
    inside = np.ones(count)
    inside[-1] = (high - edges[-2]) / width  # the last interval may be cut off
    kernel = {"sigma": _BINS, "mode": "constant", "truncate": _REACH}
    density = gaussian_filter1d(passed, **kernel) / gaussian_filter1d(inside, **kernel) / width
    return xr.Dataset(
        {
            "incremental_capacity": (
                "voltage",
                density,
                {"units": "A.h.V-1", "long_name": "incremental capacity"},
            )
        },
        {"voltage": ("voltage", edges[:-1] + width / 2, {"units": "V", "long_name": "voltage"})},
        {"smoothing": smoothing, "method": "charge counted over voltage, normal kernel"},
    )


def differential_voltage(
    charge: ArrayLike, voltage: ArrayLike, *, smoothing: float = 0.02
) -> xr.Dataset:
    """Differential voltage dV/dQ of a slow discharge or charge.

    As in Bloom et al. (2005), doi:10.1016/j.jpowsour.2004.07.021: the voltage as means over equal
    intervals of charge, differentiated by cubic polynomials fitted in a moving window (Savitzky
    and Golay (1964), doi:10.1021/ac60214a047). A window is symmetric, and reproduces cubic
    voltages exactly.

    Parameters
    ----------
    charge : array_like, shape (n,)
        Charge that has passed [A.h], rising or falling.
    voltage : array_like, shape (n,)
        Voltage then [V].
    smoothing : float
        Length of the window, as a share of the whole charge.

    Returns
    -------
    xarray.Dataset
        ``differential_voltage`` [V.A-1.h-1], positive where voltage falls with discharge or rises
        with charge, over ``charge`` [A.h], which begins at the first one given and rises.

    Raises
    ------
    InputError
        If there are fewer than three points, no charge passes, or a number is wrong.
    """
    q, v = _checked(charge, voltage)
    if not 0 < smoothing <= 0.5:
        raise InputError(f"The smoothing is a share of the charge up to 0.5, not {smoothing!r}.")
    q, v = rising(q, v)
    count = int(np.ceil(_WINDOW / smoothing))
    edges = np.linspace(q[0], q[-1], count + 1)
    means = np.diff(integral_at(edges, q, v)) / np.diff(edges)
    slope = savgol_filter(means, _WINDOW, _ORDER, deriv=1, delta=float(edges[1] - edges[0]))
    sign = np.sign(v[-1] - v[0]) or 1.0
    return xr.Dataset(
        {
            "differential_voltage": (
                "charge",
                sign * slope,
                {"units": "V.A-1.h-1", "long_name": "differential voltage"},
            )
        },
        {
            "charge": (
                "charge",
                (edges[1:] + edges[:-1]) / 2,
                {"units": "A.h", "long_name": "charge"},
            )
        },
        {
            "smoothing": smoothing,
            "method": "Savitzky-Golay, cubic, window as a share of the charge",
        },
    )


def pseudo_ocv(
    discharge: tuple[ArrayLike, ArrayLike],
    charge: tuple[ArrayLike, ArrayLike],
    points: int = 201,
) -> xr.Dataset:
    """Open-circuit voltage between a slow discharge and a slow charge, at equal charge.

    Half of the way between both, equal overvoltages cancel. What stays is what differs between the
    directions, such as a hysteresis that is not symmetric.

    Parameters
    ----------
    discharge, charge : pair of array_like, each of shape (n,)
        Charge discharged since the same moment [A.h], and voltage [V]: rising and falling charges
        of one counter, so that equal charge is the same state of charge.
    points : int
        How many.

    Returns
    -------
    xarray.Dataset
        ``voltage``, the mean, and ``discharge_voltage`` and ``charge_voltage`` [V] over ``charge``
        [A.h], where both are known.

    Raises
    ------
    InputError
        If they have no charge in common, or a number is wrong.
    """
    down, up = rising(*_checked(*discharge)), rising(*_checked(*charge))
    low, high = max(down[0][0], up[0][0]), min(down[0][-1], up[0][-1])
    if not high > low:
        raise InputError(
            f"The discharge ({down[0][0]:.4g} to {down[0][-1]:.4g} A.h) and the charge "
            f"({up[0][0]:.4g} to {up[0][-1]:.4g} A.h) have no charge in common."
        )
    at = np.linspace(low, high, points)
    branches = {"discharge_voltage": np.interp(at, *down), "charge_voltage": np.interp(at, *up)}
    mean = 0.5 * (branches["discharge_voltage"] + branches["charge_voltage"])
    values = {"voltage": mean, **branches}
    return xr.Dataset(
        {name: ("charge", found, {"units": "V"}) for name, found in values.items()},
        {"charge": ("charge", at, {"units": "A.h", "long_name": "discharged charge"})},
    )


def _checked(charge: ArrayLike, voltage: ArrayLike) -> tuple[Array, Array]:
    q, v = np.asarray(charge, dtype=float), np.asarray(voltage, dtype=float)
    if q.ndim != 1 or q.shape != v.shape:
        raise InputError(f"Charge {q.shape} and voltage {v.shape} must be as many, in one row.")
    if len(q) < 3 or not (np.isfinite(q).all() and np.isfinite(v).all()):
        raise InputError("A curve needs at least three points, without missing numbers.")
    return q, v


def rising(q: Array, v: Array) -> tuple[Array, Array]:
    """A curve in the order of rising charge; rows without charge are left out.

    Raises
    ------
    InputError
        If no charge passes.
    """
    if q[-1] == q[0]:
        raise InputError("No charge passes along the curve.")
    if q[-1] < q[0]:
        q, v = q[::-1], v[::-1]
    new = np.concatenate([[True], q[1:] > np.maximum.accumulate(q)[:-1]])
    return q[new], v[new]


def _charge_in(edges: Array, passed: Array, v: Array) -> Array:
    """Charge in each interval of voltage, where the voltage is linear between the rows."""
    width = edges[1] - edges[0]
    low, high = (f(v[1:], v[:-1]) - edges[0] for f in (np.minimum, np.maximum))
    narrow = high - low < _NARROW * width  # all of it at one voltage
    low[narrow] -= _NARROW * width / 2
    high[narrow] = low[narrow] + _NARROW * width
    slope = passed / (high - low)
    below = _ramps(edges - edges[0], low, slope) - _ramps(edges - edges[0], high, slope)
    below[0], below[-1] = 0.0, passed.sum()
    return np.diff(below)


def _ramps(at: Array, start: Array, slope: Array) -> Array:
    """Sum of ramps, each of which is zero up to its start and then rises with its slope."""
    count = len(at)
    behind = np.clip(np.ceil(start / (at[1] - at[0])), 0, count).astype(int)  # first place after
    slopes = np.cumsum(np.bincount(behind, slope, count + 1)[:count])
    offsets = np.cumsum(np.bincount(behind, slope * start, count + 1)[:count])
    return np.asarray(slopes * at - offsets)


def integral_at(at: Array, x: Array, y: Array) -> Array:
    """Integral of a piecewise linear function from its first point to others."""
    steps = np.diff(x)
    whole = np.concatenate([[0.0], np.cumsum(steps * (y[1:] + y[:-1]) / 2)])
    k = np.clip(np.searchsorted(x, at, side="right") - 1, 0, len(x) - 2)
    along = at - x[k]
    slope = (y[k + 1] - y[k]) / steps[k]
    return np.asarray(whole[k] + along * (y[k] + slope * along / 2))
