"""From a simulated life to the quantities that a record holds, with their derivatives.

Names and units are those of the record schema (`cellmodels.record.schema`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cellmodels.solver.blocks import BlockLife
from cellmodels.solver.cycle_map import FEATURES
from cellmodels.solver.life import Life
from cellmodels.solver.step import HOUR, StepSpec

#: Quantities of /cycles that a simulated life gives, and their units.
CYCLE_UNITS = {
    "discharge_capacity": "A.h",
    "charge_capacity": "A.h",
    "cc_charge_capacity": "A.h",
    "cv_charge_capacity": "A.h",
    "discharge_energy": "W.h",
    "charge_energy": "W.h",
    "coulombic_efficiency": "-",
    "energy_efficiency": "-",
    "voltage_efficiency": "-",
    "area_specific_resistance": "ohm.m2",
}

#: The charge that one step of the cycle passes, whatever its direction; steps count from 1.
_OF_STEP = "charge_of_step_"

#: Charge or energy that counts as none [A.h, W.h].
_NOTHING = 1e-9

Values = tuple[np.ndarray, np.ndarray]


class CycleObservables:
    """Per-cycle quantities of a life.

    Parameters
    ----------
    specs : sequence of StepSpec
        The steps of the cycle.
    area : float
        That current densities refer to [m2].
    """

    def __init__(self, specs: Sequence[StepSpec], area: float) -> None:
        self._area = area
        self._hold = np.array([spec.control.kind == "voltage" for spec in specs])

    def names(self) -> tuple[str, ...]:
        """The quantities that can be asked for."""
        return (*CYCLE_UNITS, *(f"{_OF_STEP}{k + 1}" for k in range(self._hold.size)))

    def integer(self, life: Life | BlockLife, name: str, cycle: np.ndarray) -> Values:
        """A quantity in whole cycles, 1 … life.cycles.

        Returns
        -------
        numpy.ndarray, numpy.ndarray
            Values, shape (k,), and derivatives with respect to theta, (k, n_theta).
        """
        features, directions = life.features(np.asarray(cycle, int) - 1)
        count = len(FEATURES)
        values = {f: features[:, i::count] for i, f in enumerate(FEATURES)}
        slopes = {f: directions[:, i::count] for i, f in enumerate(FEATURES)}
        if name.startswith(_OF_STEP):
            k = int(name.removeprefix(_OF_STEP)) - 1
            charge, slope = values["charge"][:, k], slopes["charge"][:, k]
            way = np.where(charge < 0.0, -1.0, 1.0)
            return way * charge, way[:, None] * slope
        if name in ("coulombic_efficiency", "energy_efficiency"):
            kind = "charge" if name.startswith("coulombic") else "energy"
            return _ratio(self._sum(values, slopes, kind, 1), self._sum(values, slopes, kind, -1))
        if name in ("voltage_efficiency", "area_specific_resistance"):
            out, back = (self._mean(values, slopes, "energy", "charge", sign) for sign in (1, -1))
            if name == "voltage_efficiency":
                return _ratio(out, back)
            drop = back[0] - out[0], back[1] - out[1]
            down, up = (self._mean(values, slopes, "charge", "duration", s) for s in (1, -1))
            per_area = HOUR / self._area
            return _ratio(drop, (per_area * (down[0] + up[0]), per_area * (down[1] + up[1])))
        kind = "energy" if name.endswith("energy") else "charge"
        sign = 1 if name.startswith("discharge") else -1
        chosen = {"cc": ~self._hold, "cv": self._hold}.get(name[:2])
        return self._sum(values, slopes, kind, sign, chosen)

    def _mean(self, values: dict, slopes: dict, top: str, bottom: str, sign: int) -> Values:
        """Ratio of two sums over the steps that discharge (sign 1) or charge (sign -1)."""
        direction = sign if bottom == "duration" else 1
        above, below = (self._sum(values, slopes, kind, sign) for kind in (top, bottom))
        return _ratio(above, (direction * below[0], direction * below[1]))

    def _sum(
        self, values: dict, slopes: dict, kind: str, sign: int, chosen: np.ndarray | None = None
    ) -> Values:
        """Sum over the steps that discharge (sign 1) or charge (sign -1)."""
        mask = sign * values["charge"] > 0.0
        if chosen is not None:
            mask = mask & chosen
        return (
            np.sum(sign * values[kind] * mask, axis=1),
            np.sum(sign * slopes[kind] * mask[:, :, None], axis=1),
        )


def counters(life: Life | BlockLife) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Cycle number, throughput [A.h] and elapsed time [s] after 0 … life.cycles cycles.

    Returns
    -------
    dict of str to numpy.ndarray
        Values by coordinate, shape (cycles + 1,).
    dict of str to numpy.ndarray
        Derivatives with respect to theta, shape (cycles + 1, n_theta).
    """
    n = np.arange(life.cycles + 1)
    states, directions = life.states(n)
    values = {"cycle": n.astype(float), "throughput": states[:, -2], "elapsed_time": states[:, -1]}
    slopes = {
        "cycle": np.zeros(directions[:, 0].shape),
        "throughput": directions[:, -2],
        "elapsed_time": directions[:, -1],
    }
    return values, slopes


def locate(life: Life | BlockLife, coordinate: str, at: np.ndarray) -> Values:
    """The number of completed cycles at which a coordinate has a value.

    Returns
    -------
    numpy.ndarray, numpy.ndarray
        Not necessarily whole numbers, shape (k,), and derivatives, (k, n_theta); linear
        between whole cycles. NaN where the life did not get that far.
    """
    values, slopes = counters(life)
    axis, tilt = values[coordinate], slopes[coordinate]
    at = np.asarray(at, float)
    low = np.clip(np.searchsorted(axis, at, side="right") - 1, 0, max(len(axis) - 2, 0))
    if len(axis) == 1:
        n = np.where(at <= axis[0], 0.0, np.nan)
        return n, np.zeros((len(at), tilt.shape[1]))
    step = axis[low + 1] - axis[low]
    part = (at - axis[low]) / step
    moved = -((1.0 - part)[:, None] * tilt[low] + part[:, None] * tilt[low + 1]) / step[:, None]
    n = low + part
    slack = 1e-9 * max(abs(float(axis[-1])), 1.0)
    return np.where(at > axis[-1] + slack, np.nan, n), moved


def between(
    values: np.ndarray, directions: np.ndarray, n: np.ndarray, dn: np.ndarray, low: np.ndarray
) -> Values:
    """Linear interpolation between the values at whole numbers `low` and `low` + 1.

    `values` has shape (k, 2), `directions` (k, 2, n_theta), `n` (k,), `dn` (k, n_theta).
    """
    part = n - low
    value = (1.0 - part) * values[:, 0] + part * values[:, 1]
    slope = (values[:, 1] - values[:, 0])[:, None] * dn
    direction = (1.0 - part)[:, None] * directions[:, 0] + part[:, None] * directions[:, 1] + slope
    return value, direction


def state_at(life: Life | BlockLife, n: float, dn: np.ndarray) -> Values:
    """Cell state x after n cycles, not necessarily whole: (nx,) and (nx, n_theta)."""
    low = int(np.clip(np.floor(n), 0, max(life.cycles - 1, 0)))
    pair = np.array([low, min(low + 1, life.cycles)])
    states, directions = life.states(pair)
    part = n - low
    x = (1.0 - part) * states[0] + part * states[1]
    dx = (1.0 - part) * directions[0] + part * directions[1] + np.outer(states[1] - states[0], dn)
    return x[:-2], dx[:-2]


def _ratio(top: Values, bottom: Values) -> Values:
    # a cycle that does not charge has no efficiency
    below = np.where(bottom[0] > _NOTHING, bottom[0], np.nan)
    value = top[0] / below
    return value, (top[1] - value[:, None] * bottom[1]) / below[:, None]
