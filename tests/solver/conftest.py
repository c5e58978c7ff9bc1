"""Compiled models for the solver's tests, made once a session."""

from __future__ import annotations

import numpy as np
import pybamm
import pytest

from cellmodels.cell import Cell
from cellmodels.solver.cycle import SequenceSolver
from cellmodels.solver.dae import Dae
from cellmodels.solver.export import export_dae
from cellmodels.solver.step import Control, StepSpec, Stop

FREE = (
    "SEI solvent diffusivity [m2.s-1]",
    "Negative electrode LAM constant proportional term [s-1]",
)
MECHANISMS = ("SEI", "lithium plating", "loss of active material")
#: Lithium lost, and where it went.
LITHIUM = (
    "Total lithium lost [mol]",
    "Total lithium lost to side reactions [mol]",
    "Loss of lithium due to loss of active material in negative electrode [mol]",
    "Loss of lithium due to loss of active material in positive electrode [mol]",
)
SMALL_DFN = {"x_n": 6, "x_s": 4, "x_p": 6, "r_n": 8, "r_p": 8}


def cccv(capacity: float = 5.0) -> list[StepSpec]:
    """Discharge at 1C, charge at C/2, hold until C/50."""
    return [
        StepSpec(Control("current", capacity), (Stop("voltage", 2.5, -1),), 2e5),
        StepSpec(Control("current", -capacity / 2), (Stop("voltage", 4.2, 1),), 2e5),
        StepSpec(Control("voltage", 4.2), (Stop("current", capacity / 50, -1),), 2e5),
    ]


def _export(model: str, mesh: dict[str, int] | None = None) -> Dae:
    cell = Cell("lithium_ion", "nmc_graphite_siox", model, MECHANISMS, mesh=mesh)
    return export_dae(
        cell.pybamm_model(),
        cell.parameter_values(),
        free=FREE,
        outputs=LITHIUM,
        var_pts=cell.var_pts(),
    )


@pytest.fixture(scope="session")
def spm() -> Dae:
    """SPM with SEI, plating and LAM."""
    return _export("SPM")


@pytest.fixture(scope="session")
def dfn() -> Dae:
    """A small DFN with SEI, plating and LAM."""
    return _export("DFN", SMALL_DFN)


@pytest.fixture(scope="session")
def spme() -> Dae:
    """SPMe with SEI, lithium plating and loss of active material."""
    return _export("SPMe")


@pytest.fixture(params=["SPM", "DFN"])
def dae(request: pytest.FixtureRequest) -> Dae:
    """Each of the models in turn."""
    return request.getfixturevalue(request.param.lower())


@pytest.fixture(scope="session")
def decay() -> Dae:
    """A cell with a known solution: C dV/dt = -I, V in volts, I in amperes, C = theta farads."""
    model = pybamm.BaseModel()
    voltage = pybamm.Variable("v [V]")
    model.initial_conditions = {voltage: pybamm.Scalar(4.0)}
    model.variables = {"v [V]": voltage, "Voltage [V]": voltage + pybamm.Scalar(0)}
    model.rhs = {
        voltage: -pybamm.Parameter("Current function [A]") / pybamm.Parameter("Capacitance [F]")
    }
    values = pybamm.ParameterValues({"Current function [A]": 1.0, "Capacitance [F]": 100.0})
    return export_dae(model, values, free=["Capacitance [F]"])


def solver(dae: Dae, specs: list[StepSpec] | None = None, **options) -> SequenceSolver:
    """A sequence solver for the standard cycle or the given steps."""
    return SequenceSolver(dae, specs or cccv(), **options)


def ones(dae: Dae) -> np.ndarray:
    """Nominal parameters."""
    return np.ones(len(dae.names))
