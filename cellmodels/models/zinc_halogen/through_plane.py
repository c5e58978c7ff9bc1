r"""Transport through the thickness of the cell: fluxes, potentials and the film at the plate.

The fluxes are those of Nernst and Planck, while Ohm's law carries the measured conductivity
:math:`\kappa` (see `transport` for why). With the obstruction o of a layer (the inverse of its
MacMullin number), the partition coefficients :math:`K_k` of the separator, and the ionic current
density :math:`i_e`,

.. math::
    N_k = -o K_k D_k \nabla c_k + \frac{t_k}{z_k}\left(\sum_m z_m o K_m D_m \nabla c_m
    + \frac{i_e}{F}\right), \qquad
    t_k = \frac{z_k^2 K_k D_k c_k}{\sum_m z_m^2 K_m D_m c_m}

    \nabla\phi_e = -\frac{i_e}{o\,\kappa} - \frac{RT}{F}\,\frac{\sum_m z_m K_m D_m \nabla c_m}
    {\sum_m z_m^2 K_m D_m c_m} - \frac{RT}{F} \sum_m \frac{t_m}{z_m}\,\nabla \ln\gamma

so that :math:`F\sum z_k N_k = i_e` whatever the composition. In the positive electrode the
potential :math:`E = \phi_s - \phi_e` is the unknown; with :math:`i_s + i_e = i` and Ohm's law in
the carbon, :math:`i_s = -\sigma\nabla\phi_s`,

.. math::
    i_s = \frac{i/(o\,\kappa) - \nabla(\phi_e)_{i_e = 0} - \nabla E}{1/\sigma + 1/(o\,\kappa)}

Sources: J. Newman, K. E. Thomas-Alyea, Electrochemical systems, 3rd ed., Wiley 2004, ch. 11, 12
and 22; the split between fluxes and Ohm's law is a closure chosen for this model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pybamm

from cellmodels.models.zinc_halogen import complexation, fused_salt, transport
from cellmodels.models.zinc_halogen.assembly import Compartment
from cellmodels.models.zinc_halogen.fields import ROUNDING, FieldAssembly
from cellmodels.models.zinc_halogen.numbers import FARADAY, Numbers
from cellmodels.models.zinc_halogen.speciation import TRACE_ION, positive
from cellmodels.models.zinc_halogen.species import METAL_ION, Electrolyte, Solute
from cellmodels.models.zinc_halogen.thermodynamics import log_gamma_of

#: Regions, which carry PyBaMM's names.
NEGATIVE, SEPARATOR, POSITIVE = "negative electrode", "separator", "positive electrode"
_STILL, _ONE = (pybamm.Scalar(0), "Neumann"), (pybamm.Scalar(1), "Neumann")


class Layers:
    """What moves and conducts in some neighbouring regions, as fields over them.

    Parameters
    ----------
    cell
        With its regions laid out and their electrolyte described.
    names
        Regions, in order.

    Attributes
    ----------
    ohmic : pybamm.Symbol
        Resistivity of the electrolyte in the layers' pores, 1/(o kappa) [Ohm.m].
    diffusion : pybamm.Symbol
        Gradient of the solution potential without current, with its sign turned [V.m-1].
    """

    def __init__(self, cell: FieldAssembly, names: Sequence[str]) -> None:
        self._cell, self._names = cell, tuple(names)
        n = cell.numbers
        self._solutes = cell.electrolyte.solutes
        self._mobility = {s.key: transport.diffusivity(n, s) for s in self._solutes}
        self._concentrations = {
            s.key: self._join({p.place: p.solutes[s.key] for p in self._parts})
            for s in self._solutes
        }
        self._gradients = {
            key: self._gradient(field) for key, field in self._concentrations.items()
        }
        self.ohmic = self._join({name: resistivity(cell, name) for name in self._names})
        self._add_mobilities()
        self._carried = self._moving(2)
        self.diffusion = self._diffusion()

    @property
    def _parts(self) -> list[Compartment]:
        return [self._cell.parts[name] for name in self._names]

    def _join(self, values: Mapping[str, pybamm.Symbol | float]) -> pybamm.Symbol:
        fields = [self._cell.regions[name].spread(values[name]) for name in self._names]
        return fields[0] if len(fields) == 1 else pybamm.concatenation(*fields)

    def _gradient(self, field: pybamm.Symbol) -> pybamm.Symbol:
        """With zeros at both ends: what crosses them is added to the next place."""
        self._cell.model.boundary_conditions[field] = {"left": _STILL, "right": _STILL}
        return pybamm.grad(field)

    def _add_mobilities(self) -> None:
        """o K D c and o K D grad c on the faces, with the harmonic mean of o K, as in series."""
        x = pybamm.SpatialVariable("x", domain=list(self._names), coord_sys="cartesian")
        self._cell.model.boundary_conditions[x] = {"left": _ONE, "right": _ONE}
        one = pybamm.grad(x)  # so that PyBaMM takes that mean, and the arithmetic one with `place`
        place, shift = self._faces(), self._cell.regions[SEPARATOR].thickness
        obstruction = self._join(
            {name: self._cell.regions[name].obstruction for name in self._names}
        )
        self._mobile, self._diffusing = {}, {}
        for s in self._solutes:
            passing, mobility = obstruction * self._partition(s), self._mobility[s.key]
            # on a face, the concentration at which the fluxes from both sides are the same
            carried = passing * self._concentrations[s.key] * (place + shift)
            between = carried / (passing * place + passing * shift)
            self._mobile[s.key] = mobility * (passing * one) * between
            self._diffusing[s.key] = mobility * (passing * self._gradients[s.key])

    def _partition(self, solute: Solute) -> pybamm.Symbol:
        """K over the layers: the separator's coefficient there, one elsewhere."""
        share = transport.partition(self._cell.numbers, solute)
        return self._join({name: share if name == SEPARATOR else 1.0 for name in self._names})

    def _moving(self, power: int) -> pybamm.Symbol:
        """Sum of z^power o K D c over all ions, on the faces."""
        total: pybamm.Symbol = pybamm.Scalar(0)
        for s in self._solutes:
            if s.charge:
                total = total + s.charge**power * self._mobile[s.key]
        return total

    def _diffusion(self) -> pybamm.Symbol:
        moving = sum(s.charge * self._diffusing[s.key] for s in self._solutes if s.charge)
        if self._cell.activity == "Pitzer":
            gammas = self._join({p.place: self._log_gamma(p) for p in self._parts})
            moving = moving + self._moving(1) * self._gradient(gammas)
        return moving / self._carried / self._cell.numbers.f

    def _log_gamma(self, part: Compartment) -> pybamm.Symbol:
        ion = positive(part.totals[METAL_ION], TRACE_ION)
        return log_gamma_of(self._cell.electrolyte, self._cell.numbers, self._cell.activity, ion)

    def after_start(self) -> pybamm.Symbol:
        """One on all faces but the first of the layers, zero there."""
        return self._faces() > self._ends(self._names[0])[0] + self._slack()

    def before_end(self) -> pybamm.Symbol:
        """One on all faces but the last of the layers, zero there."""
        return self._faces() < self._ends(self._names[-1])[1] - self._slack()

    def _within(self, name: str) -> pybamm.Symbol:
        """One on the faces inside a region, zero on its ends and elsewhere."""
        left, right = self._ends(name)
        x = self._faces()
        return (x > left + self._slack()) * (x < right - self._slack())

    def _faces(self) -> pybamm.Symbol:
        return self._cell.faces(self._names)

    def _slack(self) -> pybamm.Symbol:
        return ROUNDING * self._cell.regions[SEPARATOR].thickness

    def _ends(self, name: str) -> tuple[pybamm.Symbol, pybamm.Symbol]:
        """Where a region begins and ends [m]."""
        left: pybamm.Symbol = pybamm.Scalar(0)
        for region in self._cell.regions.values():
            if region.name == name:
                break
            left = left + region.thickness
        return left, left + self._cell.regions[name].thickness

    def electronic(
        self,
        name: str,
        potential: pybamm.Symbol,
        current: pybamm.Symbol,
        conductivity: pybamm.Symbol,
    ) -> pybamm.Symbol:
        """Current density in the solid of a porous electrode, on the faces inside it [A.m-2].

        Parameters
        ----------
        name
            Region of the electrode.
        potential
            E on that region [V].
        current
            Through the cell, positive on discharge [A.m-2].
        conductivity
            Of the solid [S.m-1].

        Returns
        -------
        pybamm.Symbol
            Zero on all other faces.
        """
        field = self._join({each: potential if each == name else 0.0 for each in self._names})
        inner = self._within(name)
        pull = current * self.ohmic * inner + (self.diffusion - self._gradient(field)) * inner
        return pull / (1 / conductivity + self.ohmic * inner)

    def fluxes(self, ionic: pybamm.Symbol) -> transport.Fluxes:
        """Fluxes of all solutes on the faces, zero at both ends.

        Parameters
        ----------
        ionic
            Current density in the electrolyte, zero at both ends [A.m-2].

        Returns
        -------
        transport.Fluxes
        """
        carried = ionic / FARADAY
        drive = sum(s.charge * self._diffusing[s.key] for s in self._solutes if s.charge)
        drive = (drive + carried) / self._carried
        still = {key: -diffusing for key, diffusing in self._diffusing.items()}
        return transport.Fluxes(self._solutes, still, self._mobile, drive, carried)

    def potential(self, ionic: pybamm.Symbol) -> pybamm.Symbol:
        """Electrolyte potential, from the middle of the first of the mesh's cells on [V].

        Parameters
        ----------
        ionic
            Current density in the electrolyte on all faces [A.m-2].

        Returns
        -------
        pybamm.Symbol
        """
        x = pybamm.SpatialVariable("x", domain=list(self._names), coord_sys="cartesian")
        return pybamm.IndefiniteIntegral(-(ionic * self.ohmic + self.diffusion), x)

    def on_faces(self, field: pybamm.Symbol) -> pybamm.Symbol:
        """A flux averaged to the middle of the mesh's cells."""
        return pybamm.inner(field, pybamm.PrimaryBroadcastToEdges(1, list(self._names)))


def resistivity(cell: FieldAssembly, name: str) -> pybamm.Symbol:
    """Resistivity of a region's electrolyte in its pores [Ohm.m]."""
    arguments = {
        "c [mol.m-3]": cell.parts[name].totals[METAL_ION],
        "T [K]": cell.numbers.temperature,
    }
    conductivity = cell.numbers.law("Electrolyte conductivity [S.m-1]", **arguments)
    passing = conductivity * cell.regions[name].obstruction
    if name in cell.salts:
        share = cell.salts[name].volume / cell.regions[name].thickness
        passing = passing + fused_salt.conduction(cell.numbers, share)
    return 1 / passing


def film_gradients(
    numbers: Numbers, electrolyte: Electrolyte, side: Compartment
) -> tuple[pybamm.Symbol, pybamm.Symbol]:
    r"""Gradients at the plate, where the metal ion alone is made or used.

    Where the flux of all other ions is zero they are in equilibrium with the potential, and
    electroneutrality leaves, for a flux N of the metal ion into the electrolyte,

    .. math::
        \nabla c_M = -\frac{N}{D_M}\left(1 - \frac{z_M^2 c_M}{\sum z^2 c}\right), \qquad
        -\frac{F}{RT}\nabla\phi = \frac{z_M N}{D_M \sum z^2 c}

    Where complexes count, see `complexation`; the relative gradient is that of the free metal ion,
    by which the plate's kinetics goes.

    Parameters
    ----------
    numbers
        Parameters.
    electrolyte
        What is dissolved.
    side
        The electrolyte at the plate.

    Returns
    -------
    pybamm.Symbol, pybamm.Symbol
        :math:`-c_M \nabla\ln c_M / N` [s.m-2], and :math:`-(F/RT)\nabla\phi_{diff}/N`
        [m.s.mol-1] of the part that a current does not drive.
    """
    at, metal_ion = side.solutes, transport.metal_ion(electrolyte)
    if electrolyte.complexed:
        mobile = {s.key: transport.diffusivity(numbers, s) for s in electrolyte.solutes}
        film = complexation.film(electrolyte, mobile, at, side.species.ratios)
        return side.totals[METAL_ION] * film.free, film.potential
    ions = [s for s in electrolyte.solutes if s.charge]
    strength = sum(s.charge**2 * at[s.key] for s in ions)
    mobility = {s.key: transport.diffusivity(numbers, s) for s in ions}
    carried = sum(s.charge**2 * mobility[s.key] * at[s.key] for s in ions)
    z, d = metal_ion.charge, mobility[metal_ion.key]
    steepness = (1 - z**2 * at[metal_ion.key] / strength) / d
    return steepness, z / (d * strength) - z / carried
