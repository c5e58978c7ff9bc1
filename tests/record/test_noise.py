"""The noise estimate does not see the trend."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellmodels.record.noise import series_noise


@given(
    std=st.floats(1e-4, 1e-1),
    seed=st.integers(0, 1000),
    curvature=st.floats(-1e-6, 1e-6),
)
def test_noise_of_a_smooth_series_is_recovered(std, seed, curvature):
    rng = np.random.default_rng(seed)
    x = np.cumsum(rng.uniform(0.5, 2.0, 600))  # unevenly spaced
    y = 5 - 1e-3 * x + curvature * x**2 + std * rng.standard_normal(600)
    assert series_noise(x, y) == pytest.approx(std, rel=0.25)
