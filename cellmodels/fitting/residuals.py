"""From a record to the sum that a fit makes small.

``observe`` picks variables of a record, the coordinate that places their points, and the
noise of each point: any mixture of them makes one sum, in which each point is weighted by its own
noise. Flagged outliers and missing values stay in the record; here they are left out of the sum,
counted, and reported.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from cellmodels.errors import InputError, did_you_mean
from cellmodels.fitting.instruments import instrument_of
from cellmodels.fitting.selection import fitted_variables, left_out, listed, schema_unit
from cellmodels.observations import COORDINATES, Points, PointSet
from cellmodels.record.noise import series_noise

__all__ = ["Observations", "Variable", "fitted_variables", "observe"]

_DIMENSIONS = {"cycles": "point", "checkups": "checkup"}
_FEWEST_FOR_ESTIMATE = 6

TOLERANCE_TO_NOISE = 0.1
"""Solver errors are kept below this fraction of the smallest capacity noise."""

_FEW_POINTS = 100
"""Number of capacities from which on the solver must be more accurate than that."""


@dataclass(frozen=True)
class Variable:
    """One fitted variable of a record and what became of its points.

    Parameters
    ----------
    group, name, unit : str
        Where it is in the record, and its unit.
    coordinate : str
        Coordinate that places its points.
    used, flagged, missing : int
        Points in the sum, points left out because flagged, and points without a value,
        without noise or without a coordinate.
    noise : {"given", "record", "estimated", "assumed"}
        Where its standard deviations come from.
    along : {"", "charge", "time"}
        Along what a voltage curve goes; empty for scalars.
    """

    group: str
    name: str
    unit: str
    coordinate: str
    used: int
    flagged: int
    missing: int
    noise: str
    along: str = ""

    @property
    def key(self) -> str:
        """``group/name``, unique in a record."""
        return f"{self.group}/{self.name}"


@dataclass(frozen=True, eq=False)
class Observations:
    """Data of a fit, flattened in the order of `points`.

    Parameters
    ----------
    points : Points
    data, std : ndarray, shape (k,)
        Measured values and their standard deviations, in the record's units.
    variables : tuple of Variable
    owner : ndarray of int, shape (k,)
        Index into `variables` of each point.
    position : ndarray of int, shape (k,)
        Index of each point along its group's dimension in the record.
    charge : ndarray, shape (k,)
        Discharged charge of points of voltage curves over charge [A.h]; NaN for others.
    time : ndarray, shape (k,)
        Time since the step began of points of voltage curves over time [s]; NaN for others, and
        by default for all.
    left_out : mapping of str to str
        Variables of the record that are not in the sum, as ``group/name``, and why.
    """

    points: Points
    data: NDArray[np.float64]
    std: NDArray[np.float64]
    variables: tuple[Variable, ...]
    owner: NDArray[np.int64]
    position: NDArray[np.int64]
    charge: NDArray[np.float64]
    time: NDArray[np.float64] = None  # type: ignore[assignment]
    left_out: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.time is None:
            object.__setattr__(self, "time", np.full(np.size(self.data), np.nan))

    @property
    def size(self) -> int:
        """Number of points in the sum."""
        return int(self.data.size)

    def residuals(self, values: ArrayLike) -> NDArray[np.float64]:
        """``(model - data) / std`` of predicted `values`, shape (k,)."""
        return (np.asarray(values, dtype=float) - self.data) / self.std

    @property
    def series(self) -> NDArray[np.int64]:
        """Index of the point set of each point, shape (k,)."""
        return np.repeat(np.arange(len(self.points.sets)), [s.size for s in self.points])

    def subset(self, chosen: NDArray[np.bool_]) -> Observations:
        """The chosen points alone, shape (k,); variables without any keep their place."""
        sets = []
        for points, part in zip(self.points, self.points.slices(), strict=True):
            if chosen[part].any():
                sets.append(replace(points, at=points.at[chosen[part]]))
        owner = self.owner[chosen]
        used = np.bincount(owner, minlength=len(self.variables))
        return Observations(
            points=Points(tuple(sets)),
            data=self.data[chosen],
            std=self.std[chosen],
            variables=tuple(
                replace(v, used=int(n)) for v, n in zip(self.variables, used, strict=True)
            ),
            owner=owner,
            position=self.position[chosen],
            charge=self.charge[chosen],
            time=self.time[chosen],
            left_out=self.left_out,
        )

    @property
    def solver_tolerance(self) -> float | None:
        """Largest solver error that leaves the fit alone [A.h].

        A tenth of the smallest noise of a capacity; less with more than a hundred capacities,
        in inverse proportion to the root of their number: the solver's errors at neighbouring
        points are alike and do not average out as noise does. None when no capacity is fitted.
        """
        capacity = np.array([variable.unit == "A.h" for variable in self.variables], dtype=bool)
        chosen = capacity[self.owner]
        if not chosen.any():
            return None
        shrunk = min(1.0, float(np.sqrt(_FEW_POINTS / chosen.sum())))
        return float(TOLERANCE_TO_NOISE * shrunk * self.std[chosen].min())


def observe(
    record: xr.DataTree,
    observables: Iterable[str] | None = None,
    *,
    coordinate: str | Mapping[str, str] | None = None,
    noise: Mapping[str, ArrayLike] | None = None,
) -> Observations:
    """Collect the data of a fit from a record.

    Parameters
    ----------
    record : xarray.DataTree
        Record with groups ``/cycles`` and/or ``/checkups``.
    observables : iterable of str, optional
        Names such as ``"discharge_capacity"`` or ``"checkups/capacity_C20"``. By default
        the discharge capacity of ``/cycles`` and every ``capacity_*``, ``resistance_*`` and
        ``voltage_*`` of ``/checkups`` that has values; also the degradation modes
        (``loss_of_lithium_inventory``, ``loss_of_active_material_*``) if the record says how
        well it knows them, as ``<name>_std``.
    coordinate : str or mapping of group to str, optional
        Coordinate that places the points; by default the first of cycle, throughput and
        elapsed time that is known for every point (or else for most).
    noise : mapping of str to array_like, optional
        Standard deviations by variable, in the record's units: a number, or an array of the
        variable's shape. Others come from ``<name>_std`` of the record, or are estimated
        from the scatter between neighbouring points, but not below what instruments allow
        (:mod:`cellmodels.fitting.instruments`).

    Returns
    -------
    Observations

    Raises
    ------
    InputError
        On an unknown variable or coordinate, a unit that is not the schema's, a noise that is not
        positive, or when no point is left.
    """
    variables = fitted_variables(record, observables)
    noise = dict(noise or {})
    _check_noise_names(noise, variables)
    parts = [_collect(record, group, name, coordinate, noise) for group, name in variables]
    unused = [p.variable.key for p in parts if not p.variable.used and observables is None]
    parts = [part for part in parts if part.variable.key not in unused]
    if not any(part.variable.used for part in parts):
        raise InputError(f"The record has no usable point of {listed(variables)}.")
    reasons = left_out(record, variables) | dict.fromkeys(unused, "it has no usable point")
    return replace(_join(parts), left_out=reasons)


# ------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Part:
    """One variable, split into its point sets."""

    variable: Variable
    sets: tuple[PointSet, ...]
    data: tuple[NDArray[np.float64], ...]
    std: tuple[NDArray[np.float64], ...]
    position: tuple[NDArray[np.int64], ...]
    place: tuple[float, ...]


def _collect(
    record: xr.DataTree,
    group: str,
    name: str,
    coordinate: str | Mapping[str, str] | None,
    noise: Mapping[str, ArrayLike],
) -> _Part:
    dataset = record[group].to_dataset()
    array = _with_dimension_first(dataset[name], _DIMENSIONS[group])
    wanted = coordinate.get(group) if isinstance(coordinate, Mapping) else coordinate
    place, at = _coordinate(dataset, group, wanted)
    values = _columns(array.values)
    flags = _flags(dataset, name, array)
    good = np.isfinite(values) & np.isfinite(at)[:, None]
    std, origin = _noise(dataset, group, name, array, at, good & ~flags, noise)
    good &= np.isfinite(std)
    use = good & ~flags
    columns = range(values.shape[1])
    rows = [np.argsort(np.where(use[:, c], at, np.inf))[: use[:, c].sum()] for c in columns]
    kept = [c for c in columns if rows[c].size]
    variable = Variable(
        group=group,
        name=name,
        unit=schema_unit(group, name),
        coordinate=place,
        used=int(use.sum()),
        flagged=int((flags & good).sum()),
        missing=int((~good).sum()),
        noise=origin,
        along="" if array.ndim == 1 else str(array.dims[1]).partition("_")[0],
    )
    return _Part(
        variable,
        tuple(
            PointSet(group, name, place, at[rows[c]], None if array.ndim == 1 else c) for c in kept
        ),
        tuple(values[rows[c], c] for c in kept),
        tuple(std[rows[c], c] for c in kept),
        tuple(rows[c] for c in kept),
        tuple(_places(dataset, array)[c] for c in kept),
    )


def _join(parts: Sequence[_Part]) -> Observations:
    owner = [np.full(part.variable.used, i) for i, part in enumerate(parts)]
    return Observations(
        points=Points(tuple(points for part in parts for points in part.sets)),
        data=np.concatenate([d for part in parts for d in part.data]),
        std=np.concatenate([s for part in parts for s in part.std]),
        variables=tuple(part.variable for part in parts),
        owner=np.concatenate(owner).astype(np.int64),
        position=np.concatenate([p for part in parts for p in part.position]).astype(np.int64),
        charge=_along(parts, "charge"),
        time=_along(parts, "time"),
    )


def _along(parts: Sequence[_Part], along: str) -> NDArray[np.float64]:
    """Where on its curve each point lies; NaN for scalars and for curves along something else."""
    return np.concatenate(
        [
            np.full(points.size, place if part.variable.along == along else np.nan)
            for part in parts
            for points, place in zip(part.sets, part.place, strict=True)
        ]
    )


def _coordinate(
    dataset: xr.Dataset, group: str, wanted: str | None
) -> tuple[str, NDArray[np.float64]]:
    """Name and values of the coordinate that places the points of a group."""
    known = {
        name: np.asarray(dataset[name].values, dtype=float)
        for name in COORDINATES
        if name in dataset.variables
    }
    counts = {name: int(np.isfinite(values).sum()) for name, values in known.items()}
    several = {name for name, values in known.items() if len(set(values[np.isfinite(values)])) > 1}
    if wanted is not None:
        if not counts.get(wanted):
            have = ", ".join(name for name, count in counts.items() if count) or "none"
            raise InputError(f"/{group} of the record has no coordinate {wanted!r}; known: {have}.")
        return wanted, known[wanted]
    if not counts or not max(counts.values()):
        raise InputError(f"/{group} of the record needs one of {', '.join(COORDINATES)}.")
    # one that is the same everywhere, as the throughput of a stored cell, places nothing
    best = max(counts, key=lambda name: (name in several or not several, counts[name]))
    return best, known[best]


def _noise(
    dataset: xr.Dataset,
    group: str,
    name: str,
    array: xr.DataArray,
    at: NDArray[np.float64],
    usable: NDArray[np.bool_],
    noise: Mapping[str, ArrayLike],
) -> tuple[NDArray[np.float64], str]:
    """Standard deviation of every point, shape (n, columns), and where it comes from."""
    values = _columns(array.values)
    given = noise.get(f"{group}/{name}", noise.get(name))
    if given is not None:
        return _checked_noise(_stretched(given, array, name), name), "given"
    if f"{name}_std" in dataset:
        std = _columns(_like(dataset[f"{name}_std"], array).values)
        if np.isfinite(std).any():
            return _checked_noise(std, f"{name}_std"), "record"
    if not usable.any():
        return np.ones_like(values), "assumed"
    size = float(np.median(np.abs(values[usable])))
    instrument = instrument_of(name, schema_unit(group, name))
    estimates = [
        (int(usable[:, c].sum()), series_noise(at[usable[:, c]], values[usable[:, c], c]))
        for c in range(values.shape[1])
        if usable[:, c].sum() >= _FEWEST_FOR_ESTIMATE
    ]
    estimates = [(n, s) for n, s in estimates if np.isfinite(s)]
    if estimates:  # pooled over the columns of a voltage curve
        weights = np.array([n for n, _ in estimates], dtype=float)
        variance = np.average([s**2 for _, s in estimates], weights=weights)
        origin, std_value = "estimated", float(np.sqrt(variance))
    else:
        origin, std_value = "assumed", instrument.guess(size)
    return np.full_like(values, max(std_value, instrument.least(size)) or 1.0), origin


def _checked_noise(std: NDArray[np.float64], name: str) -> NDArray[np.float64]:
    if np.any(std <= 0) or np.any(np.isinf(std)):
        raise InputError(f"The noise of {name!r} must be positive and finite.")
    return std


def _stretched(given: ArrayLike, array: xr.DataArray, name: str) -> NDArray[np.float64]:
    try:
        return _columns(np.broadcast_to(np.asarray(given, dtype=float), array.shape).copy())
    except ValueError:
        raise InputError(
            f"The noise of {name!r} has shape {np.shape(given)}, its variable {array.shape}."
        ) from None


def _flags(dataset: xr.Dataset, name: str, array: xr.DataArray) -> NDArray[np.bool_]:
    if f"{name}_flag" not in dataset:
        return np.zeros(_columns(array.values).shape, dtype=bool)
    flags = np.asarray(_like(dataset[f"{name}_flag"], array).values, dtype=float)
    return _columns(np.nan_to_num(flags)) != 0


def _places(dataset: xr.Dataset, array: xr.DataArray) -> NDArray[np.float64]:
    """Charge [A.h] or time [s] of each column; NaN for a scalar."""
    if array.ndim == 1:
        return np.array([np.nan])
    dimension = array.dims[1]
    if dimension not in dataset.variables:
        raise InputError(f"Variable {array.name!r} has no coordinate {dimension!r}.")
    return np.asarray(dataset[dimension].values, dtype=float)


def _like(companion: xr.DataArray, array: xr.DataArray) -> xr.DataArray:
    """A companion variable in the shape of its variable."""
    return companion.broadcast_like(array).transpose(*array.dims)


def _with_dimension_first(array: xr.DataArray, dimension: str) -> xr.DataArray:
    if dimension not in array.dims or array.ndim > 2:
        raise InputError(
            f"Variable {array.name!r} has dimensions {array.dims}; expected {dimension!r} and "
            "at most one more."
        )
    return array.transpose(dimension, ...)


def _columns(values: Any) -> NDArray[np.float64]:
    """`values` as two dimensions: points by columns."""
    values = np.asarray(values)
    values = values if values.dtype == bool else values.astype(float)
    return values.reshape(values.shape[0], -1)


def _check_noise_names(
    noise: Mapping[str, ArrayLike], variables: Sequence[tuple[str, str]]
) -> None:
    known = [n for group, name in variables for n in (name, f"{group}/{name}")]
    for name in noise:
        if name not in known:
            raise InputError(
                f"Noise is given for {name!r}, which is not fitted." + did_you_mean(name, known)
            )
