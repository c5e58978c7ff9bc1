import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellmodels.errors import InputError
from cellmodels.fitting.scaling import FreeParameter, Scaling

SCALING = Scaling(
    [
        FreeParameter("diffusivity", 1e-20, 1e-22, 1e-18),
        FreeParameter("offset", 0.0, -2.0, 2.0),
        FreeParameter("share", 0.3, 0.0, 1.0),
    ]
)


@given(st.lists(st.floats(-3, 3), min_size=3, max_size=3))
def test_scaled_coordinates_round_trip(scaled):
    np.testing.assert_allclose(SCALING.to_scaled(SCALING.to_values(scaled)), scaled, atol=1e-12)


@given(st.lists(st.floats(-2, 2), min_size=3, max_size=3))
def test_slopes_are_derivatives_of_the_values(scaled):
    step = 1e-6
    difference = (
        SCALING.to_values(np.array(scaled) + step) - SCALING.to_values(np.array(scaled) - step)
    ) / (2 * step)
    np.testing.assert_allclose(SCALING.slopes(scaled), difference, rtol=1e-6)


def test_scale_is_logarithmic_only_where_bounds_are_positive():
    assert SCALING.logarithmic.tolist() == [True, False, False]


def test_start_is_zero_and_bounds_map_to_values():
    np.testing.assert_array_equal(SCALING.to_scaled(SCALING.start), 0)
    lower, upper = SCALING.bounds
    np.testing.assert_allclose(SCALING.to_values(lower), [1e-22, -2, 0], rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(SCALING.to_values(upper), [1e-18, 2, 1], rtol=1e-12)


def test_a_start_on_a_bound_is_moved_inside():
    scaling = Scaling([FreeParameter("x", 1.0, 1.0, 10.0), FreeParameter("y", 1.0, 0.0, 1.0)])
    inside = scaling.inside(np.zeros(2))
    lower, upper = scaling.bounds
    assert np.all(inside > lower) and np.all(inside < upper)


def test_infinite_bounds_are_allowed():
    scaling = Scaling([FreeParameter("x", 2.0, 0.1, np.inf), FreeParameter("y", 3.0, -np.inf, 9)])
    lower, upper = scaling.bounds
    assert upper[0] == np.inf and lower[1] == -np.inf
    np.testing.assert_allclose(scaling.to_values([1.0, 1.0]), [2 * np.e, 6.0])


@pytest.mark.parametrize(
    ("start", "lower", "upper", "message"),
    [(1.0, 2.0, 3.0, "outside its bounds"), (1.0, 3.0, 2.0, "not below")],
)
def test_impossible_bounds_are_refused(start, lower, upper, message):
    with pytest.raises(InputError, match=message):
        FreeParameter("x", start, lower, upper)
