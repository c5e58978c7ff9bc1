"""Factors on functions of a cell's set: ``cm.scaled``, so that a fit can move a function.

A diffusivity or an exchange-current density is often a formula or a table. A fit moves numbers;
a scale factor is a number of the set's own by which the function is multiplied. The set says so
itself, as a formula, ``"... scale factor" * (...)``: it can be written, read and simulated like
any other, and nothing but our own grammar of formulas is involved.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import pybamm

from cellmodels.cell import Cell
from cellmodels.errors import InputError, did_you_mean
from cellmodels.expressions import Expression
from cellmodels.parameter import Parameter, Value
from cellmodels.pybamm_symbols import law
from cellmodels.tables import Table
from cellmodels.units import unit_of_name

__all__ = ["ScaleFactor", "scaled", "with_number", "with_scale_factors"]

_SUFFIX = " scale factor"
_RANGE = (0.01, 100.0)


@dataclass(frozen=True)
class ScaleFactor:
    """A factor that multiplies functions of a parameter set; made by :func:`scaled`.

    Parameters
    ----------
    functions : tuple of str
        Names of the parameters that it multiplies.
    name : str
        The factor's own name, without unit.
    """

    functions: tuple[str, ...]
    name: str


def scaled(*functions: str, name: str | None = None) -> ScaleFactor:
    """A factor on one or more functions of a cell's set, to be fitted in their place.

    Parameters
    ----------
    *functions : str
        Names of parameters that are functions, such as
        ``"Negative particle diffusivity [m2.s-1]"``; or numbers that the model takes as functions,
        such as a heat capacity.
    name : str, optional
        The factor's name; by default that of the only function, without its unit, and
        ``"scale factor"``.

    Returns
    -------
    ScaleFactor
        For ``free=[...]`` of a fit; 1 leaves the functions as they are.

    Raises
    ------
    InputError
        Without a function, or for several without a name.

    Examples
    --------
    >>> scaled("Electrolyte conductivity [S.m-1]").name
    'Electrolyte conductivity scale factor'
    """
    if not functions or not all(isinstance(each, str) for each in functions):
        raise InputError("cm.scaled takes the names of one or more functions of a parameter set.")
    if name is None:
        if len(functions) > 1:
            raise InputError("A scale factor of several functions needs a name=.")
        name = functions[0].split("[")[0].strip() + _SUFFIX
    return ScaleFactor(tuple(functions), name)


def with_scale_factors(cell: Cell, factors: Iterable[ScaleFactor]) -> Cell:
    """The same cell with factors of 1 in front of functions; those it has already stay.

    Parameters
    ----------
    cell : Cell
    factors : iterable of ScaleFactor

    Returns
    -------
    Cell

    Raises
    ------
    InputError
        If a function is unknown, is a number that no function can stand for, or has no formula.
    """
    for factor in factors:
        if factor.name in cell.parameters.parameters:
            continue
        cell = with_number(cell, factor.name, 1.0, _RANGE, f"multiplies {_listed(factor)}")
        changed = dict(cell.parameters.parameters)
        for name in factor.functions:
            changed.update(_multiplied(cell, name, factor.name))
        cell = with_set(cell, changed)
    return cell


def with_number(
    cell: Cell, name: str, value: float, bounds: tuple[float, float], note: str = ""
) -> Cell:
    """The same cell with one more number in its set, under a name of the set's own."""
    unit = unit_of_name(name) or "-"
    new = Parameter(name, value, unit, "added for a fit", "fitted", bounds, note, new=True)
    return with_set(cell, {**cell.parameters.parameters, name: new})


def with_set(cell: Cell, parameters: dict[str, Parameter]) -> Cell:
    """The same cell with other parameters in its set."""
    return Cell(
        cell.chemistry,
        replace(cell.parameters, parameters=parameters),
        cell.model,
        cell.mechanisms,
        cell.mesh,
        cell.initial_soc,
    )


def _listed(factor: ScaleFactor) -> str:
    return ", ".join(factor.functions)


def _multiplied(cell: Cell, name: str, factor: str) -> dict[str, Parameter]:
    """The parameter with a factor in front, and those that it then calls."""
    old = cell.parameters.parameters.get(name)
    value, tables = _plain(cell, name)
    others: dict[str, Value] = dict(tables)
    if isinstance(value, Expression):
        formula = Expression(f'"{factor}" * ({value.text})', value.variables)
    elif isinstance(value, Table):
        inner = f"{name.split('[')[0].strip()}, not scaled"
        others[inner] = value
        formula = Expression(
            f'"{factor}" * "{inner}"({", ".join(value.arguments)})', value.arguments
        )
    else:
        formula = Expression(f'"{factor}" * {value!r}', _arguments_in_model(cell, name))
    source = old.source if old is not None else f"PyBaMM's {cell.parameters.base}"
    status = old.status if old is not None else "literature"
    found = {
        each: Parameter(each, law_, unit_of_name(name) or "-", source, status, new=True)
        for each, law_ in others.items()
    }
    note = f"times '{factor}'" if old is None or not old.note else f"times '{factor}'; {old.note}"
    new = old is not None and old.new
    unit = unit_of_name(name) or "-"
    found[name] = Parameter(name, formula, unit, source, status, None, note, new)
    return found


def _plain(cell: Cell, name: str) -> tuple[Value, dict[str, Table]]:
    """A parameter as a number, a formula or a table, and tables that the formula calls."""
    values = cell.parameter_values()
    if name not in values:
        hint = did_you_mean(name, [str(each) for each in values.keys()])  # noqa: SIM118
        raise InputError(f"cm.scaled: the cell has no parameter {name!r}.{hint}")
    own = cell.parameters.value(name)
    if isinstance(own, Expression | Table):
        return own, {}
    value = values[name]
    if callable(value):
        return law(value, name)
    return float(value), {}


def _arguments_in_model(cell: Cell, name: str) -> tuple[str, ...]:
    """Names for what the model passes to a parameter that is a number in the set."""
    for symbol in cell.pybamm_model().parameters:
        if isinstance(symbol, pybamm.FunctionParameter) and symbol.name == name:
            given = tuple(f"x{k + 1}" for k in range(len(symbol.children)))
            if given:
                return given
    raise InputError(
        f"cm.scaled: {name!r} is a number of this cell, not a function; name it itself in free."
    )
