"""What a cycle remembers of its start: the few directions that its end depends on.

Within a cycle a cell forgets nearly all of its state: concentration profiles relax, and
what is left of them is how much lithium there is. Other states (films, active material,
counters) keep their value and change by little. With s = 1 for the states that persist and
0 for the others, the Jacobian of a cycle is

    dPhi/dy  =  diag(s) + C W',      C = (dPhi/dy - diag(s)) E,      W'E = 1,

with few columns in C, W and E: the rows of dPhi/dy - diag(s) span a space of low
dimension. It is found from a random sample of the rows' combinations (N. Halko,
P. G. Martinsson, J. A. Tropp, SIAM Rev. 53 (2011) 217, doi:10.1137/090771806), each of
which costs one pass back through the cycle.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cellmodels.solver.cycle_map import CycleMap, CyclePoint

#: Combinations of rows in the first sample; doubled until they show the whole space.
_SAMPLE = 24
#: Directions that change a (scaled) end by less than this are left out, at most.
_TOLERANCE = 1e-5
#: The same, as a share of that, for a model of few states, where more directions cost next to
#: nothing: sums of states that a cycle conserves are kept by a life as well as its slow directions
#: are, to the product of what is left out and an iteration's last correction.
_FEW, _SHARE = 64, 0.1
#: What is left out may change a state by so much over an element.
_ACCUMULATED = 0.01
#: A state whose own rate would change it by less than this factor in a cycle persists.
_PERSISTS = 1.0
#: Size below which a state counts as that size.
_SIZE = 1e-3


@dataclass(frozen=True)
class SlowSpace:
    """The directions of the start that a cycle's end depends on.

    Attributes
    ----------
    persists : numpy.ndarray of bool
        The states whose value a cycle keeps, apart from small changes, shape (ny,).
    directions : numpy.ndarray
        E, shape (ny, r).
    coordinates : numpy.ndarray
        W, shape (ny, r).
    tolerance : float
        Directions that change a (scaled) end by less than this are left out.
    """

    persists: np.ndarray
    directions: np.ndarray
    coordinates: np.ndarray
    tolerance: float

    @property
    def rank(self) -> int:
        """Number of directions."""
        return self.directions.shape[1]

    def remainder(self, along: np.ndarray) -> np.ndarray:
        """C from the derivatives of the end along `directions`, both of shape (ny, r)."""
        return along - self.persists[:, None] * self.directions


def needed_tolerance(cycles: float) -> float:
    """Tolerance for an element of so many cycles, which add up what is left out."""
    return min(_TOLERANCE, _ACCUMULATED / cycles)


def slow_space(
    cycle: CycleMap, point: CyclePoint, theta: np.ndarray, tolerance: float = _TOLERANCE
) -> SlowSpace:
    """Find it at one cycle, which must have its factorised matrices."""
    ny = cycle.ny
    if ny <= _FEW:
        tolerance *= _SHARE
    size = np.maximum(np.abs(point.start), _SIZE)
    persists = _persisting(cycle, point, theta)
    charge = max(abs(point.end[-2] - point.start[-2]), 1e-12)
    time = max(point.end[-1] - point.start[-1], 1e-12)
    # the counters are outputs like the others; nothing depends on them
    weight = 1.0 / np.concatenate([size[:-2], [charge, time]])
    rng = np.random.default_rng(0)
    count = min(_SAMPLE, ny)
    rows = np.empty((ny, 0))
    while True:
        sample = rng.standard_normal((ny, count - rows.shape[1])) * weight[:, None]
        back = cycle.pull_back(point, sample) - persists[:, None] * sample
        rows = np.hstack([rows, size[:, None] * back])
        left, values, _ = np.linalg.svd(rows / np.sqrt(rows.shape[1]), full_matrices=False)
        rank = int(np.sum(values > tolerance))
        if rank < 0.8 * rows.shape[1] or count == ny:
            basis = left[:, :rank]
            return SlowSpace(persists, size[:, None] * basis, basis / size[:, None], tolerance)
        count = min(2 * count, ny)


def _persisting(cycle: CycleMap, point: CyclePoint, theta: np.ndarray) -> np.ndarray:
    """States that do not forget their value by themselves within the cycle."""
    dae = cycle.sequence.dae
    rows, cols = dae.pattern.rows, dae.pattern.cols
    diagonal = np.flatnonzero((rows == cols) & (rows < dae.nx))
    decay = np.zeros(dae.nx)
    for step in point.solution.steps:
        if not step.skipped:
            rates = dae.linearise(step.stages.reshape(-1, dae.n), theta)[1][:, diagonal]
            decay[rows[diagonal]] += np.abs(rates).T @ step.quadrature.ravel()
    return np.concatenate([decay < _PERSISTS, [True, True]])
