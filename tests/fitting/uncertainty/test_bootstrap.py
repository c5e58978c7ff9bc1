"""The bootstrap against the covariance it should reproduce, and whoever computes it."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from cellmodels.errors import InputError
from cellmodels.fitting.least_squares import minimise
from cellmodels.fitting.prior import Prior
from cellmodels.fitting.uncertainty.bootstrap import drawn_noise, parametric_bootstrap

FORK = multiprocessing.get_context("fork")


@pytest.fixture
def straight(problem_of, line_of):
    """A line with white noise of the stated size."""
    rng = np.random.default_rng(5)
    n = np.linspace(0.0, 1.0, 60)
    design = np.stack([np.ones_like(n), n], axis=1)
    data = design @ [1.0, 2.0] + 0.1 * rng.standard_normal(n.size)
    return problem_of(line_of(design), data, 0.1, [("a", 0.5, -9.0, 9.0), ("b", 0.5, -9.0, 9.0)])


def best_of(problem):
    return minimise(problem, progress=False).best


def test_the_spread_is_the_covariance(straight):
    best = best_of(straight)
    found = parametric_bootstrap(straight, best, samples=400, seed=1)
    spread = float(found["spread"][0])
    expected = spread * np.sqrt(np.diag(np.linalg.inv(best.slopes.T @ best.slopes)))
    # the error of a standard deviation from 400 draws is 3.5 %
    np.testing.assert_allclose(found["scaled_standard_error"], expected, rtol=0.12)
    units = np.array([p.linear_unit for p in straight.scaling.parameters])
    half = (found["interval_high"] - found["interval_low"]) / 2
    np.testing.assert_allclose(half, 1.96 * expected * units, rtol=0.15)
    np.testing.assert_allclose(found["values"].mean("draw"), best.values, atol=0.02)
    assert found.attrs["failed"] == 0 and found.attrs["unconverged"] == 0


def test_noise_is_as_large_as_the_residuals(straight):
    misjudged = replace(
        straight, observations=replace(straight.observations, std=straight.observations.std / 5)
    )
    found = parametric_bootstrap(misjudged, best_of(misjudged), samples=2)
    assert float(found["spread"][0]) == pytest.approx(5.0, rel=0.15)


def test_noise_is_alike_where_residuals_are(straight):
    rng = np.random.default_rng(0)
    alike = 0.1 * drawn_noise(straight.observations, [1.0], [0.8], rng)
    problem = straight.with_data(straight.predict.model([1.0, 2.0])[0] + alike)
    best = best_of(problem)
    red = parametric_bootstrap(problem, best, samples=200)
    white = parametric_bootstrap(problem, best, samples=200, noise="white")
    assert 0.5 < float(red["alike"][0]) < 0.95 and float(white["alike"][0]) == 0.0
    assert (red["scaled_standard_error"] > 1.5 * white["scaled_standard_error"]).all()


def test_the_noise_that_is_drawn_has_the_asked_size_and_correlation(problem_of, line_of):
    problem = problem_of(line_of(np.ones((20000, 1))), np.ones(20000), 0.1, [("a", 1.0, 0.1, 9.0)])
    noise = drawn_noise(problem.observations, [2.0], [0.7], np.random.default_rng(0))
    assert noise.std() == pytest.approx(2.0, rel=0.03)
    assert np.corrcoef(noise[1:], noise[:-1])[0, 1] == pytest.approx(0.7, abs=0.02)


def test_a_prior_is_drawn_anew(straight):
    known = Prior(np.array([0.2, 0.3]), np.diag([50.0, 1e-6]))
    problem = replace(straight, prior=known)
    found = parametric_bootstrap(problem, best_of(problem), samples=300)
    best = best_of(problem)
    expected = np.sqrt(np.diag(np.linalg.inv(best.slopes.T @ best.slopes)))
    np.testing.assert_allclose(found["scaled_standard_error"], expected, rtol=0.15)


@pytest.mark.parametrize(
    "make", [lambda: ThreadPoolExecutor(2), lambda: ProcessPoolExecutor(2, mp_context=FORK)]
)
def test_workers_give_the_same_numbers(decay, make):
    best = best_of(decay)
    here = parametric_bootstrap(decay, best, samples=6, seed=4)
    with make() as executor:
        there = parametric_bootstrap(decay, best, samples=6, seed=4, executor=executor)
    xr.testing.assert_identical(here, there)
    other = parametric_bootstrap(decay, best, samples=6, seed=5)
    assert not np.array_equal(here["values"], other["values"])


def test_refits_start_from_the_optimum_and_are_warm(decay):
    best = best_of(decay)
    before = len(decay.predict.calls)
    found = parametric_bootstrap(decay, best, samples=5)
    states = decay.predict.states[before:]
    assert states[0] is None and None not in states[1:]  # the optimum once, and never again
    assert len(states) == 1 + int(found["evaluations"].sum())


def test_failed_refits_are_counted(decay):
    best = best_of(decay)
    decay.predict.fails = lambda values: values[1] > 1.05 * best.values[1]
    found = parametric_bootstrap(decay, best, samples=20, max_evaluations=20)
    assert found.attrs["unconverged"] > 0 and found.attrs["failed"] == 0
    decay.predict.fails = lambda values: True
    found = parametric_bootstrap(decay, best, samples=3)
    assert found.attrs["failed"] == 3 and np.isnan(found["values"]).all()
    assert np.isnan(found["interval_low"]).all()


def test_a_killed_bootstrap_goes_on(decay, tmp_path):
    best, file = best_of(decay), tmp_path / "boot.json"
    whole = parametric_bootstrap(decay, best, samples=6, seed=2)

    calls = []

    def dies(values):
        calls.append(1)
        if len(calls) > 12:
            raise KeyboardInterrupt
        return False

    decay.predict.fails = dies
    with pytest.raises(KeyboardInterrupt):
        parametric_bootstrap(decay, best, samples=6, seed=2, checkpoint=file)
    decay.predict.fails = None
    before = len(decay.predict.calls)
    again = parametric_bootstrap(decay, best, samples=6, seed=2, checkpoint=file)
    xr.testing.assert_identical(again, whole)
    assert len(decay.predict.calls) - before < int(whole["evaluations"].sum())
    with pytest.raises(InputError, match="other settings"):
        parametric_bootstrap(decay, best, samples=6, seed=3, checkpoint=file)
    file.write_text("{}")
    with pytest.raises(InputError, match="not a checkpoint"):
        parametric_bootstrap(decay, best, samples=6, seed=2, checkpoint=file)


def test_wrong_requests(decay):
    best = best_of(decay)
    with pytest.raises(InputError, match="Did you mean 'white'"):
        parametric_bootstrap(decay, best, noise="whit")
    with pytest.raises(InputError, match="samples"):
        parametric_bootstrap(decay, best, samples=1)
    with pytest.raises(InputError, match="level"):
        parametric_bootstrap(decay, best, level=95)
