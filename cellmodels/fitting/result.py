"""A finished fit of a life: numbers, what they are worth, and what is needed to use them again.

All numbers live in one ``xarray.DataTree``; a :class:`Fit` adds the cell and the protocol and
reads everything else from the tree, so that a fit loaded from a file is the same fit. The groups of
the tree are listed in :mod:`cellmodels.fitting.fit_tree`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import xarray as xr
from numpy.typing import ArrayLike

from cellmodels.cell import Cell
from cellmodels.errors import InputError
from cellmodels.estimates import ATTRIBUTE, as_attribute, sentence
from cellmodels.fitting.asking import Asking
from cellmodels.fitting.fit_netcdf import DAMAGED, read_fit
from cellmodels.fitting.fitted_cell import FittedCell
from cellmodels.fitting.fixed_inputs import (
    input_uncertainty,
    tree_with_inputs,
    variance_from_inputs,
)
from cellmodels.fitting.forecast import forecast
from cellmodels.fitting.input_derivatives import Maker, simulators
from cellmodels.fitting.input_refits import with_refits
from cellmodels.fitting.problem import Predictor, Problem
from cellmodels.fitting.uncertainty.sources import SimulatedLife
from cellmodels.fitting.uncertainty.workers import Source
from cellmodels.input_figures import plot_inputs
from cellmodels.plotting import plot_fit
from cellmodels.protocol import Protocol

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Fit"]


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
        The numbers; see :mod:`cellmodels.fitting.fit_tree`. Use :meth:`to_datatree` to get a copy.
    """

    cell: Cell
    protocol: Protocol
    tree: xr.DataTree

    def _with_tree(self, tree: xr.DataTree) -> Fit:
        return replace(self, tree=tree)

    def _simulated(self, problem: Problem) -> Source:
        return SimulatedLife.of(problem, self._cell_before(), self.protocol)

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
        except DAMAGED as error:
            raise InputError(f"{path} is a damaged fit: {error!r}.") from error
        return cls(cell, protocol, tree)
