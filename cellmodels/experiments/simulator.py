"""All experiments on one cell, simulated together: the predictor of a fit of a fresh cell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellmodels.cell import Cell
from cellmodels.errors import InputError, warn
from cellmodels.experiments.experiment import Experiment
from cellmodels.experiments.impedance import ImpedancePart
from cellmodels.experiments.inner import InnerMap, inner_names, is_thermal
from cellmodels.experiments.parts import EquilibriumPart, Measured, Part, Simulated, TracePart
from cellmodels.experiments.start import Equilibrium
from cellmodels.experiments.values import (
    EquilibriumCurve,
    ImpedanceSpectrum,
    VoltageTrace,
)
from cellmodels.observations import Outcome, Points, Prediction
from cellmodels.solver.outcome import Reason, SolveFailure
from cellmodels.solver.trace import Cut
from cellmodels.trace import CompiledCell

__all__ = ["ExperimentSimulator", "checked_experiments", "cuts_of"]

Array = NDArray[np.float64]

#: A replayed current that discharges more than this many nominal capacities is ageing.
_CYCLES = 3.0


class ExperimentSimulator:
    """A cell taken through experiments, each from a start of its own.

    Parameters
    ----------
    cell : Cell
        With initial concentrations as numbers (`cellmodels.trace.with_its_own_start`).
    experiments : sequence of Experiment
        With different names.
    free : sequence of str
        Scalar parameters that stay variable.

    Raises
    ------
    InputError
        When an experiment or a parameter does not suit the cell.
    """

    def __init__(self, cell: Cell, experiments: Sequence[Experiment], free: Sequence[str]) -> None:
        self.experiments = checked_experiments(experiments)
        _check_temperatures(cell, self.experiments)
        _warn_of_ageing(cell, self.experiments)
        names = inner_names(cell, self.experiments, free)
        equilibrium = None
        if any(_needs_equilibrium(each) for each in self.experiments):
            equilibrium = Equilibrium(cell, free)
        compiled = None
        if any(isinstance(each, VoltageTrace) for each in self.experiments):
            compiled = CompiledCell.of(cell, names, temperature=is_thermal(cell))
        self.parts: tuple[Part, ...] = tuple(
            _part(each, cell, InnerMap(cell, each, free, names, equilibrium), names,
                  equilibrium, compiled)
            for each in self.experiments
        )  # fmt: skip
        self._places = _places(self.parts)

    @property
    def measured(self) -> tuple[Measured, ...]:
        """Variables of all experiments, in the order of predictions."""
        return tuple(variable for part in self.parts for variable in part.measured)

    def predict(
        self,
        values: Array,
        points: Points | None = None,
        jacobian: bool = True,
        tolerance: float | None = None,
        state: object = None,
    ) -> Prediction:
        """Values at the experiments' points, and their derivatives; a `Predictor` of the fit.

        Parameters
        ----------
        values : ndarray, shape (p,)
            Free parameters in natural units.
        points : Points, optional
            Those of the experiments, or some of them; by default all.
        jacobian, tolerance
            Not used: derivatives are always there, the time meshes are fine.
        state : object, optional
            `Prediction.state` of a call at neighbouring values.

        Returns
        -------
        Prediction
            `outcome.ok` is False where an experiment could not be simulated.
        """
        chosen = None if points is None else self._rows(points)
        wanted = self._wanted(points)
        known = state if isinstance(state, tuple) else (None,) * len(self.parts)
        found: list[Simulated | None] = []
        for part, experiment, near, want in zip(
            self.parts, self.experiments, known, wanted, strict=True
        ):
            if not want:
                found.append(None)
                continue
            try:
                found.append(part.simulate(np.asarray(values, float), _state(near)))
            except SolveFailure as failure:
                where = f"{experiment}: " if experiment.name else ""
                message = f"{where}{failure}"
                return Prediction(None, None, Outcome(False, str(failure.reason), message))
        value, slopes = self._stacked(found, len(values))
        if chosen is not None:
            value, slopes = value[chosen], slopes[chosen]
        outcome = Outcome(True, str(Reason.COMPLETED))
        return Prediction(value, slopes, outcome, state=tuple(found))

    def _stacked(self, found: Sequence[Simulated | None], count: int) -> tuple[Array, Array]:
        values, slopes = [], []
        for part, one in zip(self.parts, found, strict=True):
            size = sum(len(m.data) for m in part.measured)
            values.append(np.full(size, np.nan) if one is None else one.values)
            slopes.append(np.full((size, count), np.nan) if one is None else one.jacobian)
        return np.concatenate(values), np.concatenate(slopes)

    def _wanted(self, points: Points | None) -> list[bool]:
        """Which experiments are asked for."""
        if points is None:
            return [True] * len(self.parts)
        names = {each.variable for each in points}
        return [any(m.name in names for m in part.measured) for part in self.parts]

    def _rows(self, points: Points) -> NDArray[np.int64] | None:
        """Rows of the stacked values that are asked for; None for all."""
        rows = []
        for each in points:
            if each.variable not in self._places:
                raise InputError(f"No experiment measures {each.variable!r}.")
            first, at = self._places[each.variable]
            if each.size == len(at) and np.array_equal(each.at, at):
                rows.append(first + np.arange(len(at)))
                continue
            order = np.argsort(at, kind="stable")
            place = order[np.clip(np.searchsorted(at[order], each.at), 0, len(at) - 1)]
            if not np.array_equal(at[place], each.at):
                raise InputError(f"{each.variable!r} was not measured at all of these points.")
            rows.append(first + place)
        found = np.concatenate(rows)
        total = sum(len(m.data) for m in self.measured)
        return None if np.array_equal(found, np.arange(total)) else found


def cuts_of(
    prediction: Prediction, experiments: Sequence[Experiment]
) -> tuple[tuple[Experiment, Cut], ...]:
    """Steps of predicted traces that ended early because the voltage left the measured range."""
    if not isinstance(prediction.state, tuple):
        return ()
    return tuple(
        (experiment, cut)
        for experiment, one in zip(experiments, prediction.state, strict=True)
        if one is not None
        for cut in one.cuts
    )


def checked_experiments(experiments: Experiment | Sequence[Experiment]) -> tuple[Experiment, ...]:
    """Experiments as a tuple, each with a name of its own where there are several.

    Raises
    ------
    InputError
        When there are none, something else, or two of one name.
    """
    given = [experiments] if isinstance(experiments, Experiment) else list(experiments)
    if not given:
        raise InputError("Give at least one experiment.")
    for each in given:
        if not isinstance(each, Experiment):
            raise InputError(
                f"An experiment is a cm.VoltageTrace, cm.EquilibriumCurve or cm.ImpedanceSpectrum, "
                f"not {type(each).__name__}."
            )
    if len(given) > 1:
        given = [
            each if each.name else each.named(f"experiment {k}")
            for k, each in enumerate(given, start=1)
        ]
    twice = [name for name, count in Counter(e.name for e in given).items() if count > 1]
    if twice:
        raise InputError(f"Two experiments are named {twice[0]!r}.")
    return tuple(given)


def _state(near: Simulated | None) -> Any:
    return None if near is None else near.state


def _places(parts: Sequence[Part]) -> dict[str, tuple[int, Array]]:
    """Where each variable begins in the stacked values, and where it was measured."""
    places, first = {}, 0
    for part in parts:
        for measured in part.measured:
            places[measured.name] = (first, measured.at)
            first += len(measured.data)
    return places


def _part(
    experiment: Experiment,
    cell: Cell,
    inner: InnerMap,
    names: Sequence[str],
    equilibrium: Equilibrium | None,
    compiled: CompiledCell | None,
) -> Part:
    if isinstance(experiment, VoltageTrace):
        assert compiled is not None
        return TracePart(cell, experiment, inner, compiled)
    if isinstance(experiment, EquilibriumCurve):
        assert equilibrium is not None
        return EquilibriumPart(experiment, inner, equilibrium)
    assert isinstance(experiment, ImpedanceSpectrum)
    return ImpedancePart(cell, experiment, inner, names)


def _needs_equilibrium(experiment: Experiment) -> bool:
    return not experiment.own_start or isinstance(experiment, EquilibriumCurve)


def _check_temperatures(cell: Cell, experiments: Sequence[Experiment]) -> None:
    for each in experiments:
        if isinstance(each, VoltageTrace) and each.temperature is not None and not is_thermal(cell):
            raise InputError(
                f"{each} has temperatures, but the cell's is not simulated; give the cell "
                "mechanisms=[cm.LumpedThermal()]."
            )


def _warn_of_ageing(cell: Cell, experiments: Sequence[Experiment]) -> None:
    """A replayed current over cycles drifts: said once a fit."""
    for each in experiments:
        if not isinstance(each, VoltageTrace) or each.current is None:
            continue
        current, time = np.asarray(each.current, float), np.asarray(each.current_time, float)
        discharged = float(np.trapezoid(np.maximum(current, 0.0), time)) / 3600.0
        cycles = discharged / cell.nominal_capacity
        if cycles > _CYCLES and each.current_offset is None:
            warn(
                f"{each} replays a measured current over {cycles:.0f} full discharges. Nothing "
                "ties its charge to the cell's: an offset of 1 mA over ten cycles has bent such a "
                "fit of ageing by 12 to 60 %. Fit ageing with cm.fit, whose cycles end as the "
                "cycler ended them, or give current_offset= to fit the offset too."
            )
