"""What a record holds and a simulated life of the protocol gives too."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from cellmodels.cell import Cell
from cellmodels.errors import InputError, did_you_mean, warn
from cellmodels.fitting.residuals import Observations, observe
from cellmodels.fitting.selection import NOT_ASKED, fitted_variables
from cellmodels.lowering import ampere_hours, step_specs
from cellmodels.observables import TEMPERATURE_UNITS, CycleObservables
from cellmodels.observations import Points
from cellmodels.protocol import Protocol
from cellmodels.quantities import CURVE_PLACES

__all__ = ["Output", "checkup_outputs", "cycle_outputs", "observe_with_protocol"]


@dataclass(frozen=True)
class Output:
    """A variable that simulated check-ups give.

    Parameters
    ----------
    along : {"", "charge", "time"}
        Along what it goes, if it is a voltage curve.
    places : tuple of float
        Where along it [A.h or s].
    """

    along: str = ""
    places: tuple[float, ...] = ()


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
        Columns of voltage curves are those of the protocol's test, matched by charge or time.
    remarks : list of str
        What the record holds and the fit does not use.

    Raises
    ------
    InputError
        When the protocol does not measure a requested observable, or nothing is left.
    """
    given = _Given(cell, protocol)
    variables = fitted_variables(record, observables)
    foreign = [(group, name) for group, name in variables if not given.has(group, name)]
    if foreign and observables is not None:
        raise InputError(given.refusal(*foreign[0]))
    wanted = [f"{group}/{n}" for group, n in variables if (group, n) not in foreign]
    names = ", ".join(name for _, name in foreign)
    remarks = []
    if foreign:
        remarks.append(f"Not fitted, because the protocol's check-ups do not measure it: {names}.")
        warn(remarks[-1])
    if not wanted:
        measured = ", ".join(given.checkups) or "nothing"
        raise InputError(
            f"Nothing is left to fit: the record has {names}, the protocol's check-ups measure "
            f"{measured}."
        )
    observations = observe(record, wanted, coordinate=coordinate, noise=noise)
    told = {f"{group}/{name}" for group, name in foreign}
    more = [
        key if why == NOT_ASKED else f"{key} ({why})"
        for key, why in observations.left_out.items()
        if key not in told
    ]
    if more and observables is None:
        remarks.append(f"Also in the record, not fitted: {', '.join(more)}.")
    return _on_protocol_columns(observations, given.checkups), remarks


def checkup_outputs(cell: Cell, protocol: Protocol) -> dict[str, Output]:
    """Variables of the protocol's tests, and the places of voltage curves."""
    outputs: dict[str, Output] = {}
    for checkup in protocol.every.values():
        for test in checkup.tests:
            outputs.update(dict.fromkeys(test.variables, Output()))
            if test.curve is not None and test.times_at:
                outputs[test.curve] = Output("time", test.times_at)
            elif test.curve is not None:
                charges = tuple(ampere_hours(v, unit, cell) for v, unit in test.voltages_at)
                outputs[test.curve] = Output("charge", charges)
    return outputs


def cycle_outputs(cell: Cell, protocol: Protocol, *, temperature: bool) -> tuple[str, ...]:
    """Variables of the cycles of a protocol; temperatures where the cell has one of its own."""
    specs = step_specs(protocol.cycle, cell)
    return CycleObservables(specs, cell.electrode_area, temperature=temperature).names()


class _Given:
    """What a life of a cell under a protocol gives.

    The quantities of the state are those of the cell's model, which is built when it is asked.
    """

    def __init__(self, cell: Cell, protocol: Protocol) -> None:
        self._cell, self._protocol = cell, protocol
        self.checkups = checkup_outputs(cell, protocol)
        self._cycles = cycle_outputs(cell, protocol, temperature=False)
        self._state: Mapping[str, bool] | None = None

    def has(self, group: str, name: str) -> bool:
        if group == "cycles":
            return name in self._cycles or (name in TEMPERATURE_UNITS and self._is_thermal())
        return name in self.checkups or (name in self._cell.state_variables and name in self.state)

    @property
    def state(self) -> Mapping[str, bool]:
        """Quantities of the state, and whether each can change at all."""
        if self._state is None:
            self._state = self._cell.reported_states()
        return self._state

    def _is_thermal(self) -> bool:
        return self.state.get("cell_temperature", False)

    def refusal(self, group: str, name: str) -> str:
        """Why a variable cannot be fitted, and what could be."""
        if group == "checkups":
            choices = [*self.checkups, *self.state]
            hint = did_you_mean(name, choices) or f" They measure {', '.join(choices)}."
            return f"The protocol's check-ups do not measure {name!r}.{hint}"
        if name in TEMPERATURE_UNITS:
            return (
                f"The cell is isothermal, so it has no {name!r} of its own: give it a mechanism "
                "that heats it, such as cm.LumpedThermal()."
            )
        if name.startswith("rest_voltage"):
            return f"There is no {name!r}: no rest follows there in the protocol's cycle."
        hint = did_you_mean(name, self._cycles) or f" It gives {', '.join(self._cycles)}."
        return f"A simulated cycle does not give {name!r}.{hint}"


def _on_protocol_columns(observations: Observations, outputs: Mapping[str, Output]) -> Observations:
    """Columns of voltage curves as the protocol counts them, matched by charge or time."""
    sets = []
    for points, part in zip(observations.points, observations.points.slices(), strict=True):
        if points.column is None:
            sets.append(points)
            continue
        variable = observations.variables[observations.owner[part.start]]
        output = outputs[points.variable]
        along = observations.time if variable.along == "time" else observations.charge
        place = float(along[part.start])
        if variable.along != output.along:
            raise InputError(
                f"The record has {points.variable!r} over {variable.along}, the protocol's test "
                f"over {output.along or 'nothing'}."
            )
        column = _matching(place, output.places)
        if column is None:
            unit = CURVE_PLACES[output.along].unit
            argument = "voltages_at" if output.along == "charge" else "times_at"
            raise InputError(
                f"The record has {points.variable!r} at {place:g} {unit}, the protocol's test only "
                f"at {', '.join(f'{c:g}' for c in output.places)} {unit}. Give the test the "
                f"record's {output.along}s ({argument})."
            )
        sets.append(dataclasses.replace(points, column=column))
    return dataclasses.replace(observations, points=Points(tuple(sets)))


def _matching(place: float, places: Sequence[float]) -> int | None:
    near: NDArray[np.bool_] = np.isclose(places, place, rtol=1e-6, atol=1e-9)
    return int(np.argmax(near)) if near.any() else None
