"""Fixed inputs of a fit: what was not fitted, and how well it is known.

The range of a parameter in its set is read as an interval that holds 95 % of a normal
distribution: of the logarithm, where the whole range is positive, else of the value. The
distribution is centred on the value that the cell has, and inputs are independent of each other.
An estimate without a range is taken to be known within a factor of two. A range of a *fitted*
number bounded its fit and says nothing of how well it is known, so that such numbers are left out
unless they are asked for.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import scipy.stats

from cellmodels.cell import Cell
from cellmodels.errors import InputError, did_you_mean
from cellmodels.parameter import STATUSES
from cellmodels.units import unit_of_name

__all__ = ["READING", "FixedInput", "choose_inputs"]

#: What a range is taken for, in words.
READING = (
    "ranges of the parameter set as 95 % intervals of independent normal distributions about the "
    "values used, of logarithms where positive"
)
#: Statuses whose ranges say how well a number is known.
KNOWN = ("estimate", "literature", "measured")

_WIDTH = 2 * float(scipy.stats.norm.ppf(0.975))  # of a 95 % interval, in standard deviations
_ESTIMATE_FACTOR = 2.0
"""An estimate without a range lies within this factor of its value, with 95 %."""
_OF_CURRENTS = ("Nominal cell capacity [A.h]", "Current function [A]")

_MESH = "the mesh is built with it"
_CURRENTS = "the protocol's currents are defined by it"
_FUNCTION = "a function, which has no range"
_UNKNOWN = "nothing is stated of how well it is known"
_NO_RANGE = "no range"
_ZERO = "an estimate of zero without a range"


@dataclass(frozen=True)
class FixedInput:
    """A number that was not fitted, and how well it is known.

    Parameters
    ----------
    name, unit : str
    value, low, high : float
        Value used, and the interval that holds it with 95 %, in the unit.
    status : str
        Of the parameter set; ``"not stated"`` where it says none.
    origin : {"range", "given", "default"}
        Where the interval is from: the parameter set, an argument, or the factor of two that an
        estimate without range has.
    """

    name: str
    unit: str
    value: float
    low: float
    high: float
    status: str
    origin: str

    @property
    def logarithmic(self) -> bool:
        """Whether the logarithm is normal."""
        return self.low > 0

    @property
    def deviation(self) -> float:
        """Standard deviation: of the logarithm, or of the value in its unit."""
        width = math.log(self.high / self.low) if self.logarithmic else self.high - self.low
        return width / _WIDTH

    @property
    def slope(self) -> float:
        """Change of the value for one standard deviation, to first order, in the unit."""
        return self.deviation * (self.value if self.logarithmic else 1.0)

    def at(self, deviations: float) -> float:
        """The value so many standard deviations from the one used, in the unit."""
        if self.logarithmic:
            return self.value * math.exp(deviations * self.deviation)
        return self.value + deviations * self.deviation


def choose_inputs(
    cell: Cell,
    free: Sequence[str],
    names: Sequence[str] | None = None,
    *,
    statuses: Sequence[str] = KNOWN,
    ranges: Mapping[str, tuple[float, float]] | None = None,
) -> tuple[tuple[FixedInput, ...], dict[str, str]]:
    """Fixed inputs whose uncertainty is known, and those left out.

    Parameters
    ----------
    cell : Cell
    free : sequence of str
        Parameters that were fitted.
    names : sequence of str, optional
        Inputs to take; by default all that the cell's equations read.
    statuses : sequence of str
        Of the inputs to take, where `names` does not name them.
    ranges : mapping of str to (float, float), optional
        95 % intervals in place of the set's ranges, in the parameters' units.

    Returns
    -------
    inputs : tuple of FixedInput
        By name.
    left_out : dict of str to str
        Name -> why. Without what `names` or `statuses` leave out.

    Raises
    ------
    InputError
        On an unknown name, status or interval, or an input that was fitted or cannot be varied.
    """
    read, given = _read(cell, free), dict(ranges or {})
    for status in statuses:
        if status not in STATUSES:
            raise InputError(f"Unknown status {status!r}." + did_you_mean(str(status), STATUSES))
    wanted = None if names is None else _names(names)
    for name in (*(wanted or ()), *given):
        _check_input(cell, name, free, read)
    inputs, left_out = [], {}
    for name in read if wanted is None else dict.fromkeys([*wanted, *given]):
        if wanted is None and name not in given and _status(cell, name) not in (*statuses, ""):
            if _status(cell, name) == "fitted":
                left_out[name] = "fitted before: its range bounded that fit"
            continue
        found = _refusal(cell, name) or _input(cell, name, given.get(name))
        if isinstance(found, FixedInput):
            inputs.append(found)
        elif wanted is None:
            left_out[name] = found
        else:
            raise InputError(f"{name!r} is no input of known uncertainty: {found}.")
    return tuple(inputs), left_out


def _read(cell: Cell, free: Sequence[str]) -> tuple[str, ...]:
    """What the cell reads but for what was fitted; the nominal capacity with it."""
    values = cell.parameter_values()
    names = sorted({*cell.parameters_read, _OF_CURRENTS[0]} - {*free, _OF_CURRENTS[1]})
    return tuple(name for name in names if name in values)


def _names(names: Sequence[str]) -> list[str]:
    return [names] if isinstance(names, str) else [str(name) for name in names]


def _check_input(cell: Cell, name: str, free: Sequence[str], read: Sequence[str]) -> None:
    if name in free:
        raise InputError(f"{name!r} was fitted; it is no fixed input.")
    if name not in read:
        known = name in cell.parameter_values()
        what = "does not act in this cell" if known else "is no parameter of the cell"
        raise InputError(f"{name!r} {what}." + did_you_mean(name, read))


def _status(cell: Cell, name: str) -> str:
    """Status of a parameter; empty for one of PyBaMM's set, which states none."""
    held = cell.parameters.parameters.get(name)
    return held.status if held is not None else ""


def _refusal(cell: Cell, name: str) -> str:
    """Why an input cannot be varied; empty where it can."""
    if name in _OF_CURRENTS:
        return _CURRENTS
    if name in cell.parameters_of_mesh:
        return _MESH
    try:
        cell.value(name)
    except InputError:
        return _FUNCTION
    return ""


def _input(cell: Cell, name: str, given: tuple[float, float] | None) -> FixedInput | str:
    """The input with its interval, or why it has none."""
    value, status = cell.value(name), _status(cell, name)
    bounds = cell.parameters.range(name) if status else None
    origin = "range"
    if given is not None:
        bounds, origin = _interval(name, given, value), "given"
    elif bounds is None and status == "estimate":
        if value == 0:
            return _ZERO
        ends = (value / _ESTIMATE_FACTOR, value * _ESTIMATE_FACTOR)
        bounds, origin = (min(ends), max(ends)), "default"
    if bounds is None:
        return _NO_RANGE if status else _UNKNOWN
    unit = unit_of_name(name) or "-"
    return FixedInput(name, unit, value, *bounds, status or "not stated", origin)


def _interval(name: str, given: object, value: float) -> tuple[float, float]:
    try:
        low, high = (float(end) for end in given)  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        raise InputError(f"The range of {name!r} is two numbers, not {given!r}.") from None
    if not (math.isfinite(low) and math.isfinite(high) and low <= value <= high):
        raise InputError(
            f"The range of {name!r}, [{low:g}, {high:g}], does not hold its value {value:g}."
        )
    return low, high
