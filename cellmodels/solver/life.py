"""A whole life: cycles one by one, or integrated over cycle number, with derivatives.

A life is a repeated cycle, interrupted after given cycles by other sequences of steps
(pauses, check-ups that disturb). Between interruptions it is a *stretch*, simulated
directly or by macro elements. P(n) is the life state after n cycles; the features of
cycle n + 1 belong to P(n).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from cellmodels.solver.cycle import Counts, CycleSolution
from cellmodels.solver.cycle_map import CycleMap, CyclePoint
from cellmodels.solver.macro import (
    STAGES,
    Element,
    ElementSolve,
    Guess,
    MacroOptions,
    cycle_tolerance,
    element_error,
    element_nodes,
    place,
)
from cellmodels.solver.outcome import SolveFailure

#: Among elements there are at most so many cycles that are simulated one by one, as a rule.
_SINGLE = 200


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
        follow the slow ones and what changes quickly at first has slowed down.
    first_element : int
        Length of the first element of a stretch [cycles].
    remesh : float
        Relative change of a step's duration after which its time mesh is chosen anew, unless
        the cycle follows an element or a neighbouring life has one.
    keep_solutions : bool
        Whether a life simulated directly keeps its solved cycles, as meshes and warm starts
        for a neighbouring life (macro lives always do).
    """

    method: str = "macro"
    macro: MacroOptions = field(default_factory=MacroOptions)
    settle: int = 8
    first_element: int = 60
    remesh: float = 0.3
    keep_solutions: bool = False


@dataclass(frozen=True)
class DirectPiece:
    """Consecutive cycles simulated one by one; row k of the arrays belongs to P(first + k).

    Shapes: states (k, ny), directions (k, ny, n_theta), features (k, n_features) and
    feature_directions (k, n_features, n_theta).
    """

    first: int
    states: np.ndarray
    directions: np.ndarray
    features: np.ndarray
    feature_directions: np.ndarray
    solutions: tuple[CycleSolution, ...] = ()

    def basis(self, cycle: np.ndarray) -> np.ndarray:
        """Selection of rows, shape (k, rows)."""
        out = np.zeros((len(cycle), len(self.features)))
        out[np.arange(len(cycle)), np.asarray(cycle, int) - self.first] = 1.0
        return out


@dataclass(frozen=True)
class Life:
    """A simulated life.

    Attributes
    ----------
    cycles : int
        Completed cycles.
    pieces : tuple of DirectPiece or Element
        In order; each covers the cycles from its first up to the next one's first.
    final : (numpy.ndarray, numpy.ndarray)
        Life state after the last completed cycle, (ny,), and its derivatives, (ny, n_theta).
    failure : SolveFailure or None
        Why it ended early.
    error : float
        Estimated error of a cycle's discharged charge [A.h], added up over the elements.
    simulated : int
        Number of cycles that were actually simulated.
    theta : numpy.ndarray
        The parameter factors it belongs to.
    method : str
        By which it was simulated.
    interrupted : mapping of int to (numpy.ndarray, numpy.ndarray)
        Life state and derivatives before each interruption.
    """

    cycles: int
    pieces: tuple[DirectPiece | Element, ...]
    final: tuple[np.ndarray, np.ndarray]
    failure: SolveFailure | None
    error: float
    simulated: int
    theta: np.ndarray
    method: str = "macro"
    interrupted: Mapping[int, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)

    def features(self, cycle: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Features of the cycles that follow P(cycle), and their derivatives.

        Parameters
        ----------
        cycle : numpy.ndarray of int
            Cycles completed before, 0 … cycles - 1, shape (k,).

        Returns
        -------
        numpy.ndarray, numpy.ndarray
            Shapes (k, n_features) and (k, n_features, n_theta).
        """
        return self._gather(cycle, "features", "feature_directions")

    def states(self, cycle: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Life states when 0 … cycles cycles are completed, and their derivatives.

        Where the life is interrupted this is the state before the interruption.

        Returns
        -------
        numpy.ndarray, numpy.ndarray
            Shapes (k, ny) and (k, ny, n_theta).
        """
        cycle = np.asarray(cycle, int)
        values = np.empty((len(cycle), len(self.final[0])))
        directions = np.empty((len(cycle), *self.final[1].shape))
        last = cycle >= self.cycles
        values[last], directions[last] = self.final
        if not np.all(last):
            values[~last], directions[~last] = self._gather(cycle[~last], "states", "directions")
        for n, (state, direction) in self.interrupted.items():
            values[cycle == n], directions[cycle == n] = state, direction
        return values, directions

    def _gather(
        self, cycle: np.ndarray, what: str, derivative: str
    ) -> tuple[np.ndarray, np.ndarray]:
        cycle = np.asarray(cycle, int)
        if not self.pieces:
            raise ValueError("no cycle was completed")
        shape = getattr(self.pieces[0], derivative).shape[1:]
        values, directions = np.empty((len(cycle), shape[0])), np.empty((len(cycle), *shape))
        starts = np.array([piece.first for piece in self.pieces])
        owner = np.searchsorted(starts, cycle, side="right") - 1
        for k in np.unique(owner):
            piece, mine = self.pieces[k], owner == k
            basis = piece.basis(cycle[mine])
            values[mine] = basis @ getattr(piece, what)
            directions[mine] = np.einsum("kn,nyp->kyp", basis, getattr(piece, derivative))
        return values, directions


class LifeSolver:
    """Simulates lives of one cell under one protocol.

    Parameters
    ----------
    cycle : CycleMap
        The repeated cycle.
    interruptions : mapping of int to CycleMap
        Sequences inserted after so many cycles.
    """

    def __init__(
        self,
        cycle: CycleMap,
        interruptions: Mapping[int, CycleMap],
        options: LifeOptions | None = None,
    ) -> None:
        self.cycle = cycle
        self.interruptions = dict(interruptions)
        self.options = options or LifeOptions()

    @property
    def counts(self) -> Counts:
        """The work done so far, by all lives."""
        maps = {id(m): m for m in (self.cycle, *self.interruptions.values())}
        return sum((m.sequence.counts for m in maps.values()), Counts())

    def run(
        self,
        theta: np.ndarray,
        cycles: int,
        *,
        sensitivities: bool = True,
        previous: Life | None = None,
        progress: Callable[[int], object] | None = None,
    ) -> Life:
        """Simulate a life.

        Parameters
        ----------
        theta : numpy.ndarray
            Parameter factors, shape (n_theta,).
        cycles : int
            How many cycles.
        sensitivities : bool
            Whether to propagate derivatives with respect to theta.
        previous : Life, optional
            A life at a neighbouring theta: its elements, meshes and states are reused.
        progress : callable, optional
            Called with the number of completed cycles.
        """
        run = _Run(self, np.asarray(theta, float), cycles, sensitivities, previous, progress)
        return run.go()


class _Run:
    """The state of one simulation while it goes on."""

    def __init__(
        self,
        solver: LifeSolver,
        theta: np.ndarray,
        cycles: int,
        sensitivities: bool,
        previous: Life | None,
        progress: Callable[[int], object] | None,
    ) -> None:
        dae = solver.cycle.sequence.dae
        self.solver, self.cycle, self.options = solver, solver.cycle, solver.options
        self.theta, self.cycles = theta, cycles
        self.progress = progress or (lambda done: None)
        count = len(theta) if sensitivities else 0
        self.by_theta = np.eye(len(theta))[:, :count]
        self.y = np.concatenate([dae.start(theta)[0], [0.0, 0.0]])
        self.dy = np.zeros((self.cycle.ny, count))
        if count:
            self.dy[: dae.nx] = dae.start_jacobian(theta)
        self.n = self.origin = 0
        self.point: CyclePoint | None = None
        self.pieces: list[DirectPiece | Element] = []
        self.interrupted: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        # the last solution of each interruption is the next one's guess
        self.between: dict[CycleMap, CycleSolution] = {}
        self.error = 0.0
        self.calls = self.cycle.calls
        self.meshed: list[float] = []
        # another method has other time meshes
        usable = previous is not None and previous.method == self.options.method
        self.previous = _Previous(previous, theta) if previous is not None and usable else None

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
        pieces = [p.without_chords() if isinstance(p, Element) else p for p in self.pieces]
        return Life(
            self.n,
            tuple(pieces),
            (self.y, self.dy),
            failure,
            self.error,
            self.cycle.calls - self.calls + len(self.interrupted),
            self.theta,
            self.options.method,
            self.interrupted,
        )

    def _stretch(self, stop: int) -> None:
        """From the present state to P(stop)."""
        if self.options.method == "direct":
            self._direct(stop - self.n)
            return
        self.origin = self.n
        self._direct(min(self.options.settle, stop - self.n))
        width = self._width(self.n + self.options.first_element)
        while self.n < stop:
            # the last cycle of a stretch is simulated from the end of the last element
            last = stop - 1
            if last - self.n < self.options.macro.smallest:
                self._direct(stop - self.n)
                return
            width = self._advance_element(width, last)

    def _width(self, stop: float) -> float:
        """Length of an element from here to `stop` in the coordinate s."""
        return float(place(stop, self.origin) - place(self.n, self.origin))

    def _stop(self, width: float, last: int) -> int:
        """Where an element of this length in s ends; no short rest is left over."""
        end = self.origin + (float(place(self.n, self.origin)) + width) ** 2
        nearly = self._width(last) < 1.25 * width
        return last if nearly else min(max(round(end), self.n + 1), last)

    def _advance_element(self, width: float, last: int) -> float:
        """One element of about this length, or some direct cycles; returns the next length."""
        begin = self._begin()
        if self.previous is not None and self._repeat_element(self.previous, begin, last):
            return width
        while True:
            stop = self._stop(width, last)
            width = self._width(stop)
            try:
                element = self._solve(begin, stop, self._cold_guess(begin, stop))
                error = element.error
            except SolveFailure:
                error = np.inf
            allowed = self._allowance(stop)
            if error <= allowed:
                self._accept(element)
                return width * min(3.0, max(0.5, _change_of_length(allowed, error)))
            # short enough that `_stop` does not lengthen it to the same end again
            shorter = _change_of_length(allowed, error) if np.isfinite(error) else 0.3
            width *= min(max(shorter, 0.2), 0.75)
            if self._stop(width, last) - self.n < self.options.macro.smallest:
                self._direct(self.options.macro.smallest)
                return self._width(self.n + self.options.macro.smallest)

    def _repeat_element(self, previous: _Previous, begin: CyclePoint, last: int) -> bool:
        """Solve the neighbouring life's element anew; whether there was one and it worked.

        It may err by twice the allowance: a mesh that changes at every step of a fit would
        make the residuals rough.
        """
        planned = previous.element(self.n)
        if planned is None or planned.last > last or planned.origin != self.origin:
            return False
        guess = previous.guess(planned)
        if guess.directions.shape[2] != self.dy.shape[1]:
            guess = replace(guess, directions=self._cold_guess(begin, planned.last).directions)
        try:
            element = self._solve(begin, planned.last, guess)
        except SolveFailure:
            return False
        if element.error > 2.0 * self._allowance(planned.last):
            return False
        self._accept(element)
        return True

    def _allowance(self, stop: float) -> float:
        """Error that an element up to `stop` may have, so that all add up to the tolerance.

        Half of the tolerance may be used at any time, the rest in proportion to the life.
        """
        share = 0.5 + 0.5 * stop / self.cycles
        return max(
            share * self.options.macro.tolerance - self.error, 0.05 * self.options.macro.tolerance
        )

    def _begin(self) -> CyclePoint:
        """The cycle at the present state, with directions: on new time meshes if it needs them."""
        last = self.pieces[-1] if self.pieces else None
        guess = self.previous.begin(self.n) if self.previous else None
        if isinstance(last, Element):
            point = last.points[-1]
            keep = (
                guess.same_meshes(point.solution) if guess else not self._outgrown(point.solution)
            )
            if keep:
                return point
        return self._evaluate(guess or self._neighbour())

    def _neighbour(self) -> CycleSolution | None:
        """The last cycle's solution, if its time meshes still serve."""
        if self.point is None or self._outgrown(self.point.solution):
            return None
        return self.point.solution

    def _after_element(self) -> CycleSolution | None:
        """The solution at the end of an element, whose meshes serve there however far it came."""
        follows = self.pieces and isinstance(self.pieces[-1], Element)
        return self.point.solution if follows and self.point else None

    def _evaluate(self, guess: CycleSolution | None, tolerance: float | None = None) -> CyclePoint:
        """The cycle at the present state, with directions; meshes are new without a guess."""
        point = self.cycle(self.y, self.theta, guess, (self.dy, self.by_theta), tolerance)
        if guess is None or not self.meshed:
            self.meshed = [step.duration for step in point.solution.steps]
        return point

    def _cold_guess(self, begin: CyclePoint, stop: float) -> Guess:
        nodes = element_nodes(self.n, stop, self.origin)[1:]
        last = self.pieces[-1] if self.pieces else None
        if isinstance(last, Element) and self._width(stop) <= 3.0 * last.width:
            basis = last.basis(nodes)
            states = basis @ last.states
            directions = np.einsum("kn,nyp->kyp", basis, last.directions)
        else:
            ahead = nodes - self.n
            states = begin.start + ahead[:, None] * (begin.end - begin.start)
            change = begin.end_directions - self.dy if self.dy.shape[1] else self.dy
            directions = self.dy + ahead[:, None, None] * change
        space = last.jacobian.space if isinstance(last, Element) else None
        return Guess(states, directions, (begin,) * STAGES, space=space)

    def _solve(self, begin: CyclePoint, stop: float, guess: Guess) -> Element:
        """The element with its error, measured by a simulated cycle between its nodes."""
        nodes = element_nodes(self.n, stop, self.origin)
        element = ElementSolve(
            self.cycle,
            begin,
            self.dy,
            self.theta,
            nodes,
            self.origin,
            guess,
            self.options.macro,
        ).solve()
        newton = self.options.macro.newton
        return replace(element, error=element_error(self.cycle, element, self.theta, newton))

    def _accept(self, element: Element) -> None:
        if self.pieces and isinstance(self.pieces[-1], Element):
            self.pieces[-1] = self.pieces[-1].without_chords()
        self.pieces.append(element)
        self.error += element.error
        self.n, self.point = element.last, element.points[-1]
        self.y, self.dy = element.states[-1], element.directions[-1]
        self.progress(self.n)

    def _direct(self, count: int) -> None:
        """Simulate `count` cycles one by one."""
        rows: list[CyclePoint] = []
        directions: list[np.ndarray] = []
        first = self.n
        guess = self._after_element()
        macro = self.options.method == "macro"
        error = self.options.macro.newton
        tolerance = cycle_tolerance(self.cycle, error, _SINGLE) if macro else None
        try:
            for _ in range(count):
                if self.previous and self.n in self.previous.solutions:
                    guess = self.previous.solutions[self.n]
                point = self._evaluate(guess or self._neighbour(), tolerance)
                guess = None
                rows.append(point.without_chords())
                directions.append(self.dy)
                self.y, self.dy, self.point = point.end, point.end_directions, point
                self.n += 1
                self.progress(self.n)
        finally:
            if rows:
                self.pieces.append(_direct_piece(first, rows, directions, self._keeps_solutions()))

    def _keeps_solutions(self) -> bool:
        return self.options.keep_solutions or self.options.method == "macro"

    def _outgrown(self, solution: CycleSolution) -> bool:
        """Whether the steps have changed so much that their mesh should be chosen anew."""
        for step, then in zip(solution.steps, self.meshed, strict=True):
            if abs(step.duration - then) > self.options.remesh * max(then, 1.0):
                return True
        return False

    def _interrupt(self, sequence: CycleMap) -> None:
        self.interrupted[self.n] = (self.y, self.dy)
        guess = self.between.get(sequence)
        point = sequence(self.y, self.theta, guess, (self.dy, self.by_theta))
        self.between[sequence] = point.without_chords().solution
        self.y, self.dy = point.end, point.end_directions


def _change_of_length(allowed: float, error: float) -> float:
    """Factor on an element's length that would bring its error to what is allowed."""
    return float(0.95 * (allowed / max(error, 1e-12)) ** (1.0 / (STAGES + 1)))


def _direct_piece(
    first: int, rows: list[CyclePoint], directions: list[np.ndarray], keep_solutions: bool
) -> DirectPiece:
    return DirectPiece(
        first,
        np.array([p.start for p in rows]),
        np.array(directions),
        np.array([p.features for p in rows]),
        np.array([p.feature_directions for p in rows]),
        tuple(p.solution for p in rows) if keep_solutions else (),
    )


class _Previous:
    """A neighbouring life, looked up by cycle number and moved to first order."""

    def __init__(self, life: Life, theta: np.ndarray) -> None:
        self.change = theta - life.theta
        self.elements = {e.first: e for e in life.pieces if isinstance(e, Element)}
        self.solutions: dict[int, CycleSolution] = {}
        for piece in life.pieces:
            if isinstance(piece, DirectPiece):
                self.solutions.update({piece.first + k: s for k, s in enumerate(piece.solutions)})

    def element(self, n: int) -> Element | None:
        return self.elements.get(n)

    def begin(self, n: int) -> CycleSolution | None:
        element = self.elements.get(n)
        return element.points[0].solution if element is not None else None

    def guess(self, element: Element) -> Guess:
        states, directions = element.states[1:], element.directions[1:]
        moved = states
        if element.directions.shape[2] == len(self.change):
            step = element.directions[1:] @ self.change
            if np.all(np.abs(step) < 0.3 * (1e-2 + np.abs(states).max(axis=0))):
                moved = states + step
        return Guess(
            moved, directions, element.points[1:], element.jacobian, element.jacobian.space
        )
