r"""Double layers of both electrodes, which make their potentials states.

The charge on an electrode, and the halide that balances it in the electrolyte beside, is

.. math:: F q = C\,(\phi - \phi_0), \qquad F\,\frac{dq}{dt} = i_e - \sum_r j_r

with the electrode's potential :math:`\phi`, the current density :math:`i_e` that it is given (i at
the negative, -i at the positive electrode) and the partial current densities :math:`j_r` of its
reactions, all positive for an oxidation. The state is an amount of halide that the electrolyte has
less (where negative: more), so that the compartments stay neutral, and halogen atoms and redox
state are conserved as sums of amounts. The capacitance is constant; it stores
:math:`\int F\phi\,dq` and gives off no heat of its own. Source: J. Newman, K. E. Thomas-Alyea,
Electrochemical systems, 3rd ed., Wiley 2004, ch. 7 and 22.
"""

from __future__ import annotations

from collections.abc import Sequence

import pybamm

from cellmodels.models.zinc_halogen.assembly import SIDES, Assembly, DoubleLayer
from cellmodels.models.zinc_halogen.compartments import free_at_start
from cellmodels.models.zinc_halogen.numbers import FARADAY, Numbers
from cellmodels.models.zinc_halogen.speciation import TRACE_ION, positive
from cellmodels.models.zinc_halogen.species import ATOMS, HALIDE, METAL_ION, REDOX
from cellmodels.models.zinc_halogen.thermodynamics import (
    formal_potentials,
    halogen_nernst,
    metal_nernst,
)

#: How a cell may begin: with either couple at equilibrium, or as one that never was charged.
STARTS = ("charged", "never charged")
#: Scale of the states [mol.m-2].
_SCALE = 1e-4


def add(
    cell: Assembly, side: str, area: pybamm.Symbol, domain: Sequence[str] = ()
) -> pybamm.Symbol:
    """Add the state of one electrode's double layer, and return its potential [V].

    Parameters
    ----------
    cell
        Its compartments are known.
    side
        "negative" or "positive".
    area
        Area of the electrode in an area of cell [-].
    domain
        Where the state varies.

    Returns
    -------
    pybamm.Symbol
    """
    word = side.capitalize()
    held = {ATOMS: 1.0, REDOX: 0.5}
    name = f"{word} electrode double layer [mol.m-2]"
    charge = cell.state(name, 0.0, _SCALE, held, domain)
    capacitance = area * cell.numbers(f"{word} electrode double-layer capacitance [F.m-2]")
    cell.double_layers[side] = DoubleLayer(charge, capacitance)
    potential = _rest_potential(cell, side) + FARADAY * charge / capacitance
    cell.model.variables[f"{word} electrode potential [V]"] = potential
    return potential


def charge(cell: Assembly, side: str, current: pybamm.Symbol) -> None:
    """Charge a double layer with the current density that the reactions leave [A.m-2]."""
    state = cell.double_layers[side].charge
    cell.add(state, current / FARADAY)
    cell.add(getattr(cell, side).amounts[HALIDE], -current / FARADAY)
    word = f"{side.capitalize()} electrode double-layer current density [A.m-2]"
    cell.model.variables[word] = cell.mean(current)


def _rest_potential(cell: Assembly, side: str) -> pybamm.Symbol:
    """Potential of an electrode at the start [V], which its charge counts from."""
    of_metal = side == SIDES[0] and cell.double_layer_start == STARTS[0]
    there = side if of_metal else SIDES[1]
    e, numbers = cell.electrolyte, Numbers(pybamm.Parameter("Ambient temperature [K]"))
    at = cell.recipe[there]
    free = {**at, **free_at_start(cell, at)}
    ion, halide = positive(free[METAL_ION], TRACE_ION), positive(free[HALIDE], TRACE_ION)
    formal = formal_potentials(e, numbers, cell.activity, ion)
    if of_metal:
        return formal.metal + metal_nernst(numbers, ion)
    log_halogen = cell.model.initial_conditions[getattr(cell, there).log_halogen]
    return formal.halogen + halogen_nernst(numbers, halide, log_halogen)
