"""States of the whole cell beside fields, written so that their derivatives come out right.

CasADi's derivatives of a sum of a scalar and a vector are wrong in reverse mode: only some of the
vector's elements are seen to change with the scalar (versions 3.6 to 3.8; MX graphs, where the
outputs are stacked). PyBaMM's Jacobians are made of such graphs, and lose their entries silently:
a solver then converges slowly, and keeps no balance beyond its tolerance. A product with a vector
of ones is differentiated correctly. Sums of a field and a parameter are left as they are.
"""

from __future__ import annotations

import pybamm


class Widening:
    """Rewrites sums of fields and of scalars that change, so that both are fields.

    PyBaMM takes its own broadcasts out of such sums, so that ones are written as what is always
    true of a place.
    """

    def __init__(self) -> None:
        self._done: dict[int, pybamm.Symbol] = {}

    def __call__(self, symbol: pybamm.Symbol) -> pybamm.Symbol:
        """The same expression, without sums of a changing scalar and a field."""
        if symbol.id not in self._done:
            self._done[symbol.id] = self._rewritten(symbol)
        return self._done[symbol.id]

    def _rewritten(self, symbol: pybamm.Symbol) -> pybamm.Symbol:
        children = [self(child) for child in symbol.children]
        if isinstance(symbol, pybamm.Addition | pybamm.Subtraction):
            left, right = children
            children = [_wide(left, right), _wide(right, left)]
        if all(new is old for new, old in zip(children, symbol.children, strict=True)):
            return symbol
        return symbol.create_copy(new_children=children)


def _wide(symbol: pybamm.Symbol, beside: pybamm.Symbol) -> pybamm.Symbol:
    """A scalar that changes as a field like the one beside it; all else as it is."""
    if symbol.domain or not beside.domain or not symbol.has_symbol_of_classes(pybamm.Variable):
        return symbol
    if beside.evaluates_on_edges("primary"):
        x = pybamm.SpatialVariableEdge("x", domain=beside.domain, coord_sys="cartesian")
    else:
        x = pybamm.SpatialVariable("x", domain=beside.domain, coord_sys="cartesian")
    return (x > -1) * symbol
