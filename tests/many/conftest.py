"""Cells whose life is linear in the logarithms of two parameters, with a known population."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import xarray as xr

from cellmodels.cell import Cell
from cellmodels.fitting.fit import fit_with, free_parameters
from cellmodels.fitting.problem import Problem
from cellmodels.fitting.residuals import observe
from cellmodels.many.laws import per_kilojoule
from cellmodels.observations import Outcome, Points, PointSet, Prediction
from cellmodels.protocol import Protocol

RATE, FILM = "SEI solvent diffusivity [m2.s-1]", "SEI resistivity [Ohm.m]"
NAMES = (RATE, FILM)
CYCLES = np.arange(10.0, 201.0, 10.0)
NOISE = 0.02
SPREAD = np.array([0.25, 0.1])
MEANS = np.array([0.4, -0.3])
BUILT_IN, ENERGY = 38.0, 55.0  # kJ/mol; the first is the parameter set's


@dataclasses.dataclass(frozen=True)
class LinearLife:
    """``Q = 5 - u z_1 - sqrt(u) z_2``, ``u = n / 200``, z the logarithms of factors on `base`."""

    base: np.ndarray
    curved: float = 0.0

    def __call__(self, values, points, jacobian=True, tolerance=None, state=None):
        z = np.log(np.asarray(values, float) / self.base)
        u = np.concatenate([s.at for s in points]) / 200
        change = u * z[0] + np.sqrt(u) * z[1]
        slopes = np.stack([u, np.sqrt(u)], axis=1)
        if self.curved:
            slopes *= (1 + self.curved * change)[:, None]
            change = change + 0.5 * self.curved * change**2
        jac = -slopes / np.asarray(values)
        return Prediction(5 - change, jac, Outcome(True, "completed"), 1e-6, "warm")


@dataclasses.dataclass(frozen=True)
class Made:
    """Cells of a population, and the problems to fit them with."""

    fits: dict
    problems: dict
    kelvin: dict
    base: np.ndarray
    predict: LinearLife
    cell: Cell
    protocol: Protocol
    z: np.ndarray


@pytest.fixture(scope="session")
def base_cell():
    return Cell("lithium_ion", parameters="nmc_graphite_siox", model="SPM", mechanisms=["SEI"])


@pytest.fixture(scope="session")
def make(base_cell):
    protocol = Protocol(["Discharge at 1C until 2.5 V", "Charge at C/2 until 4.2 V"])
    base = np.array([base_cell.value(name) for name in NAMES])

    def made(celsius=(25, 25, 25, 45, 45, 45), seed=0, curved=0.0, bent=0.0):
        rng, predict = np.random.default_rng(seed), LinearLife(base, curved)
        fits, problems, kelvin, truth = {}, {}, {}, []
        for k, t in enumerate(celsius):
            name, temperature = f"cell {k}", t + 273.15
            z = MEANS + SPREAD * rng.standard_normal(2)
            z[0] += (ENERGY - BUILT_IN) * per_kilojoule(298.15, temperature)
            z[0] += bent * (abs(t - 35) < 5)
            truth.append(z)
            cell = base_cell.with_parameters({"Ambient temperature [K]": temperature})
            exact = predict(
                base * np.exp(z),
                Points((PointSet("cycles", "discharge_capacity", "cycle", CYCLES),)),
            ).values
            record = _record(exact + NOISE * rng.standard_normal(CYCLES.size), name)
            problem = Problem(predict, observe(record), free_parameters(cell, NAMES))
            fits[name] = fit_with(problem, cell, record, protocol, progress=False)
            problems[name], kelvin[name] = problem, temperature
        return Made(fits, problems, kelvin, base, predict, base_cell, protocol, np.array(truth))

    return made


def _record(capacity, title):
    n = np.arange(1, CYCLES.size + 1)
    cycles = xr.Dataset(
        {
            "discharge_capacity": ("point", capacity, {"units": "A.h"}),
            "discharge_capacity_std": ("point", np.full(n.size, NOISE), {"units": "A.h"}),
        },
        coords={"cycle": ("point", CYCLES)},
    )
    tree = xr.DataTree.from_dict({"cycles": cycles})
    tree.attrs = {"schema": "cellmodels-record/1", "title": title, "synthetic": 1}
    return tree
