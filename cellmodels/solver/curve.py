"""Voltage of a solved step at given amounts of charge, with derivatives.

The state is interpolated by the collocation polynomial of its interval, the algebraic
states and the voltage are then solved for at that state: potentials bend far more than
the states they follow from.
"""

from __future__ import annotations

import numpy as np

from cellmodels.solver import radau
from cellmodels.solver.collocation import Collocation
from cellmodels.solver.consistent import consistent_directions, consistent_point
from cellmodels.solver.sensitivity import StepSensitivity
from cellmodels.solver.step import HOUR, Control, StepSolution

#: Integrals of the stage polynomials from 0 to s, as coefficients of powers of s, shape (3, 4).
_INTEGRALS = np.array(
    [
        np.polynomial.Polynomial.fromroots(np.delete(radau.ABSCISSAE, k)).integ().coef
        / np.prod(radau.ABSCISSAE[k] - np.delete(radau.ABSCISSAE, k))
        for k in range(3)
    ]
)


#: Change of voltage over the largest asked charge with which a curve is continued [V].
BEYOND = 1.0


def voltage_at_charge(
    collocation: Collocation,
    step: StepSolution,
    theta: np.ndarray,
    charges: np.ndarray,
    sensitivity: StepSensitivity | None = None,
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    """Voltage when so much charge has passed since the step began.

    Parameters
    ----------
    charges : numpy.ndarray
        Magnitudes [A.h], shape (m,).
    sensitivity : StepSensitivity, optional
        Derivatives of the step along the parameters, with its stages.

    Returns
    -------
    voltage : numpy.ndarray
        [V], shape (m,). Beyond the step's end it is continued with a fixed slope, `BEYOND`, so
        that a fit knows in which direction the curve is too short.
    directions : numpy.ndarray or None
        Shape (m, n_theta).
    reached : numpy.ndarray of bool
        Whether the step passed that much charge.

    Raises
    ------
    SolveFailure
        If no algebraic state fits an interpolated state.
    """
    sign = np.sign(step.charge) or 1.0
    passed = np.concatenate(
        [[0.0], np.cumsum(sign * (step.quadrature * step.current).sum(axis=1) / HOUR)]
    )
    values, directions = np.empty(len(charges)), []
    steepness = BEYOND / float(np.max(charges))
    for m, charge in enumerate(charges):
        if charge > passed[-1]:
            values[m] = step.voltage[-1, -1] - sign * steepness * (charge - passed[-1])
            if sensitivity is not None:
                end = sensitivity.voltage[-1, -1] + steepness * sensitivity.charge
                directions.append(end)
            continue
        i = int(np.clip(np.searchsorted(passed, charge, side="right") - 1, 0, len(passed) - 2))
        s = _position(step, i, sign, charge - passed[i])
        nodes, points = step.nodes(i)
        guess = radau.lagrange_basis(nodes, s)[0] @ points
        control = Control("current", float(guess[-1]))
        point, voltage = consistent_point(collocation, control, guess[: step.nx], theta, guess)
        # along the step: how point and voltage move with s at this place
        along = (radau.lagrange_derivative(nodes, s)[0] @ points)[:, None]
        no_theta = np.zeros((len(theta), 1))
        slope = float(consistent_directions(collocation, point, theta, along, no_theta)[0])
        rate = step.duration * np.diff(step.mesh)[i] * abs(point[-1]) / HOUR
        values[m] = voltage
        if sensitivity is not None:
            moved = radau.lagrange_basis(nodes, s)[0] @ _node_directions(sensitivity, i, len(nodes))
            moved = moved.reshape(len(point), -1)
            by_theta = consistent_directions(collocation, point, theta, moved, np.eye(len(theta)))
            shift = _charge_directions(step, sensitivity, i, s, sign) / rate
            directions.append(by_theta - slope * shift)
    out = np.array(directions) if sensitivity is not None else None
    return values, out, np.asarray(charges) <= passed[-1] * (1.0 + 1e-9)


def _position(step: StepSolution, i: int, sign: float, charge: float) -> float:
    """Relative position in interval i where so much of its charge has passed."""
    scale = step.duration * np.diff(step.mesh)[i] * sign / HOUR
    polynomial = np.polynomial.Polynomial(scale * (step.current[i] @ _INTEGRALS))
    s = min(charge / polynomial(1.0), 1.0)
    for _ in range(20):
        change = (polynomial(s) - charge) / polynomial.deriv()(s)
        s -= change
        if abs(change) < 1e-13:
            break
    return float(min(s, 1.0))


def _node_directions(sensitivity: StepSensitivity, i: int, count: int) -> np.ndarray:
    """Directions of the points at the nodes of interval i, shape (count, n * k)."""
    assert sensitivity.stages is not None
    own = sensitivity.stages[i]
    if count == 4:
        own = np.concatenate([sensitivity.stages[i - 1, -1:], own])
    return own.reshape(count, -1)


def _charge_directions(
    step: StepSolution, sensitivity: StepSensitivity, i: int, s: float, sign: float
) -> np.ndarray:
    """Derivative of the charge passed at a fixed relative position of the step, shape (k,)."""
    widths = np.diff(step.mesh)
    weights = widths[:, None] * radau.WEIGHTS
    weights[i + 1 :] = 0.0
    weights[i] = widths[i] * (_INTEGRALS @ s ** np.arange(4))
    by_current = step.duration * np.einsum("ij,ijk->k", weights, sensitivity.current)
    by_duration = float(np.sum(weights * step.current)) * sensitivity.duration
    return sign * (by_current + by_duration) / HOUR
