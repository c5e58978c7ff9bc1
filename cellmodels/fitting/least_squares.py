"""The driver: from a start to the parameters of least squares.

Gauss-Newton steps with the curvature that a past point has shown (`step_model`) move the
scaled parameters, inside the bounds and a box around the present point, which grows and
shrinks with success as trust regions do (J. Nocedal and S. J. Wright, Numerical
Optimization (2006), chapter 4, doi:10.1007/978-0-387-40065-5). Every point costs one
prediction, which gives value and exact Jacobian together. In its particulars:

- *Failed simulations.* A trial at which the simulation fails gets residuals far above those
  of the start. It is rejected and the box shrinks, so the fit never moves there.
- *When to stop.* After each accepted point the linearised problem is solved inside the
  bounds. The fit ends when it promises to lower the cost by less than 1e-4 (in units of the
  residual variance, where that exceeds one): the parameters are then within some 1.5 % of
  their standard errors of the optimum. This is MINUIT's estimated distance to the minimum
  (James & Roos 1975, doi:10.1016/0010-4655(75)90039-9).
- *Where to start.* At the best point of a simpler model, if one was fitted before
  (`simpler`), as in multi-fidelity optimisation. Should the simulation fail there, or the
  cost be above that of the first point at which the simplest model ran, the given start is
  tried too.
- *What "converged" means.* However the steps ended, e.g. because failed trials shrank the
  box to nothing, the fit only calls itself converged when that promise is small.
"""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import scipy.optimize
from numpy.typing import NDArray
from tqdm.auto import tqdm

from cellmodels.errors import CellModelsError, InputError
from cellmodels.fitting.checkpoint import (
    Checkpoint,
    SimplerFit,
    Trial,
    fingerprint,
    read_checkpoint,
    write_checkpoint,
)
from cellmodels.fitting.problem import Evaluation, Problem
from cellmodels.fitting.scaling import Scaling
from cellmodels.fitting.step_model import PastPoint, model_step

__all__ = ["FitError", "Optimum", "check_request", "minimise", "residual_variance"]

STOP = 1e-4
"""A fit stops when the linearised problem promises less than this reduction of the cost,
in units of the residual variance."""
CONVERGED = 0.02
"""A fit is converged when that promise is below this; 0.02 is a fifth of a standard error."""

_FIRST_RADIUS = 1.0
"""Largest change of a scaled parameter in the first step: a factor of e."""

_GROWTH = 1.6
"""The box grows to this multiple of a step that did as predicted. More is no gain: along a
curved valley every other step is then too long, and its evaluation wasted."""

_PAST_POINTS = 6
"""Points that are kept for the steps' model."""

_SMALLEST_STEP = 1e-12
"""A step of less than this, in scaled parameters, is none."""

# Failed or rejected trials between two accepted points: each shrinks the box.
_FAILURES_IN_A_ROW = 12
_REJECTIONS_IN_A_ROW = 10
# A search that creeps, as along an edge beyond which simulations fail, is over: so many trials
# have lowered the cost by less than this part, although a larger part is still promised.
_CREEPING, _CREPT = 15, 0.01
_SMALL_DECREASE = 1e-3  # of the cost, in units of the residual variance
_TOWARD_NOMINAL = (0.0, 0.25, 0.5, 0.75, 1.0)


class FitError(CellModelsError):
    """A fit cannot begin: the simulation fails at its start."""


@dataclass(frozen=True, eq=False)
class Optimum:
    """Where a fit ended, and how.

    Parameters
    ----------
    best : Evaluation
        The last accepted point; its simulation succeeded.
    status : {"converged", "stalled", "blocked", "evaluations", "interrupted", "good enough"}
        ``"stalled"``: no better point is found although the linearised problem promises one;
        ``"blocked"``: the same because simulations fail around the best point;
        ``"evaluations"``: their largest number is reached; ``"good enough"``: as far as was
        asked for, which is short of converged.
    message : str
        The same as a sentence.
    promise : float
        Reduction of the cost that the linearised problem still promises, in units of the
        residual variance.
    trials : tuple of Trial
        All evaluations in order, those before a resume included.
    tolerance : float, optional
        Solver tolerance of the predictions [A.h].
    simpler : tuple of SimplerFit
        Fits of simpler models that came first.
    """

    best: Evaluation
    status: str
    message: str
    promise: float
    trials: tuple[Trial, ...]
    tolerance: float | None = None
    simpler: tuple[SimplerFit, ...] = ()

    @property
    def converged(self) -> bool:
        """Whether the best point is a minimum, as far as the linearised problem can tell."""
        return self.status == "converged"

    @property
    def failures(self) -> Counter[str]:
        """How often simulations failed, by reason."""
        return Counter(trial.reason for trial in self.trials if not trial.ok)


def minimise(
    problem: Problem,
    *,
    start: NDArray[np.float64] | Evaluation | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    resume: bool = False,
    progress: bool = True,
    max_evaluations: int = 100,
    context: str = "",
    simpler: Sequence[SimplerFit] = (),
    enough: float = 0.0,
    label: str = "fit",
) -> Optimum:
    """Find the parameters of least squares.

    Parameters
    ----------
    problem : Problem
        Its predictor is called once a point.
    start : ndarray, shape (p,), or Evaluation, optional
        Scaled coordinates to begin at, or an evaluation of this problem there, which succeeded;
        by default those of the parameters' starts.
    checkpoint : path, optional
        File rewritten after every accepted point.
    resume : bool
        Continue from `checkpoint` where that file exists.
    progress : bool
        Show a progress bar.
    max_evaluations : int
        Largest number of predictions, those before a resume included.
    context : str
        Identifies the model in the checkpoint.
    simpler : sequence of SimplerFit
        Fits of simpler models to the same data; the last best point is the start.
    enough : float
        Stop already where the linearised problem promises to lower the cost by less than this
        fraction of it.
    label : str
        Of the progress bar.

    Returns
    -------
    Optimum
        Also after Ctrl-C, then with status ``"interrupted"``.

    Raises
    ------
    InputError
        With fewer points than free parameters, or when the checkpoint is of another fit.
    FitError
        When the simulation fails at the start and on the way from it to the nominal values.
    KeyboardInterrupt
        On Ctrl-C before the first simulation has succeeded.
    """
    check_request(problem, checkpoint, resume, max_evaluations)
    mark = fingerprint(problem, context)
    file = None if checkpoint is None else Path(checkpoint)
    saved = read_checkpoint(file, mark) if resume and file is not None and file.exists() else None
    if saved is not None and saved.scaled:
        simpler = saved.simpler  # those that this fit came from
    known = start if isinstance(start, Evaluation) else None
    first = np.zeros(problem.size) if start is None or known is not None else np.array(start, float)
    with tqdm(total=max_evaluations, desc=label, unit="run", disable=not progress) as bar:
        run = _Run(
            problem,
            trials=list(saved.trials) if saved else [],
            save=None if file is None else _Saver(file, mark, tuple(simpler)),
            limit=max_evaluations,
            enough=enough,
            bar=bar,
        )
        if saved is not None and saved.scaled:
            optimum = _search(run, np.array(saved.scaled))
        else:
            optimum = _search(run, problem.scaling.inside(first), simpler, known)
        bar.total = bar.n
        bar.refresh()
    return replace(optimum, simpler=tuple(simpler))


def check_request(
    problem: Problem,
    checkpoint: str | os.PathLike[str] | None,
    resume: bool,
    max_evaluations: int,
) -> None:
    """Refuse what no fit can do; errors as :func:`minimise`."""
    points = problem.observations.size
    known = 0 if problem.prior is None else len(problem.prior.root)
    if points + known < problem.size:
        raise InputError(f"{points} points cannot determine {problem.size} free parameters.")
    if resume and checkpoint is None:
        raise InputError("To resume a fit, name its checkpoint file.")
    if max_evaluations < 1:
        raise InputError(f"max_evaluations is {max_evaluations}; it must be at least 1.")


# ------------------------------------------------------------------------------------------


class _EndSearch(Exception):
    """Ends the iteration before a next prediction."""


@dataclass(frozen=True)
class _Saver:
    """Writes checkpoints of one problem to one file."""

    path: Path
    fingerprint: str
    simpler: tuple[SimplerFit, ...]

    def __call__(self, scaled: NDArray[np.float64], trials: list[Trial]) -> None:
        write_checkpoint(
            self.path,
            Checkpoint(self.fingerprint, tuple(map(float, scaled)), tuple(trials), self.simpler),
        )


class _Run:
    """Evaluations of one fit, and a memory of what was tried."""

    def __init__(
        self,
        problem: Problem,
        *,
        trials: list[Trial],
        save: Callable[[NDArray[np.float64], list[Trial]], None] | None,
        limit: int,
        enough: float,
        bar: Any,
    ) -> None:
        self.problem = problem
        self.trials = trials
        self.save = save
        self.limit = limit
        self.enough = enough
        self.bar = bar
        self.latest: Evaluation | None = None
        self.accepted: Evaluation | None = None
        self.promise = float("inf")
        self.since_accepted: list[bool] = []  # success of each trial since then
        self.decreases: list[float] = []  # of the cost, in units of the residual variance
        bar.update(len(trials))

    @property
    def finished(self) -> bool:
        """Whether the accepted point is the optimum, or as near as can be told."""
        small = [decrease < _SMALL_DECREASE for decrease in self.decreases[-2:]]
        return (
            self.good_enough
            or self.promise <= STOP
            or (self.promise <= CONVERGED and len(small) == 2 and all(small))
        )

    @property
    def good_enough(self) -> bool:
        """Whether the accepted point is as good as was asked for."""
        if self.accepted is None:
            return False
        variance = residual_variance(self.accepted)
        return self.promise * variance < self.enough * self.accepted.cost

    # Evaluations --------------------------------------------------------------------------

    def at(self, scaled: NDArray[np.float64]) -> Evaluation:
        """The evaluation at a point; predicted once."""
        for known in (self.latest, self.accepted):
            if known is not None and np.array_equal(known.scaled, scaled):
                return known
        self._check_limits()
        self.latest = self.problem.evaluate(scaled, self.accepted)
        self._remember(self.latest)
        return self.latest

    def accept(self, evaluation: Evaluation) -> None:
        """Move to an evaluation."""
        if evaluation is self.accepted:
            return
        variance = residual_variance(evaluation)
        if self.accepted is not None:
            self.decreases.append((self.accepted.cost - evaluation.cost) / variance)
        self.accepted = evaluation
        self.since_accepted = []
        self.promise = promised_reduction(evaluation, self.problem.scaling)
        self._mark_accepted(evaluation)
        if self.save is not None:
            self.save(evaluation.scaled, self.trials)
        chi_square = 2 * evaluation.cost / evaluation.terms.size
        self.bar.set_postfix_str(f"chi2/n {chi_square:.4g}, failed {self._failed}")

    def _remember(self, evaluation: Evaluation) -> None:
        ok = evaluation.ok
        self.since_accepted.append(ok)
        reason = "" if ok else evaluation.outcome.reason or "failed"
        self.trials.append(
            Trial(tuple(map(float, evaluation.values)), evaluation.cost, ok, reason=reason)
        )
        self.bar.update(1)

    def _mark_accepted(self, evaluation: Evaluation) -> None:
        if self.trials and self.trials[-1].values == tuple(map(float, evaluation.values)):
            self.trials[-1] = replace(self.trials[-1], accepted=True)

    def _check_limits(self) -> None:
        """Stop before a prediction that could not help."""
        recent = self.since_accepted
        if self.accepted is None:
            return
        if (
            len(self.trials) >= self.limit
            or sum(not ok for ok in recent) >= _FAILURES_IN_A_ROW
            or sum(recent) >= self._rejections_allowed
            or self._creeps
        ):
            raise _EndSearch

    @property
    def _creeps(self) -> bool:
        """Whether many trials have gained little of what is promised."""
        assert self.accepted is not None
        cost, before = self.accepted.cost, [t.cost for t in self.trials[:-_CREEPING] if t.ok]
        if not before or min(before) - cost > _CREPT * min(before):
            return False
        return self.promise * residual_variance(self.accepted) > 10.0 * _CREPT * cost

    @property
    def _rejections_allowed(self) -> int:
        """Few near the end: where steps are as small as the solver's noise, none is better."""
        if self.promise <= _SMALL_DECREASE:
            return 1
        return 4 if self.promise <= CONVERGED else _REJECTIONS_IN_A_ROW

    @property
    def _failed(self) -> int:
        return sum(not trial.ok for trial in self.trials)


def _search(
    run: _Run,
    start: NDArray[np.float64],
    simpler: Sequence[SimplerFit] = (),
    known: Evaluation | None = None,
) -> Optimum:
    """From a start, or what is known there, to the end, whatever the reason for ending."""
    interrupted = False
    try:
        first = known or _first(run, start, simpler)
        run.accept(first)
        if run.promise > STOP:
            _trust_region(run, first)
    except _EndSearch:
        pass
    except KeyboardInterrupt:
        if run.accepted is None:
            raise
        interrupted = True
        if run.save is not None:
            run.save(run.accepted.scaled, run.trials)
    assert run.accepted is not None
    return _ended(run, run.accepted, interrupted)


def _trust_region(run: _Run, start: Evaluation) -> None:
    """Steps of the model inside a box around the present point, until the run ends."""
    here, radius, failed = start, _FIRST_RADIUS, False
    others: deque[tuple[NDArray[np.float64], ...]] = deque(maxlen=_PAST_POINTS)
    lower, upper = run.problem.scaling.bounds
    while not run.finished:
        step, cost = model_step(
            here.terms,
            here.slopes,
            [PastPoint(z - here.scaled, terms, slopes) for z, terms, slopes in others],
            np.maximum(lower - here.scaled, -radius),
            np.minimum(upper - here.scaled, radius),
            radius,
        )
        trial = run.at(np.clip(here.scaled + step, lower, upper))
        size = float(np.max(np.abs(trial.scaled - here.scaled)))
        if size < _SMALLEST_STEP:
            return
        gain = (here.cost - trial.cost) / max(here.cost - cost, 1e-300)
        if not trial.outcome.ok:
            radius, failed = 0.25 * size, True
        elif trial.cost >= here.cost:
            others.append((trial.scaled, trial.terms, trial.slopes))
            radius = 0.35 * size
        else:
            others.append((here.scaled, here.terms, here.slopes))
            here = trial
            run.accept(trial)
            if gain > 0.75 and size > 0.5 * radius and not failed:
                radius = max(radius, _GROWTH * size)
            elif gain < 0.25:
                radius = 0.5 * size
            failed = False


def _first(run: _Run, start: NDArray[np.float64], simpler: Sequence[SimplerFit]) -> Evaluation:
    """The best point of a simpler model where it is one, else what succeeds from the start."""
    fitted = [fit for fit in simpler if fit.scaled]
    if not fitted:
        return _first_success(run, start)
    found = run.at(run.problem.scaling.inside(fitted[-1].scaled))
    if not found.outcome.ok:
        return _first_success(run, start)
    # The start is worth an evaluation only if the simpler models have promised too much.
    if found.cost < fitted[0].start_cost or len(run.trials) >= run.limit:
        return found
    run.accept(found)
    return min(found, run.at(start), key=lambda evaluation: evaluation.cost)


def _first_success(run: _Run, start: NDArray[np.float64]) -> Evaluation:
    """The start, or the first point on the way from it to the nominal values that runs."""
    nominal = run.problem.scaling.nominal
    for fraction in _TOWARD_NOMINAL:
        evaluation = run.at(start + fraction * (nominal - start))
        if evaluation.outcome.ok:
            return evaluation
    outcome = evaluation.outcome
    where = "" if outcome.cycle is None else f" in cycle {outcome.cycle}"
    pairs = zip(run.problem.scaling.names, evaluation.values, strict=True)
    tried = ", ".join(f"{name} = {value:.4g}" for name, value in pairs)
    raise FitError(
        f"The simulation fails{where} at the start of the fit and on the way from it to the "
        f"nominal values: {outcome.message or outcome.reason}. Last tried: {tried}. Simulate "
        "the cell by itself to find out why, or give another start."
    )


def promised_reduction(evaluation: Evaluation, scaling: Scaling) -> float:
    """Reduction of the cost by the best step of the linearised problem inside the bounds.

    Parameters
    ----------
    evaluation : Evaluation
    scaling : Scaling

    Returns
    -------
    float
        In units of the residual variance where that exceeds one, dimensionless.
    """
    lower, upper = scaling.bounds
    step = scipy.optimize.lsq_linear(
        evaluation.slopes,
        -evaluation.terms,
        bounds=(lower - evaluation.scaled, upper - evaluation.scaled),
    )
    return max(evaluation.cost - float(step.cost), 0.0) / residual_variance(evaluation)


def residual_variance(evaluation: Evaluation) -> float:
    """Twice the cost per degree of freedom where that exceeds one, else one."""
    freedom = max(evaluation.terms.size - evaluation.scaled.size, 1)
    return max(1.0, 2 * evaluation.cost / freedom)


def _ended(run: _Run, best: Evaluation, interrupted: bool) -> Optimum:
    status = _status(run, interrupted)
    messages = {
        "converged": "converged",
        "interrupted": "interrupted; the numbers are those of the last accepted point",
        "evaluations": f"not converged after {len(run.trials)} evaluations",
        "blocked": "not converged: simulations fail around the best point",
        "good enough": "stopped where little more was promised",
        "stalled": "not converged: no step from the best point lowers the sum of squares",
    }
    return Optimum(
        best, status, messages[status], run.promise, tuple(run.trials), run.problem.tolerance
    )


def _status(run: _Run, interrupted: bool) -> str:
    if run.promise <= CONVERGED and not interrupted:
        return "converged"
    if interrupted:
        return "interrupted"
    if run.good_enough:
        return "good enough"
    if len(run.trials) >= run.limit:
        return "evaluations"
    recent = run.trials[-_FAILURES_IN_A_ROW:]
    return "stalled" if all(trial.ok for trial in recent) else "blocked"
