"""Double layers: what a step of current does within milliseconds, and what is left of it later."""

from __future__ import annotations

import numpy as np
import pybamm
import pytest

import cellmodels as cm
from cellmodels.errors import InputError
from cellmodels.models.zinc_halogen.closures import DoubleLayer

from .conftest import CHEMISTRIES, cell_of, solve

SIDES = ("Negative", "Positive")
CAPACITANCE = "electrode double-layer capacitance [F.m-2]"


def pulse(cell: cm.Cell, current: float, times: np.ndarray) -> pybamm.Solution:
    """The cell from its start under a constant current, positive on discharge [A]."""
    values = cell.parameter_values()
    values.update({"Current function [A]": current}, check_already_exists=False)
    solver = pybamm.IDAKLUSolver(rtol=1e-8, atol=1e-10, root_method="lm")
    simulation = pybamm.Simulation(cell.pybamm_model(), parameter_values=values, solver=solver)
    return simulation.solve([0, times[-1]], t_interp=times)


def by_area_of_cell(cell: cm.Cell) -> dict[str, float]:
    depth = cell.value("Positive electrode thickness [m]")
    area = depth * cell.value("Positive electrode surface area to volume ratio [m-1]")
    return {
        "Negative": cell.value(f"Negative {CAPACITANCE}"),
        "Positive": cell.value(f"Positive {CAPACITANCE}") * area,
    }


@pytest.mark.parametrize("name", CHEMISTRIES)
def test_electrodes_that_hardly_react_are_capacitors(name):
    """d phi/dt is i/C at the negative, and -i/C at the positive electrode."""
    halogen = name.removeprefix("zinc_").capitalize()
    slow = {
        "Zinc exchange-current density [A.m-2]": 1e-6,
        f"{halogen} exchange-current density [A.m-2]": 1e-9,
    }
    cell = cell_of(name, ("double layer",), (*slow.items(), ("Initial state of charge", 0.5)))
    current = 100.0 * cell.electrode_area
    times = np.linspace(0, 1e-4, 11)
    solution = pulse(cell, current, times)
    for sign, (side, capacitance) in zip((1, -1), by_area_of_cell(cell).items(), strict=True):
        moved = np.ptp(solution[f"{side} electrode potential [V]"].entries)
        assert moved == pytest.approx(100.0 * times[-1] / capacitance, rel=1e-3)
        last = solution[f"{side} electrode potential [V]"].entries[[0, -1]]
        assert np.sign(last[1] - last[0]) == sign


@pytest.mark.parametrize("name", CHEMISTRIES)
def test_a_pulse_begins_with_the_resistance_and_ends_with_the_algebraic_cell(name):
    plain = cell_of(name, (), (("Initial state of charge", 0.5),))
    layered = cell_of(name, ("double layer",), (("Initial state of charge", 0.5),))
    current = 0.5 * plain.nominal_capacity
    times = np.array([0.0, 1e-10, 30.0, 60.0])
    rest, loaded = (pulse(layered, i, times) for i in (0.0, current))
    drop = rest["Voltage [V]"].entries[1] - loaded["Voltage [V]"].entries[1]
    resistance = loaded["Ohmic area resistance [Ohm.m2]"].entries[1] / layered.electrode_area
    assert drop == pytest.approx(current * resistance, rel=1e-3)
    algebraic = pulse(plain, current, times)["Voltage [V]"].entries
    np.testing.assert_allclose(loaded["Voltage [V]"].entries[2:], algebraic[2:], atol=2e-5)


@pytest.mark.parametrize("name", CHEMISTRIES)
def test_how_a_cell_may_begin(name):
    """Charged, with each couple at equilibrium; or never charged, and without a voltage."""
    bare = (("Initial zinc areal amount [mol.m-2]", 0.0),)
    for start, level in (("charged", None), ("never charged", 0.0)):
        cell = cell_of(name, (DoubleLayer(start),), bare if level == 0.0 else ())
        solution = solve(cell, "Rest for 1 second")
        voltage, potentials = (
            solution["Voltage [V]"].entries[0] - solution["Diffusion potential [V]"].entries[0],
            [float(solution[f"{s} electrode potential [V]"].entries[0]) for s in SIDES],
        )
        expected = 0.0 if level == 0.0 else potentials[1] - potentials[0]
        assert voltage == pytest.approx(expected, abs=1e-6)
        if level is None:
            zinc = solution["Negative electrode zinc equilibrium potential [V]"].entries[0]
            assert potentials[0] == pytest.approx(zinc, abs=1e-6)
    with pytest.raises(InputError, match="never charged"):
        DoubleLayer("uncharged")
