"""Check-ups: tests done together, and the usual ones, made to fit a protocol's cycle."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cellmodels.checkup_test import Test
from cellmodels.errors import InputError
from cellmodels.steps import End, Step, parse_steps

__all__ = ["Checkup", "StandardCheckup", "Test"]

#: Where the slow discharge's voltage is given, as fractions of the nominal capacity.
CURVE = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
_REST = Step("rest", 0.0, "", max_duration=3600.0)
_PULSE = Step("current", 1.0, "C", max_duration=10.0)


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
        _check_unique("tests", [test.name for test in tests])
        _check_unique("variables", [name for test in tests for name in test.variables])
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


def _check_unique(what: str, names: Sequence[str]) -> None:
    for k, name in enumerate(names):
        if name in names[:k]:
            raise InputError(f"Two {what} of a check-up have the name '{name}'.")
