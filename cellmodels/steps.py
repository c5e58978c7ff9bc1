"""Steps of a protocol: what is held, and when it ends.

A step is written as text in PyBaMM's language, for example ``"Discharge at 1C until 2.5 V"``
(the grammar is in :mod:`cellmodels.step_text`), or made from its parts. Current and power are
positive on discharge.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from cellmodels.errors import InputError, did_you_mean
from cellmodels.quantities import STATE_ENDS

__all__ = ["End", "Step", "parse_steps"]

Control = Literal["current", "power", "voltage", "rest"]
Quantity = Literal["voltage", "current", "time", "charge", "state"]

#: Units in which each control's value is kept.
CONTROL_UNITS: dict[str, tuple[str, ...]] = {
    "current": ("A", "C", "mA/cm2"),
    "power": ("W",),
    "voltage": ("V",),
    "rest": ("",),
}

#: Units in which each end condition's value is kept.
END_UNITS: dict[str, tuple[str, ...]] = {
    "voltage": ("V",),
    "current": ("A", "C", "mA/cm2"),
    "time": ("s",),
    "charge": ("A.h", "nominal", "mAh/cm2"),
    "state": tuple(STATE_ENDS),
}


@dataclass(frozen=True)
class End:
    """A condition that ends a step.

    Parameters
    ----------
    quantity : {"voltage", "current", "time", "charge", "state"}
        What is watched. "current" is its magnitude; "charge" and "time" count from the
        beginning of the step, charge in either direction; "state" is a quantity of the cell's
        state, if it has it.
    value : float
        Positive.
    unit : str
        "V"; "A", "C" (multiples of the nominal capacity per hour) or "mA/cm2"; "s"; "A.h",
        "nominal" (fraction of the nominal capacity) or "mAh/cm2"; for a state which one, such as
        "halide_utilisation" (`cellmodels.quantities.STATE_ENDS`), whose own unit counts.

    Raises
    ------
    InputError
        On an unknown quantity or unit, or a value that is not a positive number.

    Notes
    -----
    Whether a voltage is reached from above or from below follows from the step: a discharge
    ends when the voltage has fallen to it, a charge when it has risen to it.
    """

    quantity: Quantity
    value: float
    unit: str

    def __post_init__(self) -> None:
        _check_choice("quantity of an end condition", self.quantity, END_UNITS)
        _check_choice(f"unit of a {self.quantity} end", self.unit, END_UNITS[self.quantity])
        value = _number(self.value, f"The {self.quantity} that ends a step")
        if value <= 0.0:
            raise InputError(
                f"The {self.quantity} that ends a step must be positive, not {value:g} {self.unit}."
            )
        object.__setattr__(self, "value", value)

    def __str__(self) -> str:
        if self.quantity == "time":
            return format_duration(self.value)
        if self.quantity == "state":
            return f"{format_number(self.value)} {self.unit.replace('_', ' ')}"
        return format_quantity(self.value, self.unit)


@dataclass(frozen=True)
class Step:
    """One step of a protocol.

    Parameters
    ----------
    control : {"current", "power", "voltage", "rest"}
        What is held constant. A rest has no current.
    value : float
        The held value; current and power are positive on discharge, 0 for a rest.
    unit : str
        "A", "C" or "mA/cm2" (current); "W"; "V"; "" (rest).
    ends : tuple of End
        The step ends when the first of them is met.
    max_duration : float, optional
        The step also ends after this time [s].

    Raises
    ------
    InputError
        If the parts do not fit together: no end at all, a voltage end on a step that has no
        direction, a current end where the current is held, a negative duration …

    Examples
    --------
    >>> Step.parse("Charge at C/2 until 4.2 V")
    Step('Charge at C/2 until 4.2 V')
    >>> Step("current", 20.0, "mA/cm2", ends=(End("voltage", 1.0, "V"),)).direction
    'discharge'
    """

    control: Control
    value: float
    unit: str
    ends: tuple[End, ...] = ()
    max_duration: float | None = None

    def __post_init__(self) -> None:
        _check_choice("control of a step", self.control, CONTROL_UNITS)
        _check_choice(f"unit of a {self.control} step", self.unit, CONTROL_UNITS[self.control])
        object.__setattr__(self, "value", _number(self.value, f"The {self.control} of a step"))
        ends = (self.ends,) if isinstance(self.ends, End) else tuple(self.ends)
        object.__setattr__(self, "ends", ends)
        if self.max_duration is not None:
            seconds = _number(self.max_duration, "The duration of a step")
            object.__setattr__(self, "max_duration", seconds)
        self._check_value()
        self._check_ends()

    # --- reading -------------------------------------------------------------------------------

    @classmethod
    def parse(cls, text: str) -> Step:
        """Read a step from text.

        Parameters
        ----------
        text : str
            Such as ``"Discharge at 1C until 2.5 V"``, ``"Charge at 20 mA/cm2 for 2 hours or
            until 1.9 V"``, ``"Hold at 4.2 V until C/50"``, ``"Rest for 10 minutes"``; all forms
            are listed in :mod:`cellmodels.step_text`.

        Returns
        -------
        Step

        Raises
        ------
        InputError
            If the text is no step; the message shows the nearest valid form.
        """
        from cellmodels.step_text import parse_step  # it builds Steps, so it comes second

        return parse_step(text)

    # --- what it does --------------------------------------------------------------------------

    @property
    def direction(self) -> Literal["charge", "discharge"] | None:
        """Which way the current flows; None for a rest and for a held voltage."""
        if self.control in ("rest", "voltage"):
            return None
        return "discharge" if self.value > 0.0 else "charge"

    def end(self, quantity: Quantity) -> End | None:
        """The first end condition on a quantity.

        Parameters
        ----------
        quantity : {"voltage", "current", "time", "charge", "state"}
            What it watches.

        Returns
        -------
        End or None
        """
        return next((end for end in self.ends if end.quantity == quantity), None)

    # --- writing -------------------------------------------------------------------------------

    def __str__(self) -> str:
        """The step as text that :meth:`parse` reads back to an equal step."""
        limits = []
        if self.max_duration is not None:
            limits.append(f"for {format_duration(self.max_duration)}")
        if self.ends:
            ends = " or ".join(
                f"after {end}" if end.quantity == "time" else str(end) for end in self.ends
            )
            limits.append(f"until {ends}")
        return f"{self._action()} {' or '.join(limits)}"

    def __repr__(self) -> str:
        return f"Step({str(self)!r})"

    def _action(self) -> str:
        if self.control == "rest":
            return "Rest"
        held = format_quantity(abs(self.value), self.unit)
        word = {"discharge": "Discharge", "charge": "Charge", None: "Hold"}[self.direction]
        return f"{word} at {held}"

    # --- checks --------------------------------------------------------------------------------

    def _check_value(self) -> None:
        if self.control == "rest" and self.value != 0.0:
            raise InputError(f"A rest has no current, so its value is 0, not {self.value:g}.")
        if self.control == "voltage" and self.value < 0.0:
            raise InputError(f"A held voltage cannot be negative: {self.value:g} V.")
        if self.control in ("current", "power") and self.value == 0.0:
            raise InputError(f"A {self.control} of zero is a rest: 'Rest for 1 hour'.")

    def _check_ends(self) -> None:
        if not self.ends and self.max_duration is None:
            raise InputError(
                f"The step '{self._action()}' has no end. Say how long ('for 1 hour') or until "
                "when ('until 4.2 V')."
            )
        if self.max_duration is not None and self.max_duration <= 0.0:
            raise InputError(
                f"The duration of a step must be positive, not {self.max_duration:g} s."
            )
        for end in self.ends:
            if not isinstance(end, End):
                raise InputError(f"The ends of a step are End objects, not {end!r}.")
            self._check_end(end)

    def _check_end(self, end: End) -> None:
        if end.quantity == "time":
            return
        if end.quantity == "state":
            return
        if self.control == "rest":
            raise InputError(f"A rest cannot end at {end}: give a time, 'Rest for 1 hour'.")
        if end.quantity == "voltage" and self.control == "voltage":
            raise InputError(
                f"The step '{self._action()}' holds the voltage, so it cannot end at {end}. End it "
                "at a current ('until C/50') or a time ('for 1 hour')."
            )
        if end.quantity == "current" and self.control == "current":
            raise InputError(
                f"The step '{self._action()}' holds the current, so it cannot end at {end}. End it "
                "at a voltage ('until 4.2 V'), a charge ('until 0.5 A.h') or a time ('for 1 hour')."
            )


def parse_steps(steps: str | Step | Iterable[str | Step], where: str) -> tuple[Step, ...]:
    """Read a list of steps.

    Parameters
    ----------
    steps : str, Step or iterable of either
        One step or several.
    where : str
        What they belong to, for the error message, e.g. ``"the cycle"``.

    Returns
    -------
    tuple of Step

    Raises
    ------
    InputError
        If one of them is no step, or there are none. The message names the step and its
        position.
    """
    if isinstance(steps, str | Step):
        steps = (steps,)
    try:
        items: Sequence[str | Step] = list(steps)
    except TypeError:
        raise InputError(f"The steps of {where} are a list, not {steps!r}.") from None
    if not items:
        raise InputError(f"There are no steps in {where}.")
    return tuple(_read(item, k, where) for k, item in enumerate(items, start=1))


def _read(item: str | Step, position: int, where: str) -> Step:
    if isinstance(item, Step):
        return item
    if not isinstance(item, str):
        raise InputError(f"Step {position} of {where} is a text or a Step, not {item!r}.")
    try:
        return Step.parse(item)
    except InputError as error:
        raise InputError(f"Step {position} of {where}, '{item}': {error}") from None


# --- numbers and units as text -----------------------------------------------------------------


def format_number(value: float) -> str:
    """The shortest text that reads back to the same float."""
    text = repr(float(value))
    return text.removesuffix(".0")


def format_quantity(value: float, unit: str) -> str:
    """A value with its unit; a C-rate as a fraction where it is one, such as ``"C/20"``."""
    if unit == "C" and 0.0 < value < 1.0 and 1.0 / round(1.0 / value) == value:
        return f"C/{round(1.0 / value)}"
    return f"{format_number(value)} {unit}"


def format_duration(seconds: float) -> str:
    """A time in the largest unit of which it is a whole number, from seconds to days."""
    for size, name in ((86400.0, "day"), (3600.0, "hour"), (60.0, "minute")):
        count = seconds / size
        if count >= 1.0 and count.is_integer() and count * size == seconds:
            return f"{format_number(count)} {name}{'' if count == 1.0 else 's'}"
    return f"{format_number(seconds)} seconds"


# --- checks ------------------------------------------------------------------------------------


def _check_choice(what: str, value: str, choices: Iterable[str]) -> None:
    choices = tuple(choices)
    if value not in choices:
        raise InputError(f"Unknown {what}: {value!r}." + did_you_mean(str(value), choices))


def _number(value: object, what: str) -> float:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"{what} is a finite number, not {value!r}.")
    if not math.isfinite(value):
        raise InputError(f"{what} is a finite number, not {value!r}.")
    return float(value)
