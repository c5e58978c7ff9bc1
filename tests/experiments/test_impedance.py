"""Impedance: against PyBaMM asked directly, analytic limits, and its differences."""

import dataclasses

import numpy as np
import pybamm
import pytest

import cellmodels as cm
from cellmodels.errors import InputError
from cellmodels.experiments.simulator import ExperimentSimulator

FREQUENCIES = np.logspace(-3, 4, 15)
FREE = ("Contact resistance [Ohm]", "Negative electrode double-layer capacity [F.m-2]")


@pytest.fixture(scope="module")
def cell():
    mesh = {"x_n": 6, "x_s": 4, "x_p": 6, "r_n": 10, "r_p": 10}
    return cm.Cell(
        "lithium_ion", parameters="Chen2020", model="SPMe", mechanisms=[cm.DoubleLayer()], mesh=mesh
    )


@pytest.fixture(scope="module")
def spectrum():
    return cm.ImpedanceSpectrum(FREQUENCIES, np.full(15, 0.03 - 0.01j), soc=0.5)


def simulated(cell, spectrum):
    (node,) = cm.simulate_experiments(cell, spectrum).children.values()
    return (
        node["impedance_real_simulated"].values + 1j * node["impedance_imaginary_simulated"].values
    )


def test_it_is_that_of_pybamm_at_the_state_of_charge(cell, spectrum):
    parameters = cell.parameter_values()
    parameters.set_initial_state(0.5)
    direct = pybamm.EISSimulation(
        cell.pybamm_model(), parameter_values=parameters, var_pts=cell.var_pts()
    )
    expected = np.asarray(direct.solve(FREQUENCIES).impedance)
    assert np.abs(simulated(cell, spectrum) / expected - 1.0).max() < 1e-5


def test_a_contact_resistance_adds_itself(cell, spectrum):
    more = cell.with_parameters({FREE[0]: 0.01})
    difference = simulated(more, spectrum) - simulated(cell, spectrum)
    assert difference == pytest.approx(np.full(15, 0.01), abs=1e-9)


def test_electrodes_and_area(cell, spectrum):
    """Each has less than the cell; together they have the cell's, if nothing lies between."""
    parts = [
        simulated(cell, dataclasses.replace(spectrum, electrode=side))
        for side in ("negative", "positive")
    ]
    assert sum(parts) == pytest.approx(simulated(cell, spectrum), rel=1e-4)
    assert all(np.all(part.real > 0.0) and np.all(part.imag < 0.0) for part in parts)
    small = dataclasses.replace(spectrum, electrode="negative", area=1e-4)
    assert simulated(cell, small) == pytest.approx(parts[0] * cell.electrode_area / 1e-4)


def test_differences_agree_with_others(cell, spectrum):
    made = ExperimentSimulator(cell, [spectrum], FREE)
    values = np.array([0.005, 0.2])
    found = made.predict(values)
    assert found.jacobian[:15, 0] == pytest.approx(np.ones(15), rel=1e-6)
    shift = np.array([0.0, 2e-6])
    difference = (made.predict(values + shift).values - made.predict(values - shift).values) / 4e-6
    largest = np.abs(found.jacobian[:, 1]).max()
    assert found.jacobian[:, 1] == pytest.approx(difference, abs=1e-4 * largest)


def test_differences_by_a_small_number(cell, spectrum):
    """A diffusivity of 3e-14 m2/s: steps are relative to it."""
    name = "Positive particle diffusivity [m2.s-1]"
    made = ExperimentSimulator(cell, [spectrum], (name,))
    value = np.array([cell.value(name)])
    found = made.predict(value).jacobian[:, 0] * value
    up, down = (made.predict(value * (1.0 + s)).values for s in (0.02, -0.02))
    largest = np.abs(found).max()
    assert largest > 1e-5
    assert found == pytest.approx((up - down) / 0.04, abs=2e-3 * largest)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frequency": [-1.0]}, "frequencies must be positive"),
        ({"impedance": [1.0]}, "one finite number for each frequency"),
        ({"electrode": "anode"}, "unknown electrode 'anode'"),
        ({"area": 0.0}, "must be positive"),
        ({"impedance": "x"}, "array of complex numbers"),
    ],
)
def test_wrong_spectra_are_refused(spectrum, changes, message):
    with pytest.raises(InputError, match=message):
        dataclasses.replace(spectrum, **changes)
