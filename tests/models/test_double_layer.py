"""Double layers of lithium-ion cells: what happens milliseconds after a step of the current."""

import numpy as np
import pybamm
import pytest

import cellmodels as cm
from cellmodels.errors import InputError
from cellmodels.models import zinc_halogen
from cellmodels.models.lithium_ion import LEVELS, options
from cellmodels.observations import Points, PointSet
from cellmodels.trace import TraceSimulator

NEGATIVE = "Negative electrode double-layer capacity [F.m-2]"
POSITIVE = "Positive electrode double-layer capacity [F.m-2]"
EXCHANGE = "Negative electrode exchange-current density [A.m-2]"
CONTACT = "Contact resistance [Ohm]"
DOUBLE = [cm.DoubleLayer()]
#: Times after a step of the current [s].
AFTER = np.array([1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.05, 0.1, 0.3, 1.0])
MESH = {"x_n": 8, "x_s": 6, "x_p": 8, "r_n": 10, "r_p": 10}
CYCLE = ["Discharge at 1C until 2.5 V", "Charge at C/2 until 4.2 V", "Hold at 4.2 V until C/10"]


def a_cell(level: str, *more: str, numbers=None, soc: float = 0.9) -> cm.Cell:
    mechanisms = ("double layer", *more)
    cell = cm.Cell("lithium_ion", "nmc_graphite_siox", level, mechanisms, MESH, soc)
    return cell.with_parameters(numbers or {})


def traced(cell: cm.Cell, steps: list[str], times: np.ndarray, free=(NEGATIVE,)):
    """A simulator of the voltage at `times`, and the cell's values of what is free."""
    simulator = TraceSimulator(cell, steps, times, free, (2.0, 4.6))
    return simulator, np.array([cell.value(name) for name in free])


def by_pybamm(cell: cm.Cell, steps: list[str], times: np.ndarray) -> np.ndarray:
    """The voltage [V] at times among those that the steps' periods give."""
    simulation = pybamm.Simulation(
        cell.pybamm_model(),
        parameter_values=cell.parameter_values(),
        var_pts=cell.var_pts(),
        experiment=pybamm.Experiment(steps),
        solver=pybamm.IDAKLUSolver(rtol=1e-8, atol=1e-10),
    )
    solution = simulation.solve()
    clock, volts = (solution[name].entries for name in ("Time [s]", "Voltage [V]"))
    found = np.array([np.argmin(np.abs(clock - t)) for t in times])
    np.testing.assert_allclose(clock[found], times, atol=1e-6)
    return volts[found]


@pytest.mark.parametrize("level", LEVELS)
def test_milliseconds_after_a_step_as_pybamm_resolves_them(level):
    # far from the initial potentials, to which PyBaMM's states are relative
    steps = [
        "Discharge at 1C for 30 minutes (10 minute period)",
        "Discharge at 3C for 1 second (0.001 second period)",
    ]
    cell = a_cell(level)
    simulator, values = traced(cell, steps, 1800.0 + AFTER)
    error = simulator.predict(values).values - by_pybamm(cell, steps, 1800.0 + AFTER)
    assert np.max(np.abs(error)) < 1e-5


def test_a_load_that_changes_every_50_ms():
    ours = ["Discharge at 3C for 50 ms", "Discharge at C/2 for 50 ms"] * 4
    theirs = [s.replace("50 ms", "0.05 seconds (0.005 second period)") for s in ours]
    times = np.setdiff1d(np.arange(1, 80), np.arange(10, 80, 10)) * 0.005
    cell = a_cell("SPMe")
    simulator, values = traced(cell, ours, times)
    found = simulator.predict(values).values
    assert np.max(np.abs(found - by_pybamm(cell, theirs, times))) < 1e-5
    # the load swings the voltage, more at the end of a pulse than at its beginning
    first, last = found.reshape(-1, 9)[::2, 0], found.reshape(-1, 9)[::2, -1]
    assert np.all(first - last > 0.02)


@pytest.mark.parametrize("level", LEVELS)
def test_derivatives_of_the_voltage_are_those_of_differences(level):
    free = (NEGATIVE, POSITIVE, EXCHANGE)
    cell = a_cell(level, numbers={EXCHANGE: 0.5})
    simulator, values = traced(cell, ["Discharge at 3C for 1 s", "Rest for 20 ms"], AFTER, free)
    middle = simulator.predict(values)
    for k in range(len(free)):
        change = 1e-3 * values[k] * np.eye(len(free))[k]
        up, down = (
            simulator.predict(values + sign * change, state=middle.state).values
            for sign in (1.0, -1.0)
        )
        slope = (up - down) / (2e-3 * values[k])
        assert np.max(np.abs(slope)) * values[k] > 1e-4  # it matters
        error = np.max(np.abs(middle.jacobian[:, k] - slope))
        assert error < 1e-4 * np.max(np.abs(slope))


def test_a_small_step_relaxes_as_the_charge_transfer_of_both_electrodes():
    """V falls by I R_0 at once, then by I R_k (1 - exp(-t / R_k C_k)) at the electrodes k."""
    current, contact = 0.05, 1e-3
    cell = a_cell("SPM", numbers={CONTACT: contact})
    clock = np.linspace(0.0, 0.05, 51)
    values = cell.parameter_values()
    values["Current function [A]"] = current
    simulation = pybamm.Simulation(
        cell.pybamm_model(),
        parameter_values=values,
        var_pts=cell.var_pts(),
        solver=pybamm.IDAKLUSolver(rtol=1e-9, atol=1e-12),
    )
    solution = simulation.solve(clock[[0, -1]], t_interp=clock)
    thermal = pybamm.constants.R.value * 298.15 / pybamm.constants.F.value
    fall, instants = current * contact, []
    for side in ("negative", "positive"):
        title = side.capitalize()
        of = f"X-averaged {side} electrode"
        exchange = solution[f"{of} exchange current density [A.m-2]"].entries[0]
        surface = cell.electrode_area * cell.value(f"{title} electrode thickness [m]")
        surface = surface * solution[f"{of} surface area to volume ratio [m-1]"].entries[0]
        resistance = thermal / (exchange * surface)
        capacity = surface * cell.value(f"{title} electrode double-layer capacity [F.m-2]")
        instants.append(resistance * capacity)
        fall = fall + current * resistance * (1.0 - np.exp(-clock / instants[-1]))
    at_rest = cell_at_rest(cell)
    found = at_rest - solution["Voltage [V]"].entries
    assert max(instants) < 0.5 * clock[-1]  # most of the relaxation is seen
    assert found[0] == pytest.approx(current * contact, rel=1e-6)
    np.testing.assert_allclose(found, fall, rtol=0.01)


def cell_at_rest(cell: cm.Cell) -> float:
    """Voltage before anything has happened [V]."""
    simulator, values = traced(cell, ["Rest for 1 second"], np.array([0.0]))
    return float(simulator.predict(values).values[0])


@pytest.fixture(scope="module")
def pulses():
    start = ("Discharge at C/2 until 0.4 nominal or 2.5 V", "Rest for 10 minutes")
    tests = [
        cm.Test(name, [*start, f"Discharge at 2C for {time}"], measure="resistance")
        for name, time in (("10ms", "10 ms"), ("100ms", "100 ms"), ("1s", "1 s"), ("10s", "10 s"))
    ]
    protocol = cm.Protocol(["Rest for 1 hour"], every={1: cm.Checkup(tests)})
    return cm.Simulator(a_cell("SPMe"), protocol, (NEGATIVE, POSITIVE))


def test_resistance_of_pulses_from_milliseconds_to_seconds(pulses):
    tree = pulses.simulate(1)
    found = [float(tree["checkups"][f"resistance_{n}"][0]) for n in ("10ms", "100ms", "1s", "10s")]
    assert np.all(np.diff(found) > 0.0)
    steps = [
        "Discharge at C/2 for 48 minutes (10 minute period)",
        "Rest for 10 minutes (10 minute period)",
        "Discharge at 2C for 10 seconds (0.01 second period)",
    ]
    begin = 3480.0
    volts = by_pybamm(pulses.cell, steps, begin + np.array([0.0, 0.01, 0.1, 1.0, 10.0]))
    current = 2.0 * pulses.cell.nominal_capacity
    np.testing.assert_allclose(found, (volts[0] - volts[1:]) / current, atol=1e-5 / current)


def test_derivatives_of_a_pulse_resistance_are_those_of_differences(pulses):
    points = Points((PointSet("checkups", "resistance_10ms", "cycle", np.array([0.0])),))
    middle = pulses.predict(pulses.nominal, points)
    for k, value in enumerate(pulses.nominal):
        change = 1e-3 * value * np.eye(2)[k]
        up, down = (
            pulses.predict(pulses.nominal + sign * change, points, state=middle.state).values[0]
            for sign in (1.0, -1.0)
        )
        slope = (up - down) / (2e-3 * value)
        assert slope < 0.0
        assert middle.jacobian[0, k] == pytest.approx(slope, rel=1e-3)


def test_capacity_is_that_without_double_layers_but_for_what_they_hold():
    cells = [cm.Cell("lithium_ion", "nmc_graphite_siox", "DFN", m, MESH, 1.0) for m in ([], DOUBLE)]
    without, with_ = (
        float(cm.simulate(cell, cm.Protocol(CYCLE), 1)["cycles"]["discharge_capacity"][0])
        for cell in cells
    )
    # 0.6 F of either electrode, discharged by less than a volt
    assert abs(with_ - without) < 2 * 0.7 / 3600


@pytest.mark.parametrize("level", ["SPMe", "DFN"])
def test_a_cell_that_ages_can_rest_after_a_hold(level):
    # terms that vanish at rest are no pivots
    cycle = [*CYCLE, "Rest for 10 minutes"]
    life = cm.simulate(a_cell(level, "SEI"), cm.Protocol(cycle), 2)
    assert life.attrs["outcome"] == "completed"


def test_a_voltage_without_resistance_cannot_be_held():
    with pytest.raises(InputError) as error:
        cm.Simulator(a_cell("SPM"), cm.Protocol(CYCLE))
    for word in ("Hold at 4.2 V", "SPMe", CONTACT):
        assert word in str(error.value)
    with pytest.raises(InputError, match="Hold at 4 V"):
        traced(a_cell("SPM"), ["Hold at 4 V for 10 seconds"], AFTER)
    life = cm.simulate(a_cell("SPM", numbers={CONTACT: 1e-3}), cm.Protocol(CYCLE), 1)
    assert life.attrs["outcome"] == "completed"


def test_a_set_without_the_capacities_is_refused_by_name():
    with pytest.raises(InputError, match="double layer") as error:
        cm.Cell("lithium_ion", "Ecker2015", "SPMe", ["double layer"])
    assert NEGATIVE in str(error.value) and POSITIVE in str(error.value)


def test_the_option_of_pybamm():
    assert options(DOUBLE) == {"surface form": "differential"}


@pytest.mark.parametrize("shared", [cm.DoubleLayer(), cm.LumpedThermal()], ids=repr)
def test_shared_mechanisms_become_those_of_zinc_halogen_cells(shared):
    (own,) = zinc_halogen.resolve([shared])
    assert isinstance(own, zinc_halogen.ZincMechanism)
    assert zinc_halogen.resolve([shared.short_name]) == (own,)
