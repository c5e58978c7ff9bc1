"""Search for inputs that break a reader, guided by coverage, with atheris (libFuzzer).

``python -m tests.fuzz.search <harness> <folder of the corpus> [-- options of libFuzzer]``
"""

from __future__ import annotations

import faulthandler
import hashlib
import resource
import sys
import time
import traceback
from pathlib import Path

import atheris

INSTRUMENTED = [
    "cellmodels", "tomllib", "bdf", "fastnda", "access_parser", "construct", "h5netcdf", "bpx",
    "pyparsing", "zipfile", "gzip", "json",
]  # fmt: skip
MOST_MEMORY = 8_000_000_000
SLOW = 5.0  # s


def main() -> None:
    """Search until libFuzzer ends; what breaks is kept in ``<corpus>-findings``, one of a kind."""
    faulthandler.enable()
    name, corpus = sys.argv[1], Path(sys.argv[2])
    with atheris.instrument_imports(include=INSTRUMENTED):
        import access_parser  # noqa: F401
        import bdf  # noqa: F401
        import bpx  # noqa: F401
        import fastnda  # noqa: F401
        import h5netcdf  # noqa: F401

        from tests.fuzz.harnesses import HARNESSES
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, hard))
    found = corpus.with_name(f"{corpus.name}-findings")
    found.mkdir(parents=True, exist_ok=True)
    known: set[str] = set()

    def one(data: bytes) -> None:
        began = time.monotonic()
        try:
            HARNESSES[name](data)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            _keep(data, error, found, known)
        if time.monotonic() - began > SLOW:
            _write(found, f"slow-{hashlib.sha1(data).hexdigest()[:8]}", data)

    options = ["-timeout=60", "-rss_limit_mb=4000", "-max_len=20000", *sys.argv[4:]]
    atheris.Setup([sys.argv[0], str(corpus), f"-artifact_prefix={found}/", *options], one)
    atheris.Fuzz()


def _keep(data: bytes, error: BaseException, folder: Path, known: set[str]) -> None:
    """Write an input down, unless one that ends at the same place is known."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if "cellmodels/" in f.filename] or frames
    place = f"{type(error).__name__}-{Path(own[-1].filename).stem}-{own[-1].name}-{own[-1].lineno}"
    if place in known or (folder / place).exists():
        return
    known.add(place)
    text = "".join(traceback.format_exception(error))[-6000:]
    _write(folder, place, data)
    (folder / f"{place}.txt").write_text(text, encoding="utf-8", errors="replace")
    print(f"FINDING {place}", flush=True)


def _write(folder: Path, name: str, data: bytes) -> None:
    (folder / name).write_bytes(data)


if __name__ == "__main__":
    main()
