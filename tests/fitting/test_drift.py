import numpy as np
import pytest
import scipy.integrate
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from cellmodels.fitting.drift import BINS, DRIFTS, NO_WANDER, Drift, Series, Wander

RATIOS = np.array([0.0, 0.3, 5.0])


def dense(series, drift, wander, ratio):
    """Covariance of normalised averages, written out."""
    s = series.place
    alike = ratio**2 * drift.covariance(s, s) + wander.covariance(s, s)
    return np.eye(s.size) + series.root[:, None] * alike * series.root


@pytest.mark.parametrize(
    "drift", [Drift(0.3), Drift(3.0), Drift(0.1, 1.0), Drift(0.3, order=2), Drift(30.0, order=2)]
)
def test_a_drift_is_the_integral_of_what_is_missing(drift):
    a = np.sqrt(3) / drift.length

    def change(s, t):
        def integrand(u, v):  # of a rate, or of an acceleration twice
            weight = 1.0 if drift.order == 1 else (t - u) * (s - v)
            return weight * (1 + a * abs(u - v)) * np.exp(-a * abs(u - v))

        return scipy.integrate.dblquad(integrand, 0, s, 0, t, epsabs=1e-10)[0]

    expected = (change(0.4, 0.9) / change(1, 1) + drift.offset**2) / (1 + drift.offset**2)
    found = drift.covariance(np.array([0.4]), np.array([0.9]))[0, 0]
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("drift", DRIFTS)
def test_a_drift_has_variance_one_at_the_end_and_grows_beyond(drift):
    s = np.array([0.0, 0.5, 1.0, 2.0])
    np.testing.assert_allclose(drift.variance(s), np.diag(drift.covariance(s, s)), rtol=1e-12)
    assert drift.variance(s)[2] == pytest.approx(1.0)
    assert np.all(np.diff(drift.variance(s)) > 0)
    assert drift.variance(s)[0] == pytest.approx(drift.offset**2 / (1 + drift.offset**2))


def test_a_drift_of_great_length_is_a_line_or_a_parabola():
    s = np.linspace(0, 2, 5)
    np.testing.assert_allclose(Drift(1e4).covariance(s, s), np.outer(s, s), atol=1e-6)
    bent = Drift(1e4, order=2).covariance(s, s)
    np.testing.assert_allclose(bent, np.outer(s**2, s**2), atol=1e-6)


@given(
    places=st.lists(st.floats(0, 1), min_size=2, max_size=30),
    length=st.floats(0.05, 5),
    offset=st.sampled_from([0.0, 1.0]),
    order=st.sampled_from([1, 2]),
)
def test_covariances_are_positive(places, length, offset, order):
    s = np.array(places)
    assert np.linalg.eigvalsh(Drift(length, offset, order).covariance(s, s)).min() > -1e-7
    assert np.linalg.eigvalsh(Wander(1.0, length).covariance(s, s)).min() > -1e-8


@pytest.mark.parametrize("wander", [NO_WANDER, Wander(2.0, 0.05)])
def test_moments_and_determinant_are_those_of_the_dense_covariance(wander):
    random = np.random.default_rng(0)
    series = Series.of(np.sort(random.uniform(0, 1, 40)), random.uniform(0.5, 2, 40))
    rows = random.standard_normal((40, 3))
    modes = series.modes(Drift(0.3), wander)
    moments, log_det = modes.moments(rows, RATIOS), modes.log_det(RATIOS)
    for k, ratio in enumerate(RATIOS):
        covariance = dense(series, Drift(0.3), wander, ratio)
        expected = rows.T @ np.linalg.solve(covariance, rows)
        np.testing.assert_allclose(moments[k], expected, rtol=1e-7, atol=1e-9)
        assert log_det[k] == pytest.approx(np.linalg.slogdet(covariance)[1], abs=1e-7)


def test_averages_lose_nothing_but_the_scatter_within_a_bin():
    # Three measurements at each place are worth one of the mean with a third of the variance.
    random = np.random.default_rng(0)
    place = np.repeat(np.linspace(0, 1, 7), 3)
    noise = random.uniform(0.5, 2, 21)
    series = Series.of(place, noise)
    rows = random.standard_normal((21, 2)) / noise[:, None]
    assert series.size == 7
    alike = Drift(1.0).covariance(place, place) / np.outer(noise, noise)
    inside = rows.T @ rows - series.average(rows).T @ series.average(rows)
    found = series.modes(Drift(1.0), NO_WANDER).moments(series.average(rows), np.array([2.0]))[0]
    expected = rows.T @ np.linalg.solve(np.eye(21) + 4 * alike, rows)
    np.testing.assert_allclose(found + inside, expected, rtol=1e-9)
    np.testing.assert_allclose(series.moments(rows, Drift(1.0)), rows.T @ alike @ rows, rtol=1e-9)


def test_long_series_are_averaged_and_say_nearly_the_same():
    random = np.random.default_rng(0)
    place = np.linspace(0, 1, 1000)
    series = Series.of(place, np.ones(1000))
    assert series.size == BINS
    row = np.sqrt(place)[:, None]
    alike = Drift(0.3).covariance(place, place)
    found = series.moments(row, Drift(0.3))
    assert found[0, 0] == pytest.approx((row.T @ alike @ row).item(), rel=1e-3)
    residuals = random.standard_normal((1000, 1)) + 3 * place[:, None]
    moments = series.modes(Drift(0.3), NO_WANDER).moments(series.average(residuals), RATIOS)
    exact = residuals.T @ np.linalg.solve(np.eye(1000) + 25 * alike, residuals)
    inside = residuals.T @ residuals - moments[0]  # a ratio of zero
    assert (moments[2] + inside).item() == pytest.approx(exact.item(), rel=1e-3)
