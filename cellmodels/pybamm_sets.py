"""Our lithium-ion parameter sets as PyBaMM's, through the entry points ``pybamm_parameter_sets``.

With cellmodels installed, ``pybamm.ParameterValues("cellmodels_nmc_graphite_siox")`` works. The
names carry a prefix because entry points of all packages share one name space.
"""

from __future__ import annotations

from typing import Any

from cellmodels.parameter_set import ParameterSet


def _content(name: str) -> dict[str, Any]:
    """Return a set as PyBaMM expects it from an entry point."""
    parameters = ParameterSet.load(name)
    return {"chemistry": "lithium_ion", **parameters.parameter_values()}


def nmc_graphite_siox() -> dict[str, Any]:
    """Return the parameter set ``nmc_graphite_siox``.

    Returns
    -------
    dict
        Parameter name -> float or function, with PyBaMM's key ``"chemistry"``.
    """
    return _content("nmc_graphite_siox")


def lfp_graphite() -> dict[str, Any]:
    """Return the parameter set ``lfp_graphite``.

    Returns
    -------
    dict
        Parameter name -> float or function, with PyBaMM's key ``"chemistry"``.
    """
    return _content("lfp_graphite")
