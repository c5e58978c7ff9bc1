"""How the solver's inner loops are compiled."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba

#: Modules whose code becomes part of compiled functions of other modules.
_BUILT_IN = ("simd.py", "vector_math.py")


def compiled(function: Callable[..., Any]) -> Any:
    """Compile a function at its first call, and keep the machine code for later processes.

    Where neither the package's folder nor the user's cache can be written it is compiled in
    every process. Divisions by zero give infinities, as in NumPy.
    """
    # Numba sees changes of the function's own file; what else is built in has to be in the name
    function.__qualname__ += f"_{_built_in()}"
    try:
        return numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    except RuntimeError:  # no place for the cache
        return numba.njit(nogil=True, error_model="numpy")(function)


@cache
def _built_in() -> str:
    """A name for the present state of the modules that are built in."""
    folder = Path(__file__).parent
    content = b"".join((folder / name).read_bytes() for name in _BUILT_IN)
    return hashlib.sha256(content).hexdigest()[:8]
