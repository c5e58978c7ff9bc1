"""Voltage at given charges of a step: against steps that end there, and central differences."""

import numpy as np
import pytest

from cellmodels.solver.curve import voltage_at_charge
from cellmodels.solver.step import Control, StepSpec, Stop

from .conftest import ones, solver

CHARGES = np.array([0.4, 1.3, 2.6, 3.9, 4.7])
SLOW = StepSpec(Control("current", 0.5), (Stop("voltage", 2.5, -1),), 2e5)


def test_agrees_with_steps_that_end_at_the_charge(dae) -> None:
    one, start = solver(dae, [SLOW]), dae.start(ones(dae))[0]
    step = one.solve(start, ones(dae)).steps[0]
    curve, _, reached = voltage_at_charge(one.collocation, SLOW.control, step, ones(dae), CHARGES)
    assert reached.all()
    for charge, voltage in zip(CHARGES, curve, strict=True):
        short = StepSpec(SLOW.control, (Stop("charge", charge),), 2e5)
        end = solver(dae, [short]).solve(start, ones(dae)).steps[0]
        assert voltage == pytest.approx(end.voltage[-1, -1], abs=1e-4)


def test_derivatives_agree_with_central_differences(dae) -> None:
    one, start, k = solver(dae, [SLOW]), dae.start(ones(dae))[0], len(dae.names)
    # aged material: the curve moves with the parameters through the start state
    moved = np.zeros((dae.nx, k))
    where = next(s for n, s in dae.state_names.items() if "egative particle concentration" in n)
    moved[where, 0] = 0.02
    base = one.solve(start, ones(dae))
    _, (tangent,) = one.sensitivity(base, ones(dae), moved, np.eye(k), keep_stages=(0,))
    _, slopes, _ = voltage_at_charge(
        one.collocation, SLOW.control, base.steps[0], ones(dae), CHARGES, tangent
    )
    for j in range(k):
        shift = 1e-3 * np.eye(k)[j]
        up, down = (
            voltage_at_charge(
                one.collocation,
                SLOW.control,
                one.solve(start + s * moved @ shift, ones(dae) + s * shift, base).steps[0],
                ones(dae) + s * shift,
                CHARGES,
            )[0]
            for s in (1.0, -1.0)
        )
        assert np.allclose(slopes[:, j], (up - down) / 2e-3, rtol=2e-3, atol=2e-6)


@pytest.mark.parametrize("model", ["spm", "spme"])
def test_a_discharge_at_constant_power(model, request) -> None:
    dae = request.getfixturevalue(model)
    power = StepSpec(Control("power", 8.0), (Stop("voltage", 2.6, -1),), 2e5)
    one, start, k = solver(dae, [power]), dae.start(ones(dae))[0], len(dae.names)
    charges = np.array([0.0, 0.4, 2.6, 4.4])
    moved = np.zeros((dae.nx, k))
    where = next(s for n, s in dae.state_names.items() if "egative particle concentration" in n)
    moved[where, 0] = 0.02
    base = one.solve(start, ones(dae))
    _, (tangent,) = one.sensitivity(base, ones(dae), moved, np.eye(k), keep_stages=(0,))

    def curve(shift: float, *given):
        theta, x = ones(dae) + shift * np.eye(k)[0], start + shift * moved[:, 0]
        step = one.solve(x, theta, base).steps[0] if shift else base.steps[0]
        return voltage_at_charge(one.collocation, power.control, step, theta, charges, *given)

    values, slopes, _ = curve(0.0, tangent)
    for charge, voltage in zip(charges[1:], values[1:], strict=True):
        short = StepSpec(power.control, (Stop("charge", charge),), 2e5)
        end = solver(dae, [short]).solve(start, ones(dae)).steps[0]
        assert voltage == pytest.approx(end.voltage[-1, -1], abs=2e-4)
    quotient = (curve(1e-3)[0] - curve(-1e-3)[0]) / 2e-3
    assert np.allclose(slopes[:, 0], quotient, rtol=5e-3, atol=2e-6)


def test_beyond_the_end_is_continued_and_marked(spm) -> None:
    one, start = solver(spm, [SLOW]), spm.start(ones(spm))[0]
    step = one.solve(start, ones(spm)).steps[0]
    beyond = np.array([step.charge - 0.01, step.charge + 0.01])
    curve, _, reached = voltage_at_charge(one.collocation, SLOW.control, step, ones(spm), beyond)
    assert reached.tolist() == [True, False]
    assert curve[1] < 2.5 < curve[0]


def test_derivatives_beyond_the_end_agree_with_central_differences(spm) -> None:
    one, start, k = solver(spm, [SLOW]), spm.start(ones(spm))[0], len(spm.names)
    moved = np.zeros((spm.nx, k))
    where = next(s for n, s in spm.state_names.items() if "egative particle concentration" in n)
    moved[where, 0] = 0.02
    base = one.solve(start, ones(spm))
    beyond = base.steps[0].charge * np.array([1.05, 1.3])
    _, (tangent,) = one.sensitivity(base, ones(spm), moved, np.eye(k), keep_stages=(0,))
    step = base.steps[0]
    _, slopes, _ = voltage_at_charge(
        one.collocation, SLOW.control, step, ones(spm), beyond, tangent
    )
    up, down = (
        voltage_at_charge(
            one.collocation,
            SLOW.control,
            one.solve(start + s * 1e-3 * moved[:, 0], ones(spm), base).steps[0],
            ones(spm),
            beyond,
        )[0]
        for s in (1.0, -1.0)
    )
    # the first direction moves start state and parameter; the parameter alone hardly matters
    assert np.allclose(slopes[:, 0], (up - down) / 2e-3, rtol=1e-2)
