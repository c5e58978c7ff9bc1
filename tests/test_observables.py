"""What a cycle is observed by: values against PyBaMM's own experiment, derivatives against
differences of both."""

from __future__ import annotations

import numpy as np
import pytest

import cellmodels as cm
from cellmodels.observations import Points, PointSet
from cellmodels.simulator import SolverOptions
from cellmodels.solver.mesh import MeshOptions
from tests.reference import charge_of, energy_of, integral, pybamm_cycles, series

CYCLE = (
    "Discharge at 1C until 2.5 V",
    "Rest for 30 minutes",
    "Charge at C/2 until 4.2 V",
    "Hold at 4.2 V until C/20",
    "Rest for 10 minutes",
)
FREE = (
    "Initial concentration in negative electrode [mol.m-3]",
    "Total heat transfer coefficient [W.m-2.K-1]",
)
#: Difference of the parameters in quotients, relative.
STEP = 1e-2
MESH = MeshOptions().finer(3.0)
KELVIN = "Volume-averaged cell temperature [K]"


def thermal_cell(**changes: float) -> cm.Cell:
    cell = cm.Cell("lithium_ion", "nmc_graphite_siox", "SPMe", [cm.SEI(), cm.LumpedThermal()])
    return cell.with_parameters(
        {name: factor * cell.value(name) for name, factor in changes.items()}
    )


def changed(k: int, sign: float) -> dict[str, float]:
    return {FREE[k]: 1.0 + sign * STEP}


def of_pybamm(cell: cm.Cell) -> dict[str, float]:
    """The quantities of a cycle, from PyBaMM's currents, voltages and temperatures."""
    steps = pybamm_cycles(cell, [CYCLE])[0].steps
    volts, kelvin = ([series(step, name) for step in steps] for name in ("Voltage [V]", KELVIN))
    charge, energy = ([of(step) for step in steps] for of in (charge_of, energy_of))
    time = [float(s.t[-1] - s.t[0]) for s in steps]
    out, back = charge[0], -(charge[2] + charge[3])
    out_energy, back_energy = energy[0], -(energy[2] + energy[3])
    out_volts, back_volts = out_energy / out, back_energy / back
    density = 3600.0 * (out / time[0] + back / (time[2] + time[3])) / cell.electrode_area
    return {
        **{f"charge_of_step_{k}": abs(passed) for k, passed in enumerate(charge, start=1)},
        "discharge_capacity": out,
        "charge_capacity": back,
        "cc_charge_capacity": -charge[2],
        "cv_charge_capacity": -charge[3],
        "discharge_energy": out_energy,
        "charge_energy": back_energy,
        "coulombic_efficiency": out / back,
        "energy_efficiency": out_energy / back_energy,
        "voltage_efficiency": out_volts / back_volts,
        "area_specific_resistance": (back_volts - out_volts) / density,
        "mean_discharge_current": 3600.0 * out / time[0],
        "mean_charge_current": 3600.0 * back / (time[2] + time[3]),
        "mean_discharge_voltage": out_volts,
        "mean_charge_voltage": back_volts,
        "end_of_discharge_voltage": volts[0][-1],
        "end_of_charge_voltage": volts[3][-1],
        "rest_voltage_after_discharge": volts[1][-1],
        "rest_voltage_after_charge": volts[4][-1],
        "cv_charge_time": time[3],
        "mean_temperature": sum(integral(s, k) for s, k in zip(steps, kelvin, strict=True))
        / sum(time),
        "max_temperature": max(float(k.max()) for k in kelvin),
    }


@pytest.fixture(scope="module")
def thermal() -> cm.Simulator:
    options = SolverOptions(method="direct", mesh=MESH)
    return cm.Simulator(thermal_cell(), cm.Protocol(CYCLE), FREE, options)


@pytest.fixture(scope="module")
def predicted(thermal):
    """Value and derivatives by factors on the parameters of every quantity of the first cycle."""
    names = thermal.cycle_variables
    points = Points(tuple(PointSet("cycles", name, "cycle", np.array([1.0])) for name in names))
    found = thermal.predict(thermal.nominal, points)
    assert found.outcome.ok
    return dict(
        zip(names, zip(found.values, found.jacobian * thermal.nominal, strict=True), strict=True)
    )


#: Sizes that errors are measured by, where it is not the value itself.
SIZES = {"mean_temperature": 10.0, "max_temperature": 10.0}


def test_quantities_of_a_cycle_are_those_of_pybamm(predicted) -> None:
    expected = of_pybamm(thermal_cell())
    assert set(predicted) == set(expected)
    for name, value in expected.items():
        size = SIZES.get(name, abs(value))
        assert predicted[name][0] == pytest.approx(value, abs=5e-6 * size), name


@pytest.mark.slow
@pytest.mark.parametrize("k", range(len(FREE)))
def test_derivatives_of_a_cycle_are_those_of_pybamm(predicted, k: int) -> None:
    up, down = (of_pybamm(thermal_cell(**changed(k, sign))) for sign in (1.0, -1.0))
    for name, (value, slopes) in predicted.items():
        difference = (up[name] - down[name]) / (2.0 * STEP)
        size = SIZES.get(name, abs(value))
        assert slopes[k] == pytest.approx(difference, rel=1e-2, abs=1e-4 * size), name


def highest_of_steps(simulator: cm.Simulator, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    life = simulator.life(values, 1)
    features, slopes = life.features(np.array([0]))
    count = features.shape[1] // len(CYCLE)
    return features[0, count - 1 :: count], slopes[0, count - 1 :: count]


def test_the_highest_temperature_of_a_step_may_lie_inside_of_it(thermal) -> None:
    """The cell is warmest soon after the hold begins, and cools again."""
    mine, slopes = highest_of_steps(thermal, thermal.nominal)
    steps = [series(step, KELVIN) for step in pybamm_cycles(thermal_cell(), [CYCLE])[0].steps]
    places = [int(np.argmax(one)) for one in steps]
    assert 0 < places[3] < len(steps[3]) - 1
    assert np.allclose(mine, [one.max() for one in steps], rtol=0.0, atol=1e-4)
    for k in range(len(FREE)):
        h = STEP * thermal.nominal[k] * np.eye(len(FREE))[k]
        up, down = (highest_of_steps(thermal, thermal.nominal + s * h)[0] for s in (1.0, -1.0))
        assert np.allclose(slopes[:, k], (up - down) / (2.0 * STEP), rtol=2e-3, atol=2e-3)


def test_temperature_is_the_same_over_cycle_number_as_cycle_by_cycle() -> None:
    cell = cm.Cell("lithium_ion", "nmc_graphite_siox", "SPM", [cm.SEI(), cm.LumpedThermal()])
    lives = [
        cm.simulate(cell, cm.Protocol(CYCLE), 45, method=method)["cycles"]
        for method in ("macro", "direct")
    ]
    for name in ("mean_temperature", "max_temperature", "cv_charge_time"):
        mine, theirs = (life[name].values for life in lives)
        assert np.ptp(theirs) > 1e-6
        assert np.allclose(mine, theirs, rtol=0.0, atol=0.02 * np.ptp(theirs)), name


def test_an_isothermal_cell_has_no_temperature_of_its_own() -> None:
    cell = cm.Cell("lithium_ion", "nmc_graphite_siox", "SPM", [cm.SEI()])
    assert "mean_temperature" not in cm.Simulator(cell, cm.Protocol(CYCLE)).cycle_variables
    assert not cell.reported_states()["cell_temperature"]
    # and there is a rest voltage only where a rest follows
    names = cm.Simulator(cell, cm.Protocol((*CYCLE[:1], *CYCLE[2:4]))).cycle_variables
    assert not [name for name in names if name.startswith("rest_voltage")]
