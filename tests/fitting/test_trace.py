"""Fits of a fresh cell to a voltage trace: against PyBaMM, the truth, and wrong input."""

import matplotlib.figure
import numpy as np
import pybamm
import pytest
import xarray as xr

import cellmodels as cm
from cellmodels.errors import InputError
from cellmodels.experiments.simulator import cuts_of
from cellmodels.fitting.trace import TraceFit, trace_problem

NAMES = (
    "Negative electrode active material volume fraction",
    "Positive electrode active material volume fraction",
    "Negative particle diffusivity [m2.s-1]",
    "Positive particle diffusivity [m2.s-1]",
)
TRUTH = np.array([0.75, 0.665, 3.3e-14, 4e-15])
BOUNDS = dict(zip(NAMES, [(0.5, 0.9), (0.45, 0.85), (3e-15, 3e-13), (5e-16, 4e-14)], strict=True))
#: a little off, and far off: the negative particle empties before the discharge ends
NEAR = np.array([0.70, 0.615, 1.65e-14, 8e-15])
DEEP = np.array([0.62, 0.55, 1.1e-14, 1.2e-14])
LENGTHS, CURRENTS = (3400, 600, 2400, 600), (5.0, 0.0, -5.0, 0.0)
STEPS = [
    "Discharge at 1C for 3400 seconds",
    "Rest for 10 minutes",
    "Charge at 1C for 40 minutes",
    "Rest for 10 minutes",
]
TIMES = np.arange(30.0, 7000.0, 60.0)
SMALL_DFN = {"x_n": 5, "x_s": 3, "x_p": 5, "r_n": 8, "r_p": 8}


def cuts(problem, prediction):
    """Steps that ended early."""
    return [cut for _, cut in cuts_of(prediction, problem.simulator.experiments)]


def cell_of(model, **changes):
    mesh = SMALL_DFN if model == "DFN" else None
    return cm.Cell("lithium_ion", parameters="Chen2020", model=model, mesh=mesh, **changes)


def pybamm_voltage(cell, values, times=TIMES):
    """PyBaMM's IDAKLU at tight tolerance, step by step."""
    parameters = cell.parameter_values()
    parameters.update(dict(zip(NAMES, values, strict=True)))
    parameters["Current function [A]"] = "[input]"
    model = cell.pybamm_model()
    model.events = []
    simulation = pybamm.Simulation(
        model,
        parameter_values=parameters,
        solver=pybamm.IDAKLUSolver(rtol=1e-9, atol=1e-9),
        var_pts=cell.var_pts(),
    )
    out, begin = [], 0.0
    for length, current in zip(LENGTHS, CURRENTS, strict=True):
        own = times[(times > begin) & (times <= begin + length)] - begin
        at = np.unique(np.concatenate([[0.0], own, [length]]))
        inputs = {"Current function [A]": current}
        simulation.step(length, t_interp=at, inputs=inputs, save=False)
        found = simulation.solution["Voltage [V]"].data[-len(at) :]
        out.append(found[np.searchsorted(at, own)])
        begin += length
    return np.concatenate(out)


@pytest.fixture(scope="module", params=["SPM", "SPMe", "DFN"])
def model(request):
    """A cell, its true voltage, and a compiled problem."""
    cell = cell_of(request.param)
    voltage = pybamm_voltage(cell, TRUTH)
    return cell, voltage, trace_problem(cell, TIMES, voltage, STEPS, NAMES, noise=1e-3)


@pytest.fixture(scope="module")
def noisy():
    """The trace of an SPM with noise of 1 mV."""
    clean = pybamm_voltage(cell_of("SPM"), TRUTH)
    return clean + 1e-3 * np.random.default_rng(1).standard_normal(len(clean))


@pytest.fixture(scope="module")
def deep(noisy):
    start = dict(zip(NAMES, DEEP, strict=True))
    return trace_problem(
        cell_of("SPM"), TIMES, noisy, STEPS, NAMES, noise=1e-3, start=start, bounds=BOUNDS
    )


def test_voltages_are_those_of_pybamm(model):
    _, voltage, problem = model
    found = problem.simulator.predict(TRUTH)
    assert found.outcome.ok
    assert np.abs(found.values - voltage).max() < 1e-4
    assert np.sqrt(np.mean((found.values - voltage) ** 2)) < 2e-5


def test_start_and_voltages_follow_the_parameters_as_in_pybamm(model):
    """With other active material the concentrations at the start stay, as PyBaMM's do."""
    cell, _, problem = model
    other = TRUTH * [1.05, 1.1, 2.0, 0.7]
    near = problem.simulator.predict(TRUTH)
    found = problem.simulator.predict(other, state=near.state)
    assert np.abs(found.values - pybamm_voltage(cell, other)).max() < 1e-4


def test_derivatives_agree_with_central_differences_of_both(model):
    cell, _, problem = model
    found = problem.simulator.predict(TRUTH)
    for k, step in enumerate([2e-3, 2e-3, 2e-2, 2e-2]):
        shift = np.ones(4)
        shift[k] += step
        up, down = (
            problem.simulator.predict(v, state=found.state).values
            for v in (TRUTH * shift, TRUTH * (2.0 - shift))
        )
        own = (up - down) / (2.0 * step)
        theirs = pybamm_voltage(cell, TRUTH * shift) - pybamm_voltage(cell, TRUTH * (2.0 - shift))
        exact = found.jacobian[:, k] * TRUTH[k]
        largest = np.abs(exact).max()
        assert np.abs(exact - own).max() < 1e-3 * largest
        assert np.abs(exact - theirs / (2.0 * step)).max() < 3e-3 * largest


def test_round_trip(noisy, tmp_path):
    fit = cm.fit_trace(
        cell_of("SPM"),
        TIMES,
        noisy,
        STEPS,
        NAMES,
        start=dict(zip(NAMES, NEAR, strict=True)),
        bounds=BOUNDS,
        progress=False,
    )
    assert isinstance(fit, TraceFit) and fit.converged
    table = fit.table
    assert table["identifiable"].all()
    deviation = (table["value"] - TRUTH) / table["standard error"]
    assert np.abs(deviation).max() < 3.0
    assert 0.8e-3 < fit.rms < 1.2e-3
    assert len(fit.trials["trial"]) < 12
    assert fit.cell.value(NAMES[0]) == pytest.approx(0.75, rel=1e-3)
    assert isinstance(fit.trace, xr.Dataset)
    assert fit.trace["voltage"].attrs["units"] == "V"
    assert np.allclose(fit.trace["residual"], fit.trace["fitted"] - fit.trace["voltage"])
    assert isinstance(fit.plot(), matplotlib.figure.Figure)
    assert "Positive particle diffusivity" in repr(fit)
    fit.to_datatree().to_netcdf(tmp_path / "fit.nc", engine="h5netcdf")
    assert xr.open_datatree(tmp_path / "fit.nc", engine="h5netcdf").attrs["status"] == "converged"


def test_a_start_at_which_a_particle_empties_finds_its_way_out(deep):
    first = deep.simulator.predict(DEEP)
    assert first.outcome.ok and cuts(deep, first)[0].step == 0
    optimum = deep.optimum()
    assert optimum.status == "converged"
    assert cuts(deep, optimum.best.prediction) == []
    assert np.abs(optimum.best.values / TRUTH - 1.0).max() < 0.05


def test_derivatives_where_a_particle_empties_agree_with_central_differences(deep):
    found = deep.simulator.predict(DEEP)
    for k in range(4):
        shift = np.ones(4)
        shift[k] += 1e-5
        up, down = (
            deep.simulator.predict(v, state=found.state).values
            for v in (DEEP * shift, DEEP * (2.0 - shift))
        )
        exact = found.jacobian[:, k] * DEEP[k]
        assert np.allclose((up - down) / 2e-5, exact, rtol=1e-4, atol=1e-4)


def test_a_fit_that_stays_where_a_particle_empties_is_not_converged(noisy):
    """Its bounds keep it there."""
    near_start = {n: (0.98 * v, 1.02 * v) for n, v in zip(NAMES, DEEP, strict=True)}
    fit = cm.fit_trace(
        cell_of("SPM"),
        TIMES,
        noisy,
        STEPS,
        NAMES,
        noise=1e-3,
        start=dict(zip(NAMES, DEEP, strict=True)),
        bounds=near_start,
        progress=False,
    )
    assert fit.status == "blocked" and not fit.converged
    assert "step 1 ends after" in fit.tree.attrs["message"]
    assert any("times the noise" in note for note in fit.notes)


def test_a_step_that_leaves_the_limits_at_once_has_derivatives(noisy):
    """A series resistance far too large takes the voltage out of the limits at the start."""
    name = "Contact resistance [Ohm]"
    problem = trace_problem(
        cell_of("SPM"), TIMES, noisy, STEPS, [name], noise=1e-3, start={name: 0.4},
        bounds={name: (0.0, 1.0)},
    )  # fmt: skip
    first = problem.simulator.predict(np.array([0.4]))
    assert [cut.time for cut in cuts(problem, first)] == [0.0, 0.0]
    up = problem.simulator.predict(np.array([0.401]), state=first.state)
    assert np.allclose((up.values - first.values) / 1e-3, first.jacobian[:, 0], atol=1e-4)
    optimum = problem.optimum()
    assert optimum.converged and optimum.best.values[0] < 0.02


def test_free_ends_and_a_held_voltage():
    cell, steps = cell_of("SPM"), ["Discharge at 1C until 3.2 V", "Charge at 1C until 4.0 V"]
    steps += ["Hold at 4.0 V for 10 minutes"]
    times = np.arange(10.0, 6000.0, 50.0)
    made = trace_problem(cell, times, np.full(len(times), 3.7), steps, NAMES, noise=1e-3)
    voltage = made.simulator.predict(TRUTH).values
    assert voltage.min() > 3.19 and voltage[-1] == pytest.approx(4.0, abs=1e-7)
    start = {NAMES[0]: 0.745, NAMES[3]: 4.2e-15}
    fit = cm.fit_trace(
        cell.with_parameters(dict(zip(NAMES, TRUTH, strict=True))),
        times, voltage, steps, [NAMES[0], NAMES[3]], noise=1e-3, start=start, progress=False,
    )  # fmt: skip
    assert fit.table["value"].to_numpy() == pytest.approx(TRUTH[[0, 3]], rel=1e-4)


def test_a_state_of_charge_becomes_concentrations(noisy):
    """The fitted cell starts where the fit did, although its active material is another."""
    cell = cell_of("SPM", initial_soc=0.9)
    problem = trace_problem(cell, TIMES, noisy, STEPS, NAMES, noise=1e-3)
    kept = "Initial concentration in negative electrode [mol.m-3]"
    assert problem.cell.initial_soc is None
    assert problem.cell.value(kept) == pytest.approx(cell.value(kept), rel=1e-12)
    assert problem.cell.value(kept) != pytest.approx(cell_of("SPM").value(kept), rel=1e-3)


def test_the_fitted_cell_gives_the_fitted_trace():
    """Of an ageing model from a state of charge, whose concentrations would else change."""
    cell = cm.Cell("lithium_ion", model="SPMe", mechanisms=["SEI"], initial_soc=1.0)
    steps, times = ["Discharge at C/2 for 1 hour", "Rest for 10 minutes"], np.arange(10, 4200, 60)
    name = "Positive electrode active material volume fraction"
    made = trace_problem(cell, times, np.full(len(times), 3.7), steps, [name], noise=1e-3)
    voltage = made.simulator.predict(np.array([0.97 * cell.value(name)])).values
    fit = cm.fit_trace(cell, times, voltage, steps, [name], noise=1e-3, progress=False)
    assert fit.table["value"].item() == pytest.approx(0.97 * cell.value(name), rel=1e-4)
    again = trace_problem(fit.cell, times, voltage, steps, [name], noise=1e-3)
    repeated = again.simulator.predict(again.scaling.start).values
    assert np.allclose(repeated, fit.trace["fitted"], atol=1e-4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"time": TIMES[::-1]}, "times of a trace ascend, but .* follows"),
        ({"time": np.where(TIMES == 90.0, np.nan, TIMES)}, "time of a trace is nan at point 1"),
        ({"time": TIMES[:-1]}, "has 115 times, but 116 voltages|has 116 times, but 117 voltages"),
        ({"time": TIMES - 100.0}, "begins at -70 s"),
        ({"time": TIMES[:, None]}, "one-dimensional"),
        ({"time": ["a"] * len(TIMES)}, "array of numbers"),
        ({"time": TIMES + 100.0}, "ends at .* s, but its steps end after at most 7000 s"),
        ({"voltage": np.full(len(TIMES), np.inf)}, "voltage of a trace is inf at point 0"),
        ({"steps": ["Discharge at 1C"]}, "Step 1 of the trace"),
        ({"free": ["Negative particle diffusivity [m2/s]"]}, "Did you mean 'Negative particle d"),
        ({"free": [NAMES[0], NAMES[0]]}, "named twice"),
        ({"free": []}, "at least one parameter"),
        ({"free": ["Nominal cell capacity [A.h]"]}, "defines the currents"),
        ({"free": ["Negative electrode thickness [m]"]}, "built with its value"),
        ({"free": ["Lower voltage cut-off [V]"]}, "does not act on the voltage"),
        ({"free": ["Negative electrode OCP [V]"]}, "is a function"),
        ({"noise": 0.0}, "must be positive"),
        ({"noise": [1e-3, 1e-3]}, "noise has the shape"),
        ({"start": {"x": 1.0}}, "which is not fitted"),
        ({"bounds": {NAMES[0]: (0.8, 0.9)}}, "lies outside its bounds"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_wrong_input_is_refused_before_any_simulation(changes, message):
    given = {
        "time": TIMES,
        "voltage": np.full(len(TIMES), 3.7),
        "steps": STEPS,
        "free": list(NAMES),
    }
    with pytest.raises(InputError, match=message):
        cm.fit_trace(cell_of("SPM"), **(given | changes), progress=False)


def test_noise_is_estimated_from_neighbours(noisy):
    problem = trace_problem(cell_of("SPM"), TIMES, noisy, STEPS, NAMES[:1])
    assert problem.observations.std[0] == pytest.approx(1e-3, rel=0.5)
    assert problem.observations.variables[0].noise == "estimated"
