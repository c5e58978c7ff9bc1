"""What a zinc-halogen cell may do beyond its two electrode reactions and crossover, as values.

Each mechanism is a small frozen dataclass: its equation and source, the parameters it acts by, the
states it has, and its rates. `prepare` declares states and what depends on them before the cell is
put together (an area, a volume, a conductance); `act` adds rates to the cell's states. Nearly all
rate constants are estimates: the laws are first-order forms written for this model where no source
is named.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

import pybamm

from cellmodels.errors import InputError
from cellmodels.models.zinc_halogen import closures, fused_salt, kinetics, thermal, transport
from cellmodels.models.zinc_halogen.assembly import SIDES, Assembly, ElectrodeReaction
from cellmodels.models.zinc_halogen.flow import Flow as Flow
from cellmodels.models.zinc_halogen.mechanism_base import ZincMechanism as ZincMechanism
from cellmodels.models.zinc_halogen.numbers import (
    FARADAY,
    GAS,
    LN10,
    REFERENCE_TEMPERATURE,
    STANDARD,
)
from cellmodels.models.zinc_halogen.reactions import ATTACK, DEPOSIT, PLATING, Change
from cellmodels.models.zinc_halogen.speciation import positive
from cellmodels.models.zinc_halogen.species import (
    ACID,
    AGENT,
    ELEMENT,
    HALIDE,
    HALOGEN,
    METAL,
    METAL_ION,
    REDOX,
)
from cellmodels.models.zinc_halogen.zinc_complexes import ZincComplexes as ZincComplexes

#: Current density below which a sign is rounded off [A.m-2].
_TRACE_CURRENT = 0.01
#: What carbon oxide holds, counted from carbon and water, for each X2 that made it.
_OXIDISED = MappingProxyType({ACID: -2.0, REDOX: 1.0})
#: Enthalpy of vaporisation of water [J.mol-1], and its molar volume [m3.mol-1], at 25 degC.
_VAPORISATION, _WATER_VOLUME = 44000.0, 1.807e-5


# --- zinc ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class DeadZinc(ZincMechanism):
    r"""Zinc loses contact as it dissolves, stripped or corroded; bromine dissolves it again.

    .. math:: \dot n_{dead} = f_{dead}\,\frac{\max(j_M, 0)}{2F}\,\frac{n}{n + n_{min}}
              - k_{chem}\,c_B\,\frac{n_{dead}}{n_{dead} + n_{min}}

    with the zinc n of the plate: where nothing is left, nothing loses contact. Source: a
    first-order form written for this model; dead zinc in zinc-bromine cells: Y. Xu et al., Renew.
    Sustain. Energy Rev. 127 (2020) 109838, doi:10.1016/j.rser.2020.109838.
    """

    short_name: ClassVar[str] = "dead zinc"
    runs: ClassVar[tuple[Change, ...]] = (
        {DEPOSIT: -1.0, "isolated": 1.0},
        {"isolated": -1.0, METAL_ION: 1.0, HALOGEN: -1.0, HALIDE: 2.0},
    )

    @property
    def parameters(self) -> Mapping[str, str]:
        """Parameter -> what a larger value does."""
        return MappingProxyType({"Dead zinc fraction": "more zinc is lost in every discharge"})

    @property
    def states(self) -> tuple[str, ...]:
        """Zinc without contact."""
        return ("Dead zinc [mol.m-2]",)

    def act(self, cell: Assembly) -> None:
        """Move zinc from the plate to the dead, and from there into the electrolyte."""
        n, metal = cell.numbers, cell.electrolyte.metal
        dead = cell.state("Dead zinc [mol.m-2]", holds=ELEMENT)
        stripped = positive(cell.plate.metal_current, _TRACE_CURRENT) / (2 * FARADAY)
        area = cell.plate.area
        plated = kinetics.coverage(n, metal, cell.plate.metal / area)
        isolated = n("Dead zinc fraction") * stripped * plated
        covered = kinetics.coverage(n, metal, dead / area)
        velocity = n(f"{metal.capitalize()} chemical attack velocity [m.s-1]")
        attacked = velocity * area * cell.negative.species.dissolved * covered
        cell.add(cell.plate.metal, -isolated)
        cell.add(dead, isolated - attacked)
        cell.add(cell.negative.amounts[METAL_ION], attacked)
        cell.add(cell.negative.amounts[HALIDE], 2 * attacked)
        cell.add(cell.negative.amounts[HALOGEN], -attacked)
        cell.halogen_losses = cell.halogen_losses + 2 * FARADAY * cell.mean(attacked)
        metal_heat, halogen_heat = thermal.thermoneutral_potentials(cell, cell.plate)
        heat = 2 * FARADAY * attacked * (halogen_heat - metal_heat)
        cell.chemical_heat = cell.chemical_heat + cell.mean(heat)


@dataclass(frozen=True)
class Dendrites(ZincMechanism):
    r"""Tips of the deposit grow ahead of it until they short the cell softly.

    .. math:: \dot h = \frac{V_{Zn}}{2F}\left[\beta\,j\left(\frac{j}{j_L}\right)^m
              - j_{att}\,\frac{h}{h + h_0}\right], \qquad
              G = G_0\,e^{(h - L_{gap} - L_s)/h_0}

    with the plating current density j, the current density of the bromine's attack
    :math:`j_{att}`, and the conductance G [S m-2] between the electrodes. Source: forms written for
    this model; growth near the limiting current: Y. Xu et al., Renew. Sustain. Energy Rev. 127
    (2020) 109838, doi:10.1016/j.rser.2020.109838.
    """

    short_name: ClassVar[str] = "dendrites"
    aliases: ClassVar[tuple[str, ...]] = ("short circuit",)
    runs: ClassVar[tuple[Change, ...]] = (PLATING, ATTACK)

    @property
    def parameters(self) -> Mapping[str, str]:
        """Parameter -> what a larger value does."""
        return MappingProxyType(
            {
                "Dendrite growth factor": "tips grow faster",
                "Dendrite growth exponent": "tips grow only near the limiting current",
                "Dendrite contact conductance [S.m-2]": "a harder short circuit",
                "Dendrite contact length [m]": "a short circuit that sets in earlier, and softly",
            }
        )

    @property
    def requires(self) -> tuple[str, ...]:
        """Parameters that the equations read."""
        return (*self.parameters, "Zinc molar volume [m3.mol-1]")

    @property
    def states(self) -> tuple[str, ...]:
        """Length of the tips."""
        return ("Dendrite length [m]",)

    def prepare(self, cell: Assembly) -> None:
        """Declare the tips and the conductance they make."""
        n = cell.numbers
        length = cell.state("Dendrite length [m]", scale=1e-4)
        gap = n("Separator thickness [m]")
        if not cell.negative_felt:
            gap = gap + n("Negative gap thickness [m]")
        contact = n("Dendrite contact length [m]")
        cell.short = n("Dendrite contact conductance [S.m-2]") * pybamm.exp(
            (length - gap) / contact
        )

    def act(self, cell: Assembly) -> None:
        """Grow on charge, dissolve where bromine arrives."""
        n = cell.numbers
        length = cell.model.variables["Dendrite length [m]"]
        plating = positive(-cell.plate.metal_current, _TRACE_CURRENT)
        ratio = positive(1 - cell.margin, _TRACE_CURRENT / cell.plate.limit)
        growth = n("Dendrite growth factor") * plating * ratio ** n("Dendrite growth exponent")
        attack = positive(-cell.plate.halogen_current, _TRACE_CURRENT)
        reached = length / (length + n("Dendrite contact length [m]"))
        volume = n("Zinc molar volume [m3.mol-1]") / (2 * FARADAY)
        cell.add(length, volume * (growth - attack * reached))


@dataclass(frozen=True)
class HydrogenEvolution(ZincMechanism):
    """Hydrogen on zinc: corrosion at rest, a share of the current on charge, and a rising pH.

    See `kinetics.hydrogen_current` for the rate; it acts on what zinc covers. The acid
    [H+] - [OH-] falls by two for each H2, and the positive electrode is left with more halogen than
    there is zinc. Source: W. D. Callister, D. G. Rethwisch, Fundamentals of materials science and
    engineering, 3rd ed. (2008), section 16.4 (exchange current on zinc).
    """

    short_name: ClassVar[str] = "hydrogen evolution"
    aliases: ClassVar[tuple[str, ...]] = ("corrosion",)
    runs: ClassVar[tuple[Change, ...]] = ({ACID: -2.0, "gas": 1.0},)

    @property
    def parameters(self) -> Mapping[str, str]:
        """Parameter -> what a larger value does."""
        return MappingProxyType(
            {
                "Hydrogen evolution exchange-current density [A.m-2]": "more gas, faster pH rise",
                "Hydrogen evolution transfer coefficient": "more gas at the potential of zinc",
                "Hydrogen evolution activation energy [J.mol-1]": "more gas above 25 degC",
            }
        )

    @property
    def states(self) -> tuple[str, ...]:
        """Hydrogen made."""
        return ("Hydrogen [mol.m-2]",)

    def act(self, cell: Assembly) -> None:
        """Add its current to the plate's, and count the gas."""
        n = cell.numbers
        gas = cell.state("Hydrogen [mol.m-2]", scale=1e-2, holds={ACID: 2.0, REDOX: -1.0})
        area = cell.plate.area
        covered = kinetics.coverage(n, cell.electrolyte.metal, cell.plate.metal / area)
        rate = kinetics.hydrogen_current(n, cell.plate.potential, cell.negative.ph)
        current = area * pybamm.maximum(covered, 0) * rate
        cell.add(gas, -current / (2 * FARADAY))
        cell.add(cell.negative.amounts[ACID], current / FARADAY)
        # enthalpies count from H+ and H2, so that the thermoneutral potential is zero
        cell.plate_reactions.append(ElectrodeReaction(current, pybamm.Scalar(0)))
        cell.model.variables["Hydrogen evolution current density [A.m-2]"] = cell.mean(-current)


@dataclass(frozen=True)
class Precipitation(ZincMechanism):
    r"""Zinc hydroxide settles where the electrolyte becomes alkaline, and dissolves in acid.

    .. math:: r = k_{pp}\left[\frac{(\Omega - 1)_+}{1 + \Omega/100}
              - (1 - \Omega)_+\frac{n_{pp}}{n_{pp} + n_{min}}\right], \qquad
              \Omega = \frac{[Zn^{2+}]}{K\,[H^+]^2}

    Each Zn(OH)2 sets two protons free, which holds the pH. Source: log K 11.5 of Zn(OH)2(epsilon) +
    2 H+ = Zn2+ + 2 H2O: minteq.v4 database of PHREEQC; the rate is a form written for this model.
    """

    short_name: ClassVar[str] = "precipitation"
    runs: ClassVar[tuple[Change, ...]] = ({METAL_ION: -1.0, "precipitate": 1.0, ACID: 2.0},)

    @property
    def parameters(self) -> Mapping[str, str]:
        """Parameter -> what a larger value does."""
        return MappingProxyType(
            {
                "Zinc hydroxide precipitation rate [mol.m-2.s-1]": "follows the pH more closely",
                "Zinc hydroxide dissolution constant": "settles only at a higher pH",
            }
        )

    @property
    def states(self) -> tuple[str, ...]:
        """Zinc that has settled."""
        return ("Zinc precipitate [mol.m-2]",)

    def act(self, cell: Assembly) -> None:
        """Take zinc from the negative compartment, and give back protons."""
        n = cell.numbers
        settled = cell.state(
            "Zinc precipitate [mol.m-2]", scale=1e-2, holds={METAL: 1.0, ACID: -2.0}
        )
        ion = cell.negative.solutes[transport.metal_ion(cell.electrolyte).key]
        ion = positive(ion, 1e-3) / STANDARD
        log_omega = (
            pybamm.log(ion)
            + 2 * LN10 * cell.negative.ph
            - LN10 * n("Zinc hydroxide dissolution constant")
        )
        omega = pybamm.exp(log_omega)
        covered = kinetics.coverage(n, cell.electrolyte.metal, settled)
        rate = n("Zinc hydroxide precipitation rate [mol.m-2.s-1]") * (
            positive(omega - 1, 1e-6) / (1 + omega / 100) - positive(1 - omega, 1e-6) * covered
        )
        cell.add(settled, rate)
        cell.add(cell.negative.amounts[METAL_ION], -rate)
        cell.add(cell.negative.amounts[ACID], 2 * rate)


# --- the electrolyte -----------------------------------------------------------------------------


@dataclass(frozen=True)
class WaterLoss(ZincMechanism):
    r"""Water leaves a vented cell as vapour, half from either side; the electrolyte concentrates.

    .. math:: \dot n_{H_2O} = -k_v\,(a_w\,p_{sat}(T) - p_{out})

    with :math:`p_{sat}` = 3169 Pa at 25 degC and an enthalpy of vaporisation of 44 kJ mol-1, which
    cools the cell.
    Hydrogen takes no water of its own: its two protons leave two OH-, and only what precipitates
    with them binds oxygen. Source: a first-order form written for this model.
    """

    short_name: ClassVar[str] = "water loss"

    @property
    def parameters(self) -> Mapping[str, str]:
        """Parameter -> what a larger value does."""
        return MappingProxyType(
            {
                "Water vapour loss coefficient [mol.m-2.s-1.Pa-1]": "dries out faster",
                "Ambient water vapour pressure [Pa]": "dries out more slowly",
            }
        )

    @property
    def requires(self) -> tuple[str, ...]:
        """Parameters that the equations read."""
        return (*self.parameters, "Electrolyte water activity")

    @property
    def states(self) -> tuple[str, ...]:
        """Volume of water lost from either side."""
        return tuple(f"{side.capitalize()} compartment water lost [m]" for side in SIDES)

    def prepare(self, cell: Assembly) -> None:
        """Declare the lost volumes, by which the compartments shrink."""
        for side, name in zip(SIDES, self.states, strict=True):
            cell.water_lost[side] = cell.state(name, scale=1e-4)

    def act(self, cell: Assembly) -> None:
        """Evaporate as long as there is electrolyte."""
        n = cell.numbers
        warmer = 1 / n.temperature - 1 / REFERENCE_TEMPERATURE
        saturated = 3169.0 * pybamm.exp(-_VAPORISATION / GAS * warmer)
        pull = n("Electrolyte water activity") * saturated - n("Ambient water vapour pressure [Pa]")
        moles = n("Water vapour loss coefficient [mol.m-2.s-1.Pa-1]") * pull
        cell.chemical_heat = cell.chemical_heat - _VAPORISATION * moles
        for side, name in zip((cell.negative, cell.positive), self.states, strict=True):
            cell.add(cell.model.variables[name], _WATER_VOLUME * moles / 2)
            cell.event(f"{side.side.capitalize()} compartment dry", side.height / 1e-5 - 1)


@dataclass(frozen=True)
class HalogenLoss(ZincMechanism):
    r"""Halogen leaves as vapour, and reacts for good with the cell's plastics and carbon.

    .. math:: \dot n_{vapour} = k_g\,b, \qquad \dot n_{reacted} = k_{br}\,b\,h_p

    with the free halogen b of the positive compartment. Source: first-order forms written for this
    model.
    """

    short_name: ClassVar[str] = "halogen loss"

    @property
    def parameters(self) -> Mapping[str, str]:
        """Parameter -> what a larger value does."""
        return MappingProxyType(
            {
                "Halogen vapour loss velocity [m.s-1]": "more halogen leaves, and zinc is left",
                "Halogen irreversible reaction rate [s-1]": "as the vapour",
            }
        )

    @property
    def states(self) -> tuple[str, ...]:
        """What has left and what has reacted."""
        return ("Halogen lost as vapour [mol.m-2]", "Halogen lost by reaction [mol.m-2]")

    def act(self, cell: Assembly) -> None:
        """Take halogen from the positive compartment."""
        n, side = cell.numbers, cell.positive
        rates = (
            n("Halogen vapour loss velocity [m.s-1]") * side.species.halogen,
            n("Halogen irreversible reaction rate [s-1]") * side.species.halogen * side.height,
        )
        for name, rate in zip(self.states, rates, strict=True):
            lost = cell.state(name, scale=1e-2, holds=cell.electrolyte.conserved(HALOGEN))
            cell.add(lost, rate)
            cell.add(side.amounts[HALOGEN], -rate)
            cell.halogen_losses = cell.halogen_losses + 2 * FARADAY * cell.mean(rate)


@dataclass(frozen=True)
class ComplexingAgentLoss(ZincMechanism):
    r"""The complexing agent loses its capacity in contact with halogen; its ions stay.

    .. math:: \dot s = -k_Q\,s\,\frac{b}{c^*}

    with the share s of the agent that still binds. Source: a first-order form written for this
    model.
    """

    short_name: ClassVar[str] = "complexing agent loss"

    @property
    def parameters(self) -> Mapping[str, str]:
        """Parameter -> what a larger value does."""
        return MappingProxyType(
            {"Complexing agent loss rate [s-1]": "more dissolved halogen, faster self-discharge"}
        )

    @property
    def states(self) -> tuple[str, ...]:
        """The share that binds."""
        return ("Complexing agent activity",)

    def prepare(self, cell: Assembly) -> None:
        """Declare the share that binds."""
        if cell.electrolyte.agent is None:
            raise InputError(
                "mechanisms: 'complexing agent loss' needs a chemistry with a complexing agent."
            )
        cell.agent_activity = cell.state("Complexing agent activity", 1.0)

    def act(self, cell: Assembly) -> None:
        """Lose capacity where there is free halogen."""
        n = cell.numbers
        own = (s.half_loading for s in cell.electrolyte.sites if s.component == AGENT)
        half = next(own, fused_salt.HALF_LOADING)  # of the isotherm, or of the salt in its place
        rate = n("Complexing agent loss rate [s-1]") * cell.positive.species.halogen / n(half)
        active = cell.model.variables["Complexing agent activity"]
        cell.add(active, -rate * active)


# --- the positive electrode and the separator ----------------------------------------------------


@dataclass(frozen=True)
class CathodeSelfDischarge(ZincMechanism):
    r"""Halogen oxidises the carbon of its own electrode: a loss that leaves the zinc.

    .. math:: r = k_{cat}\,a L_p\,b, \qquad
              X_2 + C + H_2O \rightarrow 2 X^- + C(O) + 2 H^+

    Source: Ballas et al., Energy Storage Mater. (2024),
    doi:10.1016/j.ensm.2024.103461 (self-discharge of static cells is a process of the positive
    electrode); the rate is a first-order form written for this model.
    """

    short_name: ClassVar[str] = "cathode self-discharge"

    @property
    def parameters(self) -> Mapping[str, str]:
        """Parameter -> what a larger value does."""
        return MappingProxyType(
            {"Cathode self-discharge rate [m.s-1]": "halogen is lost at rest, and zinc is left"}
        )

    @property
    def states(self) -> tuple[str, ...]:
        """Halogen that has oxidised carbon."""
        return ("Carbon oxidised [mol.m-2]",)

    def act(self, cell: Assembly) -> None:
        """Reduce halogen by carbon."""
        n = cell.numbers
        reacting = n("Cathode self-discharge rate [m.s-1]") * cell.felt_area
        rate = reacting * cell.positive.species.halogen
        oxidised = cell.state("Carbon oxidised [mol.m-2]", scale=1e-2, holds=_OXIDISED)
        cell.add(oxidised, rate)
        _reduce_halogen(cell, rate)


@dataclass(frozen=True)
class CarbonOxidation(ZincMechanism):
    r"""Oxidation wears the positive electrode's reacting area.

    .. math:: \dot s = -k_{ox}\,s\,b\,e^{\alpha_{ox} f (\phi_p - E^{\circ\prime}_X)}

    with the share s that is left; each square metre lost takes an amount of halogen. Source: a
    first-order form written for this model.
    """

    short_name: ClassVar[str] = "carbon oxidation"

    @property
    def parameters(self) -> Mapping[str, str]:
        """Parameter -> what a larger value does."""
        return MappingProxyType(
            {
                "Carbon oxidation rate [m3.mol-1.s-1]": "area lost faster: more overpotential",
                "Carbon oxidation transfer coefficient": "area lost mostly at the end of charge",
                "Carbon oxidation halogen demand [mol.m-2]": "more halogen lost with the area",
            }
        )

    @property
    def states(self) -> tuple[str, ...]:
        """The share of the area that is left."""
        return ("Positive electrode area factor",)

    def prepare(self, cell: Assembly) -> None:
        """Declare the share that is left."""
        cell.area_factor = cell.state("Positive electrode area factor", 1.0)

    def act(self, cell: Assembly) -> None:
        """Wear the area."""
        n = cell.numbers
        factor = cell.model.variables["Positive electrode area factor"]
        drive = cell.felt.potential - cell.felt.formal.halogen
        share = (
            n("Carbon oxidation rate [m3.mol-1.s-1]")
            * cell.positive.species.halogen
            * pybamm.exp(n("Carbon oxidation transfer coefficient") * n.f * drive)
        )
        used = n("Carbon oxidation halogen demand [mol.m-2]") * cell.felt_area * share
        worn = cell.state("Carbon oxidised with area loss [mol.m-2]", scale=1e-2, holds=_OXIDISED)
        cell.add(factor, -factor * share)
        cell.add(worn, used)
        _reduce_halogen(cell, used)


@dataclass(frozen=True)
class SeparatorFouling(ZincMechanism):
    r"""Zinc and hydroxide clog the separator as charge passes.

    .. math:: \dot s = k_f\,|i|

    with the factor s on the separator's resistance to ions and to diffusion. Source: a first-order
    form written for this model.
    """

    short_name: ClassVar[str] = "separator fouling"

    @property
    def parameters(self) -> Mapping[str, str]:
        """Parameter -> what a larger value does."""
        return MappingProxyType(
            {"Separator fouling rate [m2.A-1.h-1]": "resistance grows, crossover falls"}
        )

    @property
    def states(self) -> tuple[str, ...]:
        """The factor on the separator's resistance."""
        return ("Separator resistance factor",)

    def prepare(self, cell: Assembly) -> None:
        """Declare the factor."""
        cell.separator_factor = cell.state("Separator resistance factor", 1.0)

    def act(self, cell: Assembly) -> None:
        """Clog with the charge that passes."""
        n = cell.numbers
        passed = pybamm.sqrt(cell.current**2 + _TRACE_CURRENT**2) - _TRACE_CURRENT
        rate = n("Separator fouling rate [m2.A-1.h-1]") * passed / 3600
        cell.add(cell.model.variables["Separator resistance factor"], rate)


@dataclass(frozen=True)
class Crystallisation(ZincMechanism):
    r"""A check, not a rate: the supporting salt crystallises where its solubility is exceeded.

    An event for every supporting cation M+ and either side, where :math:`[M^+][Y]` reaches the
    solubility product (van 't Hoff for its temperature dependence). Source: solubility of
    potassium halides; as a limit of use: Nat. Commun. 2026, doi:10.1038/s41467-026-71846-6.
    """

    short_name: ClassVar[str] = "crystallisation"

    @property
    def parameters(self) -> Mapping[str, str]:
        """Parameter -> what a larger value does."""
        return MappingProxyType(
            {"Supporting salt solubility product [mol2.m-6]": "crystallises later"}
        )

    @property
    def requires(self) -> tuple[str, ...]:
        """Parameters that the equations read."""
        return (*self.parameters, "Supporting salt dissolution enthalpy [J.mol-1]")

    def act(self, cell: Assembly) -> None:
        """Add the events."""
        n, e = cell.numbers, cell.electrolyte
        product = n.equilibrium(
            "Supporting salt solubility product [mol2.m-6]",
            "Supporting salt dissolution enthalpy [J.mol-1]",
        )
        for side in (cell.negative, cell.positive):
            for ion in e.supporting:
                if e.charge(ion) > 0:
                    # where complexes count, what they hold does not crystallise with the cation
                    halide = side.species.halide if e.complexed else side.totals[HALIDE]
                    reached = side.totals[ion] * halide / product
                    name = f"{ion.capitalize()} {e.halide} crystallises in the {side.side}"
                    cell.event(f"{name} compartment", 1 - reached)


def _reduce_halogen(cell: Assembly, rate: pybamm.Symbol) -> None:
    """Halogen of the positive compartment oxidises carbon [mol.m-2.s-1]."""
    amounts = cell.positive.amounts
    cell.add(amounts[HALOGEN], -rate)
    cell.add(amounts[HALIDE], 2 * rate)
    cell.add(amounts[ACID], 2 * rate)
    cell.halogen_losses = cell.halogen_losses + 2 * FARADAY * cell.mean(rate)
    # enthalpies count from carbon and its oxide, so that all of the halogen's is set free
    _, halogen_heat = thermal.thermoneutral_potentials(cell, cell.felt)
    cell.chemical_heat = cell.chemical_heat + 2 * FARADAY * cell.mean(rate * halogen_heat)


MECHANISMS: tuple[type[ZincMechanism], ...] = (
    closures.HalogenKinetics,
    closures.ActivityCoefficients,
    ZincComplexes,
    closures.FusedSalt,
    closures.NegativeFelt,
    closures.LumpedThermal,
    closures.DoubleLayer,
    DeadZinc,
    Dendrites,
    HydrogenEvolution,
    Precipitation,
    WaterLoss,
    HalogenLoss,
    ComplexingAgentLoss,
    CathodeSelfDischarge,
    CarbonOxidation,
    SeparatorFouling,
    Crystallisation,
    Flow,
)
