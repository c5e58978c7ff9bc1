"""Integration over cycle number: a stretch of a life from a few simulated cycles.

With P(n) the life state before cycle n + 1, one cycle is the difference equation
P(n + 1) = Phi(P(n)). On an element [a, b] of cycle numbers P is a polynomial in
s = sqrt(n - o), where o is the stretch's start, through P(a) and its values at the Radau
points n_i of the element in s, which satisfy

    P(n_i + 1) = Phi(P(n_i)),      i = 1 .. 5,

an implicit multirevolution (envelope-following) method: the difference equation itself
is collocated, not its differential limit, so that the number of cycles need not be
large. The square root makes growth limited by diffusion, and the fast changes after the
start, polynomial. Newton's method takes the Jacobian of Phi on the few directions that a
cycle does not forget (`slow`); it converges to the solution of the equations above
whatever the Jacobian leaves out, and so do the derivatives with respect to parameters.

Sources: O. F. Graff and D. G. Bettis, Celest. Mech. 11 (1975) 443,
doi:10.1007/BF01650284; L. R. Petzold, SIAM J. Numer. Anal. 18 (1981) 455,
doi:10.1137/0718030; M. Calvo, L. O. Jay, J. I. Montijano, L. Randez, Numer. Math. 97
(2004) 635, doi:10.1007/s00211-004-0518-9.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cellmodels.solver import radau
from cellmodels.solver.cycle_map import CycleMap, CyclePoint
from cellmodels.solver.outcome import Reason, SolveFailure
from cellmodels.solver.secants import Secants
from cellmodels.solver.slow import SlowSpace, needed_tolerance, slow_space


def _radau_points(count: int) -> np.ndarray:
    """Right Radau points on the unit interval, the last of which is 1; shape (count,)."""
    legendre = np.polynomial.Legendre.basis
    roots = (legendre(count - 1) - legendre(count)).roots()
    return np.sort(0.5 * (1.0 + roots.real))


#: Nodes of an element. A life is smooth, so that a few long elements of high order need
#: fewer simulated cycles than many short ones.
STAGES = 5
ABSCISSAE = _radau_points(STAGES)

#: Where, between the second and the third node, an element is checked by a simulated cycle.
CHECK_AT = float(0.5 * (ABSCISSAE[1] + ABSCISSAE[2]))

#: Up to so many slow directions the Jacobian is evaluated at every node, else at a few, from which
#: the others follow: at three in elements longer than this [cycles], which multiply its errors.
_FEW, _LONG = 80, 2000
_TWO, _THREE = (2, STAGES - 1), (0, 2, STAGES - 1)
#: A correction larger than this changes the Jacobian so much that it is evaluated anew.
_FAR = 0.05
#: Largest error of the node states' derivatives that the iteration leaves, relative.
_DIRECTIONS = 1e-6
#: Error of the node states in the first iteration, whose guess is hardly better.
_FIRST = 1e-4
#: Loosest tolerance with which a cycle is simulated.
_LOOSEST = 1e-6


@dataclass(frozen=True)
class MacroOptions:
    """Settings of the macro integration.

    Attributes
    ----------
    tolerance : float
        Accepted error of the discharged charge of a cycle [A.h].
    newton : float
        Largest scaled error of the node states that the iteration leaves. Cycles are simulated
        as accurately as that requires (`cycle_tolerance`).
    max_iterations : int
        Iterations of an element.
    contraction : float
        A Jacobian with which the corrections shrink by less than this is evaluated anew.
    smallest : int
        Shortest element [cycles]; below, cycles are simulated one by one.
    """

    tolerance: float = 1e-4
    newton: float = 2e-6
    max_iterations: int = 12
    contraction: float = 0.2
    smallest: int = 16


@dataclass(frozen=True)
class Jacobian:
    """The Jacobian of a cycle at each node, on the slow directions.

    Attributes
    ----------
    space : SlowSpace
    remainders : numpy.ndarray
        C at every node, shape (5, ny, r).
    features : numpy.ndarray
        Derivatives of the features along the slow directions, shape (5, n_features, r).
    evaluated : tuple of int
        The nodes at which it was evaluated.
    """

    space: SlowSpace
    remainders: np.ndarray
    features: np.ndarray
    evaluated: tuple[int, ...]

    def end(self, node: int, change: np.ndarray) -> np.ndarray:
        """Change of a cycle's end, (ny, k), with that of its start, (ny, k)."""
        kept = self.space.persists[:, None] * change
        return kept + self.remainders[node] @ (self.space.coordinates.T @ change)

    def feature(self, node: int, change: np.ndarray) -> np.ndarray:
        """Change of a cycle's features, (n_features, k), with that of its start, (ny, k)."""
        return self.features[node] @ (self.space.coordinates.T @ change)


@dataclass(frozen=True)
class Element:
    """A solved stretch [a, b] of a life.

    Attributes
    ----------
    nodes : numpy.ndarray
        Cycle numbers a, n_1, …, n_5 = b, shape (6,).
    origin : float
        The cycle number from which s is counted.
    states : numpy.ndarray
        Life states there, shape (6, ny).
    directions : numpy.ndarray
        Their derivatives with respect to theta, shape (6, ny, n_theta).
    features : numpy.ndarray
        Features of the cycle that starts at each node, shape (6, n_features).
    feature_directions : numpy.ndarray
        Their derivatives, shape (6, n_features, n_theta).
    points : tuple of CyclePoint
        The cycles at a, n_1 .. n_5, warm starts for a neighbour; the first five without
        their factorised matrices.
    jacobian : Jacobian
        Of the cycles at n_1 .. n_5.
    iterations : int
        Newton iterations that it took.
    error : float
        Estimated error inside the element [A.h].
    """

    nodes: np.ndarray
    origin: float
    states: np.ndarray
    directions: np.ndarray
    features: np.ndarray
    feature_directions: np.ndarray
    points: tuple[CyclePoint, ...]
    jacobian: Jacobian
    iterations: int = 1
    error: float = 0.0

    @property
    def first(self) -> int:
        """The cycle number a."""
        return round(float(self.nodes[0]))

    @property
    def last(self) -> int:
        """The cycle number b."""
        return round(float(self.nodes[-1]))

    @property
    def width(self) -> float:
        """Length in s."""
        low, high = place(self.nodes[[0, -1]], self.origin)
        return float(high - low)

    def basis(self, cycle: np.ndarray | float) -> np.ndarray:
        """Lagrange basis over the nodes, shape (k, 6)."""
        return _basis(self.nodes, self.origin, cycle)

    def without_chords(self) -> Element:
        """The same without factorised matrices, which take most of its memory."""
        return replace(self, points=tuple(point.without_chords() for point in self.points))


def place(cycle: np.ndarray | float, origin: float) -> np.ndarray:
    """The coordinate s of a cycle number."""
    return np.sqrt(np.maximum(np.asarray(cycle, float) - origin, 0.0))


def element_nodes(start: float, stop: float, origin: float) -> np.ndarray:
    """Cycle numbers a, n_1 … n_5 of an element, shape (6,)."""
    low, high = place(start, origin), place(stop, origin)
    inner = origin + (low + ABSCISSAE[:-1] * (high - low)) ** 2
    return np.concatenate([[start], inner, [stop]])


def _basis(nodes: np.ndarray, origin: float, cycle: np.ndarray | float) -> np.ndarray:
    return radau.lagrange_basis(place(nodes, origin), place(np.atleast_1d(cycle), origin))


@dataclass(frozen=True)
class Guess:
    """Where the iteration for an element starts.

    Attributes
    ----------
    states, directions : numpy.ndarray
        At the nodes n_1 .. n_5, shapes (5, ny) and (5, ny, k).
    points : sequence of CyclePoint
        Neighbouring solutions for the nodes.
    jacobian : Jacobian or None
        A neighbour's.
    space : SlowSpace or None
        A neighbour's.
    """

    states: np.ndarray
    directions: np.ndarray
    points: Sequence[CyclePoint]
    jacobian: Jacobian | None = None
    space: SlowSpace | None = None


class _Matrix:
    """The factorised matrix of the element's equations, shift - dPhi/dy."""

    def __init__(self, shift: np.ndarray, jacobian: Jacobian) -> None:
        space = jacobian.space
        self._slow = space.persists
        self._inverse = np.linalg.inv(shift - np.eye(STAGES)), np.linalg.inv(shift)
        self._remainders, self._coordinates = jacobian.remainders, space.coordinates
        rank = space.rank
        slow, fast = (
            np.einsum("ya,jyb->ajb", space.coordinates[mask], jacobian.remainders[:, mask])
            for mask in (self._slow, ~self._slow)
        )
        # (i a, j b): coordinates a at node i of what C b at node j causes
        caused = np.einsum("ij,ajb->iajb", self._inverse[0], slow)
        caused += np.einsum("ij,ajb->iajb", self._inverse[1], fast)
        size = STAGES * rank
        self._small = np.eye(size) - caused.reshape(size, size)

    def solve(self, rhs: np.ndarray) -> np.ndarray:
        """Solve for right-hand sides of shape (5, ny, k)."""
        first = self._without_remainder(rhs)
        coordinates = np.einsum("ya,iyk->iak", self._coordinates, first)
        flat = coordinates.reshape(len(self._small), -1)
        inner = np.linalg.solve(self._small, flat).reshape(coordinates.shape)
        return first + self._without_remainder(self._remainders @ inner)

    def _without_remainder(self, rhs: np.ndarray) -> np.ndarray:
        out = np.empty_like(rhs)
        for mask, inverse in zip((self._slow, ~self._slow), self._inverse, strict=True):
            out[:, mask] = np.einsum("ij,jyk->iyk", inverse, rhs[:, mask])
        return out


class ElementSolve:
    """The iteration for one element, from the (already evaluated) cycle at its start.

    Parameters
    ----------
    begin : CyclePoint
        The cycle that starts at the element's start, with directions along theta.
    directions : numpy.ndarray
        dP(a)/dtheta, shape (ny, k); k is the number of parameters, or zero.
    nodes : numpy.ndarray
        As `element_nodes` gives them.
    origin : float
        The cycle at which the coordinate s is zero.
    guess : Guess
    """

    def __init__(
        self,
        cycle: CycleMap,
        begin: CyclePoint,
        directions: np.ndarray,
        theta: np.ndarray,
        nodes: np.ndarray,
        origin: float,
        guess: Guess,
        options: MacroOptions,
    ) -> None:
        self.cycle, self.begin, self.theta, self.options = cycle, begin, theta, options
        self.nodes, self.origin = nodes, origin
        shift = _basis(nodes, origin, nodes[1:] + 1.0)
        self.from_start, self.shift = shift[:, 0], shift[:, 1:]
        self.start_directions = directions
        self.states, self.directions = guess.states.copy(), guess.directions.copy()
        self.points, self.jacobian = tuple(guess.points), guess.jacobian
        self._tolerance = needed_tolerance(nodes[-1] - nodes[0])
        known = guess.space
        self.space = known if known and known.tolerance <= self._tolerance else None
        self.matrix = _Matrix(self.shift, guess.jacobian) if guess.jacobian else None
        self.iterations = 0

    def solve(self) -> Element:
        """The solved element.

        Raises
        ------
        SolveFailure
            If a cycle cannot be simulated or the iteration does not converge.
        """
        self._solve_states()
        if self.directions.shape[2]:
            self._solve_directions()
        return self._element()

    def _solve_states(self) -> None:
        """Newton's method for the node states."""
        previous, fresh, error = np.inf, False, _FIRST
        size = 1e-2 + np.abs(self.states).max(axis=0)
        weight = np.tile(1.0 / size**2, STAGES)
        secants = Secants(weight)
        while self.iterations < self.options.max_iterations:
            self.iterations += 1
            if self.matrix is None:
                self._evaluate_with_jacobian(error)
                fresh, previous = True, np.inf
                secants = Secants(weight)
            else:
                self._evaluate(error)
            ends = np.array([point.end for point in self.points])
            residual = self._defect(self.begin.start, self.states, ends)
            assert self.matrix is not None
            proposed = -self.matrix.solve(residual[..., None]).ravel()
            change = -secants.improve(proposed).reshape(residual.shape)
            norm = float(np.max(np.abs(change) / size))
            if not np.isfinite(norm):
                raise SolveFailure(Reason.NON_FINITE, "macro correction")
            if norm > 1.0:
                raise SolveFailure(Reason.MACRO_ERROR, f"a macro correction of {norm:.1e}")
            self.states = self.states - change
            rate = norm / previous
            # right after a new Jacobian of all nodes the corrections shrink quadratically
            exact = fresh and self.space is not None and self.space.rank <= _FEW
            left = norm**2 if exact else _left(norm, rate)
            if max(left, error) <= self.options.newton:
                return
            error = self.options.newton
            if norm > _FAR if fresh else rate > self.options.contraction:
                self.matrix = None
            if not fresh and rate > self.options.contraction:
                self.space = None
            previous, fresh = norm, False
        raise SolveFailure(Reason.MACRO_ERROR, f"a macro correction of {norm:.1e} is left")

    def _solve_directions(self) -> None:
        """The derivatives of the node states, by iteration with the same matrix."""
        assert self.matrix is not None
        unit = np.eye(len(self.theta))[:, : self.directions.shape[2]]
        size = np.abs(self.directions).max(axis=0) + 1e-6
        secants, previous = Secants(np.tile(1.0 / size**2, (STAGES, 1))), np.inf
        for _ in range(self.options.max_iterations):
            moved = []
            for i in range(STAGES):
                moved.append(
                    self.cycle.differentiate(self.points[i], self.theta, (self.directions[i], unit))
                )
            self.points = tuple(moved)
            ends = np.array([point.end_directions for point in self.points])
            residual = self._defect(self.start_directions, self.directions, ends)
            proposed = -self.matrix.solve(residual).reshape(len(size) * STAGES, -1)
            change = -secants.improve(proposed).reshape(residual.shape)
            self.directions = self.directions - change
            norm = float(np.max(np.abs(change) / size.max(axis=1, keepdims=True)))
            if _left(norm, norm / previous) <= _DIRECTIONS:
                return
            if not np.isfinite(norm):
                raise SolveFailure(Reason.NON_FINITE, "macro derivatives")
            previous = norm
        raise SolveFailure(Reason.MACRO_ERROR, f"a change of derivatives by {norm:.1e} is left")

    def _defect(self, start: np.ndarray, values: np.ndarray, ends: np.ndarray) -> np.ndarray:
        """What P(n_i + 1) differs from the cycles' ends."""
        first = np.multiply.outer(self.from_start, start)
        return first + np.einsum("ij,j...->i...", self.shift, values) - ends

    def _evaluate(self, error: float) -> None:
        """The cycles at the nodes, each with the matrices of the one before if it has none.

        They are as accurate as node states with this error require, if the options of Newton's
        method allow it.
        """
        points = [self.begin]
        tolerance = cycle_tolerance(self.cycle, error, self.nodes[-1] - self.nodes[0])
        for state, near in zip(self.states, self.points, strict=True):
            guess = near.solution.with_chords_of(points[-1].solution)
            points.append(self.cycle(state, self.theta, guess, tolerance=tolerance))
        self.points = tuple(points[1:])

    def _evaluate_with_jacobian(self, error: float) -> None:
        self._evaluate(error)
        nothing = np.zeros((self.cycle.ny, 0)), np.zeros((len(self.theta), 0))
        points = list(self.points)
        if self.space is None:
            middle = points[2] = self.cycle.differentiate(points[2], self.theta, nothing)
            self.space = slow_space(self.cycle, middle, self.theta, self._tolerance)
        space = self.space
        directions = space.directions, np.zeros((len(self.theta), space.rank))
        few = _THREE if self.nodes[-1] - self.nodes[0] > _LONG else _TWO
        chosen = tuple(range(STAGES)) if space.rank <= _FEW else few
        for i in chosen:
            points[i] = self.cycle.differentiate(points[i], self.theta, directions)
        # the polynomial through the derivatives at the chosen nodes gives those at the others
        at = radau.lagrange_basis(ABSCISSAE[list(chosen)], ABSCISSAE)
        ends = np.array([space.remainder(points[i].end_directions) for i in chosen])
        features = np.array([points[i].feature_directions for i in chosen])
        self.points = tuple(point.without_directions() for point in points)
        self.jacobian = Jacobian(
            space, np.tensordot(at, ends, axes=1), np.tensordot(at, features, axes=1), chosen
        )
        self.matrix = _Matrix(self.shift, self.jacobian)

    def _element(self) -> Element:
        """Assemble the element; the cycles follow the last small correction to first order."""
        assert self.jacobian is not None
        points = [self.begin]
        for i, point in enumerate(self.points):
            change = (self.states[i] - point.start)[:, None]
            turn = self.directions[i] - point.start_directions
            points.append(
                replace(
                    point,
                    start=self.states[i],
                    end=point.end + self.jacobian.end(i, change)[:, 0],
                    features=point.features + self.jacobian.feature(i, change)[:, 0],
                    start_directions=self.directions[i],
                    end_directions=point.end_directions + self.jacobian.end(i, turn),
                    feature_directions=point.feature_directions + self.jacobian.feature(i, turn),
                )
            )
        kept = [point.without_chords() for point in points[:-1]]
        return Element(
            self.nodes,
            self.origin,
            np.vstack([self.begin.start, self.states]),
            np.concatenate([self.start_directions[None], self.directions]),
            np.array([point.features for point in points]),
            np.array([point.feature_directions for point in points]),
            (*kept, points[-1]),
            self.jacobian,
            self.iterations,
        )


def cycle_tolerance(cycle: CycleMap, error: float, cycles: float) -> float:
    """Tolerance of a cycle whose error counts so many times, for an error of all together.

    It is never tighter than that of the cycle's options.
    """
    tightest = cycle.sequence.newton.tolerance
    return float(np.clip(error / cycles, tightest, max(tightest, _LOOSEST)))


def _left(norm: float, rate: float) -> float:
    """What is left after a correction, if the next ones shrink at the same rate."""
    if rate == 0.0:  # there is no earlier correction to compare with
        return norm
    return min(norm, norm * rate / max(1.0 - rate, 0.1))


def element_error(cycle: CycleMap, element: Element, theta: np.ndarray, newton: float) -> float:
    """Error of the discharged charge inside an element [A.h], its states known to `newton`.

    The defect Phi(P(n)) - P(n + 1) vanishes at the nodes; it is measured at the
    element's start and at a cycle simulated between the nodes. Accumulated over the
    element it is the error of the state, which the derivative of the discharged charge
    turns into ampere-hours. The check cycle's own charge against the interpolated one
    completes the estimate.
    """
    begin = element.points[0]
    charge_of = _discharged(begin.features, cycle.features.names, len(cycle.sequence.specs))
    low, high = place(element.nodes[[0, -1]], element.origin)
    where = element.origin + (low + CHECK_AT * (high - low)) ** 2
    state = (element.basis(where) @ element.states)[0]
    tolerance = cycle_tolerance(cycle, newton, element.last - element.first)
    check = cycle(state, theta, element.points[2].solution, tolerance=tolerance)
    worst = 0.0
    for point, at in ((begin, element.nodes[0]), (check, where)):
        defect = point.end - (element.basis(at + 1.0) @ element.states)[0]
        growth = _growth(element, float(at))
        for i in element.jacobian.evaluated:
            change = charge_of @ element.jacobian.feature(i, defect[:, None])[:, 0]
            worst = max(worst, abs(float(change)) * growth)
    interpolated = (element.basis(where) @ element.features)[0]
    return max(worst, abs(float(charge_of @ (check.features - interpolated))))


def _growth(element: Element, at: float) -> float:
    """What a defect seen at one place adds up to, if it varies as the node polynomial."""
    nodes = place(element.nodes[1:], element.origin)
    cycles = np.linspace(element.nodes[0], element.nodes[-1], 201)
    values = np.prod(place(cycles, element.origin)[:, None] - nodes, axis=1)
    sums = np.cumsum(values) * (cycles[1] - cycles[0])
    return float(np.max(np.abs(sums)) / abs(np.prod(place(at, element.origin) - nodes)))


def _discharged(features: np.ndarray, names: tuple[str, ...], steps: int) -> np.ndarray:
    """Weights of the features that add up to a cycle's discharged charge, shape (n_features,).

    The first features are those of the steps, with these names. Where no step discharges (a float
    hold, a rest) all charges count.
    """
    place = np.arange(len(features))
    charge = (place % len(names) == names.index("charge")) & (place < steps * len(names))
    discharges = charge & (features > 0.0)
    return np.asarray(discharges if np.any(discharges) else charge, float)
