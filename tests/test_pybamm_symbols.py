import numpy as np
import pybamm
import pytest

from cellmodels import pybamm_symbols
from cellmodels.errors import InputError
from cellmodels.expressions import Expression
from cellmodels.parameter_set import ParameterSet
from cellmodels.tables import Table

RANGES = {"sto": (0.05, 0.95), "c_e": (300.0, 2000.0), "T": (270.0, 330.0), "T_dim": (270.0, 330.0)}
RANGES |= {"c_s_surf": (100.0, 20000.0), "c_s_max": (21000.0, 40000.0), "c_Li": (0.0, 10.0)}
RANGES |= {"L_sei": (1e-9, 1e-7), "sto_surf": (0.05, 0.95)}
SETS = ["OKane2022", "Ecker2015", "Ai2020", "NCA_Kim2011", "Marquis2019"]


def compared(name, mine, theirs):
    """Values of a function in two parameter sets, at some arguments."""
    arguments = pybamm_symbols._arguments(theirs[name], name)
    rng = np.random.default_rng(5)
    points = [rng.uniform(*RANGES[each], 40) for each in arguments]
    symbols = {each: pybamm.Vector(p) for each, p in zip(arguments, points, strict=True)}
    found = []
    for values in (mine, theirs):
        symbol = values.process_symbol(pybamm.FunctionParameter(name, dict(symbols)))
        found.append(np.broadcast_to(np.ravel(symbol.evaluate()), 40))
    return found


@pytest.mark.parametrize("name", SETS)
def test_pybamms_functions_are_taken_over(name):
    theirs = pybamm.ParameterValues(name)
    taken = ParameterSet.from_pybamm(theirs, "mine", source="PyBaMM")
    mine = taken.parameter_values()
    functions = [each for each, value in theirs.items() if callable(value)]
    assert len(functions) > 6
    for each in functions:
        ours, expected = compared(each, mine, theirs)
        exact = not isinstance(taken.value(each), Table) or name != "NCA_Kim2011"
        off = 1e-10 if exact else 1.1 * pybamm_symbols.SAMPLING_ERROR
        np.testing.assert_allclose(ours, expected, rtol=off, atol=off * np.median(np.abs(expected)))
    for each, value in theirs.items():
        if isinstance(value, (int, float)):
            assert taken.value(each) == value


def test_a_function_without_a_formula_is_sampled_within_the_bound():
    def wave(sto):
        return 3 + pybamm.sin(9 * sto) * (sto > 0.2)

    def smooth(sto):
        return 3 + pybamm.sin(9 * sto)

    with pytest.raises(InputError, match="more than 10000 rows"):
        pybamm_symbols.law(wave, "A [V]")  # it jumps
    table, _ = pybamm_symbols.law(smooth, "A [V]")
    sto = np.linspace(0, 1, 5001)
    error = np.abs(table.evaluate({"sto": sto}) - 3 - np.sin(9 * sto)).max()
    assert 0 < error < pybamm_symbols.SAMPLING_ERROR * 4


def test_interpolants_inside_a_formula_are_called():
    x, y = np.array([0.0, 0.3, 1.0]), np.array([1.0, 4.0, 2.0])

    def diffusivity(sto, T):
        return pybamm.Interpolant(x, y, sto) * pybamm.exp(-100 / T) + pybamm.Interpolant(x, y, sto)

    values = {"Negative particle diffusivity [m2.s-1]": diffusivity}
    taken = ParameterSet.from_pybamm(values, "mine", source="me")
    assert len(taken.parameters) == 2  # the table once
    symbol = taken.parameter_values()["Negative particle diffusivity [m2.s-1]"](
        pybamm.Scalar(0.5), pybamm.Scalar(300)
    )
    expected = np.interp(0.5, x, y) * (1 + np.exp(-100 / 300))
    assert taken.parameter_values().evaluate(symbol) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (lambda a, b: pybamm.sin(a) * b, "no formula or table"),
        (lambda pressure: pybamm.sin(pressure), "no range"),
        (lambda sto: 1 / 0, "cannot be called"),
        (lambda sto: pybamm.log(sto - 2) + pybamm.sin(sto), "not finite"),
        ("[input]", "not a"),
        (np.ones(3), "not a"),
    ],
)
def test_what_cannot_be_taken_over(value, words):
    with pytest.raises(InputError, match=words):
        ParameterSet.from_pybamm({"A [V]": value}, "mine", source="me")


def test_signs_powers_and_quotients_keep_their_order():
    def odd(sto):
        return -(((sto - 1) ** 2) ** (sto / 3)) / (2 / (sto * 3)) - (1 - (sto - 2)) * -sto

    formula, _ = pybamm_symbols.law(odd, "A [V]")
    assert isinstance(formula, Expression)
    sto = np.linspace(0.1, 0.9, 9)
    np.testing.assert_allclose(formula.evaluate({"sto": sto}), odd(sto), rtol=1e-12)
