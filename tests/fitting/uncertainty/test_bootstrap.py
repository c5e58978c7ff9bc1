"""The bootstrap against the covariance it should reproduce, and whoever computes it."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from cellmodels.errors import InputError
from cellmodels.fitting.discrepancy import estimate_discrepancies
from cellmodels.fitting.drift import Drift, Series, Wander
from cellmodels.fitting.least_squares import minimise
from cellmodels.fitting.likelihood_grid import Places
from cellmodels.fitting.prior import Prior
from cellmodels.fitting.statistics import covariance_of
from cellmodels.fitting.uncertainty.bootstrap import parametric_bootstrap
from cellmodels.fitting.uncertainty.noise import VariableNoise, drawn_noise

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


def test_what_the_model_misses_is_drawn_as_the_fit_has_found_it(straight, problem_of):
    """A bend that a line cannot follow: refits spread as the fit's standard errors say."""
    n = np.linspace(0.0, 1.0, 60)
    rng = np.random.default_rng(8)
    data = 1.0 + 2.0 * n + 2.0 * n**3 + 0.1 * rng.standard_normal(60)
    wide = [("a", 0.5, -99.0, 99.0), ("b", 0.5, -99.0, 99.0)]  # no refit ends at a bound
    problem = problem_of(straight.predict.model, data, 0.1, wide)
    best = best_of(problem)
    missed = estimate_discrepancies(problem, best)
    assert missed[0].size > 0.2
    errors = np.sqrt(np.diag(covariance_of(problem, best, missed)))
    found = parametric_bootstrap(problem, best, samples=600)
    assert float(found["drift"][0]) == pytest.approx(missed[0].size)
    # the fit's are half the central 68 % of a mixture, as its tails are long
    low, high = np.quantile(problem.scaling.to_scaled(found["values"].values), [0.16, 0.84], axis=0)
    np.testing.assert_allclose((high - low) / 2, errors, rtol=0.15)
    white = parametric_bootstrap(problem, best, samples=100, noise="white")
    assert float(white["drift"][0]) == 0.0
    assert (white["scaled_standard_error"] < 0.5 * errors).all()


@pytest.mark.parametrize("drift", [Drift(0.3, 1.0), Drift(1.0, order=2)])
def test_the_noise_that_is_drawn_has_the_asked_covariance(drift):
    std = np.geomspace(0.1, 0.2, 12)
    place = np.linspace(0.0, 1.0, 12)
    places = Places((Series.of(place, std / 0.15),), (np.arange(12),), 0.0, 1.0, 0.15)
    wander = Wander(0.8, 0.06)
    noise = VariableNoise(
        "cycles/capacity", 1.5, 1.0, 1.0, places, (drift,), wander, np.array([0.0, 3.0]),
        np.array([1.0, 2.25]), np.array([[[0.0, 0.0], [0.0, 1.0]]]),
    )  # fmt: skip
    random = np.random.default_rng(0)
    draws = np.array([drawn_noise([noise], std, random) for _ in range(20_000)]) * std
    moving = 9.0 * drift.covariance(place, place) + wander.covariance(place, place)
    expected = 2.25 * (np.diag(std**2) + 0.15**2 * moving)
    size = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
    np.testing.assert_allclose(np.cov(draws.T) / size, expected / size, atol=0.03)


def test_a_prior_is_drawn_anew(straight):
    known = Prior(straight.scaling.to_scaled([1.0, 2.0]), np.diag([50.0, 1e-6]))
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
