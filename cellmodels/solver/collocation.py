"""The collocation equations of a whole step, and their linear algebra.

The unknowns of a step of N intervals are the stage values w_i (3 points v = [x, z, I]
each) and the duration T. With the mesh fixed in relative time the equations are

    sum_k D[k, j] x_ik  -  T dtau_i f(v_ij)  =  0,      x_i0 = x_(i-1)3,
    g(v_ij) = 0,    control(I_ij, V_ij) = 0,            e(w, T) = 0,

where e is the step's end condition. The Jacobian is block bidiagonal with a border (the
column of T and the row of e), so that it is solved by one pass over the intervals.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from cellmodels.solver import radau
from cellmodels.solver.block_lu import analyse, eliminate, sweep, sweep_back, sweep_one
from cellmodels.solver.compiled import compiled
from cellmodels.solver.dae import Dae
from cellmodels.solver.outcome import Reason, SolveFailure
from cellmodels.solver.step import HOUR, Control, Stop

#: Interval for which the pivots are ordered [s].
_TYPICAL_INTERVAL = 100.0


class IntervalMatrix:
    """The matrix of one interval, for one kind of control: its pattern and its numbers.

    The pivot order is found once, from the matrix at the cell's start, so that it does not
    depend on what was solved before.
    """

    def __init__(self, dae: Dae, control: str) -> None:
        rows, cols, n, nx = dae.pattern.rows, dae.pattern.cols, dae.n, dae.nx
        # the control replaces the voltage row; a current control does not see the voltage
        keep = np.flatnonzero((rows < n - 1) | (control != "current"))
        x = np.arange(nx)
        place = np.concatenate([rows[keep], x, [n - 1]]), np.concatenate([cols[keep], x, [n - 1]])
        system, jacobian = dae.typical()
        weight_i, weight_v = Control(control, 1.0).weights(np.ones(1), system[-1:])
        typical = np.where(rows < nx, -_TYPICAL_INTERVAL, np.where(rows < n - 1, 1.0, weight_v))
        numbers = np.concatenate(
            [(typical * jacobian)[keep], np.full(nx, radau.REAL_EIGENVALUE), weight_i]
        )
        self.order = analyse(sp.csc_matrix((numbers, place), shape=(n, n)), nx)
        index = np.full((n, n), -1)
        index[rows[keep], cols[keep]] = keep
        row, col = self.order.entries()
        self._jacobian = index[row, col]
        self._scaled = row < nx
        self._controls = row == n - 1
        self._differential = (row == col) & (row < nx)
        self._current = (row == n - 1) & (col == n - 1)
        # from one stage to the next in the numbers of a block
        self._stride = np.where(self.order.full, 4, 1)
        #: what the voltage depends on
        self.seen = np.ascontiguousarray(cols[rows == n - 1])
        self._where = (self.order, radau.DERIVATIVE[0], nx)

    def factorise(
        self,
        jacobian: np.ndarray,
        h: np.ndarray,
        weight_i: np.ndarray,
        weight_v: np.ndarray,
        derivative: np.ndarray = radau.DERIVATIVE[1:],
    ) -> np.ndarray:
        """Factors of every interval's matrix, shape (N, count of numbers).

        `jacobian` is (N, 3, nnz) of dF/dv, `h` the interval lengths [s], (N,), the weights
        the control's derivatives, (N, 3), and `derivative` how the stages' time derivatives
        depend on the stages, (3, 3).

        Raises
        ------
        SolveFailure
            If a matrix is singular, or so nearly that pivots are lost.
        """
        blocks = np.zeros((len(h), self.order.at[-1]))
        _fill(
            jacobian,
            h,
            weight_i,
            weight_v,
            self._jacobian,
            self._scaled,
            self._controls,
            self._differential,
            self._current,
            self.order.at,
            self._stride,
            derivative,
            blocks,
        )
        if eliminate(blocks, self.order):
            raise SolveFailure(Reason.NOT_CONVERGED, "the Newton matrix is singular")
        return blocks

    def filter_error(
        self,
        rhs: np.ndarray,
        h: float,
        at: Linearisation,
        stages: np.ndarray,
        control: Control,
    ) -> np.ndarray:
        """Solve (gamma - h dF/dv) e = rhs at the first stage of an interval, shape (n,)."""
        weights = control.weights(stages[None, :, -1], at.system[:, :, -1])
        first = [np.repeat(w[:, :1], 3, axis=1) for w in (at.jacobian, *weights)]
        derivative = radau.REAL_EIGENVALUE * np.eye(3)
        blocks = self.factorise(first[0], np.array([h]), first[1], first[2], derivative)
        return self.solve(blocks, np.tile(rhs, (1, 3, 1)))[0, 0]

    def solve(self, blocks: np.ndarray, rhs: np.ndarray) -> np.ndarray:
        """Solve over all intervals, from a start that stays; rhs and result are (N, 3, n)."""
        out = np.empty_like(rhs)
        sweep_one(blocks, *self._where, np.ascontiguousarray(rhs), out)
        return out

    def propagate(
        self,
        blocks: np.ndarray,
        start: np.ndarray,
        rhs: np.ndarray,
        columns: np.ndarray,
        by_stage: np.ndarray,
        keep_stages: bool,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Solve for k directions from dx_0 = `start`, shape (nx, k).

        `rhs`, (N, 3, n, c), acts on the given c columns of the k; `by_stage`, (N, 3, s), are
        the voltage's derivatives. Returns the directions of current and voltage, (N, 3, k),
        of the last stage, (n, k), and of all stages, (N, 3, n, k), or an empty array.
        """
        count, _, n = rhs.shape[:3]
        k = start.shape[1]
        current, voltage = np.empty((count, 3, k)), np.empty((count, 3, k))
        last = np.empty((n, k))
        stages = np.empty((count, 3, n, k) if keep_stages else (0, 3, n, k))
        start, rhs = np.ascontiguousarray(start), np.ascontiguousarray(rhs)
        results = (current, voltage, last, stages)
        sweep(blocks, *self._where, start, rhs, columns, self.seen, by_stage, *results)
        return results

    def sweep_back(self, blocks: np.ndarray, rhs: np.ndarray) -> np.ndarray:
        """Solve with the transpose; `rhs`, (N, 3, n, k), is overwritten. Returns (nx, k)."""
        return sweep_back(blocks, *self._where, rhs)


@compiled
def _fill(
    jacobian: np.ndarray,
    h: np.ndarray,
    weight_i: np.ndarray,
    weight_v: np.ndarray,
    where: np.ndarray,
    scaled: np.ndarray,
    controls: np.ndarray,
    differential: np.ndarray,
    current: np.ndarray,
    at: np.ndarray,
    stride: np.ndarray,
    derivative: np.ndarray,
    blocks: np.ndarray,
) -> None:
    for i in range(len(h)):
        for e in range(len(where)):
            block = blocks[i, at[e] : at[e + 1]]
            if where[e] >= 0:
                for j in range(3):
                    value = jacobian[i, j, where[e]]
                    if scaled[e]:
                        value *= -h[i]
                    elif controls[e]:
                        value *= weight_v[i, j]
                    block[stride[e] * j] = value
            if differential[e]:
                for j in range(3):
                    for k in range(3):
                        block[3 * j + k] += derivative[k, j]
            if current[e]:
                for j in range(3):
                    block[stride[e] * j] += weight_i[i, j]


@compiled
def _time_derivatives(
    start: np.ndarray,
    stages: np.ndarray,
    h: np.ndarray,
    first: np.ndarray,
    derivative: np.ndarray,
    out: np.ndarray,
) -> None:
    """Turn the f of `out` into what the collocation polynomial's derivative differs from h f."""
    for i in range(len(h)):
        for x in range(len(start)):
            before = start[x] if i == 0 else stages[i - 1, 2, x]
            w0, w1, w2 = stages[i, 0, x], stages[i, 1, x], stages[i, 2, x]
            for j in range(3):
                slope = derivative[0, j] * w0 + derivative[1, j] * w1 + derivative[2, j] * w2
                out[i, j, x] = first[j] * before + slope - h[i] * out[i, j, x]


@compiled
def add_multiple(stages: np.ndarray, factor: float, directions: np.ndarray) -> np.ndarray:
    """stages + factor * directions, both of shape (N, 3, n)."""
    out = np.empty_like(stages)
    for i in range(stages.shape[0]):
        for j in range(stages.shape[1]):
            for k in range(stages.shape[2]):
                out[i, j, k] = stages[i, j, k] + factor * directions[i, j, k]
    return out


@dataclass(frozen=True)
class EndRow:
    """Linearised end condition: value and derivatives.

    `last` multiplies the last stage, shape (n,); `current` the current at every stage,
    shape (N, 3), or None; `duration` multiplies T.
    """

    value: float
    last: np.ndarray
    current: np.ndarray | None
    duration: float

    def apply(self, last: np.ndarray, current: np.ndarray) -> np.ndarray:
        """Product with directions of the last stage, (n, ...), and the current, (N, 3, ...)."""
        out = self.last @ last
        if self.current is not None:
            out = out + np.einsum("ij,ij...->...", self.current, current)
        return out


@dataclass(frozen=True)
class Linearisation:
    """Everything evaluated at one iterate (stages, T)."""

    system: np.ndarray  # F, (N, 3, n)
    jacobian: np.ndarray  # nonzeros of dF/dv, (N, 3, nnz); (N, 3, 0) if not evaluated


@dataclass(frozen=True)
class Propagated:
    """Directions of a step, k of them.

    Of the duration, (k,), of current and voltage at the stages, (N, 3, k), of the last
    stage, (n, k), and of all stages, (N, 3, n, k), if they are kept.
    """

    duration: np.ndarray
    current: np.ndarray
    voltage: np.ndarray
    last: np.ndarray
    stages: np.ndarray | None


class Factors:
    """Factorised Newton matrix of a step, its intervals and the border, at given stages."""

    def __init__(
        self,
        matrix: IntervalMatrix,
        blocks: np.ndarray,
        border: np.ndarray,
        end: EndRow,
        stages: np.ndarray,
        at: Linearisation,
    ) -> None:
        self._matrix, self._blocks = matrix, blocks
        self.end, self.stages, self.at = end, stages, at
        self.response = matrix.solve(blocks, border)
        self.pivot = float(end.apply(self.response[-1, -1], self.response[:, :, -1])) + end.duration
        if not np.isfinite(self.pivot) or self.pivot == 0.0:
            raise SolveFailure(
                Reason.NOT_CONVERGED, "the end condition does not depend on the duration"
            )

    def solve(self, rhs: np.ndarray, rhs_end: float) -> tuple[np.ndarray, float]:
        """Solve for (dw, dT): `rhs` and dw have shape (N, 3, n)."""
        stages = self._matrix.solve(self._blocks, rhs)
        duration = (rhs_end - float(self.end.apply(stages[-1, -1], stages[:, :, -1]))) / self.pivot
        return add_multiple(stages, duration, self.response), duration

    def propagate(
        self,
        start: np.ndarray,
        rhs: np.ndarray,
        rhs_end: np.ndarray,
        columns: np.ndarray,
        by_stage: np.ndarray,
        keep_stages: bool,
    ) -> Propagated:
        """The directions that follow from dx_0 = `start`, shape (nx, k).

        `rhs`, (N, 3, n, c), and `rhs_end`, (c,), act on the given c of the k columns only;
        `by_stage`, (N, 3, s), are the voltage's derivatives by what it depends on.
        """
        end = np.zeros(start.shape[1])
        end[columns] = rhs_end
        current, voltage, last, stages = self._matrix.propagate(
            self._blocks, start, rhs, columns, by_stage, keep_stages
        )
        # the duration is such that the end condition holds
        duration = (end - self.end.apply(last, current)) / self.pivot
        seen = self.response[:, :, self._matrix.seen]
        return Propagated(
            duration=duration,
            current=current + self.response[:, :, -1:] * duration,
            voltage=voltage + np.sum(by_stage * seen, axis=2)[..., None] * duration,
            last=last + self.response[-1, -1][:, None] * duration,
            stages=stages + self.response[..., None] * duration if keep_stages else None,
        )

    def pull_back(self, stages: np.ndarray, duration: np.ndarray) -> np.ndarray:
        """Derivative of k outputs by the start of the step, shape (nx, k).

        The outputs are given by their derivatives by the stages, (N, 3, n, k), which are
        overwritten, and by the duration, (k,).
        """
        along = np.einsum("ija,ijak->k", self.response, stages) + duration
        along /= self.pivot
        stages[-1, -1] -= self.end.last[:, None] * along
        if self.end.current is not None:
            stages[:, :, -1] -= self.end.current[:, :, None] * along
        return self._matrix.sweep_back(self._blocks, stages)


class Collocation:
    """The collocation system of one model for any step: residuals, matrices, sensitivities."""

    def __init__(self, dae: Dae) -> None:
        self.dae = dae
        self._matrices: dict[str, IntervalMatrix] = {}
        self._volt = np.flatnonzero(dae.pattern.rows == dae.nx + dae.nz)
        self._volt_cols = dae.pattern.cols[self._volt]

    def voltage_slopes(self, at: Linearisation) -> np.ndarray:
        """Derivatives of the voltage by what it depends on, shape (N, 3, s)."""
        return np.ascontiguousarray(at.jacobian[:, :, self._volt])

    def matrix(self, control: Control) -> IntervalMatrix:
        """The interval's matrix for this kind of control."""
        if control.kind not in self._matrices:
            self._matrices[control.kind] = IntervalMatrix(self.dae, control.kind)
        return self._matrices[control.kind]

    def evaluate(self, stages: np.ndarray, theta: np.ndarray, *, jacobian: bool) -> Linearisation:
        """F and, if asked, its Jacobian at every stage; raises on non-finite values."""
        shape = (len(stages), 3, -1)
        points = stages.reshape(-1, self.dae.n)
        if jacobian:
            system, nonzeros = self.dae.linearise(points, theta)
            out = Linearisation(system.reshape(shape), nonzeros.reshape(shape))
        else:
            system = self.dae.evaluate(points, theta)
            out = Linearisation(system.reshape(shape), np.empty((len(stages), 3, 0)))
        if not np.all(np.isfinite(out.system)):
            raise SolveFailure(Reason.NON_FINITE, "the model is not finite at a trial state")
        return out

    def residual(
        self,
        start: np.ndarray,
        stages: np.ndarray,
        h: np.ndarray,
        control: Control,
        system: np.ndarray,
    ) -> np.ndarray:
        """Residual of the interval equations, shape (N, 3, n)."""
        out = system.copy()
        _time_derivatives(
            start, stages, h, radau.DERIVATIVE[0], np.ascontiguousarray(radau.DERIVATIVE[1:]), out
        )
        out[:, :, -1] = control.residual(stages[:, :, -1], system[:, :, -1])
        return out

    def end_row(
        self,
        stop: Stop,
        stages: np.ndarray,
        duration: float,
        widths: np.ndarray,
        at: Linearisation,
        theta: np.ndarray,
    ) -> EndRow:
        """The end condition `stop` and its derivatives at this iterate."""
        n = self.dae.n
        last = np.zeros(n)
        if stop.quantity == "time":
            return EndRow(duration - stop.value, last, None, 1.0)
        if stop.quantity == "current":
            current = stages[-1, -1, -1]
            last[-1] = np.sign(current) or 1.0
            return EndRow(abs(current) - stop.value, last, None, 0.0)
        if stop.quantity == "charge":
            rate = widths[:, None] * radau.WEIGHTS / HOUR
            charge = float(np.sum(rate * stages[:, :, -1])) * duration
            sign = np.sign(charge) or 1.0
            return EndRow(
                abs(charge) - stop.value, last, sign * duration * rate, sign * charge / duration
            )
        if stop.quantity == "output":
            row = self.dae.output_names.index(stop.name)
            value = float(self.dae.outputs(stages[-1, -1:], theta)[0, row])
            by_point, _ = self.dae.outputs_jacobian(stages[-1, -1], theta)
            return EndRow(value - stop.value, by_point[row], None, 0.0)
        if at.jacobian.size:
            last[self._volt_cols] = at.jacobian[-1, -1, self._volt]
        return EndRow(at.system[-1, -1, -1] - stop.value, last, None, 0.0)

    def factorise(
        self,
        stages: np.ndarray,
        duration: float,
        widths: np.ndarray,
        control: Control,
        stop: Stop,
        at: Linearisation,
        theta: np.ndarray,
    ) -> Factors:
        """The Newton matrix of a step at this iterate, factorised."""
        blocks = self.factorise_intervals(stages, duration * widths, control, at)
        end = self.end_row(stop, stages, duration, widths, at, theta)
        border = -self.border(widths, at.system)
        return Factors(self.matrix(control), blocks, border, end, stages, at)

    def factorise_intervals(
        self, stages: np.ndarray, h: np.ndarray, control: Control, at: Linearisation
    ) -> np.ndarray:
        """Factors of the intervals' matrices at this iterate."""
        if not np.all(np.isfinite(at.jacobian)):
            raise SolveFailure(Reason.NON_FINITE, "the Jacobian is not finite at a trial state")
        weights = control.weights(stages[:, :, -1], at.system[:, :, -1])
        return self.matrix(control).factorise(at.jacobian, h, *weights)

    def border(self, widths: np.ndarray, system: np.ndarray) -> np.ndarray:
        """Derivative of the interval equations with respect to T, shape (N, 3, n)."""
        out = np.zeros_like(system)
        nx = self.dae.nx
        out[:, :, :nx] = -widths[:, None, None] * system[:, :, :nx]
        return out

    def parametric_rhs(
        self,
        stages: np.ndarray,
        h: np.ndarray,
        control: Control,
        at: Linearisation,
        theta: np.ndarray,
        direction: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Product of the equations' derivative by theta with `direction`, (n_theta, k).

        Returns (N, 3, n, k) and the same for the voltage alone, (N, 3, k).
        """
        dae = self.dae
        count, k = len(stages), direction.shape[1]
        pattern = dae.parametric_pattern
        nonzeros = dae.parametric(stages.reshape(-1, dae.n), theta)
        flat = np.zeros((count * 3, dae.n, len(direction)))
        flat[:, pattern.rows, pattern.cols] = nonzeros
        if not np.array_equal(direction, np.eye(len(direction))):
            flat = flat @ direction
        full = flat.reshape(count, 3, dae.n, k)
        voltage = full[:, :, -1].copy()
        _, weight_v = control.weights(stages[:, :, -1], at.system[:, :, -1])
        full[:, :, -1] = voltage * weight_v[:, :, None]
        full[:, :, : dae.nx] *= -h[:, None, None, None]
        return full, voltage
