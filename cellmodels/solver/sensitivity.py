"""Exact derivatives of a solved step, its duration included.

The collocation equations R(w, T, x_0, theta) = 0 and the end condition e(w, T) = 0 are
differentiated at the solution (implicit function theorem), so the derivatives are those
of the discrete map itself: the movement of the end of the step is part of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cellmodels.solver.collocation import Collocation
from cellmodels.solver.outcome import Reason, SolveFailure
from cellmodels.solver.step import HOUR, StepSolution, StepSpec


@dataclass(frozen=True)
class StepSensitivity:
    """Derivatives of one step along k directions.

    Attributes
    ----------
    end : numpy.ndarray
        dx at the end, shape (nx, k).
    duration, charge, energy : numpy.ndarray
        Shape (k,), in s, A.h, W.h.
    voltage : numpy.ndarray
        At the collocation points, shape (N, 3, k).
    last : numpy.ndarray
        dv at the end of the step, shape (n, k).
    """

    end: np.ndarray
    duration: np.ndarray
    charge: np.ndarray
    energy: np.ndarray
    voltage: np.ndarray
    last: np.ndarray


def step_sensitivity(
    collocation: Collocation,
    spec: StepSpec,
    step: StepSolution,
    theta: np.ndarray,
    start: np.ndarray,
    parameters: np.ndarray,
) -> StepSensitivity:
    """Derivatives of a solved step along directions (dx_0, dtheta).

    Parameters
    ----------
    start : numpy.ndarray
        dx_0, shape (nx, k).
    parameters : numpy.ndarray
        dtheta, shape (n_theta, k).
    """
    nx, n, k = step.nx, step.stages.shape[2], start.shape[1]
    if step.skipped:
        zero = np.zeros(k)
        return StepSensitivity(start, zero, zero, zero, np.zeros((1, 3, k)), np.zeros((n, k)))
    widths = np.diff(step.mesh)
    stop = spec.all_stops[step.stop]
    at = collocation.evaluate(step.stages, theta, jacobian=True)
    factors = collocation.factorise(step.stages, step.duration, widths, spec.control, stop, at)
    columns = np.flatnonzero(np.any(parameters, axis=0))
    rhs, voltage_theta = collocation.parametric_rhs(
        step.stages, step.duration * widths, spec.control, at, theta, parameters[:, columns]
    )
    end_theta = voltage_theta[-1, -1] if stop.quantity == "voltage" else np.zeros(len(columns))
    flat, duration = factors.propagate(start, -rhs, -end_theta, columns)
    directions = flat.reshape(len(widths), 3, n, k)
    if not np.all(np.isfinite(duration)):
        raise SolveFailure(Reason.NON_FINITE, "sensitivities")
    voltage = collocation.voltage_directions(at, directions)
    voltage[:, :, columns] += voltage_theta
    current = directions[:, :, -1]
    weights = step.quadrature[:, :, None] / HOUR
    power = current * step.voltage[:, :, None] + step.current[:, :, None] * voltage
    return StepSensitivity(
        end=directions[-1, -1, :nx],
        duration=duration,
        charge=(weights * current).sum(axis=(0, 1)) + step.charge / step.duration * duration,
        energy=(weights * power).sum(axis=(0, 1)) + step.energy / step.duration * duration,
        voltage=voltage,
        last=directions[-1, -1],
    )
