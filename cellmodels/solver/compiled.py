"""How the solver's inner loops are compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba


def compiled(function: Callable[..., Any]) -> Any:
    """Compile a function at its first call, and keep the machine code for later processes.

    Where neither the package's folder nor the user's cache can be written it is compiled in
    every process. Divisions by zero give infinities, as in NumPy.
    """
    try:
        return numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    except RuntimeError:  # no place for the cache
        return numba.njit(nogil=True, error_model="numpy")(function)
