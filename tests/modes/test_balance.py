import numpy as np
import pytest
from matplotlib.figure import Figure

import cellmodels as cm
from cellmodels.errors import InputError
from cellmodels.modes.balance import fit_curves
from cellmodels.modes.curves import ocv_curve
from cellmodels.modes.electrodes import electrodes_of
from cellmodels.modes.linearised import Problem, normal

CAPACITY, FULL = np.array([5.8, 8.7]), np.array([0.90, 0.27])


@pytest.fixture(scope="module")
def balance(cell, aged):
    return cm.balance_electrodes(cell, *aged())


def test_capacities_and_stoichiometries_are_found_within_their_errors(balance):
    table = balance.table
    for name, truth in (
        ("negative_capacity", CAPACITY[0]),
        ("positive_capacity", CAPACITY[1]),
        ("lithium_inventory", float(CAPACITY @ FULL)),
        ("overvoltage", 0.01),
    ):
        value, error = table.loc[name, ["value", "standard error"]]
        assert abs(value - truth) < 3 * error
        assert error < 0.02 * max(truth, 1.0)
    assert balance.rmse < 4e-4


def test_the_capacity_is_that_between_the_voltage_limits(balance, aged):
    charge, _ = aged(overvoltage=0.0)
    # the curve is from 4.19 V, the capacity from 4.2 V
    assert 0.0 < float(balance.electrodes["capacity"]) - charge[-1] < 0.05


def test_covariance_and_errors_agree_and_the_table_has_all(balance):
    std = np.sqrt(np.diag(balance.covariance.values))
    np.testing.assert_allclose(std, balance.table["standard error"].values)
    names = balance.covariance["quantity"].values.tolist()
    k, m = names.index("negative_capacity"), names.index("negative_stoichiometry_full")
    assert balance.covariance.values[k, m] < 0  # a larger electrode is less full
    assert "capacity of the negative electrode" in repr(balance)


def test_a_balance_can_be_written(balance, tmp_path):
    import xarray as xr

    balance.to_datatree().to_netcdf(tmp_path / "balance.nc", engine="h5netcdf")
    with xr.open_datatree(tmp_path / "balance.nc", engine="h5netcdf") as read:
        assert float(read["electrodes/negative_capacity"]) == pytest.approx(5.8, rel=0.02)
        assert read["electrodes"].attrs["positive_curve_error_V"] == 0.003


def test_the_parts_of_both_electrodes_add_up(balance):
    curves = balance.curves
    total = curves["positive_potential"] - curves["negative_potential"]
    overvoltage = float(balance.electrodes["overvoltage"])
    np.testing.assert_allclose(total - overvoltage, curves["model_voltage"], atol=1e-12)
    parts = curves["positive_differential_voltage"] + curves["negative_differential_voltage"]
    np.testing.assert_allclose(parts, curves["model_differential_voltage"], atol=1e-9)
    density = np.nan_to_num(curves["incremental_capacity"].values)
    passed = np.trapezoid(density, curves["level"].values)
    assert passed == pytest.approx(float(curves["charge"][-1]), rel=0.02)


def test_a_figure_is_drawn(balance):
    figure = balance.plot()
    assert isinstance(figure, Figure)
    titles = {ax.get_title(loc="left") or ax.get_title() for ax in figure.axes}
    assert {"Differential voltage", "Incremental capacity"} <= titles


def test_a_charge_counts_from_its_full_end(cell, aged):
    charge, voltage = aged(overvoltage=-0.01)
    charged, rising = charge[-1] - charge[::-1], voltage[::-1]
    found = cm.balance_electrodes(cell, charged, rising)
    table = found.table["value"]
    assert table["negative_capacity"] == pytest.approx(5.8, rel=0.02)
    assert table["overvoltage"] == pytest.approx(0.01, abs=0.01)  # above the open-circuit voltage


def test_a_cell_of_another_size_is_found_too(cell, aged):
    charge, voltage = aged()
    found = cm.balance_electrodes(cell, 1e-3 * charge, voltage)
    assert found.table["value"]["negative_capacity"] == pytest.approx(5.8e-3, rel=0.02)


def test_a_larger_error_of_the_half_cells_widens_all(cell, aged, balance):
    errors = {
        f"{side}_error": cm.CurveError(potential=0.01, stoichiometry=0.008)
        for side in ("negative", "positive")
    }
    wide = cm.balance_electrodes(cell, *aged(), half_cells=cm.HalfCells.of(cell, **errors))
    for name in ("negative_capacity", "positive_capacity", "lithium_inventory"):
        errors_of = [one.table["standard error"][name] for one in (wide, balance)]
        assert errors_of[0] > 1.5 * errors_of[1]


def test_an_unknown_hysteresis_widens(cell, laws, aged):
    """A constant hysteresis is told from no overvoltage; one of another shape costs more."""
    x = np.linspace(0.002, 0.998, 350)
    for shape, name in ((1.0 + 0 * x, "overvoltage"), (np.exp(-4 * x), "lithium_inventory")):
        negative = {
            "lithiation": (x, laws[0](x) - 0.03 * shape),
            "delithiation": (x, laws[0](x) + 0.03 * shape),
        }
        half_cells = cm.HalfCells.of(cell, negative=negative)
        curve = ocv_curve(*aged(), "mean")
        fit = fit_curves(cell, [curve], half_cells, cm.BalancePrior(branch=1.0))
        known = cm.BalancePrior(branch=0.01).around(electrodes_of(cell), half_cells)
        problem = Problem(fit.model, (curve,), known)
        rows = problem.whitened(fit.solution.unknowns, problem.factors(fit.noise))
        matrix, _ = normal(rows, fit.solution.unknowns, known, fit.noise.curves)
        narrow, wide = (
            np.sqrt(np.einsum("kiki->ki", fit.quantities.covariance(covariance)))[0]
            for covariance in (np.linalg.inv(matrix), fit.solution.covariance)
        )
        assert np.all(wide > (1 - 1e-6) * narrow)
        k = fit.quantities.names.index(name)
        assert wide[k] > 1.02 * narrow[k]


def test_steep_ends_are_not_blurred_by_means(laws):
    """The mean of the model over an interval is that of a dense curve."""
    x = np.linspace(0.9, 0.02, 200_001)
    charge, voltage = 5.0 * (0.9 - x), 3.8 - laws[0](x)
    curve = ocv_curve(charge, voltage, settle=0.0)
    model = (3.8 - laws[0](0.9 - curve.charge / 5.0)) @ curve.weights
    np.testing.assert_allclose(curve.voltage, model, atol=2e-5)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"charge": np.linspace(0, 5, 10)}, "must be as many"),
        ({"charge": [0.0, 1.0], "voltage": [4.0, 3.9]}, "needs 8"),
        ({"charge": np.zeros(100), "voltage": np.linspace(4, 3, 100)}, "needs 8"),
        ({"voltage": np.full(1500, np.inf)}, "infinite"),
        ({"voltage": np.linspace(1.2, 0.2, 1500)}, "not those of a discharge"),
        ({"direction": "discharg"}, "Did you mean 'discharge'"),
        ({"noise": 0.0}, "noise must be positive"),
        ({"settle": 0.7}, "below 0.5"),
    ],
)
def test_bad_curves_are_refused_before_any_fit(cell, aged, change, words):
    charge, voltage = aged()
    given = {"charge": charge, "voltage": voltage} | change
    with pytest.raises(InputError, match=words):
        cm.balance_electrodes(cell, **given)


def test_bad_priors_and_cells_are_refused(aged):
    with pytest.raises(InputError, match="capacity must be positive"):
        cm.BalancePrior(capacity=0.0)
    zinc = cm.Cell("zinc_bromine", parameters="zinc_bromine_static", model="lumped")
    with pytest.raises(InputError, match="lithium-ion cells"):
        cm.balance_electrodes(zinc, *aged())
