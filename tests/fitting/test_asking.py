"""A fit asked about its uncertainty, and the answers that it carries."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

import cellmodels as cm
from cellmodels.errors import InputError
from cellmodels.fitting.fit import fit_with, free_parameters
from cellmodels.fitting.inflation import Inflation
from cellmodels.fitting.least_squares import FitError
from cellmodels.fitting.problem import Problem
from cellmodels.fitting.residuals import observe
from cellmodels.fitting.result import Fit

NAMES = ["SEI solvent diffusivity [m2.s-1]", "SEI kinetic rate constant [m.s-1]",
         "SEI resistivity [Ohm.m]"]  # fmt: skip

LIFE = Path(__file__).parents[1] / "data" / "short_life.csv"  # by PyBaMM, cycle by cycle


@pytest.fixture
def make_fit(cell, protocol, cell_fade, record):
    def make(record=record, observables=None, **options):
        starts = {name: 2 * cell.value(name) for name in NAMES}
        scaling = free_parameters(cell, NAMES, start=starts)
        problem = Problem(cell_fade, observe(record, observables), scaling)
        return fit_with(problem, cell, record, protocol, progress=False, **options)

    return make


@pytest.fixture
def fit(make_fit):
    return make_fit()


def ask(fit, kind, predict, **options):
    return getattr(fit, kind)(predict=predict, progress=False, **options)


# Profiles ---------------------------------------------------------------------------------


def test_a_profile_of_a_nearly_linear_fit_is_its_interval(fit, cell_fade):
    found = ask(fit, "profile", cell_fade)
    table = fit.table
    for side in ("low", "high"):
        np.testing.assert_allclose(found[f"interval_{side}"], table[f"95 % {side}"], rtol=1e-3)


def test_alike_residuals_widen_a_profile_as_they_do_the_covariance(make_fit, record, cell_fade):
    wavy = record.copy(deep=True)
    q = wavy["cycles"]["discharge_capacity"]
    wavy["cycles"]["discharge_capacity"] = q + 0.01 * np.sin(np.arange(q.size) / 20)
    fit = make_fit(wavy)
    inflation = Inflation.of_tree(fit.tree)
    assert inflation.overall > 10
    found, table = ask(fit, "profile", cell_fade, names=NAMES[:1]), fit.table.iloc[:1]
    for side in ("low", "high"):
        np.testing.assert_allclose(found[f"interval_{side}"], table[f"95 % {side}"], rtol=0.25)


def test_a_fit_carries_its_profile(make_fit, cell_fade, tmp_path):
    fit = make_fit(observables=["discharge_capacity"])  # the third parameter does nothing
    found = ask(fit, "profile", cell_fade)
    assert not bool(found["closed_low"][2]) and not bool(found["closed_high"][2])
    carried = fit.with_uncertainty(found)
    xr.testing.assert_identical(fit.to_datatree(), fit.tree)  # the old one is as it was
    assert "profile" not in fit.tree.children
    carried.save(tmp_path / "fit.nc")
    for each in (carried, Fit.load(tmp_path / "fit.nc")):
        np.testing.assert_array_equal(each.table["95 % low"], found["interval_low"])
        assert list(each.table["identifiable"]) == [True, True, False]
        assert "open" in repr(each).split(NAMES[2])[1].splitlines()[0]
        xr.testing.assert_allclose(each.uncertainty["profile"], found)
        assert "SYNTHETIC" in each.plot_profiles().get_suptitle()
        assert isinstance(each.plot(), Figure)


def test_an_interval_that_is_open_is_not_identifiable(fit, cell_fade):
    found = ask(fit, "profile", cell_fade, names=NAMES[:1])
    assert bool(fit.with_uncertainty(found).table["identifiable"].iloc[0])
    open_ = found.copy(deep=True)
    open_["closed_high"][:] = False
    verdict = fit.with_uncertainty(open_).table["identifiable"]
    assert not verdict.iloc[0] and verdict.iloc[1:].all()


def test_a_better_optimum_and_blocked_sides_are_noted(fit, cell_fade):
    found = ask(fit, "profile", cell_fade)
    found["end_low"] = ("parameter", ["closed", "blocked", "closed"])
    found = found.assign(better=("other", found["optimum"].values))
    found.attrs["better_deviance"] = -3.0
    notes = " ".join(fit.with_uncertainty(found).notes)
    assert "met a better optimum (deviance -3)" in notes
    assert f"The interval of {NAMES[1]} is not known on the low side" in notes


# Words ------------------------------------------------------------------------------------


def test_what_is_sloppy_is_noted(make_fit):
    fit = make_fit(observables=["discharge_capacity"])
    (said,) = fit.sloppy
    assert said == "SEI resistivity is not determined: it may lie anywhere between its bounds."
    assert said in fit.notes and said in repr(fit)
    assert np.isinf(fit.directions["standard_error"].values[-1])
    assert abs(float(fit.directions["vector"][-1, 2])) == pytest.approx(1.0)
    assert make_fit().sloppy == []


# Refits and samples -----------------------------------------------------------------------


def test_a_bootstrap_agrees_with_the_covariance(fit, cell_fade):
    found = ask(fit, "bootstrap", cell_fade, samples=100)
    expected = np.sqrt(np.diag(fit.covariance))
    np.testing.assert_allclose(found["scaled_standard_error"], expected, rtol=0.25)
    carried = fit.with_uncertainty(found)
    assert isinstance(carried.plot_pairs(), Figure)
    assert carried.notes == fit.notes
    found.attrs["failed"] = 3
    assert "3 of 100 refits" in " ".join(fit.with_uncertainty(found).notes)


def test_samples_in_arvizs_groups(fit, cell_fade, tmp_path):
    pytest.importorskip("emcee")
    found = ask(fit, "sample", cell_fade, steps=100)
    assert not found.attrs["converged"]
    with pytest.raises(InputError, match="carries no samples"):
        fit.to_arviz()
    fit.with_uncertainty(found).save(tmp_path / "fit.nc")
    carried = Fit.load(tmp_path / "fit.nc")
    assert any(note.startswith("Samples of the posterior: not converged") for note in carried.notes)
    tree = carried.to_arviz()
    assert set(tree.children) == {"posterior", "sample_stats", "observed_data", "prior"}
    assert set(tree["posterior"].data_vars) == set(NAMES)
    np.testing.assert_array_equal(
        tree["posterior"][NAMES[0]].values, found["values"].sel(parameter=NAMES[0]).values
    )
    observed = tree["observed_data"]["cycles_discharge_capacity"]
    np.testing.assert_array_equal(observed, fit.record["cycles"]["discharge_capacity"])
    prior = tree["prior"][NAMES[0]].values
    bounds = fit.parameters.sel(parameter=NAMES[0])
    assert prior.min() > float(bounds["lower_bound"]) and prior.max() < float(bounds["upper_bound"])
    # flat in the logarithm
    assert np.log(prior).mean() == pytest.approx(
        np.log(np.sqrt(float(bounds["lower_bound"] * bounds["upper_bound"]))), abs=0.5
    )


def test_arviz_reads_it(fit, cell_fade, tmp_path):
    pytest.importorskip("emcee")
    arviz = pytest.importorskip("arviz")
    found = ask(fit, "sample", cell_fade, steps=150)
    tree = fit.with_uncertainty(found).to_arviz()
    tree.to_netcdf(tmp_path / "samples.nc", engine="h5netcdf")
    summary = arviz.summary(arviz.from_netcdf(tmp_path / "samples.nc"), round_to="none")
    assert list(summary.index) == NAMES
    np.testing.assert_allclose(summary["mean"], found["mean"], rtol=1e-6)


def test_answers_that_are_none(fit, cell_fade):
    with pytest.raises(InputError, match="no answer"):
        fit.with_uncertainty(xr.Dataset({"x": 1.0}))
    found = ask(fit, "profile", cell_fade, names=NAMES[:1], level=0.9)
    with pytest.raises(InputError, match=r"level of 0\.9"):
        fit.with_uncertainty(found)
    other = found.assign_coords(parameter=["SEI resistivit [Ohm.m]"])
    with pytest.raises(InputError, match="Did you mean 'SEI resistivity"):
        fit.with_uncertainty(other)
    with pytest.raises(InputError, match="carries no profile"):
        fit.plot_profiles()
    assert fit.uncertainty == {}


def test_a_fit_whose_simulation_fails_now(fit, fade_of):
    with pytest.raises(FitError, match="fails at the fitted values"):
        ask(fit, "profile", fade_of(lambda values: True))


# Many starts ------------------------------------------------------------------------------


def test_fits_from_many_starts(make_fit):
    one, many = make_fit(), make_fit(starts=4, seed=1)
    np.testing.assert_allclose(list(many.values.values()), list(one.values.values()), rtol=1e-4)
    assert many.optima.sizes == {"optimum": 1, "parameter": 3, "start": 4}
    assert int(many.optima["count"][0]) == 4
    assert not one.optima.data_vars
    assert many.notes == one.notes


def test_another_optimum_is_noted(cell, protocol, record, cell_fade):
    scaling = free_parameters(cell, NAMES)
    problem = Problem(cell_fade, observe(record), scaling)
    low, high = np.log(0.98), np.log(5.0)

    def two(values, *arguments, **options):
        """The fade with its rate mirrored far from the truth: two optima."""
        values = np.array(values, float)
        x = np.log(values[0] / cell.value(NAMES[0]))
        if x < 0.8:
            return cell_fade(values, *arguments, **options)
        mirrored = values.copy()
        mirrored[0] = cell.value(NAMES[0]) * np.exp(low + high - x)
        found = cell_fade(mirrored, *arguments, **options)
        jacobian = found.jacobian.copy()
        jacobian[:, 0] *= -mirrored[0] / values[0]
        return replace(found, jacobian=jacobian)

    fit = fit_with(replace(problem, predict=two), cell, record, protocol, progress=False, starts=6)
    assert fit.optima.sizes["optimum"] == 2
    (note,) = [note for note in fit.notes if note.startswith("Another optimum")]
    assert "chi-square higher by only 0.0" in note and NAMES[0] in note
    fit = fit.with_uncertainty(fit.profile(NAMES[0], predict=two, progress=False))
    (note,) = [note for note in fit.notes if note.startswith(f"The interval of {NAMES[0]}")]
    assert "separate pieces" in note
    pieces = fit.uncertainty["profile"]["pieces"].values[0]
    middles = np.log(pieces / cell.value(NAMES[0])).mean(axis=1)
    assert middles.sum() == pytest.approx(low + high, abs=0.02) and middles[1] - middles[0] > 1.0


def test_a_killed_fit_from_many_starts_goes_on(make_fit, cell_fade, tmp_path):
    file = tmp_path / "fit.json"
    whole = make_fit(starts=3)
    calls = len(cell_fade.fade.calls)
    cell_fade.fade.fails = lambda values: _interrupt(cell_fade, calls + 12)
    with pytest.raises(KeyboardInterrupt):
        make_fit(starts=3, checkpoint=file)
    cell_fade.fade.fails = None
    before = len(cell_fade.fade.calls)
    again = make_fit(starts=3, checkpoint=file, resume=True)
    assert len(cell_fade.fade.calls) - before < calls
    np.testing.assert_array_equal(list(again.values.values()), list(whole.values.values()))


def _interrupt(cell_fade, most):
    if len(cell_fade.fade.calls) > most:
        raise KeyboardInterrupt
    return False


# With a simulator -------------------------------------------------------------------------


@pytest.mark.slow
def test_a_saved_fit_is_asked_with_a_simulator_of_its_own(tmp_path):
    """Stored predictions come back, and workers that build their own give the same refits."""
    charge = ["Charge at 0.5C until 4.2 V", "Hold at 4.2 V until C/10"]
    cell = cm.Cell("lithium_ion", "nmc_graphite_siox", "SPM", ["SEI"], initial_soc=1.0)
    free = ["SEI solvent diffusivity [m2.s-1]", "Initial SEI thickness [m]"]
    fit = cm.fit(
        cell,
        cm.read_record(LIFE, synthetic=True),
        cm.Protocol(["Discharge at 1C until 2.5 V", *charge]),
        free,
        start={free[0]: 2.5e-22},
        noise={"discharge_capacity": 2e-4},
        progress=False,
    )
    assert fit.converged
    fit.save(tmp_path / "fit.nc")
    loaded = cm.Fit.load(tmp_path / "fit.nc")
    best = loaded.problem().evaluate_optimum(list(loaded.values.values()))
    np.testing.assert_allclose(best.prediction.values, loaded.prediction["prediction"], atol=2e-6)
    np.testing.assert_allclose(2 * best.cost, loaded.statistics["chi_square"], rtol=1e-3)
    profile = loaded.profile(free[:1], progress=False)
    assert profile["closed_low"].all() and profile["closed_high"].all()
    here = loaded.bootstrap(4, progress=False)
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as executor:
        there = loaded.bootstrap(4, executor=executor, progress=False)
        profiled = loaded.profile(free[:1], executor=executor, progress=False)
    xr.testing.assert_identical(here, there)
    xr.testing.assert_identical(profile, profiled)
