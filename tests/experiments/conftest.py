"""What the tests of experiments share: a cell that warms, and PyBaMM's own answer."""

import numpy as np
import pybamm
import pytest

import cellmodels as cm
from cellmodels.trace import with_its_own_start


def reference(cell, changes, currents, lengths, times):
    """Voltage and temperature of PyBaMM's IDAKLU at tight tolerance, step by step."""
    parameters = cell.parameter_values()
    parameters.update(changes, check_already_exists=False)
    parameters["Current function [A]"] = "[input]"
    model = cell.pybamm_model()
    model.events = []
    simulation = pybamm.Simulation(
        model,
        parameter_values=parameters,
        solver=pybamm.IDAKLUSolver(rtol=1e-9, atol=1e-9),
        var_pts=cell.var_pts(),
    )
    out, begin = [], 0.0
    for length, current in zip(lengths, currents, strict=True):
        own = times[(times > begin + 1e-9) & (times <= begin + length + 1e-9)] - begin
        at = np.unique(np.concatenate([[0.0], own, [length]]))
        simulation.step(length, t_interp=at, inputs={"Current function [A]": current}, save=False)
        rows = np.searchsorted(at, own - 1e-9)
        out.append(
            [
                simulation.solution[name].data[-len(at) :][rows]
                for name in ("Voltage [V]", "Volume-averaged cell temperature [K]")
            ]
        )
        begin += length
    return tuple(np.concatenate(column) for column in zip(*out, strict=True))


@pytest.fixture(scope="session")
def warm_cell():
    """An SPMe whose temperature is simulated, its initial concentrations as numbers."""
    return with_its_own_start(
        cm.Cell(
            "lithium_ion", model="SPMe", mechanisms=[cm.LumpedThermal()],
            mesh={"x_n": 6, "x_s": 4, "x_p": 6, "r_n": 10, "r_p": 10},
        )
    )  # fmt: skip
