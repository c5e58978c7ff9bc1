"""``compare_mechanisms``: sets of mechanisms fitted to one record, and which it supports."""

from __future__ import annotations

import concurrent.futures
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import xarray as xr
from numpy.typing import ArrayLike
from tqdm.auto import tqdm

from cellmodels.cell import Cell
from cellmodels.errors import InputError, did_you_mean
from cellmodels.fitting.fit import free_parameters
from cellmodels.fitting.matching import observe_with_protocol
from cellmodels.fitting.model_selection.result import MechanismComparison, assemble
from cellmodels.fitting.model_selection.running import run_sets
from cellmodels.fitting.model_selection.task import (
    Maker,
    SetTask,
    check_cuts,
    simulate_with,
)
from cellmodels.models.mechanisms import Mechanism
from cellmodels.protocol import Protocol

__all__ = ["compare_mechanisms"]

CUTS = (0.5, 0.6, 0.7)


def compare_mechanisms(
    cell: Cell,
    record: xr.DataTree,
    protocol: Protocol,
    sets: Mapping[str, Iterable[Mechanism | str | Mapping[str, Any]]],
    *,
    free: Mapping[str, Sequence[str]] | None = None,
    also: Sequence[str] = (),
    observables: Iterable[str] | None = None,
    coordinate: str | Mapping[str, str] | None = None,
    start: Mapping[str, float] | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    noise: Mapping[str, ArrayLike] | None = None,
    cuts: Sequence[float] = CUTS,
    tolerance: float | None = None,
    folder: str | os.PathLike[str] | None = None,
    executor: concurrent.futures.Executor | None = None,
    progress: bool = True,
    max_evaluations: int = 60,
    maker: Maker = simulate_with,
) -> MechanismComparison:
    """Find out which ageing mechanisms the data of a cell support.

    Each set is fitted to the whole record and, to see whether it predicts, to the first part of
    the life alone. A set that contains another one starts from where that ended, so that it is no
    worse. Sets are compared by AICc with a likelihood that allows for misfit that is alike from
    point to point (:mod:`cellmodels.fitting.model_selection.likelihood`).

    Parameters
    ----------
    cell : Cell
        Its numbers and model level are those of all sets, its mechanisms only those that do not
        age it (such as a lumped temperature).
    record : xarray.DataTree
    protocol : Protocol
    sets : mapping of str to iterable of Mechanism, str or mapping
        Name -> the mechanisms that age the cell, as for :class:`cellmodels.Cell`.
    free : mapping of str to sequence of str, optional
        Set -> parameters to fit; by default the rates of its mechanisms (``Mechanism.rates``).
    also : sequence of str
        Fitted in every set beside those, such as the size of the cell.
    observables, coordinate, noise, tolerance
        As for :func:`cellmodels.fit`.
    start, bounds : mapping
        As for :func:`cellmodels.fit`, for the parameters of all sets.
    cuts : sequence of float
        Shares of the life after which it is predicted; ``()`` to leave that out.
    folder : path, optional
        Where each set's result is kept as it arrives; what is there is not fitted again.
    executor : concurrent.futures.Executor, optional
        Runs the sets beside each other; a set waits for those it contains. A set whose worker dies
        is fitted once more in a process of our own, as are all that are left when the executor
        breaks. That process is started anew ("spawn"), so that a script that calls this needs
        ``if __name__ == "__main__":``.
    progress : bool
        Show a progress bar.
    max_evaluations : int
        Largest number of simulated lives of one fit.
    maker : callable, optional
        In place of simulators: makes the predictor of a cell, a protocol and names.

    Returns
    -------
    MechanismComparison
        A set whose fit fails is a row that says why. Where it was workers that died, nothing is
        kept of it in `folder`, so that the next call tries it again.

    Raises
    ------
    InputError
        Before any simulation, when a set, name, number or observable is wrong.
    CellModelsError
        When an executor broke and no process of our own can be started.
    """
    tasks = _tasks(
        cell, record, protocol, sets, free, also, start or {}, bounds or {},
        {"observables": observables, "coordinate": coordinate, "noise": noise},
    )  # fmt: skip
    cuts = check_cuts(cuts)
    tasks = {
        name: replace(
            task, cuts=cuts, tolerance=tolerance, max_evaluations=max_evaluations, maker=maker
        )
        for name, task in tasks.items()
    }
    place = None if folder is None else Path(folder)
    if place is not None:
        place.mkdir(parents=True, exist_ok=True)
    with tqdm(total=len(tasks), desc="mechanisms", unit="set", disable=not progress) as bar:
        results = run_sets(tasks, place, executor, bar)
    mechanisms = {name: task.cell.mechanisms for name, task in tasks.items()}
    ordered = {name: results[name] for name in tasks}
    return assemble(ordered, mechanisms, str(record.attrs.get("title") or "untitled"))


# Before any simulation --------------------------------------------------------------------


def _tasks(
    cell: Cell,
    record: xr.DataTree,
    protocol: Protocol,
    sets: Mapping[str, Iterable[Mechanism | str | Mapping[str, Any]]],
    free: Mapping[str, Sequence[str]] | None,
    also: Sequence[str],
    start: Mapping[str, float],
    bounds: Mapping[str, tuple[float, float]],
    observing: Mapping[str, Any],
) -> dict[str, SetTask]:
    if not isinstance(sets, Mapping) or len(sets) < 2:
        raise InputError("Give at least two sets of mechanisms, as {name: [mechanisms]}.")
    for name in free or {}:
        if name not in sets:
            raise InputError(f"free: there is no set {name!r}." + did_you_mean(name, tuple(sets)))
    cells = {name: _cell(cell, name, mechanisms) for name, mechanisms in sets.items()}
    names = {name: _free(name, cells[name], (free or {}).get(name), also) for name in cells}
    fitted = dict.fromkeys(n for each in names.values() for n in each)
    for what, given in (("start", start), ("bounds", bounds)):
        for name in given:
            if name not in fitted:
                raise InputError(
                    f"A {what} is given for {name!r}, which no set fits."
                    + did_you_mean(name, tuple(fitted))
                )
    observations, remarks = observe_with_protocol(
        record, cell, protocol, observing["observables"],
        coordinate=observing["coordinate"], noise=observing["noise"],
    )  # fmt: skip
    tasks = {}
    for name, own in names.items():
        scaling = free_parameters(
            cells[name],
            own,
            start={n: v for n, v in start.items() if n in own},
            bounds={n: v for n, v in bounds.items() if n in own},
        )
        if observations.size < len(own):
            raise InputError(
                f"{observations.size} points cannot determine {len(own)} parameters of {name!r}."
            )
        tasks[name] = SetTask(
            name, cells[name], protocol, record, observations, scaling, remarks=tuple(remarks)
        )
    return tasks


def _cell(cell: Cell, name: str, mechanisms: Iterable[Mechanism | str | Mapping[str, Any]]) -> Cell:
    try:
        return cell.with_ageing(mechanisms)
    except InputError as error:
        raise InputError(f"The set {name!r}: {error}") from None


def _free(name: str, cell: Cell, given: Sequence[str] | None, also: Sequence[str]) -> list[str]:
    """Parameters of a set, each of which must act in its cell."""
    rates = [rate for m in cell.mechanisms for rate in m.rates]
    chosen = rates if given is None else _names(given)
    chosen = list(dict.fromkeys([*chosen, *_names(also)]))
    if not chosen:
        raise InputError(f"The set {name!r} has nothing to fit: name parameters in free or also.")
    values = cell.parameter_values()
    for each in chosen:
        if each not in cell.parameters_read and each != "Contact resistance [Ohm]":
            known = each in values
            what = "does not act in it" if known else "is no parameter of the cell"
            choices = (*cell.ageing_parameters, *cell.parameters_read)
            raise InputError(f"The set {name!r}: {each!r} {what}." + did_you_mean(each, choices))
    return chosen


def _names(names: Sequence[str]) -> list[str]:
    return [names] if isinstance(names, str) else list(names)
