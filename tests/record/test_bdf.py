"""Traces in the Battery Data Format: read back exactly, and accepted by its own library."""

from __future__ import annotations

import gzip
import importlib.util
import os
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cellmodels.errors import InputError
from cellmodels.record import build_record, check_quality, read_record, write_bdf

needs_parquet = pytest.mark.skipif(
    importlib.util.find_spec("pyarrow") is None, reason="pyarrow is not installed (extra 'data')"
)
ENDINGS = [".bdf.csv", ".bdf.csv.gz", pytest.param(".bdf.parquet", marks=needs_parquet)]
TRACES = {
    "time": [0.0, 0.1, 10.3],
    "voltage": [4.1, 4.0, 3.9000000000000004],
    "current": [0.0, 1.5, -0.1],
    "temperature": [298.15, 298.16, 300.7],
    "ambient_temperature": [298.0, np.nan, 299.0],
    "cycle": [1, 1, 2],
    "step": [1, 2, 3],
}


def record_of(traces=TRACES, **attrs):
    record = build_record(traces=traces)
    record.attrs |= attrs
    return record


@pytest.mark.parametrize("ending", ENDINGS)
def test_it_is_read_back_exactly(tmp_path, ending):
    record = record_of()
    assert write_bdf(record, tmp_path / f"cell{ending}") == ()
    found = read_record(tmp_path / f"cell{ending}")
    assert found["traces"].to_dataset().identical(record["traces"].to_dataset())
    assert os.listdir(tmp_path) == [f"cell{ending}"]


number = st.floats(-1e6, 1e6, allow_nan=False)


@settings(max_examples=20)
@given(st.lists(st.tuples(number, number, st.floats(250, 330)), min_size=3, max_size=20), st.data())
def test_any_numbers_are_read_back_exactly(rows, data):
    steps = data.draw(st.lists(st.floats(1e-6, 3000.0), min_size=len(rows), max_size=len(rows)))
    voltage, current, temperature = np.array(rows).T
    traces = {
        "time": np.cumsum(steps),
        "voltage": voltage / 1e3,
        "current": current,
        "temperature": temperature,
    }
    record = record_of(traces)
    assume(not check_quality(record).refused)  # such a file is not read
    with tempfile.TemporaryDirectory() as folder:
        write_bdf(record, Path(folder, "cell.bdf.csv"))
        found = read_record(Path(folder, "cell.bdf.csv"))
    for name in traces:
        np.testing.assert_array_equal(found["traces"][name], record["traces"][name])


@pytest.mark.skipif(importlib.util.find_spec("bdf") is None, reason="batterydf is not installed")
@pytest.mark.parametrize("ending", ENDINGS)
def test_the_formats_own_library_accepts_it(tmp_path, ending, monkeypatch):
    import bdf

    path = tmp_path / f"cell{ending}"
    write_bdf(record_of(start_time="2024-05-01T10:00:00"), path)
    table, about = bdf.read(path, validate=True)
    assert about.bdf.source.startswith("bdf")
    report = bdf.validate(path, raise_on_error=True)
    assert report["ok"]
    assert report["extras"] == []
    assert report["legacy_labels"] == []
    assert report["derived"]["issues"] == []
    np.testing.assert_array_equal(table["Current / A"], [0.0, -1.5, 0.1])
    np.testing.assert_allclose(table["Unix Time / s"], [1714557600, 1714557600.1, 1714557610.3])
    np.testing.assert_allclose(table["Surface Temperature / degC"], [25.0, 25.01, 27.55])


def test_what_it_cannot_hold_is_returned(tmp_path):
    record = build_record(
        traces={**TRACES, "pressure [Pa]": [1.0, 2.0, 3.0]},
        cycles={"cycle": [1, 2], "discharge_capacity": [1.0, 0.9]},
    )
    assert write_bdf(record, tmp_path / "cell.bdf.csv") == ("/cycles", "pressure")
    header = (tmp_path / "cell.bdf.csv").read_text().splitlines()[0]
    assert header == (
        "Test Time / s,Voltage / V,Current / A,Surface Temperature / degC,"
        "Ambient Temperature / degC,Cycle Count / 1,Step Count / 1"
    )


def test_the_same_record_gives_the_same_bytes(tmp_path):
    for name in ("a.bdf.csv.gz", "b.bdf.csv.gz"):
        write_bdf(record_of(), tmp_path / name)
    assert (tmp_path / "a.bdf.csv.gz").read_bytes() == (tmp_path / "b.bdf.csv.gz").read_bytes()
    assert gzip.decompress((tmp_path / "a.bdf.csv.gz").read_bytes()).startswith(b"Test Time / s")


def test_a_file_is_replaced_only_on_request(tmp_path):
    path = tmp_path / "cell.bdf.csv"
    path.write_text("mine")
    with pytest.raises(InputError, match="there already; overwrite=True"):
        write_bdf(record_of(), path)
    assert path.read_text() == "mine"
    write_bdf(record_of(), path, overwrite=True)
    assert read_record(path)["traces"].sizes["sample"] == 3


def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch):
    path = tmp_path / "cell.bdf.csv"
    write_bdf(record_of(), path)
    before = path.read_bytes()

    def fail(self, target, **options):
        Path(target).write_text("half")
        raise OSError("disk full")

    monkeypatch.setattr(pd.DataFrame, "to_csv", fail)
    with pytest.raises(InputError, match="disk full"):
        write_bdf(record_of(), path, overwrite=True)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["cell.bdf.csv"]


def test_what_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"ends in \.bdf\.csv, \.bdf\.csv\.gz or \.bdf\.parquet"):
        write_bdf(record_of(), tmp_path / "cell.csv")
    cycles = build_record(cycles={"cycle": [1, 2], "discharge_capacity": [1.0, 0.9]})
    with pytest.raises(InputError, match="no traces"):
        write_bdf(cycles, tmp_path / "cell.bdf.csv")
    with pytest.raises(InputError, match="cannot be written"):
        write_bdf(record_of(), tmp_path / "nowhere" / "cell.bdf.csv")
    assert os.listdir(tmp_path) == []
