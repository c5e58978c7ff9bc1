import numpy as np
import pytest
import xarray as xr

import cellmodels.fitting  # noqa: F401 - the package, before its module of the same name
from cellmodels.errors import InputError
from cellmodels.fitting.fit import fit, free_parameters
from cellmodels.fitting.matching import observe_with_protocol

D_SEI = "SEI solvent diffusivity [m2.s-1]"


@pytest.fixture
def no_solving(monkeypatch):
    """Any attempt to build a simulator is an error."""
    import sys

    def refuse(*_, **__):
        raise AssertionError("a simulator was built before the input was checked")

    monkeypatch.setattr(sys.modules["cellmodels.fitting.fit"], "Simulator", refuse)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"free": []}, "at least one"),
        ({"free": ["SEI solvent difusivity [m2.s-1]"]}, "Did you mean 'SEI solvent diffusivity"),
        ({"free": [D_SEI, D_SEI]}, "named twice"),
        ({"free": {D_SEI: (1e-22, 1e-20)}}, "free is a list of names"),
        ({"free": ["Negative electrode OCP [V]"]}, "function"),
        ({"start": {"SEI solvent diff": 1.0}}, "not fitted"),
        ({"start": {D_SEI: "large"}}, "not a number"),
        ({"start": {D_SEI: np.nan}}, "is nan"),
        ({"start": {D_SEI: 1.0}, "bounds": {D_SEI: (1e-24, 1e-20)}}, "outside its bounds"),
        ({"bounds": {D_SEI: (1e-20, 1e-24)}}, "not below"),
        ({"free": ["Contact resistance [Ohm]"]}, "give its bounds"),
        ({"observables": ["capacity_C200"]}, "capacity_C20"),
        ({"noise": {"capacity_C200": 1.0}}, "not fitted"),
        ({"coordinate": "elapsed_time"}, "known: cycle"),
    ],
)
def test_wrong_input_stops_before_any_simulation(
    no_solving, cell, protocol, record, options, message
):
    with pytest.raises(InputError, match=message):
        fit(cell, record, protocol, **{"free": [D_SEI], **options})


def test_start_is_the_value_of_the_cell_and_bounds_a_factor_of_a_hundred(cell):
    (parameter,) = free_parameters(cell, [D_SEI]).parameters
    value = cell.value(D_SEI)
    assert (parameter.start, parameter.nominal) == (value, value)
    assert (parameter.lower, parameter.upper) == pytest.approx((value / 100, value * 100))
    assert parameter.unit == "m2.s-1"


def test_start_and_bounds_can_be_given(cell):
    scaling = free_parameters(
        cell,
        [D_SEI, "Contact resistance [Ohm]"],
        start={D_SEI: 1e-21},
        bounds={"Contact resistance [Ohm]": (0.0, 0.1)},
    )
    assert scaling.start[0] == 1e-21
    assert scaling.logarithmic.tolist() == [True, False]


# Record and protocol ----------------------------------------------------------------------


def test_what_the_protocol_does_not_measure_is_left_out_with_a_warning(cell, protocol, record):
    checkups = record["checkups"].to_dataset()
    more = checkups.assign(capacity_C3=checkups["capacity_C20"])
    changed = record.copy()
    changed["checkups"] = xr.DataTree(more)
    with pytest.warns(UserWarning, match="do not measure it: capacity_C3"):
        observations, remarks = observe_with_protocol(changed, cell, protocol)
    assert "capacity_C3" not in {v.name for v in observations.variables}
    assert "capacity_C3" in remarks[0]
    with pytest.raises(InputError, match="do not measure 'capacity_C3'"):
        observe_with_protocol(changed, cell, protocol, ["capacity_C3"])


def test_voltage_columns_are_matched_by_charge(cell, protocol, record):
    reversed_columns = record["checkups"].to_dataset().isel(charge_C20=[2, 0])
    changed = record.copy()
    changed["checkups"] = xr.DataTree(reversed_columns)
    observations, _ = observe_with_protocol(changed, cell, protocol, ["voltage_C20"])
    assert [points.column for points in observations.points] == [2, 0]
    np.testing.assert_array_equal(np.unique(observations.charge), [1.0, 3.0])


def test_charges_unknown_to_the_protocol_are_an_error(cell, protocol, record):
    shifted = record["checkups"].to_dataset().assign_coords(charge_C20=[1.0, 2.2, 3.0])
    changed = record.copy()
    changed["checkups"] = xr.DataTree(shifted)
    with pytest.raises(InputError, match=r"at 2\.2 A\.h.*1, 2, 3 A\.h"):
        observe_with_protocol(changed, cell, protocol, ["voltage_C20"])


def test_nothing_in_common_is_an_error(cell, protocol, record):
    checkups = record["checkups"].to_dataset()[["capacity_C20"]]
    only = xr.DataTree.from_dict({"checkups": checkups.rename(capacity_C20="capacity_1C")})
    with (
        pytest.warns(match="capacity_1C"),
        pytest.raises(InputError, match="Nothing is left to fit"),
    ):
        observe_with_protocol(only, cell, protocol)
