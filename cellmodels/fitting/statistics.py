"""What the data can and cannot tell about fitted parameters.

Let ``r`` be the residuals divided by their noise and ``J`` their derivative with respect to
the scaled parameters (logarithms, where a parameter is positive). The Fisher information is
``F = J' J``. Were the model true and the noise white and of the stated size, ``inv(F)`` would
be the covariance. Real residuals are often larger than the noise and alike from one cycle to
the next; the covariance is therefore the sandwich ``inv(F) J' V J inv(F)`` (White 1982,
doi:10.2307/1912526) with V the covariance of the residuals that
:mod:`cellmodels.fitting.discrepancy` finds: white noise with the variance of the residuals (never
taken below one), and, where that is significant, a discrepancy between model and cell.

With a robust loss the residuals are replaced by their influence psi and ``F`` is multiplied by the
mean of psi's slope (Huber 1964, doi:10.1214/aoms/1177703732). A prior adds its precision to ``F``
and to the middle of the sandwich, as data would.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.stats
from numpy.typing import NDArray

from cellmodels.fitting.discrepancy import Discrepancy, estimate_discrepancies
from cellmodels.fitting.loss import SQUARES, Loss
from cellmodels.fitting.problem import Evaluation, Problem
from cellmodels.fitting.residuals import Observations
from cellmodels.fitting.scaling import FreeParameter, Scaling

__all__ = [
    "ParameterEstimate",
    "Summary",
    "VariableFit",
    "aicc",
    "autocorrelation",
    "correlation_from",
    "covariance_of",
    "estimate_parameters",
    "narrow",
    "residual_log_likelihood",
    "strong_correlations",
    "summarise",
    "variable_fits",
]

LEVEL = 0.95
FACTOR_OF_TWO = 2.0
LINEAR_FRACTION = 0.25
"""A parameter on a linear scale is identifiable when its interval is narrower than this
fraction of the distance between its bounds (a ratio says nothing where zero is inside)."""
STRONG = 0.95
SIGNIFICANT = 0.01
"""Residuals are alike where their autocorrelation is less likely than this under white noise."""
_SMALLEST_SINGULAR_VALUE = 1e-12  # of the largest; directions below it are undetermined


@dataclass(frozen=True)
class VariableFit:
    """How well one variable is described.

    Parameters
    ----------
    key : str
        ``group/name``.
    rms : float
        Root mean square of the normalised residuals; one when the model is as good as the
        noise allows.
    rms_natural : float
        The same in the variable's unit.
    autocorrelation : float
        Lag-one autocorrelation of the normalised residuals; NaN for fewer than three points.
    p_value : float
        Probability of at least this autocorrelation under white noise (two-sided).
    """

    key: str
    rms: float
    rms_natural: float
    autocorrelation: float
    p_value: float

    @property
    def autocorrelated(self) -> bool:
        """Whether neighbouring residuals are significantly alike."""
        return self.autocorrelation > 0 and self.p_value < SIGNIFICANT


@dataclass(frozen=True)
class ParameterEstimate:
    """A fitted parameter and what the data say about it.

    Parameters
    ----------
    name, unit : str
    value, start, lower, upper : float
        Value, start and bounds, in the unit.
    standard_error : float
        In the unit; to first order for a parameter on a logarithmic scale.
    interval : tuple of float
        95 % interval in the unit, multiplicative for a parameter on a logarithmic scale.
    logarithmic : bool
        Whether the parameter moves on a logarithmic scale.
    scaled_error : float
        Standard error of the scaled parameter: relative, where logarithmic.
    identifiable : bool
        Whether the interval is closed inside the bounds and narrower than a factor of two
        (on a linear scale, than a quarter of the distance between the bounds).
    at_bound : bool
        Whether the value lies on a bound.
    """

    name: str
    unit: str
    value: float
    start: float
    lower: float
    upper: float
    standard_error: float
    interval: tuple[float, float]
    logarithmic: bool
    scaled_error: float
    identifiable: bool
    at_bound: bool


@dataclass(frozen=True, eq=False)
class Summary:
    """Statistics of a fit as a whole.

    Parameters
    ----------
    points, parameters, degrees_of_freedom : int
    chi_square : float
        Sum of squared normalised residuals.
    aicc : float
        Small-sample Akaike criterion with white noise, its level estimated for each variable; see
        :func:`aicc`. NaN with a robust loss, whose optimum is no maximum of that likelihood.
    condition_number : float
        Of the Fisher information in scaled parameters; infinite when singular.
    fisher, covariance, correlation : ndarray, shape (p, p)
        Information, and covariance and correlation of the scaled parameters.
    widening : ndarray, shape (p,)
        Standard errors over those under noise of the stated size alone.
    discrepancies : tuple of Discrepancy
        What each variable's residuals are taken for.
    """

    points: int
    parameters: int
    degrees_of_freedom: int
    chi_square: float
    aicc: float
    condition_number: float
    fisher: NDArray[np.float64]
    covariance: NDArray[np.float64]
    correlation: NDArray[np.float64]
    widening: NDArray[np.float64]
    discrepancies: tuple[Discrepancy, ...]

    @property
    def reduced_chi_square(self) -> float:
        """Chi-square per degree of freedom; NaN without one."""
        freedom = self.degrees_of_freedom
        return self.chi_square / freedom if freedom > 0 else float("nan")


def summarise(problem: Problem, best: Evaluation) -> Summary:
    """Statistics of a fit from its best point.

    Parameters
    ----------
    problem : Problem
    best : Evaluation

    Returns
    -------
    Summary
    """
    observations, jacobian = problem.observations, best.jacobian
    size, count = jacobian.shape
    discrepancies = estimate_discrepancies(problem, best)
    covariance = covariance_of(problem, best, discrepancies)
    stated = covariance_of(problem, best, [found.noise_alone for found in discrepancies])
    used = sum(variable.used > 0 for variable in observations.variables)
    white = aicc(residual_log_likelihood(observations, best.residuals), count + used, size)
    return Summary(
        points=size,
        parameters=count,
        degrees_of_freedom=size - count,
        chi_square=float(best.residuals @ best.residuals),
        aicc=float("nan") if problem.loss.robust else white,
        condition_number=_condition_number(jacobian),
        fisher=jacobian.T @ jacobian,
        covariance=covariance,
        correlation=correlation_from(covariance),
        widening=np.sqrt(np.diag(covariance) / np.diag(stated)),
        discrepancies=discrepancies,
    )


def variable_fits(
    observations: Observations, residuals: NDArray[np.float64], loss: Loss = SQUARES
) -> tuple[VariableFit, ...]:
    """How well each variable is described by a fit with these normalised residuals.

    Their autocorrelation is that of their influence on the fit.
    """
    influence = loss.influence(residuals)
    fits = []
    for index, variable in enumerate(observations.variables):
        mine = observations.owner == index
        series = observations.series[mine]
        r, p = autocorrelation([influence[mine][series == s] for s in np.unique(series)])
        natural = residuals[mine] * observations.std[mine]
        fits.append(VariableFit(variable.key, _rms(residuals[mine]), _rms(natural), r, p))
    return tuple(fits)


def autocorrelation(series: Sequence[NDArray[np.float64]]) -> tuple[float, float]:
    """Lag-one autocorrelation of residuals about zero, pooled over series.

    Residuals are not centred: a constant offset between model and data is exactly what
    should show. Under white noise the estimate is normal with variance one over the number
    of neighbouring pairs (Box & Pierce 1970, doi:10.1080/01621459.1970.10481180).

    Parameters
    ----------
    series : sequence of ndarray
        Residuals of each series in order.

    Returns
    -------
    r, p : float
        Autocorrelation and its two-sided significance; NaN with fewer than two pairs.
    """
    pairs = sum(max(part.size - 1, 0) for part in series)
    later = sum(float(part[1:] @ part[1:]) for part in series)
    earlier = sum(float(part[:-1] @ part[:-1]) for part in series)
    if pairs < 2 or later == 0 or earlier == 0:
        return float("nan"), float("nan")
    products = sum(float(part[1:] @ part[:-1]) for part in series)
    r = products / np.sqrt(later * earlier)  # at most one in magnitude (Cauchy-Schwarz)
    return float(r), float(2 * scipy.stats.norm.sf(abs(r) * np.sqrt(pairs)))


def covariance_of(
    problem: Problem, best: Evaluation, discrepancies: Sequence[Discrepancy]
) -> NDArray[np.float64]:
    """Covariance of the scaled parameters, shape (p, p); see the module's docstring.

    Parameters
    ----------
    problem : Problem
    best : Evaluation
        Its optimum.
    discrepancies : sequence of Discrepancy
        From :func:`~cellmodels.fitting.discrepancy.estimate_discrepancies`.
    """
    loss = problem.loss
    size, count = best.jacobian.shape
    weights = np.ones(size)
    for found in discrepancies:
        weights[found.points] = loss.mean_slope(best.residuals[found.points])
    known = np.empty((0, count)) if problem.prior is None else problem.prior.root
    rows = np.vstack([np.sqrt(weights)[:, None] * best.jacobian, known])
    left, singular, directions = np.linalg.svd(rows, full_matrices=False)
    # Directions without information get a huge variance instead of an error.
    floor = _SMALLEST_SINGULAR_VALUE * (singular.max(initial=0.0) or 1.0)
    root = directions.T / np.maximum(singular, floor)
    effect = left @ root.T  # of each row's error on each parameter
    covariance = effect[size:].T @ effect[size:]
    effect = effect[:size] / np.sqrt(weights)[:, None]
    for found in discrepancies:
        covariance += found.covariance(effect)
    return covariance


def estimate_parameters(
    scaling: Scaling,
    scaled: NDArray[np.float64],
    covariance: NDArray[np.float64],
    degrees_of_freedom: int,
) -> tuple[ParameterEstimate, ...]:
    """Value, standard error, 95 % interval and identifiability of every parameter.

    Parameters
    ----------
    scaling : Scaling
    scaled : ndarray, shape (p,)
        The optimum.
    covariance : ndarray, shape (p, p)
        Of the scaled parameters.
    degrees_of_freedom : int
        Of Student's t distribution, from which the intervals are taken.

    Returns
    -------
    tuple of ParameterEstimate
    """
    errors = np.sqrt(np.clip(np.diag(covariance), 0.0, None))
    reach = scipy.stats.t.ppf(0.5 + LEVEL / 2, max(degrees_of_freedom, 1)) * errors
    values, slopes = scaling.to_values(scaled), scaling.slopes(scaled)
    low, high = scaling.to_values(scaled - reach), scaling.to_values(scaled + reach)
    at_bound = _at_bound(scaling, scaled)
    return tuple(
        ParameterEstimate(
            name=p.name,
            unit=p.unit,
            value=float(values[i]),
            start=p.start,
            lower=p.lower,
            upper=p.upper,
            standard_error=float(abs(slopes[i]) * errors[i]),
            interval=(min(low[i], high[i]).item(), max(low[i], high[i]).item()),
            logarithmic=p.logarithmic,
            scaled_error=float(errors[i]),
            identifiable=not at_bound[i] and narrow(p, low[i], high[i]),
            at_bound=bool(at_bound[i]),
        )
        for i, p in enumerate(scaling.parameters)
    )


def strong_correlations(
    names: Sequence[str], correlation: NDArray[np.float64], threshold: float = STRONG
) -> tuple[tuple[str, str, float], ...]:
    """Pairs of parameters with an absolute correlation above `threshold`, strongest first."""
    pairs = [
        (names[i], names[j], float(correlation[i, j]))
        for i in range(len(names))
        for j in range(i)
        if abs(correlation[i, j]) > threshold
    ]
    return tuple(sorted(((b, a, r) for a, b, r in pairs), key=lambda pair: -abs(pair[2])))


def residual_log_likelihood(observations: Observations, residuals: NDArray[np.float64]) -> float:
    """Log-likelihood of normal errors with one noise level estimated for each variable.

    The stated standard deviations only weigh the points of a variable against each other;
    their common factor is put at its most likely value.
    """
    total = -float(np.log(observations.std).sum())
    for index in range(len(observations.variables)):
        mine = residuals[observations.owner == index]
        if mine.size:
            variance = max(float(mine @ mine) / mine.size, np.finfo(float).tiny)
            total -= 0.5 * mine.size * (np.log(2 * np.pi * variance) + 1)
    return total


def aicc(log_likelihood: float, parameters: int, points: int) -> float:
    """Akaike's information criterion for small samples.

    ``-2 log L + 2 k + 2 k (k + 1) / (n - k - 1)`` (Hurvich & Tsai 1989,
    doi:10.1093/biomet/76.2.297).

    Parameters
    ----------
    log_likelihood : float
        At its maximum.
    parameters : int
        k: fitted numbers, estimated noise levels included.
    points : int
        n.

    Returns
    -------
    float
        Infinite when there are too few points.
    """
    spare = points - parameters - 1
    if spare <= 0:
        return float("inf")
    return -2 * log_likelihood + 2 * parameters + 2 * parameters * (parameters + 1) / spare


def correlation_from(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Correlation matrix of a covariance, shape (p, p)."""
    errors = np.sqrt(np.diag(covariance))
    correlation = covariance / np.outer(errors, errors)
    np.fill_diagonal(correlation, 1.0)
    return np.clip(correlation, -1.0, 1.0)


# ------------------------------------------------------------------------------------------


def _rms(values: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(values**2))) if values.size else float("nan")


def _condition_number(jacobian: NDArray[np.float64]) -> float:
    singular = np.linalg.svd(jacobian, compute_uv=False)
    smallest = singular.min(initial=np.inf)
    if smallest <= _SMALLEST_SINGULAR_VALUE * singular.max(initial=0.0):
        return float("inf")
    return float((singular.max() / smallest) ** 2)


def _at_bound(scaling: Scaling, scaled: NDArray[np.float64]) -> NDArray[np.bool_]:
    lower, upper = scaling.bounds
    near = 1e-3 * np.where(np.isfinite(upper - lower), upper - lower, 0.0)
    return (scaled - lower <= near) | (upper - scaled <= near)


def narrow(parameter: FreeParameter, low: float, high: float) -> bool:
    """Whether an interval in the parameter's unit is inside its bounds, and narrow.

    Narrower than a factor of two, or a quarter of the distance between the bounds of a parameter
    on a linear scale.
    """
    low, high = min(low, high), max(low, high)
    if not (parameter.lower < low and high < parameter.upper):
        return False
    if parameter.logarithmic:
        return bool(high / low < FACTOR_OF_TWO)
    width = parameter.upper - parameter.lower
    if not np.isfinite(width):
        width = 4 * parameter.linear_unit
    return bool(high - low < LINEAR_FRACTION * width)
