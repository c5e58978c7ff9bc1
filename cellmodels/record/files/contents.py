"""What a file holds, found from its content and not from its name; gzip and zip opened.

Nothing is unpacked beyond :data:`MAX_BYTES`, or, where it is read as a
stream, beyond a plausible multiple of the packed size: a small file cannot fill the memory.
"""

from __future__ import annotations

import gzip
import io
import lzma
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from cellmodels.errors import InputError

#: Largest file that is read in one piece, unpacked [bytes].
MAX_BYTES = 1_000_000_000

#: Bytes to which a packed byte may expand in a stream; tables of measurements expand 5 to 60 times.
MOST_EXPANSION = 150

#: Streams below this size [bytes] may expand more: a short file of equal rows does.
_SMALL = 30_000_000

_HEAD = 4096
_NESTED = 3
_MEMBERS = 10_000
_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x1f\x8b", "gzip"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"\x89HDF\r\n\x1a\n", "netcdf"),
    (b"CDF\x01", "netcdf"),
    (b"CDF\x02", "netcdf"),
    (b"PAR1", "parquet"),
    (b"NEWARE", "nda"),
    (b"BIO-LOGIC MODULAR FILE", "mpr"),
    (b"\x00\x01\x00\x00Standard ", "access"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "ole"),
    (b"MATLAB 5.0 MAT-file", "matlab"),
    (b"MATLAB 7.3 MAT-file", "matlab 7.3"),
    (b"%PDF", "pdf"),
    (b"\x89PNG", "image"),
)
_DAMAGED = (
    OSError, EOFError, ValueError, RuntimeError, NotImplementedError, zlib.error, lzma.LZMAError,
    zipfile.BadZipFile,
)  # fmt: skip


@dataclass(frozen=True)
class Content:
    """What a file holds, with its packing taken off.

    Parameters
    ----------
    where : str
        The file's name, and the name inside an archive, for messages.
    kind : str
        "text", "netcdf", "parquet", "excel", "nda", "ndax", "access", "matlab", "mpr", or another
        word for what no record is read from.
    path : pathlib.Path
        Where the bytes are.
    packing : {"", "gzip", "zip"}
        What is still around them.
    given : int
        Size of the file as the user has it [bytes], which says how long it may become unpacked.
    """

    where: str
    kind: str
    path: Path
    packing: str = ""
    given: int = 0

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """Open the unpacked bytes as a stream.

        Raises
        ------
        InputError
            If they cannot be read, also while reading, or expand beyond what is plausible.
        """
        try:
            with self._stream() as stream:
                yield stream
        except _DAMAGED as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{self.where}: cannot be read ({error}).") from None

    @contextmanager
    def _stream(self) -> Iterator[BinaryIO]:
        limit = max(_SMALL, MOST_EXPANSION * self.given)
        if not self.packing:
            with self.path.open("rb") as plain:
                yield plain
        elif self.packing == "gzip":
            with gzip.open(self.path, "rb") as unpacked:
                yield io.BufferedReader(_Bounded(unpacked, limit, self.where), 1 << 20)
        else:
            with (
                zipfile.ZipFile(self.path) as archive,
                archive.open(_own(archive)[0]) as unpacked,
            ):
                yield io.BufferedReader(_Bounded(unpacked, limit, self.where), 1 << 20)

    @property
    def size(self) -> int:
        """Size of the file as it is stored [bytes]."""
        return self.path.stat().st_size


@contextmanager
def contents(path: Path) -> Iterator[Content]:
    """Find out what a file holds.

    Parameters
    ----------
    path : pathlib.Path
        The file, possibly a gzip file, or a zip archive of one file, or one in the other.

    Yields
    ------
    Content
        Usable inside the `with` block.

    Raises
    ------
    InputError
        If the file cannot be read, is damaged or packed in a way that is not plausible, or an
        archive holds more than one file.
    """
    if not path.is_file():
        raise InputError(f"{path}: no file but a folder, a device or the like.")
    with tempfile.TemporaryDirectory(prefix="cellmodels-", ignore_cleanup_errors=True) as folder:
        yield _look(Content(str(path), "", path, given=path.stat().st_size), Path(folder))


def whole(content: Content) -> bytes:
    """All bytes of a file, unpacked.

    Parameters
    ----------
    content : Content
        The file.

    Returns
    -------
    bytes

    Raises
    ------
    InputError
        If it cannot be read, is damaged, or is larger than
        :data:`MAX_BYTES`.
    """
    with content.open() as stream:
        data = stream.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise InputError(f"{content.where}: larger than {MAX_BYTES // 1_000_000} MB.")
    return data


def _look(found: Content, folder: Path) -> Content:
    for level in range(_NESTED):
        kind = _kind(found)
        if kind not in ("gzip", "zip"):
            return replace(found, kind=kind)
        if found.packing:
            found = _unpacked(found, folder / f"{level}")
        where = f"{found.where}: {_only_member(found)}" if kind == "zip" else found.where
        found = replace(found, where=where, packing=kind)
        if _kind(found) not in ("text", "gzip", "zip"):
            found = _unpacked(found, folder / f"{level}-inner")
    raise InputError(f"{found.where}: packed more than {_NESTED} times over.")


def _kind(content: Content) -> str:
    """What the first bytes say."""
    with content.open() as stream:
        head = stream.read(_HEAD)
    if not head.strip(b"\0 \r\n\t\xef\xbb\xbf"):
        raise InputError(f"{content.where}: the file is empty.")
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return _kind_of_archive(content) if kind == "zip" and not content.packing else kind
    return "binary" if b"\0" in head and not head.startswith((b"\xff\xfe", b"\xfe\xff")) else "text"


def _kind_of_archive(content: Content) -> str:
    """Some makers' formats are zip archives: what their members say."""
    names = {name.lower() for name in _members(content)}
    if "[content_types].xml" in names:
        return "excel" if any(name.startswith("xl/") for name in names) else "office"
    if any(name.endswith(".ndc") for name in names) or {"step.xml", "versioninfo.xml"} & names:
        return "ndax"
    if names and all(name.endswith(".npy") for name in names):
        return "numpy"
    return "zip"


def _members(content: Content) -> list[str]:
    """Names of the files in an archive, without what a desktop adds of its own."""
    try:
        with zipfile.ZipFile(content.path) as archive:
            if len(archive.infolist()) > _MEMBERS:
                raise InputError(f"{content.where}: an archive of more than {_MEMBERS} files.")
            return _own(archive)
    except _DAMAGED as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{content.where}: a damaged zip archive ({error}).") from None


def _own(archive: zipfile.ZipFile) -> list[str]:
    names = [name for name in archive.namelist() if name and not name.endswith("/")]
    return [n for n in names if not n.startswith("__MACOSX/") and not n.endswith(".DS_Store")]


def _only_member(content: Content) -> str:
    names = _members(content)
    if len(names) != 1:
        shown = ", ".join(names[:5]) or "none"
        raise InputError(
            f"{content.where}: an archive of {len(names)} files ({shown}); a record is read from "
            "an archive of one. Unpack it, and give read_record one file or their folder."
        )
    return names[0]


def _unpacked(content: Content, target: Path) -> Content:
    """The same bytes in a file of our own, whose name is not taken from an archive."""
    with content.open() as stream, target.open("wb") as file:
        shutil.copyfileobj(stream, file)
    return replace(content, path=target, packing="")


class _Bounded(io.RawIOBase):
    """A stream that ends in an error where it becomes longer than it may."""

    def __init__(self, stream: object, limit: int, where: str) -> None:
        self._stream, self._left, self._where = stream, limit, where

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        try:
            read = self._stream.readinto(buffer)  # type: ignore[attr-defined]
        except Exception as error:  # some packages put others in the place of Python's unpackers
            raise InputError(f"{self._where}: cannot be read ({error}).") from None
        self._left -= read
        if self._left < 0:
            raise InputError(
                f"{self._where}: expands to more than {MOST_EXPANSION} times its size, which no "
                "table of measurements does."
            )
        return int(read)
