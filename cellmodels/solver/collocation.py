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

import numba
import numpy as np
import scipy.sparse as sp

from cellmodels.solver import radau
from cellmodels.solver.block_lu import analyse, eliminate, sweep, sweep_one
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
        theta = np.ones(len(dae.names))
        point = np.concatenate([*dae.start(theta), [1.0]])
        system, jacobian = (row[0] for row in dae.linearise(point[None], theta))
        if not (np.all(np.isfinite(system)) and np.all(np.isfinite(jacobian))):
            raise SolveFailure(Reason.NON_FINITE, "the model is not finite at its start")
        weight_i, weight_v = Control(control, 1.0).weights(point[-1:], system[-1:])
        typical = np.where(rows < nx, -_TYPICAL_INTERVAL, np.where(rows < n - 1, 1.0, weight_v))
        numbers = np.concatenate(
            [(typical * jacobian)[keep], np.full(nx, radau.REAL_EIGENVALUE), weight_i]
        )
        self.order = analyse(sp.csc_matrix((numbers, place), shape=(n, n)))
        index = np.full((n, n), -1)
        index[rows[keep], cols[keep]] = keep
        row, col = self.order.entry_row, self.order.entry_column
        self._jacobian = index[row, col]
        self._scaled = row < nx
        self._controls = row == n - 1
        self._differential = (row == col) & (row < nx)
        self._current = (row == n - 1) & (col == n - 1)
        self.nx = nx

    def factorise(
        self, jacobian: np.ndarray, h: np.ndarray, weight_i: np.ndarray, weight_v: np.ndarray
    ) -> np.ndarray:
        """Factors of every interval's matrix, shape (N, nnz, 9).

        `jacobian` is (N, 3, nnz) of dF/dv, `h` the interval lengths [s], (N,), and the
        weights the control's derivatives, (N, 3).

        Raises
        ------
        SolveFailure
            If a matrix is singular, or so nearly that pivots are lost.
        """
        blocks = np.zeros((len(h), len(self._jacobian), 9))
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
            radau.DERIVATIVE[1:],
            blocks,
        )
        order = self.order
        if eliminate(blocks, order.begin, order.pivot, order.columns, order.target):
            raise SolveFailure(Reason.NOT_CONVERGED, "the Newton matrix is singular")
        return blocks

    def sweep(
        self,
        blocks: np.ndarray,
        rhs: np.ndarray,
        start: np.ndarray | None = None,
        columns: np.ndarray | None = None,
    ) -> np.ndarray:
        """Solve over all intervals, each from the end of the one before.

        `rhs` has shape (N, 3, n, c); it acts on the given c `columns` of the k of `start`,
        (nx, k), or there is no `start`. Returns shape (N, 3, n, k).
        """
        order = self.order
        if start is None and rhs.shape[3] == 1:
            one = np.empty(rhs.shape)
            sweep_one(
                blocks,
                order.begin,
                order.pivot,
                order.columns,
                order.row,
                order.column,
                radau.DERIVATIVE[0],
                self.nx,
                np.ascontiguousarray(rhs)[..., 0],
                one[..., 0],
            )
            return one
        if start is None:
            start = np.zeros((self.nx, rhs.shape[3]))
        if columns is None:
            columns = np.arange(start.shape[1])
        out = np.empty((*rhs.shape[:3], start.shape[1]))
        sweep(
            blocks,
            order.begin,
            order.pivot,
            order.columns,
            order.row,
            order.column,
            radau.DERIVATIVE[0],
            self.nx,
            np.ascontiguousarray(start),
            np.ascontiguousarray(rhs),
            columns,
            out,
        )
        return out


@numba.njit(cache=True, nogil=True)
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
    derivative: np.ndarray,
    blocks: np.ndarray,
) -> None:
    for i in range(len(h)):
        for e in range(len(where)):
            block = blocks[i, e]
            if where[e] >= 0:
                for j in range(3):
                    value = jacobian[i, j, where[e]]
                    if scaled[e]:
                        value *= -h[i]
                    elif controls[e]:
                        value *= weight_v[i, j]
                    block[4 * j] = value
            if differential[e]:
                for j in range(3):
                    for k in range(3):
                        block[3 * j + k] += derivative[k, j]
            if current[e]:
                for j in range(3):
                    block[4 * j] += weight_i[i, j]


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

    def apply(self, stages: np.ndarray) -> np.ndarray:
        """Product with stage directions, shape (N, 3, n, k) -> (k,)."""
        out = self.last @ stages[-1, -1]
        if self.current is not None:
            out = out + np.einsum("ij,ijk->k", self.current, stages[:, :, -1])
        return out


@dataclass(frozen=True)
class Linearisation:
    """Everything evaluated at one iterate (stages, T)."""

    system: np.ndarray  # F, (N, 3, n)
    jacobian: np.ndarray  # nonzeros of dF/dv, (N, 3, nnz); (N, 3, 0) if not evaluated


class Factors:
    """Factorised Newton matrix of a step: its intervals and the border."""

    def __init__(
        self, matrix: IntervalMatrix, blocks: np.ndarray, border: np.ndarray, end: EndRow
    ) -> None:
        self._matrix, self._blocks = matrix, blocks
        self.end = end
        self.response = matrix.sweep(blocks, border[..., None])
        self.pivot = float(end.apply(self.response)[0]) + end.duration
        if not np.isfinite(self.pivot) or self.pivot == 0.0:
            raise SolveFailure(
                Reason.NOT_CONVERGED, "the end condition does not depend on the duration"
            )

    def solve(self, rhs: np.ndarray, rhs_end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Solve for (dw, dT).

        `rhs` has shape (N, 3, n, k), `rhs_end` (k,). Returns stage directions of shape
        (N, 3, n, k) and (k,).
        """
        return self._close(self._matrix.sweep(self._blocks, rhs), rhs_end)

    def propagate(
        self, start: np.ndarray, rhs: np.ndarray, rhs_end: np.ndarray, columns: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Solve for the directions that follow from dx_0 = `start`, shape (nx, k).

        `rhs`, (N, 3, n, c), and `rhs_end`, (c,), act on the given c of the k columns only.
        """
        end = np.zeros(start.shape[1])
        end[columns] = rhs_end
        return self._close(self._matrix.sweep(self._blocks, rhs, start, columns), end)

    def _close(self, particular: np.ndarray, rhs_end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Choose the duration so that the end condition holds."""
        duration = (rhs_end - self.end.apply(particular)) / self.pivot
        particular += self.response * duration
        return particular, duration


class Collocation:
    """The collocation system of one model for any step: residuals, matrices, sensitivities."""

    def __init__(self, dae: Dae) -> None:
        self.dae = dae
        self._matrices: dict[str, IntervalMatrix] = {}
        self._volt = np.flatnonzero(dae.pattern.rows == dae.nx + dae.nz)
        self._volt_cols = dae.pattern.cols[self._volt]
        self._volt_p = np.flatnonzero(dae.parametric_pattern.rows == dae.nx + dae.nz)

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
        nx = self.dae.nx
        begin = np.vstack([start[None, :], stages[:-1, 2, :nx]])
        out = system.copy()
        out[:, :, :nx] *= -h[:, None, None]
        out[:, :, :nx] += np.einsum("kj,ikx->ijx", radau.DERIVATIVE[1:], stages[:, :, :nx])
        out[:, :, :nx] += radau.DERIVATIVE[0][None, :, None] * begin[:, None, :]
        out[:, :, -1] = control.residual(stages[:, :, -1], system[:, :, -1])
        return out

    def end_row(
        self, stop: Stop, stages: np.ndarray, duration: float, widths: np.ndarray, at: Linearisation
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
    ) -> Factors:
        """The Newton matrix of a step at this iterate, factorised."""
        blocks = self.factorise_intervals(stages, duration * widths, control, at)
        end = self.end_row(stop, stages, duration, widths, at)
        return Factors(self.matrix(control), blocks, -self.border(widths, at.system), end)

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
        flat = np.zeros((count * 3, dae.n, k))
        # few parameters: add their nonzeros one by one, vectorised over the stages
        for entry, (row, col) in enumerate(zip(pattern.rows, pattern.cols, strict=True)):
            if np.any(direction[col]):
                flat[:, row] += nonzeros[:, entry, None] * direction[col]
        full = flat.reshape(count, 3, dae.n, k)
        voltage = full[:, :, -1].copy()
        _, weight_v = control.weights(stages[:, :, -1], at.system[:, :, -1])
        full[:, :, -1] = voltage * weight_v[:, :, None]
        full[:, :, : dae.nx] *= -h[:, None, None, None]
        return full, voltage

    def voltage_directions(self, at: Linearisation, directions: np.ndarray) -> np.ndarray:
        """dV along stage directions (N, 3, n, k) -> (N, 3, k), the part through the state."""
        rows = at.jacobian[:, :, self._volt]
        return np.einsum("ija,ijak->ijk", rows, directions[:, :, self._volt_cols])
