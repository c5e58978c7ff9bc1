"""The format of parameter files: schema, units, and what is checked beyond the schema."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from cellmodels.errors import InputError, UnitError, close_matches, did_you_mean
from cellmodels.expressions import Expression
from cellmodels.law_values import arrhenius
from cellmodels.parameter import Parameter, Status, Value, finite
from cellmodels.tables import Interpolation, Table, read_table
from cellmodels.toml_io import beside, validate
from cellmodels.units import convert, unit_of_name

_CONFIG = ConfigDict(extra="forbid", str_strip_whitespace=True, frozen=True)
_Text = Annotated[str, Field(min_length=1)]
_Number = Annotated[float, Field(strict=True)]
_KINDS = ("value", "formula", "table")


class _TableEntry(BaseModel):
    """A table written out in the file."""

    model_config = _CONFIG
    x: tuple[_Number, ...] = Field(description="increasing")
    y: tuple[_Number, ...] = Field(description="in the unit in the name's bracket")
    argument: str = Field(description="which of the arguments x is")


class _ParameterEntry(BaseModel):
    """One parameter: a value, a formula or a table, with unit, source and status."""

    model_config = ConfigDict(
        **_CONFIG, json_schema_extra={"oneOf": [{"required": [kind]} for kind in _KINDS]}
    )
    value: _Number | None = Field(None, description="a number, in the unit given here")
    formula: str | None = Field(
        None, description="of the arguments; other parameters by their names in double quotes"
    )
    table: str | _TableEntry | None = Field(
        None, description="written out, or the name of a CSV file beside this one"
    )
    arguments: tuple[str, ...] | None = Field(
        None, description="what a model passes to a formula or table, such as sto, c_e, T"
    )
    interpolation: Interpolation = Field("linear", description="of a table")
    activation_energy: _Number | None = Field(
        None, description="J.mol-1; makes this the value at the reference temperature (Arrhenius)"
    )
    unit: str = Field(description="of value and range; '-' where the name has no bracket")
    source: _Text = Field(description="a key of [citations], a comma, and the table, page or file")
    status: Status = Field(description="how well it is known")
    range: tuple[_Number, _Number] | None = Field(
        None, description="lowest and highest plausible value: a fit's bounds"
    )
    note: str = Field("", description="anything else a reader should know")
    new: Annotated[bool, Field(strict=True)] = Field(
        False, description="whether it is a name of your own"
    )


class ParameterFile(BaseModel):
    """A parameter file."""

    model_config = _CONFIG
    format: Literal[1] = Field(description="version of this format")
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$")] = Field(
        description="by which the set is loaded"
    )
    title: _Text = Field(description="what it describes, in a few words")
    chemistry: _Text = Field(description="name of a chemistry, such as lithium_ion")
    base: str = Field("", description="set it builds on: ours, PyBaMM's, or a file beside this one")
    description: str = Field("", description="what it describes, at length")
    citations: dict[str, _Text] = Field({}, description="key -> reference with DOI or URL")
    parameters: dict[str, _ParameterEntry] = Field({}, description="by PyBaMM's names")


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
    found: dict[str, Parameter] = {}
    for name, entry in file.parameters.items():
        for one, each in _with_temperature(name, entry).items():
            if one in found or (one != name and one in file.parameters):
                raise InputError(f"parameter '{one}' is there twice.")
            found[one] = _parameter(one, each, folder)
    return found


def _with_temperature(name: str, entry: _ParameterEntry) -> dict[str, _ParameterEntry]:
    """Return an entry, or the three that one with an activation energy stands for.

    They are the value at the reference temperature, the energy, and the law that quotes both.
    """
    if entry.activation_energy is None:
        return {name: entry}
    arguments = entry.arguments or ()
    if "T" not in arguments:
        raise InputError(f"parameter '{name}': a law of temperature has 'T' among its arguments.")
    stem, bracket, unit = name.partition(" [")
    reference = f"{stem} at reference temperature{bracket}{unit}"
    energy = f"{stem} activation energy [J.mol-1]"
    others = tuple(each for each in arguments if each != "T")
    plain = entry.value is not None
    at = f'"{reference}"' + ("" if plain else f"({', '.join(others)})")
    without: dict[str, Any] = dict.fromkeys(("value", "formula", "table", "range"))
    without |= {"activation_energy": None, "arguments": None, "interpolation": "linear", "note": ""}
    of_reference = {"activation_energy": None, "new": True, "arguments": None if plain else others}
    of_energy = {"value": entry.activation_energy, "unit": "J.mol-1", "new": True}
    law = {"formula": at + arrhenius(energy), "arguments": arguments}
    return {
        reference: entry.model_copy(update=of_reference),
        energy: entry.model_copy(update=without | of_energy),
        name: entry.model_copy(update=without | law | {"unit": unit.removesuffix("]") or "-"}),
    }


def _parameter(name: str, entry: _ParameterEntry, folder: Path | None) -> Parameter:
    """Turn one entry of a file into a parameter, in the unit of its name's bracket."""
    given = [key for key in _KINDS if getattr(entry, key) is not None]
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
    path = beside(folder, str(entry.table), f"parameter '{name}': the table's file")
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
    close = close_matches(name, known, 3, 0.7)
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
