"""The porous model on finer and finer meshes."""

from __future__ import annotations

import numpy as np
import pytest

import cellmodels as cm

from .conftest import drift, solve

STEPS = ("Charge at 1 A for 100 minutes", "Rest for 1 hour")
#: Volumes of gap, separator and positive electrode, each twice as many as before.
MESHES = ((6, 6, 8), (12, 12, 16), (24, 24, 32))
LAYERS = ("Negative electrode", "Separator", "Positive electrode")
FIELDS = ("zinc ion", "bromide", "bromine", "complexing agent")


def cell_on(mesh: tuple[int, int, int], changes: dict[str, float] | None = None) -> cm.Cell:
    points = dict(zip(("x_n", "x_s", "x_p"), mesh, strict=True))
    return cm.Cell("zinc_bromine", model="porous", mesh=points).with_parameters(changes or {})


def averages(values: np.ndarray, volumes: int) -> np.ndarray:
    """A profile by the averages of fewer volumes."""
    return values.reshape(volumes, -1).mean(axis=1)


def found_on(cell: cm.Cell) -> dict[str, np.ndarray]:
    """What is compared, on the volumes of the coarsest mesh."""
    solution = solve(cell, *STEPS, rtol=1e-8)
    found = {}
    for when, step in zip(("charge", "rest"), solution.cycles[0].steps, strict=True):
        found[f"Voltage after {when}"] = step["Voltage [V]"].entries[-1:]
        # less than was charged, by the self-discharge
        found[f"Zinc after {when}"] = step["Zinc areal amount [mol.m-2]"].entries[-1:]
        for layer, volumes in zip(LAYERS, MESHES[0], strict=True):
            for what in FIELDS:
                profile = step[f"{layer} {what} [mol.m-2]"].entries[:, -1]
                found[f"{layer} {what} after {when}"] = averages(profile, volumes)
        felt = step["Positive electrode potential [V]"].entries[:, -1]
        found[f"Potential after {when}"] = averages(felt, MESHES[0][2])
    return found


#: The first cell's front of bromine is too steep for the coarsest mesh. In the second, bromine is
#: free to cross, and the film at the plate, which counts the metal ion's flux alone, leaves some
#: ten microvolts that fall with the volume's width and not with its square.
CELLS = {
    "steep": ({}, ("Voltage", "Potential", "zinc ion", "complexing agent")),
    "free": (
        {"Complexing agent half-loading bromine concentration [mol.m-3]": 20.0},
        ("Potential", "Zinc", *FIELDS),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("which", CELLS)
def test_convergence_is_of_second_order(which):
    """Differences fall to a quarter where volumes are halved: voltage, charge lost, profiles."""
    changes, compared = CELLS[which]
    coarse, middle, fine = (found_on(cell_on(mesh, changes)) for mesh in MESHES)
    orders = {
        name: np.log2(
            np.linalg.norm(coarse[name] - middle[name]) / np.linalg.norm(middle[name] - fine[name])
        )
        for name in coarse
        if any(what in name for what in compared)
    }
    assert len(orders) >= 2 * (2 + 3 * 2)
    assert not {name: order for name, order in orders.items() if not 1.75 < order < 2.5}
    for name in ("Voltage after charge", "Voltage after rest"):
        np.testing.assert_allclose(middle[name], fine[name], atol=5e-5)


@pytest.mark.parametrize("mesh", [(3, 3, 3), (8, 5, 6), (20, 20, 20)])
def test_amounts_are_conserved_on_every_mesh(mesh):
    cell = cell_on(mesh)
    solution = solve(cell, *STEPS, "Discharge at 1 A until 0.5 V", rtol=1e-5)
    for name, balance in cell.pybamm_model().balances.items():
        entries = {state: np.atleast_2d(solution[state].entries) for state in balance}
        amounts = {state: values.mean(axis=0) for state, values in entries.items()}
        assert drift(balance, amounts) < 1e-10, f"{name} is not conserved"
