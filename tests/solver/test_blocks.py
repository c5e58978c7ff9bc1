"""Lives interrupted regularly, integrated over the number of blocks."""

import numpy as np
import pytest

import cellmodels as cm
from cellmodels.observations import Points, PointSet
from cellmodels.simulator import SolverOptions
from cellmodels.solver.blocks import BlockLife
from cellmodels.solver.mesh import MeshOptions

CYCLE = ["Charge at 20 mA/cm2 for 1 hour", "Discharge at 20 mA/cm2 until 0.8 V"]
STRIP = cm.Checkup(
    (cm.Test("strip", ["Discharge at 2 mA/cm2 until 0.05 V"], "discharged"),), disturbs=True
)
FREE = ["Separator fouling rate [m2.A-1.h-1]", "Dead zinc fraction"]
EVERY, CYCLES = 3, 151


def simulator(method, every=EVERY, **more):
    mechanisms = ["separator fouling", "dead zinc", "hydrogen evolution"]
    cell = cm.Cell("zinc_bromine", mechanisms=mechanisms).with_parameters(
        {FREE[0]: 2e-5, FREE[1]: 5e-3}
    )
    protocol = cm.Protocol(CYCLE, every={every: STRIP}, **more)
    # single cycles have meshes ten times finer by themselves
    mesh = MeshOptions().finer(10.0 if method == "macro" else 1.0)
    return cm.Simulator(cell, protocol, FREE, SolverOptions(method=method, mesh=mesh))


@pytest.fixture(scope="module")
def both():
    return simulator("macro"), simulator("direct")


def test_states_and_features_are_those_of_single_cycles(both):
    blocks, direct = (s.life(s.nominal, CYCLES) for s in both)
    assert isinstance(blocks, BlockLife) and not isinstance(direct, BlockLife)
    assert blocks.simulated < CYCLES
    n = np.arange(CYCLES + 1)
    pairs = [
        (blocks.states(n), direct.states(n)),
        (blocks.features(n[:-1]), direct.features(n[:-1])),
    ]
    for pair in pairs:
        for mine, theirs, most in zip(*pair, (1e-5, 1e-3), strict=True):
            scale = 1e-3 + np.abs(theirs).max(axis=0)
            assert np.max(np.abs(mine - theirs) / scale) < most


def test_predictions_agree(both):
    at = np.array([1.0, 20.0, 21.0, 22.0, float(CYCLES)])
    points = Points(
        (
            PointSet("cycles", "discharge_capacity", "cycle", at),
            PointSet("checkups", "discharged_strip", "cycle", np.array([0.0, 20.0, 150.0])),
            PointSet("cycles", "area_specific_resistance", "throughput", np.array([10.0, 80.0])),
        )
    )
    mine, theirs = (s.predict(s.nominal, points) for s in both)
    assert mine.values == pytest.approx(theirs.values, rel=1e-5, abs=1e-8)
    scale = np.abs(theirs.jacobian).max(axis=0)
    assert mine.jacobian / scale == pytest.approx(theirs.jacobian / scale, abs=1e-4)


def test_only_what_repeats_is_a_block():
    assert simulator("macro").protocol.block == (EVERY, STRIP.steps)
    assert simulator("macro", pauses={5: "Rest for 1 day"}).protocol.block is None
    assert cm.Protocol(CYCLE).block is None


def test_a_life_that_ends_early_is_simulated_cycle_by_cycle():
    cell = cm.Cell("zinc_bromine", mechanisms=["water loss"]).with_parameters(
        {"Water vapour loss coefficient [mol.m-2.s-1.Pa-1]": 5e-7}
    )
    protocol = cm.Protocol(CYCLE, every={EVERY: STRIP})
    one, two = (
        cm.Simulator(cell, protocol, options=SolverOptions(method=m)).simulate(500)
        for m in ("macro", "direct")
    )
    assert one.attrs["outcome"] == two.attrs["outcome"] != "completed"
    assert one.attrs["completed_cycles"] == two.attrs["completed_cycles"] > EVERY
