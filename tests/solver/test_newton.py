"""Newton's method on a step: what counts as a correction, and when it ends."""

import numpy as np
import pytest

from cellmodels.solver.newton import _scaled, converged


def test_corrections_are_relative_to_each_unknowns_size_in_the_step() -> None:
    rng = np.random.default_rng(0)
    stages, directions = rng.normal(size=(2, 4, 3, 5)) * [1.0, 1e3, 1e-6, 0.0, 1.0]
    size = np.abs(stages).max(axis=(0, 1)) + 1e-3
    expected = np.max(np.abs(directions).max(axis=(0, 1)) / size)
    assert _scaled(stages, directions, 1e-3) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("place", [(0, 0, 0), (1, 2, 3), (3, 2, 4)])
def test_a_correction_that_is_not_finite_is_seen(bad, place) -> None:
    stages, directions = np.ones((2, 4, 3, 5))
    directions[place] = bad
    assert not np.isfinite(_scaled(stages, directions, 1e-3))


@pytest.mark.parametrize(
    ("norm", "rate", "ends"),
    [
        (1e-10, 0.0, True),
        (1e-8, 0.0, False),  # nothing to compare with
        (1e-8, 0.05, True),  # what is left shrinks at this rate
        (1e-8, 0.3, False),
        (9e-11, 0.9, True),  # rounding errors
        (2e-9, 0.9, False),
    ],
)
def test_when_the_iteration_ends(norm, rate, ends) -> None:
    assert converged(norm, rate, 1e-9) is ends
