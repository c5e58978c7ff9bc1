"""The language of steps: PyBaMM's step strings, and a little more.

A step is an action and its limits::

    Discharge at <current or power> <limits>
    Charge at <current or power> <limits>
    Hold at <voltage> <limits>
    Rest for <time>

    limits:   for <time> | until <end> [or <end> ...] | for <time> or until <end> [or <end> ...]
    current:  1 A | 200 mA | 1C | 0.5 C | C/20 | 20 mA/cm2
    power:    1 W | 200 mW
    voltage:  4.2 V | 4200 mV
    end:      a voltage | a current (its magnitude) | a charge | after <time> | <state>
    charge:   0.5 A.h | 500 mAh | 20 mAh/cm2 | 60 % | 0.6 nominal
    state:    70 % bromide utilisation | 0.1 plate margin | 6 pH negative | 313 cell temperature
    time:     50 ms | 20 seconds | 10 min | 0.5 hours | 30 days | 2 weeks

A percentage is one of the nominal capacity, and may be followed by "of nominal capacity" or
"utilisation". States are those of `cellmodels.quantities.STATE_ENDS`, in their own unit or as
a percentage; "bromide", "iodide" and the like stand for the halide, "zinc" for the metal. As in
PyBaMM, capital and small letters matter in units but not in words, the
space before a unit may be left out, and a sampling period may follow in brackets, such as
``(1 minute period)``: it is read and ignored, because the solver here chooses its own times.

PyBaMM does not read milliseconds: write ``0.05 seconds`` in steps that are for both.

Not taken over from PyBaMM: constant resistance, and a comparison sign before an end that
contradicts the step's direction.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable

from cellmodels.errors import InputError, UnitError, did_you_mean, nearest
from cellmodels.quantities import STATE_ENDS
from cellmodels.steps import End, Step
from cellmodels.units import convert, is_compatible

#: Longest text read.
MAX_LENGTH = 300

EXAMPLES = (
    "Discharge at 1C until 2.5 V",
    "Charge at C/2 until 4.2 V",
    "Charge at 200 mA for 45 minutes",
    "Discharge at 20 mA/cm2 for 2 hours or until 1.0 V",
    "Discharge at 1 W for 0.5 hours",
    "Hold at 4.2 V until C/50",
    "Rest for 10 minutes",
)

_TIMES: dict[str, float] = {
    **dict.fromkeys(("second", "seconds", "sec", "s"), 1.0),
    **dict.fromkeys(("minute", "minutes", "min", "m"), 60.0),
    **dict.fromkeys(("hour", "hours", "hr", "h"), 3600.0),
    **dict.fromkeys(("day", "days", "d"), 86400.0),
    **dict.fromkeys(("week", "weeks"), 7 * 86400.0),
    **dict.fromkeys(("year", "years"), 365.25 * 86400.0),
}
_MILLISECONDS = ("millisecond", "milliseconds", "ms")
_FRACTIONS = {"nominal": 1.0, "%": 0.01}
_ELECTRIC = {"voltage": "V", "power": "W", "charge": "A.h", "current": "A"}
_DENSITY, _AREAL = "mA/cm2", "mAh/cm2"

_WORDS = ("Discharge", "Charge", "Hold", "Rest", "at", "for", "or", "until", "after")
_UNITS = (
    "A", "mA", "C", "mA/cm2", "W", "mW", "V", "mV", "A.h", "mAh", "mAh/cm2", "nominal",
    "milliseconds", "seconds", "minutes", "hours", "days", "weeks", "years",
)  # fmt: skip

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_QUANTITY = re.compile(rf"({_NUMBER})\s*(\S.*)?")
_RATE = re.compile(rf"C\s*/\s*({_NUMBER})")
_PERIOD = re.compile(r"\s*\(([^()]*) period\)\s*$", re.IGNORECASE)
_PER_NOMINAL = re.compile(r"\s+(?:of nominal capacity|utili[sz]ation)$", re.IGNORECASE)
_ACTION = re.compile(r"(?P<word>\S+)(?:\s+at\s+(?P<value>.+))?", re.IGNORECASE)
_STATE = re.compile(rf"(?P<value>{_NUMBER})\s*(?P<percent>%)?\s*(?P<name>[A-Za-z]+( [A-Za-z]+)+)")
#: Words for the halide, the halogen and the metal.
_SAME = {
    **dict.fromkeys(("bromide", "iodide", "chloride"), "halide"),
    **dict.fromkeys(("bromine", "iodine", "chlorine"), "halogen"),
    "zinc": "metal",
    "utilization": "utilisation",
}
_LIMIT_WORD = re.compile(r"\s(?:for|until)\s", re.IGNORECASE)


def parse_step(text: str) -> Step:
    """Read a step; see :meth:`cellmodels.steps.Step.parse`.

    Parameters
    ----------
    text : str
        The step in the language above.

    Returns
    -------
    Step

    Raises
    ------
    InputError
        If it cannot be read. The message shows the nearest valid form.
    """
    if not isinstance(text, str):
        raise InputError(f"A step is a text such as '{EXAMPLES[0]}', not {text!r}.")
    if len(text) > MAX_LENGTH:
        raise InputError(f"A step of {len(text)} letters is too long.")
    try:
        return _parse(" ".join(text.split()))
    except InputError as error:
        raise type(error)(_explained(error, text)) from None


def read_quantity(text: str) -> tuple[str, float, str]:
    """Read a value with its unit.

    Parameters
    ----------
    text : str
        Such as ``"C/20"``, ``"4.2V"``, ``"20 mA/cm2"``, ``"10 %"`` or ``"30 minutes"``.

    Returns
    -------
    quantity : {"current", "power", "voltage", "charge", "time"}
    value : float
    unit : str
        "A", "C", "mA/cm2", "W", "V", "A.h", "nominal" or "s"; other units are converted.

    Raises
    ------
    InputError
        If it is none of these.
    """
    if len(text) > MAX_LENGTH:
        raise InputError(f"A quantity of {len(text)} letters is too long.")
    text = _PER_NOMINAL.sub("", text.strip())
    if (rate := _RATE.fullmatch(text)) is not None:
        return "current", _inverse(float(rate[1]), text), "C"
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise InputError(f"cannot read '{text}' as a number with a unit.")
    value, unit = float(match[1]), (match[2] or "").strip()
    if not unit:
        raise InputError(f"'{text}' has no unit.")
    if unit == "C":
        return "current", value, "C"
    if unit in _FRACTIONS:
        return "charge", value * _FRACTIONS[unit], "nominal"
    if unit.lower() in _MILLISECONDS:
        return "time", value / 1000.0, "s"  # to the last digit what "0.009 seconds" is
    if unit.lower() in _TIMES:
        return "time", value * _TIMES[unit.lower()], "s"
    return _electric(value, unit, text)


def _electric(value: float, unit: str, text: str) -> tuple[str, float, str]:
    """A voltage, power, charge, current or current density, in the unit we keep it in."""
    if unit.lower() in ("ohm", "mohm"):
        raise InputError("a step at constant resistance is not supported.")
    try:
        for quantity, kept in _ELECTRIC.items():
            if is_compatible(unit, kept) and unit not in ("J", "kJ"):
                return quantity, convert(value, unit, kept), kept
        if is_compatible(unit, _DENSITY):
            return "current", convert(value, unit, _DENSITY), _DENSITY
        if is_compatible(unit, _AREAL):
            return "charge", convert(value, unit, _AREAL), _AREAL
    except UnitError:
        hint = did_you_mean(unit, _UNITS)
        raise InputError(f"unknown unit '{unit}' in '{text}'.{hint}") from None
    raise InputError(f"the unit '{unit}' in '{text}' is none of a step's: {', '.join(_UNITS)}.")


def _inverse(number: float, text: str) -> float:
    if number <= 0.0:
        raise InputError(f"'{text}' is no C-rate.")
    return 1.0 / number


# --- grammar -----------------------------------------------------------------------------------


def _parse(text: str) -> Step:
    if re.search(r"\boC\b", text):
        raise InputError("a step has no temperature of its own: the ambient is the cell's.")
    period = _PERIOD.search(text)
    if period is not None:
        if read_quantity(period[1])[0] != "time":
            raise InputError(f"the period '{period[1]}' is not a time.")
        text = text[: period.start()]
    limits = _LIMIT_WORD.search(text)
    if limits is None:
        raise InputError("the step has no end: say how long ('for …') or until when ('until …').")
    control, value, unit = _read_action(text[: limits.start()].strip())
    duration, ends = _read_limits(text[limits.start() :].strip(), _sign(control, value))
    return Step(control, value, unit, ends, duration)  # type: ignore[arg-type]


def _read_action(text: str) -> tuple[str, float, str]:
    """Control, signed value and unit of what comes before the limits."""
    match = _ACTION.fullmatch(text.removesuffix(" or"))
    if match is None:
        raise InputError(f"cannot read '{text}'.")
    word, held = match["word"].capitalize(), match["value"]
    if word == "Run":
        raise InputError("drive cycles ('Run …') are not supported.")
    if word == "Rest" and held is None:
        return "rest", 0.0, ""
    if word not in ("Charge", "Discharge", "Hold"):
        raise InputError(f"unknown instruction '{match['word']}'.{did_you_mean(word, _WORDS[:4])}")
    if held is None:
        raise InputError(f"'{text}' does not say at what: '{word} at …'.")
    control, value, unit = read_quantity(held)
    _check_action(word, control, value, held)
    return control, -value if word == "Charge" else value, unit


def _check_action(word: str, control: str, value: float, held: str) -> None:
    if control not in ("current", "power", "voltage"):
        raise InputError(f"a step is held at a current, a power or a voltage, not at '{held}'.")
    if control == "voltage" and word != "Hold":
        raise InputError(f"a voltage is held: 'Hold at {held} …'.")
    if control != "voltage" and word == "Hold":
        raise InputError(f"'Hold' is for a voltage: say 'Charge at {held} …' or 'Discharge …'.")
    if value < 0.0:
        raise InputError(f"the sign of '{held}' is given by the word: 'Charge' or 'Discharge'.")


def _sign(control: str, value: float) -> int:
    """+1 for a discharge, -1 for a charge, 0 for a rest or a held voltage."""
    if control in ("rest", "voltage") or value == 0.0:
        return 0
    return 1 if value > 0.0 else -1


def _read_limits(text: str, sign: int) -> tuple[float | None, tuple[End, ...]]:
    """Duration and end conditions."""
    duration: float | None = None
    ends: list[End] = []
    keyword = ""
    for part in re.split(r"\s+or\s+", text, flags=re.IGNORECASE):
        first, _, rest = part.partition(" ")
        if first.lower() in ("for", "until"):
            keyword, part = first.lower(), rest.strip()
        if keyword == "for":
            seconds = _read_time(part)
            duration = seconds if duration is None else min(seconds, duration)
        else:
            ends.append(_read_end(part, sign))
    return duration, tuple(ends)


def _read_time(text: str) -> float:
    quantity, seconds, _ = read_quantity(text)
    if quantity != "time":
        raise InputError(f"'for' is followed by a time, not by '{text}': 'until {text}'.")
    return seconds


def _read_end(text: str, sign: int) -> End:
    if text.lower().startswith("after "):
        return End("time", _read_time(text[6:]), "s")
    operator, plain = (text[0], text[1:].strip()) if text[:1] in "<>" and text else ("", text)
    state = _read_state(plain)
    if state is not None and not operator:
        return state
    quantity, value, unit = read_quantity(plain)
    if quantity == "time":
        raise InputError(f"'until' is not followed by a time: 'for {plain}'.")
    if quantity == "power":
        raise InputError(f"a step cannot end at the power '{plain}'.")
    if operator:
        _check_operator(operator, quantity, plain, sign)
    return End(quantity, value, unit)  # type: ignore[arg-type]


def _read_state(text: str) -> End | None:
    """An end at a quantity of the cell's state, or None if the text is of another kind."""
    match = _STATE.fullmatch(text)
    if match is None:
        return None
    words = [_SAME.get(word, word) for word in match["name"].lower().split()]
    name = "_".join(words)
    if name not in STATE_ENDS:
        close = nearest(name, STATE_ENDS)
        if close is None:
            return None
        raise InputError(f"cannot read '{text}'. Did you mean '{close.replace('_', ' ')}'?")
    return End("state", float(match["value"]) / (100.0 if match["percent"] else 1.0), name)


def _check_operator(operator: str, quantity: str, plain: str, sign: int) -> None:
    """An end is reached from one side only: a sign must not say the opposite."""
    natural = {1: "<", -1: ">"}.get(sign) if quantity == "voltage" else None
    if quantity == "current" or natural not in (None, operator):
        raise InputError(
            f"the end '{operator} {plain}' does not fit this step: write 'until {plain}' (a "
            "current is a magnitude; a charge ends at rising, a discharge at falling voltage)."
        )


# --- help --------------------------------------------------------------------------------------


def _explained(error: InputError, text: str) -> str:
    """An error message that ends in the nearest valid form of the step."""
    repaired = _spelling(text)
    if repaired is not None:  # says more than a hint at the single word
        return f"{str(error).split(' Did you mean ')[0]} Did you mean '{repaired}'?"
    return f"{error} Write, for example, '{_nearest_example(text)}'."


def _spelling(text: str) -> str | None:
    """The step with its unknown words and units replaced by the most similar ones."""
    words = [_repaired(word) for word in text.split()]
    repaired = " ".join(words)
    if repaired == " ".join(text.split()):
        return None
    return repaired if _is_valid(_parse, repaired) else None


def _repaired(word: str) -> str:
    """One word, spelt right if something like it is known."""
    match = re.fullmatch(rf"({_NUMBER})?(.*)", word)
    number, letters = (match[1] or "", match[2]) if match else ("", word)
    if not letters or letters.capitalize() in _WORDS or letters in (*_WORDS, *_UNITS, *_TIMES):
        return word
    if _is_valid(read_quantity, f"1 {letters}") or _is_valid(read_quantity, word):
        return word
    close = nearest(letters, _UNITS if number else (*_WORDS, *_UNITS))
    return word if close is None else number + close


def _nearest_example(text: str) -> str:
    """The example most like the step, one with the same instruction if there is any."""
    instruction = nearest(text.split()[0], _WORDS[:4]) if text.split() else None
    same = [example for example in EXAMPLES if example.split()[0] == instruction]

    def likeness(example: str) -> float:
        return difflib.SequenceMatcher(None, text.lower(), example.lower()).ratio()

    return max(same or EXAMPLES, key=likeness)


def _is_valid(read: Callable[[str], object], text: str) -> bool:
    try:
        read(text)
    except InputError:
        return False
    return True
