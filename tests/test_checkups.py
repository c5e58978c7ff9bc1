"""Check-ups found in traces whose truth is known: a circuit, and PyBaMM's solution."""

import tomllib

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import cellmodels as cm
from cellmodels.checkups import find_checkups
from cellmodels.checkups_file import corrections_path
from cellmodels.errors import InputError

FULL, EMPTY = 4.2, 3.0


class Circuit:
    """A cell: open-circuit voltage, a resistance, and one with a capacitor; its trace."""

    def __init__(self, capacity=2.0, r0=0.02, r1=0.01, tau=20.0):
        self.nominal = self.capacity = capacity
        self.r0, self.r1, self.tau = r0, r1, tau
        self.discharged, self.polarisation, self.now = 0.0, 0.0, 0.0
        self.rows, self.number = [], 0

    def ocv(self, charge=None):
        depth = (self.discharged if charge is None else charge) / self.capacity
        return 4.2 - 0.75 * depth + 0.05 * np.sin(6 * depth) - 0.4 * np.exp((depth - 1) / 0.02)

    def step(self, current, seconds=np.inf, until=None, every=30.0):
        """Hold a current for a time, or up to a voltage; its first row is where it begins."""
        elapsed = 0.0
        self.number += 1
        while elapsed < seconds - 1e-9:
            dt = min(every, seconds - elapsed) if elapsed else 1e-3
            before = self.discharged, self.polarisation
            self._go(current, dt)
            if until is not None and (self.voltage(current) - until) * np.sign(current) < 0:
                low, high = 0.0, dt  # the moment of the end, by bisection
                for _ in range(60):
                    dt = (low + high) / 2
                    self.discharged, self.polarisation = before
                    self._go(current, dt)
                    passed = (self.voltage(current) - until) * np.sign(current) < 0
                    low, high = (low, dt) if passed else (dt, high)
                self._row(dt, current)
                return
            self._row(dt, current)
            elapsed += dt

    def rest(self, seconds=3600.0, every=60.0):
        self.step(0.0, seconds, every=every)

    def charge(self, rate=0.5):
        """Constant current, and a hold down to C/50."""
        self.step(-rate * self.nominal, until=FULL)
        current = -rate * self.nominal
        self.number += 1
        while abs(current) > self.nominal / 50:
            drop = FULL - self.ocv() + self.polarisation
            current = -drop / self.r0
            self._go(current, 10.0)
            self._row(10.0, current, FULL)

    def voltage(self, current):
        return self.ocv() - current * self.r0 - self.polarisation

    def resistance(self, at, current, charge):
        """Of a pulse from rest, at a charge discharged before it; the charge it passes too."""
        along = self.ocv(charge) - self.ocv(charge + current * at / 3600)
        return self.r0 + self.r1 * (1 - np.exp(-at / self.tau)) + along / current

    def record(self):
        names = ("time", "voltage", "current", "step")
        return cm.build_record(traces=dict(zip(names, np.array(self.rows).T, strict=True)))

    def _go(self, current, dt):
        self.discharged += current * dt / 3600
        decay = np.exp(-dt / self.tau)
        self.polarisation = self.polarisation * decay + current * self.r1 * (1 - decay)

    def _row(self, dt, current, voltage=None):
        self.now += dt
        held = self.voltage(current) if voltage is None else voltage
        self.rows.append((self.now, held, current, self.number))


def check(cell):
    """A check-up: C/20 in both directions, and pulses at half charge; its capacity and pulse."""
    cell.rest()
    start = cell.discharged
    cell.step(cell.nominal / 20, until=EMPTY, every=120.0)
    slow = cell.discharged - start
    cell.rest()
    cell.charge(1 / 20)
    cell.rest()
    cell.step(cell.nominal / 2, seconds=3600.0)
    cell.rest()
    at = cell.discharged
    cell.step(cell.nominal, seconds=10.0, every=0.1)
    cell.rest(60.0, every=0.5)
    cell.step(-0.75 * cell.nominal, seconds=10.0, every=0.1)
    cell.rest(1800.0)
    cell.step(cell.nominal / 2, until=EMPTY)
    cell.rest()
    cell.charge()
    return slow, lambda t: cell.resistance(t, cell.nominal, at)


@pytest.fixture(scope="module")
def life():
    """Sixty cycles at 1C, with check-ups after 0, 30 and 60 of them; it ages between."""
    cell, truth = Circuit(), []
    cell.charge()
    for after in (0, 30, 60):
        slow, resistance = check(cell)
        truth.append((after, slow, resistance(10.0)))
        if after < 60:
            for _ in range(30):
                cell.step(cell.nominal, until=EMPTY, every=60.0)
                cell.charge()
        cell.capacity *= 0.95
        cell.discharged *= 0.95
        cell.r0 *= 1.2
    return cell.record(), truth


def test_check_ups_of_a_life_are_placed_between_its_cycles(life):
    record, truth = life
    found = find_checkups(record)
    checkups = found.record["checkups"].to_dataset()
    assert checkups["cycle"].values.tolist() == [0, 30, 60]
    np.testing.assert_allclose(checkups["capacity_C20"], [t[1] for t in truth], rtol=2e-4)
    np.testing.assert_allclose(checkups["resistance_10s"], [t[2] for t in truth], rtol=1e-3)
    kinds = found.tests["kind"].values
    assert kinds.tolist().count("slow discharge") == 3
    assert kinds.tolist().count("discharge pulse") == 3
    assert kinds.tolist().count("charge pulse") == 3


def test_cycles_of_a_life_are_those_between_its_check_ups(life):
    record, _ = life
    found = find_checkups(record).record
    cycles, checkups = found["cycles"].to_dataset(), found["checkups"].to_dataset()
    assert cycles["cycle"].values.tolist() == list(range(1, 61))
    for place in ("throughput", "elapsed_time"):
        own, later = cycles[place].values, checkups[place].values
        assert (np.diff(own) > 0).all()
        assert own[29] <= later[1] < own[30]
        assert own[59] <= later[2]
    t, i = (record["traces"][name].values for name in ("time", "current"))
    before = t <= t[0] + checkups["elapsed_time"].values[1]
    passed = np.trapezoid(np.maximum(i, 0.0)[before], t[before]) / 3600
    assert checkups["throughput"].values[1] == pytest.approx(passed, rel=1e-3)
    fresh, aged = (cycles["discharge_capacity"].values[k] for k in (0, 59))
    assert aged / fresh == pytest.approx(0.95, abs=0.02)
    assert cycles["coulombic_efficiency"].values[5] == pytest.approx(1.0, abs=2e-3)


def test_a_life_without_check_ups_has_none():
    cell = Circuit()
    for _ in range(8):
        cell.charge()
        cell.step(cell.capacity, until=EMPTY, every=60.0)
        cell.rest(600.0)
    found = find_checkups(cell.record())
    assert not found.tests.sizes
    assert "0 check-ups with 0 tests" in repr(found)
    found.plot()


def test_discharges_alone_are_cycles_too():
    cell = Circuit()
    for _ in range(12):
        cell.discharged = cell.polarisation = 0.0  # charged, but not in these data
        cell.rest(120.0, every=10.0)
        cell.step(cell.nominal, until=EMPTY)
        cell.rest(600.0, every=10.0)
    found = find_checkups(cell.record())
    assert not found.tests.sizes
    assert found.recognition.capacity == pytest.approx(2.0, rel=0.02)
    assert found.record["cycles"]["cycle"].values.tolist() == list(range(1, 13))


def test_one_check_up_alone():
    cell = Circuit()
    cell.rest()
    slow, resistance = check(cell)
    found = find_checkups(cell.record())
    tests = found.tests.set_coords("name").swap_dims(test="name")
    assert float(found.record["checkups"]["capacity_C20"][0]) == pytest.approx(slow, rel=2e-4)
    one = tests.sel(name="C20")
    assert float(one["c_rate"]) == pytest.approx(0.05, rel=0.01)
    assert float(one["rest_before"]) == pytest.approx(7200.0, abs=70.0)
    assert float(one["end_voltage"]) == pytest.approx(EMPTY, abs=1e-6)
    pulse = tests.sel(name="pulse")
    for at in (1.0, 10.0):
        assert float(pulse[f"resistance_{at:g}s"]) == pytest.approx(resistance(at), rel=1e-3)
    assert np.isnan(pulse["resistance_30s"])
    assert "no resistance at 30 s: the step lasts 10 s" in str(pulse["remarks"].values)
    # the capacitor is not full after 10 s: the relaxation is that of what is in it
    filled = cell.r1 * (1 - np.exp(-10 / cell.tau))
    expected = cell.r0 + filled * (1 - np.exp(-1 / cell.tau))
    assert float(pulse["relaxation_1s"]) == pytest.approx(expected, rel=1e-3)
    assert float(pulse["depth"]) == pytest.approx(1.0, abs=0.02)  # after an hour at C/2
    charge = tests.sel(name="C20_charge")
    assert float(charge["cv_duration"]) > 100
    back = tests.sel(name="charge_pulse")
    assert float(back["resistance_10s"]) == pytest.approx(resistance(10.0), rel=0.05)


def test_curves_of_the_check_up_are_those_of_the_cell():
    cell = Circuit()
    cell.charge()
    check(cell)
    found = find_checkups(cell.record())
    curves = found.curves
    names = [str(name) for name in curves["name"].values]
    assert names == ["C20", "C20_charge", "pocv"]
    mean = curves.isel(curve=2)
    inner = slice(20, 350)
    q, v = mean["charge"].values[inner], mean["voltage"].values[inner]
    start = float(found.tests.set_coords("name").swap_dims(test="name").sel(name="C20")["charge"])
    offset = cell.capacity - start  # the discharge begins a little below full and ends above empty
    errors = [np.abs(v - cell.ocv(q + shift)).max() for shift in np.linspace(-offset, offset, 81)]
    assert min(errors) < 1e-3


# --- against PyBaMM ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rpt():
    """A check-up simulated by PyBaMM: C/20, pulses at nine depths, 1C; and its solution."""
    pybamm = pytest.importorskip("pybamm")
    pulses = [
        "Discharge at 1C for 10 seconds (0.1 second period)",
        "Rest for 40 seconds (1 second period)",
        "Charge at 0.75C for 10 seconds (0.1 second period)",
        "Rest for 10 minutes",
        "Discharge at C/3 for 18 minutes",
        "Rest for 1 hour",
    ]
    steps = [
        "Rest for 30 minutes",
        "Discharge at C/20 until 2.5 V (2 minute period)",
        "Rest for 1 hour",
        "Charge at C/20 until 4.2 V (2 minute period)",
        "Hold at 4.2 V until C/50",
        "Rest for 1 hour",
        *pulses * 4,
        "Charge at C/3 until 4.2 V",
        "Hold at 4.2 V until C/50",
        "Rest for 1 hour",
        "Discharge at 1C until 2.5 V",
        "Rest for 10 minutes",
    ]
    simulation = pybamm.Simulation(
        pybamm.lithium_ion.SPM(),
        parameter_values=pybamm.ParameterValues("Chen2020"),
        experiment=pybamm.Experiment([tuple(steps)], period="30 seconds"),
    )
    solution = simulation.solve(initial_soc=1.0)
    traces = {"time": [], "voltage": [], "current": [], "step": []}
    for number, step in enumerate(solution.cycles[0].steps):
        for name, key in (
            ("time", "Time [s]"),
            ("voltage", "Voltage [V]"),
            ("current", "Current [A]"),
        ):
            traces[name].append(step[key].entries)
        traces["step"].append(np.full(len(step.t), number))
    columns = {name: np.concatenate(parts) for name, parts in traces.items()}
    return cm.build_record(traces=columns, synthetic=True), solution.cycles[0].steps


def discharged(step):
    q = step["Discharge capacity [A.h]"].entries
    return q[-1] - q[0]


def test_capacities_are_pybamms(rpt):
    record, steps = rpt
    found = find_checkups(record, nominal_capacity=5.0)
    checkups = found.record["checkups"].to_dataset().isel(checkup=0)
    assert float(checkups["capacity_C20"]) == pytest.approx(discharged(steps[1]), rel=1e-5)
    assert float(checkups["capacity_1C"]) == pytest.approx(discharged(steps[-2]), rel=1e-5)
    charged = -discharged(steps[3]) - discharged(steps[4])
    assert float(checkups["capacity_C20_charge"]) == pytest.approx(charged, rel=1e-3)
    tests = found.tests.set_coords("name").swap_dims(test="name").sel(name="C20_charge")
    hold = steps[4]["Time [s]"].entries
    assert float(tests["cv_duration"]) == pytest.approx(hold[-1] - hold[0], rel=0.02)
    assert float(tests["cv_charge"]) == pytest.approx(discharged(steps[4]), rel=0.02)


def test_pulses_are_found_at_their_depths_with_pybamms_resistances(rpt):
    record, steps = rpt
    tests = find_checkups(record, nominal_capacity=5.0).tests
    kinds = tests["kind"].values
    for kind, offset in (("discharge pulse", 0), ("charge pulse", 2)):
        pulses = tests.isel(test=np.flatnonzero(kinds == kind))
        assert pulses.sizes["test"] == 4
        for k in range(4):
            step, before = steps[6 + 6 * k + offset], steps[5 + 6 * k + offset]
            begin = step.t[0]
            current = step["Current [A]"](begin + 5.0)
            rest = before["Voltage [V]"].entries[-1]
            for at in (1.0, 10.0):
                truth = (rest - step["Voltage [V]"](begin + min(at, 9.999999))) / current
                assert float(pulses[f"resistance_{at:g}s"][k]) == pytest.approx(truth, rel=2e-3)
    full = steps[6]["Discharge capacity [A.h]"].entries[0]
    expected = [steps[6 + 6 * k]["Discharge capacity [A.h]"].entries[0] - full for k in range(4)]
    own = tests.isel(test=np.flatnonzero(kinds == "discharge pulse"))
    np.testing.assert_allclose(own["depth"], expected, atol=2e-3)


def test_pseudo_ocv_is_near_pybamms_open_circuit_voltage(rpt):
    record, steps = rpt
    curves = find_checkups(record, nominal_capacity=5.0).curves
    mean = curves.isel(curve=[str(n) for n in curves["name"].values].index("pocv"))
    q = steps[1]["Discharge capacity [A.h]"].entries
    truth = steps[1]["Bulk open-circuit voltage [V]"].entries
    at, v = mean["charge"].values, mean["voltage"].values
    inner = (at > 0.25) & (at < 4.5)
    error = np.abs(v - np.interp(at, q - q[0], truth))[inner]
    one_way = np.abs(np.interp(at, q - q[0], steps[1]["Voltage [V]"].entries) - v)[inner]
    assert error.max() < 0.012
    assert np.median(error) < 0.3 * np.median(one_way)


# --- corrections -------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path):
    """A trace as a CSV file, and its corrections as they were written."""
    cell = Circuit()
    cell.discharged = 1.0
    cell.rest()
    cell.charge()
    check(cell)
    path = tmp_path / "cell.csv"
    table = cell.record()["traces"].to_dataset().to_dataframe()
    header = {"time": "time [s]", "voltage": "voltage [V]", "current": "current [A]"}
    table.rename(columns=header).to_csv(path, index=False)
    found = find_checkups(path)
    found.write_corrections(corrections_path(path))
    return path, found


def change(path, *pairs):
    file = corrections_path(path)
    text = file.read_text("utf8")
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    file.write_text(text, "utf8")


def test_written_corrections_give_the_same_result(files):
    path, found = files
    again = find_checkups(path)
    assert again.corrections == str(corrections_path(path))
    xr.testing.assert_identical(again.tests, found.tests)
    assert again.recognition == found.recognition
    with pytest.raises(InputError, match="already"):
        again.write_corrections(corrections_path(path))


def test_corrections_change_the_result(files):
    path, found = files
    change(
        path,
        ('name = "C20"', 'name = "reference"'),
        ("after_cycle = 0", "after_cycle = 500"),
        ("# nominal_capacity = 5.0", "nominal_capacity = 4"),
        ('name = "charge_pulse"\nkind = "charge pulse"', 'name = "x"\nkind = "partial charge"'),
    )
    again = find_checkups(path)
    checkups, before = again.record["checkups"], found.record["checkups"]
    assert float(checkups["capacity_reference"][0]) == float(before["capacity_C20"][0])
    assert "capacity_C20" not in checkups
    assert "resistance_10s_charge_pulse" in before
    assert "resistance_10s_charge_pulse" not in checkups
    assert checkups["cycle"].values.tolist() == [500]
    np.testing.assert_allclose(
        again.tests["c_rate"] * 4, found.tests["c_rate"] * found.recognition.capacity
    )


def test_tests_can_be_left_out_and_joined(files):
    path, found = files
    data = tomllib.loads(corrections_path(path).read_text("utf8"))
    tests = data["checkup"][0]["test"]
    names = [test["name"] for test in tests]
    first, last = names.index("pulse"), names.index("charge_pulse")
    joined = {
        "name": "both",
        "kind": "partial discharge",
        "segments": [tests[first]["segments"][0], tests[last]["segments"][-1]],
    }
    text = corrections_path(path).read_text("utf8")
    head = text[: text.index("[[checkup.test]]")]
    body = "\n".join(f"{k} = {v!r}" for k, v in joined.items())
    corrections_path(path).write_text(f"{head}[[checkup.test]]\n{body}\n", "utf8")
    again = find_checkups(path)
    assert again.tests["name"].values.tolist() == ["both"]
    own = found.tests.isel(test=[first, last])
    assert float(again.tests["charge"][0]) == pytest.approx(float(own["charge"].sum()))
    assert "2 discharges and charges together" in str(again.tests["remarks"].values[0])


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([('kind = "slow discharge"', 'kind = "slow dischrge"')], "Choose from: slow discharge"),
        ([('kind = "slow discharge"', 'kind = "slow charge"')], "which is no 'slow charge'"),
        ([('name = "C20"', 'name = "C/20"')], "letters, digits"),
        ([('name = "C20"', 'name = "pulse"')], "two tests have the name 'pulse'"),
        ([('name = "C20"', 'nam = "C20"')], "Did you mean 'name'"),
        ([("format = 1", "format = 2")], "format"),
        ([("rows = ", "rows = 1")], "written for a trace of 1"),
        ([('sha256 = "', 'sha256 = "0')], "sha256"),
        ([("after_cycle = 0", "after_cycle = -1")], "after_cycle"),
        ([("format = 1", "format = 1\nnominal_capacity = inf")], "nominal_capacity"),
        ([("columns", "column")], None),
    ],
)
def test_wrong_corrections_are_refused(files, pairs, message):
    path, _ = files
    if message is None:
        change(path, ("[data]", '[read]\ncolums = { "U" = "voltage [V]" }\n[data]'))
        message = "Did you mean 'columns'"
    else:
        change(path, *pairs)
    with pytest.raises(InputError, match=message):
        find_checkups(path)


@pytest.mark.parametrize(
    ("segments", "message"),
    [
        ("[900]", r"the trace has 0 to \d+, and a current flows in"),
        ("[7, 5]", "there are no segments 7 to 5"),
        ("[0]", "no current flows in segments 0 to 0. Did you mean 1"),
    ],
)
def test_segments_that_are_not_there(files, segments, message):
    path, found = files
    first = int(found.tests["first_segment"][0])
    last = int(found.tests["last_segment"][0])
    old = f"segments = [{first}]" if first == last else f"segments = [{first}, {last}]"
    change(path, (old, f"segments = {segments}"))
    with pytest.raises(InputError, match=message):
        find_checkups(path)


def test_corrections_of_changed_data_are_noticed(files):
    path, _ = files
    lines = path.read_text("utf8").splitlines()
    values = lines[100].split(",")
    lines[100] = ",".join([values[0], str(float(values[1]) + 1e-6), *values[2:]])
    path.write_text("\n".join(lines), "utf8")
    with pytest.raises(InputError, match="the data have changed"):
        find_checkups(path)
    path.write_text("\n".join(lines[:-1]), "utf8")
    with pytest.raises(InputError, match="written for a trace of"):
        find_checkups(path)


# --- what can be given -------------------------------------------------------------------------


def test_what_has_no_trace_is_refused():
    record = cm.build_record(cycles={"cycle": [1, 2], "discharge_capacity": [2.0, 1.9]})
    with pytest.raises(InputError, match="does not have"):
        find_checkups(record)


def test_how_a_file_is_read_is_said_by_names_that_are_known(files):
    with pytest.raises(InputError, match="Did you mean 'columns'"):
        find_checkups(files[0], read={"column": {}})


@pytest.mark.parametrize("capacity", [0.0, -1.0, float("nan"), float("inf")])
def test_the_nominal_capacity_is_positive(life, capacity):
    with pytest.raises(InputError, match="nominal_capacity must be positive"):
        find_checkups(life[0], nominal_capacity=capacity)


def test_a_pulse_alone_says_that_the_capacity_is_not_known():
    cell = Circuit()
    cell.rest(10.0, every=1.0)
    cell.step(2.0, seconds=10.0, every=0.1)
    cell.rest(30.0, every=0.1)
    found = find_checkups(cell.record())
    assert found.tests["kind"].values.tolist() == ["discharge pulse"]
    assert "give nominal_capacity" in repr(found)
    assert np.isnan(found.tests["c_rate"].values).all()
    resistance = float(found.record["checkups"]["resistance_10s"][0])
    assert resistance == pytest.approx(cell.resistance(10.0, 2.0, 0.0), rel=1e-3)


@pytest.mark.parametrize("two", [True, False], ids=["a counter each way", "of each step"])
def test_a_counter_that_disagrees_is_said_of_each_test(two):
    cell = Circuit()
    check(cell)
    record = cell.record()
    traces = record["traces"].to_dataset()
    step = np.concatenate([[0.0], np.diff(traces["time"]) * traces["current"].values[1:]]) / 3600
    tenth = traces["current"].values == 0.1
    step[tenth] *= 0.9  # the slow discharge, of which the current is recorded with one digit
    if two:
        ways = {"discharge_capacity": np.maximum(step, 0), "charge_capacity": np.maximum(-step, 0)}
        counters = {name: np.cumsum(values) for name, values in ways.items()}
    else:
        passed = pd.Series(np.abs(step)).groupby(traces["step"].values).cumsum()
        counters = {"step_capacity": passed.values}
    traces = traces.assign({name: ("sample", values) for name, values in counters.items()})
    found = find_checkups(xr.DataTree.from_dict({"traces": traces}))
    tests = found.tests.to_dataframe().set_index("name")
    differs = tests["remarks"].str.contains("the instrument's counter differs by over 5 %")
    assert differs[differs].index.tolist() == ["C20"]
    assert tests["counter_charge"]["C20"] == pytest.approx(0.9 * tests["charge"]["C20"], rel=1e-3)
    rest = tests.drop("C20")
    assert np.allclose(rest["counter_charge"], rest["charge"], rtol=0.02, atol=1e-5)
    assert "C20: the instrument's counter differs" in repr(found)


def test_gitt_is_recognised():
    cell = Circuit()
    cell.charge()
    cell.rest()
    for _ in range(12):
        cell.step(0.1 * cell.capacity, seconds=1800.0)
        cell.rest(7200.0)
    found = find_checkups(cell.record(), nominal_capacity=2.0)
    assert found.tests["kind"].values.tolist().count("GITT discharge") == 12


def test_the_record_is_written_and_read(life, tmp_path):
    found = find_checkups(life[0])
    cm.write_record(found.record, tmp_path / "found.nc")
    again = cm.read_record(tmp_path / "found.nc")
    xr.testing.assert_equal(again["tests"].to_dataset(), found.tests)
    assert again["checkups"]["cycle"].values.tolist() == [0, 30, 60]


def test_the_table_and_the_figure_show_every_test(life):
    found = find_checkups(life[0])
    assert len(found.table) == found.tests.sizes["test"]
    assert "resistance_10s [ohm]" in found.table
    text = repr(found)
    assert "C20" in text and "slow discharge" in text
    figure = found.plot()
    titles = {ax.get_title(loc="left") for sub in figure.subfigs for ax in sub.axes}
    assert {"Tests found", "Pseudo-OCV", "Incremental capacity", "Capacity at check-ups"} <= titles


def test_what_is_found_is_what_a_simulated_check_up_gives(rpt):
    record, _ = rpt
    empty = "Discharge at C/20 until 2.5 V"
    voltages = [f"{10 * k} %" for k in range(1, 10)]
    full = ("Charge at C/20 until 4.2 V", "Hold at 4.2 V until C/50")
    down = ("Rest for 30 minutes", empty)
    up = cm.Test("C20_charge", (*down, "Rest for 1 hour", *full), voltages_at=voltages)
    checkup = cm.Checkup([cm.Test("C20", down, voltages_at=voltages), up])
    cycle = ["Discharge at 1C until 2.5 V", "Charge at 1C until 4.2 V"]
    protocol = cm.Protocol(cycle, every={1: checkup})
    cell = cm.Cell("lithium_ion", parameters="Chen2020", model="SPM", initial_soc=1.0)
    life = cm.simulate(cell, protocol, cycles=1)["checkups"].to_dataset().isel(checkup=0)
    found = find_checkups(record, nominal_capacity=5.0).record["checkups"].to_dataset()
    found = found.isel(checkup=0)
    assert int(life["cycle"]) == int(found["cycle"]) == 0
    for name in ("C20", "C20_charge"):
        for measure in ("capacity", "energy"):
            mine, theirs = (float(one[f"{measure}_{name}"]) for one in (found, life))
            assert mine == pytest.approx(theirs, rel=1e-4)
        np.testing.assert_allclose(found[f"charge_{name}"], life[f"charge_{name}"])
        mine, theirs = (one[f"voltage_{name}"].values for one in (found, life))
        np.testing.assert_allclose(mine, theirs, atol=3e-4)
