"""The profile of one parameter, where one optimum explains the data or several do.

Of several minima of a sum of squares that are about equally low each explains the data, and an
interval holds the values that any of them admits: the profile is the lowest of the deviances,
each measured from the lowest minimum, and the interval may have gaps. Optima are those of a fit
from many starts, and those that are met where a profile is followed on behind its ends.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace

import numpy as np

from cellmodels.fitting.problem import Evaluation, Problem
from cellmodels.fitting.uncertainty.profile_file import ProfileFile
from cellmodels.fitting.uncertainty.profile_path import (
    Met,
    Path,
    ProfilePoint,
    Reference,
    reference_point,
)
from cellmodels.fitting.uncertainty.profile_way import Follow, Followed, Way
from cellmodels.fitting.uncertainty.workers import Given, Refit, Source, as_done

__all__ = ["Branch", "Profile", "profiles_of"]

#: A part of the threshold; an optimum that is higher by all but this has no interval to speak of.
_LEAST = 0.02
#: Optima that are profiled.
_MOST = 6


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
    def met(self) -> list[Met]:
        """The other optima, and the lowest point of every path."""
        lowest = [path.best for path in self.paths if path.best is not None]
        others = (branch.reference.best for branch in self.branches[1:])
        return [*(Met(other.values, other.cost) for other in others), *lowest]

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
    *,
    source: Source | None = None,
    executor: Executor | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
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
    source : Source, optional
        What workers make the problem of; by default they are sent the problem itself.
    executor : concurrent.futures.Executor, optional
        Whose workers follow the profiles, each of one parameter from one optimum; this process
        by default.
    checkpoint : path, optional
        File of what was followed; continued where it exists.
    """
    source = source or Given(problem)
    file = ProfileFile(checkpoint, source.mark if checkpoint is not None else "")
    survey = _Survey(problem, variances, threshold, source, executor, file)
    known = list(optima)
    first = {(index, 0): survey.reference(index, known, 0) for index in variances}
    branches, behind = survey.follow(first, beyond=True, done=done)
    known = survey.with_new(known, behind)
    later = {
        (index, k): survey.reference(index, known, k)
        for k in range(1, min(len(known), _MOST))
        for index in variances
    }
    branches |= survey.follow(later, beyond=False)[0]
    # from the lowest optimum, anew where that is lower than was known
    now = {(index, k): survey.reference(index, known, k) for index, k in branches}
    nearer = {
        key: lying
        for key, lying in now.items()
        if lying.above - branches[key].above > _LEAST * threshold
    }
    branches = {key: branch for key, branch in branches.items() if key not in nearer}
    branches |= survey.follow(nearer, beyond=False)[0]
    return [
        Profile(tuple(branches[key] for key in sorted(branches) if key[0] == index))
        for index in variances
    ]


@dataclass(frozen=True, eq=False)
class _Lying:
    """An optimum of a parameter's profile, and its deviance from the lowest one."""

    reference: Reference
    above: float


@dataclass(frozen=True, eq=False)
class _Survey:
    """What all branches have in common. Branches go by a parameter's index and an optimum's."""

    problem: Problem
    variances: Mapping[int, float]
    threshold: float
    source: Source
    executor: Executor | None
    file: ProfileFile

    def reference(self, index: int, known: Sequence[Evaluation], k: int) -> _Lying:
        """One of the optima for one parameter."""
        variance = self.variances[index]
        references = [
            reference_point(self.problem, index, each, variance, self.threshold) for each in known
        ]
        lowest = min(reference.cost for reference in references)
        return _Lying(references[k], (references[k].cost - lowest) / (0.5 * variance))

    def follow(
        self,
        wanted: Mapping[tuple[int, int], _Lying],
        *,
        beyond: bool,
        done: Callable[[int], object] = lambda index: None,
    ) -> tuple[dict[tuple[int, int], Branch], list[Refit]]:
        """Branches from optima that are low enough, and where fits behind their ends ended."""
        keys = [key for key, lying in wanted.items() if key[1] == 0 or self._matters(lying)]
        ways = tuple(self._way(key[0], wanted[key], beyond) for key in keys)
        found: dict[int, Followed] = {}
        for number, way in enumerate(ways):
            before = self.file.get(way)
            if before is not None:
                found[number] = before
                done(keys[number][0])
        todo = [number for number in range(len(ways)) if number not in found]
        known = [wanted[keys[number]].reference.best for number in todo]
        for number, followed in as_done(Follow(ways), todo, self.source, self.executor, known):
            self.file.add(ways[number], followed)
            found[number] = followed
            done(keys[number][0])
        branches = {}
        for number, key in enumerate(keys):
            lying, way = wanted[key], ways[number]
            reference = replace(lying.reference, threshold=way.threshold)
            branches[key] = Branch(reference, lying.above, found[number].low, found[number].high)
        return branches, [end for number in range(len(ways)) for end in found[number].behind]

    def with_new(self, known: Sequence[Evaluation], ends: Sequence[Refit]) -> list[Evaluation]:
        """The optima with those of the ends that are others."""
        found = list(known)
        for end in ends:
            if all(_distance(end, other) >= 1.0 for other in found):
                new = self.problem.evaluate(np.array(end.scaled))
                found += [new] if new.ok else []
        return found

    def _matters(self, lying: _Lying) -> bool:
        return lying.above <= (1.0 - _LEAST) * self.threshold

    def _way(self, index: int, lying: _Lying, beyond: bool) -> Way:
        scaled = tuple(map(float, lying.reference.best.scaled))
        left = max(self.threshold - lying.above, _LEAST * self.threshold)
        return Way(index, scaled, self.variances[index], float(left), beyond)


def _distance(end: Refit, other: Evaluation) -> float:
    """In standard errors of the problem linearised at the end."""
    step = other.scaled - np.array(end.scaled)
    information = np.array(end.information).reshape(step.size, step.size)
    return float(np.sqrt(max(step @ information @ step, 0.0)))


def _lowest(point: ProfilePoint, other: Sequence[ProfilePoint]) -> bool:
    """Whether a point is below another branch, where that goes."""
    at = [each.at for each in other]
    if not at[0] <= point.at <= at[-1]:
        return True
    return bool(point.deviance <= np.interp(point.at, at, [each.deviance for each in other]))
