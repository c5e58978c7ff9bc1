"""What the driver of a fit found, made into a fit: statistics, the fitted cell, its tree."""

from __future__ import annotations

import json
from collections.abc import Sequence

import xarray as xr

from cellmodels.cell import Cell
from cellmodels.estimates import ATTRIBUTE, as_attribute
from cellmodels.fitting import fit_tree
from cellmodels.fitting.empirical import compare_with_empirical
from cellmodels.fitting.least_squares import Optimum
from cellmodels.fitting.problem import Problem
from cellmodels.fitting.result import Fit
from cellmodels.fitting.statistics import estimate_parameters, summarise, variable_fits
from cellmodels.protocol import Protocol

__all__ = ["assemble", "fitted_cell"]


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
