"""Steps that end at a quantity of the cell's state, and check-ups that measure one."""

import numpy as np
import pytest

import cellmodels as cm
from cellmodels.errors import InputError
from cellmodels.observations import Points, PointSet
from cellmodels.simulator import SolverOptions
from cellmodels.solver.mesh import MeshOptions
from cellmodels.steps import End

HALF = "Complexing agent half-loading bromine concentration [mol.m-3]"
ZINC = "Initial zinc ion concentration [mol.m-3]"
CYCLE = [
    "Charge at 20 mA/cm2 until 15 % bromide utilisation",
    "Rest for 10 minutes",
    "Discharge at 20 mA/cm2 until 0.8 V",
]


@pytest.fixture(scope="module")
def cell():
    return cm.Cell("zinc_bromine", mechanisms=["hydrogen evolution"])


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("70 % bromide utilisation", End("state", 0.7, "halide_utilisation")),
        ("0.7 halide utilisation", End("state", 0.7, "halide_utilisation")),
        ("80 % zinc state of charge", End("state", 0.8, "metal_state_of_charge")),
        ("0.1 plate margin", End("state", 0.1, "plate_margin")),
        ("20 mAh/cm2", End("charge", 20.0, "mAh/cm2")),
    ],
)
def test_ends_are_read_and_written(text, end):
    step = cm.Step.parse(f"Charge at 20 mA/cm2 until {text}")
    assert step.ends == (end,)
    assert cm.Step.parse(str(step)) == step


def test_a_misspelt_state_is_refused_with_the_nearest():
    with pytest.raises(InputError, match="Did you mean 'halide utilisation'"):
        cm.Step.parse("Charge at 1 A until 70 % bromide utilizashun")


def test_a_state_that_the_cell_does_not_have_is_refused(cell):
    lithium = cm.Cell("lithium_ion")
    protocol = cm.Protocol(CYCLE)
    with pytest.raises(InputError, match="this cell has no such state"):
        cm.Simulator(lithium, protocol)
    test = cm.Test("x", ["Rest for 1 minute"], "loss_of_lithium_inventory")
    with pytest.raises(InputError, match="this cell has no 'loss_of_lithium_inventory'"):
        cm.Simulator(cell, cm.Protocol(CYCLE, every={2: cm.Checkup((test,))}))


def test_a_charge_ends_at_the_utilisation_it_was_given(cell):
    top = cm.Test("top", CYCLE[:1], "halide_utilisation")
    protocol = cm.Protocol(CYCLE, every={1: cm.Checkup((top,))})
    life = cm.simulate(cell, protocol, cycles=2)
    assert life.attrs["outcome"] == "completed"
    assert life["checkups"]["halide_utilisation_top"].values == pytest.approx(0.15, abs=1e-9)
    # before any test the cell is discharged
    assert np.all(life["checkups"]["halide_utilisation"].values < 0.01)


def test_an_areal_charge_counts_with_the_electrode_area(cell):
    protocol = cm.Protocol(["Charge at 20 mA/cm2 until 10 mAh/cm2", CYCLE[2]])
    life = cm.simulate(cell, protocol, cycles=1)
    expected = 10.0 * 10.0 * cell.electrode_area
    assert life["cycles"]["charge_capacity"].values == pytest.approx(expected, rel=1e-9)


def test_derivatives_follow_the_end(cell):
    top = cm.Test("top", ["Charge at 20 mA/cm2 for 30 minutes"], "aqueous_halogen")
    protocol = cm.Protocol(CYCLE, every={1: cm.Checkup((top,))})
    # energies' derivatives are those on a fixed time mesh, which a new life chooses anew: fine ones
    fine = SolverOptions(mesh=MeshOptions().finer(10.0))
    simulator = cm.Simulator(cell, protocol, [HALF, ZINC], fine)
    points = Points(
        (
            PointSet("cycles", "charge_capacity", "cycle", np.array([1.0, 3.0])),
            PointSet("checkups", "aqueous_halogen_top", "cycle", np.array([2.0])),
            PointSet("checkups", "ph_negative", "cycle", np.array([2.0])),
            PointSet("cycles", "area_specific_resistance", "cycle", np.array([2.0])),
            PointSet("cycles", "voltage_efficiency", "cycle", np.array([2.0])),
        )
    )
    exact = simulator.predict(simulator.nominal, points)
    for k, value in enumerate(simulator.nominal):
        sides = []
        for h in (1e-4, -1e-4):
            moved = simulator.nominal.copy()
            moved[k] *= 1.0 + h
            sides.append(simulator.predict(moved, points, False, state=exact.state).values)
        difference = (sides[0] - sides[1]) / (2e-4 * value)
        assert exact.jacobian[:, k] == pytest.approx(difference, rel=1e-3, abs=1e-9)
