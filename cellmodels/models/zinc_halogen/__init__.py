"""Zinc-halogen models: our own, for zinc-bromine, zinc-iodine and whatever a chemistry describes.

Levels: "lumped", two well-mixed compartments with a quasi-steady film at the plate, and "porous",
resolved through the cell's thickness; see `cellmodels.models.zinc_halogen.lumped` and `porous` for
the equations. Which halogen it is, what holds it and
which ions support it comes from the chemistry alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import pybamm

from cellmodels.chemistry import Chemistry
from cellmodels.errors import InputError
from cellmodels.models.mechanisms import SHARED, Mechanism, canonical, choose, mechanism
from cellmodels.models.zinc_halogen import checks, reactions
from cellmodels.models.zinc_halogen.base import ZincHalogenModel
from cellmodels.models.zinc_halogen.closures import NegativeFelt
from cellmodels.models.zinc_halogen.flow import Flow
from cellmodels.models.zinc_halogen.lumped import Lumped
from cellmodels.models.zinc_halogen.mechanisms import MECHANISMS, ZincMechanism
from cellmodels.models.zinc_halogen.porous import Porous
from cellmodels.models.zinc_halogen.species import Electrolyte, electrolyte

LEVELS: Mapping[str, type[ZincHalogenModel]] = MappingProxyType(
    {"lumped": Lumped, "porous": Porous}
)

SIMPLER: Mapping[str, tuple[str, ...]] = MappingProxyType({"lumped": (), "porous": ("lumped",)})


def resolve(mechanisms: Iterable[Mechanism | str | Mapping[str, Any]]) -> tuple[Mechanism, ...]:
    """Mechanisms as objects, in one canonical order.

    Parameters
    ----------
    mechanisms
        Objects, short names or tables, see `cellmodels.models.mechanisms.mechanism`.

    Returns
    -------
    tuple of Mechanism
        Sorted by name, so that the order in which they were written does not matter.

    Raises
    ------
    InputError
        If a mechanism is unknown, given twice, or of another family.
    """
    if isinstance(mechanisms, (str, Mechanism, Mapping)):
        mechanisms = [mechanisms]
    return canonical(mechanism(_own(m), MECHANISMS) for m in mechanisms)


def _own(given: Mechanism | str | Mapping[str, Any]) -> Mechanism | str | Mapping[str, Any]:
    """The mechanism of the same name in zinc-halogen cells, where both families have one."""
    names = [kind.short_name for kind in MECHANISMS]
    if isinstance(given, SHARED) and given.short_name in names:
        return given.to_dict()
    return given


def build(
    level: str,
    mechanisms: Iterable[Mechanism | str | Mapping[str, Any]],
    chemistry: Chemistry,
    present: Callable[[str], bool] = lambda name: True,
) -> pybamm.BaseModel:
    """A fresh PyBaMM model.

    Parameters
    ----------
    level
        "lumped" or "porous".
    mechanisms
        Objects, short names or tables.
    chemistry
        What reacts.
    present
        Not used: these models read all of their parameters.

    Returns
    -------
    pybamm.BaseModel

    Raises
    ------
    InputError
        If the level is unknown, the chemistry lacks what the model needs, or as `resolve`.
    """
    kind = LEVELS[choose(level, LEVELS, "model level")]
    return kind(*parts(mechanisms, chemistry, level), f"{chemistry.name} {level}")


def parts(
    mechanisms: Iterable[Mechanism | str | Mapping[str, Any]], chemistry: Chemistry, level: str
) -> tuple[Electrolyte, tuple[ZincMechanism, ...]]:
    """What a model is made of, checked to go together.

    Parameters
    ----------
    mechanisms
        Objects, short names or tables.
    chemistry
        What reacts.
    level
        Of the model.

    Returns
    -------
    Electrolyte, tuple of ZincMechanism

    Raises
    ------
    InputError
        If the chemistry lacks what the model or a mechanism needs, a mechanism is not of this
        level, or as `resolve`.
    """
    chosen = tuple(m for m in resolve(mechanisms) if isinstance(m, ZincMechanism))
    dissolved = electrolyte(chemistry)
    reactions.check_cell(chemistry, dissolved)
    for each in chosen:
        chemistry.check_mechanism(each.short_name)
        reactions.check_mechanism(chemistry, dissolved, each.short_name, each.runs)
        if level not in each.levels:
            raise InputError(
                f"mechanisms: '{each.short_name}' needs the model '{each.levels[0]}'; this one is "
                f"'{level}'."
            )
    return dissolved, chosen


@lru_cache(maxsize=64)
def required(
    level: str, mechanisms: tuple[Mechanism, ...], chemistry: Chemistry
) -> tuple[str, ...]:
    """Parameters that a model reads, in the order in which it reads them.

    Parameters
    ----------
    level, mechanisms, chemistry
        As for `build`.

    Returns
    -------
    tuple of str
    """
    return tuple(build(level, mechanisms, chemistry).parameter_names)


@lru_cache(maxsize=16)
def known(chemistry: Chemistry) -> tuple[str, ...]:
    """Parameters that some model of this chemistry reads: all that a set may hold.

    Parameters
    ----------
    chemistry
        What reacts.

    Returns
    -------
    tuple of str
    """
    quoted = [name for law in chemistry.properties.values() for name in law.expression.parameters]
    every = [kind() for kind in MECHANISMS if kind.short_name in chemistry.mechanisms]
    more = [name for each in every for name in each.requires]
    variants: list[tuple[Mechanism, ...]] = [tuple(every)]
    for each in every:
        for other in each.variants():
            variants.append((other,))
    read: list[str] = []
    for level, variant in itertools.product(LEVELS, variants):
        able = tuple(m for m in variant if isinstance(m, ZincMechanism) and level in m.levels)
        read += required(level, able, chemistry)
    return tuple(dict.fromkeys([*read, *more, *quoted]))


def state_variables(chemistry: Chemistry) -> Mapping[str, str]:
    """Quantities of a cell's state, as the models call them for this halogen.

    Parameters
    ----------
    chemistry
        What reacts.

    Returns
    -------
    mapping of str to str
    """
    e = electrolyte(chemistry)
    metal, halogen, halide = (word.capitalize() for word in (e.metal, e.halogen, e.halide))
    return {
        "cell_temperature": "Cell temperature [K]",
        "open_circuit_voltage": "Open-circuit voltage [V]",
        "metal_state_of_charge": f"{metal} state of charge",
        "halogen_state_of_charge": f"{halogen} state of charge",
        "halide_utilisation": f"{halide} utilisation",
        "inventory_imbalance": "Inventory imbalance [mol.m-2]",
        "aqueous_halogen": f"Positive aqueous {e.halogen} concentration [mol.m-3]",
        "crossed_halogen": f"Negative aqueous {e.halogen} concentration [mol.m-3]",
        "metal_amount": f"{metal} areal amount [mol.m-2]",
        "halogen_amount": f"{halogen} areal amount [mol.m-2]",
        "dead_metal": "Dead zinc [mol.m-2]",
        "hydrogen": "Hydrogen [mol.m-2]",
        "precipitate": "Zinc precipitate [mol.m-2]",
        "ph_negative": "Negative compartment pH",
        "ph_positive": "Positive compartment pH",
        "self_discharge": "Self-discharge current density [A.m-2]",
        "standby_power": "Standby power [W.m-2]",
        "standby_power_per_energy": "Standby power per stored energy [h-1]",
        "plate_margin": "Plate concentration margin",
        "agent_activity": "Complexing agent activity",
        "fused_salt": "Fused salt areal amount [mol.m-2]",
        "positive_area_factor": "Positive electrode area factor",
        "separator_resistance_factor": "Separator resistance factor",
        "pump_power": "Pump power [W.m-2]",
        "pump_energy": "Pump energy [W.h]",
    }


def set_initial_soc(
    values: pybamm.ParameterValues, soc: float, mechanisms: Iterable[Mechanism] = ()
) -> None:
    """Set the state of charge at the start, in place.

    Parameters
    ----------
    values
        The cell's parameter values; changed.
    soc
        Share of the maximum areal capacity of zinc, 0 to 1.
    mechanisms
        Not used.
    """
    values["Initial state of charge"] = soc


def electrode_area(values: pybamm.ParameterValues) -> float:
    """Area that an area-specific current refers to [m2].

    Parameters
    ----------
    values
        The cell's parameter values.

    Returns
    -------
    float
    """
    return float(values["Electrode area [m2]"])


def check_values(
    values: pybamm.ParameterValues,
    chemistry: Chemistry,
    mechanisms: Iterable[Mechanism] = (),
    level: str = "lumped",
) -> None:
    """Check that the numbers of a cell are possible, alone and together.

    Parameters
    ----------
    values
        The cell's parameter values.
    chemistry
        What reacts.
    mechanisms
        Those of the cell: with flow there is the electrolyte of the tanks too.
    level
        Model level.

    Raises
    ------
    InputError
        Naming what is not possible, and what would be.
    """
    flows = any(isinstance(each, Flow) for each in mechanisms)
    checks.check_values(values)
    if level == "porous":
        felt = any(isinstance(each, NegativeFelt) for each in mechanisms)
        checks.check_layers(values, electrolyte(chemistry), felt, flows)
    else:
        checks.check_lumped(values, electrolyte(chemistry), flows)
