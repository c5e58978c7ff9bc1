"""How the page of ``benchmarks.batch`` decides between sets of mechanisms."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

import cellmodels as cm
from benchmarks.batch_page import CAPACITY, OF_HOLD, _sets, criteria
from cellmodels.cell import Cell
from cellmodels.fitting import fit_tree
from cellmodels.fitting.fit import fit_with, free_parameters
from cellmodels.fitting.loss import Loss
from cellmodels.fitting.model_selection.task import aicc_of
from cellmodels.fitting.problem import Problem
from cellmodels.fitting.residuals import observe
from cellmodels.fitting.statistics import aicc, residual_log_likelihood
from cellmodels.observations import Outcome, Prediction

D = "SEI solvent diffusivity [m2.s-1]"
FILM = "SEI resistivity [Ohm.m]"
CYCLES = np.arange(5.0, 401.0, 7.0)


class Fade:
    """Capacity lost with the root of time, and by a second parameter with a wave."""

    def __init__(self, base):
        self.base = base

    def __call__(self, values, points, jacobian=True, tolerance=None, state=None):
        at = np.concatenate([s.at for s in points])
        shapes = [0.5 * np.sqrt(at / 400), -0.02 * np.sin(at / 28)]
        factors = np.asarray(values) / self.base
        level = 5.0 - sum(f * s for f, s in zip(factors, shapes, strict=False))
        slopes = -np.stack(shapes[: len(values)], axis=1) / self.base[: len(values)]
        return Prediction(level, slopes, Outcome(True, "completed"))


@pytest.fixture(scope="module")
def fits():
    """A fit of either set to data with a misfit that both have, and outliers."""
    cell = Cell("lithium_ion", "nmc_graphite_siox", "SPM", ["SEI"])
    base = np.array([cell.value(D), cell.value(FILM)])
    capacity = 5.0 - 0.5 * np.sqrt(CYCLES / 400) + 0.02 * np.sin(CYCLES / 25)
    capacity += 1e-3 * np.random.default_rng(0).standard_normal(CYCLES.size)
    capacity[[7, 30]] -= 0.03
    record = cm.build_record(
        cycles={"cycle": CYCLES, "discharge_capacity [A.h]": capacity}, title="made"
    )
    protocol = cm.Protocol(["Discharge at 1C until 2.5 V", "Charge at C/2 until 4.2 V"])
    observed = observe(record, noise={"discharge_capacity": 1e-3})
    found = {}
    for name, free in {"one": [D], "two": [D, FILM]}.items():
        bounds = {n: (1e-3 * b, 1e3 * b) for n, b in zip((D, FILM), base, strict=True) if n in free}
        scaling = free_parameters(cell, free, bounds=bounds)
        problem = Problem(Fade(base), observed, scaling, Loss("pseudo-Huber"))
        found[name] = fit_with(problem, cell, record, protocol, progress=False)
    return found


@dataclasses.dataclass
class Done:
    """What the page asks of a batch."""

    fits: dict

    @property
    def names(self):
        return list(self.fits)

    def fit(self, name):
        return self.fits[name]


def white(fit):
    points = fit.tree["points"].to_dataset()
    observed = fit_tree.observations(fit.tree)
    likelihood = residual_log_likelihood(observed, points["normalised_residual"].values)
    return aicc(likelihood, len(fit.values) + 1, observed.size)


def test_what_follows_a_misfit_a_little_is_not_preferred(fits):
    assert all(np.isnan(fit.statistics["aicc"]) for fit in fits.values())
    found = criteria(Done(fits))
    assert list(found.index) == ["one", "two"]
    assert found["one"] == aicc_of(fits["one"])
    assert white(fits["one"]) - white(fits["two"]) > 4  # as if all residuals were independent
    assert found["one"] - found["two"] < 4


def test_the_page_takes_these_criteria(fits):
    table = pd.DataFrame(
        {
            "record": "A", "kind": "made", "fade": 0.5, "mechanisms": ["one", "two"],
            "aicc": [np.nan, np.nan], CAPACITY: 0.01, OF_HOLD: 0.01,
        },
        index=pd.Index(["A | one", "A | two"], name="task"),
    )  # fmt: skip
    near = pd.Series([-100.0, -103.0], index=table.index)
    assert "In 1 of 1 cells the two best sets are within 4" in _sets(table, near)
    clear = _sets(table, pd.Series([-100.0, -110.0], index=table.index))
    assert "In 0 of 1 cells" in clear
    rows = [line for line in clear.splitlines() if line.startswith("| made")]
    assert [row.split("|")[4].strip() for row in rows] == ["0", "1"]
