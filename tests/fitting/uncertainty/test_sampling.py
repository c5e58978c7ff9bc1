"""Samples of a Gaussian, and of what is none; chains that are too short say so."""

from __future__ import annotations

import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from cellmodels.errors import InputError
from cellmodels.fitting.least_squares import minimise
from cellmodels.fitting.prior import Prior
from cellmodels.fitting.uncertainty.convergence import split_r_hat
from cellmodels.fitting.uncertainty.sampling import sample_posterior

pytest.importorskip("emcee")


@pytest.fixture
def correlated(problem_of, line_of):
    """Two parameters with a correlation of -0.98."""
    n = np.linspace(4.0, 5.0, 40)
    design = np.stack([np.ones_like(n), n], axis=1)
    data = design @ [1.0, 2.0]
    return problem_of(line_of(design), data, 0.05, [("a", 0.5, -9.0, 9.0), ("b", 0.5, -9.0, 9.0)])


def best_of(problem):
    return minimise(problem, progress=False).best


def covariance(best):
    return np.linalg.inv(best.slopes.T @ best.slopes)


def test_samples_of_a_gaussian(correlated):
    best = best_of(correlated)
    found = sample_posterior(correlated, best, covariance(best), steps=4000, seed=1)
    assert found.attrs["converged"] == 1 and found.attrs["message"] == "converged"
    expected = np.sqrt(np.diag(covariance(best)))
    assert float(found["effective_sample_size"].min()) > 400
    np.testing.assert_allclose(found["scaled_standard_error"], expected, rtol=0.1)
    flat = found["values"].stack(sample=("chain", "draw"))
    assert np.corrcoef(flat.values)[0, 1] < -0.95
    units = np.array([p.linear_unit for p in correlated.scaling.parameters])
    np.testing.assert_allclose(found["mean"], best.values, atol=0.2 * (expected * units).max())
    assert (found["r_hat"] < 1.05).all()
    np.testing.assert_allclose(found["lp"], found["log_likelihood"] + found["log_prior"])


def test_the_variance_flattens_the_likelihood_but_not_the_prior(correlated):
    known = Prior(np.array([0.2, 0.4]), np.diag([20.0, 20.0]))
    problem = replace(correlated, prior=known)
    best = best_of(problem)
    rows = best.slopes[:-2]
    expected = np.linalg.inv(rows.T @ rows / 9.0 + known.precision)
    found = sample_posterior(problem, best, expected, steps=3000, seed=2, variance=9.0)
    np.testing.assert_allclose(
        found["scaled_standard_error"], np.sqrt(np.diag(expected)), rtol=0.12
    )


def test_samples_stay_inside_the_bounds(problem_of, line_of):
    problem = problem_of(line_of(np.ones((2, 1))), [0.0, 0.0], 1.0, [("a", 0.1, 0.0, 1.0)])
    best = best_of(problem)
    found = sample_posterior(problem, best, [[1.0]], steps=600)
    assert float(found["values"].min()) >= 0.0 and float(found["values"].max()) <= 1.0
    # nearly flat between the bounds
    assert float(found["mean"][0]) == pytest.approx(0.46, abs=0.06)


def test_a_short_chain_is_not_called_converged(correlated):
    best = best_of(correlated)
    found = sample_posterior(correlated, best, covariance(best), steps=60)
    assert found.attrs["converged"] == 0
    assert "not converged" in found.attrs["message"] and "autocorrelation" in found.attrs["message"]
    assert found.attrs["steps"] == 60


def test_failed_simulations_are_never_sampled(correlated):
    best = best_of(correlated)
    correlated.predict.fails = lambda values: values[0] > best.values[0] + 1e-9
    found = sample_posterior(correlated, best, covariance(best), steps=200)
    assert np.isfinite(found["lp"]).all()
    assert float(found["values"].sel(parameter="a").max()) <= best.values[0] + 1e-9


def test_the_same_seed_gives_the_same_samples(decay):
    best = best_of(decay)
    runs = [sample_posterior(decay, best, covariance(best), steps=8, seed=s) for s in (1, 1, 2)]
    xr.testing.assert_identical(runs[0], runs[1])
    assert not np.array_equal(runs[0]["values"], runs[2]["values"])
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as executor:
        there = sample_posterior(decay, best, covariance(best), steps=8, seed=1, executor=executor)
    xr.testing.assert_identical(runs[0], there)


def test_killed_samples_go_on_as_if_they_had_not_been(decay, tmp_path, monkeypatch):
    best, file = best_of(decay), tmp_path / "chains"
    options = {"steps": 40, "seed": 3}
    whole = sample_posterior(decay, best, covariance(best), **options)
    monkeypatch.setattr("cellmodels.fitting.uncertainty.chain_file._SECONDS", 0.0)
    before = len(decay.predict.calls)

    def dies(values):
        if len(decay.predict.calls) > before + 300:
            raise KeyboardInterrupt
        return False

    decay.predict.fails = dies
    with pytest.raises(KeyboardInterrupt):
        sample_posterior(decay, best, covariance(best), **options, checkpoint=file)
    decay.predict.fails = None
    before = len(decay.predict.calls)
    again = sample_posterior(decay, best, covariance(best), **options, checkpoint=file)
    xr.testing.assert_identical(again, whole)
    assert len(decay.predict.calls) - before < 300
    # a finished one is read, and asked nothing
    before = len(decay.predict.calls)
    xr.testing.assert_identical(
        sample_posterior(decay, best, covariance(best), **options, checkpoint=file), whole
    )
    assert len(decay.predict.calls) == before
    longer = sample_posterior(decay, best, covariance(best), steps=45, seed=3, checkpoint=file)
    assert longer.attrs["steps"] == 45
    with pytest.raises(InputError, match="other settings"):
        sample_posterior(decay, best, covariance(best), steps=40, seed=4, checkpoint=file)
    file.write_text("nothing")
    with pytest.raises(InputError, match="not a checkpoint of samples"):
        sample_posterior(decay, best, covariance(best), **options, checkpoint=file)
    with pytest.raises(InputError, match="folder"):
        sample_posterior(decay, best, covariance(best), checkpoint=tmp_path / "no" / "chains")


def test_split_r_hat():
    rng = np.random.default_rng(0)
    alike = rng.standard_normal((8, 500))
    assert split_r_hat(alike) == pytest.approx(1.0, abs=0.01)
    apart = alike + np.arange(8)[:, None]
    assert split_r_hat(apart) > 1.5
    drifting = alike + np.linspace(0, 3, 500)  # each chain by itself is fine, its halves are not
    assert split_r_hat(drifting) > 1.2
    assert np.isnan(split_r_hat(np.ones((4, 2))))


def test_wrong_requests(decay, monkeypatch):
    best = best_of(decay)
    for options, match in (
        ({"walkers": 3}, "walkers is 3"),
        ({"walkers": 13}, "walkers is 13"),
        ({"steps": 1}, "steps is 1"),
        ({"variance": -1.0}, "variance"),
        ({"level": 95}, "level"),
    ):
        with pytest.raises(InputError, match=match):
            sample_posterior(decay, best, covariance(best), **options)
    monkeypatch.setitem(sys.modules, "emcee", None)
    with pytest.raises(InputError, match=r"cellmodels\[mcmc\]"):
        sample_posterior(decay, best, covariance(best))
