"""Faults of traces and tables are found, with their rows, and repaired on request."""

import os
import warnings
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
from hypothesis import given

import cellmodels as cm
from cellmodels.errors import InputError
from cellmodels.record.build import make_group
from cellmodels.record.checks import Rows
from cellmodels.record.cycles.segments import segment
from cellmodels.record.quality.inspection import inspect
from cellmodels.record.quality.repair import REPAIRS, continued, repair_trace
from cellmodels.record.quality.report import KINDS, ranges
from cellmodels.record.quality.trace_quality import CHECKS, faults

CAPACITY = 2.0  # A.h


def cycling(cycles=3, interval=20.0, rest=40):
    """Times, voltages, currents of a cell with resistance that is charged and discharged at 1C."""
    half = int(3600 * 0.9 / interval)
    current = np.tile(np.r_[np.zeros(rest), [2.0] * half, np.zeros(rest), [-2.0] * half], cycles)
    step = np.repeat(np.tile([1, 2, 3, 4], cycles), np.tile([rest, half, rest, half], cycles))
    time = interval * np.arange(len(current))
    through = np.r_[0.0, np.cumsum((current[1:] + current[:-1]) / 2 * interval / 3600)]
    soc = 0.95 - through / CAPACITY
    voltage = 3.3 + 0.7 * soc + 0.1 * np.tanh(20 * (soc - 0.1)) - 0.05 * current
    return {
        "time": time,
        "voltage": voltage + 1e-4 * np.sin(1.7 * np.arange(len(time))),
        "current": current,
        "temperature": 298.15 + 2.0 * np.abs(np.sin(time / 5000.0)),
        "cycle": np.repeat(np.arange(1, cycles + 1), 2 * (rest + half)).astype(float),
        "step": step.astype(float),
        "charge_capacity": np.r_[0.0, np.cumsum(np.maximum(-np.diff(through), 0))],
        "discharge_capacity": np.r_[0.0, np.cumsum(np.maximum(np.diff(through), 0))],
    }


def dataset(columns):
    units = {name: "A.h" for name in columns if name.endswith("capacity")}
    units |= {"time": "s", "voltage": "V", "current": "A", "temperature": "K"}
    given = {k: (np.asarray(v, dtype=float), units.get(k, "-")) for k, v in columns.items()}
    return make_group("traces", given, Rows("here"), possible=False)


CLEAN = dataset(cycling())
SIZE = CLEAN.sizes["sample"]
ROWS = st.integers(2, SIZE - 3)


def found(data):
    """Kinds and samples of what is found in a trace."""
    return {(one.kind, one.severity): one.samples.tolist() for one in faults(data)}


def changed(name, values):
    return CLEAN.assign({name: ("sample", values, CLEAN[name].attrs)})


def same(one, other, but=()):
    assert set(one.variables) - set(but) == set(other.variables) - set(but)
    for name in set(one.variables) - set(but):
        np.testing.assert_allclose(one[name].values, other[name].values, rtol=1e-12, err_msg=name)


def mended(data, *kinds):
    """A repaired trace, of which the report has none of these kinds any more."""
    out, cured = repair_trace(data, kinds)
    assert {one.kind for one in cured} == set(kinds)
    left = [one for one in faults(out) if one.severity == "refused"]
    assert not left, left
    same(repair_trace(out, kinds)[0], out)
    return out


def test_every_kind_is_described_and_every_repair_is_a_kind():
    told = {kind for kinds in CHECKS.values() for kind in kinds} | {"missing", "impossible"}
    assert told <= set(KINDS)
    assert set(REPAIRS) <= told


def test_a_clean_trace_has_no_findings():
    assert faults(CLEAN) == []
    assert inspect(CLEAN, "traces", Rows("here")).found == ()


# --- rows and clocks ---------------------------------------------------------------------------


@given(st.sets(ROWS, min_size=1, max_size=4))
def test_rows_written_twice(rows):
    order = np.sort(np.r_[np.arange(SIZE), sorted(rows)])
    twice = CLEAN.isel(sample=order)
    at = [row + 1 + k for k, row in enumerate(sorted(rows))]
    assert found(twice) == {("repeated", "noted"): at}
    same(mended(twice, "repeated"), CLEAN)


@given(st.integers(0, SIZE // 2 - 20), st.integers(2, 10))
def test_rows_written_again_later(row, many):
    order = np.r_[np.arange(SIZE // 2), row + np.arange(many), np.arange(SIZE // 2, SIZE)]
    again = CLEAN.isel(sample=order)
    at = list(range(SIZE // 2, SIZE // 2 + many))
    assert found(again)["repeated", "refused"] == at
    same(mended(again, *{kind for kind, _ in found(again)}), CLEAN)


@given(ROWS)
def test_rows_out_of_order_are_put_back(row):
    order = np.arange(SIZE)
    order[[row, row + 1]] = order[[row + 1, row]]
    mixed = CLEAN.isel(sample=order)
    assert found(mixed)["clock", "refused"] == [row + 1]
    kinds = {kind for (kind, _), _ in found(mixed).items() if kind in REPAIRS}
    same(mended(mixed, "clock"), CLEAN) if kinds == {"clock"} else mended(mixed, *kinds)


@given(ROWS, st.floats(0.0, 1.0))
def test_a_clock_that_is_set_back_is_continued(row, share):
    time = CLEAN["time"].values.copy()
    back = 7.0 + share * time[row]
    time[row:] -= back + 20.0
    data = changed("time", time)
    assert found(data)["clock", "refused"] == [row]
    np.testing.assert_allclose(mended(data, "clock")["time"], CLEAN["time"], atol=1e-6)


def test_whole_hours_are_named():
    time = CLEAN["time"].values.copy()
    time[200:] -= 3600.0
    (one,) = (x for x in faults(changed("time", time)) if x.kind == "clock")
    assert "whole hours" in one.message


def test_a_clock_that_stands_at_nought_in_single_rows():
    """The first row of each step has the time 0: it follows the row before."""
    time = np.r_[0.0, 10.0, 20.0, 0.0, 20.01, 30.0, 0.0, 30.01, 40.0]
    out = continued(time)
    assert np.all(np.diff(out) >= 0)
    np.testing.assert_array_equal(out[[0, 1, 2, 4, 5, 7, 8]], time[[0, 1, 2, 4, 5, 7, 8]])


@given(st.lists(st.floats(0, 1e6, allow_subnormal=False), min_size=2, max_size=40))
def test_continued_times_never_fall(times):
    out = continued(np.array(times))
    assert np.all(np.diff(out) >= -1e-6)
    np.testing.assert_allclose(continued(np.sort(times)), np.sort(times))


@given(st.integers(30, SIZE - 80), st.integers(15, 40))
def test_gaps(row, many):
    data = CLEAN.isel(sample=np.r_[np.arange(row), np.arange(row + many, SIZE)])
    ((kind, severity),) = {key for key in found(data) if key[0] == "gap"}
    assert found(data)[kind, severity] == [row]
    changes = data["current"].values[row - 1] != data["current"].values[row]
    assert severity == ("refused" if changes else "noted")
    shown = inspect(data, "traces", Rows("here"))
    np.testing.assert_array_equal(np.flatnonzero(shown.dataset["time_flag"]), [row])
    if changes:
        out = mended(data, "gap")
        np.testing.assert_array_equal(np.flatnonzero(out["time_flag"]), [row])
        same(out, data, but=["time_flag"])


@given(ROWS, st.sampled_from(["time", "voltage", "current"]))
def test_missing_numbers(row, name):
    values = CLEAN[name].values.copy()
    values[row] = np.nan
    data = changed(name, values)
    assert found(data) == {("missing", "refused"): [row]}
    assert mended(data, "missing").sizes["sample"] == SIZE - 1


# --- units and signs ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "name", "factor"),
    [
        ("time unit", "time", 1000.0),
        ("time unit", "time", 1 / 3600.0),
        ("time unit", "time", 1 / 60),
        ("current unit", "current", 1000.0),
        ("voltage unit", "voltage", 1000.0),
    ],
)
def test_wrong_units_are_told_by_the_counters_or_the_size(kind, name, factor):
    data = changed(name, CLEAN[name].values * factor)
    assert set(found(data)) == {(kind, "refused")}
    np.testing.assert_allclose(mended(data, kind)[name], CLEAN[name], rtol=1e-12)


def test_milliseconds_without_counters_are_told_by_the_intervals():
    data = changed("time", CLEAN["time"].values * 1000.0)
    data = data.drop_vars(["charge_capacity", "discharge_capacity"])
    assert found(data) == {("time unit", "refused"): []}
    np.testing.assert_allclose(mended(data, "time unit")["time"], CLEAN["time"])


@pytest.mark.parametrize("shift", [273.15, -273.15])
def test_temperatures_in_the_other_unit(shift):
    data = changed("temperature", CLEAN["temperature"].values + shift)
    kinds = {kind for kind, _ in found(data)}
    assert kinds == {"temperature unit"}
    np.testing.assert_allclose(mended(data, *kinds)["temperature"], CLEAN["temperature"])


def test_a_current_of_the_other_sign():
    data = changed("current", -CLEAN["current"].values)
    assert ("sign", "refused") in found(data)
    np.testing.assert_allclose(mended(data, "sign")["current"], CLEAN["current"])
    alone = data.drop_vars(["charge_capacity", "discharge_capacity"])
    assert found(alone) == {("sign", "refused"): []}


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_current_without_sign(sign):
    data = changed("current", sign * np.abs(CLEAN["current"].values))
    data = data.drop_vars(["charge_capacity", "discharge_capacity"])
    wrong = np.flatnonzero(CLEAN["current"].values * sign < 0)
    assert found(data) == {("unsigned", "refused"): wrong.tolist()}
    np.testing.assert_allclose(mended(data, "unsigned")["current"], CLEAN["current"])


# --- channels ----------------------------------------------------------------------------------


@given(st.integers(0, 2), st.integers(20, 100), st.booleans())
def test_a_voltage_that_stands_still(cycle, begin, top):
    """Through a rest into a discharge and back: the current steps, the voltage does not."""
    half, rest = 162, 40
    first = cycle * 2 * (half + rest) + rest + begin
    last = min(first + 40, (cycle * 2 + 1) * (half + rest) - rest)
    voltage = CLEAN["voltage"].values.copy()
    voltage[first:last] = 5.0 if top else voltage[first]
    data = changed("voltage", voltage)
    kind = "saturated" if top else "frozen"
    assert found(data)[kind, "refused"] == list(range(first, last))
    out, _ = repair_trace(data, [kind, "gap"])
    assert not [one for one in faults(out) if one.severity == "refused"]
    assert out.sizes["sample"] == SIZE - (last - first)


def test_a_sensor_that_is_not_connected():
    values = CLEAN["temperature"].values.copy()
    values[100:300] = 3276.7 - 1500
    data = changed("temperature", values)
    assert found(data) == {("saturated", "refused"): list(range(100, 300))}
    assert np.isnan(mended(data, "saturated")["temperature"].values[100:300]).all()


@given(ROWS, st.floats(0.2, 2.0), st.booleans())
def test_single_voltages(row, size, up):
    quiet = np.ptp(CLEAN["current"].values[max(row - 2, 0) : row + 3]) == 0
    voltage = CLEAN["voltage"].values.copy()
    voltage[row] += size if up else -size
    data = changed("voltage", voltage)
    if not quiet:
        assert set(found(data)) <= {("spike", "noted")}
        return
    assert found(data) == {("spike", "noted"): [row]}
    assert mended(data, "spike").sizes["sample"] == SIZE - 1
    shown = inspect(data, "traces", Rows("here"))
    np.testing.assert_array_equal(np.flatnonzero(shown.dataset["voltage_flag"]), [row])


# --- counters and numbers ----------------------------------------------------------------------


@given(st.integers(60, 180))
def test_a_counter_that_begins_anew_within_a_step(row):
    values = CLEAN["discharge_capacity"].values.copy()
    values[row:] -= values[row - 1]
    data = changed("discharge_capacity", values)
    assert found(data) == {("counter reset", "noted"): [row]}
    np.testing.assert_allclose(
        mended(data, "counter reset")["discharge_capacity"], CLEAN["discharge_capacity"]
    )


def test_a_counter_that_disagrees():
    data = changed("charge_capacity", 0.8 * CLEAN["charge_capacity"].values)
    (one,) = faults(data)
    assert one.kind == "counter"
    assert "+25 %" in one.message


@pytest.mark.parametrize(("share", "kinds"), [(1.0, set()), (0.85, {"counter"})])
def test_a_counter_of_few_digits(share, kinds):
    """It counts in sixtieths of the whole: enough to tell a current that was rounded."""
    values = share * CLEAN["discharge_capacity"].values
    digit = float(values.max()) / 60
    data = changed("discharge_capacity", np.floor(values / digit) * digit)
    assert {kind for kind, _ in found(data)} == kinds
    for one in faults(data):
        assert not len(one.samples)
        assert "differ most" not in one.message


def test_cycle_numbers_that_count_rows():
    data = changed("cycle", np.arange(SIZE))
    assert found(data) == {("cycle", "refused"): []}
    assert "cycle" not in mended(data, "cycle")


def test_cycle_numbers_that_go_back():
    cycle = CLEAN["cycle"].values.copy()
    at = int(np.flatnonzero(cycle == 3)[0])
    cycle[at:] = 1
    data = changed("cycle", cycle)
    assert found(data) == {("cycle", "noted"): [at]}
    np.testing.assert_array_equal(mended(data, "cycle")["cycle"], CLEAN["cycle"])


@given(st.integers(3, 17), st.floats(0.1, 0.8))
def test_a_cycle_that_is_cut_short(cycle, share):
    """Of twenty, one discharge ends early: the charge that follows is as much shorter."""
    columns = cycling(20, interval=60.0, rest=10)
    at = np.flatnonzero(columns["cycle"] == cycle)
    half = 54
    left = int(half * share)
    dropped = np.r_[at[10 + left : 10 + half], at[20 + half + left :]]
    data = dataset(columns).isel(sample=np.setdiff1d(np.arange(len(columns["time"])), dropped))
    length = np.full(data.sizes["sample"], 60.0) * np.arange(data.sizes["sample"])
    data = data.assign(time=("sample", length, {"units": "s"}))
    data = data.drop_vars(["charge_capacity", "discharge_capacity"])
    rows = np.flatnonzero(data["cycle"].values == cycle)
    assert found(data) == {("cut short", "noted"): rows.tolist()}


def test_a_test_that_ends_within_a_discharge():
    whole = dataset(cycling(6))
    cut = whole.isel(sample=slice(0, 5 * 404 + 100))
    rows = np.arange(5 * 404, 5 * 404 + 100)
    assert found(cut) == {("cut short", "noted"): rows.tolist()}
    assert found(whole) == {}


# --- tables ------------------------------------------------------------------------------------


def table(missing=()):
    cycle = np.delete(np.arange(1, 201), list(missing))
    capacity = 2.0 - 1e-3 * cycle
    return {"cycle": cycle, "discharge_capacity": capacity, "throughput": 2.0 * cycle}


@given(st.sets(st.integers(5, 190), min_size=1, max_size=5))
def test_row_numbers_in_place_of_cycle_numbers(missing):
    columns = table(missing)
    true = columns["cycle"]
    columns["cycle"] = np.arange(1, len(true) + 1)
    record = cm.build_record(cycles=columns)
    (one,) = cm.check_quality(record).refused
    assert one.kind == "cycle"
    assert one.rows.tolist() == (np.flatnonzero(np.diff(true) > 1) + 1).tolist()
    out = inspect(record["cycles"].to_dataset(), "cycles", Rows("here"), {"cycle"})
    np.testing.assert_array_equal(out.dataset["cycle"], true)
    assert out.found == ()
    assert cm.check_quality(cm.build_record(cycles=columns | {"cycle": true})).findings == ()


def test_cycles_cut_short():
    columns = table()
    columns["discharge_capacity"][[50, 120]] = 0.7, 1.2
    columns["discharge_capacity"][80] = 1.95
    record = cm.build_record(cycles=columns)
    report = cm.check_quality(record)
    assert [(one.kind, one.rows.tolist()) for one in report] == [
        ("cut short", [50, 120]),
        ("spike", [80]),
    ]
    assert report.refused == ()


def test_more_energy_out_than_in():
    columns = table() | {"charge_energy": np.full(200, 7.0), "discharge_energy": np.full(200, 7.5)}
    (one,) = cm.check_quality(cm.build_record(cycles=columns))
    assert "exchanged?" in one.message


# --- files -------------------------------------------------------------------------------------


@pytest.fixture
def write(tmp_path):
    def _write(columns, name="cell.bdf.csv"):
        headers = {
            "time": "Test Time / s", "voltage": "Voltage / V", "current": "Current / A",
            "cycle": "Cycle Count / 1", "charge_capacity": "Charging Capacity / Ah",
            "discharge_capacity": "Discharging Capacity / Ah",
        }  # fmt: skip
        frame = pd.DataFrame({headers[k]: columns[k] for k in headers})
        frame["Current / A"] *= -1  # positive on charge there
        frame.to_csv(tmp_path / name, index=False)
        return tmp_path / name

    return _write


def test_a_file_is_refused_with_its_lines_and_read_repaired(write):
    columns = cycling()
    columns["time"][200:] -= 1000.0
    path = write(columns)
    with pytest.raises(InputError, match=r"'time' goes back.*; line 202\n.*repair=\['clock'\]"):
        cm.read_record(path)
    record = cm.read_record(path, repair=["clock"])
    assert record.attrs["repaired"] == "clock ('time', line 202)"
    np.testing.assert_allclose(record["traces/time"], cycling()["time"], atol=1e-6)
    assert cm.check_quality(record).findings == ()
    assert cm.check_quality(path, repair="all").findings == ()


def test_what_is_only_noted_is_said_once_and_written_down(write):
    columns = {name: np.delete(values, np.s_[70:120]) for name, values in cycling().items()}
    columns["voltage"][300] += 1.0
    path = write(columns)
    with pytest.warns(UserWarning, match="gap: no row for 17 min") as caught:
        record = cm.read_record(path)
    assert len(caught) == 1
    assert "spike: single voltages" in record.attrs["quality"]
    assert "line 302" in record.attrs["quality"]
    np.testing.assert_array_equal(np.flatnonzero(record["traces/time_flag"]), [70])
    np.testing.assert_array_equal(np.flatnonzero(record["traces/voltage_flag"]), [300])
    assert "voltage_header" not in record["traces"].attrs


def test_a_repair_that_does_not_exist(write):
    with pytest.raises(InputError, match="repair: there is no 'clocks'. Did you mean 'clock'"):
        cm.read_record(write(cycling()), repair="clocks")


def test_the_report_reads(write):
    columns = cycling()
    columns["time"] *= 1000.0
    report = cm.check_quality(write(columns))
    assert repr(report).splitlines()[0].endswith("cell.bdf.csv: 1 refused, 0 noted")
    assert "repair: 'time unit'" in repr(report)
    assert report.to_frame().loc[0, "kind"] == "time unit"
    with pytest.raises(InputError, match="Is the time in milliseconds"):
        report.raise_if_refused()
    assert cm.check_quality(write(cycling())).to_frame().empty


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        ([], ""),
        ([4], "row 4"),
        ([4, 5, 6, 9], "rows 4-6, 9 (4 rows)"),
        (range(0, 20, 2), "rows 0, 2, 4, 6, 8, 10 and 4 more places (10 rows)"),
    ],
)
def test_rows_in_words(rows, text):
    assert ranges(np.array(rows, dtype=np.int64)) == text


# --- traces of a model -------------------------------------------------------------------------


def solved(pybamm, steps, period="20 seconds"):
    """Measurements of a single-particle cell at PyBaMM's own output times."""
    experiment = pybamm.Experiment([tuple(steps)], period=period)
    model = pybamm.lithium_ion.SPM()
    parameters = pybamm.ParameterValues("Chen2020")
    found = pybamm.Simulation(model, experiment=experiment, parameter_values=parameters).solve(
        initial_soc=0.9
    )
    names = {"time": "Time [s]", "voltage": "Voltage [V]", "current": "Current [A]"}
    columns = {key: found[name].entries for key, name in names.items()}
    return dataset(columns | {"temperature": np.full(len(columns["time"]), 298.15)})


PULSE = ["Discharge at 1C for 10 seconds", "Rest for 40 seconds", "Charge at 0.75C for 10 seconds"]
PROTOCOLS = {
    "CC-CV": [
        "Discharge at 1C until 2.5 V", "Rest for 30 minutes", "Charge at 0.5C until 4.2 V",
        "Hold at 4.2 V until C/20", "Rest for 1 hour",
    ],
    "HPPC": [*PULSE, "Discharge at 1C for 6 minutes", "Rest for 1 hour"] * 5,
    "GITT": ["Discharge at C/10 for 10 minutes", "Rest for 1 hour"] * 10,
    "power": ["Discharge at 10 W for 20 minutes", "Charge at 5 W for 20 minutes"] * 2,
}  # fmt: skip


@pytest.fixture(scope="module", params=[*PROTOCOLS, "drive cycle"])
def of_model(request):
    pybamm = pytest.importorskip("pybamm")
    if request.param != "drive cycle":
        return solved(pybamm, PROTOCOLS[request.param])
    time = np.arange(0.0, 1800.0, 1.0)
    draw = 3.0 + 4.0 * np.sin(time / 40) * np.sin(time / 7) + np.where(time % 60 < 8, -6.0, 0.0)
    step = pybamm.step.current(np.stack([time, draw], axis=1), period="1 second")
    return solved(pybamm, [step], "1 second")


def test_a_model_s_traces_have_no_findings(of_model):
    assert faults(of_model) == []


def test_faults_put_into_a_model_s_traces(of_model):
    current, time = of_model["current"].values, of_model["time"].values
    other = of_model.assign(current=("sample", -current, of_model["current"].attrs))
    assert {one.kind for one in faults(other)} == {"sign"}
    slow = of_model.assign(time=("sample", 1e6 * time, of_model["time"].attrs))
    assert {one.kind for one in faults(slow)} >= {"time unit"}
    set_back = time.copy()
    set_back[len(time) // 2 :] -= time[len(time) // 2 - 1] / 2 + 30.0
    broken = of_model.assign(time=("sample", set_back, of_model["time"].attrs))
    assert found(broken)["clock", "refused"] == [len(time) // 2]


# --- measured files ----------------------------------------------------------------------------

#: What is found in files of laboratories; in every other one that is read, nothing.
MEASURED = {
    "a123_gitt_attia2020/2019-01-14-GITT_CH16_fresh.csv.gz": {"clock"},
    "bdf_examples/DLR__LiGrHydra0b__20230131__POCV__25degC__Basytec.bdf.csv.gz": {"time unit"},
    "bdf_examples/DLR__LiLNMOHydra0b__20221125__POCV__25degC__Basytec.bdf.csv.gz": {"time unit"},
    "bdf_examples/SINTEF__SLPBA842124HV__2024-10-23__Rate_25degC__Neware__Time_Bug.bdf.csv.gz": {
        "repeated", "clock",
    },
    "bdf_examples/SINTEF__G20M7-202512-Gru6mV__20251228__C30__25degC__Neware.bdf.csv.gz": {
        "repeated", "counter reset",
    },
    "vendor_formats/batterydata_energy_gov/p492-13-raw.csv": {
        "gap", "pause", "counter reset",
    },
    "vendor_formats/maccor/maccor_three.txt": {"voltage unit"},
    "vendor_formats/neware/nw_regular_export_ife_example.csv.gz": {"repeated"},
    "vendor_formats/novonix/example_data.csv": {"repeated", "clock"},
    # its current has one digit: 0.2 mA where the counter says 0.176 mA
    "bdf_examples/SINTEF__LiGrR2032__2024-04-30__25degC__Landt.bdf.csv.gz": {"counter"},
    "vendor_formats/arbin/arbin_example.csv": set(),
    "vendor_formats/arbin/2017-05-09_test-TC-contact_CH33.csv": set(),
    "vendor_formats/basytec/sample_data_basytec.txt": set(),
    "vendor_formats/biologic/Sample_data_biologic_CA1.txt": set(),
    "vendor_formats/maccor/PreDiag_000229_000229_truncated.034.gz": set(),
    "vendor_formats/maccor/maccor_001.txt.gz": set(),
    "vendor_formats/neware/neware_uio.csv.gz": set(),
    "vendor_formats/novonix/test_Nova_Form-CH01-01_short.csv": set(),
    "vendor_formats/pec/Test25205.csv": set(),
    "about_energy_bpx/LFP/data/validation/LFP_25degC_1C.csv": set(),
    "about_energy_bpx/NMC/data/validation/NMC_25degC_Co20.csv": set(),
}  # fmt: skip


@pytest.mark.data
@pytest.mark.parametrize("name", MEASURED)
def test_what_is_found_in_measured_files(name):
    folder = os.environ.get("CELLMODELS_DATA")
    if not folder or not Path(folder, name).is_file():
        pytest.skip(f"CELLMODELS_DATA has no {name}")
    path = Path(folder, name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        report = cm.check_quality(path)
        assert {one.kind for one in report} == MEASURED[name]
        assert not cm.check_quality(path, repair="all").refused
        if report.refused:
            with pytest.raises(InputError, match="repair="):
                cm.read_record(path)
        record = cm.read_record(path, repair="all")
    assert "traces" in record.children
    assert bool(report.repairs) == (report.refused != ())


@pytest.mark.data
def test_a_counter_says_nothing_of_intervals_in_which_the_current_changes():
    """The row after each pulse of this GITT comes 120 s late, with the current off."""
    name = "a123_gitt_attia2020/2019-01-14-GITT_CH16_fresh.csv.gz"
    folder = os.environ.get("CELLMODELS_DATA")
    if not folder or not Path(folder, name).is_file():
        pytest.skip(f"CELLMODELS_DATA has no {name}")
    assert {one.kind for one in cm.check_quality(Path(folder, name), repair="clock")} == {"gap"}
    with pytest.warns(UserWarning, match="gap"):
        traces = cm.read_record(Path(folder, name), repair="clock")["traces"].to_dataset()
    steps = segment(traces)
    # the counter of charge loses a reading each time that it begins anew
    for counter, within in (("discharge_capacity", 1e-3), ("charge_capacity", 1e-2)):
        counted = np.maximum(np.diff(traces[counter].values), 0.0).sum()
        assert float(steps[counter].sum()) == pytest.approx(counted, rel=within)


def test_efficiencies_that_no_whole_cycle_has_are_refused(tmp_path):
    path = tmp_path / "cell.csv"
    text = "cycle,discharge_capacity [A.h],coulombic_efficiency\n1,2.0,{}\n2,2.0,{}\n3,2.0,0.99\n"
    path.write_text(text.format(1.3, 0.99))
    with pytest.warns(UserWarning, match=r"efficiency.*first cycle, which began charged; line 2"):
        cm.read_record(path)
    path.write_text(text.format(0.99, 1.3))
    with pytest.raises(InputError, match=r"'coulombic_efficiency' is more than 1.1; line 3"):
        cm.read_record(path)


# --- dates beside the time ---------------------------------------------------------------------


def dated(tmp_path, seconds, wall):
    """A file with an elapsed time and dates."""
    frame = pd.DataFrame(
        {
            "Test Time / s": seconds,
            "Voltage / V": 3.7 - 1e-3 * np.arange(len(seconds)),
            "Current / A": np.full(len(seconds), -1.0),
            "Unix Time / s": wall,
        }
    )
    frame.to_csv(tmp_path / "dated.bdf.csv", index=False)
    return tmp_path / "dated.bdf.csv"


@pytest.mark.parametrize(("hours", "words"), [(3.0, "by +3 h"), (-1.0, "by -1 h")])
def test_dates_that_jump_are_noted(tmp_path, hours, words):
    seconds = 10.0 * np.arange(60)
    wall = 1.7e9 + seconds + np.where(seconds >= 250.0, 3600 * hours, 0.0)
    (one,) = cm.check_quality(dated(tmp_path, seconds, wall))
    assert (one.kind, one.severity, one.rows.tolist()) == ("pause", "noted", [27])
    assert words in one.message
    with pytest.warns(UserWarning, match="the dates jump"):
        record = cm.read_record(dated(tmp_path, seconds, wall))
    assert not set(record.attrs) & {"date_rows", "date_hours"}


@pytest.mark.parametrize(("unit", "factor"), [("ms", 1e3), ("min", 1 / 60), ("h", 1 / 3600)])
def test_a_time_in_another_unit_than_its_dates_say(tmp_path, unit, factor):
    seconds = 10.0 * np.arange(60)
    path = dated(tmp_path, factor * seconds, 1.7e9 + seconds)
    (one,) = cm.check_quality(path)
    assert one.kind == "time unit"
    assert f"it is in {unit}" in one.message
    record = cm.read_record(path, repair="time unit")
    np.testing.assert_allclose(record["traces/time"], seconds)
    assert cm.check_quality(record).findings == ()
