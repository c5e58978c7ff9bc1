"""A felt as negative electrode, and tanks, in the porous model."""

from __future__ import annotations

import numpy as np
import pytest

import cellmodels as cm
from cellmodels.errors import InputError

from .conftest import FLOW_SETS, averaged, drift, marcher, solve

MESH = {"x_n": 4, "x_s": 3, "x_p": 4}
AREA = "Negative electrode surface area to volume ratio [m-1]"


def felt(*more, soc: float = 0.5) -> cm.Cell:
    mechanisms = [cm.NegativeFelt(), *more]
    return cm.Cell(
        "zinc_bromine", model="porous", mechanisms=mechanisms, mesh=MESH, initial_soc=soc
    )


def with_area(ratio: float, *more) -> cm.Cell:
    """All of it covered by zinc."""
    return felt(*more).with_parameters({AREA: ratio, "Residual zinc threshold [mol.m-2]": 1e-6})


def test_hydrogen_grows_with_the_fibres():
    """Its current is by area of zinc: five times the fibres, five times the gas."""
    gas = [
        solve(with_area(ratio, cm.HydrogenEvolution()), "Rest for 1 second")[
            "Hydrogen evolution current density [A.m-2]"
        ].entries[-1]
        for ratio in (1e4, 5e4)
    ]
    # the electrode's potential shifts a little with it
    assert gas[1] / gas[0] == pytest.approx(5.0, rel=3e-2)


def test_it_fills_and_carries_the_current():
    cell = felt(cm.LumpedThermal())
    solution = solve(cell, "Charge at 1 A for 10 minutes", rtol=1e-6)
    assert solution["Heat generation [W.m-2]"].entries.ndim == 1
    metal = solution["Zinc in the negative electrode [mol.m-2]"].entries
    plated = 100.0 * 600.0 / (2 * 96485.33)
    # the halogen that arrives takes the rest
    assert np.ptp(metal.mean(axis=0)) == pytest.approx(plated, rel=0.02)
    thickness, volume = (
        cell.value("Negative electrode thickness [m]"),
        cell.value("Zinc molar volume [m3.mol-1]"),
    )
    room = cell.value("Negative electrode porosity") - volume * metal / thickness
    assert solution["Negative electrode porosity"].entries == pytest.approx(room)
    ionic = solution["Electrolyte current density [A.m-2]"].entries[:, -1]
    # nothing at both collectors, all of it in the separator
    assert abs(ionic[0]) < 60.0 and abs(ionic[-1]) < 20.0
    assert ionic[5] == pytest.approx(-100.0)


def test_a_felt_starved_at_its_fibres_ends_the_charge():
    cell = felt().with_parameters({"Negative electrode mass-transfer coefficient [m.s-1]": 2.5e-9})
    solution = solve(cell, "Charge at 0.5 A for 1 minute", rtol=1e-6)
    assert solution["Plate concentration margin"].entries[-1] < 0.9


def test_a_felt_without_room_is_refused():
    values = {"Negative electrode thickness [m]": 1e-4, "Negative electrode porosity": 0.2}
    with pytest.raises(InputError, match="has a porosity of"):
        felt(soc=0.9).with_parameters(values)


@pytest.mark.parametrize("negative", [(), (cm.NegativeFelt(),)], ids=["plate", "felt"])
@pytest.mark.parametrize("kind", ["well-mixed", "plug-flow"])
def test_flow_conserves_in_our_solver(negative, kind):
    cell = cm.Cell(
        "zinc_bromine", FLOW_SETS["zinc_bromine"], "porous", [cm.Flow(kind), *negative], MESH
    )
    run = marcher(cell)
    steps = ("Charge at 20 mA/cm2 for 20 minutes", "Rest for 5 minutes")
    march = run(*steps)
    for name, balance in run.model.balances.items():
        if "charge" not in name:
            assert drift(balance, march) < 1e-10, name


def test_flow_is_that_of_the_lumped_model():
    """Stirred from its tank, a cell has the same concentrations through its thickness."""
    made = {}
    for level in ("lumped", "porous"):
        cell = cm.Cell("zinc_bromine", FLOW_SETS["zinc_bromine"], level, [cm.Flow()])
        current = 200.0 * cell.electrode_area
        solution = solve(cell, f"Charge at {current} A for 20 minutes", rtol=1e-6)
        made[level] = {
            name: averaged(solution[name].entries)[-1]
            for name in ("Positive tank bromine [mol.m-2]", "Negative tank zinc ion [mol.m-2]")
        }
    for name, value in made["lumped"].items():
        assert made["porous"][name] == pytest.approx(value, rel=0.02)
