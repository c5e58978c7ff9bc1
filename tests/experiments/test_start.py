"""Where experiments begin: against PyBaMM's states of charge, conservation and differences."""

import numpy as np
import pybamm
import pytest

import cellmodels as cm
from cellmodels.errors import InputError
from cellmodels.experiments.start import INITIAL, Equilibrium
from cellmodels.solver.outcome import SolveFailure
from cellmodels.trace import with_its_own_start

FREE = (
    "Negative electrode active material volume fraction",
    "Positive electrode active material volume fraction",
    *INITIAL,
    "Maximum concentration in negative electrode [mol.m-3]",
)


@pytest.fixture(scope="module")
def cell():
    return with_its_own_start(cm.Cell("lithium_ion", parameters="Chen2020", model="SPM"))


@pytest.fixture(scope="module")
def equilibrium(cell):
    return Equilibrium(cell, FREE)


@pytest.fixture(scope="module")
def values(cell):
    return np.array([cell.value(name) for name in FREE])


@pytest.mark.parametrize("soc", [0.0, 0.3, 1.0])
def test_a_state_of_charge_is_that_of_pybamm(cell, equilibrium, values, soc):
    parameters = pybamm.ParameterValues("Chen2020")
    parameters.set_initial_state(soc)
    found, _ = equilibrium.at_soc(soc, 298.15, values)
    assert found == pytest.approx([parameters[name] for name in INITIAL], rel=1e-5)


def test_a_rest_voltage_is_the_voltage_at_rest(equilibrium, values):
    found, _ = equilibrium.at_voltage(3.7, 298.15, values)
    voltage, *_ = equilibrium.curve(np.zeros(1), found, 298.15, values)
    assert voltage[0] == pytest.approx(3.7, abs=1e-10)


def test_lithium_is_kept(cell, equilibrium, values):
    def lithium(c, v):
        thickness = [cell.value(f"{s} electrode thickness [m]") for s in ("Negative", "Positive")]
        return v[0] * thickness[0] * c[0] + v[1] * thickness[1] * c[1]

    found, _ = equilibrium.at_voltage(3.9, 298.15, values)
    assert lithium(found, values) == pytest.approx(lithium(values[2:4], values), rel=1e-12)


@pytest.mark.parametrize("start", ["voltage", "soc"])
def test_derivatives_agree_with_central_differences(equilibrium, values, start):
    def at(v):
        if start == "soc":
            return equilibrium.at_soc(0.4, 310.0, v)
        return equilibrium.at_voltage(3.85, 310.0, v)

    _, slopes = at(values)
    for k in range(len(values)):
        shift = np.zeros(len(values))
        shift[k] = 1e-5 * values[k]
        difference = (at(values + shift)[0] - at(values - shift)[0]) / (2.0 * shift[k])
        assert slopes[:, k] == pytest.approx(difference, rel=1e-5, abs=1e-6 * abs(slopes).max())


def test_an_open_circuit_curve_has_exact_derivatives(equilibrium, values):
    """Also beyond the stoichiometries that are possible."""
    charges, start = np.linspace(0.0, 7.0, 15), values[2:4]
    _, by_start, by_theta = equilibrium.curve(charges, start, 298.15, values)

    def at(c, v):
        return equilibrium.curve(charges, c, 298.15, v)[0]

    for k in range(2):
        shift = np.eye(2)[k] * 1e-6 * start[k]
        difference = (at(start + shift, values) - at(start - shift, values)) / (2.0 * shift[k])
        assert by_start[:, k] == pytest.approx(difference, rel=1e-4, abs=1e-9)
    for k in (0, 1, 4):
        shift = np.eye(len(values))[k] * 1e-6 * values[k]
        difference = (at(start, values + shift) - at(start, values - shift)) / (2.0 * shift[k])
        assert by_theta[:, k] == pytest.approx(difference, rel=1e-4, abs=1e-7)


def test_a_slow_discharge_tends_to_the_open_circuit_curve(cell):
    """An analytic limit: at C/500 what differs is the overpotential, less than 2 mV."""
    hours = np.linspace(5.0, 400.0, 20)
    trace = cm.VoltageTrace(
        hours * 3600.0, np.full(20, 3.7), "Discharge at C/500 for 401 hours", soc=1.0
    )
    simulated = cm.simulate_experiments(cell, trace)["traces"]["voltage_simulated"].values
    curve = cm.EquilibriumCurve(hours * cell.nominal_capacity / 500.0, simulated, soc=1.0)
    below = cm.simulate_experiments(cell, curve)["traces"]["open_circuit_voltage_residual"].values
    assert np.all(below > 0.0) and below.max() < 2e-3


def test_no_such_voltage_is_a_failure_that_says_so(equilibrium, values):
    with pytest.raises(SolveFailure, match=r"no equilibrium of the electrodes at 5.5 V"):
        equilibrium.at_voltage(5.5, 298.15, values)


def test_other_chemistries_have_no_such_start():
    with pytest.raises(InputError, match="lithium-ion cells only"):
        Equilibrium(cm.Cell("zinc_bromine"), ())
