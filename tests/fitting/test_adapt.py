import re

import numpy as np
import pytest
import xarray as xr

import cellmodels.fitting  # noqa: F401 - the package, before its module of the same name
from cellmodels.errors import InputError
from cellmodels.fitting.adapt import (
    CONTACT_RESISTANCE,
    adapt,
    adapt_with,
    resize,
    with_balance,
)
from cellmodels.fitting.least_squares import FitError
from cellmodels.modes.electrodes import electrodes_of, usable_charge
from cellmodels.modes.half_cells import HalfCells
from cellmodels.observations import Outcome, Prediction

AREA_RESISTANCE = 0.03 * 5.0  # Ohm of a cell, times its nominal capacity


def predictor(cell, protocol):
    """A fresh cell: 3 % above nominal, less what the resistance at its 1C current costs."""

    def predict(values, points, jacobian=True, tolerance=None, state=None):
        assert np.shape(values) == (0,) and not jacobian
        size, contact = cell.nominal_capacity, cell.value(CONTACT_RESISTANCE)
        resistance = AREA_RESISTANCE / size + contact
        capacity = size * (1.03 - 0.5 * contact * size)
        parts = [
            np.full(p.size, resistance if p.variable.startswith("resistance") else capacity)
            for p in points
        ]
        return Prediction(np.concatenate(parts), None, Outcome(True))

    return predict


def make_record(capacity=2.0, resistance=None, noise=0.0):
    data = {"capacity_C20": ("checkup", [capacity, 0.9 * capacity], {"units": "A.h"})}
    if resistance is not None:
        data["resistance_pulse"] = ("checkup", [resistance, 2 * resistance], {"units": "ohm"})
    tree = xr.DataTree.from_dict({"checkups": xr.Dataset(data, {"cycle": ("checkup", [0, 50])})})
    tree.attrs["title"] = "cell 17"
    return tree


def electrode_share(cell):
    """Capacity of the negative electrode over the nominal capacity: a matter of balance."""
    return (
        cell.electrode_area
        * cell.value("Negative electrode active material volume fraction")
        / cell.nominal_capacity
    )


def test_size_follows_the_measured_capacity(cell, protocol):
    adapted = adapt_with(predictor, cell, make_record(2.0), protocol)
    assert adapted.nominal_capacity == pytest.approx(2.0 / 1.03)
    assert adapted.electrode_area == pytest.approx(cell.electrode_area * 2.0 / 1.03 / 5.0)
    assert electrode_share(adapted) == pytest.approx(electrode_share(cell))


def test_check_ups_count_more_than_cycles(cell, protocol):
    record = make_record(2.0)
    cycles = xr.Dataset(
        {"discharge_capacity": ("point", [1.0, 1.0, 1.0], {"units": "A.h"})},
        {"cycle": ("point", [1, 2, 3])},
    )
    record["cycles"] = xr.DataTree(cycles)
    assert adapt_with(predictor, cell, record, protocol).nominal_capacity == pytest.approx(2 / 1.03)
    assert adapt(cell, record).nominal_capacity == pytest.approx(2.0)


def test_missing_resistance_becomes_a_contact_resistance(cell, protocol):
    adapted = adapt_with(predictor, cell, make_record(2.0, resistance=0.1), protocol)
    model = predictor(adapted, protocol)
    from cellmodels.fitting.adapt import _first_points
    from cellmodels.fitting.matching import observe_with_protocol

    observations, _ = observe_with_protocol(make_record(2.0, resistance=0.1), cell, protocol)
    first = _first_points(observations)
    predicted = model(np.empty(0), first.points, jacobian=False).values
    np.testing.assert_allclose(predicted, [2.0, 0.1], rtol=1e-3)
    assert adapted.value(CONTACT_RESISTANCE) == pytest.approx(0.1 - AREA_RESISTANCE / 1.95, rel=0.1)


def test_too_much_resistance_in_the_model_is_a_warning(cell, protocol):
    with pytest.warns(UserWarning, match="more resistance than the measured"):
        adapted = adapt_with(predictor, cell, make_record(5.15, resistance=0.01), protocol)
    assert adapted.value(CONTACT_RESISTANCE) == 0


def test_without_a_protocol_the_nominal_capacity_is_compared(cell):
    assert adapt(cell, make_record(2.0)).nominal_capacity == pytest.approx(2.0)


def test_without_check_ups_the_first_cycles_count_and_one_outlier_does_not(cell):
    capacity = np.array([2.0, 9.0, 2.0, 1.5, 1.0])
    cycles = xr.Dataset(
        {"discharge_capacity": ("point", capacity, {"units": "A.h"})},
        {"cycle": ("point", np.arange(1, 6))},
    )
    adapted = adapt(cell, xr.DataTree.from_dict({"cycles": cycles}))
    assert adapted.nominal_capacity == pytest.approx(2.0)


def test_provenance_names_the_record_and_the_former_value(cell):
    adapted = adapt(cell, make_record(2.0))
    parameter = adapted.parameters.parameters["Nominal cell capacity [A.h]"]
    assert parameter.source == "adapted to cell 17: electrode area times 0.4"
    assert "5" in parameter.note
    assert "Nominal cell capacity [A.h]" not in cell.parameters.parameters


def test_adapting_an_adapted_cell_changes_nothing(cell, protocol):
    once = adapt_with(predictor, cell, make_record(2.0), protocol)
    twice = adapt_with(predictor, once, make_record(2.0), protocol)
    assert twice.nominal_capacity == pytest.approx(once.nominal_capacity)


def test_a_resized_cell_behaves_alike(cell):
    small = resize(cell, 0.1, "test")
    for name in ("Cell volume [m3]", "Cell cooling surface area [m2]", "Electrode width [m]"):
        assert small.value(name) == pytest.approx(0.1 * cell.value(name))
    with_contact = cell.with_parameters({CONTACT_RESISTANCE: 0.01})
    assert resize(with_contact, 0.1, "test").value(CONTACT_RESISTANCE) == pytest.approx(0.1)


@pytest.mark.parametrize("factor", [0.0, -1.0, np.nan, np.inf])
def test_impossible_sizes_are_refused(cell, factor):
    with pytest.raises(InputError, match="times as large"):
        resize(cell, factor, "test")


def test_a_fresh_cell_that_fails_is_an_error(cell, protocol):
    def failing(cell, protocol):
        return lambda *_, **__: Prediction(None, None, Outcome(False, "newton failed"))

    with pytest.raises(FitError, match="newton failed"):
        adapt_with(failing, cell, make_record(2.0), protocol)


def test_a_record_without_capacity_is_refused(cell):
    checkups = xr.Dataset({"resistance_pulse": ("checkup", [0.1])}, {"cycle": ("checkup", [0])})
    with pytest.raises(InputError, match="no capacity"):
        adapt(cell, xr.DataTree.from_dict({"checkups": checkups}))


# Electrode balance ------------------------------------------------------------------------

NEGATIVE = "Negative electrode active material volume fraction"
LITHIUM = "Initial concentration in negative electrode [mol.m-3]"


def slow_curve(cell, noise=1e-3, points=30):
    """A record with the open-circuit curve of a cell, 8 mV low, as a slow discharge is."""
    electrodes, half_cells = electrodes_of(cell), HalfCells.of(cell)
    capacity = usable_charge(electrodes, half_cells, cell.voltage_limits[0])
    charge = np.linspace(0.02, 0.98, points) * capacity
    voltage = electrodes.voltage(charge, half_cells) - 0.008
    voltage = voltage + noise * np.random.default_rng(0).standard_normal(points)
    data = {
        "voltage_C20": (("checkup", "charge_C20"), voltage[None]),
        "capacity_C20": ("checkup", [capacity], {"units": "A.h"}),
    }
    coords = {"cycle": ("checkup", [0]), "charge_C20": charge}
    return xr.DataTree.from_dict({"checkups": xr.Dataset(data, coords)}), electrodes


def test_electrode_balance_is_recovered_from_a_slow_curve(cell):
    other = resize(cell, 0.6, "test").with_parameters(
        {NEGATIVE: 1.06 * cell.value(NEGATIVE), LITHIUM: 0.97 * cell.value(LITHIUM)}
    )
    record, truth = slow_curve(other)
    found = electrodes_of(with_balance(cell, record, "C20"))
    np.testing.assert_allclose(found.capacity, truth.capacity, rtol=0.02)
    np.testing.assert_allclose(found.full, truth.full, atol=0.015)


def test_the_notes_of_a_balance_hold_standard_errors_that_cover(cell):
    other = cell.with_parameters({NEGATIVE: 1.06 * cell.value(NEGATIVE)})
    record, truth = slow_curve(other)
    found = with_balance(cell, record, "C20")
    parameter = found.parameters.parameters[NEGATIVE]
    error = float(re.search("standard error ([-+.e0-9]+)", parameter.note).group(1))
    relative = error / parameter.value
    assert 1e-4 < relative < 0.03
    assert electrodes_of(found).capacity[0] == pytest.approx(truth.capacity[0], rel=3 * relative)
    assert parameter.status == "fitted"


def test_a_curve_of_the_same_cell_leaves_the_balance(cell):
    record, _ = slow_curve(cell)
    same = adapt(cell, record, ocv="C20")
    assert same.value(NEGATIVE) == pytest.approx(cell.value(NEGATIVE), rel=0.01)
    assert same.nominal_capacity == pytest.approx(cell.nominal_capacity, rel=0.01)


def test_balance_stays_without_a_curve(cell):
    adapted = adapt(cell, make_record(2.0))
    assert adapted.value(NEGATIVE) == cell.value(NEGATIVE)
    assert adapted.value(LITHIUM) == cell.value(LITHIUM)


def test_a_missing_or_short_curve_is_an_error(cell):
    record, _ = slow_curve(cell, points=5)
    with pytest.raises(InputError, match="Did you mean 'voltage_C20'"):
        adapt(cell, record, ocv="C25")
    with pytest.raises(InputError, match="has 5 points"):
        adapt(cell, record, ocv="C20")
