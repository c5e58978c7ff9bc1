"""How much a measured series scatters."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from cellmodels.record.schema import COORDINATES, DIMENSIONS, without_companion

__all__ = ["add_noise", "estimate_noise", "series_noise"]


def series_noise(x: ArrayLike, y: ArrayLike) -> float:
    """Standard deviation of the noise of a smooth series, robust to outliers.

    Every inner point is compared with the straight line through its two neighbours: a second
    difference, scaled to the noise's standard deviation (Gasser, T., Sroka, L.,
    Jennen-Steinmetz, C. (1986), Residual variance and residual pattern in nonlinear regression,
    doi:10.1093/biomet/73.3.625). Instead of their mean of squares, 1.4826 times the median of
    the absolute values is taken, which outliers leave alone.

    Parameters
    ----------
    x, y : array_like, shape (n,)
        Places and values; rows with NaN are left out.

    Returns
    -------
    float
        In the unit of `y`; NaN where fewer than three points lie at different places.
    """
    place, value = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    known = np.flatnonzero(np.isfinite(place) & np.isfinite(value))
    known = known[np.argsort(place[known], kind="stable")]
    place, value = place[known], value[known]
    span = place[2:] - place[:-2]
    inner = span > 0
    if not inner.any():
        return float("nan")
    weight = (place[1:-1] - place[:-2])[inner] / span[inner]
    line = value[:-2][inner] * (1 - weight) + value[2:][inner] * weight
    scaled = (value[1:-1][inner] - line) / np.sqrt(1 + weight**2 + (1 - weight) ** 2)
    return float(1.4826 * np.median(np.abs(scaled)))


def estimate_noise(record: xr.DataTree) -> dict[str, float]:
    """Standard deviation of the noise of every variable of /cycles and /checkups.

    Parameters
    ----------
    record : xarray.DataTree
        A record. Flagged points are left out.

    Returns
    -------
    dict of str to float
        ``"group/name"`` -> standard deviation, in the variable's unit. A voltage curve has one
        for all its charges. Variables with too few points are missing.
    """
    found = {}
    for group in ("cycles", "checkups"):
        if group not in record.children:
            continue
        dataset = record[group].to_dataset()
        for key in dataset.data_vars:
            name = str(key)
            if not without_companion(name)[1]:
                noise = _variable_noise(dataset, name)
                if np.isfinite(noise):
                    found[f"{group}/{name}"] = noise
    return found


def add_noise(record: xr.DataTree) -> xr.DataTree:
    """Write the estimated noise into a record, as ``<name>_std``.

    Parameters
    ----------
    record : xarray.DataTree
        A record.

    Returns
    -------
    xarray.DataTree
        The same, with one value a row for every variable that has none yet and scatters at all.
    """
    groups = {group: child.to_dataset() for group, child in record.children.items()}
    for key, noise in estimate_noise(record).items():
        group, name = key.split("/")
        if noise > 0 and f"{name}_std" not in groups[group]:
            dimension = DIMENSIONS[group]
            column = np.full(groups[group].sizes[dimension], noise)
            attrs = {"units": groups[group][name].attrs.get("units", "")}
            groups[group] = groups[group].assign({f"{name}_std": (dimension, column, attrs)})
    tree = xr.DataTree.from_dict(groups)
    tree.attrs = dict(record.attrs)
    return tree


def _variable_noise(dataset: xr.Dataset, name: str) -> float:
    places = [dataset[c].values.astype(float) for c in COORDINATES if c in dataset.variables]
    x = max(places, key=lambda place: int(np.isfinite(place).sum()))
    values = dataset[name].values.astype(float)
    if f"{name}_flag" in dataset:
        values = np.where(dataset[f"{name}_flag"].values == 1, np.nan, values)
    columns = [values] if values.ndim == 1 else list(values.T)
    estimates = np.array([series_noise(x, column) for column in columns])
    estimates = estimates[np.isfinite(estimates)]
    return float(np.sqrt(np.mean(estimates**2))) if estimates.size else float("nan")
