"""Experiments as values: what was done to a fresh cell, and what was measured."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from cellmodels.errors import InputError, did_you_mean
from cellmodels.experiments.experiment import Array, Experiment
from cellmodels.experiments.logged import BETWEEN, check_logged
from cellmodels.steps import Step, parse_steps

__all__ = ["EquilibriumCurve", "ImpedanceSpectrum", "VoltageTrace"]

_ELECTRODES = ("cell", "negative", "positive")


@dataclass(frozen=True, eq=False)
class VoltageTrace(Experiment):
    """Voltage, and temperature if it was measured, over steps or a logged current.

    Parameters
    ----------
    time : array_like, shape (m,)
        Since the first step began [s], ascending.
    voltage : array_like, shape (m,)
        [V].
    steps : str, Step or iterable of either, optional
        Such as ``["Discharge at 1C for 3000 seconds", "Rest for 20 minutes"]``. Where a measured
        duration is known, give it rather than an end at a voltage: a point belongs to the step
        that runs at its time in the simulation.
    current : array_like, shape (m,) or (k,), optional
        Measured current [A], positive on discharge, in place of steps.
    between : {"mean", "previous", "next"}
        Current between two of its rows; rows are merged as far as `charge_tolerance` and
        `current_tolerance` allow (:func:`cellmodels.logged_steps`).
    current_time : array_like, shape (k,), optional
        Of the current [s], where it is not `time`; it begins at zero.
    temperature : array_like, shape (m,), optional
        Of the cell [K]; NaN where it is not known. The cell needs ``cm.LumpedThermal()``.
    noise : float or array_like, shape (m,), optional
        Standard deviation of the voltages [V]: what they, and the model, may be wrong by; by
        default from the scatter of neighbours, which is far less than what a model misses.
    temperature_noise : float or array_like, shape (m,), optional
        Of the temperatures [K].
    current_offset : float, optional
        Fits what flows beyond the measured current, within plus and minus this [A].
    charge_tolerance : float
        Of a logged current: largest error of the charge at any row, relative to the charge that
        passes altogether in both directions.
    current_tolerance : float
        Largest difference of merged currents, relative to the largest current.
    name, soc, rest_voltage, ambient, initial_temperature
        As in :class:`Experiment`.

    Raises
    ------
    InputError
        Where times, voltages, steps or numbers are wrong.
    """

    time: ArrayLike
    voltage: ArrayLike
    steps: str | Step | Iterable[str | Step] | None = None
    current: ArrayLike | None = None
    current_time: ArrayLike | None = None
    temperature: ArrayLike | None = None
    noise: ArrayLike | None = None
    temperature_noise: ArrayLike | None = None
    current_offset: float | None = None
    between: str = "mean"
    charge_tolerance: float = 1e-5
    current_tolerance: float = 5e-3

    ARRAYS: ClassVar = (
        "time", "voltage", "temperature", "noise", "temperature_noise", "current", "current_time",
    )  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        time = self._vector("time")
        self._vector("voltage", time)
        _check_ascending(self, time)
        if (self.steps is None) == (self.current is None):
            raise InputError(f"{self}: give steps or a measured current, one of both.")
        if self.steps is not None:
            object.__setattr__(self, "steps", parse_steps(self.steps, "the trace"))
        else:
            self._check_current(time)
        if self.temperature is not None:
            kelvin = self._vector("temperature", time, missing=True)
            if not np.any(np.isfinite(kelvin)):
                raise InputError(f"{self}: none of its temperatures is known.")
            if np.nanmin(kelvin) < 150.0:
                raise InputError(f"{self}: temperatures are in kelvin; {np.nanmin(kelvin):g} is.")
        self._noise("noise", time)
        self._noise("temperature_noise", time)
        for name in ("current_offset", "charge_tolerance", "current_tolerance"):
            value = getattr(self, name)
            if value is not None and not self._number(name, value) > 0.0:
                raise InputError(f"{self}: {name} is {value!r}; it must be positive.")

    def _check_current(self, time: Array) -> None:
        if self.current_time is None:
            object.__setattr__(self, "current_time", time)
        rows = self._vector("current_time")
        check_logged(rows, self._vector("current"), str(self))
        if self.between not in BETWEEN:
            hint = did_you_mean(str(self.between), BETWEEN)
            raise InputError(f"{self}: between is {self.between!r}.{hint}")
        if rows[0] > time[0] or rows[-1] < time[-1]:
            raise InputError(
                f"{self}: the current is known from {rows[0]:g} to {rows[-1]:g} s, the voltage "
                f"from {time[0]:g} to {time[-1]:g} s."
            )

    @property
    def offset_name(self) -> str:
        """Name of the parameter that is its current's offset."""
        return f"Current offset of {self.name} [A]" if self.name else "Current offset [A]"

    def thinned(self, points: int) -> VoltageTrace:
        """The same with at most so many points, spread evenly over time and voltage together.

        A measured current is kept whole: only the points that are compared are fewer.

        Parameters
        ----------
        points : int

        Returns
        -------
        VoltageTrace
        """
        time, voltage = np.asarray(self.time, float), np.asarray(self.voltage, float)
        if points < 2:
            raise InputError(f"{self}: {points} points are too few.")
        if points >= time.size:
            return self
        length = np.abs(np.diff(time)) / np.ptp(time) + np.abs(np.diff(voltage)) / (
            np.ptp(voltage) or 1.0
        )
        place = np.concatenate([[0.0], np.cumsum(length)])
        chosen = np.unique(np.searchsorted(place, np.linspace(0.0, place[-1], points)))
        kept: dict[str, Any] = {
            name: None if getattr(self, name) is None else np.asarray(getattr(self, name))[chosen]
            for name in ("time", "voltage", "temperature", "noise", "temperature_noise")
        }
        return replace(self, **kept)


@dataclass(frozen=True, eq=False)
class EquilibriumCurve(Experiment):
    """Open-circuit voltage over charge: a relaxed or an averaged (pseudo-)OCV.

    The voltage is that of both half cells, at the stoichiometries that the charge leads to; exact
    derivatives with respect to active material fractions, initial and maximum concentrations and
    areas. A slow discharge that is not corrected for its overpotential is a
    :class:`VoltageTrace`.

    Parameters
    ----------
    charge : array_like, shape (m,)
        Discharged since the start [A.h].
    voltage : array_like, shape (m,)
        [V].
    noise : float or array_like, shape (m,), optional
        Standard deviation of the voltages [V], what half-cell curves are wrong by included.
    name, soc, rest_voltage, ambient
        As in :class:`Experiment`.
    """

    charge: ArrayLike
    voltage: ArrayLike
    noise: ArrayLike | None = None

    ARRAYS: ClassVar = ("charge", "voltage", "noise")

    def __post_init__(self) -> None:
        super().__post_init__()
        charge = self._vector("charge")
        self._vector("voltage", charge)
        self._noise("noise", charge)


@dataclass(frozen=True, eq=False)
class ImpedanceSpectrum(Experiment):
    """Impedance at rest, of a cell or of one electrode, by PyBaMM's frequency-domain simulation.

    Derivatives are central differences, the one exception in a fit of a fresh cell.

    Parameters
    ----------
    frequency : array_like, shape (m,)
        [Hz], positive.
    impedance : array_like of complex, shape (m,)
        Z' + jZ'' [Ohm]: the imaginary part is negative where the cell is capacitive.
    noise : float or array_like, shape (m,), optional
        Standard deviation of real and imaginary part each [Ohm]; by default 1 % of |Z|.
    electrode : {"cell", "negative", "positive"}
        Whose impedance. That of one electrode is taken against the electrolyte in the separator's
        middle, as a reference electrode there would.
    area : float, optional
        Of the measured electrode [m2], where it is not the cell's own: the simulated impedance is
        scaled to it.
    name, soc, rest_voltage, ambient
        As in :class:`Experiment`.

    References
    ----------
    N. Hallemans et al., J. Electrochem. Soc. 172 (2025) 060507, as implemented in PyBaMM.
    """

    frequency: ArrayLike
    impedance: ArrayLike
    noise: ArrayLike | None = None
    electrode: str = "cell"
    area: float | None = None

    ARRAYS: ClassVar = ("frequency", "noise")

    def __post_init__(self) -> None:
        super().__post_init__()
        frequency = self._vector("frequency")
        if np.any(frequency <= 0.0):
            raise InputError(f"{self}: frequencies must be positive.")
        try:
            value = np.array(self.impedance, dtype=complex)
        except (TypeError, ValueError):
            raise InputError(f"{self}: the impedance is an array of complex numbers.") from None
        if value.shape != frequency.shape or not np.all(np.isfinite(value)):
            raise InputError(f"{self}: the impedance needs one finite number for each frequency.")
        object.__setattr__(self, "impedance", value)
        if self.electrode not in _ELECTRODES:
            hint = did_you_mean(str(self.electrode), _ELECTRODES)
            raise InputError(f"{self}: unknown electrode {self.electrode!r}.{hint}")
        if self.area is not None and not self._number("area", self.area) > 0.0:
            raise InputError(f"{self}: the area is {self.area!r}; it must be positive.")
        self._noise("noise", frequency)


def field_values(experiment: Experiment) -> dict[str, Any]:
    """All fields of an experiment by name."""
    return {field.name: getattr(experiment, field.name) for field in fields(experiment)}


def _check_ascending(experiment: Experiment, time: Array) -> None:
    of = "a trace" if not experiment.name else repr(experiment.name)
    if time[0] < 0.0:
        raise InputError(f"{experiment} begins at {time[0]:g} s, before its first step.")
    back = np.flatnonzero(np.diff(time) <= 0.0)
    if back.size:
        k = back[0]
        raise InputError(
            f"The times of {of} ascend, but {time[k + 1]:g} s (point {k + 1}) follows "
            f"{time[k]:g} s."
        )
