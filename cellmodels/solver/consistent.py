"""Algebraic states that fit a given differential state."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg as spl

from cellmodels.solver.collocation import Collocation
from cellmodels.solver.outcome import Reason, SolveFailure
from cellmodels.solver.step import Control


def consistent_point(
    collocation: Collocation,
    control: Control,
    start: np.ndarray,
    theta: np.ndarray,
    guess: np.ndarray,
) -> tuple[np.ndarray, float]:
    """Algebraic states and current that fit the state x and the control.

    Returns v, shape (n,), and the voltage [V]. Newton with halving; if it fails from the
    guess, the current is brought from zero to its value in stages.
    """
    point = np.concatenate([start, guess[len(start) :]])
    if control.kind == "current":
        point[-1] = control.value
    try:
        return _solve_algebraic(collocation, control, point, theta)
    except SolveFailure:
        if control.kind == "voltage":
            raise
    point = np.concatenate([start, guess[len(start) :]])
    for fraction in (0.0, 0.1, 0.3, 0.6, 1.0):
        ramped = Control(control.kind, fraction * control.value)
        if control.kind == "current":
            point[-1] = ramped.value
        point, voltage = _solve_algebraic(collocation, ramped, point, theta)
    return point, voltage


def _solve_algebraic(
    collocation: Collocation, control: Control, point: np.ndarray, theta: np.ndarray
) -> tuple[np.ndarray, float]:
    dae = collocation.dae
    nx, n = dae.nx, dae.n
    rows, cols = dae.pattern.rows, dae.pattern.cols
    keep = (rows >= nx) & (cols >= nx)
    best = np.inf
    for _ in range(60):
        system, nonzeros = dae.linearise(point[None, :], theta)
        system = system[0]
        voltage = system[-1]
        residual = system[nx:].copy()
        residual[-1] = control.residual(point[-1], voltage)
        if not np.all(np.isfinite(residual)):
            raise SolveFailure(Reason.NO_CONSISTENT_START, "the model is not finite there")
        weight_i, weight_v = control.weights(point[-1:], np.array([voltage]))
        data = nonzeros[0, keep]
        data = np.where(rows[keep] == n - 1, weight_v[0] * data, data)
        matrix = sp.csc_matrix((data, (rows[keep] - nx, cols[keep] - nx)), shape=(n - nx, n - nx))
        matrix = matrix + sp.csc_matrix(
            ([weight_i[0]], ([n - nx - 1], [n - nx - 1])), shape=matrix.shape
        )
        try:
            delta = -spl.splu(matrix.tocsc()).solve(residual)
        except RuntimeError as error:
            raise SolveFailure(Reason.NO_CONSISTENT_START, str(error)) from error
        size = float(np.max(np.abs(delta) / (1e-2 + np.abs(point[nx:]))))
        if not np.isfinite(size) or size > 1e6 * max(best, 1.0):
            break
        best = min(best, size)
        point = point.copy()
        point[nx:] += delta / max(1.0, size)
        if size < 1e-9:
            return point, float(dae.evaluate(point[None, :], theta)[0, -1])
    raise SolveFailure(Reason.NO_CONSISTENT_START, "no algebraic state fits the control")


def consistent_directions(
    collocation: Collocation,
    point: np.ndarray,
    theta: np.ndarray,
    directions: np.ndarray,
    parameters: np.ndarray,
) -> np.ndarray:
    """Change of the voltage along directions of x and I, the algebraic states following.

    Parameters
    ----------
    point : numpy.ndarray
        A consistent v = [x, z, I], shape (n,).
    directions : numpy.ndarray
        dv, shape (n, k); its algebraic part is not used.
    parameters : numpy.ndarray
        dtheta, shape (n_theta, k).

    Returns
    -------
    numpy.ndarray
        dV, shape (k,).
    """
    dae = collocation.dae
    nx, nz, n = dae.nx, dae.nz, dae.n
    jacobian = sp.csr_matrix(
        (dae.linearise(point[None, :], theta)[1][0], (dae.pattern.rows, dae.pattern.cols)),
        shape=(n, n),
    )[nx:]
    pattern = dae.parametric_pattern
    by_theta = sp.csr_matrix(
        (dae.parametric(point[None, :], theta)[0], (pattern.rows, pattern.cols)),
        shape=(n, len(theta)),
    )[nx:]
    moved = directions.copy()
    moved[nx : nx + nz] = 0.0
    change = jacobian @ moved + by_theta @ parameters
    if nz:
        algebraic = jacobian[:, nx : nx + nz].tocsc()
        follow = -spl.splu(algebraic[:nz]).solve(np.ascontiguousarray(change[:nz]))
        return change[nz] + (algebraic[nz:] @ follow)[0]
    return change[0]
