import numpy as np
import pytest
import scipy.linalg
from hypothesis import given
from hypothesis import strategies as st

from cellmodels.fitting.discrepancy import estimate_discrepancies
from cellmodels.fitting.least_squares import minimise
from cellmodels.fitting.problem import Evaluation, Problem
from cellmodels.fitting.residuals import observe
from cellmodels.fitting.scaling import FreeParameter, Scaling
from cellmodels.fitting.statistics import (
    aicc,
    autocorrelation,
    correlation_from,
    covariance_of,
    estimate_parameters,
    residual_log_likelihood,
    strong_correlations,
    summarise,
    variable_fits,
)
from cellmodels.observations import Outcome, Prediction


@pytest.fixture
def capacity(record):
    return observe(record, ["discharge_capacity"])


def _estimate(scaled_error, scaling=None, scaled=0.0, freedom=10_000):
    scaling = scaling or Scaling([FreeParameter("x", 1.0, 0.01, 100.0)])
    (estimate,) = estimate_parameters(
        scaling, np.array([scaled]), np.array([[scaled_error**2]]), freedom
    )
    return estimate


def ended(observations, residuals, jacobian, scaling=None):
    """A problem, and a best point of it with these residuals and this Jacobian."""
    p = jacobian.shape[1]
    scaling = scaling or Scaling([FreeParameter(f"x{i}", 1.0, 0.01, 100.0) for i in range(p)])
    prediction = Prediction(residuals, jacobian, Outcome(True))
    best = Evaluation(np.zeros(p), np.ones(p), prediction, residuals, jacobian, residuals, jacobian)
    return Problem(None, observations, scaling), best


def covariance(problem, best):
    return covariance_of(problem, best, estimate_discrepancies(problem, best))


# Covariance -------------------------------------------------------------------------------


def test_covariance_is_the_inverse_information_for_good_white_residuals(capacity):
    random = np.random.default_rng(0)
    jacobian = random.standard_normal((capacity.size, 3))
    found = covariance(*ended(capacity, 0.5 * random.standard_normal(capacity.size), jacobian))
    np.testing.assert_allclose(found, np.linalg.inv(jacobian.T @ jacobian), rtol=1e-10)


def test_covariance_grows_with_the_residuals(capacity):
    random = np.random.default_rng(0)
    jacobian = random.standard_normal((capacity.size, 3))
    residuals = 3 * random.standard_normal(capacity.size)
    found = covariance(*ended(capacity, residuals, jacobian))
    expected = np.mean(residuals**2) * 400 / 397 * np.linalg.inv(jacobian.T @ jacobian)
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_covariance_allows_for_autocorrelated_residuals(capacity):
    random = np.random.default_rng(0)
    jacobian = random.standard_normal((capacity.size, 2)).cumsum(axis=0)
    alike = 3 * np.linalg.cholesky(scipy.linalg.toeplitz(0.8 ** np.arange(capacity.size)))
    inverse = np.linalg.inv(jacobian.T @ jacobian)
    expected = inverse @ jacobian.T @ alike @ alike.T @ jacobian @ inverse
    errors = []
    for _ in range(20):
        residuals = alike @ random.standard_normal(capacity.size)
        residuals -= jacobian @ (inverse @ (jacobian.T @ residuals))  # those of a fit
        errors.append(np.diag(covariance(*ended(capacity, residuals, jacobian))))
    ratio = np.median(errors, axis=0) / np.diag(expected)
    assert np.all((ratio > 0.6) & (ratio < 2.5))
    white = 9 * np.diag(inverse)
    assert np.all(np.median(errors, axis=0) > 5 * white)


def test_a_parameter_without_information_gets_a_huge_error_and_hides_no_other(capacity):
    random = np.random.default_rng(0)
    jacobian = random.standard_normal((capacity.size, 3))
    jacobian[:, 1] = 0.0
    found = covariance(*ended(capacity, 0.5 * random.standard_normal(capacity.size), jacobian))
    others = np.linalg.inv(jacobian[:, [0, 2]].T @ jacobian[:, [0, 2]])
    np.testing.assert_allclose(found[np.ix_([0, 2], [0, 2])], others, rtol=1e-9)
    assert found[1, 1] > 1e12


def test_two_parameters_with_the_same_effect_are_both_undetermined(capacity):
    random = np.random.default_rng(0)
    column = random.standard_normal((capacity.size, 1))
    residuals = 0.5 * random.standard_normal(capacity.size)
    found = covariance(*ended(capacity, residuals, np.hstack([column, column])))
    assert np.all(np.diag(found) > 1e10)
    assert correlation_from(found)[0, 1] == pytest.approx(-1.0, abs=1e-3)


def test_standard_errors_hold(record_of, fade_of, scaling_of, truth):
    # Of 40 fits to new noise, 95 % intervals hold the truth in 38 on average; at least 33
    # has a probability above 99.9 %.
    inside = np.zeros(3)
    for seed in range(40):
        observations = observe(record_of(seed=seed))
        problem = Problem(fade_of(), observations, scaling_of())
        optimum = minimise(problem, progress=False)
        summary = summarise(problem, optimum.best)
        estimates = estimate_parameters(
            scaling_of(), optimum.best.scaled, summary.covariance, summary.degrees_of_freedom
        )
        inside += [e.interval[0] < t < e.interval[1] for e, t in zip(estimates, truth, strict=True)]
    assert np.all(inside >= 33)
    assert np.any(inside < 40)  # nor are they so wide that they always hold


# Identifiability --------------------------------------------------------------------------


def test_interval_of_a_positive_parameter_is_multiplicative():
    estimate = _estimate(0.1)
    assert estimate.interval == pytest.approx((np.exp(-0.196), np.exp(0.196)), rel=1e-3)
    assert estimate.standard_error == pytest.approx(0.1)


@pytest.mark.parametrize(("error", "identifiable"), [(0.170, True), (0.183, False)])
def test_identifiable_means_narrower_than_a_factor_of_two(error, identifiable):
    estimate = _estimate(error)
    low, high = estimate.interval
    assert (high / low < 2) is identifiable
    assert estimate.identifiable is identifiable


def test_an_interval_that_leaves_the_bounds_is_not_determined():
    assert not _estimate(0.1, Scaling([FreeParameter("x", 1.0, 0.9, 100.0)])).identifiable
    assert not _estimate(0.1, Scaling([FreeParameter("x", 1.0, 0.01, 1.1)])).identifiable


def test_a_value_on_its_bound_is_not_determined_however_steep():
    scaling = Scaling([FreeParameter("x", 1.0, 0.5, 2.0)])
    estimate = _estimate(1e-6, scaling, scaled=np.log(2.0) - 1e-5)
    assert estimate.at_bound
    assert not estimate.identifiable


def test_linear_parameters_are_judged_against_their_bounds():
    scaling = Scaling([FreeParameter("x", 0.0, -1.0, 1.0)])  # one unit of z is 0.5
    assert _estimate(0.2, scaling).identifiable  # interval 0.39 of 2 wide
    assert not _estimate(0.3, scaling).identifiable  # 0.59
    assert _estimate(0.2, scaling).interval == pytest.approx((-0.196, 0.196), rel=1e-3)


def test_few_degrees_of_freedom_widen_the_interval():
    assert _estimate(0.1, freedom=2).interval[1] == pytest.approx(np.exp(0.4303), rel=1e-3)


def test_an_unknown_parameter_has_an_unbounded_interval():
    low, high = _estimate(1e6).interval
    assert low == 0.0 and high == np.inf


# Residuals --------------------------------------------------------------------------------


def test_autocorrelation_of_known_series():
    alternating = np.array([1.0, -1.0] * 50)
    r, p = autocorrelation([alternating])
    assert r == pytest.approx(-1.0) and p < 1e-10
    r, p = autocorrelation([np.ones(100)])  # a constant offset is not white
    assert r == pytest.approx(1.0) and p < 1e-10


def test_autocorrelation_does_not_join_separate_series():
    up, down = np.ones(50), -np.ones(50)
    assert autocorrelation([up, down])[0] == pytest.approx(1.0)


@given(seed=st.integers(0, 10_000), strength=st.floats(0.3, 0.9))
def test_autocorrelation_of_an_autoregression_is_recovered(seed, strength):
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal(3000)
    series = np.zeros(3000)
    for i in range(1, 3000):
        series[i] = strength * series[i - 1] + noise[i]
    r, p = autocorrelation([series])
    assert r == pytest.approx(strength, abs=0.12)
    assert p < 1e-6


def test_white_residuals_are_rarely_called_autocorrelated(capacity):
    called = 0
    for seed in range(200):
        noise = np.random.default_rng(seed).standard_normal(capacity.size)
        called += variable_fits(capacity, noise)[0].autocorrelated
    assert called <= 6  # 1 % two-sided, half of it positive: 1 expected


def test_rms_is_given_in_noise_and_in_the_unit(record):
    observations = observe(record, ["capacity_C20"])
    (fit,) = variable_fits(observations, np.full(9, 2.0))
    assert fit.rms == pytest.approx(2.0)
    assert fit.rms_natural == pytest.approx(2e-3)


def test_series_too_short_for_autocorrelation_give_nan():
    assert np.isnan(autocorrelation([np.array([1.0, 2.0])])).all()


# Criteria ---------------------------------------------------------------------------------


def test_aicc_of_hurvich_and_tsai():
    assert aicc(-10.0, 3, 20) == pytest.approx(20 + 6 + 24 / 16)
    assert aicc(-10.0, 3, 4) == np.inf


def test_likelihood_does_not_depend_on_the_stated_size_of_the_noise(record):
    normal = observe(record, ["capacity_C20"])
    doubled = observe(record, ["capacity_C20"], noise={"capacity_C20": 2e-3})
    misfit = np.random.default_rng(0).standard_normal(9) * 1e-3
    assert residual_log_likelihood(normal, misfit / normal.std) == pytest.approx(
        residual_log_likelihood(doubled, misfit / doubled.std)
    )


def test_strong_correlations_are_named_strongest_first():
    matrix = np.array([[1, 0.96, 0.2], [0.96, 1, -0.99], [0.2, -0.99, 1]])
    assert strong_correlations("abc", matrix) == (("b", "c", -0.99), ("a", "b", 0.96))


def test_condition_number_is_that_of_the_information(capacity):
    jacobian = np.zeros((capacity.size, 2))
    jacobian[0, 0], jacobian[1, 1] = 10.0, 0.1
    residuals = np.random.default_rng(0).standard_normal(capacity.size)
    found = summarise(*ended(capacity, residuals, jacobian))
    assert found.condition_number == pytest.approx(1e4)
    jacobian[1, 1] = 0.0
    assert summarise(*ended(capacity, residuals, jacobian)).condition_number == np.inf
