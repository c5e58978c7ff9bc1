import contextlib
import inspect
import math
import pickle

import casadi
import numpy as np
import pybamm
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cellmodels.errors import InputError
from cellmodels.expressions import CONSTANTS, FUNCTIONS, Expression, casadi_functions

OCP = (
    "1.9793*exp(-39.3631*sto) + 0.2482 - 0.0909*tanh(29.8538*(sto - 0.1234))"
    "- 0.04478*tanh(14.9159*(sto - 0.2769)) - 0.0205*tanh(30.4444*(sto - 0.6103))"
)
LAW = "3.3e-14 * exp(30300/R * (1/298.15 - 1/T))"


# --- numbers -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 + 2*3", 7.0),
        ("2**-2", 0.25),
        ("-2**2", -4.0),
        ("+sto", 0.25),
        ("(1 + sto)/(1 - sto)", 1.25 / 0.75),
        ("sqrt(sto) + log(T) + abs(-3)", 0.5 + math.log(300) + 3),
        ("sinh(sto) + cosh(sto) + arcsinh(sto) + tanh(sto)",
         math.sinh(0.25) + math.cosh(0.25) + math.asinh(0.25) + math.tanh(0.25)),
        ("min(sto, 0.1, T) + max(1, sto)", 1.1),
        ("F/(R*T)", CONSTANTS["F"] / (CONSTANTS["R"] * 300)),
        ("pi", math.pi),
        ("1e-3 * T", 0.3),
        ("2\n*\n3", 6.0),
    ],
)  # fmt: skip
def test_value(text, expected):
    value = Expression(text).evaluate({"sto": 0.25, "T": 300.0})
    assert value == pytest.approx(expected, rel=1e-14)


def test_constants_are_pybamms():
    assert pybamm.constants.F.value == CONSTANTS["F"]
    assert pybamm.constants.R.value == pytest.approx(CONSTANTS["R"], rel=1e-15)


def test_arrays_broadcast():
    value = Expression("sto + T").evaluate({"sto": np.ones((3, 1)), "T": np.arange(4)})
    assert value.shape == (3, 4)


def test_no_real_result_is_nan_without_a_warning(recwarn):
    assert np.isnan(Expression("log(sto)").evaluate({"sto": -1.0, "T": 0.0}))
    assert np.isinf(Expression("1/sto").evaluate({"sto": 0.0, "T": 0.0}))
    assert not recwarn.list


def test_missing_value():
    with pytest.raises(InputError, match="needs a value for 'T'"):
        Expression("sto*T").evaluate({"sto": 1.0})


LEAVES = st.one_of(
    st.sampled_from(["sto", "T", "R"]),
    st.floats(0.01, 10).map(lambda number: f"{number:.4f}"),
)
UNARY = [name for name, count in FUNCTIONS.items() if count == 1]
FORMULAS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds("({} {} {})".format, inner, st.sampled_from("+-*/"), inner),
        st.builds("{}({})".format, st.sampled_from(UNARY), inner),
        st.builds("{}({}, {})".format, st.sampled_from(["min", "max"]), inner, inner),
        st.builds("(-{})".format, inner),
        st.builds("(abs({})**{})".format, inner, st.sampled_from(["2", "0.5", "-1.5"])),
    ),
    max_leaves=12,
)


def by_python(text, **values):
    """The formula's value by Python's own parser, in NumPy."""
    names = {name: getattr(np, name) for name in UNARY}
    names |= {"min": np.minimum, "max": np.maximum, "R": np.float64(CONSTANTS["R"])}
    names |= {name: np.float64(value) for name, value in values.items()}
    with np.errstate(all="ignore"):
        return eval(text, {"__builtins__": {}}, names)  # noqa: S307 (our own text)


@given(FORMULAS)
def test_agrees_with_numpy(text):
    try:
        expression = Expression(text)
    except InputError:  # a constant part that is not finite
        return
    expected = by_python(text, sto=0.3, T=300.0)
    value = expression.evaluate({"sto": 0.3, "T": 300.0})
    np.testing.assert_allclose(value, expected, rtol=1e-12, atol=0)


@given(FORMULAS)
def test_casadi_and_pybamm_agree_with_numpy(text):
    try:
        expression = Expression(text)
    except InputError:
        return
    value = float(expression.evaluate({"sto": 0.3, "T": 300.0}))
    if not math.isfinite(value):
        return
    sto, temperature = casadi.SX.sym("sto"), casadi.SX.sym("T")
    symbol = expression.evaluate({"sto": sto, "T": temperature}, casadi_functions())
    by_casadi = float(casadi.Function("f", [sto, temperature], [symbol])(0.3, 300.0))
    function = expression.to_pybamm()
    by_pybamm = function(pybamm.InputParameter("sto"), pybamm.InputParameter("T"))
    by_pybamm = by_pybamm.evaluate(inputs={"sto": 0.3, "T": 300.0})
    tolerance = {"rtol": 1e-9, "atol": 1e-9 * max(1.0, abs(value))}
    np.testing.assert_allclose(by_casadi, value, **tolerance)
    np.testing.assert_allclose(np.asarray(by_pybamm).item(), value, **tolerance)


# --- what is not a formula ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        '__import__("os")',
        "().__class__",
        "sto.real",
        "sto[0]",
        "lambda: 1",
        "[1, 2]",
        "{1: 2}",
        "(1, 2)",
        "sto if T else 1",
        "sto and T",
        "sto < T",
        "not sto",
        "~1",
        "7 // 2",
        "7 % 2",
        "1 @ 2",
        "(sto := 1)",
        "True",
        "None",
        "...",
        "1j",
        'f"{sto}"',
        'b"name"',
        '""',
        "exp",
        "exp()",
        "exp(sto, T)",
        "exp(*sto)",
        "exp(x=sto)",
        "min(sto)",
        "eval(sto)",
        "exp(sto)(T)",
        "",
        " ",
        "sto +",
        "1/0",
        "sto/0",
        "sto/(1 - 1)",
        "log(0)",
        "sqrt(-1)",
        "(-1)**0.5",
        "1e999",
        "10**400",
        "9**9**9",
        "sto**1000",
        "sto # comment",
        "sto; T",
        "sto\\\n+ 1",
        "\x00",
        "٤",
        "ｅxp(sto)",
        "(" * 300 + "sto" + ")" * 300,
        "-" * 1000 + "sto",
        "+".join(["sto"] * 1500),
        "exp(" * 150 + "sto" + ")" * 150,
        "sto*" * 1000 + "sto",
        "9" * 5000,
    ],
)
def test_anything_else_is_an_input_error(text):
    with pytest.raises(InputError):
        Expression(text)


def test_nothing_is_ever_executed(monkeypatch):
    import builtins

    def forbidden(*_, **__):
        raise AssertionError("executed")

    for name in ("eval", "exec", "__import__"):
        monkeypatch.setattr(builtins, name, forbidden)
    Expression(OCP).evaluate({"sto": 0.5, "T": 300.0})
    with pytest.raises(InputError):
        Expression('__import__("os")')


@given(st.text(max_size=60))
@example("\ud800")
@example("1if sto else 2")
@example("0_7")
@example('"\\N{BULLET}"')
def test_no_text_raises_anything_but_input_error(text):
    with contextlib.suppress(InputError):
        Expression(text).evaluate({"sto": 0.5, "T": 300.0, text: 1.0})


@given(st.text(alphabet='sto T0123456789.+-*/()"expmin,_', max_size=40))
def test_no_formula_like_text_raises_anything_but_input_error(text):
    try:
        expression = Expression(text)
    except InputError:
        return
    expression.evaluate({"sto": 0.5, "T": 300.0, **dict.fromkeys(expression.parameters, 1.0)})


def test_unknown_name_suggests_the_nearest():
    with pytest.raises(InputError, match="Did you mean 'sto'"):
        Expression("stoo + 1")
    with pytest.raises(InputError, match="unknown function 'tan'.*Did you mean 'tanh'"):
        Expression("tan(sto)")


@pytest.mark.parametrize("variables", ["sto", ("sto", "sto"), ("F",), ("exp",), ("a b",), ("__x",)])
def test_bad_variables(variables):
    with pytest.raises(InputError):
        Expression("1", variables)


# --- as a value --------------------------------------------------------------------------------


def test_equal_hashable_and_pickled():
    expression = Expression(OCP, ("sto",))
    assert expression == Expression(OCP, ("sto",))
    assert expression != Expression(OCP, ("sto", "T"))
    assert hash(expression) == hash(Expression(OCP, ("sto",)))
    assert pickle.loads(pickle.dumps(expression)) == expression
    assert str(expression) == OCP


def test_quoted_parameters_are_listed_once():
    expression = Expression('F * "k [m.s-1]" * c + "k [m.s-1]"', ("c",))
    assert expression.parameters == ("k [m.s-1]",)
    value = expression.evaluate({"c": 2.0, "k [m.s-1]": 3.0})
    assert value == pytest.approx(CONSTANTS["F"] * 6 + 3)


# --- in PyBaMM ---------------------------------------------------------------------------------


def test_open_circuit_potential_is_pybamms():
    theirs = pybamm.ParameterValues("Chen2020")["Negative electrode OCP [V]"]
    sto = np.linspace(0.01, 0.99, 50)
    expected = theirs(pybamm.Vector(sto)).evaluate()[:, 0]
    np.testing.assert_allclose(Expression(OCP, ("sto",)).evaluate({"sto": sto}), expected)


def test_function_parameters_of_one_two_and_four_variables():
    """OCP(sto), diffusivity(sto, T), conductivity(c_e, T), exchange current(c_e, c, c_max, T)."""
    conductivity = (
        "(0.1297*(c_e/1000)**3 - 2.51*(c_e/1000)**1.5 + 3.329*(c_e/1000))"
        "* exp(17000/R*(1/298.15 - 1/T))"
    )
    exchange = "6.48e-7*exp(35000/R*(1/298.15 - 1/T)) * c_e**0.5 * c**0.5 * (c_max - c)**0.5"
    ours = {
        "Negative electrode OCP [V]": Expression(OCP, ("sto",)),
        "Negative particle diffusivity [m2.s-1]": Expression(LAW, ("sto", "T")),
        "Electrolyte conductivity [S.m-1]": Expression(conductivity, ("c_e", "T")),
        "Negative electrode exchange-current density [A.m-2]": Expression(
            exchange, ("c_e", "c", "c_max", "T")
        ),
    }
    base = pybamm.ParameterValues("OKane2022")
    base["Negative electrode OCP [V]"] = pybamm.ParameterValues("Chen2020")[
        "Negative electrode OCP [V]"
    ]
    changed = base.copy()
    changed.update({name: each.to_pybamm(name) for name, each in ours.items()})
    voltages = []
    for values in (base, changed):
        simulation = pybamm.Simulation(pybamm.lithium_ion.SPMe(), parameter_values=values)
        solution = simulation.solve([0, 1800])
        voltages.append(solution["Voltage [V]"](t=np.linspace(0, 1800, 10)))
    np.testing.assert_allclose(*voltages, rtol=1e-7)


def test_quoted_parameter_may_be_an_input():
    values = pybamm.ParameterValues({"k [m.s-1]": "[input]"})
    function = Expression('"k [m.s-1]" * c', ("c",)).to_pybamm("Rate [m.s-1]")
    symbol = values.process_symbol(function(pybamm.Scalar(2.0)))
    assert symbol.evaluate(inputs={"k [m.s-1]": 3.0}) == 6.0


def test_constant_formula_gives_a_symbol():
    assert Expression("2*3").to_pybamm()(pybamm.Scalar(1), pybamm.Scalar(1)) == pybamm.Scalar(6)


def test_wrong_number_of_arguments_names_the_parameter():
    function = Expression(OCP, ("sto",)).to_pybamm("Negative electrode OCP [V]")
    with pytest.raises(InputError, match=r"Negative electrode OCP \[V\].*passes 2"):
        function(pybamm.Scalar(0.5), pybamm.Scalar(300))


def test_pybamm_function_is_pickled_and_serialised():
    function = Expression(LAW).to_pybamm("Negative particle diffusivity [m2.s-1]")
    assert pickle.loads(pickle.dumps(function)) == function
    assert list(inspect.signature(function).parameters) == ["sto", "T"]
    assert function.__name__.isidentifier()
    values = pybamm.ParameterValues({"Negative particle diffusivity [m2.s-1]": function})
    again = pybamm.ParameterValues.from_json(values.to_json())
    parameter = pybamm.FunctionParameter(
        "Negative particle diffusivity [m2.s-1]",
        {"sto": pybamm.Scalar(0.5), "T": pybamm.Scalar(310)},
    )
    expected = Expression(LAW).evaluate({"sto": 0.5, "T": 310.0})
    assert again.process_symbol(parameter).evaluate() == pytest.approx(expected)


# --- calls of other parameters -------------------------------------------------------------------


def test_call_of_another_parameter():
    expression = Expression('"D [m2.s-1]"(2*sto) * "k"', ("sto",))
    assert expression.calls == {"D [m2.s-1]": 1}
    assert set(expression.parameters) == {"D [m2.s-1]", "k"}
    given = {"sto": 3.0, "k": 2.0, "D [m2.s-1]": lambda x: x + 1}
    assert expression.evaluate(given) == 14
    values = pybamm.ParameterValues({"k": 2.0, "D [m2.s-1]": lambda x: x + 1})
    symbol = expression.to_pybamm("law")(pybamm.Scalar(3.0))
    assert values.process_symbol(symbol).evaluate() == 14


@pytest.mark.parametrize(
    "text", ['"D"()', '"D"(a=1)', '"D"(sto) + "D"', '"D"(sto) + "D"(sto, sto)', '"D"(sto)(sto)']
)
def test_wrong_calls(text):
    with pytest.raises(InputError):
        Expression(text, ("sto",))
