"""Derivatives of slow curves against curves whose derivatives are known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtr

from cellmodels.errors import InputError
from cellmodels.record.cycles.curves import differential_voltage, incremental_capacity, pseudo_ocv

PEAKS = ((3.45, 0.015, 1.2), (3.65, 0.03, 2.0), (3.95, 0.05, 1.5))  # V, V, A.h
LEVEL = 0.4  # A.h/V between them


def passed(v):
    """Charge below a voltage: three peaks on a level."""
    return LEVEL * (v - 3.0) + sum(q * ndtr((v - at) / width) for at, width, q in PEAKS)


def density(v, smoothing=0.0):
    """Its derivative, broadened by a normal kernel."""
    total = np.full_like(v, LEVEL)
    for at, width, q in PEAKS:
        s = np.hypot(width, smoothing)
        total += q * np.exp(-0.5 * ((v - at) / s) ** 2) / (s * np.sqrt(2 * np.pi))
    return total


def curve(points=5000, noise=0.0, seed=1):
    """Charge and voltage of a charge with constant current."""
    fine = np.linspace(3.0, 4.2, 200_001)
    q = np.linspace(passed(fine[0]), passed(fine[-1]), points)
    v = np.interp(q, passed(fine), fine)
    return q, v + noise * np.random.default_rng(seed).standard_normal(points)


def peak(x, y, near, reach):
    """Where a maximum lies: the top of a parabola fitted around it."""
    inside = abs(x - near) < reach
    a, b, _ = np.polyfit(x[inside] - near, y[inside], 2)
    return near - b / (2 * a)


@pytest.mark.parametrize("smoothing", [0.002, 0.003, 0.01])
def test_incremental_capacity_is_the_known_one_broadened_as_stated(smoothing):
    found = incremental_capacity(*curve(), smoothing=smoothing)
    v, dqdv = found["voltage"].values, found["incremental_capacity"].values
    inner = (v > 3.05) & (v < 4.15)
    expected = density(v, smoothing)
    assert abs(dqdv / expected - 1)[inner].max() < 4e-3
    assert abs(dqdv / expected - 1).max() < 0.02  # also at the ends


@pytest.mark.parametrize("noise", [0.0, 0.001])
def test_peaks_are_not_shifted(noise):
    found = incremental_capacity(*curve(20_000, noise))
    v, dqdv = found["voltage"].values, found["incremental_capacity"].values
    fine = np.linspace(3.0, 4.2, 120_001)
    for at, width, _ in PEAKS:
        true = peak(fine, density(fine), at, width / 2)
        assert peak(v, dqdv, at, width / 2) == pytest.approx(true, abs=4e-4 if noise else 5e-5)


@given(st.floats(0.001, 0.02), st.integers(300, 4000), st.floats(0.0, 0.002))
def test_the_charge_under_the_curve_is_what_passed(smoothing, points, noise):
    q, v = curve(points, noise)
    found = incremental_capacity(q, v, smoothing=smoothing)
    dqdv = found["incremental_capacity"].values
    width = smoothing / 5
    assert (dqdv > 0).all()
    assert dqdv.sum() * width == pytest.approx(q[-1] - q[0], rel=0.01)


def test_incremental_capacity_is_the_same_in_both_directions():
    q, v = curve()
    up, down = incremental_capacity(q, v), incremental_capacity(q[::-1], v[::-1])
    falling = incremental_capacity(-q, v)  # charge counted as discharged
    for other in (down, falling):
        np.testing.assert_allclose(other["incremental_capacity"], up["incremental_capacity"])
    assert up.attrs["smoothing"] == 0.003


def test_differential_voltage_of_a_cubic_is_exact():
    q = np.linspace(0.0, 5.0, 20_001)
    found = differential_voltage(q, 4.2 - 0.3 * q + 0.05 * q**2 - 0.008 * q**3)
    at = found["charge"].values
    # the mean of a cubic over an interval of the grid differs from it by a constant and a line
    np.testing.assert_allclose(
        found["differential_voltage"], 0.3 - 0.1 * at + 0.024 * at**2, atol=2e-6
    )


@pytest.mark.parametrize("points", [800, 50_000])
def test_peaks_of_the_differential_voltage_are_not_shifted(points):
    def slope(q):
        return 0.15 + 0.4 * np.exp(-0.5 * ((q - 2.0) / 0.08) ** 2)

    q = np.linspace(0.0, 5.0, points)
    v = 4.2 - 0.15 * q - 0.4 * 0.08 * np.sqrt(2 * np.pi) * ndtr((q - 2.0) / 0.08)
    v += 2e-5 * np.random.default_rng(2).standard_normal(points)
    found = differential_voltage(q, v)
    at, dvdq = found["charge"].values, found["differential_voltage"].values
    assert peak(at, dvdq, 2.0, 0.04) == pytest.approx(2.0, abs=0.01)
    assert dvdq.max() == pytest.approx(slope(2.0), rel=0.03)


def test_differential_voltage_is_positive_in_both_directions():
    q, v = curve()
    up = differential_voltage(q, v)
    down = differential_voltage(q[-1] - q[::-1], v[::-1])  # the same states, as a discharge
    np.testing.assert_allclose(
        down["differential_voltage"].values[::-1], up["differential_voltage"], rtol=1e-6
    )
    assert (up["differential_voltage"] > 0).all()


def test_pseudo_ocv_is_the_mean_at_equal_charge():
    def ocv(q):
        return 4.2 - 0.3 * q + 0.02 * np.sin(3 * q)

    down, up = np.linspace(0.0, 4.0, 500), np.linspace(3.9, 0.3, 300)
    found = pseudo_ocv((down, ocv(down) - 0.03), (up, ocv(up) + 0.03), points=101)
    at = found["charge"].values
    assert at[[0, -1]] == pytest.approx([0.3, 3.9])
    np.testing.assert_allclose(found["voltage"], ocv(at), atol=1e-5)
    np.testing.assert_allclose(
        found["charge_voltage"] - found["discharge_voltage"], 0.06, atol=2e-5
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: incremental_capacity([0, 1, 2], [3.7, 3.7, 3.7]), "less than the smoothing"),
        (lambda: incremental_capacity([0, 1], [3.7, 3.6]), "at least three points"),
        (lambda: incremental_capacity([0, 1, np.nan], [3, 3.5, 4]), "missing"),
        (lambda: incremental_capacity([0, 1, 2], [3, 4]), "as many"),
        (lambda: incremental_capacity([0, 1, 2], [3, 3.5, 4], smoothing=0), "positive"),
        (lambda: incremental_capacity([0, 1, 2], [3, 3.5, 4], smoothing=1e-9), "too fine"),
        (lambda: differential_voltage([1, 1, 1], [3, 3.5, 4]), "No charge"),
        (lambda: differential_voltage([0, 1, 2], [3, 3.5, 4], smoothing=2), "share"),
        (
            lambda: pseudo_ocv(([0, 1, 2], [4, 3.8, 3.5]), ([5, 4, 3], [3, 3.2, 3.5])),
            "no charge in common",
        ),
    ],
)
def test_what_is_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()
