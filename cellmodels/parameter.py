"""One parameter of a cell: its value, and where it comes from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

from cellmodels.errors import InputError, did_you_mean
from cellmodels.expressions import Expression
from cellmodels.tables import Table

Status = Literal["measured", "fitted", "literature", "estimate"]
#: How well a number is known.
STATUSES: tuple[str, ...] = get_args(Status)

#: What a parameter may be.
Value = float | Expression | Table


@dataclass(frozen=True)
class Parameter:
    """One number, formula or table, and where it comes from.

    Parameters
    ----------
    name : str
        Full name, with the unit in brackets where it has one.
    value : float, Expression or Table
        The value in the unit of the name's bracket.
    unit : str
        That unit; ``"-"`` where the name carries none.
    source : str
        Where the value is from: in a file, a citation key and the place in that source.
    status : {"measured", "fitted", "literature", "estimate"}
        How well it is known.
    range : tuple of (float, float), optional
        Plausible lowest and highest value, in ``unit``; a fit's bounds. Numbers only.
    note : str, optional
        Anything else a reader should know.
    new : bool, optional
        Whether it is a name of the set's own, which PyBaMM does not know.

    Raises
    ------
    InputError
        If the value is not finite or outside its range, the source is empty, or the status is
        not one of :data:`STATUSES`.
    """

    name: str
    value: Value
    unit: str
    source: str
    status: Status
    range: tuple[float, float] | None = None
    note: str = ""
    new: bool = False

    def __post_init__(self) -> None:
        """Check the entries."""
        if not self.source.strip():
            raise InputError(f"parameter '{self.name}': the source is empty.")
        if self.status not in STATUSES:
            hint = did_you_mean(str(self.status), STATUSES)
            raise InputError(f"parameter '{self.name}': unknown status '{self.status}'.{hint}")
        if isinstance(self.value, (Expression, Table)):
            if self.range is not None:
                raise InputError(f"parameter '{self.name}': only a number has a range.")
            return
        object.__setattr__(self, "value", finite(self.value, self.name))
        if self.range is not None:
            low, high = (finite(bound, self.name) for bound in self.range)
            object.__setattr__(self, "range", (low, high))
            if not low < high:
                raise InputError(f"parameter '{self.name}': the range [{low}, {high}] is empty.")
            if not low <= self.value <= high:
                raise InputError(
                    f"parameter '{self.name}': {self.value:g} {self.unit} is outside its range "
                    f"[{low:g}, {high:g}]."
                )

    def to_pybamm(self) -> Any:
        """Return the value as :class:`pybamm.ParameterValues` takes it.

        Returns
        -------
        float or callable
            The number, or a function of PyBaMM symbols.
        """
        if isinstance(self.value, (Expression, Table)):
            return self.value.to_pybamm(self.name)
        return self.value


def finite(value: object, name: str) -> float:
    """Return a value as a float, if it is a finite number.

    Parameters
    ----------
    value : object
        What should be a number.
    name : str
        The parameter's name, for the error message.

    Returns
    -------
    float
        The number.

    Raises
    ------
    InputError
        If it is no number, or not finite; a text or a truth value is no number.
    """
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"parameter '{name}': {value!r} is not a number.") from None
    if isinstance(value, (bool, str)) or not math.isfinite(number):
        raise InputError(f"parameter '{name}': {value!r} is not a finite number.")
    return number
