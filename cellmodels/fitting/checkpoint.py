"""The state of a running fit on disk: plain JSON, replaced in one step.

A reader always finds either the previous or the new state, whatever happens to the process
that writes it.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from cellmodels.errors import InputError
from cellmodels.fitting.problem import Problem
from cellmodels.writing import replacing

__all__ = [
    "Checkpoint",
    "SimplerFit",
    "Trial",
    "fingerprint",
    "read_checkpoint",
    "write_checkpoint",
]

_SCHEMA = "cellmodels-fit-checkpoint/1"


@dataclass(frozen=True)
class Trial:
    """One evaluation of a fit.

    Parameters
    ----------
    values : tuple of float
        Parameter values, in their own units.
    cost : float
        Half the sum of squared residuals; infinite when the simulation failed.
    ok : bool
        Whether the simulation succeeded.
    accepted : bool
        Whether the fit moved there.
    reason : str
        Why it failed.
    """

    values: tuple[float, ...]
    cost: float
    ok: bool
    accepted: bool = False
    reason: str = ""


@dataclass(frozen=True)
class SimplerFit:
    """How a simpler model was fitted to the same data.

    Parameters
    ----------
    model : str
        Its name.
    status : str
        As in `Optimum`; ``"good enough"`` where it stopped as a start for the next model, and
        ``"left out"`` where it could not be fitted.
    message : str
        Why it was left out.
    scaled : tuple of float
        Scaled coordinates of its best point; empty where it was left out.
    start_cost, cost : float
        Half the sum of squared residuals of this model at its first and its best point.
    evaluations, failed : int
        How many points were predicted, and how many of these predictions failed.
    """

    model: str
    status: str
    message: str = ""
    scaled: tuple[float, ...] = ()
    start_cost: float = math.inf
    cost: float = math.inf
    evaluations: int = 0
    failed: int = 0


@dataclass(frozen=True)
class Checkpoint:
    """What a fit needs to go on.

    Parameters
    ----------
    fingerprint : str
        Identifies the problem: parameters, bounds, data and noise.
    scaled : tuple of float
        Scaled coordinates of the last accepted point; empty before there is one.
    trials : tuple of Trial
        Everything evaluated so far.
    simpler : tuple of SimplerFit
        Fits of simpler models that came first and have ended.
    """

    fingerprint: str
    scaled: tuple[float, ...]
    trials: tuple[Trial, ...]
    simpler: tuple[SimplerFit, ...] = ()


def fingerprint(problem: Problem, context: str = "") -> str:
    """Hash of everything that defines the sum of squares.

    Parameters
    ----------
    problem : Problem
    context : str, optional
        Identifies the model, e.g. the hashes of cell and protocol.

    Returns
    -------
    str
        SHA-256, hexadecimal.
    """
    observations = problem.observations
    digest = hashlib.sha256(context.encode())
    digest.update(repr(problem.scaling.parameters).encode())
    if problem.loss.robust:
        digest.update(repr(problem.loss).encode())
    if problem.prior is not None:
        digest.update(problem.prior.mean.tobytes() + problem.prior.root.tobytes())
    for points in observations.points:
        digest.update(
            repr((points.group, points.variable, points.coordinate, points.column)).encode()
        )
        digest.update(points.at.tobytes())
    digest.update(np.ascontiguousarray(observations.data).tobytes())
    digest.update(np.ascontiguousarray(observations.std).tobytes())
    return digest.hexdigest()


def write_checkpoint(path: str | os.PathLike[str], checkpoint: Checkpoint) -> None:
    """Write a checkpoint in one step.

    Raises
    ------
    InputError
        If it cannot be written.
    """
    target = Path(path)
    trials = [{**asdict(trial), "cost": _finite(trial.cost)} for trial in checkpoint.trials]
    simpler = [
        {**asdict(fit), "start_cost": _finite(fit.start_cost), "cost": _finite(fit.cost)}
        for fit in checkpoint.simpler
    ]
    content = json.dumps(
        {
            "schema": _SCHEMA,
            "fingerprint": checkpoint.fingerprint,
            "scaled": list(checkpoint.scaled),
            "trials": trials,
            "simpler": simpler,
        },
        allow_nan=False,
    )
    with replacing(target) as temporary:
        temporary.write_text(content, encoding="utf-8")


def read_checkpoint(path: str | os.PathLike[str], expected: str) -> Checkpoint:
    """Read a checkpoint of the problem with fingerprint `expected`.

    Raises
    ------
    InputError
        When the file is not a checkpoint, or belongs to another problem.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        if content.pop("schema") != _SCHEMA:
            raise KeyError("schema")
        checkpoint = Checkpoint(
            fingerprint=content["fingerprint"],
            scaled=tuple(map(float, content["scaled"])),
            trials=_read_trials(content["trials"]),
            simpler=_read_simpler(content.get("simpler", [])),
        )
    except (
        ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError,
    ) as error:  # fmt: skip
        raise InputError(f"{path} is not a checkpoint of a fit ({error!r}).") from error
    if checkpoint.fingerprint != expected:
        raise InputError(
            f"{path} belongs to another fit: its cell, protocol, data, noise, free parameters, "
            "start or bounds differ. Continue that fit, or choose another checkpoint file."
        )
    return checkpoint


def _finite(cost: float) -> float | None:
    """JSON has no infinity: the cost of a failed trial is null."""
    return cost if math.isfinite(cost) else None


def _cost(written: float | None) -> float:
    return math.inf if written is None else float(written)


def _read_trials(trials: Sequence[dict]) -> tuple[Trial, ...]:
    return tuple(
        Trial(
            values=tuple(map(float, trial["values"])),
            cost=_cost(trial["cost"]),
            ok=bool(trial["ok"]),
            accepted=bool(trial["accepted"]),
            reason=str(trial["reason"]),
        )
        for trial in trials
    )


def _read_simpler(fits: Sequence[dict]) -> tuple[SimplerFit, ...]:
    return tuple(
        SimplerFit(
            model=str(fit["model"]),
            status=str(fit["status"]),
            message=str(fit["message"]),
            scaled=tuple(map(float, fit["scaled"])),
            start_cost=_cost(fit["start_cost"]),
            cost=_cost(fit["cost"]),
            evaluations=int(fit["evaluations"]),
            failed=int(fit["failed"]),
        )
        for fit in fits
    )
