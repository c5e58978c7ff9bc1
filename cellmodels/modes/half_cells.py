"""Open-circuit potentials of both electrodes of a lithium-ion cell, and how wrong they may be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import casadi
import numpy as np
import pybamm
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import CubicHermiteSpline, PchipInterpolator

from cellmodels.cell import Cell
from cellmodels.errors import InputError, did_you_mean
from cellmodels.modes.curve_errors import CurveError

__all__ = ["HalfCell", "HalfCells"]

_EDGE = 1e-4  # nearest that a law's stoichiometry comes to 0 and 1
_FEWEST = 8  # rows of a measured curve
_MOST = 400  # rows that it is reduced to, as means, so that its slope is not that of noise
_BRANCHES = ("lithiation", "delithiation")

Array = NDArray[np.float64]
Potential = tuple[ArrayLike, ArrayLike]


@dataclass(frozen=True, eq=False)
class HalfCell:
    """Open-circuit potential of an electrode over its stoichiometry.

    Parameters
    ----------
    mean : callable
        Stoichiometries -> potential between lithiation and delithiation [V] and its derivative;
        a piecewise polynomial of scipy.
    gap : callable, optional
        Half of what the potential on discharge of the cell has more than that on charge. Without
        it one curve serves both directions.
    ends : tuple of (float, float)
        Stoichiometries between which the potential is known. Beyond them it goes on in a straight
        line.
    error : CurveError
        How wrong it may be.
    source : str
        Where it is from.
    """

    mean: Callable[..., Array]
    gap: Callable[..., Array] | None = None
    ends: tuple[float, float] = (_EDGE, 1.0 - _EDGE)
    error: CurveError = field(default_factory=CurveError)
    source: str = ""

    def potential(self, stoichiometry: Array, share: float = 0.0) -> tuple[Array, Array]:
        """Potential [V] and its derivative by the stoichiometry [V].

        Parameters
        ----------
        stoichiometry : ndarray
        share : float
            How far on the curve of the discharging cell: 1 on it, 0 between both, -1 on charge.

        Returns
        -------
        potential, derivative : ndarray
            Of the shape of `stoichiometry`.
        """
        value, slope = self._one(self.mean, stoichiometry)
        if self.gap is not None and share:
            more, tilt = self._one(self.gap, stoichiometry)
            value, slope = value + share * more, slope + share * tilt
        return value, slope

    def half_gap(self, stoichiometry: Array) -> Array:
        """Half the difference of both curves [V], zero without hysteresis."""
        if self.gap is None:
            return np.zeros_like(stoichiometry)
        return self._one(self.gap, stoichiometry)[0]

    def _one(self, curve: Callable[..., Array], at: Array) -> tuple[Array, Array]:
        inside = np.clip(at, *self.ends)
        value, slope = np.asarray(curve(inside)), np.asarray(curve(inside, 1))
        return value + slope * (at - inside), slope


@dataclass(frozen=True, eq=False)
class HalfCells:
    """Both half cells of a cell.

    Parameters
    ----------
    negative, positive : HalfCell
    """

    negative: HalfCell
    positive: HalfCell

    @classmethod
    def of(
        cls,
        cell: Cell,
        *,
        negative: Potential | Mapping[str, Potential] | None = None,
        positive: Potential | Mapping[str, Potential] | None = None,
        negative_error: CurveError | None = None,
        positive_error: CurveError | None = None,
        temperature: float | None = None,
    ) -> HalfCells:
        """Half cells of a parameter set, or measured ones.

        Parameters
        ----------
        cell : Cell
            A lithium-ion cell. Where its set has curves of lithiation and delithiation
            ("Negative electrode lithiation OCP [V]"), these are the branches of the hysteresis.
        negative, positive : pair of array_like of shape (n,), or mapping, optional
            Stoichiometries and potentials [V] of a measured half cell instead, or a mapping with
            such a pair for ``"lithiation"`` and ``"delithiation"``. Long tables are reduced to 400
            means and interpolated by monotone cubic pieces.
        negative_error, positive_error : CurveError, optional
            How wrong they may be.
        temperature : float, optional
            Of the measurement [K], for the parameter set's entropic change; by default the set's
            reference temperature.

        Returns
        -------
        HalfCells

        Raises
        ------
        InputError
            If the cell is none of lithium ion, or a table is none of a half cell.
        """
        given = {"negative": negative, "positive": positive}
        errors = {"negative": negative_error, "positive": positive_error}
        sides = {}
        for side, table in given.items():
            error = errors[side] or CurveError()
            if table is None:
                sides[side] = _of_set(cell, side, error, temperature)
            else:
                sides[side] = _of_tables(side, table, error)
        return cls(**sides)


def lithium_ion(cell: Cell) -> None:
    """Refuse cells of other families.

    Raises
    ------
    InputError
        Where the cell has no two electrodes that hold lithium.
    """
    if cell.chemistry.family != "lithium_ion":
        raise InputError(
            f"Electrode balance is of lithium-ion cells; this one is of the chemistry "
            f"'{cell.chemistry.name}'."
        )


# --- of a parameter set --------------------------------------------------------------------------


def _of_set(cell: Cell, side: str, error: CurveError, temperature: float | None) -> HalfCell:
    lithium_ion(cell)
    values = cell.parameter_values()
    at = _abscissae()
    names = [f"{side.capitalize()} electrode {branch} OCP [V]" for branch in _BRANCHES]
    source = f"parameter set '{cell.parameters.name}'"
    if all(name in values for name in names):
        curves = [_law(values, side, at, temperature, branch) for branch in _BRANCHES]
        return HalfCell(*_branches(side, *curves), error=error, source=source)
    return HalfCell(_law(values, side, at, temperature), error=error, source=source)


def _abscissae() -> Array:
    """Stoichiometries that are dense where potentials bend."""
    ends = np.geomspace(_EDGE, 0.01, 60)
    return np.unique(np.concatenate([ends, np.linspace(0.01, 0.99, 1961), 1.0 - ends]))


def _law(
    values: pybamm.ParameterValues,
    side: str,
    at: Array,
    temperature: float | None,
    branch: str | None = None,
) -> CubicHermiteSpline:
    """The set's law with its exact derivative at many places, cubic in between.

    Without what PyBaMM adds near 0 and 1, which would be a wall that no measurement has seen.
    """
    parameters = pybamm.LithiumIonParameters()
    electrode = (parameters.n if side == "negative" else parameters.p).prim
    sto, title = pybamm.InputParameter("sto"), side.capitalize()
    kind = "OCP [V]" if branch is None else f"{branch} OCP [V]"
    law = pybamm.FunctionParameter(
        f"{title} electrode {kind}", {f"{title} particle stoichiometry": sto}
    )
    if temperature is not None:
        law = law + (pybamm.Scalar(temperature) - parameters.T_ref) * electrode.dUdT(sto)
    x = casadi.MX.sym("sto")
    potential = values.process_symbol(law).to_casadi(inputs={"sto": x})
    function = casadi.Function("potential", [x], [potential, casadi.jacobian(potential, x)])
    value, slope = (np.array(each).ravel() for each in function(at[None, :]))
    if not (np.isfinite(value).all() and np.isfinite(slope).all()):
        raise InputError(f"The open-circuit potential of the {side} electrode is not finite.")
    return CubicHermiteSpline(at, value, slope)


# --- measured ------------------------------------------------------------------------------------


def _of_tables(
    side: str, table: Potential | Mapping[str, Potential], error: CurveError
) -> HalfCell:
    source = "a measured half cell"
    if not isinstance(table, Mapping):
        curve = _interpolated(table, side)
        return HalfCell(curve, ends=(curve.x[0], curve.x[-1]), error=error, source=source)
    for name in table:
        if name not in _BRANCHES:
            raise InputError(
                f"Half cell of the {side} electrode: no branch '{name}'."
                f"{did_you_mean(str(name), _BRANCHES)}"
            )
    if len(table) < len(_BRANCHES):
        raise InputError(
            f"Half cell of the {side} electrode: give lithiation and delithiation, or one curve."
        )
    curves = [_interpolated(table[name], f"{side}, {name}") for name in _BRANCHES]
    ends = (max(c.x[0] for c in curves), min(c.x[-1] for c in curves))
    return HalfCell(*_branches(side, *curves), ends=ends, error=error, source=source)


def _interpolated(table: Potential, what: str) -> PchipInterpolator:
    try:
        x, potential = (np.asarray(column, dtype=float) for column in table)
    except (TypeError, ValueError):
        raise InputError(
            f"Half cell ({what}): stoichiometries and potentials are needed."
        ) from None
    if x.ndim != 1 or x.shape != potential.shape or x.size < _FEWEST:
        raise InputError(
            f"Half cell ({what}): stoichiometries {x.shape} and potentials {potential.shape} must "
            f"be as many, at least {_FEWEST}."
        )
    if not (np.isfinite(x).all() and np.isfinite(potential).all()):
        raise InputError(f"Half cell ({what}): numbers are missing.")
    if x.min() < 0 or x.max() > 1:
        raise InputError(
            f"Half cell ({what}): stoichiometries lie between 0 and 1, not {x.min():.4g} and "
            f"{x.max():.4g}. Divide the charge by the electrode's capacity."
        )
    order = np.argsort(x, kind="stable")
    x, potential = x[order], potential[order]
    if x.size > _MOST:
        parts = np.array_split(np.arange(x.size), _MOST)
        x, potential = (np.array([column[p].mean() for p in parts]) for column in (x, potential))
    new = np.concatenate([[True], np.diff(x) > 0])
    x, potential = x[new], potential[new]
    if x.size < _FEWEST or not potential[-1] < potential[0]:
        raise InputError(f"Half cell ({what}): the potential must fall with the stoichiometry.")
    return PchipInterpolator(x, potential)


def _branches(
    side: str, lithiation: Callable[..., Array], delithiation: Callable[..., Array]
) -> tuple[Callable[..., Array], Callable[..., Array]]:
    """Mean and half gap: a discharging cell delithiates its negative electrode."""
    sign = 1.0 if side == "negative" else -1.0

    def mean(at: Array, derivative: int = 0) -> Array:
        return 0.5 * (delithiation(at, derivative) + lithiation(at, derivative))

    def gap(at: Array, derivative: int = 0) -> Array:
        return 0.5 * sign * (delithiation(at, derivative) - lithiation(at, derivative))

    return mean, gap
