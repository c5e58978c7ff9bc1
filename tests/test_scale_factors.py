"""Scale factors on functions: what they multiply, what is refused, and that files keep them."""

import numpy as np
import pybamm
import pytest

import cellmodels as cm
from cellmodels.errors import InputError
from cellmodels.experiments.parts import TracePart
from cellmodels.expressions import Expression
from cellmodels.fitting.fresh import fresh_problem
from cellmodels.scale_factors import with_scale_factors

CONDUCTIVITY = "Electrolyte conductivity [S.m-1]"
HEAT = tuple(
    f"{layer} specific heat capacity [J.kg-1.K-1]"
    for layer in ("Negative current collector", "Negative electrode", "Separator",
                  "Positive electrode", "Positive current collector")
)  # fmt: skip


def value_of(cell, name, *arguments):
    """A function of the cell's set at numbers."""
    values = cell.parameter_values()
    symbol = values[name](*(pybamm.Scalar(x) for x in arguments))
    return float(np.squeeze(values.process_symbol(symbol).evaluate()))


@pytest.fixture(scope="module")
def cell():
    return cm.Cell("lithium_ion", parameters="OKane2022", model="SPMe")


def test_a_function_of_pybamm_is_multiplied(cell):
    factor = cm.scaled(CONDUCTIVITY)
    made = with_scale_factors(cell, [factor])
    before = value_of(cell, CONDUCTIVITY, 1200.0, 310.0)
    assert value_of(made, CONDUCTIVITY, 1200.0, 310.0) == pytest.approx(before, rel=1e-12)
    half = made.with_parameters({factor.name: 0.5})
    assert value_of(half, CONDUCTIVITY, 1200.0, 310.0) == pytest.approx(0.5 * before, rel=1e-12)
    assert with_scale_factors(made, [factor]) == made


def test_a_table_is_multiplied(cell):
    name = "Negative electrode OCP [V]"  # OKane2022 has it as an interpolant
    factor = cm.scaled(name)
    made = with_scale_factors(cell, [factor]).with_parameters({factor.name: 2.0})
    assert value_of(made, name, 0.4) == pytest.approx(2.0 * value_of(cell, name, 0.4), rel=1e-9)


def test_a_formula_of_ours_is_multiplied():
    cell = cm.Cell("lithium_ion", model="SPM")
    name = "Negative electrode OCP [V]"
    factor = cm.scaled(name)
    made = with_scale_factors(cell, [factor]).with_parameters({factor.name: 0.7})
    held = made.parameters.parameters[name]
    assert isinstance(held.value, Expression) and "scale factor" in held.note
    assert value_of(made, name, 0.4) == pytest.approx(0.7 * value_of(cell, name, 0.4), rel=1e-12)


def test_numbers_that_the_model_takes_as_functions_share_a_factor():
    cell = cm.Cell("lithium_ion", model="SPM", mechanisms=[cm.LumpedThermal()])
    factor = cm.scaled(*HEAT, name="Heat capacity scale factor")
    made = with_scale_factors(cell, [factor]).with_parameters({factor.name: 2.0})
    trace = cm.VoltageTrace([10.0, 600.0], [4.3, 2.7], "Discharge at 2C for 600 s",
                            temperature=[298.0, 300.0])  # fmt: skip
    rises = [
        float(cm.simulate_experiments(each, trace)["traces"]["temperature_simulated"][0]) - 298.0
        for each in (cell, made)
    ]
    assert rises[1] == pytest.approx(0.5 * rises[0], rel=0.03)


def test_the_derivative_by_a_factor_is_exact(cell):
    factor, times = cm.scaled(CONDUCTIVITY), np.arange(30.0, 900.0, 60.0)
    volts = np.where(np.arange(len(times)) % 2, 2.7, 4.3)
    trace = cm.VoltageTrace(times, volts, "Discharge at 2C for 900 s")
    made = fresh_problem(cell, trace, [factor])
    assert isinstance(made.simulator.parts[0], TracePart)
    near = made.simulator.predict(np.ones(1))
    up, down = (made.simulator.predict(np.array([v]), state=near.state) for v in (1.001, 0.999))
    exact = made.simulator.predict(np.ones(1), state=near.state).jacobian[:, 0]
    assert np.abs(exact).max() > 1e-2
    assert (up.values - down.values) / 2e-3 == pytest.approx(exact, rel=1e-3, abs=1e-6)


def test_a_set_with_a_factor_is_written_and_read(cell, tmp_path):
    factor = cm.scaled(CONDUCTIVITY)
    made = with_scale_factors(cell, [factor]).with_parameters({factor.name: 0.8})
    made.parameters.write(tmp_path / "mine.toml")
    again = cm.Cell("lithium_ion", parameters=tmp_path / "mine.toml", model="SPMe")
    found = value_of(again, CONDUCTIVITY, 1000.0, 298.15)
    assert found == pytest.approx(0.8 * value_of(cell, CONDUCTIVITY, 1000.0, 298.15), rel=1e-9)
    assert cm.Cell.from_dict(made.to_dict()) == made


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("Electrolyte conductivity [S/m]",), "Did you mean 'Electrolyte conductivity"),
        (("Nominal cell capacity [A.h]",), "is a number of this cell, not a function"),
    ],
)
def test_what_cannot_be_scaled_is_refused(cell, names, message):
    with pytest.raises(InputError, match=message):
        with_scale_factors(cell, [cm.scaled(*names)])


def test_factors_need_names():
    with pytest.raises(InputError, match="needs a name"):
        cm.scaled(*HEAT)
    with pytest.raises(InputError, match="takes the names"):
        cm.scaled()
