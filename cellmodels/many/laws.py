r"""How the parameters of a population follow from temperature.

A rate follows Arrhenius' law, :math:`\ln k = \ln k_{ref} + \frac{E}{R}\left(\frac1{T_{ref}} -
\frac1T\right)`. Where the model has an activation energy :math:`E_0` of its own for it, such as
that of the film's growth, fitted rates are those at the reference temperature, and only
:math:`E - E_0` is left in them. Other parameters have one mean for all temperatures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeVar

import numpy as np
import scipy.constants
from numpy.typing import NDArray

from cellmodels.errors import InputError

__all__ = ["Energy", "Law", "Term", "distinct", "per_kilojoule", "with_groups"]

Array = NDArray[np.float64]
T = TypeVar("T", float, Array)

_KILO = 1e3
_SAME = 0.5  # K: temperatures this near count as one


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

    def built_in(self, name: str) -> float:
        """Activation energy by which the model multiplies a rate already [kJ.mol-1], else zero."""
        return self.energies[name].built_in if name in self.energies else 0.0

    def to_plain(self) -> dict[str, Any]:
        """The law in JSON's types; :meth:`from_plain` reads it back."""
        return {
            "names": list(self.names),
            "terms": [asdict(term) for term in self.terms],
            "energies": {name: asdict(energy) for name, energy in self.energies.items()},
            "reference": self.reference,
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Law:
        """A law from :meth:`to_plain`."""
        return cls(
            tuple(plain["names"]),
            tuple(Term(**term) for term in plain["terms"]),
            {name: Energy(**energy) for name, energy in plain["energies"].items()},
            plain["reference"],
        )

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


def per_kilojoule(reference: float, temperature: T) -> T:
    """Change of ln k by an activation energy of 1 kJ/mol, from the reference temperature [K]."""
    return _KILO / scipy.constants.R * (1 / reference - 1 / temperature)


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
