"""Traces are cut into the steps that made them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from cellmodels.errors import InputError
from cellmodels.record.cycles.half_cycles import count_cycles
from cellmodels.record.cycles.segments import KINDS, kinds, segment

RESISTANCE = 0.03  # ohm
CAPACITY = 2.0  # A.h


@dataclass
class Made:
    """A trace being made: a cell whose voltage is linear in its charge, and its steps."""

    columns: dict[str, list[np.ndarray]]
    expected: list[str]
    soc: float = 0.5
    time: float = 0.0

    @classmethod
    def new(cls):
        return cls({name: [] for name in ("time", "voltage", "current", "step")}, [])

    def add(self, kind, current, voltage, interval, jitter):
        times = self.time + np.cumsum(interval * jitter)
        given = times, voltage, current, np.full(len(times), len(self.expected) + 1.0)
        for name, values in zip(self.columns, given, strict=True):
            self.columns[name].append(values)
        moved = np.sum(np.diff(np.append(self.time, times)) * current) / 3600
        self.soc -= float(moved) / CAPACITY
        self.time = float(times[-1])
        self.expected.append(kind)

    def dataset(self, noise=0.0, seed=0, step=False):
        rng = np.random.default_rng(seed)
        found = {name: np.concatenate(values) for name, values in self.columns.items()}
        found["current"] = found["current"] + noise * rng.standard_normal(len(found["time"]))
        found["voltage"] = found["voltage"] + 0.1 * noise * rng.standard_normal(len(found["time"]))
        if not step:
            del found["step"]
        return trace(**found)

    @property
    def first(self):
        sizes = [len(values) for values in self.columns["time"]]
        return np.cumsum([0, *sizes[:-1]])


def trace(**columns):
    return xr.Dataset({name: ("sample", np.asarray(values)) for name, values in columns.items()})


def ocv(soc):
    return 3.2 + 1.0 * np.asarray(soc)


def jitter(rng, count, uneven):
    return rng.uniform(0.5, 1.5, count) if uneven else np.ones(count)


def constant_current(made, rng, current, count, interval, uneven=False):
    spread = jitter(rng, count, uneven)
    moved = np.cumsum(interval * spread) * current / 3600 / CAPACITY
    voltage = ocv(made.soc - moved) - RESISTANCE * current
    made.add(
        "rest" if current == 0 else "current", np.full(count, current), voltage, interval, spread
    )


def hold(made, rng, count, interval, uneven=False):
    """A charge that ends at a held voltage; begins where a charge at constant current ended."""
    spread = jitter(rng, count, uneven)
    elapsed = np.cumsum(interval * spread)
    begin, volts = made.columns["current"][-1][-1], made.columns["voltage"][-1][-1]
    current = begin * np.exp(-3.0 * elapsed / elapsed[-1])
    made.add("voltage", current, np.full(count, volts), interval, spread)


def constant_power(made, rng, power, count, interval, uneven=False):
    spread = jitter(rng, count, uneven)
    volts = 3.8 * np.linspace(1.0, 0.85 if power > 0 else 1.15, count)
    made.add("power", power / volts, volts, interval, spread)


@st.composite
def protocols(draw):
    """A few steps in random order: rests, currents, charges with a hold, powers, pulses."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    uneven = draw(st.booleans())
    made = Made.new()
    level = 0.0
    for kind in draw(st.lists(st.sampled_from("rchpu"), min_size=1, max_size=8)):
        interval = draw(st.sampled_from([0.1, 1.0, 10.0, 60.0]))
        count = draw(st.integers(20, 200))
        if kind == "r" and level != 0.0:
            constant_current(made, rng, 0.0, count, interval, uneven)
            level = 0.0
        elif kind == "c":
            wanted = draw(st.sampled_from([-2.0, -0.7, -0.1, 0.1, 0.4, 1.0, 1.2, 4.0]))
            if wanted != level:
                constant_current(made, rng, wanted, count, interval, uneven)
                level = wanted
        elif kind == "h" and level != -1.0:
            constant_current(made, rng, -1.0, 100, 30.0, uneven)
            hold(made, rng, count, interval, uneven)
            level = np.nan
        elif kind == "p" and level == 0.0:
            constant_power(made, rng, draw(st.sampled_from([-6.0, 3.0])), count, interval, uneven)
            level = np.nan
        elif kind == "u" and level == 0.0:
            for sign in (1.0, 0.0, -1.0, 0.0):
                constant_current(made, rng, 2.0 * sign, draw(st.integers(3, 12)), 1.0, uneven)
    if not made.expected:
        constant_current(made, rng, 1.0, 50, 1.0)
    return made


@settings(max_examples=150)
@given(protocols(), st.sampled_from([0.0, 1e-4, 1e-3]), st.booleans())
def test_the_steps_of_a_protocol_are_found(made, noise, numbered):
    steps = segment(made.dataset(noise, step=numbered))
    assert kinds(steps) == made.expected
    lengths = np.diff(np.append(made.first, made.dataset().sizes["sample"]))
    for k, kind in enumerate(made.expected):
        # a hold is seen to begin once its current has fallen by half a per cent and the noise
        late = 1 + 0.03 * lengths[k] if kind == "voltage" else 0
        assert 0 <= int(steps["first"][k]) - made.first[k] <= late


@settings(max_examples=50)
@given(protocols(), st.floats(0.1, 0.9))
def test_charge_is_conserved(made, where):
    whole = made.dataset(1e-3)
    steps = segment(whole)
    time, power = whole["time"].values, (whole["current"] * whole["voltage"]).values
    charge = np.trapezoid(whole["current"].values, time) / 3600
    energy = np.trapezoid(power, time) / 3600
    # a rest sampled rarely beside a step sampled often is the one place where it is no trapezium
    usual = np.nan_to_num(steps["sampling_interval"].values)
    shared = np.diff(time)[steps["last"].values[:-1]]
    slack = np.sum(shared * np.abs(np.diff(usual) > 0)) * 4.0 / 3600
    assert abs(float(steps["charge"].sum()) - charge) <= slack + 1e-9
    assert abs(float(steps["energy"].sum()) - energy) <= 5 * slack + 1e-9
    last = steps["start_time"].values + steps["duration"].values
    np.testing.assert_allclose(last[:-1], steps["start_time"].values[1:], rtol=1e-12)


def test_what_a_step_says():
    made = Made.new()
    rng = np.random.default_rng(0)
    constant_current(made, rng, 0.0, 11, 1.0)
    constant_current(made, rng, 2.0, 101, 1.0)
    given = made.dataset().assign(temperature=("sample", np.linspace(298.0, 300.0, 112)))
    steps = segment(given)
    assert steps["first"].values.tolist() == [0, 11]
    assert steps["last"].values.tolist() == [10, 111]
    assert float(steps["charge"][1]) == pytest.approx(2.0 * 100.5 / 3600)
    assert float(steps["duration"][1]) == pytest.approx(100.5)
    assert float(steps["start_time"][1]) == pytest.approx(11.5)
    assert float(steps["current"][1]) == pytest.approx(2.0)
    assert float(steps["max_voltage"][1]) == pytest.approx(float(given["voltage"][11]))
    assert float(steps["min_voltage"][1]) == pytest.approx(float(given["voltage"][111]))
    assert float(steps["temperature_rise"][1]) == pytest.approx(2.0 * 100 / 111)
    assert float(steps["sampling_interval"][1]) == pytest.approx(1.0)
    assert np.isnan(steps["step"].values).all()
    assert steps["kind"].attrs["flag_meanings"].split() == list(KINDS)


def test_the_last_sample_of_a_numbered_step_is_its_end():
    """As cyclers record it: what follows holds its current from there on."""
    time = np.concatenate([np.arange(11.0), 15.0 + 5.0 * np.arange(20), [150.0, 200.0]])
    current = np.concatenate([np.zeros(11), np.full(20, 2.0), [0.0, 0.0]])
    step = np.repeat([1.0, 2.0, 3.0], [11, 20, 2])
    columns = {"time": time, "current": current, "voltage": 3.7 - 0.05 * current}
    steps = segment(trace(**columns, step=step))
    assert steps["start_time"].values.tolist() == [0.0, 10.0, 110.0]
    assert float(steps["charge"][1]) == pytest.approx(2.0 * 100 / 3600)
    without = segment(trace(**columns))
    assert without["start_time"].values.tolist() == [0.0, 12.5, 112.5]
    assert float(without["charge"][1]) == pytest.approx(2.0 * 100 / 3600)


@pytest.mark.parametrize("begins", [0.0, 2.4])
def test_a_first_current_that_had_not_settled_stands_for_no_time(begins):
    """Recorded a millisecond after the step began, and the next a minute later."""
    time = np.concatenate([60.0 * np.arange(11), 600.001 + 60.0 * np.arange(31)])
    current = np.concatenate([np.zeros(11), [begins], np.full(30, 2.0)])
    step = np.repeat([1.0, 2.0], [11, 31])
    columns = {"time": time, "current": current, "voltage": 3.7 - 0.05 * current}
    steps = segment(trace(**columns, step=step))
    assert kinds(steps) == ["rest", "current"]
    assert float(steps["charge"][1]) == pytest.approx(2.0 * 1800.001 / 3600, rel=1e-9)


def test_nothing_is_integrated_over_a_gap():
    time = np.concatenate([np.arange(100.0), 5000.0 + np.arange(100.0)])
    steps = segment(trace(time=time, current=np.ones(200), voltage=np.linspace(4.0, 3.0, 200)))
    assert steps.sizes["segment"] == 1
    assert float(steps["gap"][0]) == pytest.approx(4901.0)
    assert float(steps["charge"][0]) == pytest.approx(198.0 / 3600)
    assert float(steps["duration"][0]) == pytest.approx(5099.0)


@pytest.mark.parametrize("step", [False, True], ids=["within a step", "between steps"])
def test_nothing_is_integrated_over_an_interval_that_is_flagged(step):
    time = np.concatenate([np.arange(100.0), 110.0 + np.arange(100.0)])
    columns = {"time": time, "current": np.repeat([1.0, 2.0], 100), "voltage": 4.0 - time / 300}
    if step:
        columns["step"] = np.repeat([1.0, 2.0], 100)
    else:
        columns["current"] = np.ones(200)
    flag = (np.arange(200) == 100).astype(float)
    steps = segment(trace(**columns, time_flag=flag))
    assert float(steps["gap"].sum()) == pytest.approx(11.0)
    expected = 99.0 * columns["current"][0] + 99.0 * columns["current"][-1]
    assert float(steps["charge"].sum()) * 3600 == pytest.approx(expected)
    assert float(segment(trace(**columns))["gap"].sum()) == 0.0


def test_a_rest_that_is_sampled_rarely_lends_no_charge_to_what_follows():
    time = np.concatenate([600.0 * np.arange(10), 5400.0 + 590.0 + np.arange(1, 101)])
    current = np.concatenate([np.zeros(10), np.full(100, 2.0)])
    steps = segment(trace(time=time, current=current, voltage=3.7 - 0.1 * current))
    assert kinds(steps) == ["rest", "current"]
    assert float(steps["charge"][1]) == pytest.approx(2.0 * 99.5 / 3600)
    assert float(steps["gap"].sum()) == 0.0


def test_a_drive_cycle_is_one_step():
    rng = np.random.default_rng(3)
    drive = rng.normal(1.0, 2.0, 600)
    drive[200:220] = 0.0  # at a traffic light
    current = np.concatenate([np.zeros(60), drive, np.zeros(60)])
    steps = segment(trace(time=np.arange(720.0), current=current, voltage=3.7 - 0.05 * current))
    assert kinds(steps) == ["rest", "other", "rest"]
    assert abs(int(steps["first"][1]) - 60) <= 2
    assert float(steps["charge"][1]) == pytest.approx(drive.sum() / 3600, abs=2e-3)


def test_a_pulse_sampled_once_is_a_step_and_a_ramp_is_none():
    pulse = np.concatenate([np.zeros(30), [3.0], np.zeros(30)])
    ramp = np.concatenate([np.zeros(30), [0.3, 1.1, 2.4], np.full(30, 3.0)])
    for current, expected in ((pulse, ["rest", "current", "rest"]), (ramp, ["rest", "current"])):
        time = np.arange(float(len(current)))
        steps = segment(trace(time=time, current=current, voltage=3.7 - 0.05 * current))
        assert kinds(steps) == expected
        assert int(steps["first"][1]) == 30


def test_a_current_that_is_coarsely_rounded_is_still_constant():
    rng = np.random.default_rng(0)
    current = np.concatenate([np.zeros(50), 0.1 + 0.005 * rng.integers(-1, 2, 300)])
    voltage = 3.7 - 0.05 * current - 1e-3 * np.arange(350)
    steps = segment(trace(time=np.arange(350.0), current=current, voltage=voltage))
    assert kinds(steps) == ["rest", "current"]


def test_a_noisy_hold_is_one_step():
    rng = np.random.default_rng(1)
    ramp, count = np.linspace(3.6, 4.2, 600), 2000
    falling = -np.exp(-np.arange(count) / 600.0) * (1 + 0.04 * rng.standard_normal(count))
    current = np.concatenate([np.full(600, -1.0), falling, np.zeros(100)])
    voltage = np.concatenate([ramp, np.full(count, 4.2), np.full(100, 4.19)])
    voltage += 1e-4 * rng.standard_normal(len(voltage))
    steps = segment(trace(time=np.arange(float(len(current))), current=current, voltage=voltage))
    assert kinds(steps) == ["current", "voltage", "rest"]


def test_the_same_step_number_again_in_the_next_cycle():
    """A step that the file repeats is not joined with itself where the cycle changes."""
    current, step = np.full(60, 1.0), np.full(60, 3.0)
    cycle = np.repeat([0.0, 1.0, 2.0], 20)
    columns = {"time": np.arange(60.0), "voltage": np.linspace(4, 3, 60), "current": current}
    steps = segment(trace(**columns, step=step, cycle=cycle))
    assert steps["cycle"].values.tolist() == [1, 2, 3]
    assert steps["first"].values.tolist() == [0, 20, 40]


def test_a_row_index_is_no_cycle_number():
    columns = {"time": np.arange(60.0), "voltage": np.full(60, 3.7), "current": np.ones(60)}
    steps = segment(trace(**columns, cycle=np.arange(60.0)))
    assert steps["cycle"].values.tolist() == [1]
    assert "counted" in steps.attrs["cycles"]


def test_a_trace_without_current_is_refused():
    with pytest.raises(InputError, match="'current'"):
        segment(trace(time=np.arange(3.0), voltage=np.ones(3)))


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_the_shortest_traces(rows):
    steps = segment(trace(time=np.arange(rows), voltage=np.ones(rows), current=np.ones(rows)))
    assert steps.sizes["segment"] == 1
    assert float(steps["charge"][0]) == pytest.approx((rows - 1) / 3600)


def test_pulses_and_rests_do_not_count_as_cycles():
    pulses = [0.1, 0.0, -0.05, 0.0] * 4
    charge = [-2.0, 0.0, *pulses, 1.8, 0.0, -1.9, -0.1, 0.0, 2.0, 0.0, -2.0]
    found = count_cycles(charge)
    begins = [k for k in range(1, len(found)) if found[k] != found[k - 1]]
    # the second charge and the third begin cycles 2 and 3; rests belong to what is before them
    assert [charge[k] for k in begins] == [-1.9, -2.0]
    assert found[-1] == 3


@given(st.lists(st.floats(1.5, 2.5), min_size=1, max_size=20), st.booleans())
def test_cycles_of_full_half_cycles_are_counted(sizes, charged_first):
    signs = [-1, 1] if charged_first else [1, -1]
    charge = [sign * size for size in sizes for sign in (*signs, 0)]
    expected = [k + 1 for k in range(len(sizes)) for _ in range(3)]
    assert count_cycles(charge).tolist() == expected


def test_no_charge_is_one_cycle():
    assert count_cycles([0.0, 0.0]).tolist() == [1, 1]
    assert count_cycles([]).tolist() == []
