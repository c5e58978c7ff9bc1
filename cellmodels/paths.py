"""Where the chemistry and parameter files are.

In an installed wheel they are folders inside the package, ``cellmodels/chemistries`` and
``cellmodels/parameters``; in a checkout (an editable install) they are beside it.
"""

from __future__ import annotations

from pathlib import Path

from cellmodels.errors import CellModelsError

_PACKAGE = Path(__file__).resolve().parent


def data_folder(name: str) -> Path:
    """Return the folder ``"chemistries"`` or ``"parameters"``.

    Parameters
    ----------
    name : {"chemistries", "parameters"}
        Which folder.

    Returns
    -------
    pathlib.Path
        The folder, inside the package or beside it.

    Raises
    ------
    CellModelsError
        If the installation holds no such folder.
    """
    for folder in (_PACKAGE / name, _PACKAGE.parent / name):
        if folder.is_dir() and any(folder.rglob("*.toml")):
            return folder
    raise CellModelsError(f"This installation of cellmodels has no '{name}' folder: reinstall it.")


def named_files(folder: str) -> dict[str, Path]:
    """Return the TOML files of a data folder by their name.

    Parameters
    ----------
    folder : {"chemistries", "parameters"}
        Which folder; its sub-folders are searched too.

    Returns
    -------
    dict of str to pathlib.Path
        File name without suffix -> path, sorted by name.
    """
    paths = sorted(data_folder(folder).rglob("*.toml"), key=lambda path: path.stem)
    return {path.stem: path for path in paths}
