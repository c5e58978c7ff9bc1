"""Fronts in the algebraic states: a potential that jumps while the amounts hardly change."""

import numpy as np
import pytest

import cellmodels as cm
from cellmodels.simulator import SolverOptions
from cellmodels.solver.settle import settled

CYCLE = [
    "Charge at 20 mA/cm2 for 1 hour",
    "Rest for 10 minutes",
    "Discharge at 20 mA/cm2 until 0.8 V",
    "Rest for 10 minutes",
]


@pytest.fixture(scope="module")
def simulator():
    # the last zinc dissolves at once: the plate's potential jumps to the bromine's in the rest
    cell = cm.Cell("zinc_bromine", mechanisms=["hydrogen evolution"])
    cell = cell.with_parameters({"Zinc dissolution time [s]": 0.1})
    return cm.Simulator(cell, cm.Protocol(CYCLE), options=SolverOptions(method="direct"))


@pytest.fixture(scope="module")
def rest(simulator):
    """The last rest of the first cycle, with the front in it."""
    sequence = simulator._cycle["direct"].sequence
    start = simulator.dae.start(np.array([]))[0]
    return sequence.specs[-1], sequence.solve(start, np.array([])).steps[-1]


def test_every_point_finds_its_side_of_the_front(simulator, rest):
    spec, step = rest
    dae = simulator.dae
    potential = step.stages[:, :, dae.nx :]
    jump = np.ptp(potential.reshape(-1, potential.shape[2]), axis=0).max()
    assert jump > 0.5, "no front in this rest"
    moved = step.stages.copy()
    flat = moved.reshape(-1, dae.n)
    # a neighbour's front, three points later
    flat[3:, dae.nx :] = step.stages.reshape(-1, dae.n)[:-3, dae.nx :]
    found, done = settled(dae, spec.control, moved, np.array([]))
    assert done
    assert found[:, :, dae.nx :] == pytest.approx(potential, rel=1e-6, abs=1e-8)
    assert np.array_equal(found[:, :, : dae.nx], step.stages[:, :, : dae.nx])


def test_cycles_with_a_front_are_solved_from_their_neighbours(simulator):
    life = simulator.simulate(30)
    assert life.attrs["outcome"] == "completed"
    steps = 30 * len(CYCLE)
    assert life.attrs["steps_adaptive"] < 0.3 * steps
