"""Voltage of a solved step at given amounts of charge, with derivatives."""

from __future__ import annotations

import numpy as np

from cellmodels.solver import radau
from cellmodels.solver.sensitivity import StepSensitivity
from cellmodels.solver.step import HOUR, StepSolution

#: Integrals of the stage polynomials from 0 to s, as coefficients of powers of s, shape (3, 4).
_INTEGRALS = np.array(
    [
        np.polynomial.Polynomial.fromroots(np.delete(radau.ABSCISSAE, k)).integ().coef
        / np.prod(radau.ABSCISSAE[k] - np.delete(radau.ABSCISSAE, k))
        for k in range(3)
    ]
)


def voltage_at_charge(
    step: StepSolution, charges: np.ndarray, sensitivity: StepSensitivity | None = None
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    """Voltage when so much charge has passed since the step began.

    Parameters
    ----------
    charges : numpy.ndarray
        Magnitudes [A.h], shape (m,).
    sensitivity : StepSensitivity, optional
        Derivatives of the step along k directions.

    Returns
    -------
    voltage : numpy.ndarray
        [V], shape (m,). Beyond the step's end it is continued with the last slope.
    directions : numpy.ndarray or None
        Shape (m, k).
    reached : numpy.ndarray of bool
        Whether the step passed that much charge.
    """
    sign = np.sign(step.charge) or 1.0
    per_interval = sign * (step.quadrature * step.current).sum(axis=1) / HOUR
    passed = np.concatenate([[0.0], np.cumsum(per_interval)])
    values, directions = np.empty(len(charges)), []
    for m, charge in enumerate(charges):
        i = int(np.clip(np.searchsorted(passed, charge, side="right") - 1, 0, len(per_interval) - 1))
        s = _position(step, i, sign, charge - passed[i])
        nodes, volts = _voltage_nodes(step, i)
        # beyond the end, the tangent there
        inside = min(s, 1.0)
        slope = float(radau.lagrange_derivative(nodes, inside)[0] @ volts)
        basis = radau.lagrange_basis(nodes, inside)[0]
        values[m] = basis @ volts + slope * (s - inside)
        if sensitivity is not None:
            dv = basis @ _voltage_directions(sensitivity, i, len(nodes))
            rate = step.duration * np.diff(step.mesh)[i] * _current_at(step, i, inside) * sign / HOUR
            directions.append(dv - slope * _charge_directions(step, sensitivity, i, s, sign) / rate)
    out = np.array(directions) if sensitivity is not None else None
    return values, out, np.asarray(charges) <= passed[-1] * (1.0 + 1e-9)


def _position(step: StepSolution, i: int, sign: float, charge: float) -> float:
    """Relative position in interval i at which so much of its charge has passed."""
    scale = step.duration * np.diff(step.mesh)[i] * sign / HOUR
    integral = scale * (step.current[i] @ _INTEGRALS)
    polynomial = np.polynomial.Polynomial(integral)
    total = polynomial(1.0)
    s = charge / total
    if s >= 1.0:  # beyond the interval: constant current
        return float(1.0 + (charge - total) / (scale * step.current[i, -1]))
    for _ in range(20):
        change = (polynomial(s) - charge) / polynomial.deriv()(s)
        s -= change
        if abs(change) < 1e-13:
            break
    return float(s)


def _current_at(step: StepSolution, i: int, s: float) -> float:
    return float(radau.lagrange_basis(radau.ABSCISSAE, s)[0] @ step.current[i])


def _voltage_nodes(step: StepSolution, i: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes of interval i and voltages there; the start is known from the interval before."""
    if i == 0:
        return radau.ABSCISSAE, step.voltage[0]
    return radau.NODES, np.concatenate([[step.voltage[i - 1, -1]], step.voltage[i]])


def _voltage_directions(sensitivity: StepSensitivity, i: int, count: int) -> np.ndarray:
    if count == 3:
        return sensitivity.voltage[0]
    return np.vstack([sensitivity.voltage[i - 1, -1:], sensitivity.voltage[i]])


def _charge_directions(
    step: StepSolution, sensitivity: StepSensitivity, i: int, s: float, sign: float
) -> np.ndarray:
    """Derivative of the charge passed at a fixed relative position of the step, shape (k,)."""
    widths = np.diff(step.mesh)
    weights = widths[:, None] * radau.WEIGHTS
    weights[i + 1 :] = 0.0
    weights[i] = widths[i] * (_INTEGRALS @ (min(s, 1.0) ** np.arange(4)))
    if s > 1.0:
        weights[i, -1] += widths[i] * (s - 1.0)
    by_current = step.duration * np.einsum("ij,ijk->k", weights, sensitivity.current)
    by_duration = float(np.sum(weights * step.current)) * sensitivity.duration
    return sign * (by_current + by_duration) / HOUR
