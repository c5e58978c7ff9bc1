"""Profiles against exact intervals, against brute force, and where they stay open."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pytest
import scipy.optimize
import scipy.stats
import xarray as xr

from cellmodels.errors import InputError
from cellmodels.fitting.least_squares import minimise
from cellmodels.fitting.uncertainty.profile import profile_likelihood

FORK = multiprocessing.get_context("fork")
CHI2 = scipy.stats.chi2.ppf(0.95, 1)


def fitted(problem):
    found = minimise(problem, progress=False)
    assert found.converged
    return found.best


def brute_force(problem, best, name, threshold, reach):
    """Ends of the interval by scipy on every trial value, started afresh from the optimum."""
    held = problem.scaling.names.index(name)
    others = [k for k in range(problem.size) if k != held]
    exact = {"xtol": 1e-13, "ftol": 1e-13, "gtol": 1e-13}

    def cost(at):
        def full(y):
            scaled = best.scaled.copy()
            scaled[held], scaled[others] = at, y
            return scaled

        return scipy.optimize.least_squares(
            lambda y: problem.evaluate(full(y)).terms, best.scaled[others], **exact
        ).cost

    lowest = scipy.optimize.least_squares(
        lambda z: problem.evaluate(z).terms, best.scaled, **exact
    ).cost
    at, ends = best.scaled[held], []
    for far in (at - reach, at + reach):
        root = scipy.optimize.brentq(lambda z: 2 * (cost(z) - lowest) - threshold, at, far)
        scaled = best.scaled.copy()
        scaled[held] = root
        ends.append(problem.scaling.to_values(scaled)[held])
    return ends


def test_the_profile_of_a_linear_model_is_the_exact_interval(problem_of, line_of):
    rng = np.random.default_rng(0)
    design = rng.standard_normal((30, 3)) + np.array([2.0, 0.0, 1.0])
    truth, std = np.array([1.0, -0.5, 2.0]), 0.3
    data = design @ truth + std * rng.standard_normal(30)
    problem = problem_of(line_of(design), data, std, [(n, 0.5, -20.0, 20.0) for n in "abc"])
    found = profile_likelihood(problem, fitted(problem))
    optimum = np.linalg.lstsq(design, data, rcond=None)[0]
    errors = std * np.sqrt(np.diag(np.linalg.inv(design.T @ design)))
    np.testing.assert_allclose(found["optimum"], optimum, rtol=1e-6)
    np.testing.assert_allclose(found["interval_low"], optimum - np.sqrt(CHI2) * errors, rtol=1e-4)
    np.testing.assert_allclose(found["interval_high"], optimum + np.sqrt(CHI2) * errors, rtol=1e-4)
    assert found["closed_low"].all() and found["closed_high"].all()
    assert found["evaluations"].max() <= 8  # four of which look behind the ends
    # the curve is the parabola of the standard error
    parabola = ((found["at"] - found["optimum"]) / errors[:, None]) ** 2
    np.testing.assert_allclose(found["deviance"], parabola, atol=1e-2)


def test_variance_and_degrees_of_freedom_widen_the_interval(problem_of, line_of):
    design = np.ones((5, 1))
    problem = problem_of(line_of(design), [1.0, 1.1, 0.9, 1.0, 1.0], 0.1, [("a", 1.0, -9.0, 9.0)])
    best = fitted(problem)
    error = 0.1 / np.sqrt(5)
    wide = profile_likelihood(problem, best, variance={"a": 4.0})
    student = profile_likelihood(problem, best, freedom=4, level=0.9)
    assert float(wide["interval_high"][0]) - 1.0 == pytest.approx(2 * np.sqrt(CHI2) * error, 1e-3)
    expected = scipy.stats.t.ppf(0.95, 4) * error
    assert float(student["interval_high"][0]) - 1.0 == pytest.approx(expected, 1e-3)


def test_the_profile_of_a_decay_agrees_with_brute_force(decay):
    best = fitted(decay)
    found = profile_likelihood(decay, best)
    for k, name in enumerate(decay.scaling.names):
        low, high = brute_force(decay, best, name, CHI2, 1.5)
        width = high - low
        assert float(found["interval_low"][k]) == pytest.approx(low, abs=0.01 * width)
        assert float(found["interval_high"][k]) == pytest.approx(high, abs=0.01 * width)
    # it is not the symmetric interval of the standard error, not even of the logarithm
    logs = (
        np.log(found["interval_high"] / found["optimum"]),
        np.log(found["optimum"] / found["interval_low"]),
    )
    assert np.abs(logs[0] / logs[1] - 1).max() > 0.1
    assert found["evaluations"].max() <= 20


def test_a_side_that_the_data_do_not_bound_is_open(problem_of):
    # a saturating law, seen where it is saturated: the rate may be as large as it likes
    t = np.linspace(2.0, 10.0, 20)

    def model(values):
        a, k = values
        e = np.exp(-k * t)
        return a * (1 - e), np.stack([1 - e, a * t * e], axis=1)

    rng = np.random.default_rng(1)
    data = model((1.0, 3.0))[0] + 0.02 * rng.standard_normal(t.size)
    parameters = [("Size [-]", 1.0, 0.01, 100.0), ("Rate [-]", 2.0, 0.02, 200.0)]
    problem = problem_of(model, data, 0.02, parameters, at=t)
    found = profile_likelihood(problem, fitted(problem)).sel(parameter="Rate [-]")
    assert bool(found["closed_low"]) and not bool(found["closed_high"])
    assert str(found["end_high"].item()) == "bound"
    assert float(found["interval_high"]) == pytest.approx(200.0)
    assert 1.0 < float(found["interval_low"]) < 2.5
    assert float(found["reached_high"]) == pytest.approx(200.0)


def test_only_the_product_is_known_and_both_factors_stay_open(problem_of):
    def model(values):
        a, b = values
        return np.full(10, a * b), np.tile([b, a], (10, 1))

    problem = problem_of(
        model, np.full(10, 6.0), 0.1, [("a", 2.0, 0.3, 20.0), ("b", 2.0, 0.3, 20.0)]
    )
    found = profile_likelihood(problem, fitted(problem))
    assert not found["closed_low"].any() and not found["closed_high"].any()
    # where the other reaches its bound the deviance rises and closes the side after all
    tight = problem_of(model, np.full(10, 6.0), 0.1, [("a", 2.0, 0.2, 20.0), ("b", 2.0, 1.0, 4.0)])
    found = profile_likelihood(tight, fitted(tight), ["a"])
    error = 0.1 / np.sqrt(10) * np.sqrt(CHI2)
    assert float(found["interval_low"][0]) == pytest.approx((6 - error) / 4, rel=2e-3)
    assert float(found["interval_high"][0]) == pytest.approx(6 + error, rel=2e-3)


def test_failing_simulations_block_a_side(problem_of, line_of):
    problem = problem_of(
        line_of(np.ones((4, 1))), np.ones(4), 0.1, [("a", 0.9, -9.0, 9.0)],
        fails=lambda values: values[0] > 1.06,
    )  # fmt: skip
    found = profile_likelihood(problem, fitted(problem)).isel(parameter=0)
    assert str(found["end_high"].item()) == "blocked" and not bool(found["closed_high"])
    assert float(found["interval_high"]) == 9.0
    assert 1.03 < float(found["reached_high"]) <= 1.06
    assert bool(found["closed_low"])
    assert int(found["failures"]) >= 1


def test_a_failure_beyond_the_threshold_is_stepped_back_from(problem_of):
    def model(values):  # overshoots: the first step of the root goes far beyond the threshold
        a = values[0]
        return [a + 30 * (a - 1) ** 3 * (a > 1)], [[1 + 90 * (a - 1) ** 2 * (a > 1)]]

    problem = problem_of(model, [1.0], 0.3, [("a", 0.9, -9.0, 9.0)], fails=lambda v: v[0] > 1.3)
    found = profile_likelihood(problem, fitted(problem)).isel(parameter=0)
    end = scipy.optimize.brentq(lambda a: a - 1 + 30 * (a - 1) ** 3 - 0.3 * np.sqrt(CHI2), 1, 2)
    assert bool(found["closed_high"])
    assert float(found["interval_high"]) == pytest.approx(end, abs=0.01)


def test_a_better_optimum_on_the_way_is_reported(problem_of):
    def model(values):  # two minima, at 1 and at 3, the second lower
        a = values[0]
        return [(a - 1) * (a - 3), 0.3 * (a - 3)], [[2 * a - 4], [0.3]]

    problem = problem_of(model, [0.0, 0.0], 0.5, [("a", 0.8, -9.0, 9.0)])
    found = profile_likelihood(problem, minimise(problem, progress=False).best)
    assert found.attrs["better_deviance"] < -0.5
    assert float(found["better"][0]) == pytest.approx(3.0, abs=0.4)
    from_better = problem.scaling.to_scaled(found["better"].values)
    again = profile_likelihood(problem, minimise(problem, start=from_better, progress=False).best)
    assert "better" not in again and "better_deviance" not in again.attrs


@pytest.mark.parametrize("others_known", [True, False])
@pytest.mark.parametrize("lower_first", [True, False])
def test_an_interval_holds_all_that_any_optimum_admits(problem_of, lower_first, others_known):
    """Two minima of different height: their pieces are where the deviance from the lower is less
    than the threshold. The second is given, or found behind the ridge."""

    def model(values):
        a = values[0]
        return [(a - 1) * (a - 3), 0.2 * (a - 3)], [[2 * a - 4], [0.2]]

    def deviance(a):
        return (((a - 1) * (a - 3)) ** 2 + (0.2 * (a - 3)) ** 2) / 0.25**2

    problem = problem_of(model, [0.0, 0.0], 0.25, [("a", 0.8, -9.0, 9.0)])
    optima = [
        minimise(problem, start=problem.scaling.to_scaled([a]), progress=False).best
        for a in ((3.2, 0.9) if lower_first else (0.9, 3.2))
    ]
    at = np.linspace(0.0, 4.0, 400_001)
    inside = np.flatnonzero(deviance(at) - deviance(at).min() < CHI2)
    first, *_, last = at[inside]
    gap = int(np.argmax(np.diff(inside)))
    expected = [[first, at[inside[gap]]], [at[inside[gap + 1]], last]]
    others = optima[1:] if others_known else ()
    found = profile_likelihood(problem, optima[0], others=others).isel(parameter=0)
    np.testing.assert_allclose(found["pieces"], expected, atol=0.004)
    assert float(found["interval_low"]) == pytest.approx(expected[0][0], abs=0.004)
    assert float(found["interval_high"]) == pytest.approx(expected[1][1], abs=0.004)
    assert bool(found["closed_low"]) and bool(found["closed_high"])
    assert lower_first != ("better" in found)
    assert (np.diff(found["at"].dropna("point")) >= 0.0).all()
    above = deviance(found["at"].dropna("point").values) - deviance(at).min()
    np.testing.assert_allclose(found["deviance"].dropna("point"), above, atol=0.05)


@dataclass(frozen=True)
class TwoMinima:
    """Minima near a = 1 and 3, the second lower, and a second parameter that follows."""

    def __call__(self, values):
        a, b = values
        y = [(a - 1) * (a - 3), 0.2 * (a - 3), 3.0 * (b - a)]
        return y, [[2 * a - 4, 0.0], [0.2, 0.0], [-3.0, 3.0]]


@pytest.mark.parametrize(
    "make", [lambda: ThreadPoolExecutor(2), lambda: ProcessPoolExecutor(2, mp_context=FORK)]
)
def test_workers_give_the_same_profiles(problem_of, make):
    """Also where another optimum is met, and followed from there."""
    parameters = [("a", 0.8, -9.0, 9.0), ("b", 1.0, -9.0, 9.0)]
    problem = problem_of(TwoMinima(), np.zeros(3), 0.25, parameters)
    best = problem.evaluate(fitted(problem).scaled)
    here = profile_likelihood(problem, best)
    with make() as executor:
        there = profile_likelihood(problem, best, executor=executor)
    xr.testing.assert_identical(here, there)
    assert "better" in here and here.sizes["piece"] == 2


def test_killed_profiles_go_on(problem_of, tmp_path):
    """Each parameter and optimum that was followed is not followed again."""
    parameters = [("a", 0.8, -9.0, np.inf), ("b", 1.0, -9.0, 9.0)]
    problem = problem_of(TwoMinima(), np.zeros(3), 0.25, parameters)
    best = problem.evaluate(fitted(problem).scaled)
    calls, file = problem.predict.calls, tmp_path / "profile.json"
    before = len(calls)
    whole = profile_likelihood(problem, best)
    cost = len(calls) - before
    problem.predict.fails = _killed_after(calls, len(calls) + int(0.6 * cost))
    with pytest.raises(KeyboardInterrupt):
        profile_likelihood(problem, best, checkpoint=file)
    problem.predict.fails = None
    before = len(calls)
    found = profile_likelihood(problem, best, checkpoint=file)
    xr.testing.assert_identical(found, whole)
    assert 0 < len(calls) - before < 0.5 * cost
    before = len(calls)
    xr.testing.assert_identical(profile_likelihood(problem, best, checkpoint=file), whole)
    assert len(calls) - before <= 1  # the other optimum
    one = profile_likelihood(problem, best, ["b"], checkpoint=file)  # some are enough for some
    xr.testing.assert_identical(one["end_low"], whole["end_low"].sel(parameter=["b"]))
    other = problem_of(TwoMinima(), np.ones(3), 0.25, parameters)
    with pytest.raises(InputError, match="belongs to another fit"):
        profile_likelihood(other, best, checkpoint=file)
    file.write_text('{"schema": "cellmodels-profile/1", "mark": "", "done": {"x": {}}}')
    with pytest.raises(InputError, match="not a checkpoint of profiles"):
        profile_likelihood(problem, best, checkpoint=file)
    with pytest.raises(InputError, match="folder of the checkpoint"):
        profile_likelihood(problem, best, checkpoint=tmp_path / "none" / "profile.json")


def _killed_after(calls, most):
    def killed(values):
        if len(calls) > most:
            raise KeyboardInterrupt
        return False

    return killed


def test_an_optimum_that_is_none_is_taken_as_it_is(decay):
    start = decay.evaluate([0.3, 0.3])
    found = profile_likelihood(decay, start)
    best = fitted(decay)
    expected = (best.cost - start.cost) * 2
    assert found.attrs["better_deviance"] == pytest.approx(expected, abs=0.3 * abs(expected))
    np.testing.assert_allclose(found["optimum"], start.values)


def test_points_that_do_not_settle_close_no_side(problem_of):
    def model(values):  # beyond a = e^0.2 a wrong derivative promises what is not kept
        a, b = np.log(values)
        y = [a, 5.0 if a > 0.2 else 3 * b]
        return y, [[1 / values[0], 0.0], [0.0, 3.0 / values[1]]]

    problem = problem_of(model, [0.0, 0.0], 0.5, [("a", 1.0, 0.01, 100.0), ("b", 1.0, 0.01, 100.0)])
    found = profile_likelihood(problem, problem.evaluate([0.0, 0.0]), ["a"]).isel(parameter=0)
    assert str(found["end_high"].item()) == "blocked" and not bool(found["closed_high"])
    above = found["deviance"] > CHI2
    assert not found["settled"].values[above.values & (found["at"].values > 1.0)].any()
    assert bool(found["closed_low"])


def test_without_bounds_an_open_side_is_given_up(problem_of):
    def model(values):
        return [np.tanh(values[0])], [[1 / np.cosh(values[0]) ** 2]]

    problem = problem_of(model, [0.9], 1.0, [("a", 1.0, -np.inf, np.inf)])
    found = profile_likelihood(problem, fitted(problem)).isel(parameter=0)
    assert str(found["end_high"].item()) == "limit" and np.isinf(found["interval_high"])


def test_every_prediction_has_a_warm_start(decay):
    best = fitted(decay)
    before = len(decay.predict.states)
    found = profile_likelihood(decay, best)
    states = decay.predict.states[before:]
    assert None not in states
    assert len(states) == int(found["evaluations"].sum())


def test_wrong_requests(decay):
    best = fitted(decay)
    with pytest.raises(InputError, match=r"Did you mean 'Rate \[-\]'"):
        profile_likelihood(decay, best, ["Rat [-]"])
    with pytest.raises(InputError, match="at least one"):
        profile_likelihood(decay, best, [])
    with pytest.raises(InputError, match="level"):
        profile_likelihood(decay, best, level=95)
    with pytest.raises(InputError, match="variance"):
        profile_likelihood(decay, best, variance=0.0)
    with pytest.raises(InputError, match="degrees of freedom"):
        profile_likelihood(decay, best, freedom=0)


def test_a_path_that_bends_sharply_is_followed_from_inside(problem_of):
    # the other follows a steep exponential; the first step ends far off it
    def model(values):
        a, b = np.log(values)
        bend = np.exp(12 * a)
        return [a, 20.0 * (b - bend)], [
            [1 / values[0], 0.0],
            [-240.0 * bend / values[0], 20.0 / values[1]],
        ]

    parameters = [("a", 0.98, 0.5, 2.0), ("b", 2.0, 0.01, np.exp(14.0))]
    problem = problem_of(model, [0.0, 0.0], 0.1, parameters)
    found = profile_likelihood(problem, fitted(problem), ["a"]).isel(parameter=0)
    end = np.exp(0.1 * np.sqrt(CHI2))
    assert bool(found["closed_low"]) and bool(found["closed_high"])
    assert float(found["interval_high"]) == pytest.approx(end, rel=2e-3)
    assert float(found["interval_low"]) == pytest.approx(1 / end, rel=2e-3)
    assert int(found["evaluations"]) <= 45
