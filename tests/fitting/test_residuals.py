import numpy as np
import pytest
import xarray as xr

from cellmodels.errors import InputError
from cellmodels.fitting.residuals import observe


def _with_cycles(record: xr.DataTree, **changes) -> xr.DataTree:
    record = record.copy()
    record["cycles"] = xr.DataTree(record["cycles"].to_dataset().assign(changes))
    return record


def test_default_observables_are_capacity_of_cycles_and_all_of_checkups(record):
    keys = [variable.key for variable in observe(record).variables]
    assert keys == [
        "cycles/discharge_capacity",
        "checkups/capacity_C20",
        "checkups/resistance_pulse",
        "checkups/voltage_C20",
    ]


def test_order_of_data_is_that_of_the_points(record):
    observations = observe(record)
    assert observations.points.size == observations.size == 400 + 9 + 9 + 27
    voltages = record["checkups"]["voltage_C20"].values
    for points, part in zip(observations.points, observations.points.slices(), strict=True):
        if points.variable == "voltage_C20":
            np.testing.assert_array_equal(observations.data[part], voltages[:, points.column])
            np.testing.assert_array_equal(observations.charge[part], float(points.column + 1))


def test_flagged_and_missing_points_are_counted_and_left_out(record):
    values = record["cycles"]["discharge_capacity"].values.copy()
    values[[3, 4]] = np.nan
    flags = np.zeros(400)
    flags[[10, 11, 12]] = 1
    flags[4] = 1  # missing and flagged: missing
    record = _with_cycles(
        record,
        discharge_capacity=("point", values, {"units": "A.h"}),
        discharge_capacity_flag=("point", flags),
    )
    observations = observe(record, ["discharge_capacity"])
    (variable,) = observations.variables
    assert (variable.used, variable.flagged, variable.missing) == (395, 3, 2)
    assert not set(observations.position) & {3, 4, 10, 11, 12}


def test_outliers_do_not_change_the_estimated_noise(record):
    clean = observe(record, ["discharge_capacity"]).std[0]
    values = record["cycles"]["discharge_capacity"].values.copy()
    values[::37] += 0.5
    spoilt = _with_cycles(record, discharge_capacity=("point", values, {"units": "A.h"}))
    assert observe(spoilt, ["discharge_capacity"]).std[0] == pytest.approx(clean, rel=0.15)


def test_flagged_points_have_no_part_in_the_estimated_noise(record):
    clean = observe(record, ["discharge_capacity"]).std[0]
    flags = np.arange(400) % 2
    values = record["cycles"]["discharge_capacity"].values + 0.3 * flags
    spoilt = _with_cycles(
        record,
        discharge_capacity=("point", values, {"units": "A.h"}),
        discharge_capacity_flag=("point", flags),
    )
    assert observe(spoilt, ["discharge_capacity"]).std[0] == pytest.approx(clean, rel=0.25)


def test_cycle_is_preferred_then_throughput_then_time(record):
    cycles = record["cycles"].to_dataset().assign_coords(elapsed_time=("point", np.arange(400.0)))
    for expected, dropped in (
        ("cycle", []),
        ("throughput", ["cycle"]),
        ("elapsed_time", ["cycle", "throughput"]),
    ):
        tree = xr.DataTree.from_dict({"cycles": cycles.drop_vars(dropped)})
        (points,) = observe(tree).points
        assert points.coordinate == expected
        np.testing.assert_array_equal(points.at, cycles[expected].values)


def test_a_coordinate_known_everywhere_beats_one_with_gaps(record):
    numbers = np.arange(1.0, 401.0)
    numbers[7] = np.nan
    tree = _with_cycles(record, cycle=("point", numbers))
    assert observe(tree, ["discharge_capacity"]).variables[0].coordinate == "throughput"
    chosen = observe(tree, ["discharge_capacity"], coordinate="cycle").variables[0]
    assert (chosen.coordinate, chosen.used, chosen.missing) == ("cycle", 399, 1)


def test_noise_given_beats_the_record_beats_the_estimate(record):
    observations = observe(record, noise={"checkups/capacity_C20": 0.5, "voltage_C20": 0.25})
    origin = {v.name: v.noise for v in observations.variables}
    assert origin == {
        "discharge_capacity": "estimated",
        "capacity_C20": "given",
        "resistance_pulse": "record",
        "voltage_C20": "given",
    }
    for index, std in ((1, 0.5), (2, 2e-4), (3, 0.25)):
        np.testing.assert_array_equal(observations.std[observations.owner == index], std)


def test_few_points_get_an_assumed_noise(record_of):
    record = record_of(cycles=100)
    checkups = record["checkups"].to_dataset().drop_vars("capacity_C20_std")
    observations = observe(xr.DataTree.from_dict({"checkups": checkups}), ["capacity_C20"])
    assert observations.variables[0].noise == "assumed"
    assert observations.std[0] == pytest.approx(0.005 * 4.8, rel=0.05)


def test_solver_tolerance_is_a_tenth_of_the_smallest_capacity_noise(record):
    few = observe(record, ["capacity_C20"])
    assert few.solver_tolerance == pytest.approx(1e-4)
    # 400 cycles with twice the noise: the error must shrink as the standard errors do
    many = observe(record, ["discharge_capacity"])
    assert many.solver_tolerance == pytest.approx(2e-4 / 2, rel=0.05)
    assert observe(record, ["resistance_pulse"]).solver_tolerance is None


def test_points_are_sorted_along_their_coordinate(record):
    shuffled = xr.DataTree(record["cycles"].to_dataset().isel(point=slice(None, None, -1)))
    observations = observe(xr.DataTree.from_dict({"cycles": shuffled.to_dataset()}))
    assert np.all(np.diff(observations.points.sets[0].at) > 0)
    assert observations.data[0] == record["cycles"]["discharge_capacity"].values[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"observables": ["discharge_capacty"]}, "discharge_capacity"),
        ({"observables": ["cycles/capacity_C20"]}, "no variable 'cycles/capacity_C20'"),
        ({"coordinate": "elapsed_time"}, "known: cycle, throughput"),
        ({"noise": {"capacity_C20": 0.0}}, "must be positive"),
        ({"noise": {"capacity_C20": [1.0, 2.0]}}, "shape"),
        ({"noise": {"capacity_C2": 1.0}}, "capacity_C20"),
    ],
)
def test_wrong_requests_name_what_is_wrong(record, arguments, message):
    with pytest.raises(InputError, match=message):
        observe(record, **arguments)


def test_a_record_without_usable_points_is_refused(record):
    empty = _with_cycles(
        record, discharge_capacity=("point", np.full(400, np.nan), {"units": "A.h"})
    )
    with pytest.raises(InputError, match="no usable point"):
        observe(empty, ["discharge_capacity"])
    with pytest.raises(InputError, match="by default"):
        observe(xr.DataTree.from_dict({"traces": xr.Dataset()}))
