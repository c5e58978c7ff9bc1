"""What became of a solve: failures are values, not crashes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """Why a solve ended.

    `COMPLETED` is the only success; every other member names a distinct failure.
    """

    COMPLETED = "completed"
    NO_CONSISTENT_START = "no consistent start"
    STEP_TOO_SMALL = "time step too small"
    NOT_CONVERGED = "Newton iteration did not converge"
    END_NOT_REACHED = "end condition not reached"
    NON_FINITE = "non-finite value"
    MODEL_EVENT = "limit of the model reached"
    EXHAUSTED = "cell exhausted"
    MACRO_ERROR = "macro step not accurate"


@dataclass(eq=False)
class SolveFailure(Exception):
    """A failed solve inside the solver, with its reason and place.

    Raised between the solver's own functions only; the public functions turn it into
    an outcome.
    """

    reason: Reason
    message: str = ""
    step: int | None = None
    cycle: int | None = None

    def __str__(self) -> str:
        """Reason, message and place in one line."""
        place = "" if self.cycle is None else f" in cycle {self.cycle}"
        place += "" if self.step is None else f", step {self.step + 1}"
        return f"{self.reason}{': ' + self.message if self.message else ''}{place}"
