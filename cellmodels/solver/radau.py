"""Radau IIA collocation with three stages (order 5, stiffly accurate).

On an interval of length h, with start value x_0 and stage values x_1, x_2, x_3 at the
abscissae c_j, the collocation polynomial satisfies

    sum_k D[k, j] x_k  =  h f(x_j),      j = 1, 2, 3,   k = 0 .. 3,

where ``D[k, j]`` is the derivative of the k-th Lagrange polynomial at c_j. The last
abscissa is 1, so the last stage is the value at the end of the interval.

Source: E. Hairer and G. Wanner, Solving Ordinary Differential Equations II (1996),
sections IV.5 and IV.8, doi:10.1007/978-3-642-05221-7.
"""

from __future__ import annotations

import numpy as np

SQRT6 = np.sqrt(6.0)
STAGES = 3

#: Abscissae of the stages, shape (3,).
ABSCISSAE = np.array([(4.0 - SQRT6) / 10.0, (4.0 + SQRT6) / 10.0, 1.0])

#: Quadrature weights on the unit interval, shape (3,).
WEIGHTS = np.array([(16.0 - SQRT6) / 36.0, (16.0 + SQRT6) / 36.0, 1.0 / 9.0])

#: Real eigenvalue of the inverse Runge-Kutta matrix, used by the error estimate.
REAL_EIGENVALUE = 3.0 + 3.0 ** (2.0 / 3.0) - 3.0 ** (1.0 / 3.0)

#: Runge-Kutta matrix: integrals of the stage polynomials from 0 to each abscissa, shape (3, 3).
INTEGRAL = (
    np.array(
        [
            [88.0 - 7.0 * SQRT6, (296.0 - 169.0 * SQRT6) / 5.0, (-16.0 + 24.0 * SQRT6) / 5.0],
            [(296.0 + 169.0 * SQRT6) / 5.0, 88.0 + 7.0 * SQRT6, (-16.0 - 24.0 * SQRT6) / 5.0],
            [10.0 * (16.0 - SQRT6), 10.0 * (16.0 + SQRT6), 40.0],
        ]
    )
    / 360.0
)

#: Coefficients of the embedded error estimate (Hairer and Wanner, eq. IV.8.19).
ERROR_WEIGHTS = np.array([-13.0 - 7.0 * SQRT6, -13.0 + 7.0 * SQRT6, -1.0]) / 3.0


def lagrange_basis(nodes: np.ndarray, at: np.ndarray | float) -> np.ndarray:
    """Values of the Lagrange polynomials over `nodes`.

    Parameters
    ----------
    nodes : numpy.ndarray
        Distinct nodes, shape (m,).
    at : numpy.ndarray or float
        Where to evaluate, shape (k,).

    Returns
    -------
    numpy.ndarray
        Shape (k, m).
    """
    nodes = np.asarray(nodes, float)
    at = np.atleast_1d(np.asarray(at, float))
    # of every polynomial (second axis) the factors (last axis), all but its own
    between = nodes[:, None] - nodes
    own = np.arange(len(nodes))
    between[own, own] = 1.0
    factors = (at[:, None, None] - nodes) / between
    factors[:, own, own] = 1.0
    return factors.prod(axis=2)


def lagrange_derivative(nodes: np.ndarray, at: np.ndarray | float) -> np.ndarray:
    """Derivatives of the Lagrange polynomials over `nodes`, shape (k, m)."""
    nodes = np.asarray(nodes, float)
    at = np.atleast_1d(np.asarray(at, float))
    out = np.zeros((len(at), len(nodes)))
    for k, node in enumerate(nodes):
        others = np.delete(nodes, k)
        scale = np.prod(node - others)
        for j in range(len(others)):
            out[:, k] += np.prod(at[:, None] - np.delete(others, j)[None, :], axis=1) / scale
    return out


#: Nodes 0, c_1, c_2, c_3 of the collocation polynomial, shape (4,).
NODES = np.concatenate([[0.0], ABSCISSAE])

#: Derivative matrix D[k, j], shape (4, 3).
DERIVATIVE = lagrange_derivative(NODES, ABSCISSAE).T
