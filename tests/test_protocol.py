"""Protocols, check-ups, and their files."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellmodels.checkup_plan import charge_steps, lower_cut_off
from cellmodels.errors import InputError
from cellmodels.protocol import Checkup, End, Protocol, Step, Test
from cellmodels.steps import parse_steps

CYCLE = ("Discharge at 1C until 2.5 V", "Charge at C/2 until 4.2 V", "Hold at 4.2 V until C/50")
CAPACITY = Test("C20", ["Charge at C/2 until 4.2 V", "Discharge at C/20 until 2.5 V"])
PULSE = Test("10s", ["Rest for 1 hour", "Discharge at 1C for 10 seconds"], "resistance")


def texts(steps):
    return [str(step) for step in steps]


# --- tests and check-ups -----------------------------------------------------------------------


def test_a_test_keeps_steps_and_charges():
    found = Test("C20", CAPACITY.steps, voltages_at=["10 %", 0.5, "600 mAh", (0.7, "nominal")])
    assert found.steps == CAPACITY.steps
    assert found.voltages_at == ((0.1, "nominal"), (0.5, "A.h"), (0.6, "A.h"), (0.7, "nominal"))
    assert found.variables == ("capacity_C20", "energy_C20", "voltage_C20")
    assert PULSE.variables == ("resistance_10s",)


def test_a_charge_is_measured_with_its_hold():
    charge = Test("C2_charge", CYCLE, voltages_at=[1.0])
    assert charge.measured_step == 1 and charge.curve == "voltage_C2_charge"
    assert Test("C20", CAPACITY.steps).measured_step == 1
    # a resistance is that of the last step, also where it is a hold
    assert Test("hold", CYCLE, "resistance").measured_step == 2


def test_times_of_a_pulse_are_part_of_its_names():
    steps = ["Rest for 1 hour", "Discharge at 1C for 30 seconds"]
    pulse = Test("pulse", steps, "resistance", times_at=[0.1, "1 s", 10, "0.5 min"])
    assert pulse.times_at == (0.1, 1.0, 10.0, 30.0)
    names = ("resistance_100ms", "resistance_1s", "resistance_10s", "resistance_30s")
    assert pulse.variables == names and pulse.curve is None
    other = Test("d20", steps, "resistance", times_at=[10])
    assert other.variables == ("resistance_10s_d20",)
    assert Test("d20", steps, "resistance").variables == ("resistance_d20",)


def test_a_voltage_over_time_is_a_curve():
    relax = Test("relax", ["Discharge at 1C for 10 s", "Rest for 1 h"], "voltage", times_at=[1, 60])
    assert relax.variables == ("voltage_relax",) and relax.curve == "voltage_relax"
    protocol = Protocol(CYCLE, every={10: Checkup(relax)})
    assert Protocol.from_dict(json.loads(json.dumps(protocol.to_dict()))) == protocol


def test_two_tests_do_not_give_the_same_variable():
    times = Test("pulse", PULSE.steps, "resistance", times_at=[10])
    with pytest.raises(InputError, match="variables of a check-up have the name 'resistance_10s'"):
        Checkup((PULSE, times))
    with pytest.raises(InputError, match="Two check-up tests give 'resistance_10s'"):
        Protocol(CYCLE, every={10: Checkup(PULSE), 20: Checkup(times)})


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("C/20", CAPACITY.steps), "letters, digits and underscores, such as 'C20', not 'C/20'"),
        (("", CAPACITY.steps), "letters, digits and underscores"),
        (("C20_std", CAPACITY.steps), "cannot end in '_std'"),
        (("C20", []), "no steps in test 'C20'"),
        (("C20", ["Dicharge at 1C until 2.5 V"]), "Step 1 of test 'C20'"),
        (("C20", ["Charge at 1C for 1 h", "Rest for 1 h"]), "'Rest for 1 hour', which is neither"),
        (("C20", [*CAPACITY.steps, "Hold at 2.5 V for 1 h"]), "a charge or the hold after it"),
        (("C20", ["Hold at 2.5 V for 1 h"], "energy"), "the energy of its last step"),
        (("10s", PULSE.steps, "resistance", [], [1, 20]), "20 s is after the end"),
        (("10s", PULSE.steps, "resistance", [], [0.0001]), "no whole number of milliseconds"),
        (("10s", PULSE.steps, "resistance", [], [10, 1]), "must increase"),
        (("10s", PULSE.steps, "resistance", [], ["1 A.h"]), "is a charge, not a time"),
        (("10s", PULSE.steps, "resistance", [], ["10"]), "has no unit"),
        (("10s", PULSE.steps, "resistance", [], [True]), "a positive number of seconds"),
        (("10s", PULSE.steps, "resistance", [], "10 s"), "a list of times"),
        (("10s", PULSE.steps, "voltage"), "say when, times_at="),
        (("10s", PULSE.steps, "end_voltage", [], [1]), "measures 'voltage' and 'resistance'"),
        (("C20", CAPACITY.steps, "capacity", [], [1]), "measures 'voltage' and 'resistance'"),
        (
            ("10s", ["Rest for 1 h", "Discharge at 5 W for 10 s"], "resistance", [], [1]),
            "a pulse of constant current",
        ),
        (("C20", CAPACITY.steps, "capcity"), "Did you mean 'capacity'?"),
        (("C20", CAPACITY.steps, "capacity", [0.2, 0.1]), "must increase"),
        (("C20", CAPACITY.steps, "capacity", [-0.2]), "must be positive"),
        (("C20", CAPACITY.steps, "capacity", ["3 V"]), "'3 V' is a voltage, not a charge"),
        (("C20", CAPACITY.steps, "capacity", ["3 parsecs"]), "voltages_at: unknown unit"),
        (("C20", CAPACITY.steps, "capacity", [(1.0, "V")]), "Unknown unit of a charge end"),
        (("C20", CAPACITY.steps, "capacity", [(1.0,)]), "a pair of value and unit"),
        (("C20", CAPACITY.steps, "capacity", 0.2), "a list of charges"),
        (("10s", PULSE.steps[1:], "resistance"), "a step before its pulse"),
        (("10s", PULSE.steps, "resistance", [0.1]), "belongs to a capacity test"),
        (("10s", ["Rest for 1 hour", "Rest for 10 s"], "resistance"), "the same current"),
        (("10s", ["Charge at 1C for 1 s"] * 2, "resistance"), "the same current"),
    ],
)
def test_a_test_that_cannot_be_is_refused(arguments, words):
    with pytest.raises(InputError) as caught:
        Test(*arguments)
    assert words in str(caught.value)


def test_a_checkup_is_its_tests_one_after_the_other():
    checkup = Checkup([CAPACITY, PULSE], disturbs=True)
    assert checkup.tests == (CAPACITY, PULSE)
    assert checkup.steps == (*CAPACITY.steps, *PULSE.steps)
    assert Checkup(PULSE).tests == (PULSE,)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (((),), "at least one test"),
        ((("C20",),), "Test objects, not 'C20'"),
        (((PULSE, PULSE),), "the name '10s'"),
        (((PULSE,), False, True), "cannot count as a cycle"),
    ],
)
def test_a_checkup_that_cannot_be_is_refused(arguments, words):
    with pytest.raises(InputError, match=words):
        Checkup(*arguments)


# --- the usual check-up ------------------------------------------------------------------------


def test_the_usual_checkup_takes_charge_and_cut_off_from_the_cycle():
    (checkup,) = Protocol(CYCLE, every={100: Checkup.default()}).every.values()
    start = ["Charge at C/2 until 4.2 V", "Hold at 4.2 V until C/50", "Rest for 1 hour"]
    steps = {test.name: texts(test.steps) for test in checkup.tests}
    assert steps == {
        "1C": [*start, "Discharge at 1 C until 2.5 V"],
        "C20": [*start, "Discharge at C/20 until 2.5 V"],
        "10s": [
            *start,
            "Discharge at C/2 until 0.5 nominal or 2.5 V",
            "Rest for 1 hour",
            "Discharge at 1 C for 10 seconds",
        ],
    }
    assert [test.measure for test in checkup.tests] == ["capacity", "capacity", "resistance"]
    assert [unit for _, unit in checkup.tests[1].voltages_at] == ["nominal"] * 9
    assert not checkup.disturbs


def test_the_usual_checkup_can_be_told_what_the_cycle_does_not_say():
    given_ = Checkup.default(
        ["Charge at C/4 until 60 %"], lower_voltage=0.5, voltages_at=(), disturbs=True
    )
    (checkup,) = Protocol(["Rest for 1 day"], every={10: given_}).every.values()
    assert texts(checkup.tests[0].steps) == [
        "Charge at C/4 until 0.6 nominal", "Rest for 1 hour", "Discharge at 1 C until 0.5 V",
    ]  # fmt: skip
    assert checkup.tests[1].voltages_at == ()
    assert checkup.disturbs


@pytest.mark.parametrize(
    ("cycle", "words"),
    [
        (["Rest for 1 day"], "has no charge that Checkup.default"),
        (["Charge at 1C until 4 V", "Discharge at 1C for 1 hour"], "does not know where to stop"),
    ],
)
def test_the_usual_checkup_says_what_it_cannot_find(cycle, words):
    with pytest.raises(InputError, match=words):
        Protocol(cycle, every={100: Checkup.default()})


@pytest.mark.parametrize(
    ("cycle", "charge", "cut_off"),
    [
        (CYCLE, CYCLE[1:], 2.5),
        # the charge goes over the end of the cycle, and rests are left out
        (
            ["Hold at 4.2 V until C/50", "Rest for 1 hour", "Discharge at 1C until 2.5 V",
             "Rest for 1 hour", "Charge at 1C until 4.0 V", "Charge at C/2 until 4.2 V"],
            ["Charge at 1C until 4.0 V", "Charge at C/2 until 4.2 V", "Hold at 4.2 V until C/50"],
            2.5,
        ),
        # a hold after a discharge is no charge; of two charges the one that goes higher
        (
            ["Discharge at 1C until 3 V", "Charge at 1C until 3.8 V", "Discharge at 1C until 2.5 V",
             "Hold at 2.5 V until C/20", "Charge at C/2 until 4.2 V"],
            ["Charge at C/2 until 4.2 V"],
            2.5,
        ),
        # charged by charge, as zinc-bromine is
        (
            ["Charge at 20 mA/cm2 until 60 %", "Discharge at 20 mA/cm2 until 0.5 V"],
            ["Charge at 20 mA/cm2 until 60 %"],
            0.5,
        ),
    ],
)  # fmt: skip
def test_charge_and_cut_off_of_a_cycle(cycle, charge, cut_off):
    cycle = parse_steps(cycle, "the cycle")
    assert charge_steps(cycle) == parse_steps(charge, "the charge")
    assert lower_cut_off(cycle) == cut_off


# --- when --------------------------------------------------------------------------------------


def test_checkups_are_at_the_beginning_at_every_interval_and_at_the_end():
    protocol = Protocol(CYCLE, every={100: Checkup(CAPACITY), 150: Checkup(PULSE)})
    assert protocol.checkup_cycles(320) == [0, 100, 150, 200, 300, 320]
    assert protocol.tests_at(0, 320) == ["C20", "10s"]
    assert protocol.tests_at(100, 320) == ["C20"]
    assert protocol.tests_at(150, 320) == ["10s"]
    assert protocol.tests_at(300, 320) == ["C20", "10s"]
    assert protocol.tests_at(320, 320) == ["C20", "10s"]
    assert protocol.tests_at(1, 320) == []
    assert Protocol(CYCLE).checkup_cycles(320) == []


@given(st.lists(st.integers(1, 60), min_size=1, max_size=3, unique=True), st.integers(1, 200))
def test_checkup_cycles_are_those_with_tests(intervals, total):
    protocol = Protocol(CYCLE, every=dict.fromkeys(intervals, Checkup(CAPACITY)))
    expected = [k for k in range(total + 1) if protocol.tests_at(k, total)]
    assert protocol.checkup_cycles(total) == expected


def test_one_test_in_two_checkups_is_done_once():
    every = {100: Checkup((CAPACITY, PULSE)), 200: Checkup(CAPACITY)}
    assert Protocol(CYCLE, every=every).tests_at(200, 500) == ["C20", "10s"]


def test_pauses_interrupt_the_life():
    pauses = {500: "Rest for 30 days", 0: ["Rest for 1 hour", "Rest for 2 hours"]}
    protocol = Protocol(CYCLE, every={100: Checkup(CAPACITY)}, pauses=pauses)
    found = [(after, texts(steps)) for after, steps in protocol.interruptions()]
    assert found == [(0, ["Rest for 1 hour", "Rest for 2 hours"]), (500, ["Rest for 30 days"])]
    assert [after for after, _ in protocol.interruptions(499)] == [0]


def test_checkups_that_disturb_interrupt_the_life_before_a_pause():
    every = {100: Checkup(CAPACITY, disturbs=True), 50: Checkup(PULSE)}
    protocol = Protocol(CYCLE, every=every, pauses={100: "Rest for 1 day", 120: "Rest for 2 days"})
    found = {after: texts(steps) for after, steps in protocol.interruptions(250)}
    assert list(found) == [0, 100, 120, 200]
    assert found[0] == found[200] == texts(CAPACITY.steps)
    assert found[100] == [*texts(CAPACITY.steps), "Rest for 1 day"]
    assert found[120] == ["Rest for 2 days"]
    with pytest.raises(InputError, match="how many cycles"):
        list(protocol.interruptions())


# --- possible ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cycle", "words"),
    [
        ([], "no steps in the cycle"),
        (["Discharge at 1C until 2.5 V"], "only discharges: nothing charges"),
        (["Charge at 1C until 4.2 V", "Rest for 1 hour"], "only charges: nothing discharges"),
        (["Discharge at 1C until 4.2 V", "Charge at 1C until 2.5 V"], "discharges to 4.2 V and"),
        (["Discharge at 1C until 2.5 V", "Chrage at C/2 until 4.2 V"], "Step 2 of the cycle"),
    ],
)
def test_a_cycle_that_cannot_be_is_refused(cycle, words):
    with pytest.raises(InputError) as caught:
        Protocol(cycle)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "cycle",
    [
        "Rest for 30 days",
        ["Hold at 4.2 V for 30 days"],
        ["Discharge at 1C for 10 minutes", "Hold at 4.2 V until C/50"],
        ["Discharge at 1C until 2.5 V", "Discharge at C/5 until 2.5 V", "Charge at 1C until 4.2 V"],
        [Step("power", 5.0, "W", End("charge", 0.5, "nominal")), "Charge at 1C until 60 %"],
    ],
)
def test_unusual_cycles_are_possible(cycle):
    assert Protocol(cycle).cycle


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"every": {0: Checkup(PULSE)}}, "interval of a check-up is a whole number from 1 on"),
        ({"every": {1.5: Checkup(PULSE)}}, "not 1.5"),
        ({"every": {True: Checkup(PULSE)}}, "not True"),
        ({"every": {100: PULSE}}, "Checkup objects"),
        ({"pauses": {-1: "Rest for 1 day"}}, "before a pause is a whole number from 0 on, not -1"),
        ({"pauses": {5: "Rst for 1 day"}}, "Step 1 of the pause after 5, 'Rst for 1 day'"),
        (
            {"every": {1: Checkup(PULSE), 2: Checkup(Test("10s", CAPACITY.steps))}},
            "Two different check-up tests have the name '10s'",
        ),
    ],
)
def test_a_protocol_that_cannot_be_is_refused(arguments, words):
    with pytest.raises(InputError) as caught:
        Protocol(CYCLE, **arguments)
    assert words in str(caught.value)


# --- a value -----------------------------------------------------------------------------------


def full_protocol():
    curve = Test("C5", CAPACITY.steps, voltages_at=["10 %", 0.5])
    every = {
        100: Checkup.default(),
        50: Checkup((PULSE_2C, curve), disturbs=True, counts=True),
    }
    return Protocol(CYCLE, every, {10: "Rest for 3 days"}, "all of it")


PULSE_2C = Test("2C", ["Rest for 1 hour", "Discharge at 2C for 10 seconds"], "resistance")


def test_a_protocol_is_a_value():
    protocol = full_protocol()
    for same in (full_protocol(), pickle.loads(pickle.dumps(protocol)), copy.deepcopy(protocol)):
        assert same == protocol
        assert hash(same) == hash(protocol)
    assert protocol != Protocol(CYCLE)
    assert protocol != dataclasses.replace(protocol, name="another")
    with pytest.raises(dataclasses.FrozenInstanceError):
        protocol.name = "x"
    with pytest.raises(TypeError):
        protocol.every[3] = Checkup(PULSE)


def test_a_protocol_written_and_read_is_the_same():
    protocol = full_protocol()
    data = json.loads(json.dumps(protocol.to_dict()))
    assert Protocol.from_dict(data) == protocol
    assert Protocol.from_dict(Protocol(CYCLE).to_dict()) == Protocol(CYCLE)


def test_a_protocol_says_what_it_is():
    text = repr(full_protocol())
    assert "Charge at C/2 until 4.2 V" in text
    assert "100: ['1C', 'C20', '10s']" in text
    assert "10: ['Rest for 3 days']" in text
    assert "name='all of it'" in text


# --- files -------------------------------------------------------------------------------------

TOML = """
[protocol]
name = "1C ageing"
cycle = ["Discharge at 1C until 2.5 V", "Charge at C/2 until 4.2 V"]

[[checkup]]
every = 100
disturbs = true

[[checkup.test]]
name = "slow"
steps = ["Charge at C/2 until 4.2 V", "Discharge at C/20 until 2.5 V"]
voltages_at = ["10 %", "500 mAh", 0.7]

[[checkup.test]]
name = "pulse"
measure = "resistance"
steps = ["Rest for 1 hour", "Discharge at 1C for 10 seconds"]

[[checkup]]
every = 500

[[pause]]
after_cycle = 200
step = "Rest for 30 days"
"""


def load(tmp_path, text):
    path = tmp_path / "protocol.toml"
    path.write_text(text)
    return Protocol.load(path)


def test_a_file_gives_a_protocol(tmp_path):
    protocol = load(tmp_path, TOML)
    slow = Test("slow", CAPACITY.steps, voltages_at=["10 %", 0.5, 0.7])
    pulse = Test("pulse", PULSE.steps, "resistance")
    assert protocol == Protocol(
        ["Discharge at 1C until 2.5 V", "Charge at C/2 until 4.2 V"],
        {100: Checkup((slow, pulse), disturbs=True), 500: Checkup.default()},
        {200: "Rest for 30 days"},
        "1C ageing",
    )


def test_a_checkup_of_a_file_without_tests_is_the_usual_one(tmp_path):
    text = '[protocol]\ncycle = ["Discharge at 1C until 2.5 V", "Charge at 1C until 4 V"]\n'
    protocol = load(tmp_path, text + "[[checkup]]\nevery = 10\ndisturbs = true\ncounts = true\n")
    usual = Checkup.default(disturbs=True, counts=True)
    assert protocol.every == Protocol(protocol.cycle, {10: usual}).every
    assert protocol.every[10].counts


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("cycle = ", "cycel = ", "unknown key 'cycel'. Did you mean 'cycle'?"),
        ("every = 100", "every = 0", "checkup -> 0 -> every"),
        ("every = 100", 'every = "100"', "checkup -> 0 -> every"),
        ("every = 100", "every = 500", "two check-ups with every = 500"),
        ("disturbs", "distrubs", "checkup -> 0: unknown key 'distrubs'. Did you mean 'disturbs'?"),
        ('"resistance"', '"resistence"', "measure 'resistence'. Did you mean 'resistance'?"),
        ("500 mAh", "500 mV", "'500 mV' is a voltage, not a charge"),
        ("Charge at C/2 until 4.2 V", "Charge at C/2 until 4.2 A", "it cannot end at 4.2 A"),
        ("Rest for 30 days", "Rest for 30 dayz", "'Rest for 30 days'?"),
        ("after_cycle = 200", "", "pause -> 0 -> after_cycle: this key is missing"),
        ("[[pause]]", "[[pause", "not a TOML file"),
        ('"pulse"', '"slow"', "have the name 'slow'"),
        ('"pulse"', '"10s"', "Two different check-up tests have the name '10s'"),
    ],
)  # fmt: skip
def test_a_wrong_file_names_itself_and_the_place(tmp_path, old, new, words):
    assert old in TOML
    with pytest.raises(InputError) as caught:
        load(tmp_path, TOML.replace(old, new))
    assert words in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / "protocol.toml"))


def test_a_missing_file_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="There is no file"):
        Protocol.load(tmp_path / "nothing.toml")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["protocol", "cycle", "every", "test", "name"]), inner)
    ),
    max_leaves=6,
)
keys = st.sampled_from(["protocol", "checkup", "pause", "other"])


@given(st.dictionaries(keys, json_values))
def test_any_data_are_a_protocol_or_an_input_error(data):
    with contextlib.suppress(InputError):
        assert isinstance(Protocol.from_dict(data), Protocol)
