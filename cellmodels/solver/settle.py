"""Algebraic states of a whole step brought in line with its differential states, point by point.

An electrode's potential may fall by a volt within a split second, as its reactant runs out, while
all amounts change smoothly. Newton's method on the whole step cannot move such a front across a
collocation point: the potential there starts on the wrong side of a plateau. Point by point it can
start from the point before or after, which is on the right side.
"""

from __future__ import annotations

import numpy as np

from cellmodels.solver.algebraic import algebraic_matrix
from cellmodels.solver.dae import Dae
from cellmodels.solver.outcome import SolveFailure
from cellmodels.solver.step import Control

#: Newton's iterations from each guess, and the scaled correction with which a point is settled.
_ITERATIONS, _SETTLED = 8, 1e-6
_FLOOR = 1e-3


def settled(
    dae: Dae, control: Control, stages: np.ndarray, theta: np.ndarray
) -> tuple[np.ndarray, bool]:
    """The stages with algebraic states and current that fit their differential states.

    Parameters
    ----------
    dae : Dae
    control : Control
    stages : numpy.ndarray
        v = [x, z, I] at the collocation points, shape (N, 3, n); not changed.
    theta : numpy.ndarray
        Parameter factors, shape (n_theta,).

    Returns
    -------
    numpy.ndarray, bool
        The stages, and whether all of them are settled.
    """
    own, done = _newton(dae, control, stages, theta)
    best, nx = np.where(done[..., None], own, stages), dae.nx
    for shift in (1, -1, 2, -2, 4, -4):
        if done.all() or not done.any():
            break
        flat, good = best.reshape(-1, dae.n), done.ravel()
        place = np.arange(len(flat)) - shift
        near = np.clip(place, 0, len(flat) - 1)
        usable = ~good & good[near] & (near == place)
        if not usable.any():
            continue
        trial = flat.copy()
        trial[usable, nx:] = flat[near[usable], nx:]
        found, ok = _newton(dae, control, trial.reshape(stages.shape), theta)
        take = ok & usable.reshape(done.shape)
        best = np.where(take[..., None], found, best)
        done = done | take
    return best, bool(done.all())


def _newton(
    dae: Dae, control: Control, stages: np.ndarray, theta: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Newton's method on [z, I] at every point by itself: the points, and which converged."""
    matrix, nx = algebraic_matrix(dae, control.kind), dae.nx
    points = stages.copy()
    done = np.zeros(stages.shape[:2], bool)
    for _ in range(_ITERATIONS):
        system, jacobian = dae.linearise(points.reshape(-1, dae.n), theta)
        system = system.reshape(stages.shape)
        jacobian = jacobian.reshape(*stages.shape[:2], -1)
        try:
            change = matrix.correction(control, points, system, jacobian)[0]
        except SolveFailure:
            break
        size = np.max(np.abs(change) / (_FLOOR + np.abs(points[..., nx:])), axis=2)
        finite = np.isfinite(size)
        factor = np.where(finite, 1.0 / np.maximum(1.0, np.where(finite, size, 1.0)), 0.0)
        step = factor[..., None] * np.where(finite[..., None], change, 0.0)
        points[..., nx:] += np.where(done[..., None], 0.0, step)
        done |= finite & (size < _SETTLED)
        if done.all():
            break
    return points, done
