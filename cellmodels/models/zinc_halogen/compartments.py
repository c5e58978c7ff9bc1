"""The electrolyte of one part of a cell: its recipe, and its local equilibria."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pybamm

from cellmodels.models.zinc_halogen.assembly import SIDES, Assembly, Compartment
from cellmodels.models.zinc_halogen.complexation import guess
from cellmodels.models.zinc_halogen.numbers import LN10, STANDARD, Numbers
from cellmodels.models.zinc_halogen.speciation import TRACE, Speciation, positive, speciate
from cellmodels.models.zinc_halogen.species import (
    ACID,
    AGENT,
    HALIDE,
    HALOGEN,
    METAL_ION,
    Electrolyte,
)

#: Scales of the states [mol.m-2], to which an integrator's absolute tolerance refers.
SCALE = {HALOGEN: 1e-2, ACID: 1e-3}


def initial_concentrations(
    e: Electrolyte, n: Numbers, height: pybamm.Symbol, positive_height: pybamm.Symbol
) -> dict[str, dict[str, pybamm.Symbol]]:
    """Concentrations at the start: the recipe, less what the state of charge took.

    The halide closes the recipe's electroneutrality. A charged start has its metal ion and halide
    taken evenly from all electrolyte, and its halogen in that of the positive side.

    Parameters
    ----------
    e
        What is dissolved.
    n
        Parameters.
    height, positive_height
        Electrolyte of the cell, and of its positive side, per area of cell [m].

    Returns
    -------
    dict of str to dict of str to pybamm.Symbol
        Side -> component -> concentration [mol.m-3].
    """
    recipe: dict[str, pybamm.Symbol] = {
        c: n(f"Initial {e.word(c)} concentration [mol.m-3]")
        for c in (METAL_ION, HALOGEN, *e.supporting, *([AGENT] if e.agent else []))
    }
    proton = STANDARD * 10 ** (-n("Initial pH"))
    recipe[ACID] = proton - n("Water ionic product [mol2.m-6]") / proton
    recipe[HALIDE] = sum(e.charge(c) * recipe[c] for c in recipe)
    charged = n("Initial state of charge") * n(f"Maximum {e.metal} areal capacity [mol.m-2]")
    taken = charged / height
    recipe[METAL_ION] = recipe[METAL_ION] - taken
    recipe[HALIDE] = recipe[HALIDE] - 2 * taken
    both = {side: dict(recipe) for side in SIDES}
    both["positive"][HALOGEN] = recipe[HALOGEN] + charged / positive_height
    return both


def compartment(
    cell: Assembly,
    side: str,
    place: str,
    amounts: dict[str, pybamm.Variable],
    height: pybamm.Symbol,
    start: tuple[pybamm.Symbol, Mapping[str, pybamm.Symbol]],
) -> Compartment:
    """Concentrations and local equilibria of one part of the electrolyte.

    Parameters
    ----------
    cell
        Receives the unknowns and their equations.
    side
        "negative" or "positive": whether the carbon of the positive electrode is in it.
    place
        In words, for the names of the unknowns.
    amounts
        States by component [mol.m-2].
    height
        Electrolyte in an area of cell [m].
    start
        Height at the start [m], and concentrations by component [mol.m-3].

    Returns
    -------
    Compartment
    """
    e, n = cell.electrolyte, cell.numbers
    domain = amounts[HALOGEN].domain
    totals = {c: amount / height for c, amount in amounts.items()}
    log_halogen = cell.unknown(
        f"Logarithm of {place} {e.halogen} concentration",
        _guess_log_halogen(cell, side, *start),
        domain,
    )
    log_ligands = {
        ligand: cell.unknown(log_ligand_name(cell, place, ligand), pybamm.log(free), domain)
        for ligand, free in free_at_start(cell, start[1]).items()
        if ligand in e.ligands
    }
    sites = _sites(cell, side, totals, height, cell.agent_activity)
    species = speciate(e, n, totals, log_halogen, sites, log_ligands)
    ph = _ph(cell, place, totals[ACID], domain)
    solutes = _solutes(cell, totals, species, ph)
    found = Compartment(
        side, place, height, amounts, totals, species, log_halogen, log_ligands, ph, solutes
    )
    cell.model.algebraic.update(found.equilibria)
    return found


def log_ligand_name(cell: Assembly, place: str, ligand: str) -> str:
    """Name of the unknown of a free ligand."""
    return f"Logarithm of {place} free {cell.electrolyte.word(ligand)} concentration"


def free_at_start(cell: Assembly, initial: Mapping[str, pybamm.Symbol]) -> dict[str, pybamm.Symbol]:
    """Metal ion and ligands that are free at the start, roughly; see `complexation.guess`.

    Parameters
    ----------
    cell
        With its electrolyte.
    initial
        Concentrations by component [mol.m-3].

    Returns
    -------
    dict of str to pybamm.Symbol
        [mol.m-3]; empty where complexes do not count.
    """
    e = cell.electrolyte
    numbers = Numbers(pybamm.Parameter("Ambient temperature [K]"))
    totals = {c: positive(initial[c], TRACE) for c in (METAL_ION, *e.ligands)}
    return guess(e, numbers, totals)


def _guess_log_halogen(
    cell: Assembly, side: str, height: pybamm.Symbol, initial: Mapping[str, pybamm.Symbol]
) -> pybamm.Symbol:
    """Free halogen where all is in the first polyhalide, on sites or solid, in logarithms."""
    e, n = cell.electrolyte, cell.numbers
    held: pybamm.Symbol = pybamm.Scalar(1)
    for p in e.polyhalides[:1]:
        held = held + n(p.constant) * initial[HALIDE]
    places = _sites(cell, side, initial, height, pybamm.Scalar(1))
    for site in e.sites:
        if site.name in places:
            held = held + places[site.name] / n(site.half_loading)
    free = positive(initial[HALOGEN], 1e-6) / held
    return pybamm.log(free if e.solid is None else pybamm.minimum(free, n(e.solid.constant)))


def _sites(
    cell: Assembly,
    side: str,
    totals: Mapping[str, pybamm.Symbol],
    height: pybamm.Symbol,
    active: pybamm.Symbol,
) -> dict[str, pybamm.Symbol]:
    """Places for the halogen on every isotherm's sites [mol.m-3 of electrolyte].

    `active` is the share of the agent that still binds.
    """
    n = cell.numbers
    found = {}
    for site in cell.electrolyte.sites:
        if site.component is not None:
            found[site.name] = n(site.capacity) * totals[site.component] * active
        elif side == "positive":
            found[site.name] = n(site.capacity) * n("Positive electrode thickness [m]") / height
    return found


def _ph(cell: Assembly, place: str, acid: pybamm.Symbol, domain: Sequence[str]) -> pybamm.Symbol:
    r"""The pH by the equilibria of water and of a buffer.

    .. math:: c_A = [H^+] - [OH^-] + \beta\,(pH_0 - pH), \qquad [H^+][OH^-] = K_w

    The unknown is [H+] - [OH-], in which the equation is linear where there is no buffer.
    """
    n = cell.numbers
    free = cell.unknown(
        f"{place.capitalize()} free acid concentration [mol.m-3]",
        STANDARD * 10 ** (-n("Initial pH")),
        domain,
    )
    root = pybamm.sqrt(n("Water ionic product [mol2.m-6]"))
    ph = (pybamm.log(STANDARD / root) - pybamm.arcsinh(free / (2 * root))) / LN10
    buffered = n("Electrolyte buffer capacity [mol.m-3]") * (n("Initial pH") - ph)
    cell.model.algebraic[free] = free + buffered - acid
    return ph


def _solutes(
    cell: Assembly, totals: Mapping[str, pybamm.Symbol], species: Speciation, ph: pybamm.Symbol
) -> dict[str, pybamm.Symbol]:
    """Concentrations of all that moves [mol.m-3]."""
    proton = STANDARD * pybamm.exp(-LN10 * ph)
    hydroxide = cell.numbers("Water ionic product [mol2.m-6]") / proton
    found = {**species.polyhalides, **species.complexes}
    for s in cell.electrolyte.solutes:
        if s.key in found:
            continue
        component = s.contents[0][0]
        found[s.key] = {
            HALIDE: species.halide,
            HALOGEN: species.halogen,
            ACID: proton if s.charge > 0 else hydroxide,
        }.get(component, species.free.get(component, totals.get(component)))
    return found
