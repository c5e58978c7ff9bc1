import contextlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellmodels.errors import UnitError
from cellmodels.units import convert, is_compatible, parse_unit, unit_of_name


@pytest.mark.parametrize(
    ("value", "source", "target", "expected"),
    [
        (1.0, "mA/cm2", "A.m-2", 10.0),
        (1.0, "mA.cm-2", "A/m2", 10.0),
        (1.0, "cm2/s", "m2.s-1", 1e-4),
        (2500.0, "mAh", "A.h", 2.5),
        (1.0, "Ah", "C", 3600.0),
        (1.0, "Wh", "J", 3600.0),
        (1.0, "W.h", "kJ", 3.6),
        (25.0, "degC", "K", 298.15),
        (5.0, "%", "-", 0.05),
        (0.05, "", "%", 5.0),
        (1.0, "S.m-1", "Ohm-1.m-1", 1.0),
        (1.0, "mohm", "Ohm", 1e-3),
        (1.0, "M", "mol.m-3", 1000.0),
        (3.0, "mol/L", "mol.m-3", 3000.0),
        (1.0, "h", "s", 3600.0),
        (1.0, "um", "m", 1e-6),
        (8.0, "J/(mol.K)", "J.mol-1.K-1", 8.0),
        (1.0, "1/s", "s-1", 1.0),
        (1.0, "kPa.m0.5", "Pa.m0.5", 1000.0),
        (2.0, "A.m-2", "A.m^-2", 2.0),
    ],
)
def test_convert(value, source, target, expected):
    assert convert(value, source, target) == pytest.approx(expected, rel=1e-12)


def test_same_unit_leaves_every_bit():
    value = 0.1 + 0.2
    assert convert(value, "m2.s-1", "m2/s") == value


def test_every_unit_in_pybamms_names_is_understood():
    import pybamm

    names = {name for each in ("OKane2022", "Ai2020", "Ecker2015", "Sulzer2019", "Prada2013")
             for name in pybamm.ParameterValues(each)}  # fmt: skip
    units = {unit_of_name(name) for name in names} - {None}
    assert len(units) > 20
    for unit in units:
        parse_unit(unit)


@pytest.mark.parametrize(
    "text",
    [
        "furlong",
        "m2 s-1",
        "m2..s",
        ".m",
        "m/",
        "m**2",
        "m2.s-1;import os",
        "m999",
        "A.m-",
        "(m",
        "µm",
    ],
)
def test_unknown_unit_raises(text):
    with pytest.raises(UnitError):
        parse_unit(text)


def test_unknown_unit_names_the_nearest():
    with pytest.raises(UnitError, match="Did you mean 'mol'"):
        parse_unit("mole.m-3")


def test_wrong_dimension_names_quantity_and_units():
    with pytest.raises(UnitError, match=r"SEI thickness.*'s'.*'m'"):
        convert(1.0, "s", "m", what="SEI thickness")


def test_offset_unit_in_a_product_does_not_convert():
    with pytest.raises(UnitError):
        convert(1.0, "degC.s-1", "K.s-1")


def test_not_a_text():
    with pytest.raises(UnitError, match="not 3"):
        parse_unit(3)


def test_compatible():
    assert is_compatible("mA/cm2", "A.m-2")
    assert not is_compatible("A", "V")


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("SEI solvent diffusivity [m2.s-1]", "m2.s-1"),
        ("Separator porosity", None),
        ("Negative electrode Paris' law constant b", None),
        ("Something [-]", "-"),
        ("Thing [a] of [m]", "m"),
    ],
)
def test_unit_of_name(name, unit):
    assert unit_of_name(name) == unit


@given(st.text(max_size=90))
def test_no_text_raises_anything_but_unit_error(text):
    with contextlib.suppress(UnitError):
        parse_unit(text)


@given(st.floats(1e-30, 1e30), st.sampled_from(["cm2/s", "um2.h-1", "m2.s-1"]))
def test_there_and_back(value, unit):
    there = convert(value, unit, "m2.s-1")
    assert math.isclose(convert(there, "m2.s-1", unit), value, rel_tol=1e-12)
