import numpy as np
import pybamm
import pytest

import cellmodels as cm
from cellmodels.errors import InputError
from cellmodels.modes.half_cells import HalfCells

X = np.linspace(0.02, 0.98, 97)
TABLE = (np.linspace(0.0, 1.0, 50), 1.0 - np.linspace(0.0, 1.0, 50) ** 2)


def test_potentials_are_the_sets_own(half_cells, laws):
    for half_cell, law in zip((half_cells.negative, half_cells.positive), laws, strict=True):
        np.testing.assert_allclose(half_cell.potential(X)[0], law(X), atol=1e-6)


@pytest.mark.parametrize("name", ["OKane2022", "lfp_graphite"])
def test_other_sets_agree_with_pybamm_too(name):
    cell = cm.Cell("lithium_ion", parameters=name, model="SPM")
    values, found = cell.parameter_values(), HalfCells.of(cell)
    for side in ("Negative", "Positive"):
        law = values[f"{side} electrode OCP [V]"]
        expected = values.process_symbol(law(pybamm.Vector(X))).evaluate().ravel()
        mine = getattr(found, side.lower()).potential(X)[0]
        np.testing.assert_allclose(mine, expected, atol=2e-4)


def test_slopes_are_those_of_differences_also_beyond_the_ends(half_cells):
    at = np.array([-0.05, 0.01, 0.3, 0.61, 0.9, 1.03])
    for half_cell in (half_cells.negative, half_cells.positive):
        step = 1e-6
        up, down = (half_cell.potential(at + s)[0] for s in (step, -step))
        slope = (up - down) / (2 * step)
        np.testing.assert_allclose(half_cell.potential(at)[1], slope, rtol=1e-4, atol=1e-8)


def test_an_entropic_change_moves_the_potential(cell):
    changed = cell.with_parameters({"Positive electrode OCP entropic change [V.K-1]": -1e-4})
    warm, cold = (
        HalfCells.of(changed, temperature=kelvin).positive.potential(X)[0]
        for kelvin in (318.15, 298.15)
    )
    np.testing.assert_allclose(warm - cold, -2e-3, atol=1e-9)


def test_measured_tables_are_interpolated(cell):
    found = HalfCells.of(cell, negative=TABLE).negative
    np.testing.assert_allclose(found.potential(X)[0], 1 - X**2, atol=1e-3)
    assert found.gap is None and "measured" in found.source


def test_long_noisy_tables_become_means_with_a_quiet_slope(cell):
    x = np.linspace(0, 1, 20_000)
    noisy = 1 - x**2 + 1e-3 * np.random.default_rng(0).standard_normal(x.size)
    slope = HalfCells.of(cell, negative=(x, noisy)).negative.potential(X)[1]
    np.testing.assert_allclose(slope, -2 * X, atol=0.35)


def test_branches_of_a_hysteresis_are_those_of_the_running_cell(cell):
    x, u = TABLE
    branches = {"lithiation": (x, u - 0.02), "delithiation": (x, u + 0.02)}
    found = HalfCells.of(cell, negative=branches, positive=branches)
    middle = 1 - X**2
    # a discharging cell delithiates the negative and lithiates the positive electrode
    np.testing.assert_allclose(found.negative.potential(X, 1.0)[0], middle + 0.02, atol=1e-3)
    np.testing.assert_allclose(found.negative.potential(X, -1.0)[0], middle - 0.02, atol=1e-3)
    np.testing.assert_allclose(found.positive.potential(X, 1.0)[0], middle - 0.02, atol=1e-3)
    np.testing.assert_allclose(found.positive.potential(X, 0.0)[0], middle, atol=1e-3)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ((np.linspace(0, 1, 5), np.linspace(1, 0, 5)), "at least 8"),
        ((np.linspace(0, 1, 9), np.linspace(1, 0, 10)), "must be as many"),
        ((np.linspace(0, 4.9, 9), np.linspace(1, 0, 9)), "between 0 and 1"),
        ((np.linspace(0, 1, 9), np.linspace(0, 1, 9)), "must fall"),
        ((np.linspace(0, 1, 9), np.full(9, np.nan)), "missing"),
        ("potential", "are needed"),
        ({"delithation": TABLE}, "Did you mean 'delithiation'"),
        ({"delithiation": TABLE}, "give lithiation and delithiation"),
    ],
)
def test_what_is_no_half_cell_is_refused(cell, table, words):
    with pytest.raises(InputError, match=words):
        HalfCells.of(cell, negative=table)


def test_cells_without_lithium_are_refused():
    zinc = cm.Cell("zinc_bromine", parameters="zinc_bromine_static", model="lumped")
    with pytest.raises(InputError, match="lithium-ion cells"):
        HalfCells.of(zinc)


@pytest.mark.parametrize("wrong", [{"potential": -1.0}, {"stoichiometry": np.nan}, {"length": 0.0}])
def test_impossible_errors_are_refused(wrong):
    with pytest.raises(InputError):
        cm.CurveError(**wrong)


def test_modes_of_an_error_have_its_covariance():
    error = cm.CurveError(length=0.2)
    modes, slopes = error.modes(X)
    away = np.sqrt(3) * np.abs(X[:, None] - X) / 0.2
    np.testing.assert_allclose(modes @ modes.T, (1 + away) * np.exp(-away), atol=0.03)
    numeric = np.gradient(modes, X, axis=0)
    np.testing.assert_allclose(slopes[2:-2], numeric[2:-2], atol=0.1 * np.abs(slopes).max())
