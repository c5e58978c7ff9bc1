"""Free parameters and the coordinates in which a fit moves them.

A positive parameter moves on a logarithmic scale, ``z = ln(value / start)``: a diffusivity
is uncertain by factors, not by differences. A parameter whose bounds include zero or
negative numbers moves linearly, ``z = (value - start) / unit``. Both scales are zero at the
start and a few units wide, so that a trust region of radius one is a sensible first step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cellmodels.errors import InputError

__all__ = ["FreeParameter", "Scaling"]

_LINEAR_WIDTH = 4.0  # bounds of a linear parameter are this far apart in z (a log decade: 2.3)
_MARGIN = 1e-3  # starts are kept this fraction of the width away from the bounds


@dataclass(frozen=True)
class FreeParameter:
    """A parameter that a fit may move.

    Parameters
    ----------
    name : str
        PyBaMM-style name with its unit.
    start, lower, upper : float
        Start and bounds, in the parameter's own unit; bounds may be infinite.
    nominal : float, optional
        Value the cell had before; the start by default.
    unit : str
        Text for tables.

    Raises
    ------
    InputError
        When the bounds are not in order or the start lies outside them.
    """

    name: str
    start: float
    lower: float
    upper: float
    nominal: float | None = None
    unit: str = ""

    def __post_init__(self) -> None:
        if not self.lower < self.upper:
            raise InputError(
                f"Bounds of {self.name!r}: {self.lower:g} is not below {self.upper:g}."
            )
        if not self.lower <= self.start <= self.upper:
            raise InputError(
                f"The start of {self.name!r}, {self.start:g}, lies outside its bounds "
                f"[{self.lower:g}, {self.upper:g}]; give another start or bounds."
            )

    @property
    def logarithmic(self) -> bool:
        """Whether the parameter moves on a logarithmic scale."""
        return self.lower > 0

    @property
    def linear_unit(self) -> float:
        """Change of value that is one unit of z, for a linear parameter."""
        width = self.upper - self.lower
        if np.isfinite(width):
            return width / _LINEAR_WIDTH
        return abs(self.start) or 1.0


@dataclass(frozen=True)
class Scaling:
    """Maps between values of free parameters and the fit's scaled coordinates z.

    Parameters
    ----------
    parameters : sequence of FreeParameter
    """

    parameters: tuple[FreeParameter, ...]

    def __init__(self, parameters: Sequence[FreeParameter]) -> None:
        object.__setattr__(self, "parameters", tuple(parameters))

    def __len__(self) -> int:
        return len(self.parameters)

    @property
    def names(self) -> tuple[str, ...]:
        """Names in order."""
        return tuple(parameter.name for parameter in self.parameters)

    @property
    def logarithmic(self) -> NDArray[np.bool_]:
        """Which parameters move on a logarithmic scale, shape (p,)."""
        return np.array([parameter.logarithmic for parameter in self.parameters], dtype=bool)

    @property
    def start(self) -> NDArray[np.float64]:
        """Values at z = 0, shape (p,)."""
        return np.array([parameter.start for parameter in self.parameters], dtype=float)

    @property
    def bounds(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Lower and upper bounds of z, each of shape (p,)."""
        lower = self.to_scaled([parameter.lower for parameter in self.parameters])
        upper = self.to_scaled([parameter.upper for parameter in self.parameters])
        return lower, upper

    def to_scaled(self, values: ArrayLike) -> NDArray[np.float64]:
        """Scaled coordinates of `values`, shape (..., p) -> (..., p)."""
        values = np.asarray(values, dtype=float)
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = np.log(values / self.start)
        return np.where(self.logarithmic, logs, (values - self.start) / self._linear_units)

    def to_values(self, scaled: ArrayLike) -> NDArray[np.float64]:
        """Parameter values at scaled coordinates, shape (..., p) -> (..., p)."""
        scaled = np.asarray(scaled, dtype=float)
        with np.errstate(over="ignore", under="ignore"):
            powers = self.start * np.exp(np.where(self.logarithmic, scaled, 0.0))
        return np.where(self.logarithmic, powers, self.start + scaled * self._linear_units)

    def slopes(self, scaled: ArrayLike) -> NDArray[np.float64]:
        """Derivative d value / d z at scaled coordinates, shape (p,)."""
        return np.where(self.logarithmic, self.to_values(scaled), self._linear_units)

    def inside(self, scaled: ArrayLike) -> NDArray[np.float64]:
        """The nearest scaled coordinates strictly inside the bounds, shape (p,)."""
        lower, upper = self.bounds
        width = np.where(np.isfinite(upper - lower), upper - lower, 1.0)
        return np.clip(np.asarray(scaled, float), lower + _MARGIN * width, upper - _MARGIN * width)

    @property
    def nominal(self) -> NDArray[np.float64]:
        """Scaled coordinates of the nominal values, moved inside the bounds, shape (p,)."""
        values = [p.start if p.nominal is None else p.nominal for p in self.parameters]
        # A nominal value without a logarithm cannot serve; the start then stands for it.
        values = [
            p.start if p.logarithmic and v <= 0 else v
            for p, v in zip(self.parameters, values, strict=True)
        ]
        return self.inside(self.to_scaled(values))

    @property
    def _linear_units(self) -> NDArray[np.float64]:
        return np.array([parameter.linear_unit for parameter in self.parameters], dtype=float)
