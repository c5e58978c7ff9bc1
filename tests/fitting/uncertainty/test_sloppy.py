"""What is said of constructed informations."""

from __future__ import annotations

import numpy as np
import pytest

from cellmodels.fitting.scaling import FreeParameter
from cellmodels.fitting.uncertainty.sloppy import LOOSE, directions, in_words


def bounds(linear):
    return (-1.0, 3.0) if linear else (0.01, 1e4)


ANYWHERE = "A is not determined: it may lie anywhere between its bounds."


def parameters(names, linear="", unit="m2.s-1"):
    return [FreeParameter(f"{n} [{unit}]", 1.0, *bounds(n in linear), unit=unit) for n in names]


def said(names, *known, linear="", variance=1.0):
    """What is said where combinations `known` (weights, standard error) were measured."""
    rows = np.array([np.array(weights, float) / error for weights, error in known])
    return in_words(rows.T @ rows, parameters(names, linear), variance)


def test_nothing_is_said_where_all_is_determined():
    assert said("AB", ((1, 1), 0.03), ((1, -1), 0.03)) == []
    assert said("A", ((1,), 0.9 * LOOSE)) == []


def test_a_product():
    expected = (
        "Only the product A × B (standard error 3 %) is determined, neither of the two by itself: "
        "one makes up for the other."
    )
    assert said("AB", ((1, 1), 0.03)) == [expected]
    assert said("AB", ((1, 1), 0.03), ((1, -1), 5.0)) == [expected]
    # nearly a product is one, unless the data tell it from one
    assert said("AB", ((1, 1.01), 0.03), ((1, -1), 0.9)) == [expected]


def test_the_variance_of_the_residuals_counts():
    (text,) = said("AB", ((1, 1), 0.03), variance=4.0)
    assert "A × B (standard error 6 %)" in text


def test_a_ratio():
    (text,) = said("AB", ((1, -1), 0.02), ((1, 1), 0.8))
    assert text.startswith("Only the ratio A / B (standard error 2 %) is determined,")


def test_exponents_are_as_simple_as_the_data_allow():
    (half,) = said("AB", ((1, 0.503), 0.03), ((0.5, -1), 1.0))
    assert "the product A × (B)^(1/2) (standard error 3" in half
    (odd,) = said("AB", ((1, 0.7), 0.01), ((0.7, -1), 3.0))
    assert "the product A × (B)^0.7 (standard error 1 %)" in odd
    (square,) = said("AB", ((1, 2), 0.02))
    assert "the product A × (B)^2" in square


def test_a_single_parameter():
    assert said("AB", ((1, 0), 0.03), ((0, 1), 1.0)) == [
        "B is not determined (95 % interval: a factor of 7.1 either way)."
    ]
    # also where the stiff direction is not quite along the other
    assert said("AB", ((1, -0.02), 0.03)) == [
        "B is not determined: it may lie anywhere between its bounds."
    ]
    assert said("A", ((0,), 1.0)) == [
        "A is not determined: it may lie anywhere between its bounds."
    ]
    assert said("A", ((1,), 2.5)) == ["A is not determined within a factor of a hundred."]


def test_each_of_two_by_itself():
    texts = said("AB", ((1, 0), 0.3), ((0, 1), 2.5))
    assert texts == [
        "A is not determined (95 % interval: a factor of 1.8 either way).",
        "B is not determined within a factor of a hundred.",
    ]


def test_a_combination_that_says_no_more_than_its_parameters_is_not_named():
    (first, second) = said("AB", ((1, 0), 0.2), ((0.2, 1), 0.18))
    assert first.startswith("A is not determined") and second.startswith("B is not determined")


def test_a_product_and_a_parameter_beside_it():
    texts = said("ABCD", ((1, 0, 1, 0), 0.03), ((0, 1, 0, 0), 1.0), ((0, 0, 0, 1), 0.01))
    assert texts[0].startswith("Only the product A × C (standard error 3 %)")
    assert texts[1].startswith("B is not determined")
    assert len(texts) == 2


def test_three_that_make_up_for_each_other():
    (one,) = said("ABC", ((1, 1, 1), 0.03))
    assert one == (
        "Of A, B and C only this combination is determined: the product A × B × C "
        "(standard error 3 %)."
    )
    (two,) = said("ABC", ((1, 1, 0), 0.03), ((0, 1, 2), 0.03))
    assert two.startswith("Of A, B and C only these combinations are determined: the product B")
    assert "B × (C)^2 (standard error 3 %)" in two
    (odd,) = said("ABC", ((1, 1.3, -0.4), 0.03))
    assert "the ratio A × (B)^1.3 / (C)^0.4 (standard error 3 %)" in odd


def test_linear_parameters_make_sums():
    (text,) = said("AB", ((1, 1), 0.03), linear="AB")  # one scaled unit is 1 m2.s-1
    assert "the sum A + B (standard error 0.03 m2.s-1)" in text
    (text,) = said("AB", ((1, -0.25), 0.03), linear="AB")
    assert "the difference A - 0.25 × B (standard error 0.03 m2.s-1)" in text
    assert said("A", ((1,), 0.5), linear="A") == [
        "A is not determined (standard error 0.5 m2.s-1)."
    ]
    assert said("A", ((1,), 10.0), linear="A") == [
        "A is not determined: it may lie anywhere between its bounds."
    ]


def test_linear_and_logarithmic_together():
    (text,) = said("AB", ((1, -2), 0.03), linear="B")
    assert "the combination ln(A) - 2 × B / (1 m2.s-1) (standard error 0.03)" in text


def test_the_words_do_not_depend_on_the_order():
    forwards = said("ABC", ((1, 1, 0), 0.03), ((0, 0, 1), 1.0))
    rows = np.array([[0, 1, 1], [1, 0, 0]]) / np.array([[0.03], [1.0]])
    back = in_words(rows.T @ rows, parameters("CBA"))
    assert {t.replace("B × A", "A × B").replace("B and A", "A and B") for t in back} == set(
        forwards
    )


def test_narrow_bounds_determine_nothing():
    tight = [FreeParameter("A", 1.0, 0.9, 1.1), FreeParameter("B", 1.0, 0.1, 10.0)]
    assert in_words(np.diag([0.0, 1e4]), tight) == [
        "A is not determined: it may lie anywhere between its bounds."
    ]


def test_directions():
    rows = np.array([[1.0, 1.0], [0.0, 0.0]]) / 0.1
    found = directions(rows.T @ rows, parameters("AB"), variance=4.0)
    np.testing.assert_allclose(np.abs(found["vector"][0]), np.sqrt(0.5))
    assert float(found["standard_error"][0]) == pytest.approx(0.2 / np.sqrt(2))
    assert np.isinf(found["standard_error"][1]) and float(found["eigenvalue"][1]) == 0.0
