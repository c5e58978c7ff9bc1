"""Thinner time meshes."""

import numpy as np
import pytest

from cellmodels.solver.mesh import MeshOptions, agrees, thinned
from tests.solver.conftest import ones, solver


def start(dae):
    return dae.start(ones(dae))[0]


def test_fewer_intervals_and_the_same_cycle(dae):
    full = solver(dae, mesh=MeshOptions(share=1.0)).solve(start(dae), ones(dae))
    thin = solver(dae, mesh=MeshOptions(share=0.7)).solve(start(dae), ones(dae))
    assert sum(len(s.mesh) for s in thin.steps) < 0.9 * sum(len(s.mesh) for s in full.steps)
    for many, few in zip(full.steps, thin.steps, strict=True):
        assert few.charge == pytest.approx(many.charge, rel=1e-5)
        assert few.energy == pytest.approx(many.energy, rel=1e-4)


def test_a_thinned_step_starts_from_the_same_curve(dae):
    step = solver(dae, mesh=MeshOptions(share=1.0)).solve(start(dae), ones(dae)).steps[0]
    guess = thinned(step, 0.5)
    assert guess.mesh[0] == 0.0 and guess.mesh[-1] == 1.0
    assert np.all(np.diff(guess.mesh) > 0)
    np.testing.assert_allclose(guess.end, step.end, rtol=1e-12)
    assert guess.charge == pytest.approx(step.charge, rel=1e-9)


def test_a_thin_mesh_that_changes_the_end_is_not_taken(spm):
    full = MeshOptions(share=1.0)
    step = solver(spm, mesh=full).solve(start(spm), ones(spm)).steps[0]
    tolerant = solver(spm, mesh=MeshOptions(share=0.3, change=1e9))
    strict = solver(spm, mesh=MeshOptions(share=0.3, change=1e-9))
    coarse = tolerant.solve(start(spm), ones(spm)).steps[0]
    assert len(coarse.mesh) < 0.8 * len(step.mesh)
    assert not agrees(step, coarse, MeshOptions(change=1e-9), spm.potentials)
    kept = strict.solve(start(spm), ones(spm)).steps[0]
    assert len(kept.mesh) == len(step.mesh)
    assert thinned(step, 1.0) is None
