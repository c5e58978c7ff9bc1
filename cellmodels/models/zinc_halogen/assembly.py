"""The parts of a zinc-halogen model while it is put together.

A model declares its states here, mechanisms read its parts and add rates to its states, and at the
end the sums become the equations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pybamm

from cellmodels.models.zinc_halogen.numbers import Numbers
from cellmodels.models.zinc_halogen.speciation import Speciation
from cellmodels.models.zinc_halogen.species import AGENT, HALIDE, HALOGEN, Electrolyte
from cellmodels.models.zinc_halogen.thermodynamics import Potentials

SIDES = ("negative", "positive")


@dataclass
class Body:
    """A body of electrolyte: a part of the cell, or what is in a tank.

    Attributes
    ----------
    side : str
        "negative" or "positive".
    place : str
        In words.
    height : pybamm.Symbol
        Electrolyte in an area of cell [m].
    amounts : dict of str to pybamm.Variable
        States by component [mol.m-2].
    totals : dict of str to pybamm.Symbol
        The same as concentrations [mol.m-3].
    species : Speciation
        Where the halogen is.
    log_halogen : pybamm.Variable
        Unknown of the halogen's equilibria.
    log_ligands : dict of str to pybamm.Variable
        Ligand -> unknown of its complexes with the metal ion; none where they do not count.
    """

    side: str
    place: str
    height: pybamm.Symbol
    amounts: dict[str, pybamm.Variable]
    totals: dict[str, pybamm.Symbol]
    species: Speciation
    log_halogen: pybamm.Variable
    log_ligands: dict[str, pybamm.Variable]

    @property
    def equilibria(self) -> dict[pybamm.Variable, pybamm.Symbol]:
        """Unknowns of all local equilibria, and what is zero at each."""
        species = self.species
        own = {log: species.residuals[ligand] for ligand, log in self.log_ligands.items()}
        return {self.log_halogen: species.residual, **own}


@dataclass
class Compartment(Body):
    """A part of the cell's electrolyte.

    Attributes
    ----------
    ph : pybamm.Symbol
    solutes : dict of str to pybamm.Symbol
        Concentrations of all that moves [mol.m-3], by the chemistry's key.
    """

    ph: pybamm.Symbol
    solutes: dict[str, pybamm.Symbol]


@dataclass
class Tank(Body):
    """The electrolyte in the tank of one side, per area of cell; see `flow`.

    Attributes
    ----------
    settled : dict of str to pybamm.Symbol
        What of each component has settled as a phase of its own [mol.m-2].
    """

    settled: dict[str, pybamm.Symbol]


@dataclass
class Electrode:
    """An electrode and the currents of its couples.

    Attributes
    ----------
    potential : pybamm.Symbol
        Against the standard hydrogen electrode in the adjacent electrolyte [V]; an algebraic
        unknown, or the double layer's.
    area : pybamm.Symbol
        That reacts, per area of cell [-].
    metal : pybamm.Variable
        Metal on it [mol.m-2 of cell].
    metal_current, halogen_current : pybamm.Symbol
        Positive for an oxidation [A.m-2 of cell].
    metal_potential, halogen_potential : pybamm.Symbol
        Equilibrium potentials [V].
    formal : Potentials
    limit : pybamm.Symbol
        Limiting current density of plating [A.m-2 of cell].
    halogen_limit : pybamm.Symbol
        Limiting current density of the halogen's reduction [A.m-2 of cell].
    halogen_slope : pybamm.Symbol
        Change of the halogen's current with the potential at equilibrium [S.m-2 of cell].
    """

    potential: pybamm.Symbol
    area: pybamm.Symbol
    metal: pybamm.Variable
    metal_current: pybamm.Symbol
    halogen_current: pybamm.Symbol
    metal_potential: pybamm.Symbol
    halogen_potential: pybamm.Symbol
    formal: Potentials
    limit: pybamm.Symbol
    halogen_limit: pybamm.Symbol
    halogen_slope: pybamm.Symbol


@dataclass(frozen=True)
class DoubleLayer:
    """The double layer of an electrode.

    Attributes
    ----------
    charge : pybamm.Variable
        Halide that balances the electrode's charge, counted from the start [mol.m-2].
    capacitance : pybamm.Symbol
        Per area of cell [F.m-2].
    """

    charge: pybamm.Variable
    capacitance: pybamm.Symbol


@dataclass(frozen=True)
class FusedSalt:
    """The complexed halogen as a second liquid in some electrolyte; see `fused_salt`.

    Attributes
    ----------
    amount : pybamm.Variable
        Complexing agent in it, each with a halide and a halogen [mol.m-2].
    halogen : pybamm.Variable
        What it holds beyond that [mol.m-2].
    volume : pybamm.Symbol
        [m3.m-2]
    """

    amount: pybamm.Variable
    halogen: pybamm.Variable
    volume: pybamm.Symbol

    def states(self, component: str) -> list[pybamm.Variable]:
        """States that add up to what it holds of a component of the electrolyte."""
        held = {AGENT: [self.amount], HALIDE: [self.amount], HALOGEN: [self.amount, self.halogen]}
        return held.get(component, [])


@dataclass(frozen=True)
class ElectrodeReaction:
    """A current at an electrode beside its two couples.

    Attributes
    ----------
    current : pybamm.Symbol
        Positive for an oxidation, per area of cell [A.m-2].
    thermoneutral : pybamm.Symbol
        Potential at which the reaction gives off no heat, E - T dE/dT [V].
    """

    current: pybamm.Symbol
    thermoneutral: pybamm.Symbol


class Assembly:
    """The parts of a model. Mechanisms first `prepare` it, then add their rates.

    Attributes
    ----------
    model : pybamm.BaseModel
        Receives states, events and variables.
    electrolyte : Electrolyte
    numbers : Numbers
    current : pybamm.Symbol
        Current density at the terminals, positive on discharge [A.m-2].
    area_factor, separator_factor, agent_activity : pybamm.Symbol
        What ageing has left of the positive electrode's area, has made of the separator's
        resistance, and has left of the agent's capacity [-].
    short : pybamm.Symbol
        Conductance of a short circuit inside the cell [S.m-2].
    water_lost : dict of str to pybamm.Symbol
        Volume that the electrolyte of a side has lost, per area of cell [m].
    negative_felt : bool
        Whether the negative electrode is porous.
    halogen_law, activity : str
        Which rate law and which activity coefficients are used.
    fused_salt : bool
        Whether the complexed halogen is a phase of its own, instead of bound by an isotherm.
    salts : dict of str to FusedSalt
        By the place in words of the electrolyte that each stands in.
    parts : dict of str to Compartment
        All electrolyte of the cell, by its place in words.
    double_layer_start : str or None
        How the electrodes' double layers begin; None where the model has none.
    double_layers : dict of str to DoubleLayer
        By side.
    recipe : dict of str to mapping of str to pybamm.Symbol
        Side -> component -> concentration at the start [mol.m-3].
    equilibrium_slopes : dict of str to mapping of pybamm.Variable to pybamm.Symbol
        Place -> changes of its equilibrium enthalpy with the states, once all are known; see
        `thermal`.
    tank_volumes : dict of str to pybamm.Symbol
        Volumes of the tanks at the start, per area of cell, by side [m]; none without flow.
    tanks : dict of str to Tank
        By side; none without flow.
    negative, positive : Compartment
        The electrolyte that the two electrodes stand in; set before rates are added.
    reported : dict of str to Compartment
        What counts as the negative and as the positive compartment in the results.
    plate, felt : Electrode
        The negative and the positive electrode; set before rates are added.
    margin : pybamm.Symbol
        Metal ion at the plate over that in its compartment [-].
    reserve : pybamm.Symbol
        What is left of it, zero where the plate is starved [-].
    voltage, inner_voltage : pybamm.Symbol
        At the terminals, and without the contact resistance, where a short circuit acts [V].
    resistance, contact : pybamm.Symbol
        Of the electrolyte with its separator, and of the contacts [Ohm.m2].
    ohmic_heat : pybamm.Symbol
        Heat of the currents in electrolyte and electrodes, with that of diffusion [W.m-2].
    diffusion_potential, conductivity : pybamm.Symbol
        Across the separator [V]; of the electrolyte [S.m-1].
    permeabilities : dict of str to pybamm.Symbol
        Of all solutes, by key [m.s-1].
    halogen_losses : pybamm.Symbol
        Charge of the halogen that is lost beside what is reduced at the plate [A.m-2].
    temperature_state : pybamm.Variable or None
        Where the temperature is a state.
    plate_reactions : list of ElectrodeReaction
        Currents of the plate beside its couples.
    chemical_heat : pybamm.Symbol
        Heat of reactions without electrodes [W.m-2].
    holds : dict of pybamm.Variable to mapping of str to float
        State [mol.m-2] -> how much of each conserved quantity one mole of it holds; see `balances`.
    """

    current: pybamm.Symbol
    recipe: Mapping[str, Mapping[str, pybamm.Symbol]]
    negative: Compartment
    positive: Compartment
    plate: Electrode
    felt: Electrode
    margin: pybamm.Symbol
    reserve: pybamm.Symbol
    voltage: pybamm.Symbol
    inner_voltage: pybamm.Symbol
    resistance: pybamm.Symbol
    contact: pybamm.Symbol
    ohmic_heat: pybamm.Symbol
    diffusion_potential: pybamm.Symbol
    conductivity: pybamm.Symbol
    permeabilities: dict[str, pybamm.Symbol]

    def __init__(self, model: pybamm.BaseModel, electrolyte: Electrolyte) -> None:
        self.model = model
        self.electrolyte = electrolyte
        self._rates: dict[pybamm.Variable, list[pybamm.Symbol]] = {}
        self._starts: dict[pybamm.Variable, pybamm.Symbol] = {}
        self.temperature_state: pybamm.Variable | None = None
        self.numbers = Numbers(pybamm.Parameter("Ambient temperature [K]"))
        self.halogen_law, self.activity = "Volmer", "constant"
        self.negative_felt = False
        self.fused_salt = False
        self.double_layer_start: str | None = None
        self.double_layers: dict[str, DoubleLayer] = {}
        one, none = pybamm.Scalar(1), pybamm.Scalar(0)
        self.area_factor: pybamm.Symbol = one
        self.separator_factor: pybamm.Symbol = one
        self.agent_activity: pybamm.Symbol = one
        self.short: pybamm.Symbol = none
        self.water_lost: dict[str, pybamm.Symbol] = dict.fromkeys(SIDES, none)
        self.plate_reactions: list[ElectrodeReaction] = []
        self.chemical_heat: pybamm.Symbol = none
        self.halogen_losses: pybamm.Symbol = none
        self.holds: dict[pybamm.Variable, Mapping[str, float]] = {}
        self.parts: dict[str, Compartment] = {}
        self.salts: dict[str, FusedSalt] = {}
        self.reported: dict[str, Compartment] = {}
        self.equilibrium_slopes: dict[str, dict[pybamm.Variable, pybamm.Symbol]] = {}
        self.tank_volumes: dict[str, pybamm.Symbol] = {}
        self.tanks: dict[str, Tank] = {}

    # --- states --------------------------------------------------------------------------------

    def state(
        self,
        name: str,
        initial: pybamm.Symbol | float = 0.0,
        scale: float = 1.0,
        holds: Mapping[str, float] | None = None,
        domain: Sequence[str] = (),
    ) -> pybamm.Variable:
        """A differential state whose rates are added by `add`.

        `holds` tells how much of each conserved quantity one mole of it holds, where it is an
        amount of matter; `domain` where it varies, see `fields`.
        """
        variable = self._declare(name, scale, holds, domain)
        self._starts[variable] = pybamm.convert_to_symbol(initial)
        self.model.initial_conditions[variable] = self._starts[variable]
        return variable

    def _declare(
        self, name: str, scale: float, holds: Mapping[str, float] | None, domain: Sequence[str]
    ) -> pybamm.Variable:
        """A state without a start."""
        variable = pybamm.Variable(name, domain=list(domain), scale=scale)
        self._rates[variable] = []
        if holds is not None:
            self.holds[variable] = holds
        self.model.variables[name] = variable
        return variable

    def unknown(
        self, name: str, guess: pybamm.Symbol | float, domain: Sequence[str] = ()
    ) -> pybamm.Variable:
        """An algebraic state; its equation goes to `model.algebraic`."""
        variable = pybamm.Variable(name, domain=list(domain))
        self.model.initial_conditions[variable] = pybamm.convert_to_symbol(guess)
        self.model.variables[name] = variable
        return variable

    def add(self, state: pybamm.Variable, rate: pybamm.Symbol) -> None:
        """Add a rate to a state [its unit per second]."""
        self._rates[state].append(rate)

    def rate(self, state: pybamm.Variable) -> pybamm.Symbol:
        """The sum of a state's rates so far."""
        return sum(self._rates[state], pybamm.Scalar(0))

    @property
    def states(self) -> tuple[pybamm.Variable, ...]:
        """All differential states so far."""
        return tuple(self._rates)

    def close(self) -> None:
        """Hand the summed rates to the model."""
        for state in self._rates:
            self.model.rhs[state] = self.rate(state)

    def event(self, name: str, margin: pybamm.Symbol) -> None:
        """A limit of the model, reached where `margin` falls to zero; see `least`."""
        self.model.events.append(pybamm.Event(name, self.least(margin)))

    # --- what varies in space ------------------------------------------------------------------

    def mean(self, symbol: pybamm.Symbol) -> pybamm.Symbol:
        """Average of a quantity over the part of the cell that it belongs to."""
        return symbol

    def share(self, state: pybamm.Variable, slope: pybamm.Symbol) -> pybamm.Symbol:
        """What a part of the cell adds to the change of the whole with a state."""
        return slope

    def change(self, slopes: Mapping[pybamm.Variable, pybamm.Symbol]) -> pybamm.Symbol:
        """Rate of a quantity of which the changes with some states are known, `slopes`."""
        return sum((slope * self.rate(s) for s, slope in slopes.items()), pybamm.Scalar(0))

    def least(self, symbol: pybamm.Symbol) -> pybamm.Symbol:
        """The smaller of its values at both ends of the part where it varies."""
        return symbol

    def start(self, state: pybamm.Variable) -> pybamm.Symbol:
        """Average of a state at the start."""
        return self._starts[state]

    @property
    def bodies(self) -> dict[str, Body]:
        """All electrolyte, that of tanks included, by its place in words."""
        return {**self.parts, **{tank.place: tank for tank in self.tanks.values()}}

    def inventory(self, component: str) -> tuple[pybamm.Symbol, pybamm.Symbol]:
        """A component in all electrolyte and fused salt, now and at the start [mol.m-2]."""
        states = [body.amounts[component] for body in self.bodies.values()]
        for salt in self.salts.values():
            states += salt.states(component)
        return sum(self.mean(s) for s in states), sum(self.start(s) for s in states)

    @property
    def felt_area(self) -> pybamm.Symbol:
        """Area of the positive electrode that reacts, per area of cell [-]."""
        ratio = self.numbers("Positive electrode surface area to volume ratio [m-1]")
        return ratio * self.numbers("Positive electrode thickness [m]") * self.area_factor

    # --- words ---------------------------------------------------------------------------------

    def title(self, word: str) -> str:
        """A word of the electrolyte, such as "halogen", with a capital."""
        return str(getattr(self.electrolyte, word)).capitalize()
