"""Pooled fits of cells whose population is known."""

import dataclasses

import numpy as np
import pytest
import scipy.optimize
import scipy.stats
import xarray as xr

from cellmodels.errors import InputError
from cellmodels.many.laws import per_kilojoule
from cellmodels.many.pooled import pool
from cellmodels.many.pooled_result import PooledFit
from cellmodels.many.predictive import predict_cells
from cellmodels.observations import Outcome, Prediction

from .conftest import BUILT_IN, CYCLES, ENERGY, FILM, MEANS, NAMES, NOISE, RATE, SPREAD

ENERGY_OF = f"activation energy of {RATE}"


def pooled(made, **options):
    return pool(made.fits, made.problems, **{"inflate": False, "correlated": False, **options})


@pytest.fixture(scope="module")
def made(make):
    return make()


@pytest.fixture(scope="module")
def found(made):
    return pooled(made)


def dense(made, found, u):
    """-2 log of the restricted posterior of the records, by dense normal distributions.

    `u` holds logarithms of both means, the energy [kJ/mol], and logarithms of both spreads.
    """
    beta, spread = u[:3], np.exp(u[3:])
    c, p = found.tree["coefficients"].to_dataset(), found.tree["parameters"].to_dataset()
    start = found.scaling.start
    x = CYCLES / 200
    a = -np.stack([x, np.sqrt(x)], axis=1)
    total, system = 0.0, np.diag(c["prior_precision"].values)
    for name, problem in made.problems.items():
        slope = per_kilojoule(298.15, made.kelvin[name])
        design = np.array([[1, 0, slope], [0, 1, 0]])
        mean = 5 + a @ (design @ beta + np.log(start / made.base))
        covariance = (a * spread**2) @ a.T + NOISE**2 * np.eye(len(a))
        total -= 2 * scipy.stats.multivariate_normal(mean, covariance).logpdf(
            problem.observations.data
        )
        system = system + (a @ design).T @ np.linalg.solve(covariance, a @ design)
    away = beta - c["prior_mean"].values
    total += away @ np.diag(c["prior_precision"].values) @ away
    total += np.sum((spread / p["spread_prior_scaled"].values) ** 2 - 2 * np.log(spread))
    return total + np.linalg.slogdet(system)[1]


def test_the_pooled_fit_is_the_optimum_of_the_dense_posterior(made, found):
    beta = found.tree["coefficients"]["beta"].values
    spread = found.spread["spread"].to_numpy()
    here = np.concatenate([beta, np.log(spread)])
    options = {"xatol": 1e-8, "fatol": 1e-10, "maxiter": 20000, "maxfev": 20000}
    best = scipy.optimize.minimize(
        lambda u: dense(made, found, u), here + 0.1, method="Nelder-Mead", options=options
    )
    np.testing.assert_allclose(here, best.x, rtol=1e-4, atol=2e-4)


def test_the_truth_is_within_the_errors(found):
    table = found.table
    assert abs(table.loc[ENERGY_OF, "value"] - ENERGY) < 3 * table.loc[ENERGY_OF, "standard error"]
    assert table.loc[ENERGY_OF, "unit"] == "kJ.mol-1"
    assert table.loc[ENERGY_OF, "prior"] == pytest.approx(BUILT_IN)
    assert table.loc[ENERGY_OF, "prior error"] == pytest.approx(25.0)  # range of 0 to 100 kJ/mol
    for name, mean, spread in zip(NAMES, MEANS, SPREAD, strict=True):
        row = found.spread.loc[name]
        assert row["spread_low"] < spread < row["spread_high"]
        relative = table.loc[name, "standard error"] / table.loc[name, "value"]
        assert abs(np.log(table.loc[name, "value"] / found.cell.value(name))) < 3
        base = 2.5e-22 if name == RATE else 2e5
        assert abs(np.log(table.loc[name, "value"] / base) - mean) < 3 * relative
    assert "the spread leans on its prior" not in repr(found)


def test_cells_shrink_towards_their_mean_and_nearer_to_the_truth(made, found):
    alone = np.log(found.cells["alone"].values / made.base)
    together = np.log(found.cells["value"].values / made.base)
    mean = np.log(found.cells["mean"].values / made.base)
    assert np.abs(together - mean).sum() < np.abs(alone - mean).sum()
    assert np.abs(together - made.z).mean() < np.abs(alone - made.z).mean()
    assert np.all(found.cells["distance_p"].values > 0.001)


def test_it_is_the_same_read_from_its_file(found, tmp_path):
    found.save(tmp_path / "pooled.nc")
    again = PooledFit.load(tmp_path / "pooled.nc")
    assert repr(again) == repr(found)
    assert again.cell == found.cell and again.scaling.names == found.scaling.names
    figure = again.plot()
    assert [a.get_title(loc="left") for a in figure.axes if a.get_visible()][:2] == list(NAMES)
    with pytest.raises(InputError, match="no file"):
        PooledFit.load(tmp_path / "other.nc")


def test_a_curved_model_settles_where_population_and_cells_agree(make):
    made = make(curved=0.4)
    found = pooled(made)
    assert found.converged and found.tree.attrs["rounds"] >= 2
    precision = np.diag(1 / found.spread["spread"].to_numpy() ** 2)
    scaling = found.scaling
    for name, problem in made.problems.items():
        cell = found.cells.sel(cell=name)
        z = scaling.to_scaled(cell["value"].values)
        centre = scaling.to_scaled(cell["mean"].values)
        here = dataclasses.replace(problem, scaling=scaling).evaluate(z)
        gradient = here.slopes.T @ here.terms + precision @ (z - centre)
        error = cell["scaled_error"].values
        # a mode of data and population together: its gradient is zero, in units of its error
        assert np.all(np.abs(gradient) * error < 0.05)


def test_the_figure_draws_the_law(made, found):
    """Its line is the mean of the population, times what the model makes of the temperature."""
    axes = found.plot().axes[: len(NAMES)]
    beta = found.tree["coefficients"]["beta"].values
    scale = found.tree["parameters"]["scaled_unit"].values
    np.testing.assert_array_equal(scale, 1.0)  # both logarithmic
    for i, built_in in enumerate((BUILT_IN, 0.0)):
        x, y = axes[i].lines[0].get_data()
        for k in (0, 30, -1):
            t = 1e3 / x[k]
            z = found.law.design(t)[i] @ beta + built_in * per_kilojoule(298.15, t)
            assert y[k] == pytest.approx(found.scaling.start[i] * np.exp(z), rel=1e-9)


# The line ---------------------------------------------------------------------------------


def test_two_temperatures_cannot_test_a_line(found):
    test = found.line_test
    assert not test.possible and "two temperatures" in test.why
    assert "cannot be tested: two temperatures" in repr(found)


FOUR = (25, 25, 25, 35, 35, 35, 45, 45, 45, 55, 55, 55)


def test_cells_on_a_line_are_not_said_to_be_off_it_too_often(make):
    """Probabilities of the F test are uniform where the line is true."""
    p = [pooled(make((5, 5, 25, 25, 45, 45), seed=s)).line_test.p for s in range(10)]
    assert scipy.stats.kstest(p, "uniform").pvalue > 0.01


def test_cells_off_the_line_are_found(make):
    test = pooled(make(FOUR, bent=1.5)).line_test
    assert test.possible and test.freedom == 2 and test.freedom_cells == 8
    assert test.p < 0.01 and test.p_chi2 < test.p


# What is predicted ------------------------------------------------------------------------


def test_a_new_cell_is_predicted_from_the_population(made, found):
    """Against the normal distribution of a linear model, whose quantiles are known."""
    at = np.array([50.0, 200.0])
    options = {"draws": 4000, "predict": made.predict, "progress": False, "cell": made.cell}
    new = predict_cells(found, 308.15, at, **options)
    u = at / 200
    a = -np.stack([u, np.sqrt(u)], axis=1)
    x = found.law.design(308.15)
    c = found.tree["coefficients"].to_dataset()
    centre = x @ c["beta"].values + np.log(found.scaling.start / made.base)
    of_mean = x @ c["covariance"].values @ x.T
    for kind, covariance in (
        ("mean_cell", of_mean),
        ("new_cell", of_mean + np.diag(found.spread["spread"].to_numpy() ** 2)),
    ):
        error = np.sqrt(np.diag(a @ covariance @ a.T))
        middle = new[kind].sel(quantile=0.5).values
        np.testing.assert_allclose(middle, 5 + a @ centre, atol=0.15 * error.max())
        width = new[kind].sel(quantile=0.975).values - new[kind].sel(quantile=0.025).values
        assert np.all(width > 0.97 * 2 * 1.96 * error)  # wider: few cells, and a spread in doubt
        assert np.all(width < 2.5 * 2 * 1.96 * error)
    wider = new["new_measurement"] - new["new_cell"]
    assert wider.sel(quantile=0.975).values[0] > 0
    assert new.attrs["unit"] == "A.h" and new.attrs["failed_draws"] == 0


def test_intervals_of_new_cells_cover_new_cells(make):
    """Populations at 25 and 45 °C, a new cell of each at 35 °C."""
    inside, count = 0, 15
    for seed in range(count):
        made = make((25, 25, 25, 45, 45, 45), seed=100 + seed)
        found = pooled(made)
        options = {"draws": 200, "predict": made.predict, "progress": False, "cell": made.cell}
        new = predict_cells(found, 308.15, [200.0], **options)
        rng = np.random.default_rng(5000 + seed)
        z = MEANS + SPREAD * rng.standard_normal(2)
        z[0] += (ENERGY - BUILT_IN) * per_kilojoule(298.15, 308.15)
        low, high = new["new_cell"].sel(quantile=[0.025, 0.975]).values[:, 0]
        inside += low < 5 - z.sum() < high
    assert scipy.stats.binomtest(inside, count, 0.95).pvalue > 0.01


def test_a_life_that_ends_early_counts_as_no_capacity(made, found):
    scaled = found.law.design(308.15) @ found.tree["coefficients"]["beta"].values
    mean = found.scaling.to_values(scaled)[0]

    class Dies:
        """Beyond cycle 150 fast cells have no life."""

        def __call__(self, values, points, **options):
            dead = values[0] > 1.2 * mean
            if dead and max(s.at.max() for s in points) >= 150:
                return Prediction(None, None, Outcome(False, "empty", "no life", 150))
            return made.predict(values, points)

    options = {"draws": 50, "predict": Dies(), "progress": False, "cell": made.cell}
    new = predict_cells(found, 308.15, [100.0, 200.0], **options)
    assert new.attrs["failed_draws"] > 0
    assert new["new_cell"].sel(quantile=0.025).values[1] == 0.0
    assert new["new_cell"].sel(quantile=0.025).values[0] > 3.0


@pytest.mark.parametrize(
    ("variable", "unit", "last"),
    [("max_temperature", "K", 310.0), ("charge_of_step_3", "A.h", 0.0), ("mean_x", "", 310.0)],
)
def test_a_cell_that_has_ended_has_no_temperature(made, found, variable, unit, last):
    """Quantiles of the cells that live; of what it could give, a dead cell gives nothing."""
    tree = found.tree.copy(deep=True)
    noise = tree["noise"].to_dataset().assign_coords(variable=[f"cycles/{variable}"])
    tree["noise"] = xr.DataTree(noise)
    other = dataclasses.replace(found, tree=tree)
    scaled = found.law.design(308.15) @ found.tree["coefficients"]["beta"].values
    mean = found.scaling.to_values(scaled)[0]

    def predict(values, points, **options):
        at = points.sets[0].at
        if values[0] > 1.2 * mean and at.max() >= 150:
            return Prediction(None, None, Outcome(False, "empty", "no life", 150))
        return Prediction(np.full(at.size, 310.0), None, Outcome(True, "completed"))

    options = {"draws": 50, "predict": predict, "progress": False, "cell": made.cell}
    new = predict_cells(other, 308.15, [100.0, 200.0], variable=variable, **options)
    assert new.attrs["failed_draws"] > 0 and new.attrs["unit"] == unit
    low = new["new_cell"].sel(quantile=0.025).values
    assert list(low) == [310.0, last]
    assert np.all(np.isfinite(new["new_measurement"]))


# Input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shared": ["SEI resistivty [Ohm.m]"]}, "Did you mean 'SEI resistivity"),
        ({"arrhenius": ["nothing"]}, "not fitted"),
        ({"activation_energies": {FILM: (4e4, 1e4)}}, "not in arrhenius"),
        ({"activation_energies": {RATE: (4e4, 0.0)}}, "positive error"),
        ({"spread": -1.0}, "positive"),
        ({"temperatures": {"cell 0": 298.15}}, "No temperature is given for 'cell 1'"),
        ({"temperatures": {f"cell {k}": 25.0 for k in range(6)}}, "not the temperature"),
    ],
)
def test_wrong_input_is_named(made, options, message):
    with pytest.raises(InputError, match=message):
        pooled(made, **options)


def test_one_cell_is_no_population(made):
    fits = {"cell 0": made.fits["cell 0"]}
    with pytest.raises(InputError, match="at least two"):
        pool(fits, made.problems)


def test_a_shared_parameter_is_the_same_in_all_cells(made):
    found = pooled(made, shared=[FILM])
    assert found.converged
    values = found.cells["value"].sel(parameter=FILM).values
    assert np.ptp(np.log(values)) < 1e-6
    assert found.spread.loc[FILM, "spread"] == 0.0


def test_a_given_energy_is_a_prior(made):
    found = pooled(made, activation_energies={RATE: (100e3, 1.0)})
    assert found.table.loc[ENERGY_OF, "value"] == pytest.approx(100.0, abs=0.1)
    assert "(given)" in repr(found)
