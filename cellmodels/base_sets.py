"""What a parameter set builds on: PyBaMM's parameter sets and the chemistries' property laws."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import pybamm

from cellmodels.chemistry import Chemistry, PropertyLaw
from cellmodels.chemistry import names as chemistry_names

#: Prefix of our parameter sets among PyBaMM's (entry points share one name space).
PYBAMM_PREFIX = "cellmodels_"


@lru_cache(maxsize=1)
def base_names() -> tuple[str, ...]:
    """Return the names of PyBaMM's parameter sets, without those that we add to them.

    Returns
    -------
    tuple of str
        Sorted names.
    """
    found = [n for n in pybamm.parameter_sets if not n.startswith(PYBAMM_PREFIX)]
    return tuple(sorted(found))


@lru_cache(maxsize=32)
def base_values(name: str) -> Mapping[str, Any]:
    """Return the content of one of PyBaMM's parameter sets.

    Parameters
    ----------
    name : str
        One of :func:`base_names`, or ``""`` for none.

    Returns
    -------
    mapping
        Parameter name -> float or function, with PyBaMM's keys ``"chemistry"`` and
        ``"citations"``. Shared: not to be changed.
    """
    return dict(pybamm.parameter_sets[name]) if name else {}


@lru_cache(maxsize=32)
def known_names(chemistry: str, base: str = "") -> frozenset[str]:
    """Return the parameter names that a set may use without marking them as new.

    Parameters
    ----------
    chemistry : str
        Name of a chemistry.
    base : str, optional
        PyBaMM's parameter set that it builds on.

    Returns
    -------
    frozenset of str
        The names in the base, in the chemistry's property laws, and, where PyBaMM has sets for
        this chemistry, in those. Empty where nothing is known, so that anything goes.
    """
    known = set(base_values(base))
    families = {base_values(base).get("chemistry")} if base else set()
    if chemistry in chemistry_names():
        families.add(Chemistry.load(chemistry).family)
    for name in base_names():
        try:
            content = base_values(name)
        except Exception:  # another package's set: broken is as good as absent
            continue
        if content.get("chemistry") in families:
            known |= set(content)
    if known:
        known |= set(property_laws(chemistry))
    return frozenset(known - {"chemistry", "citations"})


def property_laws(chemistry: str) -> Mapping[str, PropertyLaw]:
    """Return the property laws of a chemistry that comes with cellmodels.

    Parameters
    ----------
    chemistry : str
        Its name.

    Returns
    -------
    mapping of str to PropertyLaw
        Parameter name -> law; empty for a chemistry that lies in a user's own file.
    """
    return Chemistry.load(chemistry).properties if chemistry in chemistry_names() else {}
