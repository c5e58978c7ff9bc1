"""``fit_trace``: parameters of a fresh cell from a measured voltage trace."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from cellmodels.cell import Cell
from cellmodels.errors import InputError
from cellmodels.fitting.fit import free_parameters
from cellmodels.fitting.least_squares import Optimum, minimise
from cellmodels.fitting.problem import Problem
from cellmodels.fitting.residuals import Observations, Variable
from cellmodels.fitting.result import FittedCell, fitted_cell
from cellmodels.fitting.scaling import Scaling
from cellmodels.observations import TRACES, Points, PointSet
from cellmodels.plotting import plot_trace_fit
from cellmodels.record.noise import series_noise
from cellmodels.steps import Step
from cellmodels.trace import MARGIN, TraceSimulator, cuts, with_its_own_start

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["TraceFit", "TraceProblem", "fit_trace", "trace_problem"]

_SMALLEST_NOISE = 1e-4  # of the voltage, as for other series
_FAR = 5.0  # residuals of so many times the noise deserve a remark


class TraceFit(FittedCell):
    """A cell fitted to a voltage trace: made by :func:`cellmodels.fit_trace`, not changed.

    Attributes
    ----------
    cell : Cell
        The cell with the fitted values, its initial concentrations given as numbers.
    steps : tuple of Step
        What was done to the cell.
    tree : xarray.DataTree
        The numbers, in the groups ``/parameters``, ``/points``, ``/variables``, ``/trials`` and
        ``/record``.
    """

    def __init__(self, cell: Cell, steps: tuple[Step, ...], tree: xr.DataTree) -> None:
        self.cell, self.steps, self.tree = cell, steps, tree

    @property
    def trace(self) -> xr.Dataset:
        """Measured and fitted voltage and their difference [V] by ``time`` [s]."""
        points = self.tree["points"].to_dataset()
        columns = {"voltage": "data", "fitted": "prediction", "residual": "residual"}
        data = {new: ("time", points[old].values, {"units": "V"}) for new, old in columns.items()}
        return xr.Dataset(data, coords={"time": ("time", points["at"].values, {"units": "s"})})

    @property
    def rms(self) -> float:
        """Root mean square of the residuals [V]."""
        return float(self.variables["rms_natural"].values[0])

    def plot(self) -> Figure:
        """Trace, fitted trace, residuals and parameters in one figure."""
        return plot_trace_fit(self.tree)


def fit_trace(
    cell: Cell,
    time: ArrayLike,
    voltage: ArrayLike,
    steps: str | Step | Iterable[str | Step],
    free: Sequence[str],
    *,
    noise: ArrayLike | None = None,
    start: Mapping[str, float] | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    progress: bool = True,
    max_evaluations: int = 100,
) -> TraceFit:
    """Fit parameters of a fresh cell to its voltage over a sequence of steps.

    Minimises the sum of squared differences between simulated and measured voltages, each
    divided by its noise. Derivatives are exact, also where a step ends at a voltage.

    Parameters
    ----------
    cell : Cell
        At rest when the trace begins, with its initial concentrations; an `initial_soc` is
        turned into concentrations once, with the cell's own parameters. Its parameter values
        are the default start; positive parameters are fitted as logarithms.
    time : array_like, shape (m,)
        Time since the first step began [s], ascending.
    voltage : array_like, shape (m,)
        Measured voltage [V].
    steps : str, Step or iterable of either
        Such as ``["Discharge at 1C for 3000 seconds", "Rest for 20 minutes"]``. Where a measured
        duration is known, give it rather than an end at a voltage: a point belongs to the step
        that runs at its time in the simulation.
    free : sequence of str
        Names of the parameters to fit.
    noise : float or array_like, shape (m,), optional
        Standard deviation of the voltages [V]; by default from the scatter of neighbours.
    start : mapping of str to float, optional
        Other starts, by name, in the parameters' units.
    bounds : mapping of str to (float, float), optional
        Other bounds than the range in the parameter set, or a factor of 100 around the start.
    progress : bool
        Show a progress bar.
    max_evaluations : int
        Largest number of simulated traces.

    Returns
    -------
    TraceFit
        Also when the fit did not converge: see its ``status``. It is never ``"converged"``
        where a step ends too early, because a particle empties or fills, at the best point.

    Raises
    ------
    InputError
        Before any simulation, when times, voltages, steps or a name are wrong.
    FitError
        When the simulation fails at the start.

    Examples
    --------
    >>> steps = ["Discharge at 1C for 3000 seconds", "Rest for 20 minutes"]
    >>> free = ["Negative particle diffusivity [m2.s-1]"]
    >>> fit = cm.fit_trace(cell, time, voltage, steps, free)  # doctest: +SKIP
    """
    problem = trace_problem(
        cell, time, voltage, steps, free, noise=noise, start=start, bounds=bounds
    )
    return problem.result(problem.optimum(progress=progress, max_evaluations=max_evaluations))


@dataclass(frozen=True)
class TraceProblem:
    """A fit of a trace, checked and compiled, that can be run."""

    cell: Cell
    simulator: TraceSimulator
    observations: Observations
    scaling: Scaling

    @property
    def problem(self) -> Problem:
        """What is fitted to what."""
        return Problem(self.simulator.predict, self.observations, self.scaling)

    def optimum(self, *, progress: bool = False, max_evaluations: int = 100) -> Optimum:
        """Find the parameters of least squares."""
        found = minimise(self.problem, progress=progress, max_evaluations=max_evaluations)
        early = cuts(found.best.prediction)
        if not early:
            return found
        cut = early[0]
        message = (
            f"not converged: at the best point step {cut.step + 1} ends after {cut.time:.0f} s, "
            f"when its voltage reaches {cut.voltage:.2f} V, which is {MARGIN:g} V outside the trace"
        )
        return replace(found, status="blocked", message=message)

    def result(self, optimum: Optimum) -> TraceFit:
        """The fit with its statistics and the fitted cell."""
        points = self.observations
        trace = xr.Dataset(
            {
                "time": ("sample", points.points.sets[0].at, {"units": "s"}),
                "voltage": ("sample", points.data, {"units": "V"}),
            }
        )
        record = xr.DataTree.from_dict({"traces": trace})
        record.attrs["title"] = "a voltage trace"
        cell, tree = fitted_cell(self.cell, record, self.problem, optimum, _remarks(optimum))
        steps = self.simulator.steps
        tree.attrs["steps"] = json.dumps([str(step) for step in steps])
        return TraceFit(cell, steps, tree)


def trace_problem(
    cell: Cell,
    time: ArrayLike,
    voltage: ArrayLike,
    steps: str | Step | Iterable[str | Step],
    free: Sequence[str],
    *,
    noise: ArrayLike | None = None,
    start: Mapping[str, float] | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
) -> TraceProblem:
    """What :func:`fit_trace` does before the first simulation; parameters as there."""
    times = _vector(time, "time")
    volts = _vector(voltage, "voltage")
    _check_trace(times, volts)
    observations = _observations(times, volts, noise)
    cell = with_its_own_start(cell)
    scaling = free_parameters(cell, free, start=start, bounds=bounds)
    limits = float(volts.min()), float(volts.max())
    simulator = TraceSimulator(cell, steps, times, scaling.names, limits)
    return TraceProblem(cell, simulator, observations, scaling)


def _remarks(optimum: Optimum) -> list[str]:
    residuals = optimum.best.residuals
    size = float(np.sqrt(np.mean(residuals**2)))
    if size < _FAR:
        return []
    return [
        f"The residuals are {size:.3g} times the noise: the model cannot describe this trace, or "
        "the fit ended in a local minimum; try another start."
    ]


def _observations(
    time: NDArray[np.float64], voltage: NDArray[np.float64], noise: ArrayLike | None
) -> Observations:
    std, origin = _noise(time, voltage, noise)
    size = len(time)
    variable = Variable(TRACES, "voltage", "V", "elapsed_time", size, 0, 0, origin)
    return Observations(
        points=Points((PointSet(TRACES, "voltage", "elapsed_time", time),)),
        data=voltage,
        std=std,
        variables=(variable,),
        owner=np.zeros(size, np.int64),
        position=np.arange(size),
        charge=np.full(size, np.nan),
    )


def _noise(
    time: NDArray[np.float64], voltage: NDArray[np.float64], noise: ArrayLike | None
) -> tuple[NDArray[np.float64], str]:
    """Standard deviation of every point and where it comes from."""
    if noise is None:
        scatter = series_noise(time, voltage)
        floor = _SMALLEST_NOISE * float(np.median(np.abs(voltage)))
        return np.full(len(time), max(scatter, floor) if scatter == scatter else 10 * floor), (
            "estimated" if scatter == scatter else "assumed"
        )
    try:
        std = np.broadcast_to(np.asarray(noise, float), time.shape).copy()
    except ValueError:
        raise InputError(
            f"The noise has the shape {np.shape(noise)}, the trace {time.shape}."
        ) from None
    if not np.all(np.isfinite(std) & (std > 0.0)):
        raise InputError("The noise of a trace must be positive and finite.")
    return std, "given"


def _vector(values: ArrayLike, what: str) -> NDArray[np.float64]:
    try:
        vector = np.array(values, dtype=float)
    except (TypeError, ValueError):
        raise InputError(f"The {what} of a trace is an array of numbers.") from None
    if vector.ndim != 1 or not vector.size:
        raise InputError(f"The {what} of a trace is one-dimensional; its shape is {vector.shape}.")
    bad = np.flatnonzero(~np.isfinite(vector))
    if bad.size:
        raise InputError(f"The {what} of a trace is {vector[bad[0]]} at point {bad[0]}.")
    return vector


def _check_trace(time: NDArray[np.float64], voltage: NDArray[np.float64]) -> None:
    if time.shape != voltage.shape:
        raise InputError(f"The trace has {time.size} times, but {voltage.size} voltages.")
    if time[0] < 0.0:
        raise InputError(f"The trace begins at {time[0]:g} s, before its first step.")
    back = np.flatnonzero(np.diff(time) <= 0.0)
    if back.size:
        k = back[0]
        raise InputError(
            f"The times of a trace ascend, but {time[k + 1]:g} s (point {k + 1}) follows "
            f"{time[k]:g} s."
        )
