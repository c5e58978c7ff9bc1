"""Whether cells follow one Arrhenius line, and whether each is as the population says.

The line is one of the things that could be true: with three temperatures or more it is compared
with a free mean at each of them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import scipy.stats
from numpy.typing import NDArray

from cellmodels.many.laws import Law, distinct, with_groups
from cellmodels.many.population import (
    Cells,
    Population,
    Settings,
    estimate,
    spread_objective,
    without_prior_of_means,
)

__all__ = ["LineTest", "cell_checks", "compare_line"]

Array = NDArray[np.float64]

_SMALLEST_EIGENVALUE = 1e-9


@dataclass(frozen=True)
class LineTest:
    """One line against a mean at each temperature.

    Parameters
    ----------
    possible : bool
        Whether it could be tested.
    why : str
        Why not.
    likelihood_ratio, freedom, p_chi2 : float
        Twice the difference of the log-likelihoods, at its degrees of freedom, and the probability
        of more if the line is true, which is too small with few cells.
    f, freedom_cells, p : float
        F statistic with the spread as estimated with free means, and its probability: the one to
        go by.
    """

    possible: bool
    why: str = ""
    likelihood_ratio: float = float("nan")
    freedom: float = float("nan")
    p_chi2: float = float("nan")
    f: float = float("nan")
    freedom_cells: float = float("nan")
    p: float = float("nan")


def compare_line(cells: Cells, line: Law, settings: Settings, temperatures: Array) -> LineTest:
    """Test the hypothesis that rates of all cells lie on one Arrhenius line.

    Both models are fitted at the maximum of the likelihood, without priors of their means. With
    few cells the spread is little known, and a chi-squared distribution of the likelihood ratio
    rejects too easily. The F statistic allows for that as in analysis of variance: the weighted
    sum of squares by which the line is worse, at the restricted-likelihood spread of the free
    means, over its degrees of freedom, against cells less temperatures (J. C. Pinheiro and D. M.
    Bates, Mixed-Effects Models in S and S-PLUS (2000), section 2.4, doi:10.1007/b98882).

    Parameters
    ----------
    cells : Cells
        With the design of the line.
    line : Law
    settings : Settings
    temperatures : ndarray, shape (n,)
        Of the cells [K].

    Returns
    -------
    LineTest
    """
    count = distinct(temperatures).size
    if not line.energies:
        return LineTest(False, "no parameter follows Arrhenius' law")
    if count < 3:
        words = "one temperature" if count == 1 else "two temperatures"
        return LineTest(False, f"{words}: any {count} points lie on a line; a third would test it")
    spare = cells.count - count
    if spare < 1:
        return LineTest(False, "one cell at each temperature: spread and line cannot be told apart")
    free = with_groups(line, temperatures)
    means = replace(cells, design=np.array([free.design(float(t)) for t in temperatures]))
    on_line = without_prior_of_means(settings, len(line.terms))
    in_groups = without_prior_of_means(settings, len(free.terms))
    for each in (cells, means):
        if not _determined(each):
            return LineTest(False, "the data do not determine all means")
    ratio = estimate(cells, on_line).objective - estimate(means, in_groups).objective
    freedom = len(free.terms) - len(line.terms)
    at = estimate(means, replace(in_groups, restricted=True)).unknowns
    worse = spread_objective(cells, on_line, at) - spread_objective(means, in_groups, at)
    f = max(worse, 0.0) / freedom
    return LineTest(
        True,
        "",
        max(ratio, 0.0),
        freedom,
        float(scipy.stats.chi2.sf(max(ratio, 0.0), freedom)),
        f,
        spare,
        float(scipy.stats.f.sf(f, freedom, spare)),
    )


def cell_checks(cells: Cells, population: Population) -> tuple[Array, Array, Array]:
    """How far each cell is from what the population says of a new one in its place.

    Returns
    -------
    distance, freedom, p : ndarray, shape (n,)
        Squared distance in the directions that the cell's data determine, their number, and the
        probability of more.
    """
    found = []
    for h, g, x, centre in zip(
        cells.information, cells.pull, cells.design, population.centre, strict=True
    ):
        score = g - h @ centre
        other = population.root @ population.root.T + x @ population.covariance @ x.T
        covariance = h + h @ other @ h
        values, vectors = np.linalg.eigh(0.5 * (covariance + covariance.T))
        good = values > _SMALLEST_EIGENVALUE * values.max(initial=0.0)
        distance = float(np.sum((vectors.T @ score)[good] ** 2 / values[good]))
        found.append((distance, good.sum(), scipy.stats.chi2.sf(distance, max(good.sum(), 1))))
    rows = np.array(found, dtype=float)
    return rows[:, 0], rows[:, 1], rows[:, 2]


def _determined(cells: Cells) -> bool:
    """Whether the means follow from the data alone."""
    system = np.einsum("npk,npq,nql->kl", cells.design, cells.information, cells.design)
    root = np.sqrt(np.clip(np.diag(system), 1e-300, None))
    values = np.linalg.eigvalsh(system / np.outer(root, root))
    return bool(np.all(np.diag(system) > 0) and values.min() > _SMALLEST_EIGENVALUE)
