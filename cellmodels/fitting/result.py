"""A finished fit: numbers, what they are worth, and everything needed to use them again.

All numbers live in one ``xarray.DataTree``; a :class:`Fit` adds the cell and the protocol and
reads everything else from the tree, so that a fit loaded from a file is the same fit.

Groups of the tree: ``/parameters`` (one row a parameter, with covariance and correlation of
the scaled parameters), ``/points`` (data, noise, prediction, residuals and Jacobian, one row
a point), ``/variables`` (one row a fitted variable), ``/trials`` (one row an evaluation),
``/simpler_models`` (one row a simpler model that was fitted first, if any), ``/comparison`` (the
fit beside empirical laws), ``/record`` (the data as they were given).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from cellmodels.cell import Cell
from cellmodels.errors import InputError
from cellmodels.estimates import ATTRIBUTE, as_attribute, names_in
from cellmodels.fitting.empirical import Comparison, compare_with_empirical
from cellmodels.fitting.least_squares import Optimum
from cellmodels.fitting.residuals import Observations
from cellmodels.fitting.scaling import Scaling
from cellmodels.fitting.statistics import (
    ParameterEstimate,
    Summary,
    VariableFit,
    estimate_parameters,
    summarise,
    variable_fits,
)
from cellmodels.fitting.text import notes, page, text
from cellmodels.parameter_set import ParameterSet
from cellmodels.plotting import plot_fit
from cellmodels.protocol import Protocol
from cellmodels.record.files.contents import contents
from cellmodels.record.netcdf import read_tree
from cellmodels.writing import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Fit", "FittedCell", "assemble", "fitted_cell"]

SCHEMA = "cellmodels-fit/1"
#: Groups that every fit has.
GROUPS = ("parameters", "points", "variables", "trials")


class FittedCell:
    """Fitted parameters of a cell with their uncertainty: what every fit has.

    Attributes
    ----------
    cell : Cell
        The cell with the fitted values.
    tree : xarray.DataTree
        The numbers; see the module's docstring. Use :meth:`to_datatree` to get a copy.
    """

    cell: Cell
    tree: xr.DataTree

    # Numbers ------------------------------------------------------------------------------

    @property
    def parameters(self) -> xr.Dataset:
        """Value, start, bounds, standard error, 95 % interval and flags of each parameter."""
        dataset = self._group("parameters")
        return dataset.drop_vars(["covariance", "correlation", "other"])

    @property
    def covariance(self) -> xr.DataArray:
        """Covariance of the scaled parameters (logarithms where positive), shape (p, p)."""
        return self._group("parameters")["covariance"]

    @property
    def correlation(self) -> xr.DataArray:
        """Correlation of the scaled parameters, shape (p, p)."""
        return self._group("parameters")["correlation"]

    @property
    def residuals(self) -> xr.Dataset:
        """Residuals, model minus data, in the data's unit and divided by the noise."""
        return self._group("points")[["residual", "normalised_residual"]]

    @property
    def prediction(self) -> xr.Dataset:
        """Data, noise, model and its Jacobian at every point."""
        return self._group("points")[["data", "std", "prediction", "jacobian"]]

    @property
    def variables(self) -> xr.Dataset:
        """Points used and left out, and quality of the description, of each variable."""
        return self._group("variables")

    @property
    def trials(self) -> xr.Dataset:
        """Every evaluation of the fit, failed ones included; not those of simpler models."""
        return self._group("trials")

    @property
    def simpler_models(self) -> xr.Dataset:
        """Simpler models that were fitted first: evaluations, status, and values found."""
        return self._group("simpler_models")

    @property
    def record(self) -> xr.DataTree:
        """The data, as they were given."""
        return _detached(self.tree.children["record"])

    @property
    def values(self) -> dict[str, float]:
        """Fitted values by name, in the parameters' units."""
        parameters = self.tree["parameters"].to_dataset()
        names, values = parameters["parameter"].values, parameters["value"].values
        return {str(n): float(v) for n, v in zip(names, values, strict=True)}

    @property
    def status(self) -> str:
        """``"converged"``, ``"stalled"``, ``"blocked"``, ``"evaluations"`` or ``"interrupted"``."""
        return str(self.tree.attrs["status"])

    @property
    def converged(self) -> bool:
        """Whether the fit ended at a minimum."""
        return self.status == "converged"

    @property
    def statistics(self) -> dict[str, float]:
        """Numbers of the fit as a whole, e.g. ``chi_square``, ``aicc``, ``evaluations``."""
        return {
            str(name): value
            for name, value in self.tree.attrs.items()
            if isinstance(value, int | float)
        }

    @property
    def notes(self) -> list[str]:
        """What a reader of the numbers must know."""
        return notes(self.tree)

    @property
    def estimates(self) -> tuple[str, ...]:
        """Parameters of the model that are still estimates: neither fitted nor measured."""
        return names_in(self.tree.attrs)

    @property
    def table(self) -> pd.DataFrame:
        """One row a parameter: value, standard error, interval, unit, identifiable or not."""
        p = self.tree["parameters"].to_dataset()
        return pd.DataFrame(
            {
                "value": p["value"].values,
                "standard error": p["standard_error"].values,
                "95 % low": p["interval_low"].values,
                "95 % high": p["interval_high"].values,
                "unit": p["unit"].values.astype(str),
                "identifiable": p["identifiable"].values.astype(bool),
            },
            index=pd.Index(p["parameter"].values.astype(str), name="parameter"),
        )

    def parameter_set(self, name: str, title: str = "") -> ParameterSet:
        """The cell's parameter set under a name of its own, for a file.

        The fitted numbers say which record and which fit they come from: their source names a
        citation that holds the record's title, the model, and how the fit ended; their note holds
        the standard error. ``fit.parameter_set("my_cell").write("my_cell.toml")`` writes it.

        Parameters
        ----------
        name : str
            The new set's name: letters, digits, and ``_ . + -``.
        title : str, optional
            What it describes; by default that of the set that was fitted, and "fitted".

        Returns
        -------
        ParameterSet
            Complete but for PyBaMM's set at the bottom.

        Raises
        ------
        InputError
            If the name cannot be one.
        """
        old = self.cell.parameters
        record = self.tree["record"].attrs.get("title") or "a record without title"
        key = next(k for k in _keys("fit") if k not in old.citations)
        mechanisms = ", ".join(m.short_name for m in self.cell.mechanisms) or "no mechanism"
        citation = (
            f"Fit to {record} with cellmodels: {self.cell.model} with {mechanisms}; "
            f"{self.status} after {self.statistics.get('evaluations', 0):g} evaluations; "
            f"cell {self.cell.hash[:16]}"
        )
        changed = dict(old.parameters)
        for fitted, row in self.table.iterrows():
            each = changed[str(fitted)]
            known = "" if row["identifiable"] else ", not identifiable from these data"
            error = f"standard error {row['standard error']:.2g}{known}"
            note = "; ".join(part for part in (error, each.note) if part)
            changed[each.name] = replace(each, source=f"{key}, {each.source}", note=note)
        made = replace(
            old,
            name=name,
            title=title or f"{old.title}, fitted",
            parameters=changed,
            citations={**old.citations, key: citation},
        )
        return ParameterSet.from_dict(made.to_dict())  # which checks the name

    # Text, picture, file ------------------------------------------------------------------

    def __repr__(self) -> str:
        return text(self.tree, self.cell)

    def _repr_html_(self) -> str:
        return page(self.tree, self.cell)

    def to_datatree(self) -> xr.DataTree:
        """Everything as one tree, cell and protocol as JSON attributes."""
        return self.tree.copy(deep=True)

    def _group(self, name: str) -> xr.Dataset:
        if name not in self.tree.children:
            return xr.Dataset()
        return self.tree[name].to_dataset().copy(deep=True)


@dataclass(frozen=True, eq=False, repr=False)
class Fit(FittedCell):
    """Fitted parameters of a cell, with their uncertainty and the data behind them.

    Made by :func:`cellmodels.fit` or :meth:`Fit.load`; not changed afterwards.

    Parameters
    ----------
    cell : Cell
        The cell with the fitted values.
    protocol : Protocol
        What was done to the cell.
    tree : xarray.DataTree
        The numbers; see the module's docstring. Use :meth:`to_datatree` to get a copy.
    """

    cell: Cell
    protocol: Protocol
    tree: xr.DataTree

    @property
    def comparison(self) -> xr.Dataset:
        """The fit beside empirical laws on the same points; smaller AICc is better."""
        return self._group("comparison")

    def plot(self) -> Figure:
        """Data, model, residuals and parameters in one figure."""
        return plot_fit(self.tree)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fit to a netCDF file, replacing it in one step.

        Parameters
        ----------
        path : path
            Usually ending in ``.nc``.
        """
        target = Path(path).absolute()
        if not target.parent.is_dir():
            raise InputError(f"The folder {target.parent} does not exist.")
        with replacing(target) as temporary:
            self.tree.to_netcdf(temporary, engine="h5netcdf")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Fit:
        """Read a fit written by :meth:`save`.

        Raises
        ------
        InputError
            When the file is not a fit, or its cell does not match the hash stored beside it.
        """
        if not Path(path).is_file():
            raise InputError(f"There is no file {path}.")
        with contents(Path(path)) as content:
            if content.kind != "netcdf":
                raise InputError(f"{path} is not a netCDF file of a fit.")
            tree = _plain(read_tree(content))
        if tree.attrs.get("schema") != SCHEMA:
            raise InputError(f"{path} is not a fit: its schema is {tree.attrs.get('schema')!r}.")
        for name in GROUPS:
            if name not in tree.children:
                raise InputError(f"{path} is a damaged fit: it has no group '{name}'.")
        try:
            cell = Cell.from_dict(json.loads(tree.attrs["cell"]))
            protocol = Protocol.from_dict(json.loads(tree.attrs["protocol"]))
            stored = str(tree.attrs["cell_hash"])
        except InputError:
            raise
        except (
            ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError
        ) as error:  # fmt: skip
            raise InputError(f"{path} is a damaged fit: {error!r}.") from error
        if cell.hash != stored:
            raise InputError(
                f"The cell in {path} is not the one that was fitted: its hash is {cell.hash}, the "
                f"stored one {stored}. A parameter set or chemistry it is based "
                "on has changed since, or the file was edited."
            )
        return cls(cell, protocol, tree)


def assemble(
    cell: Cell,
    protocol: Protocol,
    record: xr.DataTree,
    observations: Observations,
    scaling: Scaling,
    optimum: Optimum,
    remarks: Sequence[str] = (),
) -> Fit:
    """Make a :class:`Fit` of what the driver found.

    Parameters
    ----------
    cell : Cell
        Before the fit.
    protocol : Protocol
    record : xarray.DataTree
    observations : Observations
    scaling : Scaling
    optimum : Optimum
    remarks : sequence of str
        Notes to show with the result.

    Returns
    -------
    Fit
    """
    fitted, tree = fitted_cell(cell, record, observations, scaling, optimum, remarks)
    comparison = compare_with_empirical(observations, optimum.best.residuals, len(scaling))
    if comparison:
        tree["comparison"] = xr.DataTree(_plain_dataset(_comparison(comparison)))
    tree.attrs["protocol"] = json.dumps(protocol.to_dict())
    return Fit(fitted, protocol, tree)


def fitted_cell(
    cell: Cell,
    record: xr.DataTree,
    observations: Observations,
    scaling: Scaling,
    optimum: Optimum,
    remarks: Sequence[str] = (),
) -> tuple[Cell, xr.DataTree]:
    """The cell with its fitted values, and the groups that the trees of all fits have."""
    best = optimum.best
    fits = variable_fits(observations, best.residuals)
    summary = summarise(observations, best.residuals, best.jacobian, fits)
    estimates = estimate_parameters(
        scaling, best.scaled, summary.covariance, summary.degrees_of_freedom
    )
    source = f"fitted to {record.attrs.get('title') or 'a record'}"
    fitted = cell
    for known in (True, False):  # what the data do not determine is no better known than before
        values = {e.name: e.value for e in estimates if e.identifiable is known}
        fitted = fitted.with_parameters(values, source, "fitted" if known else None)
    groups = {
        "parameters": _parameters(estimates, summary),
        "points": _points(observations, optimum, scaling),
        "variables": _variables(observations, fits),
        "trials": _trials(optimum, scaling),
    }
    if optimum.simpler:
        groups["simpler_models"] = _simpler_models(optimum, scaling)
    tree = xr.DataTree.from_dict({f"/{name}": _plain_dataset(d) for name, d in groups.items()})
    tree["record"] = _detached(record)
    tree.attrs = {
        **_attributes(optimum, summary, remarks),
        "cell": json.dumps(fitted.to_dict()),
        "cell_hash": fitted.hash,
        ATTRIBUTE: as_attribute(fitted.estimates),
    }
    return fitted, tree


def _keys(stem: str) -> Iterator[str]:
    """Keys of citations: fit, fit2, fit3 and so on."""
    yield stem
    for k in count(2):
        yield f"{stem}{k}"


# The tree ---------------------------------------------------------------------------------


def _attributes(optimum: Optimum, summary: Summary, remarks: Sequence[str]) -> dict[str, Any]:
    attributes = {
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
        "remarks": json.dumps(list(remarks)),
    }
    if optimum.tolerance is not None:
        attributes["solver_tolerance"] = optimum.tolerance
    return {name: _plain_attribute(value) for name, value in attributes.items()}


def _parameters(estimates: Sequence[ParameterEstimate], summary: Summary) -> xr.Dataset:
    def column(name: str, about: str) -> tuple[str, Any, dict[str, str]]:
        return "parameter", [getattr(e, name) for e in estimates], {"long_name": about}

    matrix = ("parameter", "other")
    scaled = {"long_name": "of scaled parameters: logarithms where positive"}
    names = [e.name for e in estimates]
    return xr.Dataset(
        {
            "value": column("value", "fitted value"),
            "start": column("start", "start of the fit"),
            "lower_bound": column("lower", "lower bound"),
            "upper_bound": column("upper", "upper bound"),
            "standard_error": column("standard_error", "standard error"),
            "scaled_standard_error": column("scaled_error", "standard error, scaled parameter"),
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
            "column": (
                "point",
                repeated([-1 if points.column is None else points.column for points in sets]),
                {"long_name": "column of a voltage curve, -1 for scalars"},
            ),
            "charge": ("point", observations.charge, {"units": "A.h"}),
            "coordinate": ("point", repeated([points.coordinate for points in sets])),
            "at": ("point", np.concatenate([points.at for points in sets])),
            "position": ("point", observations.position, {"long_name": "index in the record"}),
            "parameter": list(scaling.names),
        },
    )


def _variables(observations: Observations, fits: Sequence[VariableFit]) -> xr.Dataset:
    variables = observations.variables
    std = [
        float(np.median(observations.std[observations.owner == i])) if v.used else np.nan
        for i, v in enumerate(variables)
    ]
    return xr.Dataset(
        {
            "unit": ("variable", [v.unit for v in variables]),
            "coordinate": ("variable", [v.coordinate for v in variables]),
            "used": ("variable", [v.used for v in variables]),
            "flagged": ("variable", [v.flagged for v in variables]),
            "missing": ("variable", [v.missing for v in variables]),
            "noise": ("variable", std, {"long_name": "median standard deviation of the data"}),
            "noise_origin": ("variable", [v.noise for v in variables]),
            "rms": ("variable", [f.rms for f in fits], {"long_name": "of normalised residuals"}),
            "rms_natural": ("variable", [f.rms_natural for f in fits]),
            "autocorrelation": ("variable", [f.autocorrelation for f in fits]),
            "autocorrelation_p": ("variable", [f.p_value for f in fits]),
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


def _comparison(comparison: Sequence[Comparison]) -> xr.Dataset:
    return xr.Dataset(
        {
            "parameters": ("law", [c.parameters for c in comparison]),
            "points": ("law", [c.points for c in comparison]),
            "rms": ("law", [c.rms for c in comparison]),
            "aicc": ("law", [float(c.aicc) for c in comparison]),
        },
        coords={"law": [c.law for c in comparison]},
    )


def _detached(node: xr.DataTree) -> xr.DataTree:
    """A deep copy of a node as the root of its own tree, in plain types."""
    return _plain(
        xr.DataTree.from_dict(
            {child.relative_to(node): child.to_dataset() for child in node.subtree}
        )
    )


def _plain(tree: xr.DataTree) -> xr.DataTree:
    """The tree with texts as fixed-width strings and no trace of a file's encoding."""
    return xr.DataTree.from_dict(
        {node.path: _plain_dataset(node.to_dataset(inherit=False)) for node in tree.subtree}
    )


def _plain_dataset(dataset: xr.Dataset) -> xr.Dataset:
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
