r"""Heat balance: one temperature for the whole cell.

.. math::
    C \frac{dT}{dt} + \frac{dH_{eq}}{dt} = \sum_r j_r\left(\phi - E_r + T\frac{dE_r}{dT}\right)
    + i^2 R - i\,\Delta\phi_{diff} + q_{chem} - h (T - T_{amb})

The sum runs over all partial currents of both electrodes (irreversible and reversible heat of
each), with :math:`dE_r/dT` at fixed concentrations of the free species; :math:`H_{eq}` is the
enthalpy of the polyhalides and complexes, of what sites hold and of the solid, whose change along
the local equilibria follows by the chain rule. Source: J. Newman, K. E. Thomas-Alyea,
Electrochemical systems, 3rd ed., Wiley 2004, ch. 9; D. Bernardi, E. Pawlikowski, J. Newman, J.
Electrochem. Soc. 132 (1985) 5, doi:10.1149/1.2113792.

It is the first law, :math:`dH/dt = -iV - h(T - T_{amb})`, for the enthalpy

.. math::
    H = C\,(T - T_0) + H_{eq} + 2F\left(E_M - T\frac{dE_M}{dT}\right) n_{M^{2+}}
    - F\left(E_X - T\frac{dE_X}{dT}\right) n_Y + \Delta h_{vap}\, n_{vapour}

less :math:`\Delta h_{diss}\,s` and with :math:`\Delta h_{load}\,q` of a fused salt (whose halide
counts in :math:`n_Y`), of all that is in the cell or has left it, with the enthalpies of the metal
(dead or not), of the dissolved halogen X2, of H+, OH-, hydrogen, water, carbon and its oxide, of
supporting ions and of the complexing agent taken as zero. So no heat is counted for the
neutralisation of acid, for the hydroxide's precipitation (it holds the metal ion's enthalpy), for
dilution, and for halogen that leaves as vapour or reacts for good.
"""

from __future__ import annotations

import pybamm

from cellmodels.models.zinc_halogen.assembly import Assembly, Body, Electrode


def temperature_rate(cell: Assembly) -> pybamm.Symbol:
    """Rate of the temperature [K.s-1]."""
    capacity: pybamm.Symbol = cell.numbers("Cell areal heat capacity [J.K-1.m-2]")
    for body in cell.bodies.values():
        slope = _equilibrium_slopes(cell, body).get(cell.temperature_state, pybamm.Scalar(0))
        capacity = capacity + cell.mean(slope)
    return (heat_generation(cell) - heat_loss(cell)) / capacity


def heat_generation(cell: Assembly) -> pybamm.Symbol:
    """Heat that the cell gives off at constant temperature [W.m-2]."""
    heat = electrode_heat(cell)
    slopes: dict[pybamm.Variable, pybamm.Symbol] = {}
    for body in cell.bodies.values():
        for state, slope in _equilibrium_slopes(cell, body).items():
            if state is not cell.temperature_state:
                slopes[state] = slopes.get(state, 0) + cell.share(state, slope)
    return heat - cell.change(slopes)


def _equilibrium_slopes(cell: Assembly, body: Body) -> dict[pybamm.Variable, pybamm.Symbol]:
    """Changes of an electrolyte's equilibrium enthalpy with the states, along the equilibrium."""
    if body.place not in cell.equilibrium_slopes:
        cell.equilibrium_slopes[body.place] = _differentiated(cell, body)
    return cell.equilibrium_slopes[body.place]


def _differentiated(cell: Assembly, body: Body) -> dict[pybamm.Variable, pybamm.Symbol]:
    enthalpy = body.height * body.species.enthalpy
    equations = list(body.equilibria.values())
    slopes = _slopes(enthalpy, list(body.equilibria), equations)
    seen = {node for each in (enthalpy, *equations) for node in each.pre_order()}
    found = {}
    for state in cell.states:
        if state in seen:
            found[state] = enthalpy.diff(state)
            for slope, equation in zip(slopes, equations, strict=True):
                found[state] = found[state] - slope * equation.diff(state)
    return found


def _slopes(
    quantity: pybamm.Symbol, unknowns: list[pybamm.Variable], equations: list[pybamm.Symbol]
) -> list[pybamm.Symbol]:
    """Change of a quantity with the value of each equation, all others fixed: Gauss's elimination.

    The equation of an unknown is one that changes with it.
    """
    rows = [[e.diff(u) for e in equations] + [quantity.diff(u)] for u in unknowns]
    count = len(rows)
    for i in range(count):
        above = rows[i][i + 1 :]
        for lower in rows[i + 1 :]:
            factor = lower[i] / rows[i][i]
            lower[i + 1 :] = [a - factor * b for a, b in zip(lower[i + 1 :], above, strict=True)]
    found: dict[int, pybamm.Symbol] = {}
    for i in reversed(range(count)):
        rest = rows[i][count]
        for j in range(i + 1, count):
            rest = rest - rows[i][j] * found[j]
        found[i] = rest / rows[i][i]
    return [found[i] for i in range(count)]


def electrode_heat(cell: Assembly) -> pybamm.Symbol:
    """Heat of all reactions and resistances, that of the local equilibria left out [W.m-2]."""
    heat = cell.chemical_heat
    for electrode in (cell.plate, cell.felt):
        metal, halogen = thermoneutral_potentials(cell, electrode)
        reacting = electrode.metal_current * (electrode.potential - metal)
        reacting = reacting + electrode.halogen_current * (electrode.potential - halogen)
        heat = heat + cell.mean(reacting)
    for reaction in cell.plate_reactions:
        driven = reaction.current * (cell.plate.potential - reaction.thermoneutral)
        heat = heat + cell.mean(driven)
    contact = cell.current**2 * cell.contact
    shorted = cell.short * cell.inner_voltage**2
    return heat + cell.ohmic_heat + contact + shorted


def heat_loss(cell: Assembly) -> pybamm.Symbol:
    """Heat given to the surroundings [W.m-2]."""
    n = cell.numbers
    warmer = n.temperature - pybamm.Parameter("Ambient temperature [K]")
    return n("Heat transfer coefficient [W.m-2.K-1]") * warmer


def thermoneutral_potentials(
    cell: Assembly, electrode: Electrode
) -> tuple[pybamm.Symbol, pybamm.Symbol]:
    """E - T dE/dT of metal and halogen [V]: the reaction enthalpies by charge.

    The concentrations' share of E is proportional to T and drops out.
    """
    formal, t = electrode.formal, cell.numbers.temperature
    return formal.metal - t * formal.metal_slope, formal.halogen - t * formal.halogen_slope
