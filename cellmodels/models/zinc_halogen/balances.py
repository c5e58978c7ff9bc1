r"""What no reaction and no flux inside a cell can change, as sums over its states.

Every state that holds matter says how much of each conserved quantity one mole of it holds: atoms
of the metal and of the halogen, ions of a supporting salt, complexing agent, acid (protons less
hydroxide), and the *redox* state, counted so that it is zero for the ions of the electrolyte: one
for the halogen X2, minus one for the metal and for hydrogen. Hence the balances

.. math:: \sum_k a_{qk}\, n_k = \mathrm{const}

for each quantity q over all states k, and :math:`\sum_k z_k n_k = 0` in every part of the cell
and in every tank. What leaves the cell or is worn off it, such as halogen lost as vapour, is a
state as well.

Carbon that the halogen oxidises, X2 + C + H2O -> 2 X- + C(O) + 2 H+, holds two protons less than
carbon and water, and the redox state of the halogen that it consumed. Zinc hydroxide holds two
protons less than zinc ion and water.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import pybamm

from cellmodels.models.zinc_halogen.assembly import Assembly
from cellmodels.models.zinc_halogen.species import ACID, AGENT, ATOMS, METAL, REDOX, Electrolyte

#: Name of a state -> how much of the balanced quantity one of it holds.
Balance = Mapping[str, float]


def balances(cell: Assembly) -> dict[str, Balance]:
    """All balances of a model, by the name under which they are reported.

    Parameters
    ----------
    cell
        All states of the model are declared.

    Returns
    -------
    dict of str to mapping of str to float
        "Total zinc [mol.m-2]", ... -> name of a state [mol.m-2] -> factor.
    """
    e = cell.electrolyte
    found: dict[str, Balance] = {}
    for quantity in (METAL, ATOMS, *e.supporting, *([AGENT] if e.agent else []), ACID, REDOX):
        held = {s.name: h[quantity] for s, h in cell.holds.items() if h.get(quantity)}
        found[_name(e, quantity)] = MappingProxyType(held)
    for place, body in cell.bodies.items():
        amounts = body.amounts.items()
        charges = {state.name: float(e.charge(c)) for c, state in amounts if e.charge(c)}
        found[f"{place.capitalize()} charge [mol.m-2]"] = MappingProxyType(charges)
    return found


def total(cell: Assembly, balance: Balance) -> pybamm.Symbol:
    """The sum that a balance keeps constant [mol.m-2]."""
    states = {state.name: state for state in cell.holds}
    return sum(factor * cell.mean(states[name]) for name, factor in balance.items())


def _name(e: Electrolyte, quantity: str) -> str:
    if quantity == REDOX:
        return "Redox balance [mol.m-2]"
    words = {METAL: e.metal, ATOMS: f"{e.halogen} atoms", AGENT: e.agent}
    return f"Total {words.get(quantity, quantity)} [mol.m-2]"
