"""Whether the numbers of a zinc-halogen cell are possible, before anything is solved."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pybamm

from cellmodels.errors import InputError
from cellmodels.models.zinc_halogen.compartments import initial_concentrations
from cellmodels.models.zinc_halogen.flow import tank_volumes
from cellmodels.models.zinc_halogen.lumped import heights
from cellmodels.models.zinc_halogen.negatives import FILLED
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
            r".* contact length|.* tank volume per area|"
            r"Fused salt (solubility product|halogen capacity)|"
            r"Flow threshold current density)( \[|$)",
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


def check_values(values: pybamm.ParameterValues) -> None:
    """Check the numbers of a cell, one by one.

    Parameters
    ----------
    values
        Numbers and functions by their names; functions are not checked.

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


def check_lumped(
    values: pybamm.ParameterValues, electrolyte: Electrolyte, flows: bool = False
) -> None:
    """Check what the recipe comes to in two compartments.

    Parameters
    ----------
    values
        Numbers and functions by their names.
    electrolyte
        What is dissolved.
    flows
        Whether the cell has tanks.

    Raises
    ------
    InputError
        If there is less than nothing of a component.
    """
    numbers = Numbers(pybamm.Parameter("Ambient temperature [K]"))
    _check_recipe(values, electrolyte, heights(numbers), flows)


def check_layers(
    values: pybamm.ParameterValues, electrolyte: Electrolyte, felt: bool, flows: bool
) -> None:
    """Check that every layer of a model that resolves the thickness is one.

    Parameters
    ----------
    values
        Numbers and functions by their names.
    electrolyte
        What is dissolved.
    felt
        Whether the negative electrode is a felt.
    flows
        Whether the cell has tanks.

    Raises
    ------
    InputError
        If the gap has no thickness or cannot hold its electrolyte, or if there is electrolyte that
        has no place in the model; if a felt has no room for the metal at the start, or if there is
        less than nothing of a component.
    """
    gap, held, reservoir = (float(values.get(name, 0.0)) for name in _LAYERS)
    if not felt and not 0.0 < held <= gap:
        raise InputError(
            f"'{_LAYERS[0]}' is {gap:g} and '{_LAYERS[1]}' {held:g}; the porous model needs a gap "
            "at the plate, and no more electrolyte in it than it has room for, or the mechanism "
            "'negative felt'."
        )
    if reservoir > 0.0:
        raise InputError(
            f"'{_LAYERS[2]}' is {reservoir:g}, but the porous model has no reservoir: set it to 0, "
            "or choose the lumped model."
        )
    n = Numbers(pybamm.Parameter("Ambient temperature [K]"))
    shared = n("Separator porosity") * n("Separator thickness [m]")
    negative = n(_LAYERS[1])
    if felt:
        room = _room(n, electrolyte)
        left = float(values.evaluate(room / n("Negative electrode thickness [m]")))
        if left < FILLED:
            raise InputError(
                f"The negative electrode has a porosity of {left:.3g} with the metal at the start: "
                "it needs more thickness or porosity, or less metal."
            )
        negative = room
    positive = n("Positive electrode porosity") * n("Positive electrode thickness [m]")
    _check_recipe(values, electrolyte, {"negative": negative + shared, "positive": positive}, flows)


def _room(n: Numbers, electrolyte: Electrolyte) -> pybamm.Symbol:
    """Electrolyte in a negative felt at the start, per area of cell [m]."""
    metal = electrolyte.metal
    start = n(f"Initial {metal} areal amount [mol.m-2]")
    start = start + n("Initial state of charge") * n(f"Maximum {metal} areal capacity [mol.m-2]")
    felt = n("Negative electrode porosity") * n("Negative electrode thickness [m]")
    return felt - n(f"{metal.capitalize()} molar volume [m3.mol-1]") * start


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


def _check_recipe(
    values: pybamm.ParameterValues,
    electrolyte: Electrolyte,
    own: Mapping[str, pybamm.Symbol],
    flows: bool,
) -> None:
    """There may not be less than nothing of a component at the start; acid is a difference."""
    numbers = Numbers(pybamm.Parameter("Ambient temperature [K]"))
    tanks = tank_volumes(numbers) if flows else {}
    height = {side: held + tanks.get(side, 0) for side, held in own.items()}
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
