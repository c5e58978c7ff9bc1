"""A halogen that the library has no file of, from a chemistry and a parameter set alone."""

from pathlib import Path

import numpy as np
import pybamm
import pytest

import cellmodels as cm

DATA = Path(__file__).parents[1] / "data"
MODELS = Path(cm.__file__).parent / "models" / "zinc_halogen"
STEPS = ["Charge at 1 A for 80 minutes", "Rest for 20 minutes", "Discharge at 1 A until 0.8 V"]
MECHANISMS = ["dead zinc", "halogen loss", "hydrogen evolution", "lumped thermal"]
SIDES = ("Negative", "Positive")


@pytest.fixture(scope="module")
def cell():
    files = (DATA / "zinc_chlorine.toml", DATA / "zinc_chlorine_cell.toml")
    return cm.Cell(*files, mechanisms=MECHANISMS)


@pytest.fixture(scope="module")
def solution(cell):
    simulation = pybamm.Simulation(
        cell.pybamm_model(),
        parameter_values=cell.parameter_values(),
        experiment=pybamm.Experiment([tuple(STEPS)]),
        solver=pybamm.IDAKLUSolver(rtol=1e-8, atol=1e-10, root_method="lm"),
    )
    return simulation.solve()


def amount(solution, *names):
    """Sum of amounts over time [mol.m-2]."""
    return sum(solution[f"{name} [mol.m-2]"].entries for name in names)


def test_it_is_charged_rests_and_is_discharged(solution):
    charge, rest, discharge = solution.cycles[0].steps
    assert len(solution.cycles) == 1
    assert charge["Voltage [V]"].entries[-1] > 2.1
    assert np.ptp(rest["Voltage [V]"].entries[5:]) < 0.05
    # what the voltage cut-off leaves is lost by crossover, as gas and as dead zinc
    duration = (discharge.t[-1] - discharge.t[0]) / (charge.t[-1] - charge.t[0])
    assert 0.8 < duration < 1


def test_too_much_chlorine_settles(solution):
    charge = solution.cycles[0].steps[0]
    solid = charge["Positive compartment solid chlorine concentration [mol.m-3]"].entries
    free = charge["Positive compartment free chlorine concentration [mol.m-3]"].entries
    t = charge["Cell temperature [K]"].entries
    saturation = 60 * np.exp(-50000 / 8.31446 * (1 / t - 1 / 298.15))
    assert solid[0] < 1e-9 and solid[-1] > 100
    many = solid > 20
    assert free[many] == pytest.approx(saturation[many], rel=1e-3)


@pytest.mark.parametrize(
    ("what", "parts"),
    {
        "chlorine": {
            "Negative compartment chloride": 1,
            "Positive compartment chloride": 1,
            "Negative compartment chlorine": 2,
            "Positive compartment chlorine": 2,
            "Halogen lost as vapour": 2,
            "Halogen lost by reaction": 2,
        },
        "zinc": {
            "Negative compartment zinc ion": 1,
            "Positive compartment zinc ion": 1,
            "Zinc areal amount": 1,
            "Zinc on the positive electrode": 1,
            "Dead zinc": 1,
        },
        "nitrogen": {f"{side} compartment ammonium": 1 for side in SIDES},
    }.items(),
)
def test_atoms_are_conserved(solution, what, parts):
    total = sum(count * amount(solution, name) for name, count in parts.items())
    assert np.ptp(total) < 1e-10 * total[0], what


def test_the_electrolytes_stay_neutral(solution):
    charges = {"zinc ion": 2, "chloride": -1, "ammonium": 1, "acid": 1}
    for side in SIDES:
        parts = {
            name: z * amount(solution, f"{side} compartment {name}") for name, z in charges.items()
        }
        assert np.abs(sum(parts.values())).max() < 1e-9 * parts["zinc ion"].max()


def test_our_simulator_gives_the_same(cell, solution):
    life = cm.simulate(cell, cm.Protocol(STEPS), cycles=1)
    charge, _, discharge = solution.cycles[0].steps
    assert life.attrs["outcome"] == "completed"
    capacity = float(life["cycles"]["discharge_capacity"].values[0])
    assert capacity == pytest.approx((discharge.t[-1] - discharge.t[0]) / 3600, rel=1e-4)
    assert charge.t[-1] == 4800


def test_no_model_names_a_halogen_in_code():
    """Words for one halogen may stand in documentation, nowhere else."""
    import ast

    for path in MODELS.glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf8"))
        documented = {
            id(node.body[0].value)
            for node in ast.walk(tree)
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
            and isinstance(node.body[0], ast.Expr)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                words = node.value.lower()
                named = [w for w in ("brom", "iod", "chlor") if w in words.replace("period", "")]
                assert id(node) in documented or not named, f"{path.name}: {node.value}"
