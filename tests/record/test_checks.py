"""Impossible numbers are refused, unlikely ones flagged, noise is estimated."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from cellmodels.errors import InputError
from cellmodels.record import (
    add_noise,
    build_record,
    check_record,
    estimate_noise,
    flag_outliers,
)
from cellmodels.record.checks import outliers
from cellmodels.record.noise import series_noise

RNG = np.random.default_rng


def cycles(**changed):
    columns = {
        "cycle": np.arange(1, 6),
        "throughput": np.arange(5) * 2.0,
        "elapsed_time": np.arange(5) * 7200.0,
        "discharge_capacity": np.linspace(2.0, 1.9, 5),
        "coulombic_efficiency": np.full(5, 0.999),
    }
    return {name: value for name, value in (columns | changed).items() if value is not None}


def with_(values, at, value):
    out = np.array(values, dtype=float)
    out[at] = value
    return out


# --- possible? ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"cycle": [1, 2, 2, 3, 4]}, "'cycle' does not increase (several cells?"),
        ({"cycle": [1, 2, 4, 3, 5]}, "row 3"),
        ({"cycle": [0, 1, 2, 3, 4]}, "'cycle' begins with 1 (cycle_offset=1"),
        ({"cycle": [1, 2, 2.5, 3, 4]}, "'cycle' is no whole number: 2.5; row 2"),
        ({"cycle": [1, 2, np.inf, 3, 4]}, "'cycle' is infinite"),
        ({"throughput": [0, 2, 1, 3, 4]}, "'throughput' becomes smaller: 1; row 2"),
        ({"throughput": [-1, 2, 3, 4, 5]}, "'throughput' cannot be negative"),
        ({"elapsed_time": [0, 2, 3, 1, 4]}, "'elapsed_time' becomes smaller: 1; row 3"),
        ({"discharge_capacity": [2, 2, 0, 2, 2]}, "must be more than 0, not 0; row 2"),
        ({"discharge_capacity": [2, -2, 2, -2, 2]}, "not -2; rows 1, 3"),
        (
            {"discharge_capacity": [2, 2, 2, 2, np.inf]},
            "'discharge_capacity' is infinite inf; row 4",
        ),
        ({"discharge_capacity_std": np.zeros(5)}, "'discharge_capacity_std' must be positive"),
        ({"discharge_capacity_flag": [0, 1, 2, 0, 0]}, "is 0 or 1, not 2; row 2"),
        ({"coulombic_efficiency": np.full(5, 99.9)}, "(percent? write 'coulombic_efficiency [%]')"),
        ({"coulombic_efficiency": np.zeros(5)}, "must be more than 0"),
    ],
)
def test_impossible_cycles_are_refused_with_their_rows(changed, words):
    with pytest.raises(InputError) as caught:
        build_record(cycles(**changed))
    assert words in str(caught.value)
    assert str(caught.value).startswith("/cycles: ")


def test_many_wrong_rows_are_counted():
    columns = {"cycle": np.arange(1, 21), "discharge_capacity": -np.ones(20)}
    with pytest.raises(InputError, match="rows 0, 1, 2, 3, 4 and 15 more"):
        build_record(columns)


def test_an_efficiency_may_be_above_one():
    build_record(cycles(coulombic_efficiency=np.full(5, 1.02)))
    # of a first cycle, whose charge was not whole
    build_record(cycles(coulombic_efficiency=[1.3, 0.99, 0.99, 0.99, 0.99]))


def test_a_row_without_any_coordinate_is_refused():
    columns = cycles(cycle=[1, 2, np.nan, 4, 5], throughput=None, elapsed_time=None)
    with pytest.raises(InputError, match="no coordinate says where these are; row 2"):
        build_record(columns)


def test_a_coordinate_may_have_gaps_where_another_is_known():
    record = build_record(cycles(cycle=[1, 2, np.nan, 4, 5], elapsed_time=None))
    assert np.isnan(record["cycles/cycle"].values[2])


def test_values_may_be_missing_but_not_all():
    build_record(cycles(discharge_capacity=[2, np.nan, 2, 2, 2]))
    with pytest.raises(InputError, match="there are no values"):
        build_record({"cycle": [1, 2], "discharge_capacity": [np.nan, np.nan]})


def test_a_checkup_may_be_of_the_fresh_cell():
    build_record(checkups={"cycle": [0, 100], "capacity_1C": [2.0, 1.9]})
    with pytest.raises(InputError, match="begins with 0, not -1"):
        build_record(checkups={"cycle": [-1, 100], "capacity_1C": [2.0, 1.9]})


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"time": [0, 2, 1]}, "'time' goes back: 1; row 2"),
        ({"voltage": [4, np.nan, 4]}, "'voltage' is missing; row 1"),
        ({"current": [0, np.inf, 0]}, "'current' is infinite"),
        ({"temperature": [298, 25, -3]}, "'temperature' [K] must be more than 0"),
    ],
)
def test_impossible_traces_are_refused(changed, words):
    trace = {"time": [0, 1, 2], "voltage": [4, 4, 4], "current": [0, 1, 1]} | changed
    with pytest.raises(InputError) as caught:
        build_record(traces=trace)
    assert words in str(caught.value)


def test_a_time_in_milliseconds_is_noticed():
    trace = {"time": np.arange(9) * 30_000.0, "voltage": np.full(9, 4.0), "current": np.ones(9)}
    with pytest.raises(InputError, match=r"8.33 hours lie between two samples .* 'time \[ms\]'"):
        build_record(traces=trace)
    resting = trace | {"current": np.zeros(9)}
    build_record(traces=resting)


def test_a_repeated_time_is_possible():
    build_record(traces={"time": [0, 10, 10], "voltage": [4, 4, 4], "current": [0, 1, 1]})


def broken(**changes):
    record = build_record(cycles(), {"cycle": [0], "voltage_C20": [[4.0]], "charge_C20": [1.0]})
    for path, change in changes.items():
        group, _, name = path.partition("__")
        dataset = record[group].to_dataset()
        record[group] = xr.DataTree(change(dataset, name))
    return record


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (xr.DataTree(), "its 'schema' is None"),
        (
            broken(cycles__discharge_capacity=lambda d, n: d.assign({n: ("point", list("abcde"))})),
            "'discharge_capacity' holds no numbers",
        ),
        (
            broken(cycles__discharge_capacity=lambda d, n: d.assign({n: ("x", np.ones(5))})),
            "has the dimensions ('x',), not ('point',)",
        ),
        (
            broken(
                cycles__discharge_capacity=lambda d, n: d.assign(
                    {n: ("point", np.ones(5), {"units": "mA.h"})}
                )
            ),
            "is in 'mA.h', not in 'A.h'",
        ),
        (
            broken(cycles__other=lambda d, n: d.assign({n: ("point", np.ones(5))})),
            "'other' is not known and has no unit",
        ),
        (
            broken(checkups__charge_C20=lambda d, n: d.drop_vars(n)),
            "'voltage_C20' needs the charges 'charge_C20'",
        ),
        (
            broken(checkups__voltage_C20=lambda d, n: d.assign({n: ("checkup", [4.0])})),
            "not ('checkup', 'charge_C20')",
        ),
    ],
)
def test_trees_that_are_no_records_are_refused(record, words):
    with pytest.raises(InputError) as caught:
        check_record(record, "file.nc")
    assert words in str(caught.value)
    assert str(caught.value).startswith("file.nc")


def test_an_unknown_group_is_refused():
    record = build_record(cycles())
    record["checkup"] = xr.DataTree(xr.Dataset())
    with pytest.raises(InputError, match="no group 'checkup'. Did you mean 'checkups'"):
        check_record(record)


# --- likely? -----------------------------------------------------------------------------------


def fade(n=200, noise=1e-3, seed=0):
    k = np.arange(n)
    clean = 2.0 - 0.02 * np.sqrt(k) - 0.3 / (1 + np.exp((0.8 * n - k) / 8))  # fade with a knee
    return clean + noise * RNG(seed).standard_normal(n)


def test_outliers_are_found_and_nothing_else():
    values = fade()
    bad = [20, 21, 90, 150]
    values[bad] += [-0.1, -0.1, 0.08, -0.5]
    assert list(np.flatnonzero(outliers(values))) == bad


@pytest.mark.parametrize("noise", [0.0, 1e-4, 1e-2])
@pytest.mark.parametrize("seed", range(5))
def test_fade_and_knee_are_no_outliers(noise, seed):
    assert not outliers(fade(noise=noise, seed=seed)).any()


def test_a_step_in_level_is_no_outlier():
    values = fade() + np.where(np.arange(200) < 100, 0.0, 0.1)
    assert not outliers(values).any()


def test_rounded_values_are_no_outliers():
    values = np.full(100, 0.057)
    values[::7] = 0.058
    values[::11] = 0.056
    assert not outliers(values).any()


def test_missing_values_do_not_matter():
    values = fade()
    values[50] = 1.0
    expected = outliers(values)
    gaps = np.insert(values, [10, 51, 52, 120], np.nan)
    assert np.array_equal(outliers(gaps)[np.isfinite(gaps)], expected)
    assert not outliers(gaps)[np.isnan(gaps)].any()


def test_a_short_series_has_no_outliers():
    assert not outliers(with_(np.ones(14), 7, 9.0)).any()
    assert outliers(with_(np.ones(15), 7, 9.0)).any()


@given(st.lists(st.floats(-1e6, 1e6) | st.just(float("nan")), max_size=40))
def test_any_series_has_flags(values):
    found = outliers(values)
    assert found.shape == (len(values),)
    assert found.dtype == bool


@given(st.floats(1e-3, 1e3), st.integers(0, 20))
def test_outliers_do_not_depend_on_the_scale(scale, seed):
    values = fade(60, 1e-2, seed)
    values[30] += 0.5
    assert np.array_equal(outliers(values * scale), outliers(values))


def test_flags_are_beside_the_values_and_nothing_is_dropped():
    values = with_(fade(30), 12, 1.0)
    curve = np.column_stack([fade(30) + 2, with_(fade(30) + 1, 5, 2.0)])
    record = build_record(
        {"cycle": np.arange(1, 31), "discharge_capacity": values, "charge_capacity": fade(30)},
        {"cycle": np.arange(30), "voltage_C20": curve, "charge_C20": [0.1, 0.2]},
    )
    found = record["cycles"].to_dataset()
    np.testing.assert_array_equal(found["discharge_capacity"].values, values)
    assert list(np.flatnonzero(found["discharge_capacity_flag"].values)) == [12]
    assert found["discharge_capacity_flag"].dtype == np.int8
    assert "charge_capacity_flag" not in found
    flags = record["checkups/voltage_C20_flag"]
    assert flags.dims == ("checkup", "charge_C20")
    assert list(zip(*np.nonzero(flags.values), strict=True)) == [(5, 1)]
    check_record(record)


def test_flags_of_ones_own_are_kept():
    values = with_(fade(30), 12, 1.0)
    own = with_(np.zeros(30), 3, 1)
    record = build_record(
        {"cycle": np.arange(1, 31), "discharge_capacity": values, "discharge_capacity_flag": own}
    )
    np.testing.assert_array_equal(record["cycles/discharge_capacity_flag"].values, own)


def test_flagging_can_be_left_out_and_done_later():
    columns = {"cycle": np.arange(1, 31), "discharge_capacity": with_(fade(30), 12, 1.0)}
    plain = build_record(columns, flag=False)
    assert "discharge_capacity_flag" not in plain["cycles"]
    xr.testing.assert_identical(flag_outliers(plain), build_record(columns))


# --- noise -------------------------------------------------------------------------------------


@pytest.mark.parametrize("sigma", [1e-4, 3e-3])
def test_noise_of_a_smooth_series_is_found(sigma):
    values = fade(2000, sigma)
    values[100:110] += 0.5
    assert series_noise(np.arange(2000), values) == pytest.approx(sigma, rel=0.1)


def test_noise_does_not_depend_on_spacing():
    x = np.sort(RNG(1).uniform(0, 1, 3000))
    y = 2 - x + 1e-3 * RNG(2).standard_normal(3000)
    assert series_noise(x, y) == pytest.approx(1e-3, rel=0.1)


def test_a_straight_line_has_no_noise():
    assert series_noise([0, 1, 3, 4], [0.0, 2.0, 6.0, 8.0]) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("x", [[], [1.0, 2.0], [1.0, 1.0, 1.0], [np.nan, 1.0, 2.0]])
def test_noise_of_too_few_points_is_unknown(x):
    assert np.isnan(series_noise(x, x))


def test_noise_of_a_record():
    k = np.arange(1, 401)
    values = fade(400, 2e-3)
    values[7] = 1.0
    curve = 4 - 1e-4 * k[:, None] + 1e-3 * RNG(3).standard_normal((400, 3))
    record = build_record(
        {"cycle": k, "discharge_capacity": values},
        {"cycle": k, "voltage_C20": curve, "charge_C20": [0.1, 0.2, 0.3], "resistance_10s": k},
    )
    found = estimate_noise(record)
    assert found["cycles/discharge_capacity"] == pytest.approx(2e-3, rel=0.2)
    assert found["checkups/voltage_C20"] == pytest.approx(1e-3, rel=0.1)
    assert set(found) == {
        "cycles/discharge_capacity",
        "checkups/voltage_C20",
        "checkups/resistance_10s",
    }
    with_noise = add_noise(record)
    check_record(with_noise)
    std = with_noise["cycles/discharge_capacity_std"]
    assert np.all(std.values == found["cycles/discharge_capacity"])
    assert std.attrs["units"] == "A.h"
    assert with_noise["checkups/voltage_C20_std"].dims == ("checkup",)
    assert "resistance_10s_std" not in with_noise["checkups"]  # a line: it does not scatter
    xr.testing.assert_identical(add_noise(with_noise), with_noise)
