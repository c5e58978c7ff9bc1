import dataclasses

import numpy as np
import pytest
import scipy.stats

from cellmodels.fitting.discrepancy import Search, estimate_discrepancies
from cellmodels.fitting.drift import Drift
from cellmodels.fitting.least_squares import minimise
from cellmodels.fitting.loss import Loss
from cellmodels.fitting.prior import Prior
from cellmodels.fitting.problem import Evaluation, Problem
from cellmodels.fitting.residuals import observe
from cellmodels.fitting.scaling import FreeParameter, Scaling
from cellmodels.fitting.statistics import covariance_of, estimate_parameters, summarise
from cellmodels.observations import Outcome, Prediction

NAME = "cycles/discharge_capacity"


def ended(observations, residuals, jacobian, **settings):
    """A problem, and a best point of it with these residuals and this Jacobian."""
    p = jacobian.shape[1]
    scaling = Scaling([FreeParameter(f"x{i}", 1.0, 0.01, 100.0) for i in range(p)])
    prediction = Prediction(residuals, jacobian, Outcome(True))
    best = Evaluation(np.zeros(p), np.ones(p), prediction, residuals, jacobian, residuals, jacobian)
    return Problem(None, observations, scaling, **settings), best


def trends(observations):
    """Two smooth derivatives at the points of a variable."""
    at = np.concatenate([points.at for points in observations.points])
    s = at / at.max()
    return 30 * np.stack([np.sqrt(s), s], axis=1)


@pytest.fixture
def checkups(record):
    return observe(record, ["capacity_C20"])


@pytest.fixture
def capacity(record_of):
    return observe(record_of(cycles=80), ["discharge_capacity"])


# Likelihood -------------------------------------------------------------------------------


def test_restricted_likelihood_is_that_of_the_contrasts(capacity):
    # Of n residuals, n - p contrasts do not depend on the parameters; theirs is the likelihood.
    random, jacobian = np.random.default_rng(0), trends(capacity)
    residuals = random.standard_normal(capacity.size) + 3 * np.sin(np.arange(capacity.size) / 9)
    search = Search(*ended(capacity, residuals, jacobian))
    (grid,), found = search.grids, search.grids[0].likelihoods(search.rest(0))
    full, _ = np.linalg.qr(jacobian, mode="complete")
    contrasts = full[:, 2:]
    s = (np.arange(1, 81) - 1) / 79
    pairs = [(0, 3, 0), (3, 8, 1), (6, 12, 2), (7, 1, 0)]
    expected = []
    for drift, ratio, factor in pairs:
        alike = grid.drifts[drift].covariance(s, s)
        covariance = grid.factors[factor] * (np.eye(s.size) + grid.ratios[ratio] ** 2 * alike)
        inner = contrasts.T @ covariance @ contrasts
        expected.append(
            scipy.stats.multivariate_normal(cov=inner, allow_singular=False).logpdf(
                contrasts.T @ residuals
            )
        )
    got = [found[pair] for pair in pairs]
    np.testing.assert_allclose(np.diff(got), np.diff(expected), atol=1e-5)


def test_a_prior_counts_as_data(capacity):
    jacobian = trends(capacity)
    residuals = np.random.default_rng(0).standard_normal(capacity.size)
    prior = Prior(np.array([0.2, -0.1]), np.array([[2.0, 0.3], [0.0, 1.0]]))
    search = Search(*ended(capacity, residuals, jacobian, prior=prior))
    rows = np.vstack([np.column_stack([jacobian, residuals]), np.zeros((2, 3))])
    rows[-2:, :2], rows[-2:, 2] = prior.root, prior.root @ -prior.mean
    scale = np.append(search.scale, 1.0)
    np.testing.assert_allclose(
        (search.rest(0) + search.grids[0].moments[0, 0]) * np.outer(scale, scale),
        rows.T @ rows,
        rtol=1e-6,
    )


def test_known_sizes_are_recovered(record_of):
    observations = observe(record_of(cycles=400), ["discharge_capacity"])
    random, jacobian = np.random.default_rng(1), trends(observations)
    s = np.linspace(0, 1, 400)
    root = np.linalg.cholesky(Drift(0.3).covariance(s, s) + 1e-12 * np.eye(400))
    sizes, lengths = [], []
    for _ in range(30):
        residuals = random.standard_normal(400) + 20 * root @ random.standard_normal(400)
        residuals -= jacobian @ np.linalg.lstsq(jacobian, residuals, rcond=None)[0]
        (found,) = estimate_discrepancies(*ended(observations, residuals, jacobian))
        assert found.present
        assert found.noise_factor < 1.4
        sizes.append(found.size / observations.std[0])
        lengths.append(found.length / 399)
    assert 10 < np.median(sizes) < 40
    assert 0.1 <= np.median(lengths) <= 1.0


def test_white_noise_is_left_white(capacity):
    jacobian, called = trends(capacity), 0
    for seed in range(100):
        noise = np.random.default_rng(seed).standard_normal(capacity.size)
        (found,) = estimate_discrepancies(*ended(capacity, noise, jacobian))
        called += found.present
        assert found.present or found.sentence == "white noise"
    assert called <= 3  # 1 expected, or fewer


def test_variables_are_told_apart(record_of, fade_of, scaling_of):
    record = record_of()
    checkups = record["checkups"].to_dataset()
    wrong = 2e-3 * np.sin(checkups["cycle"].values / 100)
    record["checkups"] = checkups.assign(resistance_pulse=checkups["resistance_pulse"] + wrong)
    problem = Problem(fade_of(), observe(record), scaling_of())
    best = minimise(problem, progress=False).best
    found = {each.key: each for each in estimate_discrepancies(problem, best)}
    assert [key for key, each in found.items() if each.present] == ["checkups/resistance_pulse"]
    assert 5e-4 < found["checkups/resistance_pulse"].size < 2e-2
    assert "ohm by the end of the data" in found["checkups/resistance_pulse"].sentence


def test_noise_that_wanders_is_no_drift(record):
    observations = observe(record, ["discharge_capacity"])
    random, jacobian = np.random.default_rng(0), trends(observations)
    distance = np.abs(np.subtract.outer(np.arange(400), np.arange(400)))
    root = 3 * np.linalg.cholesky(np.exp(-distance / 8))
    kinds = []
    for _ in range(10):
        residuals = random.standard_normal(400) + root @ random.standard_normal(400)
        (found,) = estimate_discrepancies(*ended(observations, residuals, jacobian))
        kinds.append((found.wander > 0, found.size > 0))
        assert "noise of" in found.sentence
    assert kinds.count((True, False)) >= 8


# Covariance -------------------------------------------------------------------------------


def test_covariance_is_the_sandwich_with_the_covariance_found(checkups):
    jacobian = trends(checkups)
    residuals = 20 * np.sin(checkups.position * 0.9)
    residuals -= jacobian @ np.linalg.lstsq(jacobian, residuals, rcond=None)[0]
    problem, best = ended(checkups, residuals, jacobian)
    (found,) = estimate_discrepancies(problem, best)
    assert found.present
    # With one covariance alone in the mixture, it is the textbook's formula.
    drift, ratio, factor = 3, 14, 1
    alone = np.zeros_like(found.weights)
    alone[drift, ratio, factor] = 1.0
    single = dataclasses.replace(found, weights=alone)
    s, grid = checkups.position / checkups.position.max(), found.grid
    alike = grid.ratios[ratio] ** 2 * grid.drifts[drift].covariance(s, s)
    middle = grid.factors[factor] * (np.eye(9) + alike)
    inverse = np.linalg.inv(jacobian.T @ jacobian)
    expected = inverse @ jacobian.T @ middle @ jacobian @ inverse
    np.testing.assert_allclose(covariance_of(problem, best, [single]), expected, rtol=1e-8)
    summary = summarise(problem, best)
    errors = np.sqrt(np.diag(covariance_of(problem, best, [found])))
    np.testing.assert_allclose(summary.widening, errors / np.sqrt(np.diag(inverse)), rtol=1e-9)
    assert np.all(summary.widening > 3)


def test_standard_errors_are_the_central_part_of_the_mixture(checkups):
    jacobian = trends(checkups)
    residuals = 20 * np.sin(checkups.position * 0.9)
    problem, best = ended(checkups, residuals, jacobian)
    (found,) = estimate_discrepancies(problem, best)
    covariance = covariance_of(problem, best, [found])
    random, inverse = np.random.default_rng(0), np.linalg.inv(jacobian.T @ jacobian)
    chosen = random.choice(found.weights.size, 20_000, p=found.weights.ravel())
    s, grid, draws = checkups.position / checkups.position.max(), found.grid, []
    for drift, ratio, factor in zip(*np.unravel_index(chosen, found.weights.shape), strict=True):
        alike = grid.ratios[ratio] ** 2 * grid.drifts[drift].covariance(s, s)
        middle = grid.factors[factor] * (jacobian.T @ (np.eye(9) + alike) @ jacobian)
        draws.append(np.sqrt(np.diag(inverse @ middle @ inverse)) * random.standard_normal(2))
    expected = np.quantile(np.abs(draws), 0.6827, axis=0)
    np.testing.assert_allclose(np.sqrt(np.diag(covariance)), expected, rtol=0.05)


@pytest.mark.parametrize("loss", ["pseudo-Huber", "Cauchy"])
def test_a_robust_loss_finds_the_same_drift(record_of, loss):
    observations = observe(record_of(cycles=400), ["discharge_capacity"])
    random, jacobian = np.random.default_rng(0), trends(observations)
    residuals = random.standard_normal(400) + 2 * np.sin(np.arange(400) / 60)
    sizes = []
    for each in (Loss(), Loss(loss)):
        (found,) = estimate_discrepancies(*ended(observations, residuals, jacobian, loss=each))
        assert found.present
        sizes.append(found.size)
    assert 0.3 < sizes[1] / sizes[0] < 1.5


def test_intervals_hold_when_a_term_is_missing(record_of, fade_of, scaling_of, truth):
    # A slow wave, new in each of 40 records, is in the cell and not in the model. Intervals from
    # white noise hold the truth in hardly any of them; the widened ones, in most.
    random, inside, white = np.random.default_rng(0), np.zeros(2), np.zeros(2)
    s = np.linspace(0, 1, 400)
    root = np.linalg.cholesky(Drift(0.3).covariance(s, s) + 1e-12 * np.eye(400))
    for seed in range(40):
        record = record_of(seed=seed)
        cycles = record["cycles"].to_dataset()
        missing = 0.03 * root @ random.standard_normal(400)
        record["cycles"] = cycles.assign(discharge_capacity=cycles["discharge_capacity"] + missing)
        observations = observe(record, ["discharge_capacity"])
        problem = Problem(fade_of(), observations, scaling_of(count=2))
        best = minimise(problem, progress=False).best
        summary = summarise(problem, best)
        errors = np.sqrt(np.diag(summary.covariance))
        deviation = np.abs(best.scaled - problem.scaling.to_scaled(truth[:2]))
        inside += deviation < 1.96 * errors
        white += deviation < 1.96 * errors / summary.widening
    assert np.all(inside >= 34)
    assert np.all(white < 20)
    estimates = estimate_parameters(problem.scaling, best.scaled, summary.covariance, 398)
    assert estimates[0].scaled_error == pytest.approx(errors[0])


def test_a_parameter_that_a_variable_does_not_see_is_not_widened_by_it(record):
    observations = observe(record, ["capacity_C20", "resistance_pulse"])
    jacobian, capacity = trends(observations), observations.owner == 0
    jacobian[capacity, 1] = jacobian[~capacity, 0] = 0.0
    wave = np.where(capacity, 20 * np.sin(observations.position * 0.9), 0.0)
    residuals = wave + 0.3 * np.random.default_rng(0).standard_normal(observations.size)
    summary = summarise(*ended(observations, residuals, jacobian))
    assert [found.present for found in summary.discrepancies] == [True, False]
    assert summary.widening[0] > 3
    assert summary.widening[1] == pytest.approx(1.0)
    assert summary.correlation[0, 1] == pytest.approx(0.0, abs=1e-9)


def test_a_variable_without_points_is_left_out(record):
    observations = observe(record, ["discharge_capacity", "capacity_C20"])
    chosen = observations.owner == 0
    few = observations.subset(chosen)
    residuals = np.random.default_rng(0).standard_normal(few.size)
    (found,) = estimate_discrepancies(*ended(few, residuals, trends(few)))
    assert found.key == NAME
    np.testing.assert_array_equal(np.sort(found.points), np.arange(few.size))
