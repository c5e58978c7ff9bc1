"""What all experiments on a fresh cell have: a name, and the state of the cell at their start."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from cellmodels.errors import InputError

__all__ = ["Array", "Experiment"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False, kw_only=True)
class Experiment:
    """What all experiments have: a name, and the state of the cell when they begin.

    Parameters
    ----------
    name : str
        Names its variables in tables and figures; needed where there are several.
    soc : float, optional
        State of charge at the start, 0 to 1, between the set's open-circuit voltages.
    rest_voltage : float, optional
        Voltage at rest at the start [V], in place of `soc`. With neither, the cell starts from
        its own initial concentrations. With either, electrodes start in equilibrium at the
        lithium that those concentrations hold together.
    ambient : float, optional
        Temperature around the cell [K]; by default the cell's.
    initial_temperature : float, optional
        Of the cell at the start [K], where its temperature is simulated; by default the first
        that was measured, or else the ambient one.
    """

    name: str = ""
    soc: float | None = None
    rest_voltage: float | None = None
    ambient: float | None = None
    initial_temperature: float | None = None

    #: Arrays with their place in files.
    ARRAYS: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or "/" in self.name:
            raise InputError(f"The name of an experiment is a text without '/', not {self.name!r}.")
        if self.soc is not None and self.rest_voltage is not None:
            raise InputError(f"{self}: give a state of charge or a rest voltage, not both.")
        for field in ("soc", "rest_voltage", "ambient", "initial_temperature"):
            value = getattr(self, field)
            if value is not None:
                object.__setattr__(self, field, self._number(field, value))
        if self.soc is not None and not 0.0 <= self.soc <= 1.0:
            raise InputError(f"{self}: soc is {self.soc:g}, not from 0 to 1.")
        for field in ("ambient", "initial_temperature"):
            value = getattr(self, field)
            if value is not None and not 150.0 < value < 1000.0:
                raise InputError(f"{self}: {field} is {value:g} K; temperatures are in kelvin.")

    def __str__(self) -> str:
        return f"Experiment {self.name!r}" if self.name else "The trace"

    def named(self, name: str) -> Self:
        """The same experiment under a name."""
        return replace(self, name=name)

    @property
    def own_start(self) -> bool:
        """Whether it begins at the cell's own initial concentrations."""
        return self.soc is None and self.rest_voltage is None

    def label(self, what: str) -> str:
        """Name of one of its variables."""
        return f"{self.name} {what}" if self.name else what

    def _number(self, field: str, value: Any) -> float:
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = np.nan
        if not np.isfinite(number):
            raise InputError(f"{self}: {field} is {value!r}, not a number.")
        return number

    def _vector(self, field: str, like: Array | None = None, missing: bool = False) -> Array:
        """A field as a checked vector; as long as another, NaN where values may be missing."""
        value, of = getattr(self, field), "a trace" if not self.name else f"{self.name!r}"
        try:
            vector = np.array(value, dtype=float)
        except (TypeError, ValueError):
            raise InputError(f"The {field} of {of} is an array of numbers.") from None
        if vector.ndim != 1 or not vector.size:
            raise InputError(
                f"The {field} of {of} is one-dimensional; its shape is {vector.shape}."
            )
        if like is not None and vector.shape != like.shape:
            raise InputError(f"{self} has {like.size} times, but {vector.size} {_plural(field)}.")
        bad = np.flatnonzero(np.isinf(vector) if missing else ~np.isfinite(vector))
        if bad.size:
            raise InputError(f"The {field} of {of} is {vector[bad[0]]} at point {bad[0]}.")
        vector.flags.writeable = False
        object.__setattr__(self, field, vector)
        return vector

    def _noise(self, field: str, like: Array) -> None:
        """A noise as one positive number a point, where it is given."""
        given = getattr(self, field)
        if given is None:
            return
        try:
            std = np.broadcast_to(np.asarray(given, float), like.shape).copy()
        except (TypeError, ValueError):
            raise InputError(
                f"The {field} has the shape {np.shape(given)}, {self.name or 'the trace'} "
                f"{like.shape}."
            ) from None
        if not np.all(np.isfinite(std) & (std > 0.0)):
            raise InputError(f"{self}: the noise of a trace must be positive and finite.")
        std.flags.writeable = False
        object.__setattr__(self, field, std)


def _plural(field: str) -> str:
    return {"voltage": "voltages", "current": "currents", "temperature": "temperatures"}.get(
        field, field
    )
