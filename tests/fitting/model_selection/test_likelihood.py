"""Likelihood of misfit that is alike from point to point, against dense normal distributions."""

import numpy as np
import pytest
import scipy.linalg
import scipy.optimize
import scipy.stats
import xarray as xr

from cellmodels.fitting.model_selection.likelihood import misfit_likelihood
from cellmodels.fitting.residuals import observe


def observations(n=120, std=2e-3, seed=0, checkups=0):
    rng = np.random.default_rng(seed)
    at = np.sort(rng.choice(np.arange(1.0, 400.0), n, replace=False))
    groups = {
        "cycles": xr.Dataset(
            {"discharge_capacity": ("point", np.full(n, 5.0), {"units": "A.h"}),
             "discharge_capacity_std": ("point", np.full(n, std))},
            coords={"cycle": ("point", at)},
        )
    }  # fmt: skip
    if checkups:
        groups["checkups"] = xr.Dataset(
            {"capacity_C20": ("checkup", np.full(checkups, 5.0), {"units": "A.h"}),
             "capacity_C20_std": ("checkup", np.full(checkups, std))},
            coords={"cycle": ("checkup", np.linspace(0.0, 400.0, checkups))},
        )  # fmt: skip
    tree = xr.DataTree.from_dict(groups)
    tree.attrs = {"schema": "cellmodels-record/1", "title": "flat"}
    return observe(tree)


def drawn(observed, size, length, noise, seed):
    """Residuals with the covariance of the module's docstring, from a dense Cholesky factor."""
    at = observed.points.sets[0].at
    kernel = np.exp(-np.abs(at[:, None] - at) / length)
    covariance = noise**2 * (np.eye(at.size) + size**2 * kernel)
    return np.linalg.cholesky(covariance) @ np.random.default_rng(seed).standard_normal(at.size)


NOTHING = np.empty(0)


def likelihood(observed, residuals, jacobian=None, reach=5.0):
    jacobian = np.empty((observed.size, 0)) if jacobian is None else jacobian
    bound = np.full(jacobian.shape[1], reach)
    return misfit_likelihood(observed, residuals, jacobian, -bound, bound)


def dense(observed, residuals, noise, size, length):
    at = observed.points.sets[0].at
    covariance = noise**2 * (np.eye(at.size) + size**2 * np.exp(-np.abs(at[:, None] - at) / length))
    scaled = observed.std[:, None] * covariance * observed.std
    return scipy.stats.multivariate_normal(cov=scaled).logpdf(residuals * observed.std)


def test_value_is_that_of_the_dense_distribution_and_its_greatest():
    observed = observations()
    residuals = drawn(observed, 3.0, 40.0, 1.2, seed=4)
    found = likelihood(observed, residuals)
    (misfit,) = found.misfits
    size = misfit.size / misfit.noise
    assert found.log_likelihood == pytest.approx(
        dense(observed, residuals, misfit.noise, size, misfit.length), rel=1e-9
    )

    def cost(logs):
        return -dense(observed, residuals, *np.exp(logs))

    free = scipy.optimize.minimize(cost, np.log([misfit.noise, size, misfit.length]), tol=1e-8)
    assert -free.fun - found.log_likelihood < 0.5  # what the grid leaves
    assert found.log_likelihood <= -free.fun + 1e-6


def test_white_noise_is_found_white():
    observed = observations(n=200)
    found = likelihood(observed, np.random.default_rng(1).standard_normal(200))
    (misfit,) = found.misfits
    assert misfit.noise == pytest.approx(1.0, abs=0.15)
    assert misfit.size < 0.5 or misfit.length < 3.0  # alike over less than the spacing: white


def test_parameters_are_estimated_with_the_covariance():
    """Generalised least squares, not least squares: the linear model at its most likely place."""
    observed = observations()
    at = observed.points.sets[0].at
    jacobian = np.stack([at / 400, np.sqrt(at / 400)], axis=1)
    residuals = drawn(observed, 4.0, 60.0, 1.0, seed=9) + jacobian @ [0.8, -0.4]
    found = likelihood(observed, residuals, jacobian)
    (misfit,) = found.misfits
    kernel = np.exp(-np.abs(at[:, None] - at) / misfit.length)
    covariance = misfit.noise**2 * np.eye(at.size) + misfit.size**2 * kernel
    root = np.linalg.cholesky(covariance)
    rows = scipy.linalg.solve_triangular(root, np.column_stack([jacobian, residuals]), lower=True)
    step = scipy.optimize.lsq_linear(rows[:, :2], -rows[:, 2], (-1, 1)).x
    best = dense(observed, residuals + jacobian @ step, misfit.noise,
                 misfit.size / misfit.noise, misfit.length)  # fmt: skip
    assert found.log_likelihood == pytest.approx(best, abs=1e-3)


def test_misfit_is_less_evidence_where_it_is_alike():
    """A curve that a wrong model leaves: independent residuals make too much of it."""
    observed = observations(n=150)
    at = observed.points.sets[0].at
    noise = np.random.default_rng(3).standard_normal(150)
    one, other = 8 * np.sin(at / 90) + noise, 5 * np.sin(at / 90) + noise
    gain = likelihood(observed, other).log_likelihood - likelihood(observed, one).log_likelihood
    white = 75 * np.log(np.mean(one**2) / np.mean(other**2))
    assert 0 < gain < 0.2 * white


def test_two_variables_and_a_few_points():
    observed = observations(n=60, checkups=5)
    residuals = np.random.default_rng(2).standard_normal(65)
    found = likelihood(observed, residuals)
    assert [m.key for m in found.misfits] == ["cycles/discharge_capacity", "checkups/capacity_C20"]
    assert found.parameters == 3 + 1 and np.isnan(found.misfits[1].length)
    alone = observed.subset(observed.owner == 1)
    few = likelihood(alone, residuals[60:])
    rms = np.sqrt(np.mean(residuals[60:] ** 2))
    expected = scipy.stats.norm(0, rms * 2e-3).logpdf(residuals[60:] * 2e-3).sum()
    assert few.log_likelihood == pytest.approx(expected, rel=1e-9)


def test_variables_of_few_points_share_what_is_alike():
    """Six points each, four variables of drifting residuals: together they show it."""
    rng = np.random.default_rng(8)
    at = np.linspace(0.0, 400.0, 6)
    names = [f"capacity_{k}" for k in range(4)]
    data = {n: ("checkup", np.full(6, 5.0), {"units": "A.h"}) for n in names}
    data |= {f"{n}_std": ("checkup", np.full(6, 1e-3)) for n in names}
    groups = {"checkups": xr.Dataset(data, coords={"cycle": ("checkup", at)})}
    tree = xr.DataTree.from_dict(groups)
    tree.attrs = {"schema": "cellmodels-record/1", "title": "few"}
    observed = observe(tree)
    drift = np.concatenate([rng.choice([-6, 6]) + 0.3 * rng.standard_normal(6) for _ in names])
    found = likelihood(observed, drift)
    assert found.parameters == 4 + 2
    assert all(m.size > 2 * m.noise and m.length > 200.0 for m in found.misfits)
    white = likelihood(observed, rng.standard_normal(24))
    assert found.log_likelihood < white.log_likelihood
    # independent points would call the drift noise of its size
    noise = scipy.stats.norm(0, 1e-3 * np.sqrt(np.mean(drift**2)))
    assert found.log_likelihood > noise.logpdf(1e-3 * drift).sum() + 10
