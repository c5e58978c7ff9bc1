"""The profile of one parameter, where one optimum explains the data or several do.

Of several minima of a sum of squares that are about equally low each explains the data, and an
interval holds the values that any of them admits: the profile is the lowest of the deviances,
each measured from the lowest minimum, and the interval may have gaps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cellmodels.fitting.problem import Evaluation, Problem
from cellmodels.fitting.uncertainty.profile_path import (
    Path,
    ProfilePoint,
    Reference,
    follow,
    reference_point,
)

__all__ = ["Branch", "Profile", "profile_of"]

#: A part of the threshold; an optimum that is higher by all but this has no interval to speak of.
_LEAST = 0.02


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
    def lowest(self) -> float:
        """Least cost of all optima."""
        return min(branch.reference.cost for branch in self.branches)

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


def profile_of(
    problem: Problem,
    held: int,
    optima: Sequence[Evaluation],
    variance: float,
    threshold: float,
) -> Profile:
    """Profile one parameter from one or several optima.

    Parameters
    ----------
    problem : Problem
    held : int
        Index of the parameter.
    optima : sequence of Evaluation
        The given one first.
    variance : float
        Of the normalised residuals.
    threshold : float
        Of the deviance.
    """
    references = [reference_point(problem, held, each, variance, threshold) for each in optima]
    lowest = min(reference.cost for reference in references)
    branches = []
    for k, reference in enumerate(references):
        above = (reference.cost - lowest) / (0.5 * variance)
        if k and above > (1.0 - _LEAST) * threshold:
            continue
        left = replace(reference, threshold=max(threshold - above, _LEAST * threshold))
        branches.append(Branch(left, above, follow(left, -1), follow(left, 1)))
    return Profile(tuple(branches))


def _lowest(point: ProfilePoint, other: Sequence[ProfilePoint]) -> bool:
    """Whether a point is below another branch, where that goes."""
    at = [each.at for each in other]
    if not at[0] <= point.at <= at[-1]:
        return True
    return bool(point.deviance <= np.interp(point.at, at, [each.deviance for each in other]))
