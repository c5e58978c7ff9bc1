"""Per-cycle quantities of measured traces, against published ones and instruments' own counters."""

from __future__ import annotations

import csv
import gzip
import os
import warnings
from pathlib import Path

import numpy as np
import pytest

import cellmodels as cm
from cellmodels.record import read_record, segment
from cellmodels.record.cycles.segments import kinds

pytestmark = pytest.mark.data

NASA = {
    "Time": "time [s]",
    "Voltage_measured": "voltage [V]",
    "Current_measured": "Current / A",
    "Temperature_measured": "temperature [degC]",
    "cycle_idx": "cycle",
}


@pytest.fixture(scope="module")
def data():
    """The folder of measured data that is not part of the repository."""
    folder = os.environ.get("CELLMODELS_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("CELLMODELS_DATA names no folder of measured data")
    return Path(folder)


def read(path, **options):
    if not path.is_file():
        pytest.skip(f"{path.name} is not there")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return read_record(path, **options)


def text(path):
    content = path.read_bytes()
    return (gzip.decompress(content) if path.suffix == ".gz" else content).decode("latin1")


def rows(path):
    return list(csv.DictReader(text(path).splitlines()))


@pytest.mark.parametrize("cell", ["B0005", "B0006", "B0007"])
def test_published_capacities_of_the_nasa_cells(data, cell):
    """Published: the charge until the first sample below 2.7 V, whatever the cell's own limit."""
    folder = data / "nasa_pcoe"
    record = read(folder / f"discharge_traces_{cell}.csv.gz", columns=NASA, time_restarts="cycle")
    table = rows(folder / "cycle_summary_34cells.csv")
    published = [float(row["capacity_ahr"]) for row in table if row["battery_id"] == cell]
    cycles = cm.summarise_cycles(record, end_voltage=2.7, interpolate=False)
    assert cycles["cycle"].values.tolist() == list(range(1, 169))
    np.testing.assert_allclose(cycles["discharge_capacity"], published, atol=1e-4)
    # all of them agree, the irregular ones too: those after the longest pauses
    flagged = cycles["cycle"].values[cycles["discharge_capacity_flag"].values == 1]
    assert 90 in flagged and set(flagged) <= {48, 49, 90, 91}
    # between two samples, 2.7 V is reached up to one interval of 20 s before
    exact = cm.summarise_cycles(record, end_voltage=2.7)["discharge_capacity"].values
    early = np.asarray(published) - exact
    assert early.min() > -1e-4 and early.max() < 2.02 * 21 / 3600
    # the time begins anew nowhere but with a cycle
    assert np.all(np.diff(record["traces"]["time"].values) >= 0)


@pytest.mark.parametrize("number", [1, 10, 40, 80, 120, 160])
def test_steps_of_the_nasa_charges(data, number):
    """A rest, a spike of discharge, 1.5 A until 4.2 V, a hold until 20 mA, and a rest again."""
    columns = {
        "charge_time": "time [s]",
        "voltage": "voltage [V]",
        "current": "Current / A",
        "temperature": "temperature [degC]",
    }
    path = data / f"nasa_pcoe/charge_traces_B0005/charge_{number}.csv.gz"
    steps = segment(read(path, columns=columns)["traces"].to_dataset())
    found = kinds(steps)
    assert found[0] == "rest" and found[-1] == "rest"
    charging = steps["charge"].values < -1e-3
    assert [one for one, does in zip(found, charging, strict=True) if does] in (
        ["current", "voltage"],
        ["current", "voltage", "voltage"],
    )
    constant = int(np.flatnonzero(charging)[0])
    assert float(steps["current"][constant]) == pytest.approx(-1.51, abs=0.01)
    assert float(steps["end_voltage"][constant]) == pytest.approx(4.205, abs=0.006)


def test_the_counters_of_an_arbin_file(data):
    """Its counters begin anew with each cycle; its currents were sampled every 5 s."""
    path = data / "vendor_formats/arbin/arbin_example.csv"
    cycles = cm.summarise_cycles(read(path))
    table = rows(path)
    for name, header in (
        ("discharge_capacity", "Discharge_Capacity"),
        ("discharge_energy", "Discharge_Energy"),
        ("charge_capacity", "Charge_Capacity"),
        ("charge_energy", "Charge_Energy"),
    ):
        for k, cycle in enumerate(("1", "2")):
            counted = np.array([float(r[header]) for r in table if r["Cycle_Index"] == cycle])
            steps = np.diff(counted)
            whole = steps[steps > 0].sum() if counted[0] > 0.1 else counted[-1]
            assert float(cycles[name][k]) == pytest.approx(whole, rel=6e-4)


def test_the_cycles_of_a_neware_file_with_summaries(data):
    """Its lines of cycles; rows every 30 s, the last of a step up to 15 s before its end."""
    path = data / "vendor_formats/neware/nw_regular_export_ife_example.csv.gz"
    cycles = cm.summarise_cycles(read(path))
    lines = [line.split(",") for line in text(path).splitlines() if line[:1].isdigit()]
    table = np.array([[float(cell) for cell in line[:6]] for line in lines])
    assert cycles["cycle"].values.tolist() == table[:, 0].tolist()
    for name, column, unit in (
        ("charge_capacity", 1, 2e-4),
        ("discharge_capacity", 2, 2e-4),
        ("charge_energy", 4, 9e-4),
        ("discharge_energy", 5, 9e-4),
    ):
        np.testing.assert_allclose(cycles[name], table[:, column], rtol=1e-4, atol=unit)


def test_the_counters_of_a_neware_file(data):
    path = data / "vendor_formats/neware/neware_uio.csv.gz"
    cycles = cm.summarise_cycles(read(path))
    table = rows(path)
    for name, header in (
        ("charge_capacity", "Chg. Cap.(Ah)"),
        ("discharge_capacity", "DChg. Cap.(Ah)"),
        ("charge_energy", "Chg. Energy(Wh)"),
        ("discharge_energy", "DChg. Energy(Wh)"),
    ):
        sums = dict.fromkeys(range(1, 5), 0.0)
        for this, following in zip(table, [*table[1:], None], strict=True):
            if following is None or this["Step Index"] != following["Step Index"]:
                sums[int(this["Cycle Index"])] += float(this[header])
        np.testing.assert_allclose(cycles[name], list(sums.values()), rtol=1e-4)


@pytest.mark.parametrize(
    ("name", "columns", "scale", "within"),
    [
        ("PreDiag_000229_000229_truncated.034.gz", {}, 1.0, 1e-4),
        # each hold has three samples: by the trapezoidal rule its 4.7 mA.h are 0.9 mA.h too many
        ("maccor_three.txt", {"Volts": "voltage [mV]"}, 1e-3, 1.1e-3),
    ],
)
def test_the_counters_of_maccor_files(data, name, columns, scale, within):
    path = data / "vendor_formats/maccor" / name
    record = read(path, columns=columns)
    cycles = cm.summarise_cycles(record)
    lines = [line.split("\t") for line in text(path).splitlines() if line.strip()]
    begin = next(k for k, line in enumerate(lines) if line[0].startswith("Rec#"))
    header = lines[begin]
    place = {key: header.index(key) for key in ("Cyc#", "State")}
    charge = next(k for k, key in enumerate(header) if key.endswith("mp-hr"))
    last: dict[tuple[str, int], float] = {}
    for line in lines[begin + 1 :]:
        last[line[place["State"]], int(line[place["Cyc#"]])] = float(line[charge]) * scale
    # a discharge that the file ends in is left out; a charge in two steps is counted on
    for state, variable in (("C", "charge_capacity"), ("D", "discharge_capacity")):
        found = [
            (cycles[variable].values[cycle], counted)
            for (one, cycle), counted in last.items()
            if one == state and counted > 0.1
        ]
        assert found
        if state == "C" and scale == 1.0:
            found = found[1:]  # a pulse and a charge, each counted from zero
        np.testing.assert_allclose(*zip(*found, strict=True), rtol=within)


def test_a_flow_cell_against_the_cyclers_own_statistics(data):
    """Zn/I2 flow cell; sums of the instrument as noted beside the data."""
    path = data / "pnnl_ezbattery_flow/ZnI2_trace_tidy.csv"
    cycles = cm.summarise_cycles(read(path, columns={"Step_Index": "step"}))
    expected = {
        "charge_capacity": 3.2160,
        "discharge_capacity": 3.1109,
        "charge_energy": 4.226,
        "discharge_energy": 3.758,
    }
    for name, value in expected.items():
        assert float(cycles[name][0]) == pytest.approx(value, rel=2e-4)
    assert float(cycles["coulombic_efficiency"][0]) == pytest.approx(0.967, abs=5e-4)
