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
* ``electrode_area(values)``: area that an area-specific current refers to [m2].
"""

from __future__ import annotations

import importlib
from types import MappingProxyType, ModuleType

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
