"""A whole life: cycles one by one, or integrated over cycle number, with derivatives.

A life is a repeated cycle, interrupted after given cycles by other sequences of steps
(pauses, check-ups that disturb). Between interruptions it is a *stretch*, simulated
directly or by macro elements. P(n) is the life state after n cycles; the features of
cycle n + 1 belong to P(n).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from cellmodels.solver.cycle import CycleSolution
from cellmodels.solver.cycle_map import CycleMap, CyclePoint
from cellmodels.solver.macro import Element, MacroOptions, element_error, solve_element
from cellmodels.solver.outcome import SolveFailure
from cellmodels.solver.radau import ABSCISSAE


@dataclass(frozen=True)
class LifeOptions:
    """Settings of a life.

    Attributes
    ----------
    method : str
        "direct" simulates every cycle; "macro" integrates over cycle number.
    macro : MacroOptions
    settle : int
        Cycles simulated one by one at the start of every stretch, until the fast states
        follow the slow ones.
    first_element : int
        Length of the first element of a stretch [cycles].
    remesh : float
        Relative change of a step's duration after which its time mesh is chosen anew.
    """

    method: str = "macro"
    macro: MacroOptions = field(default_factory=MacroOptions)
    settle: int = 2
    first_element: int = 10
    remesh: float = 0.05


@dataclass(frozen=True)
class DirectPiece:
    """Consecutive cycles simulated one by one; entry k belongs to P(first + k).

    `counters` are throughput [A.h] and time [s]; directions have a last axis n_theta.
    """

    first: int
    features: np.ndarray
    feature_directions: np.ndarray
    counters: np.ndarray
    counter_directions: np.ndarray
    solutions: tuple[CycleSolution, ...] = ()

    @property
    def last(self) -> int:
        """Index of the last entry."""
        return self.first + len(self.features) - 1


@dataclass(frozen=True)
class Life:
    """A simulated life.

    Attributes
    ----------
    cycles : int
        Completed cycles.
    pieces : tuple of DirectPiece or Element
        In order.
    kept : dict of int to (y, dy)
        Life states after the requested numbers of cycles, with derivatives.
    final : (y, dy)
        After the last completed cycle.
    failure : SolveFailure or None
        Why it ended early.
    error : float
        Estimated error of the discharged charge [A.h].
    simulated : int
        Number of cycles that were actually simulated.
    theta : numpy.ndarray
    """

    cycles: int
    pieces: tuple[DirectPiece | Element, ...]
    kept: Mapping[int, tuple[np.ndarray, np.ndarray]]
    final: tuple[np.ndarray, np.ndarray]
    failure: SolveFailure | None
    error: float
    simulated: int
    theta: np.ndarray
    counters: tuple[np.ndarray, np.ndarray, np.ndarray]

    def features(self, cycle: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Features of the cycles that follow P(cycle) and their derivatives.

        Parameters
        ----------
        cycle : numpy.ndarray
            Cycles completed before, 0 … cycles - 1, not necessarily whole, shape (k,).

        Returns
        -------
        numpy.ndarray, numpy.ndarray
            Shapes (k, n_features) and (k, n_features, n_theta).
        """
        cycle = np.asarray(cycle, float)
        shape = self.pieces[0].feature_directions.shape[1:]
        values, directions = np.empty((len(cycle), shape[0])), np.empty((len(cycle), *shape))
        starts = np.array([_first(piece) for piece in self.pieces])
        owner = np.clip(np.searchsorted(starts, cycle, side="right") - 1, 0, None)
        for k in np.unique(owner):
            piece, mine = self.pieces[k], owner == k
            basis = _basis(piece, cycle[mine])
            values[mine] = basis @ piece.features
            directions[mine] = np.einsum("kn,nfp->kfp", basis, piece.feature_directions)
        return values, directions


def _first(piece: DirectPiece | Element) -> float:
    return piece.first if isinstance(piece, DirectPiece) else piece.nodes[0]


def _basis(piece: DirectPiece | Element, cycle: np.ndarray) -> np.ndarray:
    """Interpolation weights over a piece's entries, shape (k, entries)."""
    if isinstance(piece, Element):
        return piece.basis(cycle)
    count = len(piece.features)
    out = np.zeros((len(cycle), count))
    where = np.clip(cycle - piece.first, 0.0, count - 1.0)
    low = np.minimum(where.astype(int), max(count - 2, 0))
    part = where - low
    rows = np.arange(len(cycle))
    out[rows, low] = 1.0 - part
    if count > 1:
        out[rows, low + 1] += part
    return out


class LifeSolver:
    """Simulates lives of one cell under one protocol.

    Parameters
    ----------
    cycle : CycleMap
        The repeated cycle.
    interruptions : mapping of int to CycleMap
        Sequences inserted after so many cycles.
    charge_of : numpy.ndarray
        Weights of the features that make up a cycle's discharged charge, shape (n_features,).
    """

    def __init__(
        self,
        cycle: CycleMap,
        interruptions: Mapping[int, CycleMap],
        charge_of: np.ndarray,
        options: LifeOptions | None = None,
    ) -> None:
        self.cycle = cycle
        self.interruptions = dict(interruptions)
        self.charge_of = charge_of
        self.options = options or LifeOptions()

    def run(
        self,
        theta: np.ndarray,
        cycles: int,
        *,
        keep: Collection[int] = (),
        sensitivities: bool = True,
        previous: Life | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> Life:
        """Simulate a life.

        Parameters
        ----------
        theta : numpy.ndarray
            Parameter factors, shape (n_theta,).
        cycles : int
            How many cycles.
        keep : collection of int
            After how many cycles the life state is kept (0 = before the first).
        sensitivities : bool
            Whether to propagate derivatives with respect to theta.
        previous : Life, optional
            A life at a neighbouring theta: its elements, meshes and states are reused
            and no element is checked again.
        progress : callable, optional
            Called with the number of completed cycles.
        """
        run = _Run(self, np.asarray(theta, float), cycles, set(keep), sensitivities, previous, progress)
        return run.go()


class _Run:
    """The state of one simulation while it goes on."""

    def __init__(
        self,
        solver: LifeSolver,
        theta: np.ndarray,
        cycles: int,
        keep: set[int],
        sensitivities: bool,
        previous: Life | None,
        progress: Callable[[int], None] | None,
    ) -> None:
        dae = solver.cycle.sequence.dae
        self.solver, self.cycle, self.options = solver, solver.cycle, solver.options
        self.theta, self.cycles, self.keep = theta, cycles, keep
        self.progress = progress or (lambda done: None)
        count = len(theta) if sensitivities else 0
        self.by_theta = np.eye(len(theta))[:, :count]
        self.y = np.concatenate([dae.start(theta)[0], [0.0, 0.0]])
        self.dy = np.zeros((self.cycle.ny, count))
        if count:
            self.dy[: dae.nx] = dae.start_jacobian(theta)
        self.n = 0
        self.point: CyclePoint | None = None
        self.pieces: list[DirectPiece | Element] = []
        self.kept: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self.counters: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self.error, self.simulated = 0.0, 0
        self.meshed: list[float] = []
        self.previous = _Previous(previous, theta) if previous is not None else None

    def go(self) -> Life:
        failure = None
        try:
            stops = sorted(k for k in self.solver.interruptions if 0 <= k < self.cycles)
            for stop in [*stops, self.cycles]:
                self._stretch(stop)
                if stop in self.solver.interruptions and stop < self.cycles:
                    self._interrupt(self.solver.interruptions[stop])
        except SolveFailure as found:
            failure = found
            if failure.cycle is None:
                failure.cycle = self.n + 1
        self._keep(self.n, self.y, self.dy)
        return Life(
            self.n,
            tuple(self.pieces),
            self.kept,
            (self.y, self.dy),
            failure,
            self.error,
            self.simulated,
            self.theta,
            self._counter_table(),
        )

    def _stretch(self, stop: int) -> None:
        """From the present state to P(stop)."""
        if self.options.method == "direct":
            self._direct(stop - self.n)
            return
        self._direct(min(self.options.settle, stop - self.n))
        length = float(self.options.first_element)
        while self.n < stop:
            # the last cycle of a stretch is simulated from the end of the last element
            left = stop - 1 - self.n
            if left < self.options.macro.smallest:
                self._direct(stop - self.n)
                return
            length = self._advance_element(min(length, left), left)

    def _advance_element(self, length: float, left: int) -> float:
        """One element of about this length, or some direct cycles; returns the next length."""
        begin = self._begin()
        planned = self.previous.element(self.n) if self.previous else None
        if planned is not None and planned.nodes[-1] <= self.n + left:
            try:
                element = self._solve(begin, planned.nodes[-1], self.previous.guess(planned))
                self._accept(replace(element, error=planned.error), begin)
                return length
            except SolveFailure:
                pass
        stop = self.n + (left if left < 1.5 * length else int(round(length)))
        while True:
            length = stop - self.n
            try:
                element = self._solve(begin, stop, self._cold_guess(begin, stop))
                error, _ = element_error(self.cycle, element, begin, self.theta, self.solver.charge_of)
                self.simulated += 1
            except SolveFailure:
                error = np.inf
            if error <= self.options.macro.tolerance:
                self._accept(replace(element, error=error), begin)
                return length * min(5.0, max(0.5, 0.8 * (self.options.macro.tolerance / max(error, 1e-12)) ** 0.25))
            shrink = 0.3 if not np.isfinite(error) else max(0.2, 0.8 * (self.options.macro.tolerance / error) ** 0.25)
            stop = self.n + int(shrink * length)
            if stop - self.n < self.options.macro.smallest:
                self._direct(self.options.macro.smallest)
                return float(self.options.first_element)

    def _begin(self) -> CyclePoint:
        """The cycle at the present state, on a mesh of its own, with directions."""
        planned = self.previous.begin(self.n) if self.previous else None
        point = self._evaluate(planned)
        return point

    def _evaluate(self, guess: CycleSolution | None) -> CyclePoint:
        self.simulated += 1
        return self.cycle(self.y, self.theta, guess, (self.dy, self.by_theta))

    def _cold_guess(self, begin: CyclePoint, stop: float) -> tuple[np.ndarray, tuple[CyclePoint, ...]]:
        nodes = self.n + ABSCISSAE * (stop - self.n)
        last = self.pieces[-1] if self.pieces else None
        if isinstance(last, Element) and stop - self.n <= 6.0 * (last.nodes[-1] - last.nodes[0]):
            states = last.basis(nodes) @ last.states
        else:
            states = begin.start + (nodes - self.n)[:, None] * (begin.end - begin.start)
        return states, (begin, begin, begin)

    def _solve(
        self, begin: CyclePoint, stop: float, guess: tuple[np.ndarray, tuple[CyclePoint, ...]]
    ) -> Element:
        element = solve_element(
            self.cycle, begin, self.dy, self.by_theta, self.theta, self.n, stop, guess, self.options.macro
        )
        self.simulated += 3 * element.iterations
        return element

    def _accept(self, element: Element, begin: CyclePoint) -> None:
        a, b = int(round(element.nodes[0])), int(round(element.nodes[-1]))
        self.pieces.append(element)
        self.error += element.error
        inside = np.arange(a, b)
        basis = element.basis(inside)
        states = basis @ element.states[:, self.cycle.nx :]
        directions = np.einsum("kn,nyp->kyp", basis, element.directions[:, self.cycle.nx :])
        for k, n in enumerate(inside):
            self.counters[n] = (states[k], directions[k])
            if n in self.keep:
                weights = basis[k]
                self._keep(n, weights @ element.states, np.einsum("n,nyp->yp", weights, element.directions))
        self.n = b
        self.y, self.dy = element.states[-1], element.directions[-1]
        self.progress(self.n)

    def _direct(self, count: int) -> None:
        """Simulate `count` cycles one by one."""
        rows: list[CyclePoint] = []
        counters: list[tuple[np.ndarray, np.ndarray]] = []
        first = self.n
        try:
            for _ in range(count):
                guess = self.previous.solution(self.n) if self.previous else None
                if guess is None and self.point is not None and not self._outgrown(self.point.solution):
                    guess = self.point.solution
                point = self._evaluate(guess)
                if guess is None:
                    self.meshed = [s.duration for s in point.solution.steps]
                self._keep(self.n, self.y, self.dy)
                counters.append((self.y[self.cycle.nx :], self.dy[self.cycle.nx :]))
                self.counters[self.n] = counters[-1]
                rows.append(point)
                self.y, self.dy, self.point = point.end, point.end_directions, point
                self.n += 1
                self.progress(self.n)
        finally:
            if rows:
                self.pieces.append(_direct_piece(first, rows, counters, self.previous is not None or count <= 20))

    def _outgrown(self, solution: CycleSolution) -> bool:
        """Whether the steps have changed so much that their mesh should be chosen anew."""
        for step, then in zip(solution.steps, self.meshed, strict=True):
            if abs(step.duration - then) > self.options.remesh * max(then, 1.0):
                return True
        return False

    def _interrupt(self, sequence: CycleMap) -> None:
        point = sequence(self.y, self.theta, None, (self.dy, self.by_theta))
        self.simulated += 1
        self.y, self.dy = point.end, point.end_directions

    def _keep(self, n: int, y: np.ndarray, dy: np.ndarray) -> None:
        if n in self.keep:
            self.kept[n] = (y, dy)

    def _counter_table(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        self.counters[self.n] = (self.y[self.cycle.nx :], self.dy[self.cycle.nx :])
        order = sorted(self.counters)
        values = np.array([self.counters[n][0] for n in order])
        return np.array(order, float), values, np.array([self.counters[n][1] for n in order])


def _direct_piece(first: int, rows: list[CyclePoint], counters: list, keep: bool) -> DirectPiece:
    return DirectPiece(
        first,
        np.array([p.features for p in rows]),
        np.array([p.feature_directions for p in rows]),
        np.array([c[0] for c in counters]),
        np.array([c[1] for c in counters]),
        tuple(p.solution for p in rows) if keep else (),
    )


class _Previous:
    """A neighbouring life, looked up by cycle number and moved to first order."""

    def __init__(self, life: Life, theta: np.ndarray) -> None:
        self.change = theta - life.theta
        self.elements = {int(round(e.nodes[0])): e for e in life.pieces if isinstance(e, Element)}
        self.solutions: dict[int, CycleSolution] = {}
        for piece in life.pieces:
            if isinstance(piece, DirectPiece):
                self.solutions.update({piece.first + k: s for k, s in enumerate(piece.solutions)})

    def element(self, n: int) -> Element | None:
        return self.elements.get(n)

    def solution(self, n: int) -> CycleSolution | None:
        return self.solutions.get(n)

    def begin(self, n: int) -> CycleSolution | None:
        element = self.elements.get(n)
        return element.begin.solution if element is not None and element.begin is not None else None

    def guess(self, element: Element) -> tuple[np.ndarray, tuple[CyclePoint, ...]]:
        states = element.states[1:]
        moved = states
        if element.directions.shape[2] == len(self.change):
            step = element.directions[1:] @ self.change
            if np.all(np.abs(step) < 0.3 * (1e-2 + np.abs(states).max(axis=0))):
                moved = states + step
        return moved, element.points
