"""A logged current as steps: its charge, its size, and wrong input."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellmodels.errors import InputError
from cellmodels.experiments.logged import logged_steps


def charge_at(steps, time):
    """Charge [A.s] that steps have passed at times since the first."""
    ends = np.cumsum([0.0, *(step.max_duration for step in steps)])
    passed = np.cumsum([0.0, *(step.value * step.max_duration for step in steps)])
    return np.interp(time - time[0], ends, passed)


def test_a_constant_current_is_one_step():
    (step,) = logged_steps(np.arange(0.0, 100.0), np.full(100, 2.5))
    assert step.value == pytest.approx(2.5) and step.max_duration == pytest.approx(99.0)


def test_noise_around_a_current_is_one_step():
    noise = 1e-3 * np.random.default_rng(1).standard_normal(1000)
    steps = logged_steps(
        np.arange(1000.0), 2.5 + noise, charge_tolerance=1e-4, current_tolerance=0.01
    )
    assert len(steps) == 1 and steps[0].value == pytest.approx(2.5, rel=1e-4)


def test_zero_is_a_rest():
    first, last = logged_steps([0.0, 10.0, 10.001, 30.0], [1.0, 1.0, 0.0, 0.0], between="next")
    assert first.value == 1.0 and first.max_duration == pytest.approx(10.0)
    assert last.control == "rest" and last.max_duration == pytest.approx(20.0)


def test_between_rows():
    """A rest whose first row comes late: its current is that of the second row."""
    time, current = [0.0, 100.0, 220.0, 300.0], [4.0, 4.0, 0.0, 0.0]
    charges = {
        between: sum(s.value * s.max_duration for s in logged_steps(time, current, between=between))
        for between in ("next", "mean", "previous")
    }
    assert charges == pytest.approx({"next": 400.0, "mean": 640.0, "previous": 880.0})
    with pytest.raises(InputError, match=r"Did you mean 'next'"):
        logged_steps(time, current, between="nxt")


@settings(deadline=None, derandomize=True, database=None, max_examples=40)
@given(st.integers(0, 2**31), st.floats(1e-6, 1e-2), st.floats(1e-3, 0.5))
def test_charge_and_current_stay_within_their_tolerances(seed, charge_tolerance, near):
    rng = np.random.default_rng(seed)
    time = np.cumsum(rng.uniform(0.1, 5.0, 200))
    current = np.repeat(rng.normal(0.0, 3.0, 20), 10) + 0.02 * rng.standard_normal(200)
    steps = logged_steps(time, current, charge_tolerance=charge_tolerance, current_tolerance=near)
    mean = 0.5 * (current[1:] + current[:-1])
    exact = np.concatenate([[0.0], np.cumsum(mean * np.diff(time))])
    total = np.abs(mean) @ np.diff(time)
    error = np.abs(charge_at(steps, time) - exact)
    assert error.max() <= charge_tolerance * total * (1.0 + 1e-9) + 1e-9
    assert error[-1] <= 1e-9 * total + 1e-9
    held = np.repeat([s.value for s in steps], _rows(steps, time))
    assert np.abs(held - mean).max() <= near * np.abs(mean).max() * (1.0 + 1e-9)


def _rows(steps, time):
    ends = time[0] + np.cumsum([step.max_duration for step in steps])
    return np.diff(np.searchsorted(time, ends - 1e-6), prepend=0)


def test_finer_tolerances_give_more_steps():
    time = np.arange(0.0, 3600.0)
    current = 5.0 * np.sin(time / 300.0)
    counts = [
        len(logged_steps(time, current, charge_tolerance=c, current_tolerance=i))
        for c, i in ((1e-3, 0.2), (1e-4, 0.05), (1e-6, 0.01))
    ]
    assert counts[0] < counts[1] < counts[2] <= len(time) - 1


@pytest.mark.parametrize(
    ("time", "current", "message"),
    [
        ([0.0], [1.0], "two rows or more"),
        ([0.0, 1.0], [1.0, 2.0, 3.0], "one current for a time"),
        ([0.0, 0.0], [1.0, 2.0], "ascend"),
        ([0.0, 1.0], [1.0, np.nan], "finite everywhere"),
    ],
)
def test_wrong_rows_are_refused(time, current, message):
    with pytest.raises(InputError, match=message):
        logged_steps(time, current)
