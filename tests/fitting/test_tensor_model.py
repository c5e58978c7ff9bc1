"""The model that a step of least squares minimises."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellmodels.fitting.tensor_model import tensor_step

WIDE = np.full(3, 10.0)


def problem(seed):
    rng = np.random.default_rng(seed)
    return rng.normal(size=8), rng.normal(size=(8, 3)), rng


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000))
def test_without_past_points_it_is_the_gauss_newton_step(seed):
    residuals, jacobian, _ = problem(seed)
    step, cost = tensor_step(residuals, jacobian, [], -1e3 * WIDE, 1e3 * WIDE)
    expected = np.linalg.lstsq(jacobian, -residuals, rcond=None)[0]
    np.testing.assert_allclose(step, expected, rtol=1e-6, atol=1e-9)
    assert cost == pytest.approx(0.5 * np.sum((residuals + jacobian @ expected) ** 2))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000))
def test_a_curved_valley_is_known_after_one_point(seed):
    # residuals that bend along one direction only, seen once along that direction
    _, jacobian, rng = problem(seed)
    along, bend = np.array([1.0, 0.0, 0.0]), rng.normal(size=8)
    solution = np.array([0.6, -0.3, 0.2])

    def residuals(d):
        return jacobian @ (d - solution) + 0.5 * bend * ((d @ along) ** 2 - solution[0] ** 2)

    past = [(0.3 * along, residuals(0.3 * along))]
    step, cost = tensor_step(residuals(np.zeros(3)), jacobian, past, -WIDE, WIDE)
    assert cost < 1e-6 or 0.5 * np.sum(residuals(step) ** 2) == pytest.approx(cost, rel=1e-4)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.floats(0.01, 1.0))
def test_the_step_stays_in_the_box_and_promises_no_rise(seed, size):
    residuals, jacobian, rng = problem(seed)
    past = [(rng.normal(size=3), rng.normal(size=8)) for _ in range(4)]
    box = np.full(3, size)
    step, cost = tensor_step(residuals, jacobian, past, -box, box)
    assert np.all(np.abs(step) <= box * (1 + 1e-9))
    linear = tensor_step(residuals, jacobian, [], -box, box)
    assert np.isfinite(cost) and linear[1] <= 0.5 * residuals @ residuals * (1 + 1e-9)


def test_equal_points_are_left_out():
    residuals, jacobian, _ = problem(0)
    step = np.array([0.1, 0.0, 0.0])
    past = [(step, residuals), (step, residuals), (np.zeros(3), residuals)]
    assert np.all(np.isfinite(tensor_step(residuals, jacobian, past, -WIDE, WIDE)[0]))
