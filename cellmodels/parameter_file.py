"""The format of parameter files: schema, units, and what is checked beyond the schema."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from cellmodels.errors import InputError, UnitError, did_you_mean
from cellmodels.expressions import Expression
from cellmodels.parameter import Parameter, Status, Value, finite
from cellmodels.tables import Interpolation, Table, read_table
from cellmodels.toml_io import validate
from cellmodels.units import convert, unit_of_name

_CONFIG = ConfigDict(extra="forbid", str_strip_whitespace=True, frozen=True)
_Text = Annotated[str, Field(min_length=1)]
_Number = Annotated[float, Field(strict=True)]


class _TableEntry(BaseModel):
    """A table written out in the file."""

    model_config = _CONFIG
    x: tuple[_Number, ...]
    y: tuple[_Number, ...]
    argument: str


class _ParameterEntry(BaseModel):
    """One entry under ``[parameters]``."""

    model_config = _CONFIG
    value: _Number | None = None
    formula: str | None = None
    table: str | _TableEntry | None = None
    arguments: tuple[str, ...] | None = None
    interpolation: Interpolation = "linear"
    unit: str
    source: _Text
    status: Status
    range: tuple[_Number, _Number] | None = None
    note: str = ""
    new: Annotated[bool, Field(strict=True)] = False


class ParameterFile(BaseModel):
    """A parameter file."""

    model_config = _CONFIG
    format: Literal[1]
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$")]
    title: _Text
    chemistry: _Text
    base: str = ""
    description: str = ""
    citations: dict[str, _Text] = {}
    parameters: dict[str, _ParameterEntry] = {}


_ADAPTER: TypeAdapter[ParameterFile] = TypeAdapter(ParameterFile)


def read(data: Mapping[str, Any], where: str) -> ParameterFile:
    """Check a file's content against the schema.

    Parameters
    ----------
    data : mapping
        The content.
    where : str
        The file's name, for error messages.

    Returns
    -------
    ParameterFile
        The content, with all keys known and of the right type.

    Raises
    ------
    InputError
        If a key is unknown or missing, or a value is of the wrong type.
    """
    return validate(_ADAPTER, data, where)


def parameters(file: ParameterFile, folder: Path | None) -> dict[str, Parameter]:
    """Turn a file's entries into parameters.

    Parameters
    ----------
    file : ParameterFile
        The content.
    folder : pathlib.Path or None
        Where the CSV files of tables are.

    Returns
    -------
    dict of str to Parameter
        Each in the unit of its name's bracket.

    Raises
    ------
    InputError
        If a value, unit, range, formula or table is wrong.
    """
    return {name: _parameter(name, each, folder) for name, each in file.parameters.items()}


def _parameter(name: str, entry: _ParameterEntry, folder: Path | None) -> Parameter:
    """Turn one entry of a file into a parameter, in the unit of its name's bracket."""
    given = [key for key in ("value", "formula", "table") if getattr(entry, key) is not None]
    if len(given) != 1:
        got = " and ".join(given) or "none"
        raise InputError(f"parameter '{name}': give one of value, formula, table (got {got}).")
    if (entry.arguments is None) != (given == ["value"]):
        word = "needs" if entry.arguments is None else "is given, but a plain value has no"
        raise InputError(f"parameter '{name}': a {given[0]} {word} 'arguments'.")
    if entry.interpolation != "linear" and given != ["table"]:
        raise InputError(f"parameter '{name}': only a table has an 'interpolation'.")
    unit = unit_of_name(name) or "-"
    try:
        return Parameter(
            name=name,
            value=_value(name, entry, unit, folder),
            unit=unit,
            source=entry.source,
            status=entry.status,
            range=_range(name, entry, unit),
            note=entry.note,
            new=entry.new,
        )
    except UnitError as error:
        raise UnitError(_named(name, error)) from None
    except InputError as error:
        raise InputError(_named(name, error)) from None


def _named(name: str, error: InputError) -> str:
    """Return an error's text, which names the parameter once."""
    text = str(error)
    return text if name in text else f"parameter '{name}': {text}"


def _value(name: str, entry: _ParameterEntry, unit: str, folder: Path | None) -> Value:
    """Return an entry's value in the unit of its name's bracket."""
    if entry.value is not None:
        return _convert(finite(entry.value, name), entry.unit, unit, name)
    if _convert(1.0, entry.unit, unit, name) != 1.0:
        raise UnitError(f"parameter '{name}': write it in '{unit}', not in '{entry.unit}'.")
    arguments = entry.arguments or ()
    if entry.formula is not None:
        return Expression(entry.formula, arguments)
    if isinstance(entry.table, _TableEntry):
        table = entry.table
        return Table(table.x, table.y, table.argument, arguments, entry.interpolation)
    if folder is None:
        raise InputError(f"parameter '{name}': the table's file cannot be found from here.")
    path = (folder / str(entry.table)).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise InputError(f"parameter '{name}': the table's file must lie beside the set's.")
    return read_table(path, unit, arguments, entry.interpolation)


def _range(name: str, entry: _ParameterEntry, unit: str) -> tuple[float, float] | None:
    """Return an entry's range in the unit of its name's bracket."""
    if entry.range is None:
        return None
    low, high = (_convert(finite(b, name), entry.unit, unit, name) for b in entry.range)
    return low, high


def _convert(value: float, from_unit: str, to_unit: str, name: str) -> float:
    """Convert, but take a unit that cannot be parsed where both texts are the same.

    (PyBaMM has such names: "... exchange-current density [A.m-2(m3.mol)1.5]".)
    """
    if from_unit == to_unit:
        return value
    return convert(value, from_unit, to_unit, what=f"parameter '{name}'")


def check_names(
    own: Mapping[str, Parameter], known: Collection[str], available: Collection[str]
) -> None:
    """Check parameter names, and the names that formulas quote.

    Parameters
    ----------
    own : mapping of str to Parameter
        The file's parameters.
    known : collection of str
        Names that need not be marked as new; empty if nothing is known of them.
    available : collection of str
        Names that a formula may quote.

    Raises
    ------
    InputError
        If a name is neither known nor marked as new, or a formula quotes what is not available.
    """
    for name, parameter in own.items():
        if known and name not in known and not parameter.new:
            raise InputError(
                f"parameter '{name}': no parameter is called so.{nearest_parameters(name, known)} "
                "Add 'new = true' if it is a name of your own."
            )
        quoted = parameter.value.parameters if isinstance(parameter.value, Expression) else ()
        for other in quoted:
            if other not in available:
                raise InputError(
                    f"parameter '{name}': its formula quotes '{other}', which the set does not "
                    f"have.{nearest_parameters(other, available)}"
                )


def check_calls(parameters: Mapping[str, Parameter]) -> None:
    """Check that what formulas call are tables, or formulas that call nothing themselves.

    So a chain of calls ends, and a short file cannot describe an endless formula.

    Parameters
    ----------
    parameters : mapping of str to Parameter
        All parameters of a set.

    Raises
    ------
    InputError
        If something else is called, or with a wrong number of arguments.
    """
    for name, parameter in parameters.items():
        calls = parameter.value.calls if isinstance(parameter.value, Expression) else {}
        for other, count in calls.items():
            law = parameters[other].value if other in parameters else None
            lead = f"parameter '{name}': its formula calls '{other}', which"
            if not isinstance(law, (Expression, Table)):
                raise InputError(f"{lead} is no formula or table of the set.")
            if isinstance(law, Expression) and law.calls:
                raise InputError(f"{lead} calls others itself.")
            if count != len(law.arguments):
                raise InputError(f"{lead} takes {', '.join(law.arguments)}, not {count} arguments.")


def check_sources(own: Mapping[str, Parameter], citations: Mapping[str, str]) -> None:
    """Check that every source in a file begins with a citation key.

    Parameters
    ----------
    own : mapping of str to Parameter
        The file's parameters.
    citations : mapping of str to str
        The citations of the file and of what it builds on.

    Raises
    ------
    InputError
        If a source begins with anything else.
    """
    for name, parameter in own.items():
        key = parameter.source.split(",")[0].strip()
        if key not in citations:
            hint = did_you_mean(key, citations)
            raise InputError(
                f"parameter '{name}': its source must begin with a key of [citations] and a "
                f"comma, not with '{key}'.{hint}"
            )


def nearest_parameters(name: str, known: Iterable[str]) -> str:
    """Return the end of an error message that names up to three parameters.

    Parameters
    ----------
    name : str
        What the user wrote.
    known : iterable of str
        The valid names. Three are named, not one, as they are long and alike.

    Returns
    -------
    str
        ``" Did you mean 'a' or 'b'?"``, or an empty string.
    """
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.7)
    return " Did you mean " + " or ".join(f"'{each}'" for each in close) + "?" if close else ""


def entry(parameter: Parameter) -> dict[str, Any]:
    """Return one parameter as it stands in a file.

    Parameters
    ----------
    parameter : Parameter
        The parameter.

    Returns
    -------
    dict
        Plain JSON types, with tables written out.
    """
    value = parameter.value
    result: dict[str, Any]
    if isinstance(value, Expression):
        result = {"formula": value.text, "arguments": list(value.variables)}
    elif isinstance(value, Table):
        table = {"x": list(value.x), "y": list(value.y), "argument": value.argument}
        result = {"table": table, "arguments": list(value.arguments)}
        result["interpolation"] = value.interpolation
    else:
        result = {"value": value}
    result |= {"unit": parameter.unit, "source": parameter.source, "status": parameter.status}
    if parameter.range is not None:
        result["range"] = list(parameter.range)
    if parameter.new:
        result["new"] = True
    return result | {"note": parameter.note}
