"""Derivatives, and a case that can be solved by hand."""

import warnings

import numpy as np
import pytest

from cellmodels.modes.balance import BalancePrior, fit_curves
from cellmodels.modes.curve_errors import CurveError
from cellmodels.modes.curves import OcvCurve, ocv_curve
from cellmodels.modes.derived import QUANTITIES, degradation, electrode_quantities
from cellmodels.modes.electrodes import Electrodes, Model
from cellmodels.modes.half_cells import HalfCell, HalfCells
from cellmodels.modes.joint import Solution, solve
from cellmodels.modes.linearised import Noise, Prior, Problem, Unknowns

VALUES = np.array([np.log(5.8), np.log(8.7), 0.9, 0.27, 0.01, -0.2, 0.3])


def with_branches(cell, laws):
    x = np.linspace(0.001, 0.999, 300)
    tables = [
        {"lithiation": (x, law(x) - 0.01 * x), "delithiation": (x, law(x) + 0.02 * x)}
        for law in laws
    ]
    return HalfCells.of(cell, negative=tables[0], positive=tables[1])


@pytest.mark.parametrize("direction", ["discharge", "charge", "mean"])
def test_derivatives_of_the_voltage_are_those_of_differences(cell, laws, aged, direction):
    model = Model(with_branches(cell, laws))
    charge, voltage = aged(rows=900)
    curve = ocv_curve(charge, voltage, direction)
    errors = 0.5 * np.random.default_rng(1).standard_normal(model.coefficients)
    _, by_values, by_errors = model.voltage(VALUES, errors, curve)
    for k in range(VALUES.size):
        step = np.zeros(VALUES.size)
        step[k] = 1e-6
        up, down = (model.voltage(VALUES + s, errors, curve)[0] for s in (step, -step))
        scale = max(1e-3, np.abs(by_values[:, k]).max())
        np.testing.assert_allclose(by_values[:, k], (up - down) / 2e-6, atol=2e-4 * scale)
    for k in range(0, errors.size, 7):
        step = np.zeros(errors.size)
        step[k] = 1e-4
        up, down = (model.voltage(VALUES, errors + s, curve)[0] for s in (step, -step))
        np.testing.assert_allclose(by_errors[:, k], (up - down) / 2e-4, atol=1e-5)


def test_derivatives_of_quantities_and_modes_are_those_of_differences(half_cells):
    model = Model(half_cells)
    aged = VALUES - np.array([0.05, 0.03, 0.02, -0.001, 0.0, 0.0, 0.0])
    values = np.stack([VALUES, aged])
    values[:, 5:] = 0.0
    prior = Prior(values[0], np.array([0.3] * 4 + [0.02, 0.0, 0.0]))
    errors = 0.3 * np.random.default_rng(2).standard_normal(model.coefficients)
    size = 2 * 5 + errors.size

    def at(moved):
        unknowns = Unknowns(values, errors).moved(moved, prior.free)
        solution = Solution(unknowns, np.zeros((size, size)), Noise(1e-3), [], True)
        quantities = electrode_quantities(model, prior, solution, (2.5, 4.2))
        return quantities, degradation(quantities, 0)

    found = at(np.zeros(size))
    for k in (*range(10), 15, 40, 70):
        step = np.zeros(size)
        step[k] = 1e-5
        for here, up, down in zip(found, at(step), at(-step), strict=True):
            numeric = (up.values - down.values) / 2e-5
            np.testing.assert_allclose(here.jacobian[:, :, k], numeric, rtol=1e-4, atol=1e-5)
    assert found[0].names == tuple(QUANTITIES)


def straight(slope, level=0.0):
    """A half cell whose potential is a straight line, known without error."""

    def curve(at, derivative=0):
        return np.full_like(at, -slope) if derivative else level - slope * at

    return HalfCell(curve, error=CurveError(potential=0.0, stoichiometry=0.0))


def test_a_case_solved_by_hand():
    """V = 3.7 - a y + b x is linear in the charge: its slope tells a / Qp + b / Qn, no more."""
    half_cells = HalfCells(straight(0.5), straight(0.8, 3.7))
    truth = Electrodes(np.array([2.0, 4.0]), np.array([0.9, 0.2]))
    charge = np.linspace(0.0, 1.5, 150)
    voltage = truth.voltage(charge, half_cells)
    np.testing.assert_allclose(voltage, 3.99 - (0.8 / 4.0 + 0.5 / 2.0) * charge, rtol=1e-12)
    curve = OcvCurve(charge[:, None], np.ones(1), voltage, 1.0, (charge, voltage))
    mean = np.array([np.log(2.1), np.log(4.0), 0.9, 0.2, 0.0, 0.0, 0.0])
    # all but the negative capacity is known: 0.25 of the slope is its
    prior = Prior(mean, np.array([0.5, 0, 0, 0, 0, 0, 0]))
    found = solve(Problem(Model(half_cells), (curve,), prior), white=1e-3)
    assert np.exp(found.unknowns.values[0, 0]) == pytest.approx(2.0, rel=1e-4)
    # dV/d(ln Qn) = b q / Qn; with independent noise w and the autocorrelated one, GLS' variance
    slope = 0.5 * charge / 2.0
    noise = found.noise
    gap = np.abs(charge[:, None] - charge) / 1.5
    covariance = noise.correlated**2 * np.exp(-gap / noise.length) + noise.white**2 * np.eye(150)
    information = slope @ np.linalg.solve(covariance, slope) + 0.5**-2
    assert found.covariance[0, 0] == pytest.approx(1 / information, rel=1e-4)


def test_what_a_straight_curve_does_not_tell_keeps_its_prior():
    half_cells = HalfCells(straight(0.5), straight(0.8, 3.7))
    truth = Electrodes(np.array([2.0, 4.0]), np.array([0.9, 0.2]))
    charge = np.linspace(0.0, 1.5, 150)
    voltage = truth.voltage(charge, half_cells)
    curve = OcvCurve(charge[:, None], np.ones(1), voltage, 1.0, (charge, voltage))
    mean = np.array([np.log(2.0), np.log(4.0), 0.9, 0.2, 0.0, 0.0, 0.0])
    prior = Prior(mean, np.array([0.3, 0.3, 0.1, 0.1, 0.02, 0.0, 0.0]))
    found = solve(Problem(Model(half_cells), (curve,), prior), white=1e-3)
    own = found.covariance[:5, :5]
    told = np.array([0.5 / 2.0, 0.8 / 4.0])  # what the slope of the curve depends on
    across = np.array([told[1], -told[0]]) / np.hypot(*told)
    assert np.sqrt(told @ own[:2, :2] @ told) < 0.02
    assert np.sqrt(across @ own[:2, :2] @ across) == pytest.approx(0.3, rel=0.01)


def test_the_same_curve_fitted_twice_shares_the_error_of_its_half_cells(cell, half_cells, aged):
    curves = [ocv_curve(*aged(seed=seed)) for seed in (0, 1)]
    fit = fit_curves(cell, curves, half_cells)
    covariance = fit.quantities.covariance(fit.solution.covariance)
    k = list(QUANTITIES).index("positive_capacity")
    one, both = covariance[0, k, 0, k], covariance[0, k, 1, k]
    assert both > 0.5 * one  # most of it is common
    loss = degradation(fit.quantities, 0).covariance(fit.solution.covariance)[1, 2, 1, 2]
    assert np.sqrt(loss) < 100 * np.sqrt(one) / fit.quantities.values[0, k]


def test_estimated_noise_is_that_of_the_data(cell, half_cells, aged):
    charge, voltage = aged(rows=200, noise=2e-3)
    fit = fit_curves(cell, [ocv_curve(charge, voltage)], half_cells)
    assert fit.noise.white == pytest.approx(2e-3, rel=0.2)
    assert fit.noise.curves < 2.0


def test_half_cells_that_are_wrong_are_found_to_be(cell, half_cells, aged):
    def wrong(side, at):
        return 0.02 * np.sin(25 * at), 0 * at

    fit = fit_curves(cell, [ocv_curve(*aged(wrong=wrong))], half_cells)
    assert fit.noise.curves > 2.0
    k = list(QUANTITIES).index("negative_capacity")
    better = fit_curves(cell, [ocv_curve(*aged())], half_cells)
    wide, narrow = (
        np.sqrt(each.quantities.covariance(each.solution.covariance)[0, k, 0, k])
        for each in (fit, better)
    )
    assert wide > 1.5 * narrow


def test_a_stoichiometry_does_not_leave_its_limits(cell, half_cells, aged):
    charge, voltage = aged()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it has not settled, as no such curve is the cell's
        curve = ocv_curve(1.35 * charge, voltage - 0.3)
        fit = fit_curves(cell, [curve], half_cells, BalancePrior())
    values = fit.solution.unknowns.values[0]
    end = 1.35 * charge[-1]
    places = [values[2], values[2] - end / np.exp(values[0])]
    places += [values[3], values[3] + end / np.exp(values[1])]
    assert min(places) > -0.02 and max(places) < 1.02
