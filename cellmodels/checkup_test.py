"""One test of a check-up: steps, what is measured on the last of them, and under which names."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from cellmodels.errors import InputError, did_you_mean
from cellmodels.quantities import MEASURES, STATE_VARIABLES, pulse_variable
from cellmodels.step_text import read_quantity
from cellmodels.steps import END_UNITS, End, Step, parse_steps

__all__ = ["Test"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_]{0,39}")
_RESERVED = ("_std", "_flag")
_OF_CHARGE = ("capacity", "energy")
#: Finest step of a time after a pulse's start, which its variable's name can say [s].
_FINEST = 1e-3


@dataclass(frozen=True)
class Test:
    """A sequence of steps run from the cell's state, and what is measured at its end.

    Parameters
    ----------
    name : str
        Letters, digits and underscores, such as ``"C20"``; it becomes part of variable names.
    steps : list of str or Step
        Run in this order.
    measure : str
        "capacity": charge of the last step, a discharge, or a charge with the hold that may follow
        it, ``capacity_<name>`` [A.h], and its energy, ``energy_<name>`` [W.h].
        "energy": the energy alone.
        "resistance": the last step's pulse, ``resistance_<name>`` [ohm]: voltage at the end of
        the step before, minus voltage at its own end, divided by the change of current; of a
        discharge or a charge. With `times_at` at these times after the pulse began instead:
        ``resistance_10s_<name>``, or ``resistance_10s`` of a test named "pulse", as in check-ups
        found in traces.
        "voltage": voltage of the last step at `times_at`, ``voltage_<name>`` [V], such as of a
        pulse or of the relaxation after it.
        "discharged": charge that all steps discharge, less what they charge,
        ``discharged_<name>`` [A.h], such as what a strip finds.
        "end_voltage": voltage at the end of the last step, ``end_voltage_<name>`` [V].
        Or a quantity of the cell's state at the end of the last step, such as
        "aqueous_halogen" or "loss_of_lithium_inventory" (:mod:`cellmodels.quantities`).
    voltages_at : list of float, str or (float, str)
        Discharged charges at which the voltage of a capacity test is wanted, ``voltage_<name>``
        [V]: numbers in A.h, texts (``"0.5 A.h"``, ``"10 %"`` of the nominal capacity), or pairs
        with the unit "A.h" or "nominal". Kept as pairs. They count from the full cell: of a
        discharge since it began; of a charge it is what is missing to its end (without the hold
        after it), so that both curves lie over the same charge.
    times_at : list of float or str
        Times since the last step began, for "voltage" and "resistance": numbers in seconds, or
        texts such as ``"10 s"``. Kept in seconds.

    Raises
    ------
    InputError
        If a step cannot be read, or the last step does not allow the measurement.
    """

    __test__ = False  # pytest would collect a class of this name

    name: str
    steps: tuple[Step, ...]
    measure: str = "capacity"
    voltages_at: tuple[tuple[float, str], ...] = ()
    times_at: tuple[float, ...] = ()

    def __init__(
        self,
        name: str,
        steps: str | Step | Iterable[str | Step],
        measure: str = "capacity",
        voltages_at: Iterable[float | str | tuple[float, str]] = (),
        times_at: Iterable[float | str] = (),
    ) -> None:
        _check_name(name)
        known = (*MEASURES, *STATE_VARIABLES)
        if measure not in known:
            hint = did_you_mean(str(measure), known)
            raise InputError(f"Test '{name}': unknown measure {measure!r}.{hint}")
        set_ = object.__setattr__
        set_(self, "name", name)
        set_(self, "steps", parse_steps(steps, f"test '{name}'"))
        set_(self, "measure", measure)
        set_(self, "voltages_at", _charges(voltages_at, name))
        set_(self, "times_at", _times(times_at, name))
        if measure in _OF_CHARGE:
            self._check_charge()
        elif measure == "resistance":
            self._check_resistance()
        self._check_places()

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of the variables of ``/checkups`` that it gives."""
        if self.measure == "resistance" and self.times_at:
            return tuple(pulse_variable(time, self.name) for time in self.times_at)
        measures = _OF_CHARGE if self.measure == "capacity" else (self.measure,)
        curve = (f"voltage_{self.name}",) if self.voltages_at else ()
        return (*(f"{measure}_{self.name}" for measure in measures), *curve)

    @property
    def curve(self) -> str | None:
        """The one of its variables that is a voltage curve, or None."""
        is_curve = bool(self.voltages_at) or self.measure == "voltage"
        return f"voltage_{self.name}" if is_curve else None

    @property
    def measured_step(self) -> int:
        """Index of the step that is measured: of a charge with its hold the charge, else the last.

        All steps from it on count for charge and energy.
        """
        last = len(self.steps) - 1
        if self.measure in _OF_CHARGE:
            while last > 0 and self.steps[last].control == "voltage":
                last -= 1
        return last

    def _check_charge(self) -> None:
        step, last = self.steps[self.measured_step], self.steps[-1]
        if step.direction is None or (step.direction == "discharge" and step is not last):
            raise InputError(
                f"Test '{self.name}' measures the {self.measure} of its last step, '{last}', "
                "which is neither a discharge, nor a charge or the hold after it."
            )

    def _check_resistance(self) -> None:
        before, pulse = self.steps[-2] if len(self.steps) > 1 else None, self.steps[-1]
        if before is None:
            raise InputError(
                f"Test '{self.name}' measures a resistance, so it needs a step before its pulse: "
                "['Rest for 1 hour', 'Discharge at 1C for 10 seconds']."
            )
        if pulse.control in ("voltage", "rest") and before.control == pulse.control:
            raise InputError(f"Test '{self.name}': its last two steps have the same current.")
        if (before.control, before.value, before.unit) == (pulse.control, pulse.value, pulse.unit):
            raise InputError(f"Test '{self.name}': its last two steps have the same current.")
        if self.times_at and pulse.control not in ("current", "rest"):
            raise InputError(
                f"Test '{self.name}': times_at needs a pulse of constant current, not '{pulse}'."
            )
        for time in self.times_at:
            if abs(time - _FINEST * round(time / _FINEST)) > 1e-9:
                raise InputError(
                    f"Test '{self.name}', times_at: {time:g} s is no whole number of milliseconds."
                )

    def _check_places(self) -> None:
        """Charges and times fit to what is measured, and to the last step."""
        if self.voltages_at and self.measure not in _OF_CHARGE:
            raise InputError(f"Test '{self.name}': voltages_at belongs to a capacity test.")
        if self.times_at and self.measure not in ("voltage", "resistance"):
            raise InputError(
                f"Test '{self.name}': times_at belongs to the measures 'voltage' and 'resistance'."
            )
        if self.measure == "voltage" and not self.times_at:
            raise InputError(
                f"Test '{self.name}' measures a voltage: say when, times_at=[1, 10, 60] (seconds "
                "since its last step began). Over charge it is voltages_at of a capacity test."
            )
        longest = self.steps[-1].max_duration
        if self.times_at and longest is not None and self.times_at[-1] > longest:
            raise InputError(
                f"Test '{self.name}', times_at: {self.times_at[-1]:g} s is after the end of its "
                f"last step, '{self.steps[-1]}'."
            )


def _check_name(name: str) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InputError(
            f"A test's name has letters, digits and underscores, such as 'C20', not {name!r}."
        )
    if name.endswith(_RESERVED):
        raise InputError(f"A test's name cannot end in '_std' or '_flag', as {name!r} does.")


def _charges(charges: Iterable[float | str | tuple[float, str]], name: str) -> tuple[Any, ...]:
    """Charges as pairs of value and unit."""
    where = f"Test '{name}', voltages_at"
    if isinstance(charges, str) or not isinstance(charges, Iterable):
        raise InputError(f"{where}: a list of charges, not {charges!r}.")
    found = []
    for charge in charges:
        value, unit = _charge(charge, where)
        End("charge", value, unit)  # a positive number, a known unit
        found.append((float(value), unit))
    for unit in END_UNITS["charge"]:
        values = [value for value, own in found if own == unit]
        if any(b <= a for a, b in pairwise(values)):
            raise InputError(f"{where}: the charges must increase.")
    return tuple(found)


def _charge(charge: Any, where: str) -> tuple[float, str]:
    if isinstance(charge, str):
        return _read(charge, "charge", where)
    if isinstance(charge, tuple | list):
        if len(charge) != 2:
            raise InputError(f"{where}: a pair of value and unit, not {charge!r}.")
        return charge[0], charge[1]
    return charge, "A.h"


def _times(times: Iterable[float | str], name: str) -> tuple[float, ...]:
    """Times in seconds."""
    where = f"Test '{name}', times_at"
    if isinstance(times, str) or not isinstance(times, Iterable):
        raise InputError(f"{where}: a list of times, not {times!r}.")
    found = []
    for time in times:
        value = _read(time, "time", where)[0] if isinstance(time, str) else time
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not math.isfinite(value) or value <= 0.0:
            raise InputError(f"{where}: a positive number of seconds, not {time!r}.")
        found.append(float(value))
    if any(b <= a for a, b in pairwise(found)):
        raise InputError(f"{where}: the times must increase.")
    return tuple(found)


def _read(text: str, wanted: str, where: str) -> tuple[float, str]:
    try:
        quantity, value, unit = read_quantity(text)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    if quantity != wanted:
        raise InputError(f"{where}: '{text}' is a {quantity}, not a {wanted}.")
    return value, unit
