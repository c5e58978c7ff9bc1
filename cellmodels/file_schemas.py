"""JSON Schema of the files that people write, for editors that check while one types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter

from cellmodels.checkups_file import CheckupsFile
from cellmodels.chemistry import Chemistry
from cellmodels.errors import InputError, did_you_mean
from cellmodels.parameter_file import ParameterFile
from cellmodels.protocol_file import ProtocolFile

#: Kind of file -> what describes it.
KINDS: Mapping[str, type] = {
    "parameters": ParameterFile,
    "chemistry": Chemistry,
    "protocol": ProtocolFile,
    "checkups": CheckupsFile,
}


def schema(kind: str) -> dict[str, Any]:
    """Return the JSON Schema of one kind of file.

    Parameters
    ----------
    kind : str
        One of :data:`KINDS`.

    Returns
    -------
    dict
        The schema, draft 2020-12. It knows the keys and the types; units, formulas and names are
        checked when a file is read.

    Raises
    ------
    InputError
        If there is no such kind.
    """
    if kind not in KINDS:
        raise InputError(f"There is no kind of file '{kind}'.{did_you_mean(kind, KINDS)}")
    found = _without_null(TypeAdapter(KINDS[kind]).json_schema())
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"cellmodels-{kind}.schema.json",
        **found,
        "title": f"cellmodels {kind} file",
    }


def _without_null(node: Any) -> Any:
    """Return a schema without the value null, which TOML does not have."""
    if isinstance(node, list):
        return [_without_null(each) for each in node]
    if not isinstance(node, Mapping):
        return node
    kept = {k: _without_null(v) for k, v in node.items() if not (k == "default" and v is None)}
    options = [each for each in kept.get("anyOf", ()) if each != {"type": "null"}]
    if len(options) == 1:
        del kept["anyOf"]
        return {**kept, **options[0]}
    return {**kept, "anyOf": options} if options else kept
