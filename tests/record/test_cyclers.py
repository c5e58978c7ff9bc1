"""Files of cyclers: how they are told, turned and put together, and what is refused."""

from __future__ import annotations

import gzip
import io
import os
import subprocess
import sys
import types
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.io import savemat

from cellmodels.errors import InputError
from cellmodels.record import read_record, write_record
from cellmodels.record.columns import split_header
from cellmodels.record.files import contents, foreign_readers, reader_process
from cellmodels.record.files.adapting import signed
from cellmodels.record.files.clocks import dates, durations, real_unit
from cellmodels.record.files.joining import join
from cellmodels.record.files.text_formats import FORMATS, matching, names_and_units

ARBIN = (
    "Data_Point,Test_Time(s),Date_Time,Step_Index,Cycle_Index,Current(A),Voltage(V),"
    "Charge_Capacity(Ah),Discharge_Capacity(Ah)\n"
    "1,0,2024-01-01 10:00:00,1,1,0,3.9,0,0\n"
    "2,10,2024-01-01 10:00:10,2,1,-1.5,3.8,0,0\n"
    "3,20,2024-01-01 10:00:20,2,1,-1.5,3.7,0,0.004\n"
)
MACCOR = (
    "Today's Date:\t1 May 2024\nProcedure:\tageing.000\n"
    "Rec#\tCyc#\tStep\tTestTime\tStepTime\tmAmps\tVolts\tState\tES\tDPt Time\n"
    "1\t0\t1\t  0d 00:00:00\t0\t0\t3.9\tR\t0\t05/01/2024 10:00:00\n"
    "2\t0\t2\t  0d 00:01:00\t0\t500\t3.8\tD\t0\t05/01/2024 10:01:00\n"
    "3\t0\t3\t  1d 01:02:03.5\t0\t250\t3.9\tC\t0\t05/02/2024 11:02:03\n"
)
BIOLOGIC = (
    "EC-Lab ASCII FILE\nNb header lines : 4\nRun on channel : 7 (SN 1)\n"
    "mode\tNs\ttime/s\tEwe/V\t<I>/mA\tTemperature/\xb0C\t\n"
    "1\t0\t0,5\t3,9\t0,0\t25,5\n1\t1\t1,5\t3,8\t-20,0\t26,0\n"
)
TRACE = "Test Time / s,Voltage / V,Current / A\n0,4.0,0\n10,3.9,-1.5\n20,4.1,0.5\n"


@pytest.fixture
def write(tmp_path):
    """Write a file and return its path."""

    def _write(data, name="cell.csv"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data.encode("cp1252") if isinstance(data, str) else data)
        return path

    return _write


def traces(path, **options):
    return read_record(path, **options)["traces"].to_dataset()


def zipped(**files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name.replace("_csv", ".csv"), data)
    return out.getvalue()


# --- instruments -------------------------------------------------------------------------------


def test_arbin(write):
    found = read_record(write(ARBIN))
    data = found["traces"].to_dataset()
    np.testing.assert_array_equal(data["current"], [0, 1.5, 1.5])
    np.testing.assert_array_equal(data["step"], [1, 2, 2])
    assert found.attrs["cycler"] == "Arbin"
    assert found.attrs["start_time"] == "2024-01-01 10:00:00"
    assert "Data_Point" in found.attrs["ignored_columns"]
    assert data["charge_capacity"].attrs["units"] == "A.h"


def test_maccor_has_durations_milliamperes_and_states(write):
    found = read_record(write(MACCOR, "cell.034"))
    data = found["traces"].to_dataset()
    np.testing.assert_allclose(data["time"], [0, 60, 90123.5])
    np.testing.assert_allclose(data["current"], [0, 0.5, -0.25])
    assert found.attrs["instrument_procedure"] == "ageing.000"


def test_biologic_has_a_preamble_and_decimal_commas(write):
    found = read_record(write(BIOLOGIC, "cell.mpt"))
    data = found["traces"].to_dataset()
    np.testing.assert_allclose(data["time"], [0.5, 1.5])
    np.testing.assert_allclose(data["current"], [0, 0.02])
    np.testing.assert_allclose(data["temperature"], [298.65, 299.15])
    assert found.attrs["instrument_run_on_channel"] == "7 (SN 1)"


def test_biologic_with_a_reference_electrode_gives_the_voltage_of_the_cell(write):
    text = "Ewe/V\ttime/s\tEce/V\tI/mA\tEwe-Ece/V\n3,3\t0\t0,2\t0,1\t3,1\n3,4\t9\t0,1\t0,1\t3,3\n"
    found = read_record(write(text))
    np.testing.assert_allclose(found["traces"]["voltage"], [3.1, 3.3])
    np.testing.assert_allclose(found["traces"]["current"], [-1e-4, -1e-4])
    assert found.attrs["cycler"] == "BioLogic"


@pytest.mark.parametrize(
    ("cycler", "header"),
    [
        ("Basytec", "~Time[s] DataSet U[V] I[A] Line Command Cyc-Count"),
        ("PEC", "Total_Time_(Seconds) Rack Voltage_(V) Current_(A) Step ReasonCode Cycle"),
        ("Novonix", "Run_Time_(s) X Potential_(V) Current_(A) Step_Number Y Cycle_Number"),
        ("Landt", "Test_Time(s) Rec Voltage(V) Current(A) Step_Index Step_Name Cycle_Index"),
        ("Digatron", "Prog_Time AhAccu Voltage[V] Current[A] Step Status Cycle"),
    ],
)
def test_texts_whose_currents_are_positive_on_charge(write, cycler, header):
    volts = [3.9 - 0.01 * k for k in range(12)] + [3.9 + 0.01 * k for k in range(12)]
    rows = [
        f"{10 * k}\tx\t{volt}\t{-1.5 if k < 12 else 0.75}\t{1 + k // 12}\tx\t1"
        for k, volt in enumerate(volts)
    ]
    lines = [header.replace(" ", "\t").replace("_", " "), *rows]
    record = read_record(write("\n".join(lines)))
    assert record.attrs["cycler"] == cycler
    traces = record["traces"]
    assert traces["current"].values[[0, -1]].tolist() == [1.5, -0.75]
    assert traces["time"].values[-1] == 230
    assert traces["voltage"].values.tolist() == volts
    assert traces["step"].values[[0, -1]].tolist() == [1, 2]
    assert set(traces["cycle"].values) == {1}
    turned = [line.replace("-1.5", "1.5").replace("\t0.75", "\t-0.75") for line in lines]
    with pytest.raises(InputError, match="the voltage rises while the current says discharge"):
        read_record(write("\n".join(turned), "turned.txt"))


def test_vectors_of_a_matlab_file(tmp_path):
    current = np.array([[0.0], [-2.0], [-2.0]])
    cell = {"t": np.arange(3), "U": 3.7 - 0.1 * np.arange(3), "I": current, "name": "cell 1"}
    more = {"q": np.arange(7.0), "p": np.arange(7.0), "code": np.array([["x"]], dtype=object)}
    savemat(tmp_path / "cell.mat", {"test": cell, **more}, do_compression=True)
    with pytest.raises(
        InputError, match="no column of a record among 'test.t', 'test.U', 'test.I'"
    ):
        read_record(tmp_path / "cell.mat")
    columns = {"test.t": "time [s]", "test.U": "voltage [V]", "test.I": "Current / A"}
    found = traces(tmp_path / "cell.mat", columns=columns)
    np.testing.assert_array_equal(found["current"], [0, 2, 2])
    np.testing.assert_array_equal(found["time"], [0, 1, 2])


def test_what_a_file_says_about_itself_survives_netcdf(write, tmp_path):
    found = read_record(write(BIOLOGIC))
    write_record(found, tmp_path / "cell.nc")
    assert read_record(tmp_path / "cell.nc").attrs == found.attrs


@pytest.mark.parametrize("known", FORMATS, ids=lambda one: one.name)
def test_a_format_is_told_by_its_own_headers(known):
    """Its own names, one of each group that tells it: no format before it takes them."""
    own = [*known.columns, *(group[0] for group in known.tells)]
    assert known.fits(own)
    assert not known.fits([name for name in own if known.columns.get(name, "")[:4] != "time"])


def test_names_and_units_of_headers():
    headers = ["~Time[s]", "<Ewe>/V", "Program Duration#h", "Test (Sec)", "I/mA", "Cyc#"]
    expected = [
        ("time", "s"), ("ewe", "V"), ("program_duration", "h"), ("test", "Sec"), ("i", "mA"),
        ("cyc", None),
    ]  # fmt: skip
    assert names_and_units(headers) == expected
    assert matching(["time", "voltage", "current"]) is None


def test_states_sign_a_current_only_where_it_has_none():
    state = pd.Series(["CC DChg", "CC Chg", "Rest"])
    np.testing.assert_array_equal(signed(np.array([2.0, 3.0, 0.0]), state), [-2, 3, 0])
    np.testing.assert_array_equal(signed(np.array([-2.0, 3.0, 0.1]), state), [-2, 3, 0.1])


def test_a_column_can_be_named_in_a_cyclers_file(write):
    path = write(MACCOR.replace("3.9", "3900").replace("3.8", "3800"))
    with pytest.raises(InputError, match="'Volts' is 3900 V in the middle. Is it in millivolts"):
        read_record(path)
    found = traces(path, columns={"Volts": "voltage [mV]"})
    np.testing.assert_allclose(found["voltage"], [3.9, 3.8, 3.9])


def test_rows_can_be_chosen_in_a_cyclers_file(write):
    found = traces(write(ARBIN), where={"Step_Index": 2})
    np.testing.assert_array_equal(found["time"], [10, 20])


def test_the_last_row_may_be_cut_off(write):
    with pytest.warns(UserWarning, match="the last row, which is cut off"):
        assert traces(write(ARBIN + "4,30,2024-01"))["time"].size == 3


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("-1.5,3.8", "x,3.8", "column 'Current(A)' holds no number but 'x'; data row 2"),
        ("3,20,", "3,5,", "'time' goes back, by 5 s; data row 3"),
        ("3,20,", "3,soon,", "column 'Test_Time(s)' holds no time but 'soon'; data row 3"),
        ("-1.5,3.8", ",3.8", "'current' is missing; data row 2"),
    ],
)
def test_a_wrong_number_in_a_cyclers_file_is_named(write, old, new, words):
    with pytest.raises(InputError) as caught:
        read_record(write(ARBIN.replace(old, new)))
    assert words in str(caught.value)
    assert "cell.csv" in str(caught.value)


def test_a_file_with_headers_alone_is_refused(write):
    with pytest.raises(InputError, match=r"no measurements|no table"):
        read_record(write(ARBIN.splitlines()[0] + "\n"))


def test_spectra_without_an_imaginary_part_are_refused(write):
    text = "freq/Hz\tRe(Z)/Ohm\ttime/s\t<Ewe>/V\t<I>/mA\tNs\n" + "1e3\t0.1\t1\t3.9\t0\t0\n" * 5
    with pytest.raises(InputError, match="impedance without both its real and its imaginary part"):
        read_record(write(text))


def test_channels_that_were_not_connected_are_left_out(write):
    header, *rows = TRACE.splitlines()
    text = "\n".join([f"{header},Surface Temperature / degC", *(f"{row},0" for row in rows)])
    with pytest.warns(UserWarning, match="0 °C throughout; it is left out"):
        assert "temperature" not in traces(write(text))


# --- clocks ------------------------------------------------------------------------------------


def test_durations_and_dates():
    text = pd.Series(["00:01:00", "1d 00:00:00.5", "30:00:00", "12.5", "noon"])
    np.testing.assert_allclose(durations(text), [60, 86400.5, 108000, 12.5, np.nan])
    for one in ("2024-03-05 10:00:00", "03/05/2024 10:00:00 AM", "5-Mar-24 10:00:00 AM"):
        assert dates(pd.Series([one]))[0] == 1709632800.0
    np.testing.assert_allclose(dates(pd.Series([25_569.5 + 20_000])), [20_000.5 * 86400])
    assert np.isnan(dates(pd.Series([5.0]))).all()
    long = pd.date_range("2024-03-05", periods=500, freq="h").strftime("%d/%m/%Y %H:%M:%S")
    np.testing.assert_array_equal(dates(pd.Series(long)), 1709596800.0 + 3600 * np.arange(500))


@pytest.mark.parametrize(("factor", "unit"), [(1, "s"), (1000, "ms"), (1 / 60, "min"), (7, "s")])
def test_dates_tell_the_unit_of_a_time(factor, unit):
    wall = 1.7e9 + 10.0 * np.arange(20)
    assert real_unit(factor * (wall - wall[0]), wall) == unit


def test_a_time_in_another_unit_than_it_says_is_refused(write):
    rows = [f"{10_000 * k},3.8,-1,{1.7e9 + 10 * k}" for k in range(20)]
    text = "\n".join(["Test Time / s,Voltage / V,Current / A,Unix Time / s", *rows])
    with pytest.raises(InputError, match=r"says that it is in seconds, but .* it is in ms"):
        read_record(write(text))
    found = traces(write(text), columns={"Test Time / s": "time [ms]"})
    assert found["time"].values[-1] == 190.0


# --- several parts -----------------------------------------------------------------------------


def test_parts_go_on_by_their_dates_or_one_after_another():
    first = pd.DataFrame({"time": [0.0, 10.0], "cycle": [1.0, 2.0]})
    second = pd.DataFrame({"time": [5.0, 8.0], "cycle": [1.0, 1.0]})
    frame, how = join([second, first], [1000.0, 900.0], ["b", "a"], "x", "time", "cycle")
    assert frame["time"].tolist() == [0, 10, 105, 108]
    assert frame["cycle"].tolist() == [1, 2, 3, 3]
    assert how["parts"] == "a, b"
    frame, how = join([first, second], [900.0, np.nan], ["a", "b"], "x", "time", "cycle")
    assert frame["time"].tolist() == [0, 10, 10, 13]
    assert "no dates" in how["joined"]
    with pytest.raises(InputError, match="b begins .* before"):
        join([first + 1e4, second], [900.0, 901.0], ["a", "b"], "x", "time", "cycle")


def test_a_folder_of_raw_files_is_one_record(write, tmp_path):
    later = ARBIN.replace("10:00", "12:00")
    write(later, "raw/a.csv")
    write(gzip.compress(ARBIN.encode()), "raw/b.csv.gz")
    write("notes", "raw/README.md")
    record = read_record(tmp_path / "raw")
    data = record["traces"].to_dataset()
    np.testing.assert_array_equal(data["time"], [0, 10, 20, 7200, 7210, 7220])
    np.testing.assert_array_equal(data["cycle"], [1, 1, 1, 2, 2, 2])
    assert record.attrs["parts"] == "b.csv.gz, a.csv"
    assert record.attrs["joined"] == "2 parts, by their dates"


def test_files_without_dates_stand_in_the_order_of_their_numbers(write, tmp_path):
    for name in ("test_10.csv", "test_9.csv", "test_100.csv"):
        write(TRACE, f"raw/{name}")
    record = read_record(tmp_path / "raw")
    assert record.attrs["parts"] == "test_9.csv, test_10.csv, test_100.csv"


@pytest.mark.skipif("os.name != 'posix'")
def test_a_folder_leads_to_no_file_outside(write, tmp_path):
    outside = write(ARBIN, "private.csv")
    write(ARBIN, "raw/a.csv")
    (tmp_path / "raw" / "b.csv").symlink_to(outside)
    with pytest.raises(InputError, match="b.csv' leads out of its folder"):
        read_record(tmp_path / "raw")


def test_a_folder_whose_files_are_no_traces_is_refused(write, tmp_path):
    write(ARBIN, "raw/a.csv")
    write("cycle,capacity_Ah\n1,2\n", "raw/b.csv")
    with pytest.raises(InputError, match="b.csv: no trace"):
        read_record(tmp_path / "raw")


# --- packing -----------------------------------------------------------------------------------


def test_packing_is_told_by_content(write):
    plain = traces(write(TRACE))
    assert traces(write(gzip.compress(TRACE.encode()), "a.csv")).equals(plain)
    assert traces(write(zipped(a_csv=TRACE, **{"__MACOSX/._a": "x"}), "b.csv")).equals(plain)
    assert traces(write(gzip.compress(zipped(a_csv=TRACE)), "c.bin")).equals(plain)


def test_an_archive_may_hold_much_of_what_a_desktop_adds(write):
    """Its directory is read a few times, and not once for each of its files."""
    data = zipped(**{f"__MACOSX/{k}": "x" for k in range(1500)}, a_csv=TRACE)
    assert traces(write(data)).equals(traces(write(TRACE)))
    with pytest.raises(InputError, match="more than 10000 files"):
        read_record(write(zipped(**{f"{k}": "" for k in range(10_001)})))


def test_an_archive_of_several_files_or_none_is_refused(write):
    with pytest.raises(InputError, match=r"an archive of 2 files \(a.csv, b.csv\)"):
        read_record(write(zipped(a_csv=TRACE, b_csv=TRACE)))
    with pytest.raises(InputError, match="an archive of 0 files"):
        read_record(write(zipped()))


def test_nothing_is_written_where_an_archive_says(write, tmp_path):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("../../escaped.csv", gzip.compress(TRACE.encode()))
    assert traces(write(out.getvalue(), "in/a.zip"))["time"].size == 3
    assert not list(tmp_path.rglob("escaped*"))


def test_a_bomb_ends_in_an_error(write, monkeypatch):
    monkeypatch.setattr(contents, "_SMALL", 10_000)
    rows = TRACE + "20,4.1,0.5\n" * 100_000
    for data in (gzip.compress(rows.encode()), zipped(a_csv=rows)):
        assert len(data) * contents.MOST_EXPANSION < len(rows)
        with pytest.raises(InputError, match="times its size"):
            read_record(write(data))


def test_what_is_no_table_is_said(write):
    arrays = io.BytesIO()
    np.savez(arrays, time=np.arange(3))
    for data, words in (
        (arrays.getvalue(), "an archive of NumPy's arrays; save them as the columns of a CSV"),
        (b"MATLAB 7.3 MAT-file, Platform", "of version 7.3; save it by"),
        ('{"Header": {"BPX": 1.0}}', "JSON, and no table"),
        ("0.1 4.1\n0.2, 4.0\n", "no headers: its first line is '0.1 4.1'"),
        ("time [s],voltage [V]\n0,4\n", "there is no current. A trace needs time, voltage and"),
        ("Capacity [Ah],U [V]\n0,4\n", "there is no time and no current"),
    ):
        with pytest.raises(InputError) as caught:
            read_record(write(data))
        assert words in str(caught.value)


def test_packing_without_end_is_refused(write):
    data = TRACE.encode()
    for _ in range(5):
        data = gzip.compress(data)
    with pytest.raises(InputError, match="packed more than"):
        read_record(write(data))


def refusal(path) -> str | None:
    """Why a file is not read; None for one that is."""
    try:
        read_record(path)
    except InputError as error:
        return str(error)
    return None


@given(cut=st.integers(0, 400), byte=st.integers(0, 255), text=st.sampled_from([ARBIN, MACCOR]))
def test_a_spoilt_file_is_a_record_or_an_input_error(tmp_path_factory, cut, byte, text):
    data = bytearray(text.encode())
    data[cut % len(data)] = byte
    path = tmp_path_factory.getbasetemp() / "spoilt.csv"
    for one in (data, data[: len(data) - cut % 50]):
        path.write_bytes(bytes(one))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            message = refusal(path)
        assert message is None or "spoilt.csv" in message or "column" in message.lower()


# --- other people's readers --------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"NEWARE20200325" + b"\x01\x02" * 500,
        b"PAR1" + b"\xff" * 200 + b"PAR1",
        b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM" + b"\x0f\x00\x00\x00\x08" * 40,
        b"\x00\x01\x00\x00Standard Jet DB\x00" + b"\x07" * 5000,
        zipped(**{"VersionInfo.xml": "<a>", "data.ndc": "\x01" * 100}),
        zipped(**{"[Content_Types].xml": "<a>", "xl/workbook.xml": "<b>"}),
    ],
    ids=["nda", "parquet", "matlab", "access", "ndax", "excel"],
)
def test_a_damaged_binary_file_is_an_input_error(write, data):
    with pytest.raises(InputError, match="cell.csv"):
        read_record(write(data))


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("import os; os.abort()", "ended without a result (SIGABRT)"),
        ("import sys; sys.exit(3)", "ended without a result (exit code 3)"),
        ("while True: pass", "took more than 1 s"),
        ("open('about.json', 'w').write('{')", "cannot be read"),
        ("open('about.json', 'w').write('{\"missing\": \"bdf\"}')", "pip install 'cellmodels"),
    ],
)
@pytest.mark.skipif("os.name != 'posix'")
def test_a_reader_that_fails_is_an_input_error(write, tmp_path, monkeypatch, script, words):
    path = tmp_path / "reader.py"
    path.write_text(script)
    monkeypatch.setattr(
        reader_process, "foreign_readers", types.SimpleNamespace(__file__=str(path))
    )
    monkeypatch.setattr(reader_process, "MAX_SECONDS", 1.0)
    with pytest.raises(InputError) as caught:
        read_record(write(b"NEWARE"))
    assert words in str(caught.value)
    assert "cell.csv" in str(caught.value)


@pytest.mark.skipif("os.name != 'posix'")
def test_a_reader_has_its_limits(tmp_path):
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); import foreign_readers, resource\n"
        "foreign_readers.limit(2 * 10**9, 1000, 5)\n"
        "try:\n    bytearray(3 * 10**9)\n"
        "except MemoryError:\n    print('no memory', resource.getrlimit(resource.RLIMIT_CPU)[0])\n"
    )
    folder = str(Path(foreign_readers.__file__).parent)
    done = subprocess.run(
        [sys.executable, "-P", "-c", script, folder], capture_output=True, text=True
    )
    assert done.stdout.split() == ["no", "memory", "5"]


DUMP = "json.dump({'error': sys.argv[4]}, open('about.json', 'w'))"


def test_the_limits_reach_the_reader(write, tmp_path, monkeypatch):
    path = tmp_path / "reader.py"
    path.write_text(
        "import json, sys\njson.dump({'error': sys.argv[4]}, open('about.json', 'w'))\n"
    )
    monkeypatch.setattr(
        reader_process, "foreign_readers", types.SimpleNamespace(__file__=str(path))
    )
    monkeypatch.setattr(reader_process, "MAX_MEMORY", 123456789)
    with pytest.raises(InputError, match="123456789"):
        read_record(write(b"NEWARE"))


@pytest.mark.skipif("not hasattr(os, 'mkfifo')")
def test_what_is_no_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(InputError, match="no file but"):
        read_record(tmp_path / "pipe.csv")


def test_a_long_header_does_not_hang():
    assert split_header("volt" + " " * 1_000_000 + "[") == ("volt" + " " * 1_000_000 + "[", None)
