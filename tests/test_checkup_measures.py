"""What a test measures of a cell that cannot do it any more."""

from __future__ import annotations

import numpy as np
import pytest

from cellmodels.checkup_measures import _in_reach

LIMITS = (2.5, 4.2)


def test_voltages_near_the_limits_stay_as_they_are():
    volts = np.array([0.9, 2.5, 3.3, 4.2, 5.8])
    value, scale, reached = _in_reach(volts, LIMITS)
    np.testing.assert_array_equal(value, volts)
    np.testing.assert_array_equal(scale, 1.0)
    assert reached.all()


def test_voltages_far_outside_go_on_as_a_logarithm_and_are_not_reached():
    volts = np.array([-1e8, -3.0, 0.7, 6.0, 1e8])
    value, scale, reached = _in_reach(volts, LIMITS)
    assert not reached.any() and (np.diff(value) > 0.0).all()
    assert value[0] == pytest.approx(0.8 - np.log(1e8), abs=0.01) and value[-1] < 25.0
    step = 1e-6 * np.maximum(np.abs(volts), 1.0)
    up, down = (_in_reach(volts + s * step, LIMITS)[0] for s in (1.0, -1.0))
    np.testing.assert_allclose(scale, (up - down) / (2.0 * step), rtol=1e-4)
