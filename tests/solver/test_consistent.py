"""Algebraic states that fit a differential state and a control."""

import numpy as np
import pytest

from cellmodels.solver import consistent
from cellmodels.solver.collocation import Collocation
from cellmodels.solver.outcome import SolveFailure
from cellmodels.solver.step import Control

from .conftest import ones


def at_rest(dae) -> np.ndarray:
    return np.append(np.concatenate(dae.start(ones(dae))), 0.0)


def test_a_power_is_reached_from_rest(spme) -> None:
    # without a current the power does not see the voltage: the fixed pivots are singular
    start = spme.start(ones(spme))[0]
    power = Control("power", 8.0)
    point, voltage = consistent.consistent_point(
        Collocation(spme), power, start, ones(spme), at_rest(spme)
    )
    assert point[-1] * voltage == pytest.approx(8.0, rel=1e-9)
    system = spme.evaluate(point[None], ones(spme))[0]
    assert np.max(np.abs(system[spme.nx : -1])) < 1e-8


def test_fixed_pivots_do_not_suffice_there(spme, monkeypatch) -> None:
    def none(*_):
        raise SolveFailure(consistent.Reason.NO_CONSISTENT_START, "")

    monkeypatch.setattr(consistent, "_pivoted", none)
    start = spme.start(ones(spme))[0]
    with pytest.raises(SolveFailure):
        consistent.consistent_point(
            Collocation(spme), Control("power", 8.0), start, ones(spme), at_rest(spme)
        )
