"""Exact derivatives of a solved step, its duration included.

The collocation equations R(w, T, x_0, theta) = 0 and the end condition e(w, T) = 0 are
differentiated at the solution (implicit function theorem), so the derivatives are those
of the discrete map itself: the movement of the end of the step is part of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cellmodels.solver.collocation import Collocation, Factors
from cellmodels.solver.outcome import Reason, SolveFailure
from cellmodels.solver.step import HOUR, StepSolution, StepSpec


@dataclass(frozen=True)
class StepSensitivity:
    """Derivatives of one step along k directions.

    Attributes
    ----------
    start, end : numpy.ndarray
        dx at the start and at the end, shape (nx, k).
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

    start: np.ndarray
    end: np.ndarray
    duration: np.ndarray
    charge: np.ndarray
    energy: np.ndarray
    voltage: np.ndarray
    current: np.ndarray
    last: np.ndarray
    stages: np.ndarray | None = None
    factors: Factors | None = None

    @property
    def end_voltage(self) -> np.ndarray:
        """Of the voltage at the end [V], shape (k,); zero where the step is skipped."""
        return self.voltage[-1, -1]


def step_sensitivity(
    collocation: Collocation,
    spec: StepSpec,
    step: StepSolution,
    theta: np.ndarray,
    start: np.ndarray,
    parameters: np.ndarray,
    *,
    keep_stages: bool = False,
) -> StepSensitivity:
    """Derivatives of a solved step along directions (dx_0, dtheta).

    Parameters
    ----------
    start : numpy.ndarray
        dx_0, shape (nx, k).
    parameters : numpy.ndarray
        dtheta, shape (n_theta, k).
    keep_stages : bool
        Whether those of all collocation points are kept.
    """
    nx, n, k = step.nx, step.stages.shape[2], start.shape[1]
    if step.skipped:
        zero, none = np.zeros(k), np.zeros((1, 3, k))
        return StepSensitivity(start, start, zero, zero, zero, none, none, np.zeros((n, k)))
    widths = np.diff(step.mesh)
    stop = spec.all_stops[step.stop]
    factors = step.chord
    if not (isinstance(factors, Factors) and factors.stages is step.stages):
        at = collocation.evaluate(step.stages, theta, jacobian=True)
        factors = collocation.factorise(
            step.stages, step.duration, widths, spec.control, stop, at, theta
        )
    at = factors.at
    columns = np.flatnonzero(np.any(parameters, axis=0))
    rhs, voltage_theta = collocation.parametric_rhs(
        step.stages, step.duration * widths, spec.control, at, theta, parameters[:, columns]
    )
    end_theta = np.zeros(len(columns))
    if stop.quantity == "voltage":
        end_theta = voltage_theta[-1, -1]
    elif stop.quantity == "output":
        _, by_theta = collocation.dae.outputs_jacobian(step.stages[-1, -1], theta)
        row = collocation.dae.output_names.index(stop.name)
        end_theta = by_theta[row] @ parameters[:, columns]
    moved = factors.propagate(
        start, -rhs, -end_theta, columns, collocation.voltage_slopes(at), keep_stages
    )
    if not np.all(np.isfinite(moved.duration)):
        raise SolveFailure(Reason.NON_FINITE, "sensitivities")
    voltage = moved.voltage
    voltage[:, :, columns] += voltage_theta
    weights = step.quadrature[:, :, None] / HOUR
    power = moved.current * step.voltage[:, :, None] + step.current[:, :, None] * voltage
    return StepSensitivity(
        start=start,
        end=moved.last[:nx],
        duration=moved.duration,
        charge=(weights * moved.current).sum(axis=(0, 1))
        + step.charge / step.duration * moved.duration,
        energy=(weights * power).sum(axis=(0, 1)) + step.energy / step.duration * moved.duration,
        voltage=voltage,
        current=moved.current,
        last=moved.last,
        stages=moved.stages,
        factors=factors,
    )


def step_pull_back(
    step: StepSolution, end: np.ndarray, duration: np.ndarray, charge: np.ndarray
) -> np.ndarray:
    """Derivative of k outputs by the step's start, from those by its end.

    Parameters
    ----------
    step : StepSolution
        With a factorised matrix, which may be a neighbour's: the result is then that of
        the neighbour.
    end : numpy.ndarray
        Derivatives of the outputs by x at the end, shape (nx, k).
    duration, charge : numpy.ndarray
        By the step's duration [s] and charge [A.h], shape (k,).

    Returns
    -------
    numpy.ndarray
        Shape (nx, k).
    """
    if step.skipped:
        return end
    assert isinstance(step.chord, Factors)
    stages = np.zeros((*step.stages.shape, end.shape[1]))
    stages[-1, -1, : step.nx] = end
    stages[:, :, -1] += (step.quadrature / HOUR)[:, :, None] * charge
    return step.chord.pull_back(stages, duration + step.charge / step.duration * charge)
