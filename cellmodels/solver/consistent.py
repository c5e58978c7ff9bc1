"""Algebraic states that fit a given differential state."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg as spl

from cellmodels.solver.collocation import Collocation
from cellmodels.solver.dae import Pattern
from cellmodels.solver.outcome import Reason, SolveFailure
from cellmodels.solver.step import Control

#: Systems up to this size are solved as dense ones.
_DENSE = 30


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
    if dae.nz == 0 and control.kind == "current":
        return point, _finite(dae.voltage(point[None, :], theta)[0])
    rows, cols = dae.pattern.rows, dae.pattern.cols
    keep = (rows >= nx) & (cols >= nx)
    control_row = rows[keep] == n - 1
    where = np.append(rows[keep], n - 1) - nx, np.append(cols[keep], n - 1) - nx
    best = np.inf
    for _ in range(60):
        system, nonzeros = (row[0] for row in dae.linearise(point[None, :], theta))
        voltage = _finite(system[-1])
        residual = system[nx:].copy()
        residual[-1] = control.residual(point[-1:], np.array([voltage]))[0]
        weight_i, weight_v = control.weights(point[-1:], np.array([voltage]))
        numbers = np.where(control_row, weight_v[0], 1.0) * nonzeros[keep]
        delta = -_solve(np.append(numbers, weight_i[0]), where, residual)
        size = float(np.max(np.abs(delta) / (1e-2 + np.abs(point[nx:]))))
        if not np.isfinite(size) or size > 1e6 * max(best, 1.0):
            break
        best = min(best, size)
        point = point.copy()
        point[nx:] += delta / max(1.0, size)
        if size < 1e-9:
            return point, _finite(dae.voltage(point[None, :], theta)[0])
    raise SolveFailure(Reason.NO_CONSISTENT_START, "no algebraic state fits the control")


def _finite(voltage: float) -> float:
    if not np.isfinite(voltage):
        raise SolveFailure(Reason.NO_CONSISTENT_START, "the model is not finite there")
    return float(voltage)


def _solve(
    numbers: np.ndarray, where: tuple[np.ndarray, np.ndarray], rhs: np.ndarray
) -> np.ndarray:
    """Solve a square system given by its entries (repeated ones add up)."""
    size = len(rhs)
    if size <= _DENSE:
        matrix = np.zeros((size, size))
        np.add.at(matrix, where, numbers)
        try:
            return np.linalg.solve(matrix, rhs)
        except np.linalg.LinAlgError as error:
            raise SolveFailure(Reason.NO_CONSISTENT_START, str(error)) from error
    try:
        return spl.splu(sp.csc_matrix((numbers, where), shape=(size, size))).solve(rhs)
    except RuntimeError as error:
        raise SolveFailure(Reason.NO_CONSISTENT_START, str(error)) from error


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
    jacobian = dae.linearise(point[None, :], theta)[1][0]
    moved = directions.copy()
    moved[nx : nx + nz] = 0.0
    change = _rows(dae.pattern, jacobian, moved, nx)
    change += _rows(
        dae.parametric_pattern, dae.parametric(point[None, :], theta)[0], parameters, nx
    )
    if nz:
        follow = np.zeros_like(moved)
        rows, cols = dae.pattern.rows, dae.pattern.cols
        keep = (rows >= nx) & (rows < n - 1) & (cols >= nx) & (cols < n - 1)
        follow[nx : n - 1] = -_solve(
            jacobian[keep], (rows[keep] - nx, cols[keep] - nx), change[:nz]
        )
        return change[nz] + _rows(dae.pattern, jacobian, follow, n - 1)[0]
    return change[0]


def _rows(pattern: Pattern, nonzeros: np.ndarray, directions: np.ndarray, first: int) -> np.ndarray:
    """Rows from `first` on of a sparse matrix times directions, shape (n - first, k)."""
    keep = pattern.rows >= first
    out = np.zeros((pattern.height - first, directions.shape[1]))
    np.add.at(
        out, pattern.rows[keep] - first, nonzeros[keep, None] * directions[pattern.cols[keep]]
    )
    return out
