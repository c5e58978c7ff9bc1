r"""Complexes of the metal ion with its ligands: what is bound, and how it moves to the plate.

With the free metal ion M, the free ligands :math:`y_l` (halide, and supporting anions such as
chloride) and cumulative formation constants :math:`\beta_{ln}` of the complexes
:math:`ML_n^{2-n}`,

.. math::
    [ML_n] = g^n \beta_{ln}\,M\,y_l^n, \qquad
    M = \frac{c_M}{1 + \sum_{l,n} g^n \beta_{ln} y_l^n}, \qquad
    Y_l = y_l + \sum_n n\,[ML_n] + \dots

of the totals :math:`c_M` and :math:`Y_l`, which stay the states; the dots are polyhalides. The
logarithm of every free ligand is an unknown, and its equation is the logarithm of its balance: in
logarithms a balance is nearly straight (its slope is between that of one ligand and that of four),
so that Newton's method finds it from all ligand free in a few steps, and no concentration can be
negative. The constants are those of infinite dilution, by mol per litre for mol per kilogram of
water; the activity factor g of each ligand that is bound is what they change by in a concentrated
solution. Complexes with two kinds of ligands are left out.

**The film at the plate.** All species move with the gradient of their electrochemical potential,
which local equilibrium makes a sum of those of the components: with
:math:`\mu_i` those of metal ion and ligands by RT, and :math:`\nu_{ki}` what the species k holds,
:math:`N_k = -D_k c_k \sum_i \nu_{ki} \nabla\mu_i`. A plate takes metal ions alone: the flux of
every other component is zero. No species holds two ligands, so that

.. math::
    \nabla\mu_l = -\frac{L_{Ml}}{L_{ll}}\nabla\mu_M, \qquad
    N = -\Big(L_{MM} - \sum_l \frac{L_{Ml}^2}{L_{ll}}\Big)\nabla\mu_M, \qquad
    L_{ij} = \sum_k \nu_{ki}\nu_{kj} D_k c_k

    f\,\nabla\phi = \frac{\sum_k z_k c_k \sum_i \nu_{ki}\nabla\mu_i}{\sum_k z_k^2 c_k}, \qquad
    \nabla \ln c_k = \sum_i \nu_{ki}\nabla\mu_i - z_k f\,\nabla\phi

the latter by electroneutrality. Ions that hold no metal ion and are no ligand (polyhalides among
them) have zero flux each. Without complexes this is the film of free ions. Sources: the equilibria
are mass action, with constants as in the parameter sets; transport: J. Newman, K. E. Thomas-Alyea,
Electrochemical systems, 3rd ed., Wiley 2004, ch. 11 and 12, of which the film is a consequence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pybamm

from cellmodels.models.zinc_halogen.numbers import Numbers
from cellmodels.models.zinc_halogen.species import METAL_ION, Electrolyte, Solute

_ACTIVITY = "Zinc complexation activity factor"


@dataclass(frozen=True)
class Complexation:
    """What of the metal ion and its ligands is free, and what is bound.

    Attributes
    ----------
    free : dict of str to pybamm.Symbol
        Metal ion and ligands by component [mol.m-3].
    ratios : dict of str to pybamm.Symbol
        Complexes over free metal ion, by the chemistry's key.
    complexes : dict of str to pybamm.Symbol
        By the chemistry's key [mol.m-3].
    held : dict of str to pybamm.Symbol
        Each ligand, free and in complexes [mol.m-3].
    enthalpy : pybamm.Symbol
        Of the formation of the complexes [J.m-3].
    """

    free: Mapping[str, pybamm.Symbol]
    ratios: Mapping[str, pybamm.Symbol]
    complexes: Mapping[str, pybamm.Symbol]
    held: Mapping[str, pybamm.Symbol]
    enthalpy: pybamm.Symbol


@dataclass(frozen=True)
class Film:
    r"""Gradients in a film before a plate that takes a flux N of metal ions and nothing else.

    Attributes
    ----------
    free : pybamm.Symbol
        :math:`-\nabla \ln M / N` of the free metal ion [m.s.mol-1].
    potential : pybamm.Symbol
        :math:`-(F/RT) \nabla\phi / N` [m.s.mol-1], less what a current drives.
    """

    free: pybamm.Symbol
    potential: pybamm.Symbol


def bind(
    electrolyte: Electrolyte,
    numbers: Numbers,
    metal_ion: pybamm.Symbol,
    log_ligands: Mapping[str, pybamm.Symbol],
) -> Complexation:
    """The complexes at given free ligands.

    Parameters
    ----------
    electrolyte
        What is dissolved.
    numbers
        Parameters at the electrolyte's temperature.
    metal_ion
        Metal ion, complexed or not, above zero [mol.m-3].
    log_ligands
        Ligand -> ln of its free concentration over 1 mol.m-3; none where complexes do not count.

    Returns
    -------
    Complexation
    """
    if not log_ligands:
        return Complexation({}, {}, {}, {}, pybamm.Scalar(0))
    free = {ligand: pybamm.exp(log) for ligand, log in log_ligands.items()}
    ratios = {}
    for c in electrolyte.complexes:
        bound = numbers.equilibrium(c.constant, c.enthalpy) * numbers(_ACTIVITY) ** c.count
        ratios[c.key] = bound * pybamm.exp(c.count * log_ligands[c.ligand])
    bare = metal_ion / (1 + sum(ratios.values()))
    # sums over ratios first: the symbols stay small, which counts where they are differentiated
    held = {
        ligand: found
        + bare * _sum(c.count * ratios[c.key] for c in electrolyte.complexes if c.ligand == ligand)
        for ligand, found in free.items()
    }
    return Complexation(
        free={METAL_ION: bare, **free},
        ratios=ratios,
        complexes={key: ratio * bare for key, ratio in ratios.items()},
        held=held,
        enthalpy=bare * _sum(numbers(c.enthalpy) * ratios[c.key] for c in electrolyte.complexes),
    )


def guess(
    electrolyte: Electrolyte, numbers: Numbers, totals: Mapping[str, pybamm.Symbol]
) -> dict[str, pybamm.Symbol]:
    """Free metal ion and ligands of a solution, roughly, where complexes count.

    The complexes are those at half of every ligand free, and the free ligand what balances them: it
    is within a third for constants and concentrations as of zinc halides.

    Parameters
    ----------
    electrolyte
        What is dissolved.
    numbers
        Parameters.
    totals
        Concentrations of metal ion and ligands, above zero [mol.m-3].

    Returns
    -------
    dict of str to pybamm.Symbol
        [mol.m-3], by component; empty where complexes do not count.
    """
    if not electrolyte.ligands:
        return {}
    logs = {ligand: pybamm.log(totals[ligand] / 2) for ligand in electrolyte.ligands}
    first = bind(electrolyte, numbers, totals[METAL_ION], logs)
    logs = {
        ligand: pybamm.log(totals[ligand] * first.free[ligand] / first.held[ligand])
        for ligand in logs
    }
    return dict(bind(electrolyte, numbers, totals[METAL_ION], logs).free)


def film(
    electrolyte: Electrolyte,
    mobility: Mapping[str, pybamm.Symbol],
    at: Mapping[str, pybamm.Symbol],
    ratios: Mapping[str, pybamm.Symbol],
) -> Film:
    """The film at a plate, to first order in its thickness; see the module.

    Parameters
    ----------
    electrolyte
        What is dissolved, with complexes.
    mobility
        Diffusivities of all ions and complexes [m2.s-1], by key.
    at
        Concentrations [mol.m-3], by key.
    ratios
        Complexes over free metal ion, by key; see `Complexation`.

    Returns
    -------
    Film
    """
    bare = next(s for s in electrolyte.solutes if s.contents == ((METAL_ION, 1.0),))
    moving = [s for s in electrolyte.solutes if _holds(s, METAL_ION) or _is_ligand(electrolyte, s)]
    ions = [s for s in electrolyte.solutes if s.charge]
    with_metal = {bare.key: pybamm.Scalar(1), **ratios}

    def total_of(weights: Mapping[str, pybamm.Symbol | float]) -> pybamm.Symbol:
        """A sum over concentrations, by that of the free metal ion; it counts that ion once."""
        own = _sum(w * with_metal[key] for key, w in weights.items() if key in with_metal)
        others = [w * at[key] for key, w in weights.items() if key not in with_metal]
        return own + _sum(others) / at[bare.key] if others else own

    def both(one: str, other: str) -> list[tuple[Solute, float]]:
        """What holds two components, and the product of how much."""
        shares = ((s, _holds(s, one) * _holds(s, other)) for s in moving)
        return [(s, share) for s, share in shares if share]

    def conducting(one: str, other: str) -> pybamm.Symbol:
        return total_of({s.key: share * mobility[s.key] for s, share in both(one, other)})

    def charged(one: str) -> pybamm.Symbol:
        return total_of({s.key: _holds(s, one) * s.charge for s, _ in both(one, one) if s.charge})

    # gradients of electrochemical potentials by that of the metal ion
    pull = {
        ligand: -conducting(METAL_ION, ligand) / conducting(ligand, ligand)
        for ligand in electrolyte.ligands
    }
    passing = conducting(METAL_ION, METAL_ION) + _sum(
        pull[ligand] * conducting(METAL_ION, ligand) for ligand in pull
    )
    strength = total_of({s.key: s.charge**2 for s in ions})
    field = (charged(METAL_ION) + _sum(pull[x] * charged(x) for x in pull)) / strength
    carried = _sum(s.charge**2 * mobility[s.key] * at[s.key] for s in ions)
    return Film(
        free=(1 - bare.charge * field) / passing / at[bare.key],
        potential=field / passing / at[bare.key] - bare.charge / carried,
    )


def _holds(solute: Solute, component: str) -> float:
    return dict(solute.contents).get(component, 0.0)


def _is_ligand(electrolyte: Electrolyte, solute: Solute) -> bool:
    """Whether it is a free ligand; polyhalides are not, though they hold halide."""
    return any(solute.contents == ((ligand, 1.0),) for ligand in electrolyte.ligands)


def _sum(terms: Iterable[pybamm.Symbol]) -> pybamm.Symbol:
    return sum(terms, pybamm.Scalar(0))
