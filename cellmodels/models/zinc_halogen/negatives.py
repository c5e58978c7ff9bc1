"""Negative electrodes of the porous model: a planar plate with a gap before it, or a felt."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import pybamm

from cellmodels.models.zinc_halogen import transport
from cellmodels.models.zinc_halogen.assembly import Compartment, Electrode
from cellmodels.models.zinc_halogen.electrodes import electrode
from cellmodels.models.zinc_halogen.fields import FieldAssembly
from cellmodels.models.zinc_halogen.numbers import FARADAY
from cellmodels.models.zinc_halogen.species import ELEMENT, METAL_ION
from cellmodels.models.zinc_halogen.through_plane import (
    NEGATIVE,
    Layers,
    film_gradients,
    resistivity,
)

#: Metal ion at the plate over that in the gap at which plating counts as starved.
_STARVED = 0.01
#: Porosity at which a felt counts as filled.
FILLED = 0.02


class NegativeElectrode(ABC):
    """What the porous model asks of a negative electrode.

    `declare` comes first, then `layer`, and the others once the electrolyte is described.
    """

    metal: pybamm.Variable

    @abstractmethod
    def declare(self, cell: FieldAssembly) -> None:
        """Declare the metal's state."""

    @abstractmethod
    def layer(
        self, cell: FieldAssembly, metal: pybamm.Symbol
    ) -> tuple[pybamm.Symbol, pybamm.Symbol, pybamm.Symbol]:
        """Thickness [m], porosity and obstruction of the layer with some metal in it."""

    @abstractmethod
    def electrolyte(self, layer: Compartment) -> Compartment:
        """The electrolyte in which the metal is plated."""

    @abstractmethod
    def electrode(self, cell: FieldAssembly) -> Electrode:
        """The electrode with its currents."""

    @abstractmethod
    def electronic(
        self, cell: FieldAssembly, layers: Layers, current: pybamm.Symbol
    ) -> pybamm.Symbol:
        """Current density in the electrode's own solid, on faces within its layer [A.m-2]."""

    @abstractmethod
    def leaving(self, cell: FieldAssembly, current: pybamm.Symbol) -> pybamm.Symbol:
        """Current that passes into the electrolyte, by area of cell [A.m-2]."""

    @abstractmethod
    def level(self, cell: FieldAssembly, current: pybamm.Symbol) -> pybamm.Symbol:
        """Potential of the collector over the electrolyte where the layer ends [V].

        That of diffusion is left out, save for what is between the plate and the mesh.
        """

    def resistance(self, cell: FieldAssembly) -> pybamm.Symbol:
        """Of the electrolyte that all of the current passes in the electrode's layer [Ohm.m2]."""
        return pybamm.Scalar(0)

    @abstractmethod
    def margins(
        self, cell: FieldAssembly, current: pybamm.Symbol
    ) -> tuple[pybamm.Symbol, pybamm.Symbol]:
        """Metal ion where it is scarcest over its mean, and what is left of it before the end."""

    @abstractmethod
    def limits(self, cell: FieldAssembly) -> None:
        """Add the events that this electrode has beside those of every cell."""

    def start(self, cell: FieldAssembly) -> pybamm.Symbol:
        """Metal at the start [mol.m-2]."""
        n, metal = cell.numbers, cell.electrolyte.metal
        charged = n("Initial state of charge") * n(f"Maximum {metal} areal capacity [mol.m-2]")
        return n(f"Initial {metal} areal amount [mol.m-2]") + charged


class Plate(NegativeElectrode):
    """A planar plate; its film is half of the mesh's cell next to it."""

    def declare(self, cell: FieldAssembly) -> None:
        """Metal on the plate."""
        name = f"{cell.title('metal')} areal amount [mol.m-2]"
        self.metal = cell.state(name, self.start(cell), holds=ELEMENT)

    def layer(
        self, cell: FieldAssembly, metal: pybamm.Symbol
    ) -> tuple[pybamm.Symbol, pybamm.Symbol, pybamm.Symbol]:
        """The gap, which hinders nothing."""
        thickness = cell.numbers("Negative gap thickness [m]")
        height = cell.numbers("Negative compartment electrolyte height [m]")
        return thickness, height / thickness, pybamm.Scalar(1)

    def electrolyte(self, layer: Compartment) -> Compartment:
        """The mesh's cell next to the plate, with the gap's states."""

        def first(symbol: pybamm.Symbol) -> pybamm.Symbol:
            return pybamm.boundary_value(symbol, "left", "constant") if symbol.domain else symbol

        def all_first(fields: Mapping[str, pybamm.Symbol]) -> dict[str, pybamm.Symbol]:
            return {key: first(field) for key, field in fields.items()}

        return Compartment(
            side=layer.side,
            place=layer.place,
            height=layer.height,
            amounts=layer.amounts,
            totals=all_first(layer.totals),
            species=layer.species.mapped(first),
            log_halogen=layer.log_halogen,
            log_ligands=layer.log_ligands,
            ph=first(layer.ph),
            solutes=all_first(layer.solutes),
        )

    def electrode(self, cell: FieldAssembly) -> Electrode:
        """Limited by what half of the mesh's cell lets through."""
        e, n, side = cell.electrolyte, cell.numbers, cell.negative
        steepness, _ = film_gradients(n, e, side)
        film = 2 * FARADAY * side.totals[METAL_ION] / (steepness * self._half(cell))
        attack = n(f"{e.metal.capitalize()} chemical attack velocity [m.s-1]")
        reaching = self._reaching(cell)
        return electrode(cell, side, self.metal, pybamm.Scalar(1), attack, film, reaching)

    def electronic(
        self, cell: FieldAssembly, layers: Layers, current: pybamm.Symbol
    ) -> pybamm.Symbol:
        """None: there is no solid in the gap."""
        return pybamm.Scalar(0)

    def leaving(self, cell: FieldAssembly, current: pybamm.Symbol) -> pybamm.Symbol:
        """All of it."""
        return current

    def level(self, cell: FieldAssembly, current: pybamm.Symbol) -> pybamm.Symbol:
        """Over the gap."""
        e, n = cell.electrolyte, cell.numbers
        _, excess = film_gradients(n, e, cell.negative)
        film = excess / n.f * self._half(cell) * current / (2 * FARADAY)
        return cell.plate.potential + film + current * self.resistance(cell)

    def resistance(self, cell: FieldAssembly) -> pybamm.Symbol:
        """Of the gap."""
        return cell.regions[NEGATIVE].total(resistivity(cell, NEGATIVE))

    def margins(
        self, cell: FieldAssembly, current: pybamm.Symbol
    ) -> tuple[pybamm.Symbol, pybamm.Symbol]:
        """At the plate; the halogen that arrives there takes a share of the current."""
        mean = cell.mean(cell.parts[NEGATIVE].totals[METAL_ION])
        near = cell.negative.totals[METAL_ION] / mean
        arriving = 2 * FARADAY * self._reaching(cell) * cell.negative.species.dissolved
        limit = cell.plate.limit
        margin = near * (1 + cell.plate.metal_current / limit)
        return margin, near * (1 + (current + arriving) / limit) - _STARVED

    def limits(self, cell: FieldAssembly) -> None:
        """None: the deposit is taken to be thin beside the gap."""

    def _half(self, cell: FieldAssembly) -> pybamm.Symbol:
        """Distance from the plate to the middle of the mesh's cell next to it [m]."""
        return pybamm.BoundaryMeshSize(cell.parts[NEGATIVE].log_halogen, "left") / 2

    def _reaching(self, cell: FieldAssembly) -> pybamm.Symbol:
        """Mass-transfer coefficient of dissolved halogen from there [m.s-1]."""
        found = transport.halogen_diffusivity(cell.numbers, cell.electrolyte, cell.negative.species)
        return found / self._half(cell)


class Felt(NegativeElectrode):
    r"""A felt in which the metal is plated, and takes room.

    .. math:: \varepsilon = \varepsilon_0 - V_M\,n_M / L_n

    with the metal :math:`n_M` [mol.m-2], by area of a felt that is all as here.
    """

    def declare(self, cell: FieldAssembly) -> None:
        """Metal in the felt."""
        name = f"{cell.title('metal')} in the negative electrode [mol.m-2]"
        start = self.start(cell)
        self.metal = cell.state(name, start, holds=ELEMENT, domain=[NEGATIVE])

    def layer(
        self, cell: FieldAssembly, metal: pybamm.Symbol
    ) -> tuple[pybamm.Symbol, pybamm.Symbol, pybamm.Symbol]:
        """The felt with its deposit."""
        n = cell.numbers
        thickness = n("Negative electrode thickness [m]")
        volume = n(f"{cell.title('metal')} molar volume [m3.mol-1]")
        porosity = n("Negative electrode porosity") - volume * metal / thickness
        return thickness, porosity, porosity**1.5

    def electrolyte(self, layer: Compartment) -> Compartment:
        """That of the felt."""
        return layer

    def electrode(self, cell: FieldAssembly) -> Electrode:
        """Limited by the mass transfer to its fibres."""
        n, e = cell.numbers, cell.electrolyte
        area = n("Negative electrode surface area to volume ratio [m-1]")
        area = area * n("Negative electrode thickness [m]")
        wall = n("Negative electrode mass-transfer coefficient [m.s-1]")
        attack = n(f"{e.metal.capitalize()} chemical attack velocity [m.s-1]")
        pore = 2 * FARADAY * wall * area * cell.negative.totals[METAL_ION]
        arriving = 1 / (1 / attack + 1 / wall)
        return electrode(cell, cell.negative, self.metal, area, arriving, pore)

    def electronic(
        self, cell: FieldAssembly, layers: Layers, current: pybamm.Symbol
    ) -> pybamm.Symbol:
        """In the fibres."""
        carbon = cell.numbers("Negative electrode conductivity [S.m-1]")
        return layers.electronic(NEGATIVE, cell.plate.potential, current, carbon)

    def leaving(self, cell: FieldAssembly, current: pybamm.Symbol) -> pybamm.Symbol:
        """What the ionic current gains over the thickness."""
        return cell.regions[NEGATIVE].thickness * pybamm.div(self._ionic(cell, current))

    def level(self, cell: FieldAssembly, current: pybamm.Symbol) -> pybamm.Symbol:
        """Over the felt."""
        layers = Layers(cell, [NEGATIVE])
        drop = layers.on_faces(self._ionic(cell, current) * layers.ohmic)
        collector = pybamm.boundary_value(cell.plate.potential, "left")
        return collector + cell.regions[NEGATIVE].total(drop)

    def margins(
        self, cell: FieldAssembly, current: pybamm.Symbol
    ) -> tuple[pybamm.Symbol, pybamm.Symbol]:
        """At the fibres of the scarcer end of the felt."""
        ions = cell.negative.totals[METAL_ION]
        at_fibres = ions * (1 + cell.plate.metal_current / cell.plate.limit)
        margin = cell.least(at_fibres) / cell.mean(ions)
        return margin, margin - _STARVED

    def limits(self, cell: FieldAssembly) -> None:
        """No room is left for electrolyte."""
        left = cell.regions[NEGATIVE].porosity
        cell.event(f"Negative electrode filled with {cell.electrolyte.metal}", left - FILLED)
        cell.model.variables["Negative electrode porosity"] = left

    def _ionic(self, cell: FieldAssembly, current: pybamm.Symbol) -> pybamm.Symbol:
        layers = Layers(cell, [NEGATIVE])
        return current * layers.after_start() - self.electronic(cell, layers, current)
