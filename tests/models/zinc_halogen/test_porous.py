"""The porous model as a cell: efficiencies, limits, impossible numbers, both solvers."""

from __future__ import annotations

import numpy as np
import pytest

import cellmodels as cm
from cellmodels.errors import InputError
from cellmodels.observations import Points, PointSet
from cellmodels.solver.outcome import SolveFailure

from .conftest import marcher, solve

MESH = {"x_n": 6, "x_s": 5, "x_p": 8}
ATTACK = "Zinc chemical attack velocity [m.s-1]"


def porous(changes: dict[str, float] | None = None, mesh=MESH) -> cm.Cell:
    return cm.Cell("zinc_bromine", model="porous", mesh=mesh).with_parameters(changes or {})


# --- against the lumped model --------------------------------------------------------------------


def efficiencies(cell: cm.Cell, cycles: int) -> np.ndarray:
    """Of charge and of voltage in the last cycle [%]."""
    protocol = cm.Protocol(
        ["Charge at 10 mA/cm2 until 2 A.h", "Discharge at 10 mA/cm2 until 0.8 V"]
    )
    last = cm.simulate(cell, protocol, cycles)["cycles"].isel(point=-1)
    into, out = float(last["charge_capacity"]), float(last["discharge_capacity"])
    mean = float(last["discharge_energy"]) / out * into / float(last["charge_energy"])
    return 100 * np.array([out / into, mean])


@pytest.mark.slow
@pytest.mark.parametrize("cycles", [1, 4])
def test_efficiencies_are_the_lumped_model_s_but_for_the_way_of_the_halogen(cycles):
    """At 10 mA cm-2 VE within 0.5 points, CE within 1 point.

    The lumped model's halogen crosses the separator alone. Here it has to cross the stagnant gap
    and the felt too: with D/L of the gap in place of the attack's velocity the lumped model loses
    nearly as little, and with a third of the felt's depth besides it loses less.
    """
    resolved = efficiencies(porous(), cycles)
    lumped = cm.Cell("zinc_bromine")
    value = lumped.value
    assert abs(efficiencies(lumped, cycles) - resolved)[1] < 0.5
    free = value("Electrolyte diffusivity viscosity factor") * value(
        "Tribromide diffusivity [m2.s-1]"
    )
    gap = value("Negative gap thickness [m]")
    depth = value("Positive electrode thickness [m]") / 3
    depth /= value("Positive electrode porosity") ** 1.5
    with_gap, with_both = (
        efficiencies(lumped.with_parameters({ATTACK: free / path}), cycles)
        for path in (gap, gap + depth)
    )
    assert efficiencies(lumped, cycles)[0] < resolved[0] - 2.0
    assert abs(with_gap - resolved)[0] < 1.0 and abs(with_gap - resolved)[1] < 0.5
    assert with_gap[0] < resolved[0] < with_both[0]


@pytest.mark.parametrize(("amperes", "apart"), [(5.0, 0.35), (8.0, 0.15)])
def test_depletion_at_the_plate_ends_a_charge_in_both_models(amperes, apart):
    """At about the same time: the lumped model's film is as thick from the beginning."""
    ends = []
    for cell in (porous(), cm.Cell("zinc_bromine")):
        with pytest.raises(SolveFailure, match="Zinc depletion at the plate") as caught:
            marcher(cell)(f"Charge at {amperes} A for 20 hours")
        ends.append(float(str(caught.value).split(" at ")[-1].split(" s")[0]))
    assert ends[0] == pytest.approx(ends[1], rel=apart)
    # before all zinc in the cell is plated
    value = cm.Cell("zinc_bromine").value
    salt = value("Initial zinc ion concentration [mol.m-3]") * 4e-3
    assert ends[0] < salt * 2 * 96485.0 * value("Electrode area [m2]") / amperes


# --- limits --------------------------------------------------------------------------------------

#: Changes, steps, and the limit that is met.
LIMITS = {
    "starved as the charge begins": (
        {},
        ("Charge at 60 A for 1 hour", "Discharge at 1 A until 0.5 V"),
        "Zinc depletion at the plate",
    ),
    "starved at constant voltage": (
        {},
        ("Hold at 2.15 V for 10 hours", "Discharge at 1 A until 0.5 V"),
        "Zinc depletion at the plate",
    ),
    "no zinc left": (
        {},
        ("Charge at 1 A for 10 minutes", "Discharge at 1 A for 1 hour"),
        "Zinc exhausted",
    ),
    "no bromine": (
        {
            "Initial zinc areal amount [mol.m-2]": 1.0,
            "Initial bromine concentration [mol.m-3]": 0.0,
        },
        ("Discharge at 1 A for 1 hour", "Charge at 1 A for 10 minutes"),
        "Bromine exhausted",
    ),
    "neither": (
        {
            "Initial zinc areal amount [mol.m-2]": 0.0,
            "Initial bromine concentration [mol.m-3]": 0.0,
        },
        ("Discharge at 1 A for 1 hour", "Charge at 1 A for 10 minutes"),
        "exhausted",
    ),
}


@pytest.mark.parametrize("name", LIMITS)
def test_a_limit_has_a_name(name):
    changes, steps, limit = LIMITS[name]
    life = cm.simulate(porous(changes), cm.Protocol(list(steps)), 1)
    assert life.attrs["outcome"] == "limit of the model reached"
    assert limit in life.attrs["message"]


@pytest.mark.parametrize("nothing", ["zinc", "bromine", "both"])
def test_an_empty_cell_begins(nothing):
    """Charge, discharge and a short circuit, all finite."""
    names = {
        "zinc": "Initial zinc areal amount [mol.m-2]",
        "bromine": "Initial bromine concentration [mol.m-3]",
    }
    changes = {name: 0.0 for what, name in names.items() if nothing in (what, "both")}
    march = marcher(porous(changes))(
        "Discharge at 0.2C until 0.5 V",
        "Charge at 0.5C for 30 minutes",
        "Discharge at 1C until 0.5 V",
        "Discharge at 0.1C until 0.05 V",
        "Hold at 0.001 V for 1 hour",
        "Rest for 1 hour",
    )
    assert np.all(np.isfinite(march.points)) and np.all(np.isfinite(march.voltage))
    ends = [step.voltage[-1, -1] for step in march.steps]
    assert ends[2] == pytest.approx(0.5, abs=1e-3) and ends[3] == pytest.approx(0.05, abs=1e-3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"Negative gap thickness [m]": 0.0}, "needs a gap at the plate"),
        ({"Negative compartment electrolyte height [m]": 1e-3}, "than it has room for"),
        ({"Positive reservoir electrolyte height [m]": 0.01}, "has no reservoir"),
    ],
)
def test_layers_that_cannot_be(changes, message):
    (name,) = changes
    with pytest.raises(InputError, match=message) as caught:
        porous(changes)
    assert f"'{name}'" in str(caught.value)
    cm.Cell("zinc_bromine").with_parameters(changes)  # the lumped model has no layers


# --- solvers -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_life_in_both_solvers():
    """Capacities, cycle by cycle, against IDAKLU at tight tolerances."""
    cell = porous(mesh={"x_n": 4, "x_s": 4, "x_p": 5})
    steps = ("Charge at 0.5C for 1 hour", "Rest for 10 minutes", "Discharge at 0.5C until 0.8 V")
    cycles = cm.simulate(cell, cm.Protocol(list(steps)), 3)["cycles"]
    solution = solve(cell, *(steps * 3), rtol=1e-9)
    found = cycles["discharge_capacity"].values
    expected = []
    for step in solution.cycles[0].steps[2::3]:
        passed = step["Discharge capacity [A.h]"].entries
        expected.append(passed[-1] - passed[0])
    assert np.ptp(expected) > 1e-3  # the cycles differ
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.slow
def test_gradients_are_those_of_differences():
    names = ["Bromine exchange-current density [A.m-2]", "Separator MacMullin number"]
    cell = porous(mesh={"x_n": 3, "x_s": 3, "x_p": 4})
    protocol = cm.Protocol(["Charge at 0.5C for 1 hour", "Discharge at 0.5C until 0.8 V"])
    simulator = cm.Simulator(cell, protocol, free=names)
    cycles = np.array([1.0, 2.0])
    points = Points(
        (
            PointSet("cycles", "discharge_capacity", "cycle", cycles),
            PointSet("cycles", "energy_efficiency", "cycle", cycles),
        )
    )
    base = simulator.predict(simulator.nominal, points)
    assert base.outcome.ok

    def slope(k: int, share: float) -> np.ndarray:
        """By central differences; small steps would show what the integration leaves."""
        step = share * simulator.nominal * np.eye(len(names))[k]
        up, down = (
            simulator.predict(
                simulator.nominal + sign * step, points, jacobian=False, state=base.state
            )
            for sign in (1, -1)
        )
        return (up.values - down.values) / (2 * step[k])

    for k in range(len(names)):
        expected = (4 * slope(k, 0.1) - slope(k, 0.2)) / 3  # Richardson's extrapolation
        for part in points.slices():
            size = np.abs(expected[part]).max()
            assert size > 0.0
            np.testing.assert_allclose(base.jacobian[part, k], expected[part], atol=5e-3 * size)
