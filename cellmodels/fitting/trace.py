"""``fit_trace``: parameters of a fresh cell from a measured voltage trace."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import xarray as xr
from numpy.typing import ArrayLike

from cellmodels.cell import Cell
from cellmodels.experiments.parts import TracePart
from cellmodels.experiments.values import VoltageTrace
from cellmodels.fitting.fresh import FreshProblem, Name, fresh_problem
from cellmodels.fitting.fresh_fit import FreshFit
from cellmodels.fitting.least_squares import Optimum
from cellmodels.fitting.uncertainty.multistart import Starts
from cellmodels.plotting import plot_trace_fit
from cellmodels.steps import Step, parse_steps
from cellmodels.trace import TraceSimulator

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["TraceFit", "TraceProblem", "fit_trace", "trace_problem"]


class TraceFit(FreshFit):
    """A cell fitted to a voltage trace: made by :func:`cellmodels.fit_trace`, not changed.

    Attributes
    ----------
    cell : Cell
        The cell with the fitted values, its initial concentrations given as numbers.
    experiments : tuple of Experiment
        The trace.
    tree : xarray.DataTree
        The numbers, as of a :class:`~cellmodels.fitting.fresh_fit.FreshFit`.
    """

    @property
    def steps(self) -> tuple[Step, ...]:
        """What was done to the cell."""
        return parse_steps(json.loads(self.tree.attrs["steps"]), "the trace")

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
    free: Sequence[Name],
    *,
    noise: ArrayLike | None = None,
    start: Mapping[Name, float] | None = None,
    bounds: Mapping[Name, tuple[float, float]] | None = None,
    progress: bool = True,
    max_evaluations: int = 100,
    starts: Starts = 1,
    seed: int = 0,
    executor: Executor | None = None,
) -> TraceFit:
    """Fit parameters of a fresh cell to its voltage over a sequence of steps.

    The short form of :func:`cellmodels.fit_fresh`, for one trace. Minimises the sum of squared
    differences between simulated and measured voltages, each divided by its noise. Derivatives
    are exact, also where a step ends at a voltage.

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
    free : sequence of str or ScaleFactor
        Names of the parameters to fit.
    noise : float or array_like, shape (m,), optional
        Standard deviation of the voltages [V]; by default from the scatter of neighbours.
    start : mapping of str to float, optional
        Other starts, by name, in the parameters' units.
    bounds : mapping of str to (float, float), optional
        Other bounds; by default as of :func:`cellmodels.fit_fresh`.
    progress : bool
        Show a progress bar.
    max_evaluations : int
        Largest number of simulated traces, from each start.
    starts, seed, executor
        As of :func:`cellmodels.fit_fresh`.

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
    made = problem.fit(
        progress=progress,
        max_evaluations=max_evaluations,
        starts=starts,
        seed=seed,
        executor=executor,
    )
    assert isinstance(made, TraceFit)
    return made


@dataclass(frozen=True)
class TraceProblem(FreshProblem):
    """A fit of a trace, checked and compiled, that can be run."""

    @property
    def trace_simulator(self) -> TraceSimulator:
        """What simulates the trace."""
        part = self.simulator.parts[0]
        assert isinstance(part, TracePart)
        return part.simulator

    def result(self, optimum: Optimum, remarks: Sequence[str] = ()) -> TraceFit:
        """The fit with its statistics and the fitted cell."""
        cell, tree = self.fitted(optimum, remarks)
        tree.attrs["steps"] = json.dumps([str(step) for step in self.trace_simulator.steps])
        return TraceFit(cell, self.simulator.experiments, tree)


def trace_problem(
    cell: Cell,
    time: ArrayLike,
    voltage: ArrayLike,
    steps: str | Step | Iterable[str | Step],
    free: Sequence[Name],
    *,
    noise: ArrayLike | None = None,
    start: Mapping[Name, float] | None = None,
    bounds: Mapping[Name, tuple[float, float]] | None = None,
) -> TraceProblem:
    """What :func:`fit_trace` does before the first simulation; parameters as there."""
    trace = VoltageTrace(time, voltage, steps, noise=noise)
    made = fresh_problem(cell, trace, free, start=start, bounds=bounds)
    return TraceProblem(made.cell, made.simulator, made.problem)
