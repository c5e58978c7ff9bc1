"""The collocation constants satisfy the order conditions they stand for."""

import numpy as np

from cellmodels.solver import radau


def test_quadrature_is_exact_to_degree_four() -> None:
    for degree in range(5):
        assert np.isclose(radau.WEIGHTS @ radau.ABSCISSAE**degree, 1.0 / (degree + 1), rtol=1e-14)
    assert not np.isclose(radau.WEIGHTS @ radau.ABSCISSAE**5, 1.0 / 6.0, rtol=1e-6)


def test_derivative_matrix_differentiates_cubics() -> None:
    cubic = np.polynomial.Polynomial([0.3, -1.0, 2.0, 0.7])
    slopes = radau.DERIVATIVE.T @ cubic(radau.NODES)
    assert np.allclose(slopes, cubic.deriv()(radau.ABSCISSAE), rtol=1e-12)


def test_real_eigenvalue_belongs_to_the_method() -> None:
    inverse = radau.DERIVATIVE[1:].T
    eigenvalues = np.linalg.eigvals(inverse)
    real = eigenvalues[np.abs(eigenvalues.imag) < 1e-12].real
    assert np.allclose(real, radau.REAL_EIGENVALUE, rtol=1e-12)


def test_basis_is_one_at_its_node() -> None:
    assert np.allclose(radau.lagrange_basis(radau.NODES, radau.NODES), np.eye(4), atol=1e-14)
