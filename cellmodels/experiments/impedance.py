"""Impedance of a cell at rest, by PyBaMM's frequency-domain simulation, and its differences.

``pybamm.EISSimulation`` linearises the discretised model at its initial state and solves one
complex linear system for each frequency (N. Hallemans et al., J. Electrochem. Soc. 172 (2025)
060507). The state at the start is an equilibrium, so that nothing has to be solved before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pybamm
from numpy.typing import NDArray

from cellmodels.cell import Cell
from cellmodels.errors import InputError
from cellmodels.experiments.inner import InnerMap
from cellmodels.experiments.parts import Measured, Simulated
from cellmodels.experiments.values import ImpedanceSpectrum
from cellmodels.models.mechanisms import DoubleLayer
from cellmodels.solver.export import CURRENT_OFFSET
from cellmodels.solver.outcome import Reason, SolveFailure

__all__ = ["ImpedancePart"]

Array = NDArray[np.float64]

#: Step of the central differences, relative to a value; the smallest, relative to the cell's own
#: value, or where that is zero.
_STEP, _LEAST = 1e-3, 1e-6
#: Noise of each part of an impedance where none is given, relative to its size.
_NOISE = 0.01


class ImpedancePart:
    """An impedance spectrum: real parts at all frequencies, then imaginary parts.

    Parameters
    ----------
    cell : Cell
    experiment : ImpedanceSpectrum
    inner : InnerMap
    names : sequence of str
        What the inner map gives.

    Raises
    ------
    InputError
        If the cell has no double layers, without which PyBaMM gives no impedance.
    """

    def __init__(
        self, cell: Cell, experiment: ImpedanceSpectrum, inner: InnerMap, names: Sequence[str]
    ) -> None:
        if not any(isinstance(mechanism, DoubleLayer) for mechanism in cell.mechanisms):
            raise InputError(
                f"{experiment}: an impedance needs double layers; give the cell "
                "mechanisms=[cm.DoubleLayer()]."
            )
        self._inner, self._names = inner, tuple(names)
        self._least = np.array([_LEAST * (size or 1.0) for size in inner.sizes])
        self._frequency = np.asarray(experiment.frequency, float)
        self._ratio = 1.0 if experiment.area is None else cell.electrode_area / experiment.area
        self._simulation = _simulation(cell, experiment.electrode, self._names)
        impedance = np.asarray(experiment.impedance, complex)
        noise = _NOISE * np.abs(impedance)
        given = noise if experiment.noise is None else np.asarray(experiment.noise, float)
        self.measured = tuple(
            Measured(experiment.label(f"impedance, {what}"), "Ohm", "frequency", *where, given)
            for what, where in (
                ("real", (self._frequency, impedance.real)),
                ("imaginary", (self._frequency, impedance.imag)),
            )
        )

    def simulate(self, values: Array, state: Any = None) -> Simulated:
        """The impedance, with derivatives by central differences."""
        found = self._impedance(values)
        jacobian = np.empty((len(found), len(values)))
        for k, value in enumerate(values):
            step = max(_STEP * abs(value), self._least[k])
            shift = np.zeros(len(values))
            shift[k] = step
            up, down = self._impedance(values + shift), self._impedance(values - shift)
            jacobian[:, k] = (up - down) / (2.0 * step)
        return Simulated(found, jacobian)

    def _impedance(self, values: Array) -> Array:
        inner, _ = self._inner(values)
        given = dict(zip(self._names, map(float, inner), strict=True))
        given.pop(CURRENT_OFFSET, None)
        try:
            found = np.asarray(self._simulation.solve(self._frequency, inputs=given).impedance)
        except pybamm.SolverError as error:
            raise SolveFailure(Reason.NON_FINITE, f"impedance: {error}") from error
        if not np.all(np.isfinite(found)):
            raise SolveFailure(Reason.NON_FINITE, "the impedance is not finite")
        return self._ratio * np.concatenate([found.real, found.imag])


def _simulation(cell: Cell, electrode: str, names: Sequence[str]) -> pybamm.EISSimulation:
    model = cell.pybamm_model(names)
    if electrode != "cell":
        model.variables["Voltage [V]"] = _electrode_voltage(model, electrode)
    values = cell.parameter_values()
    for name in names:
        if name != CURRENT_OFFSET:
            values[name] = pybamm.InputParameter(name)
    return pybamm.EISSimulation(model, parameter_values=values, var_pts=cell.var_pts())


def _electrode_voltage(model: pybamm.BaseModel, electrode: str) -> pybamm.Symbol:
    """Voltage of one electrode against the electrolyte amid the separator, as a cell's falls."""
    try:
        reference = pybamm.x_average(model.variables["Separator electrolyte potential [V]"])
        side = electrode.capitalize()
        potential = model.variables[f"{side} electrode potential [V]"]
        end = pybamm.boundary_value(potential, "left" if electrode == "negative" else "right")
    except KeyError as error:
        raise InputError(f"The model {model.name} has no impedance of one electrode.") from error
    return end - reference if electrode == "positive" else reference - end
