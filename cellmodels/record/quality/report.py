"""What is wrong or doubtful in a record: findings, each with its rows, and the report of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cellmodels.errors import InputError

__all__ = ["Finding", "QualityReport"]

_RANGES = 6  # of rows, in a message

#: What each kind of finding is, for people.
KINDS = {
    "missing": "a time, voltage or current is missing",
    "impossible": "a number that no cell and no instrument has",
    "repeated": "a row that was written twice",
    "clock": "the time goes back",
    "time unit": "times in another unit than they say",
    "current unit": "currents in another unit than they say",
    "voltage unit": "voltages in another unit than they say",
    "temperature unit": "temperatures in another unit than they say",
    "gap": "no row over a time in which there should be some",
    "pause": "the dates run on while the elapsed time stands still, or are set",
    "frozen": "a channel that stays at one number while it must move",
    "saturated": "a channel that stays at its highest or lowest number while it must move",
    "spike": "a single number far from both its neighbours",
    "sign": "currents whose sign is opposed to what the voltage does",
    "unsigned": "currents without sign",
    "counter": "an instrument's counter of charge that disagrees with its current",
    "counter reset": "an instrument's counter of charge that begins anew within a step",
    "cycle": "cycle numbers that go back, or count rows",
    "efficiency": "an efficiency that no whole cycle has",
    "cut short": "a cycle that ends before the others do",
}


@dataclass(frozen=True, eq=False)
class Finding:
    """Something in a record that is wrong or doubtful.

    Parameters
    ----------
    kind : str
        One of :data:`KINDS`.
    group : {"cycles", "checkups", "traces"}
        Where it is.
    variable : str
        Of which variable.
    rows : ndarray of int, shape (n,)
        Numbers of the rows, as in the file where a file was read; empty where the whole
        variable is meant.
    severity : {"refused", "noted"}
        Whether numbers would be wrong if they were used, or are usable by one who knows.
    message : str
        What was found, in words, without the rows.
    repair : str
        Name of the repair that cures it; empty where there is none.
    word : str
        What rows are called: "row", "line" or "data row".
    """

    kind: str
    group: str
    variable: str
    rows: NDArray[np.int64]
    severity: str
    message: str
    repair: str = ""
    word: str = "row"

    def __str__(self) -> str:
        where = f"; {self.where}" if len(self.rows) else ""
        return f"{self.kind}: {self.message}{where}"

    @property
    def where(self) -> str:
        """The rows in words, such as ``"lines 3-17, 20 (16 rows)"``."""
        return ranges(self.rows, self.word)


@dataclass(frozen=True, eq=False)
class QualityReport:
    """What was found in a record.

    Parameters
    ----------
    findings : tuple of Finding
        The refused first.
    where : str
        The file or record, for messages.
    """

    findings: tuple[Finding, ...] = field(default=())
    where: str = "record"

    @property
    def refused(self) -> tuple[Finding, ...]:
        """Findings that make numbers wrong."""
        return tuple(one for one in self.findings if one.severity == "refused")

    @property
    def noted(self) -> tuple[Finding, ...]:
        """Findings that one must know of."""
        return tuple(one for one in self.findings if one.severity != "refused")

    @property
    def repairs(self) -> tuple[str, ...]:
        """Names of the repairs that the refused findings have."""
        return tuple(dict.fromkeys(one.repair for one in self.refused if one.repair))

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __len__(self) -> int:
        return len(self.findings)

    def __repr__(self) -> str:
        if not self.findings:
            return f"{self.where}: nothing was found."
        lines = [f"{self.where}: {len(self.refused)} refused, {len(self.noted)} noted"]
        for one in self.findings:
            lines.append(f"  {one.severity:7}  /{one.group} {one}")
            if one.repair:
                lines.append(f"           repair: {one.repair!r}")
        return "\n".join(lines)

    def raise_if_refused(self) -> None:
        """Refuse what may not be used.

        Raises
        ------
        InputError
            If there is a refused finding. It lists them with their rows, and says which repairs
            would cure them.
        """
        if not self.refused:
            return
        listed = "\n  ".join(str(one) for one in self.refused)
        incurable = [one.kind for one in self.refused if not one.repair]
        cure = ""
        if self.repairs:
            names = ", ".join(f"'{name}'" for name in self.repairs)
            cure = f"\nTo read it all the same, repaired: repair=[{names}]."
        if incurable:
            cure += f"\nThere is no repair for: {', '.join(dict.fromkeys(incurable))}."
        raise InputError(f"{self.where}: {listed}{cure}")

    def to_frame(self) -> pd.DataFrame:
        """The findings as a table.

        Returns
        -------
        pandas.DataFrame
            One row a finding: ``severity``, ``group``, ``variable``, ``kind``, ``count``, ``rows``
            (in words), ``message``, ``repair``.
        """
        names = ("severity", "group", "variable", "kind")
        table = [
            {
                **{name: getattr(one, name) for name in names},
                "count": len(one.rows),
                "rows": one.where,
                "message": one.message,
                "repair": one.repair,
            }
            for one in self.findings
        ]
        return pd.DataFrame(
            table, columns=[*names, "count", "rows", "message", "repair"]
        )  # the columns are there without findings too

    def text(self) -> str:
        """The noted findings in one line, for an attribute or a warning."""
        return "; ".join(str(one) for one in self.noted)


def report(findings: Sequence[Finding], where: str) -> QualityReport:
    """Put findings together, the refused first.

    Parameters
    ----------
    findings : sequence of Finding
    where : str
        The file or record, for messages.

    Returns
    -------
    QualityReport
    """
    ordered = sorted(findings, key=lambda one: one.severity != "refused")
    return QualityReport(tuple(ordered), where)


def ranges(rows: NDArray[np.int64], word: str = "row") -> str:
    """Numbers of rows in words, neighbours as ranges.

    Parameters
    ----------
    rows : ndarray of int
        Ascending.
    word : str
        What one is called.

    Returns
    -------
    str
        Such as ``"lines 3-17, 20 (16 rows)"``; empty without rows.
    """
    if not len(rows):
        return ""
    breaks = np.flatnonzero(np.diff(rows) != 1)
    first, last = rows[np.r_[0, breaks + 1]], rows[np.r_[breaks, len(rows) - 1]]
    shown = [f"{a}" if a == b else f"{a}-{b}" for a, b in zip(first, last, strict=True)]
    more = f" and {len(shown) - _RANGES} more places" if len(shown) > _RANGES else ""
    count = f" ({len(rows)} rows)" if more or len(rows) > len(shown) else ""
    return f"{word}{'s' if len(rows) > 1 else ''} {', '.join(shown[:_RANGES])}{more}{count}"


def duration(seconds: float) -> str:
    """A time in words.

    Parameters
    ----------
    seconds : float

    Returns
    -------
    str
        Such as ``"2.5 h"``, in the largest unit of which there are two.
    """
    for unit, size in (("days", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"
