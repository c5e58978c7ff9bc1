"""Battery Parameter eXchange (BPX) files: JSON, checked by the package ``bpx``.

Its functions, which are Python expressions in ``x``, never reach that package, which would execute
them: they are read by :mod:`cellmodels.expressions`, and a table stands in their place.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cellmodels.errors import InputError
from cellmodels.expressions import Expression
from cellmodels.toml_io import read_json

#: Where PyBaMM's lumped heat balance wants a density and a heat capacity.
LAYERS = (
    "Negative electrode",
    "Positive electrode",
    "Separator",
    "Negative current collector",
    "Positive current collector",
)

#: BPX's name -> PyBaMM's, where they are the same quantity.
CELL = {
    "Nominal cell capacity [A.h]": "Nominal cell capacity [A.h]",
    "Lower voltage cut-off [V]": "Lower voltage cut-off [V]",
    "Upper voltage cut-off [V]": "Upper voltage cut-off [V]",
    "Number of electrode pairs connected in parallel to make a cell": (
        "Number of electrodes connected in parallel to make a cell"
    ),
    "External surface area [m2]": "Cell cooling surface area [m2]",
    "Volume [m3]": "Cell volume [m3]",
}
PARTICLE = {
    "Thickness [m]": "{} electrode thickness [m]",
    "Particle radius [m]": "{} particle radius [m]",
    "Maximum concentration [mol.m-3]": "Maximum concentration in {low} electrode [mol.m-3]",
    "Minimum stoichiometry": "{} electrode minimum stoichiometry",
    "Maximum stoichiometry": "{} electrode maximum stoichiometry",
}
OPEN_CIRCUIT = "Open-circuit voltage at {}% SOC [V]"
_MOST_DEPTH = 20


def read_file(path: str | Path) -> tuple[dict[str, Any], dict[tuple[str, ...], Expression]]:
    """Read a file and check its structure.

    Parameters
    ----------
    path : str or pathlib.Path
        The JSON file, BPX 1.x or 0.x.

    Returns
    -------
    data : dict
        Its sections in the form of BPX 1.x, with a table in place of each function.
    functions : dict
        Section and name -> the function.

    Raises
    ------
    InputError
        If it is no BPX file.
    """
    functions: dict[tuple[str, ...], Expression] = {}
    plain = _without_functions(_json(path), (), functions)
    return _checked(plain), functions


def text(data: Mapping[str, Any]) -> str:
    """Return a file's content as its text.

    Parameters
    ----------
    data : mapping
        The file's content.

    Returns
    -------
    str
        JSON.
    """
    return json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def check(data: Mapping[str, Any]) -> None:
    """See that the package bpx takes a file, without its executing a function.

    Parameters
    ----------
    data : mapping
        The file's content.

    Raises
    ------
    InputError
        If it does not.
    """
    bpx = package()

    def plain(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: plain(each) for key, each in node.items()}
        if isinstance(node, str):
            bpx.Function.validate(node)  # its grammar only
            return {"x": [0.0, 1.0], "y": [0.0, 0.0]}
        return node

    try:
        sections = plain(data["Parameterisation"])
        bpx.parse_bpx_obj({**data, "Parameterisation": sections})
    except (ValueError, TypeError) as error:
        raise InputError(f"BPX cannot describe this cell: {error}") from None


def package() -> Any:
    """Return the package ``bpx``.

    Returns
    -------
    module

    Raises
    ------
    InputError
        If it is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it uses old names of pyparsing
            import bpx
    except ImportError:
        raise InputError(
            "BPX files need the package 'bpx': pip install 'cellmodels[data]'."
        ) from None
    return bpx


def _json(path: str | Path) -> dict[str, Any]:
    """Read a JSON object."""
    data = read_json(path)
    if not isinstance(data, dict) or not isinstance(data.get("Parameterisation"), dict):
        raise InputError(f"{path}: not a BPX file: it has no section 'Parameterisation'.")
    return data


def _without_functions(
    node: Any, place: tuple[str, ...], functions: dict[tuple[str, ...], Expression]
) -> Any:
    """Return the data with a table in place of each function, which is parsed."""
    if len(place) > _MOST_DEPTH:
        raise InputError(f"{' -> '.join(place[:3])} …: nested more than {_MOST_DEPTH} levels deep.")
    if isinstance(node, dict):
        return {
            key: each
            if not place and key != "Parameterisation"
            else _without_functions(each, (*place, key), functions)
            for key, each in node.items()
        }
    if not isinstance(node, str) or place[-1] == "description":
        return node
    try:
        expression = Expression(node, ("x",))
    except InputError as error:
        raise InputError(f"{' -> '.join(place[1:])}: {error}") from None
    if expression.parameters:
        raise InputError(f"{' -> '.join(place[1:])}: a function of BPX has no names in quotes.")
    functions[place[1:]] = expression
    return {"x": [0.0, 1.0], "y": [0.0, 0.0]}


def _checked(data: dict[str, Any]) -> dict[str, Any]:
    """Check the structure with the package bpx, which brings BPX 0.x to the form of 1.x."""
    bpx = package()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of files older than BPX 1
            found = bpx.parse_bpx_obj(data)
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
        details = error.errors() if hasattr(error, "errors") else []
        lines = [f"{' -> '.join(map(str, d['loc']))}: {d['msg']}" for d in details[:3]]
        raise InputError("not a valid BPX file: " + ("; ".join(lines) or f"{error}.")) from None
    return found.model_dump(by_alias=True, exclude_none=True)
