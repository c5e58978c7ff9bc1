"""Integration over cycle number: a stretch of a life from a few simulated cycles.

With P(n) the life state before cycle n + 1, one cycle is the difference equation
P(n + 1) = Phi(P(n)). On an element [a, b] of cycle numbers P is a polynomial through
P(a) and its values at the Radau points n_i of the element, which satisfy

    P(n_i + 1) = Phi(P(n_i)),      i = 1 .. 5,

an implicit multirevolution (envelope-following) method: the difference equation itself
is collocated, not its differential limit, so that the number of cycles need not be
large. Newton's method uses the exact Jacobian of Phi; derivatives with respect to
parameters follow from the same matrix.

Sources: O. F. Graff and D. G. Bettis, Celest. Mech. 11 (1975) 443,
doi:10.1007/BF01650284; L. R. Petzold, SIAM J. Numer. Anal. 18 (1981) 455,
doi:10.1137/0718030; M. Calvo, L. O. Jay, J. I. Montijano, L. Randez, Numer. Math. 97
(2004) 635, doi:10.1007/s00211-004-0518-9.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cellmodels.solver import radau
from cellmodels.solver.cycle_map import FEATURES, CycleMap, CyclePoint
from cellmodels.solver.outcome import Reason, SolveFailure


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


@dataclass(frozen=True)
class MacroOptions:
    """Settings of the macro integration.

    Attributes
    ----------
    tolerance : float
        Accepted error of the discharged charge of a cycle [A.h].
    newton : float
        Largest scaled correction of the node states that is left.
    max_iterations : int
        Newton iterations of an element.
    smallest : int
        Shortest element [cycles]; below, cycles are simulated one by one.
    """

    tolerance: float = 1e-4
    newton: float = 1e-9
    max_iterations: int = 8
    smallest: int = 8


@dataclass(frozen=True)
class Element:
    """A solved stretch [a, b] of a life.

    Attributes
    ----------
    nodes : numpy.ndarray
        Cycle numbers a, n_1, …, n_5 = b, shape (6,).
    states : numpy.ndarray
        Life states there, shape (6, ny).
    directions : numpy.ndarray
        Their derivatives with respect to theta, shape (6, ny, n_theta).
    features : numpy.ndarray
        Features of the cycle that starts at each node, shape (6, n_features).
    feature_directions : numpy.ndarray
        Their derivatives, shape (6, n_features, n_theta).
    points : tuple of CyclePoint
        The evaluated cycles at n_1 .. n_5, warm starts for a neighbour.
    begin : CyclePoint
        The cycle at a.
    iterations : int
        Newton iterations that it took.
    error : float
        Estimated error inside the element [A.h].
    """

    nodes: np.ndarray
    states: np.ndarray
    directions: np.ndarray
    features: np.ndarray
    feature_directions: np.ndarray
    points: tuple[CyclePoint, ...]
    begin: CyclePoint
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

    def basis(self, cycle: np.ndarray | float) -> np.ndarray:
        """Lagrange basis over the nodes, shape (k, 6)."""
        return radau.lagrange_basis(self.nodes, np.atleast_1d(cycle))


def solve_element(
    cycle: CycleMap,
    begin: CyclePoint,
    begin_directions: np.ndarray,
    by_theta: np.ndarray,
    theta: np.ndarray,
    start: float,
    stop: float,
    guess: tuple[np.ndarray, tuple[CyclePoint, ...]],
    options: MacroOptions,
) -> Element:
    """Solve one element from the (already evaluated) cycle at its start.

    Parameters
    ----------
    begin : CyclePoint
        The cycle that starts at the element's start, with directions along theta.
    begin_directions : numpy.ndarray
        dP(a)/dtheta, shape (ny, k).
    by_theta : numpy.ndarray
        The k directions of theta, shape (n_theta, k): the unit matrix, or none at all.
    guess : (numpy.ndarray, tuple of CyclePoint)
        Node states, shape (5, ny), and neighbouring solutions for each node.

    Raises
    ------
    SolveFailure
        If a cycle cannot be simulated or Newton's method does not converge.
    """
    nodes = np.concatenate([[start], start + ABSCISSAE * (stop - start)])
    shift = radau.lagrange_basis(nodes, nodes[1:] + 1.0)
    states, near = guess[0].copy(), guess[1]
    ny, count = cycle.ny, by_theta.shape[1]
    eye = np.hstack([np.eye(ny), np.zeros((ny, count))])
    theta_only = np.hstack([np.zeros((len(theta), ny)), by_theta])
    iterations = 0
    while iterations < options.max_iterations:
        iterations += 1
        points = _node_cycles(cycle, begin, states, theta, near, (eye, theta_only))
        matrix, residual, parametric = _newton_system(
            shift, begin.start, states, points, begin_directions
        )
        change = np.linalg.solve(matrix, np.column_stack([residual, parametric]))
        delta = change[:, 0].reshape(STAGES, ny)
        norm = float(np.max(np.abs(delta) / (1e-2 + np.abs(states).max(axis=0))))
        if not np.isfinite(norm):
            raise SolveFailure(Reason.NON_FINITE, "macro correction")
        if norm > 1.0:
            raise SolveFailure(Reason.MACRO_ERROR, f"correction of {norm:.1e} in the macro step")
        states, near = states - delta, points
        # Newton's method converges quadratically: the next correction would be of norm**2
        if norm**2 < options.newton:
            break
    else:
        raise SolveFailure(Reason.MACRO_ERROR, f"correction of {norm:.1e} left in the macro step")
    directions = -change[:, 1:].reshape(STAGES, ny, count)
    return _finish(nodes, begin, begin_directions, states, points, directions, iterations)


def _node_cycles(
    cycle: CycleMap,
    begin: CyclePoint,
    states: np.ndarray,
    theta: np.ndarray,
    near: tuple[CyclePoint, ...],
    directions: tuple[np.ndarray, np.ndarray],
) -> tuple[CyclePoint, ...]:
    """The cycles at the nodes, each with the matrices of the one before as its chords."""
    points = [begin]
    for state, neighbour in zip(states, near, strict=True):
        guess = neighbour.solution.with_chords_of(points[-1].solution)
        points.append(cycle(state, theta, guess, directions))
    return tuple(points[1:])


def _newton_system(
    shift: np.ndarray,
    start: np.ndarray,
    states: np.ndarray,
    points: tuple[CyclePoint, ...],
    begin_directions: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Matrix, residual and parametric right-hand side of the element's equations."""
    ny = len(start)
    matrix = np.kron(shift[:, 1:], np.eye(ny))
    residual = np.empty((STAGES, ny))
    parametric = np.empty((STAGES, ny, begin_directions.shape[1]))
    for i, point in enumerate(points):
        residual[i] = shift[i, 0] * start + shift[i, 1:] @ states - point.end
        parametric[i] = shift[i, 0] * begin_directions - point.end_directions[:, ny:]
        block = slice(i * ny, (i + 1) * ny)
        matrix[block, block] -= point.end_directions[:, :ny]
    return matrix, residual.ravel(), parametric.reshape(STAGES * ny, -1)


def _finish(
    nodes: np.ndarray,
    begin: CyclePoint,
    begin_directions: np.ndarray,
    states: np.ndarray,
    points: tuple[CyclePoint, ...],
    directions: np.ndarray,
    iterations: int,
) -> Element:
    """Assemble the element; features follow the last small correction to first order."""
    ny = states.shape[1]
    features, feature_directions = [begin.features], [begin.feature_directions]
    for i, point in enumerate(points):
        by_state = point.feature_directions[:, :ny]
        features.append(point.features + by_state @ (states[i] - point.start))
        feature_directions.append(by_state @ directions[i] + point.feature_directions[:, ny:])
    return Element(
        nodes,
        np.vstack([begin.start, states]),
        np.concatenate([begin_directions[None], directions]),
        np.array(features),
        np.array(feature_directions),
        tuple(point.without_chords() for point in points),
        begin.without_chords(),
        iterations,
    )


def element_error(cycle: CycleMap, element: Element, begin: CyclePoint, theta: np.ndarray) -> float:
    """Error of the discharged charge inside an element [A.h].

    The defect Phi(P(n)) - P(n + 1) vanishes at the nodes; it is measured at the
    element's start and at a cycle simulated between the nodes. Accumulated over the
    element it is the error of the state, which the derivative of the discharged charge
    turns into ampere-hours. The check cycle's own charge against the interpolated one
    completes the estimate.
    """
    charge_of = _discharged(begin.features)
    length = element.nodes[-1] - element.nodes[0]
    where = element.nodes[0] + CHECK_AT * length
    ny = cycle.ny
    state = (element.basis(where) @ element.states)[0]
    check = cycle(state, theta, element.points[0].solution)
    defects = [
        begin.end - (element.basis(element.nodes[0] + 1.0) @ element.states)[0],
        check.end - (element.basis(where + 1.0) @ element.states)[0],
    ]
    worst = 0.0
    for defect, place in zip(defects, (0.0, CHECK_AT), strict=True):
        growth = length * _LARGEST_INTEGRAL / abs(_node_polynomial(place))
        for point in element.points:
            by_state = charge_of @ point.feature_directions[:, :ny]
            worst = max(worst, abs(float(by_state @ defect)) * growth)
    interpolated = (element.basis(where) @ element.features)[0]
    return max(worst, abs(float(charge_of @ (check.features - interpolated))))


def _discharged(features: np.ndarray) -> np.ndarray:
    """Weights of the features that add up to a cycle's discharged charge, shape (n_features,).

    Where no step discharges (a float hold, a rest) all charges count.
    """
    charge = np.arange(len(features)) % len(FEATURES) == FEATURES.index("charge")
    discharges = charge & (features > 0.0)
    return np.asarray(discharges if np.any(discharges) else charge, float)


def _node_polynomial(s: np.ndarray | float) -> np.ndarray:
    return np.prod(np.asarray(s)[..., None] - ABSCISSAE, axis=-1)


def _largest_integral() -> float:
    """Largest magnitude of the integral of the node polynomial from 0 to s, 0 <= s <= 1."""
    polynomial = np.polynomial.Polynomial.fromroots(ABSCISSAE)
    return float(np.max(np.abs(polynomial.integ()(np.linspace(0.0, 1.0, 201)))))


_LARGEST_INTEGRAL = _largest_integral()
