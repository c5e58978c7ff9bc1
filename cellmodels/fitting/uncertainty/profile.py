"""Profile likelihood: how far a parameter can go while the others make up for it.

A parameter is held at values on both sides of its optimum and all others are fitted again. The
deviance, twice the rise of the cost over the variance of the residuals, then follows a
chi-square distribution with one degree of freedom (S. A. Murphy and A. W. van der Vaart, J. Am.
Stat. Assoc. 95 (2000) 449, doi:10.2307/2669386), and the interval is where it is below a
quantile of it. Unlike that of standard errors the interval need not be symmetric, does not
depend on the parameter's scale, and may be open: then the data do not bound the parameter
(A. Raue et al., Bioinformatics 25 (2009) 1923, doi:10.1093/bioinformatics/btp358). The ends are
searched directly, as in D. J. Venzon and S. H. Moolgavkar, Appl. Stat. 37 (1988) 87,
doi:10.2307/2347496, with the whole curve kept.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor

import numpy as np
import scipy.stats
import xarray as xr
from numpy.typing import NDArray
from tqdm.auto import tqdm

from cellmodels.errors import InputError, did_you_mean
from cellmodels.fitting.problem import Evaluation, Problem
from cellmodels.fitting.uncertainty.profile_branches import Profile, profiles_of
from cellmodels.fitting.uncertainty.workers import Source

__all__ = ["profile_likelihood"]

Array = NDArray[np.float64]

#: A deviance this far below zero is another, better optimum, and no error of the solver.
_BETTER = -0.1


def profile_likelihood(
    problem: Problem,
    best: Evaluation,
    names: Sequence[str] | None = None,
    *,
    level: float = 0.95,
    variance: float | Mapping[str, float] = 1.0,
    freedom: int | None = None,
    others: Sequence[Evaluation] = (),
    source: Source | None = None,
    executor: Executor | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    progress: bool = False,
) -> xr.Dataset:
    """Profile parameters around an optimum.

    Parameters
    ----------
    problem : Problem
    best : Evaluation
        At the optimum; it succeeded.
    names : sequence of str, optional
        Parameters to profile; all by default.
    level : float
        Of the intervals.
    variance : float or mapping of str to float
        Variance of the normalised residuals, for all parameters or by name: more than one where
        residuals are larger than the noise or alike.
    freedom : int, optional
        Degrees of freedom of the variance, where it was estimated from the residuals: the
        threshold is then that of an F distribution.
    others : sequence of Evaluation
        At other optima; those hardly higher than the lowest are profiled too, as are others that
        are met behind the ends of the given optimum's profile.
    source : Source, optional
        What workers make the problem of; by default they are sent the problem itself.
    executor : concurrent.futures.Executor, optional
        Whose workers follow the profiles, one of each parameter and optimum at a time; this
        process by default. The numbers are the same where the optima were evaluated from a cold
        start, as `Problem.evaluate_optimum` does.
    checkpoint : path, optional
        File of the profiles that are done; continued where it exists.
    progress : bool
        Show a progress bar.

    Returns
    -------
    xarray.Dataset
        Per ``parameter``: ``interval_low`` and ``interval_high`` in its unit (the bound where
        the side is open), ``closed_low`` and ``closed_high``, ``end_low`` and ``end_high``
        (``"closed"``; ``"bound"``, reached below the threshold; ``"blocked"``, where before
        simulations fail or the others cannot be fitted; ``"limit"``, given up), ``reached_low`` and
        ``reached_high``, the furthest values looked at, ``evaluations`` and ``failures``. The
        curve, ascending and filled with NaN: ``at`` and ``deviance`` by ``parameter`` and
        ``point``, and ``values`` of all parameters along it, by ``other`` too. ``pieces`` by
        ``parameter``, ``piece`` and ``side``: the interval's parts, where several optima leave
        gaps. Where a lower sum of squares than the given optimum's was met, ``better`` holds its
        parameters and the attribute ``better_deviance`` is negative.

    Raises
    ------
    InputError
        On an unknown name, a level or variance that cannot be one, or a checkpoint of something
        else.
    ValueError
        When the evaluation failed.
    """
    chosen = _chosen(problem, names)
    variances = _variances(problem, chosen, variance)
    threshold = _threshold(level, freedom)
    if not best.ok:
        raise ValueError("the simulation failed at the optimum that is to be profiled")
    optima = [best, *(other for other in others if other.ok)]
    with tqdm(total=len(chosen), desc="profile", unit="parameter", disable=not progress) as bar:
        held = dict(zip(chosen, variances, strict=True))
        profiles = profiles_of(
            problem,
            held,
            optima,
            threshold,
            lambda index: bar.update(1),
            source=source,
            executor=executor,
            checkpoint=checkpoint,
        )
    return _dataset(problem, profiles, level, threshold, freedom)


def _dataset(
    problem: Problem,
    profiles: Sequence[Profile],
    level: float,
    threshold: float,
    freedom: int | None,
) -> xr.Dataset:
    scaling, names = problem.scaling, [p.name for p in profiles]
    chosen = [scaling.parameters[p.reference.held] for p in profiles]
    data = {
        "optimum": ("parameter", [p.natural(p.reference.start.at) for p in profiles]),
        "unit": ("parameter", [q.unit for q in chosen]),
        "logarithmic": ("parameter", [q.logarithmic for q in chosen]),
        "linear_unit": (
            "parameter",
            [1.0 if q.logarithmic else q.linear_unit for q in chosen],
            {"long_name": "change of the value that is one unit of the scaled parameter"},
        ),
        "scaled_standard_error": (
            "parameter",
            [1.0 / p.reference.start.slope for p in profiles],
            {"long_name": "of the linearised problem, scaled parameter"},
        ),
        "variance": ("parameter", [p.reference.variance for p in profiles]),
        "evaluations": ("parameter", [sum(path.evaluations for path in p.paths) for p in profiles]),
        "failures": ("parameter", [sum(path.failures for path in p.paths) for p in profiles]),
        **_sides(profiles),
        "pieces": (("parameter", "piece", "side"), _pieces(profiles)),
        **_curves(problem, profiles),
    }
    attrs = {
        "level": level,
        "threshold": threshold,
        "degrees_of_freedom": -1 if freedom is None else freedom,
    }
    found = xr.Dataset(data, coords={"parameter": names, "other": list(scaling.names)}, attrs=attrs)
    return _with_better(found, problem, profiles)


def _sides(profiles: Sequence[Profile]) -> dict[str, tuple[str, list]]:
    data: dict[str, tuple[str, list]] = {}
    for side, pick in (("low", min), ("high", max)):
        paths = [getattr(p, side) for p in profiles]
        ends = [p.natural(path.crossing) for p, path in zip(profiles, paths, strict=True)]
        data[f"interval_{side}"] = ("parameter", ends)
        data[f"closed_{side}"] = ("parameter", [path.end == "closed" for path in paths])
        data[f"end_{side}"] = ("parameter", [path.end for path in paths])
        reached = [p.natural(pick(point.at for point in p.points)) for p in profiles]
        data[f"reached_{side}"] = ("parameter", reached)
    return data


def _pieces(profiles: Sequence[Profile]) -> Array:
    """Ends of the intervals' parts in the parameters' units, filled with NaN."""
    found = np.full((len(profiles), max(len(p.pieces) for p in profiles), 2), np.nan)
    for k, p in enumerate(profiles):
        found[k, : len(p.pieces)] = [[p.natural(end) for end in piece] for piece in p.pieces]
    return found


def _curves(problem: Problem, profiles: Sequence[Profile]) -> dict[str, tuple]:
    longest = max(len(p.points) for p in profiles)
    at = np.full((len(profiles), longest), np.nan)
    deviance = at.copy()
    settled = np.zeros(at.shape, dtype=bool)
    values = np.full((*at.shape, problem.size), np.nan)
    for k, p in enumerate(profiles):
        for m, point in enumerate(p.points):
            at[k, m], deviance[k, m] = p.natural(point.at), point.deviance
            values[k, m] = problem.scaling.to_values(point.scaled)
            settled[k, m] = point.settled
    curve = ("parameter", "point")
    return {
        "at": (curve, at, {"long_name": "profiled parameter, in its unit"}),
        "deviance": (curve, deviance, {"units": "-"}),
        "settled": (curve, settled, {"long_name": "the others are at their minimum"}),
        "values": ((*curve, "other"), values, {"long_name": "all parameters, in their units"}),
    }


def _with_better(found: xr.Dataset, problem: Problem, profiles: Sequence[Profile]) -> xr.Dataset:
    """With the best point that was met, where it beats the optimum."""
    lowest = [
        ((best.cost - p.reference.cost) / (0.5 * p.reference.variance), best)
        for p in profiles
        for best in p.met
    ]
    deviance, best = min(lowest, key=lambda pair: pair[0], default=(0.0, None))
    if best is None or deviance > _BETTER:
        return found
    found.attrs["better_deviance"] = float(deviance)
    return found.assign(better=("other", best.values))


def _chosen(problem: Problem, names: Sequence[str] | None) -> list[int]:
    known = problem.scaling.names
    wanted = known if names is None else [names] if isinstance(names, str) else list(names)
    if not wanted:
        raise InputError("Name at least one parameter to profile.")
    for name in wanted:
        if name not in known:
            raise InputError(
                f"{name!r} is not fitted and has no profile." + did_you_mean(str(name), known)
            )
    return [known.index(name) for name in dict.fromkeys(wanted)]


def _variances(
    problem: Problem, chosen: Sequence[int], variance: float | Mapping[str, float]
) -> list[float]:
    found = []
    for index in chosen:
        name = problem.scaling.names[index]
        each = variance.get(name, 1.0) if isinstance(variance, Mapping) else variance
        if not (np.isfinite(each) and each > 0):
            raise InputError(f"The variance of the residuals for {name!r} is {each!r}.")
        found.append(float(each))
    return found


def _threshold(level: float, freedom: int | None) -> float:
    """Quantile of the deviance: chi-square, or F where the variance is an estimate."""
    if not 0.0 < level < 1.0:
        raise InputError(f"The level of a profile's intervals lies between 0 and 1, not {level!r}.")
    if freedom is None:
        return float(scipy.stats.chi2.ppf(level, 1))
    if freedom < 1:
        raise InputError(f"degrees of freedom: {freedom} is not a positive number.")
    return float(scipy.stats.f.ppf(level, 1, freedom))
