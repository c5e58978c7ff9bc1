import json
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import pybamm
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellmodels import bpx_writer, parameter_set
from cellmodels.cell import Cell
from cellmodels.errors import InputError
from cellmodels.models.mechanisms import LumpedThermal
from cellmodels.parameter_check import check
from cellmodels.parameter_set import ParameterSet

pytest.importorskip("bpx", reason="needs the package bpx")

OURS = parameter_set.names("lithium_ion")
SHARED = os.environ.get("CELLMODELS_DATA", "")
CELLS = sorted(Path(SHARED, "about_energy_bpx").glob("*/*.json")) if SHARED else []
BETWEEN = 5e-8  # largest difference of voltages that solvers at this tolerance leave [V]


def discharged(values, model="DFN"):
    """Solution of an hour at 1C."""
    model = getattr(pybamm.lithium_ion, model)()
    solver = pybamm.IDAKLUSolver(rtol=1e-9, atol=1e-11)
    simulation = pybamm.Simulation(model, parameter_values=values, C_rate=1, solver=solver)
    return simulation.solve([0, 3600])


def difference(one, other):
    """Largest difference of two voltages [V]; their lengths differ by next to nothing."""
    assert one.t[-1] == pytest.approx(other.t[-1], rel=1e-6)
    t = np.linspace(0, min(one.t[-1], other.t[-1]) * (1 - 1e-6), 300)
    return np.abs(one["Voltage [V]"](t) - other["Voltage [V]"](t)).max()


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The content of a file that we wrote."""
    path = tmp_path_factory.mktemp("bpx") / "cell.json"
    ParameterSet.load("lfp_graphite").to_bpx(path)
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.fixture
def read(tmp_path):
    def read(data, **options):
        path = tmp_path / "cell.json"
        path.write_text(json.dumps(data), encoding="utf-8")
        return ParameterSet.from_bpx(path, **options)

    return read


@pytest.fixture
def changed(data):
    """A copy of the content with one entry changed; None deletes it."""

    def changed(*place, to):
        copy = json.loads(json.dumps(data))
        node = copy
        for key in place[:-1]:
            node = node.setdefault(key, {})
        if to is None:
            del node[place[-1]]
        else:
            node[place[-1]] = to
        return copy

    return changed


# --- round trips -------------------------------------------------------------------------------


def check_round_trip(parameters, path):
    """Set, file and set again, and PyBaMM's own reading of the file, discharge alike."""
    parameters.to_bpx(path)
    again = ParameterSet.from_bpx(path)
    first = discharged(parameters.parameter_values())
    assert difference(first, discharged(again.parameter_values())) < BETWEEN
    pybamms = pybamm.ParameterValues.create_from_bpx(path)
    assert difference(first, discharged(pybamms)) < BETWEEN
    second = path.with_name("again.json")
    again.to_bpx(second)
    compare(json.loads(path.read_text()), json.loads(second.read_text()))


def compare(one, other):
    """Numbers are the same but for rounding, formulas to the letter."""
    assert one["State"] == other["State"]
    for section, entries in one["Parameterisation"].items():
        back = other["Parameterisation"][section]
        assert set(entries) - set(back) == set()
        for key, value in entries.items():
            if isinstance(value, (int, float)):
                assert back[key] == pytest.approx(value, rel=1e-8), (section, key)
            elif section != "User-defined":
                assert back[key] == value, (section, key)


@pytest.mark.slow
@pytest.mark.parametrize("name", OURS)
def test_round_trip_of_our_sets(name, tmp_path):
    check_round_trip(ParameterSet.load(name), tmp_path / "cell.json")


@pytest.mark.data
@pytest.mark.skipif(not CELLS, reason="needs CELLMODELS_DATA with about_energy_bpx")
@pytest.mark.parametrize("path", CELLS, ids=lambda path: path.stem)
def test_round_trip_of_shared_cells(path, tmp_path):
    parameters = ParameterSet.from_bpx(path)
    first = discharged(parameters.parameter_values())
    pybamms = pybamm.ParameterValues.create_from_bpx(path)
    assert difference(first, discharged(pybamms)) < BETWEEN
    check_round_trip(parameters, tmp_path / "cell.json")


def test_ageing_survives_and_what_does_not_is_said(tmp_path):
    mine = ParameterSet.load("lfp_graphite")
    left_out = mine.to_bpx(tmp_path / "cell.json")
    again = ParameterSet.from_bpx(tmp_path / "cell.json")
    for name, each in mine.parameters.items():
        if isinstance(each.value, float) and "specific heat" not in name and "density" not in name:
            if "current collector thickness" not in name:
                assert again.value(name) == pytest.approx(each.value, rel=1e-12), name
        else:
            assert name in left_out or name in again.parameter_values()
    Cell("lithium_ion", again, "SPMe", ["SEI", "lithium plating"])


def test_lumped_heat_capacity_is_that_of_the_layers(tmp_path):
    mine = ParameterSet.load("lfp_graphite")
    mine.to_bpx(tmp_path / "cell.json")
    again = ParameterSet.from_bpx(tmp_path / "cell.json")
    heat = [pybamm.LithiumIonParameters() for _ in range(2)]
    values = [s.parameter_values() for s in (mine, again)]
    per_volume = [
        v.evaluate(p.rho_c_p_eff(pybamm.Scalar(298.15))) for p, v in zip(heat, values, strict=True)
    ]
    assert per_volume[0] == pytest.approx(per_volume[1], rel=1e-12)


def without_extras(data):
    """The content as others write it: the cell's thermal data alone, and no own section."""
    copy = json.loads(json.dumps(data))
    copy["Parameterisation"].pop("User-defined")
    copy["State"].pop("Thermal environment", None)
    return copy


COOLING = "Total heat transfer coefficient [W.m-2.K-1]"


def check_temperature(file):
    """The lumped temperature of a discharge is that of PyBaMM's model of the same file."""
    cell = Cell("lithium_ion", ParameterSet.from_bpx(file), "SPMe", [LumpedThermal()])
    assert COOLING in cell.estimates  # BPX does not say how the cell is cooled
    values = pybamm.ParameterValues.create_from_bpx(str(file))
    values[COOLING] = 12.0
    mine = cell.with_parameters({COOLING: 12.0}, source="measured", status="measured")
    assert COOLING not in mine.estimates
    model = pybamm.lithium_ion.SPMe({"thermal": "lumped"})
    found = []
    for one, parameters in ((mine.pybamm_model(), mine.parameter_values()), (model, values)):
        solver = pybamm.IDAKLUSolver(rtol=1e-8, atol=1e-8)
        simulation = pybamm.Simulation(one, parameter_values=parameters, C_rate=1, solver=solver)
        solution = simulation.solve([0, 3000])
        at = np.linspace(0, 0.999 * solution.t[-1], 100)
        found.append(solution["Volume-averaged cell temperature [K]"](at))
    assert found[1].max() - found[1][0] > 2.0
    assert np.abs(found[0] - found[1]).max() < 1e-3


def test_a_file_of_another_program_makes_a_thermal_cell(data, tmp_path):
    file = tmp_path / "cell.json"
    file.write_text(json.dumps(without_extras(data)), encoding="utf-8")
    check_temperature(file)


@pytest.mark.data
@pytest.mark.skipif(not CELLS, reason="needs CELLMODELS_DATA with about_energy_bpx")
@pytest.mark.parametrize("file", CELLS, ids=lambda file: file.stem)
def test_shared_cells_warm_as_in_pybamm(file):
    check_temperature(file)


def test_without_thermal_data_there_is_no_thermal_cell(data, read):
    plain = without_extras(data)
    del plain["Parameterisation"]["Cell"]["Density [kg.m-3]"]
    with pytest.raises(InputError, match="Negative electrode density"):
        Cell("lithium_ion", read(plain), "SPMe", [LumpedThermal()])


def test_initial_state_of_charge_is_kept(tmp_path):
    mine = ParameterSet.load("lfp_graphite")
    values = mine.parameter_values()
    values.set_initial_state(0.4)
    names = [f"Initial concentration in {e} electrode [mol.m-3]" for e in ("negative", "positive")]
    half = mine.replace({n: values[n] for n in names}, source="test")
    half.to_bpx(tmp_path / "cell.json")
    again = ParameterSet.from_bpx(tmp_path / "cell.json")
    for name in names:
        assert again.value(name) == pytest.approx(values[name], rel=1e-12)
    state = json.loads((tmp_path / "cell.json").read_text())["State"]["Initial conditions"]
    assert state["Initial state-of-charge"] == pytest.approx(0.4, abs=1e-4)


@pytest.mark.parametrize("charge", [0.0, 0.3, 1.0])
def test_a_stated_state_of_charge_is_that_of_pybamm(changed, read, tmp_path, charge):
    state = {"Initial temperature [K]": 298.0, "Initial state-of-charge": charge}
    stated = changed("State", "Initial conditions", to=state)
    stated["Parameterisation"]["Negative electrode"]["Maximum stoichiometry"] += (
        0.01  # not at 3.6 V
    )
    found = read(stated)
    path = tmp_path / "cell.json"
    theirs = pybamm.ParameterValues.create_from_bpx(path)
    names = [f"Initial concentration in {e} electrode [mol.m-3]" for e in ("negative", "positive")]
    for name in names:
        assert found.value(name) == pytest.approx(theirs[name], rel=1e-5)
    found.to_bpx(tmp_path / "again.json")
    again = ParameterSet.from_bpx(tmp_path / "again.json")
    for name in names:
        assert again.value(name) == pytest.approx(found.value(name), rel=1e-9)


def test_lithium_beside_the_sets_own_limits(data, read, tmp_path):
    mine = read(data)
    name = "Initial concentration in negative electrode [mol.m-3]"
    aged = mine.replace({name: 0.95 * mine.value(name)}, source="test")
    aged.to_bpx(tmp_path / "again.json")
    again = ParameterSet.from_bpx(tmp_path / "again.json")
    for each in (name, name.replace("negative", "positive")):
        assert again.value(each) == pytest.approx(aged.value(each), rel=1e-9)


def test_bpx_files_are_loaded_and_built_on(data, read, tmp_path):
    it = read(data)
    assert ParameterSet.load(tmp_path / "cell.json") == it
    text = """
format = 1
name = "mine"
title = "Mine"
chemistry = "lithium_ion"
base = "cell.json"
[citations]
me = "Our report"
[parameters."Contact resistance [Ohm]"]
value = 12
unit = "mOhm"
source = "me, page 3"
status = "measured"
"""
    (tmp_path / "mine.toml").write_text(text, encoding="utf-8")
    mine = ParameterSet.load(tmp_path / "mine.toml")
    assert mine.value("Contact resistance [Ohm]") == 0.012
    assert mine.value("Negative particle radius [m]") == it.value("Negative particle radius [m]")


def test_what_bpx_cannot_hold_is_named(tmp_path):
    name = "Exchange-current density for plating [A.m-2]"
    law = parameter_set.Expression("2 * c_e", ("c_e", "c_Li", "T"))
    mine = ParameterSet.load("nmc_graphite_siox")
    assert mine.to_bpx(tmp_path / "cell.json") == []
    assert mine.replace({name: law}, source="test").to_bpx(tmp_path / "cell.json") == [name]


# --- reading -----------------------------------------------------------------------------------


def test_numbers_say_where_they_are_from(data, read):
    found = read(data, name="mine", status="measured")
    assert [f.text for f in check(found) if f.fault or "source" in f.text] == []
    assert found.name == "mine" and found.base == ""
    p = found.parameters["Negative particle radius [m]"]
    assert (p.source, p.status, p.unit) == ("BPX, section Negative electrode", "measured", "m")
    assert "10.1149/2.053304jes" in found.citations["BPX"]
    assert ParameterSet.from_dict(json.loads(json.dumps(found.to_dict()))) == found


def test_temperature_laws_are_kept(changed, read):
    energy = "Diffusivity activation energy [J.mol-1]"
    warm = read(changed("Parameterisation", "Positive electrode", energy, to=5e4))
    values = warm.parameter_values()
    symbol = values["Positive particle diffusivity [m2.s-1]"](
        pybamm.Scalar(0.5), pybamm.Scalar(318)
    )
    cold = warm.value("Positive particle diffusivity at reference temperature [m2.s-1]")
    expected = cold * np.exp(5e4 / 8.31446261815324 * (1 / 298 - 1 / 318))
    assert values.evaluate(symbol) == pytest.approx(expected, rel=1e-12)


def test_tables_with_a_temperature_law(changed, read, tmp_path):
    table = {"x": [1.0, 0.5, 0.0], "y": [1e-15, 3e-15, 2e-15]}
    both = changed("Parameterisation", "Negative electrode", "Diffusivity [m2.s-1]", to=table)
    both["Parameterisation"]["Negative electrode"]["Diffusivity activation energy [J.mol-1]"] = 3e4
    found = read(both)
    found.to_bpx(tmp_path / "again.json")
    again = json.loads((tmp_path / "again.json").read_text())["Parameterisation"]
    back = again["Negative electrode"]["Diffusivity [m2.s-1]"]
    assert np.allclose(np.interp([0.2, 0.7], back["x"], back["y"]), [2.4e-15, 2.2e-15], rtol=1e-9)
    assert again["Negative electrode"]["Diffusivity activation energy [J.mol-1]"] == 3e4


def single_particle(data):
    """The content without what an SPM does not need."""
    copy = json.loads(json.dumps(data))
    sections = copy["Parameterisation"]
    for section in ("Electrolyte", "Separator"):
        del sections[section]
    for which in ("Negative electrode", "Positive electrode"):
        for key in ("Porosity", "Transport efficiency", "Conductivity [S.m-1]"):
            del sections[which][key]
    copy["Header"]["Model"] = "SPM"
    return copy


def test_files_without_electrolyte_serve_the_spm(data, read, tmp_path):
    whole, single = read(data), read(single_particle(data))
    cell = Cell("lithium_ion", single, "SPM")
    solutions = [discharged(s.parameter_values(), "SPM") for s in (whole, single)]
    assert difference(*solutions) < BETWEEN
    assert cell.estimates == ()  # no equation reads what the file leaves open
    single.to_bpx(tmp_path / "again.json")
    assert json.loads((tmp_path / "again.json").read_text())["Header"]["Model"] == "SPM"


def test_nothing_is_executed_or_left_behind(data, read, monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    bpx = pytest.importorskip("bpx")

    def forbidden(*_, **__):
        raise AssertionError("executed")

    monkeypatch.setattr(bpx.Function, "to_python_function", forbidden)
    before = set(sys.modules)
    for each in (data, single_particle(data)):
        read(each).to_bpx(tmp_path / "again.json")
    assert list((tmp_path / "temporary").iterdir()) == []
    assert set(sys.modules) == before


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        (("Positive electrode", "OCP [V]"), "exit(1) + x", "unknown function 'exit'"),
        (("Positive electrode", "OCP [V]"), "x.__class__", "Attribute"),
        (("Positive electrode", "OCP [V]"), '"Separator porosity" * x', "names in quotes"),
        (("Positive electrode", "OCP [V]"), "(" * 5000 + "x" + ")" * 5000, "longer than"),
        (("Positive electrode", "Particle"), {"A": {}, "B": {}}, "not a valid BPX file"),
        (("Positive electrode", "Thickness [m]"), "x", "not a valid BPX file"),
        (("Positive electrode", "Thicknes [m]"), 1.0, "not a valid BPX file"),
        (("Positive electrode", "Particle radius [m]"), -1e-6, "not positive"),
        (("Positive electrode", "Particle radius [m]"), 1.0, "of its volume"),
        (("Positive electrode", "Minimum stoichiometry"), 2.0, "impossible"),
        (("Positive electrode", "Diffusivity [m2.s-1]"), {"x": [0, 0], "y": [1, 2]}, "increase"),
        (("Separator", "Porosity"), 1.5, "impossible"),
        (("User-defined", "Mine"), {"inner": {"a": 1.0}}, "cannot be read"),
        (("Cell", "Electrode area [m2]"), 10**400, "not a finite|not a number|valid"),
    ],
)
def test_wrong_or_hostile_files(changed, read, place, value, words):
    with pytest.raises(InputError, match=words):
        read(changed("Parameterisation", *place, to=value))


def test_blended_electrodes_are_refused_with_words(data, read):
    blend = json.loads(json.dumps(data))
    section = blend["Parameterisation"]["Negative electrode"]
    outer = ("Thickness [m]", "Porosity", "Transport efficiency", "Conductivity [S.m-1]")
    particle = {key: section.pop(key) for key in list(section) if key not in outer}
    section["Particle"] = {"Graphite": particle, "Silicon": particle}
    with pytest.raises(InputError, match="a blend of Graphite, Silicon"):
        read(blend)


def test_aged_cells_are_refused_with_words(changed, read):
    aged = {"LLI": 0.1, "LAM: Positive electrode": 0.0, "LAM: Negative electrode": 0.0}
    with pytest.raises(InputError, match="aged"):
        read(changed("State", "Degradation", to=aged))
    aged["LLI"] = 0.0
    assert read(changed("State", "Degradation", to=aged))


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000, '{"Parameterisation": {}}', "NaN"])
def test_what_is_no_bpx_file(tmp_path, text):
    path = tmp_path / "cell.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"cell\.json"):
        ParameterSet.from_bpx(path)


@settings(max_examples=30)
@given(st.text(alphabet="x0123456789.+-*/()exptanh_ \"'", max_size=40))
def test_any_function_is_read_or_refused(data, text):
    copy = json.loads(json.dumps(data))
    copy["Parameterisation"]["Positive electrode"]["OCP [V]"] = text
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "cell.json")
        path.write_text(json.dumps(copy), encoding="utf-8")
        try:
            found = ParameterSet.from_bpx(path)
        except InputError:
            return
    assert found.parameters["Positive electrode OCP [V]"].value.variables == ("sto",)


# --- writing -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "formula", "arguments", "words"),
    [
        (
            "Negative electrode exchange-current density [A.m-2]",
            "1e-3 * c_e * exp(1000*(1/298 - 1/T))",
            ("c_e", "c_s_surf", "c_s_max", "T"),
            "not proportional to sqrt",
        ),
        ("Electrolyte conductivity [S.m-1]", "1e-3*c_e*(T/298)", ("c_e", "T"), "no Arrhenius law"),
        ("Electrolyte diffusivity [m2.s-1]", "-1e-10", ("c_e", "T"), "not positive"),
        ("Thermodynamic factor", "1 + c_e/1000", ("c_e", "T"), "in BPX it is a number"),
        ("Thermodynamic factor", "2", ("c_e", "T"), "in BPX it is 1"),
    ],
)
def test_laws_that_bpx_does_not_have(tmp_path, name, formula, arguments, words):
    law = parameter_set.Expression(formula, arguments)
    changed = ParameterSet.load("lfp_graphite").replace({name: law}, source="test")
    with pytest.raises(InputError, match=words):
        changed.to_bpx(tmp_path / "cell.json")
    assert not (tmp_path / "cell.json").exists()


def test_functions_that_bpx_does_not_have_become_tables(tmp_path):
    law = parameter_set.Expression("3.5 - 0.1*log(sto/(1.01 - sto) + 1)", ("sto",))
    name = "Positive electrode OCP [V]"
    mine = ParameterSet.load("lfp_graphite").replace({name: law}, source="test")
    mine.to_bpx(tmp_path / "cell.json")
    sections = json.loads((tmp_path / "cell.json").read_text())["Parameterisation"]
    table = sections["Positive electrode"]["OCP [V]"]
    sto = np.linspace(0, 1, 1000)
    expected = law.evaluate({"sto": sto})
    error = np.abs(np.interp(sto, table["x"], table["y"]) - expected).max()
    assert error < 1.5 * bpx_writer.TABLE_ERROR * np.abs(expected).max()


def test_zinc_cells_have_no_bpx(tmp_path):
    with pytest.raises(InputError, match="which BPX needs"):
        ParameterSet.load("zinc_bromine_static").to_bpx(tmp_path / "cell.json")
