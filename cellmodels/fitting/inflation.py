"""By how much a fit's covariance is wider than white noise of the stated size would make it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from cellmodels.fitting import fit_tree
from cellmodels.fitting.scaling import FreeParameter

__all__ = ["Inflation"]

Array = NDArray[np.float64]

#: Ratio of eigenvalues of an information that can be inverted.
_INVERTIBLE = 1e-10


@dataclass(frozen=True, eq=False)
class Inflation:
    """Variances of the residuals, in effect.

    Parameters
    ----------
    parameters : sequence of FreeParameter
    information : ndarray, shape (p, p)
        Left on the scaled parameters with the variances in effect, the prior's included: the
        inverse of the fit's covariance, where that can be inverted, fixed inputs being right.
    each : ndarray, shape (p,)
        Variance of each parameter over that of its cost's curvature, which is that of white noise
        of the stated size; what fixed inputs add is counted in, where the fit has it. At least
        one, but for a robust loss, whose curvature is not the inverse of a variance.
    overall : float
        The same as one number, fixed inputs being right: the mean over the directions of the
        curvature.
    """

    parameters: Sequence[FreeParameter]
    information: Array
    each: Array
    overall: float

    @classmethod
    def of_tree(cls, tree: xr.DataTree) -> Inflation:
        """From a fit's tree."""
        p = tree["parameters"].to_dataset()
        prior = fit_tree.prior(tree)
        curvature = _curvature(tree) + (0.0 if prior is None else prior.precision)
        covariance = p["covariance"].values
        by_data = p["data_covariance" if "data_covariance" in p else "covariance"].values
        size = len(curvature)
        values, vectors = np.linalg.eigh(curvature)
        if values[0] > _INVERTIBLE * values[-1] > 0.0:
            each = np.diag(covariance) / np.diag((vectors / values) @ vectors.T)
            overall = float(np.trace(by_data @ curvature)) / size
            left = np.linalg.inv(by_data)
        else:
            overall = _of_residuals(tree["variables"].to_dataset())
            each = np.full(size, overall)
            left = curvature / max(overall, 1.0)
        parameters = fit_tree.scaling(tree).parameters
        least = 0.0 if fit_tree.loss(tree).robust else 1.0
        return cls(parameters, left, np.maximum(each, least), max(overall, least))

    @property
    def by_name(self) -> dict[str, float]:
        """`each` by the parameters' names."""
        return {p.name: float(v) for p, v in zip(self.parameters, self.each, strict=True)}

    @property
    def told(self) -> tuple[Array, Sequence[FreeParameter]]:
        """Information and parameters, as `sloppy.in_words` takes them."""
        return self.information, self.parameters


def _curvature(tree: xr.DataTree) -> Array:
    """Second derivatives of the cost of the data by the scaled parameters, about.

    Of a robust loss the mean derivative of its influence on a variable's residuals is what is left
    of the data's information.
    """
    p, loss = tree["parameters"].to_dataset(), fit_tree.loss(tree)
    if not loss.robust:
        return np.asarray(p["fisher_information"].values)
    points, scaling = tree["points"].to_dataset(), fit_tree.scaling(tree)
    slopes = scaling.slopes(scaling.to_scaled(p["value"].values))
    rows = points["jacobian"].values * slopes / points["std"].values[:, None]
    owner = np.char.add(points["group"].values.astype(str), points["variable"].values.astype(str))
    found = np.zeros((rows.shape[1], rows.shape[1]))
    for name in np.unique(owner):
        mine = owner == name
        weight = loss.mean_slope(points["normalised_residual"].values[mine])
        found += weight * rows[mine].T @ rows[mine]
    return found


def _of_residuals(variables: xr.Dataset) -> float:
    """Mean over the points: their variance, times what a first-order autoregression adds."""
    used = variables["used"].values.astype(float)
    size = np.maximum(np.nan_to_num(variables["rms"].values, nan=1.0) ** 2, 1.0)
    r = np.clip(np.nan_to_num(variables["autocorrelation"].values), 0.0, 0.95)
    r = np.where(variables["autocorrelation_p"].values < 0.01, r, 0.0)
    return float(np.average(size * (1 + r) / (1 - r), weights=used))
