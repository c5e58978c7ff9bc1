"""Time meshes of steps: how fine the adaptive integration is, and fewer intervals after it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from cellmodels.solver import radau
from cellmodels.solver.step import StepSolution


@dataclass(frozen=True)
class MeshOptions:
    """Settings of the adaptive integration.

    Attributes
    ----------
    rtol, atol : float
        Tolerances of the local error of the (scaled) differential states.
    volts : float
        The same for potentials [V], whose zero is arbitrary: an error relative to them means
        nothing.
    energy : float
        Tolerance of the local error of the step's energy, relative.
    first : float
        First interval [s].
    smallest : float
        Interval at which the integration gives up [s]: a depleted cell is through with a hold
        within microseconds.
    growth : float
        Largest ratio of neighbouring intervals.
    max_intervals : int
        Intervals of one step at most.
    share : float
        Share of the intervals that is kept, if it can be, once all are known. They are
        chosen for an error estimate of third order; the solution, of fifth order, needs fewer.
    change : float
        Largest change of the end state by this, in units of the tolerances.
    """

    rtol: float = 1e-3
    atol: float = 3e-5
    volts: float = 3e-5
    energy: float = 1e-4
    first: float = 1.0
    smallest: float = 1e-9
    growth: float = 5.0
    max_intervals: int = 2000
    share: float = 0.8
    change: float = 0.02

    def finer(self, times: float) -> MeshOptions:
        """The same with tolerances so many times tighter."""
        names = ("rtol", "atol", "volts", "energy")
        return replace(self, **{name: getattr(self, name) / times for name in names})

    def allowed(self, states: np.ndarray, potentials: np.ndarray) -> np.ndarray:
        """Local errors that are accepted where the states are this large, shape (nx,).

        `potentials` tells which states are potentials, shape (nx,).
        """
        return np.where(potentials, self.volts, self.atol + self.rtol * np.abs(states))


#: A step of no more intervals than this keeps them all.
_FEW = 4


def thinned(step: StepSolution, share: float) -> StepSolution | None:
    """A step's solution on a mesh of fewer intervals, every one longer by the same factor.

    It is a guess, to be solved again; None if there is nothing to gain.
    """
    count = len(step.mesh) - 1
    fewer = max(_FEW, int(np.ceil(share * count)))
    if step.skipped or fewer >= count:
        return None
    mesh = np.interp(np.linspace(0, count, fewer + 1), np.arange(count + 1), step.mesh)
    times = (mesh[:-1, None] + np.diff(mesh)[:, None] * radau.ABSCISSAE).ravel()
    points = _interpolate(step, times).reshape(fewer, 3, -1)
    return replace(step, mesh=mesh, stages=points, voltage=np.empty((fewer, 3)), chord=None)


def agrees(
    step: StepSolution, other: StepSolution, options: MeshOptions, potentials: np.ndarray
) -> bool:
    """Whether two solutions of a step end in the same way, as far as thinning may change it."""
    size = options.allowed(step.end, potentials)
    change = float(np.max(np.abs(step.end - other.end) / size))
    energy = abs(step.energy - other.energy) / (options.energy * max(abs(step.energy), 1e-9))
    return step.stop == other.stop and change <= options.change and energy <= 1.0


def _interpolate(step: StepSolution, times: np.ndarray) -> np.ndarray:
    """v at relative times, shape (k, n), by each interval's polynomial."""
    owner = np.clip(np.searchsorted(step.mesh, times, side="left") - 1, 0, len(step.mesh) - 2)
    out = np.empty((len(times), step.stages.shape[2]))
    for i in np.unique(owner):
        mine = owner == i
        where = (times[mine] - step.mesh[i]) / (step.mesh[i + 1] - step.mesh[i])
        nodes, values = step.nodes(i)
        out[mine] = radau.lagrange_basis(nodes, where) @ values
    return out
