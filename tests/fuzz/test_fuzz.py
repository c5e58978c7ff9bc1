"""Whatever the bytes, a reader returns or refuses; see :mod:`tests.fuzz`."""

from __future__ import annotations

import base64
import socket
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellmodels.errors import InputError
from tests.fuzz import seeds
from tests.fuzz.guard import Forbidden, guarded
from tests.fuzz.harnesses import HARNESSES

KEPT = Path(__file__).parent / "kept"
FILES = sorted(path for path in KEPT.glob("*/*") if path.is_file())
CORPUS = sorted(Path(__file__).with_name("corpus").glob("*.txt"))
BINARY = ("binary", "process")
SEEDS = seeds.seeds()


def needs_readers(harness: str) -> None:
    if harness in BINARY:
        for package in ("bdf", "fastnda", "fastexcel", "access_parser", "pyarrow"):
            pytest.importorskip(package)
    if harness == "bpx":
        pytest.importorskip("bpx")


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_what_was_found_stays_repaired(path):
    needs_readers(path.parent.name)
    HARNESSES[path.parent.name](path.read_bytes())


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_corpus_of_a_search(path):
    """The shortest inputs of a search, each of which reached something new; one a line."""
    needs_readers(path.stem)
    for line in path.read_text().split():
        HARNESSES[path.stem](base64.b64decode(line))


@pytest.mark.parametrize("harness", sorted(SEEDS))
def test_seeds(harness):
    needs_readers(harness)
    for data in SEEDS[harness]:
        HARNESSES[harness](data)


def spoilt(harness: str) -> st.SearchStrategy[bytes]:
    """Seeds with pieces cut out, repeated, or put in from elsewhere."""
    pieces = st.one_of(
        st.binary(max_size=8),
        st.sampled_from([b"\0", b"nan", b"inf", b"1e999", b"-", b"../", b"\n", b'"', b"[[", b"{"]),
        st.text(max_size=6).map(lambda text: text.encode("utf-8", "surrogatepass")),
    )
    edits = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 12), pieces), max_size=4)
    return st.builds(edited, st.sampled_from(SEEDS[harness]), edits)


def edited(data: bytes, edits: list[tuple[float, int, bytes]]) -> bytes:
    for place, cut, piece in edits:
        at = int(place * len(data))
        data = data[:at] + piece + data[at + cut :]
    return data


def of(harness: str, examples: int):
    """A test of a harness on spoilt seeds."""

    @settings(max_examples=examples)
    @given(spoilt(harness))
    def test(data):
        HARNESSES[harness](data)

    return test


test_expression = of("expression", 300)
test_words = of("words", 200)
test_toml = of("toml", 200)
test_table = of("table", 200)
test_checkpoint = of("checkpoint", 200)
test_text = of("text", 200)
test_impedance = of("impedance", 200)
test_packed = of("packed", 150)
test_fit = of("fit", 100)


@settings(max_examples=100)
@given(spoilt("bpx"))
def test_bpx(data):
    needs_readers("bpx")
    HARNESSES["bpx"](data)


@settings(max_examples=40)
@given(spoilt("binary"))
def test_binary(data):
    needs_readers("binary")
    HARNESSES["binary"](data)


# --- the guard itself --------------------------------------------------------------------------


def _run_code():
    exec("1 + 1")  # noqa: S102


@pytest.mark.parametrize(
    "act",
    [
        lambda folder: _run_code(),
        lambda folder: subprocess.run([sys.executable, "-V"], check=False),
        lambda folder: socket.create_connection(("127.0.0.1", 9)),
        lambda folder: (folder.parent / "secret").read_text(),
        lambda folder: (folder.parent / "new").write_text("x"),
    ],
    ids=["code", "program", "network", "another file", "writing"],
)
def test_the_guard_sees(act, tmp_path):
    (tmp_path / "secret").write_text("s")
    (tmp_path / "inner").mkdir()
    with pytest.raises(Forbidden), guarded(tmp_path / "inner"):
        act(tmp_path / "inner")


def test_the_guard_is_not_hidden_by_a_handler(tmp_path):
    def hiding():
        try:
            _run_code()
        except BaseException as error:
            raise InputError("no") from error

    with pytest.raises(Forbidden), guarded(tmp_path):
        hiding()


def test_warnings_of_faults_pass_through(monkeypatch):
    def read(*arguments):
        warnings.warn("a fault", RuntimeWarning, stacklevel=1)

    monkeypatch.setattr("tests.fuzz.harnesses.parse_unit", read)
    with pytest.raises(RuntimeWarning):
        HARNESSES["words"](b"m")
