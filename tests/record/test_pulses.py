"""Pulse resistance against a circuit whose answer is known."""

import numpy as np
import pytest

from cellmodels.errors import InputError
from cellmodels.record.cycles.pulses import pulse_resistances, step_time

R0, R1, TAU = 0.02, 0.01, 8.0


def trace(current=5.0, interval=0.1, length=30.0, before=0.0, row_at_begin=False):
    """A rest, a step of the current at t = 600 s and a rest: an RC circuit."""
    rest = np.arange(0.0, 600.0 + 1e-9, 60.0)
    pulse = np.arange(0 if row_at_begin else 1, round(length / interval) + 1) * interval
    after = np.arange(1, 101) * interval
    t = np.concatenate([rest, 600 + pulse, 600 + length + after])
    i = np.concatenate(
        [np.full(len(rest), before), np.full(len(pulse), current), np.zeros(len(after))]
    )
    drop = np.zeros(len(t))
    on = slice(len(rest), len(rest) + len(pulse))
    drop[on] = (current - before) * (R0 + R1 * (1 - np.exp(-pulse / TAU)))
    filled = (current - before) * R1 * (1 - np.exp(-length / TAU))
    drop[on.stop :] = -before * R0 + filled * np.exp(-after / TAU)
    return t, 3.7 - drop, i, on.start, on.stop - 1


def exact(at):
    return R0 + R1 * (1 - np.exp(-at / TAU))


@pytest.mark.parametrize("row_at_begin", [False, True])
@pytest.mark.parametrize("current", [5.0, -2.5])
def test_a_circuit_gives_its_resistance_in_both_directions(current, row_at_begin):
    t, v, i, first, last = trace(current, row_at_begin=row_at_begin)
    found = pulse_resistances(t, v, i, first, last, at=(1.0, 2.55, 10.0, 30.0))
    assert [one.reason for one in found] == [""] * 4
    assert [one.value for one in found] == pytest.approx([exact(one.at) for one in found], rel=2e-5)


def test_the_relaxation_after_a_pulse_is_a_step_too():
    t, v, i, _, last = trace(5.0, length=200.0)  # so long that the circuit is settled
    found = pulse_resistances(t, v, i, last + 1, len(t) - 1, at=(1.0,))
    assert found[0].value == pytest.approx(exact(1.0), rel=1e-5)


def test_a_step_from_another_current():
    t, v, i, first, last = trace(5.0, before=1.0)
    found = pulse_resistances(t, v, i, first, last, at=(10.0,))
    assert found[0].value == pytest.approx(exact(10.0), rel=1e-5)


@pytest.mark.parametrize(
    ("at", "options", "reason"),
    [
        (30.0, {"length": 10.0}, "the step lasts 10 s"),
        (1.0, {"interval": 5.0}, "rows are 5 s apart"),
        (1.0, {"interval": 3.0, "row_at_begin": True}, "rows are 3 s apart"),
        (10.0, {"current": 0.0}, "the current does not change"),
    ],
)
def test_why_there_is_no_resistance(at, options, reason):
    t, v, i, first, last = trace(**options)
    (found,) = pulse_resistances(t, v, i, first, last, at=(at,))
    assert np.isnan(found.value)
    assert found.reason == reason


def test_a_current_that_drifts_has_no_resistance_but_one_that_rises_at_first_does():
    t, v, i, first, last = trace()
    drifting, rising = i.copy(), i.copy()
    drifting[first : last + 1] *= np.linspace(1.0, 0.8, last + 1 - first)
    (found,) = pulse_resistances(t, v, drifting, first, last, at=(10.0,))
    assert found.reason == "the current is not constant"
    rising[first] *= 0.4  # the first row is a mean over the moment of the step
    (found,) = pulse_resistances(t, v, rising, first, last, at=(10.0,))
    assert found.value == pytest.approx(exact(10.0), rel=1e-5)


def test_without_a_row_before_there_is_no_resistance():
    t, v, i, first, last = trace()
    found = pulse_resistances(t[first:], v[first:], i[first:], 0, last - first)
    assert {one.reason for one in found} == {"no row before the step"}


def test_when_the_current_changed():
    rows = np.array([0.0, 60.0, 61.0, 62.0])
    assert step_time(rows, 2) == 60.0
    assert step_time(np.array([0.0, 60.0, 90.0, 91.0]), 2) == 89.0
    assert step_time(rows, 0) == 0.0


def test_rows_that_are_not_there():
    t, v, i, first, _ = trace()
    with pytest.raises(InputError, match="not among the trace's 0 to"):
        pulse_resistances(t, v, i, first, len(t))
