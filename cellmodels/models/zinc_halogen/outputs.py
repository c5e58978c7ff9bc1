"""What a zinc-halogen model reports, and the limits at which it ends."""

from __future__ import annotations

import pybamm

from cellmodels.models.zinc_halogen import thermal
from cellmodels.models.zinc_halogen.assembly import Assembly, Body
from cellmodels.models.zinc_halogen.balances import total
from cellmodels.models.zinc_halogen.numbers import FARADAY
from cellmodels.models.zinc_halogen.species import HALIDE, HALOGEN, METAL_ION

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
            "Heat generation [W.m-2]": thermal.heat_generation(cell),
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
    halogen = cell.mean(cell.felt.halogen_potential)
    return halogen - cell.mean(cell.plate.metal_potential) + cell.diffusion_potential


def _add_compartments(cell: Assembly) -> None:
    e, variables = cell.electrolyte, cell.model.variables
    for side, part in cell.reported.items():
        name = side.capitalize()
        _add_body(cell, f"{name} compartment", part)
        variables[f"{name} compartment pH"] = cell.mean(part.ph)
        bodies: list[Body] = [part]
        if side in cell.tanks:
            _add_body(cell, f"{name} tank", cell.tanks[side])
            bodies.append(cell.tanks[side])
        dissolved = [cell.mean(body.height * body.species.dissolved) for body in bodies]
        height = sum(cell.mean(body.height) for body in bodies)
        variables[f"{name} aqueous {e.halogen} concentration [mol.m-3]"] = sum(dissolved) / height


def _add_body(cell: Assembly, word: str, body: Body) -> None:
    """What is where in some electrolyte."""
    e, variables = cell.electrolyte, cell.model.variables
    concentrations = {e.word(c): total for c, total in body.totals.items()}
    concentrations[f"free {e.halide}"] = body.species.halide
    concentrations[f"free {e.halogen}"] = body.species.halogen
    concentrations[f"aqueous {e.halogen}"] = body.species.dissolved
    concentrations[f"solid {e.halogen}"] = body.species.solid
    for site, bound in body.species.bound.items():
        concentrations[f"{e.halogen} on {site}"] = bound
    for what, concentration in concentrations.items():
        variables[f"{word} {what} concentration [mol.m-3]"] = cell.mean(concentration)
    variables[f"{word} electrolyte height [m]"] = cell.mean(body.height)
    variables[f"{word} charge density [mol.m-3]"] = cell.mean(_charge(cell, body))
    for component, amount in body.amounts.items():
        variables[f"{word} {e.word(component)} [mol.m-2]"] = cell.mean(amount)


def _charge(cell: Assembly, body: Body) -> pybamm.Symbol:
    """Charge of all ions [mol.m-3]: zero."""
    e = cell.electrolyte
    return sum(e.charge(c) * body.totals[c] for c in e.components)


def _add_electrodes(cell: Assembly) -> None:
    e, variables = cell.electrolyte, cell.model.variables
    metal, halogen = cell.title("metal"), cell.title("halogen")
    for electrode, side in ((cell.plate, "negative"), (cell.felt, "positive")):
        word = f"{side.capitalize()} electrode"
        for couple in ("metal", "halogen"):
            name = f"{word} {getattr(e, couple)}"
            current = getattr(electrode, f"{couple}_current")
            equilibrium = getattr(electrode, f"{couple}_potential")
            variables[f"{name} current density [A.m-2]"] = cell.mean(current)
            variables[f"{name} equilibrium potential [V]"] = cell.mean(equilibrium)
    plate, felt = cell.plate, cell.felt
    variables[f"{metal} overpotential [V]"] = cell.mean(plate.potential - plate.metal_potential)
    variables[f"{halogen} overpotential [V]"] = cell.mean(felt.potential - felt.halogen_potential)
    variables["Limiting plating current density [A.m-2]"] = cell.mean(plate.limit)
    variables["Plate concentration margin"] = cell.margin


def _add_charge(cell: Assembly) -> None:
    """States of charge, utilisation and the balance of the two electrodes' inventories."""
    n, e, variables = cell.numbers, cell.electrolyte, cell.model.variables
    metal, halogen, halide = (cell.title(word) for word in ("metal", "halogen", "halide"))
    most = n(f"Maximum {e.metal} areal capacity [mol.m-2]")
    held = cell.mean(cell.positive.amounts[HALOGEN])
    if "positive" in cell.tanks:
        held = held + cell.tanks["positive"].amounts[HALOGEN]
    for salt in cell.salts.values():
        held = held + sum(cell.mean(state) for state in salt.states(HALOGEN))
    if cell.salts:
        agents = sum(cell.mean(salt.amount) for salt in cell.salts.values())
        variables["Fused salt areal amount [mol.m-2]"] = agents
    total, total0 = cell.inventory(HALIDE)
    halogens, halogens0 = cell.inventory(HALOGEN)
    plated, plated0 = cell.mean(cell.plate.metal), cell.start(cell.plate.metal)
    variables[f"{metal} areal amount [mol.m-2]"] = plated
    variables[f"{metal} state of charge"] = plated / most
    variables[f"{halogen} state of charge"] = held / most
    variables[f"{halogen} areal amount [mol.m-2]"] = held
    variables[f"{metal} areal capacity [A.h.m-2]"] = 2 * FARADAY * plated / 3600
    variables[f"{halide} utilisation"] = 1 - total / (total0 + 2 * halogens0)
    metals = plated + cell.mean(cell.felt.metal)
    metals0 = plated0 + cell.start(cell.felt.metal)
    variables["Inventory imbalance [mol.m-2]"] = (halogens - halogens0) - (metals - metals0)


def _add_losses(cell: Assembly) -> None:
    n, variables = cell.numbers, cell.model.variables
    loss = self_discharge(cell)
    ocv = variables["Open-circuit voltage [V]"]
    stored = 2 * FARADAY * cell.mean(cell.plate.metal) * ocv / 3600
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
    at_plate = cell.mean(cell.plate.halogen_current)
    return cell.halogen_losses - at_plate + short


def add_events(cell: Assembly) -> None:
    """Add the limits of the model. Experiments relax those of the voltage by a volt."""
    n = cell.numbers
    metal, halide = cell.title("metal"), cell.title("halide")
    cell.event(f"{metal} depletion at the plate", cell.reserve)
    cell.event(f"{halide} exhausted", cell.positive.species.halide / _EXHAUSTED - 1)
    cell.event(
        f"{metal} ion exhausted",
        cell.mean(cell.reported["negative"].totals[METAL_ION]) / _EXHAUSTED - 1,
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
    metal, halogen = cell.mean(cell.plate.metal_potential), cell.mean(cell.felt.halogen_potential)
    middle = (metal + halogen) / 2
    for word, margin in (
        ("metal", middle - cell.mean(cell.plate.potential)),
        ("halogen", cell.mean(cell.felt.potential) - middle),
    ):
        cell.event(f"{cell.title(word)} exhausted", pybamm.maximum(beyond, margin))
