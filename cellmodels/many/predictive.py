"""What a population says of cells that were not measured: lives with intervals.

A new cell at a temperature has the parameters z ~ N(X beta, Omega), of which beta and Omega are
known as the fit of the population says. Draws of all three are pushed through the simulated life,
so that nothing is linearised. The mean cell is the same without the spread between cells. What is
measured of a new cell has the residuals of the fits on top, as one more normal scatter: their
likeness from cycle to cycle widens no single point.

A cell whose life has ended gives no charge and no energy: these are zero from there on, and count
as zero. It has no voltage, temperature or efficiency, so that the quantiles of those are of the
cells that still live at a cycle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from tqdm.auto import tqdm

from cellmodels.cell import Cell
from cellmodels.errors import InputError
from cellmodels.fitting import FitError
from cellmodels.fitting.problem import Predictor
from cellmodels.fitting.residuals import TOLERANCE_TO_NOISE
from cellmodels.many.activation import AMBIENT
from cellmodels.many.pooled_result import PooledFit, population_of
from cellmodels.many.population import estimate, sample
from cellmodels.observables import CYCLE_UNITS, TEMPERATURE_UNITS
from cellmodels.observations import Points, PointSet
from cellmodels.protocol import Protocol
from cellmodels.record.schema import STEP_CHARGE
from cellmodels.simulator import Simulator

__all__ = ["predict_cells"]

Array = NDArray[np.float64]

_INITIAL = "Initial temperature [K]"
_QUANTILES = (0.025, 0.16, 0.5, 0.84, 0.975)
_MOST_FAILED = 0.5
"""With more draws whose life does not reach the last cycle nothing is predicted."""


def predict_cells(
    pooled: PooledFit,
    temperature: float,
    cycles: ArrayLike,
    *,
    cell: Cell | None = None,
    protocol: Protocol | None = None,
    variable: str = "discharge_capacity",
    draws: int = 200,
    quantiles: Sequence[float] = _QUANTILES,
    seed: int = 0,
    predict: Predictor | None = None,
    progress: bool = True,
) -> xr.Dataset:
    """Lives of a new cell of a population, and of its mean cell, with intervals.

    Parameters
    ----------
    pooled : PooledFit
    temperature : float
        Of the new cell [K].
    cycles : array_like, shape (k,)
        Where the life is wanted.
    cell : Cell, optional
        What the fitted parameters are put into; by default the first of the population at the
        other temperature.
    protocol : Protocol, optional
        What is done to it; by default what was done to that cell.
    variable : str
        Of ``/cycles``.
    draws : int
        Number of simulated lives of new cells, and of mean cells.
    quantiles : sequence of float
    seed : int
        Of the draws.
    predict : Predictor, optional
        In place of a simulator of the cell.
    progress : bool
        Show a progress bar.

    Returns
    -------
    xarray.Dataset
        By ``cycle`` and ``quantile``: ``mean_cell``, ``new_cell`` and ``new_measurement``. A
        life that ends before the last cycle counts as zero from there on where the variable is a
        charge or an energy; it does not count where it is anything else, and the quantiles are
        then of the cells that live. Attributes tell the temperature, the numbers of draws and of
        those that ended early.

    Raises
    ------
    InputError
        On cycles or a temperature that cannot be.
    FitError
        When most draws end early.
    """
    at = np.asarray(cycles, dtype=float)
    if at.ndim != 1 or not at.size or np.any(at < 1):
        raise InputError("cycles: a list of numbers from 1 on is needed.")
    if not 200 < temperature < 500:
        raise InputError(f"{temperature:g} K is not the temperature of a cell.")
    scaling, rng = pooled.scaling, np.random.default_rng(seed)
    if predict is None:
        new = _at_temperature(cell or pooled.cell, temperature)
        predict = Simulator(new, protocol or pooled.protocol, free=scaling.names).predict
    points = Points((PointSet("cycles", variable, "cycle", at),))
    mean, new_cell, effective = _draws(pooled, temperature, draws, rng)
    noise, unit = _noise(pooled, f"cycles/{variable}"), _unit_of(variable)
    tolerance = TOLERANCE_TO_NOISE * noise if unit == "A.h" else None
    dead = 0.0 if unit in ("A.h", "W.h") else np.nan
    lives, failed = {}, {}
    lower, upper = scaling.bounds
    for name, scaled in (("mean_cell", mean), ("new_cell", new_cell)):
        values = scaling.to_values(np.clip(scaled, lower, upper))
        lives[name], failed[name] = _lives(predict, values, points, tolerance, dead, name, progress)
    scatter = noise * rng.standard_normal(lives["new_cell"].shape)
    lives["new_measurement"] = lives["new_cell"] + scatter
    coords = {"quantile": list(quantiles), "cycle": at}
    return xr.Dataset(
        {
            name: (("quantile", "cycle"), np.nanquantile(each, quantiles, axis=0))
            for name, each in lives.items()
        },
        coords=coords,
        attrs={
            "temperature": float(temperature),
            "variable": variable,
            "unit": unit,
            "draws": draws,
            "seed": seed,
            "failed_draws": sum(failed.values()),
            "effective_proposals": effective,
            "residual": noise,
        },
    )


def _draws(
    pooled: PooledFit, temperature: float, draws: int, rng: np.random.Generator
) -> tuple[Array, Array, float]:
    """Scaled parameters of mean cells and of new cells, shapes (draws, p)."""
    cells, settings = population_of(pooled.tree)
    population = estimate(cells, settings)
    beta, root, effective = sample(cells, settings, population, draws, rng)
    mean = beta @ pooled.law.design(temperature).T
    own = np.einsum("dpv,dv->dp", root, rng.standard_normal((draws, root.shape[2])))
    return mean, mean + own, effective


def _lives(
    predict: Predictor,
    values: Array,
    points: Points,
    tolerance: float | None,
    dead: float,
    name: str,
    progress: bool,
) -> tuple[Array, int]:
    """A life a draw, shape (draws, k), in an order in which neighbours are alike."""
    order = np.argsort(_along(values))
    found, failed, state = [], 0, None
    for k in tqdm(order, desc=name.replace("_", " "), unit="life", disable=not progress):
        prediction = predict(values[k], points, jacobian=False, tolerance=tolerance, state=state)
        if prediction.outcome.ok and prediction.values is not None:
            state = prediction.state
            found.append(prediction.values)
        else:
            failed += 1
            found.append(_short_life(predict, values[k], points, prediction.outcome.cycle, dead))
    if failed > _MOST_FAILED * len(order):
        raise FitError(f"{failed} of {len(order)} drawn cells do not live to the last cycle.")
    return np.array(found), failed


def _short_life(
    predict: Predictor, values: Array, points: Points, end: int | None, dead: float
) -> Array:
    """A life that cannot be simulated to its last point: `dead` from its end on."""
    asked = points.sets[0]
    found = np.full(asked.size, dead)
    before = asked.at < (end or 0)
    if before.any():
        there = Points((replace(asked, at=asked.at[before]),))
        prediction = predict(values, there, jacobian=False)
        if prediction.outcome.ok and prediction.values is not None:
            found[before] = prediction.values
    return found


def _along(values: Array) -> Array:
    """Coordinate of each draw along the direction in which they differ most."""
    spread = np.std(values, axis=0)
    scaled = (values - values.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    return scaled @ np.linalg.svd(scaled, full_matrices=False)[2][0]


def _at_temperature(cell: Cell, temperature: float) -> Cell:
    held = cell.parameter_values()
    names = [name for name in (AMBIENT, _INITIAL) if name in held]
    return cell.with_parameters(dict.fromkeys(names, temperature), source="of a predicted cell")


def _unit_of(variable: str) -> str:
    """The unit of a variable of a cycle; empty where it is not known."""
    if STEP_CHARGE.fullmatch(variable):
        return "A.h"
    return {**CYCLE_UNITS, **TEMPERATURE_UNITS}.get(variable, "")


def _noise(pooled: PooledFit, key: str) -> float:
    """Root mean square of the residuals of all cells, in the variable's unit; NaN if not fitted."""
    noise = pooled.tree["noise"].to_dataset()
    if key not in noise["variable"].values:
        raise InputError(f"The cells were not fitted to {key!r}.")
    return float(np.sqrt(np.nanmean(noise["rms"].sel(variable=key).values ** 2)))
