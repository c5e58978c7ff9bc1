"""The sign of a current, told by what the voltage does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellmodels.record import read_record
from cellmodels.record.files.current_sign import sign_by_voltage


def cell(current, step=10.0, capacity=3600.0, ohms=0.05):
    """Voltage of a cell with a sloping open-circuit voltage and a resistance."""
    charge = np.cumsum(current) * step
    return 3.7 - charge / capacity - ohms * current


@pytest.mark.parametrize(
    "current",
    [
        np.full(100, 1.0),
        np.r_[np.zeros(5), np.full(50, 2.0), np.zeros(5)],
        np.r_[np.full(50, 1.0), np.zeros(20), np.full(50, -1.0), -np.geomspace(1, 0.02, 30)],
        np.tile([0.5, 0.5, -0.5, -0.5], 20),
    ],
    ids=["discharge", "discharge and rests", "cycle", "pulses"],
)
@pytest.mark.parametrize("unit", [1.0, 1e-3])
def test_the_voltage_tells_the_sign(current, unit):
    voltage = cell(current)
    assert sign_by_voltage(unit * current, voltage) == 1
    assert sign_by_voltage(-unit * current, 1e3 * voltage) == -1


def test_what_does_not_tell():
    flat = np.full(50, 3.7)
    assert sign_by_voltage(np.full(50, 1.0), flat) == 0
    assert sign_by_voltage(np.zeros(50), np.linspace(3.6, 3.7, 50)) == 0
    assert sign_by_voltage(np.empty(0), np.empty(0)) == 0
    assert sign_by_voltage(np.full(3, np.nan), flat[:3]) == 0
    # its resistance and its course contradict one another
    current = np.r_[np.zeros(5), np.full(50, 1.0)]
    assert sign_by_voltage(current, 3.7 - 0.05 * current + np.cumsum(current) / 500) == 0


@given(st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=30), st.integers(0, 29))
def test_any_numbers(values, shift):
    current = np.array(values)
    voltage = np.roll(current, shift)
    assert sign_by_voltage(current, voltage) in (-1, 0, 1)


def test_a_header_that_does_not_say_is_told_by_the_voltage(tmp_path):
    current = np.r_[np.zeros(5), np.full(50, 2.0), np.zeros(5), np.full(50, -2.0)]
    rows = np.stack([10.0 * np.arange(len(current)), -1e3 * current, cell(current)], axis=1)
    path = tmp_path / "cell.csv"
    np.savetxt(path, rows, delimiter=",", header="Time [s],I[mA],U[V]", comments="")
    with pytest.warns(UserWarning, match=r"'I\[mA\]' does not say .* positive values charge"):
        found = read_record(path)["traces"]["current"]
    np.testing.assert_allclose(found, current)
