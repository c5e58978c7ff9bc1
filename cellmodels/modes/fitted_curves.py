"""Fitted curves as a dataset: measured and model, their derivatives and each electrode's part."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from cellmodels.errors import InputError
from cellmodels.modes.curves import OcvCurve
from cellmodels.modes.electrodes import Model
from cellmodels.modes.joint import Solution
from cellmodels.record.cycles.curves import differential_voltage, incremental_capacity

__all__ = ["curves_dataset"]

Array = NDArray[np.float64]

_POINTS = 400
_WINDOW = 0.02  # of the charge, and at least
_WINDOW_ROWS = 3.0
_WIDTH = 0.003  # V, and at least
_WIDTH_ROWS = 1.5
_SLOPE, _DENSITY = "V.A-1.h-1", "A.h.V-1"


def curves_dataset(model: Model, curves: Sequence[OcvCurve], solution: Solution) -> xr.Dataset:
    """Measured curves with the fitted ones.

    Parameters
    ----------
    model : Model
    curves : sequence of OcvCurve
    solution : Solution

    Returns
    -------
    xarray.Dataset
        Dimension ``checkup``. Along ``point``: ``charge`` [A.h], ``voltage``, ``model_voltage``,
        ``negative_potential``, ``positive_potential`` [V], and ``differential_voltage``,
        ``model_differential_voltage`` and the parts of both electrodes in it,
        ``negative_differential_voltage`` and ``positive_differential_voltage`` [V.A-1.h-1]. Along
        ``place``: ``level`` [V], ``incremental_capacity`` and ``model_incremental_capacity``
        [A.h.V-1]. Along ``fitted_point``: ``fitted_charge`` [A.h] and ``residual`` [V], model minus
        data. Measured and model are smoothed alike.
    """
    longest = max(len(residual) for residual in solution.residuals)
    found = []
    for values, curve, residual in zip(
        solution.unknowns.values, curves, solution.residuals, strict=True
    ):
        filled = np.full((2, longest), np.nan)
        filled[:, : len(residual)] = curve.middle, residual
        part = _one(model, values, solution.unknowns.errors, curve)
        part["fitted_charge"] = ("fitted_point", filled[0], {"units": "A.h"})
        part["residual"] = ("fitted_point", filled[1], {"units": "V"})
        found.append(part)
    return xr.concat(found, "checkup")


def _one(model: Model, values: Array, errors: Array, curve: OcvCurve) -> xr.Dataset:
    q, v = curve.raw
    at = np.linspace(q[0], q[-1], _POINTS)
    negative, positive = (side[0] for side in model.potentials(values, errors, at, curve.share))
    overvoltage = values[4] if curve.share >= 0 else -values[4]
    modelled = positive - negative - overvoltage
    window = float(np.clip(_WINDOW_ROWS / q.size, _WINDOW, 0.5))
    width = max(_WIDTH, _WIDTH_ROWS * float(np.ptp(v)) / q.size)
    level = np.linspace(v.min(), v.max(), _POINTS)
    volts = {
        "voltage": np.interp(at, q, v),
        "model_voltage": modelled,
        "negative_potential": negative,
        "positive_potential": positive,
    }
    slopes = {
        "differential_voltage": _slope(at, q, v, window),
        "model_differential_voltage": _slope(at, at, modelled, window),
        "negative_differential_voltage": _slope(at, at, -negative, window),
        "positive_differential_voltage": _slope(at, at, positive, window),
    }
    densities = {
        "incremental_capacity": _density(level, q, v, width),
        "model_incremental_capacity": _density(level, at, modelled, width),
    }
    return xr.Dataset(
        {
            "charge": ("point", at, {"units": "A.h"}),
            **{n: ("point", x, {"units": "V"}) for n, x in volts.items()},
            **{n: ("point", x, {"units": _SLOPE}) for n, x in slopes.items()},
            "level": ("place", level, {"units": "V"}),
            **{n: ("place", x, {"units": _DENSITY}) for n, x in densities.items()},
        }
    )


def _slope(at: Array, q: Array, v: Array, window: float) -> Array:
    """Fall of a voltage, or of its part, with the discharged charge."""
    found = differential_voltage(q, v, smoothing=window)
    return np.interp(at, found["charge"].values, found["differential_voltage"].values)


def _density(level: Array, q: Array, v: Array, width: float) -> Array:
    try:
        found = incremental_capacity(q, v, smoothing=width)
    except InputError:  # the voltage hardly changes
        return np.full(level.size, np.nan)
    known = found["incremental_capacity"].values
    return np.interp(level, found["voltage"].values, known, left=np.nan, right=np.nan)
