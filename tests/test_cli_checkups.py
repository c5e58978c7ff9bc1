"""``cellmodels checkups`` as a user runs it."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import cellmodels as cm
from cellmodels import cli

LONG = 20 * 3600


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A slow discharge and a slow charge of a cell of 2 A.h, and a pulse in its middle."""
    monkeypatch.chdir(tmp_path)
    t, i = [np.arange(0.0, 3600.0, 60.0)], [np.zeros(60)]

    def add(current, seconds, every):
        new = t[-1][-1] + np.arange(every, seconds + every / 2, every)
        t.append(new)
        i.append(np.full(len(new), current))

    add(0.1, LONG, 60.0)
    add(0.0, 3600, 60.0)
    add(-0.1, LONG, 60.0)
    add(0.0, 3600, 60.0)
    add(1.0, 3600, 10.0)
    add(0.0, 3600, 10.0)
    add(2.0, 10, 0.1)
    add(0.0, 600, 1.0)
    time, current = np.concatenate(t), np.concatenate(i)
    charge = np.concatenate([[0.0], np.cumsum(np.diff(time) * current[1:])]) / 3600
    voltage = 4.2 - 0.6 * charge - 0.05 * current
    table = pd.DataFrame({"t": time, "U": voltage, "current [A]": current})
    table.to_csv("cell.csv.gz", index=False)
    return tmp_path


COLUMNS = ("--column", "t=time [s]", "--column", "U=voltage [V]")


def call(*arguments):
    return CliRunner().invoke(cli.app, ["checkups", *map(str, arguments)])


def test_tests_are_printed_and_written(folder):
    done = call("cell.csv.gz", *COLUMNS)
    assert done.exit_code == 0, done.output
    assert "1 check-up with 4 tests" in done.stdout
    for name in ("C20", "C20_charge", "partial_discharge_d0", "pulse"):
        assert f"  {name} " in done.stdout
    results = folder / "cellmodels-checkups"
    tests = pd.read_csv(results / "cell-tests.csv")
    assert tests["kind"].tolist()[:2] == ["slow discharge", "slow charge"]
    assert tests["resistance_10s [ohm]"].iloc[-1] == pytest.approx(0.05, rel=0.05)
    record = cm.read_record(results / "cell.nc")
    assert float(record["checkups"]["capacity_C20"][0]) == pytest.approx(2.0, rel=1e-3)
    table = cm.read_record(results / "cell-checkups.csv")["checkups"]
    assert float(table["capacity_C20"][0]) == float(record["checkups"]["capacity_C20"][0])
    assert (results / "cell.png").read_bytes().startswith(b"\x89PNG")


def test_a_recognition_is_written_corrected_and_read(folder):
    assert call("cell.csv.gz", *COLUMNS, "--write", "--nominal-capacity", "2.5").exit_code == 0
    file = folder / "cell.csv.gz.checkups.toml"
    text = file.read_text("utf8")
    assert 'columns = { "t" = "time [s]", "U" = "voltage [V]" }' in text
    assert "nominal_capacity = 2.5" in text
    file.write_text(text.replace('name = "C25"', 'name = "reference"'), "utf8")
    done = call("cell.csv.gz", "--output", "again")  # the columns are in the file
    assert done.exit_code == 0, done.output
    assert "Tests as cell.csv.gz.checkups.toml says" in done.stdout
    assert "0.04C" in done.stdout
    record = cm.read_record(folder / "again" / "cell.nc")
    assert "capacity_reference" in record["checkups"]
    done = call("cell.csv.gz", "--write")
    assert done.exit_code == 2
    assert "Delete it" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["cell.csv"], "Did you mean 'cell.csv.gz'"),
        (["cell.csv.gz"], "'t'"),
        (["cell.csv.gz", "--column", "t"], "HEADER=MEANING"),
        (["cell.csv.gz", *COLUMNS, "--nominal-capacity", "0"], "must be positive"),
        (["cell.csv.gz", "cell.csv.gz"], "both be called 'cell'"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(folder, arguments, message):
    done = call(*arguments)
    assert done.exit_code == 2, done.output
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_that_is_refused_does_not_stop_the_others(folder):
    table = pd.read_csv("cell.csv.gz")
    later = table["t"] > 90_000
    table.loc[later, "t"] -= 50_000.0
    table.to_csv("clock.csv", index=False)
    done = call("clock.csv", "cell.csv.gz", *COLUMNS)
    assert done.exit_code == 2
    assert "clock.csv: clock: 'time' goes back" in done.stderr
    assert "To read it all the same, repaired: --repair clock." in done.stderr
    assert "cell.csv.gz: " in done.stdout
    assert (folder / "cellmodels-checkups" / "cell.nc").is_file()
    done = call("clock.csv", *COLUMNS, "--repair", "clock")
    assert done.exit_code == 0, done.output
    assert "Repaired: clock ('time', " in done.stdout


def test_messages_name_options(folder):
    Path("plain.csv").write_text("Time,U,current [A]\n0,4,1\n", "utf8")
    done = call("plain.csv", "--column", "U=voltage [V]")
    assert "name it: --column 'Time=time [s]', or leave it out: --column Time=." in done.stderr


def test_a_wrong_segment_is_refused_with_what_exists(folder):
    call("cell.csv.gz", *COLUMNS, "--write")
    file = folder / "cell.csv.gz.checkups.toml"
    file.write_text(file.read_text("utf8").replace("segments = [1]", "segments = [70]"), "utf8")
    done = call("cell.csv.gz")
    assert done.exit_code == 2
    assert "the trace has 0 to 8, and a current flows in 1, 3, 5, 7" in done.stderr


def test_the_schema_of_corrections_is_printed():
    done = CliRunner().invoke(cli.app, ["parameters", "schema", "checkups"])
    assert done.exit_code == 0
    assert '"slow discharge"' in done.stdout
