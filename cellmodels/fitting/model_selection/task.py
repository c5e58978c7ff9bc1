"""One set of mechanisms fitted to a record, and scored on the part of the life it has not seen.

A :class:`SetTask` holds all that :func:`run_set` needs, so that it can run in another process.

*Cross-validation by time.* The model is fitted to the first part of the life, up to a fixed share
of it, and predicts the rest. (Leaving out points between others would reward what interpolates.)
Errors of the predictions are those of the parameters, and the scatter of the residuals that were
fitted; a prediction's score is the logarithm of its density where the measurement fell
(T. Gneiting, A. E. Raftery, J. Am. Stat. Assoc. 102 (2007) 359, doi:10.1198/016214506000001437).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from cellmodels.cell import Cell
from cellmodels.errors import CellModelsError, InputError
from cellmodels.fitting import fit_tree
from cellmodels.fitting.fit import fit_with
from cellmodels.fitting.input_budget import independent_points
from cellmodels.fitting.least_squares import minimise
from cellmodels.fitting.model_selection.likelihood import MisfitLikelihood, misfit_likelihood
from cellmodels.fitting.problem import Evaluation, Predictor, Problem
from cellmodels.fitting.residuals import Observations
from cellmodels.fitting.result import Fit
from cellmodels.fitting.scaling import Scaling
from cellmodels.fitting.statistics import aicc
from cellmodels.protocol import Protocol
from cellmodels.simulator import Simulator

__all__ = ["Score", "SetResult", "SetTask", "aicc_of", "likelihood_of", "run_set", "simulate_with"]

Array = NDArray[np.float64]
Maker = Callable[[Cell, Protocol, Sequence[str]], Predictor]

_NO_WORSE = 1e-6  # of the smaller set's sum of squares
_LEAST_SCATTER = 0.1  # of the stated noise
_SMALLEST_SINGULAR_VALUE = 1e-12  # of the largest; directions below it are undetermined
_QUANTILE = 1.959964  # of a 95 % interval


def simulate_with(cell: Cell, protocol: Protocol, free: Sequence[str]) -> Predictor:
    """The predictor of a cell: its simulator."""
    return Simulator(cell, protocol, free=free).predict


@dataclass(frozen=True, eq=False)
class SetTask:
    """A set of mechanisms to fit.

    Parameters
    ----------
    name : str
    cell : Cell
        With these mechanisms.
    protocol : Protocol
    record : xarray.DataTree
    observations : Observations
        Of the record; the same for all sets.
    scaling : Scaling
    cuts : tuple of float
        Shares of the life after which it is predicted.
    remarks : tuple of str
    near : tuple of mapping of str to float
        Optima of smaller sets.
    tolerance : float, optional
    max_evaluations : int
    maker : callable
        Makes the predictor.
    """

    name: str
    cell: Cell
    protocol: Protocol
    record: xr.DataTree
    observations: Observations
    scaling: Scaling
    cuts: tuple[float, ...] = ()
    remarks: tuple[str, ...] = ()
    near: tuple[Mapping[str, float], ...] = ()
    tolerance: float | None = None
    max_evaluations: int = 60
    maker: Maker = simulate_with


@dataclass(frozen=True)
class Score:
    """A prediction of the rest of a life.

    Parameters
    ----------
    cut : float
        Share of the life that was fitted.
    points : int
        Predicted points.
    rmse : float
        Root mean square of their residuals, normalised by the stated noise.
    log_score : float
        Mean logarithm of the density of the predictions at the data, in the data's units.
    coverage : float
        Share of the points inside their 95 % intervals.
    rmse_by_variable : mapping of str to float
        In the variables' units.
    status : str
        ``"scored"``, or why not.
    """

    cut: float
    points: int = 0
    rmse: float = float("nan")
    log_score: float = float("nan")
    coverage: float = float("nan")
    rmse_by_variable: Mapping[str, float] | None = None
    status: str = "scored"


@dataclass(frozen=True, eq=False)
class SetResult:
    """What came of a set.

    Parameters
    ----------
    fit : Fit, optional
        None where it failed.
    scores : tuple of Score
    message : str
        How the fit ended, or why there is none.
    """

    fit: Fit | None
    scores: tuple[Score, ...] = ()
    message: str = ""


def run_set(task: SetTask) -> SetResult:
    """Fit one set, from the best of its starts, and score it; a failure is a result too.

    Raises
    ------
    KeyboardInterrupt
        On Ctrl-C, also where a fit would end with its best point so far.
    """
    try:
        predict = task.maker(task.cell, task.protocol, task.scaling.names)
        problem = Problem(predict, task.observations, task.scaling, tolerance=task.tolerance)
        fit = _fit(problem, task)
    except CellModelsError as error:
        return SetResult(None, (), str(error))
    _stop_if_interrupted(fit.status)
    scores = tuple(_score(problem, fit, cut, task) for cut in task.cuts)
    return SetResult(fit, scores, str(fit.tree.attrs["message"]))


def _stop_if_interrupted(status: str) -> None:
    """A fit that was stopped ends the comparison: half a result is none."""
    if status == "interrupted":
        raise KeyboardInterrupt


def likelihood_of(fit: Fit) -> MisfitLikelihood:
    """The likelihood of a fit whose misfit may be alike from point to point.

    At its own maximum: from the optimum of the fit's loss, robust or not, the linear model leads
    to it. Points that a robust loss took for wrong count in full.
    """
    points, scaling = fit.tree["points"].to_dataset(), fit_tree.scaling(fit.tree)
    scaled = scaling.to_scaled(list(fit.values.values()))
    slopes = scaling.slopes(scaled) / points["std"].values[:, None]
    low, high = scaling.bounds
    return misfit_likelihood(
        fit_tree.observations(fit.tree),
        points["normalised_residual"].values,
        points["jacobian"].values * slopes,
        low - scaled,
        high - scaled,
    )


def aicc_of(fit: Fit) -> float:
    """Akaike's criterion for small samples with that likelihood, all that it estimates counted."""
    likely = likelihood_of(fit)
    return aicc(
        likely.log_likelihood,
        len(fit.values) + likely.parameters,
        int(fit.statistics["points"]),
    )


# Fits -------------------------------------------------------------------------------------


def _fit(problem: Problem, task: SetTask) -> Fit:
    """The fit from the best start; no worse than a smaller set's, whose model this one contains."""
    starts, smaller = _starts(problem, task)
    fit = _fit_from(problem, starts[0], task)
    if smaller is not None and fit.statistics["chi_square"] > smaller * (1 + _NO_WORSE):
        for start in starts[1:3]:
            other = _fit_from(problem, start, task)
            if other.statistics["chi_square"] < fit.statistics["chi_square"]:
                fit = other
    return fit


def _starts(problem: Problem, task: SetTask) -> tuple[list[Array], float | None]:
    """Points to start from, the best first, and the least sum of squares of the smaller sets.

    At the optimum of a smaller set what this one has besides may act as stated, less, or hardly.
    """
    own = problem.scaling.start
    lower = np.array([p.lower for p in problem.scaling.parameters])
    hardly = np.where(problem.scaling.logarithmic, lower, np.maximum(lower, 0.0))
    less = np.where(problem.scaling.logarithmic, np.sqrt(np.abs(own * hardly)), own / 2)
    points = [own]
    for known in task.near:
        for rest in (own, less, hardly):
            values = [known.get(n, v) for n, v in zip(problem.scaling.names, rest, strict=True)]
            points.append(np.array(values))
    if len(points) == 1:
        return points, None
    inside = [problem.scaling.inside(problem.scaling.to_scaled(p)) for p in points]
    near: Evaluation | None = None
    costs = []
    for each in inside:
        tried = problem.evaluate(each, near=near)
        near = tried if tried.ok else near
        costs.append(tried.cost)
    order = np.argsort(costs, kind="stable")
    ranked = [problem.scaling.to_values(inside[i]) for i in order]
    least = [2 * cost for cost in costs[3::3] if np.isfinite(cost)]
    return ranked, min(least, default=None)


def _fit_from(problem: Problem, values: Array, task: SetTask) -> Fit:
    return fit_with(
        replace(problem, scaling=_started(problem.scaling, values)),
        task.cell,
        task.record,
        task.protocol,
        remarks=task.remarks,
        progress=False,
        max_evaluations=task.max_evaluations,
    )


def _started(scaling: Scaling, values: Array) -> Scaling:
    """The same parameters with other starts, and the same value before the fit."""
    return Scaling(
        [
            replace(
                p,
                start=float(np.clip(value, p.lower, p.upper)),
                nominal=p.start if p.nominal is None else p.nominal,
            )
            for p, value in zip(scaling.parameters, values, strict=True)
        ]
    )


# Scores -----------------------------------------------------------------------------------


def _score(problem: Problem, fit: Fit, cut: float, task: SetTask) -> Score:
    """Fit to the first part of the life, from the whole life's optimum, and predict the rest."""
    early = early_points(problem.observations, cut)
    if early.all() or early.sum() <= problem.size:
        return Score(cut, status="too few points on one side")
    started = replace(
        problem, scaling=_started(problem.scaling, np.array(list(fit.values.values())))
    )
    first = started.with_points(early)
    try:
        found = minimise(first, progress=False, max_evaluations=task.max_evaluations)
    except CellModelsError as error:
        return Score(cut, status=str(error))
    _stop_if_interrupted(found.status)
    best = found.best
    whole = started.evaluate(best.scaled, near=best)
    if not whole.ok:
        return Score(cut, status=f"the rest cannot be predicted: {whole.outcome.reason}")
    return _scored(problem.observations, whole, early, _covariance(first, best), cut)


def _covariance(problem: Problem, best: Evaluation) -> Array:
    """Of the scaled parameters, shape (p, p); points that are alike count for fewer."""
    rows = np.sqrt(independent_points(problem, best.residuals))[:, None] * best.jacobian
    _, singular, directions = np.linalg.svd(rows, full_matrices=False)
    floor = _SMALLEST_SINGULAR_VALUE * (singular.max(initial=0.0) or 1.0)
    root = directions.T / np.maximum(singular, floor)
    widths = np.diff(problem.scaling.bounds, axis=0)[0]  # no parameter is less known than that
    covariance = root @ root.T
    wide = np.sqrt(np.diag(covariance)) / np.where(np.isfinite(widths), widths, np.inf)
    shrink = 1 / np.maximum(wide, 1.0)
    return shrink[:, None] * covariance * shrink


def early_points(observations: Observations, cut: float) -> NDArray[np.bool_]:
    """Points before a share of the life, by the coordinate that places each of them, shape (k,)."""
    sets = observations.points.sets
    last = {c: max(s.at.max(initial=0.0) for s in sets if s.coordinate == c) for c in
            {s.coordinate for s in sets}}  # fmt: skip
    return np.concatenate([s.at <= cut * last[s.coordinate] for s in sets])


def _scored(
    observations: Observations,
    whole: Evaluation,
    early: NDArray[np.bool_],
    covariance: Array,
    cut: float,
) -> Score:
    scatter = np.ones(observations.size)
    rms = {}
    for i, variable in enumerate(observations.variables):
        mine = observations.owner == i
        if (mine & early).any():
            scatter[mine] = max(np.mean(whole.residuals[mine & early] ** 2), _LEAST_SCATTER**2)
        if (mine & ~early).any():
            error = whole.residuals[mine & ~early] * observations.std[mine & ~early]
            rms[variable.key] = float(np.sqrt(np.mean(error**2)))
    late, rows = ~early, whole.jacobian
    variance = (scatter + np.einsum("ki,ij,kj->k", rows, covariance, rows))[late]
    errors, std = whole.residuals[late], observations.std[late]
    density = -0.5 * (np.log(2 * np.pi * variance * std**2) + errors**2 / variance)
    return Score(
        cut,
        int(late.sum()),
        float(np.sqrt(np.mean(errors**2))),
        float(np.mean(density)),
        float(np.mean(np.abs(errors) < _QUANTILE * np.sqrt(variance))),
        rms,
    )


def check_cuts(cuts: Sequence[float]) -> tuple[float, ...]:
    """Shares of the life, in order.

    Raises
    ------
    InputError
        When one is not between 0 and 1.
    """
    for cut in cuts:
        if not isinstance(cut, int | float) or not 0 < cut < 1:
            raise InputError(f"cuts: {cut!r} is not a share of the life between 0 and 1.")
    return tuple(sorted(float(cut) for cut in cuts))
