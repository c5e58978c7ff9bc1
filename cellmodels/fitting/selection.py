"""Which variables of a record a fit uses, and why it leaves out the others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import xarray as xr

from cellmodels.errors import InputError, did_you_mean
from cellmodels.observations import GROUPS
from cellmodels.quantities import DEGRADATION_MODES
from cellmodels.record.schema import COMPANIONS, known_names, quantity

__all__ = ["NOT_ASKED", "fitted_variables", "left_out", "listed", "schema_unit"]

_DEFAULT_CYCLES = ("discharge_capacity",)
_DEFAULT_CHECKUPS = ("capacity_", "resistance_", "voltage_")

#: Why a variable that could be fitted is not.
NOT_ASKED = "it was not asked for"


def fitted_variables(
    record: xr.DataTree, observables: Iterable[str] | None = None
) -> tuple[tuple[str, str], ...]:
    """Group and name of the variables that would be fitted.

    Raises
    ------
    InputError
        When a requested variable is not in the record or not in its unit, or none could be found.
    """
    available = _available(record)
    if observables is None:
        pairs = [(group, name) for group in available for name in available[group]]
        found = [pair for pair in pairs if _by_default(record, *pair)]
    else:
        found = [pair for name in _names(observables) for pair in _find(name, available)]
        for group, name in found:
            trouble = _wrong_unit(record, group, name)
            if trouble:
                raise InputError(f"'{group}/{name}' cannot be fitted: {trouble}.")
    if not found:
        raise InputError(
            "The record holds nothing that a fit uses by default (discharge_capacity of "
            "/cycles; capacity_*, resistance_* or voltage_* of /checkups); it has "
            + (", ".join(_described(record, available)) or "no variables")
        )
    return tuple(dict.fromkeys(found))


def _available(record: xr.DataTree) -> dict[str, list[str]]:
    """Names of the variables of each group, without companions."""
    return {
        group: [str(n) for n in record[group].data_vars if not str(n).endswith(COMPANIONS)]
        for group in GROUPS
        if group in record.children
    }


def _by_default(record: xr.DataTree, group: str, name: str) -> bool:
    """Whether a variable is fitted without being asked for."""
    if _wrong_unit(record, group, name):
        return False
    if group == "cycles":
        return name in _DEFAULT_CYCLES
    if name in DEGRADATION_MODES:
        return f"{name}_std" in record[group]
    return name.startswith(_DEFAULT_CHECKUPS)


def _wrong_unit(record: xr.DataTree, group: str, name: str) -> str:
    """Why the unit of a variable is not the schema's; empty where it is, or is not said."""
    known, unit = quantity(group, name), record[group][name].attrs.get("units")
    if known is None:
        hint = did_you_mean(name, known_names(group)).rstrip(".")
        return f"it is no quantity whose unit the schema knows{'.' if hint else ''}{hint}"
    if unit is not None and unit != known.unit:
        return f"it is in '{unit}', not in '{known.unit}'"
    return ""


def _described(record: xr.DataTree, available: Mapping[str, Sequence[str]]) -> list[str]:
    """The variables of a record, with what is wrong with their units."""
    troubles = {(g, n): _wrong_unit(record, g, n) for g in available for n in available[g]}
    return [f"{g}/{n}" + (f" ({why})" if why else "") for (g, n), why in troubles.items()]


def schema_unit(group: str, name: str) -> str:
    """The schema's unit of a variable that is fitted."""
    known = quantity(group, name)
    return "" if known is None else known.unit


def left_out(record: xr.DataTree, chosen: Sequence[tuple[str, str]]) -> dict[str, str]:
    """The variables that are not fitted, and why."""
    return {
        f"{group}/{name}": _wrong_unit(record, group, name) or NOT_ASKED
        for group, names in _available(record).items()
        for name in names
        if (group, name) not in chosen
    }


def _names(observables: Iterable[str]) -> list[str]:
    return [observables] if isinstance(observables, str) else list(observables)


def _find(name: str, available: Mapping[str, Sequence[str]]) -> list[tuple[str, str]]:
    group, _, short = name.strip("/").rpartition("/")
    found = [(g, short) for g in available if short in available[g] and group in ("", g)]
    if not found:
        names = [n for group in available for n in available[group]]
        hint = did_you_mean(name, [*names, *(f"{g}/{n}" for g in available for n in available[g])])
        hint = hint or f" It has {', '.join(names) or 'none'}."
        raise InputError(f"The record has no variable {name!r}.{hint}")
    return found


def listed(variables: Iterable[tuple[str, str]]) -> str:
    """Groups and names as text."""
    return ", ".join(f"{group}/{name}" for group, name in variables)
