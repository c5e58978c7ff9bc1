"""The word "estimate": said wherever numbers are shown that rest on parameters nobody has measured.

`Cell.estimates` names the parameters of status "estimate" that a cell's equations read. Results
keep the names as an attribute, and figures and tables show the sentence made of them here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["ATTRIBUTE", "as_attribute", "names_in", "sentence"]

#: Attribute of lives, records and fits that holds the names, as JSON.
ATTRIBUTE = "estimates"

_NAMED = 3


def as_attribute(names: Sequence[str]) -> str:
    """Names as an attribute that netCDF can hold."""
    return json.dumps(list(names))


def names_in(attrs: Mapping[Any, Any]) -> tuple[str, ...]:
    """Names of the estimates that a dataset's attributes tell.

    Parameters
    ----------
    attrs : mapping
        Attributes of a life, a record or a fit.

    Returns
    -------
    tuple of str
        Empty where they tell of none.
    """
    return tuple(json.loads(attrs.get(ATTRIBUTE, "[]")))


def sentence(names: Sequence[str]) -> str:
    """What a figure or a table says of them.

    Parameters
    ----------
    names : sequence of str
        Parameters, the most important first.

    Returns
    -------
    str
        In one line, with the first few names, without units; empty for none.
    """
    if not names:
        return ""
    first = ", ".join(name.partition(" [")[0] for name in names[:_NAMED])
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    plural = "s are estimates" if len(names) > 1 else " is an estimate"
    return f"ESTIMATE: {len(names)} parameter{plural}, neither fitted nor measured ({first}{more})"
