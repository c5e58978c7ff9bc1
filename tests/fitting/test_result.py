import dataclasses
import json
import math

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

from cellmodels.errors import InputError
from cellmodels.fitting.fit import fit_with, free_parameters
from cellmodels.fitting.loss import Loss
from cellmodels.fitting.prior import Prior
from cellmodels.fitting.problem import Problem
from cellmodels.fitting.residuals import observe
from cellmodels.fitting.result import Fit
from cellmodels.parameter_set import ParameterSet

NAMES = ["SEI solvent diffusivity [m2.s-1]", "SEI kinetic rate constant [m.s-1]",
         "SEI resistivity [Ohm.m]"]  # fmt: skip


@pytest.fixture
def make_problem(cell, cell_fade, record):
    def make(record=record, observables=None):
        starts = {name: 2 * cell.value(name) for name in NAMES}
        scaling = free_parameters(cell, NAMES, start=starts)
        return Problem(cell_fade, observe(record, observables), scaling)

    return make


@pytest.fixture
def fitted(cell, protocol, record):
    def make(problem, record=record, **options):
        return fit_with(problem, cell, record, protocol, progress=False, **options)

    return make


@pytest.fixture
def make_fit(make_problem, fitted, record):
    def make(record=record, observables=None, **options):
        return fitted(make_problem(record, observables), record, **options)

    return make


@pytest.fixture
def fit(make_fit):
    return make_fit()


# Numbers ----------------------------------------------------------------------------------


def test_fitted_cell_holds_the_values_and_says_where_they_are_from(fit, cell):
    for name, value in fit.values.items():
        assert fit.cell.value(name) == value
        assert value == pytest.approx(cell.value(name), rel=0.05)  # the truth of this record
        assert fit.cell.parameters.parameters[name].source == "fitted to analytic fade"
    assert cell.value(NAMES[0]) != fit.cell.value(NAMES[0])  # the old cell is unchanged


@pytest.mark.parametrize("options", [{}, {"loss": Loss("pseudo-Huber", 2.0), "prior": True}])
def test_the_problem_of_a_fit_is_read_back_from_its_file(
    make_problem, cell_fade, fitted, options, tmp_path
):
    problem = make_problem()
    if options.pop("prior", False):
        known = {NAMES[1]: (problem.scaling.start[1], 0.5)}
        options["prior"] = Prior.independent(problem.scaling, known)
    problem = dataclasses.replace(problem, **options)
    fit = fitted(problem)
    fit.save(tmp_path / "fit.nc")
    again = Fit.load(tmp_path / "fit.nc").problem(cell_fade)
    assert again.scaling == problem.scaling
    assert again.loss == problem.loss
    assert again.tolerance == problem.tolerance
    best = again.evaluate_optimum(list(fit.values.values()))
    np.testing.assert_array_equal(best.residuals, fit.residuals["normalised_residual"].values)
    assert best.cost == pytest.approx(problem.evaluate(best.scaled).cost, rel=1e-12)


def test_fitted_parameters_as_a_file(fit, cell, tmp_path):
    fit.parameter_set("mine").write(tmp_path / "mine.toml")
    again = ParameterSet.load(tmp_path / "mine.toml")
    assert again.name == "mine"
    for name, value in fit.values.items():
        parameter = again.parameters[name]
        assert parameter.value == value
        assert parameter.source == "fit, fitted to analytic fade"
        assert parameter.note.startswith("standard error ")
        assert "was " in parameter.note
    assert "Fit to analytic fade" in again.citations["fit"]
    assert fit.status in again.citations["fit"] and fit.cell.hash[:16] in again.citations["fit"]
    others = set(again.parameters) - set(fit.values)
    assert all(again.parameters[n] == cell.parameters.parameters[n] for n in others)
    with pytest.raises(InputError, match="name"):
        fit.parameter_set("not a name")


def test_table_has_value_error_interval_unit_and_verdict(fit):
    table = fit.table
    assert list(table.index) == NAMES
    assert table.loc[NAMES[0], "unit"] == "m2.s-1"
    assert table["identifiable"].all()
    assert (table["95 % low"] < table["value"]).all() and (
        table["value"] < table["95 % high"]
    ).all()


def test_residuals_are_model_minus_data(fit):
    points, residuals = fit.prediction, fit.residuals
    np.testing.assert_allclose(residuals["residual"], points["prediction"] - points["data"])
    np.testing.assert_allclose(
        residuals["normalised_residual"], residuals["residual"] / points["std"]
    )
    assert float((residuals["normalised_residual"] ** 2).sum()) == pytest.approx(
        fit.statistics["chi_square"]
    )


def test_jacobian_and_covariance_belong_together(fit):
    # White residuals near the noise: covariance is the inverse information, somewhat enlarged.
    values = np.array(list(fit.values.values()))
    scaled = fit.prediction["jacobian"].values * values / fit.prediction["std"].values[:, None]
    information = scaled.T @ scaled
    ratio = np.diag(fit.covariance) / np.diag(np.linalg.inv(information))
    assert np.all((ratio > 0.99) & (ratio < 1.5))
    errors = fit.parameters["scaled_standard_error"].values
    np.testing.assert_allclose(np.sqrt(np.diag(fit.covariance)), errors)


def test_positions_lead_back_to_the_record(fit, record):
    points = fit.prediction
    mine = points["variable"].values == "discharge_capacity"
    position = points["position"].values[mine]
    np.testing.assert_array_equal(
        record["cycles"]["discharge_capacity"].values[position], points["data"].values[mine]
    )


def test_a_fit_cannot_be_changed_from_outside(fit):
    before = fit.values
    fit.parameters["value"].values[:] = 0
    fit.to_datatree()["parameters"]["value"].values[:] = 0
    fit.record["cycles"]["discharge_capacity"].values[:] = 0
    assert fit.values == before
    assert fit.record["cycles"]["discharge_capacity"].values.min() > 4
    with pytest.raises(AttributeError):
        fit.cell = None


# Notes and text ---------------------------------------------------------------------------


def test_a_clean_fit_only_notes_the_correlation(fit):
    assert fit.converged
    (note,) = fit.notes
    assert "strongly correlated (-0.98" in note


def test_what_the_data_do_not_tell_is_said(make_fit):
    fit = make_fit(observables=["discharge_capacity"])
    assert not fit.table.loc[NAMES[2], "identifiable"]
    assert f"Not determined by these data: {NAMES[2]}." in fit.notes
    assert "not determined" in repr(fit) and "unbounded" in repr(fit)


def test_systematic_residuals_and_a_better_empirical_curve_are_said(make_fit, record):
    cycles = record["cycles"].to_dataset()
    wave = 0.02 * np.sin(np.arange(400) / 150)
    changed = record.copy()
    changed["cycles"] = xr.DataTree(
        cycles.assign(discharge_capacity=cycles["discharge_capacity"] + wave).assign_attrs()
    )
    notes = " ".join(make_fit(changed, observables=["discharge_capacity"]).notes)
    assert "misses something systematic in cycles/discharge_capacity: a drift of" in notes
    assert "times those of the noise alone" in notes
    assert "An empirical curve" in notes


def test_a_fit_that_did_not_converge_says_so_first(make_fit):
    fit = make_fit(max_evaluations=2)
    assert not fit.converged
    assert fit.notes[0].startswith("The fit ended: not converged after 2 evaluations")


def test_text_shows_every_parameter_and_variable(fit):
    text = repr(fit)
    for expected in (*NAMES, "converged", "cycles/discharge_capacity", "A.h, estimated"):
        assert expected in text
    assert max(map(len, text.splitlines())) < 200


def test_html_is_escaped(make_fit, record):
    record.attrs["title"] = "<script>alert(1)</script>"
    page = make_fit(record)._repr_html_()
    assert "<script>" not in page and "&lt;script&gt;" in page


def test_plot_gives_a_figure(fit):
    assert isinstance(fit.plot(), Figure)


# Files ------------------------------------------------------------------------------------


def test_save_and_load_are_an_exact_round_trip(fit, tmp_path):
    path = tmp_path / "fit.nc"
    fit.save(path)
    loaded = Fit.load(path)
    xr.testing.assert_identical(loaded.tree, fit.tree)
    assert loaded.cell == fit.cell
    assert loaded.protocol == fit.protocol
    assert repr(loaded) == repr(fit)
    assert [entry.name for entry in tmp_path.iterdir()] == ["fit.nc"]
    for node, other in zip(fit.tree.subtree, loaded.tree.subtree, strict=True):
        for name, variable in node.variables.items():
            assert variable.dtype.kind == other.variables[name].dtype.kind, (node.path, name)


def test_a_loaded_fit_can_be_saved_over_its_own_file(fit, tmp_path):
    path = tmp_path / "fit.nc"
    fit.save(path)
    Fit.load(path).save(path)
    assert Fit.load(path).values == fit.values


def test_a_failed_save_keeps_the_old_file(fit, tmp_path, monkeypatch):
    path = tmp_path / "fit.nc"
    fit.save(path)
    before = path.read_bytes()

    def broken(*_):
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", broken)
    with pytest.raises(InputError, match="disk full"):
        fit.save(path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["fit.nc"]


def test_infinite_and_missing_numbers_survive(make_fit, record, tmp_path):
    cycles = record["cycles"].to_dataset()
    values = cycles["discharge_capacity"].values.copy()
    values[5] = math.nan
    changed = record.copy()
    changed["cycles"] = xr.DataTree(cycles.assign(discharge_capacity=("point", values)))
    fit = make_fit(changed, observables=["discharge_capacity"])
    assert np.isinf(fit.parameters["interval_high"].values[2])
    fit.save(tmp_path / "fit.nc")
    xr.testing.assert_identical(Fit.load(tmp_path / "fit.nc").tree, fit.tree)


def test_a_file_whose_cell_was_changed_is_refused(fit, tmp_path):
    tree = fit.to_datatree()
    content = json.loads(tree.attrs["cell"])
    content["model"] = "SPMe"
    tree.attrs["cell"] = json.dumps(content)
    Fit(fit.cell, fit.protocol, tree).save(tmp_path / "fit.nc")
    with pytest.raises(InputError, match="not the one that was fitted"):
        Fit.load(tmp_path / "fit.nc")


def test_files_that_are_no_fit_are_refused(tmp_path, record):
    with pytest.raises(InputError, match="no file"):
        Fit.load(tmp_path / "missing.nc")
    record.to_netcdf(tmp_path / "record.nc", engine="h5netcdf")
    with pytest.raises(InputError, match="schema is 'cellmodels-record/1'"):
        Fit.load(tmp_path / "record.nc")
    (tmp_path / "text.nc").write_text("no netCDF")
    with pytest.raises(InputError, match="not a netCDF file"):
        Fit.load(tmp_path / "text.nc")
