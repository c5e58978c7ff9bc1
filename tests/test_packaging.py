"""A built wheel must hold every file of the package and of the two data folders."""

import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
#: Folder in the repository -> folder in the wheel.
FOLDERS = {
    "cellmodels": "cellmodels",
    "chemistries": "cellmodels/chemistries",
    "parameters": "cellmodels/parameters",
}
SUFFIXES = {".py", ".typed", ".toml", ".csv"}


def files(folder):
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {path for path in found if "__pycache__" not in path.parts}


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    """A wheel built, from a copy, so that the repository stays clean."""
    copied = tmp_path_factory.mktemp("source")
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, copied / folder, ignore=ignore)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copied)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", str(copied)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "importable" not in result.stdout + result.stderr  # setuptools on undeclared packages
    (path,) = (copied / "dist").glob("*.whl")
    return path


@pytest.fixture(scope="session")
def content(wheel):
    return set(zipfile.ZipFile(wheel).namelist())


@pytest.mark.parametrize("folder", FOLDERS)
def test_wheel_holds_every_file(content, folder):
    wanted = {f"{FOLDERS[folder]}/{path.as_posix()}" for path in files(ROOT / folder)}
    assert wanted
    assert not wanted - content


def test_wheel_holds_nothing_else(content):
    strange = {name for name in content if not name.startswith(("cellmodels/", "cellmodels-"))}
    assert not strange
    assert not {name for name in content if name.startswith("cellmodels/tests")}


@pytest.mark.parametrize("folder", ["chemistries", "parameters"])
def test_data_folders_hold_no_python(folder):
    assert {path.suffix for path in files(ROOT / folder)} <= {".toml", ".csv", ".md"}


def test_every_kind_of_file_is_declared():
    assert {path.suffix for path in files(ROOT / "cellmodels")} <= SUFFIXES


def test_every_subpackage_is_listed():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    listed = set(project["tool"]["setuptools"]["packages"])
    real = {target.replace("/", ".") for target in FOLDERS.values()}
    for folder, target in FOLDERS.items():
        parents = {path.parent for path in files(ROOT / folder)}
        real |= {".".join([*target.split("/"), *parent.parts]) for parent in parents}
    assert listed == real


def test_the_wheel_works_without_the_repository(wheel, tmp_path):
    """Unpacked elsewhere, the package finds its chemistries and parameters inside itself."""
    zipfile.ZipFile(wheel).extractall(tmp_path)
    code = (
        "from pathlib import Path; from cellmodels import chemistry, parameter_set, paths;"
        f"assert paths.data_folder('parameters').is_relative_to({str(tmp_path)!r});"
        "print([chemistry.Chemistry.load(n).name for n in chemistry.names()]);"
        "print([parameter_set.ParameterSet.load(n).name for n in parameter_set.names()]);"
        # PyBaMM finds sets and models by their entry points
        "import pybamm;"
        "values = pybamm.ParameterValues('cellmodels_zinc_iodine_pnnl');"
        "model = pybamm.Model('cellmodels_zinc_iodine_lumped', mechanisms=['dead zinc']);"
        "pybamm.Model('cellmodels_zinc_bromine_lumped');"
        "pybamm.ParameterValues('cellmodels_zinc_bromine_static');"
        "print(values['Electrode area [m2]'], model.name)"
    )
    environment = {"PYTHONPATH": str(tmp_path), "PYBAMM_DISABLE_TELEMETRY": "true"}
    command = [sys.executable, "-c", code]
    result = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment
    )
    assert result.returncode == 0, result.stderr
    assert "lithium_ion" in result.stdout
    assert "nmc_graphite_siox" in result.stdout
    assert "0.004 zinc_iodine lumped" in result.stdout


def test_entry_points_name_functions_that_exist():
    import importlib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for group in project["entry-points"].values():
        for name, target in group.items():
            module, function = target.split(":")
            assert name.startswith("cellmodels_")
            assert callable(getattr(importlib.import_module(module), function))
