import dataclasses

import numpy as np
import pytest

from cellmodels.errors import InputError
from cellmodels.fitting.discrepancy import estimate_discrepancies
from cellmodels.fitting.least_squares import minimise
from cellmodels.fitting.loss import Loss
from cellmodels.fitting.prior import Prior
from cellmodels.fitting.problem import Problem
from cellmodels.fitting.residuals import observe
from cellmodels.fitting.statistics import covariance_of


@pytest.fixture
def problem(record, fade, scaling):
    return Problem(fade, observe(record), scaling)


@pytest.mark.parametrize("loss", ["squares", "pseudo-Huber"])
def test_slopes_are_derivatives_of_all_terms(problem, loss):
    prior = Prior(np.array([0.1, -0.2, 0.3]), np.diag([2.0, 3.0])[:, [0, 1, 1]])
    problem = dataclasses.replace(problem, loss=Loss(loss), prior=prior)
    z, h = np.array([-0.9, 0.4, 0.2]), 1e-6
    here = problem.evaluate(z)
    assert here.terms.size == problem.observations.size + 2
    for i, step in enumerate(h * np.eye(3)):
        slope = (problem.evaluate(z + step).terms - problem.evaluate(z - step).terms) / (2 * h)
        np.testing.assert_allclose(here.slopes[:, i], slope, rtol=1e-5, atol=1e-5)


def test_a_prior_acts_as_a_measurement_of_the_parameter(record, fade, scaling, truth):
    # The resistance's growth is not in these data: its estimate and error are the prior's.
    observations = observe(record, ["discharge_capacity"])
    known = {scaling.names[2]: (2.0 * truth[2], 0.3)}
    problem = Problem(fade, observations, scaling, prior=Prior.independent(scaling, known))
    best = minimise(problem, progress=False).best
    assert best.values[2] == pytest.approx(2.0 * truth[2], rel=1e-3)
    found = estimate_discrepancies(problem, best)
    errors = np.sqrt(np.diag(covariance_of(problem, best, found)))
    assert errors[2] == pytest.approx(0.3, rel=1e-6)
    assert np.all(errors[:2] < 0.1)


def test_prior_and_data_weigh_by_their_errors(record, fade_of, scaling):
    observations = observe(record)
    problem = Problem(fade_of(), observations, scaling)
    free = minimise(problem, progress=False).best
    covariance = covariance_of(problem, free, estimate_discrepancies(problem, free))
    error = np.sqrt(covariance[0, 0])
    known = {scaling.names[0]: (free.values[0] * np.exp(error), error)}  # as sure as the data
    prior = Prior.independent(scaling, known)
    best = minimise(Problem(fade_of(), observations, scaling, prior=prior), progress=False).best
    assert (best.scaled - free.scaled)[0] / error == pytest.approx(0.5, abs=0.05)


def test_covariance_of_a_prior_is_its_own_inverse(scaling):
    covariance = np.array([[0.5, 0.2, 0.0], [0.2, 0.4, 0.1], [0.0, 0.1, 0.3]])
    prior = Prior.from_covariance(np.zeros(3), covariance)
    np.testing.assert_allclose(np.linalg.inv(prior.precision), covariance, atol=1e-12)


@pytest.mark.parametrize(
    ("known", "said"),
    [
        ({"Film growht [-]": (1.0, 0.1)}, "Did you mean 'Film growth"),
        ({"Film growth [-]": 1.0}, "a pair of value and standard deviation"),
        ({"Film growth [-]": (1.0, 0.0)}, "positive error"),
        ({"Film growth [-]": (-1.0, 0.1)}, "must be positive"),
    ],
)
def test_a_prior_that_cannot_be_is_refused(scaling, known, said):
    with pytest.raises(InputError, match=said):
        Prior.independent(scaling, known)


def test_part_of_the_points_gives_part_of_the_residuals(problem):
    z = np.array([-0.9, 0.4, 0.2])
    chosen = np.random.default_rng(0).random(problem.observations.size) < 0.4
    chosen[problem.observations.series == 2] = False  # a whole series
    part = problem.with_points(chosen)
    np.testing.assert_array_equal(part.evaluate(z).residuals, problem.evaluate(z).residuals[chosen])
    assert sum(v.used for v in part.observations.variables) == chosen.sum()
    with pytest.raises(InputError, match="No point"):
        problem.with_points(np.zeros_like(chosen))


def test_a_failure_has_an_infinite_cost(record, fade_of, scaling):
    problem = Problem(fade_of(fails=lambda values: True), observe(record), scaling)
    evaluation = problem.evaluate(np.zeros(3))
    assert not evaluation.ok and evaluation.cost == np.inf


@pytest.mark.parametrize("loss", ["squares", "Cauchy"])
def test_the_log_density_is_minus_the_cost_and_asks_for_no_derivatives(problem, loss):
    asked = []

    def values_only(*arguments, jacobian=True, **options):
        asked.append((jacobian, options["state"]))
        return dataclasses.replace(problem.predict(*arguments, **options), jacobian=None)

    prior = Prior(np.array([0.1, -0.2, 0.3]), np.diag([2.0, 3.0, 1.0]))
    known = dataclasses.replace(problem, loss=Loss(loss), prior=prior)
    z = np.array([-0.9, 0.4, 0.2])
    here = known.evaluate(z)
    likelihood, log_prior = dataclasses.replace(known, predict=values_only).log_density(z, here)
    assert likelihood + log_prior == pytest.approx(-here.cost, rel=1e-12)
    assert log_prior == pytest.approx(-0.5 * np.sum(prior.residuals(z) ** 2))
    assert asked == [(False, here.prediction.state)]


def test_the_log_density_of_a_failure_is_minus_infinity(record, fade_of, scaling):
    problem = Problem(fade_of(lambda values: True), observe(record), scaling)
    assert problem.log_density(np.zeros(3)) == (-np.inf, 0.0)
