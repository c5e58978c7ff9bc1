"""Fits from many starts, and the distinct optima that they end in.

The starts are a scrambled Sobol design inside the bounds (A. B. Owen, J. Complex. 14 (1998) 466,
doi:10.1006/jcom.1998.0487), even in the logarithm of positive parameters. A sum of squares may
have several minima; one that is hardly higher than the lowest is another explanation of the data.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.stats.qmc
import xarray as xr
from numpy.typing import NDArray

from cellmodels.errors import InputError
from cellmodels.fitting.least_squares import FitError, check_request, minimise
from cellmodels.fitting.problem import Problem
from cellmodels.fitting.scaling import Scaling
from cellmodels.fitting.uncertainty.workers import Given, Refit, Source, Workshop, run_all

__all__ = ["comparable", "file_of_starts", "multi_start", "other_optima", "start_points"]

Array = NDArray[np.float64]

#: Two ends are one optimum when they are less than so many standard errors apart.
_SAME = 1.0
#: Half the width of a design where a parameter has no bound, in scaled coordinates.
_UNBOUNDED = 2.0
#: Another optimum deserves a note when its chi-square is higher by less than this, in units of
#: the residual variance: a model with e^5 times less support.
COMPARABLE = 10.0


def multi_start(
    problem: Problem,
    starts: int = 16,
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
    starts : int
        Number of fits. The first begins at the parameters' starts.
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
        On a number of starts below one, fewer points than parameters, or a checkpoint of
        something else.
    FitError
        When no fit could begin.
    """
    if isinstance(starts, bool) or int(starts) != starts or starts < 1:
        raise InputError(f"starts is {starts!r}; it is a whole number from 1 on.")
    check_request(problem, None, False, max_evaluations)
    task = FromStart(int(starts), int(seed), max_evaluations)
    refits = run_all(
        task,
        int(starts),
        source or Given(problem),
        executor=executor,
        checkpoint=checkpoint,
        label="starts",
        progress=progress,
    )
    if not any(refit.scaled for refit in refits):
        raise FitError(f"None of {starts} fits could begin. The first: {refits[0].message}")
    return _dataset(problem, refits, start_points(problem.scaling, int(starts), int(seed)), seed)


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


def start_points(scaling: Scaling, starts: int, seed: int = 0) -> Array:
    """Scaled coordinates of all starts, shape (starts, p); the first is the given one."""
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
    """A fit from one of the design's starts."""

    starts: int
    seed: int
    max_evaluations: int

    def __call__(self, shop: Workshop, number: int) -> Refit:
        """The fit of a number."""
        start = start_points(shop.problem.scaling, self.starts, self.seed)[number]
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
