"""Units as battery people write them, read by pint.

A unit is written as in PyBaMM's parameter names: factors joined by ``"."`` with the exponent
glued on (``"m2.s-1"``, ``"A.m-2"``), or with a slash (``"mA/cm2"``, ``"Ah/kg"``). An empty text
and ``"-"`` mean dimensionless. Only a fixed list of unit names is known, so no text in a file
reaches pint's own parser.
"""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import cast

import pint

from cellmodels.errors import UnitError, did_you_mean

#: Longest unit text accepted.
MAX_LENGTH = 80

_REGISTRY: pint.UnitRegistry = pint.UnitRegistry(cache_folder=None)

#: Name in a file -> name in pint. Prefixed names are added below.
_NAMES: dict[str, str] = {
    "%": "percent",
    "min": "minute",
    "h": "hour",
    "hr": "hour",
    "hours": "hour",
    "d": "day",
    "days": "day",
    "week": "week",
    "weeks": "week",
    "month": "month",
    "months": "month",
    "y": "year",
    "yr": "year",
    "year": "year",
    "years": "year",
    "minutes": "minute",
    "seconds": "second",
    "l": "liter",
    "degC": "degree_Celsius",
    "bar": "bar",
    "atm": "standard_atmosphere",
    "deg": "degree",
    "rad": "radian",
}

#: Name in a file -> (name in pint, prefixes it may carry).
_PREFIXED: dict[str, tuple[str, str]] = {
    "m": ("meter", "fpnumck"),
    "g": ("gram", "numk"),
    "s": ("second", "num"),
    "A": ("ampere", "numk"),
    "V": ("volt", "numk"),
    "W": ("watt", "numkMG"),
    "J": ("joule", "numkMG"),
    "K": ("kelvin", "m"),
    "mol": ("mole", "pnumk"),
    "C": ("coulomb", "numk"),
    "F": ("farad", "pnumk"),
    "S": ("siemens", "numkM"),
    "N": ("newton", "mkM"),
    "Pa": ("pascal", "mkMG"),
    "Hz": ("hertz", "mkM"),
    "L": ("liter", "num"),
    "M": ("molar", "num"),
    "eV": ("electron_volt", "mk"),
    "Ohm": ("ohm", "numkM"),
    "ohm": ("ohm", "numkM"),
    "Ah": ("ampere_hour", "numk"),
    "Wh": ("watt_hour", "mkMG"),
}

_PREFIXES = {
    "f": "femto",
    "p": "pico",
    "n": "nano",
    "u": "micro",
    "m": "milli",
    "c": "centi",
    "k": "kilo",
    "M": "mega",
    "G": "giga",
}

for _symbol, (_long, _prefixes) in _PREFIXED.items():
    _NAMES.setdefault(_symbol, _long)
    for _prefix in _prefixes:
        _NAMES.setdefault(_prefix + _symbol, _PREFIXES[_prefix] + _long)

_FACTOR = re.compile(r"(?P<name>[A-Za-z%]+)\^?(?P<exponent>[+-]?\d{1,2}(?:\.\d{1,2})?)?")


def _long_names() -> None:
    """Teach pint the two compound names that it does not know as one word."""
    _REGISTRY.define("ampere_hour = ampere * hour")
    _REGISTRY.define("watt_hour = watt * hour")


_long_names()


@lru_cache(maxsize=1024)
def parse_unit(text: str) -> pint.Unit:
    """Read a unit.

    Parameters
    ----------
    text : str
        For example ``"m2.s-1"``, ``"mA/cm2"``, ``"A.h"``, ``"mAh"``, ``"Ohm.m"``, ``"degC"``,
        ``"%"``; ``""`` and ``"-"`` are dimensionless.

    Returns
    -------
    pint.Unit
        The unit.

    Raises
    ------
    UnitError
        If the text is not a unit that cellmodels knows.

    Examples
    --------
    >>> str(parse_unit("m2.s-1"))
    'meter ** 2 / second'
    """
    if not isinstance(text, str):
        raise UnitError(f"A unit is a text such as 'm2.s-1', not {text!r}.")
    stripped = text.strip()
    if len(stripped) > MAX_LENGTH:
        raise UnitError(f"The unit '{stripped[:20]}…' is too long.")
    unit = _REGISTRY.Unit("dimensionless")
    if stripped in ("", "-", "1"):
        return unit
    for index, part in enumerate(stripped.split("/")):
        for factor in _read_factors(part, stripped):
            unit = _REGISTRY.Unit(unit * factor if index == 0 else unit / factor)
    return unit


def _read_factors(part: str, whole: str) -> list[pint.Unit]:
    """Split ``"A.m-2"`` into its factors; ``"1"`` stands for none."""
    part = part.strip()
    if part == "1":
        return []
    if part.startswith("(") and part.endswith(")"):
        part = part[1:-1]
    factors = []
    position = 0
    while True:
        match = _FACTOR.match(part, position)
        if match is None:
            raise UnitError(
                f"Cannot read the unit '{whole}'. Write factors joined by '.' with the exponent "
                "glued on, such as 'm2.s-1', 'A.m-2' or 'mA/cm2'."
            )
        factors.append(_factor(match, whole))
        position = match.end()
        if position == len(part):
            return factors
        if part[position] not in ".*·":
            raise UnitError(f"Cannot read the unit '{whole}' at '{part[position:]}'.")
        position += 1


def _factor(match: re.Match[str], whole: str) -> pint.Unit:
    """Turn one factor, a name and its exponent, into a pint unit."""
    name = match["name"]
    if name not in _NAMES:
        hint = did_you_mean(name, _NAMES)
        raise UnitError(f"Unknown unit '{name}' in '{whole}'.{hint}")
    base = _REGISTRY.Unit(_NAMES[name])
    text = match["exponent"]
    if text is None:
        return base
    exponent = float(text)
    return cast(pint.Unit, base ** (int(exponent) if exponent.is_integer() else exponent))


def convert(value: float, from_unit: str, to_unit: str, *, what: str = "value") -> float:
    """Convert a number from one unit to another.

    Parameters
    ----------
    value : float
        The number in ``from_unit``.
    from_unit, to_unit : str
        Units as :func:`parse_unit` reads them.
    what : str, optional
        The quantity's name, for the error message.

    Returns
    -------
    float
        The number in ``to_unit``. It is returned unchanged, to the last bit, where the two
        units are the same.

    Raises
    ------
    UnitError
        If a unit is unknown, or the two have different dimensions.

    Examples
    --------
    >>> round(convert(1.0, "mA/cm2", "A.m-2"), 12)
    10.0
    """
    try:
        source, target = parse_unit(from_unit), parse_unit(to_unit)
    except UnitError as error:
        raise UnitError(f"{what}: {error}") from None
    if source == target:
        return float(value)
    try:
        result = float(_REGISTRY.Quantity(float(value), source).to(target).magnitude)
    except pint.PintError:
        raise UnitError(
            f"{what}: the unit '{from_unit}' ({source.dimensionality}) does not fit "
            f"'{to_unit}' ({target.dimensionality})."
        ) from None
    if math.isnan(result) and not math.isnan(value):
        raise UnitError(f"{what}: {value} {from_unit} cannot be written in {to_unit}.")
    return result


def is_compatible(first: str, second: str) -> bool:
    """Say whether two units have the same dimension.

    Parameters
    ----------
    first, second : str
        Units as :func:`parse_unit` reads them.

    Returns
    -------
    bool
        True if a number can be converted from one to the other.

    Raises
    ------
    UnitError
        If a unit is unknown.
    """
    return parse_unit(first).dimensionality == parse_unit(second).dimensionality


def unit_of_name(name: str) -> str | None:
    """Return the unit that a parameter's name ends with.

    Parameters
    ----------
    name : str
        For example ``"SEI solvent diffusivity [m2.s-1]"``.

    Returns
    -------
    str or None
        ``"m2.s-1"``; None where the name carries no bracket (``"Separator porosity"``).
    """
    match = re.search(r"\[([^\[\]]*)\]\s*$", name)
    return match[1].strip() if match else None
