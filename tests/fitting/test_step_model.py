"""The model that a step of least squares minimises."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellmodels.fitting.step_model import PastPoint, model_step

WIDE = np.full(3, 10.0)


def problem(seed):
    rng = np.random.default_rng(seed)
    return rng.normal(size=8), rng.normal(size=(8, 3)), rng


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000))
def test_without_past_points_it_is_nearly_the_gauss_newton_step(seed):
    residuals, jacobian, _ = problem(seed)
    step, cost = model_step(residuals, jacobian, [], -1e3 * WIDE, 1e3 * WIDE, 1e4)
    expected = np.linalg.lstsq(jacobian, -residuals, rcond=None)[0]
    np.testing.assert_allclose(step, expected, rtol=1e-6, atol=1e-9)
    assert cost == pytest.approx(0.5 * np.sum((residuals + jacobian @ expected) ** 2))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000))
def test_a_curved_valley_is_known_after_one_point(seed):
    # residuals whose slopes change along one direction, cubic along it
    _, jacobian, rng = problem(seed)
    bend, twist, change = rng.normal(size=8), rng.normal(size=8), 0.3 * rng.normal(size=(8, 3))
    change[:, 0] = 0.0
    along = np.array([1.0, 0.0, 0.0])

    def shape(d):
        return jacobian @ d + bend * d[0] ** 2 + twist * d[0] ** 3 + d[0] * change @ d

    def slope(d):
        by_first = 2 * bend * d[0] + 3 * twist * d[0] ** 2 + change @ d
        return jacobian + d[0] * change + np.outer(by_first, along)

    solution = np.array([0.6, -0.3, 0.2])
    there = 0.4 * along
    past = [PastPoint(there, shape(there) - shape(solution), slope(there))]
    start = -shape(solution)
    step, cost = model_step(start, jacobian, past, -WIDE, WIDE, 1.0)
    assert cost == pytest.approx(0.5 * np.sum((start + shape(step)) ** 2), rel=1e-6, abs=1e-9)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.floats(0.01, 1.0))
def test_the_step_stays_in_the_box_and_promises_no_rise(seed, size):
    residuals, jacobian, rng = problem(seed)
    past = [
        PastPoint(rng.normal(size=3), rng.normal(size=8), rng.normal(size=(8, 3))) for _ in range(4)
    ]
    box = np.full(3, size)
    for known in ([], past):
        step, cost = model_step(residuals, jacobian, known, -box, box, size)
        assert np.all(np.abs(step) <= box * (1 + 1e-9))
        assert cost <= 0.5 * residuals @ residuals * (1 + 1e-6)


def test_a_parameter_that_does_nothing_stays():
    residuals, jacobian, _ = problem(0)
    jacobian[:, 2] *= 1e-6
    step, _ = model_step(residuals, jacobian, [], -WIDE, WIDE, 10.0)
    assert abs(step[2]) < 0.02 < abs(step[0])


def test_points_too_near_are_left_out():
    residuals, jacobian, rng = problem(0)
    near = [
        PastPoint(size * np.ones(3), rng.normal(size=8), rng.normal(size=(8, 3)))
        for size in (0.0, 1e-3)
    ]
    step, _ = model_step(residuals, jacobian, near, -WIDE, WIDE, 1.0)
    alone, _ = model_step(residuals, jacobian, [], -WIDE, WIDE, 1.0)
    np.testing.assert_array_equal(step, alone)
