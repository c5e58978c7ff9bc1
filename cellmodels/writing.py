"""Files that are whole or not there: written beside their place, and put there in one step."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cellmodels.errors import InputError


@contextmanager
def replacing(path: str | os.PathLike[str], overwrite: bool = True) -> Iterator[Path]:
    """Write a file in one step.

    Parameters
    ----------
    path : path
        Of the file.
    overwrite : bool
        Whether it may be there already.

    Yields
    ------
    pathlib.Path
        Where to write, in the same folder and with the same ending. When the `with` block ends, the
        file is put in its place; if it ends in an error, nothing is left.

    Raises
    ------
    InputError
        If the file cannot be written, or is there and may not be.
    """
    target = Path(path)
    if not overwrite and target.exists():
        raise InputError(f"'{target}' is there already; overwrite=True replaces it.")
    temporary: Path | None = None
    try:
        handle, name = tempfile.mkstemp(
            prefix=f".{target.name[:100]}.", suffix="".join(target.suffixes[-2:]), dir=target.parent
        )
        temporary = Path(name)
        os.close(handle)
        yield temporary
        os.chmod(temporary, 0o666 & ~_umask())
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except OSError as error:
        raise InputError(f"'{target}' cannot be written ({error.strerror or error}).") from None
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
