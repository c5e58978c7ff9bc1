"""LU factorisation of an interval's matrix: sparse, of 3 x 3 blocks, compiled.

The matrix of one Radau interval couples the three stages of every unknown, so that it is
the sparse n x n pattern of the model with a 3 x 3 block in every place. Pivot order and
fill are found once for a model and a kind of control; a factorisation then only moves
numbers (as KLU's refactorisation does; T. A. Davis and E. Palamadai Natarajan, ACM Trans.
Math. Softw. 37 (2010) 36, doi:10.1145/1824801.1824814). Within a pivot block the pivots
are not ordered; a pivot that is too small is reported, never divided by.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg as spl

#: A pivot block whose determinant is smaller than this, relative to its size, is singular.
_SINGULAR = 1e-14
#: A pivot may be this much smaller than the largest entry of its column when the order is chosen.
_THRESHOLD = 1e-3


@dataclass(frozen=True)
class Symbolic:
    """Pivot order and fill of an n x n matrix.

    Attributes
    ----------
    row, column : numpy.ndarray
        Which row and column of the matrix is the p-th pivot's, shape (n,).
    begin, pivot : numpy.ndarray
        Where row p of the factors begins, shape (n + 1,), and its pivot's place, (n,).
    columns : numpy.ndarray
        Column (in pivot order) of every entry of the factors, ascending in a row, shape (nnz,).
    target : numpy.ndarray
        For every elimination, in order, the entry that it changes.
    entry_row, entry_column : numpy.ndarray
        Row and column of the original matrix at every entry, shape (nnz,).
    """

    row: np.ndarray
    column: np.ndarray
    begin: np.ndarray
    pivot: np.ndarray
    columns: np.ndarray
    target: np.ndarray
    entry_row: np.ndarray
    entry_column: np.ndarray


def analyse(matrix: sp.csc_matrix) -> Symbolic:
    """Pivot order and fill for matrices like this one, explicit zeros included.

    Raises
    ------
    RuntimeError
        If the matrix is singular.
    """
    n = matrix.shape[0]
    # rows of very different size would mislead the choice of pivots
    size = np.maximum(abs(matrix).max(axis=1).toarray().ravel(), 1e-300)
    lu = spl.splu(
        sp.csc_matrix(sp.diags(1.0 / size) @ matrix),
        permc_spec="MMD_AT_PLUS_A",
        diag_pivot_thresh=_THRESHOLD,
    )
    row, column = np.argsort(lu.perm_r), np.argsort(lu.perm_c)
    entries = matrix.tocoo()
    filled: list[set[int]] = [set() for _ in range(n)]
    for r, c in zip(lu.perm_r[entries.row], lu.perm_c[entries.col], strict=True):
        filled[r].add(int(c))
    upper: list[list[int]] = []
    for p, found in enumerate(filled):
        found.add(p)
        for k in range(p):  # in order: an elimination may add entries further right
            if k in found:
                found.update(upper[k])
        upper.append(sorted(c for c in found if c > p))
    rows = [sorted(found) for found in filled]
    begin = np.concatenate([[0], np.cumsum([len(r) for r in rows])])
    place = [{c: begin[p] + k for k, c in enumerate(r)} for p, r in enumerate(rows)]
    columns = np.concatenate([np.array(r) for r in rows])
    target = [place[p][c] for p, found in enumerate(rows) for k in found if k < p for c in upper[k]]
    return Symbolic(
        row=row,
        column=column,
        begin=begin,
        pivot=np.array([place[p][p] for p in range(n)]),
        columns=columns,
        target=np.array(target, int),
        entry_row=np.repeat(row, np.diff(begin)),
        entry_column=column[columns],
    )


@numba.njit(cache=True, nogil=True, error_model="numpy")
def eliminate(
    blocks: np.ndarray,
    begin: np.ndarray,
    pivot: np.ndarray,
    columns: np.ndarray,
    target: np.ndarray,
) -> int:
    """Factorise in place, shape (N, nnz, 9); pivot blocks are left inverted.

    Returns the number of pivots that are too small.
    """
    bad = 0
    for i in range(blocks.shape[0]):
        a = blocks[i]
        t = 0
        for p in range(len(pivot)):
            for e in range(begin[p], pivot[p]):
                k = columns[e]
                v = a[pivot[k]]
                w = a[e]
                l0 = w[0] * v[0] + w[1] * v[3] + w[2] * v[6]
                l1 = w[0] * v[1] + w[1] * v[4] + w[2] * v[7]
                l2 = w[0] * v[2] + w[1] * v[5] + w[2] * v[8]
                l3 = w[3] * v[0] + w[4] * v[3] + w[5] * v[6]
                l4 = w[3] * v[1] + w[4] * v[4] + w[5] * v[7]
                l5 = w[3] * v[2] + w[4] * v[5] + w[5] * v[8]
                l6 = w[6] * v[0] + w[7] * v[3] + w[8] * v[6]
                l7 = w[6] * v[1] + w[7] * v[4] + w[8] * v[7]
                l8 = w[6] * v[2] + w[7] * v[5] + w[8] * v[8]
                w[0], w[1], w[2] = l0, l1, l2
                w[3], w[4], w[5] = l3, l4, l5
                w[6], w[7], w[8] = l6, l7, l8
                for u in range(pivot[k] + 1, begin[k + 1]):
                    b = a[u]
                    c = a[target[t]]
                    t += 1
                    c[0] -= l0 * b[0] + l1 * b[3] + l2 * b[6]
                    c[1] -= l0 * b[1] + l1 * b[4] + l2 * b[7]
                    c[2] -= l0 * b[2] + l1 * b[5] + l2 * b[8]
                    c[3] -= l3 * b[0] + l4 * b[3] + l5 * b[6]
                    c[4] -= l3 * b[1] + l4 * b[4] + l5 * b[7]
                    c[5] -= l3 * b[2] + l4 * b[5] + l5 * b[8]
                    c[6] -= l6 * b[0] + l7 * b[3] + l8 * b[6]
                    c[7] -= l6 * b[1] + l7 * b[4] + l8 * b[7]
                    c[8] -= l6 * b[2] + l7 * b[5] + l8 * b[8]
            bad += _invert(a[pivot[p]])
    return bad


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _invert(b: np.ndarray) -> int:
    """Invert a 3 x 3 block in place; 1 if it is singular."""
    c0 = b[4] * b[8] - b[5] * b[7]
    c3 = b[5] * b[6] - b[3] * b[8]
    c6 = b[3] * b[7] - b[4] * b[6]
    determinant = b[0] * c0 + b[1] * c3 + b[2] * c6
    size = 0.0
    for k in range(9):
        size = max(size, abs(b[k]))
    if not abs(determinant) > _SINGULAR * size * size * size:
        return 1
    d = 1.0 / determinant
    c1 = b[2] * b[7] - b[1] * b[8]
    c2 = b[1] * b[5] - b[2] * b[4]
    c4 = b[0] * b[8] - b[2] * b[6]
    c5 = b[2] * b[3] - b[0] * b[5]
    c7 = b[1] * b[6] - b[0] * b[7]
    c8 = b[0] * b[4] - b[1] * b[3]
    b[0], b[1], b[2] = c0 * d, c1 * d, c2 * d
    b[3], b[4], b[5] = c3 * d, c4 * d, c5 * d
    b[6], b[7], b[8] = c6 * d, c7 * d, c8 * d
    return 0


@numba.njit(cache=True, nogil=True, error_model="numpy")
def sweep(
    blocks: np.ndarray,
    begin: np.ndarray,
    pivot: np.ndarray,
    columns: np.ndarray,
    row: np.ndarray,
    column: np.ndarray,
    first: np.ndarray,
    nx: int,
    start: np.ndarray,
    rhs: np.ndarray,
    rhs_columns: np.ndarray,
    seen: np.ndarray,
    weights: np.ndarray,
    current: np.ndarray,
    voltage: np.ndarray,
    last: np.ndarray,
    stages: np.ndarray,
) -> None:
    """Solve interval after interval, each from the end of the one before, for k directions.

    Parameters
    ----------
    first : numpy.ndarray
        Weights of an interval's start in the stage equations, shape (3,).
    start : numpy.ndarray
        Direction of x at the start, shape (nx, k).
    rhs : numpy.ndarray
        Shape (N, 3, n, c), for the columns `rhs_columns`, (c,), of the k.
    seen, weights : numpy.ndarray
        Unknowns that the voltage depends on, (s,), and its derivatives, (N, 3, s).
    current, voltage : numpy.ndarray
        Results: the last unknown, and the weighted sum of those seen, shape (N, 3, k).
    last : numpy.ndarray
        Result: the last stage, shape (n, k).
    stages : numpy.ndarray
        Result: the whole solution, (N, 3, n, k); nothing is written if it is empty.
    """
    n, k = len(pivot), start.shape[1]
    y, v = np.empty((n, 3, k)), np.empty((3, n, k))
    for i in range(blocks.shape[0]):
        a = blocks[i]
        for p in range(n):
            r = row[p]
            for j in range(3):
                for m in range(k):
                    y[p, j, m] = 0.0
                for c in range(len(rhs_columns)):
                    y[p, j, rhs_columns[c]] = rhs[i, j, r, c]
                if r < nx:
                    if i == 0:
                        for m in range(k):
                            y[p, j, m] -= first[j] * start[r, m]
                    else:
                        for m in range(k):
                            y[p, j, m] -= first[j] * last[r, m]
            for e in range(begin[p], pivot[p]):
                q = columns[e]
                for j in range(3):
                    b0, b1, b2 = a[e, 3 * j], a[e, 3 * j + 1], a[e, 3 * j + 2]
                    for m in range(k):
                        y[p, j, m] -= b0 * y[q, 0, m] + b1 * y[q, 1, m] + b2 * y[q, 2, m]
        for p in range(n - 1, -1, -1):
            for e in range(pivot[p] + 1, begin[p + 1]):
                q = columns[e]
                for j in range(3):
                    b0, b1, b2 = a[e, 3 * j], a[e, 3 * j + 1], a[e, 3 * j + 2]
                    for m in range(k):
                        y[p, j, m] -= b0 * y[q, 0, m] + b1 * y[q, 1, m] + b2 * y[q, 2, m]
            b = a[pivot[p]]
            c = column[p]
            for m in range(k):
                y0, y1, y2 = y[p, 0, m], y[p, 1, m], y[p, 2, m]
                for j in range(3):
                    value = b[3 * j] * y0 + b[3 * j + 1] * y1 + b[3 * j + 2] * y2
                    # forgotten directions decay into denormal numbers, which are slow
                    if abs(value) < 1e-60:
                        value = 0.0
                    y[p, j, m] = value
                    v[j, c, m] = value
        for j in range(3):
            for m in range(k):
                current[i, j, m] = v[j, n - 1, m]
                voltage[i, j, m] = 0.0
            for c in range(len(seen)):
                for m in range(k):
                    voltage[i, j, m] += weights[i, j, c] * v[j, seen[c], m]
        last[:] = v[2]
        if stages.size > 0:
            stages[i] = v


@numba.njit(cache=True, nogil=True, error_model="numpy")
def sweep_one(
    blocks: np.ndarray,
    begin: np.ndarray,
    pivot: np.ndarray,
    columns: np.ndarray,
    row: np.ndarray,
    column: np.ndarray,
    first: np.ndarray,
    nx: int,
    rhs: np.ndarray,
    out: np.ndarray,
) -> None:
    """`sweep` for a single direction that starts at zero, rhs and solution of shape (N, 3, n)."""
    n = len(pivot)
    y = np.empty((n, 3))
    for i in range(blocks.shape[0]):
        a = blocks[i]
        for p in range(n):
            r = row[p]
            y0, y1, y2 = rhs[i, 0, r], rhs[i, 1, r], rhs[i, 2, r]
            if i > 0 and r < nx:
                before = out[i - 1, 2, r]
                y0 -= first[0] * before
                y1 -= first[1] * before
                y2 -= first[2] * before
            for e in range(begin[p], pivot[p]):
                q = columns[e]
                t0, t1, t2 = y[q, 0], y[q, 1], y[q, 2]
                y0 -= a[e, 0] * t0 + a[e, 1] * t1 + a[e, 2] * t2
                y1 -= a[e, 3] * t0 + a[e, 4] * t1 + a[e, 5] * t2
                y2 -= a[e, 6] * t0 + a[e, 7] * t1 + a[e, 8] * t2
            y[p, 0], y[p, 1], y[p, 2] = y0, y1, y2
        for p in range(n - 1, -1, -1):
            y0, y1, y2 = y[p, 0], y[p, 1], y[p, 2]
            for e in range(pivot[p] + 1, begin[p + 1]):
                q = columns[e]
                t0, t1, t2 = y[q, 0], y[q, 1], y[q, 2]
                y0 -= a[e, 0] * t0 + a[e, 1] * t1 + a[e, 2] * t2
                y1 -= a[e, 3] * t0 + a[e, 4] * t1 + a[e, 5] * t2
                y2 -= a[e, 6] * t0 + a[e, 7] * t1 + a[e, 8] * t2
            b, c = a[pivot[p]], column[p]
            for j in range(3):
                value = b[3 * j] * y0 + b[3 * j + 1] * y1 + b[3 * j + 2] * y2
                y[p, j] = value
                out[i, j, c] = value


@numba.njit(cache=True, nogil=True, error_model="numpy")
def sweep_back(
    blocks: np.ndarray,
    begin: np.ndarray,
    pivot: np.ndarray,
    columns: np.ndarray,
    row: np.ndarray,
    column: np.ndarray,
    first: np.ndarray,
    nx: int,
    rhs: np.ndarray,
) -> np.ndarray:
    """Solve with the transpose of what `sweep` solves with, from the last interval to the first.

    `rhs`, shape (N, 3, n, k), is overwritten by the solution. Returns the derivative with
    respect to the start of minus what is solved for, shape (nx, k).
    """
    n, k = len(pivot), rhs.shape[3]
    start = np.zeros((nx, k))
    y = np.empty((n, 3, k))
    for i in range(blocks.shape[0] - 1, -1, -1):
        a = blocks[i]
        for p in range(n):
            c = column[p]
            for j in range(3):
                for m in range(k):
                    y[p, j, m] = rhs[i, j, c, m]
            if c < nx and i < blocks.shape[0] - 1:
                for m in range(k):
                    y[p, 2, m] += start[c, m]
        for p in range(n):
            b = a[pivot[p]]
            for m in range(k):
                y0, y1, y2 = y[p, 0, m], y[p, 1, m], y[p, 2, m]
                for j in range(3):
                    y[p, j, m] = b[j] * y0 + b[3 + j] * y1 + b[6 + j] * y2
            for e in range(pivot[p] + 1, begin[p + 1]):
                q = columns[e]
                for j in range(3):
                    b0, b1, b2 = a[e, j], a[e, 3 + j], a[e, 6 + j]
                    for m in range(k):
                        y[q, j, m] -= b0 * y[p, 0, m] + b1 * y[p, 1, m] + b2 * y[p, 2, m]
        for p in range(n - 1, -1, -1):
            for e in range(begin[p], pivot[p]):
                q = columns[e]
                for j in range(3):
                    b0, b1, b2 = a[e, j], a[e, 3 + j], a[e, 6 + j]
                    for m in range(k):
                        y[q, j, m] -= b0 * y[p, 0, m] + b1 * y[p, 1, m] + b2 * y[p, 2, m]
        start[:] = 0.0
        for p in range(n):
            r = row[p]
            for j in range(3):
                for m in range(k):
                    rhs[i, j, r, m] = y[p, j, m]
                    if r < nx:
                        start[r, m] -= first[j] * y[p, j, m]
    return start
