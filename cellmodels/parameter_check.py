"""What is wrong with the numbers of a parameter set, and what is missing.

A file with a wrong unit, a number outside its range or a source without a citation cannot be
loaded at all; what is found here is about a set that can.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from cellmodels.base_sets import known_names
from cellmodels.errors import InputError, UnitError
from cellmodels.expressions import Expression
from cellmodels.law_values import value_at
from cellmodels.parameter import Parameter, Value
from cellmodels.parameter_set import ParameterSet
from cellmodels.tables import Table
from cellmodels.units import parse_unit, unit_of_name

#: Where laws are evaluated: from and to, by the argument's name. Stoichiometries leave out the
#: ends, where open-circuit potentials may be infinite; concentrations [mol.m-3] and temperatures
#: [K] are those of working cells.
SPANS: Mapping[str, tuple[float, float]] = {
    "sto": (0.001, 0.999),
    "x": (0.001, 0.999),
    "c_e": (10.0, 4000.0),
    "c": (10.0, 4000.0),
    "c_s_surf": (100.0, 20000.0),
    "c_s_max": (25000.0, 60000.0),
    "c_Li": (0.0, 10000.0),
    "L_sei": (1e-10, 1e-6),
    "T": (253.15, 333.15),
}

_LINK = re.compile(r"doi:\s*10\.|https?://|\bisbn\b|\bno doi\b", re.IGNORECASE)
_PLACE = re.compile(
    r"\b(table|tab|page|p|pp|figure|fig|equation|eq|section|sec|chapter|ch|appendix|abstract|"
    r"example|file|sheet|rows?|columns?|lines?|entry|entries|parameters?)\b|\bPyBaMM's \w",
    re.IGNORECASE,
)
#: Names without a unit of what lies between 0 and 1.
_SHARE = re.compile(
    r"\b(fraction|porosity|efficiency|transference number|partition coefficient|"
    r"(minimum|maximum) stoichiometry|state of charge)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Finding:
    """Something about one parameter, or about a citation.

    Parameters
    ----------
    parameter : str
        Its name, or "citation" and its key.
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

    A fault is

    * a unit that cannot be read in a name of the set's own;
    * a share, such as a porosity, that is not from 0 to 1, or whose range is not;
    * a formula or table that is not finite where it is used (:data:`SPANS`);
    * a source that begins with no citation;
    * for a number from the literature, a source without a place in it (table, page, equation, file
      and entry), and a citation without DOI or URL that does not say "no DOI: …";
    * for a measured number, a source that does not say which measurement;
    * for an estimate, neither a source nor a note that says how it was estimated.

    Missing, and listed, is the range of a number that is fitted or estimated.

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
    found = [
        Finding(name, fault, text)
        for name, each in parameters.parameters.items()
        for fault, text in _about(each, parameters, name in known)
    ]
    literature = [p for p in parameters.parameters.values() if p.status == "literature"]
    text = "neither DOI nor URL, and no word why: 'no DOI: …'"
    for key in dict.fromkeys(_key(each) for each in literature):
        if not _LINK.search(parameters.citations.get(key, "no DOI")):
            found.append(Finding(f"citation '{key}'", True, text))
    return found


def _about(parameter: Parameter, of: ParameterSet, known: bool) -> Iterator[tuple[bool, str]]:
    unit = unit_of_name(parameter.name)
    if unit is not None and not known:
        try:
            parse_unit(unit)
        except UnitError as error:
            yield True, f"unit: {error}"
    if isinstance(parameter.value, float):
        yield from _number(parameter, parameter.value, unit)
    else:
        yield from _law(parameter.name, parameter.value, of)
    yield from _source(parameter, of.citations)


def _number(parameter: Parameter, value: float, unit: str | None) -> Iterator[tuple[bool, str]]:
    bounds = parameter.range or (value, value)
    if unit is None and _SHARE.search(parameter.name) and not 0 <= bounds[0] <= bounds[1] <= 1:
        span = "its range" if parameter.range else "the value"
        yield True, f"{span} is not from 0 to 1"
    if parameter.range is None and parameter.status in ("fitted", "estimate"):
        yield False, "range: none"


def _law(name: str, value: Expression | Table, of: ParameterSet) -> Iterator[tuple[bool, str]]:
    """Evaluate a law all over its arguments' spans, if these are known."""
    if not set(value.arguments) <= set(SPANS):
        return
    spans = [SPANS[each] for each in value.arguments]
    steps = 201 if len(spans) == 1 else 9
    grid = np.meshgrid(*(np.linspace(*span, steps) for span in spans), indexing="ij")
    try:
        found = value_at(lambda other: _plain(of, other), name, *(each.ravel() for each in grid))
    except InputError as error:
        yield True, f"law: {error}"
        return
    wrong = np.flatnonzero(~np.isfinite(found))
    if wrong.size:
        at = zip(value.arguments, (each.ravel()[wrong[0]] for each in grid), strict=True)
        yield True, "law: not finite at " + ", ".join(f"{key} = {x:g}" for key, x in at)


def _plain(of: ParameterSet, name: str) -> Value:
    value = of.value(name)
    if not isinstance(value, (int, float, Expression, Table)):
        raise InputError(f"it quotes '{name}', a function of PyBaMM's that is not evaluated here.")
    return value


def _key(parameter: Parameter) -> str:
    return parameter.source.partition(",")[0].strip()


def _source(parameter: Parameter, citations: Mapping[str, str]) -> Iterator[tuple[bool, str]]:
    key, place = _key(parameter), parameter.source.partition(",")[2].strip()
    if key not in citations:
        yield True, f"source: '{key}' is no citation of the set"
    elif parameter.status == "literature" and not _PLACE.search(place):
        yield True, f"source: no table, page or other place in '{key}'"
    elif parameter.status == "measured" and not place:
        yield True, f"source: which measurement of '{key}'?"
    elif parameter.status == "estimate" and not place and not parameter.note:
        yield True, "source: neither it nor a note says how this was estimated"
