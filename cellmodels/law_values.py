"""Laws of a parameter set, which may quote and call one another: their numbers, and Arrhenius'."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from cellmodels.expressions import Expression
from cellmodels.parameter import Value
from cellmodels.tables import Table

REFERENCE_TEMPERATURE = "Reference temperature [K]"


def arrhenius(energy: str) -> str:
    """Return the factor of an Arrhenius law, to be written behind a value.

    Parameters
    ----------
    energy : str
        Name of the activation energy.

    Returns
    -------
    str
        exp(E/R (1/T_ref - 1/T)), with the set's reference temperature.
    """
    return f' * exp("{energy}"/R * (1/"{REFERENCE_TEMPERATURE}" - 1/T))'


def value_at(look_up: Callable[[str], Value], name: str, *arguments: Any) -> Any:
    """Return a parameter at numbers for its arguments.

    Parameters
    ----------
    look_up : callable
        Parameter name -> number, formula or table; also asked for what a formula quotes.
    name : str
        The parameter.
    *arguments : float or numpy.ndarray
        Its arguments in their order, of shapes that broadcast. A number has any.

    Returns
    -------
    numpy.ndarray
        The values, of the shape of the arguments.
    """
    value = look_up(name)
    shape = np.broadcast_shapes(*map(np.shape, arguments))
    if not isinstance(value, (Expression, Table)):
        return np.broadcast_to(float(value), shape)
    given: dict[str, Any] = dict(zip(value.arguments, arguments, strict=False))
    if isinstance(value, Table):
        return value.evaluate(given)
    for other in value.parameters:
        called = other in value.calls
        given[other] = partial(value_at, look_up, other) if called else value_at(look_up, other)
    return np.broadcast_to(value.evaluate(given), shape)
