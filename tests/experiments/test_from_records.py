"""Experiments out of records: stretches of a trace, and check-ups that were found."""

import numpy as np
import pytest

import cellmodels as cm
from cellmodels.errors import InputError


@pytest.fixture(scope="module")
def record():
    """A charge, a rest, a slow discharge, a rest, and a pulse, logged every 20 s."""
    cell = cm.Cell("lithium_ion", model="SPM", initial_soc=0.2)
    parts = [(-2.5, 4 * 3600), (0.0, 7200), (0.5, 8 * 3600), (0.0, 7200), (5.0, 20), (0.0, 3600)]
    words = {1: "Discharge at {} A for {} s", 0: "Rest for {1} s", -1: "Charge at {} A for {} s"}
    steps = [words[int(np.sign(i))].format(abs(i), t) for i, t in parts]
    ends = np.cumsum([t for _, t in parts])
    time = np.unique(np.concatenate([np.arange(20.0, ends[-1], 20.0), ends, ends[:-1] + 0.1]))
    current = np.array([i for i, _ in parts])[np.searchsorted(ends, time)]
    volts = np.where(np.arange(len(time)) % 2, 2.3, 4.5)
    (node,) = cm.simulate_experiments(cell, cm.VoltageTrace(time, volts, steps)).children.values()
    data = {"time": time, "voltage": node["voltage_simulated"].values, "current": current}
    return cm.build_record(traces=data, title="made")


def test_a_stretch_of_a_trace(record):
    begin = 4 * 3600 + 7200
    made = cm.trace_experiment(record, begin + 0.05, begin + 8 * 3600 + 0.05, name="slow")
    traces = record["traces"].to_dataset()
    rested = float(traces["voltage"].values[np.searchsorted(traces["time"].values, begin)])
    assert made.rest_voltage == pytest.approx(rested, abs=1e-4)
    assert len(made.time) <= 300 and made.time[0] == 0.0
    charge = float(np.trapezoid(made.current, made.current_time)) / 3600.0
    assert charge == pytest.approx(0.5 * 8.0, rel=1e-3)
    whole = cm.trace_experiment(record, begin + 0.05, begin + 3600.0, points=None, soc=1.0)
    assert whole.rest_voltage is None and len(whole.time) == len(whole.current)


def test_check_ups_become_experiments_that_the_cell_describes(record):
    """The record was simulated: the same cell at rest at the same voltages gives it again."""
    found = cm.find_checkups(record, nominal_capacity=5.0)
    made = cm.checkup_experiments(found, noise=1e-3)
    kinds = dict(zip(found.tests["name"].values, found.tests["kind"].values, strict=True))
    assert any("discharge" in kinds[e.name] for e in made)
    assert any("pulse" in kinds[e.name] for e in made)
    tree = cm.simulate_experiments(cm.Cell("lithium_ion", model="SPM"), made)
    for node in tree.children.values():
        assert float(node["voltage_residual"].attrs["rms"]) < 2e-3
    (one,) = cm.checkup_experiments(found, tests=made[0].name)
    assert one.name == made[0].name


def test_what_is_not_there_is_refused(record):
    found = cm.find_checkups(record, nominal_capacity=5.0)
    with pytest.raises(InputError, match="no check-up 7"):
        cm.checkup_experiments(found, 7)
    with pytest.raises(InputError, match="has no test 'plse'"):
        cm.checkup_experiments(found, tests=["plse"])
    with pytest.raises(InputError, match="began after a rest of 1e"):
        cm.checkup_experiments(found, rested=1e6)
    with pytest.raises(InputError, match="0 rows between"):
        cm.trace_experiment(record, 1e7, 2e7)
