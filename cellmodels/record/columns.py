"""What a column of a file holds, from its header.

A header is a name and a unit: ``"discharge_capacity [A.h]"``, ``"Capacity (Ah)"``,
``"Voltage / V"``, ``"capacity_mAh"``. Names are compared without regard to capitals, spaces and
signs, and common other names are known. A column of a voltage curve says at which charge, or how
long after its step began: ``"voltage_C20 @ 0.5 A.h [V]"``, ``"voltage_relax at 10 s [V]"``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from difflib import get_close_matches

from cellmodels.errors import InputError, did_you_mean
from cellmodels.quantities import STATE_VARIABLES, measure_of
from cellmodels.record.schema import (
    COORDINATES,
    CYCLE_VARIABLES,
    STEP_CHARGE,
    SUMMARY_VARIABLES,
    TRACE_VARIABLES,
    known_names,
    quantity,
    without_companion,
)
from cellmodels.units import convert, parse_unit

#: Other names of variables of /cycles and of the coordinates.
_OTHER_NAMES: dict[str, tuple[str, ...]] = {
    "cycle": ("cycle_number", "cycle_index", "cycle_no", "cycle_count", "cycles", "cyc"),
    "throughput": ("discharge_throughput", "cumulative_discharge_capacity"),
    "elapsed_time": ("time", "test_time"),
    "discharge_capacity": (
        "capacity", "capacity_discharge", "discharging_capacity", "dischg_capacity",
        "dchg_cap", "q_discharge", "q_dis", "q_d", "qdischarge", "qd",
    ),
    "charge_capacity": (
        "capacity_charge", "charging_capacity", "chg_cap", "q_charge", "q_chg", "q_c", "qcharge",
        "qc",
    ),
    "cc_charge_capacity": ("cc_q", "cc_capacity", "q_cc"),
    "cv_charge_capacity": ("cv_q", "cv_capacity", "q_cv"),
    "discharge_energy": ("energy", "energy_discharge", "discharging_energy", "e_dis"),
    "charge_energy": ("energy_charge", "charging_energy", "e_chg"),
    "coulombic_efficiency": ("ce", "coulomb_efficiency", "coulombic_eff"),
    "energy_efficiency": ("ee", "energy_eff"),
    "voltage_efficiency": ("ve", "voltaic_efficiency", "voltage_eff"),
    "area_specific_resistance": ("asr",),
}  # fmt: skip

#: Other names in traces; those of the Battery Data Format among them.
_TRACE_NAMES: dict[str, tuple[str, ...]] = {
    "time": ("test_time", "elapsed_time"),
    "voltage": ("cell_voltage",),
    "current": ("cell_current",),
    "temperature": ("surface_temperature", "cell_temperature", "temperature_t1"),
    "ambient_temperature": ("chamber_temperature",),
    "cycle": ("cycle_count", "cycle_index", "cycle_number"),
    "step": ("step_count",),
    "charge_capacity": ("charging_capacity",),
    "discharge_capacity": ("discharging_capacity",),
    "step_capacity": (),
}

#: Symbols, which stand for a variable with such a unit; "V_min" is no voltage in minutes.
_TRACE_SYMBOLS: dict[str, tuple[str, str]] = {
    "t": ("time", "s"), "u": ("voltage", "V"), "v": ("voltage", "V"), "i": ("current", "A"),
}  # fmt: skip

#: What "charge_Ah" and "discharge_Wh" are.
_BY_UNIT: dict[str, str] = {"A": "capacity", "W": "energy"}

#: A unit at the end of a name, as in "capacity_Ah" or "voltage_volt".
_GLUED_UNITS: dict[str, str] = {
    "Ah": "A.h", "ah": "A.h", "mAh": "mA.h", "kAh": "kA.h", "ahr": "A.h", "Ahr": "A.h",
    "Wh": "W.h", "wh": "W.h", "mWh": "mW.h", "kWh": "kW.h",
    "s": "s", "sec": "s", "second": "s", "seconds": "s", "min": "min", "minutes": "min",
    "h": "h", "hours": "h", "d": "d", "days": "d",
    "ohm": "ohm", "Ohm": "ohm", "mohm": "mohm", "mOhm": "mohm",
    "V": "V", "volt": "V", "mV": "mV", "A": "A", "ampere": "A", "mA": "mA",
    "celsius": "degC", "degC": "degC", "K": "K", "kelvin": "K", "percent": "%", "pct": "%",
}  # fmt: skip
_SPELLINGS = {"hr": "h", "hours": "h", "sec": "s", "1": "-", "°C": "degC", "Ω": "ohm", "mΩ": "mohm"}

_BRACKET = re.compile(r"(.*?)\s*(\[[^\[\]]*\]|\([^()]*\))\s*")
_SLASH = re.compile(r"(.*\S)\s+/\s+(\S+)")
_GLUED = re.compile(r"(.*)_([A-Za-z]+)")
_CELSIUS = re.compile(r"(.*temperature)_C", re.IGNORECASE)
_CURVE = re.compile(
    r"voltage_(?P<test>\w+?)(?:\s*@\s*|\s+at\s+)(?P<place>[0-9.eE+-]+)\s*(?P<unit>\S+)",
    re.IGNORECASE,
)
_BDF_CURRENT = re.compile(r"current(\s+/\s+A|_ampere)", re.IGNORECASE)
_OWN_CURRENT = re.compile(r"current\s*\[\w+\]")  # and not PyProBE's "Current [A]"
_PER_HOUR = re.compile(r"[mk]?([AW])\.?h")
_LONGEST = 300  # characters of a header that is looked at
_NO_UNIT = (
    "cycle", "step", "coulombic_efficiency", "energy_efficiency", "voltage_efficiency",
)  # fmt: skip


@dataclass(frozen=True)
class Meaning:
    """Which variable a header stands for.

    Parameters
    ----------
    header : str
        As in the file.
    group : {"cycles", "checkups", "traces"}
        Where it belongs. Coordinates say "cycles", and serve /checkups too.
    name : str
        Name in the schema, with the ending of a companion if it is one.
    unit : str or None
        As written in the header, not checked.
    place : float, optional
        Of a column of a voltage curve: discharged charge [A.h] or time since the step began [s].
    along : str
        Which of them: "charge", "time", or empty.
    """

    header: str
    group: str
    name: str
    unit: str | None
    place: float | None = None
    along: str = ""

    @property
    def key(self) -> tuple[str, float | None]:
        """What must be different in two columns."""
        return self.name, self.place


@dataclass(frozen=True)
class Column:
    """What a column holds.

    Parameters
    ----------
    header : str
        As in the file.
    group : {"cycles", "checkups", "traces"}
    name : str
    unit : str
        Unit in the file.
    place, along
        As in `Meaning`.
    direction : {1, -1, 0}
        Of a current: 1 where positive values discharge, -1 where they charge, 0 where the header
        does not say.
    """

    header: str
    group: str
    name: str
    unit: str
    place: float | None = None
    along: str = ""
    direction: int = 1

    @property
    def key(self) -> tuple[str, float | None]:
        """What must be different in two columns."""
        return self.name, self.place


def split_header(header: str) -> tuple[str, str | None]:
    """Split a header into a name and a unit.

    Parameters
    ----------
    header : str
        Such as ``"Capacity (Ah)"``, ``"Voltage / V"`` or ``"capacity_mAh"``.

    Returns
    -------
    name : str
    unit : str or None
        None where there is none.
    """
    if len(header) > _LONGEST:
        return header, None
    header = header.strip()
    if (found := _BRACKET.fullmatch(header)) is not None:
        return found[1], _spelling(found[2][1:-1].strip())
    if (found := _SLASH.fullmatch(header)) is not None:
        return found[1], _spelling(found[2])
    found = _GLUED.fullmatch(header)
    if found is not None and found[2] in _GLUED_UNITS:
        return found[1], _GLUED_UNITS[found[2]]
    if (found := _CELSIUS.fullmatch(header)) is not None:
        return found[1], "degC"
    return header, None


def is_trace(headers: Iterable[str]) -> bool:
    """Whether these are the columns of a trace: time, voltage and current.

    Parameters
    ----------
    headers : iterable of str
        Of one file, or what they are mapped to.

    Returns
    -------
    bool
    """
    return {"time", "voltage", "current"} <= _of_trace(headers)


def missing_of_trace(headers: Iterable[str]) -> str:
    """What keeps columns with a voltage from being a trace.

    Parameters
    ----------
    headers : iterable of str
        Of one file.

    Returns
    -------
    str
        "time", "current", "time and no current"; empty where there is no voltage.
    """
    found = _of_trace(headers)
    if "voltage" not in found:
        return ""
    return " and no ".join(name for name in ("time", "current") if name not in found)


def _of_trace(headers: Iterable[str]) -> set[str]:
    """Variables of a trace for which some of these headers stand."""
    split = (split_header(header) for header in headers)
    return {name for own, unit in split if (name := _trace_name(plain_name(own), unit))}


def identify(header: str, trace: bool = False, named: bool = False) -> Meaning | None:
    """Say which variable a header stands for.

    Parameters
    ----------
    header : str
        As in the file.
    trace : bool
        Whether the file is a trace.
    named : bool
        Whether it is a name that the user has given, and no file's own.

    Returns
    -------
    Meaning or None
        None where the header is not known.

    Raises
    ------
    InputError
        If the charge or time of a voltage curve cannot be read.
    """
    own, unit = split_header(header)
    plain, ending = without_companion(plain_name(own))
    if unit is None and ending:  # "capacity_Ah_std": the unit stands before the ending
        own, unit = split_header(re.sub(r"[_ ](std|flag)$", "", own.strip(), flags=re.IGNORECASE))
        plain = plain_name(own)
    if (curve := None if trace else _CURVE.fullmatch(own.strip())) is not None:
        test, ending = without_companion(curve["test"])
        place, along = _place(curve["place"], curve["unit"], header)
        return Meaning(header, "checkups", f"voltage_{test}{ending}", unit, place, along)
    if plain in ("charge", "discharge") and (of := _PER_HOUR.fullmatch(unit or "")) is not None:
        plain = f"{plain}_{_BY_UNIT[of[1]]}"
    if trace:
        in_trace = _trace_name(plain, unit)
        return None if in_trace is None else Meaning(header, "traces", in_trace + ending, unit)
    # known where they have a unit: other files use such names too
    if plain in SUMMARY_VARIABLES or STEP_CHARGE.fullmatch(plain):
        return None if unit is None else Meaning(header, "cycles", plain + ending, unit)
    found = _name(own, plain, named)
    if found is None:
        return None
    group, name = found
    return Meaning(header, group, name + ending, unit)


def recognise(meaning: Meaning) -> Column:
    """Say what a column holds, down to its unit and sign.

    Parameters
    ----------
    meaning : Meaning
        Of its header.

    Returns
    -------
    Column

    Raises
    ------
    InputError
        If the unit is missing, unknown or wrong.
    """
    is_current = meaning.group == "traces" and meaning.name == "current"
    return Column(
        meaning.header,
        meaning.group,
        meaning.name,
        _checked_unit(meaning),
        meaning.place,
        meaning.along,
        _direction(meaning.header) if is_current else 1,
    )


def mapped(header: str, target: str, trace: bool = False) -> Column:
    """Say what a column holds that the user has named.

    Parameters
    ----------
    header : str
        As in the file.
    target : str
        What it is, such as ``"discharge_capacity [A.h]"``. The unit is the one in the file.
    trace : bool
        Whether the file is a trace.

    Returns
    -------
    Column

    Raises
    ------
    InputError
        If `target` is nothing that a record holds, its unit is missing or wrong, or it does not
        say which sign of a current discharges.
    """
    if not isinstance(target, str):
        raise InputError(f"columns: '{header}' is mapped to {target!r}, which is no text.")
    meaning = identify(target, trace, named=True)
    if meaning is None:
        names = known_names("traces") if trace else [*known_names("cycles"), *_CHECKUP_EXAMPLES]
        hint = did_you_mean(split_header(target)[0], names)
        raise InputError(f"columns: a record holds nothing like '{target}'.{hint}")
    found = replace(recognise(meaning), header=header)
    if found.direction == 0:
        raise InputError(unclear_direction(header))
    return found


def near_misses(headers: Iterable[str]) -> dict[str, str]:
    """Headers that look like a misspelt known name, with that name.

    Parameters
    ----------
    headers : iterable of str
        Headers that were not recognised.

    Returns
    -------
    dict of str to str
    """
    found = {}
    for header in headers:
        plain = plain_name(split_header(header)[0])
        close = get_close_matches(plain, _ALIASES, n=1, cutoff=0.87)
        if close and plain not in _ALIASES:
            found[header] = _ALIASES[close[0]]
    return found


# --- names -------------------------------------------------------------------------------------


def plain_name(text: str) -> str:
    """A name in small letters and underscores."""
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")


def _aliases(known: Iterable[str], others: dict[str, tuple[str, ...]]) -> dict[str, str]:
    found = {name: name for name in known}
    for name, names in others.items():
        found.update(dict.fromkeys(names, name))
    return found


_ALIASES = _aliases((*COORDINATES, *CYCLE_VARIABLES), _OTHER_NAMES)
_TRACE_ALIASES = _aliases(TRACE_VARIABLES, _TRACE_NAMES)
_CHECKUP_EXAMPLES = ("capacity_1C", "resistance_10s", "voltage_C20 @ 0.5 A.h")


def _trace_name(plain: str, unit: str | None) -> str | None:
    symbol, base = _TRACE_SYMBOLS.get(plain, (None, ""))
    if symbol is not None and unit is not None and unit.lstrip("mu") == base:
        return symbol
    return _TRACE_ALIASES.get(plain)


def _name(own: str, plain: str, named: bool) -> tuple[str, str] | None:
    """Group and name of a column of /cycles or /checkups."""
    if plain in _ALIASES:
        return "cycles", _ALIASES[plain]
    if plain in STATE_VARIABLES:
        return "checkups", plain
    found = measure_of(plain)
    if found is None:
        return None
    kind, test = found
    # "voltage_mean" and "energy_throughput" of other files are no tests, such as "energy_C20" is
    if kind == "voltage" or (kind == "energy" and not named and not re.search("[0-9]", test)):
        return None
    # the test keeps its capitals: "capacity_C20"
    written = re.sub(r"[^A-Za-z0-9]+", "_", own.strip())[len(kind) + 1 :]
    written = without_companion(written.strip("_"))[0]
    return "checkups", f"{kind}_{written}"


def _place(number: str, unit: str, header: str) -> tuple[float, str]:
    """The place of a column along a voltage curve [A.h or s], and which of both it is."""
    unit = _spelling(unit)
    try:
        is_time = parse_unit(unit).dimensionality == parse_unit("s").dimensionality
        if is_time:
            return convert(float(number), unit, "s", what="the time"), "time"
        return convert(float(number), unit, "A.h", what="the charge"), "charge"
    except ValueError as error:
        raise InputError(f"Column '{header}': {error}") from None


# --- units and signs ---------------------------------------------------------------------------


def _spelling(unit: str) -> str:
    return _SPELLINGS.get(unit, unit)


def _checked_unit(meaning: Meaning) -> str:
    """The unit of a column, if it fits its variable."""
    own, ending = without_companion(meaning.name)
    header, unit, name = meaning.header, meaning.unit, meaning.name
    expected = quantity(meaning.group, own)
    if ending == "_flag" or expected is None:
        return "-"
    if unit is None:
        if own in _NO_UNIT or expected.unit == "-":
            return "-"
        raise InputError(
            f"Column '{header}' has no unit. Write '{name} [{expected.unit}]', or name it: "
            f"columns={{'{header}': '{name} [{expected.unit}]'}}, or leave it out: "
            f"columns={{'{header}': None}}."
        )
    if expected.unit == "K" and unit in ("C", "c"):
        return "degC"  # and no coulomb
    convert(1.0, unit, expected.unit, what=f"Column '{header}'")
    return unit


def _direction(header: str) -> int:
    """Which sign of a current discharges: the convention that its header stands for."""
    if _BDF_CURRENT.fullmatch(header.strip()):
        return -1  # the Battery Data Format
    return 1 if _OWN_CURRENT.fullmatch(header.strip()) else 0


def unclear_direction(header: str) -> str:
    """What to do about a current of which neither the header nor the voltage tells the sign."""
    return (
        f"Column '{header}': is its current positive on discharge or on charge? Say it with "
        f"columns={{'{header}': 'current [A]'}} (positive on discharge) or "
        f"columns={{'{header}': 'Current / A'}} (positive on charge, as in the Battery Data "
        "Format)."
    )
