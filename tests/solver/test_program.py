"""CasADi's functions evaluated by our own loop."""

import casadi as ca
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellmodels.solver.program import Program

V, P = ca.SX.sym("v", 3), ca.SX.sym("p", 2)
X, Y = V[0], V[1]
OPERATIONS = {
    "plus": X + Y,
    "minus": X - Y,
    "times": X * Y,
    "over": X / Y,
    "negative": -X,
    "inverse": 1 / X,
    "twice": 2 * X,
    "square": X**2,
    "power": ca.fabs(X) ** Y,
    "power of 3/2": ca.fabs(X) ** 1.5,
    "constant power": ca.fabs(X) ** 2.3,
    "sqrt": ca.sqrt(ca.fabs(X)),
    "exp": ca.exp(X),
    "log": ca.log(ca.fabs(X)),
    "expm1": ca.expm1(X),
    "log1p": ca.log1p(ca.fabs(X)),
    "sin": ca.sin(X),
    "cos": ca.cos(X),
    "tan": ca.tan(X),
    "asin": ca.asin(ca.tanh(X)),
    "acos": ca.acos(ca.tanh(X)),
    "atan": ca.atan(X),
    "atan2": ca.atan2(X, Y),
    "sinh": ca.sinh(X),
    "cosh": ca.cosh(X),
    "tanh": ca.tanh(X),
    "asinh": ca.asinh(X),
    "acosh": ca.acosh(1 + ca.fabs(X)),
    "atanh": ca.atanh(ca.tanh(X) / 2),
    "fmin": ca.fmin(X, Y),
    "fmax": ca.fmax(X, Y),
    "fabs": ca.fabs(X),
    "sign": ca.sign(X),
    "hypot": ca.hypot(X, Y),
    "floor": ca.floor(X),
    "ceil": ca.ceil(X),
    "copysign": ca.copysign(X, Y),
    "fmod": ca.fmod(X, Y),
    "less": X < Y,
    "at most": X <= Y,
    "equal": ca.eq(ca.floor(X), ca.floor(Y)),
    "unequal": ca.ne(ca.floor(X), ca.floor(Y)),
    "not": ca.logic_not(X < Y),
    "and": ca.logic_and(X < Y, X < 1),
    "or": ca.logic_or(X < Y, X < 1),
    "if": ca.if_else(X < Y, X, 3 * Y),
    "erf": ca.erf(X),
    "parameters": P[0] * X + P[1],
    "constant": ca.SX(3.0),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_same_as_casadi(name):
    function = ca.Function("f", [V, P], [OPERATIONS[name]])
    points = np.random.default_rng(1).uniform(-3, 3, (37, 3))
    theta = np.array([0.7, -1.3])
    expected = function.map(37)(points.T, np.tile(theta[:, None], 37)).full().ravel()
    np.testing.assert_allclose(Program(function)(points, theta)[:, 0], expected, rtol=1e-13)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 50), st.integers(0, 1000))
def test_any_number_of_points(count, seed):
    function = ca.Function("f", [V, P], [ca.vertcat(X * P[0], ca.exp(Y) - X, 1.0, V[2])])
    points = np.random.default_rng(seed).normal(size=(count, 3))
    x, y, z = points.T
    expected = np.column_stack([0.5 * x, np.exp(y) - x, np.ones(count), z])
    np.testing.assert_allclose(Program(function)(points, np.array([0.5, 0.0])), expected)


#: Of which vectors are made, and arguments over many decades.
SIZES = np.concatenate([np.logspace(-12, 2.8, 400), np.linspace(700.0, 708.3, 80)])
WIDE = np.concatenate([-SIZES, SIZES])
FUNCTIONS = {
    "exp": (ca.exp, np.append(WIDE, np.linspace(708.3, 709.78, 90))),
    "log": (ca.log, np.logspace(-300, 300, 900)),
    "log near one": (ca.log, 1.0 + np.concatenate([-np.logspace(-15, -0.1, 300), SIZES])),
    "tanh": (ca.tanh, WIDE),
    "sinh": (ca.sinh, WIDE),
    "asinh": (ca.asinh, np.concatenate([WIDE, 1e6 * WIDE, 1e300 * WIDE])),
    "sqrt(x^2 + 2)": (lambda x: ca.hypot(x, ca.sqrt(2)), np.append(WIDE, 1e300 * WIDE)),
    "sqrt(2) |x|": (lambda x: ca.hypot(x, x), np.concatenate([WIDE, 1e-290 * WIDE, 1e300 * WIDE])),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_of_vectors_err_by_a_few_units_of_the_last_place(name):
    rule, x = FUNCTIONS[name]
    function = ca.Function("f", [V, P], [rule(X)])
    expected = np.array([float(function([a, 0, 0], [0, 0])) for a in x])
    points = np.column_stack([x, x, x])
    found = Program(function)(points, np.zeros(2))[:, 0]
    np.testing.assert_allclose(found, expected, rtol=4 * np.finfo(float).eps, atol=1e-307)


SPECIAL = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 800.0, -800.0, -1.0])


@pytest.mark.parametrize("name", ["exp", "log", "tanh", "sinh", "asinh"])
@pytest.mark.filterwarnings("ignore:invalid value|divide by zero|overflow")
def test_functions_of_what_is_no_ordinary_number(name):
    rule = FUNCTIONS[name][0]
    function = ca.Function("f", [V, P], [rule(X)])
    points = np.column_stack([SPECIAL, SPECIAL, SPECIAL])
    numpy = {"asinh": "arcsinh"}.get(name, name)
    expected = getattr(np, numpy)(SPECIAL)
    np.testing.assert_array_almost_equal_nulp(
        np.nan_to_num(Program(function)(points, np.zeros(2))[:, 0], nan=77.0),
        np.nan_to_num(expected, nan=77.0),
        nulp=4,
    )


@pytest.mark.parametrize("rule", [ca.fmin, ca.fmax], ids=["fmin", "fmax"])
def test_the_smaller_and_the_larger_of_a_number_and_none(rule):
    function = ca.Function("f", [V, P], [rule(X, Y)])
    points = np.array([[np.nan, 2.0, 0.0], [2.0, np.nan, 0.0], [np.nan, np.nan, 0.0]])
    found = Program(function)(points, np.zeros(2))[:, 0]
    np.testing.assert_array_equal(found, [2.0, 2.0, np.nan])
