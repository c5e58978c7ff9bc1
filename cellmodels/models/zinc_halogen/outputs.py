"""What a zinc-halogen model reports, and the limits at which it ends."""

from __future__ import annotations

import pybamm

from cellmodels.models.zinc_halogen import thermal
from cellmodels.models.zinc_halogen.assembly import SIDES, Assembly, Compartment
from cellmodels.models.zinc_halogen.balances import total
from cellmodels.models.zinc_halogen.numbers import FARADAY
from cellmodels.models.zinc_halogen.species import HALIDE, HALOGEN, METAL_ION

#: Share of the limiting current at which plating counts as starved.
_STARVED = 0.99
#: Voltage below which a cell counts as reversed: further than a short circuit takes it [V].
_REVERSED = -0.1
#: Halide below which the charge has nothing left to oxidise [mol.m-3].
_EXHAUSTED = 1.0


def add_variables(cell: Assembly, internal: pybamm.Symbol) -> None:
    """Add the variables that are not states; the rates of all states are known."""
    model, n = cell.model, cell.numbers
    current = model.variables["Current [A]"]
    voltage = cell.voltage
    model.variables.update(
        {
            "Voltage [V]": voltage,
            "Battery voltage [V]": voltage,
            "Power [W]": current * voltage,
            "Current density [A.m-2]": cell.current,
            "Internal current density [A.m-2]": internal,
            "C-rate": current / n("Nominal cell capacity [A.h]"),
            "Cell temperature [K]": n.temperature,
            "Volume-averaged cell temperature [K]": n.temperature,
            "Open-circuit voltage [V]": open_circuit_voltage(cell),
            "Diffusion potential [V]": cell.diffusion_potential,
            "Ohmic area resistance [Ohm.m2]": cell.resistance + cell.contact,
            "Electrolyte conductivity [S.m-1]": cell.conductivity,
            "Heat generation [W.m-2]": thermal.heat_generation(cell, internal),
        }
    )
    _add_compartments(cell)
    _add_electrodes(cell)
    _add_charge(cell)
    _add_losses(cell)
    for name, balance in model.balances.items():
        model.variables[name] = total(cell, balance)


def open_circuit_voltage(cell: Assembly) -> pybamm.Symbol:
    """Difference of the couples' equilibrium potentials in the electrolyte as it is [V]."""
    return cell.felt.halogen_potential - cell.plate.metal_potential + cell.diffusion_potential


def _add_compartments(cell: Assembly) -> None:
    e, variables = cell.electrolyte, cell.model.variables
    for side in (cell.negative, cell.positive):
        word = f"{side.side.capitalize()} compartment"
        for component in e.components:
            variables[f"{word} {e.word(component)} concentration [mol.m-3]"] = side.totals[
                component
            ]
        variables[f"{word} free {e.halide} concentration [mol.m-3]"] = side.species.halide
        variables[f"{word} free {e.halogen} concentration [mol.m-3]"] = side.species.halogen
        variables[f"{word} aqueous {e.halogen} concentration [mol.m-3]"] = side.species.dissolved
        variables[f"{word} solid {e.halogen} concentration [mol.m-3]"] = side.species.solid
        for name, bound in side.species.bound.items():
            variables[f"{word} {e.halogen} on {name} concentration [mol.m-3]"] = bound
        variables[f"{word} electrolyte height [m]"] = side.height
        variables[f"{word} charge density [mol.m-3]"] = _charge(cell, side)


def _charge(cell: Assembly, side: Compartment) -> pybamm.Symbol:
    """Charge of all ions [mol.m-3]: zero."""
    e = cell.electrolyte
    return sum(e.charge(c) * side.totals[c] for c in e.components)


def _add_electrodes(cell: Assembly) -> None:
    e, variables = cell.electrolyte, cell.model.variables
    metal, halogen = cell.title("metal"), cell.title("halogen")
    for electrode, side in ((cell.plate, "negative"), (cell.felt, "positive")):
        word = f"{side.capitalize()} electrode"
        variables[f"{word} {e.metal} current density [A.m-2]"] = electrode.metal_current
        variables[f"{word} {e.halogen} current density [A.m-2]"] = electrode.halogen_current
        variables[f"{word} {e.metal} equilibrium potential [V]"] = electrode.metal_potential
        variables[f"{word} {e.halogen} equilibrium potential [V]"] = electrode.halogen_potential
    plate, felt = cell.plate, cell.felt
    variables[f"{metal} overpotential [V]"] = plate.potential - plate.metal_potential
    variables[f"{halogen} overpotential [V]"] = felt.potential - felt.halogen_potential
    variables["Limiting plating current density [A.m-2]"] = plate.limit
    variables["Plate concentration margin"] = _plate_margin(cell)


def _plate_margin(cell: Assembly) -> pybamm.Symbol:
    """Metal ion at the plate over that in the compartment: 1 + j/j_L, zero where it starves.

    The halogen that arrives at the plate is reduced there and takes a share of the current.
    """
    return 1 + cell.plate.metal_current / cell.plate.limit


def _add_charge(cell: Assembly) -> None:
    """States of charge, utilisation and the balance of the two electrodes' inventories."""
    n, e, variables = cell.numbers, cell.electrolyte, cell.model.variables
    metal, halogen, halide = (cell.title(word) for word in ("metal", "halogen", "halide"))
    most = n(f"Maximum {e.metal} areal capacity [mol.m-2]")
    held = cell.positive.amounts[HALOGEN]
    start = cell.model.initial_conditions
    total = sum(getattr(cell, s).amounts[HALIDE] for s in SIDES)
    total0 = sum(start[getattr(cell, s).amounts[HALIDE]] for s in SIDES)
    halogens = sum(getattr(cell, s).amounts[HALOGEN] for s in SIDES)
    halogens0 = sum(start[getattr(cell, s).amounts[HALOGEN]] for s in SIDES)
    variables[f"{metal} state of charge"] = cell.plate.metal / most
    variables[f"{halogen} state of charge"] = held / most
    variables[f"{metal} areal capacity [A.h.m-2]"] = 2 * FARADAY * cell.plate.metal / 3600
    variables[f"{halide} utilisation"] = 1 - total / (total0 + 2 * halogens0)
    metals = cell.plate.metal + cell.felt.metal
    metals0 = start[cell.plate.metal] + start[cell.felt.metal]
    variables["Inventory imbalance [mol.m-2]"] = (halogens - halogens0) - (metals - metals0)


def _add_losses(cell: Assembly) -> None:
    n, variables = cell.numbers, cell.model.variables
    loss = self_discharge(cell)
    ocv = variables["Open-circuit voltage [V]"]
    stored = 2 * FARADAY * cell.plate.metal * ocv / 3600
    tiny = 2 * FARADAY * n(f"Residual {cell.electrolyte.metal} threshold [mol.m-2]") / 3600
    variables["Self-discharge current density [A.m-2]"] = loss
    variables["Standby power [W.m-2]"] = loss * ocv
    variables["Standby power per stored energy [h-1]"] = loss * ocv / (stored + tiny)


def self_discharge(cell: Assembly) -> pybamm.Symbol:
    """Charge of the halogen that is lost without passing the terminals, per time and area [A.m-2].

    At the plate, on dead zinc, on carbon, as vapour and by reaction, and through a short circuit.
    Hydrogen is a loss of the metal alone, and has a variable of its own.
    """
    short = cell.short * cell.inner_voltage
    return cell.halogen_losses - cell.plate.halogen_current + short


def add_events(cell: Assembly, internal: pybamm.Symbol) -> None:
    """Add the limits of the model. Experiments relax those of the voltage by a volt."""
    n = cell.numbers
    metal, halide = cell.title("metal"), cell.title("halide")
    arriving = 2 * FARADAY * n(f"{metal} chemical attack velocity [m.s-1]")
    arriving = arriving * cell.negative.species.dissolved
    cell.event(
        f"{metal} depletion at the plate", _STARVED + (internal + arriving) / cell.plate.limit
    )
    cell.event(f"{halide} exhausted", cell.positive.species.halide / _EXHAUSTED - 1)
    cell.event(
        f"{metal} ion exhausted",
        cell.negative.totals[METAL_ION] / _EXHAUSTED - 1,
    )
    _add_reversal(cell)
    t = n.temperature
    cell.event("Electrolyte freezes", t - n("Electrolyte freezing temperature [K]"))
    cell.event("Electrolyte boils", n("Electrolyte boiling temperature [K]") - t)
    cell.event("Electrolyte too alkaline", n("Maximum pH") - cell.negative.ph)
    cell.event("Minimum voltage [V]", cell.voltage - n("Lower voltage cut-off [V]"))
    cell.event("Maximum voltage [V]", n("Upper voltage cut-off [V]") - cell.voltage)


def _add_reversal(cell: Assembly) -> None:
    """A discharge that goes on beyond a short circuit, named by what has run out.

    The plate is then at the halogen's potential, or the positive electrode at the metal's.
    """
    beyond = cell.voltage - _REVERSED
    middle = (cell.plate.metal_potential + cell.felt.halogen_potential) / 2
    for word, margin in (
        ("metal", middle - cell.plate.potential),
        ("halogen", cell.felt.potential - middle),
    ):
        cell.event(f"{cell.title(word)} exhausted", pybamm.maximum(beyond, margin))
