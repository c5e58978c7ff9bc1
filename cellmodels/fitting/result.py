"""A finished fit: numbers, what they are worth, and everything needed to use them again.

All numbers live in one ``xarray.DataTree``; a :class:`Fit` adds the cell and the protocol and
reads everything else from the tree, so that a fit loaded from a file is the same fit.

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
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike

from cellmodels.cell import Cell
from cellmodels.errors import InputError
from cellmodels.estimates import ATTRIBUTE, as_attribute, names_in, sentence
from cellmodels.fitting import fit_tree
from cellmodels.fitting.asking import Asking
from cellmodels.fitting.empirical import compare_with_empirical
from cellmodels.fitting.fixed_inputs import (
    input_uncertainty,
    tree_with_inputs,
    variance_from_inputs,
)
from cellmodels.fitting.forecast import forecast
from cellmodels.fitting.input_derivatives import Maker, simulators
from cellmodels.fitting.input_refits import with_refits
from cellmodels.fitting.least_squares import Optimum
from cellmodels.fitting.problem import Predictor, Problem
from cellmodels.fitting.statistics import estimate_parameters, summarise, variable_fits
from cellmodels.fitting.text import notes, page, text
from cellmodels.input_figures import plot_inputs
from cellmodels.parameter_set import ParameterSet
from cellmodels.plotting import plot_fit
from cellmodels.protocol import Protocol
from cellmodels.record.files.contents import contents
from cellmodels.record.netcdf import read_tree
from cellmodels.writing import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Fit", "FittedCell", "assemble", "fitted_cell", "read_fit", "write_fit"]

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
        matrices = ["fisher_information", "covariance", "data_covariance", "correlation", "other"]
        return dataset.drop_vars([*matrices, "prior_root"], errors="ignore")

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
    def optima(self) -> xr.Dataset:
        """Distinct optima that fits from many starts ended in, the best first."""
        return self._group("optima")

    @property
    def record(self) -> xr.DataTree:
        """The data, as they were given."""
        return fit_tree.detached(self.tree.children["record"])

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
        """Numbers of the fit as a whole, e.g. ``chi_square``, ``aicc``, ``evaluations``.

        ``aicc`` takes residuals for independent and normal; it is NaN with a robust loss.
        """
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
class Fit(FittedCell, Asking):
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

    def _with_tree(self, tree: xr.DataTree) -> Fit:
        return replace(self, tree=tree)

    def forecast(
        self,
        cycles: ArrayLike,
        variables: Iterable[str] | None = None,
        *,
        levels: Sequence[float] = (0.95,),
        predict: Predictor | None = None,
        maker: Maker | None = None,
    ) -> xr.Dataset:
        """What comes after the data, with intervals; see :mod:`cellmodels.fitting.forecast`.

        Of a fit with :meth:`with_fixed_inputs` the intervals include their uncertainty.

        Parameters
        ----------
        cycles : int or array_like of int
            Last cycle, or all that are wanted; beyond the data.
        variables : iterable of str, optional
            Fitted scalars; by default the discharge capacity.
        levels : sequence of float
            Of the intervals.
        predict : Predictor, optional
            In place of the simulator of the cell under its protocol.
        maker : callable, optional
            In place of what makes simulators in which fixed inputs vary, too.

        Returns
        -------
        xarray.Dataset
            Median and intervals of each variable along ``cycle``, for the cell's true value and
            for a measurement of it.

        Raises
        ------
        InputError
            On a variable, cycle or level that cannot be forecast.
        ForecastError
            When the fitted cell cannot be simulated so far.
        """
        problem = self.problem(predict)
        values = list(self.values.values())
        best = problem.evaluate_optimum(values)
        inputs = self.fixed_inputs
        if not inputs.sizes.get("input"):
            found = forecast(problem, best, cycles, variables, levels=levels)
            said = sentence(self.estimates) or "taken as known"
        else:
            make = maker or simulators(self.cell, self.protocol, problem.scaling.names)
            added = partial(variance_from_inputs, inputs, make, values)
            found = forecast(problem, best, cycles, variables, levels=levels, added=added)
            said = f"intervals include the uncertainty of {inputs.sizes['input']} fixed inputs"
        return found.assign_attrs({ATTRIBUTE: as_attribute(self.estimates), "fixed_inputs": said})

    def input_uncertainty(
        self, names: Sequence[str] | None = None, *, check: int = 0, **options: Any
    ) -> xr.Dataset:
        """How much of the uncertainty comes from parameters that were not fitted.

        Parameters
        ----------
        names : sequence of str, optional
            Fixed inputs to take; by default all that the cell's equations read and that have a
            range in the parameter set.
        check : int
            So many inputs, those that contribute most, are also moved by one standard deviation
            up and down, and the fit repeated.
        **options
            ``statuses``, ``ranges``, ``reading``: see
            :func:`cellmodels.fitting.fixed_inputs.input_uncertainty`.

        Returns
        -------
        xarray.Dataset
            See there, and :func:`cellmodels.fitting.input_refits.with_refits`.
        """
        found = input_uncertainty(self, names, **options)
        return with_refits(self, found, check, options.get("maker"))

    def with_fixed_inputs(
        self, names: Sequence[str] | None = None, *, check: int = 0, **options: Any
    ) -> Fit:
        """The fit with the uncertainty of its fixed inputs included.

        Parameters
        ----------
        names, check, **options
            As :meth:`input_uncertainty`.

        Returns
        -------
        Fit
            Standard errors, intervals, covariance and notes include the fixed inputs; values are
            the same. :attr:`fixed_inputs` holds the budget, and what the data alone say stays in
            ``parameters``.
        """
        found = self.input_uncertainty(names, check=check, **options)
        return replace(self, tree=tree_with_inputs(self.tree, found))

    @property
    def fixed_inputs(self) -> xr.Dataset:
        """What fixed inputs add to the uncertainty; empty without :meth:`with_fixed_inputs`."""
        return self._group("fixed_inputs")

    def plot_fixed_inputs(self) -> Figure:
        """Shares of the parameters' variances, and the inputs' places before and after the data."""
        return plot_inputs(self.tree)

    @property
    def comparison(self) -> xr.Dataset:
        """The fit beside empirical laws on the same points; smaller AICc is better.

        Empty with a robust loss: the laws are fitted by least squares.
        """
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
        write_fit(self.tree, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Fit:
        """Read a fit written by :meth:`save`.

        Raises
        ------
        InputError
            When the file is not a fit, or its cell does not match the hash stored beside it.
        """
        tree, cell = read_fit(path)
        parts = tree["record"].children.values() if "record" in tree.children else ()
        if any("experiment" in node.attrs for node in parts):
            raise InputError(f"{path} is a fit of a fresh cell: cm.FreshFit.load reads it.")
        try:
            protocol = Protocol.from_dict(json.loads(tree.attrs["protocol"]))
        except InputError:
            raise
        except _DAMAGED as error:
            raise InputError(f"{path} is a damaged fit: {error!r}.") from error
        return cls(cell, protocol, tree)


#: What damaged content of a file raises where it is read.
_DAMAGED = (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError)


def write_fit(tree: xr.DataTree, path: str | os.PathLike[str]) -> None:
    """Write the tree of a fit to a netCDF file, replacing it in one step."""
    target = Path(path).absolute()
    if not target.parent.is_dir():
        raise InputError(f"The folder {target.parent} does not exist.")
    with replacing(target) as temporary:
        tree.to_netcdf(temporary, engine="h5netcdf")


def read_fit(path: str | os.PathLike[str]) -> tuple[xr.DataTree, Cell]:
    """Tree and fitted cell of a file that :func:`write_fit` wrote.

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
        tree = fit_tree.plain(read_tree(content))
    if tree.attrs.get("schema") != fit_tree.SCHEMA:
        raise InputError(f"{path} is not a fit: its schema is {tree.attrs.get('schema')!r}.")
    for name in GROUPS:
        if name not in tree.children:
            raise InputError(f"{path} is a damaged fit: it has no group '{name}'.")
    try:
        cell = Cell.from_dict(json.loads(tree.attrs["cell"]))
        stored = str(tree.attrs["cell_hash"])
    except InputError:
        raise
    except _DAMAGED as error:
        raise InputError(f"{path} is a damaged fit: {error!r}.") from error
    if cell.hash != stored:
        raise InputError(
            f"The cell in {path} is not the one that was fitted: its hash is {cell.hash}, the "
            f"stored one {stored}. A parameter set or chemistry it is based "
            "on has changed since, or the file was edited."
        )
    return tree, cell


def assemble(
    cell: Cell,
    protocol: Protocol,
    record: xr.DataTree,
    problem: Problem,
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
    problem : Problem
    optimum : Optimum
    remarks : sequence of str
        Notes to show with the result.

    Returns
    -------
    Fit
    """
    fitted, tree = fitted_cell(cell, record, problem, optimum, remarks)
    comparison = (
        compare_with_empirical(problem.observations, optimum.best.residuals, len(problem.scaling))
        if not problem.loss.robust
        else ()
    )
    if comparison:
        tree["comparison"] = xr.DataTree(fit_tree.plain_dataset(fit_tree.comparison(comparison)))
    tree.attrs["protocol"] = json.dumps(protocol.to_dict())
    return Fit(fitted, protocol, tree)


def fitted_cell(
    cell: Cell,
    record: xr.DataTree,
    problem: Problem,
    optimum: Optimum,
    remarks: Sequence[str] = (),
) -> tuple[Cell, xr.DataTree]:
    """The cell with its fitted values, and the groups that the trees of all fits have."""
    best, observations = optimum.best, problem.observations
    fits = variable_fits(observations, best.residuals, problem.loss)
    summary = summarise(problem, best)
    estimates = estimate_parameters(
        problem.scaling, best.scaled, summary.covariance, summary.degrees_of_freedom
    )
    source = f"fitted to {record.attrs.get('title') or 'a record'}"
    fitted = cell
    for known in (True, False):  # what the data do not determine is no better known than before
        values = {e.name: e.value for e in estimates if e.identifiable is known}
        fitted = fitted.with_parameters(values, source, "fitted" if known else None)
    tree = fit_tree.make_tree(problem, optimum, fits, summary, estimates)
    tree["record"] = fit_tree.detached(record)
    tree.attrs = {
        **fit_tree.attributes(problem, optimum, summary, remarks),
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
