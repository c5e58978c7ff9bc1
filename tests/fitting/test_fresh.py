"""Joint fits of a fresh cell: truths of PyBaMM found within their intervals, files, wrong input."""

import json

import matplotlib.figure
import numpy as np
import pybamm
import pytest
import xarray as xr

import cellmodels as cm
from cellmodels.errors import InputError
from cellmodels.fitting.fresh import fresh_problem
from cellmodels.trace import with_its_own_start

EPS = "Negative electrode active material volume fraction"
LITHIUM = "Initial concentration in negative electrode [mol.m-3]"
COOLING = "Total heat transfer coefficient [W.m-2.K-1]"
KINETICS = cm.scaled("Positive electrode exchange-current density [A.m-2]")
SIDES = ("negative", "positive")
TRUE = {EPS: 0.72, LITHIUM: 29000.0, COOLING: 14.0, KINETICS.name: 0.6}
NOISE, KELVIN = 1e-3, 0.1


def measured(cell, values, voltage, kelvin, steps, times):
    """PyBaMM's voltage and temperature from rest at a voltage, step by step.

    Steps are pairs of current [A] and duration [s].
    """
    parameters = cell.parameter_values()
    law = parameters["Positive electrode exchange-current density [A.m-2]"]
    factor = values[KINETICS.name]
    parameters.update({k: v for k, v in values.items() if k != KINETICS.name})
    if factor != 1.0:
        parameters["Positive electrode exchange-current density [A.m-2]"] = (
            lambda c_e, c_s_surf, c_s_max, T: factor * law(c_e, c_s_surf, c_s_max, T)
        )
    parameters.update({"Ambient temperature [K]": kelvin, "Initial temperature [K]": kelvin})
    if voltage is not None:
        parameters.set_initial_state(f"{voltage} V")
    parameters["Current function [A]"] = "[input]"
    model = cell.pybamm_model()
    model.events = []
    solver = pybamm.IDAKLUSolver(rtol=1e-8, atol=1e-8)
    simulation = pybamm.Simulation(
        model, parameter_values=parameters, solver=solver, var_pts=cell.var_pts()
    )
    begin, volts, temperatures = 0.0, [], []
    for current, length in steps:
        own = times[(times > begin) & (times <= begin + length)] - begin
        at = np.unique(np.concatenate([[0.0], own, [length]]))
        inputs = {"Current function [A]": current}
        simulation.step(length, t_interp=at, inputs=inputs, save=False)
        rows = np.searchsorted(at, own)
        solution = simulation.solution
        volts.append(solution["Voltage [V]"].data[-len(at) :][rows])
        temperatures.append(solution["Volume-averaged cell temperature [K]"].data[-len(at) :][rows])
        begin += length
    return np.concatenate(volts), np.concatenate(temperatures)


def as_text(steps):
    words = {1: "Discharge at {} A for {} s", 0: "Rest for {1} s", -1: "Charge at {} A for {} s"}
    return [words[int(np.sign(i))].format(abs(i), t) for i, t in steps]


@pytest.fixture(scope="module")
def cell():
    mesh = {"x_n": 5, "x_s": 3, "x_p": 5, "r_n": 10, "r_p": 10}
    return with_its_own_start(
        cm.Cell("lithium_ion", model="SPMe", mechanisms=[cm.LumpedThermal()], mesh=mesh)
    )


@pytest.fixture(scope="module")
def experiments(cell):
    """A discharge with its temperature, pulses from half charge, and an open-circuit curve."""
    rng = np.random.default_rng(3)
    long = [(5.0, 3000), (0.0, 1200)]
    pulses = [(7.5, 20), (0.0, 300), (-7.5, 20), (0.0, 300)]
    times = np.arange(30.0, 4200.0, 60.0), np.arange(1.0, 640.0, 7.0)
    found = []
    for name, voltage, steps, at, kelvin in (
        ("discharge", 4.1, long, times[0], 298.15),
        ("pulses", 3.7, pulses, times[1], 308.15),
    ):
        volts, warm = measured(cell, TRUE, voltage, kelvin, steps, at)
        volts = volts + NOISE * rng.standard_normal(len(at))
        warm = warm + KELVIN * rng.standard_normal(len(at))
        found.append(
            cm.VoltageTrace(
                at, volts, as_text(steps), name=name, rest_voltage=voltage, ambient=kelvin,
                initial_temperature=kelvin, noise=NOISE,
                temperature=warm if name == "discharge" else None, temperature_noise=KELVIN,
            )
        )  # fmt: skip
    found.append(open_circuit(cell, rng))
    return found


def open_circuit(cell, rng):
    """PyBaMM's equilibrium voltages at charges from 4.15 V on, by states of charge."""
    parameters = cell.parameter_values()
    parameters.update({name: TRUE[name] for name in (EPS, LITHIUM)})
    solver = pybamm.lithium_ion.ElectrodeSOHSolver(parameters)
    volts = np.linspace(4.15, 3.3, 25)
    x = np.array([solver.get_initial_stoichiometries(f"{v} V")[0] for v in volts])
    amount = cell.value("Maximum concentration in negative electrode [mol.m-3]") * TRUE[EPS]
    amount *= cell.value("Negative electrode thickness [m]") * cell.electrode_area
    charge = 96485.33212 / 3600.0 * amount * (x[0] - x)
    noisy = volts + NOISE * rng.standard_normal(25)
    return cm.EquilibriumCurve(charge, noisy, name="OCV", rest_voltage=4.15, noise=NOISE)


@pytest.fixture(scope="module")
def fit(cell, experiments):
    return cm.fit_fresh(cell, experiments, [EPS, LITHIUM, COOLING, KINETICS], progress=False)


def test_a_joint_fit_finds_the_truth_within_its_intervals(fit):
    assert fit.converged and isinstance(fit, cm.FreshFit)
    table = fit.table
    assert table["identifiable"].all()
    for name, truth in TRUE.items():
        row = table.loc[name]
        assert abs(row["value"] - truth) < 3.0 * row["standard error"], name
        assert row["standard error"] < 0.05 * truth
    rms = fit.variables["rms"]
    assert list(rms["variable"].values) == [
        "traces/discharge voltage", "traces/discharge temperature", "traces/pulses voltage",
        "traces/OCV open-circuit voltage",
    ]  # fmt: skip
    assert np.all((rms > 0.75) & (rms < 1.25))
    assert len(fit.trials["trial"]) < 12


def test_one_experiment_alone_says_less(cell, experiments, fit):
    alone = cm.fit_fresh(cell, experiments[1], [EPS, LITHIUM, KINETICS], progress=False)
    wide, narrow = (each.table.loc[EPS, "standard error"] for each in (alone, fit))
    assert wide > 2.0 * narrow


def test_the_fitted_cell_gives_the_fitted_curves(fit, experiments):
    again = cm.simulate_experiments(fit.cell, experiments)
    for name, node in fit.curves.children.items():
        for variable in ("voltage", "temperature", "open_circuit_voltage"):
            if variable in node:
                simulated = f"{variable}_simulated"
                assert np.allclose(node[simulated], again[name][simulated], atol=2e-4)
    rms = again["discharge"]["voltage_residual"].attrs["rms"]
    assert rms == pytest.approx(NOISE, rel=0.25)


def test_a_fit_is_written_read_and_asked_again(fit, tmp_path):
    fit.save(tmp_path / "fit.nc")
    again = cm.FreshFit.load(tmp_path / "fit.nc")
    assert again.cell == fit.cell and again.table.equals(fit.table)
    assert [e.name for e in again.experiments] == ["discharge", "pulses", "OCV"]
    assert again.experiments[0].steps == fit.experiments[0].steps
    problem = again.problem()
    value = problem.evaluate_optimum(again.table["value"].to_numpy())
    assert 2.0 * value.cost == pytest.approx(fit.statistics["chi_square"], rel=1e-3)
    fewer = problem.with_points(np.arange(problem.observations.size) % 2 == 0)
    assert fewer.evaluate(value.scaled, value).ok
    with pytest.raises(InputError, match=r"cm.FreshFit.load reads it"):
        cm.Fit.load(tmp_path / "fit.nc")


def test_a_damaged_file_is_refused(fit, tmp_path):
    tree = fit.to_datatree()
    tree["record/pulses"].attrs["experiment"] = json.dumps({"steps": ["Jump"]})
    tree.to_netcdf(tmp_path / "fit.nc", engine="h5netcdf")
    with pytest.raises(InputError):
        cm.FreshFit.load(tmp_path / "fit.nc")
    tree["record/pulses"].attrs["kind"] = "Trace"
    tree.to_netcdf(tmp_path / "fit.nc", engine="h5netcdf")
    with pytest.raises(InputError, match="damaged"):
        cm.FreshFit.load(tmp_path / "fit.nc")


def test_figure_text_and_set(fit, tmp_path):
    figure = fit.plot()
    assert isinstance(figure, matplotlib.figure.Figure)
    titles = [ax.get_title(loc="left") for ax in figure.axes]
    assert {"discharge voltage", "discharge temperature", "OCV open-circuit voltage"} <= {*titles}
    assert KINETICS.name in repr(fit)
    made = fit.parameter_set("mine")
    made.write(tmp_path / "mine.toml")
    assert cm.ParameterSet.load(tmp_path / "mine.toml").parameters[KINETICS.name].value == (
        pytest.approx(fit.values[KINETICS.name])
    )


def test_an_offset_of_the_current_is_found(cell):
    """A log that says 30 mA too little: without the offset, the balance takes the blame."""
    steps, at = [(5.0, 2700), (0.0, 900)], np.arange(30.0, 3600.0, 60.0)
    true = [(i + 0.03, t) for i, t in steps]
    volts, _ = measured(cell, TRUE, 4.1, 298.15, true, at)
    volts = volts + 2e-4 * np.random.default_rng(5).standard_normal(len(at))
    given = {"rest_voltage": 4.1, "noise": 2e-4, "ambient": 298.15}
    rows = np.array([0.0, 2700.0, 2700.001, 3600.0])
    log = {"current": [5.0, 5.0, 0.0, 0.0], "current_time": rows}
    start = cell.with_parameters({COOLING: 14.0, LITHIUM: 29000.0})
    free = [EPS, KINETICS]
    plain, offset = (
        cm.fit_fresh(
            start, cm.VoltageTrace(at, volts, **log, **given, current_offset=most), free,
            progress=False,
        )
        for most in (None, 0.2)
    )  # fmt: skip
    row = offset.table.loc["Current offset [A]"]
    assert row["identifiable"] and abs(row["value"] - 0.03) < 3.0 * row["standard error"]
    assert abs(offset.values[EPS] - 0.72) < 3.0 * offset.table.loc[EPS, "standard error"]
    assert abs(plain.values[EPS] - 0.72) > 3.0 * abs(offset.values[EPS] - 0.72)


def test_impedance_and_balance_together():
    """Spectra made by PyBaMM at two states of charge, 0.5 % of noise."""
    mesh = {"x_n": 5, "x_s": 3, "x_p": 5, "r_n": 10, "r_p": 10}
    cell = cm.Cell("lithium_ion", parameters="Chen2020", model="SPM",
                   mechanisms=[cm.DoubleLayer()], mesh=mesh)  # fmt: skip
    capacity = "Negative electrode double-layer capacity [F.m-2]"
    resistance = "Contact resistance [Ohm]"
    truth = {KINETICS.name: 0.6, capacity: 0.35, resistance: 0.012}
    frequencies, rng, spectra = np.logspace(-2, 4, 25), np.random.default_rng(7), []
    for soc in (0.3, 0.8):
        parameters = cell.parameter_values()
        parameters.update({name: truth[name] for name in (capacity, resistance)})
        name = KINETICS.functions[0]
        law = parameters[name]
        parameters[name] = lambda c_e, c_s_surf, c_s_max, T, law=law: (
            0.6 * law(c_e, c_s_surf, c_s_max, T)
        )
        parameters.set_initial_state(soc)
        simulation = pybamm.EISSimulation(
            cell.with_parameters({resistance: 0.012}).pybamm_model(),
            parameter_values=parameters, var_pts=cell.var_pts(),
        )  # fmt: skip
        z = np.asarray(simulation.solve(frequencies).impedance)
        noise = 0.005 * np.abs(z)
        z = z + noise * (rng.standard_normal(25) + 1j * rng.standard_normal(25))
        spectra.append(cm.ImpedanceSpectrum(frequencies, z, soc=soc, noise=noise, name=f"{soc:g}"))
    fit = cm.fit_fresh(cell, spectra, [KINETICS, capacity, resistance], progress=False)
    assert fit.converged and fit.table["identifiable"].all()
    for name, value in truth.items():
        row = fit.table.loc[name]
        assert abs(row["value"] - value) < 3.0 * row["standard error"], name
    assert np.all(fit.variables["rms"] < 1.3)
    assert any(ax.get_xlabel() == "Z′ [Ω]" for ax in fit.plot().axes)
    node = fit.curves["0.3"]
    assert isinstance(node, xr.DataTree) and node["impedance_real_at"].attrs["units"] == "Hz"


def test_natural_bounds(cell, experiments):
    made = fresh_problem(cell, experiments[0], [EPS, LITHIUM, "Contact resistance [Ohm]"])
    bounds = {p.name: (p.lower, p.upper) for p in made.scaling.parameters}
    most = cell.value("Maximum concentration in negative electrode [mol.m-3]")
    assert bounds[LITHIUM][1] < most
    assert bounds["Contact resistance [Ohm]"][0] == 0.0


@pytest.mark.parametrize(
    ("free", "message"),
    [
        ([], "at least one parameter"),
        (["Negative particle diffusivity [m2/s]"], "Did you mean 'Negative particle d"),
        ([cm.scaled("Nominal cell capacity [A.h]")], "not a function"),
        ({EPS: 0.7}, "free is a list of names"),
        ([EPS, EPS], "named twice"),
    ],
)
def test_wrong_names_are_refused(cell, experiments, free, message):
    with pytest.raises(InputError, match=message):
        cm.fit_fresh(cell, experiments, free, progress=False)
