"""The result of a fit of a fresh cell."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Self

import numpy as np
import xarray as xr

from cellmodels.cell import Cell
from cellmodels.errors import InputError
from cellmodels.experiments.datasets import beside, experiment_from, node_name
from cellmodels.experiments.experiment import Experiment
from cellmodels.experiments.parts import Measured
from cellmodels.fitting.asking import Asking
from cellmodels.fitting.fit_netcdf import read_fit
from cellmodels.fitting.fitted_cell import FittedCell
from cellmodels.fitting.problem import Problem
from cellmodels.fitting.uncertainty.sources import SimulatedExperiments
from cellmodels.fitting.uncertainty.workers import Source
from cellmodels.fresh_figures import plot_fresh_fit

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["FreshFit"]


class FreshFit(FittedCell, Asking):
    """A cell fitted to experiments: made by :func:`cellmodels.fit_fresh`, not changed.

    Attributes
    ----------
    cell : Cell
        The cell with the fitted values, its initial concentrations given as numbers. Scale
        factors and offsets of currents are numbers of its set.
    experiments : tuple of Experiment
        What was done to the cell, and measured.
    tree : xarray.DataTree
        The numbers, in the groups ``/parameters``, ``/points``, ``/variables``, ``/trials`` and
        ``/record``, and those that were asked for; see :mod:`cellmodels.fitting.fit_tree`.
    """

    def __init__(self, cell: Cell, experiments: tuple[Experiment, ...], tree: xr.DataTree) -> None:
        self.cell, self.experiments, self.tree = cell, experiments, tree

    @property
    def curves(self) -> xr.DataTree:
        """Measured and fitted variables of each experiment and their differences.

        In the form of :func:`cellmodels.simulate_experiments`.
        """
        points = self.tree["points"].to_dataset()
        tree: dict[str, xr.Dataset] = {}
        for experiment in self.experiments:
            known = {experiment.label(what) for what in _VARIABLES}
            measured: list[Measured] = []
            values: list[float] = []
            for name in dict.fromkeys(points["variable"].values.astype(str)):
                if name in known:
                    own = points.isel(point=points["variable"].values == name)
                    unit, place = (str(own[c].values[0]) for c in ("unit", "coordinate"))
                    at, data = own["at"].values, own["data"].values
                    measured.append(Measured(name, unit, place, at, data, None))
                    values.extend(own["prediction"].values)
            dataset = beside(measured, np.array(values), experiment.name)
            tree[f"/{node_name(experiment)}"] = dataset
        return xr.DataTree.from_dict(tree)

    def _with_tree(self, tree: xr.DataTree) -> Self:
        return type(self)(self.cell, self.experiments, tree)

    def _simulated(self, problem: Problem) -> Source:
        return SimulatedExperiments.of(problem, self._cell_before(), self.experiments)

    def plot(self) -> Figure:
        """Experiments, what was fitted, residuals and parameters in one figure."""
        return plot_fresh_fit(self.tree)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a fit written by :meth:`save`.

        Raises
        ------
        InputError
            When the file is not a fit of a fresh cell, or its cell does not match the hash stored
            beside it.
        """
        tree, cell = read_fit(path)
        nodes = tree["record"].children
        if not nodes or any("experiment" not in node.attrs for node in nodes.values()):
            raise InputError(f"{path} is no fit of a fresh cell; cm.Fit.load reads fits of a life.")
        experiments = tuple(experiment_from(node.to_dataset()) for node in nodes.values())
        return cls(cell, experiments, tree)


_VARIABLES = (
    "voltage",
    "temperature",
    "open-circuit voltage",
    "impedance, real",
    "impedance, imaginary",
)
