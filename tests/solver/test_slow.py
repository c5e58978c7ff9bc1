"""The directions of its start that a cycle remembers."""

import numpy as np
import pytest

from cellmodels.solver.cycle_map import CycleMap
from cellmodels.solver.slow import needed_tolerance, slow_space
from tests.solver.conftest import ones, solver


@pytest.fixture
def settled(dae):
    """A cycle map and its cycle after two others, with the matrices of its solution."""
    cycle = CycleMap(solver(dae))
    y = np.concatenate([dae.start(ones(dae))[0], [0.0, 0.0]])
    point = cycle(y, ones(dae), None)
    for _ in range(2):
        point = cycle(point.end, ones(dae), point.solution)
    nothing = np.zeros((cycle.ny, 0)), np.zeros((len(ones(dae)), 0))
    return cycle, cycle.differentiate(point, ones(dae), nothing)


def test_pulling_back_is_the_transpose_of_pushing_forward(dae, settled):
    cycle, point = settled
    rng = np.random.default_rng(0)
    size = np.maximum(np.abs(point.start), 1e-3)
    forward, backward = rng.normal(size=(2, cycle.ny, 3))
    forward *= size[:, None]
    backward /= np.maximum(np.abs(point.end), 1e-3)[:, None]
    no_theta = np.zeros((len(ones(dae)), 3))
    pushed = cycle.differentiate(point, ones(dae), (forward, no_theta)).end_directions
    pulled = cycle.pull_back(point, backward)
    np.testing.assert_allclose(backward.T @ pushed, pulled.T @ forward, rtol=1e-6, atol=1e-6)


def test_a_cycle_depends_on_few_directions(dae, settled):
    cycle, point = settled
    space = slow_space(cycle, point, ones(dae))
    assert space.rank < 0.6 * cycle.ny
    along = cycle.differentiate(
        point, ones(dae), (space.directions, np.zeros((len(ones(dae)), space.rank)))
    )
    remainder = space.remainder(along.end_directions)
    size = np.maximum(np.abs(point.start), 1e-3)
    any_change = size[:, None] * np.random.default_rng(1).normal(size=(cycle.ny, 4))
    exact = cycle.differentiate(point, ones(dae), (any_change, np.zeros((len(ones(dae)), 4))))
    found = space.persists[:, None] * any_change + remainder @ (space.coordinates.T @ any_change)
    error = (found - exact.end_directions)[:-2] / size[:-2, None]
    assert np.max(np.abs(error)) < 1e-4


def test_longer_elements_need_more_directions(dae, settled):
    # what is left out in every cycle adds up
    assert needed_tolerance(16) == needed_tolerance(1000)
    assert needed_tolerance(8000) == pytest.approx(needed_tolerance(2000) / 4)
    cycle, point = settled
    ranks = [slow_space(cycle, point, ones(dae), needed_tolerance(n)).rank for n in (1e3, 1e5, 1e7)]
    assert ranks == sorted(ranks)
    assert ranks[0] < ranks[-1]
