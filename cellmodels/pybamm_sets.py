"""Our parameter sets as PyBaMM's, through the entry points ``pybamm_parameter_sets``.

With cellmodels installed, ``pybamm.ParameterValues("cellmodels_nmc_graphite_siox")`` works. The
names carry a prefix because entry points of all packages share one name space.
"""

from __future__ import annotations

from typing import Any

from cellmodels.chemistry import Chemistry
from cellmodels.parameter_set import ParameterSet


def content(name: str) -> dict[str, Any]:
    """Return a set as PyBaMM expects it from an entry point.

    Parameters
    ----------
    name : str
        Name of one of our sets.

    Returns
    -------
    dict
        Parameter name -> float or function, with PyBaMM's key ``"chemistry"``.
    """
    parameters = ParameterSet.load(name)
    values = dict(parameters.parameter_values())
    # what PyBaMM applies where no experiment says more; zinc cells start empty, so a rest
    values.setdefault("Current function [A]", 0.0)
    return {"chemistry": Chemistry.load(parameters.chemistry).family, **values}


def nmc_graphite_siox() -> dict[str, Any]:
    """Return the parameter set ``nmc_graphite_siox``.

    Returns
    -------
    dict
        Parameter name -> float or function, with PyBaMM's key ``"chemistry"``.
    """
    return content("nmc_graphite_siox")


def lfp_graphite() -> dict[str, Any]:
    """Return the parameter set ``lfp_graphite``.

    Returns
    -------
    dict
        Parameter name -> float or function, with PyBaMM's key ``"chemistry"``.
    """
    return content("lfp_graphite")


def zinc_bromine_static() -> dict[str, Any]:
    """Return the parameter set ``zinc_bromine_static``.

    Returns
    -------
    dict
        Parameter name -> float or function, with PyBaMM's key ``"chemistry"``.
    """
    return content("zinc_bromine_static")


def zinc_bromine_strong_agent() -> dict[str, Any]:
    """Return the parameter set ``zinc_bromine_strong_agent``.

    Returns
    -------
    dict
        Parameter name -> float or function, with PyBaMM's key ``"chemistry"``.
    """
    return content("zinc_bromine_strong_agent")


def zinc_bromine_activated_carbon() -> dict[str, Any]:
    """Return the parameter set ``zinc_bromine_activated_carbon``.

    Returns
    -------
    dict
        Parameter name -> float or function, with PyBaMM's key ``"chemistry"``.
    """
    return content("zinc_bromine_activated_carbon")


def zinc_bromine_flow() -> dict[str, Any]:
    """Return the parameter set ``zinc_bromine_flow``.

    Returns
    -------
    dict
        Parameter name -> float or function, with PyBaMM's key ``"chemistry"``.
    """
    return content("zinc_bromine_flow")


def zinc_iodine_pnnl() -> dict[str, Any]:
    """Return the parameter set ``zinc_iodine_pnnl``.

    Returns
    -------
    dict
        Parameter name -> float or function, with PyBaMM's key ``"chemistry"``.
    """
    return content("zinc_iodine_pnnl")


def zinc_iodine_flow() -> dict[str, Any]:
    """Return the parameter set ``zinc_iodine_flow``.

    Returns
    -------
    dict
        Parameter name -> float or function, with PyBaMM's key ``"chemistry"``.
    """
    return content("zinc_iodine_flow")
