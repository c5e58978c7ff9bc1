"""What a record holds and a protocol's simulated check-ups give too."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from cellmodels.cell import Cell
from cellmodels.errors import InputError, did_you_mean, warn
from cellmodels.fitting.residuals import Observations, fitted_variables, observe
from cellmodels.lowering import ampere_hours
from cellmodels.observations import Points
from cellmodels.protocol import Protocol

__all__ = ["checkup_outputs", "observe_with_protocol"]


def observe_with_protocol(
    record: xr.DataTree,
    cell: Cell,
    protocol: Protocol,
    observables: Iterable[str] | None = None,
    *,
    coordinate: str | Mapping[str, str] | None = None,
    noise: Mapping[str, ArrayLike] | None = None,
) -> tuple[Observations, list[str]]:
    """Observations of a record that a simulated life gives too.

    Parameters
    ----------
    record : xarray.DataTree
    cell : Cell
        Makes charges given as fractions of its nominal capacity absolute.
    protocol : Protocol
    observables : iterable of str, optional
    coordinate : str or mapping of group to str, optional
    noise : mapping of str to array_like, optional
        As in :func:`cellmodels.fitting.residuals.observe`.

    Returns
    -------
    observations : Observations
        Columns of voltage curves are those of the protocol's test, matched by charge.
    remarks : list of str
        What the record holds and the protocol does not measure.

    Raises
    ------
    InputError
        When the protocol does not measure a requested observable, or nothing is left.
    """
    charges = checkup_outputs(cell, protocol)
    variables = fitted_variables(record, observables)
    foreign = [n for group, n in variables if group == "checkups" and n not in charges]
    if foreign and observables is not None:
        raise InputError(
            f"The protocol's check-ups do not measure {foreign[0]!r}."
            + did_you_mean(foreign[0], charges)
        )
    wanted = [f"{group}/{n}" for group, n in variables if n not in foreign or group == "cycles"]
    remarks = []
    if foreign:
        remarks.append(
            f"Not fitted, because the protocol's check-ups do not measure it: {', '.join(foreign)}."
        )
        warn(remarks[-1])
    if not wanted:
        raise InputError(
            f"Nothing is left to fit: the record has {', '.join(foreign)}, the protocol's "
            f"check-ups measure {', '.join(charges) or 'nothing'}."
        )
    observations = observe(record, wanted, coordinate=coordinate, noise=noise)
    return _on_protocol_columns(observations, charges), remarks


def checkup_outputs(cell: Cell, protocol: Protocol) -> dict[str, tuple[float, ...]]:
    """Variables of the protocol's check-ups, with the charges [A.h] of voltage curves."""
    outputs: dict[str, tuple[float, ...]] = {}
    for checkup in protocol.every.values():
        for test in checkup.tests:
            outputs[f"{test.measure}_{test.name}"] = ()
            if test.voltages_at:
                charges = (ampere_hours(value, unit, cell) for value, unit in test.voltages_at)
                outputs[f"voltage_{test.name}"] = tuple(charges)
    return outputs


def _on_protocol_columns(
    observations: Observations, charges: Mapping[str, tuple[float, ...]]
) -> Observations:
    """Columns of voltage curves as the protocol counts them, matched by charge."""
    sets = []
    for points, part in zip(observations.points, observations.points.slices(), strict=True):
        if points.column is None:
            sets.append(points)
            continue
        charge = float(observations.charge[part][0])
        column = _matching(charge, charges[points.variable])
        if column is None:
            raise InputError(
                f"The record has {points.variable!r} at {charge:g} A.h, the protocol's test only "
                f"at {', '.join(f'{c:g}' for c in charges[points.variable])} A.h. Give the test "
                "the record's charges (voltages_at)."
            )
        sets.append(dataclasses.replace(points, column=column))
    return dataclasses.replace(observations, points=Points(tuple(sets)))


def _matching(charge: float, charges: Sequence[float]) -> int | None:
    near: NDArray[np.bool_] = np.isclose(charges, charge, rtol=1e-6, atol=1e-9)
    return int(np.argmax(near)) if near.any() else None
