"""One experiment simulated: what its variables are, and their values with derivatives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cellmodels.cell import Cell
from cellmodels.experiments.inner import InnerMap
from cellmodels.experiments.logged import logged_steps
from cellmodels.experiments.start import Equilibrium
from cellmodels.experiments.values import EquilibriumCurve, VoltageTrace
from cellmodels.solver.outcome import Reason, SolveFailure
from cellmodels.solver.trace import Cut, Trace
from cellmodels.trace import CompiledCell, TraceSimulator

__all__ = ["EquilibriumPart", "Measured", "Part", "Simulated", "TracePart"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Measured:
    """One measured variable of an experiment.

    Parameters
    ----------
    name : str
        With that of the experiment.
    unit : str
    coordinate : str
        What `at` measures: ``"elapsed_time"`` [s], ``"throughput"`` [A.h] or ``"frequency"`` [Hz].
    at, data : ndarray, shape (m,)
    noise : ndarray, shape (m,), or None
        Standard deviations that were given.
    """

    name: str
    unit: str
    coordinate: str
    at: Array
    data: Array
    noise: Array | None


@dataclass(frozen=True, eq=False)
class Simulated:
    """An experiment's variables in a row, at given values of what is fitted.

    Parameters
    ----------
    values : ndarray, shape (k,)
    jacobian : ndarray, shape (k, p)
        Derivatives in natural units.
    state : object
        A start for neighbouring values.
    cuts : tuple of Cut
        Steps that ended because the voltage left the measured range.
    """

    values: Array
    jacobian: Array
    state: Any = None
    cuts: tuple[Cut, ...] = ()


class Part(Protocol):
    """An experiment, ready to be simulated."""

    @property
    def measured(self) -> tuple[Measured, ...]:
        """Its variables, in the order of the simulated values."""
        ...

    def simulate(self, values: Array, state: Any = None) -> Simulated:
        """Simulate it; raises SolveFailure."""
        ...


class TracePart:
    """A voltage trace, with its temperature if it was measured."""

    def __init__(
        self, cell: Cell, experiment: VoltageTrace, inner: InnerMap, compiled: CompiledCell
    ) -> None:
        self._inner = inner
        self._scale = compiled.dae.nominal
        time, voltage = (np.asarray(v, float) for v in (experiment.time, experiment.voltage))
        steps = experiment.steps
        if steps is None:
            assert experiment.current is not None and experiment.current_time is not None
            steps = logged_steps(
                experiment.current_time,
                experiment.current,
                between=experiment.between,
                charge_tolerance=experiment.charge_tolerance,
                current_tolerance=experiment.current_tolerance,
            )
        limits = float(voltage.min()), float(voltage.max())
        self.simulator = TraceSimulator(cell, steps, time, compiled.names, limits, compiled)
        given = None if experiment.noise is None else np.asarray(experiment.noise, float)
        label = experiment.label("voltage")
        found = [Measured(label, "V", "elapsed_time", time, voltage, given)]
        self._warm = np.zeros(0, np.int64)
        if experiment.temperature is not None:
            kelvin = np.asarray(experiment.temperature, float)
            self._warm = np.flatnonzero(np.isfinite(kelvin))
            noise = experiment.temperature_noise
            own = None if noise is None else np.asarray(noise)[self._warm]
            name = experiment.label("temperature")
            where = time[self._warm], kelvin[self._warm]
            found.append(Measured(name, "K", "elapsed_time", *where, own))
        self.measured = tuple(found)

    def simulate(self, values: Array, state: Any = None) -> Simulated:
        """Voltage at all times, then temperature where it was measured."""
        inner, chain = self._inner(values)
        trace = self.simulator.trace(inner, state if isinstance(state, Trace) else None)
        found, slopes = trace.voltage, trace.slopes
        if self._warm.size:
            assert trace.at.output_slopes is not None
            found = np.concatenate([found, trace.at.outputs[self._warm, 0]])
            slopes = np.concatenate([slopes, trace.at.output_slopes[self._warm, 0]])
        jacobian = slopes / self._scale
        if chain is not None:
            jacobian = jacobian @ chain
        return Simulated(found, jacobian, trace, trace.cuts)


class EquilibriumPart:
    """An open-circuit curve over charge."""

    def __init__(
        self, experiment: EquilibriumCurve, inner: InnerMap, equilibrium: Equilibrium
    ) -> None:
        self._inner, self._equilibrium = inner, equilibrium
        self._charge = np.asarray(experiment.charge, float)
        name, data = experiment.label("open-circuit voltage"), np.asarray(experiment.voltage, float)
        noise = None if experiment.noise is None else np.asarray(experiment.noise, float)
        self.measured = (Measured(name, "V", "throughput", self._charge, data, noise),)

    def simulate(self, values: Array, state: Any = None) -> Simulated:
        """The open-circuit voltage at all charges."""
        start, moved = self._inner.concentrations(values)
        voltage, by_start, by_theta = self._equilibrium.curve(
            self._charge, start, self._inner.kelvin, values
        )
        if not np.all(np.isfinite(voltage)):
            raise SolveFailure(Reason.NON_FINITE, "the open-circuit voltage is not finite")
        return Simulated(voltage, by_theta + by_start @ moved)
