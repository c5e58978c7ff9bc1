"""Reading and writing records."""

from __future__ import annotations

import contextlib
import gzip
import os
import pickle
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from cellmodels.errors import InputError, UnitError
from cellmodels.record import build_record, check_record, read_record, write_record
from cellmodels.record.columns import identify, mapped, recognise, split_header
from cellmodels.record.files import contents
from cellmodels.record.files.current_sign import discharge_positive
from cellmodels.record.schema import CYCLE_VARIABLES


@pytest.fixture
def write(tmp_path):
    """Write a text file and return its path."""

    def _write(text, name="cell.csv"):
        path = tmp_path / name
        data = text.encode() if isinstance(text, str) else text
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return path

    return _write


CYCLES = "cycle,discharge_capacity [A.h]\n1,2.0\n2,1.99\n5,1.97\n"
CHECKUPS = "cycle,capacity_1C [A.h],resistance_10s [mohm]\n0,2.0,30\n100,1.9,33\n"
TRACE = "Test Time / s,Voltage / V,Current / A\n0,4.0,0\n10,3.9,-1.5\n20,4.1,0.5\n"


# --- headers -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "name", "unit"),
    [
        ("discharge_capacity [A.h]", "discharge_capacity", "A.h"),
        ("Capacity (Ah)", "Capacity", "Ah"),
        ("Voltage / V", "Voltage", "V"),
        ("capacity_Ah", "capacity", "A.h"),
        ("capacity_mAh", "capacity", "mA.h"),
        ("capacity_ahr", "capacity", "A.h"),
        ("voltage_volt", "voltage", "V"),
        ("test_time_second", "test_time", "s"),
        ("surface_temperature_celsius", "surface_temperature", "degC"),
        ("Cycle Count / 1", "Cycle Count", "-"),
        ("Temperature (°C)", "Temperature", "degC"),
        ("cycle", "cycle", None),
        ("capacity_C20", "capacity_C20", None),
    ],
)
def test_a_header_is_a_name_and_a_unit(header, name, unit):
    assert split_header(header) == (name, unit)


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("Cycle", "cycle"),
        ("Cycle_Index", "cycle"),
        ("cycle number", "cycle"),
        ("Discharge_Capacity (Ah)", "discharge_capacity"),
        ("Discharge Capacity [mA.h]", "discharge_capacity"),
        ("capacity_Ah", "discharge_capacity"),
        ("Charge_Capacity (Ah)", "charge_capacity"),
        ("cc_Q_Ah", "cc_charge_capacity"),
        ("cv_Q_Ah", "cv_charge_capacity"),
        ("Discharge_Energy (Wh)", "discharge_energy"),
        ("CE", "coulombic_efficiency"),
        ("CE (%)", "coulombic_efficiency"),
        ("charge_Ah", "charge_capacity"),
        ("Discharge (mWh)", "discharge_energy"),
        ("discharge_V", None),
        ("Test_Time (s)", "elapsed_time"),
        ("discharge_throughput [A.h]", "throughput"),
        ("capacity_C20 [A.h]", "capacity_C20"),
        ("Capacity C20 (Ah)", "capacity_C20"),
        ("resistance_10s_mohm", "resistance_10s"),
        ("capacity_1C_Ah", "capacity_1C"),
        ("capacity_1C_std [A.h]", "capacity_1C_std"),
        ("capacity_1C_Ah_std", "capacity_1C_std"),
        ("discharge_capacity_flag", "discharge_capacity_flag"),
        ("voltage_C20 @ 0.5 A.h [V]", "voltage_C20"),
        ("voltage_C20_std @ 500mAh [mV]", "voltage_C20_std"),
        ("temperature_C", None),
        ("cell", None),
        ("voltage [V]", None),
    ],
)
def test_known_headers(header, name):
    meaning = identify(header)
    assert (None if meaning is None else recognise(meaning).name) == name


@pytest.mark.parametrize(
    ("header", "name", "unit"),
    [
        ("I[A]", "current", "A"),
        ("U [mV]", "voltage", "mV"),
        ("t/s", None, None),
        ("t [s]", "time", "s"),
        ("V_min", None, None),
        ("I_avg", None, None),
        ("V", None, None),
        ("Temperature [C]", "temperature", "degC"),
        ("cell_temperature_C", "temperature", "degC"),
    ],
)
def test_headers_of_a_trace(header, name, unit):
    meaning = identify(header, trace=True)
    found = None if meaning is None else recognise(meaning)
    assert (found.name if found else None, found.unit if found else None) == (name, unit)


@pytest.mark.parametrize("name", CYCLE_VARIABLES)
def test_the_schemas_own_names_are_known(name):
    assert recognise(identify(f"{name} [{CYCLE_VARIABLES[name].unit}]")).name == name


def test_a_column_of_a_curve_has_a_charge():
    column = recognise(identify("voltage_C20 @ 500 mAh [mV]"))
    assert (column.along, column.place) == ("charge", pytest.approx(0.5))
    with pytest.raises(InputError, match="the charge"):
        identify("voltage_C20 @ 500 mV [V]")


def test_a_column_of_a_curve_over_time_has_a_time():
    for header in ("voltage_relax @ 2 min [mV]", "voltage_relax at 120 s [V]"):
        column = recognise(identify(header))
        assert (column.name, column.along, column.place) == ("voltage_relax", "time", 120.0)


def test_words_that_begin_as_a_test_do_are_none():
    assert identify("energy_C20 [W.h]").name == "energy_C20"
    for header in ("energy_Throughput [W.h]", "voltage mean [V]", "voltage_charge [V]"):
        assert identify(header) is None
    assert mapped("E", "energy_slow [mW.h]").name == "energy_slow"


@pytest.mark.parametrize(
    ("header", "direction"),
    [
        ("Current / A", -1),
        ("current_ampere", -1),
        ("current [A]", 1),
        ("current [mA]", 1),
        ("Current [mA]", 0),
        ("Current (A)", 0),
        ("current_A", 0),
        ("I [A]", 0),
    ],
)
def test_the_sign_of_a_current_follows_from_its_header(header, direction):
    assert recognise(identify(header, trace=True)).direction == direction


def test_what_a_column_is_mapped_to_must_be_known():
    assert mapped("Q", "discharge_capacity [mA.h]").unit == "mA.h"
    with pytest.raises(InputError, match="nothing like 'dischrge_capacity .*'discharge_capacity'"):
        mapped("Q", "dischrge_capacity [A.h]")
    with pytest.raises(InputError, match="has no unit"):
        mapped("Q", "discharge_capacity")
    with pytest.raises(InputError, match="no text"):
        mapped("Q", 5)


# --- tables ------------------------------------------------------------------------------------


def test_a_table_of_cycles(write):
    record = read_record(write(CYCLES))
    assert list(record.children) == ["cycles"]
    assert list(record["cycles/cycle"].values) == [1, 2, 5]
    assert list(record["cycles/discharge_capacity"].values) == [2.0, 1.99, 1.97]
    assert record.attrs["title"] == record.attrs["source"] == "cell.csv"
    assert record.attrs["synthetic"] == 0
    check_record(record)


@pytest.mark.parametrize(
    "name", ["cell.csv.gz", "cell.txt", "cell.bdf", "cell.bdf.csv", "CELL.CSV"]
)
def test_other_names_of_text(write, name):
    xr.testing.assert_equal(read_record(write(CYCLES, name)), read_record(write(CYCLES)))


@pytest.mark.parametrize(
    "text",
    [
        CYCLES.replace(",", "\t"),
        CYCLES.replace(",", ";"),
        CYCLES.replace(",", ";").replace(".0", ",0").replace(".9", ",9"),
        CYCLES.replace("\n", "\r\n"),
        "\ufeff" + CYCLES,
        "# exported\n# by a cycler\n" + CYCLES,
        CYCLES.replace(",", " , "),
        CYCLES + "\n\n",
        CYCLES.replace("2,1.99", ",\n2,1.99"),
    ],
)
def test_other_spellings_of_a_table(write, text):
    xr.testing.assert_equal(read_record(write(text)), read_record(write(CYCLES, "other.csv")))


def test_units_are_converted(write):
    text = (
        "Cycle_Index,Discharge_Capacity (mAh),CE (%),Test_Time (h)\n1,2000,99.9,2\n2,1990,99.8,4\n"
    )
    cycles = read_record(write(text))["cycles"]
    assert cycles["discharge_capacity"].values == pytest.approx([2.0, 1.99])
    assert cycles["coulombic_efficiency"].values == pytest.approx([0.999, 0.998])
    assert cycles["elapsed_time"].values == pytest.approx([7200.0, 14400.0])


def test_numbers_are_read_to_the_last_bit(write):
    value = 2.0 / 3.0
    record = read_record(write(f"cycle,capacity_Ah\n1,{value!r}\n"))
    assert record["cycles/discharge_capacity"].item() == value


def test_cycles_and_checkups_in_one_table(write):
    text = "cycle,capacity_Ah,capacity_C20 [A.h]\n0,,2.2\n1,2.0,\n2,1.9,2.1\n"
    record = read_record(write(text))
    assert list(record["cycles/cycle"].values) == [1, 2]
    assert list(record["checkups/cycle"].values) == [0, 2]
    assert list(record["checkups/capacity_C20"].values) == [2.2, 2.1]


def test_cycles_and_checkups_in_two_tables(write):
    record = read_record(
        cycles=write(CYCLES, "a.csv"), checkups=write(CHECKUPS, "b.csv"), title="x"
    )
    assert list(record.children) == ["cycles", "checkups"]
    assert record["checkups/resistance_10s"].values == pytest.approx([0.030, 0.033])
    assert record.attrs["title"] == "x"
    assert record.attrs["source"] == "a.csv, b.csv"


def test_a_folder_of_tables(write, tmp_path):
    write(CYCLES, "cycles.csv")
    write(CHECKUPS, "checkups.csv.gz")
    write(TRACE, "traces.bdf.csv")
    write("nothing", "notes.md")
    assert list(read_record(tmp_path).children) == ["cycles", "checkups", "traces"]


def test_a_voltage_curve_has_a_column_for_each_charge(write):
    text = (
        "cycle,voltage_C20 @ 1 A.h [mV],voltage_C20 @ 0.5 A.h [V],voltage_C20_std @ 1 A.h [mV],"
        "voltage_C20_std @ 0.5 A.h [V]\n0,3700,4.0,1,0.002\n100,,3.9,1,0.002\n"
    )
    checkups = read_record(write(text))["checkups"].to_dataset()
    assert list(checkups["charge_C20"].values) == [0.5, 1.0]
    np.testing.assert_allclose(checkups["voltage_C20"].values, [[4.0, 3.7], [3.9, np.nan]])
    np.testing.assert_allclose(checkups["voltage_C20_std"].values, [[0.002, 0.001]] * 2)


def test_columns_can_be_named(write):
    text = "n,Q,E\n1,2000,9\n2,1990,9\n"
    columns = {"n": "cycle", "Q": "discharge_capacity [mA.h]"}
    record = read_record(write(text), columns=columns)
    assert record["cycles/discharge_capacity"].values == pytest.approx([2.0, 1.99])
    assert record.attrs["ignored_columns"] == "E"


def test_a_named_column_takes_the_place_of_a_known_one(write):
    text = "cycle,capacity,Q\n1,5,2\n"  # "capacity" has no unit, which does not matter then
    record = read_record(write(text), columns={"Q": "discharge_capacity [A.h]"})
    assert record["cycles/discharge_capacity"].item() == 2.0


def test_a_column_can_be_left_out(write):
    text = "cycle,Q_dis (Ah),q_dis (Ah)\n1,2,0.9\n"
    with pytest.raises(InputError, match=r"'Q_dis \(Ah\)' and 'q_dis \(Ah\)' both are"):
        read_record(write(text))
    record = read_record(write(text), columns={"q_dis (Ah)": None})
    assert record["cycles/discharge_capacity"].item() == 2.0


def test_rows_can_be_chosen(write):
    text = "cell,T,cycle,capacity_Ah\nB1,25,1,2.0\nB1,25,2,1.9\nB2,45,1,2.1\n"
    path = write(text)
    assert read_record(path, where={"cell": "B2"})["cycles/discharge_capacity"].item() == 2.1
    assert read_record(path, where={"T": 25, "cell": "B1"})["cycles"].sizes["point"] == 2
    with pytest.raises(InputError, match="several cells"):
        read_record(path)
    with pytest.raises(InputError, match="no row has cell = 'B9'. Choose from: B1, B2"):
        read_record(path, where={"cell": "B9"})
    with pytest.raises(InputError, match="no column 'cel'. Did you mean 'cell'"):
        read_record(path, where={"cel": "B1"})


def test_cycles_can_be_counted_from_zero(write):
    path = write("cycle,capacity_Ah\n0,2.0\n1,1.9\n")
    with pytest.raises(InputError, match="cycle_offset=1"):
        read_record(path)
    assert list(read_record(path, cycle_offset=1)["cycles/cycle"].values) == [1, 2]


def test_attributes_can_be_given(write):
    record = read_record(write(CYCLES), synthetic=True, checkups_count_as_cycles=True)
    assert record.attrs["synthetic"] == 1
    assert record.attrs["checkups_count_as_cycles"] == 1


def test_outliers_are_flagged_on_reading(write):
    rows = "".join(f"{k},{1.0 if k == 12 else 2 - k / 1000}\n" for k in range(1, 31))
    path = write("cycle,capacity_Ah\n" + rows)
    assert list(np.flatnonzero(read_record(path)["cycles/discharge_capacity_flag"].values)) == [11]
    assert "discharge_capacity_flag" not in read_record(path, flag=False)["cycles"]


def test_a_misspelt_column_is_noticed(write):
    text = "cycle,capacity_Ah,charge_capcity [A.h]\n1,2,2\n"
    with pytest.warns(UserWarning, match="left out. Did you mean 'charge_capacity'"):
        read_record(write(text))


def test_parquet(tmp_path):
    pytest.importorskip("pyarrow")
    frame = pd.DataFrame({"cell": ["a", "b"], "cycle": [1, 1], "capacity_mAh": [2000.0, 1900.0]})
    frame.to_parquet(tmp_path / "cells.parquet")
    (tmp_path / "cells.parquet.gz").write_bytes(
        gzip.compress((tmp_path / "cells.parquet").read_bytes())
    )
    for name in ("cells.parquet", "cells.parquet.gz"):
        record = read_record(tmp_path / name, where={"cell": "b"})
        assert record["cycles/discharge_capacity"].item() == pytest.approx(1.9)


# --- traces ------------------------------------------------------------------------------------


def test_a_trace_in_the_battery_data_format_is_turned_positive_on_discharge(write):
    record = read_record(write(TRACE))
    assert list(record["traces/current"].values) == [0.0, 1.5, -0.5]
    assert not np.signbit(record["traces/current"].values[0])
    assert list(record["traces/time"].values) == [0.0, 10.0, 20.0]


def test_the_machine_names_of_the_battery_data_format(write):
    text = (
        "test_time_second,voltage_volt,current_ampere,cycle_count,step_count,"
        "surface_temperature_celsius,ambient_temperature_celsius,record_index\n"
        "0,4,-1,1,1,25,24,0\n1,3.9,-1,1,2,26,24,1\n"
    )
    record = read_record(write(text, "a.bdf.csv"))
    traces = record["traces"].to_dataset()
    assert list(traces["current"].values) == [1.0, 1.0]
    assert list(traces["step"].values) == [1, 2]
    np.testing.assert_allclose(traces["temperature"].values, [298.15, 299.15])
    np.testing.assert_allclose(traces["ambient_temperature"].values, [297.15, 297.15])
    assert record.attrs["ignored_columns"] == "record_index"


def test_a_trace_of_our_own_is_left_as_it_is(write):
    text = "time [s],voltage [V],current [A]\n0,4,1\n1,3.9,1\n"
    assert list(read_record(write(text))["traces/current"].values) == [1.0, 1.0]


def test_a_trace_with_other_headers_is_named(write):
    path = write("t,U,I_meas\n0,4,-2\n1,3.9,-2\n")
    columns = {"t": "time [s]", "U": "voltage [V]", "I_meas": "Current / A"}
    assert list(read_record(path, columns=columns)["traces/current"].values) == [2.0, 2.0]
    columns["I_meas"] = "current [A]"
    assert list(read_record(path, columns=columns)["traces/current"].values) == [-2.0, -2.0]


def test_a_cycle_count_that_counts_nothing_is_left_out(write):
    text = "test_time_second,voltage_volt,current_ampere,cycle_count\n0,4,0,6.28\n1,4,0,6.28\n"
    with pytest.warns(UserWarning, match="no whole numbers; it is left out"):
        assert "cycle" not in read_record(write(text))["traces"]


@given(st.lists(st.floats(allow_nan=False), max_size=5).map(np.array))
def test_turning_a_sign_twice_gives_the_same(current):
    np.testing.assert_array_equal(discharge_positive(discharge_positive(current)), current)


# --- errors ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("\n\n", "empty"),
        ("cycle,capacity\n1,2\n", "'capacity' has no unit. Write 'discharge_capacity [A.h]', or"),
        ("cycle,capacity (V)\n1,2\n", "the unit 'V'"),
        ("cycle,capacity (furlong)\n1,2\n", "Unknown unit 'furlong'"),
        ("cycle,capacity_C20\n1,2\n", "'capacity_C20' has no unit. Write 'capacity_C20 [A.h]'"),
        ("a,b\n1,2\n", "no column of a record among 'a', 'b'"),
        ("cycle,capacity_Ah\n", "empty"),
        ("cycle,capacity_Ah\n1,\n2,\n", "are empty"),
        ("cycle,capacity_Ah\n1,2\n2,two\n3,x\n", "holds no number but 'two'; lines 3, 4"),
        ("cycle,capacity_Ah\n1,2\n2,0\n", "must be more than 0, not 0; line 3"),
        ("# a\ncycle,capacity_Ah\n1,2\n2,-1\n", "not -1; line 4"),
        ("cycle,capacity_Ah\n1,2\n1,2\n", "does not increase (several cells?"),
        ("cycle,capacity_Ah\n1,True\n", "holds no numbers"),
        ("cycle,capacity_Ah,capacity_Ah\n1,2,2\n", "two columns have the header 'capacity_Ah'"),
        (
            "time [s],voltage [V],voltage [V],Current / A\n0,3,3,1\n",
            "two columns have the header 'voltage [V]'",
        ),
        ("time [s],voltage [V],Current / A\n0\n1\n", "fewer values than there are headers"),
        ("cycle,capacity_Ah\n1,2,3\n", "more values than there are headers"),
        ("cycle,capacity_Ah\n1,2\n1,2,3,4\n", "no table"),
        ("cycle,capacity_Ah\n1,\"2\n", "no table"),
        ("capacity_Ah\n1\n2\n", "one of cycle, throughput, elapsed_time is needed"),
        (b"\x00\x01\x02", "not a file that a record is read from"),
        (TRACE.replace("Test Time / s", "Test Time"), "no unit"),
        (TRACE.replace("20,", "5,"), "'time' goes back, by 5 s; line 4"),
        (TRACE.replace("-1.5", ""), "'current' is missing; line 3"),
        ("time_s,voltage_V,Current (A)\n0,3.7,1\n9,3.7,1\n", "positive on discharge or on charge?"),
    ],
)  # fmt: skip
def test_a_wrong_table_says_what_is_wrong_and_where(write, text, words):
    path = write(text)
    with pytest.raises(InputError) as caught:
        read_record(path)
    assert words in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_checkup_without_a_test_is_told_how(write):
    path = write("cycle,capacity_mAh\n0,2000\n")
    with pytest.raises(InputError, match=r"columns=\{'capacity_mAh': 'capacity_1C \[mA.h\]'\}"):
        read_record(checkups=path)
    record = read_record(checkups=path, columns={"capacity_mAh": "capacity_1C [mA.h]"})
    assert record["checkups/capacity_1C"].item() == 2.0
    with pytest.raises(InputError, match="no check-up variable"):
        read_record(checkups=write("cycle,x\n0,2\n"))


def test_columns_that_are_not_there_are_refused(write):
    with pytest.raises(InputError, match="no column 'cylce'. Did you mean 'cycle'"):
        read_record(write(CYCLES), columns={"cylce": "cycle"})
    with pytest.raises(InputError, match="two of them"):
        read_record(write("a,b\n1,2\n"), columns={"a": "cycle", "b": "cycle"})
    with pytest.raises(UnitError, match="the unit 'V'"):
        read_record(write("a,b\n1,2\n"), columns={"a": "cycle", "b": "discharge_capacity [V]"})


@pytest.mark.parametrize(
    "path",
    [
        "https://example.org/cell.csv",
        "s3://bucket/cell.parquet",
        "file:///etc/passwd",
        "//host/a.csv",
    ],
)
def test_addresses_in_a_network_are_refused(path):
    for one in (path, Path(path)) if "://" in path else (path,):
        with pytest.raises(InputError, match="an address in a network"):
            read_record(one)


def test_what_is_not_there_or_not_readable_is_refused(write, tmp_path):
    path = write(CYCLES)
    with pytest.raises(InputError, match="There is no file .* Did you mean 'cell.csv'"):
        read_record(path.with_name("cel.csv"))
    for data in (b"\x93NUMPY\x01\x00v\x00", b"%PDF-1.7", b"\x89PNG\r\n\x1a\n", b"MATLAB 5.0\0"):
        with pytest.raises(InputError, match="is read from CSV"):
            read_record(write(data, "other.csv"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"has no cycles.csv.*no files of a cycler"):
        read_record(tmp_path / "empty")
    with pytest.raises(InputError, match="either one path"):
        read_record()
    with pytest.raises(InputError, match="either one path"):
        read_record(path, cycles=path)
    with pytest.raises(InputError, match="A path is a text"):
        read_record("")
    with pytest.raises(InputError, match="A path is a text"):
        read_record(5)


def test_two_tables_of_one_group_in_a_folder_are_refused(write, tmp_path):
    write(CYCLES, "cycles.csv")
    write(CYCLES, "cycles.txt")
    with pytest.raises(InputError, match="two tables of cycles"):
        read_record(tmp_path)


def test_a_file_that_is_too_large_is_refused(write, monkeypatch):
    monkeypatch.setattr(contents, "MAX_BYTES", 1000)
    bomb = write("cycle,capacity_Ah\n" + "1,2\n" * 100_000, "bomb.csv.gz")
    assert bomb.stat().st_size < 1000
    with pytest.raises(InputError, match="larger than"):
        read_record(bomb)


class Mischief:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("name", ["a.csv", "a.parquet", "a.nc", "a.csv.gz", "a.nc.gz"])
def test_nothing_is_ever_unpickled(write, tmp_path, name):
    mark = tmp_path / "unpickled"
    path = write(pickle.dumps(Mischief(mark), protocol=0), name)
    with pytest.raises(InputError):
        read_record(path)
    assert not mark.exists()


endings = st.sampled_from([".csv", ".csv.gz", ".bdf", ".parquet", ".parquet.gz", ".nc", ".nc.gz"])


def read_bytes(folder, data, ending, packed):
    path = folder / f"cell{ending}"
    path.write_bytes(gzip.compress(data) if packed and ending.endswith(".gz") else data)
    with contextlib.suppress(InputError), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        check_record(read_record(path))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("files")


@given(data=st.binary(max_size=200), ending=endings, packed=st.booleans())
def test_any_bytes_are_a_record_or_an_input_error(folder, data, ending, packed):
    read_bytes(folder, data, ending, packed)


cells = st.sampled_from(
    ["cycle", "capacity_Ah", "capacity_1C [A.h]", "voltage_C20 @ 1 A.h [V]", "Test Time / s",
     "Voltage / V", "Current / A", "ce", "x", "1", "2", "-1", "1e999", "nan", "", "NA", "0x1",
     "9" * 400, '"', "'", "True", "1,5", "[", "_std", "capacity_1C_flag", "\x85", "\u2028", "é"]
)  # fmt: skip
tables = st.lists(st.lists(cells, max_size=4).map(",".join), max_size=5).map("\n".join)


@given(text=tables)
def test_any_table_is_a_record_or_an_input_error(folder, text):
    read_bytes(folder, text.encode(), ".csv", packed=False)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # h5netcdf's
@given(data=st.data())
def test_a_damaged_netcdf_file_is_a_record_or_an_input_error(folder, data):
    whole = folder / "whole.nc"
    if not whole.exists():
        write_record(build_record({"cycle": [1, 2], "discharge_capacity": [2.0, 1.9]}), whole)
    content = bytearray(whole.read_bytes())
    places = st.integers(0, len(content) - 1)
    for place in data.draw(st.lists(places, min_size=1, max_size=20)):
        content[place] = data.draw(st.integers(0, 255))
    cut = data.draw(st.none() | places)
    read_bytes(folder, bytes(content[:cut]), ".nc", packed=False)


# --- netCDF ------------------------------------------------------------------------------------


def full_record():
    rng = np.random.default_rng(0)
    k = np.arange(1, 51)
    capacity = 2 - 1e-3 * k + 1e-4 * rng.standard_normal(50)
    capacity[20] = 1.0
    return build_record(
        {
            "cycle": k,
            "throughput": np.cumsum(capacity),
            "elapsed_time [d]": k / 3,
            "discharge_capacity": capacity,
            "discharge_capacity_std": np.full(50, 1e-4),
            "coulombic_efficiency": np.where(k == 7, np.nan, 0.999),
        },
        {
            "cycle": [0, 50],
            "capacity_C20": [2.1, 2.0],
            "resistance_10s": [0.03, np.nan],
            "voltage_C20": [[4.0, 3.7, 3.5], [3.9, 3.6, np.nan]],
            "charge_C20": [0.5, 1.0, 1.5],
            "lithium_loss [%]": [0.0, 3.0],
        },
        {"time": [0.0, 1.0], "voltage": [4.0, 3.9], "current": [0.0, 1.0], "cycle": [1, 1]},
        title="Zelle №17",
        source="made up",
        synthetic=True,
    )


def test_a_record_written_and_read_is_the_same(tmp_path):
    record = full_record()
    write_record(record, tmp_path / "cell.nc")
    found = read_record(tmp_path / "cell.nc")
    xr.testing.assert_identical(found, record)
    assert found.attrs == record.attrs
    assert {type(value) for value in found.attrs.values()} == {str, int}
    for group, child in record.children.items():
        for name in child.to_dataset().variables:
            assert found[group][name].dtype == child[name].dtype, name
    assert "discharge_capacity_flag" in found["cycles"]


def test_written_twice_a_record_is_still_the_same(tmp_path):
    path = tmp_path / "cell.nc"
    write_record(full_record(), path)
    write_record(read_record(path), path)
    xr.testing.assert_identical(read_record(path), full_record())
    assert os.listdir(tmp_path) == ["cell.nc"]


def test_a_compressed_netcdf_file_is_read(tmp_path):
    write_record(full_record(), tmp_path / "cell.nc")
    packed = tmp_path / "cell.nc.gz"
    packed.write_bytes(gzip.compress((tmp_path / "cell.nc").read_bytes()))
    xr.testing.assert_identical(read_record(packed), full_record())


def test_a_netcdf_file_is_read_as_it_is(tmp_path):
    write_record(full_record(), tmp_path / "cell.nc")
    with pytest.raises(InputError, match="for tables, not for netCDF"):
        read_record(tmp_path / "cell.nc", columns={"a": "cycle"})


def test_only_records_are_written_and_only_as_netcdf(tmp_path):
    with pytest.raises(InputError, match="ends in '.nc'"):
        write_record(full_record(), tmp_path / "cell.csv")
    with pytest.raises(InputError, match="cannot be written"):
        write_record(full_record(), tmp_path / "nowhere" / "cell.nc")
    with pytest.raises(InputError, match="'schema'"):
        write_record(xr.DataTree(), tmp_path / "cell.nc")
    assert os.listdir(tmp_path) == []


def test_another_netcdf_file_is_refused(tmp_path):
    xr.Dataset({"a": ("x", [1.0])}).to_netcdf(tmp_path / "other.nc", engine="h5netcdf")
    with pytest.raises(InputError, match="its 'schema' is None"):
        read_record(tmp_path / "other.nc")


# --- measured data -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def data():
    """The folder of measured data that is not part of the repository."""
    folder = os.environ.get("CELLMODELS_DATA")
    if not folder:
        pytest.skip("CELLMODELS_DATA names no folder of measured data")
    if not Path(folder).is_dir():
        pytest.skip(f"CELLMODELS_DATA names '{folder}', which is no folder")
    return Path(folder)


@pytest.mark.data
def test_nmc811_at_two_temperatures(data):
    path = data / "sunwoda_nmc811_labels" / "capacity_per_cycle.csv.gz"
    record = read_record(path, where={"cell": "B1"})
    assert record["cycles"].sizes["point"] == 1299
    capacity = record["cycles/discharge_capacity"].values
    assert capacity[0] == 1.0812
    with pytest.raises(InputError, match="several cells"):
        read_record(path)


@pytest.mark.data
@pytest.mark.parametrize(
    ("folder", "cell", "rows"),
    [("tju", "D1_NCA_battery/CY25-025_1-#1", 478), ("xjtu_ncm", "2C_battery-1", 375)],
)
def test_capacities_with_constant_current_and_constant_voltage_charge(data, folder, cell, rows):
    record = read_record(data / folder / "capacity_per_cycle.csv.gz", where={"cell": cell})
    cycles = record["cycles"].to_dataset()
    assert cycles.sizes["point"] == rows
    assert {"discharge_capacity", "cc_charge_capacity", "cv_charge_capacity"} <= set(cycles)


@pytest.mark.data
def test_an_outlier_of_a_nca_cell_is_flagged(data):
    path = data / "tju" / "capacity_per_cycle.csv.gz"
    record = read_record(path, where={"cell": "D1_NCA_battery/CY45-05_1-#19"})
    cycles = record["cycles"].to_dataset()
    flagged = cycles["cycle"].values[cycles["discharge_capacity_flag"].values == 1]
    assert list(flagged) == [176]  # 2.43 A.h between 2.93 and 2.92


@pytest.mark.data
def test_nasa_cells(data):
    path = data / "nasa_pcoe" / "cycle_summary_34cells.csv"
    record = read_record(path, where={"battery_id": "B0005"})
    capacity = record["cycles/discharge_capacity"].values
    assert capacity.shape == (168,)
    assert capacity[[0, -1]] == pytest.approx([1.8565, 1.3251], abs=1e-4)
    with pytest.raises(InputError, match="must be more than 0, not 0; line 2242"):
        read_record(path, where={"battery_id": "B0050"})


@pytest.mark.data
def test_a_nasa_discharge(data):
    record = read_record(
        data / "nasa_pcoe" / "discharge_traces_B0005.csv.gz",
        where={"cycle_idx": 1},
        columns={
            "Voltage_measured": "voltage [V]",
            "Current_measured": "Current / A",  # negative on discharge
            "Temperature_measured": "temperature [degC]",
            "Time": "time [s]",
        },
    )
    trace = record["traces"].to_dataset()
    keep = trace["voltage"].values >= 2.7
    time, current = trace["time"].values[keep], trace["current"].values[keep]
    charge = np.sum(np.diff(time) * (current[1:] + current[:-1]) / 2) / 3600
    assert charge == pytest.approx(1.8565, abs=0.01)
    assert trace["temperature"].values[0] == pytest.approx(297.48, abs=0.01)


@pytest.mark.data
def test_oxford_cells(data):
    record = read_record(
        checkups=data / "oxford_1" / "oxford_capacity_trends.csv",
        where={"cell_id": "Cell2"},
        columns={"capacity_mAh": "capacity_1C [mA.h]"},
    )
    checkups = record["checkups"].to_dataset()
    assert checkups["cycle"].values[0] == 0
    flagged = checkups["capacity_1C_flag"].values == 1
    assert 7400 in checkups["cycle"].values[flagged]  # an incomplete characterisation


@pytest.mark.data
def test_sanyo_cells_by_throughput_and_date(data):
    record = read_record(
        data / "isea_sanyo48" / "tests.csv.gz",
        where={"cell": "epSanyo002"},
        columns={
            "t_days": "elapsed_time [d]",
            "discharge_throughput_end_Ah": "throughput [A.h]",
            "CapDCH1": "capacity_1C [A.h]",
            "CapqOCVDCH": "capacity_C4 [A.h]",
            "r10s_dis_ohm": "resistance_10s [ohm]",
        },
    )
    checkups = record["checkups"].to_dataset()
    assert "cycle" not in checkups.coords
    assert checkups["capacity_1C"].values[1:3] == pytest.approx([np.nan, 1.780073], nan_ok=True)
    assert float(checkups["elapsed_time"][-1]) == pytest.approx(160.21711 * 86400)


@pytest.mark.data
def test_reference_files_of_the_battery_data_format(data):
    folder = data / "bdf_examples"
    good = next(folder.glob("SINTEF__LiGrR2032*"))
    with pytest.warns(UserWarning, match="0 °C throughout"):
        assert read_record(good)["traces"].sizes["sample"] == 25162
    milliseconds = next(folder.glob("DLR__LiGrHydra*"))
    with pytest.raises(InputError, match="Is the time in milliseconds"):
        read_record(milliseconds)
    record = read_record(milliseconds, columns={"test_time_second": "time [ms]"})
    assert float(record["traces/time"][-1]) == pytest.approx(1334177.67, abs=0.1)
    with pytest.raises(InputError, match="'time' goes back"):
        read_record(next(folder.glob("*Time_Bug*")))
    phone = next(folder.glob("SINTEF__G20M7*"))
    with pytest.warns(UserWarning, match="'cycle' holds no whole numbers"):
        assert read_record(phone)["traces"].sizes["sample"] == 17587


def test_what_is_made_from_traces_is_read_where_it_has_a_unit(tmp_path):
    path = tmp_path / "cell.csv"
    path.write_text("cycle,capacity_Ah,max_temperature,cv_charge_time [min]\n1,2,31,9\n", "utf-8")
    record = read_record(path)
    assert float(record["cycles"]["cv_charge_time"][0]) == 540.0
    assert record.attrs["ignored_columns"] == "max_temperature"


def test_the_charge_of_a_step_is_read_where_it_has_a_unit(tmp_path):
    path = tmp_path / "cell.csv"
    path.write_text("cycle,capacity_Ah,hold,charge_of_step_9\n1,2,31,1\n", "utf-8")
    record = read_record(path, columns={"hold": "charge_of_step_3 [mA.h]"})
    assert float(record["cycles"]["charge_of_step_3"][0]) == pytest.approx(0.031)
    assert record.attrs["ignored_columns"] == "charge_of_step_9"


def test_a_time_that_begins_anew_with_each_cycle(tmp_path):
    path = tmp_path / "cell.csv"
    rows = [f"{t},{3.9 - 0.1 * t - 0.01 * n},{1.0},{n}" for n in (1, 2, 3) for t in range(5)]
    header = "time [s],voltage [V],current [A],cycle"
    path.write_text("\n".join([header, *rows]), "utf-8")
    with pytest.raises(InputError, match="time_restarts='cycle'"):
        read_record(path)
    record = read_record(path, time_restarts="cycle")
    expected = np.concatenate([4.0 * n + np.arange(5.0) for n in range(3)])
    np.testing.assert_array_equal(record["traces"]["time"], expected)
    assert "each cycle" in record.attrs["time_restarts"]
    # a time that goes back anywhere else is refused all the same
    rows[7] = rows[6].replace("1,", "0,", 1)
    path.write_text("\n".join([header, *rows]), "utf-8")
    with pytest.raises(InputError, match="goes back") as caught:
        read_record(path, time_restarts="cycle")
    assert "if it begins anew" not in str(caught.value)


@pytest.mark.parametrize(("given", "words"), [("step", "no column"), ("cycles", "is 'cycle' or")])
def test_a_time_that_begins_anew_with_what_is_not_there(tmp_path, given, words):
    path = tmp_path / "cell.csv"
    path.write_text("time [s],voltage [V],current [A]\n0,3.7,1\n1,3.7,1\n", "utf-8")
    with pytest.raises(InputError, match=words):
        read_record(path, time_restarts=given)
