"""Aged cells whose losses are known: half cells that slide along each other, made here."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brentq


@pytest.fixture(scope="session")
def cell():
    from cellmodels.cell import Cell

    return Cell("lithium_ion", parameters="nmc_graphite_siox", model="SPM")


@pytest.fixture(scope="session")
def half_cells(cell):
    from cellmodels.modes.half_cells import HalfCells

    return HalfCells.of(cell)


def negative_potential(x):
    """Of graphite with silicon oxide: Chen et al. (2020), doi:10.1149/1945-7111/ab9050."""
    return (
        1.9793 * np.exp(-39.3631 * x)
        + 0.2482
        - 0.0909 * np.tanh(29.8538 * (x - 0.1234))
        - 0.04478 * np.tanh(14.9159 * (x - 0.2769))
        - 0.0205 * np.tanh(30.4444 * (x - 0.6103))
    )


def positive_potential(y):
    """Of NMC 811, from the same source."""
    return (
        -0.8090 * y
        + 4.4875
        - 0.0428 * np.tanh(18.5138 * (y - 0.5542))
        - 17.7326 * np.tanh(15.7890 * (y - 0.3117))
        + 17.5842 * np.tanh(15.9308 * (y - 0.3120))
    )


CAPACITY = np.array([5.8, 8.7])  # A.h
FULL = np.array([0.90, 0.27])
INVENTORY = float(CAPACITY @ FULL)


def aged_curve(
    lithium=0.0,
    negative=0.0,
    positive=0.0,
    rows=1500,
    noise=1e-3,
    seed=0,
    overvoltage=0.01,
    wrong=None,
):
    """Charge and voltage from 4.19 to 2.5 V of a cell with losses in per cent, made by numpy alone.

    `wrong` gives errors of potential and stoichiometry: (side, stoichiometry) -> two arrays.
    """
    q_n, q_p = CAPACITY * (1 - np.array([negative, positive]) / 100)
    held = INVENTORY * (1 - lithium / 100)

    def voltage(x):
        y = (held - q_n * x) / q_p
        if wrong is not None:
            (up_n, to_x), (up_p, to_y) = wrong("negative", x), wrong("positive", y)
            return positive_potential(y + to_y) + up_p - negative_potential(x + to_x) - up_n
        return positive_potential(y) - negative_potential(x)

    def reached(target):
        return brentq(lambda x: float(voltage(np.array([x]))[0]) - target, 1e-3, 1.0)

    full, empty = reached(4.19), reached(2.5)
    charge = np.linspace(0.0, q_n * (full - empty), rows)
    rng = np.random.default_rng(seed)
    volts = voltage(full - charge / q_n) - overvoltage + noise * rng.standard_normal(rows)
    return charge, volts


@pytest.fixture(scope="session")
def laws():
    """Potentials of both electrodes, written down here."""
    return negative_potential, positive_potential


@pytest.fixture(scope="session")
def aged():
    """Makes curves: see `aged_curve`."""
    return aged_curve
