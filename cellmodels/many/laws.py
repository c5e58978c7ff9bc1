r"""How the parameters of a population follow from temperature, and what is known of that.

A rate follows Arrhenius' law, :math:`\ln k = \ln k_{ref} + \frac{E}{R}\left(\frac1{T_{ref}} -
\frac1T\right)`. Where the model has an activation energy :math:`E_0` of its own for it, such as
that of the film's growth, fitted rates are those at the reference temperature, and only
:math:`E - E_0` is left in them. Other parameters have one mean for all temperatures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from cellmodels.cell import Cell
from cellmodels.errors import InputError, did_you_mean
from cellmodels.fitting.scaling import Scaling

__all__ = ["BUILT_IN", "Energy", "Law", "Term", "distinct", "law", "with_groups"]

Array = NDArray[np.float64]

GAS_CONSTANT = 8.31446261815324  # J.mol-1.K-1
REFERENCE = "Reference temperature [K]"
AMBIENT = "Ambient temperature [K]"
_KILO = 1e3
_SAME = 0.5  # K: temperatures this near count as one

_FILM = "SEI growth activation energy [J.mol-1]"
BUILT_IN: Mapping[str, str] = MappingProxyType(
    {
        "SEI solvent diffusivity [m2.s-1]": _FILM,
        "SEI reaction exchange current density [A.m-2]": _FILM,
        "SEI electron conductivity [S.m-1]": _FILM,
        "SEI lithium interstitial diffusivity [m2.s-1]": _FILM,
    }
)
"""Rates that the model multiplies by Arrhenius' law with an activation energy of its own."""

_UNKNOWN = (40.0, 40.0)
_UNKNOWN_SOURCE = "an estimate without source: no value for this rate in the parameter set"


@dataclass(frozen=True)
class Energy:
    """What is known of an activation energy before the data [kJ.mol-1].

    Parameters
    ----------
    built_in : float
        That with which the model multiplies the rate already.
    mean, deviation : float
        Of a normal prior.
    source : str
    """

    built_in: float
    mean: float
    deviation: float
    source: str


@dataclass(frozen=True)
class Term:
    """A coefficient of beta.

    Parameters
    ----------
    parameter : int
        Number of the parameter to which it belongs.
    kind : {"mean", "energy", "group"}
        Mean (at the reference temperature), activation energy [kJ.mol-1] beyond that which the
        model has, or mean at one temperature.
    temperature : float
        That temperature [K].
    """

    parameter: int
    kind: str
    temperature: float = float("nan")


@dataclass(frozen=True, eq=False)
class Law:
    """The design of a population.

    Parameters
    ----------
    names : tuple of str
        Of the free parameters.
    terms : tuple of Term
        The coefficients of beta.
    energies : mapping of str to Energy
        By parameter, of those that follow Arrhenius' law.
    reference : float
        Temperature to which the rates refer [K].
    """

    names: tuple[str, ...]
    terms: tuple[Term, ...]
    energies: Mapping[str, Energy]
    reference: float

    @property
    def labels(self) -> tuple[str, ...]:
        """A name for each coefficient."""
        return tuple(_label(self.names[term.parameter], term) for term in self.terms)

    def design(self, temperature: float) -> Array:
        """X for a cell at a temperature [K], shape (p, k).

        Raises
        ------
        InputError
            With a mean for each temperature, at one that is none of them.
        """
        x = np.zeros((len(self.names), len(self.terms)))
        for k, term in enumerate(self.terms):
            x[term.parameter, k] = {
                "mean": 1.0,
                "energy": per_kilojoule(self.reference, temperature),
                "group": float(abs(term.temperature - temperature) <= _SAME),
            }[term.kind]
        unknown = [t.parameter for t in self.terms if t.kind == "group"]
        if unknown and not np.all(x[unknown].any(axis=1)):
            raise InputError(f"No cell was measured at {temperature:g} K.")
        return x


def per_kilojoule(reference: float, temperature: float) -> float:
    """Change of ln k by an activation energy of 1 kJ/mol, from the reference temperature [K]."""
    return _KILO / GAS_CONSTANT * (1 / reference - 1 / temperature)


def law(
    cells: Sequence[Cell],
    scaling: Scaling,
    arrhenius: Sequence[str] | None,
    activation_energies: Mapping[str, tuple[float, float]] | None = None,
) -> Law:
    """The design of the population of these cells.

    Parameters
    ----------
    cells : sequence of Cell
    scaling : Scaling
        Of the free parameters.
    arrhenius : sequence of str or None
        Parameters that follow Arrhenius' law; by default those of :data:`BUILT_IN`.
    activation_energies : mapping of str to (float, float), optional
        Priors in place of those of the parameter set: mean and standard deviation [J.mol-1].

    Returns
    -------
    Law

    Raises
    ------
    InputError
        On a name that is not fitted or not positive, or cells with different laws of their own.
    """
    names = scaling.names
    chosen = [n for n in names if n in BUILT_IN] if arrhenius is None else list(arrhenius)
    given = dict(activation_energies or {})
    for name in [*chosen, *given]:
        if name not in names:
            raise InputError(f"{name!r} is not fitted." + did_you_mean(name, names))
    for name in given:
        if name not in chosen:
            raise InputError(f"{name!r} has an activation energy, but is not in arrhenius.")
    for name in chosen:
        if not scaling.parameters[names.index(name)].logarithmic:
            raise InputError(f"{name!r} may be zero: Arrhenius' law is for positive rates.")
    references = {round(cell.value(REFERENCE), 6) for cell in cells}
    if len(references) > 1:
        raise InputError(f"The cells have different reference temperatures: {sorted(references)}.")
    energies = {name: _energy(cells, name, given.get(name)) for name in chosen}
    terms = [Term(i, "mean") for i in range(len(names))]
    terms += [Term(names.index(name), "energy") for name in chosen]
    return Law(names, tuple(terms), MappingProxyType(energies), references.pop())


def with_groups(line: Law, temperatures: Array) -> Law:
    """The law with a free mean at each temperature [K] for all that follow Arrhenius' law."""
    terms: list[Term] = []
    for i, name in enumerate(line.names):
        if name in line.energies:
            terms += [Term(i, "group", float(t)) for t in distinct(temperatures)]
        else:
            terms.append(Term(i, "mean"))
    return replace(line, terms=tuple(terms))


def distinct(temperatures: Array) -> Array:
    """Temperatures [K] that differ, ascending."""
    found: list[float] = []
    for t in np.sort(temperatures):
        if not found or t - found[-1] > _SAME:
            found.append(float(t))
    return np.array(found)


def _label(name: str, term: Term) -> str:
    if term.kind == "energy":
        return f"activation energy of {name}"
    return name if term.kind == "mean" else f"{name}, at {term.temperature:.2f} K"


def _energy(cells: Sequence[Cell], name: str, given: tuple[float, float] | None) -> Energy:
    """What is known of a rate's activation energy."""
    built_in = 0.0
    source = _UNKNOWN_SOURCE
    mean, deviation = _UNKNOWN
    own = BUILT_IN.get(name)
    if own is not None and own in cells[0].parameter_values():
        values = {cell.value(own) for cell in cells}
        if len(values) > 1:
            raise InputError(f"The cells have different values of {own!r}: {sorted(values)}.")
        built_in = mean = values.pop() / _KILO
        low, high = cells[0].parameters.range(own) or (0.0, 2 * _KILO * mean)
        deviation = (high - low) / (4 * _KILO)
        known = cells[0].parameters.parameters.get(own)
        words = known.source if known is not None else cells[0].parameters.name
        source = f"{words}; a quarter of its range as standard deviation"
    if given is not None:
        mean, deviation = (float(number) / _KILO for number in given)
        source = "given"
    if not (np.isfinite(mean) and np.isfinite(deviation) and deviation > 0):
        raise InputError(f"The activation energy of {name!r} needs a mean and a positive error.")
    return Energy(built_in, mean, deviation, source)
