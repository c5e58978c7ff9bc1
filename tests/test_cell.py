"""Cells as values: what they hold, refuse, and give back."""

import copy
import json
import pickle
import subprocess
import sys

import pybamm
import pytest

from cellmodels.cell import Cell
from cellmodels.chemistry import Chemistry
from cellmodels.errors import InputError
from cellmodels.models.mechanisms import SEI, LithiumPlating, LossOfActiveMaterial, LumpedThermal
from cellmodels.parameter_set import ParameterSet

DIFFUSIVITY = "SEI solvent diffusivity [m2.s-1]"
MECHANISMS = [SEI(), LithiumPlating(), LossOfActiveMaterial()]


@pytest.fixture(scope="module")
def cell():
    return Cell("lithium_ion", parameters="OKane2022", model="SPM", mechanisms=MECHANISMS)


def test_defaults_come_from_the_chemistry():
    cell = Cell("lithium_ion")
    assert cell.parameters.name == Chemistry.load("lithium_ion").defaults.parameters
    assert cell.model == Chemistry.load("lithium_ion").defaults.model
    assert cell.mechanisms == () and cell.mesh is None and cell.var_pts() is None


def test_numbers_are_those_of_the_parameter_set(cell):
    values = pybamm.ParameterValues("OKane2022")
    assert cell.nominal_capacity == 5.0
    assert cell.voltage_limits == (2.5, 4.2)
    assert cell.electrode_area == pytest.approx(0.065 * 1.58)
    assert cell.value(DIFFUSIVITY) == values[DIFFUSIVITY]


def test_the_model_has_the_options_of_the_mechanisms(cell):
    model = cell.pybamm_model()
    assert isinstance(model, pybamm.lithium_ion.SPM)
    assert model.options["SEI"] == ("solvent-diffusion limited", "none")
    assert cell.pybamm_model() is not model


def test_parameter_values_are_a_copy(cell):
    cell.parameter_values()[DIFFUSIVITY] = 1.0
    assert cell.value(DIFFUSIVITY) != 1.0


def test_the_chemistry_fills_in_its_laws():
    """Chen2020 has no dead-lithium law; the chemistry's is used once its number is given."""
    name = "Dead lithium decay rate [s-1]"
    assert name not in pybamm.ParameterValues("Chen2020")
    assert name in Cell("lithium_ion", parameters="Chen2020").parameter_values()


def test_a_chemistry_of_ones_own_brings_its_own_laws():
    data = Chemistry.load("lithium_ion").to_dict()
    name = "Dead lithium decay rate [s-1]"
    data["properties"][name]["formula"] = "7 + 0 * L_sei"
    cell = Cell(Chemistry.from_dict(data), parameters="Chen2020")
    law = cell.parameter_values()[name]
    assert law(pybamm.Scalar(1e-9)).evaluate() == 7


def test_ageing_parameters_are_numbers_of_this_cell(cell):
    assert DIFFUSIVITY in cell.ageing_parameters
    assert "Dead lithium decay constant [s-1]" in cell.ageing_parameters
    assert all(isinstance(cell.value(name), float) for name in cell.ageing_parameters)
    assert Cell("lithium_ion", parameters="OKane2022").ageing_parameters == ()


def test_initial_soc_sets_the_concentrations(cell):
    name = "Initial concentration in negative electrode [mol.m-3]"
    half = Cell("lithium_ion", "OKane2022", mechanisms=MECHANISMS, initial_soc=0.5)
    assert 0.3 * cell.value(name) < half.value(name) < 0.7 * cell.value(name)
    assert half != Cell("lithium_ion", parameters="OKane2022")


def test_mesh_changes_the_points_of_its_coordinates_only():
    cell = Cell("lithium_ion", parameters="OKane2022", mesh={"r_n": 7})
    assert cell.var_pts()["r_n"] == 7
    assert cell.var_pts()["r_p"] == cell.pybamm_model().default_var_pts["r_p"]
    simulation = pybamm.Simulation(
        cell.pybamm_model(), parameter_values=cell.parameter_values(), var_pts=cell.var_pts()
    )
    simulation.build()
    assert simulation.mesh["negative particle"].npts == 7


def test_new_numbers_make_a_new_cell(cell):
    other = cell.with_parameters({DIFFUSIVITY: 1e-21}, source="a test")
    assert other.value(DIFFUSIVITY) == 1e-21 and cell.value(DIFFUSIVITY) == 2.5e-22
    assert other != cell and other.hash != cell.hash
    assert other.parameters.parameters[DIFFUSIVITY].source == "a test"
    assert cell.with_model("DFN").model == "DFN"


def test_plain_data_give_back_the_cell(cell):
    for each in (cell, Cell("lithium_ion", mechanisms=["SEI"], mesh={"r_n": 9}, initial_soc=0.5)):
        data = json.loads(json.dumps(each.to_dict()))
        again = Cell.from_dict(data)
        assert again == each and hash(again) == hash(each)
        assert again.to_dict() == each.to_dict()


def test_pickles_and_copies_are_equal(cell):
    assert pickle.loads(pickle.dumps(cell)) == cell
    assert copy.deepcopy(cell) == cell


def test_the_hash_depends_on_content_only(cell):
    """Names, order and process do not matter; any content does."""
    same = Cell("lithium_ion", "OKane2022", "spm", ["LAM", "plating", {"mechanism": "SEI"}])
    assert same.hash == cell.hash
    changed = [
        cell.with_model("SPMe"),
        Cell("lithium_ion", "OKane2022", "SPM", MECHANISMS, mesh={"r_n": 10}),
        Cell("lithium_ion", "OKane2022", "SPM", MECHANISMS, initial_soc=1.0),
        Cell("lithium_ion", "OKane2022", "SPM", MECHANISMS[:2]),
    ]
    assert len({c.hash for c in [cell, *changed]}) == 5


def test_the_hash_is_the_same_in_another_process(cell):
    code = (
        "from cellmodels.cell import Cell\n"
        "print(Cell('lithium_ion', 'OKane2022', 'SPM', ['SEI', 'plating', 'LAM']).hash)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == cell.hash


def test_cells_cannot_be_changed(cell):
    with pytest.raises(AttributeError, match="with_parameters"):
        cell.model = "DFN"
    with pytest.raises(AttributeError):
        del cell.model


def test_repr_shows_what_it_is(cell):
    shown = repr(cell)
    assert "OKane2022" in shown and "SEI(limit='solvent diffusion'" in shown


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"model": "P2D"}, ["SPMe"]),
        ({"mechanisms": ["SIE"]}, ["'SEI'"]),
        ({"mesh": {"x__n": 5}}, ["'x_n'"]),
        ({"mesh": {"r_n": 1}}, ["whole number"]),
        ({"initial_soc": 1.5}, ["1.5"]),
        ({"initial_soc": float("nan")}, ["nan"]),
        ({"parameters": "Chen2020", "mechanisms": ["LAM"]}, ["Chen2020", "LAM constant", "more"]),
        ({"parameters": "Chen2020", "mechanisms": ["plating"]}, ["lithium plating", "needs"]),
    ],
)
def test_what_cannot_be_is_refused_before_any_solving(arguments, words):
    with pytest.raises(InputError) as error:
        Cell("lithium_ion", **{"parameters": "OKane2022", **arguments})
    for word in words:
        assert word in str(error.value)


def test_a_law_is_of_no_use_without_the_numbers_it_quotes():
    """Removing one number from a set makes the mechanism that quotes it impossible."""
    bare = ParameterSet("bare", "without a base", "lithium_ion", "")
    with pytest.raises(InputError, match="Lithium plating"):
        Cell("lithium_ion", parameters=bare, mechanisms=["plating"])


def test_a_set_of_another_chemistry_is_refused():
    alien = ParameterSet("alien", "of another chemistry", "zinc_bromine", "OKane2022")
    with pytest.raises(InputError, match="zinc_bromine"):
        Cell("lithium_ion", parameters=alien)


def test_wrong_names_of_values_are_refused(cell):
    with pytest.raises(InputError, match="SEI solvent diffusivity"):
        cell.value("SEI solvent difusivity [m2.s-1]")
    with pytest.raises(InputError, match="function"):
        cell.value("Negative electrode OCP [V]")


def test_parameters_that_functions_read_are_read(cell):
    """Those of PyBaMM's Python functions, and those that formulas of ours quote."""
    read = cell.parameters_read
    assert {DIFFUSIVITY, "Negative electrode OCP [V]"} <= set(read)
    for hidden in ("Dead lithium decay constant [s-1]", "Initial SEI thickness [m]"):
        assert hidden in read
    bare = cell.with_mechanisms(["SEI"])
    assert [m.short_name for m in bare.mechanisms] == ["SEI"]
    assert "Dead lithium decay constant [s-1]" not in bare.parameters_read
    zinc = Cell("zinc_bromine")
    assert "Electrolyte conductivity at 25 degC [S.m-1]" in zinc.parameters_read


def test_parameters_of_the_mesh_are_lengths_between_its_ends():
    cell = Cell("lithium_ion", parameters="OKane2022", model="SPM")
    assert "Negative electrode thickness [m]" in cell.parameters_of_mesh
    assert "Negative particle radius [m]" in cell.parameters_of_mesh
    assert "Electrode width [m]" not in cell.parameters_of_mesh
    assert Cell("zinc_bromine").parameters_of_mesh == ()  # well mixed
    assert "Separator thickness [m]" in Cell("zinc_bromine", model="porous").parameters_of_mesh


def test_other_mechanisms_keep_the_rest(cell):
    other = cell.with_mechanisms(["SEI"])
    assert other.parameters == cell.parameters and other.model == cell.model
    with pytest.raises(InputError, match="SEJ"):
        cell.with_mechanisms(["SEJ"])


def test_other_ageing_keeps_what_does_not_age():
    warm = Cell("lithium_ion", parameters="OKane2022", mechanisms=[LumpedThermal(), "SEI"])
    for given in ("LAM", ["LAM"], [LossOfActiveMaterial()]):
        names = [m.short_name for m in warm.with_ageing(given).mechanisms]
        assert names == ["loss of active material", "lumped thermal"]
    again = warm.with_ageing(["SEI", LumpedThermal()])
    assert again == warm
    assert warm.with_ageing([]).mechanisms == (LumpedThermal(),)
    with pytest.raises(InputError, match="SEJ"):
        warm.with_ageing(["SEJ"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"modle": "SPM"}, "model"),
        ({"format": "cellmodels-cell/2"}, "format"),
    ],
)
def test_wrong_plain_data_are_refused(cell, change, words):
    with pytest.raises(InputError, match=words):
        Cell.from_dict({**cell.to_dict(), **change})
    with pytest.raises(InputError, match="mesh"):
        Cell.from_dict({k: v for k, v in cell.to_dict().items() if k != "mesh"})
