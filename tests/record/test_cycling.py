"""Per-cycle quantities from traces."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import cellmodels as cm
from cellmodels.errors import InputError
from cellmodels.record import check_record

CAPACITY = 2.0  # A.h


def cycled(sizes=(1.0,) * 5, interval=10.0, rest=60, hold=True, current=2.0):
    """Cycles of a charge at constant current, a hold, a rest and a discharge, of given depths."""
    time, amps, volts = [], [], []

    def add(i, v, seconds=interval):
        begin = time[-1][-1] if time else 0.0
        time.append(begin + seconds * np.arange(1, len(i) + 1))
        amps.append(i)
        volts.append(v)

    add(np.zeros(rest), np.full(rest, 3.0))
    for size in sizes:
        count = round(size * CAPACITY * 3600 / current / interval)
        ramp = np.linspace(3.2, 4.2, count)
        falling = np.exp(-np.arange(1, 101) / 25.0) if hold else np.empty(0)
        add(-np.full(count, current), ramp)
        if hold:
            add(-current * falling, np.full(len(falling), 4.2))
        add(np.zeros(rest), np.full(rest, 4.15))
        extra = round(falling.sum())
        add(np.full(count + extra, current), np.linspace(4.1, 4.1 - 1.3 * size, count + extra))
        add(np.zeros(rest), np.full(rest, 4.2 - 1.2 * size))
    columns = {"time": time, "current": amps, "voltage": volts}
    return xr.Dataset({n: ("sample", np.concatenate(one)) for n, one in columns.items()})


def test_capacities_and_energies_of_whole_cycles():
    traces = cycled()
    cycles = cm.summarise_cycles(traces)
    assert cycles["cycle"].values.tolist() == [1, 2, 3, 4, 5]
    count = 360
    # at constant current for 360 intervals of 10 s, and what flows while the voltage is held
    held = 2.0 * np.exp(-np.arange(1, 101) / 25.0).sum() * 10 / 3600
    np.testing.assert_allclose(cycles["cc_charge_capacity"], 2.0 * count * 10 / 3600, rtol=5e-3)
    np.testing.assert_allclose(cycles["cv_charge_capacity"], held, rtol=2e-2)
    np.testing.assert_allclose(cycles["charge_capacity"], 2.0 + held, rtol=1e-3)
    np.testing.assert_allclose(cycles["discharge_capacity"], 2.0 * 384 * 10 / 3600, rtol=1e-6)
    np.testing.assert_allclose(cycles["mean_discharge_voltage"], (4.1 + 2.8) / 2, rtol=1e-3)
    np.testing.assert_allclose(cycles["mean_discharge_current"], 2.0, rtol=1e-6)
    np.testing.assert_allclose(cycles["end_of_discharge_voltage"], 2.8)
    np.testing.assert_allclose(cycles["end_of_charge_voltage"], 4.2)
    np.testing.assert_allclose(cycles["rest_voltage_after_charge"], 4.15)
    np.testing.assert_allclose(cycles["rest_voltage_after_discharge"], 3.0)
    np.testing.assert_allclose(cycles["cv_charge_time"], 1000.0, atol=15.0)
    np.testing.assert_allclose(
        cycles["coulombic_efficiency"],
        cycles["discharge_capacity"] / cycles["charge_capacity"],
    )
    np.testing.assert_allclose(
        cycles["voltage_efficiency"],
        cycles["mean_discharge_voltage"] / cycles["mean_charge_voltage"],
    )
    np.testing.assert_allclose(cycles["throughput"], np.cumsum(cycles["discharge_capacity"]))
    assert float(cycles["elapsed_time"][-1]) == pytest.approx(float(traces["time"][-1]))
    assert not cycles["discharge_capacity_flag"].any()


def test_what_is_summarised_is_a_record():
    record = cm.build_record(traces=cycled())
    record["cycles"] = xr.DataTree(cm.summarise_cycles(record))
    check_record(record)


def test_a_cycle_that_is_cut_short_is_flagged_with_the_reason():
    cycles = cm.summarise_cycles(cycled((1.0, 1.0, 1.0, 0.6, 1.0, 1.0)))
    assert cycles["discharge_capacity_flag"].values.tolist() == [0, 0, 0, 1, 0, 0]
    found = cm.irregular_cycles(cycles)
    assert {one.cycle for one in found} == {4}
    assert any("cut short: the discharge ends at 3.320 V" in one.reason for one in found)
    assert "cycle 4: cut short" in cycles.attrs["irregular_cycles"]


def test_a_discharge_without_a_full_charge_before_is_flagged():
    traces = cycled(interval=10.0)
    # a third of the third charge is missing: the clock went on, the charge did not
    charging = np.flatnonzero(traces["current"].values < -1.9)
    gone = charging[len(charging) // 5 * 2 + 20 :][:120]
    current = traces["current"].values.copy()
    current[gone] = 0.0
    cycles = cm.summarise_cycles(traces.assign(current=("sample", current)))
    words = {one.cycle: one.reason for one in cm.irregular_cycles(cycles)}
    assert 3 in words and "no full charge before" in words[3]


def test_a_gap_is_flagged_and_not_counted():
    traces = cycled()
    discharging = np.flatnonzero(traces["current"].values > 1.9)
    second = discharging[385 + 100 : 385 + 200]
    cycles = cm.summarise_cycles(traces.drop_isel(sample=second))
    lost = 2.0 * 1010 / 3600
    whole = float(cycles["discharge_capacity"][0])
    assert float(cycles["discharge_capacity"][1]) == pytest.approx(whole - lost, rel=1e-6)
    assert float(cycles["gap"][1]) == pytest.approx(1010.0)
    reasons = {one.cycle: one.reason for one in cm.irregular_cycles(cycles)}
    assert "1010 s without samples" in reasons[2]


@pytest.mark.parametrize("interval", [1.0, 10.0, 60.0])
def test_capacity_down_to_a_voltage(interval):
    """Whatever the sampling: the voltage falls linearly, so interpolation is exact."""
    cycles = cm.summarise_cycles(cycled(interval=interval, hold=False), end_voltage=3.3)
    traces = cycled(interval=interval, hold=False)
    count = round(3600 / interval)
    share = (4.1 - 3.3) / 1.3 * (count - 1) + 0.5
    expected = 2.0 * share * interval / 3600
    np.testing.assert_allclose(cycles["discharge_capacity"], expected, rtol=1e-6)
    through = cm.summarise_cycles(traces, end_voltage=3.3, interpolate=False)
    more = through["discharge_capacity"].values - cycles["discharge_capacity"].values
    assert np.all((more >= -1e-12) & (more <= 2.0 * interval / 3600 + 1e-12))


def test_a_discharge_that_does_not_reach_the_end_voltage_is_flagged():
    cycles = cm.summarise_cycles(cycled((1.0, 0.5, 1.0)), end_voltage=3.0)
    assert cycles["discharge_capacity_flag"].values.tolist() == [0, 1, 0]
    assert "not at 3 V" in cycles.attrs["irregular_cycles"]


def test_discharges_alone():
    """Only one direction is in the file: nothing is said about efficiencies."""
    time, number = np.tile(np.arange(361.0) * 10, 3), np.repeat([1.0, 2.0, 3.0], 361)
    time = time + (number - 1) * 3600
    columns = {
        "time": time,
        "current": np.full(len(time), 2.0),
        "voltage": np.tile(np.linspace(4.1, 2.8, 361), 3),
        "cycle": number,
    }
    cycles = cm.summarise_cycles(xr.Dataset({n: ("sample", v) for n, v in columns.items()}))
    np.testing.assert_allclose(cycles["discharge_capacity"], 2.0)
    assert "coulombic_efficiency" not in cycles
    assert not cycles["discharge_capacity_flag"].any()


def test_a_trace_at_rest_has_no_cycles():
    columns = {"time": np.arange(10.0), "voltage": np.ones(10), "current": np.zeros(10)}
    with pytest.raises(InputError, match="no current flows"):
        cm.summarise_cycles(xr.Dataset({n: ("sample", v) for n, v in columns.items()}))


def test_a_record_without_traces():
    record = cm.build_record(cycles={"cycle": [1, 2], "discharge_capacity": [1.0, 0.9]})
    with pytest.raises(InputError, match="no /traces"):
        cm.summarise_cycles(record)


def test_the_mean_temperature_is_that_over_time():
    """A charge is sampled ten times as often as the rest after it, and warmer."""
    seconds = np.concatenate([np.arange(0.0, 3600.0, 10.0), np.arange(3600.0, 7201.0, 100.0)])
    charges = seconds < 3600.0
    traces = xr.Dataset(
        {
            "time": ("sample", seconds),
            "current": ("sample", np.where(charges, -2.0, 0.0)),
            "voltage": ("sample", np.where(charges, 3.0 + seconds / 3600.0, 3.9)),
            "temperature": ("sample", np.where(charges, 310.0, 300.0)),
        }
    )
    cycles = cm.summarise_cycles(traces)
    assert float(cycles["mean_temperature"][0]) == pytest.approx(305.0, abs=0.2)
    assert float(cycles["max_temperature"][0]) == 310.0
