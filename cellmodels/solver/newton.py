"""Newton's method on a whole step, started from a neighbouring solution.

The factorised matrix of the neighbour (the *chord*) is reused as long as the iteration
contracts with it, so that a warm-started step costs a few residual evaluations.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cellmodels.solver.collocation import Collocation, Factors, add_multiple
from cellmodels.solver.compiled import compiled
from cellmodels.solver.outcome import Reason, SolveFailure
from cellmodels.solver.step import StepSolution, StepSpec

#: Scaled corrections of this size that no longer shrink are rounding errors.
_ROUNDING = 1e-10


@dataclass(frozen=True)
class NewtonOptions:
    """Settings of the Newton iteration.

    Attributes
    ----------
    tolerance : float
        Largest scaled correction that is left, relative to each state's size in the step, or
        rounding errors if they are larger.
    max_iterations : int
        Iterations with and without a fresh matrix together.
    floor : float
        Size below which a (scaled) state counts as that size.
    contraction : float
        A chord that contracts by less than this is replaced by a fresh matrix.
    """

    tolerance: float = 1e-9
    max_iterations: int = 25
    floor: float = 1e-3
    contraction: float = 0.2


def newton_step(
    collocation: Collocation,
    spec: StepSpec,
    start: np.ndarray,
    theta: np.ndarray,
    guess: StepSolution,
    options: NewtonOptions,
) -> StepSolution:
    """Solve the step's collocation equations on the mesh of `guess`.

    Raises
    ------
    SolveFailure
        If the iteration does not converge or meets a non-finite value.
    """
    widths = np.diff(guess.mesh)
    stop = spec.all_stops[guess.stop]
    stages, duration = guess.stages.copy(), guess.duration
    factors = guess.chord if isinstance(guess.chord, Factors) else None
    fresh, previous = False, np.inf
    for _ in range(options.max_iterations):
        at = collocation.evaluate(stages, theta, jacobian=factors is None)
        if factors is None:
            factors = collocation.factorise(stages, duration, widths, spec.control, stop, at, theta)
            fresh = True
        residual = collocation.residual(start, stages, duration * widths, spec.control, at.system)
        end = collocation.end_row(stop, stages, duration, widths, at, theta).value
        directions, change = factors.solve(-residual, -end)
        stages, duration, norm, full = _update(stages, duration, directions, change, options)
        rate = norm / previous
        if full and converged(norm, rate, options.tolerance):
            break
        if fresh and full and rate > 2.0 and norm > 1e-2:
            raise SolveFailure(Reason.NOT_CONVERGED, f"the corrections grow (scaled {norm:.1e})")
        if rate > options.contraction and not (np.isinf(previous) and norm < 0.03 and full):
            factors, fresh = None, False
        previous = norm if full else np.inf
    else:
        raise SolveFailure(Reason.NOT_CONVERGED, f"scaled correction {norm:.1e} left")
    points = stages.reshape(-1, stages.shape[2])
    voltage = collocation.dae.voltage(points, theta).reshape(stages.shape[:2])
    if not np.all(np.isfinite(voltage)):
        raise SolveFailure(Reason.NON_FINITE, "the voltage is not finite")
    return StepSolution(guess.mesh, stages, duration, guess.stop, start, voltage, chord=factors)


def _update(
    stages: np.ndarray,
    duration: float,
    directions: np.ndarray,
    change: float,
    options: NewtonOptions,
) -> tuple[np.ndarray, float, float, bool]:
    """Apply a correction, shortened where it would more than halve or double a size.

    Returns stages and duration, the scaled size of the correction, and whether all of it was
    applied.
    """
    norm = max(_scaled(stages, directions, options.floor), abs(change) / (duration + 1.0))
    if not np.isfinite(norm):
        raise SolveFailure(Reason.NON_FINITE, "the Newton correction is not finite")
    factor = min(
        1.0, 0.5 * duration / abs(change) if change else 1.0, 1.0 / norm if norm > 1 else 1.0
    )
    # a new array: the matrix belongs to the old one
    return add_multiple(stages, factor, directions), duration + factor * change, norm, factor == 1.0


@compiled
def _scaled(stages: np.ndarray, directions: np.ndarray, floor: float) -> float:
    """The largest correction of any unknown, relative to its size in the step.

    Not a number if one of them is none.
    """
    n = stages.shape[2]
    size, change = np.zeros(n), np.zeros(n)
    for i in range(len(stages)):
        for j in range(3):
            for k in range(n):
                size[k] = max(size[k], abs(stages[i, j, k]))
                moved = abs(directions[i, j, k])
                if moved > change[k] or moved != moved:
                    change[k] = moved
    worst = 0.0
    for k in range(n):
        ratio = change[k] / (size[k] + floor)
        if ratio > worst or ratio != ratio:
            worst = ratio
    return worst


def converged(norm: float, rate: float, tolerance: float) -> bool:
    """Whether a correction, or what is left after it at this rate, is below the tolerance.

    Also where a small correction no longer shrinks, as rounding errors do.
    """
    if norm <= tolerance or (norm <= _ROUNDING and rate > 0.5):
        return True
    # a rate of zero means that there is no earlier correction to compare with
    return 0.0 < rate < 0.5 and norm * rate / (1.0 - rate) <= tolerance
