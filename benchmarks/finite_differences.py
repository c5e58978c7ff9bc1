"""Gauss-Newton with finite differences on PyBaMM's Experiment: a fit as a good user would write it.

Parameters move as logarithms of their factor on the start, so that SciPy's first trust region
is a factor of e and one step suits all of them. Derivatives are forward differences; a whole
life is simulated for each parameter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares

from benchmarks.pybamm_reference import IncompleteLife

#: Step of the differences, in logarithms: IDAKLU's error at 1e-6 is small against its effect.
STEP = 0.02
#: Where to end: changes of a hundred-thousandth of the sum of squares, or of a parameter.
TOLERANCES = {"ftol": 1e-5, "xtol": 1e-5, "gtol": None}
#: Residual of a life that was not completed, in noises.
FAILED = 1e4

#: Values of the free parameters -> predicted data, and the CPU seconds of that [s].
Simulate = Callable[[Mapping[str, float]], tuple[np.ndarray, float]]


class _OutOfTime(Exception):
    """The time that a fit was given has passed."""


@dataclass(frozen=True)
class PeerFit:
    """What was found, and at what cost.

    Parameters
    ----------
    values
        Parameters by name, the best that were simulated.
    chi_square
        Their sum of squared residuals in units of the noise.
    simulations
        Completed lives.
    failed
        Lives that were not completed; their time is not counted.
    cpu
        CPU seconds of the completed lives.
    status
        SciPy's reason to end, or that time is up.
    """

    values: dict[str, float]
    chi_square: float
    simulations: int
    failed: int
    cpu: float
    status: str


class _Problem:
    """Residuals and their forward differences, with each point simulated once."""

    def __init__(
        self,
        simulate: Simulate,
        start: Mapping[str, float],
        upper: np.ndarray,
        data: np.ndarray,
        std: np.ndarray,
        seconds: float,
    ) -> None:
        self.simulate, self.start, self.upper = simulate, dict(start), upper
        self.data, self.std, self.seconds = data, std, seconds
        self.simulations, self.failed, self.cpu = 0, 0, 0.0
        self.best, self.chi_square = np.zeros(len(upper)), float("inf")
        self._last: tuple[bytes, np.ndarray] = (b"", np.empty(0))

    def values(self, logs: np.ndarray) -> dict[str, float]:
        """Parameters by name."""
        return {k: v * float(np.exp(z)) for (k, v), z in zip(self.start.items(), logs, strict=True)}

    def residuals(self, logs: np.ndarray) -> np.ndarray:
        """Simulated less measured, in noises."""
        if self._last[0] != logs.tobytes():
            self._last = (logs.tobytes(), self._run(logs))
        return self._last[1]

    def jacobian(self, logs: np.ndarray) -> np.ndarray:
        """Forward differences, backward at an upper bound."""
        here, columns = self.residuals(logs), []
        for k in range(len(logs)):
            step = STEP if logs[k] + STEP < self.upper[k] else -STEP
            shifted = logs + step * np.eye(len(logs))[k]
            columns.append((self._run(shifted) - here) / step)
        return np.column_stack(columns)

    def _run(self, logs: np.ndarray) -> np.ndarray:
        if self.cpu > self.seconds:
            raise _OutOfTime
        try:
            predicted, cpu = self.simulate(self.values(logs))
        except IncompleteLife as failed:
            self.failed += 1
            print(f"finite differences: {failed}", flush=True)
            return np.full(self.data.size, FAILED)
        self.simulations += 1
        self.cpu += cpu
        found = (predicted - self.data) / self.std
        if found @ found < self.chi_square:
            self.best, self.chi_square = logs, float(found @ found)
        return found


def gauss_newton(
    simulate: Simulate,
    start: Mapping[str, float],
    bounds: Mapping[str, tuple[float, float]],
    data: np.ndarray,
    std: np.ndarray,
    seconds: float = float("inf"),
) -> PeerFit:
    """Fit parameters to data by `scipy.optimize.least_squares`.

    Parameters
    ----------
    simulate
        Predicts the data; raises `IncompleteLife` where it cannot.
    start, bounds
        By name.
    data, std
        Measured values and their noise, shape (k,).
    seconds
        CPU time after which the fit is stopped.
    """
    lower, upper = np.log([np.divide(bounds[k], v) for k, v in start.items()]).T
    problem = _Problem(simulate, start, upper, data, std, seconds)
    try:
        found = least_squares(
            problem.residuals,
            np.zeros(len(start)),
            jac=problem.jacobian,
            bounds=(lower, upper),
            x_scale=1.0,
            **TOLERANCES,
        )
        status = str(found.message)
    except _OutOfTime:
        status = f"stopped after {seconds:.0f} s"
    return PeerFit(
        problem.values(problem.best),
        problem.chi_square,
        problem.simulations,
        problem.failed,
        problem.cpu,
        status,
    )
