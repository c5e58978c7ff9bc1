"""Formulas written by doing arithmetic: what Python computes with :class:`FormulaText` is its text.

This turns the symbols of another library, or a formula of ours with numbers put in for some of its
names, into a text that :class:`cellmodels.expressions.Expression` reads.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from cellmodels.errors import InputError
from cellmodels.expressions import MAX_LENGTH

#: How tightly an operation binds, and a number, name or call.
_SUM, _PRODUCT, _SIGN, _POWER, _ATOM = range(5)


class FormulaText:
    """A part of a formula, which arithmetic puts together with others.

    Parameters
    ----------
    text : str
        The part, such as ``"sto"``.
    binding : int, optional
        How tightly its outermost operation binds.

    Raises
    ------
    InputError
        If the text is longer than a formula may be.
    """

    def __init__(self, text: str, binding: int = _ATOM) -> None:
        if len(text) > MAX_LENGTH:
            raise InputError(f"The formula would be longer than {MAX_LENGTH} characters.")
        self.text = text
        self.binding = binding

    def __str__(self) -> str:
        """Return the text."""
        return self.text

    def __add__(self, other: Any) -> Any:
        return self if _is(other, 0) else _join(self, " + ", other, _SUM, _SUM)

    def __radd__(self, other: Any) -> Any:
        return self if _is(other, 0) else _join(other, " + ", self, _SUM, _SUM)

    def __sub__(self, other: Any) -> Any:
        return self if _is(other, 0) else _join(self, " - ", other, _SUM, _PRODUCT)

    def __rsub__(self, other: Any) -> Any:
        return -self if _is(other, 0) else _join(other, " - ", self, _SUM, _PRODUCT)

    def __mul__(self, other: Any) -> Any:
        return self if _is(other, 1) else _join(self, "*", other, _PRODUCT, _PRODUCT)

    def __rmul__(self, other: Any) -> Any:
        return self if _is(other, 1) else _join(other, "*", self, _PRODUCT, _PRODUCT)

    def __truediv__(self, other: Any) -> Any:
        return self if _is(other, 1) else _join(self, "/", other, _PRODUCT, _SIGN)

    def __rtruediv__(self, other: Any) -> Any:
        return _join(other, "/", self, _PRODUCT, _SIGN)

    def __pow__(self, other: Any) -> Any:
        return self if _is(other, 1) else _join(self, "**", other, _ATOM, _ATOM)

    def __rpow__(self, other: Any) -> Any:
        return _join(other, "**", self, _ATOM, _ATOM)

    def __neg__(self) -> FormulaText:
        return FormulaText(f"-{_bound(self, _SIGN)}", _SIGN)


def call(name: str, *arguments: Any) -> FormulaText:
    """Return the call of a function, or of a parameter by its name in quotes.

    Parameters
    ----------
    name : str
        The function.
    *arguments : FormulaText or float
        Its arguments.

    Returns
    -------
    FormulaText
    """
    return FormulaText(f"{name}({', '.join(str(_part(each)) for each in arguments)})")


def quoted(name: str) -> FormulaText:
    """Return a parameter's name as a formula quotes it.

    Parameters
    ----------
    name : str
        Full name.

    Returns
    -------
    FormulaText
    """
    return FormulaText(f'"{name}"')


def function(name: str) -> Callable[..., Any]:
    """Return a function of formula texts, which computes where its arguments are numbers.

    Parameters
    ----------
    name : str
        One of :data:`cellmodels.expressions.FUNCTIONS`.

    Returns
    -------
    callable
    """
    return partial(_compute_or_call, name)


def _compute_or_call(name: str, *arguments: Any) -> Any:
    if any(isinstance(each, FormulaText) for each in arguments):
        return call(name, *arguments)
    of_many = {"min": min, "max": max}
    return of_many[name](*arguments) if name in of_many else float(getattr(np, name)(*arguments))


def _join(left: Any, operator: str, right: Any, least_left: int, least_right: int) -> FormulaText:
    """Return two parts with an operator between, in parentheses where they bind less tightly."""
    binding = {" + ": _SUM, " - ": _SUM, "*": _PRODUCT, "/": _PRODUCT, "**": _POWER}[operator]
    text = f"{_bound(_part(left), least_left)}{operator}{_bound(_part(right), least_right)}"
    return FormulaText(text, binding)


def _bound(part: FormulaText, least: int) -> str:
    return part.text if part.binding >= least else f"({part.text})"


def _part(value: Any) -> FormulaText:
    """Return a number as a part of a formula."""
    if isinstance(value, FormulaText):
        return value
    number = float(value)
    if not math.isfinite(number):
        raise InputError("A constant part of the formula is not a finite number.")
    whole = number.is_integer() and abs(number) < 1e6
    text = str(int(number)) if whole else repr(number)
    return FormulaText(text, _SIGN if text.startswith("-") else _ATOM)


def _is(value: Any, number: float) -> bool:
    return isinstance(value, (int, float)) and float(value) == number
