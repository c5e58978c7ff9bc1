"""The block LU factorisation against dense linear algebra."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from cellmodels.solver.block_lu import analyse, eliminate, sweep, sweep_back, sweep_one
from cellmodels.solver.outcome import SolveFailure

FIRST = np.array([0.3, -0.2, 1.0])


def system(seed: int, n: int, intervals: int):
    """Random block matrices on a random pattern, with their dense forms."""
    rng = np.random.default_rng(seed)
    pattern = (rng.random((n, n)) < 0.25) | np.eye(n, dtype=bool)
    matrix = sp.csc_matrix(np.where(pattern, rng.normal(size=(n, n)), 0.0) + 4 * np.eye(n))
    nx = n - 1
    order = analyse(matrix, nx)
    blocks = np.zeros((intervals, order.at[-1]))
    dense = np.zeros((intervals, 3, n, 3, n))
    for e, (r, c) in enumerate(zip(*order.entries(), strict=True)):
        if pattern[r, c]:
            block = rng.normal(size=(intervals, 3, 3)) + (6 * np.eye(3) if r == c else 0.0)
            if r != c or r >= nx:
                block *= np.eye(3)
            dense[:, :, r, :, c] = block
            every = slice(None) if order.full[e] else slice(None, None, 4)
            numbers = block.reshape(intervals, 9)[:, every]
            blocks[:, order.at[e] : order.at[e + 1]] = numbers
    return order, blocks, dense.reshape(intervals, 3 * n, 3 * n), rng


def forward(blocks, order, nx, start, rhs):
    """All stages of `sweep`, after a look at its other results."""
    count, _, n, k = rhs.shape
    current, voltage = np.empty((count, 3, k)), np.empty((count, 3, k))
    last, stages = np.empty((n, k)), np.empty_like(rhs)
    seen, weights = np.array([0, n - 1]), np.full((count, 3, 2), 0.5)
    results = (current, voltage, last, stages)
    sweep(blocks, order, FIRST, nx, start, rhs, np.arange(k), seen, weights, *results)
    np.testing.assert_array_equal(current, stages[:, :, -1])
    np.testing.assert_allclose(voltage, 0.5 * (stages[:, :, 0] + stages[:, :, -1]))
    np.testing.assert_array_equal(last, stages[-1, -1])
    return stages


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 9), st.integers(1, 4), st.integers(1, 19))
def test_solves_what_dense_algebra_solves(seed, n, intervals, k):
    order, blocks, dense, rng = system(seed, n, intervals)
    nx = n - 1
    start, rhs = rng.normal(size=(nx, k)), rng.normal(size=(intervals, 3, n, k))
    assert eliminate(blocks, order) == 0
    out = forward(blocks, order, nx, start, rhs)
    before = start
    for i in range(intervals):
        right = rhs[i].copy()
        right[:, :nx] -= FIRST[:, None, None] * before
        expected = np.linalg.solve(dense[i], right.reshape(3 * n, k)).reshape(3, n, k)
        np.testing.assert_allclose(out[i], expected, rtol=1e-6, atol=1e-8)
        before = out[i, 2, :nx]
    one = np.empty((intervals, 3, n))
    sweep_one(blocks, order, FIRST, nx, rhs[..., 0].copy(), one)
    out = forward(blocks, order, nx, 0 * start, rhs)
    np.testing.assert_allclose(one, out[..., 0], rtol=1e-9, atol=1e-12)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 7), st.integers(1, 4))
def test_backwards_is_the_transpose(seed, n, intervals):
    order, blocks, _, rng = system(seed, n, intervals)
    nx = n - 1
    eliminate(blocks, order)
    start, rhs = rng.normal(size=(nx, 2)), rng.normal(size=(intervals, 3, n, 2))
    weights = rng.normal(size=(intervals, 3, n, 1))
    back = weights.copy()
    out = forward(blocks, order, nx, start, rhs)
    by_start = sweep_back(blocks, order, FIRST, nx, back)
    ahead = np.sum(weights * out, axis=(0, 1, 2))
    backward = np.sum(back * rhs, axis=(0, 1, 2)) + by_start[:, 0] @ start
    np.testing.assert_allclose(backward, ahead, rtol=1e-6, atol=1e-8)


def test_a_singular_pivot_is_reported():
    order, blocks, _, _ = system(0, 4, 1)
    blocks[...] = 0.0
    assert eliminate(blocks, order) == 4


def test_a_row_without_a_diagonal_entry_finds_another_pivot():
    matrix = sp.csc_matrix(np.array([[0.0, 2.0], [3.0, 1.0]]))
    order = analyse(matrix, 0)
    values = matrix.toarray()[order.entries()]
    blocks = [
        v * (np.eye(3).ravel() if full else np.ones(3))
        for v, full in zip(values, order.full, strict=True)
    ]
    blocks = np.concatenate(blocks)[None]
    assert eliminate(blocks, order) == 0
    out = np.empty((1, 3, 2))
    sweep_one(blocks, order, FIRST, 2, np.ones((1, 3, 2)), out)
    np.testing.assert_allclose(out[0, 0], np.linalg.solve(matrix.toarray(), np.ones(2)))


def test_a_singular_matrix_is_refused():
    with pytest.raises(SolveFailure):
        analyse(sp.csc_matrix(np.array([[1.0, 1.0], [1.0, 1.0]])), 0)


def test_what_only_counts_is_no_pivot_for_another():
    """A counter's row may see an unknown at one point and not at the next."""
    matrix = np.array([[1.0, 5.0, 3.0], [0.0, 1e-9, 2.0], [0.0, 4.0, 1.0]])
    order = analyse(sp.csc_matrix(matrix), 0)
    (of_counter,) = np.flatnonzero(order.column == 0)
    assert order.row[of_counter] == 0
    matrix[0, 1:] = 0.0
    blocks = np.zeros((1, order.at[-1]))
    for e, (r, c) in enumerate(zip(*order.entries(), strict=True)):
        every = slice(None) if order.full[e] else slice(None, None, 4)
        blocks[0, order.at[e] : order.at[e + 1]] = (matrix[r, c] * np.eye(3)).ravel()[every]
    assert eliminate(blocks, order) == 0
