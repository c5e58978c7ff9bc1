r"""The complexed halogen as a second liquid: a fused salt of the complexing agent.

The agent's ion Q+ forms a fused salt QX3 with halide and halogen, which takes up more halogen: with
the amounts s of agent ions in it and q of halogen beyond one for each of them, by area of cell, the
height h of the aqueous electrolyte and n places for halogen on each QX3,

.. math::
    Q^+ + X^- + X_2 \rightleftharpoons QX_3: \qquad
    \dot s = k_s h\,\frac{\Omega - s/(s + s_0 h)}{1 + \Omega/100}, \qquad
    \Omega = \frac{c_Q\,y\,b}{K_{sp}\,a}

    X_2 \rightleftharpoons X_2(salt): \qquad
    \dot q = k_q \left[b\,(n s - q) - c^* q\right]

At equilibrium the salt is loaded to :math:`\theta = q/(n s) = b/(b + c^*)`, so that
:math:`b = c^*\,x/(n - x)` with x = q/s, as on an isotherm, and the activity of QX3 in it is that of
bare places,

.. math:: a = (1 - \theta)^n

by which the Gibbs-Duhem equation holds for the salt. A trace :math:`s_0` keeps the rates smooth
where there is no salt; what forms first is as loaded as at equilibrium. Where the agent loses its
capacity, the share that has lost it is dissolved, and counts neither in :math:`c_Q` nor in s.

The salt takes room from the aqueous electrolyte, and conducts beside it: in a porous electrode with
the shares :math:`\varepsilon` of both,

.. math:: \kappa_{eff} = \varepsilon_{aq}^{1.5}\,\kappa + \varepsilon_{salt}^{1.5}\,\kappa_{salt}

It stays where it forms, in the positive electrode's electrolyte; in a flow cell it leaves with the
electrolyte, as droplets, and settles in the tank (`flow`). It does not cover the carbon.

Sources: second phase: D. J. Eustace, J. Electrochem. Soc. 127 (1980) 528; as a phase of a flow
cell's model: T. I. Evans, R. E. White, J. Electrochem. Soc. 134 (1987) 2725,
doi:10.1149/1.2100277; the rates and the lattice of places are forms chosen for this model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import pybamm

from cellmodels.models.zinc_halogen.assembly import Assembly, Body, FusedSalt, Tank
from cellmodels.models.zinc_halogen.numbers import Numbers
from cellmodels.models.zinc_halogen.speciation import TRACE, positive
from cellmodels.models.zinc_halogen.species import AGENT, ATOMS, HALIDE, HALOGEN, REDOX

#: What one QX3, and one halogen beyond, hold of each conserved quantity.
_HOLDS = {AGENT: 1.0, ATOMS: 3.0, REDOX: 1.0}
_LOADED = {ATOMS: 2.0, REDOX: 1.0}
#: Components that a QX3 is made of, one of each.
CONTENTS = (AGENT, HALIDE, HALOGEN)
#: Scale of the states [mol.m-2].
_SCALE = 1e-2
_SOLUBILITY = "Fused salt solubility product [mol3.m-9]"
_CAPACITY = "Fused salt halogen capacity"
HALF_LOADING = "Fused salt half-loading halogen concentration [mol.m-3]"
_VOLUME = "Fused salt molar volume [m3.mol-1]"
_HALOGEN_VOLUME = "Fused salt halogen molar volume [m3.mol-1]"
_FORMATION = "Fused salt formation rate [mol.m-3.s-1]"
_TRANSFER = "Fused salt halogen transfer rate [m3.mol-1.s-1]"
_ENERGY = "Fused salt rate activation energy [J.mol-1]"
_DISSOLUTION_ENTHALPY = "Fused salt dissolution enthalpy [J.mol-1]"
_LOADING_ENTHALPY = "Fused salt loading enthalpy [J.mol-1]"
#: Parameter -> what a larger value does.
PARAMETERS = MappingProxyType(
    {
        _SOLUBILITY: "forms later, more dissolved halogen and agent",
        _CAPACITY: "less dissolved halogen near full charge",
        HALF_LOADING: "more dissolved halogen",
        _FORMATION: "forms and dissolves faster",
        _TRANSFER: "takes up and gives halogen faster",
        _VOLUME: "displaces more electrolyte",
        _HALOGEN_VOLUME: "displaces more electrolyte",
        _ENERGY: "faster when warm",
        "Fused salt conductivity [S.m-1]": "less resistance of the positive electrode",
        _DISSOLUTION_ENTHALPY: "more dissolved when warm, and more heat",
        _LOADING_ENTHALPY: "less dissolved when warm, and less heat",
    }
)
#: Salt below which there is as good as none [mol.m-3 of electrolyte].
_NONE = 0.1
#: Share of places below which they count as full.
_BARE = 1e-6
#: Share of aqueous electrolyte below which salt counts as having displaced it.
_LEFT = 0.02
#: Forming over dissolving, at most.
_FASTEST = 100.0
#: Turns in which the start is found, how far each goes, and most of the agent in the salt then.
_TURNS, _DAMPED, _MOST = 40, 0.4, 0.999


def declare(
    cell: Assembly,
    place: str,
    height: pybamm.Symbol,
    recipe: Mapping[str, pybamm.Symbol],
    domain: Sequence[str] = (),
) -> tuple[FusedSalt, pybamm.Symbol, dict[str, pybamm.Symbol]]:
    """The states of the salt in one part of the cell or in a tank.

    A charged cell begins near equilibrium.

    Parameters
    ----------
    cell
        Receives the states.
    place
        In words.
    height
        Both liquids in an area of cell at the start [m].
    recipe
        Concentrations at the start, as if all were dissolved [mol.m-3].
    domain
        Where the states vary.

    Returns
    -------
    FusedSalt
    pybamm.Symbol
        Aqueous electrolyte at the start [m].
    dict of str to pybamm.Symbol
        Concentrations in it [mol.m-3].
    """
    n, e = cell.numbers, cell.electrolyte
    formed, loaded = _at_start(cell, recipe)
    name = f"{place.capitalize()} fused salt"
    amount = cell.state(f"{name} [mol.m-2]", height * formed, _SCALE, _HOLDS, domain)
    added = f"{name} additional {e.halogen} [mol.m-2]"
    halogen = cell.state(added, height * loaded, _SCALE, _LOADED, domain)
    salt = FusedSalt(amount, halogen, _volume(n, amount, halogen))
    room = _volume(n, formed, loaded)
    left = {
        c: (value - (formed if c in CONTENTS else 0) - (loaded if c == HALOGEN else 0)) / (1 - room)
        for c, value in recipe.items()
    }
    cell.salts[place] = salt
    return salt, height * (1 - room), left


def _at_start(
    cell: Assembly, recipe: Mapping[str, pybamm.Symbol]
) -> tuple[pybamm.Symbol, pybamm.Symbol]:
    """Salt and its additional halogen by volume of both liquids at the start [mol.m-3]."""
    n, polyhalides = cell.numbers, cell.electrolyte.polyhalides
    orders = tuple(p.halogen for p in polyhalides)
    own = (_SOLUBILITY, HALF_LOADING, _CAPACITY, _VOLUME, _HALOGEN_VOLUME)
    numbers = [n(name) for name in own]
    totals = [recipe[c] for c in CONTENTS]
    constants = [n(p.constant) for p in polyhalides]
    # as one function of numbers: written out, it would be many times as long as the model
    formed, loaded = (
        pybamm.Function(Equilibrium(orders, k), *numbers, *totals, *constants) for k in (0, 1)
    )
    return formed, loaded


@dataclass(frozen=True)
class Equilibrium:
    """Salt, or its additional halogen, at equilibrium [mol.m-3 of both liquids].

    What is dissolved and what is in the salt follow from each other by turns. Carbon is taken to
    hold none.

    Parameters
    ----------
    orders
        Halogen in each polyhalide.
    wanted
        0 for the salt, 1 for its additional halogen.
    """

    orders: tuple[float, ...]
    wanted: int

    @property
    def __name__(self) -> str:
        """By which PyBaMM tells functions of the same arguments apart."""
        return f"{'additional halogen of ' if self.wanted else ''}fused salt at equilibrium"

    def __call__(self, *given: Any) -> Any:
        """Of the salt's numbers and volumes, of totals by volume, and of polyhalides' constants."""
        product, half, places, volume, added, agent, halide, halogen, *constants = given
        formed, loaded, share = 0.0 * agent, 0.0 * agent, 1.0
        for _ in range(_TURNS):
            left = 1 - volume * formed - added * loaded
            beside = (halide - formed) / left / share
            free = product * left / ((agent - formed) * beside)
            free = half * _unsaturated(free / half, places)
            bound = [(m, k * free**m) for m, k in zip(self.orders, constants, strict=True)]
            share = 1 + sum(k for _, k in bound)
            dissolved = left * (free + beside * sum(m * k for m, k in bound))
            filled = free / (free + half)
            enough = (halogen - dissolved) / (1 + places * filled)
            enough = (enough + abs(enough)) / 2
            most = _MOST * agent
            formed = formed + _DAMPED * ((enough + most - abs(enough - most)) / 2 - formed)
            loaded = places * filled * formed
        return (formed, loaded)[self.wanted]


def _unsaturated(ratio: Any, places: Any) -> Any:
    """z of z (1 + z)^n = ratio, by Newton's method in logarithms."""
    z = ratio / (1 + ratio) ** (places / (places + 1))
    for _ in range(3):
        off = np.log(z) + places * np.log(1 + z) - np.log(ratio)
        z = z * np.exp(-off / (1 + places * z / (1 + z)))
    return z


def _volume(n: Numbers, amount: pybamm.Symbol, halogen: pybamm.Symbol) -> pybamm.Symbol:
    """Volume of salt, in the unit of the amounts times [m3.mol-1]."""
    return n(_VOLUME) * amount + n(_HALOGEN_VOLUME) * halogen


def conduction(n: Numbers, share: pybamm.Symbol) -> pybamm.Symbol:
    """Conductivity that the salt adds where it fills a share of a volume [S.m-1]."""
    return n("Fused salt conductivity [S.m-1]") * positive(share, _BARE) ** 1.5


def react(cell: Assembly, body: Body, salt: FusedSalt) -> None:
    """Form, dissolve and load the salt of one part of the cell or of a tank.

    Parameters
    ----------
    cell
        Receives rates and heat.
    body
        The electrolyte around the salt.
    salt
        Its states.
    """
    n = cell.numbers
    half = n.equilibrium(HALF_LOADING, _LOADING_ENTHALPY, -1)
    free, places = body.species.halogen, n(_CAPACITY)
    trace = _NONE * body.height
    first = trace * free / (free + half)
    filled = (salt.halogen + places * first) / (places * (salt.amount + trace))
    activity = positive(1 - filled, _BARE) ** places
    # what has lost its capacity is dissolved: no salt holds it
    able = cell.agent_activity * (body.amounts[AGENT] + salt.amount) - salt.amount
    agent = positive(able / body.height, TRACE)
    product = n.equilibrium(_SOLUBILITY, _DISSOLUTION_ENTHALPY)
    saturation = agent * body.species.halide * free / (product * activity)
    speed = n.activated(_FORMATION, _ENERGY) * body.height
    there = salt.amount / (salt.amount + trace)
    forming = speed * (saturation - there) / (1 + saturation / _FASTEST)
    bare = places * salt.amount - salt.halogen
    loading = n.activated(_TRANSFER, _ENERGY) * (free * bare - half * salt.halogen)
    cell.add(salt.amount, forming)
    cell.add(salt.halogen, loading)
    for component in CONTENTS:
        cell.add(body.amounts[component], -forming)
    cell.add(body.amounts[HALOGEN], -loading)
    _report(cell, body, salt, filled)
    heat = n(_DISSOLUTION_ENTHALPY) * forming - n(_LOADING_ENTHALPY) * loading
    cell.chemical_heat = cell.chemical_heat + cell.mean(heat)


def _report(cell: Assembly, body: Body, salt: FusedSalt, filled: pybamm.Symbol) -> None:
    """What there is of the salt, and where it leaves no room for the electrolyte."""
    e, variables = cell.electrolyte, cell.model.variables
    name = f"{body.place.capitalize()} fused salt"
    whole = salt.volume + body.height
    variables[f"{name} volume fraction"] = cell.mean(salt.volume / whole)
    agents = cell.mean(salt.amount) + _NONE * cell.mean(body.height)
    held = filled * (salt.amount + _NONE * body.height)
    loaded = cell.numbers(_CAPACITY) * cell.mean(held)
    variables[f"{name} {e.halogen} loading"] = 1 + loaded / agents
    kind = "tank" if isinstance(body, Tank) else "compartment"
    cell.event(f"Fused salt fills the {body.side} {kind}", body.height / whole - _LEFT)
