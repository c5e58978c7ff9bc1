"""Steps and cycles: analytic limits, PyBaMM, conservation, independence of splitting."""

import numpy as np
import pybamm
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellmodels.cell import Cell
from cellmodels.solver.mesh import MeshOptions
from cellmodels.solver.newton import NewtonOptions
from cellmodels.solver.outcome import Reason, SolveFailure
from cellmodels.solver.step import HOUR, Control, StepSpec, Stop

from .conftest import MECHANISMS, SMALL_DFN, cccv, ones, solver


def test_capacitor_discharges_in_the_analytic_time(decay) -> None:
    specs = [
        StepSpec(Control("current", 2.0), (Stop("voltage", 3.0, -1),), 1e4),
        StepSpec(Control("power", -6.0), (Stop("voltage", 4.0, 1),), 1e4),
    ]
    steps = solver(decay, specs).solve(np.array([4.0]), ones(decay)).steps
    assert steps[0].duration == pytest.approx(100.0 * 1.0 / 2.0, rel=1e-9)
    # at constant power C (V2^2 - V1^2) / 2 = P t
    assert steps[1].duration == pytest.approx(100.0 * (16.0 - 9.0) / 2.0 / 6.0, rel=1e-6)
    assert -steps[1].energy * HOUR == pytest.approx(350.0, rel=1e-6)


def test_derivative_of_the_end_time_is_analytic(decay) -> None:
    specs = [StepSpec(Control("current", 2.0), (Stop("voltage", 3.0, -1),), 1e4)]
    one = solver(decay, specs)
    solved = one.solve(np.array([4.0]), ones(decay))
    end, (slope,) = one.sensitivity(
        solved, ones(decay), np.array([[0.0, 1.0]]), np.array([[1.0, 0.0]])
    )
    # T = C (V0 - V1) / I with C = 100 theta; the end voltage does not move
    assert slope.duration == pytest.approx([50.0, 50.0], rel=1e-9)
    assert np.allclose(end, 0.0, atol=1e-12)


def test_first_condition_ends_the_step(spm) -> None:
    start = spm.start(ones(spm))[0]
    for stops, which in [
        ((Stop("voltage", 2.5, -1), Stop("time", 600.0)), 1),
        ((Stop("voltage", 2.5, -1), Stop("charge", 1.0)), 1),
        ((Stop("voltage", 4.0, -1), Stop("time", 6e5)), 0),
    ]:
        step = (
            solver(spm, [StepSpec(Control("current", 5.0), stops, 1e6)])
            .solve(start, ones(spm))
            .steps[0]
        )
        assert step.stop == which
        assert (
            abs(stops[which].distance(5.0, step.voltage[-1, -1], step.duration, step.charge)) < 1e-8
        )


def test_capacity_agrees_with_pybamm_cycle_by_cycle(dae) -> None:
    cycles, is_dfn = 3, dae.nz > 0
    one, x, near, capacity = solver(dae), dae.start(ones(dae))[0], None, []
    for _ in range(cycles):
        near = one.solve(x, ones(dae), near)
        x = near.end
        capacity.append(near.steps[0].charge)
    cell = Cell(
        "lithium_ion",
        "nmc_graphite_siox",
        "DFN" if is_dfn else "SPM",
        MECHANISMS,
        mesh=SMALL_DFN if is_dfn else None,
    )
    steps = ("Discharge at 1C until 2.5 V", "Charge at C/2 until 4.2 V", "Hold at 4.2 V until C/50")
    simulation = pybamm.Simulation(
        cell.pybamm_model(),
        parameter_values=cell.parameter_values(),
        experiment=pybamm.Experiment([steps] * cycles),
        solver=pybamm.IDAKLUSolver(rtol=1e-8, atol=1e-10),
        var_pts=cell.var_pts(),
    )
    solution = simulation.solve(calc_esoh=False)
    times = [c.steps[0].t[-1] - c.steps[0].t[0] for c in solution.cycles]
    assert np.allclose(capacity, np.array(times) * 5.0 / HOUR, rtol=1e-5)


@settings(max_examples=6, deadline=None, derandomize=True, database=None)
@given(
    rate=st.floats(0.2, 2.0),
    sei=st.floats(0.01, 100.0),
    lam=st.floats(0.01, 30.0),
    level=st.sampled_from(["SPM", "DFN"]),
)
def test_lithium_is_conserved(spm, dfn, rate: float, sei: float, lam: float, level: str) -> None:
    """What the cell loses is in the SEI, in plated or dead lithium, or in lost material.

    The last is a product of two states, which is conserved to the error of the time mesh.
    """
    dae = spm if level == "SPM" else dfn
    theta = np.array([sei, lam])
    specs = cccv()
    specs[0] = StepSpec(Control("current", 5.0 * rate), specs[0].stops, 2e5)
    fine = MeshOptions(rtol=1e-5, atol=1e-6, share=1.0)
    for mesh, error in ((fine, 1e-10), (MeshOptions(), 1e-8)):
        x, near = dae.start(theta)[0], None
        for _ in range(2):
            near = solver(dae, specs, mesh=mesh).solve(x, theta, near)
            x = near.end
            point = np.concatenate([x, np.zeros(dae.nz + 1)])
            lost, *sinks = dae.outputs(point[None, :], theta)[0]
            assert lost > 1e-7
            assert sum(sinks) == pytest.approx(lost, abs=error * 0.2893)


@settings(max_examples=8, deadline=None, derandomize=True, database=None)
@given(at=st.floats(0.05, 0.9), quantity=st.sampled_from(["time", "charge"]))
def test_capacity_does_not_depend_on_how_a_step_is_split(spm, at: float, quantity: str) -> None:
    start = spm.start(ones(spm))[0]
    fine = MeshOptions(rtol=1e-5, atol=1e-6)
    whole = solver(spm, cccv()[:1], mesh=fine).solve(start, ones(spm)).steps[0]
    cut = (
        Stop("time", at * whole.duration)
        if quantity == "time"
        else Stop("charge", at * whole.charge)
    )
    first = StepSpec(Control("current", 5.0), (cut,), 1e5)
    parts = solver(spm, [first, cccv()[0]], mesh=fine).solve(start, ones(spm)).steps
    assert sum(p.charge for p in parts) == pytest.approx(whole.charge, rel=1e-7)


def test_a_step_whose_end_is_already_met_is_skipped(spm) -> None:
    start = spm.start(ones(spm))[0]
    specs = [StepSpec(Control("current", -2.5), (Stop("voltage", 4.0, 1),), 1e5), cccv()[0]]
    one = solver(spm, specs)
    solved = one.solve(start, ones(spm))
    assert solved.steps[0].skipped and solved.steps[0].duration == 0.0
    assert not solved.steps[1].skipped
    again = one.solve(start, ones(spm), solved)
    assert again.steps[0].skipped and again.steps[1].charge == pytest.approx(
        solved.steps[1].charge, rel=1e-9
    )


def test_failures_have_a_reason(spm) -> None:
    start = spm.start(ones(spm))[0]
    endless = [StepSpec(Control("current", 0.01), (Stop("voltage", 2.5, -1),), 100.0)]
    with pytest.raises(SolveFailure) as failure:
        solver(spm, endless).solve(start, ones(spm))
    assert failure.value.reason is Reason.END_NOT_REACHED and failure.value.step == 0
    with pytest.raises(SolveFailure):
        solver(spm, [StepSpec(Control("current", 1e5), (Stop("voltage", 2.5, -1),), 1e4)]).solve(
            np.full_like(start, np.nan), ones(spm)
        )


def test_derivatives_agree_with_central_differences(dae) -> None:
    one, start = solver(dae), dae.start(ones(dae))[0]
    first = one.solve(start, ones(dae))
    base = one.solve(first.end, ones(dae), first)
    k = len(dae.names)
    end, steps = one.sensitivity(base, ones(dae), np.zeros((dae.nx, k)), np.eye(k))
    for j in range(k):
        h = np.zeros(k)
        h[j] = 1e-2
        up, down = (one.solve(first.end, ones(dae) + s * h, base) for s in (1, -1))
        for i, step in enumerate(steps):
            difference = (up.steps[i].duration - down.steps[i].duration) / 2e-2
            assert step.duration[j] == pytest.approx(
                difference, rel=2e-3, abs=1e-6 * base.steps[i].duration
            )
        assert np.allclose(end[:, j], (up.end - down.end) / 2e-2, rtol=2e-3, atol=2e-7)


def test_derivatives_by_the_start_state_do_not_need_all_columns(spm) -> None:
    """Compressed directions give what the plain ones give."""
    one, start = solver(spm), spm.start(ones(spm))[0]
    solved = one.solve(start, ones(spm))
    k = len(spm.names)
    full, _ = one.sensitivity(
        solved,
        ones(spm),
        np.hstack([np.eye(spm.nx), np.zeros((spm.nx, k))]),
        np.hstack([np.zeros((k, spm.nx)), np.eye(k)]),
    )
    some = np.zeros((spm.nx, 3))
    some[[4, 10, 30], [0, 1, 2]] = 1.0
    few, _ = one.sensitivity(solved, ones(spm), some, np.zeros((k, 3)))
    assert np.allclose(full[:, [4, 10, 30]], few, rtol=1e-8, atol=1e-11)


def test_the_same_input_gives_the_same_bits(spm) -> None:
    start = spm.start(ones(spm))[0]
    a, b = (solver(spm).solve(start, ones(spm)) for _ in range(2))
    assert all(np.array_equal(s.stages, t.stages) for s, t in zip(a.steps, b.steps, strict=True))


def test_a_tolerance_below_rounding_keeps_the_mesh(dfn) -> None:
    tight = solver(dfn, newton=NewtonOptions(tolerance=1e-15, max_iterations=40))
    start, theta = dfn.start(ones(dfn))[0], ones(dfn)
    first = tight.solve(start, theta)
    cold = tight.counts.adaptive
    again = tight.solve(start, theta * (1.0 + 1e-3), first)
    assert tight.counts.adaptive == cold
    assert tight.counts.retried == 0
    assert again.same_meshes(first)
