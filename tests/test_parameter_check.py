import re

import pybamm
import pytest

from cellmodels import parameter_set
from cellmodels.chemistry import Chemistry
from cellmodels.expressions import Expression
from cellmodels.parameter_check import check
from cellmodels.parameter_set import Parameter, ParameterSet
from cellmodels.tables import Table
from cellmodels.units import parse_unit, unit_of_name

NAME = "SEI solvent diffusivity [m2.s-1]"
ALL = [(s, p) for s in parameter_set.names() for p in ParameterSet.load(s).parameters.values()]


def found(source="Me2026, table 2", citation="Me, doi:10.1/2", status="literature", **entries):
    entries = {"name": NAME, "value": 1.0, "range": (0.0, 2.0), "new": True} | entries
    unit = unit_of_name(entries["name"]) or "-"
    parameter = Parameter(unit=unit, source=source, status=status, **entries)
    own = {parameter.name: parameter}
    mine = ParameterSet("mine", "Mine", "lithium_ion", "", "", own, {"Me2026": citation})
    return [(f.fault, f.text.split(":")[0]) for f in check(mine)]


# --- the sets that come with cellmodels --------------------------------------------------------


@pytest.mark.parametrize("name", parameter_set.names())
def test_every_number_of_every_set_passes(name):
    assert check(ParameterSet.load(name)) == []


#: Last words of a name, without unit -> dimension. The longest that fits counts.
KINDS = {
    "thermal conductivity": "W.m-1.K-1",
    "conductivity": "S.m-1",
    "conductivity at 25 degC": "S.m-1",
    "diffusivity": "m2.s-1",
    "concentration": "mol.m-3",
    "thickness": "m",
    "potential": "V",
    "standard potential change": "V.K-1",
    "cut-off": "V",
    "temperature": "K",
    "activation energy": "J.mol-1",
    "enthalpy": "J.mol-1",
    "molar volume": "m3.mol-1",
    "current density": "A.m-2",
    "double-layer capacitance": "F.m-2",
    "surface area to volume ratio": "m-1",
    "density": "kg.m-3",
    "specific heat capacity": "J.kg-1.K-1",
    "Young's modulus": "Pa",
    "stress": "Pa",
    "cell capacity": "A.h",
}


def test_units_are_those_of_the_quantity():
    told = 0
    for _, each in ALL:
        words = each.name.partition(" [")[0]
        unit = unit_of_name(each.name)
        kind = max((k for k in KINDS if words.endswith(k)), key=len, default="")
        if kind:
            expected = parse_unit(KINDS[kind]).dimensionality
            assert parse_unit(unit).dimensionality == expected, each.name
            told += 1
    assert told > len(ALL) / 3


def test_numbers_said_to_be_pybamms_are():
    told = 0
    for _, each in ALL:
        name = re.match(r"\w+, (?:as in )?PyBaMM's (\w+)", each.source)
        if name and isinstance(each.value, float):
            theirs = pybamm.ParameterValues(name[1])[each.name]
            if callable(theirs):  # a constant, as a function of temperature
                theirs = theirs(pybamm.Scalar(298.15)).evaluate()
            assert each.value == pytest.approx(theirs, rel=1e-12), (each.name, name[1])
            told += 1
    assert told > 90


def test_laws_of_chemistries_pass_too():
    laws = Chemistry.load("lithium_ion").properties
    mine = ParameterSet.load("nmc_graphite_siox")
    mine = mine.replace({n: law.expression for n, law in laws.items()}, source="OKane2022, table 1")
    assert check(mine) == []


# --- what is a fault ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "citation", "expected"),
    [
        ("Me2026, table 2", "Me, doi:10.1/2", []),
        ("Me2026, p. 7", "Me, https://me.org", []),
        ("Me2026, as in PyBaMM's Me2026", "Me, doi:10.1/2", []),
        ("Me2026, table 2", "Me, a book, 2026; no DOI: a book", []),
        ("Me2026, for another cell", "Me, doi:10.1/2, table 3", [(True, "source")]),
        ("Me2026", "Me, doi:10.1/2", [(True, "source")]),
        ("Me2026, table 2", "Me, in a letter", [(True, "neither DOI nor URL, and no word why")]),
        ("You2026, table 2", "Me, doi:10.1/2", [(True, "source")]),
    ],
)
def test_sources_of_the_literature(source, citation, expected):
    assert found(source, citation) == expected


@pytest.mark.parametrize(
    ("source", "status", "note", "expected"),
    [
        ("Me2026, pulse test of cell 7", "measured", "", []),
        ("Me2026", "measured", "", [(True, "source")]),
        ("Me2026", "fitted", "", []),
        ("Me2026, as of another cell", "estimate", "", []),
        ("Me2026", "estimate", "as of another cell", []),
        ("Me2026", "estimate", "", [(True, "source")]),
    ],
)
def test_sources_of_ones_own(source, status, note, expected):
    assert found(source, "our report", status, note=note) == expected


@pytest.mark.parametrize("status", ["fitted", "estimate"])
def test_what_may_be_fitted_wants_a_range(status):
    assert found("Me2026, p. 1", "", status, range=None) == [(False, "range")]
    assert found("Me2026, p. 1", "", "measured", range=None) == []


def test_units_of_new_names_can_be_read():
    assert found(name="Mine [furlong]") == [(True, "unit")]


@pytest.mark.parametrize(
    ("name", "value", "bounds", "expected"),
    [
        ("Separator porosity", 0.5, (0.4, 0.6), []),
        ("Separator porosity", 1.5, None, [(True, "the value is not from 0 to 1")]),
        ("Dead zinc fraction", 0.5, (0.0, 2.0), [(True, "its range is not from 0 to 1")]),
        ("Water vapour fraction pressure [Pa]", 1500.0, None, []),
    ],
)
def test_shares_are_from_0_to_1(name, value, bounds, expected):
    assert found(name=name, value=value, range=bounds) == expected


@pytest.mark.parametrize(
    ("law", "expected"),
    [
        (Expression("log(sto) + 1/(sto - 1)", ("sto",)), []),
        (Expression("log(sto - 0.5)", ("sto",)), [(True, "law")]),
        (Expression("1/(T - 293.15)", ("sto", "T")), [(True, "law")]),
        (Expression('"Separator porosity" * sto', ("sto",)), [(True, "law")]),
        (Expression("log(other - 5)", ("other",)), []),  # nothing is known of its argument
        (Table((0.0, 1.0), (1.0, 2.0), "sto", ("sto",)), []),
    ],
)
def test_laws_are_finite_where_they_are_used(law, expected):
    assert found(value=law, range=None, name="Negative electrode OCP [V]") == expected


def test_a_set_from_pybamm_is_judged_by_the_source_that_one_gives():
    def of(source):
        values = {"Negative electrode thickness [m]": 8e-5}
        return [f.text for f in check(ParameterSet.from_pybamm(values, "mine", source=source))]

    assert of("Report 7, page 4 (no DOI: internal)") == []
    assert any("no table, page" in text for text in of("Report 7 (no DOI: internal)"))
