"""What is done to a cell: a cycle that is repeated, check-ups, and pauses.

Cycle k is the k-th, counted from 1. A check-up or a pause *after cycle k* happens when k cycles
are complete; 0 is the fresh cell. A check-up is by default evaluated beside the life, from the
cell's state at that place, and does not age the cell; with ``disturbs=True`` it is part of the
life.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

from cellmodels.checkup_plan import Checkup, StandardCheckup, Test
from cellmodels.errors import InputError
from cellmodels.protocol_file import CheckupSection, ProtocolFile, protocol_file
from cellmodels.steps import End, Step, format_quantity, parse_steps
from cellmodels.toml_io import read_toml

__all__ = ["Checkup", "End", "Protocol", "Step", "Test"]


@dataclass(frozen=True)
class Protocol:
    """What is done to a cell.

    Parameters
    ----------
    cycle : list of str or Step
        The steps of one cycle, repeated for the whole life.
    every : mapping of int to Checkup, optional
        Check-ups by their interval: ``{100: checkup}`` is done with the fresh cell and after
        cycles 100, 200, … and the last one. `Checkup.default()` is made complete here.
    pauses : mapping of int to str, Step or a list of them, optional
        Steps done once, after a cycle: ``{500: "Rest for 30 days"}``.
    name : str
        For people.

    Raises
    ------
    InputError
        If something cannot be read, or can be seen to be impossible before any simulation.

    Examples
    --------
    >>> cycle = ["Discharge at 1C until 2.5 V", "Charge at C/2 until 4.2 V"]
    >>> protocol = Protocol(cycle, every={100: Checkup.default()})
    >>> protocol.checkup_cycles(250)
    [0, 100, 200, 250]
    """

    cycle: tuple[Step, ...]
    every: Mapping[int, Checkup]
    pauses: Mapping[int, tuple[Step, ...]]
    name: str

    def __init__(
        self,
        cycle: str | Step | Iterable[str | Step],
        every: Mapping[int, Checkup | StandardCheckup] | None = None,
        pauses: Mapping[int, str | Step | Iterable[str | Step]] | None = None,
        name: str = "",
    ) -> None:
        steps = parse_steps(cycle, "the cycle")
        _check_order(steps)
        checkups = {
            _count(n, "The interval of a check-up", 1): _complete(checkup, steps)
            for n, checkup in (every or {}).items()
        }
        _check_same_tests(checkups)
        stops = {
            _count(n, "The cycle before a pause", 0): parse_steps(pause, f"the pause after {n}")
            for n, pause in (pauses or {}).items()
        }
        set_ = object.__setattr__
        set_(self, "cycle", steps)
        set_(self, "every", MappingProxyType(dict(sorted(checkups.items()))))
        set_(self, "pauses", MappingProxyType(dict(sorted(stops.items()))))
        set_(self, "name", str(name))

    # --- when ----------------------------------------------------------------------------------

    def checkup_cycles(self, total: int) -> list[int]:
        """After how many cycles there are check-ups.

        Parameters
        ----------
        total : int
            Cycles of the life.

        Returns
        -------
        list of int
            Increasing, with 0 (the fresh cell) and `total`; empty without check-ups.
        """
        if not self.every:
            return []
        places = {0, int(total)}
        for interval in self.every:
            places.update(range(interval, int(total) + 1, interval))
        return sorted(places)

    def checkups_at(self, cycle: int, last: int) -> list[Checkup]:
        """The check-ups done after so many cycles of a life.

        Parameters
        ----------
        cycle : int
            Completed cycles.
        last : int
            Cycles of the whole life; all check-ups are done at its end.

        Returns
        -------
        list of Checkup
        """
        return [c for n, c in self.every.items() if cycle % n == 0 or cycle == last]

    def tests_at(self, cycle: int, last: int) -> list[str]:
        """Names of the tests done after so many cycles of a life, as in `checkups_at`."""
        tests = [test.name for checkup in self.checkups_at(cycle, last) for test in checkup.tests]
        return list(dict.fromkeys(tests))

    def interruptions(self, total: int | None = None) -> Iterator[tuple[int, tuple[Step, ...]]]:
        """What happens between cycles as part of the life.

        Parameters
        ----------
        total : int, optional
            Cycles of the life; needed where check-ups disturb it, since these recur.

        Yields
        ------
        after : int
            Completed cycles, increasing; at most `total`.
        steps : tuple of Step
            Disturbing check-ups first, then the pause.

        Raises
        ------
        InputError
            If `total` is missing and there are disturbing check-ups.
        """
        disturbing = {n: checkup for n, checkup in self.every.items() if checkup.disturbs}
        if disturbing and total is None:
            raise InputError("The check-ups disturb the life: say how many cycles it has.")
        places = set(self.pauses)
        if disturbing and total is not None:
            places |= {k for n in disturbing for k in range(0, total + 1, n)}
        for after in sorted(k for k in places if total is None or k <= total):
            checkups = [c for n, c in disturbing.items() if after % n == 0]
            steps = [step for checkup in checkups for step in checkup.steps]
            yield after, (*steps, *self.pauses.get(after, ()))

    @property
    def block(self) -> tuple[int, tuple[Step, ...]] | None:
        """What repeats beyond the cycle: after how many cycles, and which steps interrupt them.

        None where nothing interrupts the life, or not the same way each time.
        """
        disturbing = [(n, c) for n, c in self.every.items() if c.disturbs]
        if len(disturbing) != 1 or self.pauses:
            return None
        every, checkup = disturbing[0]
        return every, checkup.steps

    # --- files ---------------------------------------------------------------------------------

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a protocol from a TOML file.

        Parameters
        ----------
        path : str or pathlib.Path
            For example::

                [protocol]
                name = "1C ageing"
                cycle = ["Discharge at 1C until 2.5 V", "Charge at C/2 until 4.2 V"]

                [[checkup]]          # without tests: Checkup.default()
                every = 100

                [[checkup.test]]
                name = "C20"
                steps = ["Charge at C/2 until 4.2 V", "Discharge at C/20 until 2.5 V"]
                measure = "capacity"
                voltages_at = ["10 %", "0.5 A.h"]

                [[pause]]
                after_cycle = 200
                step = "Rest for 30 days"

        Returns
        -------
        Protocol

        Raises
        ------
        InputError
            If the file cannot be read or is wrong; the message names the file and the place.
        """
        return cls._from_file(protocol_file(read_toml(path), str(path)), f"{path}: ")

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`.

        Parameters
        ----------
        data : mapping
            With the keys of the TOML file.

        Returns
        -------
        Protocol

        Raises
        ------
        InputError
            If it describes no protocol.
        """
        return cls._from_file(protocol_file(data, "protocol"), "")

    def to_dict(self) -> dict[str, Any]:
        """The protocol as plain JSON types, with the keys of the TOML file.

        Returns
        -------
        dict
        """
        data: dict[str, Any] = {
            "protocol": {"name": self.name, "cycle": [str(step) for step in self.cycle]}
        }
        if self.every:
            data["checkup"] = [_checkup_dict(n, checkup) for n, checkup in self.every.items()]
        if self.pauses:
            data["pause"] = [
                {"after_cycle": n, "step": [str(step) for step in steps]}
                for n, steps in self.pauses.items()
            ]
        return data

    @classmethod
    def _from_file(cls, data: ProtocolFile, where: str) -> Self:
        try:
            _check_distinct([c.every for c in data.checkup], "check-ups with every =")
            _check_distinct([p.after_cycle for p in data.pause], "pauses with after_cycle =")
            every = {entry.every: _checkup_of(entry) for entry in data.checkup}
            pauses = {entry.after_cycle: entry.step for entry in data.pause}
            return cls(data.protocol.cycle, every, pauses, data.protocol.name)
        except InputError as error:
            raise type(error)(f"{where}{error}") from None

    # --- as a value ----------------------------------------------------------------------------

    def __hash__(self) -> int:
        return hash(json.dumps(self.to_dict(), sort_keys=True))

    def __reduce__(self) -> Any:
        return Protocol, (self.cycle, dict(self.every), dict(self.pauses), self.name)

    def __repr__(self) -> str:
        parts = [repr([str(step) for step in self.cycle])]
        if self.every:
            tests = {n: [test.name for test in c.tests] for n, c in self.every.items()}
            parts.append(f"every={tests}")
        if self.pauses:
            parts.append(f"pauses={ {n: [str(s) for s in p] for n, p in self.pauses.items()} }")
        if self.name:
            parts.append(f"name={self.name!r}")
        return f"Protocol({', '.join(parts)})"


# --- to and from files -------------------------------------------------------------------------


def _checkup_of(entry: CheckupSection) -> Checkup | StandardCheckup:
    """A check-up of a file; the usual one where no tests are given."""
    if not entry.test:
        return Checkup.default(disturbs=entry.disturbs, counts=entry.counts)
    tests = [Test(t.name, t.steps, t.measure, t.voltages_at, t.times_at) for t in entry.test]
    return Checkup(tuple(tests), entry.disturbs, entry.counts)


def _checkup_dict(every: int, checkup: Checkup) -> dict[str, Any]:
    return {
        "every": every,
        "disturbs": checkup.disturbs,
        "counts": checkup.counts,
        "test": [
            {
                "name": test.name,
                "measure": test.measure,
                "steps": [str(step) for step in test.steps],
                "voltages_at": [format_quantity(*charge) for charge in test.voltages_at],
                **({"times_at": list(test.times_at)} if test.times_at else {}),
            }
            for test in checkup.tests
        ],
    }


# --- checks ------------------------------------------------------------------------------------


def _complete(checkup: Checkup | StandardCheckup, cycle: tuple[Step, ...]) -> Checkup:
    if isinstance(checkup, StandardCheckup):
        return checkup.complete(cycle)
    if not isinstance(checkup, Checkup):
        raise InputError(f"A protocol's check-ups are Checkup objects, not {checkup!r}.")
    return checkup


def _check_order(cycle: Sequence[Step]) -> None:
    """Refuse what can be seen to be impossible without simulating it."""
    directions = {step.direction for step in cycle if step.direction is not None}
    holds = any(step.control == "voltage" for step in cycle)
    if len(directions) == 1 and not holds:
        (only,) = directions
        other = "charges" if only == "discharge" else "discharges"
        raise InputError(f"The cycle only {only}s: nothing {other} the cell for the next one.")
    low = _cut_offs(cycle, "discharge")
    high = _cut_offs(cycle, "charge")
    if low and high and min(low) >= max(high):
        raise InputError(
            f"The cycle discharges to {min(low):g} V and charges to {max(high):g} V: the discharge "
            "must end at the lower voltage."
        )


def _cut_offs(cycle: Sequence[Step], direction: str) -> list[float]:
    steps = [step for step in cycle if step.direction == direction]
    return [end.value for step in steps if (end := step.end("voltage")) is not None]


def _check_same_tests(checkups: Mapping[int, Checkup]) -> None:
    known: dict[str, Test] = {}
    owners: dict[str, str] = {}
    for checkup in checkups.values():
        for test in checkup.tests:
            if known.setdefault(test.name, test) != test:
                raise InputError(f"Two different check-up tests have the name '{test.name}'.")
            for name in test.variables:
                if owners.setdefault(name, test.name) != test.name:
                    raise InputError(f"Two check-up tests give '{name}'.")


def _check_distinct(numbers: Sequence[int], what: str) -> None:
    for k, number in enumerate(numbers):
        if number in numbers[:k]:
            raise InputError(f"There are two {what} {number}.")


def _count(value: Any, what: str, least: int) -> int:
    whole = not isinstance(value, bool) and isinstance(value, int)
    if not whole or value < least:
        raise InputError(f"{what} is a whole number from {least} on, not {value!r}.")
    return int(value)
