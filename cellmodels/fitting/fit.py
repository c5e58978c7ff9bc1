"""``fit``: from a cell, a record and a protocol to parameters with their uncertainty."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from cellmodels.cell import Cell
from cellmodels.errors import InputError, did_you_mean
from cellmodels.fitting.assembly import assemble
from cellmodels.fitting.fit_tree import plain_dataset
from cellmodels.fitting.least_squares import check_request, minimise, residual_variance
from cellmodels.fitting.loss import Loss
from cellmodels.fitting.matching import observe_with_protocol
from cellmodels.fitting.prior import Prior
from cellmodels.fitting.problem import Predictor, Problem
from cellmodels.fitting.result import Fit
from cellmodels.fitting.scaling import FreeParameter, Scaling
from cellmodels.fitting.simpler import SimplerModel, fit_simpler
from cellmodels.fitting.uncertainty.multistart import (
    Starts,
    file_of_starts,
    multi_start,
    other_optima,
)
from cellmodels.fitting.uncertainty.sources import SimulatedLife
from cellmodels.fitting.uncertainty.workers import Given, Source
from cellmodels.protocol import Protocol
from cellmodels.simulator import Simulator
from cellmodels.units import unit_of_name

__all__ = ["fit", "fit_with", "free_parameters", "simpler_levels"]

_DEFAULT_FACTOR = 100.0
"""Without a range in the parameter set, a positive parameter may move by this factor."""


NAMES_ONLY = (
    "free is a list of names; where they start and their bounds are given as "
    "start={name: value} and bounds={name: (lower, upper)}."
)


def fit(
    cell: Cell,
    record: xr.DataTree,
    protocol: Protocol,
    free: Sequence[str],
    *,
    observables: Iterable[str] | None = None,
    coordinate: str | Mapping[str, str] | None = None,
    start: Mapping[str, float] | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    noise: Mapping[str, ArrayLike] | None = None,
    loss: str | Loss = "squares",
    prior: Mapping[str, tuple[float, float]] | None = None,
    simpler_models: Iterable[str] | None = None,
    tolerance: float | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    resume: bool = False,
    progress: bool = True,
    max_evaluations: int = 100,
    starts: Starts = 1,
    seed: int = 0,
    executor: Executor | None = None,
) -> Fit:
    """Fit parameters of a cell to a record of its life.

    Minimises the sum of squared differences between simulated and measured values, each
    divided by its noise. A DFN starts from where an SPMe of the same cell, fitted loosely to
    the same data from `start`, ends: that costs less, and from far off it is safer. Only the
    start is taken from there (:mod:`cellmodels.fitting.simpler`).

    Parameters
    ----------
    cell : Cell
        Its parameter values are the default start; positive parameters are fitted as logarithms.
    record : xarray.DataTree
        Data, from :func:`cellmodels.read_record`.
    protocol : Protocol
        What was done to the cell.
    free : sequence of str
        Names of the parameters to fit, e.g. some of ``cell.ageing_parameters``.
    observables : iterable of str, optional
        Variables of the record to fit. By default the discharge capacity of each cycle, and
        all capacities, resistances and voltages of check-ups that the protocol measures too.
    coordinate : str or mapping of group to str, optional
        ``"cycle"``, ``"throughput"`` [A.h] or ``"elapsed_time"`` [s] to place the data by; by
        default the first of them that the record knows.
    start : mapping of str to float, optional
        Other starts, by name, in the parameters' units.
    bounds : mapping of str to (float, float), optional
        Other bounds than the range in the parameter set, or a factor of 100 around the start.
    noise : mapping of str to array_like, optional
        Standard deviations by variable, in the record's units; otherwise from the record, or
        estimated from the scatter of neighbouring points.
    loss : str or Loss
        ``"squares"``, or ``"pseudo-Huber"`` or ``"Cauchy"`` where some points may be wrong; see
        :mod:`cellmodels.fitting.loss`.
    prior : mapping of str to (float, float), optional
        What is known of fitted parameters beforehand: value in the parameter's unit, and standard
        deviation of its natural logarithm (of the value itself where its bounds include zero).
    simpler_models : iterable of str, optional
        Model levels that are fitted first, in their order; by default ``cell.simpler_models``.
        ``()`` starts the fit at `start` itself. A level that the cell or its protocol cannot
        have is left out; see ``Fit.simpler_models``.
    tolerance : float, optional
        Solver tolerance on capacities [A.h]; at most a tenth of the smallest capacity noise.
    checkpoint : path, optional
        File from which an interrupted fit can continue; without one a killed fit is lost.
    resume : bool
        Continue from `checkpoint`, if it exists.
    progress : bool
        Show a progress bar.
    max_evaluations : int
        Largest number of simulated lives, of the cell's model and of each simpler one.
    starts : int or sequence of mapping of str to float
        Fits from so many starts, the given one and a Sobol design inside the bounds, or from these
        starts (values by name), in place of simpler models; the best is returned, and
        ``Fit.optima`` holds the distinct ends.
    seed : int
        Of that design.
    executor : concurrent.futures.Executor, optional
        Whose workers fit from these starts.

    Returns
    -------
    Fit
        Also when the fit did not converge, or was stopped by Ctrl-C: see its ``status``.
        ``Fit.simpler_models`` tells what simpler models were fitted first.

    Raises
    ------
    InputError
        Before any simulation, when a name, number or observable is wrong.
    FitError
        When the simulation fails at the start.
    KeyboardInterrupt
        On Ctrl-C before the first life of the cell's own model is simulated; the checkpoint
        keeps what simpler models have found.
    """
    if checkpoint is not None and not Path(checkpoint).absolute().parent.is_dir():
        raise InputError(f"The folder of the checkpoint {checkpoint} does not exist.")
    scaling = free_parameters(cell, free, start=start, bounds=bounds)
    observations, remarks = observe_with_protocol(
        record, cell, protocol, observables, coordinate=coordinate, noise=noise
    )
    simpler = [
        _simpler_model(cell, model, protocol, scaling)
        for model in simpler_levels(cell, simpler_models)
    ]
    known = Prior.independent(scaling, prior or {})
    simulator = Simulator(cell, protocol, free=scaling.names)
    problem = Problem(
        simulator.predict, observations, scaling, Loss.of(loss), known, tolerance=tolerance
    )
    return fit_with(
        problem,
        cell,
        record,
        protocol,
        simpler=simpler,
        remarks=remarks,
        checkpoint=checkpoint,
        resume=resume,
        progress=progress,
        max_evaluations=max_evaluations,
        starts=starts,
        seed=seed,
        executor=executor,
    )


def fit_with(
    problem: Problem,
    cell: Cell,
    record: xr.DataTree,
    protocol: Protocol,
    *,
    simpler: Sequence[SimplerModel] = (),
    remarks: Sequence[str] = (),
    checkpoint: str | os.PathLike[str] | None = None,
    resume: bool = False,
    progress: bool = True,
    max_evaluations: int = 100,
    starts: Starts = 1,
    seed: int = 0,
    executor: Executor | None = None,
) -> Fit:
    """Fit with any predictor in place of a simulator, after simpler ones; see :func:`fit`."""
    options: dict[str, Any] = {
        "checkpoint": checkpoint,
        "resume": resume,
        "progress": progress,
        "max_evaluations": max_evaluations,
        "context": json.dumps([cell.hash, protocol.to_dict()], sort_keys=True),
    }
    check_request(problem, checkpoint, resume, max_evaluations)
    if starts == 1:
        found = fit_simpler(simpler, problem, **options)
        optimum = minimise(problem, **options, simpler=found)
        return assemble(cell, protocol, record, problem, optimum, remarks)
    ends = multi_start(
        problem,
        starts,
        seed=seed,
        source=_source(problem, cell, protocol),
        executor=executor,
        checkpoint=file_of_starts(checkpoint, resume),
        max_evaluations=max_evaluations,
        progress=progress,
    )
    best = problem.scaling.to_scaled(ends["values"].values[0])
    optimum = minimise(problem, **options, start=best)
    others = other_optima(ends, residual_variance(optimum.best))
    made = assemble(cell, protocol, record, problem, optimum, [*remarks, *others])
    made.tree["optima"] = xr.DataTree(plain_dataset(ends))
    return made


def _source(problem: Problem, cell: Cell, protocol: Protocol) -> Source:
    """What workers make the problem of; another predictor than a simulator's is sent itself."""
    if isinstance(getattr(problem.predict, "__self__", None), Simulator):
        return SimulatedLife.of(problem, cell, protocol)
    return Given(problem)


def simpler_levels(cell: Cell, wanted: Iterable[str] | None = None) -> tuple[str, ...]:
    """Names of the models to fit first, by default those that the cell's family knows.

    Raises
    ------
    InputError
        On an unknown or repeated level, or the cell's own.
    """
    if wanted is None:
        return cell.simpler_models
    names = [wanted] if isinstance(wanted, str) else list(wanted)
    models = tuple(cell.chemistry.check_model(name) for name in names)
    for name in models:
        if name == cell.model:
            raise InputError(f"simpler_models: {name!r} is the cell's own model.")
        if models.count(name) > 1:
            raise InputError(f"simpler_models: {name!r} is given {models.count(name)} times.")
    return models


def _simpler_model(cell: Cell, model: str, protocol: Protocol, scaling: Scaling) -> SimplerModel:
    def predictor() -> Predictor:
        return Simulator(cell.with_model(model), protocol, free=scaling.names).predict

    return SimplerModel(model, predictor)


def free_parameters(
    cell: Cell,
    free: Sequence[str],
    *,
    start: Mapping[str, float] | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
) -> Scaling:
    """Starts, bounds and scales of the parameters to fit.

    Parameters
    ----------
    cell : Cell
    free : sequence of str
    start : mapping of str to float, optional
    bounds : mapping of str to (float, float), optional

    Returns
    -------
    Scaling

    Raises
    ------
    InputError
        On an unknown or repeated name, a value that is not a number, or bounds that do not
        enclose the start.
    """
    if isinstance(free, Mapping):
        raise InputError(NAMES_ONLY)
    names = [free] if isinstance(free, str) else list(free)
    if not names:
        raise InputError("Name at least one parameter to fit.")
    if len(set(names)) < len(names):
        raise InputError("A parameter to fit is named twice.")
    known = [str(name) for name in dict(cell.parameter_values().items())]
    for name in names:
        if name not in known:
            choices = [*cell.ageing_parameters, *known]
            raise InputError(f"The cell has no parameter {name!r}." + did_you_mean(name, choices))
    for what, given in (("start", start or {}), ("bounds", bounds or {})):
        for name in given:
            if name not in names:
                raise InputError(
                    f"A {what} is given for {name!r}, which is not fitted."
                    + did_you_mean(name, names)
                )
    return Scaling([_free_parameter(cell, name, start or {}, bounds or {}) for name in names])


def _free_parameter(
    cell: Cell,
    name: str,
    start: Mapping[str, float],
    bounds: Mapping[str, tuple[float, float]],
) -> FreeParameter:
    nominal = cell.value(name)
    first = _number(name, "start", start.get(name, nominal))
    lower, upper = _pair(
        name, bounds.get(name) or cell.parameters.range(name) or _around(name, first)
    )
    return FreeParameter(
        name=name,
        start=first,
        lower=_number(name, "lower bound", lower, finite=False),
        upper=_number(name, "upper bound", upper, finite=False),
        nominal=nominal,
        unit=unit_of_name(name) or "",
    )


def _pair(name: str, bounds: object) -> tuple[float, float]:
    if not isinstance(bounds, Sequence) or isinstance(bounds, str) or len(bounds) != 2:
        raise InputError(f"The bounds of {name!r} are two numbers, not {bounds!r}.")
    return bounds[0], bounds[1]


def _around(name: str, start: float) -> tuple[float, float]:
    if start > 0:
        return start / _DEFAULT_FACTOR, start * _DEFAULT_FACTOR
    raise InputError(
        f"{name!r} starts at {start:g} and has no range in the parameter set: give its bounds."
    )


def _number(name: str, what: str, value: float, finite: bool = True) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise InputError(f"The {what} of {name!r} is {value!r}, not a number.") from None
    if np.isnan(number) or (finite and not np.isfinite(number)):
        raise InputError(f"The {what} of {name!r} is {number}.")
    return number
