"""What is asked of a simulated life, and what comes back.

These small values are the whole contract between the simulator, which computes, and the
fit, which compares: neither needs to know more about the other.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cellmodels.errors import InputError, did_you_mean

__all__ = [
    "COORDINATES",
    "FREQUENCY",
    "GROUPS",
    "TRACES",
    "Outcome",
    "PointSet",
    "Points",
    "Prediction",
]

GROUPS = ("cycles", "checkups")
"""Groups of a record that describe a life."""
TRACES = "traces"
"""The group of what was measured along the time."""
COORDINATES = ("cycle", "throughput", "elapsed_time")
"""Coordinates that place a point in a life: cycle number [-], cumulative discharged charge
[A.h], elapsed time [s]; in this order of preference."""
FREQUENCY = "frequency"
"""The coordinate [Hz] of an impedance, which is measured at rest."""


@dataclass(frozen=True, eq=False)
class PointSet:
    """Points of one variable along one coordinate of a life.

    Parameters
    ----------
    group : {"cycles", "checkups", "traces"}
        Group of the record in which the variable lives.
    variable : str
        Name in the record schema, e.g. ``"discharge_capacity"`` or ``"capacity_C20"``.
    coordinate : {"cycle", "throughput", "elapsed_time", "frequency"}
        What `at` measures; units as in :data:`COORDINATES` and :data:`FREQUENCY`.
    at : array_like, shape (k,)
        Where the variable is wanted. Kept as a read-only array of floats.
    column : int, optional
        Index along the second dimension of a voltage curve; None for scalars.

    Raises
    ------
    InputError
        On an unknown group or coordinate, or when `at` is not one-dimensional and finite.
    """

    group: str
    variable: str
    coordinate: str
    at: NDArray[np.float64]
    column: int | None = None

    def __post_init__(self) -> None:
        _require_choice("group", self.group, (*GROUPS, TRACES))
        _require_choice("coordinate", self.coordinate, (*COORDINATES, FREQUENCY))
        object.__setattr__(self, "at", _frozen_vector(self.at, f"points of {self.variable!r}"))

    @property
    def size(self) -> int:
        """Number of points."""
        return int(self.at.size)


@dataclass(frozen=True, eq=False)
class Points:
    """Sets of points; values asked for at them are flattened in this order.

    Parameters
    ----------
    sets : tuple of PointSet
    """

    sets: tuple[PointSet, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "sets", tuple(self.sets))

    def __iter__(self) -> Iterator[PointSet]:
        return iter(self.sets)

    @property
    def size(self) -> int:
        """Number of points in all sets together."""
        return sum(points.size for points in self.sets)

    def slices(self) -> tuple[slice, ...]:
        """Where each set lies in the flattened order."""
        ends = np.cumsum([0, *(points.size for points in self.sets)])
        return tuple(slice(int(a), int(b)) for a, b in itertools.pairwise(ends))


@dataclass(frozen=True)
class Outcome:
    """How a simulation ended.

    Parameters
    ----------
    ok : bool
        Whether its numbers may be used.
    reason : str
        Short code, e.g. ``"completed"`` or ``"newton failed"``.
    message : str
        A sentence for people.
    cycle : int, optional
        Cycle in which it stopped.
    """

    ok: bool
    reason: str = ""
    message: str = ""
    cycle: int | None = None


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a simulated life gives at asked points.

    Parameters
    ----------
    values : ndarray, shape (k,), or None
        One value a point, in the record's units; None when the simulation failed.
    jacobian : ndarray, shape (k, p), or None
        Derivative of each value with respect to each free parameter, both in natural units.
    outcome : Outcome
    error : float
        Estimated solver error of the predicted capacities [A.h]; NaN when unknown.
    state : object
        Warm start for a next call at a nearby parameter; opaque.
    """

    values: NDArray[np.float64] | None
    jacobian: NDArray[np.float64] | None
    outcome: Outcome
    error: float = float("nan")
    state: Any = field(default=None, repr=False)


def _require_choice(what: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise InputError(f"Unknown {what} {value!r}." + did_you_mean(value, choices))


def _frozen_vector(values: ArrayLike, what: str) -> NDArray[np.float64]:
    vector = np.array(values, dtype=float)
    if vector.ndim != 1 or not np.all(np.isfinite(vector)):
        raise InputError(f"The {what} must be a one-dimensional array of finite numbers.")
    vector.flags.writeable = False
    return vector
