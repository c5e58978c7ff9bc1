import pytest

from cellmodels import parameter_set
from cellmodels.parameter_check import check
from cellmodels.parameter_set import Parameter, ParameterSet

NAME = "SEI solvent diffusivity [m2.s-1]"


def found(source, citation, status="literature", name=NAME, bounds=(0.0, 2.0)):
    parameter = Parameter(name, 1.0, name.split("[")[1][:-1], source, status, bounds)
    citations = {"Me2026": citation}
    mine = ParameterSet("mine", "Mine", "lithium_ion", "", "", {name: parameter}, citations)
    return [(f.fault, f.text.split(":")[0]) for f in check(mine)]


@pytest.mark.parametrize("name", parameter_set.names())
def test_every_set_passes(name):
    assert [f for f in check(ParameterSet.load(name)) if f.fault] == []


@pytest.mark.parametrize(
    ("source", "citation", "expected"),
    [
        ("Me2026, table 2", "Me, doi:10.1/2", []),
        ("Me2026, p. 7", "Me, https://me.org", []),
        ("Me2026, for another cell", "Me, doi:10.1/2, table 3", []),
        ("Me2026, for another cell", "Me, doi:10.1/2", [(False, "source")]),
        ("Me2026, table 2", "Me, a book, 2026", [(False, "source")]),
        ("Me2026, table 2", "Me, in a letter", [(True, "source")]),
        ("You2026, table 2", "Me, doi:10.1/2", [(True, "source")]),
    ],
)
def test_sources(source, citation, expected):
    assert found(source, citation) == expected


def test_own_reports_need_no_doi_but_estimates_a_range():
    assert found("Me2026", "our report", "measured", bounds=None) == []
    assert found("Me2026", "our report", "estimate", bounds=None) == [(False, "range")]


def test_units_of_new_names_can_be_read():
    assert found("Me2026, p. 1", "doi:10.1/2", name="Mine [furlong]") == [(True, "unit")]
