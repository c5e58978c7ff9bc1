"""Tables in files: CSV and Parquet, also compressed, read as data and nothing else."""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from cellmodels.errors import InputError, did_you_mean

#: Largest file, after decompression [bytes].
MAX_BYTES = 1_000_000_000

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
_TEXT = (".csv", ".tsv", ".txt", ".bdf")
_PARQUET = (".parquet", ".pq")
_NETCDF = (".nc", ".nc4", ".netcdf")


@dataclass(frozen=True)
class Table:
    """A table from a file.

    Parameters
    ----------
    frame : pandas.DataFrame
        Its columns, headers as in the file.
    where : str
        The file's name, for error messages.
    rows : str
        What rows are called in messages: "line" of a text, "row" of another file.
    first : int
        Number of the first row.
    """

    frame: pd.DataFrame
    where: str
    rows: str = "row"
    first: int = 0


def check_path(path: object) -> Path:
    """Check that a path leads to a file on this machine.

    Parameters
    ----------
    path : str or pathlib.Path
        What the user gave.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    InputError
        If it is an address in a network, or nothing is there.
    """
    if not isinstance(path, str | Path):
        raise InputError(f"A path is a text, not {path!r}.")
    if _URL.match(str(path)) or str(path).startswith(("//", "\\\\")):
        raise InputError(f"'{path}' is an address in a network: download the file first.")
    found = Path(path)
    try:
        if found.exists():
            return found
        siblings = [other.name for other in found.parent.iterdir()] if found.parent.is_dir() else []
    except (OSError, ValueError) as error:
        raise InputError(f"'{path}' cannot be opened ({error}).") from None
    hint = did_you_mean(found.name, siblings) if len(siblings) < 1000 else ""
    raise InputError(f"There is no file '{path}'.{hint}")


def kind_of(path: Path) -> str:
    """The kind of a file, by its name: "text", "parquet" or "netcdf".

    Parameters
    ----------
    path : pathlib.Path
        The file.

    Returns
    -------
    str

    Raises
    ------
    InputError
        If a record cannot be read from such a file.
    """
    name = path.name.lower().removesuffix(".gz")
    if name.endswith(_TEXT):
        return "text"
    if name.endswith(_PARQUET):
        return "parquet"
    if name.endswith(_NETCDF):
        return "netcdf"
    endings = (*_TEXT, *_PARQUET, *_NETCDF)
    raise InputError(
        f"'{path}': a record is read from {', '.join(endings)} (and .gz of them), not from "
        f"'{path.suffix}'. Export the cycler's file as CSV or in the Battery Data Format first."
    )


def content(path: Path) -> bytes:
    """The bytes of a file, decompressed if it ends in .gz.

    Parameters
    ----------
    path : pathlib.Path
        The file.

    Returns
    -------
    bytes

    Raises
    ------
    InputError
        If it cannot be read, is damaged, or is larger than :data:`MAX_BYTES`.
    """
    compressed = path.suffix.lower() == ".gz"
    try:
        with gzip.open(path, "rb") if compressed else path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read ({error}).") from None
    if len(data) > MAX_BYTES:
        raise InputError(f"{path}: larger than {MAX_BYTES // 1_000_000} MB.")
    return data


def read_table(path: Path) -> Table:
    """Read a CSV or Parquet file.

    Parameters
    ----------
    path : pathlib.Path
        The file. Text is UTF-8 (or Windows-1252), separated by comma, semicolon or tab, with
        one line of headers; lines before it that begin with ``#`` are left out.

    Returns
    -------
    Table

    Raises
    ------
    InputError
        If it is no such table.
    """
    data = content(path)
    if kind_of(path) == "parquet":
        return Table(_parquet(data, path), str(path))
    return _text(data, path)


def _parquet(data: bytes, path: Path) -> pd.DataFrame:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise InputError(
            f"{path}: to read Parquet, install pyarrow: pip install 'cellmodels[data]'."
        ) from None
    try:
        # without its metadata for pandas, which may name types to rebuild
        frame = parquet.ParquetFile(io.BytesIO(data)).read().to_pandas(ignore_metadata=True)
    except (pyarrow.ArrowException, ValueError, TypeError, OSError, OverflowError) as error:
        raise InputError(f"{path}: no Parquet file: {_short(error)}.") from None
    return frame.rename(columns=str)


def _text(data: bytes, path: Path) -> Table:
    text = _decoded(data, path)
    lines = text.split("\n", 1001)
    skipped = 0
    while skipped < len(lines) - 1 and lines[skipped].startswith("#"):
        skipped += 1
    header, sample = lines[skipped], lines[skipped + 1] if skipped + 1 < len(lines) else ""
    separator = max(",;\t", key=header.count)
    _check_headers(header, separator, path)
    comma = separator != "," and re.search(r"\d,\d", sample) and "." not in sample
    try:
        frame = pd.read_csv(
            io.StringIO(text),
            sep=separator,
            decimal="," if comma else ".",
            skiprows=skipped,
            skipinitialspace=True,
            skip_blank_lines=False,
            low_memory=False,
        )
    except (ValueError, OverflowError, csv.Error) as error:
        raise InputError(f"{path}: no table: {_short(error)}.") from None
    if not isinstance(frame.index, pd.RangeIndex):
        raise InputError(f"{path}: its lines have more values than there are headers.")
    frame = frame.rename(columns=lambda name: str(name).strip())
    return Table(frame, str(path), "line", skipped + 2)


def _decoded(data: bytes, path: Path) -> str:
    if b"\0" in data:
        raise InputError(f"{path}: not a text file.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("cp1252", errors="replace")
    text = text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n")
    if not text.strip():
        raise InputError(f"{path}: the file is empty.")
    return text


def _check_headers(header: str, separator: str, path: Path) -> None:
    try:
        names = [name.strip() for name in next(csv.reader([header], delimiter=separator), [])]
    except csv.Error as error:
        raise InputError(f"{path}: no table: {_short(error)}.") from None
    for k, name in enumerate(names):
        if name and name in names[:k]:
            raise InputError(f"{path}: two columns have the header '{name}'.")


def _short(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text.rstrip(".") if len(text) < 200 else text[:200] + "…"
