"""Numbers that no cell can have are refused before anything is solved, by name."""

from __future__ import annotations

import pytest

import cellmodels as cm
from cellmodels.errors import InputError

from .conftest import CHEMISTRIES, cell_of

IMPOSSIBLE = [
    ({"Initial zinc ion concentration [mol.m-3]": -1.0}, "cannot be negative"),
    ({"Initial zinc areal amount [mol.m-2]": -1e-3}, "cannot be negative"),
    ({"Separator porosity": 1.2}, "above 0 to 1"),
    ({"Positive electrode porosity": 0.0}, "above 0 to 1"),
    ({"Separator MacMullin number": 0.5}, "at least 1"),
    ({"Separator anion partition coefficient": 1.5}, "from 0 to 1"),
    ({"Initial state of charge": 1.5}, "from 0 to 1"),
    ({"Zinc exchange-current density [A.m-2]": 0.0}, "above 0"),
    ({"Zinc anodic transfer coefficient": 2.0}, "above 0 to 2"),
    ({"Hydrogen evolution transfer coefficient": 1.0}, "above 0 to 1"),
    ({"Zinc nucleation overpotential [V]": -0.05}, "cannot be negative"),
    ({"Electrode area [m2]": -0.01}, "above 0"),
    ({"Ambient temperature [K]": 0.0}, "above 0"),
    ({"Lower voltage cut-off [V]": 3.0}, "Upper voltage cut-off"),
    ({"Electrolyte freezing temperature [K]": 400.0}, "Electrolyte boiling temperature"),
]


@pytest.mark.parametrize(("changes", "message"), IMPOSSIBLE, ids=str)
@pytest.mark.parametrize("name", CHEMISTRIES)
def test_an_impossible_number_is_named(name, changes, message):
    (wrong,) = changes
    with pytest.raises(InputError) as caught:
        cell_of(name).with_parameters(changes)
    assert f"'{wrong}'" in str(caught.value) and message in str(caught.value)
    assert cell_of(name).parameters.name in str(caught.value)


def test_a_recipe_that_leaves_less_than_no_halide():
    changes = {"Initial chloride concentration [mol.m-3]": 7000.0}
    with pytest.raises(InputError, match="leaves -699 mol.m-3 of bromide on the negative side"):
        cm.Cell("zinc_bromine", "zinc_bromine_static").with_parameters(changes)


@pytest.mark.parametrize("name", CHEMISTRIES)
def test_a_charge_that_takes_more_salt_than_there_is(name):
    changes = {"Initial zinc ion concentration [mol.m-3]": 100.0, "Initial state of charge": 1.0}
    with pytest.raises(InputError, match="The recipe leaves -.* mol.m-3 of"):
        cell_of(name).with_parameters(changes)
    with pytest.raises(InputError, match="The recipe leaves -.* mol.m-3 of"):
        cm.Cell(
            name,
            cell_of(name).parameters.replace(
                {"Initial zinc ion concentration [mol.m-3]": 100.0}, source="a test"
            ),
            initial_soc=1.0,
        )


@pytest.mark.parametrize("name", CHEMISTRIES)
def test_what_may_have_either_sign_is_free(name):
    changes = {
        "Positive electrode formal potential offset [V]": -0.02,
        "Zinc standard potential change [V.K-1]": -1e-4,
        "Initial pH": 13.0,  # more hydroxide than acid
    }
    assert cell_of(name).with_parameters(changes).value("Initial pH") == 13.0
