"""Reading TOML files, and checking them against a schema with helpful errors."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from cellmodels.errors import InputError, did_you_mean

#: Largest file read [bytes]: enough for any parameter set, too little to fill the memory.
MAX_BYTES = 5_000_000

#: Text of several lines that can stand as it is: no control characters, no three quotes.
_PRINTED = r"[^\x00-\x08\x0b-\x1f\x7f]"
_SEVERAL_LINES = re.compile(rf"(?!.*''')(?=.*\n){_PRINTED}*(?!'){_PRINTED}", re.DOTALL)

_MOST_PARTS = 64
#: A dotted key of more parts, whose reading takes the square of their number.
_LONG_KEY = re.compile(
    r"""(?<![A-Za-z0-9_-])(?:(?:[A-Za-z0-9_-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+)"""
    f"{{{_MOST_PARTS}}}"
)

T = TypeVar("T")


def read_text(path: str | Path) -> str:
    """Read a small UTF-8 text file.

    Parameters
    ----------
    path : str or pathlib.Path
        The file.

    Returns
    -------
    str
        Its text.

    Raises
    ------
    InputError
        If it does not exist, is no UTF-8 text, or is larger than :data:`MAX_BYTES`.
    """
    path = Path(path)
    try:
        if not path.is_file():
            raise InputError(f"There is no file '{path}'.{_similar(path)}")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise InputError(f"{path}: larger than {MAX_BYTES // 1_000_000} MB.")
        return data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError:
        raise InputError(f"{path}: not a UTF-8 text file.") from None
    except OSError as error:
        raise InputError(f"{_cut(str(path))}: cannot be read ({error.strerror}).") from None


def _similar(path: Path) -> str:
    """What lies in the folder under a similar name, as the end of an error message."""
    if not path.parent.is_dir():
        return ""
    siblings = [other.name for other in path.parent.iterdir() if other.suffix == path.suffix]
    return did_you_mean(path.name, siblings)


def beside(folder: Path, name: str, what: str) -> Path:
    """Return the path of a file that another file names.

    Parameters
    ----------
    folder : pathlib.Path
        Where the other file lies.
    name : str
        What it says.
    what : str
        What that is, for the error message.

    Returns
    -------
    pathlib.Path
        With symbolic links followed.

    Raises
    ------
    InputError
        If it leads out of the folder, also by a symbolic link, or cannot be a path.
    """
    try:
        path = (folder / name).resolve()
        if path.is_relative_to(folder.resolve()):
            path.is_file()  # an error for a name that is too long
            return path
    except (OSError, ValueError, RuntimeError):
        raise InputError(f"{what} {_shorten(name)} cannot be a path.") from None
    raise InputError(f"{what} '{name}' must lie beside the set's.")


def read_toml(path: str | Path) -> dict[str, Any]:
    """Read a TOML file.

    Parameters
    ----------
    path : str or pathlib.Path
        The file.

    Returns
    -------
    dict
        Its content.

    Raises
    ------
    InputError
        If the file cannot be read, or is not TOML (the message names the line), or holds integers
        of more than 64 bits or keys of very many parts.
    """
    text = read_text(path)
    if _LONG_KEY.search(text):
        raise InputError(f"{path}: a key of more than {_MOST_PARTS} parts.")
    try:
        data = tomllib.loads(text)
        _check_plain(data, path)
    except InputError:
        raise
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not a TOML file: {_cut(str(error))}.") from None
    return data


def read_json(path: str | Path) -> Any:
    """Read a small JSON file.

    Parameters
    ----------
    path : str or pathlib.Path
        The file.

    Returns
    -------
    object
        Its content.

    Raises
    ------
    InputError
        If the file cannot be read, or is not JSON, or holds integers of more than 64 bits.
    """
    try:
        data = json.loads(read_text(path))
        _check_plain(data, path)
    except InputError:
        raise
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not a JSON file: {_cut(str(error))}.") from None
    return data


def _check_plain(data: Any, path: str | Path) -> None:
    """Refuse integers that are no number for us, and texts that cannot be printed."""
    if isinstance(data, dict):
        for key, value in data.items():
            _check_plain(key, path)
            _check_plain(value, path)
    elif isinstance(data, list):
        for value in data:
            _check_plain(value, path)
    elif isinstance(data, str):
        data.encode()
    elif isinstance(data, int) and abs(data) >= 2**63:
        raise InputError(f"{path}: an integer of more than 64 bits is not a number here.")


def toml_text(data: Mapping[str, Any]) -> str:
    """Return data as TOML, with a section for each entry of what has entries of its own.

    Parameters
    ----------
    data : mapping
        Texts, numbers, truth values, lists of them, and mappings of texts to all these.

    Returns
    -------
    str
        TOML; :func:`tomllib.loads` reads the same data back.
    """
    lines = [f"{_key(k)} = {_literal(v)}" for k, v in data.items() if not isinstance(v, Mapping)]
    for key, section in data.items():
        if not isinstance(section, Mapping):
            continue
        plain = {k: v for k, v in section.items() if not isinstance(v, Mapping)}
        if plain or not section:
            lines += [
                "",
                f"[{_key(key)}]",
                *(f"{_key(k)} = {_literal(v)}" for k, v in plain.items()),
            ]
        for name, entries in section.items():
            if isinstance(entries, Mapping):
                lines += ["", f"[{_key(key)}.{_key(name)}]"]
                lines += [f"{_key(k)} = {_literal(v)}" for k, v in entries.items()]
    return "\n".join(lines) + "\n"


def _key(key: str) -> str:
    return key if key.isascii() and key.replace("_", "a").isalnum() else _literal(key)


def _literal(value: Any) -> str:
    """Return one value as TOML writes it."""
    if isinstance(value, str) and _SEVERAL_LINES.fullmatch(value):
        return f"'''\n{value}'''"
    if isinstance(value, str):  # JSON's escapes are TOML's, which wants one more character escaped
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(k)} = {_literal(v)}" for k, v in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_literal, value)) + "]"
    return json.dumps(value) if isinstance(value, bool) else repr(value)


def validate(adapter: TypeAdapter[T], data: Mapping[str, Any], where: str) -> T:
    """Check data against a pydantic schema.

    Parameters
    ----------
    adapter : pydantic.TypeAdapter
        The schema.
    data : mapping
        The content of a file.
    where : str
        The file's name, for the error message.

    Returns
    -------
    object
        An instance of the schema's type.

    Raises
    ------
    InputError
        If the data do not fit. The message names the file, the entry, and for an unknown key
        the nearest known one.
    """
    try:
        return adapter.validate_python(data)
    except ValidationError as error:
        details = error.errors(include_url=False)
        lines = [_explain(detail, adapter) for detail in details[:5]]
        if len(details) > 5:
            lines.append(f"… and {len(details) - 5} more.")
        raise InputError(f"{where}: " + "\n  ".join(dict.fromkeys(lines))) from None


def _explain(detail: Any, adapter: TypeAdapter[Any]) -> str:
    """Say in one line what pydantic found wrong."""
    location, kind = detail["loc"], detail["type"]
    entry = " -> ".join(str(part) for part in location)
    if kind in ("extra_forbidden", "unexpected_keyword_argument"):
        known = _known_keys(adapter.json_schema(), location[:-1])
        inside = f"{' -> '.join(map(str, location[:-1]))}: " if len(location) > 1 else ""
        return f"{inside}unknown key '{location[-1]}'.{did_you_mean(str(location[-1]), known)}"
    if kind in ("missing", "missing_argument"):
        return f"{entry}: this key is missing."
    if kind == "value_error":  # raised by our own checks, whose text stands on its own
        message = str(detail["ctx"]["error"])
        return f"{entry}: {message}" if entry else message
    if kind == "literal_error":
        choices = [part.strip(" '") for part in detail["ctx"]["expected"].split(" or ")]
        choices = [part.strip(" '") for choice in choices for part in choice.split(",")]
        return f"{entry}: {detail['input']!r} is not valid. Choose from: {', '.join(choices)}."
    return f"{entry}: {detail['msg']} (got {_shorten(detail['input'])})."


def _shorten(value: object) -> str:
    """Return a value's repr, cut to one line."""
    return _cut(repr(value), 60)


def _cut(text: str, most: int = 200) -> str:
    return text if len(text) <= most else text[: most - 3] + "…"


def _known_keys(schema: Mapping[str, Any], location: tuple[int | str, ...]) -> list[str]:
    """Return the keys that a JSON schema allows at a place in the data."""
    node: Any = schema
    for part in location:
        node = _resolve(node, schema)
        if isinstance(part, int):
            node = node.get("items", {})
        else:
            further = node.get("additionalProperties")
            node = node.get("properties", {}).get(part, further if further else {})
    return list(_resolve(node, schema).get("properties", {}))


def _resolve(node: Any, schema: Mapping[str, Any]) -> Any:
    """Follow a reference into the schema's definitions, also through an optional entry."""
    for option in node.get("anyOf", ()):
        if "$ref" in option or "properties" in option:
            node = option
    reference = node.get("$ref")
    return schema["$defs"][reference.rsplit("/", 1)[1]] if reference else node
