"""Starts and the optima that they end in."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np
import pytest
import xarray as xr

from cellmodels.errors import InputError
from cellmodels.fitting.least_squares import FitError, minimise
from cellmodels.fitting.uncertainty.multistart import multi_start, other_optima, start_points


@dataclass(frozen=True)
class TwoMinima:
    """A quartic in ln a with minima at a = 1/2 and 2, and a line that tells them apart."""

    tilt: float

    def __call__(self, values):
        a, b = values
        x = np.log(a)
        bend, slope = x**2 - np.log(2) ** 2, 2 * x
        y = [bend, self.tilt * (x - np.log(2)), np.log(b)]
        return y, [[slope / a, 0.0], [self.tilt / a, 0.0], [0.0, 1 / b]]


@pytest.fixture
def bimodal_of(problem_of):
    def make(tilt=0.2, **options):
        parameters = [("a", 0.6, 0.05, 20.0), ("b", 3.0, 0.01, 100.0)]
        return problem_of(TwoMinima(tilt), np.zeros(3), 0.1, parameters, **options)

    return make


def test_both_optima_are_found(bimodal_of):
    found = multi_start(bimodal_of(), 12, seed=3)
    assert found.sizes["optimum"] == 2
    np.testing.assert_allclose(found["values"].sel(parameter="a"), [2.0, 0.5], rtol=0.05)
    np.testing.assert_allclose(found["values"].sel(parameter="b"), 1.0, rtol=0.01)
    assert int(found["count"].sum()) == 12 and (found["count"] > 0).all()
    assert float(found["chi_square"][0]) == pytest.approx(0.0, abs=1e-2)
    # the start that is given is the first, and its optimum is the near one
    assert int(found["start_optimum"][0]) == 1
    assert float(found["distance"][0]) == 0.0 and float(found["distance"][1]) > 5.0
    (said,) = other_optima(found)
    assert said.startswith("Another optimum, reached from ")
    assert "of 12 starts" in said and "a = 0.51" in said
    assert other_optima(found, variance=0.1) == []


def test_an_optimum_that_is_much_worse_is_not_spoken_of(bimodal_of):
    found = multi_start(bimodal_of(tilt=1.0), 12, seed=3)
    assert other_optima(found) == []


def test_one_optimum_however_flat(problem_of):
    def model(values):  # only the product counts: all ends are one optimum
        a, b = values
        return [np.log(a * b)], [[1 / a, 1 / b]]

    problem = problem_of(
        model, [0.0], 0.1, [("a", 2.0, 0.1, 10.0), ("b", 2.0, 0.1, 10.0)],
        prior=None, at=[1.0],
    )  # fmt: skip
    with pytest.raises(InputError, match="1 points cannot determine 2"):
        multi_start(problem, 4)

    def twice(values):
        y, slopes = model(values)
        return y * 2, slopes * 2

    found = multi_start(
        problem_of(twice, [0.0, 0.0], 0.1, [("a", 2.0, 0.1, 10.0), ("b", 2.0, 0.1, 10.0)]), 8
    )
    assert found.sizes["optimum"] == 1 and int(found["count"][0]) == 8


def test_starts_that_fail_are_counted(bimodal_of):
    problem = bimodal_of(fails=lambda values: values[0] > 1.0)
    found = multi_start(problem, 8)
    assert found.sizes["optimum"] >= 1
    assert int(found["count"].sum()) + found.attrs["failed"] == 8
    with pytest.raises(FitError, match="None of 4 fits could begin"):
        multi_start(bimodal_of(fails=lambda values: True), 4)


def test_workers_give_the_same_optima(bimodal_of):
    here = multi_start(bimodal_of(), 6, seed=1)
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as executor:
        there = multi_start(bimodal_of(), 6, seed=1, executor=executor)
    xr.testing.assert_identical(here, there)


def test_the_design_is_inside_the_bounds_and_spread(bimodal_of, problem_of, line_of):
    scaling = bimodal_of().scaling
    points = start_points(scaling, 17, seed=2)
    lower, upper = scaling.bounds
    assert points.shape == (17, 2) and np.all((points > lower) & (points < upper))
    np.testing.assert_array_equal(points[0], 0.0)
    # sixteen points of a Sobol design: one in each sixteenth of every parameter
    unit = (points[1:] - lower) / (upper - lower)
    for column in unit.T:
        assert sorted(np.floor(16 * column).astype(int)) == list(range(16))
    assert not np.array_equal(points, start_points(scaling, 17, seed=3))
    free = problem_of(line_of(np.ones((1, 1))), [1.0], 1.0, [("a", 1.0, -np.inf, np.inf)]).scaling
    assert np.all(np.abs(start_points(free, 9)) <= 2.0)


@pytest.mark.parametrize("starts", [0, 2.5, True])
def test_wrong_numbers_of_starts(bimodal_of, starts):
    with pytest.raises(InputError, match="starts"):
        multi_start(bimodal_of(), starts)


def test_starts_may_be_given_by_name(decay):
    names = decay.scaling.names
    first, second = {names[0]: 2.0, names[1]: 0.5}, {names[1]: 1.5}
    found = multi_start(decay, [first, second])
    given = decay.scaling.to_values(np.zeros(2))
    np.testing.assert_allclose(found["start_values"], [[2.0, 0.5], [given[0], 1.5]])
    best = multi_start(decay, 1)
    np.testing.assert_allclose(found["values"][0], best["values"][0], rtol=5e-3)


@pytest.mark.parametrize(
    ("starts", "said"),
    [([], "empty"), ([{"Sise [-]": 1.0}], "Did you mean 'Size"), ([{"Size [-]": 1e9}], "outside"),
     ("3", "whole number")],
)  # fmt: skip
def test_wrong_starts_are_refused(decay, starts, said):
    with pytest.raises(InputError, match=said):
        multi_start(decay, starts)


def test_a_fit_that_creeps_along_an_edge_ends(problem_of):
    """Simulations fail behind a line, which the fit follows by ever smaller steps."""

    def fails(values):
        return values[0] + 0.5 * values[1] > 2.0 or values[0] > 3.0

    far = [("a", 1.0, -500.0, 500.0), ("b", 0.0, -500.0, 500.0)]
    problem = problem_of(lambda v: (v, np.eye(2)), [100.0, -50.0], 0.1, far, fails=fails)
    found = minimise(problem, progress=False)
    assert found.status == "blocked" and len(found.trials) < 30  # else 40
    assert found.best.cost < 1.001 * 585650.0  # of the corner
