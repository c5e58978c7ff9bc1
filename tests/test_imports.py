"""Imports go one way: the contracts in pyproject.toml hold."""

import ast
import sys
import tomllib
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "cellmodels"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CONTRACTS = PROJECT["tool"]["importlinter"]["contracts"]

SOLVER_MAY = {"casadi", "llvmlite", "numba", "numpy", "scipy", "threadpoolctl"}
EXPORT_MAY = SOLVER_MAY | {"pybamm"}


def imported(path):
    """Full names of the modules that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            found.add(node.module)
    return found


def not_ours(names):
    """Top-level packages other than Python's own and cellmodels."""
    return {name.split(".")[0] for name in names} - sys.stdlib_module_names - {"cellmodels"}


def modules(folder):
    return sorted(path.relative_to(PACKAGE).as_posix() for path in (PACKAGE / folder).rglob("*.py"))


@pytest.mark.parametrize("contract", [contract["id"] for contract in CONTRACTS])
def test_contract(contract, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    status = lint_imports(limit_to_contracts=(contract,), no_cache=True, no_logo=True)
    assert status == 0, capsys.readouterr().out


@pytest.mark.parametrize("module", modules("solver"))
def test_what_the_solver_imports(module):
    names = imported(PACKAGE / module)
    assert not_ours(names) <= (EXPORT_MAY if module == "solver/export.py" else SOLVER_MAY)
    ours = {name for name in names if name.split(".")[0] == "cellmodels"}
    assert all(name.startswith("cellmodels.solver") for name in ours)


def test_every_package_used_is_a_dependency():
    project = PROJECT["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    declared = {text.split("[")[0].split(">")[0] for group in groups for text in group}
    # packages that are imported under another name than they are installed under
    declared |= {"bdf" for name in declared if name == "batterydf"}
    declared |= {"access_parser" for name in declared if name == "access-parser"}
    declared |= {"pydantic_core" for name in declared if name == "pydantic"}
    used = {name for module in modules(".") for name in not_ours(imported(PACKAGE / module))}
    assert used <= declared
