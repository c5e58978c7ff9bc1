"""The same steps by PyBaMM's own experiment, at a tight tolerance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pybamm

from cellmodels.cell import Cell


def pybamm_cycles(
    cell: Cell,
    cycles: Sequence[Sequence[str]],
    period: str = "1 second",
    rtol: float = 1e-9,
) -> Any:
    """The solution of cycles of steps."""
    simulation = pybamm.Simulation(
        cell.pybamm_model(),
        parameter_values=cell.parameter_values(),
        experiment=pybamm.Experiment([tuple(steps) for steps in cycles], period=period),
        solver=pybamm.IDAKLUSolver(rtol=rtol, atol=1e-2 * rtol),
        var_pts=cell.var_pts(),
    )
    return simulation.solve(calc_esoh=False).cycles


def series(step: Any, name: str) -> np.ndarray:
    """A variable along a step."""
    return np.asarray(step[name].entries, float)


def integral(step: Any, values: np.ndarray) -> float:
    """Over the step's time."""
    return float(np.trapezoid(values, step.t))


def charge_of(step: Any) -> float:
    """[A.h], positive on discharge; none of a step that ended before it began."""
    if isinstance(step, pybamm.EmptySolution):
        return 0.0
    return integral(step, series(step, "Current [A]")) / 3600.0


def energy_of(step: Any) -> float:
    """[W.h], positive on discharge."""
    return integral(step, series(step, "Current [A]") * series(step, "Voltage [V]")) / 3600.0
