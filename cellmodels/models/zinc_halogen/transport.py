r"""Transport through the separator, along the electrolyte's conductivity, and to the plate.

Fluxes are those of Nernst and Planck for the separator as one layer between two well-mixed
compartments; Ohm's law carries the measured conductivity. Plain Nernst-Planck with free ions would
give four to ten times the conductivity of concentrated zinc halide, and mobilities scaled down to
the measured one would make diffusion as much too slow: the fluxes are split by the mobilities, the
ohmic drop is measured. With the permeabilities :math:`P_m = f_D D_m K_m/(N_M L_s)`,

.. math::
    N_m = P_m \Delta c_m + \frac{z_m P_m \bar c_m}{\sum_r z_r^2 P_r \bar c_r}
    \left[\frac{i}{F} - \sum_r z_r P_r \Delta c_r\right]

so that :math:`F \sum z_m N_m = i` for every composition. Nernst and Planck: J. Newman, K. E.
Thomas-Alyea, Electrochemical systems, 3rd ed., Wiley 2004, ch. 11.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pybamm

from cellmodels.models.zinc_halogen.numbers import FARADAY, Numbers
from cellmodels.models.zinc_halogen.species import Electrolyte, Solute

_DIFFUSION_ENERGY = "Diffusivity activation energy [J.mol-1]"
_FACTOR = "Electrolyte diffusivity viscosity factor"


def diffusivity(numbers: Numbers, solute: Solute) -> pybamm.Symbol:
    """Diffusivity in the electrolyte [m2.s-1]: infinite dilution's, times a viscosity factor."""
    return numbers(_FACTOR) * numbers.activated(solute.diffusivity, _DIFFUSION_ENERGY)


def permeability(numbers: Numbers, solute: Solute, path: pybamm.Symbol) -> pybamm.Symbol:
    """Permeability of the separator [m.s-1], for a diffusion path N_M L_s [m]."""
    kind = {True: "cation", False: "anion"}[solute.charge > 0] if solute.charge else "neutral"
    partition = numbers(f"Separator {kind} partition coefficient")
    return diffusivity(numbers, solute) * partition / path


def separator_fluxes(
    solutes: Sequence[Solute],
    permeabilities: Mapping[str, pybamm.Symbol],
    negative: Mapping[str, pybamm.Symbol],
    positive: Mapping[str, pybamm.Symbol],
    current: pybamm.Symbol,
) -> dict[str, pybamm.Symbol]:
    """Fluxes of all solutes from the negative to the positive compartment.

    Parameters
    ----------
    solutes
        What moves.
    permeabilities
        [m.s-1], by the solute's key.
    negative, positive
        Concentrations [mol.m-3], by key.
    current
        Ionic current density, positive on discharge [A.m-2].

    Returns
    -------
    dict of str to pybamm.Symbol
        [mol.m-2.s-1], by key.
    """
    diffusion = {
        s.key: permeabilities[s.key] * (negative[s.key] - positive[s.key]) for s in solutes
    }
    mobile = {
        s.key: s.charge * permeabilities[s.key] * _mean(s, negative, positive) for s in solutes
    }
    carried = sum(s.charge * mobile[s.key] for s in solutes)
    left = current / FARADAY - sum(s.charge * diffusion[s.key] for s in solutes if s.charge)
    return {
        s.key: diffusion[s.key] + (mobile[s.key] / carried * left if s.charge else 0)
        for s in solutes
    }


def diffusion_potential(
    numbers: Numbers,
    solutes: Sequence[Solute],
    permeabilities: Mapping[str, pybamm.Symbol],
    negative: Mapping[str, pybamm.Symbol],
    positive: Mapping[str, pybamm.Symbol],
) -> pybamm.Symbol:
    r"""Potential of the positive compartment over the negative one without current [V].

    .. math:: \Delta\phi = \frac{RT}{F}\frac{\sum z P \Delta c}{\sum z^2 P \bar c}
    """
    ions = [s for s in solutes if s.charge]
    top = sum(s.charge * permeabilities[s.key] * (negative[s.key] - positive[s.key]) for s in ions)
    below = sum(s.charge**2 * permeabilities[s.key] * _mean(s, negative, positive) for s in ions)
    return top / below / numbers.f


def plating_limit(
    numbers: Numbers,
    electrolyte: Electrolyte,
    concentrations: Mapping[str, pybamm.Symbol],
    metal_ion: str,
) -> pybamm.Symbol:
    r"""Limiting current density of plating through the film at the plate [A.m-2].

    .. math:: j_L = \frac{2 F D_{salt}\, c}{(1 - t)\,\delta}, \qquad
              D_{salt} = \frac{3 D_M D_X}{2 D_M + D_X}

    for a quasi-steady film of thickness :math:`\delta`; t is the metal ion's transference number
    from the mobilities, times a correction for its complexes (Newman and Thomas-Alyea 2004, ch. 11
    and 17).

    Parameters
    ----------
    numbers
        Parameters.
    electrolyte
        What is dissolved.
    concentrations
        Of all solutes at the electrode [mol.m-3], by key.
    metal_ion
        Key of the metal ion.

    Returns
    -------
    pybamm.Symbol
    """
    by_key = {s.key: s for s in electrolyte.solutes}
    d = {key: diffusivity(numbers, s) for key, s in by_key.items() if s.charge}
    halide = next(s.key for s in electrolyte.solutes if s.name == electrolyte.halide)
    salt = 3 * d[metal_ion] * d[halide] / (2 * d[metal_ion] + d[halide])
    carried = sum(by_key[key].charge ** 2 * d[key] * concentrations[key] for key in d)
    transference = 4 * d[metal_ion] * concentrations[metal_ion] / carried
    corrected = transference * numbers(
        f"{electrolyte.metal.capitalize()} transference number correction"
    )
    film = numbers(f"{electrolyte.metal.capitalize()} diffusion-layer thickness [m]")
    return 2 * FARADAY * salt * concentrations[metal_ion] / ((1 - corrected) * film)


def _mean(
    solute: Solute, negative: Mapping[str, pybamm.Symbol], positive: Mapping[str, pybamm.Symbol]
) -> pybamm.Symbol:
    return (negative[solute.key] + positive[solute.key]) / 2
