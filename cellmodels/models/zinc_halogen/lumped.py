r"""The lumped model of a zinc-halogen cell: two well-mixed compartments and a film at the plate.

It is to a zinc-halogen cell what the single particle model with electrolyte is to a lithium-ion
cell. All states are amounts in an area of cell [mol.m-2], so that every balance (metal, halogen
atoms, supporting ions, agent, charge) is a linear invariant of the equations, which implicit
integrators keep to rounding errors, whatever the volumes do. With the fluxes :math:`N` from the
negative to the positive compartment, the metal's and the halogen's partial current densities
:math:`j_M` and :math:`j_X` at each electrode (positive for an oxidation) and the current density
:math:`i` (positive on discharge), for the negative compartment

.. math::
    \dot n_{M} = -\frac{j_M}{2F}, \quad \dot n_{M^{2+}} = \frac{j_M}{2F} - N_{M^{2+}}, \quad
    \dot n_{Y} = -\frac{j_X}{F} - N_Y, \quad \dot n_{B} = \frac{j_X}{2F} - N_B

and the same with :math:`+N` for the positive one; :math:`j_M + j_X + \dots = i` at the negative and
:math:`-i` at the positive electrode. Y is the halide and B the halogen, see `species`. The voltage
is

.. math::
    V = \phi_p - \phi_n + \Delta\phi_{diff} - i\left(\frac{L_{gap} + N_M L_s}{\kappa}
    + R_p + R_m + R_c\right)

with the ionic resistance :math:`R_p` of the positive electrode, see `transport.depth_resistance`.

Sources: porous electrodes and transport: J. Newman, K. E. Thomas-Alyea, Electrochemical systems,
3rd ed., Wiley 2004; models of zinc-bromine cells: T. I. Evans, R. E. White, J. Electrochem. Soc.
134 (1987) 2725, doi:10.1149/1.2100277. Closures chosen for this model say so where they are made.
"""

from __future__ import annotations

import pybamm

from cellmodels.models.zinc_halogen import double_layer, fused_salt, transport
from cellmodels.models.zinc_halogen.assembly import SIDES, Assembly
from cellmodels.models.zinc_halogen.base import ZincHalogenModel
from cellmodels.models.zinc_halogen.compartments import (
    SCALE,
    compartment,
    initial_concentrations,
)
from cellmodels.models.zinc_halogen.electrodes import apart, electrode, react
from cellmodels.models.zinc_halogen.numbers import FARADAY, Numbers
from cellmodels.models.zinc_halogen.species import ELEMENT, METAL_ION, Electrolyte

#: Share of the limiting current at which plating counts as starved.
_STARVED = 0.99


class Lumped(ZincHalogenModel[Assembly]):
    """A zinc-halogen cell of two well-mixed compartments, see the module.

    Parameters
    ----------
    electrolyte, mechanisms, name
        As for `base.ZincHalogenModel`.
    """

    def _assembly(self, electrolyte: Electrolyte) -> Assembly:
        return Assembly(self, electrolyte)

    def _lay_out(self, cell: Assembly) -> pybamm.Symbol:
        _add_compartments(cell)
        _add_electrodes(cell)
        internal = _add_circuit(cell)
        _add_fluxes(cell, internal)
        _add_margin(cell, internal)
        return internal

    def _close_electrodes(self, cell: Assembly, internal: pybamm.Symbol) -> None:
        _close_electrodes(cell, internal)


# --- the electrolyte -----------------------------------------------------------------------------


def heights(n: Numbers) -> dict[str, pybamm.Symbol]:
    """Electrolyte of either side, per area of cell, at the start [m]."""
    shared = n("Separator porosity") * n("Separator thickness [m]") / 2
    felt = n("Positive electrode porosity") * n("Positive electrode thickness [m]")
    return {
        "negative": n("Negative compartment electrolyte height [m]") + shared,
        "positive": felt + n("Positive reservoir electrolyte height [m]") + shared,
    }


def _add_compartments(cell: Assembly) -> None:
    """Amounts, concentrations and local equilibria on both sides."""
    e, n = cell.electrolyte, cell.numbers
    height0 = heights(n)
    filled = {side: height + cell.tank_volumes.get(side, 0) for side, height in height0.items()}
    initial = initial_concentrations(e, n, sum(filled.values()), filled["positive"])
    cell.recipe = initial
    for side in SIDES:
        place = f"{side} compartment"
        # a compartment that a tank feeds stays full
        height = height0[side] if cell.tank_volumes else height0[side] - cell.water_lost[side]
        start, recipe = height0[side], initial[side]
        if cell.fused_salt and side == "positive":
            salt, start, recipe = fused_salt.declare(cell, place, start, recipe)
            height = height - salt.volume
        amounts = {
            c: cell.state(
                f"{place.capitalize()} {e.word(c)} [mol.m-2]",
                recipe[c] * start,
                SCALE.get(c, 1.0),
                e.conserved(c),
            )
            for c in e.components
        }
        found = compartment(cell, side, place, amounts, height, (start, recipe))
        setattr(cell, side, found)
        cell.parts[place] = cell.reported[side] = found


# --- the electrodes ------------------------------------------------------------------------------


def _add_electrodes(cell: Assembly) -> None:
    """Potentials and partial currents of both electrodes."""
    e, n = cell.electrolyte, cell.numbers
    start = n(f"Initial {e.metal} areal amount [mol.m-2]") + n("Initial state of charge") * n(
        f"Maximum {e.metal} areal capacity [mol.m-2]"
    )
    plated = cell.state(f"{e.metal.capitalize()} areal amount [mol.m-2]", start, holds=ELEMENT)
    stray = cell.state(f"{e.metal.capitalize()} on the positive electrode [mol.m-2]", holds=ELEMENT)
    side = cell.negative
    film = transport.plating_limit(n, e, side.solutes, side.species.ratios)
    wall = n("Positive electrode mass-transfer coefficient [m.s-1]")
    attack = n(f"{e.metal.capitalize()} chemical attack velocity [m.s-1]")
    pore = 2 * FARADAY * wall * cell.felt_area * cell.positive.totals[METAL_ION]
    cell.plate = electrode(cell, cell.negative, plated, pybamm.Scalar(1), attack, film)
    cell.felt = electrode(cell, cell.positive, stray, cell.felt_area, wall, pore)


def _add_circuit(cell: Assembly) -> pybamm.Symbol:
    """Voltage, and the current density through the electrolyte [A.m-2]."""
    n = cell.numbers
    solutes = cell.electrolyte.solutes
    path = n("Separator MacMullin number") * cell.separator_factor * n("Separator thickness [m]")
    cell.permeabilities = {s.key: transport.permeability(n, s, path) for s in solutes}
    drop = cell.unknown("Potential drop in the separator by RT/F", 0.0)
    sides = (cell.negative.solutes, cell.positive.solutes)
    moving = transport.migrating(solutes, *sides, drop)
    resting = transport.separator_drop(solutes, cell.permeabilities, *sides, moving, 0)
    gammas = cell.plate.formal.log_gamma - cell.felt.formal.log_gamma
    carried = transport.carried_activity(solutes, cell.permeabilities, moving)
    diffusion = (carried * gammas - resting) / n.f
    mean = (cell.negative.totals[METAL_ION] + cell.positive.totals[METAL_ION]) / 2
    conductivity = n.law(
        "Electrolyte conductivity [S.m-1]", **{"c [mol.m-3]": mean, "T [K]": n.temperature}
    )
    gap = n("Negative gap thickness [m]")
    membrane = n("Membrane area resistance [Ohm.m2]") * cell.separator_factor
    resistance = (gap + path) / conductivity + membrane + _felt_resistance(cell, conductivity)
    contact = n("Contact resistance [Ohm.m2]")
    open_circuit = cell.felt.potential - cell.plate.potential + diffusion
    inner = (open_circuit - cell.current * resistance) / (1 + cell.short * resistance)
    internal = cell.current + cell.short * inner
    cell.inner_voltage = inner
    cell.resistance, cell.contact = resistance, contact
    cell.diffusion_potential, cell.conductivity = diffusion, conductivity
    cell.ohmic_heat = internal**2 * resistance - internal * diffusion
    cell.voltage = inner - cell.current * contact
    return internal


def _felt_resistance(cell: Assembly, conductivity: pybamm.Symbol) -> pybamm.Symbol:
    """Ionic resistance of the positive electrode [Ohm.m2], see `transport.depth_resistance`."""
    n = cell.numbers
    thickness = n("Positive electrode thickness [m]")
    porosity = n("Positive electrode porosity")
    salt = cell.salts.get(cell.positive.place)
    if salt is None:
        conducting = conductivity * porosity**1.5
    else:
        filled = porosity * salt.volume / (salt.volume + cell.positive.height)
        conducting = conductivity * (porosity - filled) ** 1.5 + fused_salt.conduction(n, filled)
    path = thickness / conducting
    used = pybamm.maximum(-cell.felt.halogen_current / cell.felt.halogen_limit, 0)
    return transport.depth_resistance(path, cell.felt.halogen_slope, used)


def _add_fluxes(cell: Assembly, internal: pybamm.Symbol) -> None:
    """What crosses the separator, as rates of the amounts."""
    e = cell.electrolyte
    unknown = cell.model.variables["Potential drop in the separator by RT/F"]
    sides = (cell.negative.solutes, cell.positive.solutes)
    moving = transport.migrating(e.solutes, *sides, unknown)
    fluxes = transport.separator_fluxes(e.solutes, cell.permeabilities, *sides, moving, internal)
    cell.model.algebraic[unknown] = unknown - fluxes.drive
    for component in e.components:
        crossing = fluxes.of(component)
        cell.add(cell.negative.amounts[component], -crossing)
        cell.add(cell.positive.amounts[component], crossing)


def _add_margin(cell: Assembly, internal: pybamm.Symbol) -> None:
    """How far the plate is from being starved of metal ions.

    The halogen that arrives at the plate is reduced there and takes a share of the current.
    """
    attack = cell.numbers(f"{cell.title('metal')} chemical attack velocity [m.s-1]")
    arriving = 2 * FARADAY * attack * cell.negative.species.dissolved
    cell.margin = 1 + cell.plate.metal_current / cell.plate.limit
    cell.reserve = _STARVED + (internal + arriving) / cell.plate.limit


def _close_electrodes(cell: Assembly, internal: pybamm.Symbol) -> None:
    """The partial currents of an electrode add up to the cell's current.

    Where an electrode's main couple reacts, that sum stands in for its own current, so that charge
    and redox state are conserved whatever a solver leaves of the algebraic equations. What is
    missing in the sum charges the double layer, where there is one.
    """
    plate, felt = cell.plate, cell.felt
    others = sum((r.current for r in cell.plate_reactions), pybamm.Scalar(0))
    dissolving = internal - plate.halogen_current - others
    forming = -internal - felt.metal_current
    if cell.double_layers:
        double_layer.charge(cell, "negative", dissolving - plate.metal_current)
        double_layer.charge(cell, "positive", forming - felt.halogen_current)
        dissolving, forming = plate.metal_current, felt.halogen_current
    else:
        plated = plate.metal_current + plate.halogen_current + others
        felted = felt.metal_current + felt.halogen_current
        cell.model.algebraic[plate.potential] = apart(plated, internal)
        cell.model.algebraic[felt.potential] = apart(felted, -internal)
    react(cell, plate, cell.negative, dissolving, plate.halogen_current)
    react(cell, felt, cell.positive, felt.metal_current, forming)
