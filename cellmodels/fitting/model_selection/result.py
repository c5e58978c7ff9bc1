"""A comparison of sets of mechanisms: its numbers in one tree, its words, its file."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from cellmodels.cell import Cell
from cellmodels.errors import InputError, did_you_mean
from cellmodels.fitting import fit_tree
from cellmodels.fitting.model_selection.task import Score, SetResult, aicc_of
from cellmodels.fitting.model_selection.verdict import verdict
from cellmodels.fitting.result import Fit
from cellmodels.fitting.statistics import SIGNIFICANT
from cellmodels.protocol import Protocol
from cellmodels.record.files.contents import contents
from cellmodels.record.netcdf import read_tree
from cellmodels.selection_figures import plot_selection
from cellmodels.writing import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["MechanismComparison", "assemble", "read_result", "write_result"]

SCHEMA = "cellmodels-mechanisms/1"
_RESULT_SCHEMA = "cellmodels-mechanism-set/1"


@dataclass(frozen=True, eq=False, repr=False)
class MechanismComparison:
    """Sets of mechanisms fitted to one record, and what the data say of them.

    Made by :func:`cellmodels.compare_mechanisms` or :meth:`load`.

    Parameters
    ----------
    tree : xarray.DataTree
        ``/sets`` (one row a set), ``/scores`` (predictions of the rest of the life, by set and
        cut), ``/parameters`` (by set and parameter; NaN where a set has it not), and the fits
        under ``/fits/0``, ``/fits/1``, … in the order of the sets.
    """

    tree: xr.DataTree

    @property
    def sets(self) -> xr.Dataset:
        """One row a set: free parameters, AICc and weight, misfit, how the fit ended."""
        return self.tree["sets"].to_dataset()

    @property
    def scores(self) -> xr.Dataset:
        """Predictions of the rest of the life, by set and share of the life fitted."""
        return self.tree["scores"].to_dataset()

    @property
    def parameters(self) -> xr.Dataset:
        """Fitted values and standard errors, by set and parameter."""
        return self.tree["parameters"].to_dataset()

    @property
    def verdict(self) -> str:
        """What the data say, in words."""
        return str(self.tree.attrs["verdict"])

    @property
    def table(self) -> pd.DataFrame:
        """One row a set, the smallest AICc first."""
        sets, scores = self.sets.sortby("aicc"), self.scores
        rmse = scores["rmse"].mean("cut").sel(set=sets["set"])
        density = scores["log_score"].mean("cut").sel(set=sets["set"])
        columns = {
            "free": sets["free"].values,
            "AICc": sets["aicc"].values,
            "Δ AICc": sets["delta_aicc"].values,
            "weight": sets["weight"].values,
            "chi-square": sets["chi_square"].values,
            "alike": sets["autocorrelation"].values,
            "rest: rmse / noise": rmse.values,
            "rest: log score": density.values,
            "status": sets["status"].values.astype(str),
        }
        return pd.DataFrame(columns, index=pd.Index(sets["set"].values.astype(str), name="set"))

    def fit(self, name: str) -> Fit:
        """The fit of a set.

        Raises
        ------
        InputError
            When there is no such set, or its fit failed.
        """
        names = [str(each) for each in self.sets["set"].values]
        if name not in names:
            raise InputError(f"There is no set {name!r}." + did_you_mean(name, names))
        number = str(names.index(name))
        fits = self.tree.children["fits"].children if "fits" in self.tree.children else {}
        if number not in fits:
            message = str(self.sets["message"].sel(set=name).item())
            raise InputError(f"The set {name!r} has no fit: {message}")
        return _fit(fits[number])

    def plot(self) -> Figure:
        """Data with every set's model, AICc, and predictions of the rest of the life."""
        return plot_selection(self.tree)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the comparison, its fits included, to one netCDF file.

        Parameters
        ----------
        path : path
            Usually ending in ``.nc``.
        """
        _write(self.tree, Path(path))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> MechanismComparison:
        """Read a comparison written by :meth:`save`.

        Raises
        ------
        InputError
            When the file is not one.
        """
        tree = _read(Path(path), SCHEMA, "a comparison of mechanisms")
        for group in ("sets", "scores", "parameters"):
            if group not in tree.children:
                raise InputError(f"{path} is a damaged comparison: it has no group '{group}'.")
        return cls(tree)

    def __repr__(self) -> str:
        numbers = self.table.to_string(float_format=lambda x: f"{x:.4g}")
        return f"Comparison of mechanisms\n{numbers}\n{self.verdict}"


def assemble(
    results: Mapping[str, SetResult], mechanisms: Mapping[str, Sequence[Any]], title: str
) -> MechanismComparison:
    """Make the comparison of what came of each set.

    Parameters
    ----------
    results : mapping of str to SetResult
        In the order of the sets.
    mechanisms : mapping of str to sequence of Mechanism
        Of each set.
    title : str
        Of the record.

    Returns
    -------
    MechanismComparison
    """
    sets = _sets(results, mechanisms)
    scores, parameters = _scores(results), _parameters(results)
    groups = {"/sets": sets, "/scores": scores, "/parameters": parameters}
    tree = xr.DataTree.from_dict({n: fit_tree.plain_dataset(d) for n, d in groups.items()})
    for k, result in enumerate(results.values()):
        if result.fit is not None:
            tree[f"fits/{k}"] = _with_attributes(result.fit.tree)
    contained = {
        name: [
            other
            for other in mechanisms
            if other != name and _contains(mechanisms[name], mechanisms[other])
        ]
        for name in mechanisms
    }
    tree.attrs = {
        "schema": SCHEMA,
        "title": title,
        "verdict": verdict(sets, scores, contained),
    }
    return MechanismComparison(tree)


def _contains(larger: Sequence[Any], smaller: Sequence[Any]) -> bool:
    return all(each in larger for each in smaller) and len(larger) > len(smaller)


# Datasets ---------------------------------------------------------------------------------


def _sets(results: Mapping[str, SetResult], mechanisms: Mapping[str, Sequence[Any]]) -> xr.Dataset:
    rows = [_row(result) for result in results.values()]
    values = np.array([row["aicc"] for row in rows])
    least = np.nanmin(values) if np.isfinite(values).any() else np.nan
    weights = np.where(np.isfinite(values), np.exp(-0.5 * (values - least)), 0.0)
    texts = [", ".join(repr(each) for each in mechanisms[name]) for name in results]
    columns = {name: ("set", [row[name] for row in rows]) for name in rows[0]}
    data = xr.Dataset(
        {
            **columns,
            "delta_aicc": ("set", values - least),
            "weight": ("set", weights / (weights.sum() or 1.0)),
            "mechanisms": ("set", texts),
        },
        coords={"set": list(results)},
    )
    for name, about in _ABOUT.items():
        data[name].attrs["long_name"] = about
    return data


def _row(result: SetResult) -> dict[str, Any]:
    """Numbers of one set; NaN where it has no fit."""
    if result.fit is None:
        nan = float("nan")
        return {
            "free": 0, "points": 0, "chi_square": nan, "rms": nan, "aicc": nan, "aicc_white": nan,
            "autocorrelation": nan, "autocorrelated": False, "assumed": False, "loose": "[]",
            "evaluations": 0, "status": "failed", "message": result.message,
        }  # fmt: skip
    fit, numbers = result.fit, result.fit.statistics
    free, points = int(numbers["free_parameters"]), int(numbers["points"])
    variables = fit.variables.isel(variable=fit.variables["used"].values > 0)
    alike = variables["autocorrelation"].values
    significant = (alike > 0) & (variables["autocorrelation_p"].values < SIGNIFICANT)
    loose = fit.parameters["parameter"].values[~fit.parameters["identifiable"].values.astype(bool)]
    return {
        "free": free,
        "points": points,
        "chi_square": float(numbers["chi_square"]),
        "rms": float(np.sqrt(numbers["chi_square"] / points)),
        "aicc": aicc_of(fit),
        "aicc_white": float(numbers["aicc"]),
        "autocorrelation": float(np.nanmax(alike)) if np.isfinite(alike).any() else float("nan"),
        "autocorrelated": bool(significant.any()),
        "assumed": bool(np.any(variables["noise_origin"].values.astype(str) == "assumed")),
        "loose": json.dumps([str(name) for name in loose]),
        "evaluations": int(numbers["evaluations"]),
        "status": fit.status,
        "message": result.message,
    }


_ABOUT = {
    "free": "free parameters",
    "chi_square": "sum of squared normalised residuals",
    "rms": "root mean square of the normalised residuals",
    "aicc": "Akaike's criterion, small samples, misfit alike from point to point allowed for",
    "aicc_white": "the same with independent residuals",
    "delta_aicc": "difference from the smallest",
    "weight": "Akaike weight",
    "autocorrelation": "largest lag-one autocorrelation of a variable's residuals",
    "autocorrelated": "whether that of a variable is significant (1 %)",
    "assumed": "whether the noise of a variable is assumed",
    "loose": "parameters that the data do not determine",
}


def _scores(results: Mapping[str, SetResult]) -> xr.Dataset:
    cuts = sorted({score.cut for result in results.values() for score in result.scores})
    by_place = {
        (name, score.cut): score for name, result in results.items() for score in result.scores
    }
    keys = sorted({k for s in by_place.values() for k in (s.rmse_by_variable or {})})
    nothing = Score(float("nan"), status="no fit")

    def table(attribute: str) -> list[list[Any]]:
        return [
            [getattr(by_place.get((name, cut), nothing), attribute) for cut in cuts]
            for name in results
        ]

    dims = ("set", "cut")
    shape = (len(results), len(cuts))
    columns = {n: (dims, np.array(table(n)).reshape(shape)) for n in ("points", "status")}
    for name in ("rmse", "log_score", "coverage"):
        columns[name] = (dims, np.array(table(name), dtype=float).reshape(shape))
    rmse = [
        [[(each or {}).get(key, np.nan) for key in keys] for each in row]
        for row in table("rmse_by_variable")
    ]
    return xr.Dataset(
        {
            **columns,
            "variable_rmse": (
                (*dims, "variable"), np.array(rmse, dtype=float).reshape(*shape, len(keys))
            ),
        },
        coords={"set": list(results), "cut": cuts, "variable": np.array(keys, dtype=str)},
    )  # fmt: skip


def _parameters(results: Mapping[str, SetResult]) -> xr.Dataset:
    fits = [result.fit for result in results.values()]
    names = list(dict.fromkeys(n for fit in fits if fit is not None for n in fit.values))
    columns = {}
    for column in ("value", "standard_error", "interval_low", "interval_high", "identifiable"):
        rows = np.full((len(fits), len(names)), np.nan)
        for i, fit in enumerate(fits):
            if fit is not None:
                p = fit.parameters
                places = [names.index(str(n)) for n in p["parameter"].values]
                rows[i, places] = p[column].values
        columns[column] = (("set", "parameter"), rows)
    return xr.Dataset(
        columns, coords={"set": list(results), "parameter": np.array(names, dtype=str)}
    )


# Files ------------------------------------------------------------------------------------


def _fit(node: xr.DataTree) -> Fit:
    tree = _with_attributes(node)
    cell = Cell.from_dict(json.loads(tree.attrs["cell"]))
    return Fit(cell, Protocol.from_dict(json.loads(tree.attrs["protocol"])), tree)


def _with_attributes(tree: xr.DataTree) -> xr.DataTree:
    copy = fit_tree.detached(tree)
    copy.attrs = dict(tree.attrs)
    return copy


def write_result(result: SetResult, path: Path, mark: str) -> None:
    """Write what came of one set, so that it need not be fitted again."""
    tree = xr.DataTree.from_dict({"/": xr.Dataset()})
    if result.fit is not None:
        tree["fit"] = _with_attributes(result.fit.tree)
    tree.attrs = {
        "schema": _RESULT_SCHEMA,
        "mark": mark,
        "message": result.message,
        "scores": json.dumps([asdict(score) for score in result.scores]),
    }
    _write(tree, path)


def read_result(path: Path, mark: str) -> SetResult | None:
    """What came of a set before; None when there is nothing of this set in the file.

    Raises
    ------
    InputError
        When the file is another kind of file.
    """
    if not path.is_file():
        return None
    tree = _read(path, _RESULT_SCHEMA, "the result of a set of mechanisms")
    if tree.attrs.get("mark") != mark:
        return None
    fit = None
    if "fit" in tree.children:
        fit = _fit(tree.children["fit"])
    scores = tuple(Score(**score) for score in json.loads(tree.attrs["scores"]))
    return SetResult(fit, scores, str(tree.attrs["message"]))


def _write(tree: xr.DataTree, path: Path) -> None:
    target = path.absolute()
    if not target.parent.is_dir():
        raise InputError(f"The folder {target.parent} does not exist.")
    with replacing(target) as temporary:
        tree.to_netcdf(temporary, engine="h5netcdf")


def _read(path: Path, schema: str, what: str) -> xr.DataTree:
    if not path.is_file():
        raise InputError(f"There is no file {path}.")
    with contents(path) as content:
        if content.kind != "netcdf":
            raise InputError(f"{path} is not a netCDF file.")
        tree = fit_tree.plain(read_tree(content))
    if tree.attrs.get("schema") != schema:
        raise InputError(f"{path} is not {what}: its schema is {tree.attrs.get('schema')!r}.")
    return tree
