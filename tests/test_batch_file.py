"""Batches from a file: what they become, what is said about wrong ones, and one that runs."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from cellmodels import cli
from cellmodels.batch_file import read_batch_file
from cellmodels.errors import InputError

LIFE = Path(__file__).parent / "data" / "short_life.csv"
SEI, TRUTH = "SEI solvent diffusivity [m2.s-1]", 4e-21  # see the record's first line

FILE = f"""
[protocol]
cycle = ["Discharge at 1C until 2.5 V", "Charge at 0.5C until 4.2 V", "Hold at 4.2 V until C/10"]

[cell]
chemistry = "lithium_ion"
parameters = "nmc_graphite_siox"
model = "SPM"
mechanisms = ["SEI"]
initial_soc = "100 %"

[record]
path = "life.csv"
synthetic = true

[fit]
free = {{ "{SEI}" = 1e-21 }}
noise = {{ discharge_capacity = "0.2 mA.h" }}

[batch]
table = "cells.csv"
workers = 1
time_limit = 300.0

[batch.sets."SEI"]
[batch.sets."SEI, other start"]
fit.free = {{ "{SEI}" = 2e-20 }}
"""
TABLE = """name,rate [1/h],record.path,cell.values.Ambient temperature [K]
A,1.0,,
B,0.5,other.csv,25 degC
"""


@pytest.fixture
def folder(tmp_path):
    for name in ("life.csv", "other.csv"):
        shutil.copy(LIFE, tmp_path / name)
    (tmp_path / "batch.toml").write_text(FILE)
    (tmp_path / "cells.csv").write_text(TABLE)
    return tmp_path


def test_a_table_and_sets_make_tasks(folder):
    job = read_batch_file(folder / "batch.toml")
    assert [t.name for t in job.tasks] == [
        "A | SEI", "A | SEI, other start", "B | SEI", "B | SEI, other start"
    ]  # fmt: skip
    one, other = job.tasks[0], job.tasks[3]
    assert one.labels == {"record": "A", "set": "SEI", "rate [1/h]": 1.0}
    assert one.record == folder / "life.csv" and other.record == folder / "other.csv"
    assert other.cell.value("Ambient temperature [K]") == 298.15
    assert one.options["start"] == {SEI: 1e-21} and other.options["start"] == {SEI: 2e-20}
    assert one.options["noise"] == {"discharge_capacity": pytest.approx(2e-4)}
    assert one.read == {"synthetic": True}
    assert (job.workers, job.time_limit, job.retries) == (1, 300.0, 1)
    assert job.folder == folder / "batch-results"
    assert {p.name for p in job.inputs} == {"batch.toml", "cells.csv", "life.csv", "other.csv"}


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("batch.toml", "[batch]", "[bacth]", "unknown key .bacth"),
        ("batch.toml", "workers = 1", "worker = 1", "batch.*worker.*workers"),
        ("batch.toml", 'model = "SPM"', 'model = "SPN"', "batch.toml: A . SEI: cell.*SPM"),
        ("batch.toml", "fit.free", "fit.fre", "A . SEI, other start.*fre"),
        ("cells.csv", "name,", "cell name,", "needs a column 'name'"),
        ("cells.csv", "record.path", "recrd.path", "is no place in the file.*record"),
        ("cells.csv", "record.path", "record.pth", "batch.toml: B . SEI: record.*pth"),
        ("cells.csv", "other.csv", "no.csv", "batch.toml: B . SEI: record: there is no"),
        ("cells.csv", "25 degC", "25 bar", "B . SEI: cell"),
        ("cells.csv", "B,", "A,", "row 3: twice name 'A'"),
        ("cells.csv", "B,0.5", "B", "row 3 has not as many cells"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(folder, file, old, new, message):
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new, 1))
    with pytest.raises(InputError, match=message):
        read_batch_file(folder / "batch.toml")


def test_the_command_fits_the_table_and_goes_on_where_it_was(folder):
    def call(*options):
        arguments = ["batch", str(folder / "batch.toml"), "--no-progress", *options]
        return CliRunner().invoke(cli.app, arguments)

    first = call()
    assert first.exit_code == 0, first.output
    assert "4 fitted, 0 failed" in first.stdout
    table = pd.read_csv(folder / "batch-results" / "table.csv", index_col="task")
    assert np.allclose(table[SEI], TRUTH, rtol=0.05)
    assert table.loc["B | SEI", "rate [1/h]"] == 0.5
    tasks = folder / "batch-results" / "tasks"
    made = {path: path.stat().st_mtime_ns for path in tasks.iterdir()}
    # another start for one set: only its fits are made again
    text = (folder / "batch.toml").read_text().replace("= 2e-20", "= 1.5e-20")
    (folder / "batch.toml").write_text(text)
    second = call()
    assert second.exit_code == 0, second.output
    again = [path.name for path in tasks.iterdir() if path.stat().st_mtime_ns != made[path]]
    assert len(again) == 2 and all("other_start" in name for name in again)


def test_results_do_not_go_among_their_inputs(folder):
    result = CliRunner().invoke(
        cli.app, ["batch", str(folder / "batch.toml"), "--output", str(folder)]
    )
    assert result.exit_code == 2
    assert "among their inputs" in result.stderr
