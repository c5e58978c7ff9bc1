"""Auxiliary algebraic states."""

import casadi as ca
import numpy as np

from cellmodels.solver.lift import lift


def mean_field(count: int) -> ca.Function:
    """Every state decays toward the exponential of the mean of all."""
    v, p = ca.SX.sym("v", count + 1), ca.SX.sym("p", 1)
    x, current = v[:count], v[count]
    mean = ca.sum1(x) / count
    return ca.Function("F", [v, p], [ca.vertcat(p * (ca.exp(mean) - x), mean - current)])


def test_a_mean_becomes_a_state_and_solutions_stay():
    plain = mean_field(40)
    lifted = lift(plain)
    assert lifted.numel_in(0) == plain.numel_in(0) + 1
    assert lifted.jac_sparsity(0, 0).nnz() < 0.3 * plain.jac_sparsity(0, 0).nnz()
    rng = np.random.default_rng(0)
    x, current, theta = rng.normal(size=40), 0.3, 1.7
    without = lifted(np.concatenate([x, [0.0, current]]), theta).full().ravel()
    added = -without[40]  # 0 = u - mean
    with_it = lifted(np.concatenate([x, [added, current]]), theta).full().ravel()
    expected = plain(np.concatenate([x, [current]]), theta).full().ravel()
    np.testing.assert_allclose(np.delete(with_it, 40), expected, rtol=1e-12)
    assert abs(with_it[40]) < 1e-12


def test_a_sparse_function_stays_as_it_is():
    v, p = ca.SX.sym("v", 9), ca.SX.sym("p", 1)
    sparse = ca.Function("F", [v, p], [p * v**2])
    assert lift(sparse) is sparse


def test_an_spme_is_lifted_and_starts_consistently(spme):
    assert spme.nz > 0
    theta = np.ones(len(spme.names))
    x, z = spme.start(theta)
    rest = np.concatenate([x, z, [0.0]])[None]
    assert np.max(np.abs(spme.evaluate(rest, theta)[0, spme.nx : -1])) < 1e-9
