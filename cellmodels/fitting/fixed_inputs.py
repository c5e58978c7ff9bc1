r"""Uncertainty of the fixed inputs, carried over to the fitted parameters and to forecasts.

Let z be the scaled parameters of a fit and v its fixed inputs, in standard deviations from the
values used (:mod:`cellmodels.fitting.input_prior`), with derivatives :math:`A` and :math:`B` of
what the fit squares and sums, :math:`r`. With other inputs the fit would end elsewhere:

.. math:: \hat z(v) = \hat z + R v, \qquad R = -(A^T A)^{-1} A^T B

One simulation with exact derivatives by both gives R. With C the covariance that the data give z
where the inputs are right, and S the mean square of the inputs about the values used,

.. math::
    \operatorname{cov}(z, v) =
    \begin{pmatrix} C + R S R^T & R S \\ S R^T & S \end{pmatrix}

Two readings of S:

- ``"updated"`` (the default): what the data say of the inputs counts as well. Their covariance is
  :math:`P = (1 + B^T M B)^{-1}` and they lie about :math:`m = -P B^T M r`, with M the projection on
  what z cannot describe. Values are not moved, so that the shift counts as an error:
  :math:`S = P + m m^T`. Where the noise is white and of the stated size, P and m are those of the
  posterior of z and v together.
- ``"consider"``: the inputs are as uncertain as before the fit, S = 1, whatever the data say (S. F.
  Schmidt, Application of state-space methods to navigation problems, Advances in Control Systems 3
  (1966) 293, doi:10.1016/B978-1-4831-6716-9.50011-4). It is what refits with other inputs would
  show, also refits that miss the data by far, and so an upper bound: a share of active material
  that is 10 % off costs 10 % of the fresh capacity, and a fit to that follows no ageing any more.

A model is never quite right, and what it misses looks like information on some input. In M a
variable's points therefore count only for as many independent ones as the size and likeness of its
residuals leave. These residuals are those at the inputs used, so that what an input could explain
counts as the model's fault until it is freed: that is the cautious side. For each input alone the
dataset says by how much the data would narrow and move it, and there the residuals are those that
are left once it is freed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from cellmodels.errors import InputError, did_you_mean
from cellmodels.fitting import fit_tree
from cellmodels.fitting.input_budget import budget, explained
from cellmodels.fitting.input_derivatives import Maker, differentiate, no_prediction, simulators
from cellmodels.fitting.input_prior import KNOWN, choose_inputs
from cellmodels.fitting.least_squares import FitError
from cellmodels.fitting.statistics import correlation_from, estimate_parameters
from cellmodels.observations import Points

if TYPE_CHECKING:
    from cellmodels.fitting.result import Fit

__all__ = [
    "READINGS",
    "input_uncertainty",
    "prediction_variance",
    "tree_with_inputs",
    "variance_from_inputs",
]

READINGS = ("updated", "consider")

_NO_DERIVATIVE = "the life cannot be differentiated by it"


def input_uncertainty(
    fit: Fit,
    names: Sequence[str] | None = None,
    *,
    statuses: Sequence[str] = KNOWN,
    ranges: Mapping[str, tuple[float, float]] | None = None,
    reading: str = "updated",
    maker: Maker | None = None,
) -> xr.Dataset:
    """How much of a fit's uncertainty comes from what was not fitted.

    Parameters
    ----------
    fit : Fit
    names : sequence of str, optional
        Inputs to take; by default all that the cell's equations read and whose status is one of
        `statuses`.
    statuses : sequence of str
        See :func:`~cellmodels.fitting.input_prior.choose_inputs`.
    ranges : mapping of str to (float, float), optional
        95 % intervals in place of those of the parameter set.
    reading : {"updated", "consider"}
        See the module's docstring.
    maker : callable, optional
        In place of a simulator: makes the predictor of the fitted parameters and named inputs.

    Returns
    -------
    xarray.Dataset
        Along ``input``: its interval; ``response`` (parameter, input), the change of each scaled
        parameter with one standard deviation of it; ``share`` (parameter, input) of the
        parameter's variance that would go if the input were known (inputs may share a part);
        ``data_deviation`` and ``data_shift``, its standard deviation and place after the data, if
        it alone were freed, in standard deviations of before; ``surprise``, the probability of
        such a shift where input and model are right. Along ``parameter``: standard errors with
        the inputs, without them, and in the reading "consider". ``joint_covariance`` of
        ``quantity``, scaled parameters and inputs in standard deviations, and ``joint_slope``, by
        which a derivative in natural units is multiplied. Along ``left_out``: reasons.

    Raises
    ------
    InputError
        On an unknown name, status, interval or reading.
    FitError
        When the fitted cell cannot be simulated.
    """
    if reading not in READINGS:
        raise InputError(f"Unknown reading {reading!r}." + did_you_mean(str(reading), READINGS))
    parameters = fit.tree["parameters"].to_dataset()
    chosen = parameters["parameter"].values.astype(str).tolist()
    inputs, left_out = choose_inputs(fit.cell, chosen, names, statuses=statuses, ranges=ranges)
    if not inputs:
        raise InputError(
            "No fixed input of this cell has a range of one of the statuses "
            f"{', '.join(statuses)}; give some, as ranges={{name: (low, high)}}."
        )
    make = maker or simulators(fit.cell, fit.protocol, chosen)
    problem = fit.problem(no_prediction)  # each group of inputs has a predictor of its own
    values = parameters["value"].values
    taken, sums, failed = differentiate(problem, make, values, inputs)
    left_out = {**left_out, **dict.fromkeys(failed, _NO_DERIVATIVE)}
    covariance = _data_covariance(parameters)
    return budget(problem, values, covariance, taken, sums, left_out, reading)


def tree_with_inputs(tree: xr.DataTree, inputs: xr.Dataset) -> xr.DataTree:
    """A fit's tree whose covariance, standard errors and intervals include its fixed inputs.

    Parameters
    ----------
    tree : xarray.DataTree
        Of a fit; not changed.
    inputs : xarray.Dataset
        From :func:`input_uncertainty` for this fit.

    Returns
    -------
    xarray.DataTree
        With the group ``/fixed_inputs``; ``/parameters`` keeps what the data alone say as
        ``data_covariance`` and ``data_standard_error``. Whether a parameter is identifiable stays
        what the data say, were the inputs right.
    """
    new = tree.copy(deep=True)
    scaling, old = fit_tree.scaling(tree), tree["parameters"].to_dataset()
    total = inputs["covariance"].values
    estimates = estimate_parameters(
        scaling, scaling.to_scaled(old["value"].values), total, tree.attrs["degrees_of_freedom"]
    )
    scaled = {"long_name": "of scaled parameters, the fixed inputs being right"}
    error = old["data_standard_error" if "data_standard_error" in old else "standard_error"]
    columns = {
        "standard_error": [e.standard_error for e in estimates],
        "scaled_standard_error": [e.scaled_error for e in estimates],
        "interval_low": [e.interval[0] for e in estimates],
        "interval_high": [e.interval[1] for e in estimates],
    }
    matrix = old["covariance"].dims
    matrices = {"covariance": total, "correlation": correlation_from(total)}
    changed = {name: old[name].copy(data=np.array(data)) for name, data in columns.items()}
    changed |= {name: old[name].copy(data=data) for name, data in matrices.items()}
    about = {"long_name": "standard error, the fixed inputs being right"}
    changed["data_covariance"] = xr.DataArray(_data_covariance(old), dims=matrix, attrs=scaled)
    changed["data_standard_error"] = xr.DataArray(error.values, dims=error.dims, attrs=about)
    for flag in ("profiled", "open_low", "open_high"):  # a profile's intervals have given way
        if flag in old:
            changed[flag] = old[flag].copy(data=np.zeros(old[flag].shape, bool))
    new["parameters"] = xr.DataTree(old.assign(changed))
    new["fixed_inputs"] = xr.DataTree(fit_tree.plain_dataset(inputs))
    return new


def prediction_variance(
    inputs: xr.Dataset, jacobian: ArrayLike, names: Sequence[str] | None = None
) -> xr.Dataset:
    """Variance of predictions of a fitted cell, from the data and from its fixed inputs.

    Parameters
    ----------
    inputs : xarray.Dataset
        From :func:`input_uncertainty`, or the group ``/fixed_inputs`` of a fit's tree.
    jacobian : array_like, shape (k, p + q)
        Derivatives of k predicted values by fitted parameters and inputs in natural units, such as
        ``Prediction.jacobian`` of a simulator whose free parameters are ``quantity``.
    names : sequence of str, optional
        Order of the columns, where it is not that of ``quantity``.

    Returns
    -------
    xarray.Dataset
        Along ``prediction``: ``variance``; ``data_variance``, the part that would stay if all
        inputs were known; ``input_variance`` the rest, and by ``input`` what would go if it were
        known.
        An input to which the fitted parameters answer so that the prediction stays, gives nothing.

    Raises
    ------
    InputError
        When the columns are not those of the inputs' dataset.
    """
    quantities = inputs["quantity"].values.astype(str).tolist()
    order = quantities if names is None else list(names)
    slopes = np.atleast_2d(np.asarray(jacobian, dtype=float))
    if sorted(order) != sorted(quantities) or slopes.shape[-1] != len(order):
        raise InputError(
            f"A derivative by {len(quantities)} quantities is needed: {', '.join(quantities)}."
        )
    scaled = slopes[:, [order.index(name) for name in quantities]] * inputs["joint_slope"].values
    count = inputs.sizes["parameter"]
    own, by_input = scaled[:, :count], scaled[:, count:]
    data = np.einsum("ki,ij,kj->k", own, inputs["data_covariance"].values, own)
    answer = own @ inputs["response"].values + by_input  # fitted parameters follow the inputs
    spread = inputs["joint_covariance"].values[count:, count:]
    through = np.einsum("ki,ij,kj->k", answer, spread, answer)
    return xr.Dataset(
        {
            "variance": ("prediction", data + through),
            "data_variance": ("prediction", data),
            "input_variance": ("prediction", through),
            "variance_by_input": (("prediction", "input"), explained(answer @ spread, spread)),
        },
        coords={"input": inputs["input"].values},
    )


def variance_from_inputs(
    inputs: xr.Dataset, maker: Maker, fitted: ArrayLike, points: Points
) -> NDArray[np.float64]:
    """Part of the variance of a fitted life's values that comes from its fixed inputs.

    Parameters
    ----------
    inputs : xarray.Dataset
        From :func:`input_uncertainty`, or the group ``/fixed_inputs`` of a fit's tree.
    maker : callable
        As in :func:`input_uncertainty`.
    fitted : array_like, shape (p,)
        Values of the fitted parameters, in their units.
    points : Points
        k points of the life.

    Returns
    -------
    ndarray, shape (k,)
        In the squared units of the points' variables.

    Raises
    ------
    FitError
        When the life cannot be simulated to the points.
    """
    names = tuple(map(str, inputs["input"].values))
    values = np.concatenate([np.asarray(fitted, dtype=float), inputs["value"].values])
    prediction = maker(names)(values, points, jacobian=True)
    if not prediction.outcome.ok or prediction.jacobian is None:
        said = prediction.outcome.message or prediction.outcome.reason
        raise FitError(f"The life cannot be differentiated by its fixed inputs: {said}.")
    return prediction_variance(inputs, prediction.jacobian)["input_variance"].values


def _data_covariance(parameters: xr.Dataset) -> NDArray[np.float64]:
    """Covariance of the scaled parameters, the inputs being right."""
    name = "data_covariance" if "data_covariance" in parameters else "covariance"
    return np.array(parameters[name].values)
