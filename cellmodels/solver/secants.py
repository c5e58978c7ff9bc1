"""Corrections by a fixed approximate inverse, improved by what they have achieved so far.

Broyden's method, in the form of C. T. Kelley, Iterative Methods for Linear and Nonlinear
Equations (1995), section 7.3, doi:10.1137/1.9781611970944.
"""

from __future__ import annotations

import numpy as np

#: Largest share of a step that may still be missing along it when it is extrapolated.
_LARGEST_SHARE = 0.8


class Secants:
    """The steps of one iteration so far; several unknowns are iterated side by side.

    Parameters
    ----------
    weight : numpy.ndarray
        Of every component in the inner product, shape (m,) or (m, k).
    """

    def __init__(self, weight: np.ndarray) -> None:
        self._weight = weight
        self._steps: list[np.ndarray] = []
        self._sizes: list[np.ndarray] = []

    def improve(self, step: np.ndarray) -> np.ndarray:
        """The next step, given what the approximate inverse proposes, shape (m,) or (m, k)."""
        out = step
        for before, after, size in zip(
            self._steps[:-1], self._steps[1:], self._sizes[:-1], strict=True
        ):
            out = out + after * (self._dot(before, out) / size)
        if self._steps:
            share = self._dot(self._steps[-1], out) / self._sizes[-1]
            out = out / np.where(share < _LARGEST_SHARE, 1.0 - share, 1.0)
        self._steps.append(out)
        self._sizes.append(self._dot(out, out))
        return out

    def _dot(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        product = np.einsum("m...,m...,m...->...", one, other, self._weight)
        return np.where(product == 0.0, 1e-300, product)
