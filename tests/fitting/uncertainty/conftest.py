"""Curves of one variable with known derivatives, as problems."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

from cellmodels.fitting.problem import Problem
from cellmodels.fitting.residuals import Observations, Variable
from cellmodels.fitting.scaling import FreeParameter, Scaling
from cellmodels.observations import Outcome, Points, PointSet, Prediction


@dataclass
class Curve:
    """Predicts ``model(values) -> (y, dy/dvalues)``; counts its calls, fails where told to."""

    model: object
    fails: object = None
    calls: list[np.ndarray] = field(default_factory=list)
    states: list[object] = field(default_factory=list)

    def __call__(self, values, points, jacobian=True, tolerance=None, state=None):
        values = np.asarray(values, dtype=float)
        self.calls.append(values.copy())
        self.states.append(state)
        if self.fails is not None and self.fails(values):
            return Prediction(None, None, Outcome(False, "newton failed", "no solution", 3))
        y, slopes = self.model(values)
        return Prediction(
            np.asarray(y, float),
            np.asarray(slopes, float) if jacobian else None,
            Outcome(True, "completed"),
            0.0,
            f"state {len(self.calls)}",
        )


def make_problem(model, data, std, parameters, *, at=None, fails=None, **options) -> Problem:
    """A problem of one variable; `parameters` are (name, start, lower, upper)."""
    data = np.asarray(data, float)
    size = data.size
    at = np.arange(1.0, size + 1) if at is None else np.asarray(at, float)
    observations = Observations(
        points=Points((PointSet("cycles", "energy", "cycle", at),)),
        data=data,
        std=np.full(size, float(std)),
        variables=(Variable("cycles", "energy", "W.h", "cycle", size, 0, 0, "given"),),
        owner=np.zeros(size, np.int64),
        position=np.arange(size),
        charge=np.full(size, np.nan),
    )
    scaling = Scaling([FreeParameter(*p, unit="-") for p in parameters])
    return Problem(Curve(model, fails), observations, scaling, **options)


@pytest.fixture
def problem_of():
    """Makes problems: see `make_problem`."""
    return make_problem


@dataclass(frozen=True)
class Line:
    """``y = design @ values``."""

    design: np.ndarray

    def __call__(self, values):
        return self.design @ values, self.design


@pytest.fixture
def line_of():
    """Makes linear models: see `Line`."""
    return Line


@dataclass(frozen=True)
class Decay:
    """``y = a exp(-k t)``."""

    t: np.ndarray

    def __call__(self, values):
        a, k = values
        e = np.exp(-k * self.t)
        return a * e, np.stack([e, -a * self.t * e], axis=1)


@pytest.fixture
def decay():
    """Few points and much noise: an interval that is not symmetric."""
    t = np.linspace(0.5, 4.0, 8)
    rng = np.random.default_rng(3)
    data = Decay(t)((1.0, 0.8))[0] + 0.08 * rng.standard_normal(t.size)
    parameters = [("Size [-]", 0.7, 0.01, 100.0), ("Rate [-]", 1.2, 0.01, 100.0)]
    return make_problem(Decay(t), data, 0.08, parameters, at=t)
