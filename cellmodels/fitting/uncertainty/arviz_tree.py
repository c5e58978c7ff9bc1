"""Samples in the groups that arviz knows (https://python.arviz.org, InferenceData schema)."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from cellmodels.fitting.problem import Problem
from cellmodels.fitting.residuals import Observations
from cellmodels.fitting.scaling import Scaling

__all__ = ["arviz_tree"]

_PRIOR_DRAWS = 1000
_LIBRARY = {"inference_library": "emcee", "created_by": "cellmodels"}


def arviz_tree(samples: xr.Dataset, problem: Problem) -> xr.DataTree:
    """Samples and data as groups of arviz.

    Parameters
    ----------
    samples : xarray.Dataset
        From :func:`~cellmodels.fitting.uncertainty.sampling.sample_posterior`.
    problem : Problem
        Its predictor is not used.

    Returns
    -------
    xarray.DataTree
        ``/posterior``: one variable a parameter, by chain and draw; ``/sample_stats``: ``lp``;
        ``/observed_data``: one variable a fitted variable; ``/prior`` where it is flat between
        finite bounds.
    """
    names = [str(name) for name in samples["parameter"].values]
    units = {p.name: p.unit for p in problem.scaling.parameters}
    posterior = {
        _plain(name): (
            ("chain", "draw"),
            samples["values"].sel(parameter=name).values,
            {"units": units[name]},
        )
        for name in names
    }
    chains = {"chain": samples["chain"].values, "draw": samples["draw"].values}
    said = {k: v for k, v in samples.attrs.items() if k in ("converged", "message", "acceptance")}
    statistics = {"lp": (("chain", "draw"), samples["lp"].values)}
    groups = {
        "/posterior": xr.Dataset(posterior, chains, {**_LIBRARY, **said}),
        "/sample_stats": xr.Dataset(statistics, chains, dict(_LIBRARY)),
        "/observed_data": _observed(problem.observations),
    }
    prior = (
        None if problem.prior is not None else _flat(problem.scaling, int(samples.attrs["seed"]))
    )
    if prior is not None:
        groups["/prior"] = prior
    return xr.DataTree.from_dict(groups)


def _observed(observations: Observations) -> xr.Dataset:
    data: dict[str, Any] = {}
    at = np.concatenate([points.at for points in observations.points])
    for index, variable in enumerate(observations.variables):
        mine = observations.owner == index
        if not mine.any():
            continue
        name = f"{variable.group}_{variable.name}"
        attributes = {"units": variable.unit}
        data[name] = (f"{name}_point", observations.data[mine], attributes)
        data[f"{name}_{variable.coordinate}"] = (f"{name}_point", at[mine])
    return xr.Dataset(data, attrs=dict(_LIBRARY))


def _flat(scaling: Scaling, seed: int) -> xr.Dataset | None:
    """Draws of a prior that is flat in scaled parameters."""
    lower, upper = scaling.bounds
    if not np.all(np.isfinite(upper - lower)):
        return None
    drawn = np.random.default_rng(seed).uniform(lower, upper, (1, _PRIOR_DRAWS, len(scaling)))
    values = scaling.to_values(drawn)
    data = {_plain(n): (("chain", "draw"), values[..., i]) for i, n in enumerate(scaling.names)}
    return xr.Dataset(data, {"chain": [0], "draw": np.arange(_PRIOR_DRAWS)}, dict(_LIBRARY))


def _plain(name: str) -> str:
    """A name that a variable of a tree can have."""
    return name.replace("/", " per ")
