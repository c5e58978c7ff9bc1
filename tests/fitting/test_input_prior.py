"""Which inputs are uncertain, by how much, and which are left out."""

import numpy as np
import pytest
import scipy.stats

import cellmodels as cm
from cellmodels.errors import InputError
from cellmodels.fitting.input_prior import FixedInput, choose_inputs

FREE = ("SEI solvent diffusivity [m2.s-1]",)
CONCENTRATION = "Bulk solvent concentration [mol.m-3]"
POTENTIAL = "SEI open-circuit potential [V]"
WIDTH = "Electrode width [m]"


@pytest.fixture(scope="module")
def nmc():
    return cm.Cell("lithium_ion", "nmc_graphite_siox", "SPM", ["SEI", "loss of active material"])


def by_name(inputs):
    return {each.name: each for each in inputs}


def test_a_range_holds_95_per_cent_of_the_prior(nmc):
    inputs = by_name(choose_inputs(nmc, FREE)[0])
    solvent = inputs[CONCENTRATION]
    assert (solvent.low, solvent.high, solvent.origin) == (1e3, 1e4, "range")
    assert solvent.logarithmic
    spread = scipy.stats.norm(0, solvent.deviation)
    assert spread.interval(0.95)[1] - spread.interval(0.95)[0] == pytest.approx(np.log(10))
    assert solvent.at(1.0) == pytest.approx(solvent.value * np.exp(solvent.deviation))
    energy = inputs["SEI growth activation energy [J.mol-1]"]  # its range begins at zero
    assert not energy.logarithmic
    assert energy.deviation == pytest.approx(1e5 / (2 * 1.959964), rel=1e-6)
    assert energy.at(-1.0) == pytest.approx(energy.value - energy.deviation)


@pytest.mark.parametrize("name", [CONCENTRATION, "SEI growth activation energy [J.mol-1]"])
def test_slope_is_the_change_with_a_small_step(nmc, name):
    each = by_name(choose_inputs(nmc, FREE)[0])[name]
    assert (each.at(1e-6) - each.at(-1e-6)) / 2e-6 == pytest.approx(each.slope, rel=1e-6)


def test_what_is_left_out_is_named_with_its_reason(nmc):
    inputs, left_out = choose_inputs(nmc, FREE)
    assert "mesh" in left_out["Negative electrode thickness [m]"]
    assert "currents" in left_out["Nominal cell capacity [A.h]"]
    assert "function" in left_out["Negative electrode OCP [V]"]
    assert left_out["Ratio of lithium moles to SEI moles"] == "no range"
    assert "nothing is stated" in left_out[WIDTH]
    # what only a mechanism reads that this cell lacks is neither
    everything = {*by_name(inputs), *left_out}
    assert "Dead lithium decay constant [s-1]" not in everything
    assert not everything & {*FREE, "Current function [A]"}
    assert everything | set(FREE) >= set(nmc.ageing_parameters)


def test_a_fitted_number_is_left_out_unless_asked_for(nmc):
    fitted = nmc.with_parameters({CONCENTRATION: 3000.0}, source="fit to another record")
    inputs, left_out = choose_inputs(fitted, FREE)
    assert CONCENTRATION not in by_name(inputs) and "fitted before" in left_out[CONCENTRATION]
    inputs, _ = choose_inputs(fitted, FREE, statuses=("fitted",))
    assert list(by_name(inputs)) == [CONCENTRATION]
    given = choose_inputs(fitted, FREE, [CONCENTRATION], ranges={CONCENTRATION: (2900, 3100)})[0]
    assert [each.origin for each in given] == ["given"]


def test_a_range_can_be_given_where_the_set_states_none(nmc):
    inputs, left_out = choose_inputs(nmc, FREE, ranges={WIDTH: (1.5, 1.6)})
    assert by_name(inputs)[WIDTH].status == "not stated" and WIDTH not in left_out


def test_an_estimate_without_range_lies_within_a_factor_of_two(nmc):
    name = "Ratio of lithium moles to SEI moles"
    guessed = nmc.with_parameters({name: 2.0}, status="estimate")
    each = by_name(choose_inputs(guessed, FREE)[0])[name]
    assert (each.low, each.high, each.origin) == (1.0, 4.0, "default")
    negative = FixedInput("x", "-", -2.0, -4.0, -1.0, "estimate", "default")
    assert not negative.logarithmic and negative.at(1.0) > -2.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"names": ["Bulk solvent concentration"]}, "Bulk solvent concentration \\[mol"),
        ({"names": [FREE[0]]}, "was fitted"),
        ({"names": ["Negative electrode thickness [m]"]}, "the mesh is built with it"),
        ({"names": [WIDTH]}, "nothing is stated"),
        ({"names": ["Dead lithium decay constant [s-1]"]}, "does not act in this cell"),
        ({"statuses": ("guess",)}, "Unknown status 'guess'"),
        ({"ranges": {CONCENTRATION: (1.0, 2.0)}}, "does not hold its value 2636"),
        ({"ranges": {CONCENTRATION: 3.0}}, "two numbers"),
        ({"ranges": {"No such thing": (1.0, 2.0)}}, "is no parameter of the cell"),
    ],
)
def test_wrong_requests_are_refused(nmc, arguments, message):
    with pytest.raises(InputError, match=message):
        choose_inputs(nmc, FREE, **arguments)
