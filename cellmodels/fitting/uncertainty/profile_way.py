"""What a worker is asked of a profile, and what it answers: both sides, from one optimum."""

from __future__ import annotations

from dataclasses import dataclass

from cellmodels.fitting.least_squares import minimise
from cellmodels.fitting.problem import Problem
from cellmodels.fitting.uncertainty.profile_path import Path, follow, reference_point
from cellmodels.fitting.uncertainty.workers import Refit, Workshop

__all__ = ["Follow", "Followed", "Way"]

#: Simulations that look for an optimum behind an end.
_EVALUATIONS = 40


@dataclass(frozen=True)
class Way:
    """What a worker must know to follow a profile from an optimum.

    Parameters
    ----------
    held : int
        Index of the parameter.
    scaled : tuple of float
        The optimum.
    variance, threshold : float
    beyond : bool
        Whether to look behind closed ends, and to fit from where the profile falls there.
    """

    held: int
    scaled: tuple[float, ...]
    variance: float
    threshold: float
    beyond: bool


@dataclass(frozen=True, eq=False)
class Followed:
    """Both sides, and optima of fits from behind their ends."""

    low: Path
    high: Path
    behind: tuple[Refit, ...]


@dataclass(frozen=True)
class Follow:
    """The task: each of some ways."""

    ways: tuple[Way, ...]

    def __call__(self, shop: Workshop, number: int) -> Followed:
        """The way of a number."""
        way = self.ways[number]
        reference = reference_point(
            shop.problem, way.held, shop.evaluation(way.scaled), way.variance, way.threshold
        )
        low, high = (follow(reference, side, beyond=way.beyond) for side in (-1, 1))
        ends = [_behind(shop.problem, path) for path in (low, high)]
        return Followed(low, high, tuple(end for end in ends if end is not None))


def _behind(problem: Problem, path: Path) -> Refit | None:
    """The optimum behind the end of a path, if the profile falls there."""
    if path.behind is None:
        return None
    ended = minimise(
        problem, start=path.behind.scaled, max_evaluations=_EVALUATIONS, progress=False
    )
    path.evaluations += len(ended.trials)
    return Refit.of(ended) if ended.converged else None
