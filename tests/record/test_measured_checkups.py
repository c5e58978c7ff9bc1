"""Check-ups in measured files, against figures published with them and plain integration."""

import os
import warnings
from pathlib import Path

import numpy as np
import pytest

import cellmodels as cm

pytestmark = pytest.mark.data


@pytest.fixture(scope="module")
def data():
    folder = os.environ.get("CELLMODELS_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("CELLMODELS_DATA names no folder of measured data")
    return Path(folder)


def find(data, pattern, where=None, nominal_capacity=None, **columns):
    """What is found in the one file of a pattern."""
    files = sorted(data.glob(pattern))
    if not files:
        pytest.skip(f"CELLMODELS_DATA has no {pattern}")
    needed = {".parquet": "pyarrow", ".xlsx": "fastexcel"}.get(files[0].suffix)
    if needed is not None:
        pytest.importorskip(needed, reason="needs the extra data")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        record = cm.read_record(files[0], where=where, columns=columns or None)
    return cm.find_checkups(record, nominal_capacity=nominal_capacity)


def one(found, name):
    tests = found.tests
    return tests.isel(test=tests["name"].values.tolist().index(name))


def test_reference_test_of_an_lg_m50(data):
    """Its description: 34,658 s at 0.5 A, 4.814 A.h, 4.169 to 2.500 V; charged 4.732 A.h."""
    found = find(data, "pyprobe_lgm50_rpt0/*.parquet")
    assert found.tests["kind"].values.tolist() == ["charge", "slow discharge", "slow charge"]
    slow, back = one(found, "C10"), one(found, "C10_charge")
    assert float(slow["charge"]) == pytest.approx(4.814, abs=5e-4)
    assert float(back["charge"]) == pytest.approx(-4.732, abs=5e-4)
    assert float(slow["duration"]) == pytest.approx(34658, abs=1)
    assert float(slow["end_voltage"]) == pytest.approx(2.5, abs=1e-3)
    assert float(slow["rest_before"]) == pytest.approx(2 * 3600 + 30, abs=2)
    assert float(slow["rest_after"]) == pytest.approx(6 * 3600 + 30, abs=2)
    rows = slice(int(slow["first"]), int(slow["last"]) + 1)
    t, i = found.traces["time"].values[rows], found.traces["current"].values[rows]
    assert float(slow["charge"]) == pytest.approx(np.trapezoid(i, t) / 3600, rel=1e-5)
    curves = found.curves
    assert curves["name"].values.tolist() == ["C10", "C10_charge", "pocv"]
    level, density = curves["level"].values, curves["incremental_capacity"].values
    passed = np.trapezoid(density, level, axis=1)
    np.testing.assert_allclose(passed[:2], [4.814, 4.732], rtol=0.01)


@pytest.mark.parametrize(
    ("rate", "capacity", "name"),
    [(0.1, 4.945, "C10"), (0.5, 4.842, "C2"), (1.0, 4.783, "1C"), (2.0, 4.860, "2C")],
)
def test_rate_tests_of_an_lg_m50(data, rate, capacity, name):
    """Capacities at 25 °C that come with the data."""
    where = {"chamber_C": 25, "c_rate": rate}
    found = find(data, "pybop_lgm50_ecm/rate*.gz", where, nominal_capacity=5.0)
    assert float(found.record["checkups"][f"capacity_{name}"][0]) == pytest.approx(
        capacity, abs=5.1e-4
    )


MAT = {"I_data": "Current / A", "V_data": "voltage [V]", "t_data": "time [s]"}


def test_slow_discharge_of_an_lg_m50t(data):
    """Its description: 72,390 s at 0.2425 A, 4.877 A.h."""
    found = find(data, "cobrapro_lgm50t_w8/capacity*.mat", nominal_capacity=4.85, **MAT)
    assert float(found.record["checkups"]["capacity_C20"][0]) == pytest.approx(4.877, abs=5e-4)


def test_pulse_train_of_an_lg_m50t(data):
    found = find(data, "cobrapro_lgm50t_w8/HPPC*.mat", nominal_capacity=4.85, **MAT)
    kinds = found.tests["kind"].values.tolist()
    assert kinds.count("discharge pulse") == kinds.count("charge pulse") == 9
    t, v, i = (found.traces[name].values for name in ("time", "voltage", "current"))
    starts = np.flatnonzero((np.abs(np.diff(i)) > 1.5) & (i[:-1] == 0) & (np.abs(i[1:]) < 3)) + 1
    assert len(starts) == 18
    for start, row in zip(
        starts, np.flatnonzero([k.endswith("pulse") for k in kinds]), strict=True
    ):
        for at in (1, 10):  # rows are a second apart
            k = int(np.argmin(np.abs(t - t[start - 1] - at)))
            plain = (v[start - 1] - v[k]) / (i[k] - i[start - 1])
            found_one = float(found.tests[f"resistance_{at}s"][int(row)])
            assert found_one == pytest.approx(plain, rel=0.01)


def test_pulse_of_a_samsung_cell(data):
    columns = {"Time": "time [s]", "Current": "current [A]", "Voltage": "voltage [V]"}
    found = find(data, "pybop_samsung21700/sample_hppc_pulse.xlsx", **columns)
    assert found.tests["kind"].values.tolist() == ["discharge pulse"]
    t, v, i = (found.traces[name].values for name in ("time", "voltage", "current"))
    start = int(np.flatnonzero(i > 1)[0])
    for at in (1.0, 10.0):
        after = np.interp(t[start - 1] + at, t, v) if at < 10 else v[i > 1][-1]
        plain = (v[start - 1] - after) / 3.001
        found_one = float(found.record["checkups"][f"resistance_{at:g}s"][0])
        assert found_one == pytest.approx(plain, rel=5e-3)


def test_charges_of_20_percent_with_long_rests(data):
    """A cell of 1.1 A.h, from empty to full in parts, at eight rates each."""
    path = data / "a123_gitt_attia2020/2019-01-14-GITT_CH16_fresh.csv.gz"
    if not path.is_file():
        pytest.skip("CELLMODELS_DATA has no a123_gitt_attia2020")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a counter, and of a row repaired
        record = cm.read_record(path, repair="clock")
    found = cm.find_checkups(record, nominal_capacity=1.1)
    tests = found.tests
    parts = tests.isel(test=np.flatnonzero(tests["kind"] == "GITT charge"))
    assert parts.sizes["test"] >= 36
    np.testing.assert_allclose(parts["charge"], -0.22, rtol=0.01)
    np.testing.assert_allclose(parts["rest_after"], 3630, rtol=0.01, atol=9200)
    rates = np.unique(np.round(parts["c_rate"].values, 1))
    assert {3.6, 4.0, 4.4, 4.8, 5.2, 5.6, 6.0, 7.0, 8.0} <= set(rates.tolist())
    assert "1.1 A.h (nominal)" in repr(found)
    assert "give nominal_capacity" in repr(cm.find_checkups(record))


def test_discharges_of_a_nasa_cell_are_cycles(data):
    """168 discharges, whose charges are not in the file."""
    path = data / "nasa_pcoe/discharge_traces_B0005.csv.gz"
    if not path.is_file():
        pytest.skip("CELLMODELS_DATA has no nasa_pcoe")
    columns = {
        "Time": "time [s]",
        "cycle_idx": "cycle",
        "Voltage_measured": "voltage [V]",
        "Current_measured": "Current / A",
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = cm.find_checkups(path, read={"columns": columns, "time_restarts": "cycle"})
    assert not found.tests.sizes
    cycles = found.record["cycles"]
    assert cycles["cycle"].values.tolist() == list(range(1, 169))
    # published to 2.7 V: 1.8565 and 1.3251 A.h; these go to the end of each discharge
    capacity = cycles["discharge_capacity"].values
    assert 1.8565 <= capacity[0] <= 1.8565 * 1.01
    assert 1.3251 <= capacity[-1] <= 1.3251 * 1.01


@pytest.mark.parametrize(
    ("pattern", "columns", "names"),
    [
        ("bdf_examples/SINTEF__G20M7*", {}, {"slow charge", "slow discharge"}),
        ("bdf_examples/DLR__LiLN*", {"test_time_second": "time [ms]"}, {"slow discharge"}),
        ("bdf_examples/DLR__LiGr*", {"test_time_second": "time [ms]"}, {"slow discharge"}),
        ("bdf_examples/SINTEF__LiGr*", {}, {"slow discharge", "slow charge"}),
        ("vendor_formats/maccor/maccor_001*", {}, {"slow discharge", "discharge", "charge"}),
        ("vendor_formats/batterydata_energy_gov/*raw*", {}, {"slow discharge", "charge pulse"}),
        ("vendor_formats/maccor/PreDiag*", {}, {"charge pulse", "charge", "discharge"}),
    ],
)
def test_charges_are_those_of_a_plain_integration(data, pattern, columns, names):
    found = find(data, pattern, **columns)
    tests = found.tests
    assert names <= set(tests["kind"].values.tolist())
    t, i = found.traces["time"].values, found.traces["current"].values
    for row in np.flatnonzero([kind.startswith("slow") for kind in tests["kind"].values]):
        own = tests.isel(test=int(row))
        rows = slice(int(own["first"]), int(own["last"]) + 1)
        assert float(own["charge"]) == pytest.approx(
            np.trapezoid(i[rows], t[rows]) / 3600, rel=2e-3
        )
