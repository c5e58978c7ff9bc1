"""From the parameters that a fit moves to those that one experiment sees.

An experiment has a start and surroundings of its own: its initial concentrations, temperatures
and the offset of its current are parameters of the one compiled model, which all experiments
share; here they are computed from what is fitted, with derivatives.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cellmodels.cell import Cell
from cellmodels.errors import InputError
from cellmodels.experiments.experiment import Experiment
from cellmodels.experiments.start import INITIAL, Equilibrium
from cellmodels.experiments.values import VoltageTrace
from cellmodels.models.mechanisms import LumpedThermal
from cellmodels.solver.export import CURRENT_OFFSET

__all__ = ["AMBIENT", "INITIAL_TEMPERATURE", "InnerMap", "inner_names", "is_thermal"]

Array = NDArray[np.float64]

AMBIENT = "Ambient temperature [K]"
INITIAL_TEMPERATURE = "Initial temperature [K]"


def is_thermal(cell: Cell) -> bool:
    """Whether the cell's temperature is simulated."""
    return any(isinstance(mechanism, LumpedThermal) for mechanism in cell.mechanisms)


def inner_names(
    cell: Cell, experiments: Sequence[Experiment], free: Sequence[str]
) -> tuple[str, ...]:
    """Parameters that the model must keep variable for experiments: those fitted, and starts.

    Parameters
    ----------
    cell : Cell
    experiments : sequence of Experiment
    free : sequence of str
        What is fitted.

    Returns
    -------
    tuple of str

    Raises
    ------
    InputError
        If something is fitted that experiments set themselves.
    """
    offsets = {e.offset_name for e in experiments if isinstance(e, VoltageTrace)}
    names = [name for name in free if name not in offsets]
    set_here: list[str] = []
    if any(not e.own_start for e in experiments):
        set_here += INITIAL
    if any(_first_temperature(e) is not None for e in experiments) and is_thermal(cell):
        set_here.append(INITIAL_TEMPERATURE)
    if any(e.ambient is not None for e in experiments):
        set_here.append(AMBIENT)
    for name in (AMBIENT, INITIAL_TEMPERATURE):
        if name in names and name in set_here:
            raise InputError(f"{name!r} cannot be fitted: experiments give their own.")
    if any(isinstance(e, VoltageTrace) and e.current_offset is not None for e in experiments):
        set_here.append(CURRENT_OFFSET)
    return tuple(dict.fromkeys([*names, *set_here]))


class InnerMap:
    """What one experiment sees, as a function of what is fitted.

    Parameters
    ----------
    cell : Cell
        With initial concentrations as numbers.
    experiment : Experiment
    free : sequence of str
        What is fitted, p names.
    inner : sequence of str
        What the model keeps variable, q names.
    equilibrium : Equilibrium or None
        Needed where the experiment does not begin at the cell's own concentrations, or for these.

    Attributes
    ----------
    sizes : ndarray, shape (p,)
        Absolute values of what is fitted, in the cell; zero for an offset of the current.
    """

    def __init__(
        self,
        cell: Cell,
        experiment: Experiment,
        free: Sequence[str],
        inner: Sequence[str],
        equilibrium: Equilibrium | None,
    ) -> None:
        self._experiment, self._equilibrium = experiment, equilibrium
        self._inner, free = tuple(inner), tuple(free)
        self.identity = self._inner == free
        self._matrix = np.zeros((len(inner), len(free)))
        self._base = np.zeros(len(inner))
        offset = experiment.offset_name if isinstance(experiment, VoltageTrace) else None
        known = cell.parameter_values()
        self.sizes = np.array([abs(cell.value(n)) if n in known else 0.0 for n in free])
        for k, name in enumerate(self._inner):
            source = offset if name == CURRENT_OFFSET else name
            if source in free:
                self._matrix[k, free.index(source)] = 1.0
            elif name != CURRENT_OFFSET:
                self._base[k] = cell.value(name)
        self._own, self._own_slopes = np.zeros(2), np.zeros((2, len(free)))
        for k, name in enumerate(INITIAL if equilibrium is not None else ()):
            if name in free:
                self._own_slopes[k, free.index(name)] = 1.0
            else:
                self._own[k] = cell.value(name)
        self._ambient = cell.value(AMBIENT) if AMBIENT in cell.parameter_values() else 298.15
        self._set_temperatures(cell)

    def __call__(self, values: Array) -> tuple[Array, Array | None]:
        """Inner values, shape (q,), and their derivatives by what is fitted, (q, p).

        None in place of the derivatives where they are those of the same numbers.

        Raises
        ------
        SolveFailure
            If there is no such start.
        """
        if self.identity and self._experiment.own_start:
            return values, None
        inner, jacobian = self._base + self._matrix @ values, self._matrix
        if not self._experiment.own_start:
            jacobian = jacobian.copy()
            found, slopes = self.concentrations(values)
            for name, value, slope in zip(INITIAL, found, slopes, strict=True):
                k = self._inner.index(name)
                inner[k], jacobian[k] = value, slope
        return inner, jacobian

    @property
    def kelvin(self) -> float:
        """Temperature at which the experiment's start is in equilibrium [K]."""
        first = _first_temperature(self._experiment)
        return self._ambient if first is None else first

    def concentrations(self, values: Array) -> tuple[Array, Array]:
        """Initial concentrations, (2,), and derivatives, (2, p)."""
        experiment = self._experiment
        if experiment.own_start:
            return self._own + self._own_slopes @ values, self._own_slopes
        assert self._equilibrium is not None
        if experiment.rest_voltage is not None:
            return self._equilibrium.at_voltage(experiment.rest_voltage, self.kelvin, values)
        assert experiment.soc is not None
        return self._equilibrium.at_soc(experiment.soc, self.kelvin, values)

    def _set_temperatures(self, cell: Cell) -> None:
        experiment = self._experiment
        given = {AMBIENT: experiment.ambient, INITIAL_TEMPERATURE: _first_temperature(experiment)}
        for name, value in given.items():
            if value is not None and name in self._inner:
                k = self._inner.index(name)
                self._base[k], self._matrix[k] = value, 0.0


def _first_temperature(experiment: Experiment) -> float | None:
    """Temperature of the cell when an experiment begins [K]; None for that of its set."""
    if experiment.initial_temperature is not None:
        return experiment.initial_temperature
    if isinstance(experiment, VoltageTrace) and experiment.temperature is not None:
        known = np.asarray(experiment.temperature, float)
        return float(known[np.isfinite(known)][0])
    return experiment.ambient
