"""Simpler models of the same cell, fitted first: they find the start.

A simpler model costs a fraction of a detailed one and lies, seen from a start that is factors
off, at nearly the same place. Its fit goes the long way to the valley and along it; the
detailed model only corrects the difference between the two. Coarse models have served so
since J. W. Bandler, R. M. Biernacki, S. H. Chen, P. A. Grobelny and R. H. Hemmers, IEEE Trans.
Microw. Theory Tech. 42 (1994) 2536, doi:10.1109/22.339794 (space mapping); here only the
start is taken from them, so that the optimum is that of the detailed model alone.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cellmodels.errors import CellModelsError
from cellmodels.fitting.checkpoint import (
    Checkpoint,
    SimplerFit,
    fingerprint,
    read_checkpoint,
    write_checkpoint,
)
from cellmodels.fitting.least_squares import Optimum, minimise
from cellmodels.fitting.problem import Predictor, Problem

__all__ = ["SimplerModel", "fit_simpler"]

#: A simpler model is fitted until the linearised problem promises to lower its cost by less
#: than this fraction. Its last digits are lost in the difference between the models. A tenth is
#: too much: where a life ends far too early, every single step promises no more.
ENOUGH = 0.02


@dataclass(frozen=True)
class SimplerModel:
    """A simpler model with the same free parameters.

    Parameters
    ----------
    name : str
    predictor : callable
        Makes what predicts its lives, when its turn has come. Where that fails, or no start
        can be simulated, the model is left out.
    """

    name: str
    predictor: Callable[[], Predictor]


def fit_simpler(
    models: Sequence[SimplerModel],
    problem: Problem,
    *,
    checkpoint: str | os.PathLike[str] | None = None,
    resume: bool = False,
    progress: bool = True,
    max_evaluations: int = 100,
    context: str = "",
) -> tuple[SimplerFit, ...]:
    """Fit simpler models loosely, each from the best point of the one before.

    Parameters
    ----------
    models : sequence of SimplerModel
        The simplest first.
    problem : Problem
        That of the detailed model; its predictor is not used.
    progress, context
        As in :func:`~cellmodels.fitting.least_squares.minimise`.
    checkpoint : path, optional
        Rewritten after every model.
    resume : bool
        Take the models that `checkpoint` holds, where that file exists, from there; all of
        them once the fit itself has begun.
    max_evaluations : int
        Largest number of predictions of each model.

    Returns
    -------
    tuple of SimplerFit
        Those that were left out included.

    Raises
    ------
    InputError
        When the checkpoint is of another fit.
    KeyboardInterrupt
        On Ctrl-C; the checkpoint keeps the models that were fitted.
    """
    file = None if checkpoint is None else Path(checkpoint)
    mark = fingerprint(problem, context)
    done: list[SimplerFit] = []
    if resume and file is not None and file.exists():
        saved = read_checkpoint(file, mark)
        if saved.scaled:
            return saved.simpler
        done = list(saved.simpler)
    fits: list[SimplerFit] = []
    if file is not None and not done:
        write_checkpoint(file, Checkpoint(mark, (), ()))  # an old one would be resumed
    for model, before in zip(models, [*done, *[None] * len(models)], strict=False):
        if before is not None and before.model == model.name:
            fits.append(before)
            continue
        fits.append(_fitted(model, problem, fits, progress, max_evaluations))
        if file is not None:
            write_checkpoint(file, Checkpoint(mark, (), (), tuple(fits)))
    return tuple(fits)


def _fitted(
    model: SimplerModel,
    problem: Problem,
    before: Sequence[SimplerFit],
    progress: bool,
    max_evaluations: int,
) -> SimplerFit:
    """One model's fit; an error of its own leaves it out, for the fit can go without."""
    try:
        predict = model.predictor()
    except Exception as error:  # PyBaMM refuses options in many ways
        return SimplerFit(model.name, "left out", _sentence(error))
    try:
        optimum = minimise(
            replace(problem, predict=predict),
            progress=progress,
            max_evaluations=max_evaluations,
            simpler=before,
            enough=ENOUGH,
            label=f"fit of the {model.name} first",
        )
    except CellModelsError as error:
        return SimplerFit(model.name, "left out", _sentence(error))
    if optimum.status == "interrupted":
        raise KeyboardInterrupt
    return _summary(model.name, optimum)


def _summary(name: str, optimum: Optimum) -> SimplerFit:
    succeeded = [trial for trial in optimum.trials if trial.ok]
    return SimplerFit(
        name,
        optimum.status,
        scaled=tuple(map(float, optimum.best.scaled)),
        start_cost=succeeded[0].cost,
        cost=optimum.best.cost,
        evaluations=len(optimum.trials),
        failed=sum(optimum.failures.values()),
    )


def _sentence(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
