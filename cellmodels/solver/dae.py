"""The discretised cell as CasADi functions of its state, current and free parameters.

The semi-explicit differential-algebraic system

    dx/dt = f(x, z, I; theta),    0 = g(x, z, I; theta),    V = V(x, z, I; theta)

is evaluated at many points at once. A *point* is the vector v = [x, z, I] of length
n = nx + nz + 1, and F(v) = [f, g, V] has the same length, so that its Jacobian is
square. ``theta`` are dimensionless factors on the nominal values of the free parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import casadi as ca
import numpy as np

from cellmodels.solver.lift import lift
from cellmodels.solver.outcome import Reason, SolveFailure
from cellmodels.solver.powers import guard_powers
from cellmodels.solver.program import Program

#: Entries of the Jacobian that vanish at rest are taken as so much smaller in the choice of pivots.
_AT_LOAD = 1e-12


class _Mapped:
    """A CasADi function (v, theta) -> dense vector, evaluated at M points in one call.

    CasADi's buffer interface is used: it avoids the conversion of every argument.
    """

    def __init__(self, function: ca.Function) -> None:
        self._function = function
        self._size_out = function.numel_out(0)
        self._compiled: dict[int, tuple] = {}

    def __call__(self, points: np.ndarray, theta: np.ndarray) -> np.ndarray:
        m = len(points)
        if m not in self._compiled:
            mapped = (
                self._function.map(f"map{m}", "serial", m, [1], [], {}) if m > 1 else self._function
            )
            self._compiled[m] = (mapped, *mapped.buffer())
        _, buffer, run = self._compiled[m]
        points = np.ascontiguousarray(points, float)
        theta = np.ascontiguousarray(theta, float)
        out = np.empty((m, self._size_out))
        if self._size_out == 0:
            return out
        buffer.set_arg(0, points.reshape(-1).data)
        buffer.set_arg(1, theta.data)
        buffer.set_res(0, out.reshape(-1).data)
        run()
        return out


def _evaluator(function: ca.Function) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """The fastest way to evaluate a function (v, theta) -> dense vector at many points."""
    if function.is_a("SXFunction"):
        try:
            return Program(function)
        except LookupError:  # an operation that only CasADi knows
            pass
    return _Mapped(function)


@dataclass(frozen=True)
class Pattern:
    """Rows and columns of the nonzeros of a Jacobian, each of shape (nnz,), and its height."""

    rows: np.ndarray
    cols: np.ndarray
    height: int

    @classmethod
    def of(cls, sparsity: ca.Sparsity) -> Pattern:
        """The pattern of a CasADi sparsity."""
        rows, cols = sparsity.get_triplet()
        return cls(np.array(rows, int), np.array(cols, int), sparsity.size1())


class Dae:
    """A cell model as fast numeric functions.

    Parameters
    ----------
    point, theta : casadi.MX or casadi.SX
        Symbols of v = [x, z, I] (length nx + nz + 1) and of the parameter factors.
    system : casadi.MX or casadi.SX
        F = [f, g, V], same length as `point`.
    start : casadi.MX or casadi.SX
        Initial [x, z] as a function of `theta`.
    nx, nz : int
        Numbers of differential and algebraic states. Auxiliary algebraic states may be added
        (`cellmodels.solver.lift`).
    names : sequence of str
        The free parameters.
    nominal : numpy.ndarray
        Their nominal values (the scale of `theta`), shape (n_theta,).
    outputs : dict of str to casadi expression
        Scalar variables of interest as functions of `point` and `theta`.
    events : dict of str to casadi expression
        Quantities that must stay positive for the model to be valid.
    state_names : dict of str to slice
        Where each named differential state lives in x; the unit, at the name's end, tells which are
        potentials.
    fractions : sequence of str
        Names of states that are volume fractions. Below zero, where nothing is left of an
        electrode, the equations have other solutions, without sense.
    reference : numpy.ndarray, optional
        Parameter factors of the cell as it is, shape (n_theta,): one, but for parameters whose
        nominal value is zero; by default one for all.
    """

    def __init__(
        self,
        point: ca.MX,
        theta: ca.MX,
        system: ca.MX,
        start: ca.MX,
        *,
        nx: int,
        nz: int,
        names: Sequence[str],
        nominal: np.ndarray,
        outputs: dict[str, ca.MX],
        events: dict[str, ca.MX],
        state_names: dict[str, slice],
        fractions: Sequence[str] = (),
        reference: np.ndarray | None = None,
    ) -> None:
        self.nx, self.nz, self.n = nx, nz, nx + nz + 1
        self.reference = np.ones(len(names)) if reference is None else np.asarray(reference, float)
        self.names = tuple(names)
        self.nominal = np.asarray(nominal, float)
        self.output_names = tuple(outputs)
        self.event_names = tuple(events)
        self.state_names = dict(state_names)
        self.potentials = np.zeros(nx, bool)
        for name, where in state_names.items():
            self.potentials[where] |= name.endswith("[V]")
        self._fractions = [np.arange(nx)[state_names[name]] for name in fractions]

        function = ca.Function("F", [point, theta], [ca.densify(system)])
        start_function = ca.Function("start", [theta], [start])
        extra = ca.Function(
            "extra", [point, theta], [ca.vertcat(ca.MX(0, 1), *outputs.values(), *events.values())]
        )
        function, self.expanded = _expand(function)
        extra, _ = _expand(extra)
        if self.expanded:
            function = lift(guard_powers(function))
        self._lifted = function.numel_in(0) - self.n
        self.nz, self.n = self.nz + self._lifted, self.n + self._lifted
        # the outputs do not see the auxiliary states
        self._seen = np.delete(np.arange(self.n), self.n - 1 - np.arange(1, self._lifted + 1))

        v, p = _symbols_like(function)
        value = _shared(function(v, p))
        jacobian = ca.jacobian(value, v)
        parametric = ca.jacobian(value, p)
        self.pattern = Pattern.of(jacobian.sparsity())
        self.parametric_pattern = Pattern.of(parametric.sparsity())
        self._evaluate = _evaluator(ca.Function("F", [v, p], [ca.densify(value)]))
        volt = value[self.n - 1]
        self._voltage_symbols = (v, p, volt)
        self._voltage = _evaluator(ca.Function("V", [v, p], [ca.densify(volt)]))
        both = _shared(ca.vertcat(ca.densify(value), _nonzeros(jacobian)))
        self._linearise = _evaluator(ca.Function("J", [v, p], [both]))
        self._parametric = _evaluator(ca.Function("P", [v, p], [_shared(_nonzeros(parametric))]))
        ve, pe = _symbols_like(extra)
        extra_value = extra(ve, pe)
        self._extra_symbols = (ve, pe, extra_value)
        self._followed: dict[str, tuple[np.ndarray, Callable]] = {}
        self._extra = _evaluator(ca.Function("extra", [ve, pe], [ca.densify(extra_value)]))
        self._extra_jacobian = ca.Function(
            "dextra", [ve, pe], [ca.jacobian(extra_value, ve), ca.jacobian(extra_value, pe)]
        )
        self._start = start_function
        theta_symbol = ca.MX.sym("theta", len(self.names))
        self._start_jacobian = ca.Function(
            "dstart", [theta_symbol], [ca.jacobian(start_function(theta_symbol), theta_symbol)]
        )

    def typical(self) -> tuple[np.ndarray, np.ndarray]:
        """F and dF/dv at the cell's start and 1 A, (n,) and (nnz,), from which pivots are chosen.

        What vanishes at rest is made tiny, so that no pivot is left to it.

        Raises
        ------
        SolveFailure
            If they are not finite.
        """
        theta = self.reference
        start = np.concatenate(self.start(theta))
        system, jacobian = self.linearise(np.array([[*start, 1.0], [*start, 0.0]]), theta)
        if not (np.all(np.isfinite(system[0])) and np.all(np.isfinite(jacobian[0]))):
            raise SolveFailure(Reason.NON_FINITE, "the model is not finite at its start")
        return system[0], np.where(jacobian[1] == 0.0, _AT_LOAD, 1.0) * jacobian[0]

    def vanishes(self, start: np.ndarray, points: np.ndarray, *, everywhere: bool = False) -> bool:
        """Whether a volume fraction, positive at `start`, is negative at one of the points.

        Points have shape (..., n); at one place, or everywhere in its electrode.
        """
        for places in self._fractions:
            gone = points[..., places] < 0.0
            if everywhere:
                gone = np.all(gone, axis=-1, keepdims=True) & np.any(start[places] > 0.0)
            else:
                gone = gone & (start[places] > 0.0)
            if np.any(gone):
                return True
        return False

    def nearly_gone(self, point: np.ndarray, fresh: np.ndarray, share: float) -> bool:
        """Whether less than this share of what is `fresh` is left anywhere in an electrode."""
        return any(np.all(point[p] < share * fresh[p]) for p in self._fractions)

    def evaluate(self, points: np.ndarray, theta: np.ndarray) -> np.ndarray:
        """F = [f, g, V] at M points, shape (M, n)."""
        return self._evaluate(points, theta)

    def voltage(self, points: np.ndarray, theta: np.ndarray) -> np.ndarray:
        """V at M points [V], shape (M,)."""
        return self._voltage(points, theta)[:, 0]

    def voltage_slopes(
        self, points: np.ndarray, theta: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """V at M points, (M,), and its derivatives by `voltage_sees`, (M, s), and theta."""
        both = self._voltage_slopes(points, theta)
        seen = 1 + len(self.voltage_sees)
        return both[:, 0], both[:, 1:seen], both[:, seen:]

    @cached_property
    def voltage_sees(self) -> np.ndarray:
        """The unknowns of a point that the voltage depends on, shape (s,)."""
        return np.sort(self.pattern.cols[self.pattern.rows == self.n - 1])

    @cached_property
    def _voltage_slopes(self) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
        v, p, volt = self._voltage_symbols
        by_point = ca.densify(ca.jacobian(volt, v)[:, self.voltage_sees.tolist()])
        both = ca.vertcat(ca.densify(volt), by_point.T, ca.densify(ca.jacobian(volt, p)).T)
        return _evaluator(ca.Function("dV", [v, p], [_shared(both)]))

    def linearise(self, points: np.ndarray, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """F, shape (M, n), and the nonzeros of dF/dv, shape (M, nnz), at M points."""
        both = self._linearise(points, theta)
        return both[:, : self.n], both[:, self.n :]

    def parametric(self, points: np.ndarray, theta: np.ndarray) -> np.ndarray:
        """Nonzeros of dF/dtheta at M points, shape (M, nnz_p)."""
        return self._parametric(points, theta)

    def start(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Initial x, shape (nx,), and a guess of z, shape (nz,)."""
        both = self._start(theta).full().ravel()
        point = np.concatenate([both, np.zeros(self._lifted + 1)])
        added = np.arange(len(both), self.n - 1)
        for _ in added:  # each follows from the states and from others that are known by then
            wrong = self.evaluate(point[None, :], theta)[0, added]
            point[added] -= np.where(np.isfinite(wrong), wrong, 0.0)
        return point[: self.nx], point[self.nx : -1]

    def start_jacobian(self, theta: np.ndarray) -> np.ndarray:
        """d x_0 / d theta, shape (nx, n_theta)."""
        return self._start_jacobian(theta).full()[: self.nx]

    def outputs(self, points: np.ndarray, theta: np.ndarray) -> np.ndarray:
        """The named outputs at M points, shape (M, len(output_names))."""
        return self._extra(points[:, self._seen], theta)[:, : len(self.output_names)]

    def output_sees(self, name: str) -> np.ndarray:
        """The unknowns of a point on which an output depends, shape (s,)."""
        return self._following(name)[0]

    def output_slopes(
        self, name: str, points: np.ndarray, theta: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """An output at M points, (M,), its derivatives by `output_sees`, (M, s), and theta."""
        sees, evaluate = self._following(name)
        both = evaluate(points[:, self._seen], theta)
        return both[:, 0], both[:, 1 : 1 + len(sees)], both[:, 1 + len(sees) :]

    def _following(self, name: str) -> tuple[np.ndarray, Callable]:
        if name not in self._followed:
            v, p, values = self._extra_symbols
            value = values[self.output_names.index(name)]
            slope = ca.jacobian(value, v)
            columns = np.unique(Pattern.of(slope.sparsity()).cols)
            by_point = ca.densify(slope[:, columns.tolist()])
            both = ca.vertcat(ca.densify(value), by_point.T, ca.densify(ca.jacobian(value, p)).T)
            function = ca.Function("output", [v, p], [_shared(both)])
            self._followed[name] = self._seen[columns], _evaluator(function)
        return self._followed[name]

    def outputs_jacobian(
        self, point: np.ndarray, theta: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Derivatives of the outputs with respect to v, (n_out, n), and theta, (n_out, n_theta)."""
        by_seen, by_theta = self._extra_jacobian(point[self._seen], theta)
        k = len(self.output_names)
        by_point = np.zeros((k, self.n))
        by_point[:, self._seen] = by_seen.full()[:k]
        return by_point, by_theta.full()[:k]

    def violated_event(self, points: np.ndarray, theta: np.ndarray) -> str | None:
        """Name of the first model limit that is crossed at any of the points, or None."""
        if not self.event_names:
            return None
        bad = np.flatnonzero(np.any(~(self.events(points, theta) > 0), axis=0))
        return self.event_names[bad[0]] if len(bad) else None

    def events(self, points: np.ndarray, theta: np.ndarray) -> np.ndarray:
        """What must stay positive for the model to be valid, at M points, shape (M, n_events)."""
        return self._extra(points[:, self._seen], theta)[:, len(self.output_names) :]


def _expand(function: ca.Function) -> tuple[ca.Function, bool]:
    """Expand to scalar expressions, which evaluate many times faster, where possible.

    Interpolation tables (B-splines) have no scalar form and stay as they are.
    """
    try:
        return function.expand(), True
    except RuntimeError:
        return function, False


def _shared(expression: Any) -> Any:
    """The same expression with every common sub-expression computed once."""
    return ca.cse(expression) if isinstance(expression, ca.SX) else expression


def _symbols_like(function: ca.Function) -> tuple:
    sym: Callable = ca.SX.sym if function.is_a("SXFunction") else ca.MX.sym
    return sym("v", function.numel_in(0)), sym("p", function.numel_in(1))


def _nonzeros(matrix: Any) -> Any:
    return matrix.nz[:] if matrix.nnz() else type(matrix)(0, 1)
