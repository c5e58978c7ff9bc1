"""Records from arrays, and the form they have."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from cellmodels.errors import InputError, UnitError
from cellmodels.record import build_record, check_record
from cellmodels.record.schema import (
    COORDINATES,
    CYCLE_VARIABLES,
    DIMENSIONS,
    SCHEMA,
    TRACE_VARIABLES,
    known_names,
    quantity,
    without_companion,
)
from cellmodels.units import parse_unit

N = np.arange(1, 6)
CAPACITY = np.array([2.0, 1.99, 1.98, 1.97, 1.96])
CURVE = {
    "cycle": [0, 100],
    "capacity_C20": [2.1, 2.0],
    "voltage_C20": [[4.0, 3.7, 3.5], [3.9, 3.6, np.nan]],
    "charge_C20": [0.5, 1.0, 1.5],
}


# --- the schema --------------------------------------------------------------------------------


@pytest.mark.parametrize("table", [COORDINATES, CYCLE_VARIABLES, TRACE_VARIABLES])
def test_every_variable_has_a_unit_and_words(table):
    for name, found in table.items():
        parse_unit(found.unit)
        assert found.long_name, name


@pytest.mark.parametrize(
    ("group", "name", "unit"),
    [
        ("cycles", "discharge_capacity", "A.h"),
        ("cycles", "elapsed_time", "s"),
        ("checkups", "capacity_C20", "A.h"),
        ("checkups", "resistance_10s", "ohm"),
        ("checkups", "voltage_C20", "V"),
        ("checkups", "charge_C20", "A.h"),
        ("checkups", "throughput", "A.h"),
        ("traces", "current", "A"),
    ],
)
def test_the_schema_knows_the_units(group, name, unit):
    found = quantity(group, name)
    assert found is not None
    assert found.unit == unit


@pytest.mark.parametrize(
    ("group", "name"),
    [("cycles", "capacity_C20"), ("checkups", "capacity_"), ("checkups", "loss"), ("traces", "x")],
)
def test_the_schema_does_not_know_others(group, name):
    assert quantity(group, name) is None


def test_companions_are_told_by_their_ending():
    assert without_companion("capacity_1C_std") == ("capacity_1C", "_std")
    assert without_companion("capacity_1C_flag") == ("capacity_1C", "_flag")
    assert without_companion("capacity_1C") == ("capacity_1C", "")


@pytest.mark.parametrize("group", DIMENSIONS)
def test_known_names_are_known(group):
    assert all(quantity(group, name) is not None for name in known_names(group))


# --- records from arrays -----------------------------------------------------------------------


def test_a_record_of_cycles_and_checkups():
    record = build_record(
        {"cycle": N, "discharge_capacity": CAPACITY, "coulombic_efficiency": np.full(5, 0.999)},
        CURVE,
        title="cell 17",
        source="made up",
        synthetic=True,
    )
    assert record.attrs == {
        "schema": SCHEMA,
        "title": "cell 17",
        "source": "made up",
        "synthetic": 1,
        "checkups_count_as_cycles": 0,
    }
    cycles = record["cycles"].to_dataset()
    assert set(cycles.coords) == {"cycle"}
    assert cycles["cycle"].dtype == np.int64
    assert cycles["discharge_capacity"].dims == ("point",)
    assert cycles["discharge_capacity"].attrs == {"units": "A.h", "long_name": "discharge capacity"}
    checkups = record["checkups"].to_dataset()
    assert checkups["voltage_C20"].dims == ("checkup", "charge_C20")
    assert set(checkups.coords) == {"cycle", "charge_C20"}
    assert checkups["voltage_C20"].attrs["long_name"] == "voltage, C20"
    check_record(record)


def test_a_trace_has_no_coordinates_but_its_samples():
    record = build_record(
        traces={"time": [0, 1, 2], "voltage": [4, 3.9, 3.8], "current": [0, 1, 1], "cycle": 1}
        | {"cycle": [1, 1, 1]}
    )
    assert record["traces"].to_dataset()["cycle"].dims == ("sample",)
    check_record(record)


def test_other_units_are_converted():
    record = build_record(
        {"cycle": N, "discharge_capacity [mA.h]": CAPACITY * 1000, "elapsed_time [d]": N},
        {"cycle": [0], "resistance_10s [mohm]": [30.0], "resistance_10s_std [mohm]": [1.0]},
        {
            "time [min]": [0, 1],
            "voltage": [4, 4],
            "current": [0, 1],
            "temperature [degC]": [25, 26],
        },
    )
    assert record["cycles/discharge_capacity"].values == pytest.approx(CAPACITY, rel=1e-14)
    assert record["cycles/elapsed_time"].values == pytest.approx(N * 86400.0)
    assert record["checkups/resistance_10s"].values == pytest.approx([0.03])
    assert record["checkups/resistance_10s_std"].values == pytest.approx([0.001])
    assert record["traces/time"].values == pytest.approx([0.0, 60.0])
    assert record["traces/temperature"].values == pytest.approx([298.15, 299.15])


def test_values_in_the_schemas_unit_are_kept_to_the_last_bit():
    odd = CAPACITY * np.pi
    record = build_record({"cycle": N, "discharge_capacity [A.h]": odd})
    np.testing.assert_array_equal(record["cycles/discharge_capacity"].values, odd)


def test_a_data_frame_or_a_dataset_serves_as_well():
    columns = {"cycle": N, "discharge_capacity": CAPACITY}
    expected = build_record(columns)
    xr.testing.assert_identical(build_record(pd.DataFrame(columns)), expected)
    xr.testing.assert_identical(build_record(expected["cycles"].to_dataset()), expected)


def test_any_one_coordinate_is_enough():
    for coordinate in COORDINATES:
        record = build_record({coordinate: N, "discharge_capacity": CAPACITY})
        check_record(record)


def test_cycles_may_be_missing():
    record = build_record({"cycle": [1, 5, 17], "discharge_capacity": [2.0, np.nan, 1.9]})
    assert list(record["cycles/cycle"].values) == [1, 5, 17]


def test_a_variable_of_ones_own_needs_a_unit():
    record = build_record(checkups={"cycle": [0, 1], "impedance_1kHz [ohm]": [0.1, 0.2]})
    assert record["checkups/impedance_1kHz"].attrs == {"units": "ohm"}
    with pytest.raises(InputError, match="'impedance_1kHz' is not known and has no unit"):
        build_record(checkups={"cycle": [0, 1], "impedance_1kHz": [0.1, 0.2]})


@pytest.mark.parametrize(
    ("groups", "words"),
    [
        ({}, "needs cycles, check-ups, traces or impedance"),
        ({"cycles": {}}, "there are no values"),
        ({"cycles": {"cycle": N}}, "there are no values. Known: discharge_capacity"),
        ({"cycles": {"cycle": N, "discharge_capcity": CAPACITY}}, "'discharge_capacity'?"),
        ({"cycles": {"cycle": N, "discharge_capacity": CAPACITY[1:]}}, "different lengths"),
        ({"cycles": {"cycle": N, "discharge_capacity": ["a"] * 5}}, "holds no numbers"),
        ({"cycles": {"cycle": N, "discharge_capacity": np.ones((5, 2))}}, "two dimensions"),
        ({"cycles": {"cycle": N, "discharge_capacity": np.ones((5, 2, 2))}}, "3 dimensions"),
        ({"cycles": {"discharge_capacity": CAPACITY}}, "one of cycle, throughput, elapsed_time"),
        ({"cycles": CAPACITY}, "a mapping of names to arrays"),
        (
            {"cycles": {"cycle": N, "discharge_capacity": N, "discharge_capacity [mA.h]": N}},
            "given twice",
        ),
        ({"checkups": {k: v for k, v in CURVE.items() if k != "charge_C20"}}, "needs the charges"),
        (
            {"checkups": CURVE | {"charge_C20": [0.5, 1.0]}},
            "has 3 columns, but there are 2 in 'charge_C20'",
        ),
        ({"traces": {"time": [0, 1], "voltage": [4, 4]}}, "a trace needs 'current'"),
    ],
)
def test_arrays_that_are_no_record_are_refused(groups, words):
    with pytest.raises(InputError) as caught:
        build_record(**groups)
    assert words in str(caught.value)


@pytest.mark.parametrize("unit", ["V", "parsec"])
def test_a_wrong_unit_is_refused(unit):
    with pytest.raises(UnitError):
        build_record({"cycle": N, f"discharge_capacity [{unit}]": CAPACITY})
