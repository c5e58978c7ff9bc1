"""The algebraic states and the current that fit given differential states, at many points."""

from __future__ import annotations

from weakref import WeakKeyDictionary

import numpy as np
import scipy.sparse as sp

from cellmodels.solver import radau
from cellmodels.solver.block_lu import analyse, eliminate, sweep, sweep_one
from cellmodels.solver.dae import Dae
from cellmodels.solver.outcome import Reason, SolveFailure
from cellmodels.solver.step import Control


class AlgebraicMatrix:
    """Derivatives of [g, control] by [z, I], for one kind of control: pattern and numbers.

    Three points at a time take the places of an interval's stages, so that the compiled
    factorisation of the intervals serves. The pivot order is found once, at the cell's start.
    """

    def __init__(self, dae: Dae, control: str) -> None:
        self._nx, self._size = dae.nx, dae.nz + 1
        rows, cols, last = dae.pattern.rows, dae.pattern.cols, dae.n - 1
        # the control replaces the voltage row; a current control does not see the voltage
        keep = (rows >= dae.nx) & (cols >= dae.nx) & ((rows < last) | (control != "current"))
        kept = np.flatnonzero(keep)
        place = np.append(rows[kept], last) - dae.nx, np.append(cols[kept], last) - dae.nx
        system, jacobian = dae.typical()
        weight_i, weight_v = Control(control, 1.0).weights(np.ones(1), system[-1:])
        numbers = np.append(np.where(rows[kept] == last, weight_v, 1.0) * jacobian[kept], weight_i)
        self._order = analyse(sp.csc_matrix((numbers, place), shape=(self._size,) * 2), 0)
        index = np.full((self._size, self._size), -1)
        index[rows[kept] - dae.nx, cols[kept] - dae.nx] = kept
        row, col = self._order.entries()
        self._where = index[row, col]
        self._known = np.flatnonzero(self._where >= 0)
        self._control = row == self._size - 1
        self._current = self._control & (col == self._size - 1)
        stride = np.where(self._order.full, 4, 1)
        #: places of the three points' numbers, shape (3, nnz)
        self._places = self._order.at[:-1].astype(int) + stride * np.arange(3)[:, None]

    def factorise(
        self, jacobian: np.ndarray, weight_i: np.ndarray, weight_v: np.ndarray
    ) -> np.ndarray:
        """Factors at groups of three points, shape (G, count of numbers).

        `jacobian` is (G, 3, nnz) of dF/dv, the weights are the control's derivatives, (G, 3).

        Raises
        ------
        SolveFailure
            If a matrix is singular.
        """
        values = np.zeros((*jacobian.shape[:2], len(self._where)))
        values[:, :, self._known] = jacobian[:, :, self._where[self._known]]
        values[:, :, self._control] *= weight_v[:, :, None]
        values[:, :, self._current] += weight_i[:, :, None]
        blocks = np.zeros((len(jacobian), self._order.at[-1]))
        blocks[:, self._places] = values
        if eliminate(blocks, self._order):
            raise SolveFailure(Reason.NO_CONSISTENT_START, "the algebraic equations are singular")
        return blocks

    def correction(
        self, control: Control, groups: np.ndarray, system: np.ndarray, jacobian: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Newton's correction of [z, I], shape (G, 3, nz + 1), of points v, (G, 3, n).

        `system` and `jacobian` are F and dF/dv there. Returns the factors and the weight of
        the voltage in the control, (G, 3), as well.
        """
        weight_i, weight_v = control.weights(groups[:, :, -1], system[:, :, -1])
        blocks = self.factorise(jacobian, weight_i, weight_v)
        rhs = -system[:, :, self._nx :]
        # a held current is right from the beginning
        rhs[:, :, -1] = 0.0
        if control.kind != "current":
            rhs[:, :, -1] = -control.residual(groups[:, :, -1], system[:, :, -1])
        return self.solve(blocks, rhs[..., None])[..., 0], blocks, weight_v

    def solve(self, blocks: np.ndarray, rhs: np.ndarray) -> np.ndarray:
        """Solve for right-hand sides (G, 3, nz + 1, k)."""
        # no differential states: nothing goes from one group to the next
        where = (self._order, radau.DERIVATIVE[0], 0)
        rhs = np.ascontiguousarray(rhs)
        count, _, size, k = rhs.shape
        out = np.empty(rhs.shape)
        if k == 1:
            sweep_one(blocks, *where, rhs.reshape(count, 3, size), out.reshape(count, 3, size))
            return out
        nothing = np.zeros((0, k)), rhs, np.arange(k), np.empty(0, int), np.empty((count, 3, 0))
        unused = np.empty((count, 3, k)), np.empty((count, 3, k)), np.empty((size, k))
        sweep(blocks, *where, *nothing, *unused, out)
        return out


#: Analysed once for a model and a kind of control.
_MATRICES: WeakKeyDictionary[Dae, dict[str, AlgebraicMatrix]] = WeakKeyDictionary()


def algebraic_matrix(dae: Dae, control: str) -> AlgebraicMatrix:
    """The matrix of a model for this kind of control."""
    known = _MATRICES.setdefault(dae, {})
    if control not in known:
        known[control] = AlgebraicMatrix(dae, control)
    return known[control]
