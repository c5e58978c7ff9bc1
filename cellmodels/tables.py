"""Properties given as a short table instead of a formula."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from cellmodels.errors import InputError
from cellmodels.pybamm_functions import PybammFunction
from cellmodels.toml_io import read_text
from cellmodels.units import convert, unit_of_name

#: Most rows of a table; a longer one belongs into a data file, not a parameter set.
MAX_ROWS = 10_000

Interpolation = Literal["linear", "cubic"]


@dataclass(frozen=True)
class Table:
    """A property against one variable, interpolated.

    Parameters
    ----------
    x, y : tuple of float, shape (n,)
        Abscissa, strictly increasing, and the property's values. n is at least 2, and at least
        4 for ``"cubic"``.
    argument : str
        Name of the variable that ``x`` belongs to.
    arguments : tuple of str
        All arguments that the model passes, in order; ``argument`` is one of them.
    interpolation : {"linear", "cubic"}
        ``"linear"`` is cheap; a ``"cubic"`` spline is smooth but multiplies the cost of a DFN.

    Raises
    ------
    InputError
        If the numbers are no such table.
    """

    x: tuple[float, ...]
    y: tuple[float, ...]
    argument: str = "sto"
    arguments: tuple[str, ...] = ("sto",)
    interpolation: Interpolation = "linear"

    def __post_init__(self) -> None:
        """Check the numbers."""
        object.__setattr__(self, "x", tuple(float(value) for value in self.x))
        object.__setattr__(self, "y", tuple(float(value) for value in self.y))
        object.__setattr__(self, "arguments", tuple(self.arguments))
        least = {"linear": 2, "cubic": 4}.get(self.interpolation)
        if least is None:
            raise InputError(f"Interpolation '{self.interpolation}' is neither linear nor cubic.")
        if len(self.x) != len(self.y) or not least <= len(self.x) <= MAX_ROWS:
            raise InputError(
                f"A {self.interpolation} table has {least} to {MAX_ROWS} pairs of numbers, "
                f"not {len(self.x)} and {len(self.y)}."
            )
        if not all(math.isfinite(value) for value in (*self.x, *self.y)):
            raise InputError("A table's numbers must be finite.")
        if any(right <= left for left, right in zip(self.x, self.x[1:], strict=False)):
            raise InputError(f"A table's '{self.argument}' must increase from row to row.")
        if self.argument not in self.arguments:
            listed = ", ".join(self.arguments)
            raise InputError(f"A table's '{self.argument}' is not one of its arguments ({listed}).")

    def evaluate(self, values: Mapping[str, Any]) -> Any:
        """Interpolate.

        Parameters
        ----------
        values : mapping
            A float or array for the table's argument.

        Returns
        -------
        numpy.ndarray
            The property, of the argument's shape. Outside the table its end pieces continue, as
            in PyBaMM.
        """
        from scipy.interpolate import CubicSpline, make_interp_spline

        at = np.asarray(values[self.argument], dtype=float)
        if self.interpolation == "cubic":
            return CubicSpline(self.x, self.y, bc_type="not-a-knot")(at)
        return make_interp_spline(self.x, self.y, k=1)(at)

    def to_pybamm(self, name: str = "table") -> PybammFunction:
        """Return a function of PyBaMM symbols, for :class:`pybamm.ParameterValues`.

        Parameters
        ----------
        name : str, optional
            The parameter's name, which PyBaMM gives to the interpolant.

        Returns
        -------
        PybammFunction
            Takes as many positional arguments as the table has. It can be pickled.
        """
        return PybammFunction(self, name)

    def symbol(self, values: Mapping[str, Any], name: str) -> Any:
        """Return the table as a PyBaMM symbol.

        Parameters
        ----------
        values : mapping
            A PyBaMM symbol for each argument.
        name : str
            The parameter's name, which the interpolant gets.

        Returns
        -------
        pybamm.Interpolant
            The interpolated property.
        """
        import pybamm

        x, y, at = np.array(self.x), np.array(self.y), values[self.argument]
        plain = re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_")  # CasADi takes no other for splines
        return pybamm.Interpolant(x, y, at, name=f"of_{plain}", interpolator=self.interpolation)


def read_table(
    path: Path,
    unit: str,
    arguments: tuple[str, ...],
    interpolation: Interpolation = "linear",
) -> Table:
    """Read a table from a CSV file with a header of two columns.

    Parameters
    ----------
    path : pathlib.Path
        The file. Lines that begin with ``#`` are comments. The header names the variable and
        the property with their units, such as ``sto [-],open-circuit potential [mV]``.
    unit : str
        The unit to which the second column is converted.
    arguments : tuple of str
        All arguments that the model passes; the first column's name is one of them.
    interpolation : {"linear", "cubic"}
        How to interpolate.

    Returns
    -------
    Table
        The table.

    Raises
    ------
    InputError
        If the file is not such a table, or a unit is wrong.
    """
    lines = [line for line in read_text(path).splitlines() if line.strip()]
    table = "\n".join(line for line in lines if not line.startswith("#"))
    try:
        rows = list(csv.reader(io.StringIO(table)))
    except csv.Error as error:
        raise InputError(f"{path}: no table: {error}.") from None
    if len(rows) < 2 or any(len(row) != 2 for row in rows):
        raise InputError(f"{path}: a table has a header and rows of two columns.")
    if len(rows) - 1 > MAX_ROWS:
        raise InputError(f"{path}: a table has at most {MAX_ROWS} rows.")
    given = [unit_of_name(cell) for cell in rows[0]]
    if given[0] is None or given[1] is None:
        raise InputError(f"{path}: write both units in the header, such as 'sto [-],U [V]'.")
    try:
        numbers = [(float(left), float(right)) for left, right in rows[1:]]
    except ValueError as error:
        raise InputError(f"{path}: {error}.") from None
    y_unit = given[1]
    y = tuple(convert(value, y_unit, unit, what=f"{path}: {rows[0][1]}") for _, value in numbers)
    argument = rows[0][0].split("[")[0].strip()
    try:
        return Table(tuple(x for x, _ in numbers), y, argument, arguments, interpolation)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
