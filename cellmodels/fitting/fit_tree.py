"""The numbers of a fit as one ``xarray.DataTree``, and what was fitted read back from it.

Groups of the tree: ``/parameters`` (one row a parameter, with covariance and correlation of
the scaled parameters), ``/points`` (data, noise, prediction, residuals and Jacobian, one row
a point), ``/variables`` (one row a fitted variable), ``/trials`` (one row an evaluation),
``/fixed_inputs`` (what fixed inputs add to the uncertainty, where asked for),
``/simpler_models`` (one row a simpler model that was fitted first, if any), ``/optima`` (where
fits from many starts ended, if there were any), ``/profile``, ``/bootstrap`` and ``/samples`` (what
was asked about the uncertainty and is carried), ``/comparison`` (the fit beside empirical laws),
``/record`` (the data as they were given).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from cellmodels.errors import InputError
from cellmodels.fitting.empirical import Comparison
from cellmodels.fitting.least_squares import Optimum
from cellmodels.fitting.loss import Loss
from cellmodels.fitting.prior import Prior
from cellmodels.fitting.problem import Problem
from cellmodels.fitting.residuals import Observations, Variable
from cellmodels.fitting.scaling import FreeParameter, Scaling
from cellmodels.fitting.statistics import LEVEL, ParameterEstimate, Summary, VariableFit, narrow
from cellmodels.observations import Points, PointSet

__all__ = [
    "SCHEMA",
    "attributes",
    "comparison",
    "detached",
    "loss",
    "make_tree",
    "observations",
    "plain",
    "plain_dataset",
    "prior",
    "profiled",
    "scaling",
]

SCHEMA = "cellmodels-fit/2"


def make_tree(
    problem: Problem,
    optimum: Optimum,
    fits: Sequence[VariableFit],
    summary: Summary,
    estimates: Sequence[ParameterEstimate],
) -> xr.DataTree:
    """The groups that the trees of all fits have, without attributes and without the record."""
    observed, scaled = problem.observations, problem.scaling
    groups = {
        "parameters": _parameters(problem, estimates, summary),
        "points": _points(observed, optimum, scaled),
        "variables": _variables(observed, fits, summary),
        "trials": _trials(optimum, scaled),
    }
    if optimum.simpler:
        groups["simpler_models"] = _simpler_models(optimum, scaled)
    return xr.DataTree.from_dict({f"/{name}": plain_dataset(d) for name, d in groups.items()})


# Reading back -----------------------------------------------------------------------------


def observations(tree: xr.DataTree) -> Observations:
    """What was fitted, from ``/points`` and ``/variables``."""
    points, variables = tree["points"].to_dataset(), tree["variables"].to_dataset()
    keys = [str(key) for key in variables["variable"].values]
    owner = np.array(
        [
            keys.index(f"{group}/{name}")
            for group, name in zip(points["group"].values, points["variable"].values, strict=True)
        ],
        dtype=np.int64,
    )
    return Observations(
        points=Points(_point_sets(points)),
        data=points["data"].values,
        std=points["std"].values,
        variables=tuple(_variable(variables, key) for key in keys),
        owner=owner,
        position=points["position"].values.astype(np.int64),
        charge=points["charge"].values,
        time=points["time"].values,
    )


def _point_sets(points: xr.Dataset) -> tuple[PointSet, ...]:
    series = points["series"].values
    sets = []
    for number in np.unique(series):
        mine = series == number
        first = int(np.argmax(mine))
        column = int(points["column"].values[first])
        sets.append(
            PointSet(
                str(points["group"].values[first]),
                str(points["variable"].values[first]),
                str(points["coordinate"].values[first]),
                points["at"].values[mine],
                None if column < 0 else column,
            )
        )
    return tuple(sets)


def _variable(variables: xr.Dataset, key: str) -> Variable:
    row = variables.sel(variable=key)
    group, name = key.split("/")
    return Variable(
        group=group,
        name=name,
        unit=str(row["unit"].item()),
        coordinate=str(row["coordinate"].item()),
        used=int(row["used"]),
        flagged=int(row["flagged"]),
        missing=int(row["missing"]),
        noise=str(row["noise_origin"].item()),
        along=str(row["along"].item()),
    )


def scaling(tree: xr.DataTree) -> Scaling:
    """The free parameters, from ``/parameters``."""
    p = tree["parameters"].to_dataset()
    return Scaling(
        [
            FreeParameter(
                name=str(p["parameter"].values[i]),
                start=float(p["start"].values[i]),
                lower=float(p["lower_bound"].values[i]),
                upper=float(p["upper_bound"].values[i]),
                nominal=float(p["nominal"].values[i]),
                unit=str(p["unit"].values[i]),
            )
            for i in range(p.sizes["parameter"])
        ]
    )


def prior(tree: xr.DataTree) -> Prior | None:
    """The prior on the scaled parameters, from ``/parameters``; None where there was none."""
    p = tree["parameters"].to_dataset()
    if "prior_root" not in p:
        return None
    return Prior(p["prior_mean"].values, p["prior_root"].values)


def loss(tree: xr.DataTree) -> Loss:
    """The loss, from the attributes."""
    return Loss(str(tree.attrs["loss"]), float(tree.attrs["loss_threshold"]))


def profiled(tree: xr.DataTree, profile: xr.Dataset) -> xr.Dataset:
    """``/parameters`` with the intervals of a profile, and its verdict.

    Raises
    ------
    InputError
        When the profile is of another level than that of the intervals.
    """
    if abs(float(profile.attrs["level"]) - LEVEL) > 1e-9:
        raise InputError(
            f"The profile has a level of {float(profile.attrs['level']):g}; the intervals of a fit "
            f"have one of {LEVEL:g}."
        )
    p = tree["parameters"].to_dataset().copy(deep=True)
    parameters = {each.name: each for each in scaling(tree).parameters}
    names = [str(name) for name in p["parameter"].values]
    for flag in ("open_low", "open_high"):
        if flag not in p:
            p[flag] = ("parameter", np.zeros(len(names), bool))
    if "profiled" not in p:
        about = {"long_name": "interval by profile likelihood, not by the standard error"}
        p["profiled"] = ("parameter", np.zeros(len(names), bool), about)
    for name in map(str, profile["parameter"].values):
        i, row = names.index(name), profile.sel(parameter=name)
        low, high = float(row["interval_low"]), float(row["interval_high"])
        closed = bool(row["closed_low"]), bool(row["closed_high"])
        p["interval_low"].values[i], p["interval_high"].values[i] = low, high
        p["open_low"].values[i], p["open_high"].values[i] = not closed[0], not closed[1]
        p["profiled"].values[i] = True
        p["identifiable"].values[i] = all(closed) and narrow(parameters[name], low, high)
    return p


# Writing ----------------------------------------------------------------------------------


def attributes(
    problem: Problem, optimum: Optimum, summary: Summary, remarks: Sequence[str]
) -> dict[str, Any]:
    """Attributes of the tree, but for those that describe the cell."""
    found = {
        "schema": SCHEMA,
        "status": optimum.status,
        "message": optimum.message,
        "promised_reduction": optimum.promise,
        "evaluations": len(optimum.trials),
        "failed_evaluations": sum(optimum.failures.values()),
        "failures": json.dumps(dict(optimum.failures)),
        "solver_error": optimum.best.prediction.error,
        "points": summary.points,
        "free_parameters": summary.parameters,
        "degrees_of_freedom": summary.degrees_of_freedom,
        "chi_square": summary.chi_square,
        "reduced_chi_square": summary.reduced_chi_square,
        "aicc": summary.aicc,
        "condition_number": summary.condition_number,
        "loss": problem.loss.name,
        "loss_threshold": problem.loss.threshold,
        "remarks": json.dumps(list(remarks)),
    }
    if optimum.tolerance is not None:
        found["solver_tolerance"] = optimum.tolerance
    return {name: _plain_attribute(value) for name, value in found.items()}


def _parameters(
    problem: Problem, estimates: Sequence[ParameterEstimate], summary: Summary
) -> xr.Dataset:
    def column(name: str, about: str) -> tuple[str, Any, dict[str, str]]:
        return "parameter", [getattr(e, name) for e in estimates], {"long_name": about}

    matrix = ("parameter", "other")
    scaled = {"long_name": "of scaled parameters: logarithms where positive"}
    names = [e.name for e in estimates]
    nominal = [p.start if p.nominal is None else p.nominal for p in problem.scaling.parameters]
    known: dict[str, Any] = {}
    if problem.prior is not None:
        known["prior_mean"] = ("parameter", problem.prior.mean, scaled)
        known["prior_root"] = (("prior_row", "parameter"), problem.prior.root, scaled)
    return xr.Dataset(
        {
            **known,
            "nominal": ("parameter", nominal, {"long_name": "value before the fit"}),
            "value": column("value", "fitted value"),
            "start": column("start", "start of the fit"),
            "lower_bound": column("lower", "lower bound"),
            "upper_bound": column("upper", "upper bound"),
            "standard_error": column("standard_error", "standard error"),
            "scaled_standard_error": column("scaled_error", "standard error, scaled parameter"),
            "widening": (
                "parameter",
                summary.widening,
                {"long_name": "standard error over that of noise of the stated size alone"},
            ),
            "interval_low": ("parameter", [e.interval[0] for e in estimates]),
            "interval_high": ("parameter", [e.interval[1] for e in estimates]),
            "unit": column("unit", "unit"),
            "logarithmic": column("logarithmic", "fitted on a logarithmic scale"),
            "identifiable": column("identifiable", "determined by the data"),
            "at_bound": column("at_bound", "value on a bound"),
            "fisher_information": (matrix, summary.fisher, scaled),
            "covariance": (matrix, summary.covariance, scaled),
            "correlation": (matrix, summary.correlation, scaled),
        },
        coords={"parameter": names, "other": names},
    )


def _points(observations: Observations, optimum: Optimum, scaling: Scaling) -> xr.Dataset:
    best = optimum.best
    assert best.prediction.values is not None and best.prediction.jacobian is not None
    sets = observations.points.sets
    sizes = [points.size for points in sets]
    variables = [observations.variables[i] for i in observations.owner]

    def repeated(values: Sequence[Any]) -> Any:
        return np.repeat(np.array(values), sizes)

    return xr.Dataset(
        {
            "data": ("point", observations.data),
            "std": ("point", observations.std),
            "prediction": ("point", best.prediction.values),
            "residual": ("point", best.residuals * observations.std),
            "normalised_residual": ("point", best.residuals),
            "jacobian": (
                ("point", "parameter"),
                best.prediction.jacobian,
                {"long_name": "derivative of the prediction, both in natural units"},
            ),
        },
        coords={
            "group": ("point", repeated([points.group for points in sets])),
            "variable": ("point", repeated([points.variable for points in sets])),
            "unit": ("point", [variable.unit for variable in variables]),
            "series": ("point", observations.series, {"long_name": "number of the point set"}),
            "column": (
                "point",
                repeated([-1 if points.column is None else points.column for points in sets]),
                {"long_name": "column of a voltage curve, -1 for scalars"},
            ),
            "charge": ("point", observations.charge, {"units": "A.h"}),
            "time": (
                "point",
                observations.time,
                {"units": "s", "long_name": "since the step began"},
            ),
            "coordinate": ("point", repeated([points.coordinate for points in sets])),
            "at": ("point", np.concatenate([points.at for points in sets])),
            "position": ("point", observations.position, {"long_name": "index in the record"}),
            "parameter": list(scaling.names),
        },
    )


def _variables(
    observations: Observations, fits: Sequence[VariableFit], summary: Summary
) -> xr.Dataset:
    variables = observations.variables
    found = {each.key: each for each in summary.discrepancies}

    def assumed(name: str, about: str) -> tuple[str, Any, dict[str, str]]:
        each = [getattr(found[v.key], name) if v.used else np.nan for v in variables]
        return "variable", np.array(each, dtype=float), {"long_name": about}

    sentences = [found[v.key].sentence if v.used else "" for v in variables]
    std = [
        float(np.median(observations.std[observations.owner == i])) if v.used else np.nan
        for i, v in enumerate(variables)
    ]
    return xr.Dataset(
        {
            "unit": ("variable", [v.unit for v in variables]),
            "coordinate": ("variable", [v.coordinate for v in variables]),
            "along": ("variable", [v.along for v in variables]),
            "used": ("variable", [v.used for v in variables]),
            "flagged": ("variable", [v.flagged for v in variables]),
            "missing": ("variable", [v.missing for v in variables]),
            "noise": ("variable", std, {"long_name": "median standard deviation of the data"}),
            "noise_origin": ("variable", [v.noise for v in variables]),
            "rms": ("variable", [f.rms for f in fits], {"long_name": "of normalised residuals"}),
            "rms_natural": ("variable", [f.rms_natural for f in fits]),
            "autocorrelation": ("variable", [f.autocorrelation for f in fits]),
            "autocorrelation_p": ("variable", [f.p_value for f in fits]),
            "discrepancy": ("variable", sentences, {"long_name": "what residuals are taken for"}),
            "drift": assumed("size", "standard deviation at the end of the data, in the unit"),
            "drift_length": assumed("length", "over which its rate keeps its value"),
            "wander": assumed("wander", "standard deviation of noise that is alike, in the unit"),
            "wander_length": assumed("wander_length", "over which it is alike"),
            "noise_factor": assumed("noise_factor", "on the variance of white noise"),
            "discrepancy_p": assumed("p_value", "probability of so much under white noise"),
        },
        coords={"variable": [v.key for v in variables]},
    )


def _trials(optimum: Optimum, scaling: Scaling) -> xr.Dataset:
    trials = optimum.trials
    return xr.Dataset(
        {
            "values": (("trial", "parameter"), np.array([t.values for t in trials])),
            "cost": ("trial", [t.cost for t in trials]),
            "ok": ("trial", [t.ok for t in trials]),
            "accepted": ("trial", [t.accepted for t in trials]),
            "reason": ("trial", [t.reason for t in trials]),
        },
        coords={"parameter": list(scaling.names), "trial": np.arange(1, len(trials) + 1)},
    )


def _simpler_models(optimum: Optimum, scaling: Scaling) -> xr.Dataset:
    fits = optimum.simpler
    none = np.full(len(scaling), np.nan)
    values = [scaling.to_values(fit.scaled) if fit.scaled else none for fit in fits]
    return xr.Dataset(
        {
            "values": (("model", "parameter"), np.array(values), {"long_name": "best point"}),
            "start_cost": ("model", [fit.start_cost for fit in fits]),
            "cost": ("model", [fit.cost for fit in fits]),
            "evaluations": ("model", [fit.evaluations for fit in fits]),
            "failed_evaluations": ("model", [fit.failed for fit in fits]),
            "status": ("model", [fit.status for fit in fits]),
            "message": ("model", [fit.message for fit in fits]),
        },
        coords={"parameter": list(scaling.names), "model": [fit.model for fit in fits]},
    )


def comparison(compared: Sequence[Comparison]) -> xr.Dataset:
    """The fit beside empirical laws, one row a law."""
    return xr.Dataset(
        {
            "parameters": ("law", [c.parameters for c in compared]),
            "points": ("law", [c.points for c in compared]),
            "rms": ("law", [c.rms for c in compared]),
            "aicc": ("law", [float(c.aicc) for c in compared]),
        },
        coords={"law": [c.law for c in compared]},
    )


def detached(node: xr.DataTree) -> xr.DataTree:
    """A deep copy of a node as the root of its own tree, in plain types."""
    return plain(
        xr.DataTree.from_dict(
            {child.relative_to(node): child.to_dataset() for child in node.subtree}
        )
    )


def plain(tree: xr.DataTree) -> xr.DataTree:
    """The tree with texts as fixed-width strings and no trace of a file's encoding."""
    return xr.DataTree.from_dict(
        {node.path: plain_dataset(node.to_dataset(inherit=False)) for node in tree.subtree}
    )


def plain_dataset(dataset: xr.Dataset) -> xr.Dataset:
    """The dataset in types that netCDF gives back as they were."""
    plain = dataset.copy(deep=True).drop_encoding()
    for name, variable in dataset.variables.items():
        if variable.dtype.kind in "OT":
            texts = (variable.dims, variable.values.astype(str), variable.attrs)
            plain = (
                plain.assign_coords({name: texts})
                if name in dataset.coords
                else (plain.assign({name: texts}))
            )
    plain.attrs = {name: _plain_attribute(value) for name, value in dataset.attrs.items()}
    return plain


def _plain_attribute(value: Any) -> Any:
    """An attribute as netCDF gives it back, in Python's types."""
    if isinstance(value, bool | np.bool_):
        return int(value)
    return value.item() if isinstance(value, np.generic) else value
