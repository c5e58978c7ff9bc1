"""Lives that are interrupted regularly: an interruption and the cycles up to the next one, a block.

A strip every ten cycles leaves stretches too short to be integrated over cycle number. The block,
the interruption and the ten cycles after it, repeats as a cycle does: its map is integrated over
the number of blocks, and cycles are found inside of blocks afterwards. What a block is measured by
are the features of all its steps, and the cell's state at the end of every cycle.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from cellmodels.solver.cycle import Counts
from cellmodels.solver.features import FEATURES
from cellmodels.solver.life import Life, LifeSolver
from cellmodels.solver.outcome import SolveFailure


@dataclass(frozen=True)
class Block:
    """How a block is made of steps.

    Attributes
    ----------
    before : int
        Steps of the interruption, with which it begins.
    steps : int
        Steps of a cycle.
    cycles : int
        Cycles of a block.
    features : int
        How many each step has.
    """

    before: int
    steps: int
    cycles: int
    features: int = len(FEATURES)

    @property
    def ends(self) -> tuple[int, ...]:
        """The steps that end a cycle, without the last, which ends the block."""
        return tuple(self.before + self.steps * (j + 1) - 1 for j in range(self.cycles - 1))

    def of_cycle(self, place: int) -> slice:
        """Where the features of the cycle in this place are among those of all steps."""
        first = self.before + self.steps * place
        return slice(first * self.features, (first + self.steps) * self.features)


@dataclass(frozen=True)
class BlockLife:
    """A life of blocks, seen cycle by cycle: what is asked of `Life`.

    Attributes
    ----------
    life : Life
        Over the number of blocks.
    block : Block
    cycles : int
        Completed cycles.
    nx : int
        Length of the cell's state.
    """

    life: Life
    block: Block
    cycles: int
    nx: int

    @property
    def failure(self) -> SolveFailure | None:
        """None: a life that ends early is not simulated in blocks."""
        return self.life.failure

    @property
    def error(self) -> float:
        """Estimated error of a cycle's discharged charge [A.h]."""
        return self.life.error / self.block.cycles

    @property
    def simulated(self) -> int:
        """Number of cycles that were simulated."""
        return self.life.simulated * self.block.cycles

    @property
    def theta(self) -> np.ndarray:
        """The parameter factors it belongs to."""
        return self.life.theta

    def features(self, cycle: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As `Life.features`."""
        cycle = np.asarray(cycle, int)
        values, slopes = self.life.features(cycle // self.block.cycles)
        places = [self.block.of_cycle(int(c) % self.block.cycles) for c in cycle]
        rows = [value[where] for value, where in zip(values, places, strict=True)]
        turns = [slope[where] for slope, where in zip(slopes, places, strict=True)]
        return np.array(rows), np.array(turns)

    def states(self, cycle: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As `Life.states`."""
        cycle = np.asarray(cycle, int)
        whole, place = np.divmod(cycle, self.block.cycles)
        values, slopes = self.life.states(whole)
        inside = np.flatnonzero(place)
        if len(inside):
            features, turns = self.life.features(whole[inside])
            for k, row, turn in zip(inside, features, turns, strict=True):
                self._move(values[k], slopes[k], row, turn, int(place[k]))
        return values, slopes

    def _move(
        self, value: np.ndarray, slope: np.ndarray, row: np.ndarray, turn: np.ndarray, place: int
    ) -> None:
        """From a block's start to the end of one of its cycles, in place."""
        block, count = self.block, self.block.features
        steps = block.before + block.steps * block.cycles
        first = steps * count + (place - 1) * self.nx
        kept = slice(first, first + self.nx)
        value[: self.nx], slope[: self.nx] = row[kept], turn[kept]
        done = (block.before + block.steps * place) * count
        charge = row[FEATURES.index("charge") : done : count]
        charges = turn[FEATURES.index("charge") : done : count]
        value[-2] += charge[charge > 0.0].sum()
        slope[-2] += charges[charge > 0.0].sum(axis=0)
        value[-1] += row[FEATURES.index("duration") : done : count].sum()
        slope[-1] += turn[FEATURES.index("duration") : done : count].sum(axis=0)


class BlockSolver:
    """Simulates lives in blocks, and as `plain` does where a life ends early.

    Parameters
    ----------
    solver : LifeSolver
        Of blocks.
    block : Block
    plain : LifeSolver
        Of the same cell, cycle by cycle.
    """

    def __init__(self, solver: LifeSolver, block: Block, plain: LifeSolver) -> None:
        self.solver, self.block, self.plain = solver, block, plain

    @property
    def counts(self) -> Counts:
        """The work done so far, by all lives."""
        return self.solver.counts + self.plain.counts

    def run(
        self,
        theta: np.ndarray,
        cycles: int,
        *,
        sensitivities: bool = True,
        previous: Life | BlockLife | None = None,
        progress: Callable[[int], object] | None = None,
    ) -> Life | BlockLife:
        """Simulate a life; parameters and result as of `LifeSolver.run`."""
        report = progress or (lambda done: None)
        near = previous.life if isinstance(previous, BlockLife) else None
        per = self.block.cycles
        life = self.solver.run(
            theta,
            -(-cycles // per),
            sensitivities=sensitivities,
            previous=near,
            progress=lambda done: report(min(done * per, cycles)),
        )
        if life.failure is None:
            return BlockLife(life, self.block, cycles, self.solver.cycle.nx)
        near_plain = previous if isinstance(previous, Life) else None
        return self.plain.run(
            theta, cycles, sensitivities=sensitivities, previous=near_plain, progress=progress
        )
