import numpy as np
import pytest

from cellmodels.errors import InputError
from cellmodels.fitting.discrepancy import estimate_discrepancies
from cellmodels.fitting.least_squares import minimise
from cellmodels.fitting.loss import LOSSES, Loss
from cellmodels.fitting.problem import Problem
from cellmodels.fitting.residuals import observe
from cellmodels.fitting.statistics import covariance_of, summarise

R = np.array([-30.0, -2.0, -0.3, -1e-12, 0.0, 1e-5, 0.8, 1.5, 40.0])


@pytest.mark.parametrize("name", LOSSES)
def test_influence_and_curvature_are_derivatives_of_the_loss(name):
    loss, h = Loss(name), 1e-5
    slope = (loss.rho(R + h) - loss.rho(R - h)) / (2 * h)
    np.testing.assert_allclose(loss.influence(R), slope / 2, atol=1e-8, rtol=1e-6)
    bend = (loss.influence(R + h) - loss.influence(R - h)) / (2 * h)
    np.testing.assert_allclose(loss.curvature(R), bend, atol=1e-8, rtol=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_terms_are_roots_of_the_loss_with_exact_slopes(name):
    loss = Loss(name)
    terms, slopes = loss.terms(R, np.eye(R.size))
    np.testing.assert_allclose(terms**2, loss.rho(R), rtol=1e-12)
    h = 1e-7
    for k in np.flatnonzero(np.abs(R) > 1e-4):
        above, below = (loss.terms(R + step, np.eye(R.size))[0][k] for step in (h, -h))
        assert slopes[k, k] == pytest.approx((above - below) / (2 * h), rel=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_small_residuals_count_as_their_square(name):
    small = 1e-3 * R[2:7]
    np.testing.assert_allclose(Loss(name).rho(small), small**2, rtol=1e-5)


def test_thresholds_are_those_of_95_per_cent_efficiency():
    # The variance of an M-estimate of a mean, E psi^2 / (E psi')^2, over that of the mean.
    x, w = np.polynomial.hermite_e.hermegauss(200)
    w = w / w.sum()
    cauchy = Loss("Cauchy")
    variance = (w @ cauchy.influence(x) ** 2) / (w @ cauchy.curvature(x)) ** 2
    assert 1 / variance == pytest.approx(0.95, abs=2e-3)
    smooth = Loss("pseudo-Huber")  # Huber's constant serves its smooth form nearly as well
    variance = (w @ smooth.influence(x) ** 2) / (w @ smooth.curvature(x)) ** 2
    assert 0.92 < 1 / variance < 0.96


@pytest.mark.parametrize("name", ["pseudo-Huber", "Cauchy"])
def test_a_few_wrong_points_do_not_move_a_robust_fit(record_of, fade_of, scaling_of, truth, name):
    record = record_of()
    wrong = record["cycles"]["discharge_capacity"].values
    wrong[20:380:9] -= 0.1  # fifty times the noise, one point in nine
    noise = {"discharge_capacity": 2e-3}
    observations = observe(record, noise=noise)
    found = {
        loss: minimise(
            Problem(fade_of(), observations, scaling_of(), Loss(loss)), progress=False
        ).best.values
        for loss in ("squares", name)
    }
    off = {loss: np.abs(np.log(values / truth))[:2].max() for loss, values in found.items()}
    assert off[name] < 0.05 < off["squares"]


def test_errors_of_a_robust_fit_hold(record_of, fade_of, scaling_of, truth):
    # On clean data they are those of least squares, a few per cent larger.
    observations = observe(record_of(seed=3), noise={"discharge_capacity": 2e-3})
    errors = {}
    for name in LOSSES:
        problem = Problem(fade_of(), observations, scaling_of(), Loss(name))
        best = minimise(problem, progress=False).best
        found = estimate_discrepancies(problem, best)
        errors[name] = np.sqrt(np.diag(covariance_of(problem, best, found)))
        assert np.all(np.abs(np.log(best.values / truth)) < 3.5 * errors[name])
    for name in LOSSES[1:]:
        ratio = errors[name] / errors["squares"]
        assert np.all(ratio > 0.97)
        assert np.all(ratio < [1.1, 1.1, 1.5])  # only nine points tell of the third


def test_an_aicc_of_squares_is_none_of_a_robust_loss(record_of, fade_of, scaling_of):
    observations = observe(record_of(), noise={"discharge_capacity": 2e-3})
    for name in LOSSES:
        problem = Problem(fade_of(), observations, scaling_of(), Loss(name))
        found = summarise(problem, minimise(problem, progress=False).best)
        assert np.isnan(found.aicc) == (name != "squares")


def test_what_is_no_loss_is_refused():
    with pytest.raises(InputError, match="Did you mean 'Cauchy'"):
        Loss("cauchy")
    with pytest.raises(InputError, match="positive"):
        Loss("Cauchy", -1.0)
