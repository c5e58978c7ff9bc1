"""Stoichiometries at which a lithium-ion cell is empty and full."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.optimize import brentq

from cellmodels.law_values import value_at
from cellmodels.parameter import Value

ELECTRODES = ("Negative", "Positive")
#: Nearest that a stoichiometry comes to 0 or 1 in the search for the voltage limits.
_MARGIN = 1e-4


def limits_at_voltages(
    look_up: Callable[[str], Value], start: np.ndarray, voltages: tuple[float, float]
) -> np.ndarray:
    """Return the stoichiometries between which a cell with a given lithium content is cycled.

    Lithium is moved between the electrodes until the open-circuit voltage at the reference
    temperature reaches its limits, as PyBaMM's "electrode state of health" does (P. Mohtat et al.,
    J. Power Sources 427 (2019) 101, doi:10.1016/j.jpowsour.2019.03.104).

    Parameters
    ----------
    look_up : callable
        Parameter name -> value.
    start : numpy.ndarray, shape (2,)
        Stoichiometries of negative and positive electrode in some state: the lithium content.
    voltages : tuple of (float, float)
        Open-circuit voltage of the empty and of the full cell [V].

    Returns
    -------
    numpy.ndarray, shape (2, 2)
        Lowest and highest of the negative and of the positive electrode. A voltage that is not
        reached before an electrode is empty or full gives that end.
    """
    held = np.array([_held(look_up, which) for which in ELECTRODES])
    step = np.array([1.0, -held[0] / held[1]])  # one unit of charge of the negative electrode
    ends = np.sort((np.array([[_MARGIN, 1 - _MARGIN]] * 2) - start[:, None]) / step[:, None])
    least, most = ends[:, 0].max(), ends[:, 1].min()

    def voltage(moved: float) -> float:
        one, other = (
            value_at(look_up, f"{which} electrode OCP [V]", x)
            for which, x in zip(ELECTRODES, start + moved * step, strict=True)
        )
        return float(other - one)

    def where(target: float, missed: float) -> float:
        if (voltage(least) - target) * (voltage(most) - target) >= 0:
            return missed
        return float(brentq(lambda s: voltage(s) - target, least, most, xtol=1e-15, rtol=1e-15))

    moved = np.array([where(voltages[0], least), where(voltages[1], most)])
    return np.sort(start[:, None] + step[:, None] * moved, axis=1)


def _held(look_up: Callable[[str], Value], which: str) -> float:
    """Lithium that an electrode holds when full [mol.m-2]."""
    names = (
        f"{which} electrode active material volume fraction",
        f"{which} electrode thickness [m]",
        f"Maximum concentration in {which.lower()} electrode [mol.m-3]",
    )
    return float(np.prod([value_at(look_up, name) for name in names]))
