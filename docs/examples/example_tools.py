"""What the examples share: where the data are, what is printed, and the figure."""

from __future__ import annotations

import os
import sys
import textwrap
from pathlib import Path

import matplotlib as mpl
import numpy as np
import xarray as xr

import cellmodels as cm

QUICK = os.environ.get("CELLMODELS_QUICK", "") not in ("", "0")


def data_file(name: str) -> Path:
    """A file of measured data, below the folder that CELLMODELS_DATA names."""
    folder = os.environ.get("CELLMODELS_DATA")
    if not folder:
        sys.exit("Set the environment variable CELLMODELS_DATA to the folder with the data sets.")
    path = Path(folder) / name
    if not path.is_file():
        sys.exit(f"There is no file {path}: does CELLMODELS_DATA name the right folder?")
    return path


def output(name: str) -> Path:
    """A file to write, below CELLMODELS_OUTPUT or ./results."""
    folder = Path(os.environ.get("CELLMODELS_OUTPUT") or "results")
    folder.mkdir(parents=True, exist_ok=True)
    return folder / name


def small_and_plain() -> None:
    """Set the style of all figures that are made from now on."""
    mpl.rcParams.update(
        {
            "font.size": 9,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlesize": 9.5,
            "axes.titlelocation": "left",
            "axes.titleweight": "bold",
            "legend.frameon": False,
            "legend.fontsize": 8,
        }
    )


def keep(record: xr.DataTree, group: str, chosen: np.ndarray) -> xr.DataTree:
    """The record with only some rows of one group."""
    new = record.copy(deep=True)
    dataset = record[group].to_dataset()
    new[group] = dataset.isel({dataset[next(iter(dataset.data_vars))].dims[0]: np.asarray(chosen)})
    return new


def report(title: str, fit: cm.Fit) -> None:
    """Print how good a fit is, beside curves without physics, and its parameters."""
    print(f"\n=== {title}: {fit.status} after {int(fit.statistics['evaluations'])} simulated lives")
    points, variables = fit.to_datatree()["points"].to_dataset(), fit.variables
    for key in variables["variable"].values:
        v = variables.sel(variable=key)
        data = points["data"].values[points["variable"].values == str(key).split("/")[1]]
        rms, scale = float(v["rms_natural"]), float(np.mean(data))
        shown = f"{1e3 * rms:.3g} m{str(v['unit'].item()).replace('A.h', 'Ah')}"
        p = float(v["autocorrelation_p"])
        print(
            f"{key}: rms residual {shown} ({100 * rms / scale:.2g} %), "
            f"{float(v['rms']):.2g} times the noise; lag-1 autocorrelation "
            f"{float(v['autocorrelation']):+.2f} (p = {p:.2g}, "
            f"{'significant' if p < 0.05 else 'not significant'})"
        )
    for law in fit.comparison["law"].values:
        c = fit.comparison.sel(law=law)
        numbers = int(c["parameters"])
        print(f"AICc {law:12s} {float(c['aicc']):8.1f}   ({numbers} estimated numbers)")
    print(fit.table.to_string(float_format=lambda x: f"{x:.4g}"))
    for note in fit.notes:
        print(f"- {note}")


def save(name: str, fit: cm.Fit, title: str, remark: str) -> None:
    """Write the fit as netCDF and its figure, with a remark on it, as PNG."""
    fit.save(output(f"{name}.nc"))
    figure = fit.plot()
    width, height = figure.get_size_inches()
    remark = "\n".join(textwrap.wrap(" ".join(remark.split()), int(14.5 * width)))
    lines = remark.count("\n") + 1
    strip = 0.42 + 0.17 * lines
    figure.set_size_inches(width, height + strip)
    part = height / (height + strip)
    figure.get_layout_engine().set(rect=(0.0, 0.0, 1.0, part))
    figure.text(0.012, 1 - 0.06 / (height + strip), title, va="top", weight="bold", size=10.5)
    figure.text(0.012, 1 - 0.30 / (height + strip), remark, va="top", size=8.5, color="#444444")
    figure.savefig(output(f"{name}.png"), dpi=140)
    print(f"Wrote {output(name + '.nc')} and {output(name + '.png')}.")
