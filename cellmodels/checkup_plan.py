"""What a check-up consists of: tests, and the usual check-up made to fit a protocol's cycle."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from cellmodels.errors import InputError, did_you_mean
from cellmodels.quantities import MEASURES, STATE_VARIABLES
from cellmodels.step_text import read_quantity
from cellmodels.steps import END_UNITS, End, Step, parse_steps

__all__ = ["Checkup", "StandardCheckup", "Test"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_]{0,39}")
_RESERVED = ("_std", "_flag")

#: Where the slow discharge's voltage is given, as fractions of the nominal capacity.
CURVE = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
_REST = Step("rest", 0.0, "", max_duration=3600.0)
_PULSE = Step("current", 1.0, "C", max_duration=10.0)


@dataclass(frozen=True)
class Test:
    """A sequence of steps run from the cell's state, and what is measured on its last step.

    Parameters
    ----------
    name : str
        Letters, digits and underscores, such as ``"C20"``; it becomes part of variable names.
    steps : list of str or Step
        Run in this order.
    measure : str
        "capacity": charge that the last step discharges, ``capacity_<name>`` [A.h].
        "resistance": the last step's pulse, ``resistance_<name>`` [ohm]: voltage at the end of
        the step before, minus voltage at its own end, divided by the change of current.
        "discharged": charge that all steps discharge, less what they charge,
        ``discharged_<name>`` [A.h], such as what a strip finds.
        "end_voltage": voltage at the end of the last step, ``end_voltage_<name>`` [V].
        Or a quantity of the cell's state at the end of the last step, such as
        "aqueous_halogen" or "loss_of_lithium_inventory" (:mod:`cellmodels.quantities`).
    voltages_at : list of float, str or (float, str)
        Discharged charges in the last step at which its voltage is wanted,
        ``voltage_<name>`` [V]: numbers in A.h, texts (``"0.5 A.h"``, ``"10 %"`` of the nominal
        capacity), or pairs with the unit "A.h" or "nominal". Kept as pairs.

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

    def __init__(
        self,
        name: str,
        steps: str | Step | Iterable[str | Step],
        measure: str = "capacity",
        voltages_at: Iterable[float | str | tuple[float, str]] = (),
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
        if measure == "capacity":
            self._check_capacity()
        elif self.voltages_at:
            raise InputError(f"Test '{name}': voltages_at belongs to a capacity test.")
        elif measure == "resistance":
            self._check_resistance()

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of the variables of ``/checkups`` that it gives."""
        curve = (f"voltage_{self.name}",) if self.voltages_at else ()
        return (f"{self.measure}_{self.name}", *curve)

    def _check_capacity(self) -> None:
        if self.steps[-1].direction != "discharge":
            raise InputError(
                f"Test '{self.name}' measures the capacity of its last step, '{self.steps[-1]}', "
                "which is no discharge."
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


@dataclass(frozen=True)
class Checkup:
    """Tests done together at some places of a life.

    Parameters
    ----------
    tests : list of Test
        With different names. Each is measured from the same state of the cell.
    disturbs : bool
        False: evaluated beside the life. True: the steps of all tests, one after the other, are
        also part of the life, and age the cell.
    counts : bool
        Whether the cycle numbers of the data count such a check-up as a cycle; only with
        ``disturbs=True``. The cycle numbers of a protocol never count it.

    Raises
    ------
    InputError
        If there is no test, or two have the same name.
    """

    tests: tuple[Test, ...]
    disturbs: bool = False
    counts: bool = False

    def __post_init__(self) -> None:
        tests = (self.tests,) if isinstance(self.tests, Test) else tuple(self.tests)
        object.__setattr__(self, "tests", tests)
        if not tests:
            raise InputError("A check-up needs at least one test; see Checkup.default().")
        for test in tests:
            if not isinstance(test, Test):
                raise InputError(f"The tests of a check-up are Test objects, not {test!r}.")
        _check_unique([test.name for test in tests])
        if self.counts and not self.disturbs:
            raise InputError("A check-up that does not disturb the life cannot count as a cycle.")

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps of all tests, one after the other."""
        return tuple(step for test in self.tests for step in test.steps)

    @staticmethod
    def default(
        charge: Sequence[str | Step] | None = None,
        lower_voltage: float | None = None,
        voltages_at: Sequence[float] = CURVE,
        disturbs: bool = False,
        counts: bool = False,
    ) -> StandardCheckup:
        """The usual check-up: capacity at 1C and at C/20, and a 10 s pulse at half charge.

        Parameters
        ----------
        charge : list of str or Step, optional
            Steps that charge the cell before each test; the protocol's own by default.
        lower_voltage : float, optional
            Where the discharges end [V]; the protocol's lowest cut-off by default.
        voltages_at : list of float
            Discharged charges at which the voltage of the C/20 discharge is given, as fractions
            of the nominal capacity; empty for none.
        disturbs, counts : bool
            As in `Checkup`.

        Returns
        -------
        StandardCheckup
            It becomes a `Checkup` when a `Protocol` is made with it, because it takes the charge
            and the cut-off from that protocol's cycle.
        """
        return StandardCheckup(
            None if charge is None else parse_steps(charge, "the check-up's charge"),
            lower_voltage,
            tuple(voltages_at),
            disturbs,
            counts,
        )


@dataclass(frozen=True)
class StandardCheckup:
    """Capacity at 1C and C/20 and a 10 s pulse, to be completed by a protocol's cycle.

    Made by `Checkup.default`; a `Protocol` turns it into a `Checkup` with three tests. Each
    charges the cell as the cycle does and rests for an hour; then

    - "1C" discharges at 1C to the cut-off: ``capacity_1C``;
    - "C20" discharges at C/20: ``capacity_C20``, ``voltage_C20``;
    - "10s" discharges half of the nominal capacity at C/2, rests for an hour and discharges at
      1C for 10 s: ``resistance_10s``.

    Parameters
    ----------
    charge : tuple of Step, optional
        Steps that charge the cell; those of the protocol's cycle by default.
    lower_voltage : float, optional
        Cut-off of the discharges [V]; the lowest of the cycle by default.
    voltages_at : tuple of float
        Charges of ``voltage_C20``, as fractions of the nominal capacity.
    disturbs, counts : bool
        As in `Checkup`.
    """

    charge: tuple[Step, ...] | None = None
    lower_voltage: float | None = None
    voltages_at: tuple[float, ...] = CURVE
    disturbs: bool = False
    counts: bool = False

    def complete(self, cycle: Sequence[Step]) -> Checkup:
        """The check-up for a protocol with this cycle.

        Parameters
        ----------
        cycle : sequence of Step
            The protocol's cycle.

        Returns
        -------
        Checkup

        Raises
        ------
        InputError
            If the cycle has no charge, or no discharge that ends at a voltage, and they are not
            given.
        """
        start = (*(self.charge or charge_steps(cycle)), _REST)
        empty = End("voltage", self.lower_voltage or lower_cut_off(cycle), "V")
        half = Step("current", 0.5, "C", ends=(End("charge", 0.5, "nominal"), empty))
        curve = [(value, "nominal") for value in self.voltages_at]
        tests = (
            Test("1C", (*start, Step("current", 1.0, "C", ends=(empty,)))),
            Test("C20", (*start, Step("current", 0.05, "C", ends=(empty,))), voltages_at=curve),
            Test("10s", (*start, half, _REST, _PULSE), measure="resistance"),
        )
        return Checkup(tests, self.disturbs, self.counts)


def charge_steps(cycle: Sequence[Step]) -> tuple[Step, ...]:
    """The steps with which a cycle charges the cell.

    Parameters
    ----------
    cycle : sequence of Step
        A cycle; its last step is followed by its first.

    Returns
    -------
    tuple of Step
        Charges, and the holds that follow them; of several blocks of them, separated by
        discharges, the one that reaches the highest voltage.

    Raises
    ------
    InputError
        If the cycle has no charge.
    """
    blocks: list[list[Step]] = []
    charging = False
    for step in _from_discharge(cycle):
        if step.direction == "discharge":
            charging = False
        elif step.direction == "charge":
            if not charging:
                blocks.append([])
            charging = True
            blocks[-1].append(step)
        elif step.control == "voltage" and charging:
            blocks[-1].append(step)
    if not blocks:
        raise InputError(
            "The cycle has no charge that Checkup.default() could use: give charge=[...], or the "
            "tests themselves."
        )
    return tuple(max(blocks, key=_highest_voltage))


def lower_cut_off(cycle: Sequence[Step]) -> float:
    """The lowest voltage [V] at which a discharge of a cycle ends.

    Parameters
    ----------
    cycle : sequence of Step
        A cycle.

    Returns
    -------
    float

    Raises
    ------
    InputError
        If no discharge ends at a voltage.
    """
    discharges = [step for step in cycle if step.direction == "discharge"]
    ends = [end.value for step in discharges if (end := step.end("voltage")) is not None]
    if not ends:
        raise InputError(
            "No discharge of the cycle ends at a voltage, so Checkup.default() does not know where "
            "to stop: give lower_voltage=..., or the tests themselves."
        )
    return min(ends)


def _from_discharge(cycle: Sequence[Step]) -> list[Step]:
    """The cycle beginning with a discharge, so that no block of charges is cut in two."""
    for k, step in enumerate(cycle):
        if step.direction == "discharge":
            return [*cycle[k:], *cycle[:k]]
    return list(cycle)


def _highest_voltage(steps: Iterable[Step]) -> float:
    steps = list(steps)
    ends = [end.value for step in steps if (end := step.end("voltage")) is not None]
    held = [step.value for step in steps if step.control == "voltage"]
    return max([*ends, *held], default=0.0)


# --- checks ------------------------------------------------------------------------------------


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
        try:
            quantity, value, unit = read_quantity(charge)
        except InputError as error:
            raise InputError(f"{where}: {error}") from None
        if quantity != "charge":
            raise InputError(f"{where}: '{charge}' is a {quantity}, not a charge.")
        return value, unit
    if isinstance(charge, tuple | list):
        if len(charge) != 2:
            raise InputError(f"{where}: a pair of value and unit, not {charge!r}.")
        return charge[0], charge[1]
    return charge, "A.h"


def _check_name(name: str) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InputError(
            f"A test's name has letters, digits and underscores, such as 'C20', not {name!r}."
        )
    if name.endswith(_RESERVED):
        raise InputError(f"A test's name cannot end in '_std' or '_flag', as {name!r} does.")


def _check_unique(names: Sequence[str]) -> None:
    for k, name in enumerate(names):
        if name in names[:k]:
            raise InputError(f"Two tests of a check-up have the name '{name}'.")
