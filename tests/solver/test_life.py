"""Lives: macro elements against cycles one by one, interruptions, failures, derivatives."""

import numpy as np
import pytest

from cellmodels.solver.cycle_map import CycleMap
from cellmodels.solver.features import FEATURES
from cellmodels.solver.life import Life, LifeOptions, LifeSolver
from cellmodels.solver.macro import Element, MacroOptions, cycle_tolerance
from cellmodels.solver.newton import NewtonOptions
from cellmodels.solver.outcome import Reason
from cellmodels.solver.step import Control, StepSpec, Stop

from .conftest import ones, solver

CYCLES = 60


def life_solver(dae, method: str, interruptions=None, **options) -> LifeSolver:
    settings = LifeOptions(method=method, macro=MacroOptions(tolerance=1e-4), **options)
    return LifeSolver(CycleMap(solver(dae)), interruptions or {}, settings)


@pytest.fixture(scope="module")
def macro(spm) -> Life:
    return life_solver(spm, "macro").run(ones(spm), CYCLES)


@pytest.fixture(scope="module")
def direct(spm) -> Life:
    return life_solver(spm, "direct").run(ones(spm), CYCLES)


def test_macro_agrees_with_cycles_one_by_one(macro, direct) -> None:
    n = np.arange(CYCLES)
    capacity, slopes = (x[:, 1] for x in macro.features(n))
    expected, expected_slopes = (x[:, 1] for x in direct.features(n))
    assert np.allclose(capacity, expected, rtol=1e-5)
    assert np.abs(capacity - expected).max() <= max(macro.error, 2e-5)
    # derivatives by ln(parameter) are as good as the values: a fraction of the tolerance
    assert np.allclose(slopes, expected_slopes, rtol=0, atol=5e-5)
    assert macro.simulated < direct.simulated
    assert any(isinstance(piece, Element) for piece in macro.pieces)


def test_counters_add_up(macro, direct) -> None:
    features = direct.features(np.arange(CYCLES))[0]
    states, _ = direct.states(np.arange(CYCLES + 1))
    assert np.allclose(states[1:, -2], np.cumsum(features[:, 1]), rtol=1e-12)
    assert np.allclose(
        states[1:, -1], np.cumsum(features[:, 0 :: len(FEATURES)].sum(axis=1)), rtol=1e-12
    )
    other, _ = macro.states(np.arange(CYCLES + 1))
    assert np.allclose(other[:, -2:], states[:, -2:], rtol=1e-5)


def test_a_neighbouring_life_is_cheap_and_the_same(spm, macro) -> None:
    one = life_solver(spm, "macro")
    again = one.run(1.02 * ones(spm), CYCLES, previous=macro)
    cold = life_solver(spm, "macro").run(1.02 * ones(spm), CYCLES)
    n = np.arange(CYCLES)
    assert np.allclose(again.features(n)[0], cold.features(n)[0], rtol=2e-5, atol=1e-5)
    assert again.simulated < cold.simulated


def test_an_interruption_is_part_of_the_life(spm) -> None:
    week = StepSpec(Control("current", 0.0), (Stop("time", 7 * 86400.0),), 1e7)
    pause = {20: CycleMap(solver(spm, [week]))}
    paused = life_solver(spm, "macro", pause).run(ones(spm), 40)
    plain = life_solver(spm, "macro").run(ones(spm), 40)
    with_pause, without = (life.states(np.array([20, 21]))[0][:, -1] for life in (paused, plain))
    assert with_pause[0] == pytest.approx(without[0], rel=1e-6)
    assert with_pause[1] - without[1] == pytest.approx(7 * 86400.0, rel=1e-3)
    one_by_one = life_solver(spm, "direct", pause).run(ones(spm), 40)
    n = np.arange(40)
    assert np.allclose(paused.features(n)[0][:, 1], one_by_one.features(n)[0][:, 1], rtol=1e-5)


def test_a_dying_cell_ends_with_an_outcome(spm) -> None:
    dying = ones(spm) * np.array([1.0, 3e4])
    life = life_solver(spm, "macro").run(dying, 200)
    assert life.failure is not None and life.failure.reason is Reason.EXHAUSTED
    assert life.failure.cycle == life.cycles + 1
    assert 0 < life.cycles < 10
    if life.cycles:
        assert np.all(np.isfinite(life.features(np.arange(life.cycles))[0]))


def test_without_sensitivities_the_values_are_the_same(spm, direct) -> None:
    plain = life_solver(spm, "direct").run(ones(spm), 10, sensitivities=False)
    values, expected = (life.features(np.arange(10))[0] for life in (plain, direct))
    assert np.allclose(values, expected, rtol=1e-8)


def test_a_longer_life_may_start_from_a_shorter_one(spm, macro) -> None:
    """Cycles that the neighbour did not simulate one by one get a mesh of their own."""
    one = life_solver(spm, "macro")
    longer = one.run(ones(spm), CYCLES + 7, previous=macro)
    cold = life_solver(spm, "macro").run(ones(spm), CYCLES + 7)
    n = np.arange(CYCLES + 7)
    assert longer.failure is None
    capacity, expected = (life.features(n)[0][:, 1] for life in (longer, cold))
    assert np.allclose(capacity, expected, rtol=0, atol=1e-4)


def test_few_meshes_are_made(spm) -> None:
    one = life_solver(spm, "macro")
    one.run(ones(spm), 300, sensitivities=False)
    assert one.counts.adaptive == len(one.cycle.sequence.specs)  # the first cycle
    assert one.counts.warm > 50


def test_a_life_by_another_method_is_no_neighbour(spm, macro) -> None:
    one = life_solver(spm, "direct")
    one.run(ones(spm), 3, previous=macro)
    assert one.counts.adaptive == len(one.cycle.sequence.specs)


def test_cycles_are_as_accurate_as_they_need_be(spm) -> None:
    cycle = CycleMap(solver(spm, newton=NewtonOptions(tolerance=1e-9)))
    assert cycle_tolerance(cycle, 2e-6, 100) == pytest.approx(2e-8)
    assert cycle_tolerance(cycle, 2e-6, 1e6) == 1e-9
    assert cycle_tolerance(cycle, 1.0, 10) == 1e-6
    loose = CycleMap(solver(spm, newton=NewtonOptions(tolerance=1e-4)))
    assert cycle_tolerance(loose, 2e-6, 100) == 1e-4
