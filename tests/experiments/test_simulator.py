"""Experiments simulated: against PyBaMM, central differences, and one another."""

import dataclasses

import numpy as np
import pytest

import cellmodels as cm
from cellmodels.errors import InputError
from cellmodels.experiments.simulator import ExperimentSimulator
from cellmodels.fitting.fresh import fresh_problem, observations_of
from cellmodels.observations import Points
from cellmodels.scale_factors import with_number

from .conftest import reference

LENGTHS, CURRENTS = (1800, 600, 1200), (7.5, 0.0, -5.0)
STEPS = ["Discharge at 7.5 A for 1800 s", "Rest for 600 s", "Charge at 5 A for 1200 s"]
TIMES = np.arange(20.0, 3600.0, 40.0)
#: Stand for measured voltages: wide apart, so that no step is ended by what was measured.
VOLTS = np.where(np.arange(len(TIMES)) % 2, 2.7, 4.3)
FREE = (
    "Negative electrode active material volume fraction",
    "Total heat transfer coefficient [W.m-2.K-1]",
    "Initial concentration in negative electrode [mol.m-3]",
    "Contact resistance [Ohm]",
)


@pytest.fixture(scope="module")
def trace():
    return cm.VoltageTrace(
        TIMES, VOLTS, STEPS, name="warm", temperature=VOLTS + 300.0, soc=0.9,
        ambient=303.15, initial_temperature=300.15,
    )  # fmt: skip


@pytest.fixture(scope="module")
def simulator(warm_cell, trace):
    cold = dataclasses.replace(
        trace, name="cold", soc=None, rest_voltage=4.0, ambient=288.15, initial_temperature=288.15
    )
    return ExperimentSimulator(warm_cell, [trace, cold], FREE)


@pytest.fixture(scope="module")
def values(warm_cell):
    return np.array([*(warm_cell.value(name) for name in FREE[:3]), 0.005])


@pytest.fixture(scope="module")
def near(simulator, values):
    """Newton's method is carried to its end from a neighbour."""
    return simulator.predict(values, state=simulator.predict(values).state)


def test_voltage_and_temperature_are_those_of_pybamm(warm_cell, trace, simulator, values, near):
    part = simulator.parts[0]
    inner, _ = part._inner(values)
    start = dict(zip(_names(simulator), inner, strict=True))
    cell = warm_cell.with_parameters({"Contact resistance [Ohm]": 0.005})
    voltage, kelvin = reference(cell, start, CURRENTS, LENGTHS, TIMES)
    m = len(TIMES)
    assert np.abs(near.values[:m] - voltage).max() < 2e-4
    assert np.sqrt(np.mean((near.values[:m] - voltage) ** 2)) < 5e-5
    assert np.abs(near.values[m : 2 * m] - kelvin).max() < 5e-3
    assert np.ptp(kelvin) > 3.0


def _names(simulator):
    return simulator.parts[0]._inner._inner


def test_experiments_have_their_own_starts_and_surroundings(near):
    warm, cold = near.values[: 2 * len(TIMES)], near.values[2 * len(TIMES) :]
    m = len(TIMES)
    assert warm[m] == pytest.approx(300.15, abs=2.0) and cold[m] == pytest.approx(288.15, abs=3.0)
    assert np.abs(warm[:m] - cold[:m]).max() > 0.01


def test_derivatives_agree_with_central_differences(simulator, values, near):
    for k in range(len(values)):
        shift = np.zeros(len(values))
        shift[k] = 1e-4 * values[k]
        up, down = (
            simulator.predict(v, state=near.state) for v in (values + shift, values - shift)
        )
        difference = (up.values - down.values) / (2.0 * shift[k])
        largest = np.abs(near.jacobian[:, k]).max()
        assert largest > 0.0
        assert np.abs(near.jacobian[:, k] - difference).max() < 2e-4 * largest


def test_the_start_alone_gives_the_same(simulator, values, near):
    again = simulator.predict(values)
    assert np.allclose(again.values, near.values, atol=3e-5)


def test_some_points_are_those_of_all(simulator, values, near):
    """With points left out, of one experiment altogether."""
    observations = observations_of(simulator.measured)
    chosen = np.zeros(observations.size, bool)
    chosen[3 : 2 * len(TIMES) : 7] = True
    some = observations.subset(chosen)
    found = simulator.predict(values, some.points, state=near.state)
    assert np.allclose(found.values, near.values[chosen], atol=1e-9)
    assert found.jacobian.shape == (chosen.sum(), len(values))
    other = Points(tuple(dataclasses.replace(s, variable="other") for s in some.points))
    with pytest.raises(InputError, match="No experiment measures"):
        simulator.predict(values, other)


@pytest.mark.parametrize("steps", [STEPS, ["Discharge at 7.5 A for 1800 s"]])
def test_an_offset_is_a_current(warm_cell, steps):
    """The logged current with an offset gives what the sum of both gives."""
    length = 3600.0 if len(steps) > 1 else 1800.0
    at = TIMES[length > TIMES]
    plain = cm.VoltageTrace(at, VOLTS[: len(at)], steps)
    name = plain.offset_name
    cell = with_number(warm_cell, name, 0.0, (-1.0, 1.0))
    offset = dataclasses.replace(plain, current_offset=1.0)
    found = ExperimentSimulator(cell, [offset], [name])
    base = found.predict(np.array([0.0]))
    moved = found.predict(np.array([0.1]), state=base.state)
    shifted = [s.replace("7.5 A", "7.6 A").replace("5 A for 1200", "4.9 A for 1200") for s in steps]
    if len(steps) > 1:
        shifted[1] = "Discharge at 0.1 A for 600 s"
    other = ExperimentSimulator(warm_cell, [dataclasses.replace(plain, steps=shifted)], [])
    assert np.abs(moved.values - other.predict(np.empty(0)).values).max() < 5e-5
    up, down = (found.predict(np.array([x]), state=moved.state).values for x in (0.101, 0.099))
    largest = np.abs(moved.jacobian).max()
    assert np.abs((up - down) / 2e-3 - moved.jacobian[:, 0]).max() < 1e-3 * largest


def test_a_logged_current_is_its_steps(warm_cell):
    """Rows every 10 s and at every change of step, as a cycler logs."""
    ends = np.cumsum(LENGTHS)
    rows = np.unique(np.concatenate([np.arange(0.0, 3601.0, 10.0), ends[:-1] + 1e-3]))
    current = np.array(CURRENTS)[np.searchsorted(ends, rows - 1e-4).clip(max=2)]
    plain = cm.VoltageTrace(TIMES, VOLTS, STEPS)
    logged = dataclasses.replace(plain, steps=None, current=current, current_time=rows)
    (node,) = cm.simulate_experiments(warm_cell, plain).children.values()
    (other,) = cm.simulate_experiments(warm_cell, logged).children.values()
    assert np.abs(node["voltage_simulated"] - other["voltage_simulated"]).max() < 2e-4


def test_replayed_ageing_is_warned_of(warm_cell):
    time = np.linspace(0.0, 40 * 3600.0, 401)
    trace = cm.VoltageTrace(time, np.full(401, 3.7), current=5.0 * np.sign(np.sin(time / 4000.0)))
    with pytest.warns(UserWarning, match="an offset of 1 mA over ten cycles"):
        fresh_problem(warm_cell, trace, FREE[:1])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"soc": 1.5}, "soc is 1.5, not from 0 to 1"),
        ({"rest_voltage": 4.0}, "a state of charge or a rest voltage, not both"),
        ({"ambient": 25.0}, "temperatures are in kelvin"),
        ({"temperature": np.full(len(TIMES), 25.0)}, "temperatures are in kelvin"),
        ({"temperature": np.full(len(TIMES), np.nan)}, "none of its temperatures"),
        ({"temperature": [300.0]}, "but 1 temperatures"),
        ({"name": "C/10"}, "without '/'"),
        ({"current": np.ones(len(TIMES))}, "steps or a measured current, one of both"),
        ({"steps": None}, "steps or a measured current, one of both"),
        ({"steps": None, "current": [1.0, 1.0], "current_time": [0.0, 10.0]}, "is known from 0"),
        ({"current_offset": -1.0}, "must be positive"),
        ({"soc": "full"}, "soc is 'full', not a number"),
    ],
)
def test_wrong_traces_are_refused(trace, changes, message):
    with pytest.raises(InputError, match=message):
        dataclasses.replace(trace, **changes)


def test_experiments_that_do_not_suit_the_cell_are_refused(trace):
    cold = cm.Cell("lithium_ion", model="SPM")
    with pytest.raises(InputError, match=r"mechanisms=\[cm.LumpedThermal\(\)\]"):
        ExperimentSimulator(cold, [trace], ())
    spectrum = cm.ImpedanceSpectrum([1.0], [0.03 - 0.01j])
    with pytest.raises(InputError, match=r"mechanisms=\[cm.DoubleLayer\(\)\]"):
        ExperimentSimulator(cold, [spectrum], ())
    with pytest.raises(InputError, match="at least one experiment"):
        ExperimentSimulator(cold, [], ())
    with pytest.raises(InputError, match="not str"):
        ExperimentSimulator(cold, ["trace"], ())
    with pytest.raises(InputError, match="Two experiments are named 'warm'"):
        ExperimentSimulator(cold, [trace, trace], ())
    with pytest.raises(InputError, match="experiments give their own"):
        fresh_problem(cold, dataclasses.replace(trace, temperature=None),
                      ["Ambient temperature [K]"])  # fmt: skip


def test_thinned_points_are_spread_over_time_and_voltage():
    time = np.arange(0.0, 1000.0)
    voltage = np.where(time < 990, 3.5, 3.5 - 0.1 * (time - 989))
    trace = cm.VoltageTrace(time, voltage, "Discharge at 1C for 1000 s", temperature=time + 273.15)
    thin = trace.thinned(40)
    assert len(thin.time) <= 40 and thin.time[0] == 0.0 and thin.time[-1] == 999.0
    assert np.sum(thin.voltage < 3.45) > 5
    assert np.array_equal(thin.temperature, thin.time + 273.15)
    assert trace.thinned(5000) is trace
