"""``fit_fresh``: parameters of a fresh cell from experiments of several kinds at once."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from cellmodels.cell import Cell
from cellmodels.errors import InputError
from cellmodels.experiments.datasets import node_name, to_dataset
from cellmodels.experiments.experiment import Experiment
from cellmodels.experiments.parts import Measured
from cellmodels.experiments.simulator import ExperimentSimulator, checked_experiments, cuts_of
from cellmodels.experiments.start import INITIAL
from cellmodels.experiments.values import VoltageTrace
from cellmodels.fitting.assembly import fitted_cell
from cellmodels.fitting.fit import NAMES_ONLY, free_parameters
from cellmodels.fitting.fit_tree import plain_dataset
from cellmodels.fitting.fresh_fit import FreshFit
from cellmodels.fitting.least_squares import (
    Optimum,
    check_request,
    minimise,
    residual_variance,
)
from cellmodels.fitting.loss import Loss
from cellmodels.fitting.prior import Prior
from cellmodels.fitting.problem import Predictor, Problem
from cellmodels.fitting.residuals import Observations, Variable
from cellmodels.fitting.scaling import Scaling
from cellmodels.fitting.uncertainty.multistart import (
    Starts,
    file_of_starts,
    multi_start,
    other_optima,
    start_points,
)
from cellmodels.fitting.uncertainty.sources import SimulatedExperiments
from cellmodels.observations import TRACES, Points, PointSet, Prediction
from cellmodels.record.noise import series_noise
from cellmodels.scale_factors import ScaleFactor, with_number, with_scale_factors
from cellmodels.trace import MARGIN, with_its_own_start

__all__ = ["FreshProblem", "fit_fresh", "fresh_problem", "observations_of"]

_SMALLEST_NOISE = 1e-4  # of a voltage, as for other series
_SMALLEST_KELVIN = 0.1  # what a good sensor in a chamber resolves
_FAR = 5.0  # residuals of so many times the noise deserve a remark
_RESISTANCE = "Contact resistance [Ohm]"
_LARGEST_DROP = 0.5  # V at 1C, over a contact resistance

Name = str | ScaleFactor


def fit_fresh(
    cell: Cell,
    experiments: Experiment | Sequence[Experiment],
    free: Sequence[Name],
    *,
    start: Mapping[Name, float] | None = None,
    bounds: Mapping[Name, tuple[float, float]] | None = None,
    loss: str | Loss = "squares",
    prior: Mapping[Name, tuple[float, float]] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    resume: bool = False,
    progress: bool = True,
    max_evaluations: int = 100,
    starts: Starts = 1,
    seed: int = 0,
    executor: Executor | None = None,
) -> FreshFit:
    """Fit parameters of a fresh cell to several experiments together.

    Minimises the sum of squared differences between simulated and measured voltages,
    temperatures and impedances, each divided by its noise. Derivatives are exact but for those of
    impedances, also with respect to where each experiment starts.

    Parameters
    ----------
    cell : Cell
        Its parameter values are the default start. An `initial_soc` is turned into
        concentrations once, with the cell's own parameters.
    experiments : Experiment or sequence of Experiment
        ``cm.VoltageTrace``, ``cm.EquilibriumCurve``, ``cm.ImpedanceSpectrum``.
    free : sequence of str or ScaleFactor
        What to fit: names of numbers, and :func:`cellmodels.scaled` of functions. An experiment's
        `current_offset` is fitted too.
    start : mapping of name to float, optional
        Other starts, in the parameters' units.
    bounds : mapping of name to (float, float), optional
        Other bounds than the range in the parameter set; without one, initial concentrations and
        volume fractions may take what is possible, a contact resistance what loses half a volt at
        1C, and others a factor of 100 around the start.
    loss : str or Loss
        As in :func:`cellmodels.fit`.
    prior : mapping of name to (float, float), optional
        As in :func:`cellmodels.fit`.
    checkpoint : path, optional
        File from which an interrupted fit can continue.
    resume : bool
        Continue from `checkpoint`, if it exists.
    progress : bool
        Show a progress bar.
    max_evaluations : int
        Largest number of simulations of all experiments, from each start.
    starts : int or sequence of mapping of str to float
        Fits from so many starts, the given one and a Sobol design inside the bounds, or from these
        starts (values by name); the best is returned, and ``FreshFit.optima`` holds the distinct
        ends.
    seed : int
        Of that design.
    executor : concurrent.futures.Executor, optional
        Whose workers fit from these starts.

    Returns
    -------
    FreshFit
        Also when the fit did not converge: see its ``status``. It is never ``"converged"`` where
        a step ends too early, because a particle empties or fills, at the best point.

    Raises
    ------
    InputError
        Before any simulation, when an experiment or a name is wrong.
    FitError
        When the simulation fails at the start.

    Examples
    --------
    >>> slow = cm.VoltageTrace(time, voltage, "Discharge at 0.1C for 35600 seconds",
    ...     name="0.1C", rest_voltage=4.178, noise=5e-3)  # doctest: +SKIP
    >>> free = ["Negative electrode active material volume fraction",
    ...     cm.scaled("Negative particle diffusivity [m2.s-1]")]  # doctest: +SKIP
    >>> fit = cm.fit_fresh(cell, [slow, fast], free)  # doctest: +SKIP
    """
    made = fresh_problem(
        cell, experiments, free, start=start, bounds=bounds, loss=loss, prior=prior
    )
    return made.fit(
        progress=progress,
        max_evaluations=max_evaluations,
        checkpoint=checkpoint,
        resume=resume,
        starts=starts,
        seed=seed,
        executor=executor,
    )


@dataclass(frozen=True)
class FreshProblem:
    """A fit of a fresh cell, checked and compiled, that can be run."""

    cell: Cell
    simulator: ExperimentSimulator
    problem: Problem

    @property
    def observations(self) -> Observations:
        """What was measured."""
        return self.problem.observations

    @property
    def scaling(self) -> Scaling:
        """What is fitted."""
        return self.problem.scaling

    def optimum(self, **options: Any) -> Optimum:
        """Find the parameters of least squares; options as of `least_squares.minimise`."""
        defaults: dict[str, Any] = {"progress": False, "context": self.cell.hash}
        found = minimise(self.problem, **(defaults | options))
        early = cuts_of(found.best.prediction, self.simulator.experiments)
        if not early:
            return found
        experiment, cut = early[0]
        where = f"of {experiment.name!r} " if experiment.name else ""
        message = (
            f"not converged: at the best point step {cut.step + 1} {where}ends after "
            f"{cut.time:.0f} s, when its voltage reaches {cut.voltage:.2f} V, which is {MARGIN:g} "
            "V outside the trace"
        )
        return replace(found, status="blocked", message=message)

    def fit(
        self,
        *,
        starts: Starts = 1,
        seed: int = 0,
        executor: Executor | None = None,
        **options: Any,
    ) -> FreshFit:
        """The same with statistics and the fitted cell, and what was simulated at the start.

        Options as of :meth:`optimum`, and ``starts``, ``seed``, ``executor`` as of
        :func:`fit_fresh`.
        """
        if starts != 1:
            return self._fit_from_many(starts, seed, executor, options)
        first = _Remembering(self.problem.predict)
        watched = replace(self, problem=replace(self.problem, predict=first))
        return _with_start(self.result(watched.optimum(**options)), first.values)

    def result(self, optimum: Optimum, remarks: Sequence[str] = ()) -> FreshFit:
        """The fit with its statistics and the fitted cell."""
        cell, tree = self.fitted(optimum, remarks)
        return FreshFit(cell, self.simulator.experiments, tree)

    def _fit_from_many(
        self, starts: Starts, seed: int, executor: Executor | None, options: dict[str, Any]
    ) -> FreshFit:
        given: dict[str, Any] = {"checkpoint": None, "resume": False, "max_evaluations": 100}
        given |= options
        checkpoint, resume = given["checkpoint"], given["resume"]
        check_request(self.problem, checkpoint, resume, given["max_evaluations"])
        ends = multi_start(
            self.problem,
            starts,
            seed=seed,
            source=SimulatedExperiments.of(self.problem, self.cell, self.simulator.experiments),
            executor=executor,
            checkpoint=file_of_starts(checkpoint, resume),
            max_evaluations=given["max_evaluations"],
            progress=given.get("progress", False),
        )
        best = self.scaling.to_scaled(ends["values"].values[0])
        optimum = self.optimum(**given, start=best)
        made = self.result(optimum, other_optima(ends, residual_variance(optimum.best)))
        made.tree["optima"] = xr.DataTree(plain_dataset(ends))
        start = self.problem.evaluate(start_points(self.scaling, 1)[0])
        return _with_start(made, start.prediction.values)

    def fitted(self, optimum: Optimum, remarks: Sequence[str] = ()) -> tuple[Cell, xr.DataTree]:
        """The fitted cell, and the tree of the fit."""
        experiments = self.simulator.experiments
        nodes = {f"/{node_name(each)}": to_dataset(each) for each in experiments}
        record = xr.DataTree.from_dict(nodes)
        named = ", ".join(each.name for each in experiments)
        record.attrs["title"] = f"experiments: {named}" if named else "a voltage trace"
        said = [*_remarks(self.observations, optimum), *remarks]
        return fitted_cell(self.cell, record, self.problem, optimum, said)


class _Remembering:
    """A predictor that keeps the first values it gives."""

    def __init__(self, predict: Predictor) -> None:
        self._predict = predict
        self.values: NDArray[np.float64] | None = None

    def __call__(self, *arguments: Any, **named: Any) -> Prediction:
        found = self._predict(*arguments, **named)
        if self.values is None and found.outcome.ok:
            self.values = found.values
        return found


def _with_start(fit: FreshFit, values: NDArray[np.float64] | None) -> FreshFit:
    """The fit with what was predicted at its start, where that could be simulated."""
    if values is not None:
        note = {"long_name": "prediction at the start of the fit"}
        points = fit.tree["points"].to_dataset()
        fit.tree["points"] = xr.DataTree(points.assign(start=("point", values, note)))
    return fit


def fresh_problem(
    cell: Cell,
    experiments: Experiment | Sequence[Experiment],
    free: Sequence[Name],
    *,
    start: Mapping[Name, float] | None = None,
    bounds: Mapping[Name, tuple[float, float]] | None = None,
    loss: str | Loss = "squares",
    prior: Mapping[Name, tuple[float, float]] | None = None,
) -> FreshProblem:
    """What :func:`fit_fresh` does before the first simulation; parameters as there."""
    given = checked_experiments(experiments)
    cell, names = _with_added(with_its_own_start(cell), given, free)
    known = {**_natural_bounds(cell, names), **_by_name(bounds)}
    scaling = free_parameters(cell, names, start=_by_name(start), bounds=known)
    believed = Prior.independent(scaling, _by_name(prior)) if prior else None
    simulator = ExperimentSimulator(cell, given, scaling.names)
    observations = observations_of(simulator.measured)
    problem = Problem(simulator.predict, observations, scaling, Loss.of(loss), believed)
    return FreshProblem(cell, simulator, problem)


def _with_added(
    cell: Cell, experiments: Sequence[Experiment], free: Sequence[Name]
) -> tuple[Cell, list[str]]:
    """The cell with scale factors and offsets of currents in its set, and all names to fit."""
    if isinstance(free, Mapping):
        raise InputError(NAMES_ONLY)
    listed: list[Name] = [free] if isinstance(free, str | ScaleFactor) else list(free)
    cell = with_scale_factors(cell, [each for each in listed if isinstance(each, ScaleFactor)])
    names = [each.name if isinstance(each, ScaleFactor) else each for each in listed]
    known = cell.parameter_values()
    if _RESISTANCE in names and _RESISTANCE not in known and _is_lithium_ion(cell):
        # PyBaMM's models take a missing one for zero
        cell = cell.with_parameters({_RESISTANCE: 0.0}, source="added for a fit")
    for each in experiments:
        if isinstance(each, VoltageTrace) and each.current_offset is not None:
            most = each.current_offset
            if each.offset_name not in cell.parameters.parameters:
                cell = with_number(cell, each.offset_name, 0.0, (-most, most), "beyond its log")
            names.append(each.offset_name)
    return cell, names


def _is_lithium_ion(cell: Cell) -> bool:
    return cell.chemistry.family == "lithium_ion"


def _by_name(given: Mapping[Name, Any] | None) -> dict[str, Any]:
    return {
        key.name if isinstance(key, ScaleFactor) else key: value
        for key, value in (given or {}).items()
    }


def _natural_bounds(cell: Cell, names: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Bounds of parameters that have natural ones, where the set states no range."""
    found = {}
    values = cell.parameter_values()
    for name in names:
        if name not in values or cell.parameters.range(name) is not None:
            continue
        if name in INITIAL:
            side = name.split()[3]
            most = cell.value(f"Maximum concentration in {side} electrode [mol.m-3]")
            found[name] = (0.001 * most, 0.999 * most)
        elif name.endswith("active material volume fraction"):
            found[name] = (0.05, 0.98)
        elif name == _RESISTANCE:
            found[name] = (0.0, _LARGEST_DROP / cell.nominal_capacity)
    return found


def observations_of(measured: Sequence[Measured]) -> Observations:
    """What a fit compares, in the order of the experiments' predictions."""
    stds, variables = [], []
    for each in measured:
        std, origin = _noise(each)
        stds.append(std)
        size = len(each.data)
        variables.append(
            Variable(TRACES, each.name, each.unit, each.coordinate, size, 0, 0, origin)
        )
    sizes = [len(each.data) for each in measured]
    return Observations(
        points=Points(tuple(PointSet(TRACES, m.name, m.coordinate, m.at) for m in measured)),
        data=np.concatenate([m.data for m in measured]),
        std=np.concatenate(stds),
        variables=tuple(variables),
        owner=np.repeat(np.arange(len(measured)), sizes),
        position=np.concatenate([np.arange(size) for size in sizes]),
        charge=np.full(sum(sizes), np.nan),
    )


def _noise(measured: Measured) -> tuple[NDArray[np.float64], str]:
    """Standard deviation of every point and where it comes from."""
    if measured.noise is not None:
        return np.array(measured.noise, float), "given"
    if measured.unit == "K":
        floor = _SMALLEST_KELVIN
    else:
        floor = _SMALLEST_NOISE * float(np.median(np.abs(measured.data)))
    scatter = series_noise(measured.at, measured.data)
    if scatter == scatter:
        return np.full(len(measured.data), max(scatter, floor)), "estimated"
    return np.full(len(measured.data), 10 * floor), "assumed"


def _remarks(observations: Observations, optimum: Optimum) -> list[str]:
    found = []
    several = len(observations.variables) > 1
    for k, variable in enumerate(observations.variables):
        residuals = optimum.best.residuals[observations.owner == k]
        size = float(np.sqrt(np.mean(residuals**2))) if residuals.size else 0.0
        if size >= _FAR:
            of = f" of the {variable.name}" if several else ""
            what = "this variable" if several else "this trace"
            found.append(
                f"The residuals{of} are {size:.3g} times the noise: the model cannot describe "
                f"{what}, or the fit ended in a local minimum; try another start."
            )
    return found
