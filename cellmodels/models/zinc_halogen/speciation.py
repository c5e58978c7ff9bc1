r"""Where the halogen of a compartment is: dissolved, in polyhalides, on sites, or solid.

With y = [X-] and b = [X2] [mol.m-3], each polyhalide X_{2n+1}^- has the concentration
:math:`K_n y b^n`. Sites of concentration s with the half-loading concentration c* hold
:math:`s\,b/(b + c^*)` (Langmuir). With the totals Y of halide and B of halogen,

.. math:: Y = y\,(1 + \sum_n K_n b^n), \qquad
   B = b + \sum_n n K_n y b^n + \sum s \frac{b}{b + c^*} + S(b)

One scalar equation for :math:`\ell = \ln b` is left, which keeps b positive. Where the halogen
settles above its saturation :math:`b_s`, b stays there and the solid S grows: with
:math:`x = \ell - \ln b_s` the unknown goes on,

.. math:: \ln b = \ln b_s + x - (1 - 10^{-3})\,\sigma(x), \qquad S = c^\circ \sigma(x),
   \qquad \sigma(x) = w \ln\left(1 + e^{x/w}\right)

so that both are smooth in it, and a root finder sees no jump; within w of the saturation, half a
per cent, a few mol.m-3 have settled already, and 1 mol per litre of solid moves the potential by
13 uV. The solid dissolves at once, and does not cover the electrode.

Sources: tribromide and pentabromide: The NBS tables of chemical thermodynamic properties, J. Phys.
Chem. Ref. Data 11 Suppl. 2 (1982); triiodide: D. A. Palmer, R. W. Ramette, R. E. Mesmer,
J. Solution Chem. 13 (1984) 673, doi:10.1007/BF00650374; the binding isotherm is a Langmuir form
chosen for this model, after D. J. Eustace, J. Electrochem. Soc. 127 (1980) 528.

Where complexes of the metal ion count, the free halide y is an unknown too, see `complexation`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any

import pybamm

from cellmodels.models.zinc_halogen.complexation import bind
from cellmodels.models.zinc_halogen.numbers import STANDARD, Numbers
from cellmodels.models.zinc_halogen.species import HALIDE, HALOGEN, METAL_ION, Electrolyte

#: Amount of a component below which its concentration is rounded off to a positive number
#: [mol.m-3].
TRACE = 1e-6
#: The same for the metal ion at an electrode [mol.m-3].
TRACE_ION = 1e-3
#: Width of the onset of the solid, in the logarithm of the concentration.
_ONSET = 0.005
#: What the logarithm of the concentration still rises by with 1 mol per litre of solid. Without it
#: no potential would depend on the unknown there.
_RISE = 0.001


@dataclass(frozen=True)
class Speciation:
    """The species of one compartment.

    Attributes
    ----------
    halide, halogen : pybamm.Symbol
        Free X- and X2 [mol.m-3].
    log_halogen : pybamm.Symbol
        Logarithm of the latter.
    polyhalides : dict of str to pybamm.Symbol
        Concentrations by the chemistry's key [mol.m-3].
    bound : dict of str to pybamm.Symbol
        Halogen on sites, by the isotherm's name [mol.m-3].
    solid : pybamm.Symbol
        Halogen as a solid [mol.m-3].
    dissolved : pybamm.Symbol
        Halogen that is dissolved, in polyhalides included [mol.m-3].
    residual : pybamm.Symbol
        Zero at equilibrium.
    enthalpy : pybamm.Symbol
        Enthalpy of the equilibria, from the free species [J.m-3].
    complexes : dict of str to pybamm.Symbol
        Complexes of the metal ion by the chemistry's key [mol.m-3]; none where they do not count.
    ratios : dict of str to pybamm.Symbol
        Complexes over free metal ion, by the chemistry's key.
    free : dict of str to pybamm.Symbol
        Metal ion and its ligands that are free, by component [mol.m-3]; none where all is.
    residuals : dict of str to pybamm.Symbol
        Ligand -> what is zero at equilibrium, beside `residual`.
    """

    halide: pybamm.Symbol
    halogen: pybamm.Symbol
    log_halogen: pybamm.Symbol
    polyhalides: Mapping[str, pybamm.Symbol]
    bound: Mapping[str, pybamm.Symbol]
    solid: pybamm.Symbol
    dissolved: pybamm.Symbol
    residual: pybamm.Symbol
    enthalpy: pybamm.Symbol
    complexes: Mapping[str, pybamm.Symbol]
    ratios: Mapping[str, pybamm.Symbol]
    free: Mapping[str, pybamm.Symbol]
    residuals: Mapping[str, pybamm.Symbol]

    def mapped(self, function: Callable[[pybamm.Symbol], pybamm.Symbol]) -> Speciation:
        """The same with a function applied to every quantity."""
        found: dict[str, Any] = {}
        for each in fields(self):
            value = getattr(self, each.name)
            whole = not isinstance(value, Mapping)
            found[each.name] = (
                function(value) if whole else {key: function(v) for key, v in value.items()}
            )
        return Speciation(**found)


def speciate(
    electrolyte: Electrolyte,
    numbers: Numbers,
    totals: Mapping[str, pybamm.Symbol],
    unknown: pybamm.Symbol,
    sites: Mapping[str, pybamm.Symbol],
    log_ligands: Mapping[str, pybamm.Symbol] = MappingProxyType({}),
) -> Speciation:
    """The local equilibrium of a compartment.

    Parameters
    ----------
    electrolyte
        What is dissolved.
    numbers
        Parameters at the compartment's temperature.
    totals
        Concentrations of the components [mol.m-3].
    unknown
        ln(b / (1 mol.m-3)), and beyond the saturation, if there is one, what counts the solid.
    sites
        Isotherm's name -> concentration of its places for X2 in the electrolyte [mol.m-3].
    log_ligands
        Ligand of the metal ion -> ln of its free concentration over 1 mol.m-3, where complexes
        count.

    Returns
    -------
    Speciation
    """
    log_halogen, solid = unknown, pybamm.Scalar(0)
    if electrolyte.solid is not None:
        saturation = numbers.equilibrium(electrolyte.solid.constant, electrolyte.solid.enthalpy, -1)
        over = _softplus(unknown - pybamm.log(saturation))
        log_halogen, solid = unknown - (1 - _RISE) * over, STANDARD * over
    b = pybamm.exp(log_halogen)
    per_halide = {
        p.key: numbers.equilibrium(p.constant, p.enthalpy) * b**p.halogen
        for p in electrolyte.polyhalides
    }
    complexation = bind(electrolyte, numbers, positive(totals[METAL_ION], TRACE), log_ligands)
    if HALIDE in log_ligands:
        y = complexation.free[HALIDE]
    else:
        y = totals[HALIDE] / (1 + sum(per_halide.values()))
    polyhalides = {key: ratio * y for key, ratio in per_halide.items()}
    dissolved = b + sum(p.halogen * polyhalides[p.key] for p in electrolyte.polyhalides)
    enthalpy = sum(
        (numbers(p.enthalpy) * polyhalides[p.key] for p in electrolyte.polyhalides),
        complexation.enthalpy,
    )
    bound = {}
    for each in electrolyte.sites:
        if each.name not in sites:
            continue
        half = numbers.equilibrium(each.half_loading, each.enthalpy, -1)
        bound[each.name] = sites[each.name] * b / (b + half)
        enthalpy = enthalpy + numbers(each.enthalpy) * bound[each.name]
    if electrolyte.solid is not None:
        enthalpy = enthalpy + numbers(electrolyte.solid.enthalpy) * solid
    held = dissolved + sum(bound.values()) + solid
    return Speciation(
        halide=y,
        halogen=b,
        log_halogen=log_halogen,
        polyhalides=polyhalides,
        bound=bound,
        solid=solid,
        dissolved=dissolved,
        residual=pybamm.log(positive(totals[HALOGEN], TRACE)) - pybamm.log(held),
        enthalpy=enthalpy,
        complexes=complexation.complexes,
        ratios=complexation.ratios,
        free=complexation.free,
        residuals={
            ligand: pybamm.log(positive(totals[ligand], TRACE))
            - pybamm.log(found + (sum(polyhalides.values()) if ligand == HALIDE else 0))
            for ligand, found in complexation.held.items()
        },
    )


def positive(amount: pybamm.Symbol, trace: float) -> pybamm.Symbol:
    """`amount` where it is well above `trace`, and a small positive number below zero."""
    return (amount + pybamm.sqrt(amount**2 + trace**2)) / 2


def _softplus(x: pybamm.Symbol) -> pybamm.Symbol:
    """`x` above zero and nothing below, rounded off; it does not overflow."""
    size = pybamm.AbsoluteValue(x)
    return (x + size) / 2 + _ONSET * pybamm.log(1 + pybamm.exp(-size / _ONSET))
