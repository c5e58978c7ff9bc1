r"""Transport through the separator, along the electrolyte's conductivity, and to the plate.

Fluxes are those of Nernst and Planck for the separator as one layer between two well-mixed
compartments; Ohm's law carries the measured conductivity. Plain Nernst-Planck with free ions would
give four to ten times the conductivity of concentrated zinc halide, and mobilities scaled down to
the measured one would make diffusion as much too slow: the fluxes are split by the mobilities, the
ohmic drop is measured. With the permeabilities :math:`P_m = f_D D_m K_m/(N_M L_s)`,

.. math::
    N_m = P_m \left(\Delta c_m + z_m u\,\tilde c_m\right), \qquad
    u = \frac{i/F - \sum_r z_r P_r \Delta c_r}{\sum_r z_r^2 P_r \tilde c_r}

so that :math:`F \sum z_m N_m = i` for every composition; u is the potential of the negative over
the positive side, by RT/F. A solute migrates at a concentration between those of the two sides,

.. math::
    \tilde c = \theta\,c_n + (1 - \theta)\,c_p, \qquad
    \theta = \tfrac12\left(1 + \coth\tfrac{zu}{2} - \frac{2}{zu}\right)

which is that of a constant field (D. E. Goldman, J. Gen. Physiol. 27 (1943) 37,
doi:10.1085/jgp.27.1.37): the mean at small u, and that of the side it comes from at large u. The
plain mean would go on taking a solute out of a side that has none left. Nernst and Planck: J.
Newman, K. E. Thomas-Alyea, Electrochemical systems, 3rd ed., Wiley 2004, ch. 11.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pybamm

from cellmodels.models.zinc_halogen import complexation
from cellmodels.models.zinc_halogen.numbers import FARADAY, Numbers, langevin
from cellmodels.models.zinc_halogen.speciation import Speciation
from cellmodels.models.zinc_halogen.species import HALOGEN, Electrolyte, Solute

_DIFFUSION_ENERGY = "Diffusivity activation energy [J.mol-1]"
_FACTOR = "Electrolyte diffusivity viscosity factor"


@dataclass(frozen=True)
class Fluxes:
    r"""Fluxes :math:`N_m = d_m + z_m a_m u` of solutes, which add up to a current.

    That of the first anion is what the current leaves for it, so that the charges add up to the
    current whatever the rounding. The drive u is a large expression: a sum of fluxes has it once.

    Attributes
    ----------
    solutes : sequence of Solute
    still : dict of str to pybamm.Symbol
        Diffusion, d, by the solute's key [mol.m-2.s-1].
    mobile : dict of str to pybamm.Symbol
        What the drive acts on, a, of all ions, by key [mol.m-2.s-1].
    drive : pybamm.Symbol
        By RT/F.
    carried : pybamm.Symbol
        Ionic current density over F [mol.m-2.s-1].
    """

    solutes: Sequence[Solute]
    still: Mapping[str, pybamm.Symbol]
    mobile: Mapping[str, pybamm.Symbol]
    drive: pybamm.Symbol
    carried: pybamm.Symbol

    def __getitem__(self, key: str) -> pybamm.Symbol:
        """Flux of a solute [mol.m-2.s-1]."""
        return self._sum({key: 1.0})

    def of(self, component: str) -> pybamm.Symbol:
        """Flux of a component in all solutes that hold it [mol.m-2.s-1]."""
        return self._sum({s.key: dict(s.contents).get(component, 0.0) for s in self.solutes})

    def _sum(self, counts: Mapping[str, float]) -> pybamm.Symbol:
        last = next(s for s in self.solutes if s.charge < 0)
        share = counts.get(last.key, 0.0) / last.charge
        still = share * self.carried
        driven: pybamm.Symbol = pybamm.Scalar(0)
        for s in self.solutes:
            count = counts.get(s.key, 0.0) - share * s.charge
            if s is last or not count:
                continue
            still = still + count * self.still[s.key]
            if s.charge:
                driven = driven + count * s.charge * self.mobile[s.key]
        return still + driven * self.drive


def diffusivity(numbers: Numbers, solute: Solute) -> pybamm.Symbol:
    """Diffusivity in the electrolyte [m2.s-1]: infinite dilution's, times a viscosity factor."""
    return numbers(_FACTOR) * numbers.activated(solute.diffusivity, _DIFFUSION_ENERGY)


def partition(numbers: Numbers, solute: Solute) -> pybamm.Symbol:
    """Concentration of a solute in the separator's pores over that outside [-].

    Cations, anions, polyhalides and neutral molecules have a coefficient each: charge keeps anions
    out of a cation-exchange membrane, and its narrow pores the large polyhalides too.
    """
    return numbers(f"Separator {_kind(solute)} partition coefficient")


def metal_ion(electrolyte: Electrolyte) -> Solute:
    """The metal ion among what is dissolved."""
    return next(s for s in electrolyte.solutes if s.name == electrolyte.metal_ion)


def halogen_diffusivity(
    numbers: Numbers, electrolyte: Electrolyte, species: Speciation
) -> pybamm.Symbol:
    """Diffusivity of all dissolved halogen [m2.s-1]: the mean over its species, by what they hold.

    Parameters
    ----------
    numbers
        Parameters.
    electrolyte
        What is dissolved.
    species
        Where the halogen is.

    Returns
    -------
    pybamm.Symbol
    """
    total: pybamm.Symbol = pybamm.Scalar(0)
    for s in electrolyte.solutes:
        held = dict(s.contents).get(HALOGEN, 0.0)
        if held:
            concentration = species.polyhalides.get(s.key, species.halogen)
            total = total + held * diffusivity(numbers, s) * concentration
    return total / species.dissolved


def permeability(numbers: Numbers, solute: Solute, path: pybamm.Symbol) -> pybamm.Symbol:
    """Permeability of the separator [m.s-1], for a diffusion path N_M L_s [m]."""
    return diffusivity(numbers, solute) * partition(numbers, solute) / path


def _kind(solute: Solute) -> str:
    held = {component for component, _ in solute.contents}
    if solute.charge < 0 and HALOGEN in held:
        return "polyhalide"
    return {-1: "anion", 0: "neutral", 1: "cation"}[(solute.charge > 0) - (solute.charge < 0)]


def migrating(
    solutes: Sequence[Solute],
    negative: Mapping[str, pybamm.Symbol],
    positive: Mapping[str, pybamm.Symbol],
    drop: pybamm.Symbol,
) -> dict[str, pybamm.Symbol]:
    """Concentrations at which the ions migrate through the separator [mol.m-3].

    Parameters
    ----------
    solutes
        What moves.
    negative, positive
        Concentrations [mol.m-3], by the solute's key.
    drop
        Potential of the negative over the positive side, by RT/F.

    Returns
    -------
    dict of str to pybamm.Symbol
        [mol.m-3], by key.
    """
    found = {}
    for s in solutes:
        if s.charge:
            half = s.charge * drop / 2
            share = (1 + half * langevin(half**2)) / 2
            found[s.key] = positive[s.key] + share * (negative[s.key] - positive[s.key])
    return found


def separator_drop(
    solutes: Sequence[Solute],
    permeabilities: Mapping[str, pybamm.Symbol],
    negative: Mapping[str, pybamm.Symbol],
    positive: Mapping[str, pybamm.Symbol],
    moving: Mapping[str, pybamm.Symbol],
    current: pybamm.Symbol,
) -> pybamm.Symbol:
    """Potential of the negative over the positive side that drives the ions, by RT/F.

    Parameters
    ----------
    solutes
        What moves.
    permeabilities
        [m.s-1], by the solute's key.
    negative, positive, moving
        Concentrations of both sides and those at which ions migrate [mol.m-3], by key.
    current
        Ionic current density, positive on discharge [A.m-2].

    Returns
    -------
    pybamm.Symbol
    """
    ions = [s for s in solutes if s.charge]
    diffusing = sum(
        s.charge * permeabilities[s.key] * (negative[s.key] - positive[s.key]) for s in ions
    )
    mobile = sum(s.charge**2 * permeabilities[s.key] * moving[s.key] for s in ions)
    return (current / FARADAY - diffusing) / mobile


def carried_activity(
    solutes: Sequence[Solute],
    permeabilities: Mapping[str, pybamm.Symbol],
    moving: Mapping[str, pybamm.Symbol],
) -> pybamm.Symbol:
    r"""Transference numbers by charge numbers, :math:`\sum t_m/z_m`, of the separator [-].

    Where the activity coefficient :math:`\gamma` of all ions differs between the sides, that times
    :math:`(RT/F)\ln(\gamma_n/\gamma_p)` belongs to the diffusion potential.

    Parameters
    ----------
    solutes, permeabilities, moving
        As for `separator_drop`.

    Returns
    -------
    pybamm.Symbol
    """
    ions = [s for s in solutes if s.charge]
    signed = sum(s.charge * permeabilities[s.key] * moving[s.key] for s in ions)
    mobile = sum(s.charge**2 * permeabilities[s.key] * moving[s.key] for s in ions)
    return signed / mobile


def separator_fluxes(
    solutes: Sequence[Solute],
    permeabilities: Mapping[str, pybamm.Symbol],
    negative: Mapping[str, pybamm.Symbol],
    positive: Mapping[str, pybamm.Symbol],
    moving: Mapping[str, pybamm.Symbol],
    current: pybamm.Symbol,
) -> Fluxes:
    """Fluxes of all solutes from the negative to the positive compartment.

    Parameters
    ----------
    solutes, permeabilities, negative, positive, moving, current
        As for `separator_drop`.

    Returns
    -------
    Fluxes
    """
    return Fluxes(
        solutes,
        {s.key: permeabilities[s.key] * (negative[s.key] - positive[s.key]) for s in solutes},
        {s.key: permeabilities[s.key] * moving[s.key] for s in solutes if s.charge},
        separator_drop(solutes, permeabilities, negative, positive, moving, current),
        current / FARADAY,
    )


def depth_resistance(
    path: pybamm.Symbol, slope: pybamm.Symbol, used: pybamm.Symbol
) -> pybamm.Symbol:
    r"""Ionic resistance of a porous electrode [Ohm.m2].

    .. math:: R = \frac{L_p}{\kappa_p}\sqrt{\left((1 - x)\,\frac{\nu\coth\nu - 1}{\nu^2}\right)^2
              + \left(\frac{x}{2}\right)^2}, \qquad
              \nu^2 = \frac{L_p}{\kappa_p}\frac{dj}{d\eta}, \qquad
              \kappa_p = \varepsilon_p^{3/2}\kappa

    The first term is what a porous electrode with linear kinetics and a well-conducting solid has
    beyond the resistance of its whole area: a third of the path where it reacts uniformly, less
    where the reaction keeps to the separator's side (J. S. Newman, C. W. Tobias, J. Electrochem.
    Soc. 109 (1962) 1183, doi:10.1149/1.2425269). But no place can react faster than the halogen is
    brought there: at the share x of its limiting current the electrode reacts in the share x of its
    depth, at least, and ions pass half of that. The mean of the two is a form chosen for this
    model; with fast kinetics its loss is within 15 % of that of the resolved depth.

    Parameters
    ----------
    path
        Length over conductivity of the pores, L_p/kappa_p [Ohm.m2].
    slope
        Change of the current with the potential at equilibrium, by area of cell [S.m-2].
    used
        Current over limiting current, x [-].

    Returns
    -------
    pybamm.Symbol
    """
    return path * pybamm.sqrt(((1 - used) * langevin(path * slope)) ** 2 + (used / 2) ** 2)


def plating_limit(
    numbers: Numbers,
    electrolyte: Electrolyte,
    concentrations: Mapping[str, pybamm.Symbol],
    ratios: Mapping[str, pybamm.Symbol],
) -> pybamm.Symbol:
    r"""Limiting current density of plating through the film at the plate [A.m-2].

    .. math:: j_L = \frac{2 F D_{salt}\, c}{(1 - t)\,\delta}, \qquad
              D_{salt} = \frac{3 D_M D_X}{2 D_M + D_X}

    for a quasi-steady film of thickness :math:`\delta`; t is the metal ion's transference number
    from the mobilities, times a correction for its complexes (Newman and Thomas-Alyea 2004, ch. 11
    and 17). Where complexes count, they take the place of that correction: with the flux N by the
    relative gradient of the free metal ion, by which the plate's kinetics goes,
    :math:`j_L = 2 F N/(-\nabla\ln c_M\,\delta)`, see `complexation`; for one salt without complexes
    both are the same. Complexes fall apart on the way to a starved plate, which this line from the
    bulk leaves out: it lies 1 to 25 per cent above the integral over the film.

    Parameters
    ----------
    numbers
        Parameters.
    electrolyte
        What is dissolved.
    concentrations
        Of all solutes at the electrode [mol.m-3], by key.
    ratios
        Complexes over free metal ion at the electrode, by key.

    Returns
    -------
    pybamm.Symbol
    """
    by_key = {s.key: s for s in electrolyte.solutes}
    thickness = f"{electrolyte.metal.capitalize()} diffusion-layer thickness [m]"
    if electrolyte.complexed:
        d = {key: diffusivity(numbers, s) for key, s in by_key.items()}
        film = complexation.film(electrolyte, d, concentrations, ratios)
        return 2 * FARADAY / (film.free * numbers(thickness))
    d = {key: diffusivity(numbers, s) for key, s in by_key.items() if s.charge}
    ion = metal_ion(electrolyte).key
    halide = next(s.key for s in electrolyte.solutes if s.name == electrolyte.halide)
    salt = 3 * d[ion] * d[halide] / (2 * d[ion] + d[halide])
    carried = sum(by_key[key].charge ** 2 * d[key] * concentrations[key] for key in d)
    transference = 4 * d[ion] * concentrations[ion] / carried
    corrected = transference * numbers(
        f"{electrolyte.metal.capitalize()} transference number correction"
    )
    film = numbers(thickness)
    return 2 * FARADAY * salt * concentrations[ion] / ((1 - corrected) * film)
