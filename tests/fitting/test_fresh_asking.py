"""A fit of a fresh cell asked about its uncertainty, on a trace made by PyBaMM."""

from __future__ import annotations

import doctest
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pybamm
import pytest
import scipy.optimize
import xarray as xr
from matplotlib.figure import Figure

import cellmodels as cm
from cellmodels.errors import InputError
from cellmodels.fitting.trace import TraceFit

EPS = "Negative electrode active material volume fraction"
RESISTANCE = "Contact resistance [Ohm]"
TRUTH = {EPS: 0.72, RESISTANCE: 0.01}
BOUNDS = {EPS: (0.6, 0.9), RESISTANCE: (0.0, 0.05)}
LENGTHS, CURRENTS = (2700, 900), (5.0, 0.0)
STEPS = ["Discharge at 1C for 2700 seconds", "Rest for 15 minutes"]
TIMES = np.arange(30.0, 3600.0, 60.0)
NOISE = 2e-3


@pytest.fixture(scope="module")
def cell():
    return cm.Cell("lithium_ion", parameters="Chen2020", model="SPM")


def pybamm_trace(cell):
    """IDAKLU's voltage of a cell with the true values, step by step."""
    cell = cell.with_parameters({RESISTANCE: TRUTH[RESISTANCE]})
    parameters = cell.parameter_values()
    parameters.update({**TRUTH, "Current function [A]": "[input]"})
    model = cell.pybamm_model()
    model.events = []
    solver = pybamm.IDAKLUSolver(rtol=1e-8, atol=1e-8)
    simulation = pybamm.Simulation(
        model, parameter_values=parameters, solver=solver, var_pts=cell.var_pts()
    )
    out, begin = [], 0.0
    for length, current in zip(LENGTHS, CURRENTS, strict=True):
        own = TIMES[(begin < TIMES) & (begin + length >= TIMES)] - begin
        at = np.unique(np.concatenate([[0.0], own, [length]]))
        inputs = {"Current function [A]": current}
        simulation.step(length, t_interp=at, inputs=inputs, save=False)
        found = simulation.solution["Voltage [V]"].data[-len(at) :]
        out.append(found[np.searchsorted(at, own)])
        begin += length
    return np.concatenate(out)


@pytest.fixture(scope="module")
def trace(cell):
    noise = NOISE * np.random.default_rng(4).standard_normal(TIMES.size)
    return cm.VoltageTrace(TIMES, pybamm_trace(cell) + noise, STEPS, noise=NOISE)


@pytest.fixture(scope="module")
def fit(cell, trace):
    return cm.fit_fresh(cell, trace, [EPS, RESISTANCE], bounds=BOUNDS, progress=False)


@pytest.fixture(scope="module")
def profile(fit):
    return fit.profile(progress=False)


def brute_force(problem, best, held, threshold):
    """Ends of the interval of one of two parameters, the other minimised over at every trial."""

    def lowest(at):
        def cost(other):
            scaled = np.array([at, other]) if held == 0 else np.array([other, at])
            return problem.evaluate(scaled).cost

        middle = best.scaled[1 - held]
        found = scipy.optimize.minimize_scalar(
            cost, bounds=(middle - 0.5, middle + 0.5), method="bounded", options={"xatol": 1e-6}
        )
        return found.fun

    at = best.scaled[held]
    width = 6.0 * np.sqrt(np.linalg.inv(best.slopes.T @ best.slopes)[held, held])
    ends = [
        scipy.optimize.brentq(
            lambda z: 2.0 * (lowest(z) - best.cost) - threshold, at, far, xtol=1e-3 * width
        )
        for far in (at - width, at + width)
    ]
    scaled = np.array([best.scaled, best.scaled])
    scaled[:, held] = ends
    return problem.scaling.to_values(scaled)[:, held]


def test_a_profile_agrees_with_brute_force(fit, profile):
    assert fit.converged and fit.table["identifiable"].all()
    problem = fit.problem()
    best = problem.evaluate_optimum(list(fit.values.values()))
    variance = profile["variance"].values
    for k in range(2):
        threshold = profile.attrs["threshold"] * variance[k]
        low, high = brute_force(problem, best, k, threshold)
        tolerance = 0.01 * (high - low)
        assert float(profile["interval_low"][k]) == pytest.approx(low, abs=tolerance)
        assert float(profile["interval_high"][k]) == pytest.approx(high, abs=tolerance)
    for name, truth in TRUTH.items():
        row = profile.sel(parameter=name)
        assert float(row["interval_low"]) < truth < float(row["interval_high"])


def test_a_file_keeps_the_profile_and_the_table_is_the_profiles(fit, profile, tmp_path):
    carried = fit.with_uncertainty(profile)
    assert isinstance(carried, cm.FreshFit) and fit.uncertainty == {}
    carried.save(tmp_path / "fit.nc")
    again = cm.FreshFit.load(tmp_path / "fit.nc")
    for each in (carried, again):
        assert each.parameters["profiled"].all()
        np.testing.assert_array_equal(each.table["95 % low"], profile["interval_low"])
        np.testing.assert_array_equal(each.table["95 % high"], profile["interval_high"])
        xr.testing.assert_allclose(each.uncertainty["profile"], profile)
        assert isinstance(each.plot_profiles(), Figure)
        assert isinstance(each.plot_pairs(), Figure)
    assert again.cell == fit.cell and len(again.experiments) == 1
    better = profile.assign(better=("other", profile["optimum"].values))
    better.attrs["better_deviance"] = -3.0
    assert "met a better optimum" in " ".join(fit.with_uncertainty(better).notes)


def test_workers_of_processes_build_the_experiments_themselves(fit, profile, tmp_path):
    """A loaded fit, and processes that know nothing of this one: the same refits and profiles."""
    fit.save(tmp_path / "fit.nc")
    loaded = cm.FreshFit.load(tmp_path / "fit.nc")
    here = fit.bootstrap(6, seed=3, progress=False)
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as executor:
        there = loaded.bootstrap(6, seed=3, executor=executor, progress=False)
        profiled = loaded.profile(executor=executor, progress=False)
    xr.testing.assert_allclose(profiled, profile, rtol=1e-9)
    assert set(there["status"].values) == {"converged"}
    np.testing.assert_allclose(there["values"], here["values"], rtol=1e-9)
    # as far as so few refits tell
    ratio = here["scaled_standard_error"] / np.sqrt(np.diag(fit.covariance))
    assert ((ratio > 0.3) & (ratio < 2.0)).all()
    assert "bootstrap" in fit.with_uncertainty(here).uncertainty


def test_a_checkpoint_knows_other_experiments(cell, trace, fit, tmp_path):
    """The same data under another start are another problem."""
    file = tmp_path / "refits.json"
    fit.bootstrap(2, checkpoint=file, progress=False)
    again = fit.bootstrap(2, checkpoint=file, progress=False)
    assert again.sizes["draw"] == 2
    warm = cm.VoltageTrace(TIMES, trace.voltage, STEPS, noise=NOISE, ambient=299.15)
    other = cm.FreshFit(fit.cell, (warm,), fit.tree)
    with pytest.raises(InputError, match="belongs to another fit"):
        other.bootstrap(2, checkpoint=file, progress=False)


def test_samples_go_to_arviz(fit):
    pytest.importorskip("emcee")
    carried = fit.with_uncertainty(fit.sample(20, progress=False))
    tree = carried.to_arviz()
    assert set(tree["posterior"].data_vars) == {EPS, RESISTANCE}
    np.testing.assert_array_equal(tree["observed_data"]["traces_voltage"], fit.prediction["data"])
    assert any(note.startswith("Samples of the posterior: not") for note in carried.notes)


def test_fits_from_many_starts_end_at_the_same_optimum(cell, trace, fit, tmp_path):
    given = {"bounds": BOUNDS, "starts": 3, "seed": 1, "progress": False}
    file = tmp_path / "fit.json"
    many = cm.fit_fresh(cell, trace, [EPS, RESISTANCE], **given, checkpoint=file)
    assert many.converged
    np.testing.assert_allclose(list(many.values.values()), list(fit.values.values()), rtol=1e-3)
    assert many.optima.sizes == {"optimum": 1, "parameter": 2, "start": 3}
    assert int(many.optima["count"][0]) == 3
    np.testing.assert_array_equal(many.tree["points"]["start"], fit.tree["points"]["start"])
    assert fit.optima.sizes == {}
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as executor:
        there = cm.fit_fresh(cell, trace, [EPS, RESISTANCE], **given, executor=executor)
    np.testing.assert_allclose(there.optima["values"], many.optima["values"], rtol=1e-9)
    again = cm.fit_fresh(cell, trace, [EPS, RESISTANCE], **given, checkpoint=file, resume=True)
    assert again.values == pytest.approx(many.values)
    with pytest.raises(InputError, match="name its checkpoint"):
        cm.fit_fresh(cell, trace, [EPS, RESISTANCE], **given, resume=True)
    with pytest.raises(InputError, match="starts is 0"):
        cm.fit_fresh(cell, trace, [EPS], starts=0, progress=False)


def test_fit_trace_takes_many_starts_and_stays_a_trace_fit(cell, trace):
    fit = cm.fit_trace(
        cell, TIMES, trace.voltage, STEPS, [EPS, RESISTANCE], noise=NOISE, bounds=BOUNDS, starts=2,
        progress=False,
    )  # fmt: skip
    assert isinstance(fit, TraceFit) and fit.optima.sizes["start"] == 2
    assert isinstance(fit.with_uncertainty(fit.bootstrap(2, progress=False)), TraceFit)
    assert [str(step) for step in fit.steps] == [str(step) for step in fit.experiments[0].steps]


def test_what_is_sloppy_is_said(cell, trace):
    """Of two rates of reaction such a trace tells one."""
    factors = [cm.scaled(f"{side} electrode exchange-current density [A.m-2]")
               for side in ("Negative", "Positive")]  # fmt: skip
    fit = cm.fit_fresh(cell, trace, [EPS, *factors], progress=False)
    assert fit.directions.sizes["direction"] == 3
    (said,) = fit.sloppy
    assert said.startswith(f"{factors[1].name} is not determined") and said in fit.notes


def test_the_example_of_the_docstring_runs(cell, trace):
    time = np.linspace(60.0, 35000.0, 60)
    steps = "Discharge at 0.1C for 35600 seconds"
    planned = cm.VoltageTrace(time, np.linspace(4.17, 2.9, 60), steps, rest_voltage=4.178)
    voltage = cm.simulate_experiments(cell, planned)["traces"]["voltage_simulated"].values
    fast = cm.VoltageTrace(TIMES, trace.voltage, STEPS, noise=NOISE, name="1C")
    known = {"cm": cm, "cell": cell, "time": time, "voltage": voltage, "fast": fast}
    source = cm.fit_fresh.__doc__.replace("# doctest: +SKIP", "")
    example = doctest.DocTestParser().get_doctest(source, known, "fit_fresh", None, 0)
    assert len(example.examples) == 3
    said = []
    runner = doctest.DocTestRunner()
    runner.run(example, out=said.append, clear_globs=False)
    assert runner.summarize(verbose=False).failed == 0, "".join(said)
    assert set(example.globs["fit"].curves.children) == {"0.1C", "1C"}
