"""Quantities of the electrodes and degradation modes, with derivatives by what was fitted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from cellmodels.modes.curves import OcvCurve
from cellmodels.modes.electrodes import PARAMETERS, Model
from cellmodels.modes.joint import Solution
from cellmodels.modes.linearised import Prior

__all__ = ["MODES", "QUANTITIES", "Values", "degradation", "electrode_quantities"]

Array = NDArray[np.float64]

#: What a balance tells of a cell, with unit and words; "full" and "empty" are the voltage limits.
QUANTITIES = {
    "negative_capacity": ("A.h", "capacity of the negative electrode"),
    "positive_capacity": ("A.h", "capacity of the positive electrode"),
    "lithium_inventory": ("A.h", "lithium in both electrodes"),
    "capacity": ("A.h", "capacity between the voltage limits at open circuit"),
    "negative_stoichiometry_full": ("-", "stoichiometry of the full negative electrode"),
    "negative_stoichiometry_empty": ("-", "stoichiometry of the empty negative electrode"),
    "positive_stoichiometry_full": ("-", "stoichiometry of the positive electrode, full cell"),
    "positive_stoichiometry_empty": ("-", "stoichiometry of the positive electrode, empty cell"),
    "overvoltage": ("V", "overvoltage"),
}

#: Degradation modes under the names of a cell's state, and the quantity whose loss each is.
MODES = {
    "loss_of_lithium_inventory": "lithium_inventory",
    "loss_of_active_material_negative": "negative_capacity",
    "loss_of_active_material_positive": "positive_capacity",
}

_BEYOND = 1.1  # stoichiometry up to which, and 0.1 below zero, a voltage limit is looked for


@dataclass(frozen=True, eq=False)
class Values:
    """Numbers of each curve, and their derivatives by all that was fitted.

    Parameters
    ----------
    names : tuple of str
    values : ndarray, shape (k, d)
    jacobian : ndarray, shape (k, d, z)
    """

    names: tuple[str, ...]
    values: Array
    jacobian: Array

    def covariance(self, of_fit: Array) -> Array:
        """Covariance, shape (k, d, k, d)."""
        rows = self.jacobian.reshape(-1, self.jacobian.shape[2])
        shape = self.values.shape
        return np.asarray(rows @ of_fit @ rows.T).reshape(*shape, *shape)


def electrode_quantities(
    model: Model, prior: Prior, solution: Solution, limits: tuple[float, float]
) -> Values:
    """The quantities of :data:`QUANTITIES`.

    Parameters
    ----------
    model : Model
    prior : Prior
        Which parameters are free.
    solution : Solution
    limits : tuple of (float, float)
        Lower and upper voltage limit of the cell [V].

    Returns
    -------
    Values
    """
    unknowns, free = solution.unknowns, prior.free
    count, size = len(unknowns.values), solution.covariance.shape[0]
    values = np.zeros((count, len(QUANTITIES)))
    jacobian = np.zeros((count, len(QUANTITIES), size))
    for k, own in enumerate(unknowns.values):
        values[k], by_own, by_errors = _quantities(model, own, unknowns.errors, limits)
        jacobian[k][:, k * free.size : (k + 1) * free.size] = by_own[:, free]
        jacobian[k][:, count * free.size :] = by_errors
    return Values(tuple(QUANTITIES), values, jacobian)


def _quantities(
    model: Model, own: Array, errors: Array, limits: tuple[float, float]
) -> tuple[Array, Array, Array]:
    """Of one curve: values (d,) and derivatives by its parameters (d, 7) and errors (d, m)."""
    negative, positive = np.exp(own[:2])
    unit = np.eye(len(PARAMETERS))
    nothing = np.zeros(errors.size)
    inventory = negative * unit[0] * own[2] + negative * unit[2]
    inventory = inventory + positive * unit[1] * own[3] + positive * unit[3]
    rows = [
        (negative, negative * unit[0], nothing),
        (positive, positive * unit[1], nothing),
        (negative * own[2] + positive * own[3], inventory, nothing),
    ]
    empty, full = (_at_voltage(model, own, errors, limit) for limit in limits)
    rows.append((empty[0] - full[0], empty[1] - full[1], empty[2] - full[2]))
    for side, sign, capacity in ((0, -1.0, negative), (1, 1.0, positive)):
        for charge, by_own, by_errors in (full, empty):
            moved = sign * (by_own - charge * unit[side]) / capacity
            rows.append(
                (own[2 + side] + sign * charge / capacity, unit[2 + side] + moved,
                 sign * by_errors / capacity)
            )  # fmt: skip
    rows.append((own[4], unit[4], nothing))
    return (
        np.array([value for value, *_ in rows]),
        np.array([by_own for _, by_own, _ in rows]),
        np.array([by_errors for *_, by_errors in rows]),
    )


def _at_voltage(
    model: Model, own: Array, errors: Array, voltage: float
) -> tuple[float, Array, Array]:
    """Charge at an open-circuit voltage, and its derivatives (implicit function theorem)."""
    still = own.copy()
    still[4:] = 0.0  # neither overvoltage nor one branch of a hysteresis

    def point(charge: float) -> tuple[Array, Array, Array]:
        one = np.array([[charge]])
        curve = OcvCurve(one, np.ones(1), np.zeros(1), 0.0, (one[0], one[0]))
        return model.voltage(still, errors, curve)

    capacity = np.exp(own[:2])
    least = -np.min(capacity * [_BEYOND - own[2], own[3] - 1.0 + _BEYOND])
    most = np.min(capacity * [own[2] - 1.0 + _BEYOND, _BEYOND - own[3]])

    def above(charge: float) -> float:
        return float(point(charge)[0][0]) - voltage

    if not above(least) > 0 > above(most):  # not reached
        nothing = np.full(len(PARAMETERS) + errors.size, np.nan)
        return np.nan, nothing[: len(PARAMETERS)], nothing[len(PARAMETERS) :]
    charge = brentq(above, least, most, xtol=1e-12)
    _, by_own, by_errors = (each[0] for each in point(charge))
    slope = by_own[3] / np.exp(own[1]) - by_own[2] / np.exp(own[0])
    moved = -by_own / slope
    moved[4:] = 0.0
    return float(charge), moved, -by_errors / slope


def degradation(quantities: Values, reference: int) -> Values:
    """Losses relative to one curve [%].

    Parameters
    ----------
    quantities : Values
        From :func:`electrode_quantities`.
    reference : int
        Number of the curve of the fresh cell.

    Returns
    -------
    Values
        The modes of :data:`MODES`; of the reference they are zero, without error.
    """
    columns = [quantities.names.index(name) for name in MODES.values()]
    now, by = quantities.values[:, columns], quantities.jacobian[:, columns]
    fresh, by_fresh = now[reference], by[reference]
    share = now / fresh
    jacobian = -100.0 * (by / fresh[:, None] - (share / fresh)[..., None] * by_fresh)
    return Values(tuple(MODES), 100.0 * (1.0 - share), jacobian)
