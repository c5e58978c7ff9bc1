"""Electrodes: both couples at a mixed potential, and what their currents make."""

from __future__ import annotations

import pybamm

from cellmodels.models.zinc_halogen import double_layer, kinetics, transport
from cellmodels.models.zinc_halogen.assembly import Assembly, Compartment, Electrode
from cellmodels.models.zinc_halogen.numbers import FARADAY
from cellmodels.models.zinc_halogen.speciation import TRACE_ION, positive
from cellmodels.models.zinc_halogen.species import HALIDE, HALOGEN, METAL_ION
from cellmodels.models.zinc_halogen.thermodynamics import (
    formal_potentials,
    halogen_nernst,
    metal_nernst,
)

#: Scale of the current balances [A.m-2].
_CURRENT = 100.0


def electrode(
    cell: Assembly,
    side: Compartment,
    metal: pybamm.Variable,
    area: pybamm.Symbol,
    transfer: pybamm.Symbol,
    plating: pybamm.Symbol,
    film: pybamm.Symbol | None = None,
) -> Electrode:
    """An electrode with the currents of both couples.

    Parameters
    ----------
    cell
        Receives the unknown potential, or the state of the double layer.
    side
        The electrolyte that it stands in.
    metal
        State of the metal on it [mol.m-2 of cell].
    area
        That reacts, per area of cell [-].
    transfer
        Mass-transfer coefficient of dissolved halogen to it [m.s-1].
    plating
        Limiting current density of plating [A.m-2 of cell].
    film
        Mass-transfer coefficient of dissolved halogen to where `transfer` is that of [m.s-1]; by
        default there is nothing in between.

    Returns
    -------
    Electrode
    """
    e, n = cell.electrolyte, cell.numbers
    ion = positive(side.solutes[transport.metal_ion(e).key], TRACE_ION)
    formal = formal_potentials(e, n, cell.activity, ion)
    metal_potential = formal.metal + metal_nernst(n, ion)
    halogen_potential = formal.halogen + halogen_nernst(
        n, side.species.halide, side.species.log_halogen
    )
    potential = _potential(cell, side, metal, area)
    metal_current = area * kinetics.metal_current(
        n, e.metal, potential - formal.metal, ion, metal / area, plating / area
    )
    dissolved = 2 * FARADAY * area * side.species.dissolved
    halogen_limit = transfer * dissolved
    halogen_current = kinetics.halogen_current(
        n,
        e.halogen,
        cell.halogen_law,
        potential - formal.halogen,
        side.species.halide,
        side.species.halogen,
        area,
        halogen_limit,
        None if film is None else film * dissolved,
    )
    slope = kinetics.halogen_slope(
        n, e.halogen, cell.halogen_law, side.species.halide, side.species.halogen, area
    )
    return Electrode(
        potential,
        area,
        metal,
        metal_current,
        halogen_current,
        metal_potential,
        halogen_potential,
        formal,
        plating,
        halogen_limit if film is None else halogen_limit / (1 + transfer / film),
        slope,
    )


def _potential(
    cell: Assembly, side: Compartment, metal: pybamm.Variable, area: pybamm.Symbol
) -> pybamm.Symbol:
    """That of the electrode's double layer, or an unknown at which its currents add up."""
    if cell.double_layer_start is not None:
        return double_layer.add(cell, side.side, area, metal.domain)
    couple = cell.title("metal" if side.side == "negative" else "halogen")
    name = f"{side.side.capitalize()} electrode potential [V]"
    return cell.unknown(name, cell.numbers(f"{couple} standard potential [V]"), metal.domain)


def apart(one: pybamm.Symbol, other: pybamm.Symbol) -> pybamm.Symbol:
    """A measure of how far apart two current densities are.

    Exponential rate laws are nearly linear on this scale, so that Newton's method finds a potential
    from far away.
    """
    return pybamm.arcsinh(one / _CURRENT) - pybamm.arcsinh(other / _CURRENT)


def react(
    cell: Assembly,
    electrode: Electrode,
    side: Compartment,
    dissolving: pybamm.Symbol,
    forming: pybamm.Symbol,
) -> None:
    """Currents that dissolve metal and form halogen, as rates of the amounts."""
    dissolved, formed = dissolving / (2 * FARADAY), forming / (2 * FARADAY)
    cell.add(electrode.metal, -dissolved)
    cell.add(side.amounts[METAL_ION], dissolved)
    cell.add(side.amounts[HALIDE], -2 * formed)
    cell.add(side.amounts[HALOGEN], formed)
