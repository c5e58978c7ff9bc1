"""Exact derivatives of a solved step, its duration included.

The collocation equations R(w, T, x_0, theta) = 0 and the end condition e(w, T) = 0 are
differentiated at the solution (implicit function theorem), so the derivatives are those
of the discrete map itself: the movement of the end of the step is part of them.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from cellmodels.solver.collocation import Collocation, Factors
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
    voltage, current : numpy.ndarray
        At the collocation points, shape (N, 3, k), in V and A.
    last : numpy.ndarray
        dv at the end of the step, shape (n, k).
    stages : numpy.ndarray or None
        dv at the collocation points, shape (N, 3, n, k), where they are kept.
    factors : Factors or None
        The factorised matrix at the solution, a chord for neighbours.
    """

    end: np.ndarray
    duration: np.ndarray
    charge: np.ndarray
    energy: np.ndarray
    voltage: np.ndarray
    current: np.ndarray
    last: np.ndarray
    stages: np.ndarray | None = None
    factors: Factors | None = None

    def mixed(self, mixing: np.ndarray | None) -> StepSensitivity:
        """Along linear combinations of the directions; `mixing` has shape (k, new k)."""
        if mixing is None:
            return self
        values: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        arrays = {n: v for n, v in values.items() if isinstance(v, np.ndarray)}
        return replace(self, **{n: v @ mixing for n, v in arrays.items()})


@dataclass(frozen=True)
class Directions:
    """Directions of start state, (nx, r), and parameters, (n_theta, r).

    The asked directions are their combinations with `mixing`, (r, k); None if they are
    the asked ones themselves.
    """

    start: np.ndarray
    parameters: np.ndarray
    mixing: np.ndarray | None


def independent_directions(start: np.ndarray, parameters: np.ndarray) -> Directions:
    """As few directions as span the asked ones to rounding.

    A state forgets most of its fast components within a step, so that the directions
    that are left after it depend on each other.
    """
    k, count = start.shape[1], parameters.shape[0]
    if k <= 2 * count + 16:
        return Directions(start, parameters, None)
    size = np.linalg.norm(start, axis=0)
    size[size == 0.0] = 1.0
    left, values, right = np.linalg.svd(start / size, full_matrices=False)
    rank = int(np.sum(values > 1e-14 * values[0]))
    if rank + count >= k:
        return Directions(start, parameters, None)
    return Directions(
        np.hstack([left[:, :rank], np.zeros((len(start), count))]),
        np.hstack([np.zeros((count, rank)), np.eye(count)]),
        np.vstack([values[:rank, None] * right[:rank] * size, parameters]),
    )


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
        zero, none = np.zeros(k), np.zeros((1, 3, k))
        return StepSensitivity(start, zero, zero, zero, none, none, np.zeros((n, k)))
    widths = np.diff(step.mesh)
    stop = spec.all_stops[step.stop]
    at = collocation.evaluate(step.stages, theta, jacobian=True)
    factors = collocation.factorise(step.stages, step.duration, widths, spec.control, stop, at)
    columns = np.flatnonzero(np.any(parameters, axis=0))
    rhs, voltage_theta = collocation.parametric_rhs(
        step.stages, step.duration * widths, spec.control, at, theta, parameters[:, columns]
    )
    end_theta = voltage_theta[-1, -1] if stop.quantity == "voltage" else np.zeros(len(columns))
    directions, duration = factors.propagate(start, -rhs, -end_theta, columns)
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
        current=current,
        last=directions[-1, -1],
        stages=directions,
        factors=factors,
    )
