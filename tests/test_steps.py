"""Steps and their language."""

from __future__ import annotations

import contextlib
import pickle

import numpy as np
import pybamm
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellmodels.errors import InputError
from cellmodels.step_text import EXAMPLES, read_quantity
from cellmodels.steps import CONTROL_UNITS, End, Step, format_duration, parse_steps

# --- the same as PyBaMM ------------------------------------------------------------------------

#: The forms that PyBaMM's documentation shows, and the spellings of units that it reads.
PYBAMM_STEPS = (
    "Discharge at 1C for 0.5 hours",
    "Discharge at C/20 for 0.5 hours",
    "Charge at 0.5 C for 45 minutes",
    "Discharge at 1 A for 0.5 hours",
    "Charge at 200 mA for 45 minutes",
    "Discharge at 1W for 0.5 hours",
    "Charge at 200mW for 45 minutes",
    "Rest for 10 minutes",
    "Hold at 1V for 20 seconds",
    "Charge at 1 C until 4.1V",
    "Hold at 4.1 V until 50mA",
    "Hold at 3V until C/50",
    "Hold at 4200 mV until 0.05 A",
    "Discharge at C/3 for 2 hours or until 2.5 V",
    "Discharge at 1C for 10 s or until 2.5V",
    "Charge at 1e-1 C for 3 h",
    "Rest for 1 hr",
    "Rest for 3 min",
    "Rest for 5 m",
    "Rest for 30 sec",
    "Rest for 1 second",
    "Rest for 1 hour (10 minute period)",
    "Charge at 1 C until 4.1 V (1 second period)",
    "Charge at 1C until >4.1V",
    "Discharge at 1C until < 2.5 V",
    "Charge at 2 W until 4.2 V",
    "Hold at 4.2 V for 2 hours or until C/50",
)


def from_pybamm(text: str) -> Step:
    """PyBaMM's reading of a step, as one of ours."""
    theirs = pybamm.step.string(text)
    control, unit = {
        "Rest": ("rest", ""),
        "Current": ("current", "A"),
        "CRate": ("current", "C"),
        "Power": ("power", "W"),
        "Voltage": ("voltage", "V"),
    }[type(theirs).__name__]
    ends = []
    for end in theirs.termination:
        quantity, end_unit = {
            "VoltageTermination": ("voltage", "V"),
            "CurrentTermination": ("current", "A"),
            "CRateTermination": ("current", "C"),
        }[type(end).__name__]
        ends.append(End(quantity, end.value, end_unit))
    duration = None if theirs.uses_default_duration else theirs.duration
    return Step(control, theirs.value, unit, tuple(ends), duration)


def assert_same(found: Step, expected: Step) -> None:
    assert (found.control, found.unit) == (expected.control, expected.unit)
    assert found.value == pytest.approx(expected.value, rel=1e-14)
    if expected.max_duration is None:
        assert found.max_duration is None
    else:
        assert found.max_duration == pytest.approx(expected.max_duration, rel=1e-14)
    assert [(end.quantity, end.unit) for end in found.ends] == [
        (end.quantity, end.unit) for end in expected.ends
    ]
    assert [end.value for end in found.ends] == pytest.approx(
        [end.value for end in expected.ends], rel=1e-14
    )


@pytest.mark.parametrize("text", PYBAMM_STEPS)
def test_step_means_what_it_means_in_pybamm(text):
    assert_same(Step.parse(text), from_pybamm(text))


numbers = st.floats(1e-3, 1e3).map(lambda x: f"{x:.6g}")
spaces = st.sampled_from(["", " "])


@st.composite
def pybamm_texts(draw):
    """Steps in PyBaMM's grammar."""
    word = draw(st.sampled_from(["Charge", "Discharge", "Hold", "Rest"]))
    time = draw(numbers) + " " + draw(st.sampled_from(["seconds", "minutes", "hour", "h", "s"]))
    if word == "Rest":
        return f"Rest for {time}"
    space = draw(spaces)
    if word == "Hold":
        value = draw(numbers) + space + draw(st.sampled_from(["V", "mV"]))
        end = draw(st.one_of(numbers.map("C/{}".format), numbers.map("{}mA".format)))
    else:
        units = st.sampled_from(["A", "mA", "C", "W", "mW"])
        value = draw(st.one_of(numbers.map("C/{}".format), st.just(draw(numbers) + space)))
        value = value if value.startswith("C/") else value + draw(units)
        end = draw(numbers) + space + draw(st.sampled_from(["V", "mV"]))
    limits = draw(st.sampled_from([f"for {time}", f"until {end}", f"for {time} or until {end}"]))
    return f"{word} at {value} {limits}"


@given(pybamm_texts())
def test_any_step_means_what_it_means_in_pybamm(text):
    assert_same(Step.parse(text), from_pybamm(text))


# --- more than PyBaMM --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "step"),
    [
        (
            "Charge at 20 mA/cm2 until 1.9 V",
            Step("current", -20.0, "mA/cm2", (End("voltage", 1.9, "V"),)),
        ),
        (
            "Discharge at 200 A.m-2 until 1 V",
            Step("current", 20.0, "mA/cm2", (End("voltage", 1.0, "V"),)),
        ),
        ("Rest for 9 ms", Step("rest", 0.0, "", max_duration=0.009)),
        (
            "Discharge at 3C for 50 milliseconds",
            Step("current", 3.0, "C", max_duration=0.05),
        ),
        ("Hold at 4 V for 1 millisecond", Step("voltage", 4.0, "V", max_duration=0.001)),
        (
            "Discharge at 3C for 2.5 s (10 ms period)",
            Step("current", 3.0, "C", max_duration=2.5),
        ),
        ("Rest for 30 days", Step("rest", 0.0, "", max_duration=30 * 86400.0)),
        ("Rest for 2 weeks", Step("rest", 0.0, "", max_duration=14 * 86400.0)),
        (
            "Charge at 1 A until 500 mAh",
            Step("current", -1.0, "A", (End("charge", 0.5, "A.h"),)),
        ),
        (
            "Charge at C/4 until 60% utilisation or 1.9 V",
            Step("current", -0.25, "C", (End("charge", 0.6, "nominal"), End("voltage", 1.9, "V"))),
        ),
        (
            "discharge at 1C until 50 % of nominal capacity",
            Step("current", 1.0, "C", (End("charge", 0.5, "nominal"),)),
        ),
        (
            "Discharge at 5 kW until 0.6 nominal or for 2 hours",
            Step("power", 5000.0, "W", (End("charge", 0.6, "nominal"),), 7200.0),
        ),
        (
            "Charge at 1 W until 10 mA/cm2",
            Step("power", -1.0, "W", (End("current", 10.0, "mA/cm2"),)),
        ),
        (
            "Hold at 4.2 V until C/50 or after 2 hours",
            Step("voltage", 4.2, "V", (End("current", 0.02, "C"), End("time", 7200.0, "s"))),
        ),
    ],
)
def test_extensions(text, step):
    assert_same(Step.parse(text), step)


def test_spaces_do_not_matter():
    assert Step.parse("  Charge  at\t1C   until 4.2V ") == Step.parse("Charge at 1 C until 4.2 V")


@pytest.mark.parametrize("text", EXAMPLES)
def test_examples_in_messages_are_valid(text):
    Step.parse(text)


values = st.floats(1e-6, 1e6)


@st.composite
def steps(draw):
    control = draw(st.sampled_from(["current", "power", "voltage", "rest"]))
    unit = draw(st.sampled_from(CONTROL_UNITS[control]))
    value = 0.0 if control == "rest" else draw(values)
    if control in ("current", "power"):
        value *= draw(st.sampled_from([1.0, -1.0]))
    possible = {
        "current": [("voltage", "V"), ("charge", "A.h"), ("charge", "nominal"), ("time", "s")],
        "power": [("voltage", "V"), ("current", "C"), ("charge", "A.h"), ("time", "s")],
        "voltage": [("current", "A"), ("current", "mA/cm2"), ("charge", "nominal"), ("time", "s")],
        "rest": [("time", "s")],
    }[control]
    kinds = draw(st.lists(st.sampled_from(possible), max_size=3))
    ends = tuple(End(quantity, draw(values), end_unit) for quantity, end_unit in kinds)
    duration = draw(st.one_of(values, st.none() if ends else values))
    return Step(control, value, unit, ends, duration)


@given(steps())
def test_a_step_written_and_read_is_the_same(step):
    assert Step.parse(str(step)) == step


@given(steps())
def test_a_step_is_a_value(step):
    copy = pickle.loads(pickle.dumps(step))
    assert copy == step
    assert hash(copy) == hash(step)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("Discharge at 0.05C until 2.5 V", "Discharge at C/20 until 2.5 V"),
        ("Rest for 7200 s", "Rest for 2 hours"),
        ("Rest for 90 s", "Rest for 90 seconds"),
        ("Rest for 86400 s", "Rest for 1 day"),
    ],
)
def test_a_step_is_written_for_people(text, written):
    assert str(Step.parse(text)) == written
    assert repr(Step.parse(text)) == f"Step('{written}')"


@given(st.floats(1e-9, 1e12))
def test_durations_are_exact(seconds):
    assert read_quantity(format_duration(seconds)) == ("time", seconds, "s")


# --- errors ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Chrage at 1C until 4.2 V", "'Chrage'. Did you mean 'Charge at 1C until 4.2 V'?"),
        ("Dischrge at 1C untl 2.5V", "Did you mean 'Discharge at 1C until 2.5V'?"),
        (
            "Rest for 10 minuts",
            "unknown unit 'minuts' in '10 minuts'. Did you mean 'Rest for 10 mi",
        ),
        ("Discharge at 1 c until 2.5 v", "Did you mean 'Discharge at 1 C until 2.5 V'?"),
        ("Rest", "has no end"),
        ("Charge at 1C", "has no end"),
        ("Charge at 4.2 V until C/50", "a voltage is held: 'Hold at 4.2 V"),
        ("Hold at 1 C for 1 hour", "'Hold' is for a voltage"),
        ("Hold at 4.2 V until 4.1 V", "holds the voltage, so it cannot end at 4.1 V"),
        ("Discharge at 1C until C/2", "holds the current"),
        ("Rest until 3 V", "A rest cannot end at 3 V"),
        ("Rest for -5 minutes", "must be positive"),
        ("Discharge at -1C until 2.5 V", "the sign of '-1C'"),
        ("Discharge at 0 A until 2.5 V", "is a rest"),
        ("Discharge at C/0 until 2.5 V", "'C/0' is no C-rate"),
        ("Discharge at 1e400 A until 2.5 V", "finite"),
        ("Discharge at 1C until 0 V", "must be positive"),
        ("Discharge at 1C until > 2.5 V", "write 'until 2.5 V'"),
        ("Hold at 4.2 V until < 50 mA", "write 'until 50 mA'"),
        ("Discharge at 1C for 2.5 V", "'for' is followed by a time"),
        ("Discharge at 1C until 2 hours", "'for 2 hours'"),
        ("Discharge at 1C until 5 W", "cannot end at the power"),
        ("Discharge at 5 m2 until 2.5 V", "the unit 'm2' in '5 m2' is none of a step's"),
        ("Discharge at 5 Ah until 2.5 V", "held at a current, a power or a voltage"),
        ("Discharge at 1 kg for 1 hour", "the unit 'kg' in '1 kg' is none of a step's"),
        ("Discharge at 1 for 1 hour", "'1' has no unit"),
        ("Charge at 1 Ohm for 1 hour", "constant resistance is not supported"),
        ("Charge at 1C at 25 oC until 4.2 V", "temperature of its own"),
        ("Run cycle for 1 hour", "cannot read 'Run cycle'"),
        ("Run at 1C for 1 hour", "drive cycles"),
        ("Charge 1C until 4.2V", "cannot read 'Charge 1C'. Write, for example, 'Charge at"),
        ("Rest for 1 hour (5 V period)", "the period '5 V' is not a time"),
        ("", "has no end"),
        ("x" * 1000, "too long"),
    ],
)
def test_errors_say_what_is_wrong_and_what_is_right(text, words):
    with pytest.raises(InputError) as caught:
        Step.parse(text)
    assert words in str(caught.value)


@given(st.text(max_size=60))
def test_any_text_is_a_step_or_an_input_error(text):
    with contextlib.suppress(InputError):
        assert isinstance(Step.parse(text), Step)


words = [
    *("Charge", "Discharge", "Hold", "Rest", "at", "for", "until", "or", "after", "C/", "1C"),
    *("4.2 V", "-1 A", "50%", "1e999 W", "1 hour", "nan V", "(", "period)", ">", "≥2 V"),
]


@given(st.lists(st.sampled_from(words), max_size=9).map(" ".join))
def test_any_order_of_words_is_a_step_or_an_input_error(text):
    with contextlib.suppress(InputError):
        assert isinstance(Step.parse(text), Step)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("curent", 1.0, "A", (), 1.0), "Did you mean 'current'?"),
        (("current", 1.0, "V", (), 1.0), "unit of a current step: 'V'"),
        (("current", float("nan"), "A", (), 1.0), "finite"),
        (("current", "1", "A", (), 1.0), "is a finite number, not '1'"),
        (("current", True, "A", (), 1.0), "is a finite number, not True"),
        (("current", 1.0, "A"), "has no end"),
        (("current", 1.0, "A", (), -1.0), "must be positive"),
        (("current", 1.0, "A", (), float("inf")), "finite"),
        (("rest", 1.0, "", (), 1.0), "no current"),
        (("voltage", -1.0, "V", (), 1.0), "cannot be negative"),
        (("current", 1.0, "A", ("2.5 V",)), "End objects"),
    ],
)
def test_a_step_of_parts_that_do_not_fit_is_refused(arguments, words):
    with pytest.raises(InputError) as caught:
        Step(*arguments)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("volts", 1.0, "V"), "Did you mean 'voltage'?"),
        (("voltage", 1.0, "A"), "Unknown unit of a voltage end: 'A'. Choose from: V."),
        (("charge", 0.0, "A.h"), "must be positive"),
        (("time", float("inf"), "s"), "finite"),
    ],
)
def test_an_end_that_cannot_be_is_refused(arguments, words):
    with pytest.raises(InputError) as caught:
        End(*arguments)
    assert words in str(caught.value)


def test_numpy_numbers_are_numbers():
    step = Step("current", np.float32(1.0), "C", End("voltage", np.int64(3), "V"))
    assert step == Step.parse("Discharge at 1C until 3 V")
    assert type(step.value) is float


def test_a_list_of_steps_names_the_wrong_one():
    with pytest.raises(
        InputError, match=r"Step 2 of the cycle, 'Rset for 1 hour': .*'Rest for 1 h"
    ):
        parse_steps(["Rest for 1 hour", "Rset for 1 hour"], "the cycle")
    with pytest.raises(InputError, match="Step 1 of the cycle is a text or a Step, not 5"):
        parse_steps([5], "the cycle")
    with pytest.raises(InputError, match="no steps in the cycle"):
        parse_steps([], "the cycle")
    with pytest.raises(InputError, match="a list"):
        parse_steps(5, "the cycle")


def test_one_step_is_a_list_of_one():
    assert parse_steps("Rest for 1 hour", "the cycle") == (Step.parse("Rest for 1 hour"),)
