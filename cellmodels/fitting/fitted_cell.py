"""What every fit of a cell has: values with their uncertainty, a table, texts, and a file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from itertools import count

import pandas as pd
import xarray as xr

from cellmodels.cell import Cell
from cellmodels.estimates import names_in
from cellmodels.fitting import fit_tree
from cellmodels.fitting.fit_netcdf import write_fit
from cellmodels.fitting.text import notes, page, text
from cellmodels.parameter_set import ParameterSet

__all__ = ["FittedCell"]


class FittedCell:
    """Fitted parameters of a cell with their uncertainty: what every fit has.

    Attributes
    ----------
    cell : Cell
        The cell with the fitted values.
    tree : xarray.DataTree
        The numbers; see :mod:`cellmodels.fitting.fit_tree`. Use :meth:`to_datatree` to get a copy.
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

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fit to a netCDF file, replacing it in one step.

        Parameters
        ----------
        path : path
            Usually ending in ``.nc``.
        """
        write_fit(self.tree, path)

    def _group(self, name: str) -> xr.Dataset:
        if name not in self.tree.children:
            return xr.Dataset()
        return self.tree[name].to_dataset().copy(deep=True)


def _keys(stem: str) -> Iterator[str]:
    """Keys of citations: fit, fit2, fit3 and so on."""
    yield stem
    for k in count(2):
        yield f"{stem}{k}"
