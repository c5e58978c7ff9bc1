"""From a simulated life to the quantities that a record holds, with their derivatives.

Names and units are those of the record schema (`cellmodels.record.schema`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cellmodels.solver.blocks import BlockLife
from cellmodels.solver.features import FEATURES, FOLLOWED
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
    "mean_discharge_current": "A",
    "mean_charge_current": "A",
    "mean_discharge_voltage": "V",
    "mean_charge_voltage": "V",
    "end_of_discharge_voltage": "V",
    "end_of_charge_voltage": "V",
    "rest_voltage_after_discharge": "V",
    "rest_voltage_after_charge": "V",
    "cv_charge_time": "s",
}
#: Further ones, of a cell with a temperature of its own.
TEMPERATURE_UNITS = {"mean_temperature": "K", "max_temperature": "K"}

#: The charge that one step of the cycle passes, whatever its direction; steps count from 1.
_OF_STEP = "charge_of_step_"

#: What is divided to a mean over time.
_OVER_TIME = ("integral", "duration")
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
    temperature : bool
        Whether the cell's temperature is followed along the steps.

    Attributes
    ----------
    units : dict of str to str
        The quantities that can be asked for, and their units.

    Notes
    -----
    Definitions are those of records made from traces (`cellmodels.record.cycles.cycling`). Of the
    steps of one direction the one that passes most charge counts for voltages, together with
    those that follow it in the same direction: ``end_of_discharge_voltage`` is the lowest at their
    ends, ``end_of_charge_voltage`` that at the end of the last, a rest voltage that at the end of
    the rests after them, in the same cycle. Temperatures are those of the whole cycle, rests
    included: the mean over time, and the highest, whose derivative is that of the temperature
    where it is highest. A rest voltage is given where a rest follows in the cycle.
    """

    def __init__(
        self, specs: Sequence[StepSpec], area: float, *, temperature: bool = False
    ) -> None:
        self._area = area
        self._hold = np.array([spec.control.kind == "voltage" for spec in specs])
        self._rest = np.array(
            [spec.control.kind == "current" and spec.control.value == 0.0 for spec in specs]
        )
        self._features = (*FEATURES, *FOLLOWED) if temperature else FEATURES
        given = {**CYCLE_UNITS, **(TEMPERATURE_UNITS if temperature else {})}
        for name in sorted({"discharge", "charge"} - _rested(specs)):
            del given[f"rest_voltage_after_{name}"]
        self.units = given

    def names(self) -> tuple[str, ...]:
        """The quantities that can be asked for."""
        return (*self.units, *(f"{_OF_STEP}{k + 1}" for k in range(self._hold.size)))

    def integer(self, life: Life | BlockLife, name: str, cycle: np.ndarray) -> Values:
        """A quantity in whole cycles, 1 … life.cycles.

        Returns
        -------
        numpy.ndarray, numpy.ndarray
            Values, shape (k,), and derivatives with respect to theta, (k, n_theta).
        """
        features, directions = life.features(np.asarray(cycle, int) - 1)
        count = len(self._features)
        values = {f: features[:, i::count] for i, f in enumerate(self._features)}
        slopes = {f: directions[:, i::count] for i, f in enumerate(self._features)}
        if name.startswith(_OF_STEP):
            step = int(name.removeprefix(_OF_STEP)) - 1
            charge, slope = values["charge"][:, step], slopes["charge"][:, step]
            direction = np.where(charge < 0.0, -1.0, 1.0)
            return direction * charge, direction[:, None] * slope
        if name in TEMPERATURE_UNITS:
            return _temperature(values, slopes, name)
        if name.startswith(("end_of", "rest_voltage")):
            return self._voltage(values, slopes, name)
        if name.startswith("mean_"):
            sign = 1 if "discharge" in name else -1
            if name.endswith("voltage"):
                return self._mean(values, slopes, "energy", "charge", sign)
            mean, slope = self._mean(values, slopes, "charge", "duration", sign)
            return HOUR * mean, HOUR * slope
        if name == "cv_charge_time":
            held = self._sum(values, slopes, "duration", -1, self._hold)
            return -held[0], -held[1]
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

    def _voltage(self, values: dict, slopes: dict, name: str) -> Values:
        """Voltage at the end of a discharge or charge, or of the rests after it."""
        sign = 1.0 if name.endswith("discharge") or name.startswith("end_of_discharge") else -1.0
        charge, ends = sign * values["charge"], values["end_voltage"]
        counted = charge > 0.0
        largest = np.argmax(charge, axis=1)
        position, last = largest.copy(), largest.copy()
        for j in range(1, charge.shape[1]):
            here = (position == j - 1) & ~self._rest[j]
            # a step that took no time stands between others as if it were not there
            position[here & (charge[:, j] >= 0.0)] = j
            last[here & counted[:, j]] = j
        valid = np.max(charge, axis=1) > _NOTHING
        if name.startswith("rest_voltage"):
            chosen = position.copy()
            for j in range(1, charge.shape[1]):
                chosen[(chosen == j - 1) & self._rest[j]] = j
            valid &= chosen > position
        elif sign > 0:
            steps = np.arange(charge.shape[1])
            inside = (steps >= largest[:, None]) & (steps <= last[:, None]) & counted
            chosen = np.argmin(np.where(inside, ends, np.inf), axis=1)
        else:
            chosen = last
        rows = np.arange(len(charge))
        return np.where(valid, ends[rows, chosen], np.nan), slopes["end_voltage"][rows, chosen]

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


def _rested(specs: Sequence[StepSpec]) -> set[str]:
    """After which of "discharge" and "charge" the steps of a cycle rest."""
    found: set[str] = set()
    before = {"discharge", "charge"} if specs[0].control.kind == "voltage" else set[str]()
    for spec in specs:
        if spec.control.kind == "voltage":
            continue  # it goes on in the direction of the step before
        if spec.control.value == 0.0:
            found |= before
        else:
            before = {"discharge" if spec.control.value > 0.0 else "charge"}
    return found


def _temperature(values: dict, slopes: dict, name: str) -> Values:
    """Mean over time, or the highest, of a cycle."""
    if name == "mean_temperature":
        sums = [(np.sum(values[f], axis=1), np.sum(slopes[f], axis=1)) for f in _OVER_TIME]
        return _ratio(sums[0], sums[1])
    highest = values["highest"]
    rows, top = np.arange(len(highest)), np.argmax(highest, axis=1)
    return highest[rows, top], slopes["highest"][rows, top]


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
