"""Which files make a record: one, one for each group, or those of a folder."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cellmodels.errors import InputError
from cellmodels.record.files.table import check_path

#: In the order in which a record has them.
GROUPS = ("cycles", "checkups", "traces", "impedance")

#: What may lie beside the files of a cycler.
_BESIDE = re.compile(
    r"[.~].*|.*\.(md|rst|pdf|png|jpe?g|svg|toml|ya?ml|json|log)|(readme|licen[cs]e)[^.]*(\.txt)?",
    re.IGNORECASE,
)


def paths_of(path: Any, groups: Mapping[str, Any]) -> dict[str, Path]:
    """Find the files of a record.

    Parameters
    ----------
    path : str, pathlib.Path or None
        A file or a folder.
    groups : mapping of str to (str or pathlib.Path or None)
        Instead of it, a file for some groups.

    Returns
    -------
    dict of str to pathlib.Path
        By group; "" where the file itself tells; a slash and the name for each of several raw
        files.

    Raises
    ------
    InputError
        If both are given or none, there is no such file, or a folder holds none or is ambiguous.
    """
    given = {group: one for group, one in groups.items() if one is not None}
    if (path is None) == (not given):
        names = [f"{group}=" for group in groups]
        raise InputError(
            f"Give read_record either one path, or {', '.join(names[:-1])} and {names[-1]}."
        )
    if given:
        return {group: check_path(one) for group, one in given.items()}
    found = check_path(path)
    return _in_folder(found) if found.is_dir() else {"": found}


def _in_folder(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    raw: dict[str, Path] = {}
    inside = folder.resolve()
    for one in sorted(folder.iterdir(), key=_in_order):
        if one.is_symlink() and not one.resolve().is_relative_to(inside):
            raise InputError(f"'{one}' leads out of its folder, to '{one.resolve()}'.")
        group, _, ending = one.name.lower().partition(".")
        if group in GROUPS and ending and one.is_file():
            if group in found:
                raise InputError(f"'{folder}' has two tables of {group}: {found[group]}, {one}.")
            found[group] = one
        elif one.is_file() and not _BESIDE.fullmatch(one.name):
            raw[f"/{one.name}"] = one
    if not found and not raw:
        raise InputError(
            f"The folder '{folder}' has no cycles.csv, checkups.csv, traces.csv or impedance.csv, "
            "and no files of a cycler."
        )
    return found or raw


def _in_order(path: Path) -> list[Any]:
    """A key by which "test_2" stands before "test_10"."""
    parts = re.split(r"([0-9]+)", path.name)
    return [part if k % 2 == 0 else (int(part), part) for k, part in enumerate(parts)]
