"""Powers with a free exponent."""

import casadi as ca
import numpy as np
import pytest

from cellmodels.cell import Cell
from cellmodels.observations import Points, PointSet
from cellmodels.protocol import Protocol
from cellmodels.simulator import Simulator
from cellmodels.solver.powers import guard_powers


def powers() -> ca.Function:
    v, p = ca.SX.sym("v", 2), ca.SX.sym("p", 2)
    return ca.Function("F", [v, p], [ca.vertcat(p[0] * v[0] ** p[1], v[0] ** 3 * v[1])])


def test_values_stay_and_derivatives_at_zero_are_finite() -> None:
    plain, guarded = powers(), guard_powers(powers())
    for base in (0.7, 3.0, 0.0):
        point, theta = [base, 2.0], [1.5, 2.2]
        assert np.array_equal(plain(point, theta), guarded(point, theta))
    v, p = ca.SX.sym("v", 2), ca.SX.sym("p", 2)
    slope = ca.Function("J", [v, p], [ca.jacobian(guarded(v, p), p)])
    assert np.all(slope([0.0, 2.0], [1.5, 2.2]).full() == 0.0)
    assert slope([0.7, 2.0], [1.5, 2.2])[0, 1] == pytest.approx(1.5 * 0.7**2.2 * np.log(0.7))


def test_a_function_without_such_powers_is_left_alone() -> None:
    v, p = ca.SX.sym("v", 2), ca.SX.sym("p", 2)
    function = ca.Function("F", [v, p], [v**3 * p])
    assert guard_powers(function) is function


@pytest.mark.parametrize(
    "name",
    [
        "Negative electrode LAM constant exponential term",
        "Negative electrode Paris' law constant m",
    ],
)
def test_a_capacity_is_differentiable_by_an_exponent(name: str) -> None:
    mechanisms = ["SEI", "loss of active material", "particle cracking"]
    cell = Cell("lithium_ion", "nmc_graphite_siox", "SPM", mechanisms).with_parameters(
        {
            "Negative electrode LAM constant proportional term [s-1]": 1e-5,
            "Negative electrode cracking rate": 1e-18,
        }
    )
    protocol = Protocol(["Discharge at 1C until 2.5 V", "Charge at C/2 until 4.2 V"])
    simulator = Simulator(cell, protocol, [name])
    points = Points((PointSet("cycles", "discharge_capacity", "cycle", np.array([4.0])),))
    base = simulator.predict(simulator.nominal, points)
    assert base.outcome.ok
    step = 1e-3 * simulator.nominal
    up, down = (
        simulator.predict(simulator.nominal + s * step, points, False, state=base.state).values
        for s in (1.0, -1.0)
    )
    assert base.jacobian[0, 0] == pytest.approx((up - down)[0] / (2.0 * step[0]), rel=1e-3)
