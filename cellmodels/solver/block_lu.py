"""LU factorisation of an interval's matrix: sparse, of 3 x 3 blocks, compiled.

The matrix of one Radau interval couples the three stages of every unknown, so that it is
the sparse n x n pattern of the model with a 3 x 3 block in every place. Only time
derivatives couple different stages: all other blocks are diagonal, and stay so where the
elimination does not reach. With D the block diagonal of pivots the factors are
(D + L) D^-1 (D + U), so that L and U keep such blocks.

Pivot order and fill are found once for a model and a kind of control; a factorisation
then only moves numbers (as KLU's refactorisation does; T. A. Davis and E. Palamadai
Natarajan, ACM Trans. Math. Softw. 37 (2010) 36, doi:10.1145/1824801.1824814). Within a
pivot block the pivots are not ordered; a pivot that is too small is reported, never
divided by.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg as spl

from cellmodels.solver.compiled import compiled
from cellmodels.solver.outcome import Reason, SolveFailure
from cellmodels.solver.simd import block_product

#: A pivot block whose determinant is smaller than this, relative to its size, is singular.
_SINGULAR = 1e-14
#: A pivot may be this much smaller than the largest entry of its column when the order is chosen.
_THRESHOLD = 1e-3
#: Entries by which a counter depends on others are taken as so much smaller.
_COUNTED = 1e-12
#: Directions that `sweep` and `sweep_back` treat together.
LANES = 16

# unsigned numbers, so that no index has to be checked for being negative
_ROWS = 3 * LANES
_WIDE, _THREE, _NINE = np.uint64(_ROWS), np.uint64(3), np.uint64(9)
_subtract = block_product(((0, 1, 2), (3, 4, 5), (6, 7, 8)), LANES)
_subtract_transposed = block_product(((0, 3, 6), (1, 4, 7), (2, 5, 8)), LANES)
_subtract_diagonal = block_product(((0, -1, -1), (-1, 1, -1), (-1, -1, 2)), LANES)


def _without_counters(matrix: sp.csc_matrix) -> sp.csc_matrix:
    """The same pattern, in which no unknown is found from what only counts it.

    An unknown that no other equation sees, such as the energy that has passed, follows from its own
    equation. That must not be used up for another unknown: at rest the energy depends on none.
    """
    out = sp.csc_matrix(matrix, copy=True)
    alone = np.flatnonzero(np.diff(out.indptr) == 1)
    of_counters = np.isin(out.indices, out.indices[out.indptr[alone]])
    of_counters[out.indptr[alone]] = False
    out.data[of_counters] *= _COUNTED
    return out


class Order(NamedTuple):
    """Pivot order and fill of an n x n matrix.

    The entries of a row of the factors are ordered: diagonal blocks left of the pivot, full
    ones left of it, the pivot, diagonal blocks right of it, full ones right of it; within
    each group ascending. A diagonal block takes 3 numbers, a full one 9, row by row.

    Attributes
    ----------
    row, column : numpy.ndarray
        Which row and column of the matrix is the p-th pivot's, shape (n,).
    begin, left, pivot, right : numpy.ndarray
        First entry of row p, (n + 1,), its first full block left of the pivot, its pivot, and
        its first full block right of it, (n,).
    columns : numpy.ndarray
        Column (in pivot order) of every entry, shape (nnz,).
    at : numpy.ndarray
        Where every entry's numbers begin, and their total count, shape (nnz + 1,).
    target : numpy.ndarray
        For every elimination, in order, where the numbers begin that it changes.
    """

    row: np.ndarray
    column: np.ndarray
    begin: np.ndarray
    left: np.ndarray
    pivot: np.ndarray
    right: np.ndarray
    columns: np.ndarray
    at: np.ndarray
    target: np.ndarray

    def entries(self) -> tuple[np.ndarray, np.ndarray]:
        """Row and column of the original matrix at every entry, shape (nnz,) each."""
        return np.repeat(self.row, np.diff(self.begin)), self.column[self.columns.astype(int)]

    @property
    def full(self) -> np.ndarray:
        """Whether an entry is a full block, shape (nnz,)."""
        return np.diff(self.at.astype(int)) == 9


def analyse(matrix: sp.csc_matrix, nx: int) -> Order:
    """Pivot order and fill for matrices like this one, explicit zeros included.

    The blocks on the diagonal of the first nx rows are full, all others are diagonal.

    Raises
    ------
    SolveFailure
        If the matrix is singular.
    """
    n = matrix.shape[0]
    weighed = _without_counters(matrix)
    # rows of very different size would mislead the choice of pivots
    size = np.maximum(abs(weighed).max(axis=1).toarray().ravel(), 1e-300)
    try:
        lu = spl.splu(
            sp.csc_matrix(sp.diags(1.0 / size) @ weighed),
            permc_spec="MMD_AT_PLUS_A",
            diag_pivot_thresh=_THRESHOLD,
        )
    except RuntimeError as error:
        raise SolveFailure(Reason.NON_FINITE, "the equations are singular at the start") from error
    entries = matrix.tocoo()
    full: list[dict[int, bool]] = [{p: True} for p in range(n)]
    for r, c in zip(entries.row, entries.col, strict=True):
        p, q = lu.perm_r[r], lu.perm_c[c]
        full[p][q] = full[p].get(q, False) or (r == c and r < nx)
    for p, found in enumerate(full):
        for k in range(p):  # in order: an elimination may add entries further right
            if k in found:
                found.update({c: True for c in full[k] if c > k})
    rows = [_ordered(p, found) for p, found in enumerate(full)]
    groups = np.array([[len(group) for group in groups] for groups in rows])
    ends = np.cumsum(groups).reshape(n, 5)
    columns = np.array([c for groups in rows for group in groups for c in group])
    widths = np.tile([3, 9, 9, 3, 9], n).repeat(groups.ravel())
    at = np.concatenate([[0], np.cumsum(widths)])
    begin = np.concatenate([[0], ends[:, 4]])
    place = [{columns[e]: at[e] for e in range(begin[p], begin[p + 1])} for p in range(n)]
    target = [
        place[p][c]
        for p, groups in enumerate(rows)
        for k in (*groups[0], *groups[1])
        for c in (*rows[k][3], *rows[k][4])
    ]
    return Order(
        row=np.argsort(lu.perm_r),
        column=np.argsort(lu.perm_c),
        begin=begin,
        left=ends[:, 0],
        pivot=ends[:, 1],
        right=ends[:, 3],
        columns=columns.astype(np.uint64),
        at=at.astype(np.uint64),
        target=np.array(target, np.uint64),
    )


def _ordered(p: int, full: dict[int, bool]) -> tuple[list[int], ...]:
    """The columns of row p in the groups of `Order`."""
    columns = sorted(full)
    left, right = [c for c in columns if c < p], [c for c in columns if c > p]
    return (
        [c for c in left if not full[c]],
        [c for c in left if full[c]],
        [p],
        [c for c in right if not full[c]],
        [c for c in right if full[c]],
    )


@compiled
def eliminate(blocks: np.ndarray, order: Order) -> int:
    """Factorise in place, shape (N, count of numbers); pivot blocks are left inverted.

    Returns the number of pivots that are too small.
    """
    bad = 0
    begin, left, pivot, right = order.begin, order.left, order.pivot, order.right
    columns, at, target = order.columns, order.at, order.target
    for i in range(blocks.shape[0]):
        a = blocks[i]
        t = 0
        for p in range(len(pivot)):
            for e in range(begin[p], pivot[p]):
                k = columns[e]
                v = a[at[pivot[k]] : at[pivot[k]] + 9]
                if e < left[p]:
                    w = a[at[e] : at[e] + 3]
                    l0, l1, l2 = w[0] * v[0], w[0] * v[1], w[0] * v[2]
                    l3, l4, l5 = w[1] * v[3], w[1] * v[4], w[1] * v[5]
                    l6, l7, l8 = w[2] * v[6], w[2] * v[7], w[2] * v[8]
                else:
                    w = a[at[e] : at[e] + 9]
                    l0 = w[0] * v[0] + w[1] * v[3] + w[2] * v[6]
                    l1 = w[0] * v[1] + w[1] * v[4] + w[2] * v[7]
                    l2 = w[0] * v[2] + w[1] * v[5] + w[2] * v[8]
                    l3 = w[3] * v[0] + w[4] * v[3] + w[5] * v[6]
                    l4 = w[3] * v[1] + w[4] * v[4] + w[5] * v[7]
                    l5 = w[3] * v[2] + w[4] * v[5] + w[5] * v[8]
                    l6 = w[6] * v[0] + w[7] * v[3] + w[8] * v[6]
                    l7 = w[6] * v[1] + w[7] * v[4] + w[8] * v[7]
                    l8 = w[6] * v[2] + w[7] * v[5] + w[8] * v[8]
                for u in range(pivot[k] + 1, right[k]):
                    b = a[at[u] : at[u] + 3]
                    c = a[target[t] : target[t] + 9]
                    t += 1
                    c[0] -= l0 * b[0]
                    c[1] -= l1 * b[1]
                    c[2] -= l2 * b[2]
                    c[3] -= l3 * b[0]
                    c[4] -= l4 * b[1]
                    c[5] -= l5 * b[2]
                    c[6] -= l6 * b[0]
                    c[7] -= l7 * b[1]
                    c[8] -= l8 * b[2]
                for u in range(right[k], begin[k + 1]):
                    b = a[at[u] : at[u] + 9]
                    c = a[target[t] : target[t] + 9]
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
            bad += _invert(a[at[pivot[p]] : at[pivot[p]] + 9])
    return bad


@compiled
def _invert(b: np.ndarray) -> int:
    """Invert a 3 x 3 block in place; 1 if it is singular.

    The numbers of a diagonal block may belong to points that have nothing to do with each other.
    """
    if not (b[1] or b[2] or b[3] or b[5] or b[6] or b[7]):
        if b[0] == 0.0 or b[4] == 0.0 or b[8] == 0.0:
            return 1
        b[0], b[4], b[8] = 1.0 / b[0], 1.0 / b[4], 1.0 / b[8]
        return 0
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


@compiled
def sweep_one(
    blocks: np.ndarray, order: Order, first: np.ndarray, nx: int, rhs: np.ndarray, out: np.ndarray
) -> None:
    """Solve interval after interval, each from the end of the one before, the first from zero.

    Parameters
    ----------
    first : numpy.ndarray
        Weights of an interval's start in the stage equations, shape (3,).
    rhs, out : numpy.ndarray
        Right-hand side and result, shape (N, 3, n).
    """
    # apart from `sweep`, because a single direction is fastest in local variables
    begin, left, pivot, right = order.begin, order.left, order.pivot, order.right
    columns, at, row, column = order.columns, order.at, order.row, order.column
    n = len(pivot)
    z = np.empty((n, 3))
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
            t = at[begin[p]]
            for e in range(begin[p], left[p]):
                q = columns[e]
                y0 -= a[t] * z[q, 0]
                y1 -= a[t + 1] * z[q, 1]
                y2 -= a[t + 2] * z[q, 2]
                t += _THREE
            for e in range(left[p], pivot[p]):
                q = columns[e]
                z0, z1, z2 = z[q, 0], z[q, 1], z[q, 2]
                y0 -= a[t] * z0 + a[t + 1] * z1 + a[t + 2] * z2
                y1 -= a[t + 3] * z0 + a[t + 4] * z1 + a[t + 5] * z2
                y2 -= a[t + 6] * z0 + a[t + 7] * z1 + a[t + 8] * z2
                t += _NINE
            z[p, 0] = a[t] * y0 + a[t + 1] * y1 + a[t + 2] * y2
            z[p, 1] = a[t + 3] * y0 + a[t + 4] * y1 + a[t + 5] * y2
            z[p, 2] = a[t + 6] * y0 + a[t + 7] * y1 + a[t + 8] * y2
        for p in range(n - 1, -1, -1):
            y0, y1, y2 = 0.0, 0.0, 0.0
            v = at[pivot[p]]
            t = v + _NINE
            for e in range(pivot[p] + 1, right[p]):
                q = columns[e]
                y0 += a[t] * z[q, 0]
                y1 += a[t + 1] * z[q, 1]
                y2 += a[t + 2] * z[q, 2]
                t += _THREE
            for e in range(right[p], begin[p + 1]):
                q = columns[e]
                z0, z1, z2 = z[q, 0], z[q, 1], z[q, 2]
                y0 += a[t] * z0 + a[t + 1] * z1 + a[t + 2] * z2
                y1 += a[t + 3] * z0 + a[t + 4] * z1 + a[t + 5] * z2
                y2 += a[t + 6] * z0 + a[t + 7] * z1 + a[t + 8] * z2
                t += _NINE
            z[p, 0] -= a[v] * y0 + a[v + 1] * y1 + a[v + 2] * y2
            z[p, 1] -= a[v + 3] * y0 + a[v + 4] * y1 + a[v + 5] * y2
            z[p, 2] -= a[v + 6] * y0 + a[v + 7] * y1 + a[v + 8] * y2
            for j in range(3):
                out[i, j, column[p]] = z[p, j]


@compiled
def sweep(
    blocks: np.ndarray,
    order: Order,
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
    """`sweep_one` for k directions, from a start that moves.

    Parameters
    ----------
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
    begin, left, pivot, right = order.begin, order.left, order.pivot, order.right
    columns, at, row, column = order.columns, order.at, order.row, order.column
    n, k = len(pivot), start.shape[1]
    # loops, as whole-array operations take seconds to compile
    for r in range(nx):
        for m in range(k):
            last[r, m] = start[r, m]
    position = np.empty(n, np.int64)
    for p in range(n):
        position[column[p]] = p
    # (n, 3, LANES), and three rows of it
    z, y, zero = np.zeros(n * _ROWS), np.empty(_ROWS), np.uint64(0)
    for i in range(blocks.shape[0]):
        a = blocks[i]
        for o in range(0, k, LANES):  # while the interval's numbers are at hand
            count = min(LANES, k - o)
            acts = False
            for c in range(len(rhs_columns)):
                acts = acts or o <= rhs_columns[c] < o + LANES
            for p in range(n):
                r = row[p]
                for m in range(_WIDE):
                    y[m] = 0.0
                if acts:
                    for c in range(len(rhs_columns)):
                        m = rhs_columns[c] - o
                        if 0 <= m < LANES:
                            for j in range(3):
                                y[j * LANES + m] = rhs[i, j, r, c]
                if r < nx:
                    for m in range(count):
                        before = last[r, o + m]
                        for j in range(3):
                            y[j * LANES + m] -= first[j] * before
                t = at[begin[p]]
                for e in range(begin[p], left[p]):
                    _subtract_diagonal(y, zero, a, t, z, columns[e] * _WIDE)
                    t += _THREE
                for e in range(left[p], pivot[p]):
                    _subtract(y, zero, a, t, z, columns[e] * _WIDE)
                    t += _NINE
                place = np.uint64(p) * _WIDE
                for m in range(_WIDE):
                    z[place + m] = 0.0
                    y[m] = -y[m]
                _subtract(z, place, a, t, y, zero)
            for p in range(n - 1, -1, -1):
                for m in range(_WIDE):
                    y[m] = 0.0
                t = at[pivot[p]]
                u = t + _NINE
                for e in range(pivot[p] + 1, right[p]):
                    _subtract_diagonal(y, zero, a, u, z, columns[e] * _WIDE)
                    u += _THREE
                for e in range(right[p], begin[p + 1]):
                    _subtract(y, zero, a, u, z, columns[e] * _WIDE)
                    u += _NINE
                place = np.uint64(p) * _WIDE
                for m in range(_WIDE):
                    y[m] = -y[m]
                _subtract(z, place, a, t, y, zero)
                for m in range(_WIDE):
                    # forgotten directions decay into denormal numbers, which are slow
                    value = z[place + m]
                    z[place + m] = 0.0 if abs(value) < 1e-60 else value
                for m in range(count):
                    last[column[p], o + m] = z[p * _ROWS + 2 * LANES + m]
                if stages.size > 0:
                    for j in range(3):
                        for m in range(count):
                            stages[i, j, column[p], o + m] = z[p * _ROWS + j * LANES + m]
            for j in range(3):
                for m in range(count):
                    here = j * LANES + m
                    current[i, j, o + m] = z[position[n - 1] * _ROWS + here]
                    total = 0.0
                    for c in range(len(seen)):
                        total += weights[i, j, c] * z[position[seen[c]] * _ROWS + here]
                    voltage[i, j, o + m] = total


@compiled
def sweep_back(
    blocks: np.ndarray, order: Order, first: np.ndarray, nx: int, rhs: np.ndarray
) -> np.ndarray:
    """Solve with the transpose of what `sweep` solves with, from the last interval to the first.

    `rhs`, shape (N, 3, n, k), is overwritten by the solution. Returns the derivative with
    respect to the start of minus what is solved for, shape (nx, k).
    """
    begin, left, pivot, right = order.begin, order.left, order.pivot, order.right
    columns, at, row, column = order.columns, order.at, order.row, order.column
    n, k = len(pivot), rhs.shape[3]
    start = np.zeros((nx, k))
    z, gathered = np.zeros(n * _ROWS), np.empty(n * _ROWS)
    y, zero = np.empty(_ROWS), np.uint64(0)
    for i in range(blocks.shape[0] - 1, -1, -1):
        a = blocks[i]
        for o in range(0, k, LANES):
            count = min(LANES, k - o)
            for p in range(n):
                c = column[p]
                for j in range(3):
                    for m in range(count):
                        z[p * _ROWS + j * LANES + m] = rhs[i, j, c, o + m]
                if c < nx:
                    for m in range(count):
                        z[p * _ROWS + 2 * LANES + m] += start[c, o + m]
                        start[c, o + m] = 0.0
            for p in range(n):
                place, t = np.uint64(p) * _WIDE, at[pivot[p]]
                for m in range(_WIDE):
                    y[m] = -z[place + m]
                    z[place + m] = 0.0
                _subtract_transposed(z, place, a, t, y, zero)
                t += _NINE
                for e in range(pivot[p] + 1, right[p]):
                    _subtract_diagonal(z, columns[e] * _WIDE, a, t, z, place)
                    t += _THREE
                for e in range(right[p], begin[p + 1]):
                    _subtract_transposed(z, columns[e] * _WIDE, a, t, z, place)
                    t += _NINE
            for m in range(len(gathered)):
                gathered[m] = 0.0
            for p in range(n - 1, -1, -1):
                place, r = np.uint64(p) * _WIDE, row[p]
                for m in range(_WIDE):
                    y[m] = -gathered[place + m]
                _subtract_transposed(z, place, a, at[pivot[p]], y, zero)
                t = at[begin[p]]
                for e in range(begin[p], left[p]):
                    _subtract_diagonal(gathered, columns[e] * _WIDE, a, t, z, place)
                    t += _THREE
                for e in range(left[p], pivot[p]):
                    _subtract_transposed(gathered, columns[e] * _WIDE, a, t, z, place)
                    t += _NINE
                for j in range(3):
                    for m in range(count):
                        value = z[p * _ROWS + j * LANES + m]
                        rhs[i, j, r, o + m] = value
                        if r < nx:
                            start[r, o + m] -= first[j] * value
    return start
