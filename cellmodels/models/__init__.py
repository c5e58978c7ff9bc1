"""Cell models: what PyBaMM solves for each family of chemistries.

A family is a module that offers

* ``LEVELS``: mapping of model level -> what builds it,
* ``SIMPLER``: mapping of model level -> levels that cost far less and, fitted to the same data,
  end near it; the simplest first,
* ``resolve(mechanisms)``: mechanisms as objects, checked to go together,
* ``build(level, mechanisms, chemistry, present)``: a fresh `pybamm.BaseModel`; ``present(name)``
  tells whether a parameter is not zero, or may be varied,
* ``required(level, mechanisms, chemistry)``: parameters that such a model reads, beyond those that
  its mechanisms require,
* ``known(chemistry)``: all parameters that some model reads; empty where PyBaMM knows them,
* ``state_variables(chemistry)``: quantities of `cellmodels.quantities` -> variables of the models;
  a model may lack some,
* ``set_initial_soc(values, soc, mechanisms)``: start the cell at a state of charge,
* ``electrode_area(values)``: area that an area-specific current refers to [m2],
* ``check_values(values, chemistry, mechanisms, level)``, where numbers may be impossible, alone,
  together or for a model level: raises InputError before anything is solved; a family may do
  without.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from types import MappingProxyType, ModuleType
from typing import Any

import pybamm

from cellmodels.errors import InputError, did_you_mean

FAMILIES = MappingProxyType(
    {
        "lithium_ion": "cellmodels.models.lithium_ion",
        "zinc_halogen": "cellmodels.models.zinc_halogen",
    }
)


def family(name: str) -> ModuleType:
    """The module that models a family of chemistries.

    Parameters
    ----------
    name
        Name of the family, as a chemistry states it.

    Returns
    -------
    module

    Raises
    ------
    InputError
        If there is no such family.
    """
    if name not in FAMILIES:
        raise InputError(f"model family: {name!r} is not known.{did_you_mean(name, FAMILIES)}")
    return importlib.import_module(FAMILIES[name])


def parameters_read(
    model: pybamm.BaseModel, values: Mapping[str, Any] = MappingProxyType({})
) -> tuple[str, ...]:
    """Parameters that the equations of a model read, by name.

    Parameters
    ----------
    model
        Before its parameters are set.
    values
        Parameter name -> number or function; what such functions read counts too.

    Returns
    -------
    tuple of str
        Of differential and algebraic equations, initial conditions, voltage and events; not of
        variables that are only reported.
    """
    waiting = [
        *model.rhs.values(),
        *model.algebraic.values(),
        *model.initial_conditions.values(),
        model.variables["Voltage [V]"],
        *(event.expression for event in model.events),
    ]
    seen: set[int] = set()
    kept: list[Any] = []  # symbols are told apart by their identity, and must live on for that
    names: dict[str, None] = {}
    while waiting:
        symbol = waiting.pop()
        if id(symbol) in seen:
            continue
        seen.add(id(symbol))
        if isinstance(symbol, (pybamm.Parameter, pybamm.FunctionParameter)):
            names[symbol.name] = None
            function = values.get(symbol.name)
            if callable(function) and isinstance(symbol, pybamm.FunctionParameter):
                inside = function(*symbol.children)
                kept.append(inside)
                waiting.extend([inside] if isinstance(inside, pybamm.Symbol) else [])
        waiting.extend(symbol.children)
    return tuple(names)


def parameters_of_mesh(model: pybamm.BaseModel) -> tuple[str, ...]:
    """Parameters that a model's mesh is built with: numbers that cannot stay symbols.

    Parameters
    ----------
    model
        Before its parameters are set.

    Returns
    -------
    tuple of str
    """
    names: dict[str, None] = {}
    waiting = [model.default_geometry]
    while waiting:
        part = waiting.pop()
        if isinstance(part, Mapping):
            waiting.extend(part.values())
        elif isinstance(part, pybamm.Symbol):
            kinds = (pybamm.Parameter, pybamm.FunctionParameter)
            names.update((s.name, None) for s in part.pre_order() if isinstance(s, kinds))
    return tuple(sorted(names))
