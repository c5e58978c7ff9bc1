"""Speciated zinc: complexes of zinc with halide and chloride, as a mechanism of a cell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

import pybamm

from cellmodels.errors import InputError
from cellmodels.models.zinc_halogen import thermodynamics, transport
from cellmodels.models.zinc_halogen.assembly import Assembly, Compartment
from cellmodels.models.zinc_halogen.mechanism_base import ZincMechanism
from cellmodels.models.zinc_halogen.species import METAL_ION


@dataclass(frozen=True)
class ZincComplexes(ZincMechanism):
    r"""Zinc is complexed by halide and chloride, and its complexes move with their own charge.

    The complexes :math:`ZnX_n^{2-n}`, n = 1 to 4, that the chemistry lists are at equilibrium with
    the free ions everywhere, by the equations of `complexation`. What changes by them:

    * Polyhalides form by the free halide, of which there is less: less halogen stays dissolved.
    * Fluxes through the separator and the thickness, and the diffusion potential, sum over the
      complexes too. Anionic complexes carry zinc against its own migration, so that zinc's
      transference number falls. Ohm's law keeps the measured conductivity.
    * The film at the plate lets less zinc through: complexes diffuse no faster than the free ion,
      and are pulled back by the halide that they set free there. The correction of the transference
      number, which stands in for complexes, is not read.
    * Equilibrium potentials, rate laws and precipitation go by the free ions. The activity factor
      of the salt includes its complexes; here that of the free ions takes its place, a parameter
      of its own. "ideal" activity coefficients are one, of the free ions; Pitzer's are those of the
      salt as if it were dissociated, and cannot be had together with this.

    Sources: constants from the Thermoddem and LLNL databases, see the parameter sets; equations:
    J. Newman, K. E. Thomas-Alyea, Electrochemical systems, 3rd ed., Wiley 2004, ch. 11 and 12.
    """

    short_name: ClassVar[str] = "zinc complexes"
    ages: ClassVar[bool] = False
    aliases: ClassVar[tuple[str, ...]] = ("zinc speciation",)

    @property
    def parameters(self) -> Mapping[str, str]:
        """Parameter -> what a larger value does."""
        return MappingProxyType(
            {"Zinc complexation activity factor": "more complexes, less free zinc and halide"}
        )

    def prepare(self, cell: Assembly) -> None:
        """Let the complexes count among what is dissolved."""
        if not cell.electrolyte.complexes:
            raise InputError(
                "mechanisms: 'zinc complexes' needs a chemistry with complexes of the zinc ion "
                "among its equilibria."
            )
        if cell.activity == "Pitzer":
            raise InputError(
                "mechanisms: 'zinc complexes' cannot be had with Pitzer's activity coefficients, "
                "which are those of the salt with its complexes. Choose ActivityCoefficients "
                "'constant' or 'ideal'."
            )
        cell.electrolyte = cell.electrolyte.with_complexes()
        if cell.activity == "constant":
            cell.activity = thermodynamics.FREE_IONS

    def act(self, cell: Assembly) -> None:
        """Report the species."""
        e, variables = cell.electrolyte, cell.model.variables
        for name, part in cell.reported.items():
            word = f"{name.capitalize()} compartment"
            found = {f"free {e.metal_ion}": part.solutes[transport.metal_ion(e).key]}
            found |= {c.solute.name: part.solutes[c.key] for c in e.complexes}
            for ligand in e.ligands[1:]:
                found[f"free {e.word(ligand)}"] = part.species.free[ligand]
            for what, concentration in found.items():
                variables[f"{word} {what} concentration [mol.m-3]"] = cell.mean(concentration)
            transference = cell.mean(_transference(cell, part))
            variables[f"{word} {e.metal} transference number"] = transference


def _transference(cell: Assembly, part: Compartment) -> pybamm.Symbol:
    r"""Share of the current that moves metal ion, complexed or not, where nothing diffuses.

    .. math:: t = 2\,\frac{\sum_k \nu_k z_k D_k c_k}{\sum_k z_k^2 D_k c_k}

    with the metal ions :math:`\nu_k` in a species.
    """
    moved, carried = pybamm.Scalar(0), pybamm.Scalar(0)
    for s in cell.electrolyte.solutes:
        if s.charge:
            mobile = s.charge * transport.diffusivity(cell.numbers, s) * part.solutes[s.key]
            carried = carried + s.charge * mobile
            if METAL_ION in dict(s.contents):
                moved = moved + mobile
    return 2 * moved / carried
