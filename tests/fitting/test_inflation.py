"""By how much a covariance is wider than white noise of the stated size makes it."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from cellmodels.fitting.inflation import Inflation
from cellmodels.fitting.uncertainty.sloppy import in_words


@pytest.fixture
def tree_of():
    """Trees of fits with a covariance and an information, and one variable."""

    def make(information, covariance, rms=1.0, autocorrelation=0.0, p=1.0, prior=None):
        names = [f"p{k}" for k in range(len(information))]
        ones = np.ones(len(names))
        matrix = ("parameter", "other")
        parameters = {
            "start": ("parameter", ones),
            "lower_bound": ("parameter", 0.01 * ones),
            "upper_bound": ("parameter", 100.0 * ones),
            "nominal": ("parameter", ones),
            "unit": ("parameter", ["-"] * len(names)),
            "fisher_information": (matrix, np.array(information, float)),
            "covariance": (matrix, np.array(covariance, float)),
        }
        if prior is not None:
            parameters["prior_mean"] = ("parameter", 0.0 * ones)
            parameters["prior_root"] = (("prior_row", "parameter"), np.array(prior, float))
        variables = {
            "used": ("variable", [50]),
            "rms": ("variable", [rms]),
            "autocorrelation": ("variable", [autocorrelation]),
            "autocorrelation_p": ("variable", [p]),
        }
        tree = xr.DataTree.from_dict(
            {
                "parameters": xr.Dataset(parameters, coords={"parameter": names}),
                "variables": xr.Dataset(variables),
            }
        )
        tree.attrs = {"loss": "squares", "loss_threshold": 1.0}
        return tree

    return make


def test_it_is_the_ratio_of_the_variances(tree_of):
    information = np.array([[4.0, 1.0], [1.0, 2.0]])
    found = Inflation.of_tree(tree_of(information, 9.0 * np.linalg.inv(information)))
    np.testing.assert_allclose(found.each, 9.0)
    np.testing.assert_allclose(found.information, information / 9.0)
    assert found.overall == pytest.approx(9.0)
    assert found.by_name == pytest.approx({"p0": 9.0, "p1": 9.0})


def test_what_fixed_inputs_add_is_only_in_each(tree_of):
    tree = tree_of(np.eye(2), np.diag([9.0, 5.0]))
    p = tree["parameters"].to_dataset()
    tree["parameters"] = xr.DataTree(p.assign(data_covariance=(p["covariance"].dims, np.eye(2))))
    found = Inflation.of_tree(tree)
    np.testing.assert_allclose(found.each, [9.0, 5.0])
    np.testing.assert_allclose(found.information, np.eye(2))
    assert found.overall == pytest.approx(1.0)


def test_it_may_differ_from_parameter_to_parameter_and_is_never_below_one(tree_of):
    found = Inflation.of_tree(tree_of(np.eye(2), np.diag([4.0, 0.5])))
    np.testing.assert_allclose(found.each, [4.0, 1.0])


def test_a_prior_is_information(tree_of):
    prior = [[0.0, 3.0]]
    found = Inflation.of_tree(tree_of(np.diag([4.0, 0.0]), np.diag([0.25, 1 / 9]), prior=prior))
    np.testing.assert_allclose(found.information, np.diag([4.0, 9.0]))
    np.testing.assert_allclose(found.each, 1.0)


def test_words_have_the_errors_of_the_table(tree_of):
    """A covariance that is wider along one direction than along another."""
    covariance = np.array([[0.4, 0.39], [0.39, 0.4]])
    found = Inflation.of_tree(tree_of(np.diag([20.0, 30.0]), covariance))
    information, parameters = found.told
    np.testing.assert_allclose(information, np.linalg.inv(covariance))
    [said] = in_words(information, parameters)
    assert said.startswith("Only the ratio p0 / p1 (standard error 14 %)")


def test_where_the_information_is_singular_it_is_that_of_the_residuals(tree_of):
    singular, wide = np.diag([4.0, 0.0]), np.diag([0.25, 1e24])
    assert Inflation.of_tree(tree_of(singular, wide)).overall == 1.0
    assert Inflation.of_tree(tree_of(singular, wide, rms=2.0)).overall == pytest.approx(4.0)
    alike = tree_of(singular, wide, rms=2.0, autocorrelation=0.5, p=1e-6)
    np.testing.assert_allclose(Inflation.of_tree(alike).each, 12.0)
    chance = tree_of(singular, wide, rms=2.0, autocorrelation=0.5, p=0.2)
    np.testing.assert_allclose(Inflation.of_tree(chance).each, 4.0)
