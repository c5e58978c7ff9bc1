"""Uncertainty of fixed inputs: against dense linear algebra, refits, and real cells."""

import numpy as np
import pytest
import xarray as xr

import cellmodels as cm
from cellmodels.errors import InputError
from cellmodels.fitting.fit import fit_with, free_parameters
from cellmodels.fitting.fixed_inputs import input_uncertainty, prediction_variance
from cellmodels.fitting.inflation import Inflation
from cellmodels.fitting.least_squares import FitError
from cellmodels.fitting.loss import Loss
from cellmodels.fitting.prior import Prior
from cellmodels.fitting.problem import Problem
from cellmodels.fitting.residuals import observe
from cellmodels.observations import Outcome, Points, PointSet, Prediction

Z = ("SEI solvent diffusivity [m2.s-1]", "SEI resistivity [Ohm.m]")
V = (
    "Initial SEI thickness [m]",
    "SEI partial molar volume [m3.mol-1]",
    "SEI growth activation energy [J.mol-1]",
)


class Lines:
    """Linear in the logarithm of every parameter: sum of log(value / own value) times a shape."""

    def __init__(self, cell, names, noise=0.0, fails=()):
        self.names, self.fails = names, fails
        self.own = np.array([cell.value(name) for name in names])
        self.noise = noise

    @staticmethod
    def shape(name, at):
        x = at / 400.0
        if name == "constant":
            return np.ones_like(x)
        k = (*Z, *V).index(name)
        return 0.05 * np.stack([x, np.sqrt(x), 1.2 * x**2, np.cos(4 * x), 0.4 * x + 0.3])[k]

    def __call__(self, values, points, jacobian=True, tolerance=None, state=None):
        if any(name in self.fails for name in self.names):
            return Prediction(None, None, Outcome(False, "newton failed"))
        at = np.concatenate([s.at for s in points])
        shapes = np.stack([self.shape(name, at) for name in self.names], axis=1)
        level = 5.0 + shapes @ np.log(np.asarray(values) / self.own)
        return Prediction(level, shapes / np.asarray(values), Outcome(True, "completed"))


@pytest.fixture(scope="module")
def cell():
    return cm.Cell("lithium_ion", "nmc_graphite_siox", "SPM", ["SEI"])


@pytest.fixture
def maker(cell):
    return lambda names: Lines(cell, (*Z, *names))


def record(noise=0.9, seed=3, curve=0.0):
    at = np.arange(1.0, 401.0, 4.0)
    rng = np.random.default_rng(seed)
    values = 5.0 + curve * np.sin(at / 60) + noise * 2e-3 * rng.standard_normal(at.size)
    cycles = xr.Dataset(
        {
            "discharge_capacity": ("point", values, {"units": "A.h"}),
            "discharge_capacity_std": ("point", np.full(at.size, 2e-3), {"units": "A.h"}),
        },
        coords={"cycle": ("point", at)},
    )
    tree = xr.DataTree.from_dict({"cycles": cycles})
    tree.attrs = {"schema": "cellmodels-record/1", "title": "lines", "synthetic": 1}
    return tree


def fitted(cell, protocol, data=None, loss="squares", prior=None):
    scaling = free_parameters(cell, Z)
    data = record() if data is None else data
    known = Prior.independent(scaling, prior or {})
    problem = Problem(Lines(cell, Z), observe(data), scaling, Loss.of(loss), known)
    return fit_with(problem, cell, data, protocol, progress=False)


@pytest.fixture
def fit(cell, protocol):
    return fitted(cell, protocol)


def dense(fit, maker, inputs):
    """Normalised derivatives by scaled parameters and by standard deviations of the inputs."""
    points = fit.tree["points"].to_dataset()
    values = [*fit.values.values(), *inputs["value"].values]
    problem = fit.problem(Lines(fit.cell, Z))
    found = maker(tuple(inputs["input"].values))(values, problem.observations.points)
    scaled = found.jacobian * values  # all fitted ones are logarithmic
    steps = np.where(inputs["logarithmic"], 1.0, 1 / inputs["value"]) * inputs["deviation"]
    rows = scaled / points["std"].values[:, None]
    return rows[:, :2], rows[:, 2:] * steps.values, points["normalised_residual"].values


def test_consider_parameters_of_a_dense_linear_model(fit, maker):
    found = input_uncertainty(fit, V, reading="consider", maker=maker)
    a, b, _ = dense(fit, maker, found)
    data = np.linalg.inv(a.T @ a)
    response = -data @ a.T @ b
    assert np.allclose(found["data_covariance"], data, rtol=1e-8)
    assert np.allclose(found["response"], response, rtol=1e-8)
    expected = data + response @ response.T
    assert np.allclose(found["covariance"], expected, rtol=1e-8)
    share = response**2 / np.diag(expected)[:, None]
    assert np.allclose(found["share"], share, rtol=1e-8)
    assert np.allclose(found["joint_covariance"][2:, 2:], np.eye(3))
    assert np.allclose(found["joint_covariance"][:2, 2:], response, rtol=1e-8)


def test_updated_reading_is_the_posterior_where_the_noise_is_as_stated(fit, maker):
    """The joint posterior from one dense inverse, and its mean square about the values used."""
    found = input_uncertainty(fit, V, maker=maker)
    a, b, r = dense(fit, maker, found)
    both = np.hstack([a, b])
    precision = both.T @ both + np.diag([0.0, 0.0, 1.0, 1.0, 1.0])
    posterior = np.linalg.inv(precision)
    mean = -posterior @ both.T @ r
    assert np.allclose(found["updated_shift"], mean[2:], rtol=1e-6)
    assert np.allclose(found["updated_deviation"] ** 2, np.diag(posterior)[2:], rtol=1e-6)
    about = posterior + np.outer(mean, mean)
    assert np.allclose(found["joint_covariance"], about, rtol=1e-5, atol=1e-9)
    # each alone
    for k in range(3):
        own = b[:, k]
        rest = own - a @ np.linalg.lstsq(a, own, rcond=None)[0]
        assert found["data_deviation"][k] == pytest.approx((1 + rest @ rest) ** -0.5, rel=1e-6)
        assert found["data_shift"][k] == pytest.approx(-(rest @ r) / (1 + rest @ rest), rel=1e-6)


def test_data_say_less_of_inputs_where_the_model_misses_them(cell, protocol, maker):
    """Ten times the noise, alike from point to point."""
    wrong = fitted(cell, protocol, record(curve=0.02))
    right = input_uncertainty(fitted(cell, protocol), V, maker=maker)
    found = input_uncertainty(wrong, V, maker=maker)
    assert np.all(found["updated_deviation"] > right["updated_deviation"])
    assert found["data_deviation"].min() > 5 * right["data_deviation"].min()
    assert np.all(found["consider_standard_error"] >= found["data_standard_error"])


@pytest.mark.parametrize("loss", ["pseudo-Huber", "squares"])
def test_response_is_that_of_refits(cell, protocol, maker, loss):
    """A prior on a parameter, and a robust loss, act on the refits too."""
    known = {Z[0]: (cell.value(Z[0]), 0.05)}
    fit = fitted(cell, protocol, record(noise=3.0), loss, known)
    narrow = {name: (0.999 * cell.value(name), 1.001 * cell.value(name)) for name in V}
    found = fit.input_uncertainty(V, ranges=narrow, reading="consider", maker=maker, check=3)
    linear = found["response"].sel(input=found["refitted"].values).transpose("input", ...)
    up = found["refit_change"].sel(side=1.0).values
    change = (up - found["refit_change"].sel(side=-1.0).values) / 2
    tolerance = 0.1 if loss != "squares" else 1e-3
    assert np.allclose(change, linear, rtol=tolerance, atol=tolerance * np.abs(linear).max())
    assert np.all(found["refit_status"] == "converged")


def test_inputs_known_exactly_change_nothing(fit, maker):
    exact = {name: (fit.cell.value(name),) * 2 for name in V}
    found = fit.with_fixed_inputs(V, ranges=exact, maker=maker)
    assert np.allclose(found.covariance, fit.covariance, rtol=1e-12)
    for name in ("standard_error", "interval_low", "interval_high"):
        assert np.allclose(found.parameters[name], fit.parameters[name], rtol=1e-12)
    assert found.values == fit.values


def test_variance_of_predictions(fit, maker):
    """What the fitted parameters make up for gives none."""
    found = input_uncertainty(fit, V, maker=maker)
    rng = np.random.default_rng(0)
    slopes = rng.standard_normal((4, 5)) / found["joint_slope"].values
    scaled = slopes * found["joint_slope"].values
    variance = prediction_variance(found, slopes)
    joint = found["joint_covariance"].values
    assert np.allclose(variance["variance"], np.diag(scaled @ joint @ scaled.T), rtol=1e-9)
    parts = variance["data_variance"] + variance["input_variance"]
    assert np.allclose(parts, variance["variance"])
    # known input: its row and column are conditioned away
    k = 3
    known = joint - np.outer(joint[:, k], joint[k]) / joint[k, k]
    left = np.diag(scaled @ known @ scaled.T)
    assert np.allclose(variance["variance"] - left, variance["variance_by_input"][:, k - 2])
    order = list(found["quantity"].values[::-1])
    assert np.allclose(prediction_variance(found, slopes[:, ::-1], order)["variance"],
                       variance["variance"])  # fmt: skip
    with pytest.raises(InputError, match="A derivative by 5 quantities"):
        prediction_variance(found, slopes[:, 1:])


def test_a_product_is_known_though_its_factors_are_not(cell, protocol):
    """Diffusivity times concentration: the data say nothing of either, all of the product."""
    twin = "Bulk solvent concentration [mol.m-3]"

    class Product(Lines):
        @staticmethod
        def shape(name, at):
            return Lines.shape(Z[0] if name == twin else name, at)

    fit = fitted(cell, protocol)
    found = input_uncertainty(fit, [twin], maker=lambda names: Product(cell, (*Z, *names)))
    assert found["response"].sel(parameter=Z[0]).item() == pytest.approx(-found["deviation"].item())
    assert found["data_deviation"].item() == pytest.approx(1.0)
    assert found["share"].sel(parameter=Z[0]).item() > 0.99
    alike = [1 / fit.values[Z[0]], 0.0, 1 / cell.value(twin)]
    part = prediction_variance(found, [alike])
    assert part["input_variance"].item() < 1e-12 * part["data_variance"].item()


def test_a_fit_that_includes_its_inputs_says_so_and_is_kept(fit, maker, tmp_path):
    found = fit.with_fixed_inputs(V, maker=maker, check=1)
    found.save(tmp_path / "fit.nc")
    again = cm.Fit.load(tmp_path / "fit.nc")
    xr.testing.assert_identical(again.fixed_inputs, found.fixed_inputs)
    xr.testing.assert_identical(again.parameters, found.parameters)
    assert again.notes == found.notes
    assert np.all(found.parameters["standard_error"] > fit.parameters["standard_error"])
    assert np.allclose(found.parameters["data_standard_error"], fit.parameters["standard_error"])
    assert np.all(found.parameters["interval_high"] > fit.parameters["interval_high"])
    assert np.array_equal(found.parameters["identifiable"], fit.parameters["identifiable"])
    assert np.allclose(found.covariance, found.fixed_inputs["covariance"])
    said = "\n".join(found.notes)
    assert "include the uncertainty of 3 fixed inputs" in said and "without" in said
    assert found.values == fit.values and fit.fixed_inputs.sizes == {}
    # twice is the same as once
    twice = found.with_fixed_inputs(V, maker=maker)
    assert np.allclose(twice.covariance, found.covariance)
    assert twice.problem().size == 2


@pytest.mark.parametrize("loss", ["squares", "pseudo-Huber", "Cauchy"])
def test_profiles_of_a_linear_fit_are_its_intervals_with_any_loss(cell, protocol, loss):
    fit = fitted(cell, protocol, record(noise=1.0), loss=loss)
    found = fit.profile(predict=Lines(cell, Z), progress=False)
    reach = np.log(fit.parameters["interval_high"] / fit.parameters["interval_low"])
    profiled = np.log(found["interval_high"] / found["interval_low"])
    np.testing.assert_allclose(profiled, reach, rtol=1e-3 if loss == "squares" else 0.05)


def test_profiles_and_fixed_inputs_in_either_order(fit, maker, cell):
    """The intervals are those of what came last, and say so."""
    ask = {"predict": Lines(cell, Z), "progress": False}
    alone = fit.profile(**ask)
    with_inputs = fit.with_fixed_inputs(V, maker=maker)
    last_inputs = fit.with_uncertainty(alone).with_fixed_inputs(V, maker=maker)
    for name in ("interval_low", "interval_high"):
        assert np.array_equal(last_inputs.parameters[name], with_inputs.parameters[name])
    assert not last_inputs.parameters["profiled"].any()
    with pytest.raises(InputError, match="Ask this fit"):
        with_inputs.with_uncertainty(alone)
    wide = with_inputs.profile(**ask)
    last_profile = with_inputs.with_uncertainty(wide)
    assert last_profile.parameters["profiled"].all()
    ratio = np.log(wide["interval_high"] / wide["interval_low"])
    ratio /= np.log(
        with_inputs.parameters["interval_high"] / with_inputs.parameters["interval_low"]
    )
    np.testing.assert_allclose(ratio, 1.0, rtol=0.02)  # lines: the profile is the interval
    # words and samples are about the data
    assert with_inputs.sloppy == fit.sloppy
    assert Inflation.of_tree(with_inputs.tree).overall == Inflation.of_tree(fit.tree).overall


def test_an_input_that_the_data_contradict_is_named(cell, protocol, maker):
    at = np.arange(1.0, 401.0, 4.0)
    data = record()
    data["cycles"]["discharge_capacity"][:] += 4.0 * Lines.shape(V[1], at)
    fit = fitted(cell, protocol, data).with_fixed_inputs(V, maker=maker)
    inputs = fit.fixed_inputs
    assert float(inputs["surprise"].sel(input=V[1])) < 0.01
    assert inputs["input"].values[int(np.argmax(inputs["explains"].values))] == V[1]
    assert float(inputs["explains"].sel(input=V[1])) > 0.99
    assert float(inputs["data_shift"].sel(input=V[1])) == pytest.approx(
        4.0 / float(inputs["deviation"].sel(input=V[1])), rel=0.01
    )
    said = [note for note in fit.notes if "explain much of what the fit misses" in note]
    assert len(said) == 1 and ": SEI partial molar volume " in said[0]
    text = "\n".join(fitted(cell, protocol).with_fixed_inputs(V, maker=maker).notes)
    assert "explain much" not in text


def test_an_input_without_derivative_is_left_out_by_name(cell, fit):
    found = input_uncertainty(fit, V, maker=lambda n: Lines(cell, (*Z, *n), fails=V[1:2]))
    assert found["input"].values.tolist() == [V[0], V[2]]
    assert found["left_out"].values.tolist() == [V[1]]
    assert "cannot be differentiated" in str(found["reason"].values[0])
    with pytest.raises(FitError, match="cannot be simulated"):
        input_uncertainty(fit, V, maker=lambda n: Lines(cell, (*Z, *n), fails=Z))


def test_wrong_requests_are_refused(fit, maker, protocol):
    with pytest.raises(InputError, match="Did you mean 'consider'"):
        fit.input_uncertainty(V, reading="considers", maker=maker)
    with pytest.raises(InputError, match="whole number"):
        fit.input_uncertainty(V, check=1.5, maker=maker)
    with pytest.raises(InputError, match="No fixed input of this cell"):
        fit.input_uncertainty(statuses=("fitted",), maker=maker)
    with pytest.raises(InputError, match="does not include its fixed inputs"):
        fit.plot_fixed_inputs()


def test_figure_names_inputs_and_parameters(fit, maker):
    figure = fit.with_fixed_inputs(V, maker=maker).plot_fixed_inputs()
    figure.draw_without_rendering()
    left = figure.axes[0]
    assert "SEI partial molar volume" in [t.get_text() for t in left.get_yticklabels()]
    assert len(left.get_xticklabels()) == 2 and "→" in left.get_xticklabels()[0].get_text()


# Real cells -------------------------------------------------------------------------------

CYCLE = ("Discharge at 1C until 2.5 V", "Charge at C/2 until 4.2 V")


def pybamm_record(cell, truth, cycles, noise, cycle=CYCLE, **options):
    from benchmarks.pybamm_reference import Reference

    reference = Reference(cell, cycle, free=truth, rtol=1e-7, atol=1e-9, **options)
    found = reference.run(cycles, truth)
    rng = np.random.default_rng(5)
    capacity = found["discharge_capacity"] + noise * rng.standard_normal(cycles)
    record = cm.build_record(
        cycles={"cycle": found["cycle"], "discharge_capacity": capacity}, title="PyBaMM"
    )
    record.attrs["synthetic"] = 1
    return record


@pytest.mark.slow
def test_a_real_cell_against_refits(cell):
    """The film's start thickness shifts the fitted diffusivity as refits with it do."""
    protocol = cm.Protocol(list(CYCLE))
    data = pybamm_record(cell, {Z[0]: 2e-20}, 30, 5e-4)
    fit = cm.fit(
        cell, data, protocol, [Z[0]], start={Z[0]: 1e-20}, noise={"discharge_capacity": 5e-4},
        progress=False,
    )  # fmt: skip
    thick = {V[0]: (0.95 * 5e-9, 1.05 * 5e-9)}
    found = fit.input_uncertainty([V[0]], ranges=thick, reading="consider", check=1)
    assert float(found["refit_disagreement"].max()) < 0.05
    everything = fit.with_fixed_inputs()
    twin = everything.fixed_inputs.sel(input="Bulk solvent concentration [mol.m-3]")
    assert twin["response"].item() == pytest.approx(-twin["deviation"].item(), rel=1e-3)
    assert "Negative electrode thickness [m]" in everything.fixed_inputs["left_out"].values
    assert any("without" in note for note in everything.notes)


@pytest.mark.slow
def test_a_zinc_cell_with_its_many_estimates():
    cell = cm.Cell("zinc_bromine", mechanisms=[cm.DeadZinc(), cm.SeparatorFouling()])
    rest = "Rest for 10 minutes"
    cycle = ("Charge at 2 A for 30 minutes", rest, "Discharge at 2 A until 0.8 V", rest)
    free = "Dead zinc fraction"
    data = pybamm_record(cell, {free: 0.01}, 12, 1e-4, cycle, root_method="lm")
    fit = cm.fit(
        cell, data, cm.Protocol(list(cycle)), [free], start={free: 0.003},
        noise={"discharge_capacity": 1e-4}, progress=False,
    ).with_fixed_inputs()  # fmt: skip
    inputs = fit.fixed_inputs
    assert inputs.sizes["input"] > 60
    assert {"Separator porosity", "Electrode area [m2]"} <= set(inputs["input"].values)
    assert np.all(np.isfinite(inputs["joint_covariance"]))
    spectrum = np.linalg.eigvalsh(inputs["joint_covariance"])
    assert spectrum.min() > -1e-9 * spectrum.max()
    p = fit.parameters
    assert p["data_standard_error"].item() < p["standard_error"].item()
    consider = inputs["consider_standard_error"].item()
    assert inputs["scaled_standard_error"].item() <= consider * (1 + 1e-9)


def test_a_forecast_includes_the_fixed_inputs(fit, maker, cell):
    lines, at = Lines(cell, Z), np.arange(450.0, 801.0, 50.0)
    plain = fit.forecast(at, predict=lines)
    wide = fit.with_fixed_inputs(V, maker=maker).forecast(at, predict=lines, maker=maker)
    assert plain.attrs["fixed_inputs"] == "taken as known"
    assert wide.attrs["fixed_inputs"] == "intervals include the uncertainty of 3 fixed inputs"
    np.testing.assert_array_equal(
        wide["discharge_capacity_model"], plain["discharge_capacity_model"]
    )
    widths = [
        (f["discharge_capacity_high"] - f["discharge_capacity_low"]).values for f in (plain, wide)
    ]
    found = fit.input_uncertainty(V, maker=maker)
    points = Points((PointSet("cycles", "discharge_capacity", "cycle", at),))
    values = [*fit.values.values(), *found["value"].values]
    jacobian = maker(tuple(found["input"].values))(values, points).jacobian
    inputs = prediction_variance(found, jacobian)["input_variance"].values
    # variances add; the quantiles of a mixture that is nearly normal are those of its deviation
    expected = np.sqrt(widths[0] ** 2 + (2 * 1.96) ** 2 * inputs)
    np.testing.assert_allclose(widths[1][0], expected[0], rtol=0.15)
    assert np.all(widths[1] > widths[0])
