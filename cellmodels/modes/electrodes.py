"""Both electrodes of a cell and their open-circuit voltage, with exact derivatives.

The voltage of a slow discharge is that of both half cells, which slide along each other as
lithium is lost, and shrink as active material is lost: Dahn et al. (2012),
doi:10.1149/2.013203jes; Dubarry, Truchot and Liaw (2012), doi:10.1016/j.jpowsour.2012.07.016;
Birkl et al. (2017), doi:10.1016/j.jpowsour.2016.12.011.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from cellmodels.cell import Cell
from cellmodels.modes.curves import OcvCurve
from cellmodels.modes.half_cells import HalfCell, HalfCells, lithium_ion

__all__ = ["PARAMETERS", "Electrodes", "Model", "electrodes_of", "usable_charge"]

Array = NDArray[np.float64]

#: Parameters of a curve, in order: logarithms of the electrodes' capacities [A.h],
#: stoichiometries where the charge is zero, overvoltage [V], and by how much each half cell is off
#: the branch of its hysteresis (1 on discharge, -1 on charge, 0 in the mean of both).
PARAMETERS = (
    "log negative capacity",
    "log positive capacity",
    "negative stoichiometry",
    "positive stoichiometry",
    "overvoltage",
    "negative branch",
    "positive branch",
)
_FARADAY = 96485.33212
_HOUR = 3600.0
_MARGIN = 1e-4


@dataclass(frozen=True, eq=False)
class Electrodes:
    """Both electrodes of a lithium-ion cell at full charge.

    Parameters
    ----------
    capacity : ndarray, shape (2,)
        Charge between stoichiometry 0 and 1 of the negative and positive electrode [A.h].
    full : ndarray, shape (2,)
        Their stoichiometries in the full cell.
    """

    capacity: Array
    full: Array

    def voltage(self, charge: Any, half_cells: HalfCells, share: float = 0.0) -> Array:
        """Open-circuit voltage after discharging `charge` [A.h] from full, of its shape [V]."""
        q = np.asarray(charge, dtype=float)
        negative = half_cells.negative.potential(self.full[0] - q / self.capacity[0], share)[0]
        positive = half_cells.positive.potential(self.full[1] + q / self.capacity[1], share)[0]
        return positive - negative


def electrodes_of(cell: Cell) -> Electrodes:
    """The electrodes of a cell as its parameter set has them, at their initial concentrations.

    Parameters
    ----------
    cell : Cell

    Returns
    -------
    Electrodes

    Raises
    ------
    InputError
        If the cell is none of lithium ion.
    """
    lithium_ion(cell)
    capacity, full = [], []
    for side in ("negative", "positive"):
        title = side.capitalize()
        largest = cell.value(f"Maximum concentration in {side} electrode [mol.m-3]")
        volume = (
            cell.value(f"{title} electrode active material volume fraction")
            * cell.value(f"{title} electrode thickness [m]")
            * cell.electrode_area
        )
        capacity.append(_FARADAY * largest * volume / _HOUR)
        full.append(cell.value(f"Initial concentration in {side} electrode [mol.m-3]") / largest)
    return Electrodes(np.array(capacity), np.array(full))


def usable_charge(
    electrodes: Electrodes, half_cells: HalfCells, voltage: float, share: float = 0.0
) -> float:
    """Charge to discharge until the open-circuit voltage is reached [A.h].

    Parameters
    ----------
    electrodes : Electrodes
        Where the charge is zero.
    half_cells : HalfCells
    voltage : float
        [V]; where it is above that of `electrodes`, the charge is negative.
    share : float
        See :meth:`HalfCell.potential`.

    Returns
    -------
    float
        The charge at which an electrode is full or empty where the voltage is not reached before.
    """
    empty = np.array([electrodes.full[0], 1 - electrodes.full[1]]) * electrodes.capacity
    filled = np.array([1 - electrodes.full[0], electrodes.full[1]]) * electrodes.capacity
    least, most = -(1 - _MARGIN) * float(filled.min()), (1 - _MARGIN) * float(empty.min())

    def above(charge: float) -> float:
        return float(electrodes.voltage(charge, half_cells, share)) - voltage

    if above(most) > 0:
        return most
    return least if above(least) < 0 else float(brentq(above, least, most, xtol=1e-12))


@dataclass(frozen=True, eq=False)
class Model:
    """Voltage of a curve as a function of its parameters and of the errors of the half cells.

    Parameters
    ----------
    half_cells : HalfCells
    """

    half_cells: HalfCells

    @property
    def coefficients(self) -> int:
        """How many coefficients describe the errors of both half-cell curves."""
        return 2 * (self.half_cells.negative.error.size + self.half_cells.positive.error.size)

    def voltage(self, values: Array, errors: Array, curve: OcvCurve) -> tuple[Array, Array, Array]:
        """Voltage of the points of a curve.

        Parameters
        ----------
        values : ndarray, shape (7,)
            As in :data:`PARAMETERS`.
        errors : ndarray, shape (m,)
            Coefficients of unit variance: of the negative electrode's potential and
            stoichiometry, and of the positive one's.
        curve : OcvCurve

        Returns
        -------
        voltage, by_values, by_errors : ndarray
            Shapes (n,), (n, 7) and (n, m).
        """
        sides = self.potentials(values, errors, curve.charge, curve.share)
        potentials = [side @ curve.weights for side, *_ in sides]
        capacities = np.exp(values[:2])
        jacobian = np.zeros((len(curve.voltage), len(PARAMETERS)))
        for k, (_, slope, gap, _) in enumerate(sides):
            sign = 2.0 * k - 1.0  # the negative electrode's potential is subtracted
            # x = x0 - q / Qn falls with the charge, y = y0 + q / Qp rises: dx/d(log Q) = ± q / Q
            moved = -sign * curve.charge / capacities[k]
            jacobian[:, k] = sign * (slope * moved) @ curve.weights
            jacobian[:, 2 + k] = sign * slope @ curve.weights
            jacobian[:, 5 + k] = sign * gap @ curve.weights
        overvoltage = 1.0 if curve.share >= 0 else -1.0
        jacobian[:, 4] = -overvoltage
        by_errors = [
            sign * np.einsum("ngm,g->nm", side[3], curve.weights)
            for sign, side in zip((-1.0, 1.0), sides, strict=True)
        ]
        voltage = potentials[1] - potentials[0] - overvoltage * values[4]
        return voltage, jacobian, np.concatenate(by_errors, axis=1)

    def potentials(
        self, values: Array, errors: Array, charge: Array, share: float
    ) -> list[tuple[Array, Array, Array, Array]]:
        """Potential of each electrode at discharged charges.

        Returns
        -------
        list of (potential, slope, gap, modes)
            For the negative and the positive electrode: the potential [V], its derivatives by the
            stoichiometry and by the branch, of the shape of `charge`, and those by the electrode's
            own coefficients, with one more axis.
        """
        split = 2 * self.half_cells.negative.error.size
        half_cells = (self.half_cells.negative, self.half_cells.positive)
        own = (errors[:split], errors[split:])
        capacities = np.exp(values[:2])
        places = (
            values[2] - charge / capacities[0],
            values[3] + charge / capacities[1],
        )
        return [
            _potential(cell, at, one, share + values[5 + k])
            for k, (cell, at, one) in enumerate(zip(half_cells, places, own, strict=True))
        ]


def _potential(
    half_cell: HalfCell, at: Array, errors: Array, branch: float
) -> tuple[Array, Array, Array, Array]:
    """Potential of an electrode with its curve's errors, and its derivatives."""
    error = half_cell.error
    modes, slopes = error.modes(at)
    lifted, shifted = errors[: error.size], errors[error.size :]
    place = at + error.stoichiometry * modes @ shifted
    value, slope = half_cell.potential(place, branch)
    by_place = slope * (1.0 + error.stoichiometry * slopes @ shifted)
    by_errors = np.concatenate(
        [error.potential * modes, error.stoichiometry * slope[..., None] * modes], axis=-1
    )
    return (
        value + error.potential * modes @ lifted,
        by_place + error.potential * slopes @ lifted,
        half_cell.half_gap(place),
        by_errors,
    )
