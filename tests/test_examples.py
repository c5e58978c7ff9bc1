"""The examples with measured data run, in a short form, and write what they promise."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import cellmodels as cm

EXAMPLES = Path(__file__).parents[1] / "docs" / "examples"
RESULTS = {
    "fit_sanyo_capacity_resistance": ["sanyo_by_throughput"],
    "fit_sunwoda_temperatures": ["sunwoda_B1", "sunwoda_B27"],
    "fit_tju_nca": ["tju_nca"],
}


def run(name, **environment):
    environment = {k: v for k, v in {**os.environ, **environment}.items() if v is not None}
    environment["PYTHONPATH"] = str(EXAMPLES.parents[1])
    return subprocess.run(
        [sys.executable, EXAMPLES / f"{name}.py"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_every_example_with_data_is_run_here():
    assert {path.stem for path in EXAMPLES.glob("fit_*.py")} == set(RESULTS)


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.skipif(
    not os.environ.get("CELLMODELS_DATA"),
    reason="CELLMODELS_DATA does not name a folder with measured data",
)
@pytest.mark.parametrize("name", RESULTS)
def test_example_runs_and_writes_its_results(name, tmp_path):
    done = run(name, CELLMODELS_QUICK="1", CELLMODELS_OUTPUT=str(tmp_path))
    assert done.returncode == 0, done.stderr
    for printed in ("rms residual", "lag-1 autocorrelation", "AICc power law", "identifiable"):
        assert printed in done.stdout
    for result in RESULTS[name]:
        assert (tmp_path / f"{result}.png").stat().st_size > 10_000
        assert len(cm.Fit.load(tmp_path / f"{result}.nc").values) >= 2


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.skipif(
    not os.environ.get("CELLMODELS_DATA"),
    reason="CELLMODELS_DATA does not name a folder with measured data",
)
def test_example_compares_mechanisms(tmp_path):
    done = run("compare_mechanisms", CELLMODELS_QUICK="1", CELLMODELS_OUTPUT=str(tmp_path))
    assert done.returncode == 0, done.stderr
    found = cm.MechanismComparison.load(tmp_path / "sanyo_mechanisms.nc")
    assert found.verdict in done.stdout and "film, reaction" in found.verdict
    assert (tmp_path / "sanyo_mechanisms.png").stat().st_size > 20_000


@pytest.mark.slow
def test_example_without_data_makes_its_pictures(tmp_path):
    done = run("zinc_bromine_cell", CELLMODELS_QUICK="1", CELLMODELS_OUTPUT=str(tmp_path))
    assert done.returncode == 0, done.stderr
    names = {"schematic", "efficiency", "states", "standby", "ageing"}
    made = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert set(made) == {f"zinc_{name}.png" for name in names}
    assert set(made) <= {path.name for path in (EXAMPLES.parent / "images").iterdir()}
    for data in made.values():
        assert data.startswith(b"\x89PNG") and len(data) > 20_000
    assert "float at" in done.stdout and "energy efficiency [%]" in done.stdout


@pytest.mark.slow
def test_flow_example_makes_its_picture(tmp_path):
    done = run("zinc_bromine_flow", CELLMODELS_OUTPUT=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["zinc_flow.png"]
    data = (tmp_path / "zinc_flow.png").read_bytes()
    assert data.startswith(b"\x89PNG") and len(data) > 20_000
    assert (EXAMPLES.parent / "images" / "zinc_flow.png").is_file()
    assert "pumps off: " in done.stdout


@pytest.mark.slow
def test_example_of_fast_loads_makes_its_picture(tmp_path):
    done = run("lithium_fast_loads", CELLMODELS_OUTPUT=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["lithium_fast_loads.png"]
    assert (tmp_path / "lithium_fast_loads.png").stat().st_size > 20_000
    for level in ("SPM: ", "SPMe: ", "DFN: "):
        assert level in done.stdout


@pytest.mark.slow
def test_without_data_an_example_says_what_to_set(tmp_path):
    done = run("fit_tju_nca", CELLMODELS_DATA=None, CELLMODELS_OUTPUT=str(tmp_path))
    assert done.returncode == 1
    assert "Set the environment variable CELLMODELS_DATA" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.skipif(
    not os.environ.get("CELLMODELS_DATA"),
    reason="CELLMODELS_DATA does not name a folder with measured data",
)
def test_example_of_a_check_up(tmp_path):
    pytest.importorskip("pyarrow", reason="needs the extra 'data'")
    done = run("checkup_lg_m50", CELLMODELS_OUTPUT=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "1 check-up with 3 tests" in done.stdout
    assert "measured 4.814 A.h" in done.stdout
    assert (tmp_path / "checkup_lg_m50.png").stat().st_size > 10_000
    assert "checkups" in cm.read_record(tmp_path / "checkup_lg_m50.nc").children
