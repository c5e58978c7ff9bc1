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
import scipy.sparse.linalg as spl

from cellmodels.solver import radau
from cellmodels.solver.dae import Dae
from cellmodels.solver.outcome import Reason, SolveFailure
from cellmodels.solver.step import HOUR, Control, Stop


class BlockPattern:
    """Sparsity of one interval's matrix for one kind of control, and how to fill it.

    The fill-reducing column order is found once, at the first factorisation, and reused.
    """

    def __init__(self, dae: Dae, control: str) -> None:
        n, nx, nz = dae.n, dae.nx, dae.nz
        rows, cols = dae.pattern.rows, dae.pattern.cols
        self.size, self.n, self.nx = 3 * n, n, nx
        self.model = np.flatnonzero(rows < nx + nz)
        # the control replaces the voltage row; a current control does not see the voltage
        self.volt = np.flatnonzero(rows == nx + nz) if control != "current" else np.array([], int)
        self.is_rhs = rows[self.model] < nx
        j = np.arange(3)[:, None] * n
        model_r, model_c = rows[self.model] + j, cols[self.model] + j
        volt_r, volt_c = rows[self.volt] + j, cols[self.volt] + j
        last = (np.array([[n - 1]]) + j).ravel()
        x = np.arange(nx)
        diff_r = np.concatenate([x + a * n for a in range(3) for _ in range(3)])
        diff_c = np.concatenate([x + b * n for _ in range(3) for b in range(3)])
        diff_v = np.concatenate(
            [np.full(nx, radau.DERIVATIVE[b + 1, a]) for a in range(3) for b in range(3)]
        )
        all_r = np.concatenate([model_r.ravel(), volt_r.ravel(), last, diff_r])
        all_c = np.concatenate([model_c.ravel(), volt_c.ravel(), last, diff_c])
        key = all_c * self.size + all_r
        unique, inverse = np.unique(key, return_inverse=True)
        self._rows, self._cols = unique % self.size, unique // self.size
        sizes = np.cumsum([model_r.size, volt_r.size, last.size])
        self._model_to, self._volt_to, self._last_to, diff_to = np.split(inverse, sizes)
        self._constant = np.zeros(len(unique))
        np.add.at(self._constant, diff_to, diff_v)
        self._colptr = np.searchsorted(self._cols, np.arange(self.size + 1)).astype(np.int32)
        self._order: tuple | None = None

    def fill(
        self, jacobian: np.ndarray, h: np.ndarray, weight_i: np.ndarray, weight_v: np.ndarray
    ) -> np.ndarray:
        """Nonzeros of every interval's matrix, shape (N, nnz).

        `jacobian` is (N, 3, nnz) of dF/dv, `h` the interval lengths [s], (N,), and the
        weights the control's derivatives, (N, 3).
        """
        count = len(h)
        data = np.tile(self._constant, (count, 1))
        model = jacobian[:, :, self.model] * np.where(self.is_rhs, -h[:, None, None], 1.0)
        # every index set is free of repeats, so plain indexed addition is safe
        data[:, self._model_to] += model.reshape(count, -1)
        if len(self.volt):
            volt = jacobian[:, :, self.volt] * weight_v[:, :, None]
            data[:, self._volt_to] += volt.reshape(count, -1)
        data[:, self._last_to] += weight_i
        return data

    def factorise(self, data: np.ndarray) -> spl.SuperLU:
        """Sparse LU of one interval's matrix, columns in the fill-reducing order."""
        if self._order is None:
            self._order = self._find_order(data)
        gather, matrix, _ = self._order
        # only the numbers change: making a new sparse matrix would cost as much as its LU
        matrix.data = data[gather]
        return spl.splu(matrix, permc_spec="NATURAL", diag_pivot_thresh=0.1)

    def unpermute(self, solution: np.ndarray) -> np.ndarray:
        """Bring a solution of the column-permuted system into the order of the unknowns."""
        assert self._order is not None
        return solution[self._order[2]]

    def _find_order(self, data: np.ndarray) -> tuple:
        matrix = sp.csc_matrix(
            (data, self._rows.astype(np.int32), self._colptr), shape=(self.size,) * 2
        )
        perm = spl.splu(matrix, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.1).perm_c
        columns = np.argsort(perm)
        gather = np.concatenate([np.arange(self._colptr[c], self._colptr[c + 1]) for c in columns])
        lengths = np.diff(self._colptr)[columns]
        colptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
        rows = self._rows[gather].astype(np.int32)
        ordered = sp.csc_matrix((data[gather], rows, colptr), shape=(self.size,) * 2)
        ordered.sort_indices()
        return gather, ordered, np.argsort(columns)


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
    """Factorised Newton matrix of a step: N interval factorisations and the border."""

    def __init__(
        self, blocks: BlockPattern, data: np.ndarray, border: np.ndarray, end: EndRow
    ) -> None:
        self._blocks = blocks
        try:
            self._lu = [blocks.factorise(row) for row in data]
        except RuntimeError as error:  # SuperLU: exactly singular
            raise SolveFailure(Reason.NOT_CONVERGED, str(error)) from error
        self.end = end
        self.response = self._forward(border[:, :, None])
        self.pivot = float(end.apply(self._stages(self.response))[0]) + end.duration
        if not np.isfinite(self.pivot) or self.pivot == 0.0:
            raise SolveFailure(
                Reason.NOT_CONVERGED, "the end condition does not depend on the duration"
            )

    def solve(self, rhs: np.ndarray, rhs_end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Solve for (dw, dT).

        `rhs` has shape (N, 3 n, k), `rhs_end` (k,). Returns stage directions of shape
        (N, 3 n, k) and (k,).
        """
        return self._close(self._forward(rhs), rhs_end)

    def propagate(
        self, start: np.ndarray, rhs: np.ndarray, rhs_end: np.ndarray, columns: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Solve for the directions that follow from dx_0 = `start`, shape (nx, k).

        `rhs`, (N, 3 n, c), and `rhs_end`, (c,), act on the given c of the k columns only.
        """
        end = np.zeros(start.shape[1])
        end[columns] = rhs_end
        return self._close(self._forward(rhs, start, columns), end)

    def _close(self, particular: np.ndarray, rhs_end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Choose the duration so that the end condition holds."""
        duration = (rhs_end - self.end.apply(self._stages(particular))) / self.pivot
        particular += self.response * duration
        return particular, duration

    def _stages(self, flat: np.ndarray) -> np.ndarray:
        return flat.reshape(len(flat), 3, self._blocks.n, -1)

    def _forward(
        self, rhs: np.ndarray, start: np.ndarray | None = None, columns: np.ndarray | None = None
    ) -> np.ndarray:
        """Block forward substitution over the intervals."""
        blocks, n, nx = self._blocks, self._blocks.n, self._blocks.nx
        k = rhs.shape[2] if start is None else start.shape[1]
        out = np.empty((*rhs.shape[:2], k))
        previous = start
        for i, lu in enumerate(self._lu):
            if columns is None:
                b = np.array(rhs[i], order="F")
            else:
                b = np.zeros((blocks.size, k), order="F")
                b[:, columns] = rhs[i]
            if previous is not None:
                for j in range(3):
                    b[j * n : j * n + nx] -= radau.DERIVATIVE[0, j] * previous
            out[i] = blocks.unpermute(lu.solve(b))
            # forgotten directions decay into denormal numbers, which are slow
            out[i][np.abs(out[i]) < 1e-60] = 0.0
            previous = out[i, 2 * n : 2 * n + nx]
        return out


class Collocation:
    """The collocation system of one model for any step: residuals, matrices, sensitivities."""

    def __init__(self, dae: Dae) -> None:
        self.dae = dae
        self._blocks: dict[str, BlockPattern] = {}
        self._volt = np.flatnonzero(dae.pattern.rows == dae.nx + dae.nz)
        self._volt_cols = dae.pattern.cols[self._volt]
        self._volt_p = np.flatnonzero(dae.parametric_pattern.rows == dae.nx + dae.nz)

    def blocks(self, control: Control) -> BlockPattern:
        """The interval pattern for this kind of control."""
        if control.kind not in self._blocks:
            self._blocks[control.kind] = BlockPattern(self.dae, control.kind)
        return self._blocks[control.kind]

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
        """Residual of the interval equations, shape (N, 3 n)."""
        nx = self.dae.nx
        begin = np.vstack([start[None, :], stages[:-1, 2, :nx]])
        out = system.copy()
        out[:, :, :nx] *= -h[:, None, None]
        out[:, :, :nx] += np.einsum("kj,ikx->ijx", radau.DERIVATIVE[1:], stages[:, :, :nx])
        out[:, :, :nx] += radau.DERIVATIVE[0][None, :, None] * begin[:, None, :]
        out[:, :, -1] = control.residual(stages[:, :, -1], system[:, :, -1])
        return out.reshape(len(stages), -1)

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
        blocks = self.blocks(control)
        weight_i, weight_v = control.weights(stages[:, :, -1], at.system[:, :, -1])
        data = blocks.fill(at.jacobian, duration * widths, weight_i, weight_v)
        if not np.all(np.isfinite(data)):
            raise SolveFailure(Reason.NON_FINITE, "the Jacobian is not finite at a trial state")
        end = self.end_row(stop, stages, duration, widths, at)
        return Factors(blocks, data, -self.border(widths, at.system), end)

    def border(self, widths: np.ndarray, system: np.ndarray) -> np.ndarray:
        """Derivative of the interval equations with respect to T, shape (N, 3 n)."""
        out = np.zeros_like(system)
        nx = self.dae.nx
        out[:, :, :nx] = -widths[:, None, None] * system[:, :, :nx]
        return out.reshape(len(widths), -1)

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

        Returns (N, 3 n, k) and the same for the voltage alone, (N, 3, k).
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
        return full.reshape(count, 3 * dae.n, k), voltage

    def voltage_directions(self, at: Linearisation, directions: np.ndarray) -> np.ndarray:
        """dV along stage directions (N, 3, n, k) -> (N, 3, k), the part through the state."""
        rows = at.jacobian[:, :, self._volt]
        return np.einsum("ija,ijak->ijk", rows, directions[:, :, self._volt_cols])
