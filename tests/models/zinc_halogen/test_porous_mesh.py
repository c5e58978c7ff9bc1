"""The porous model on finer and finer meshes."""

from __future__ import annotations

import numpy as np
import pytest

import cellmodels as cm

from .conftest import drift, solve

STEPS = ("Charge at 1 A for 1 hour", "Rest for 1 hour")
#: Volumes of gap, separator and positive electrode, each twice as many as before.
MESHES = ((8, 8, 10), (16, 16, 20), (32, 32, 40))
LAYERS = ("Negative electrode", "Separator", "Positive electrode")
FIELDS = ("zinc ion", "bromide", "bromine", "complexing agent")


def cell_on(mesh: tuple[int, int, int]) -> cm.Cell:
    points = dict(zip(("x_n", "x_s", "x_p"), mesh, strict=True))
    return cm.Cell("zinc_bromine", model="porous", mesh=points)


def averages(values: np.ndarray, volumes: int) -> np.ndarray:
    """A profile by the averages of fewer volumes."""
    return values.reshape(volumes, -1).mean(axis=1)


def found_on(mesh: tuple[int, int, int]) -> dict[str, np.ndarray]:
    """What is compared, on the volumes of the coarsest mesh."""
    solution = solve(cell_on(mesh), *STEPS, rtol=1e-8)
    found = {}
    for when, step in zip(("charge", "rest"), solution.cycles[0].steps, strict=True):
        found[f"voltage after {when}"] = step["Voltage [V]"].entries[-1:]
        for what in FIELDS:
            for layer, volumes in zip(LAYERS, MESHES[0], strict=True):
                profile = step[f"{layer} {what} [mol.m-2]"].entries[:, -1]
                found[f"{layer} {what} after {when}"] = averages(profile, volumes)
    # what the charge has brought and self-discharge has left
    found["zinc after rest"] = step["Zinc areal amount [mol.m-2]"].entries[-1:]
    found["potential after charge"] = averages(
        solution.cycles[0].steps[0]["Positive electrode potential [V]"].entries[:, -1], MESHES[0][2]
    )
    return found


@pytest.mark.slow
def test_convergence_is_of_second_order():
    """Differences fall to a quarter with every doubling: voltages, charge lost, profiles."""
    coarse, middle, fine = (found_on(mesh) for mesh in MESHES)
    orders = {
        name: np.log2(
            np.linalg.norm(coarse[name] - middle[name]) / np.linalg.norm(middle[name] - fine[name])
        )
        for name in coarse
    }
    low = {name: order for name, order in orders.items() if not 1.7 < order < 2.5}
    print(orders)
    assert not low


@pytest.mark.parametrize("mesh", [(3, 3, 3), (8, 5, 6), (20, 20, 20)])
def test_amounts_are_conserved_on_every_mesh(mesh):
    cell = cell_on(mesh)
    solution = solve(cell, *STEPS, "Discharge at 1 A until 0.5 V", rtol=1e-5)
    for name, balance in cell.pybamm_model().balances.items():
        entries = {state: np.atleast_2d(solution[state].entries) for state in balance}
        amounts = {state: values.mean(axis=0) for state, values in entries.items()}
        assert drift(balance, amounts) < 1e-10, f"{name} is not conserved"
