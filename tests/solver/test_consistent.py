"""Algebraic states that fit a differential state and a control."""

import casadi as ca
import numpy as np
import pytest

from cellmodels.solver import consistent
from cellmodels.solver.collocation import Collocation
from cellmodels.solver.dae import Dae
from cellmodels.solver.outcome import SolveFailure
from cellmodels.solver.step import Control

from .conftest import ones


def at_rest(dae) -> np.ndarray:
    return np.append(np.concatenate(dae.start(ones(dae))), 0.0)


def test_a_power_is_reached_from_rest(spme) -> None:
    # without a current the power does not see the voltage
    start = spme.start(ones(spme))[0]
    power = Control("power", 8.0)
    point, voltage = consistent.consistent_point(
        Collocation(spme), power, start, ones(spme), at_rest(spme)
    )
    assert point[-1] * voltage == pytest.approx(8.0, rel=1e-9)
    system = spme.evaluate(point[None], ones(spme))[0]
    assert np.max(np.abs(system[spme.nx : -1])) < 1e-8


def test_no_fixed_pivot_vanishes_at_rest(spme, monkeypatch) -> None:
    def none(*_):
        raise AssertionError("the pivots were chosen anew")

    monkeypatch.setattr(consistent, "_pivoted", none)
    start, power = spme.start(ones(spme))[0], Control("power", 8.0)
    consistent.consistent_point(Collocation(spme), power, start, ones(spme), at_rest(spme))


def electrode() -> Dae:
    """An electrode on which a reduction at 1 V is limited to 1 A, and another sets in at -0.8 V.

    The voltage is its potential, and loses 1 ohm.
    """
    v, p = ca.MX.sym("v", 3), ca.MX.sym("p", 0)
    amount, potential, current = v[0], v[1], v[2]
    first = 1.0 / (1.0 + ca.exp(40.0 * (potential - 1.0)))
    second = 100.0 / (1.0 + 1e3 * ca.exp(40.0 * (potential + 0.8)))
    rise = 1.0 + 5e-4 * (ca.sqrt(4.0 + (40.0 * potential) ** 2) - 40.0 * potential)
    balance = (first + second) * rise - current
    system = ca.vertcat(-current * (1.0 + 0.0 * amount), balance, potential - current)
    return Dae(
        v,
        p,
        system,
        ca.MX(ca.DM([0.0, 1.0])),
        nx=1,
        nz=1,
        names=(),
        nominal=np.zeros(0),
        outputs={},
        events={},
        state_names={"amount": slice(0, 1)},
    )


@pytest.mark.parametrize("guess", [1.0, 0.2, -0.6, -3.0])
@pytest.mark.parametrize("current", [0.5, 1.5, 90.0])
def test_a_potential_is_found_across_the_plateau_of_a_limiting_current(guess, current) -> None:
    dae = electrode()
    point, voltage = consistent.consistent_point(
        Collocation(dae),
        Control("current", current),
        np.zeros(1),
        np.ones(0),
        np.array([0.0, guess, 0.0]),
    )
    assert abs(dae.evaluate(point[None], np.ones(0))[0, 1]) < 1e-6 * current
    assert voltage == pytest.approx(point[1] - current)
    assert (point[1] > 0.9) == (current < 1.0)


def test_whole_corrections_do_not_get_there(monkeypatch) -> None:
    def none(*_):
        raise SolveFailure(consistent.Reason.NO_CONSISTENT_START, "")

    monkeypatch.setattr(consistent, "_solve_damped", none)
    with pytest.raises(SolveFailure):
        consistent.consistent_point(
            Collocation(electrode()),
            Control("current", 90.0),
            np.zeros(1),
            np.ones(0),
            np.array([0.0, 0.2, 0.0]),
        )


def test_change_of_the_power_with_the_current() -> None:
    """dP/dI = V + I dV/dI, by the voltage."""
    dae, step = electrode(), 1e-6
    held = [
        consistent.consistent_point(
            Collocation(dae),
            Control("current", current),
            np.zeros(1),
            np.ones(0),
            np.array([0.0, 1.0, 0.0]),
        )
        for current in (0.3 - step, 0.3, 0.3 + step)
    ]
    powers = [point[-1] * voltage for point, voltage in held]
    slope = (powers[2] - powers[0]) / (2 * step)
    point, voltage = held[1]
    found = consistent.power_slope(dae, point, np.ones(0))
    assert found == pytest.approx(slope / voltage, rel=1e-6)
