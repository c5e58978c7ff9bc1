"""Formulas and tables as functions that PyBaMM calls."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from inspect import Parameter, Signature
from typing import Any, Protocol

from cellmodels.errors import InputError


class Law(Protocol):
    """Something that depends on named arguments: a formula or a table."""

    @property
    def arguments(self) -> tuple[str, ...]:
        """Names of the arguments, in the order in which a model passes them."""

    def symbol(self, values: Mapping[str, Any], name: str) -> Any:
        """Return the PyBaMM symbol for the arguments' symbols."""


@dataclass(frozen=True)
class PybammFunction:
    """A law as a function of PyBaMM symbols, for :class:`pybamm.ParameterValues`.

    It can be pickled, and PyBaMM can serialise it: it has a name and a signature.

    Parameters
    ----------
    law : Expression or Table
        The formula or table.
    name : str
        The parameter's name, for error messages.
    """

    law: Law
    name: str

    def __post_init__(self) -> None:
        """Give the function the name and the signature that PyBaMM looks for."""
        kind = Parameter.POSITIONAL_OR_KEYWORD
        signature = Signature([Parameter(name, kind) for name in self.law.arguments])
        object.__setattr__(self, "__signature__", signature)
        object.__setattr__(self, "__name__", re.sub(r"\W+", "_", self.name).strip("_") or "law")

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Return the law's symbol for the given argument symbols.

        Raises
        ------
        InputError
            If the number of arguments is not the law's.
        """
        expected = self.law.arguments
        given = len(arguments) + len(named)
        if given != len(expected):
            raise InputError(
                f"'{self.name}' is given as a function of ({', '.join(expected)}), but PyBaMM's "
                f"model passes {given} argument(s)."
            )
        values = dict(zip(expected, arguments, strict=False)) | named
        return self.law.symbol(values, self.name)
