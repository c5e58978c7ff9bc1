"""Experiments as datasets and back, for files; and beside what was simulated."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from cellmodels.cell import Cell
from cellmodels.errors import CellModelsError, InputError
from cellmodels.experiments.experiment import Experiment
from cellmodels.experiments.parts import Measured
from cellmodels.experiments.simulator import ExperimentSimulator, checked_experiments
from cellmodels.experiments.values import (
    EquilibriumCurve,
    ImpedanceSpectrum,
    VoltageTrace,
    field_values,
)
from cellmodels.trace import with_its_own_start

__all__ = ["experiment_from", "node_name", "simulate_experiments", "to_dataset"]

_KINDS = {kind.__name__: kind for kind in (VoltageTrace, EquilibriumCurve, ImpedanceSpectrum)}
_UNITS = {
    "time": "s", "current_time": "s", "voltage": "V", "noise": "", "temperature": "K",
    "temperature_noise": "K", "current": "A", "charge": "A.h", "frequency": "Hz",
}  # fmt: skip
_OF_CURRENT = ("current", "current_time")


def node_name(experiment: Experiment) -> str:
    """Name of an experiment's node in a tree."""
    return experiment.name or "traces"


def to_dataset(experiment: Experiment) -> xr.Dataset:
    """An experiment as a dataset of its arrays, and attributes for everything else."""
    arrays: dict[str, Any] = {}
    rest: dict[str, Any] = {}
    for name, value in field_values(experiment).items():
        if value is None:
            continue
        if name == "impedance":
            impedance = np.asarray(value)
            arrays["impedance_real"] = ("sample", impedance.real, {"units": "Ohm"})
            arrays["impedance_imaginary"] = ("sample", impedance.imag, {"units": "Ohm"})
        elif name in experiment.ARRAYS:
            dimension = "current_sample" if name in _OF_CURRENT else "sample"
            arrays[name] = (dimension, np.asarray(value, float), {"units": _UNITS[name]})
        elif name == "steps":
            rest["steps"] = [str(step) for step in value]
        else:
            rest[name] = value
    attrs = {"kind": type(experiment).__name__, "experiment": json.dumps(rest)}
    return xr.Dataset(arrays, attrs=attrs)


def experiment_from(dataset: xr.Dataset) -> Experiment:
    """The experiment of a dataset made by :func:`to_dataset`.

    Raises
    ------
    InputError
        When it is none, or a damaged one.
    """
    try:
        kind = _KINDS[str(dataset.attrs["kind"])]
        rest = json.loads(str(dataset.attrs["experiment"]))
        arrays: dict[str, Any] = {
            name: dataset[name].values for name in kind.ARRAYS if name in dataset
        }
        if kind is ImpedanceSpectrum:
            parts = dataset["impedance_real"].values, dataset["impedance_imaginary"].values
            arrays["impedance"] = parts[0] + 1j * parts[1]
        return kind(**arrays, **rest)
    except CellModelsError:
        raise
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise InputError(f"The file's experiments are damaged: {error!r}.") from error


def simulate_experiments(cell: Cell, experiments: Experiment | Sequence[Experiment]) -> xr.DataTree:
    """Simulate experiments with a cell as it is, beside what was measured.

    Parameters
    ----------
    cell : Cell
        Fitted to these experiments, to others, or to none.
    experiments : Experiment or sequence of Experiment

    Returns
    -------
    xarray.DataTree
        One node for each experiment; for each variable, such as ``voltage``, what was measured,
        ``voltage_simulated`` and ``voltage_residual``, simulated less measured, along
        ``voltage_at`` (time [s], charge [A.h] or frequency [Hz]); the attribute ``rms`` of the
        residual is its root mean square. The attribute ``ends_early`` of a node says which step
        ended before its time, because the voltage left the measured range by 0.3 V.

    Raises
    ------
    InputError
        When an experiment does not suit the cell.
    CellModelsError
        When one cannot be simulated.
    """
    given = checked_experiments(experiments)
    simulator = ExperimentSimulator(with_its_own_start(cell), given, ())
    prediction = simulator.predict(np.empty(0))
    if not prediction.outcome.ok or prediction.values is None:
        raise CellModelsError(f"The experiments cannot be simulated: {prediction.outcome.message}.")
    tree: dict[str, xr.Dataset] = {}
    for experiment, part, found in zip(given, simulator.parts, prediction.state, strict=True):
        dataset = beside(part.measured, found.values, experiment.name)
        dataset.attrs["ends_early"] = "; ".join(
            f"step {cut.step + 1} after {cut.time:.0f} s" for cut in found.cuts
        )
        tree[f"/{node_name(experiment)}"] = dataset
    return xr.DataTree.from_dict(tree)


def beside(measured: Sequence[Measured], values: NDArray[np.float64], name: str) -> xr.Dataset:
    """Measured and simulated variables of one experiment."""
    columns: dict[str, Any] = {}
    first = 0
    for variable in measured:
        own = variable.name.removeprefix(name).strip()
        key = own.replace(",", "").replace("-", "_").replace(" ", "_")
        simulated = values[first : first + len(variable.data)]
        first += len(variable.data)
        residual = simulated - variable.data
        rms = float(np.sqrt(np.mean(residual**2)))
        at, units = f"{key}_at", {"units": variable.unit}
        place = {"elapsed_time": "s", "throughput": "A.h", "frequency": "Hz"}[variable.coordinate]
        columns[at] = (at, variable.at, {"units": place, "long_name": variable.coordinate})
        columns[key] = (at, variable.data, units)
        columns[f"{key}_simulated"] = (at, simulated, units)
        columns[f"{key}_residual"] = (at, residual, {**units, "rms": rms})
    return xr.Dataset(columns)
