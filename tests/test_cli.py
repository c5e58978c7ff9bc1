"""The command line, with real fits of a short life."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pandas as pd
import pytest
import xarray as xr
from typer.testing import CliRunner

import cellmodels as cm
from cellmodels import cli, fitting

ROOT = Path(__file__).parents[1]
LIFE = Path(__file__).parent / "data" / "short_life.csv"
SEI, TRUTH = "SEI solvent diffusivity [m2.s-1]", 4e-21  # see the record's first line

RUN = f"""
[cell]
chemistry = "lithium_ion"
parameters = "nmc_graphite_siox"
model = "SPM"
mechanisms = ["SEI"]
initial_soc = "100 %"

[protocol]
cycle = ["Discharge at 1C until 2.5 V", "Charge at 0.5C until 4.2 V", "Hold at 4.2 V until C/10"]

[record]
path = "life.csv"
synthetic = true

[fit]
free = {{ "{SEI}" = 2.5e-22 }}
noise = {{ discharge_capacity = "0.2 mA.h" }}
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a run file and its record, and in it the shell."""
    shutil.copy(LIFE, tmp_path / "life.csv")
    (tmp_path / "run.toml").write_text(RUN)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(*arguments):
    """Run a command in this process."""
    return CliRunner().invoke(cli.app, [str(a) for a in arguments])


def shell(*arguments):
    """Start a command as a user would."""
    command = [sys.executable, "-m", "cellmodels", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        command,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        # tests that run in the background of a script would hand down that Ctrl-C is ignored
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def wait_for(checkpoint, process, accepted):
    """Wait until a fit has accepted so many points."""
    for _ in range(1200):
        if checkpoint.exists():
            trials = json.loads(checkpoint.read_text())["trials"]
            if sum(trial["accepted"] for trial in trials) >= accepted:
                return
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    raise AssertionError("no checkpoint")


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A whole fit: what the command said, and the folder with its results."""
    folder = tmp_path_factory.mktemp("fitted")
    shutil.copy(LIFE, folder / "life.csv")
    (folder / "run.toml").write_text(RUN)
    return call("fit", folder / "run.toml", "--no-progress"), folder / "run-results"


# --- fit ---------------------------------------------------------------------------------------


def test_fit_finds_the_truth_and_writes_its_files(fitted):
    result, folder = fitted
    assert result.exit_code == 0, result.output
    found = cm.Fit.load(folder / "fit.nc")
    assert found.converged
    assert SEI in result.stdout
    assert "converged" in result.stdout
    assert f"{folder / 'fit.csv'}" in result.stdout
    table = pd.read_csv(folder / "fit.csv", index_col="parameter")
    assert table.loc[SEI, "value"] == found.values[SEI]
    low, high = table.loc[SEI, ["95 % low", "95 % high"]]
    assert low < TRUTH < high
    assert low > 0.9 * TRUTH
    assert high < 1.1 * TRUTH
    assert (folder / "fit.png").read_bytes().startswith(b"\x89PNG")
    assert result.stderr == ""


def test_a_killed_fit_resumes_to_the_same_answer(folder, fitted):
    checkpoint = folder / "out" / "fit.checkpoint.json"
    process = shell("fit", "run.toml", "--output", "out", "--no-progress")
    wait_for(checkpoint, process, accepted=2)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not (folder / "out" / "fit.nc").exists()
    before = json.loads(checkpoint.read_text())["trials"]

    result = call("fit", "run.toml", "--output", "out", "--resume", "--no-progress")
    assert result.exit_code == 0, result.output
    resumed, whole = cm.Fit.load("out/fit.nc"), cm.Fit.load(fitted[1] / "fit.nc")
    trials = resumed.trials["values"].values
    assert trials[: len(before)].tolist() == [trial["values"] for trial in before]
    error = float(whole.parameters["standard_error"][0])
    # both are within the solver's tolerance, a tenth of the noise, of the optimum
    assert resumed.values[SEI] == pytest.approx(whole.values[SEI], abs=0.5 * error)


def test_ctrl_c_says_how_to_resume(folder):
    process = shell("fit", "run.toml", "--output", "my out", "--no-progress")
    wait_for(folder / "my out" / "fit.checkpoint.json", process, accepted=1)
    process.send_signal(signal.SIGINT)
    _, text = process.communicate(timeout=60)
    assert process.returncode == 130, text
    assert "Traceback" not in text
    assert "cellmodels fit run.toml --output 'my out' --resume" in text
    assert not (folder / "my out" / "fit.nc").exists()


def test_ctrl_c_before_anything_is_found(folder, monkeypatch):
    monkeypatch.setattr("cellmodels.fit_file.fit", interrupt)
    result = call("fit", "run.toml")
    assert result.exit_code == 130
    assert "nothing to resume" in result.stderr


def interrupt(*_, **__):
    raise KeyboardInterrupt


def test_a_checkpoint_is_neither_used_nor_lost_silently(folder, monkeypatch):
    def fit(*_, resume, **__):
        raise fitting.FitError(f"resume is {resume}")

    monkeypatch.setattr("cellmodels.fit_file.fit", fit)
    result = call("fit", "run.toml", "--resume")
    assert "no run-results/fit.checkpoint.json to resume from" in result.stderr
    Path("run-results/fit.checkpoint.json").write_text("{}")
    result = call("fit", "run.toml")
    assert "--resume would have continued from run-results/fit.checkpoint.json" in result.stderr
    assert "resume is False" in result.stderr
    assert "resume is True" in call("fit", "run.toml", "--resume").stderr


def test_a_checkpoint_of_another_fit_is_refused(folder):
    Path("run-results").mkdir()
    Path("run-results/fit.checkpoint.json").write_text("{}")
    result = call("fit", "run.toml", "--resume")
    assert result.exit_code == 2
    assert "fit.checkpoint.json is not a checkpoint" in result.stderr


def test_a_fit_that_cannot_begin(folder, monkeypatch):
    def fail(*_, **__):
        raise fitting.FitError("The simulation fails at the start.")

    monkeypatch.setattr("cellmodels.fit_file.fit", fail)
    result = call("fit", "run.toml")
    assert result.exit_code == 1
    assert result.stderr == "Error: The simulation fails at the start.\n"


def test_a_fit_that_does_not_converge(folder):
    Path("run.toml").write_text(RUN + "max_evaluations = 1\n")
    result = call("fit", "run.toml", "--no-progress")
    assert result.exit_code == 1
    assert "did not converge" in result.stderr
    assert cm.Fit.load("run-results/fit.nc").status == "evaluations"


# --- simulate ----------------------------------------------------------------------------------


def test_simulate_writes_a_record_that_can_be_read(folder):
    checkups = "\n[[checkup]]\nevery = 5\n[simulate]\ncycles = 3\n"
    Path("run.toml").write_text(RUN + checkups)
    result = call("simulate", "run.toml", "--cycles", 10, "--output", "out", "--no-progress")
    assert result.exit_code == 0, result.output
    life = cm.read_record("out/life.nc")
    assert life["cycles"].sizes["point"] == 10
    assert life["checkups"]["cycle"].values.tolist() == [0, 5, 10]
    tables = cm.read_record(
        cycles="out/life-cycles.csv", checkups="out/life-checkups.csv", flag=False
    )
    for group, name in [("cycles", "discharge_energy"), ("checkups", "voltage_C20")]:
        xr.testing.assert_allclose(tables[group][name], life[group][name])
    assert Path("out/life.png").read_bytes().startswith(b"\x89PNG")
    assert "10 cycles, completed" in result.stdout
    assert re.search(r"\n +10 +\d", result.stdout)


def test_a_wide_table_is_printed_in_parts_that_all_have_the_first_column():
    names = ["cycle", *(f"quantity number {k} [mol.m-2]" for k in range(9))]
    rows = [names, *([str(n), *(["0.123456"] * 9)] for n in (0, 10))]
    lines = cli._blocks(rows).splitlines()
    assert max(map(len, lines)) <= 120
    assert sum(line.startswith("  cycle") for line in lines) == lines.count("") + 1 > 1
    for name in names[1:]:
        assert sum(name in line for line in lines) == 1


def test_a_life_that_ends_early(folder, monkeypatch):
    def end(self, *, progress):
        life = cm.build_record(cycles={"cycle": [1], "discharge_capacity": [5.0]}, synthetic=True)
        life.attrs |= {"completed_cycles": 1, "outcome": "step_failed", "message": "no 2nd cycle"}
        life.attrs |= {"estimated_error_Ah": 0.0}
        return life

    monkeypatch.setattr("cellmodels.fit_file.SimulateJob.run", end)
    result = call("simulate", "run.toml", "--cycles", 2)
    assert result.exit_code == 1
    assert "no 2nd cycle" in result.stderr
    assert Path("run-results/life.nc").exists()


# --- what is wrong -----------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["fit", "simulate"])
@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[cell]", "[cel]", "Did you mean 'cell'"),
        ("until 2.5 V", "until 2.5 kg", "2.5 kg"),
        ('["SEI"]', '["SIE"]', "'SEI'"),
        ("[cell]", "[cell", "line 2"),
    ],
)
def test_malformed_files(folder, command, old, new, message):
    Path("run.toml").write_text(RUN.replace(old, new))
    result = call(command, "run.toml", *(["--cycles", 2] if command == "simulate" else []))
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: run.toml: ")
    assert message in result.stderr
    assert result.stdout == ""
    assert not Path("run-results").exists()


def test_no_file(folder):
    result = call("fit", "rnu.toml")
    assert result.exit_code == 2
    assert "There is no file 'rnu.toml'. Did you mean 'run.toml'?" in result.stderr


def test_a_bad_record(folder):
    Path("life.csv").write_text("cycle,discharge_capacity [A.h]\n1,5\n2,five\n")
    result = call("fit", "run.toml")
    assert result.exit_code == 2
    assert "life.csv" in result.stderr
    assert "line 3" in result.stderr


def test_no_result_replaces_an_input(folder):
    Path("run.toml").write_text(RUN + '\n[output]\nfolder = "."\nname = "life"\n')
    before = Path("life.csv").read_text()
    result = call("fit", "run.toml")
    assert result.exit_code == 2
    assert "would replace an input" in result.stderr
    assert Path("life.csv").read_text() == before


def test_nowhere_to_write(folder):
    result = call("fit", "run.toml", "--output", "life.csv")
    assert result.exit_code == 2
    assert "Nothing can be written to 'life.csv'" in result.stderr


# --- the rest ----------------------------------------------------------------------------------


def test_demo(folder, monkeypatch):
    """The demo's fit itself is measured by the benchmarks; here a short one stands for it."""
    source = folder / "package" / "demo"
    source.mkdir(parents=True)
    shutil.copy("life.csv", source)
    (source / "demo.toml").write_text(RUN)
    (source / "demo_truth.toml").write_text(f'[truth]\n"{SEI}" = {TRUTH}\n')
    monkeypatch.setattr(cli, "__file__", str(source.parent / "cli.py"))
    result = call("demo", "--no-progress")
    assert result.exit_code == 0, result.output
    assert "SYNTHETIC" in result.stdout
    assert "1 of 1 parameters are identifiable" in result.stdout
    (line,) = [line for line in result.stdout.splitlines() if "  4e-21  " in line]
    assert abs(float(line.split()[-2])) < 3  # difference in standard errors
    assert "Written: cellmodels-demo/fit.nc" in result.stdout
    copied = {path.name for path in Path("cellmodels-demo").iterdir()}
    assert {"demo.toml", "life.csv", "fit.nc", "fit.csv", "fit.png"} <= copied


def test_the_demo_is_complete():
    """The shipped demo can be read, and the truth is known for all that it fits."""
    from cellmodels.fit_file import read_fit_file

    job = read_fit_file(ROOT / "cellmodels" / "demo" / "demo.toml")
    truth = tomllib.loads((ROOT / "cellmodels" / "demo" / "demo_truth.toml").read_text())["truth"]
    assert set(job.settings["free"]) <= set(truth)
    assert job.record.attrs["synthetic"] == 1
    for name in job.settings["free"]:
        assert abs(job.settings["start"][name] / truth[name] - 1) > 0.5


def test_parameter_sets():
    listed = call("parameters", "list")
    assert listed.exit_code == 0
    assert "nmc_graphite_siox" in listed.stdout
    assert "OKane2022" in listed.stdout
    shown = call("parameters", "show", "nmc_graphite_siox")
    assert shown.exit_code == 0
    (line,) = [line for line in shown.stdout.splitlines() if line.strip().startswith(SEI)]
    assert "2.5e-22" in line
    assert "2.5e-24 to 2.5e-20" in line
    assert "OKane2022" in line
    some = call("parameters", "show", "nmc_graphite_siox", "nonsense")
    assert some.exit_code == 2 and "no parameter with 'nonsense'" in some.stderr
    some = call("parameters", "show", "nmc_graphite_siox", "solvent DIFF")
    assert SEI in some.stdout and "Separator" not in some.stdout
    wrong = call("parameters", "show", "nmc_graphite")
    assert wrong.exit_code == 2
    assert "Did you mean 'nmc_graphite_siox'" in wrong.stderr


def test_parameter_sets_are_compared():
    found = call("parameters", "diff", "lfp_graphite", "Prada2013")
    assert found.exit_code == 0
    (line,) = [line for line in found.stdout.splitlines() if line.strip().startswith(SEI)]
    assert line.split()[-2:] == ["2.5e-22", "none"]
    assert "Negative electrode porosity" not in found.stdout
    assert "are the same" in call("parameters", "diff", "OKane2022", "OKane2022").stdout


def test_parameter_sets_are_checked(tmp_path):
    good = call("parameters", "check", "lfp_graphite", "nmc_graphite_siox")
    assert good.exit_code == 0
    assert "nmc_graphite_siox: 49 parameters, 0 faults, 0 things missing" in good.stdout
    text = """
format = 1
name = "mine"
title = "Mine"
chemistry = "lithium_ion"
base = "OKane2022"
[citations]
hearsay = "somebody said so"
[parameters."Mine [m]"]
value = 1.0
unit = "m"
source = "hearsay, at lunch"
status = "literature"
new = true
"""
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    bad = call("parameters", "check", "nmc_graphite_siox", path)
    assert bad.exit_code == 2
    assert "neither DOI nor URL" in bad.stdout
    assert "no table, page or other place" in bad.stdout
    assert "2 faults" in bad.stderr


def test_schemas_are_printed():
    for kind in ("parameters", "chemistry", "protocol"):
        found = json.loads(call("parameters", "schema", kind).stdout)
        assert found["title"] == f"cellmodels {kind} file"
    assert call("parameters", "schema", "protocols").exit_code == 2


def test_version():
    result = call("--version")
    assert result.exit_code == 0
    assert result.stdout.startswith(f"cellmodels {cm.__version__} (pybamm 26.")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == cm.__version__


def test_the_package_is_light_and_whole():
    """Importing it costs nothing; all its names are there."""
    code = (
        "import sys, cellmodels, cellmodels.cli; "
        "heavy = {'pybamm', 'casadi', 'numpy', 'matplotlib', 'xarray'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
    for name in cm.__all__:
        assert getattr(cm, name) is not None
        assert name in dir(cm)
    with pytest.raises(AttributeError, match="no attribute 'Protocl'. Did you mean 'Protocol'"):
        _ = cm.Protocl


def test_quality_reports_repairs_and_writes(folder):
    time = [10.0 * k for k in range(40)]
    time[20:] = [t - 150.0 for t in time[20:]]
    rows = [f"{t},{3.7 - 0.001 * k},-1.0" for k, t in enumerate(time)]
    Path("cell.csv").write_text(
        "\n".join(["Test Time / s,Voltage / V,Current / A", *rows]), encoding="utf-8"
    )
    found = call("quality", "cell.csv")
    assert found.exit_code == 2
    assert "'time' goes back, by 140 s; line 22" in found.output
    mended = call("quality", "cell.csv", "--repair", "clock", "--output", "mended.nc")
    assert mended.exit_code == 0, mended.output
    assert "clock ('time', line 22)" in mended.output
    assert cm.read_record("mended.nc")["traces/time"].values[-1] == 390.0
    assert call("quality", "mended.nc").exit_code == 0
    bdf = call("quality", "cell.csv", "--repair", "all", "--output", "mended.bdf.csv")
    assert bdf.exit_code == 0, bdf.output
    assert cm.read_record("mended.bdf.csv")["traces/time"].values[-1] == 390.0
    again = call("quality", "mended.bdf.csv", "--output", "mended.bdf.csv")
    assert again.exit_code == 2
    assert "is the file that is read" in again.output
    bdf = call("quality", "cell.csv", "--repair", "all", "--output", "mended.bdf.csv")
    assert bdf.exit_code == 0, bdf.output
    assert "there is no 'clok'" in call("quality", "cell.csv", "--repair", "clok").output
    several = call("quality", "none.csv", "cell.csv", "mended.nc")
    assert several.exit_code == 2
    assert "none.csv" in several.stderr
    assert "cell.csv: 1 refused" in several.stdout
    assert "mended.nc: nothing was found" in several.stdout


def test_quality_reads_times_that_begin_anew(folder):
    rows = [f"{t},{4 - 0.001 * t - cycle},1,{cycle}" for cycle in (1, 2) for t in range(30)]
    Path("cell.csv").write_text(
        "\n".join(["time [s],voltage [V],current [A],cycle", *rows]), "utf8"
    )
    found = call("quality", "cell.csv")
    assert found.exit_code == 2
    assert "say --time-restarts cycle" in found.output
    assert call("quality", "cell.csv", "--time-restarts", "cycle").exit_code == 0
