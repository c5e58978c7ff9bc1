"""What is wrong with the numbers of a parameter set, and what is missing.

A file with a wrong unit, a number outside its range or a source without a citation cannot be
loaded at all; what is found here is about a set that can.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from cellmodels.base_sets import known_names
from cellmodels.errors import UnitError
from cellmodels.parameter import Parameter
from cellmodels.parameter_set import ParameterSet
from cellmodels.units import parse_unit, unit_of_name

_LINK = re.compile(r"doi:\s*10\.|https?://|\bisbn\b", re.IGNORECASE)
_YEAR = re.compile(r"\b(18|19|20)\d\d\b")
_PLACE = re.compile(
    r"\b(table|tab|page|p|pp|figure|fig|equation|eq|section|sec|chapter|ch|appendix|file|sheet|"
    r"row|column|parameter|PyBaMM's)\b|\.(dat|toml|xlsx|csv|json)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Finding:
    """Something about one parameter.

    Parameters
    ----------
    parameter : str
        Its name.
    fault : bool
        Whether it is wrong, not only missing.
    text : str
        What it is.
    """

    parameter: str
    fault: bool
    text: str


def check(parameters: ParameterSet) -> list[Finding]:
    """Check every number that a set itself holds; those of PyBaMM's base are PyBaMM's.

    A fault is a unit that cannot be read in a name of the set's own, a source that begins with no
    citation, or a number from the literature whose citation cannot be found again: neither DOI,
    URL nor year. Missing, and listed, are a DOI or URL where there is only a year, the table or
    page in a source of the literature, and the range of a number that is fitted or estimated.

    Parameters
    ----------
    parameters : ParameterSet
        The set.

    Returns
    -------
    list of Finding
        In the set's order.
    """
    known = known_names(parameters.chemistry, parameters.base)
    return [
        Finding(name, fault, text)
        for name, each in parameters.parameters.items()
        for fault, text in _about(each, parameters, name in known)
    ]


def _about(parameter: Parameter, of: ParameterSet, known: bool) -> Iterator[tuple[bool, str]]:
    unit = unit_of_name(parameter.name)
    if unit is not None and not known:
        try:
            parse_unit(unit)
        except UnitError as error:
            yield True, f"unit: {error}"
    key, _, place = parameter.source.partition(",")
    if key.strip() not in of.citations:
        yield True, f"source: '{key.strip()}' is no citation of the set"
    elif parameter.status == "literature":
        citation = of.citations[key.strip()]
        if not _LINK.search(citation):
            dated = bool(_YEAR.search(citation))
            yield not dated, f"source: '{key.strip()}' has neither DOI nor URL"
        if not _PLACE.search(place) and not _PLACE.search(citation):
            yield False, f"source: no table or page of '{key.strip()}'"
    number = isinstance(parameter.value, float)
    if number and parameter.range is None and parameter.status in ("fitted", "estimate"):
        yield False, "range: none"
