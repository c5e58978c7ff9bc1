"""Whether the numbers of a zinc-halogen cell are possible, before anything is solved."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pybamm

from cellmodels.errors import InputError
from cellmodels.models.zinc_halogen.compartments import initial_concentrations
from cellmodels.models.zinc_halogen.flow import tank_volumes
from cellmodels.models.zinc_halogen.lumped import heights
from cellmodels.models.zinc_halogen.numbers import Numbers
from cellmodels.models.zinc_halogen.species import ACID, Electrolyte
from cellmodels.units import unit_of_name

#: Units of potentials, energies and coefficients, which may have either sign.
_SIGNED = {"V", "V.K-1", "J.mol-1", "kg.mol-1", "kg2.mol-2"}
#: Names of the same that have no unit, or that have one of these and no sign to choose.
_ANY, _NOT_NEGATIVE = re.compile(r"pH$"), re.compile(r"overpotential \[V\]$")

#: What more is known of a parameter by its name: lowest, highest, and whether they are possible.
_RANGES = tuple(
    (re.compile(pattern), low, high, inclusive)
    for pattern, low, high, inclusive in (
        (r"porosity$", 0.0, 1.0, (False, True)),
        (r"partition coefficient$", 0.0, 1.0, (True, True)),
        (r"^Initial state of charge$", 0.0, 1.0, (True, True)),
        (r"^Dead .* fraction$", 0.0, 1.0, (True, True)),
        (r"water activity$", 0.0, 1.0, (True, True)),
        (r"return fraction on ", 0.0, 1.0, (True, True)),
        (r"^Pump efficiency$", 0.0, 1.0, (False, True)),
        (r"anodic transfer coefficient$", 0.0, 2.0, (False, False)),
        (r"^(?!.*(anodic|Carbon)).*transfer coefficient$", 0.0, 1.0, (False, False)),
        (r"MacMullin number$", 1.0, float("inf"), (True, True)),
        (r"transference number correction$", 0.0, 1.0, (True, True)),
        (
            r"^(Electrode area|Nominal cell capacity|Maximum .* areal capacity|Separator thickness|"
            r"(Positive|Negative) electrode thickness|.* surface area to volume ratio|"
            r".* exchange-current .*|"
            r".* diffusivity|.* viscosity factor|.* half-loading .*|.* saturation .*|"
            r"Residual .* threshold|.* dissolution time|.* diffusion-layer thickness|"
            r".* mass-transfer coefficient|.* chemical attack velocity|.* heat capacity|"
            r"Water ionic product|.* activity factor|.* temperature|.* conductivity.*|"
            r".* contact length|.* tank volume per area|Flow threshold current density)( \[|$)",
            0.0,
            float("inf"),
            (False, True),
        ),
    )
)

#: Pairs of which the first is below the second.
_ORDERED = (
    ("Lower voltage cut-off [V]", "Upper voltage cut-off [V]"),
    ("Electrolyte freezing temperature [K]", "Electrolyte boiling temperature [K]"),
)


def check_values(
    values: pybamm.ParameterValues, electrolyte: Electrolyte, flows: bool = False
) -> None:
    """Check the numbers of a cell, and what its recipe comes to.

    Parameters
    ----------
    values
        Numbers and functions by their names; functions are not checked.
    electrolyte
        What is dissolved.
    flows
        Whether the cell has tanks.

    Raises
    ------
    InputError
        Naming what is not possible, and what would be.
    """
    numbers = {n: float(v) for n, v in values.items() if _is_number(v)}
    for name, value in numbers.items():
        _check_range(name, value)
    for lower, upper in _ORDERED:
        if lower in numbers and upper in numbers and numbers[lower] >= numbers[upper]:
            raise InputError(
                f"'{lower}' is {numbers[lower]:g} and '{upper}' {numbers[upper]:g}; the first must "
                "be below the second."
            )
    _check_recipe(values, electrolyte, flows)


def check_layers(values: pybamm.ParameterValues, read: Sequence[str]) -> None:
    """Check that every layer of a model that resolves the thickness is one.

    Parameters
    ----------
    values
        Numbers and functions by their names.
    read
        Parameters that the model reads.

    Raises
    ------
    InputError
        If the gap has no thickness or cannot hold its electrolyte, or if there is electrolyte that
        has no place in the model.
    """
    gap, held, reservoir = (float(values[name]) for name in _LAYERS)
    if _LAYERS[0] in read and not 0.0 < held <= gap:
        raise InputError(
            f"'{_LAYERS[0]}' is {gap:g} and '{_LAYERS[1]}' {held:g}; the porous model needs a gap "
            "at the plate, and no more electrolyte in it than it has room for."
        )
    if _LAYERS[2] not in read and reservoir > 0.0:
        raise InputError(
            f"'{_LAYERS[2]}' is {reservoir:g}, but the porous model has no reservoir: set it to 0, "
            "or choose the lumped model."
        )


_LAYERS = (
    "Negative gap thickness [m]",
    "Negative compartment electrolyte height [m]",
    "Positive reservoir electrolyte height [m]",
)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _check_range(name: str, value: float) -> None:
    for pattern, low, high, (from_low, to_high) in _RANGES:
        if not pattern.search(name):
            continue
        if not (low < value < high or (from_low and value == low) or (to_high and value == high)):
            raise InputError(f"'{name}' is {value:g}, but must be {_between(low, high, from_low)}.")
        return
    signed = unit_of_name(name) in _SIGNED or _ANY.search(name)
    if value < 0.0 and (not signed or _NOT_NEGATIVE.search(name)):
        raise InputError(f"'{name}' is {value:g}, but cannot be negative.")


def _between(low: float, high: float, from_low: bool) -> str:
    if high == float("inf"):
        return f"{'at least' if from_low else 'above'} {low:g}"
    return f"{'from' if from_low else 'above'} {low:g} to {high:g}"


def _check_recipe(values: pybamm.ParameterValues, electrolyte: Electrolyte, flows: bool) -> None:
    """There may not be less than nothing of a component at the start; acid is a difference."""
    numbers = Numbers(pybamm.Parameter("Ambient temperature [K]"))
    tanks = tank_volumes(numbers) if flows else {}
    height = {side: own + tanks.get(side, 0) for side, own in heights(numbers).items()}
    start = initial_concentrations(electrolyte, numbers, sum(height.values()), height["positive"])
    for side, recipe in start.items():
        for component, symbol in recipe.items():
            left = float(values.evaluate(symbol))
            if left < 0.0 and component != ACID:
                raise InputError(
                    f"The recipe leaves {left:.4g} mol.m-3 of {electrolyte.word(component)} on the "
                    f"{side} side. {_WHY.format(electrolyte.halide)}"
                )


_WHY = (
    "The {} closes the electroneutrality of the initial concentrations, and the initial state of "
    "charge takes salt from them: there must be enough cations, and enough salt."
)
