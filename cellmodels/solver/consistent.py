"""Algebraic states that fit a given differential state."""

from __future__ import annotations

import numpy as np

from cellmodels.solver.algebraic import algebraic_matrix
from cellmodels.solver.collocation import Collocation
from cellmodels.solver.dae import Dae
from cellmodels.solver.outcome import Reason, SolveFailure
from cellmodels.solver.step import Control

#: Scaled correction with which Newton's method ends, and how many there may be.
_TOLERANCE, _MOST = 1e-9, 60
#: How far an unknown may always move in one iteration.
_FREE = 0.3
#: Smallest share of a correction that is tried.
_LEAST = 1e-8
#: Change of voltage with current that counts as none [V.A-1].
_NO_RESISTANCE = 1e-12


def consistent_point(
    collocation: Collocation,
    control: Control,
    start: np.ndarray,
    theta: np.ndarray,
    guess: np.ndarray,
) -> tuple[np.ndarray, float]:
    """Algebraic states and current that fit the state x and the control.

    Returns v, shape (n,), and the voltage [V]. Newton's method from the guess, and where that fails
    from the model's own guess at its start: a potential may have to jump by a volt.
    """
    try:
        return _from_guess(collocation, control, start, theta, guess)
    except SolveFailure:
        own = np.concatenate([*collocation.dae.start(theta), [0.0]])
        return _from_guess(collocation, control, start, theta, own)


def _from_guess(
    collocation: Collocation,
    control: Control,
    start: np.ndarray,
    theta: np.ndarray,
    guess: np.ndarray,
) -> tuple[np.ndarray, float]:
    """From one guess, with corrections that are shortened if need be, and then by way of rest."""
    point = np.concatenate([start, guess[len(start) :]])
    if control.kind == "current":
        point[-1] = control.value
    for solve in (_solve_algebraic, _solve_damped):
        try:
            return solve(collocation, control, point, theta)
        except SolveFailure as failure:
            if control.kind == "voltage" and solve is _solve_damped:
                raise failure from None
    point = np.concatenate([start, guess[len(start) : -1], [0.0]])
    point, voltage = _solve_damped(collocation, Control("current", 0.0), point, theta)
    for fraction in (0.1, 0.3, 0.6, 1.0):
        ramped = Control(control.kind, fraction * control.value)
        point[-1] = ramped.value / (voltage if control.kind == "power" else 1.0)
        point, voltage = _solve_damped(collocation, ramped, point, theta)
    return point, voltage


def power_slope(dae: Dae, point: np.ndarray, theta: np.ndarray) -> float:
    """Change of the power with the current at fixed differential states, by the voltage [-].

    One without resistance, zero where the cell gives its greatest power.
    """
    voltage, slope = _by_current(dae, point, theta)
    return 1.0 + point[-1] * slope / voltage


def has_resistance(dae: Dae) -> bool:
    """Whether the voltage follows the current at once, as it must to be held.

    Where all of it is a differential state, as that of double layers in a model without ohmic
    resistance, no current sets it to another value.
    """
    theta = np.ones(len(dae.names))
    point = np.append(np.concatenate(dae.start(theta)), 0.0)
    return abs(_by_current(dae, point, theta)[1]) > _NO_RESISTANCE


def _by_current(dae: Dae, point: np.ndarray, theta: np.ndarray) -> tuple[float, float]:
    """The voltage [V] and its derivative by the current at fixed differential states [V.A-1]."""
    system, jacobian = (row[0] for row in dae.linearise(point[None, :], theta))
    rows, cols, nx = dae.pattern.rows, dae.pattern.cols, dae.nx
    inner = (rows >= nx) & (cols >= nx)
    matrix = np.zeros((dae.n - nx, dae.n - nx))
    matrix[rows[inner] - nx, cols[inner] - nx] = jacobian[inner]
    by_current = np.append(np.linalg.lstsq(matrix[:-1, :-1], -matrix[:-1, -1])[0], 1.0)
    return float(system[-1]), float(matrix[-1] @ by_current)


def _solve_algebraic(
    collocation: Collocation, control: Control, point: np.ndarray, theta: np.ndarray
) -> tuple[np.ndarray, float]:
    dae, nx = collocation.dae, collocation.dae.nx
    if dae.nz == 0 and control.kind == "current":
        return point, _finite(dae.voltage(point[None, :], theta)[0])
    matrix, best = algebraic_matrix(dae, control.kind), np.inf
    for _ in range(_MOST):
        group = np.tile(point, (1, 3, 1))
        system, jacobian = dae.linearise(group[0], theta)
        _finite(system[0, -1])
        try:
            change = matrix.correction(control, group, system[None], jacobian[None])[0][0, 0]
        except SolveFailure:
            change = _pivoted(dae, control, point, system[0], jacobian[0])
        size = float(np.max(np.abs(change) / (1e-2 + np.abs(point[nx:]))))
        if not np.isfinite(size) or size > 1e6 * max(best, 1.0):
            break
        best = min(best, size)
        # shortened where it more than doubles a size; a potential may pass through zero
        longest = float(np.max(np.abs(change) / (_FREE + np.abs(point[nx:]))))
        point = np.append(point[:nx], point[nx:] + change / max(1.0, longest))
        if size < _TOLERANCE:
            return point, _finite(dae.voltage(point[None, :], theta)[0])
    raise SolveFailure(Reason.NO_CONSISTENT_START, "no algebraic state fits the control")


def _solve_damped(
    collocation: Collocation, control: Control, point: np.ndarray, theta: np.ndarray
) -> tuple[np.ndarray, float]:
    """Newton's method that shortens a correction until the next one would be smaller.

    What is compared are corrections with the same matrix (natural monotonicity test; P. Deuflhard,
    Newton methods for nonlinear problems, Springer 2004, section 3.3), so that a potential finds
    its way across the plateau of a limiting current to where the next reaction sets in.
    """
    dae, nx = collocation.dae, collocation.dae.nx
    if dae.nz == 0 and control.kind == "current":
        return point, _finite(dae.voltage(point[None, :], theta)[0])

    def corrections(at: np.ndarray, jacobian: np.ndarray) -> np.ndarray:
        system = dae.evaluate(at[None, :], theta)[0]
        if not np.all(np.isfinite(system)):
            return np.full(dae.n - nx, np.inf)
        return _pivoted(dae, control, at, system, jacobian)

    share = 1.0
    for _ in range(_MOST):
        system, jacobian = (row[0] for row in dae.linearise(point[None, :], theta))
        _finite(system[-1])
        change = _pivoted(dae, control, point, system, jacobian)
        scale = 1e-2 + np.abs(point[nx:])
        size = float(np.max(np.abs(change) / scale))
        if not np.isfinite(size):
            break
        if size < _TOLERANCE:
            point = np.append(point[:nx], point[nx:] + change)
            return point, _finite(dae.voltage(point[None, :], theta)[0])
        share = min(1.0, 4.0 * share, 1.0 / size)
        while share > _LEAST / max(1.0, size):
            trial = np.append(point[:nx], point[nx:] + share * change)
            next_size = float(np.max(np.abs(corrections(trial, jacobian)) / scale))
            if next_size <= (1.0 - share / 4.0) * size:
                break
            share *= 0.5
        else:
            break
        point = trial
    raise SolveFailure(Reason.NO_CONSISTENT_START, "no algebraic state fits the control")


def _finite(voltage: float) -> float:
    if not np.isfinite(voltage):
        raise SolveFailure(Reason.NO_CONSISTENT_START, "the model is not finite there")
    return float(voltage)


def _pivoted(
    dae: Dae, control: Control, point: np.ndarray, system: np.ndarray, jacobian: np.ndarray
) -> np.ndarray:
    """Newton's correction of [z, I] with pivots chosen anew, where fixed ones are too small.

    `system` is F at the point, `jacobian` dF/dv there or near.
    """
    rows, cols, nx = dae.pattern.rows, dae.pattern.cols, dae.nx
    weight_i, weight_v = control.weights(point[-1:], system[-1:])
    inner = (rows >= nx) & (cols >= nx)
    matrix = np.zeros((dae.n - nx, dae.n - nx))
    matrix[rows[inner] - nx, cols[inner] - nx] = jacobian[inner]
    matrix[-1] *= weight_v
    matrix[-1, -1] += weight_i[0]
    residual = np.append(system[nx:-1], control.residual(point[-1:], system[-1:]))
    try:
        return np.linalg.solve(matrix, -residual)
    except np.linalg.LinAlgError as error:
        raise SolveFailure(Reason.NO_CONSISTENT_START, str(error)) from error
