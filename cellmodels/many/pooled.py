r"""``fit_pooled``: one population for the fits of many cells.

What is shared, what differs between cells, and how rates follow from temperature are estimated
together with every cell's own parameters (:mod:`cellmodels.many.population`). Cells are not
linear, so their quadratic forms are made anew at the estimates until those stay where they are
(M. J. Lindstrom and D. M. Bates, Biometrics 46 (1990) 673, doi:10.2307/2532087). A round costs
one simulated life a cell: given the population, each cell moves by a Gauss-Newton step towards
the optimum of its own sum of squares and the population as a prior.

Residuals of real cells are larger than their noise, and alike from cycle to cycle. The standard
deviations of each variable of a cell are multiplied once, at its own fit, by the root of
:math:`\max(1, \chi^2_v n/(n-p)/n_v)\,(1+\rho)/(1-\rho)`, with :math:`\rho` their lag-one
autocorrelation where that is significant: what the mean of a first-order autoregression has.
Else a cell would say more than it knows, and all that it says too much would go to the spread. The
standard errors of a single fit (:mod:`cellmodels.fitting.discrepancy`) allow for more: a drift has
another effect on each parameter, and one number a variable cannot say that. So a cell whose model
drifts from it may weigh too much here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from cellmodels.errors import InputError, did_you_mean
from cellmodels.fitting import Fit, FitError
from cellmodels.fitting.problem import Evaluation, Problem
from cellmodels.fitting.scaling import FreeParameter, Scaling
from cellmodels.fitting.statistics import variable_fits
from cellmodels.many.activation import AMBIENT, law
from cellmodels.many.laws import Law
from cellmodels.many.pooled_result import PooledFit, pooled_tree
from cellmodels.many.population import Cells, Population, Settings, estimate

__all__ = ["fit_pooled", "pool"]

Array = NDArray[np.float64]

_ROUNDS = 30
_CLOSE = 1e-2  # of a standard error: what is left to move
_FIRST_RADIUS, _LARGEST_RADIUS = 1.0, 2.0
_MOST_ALIKE = 0.99
_SPREAD = 0.5
_NO_SPREAD = 1e-3  # scaled: how near a cell stays to what all share, on the way
_UNBOUNDED = 100.0  # scaled: error of the prior of a mean without bounds


def fit_pooled(
    fits: Mapping[str, Fit],
    *,
    temperatures: Mapping[str, float] | None = None,
    arrhenius: Sequence[str] | None = None,
    activation_energies: Mapping[str, tuple[float, float]] | None = None,
    shared: Sequence[str] = (),
    spread: float | Mapping[str, float] = _SPREAD,
    correlated: bool = True,
    inflate: bool = True,
    rounds: int = _ROUNDS,
    progress: bool = True,
) -> PooledFit:
    """Fit a population of cells that share what is common, and differ.

    Parameters
    ----------
    fits : mapping of str to Fit
        Fits of the cells, by name, all with the same free parameters; their data, noise, loss
        and start are used. Priors that they had are left out: the population takes their place.
    temperatures : mapping of str to float, optional
        Of each cell [K]; by default the cells' ambient temperatures.
    arrhenius : sequence of str, optional
        Parameters that follow Arrhenius' law; by default those rates of the film that have an
        activation energy in the parameter set.
    activation_energies : mapping of str to (float, float), optional
        Prior mean and standard deviation [J.mol-1]. By default the value of the parameter set and
        a quarter of its range, and 40 ± 40 kJ/mol, an estimate without source, where the set has
        no value, zero, or no range, and for all rates that are not the film's
        (:mod:`cellmodels.many.activation`).
    shared : sequence of str
        Parameters that are the same in all cells.
    spread : float or mapping of str to float
        Scale of the half-normal prior of the standard deviation between cells, in scaled
        parameters: of the logarithm where positive, so that 0.5 is some 50 %.
    correlated : bool
        Whether parameters may differ together from cell to cell; with few cells a prior keeps
        correlations small. Without, lives of new cells scatter too much where one parameter makes
        up for another.
    inflate : bool
        Whether standard deviations are enlarged where the model misses something (see above).
    rounds : int
        Largest number of rounds, one life a cell each.
    progress : bool
        Show a progress bar.

    Returns
    -------
    PooledFit

    Raises
    ------
    InputError
        With fewer than two cells, other parameters in one of them, or an unknown name.
    FitError
        When a cell cannot be simulated at its own fit.
    """
    _check_fits(fits)
    return pool(
        fits,
        {name: fit.problem() for name, fit in fits.items()},
        temperatures=temperatures,
        arrhenius=arrhenius,
        activation_energies=activation_energies,
        shared=shared,
        spread=spread,
        correlated=correlated,
        inflate=inflate,
        rounds=rounds,
        progress=progress,
    )


def pool(
    fits: Mapping[str, Fit],
    problems: Mapping[str, Problem],
    *,
    temperatures: Mapping[str, float] | None = None,
    arrhenius: Sequence[str] | None = None,
    activation_energies: Mapping[str, tuple[float, float]] | None = None,
    shared: Sequence[str] = (),
    spread: float | Mapping[str, float] = _SPREAD,
    correlated: bool = True,
    inflate: bool = True,
    rounds: int = _ROUNDS,
    progress: bool = False,
) -> PooledFit:
    """:func:`fit_pooled` with problems of one's own, one a fit; see there."""
    _check_fits(fits)
    names = list(fits)
    scaling = _common([problems[name].scaling for name in names], [fits[n].values for n in names])
    kelvin = _temperatures(fits, temperatures)
    line = law([fits[name].cell for name in names], scaling, arrhenius, activation_energies)
    settings = _settings(line, scaling, shared, spread, correlated)
    members = [
        _Member.of(name, fits[name], problems[name], scaling, inflate)
        for name in tqdm(names, desc="cells", unit="cell", disable=not progress)
    ]
    design = np.array([line.design(kelvin[name]) for name in names])
    cells, population, used, settled = _settle(members, design, settings, rounds, progress)
    return PooledFit(
        fits[names[0]].cell,
        fits[names[0]].protocol,
        pooled_tree(
            names=names,
            fits=fits,
            temperatures=np.array([kelvin[name] for name in names]),
            line=line,
            scaling=scaling,
            settings=settings,
            cells=cells,
            population=population,
            inflation={m.name: m.inflation for m in members},
            evaluations=[m.here for m in members],
            problems=[m.problem for m in members],
            rounds=used,
            converged=settled,
        ),
    )


# ------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Member:
    """A cell on its way."""

    name: str
    problem: Problem
    here: Evaluation
    inflation: Array
    radius: float = _FIRST_RADIUS

    @classmethod
    def of(cls, name: str, fit: Fit, problem: Problem, scaling: Scaling, inflate: bool) -> _Member:
        """A cell at its own fit."""
        values = np.array([fit.values[n] for n in scaling.names])
        problem = replace(problem, scaling=scaling, prior=None)
        here = problem.evaluate(scaling.to_scaled(values))
        if not here.ok:
            raise FitError(
                f"{name}: the simulation fails at the cell's own fit: "
                f"{here.outcome.message or here.outcome.reason}."
            )
        observations = problem.observations
        plain = np.ones(len(observations.variables))
        factors = _inflation(problem, here) if inflate else plain
        std = observations.std * np.sqrt(factors)[observations.owner]
        problem = replace(problem, observations=replace(observations, std=std))
        return cls(name, problem, problem.evaluate(here.scaled, here), factors)

    @property
    def information(self) -> Array:
        """H, shape (p, p)."""
        return self.here.slopes.T @ self.here.slopes

    @property
    def pull(self) -> Array:
        """H times what the data alone would have, to first order, shape (p,)."""
        return self.information @ self.here.scaled - self.here.slopes.T @ self.here.terms

    def towards(self, target: Array, precision: Array, centre: Array) -> _Member:
        """A step to what the population makes of this cell; shorter where it fails."""
        lower, upper = self.problem.scaling.bounds
        step = target - self.here.scaled
        size = float(np.max(np.abs(step)))
        step *= min(1.0, self.radius / max(size, 1e-300))
        there = np.clip(self.here.scaled + step, lower, upper)
        trial = self.problem.evaluate(there, self.here)
        if not trial.ok:
            return replace(self, radius=0.25 * min(self.radius, size))
        worse = _penalised(trial, precision, centre) > _penalised(self.here, precision, centre)
        if worse and size > _CLOSE:
            return replace(self, radius=0.5 * min(self.radius, size))
        return replace(self, here=trial, radius=min(2 * self.radius, _LARGEST_RADIUS))


def _penalised(evaluation: Evaluation, precision: Array, centre: Array) -> float:
    """The cell's cost with the population as a prior."""
    away = evaluation.scaled - centre
    return evaluation.cost + 0.5 * float(away @ precision @ away)


def _settle(
    members: list[_Member], design: Array, settings: Settings, rounds: int, progress: bool
) -> tuple[Cells, Population, int, bool]:
    """Rounds of population and cells until neither moves."""
    settled = False
    with tqdm(total=rounds, desc="pooled", unit="round", disable=not progress) as bar:
        for used in range(1, rounds + 1):
            cells = Cells(
                design,
                np.array([m.information for m in members]),
                np.array([m.pull for m in members]),
            )
            population = estimate(cells, settings)
            targets = _inside(population.shrunk, members[0].problem.scaling)
            errors = np.sqrt(np.einsum("npp->np", population.shrunk_covariance)) + 1e-12
            left = np.array([t - m.here.scaled for t, m in zip(targets, members, strict=True)])
            moved = float(np.max(np.abs(left) / errors))
            bar.set_postfix_str(f"to move {moved:.2g} standard errors")
            bar.update(1)
            if moved < _CLOSE:
                settled = True
                break
            if used == rounds:
                break
            # A cell has no say of its own in what is shared: it follows the mean.
            covariance = population.root @ population.root.T
            known = covariance + _NO_SPREAD**2 * np.eye(len(covariance))
            precision = np.asarray(np.linalg.inv(known), dtype=np.float64)
            members[:] = [
                member.towards(target, precision, centre)
                for member, target, centre in zip(members, targets, population.centre, strict=True)
            ]
        bar.total = bar.n
        bar.refresh()
    return cells, population, used, settled


def _inside(scaled: Array, scaling: Scaling) -> Array:
    return np.clip(scaled, *scaling.bounds)


def _inflation(problem: Problem, here: Evaluation) -> Array:
    """By how much the variance of each variable is enlarged, shape (v,)."""
    observations = problem.observations
    size, count = here.jacobian.shape
    fits = variable_fits(observations, here.residuals, problem.loss)
    factors = np.ones(len(fits))
    for i, fit in enumerate(fits):
        mine = here.residuals[observations.owner == i]
        if not mine.size:
            continue
        influence = problem.loss.influence(mine)
        slope = max(float(np.mean(problem.loss.curvature(mine))), 0.1)
        variance = float(np.mean(influence**2)) / slope * size / max(size - count, 1)
        r = min(fit.autocorrelation, _MOST_ALIKE) if fit.autocorrelated else 0.0
        factors[i] = max(1.0, variance) * (1 + r) / (1 - r)
    return factors


def _common(scalings: Sequence[Scaling], values: Sequence[Mapping[str, float]]) -> Scaling:
    """One scaling for all cells: from the mean of their fits, with the widest of their bounds."""
    parameters = []
    for i, name in enumerate(scalings[0].names):
        each = [s.parameters[i] for s in scalings]
        found = np.array([v[name] for v in values])
        logarithmic = all(p.logarithmic for p in each)
        start = float(np.exp(np.mean(np.log(found))) if logarithmic else np.mean(found))
        lower, upper = min(p.lower for p in each), max(p.upper for p in each)
        start = float(np.clip(start, lower, upper))
        nominal = each[0].nominal
        parameters.append(FreeParameter(name, start, lower, upper, nominal, each[0].unit))
    return Scaling(parameters)


def _settings(
    line: Law,
    scaling: Scaling,
    shared: Sequence[str],
    spread: float | Mapping[str, float],
    correlated: bool,
) -> Settings:
    """Priors of the population: energies from the literature, means as wide as the bounds."""
    names = scaling.names
    for name in [*shared, *(spread if isinstance(spread, Mapping) else ())]:
        if name not in names:
            raise InputError(f"{name!r} is not fitted." + did_you_mean(name, names))
    scale = np.full(len(names), _SPREAD)
    for i, name in enumerate(names):
        scale[i] = spread.get(name, _SPREAD) if isinstance(spread, Mapping) else spread
    if not np.all(np.isfinite(scale) & (scale > 0)):
        raise InputError("The scale of the spread's prior is a positive number.")
    lower, upper = scaling.bounds
    mean, precision = np.zeros(len(line.terms)), np.zeros(len(line.terms))
    for k, term in enumerate(line.terms):
        i = term.parameter
        if term.kind == "energy":
            known = line.energies[names[i]]
            mean[k], precision[k] = known.mean - known.built_in, known.deviation**-2
        elif np.isfinite(upper[i] - lower[i]):
            mean[k] = 0.5 * (lower[i] + upper[i])
            precision[k] = (0.5 * (upper[i] - lower[i])) ** -2
        else:
            precision[k] = _UNBOUNDED**-2
    varies = np.array([name not in shared for name in names])
    return Settings(varies, mean, np.diag(precision), scale, correlated)


def _temperatures(fits: Mapping[str, Fit], given: Mapping[str, float] | None) -> dict[str, float]:
    found = {}
    for name, fit in fits.items():
        if given is not None and name not in given:
            raise InputError(f"No temperature is given for {name!r}." + did_you_mean(name, given))
        kelvin = fit.cell.value(AMBIENT) if given is None else float(given[name])
        if not 200 < kelvin < 500:
            raise InputError(f"{name}: {kelvin:g} K is not the temperature of a cell.")
        found[name] = kelvin
    return found


def _check_fits(fits: Mapping[str, Fit]) -> None:
    if len(fits) < 2:
        raise InputError("A population needs the fits of at least two cells.")
    first_name, first = next(iter(fits.items()))
    wanted = list(first.values)
    for name, fit in fits.items():
        if list(fit.values) != wanted:
            raise InputError(
                f"{name!r} has other free parameters than {first_name!r}: "
                f"{', '.join(fit.values)} and {', '.join(wanted)}."
            )
