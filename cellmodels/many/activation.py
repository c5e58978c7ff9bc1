"""The law of a population of cells, and what is known of its activation energies before the data.

What the film grows by has an activation energy in the equations of PyBaMM, and a value with source
and range in our parameter sets. For all other rates, such as those of a loss of active material or
of plating, no source is known that gives the energy of the model's own constant: what is published
are apparent energies of a whole cell's fade, such as those of T. Waldmann et al., J. Power Sources
262 (2014) 129, doi:10.1016/j.jpowsour.2014.03.112, where fade is faster with heat above 25 degC and
faster with cold, by plating, below. The mass transport and the kinetics that the model has besides
are part of those. They have a wide prior that is an estimate, and says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np

from cellmodels.cell import Cell
from cellmodels.errors import InputError, did_you_mean
from cellmodels.fitting.scaling import Scaling
from cellmodels.many.laws import Energy, Law, Term

__all__ = ["AMBIENT", "BUILT_IN", "law"]

REFERENCE = "Reference temperature [K]"
AMBIENT = "Ambient temperature [K]"
_KILO = 1e3

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
"""Mean and standard deviation of an activation energy of which nothing is known [kJ.mol-1]."""
_ESTIMATE = "an estimate without source"


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


def _energy(cells: Sequence[Cell], name: str, given: tuple[float, float] | None) -> Energy:
    """What is known of a rate's activation energy."""
    built_in, (mean, deviation), source = _of_set(cells, name)
    if given is not None:
        mean, deviation = (float(number) / _KILO for number in given)
        source = "given"
    if not (np.isfinite(mean) and np.isfinite(deviation) and deviation > 0):
        raise InputError(f"The activation energy of {name!r} needs a mean and a positive error.")
    return Energy(built_in, mean, deviation, source)


def _of_set(cells: Sequence[Cell], name: str) -> tuple[float, tuple[float, float], str]:
    """The model's own activation energy of a rate, and prior and source by the parameter set."""
    own, first = BUILT_IN.get(name), cells[0]
    if own is None or own not in first.parameter_values():
        return 0.0, _UNKNOWN, f"{_ESTIMATE}: the model has none for this rate"
    values = {cell.value(own) for cell in cells}
    if len(values) > 1:
        raise InputError(f"The cells have different values of {own!r}: {sorted(values)}.")
    value = values.pop() / _KILO
    span = first.parameters.range(own)
    if value == 0:
        return 0.0, _UNKNOWN, f"{_ESTIMATE}: {first.parameters.name} has 0, no value"
    if span is None or not span[1] > span[0]:
        said = f"{first.parameters.name} has {value:.3g} kJ/mol, without a range"
        return value, _UNKNOWN, f"{_ESTIMATE}: {said}"
    known = first.parameters.parameters[own].source
    deviation = (span[1] - span[0]) / (4 * _KILO)
    return value, (value, deviation), f"{known}; a quarter of its range as standard deviation"
