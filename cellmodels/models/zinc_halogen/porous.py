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
which is the boundary condition to second order (where activity coefficients are constant);
kinetics, thermodynamics, speciation and mechanisms are those of the lumped model. The voltage is
the potential at the collector less that of the plate,

.. math::
    V = E(L) - E_{plate} + \phi_e(L) - \phi_e(0) - i\,(R_m + R_c)

Sources: J. Newman, W. Tiedemann, AIChE J. 21 (1975) 25, doi:10.1002/aic.690210103 (porous
electrodes); J. Newman, K. E. Thomas-Alyea, Electrochemical systems, 3rd ed., Wiley 2004, ch. 22;
porous electrodes in zinc-bromine cells: M. J. Mader, R. E. White, J. Electrochem. Soc. 133 (1986)
1297.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pybamm

from cellmodels.models.zinc_halogen import double_layer, fused_salt
from cellmodels.models.zinc_halogen.base import ZincHalogenModel
from cellmodels.models.zinc_halogen.compartments import (
    SCALE,
    compartment,
    initial_concentrations,
)
from cellmodels.models.zinc_halogen.electrodes import apart, electrode, react
from cellmodels.models.zinc_halogen.fields import FieldAssembly, Region
from cellmodels.models.zinc_halogen.negatives import Felt, NegativeElectrode, Plate
from cellmodels.models.zinc_halogen.numbers import FARADAY
from cellmodels.models.zinc_halogen.species import ELEMENT, METAL_ION, Electrolyte
from cellmodels.models.zinc_halogen.through_plane import (
    NEGATIVE,
    POSITIVE,
    SEPARATOR,
    Layers,
    resistivity,
)


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
        self._negative = Felt() if cell.negative_felt else Plate()
        self._negative.declare(cell)
        self._geometry = _add_regions(cell, self._negative)
        _add_electrolyte(cell, self._negative)
        _add_electrodes(cell, self._negative)
        internal = _internal_current(cell)
        _add_transport(cell, self._negative, internal)
        cell.margin, cell.reserve = self._negative.margins(cell, internal)
        self._negative.limits(cell)
        return internal

    def _close_electrodes(self, cell: FieldAssembly, internal: pybamm.Symbol) -> None:
        _close_electrodes(cell, self._negative, internal)

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


def _add_regions(cell: FieldAssembly, negative: NegativeElectrode) -> dict[str, dict]:
    """Lay out the layers.

    Returns
    -------
    dict
        Their geometry, as PyBaMM reads it.
    """
    n = cell.numbers
    porosity = n("Positive electrode porosity")
    hindered = 1 / (n("Separator MacMullin number") * cell.separator_factor)
    layers = {
        NEGATIVE: ("x_n", *negative.layer(cell, negative.metal)),
        SEPARATOR: ("x_s", n("Separator thickness [m]"), n("Separator porosity"), hindered),
        POSITIVE: ("x_p", n("Positive electrode thickness [m]"), porosity, porosity**1.5),
    }
    geometry, end = {}, pybamm.Scalar(0)
    for name, (x, thickness, share, obstruction) in layers.items():
        variable = pybamm.SpatialVariable(x, domain=[name], coord_sys="cartesian")
        cell.regions[name] = Region(name, variable, thickness, share, obstruction)
        geometry[name] = {variable: {"min": end, "max": end + thickness}}
        end = end + thickness
    return geometry


def _add_electrolyte(cell: FieldAssembly, negative: NegativeElectrode) -> None:
    """Amounts, concentrations and local equilibria of all layers."""
    e, n = cell.electrolyte, cell.numbers
    heights = {name: r.porosity * r.thickness for name, r in cell.regions.items()}
    thickness, porosity, _ = negative.layer(cell, negative.start(cell))
    heights0 = {**heights, NEGATIVE: porosity * thickness}
    filled = sum(heights0.values()) + sum(cell.tank_volumes.values())
    sides = initial_concentrations(
        e, n, filled, heights0[POSITIVE] + cell.tank_volumes.get("positive", 0)
    )
    cell.recipe = sides
    side_of = {NEGATIVE: "negative", SEPARATOR: "negative", POSITIVE: "positive"}
    starts: dict[str, tuple[pybamm.Symbol, Mapping[str, pybamm.Symbol]]]
    starts = {name: (heights0[name], sides[side]) for name, side in side_of.items()}
    if cell.fused_salt:
        starts[POSITIVE] = _add_salt(cell, *starts[POSITIVE])
        heights[POSITIVE] = heights[POSITIVE] - cell.salts[POSITIVE].volume
    amounts: dict[str, dict[str, pybamm.Variable]] = {name: {} for name in cell.regions}
    for c in e.components:
        initial = {name: height * recipe[c] for name, (height, recipe) in starts.items()}
        for name, state in cell.component(c, initial, SCALE.get(c, 1.0), e.conserved(c)).items():
            amounts[name][c] = state
    # layers that a tank feeds stay full
    drying = {} if cell.tank_volumes else {NEGATIVE: "negative", POSITIVE: "positive"}
    lost = {name: cell.water_lost[side] for name, side in drying.items()}
    for name, side in side_of.items():
        height = heights[name] - lost.get(name, 0)
        cell.parts[name] = compartment(cell, side, name, amounts[name], height, starts[name])
    cell.positive = cell.reported["positive"] = cell.parts[POSITIVE]
    cell.reported["negative"] = cell.parts[NEGATIVE]
    cell.negative = negative.electrolyte(cell.parts[NEGATIVE])


def _add_salt(
    cell: FieldAssembly, height: pybamm.Symbol, recipe: Mapping[str, pybamm.Symbol]
) -> tuple[pybamm.Symbol, Mapping[str, pybamm.Symbol]]:
    """The fused salt in the pores of the positive electrode, which narrows them.

    Returns
    -------
    pybamm.Symbol, mapping of str to pybamm.Symbol
        Height [m] and concentrations [mol.m-3] of the aqueous electrolyte at the start.
    """
    salt, left, dissolved = fused_salt.declare(cell, POSITIVE, height, recipe, [POSITIVE])
    felt = cell.regions[POSITIVE]
    open_pores = felt.porosity - salt.volume / felt.thickness
    cell.regions[POSITIVE] = replace(felt, obstruction=open_pores**1.5)
    return left, dissolved


# --- the electrodes ------------------------------------------------------------------------------


def _add_electrodes(cell: FieldAssembly, negative: NegativeElectrode) -> None:
    """Potentials and partial currents of both electrodes."""
    n, metal = cell.numbers, cell.title("metal")
    name = f"{metal} on the positive electrode [mol.m-2]"
    stray = cell.state(name, holds=ELEMENT, domain=[POSITIVE])
    wall = n("Positive electrode mass-transfer coefficient [m.s-1]")
    pore = 2 * FARADAY * wall * cell.felt_area * cell.positive.totals[METAL_ION]
    cell.plate = negative.electrode(cell)
    cell.felt = electrode(cell, cell.positive, stray, cell.felt_area, wall, pore)


def _internal_current(cell: FieldAssembly) -> pybamm.Symbol:
    """Current density through the electrolyte: an unknown where a short circuit takes a share."""
    if cell.short.is_constant():
        return cell.current
    return cell.unknown("Internal current density [A.m-2]", 0.0)


def _add_transport(
    cell: FieldAssembly, negative: NegativeElectrode, internal: pybamm.Symbol
) -> None:
    """Currents and fluxes on all faces, and the voltage."""
    whole = Layers(cell, list(cell.regions))
    solid = negative.electronic(cell, whole, internal) + _in_felt(cell, whole, internal)
    fluxes = whole.fluxes(internal * whole.after_start() * whole.before_end() - solid)
    for component in cell.electrolyte.components:
        cell.flow(component, fluxes.of(component))
    inside = Layers(cell, [POSITIVE])
    cell.ionic = internal * inside.before_end() - _in_felt(cell, inside, internal)
    _add_voltage(cell, negative, internal, whole, inside)
    entering = whole.after_start() if cell.negative_felt else 1
    _add_profiles(cell, whole, internal * entering * whole.before_end() - solid)


def _in_felt(cell: FieldAssembly, layers: Layers, internal: pybamm.Symbol) -> pybamm.Symbol:
    """Current density in the carbon of the positive electrode, on its inner faces [A.m-2]."""
    carbon = cell.numbers("Positive electrode conductivity [S.m-1]")
    return layers.electronic(POSITIVE, cell.felt.potential, internal, carbon)


def _add_voltage(
    cell: FieldAssembly,
    negative: NegativeElectrode,
    internal: pybamm.Symbol,
    whole: Layers,
    inside: Layers,
) -> None:
    """Voltage, and what it loses in the electrolyte."""
    n = cell.numbers
    diffusion = -cell.integral(whole.on_faces(whole.diffusion))
    membrane = n("Membrane area resistance [Ohm.m2]") * cell.separator_factor
    passing = membrane + cell.regions[SEPARATOR].total(resistivity(cell, SEPARATOR))
    drop = cell.regions[POSITIVE].total(inside.on_faces(cell.ionic * inside.ohmic))
    collector = pybamm.boundary_value(cell.felt.potential, "right")
    start = negative.level(cell, internal)
    inner = collector - drop + diffusion - internal * passing - start
    if internal is not cell.current:
        cell.model.algebraic[internal] = internal - cell.current - cell.short * inner
    leaving = cell.regions[POSITIVE].thickness * pybamm.div(cell.ionic)
    reacting = negative.leaving(cell, internal) * cell.plate.potential
    reacting = cell.mean(reacting) + cell.mean(leaving * cell.felt.potential)
    # what the terminals and the reactions do not take: first law
    cell.ohmic_heat = -internal * inner - reacting
    cell.inner_voltage = inner
    cell.resistance = passing + negative.resistance(cell)
    cell.contact = n("Contact resistance [Ohm.m2]")
    cell.diffusion_potential = diffusion
    cell.conductivity = 1 / cell.mean(
        resistivity(cell, SEPARATOR) * cell.regions[SEPARATOR].obstruction
    )
    cell.voltage = inner - cell.current * cell.contact


def _add_profiles(cell: FieldAssembly, whole: Layers, ionic: pybamm.Symbol) -> None:
    """Variables over the thickness; `ionic` is the current at a plate, zero at a felt's end."""
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
    reaction = (felt.metal_current + felt.halogen_current) / cell.regions[POSITIVE].thickness
    variables["Positive electrode volumetric interfacial current density [A.m-3]"] = reaction
    variables["Positive electrode potential difference [V]"] = felt.potential
    variables["Positive electrode halogen overpotential [V]"] = (
        felt.potential - felt.halogen_potential
    )


def _close_electrodes(
    cell: FieldAssembly, negative: NegativeElectrode, internal: pybamm.Symbol
) -> None:
    """The partial currents add up to what leaves the plate or the pores.

    Where an electrode's main couple reacts, that sum stands in for its own current, so that charge
    and redox state are conserved whatever a solver leaves of the algebraic equations. What is
    missing in the sum charges the double layer, where there is one.
    """
    plate, felt = cell.plate, cell.felt
    others = sum((r.current for r in cell.plate_reactions), pybamm.Scalar(0))
    from_plate = negative.leaving(cell, internal)
    from_felt = cell.regions[POSITIVE].thickness * pybamm.div(cell.ionic)
    plated = plate.metal_current + plate.halogen_current + others
    felted = felt.metal_current + felt.halogen_current
    dissolving = from_plate - plate.halogen_current - others
    forming = from_felt - felt.metal_current
    if cell.double_layers:
        double_layer.charge(cell, "negative", dissolving - plate.metal_current)
        double_layer.charge(cell, "positive", forming - felt.halogen_current)
        dissolving, forming = plate.metal_current, felt.halogen_current
    else:
        cell.model.algebraic[plate.potential] = apart(plated, from_plate)
        cell.model.algebraic[felt.potential] = apart(felted, from_felt)
    react(cell, plate, cell.negative, dissolving, plate.halogen_current)
    react(cell, felt, cell.positive, felt.metal_current, forming)
