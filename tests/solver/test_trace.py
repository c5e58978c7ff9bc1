"""Voltage at given times: against collocation points, finer meshes and central differences."""

import numpy as np
import pytest

from cellmodels.solver.curve import StepDirections, voltage_at_times
from cellmodels.solver.joined import Joined
from cellmodels.solver.mesh import MeshOptions
from cellmodels.solver.newton import NewtonOptions
from cellmodels.solver.sensitivity import step_sensitivity
from cellmodels.solver.step import Control, StepSpec, Stop
from cellmodels.solver.trace import TraceSolver, guarded

from .conftest import ones, solver

FIXED = [
    StepSpec(Control("current", 5.0), (), 1500.0, limit_is_end=True),
    StepSpec(Control("current", 0.0), (), 600.0, limit_is_end=True),
    StepSpec(Control("current", -2.5), (), 900.0, limit_is_end=True),
]
#: Steps whose ends move, and a power and a voltage that are held.
FREE_ENDS = [
    StepSpec(Control("power", 18.0), (Stop("voltage", 3.5, -1),), 2e4),
    StepSpec(Control("current", 0.0), (), 300.0, limit_is_end=True),
    StepSpec(Control("current", -2.5), (Stop("voltage", 4.15, 1),), 2e4),
    StepSpec(Control("voltage", 4.15), (), 400.0, limit_is_end=True),
]
TIMES = np.linspace(0.0, 3000.0, 161)
TIGHT = NewtonOptions(tolerance=1e-11, max_iterations=40)


def trace_solver(dae, specs, times, mesh=None):
    specs = [guarded(spec, 2.3, 4.5) for spec in specs]
    guards = [len(s.stops) == 1 and s.stops[0].value in (2.3, 4.5) for s in specs]
    return TraceSolver(solver(dae, specs, mesh=mesh, newton=TIGHT), guards, times)


def moving(dae):
    """A start and parameters that move the voltage: the fixture's own parameters age only."""
    start = dae.start(ones(dae))[0]
    moved = np.zeros((dae.nx, len(dae.names)))
    where = next(s for n, s in dae.state_names.items() if "egative particle concentration" in n)
    moved[where, 0] = 0.02
    return start, moved


def test_reproduces_the_collocation_points(dae):
    for spec in (FIXED[0], FREE_ENDS[0]):
        one = solver(dae, [spec])
        step = one.solve(dae.start(ones(dae))[0], ones(dae)).steps[0]
        times = step.times.ravel()
        found, _ = voltage_at_times(one.collocation, spec.control, step, ones(dae), times)
        assert np.allclose(found, step.voltage.ravel(), atol=1e-7)


@pytest.mark.parametrize("model", ["spm", "spme", "dfn"])
def test_derivatives_of_a_trace_agree_with_central_differences(model, request):
    """Algebraic states of ageing models too; the second parameter is made to act."""
    dae = request.getfixturevalue(model)
    one, theta = trace_solver(dae, FIXED, TIMES), np.array([1.0, 1e4])
    base = one.solve(theta)
    step = np.array([0.0, 10.0])
    up, down = one.solve(theta + step, base).voltage, one.solve(theta - step, base).voltage
    largest = np.abs(base.slopes[:, 1]).max()
    assert largest * 1e4 > 1e-3
    assert np.allclose(base.slopes[:, 1], (up - down) / 20.0, rtol=1e-4, atol=1e-4 * largest)


def test_agrees_with_a_finer_mesh(dae):
    coarse = trace_solver(dae, FIXED, TIMES).solve(ones(dae))
    fine = trace_solver(dae, FIXED, TIMES, MeshOptions(rtol=1e-5, atol=1e-6)).solve(ones(dae))
    assert np.allclose(coarse.voltage, fine.voltage, atol=1e-4)
    assert coarse.cuts == ()


@pytest.mark.parametrize("spec", [FIXED[0], FREE_ENDS[0], FREE_ENDS[3]], ids=str)
def test_derivatives_of_a_step_agree_with_central_differences(dae, spec):
    """Also beyond the step's end."""
    one, (start, moved) = solver(dae, [spec], newton=TIGHT), moving(dae)
    k = len(dae.names)
    base = one.solve(start, ones(dae))
    step = base.steps[0]
    times = step.duration * np.array([0.0, 0.013, 0.4, 0.83, 1.0, 1.2])
    tangent = step_sensitivity(
        one.collocation, spec, step, ones(dae), moved, np.eye(k), keep_stages=True
    )
    later = np.array([3.0, -1.0])  # the times themselves move too
    directions = StepDirections(tangent, np.eye(k), later)
    # at the end itself a point may belong to the step or not: just before it
    times[4] *= 1.0 - 1e-4
    _, slopes = voltage_at_times(
        one.collocation, spec.control, step, ones(dae), times, directions, beyond=-0.01
    )
    assert slopes is not None
    for j in range(k):
        shift = 1e-4 * np.eye(k)[j]
        up, down = (
            voltage_at_times(
                one.collocation,
                spec.control,
                one.solve(start + s * moved @ shift, ones(dae) + s * shift, base).steps[0],
                ones(dae) + s * shift,
                times + s * later @ shift,
                beyond=-0.01,
            )[0]
            for s in (1.0, -1.0)
        )
        assert np.allclose(slopes[:, j], (up - down) / 2e-4, rtol=1e-4, atol=2e-6)


def test_derivatives_through_moving_ends_agree_with_central_differences(spm):
    one = trace_solver(spm, FREE_ENDS, np.linspace(50.0, 6900.0, 60))
    theta, step = np.array([1.0, 1e4]), np.array([0.0, 10.0])  # material is lost meanwhile
    base = one.solve(theta)
    assert [step.skipped for step in base.near.steps] == [False] * 4
    up, down = one.solve(theta + step, base), one.solve(theta - step, base)
    assert abs(up.near.duration - down.near.duration) > 0.001
    difference = (up.voltage - down.voltage) / 20.0
    assert np.abs(difference).max() * 1e4 > 1e-3
    same = np.abs(base.slopes[:, 1] - difference) < 1e-11 + 2e-4 * np.abs(difference)
    assert same.all(), np.flatnonzero(~same)


def test_joined_steps_are_those_solved_one_by_one(dae):
    one = trace_solver(dae, FIXED, TIMES)
    theta = ones(dae) * np.array([1.3, 1e3])
    start = one._sequence.solve(dae.start(theta)[0], theta)
    single = one._one_by_one(theta, start)
    joined = one.solve(theta)
    assert isinstance(joined.near, Joined)
    assert np.allclose(joined.voltage, single.voltage, atol=1e-9)
    assert np.allclose(joined.slopes, single.slopes, rtol=1e-6, atol=1e-9)
    warm = one.solve(theta, one.solve(ones(dae)))
    assert np.allclose(warm.voltage, joined.voltage, atol=2e-5)


def test_a_step_that_runs_out_is_cut_and_continued(spm):
    long = [StepSpec(Control("current", 5.0), (), 5000.0, limit_is_end=True), FIXED[1]]
    times = np.linspace(100.0, 5600.0, 56)
    one = trace_solver(spm, long, times)
    trace = one.solve(ones(spm))
    (cut,) = trace.cuts
    assert cut.step == 0 and cut.time < 4500.0 and cut.voltage == 2.3
    missing = (times > cut.time) & (times <= 5000.0)
    slope = np.diff(trace.voltage[missing]) / np.diff(times[missing])
    assert np.allclose(slope, -10.0 / 5000.0)
    # the clock runs on: the rest begins when it should, and relaxes
    assert trace.voltage[times > 5000.0].min() > 2.3
    # a joined solution nearby notices that a step should end earlier
    short = [StepSpec(Control("current", 5.0), (), cut.time - 50.0, limit_is_end=True)]
    near = trace_solver(spm, short, times[times < cut.time - 50.0])
    assert near.solve(ones(spm)).cuts == ()


def test_a_guard_is_left_out_where_it_has_no_meaning():
    rest, hold = FIXED[1], FREE_ENDS[3]
    assert guarded(rest, 2.0, 4.5) is rest
    assert guarded(hold, 2.0, 4.5) is hold
    assert guarded(FREE_ENDS[2], 2.0, 4.5) is FREE_ENDS[2]
    assert guarded(FIXED[2], 2.0, 4.5).stops == (Stop("voltage", 4.5, 1),)
