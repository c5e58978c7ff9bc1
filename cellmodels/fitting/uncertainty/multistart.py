"""Fits from many starts, and the distinct optima that they end in.

The starts are a scrambled Sobol design inside the bounds (A. B. Owen, J. Complex. 14 (1998) 466,
doi:10.1006/jcom.1998.0487), even in the logarithm of positive parameters. A sum of squares may
have several minima; one that is hardly higher than the lowest is another explanation of the data.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.stats.qmc
import xarray as xr
from numpy.typing import NDArray

from cellmodels.errors import InputError, did_you_mean
from cellmodels.fitting.least_squares import FitError, check_request, minimise
from cellmodels.fitting.problem import Problem
from cellmodels.fitting.scaling import Scaling
from cellmodels.fitting.uncertainty.workers import Given, Refit, Source, Workshop, run_all

__all__ = ["Starts", "comparable", "file_of_starts", "multi_start", "other_optima", "start_points"]

Array = NDArray[np.float64]

Starts = int | Sequence[Mapping[str, float]]
"""A number of starts, or their values by name, in the parameters' units."""

#: Two ends are one optimum when they are less than so many standard errors apart.
_SAME = 1.0
#: Half the width of a design where a parameter has no bound, in scaled coordinates.
_UNBOUNDED = 2.0
#: Another optimum deserves a note when its chi-square is higher by less than this, in units of
#: the residual variance: a model with e^5 times less support.
COMPARABLE = 10.0


def multi_start(
    problem: Problem,
    starts: Starts = 16,
    *,
    seed: int = 0,
    source: Source | None = None,
    executor: Executor | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    max_evaluations: int = 100,
    progress: bool = False,
) -> xr.Dataset:
    """Fit from many starts.

    Parameters
    ----------
    problem : Problem
    starts : int or sequence of mapping of str to float
        Number of fits, of which the first begins at the parameters' starts and the others at a
        design; or where each begins, by name, in the parameters' units: what is not named begins
        at its start.
    seed : int
        Of the design.
    source : Source, optional
        What workers make the problem of; by default they are sent the problem itself.
    executor : concurrent.futures.Executor, optional
        Whose workers fit; this process by default.
    checkpoint : path, optional
        File of the fits that are done; continued where it exists.
    max_evaluations : int
        Largest number of simulations of each fit.
    progress : bool
        Show a progress bar.

    Returns
    -------
    xarray.Dataset
        The distinct optima, the best first: ``values`` by ``optimum`` and ``parameter`` in the
        parameters' units, ``chi_square`` (twice the cost), ``count`` of the fits that ended
        there, ``status`` of the best of them and ``distance`` from the best optimum in standard
        errors. All fits: ``start_values``, ``start_status``, ``start_cost``,
        ``start_evaluations``, ``start_message`` and ``start_optimum``, the optimum that each
        ended in (-1 where it failed), by ``start``.

    Raises
    ------
    InputError
        On a number of starts below one, a start that names no parameter or lies outside its
        bounds, fewer points than parameters, or a checkpoint of something else.
    FitError
        When no fit could begin.
    """
    points = start_points(problem.scaling, starts, int(seed))
    check_request(problem, None, False, max_evaluations)
    task = FromStart(tuple(tuple(map(float, point)) for point in points), max_evaluations)
    refits = run_all(
        task,
        len(points),
        source or Given(problem),
        executor=executor,
        checkpoint=checkpoint,
        label="starts",
        progress=progress,
    )
    if not any(refit.scaled for refit in refits):
        raise FitError(f"None of {len(points)} fits could begin. The first: {refits[0].message}")
    return _dataset(problem, refits, points, seed)


def file_of_starts(checkpoint: str | os.PathLike[str] | None, resume: bool) -> Path | None:
    """The checkpoint of the fits from many starts, beside that of the last one.

    An old one is removed unless it is to be continued.
    """
    if checkpoint is None:
        return None
    file = Path(f"{os.fspath(checkpoint)}.starts")
    if not resume:
        file.unlink(missing_ok=True)
    return file


def start_points(scaling: Scaling, starts: Starts, seed: int = 0) -> Array:
    """Scaled coordinates of all starts, shape (starts, p).

    Raises
    ------
    InputError
        On a number of starts below one, or a start that names no parameter or lies outside its
        bounds.
    """
    if isinstance(starts, Sequence) and not isinstance(starts, str):
        if not starts:
            raise InputError("starts is empty; give at least one start.")
        return np.array([_start_point(scaling, start) for start in starts])
    if isinstance(starts, bool | str) or int(starts) != starts or starts < 1:
        raise InputError(f"starts is {starts!r}; it is a whole number from 1 on.")
    return _design(scaling, int(starts), seed)


def _start_point(scaling: Scaling, start: Mapping[str, float]) -> Array:
    known = {p.name: p for p in scaling.parameters}
    values = dict(zip(scaling.names, scaling.to_values(np.zeros(len(scaling))), strict=True))
    for name, value in start.items():
        if name not in known:
            hint = did_you_mean(str(name), list(known))
            raise InputError(f"A start names {name!r}, which is not fitted.{hint}")
        low, high = known[name].lower, known[name].upper
        if not low <= value <= high:
            raise InputError(f"A start of {name!r} is {value:g}, outside {low:g} to {high:g}.")
        values[name] = value
    return scaling.inside(scaling.to_scaled([values[name] for name in scaling.names]))


def _design(scaling: Scaling, starts: int, seed: int) -> Array:
    """The given start first, then a Sobol design."""
    lower, upper = scaling.bounds
    lower = np.where(np.isfinite(lower), lower, np.minimum(-_UNBOUNDED, upper - 2 * _UNBOUNDED))
    upper = np.where(np.isfinite(upper), upper, np.maximum(_UNBOUNDED, lower + 2 * _UNBOUNDED))
    points = [np.zeros(len(scaling))]
    if starts > 1:
        design = scipy.stats.qmc.Sobol(len(scaling), scramble=True, rng=seed)
        power = int(np.ceil(np.log2(starts)))  # Sobol's designs are balanced in powers of two
        unit = design.random_base2(power)[: starts - 1]
        points += list(lower + unit * (upper - lower))
    return np.array([scaling.inside(point) for point in points])


def comparable(found: xr.Dataset, variance: float = 1.0) -> list[int]:
    """Numbers of the optima that are hardly worse than the best, and are optima.

    Parameters
    ----------
    found : xarray.Dataset
        From :func:`multi_start`.
    variance : float
        Of the residuals.
    """
    above = (found["chi_square"].values - found["chi_square"].values[0]) / variance
    converged = found["status"].values.astype(str) == "converged"
    near = np.flatnonzero(converged & (above <= COMPARABLE))
    return [int(k) for k in near if k > 0]


def other_optima(found: xr.Dataset, variance: float = 1.0) -> list[str]:
    """Sentences about optima that are hardly worse than the best.

    Parameters
    ----------
    found : xarray.Dataset
        From :func:`multi_start`.
    variance : float
        Of the residuals.
    """
    said = []
    chi_square = found["chi_square"].values
    for k in comparable(found, variance):
        above = float(chi_square[k] - chi_square[0]) / variance
        values = found["values"].isel(optimum=k)
        listed = ", ".join(
            f"{name} = {float(value):.4g}"
            for name, value in zip(found["parameter"].values, values.values, strict=True)
        )
        count, starts = int(found["count"].values[k]), found.sizes["start"]
        said.append(
            f"Another optimum, reached from {count} of {starts} starts, has a chi-square higher by "
            f"only {above:.1f}: {listed}."
        )
    return said


@dataclass(frozen=True)
class FromStart:
    """A fit from one of the starts, given as scaled coordinates."""

    points: tuple[tuple[float, ...], ...]
    max_evaluations: int

    def __call__(self, shop: Workshop, number: int) -> Refit:
        """The fit of a number."""
        start = np.array(self.points[number])
        found = minimise(
            shop.problem, start=start, progress=False, max_evaluations=self.max_evaluations
        )
        return Refit.of(found)


def _dataset(problem: Problem, refits: Sequence[Refit], points: Array, seed: int) -> xr.Dataset:
    scaling = problem.scaling
    freedom = max(problem.observations.size - problem.size, 1)
    lowest = min(refit.cost for refit in refits)
    error = float(np.sqrt(max(1.0, 2.0 * lowest / freedom)))
    members = _clusters(refits, error)
    owner = np.full(len(refits), -1)
    for k, group in enumerate(members):
        owner[group] = k
    best = [refits[group[0]] for group in members]
    ended = np.array([refit.scaled for refit in best])
    names = "optimum", "parameter"
    return xr.Dataset(
        {
            "values": (names, scaling.to_values(ended)),
            "chi_square": ("optimum", [2.0 * r.cost for r in best]),
            "count": ("optimum", [len(group) for group in members]),
            "status": ("optimum", [r.status for r in best]),
            "distance": ("optimum", [_distance(best[0], r) / error for r in best]),
            "start_values": (("start", "parameter"), scaling.to_values(points)),
            "start_status": ("start", [r.status for r in refits]),
            "start_cost": ("start", [r.cost for r in refits]),
            "start_evaluations": ("start", [r.evaluations for r in refits]),
            "start_message": ("start", [r.message for r in refits]),
            "start_optimum": ("start", owner),
        },
        coords={"parameter": list(scaling.names)},
        attrs={"seed": int(seed), "failed": sum(not r.scaled for r in refits)},
    )


def _clusters(refits: Sequence[Refit], error: float) -> list[list[int]]:
    """Numbers of fits that ended at the same place, the lowest cost first.

    `error` is that of the residuals over the stated one.
    """
    order = sorted(
        (k for k, refit in enumerate(refits) if refit.scaled), key=lambda k: refits[k].cost
    )
    groups: list[list[int]] = []
    for k in order:
        near = next((g for g in groups if _distance(refits[g[0]], refits[k]) < _SAME * error), None)
        if near is None:
            groups.append([k])
        else:
            near.append(k)
    return groups


def _distance(one: Refit, other: Refit) -> float:
    """Distance in standard errors, of unit variance, by the information at the first."""
    step = np.array(other.scaled) - np.array(one.scaled)
    information = np.array(one.information).reshape(step.size, step.size)
    return float(np.sqrt(max(step @ information @ step, 0.0)))
