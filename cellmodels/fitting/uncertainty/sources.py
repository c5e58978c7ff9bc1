"""What workers make a problem of: a life or experiments, compiled by each for itself."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import xarray as xr

from cellmodels.cell import Cell
from cellmodels.experiments.datasets import experiment_from, to_dataset
from cellmodels.experiments.experiment import Experiment
from cellmodels.experiments.simulator import ExperimentSimulator
from cellmodels.fitting.checkpoint import fingerprint
from cellmodels.fitting.problem import Predictor, Problem
from cellmodels.observations import Prediction
from cellmodels.protocol import Protocol
from cellmodels.simulator import Simulator

__all__ = ["SimulatedExperiments", "SimulatedLife"]


@dataclass(frozen=True, eq=False)
class _Simulated:
    """A problem whose predictor is a simulator, in plain data; a `Source`.

    Parameters
    ----------
    problem : Problem
        Workers do not use its predictor.
    cell : dict
        As ``Cell.to_dict`` gives it.
    """

    problem: Problem
    cell: dict[str, Any]

    def __getstate__(self) -> dict[str, Any]:
        # compiled functions stay here
        return {**self.__dict__, "problem": replace(self.problem, predict=_not_sent)}

    @cached_property
    def mark(self) -> str:
        """Hash of the cell, of what is done to it, and of what is fitted to what."""
        return fingerprint(self.problem, json.dumps([self.cell, self._done()], sort_keys=True))

    @property
    def key(self) -> str:
        """The same."""
        return self.mark

    def build(self) -> Problem:
        """The problem with a simulator of its own."""
        cell = Cell.from_dict(self.cell)
        return replace(self.problem, predict=self._predictor(cell, self.problem.scaling.names))

    def _done(self) -> Any:
        """What is done to the cell, in JSON's types."""
        raise NotImplementedError

    def _predictor(self, cell: Cell, free: Sequence[str]) -> Predictor:
        raise NotImplementedError


@dataclass(frozen=True, eq=False)
class SimulatedLife(_Simulated):
    """A life under a protocol.

    Parameters
    ----------
    problem : Problem
    cell : dict
    protocol : dict
        As ``Protocol.to_dict`` gives it.
    """

    protocol: dict[str, Any]

    @classmethod
    def of(cls, problem: Problem, cell: Cell, protocol: Protocol) -> Self:
        """Of the cell before the fit."""
        return cls(problem, cell.to_dict(), protocol.to_dict())

    def _done(self) -> Any:
        return self.protocol

    def _predictor(self, cell: Cell, free: Sequence[str]) -> Predictor:
        return Simulator(cell, Protocol.from_dict(self.protocol), free=free).predict


@dataclass(frozen=True, eq=False)
class SimulatedExperiments(_Simulated):
    """Experiments on a fresh cell.

    Parameters
    ----------
    problem : Problem
    cell : dict
    experiments : tuple of dict
        Their datasets as xarray's ``Dataset.to_dict`` gives them.
    """

    experiments: tuple[dict[str, Any], ...]

    @classmethod
    def of(cls, problem: Problem, cell: Cell, experiments: Sequence[Experiment]) -> Self:
        """Of the cell before the fit, with initial concentrations as numbers."""
        return cls(problem, cell.to_dict(), tuple(to_dataset(e).to_dict() for e in experiments))

    def _done(self) -> Any:
        return self.experiments

    def _predictor(self, cell: Cell, free: Sequence[str]) -> Predictor:
        made = [experiment_from(xr.Dataset.from_dict(each)) for each in self.experiments]
        return ExperimentSimulator(cell, made, free).predict


def _not_sent(*_: object, **__: object) -> Prediction:
    raise RuntimeError("a problem that was sent to a worker has no predictor")
