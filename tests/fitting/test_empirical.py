import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellmodels.fitting.empirical import (
    compare_with_empirical,
    fit_power_law,
    fit_square_root,
)
from cellmodels.fitting.least_squares import minimise
from cellmodels.fitting.problem import Problem
from cellmodels.fitting.residuals import observe

N = np.arange(0.0, 1001.0, 20.0)
STD = np.full(N.size, 1e-3)


@given(a=st.floats(-0.05, 0.05), b=st.floats(-1e-3, 1e-3))
def test_square_root_law_is_recovered(a, b):
    curve = fit_square_root(N, 5 + a * np.sqrt(N) + b * N, STD)
    np.testing.assert_allclose(curve.coefficients, (5, a, b), rtol=1e-6, atol=1e-9)


@given(power=st.floats(0.2, 3.0))
def test_power_law_is_recovered(power):
    curve = fit_power_law(N, 5 - 0.8 * (N / 1000) ** power, STD)
    assert curve.coefficients[2] == pytest.approx(power, rel=1e-4)
    np.testing.assert_allclose(curve(N), 5 - 0.8 * (N / 1000) ** power, atol=1e-5)


def test_weights_follow_the_noise():
    values = np.where(N < 500, 5.0, 4.0)
    trusted = np.where(N < 500, 1e-6, 1.0)
    assert fit_square_root(N, values, trusted)(100.0) == pytest.approx(5.0, abs=1e-6)


def test_the_true_model_beats_curves_with_more_numbers(record, fade, scaling):
    observations = observe(record)
    optimum = minimise(Problem(fade, observations, scaling), progress=False)
    comparison = compare_with_empirical(observations, optimum.best.residuals, 3)
    by_law = {entry.law: entry for entry in comparison}
    assert min(comparison, key=lambda entry: entry.aicc).law == "model"
    # 3 series of 3 numbers each, and 3 noise levels; voltage curves are left out.
    assert by_law["model"].parameters == 6
    assert by_law["square root"].parameters == 12
    assert {entry.points for entry in comparison} == {418}


def test_a_wrong_model_loses(record, fade, scaling):
    observations = observe(record, ["discharge_capacity"])
    wrong = fade(np.array([0.01, 9e-4, 3e-5]), observations.points).values
    comparison = compare_with_empirical(observations, observations.residuals(wrong), 2)
    aicc = {entry.law: entry.aicc for entry in comparison}
    assert aicc["square root"] + 100 < aicc["model"]


def test_stated_noise_does_not_decide_the_comparison(record, fade, truth):
    differences = []
    for noise in (1e-3, 1e-1):
        observations = observe(record, ["discharge_capacity"], noise={"discharge_capacity": noise})
        residuals = observations.residuals(fade(truth, observations.points).values)
        model, root, _ = compare_with_empirical(observations, residuals, 2)
        differences.append(model.aicc - root.aicc)
    assert differences[0] == pytest.approx(differences[1], abs=1e-6)


def test_nothing_to_compare_without_scalar_series(record):
    observations = observe(record, ["voltage_C20"])
    assert compare_with_empirical(observations, np.ones(27), 2) == ()
