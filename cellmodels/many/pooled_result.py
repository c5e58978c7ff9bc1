"""A finished population: numbers in one tree, its table and its file.

Groups of the tree: ``/coefficients`` (means and activation energies with covariance),
``/parameters`` (spread, scale, bounds), ``/cells`` (each cell's estimate alone and given the
population, its quadratic form, and its check), ``/noise`` (residuals of each variable).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import scipy.stats
import xarray as xr
from numpy.typing import NDArray

from cellmodels.cell import Cell
from cellmodels.errors import InputError
from cellmodels.fitting import Fit, fit_tree
from cellmodels.fitting.problem import Evaluation, Problem
from cellmodels.fitting.scaling import FreeParameter, Scaling
from cellmodels.fitting.statistics import strong_correlations
from cellmodels.many.figures import plot_population
from cellmodels.many.laws import Law
from cellmodels.many.line_comparison import LineTest, cell_checks, compare_line
from cellmodels.many.population import Cells, Population, Settings
from cellmodels.protocol import Protocol
from cellmodels.record.files.contents import contents
from cellmodels.record.netcdf import read_tree
from cellmodels.writing import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["PooledFit", "pooled_tree"]

Array = NDArray[np.float64]

SCHEMA = "cellmodels-population/1"
_FEW = 5
_TOGETHER = 0.3  # correlation from which on a pair is listed


@dataclass(frozen=True, eq=False, repr=False)
class PooledFit:
    """A population of cells: made by :func:`cellmodels.fit_pooled` or :meth:`load`.

    Parameters
    ----------
    cell : Cell
        The first of the cells, with its own fit.
    protocol : Protocol
        Of the same.
    tree : xarray.DataTree
        The numbers; see the module's docstring.
    """

    cell: Cell
    protocol: Protocol
    tree: xr.DataTree

    # Numbers ------------------------------------------------------------------------------

    @property
    def table(self) -> pd.DataFrame:
        """One row a mean or activation energy: value, standard error, interval, prior, unit."""
        c = self.tree["coefficients"].to_dataset()
        columns = {
            "value": "value", "standard error": "standard_error", "95 % low": "interval_low",
            "95 % high": "interval_high", "prior": "prior_value", "prior error": "prior_error",
        }  # fmt: skip
        data = {new: c[old].values for new, old in columns.items()}
        data["unit"] = c["unit"].values.astype(str)
        return pd.DataFrame(data, index=pd.Index(c["coefficient"].values.astype(str), name="mean"))

    @property
    def spread(self) -> pd.DataFrame:
        """One row a parameter: standard deviation between cells, with its interval.

        Of logarithms where a parameter is positive (0.1 is some 10 %), in its unit else; zero for
        what is shared.
        """
        p = self.tree["parameters"].to_dataset()
        columns = ("spread", "spread_low", "spread_high", "spread_prior_scale")
        data = {name: p[name].values for name in columns}
        return pd.DataFrame(data, index=pd.Index(p["parameter"].values.astype(str)))

    @property
    def correlation(self) -> xr.DataArray:
        """Correlations between cells of the scaled parameters, shape (p, p)."""
        return self.tree["parameters"].to_dataset()["correlation"]

    @property
    def cells(self) -> xr.Dataset:
        """Estimates of each cell given the population, errors, and its check."""
        return self.tree["cells"].to_dataset().drop_vars(["information", "pull", "design"])

    @property
    def line_test(self) -> LineTest:
        """Whether one Arrhenius line describes all cells."""
        return LineTest(**json.loads(self.tree.attrs["line_test"]))

    @property
    def converged(self) -> bool:
        """Whether the cells and the population stay where they are."""
        return bool(self.tree.attrs["converged"])

    @property
    def law(self) -> Law:
        """How the means follow from temperature."""
        return Law.from_plain(json.loads(self.tree.attrs["law"]))

    @property
    def scaling(self) -> Scaling:
        """The common scaling of all cells' parameters."""
        p = self.tree["parameters"].to_dataset()
        return Scaling(
            [
                FreeParameter(
                    str(p["parameter"].values[i]),
                    float(p["start"].values[i]),
                    float(p["lower_bound"].values[i]),
                    float(p["upper_bound"].values[i]),
                    unit=str(p["unit"].values[i]),
                )
                for i in range(p.sizes["parameter"])
            ]
        )

    @property
    def notes(self) -> list[str]:
        """What a reader of the numbers must know."""
        return _notes(self)

    # Text, picture, file ------------------------------------------------------------------

    def __repr__(self) -> str:
        attrs, test = self.tree.attrs, self.line_test
        kelvin = np.round(self.cells["temperature"].values - 273.15, 1)
        counts = ", ".join(
            f"{n} at {t:g} °C" for t, n in zip(*np.unique(kelvin, return_counts=True), strict=True)
        )
        ended = "converged" if self.converged else "NOT converged"
        lines = [
            f"Pooled fit of {len(kelvin)} cells ({counts}): {ended} after {attrs['rounds']} rounds"
        ]
        lines += ["Means", *_indented(self.table.to_string(float_format=_short))]
        lines += ["Spread between cells", *_indented(self.spread.to_string(float_format=_short))]
        together = [
            f"    {r:+.2f}  {a}, {b}"
            for a, b, r in strong_correlations(
                list(self.scaling.names), self.correlation.values, _TOGETHER
            )
        ]
        lines += ["that differ together (correlation)", *together] if together else []
        said = (
            f"p = {test.p:.2g} (F = {test.f:.3g} with {test.freedom:g} and {test.freedom_cells:g} "
            f"degrees of freedom; likelihood ratio {test.likelihood_ratio:.3g}, "
            f"p = {test.p_chi2:.2g})"
            if test.possible
            else f"cannot be tested: {test.why}"
        )
        lines += ["One Arrhenius line for all cells", f"    {said}"]
        return "\n".join([*lines, "Notes", *(f"    {note}" for note in self.notes)])

    def plot(self) -> Figure:
        """Rates over the inverse temperature, with the line and the spread between cells."""
        return plot_population(self.tree)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything to a netCDF file, replacing it in one step."""
        with replacing(Path(path).absolute()) as temporary:
            self.tree.to_netcdf(temporary, engine="h5netcdf")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> PooledFit:
        """Read what :meth:`save` wrote.

        Raises
        ------
        InputError
            When the file is no pooled fit.
        """
        if not Path(path).is_file():
            raise InputError(f"There is no file {path}.")
        with contents(Path(path)) as content:
            if content.kind != "netcdf":
                raise InputError(f"{path} is not a netCDF file of a pooled fit.")
            tree = fit_tree.plain(read_tree(content))
        if tree.attrs.get("schema") != SCHEMA:
            raise InputError(f"{path} is not a pooled fit: {tree.attrs.get('schema')!r}.")
        try:
            cell = Cell.from_dict(json.loads(tree.attrs["cell"]))
            protocol = Protocol.from_dict(json.loads(tree.attrs["protocol"]))
            found = cls(cell, protocol, tree)
            _ = found.law, found.scaling, found.line_test, population_of(tree)
        except InputError:
            raise
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{path} is a damaged pooled fit: {error!r}.") from error
        return found


def population_of(tree: xr.DataTree) -> tuple[Cells, Settings]:
    """What the population was estimated from: the cells' quadratic forms and the priors."""
    cells, p = tree["cells"].to_dataset(), tree["parameters"].to_dataset()
    c = tree["coefficients"].to_dataset()
    return (
        Cells(cells["design"].values, cells["information"].values, cells["pull"].values),
        Settings(
            p["varies"].values.astype(bool),
            c["prior_mean"].values,
            np.diag(c["prior_precision"].values),
            p["spread_prior_scaled"].values,
            bool(tree.attrs["correlated"]),
        ),
    )


# Writing ----------------------------------------------------------------------------------


def pooled_tree(
    *,
    names: Sequence[str],
    fits: Mapping[str, Fit],
    temperatures: Array,
    line: Law,
    scaling: Scaling,
    settings: Settings,
    cells: Cells,
    population: Population,
    inflation: Mapping[str, Array],
    evaluations: Sequence[Evaluation],
    problems: Sequence[Problem],
    rounds: int,
    converged: bool,
) -> xr.DataTree:
    """All numbers of a pooled fit as one tree."""
    groups = {
        "coefficients": _coefficients(line, scaling, settings, population),
        "parameters": _parameters(scaling, settings, population),
        "cells": _cells(names, fits, temperatures, scaling, cells, population),
        "noise": _noise(names, problems, evaluations, inflation),
    }
    tree = xr.DataTree.from_dict({f"/{k}": fit_tree.plain_dataset(d) for k, d in groups.items()})
    test = compare_line(cells, line, settings, temperatures)
    first = fits[names[0]]
    tree.attrs = {
        "schema": SCHEMA,
        "converged": int(converged),
        "rounds": rounds,
        "correlated": int(settings.correlated),
        "line_test": json.dumps(asdict(test)),
        "law": json.dumps(line.to_plain()),
        "cell": json.dumps(first.cell.to_dict()),
        "protocol": json.dumps(first.protocol.to_dict()),
    }
    return tree


def _coefficients(
    line: Law, scaling: Scaling, settings: Settings, population: Population
) -> xr.Dataset:
    """Means in their units, and activation energies in kJ/mol with what the model has already."""
    errors = np.sqrt(np.diag(population.covariance))
    precision = np.diag(settings.precision)
    with np.errstate(divide="ignore"):
        prior_errors = np.where(precision > 0, precision**-0.5, np.inf)
    rows: dict[str, list[Any]] = {k: [] for k in _COLUMNS}
    for k, term in enumerate(line.terms):
        parameter = scaling.parameters[term.parameter]
        freedom = max(len(population.centre) - 1, 1)
        reach = float(scipy.stats.t.ppf(0.975, freedom)) * errors[k]
        each = (population.beta[k], errors[k], reach, settings.mean[k], prior_errors[k])
        if term.kind == "energy":
            shift = line.energies[parameter.name].built_in
            row = _natural(each, lambda z, s=shift: s + z, lambda z: 1.0)
            unit = "kJ.mol-1"
        else:
            i, count = term.parameter, len(scaling)
            row = _natural(
                each,
                lambda z, i=i, n=count: float(scaling.to_values(np.eye(n)[i] * z)[i]),
                lambda z, i=i, n=count: float(scaling.slopes(np.eye(n)[i] * z)[i]),
            )
            unit = parameter.unit
        for name, value in zip(_COLUMNS, (*row, unit), strict=True):
            rows[name].append(value)
    return xr.Dataset(
        {
            **{name: ("coefficient", values) for name, values in rows.items()},
            "beta": ("coefficient", population.beta),
            "prior_mean": ("coefficient", settings.mean),
            "prior_precision": ("coefficient", precision),
            "covariance": (("coefficient", "other"), population.covariance),
        },
        coords={"coefficient": list(line.labels), "other": list(line.labels)},
    )


_COLUMNS = (
    "value", "standard_error", "interval_low", "interval_high", "prior_value", "prior_error", "unit"
)  # fmt: skip


def _natural(each: tuple[float, ...], value: Any, slope: Any) -> tuple[float, ...]:
    """Estimate, error, interval and prior of a coefficient in its unit."""
    beta, error, reach, mean, prior_error = each
    return (
        value(beta),
        slope(beta) * error,
        value(beta - reach),
        value(beta + reach),
        value(mean),
        slope(mean) * prior_error,
    )


def _parameters(scaling: Scaling, settings: Settings, population: Population) -> xr.Dataset:
    unit = np.where(scaling.logarithmic, 1.0, scaling.slopes(np.zeros(len(scaling))))
    reach = np.zeros(len(scaling))
    errors = np.sqrt(np.diag(population.unknowns_covariance))
    reach[settings.varies] = 1.96 * errors[: settings.count]
    spread = population.spread * unit
    about = {"long_name": "of the logarithm where positive, in the parameter's unit else"}
    return xr.Dataset(
        {
            "unit": ("parameter", [p.unit for p in scaling.parameters]),
            "start": ("parameter", scaling.start),
            "lower_bound": ("parameter", [p.lower for p in scaling.parameters]),
            "upper_bound": ("parameter", [p.upper for p in scaling.parameters]),
            "logarithmic": ("parameter", scaling.logarithmic),
            "scaled_unit": ("parameter", unit, about),
            "varies": ("parameter", settings.varies),
            "spread": ("parameter", spread, about),
            "spread_low": ("parameter", spread * np.exp(-reach), about),
            "spread_high": ("parameter", spread * np.exp(reach), about),
            "spread_prior_scale": ("parameter", settings.scale * unit, about),
            "spread_prior_scaled": ("parameter", settings.scale),
            "correlation": (("parameter", "other_parameter"), population.correlation),
        },
        coords={"parameter": list(scaling.names), "other_parameter": list(scaling.names)},
    )


def _cells(
    names: Sequence[str],
    fits: Mapping[str, Fit],
    temperatures: Array,
    scaling: Scaling,
    cells: Cells,
    population: Population,
) -> xr.Dataset:
    distance, freedom, p = cell_checks(cells, population)
    alone = np.array([[fits[name].values[n] for n in scaling.names] for name in names])
    alone_errors = [fits[name].tree["parameters"]["scaled_standard_error"].values for name in names]
    errors = np.sqrt(np.clip(np.einsum("npp->np", population.shrunk_covariance), 0, None))
    both = ("cell", "parameter")
    scaled = {"long_name": "scaled: of the logarithm where positive"}
    return xr.Dataset(
        {
            "temperature": ("cell", temperatures, {"units": "K"}),
            "alone": (both, alone, {"long_name": "the cell's own fit"}),
            "alone_error": (both, np.array(alone_errors), scaled),
            "value": (both, scaling.to_values(population.shrunk), {"long_name": "pooled"}),
            "scaled_error": (both, errors, scaled),
            "mean": (both, scaling.to_values(population.centre), {"long_name": "of its kind"}),
            "distance": ("cell", distance),
            "distance_freedom": ("cell", freedom),
            "distance_p": ("cell", p, {"long_name": "of such a cell in this population"}),
            "information": (("cell", "parameter", "other_parameter"), cells.information),
            "pull": (both, cells.pull),
            "design": (("cell", "parameter", "coefficient"), cells.design),
        },
        coords={"cell": list(names), "parameter": list(scaling.names)},
    )


def _noise(
    names: Sequence[str],
    problems: Sequence[Problem],
    evaluations: Sequence[Evaluation],
    inflation: Mapping[str, Array],
) -> xr.Dataset:
    """Residuals in natural units, by cell and variable."""
    each = [[v.key for v in problem.observations.variables] for problem in problems]
    variables = list(dict.fromkeys(key for keys in each for key in keys))
    rms = np.full((len(names), len(variables)), np.nan)
    enlarged = np.full_like(rms, np.nan)
    for i, (problem, here, keys) in enumerate(zip(problems, evaluations, each, strict=True)):
        natural = here.residuals * problem.observations.std
        for j, key in enumerate(keys):
            mine, column = natural[problem.observations.owner == j], variables.index(key)
            enlarged[i, column] = inflation[names[i]][j]
            if mine.size:
                rms[i, column] = np.sqrt(np.mean(mine**2))
    both = ("cell", "variable")
    return xr.Dataset(
        {
            "rms": (both, rms, {"long_name": "of residuals, in the variable's unit"}),
            "inflation": (both, enlarged, {"long_name": "of the variance of the data"}),
        },
        coords={"cell": list(names), "variable": variables},
    )


def _notes(pooled: PooledFit) -> list[str]:
    cells, law = pooled.tree["cells"].to_dataset(), pooled.law
    count = cells.sizes["cell"]
    said = []
    if not pooled.converged:
        said.append("The cells still move: the numbers are not final.")
    if count <= _FEW:
        said.append(
            f"{count} cells say little of how cells differ: the spread leans on its prior, and "
            "intervals of a new cell are wide for that reason."
        )
    said += [
        f"Activation energy of {name}: prior {e.mean:.3g} ± {e.deviation:.3g} kJ/mol ({e.source})."
        for name, e in law.energies.items()
    ]
    odd = cells["cell"].values[cells["distance_p"].values < 0.01]
    if odd.size:
        said.append(f"Unlike the others (p < 0.01): {', '.join(map(str, odd))}.")
    inflation = pooled.tree["noise"].to_dataset()["inflation"].values
    if np.nanmax(inflation) > 2:
        said.append(
            "The model misses something systematic: standard deviations of the data were "
            f"multiplied by up to {np.sqrt(np.nanmax(inflation)):.2g}."
        )
    return said


def _short(number: float) -> str:
    return f"{number:.4g}"


def _indented(text: str) -> list[str]:
    return [f"    {line}" for line in text.splitlines()]
