"""The profile of one parameter, where one optimum explains the data or several do.

Of several minima of a sum of squares that are about equally low each explains the data, and an
interval holds the values that any of them admits: the profile is the lowest of the deviances,
each measured from the lowest minimum, and the interval may have gaps. Optima are those of a fit
from many starts, and those that are met where a profile is followed on behind its ends.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from cellmodels.fitting.least_squares import minimise
from cellmodels.fitting.problem import Evaluation, Problem
from cellmodels.fitting.uncertainty.profile_path import (
    Path,
    ProfilePoint,
    Reference,
    follow,
    reference_point,
)

__all__ = ["Branch", "Profile", "profiles_of"]

#: A part of the threshold; an optimum that is higher by all but this has no interval to speak of.
_LEAST = 0.02
#: Optima that are profiled, and simulations that look for each.
_MOST, _EVALUATIONS = 6, 40


@dataclass(frozen=True, eq=False)
class Branch:
    """Both sides of a profile, from one optimum.

    Parameters
    ----------
    reference : Reference
        Its threshold is lowered by `above`.
    above : float
        Deviance of this optimum from the lowest one.
    low, high : Path
    """

    reference: Reference
    above: float
    low: Path
    high: Path

    @property
    def points(self) -> list[ProfilePoint]:
        """Ascending, with deviances from the lowest optimum; without the ends' crossings."""
        found = [*self.low.points, self.reference.start, *self.high.points]
        found = [replace(point, deviance=point.deviance + self.above) for point in found]
        return sorted(found, key=lambda point: point.at)


@dataclass(frozen=True, eq=False)
class Profile:
    """The profile of one parameter.

    Parameters
    ----------
    branches : tuple of Branch
        That of the given optimum first.
    """

    branches: tuple[Branch, ...]

    @property
    def reference(self) -> Reference:
        """The given optimum."""
        return self.branches[0].reference

    @property
    def name(self) -> str:
        """The parameter's."""
        return self.reference.problem.scaling.names[self.reference.held]

    @property
    def met(self) -> list[Evaluation]:
        """The other optima, and the lowest point of every path."""
        lowest = [path.best for path in self.paths if path.best is not None]
        return [*(branch.reference.best for branch in self.branches[1:]), *lowest]

    @property
    def low(self) -> Path:
        """The path that goes furthest down."""
        return min((b.low for b in self.branches), key=lambda path: path.crossing)

    @property
    def high(self) -> Path:
        """The path that goes furthest up."""
        return max((b.high for b in self.branches), key=lambda path: path.crossing)

    @property
    def paths(self) -> list[Path]:
        """All of them."""
        return [path for b in self.branches for path in (b.low, b.high)]

    @property
    def points(self) -> list[ProfilePoint]:
        """The lowest of the branches, ascending."""
        found = []
        for branch in self.branches:
            others = [other.points for other in self.branches if other is not branch]
            found += [p for p in branch.points if all(_lowest(p, other) for other in others)]
        return sorted(found, key=lambda point: point.at)

    @property
    def pieces(self) -> list[tuple[float, float]]:
        """The interval in the scaled parameter, as pieces between gaps."""
        found: list[tuple[float, float]] = []
        for low, high in sorted((b.low.crossing, b.high.crossing) for b in self.branches):
            if found and low <= found[-1][1]:
                found[-1] = (found[-1][0], max(found[-1][1], high))
            else:
                found.append((low, high))
        return found

    def natural(self, at: float) -> float:
        """The profiled parameter in its unit."""
        scaled = self.reference.start.scaled.copy()
        scaled[self.reference.held] = at
        return float(self.reference.problem.scaling.to_values(scaled)[self.reference.held])


def profiles_of(
    problem: Problem,
    variances: Mapping[int, float],
    optima: Sequence[Evaluation],
    threshold: float,
    done: Callable[[int], object] = lambda index: None,
) -> list[Profile]:
    """Profile parameters from one or several optima, and from those behind the ends' ridges.

    Parameters
    ----------
    problem : Problem
    variances : mapping of int to float
        Indices of the parameters, and the variance of the normalised residuals for each.
    optima : sequence of Evaluation
        The given one first.
    threshold : float
        Of the deviance.
    done : callable
        Called with the index of a parameter when it has been profiled from the given optimum.
    """
    known = list(optima)
    found: dict[int, list[Branch]] = {index: [] for index in variances}
    for k in range(_MOST):
        if k == len(known):
            break
        for index, variance in variances.items():
            branch = _branch(problem, index, known, k, variance, threshold)
            if branch is not None:
                found[index].append(branch)
            if branch is not None and k == 0:
                known += _behind(problem, branch, known)
                done(index)
    return [
        Profile(tuple(_lowered(problem, found[index], known, variance, threshold)))
        for index, variance in variances.items()
    ]


def _branch(
    problem: Problem,
    held: int,
    known: Sequence[Evaluation],
    k: int,
    variance: float,
    threshold: float,
) -> Branch | None:
    """From one of the optima; None where it is higher than the threshold above the lowest."""
    references = [reference_point(problem, held, each, variance, threshold) for each in known]
    lowest = min(reference.cost for reference in references)
    above = (references[k].cost - lowest) / (0.5 * variance)
    if k and above > (1.0 - _LEAST) * threshold:
        return None
    return _followed(references[k], above, threshold, beyond=k == 0)


def _followed(reference: Reference, above: float, threshold: float, *, beyond: bool) -> Branch:
    left = replace(reference, threshold=max(threshold - above, _LEAST * threshold))
    low, high = (follow(left, side, beyond=beyond) for side in (-1, 1))
    return Branch(left, above, low, high)


def _behind(problem: Problem, branch: Branch, known: Sequence[Evaluation]) -> list[Evaluation]:
    """Optima behind the ends of a branch that are not known yet."""
    found: list[Evaluation] = []
    for path in (branch.low, branch.high):
        if path.behind is None:
            continue
        ended = minimise(
            problem, start=path.behind.scaled, max_evaluations=_EVALUATIONS, progress=False
        )
        path.evaluations += len(ended.trials)
        same = any(_distance(ended.best, other) < 1.0 for other in (*known, *found))
        if ended.converged and not same:
            found.append(ended.best)
    return found


def _distance(a: Evaluation, b: Evaluation) -> float:
    """In standard errors of the linearised problem."""
    return float(np.linalg.norm(a.slopes @ (b.scaled - a.scaled)))


def _lowered(
    problem: Problem,
    branches: Sequence[Branch],
    known: Sequence[Evaluation],
    variance: float,
    threshold: float,
) -> list[Branch]:
    """The branches from the lowest optimum, followed anew where that is lower than was known."""
    held = branches[0].reference.held
    lowest = min(reference_point(problem, held, each, variance, threshold).cost for each in known)
    found = []
    for k, branch in enumerate(branches):
        above = (branch.reference.cost - lowest) / (0.5 * variance)
        if above - branch.above <= _LEAST * threshold:
            found.append(branch)
        elif k == 0 or above <= (1.0 - _LEAST) * threshold:
            found.append(_followed(branch.reference, above, threshold, beyond=False))
    return found


def _lowest(point: ProfilePoint, other: Sequence[ProfilePoint]) -> bool:
    """Whether a point is below another branch, where that goes."""
    at = [each.at for each in other]
    if not at[0] <= point.at <= at[-1]:
        return True
    return bool(point.deviance <= np.interp(point.at, at, [each.deviance for each in other]))
