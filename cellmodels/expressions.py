"""Formulas in chemistry and parameter files.

A formula is a text such as ``"3.3e-14 * exp(30300/R * (1/298.15 - 1/T))"``. It is parsed with
:mod:`ast`, checked node by node against a short list of what is allowed, and turned into a flat
program of a stack machine. Nothing is ever passed to ``eval``, ``exec`` or ``compile``.

Allowed are

* numbers, ``+ - * / **`` and parentheses,
* the formula's own variables, such as ``sto`` and ``T``,
* the constants :data:`CONSTANTS`: ``F``, ``R``, ``pi``,
* other parameters by their full name in double quotes,
  ``F * "Lithium plating kinetic rate constant [m.s-1]" * c_e``; a parameter that is itself a
  formula or a table is called, ``"Negative particle reference diffusivity [m2.s-1]"(sto) * 2``,
* the functions :data:`FUNCTIONS`.
"""

from __future__ import annotations

import ast
import math
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial, reduce
from typing import Any

import numpy as np

from cellmodels.errors import InputError, did_you_mean
from cellmodels.pybamm_functions import PybammFunction

#: Physical constants a formula may name: Faraday constant [C.mol-1] and gas constant [J.mol-1.K-1]
#: (exact in the SI since 2019), and pi.
CONSTANTS: dict[str, float] = {"F": 96485.33212331001, "R": 8.31446261815324, "pi": math.pi}

#: Functions a formula may call, with the number of arguments (None: two or more).
FUNCTIONS: dict[str, int | None] = {
    "exp": 1,
    "log": 1,
    "sqrt": 1,
    "tanh": 1,
    "sinh": 1,
    "cosh": 1,
    "arcsinh": 1,
    "abs": 1,
    "min": None,
    "max": None,
}

MAX_LENGTH = 4000
MAX_DEPTH = 120
MAX_EXPONENT = 100.0

_CHARACTERS = re.compile(r"""[A-Za-z0-9_+\-*/().,\s]|"[^"\\#{}\n]*\"""")
_BINARY = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Pow: "**"}
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")

#: One instruction of the stack machine: what to do, and with what.
Instruction = tuple[str, Any]


def _numpy_functions() -> dict[str, Callable[..., Any]]:
    names = ("exp", "log", "sqrt", "tanh", "sinh", "cosh", "arcsinh", "abs")
    functions: dict[str, Callable[..., Any]] = {name: getattr(np, name) for name in names}
    return functions | {"min": np.minimum, "max": np.maximum}


def _pybamm_functions() -> dict[str, Callable[..., Any]]:
    import pybamm

    names = ("exp", "log", "sqrt", "tanh", "sinh", "cosh", "arcsinh")
    functions: dict[str, Callable[..., Any]] = {name: getattr(pybamm, name) for name in names}
    return functions | {"abs": abs, "min": pybamm.minimum, "max": pybamm.maximum}


def casadi_functions() -> dict[str, Callable[..., Any]]:
    """Return the functions that :meth:`Expression.evaluate` needs for casadi symbols.

    Returns
    -------
    dict
        Function name -> casadi function, for the ``functions`` argument.
    """
    import casadi

    names = ("exp", "log", "sqrt", "tanh", "sinh", "cosh")
    functions: dict[str, Callable[..., Any]] = {name: getattr(casadi, name) for name in names}
    return functions | {
        "arcsinh": casadi.asinh,
        "abs": casadi.fabs,
        "min": casadi.fmin,
        "max": casadi.fmax,
    }


@dataclass(frozen=True)
class Expression:
    """A formula of named variables.

    Parameters
    ----------
    text : str
        The formula.
    variables : tuple of str
        Names of its variables, in the order in which :meth:`to_pybamm`'s function takes them.
        A variable need not occur in the formula.

    Attributes
    ----------
    parameters : tuple of str
        Names of the other parameters that the formula quotes, each once.
    calls : mapping of str to int
        Those among them that it calls, with the number of arguments.

    Raises
    ------
    InputError
        If the text holds anything but what the module lists as allowed. No other error is ever
        raised, whatever the text.

    Examples
    --------
    >>> float(Expression("2 * sto + 1", variables=("sto",)).evaluate({"sto": 0.5}))
    2.0
    """

    text: str
    variables: tuple[str, ...] = ("sto", "T")
    parameters: tuple[str, ...] = field(init=False, repr=False, compare=False)
    calls: Mapping[str, int] = field(init=False, repr=False, compare=False)
    _program: tuple[Instruction, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check the formula and compile it for the stack machine."""
        object.__setattr__(self, "variables", _check_variables(self.variables))
        program = _Compiler(self.text, self.variables).compile()
        plain = dict.fromkeys(value for action, value in program if action == "parameter")
        calls = _calls(self.text, plain, [value for action, value in program if action == "apply"])
        object.__setattr__(self, "_program", program)
        object.__setattr__(self, "parameters", (*plain, *calls))
        object.__setattr__(self, "calls", calls)

    def evaluate(
        self,
        values: Mapping[str, Any],
        functions: Mapping[str, Callable[..., Any]] | None = None,
    ) -> Any:
        """Evaluate the formula.

        Parameters
        ----------
        values : mapping
            A value for each variable and each quoted parameter: floats, numpy arrays (any
            shapes that broadcast), or symbols of the library that ``functions`` belongs to; a
            function for each parameter that is called.
        functions : mapping, optional
            Function name -> implementation. Default: numpy's. See :func:`casadi_functions`.

        Returns
        -------
        object
            The result, of the type that the values' arithmetic gives. With numpy, an operation
            that has no real result gives nan or inf, without a warning.

        Raises
        ------
        InputError
            If a variable or quoted parameter has no value.
        """
        if functions is not None:
            return self._run(values, functions)
        needed = [*self.variables, *self.parameters]
        arrays = {
            name: values[name] if name in self.calls else np.asarray(values[name], dtype=float)
            for name in needed
            if name in values
        }
        with np.errstate(all="ignore"):
            return self._run(arrays, _NUMPY, np.float64)

    def _run(
        self,
        values: Mapping[str, Any],
        functions: Mapping[str, Callable[..., Any]],
        number: Callable[[float], Any] = float,
    ) -> Any:
        """Run the program with these values."""

        def look_up(name: str) -> Any:
            if name not in values:
                raise InputError(f"The formula '{self.text}' needs a value for '{name}'.")
            return values[name]

        return _run(self._program, look_up, functions, number)

    def to_pybamm(self, name: str = "formula") -> PybammFunction:
        """Return a function of PyBaMM symbols, for :class:`pybamm.ParameterValues`.

        Parameters
        ----------
        name : str, optional
            The parameter's name, for error messages.

        Returns
        -------
        PybammFunction
            Takes as many positional arguments as there are variables, in their order. Quoted
            parameters become :class:`pybamm.Parameter`, called ones
            :class:`pybamm.FunctionParameter`. It can be pickled.
        """
        return PybammFunction(self, name)

    @property
    def arguments(self) -> tuple[str, ...]:
        """The variables, as a function of PyBaMM symbols takes them."""
        return self.variables

    def symbol(self, values: Mapping[str, Any], name: str) -> Any:
        """Return the formula as a PyBaMM symbol.

        Parameters
        ----------
        values : mapping
            A PyBaMM symbol for each variable.
        name : str
            The parameter's name; not used.

        Returns
        -------
        pybamm.Symbol
            The formula, in which quoted parameters are :class:`pybamm.Parameter` or, where they
            are called, :class:`pybamm.FunctionParameter`.

        Raises
        ------
        InputError
            If PyBaMM, which shortens ``sto - sto``, finds a division by zero.
        """
        import pybamm

        quoted = {
            each: partial(_function_parameter, each)
            if each in self.calls
            else pybamm.Parameter(each)
            for each in self.parameters
        }
        try:
            result = self.evaluate({**values, **quoted}, _pybamm_functions())
        except ArithmeticError:
            raise InputError(f"Formula '{_shown(self.text)}': a part of it divides by 0.") from None
        return pybamm.Scalar(result) if isinstance(result, float) else result

    def __str__(self) -> str:
        """Return the formula as it was written."""
        return self.text


def _run(
    program: Sequence[Instruction],
    look_up: Callable[[str], Any],
    functions: Mapping[str, Callable[..., Any]],
    number: Callable[[float], Any],
) -> Any:
    """Run a program on a stack and return what is left on it."""
    stack: list[Any] = []
    for action, payload in program:
        if action == "number":
            stack.append(number(payload))
        elif action in ("variable", "parameter"):
            stack.append(look_up(payload))
        elif action == "negative":
            stack.append(-stack.pop())
        elif action == "operator":
            right, left = stack.pop(), stack.pop()
            stack.append(_OPERATORS[payload](left, right))
        else:
            name, count = payload
            arguments = stack[-count:]
            del stack[-count:]
            if action == "apply":
                stack.append(look_up(name)(*arguments))
            else:
                stack.append(_call(functions[name], arguments))
    return stack.pop()


def _calls(text: str, plain: Mapping[str, Any], calls: list[tuple[str, int]]) -> dict[str, int]:
    """Return the parameters that are called, which are not quoted otherwise too."""
    counts: dict[str, int] = {}
    for name, count in calls:
        if name in plain or counts.setdefault(name, count) != count:
            raise InputError(f"Formula '{_shown(text)}': '{name}' is used in two ways.")
    return counts


def _function_parameter(name: str, *arguments: Any) -> Any:
    """Return a parameter that is a function, as a PyBaMM symbol."""
    import pybamm

    inputs = {f"argument {k}": argument for k, argument in enumerate(arguments, start=1)}
    return pybamm.FunctionParameter(name, inputs)


def _shown(text: object) -> str:
    """Return a formula as an error message shows it."""
    text = str(text)
    return text if len(text) <= 100 else text[:97] + "…"


_NUMPY = _numpy_functions()
_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": lambda left, right: left / right,
    "**": lambda left, right: left**right,
}


def _call(function: Callable[..., Any], arguments: list[Any]) -> Any:
    """Call a function of one argument, or fold one of two over more."""
    return function(*arguments) if len(arguments) == 1 else reduce(function, arguments)


def _check_variables(variables: tuple[str, ...] | list[str]) -> tuple[str, ...]:
    """Check that variables are distinct identifiers that hide no constant or function."""
    if isinstance(variables, str):
        raise InputError(f"A formula's variables are a list of names, not the text '{variables}'.")
    names = tuple(variables)
    for name in names:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise InputError(f"A formula's variable cannot be called {name!r}.")
        if name in CONSTANTS or name in FUNCTIONS:
            raise InputError(f"A formula's variable cannot be called '{name}': that has a meaning.")
    if len(set(names)) != len(names):
        raise InputError(f"A formula's variables ({', '.join(names)}) repeat a name.")
    return names


class _Compiler:
    """Turn a formula's text into the stack machine's program."""

    def __init__(self, text: str, variables: tuple[str, ...]) -> None:
        self.text = text
        self.variables = variables

    def compile(self) -> tuple[Instruction, ...]:
        """Return the program."""
        return tuple(self._visit(self._parse(), 0))

    def _error(self, message: str) -> InputError:
        return InputError(f"Formula '{_shown(self.text)}': {message}")

    def _parse(self) -> ast.expr:
        """Parse the text after a check of its length and its characters."""
        if not isinstance(self.text, str):
            raise InputError(f"A formula is a text, not {type(self.text).__name__}.")
        if len(self.text) > MAX_LENGTH:
            raise self._error(f"longer than {MAX_LENGTH} characters.")
        stray = _CHARACTERS.sub("", self.text)
        if stray:
            raise self._error(f"unexpected character {stray[0]!r}.")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return ast.parse(" ".join(self.text.split()), mode="eval").body
        except SyntaxError as error:
            raise self._error(f"not a formula ({error.msg}).") from None
        except (ValueError, RecursionError, MemoryError, OverflowError):
            raise self._error("not a formula.") from None

    def _visit(self, node: ast.expr, depth: int) -> list[Instruction]:
        """Return the program of one node; fold it to a number where it is constant."""
        if depth > MAX_DEPTH:
            raise self._error(f"nested more than {MAX_DEPTH} levels deep.")
        if isinstance(node, ast.Constant):
            return [self._constant(node.value)]
        if isinstance(node, ast.Name):
            return [self._variable(node.id)]
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
            return self._sign(node, depth)
        if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
            return self._operation(node, depth)
        if isinstance(node, ast.Call):
            return self._function(node, depth)
        raise self._error(
            f"'{type(node).__name__}' is not allowed; a formula has numbers, names, + - * / ** "
            f"and the functions {', '.join(FUNCTIONS)}."
        )

    def _constant(self, value: object) -> Instruction:
        if isinstance(value, str):
            if not value.strip():
                raise self._error("an empty parameter name.")
            return ("parameter", value)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self._error(f"{value!r} is not a number.")
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise self._error("a number is too large.")
        return ("number", number)

    def _variable(self, name: str) -> Instruction:
        if name in self.variables:
            return ("variable", name)
        if name in CONSTANTS:
            return ("number", CONSTANTS[name])
        known = [*self.variables, *CONSTANTS]
        raise self._error(f"unknown name '{name}'.{did_you_mean(name, known)}")

    def _sign(self, node: ast.UnaryOp, depth: int) -> list[Instruction]:
        program = self._visit(node.operand, depth + 1)
        if isinstance(node.op, ast.UAdd):
            return program
        return self._fold([*program, ("negative", None)])

    def _operation(self, node: ast.BinOp, depth: int) -> list[Instruction]:
        symbol = _BINARY[type(node.op)]
        left, right = self._visit(node.left, depth + 1), self._visit(node.right, depth + 1)
        if len(right) == 1 and right[0][0] == "number":
            number = right[0][1]
            if symbol == "/" and number == 0:
                raise self._error("division by zero.")
            if symbol == "**" and abs(number) > MAX_EXPONENT:
                raise self._error(f"an exponent is larger than {MAX_EXPONENT:g}.")
        return self._fold([*left, *right, ("operator", symbol)])

    def _function(self, node: ast.Call, depth: int) -> list[Instruction]:
        if isinstance(node.func, ast.Constant) and isinstance(node.func.value, str):
            return self._apply(node, depth)
        if not isinstance(node.func, ast.Name) or node.func.id not in FUNCTIONS:
            called = node.func.id if isinstance(node.func, ast.Name) else "that"
            raise self._error(f"unknown function '{called}'.{did_you_mean(called, FUNCTIONS)}")
        name, count = node.func.id, FUNCTIONS[node.func.id]
        wrong = len(node.args) < 2 if count is None else len(node.args) != count
        if wrong or node.keywords:
            raise self._error(f"'{name}' takes {count or 'two or more'} argument(s).")
        program = [step for each in node.args for step in self._visit(each, depth + 1)]
        return self._fold([*program, ("call", (name, len(node.args)))])

    def _apply(self, node: ast.Call, depth: int) -> list[Instruction]:
        """Return the program of a call of another parameter."""
        _, name = self._constant(node.func.value)  # type: ignore[attr-defined]
        if not node.args or node.keywords:
            raise self._error(f"'{name}' is called without arguments.")
        program = [step for each in node.args for step in self._visit(each, depth + 1)]
        return [*program, ("apply", (name, len(node.args)))]

    def _fold(self, program: list[Instruction]) -> list[Instruction]:
        """Replace a program without names by its value, which must be a finite number."""
        if any(action in ("variable", "parameter", "apply") for action, _ in program):
            return program
        with np.errstate(all="ignore"):
            value = float(_run(program, lambda name: name, _NUMPY, np.float64))
        if not math.isfinite(value):
            raise self._error("a constant part of it is not a finite number.")
        return [("number", value)]
