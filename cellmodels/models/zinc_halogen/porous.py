r"""The porous-electrode model of a zinc-halogen cell, resolved through its thickness.

It is to a zinc-halogen cell what the Doyle-Fuller-Newman model is to a lithium-ion cell. A planar
plate at x = 0 on which the metal is plated, a gap of electrolyte, a separator and a porous
positive electrode; for every component s of the electrolyte

.. math::
    \frac{\partial (\varepsilon c_s)}{\partial t} = -\nabla\!\cdot N_s + S_s

with the fluxes of `through_plane`, which move the species that local equilibrium makes of the
components, and in the positive electrode, with the local potential :math:`E = \phi_s - \phi_e`,

.. math::
    \nabla\!\cdot i_e = a\,\left(j_M + j_X\right), \qquad i_s + i_e = i, \qquad
    S_Y = -\frac{a\,j_X}{F}, \qquad S_B = \frac{a\,j_X}{2F}

The plate's reactions enter the volume next to it, through a film of half of that volume's width,
which is the boundary condition to second order; kinetics, thermodynamics, speciation and mechanisms
are those of the lumped model. The voltage is the potential at the collector less that of the plate,

.. math::
    V = E(L) - E_{plate} + \phi_e(L) - \phi_e(0) - i\,(R_m + R_c)

Sources: J. Newman, W. Tiedemann, AIChE J. 21 (1975) 25, doi:10.1002/aic.690210103 (porous
electrodes); J. Newman, K. E. Thomas-Alyea, Electrochemical systems, 3rd ed., Wiley 2004, ch. 22;
porous electrodes in zinc-bromine cells: M. J. Mader, R. E. White, J. Electrochem. Soc. 133 (1986)
1297.
"""

from __future__ import annotations

from collections.abc import Mapping

import pybamm

from cellmodels.models.zinc_halogen import transport
from cellmodels.models.zinc_halogen.assembly import Compartment
from cellmodels.models.zinc_halogen.base import ZincHalogenModel
from cellmodels.models.zinc_halogen.compartments import (
    SCALE,
    compartment,
    initial_concentrations,
)
from cellmodels.models.zinc_halogen.electrodes import apart, electrode, react
from cellmodels.models.zinc_halogen.fields import FieldAssembly, Region
from cellmodels.models.zinc_halogen.numbers import FARADAY
from cellmodels.models.zinc_halogen.species import ELEMENT, METAL_ION, Electrolyte
from cellmodels.models.zinc_halogen.through_plane import Layers, film_gradients, resistivity

GAP, SEPARATOR, FELT = "negative electrode", "separator", "positive electrode"
#: Metal ion at the plate over that in the gap at which plating counts as starved.
_STARVED = 0.01


class Porous(ZincHalogenModel[FieldAssembly]):
    """A zinc-halogen cell with a planar plate and a porous positive electrode, see the module.

    Parameters
    ----------
    electrolyte, mechanisms, name
        As for `base.ZincHalogenModel`.
    """

    def _assembly(self, electrolyte: Electrolyte) -> FieldAssembly:
        return FieldAssembly(self, electrolyte)

    def _lay_out(self, cell: FieldAssembly) -> pybamm.Symbol:
        self._geometry = _add_regions(cell)
        _add_electrolyte(cell)
        _add_electrodes(cell)
        internal = _internal_current(cell)
        _add_transport(cell, internal)
        _add_margin(cell, internal)
        return internal

    def _close_electrodes(self, cell: FieldAssembly, internal: pybamm.Symbol) -> None:
        _close_electrodes(cell, internal)

    @property
    def default_geometry(self) -> pybamm.Geometry:
        """The layers, one after another."""
        return pybamm.Geometry(self._geometry)

    @property
    def default_var_pts(self) -> dict[str, int]:
        """Volumes of each layer."""
        return {"x_n": 12, "x_s": 10, "x_p": 16}

    @property
    def default_submesh_types(self) -> dict[str, type]:
        """Volumes of one width in each layer; the plate's film counts on it."""
        return dict.fromkeys(self._geometry, pybamm.Uniform1DSubMesh)

    @property
    def default_spatial_methods(self) -> dict[str, pybamm.SpatialMethod]:
        """Finite volumes."""
        return {name: pybamm.FiniteVolume() for name in self._geometry}


# --- the electrolyte -----------------------------------------------------------------------------


def _add_regions(cell: FieldAssembly) -> dict[str, dict]:
    """Lay out the layers.

    Returns
    -------
    dict
        Their geometry, as PyBaMM reads it.
    """
    n = cell.numbers
    gap = n("Negative gap thickness [m]")
    porosity = n("Positive electrode porosity")
    layers = (
        (GAP, "x_n", gap, n("Negative compartment electrolyte height [m]") / gap, pybamm.Scalar(1)),
        (
            SEPARATOR,
            "x_s",
            n("Separator thickness [m]"),
            n("Separator porosity"),
            1 / (n("Separator MacMullin number") * cell.separator_factor),
        ),
        (FELT, "x_p", n("Positive electrode thickness [m]"), porosity, porosity**1.5),
    )
    geometry, end = {}, pybamm.Scalar(0)
    for name, x, thickness, share, obstruction in layers:
        variable = pybamm.SpatialVariable(x, domain=[name], coord_sys="cartesian")
        cell.regions[name] = Region(name, variable, thickness, share, obstruction)
        geometry[name] = {variable: {"min": end, "max": end + thickness}}
        end = end + thickness
    return geometry


def _add_electrolyte(cell: FieldAssembly) -> None:
    """Amounts, concentrations and local equilibria of all layers."""
    e, n = cell.electrolyte, cell.numbers
    height0 = {name: r.porosity * r.thickness for name, r in cell.regions.items()}
    sides = initial_concentrations(e, n, sum(height0.values()), height0[FELT])
    side_of = {GAP: "negative", SEPARATOR: "negative", FELT: "positive"}
    amounts: dict[str, dict[str, pybamm.Variable]] = {name: {} for name in cell.regions}
    for c in e.components:
        initial = {name: sides[side_of[name]][c] * height0[name] for name in cell.regions}
        for name, state in cell.component(c, initial, SCALE.get(c, 1.0), e.conserved(c)).items():
            amounts[name][c] = state
    lost = {GAP: cell.water_lost["negative"], FELT: cell.water_lost["positive"]}
    for name, side in side_of.items():
        height = height0[name] - lost.get(name, 0)
        start = (height0[name], sides[side])
        cell.parts[name] = compartment(cell, side, name, amounts[name], height, start)
    cell.positive = cell.reported["positive"] = cell.parts[FELT]
    cell.reported["negative"] = cell.parts[GAP]
    cell.negative = _next_to_the_plate(cell.parts[GAP])


def _next_to_the_plate(gap: Compartment) -> Compartment:
    """The volume that the plate's reactions take place in, with the gap's states."""

    def first(symbol: pybamm.Symbol) -> pybamm.Symbol:
        return pybamm.boundary_value(symbol, "left", "constant") if symbol.domain else symbol

    def all_first(fields: Mapping[str, pybamm.Symbol]) -> dict[str, pybamm.Symbol]:
        return {key: first(field) for key, field in fields.items()}

    return Compartment(
        side=gap.side,
        place=gap.place,
        height=gap.height,
        amounts=gap.amounts,
        totals=all_first(gap.totals),
        species=gap.species.mapped(first),
        log_halogen=gap.log_halogen,
        ph=first(gap.ph),
        solutes=all_first(gap.solutes),
    )


# --- the electrodes ------------------------------------------------------------------------------


def _half_volume(cell: FieldAssembly) -> pybamm.Symbol:
    """Distance from the plate to the middle of the volume next to it [m]."""
    return pybamm.BoundaryMeshSize(cell.parts[GAP].log_halogen, "left") / 2


def _add_electrodes(cell: FieldAssembly) -> None:
    """Potentials and partial currents of both electrodes."""
    e, n = cell.electrolyte, cell.numbers
    start = n(f"Initial {e.metal} areal amount [mol.m-2]") + n("Initial state of charge") * n(
        f"Maximum {e.metal} areal capacity [mol.m-2]"
    )
    plated = cell.state(f"{e.metal.capitalize()} areal amount [mol.m-2]", start, holds=ELEMENT)
    stray = cell.field(
        f"{e.metal.capitalize()} on the positive electrode [mol.m-2]", FELT, holds=ELEMENT
    )
    side, half = cell.negative, _half_volume(cell)
    steepness, _ = film_gradients(n, e.solutes, transport.metal_ion(e), side.solutes)
    film = 2 * FARADAY * side.totals[METAL_ION] / (steepness * half)
    attack = n(f"{e.metal.capitalize()} chemical attack velocity [m.s-1]")
    reaching = transport.halogen_diffusivity(n, e, side.species) / half
    arriving = 1 / (1 / attack + 1 / reaching)
    wall = n("Positive electrode mass-transfer coefficient [m.s-1]")
    pore = 2 * FARADAY * wall * cell.felt_area * cell.positive.totals[METAL_ION]
    cell.plate = electrode(cell, side, plated, pybamm.Scalar(1), arriving, film)
    cell.felt = electrode(cell, cell.positive, stray, cell.felt_area, wall, pore)


def _internal_current(cell: FieldAssembly) -> pybamm.Symbol:
    """Current density through the electrolyte: an unknown where a short circuit takes a share."""
    if cell.short.is_constant():
        return cell.current
    return cell.unknown("Internal current density [A.m-2]", 0.0)


def _add_transport(cell: FieldAssembly, internal: pybamm.Symbol) -> None:
    """Currents and fluxes on all faces, and the voltage."""
    n, felt = cell.numbers, cell.felt.potential
    carbon = n("Positive electrode conductivity [S.m-1]")
    whole = Layers(cell, list(cell.regions))
    everywhere = cell.over({GAP: 0.0, SEPARATOR: 0.0, FELT: felt})
    ionic = internal * whole.inside(GAP, past_left=True)
    ionic = ionic - whole.electronic(everywhere, internal, carbon)
    cell.fluxes = whole.fluxes(ionic)
    for component in cell.electrolyte.components:
        cell.flow(
            component,
            sum(
                count * cell.fluxes[s.key]
                for s in cell.electrolyte.solutes
                for held, count in s.contents
                if held == component
            ),
        )
    inside = Layers(cell, [FELT])
    cell.ionic = internal * inside.inside(FELT) - inside.electronic(felt, internal, carbon)
    _add_voltage(cell, internal, whole, inside)
    _add_profiles(cell, whole, internal - whole.electronic(everywhere, internal, carbon))


def _add_voltage(
    cell: FieldAssembly, internal: pybamm.Symbol, whole: Layers, inside: Layers
) -> None:
    """Voltage, and what it loses in the electrolyte."""
    n, e = cell.numbers, cell.electrolyte
    _, excess = film_gradients(n, e.solutes, transport.metal_ion(e), cell.negative.solutes)
    film = excess / n.f * _half_volume(cell) * internal / (2 * FARADAY)
    diffusion = -cell.integral(whole.on_faces(whole.diffusion)) - film
    ohmic = {name: resistivity(cell, name) for name in (GAP, SEPARATOR)}
    passing = sum(cell.regions[name].total(r) for name, r in ohmic.items())
    membrane = n("Membrane area resistance [Ohm.m2]") * cell.separator_factor
    drop = cell.regions[FELT].total(inside.on_faces(cell.ionic * inside.ohmic))
    collector = pybamm.boundary_value(cell.felt.potential, "right")
    inner = collector - cell.plate.potential + diffusion - internal * (passing + membrane) - drop
    if internal is not cell.current:
        cell.model.algebraic[internal] = internal - cell.current - cell.short * inner
    leaving = cell.regions[FELT].thickness * pybamm.div(cell.ionic)
    reacting = internal * cell.plate.potential + cell.mean(leaving * cell.felt.potential)
    # what the terminals and the reactions do not take; first law
    cell.ohmic_heat = -internal * inner - reacting
    cell.inner_voltage = inner
    cell.resistance = passing + membrane
    cell.contact = n("Contact resistance [Ohm.m2]")
    cell.diffusion_potential = diffusion
    cell.conductivity = 1 / cell.mean(ohmic[GAP])
    cell.voltage = inner - cell.current * cell.contact


def _add_profiles(cell: FieldAssembly, whole: Layers, ionic: pybamm.Symbol) -> None:
    """Variables over the cell's thickness; `ionic` is not zero at the plate."""
    e, variables = cell.electrolyte, cell.model.variables
    variables["x [m]"] = pybamm.SpatialVariable("x", domain=cell.domain, coord_sys="cartesian")
    for component in e.components:
        totals = {name: part.totals[component] for name, part in cell.parts.items()}
        variables[f"{e.word(component).capitalize()} concentration [mol.m-3]"] = cell.over(totals)
    for word, attribute in (
        (f"Free {e.halide}", "halide"),
        (f"Free {e.halogen}", "halogen"),
        (f"Aqueous {e.halogen}", "dissolved"),
        (f"Solid {e.halogen}", "solid"),
    ):
        found = {name: getattr(part.species, attribute) for name, part in cell.parts.items()}
        variables[f"{word} concentration [mol.m-3]"] = cell.over(found)
    variables["pH"] = cell.over({name: part.ph for name, part in cell.parts.items()})
    variables["Electrolyte current density [A.m-2]"] = whole.on_faces(ionic)
    variables["Electrolyte potential [V]"] = whole.potential(ionic)
    felt = cell.felt
    reaction = (felt.metal_current + felt.halogen_current) / cell.regions[FELT].thickness
    variables["Positive electrode volumetric interfacial current density [A.m-3]"] = reaction
    variables["Positive electrode potential difference [V]"] = felt.potential
    variables["Positive electrode halogen overpotential [V]"] = (
        felt.potential - felt.halogen_potential
    )


def _add_margin(cell: FieldAssembly, internal: pybamm.Symbol) -> None:
    """How far the plate is from being starved of metal ions."""
    mean = cell.mean(cell.parts[GAP].totals[METAL_ION])
    near = cell.negative.totals[METAL_ION] / mean
    e, n = cell.electrolyte, cell.numbers
    reaching = transport.halogen_diffusivity(n, e, cell.negative.species) / _half_volume(cell)
    arriving = 2 * FARADAY * reaching * cell.negative.species.dissolved
    cell.margin = near * (1 + cell.plate.metal_current / cell.plate.limit)
    cell.reserve = near * (1 + (internal + arriving) / cell.plate.limit) - _STARVED


def _close_electrodes(cell: FieldAssembly, internal: pybamm.Symbol) -> None:
    """The partial currents add up to the cell's at the plate, and to what leaves the pores.

    Where an electrode's main couple reacts, that sum stands in for its own current, so that charge
    and redox state are conserved whatever a solver leaves of the algebraic equations.
    """
    plate, felt = cell.plate, cell.felt
    others = sum((r.current for r in cell.plate_reactions), pybamm.Scalar(0))
    leaving = cell.regions[FELT].thickness * pybamm.div(cell.ionic)
    plated = plate.metal_current + plate.halogen_current + others
    felted = felt.metal_current + felt.halogen_current
    cell.model.algebraic[plate.potential] = apart(plated, internal)
    cell.model.algebraic[felt.potential] = apart(felted, leaving)
    dissolving = internal - plate.halogen_current - others
    react(cell, plate, cell.negative, dissolving, plate.halogen_current)
    react(cell, felt, cell.positive, felt.metal_current, leaving - felt.metal_current)
