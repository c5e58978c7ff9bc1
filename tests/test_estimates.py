"""The word "estimate": which parameters it is about, and that it is shown."""

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

import cellmodels as cm
from cellmodels import cli
from cellmodels.estimates import as_attribute, names_in, sentence
from cellmodels.fitting.fit import fit_with, free_parameters
from cellmodels.fitting.problem import Problem
from cellmodels.fitting.residuals import observe
from cellmodels.observations import Outcome, Prediction
from cellmodels.plotting import mark, plot_fit, plot_life, plot_trace_fit

DEAD = "Dead zinc fraction"
HALF_LOADING = "Complexing agent half-loading bromine concentration [mol.m-3]"
CONDUCTIVITY = "Electrolyte conductivity at 25 degC [S.m-1]"
SOLVENT = "SEI solvent diffusivity [m2.s-1]"
CYCLE = ["Charge at 20 mA/cm2 for 30 minutes", "Discharge at 20 mA/cm2 until 0.8 V"]


@pytest.fixture(scope="module")
def cell():
    return cm.Cell("zinc_bromine", mechanisms=[cm.DeadZinc(), cm.SeparatorFouling()])


@pytest.fixture(scope="module")
def life(cell):
    checkup = cm.Checkup((cm.Test("top", CYCLE[:1], "aqueous_halogen"),))
    return cm.simulate(cell, cm.Protocol(CYCLE, every={3: checkup}), cycles=3)


def title_of(figure):
    figure.draw_without_rendering()
    return " ".join(figure.get_suptitle().split())


# --- which -------------------------------------------------------------------------------------


def test_estimates_are_those_that_the_equations_read(cell):
    statuses = {name: p.status for name, p in cell.parameters.parameters.items()}
    assert all(statuses[name] == "estimate" for name in cell.estimates)
    assert {DEAD, HALF_LOADING, "Positive electrode porosity"} <= set(cell.estimates)
    assert len(set(cell.estimates)) == len(cell.estimates)
    # of a mechanism that this cell lacks, and of a law of activities that it does not use
    for other in (
        "Carbon oxidation rate [m3.mol-1.s-1]",
        "Zinc bromide partial molar volume [m3.mol-1]",
    ):
        assert statuses[other] == "estimate" and other not in cell.estimates
    pitzer = cm.Cell("zinc_bromine", mechanisms=[cm.ActivityCoefficients("Pitzer")])
    assert "Zinc bromide partial molar volume [m3.mol-1]" in pitzer.estimates


def test_what_ages_the_cell_comes_first(cell):
    assert cell.estimates[:2] == (DEAD, "Separator fouling rate [m2.A-1.h-1]")


@pytest.mark.parametrize("status", ["fitted", "measured", "literature"])
def test_a_number_that_is_known_no_longer_counts(cell, status):
    known = cell.parameters.replace({DEAD: 0.002}, source="fit to cell 17", status=status)
    after = cm.Cell("zinc_bromine", parameters=known, mechanisms=cell.mechanisms)
    assert set(cell.estimates) - set(after.estimates) == {DEAD}
    assert cell.with_parameters({DEAD: 0.002}, status=status).estimates == after.estimates


def test_a_number_that_is_merely_changed_is_no_better_known(cell):
    assert cell.with_parameters({DEAD: 0.002}).estimates == cell.estimates


def test_what_a_formula_quotes_counts(cell):
    assert CONDUCTIVITY in cell.estimates  # which the chemistry's law alone reads
    measured = cell.with_parameters({CONDUCTIVITY: 20.0}, status="measured")
    assert set(cell.estimates) - set(measured.estimates) == {CONDUCTIVITY}


def test_lithium_ion_cells_have_them_too():
    fresh = cm.Cell("lithium_ion", parameters="lfp_graphite", model="SPM")
    assert not any(name.startswith("SEI") for name in fresh.estimates)
    ageing = cm.Cell("lithium_ion", parameters="lfp_graphite", model="SPM", mechanisms=["SEI"])
    assert SOLVENT in ageing.estimates
    assert cm.Cell("lithium_ion", parameters="OKane2022", model="SPM").estimates == ()


# --- the sentence ------------------------------------------------------------------------------


def test_the_sentence_names_a_few_without_units():
    assert sentence(()) == ""
    one = sentence([HALF_LOADING])
    assert "1 parameter is an estimate" in one
    assert "(Complexing agent half-loading bromine concentration)" in one
    many = sentence([HALF_LOADING, DEAD, "c [m]", "d", "e"])
    assert "5 parameters are estimates" in many and "c and 2 more)" in many


def test_names_survive_an_attribute():
    names = (HALF_LOADING, DEAD)
    assert names_in({"estimates": as_attribute(names)}) == names
    assert names_in({}) == ()


# --- lives -------------------------------------------------------------------------------------


def test_a_life_says_it_in_its_attributes_and_on_its_figure(cell, life, tmp_path):
    assert names_in(life.attrs) == cell.estimates
    shown = title_of(plot_life(life))
    assert shown.startswith("SYNTHETIC DATA")
    assert sentence(cell.estimates) in shown
    cm.write_record(life, tmp_path / "life.nc")
    assert names_in(cm.read_record(tmp_path / "life.nc").attrs) == cell.estimates


def test_a_figure_of_measured_data_says_nothing(life):
    measured = life.copy()
    measured.attrs = {}
    assert title_of(plot_life(measured)) == ""


def test_a_figure_of_several_names_each_once(life):
    figure = plot_life(life)
    known = life.copy()
    known.attrs = {"estimates": as_attribute(["Something else [m]"])}
    mark(figure, life, life, known)
    assert f"{len(names_in(life.attrs)) + 1} parameters are estimates" in title_of(figure)
    mark(figure, estimates=["One", "Two [m]"])
    assert title_of(figure).startswith("ESTIMATE: 2 parameters")


def test_the_command_line_says_it(tmp_path):
    steps = json.dumps(CYCLE)
    file = tmp_path / "run.toml"
    file.write_text(
        f'[cell]\nchemistry = "zinc_bromine"\n[protocol]\ncycle = {steps}\n[simulate]\ncycles = 2\n'
    )
    done = CliRunner().invoke(cli.app, ["simulate", str(file), "--no-progress"])
    assert done.exit_code == 0, done.output
    assert "ESTIMATE: " in done.stdout
    table = Path(tmp_path / "run-results" / "life-cycles.csv")
    assert table.read_text(encoding="utf8").startswith("# ESTIMATE: ")
    assert cm.read_record(table)["cycles"].sizes["point"] == 2


def test_the_command_line_shows_them_of_a_set():
    shown = CliRunner().invoke(cli.app, ["parameters", "show", "zinc_bromine_static"]).stdout
    count = len(cm.ParameterSet.load("zinc_bromine_static").estimates)
    assert f"ESTIMATE: {count} parameters are estimates" in shown
    listed = CliRunner().invoke(cli.app, ["parameters", "list"]).stdout
    (line,) = [line for line in listed.splitlines() if "zinc_bromine_static" in line]
    assert f"  {count} of " in line


# --- fits --------------------------------------------------------------------------------------


def fitted(cell, names, record, slopes):
    """A fit with a predictor that is linear in the logarithms of the parameters."""
    start = np.array([cell.value(name) for name in names])

    def predict(values, points, jacobian=True, tolerance=None, state=None):
        at = np.concatenate([s.at for s in points])
        effect = np.asarray(slopes) * at[:, None]
        value = 2.0 - effect @ np.log(np.asarray(values) / start)
        return Prediction(value, -effect / values, Outcome(True, "completed"), error=1e-9)

    protocol = cm.Protocol(CYCLE)
    scaling = free_parameters(cell, names, start={name: 1.1 * cell.value(name) for name in names})
    problem = Problem(predict, observe(record), scaling)
    return fit_with(problem, cell, record, protocol, progress=False)


@pytest.fixture(scope="module")
def fit(cell):
    n = np.arange(1.0, 31.0)
    noise = 1e-3 * np.random.default_rng(0).standard_normal(n.size)
    record = cm.build_record(
        cycles={"cycle": n, "discharge_capacity": 2.0 + noise}, title="made up"
    )
    return fitted(cell, [DEAD, HALF_LOADING], record, [0.01, 0.0])


def test_a_fit_tells_what_is_still_an_estimate(cell, fit):
    assert fit.cell.parameters.parameters[DEAD].status == "fitted"
    assert set(cell.estimates) - set(fit.estimates) == {DEAD}
    assert fit.estimates == fit.cell.estimates


def test_a_free_parameter_that_the_data_do_not_determine_stays_an_estimate(fit):
    assert not fit.table.loc[HALF_LOADING, "identifiable"]
    assert HALF_LOADING in fit.estimates


def test_a_fit_says_it_in_text_page_figure_and_file(fit, tmp_path):
    said = sentence(fit.estimates)
    assert said and DEAD not in said
    for shown in (repr(fit), fit._repr_html_(), title_of(plot_fit(fit.to_datatree()))):
        assert said in shown
    fit.save(tmp_path / "fit.nc")
    assert cm.Fit.load(tmp_path / "fit.nc").estimates == fit.estimates


def test_a_fit_without_estimates_says_nothing(fit):
    tree = fit.to_datatree()
    tree.attrs["estimates"] = as_attribute(())
    tree["record"].attrs["estimates"] = as_attribute([DEAD])  # made by a cell of which it was one
    assert title_of(plot_fit(tree)) == ""
    assert "ESTIMATE" not in repr(cm.Fit(fit.cell, fit.protocol, tree))


def test_a_figure_of_a_trace_says_it(fit):
    tree = fit.to_datatree()
    points = tree["points"].to_dataset()
    tree["points"] = xr.DataTree(points.assign(residual=points["prediction"] - points["data"]))
    assert sentence(fit.estimates) in title_of(plot_trace_fit(tree))
