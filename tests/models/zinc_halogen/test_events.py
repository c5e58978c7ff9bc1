"""Where a zinc-halogen cell can do no more: a named limit, in PyBaMM and in our own solver."""

from __future__ import annotations

import numpy as np
import pybamm
import pytest

import cellmodels as cm

from .conftest import CHEMISTRIES, Marcher, cell_of, solve

INSULATED = {
    "Heat transfer coefficient [W.m-2.K-1]": 0.1,
    "Cell areal heat capacity [J.K-1.m-2]": 2000.0,
}
ACID = "Initial pH"
SALT = "Initial potassium ion concentration [mol.m-3]"

#: Mechanisms, changes of the zinc-bromine set, steps, and the limit that is met.
LIMITS = {
    "starved as the charge begins": (
        (),
        {},
        ("Charge at 30 A for 1 hour", "Discharge at 1 A until 0.5 V"),
        "Zinc depletion at the plate",
    ),
    "starved during a charge": (
        (),
        {},
        ("Charge at 3 A for 10 hours", "Discharge at 1 A until 0.5 V"),
        "Zinc depletion at the plate",
    ),
    "starved at constant power": (
        (),
        {},
        ("Charge at 5 W for 10 hours", "Discharge at 1 A until 0.5 V"),
        "Zinc depletion at the plate",
    ),
    "starved at constant voltage": (
        (),
        {},
        ("Hold at 2.15 V for 10 hours", "Discharge at 1 A until 0.5 V"),
        "Zinc depletion at the plate",
    ),
    "little zinc": (
        (),
        {
            "Initial zinc ion concentration [mol.m-3]": 300.0,
            "Initial chloride concentration [mol.m-3]": 0.0,
        },
        ("Charge at 0.05 A for 100 hours", "Discharge at 1 A until 0.5 V"),
        "Zinc depletion at the plate",
    ),
    "little bromide": (
        (),
        {
            "Initial zinc ion concentration [mol.m-3]": 3500.0,
            "Initial chloride concentration [mol.m-3]": 7000.0,
            "Initial complexing agent concentration [mol.m-3]": 400.0,
        },
        ("Charge at 0.5 A for 20 hours", "Discharge at 1 A until 0.5 V"),
        "Bromide exhausted",
    ),
    "frozen": (
        (),
        {"Ambient temperature [K]": 250.0},
        ("Charge at 1 A for 1 hour", "Discharge at 1 A until 0.5 V"),
        "Electrolyte freezes",
    ),
    "freezes as the charge cools it": (
        ("lumped thermal",),
        {"Ambient temperature [K]": 253.5, **INSULATED},
        ("Charge at 0.3 A for 4 hours", "Discharge at 1 A until 0.5 V"),
        "Electrolyte freezes",
    ),
    "boiling": (
        ("lumped thermal",),
        {"Ambient temperature [K]": 380.0},
        ("Charge at 1 A for 1 hour", "Discharge at 1 A until 0.5 V"),
        "Electrolyte boils",
    ),
    "boils in a fast discharge": (
        ("lumped thermal",),
        {"Ambient temperature [K]": 370.0, **INSULATED},
        ("Charge at 2 A for 30 minutes", "Discharge at 4 A until 0.5 V"),
        "Electrolyte boils",
    ),
    "alkaline by hydrogen": (
        ("hydrogen evolution",),
        {"Hydrogen evolution exchange-current density [A.m-2]": 0.1},
        ("Charge at 0.5 A for 2 hours", "Rest for 24 hours", "Discharge at 1 A until 0.5 V"),
        "Electrolyte too alkaline",
    ),
    "alkaline from the beginning": (
        (),
        {ACID: 12.5},
        ("Charge at 0.5 A for 2 hours", "Discharge at 1 A until 0.5 V"),
        "Electrolyte too alkaline",
    ),
    "crystals from the beginning": (
        ("crystallisation",),
        {SALT: 3500.0},
        ("Charge at 0.5 A for 2 hours", "Discharge at 1 A until 0.5 V"),
        "Potassium ion bromide crystallises in the negative compartment",
    ),
    "crystals as it dries": (
        ("crystallisation", "water loss"),
        {SALT: 2000.0, "Water vapour loss coefficient [mol.m-2.s-1.Pa-1]": 1e-6},
        ("Charge at 0.5 A for 2 hours", "Rest for 24 hours", "Discharge at 1 A until 0.5 V"),
        "Potassium ion bromide crystallises in the negative compartment",
    ),
    "dry": (
        ("water loss",),
        {"Water vapour loss coefficient [mol.m-2.s-1.Pa-1]": 1e-6},
        ("Charge at 0.5 A for 2 hours", "Rest for 48 hours", "Discharge at 1 A until 0.5 V"),
        "Negative compartment dry",
    ),
}


@pytest.fixture(params=LIMITS, ids=str)
def case(request) -> tuple[cm.Cell, tuple[str, ...], str]:
    mechanisms, changes, steps, limit = LIMITS[request.param]
    cell = cell_of("zinc_bromine", mechanisms).with_parameters(changes)
    return cell, steps, limit


def test_a_simulation_names_the_limit(case):
    cell, steps, limit = case
    life = cm.simulate(cell, cm.Protocol(list(steps)), 2)
    assert life.attrs["outcome"] == "limit of the model reached"
    assert limit in life.attrs["message"]
    assert life.attrs["completed_cycles"] == 0


def test_pybamm_names_the_limit(case):
    cell, steps, limit = case
    try:
        solution = solve(cell, *steps, rtol=1e-6)
    except pybamm.SolverError as error:  # met as the first step begins
        found = str(error)
    else:
        found = solution.termination
        assert all(np.all(np.isfinite(step.y)) for step in solution.cycles[0].steps)
    assert limit in found


# --- power ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CHEMISTRIES)
class TestPower:
    """A discharge at constant power ends where the cell can give no more of it."""

    def test_it_ends_at_its_cut_off_as_the_last_zinc_goes(self, name):
        cell = cell_of(name)
        power = round(0.4 * cell.nominal_capacity * cell.voltage_limits[1], 3)
        run = Marcher(cell)
        march = run("Charge at 0.5C for 1 hour", f"Discharge at {power} W until 0.4 V")
        last = march.steps[-1]
        given = last.current * last.voltage
        np.testing.assert_allclose(given, power, rtol=1e-6)
        # more current would give no more, though the cut-off is still far below
        left = march.states[-1]
        weaker = run(f"Discharge at {0.5 * power} W until 0.4 V", start=left)
        assert weaker.steps[0].duration > 0.0
        assert run(f"Discharge at {1.01 * power} W until 0.4 V", start=left).steps[0].duration < 1.0

    def test_without_a_cut_off_that_is_said(self, name):
        cell = cell_of(name)
        protocol = cm.Protocol(["Charge at 0.5C for 10 minutes", "Discharge at 1 W for 10 hours"])
        life = cm.simulate(cell, protocol, 1)
        assert life.attrs["outcome"] == "cell exhausted"
        assert "no more than 1 W" in life.attrs["message"]

    def test_an_empty_cell_gives_none(self, name):
        march = Marcher(cell_of(name))("Discharge at 1 W until 0.4 V")
        assert march.steps[0].duration == 0.0


def test_a_discharge_beyond_short_circuit_says_what_has_run_out():
    """No cut-off ends the step: the model does, in our simulator and in PyBaMM alike."""
    for chemistry, gone in (("zinc_bromine", "Zinc"), ("zinc_iodine", "Iodine")):
        cell = cm.Cell(chemistry)
        steps = ["Charge at 0.5C for 10 minutes", "Discharge at 0.5C for 1 hour"]
        life = cm.simulate(cell, cm.Protocol(steps), cycles=1)
        assert f"{gone} exhausted" in life.attrs["message"]
        simulation = pybamm.Simulation(
            cell.pybamm_model(),
            parameter_values=cell.parameter_values(),
            experiment=pybamm.Experiment(steps),
        )
        assert simulation.solve().cycles[-1].steps[-1].termination == f"event: {gone} exhausted"
