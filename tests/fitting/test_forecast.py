import json

import numpy as np
import pytest
import scipy.stats
import xarray as xr

from cellmodels.errors import InputError
from cellmodels.fitting.discrepancy import Search
from cellmodels.fitting.drift import Drift
from cellmodels.fitting.fit import fit_with, free_parameters
from cellmodels.fitting.forecast import ForecastError, Mixture, forecast, predictive
from cellmodels.fitting.least_squares import minimise
from cellmodels.fitting.problem import Problem
from cellmodels.fitting.residuals import observe
from cellmodels.fitting.result import Fit
from cellmodels.observations import PointSet

AHEAD = np.array([401, 500, 600, 800])


def true_capacity(fade_of, truth, at=AHEAD):
    values, _ = fade_of()._one("discharge_capacity", at.astype(float), None, truth)
    return values


@pytest.fixture
def problem(record_of, fade_of, scaling_of):
    def make(seed=0, missing=None, observables=("discharge_capacity",)):
        record = record_of(seed=seed)
        if missing is not None:
            cycles = record["cycles"].to_dataset()
            changed = cycles["discharge_capacity"] + missing(cycles["cycle"].values)
            record["cycles"] = cycles.assign(discharge_capacity=changed)
        observations = observe(record, observables)
        return Problem(fade_of(), observations, scaling_of(count=2))

    return make


@pytest.fixture
def best():
    return lambda problem: minimise(problem, progress=False).best


def test_without_a_drift_the_interval_is_that_of_linear_regression(problem, best):
    made = problem()
    found = best(made)
    search = Search(made, found)
    at = AHEAD.astype(float)
    prediction = made.predict(found.values, [PointSet("cycles", "discharge_capacity", "cycle", at)])
    jacobian = prediction.jacobian * made.scaling.slopes(found.scaled)
    # A grid with no drift and no factor on the noise leaves the regression of the parameters.
    grid = search.grids[0]
    keep = {"ratios": np.array([1e-9]), "factors": grid.factors[:1]}
    keep |= {"log_det": grid.log_det[:, :1], "moments": grid.moments[:, :1]}
    search.grids[0] = type(grid)(**{**vars(grid), **keep})
    mixture = predictive(search, 0, at, prediction.values, jacobian)
    covariance = np.linalg.inv(found.jacobian.T @ found.jacobian)
    errors = np.sqrt(np.einsum("mi,ij,mj->m", jacobian, covariance, jacobian))
    reach = scipy.stats.norm.ppf(0.975)
    # Averages over bins lose next to nothing of the information.
    np.testing.assert_allclose(
        mixture.quantile(0.975) - mixture.quantile(0.025), 2 * reach * errors, rtol=0.01
    )
    np.testing.assert_allclose(mixture.quantile(0.5), prediction.values, atol=0.05 * errors.max())
    measured = mixture.quantile(0.975, measured=True) - mixture.quantile(0.025, measured=True)
    np.testing.assert_allclose(measured, 2 * reach * np.hypot(errors, 2e-3), rtol=0.01)


def test_with_a_drift_it_is_universal_kriging(problem, best, record_of, fade_of, scaling_of):
    observations = observe(record_of(cycles=90), ["discharge_capacity"])
    made = Problem(fade_of(), observations, scaling_of(count=2))
    found = best(made)
    search = Search(made, found)
    grid, drift, ratio, factor = search.grids[0], 3, 12, 1
    keep = {"drifts": grid.drifts[drift : drift + 1], "ratios": grid.ratios[[ratio]]}
    keep |= {"factors": grid.factors[[factor]]}
    keep |= {"log_det": grid.log_det[drift : drift + 1, [ratio]]}
    keep |= {"moments": grid.moments[drift : drift + 1, [ratio]]}
    search.grids[0] = type(grid)(**{**vars(grid), **keep})
    at = np.array([91.0, 120.0, 180.0])
    prediction = made.predict(found.values, [PointSet("cycles", "discharge_capacity", "cycle", at)])
    jacobian = prediction.jacobian * made.scaling.slopes(found.scaled)
    mixture = predictive(search, 0, at, prediction.values, jacobian)
    # The textbook's formulas, in units of the capacity, with data minus model.
    std, n = observations.std[0], np.arange(1, 91.0)
    s, t = (n - 1) / 89, (at - 1) / 89
    size = grid.factors[factor] * std**2
    kernel = grid.drifts[drift].covariance
    covariance = size * (np.eye(90) + grid.ratios[ratio] ** 2 * kernel(s, s))
    cross = size * grid.ratios[ratio] ** 2 * kernel(t, s)
    trend, data = found.jacobian * std, -found.residuals * std
    weights = np.linalg.solve(covariance, np.column_stack([trend, data]))
    information = trend.T @ weights[:, :2]
    shift = np.linalg.solve(information, trend.T @ weights[:, 2])
    slope = jacobian - cross @ weights[:, :2]
    mean = prediction.values + slope @ shift + cross @ weights[:, 2]
    prior = size * grid.ratios[ratio] ** 2 * np.diag(kernel(t, t))
    variance = prior - np.einsum("mi,im->m", cross, np.linalg.solve(covariance, cross.T))
    variance += np.einsum("mi,ij,mj->m", slope, np.linalg.inv(information), slope)
    np.testing.assert_allclose(mixture.means[0], mean, atol=1e-7)
    np.testing.assert_allclose(mixture.deviations[0], np.sqrt(variance), rtol=1e-5)


def test_forecasts_of_a_true_model_hold_and_are_not_much_wider(problem, best, fade_of, truth):
    inside, widths = [], []
    for seed in range(20):
        made = problem(seed)
        found = best(made)
        made_of = forecast(made, found, AHEAD)
        low, high = (made_of[f"discharge_capacity_{s}"].values[0] for s in ("low", "high"))
        capacity = true_capacity(fade_of, truth)
        inside.append((low < capacity) & (capacity < high))
        slopes = np.stack([-np.sqrt(AHEAD), -AHEAD], axis=1) * found.values
        covariance = np.linalg.inv(found.jacobian.T @ found.jacobian)
        errors = np.sqrt(np.einsum("mi,ij,mj->m", slopes, covariance, slopes))
        widths.append((high - low) / (2 * 1.96 * errors))
    assert np.all(np.sum(inside, axis=0) >= 18)
    assert np.all(np.median(widths, axis=0) > 0.97)
    # A drift that the data do not rule out widens them, the more the further.
    assert np.all(np.median(widths, axis=0)[:2] < [2.5, 7])


def test_forecasts_hold_where_the_model_misses_a_drift(problem, best, fade_of, truth):
    random, inside, alone = np.random.default_rng(0), [], []
    s = np.concatenate([np.arange(400), AHEAD - 1.0]) / 399
    root = np.linalg.cholesky(Drift(1.0).covariance(s, s) + 1e-10 * np.eye(s.size))
    for seed in range(20):
        wave = 0.05 * root @ random.standard_normal(s.size)
        made = problem(seed, lambda n, wave=wave: wave[: n.size])
        found = best(made)
        made_of = forecast(made, found, AHEAD)
        capacity = true_capacity(fade_of, truth) + wave[400:]
        low, high = (made_of[f"discharge_capacity_{s}"].values[0] for s in ("low", "high"))
        inside.append((low < capacity) & (capacity < high))
        alone.append(np.abs(made_of["discharge_capacity_model"].values - capacity) < 5e-3)
    assert np.all(np.sum(inside, axis=0) >= 17)
    assert np.all(np.sum(alone, axis=0)[1:] < 10)


def test_what_a_forecast_holds(problem, best):
    made = problem(observables=("discharge_capacity", "capacity_C20"))
    found = forecast(
        made, best(made), 450, ["capacity_C20", "cycles/discharge_capacity"], levels=(0.5, 0.9)
    )
    assert found["cycle"].values.tolist() == list(range(401, 451))
    assert found["level"].values.tolist() == [0.5, 0.9]
    for name in ("capacity_C20", "discharge_capacity"):
        assert found[name].attrs["units"] == "A.h"
        low, high = found[f"{name}_low"].values, found[f"{name}_high"].values
        assert np.all(low[1] < low[0]) and np.all(high[1] > high[0])
        assert np.all((low[0] < found[name].values) & (found[name].values < high[0]))
        assert np.all(found[f"{name}_measured_low"].values < low)
        assert np.all(np.diff(high - low) > 0)  # the further, the wider
    said = json.loads(found.attrs["discrepancies"])
    assert set(said) == {"cycles/discharge_capacity", "checkups/capacity_C20"}
    assert "mechanisms as before" in found.attrs["assumed"]
    far = forecast(made, best(made), 5000)
    assert far.sizes["cycle"] == 200
    assert far["cycle"].values[[0, -1]].tolist() == [401, 5000]


def test_a_mixture_has_the_quantiles_of_its_distribution():
    random = np.random.default_rng(0)
    mixture = Mixture(
        np.array([0.7, 0.3]), np.array([[0.0], [5.0]]), np.array([[1.0], [2.0]]), np.array([1.0, 1])
    )
    second = random.random(200_000) < 0.3
    draws = np.where(second, 5.0, 0.0) + np.where(second, 2, 1) * random.standard_normal(200_000)
    for probability in (0.025, 0.5, 0.975):
        expected = np.quantile(draws, probability)
        assert mixture.quantile(probability)[0] == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"cycles": 400}, "not beyond the data, which end in cycle 400"),
        ({"cycles": [450, 300]}, "not beyond the data"),
        ({"cycles": 450.5}, "whole number"),
        ({"cycles": []}, "whole number"),
        ({"cycles": np.nan}, "whole number"),
        ({"cycles": "many"}, "no numbers"),
        ({"cycles": 500, "variables": ["discharge_capacty"]}, "Did you mean"),
        ({"cycles": 500, "variables": []}, "at least one"),
        ({"cycles": 500, "variables": ["voltage_C20"]}, "fitted scalars"),
        ({"cycles": 500, "levels": [95]}, "between 0 and 1"),
    ],
)
def test_nonsense_is_refused(problem, best, arguments, said):
    made = problem(observables=("discharge_capacity", "capacity_C20", "voltage_C20"))
    found = best(made)
    made.predict.calls.clear()
    with pytest.raises(InputError, match=said):
        forecast(made, found, **arguments)
    assert not made.predict.calls


def test_data_by_throughput_are_refused(record, fade, scaling, best):
    observations = observe(record, ["discharge_capacity"], coordinate="throughput")
    made = Problem(fade, observations, scaling)
    with pytest.raises(InputError, match="placed by throughput"):
        forecast(made, made.evaluate(np.zeros(3)), 500)


def test_without_a_capacity_the_variable_must_be_named(record, fade, scaling):
    made = Problem(fade, observe(record, ["resistance_pulse"]), scaling)
    with pytest.raises(InputError, match="name the variables"):
        forecast(made, made.evaluate(np.zeros(3)), 500)
    found = forecast(made, made.evaluate(np.zeros(3)), 500, "resistance_pulse")
    assert found["resistance_pulse"].attrs["units"] == "ohm"


def test_a_cell_that_dies_before_is_said(problem, best):
    made = problem()
    found = best(made)
    made.predict.fails = lambda values: True
    with pytest.raises(ForecastError, match="cannot be simulated to cycle 800: no solution"):
        forecast(made, found, AHEAD)


def test_a_fit_that_was_saved_forecasts_the_same(cell, cell_fade, protocol, record, tmp_path):
    names = ["SEI solvent diffusivity [m2.s-1]", "SEI kinetic rate constant [m.s-1]"]
    scaling = free_parameters(cell, names)
    made = Problem(cell_fade, observe(record, ["discharge_capacity"]), scaling)
    cell_fade.units = cell_fade.units[:2]
    fit = fit_with(made, cell, record, protocol, progress=False)
    fit.save(tmp_path / "fit.nc")
    loaded = Fit.load(tmp_path / "fit.nc")
    xr.testing.assert_allclose(
        fit.forecast(AHEAD, predict=cell_fade), loaded.forecast(AHEAD, predict=cell_fade)
    )
