"""From what people write in a protocol to what the solver takes: absolute, signed numbers."""

from __future__ import annotations

from collections.abc import Sequence

from cellmodels.cell import Cell
from cellmodels.errors import InputError, did_you_mean
from cellmodels.quantities import STATE_ENDS
from cellmodels.solver.consistent import has_resistance
from cellmodels.solver.dae import Dae
from cellmodels.solver.step import HOUR, Control, StepSpec, Stop
from cellmodels.steps import End, Step

#: Longest time that a step without a duration may take before it counts as endless [s].
_GUARD = 7 * 24 * HOUR


def step_specs(steps: Sequence[Step], cell: Cell) -> tuple[StepSpec, ...]:
    """The steps for this cell, with C-rates, areas and fractions made absolute.

    Raises
    ------
    InputError
        If an end condition has no meaning for its step.
    """
    return tuple(step_spec(step, cell) for step in steps)


def check_held(steps: Sequence[Step], dae: Dae, cell: Cell) -> None:
    """Refuse steps that hold a voltage which does not follow the current.

    Raises
    ------
    InputError
        Naming the step and what would do.
    """
    held = [step for step in steps if step.control == "voltage"]
    if held and not has_resistance(dae):
        others = [name for name in cell.chemistry.models if name != cell.model]
        raise InputError(
            f"The step {held[0]}: the model '{cell.model}' has no ohmic resistance, so that with "
            "double layers no current holds its voltage. Choose another model "
            f"({', '.join(others)}) or give the cell a 'Contact resistance [Ohm]'."
        )


def step_spec(step: Step, cell: Cell) -> StepSpec:
    """One step for this cell."""
    control = _control(step, cell)
    stops = tuple(_stop(end, control, cell, step) for end in step.ends)
    if step.max_duration is not None:
        return StepSpec(control, stops, float(step.max_duration), limit_is_end=True)
    if not stops:
        raise InputError(f"The step {step} has no end.")
    timed = [stop.value for stop in stops if stop.quantity == "time"]
    return StepSpec(control, stops, max(_guard(control, cell), *(2.0 * t for t in timed), 0.0))


def _control(step: Step, cell: Cell) -> Control:
    if step.control == "rest":
        return Control("current", 0.0)
    if step.control == "current":
        return Control("current", amperes(step.value, step.unit, cell))
    return Control(step.control, float(step.value))


def amperes(value: float, unit: str, cell: Cell) -> float:
    """A current [A] from amperes, a C-rate, or milliamperes per square centimetre."""
    if unit == "C":
        return value * cell.nominal_capacity
    if unit == "mA/cm2":
        return value * 10.0 * cell.electrode_area
    return float(value)


def ampere_hours(value: float, unit: str, cell: Cell) -> float:
    """A charge [A.h] from ampere-hours, a fraction of the nominal capacity, or mAh/cm2."""
    if unit == "mAh/cm2":
        return value * 10.0 * cell.electrode_area
    return value * cell.nominal_capacity if unit == "nominal" else float(value)


def _stop(end: End, control: Control, cell: Cell, step: Step) -> Stop:
    if end.quantity == "time":
        return Stop("time", float(end.value))
    if end.quantity == "charge":
        return Stop("charge", abs(ampere_hours(end.value, end.unit, cell)))
    if end.quantity == "state":
        return _state_stop(end, control, cell)
    if end.quantity == "current":
        # a held voltage or a charge at constant power lets the current fall
        rises = control.kind == "power" and control.value > 0.0
        return Stop("current", abs(amperes(end.value, end.unit, cell)), 1 if rises else -1)
    if control.value == 0.0 or control.kind == "voltage":
        raise InputError(
            f"The step {step} cannot end at a voltage: it neither charges nor discharges."
        )
    return Stop("voltage", float(end.value), -1 if control.value > 0.0 else 1)


def _state_stop(end: End, control: Control, cell: Cell) -> Stop:
    """An end at a quantity of the cell's state."""
    states = cell.state_variables
    if end.unit not in states:
        raise InputError(
            f"The end '{end}': this cell has no such state."
            + did_you_mean(end.unit, [name for name in STATE_ENDS if name in states])
        )
    side = STATE_ENDS[end.unit]
    charges = control.kind != "voltage" and control.value < 0.0
    rises = charges if side == "with charge" else side == "rising"
    return Stop("output", float(end.value), 1 if rises else -1, states[end.unit])


def _guard(control: Control, cell: Cell) -> float:
    if control.kind == "current" and control.value != 0.0:
        return max(HOUR, 5.0 * HOUR * cell.nominal_capacity / abs(control.value))
    return _GUARD
