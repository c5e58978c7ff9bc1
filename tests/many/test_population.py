"""The mixed model against the dense marginal likelihood, which is exact where all is linear."""

import numpy as np
import pytest
import scipy.optimize
import scipy.stats

from cellmodels.many.population import Cells, Settings, estimate, sample

P = 2
SPREAD = np.array([0.3, 0.15])


class Linear:
    """Cells with y = A z + noise, and z = X beta + b: two means and a slope with a covariate."""

    def __init__(self, count=7, points=9, seed=0, spread=SPREAD):
        rng = np.random.default_rng(seed)
        self.beta, self.noise = np.array([1.0, -0.5, 0.8]), 0.2
        self.covariate = np.linspace(-1, 1, count)
        self.design = np.array([[[1, 0, c], [0, 1, 0]] for c in self.covariate], float)
        self.a = rng.standard_normal((count, points, P))
        z = self.design @ self.beta + spread * rng.standard_normal((count, P))
        noise = self.noise * rng.standard_normal((count, points))
        self.y = np.einsum("nmp,np->nm", self.a, z) + noise
        self.z = z

    @property
    def cells(self):
        weighted = self.a / self.noise**2
        return Cells(
            self.design,
            np.einsum("nmp,nmq->npq", weighted, self.a),
            np.einsum("nmp,nm->np", weighted, self.y),
        )

    def dense(self, beta, spread, restricted=False, r=0.0):
        """-2 log of the marginal likelihood, cell by cell, by a dense normal distribution."""
        total, system = 0.0, np.zeros((3, 3))
        for a, x, y in zip(self.a, self.design, self.y, strict=True):
            covariance = a @ _covariance(spread, r) @ a.T + self.noise**2 * np.eye(len(y))
            total -= 2 * scipy.stats.multivariate_normal(a @ x @ beta, covariance).logpdf(y)
            system += (a @ x).T @ np.linalg.solve(covariance, a @ x)
        return total + (np.linalg.slogdet(system)[1] if restricted else 0.0)


def _covariance(spread, r):
    return np.outer(spread, spread) * np.array([[1, r], [r, 1]])


def settings(restricted, varies=(True, True), scale=np.inf, precision=None, correlated=False):
    return Settings(
        np.array(varies),
        np.zeros(3),
        np.zeros((3, 3)) if precision is None else precision,
        np.full(P, scale),
        correlated,
        restricted,
    )


@pytest.mark.parametrize("restricted", [False, True])
def test_the_estimate_is_that_of_the_dense_likelihood(restricted):
    data = Linear()
    found = estimate(data.cells, settings(restricted))

    def objective(u):
        return data.dense(u[:3], np.exp(u[3:]), restricted)

    start = np.concatenate([data.beta, np.log(SPREAD)])
    options = {"xatol": 1e-9, "fatol": 1e-11, "maxiter": 20000, "maxfev": 20000}
    best = scipy.optimize.minimize(objective, start, method="Nelder-Mead", options=options)
    # The restricted likelihood has beta integrated out: the same mean, given the spread.
    np.testing.assert_allclose(found.beta, best.x[:3], atol=2e-5)
    np.testing.assert_allclose(found.spread, np.exp(best.x[3:]), rtol=2e-4)


def test_a_correlated_spread_is_that_of_the_dense_posterior():
    """With the prior of the correlation: (1 - r^2) to the shape of 2, of its Fisher z."""
    data = Linear(count=12, seed=3)
    rng = np.random.default_rng(4)
    b = np.linalg.cholesky(_covariance(SPREAD, -0.8)) @ rng.standard_normal((P, 12))
    noise = data.noise * rng.standard_normal(data.y.shape)
    data.y = np.einsum("nmp,np->nm", data.a, data.design @ data.beta + b.T) + noise
    found = estimate(data.cells, settings(True, correlated=True))

    def objective(u):
        r = np.tanh(u[5])
        return data.dense(u[:3], np.exp(u[3:5]), True, r) - 4 * np.log(1 - r**2)

    start = np.concatenate([data.beta, np.log(SPREAD), [0.0]])
    options = {"xatol": 1e-8, "fatol": 1e-10, "maxiter": 20000, "maxfev": 20000}
    best = scipy.optimize.minimize(objective, start, method="Nelder-Mead", options=options).x
    np.testing.assert_allclose(found.beta, best[:3], atol=1e-4)
    np.testing.assert_allclose(found.spread, np.exp(best[3:5]), rtol=1e-3)
    assert found.correlation[0, 1] == pytest.approx(np.tanh(best[5]), abs=1e-3)
    assert found.correlation[0, 1] < -0.1


def test_without_data_correlations_have_the_prior_of_their_paper():
    """Of three parameters each pair alike: Beta(2.5, 2.5) between -1 and 1, whatever the order."""
    nothing = Cells(np.zeros((1, 3, 1)), np.zeros((1, 3, 3)), np.zeros((1, 3)))
    assumed = Settings(np.ones(3, bool), np.zeros(1), np.eye(1), np.full(3, 0.5), True)
    found = estimate(nothing, assumed)
    _, roots, _ = sample(nothing, assumed, found, 4000, np.random.default_rng(0))
    covariance = roots @ roots.transpose(0, 2, 1)
    for i, j in ((0, 1), (0, 2), (1, 2)):
        size = np.sqrt(covariance[:, i, i] * covariance[:, j, j])
        r = covariance[:, i, j] / size
        expected = scipy.stats.beta(2.5, 2.5, -1, 2)
        quantiles = np.quantile(r, [0.1, 0.5, 0.9])
        np.testing.assert_allclose(quantiles, expected.ppf([0.1, 0.5, 0.9]), atol=0.05)


def test_differences_of_the_objective_are_those_of_the_dense_likelihood():
    data = Linear()
    ml = estimate(data.cells, settings(False))
    other = estimate(data.cells, settings(False, (True, False)))
    expected = data.dense(other.beta, other.spread) - data.dense(ml.beta, ml.spread)
    assert other.objective - ml.objective == pytest.approx(expected, rel=1e-6)
    assert expected > 0


def test_errors_of_the_means_are_those_of_the_dense_likelihood():
    data = Linear()
    found = estimate(data.cells, settings(True))
    step = 1e-3 * np.eye(3)
    hessian = [
        [
            sum(
                i * j * data.dense(found.beta + i * a + j * b, found.spread)
                for i in (1, -1)
                for j in (1, -1)
            )
            / 4e-6
            for a in step
        ]
        for b in step
    ]
    np.testing.assert_allclose(found.covariance, np.linalg.inv(0.5 * np.array(hessian)), rtol=1e-4)


def test_shrunk_estimates_are_the_posterior_of_a_normal_distribution():
    data = Linear()
    found = estimate(data.cells, settings(True))
    # everything at once: beta with a very wide prior, the cells' own parameters, and the data
    for c in range(data.cells.count):
        h, g, x = data.cells.information[c], data.cells.pull[c], data.design[c]
        prior = np.diag(1 / found.spread**2)
        covariance = np.linalg.inv(h + prior)
        mean = covariance @ (g + prior @ x @ found.beta)
        np.testing.assert_allclose(found.shrunk[c], mean, rtol=1e-8)
        carried = covariance @ prior @ x
        whole = covariance + carried @ found.covariance @ carried.T
        np.testing.assert_allclose(found.shrunk_covariance[c], whole, rtol=1e-6, atol=1e-12)
    nearer = np.abs(found.shrunk - found.centre)
    alone = np.linalg.solve(data.cells.information, data.cells.pull[..., None])[..., 0]
    assert np.all(nearer.sum() < np.abs(alone - found.centre).sum())


def test_a_shared_parameter_has_no_spread_and_one_value():
    data = Linear(spread=np.array([0.3, 0.0]))
    found = estimate(data.cells, settings(True, (True, False)))
    assert found.spread[1] == 0.0
    assert np.ptp(found.shrunk[:, 1]) == pytest.approx(0.0, abs=1e-12)
    assert found.beta[1] == pytest.approx(-0.5, abs=4 * np.sqrt(found.covariance[1, 1]))


def test_a_cell_that_says_nothing_of_a_parameter_gets_that_of_the_population():
    data = Linear()
    data.a[0, :, 1] = 0.0
    found = estimate(data.cells, settings(True))
    assert np.isfinite(found.shrunk).all()
    assert found.shrunk[0, 1] == pytest.approx(found.centre[0, 1], abs=1e-10)
    assert found.shrunk_covariance[0, 1, 1] > found.spread[1] ** 2


def test_estimates_scatter_as_their_errors_say():
    """Forty data sets: means within their intervals as often as they should be."""
    inside = 0
    for seed in range(40):
        data = Linear(count=6, seed=seed)
        found = estimate(data.cells, settings(True, scale=0.5))
        error = np.sqrt(np.diag(found.covariance))
        reach = scipy.stats.t.ppf(0.975, 4) * error
        inside += int(np.sum(np.abs(found.beta - data.beta) < reach))
    assert scipy.stats.binomtest(inside, 120, 0.95).pvalue > 0.01


def test_draws_of_a_new_cell_are_wider_than_the_spread_alone():
    """And cover new cells: the doubt about the spread of few cells is in them."""
    rng = np.random.default_rng(1)
    covered = 0
    for seed in range(20):
        data = Linear(count=4, seed=seed)
        assumed = settings(True, scale=0.5)
        found = estimate(data.cells, assumed)
        beta, root, effective = sample(data.cells, assumed, found, 200, rng)
        assert effective > 50
        new = beta[:, 1] + root[:, 1, 1] * rng.standard_normal(200)
        low, high = np.quantile(new, [0.025, 0.975])
        truth = data.beta[1] + SPREAD[1] * np.random.default_rng(seed + 999).standard_normal()
        covered += low < truth < high
        assert high - low > 2 * 1.96 * found.spread[1]
    assert scipy.stats.binomtest(covered, 20, 0.95).pvalue > 0.01


def test_with_four_cells_the_prior_keeps_the_spread_from_vanishing():
    data = Linear(count=4, spread=np.array([1e-4, 1e-4]), seed=5)
    assert estimate(data.cells, settings(True)).spread.min() < 1e-3
    assert estimate(data.cells, settings(True, scale=0.5)).spread.min() > 0.01
