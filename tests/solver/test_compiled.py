"""Compiled functions and their cache on disk."""

import subprocess
import sys

WITHOUT_CACHE = """
import numba.core.caching
numba.core.caching.CacheImpl._locator_classes = []
from cellmodels.solver.compiled import compiled

@compiled
def half(x):
    return x / 2.0

assert half(3.0) == 1.5
import cellmodels.solver.block_lu, cellmodels.solver.program
"""
#: Whether a process takes all machine code that another one has left.
FROM_THE_CACHE = """
import casadi, numpy
from cellmodels.solver import program
x, p = casadi.SX.sym("x"), casadi.SX.sym("p")
function = program.Program(casadi.Function("f", [x, p], [casadi.exp(x) * p]))
for count in (1, 16):
    function(numpy.ones((count, 1)), numpy.ones(1))
stats = program._run.stats
print(sum(stats.cache_hits.values()), sum(stats.cache_misses.values()))
"""


def run(code: str) -> str:
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    return found.stdout


def test_works_where_nothing_can_be_written():
    run(WITHOUT_CACHE)


def test_a_second_process_compiles_nothing():
    run(FROM_THE_CACHE)
    assert run(FROM_THE_CACHE).split() == ["2", "0"]


def test_what_is_built_in_may_change(tmp_path):
    (tmp_path / "halves.py").write_text(
        "from cellmodels.solver.compiled import compiled\n"
        "@compiled\ndef half(x):\n    return x / 2.0\n"
        "half(3.0)\nprint(len(half.stats.cache_hits))\n"
    )
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import halves"
    other = "import cellmodels.solver.compiled as c; c._built_in = lambda: 'other'; "
    assert [run(c).split() for c in (code, code, other + code)] == [["0"], ["1"], ["0"]]
