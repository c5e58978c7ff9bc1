"""PyBaMM's functions of symbols as our formulas and tables.

A parameter of PyBaMM may be a Python function. Called with symbols it returns a tree of symbols,
which is read here node by node: arithmetic and elementary functions become a formula, one-
dimensional interpolants become tables. What has no such form is sampled, if it depends on one
argument only.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pybamm

from cellmodels.errors import InputError
from cellmodels.expressions import Expression
from cellmodels.formula_text import FormulaText, call, function, quoted
from cellmodels.parameter import Value, finite
from cellmodels.pybamm_functions import PybammFunction
from cellmodels.tables import MAX_ROWS, Table

#: Range over which an argument is sampled where a function has no formula: stoichiometry,
#: concentration of the electrolyte [mol.m-3] and temperature [K].
SAMPLED: dict[str, tuple[float, float]] = {
    "sto": (0.0, 1.0),
    "x": (0.0, 1.0),
    "c_e": (0.0, 4000.0),
    "T": (233.15, 373.15),
    "T_dim": (233.15, 373.15),
}
#: Largest error of a table made by sampling, relative to the value or to the median of all.
SAMPLING_ERROR = 1e-6

_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "Addition": lambda a, b: a + b,
    "Subtraction": lambda a, b: a - b,
    "Multiplication": lambda a, b: a * b,
    "Division": lambda a, b: a / b,
    "Power": lambda a, b: a**b,
    "Minimum": function("min"),
    "Maximum": function("max"),
}
_FUNCTIONS = {
    "Exp": "exp",
    "Log": "log",
    "Sqrt": "sqrt",
    "Tanh": "tanh",
    "Sinh": "sinh",
    "Cosh": "cosh",
    "Arcsinh": "arcsinh",
    "AbsoluteValue": "abs",
}


class _NoFormulaError(Exception):
    """A symbol that the grammar of formulas does not have."""


def law(value: Callable[..., Any], name: str) -> tuple[Value, dict[str, Table]]:
    """Return a function of PyBaMM symbols as a number, a formula or a table.

    Parameters
    ----------
    value : callable
        The function, which takes a symbol for each argument. It is called.
    name : str
        The parameter's name, for messages and for the names of tables.

    Returns
    -------
    value : float, Expression or Table
        The same, exactly, where a formula or the function's own interpolant gives it. Otherwise,
        for a function of one argument, a table sampled over :data:`SAMPLED`, linear between rows
        and wrong by at most about :data:`SAMPLING_ERROR` of the value, or of the median of all.
    tables : dict of str to Table
        Further parameters that a formula calls, if any: interpolants inside it.

    Raises
    ------
    InputError
        If it cannot be called with symbols, or has none of these forms.
    """
    arguments = _arguments(value, name)
    variables = [pybamm.Variable(each) for each in arguments]
    try:
        symbol = value(*variables)
    except Exception as error:  # somebody else's function
        raise InputError(f"'{name}': its function cannot be called ({error}).") from error
    if not isinstance(symbol, pybamm.Symbol):
        symbol = pybamm.Scalar(float(symbol))
    reader = _Reader(name, arguments)
    try:
        if isinstance(symbol, pybamm.Interpolant) and symbol.children[0] in variables:
            return reader.table(symbol, symbol.children[0].name, arguments), {}
        text = reader.read(symbol)
        if not isinstance(text, FormulaText):
            return float(text), {}
        return Expression(text.text, arguments), reader.tables
    except (_NoFormulaError, InputError) as error:
        return _sampled(symbol, name, arguments, error), {}


def plain_values(values: Mapping[str, Any]) -> tuple[dict[str, Value], dict[str, str]]:
    """Return the content of a PyBaMM parameter set as numbers, formulas and tables.

    Parameters
    ----------
    values : mapping
        Parameter name -> number or function. PyBaMM's own entries "chemistry" and "citations"
        are passed over.

    Returns
    -------
    found : dict of str to Value
        What could be read, and the tables that its formulas call.
    failed : dict of str to str
        Name of what could not be read -> why.
    """
    found: dict[str, Value] = {}
    failed: dict[str, str] = {}
    for name, value in values.items():
        if name in ("chemistry", "citations"):
            continue
        try:
            if isinstance(value, PybammFunction) and isinstance(value.law, (Expression, Table)):
                found[name] = value.law
            elif callable(value):
                found[name], tables = law(value, name)
                found |= tables
            else:
                found[name] = finite(_number(value), name)
        except InputError as error:
            failed[name] = str(error)
    return found, failed


def _number(value: Any) -> Any:
    """Return the number that a constant symbol of PyBaMM holds, and anything else as it is."""
    return value.value if isinstance(value, pybamm.Scalar) else value


def adaptive_table(
    evaluate: Callable[[np.ndarray], np.ndarray],
    knots: Sequence[float] | np.ndarray,
    error: float = SAMPLING_ERROR,
    rows: int = MAX_ROWS,
) -> tuple[np.ndarray, np.ndarray]:
    """Sample a function so that straight lines between the samples are close to it.

    Parameters
    ----------
    evaluate : callable
        The function of an array, shape (n,) -> (n,).
    knots : sequence of float
        Where to begin, increasing; intervals are halved from there.
    error : float, optional
        Largest error halfway between the samples, relative to the function there or to the median
        of its absolute values at the knots, whichever is larger.
    rows : int, optional
        Most samples.

    Returns
    -------
    x, y : numpy.ndarray, shape (n,)
        The samples.

    Raises
    ------
    InputError
        If the function is not finite, or more samples would be needed.
    """
    x = np.asarray(knots, dtype=float)
    y = np.asarray(evaluate(x), dtype=float)
    typical = float(np.median(np.abs(y)))
    while True:
        middle = (x[1:] + x[:-1]) / 2
        there = np.asarray(evaluate(middle), dtype=float)
        if not (np.all(np.isfinite(y)) and np.all(np.isfinite(there))):
            raise InputError("not finite over the range in which it is sampled.")
        most = error * np.maximum(np.abs(there), max(typical, 1e-300))
        off = np.abs(there - (y[1:] + y[:-1]) / 2) > most
        if not off.any():
            return x, y
        if len(x) + off.sum() > rows:
            raise InputError(f"a table of it would need more than {rows} rows.")
        order = np.argsort(np.concatenate([x, middle[off]]), kind="stable")
        x = np.concatenate([x, middle[off]])[order]
        y = np.concatenate([y, there[off]])[order]


class _Reader:
    """Reads one tree of symbols."""

    def __init__(self, name: str, arguments: Sequence[str]) -> None:
        self.name = name
        self.arguments = arguments
        self.tables: dict[str, Table] = {}

    def read(self, symbol: pybamm.Symbol) -> Any:
        """Return a symbol's formula."""
        kind = type(symbol).__name__
        if isinstance(symbol, pybamm.Scalar):
            return float(symbol.value)
        if isinstance(symbol, pybamm.Variable) and symbol.name in self.arguments:
            return FormulaText(symbol.name)
        if isinstance(symbol, pybamm.FunctionParameter):
            return call(f'"{symbol.name}"', *map(self.read, symbol.children))
        if isinstance(symbol, pybamm.Parameter):
            return quoted(symbol.name)
        if isinstance(symbol, pybamm.Interpolant):
            return self._inner_table(symbol)
        parts = [self.read(child) for child in symbol.children]
        if kind == "Negate":
            return -parts[0]
        if kind in _OPERATORS:
            return _OPERATORS[kind](*parts)
        if kind in _FUNCTIONS:
            return function(_FUNCTIONS[kind])(*parts)
        raise _NoFormulaError(f"it has a '{kind}'")

    def table(self, symbol: pybamm.Interpolant, argument: str, arguments: Sequence[str]) -> Table:
        """Return an interpolant of one argument as a table."""
        if symbol.dimension != 1 or symbol.interpolator not in ("linear", "cubic"):
            raise _NoFormulaError(
                f"it has a {symbol.dimension}-D {symbol.interpolator} interpolant"
            )
        x, y = np.ravel(symbol.x[0]), np.ravel(symbol.y)
        return Table(tuple(x), tuple(y), argument, tuple(arguments), symbol.interpolator)

    def _inner_table(self, symbol: pybamm.Interpolant) -> FormulaText:
        """Return the call of an interpolant, which becomes a parameter of its own."""
        table = self.table(symbol, "x", ("x",))
        stem, bracket, unit = self.name.partition(" [")
        number = next(
            (k for k, known in enumerate(self.tables.values()) if known == table), len(self.tables)
        )
        key = f"{stem} table {number + 1}{bracket}{unit}"
        self.tables[key] = table
        return call(f'"{key}"', *map(self.read, symbol.children))


def _arguments(value: Callable[..., Any], name: str) -> tuple[str, ...]:
    """Return the names of a function's positional arguments."""
    try:
        found = inspect.signature(value).parameters.values()
    except (TypeError, ValueError):
        raise InputError(f"'{name}': its function does not say what it depends on.") from None
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return tuple(p.name for p in found if p.kind in positional and p.default is p.empty)


def _sampled(
    symbol: pybamm.Symbol, name: str, arguments: Sequence[str], reason: Exception
) -> Table:
    """Return a table of a function that depends on one argument only."""
    leaves = [each for each in symbol.pre_order() if not each.children]
    used = {each.name for each in leaves if isinstance(each, pybamm.Variable)}
    if len(used) != 1 or any(isinstance(each, pybamm.Parameter) for each in leaves):
        raise InputError(f"'{name}' has no formula or table: {reason}.") from None
    (argument,) = used
    if argument not in SAMPLED:
        raise InputError(f"'{name}': no range is known over which to sample '{argument}'.")

    def evaluate(x: np.ndarray) -> np.ndarray:
        inputs: Mapping[str, Any] = {argument: pybamm.Vector(x)}
        return np.ravel(_with(symbol, inputs).evaluate())

    try:
        x, y = adaptive_table(evaluate, np.linspace(*SAMPLED[argument], 65))
    except InputError as error:
        raise InputError(f"'{name}': {error}") from None
    return Table(tuple(x), tuple(y), argument, tuple(arguments))


def _with(symbol: pybamm.Symbol, inputs: Mapping[str, Any]) -> pybamm.Symbol:
    """Return a symbol with others in place of its variables."""
    if isinstance(symbol, pybamm.Variable):
        return inputs[symbol.name]
    if not symbol.children:
        return symbol
    return symbol.create_copy(new_children=[_with(child, inputs) for child in symbol.children])
