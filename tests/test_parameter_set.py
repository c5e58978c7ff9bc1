import contextlib
import copy
import json
import math
import pickle
import tomllib

import numpy as np
import pybamm
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellmodels import parameter_set
from cellmodels.chemistry import Chemistry
from cellmodels.errors import InputError, UnitError
from cellmodels.expressions import Expression
from cellmodels.models.mechanisms import (
    SEI,
    LithiumPlating,
    LossOfActiveMaterial,
    LumpedThermal,
    ParticleCracking,
)
from cellmodels.parameter_set import Parameter, ParameterSet
from cellmodels.tables import Table
from cellmodels.toml_io import toml_text

OURS = parameter_set.names()
DIFFUSIVITY = "SEI solvent diffusivity [m2.s-1]"
OCP = "Negative electrode OCP [V]"

HEAD = """
format = 1
name = "mine"
title = "Mine"
chemistry = "lithium_ion"
base = "OKane2022"

[citations]
Me2026 = "Me, 2026"
"""
ENTRY = """
[parameters."SEI solvent diffusivity [m2.s-1]"]
value = 1e-18
unit = "cm2/s"
range = [1e-20, 1e-16]
source = "Me2026, Table 2"
status = "measured"
"""


@pytest.fixture
def write(tmp_path):
    """Write a parameter file and return its path."""

    def write(text, name="mine.toml"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


def load(write, text):
    return ParameterSet.load(write(text))


# --- the sets that come with the package -------------------------------------------------------


def test_the_sets():
    assert {"nmc_graphite_siox", "lfp_graphite"} <= set(OURS)
    assert set(parameter_set.names("lithium_ion")) <= set(OURS)


@pytest.mark.parametrize("name", OURS)
def test_every_number_says_where_it_is_from(name):
    it = ParameterSet.load(name)
    assert it.name == name
    assert it.title and it.description
    for parameter in it.parameters.values():
        key = parameter.source.split(",")[0]
        assert key in it.citations
        assert (key == "estimate") <= (parameter.status == "estimate")
    for key, text in it.citations.items():
        # the zinc sets quote books too, which have a publisher instead
        books = () if it.chemistry == "lithium_ion" else ("Wiley", "NBS tables")
        found = any(mark in text for mark in ("doi:", "http", *books))
        assert key == "estimate" or found, text


@pytest.mark.parametrize("name", OURS)
def test_a_note_that_says_as_in_pybamm_is_true(name):
    it = ParameterSet.load(name)
    for parameter in it.parameters.values():
        if "as in PyBaMM's" not in parameter.source or not isinstance(parameter.value, float):
            continue
        theirs = parameter.source.split("as in PyBaMM's ")[1].split(" and ")[-1]
        value = pybamm.ParameterValues(theirs)[parameter.name]
        if callable(value):  # the cracking rate, constant in PyBaMM's function of temperature
            value = value(310.0)
        assert value == parameter.value, parameter.name


@pytest.mark.parametrize("name", parameter_set.names("lithium_ion"))
def test_every_ageing_parameter_has_a_range(name):
    it = ParameterSet.load(name)
    mechanisms = [
        SEI(limit=limit)
        for limit in (
            "solvent diffusion",
            "reaction",
            "electron migration",
            "interstitial diffusion",
        )
    ]
    mechanisms += [
        LithiumPlating(),
        LossOfActiveMaterial("stress"),
        LossOfActiveMaterial("reaction"),
        ParticleCracking(electrodes=("negative", "positive")),
        LumpedThermal(),
    ]
    for mechanism in mechanisms:
        for parameter in mechanism.parameters:
            low, high = it.range(parameter)
            assert low < it.value(parameter) < high, parameter
    wide = [
        "SEI reaction exchange current density [A.m-2]",
        "Dead lithium decay constant [s-1]",
        DIFFUSIVITY,
    ]
    for parameter in wide:
        low, high = it.range(parameter)
        assert high / low == pytest.approx(1e4)


OPTIONS = {
    "SEI porosity change": "true",
    "lithium plating": "partially reversible",
    "lithium plating porosity change": "true",
    "loss of active material": "stress-driven",
    "particle mechanics": "swelling and cracking",
    "SEI on cracks": "true",
    "thermal": "lumped",
}


@pytest.mark.parametrize(
    ("name", "model", "limit"),
    [
        ("nmc_graphite_siox", "SPM", "solvent-diffusion limited"),
        ("lfp_graphite", "SPM", "solvent-diffusion limited"),
        ("lfp_graphite", "SPM", "reaction limited"),
        ("lfp_graphite", "SPM", "electron-migration limited"),
        ("lfp_graphite", "SPM", "interstitial-diffusion limited"),
        ("lfp_graphite", "SPMe", "solvent-diffusion limited"),
        pytest.param("lfp_graphite", "DFN", "solvent-diffusion limited", marks=pytest.mark.slow),
        pytest.param("nmc_graphite_siox", "DFN", "reaction limited", marks=pytest.mark.slow),
    ],
)
def test_a_cycle_with_every_mechanism(name, model, limit):
    values = ParameterSet.load(name).parameter_values()
    low, high = values["Lower voltage cut-off [V]"], values["Upper voltage cut-off [V]"]
    cycle = (
        f"Discharge at 1C until {low} V",
        f"Charge at 0.5C until {high} V",
        f"Hold at {high} V until C/20",
    )
    model = getattr(pybamm.lithium_ion, model)({**OPTIONS, "SEI": limit})
    experiment = pybamm.Experiment([cycle])
    solution = pybamm.Simulation(model, parameter_values=values, experiment=experiment).solve()
    assert len(solution.cycles[0].steps) == 3
    capacity = np.ptp(solution.cycles[0].steps[0]["Discharge capacity [A.h]"].entries)
    nominal = values["Nominal cell capacity [A.h]"]
    assert 0.8 * nominal < capacity < 1.1 * nominal
    lost = [
        solution[f"Loss of capacity to negative {where} [A.h]"].entries[-1]
        for where in ("SEI", "SEI on cracks", "lithium plating")
    ]
    assert all(0 < each < 0.05 * nominal for each in lost)
    for electrode in ("negative", "positive"):
        loss = solution[f"Loss of active material in {electrode} electrode [%]"].entries[-1]
        assert 0 < loss < 0.1
    heating = np.max(solution["Volume-averaged cell temperature [K]"].entries) - 298.15
    assert 0.5 < heating < 20


def test_nmc_set_is_pybamms_but_for_the_potential():
    ours = ParameterSet.load("nmc_graphite_siox").parameter_values()
    base = pybamm.ParameterValues("OKane2022")
    sto = pybamm.Vector(np.linspace(0.05, 0.95, 91))
    theirs = pybamm.ParameterValues("Chen2020")[OCP](sto).evaluate()
    np.testing.assert_allclose(ours[OCP](sto).evaluate(), theirs, rtol=1e-12)
    table = base[OCP](sto).evaluate()
    assert np.max(np.abs(theirs - table)) < 0.016  # as the set's note says
    different = {n for n in base if not callable(base[n]) and ours[n] != base[n]} - {"citations"}
    assert different == {"Negative electrode reaction-driven LAM factor [m3.mol-1]"}


def test_lfp_set_keeps_the_base():
    ours = ParameterSet.load("lfp_graphite").parameter_values()
    base = pybamm.ParameterValues("Prada2013")
    assert not [name for name in base if ours[name] is not base[name] and ours[name] != base[name]]


def test_entry_points_hold_the_sets():
    from cellmodels import pybamm_sets

    for name in parameter_set.names():
        content = getattr(pybamm_sets, name)()
        it = ParameterSet.load(name)
        assert content["chemistry"] == Chemistry.load(it.chemistry).family
        assert set(content) >= set(it.parameters)
        pybamm.ParameterValues(content)


# --- loading -----------------------------------------------------------------------------------


def test_a_bare_pybamm_set():
    it = ParameterSet.load("OKane2022")
    assert not it.parameters
    assert it.base == it.name == "OKane2022"
    assert it.parameter_values()[DIFFUSIVITY] == 2.5e-22
    assert it.value(DIFFUSIVITY) == 2.5e-22
    assert it.range(DIFFUSIVITY) is None


def test_a_pybamm_set_of_another_chemistry():
    with pytest.raises(InputError, match="lead_acid"):
        ParameterSet.load("Sulzer2019")


@pytest.mark.parametrize("name", ["OKane202", "okane2022"])
def test_unknown_set_names_the_nearest(name):
    with pytest.raises(InputError, match="Did you mean 'OKane2022'"):
        ParameterSet.load(name)


def test_values_are_held_in_the_unit_of_the_name(write):
    parameter = load(write, HEAD + ENTRY).parameters[DIFFUSIVITY]
    assert parameter.value == pytest.approx(1e-22)
    assert parameter.range == pytest.approx((1e-24, 1e-20))
    assert parameter.unit == "m2.s-1"
    assert parameter.source == "Me2026, Table 2"


def test_per_cent_of_a_name_without_unit(write):
    text = ENTRY.replace(DIFFUSIVITY, "Separator porosity").replace("cm2/s", "%")
    text = text.replace("1e-18", "47").replace("[1e-20, 1e-16]", "[30, 60]")
    assert load(write, HEAD + text).parameters["Separator porosity"].value == pytest.approx(0.47)


def test_formula_and_table(write, tmp_path):
    (tmp_path / "ocp.csv").write_text("# measured\nsto [-],U [mV]\n0,1000\n0.5,200\n1,0\n")
    text = (
        HEAD
        + """
[parameters."Negative electrode OCP [V]"]
table = "ocp.csv"
arguments = ["sto"]
unit = "V"
source = "Me2026"
status = "measured"

[parameters."Negative particle diffusivity [m2.s-1]"]
formula = '3e-14 * exp(30000/R * (1/"Reference temperature [K]" - 1/T))'
arguments = ["sto", "T"]
unit = "m2/s"
source = "Me2026"
status = "fitted"
"""
    )
    it = load(write, text)
    assert it.value(OCP).y == pytest.approx((1.0, 0.2, 0.0))
    values = it.parameter_values()
    symbol = values.process_symbol(values[OCP](pybamm.Vector([0.25, 0.75])))
    np.testing.assert_allclose(symbol.evaluate()[:, 0], [0.6, 0.1])
    law = values["Negative particle diffusivity [m2.s-1]"]
    at_reference = values.process_symbol(law(pybamm.Scalar(0.5), pybamm.Scalar(298.15)))
    assert at_reference.evaluate() == pytest.approx(3e-14)
    assert ParameterSet.from_dict(json.loads(json.dumps(it.to_dict()))) == it
    solution = pybamm.Simulation(pybamm.lithium_ion.SPM(), parameter_values=values).solve([0, 60])
    assert np.isfinite(solution["Voltage [V]"].entries).all()


def test_a_set_on_one_of_ours(write):
    text = (HEAD + ENTRY).replace('base = "OKane2022"', 'base = "lfp_graphite"')
    it = load(write, text)
    parent = ParameterSet.load("lfp_graphite")
    assert it.base == "Prada2013"
    assert set(it.parameters) == set(parent.parameters)
    assert it.value(DIFFUSIVITY) == pytest.approx(1e-22)
    assert {"Me2026", "OKane2022"} <= set(it.citations)


def test_a_set_on_a_file_beside_it(write):
    write(HEAD + ENTRY)
    text = HEAD.replace('"mine"', '"child"').replace('"OKane2022"', '"mine.toml"')
    it = ParameterSet.load(write(text, "child.toml"))
    assert it.value(DIFFUSIVITY) == pytest.approx(1e-22)


def test_sets_that_build_on_each_other(write):
    write((HEAD + ENTRY).replace('"OKane2022"', '"b.toml"'), "a.toml")
    path = write((HEAD + ENTRY).replace('"OKane2022"', '"a.toml"'), "b.toml")
    with pytest.raises(InputError, match="build on each other"):
        ParameterSet.load(path)


def test_without_a_base_any_name_goes(write):
    text = HEAD.replace('base = "OKane2022"\n', "") + ENTRY
    with pytest.raises(InputError, match="no parameter is called so"):  # lithium names are known
        load(write, text.replace("solvent diffusivity", "solvent difusivity"))
    assert load(write, text).base == ""


def test_own_name_must_be_marked(write):
    text = HEAD + ENTRY.replace(DIFFUSIVITY, "My own thing [m2.s-1]")
    with pytest.raises(InputError, match="new = true"):
        load(write, text)
    it = load(write, text + "new = true\n")
    assert "My own thing [m2.s-1]" in it.parameter_values()
    assert ParameterSet.from_dict(it.to_dict()) == it


# --- what is wrong in a file -------------------------------------------------------------------

FORMULA = ENTRY.replace("value = 1e-18", "formula = 'sto'\narguments = ['sto']").replace(
    "range = [1e-20, 1e-16]\n", ""
)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("SEI solvent diffusivity", "SEI solvent difusivity",
         r"Did you mean 'SEI solvent diffusivity \[m2.s-1\]'"),
        ('"cm2/s"', '"cm/s"', "SEI solvent diffusivity.*does not fit 'm2.s-1'"),
        ('"cm2/s"', '"furlong"', "Unknown unit 'furlong'"),
        ('unit = "cm2/s"\n', "", "unit: this key is missing"),
        ('source = "Me2026, Table 2"\n', "", "source: this key is missing"),
        ("Me2026, Table 2", "", "source"),
        ("Me2026, Table 2", "Me2062, Table 2", "Did you mean 'Me2026'"),
        ('"measured"', '"guessed"', "measured, fitted, literature, estimate"),
        ('status = "measured"\n', "", "status: this key is missing"),
        ("[1e-20, 1e-16]", "[1e-17, 1e-16]", "outside its range"),
        ("[1e-20, 1e-16]", "[1e-16, 1e-20]", "empty"),
        ("[1e-20, 1e-16]", "[1e-20]", "range"),
        ("[1e-20, 1e-16]", "[nan, 1e-16]", "finite"),
        ("1e-18", "nan", "finite"),
        ("1e-18", '"1e-18"', "value: .*number"),
        ("1e-18", "true", "value: .*number"),
        ("value = 1e-18", "valeu = 1e-18", "unknown key 'valeu'.*'value'"),
        ("value = 1e-18\n", "", "give one of value, formula, table"),
        ("value = 1e-18", "value = 1e-18\nformula = '1'", "value and formula"),
        ("value = 1e-18", "value = 1e-18\narguments = ['T']", "arguments"),
        ("value = 1e-18", "value = 1e-18\ninterpolation = 'cubic'", "only a table"),
        ("value = 1e-18", "formula = '1'", "needs 'arguments'"),
        ("value = 1e-18", "formula = '1'\narguments = ['T']", "write it in 'm2.s-1'"),
        ('name = "mine"', 'name = "a b"', "name"),
        ("format = 1", "format = 2", "format"),
        ('chemistry = "lithium_ion"', 'chemistry = "lithium_iom"', "Did you mean 'lithium_ion'"),
        ('base = "OKane2022"', 'base = "OKane2023"', "Did you mean 'OKane2022'"),
        ("title", "titel", "unknown key 'titel'.*'title'"),
    ],
)  # fmt: skip
def test_wrong_entry(write, old, new, message):
    text = HEAD + ENTRY
    assert old in text
    with pytest.raises(InputError, match=message) as caught:
        load(write, text.replace(old, new))
    assert "mine.toml: " in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("'sto'\n", "'stoo'\n", "unknown name 'stoo'.*Did you mean 'sto'"),
        ("'sto'\n", "'sto.real'\n", "not allowed"),
        ("'sto'\n", "'\"Reference temperatur [K]\"'\n",
         r"quotes 'Reference temperatur \[K\]'.*Did you mean 'Reference temperature \[K\]'"),
        ("'sto'\n", "'sto'\nrange = [0, 1]\n", "only a number has a range"),
    ],
)  # fmt: skip
def test_wrong_formula(write, old, new, message):
    text = HEAD + FORMULA.replace("cm2/s", "m2/s")
    load(write, text)
    with pytest.raises(InputError, match=message):
        load(write, text.replace(old, new, 1))


def test_a_wrong_unit_is_a_unit_error(write):
    with pytest.raises(UnitError):
        load(write, (HEAD + ENTRY).replace("cm2/s", "s"))


@pytest.mark.parametrize("table", ["../secret.csv", "/etc/passwd", "absent.csv"])
def test_a_table_lies_beside_its_set(write, table):
    text = FORMULA.replace("formula = 'sto'", f"table = '{table}'").replace("cm2/s", "m2/s")
    with pytest.raises(InputError, match="beside|no file"):
        load(write, HEAD + text)


@given(st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner,
                                                                max_size=3),
    max_leaves=6,
), st.sampled_from(["name", "base", "chemistry", "citations", "parameters", "parameters/x",
                    "parameters/x/value", "parameters/x/range", "parameters/x/table",
                    "parameters/x/formula", "parameters/x/unit"]))  # fmt: skip
def test_no_content_raises_anything_but_input_error(value, place):
    data = ParameterSet("a", "b", "lithium_ion", "OKane2022").to_dict()
    entry = {"value": 1.0, "unit": "m2/s", "source": "s", "status": "measured"}
    data["parameters"] = {"x": entry}
    node, keys = data, place.split("/")
    for key in keys[:-1]:
        node = node[key]
    node[keys[-1]] = value
    if keys[-1] in ("formula", "table"):
        del entry["value"]
        entry["arguments"] = ["sto"]
    with contextlib.suppress(InputError):
        ParameterSet.from_dict(data)


# --- as a value --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*OURS, "OKane2022"])
def test_round_trip(name):
    it = ParameterSet.load(name)
    again = ParameterSet.from_dict(json.loads(json.dumps(it.to_dict())))
    assert again == it
    assert hash(again) == hash(it)
    assert again.to_dict() == it.to_dict()
    assert pickle.loads(pickle.dumps(it)) == it


def test_replace_keeps_what_was():
    it = ParameterSet.load("nmc_graphite_siox")
    before = copy.deepcopy(it.to_dict())
    fitted = it.replace({DIFFUSIVITY: 4e-22, "Separator porosity": 0.5}, source="fit to cell 17")
    assert it.to_dict() == before
    new = fitted.parameters[DIFFUSIVITY]
    assert (new.value, new.source, new.status) == (4e-22, "fit to cell 17", "fitted")
    assert new.range == it.range(DIFFUSIVITY)
    assert "was 2.5e-22 (OKane2022" in new.note
    assert "PyBaMM's OKane2022" in fitted.parameters["Separator porosity"].note
    assert fitted.parameter_values()[DIFFUSIVITY] == 4e-22
    assert ParameterSet.from_dict(json.loads(json.dumps(fitted.to_dict()))) == fitted


def test_replace_outside_the_range_widens_it_and_says_so():
    fitted = ParameterSet.load("nmc_graphite_siox").replace({DIFFUSIVITY: 1e-18}, source="fit")
    assert fitted.range(DIFFUSIVITY) == (2.5e-24, 1e-18)
    assert "outside the earlier range" in fitted.parameters[DIFFUSIVITY].note


def test_replace_a_function_by_a_number_and_back():
    it = ParameterSet.load("nmc_graphite_siox")
    name = "Negative particle diffusivity [m2.s-1]"
    constant = it.replace({name: 1e-14}, source="measured here", status="measured")
    assert constant.parameter_values()[name] == 1e-14
    formula = Expression("1e-14*(1 - sto)")
    again = constant.replace({name: formula}, source="measured here", status="measured")
    assert again.value(name) == formula


@pytest.mark.parametrize("value", [math.nan, math.inf, "1", None, True, 10**400])
def test_replace_by_what_is_no_number(value):
    with pytest.raises(InputError, match="SEI solvent diffusivity"):
        ParameterSet.load("OKane2022").replace({DIFFUSIVITY: value}, source="fit")


def test_unknown_parameter_names_the_nearest():
    it = ParameterSet.load("nmc_graphite_siox")
    wrong = "SEI solvent difusivity [m2.s-1]"
    for call in (it.value, it.range, lambda name: it.replace({name: 1.0}, source="fit")):
        with pytest.raises(InputError, match=r"Did you mean 'SEI solvent diffusivity"):
            call(wrong)


def test_changing_the_result_does_not_change_the_set():
    it = ParameterSet.load("OKane2022")
    it.parameter_values()[DIFFUSIVITY] = 1.0
    assert it.parameter_values()[DIFFUSIVITY] == 2.5e-22


def test_chemistrys_laws_fill_gaps_only():
    name = "Dead lithium decay rate [s-1]"
    assert isinstance(ParameterSet.load("Prada2013").value(name), Expression)
    assert not isinstance(ParameterSet.load("OKane2022").value(name), Expression)
    assert name in ParameterSet.load("Prada2013").parameter_values()


def test_parameter_checks_itself():
    with pytest.raises(InputError, match="source is empty"):
        Parameter("a [m]", 1.0, "m", " ", "measured")
    with pytest.raises(InputError, match="Did you mean 'measured'"):
        Parameter("a [m]", 1.0, "m", "s", "mesured")
    with pytest.raises(InputError, match="outside its range"):
        Parameter("a [m]", 1.0, "m", "s", "measured", (2.0, 3.0))
    with pytest.raises(InputError, match="only a number"):
        Parameter("a [m]", Table((0, 1), (0, 1)), "m", "s", "measured", (2.0, 3.0))


CALLS = """
[parameters."D0 [m2.s-1]"]
table = { argument = "sto", x = [0.0, 1.0], y = [1e-15, 3e-15] }
arguments = ["sto"]
unit = "m2.s-1"
source = "Me2026, Table 2"
status = "measured"
new = true

[parameters."Negative particle diffusivity [m2.s-1]"]
formula = '"D0 [m2.s-1]"(sto) * exp(3e4/R * (1/298.15 - 1/T))'
arguments = ["sto", "T"]
unit = "m2.s-1"
source = "Me2026, Table 2"
status = "measured"
"""


def test_a_table_with_a_temperature_law(write):
    values = ParameterSet.load(write(HEAD + CALLS)).parameter_values()
    law = values["Negative particle diffusivity [m2.s-1]"]
    symbol = values.process_symbol(law(pybamm.Scalar(0.25), pybamm.Scalar(310.0)))
    expected = 1.5e-15 * math.exp(3e4 / 8.31446261815324 * (1 / 298.15 - 1 / 310))
    assert symbol.evaluate() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (('"D0 [m2.s-1]"(sto)', '"D0 [m2.s-1]"(sto, T)'), "not 2 arguments"),
        (('"D0 [m2.s-1]"(sto)', '"Separator porosity"(sto)'), "no formula or table"),
        (
            ('"D0 [m2.s-1]"(sto)', '"Negative particle diffusivity [m2.s-1]"(sto, T)'),
            "calls others",
        ),
    ],
)
def test_what_a_formula_cannot_call(write, change, words):
    with pytest.raises(InputError, match=words):
        ParameterSet.load(write(HEAD + CALLS.replace(*change)))


def test_cubic_tables_serve_pybamm(write):
    text = CALLS.replace(
        "x = [0.0, 1.0], y = [1e-15, 3e-15] }", "x = [0, 1, 2, 3], y = [1, 2, 4, 9] }"
    )
    text = text.replace(
        "x = [0, 1, 2, 3], y = [1, 2, 4, 9]", "x = [0.0, 0.3, 0.7, 1.0], y = [1.0, 2.0, 4.0, 9.0]"
    )
    found = ParameterSet.load(
        write(HEAD + text.replace("table =", 'interpolation = "cubic"\ntable ='))
    )
    table, name = found.value("D0 [m2.s-1]"), "D0 [m2.s-1]"
    y = pybamm.StateVector(slice(0, 1))
    symbol = found.parameter_values().process_symbol(pybamm.FunctionParameter(name, {"sto": y}))
    import casadi

    state = casadi.MX.sym("y", 1)
    value = casadi.Function("f", [state], [symbol.to_casadi(y=state)])(0.45)
    assert float(value) == pytest.approx(float(table.evaluate({"sto": 0.45})), rel=1e-12)


# --- files ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OURS)
def test_written_sets_are_read_back(name, tmp_path):
    it = ParameterSet.load(name)
    it.write(tmp_path / "again.toml")
    assert ParameterSet.load(tmp_path / "again.toml") == it


def test_written_texts_may_hold_anything(tmp_path):
    it = ParameterSet.load("lfp_graphite")
    odd = 'a "quoted"\\ text\n\twith\x7f é'
    changed = it.replace({DIFFUSIVITY: 1e-22}, source="our fit, of May", note=odd)
    changed.write(tmp_path / "again.toml")
    again = ParameterSet.load(tmp_path / "again.toml")
    assert again.citations["our fit"] == "our fit"
    assert again.parameters[DIFFUSIVITY].note.startswith('a "quoted"\\ text\n\twith\x7f é')
    with pytest.raises(InputError, match=r"\.toml"):
        it.write(tmp_path / "again.json")


def test_differences_of_sets():
    it = ParameterSet.load("lfp_graphite")
    changed = it.replace({DIFFUSIVITY: 1e-22}, source="test")
    assert it.differences(changed) == {DIFFUSIVITY: (2.5e-22, 1e-22)}
    assert it.differences(it) == {}
    assert ParameterSet.load("Prada2013").differences(it)[DIFFUSIVITY] == (None, 2.5e-22)


def test_a_cell_cites_its_sources(tmp_path, monkeypatch):
    from cellmodels.cell import Cell

    monkeypatch.setattr(pybamm.citations, "_unknown_citations", set())
    Cell("lithium_ion", "lfp_graphite", "SPM")
    entries = ParameterSet.load("lfp_graphite").bibtex()
    assert set(entries) >= {"OKane2022", "Ai2020", "A123"} and "estimate" not in entries
    assert "doi = {10.1039/D2CP00417H}" in entries["OKane2022"]
    registered = pybamm.citations._unknown_citations
    assert entries["OKane2022"] in registered
    assert entries["Prada2013"] not in registered  # PyBaMM's own set has its own entry
    pytest.importorskip("pybtex", reason="PyBaMM prints citations with pybtex")
    pybamm.print_citations(str(tmp_path / "citations.txt"))
    text = " ".join((tmp_path / "citations.txt").read_text().split())
    assert "Lithium-ion battery degradation: how to model it" in text
    assert "first-products.de/specsenglisch" in text
    assert "thermal aging model of LiFePO4-graphite" in text  # of the base


def test_sets_cite_their_sources_in_pybamm_too(monkeypatch):
    from cellmodels import pybamm_sets

    for name in ("_unknown_citations", "_papers_to_cite"):
        monkeypatch.setattr(pybamm.citations, name, set())
    pybamm_sets.zinc_bromine_static()
    assert any("NBS tables" in e for e in pybamm.citations._unknown_citations)
    pybamm_sets.nmc_graphite_siox()
    assert "Chen2020" in pybamm.citations._papers_to_cite


@pytest.mark.parametrize("base", ["../other.toml", "/other.toml", "../other.json"])
def test_a_base_lies_beside_its_file(write, base):
    with pytest.raises(InputError, match="must lie beside"):
        ParameterSet.load(write(HEAD.replace('"OKane2022"', f'"{base}"')))


# --- temperature -------------------------------------------------------------------------------

ARRHENIUS = (
    HEAD
    + """
[parameters."Negative particle diffusivity [m2.s-1]"]
{given}
activation_energy = 30000.0
arguments = ["sto", "T"]
unit = "m2.s-1"
source = "Me2026, p. 1"
status = "measured"
"""
)


@pytest.mark.parametrize(
    ("given", "at_half"),
    [
        ("value = 2e-14", 2e-14),
        ("formula = '1e-14 * (1 + sto)'", 1.5e-14),
        ("table = {x = [0.0, 1.0], y = [1e-14, 4e-14], argument = 'sto'}", 2.5e-14),
    ],
)
def test_a_law_of_temperature_by_its_activation_energy(write, given, at_half):
    mine = ParameterSet.load(write(ARRHENIUS.format(given=given)))
    values = mine.parameter_values()
    law = values["Negative particle diffusivity [m2.s-1]"]
    found = values.evaluate(law(pybamm.Scalar(0.5), pybamm.Scalar(318.0)))
    hotter = np.exp(30000 / 8.31446261815324 * (1 / values["Reference temperature [K]"] - 1 / 318))
    assert found == pytest.approx(at_half * hotter, rel=1e-12)
    assert mine.value("Negative particle diffusivity activation energy [J.mol-1]") == 30000
    assert ParameterSet.from_dict(mine.to_dict()) == mine


def test_a_law_of_temperature_says_what_it_lacks(write):
    text = ARRHENIUS.format(given="value = 2e-14")
    with pytest.raises(InputError, match="has 'T' among its arguments"):
        ParameterSet.load(write(text.replace(', "T"', "")))
    twice = "Negative particle diffusivity activation energy [J.mol-1]"
    second = f'''
[parameters."{twice}"]
value = 1.0
unit = "J.mol-1"
source = "Me2026, p. 1"
status = "measured"
new = true
'''
    with pytest.raises(InputError, match="there twice"):
        ParameterSet.load(write(text + second))


def test_written_files_are_readable(tmp_path):
    mine = ParameterSet.load("nmc_graphite_siox")
    mine.write(tmp_path / "mine.toml")
    text = (tmp_path / "mine.toml").read_text(encoding="utf-8")
    assert "- 0.0909*tanh(29.8538*(sto - 0.1234))\n" in text  # formulas keep their lines
    assert "range = [2.5e-24, 2.5e-20]\n" in text
    assert ParameterSet.load(tmp_path / "mine.toml") == mine


@given(st.text(alphabet="a'\"\\\n\r\t\x00\x7fé ", max_size=12))
def test_any_text_survives_toml(text):
    assert tomllib.loads(toml_text({"a": text})) == {"a": text}
