"""One side of a profile: from the optimum to where the deviance crosses its threshold.

The parameter is moved outwards and the others follow. Where they go is predicted from the
linearised problem and the curvature of the path so far; an evaluation there gives residuals
and exact derivatives, whose linearised minimum is the profile's value and slope if it promises
little, and the next trial if it promises much. The crossing is searched on the signed root of
the deviance, which is nearly linear in the parameter (exactly so for a linear model).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from cellmodels.fitting.problem import Evaluation, Problem
from cellmodels.fitting.uncertainty.linearised import Linearised

__all__ = ["ACCURACY", "Met", "Path", "ProfilePoint", "Reference", "follow", "reference_point"]

Array = NDArray[np.float64]

#: A root of the deviance this near the threshold's is corrected by its slope and taken; what is
#: left is of second order.
ACCURACY = 0.03
#: The others are where they belong when the linearised problem promises less than this fraction
#: of the threshold, or of the deviance where that is larger; what it promises is counted in.
_SETTLED = 0.02
_CORRECTIONS = 6
#: An optimum promises less than this, in units of the residual variance.
_CONVERGED = 0.05
#: Largest change of another scaled parameter in one correction.
_RADIUS = 1.5
#: Steps of the root of the deviance, and parts of the way to the bound, at most.
_ROOT_STEP = 1.1
_PARTS = 4
#: Without a bound, so many standard errors are followed, or units if these are not known.
_ERRORS, _UNITS = 40.0, 20.0
_STOPS = 5
_MOST = 40
#: A point is on another branch when it lies off the path by more than this part of the way to it.
_ASTRAY = 0.5
_NARROW = 0.01
#: Behind a closed end the profile is followed on, by steps as long as the way to that end, until
#: its root is so many times the target: a ridge that is lower has another valley behind it.
_RIDGE, _BEYOND = 2.5, 4


@dataclass(frozen=True, eq=False)
class ProfilePoint:
    """A point of the profile.

    Parameters
    ----------
    at : float
        The profiled parameter, scaled.
    scaled : ndarray, shape (p,)
        All of them.
    deviance : float
        Twice the rise of the cost over the variance.
    slope : float
        Derivative of the root of the deviance by the parameter.
    tangent : ndarray, shape (p,)
        Derivative of all parameters by it.
    settled : bool
        Whether the others are at their minimum; if not, the deviance is too large.
    """

    at: float
    scaled: Array
    deviance: float
    slope: float
    tangent: Array
    settled: bool = True

    @property
    def root(self) -> float:
        """Root of the deviance; negative where a lower cost than the optimum's was found."""
        return float(np.sign(self.deviance) * np.sqrt(abs(self.deviance)))


@dataclass(frozen=True, eq=False)
class Reference:
    """The optimum from which a parameter is profiled.

    Parameters
    ----------
    problem : Problem
    held : int
        Index of the parameter.
    best : Evaluation
    cost : float
        Least cost, what the linearised problem still promises counted in.
    variance : float
    threshold : float
        Of the deviance.
    start : ProfilePoint
        The optimum, its slope that for growing values of the parameter.
    """

    problem: Problem
    held: int
    best: Evaluation
    cost: float
    variance: float
    threshold: float
    start: ProfilePoint


@dataclass(frozen=True, eq=False)
class Met:
    """A point that was met, without what only this process can hold.

    Parameters
    ----------
    values : ndarray, shape (p,)
        In natural units.
    cost : float
    """

    values: Array
    cost: float


@dataclass(eq=False)
class Path:
    """One side of a profile.

    Attributes
    ----------
    points : list of ProfilePoint
        From the optimum outwards, without it; in the order of evaluation.
    end : str
        ``"closed"``; ``"bound"``: the threshold is not crossed before the parameter's bound;
        ``"blocked"``: before, simulations fail or the others cannot be fitted; ``"limit"``: given
        up after many evaluations, or far out where there is no bound.
    crossing : float
        Scaled parameter at the threshold; the bound where the side is not closed.
    evaluations, failures : int
    best : Met, optional
        Of the lowest cost on the way.
    behind : ProfilePoint, optional
        Where, behind a closed end, the profile falls again: another optimum is near.
    """

    points: list[ProfilePoint] = field(default_factory=list)
    end: str = "limit"
    crossing: float = np.nan
    evaluations: int = 0
    failures: int = 0
    best: Met | None = None
    behind: ProfilePoint | None = None


def reference_point(
    problem: Problem, held: int, best: Evaluation, variance: float, threshold: float
) -> Reference:
    """The optimum of the linearised problem, with the profile's slope there.

    Where that promises much, the fit has not converged, and the evaluation itself is taken.
    """
    linear = Linearised(best, problem.scaling, variance)
    found = linear.minimum(None)
    if best.cost - found.cost > _CONVERGED * variance:
        found = replace(found, scaled=best.scaled, cost=best.cost)
    at = float(found.scaled[held])
    error = _scaled_error(best.slopes, held) * np.sqrt(variance)
    tangent = linear.tangent(held, at)
    start = ProfilePoint(at, found.scaled, 0.0, 1.0 / error, tangent)
    return Reference(problem, held, best, found.cost, variance, threshold, start)


def follow(reference: Reference, side: int, *, beyond: bool = True) -> Path:
    """Follow the profile downwards (`side` -1) or upwards (1), and beyond a closed end."""
    follower = _Follower(reference, side)
    path = follower.run()
    if beyond and path.end == "closed":
        path.behind = follower.look_beyond()
    return path


class _Follower:
    """The state of one side while it is followed."""

    def __init__(self, reference: Reference, side: int) -> None:
        self.reference, self.side = reference, side
        self.path = Path()
        self.target = float(np.sqrt(reference.threshold))
        lower, upper = reference.problem.scaling.bounds
        start = replace(reference.start, slope=side * reference.start.slope)
        self.bound = float((upper if side > 0 else lower)[reference.held])
        self.inner = start
        self.outer: ProfilePoint | None = None
        self.before: ProfilePoint | None = None  # the one inside of `inner`
        self.near = reference.best
        reach = _ERRORS / abs(start.slope) if abs(start.slope) > 1 / _UNITS else _UNITS
        self.far = start.at + side * reach
        if np.isfinite(self.bound):
            self.far = self.bound
        self.step = abs(self.far - start.at) / _PARTS
        self.wall = np.inf * side  # where a simulation failed, or the others did not settle
        self.stops = 0

    def run(self) -> Path:
        if abs(self.far - self.inner.at) <= 1e-9:
            return self._ended("bound", self.bound)
        while self.path.evaluations < _MOST:
            at = self._next()
            point = self._settle(at, self._predicted(at))
            if point is not None:
                self.path.points.append(point)
            # a deviance that is only an upper bound must not end the search
            lost = point is None or (not point.settled and point.root > self.target)
            if self._stopped(at) if lost or point is None else self._placed(point):
                return self.path
        return self._ended("limit", self.bound)

    def look_beyond(self) -> ProfilePoint | None:
        """Follow the profile behind its end: where it falls again, if it does."""
        start = self.reference.start
        known = [start, *(point for point in self.path.points if point.settled)]
        *_, self.before, self.inner = sorted([start, *known], key=lambda p: self.side * p.at)
        self.outer = None
        width = self.side * abs(self.path.crossing - start.at)
        for _ in range(_BEYOND):
            at = self.inner.at + width
            outside = self.side * (self.bound - at) <= 0.0
            if self.inner.root > _RIDGE * self.target or outside:
                return None
            point = self._settle(at, self._predicted(at))
            if point is None or not point.settled:
                return None
            self.path.points.append(point)
            if self.side * point.slope < 0.0:
                return point
            self.before, self.inner = self.inner, point
        return None

    # Where to look ------------------------------------------------------------------------

    def _next(self) -> float:
        """The next value of the parameter."""
        inner, outer = self.inner, self.outer
        halfway = 0.5 * abs(self.wall - inner.at)
        rising = self.side * inner.slope
        if outer is not None and self._joined(outer):
            at = _crossing(inner, outer, self.target)
            return inner.at + self.side * min(abs(at - inner.at), halfway)
        if outer is not None:
            halfway = min(halfway, 0.5 * abs(outer.at - inner.at))
            step = (self.target - inner.root) / rising if rising > 0.0 else np.inf
            return inner.at + self.side * min(step, halfway)
        wanted = min(self.target, max(inner.root, 0.0) + _ROOT_STEP)
        step = min(self.step, halfway)
        if rising > 0.0:
            step = min(step, (wanted - inner.root) / rising)
        ahead = inner.at + self.side * step
        # nearly there is there: no point is spent just in front of the end
        close = abs(self.far - ahead) < 0.1 * abs(self.far - self.reference.start.at)
        beyond = self.side * (ahead - self.far) >= 0.0
        return self.far if beyond or (close and step == self.step) else ahead

    def _predicted(self, at: float) -> Array:
        """All parameters on the path at a value of one, shape (p,)."""
        if self.outer is not None and self._joined(self.outer):
            guess = _hermite(self.inner, self.outer, at)
        else:
            guess = _extrapolated(self.inner, self.before, at)
        lower, upper = self.reference.problem.scaling.bounds
        guess = np.clip(guess, lower, upper)
        guess[self.reference.held] = at
        return guess

    def _joined(self, outer: ProfilePoint) -> bool:
        """Whether the path so far leads to a point beyond, and not to another valley."""
        if self.side * outer.slope <= 0.0:
            return False
        ahead = _extrapolated(self.inner, self.before, outer.at)
        way = float(np.max(np.abs(outer.scaled - self.inner.scaled)))
        return float(np.max(np.abs(outer.scaled - ahead))) < _ASTRAY * way

    # What is found ------------------------------------------------------------------------

    def _evaluate(self, scaled: Array) -> Evaluation:
        found = self.reference.problem.evaluate(scaled, self.near)
        self.path.evaluations += 1
        self.path.failures += not found.ok
        if found.ok and (self.path.best is None or found.cost < self.path.best.cost):
            self.path.best = Met(found.values, found.cost)
        return found

    def _settle(self, at: float, scaled: Array) -> ProfilePoint | None:
        """The profile at a value; None where the simulation fails."""
        reference = self.reference
        here = self._evaluate(scaled)
        if not here.ok:
            return None
        self.near = here
        unit: float = 0.5 * reference.variance
        radius = _RADIUS
        past: list[Evaluation] = []
        for correction in range(_CORRECTIONS + 1):
            linear = Linearised(here, reference.problem.scaling, reference.variance)
            found = linear.minimum(reference.held, at)
            # far above the threshold only the way back is of interest
            level = max(reference.threshold * unit, here.cost - reference.cost)
            settled = here.cost - found.cost <= _SETTLED * level
            if settled or correction == _CORRECTIONS:
                break
            trial = self._evaluate(linear.bent_minimum(reference.held, past, radius))
            size = float(np.max(np.abs(trial.scaled - here.scaled)))
            if trial.ok and trial.cost < here.cost:
                past.append(here)
                self.near, here, radius = trial, trial, 2.0 * radius
            else:
                if trial.ok:
                    past.append(trial)
                radius = 0.35 * size
        if not settled:
            found = replace(found, cost=here.cost, scaled=here.scaled)
        deviance = (found.cost - reference.cost) / unit
        root = np.sqrt(max(abs(deviance), 1e-12))
        slope = float(found.slope / unit / (2.0 * root))
        tangent = linear.tangent(reference.held, at)
        return ProfilePoint(at, found.scaled, float(deviance), slope, tangent, settled)

    def _placed(self, point: ProfilePoint) -> bool:
        """Take a point into the search; whether the search is over."""
        near = abs(point.root / self.target - 1.0) <= ACCURACY
        if near and point.settled and self.side * point.slope > 0.0:
            ahead = point.at + (self.target - point.root) / point.slope
            inside = self.side * (self.bound - ahead) >= 0.0
            self._ended("closed", ahead if inside else point.at)
            return True
        if point.root > self.target:
            self.outer = point
        else:
            if self.outer is None:
                self.step *= 2.0
            self.before, self.inner = self.inner, point
            if point.at == self.far:
                self._ended("bound" if np.isfinite(self.bound) else "limit", self.bound)
                return True
        if self.outer is not None:
            width = abs(self.outer.at - self.inner.at)
            if width < _NARROW * abs(self.outer.at - self.reference.start.at):
                self._ended("closed", self.outer.at)  # the profile jumps
                return True
        return False

    def _stopped(self, at: float) -> bool:
        """Step back from a failed simulation; whether there is no way on."""
        self.wall = at
        self.stops += 1
        walls = abs(at - self.inner.at) < _NARROW * max(abs(at - self.reference.start.at), 1e-9)
        if self.stops <= _STOPS and not walls:
            return False
        if self.outer is not None:
            self._ended("closed", self.outer.at)
        else:
            self._ended("blocked", self.bound)
        return True

    def _ended(self, end: str, crossing: float) -> Path:
        self.path.end, self.path.crossing = end, crossing
        return self.path


def _scaled_error(slopes: Array, held: int) -> float:
    """Standard error of a scaled parameter for unit variance; huge where nothing is known."""
    others = np.delete(slopes, held, axis=1)
    mine = slopes[:, held]
    if others.shape[1]:
        mine = mine - others @ np.linalg.lstsq(others, mine, rcond=None)[0]
    return 1.0 / max(float(np.linalg.norm(mine)), 1e-9)


def _crossing(inner: ProfilePoint, outer: ProfilePoint, target: float) -> float:
    """Where the cubic through two points and slopes meets the target, safely between them."""
    width = outer.at - inner.at
    u = np.linspace(0.0, 1.0, 201)
    h00, h10 = (1 + 2 * u) * (1 - u) ** 2, u * (1 - u) ** 2
    h01, h11 = u**2 * (3 - 2 * u), u**2 * (u - 1)
    cubic = (
        h00 * inner.root + h10 * width * inner.slope + h01 * outer.root + h11 * width * outer.slope
    )
    first = int(np.argmax(cubic >= target))
    part = float(u[first])
    if first > 0:
        part = float(np.interp(target, cubic[first - 1 : first + 1], u[first - 1 : first + 1]))
    return float(inner.at + np.clip(part, 0.1, 0.9) * width)


def _hermite(inner: ProfilePoint, outer: ProfilePoint, at: float) -> Array:
    """All parameters between two points, by the cubic through both with their tangents, (p,)."""
    width = outer.at - inner.at
    u = (at - inner.at) / width
    secant = (outer.scaled - inner.scaled) - width * inner.tangent
    turn = width * (outer.tangent - inner.tangent)
    cubic = u**2 * (3.0 - 2.0 * u) * secant + u**2 * (u - 1.0) * turn
    return np.asarray(inner.scaled + (at - inner.at) * inner.tangent + cubic)


def _extrapolated(inner: ProfilePoint, before: ProfilePoint | None, at: float) -> Array:
    """All parameters beyond a point, by its tangent and the bend since the one before, (p,)."""
    step = at - inner.at
    ahead = inner.scaled + step * inner.tangent
    if before is None:
        return np.asarray(ahead)
    back = before.at - inner.at
    bend = before.scaled - inner.scaled - back * inner.tangent
    return np.asarray(ahead + (step / back) ** 2 * bend)
