r"""Flow cells: a tank on either side, whose electrolyte is pumped through the compartment.

With the volume :math:`V` of a tank and the flow rate :math:`Q`, both by area of cell [m, m s-1],
each component k of a compartment of height h and of its tank has the balances

.. math::
    h\,\dot c_k = Q\,(c_k^{in} - c_k^{out}) + r_k, \qquad
    V\,\dot c_k^T = Q\,(c_k^{out} - c_k^{in})

with all that happens in the cell in :math:`r_k`. What leaves the compartment is, in a well-mixed
cell, what is in it; in plug flow the composition changes along the cell, and that of the
compartment is the mean of inlet and outlet:

.. math::
    c^{out} = c \quad \text{(well-mixed)}, \qquad c^{out} = 2c - c^{in} \quad \text{(plug flow)}

The linear profile is that of a reaction which is the same all along the cell, once the electrolyte
has passed it; it holds for small conversion per pass, and is followed at once, without the time
that a pass takes. Where halogen is used up, whose charge is zero, the closure goes over to
:math:`c^{out} = c^2/c^{in}`, which is the same for small conversion and never takes out more than
flows in (a form chosen for this model); where an ion is used up at the outlet, the model ends with
a named event. What is bound to the electrode's carbon stays in the cell, all else flows.

Where a complexing agent binds the halogen as a heavy second phase, that phase settles in the
positive tank. An agent ion with m places, of which the isotherm fills the share :math:`\theta`
independently, holds some halogen with the probability

.. math:: s = 1 - (1 - \theta)^m

which is taken as the share of the agent that has settled; an agent that holds none is dissolved.
It has settled with the same share of the bound halogen and with one halide for each agent ion, so
that the phase is neutral. What has not settled is as loaded, so that the electrolyte that is
pumped, the tank and the settled phase are at equilibrium with each other: the dissolved halogen of
the cell follows that of the tank. The phase returns to the cell with

.. math::
    c^{in} = c^T - (1 - \chi)\,\frac{n^{settled}}{V}, \qquad
    \chi = \chi_{ch} + (\chi_{dis} - \chi_{ch})\,\frac{i_+^2}{i_+^2 + i_0^2}, \qquad
    i_+ = \max(i, 0)

by a valve that a discharge opens. This phase has no volume of its own, and what leaves the
cell leaves as a whole. Where the phase is a fused salt with rates of its own (`fused_salt`), it is
that salt which settles and returns in this way: it leaves the cell well mixed with the electrolyte,
and what flows is a volume of both liquids.

In the porous model every place of an electrode's layer exchanges electrolyte with the tank, with
the same rate by area: flow along the layers.

Pumps take :math:`Q\,\Delta p/\eta` with the pressure drop of laminar flow, :math:`\Delta p = R Q`.

Sources: tanks and well-mixed cell: T. I. Evans, R. E. White, J. Electrochem. Soc. 134 (1987) 2725,
doi:10.1149/1.2100277; plug flow: O. Levenspiel, Chemical reaction engineering, 3rd ed., Wiley 1999,
ch. 5; the settled phase is a closure chosen for this model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

import pybamm

from cellmodels.errors import InputError
from cellmodels.models.mechanisms import Mechanism, choose
from cellmodels.models.zinc_halogen import fused_salt
from cellmodels.models.zinc_halogen.assembly import SIDES, Assembly, Compartment, Tank
from cellmodels.models.zinc_halogen.compartments import SCALE, log_ligand_name
from cellmodels.models.zinc_halogen.mechanism_base import ZincMechanism
from cellmodels.models.zinc_halogen.numbers import Numbers
from cellmodels.models.zinc_halogen.speciation import TRACE, Speciation, positive, speciate
from cellmodels.models.zinc_halogen.species import AGENT, HALIDE, HALOGEN, METAL_ION

CELLS = ("well-mixed", "plug-flow")

#: Ion below which it counts as used up [mol.m-3].
_EXHAUSTED = 1.0
#: Electrolyte below which a tank counts as dry [m].
_DRY = 1e-5
_THRESHOLD = "Flow threshold current density [A.m-2]"


def tank_volumes(numbers: Numbers) -> dict[str, pybamm.Symbol]:
    """Volumes of the filled tanks, per area of cell [m].

    Parameters
    ----------
    numbers
        Parameters.

    Returns
    -------
    dict of str to pybamm.Symbol
        By side.
    """
    return {s: numbers(f"{s.capitalize()} tank volume per area [m]") for s in SIDES}


@dataclass(frozen=True)
class Flow(ZincMechanism):
    """Tanks on both sides and pumps between them and the cell; see `flow` for the equations.

    Tanks share the cell's temperature, and the heat capacity of a flow cell counts their
    electrolyte. Hydraulic power becomes heat in the electrolyte; the rest of what the pumps take
    does not reach it. Chemistry is the cell's: side reactions, the loss of halogen and of the
    agent's capacity and precipitation take place in the compartments. Water is lost from the tanks,
    as the cell stays full.

    Parameters
    ----------
    cell
        "well-mixed" or "plug-flow".
    stops_at_rest
        Whether the pumps stand still while no current flows. A cell at rest then discharges itself
        by no more than what is in it.

    Raises
    ------
    InputError
        If a choice is unknown.
    """

    cell: str = "well-mixed"
    stops_at_rest: bool = False

    short_name: ClassVar[str] = "flow"
    ages: ClassVar[bool] = False
    aliases: ClassVar[tuple[str, ...]] = ("tanks",)

    def __post_init__(self) -> None:
        choose(self.cell, CELLS, "Flow cell")
        if not isinstance(self.stops_at_rest, bool):
            raise InputError(f"Flow stops_at_rest: {self.stops_at_rest!r} is not true or false.")

    @property
    def parameters(self) -> Mapping[str, str]:
        """Parameter -> what a larger value does."""
        return MappingProxyType(
            {
                "Negative tank volume per area [m]": "more zinc ion to plate",
                "Positive tank volume per area [m]": "halogen is more dilute",
                "Negative flow rate per area [m.s-1]": "cell and tank differ less",
                "Positive flow rate per area [m.s-1]": "cell and tank differ less",
                "Negative hydraulic resistance [Pa.s.m-1]": "pumps take more power",
                "Positive hydraulic resistance [Pa.s.m-1]": "pumps take more power",
                "Pump efficiency": "pumps take less power",
            }
        )

    @property
    def requires(self) -> tuple[str, ...]:
        """Parameters that the equations read; with a complexing agent also those of the valve."""
        return (*self.parameters, *([_THRESHOLD] if self.stops_at_rest else []))

    @property
    def states(self) -> tuple[str, ...]:
        """What the pumps have taken. Amounts in the tanks are named by the chemistry."""
        return ("Pump energy [W.h]",)

    def variants(self) -> tuple[Mechanism, ...]:
        """Pumps that stop."""
        return (Flow(stops_at_rest=True),)

    def prepare(self, cell: Assembly) -> None:
        """There are tanks, and the electrolyte of a charged start is spread over them."""
        cell.tank_volumes = tank_volumes(cell.numbers)

    def act(self, cell: Assembly) -> None:
        """Fill the tanks, exchange their electrolyte with the cell's, and count the pumps' work."""
        running = pybamm.Scalar(1)
        if self.stops_at_rest:
            running = _open(cell, pybamm.AbsoluteValue(cell.current))
        for side in cell.reported.values():
            word = side.side.capitalize()
            tank = cell.tanks[side.side] = _tank(cell, side)
            rate = running * cell.numbers(f"{word} flow rate per area [m.s-1]")
            cell.model.variables[f"{word} flow rate [m.s-1]"] = rate
            self._exchange(cell, side, tank, rate)
        self._add_pumps(cell)

    def _exchange(self, cell: Assembly, side: Compartment, tank: Tank, rate: pybamm.Symbol) -> None:
        """What the flow takes from the compartment to the tank, as rates of both."""
        kept = _kept(cell)
        entering, leaving = {}, {}
        aqueous_in, aqueous_out = pybamm.Scalar(1), pybamm.Scalar(1)
        droplets = "aqueous " if tank.place in cell.salts else ""
        if droplets:
            aqueous_in, aqueous_out = _exchange_salt(cell, side, tank, rate, 1 - kept)
        for component in cell.electrolyte.components:
            mixed = side.totals[component]
            if component == HALOGEN:
                mixed = mixed - _on_carbon(cell, side.species)
            mixed, inlet = aqueous_out * mixed, aqueous_in * tank.totals[component]
            if component in tank.settled:
                inlet = inlet - kept * tank.settled[component] / tank.height
            entering[component] = inlet
            leaving[component] = mixed if self.cell == "well-mixed" else 2 * mixed - inlet
        if self.cell == "plug-flow":
            inlet = entering[HALOGEN]
            used = pybamm.maximum(inlet - leaving[HALOGEN], 0) / 2
            # no more than all, so that a solver's error below zero is not amplified
            share = pybamm.minimum(used / positive(inlet, TRACE), 1)
            leaving[HALOGEN] = leaving[HALOGEN] + used * share
            _add_outlet_events(cell, side.side, leaving)
        word = f"{side.side.capitalize()} compartment"
        for component, outlet in leaving.items():
            moved = rate * (outlet - entering[component])
            cell.add(tank.amounts[component], moved)
            cell.add(side.amounts[component], -moved)
            for where, value in (("inlet", entering[component]), ("outlet", outlet)):
                what = f"{droplets}{cell.electrolyte.word(component)}"
                name = f"{word} {where} {what} concentration [mol.m-3]"
                cell.model.variables[name] = cell.mean(value)

    def _add_pumps(self, cell: Assembly) -> None:
        """Power of the pumps; what drives the flow warms the electrolyte."""
        n, variables = cell.numbers, cell.model.variables
        hydraulic = pybamm.Scalar(0)
        for word in (side.capitalize() for side in SIDES):
            rate = variables[f"{word} flow rate [m.s-1]"]
            drop = n(f"{word} hydraulic resistance [Pa.s.m-1]") * rate
            variables[f"{word} pressure drop [Pa]"] = drop
            hydraulic = hydraulic + rate * drop
        power, area = hydraulic / n("Pump efficiency"), n("Electrode area [m2]")
        cell.chemical_heat = cell.chemical_heat + hydraulic
        energy = cell.state("Pump energy [W.h]")
        cell.add(energy, power * area / 3600)
        terminals = variables["Current [A]"] * cell.voltage
        variables["Hydraulic power [W.m-2]"] = hydraulic
        variables["Pump power [W.m-2]"] = power
        variables["Net power [W]"] = terminals - power * area


def _exchange_salt(
    cell: Assembly, side: Compartment, tank: Tank, rate: pybamm.Symbol, returned: pybamm.Symbol
) -> tuple[pybamm.Symbol, pybamm.Symbol]:
    """Droplets of fused salt that leave the compartment, and what returns of it from the tank.

    Returns
    -------
    pybamm.Symbol, pybamm.Symbol
        What is left for the aqueous electrolyte of the flow that enters, and of that which leaves.
    """
    here, there = cell.salts[side.place], cell.salts[tank.place]
    entering = returned / (tank.height + there.volume)
    leaving = 1 / (side.height + here.volume)
    for state, settled in ((here.amount, there.amount), (here.halogen, there.halogen)):
        moved = rate * (leaving * state - entering * settled)
        cell.add(settled, moved)
        cell.add(state, -moved)
    return 1 - entering * there.volume, 1 - leaving * here.volume


def _open(cell: Assembly, current: pybamm.Symbol) -> pybamm.Symbol:
    """Zero where there is no current, one well above the threshold."""
    return current**2 / (current**2 + cell.numbers(_THRESHOLD) ** 2)


def _kept(cell: Assembly) -> pybamm.Symbol:
    """Share of the settled phase that does not return."""
    if cell.electrolyte.agent is None:
        return pybamm.Scalar(0)
    n = cell.numbers
    charge, discharge = (
        n(f"Complexed phase return fraction on {name}") for name in ("charge", "discharge")
    )
    return 1 - charge - (discharge - charge) * _open(cell, pybamm.maximum(cell.current, 0))


def _on_carbon(cell: Assembly, species: Speciation) -> pybamm.Symbol:
    """Halogen on the electrode [mol.m-3 of electrolyte]: it stays in the cell."""
    fixed = [s.name for s in cell.electrolyte.sites if s.component is None]
    return sum((species.bound[s] for s in fixed if s in species.bound), pybamm.Scalar(0))


def _tank(cell: Assembly, side: Compartment) -> Tank:
    """A tank, filled with the electrolyte of its compartment."""
    e, start = cell.electrolyte, cell.model.initial_conditions
    volume = cell.tank_volumes[side.side]
    height = volume - cell.water_lost[side.side]
    place = f"{side.side} tank"
    name = place.capitalize()
    filled, recipe = volume, cell.recipe[side.side]
    salt = None
    if side.place in cell.salts:
        salt, filled, recipe = fused_salt.declare(cell, place, volume, recipe)
        height = height - salt.volume
    amounts = {
        c: cell.state(
            f"{name} {e.word(c)} [mol.m-2]",
            recipe[c] * filled,
            SCALE.get(c, 1.0),
            e.conserved(c),
        )
        for c in e.components
    }
    totals = {c: amount / height for c, amount in amounts.items()}
    log_halogen = cell.unknown(
        f"Logarithm of {place} {e.halogen} concentration", start[side.log_halogen]
    )
    log_ligands = {
        ligand: cell.unknown(log_ligand_name(cell, place, ligand), start[log])
        for ligand, log in side.log_ligands.items()
    }
    species = _speciate(cell, totals, log_halogen, log_ligands)
    settled: dict[str, pybamm.Symbol] = {}
    if side.side == "positive" and e.agent is not None and salt is None:
        share = _loaded(cell, species)
        agents = share * totals[AGENT]
        # its halide is not there for polyhalides
        left = positive(totals[HALIDE] - agents, TRACE)
        species = _speciate(cell, {**totals, HALIDE: left}, log_halogen, log_ligands)
        bound = share * sum(species.bound.values(), pybamm.Scalar(0))
        settled = {AGENT: height * agents, HALIDE: height * agents, HALOGEN: height * bound}
        cell.model.variables[f"Share of the {e.agent} that has settled"] = share
        for component, amount in settled.items():
            cell.model.variables[f"{name} settled {e.word(component)} [mol.m-2]"] = amount
    found = Tank(
        side.side, place, height, amounts, totals, species, log_halogen, log_ligands, settled
    )
    cell.model.algebraic.update(found.equilibria)
    if salt is not None:
        fused_salt.react(cell, found, salt)
    if cell.water_lost[side.side] != pybamm.Scalar(0):
        cell.event(f"{name} dry", height / _DRY - 1)
    return found


def _speciate(
    cell: Assembly,
    totals: Mapping[str, pybamm.Symbol],
    log_halogen: pybamm.Variable,
    log_ligands: Mapping[str, pybamm.Variable],
) -> Speciation:
    """Local equilibrium of a tank: there is no carbon in it."""
    e, n = cell.electrolyte, cell.numbers
    places = {
        site.name: n(site.capacity) * totals[site.component] * cell.agent_activity
        for site in e.sites
        if site.component is not None
    }
    return speciate(e, n, totals, log_halogen, places, log_ligands)


def _loaded(cell: Assembly, species: Speciation) -> pybamm.Symbol:
    """Share of the agent's ions that hold halogen, by independent places [-]."""
    n = cell.numbers
    bare = pybamm.Scalar(1)
    for site in cell.electrolyte.sites:
        if site.component is not None:
            half = n.equilibrium(site.half_loading, site.enthalpy, -1)
            bare = bare * (half / (half + species.halogen)) ** n(site.capacity)
    return cell.agent_activity * (1 - bare)


def _add_outlet_events(cell: Assembly, side: str, leaving: Mapping[str, pybamm.Symbol]) -> None:
    """The model ends where the linear profile would leave less than nothing of an ion."""
    e = cell.electrolyte
    component = METAL_ION if side == "negative" else HALIDE
    name = f"{e.word(component).capitalize()} exhausted at the outlet"
    cell.event(name, leaving[component] / _EXHAUSTED - 1)
