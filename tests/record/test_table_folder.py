"""Records as folders of CSV tables."""

from __future__ import annotations

import json
import os
import tempfile

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from cellmodels.errors import InputError
from cellmodels.record import build_record, read_record, write_tables


def full_record():
    record = build_record(
        cycles={
            "cycle": [1, 2, 4],
            "discharge_capacity": [2.0, 1.9000000000000001, np.nan],
            "discharge_capacity_std": [0.1, 0.1, 0.1],
            "discharge_capacity_flag": [0, 1, 0],
            "swelling [um]": [0.1, 0.2, 0.30000000000000004],
        },
        checkups={
            "cycle": [0, 100],
            "elapsed_time": [0.0, 1e6 / 3],
            "capacity_C20": [2.1, 2.0],
            "voltage_C20": [[4.0, 3.7, 3.5], [3.9, 3.6, np.nan]],
            "voltage_C20_std": [[0.1, 0.2, 0.3], [0.1, 0.2, 0.3]],
            "charge_C20": [0.1, 0.30000000000000004, 1 / 3],
        },
        traces={"time": [0.0, 1.0, 2.0], "voltage": [4, 3.9, 3.8], "current": [0, 1.1, -1.1]},
        impedance={
            "frequency": [1e3, 1.0],
            "impedance_real": [0.1, 0.2],
            "impedance_imaginary": [-0.1, -0.2],
            "current": [0.0, 1e-3],
            "spectrum": [1, 1],
        },
        title="Ä cell, with a comma",
        synthetic=True,
    )
    record.attrs |= {"estimates": "a, b", "number": 0.1, "list": [1, 2]}
    record["cycles"].attrs["note"] = "of a group"
    return record


def test_it_is_read_back_exactly(tmp_path):
    write_tables(full_record(), tmp_path / "cell")
    xr.testing.assert_identical(read_record(tmp_path / "cell"), full_record())
    names = ["checkups.csv", "cycles.csv", "impedance.csv", "record.json", "traces.csv"]
    assert sorted(os.listdir(tmp_path / "cell")) == names


def test_headers_are_for_people(tmp_path):
    write_tables(full_record(), tmp_path)
    assert pd.read_csv(tmp_path / "checkups.csv").columns.tolist() == [
        "cycle",
        "elapsed_time [s]",
        "capacity_C20 [A.h]",
        *(f"voltage_C20 @ {charge!r} A.h [V]" for charge in (0.1, 0.30000000000000004, 1 / 3)),
        *(f"voltage_C20_std @ {charge!r} A.h [V]" for charge in (0.1, 0.30000000000000004, 1 / 3)),
    ]


def test_tables_without_attributes_are_read_by_their_headers(tmp_path):
    record = full_record()
    write_tables(record, tmp_path)
    (tmp_path / "record.json").unlink()
    found = read_record(tmp_path, flag=False)
    for group in ("checkups", "traces", "impedance"):
        expected = record[group].to_dataset()
        assert found[group].to_dataset().identical(expected)
    assert found.attrs["ignored_columns"] == "swelling [um]"


number = st.floats(-1e12, 1e12, allow_nan=False)


@settings(max_examples=20)
@given(st.lists(st.tuples(number, st.floats(1e-300, 1e300), number), min_size=1, max_size=9))
def test_any_numbers_are_read_back_exactly(rows):
    real, frequency, imaginary = np.array(rows).T
    impedance = {"frequency": frequency, "impedance_real": real, "impedance_imaginary": imaginary}
    record = build_record(impedance=impedance)
    with tempfile.TemporaryDirectory() as folder:
        write_tables(record, folder)
        xr.testing.assert_identical(read_record(folder), record)


def test_a_record_is_replaced_only_on_request(tmp_path):
    write_tables(full_record(), tmp_path)
    other = build_record(cycles={"cycle": [1, 2], "discharge_capacity": [1.0, 0.9]})
    with pytest.raises(InputError, match="there already; overwrite=True"):
        write_tables(other, tmp_path)
    xr.testing.assert_identical(read_record(tmp_path), full_record())
    write_tables(other, tmp_path, overwrite=True)
    xr.testing.assert_identical(read_record(tmp_path), other)
    assert sorted(os.listdir(tmp_path)) == ["cycles.csv", "record.json"]


def test_a_failed_write_is_no_record(tmp_path, monkeypatch):
    write_tables(full_record(), tmp_path)

    def fail(self, target, **options):
        raise OSError("disk full")

    monkeypatch.setattr(pd.DataFrame, "to_csv", fail)
    with pytest.raises(InputError, match="disk full"):
        write_tables(full_record(), tmp_path, overwrite=True)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda about: about.update(schema="other"), "its 'schema' is 'other'"),
        (lambda about: about.pop("groups"), "not as it was written"),
        (lambda about: about.update(groups=[1]), "not as it was written"),
        (lambda about: variables(about).pop("discharge_capacity"), "is not in record.json"),
        (lambda about: variables(about)["cycle"].update(type="object"), "which is no number"),
        (lambda about: variables(about)["cycle"].update(type="nonsense"), "not as it was written"),
        (lambda about: variables(about).update(more=variables(about)["cycle"]), "no column 'more'"),
        (
            lambda about: variables(about)["discharge_capacity"].update(type="int64"),
            "no whole numbers",
        ),
        (
            lambda about: variables(about)["cycle"].update(dimensions=["cycle"], values=[1, 2]),
            "the column 'cycle' is not in",
        ),
    ],
)
def test_attributes_that_do_not_fit_are_refused(tmp_path, change, words):
    write_tables(full_record(), tmp_path)
    about = json.loads((tmp_path / "record.json").read_text())
    change(about)
    (tmp_path / "record.json").write_text(json.dumps(about))
    with pytest.raises(InputError) as caught:
        read_record(tmp_path)
    assert words in str(caught.value)


def variables(about):
    return about["groups"]["cycles"]["variables"]


def test_what_is_refused(tmp_path):
    write_tables(full_record(), tmp_path)
    with pytest.raises(InputError, match="not for netCDF and other records"):
        read_record(tmp_path, columns={"a": "cycle"})
    (tmp_path / "cycles.csv").unlink()
    with pytest.raises(InputError, match=r"cycles\.csv"):
        read_record(tmp_path)
    with pytest.raises(InputError, match="cannot be written"):
        write_tables(full_record(), tmp_path / "no" / "where")
    with pytest.raises(InputError, match="'schema'"):
        write_tables(xr.DataTree(), tmp_path / "new")
    assert not (tmp_path / "new").exists()
