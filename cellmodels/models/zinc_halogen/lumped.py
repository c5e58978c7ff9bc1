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

with the ionic resistance :math:`R_p` of the positive electrode, see `_felt_resistance`.

Sources: porous electrodes and transport: J. Newman, K. E. Thomas-Alyea, Electrochemical systems,
3rd ed., Wiley 2004; models of zinc-bromine cells: T. I. Evans, R. E. White, J. Electrochem. Soc.
134 (1987) 2725, doi:10.1149/1.2100277. Closures chosen for this model say so where they are made.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import pybamm

from cellmodels.models.zinc_halogen import kinetics, outputs, thermal, transport
from cellmodels.models.zinc_halogen.assembly import SIDES, Assembly, Compartment, Electrode
from cellmodels.models.zinc_halogen.balances import balances
from cellmodels.models.zinc_halogen.numbers import FARADAY, STANDARD, Numbers, langevin
from cellmodels.models.zinc_halogen.speciation import Speciation, positive, speciate
from cellmodels.models.zinc_halogen.species import (
    ACID,
    AGENT,
    ELEMENT,
    HALIDE,
    HALOGEN,
    METAL_ION,
    Electrolyte,
)
from cellmodels.models.zinc_halogen.thermodynamics import (
    formal_potentials,
    halogen_nernst,
    metal_nernst,
)

if TYPE_CHECKING:
    from cellmodels.models.zinc_halogen.mechanisms import ZincMechanism

#: Scales of the states [mol.m-2], to which an integrator's absolute tolerance refers.
_SCALE = {HALOGEN: 1e-2, ACID: 1e-3}
#: Metal ion that an electrode's potential still counts [mol.m-3].
_TRACE_ION = 1e-3
#: Scale of the current balances [A.m-2].
_CURRENT = 100.0
_LN10 = 2.302585092994046


class CurrentParameters:
    """What PyBaMM's external circuits and experiments ask of a model's parameters."""

    def __init__(self) -> None:
        self.Q = pybamm.Parameter("Nominal cell capacity [A.h]")
        self.A_cc = pybamm.Parameter("Electrode area [m2]")
        self.n_cells = pybamm.Scalar(1)
        self.current_with_time = pybamm.FunctionParameter(
            "Current function [A]", {"Time [s]": pybamm.t}
        )
        self.current_density_with_time = self.current_with_time / self.A_cc


class Lumped(pybamm.BaseModel):
    """A zinc-halogen cell of two well-mixed compartments, as a PyBaMM model.

    Parameters
    ----------
    electrolyte
        What is dissolved.
    mechanisms
        What is modelled beyond the cell's own reactions.
    name
        The model's name.

    Attributes
    ----------
    balances : dict of str to mapping of str to float
        What the model conserves: variable -> state -> factor, see `balances`.
    parameter_names : tuple of str
        All parameters that the model reads.
    """

    def __init__(
        self,
        electrolyte: Electrolyte,
        mechanisms: Iterable[ZincMechanism] = (),
        name: str = "zinc-halogen lumped model",
    ) -> None:
        super().__init__(name)
        self.options: dict[str, str] = {}
        self.param = CurrentParameters()
        self.summary_variables: list[str] = []
        self._build(electrolyte, tuple(mechanisms))

    def _build(self, electrolyte: Electrolyte, mechanisms: tuple[ZincMechanism, ...]) -> None:
        circuit = self.param
        self.variables.update(
            {
                "Current variable [A]": circuit.current_with_time,
                "Current [A]": circuit.current_with_time,
                "Time [s]": pybamm.t,
                "Time [h]": pybamm.t / 3600,
            }
        )
        cell = Assembly(self, electrolyte)
        cell.current = circuit.current_with_time / circuit.A_cc
        for name in ("Nominal cell capacity [A.h]", "Electrode area [m2]"):
            cell.numbers(name)
        for mechanism in mechanisms:
            mechanism.prepare(cell)
        _add_compartments(cell)
        _add_electrodes(cell)
        internal = _add_circuit(cell)
        _add_fluxes(cell, internal)
        for mechanism in mechanisms:
            mechanism.act(cell)
        _close_electrodes(cell, internal)
        _add_counters(cell, circuit.current_with_time)
        if cell.temperature_state is not None:
            cell.add(cell.temperature_state, thermal.temperature_rate(cell, internal))
        cell.close()
        self.balances = balances(cell)
        outputs.add_variables(cell, internal)
        outputs.add_events(cell, internal)
        self.parameter_names = tuple(cell.numbers.names)
        words = (cell.title("metal"), cell.title("halogen"))
        self._charge_variables = [f"{word} state of charge" for word in words]

    @property
    def default_parameter_values(self) -> pybamm.ParameterValues:
        """None: the numbers come with the cell."""
        return pybamm.ParameterValues({})

    @property
    def default_solver(self) -> pybamm.BaseSolver:
        """IDAKLU with a root finder that finds a charge's start in a cell that is empty."""
        return pybamm.IDAKLUSolver(root_method="lm")

    @property
    def default_quick_plot_variables(self) -> list[str]:
        """What PyBaMM's quick plot shows."""
        return [
            "Current [A]",
            "Voltage [V]",
            *self._charge_variables,
            "Self-discharge current density [A.m-2]",
            "Plate concentration margin",
        ]


def _add_counters(cell: Assembly, current: pybamm.Symbol) -> None:
    """Charge and energy that have passed the terminals, as PyBaMM's models count them."""
    charge = cell.state("Discharge capacity [A.h]")
    energy = cell.state("Discharge energy [W.h]")
    cell.add(charge, current / 3600)
    cell.add(energy, current * cell.voltage / 3600)


# --- the electrolyte -----------------------------------------------------------------------------


def _add_compartments(cell: Assembly) -> None:
    """Amounts, concentrations and local equilibria on both sides."""
    heights = _heights(cell.numbers)
    initial = initial_concentrations(cell.electrolyte, cell.numbers)
    for side in SIDES:
        setattr(cell, side, _compartment(cell, side, heights[side], initial[side]))


def _heights(n: Numbers) -> dict[str, pybamm.Symbol]:
    """Electrolyte of either side, per area of cell, at the start [m]."""
    shared = n("Separator porosity") * n("Separator thickness [m]") / 2
    felt = n("Positive electrode porosity") * n("Positive electrode thickness [m]")
    return {
        "negative": n("Negative compartment electrolyte height [m]") + shared,
        "positive": felt + n("Positive reservoir electrolyte height [m]") + shared,
    }


def initial_concentrations(e: Electrolyte, n: Numbers) -> dict[str, dict[str, pybamm.Symbol]]:
    """Concentrations at the start: the recipe, less what the state of charge took.

    The halide closes the recipe's electroneutrality. A charged start has its metal ion and halide
    taken evenly from both sides, and its halogen on the positive one.

    Parameters
    ----------
    e
        What is dissolved.
    n
        Parameters.

    Returns
    -------
    dict of str to dict of str to pybamm.Symbol
        Side -> component -> concentration [mol.m-3].
    """
    recipe: dict[str, pybamm.Symbol] = {
        c: n(f"Initial {e.word(c)} concentration [mol.m-3]")
        for c in (METAL_ION, HALOGEN, *e.supporting, *([AGENT] if e.agent else []))
    }
    proton = STANDARD * 10 ** (-n("Initial pH"))
    recipe[ACID] = proton - n("Water ionic product [mol2.m-6]") / proton
    recipe[HALIDE] = sum(e.charge(c) * recipe[c] for c in recipe)
    heights = _heights(n)
    charged = n("Initial state of charge") * n(f"Maximum {e.metal} areal capacity [mol.m-2]")
    taken = charged / (heights["negative"] + heights["positive"])
    recipe[METAL_ION] = recipe[METAL_ION] - taken
    recipe[HALIDE] = recipe[HALIDE] - 2 * taken
    both = {side: dict(recipe) for side in SIDES}
    both["positive"][HALOGEN] = recipe[HALOGEN] + charged / heights["positive"]
    return both


def _compartment(
    cell: Assembly, side: str, height0: pybamm.Symbol, initial: Mapping[str, pybamm.Symbol]
) -> Compartment:
    e, n = cell.electrolyte, cell.numbers
    height = height0 - cell.water_lost[side]
    amounts = {
        c: cell.state(
            f"{side.capitalize()} compartment {e.word(c)} [mol.m-2]",
            initial[c] * height0,
            _SCALE.get(c, 1.0),
            e.conserved(c),
        )
        for c in e.components
    }
    totals = {c: amount / height for c, amount in amounts.items()}
    log_halogen = cell.unknown(
        f"Logarithm of {side} compartment {e.halogen} concentration",
        _guess_log_halogen(cell, side, initial),
    )
    species = speciate(e, n, totals, log_halogen, _sites(cell, side, totals, height))
    cell.model.algebraic[log_halogen] = species.residual
    ph = _ph(cell, side, totals[ACID])
    cell.model.variables[f"{side.capitalize()} compartment pH"] = ph
    solutes = _solutes(cell, totals, species, ph)
    return Compartment(side, height, amounts, totals, species, log_halogen, ph, solutes)


def _guess_log_halogen(
    cell: Assembly, side: str, initial: Mapping[str, pybamm.Symbol]
) -> pybamm.Symbol:
    """Free halogen where all is in the first polyhalide, on sites or solid, in logarithms."""
    e, n = cell.electrolyte, cell.numbers
    held: pybamm.Symbol = pybamm.Scalar(1)
    for p in e.polyhalides[:1]:
        held = held + n(p.constant) * initial[HALIDE]
    for site in e.sites:
        places = _places(cell, site.name, side, initial)
        if places is not None:
            held = held + places / n(site.half_loading)
    free = positive(initial[HALOGEN], 1e-6) / held
    return pybamm.log(free if e.solid is None else pybamm.minimum(free, n(e.solid.constant)))


def _places(
    cell: Assembly, name: str, side: str, totals: Mapping[str, pybamm.Symbol]
) -> pybamm.Symbol | None:
    """Places for the halogen on an isotherm's sites [mol.m-3 of electrolyte] at the start."""
    n = cell.numbers
    site = next(s for s in cell.electrolyte.sites if s.name == name)
    if site.component is not None:
        return n(site.capacity) * totals[site.component]
    if side != "positive":
        return None
    felt = n("Positive electrode thickness [m]")
    return n(site.capacity) * felt / _heights(n)["positive"]


def _sites(
    cell: Assembly, side: str, totals: Mapping[str, pybamm.Symbol], height: pybamm.Symbol
) -> dict[str, pybamm.Symbol]:
    """Places for the halogen on every isotherm's sites [mol.m-3 of electrolyte]."""
    n = cell.numbers
    found = {}
    for site in cell.electrolyte.sites:
        if site.component is not None:
            found[site.name] = n(site.capacity) * totals[site.component] * cell.agent_activity
        elif side == "positive":
            found[site.name] = n(site.capacity) * n("Positive electrode thickness [m]") / height
    return found


def _ph(cell: Assembly, side: str, acid: pybamm.Symbol) -> pybamm.Symbol:
    r"""The pH by the equilibria of water and of a buffer.

    .. math:: c_A = [H^+] - [OH^-] + \beta\,(pH_0 - pH), \qquad [H^+][OH^-] = K_w

    The unknown is [H+] - [OH-], in which the equation is linear where there is no buffer.
    """
    n = cell.numbers
    free = cell.unknown(
        f"{side.capitalize()} compartment free acid concentration [mol.m-3]",
        STANDARD * 10 ** (-n("Initial pH")),
    )
    root = pybamm.sqrt(n("Water ionic product [mol2.m-6]"))
    ph = (pybamm.log(STANDARD / root) - pybamm.arcsinh(free / (2 * root))) / _LN10
    buffered = n("Electrolyte buffer capacity [mol.m-3]") * (n("Initial pH") - ph)
    cell.model.algebraic[free] = free + buffered - acid
    return ph


def _solutes(
    cell: Assembly, totals: Mapping[str, pybamm.Symbol], species: Speciation, ph: pybamm.Symbol
) -> dict[str, pybamm.Symbol]:
    """Concentrations of all that moves [mol.m-3]."""
    proton = STANDARD * pybamm.exp(-_LN10 * ph)
    hydroxide = cell.numbers("Water ionic product [mol2.m-6]") / proton
    found = dict(species.polyhalides)
    for s in cell.electrolyte.solutes:
        if s.key in found:
            continue
        component = s.contents[0][0]
        found[s.key] = {
            HALIDE: species.halide,
            HALOGEN: species.halogen,
            ACID: proton if s.charge > 0 else hydroxide,
        }.get(component, totals.get(component))
    return found


# --- the electrodes ------------------------------------------------------------------------------


def _add_electrodes(cell: Assembly) -> None:
    """Potentials and partial currents of both electrodes."""
    e, n = cell.electrolyte, cell.numbers
    start = n(f"Initial {e.metal} areal amount [mol.m-2]") + n("Initial state of charge") * n(
        f"Maximum {e.metal} areal capacity [mol.m-2]"
    )
    plated = cell.state(f"{e.metal.capitalize()} areal amount [mol.m-2]", start, holds=ELEMENT)
    stray = cell.state(f"{e.metal.capitalize()} on the positive electrode [mol.m-2]", holds=ELEMENT)
    felt_area = (
        n("Positive electrode surface area to volume ratio [m-1]")
        * n("Positive electrode thickness [m]")
        * cell.area_factor
    )
    ion = next(s.key for s in e.solutes if s.name == e.metal_ion)
    film = transport.plating_limit(n, e, cell.negative.solutes, ion)
    wall = n("Positive electrode mass-transfer coefficient [m.s-1]")
    attack = n(f"{e.metal.capitalize()} chemical attack velocity [m.s-1]")
    pore = 2 * FARADAY * wall * felt_area * cell.positive.totals[METAL_ION]
    cell.plate = _electrode(cell, cell.negative, plated, pybamm.Scalar(1), attack, film)
    cell.felt = _electrode(cell, cell.positive, stray, felt_area, wall, pore)


def _electrode(
    cell: Assembly,
    side: Compartment,
    metal: pybamm.Variable,
    area: pybamm.Symbol,
    transfer: pybamm.Symbol,
    plating: pybamm.Symbol,
) -> Electrode:
    """One electrode; `area` per area of cell, `transfer` of dissolved halogen to it [m.s-1]."""
    e, n = cell.electrolyte, cell.numbers
    ion = positive(side.totals[METAL_ION], _TRACE_ION)
    formal = formal_potentials(e, n, cell.activity, ion)
    metal_potential = formal.metal + metal_nernst(n, ion)
    halogen_potential = formal.halogen + halogen_nernst(
        n, side.species.halide, side.species.log_halogen
    )
    couple = e.metal if side.side == "negative" else e.halogen
    potential = cell.unknown(
        f"{side.side.capitalize()} electrode potential [V]",
        n(f"{couple.capitalize()} standard potential [V]"),
    )
    metal_current = area * kinetics.metal_current(
        n, e.metal, potential - formal.metal, ion, metal / area, plating / area
    )
    halogen_current = kinetics.halogen_current(
        n,
        e.halogen,
        cell.halogen_law,
        potential - formal.halogen,
        side.species.halide,
        side.species.halogen,
        area,
        2 * FARADAY * transfer * area * side.species.dissolved,
    )
    slope = kinetics.halogen_slope(
        n, e.halogen, cell.halogen_law, side.species.halide, side.species.halogen, area
    )
    return Electrode(
        potential,
        metal,
        metal_current,
        halogen_current,
        metal_potential,
        halogen_potential,
        formal,
        plating,
        slope,
    )


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
    cell.voltage = inner - cell.current * contact
    return internal


def _felt_resistance(cell: Assembly, conductivity: pybamm.Symbol) -> pybamm.Symbol:
    r"""Ionic resistance of the positive electrode [Ohm.m2].

    .. math:: R = \frac{L_p}{\kappa_p}\,\frac{\nu\coth\nu - 1}{\nu^2}, \qquad
              \nu^2 = \frac{L_p}{\kappa_p}\frac{dj}{d\eta}, \qquad
              \kappa_p = \varepsilon_p^{3/2}\kappa

    with the slope of the rate law at equilibrium, by area of cell: what a porous electrode with
    linear kinetics and a well-conducting solid has beyond the resistance of its whole area, a third
    of the path where it reacts uniformly, less where the reaction keeps to the separator's side (J.
    S. Newman, C. W. Tobias, J. Electrochem. Soc. 109 (1962) 1183, doi:10.1149/1.2425269).
    """
    n = cell.numbers
    thickness = n("Positive electrode thickness [m]")
    path = thickness / n("Positive electrode porosity") ** 1.5 / conductivity
    return path * langevin(path * cell.felt.halogen_slope)


def _add_fluxes(cell: Assembly, internal: pybamm.Symbol) -> None:
    """What crosses the separator, as rates of the amounts."""
    e = cell.electrolyte
    unknown = cell.model.variables["Potential drop in the separator by RT/F"]
    sides = (cell.negative.solutes, cell.positive.solutes)
    moving = transport.migrating(e.solutes, *sides, unknown)
    drop = transport.separator_drop(e.solutes, cell.permeabilities, *sides, moving, internal)
    cell.model.algebraic[unknown] = unknown - drop
    fluxes = transport.separator_fluxes(e.solutes, cell.permeabilities, *sides, moving, internal)
    cell.fluxes = fluxes
    for side, sign in ((cell.negative, -1), (cell.positive, 1)):
        for solute in e.solutes:
            for component, count in solute.contents:
                cell.add(side.amounts[component], sign * count * fluxes[solute.key])


def _close_electrodes(cell: Assembly, internal: pybamm.Symbol) -> None:
    """The partial currents of an electrode add up to the cell's current.

    Where an electrode's main couple reacts, that sum stands in for its own current, so that charge
    and redox state are conserved whatever a solver leaves of the algebraic equations.
    """
    plate, felt = cell.plate, cell.felt
    others = sum((r.current for r in cell.plate_reactions), pybamm.Scalar(0))
    dissolving = internal - plate.halogen_current - others
    forming = -internal - felt.metal_current
    plated = plate.metal_current + plate.halogen_current + others
    felted = felt.metal_current + felt.halogen_current
    cell.model.algebraic[plate.potential] = _apart(plated, internal)
    cell.model.algebraic[felt.potential] = _apart(felted, -internal)
    _react(cell, plate, cell.negative, dissolving, plate.halogen_current)
    _react(cell, felt, cell.positive, felt.metal_current, forming)


def _apart(one: pybamm.Symbol, other: pybamm.Symbol) -> pybamm.Symbol:
    """A measure of how far apart two current densities are.

    Exponential rate laws are nearly linear on this scale, so that Newton's method finds a potential
    from far away.
    """
    return pybamm.arcsinh(one / _CURRENT) - pybamm.arcsinh(other / _CURRENT)


def _react(
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
