"""An assembly whose electrolyte and electrodes are resolved through the cell's thickness.

A state of a region is an amount *by area of the whole region*, as if all of it were like this
place: porosity times thickness times concentration [mol.m-2]. Its average over the region is the
region's amount per area of cell, so that rates that are written for a well-mixed compartment hold
for every place of a region, and what they add up to is the average.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pybamm

from cellmodels.models.zinc_halogen.assembly import Assembly
from cellmodels.models.zinc_halogen.broadcasts import Widening
from cellmodels.models.zinc_halogen.species import Electrolyte

#: Share of a layer's thickness by which a face's place may be off from rounding.
ROUNDING = 1e-6


@dataclass(frozen=True)
class Region:
    """A layer of the cell.

    Attributes
    ----------
    name : str
        Its domain.
    x : pybamm.SpatialVariable
        Distance from the plate [m].
    thickness : pybamm.Symbol
        [m]
    porosity : pybamm.Symbol
        Share of electrolyte [-].
    obstruction : pybamm.Symbol
        Effective over free conductivity and diffusivity, the inverse of a MacMullin number [-].
    """

    name: str
    x: pybamm.SpatialVariable
    thickness: pybamm.Symbol
    porosity: pybamm.Symbol
    obstruction: pybamm.Symbol

    def spread(self, symbol: pybamm.Symbol | float) -> pybamm.Symbol:
        """A quantity as a field on this region."""
        symbol = pybamm.convert_to_symbol(symbol)
        return symbol if symbol.domain else pybamm.PrimaryBroadcast(symbol, self.name)

    def mean(self, symbol: pybamm.Symbol) -> pybamm.Symbol:
        """Average of a field on this region."""
        return self.total(symbol) / self.thickness

    def total(self, symbol: pybamm.Symbol) -> pybamm.Symbol:
        """Integral of a field over this region's thickness."""
        return pybamm.Integral(symbol, self.x)


class FieldAssembly(Assembly):
    """Parts of a model whose states may be fields.

    Parameters
    ----------
    model, electrolyte
        As for `Assembly`.

    Attributes
    ----------
    regions : dict of str to Region
        By domain, from the plate to the positive current collector; set when the cell is laid out.
    ionic : pybamm.Symbol
        Current density in the pores of the positive electrode, on its faces [A.m-2].
    wholes : dict of str to pybamm.Variable
        Component -> its amount in all regions [mol.m-2], see the module.
    """

    ionic: pybamm.Symbol

    def __init__(self, model: pybamm.BaseModel, electrolyte: Electrolyte) -> None:
        super().__init__(model, electrolyte)
        self.regions: dict[str, Region] = {}
        self.wholes: dict[str, pybamm.Variable] = {}
        self._sections: dict[pybamm.Variable, tuple[str, str]] = {}
        self._fluxes: dict[str, list[pybamm.Symbol]] = {}

    # --- states --------------------------------------------------------------------------------

    def component(
        self,
        component: str,
        initial: Mapping[str, pybamm.Symbol],
        scale: float,
        holds: Mapping[str, float],
    ) -> dict[str, pybamm.Variable]:
        """The amounts of a component of the electrolyte, by region; one state of the model."""
        word = self.electrolyte.word(component)
        found = {}
        for name in self.regions:
            state = self._declare(f"{name.capitalize()} {word} [mol.m-2]", scale, holds, [name])
            self._starts[state] = initial[name]
            self._sections[state] = (component, name)
            found[name] = state
        whole = pybamm.concatenation(*found.values())
        self.wholes[component] = whole
        self._fluxes[component] = []
        self.model.initial_conditions[whole] = self.over(initial)
        return found

    def add(self, state: pybamm.Variable, rate: pybamm.Symbol) -> None:
        """Add a rate to a state.

        What goes on everywhere in a region adds its average to a state of the whole cell; what the
        plate makes of a component flows in there.
        """
        rate = pybamm.convert_to_symbol(rate)
        if rate.domain and not state.domain:
            rate = self.mean(rate)
        if state in self._sections and not rate.domain:
            self._fluxes[self._sections[state][0]].append(rate * self._at_the_plate())
        else:
            super().add(state, rate)

    def flow(self, component: str, flux: pybamm.Symbol) -> None:
        """Let a component move with a flux that is zero at both ends of the cell [mol.m-2.s-1]."""
        self._fluxes[component].append(flux)

    def _at_the_plate(self) -> pybamm.Symbol:
        """One on the face of the plate, zero on all others."""
        slack = ROUNDING * next(iter(self.regions.values())).thickness
        return self.faces(self.domain) < slack

    def whole_rate(self, component: str) -> pybamm.Symbol:
        """Rate of a component's amount in all regions [mol.m-2.s-1]."""
        rates = {
            name: self.rate(state) for state, (c, name) in self._sections.items() if c == component
        }
        thickness = self.over({name: r.thickness for name, r in self.regions.items()})
        return self.over(rates) - thickness * pybamm.div(sum(self._fluxes[component]))

    def close(self) -> None:
        """Hand the summed rates to the model."""
        for state in self._rates:
            if state not in self._sections:
                self.model.rhs[state] = self.rate(state)
        for component, whole in self.wholes.items():
            self.model.rhs[whole] = self.whole_rate(component)
        self._widen()

    def _widen(self) -> None:
        """Write sums of fields and scalars so that they are differentiated well."""
        wide, model = Widening(), self.model
        model.rhs = {state: wide(rate) for state, rate in model.rhs.items()}
        model.algebraic = {state: wide(zero) for state, zero in model.algebraic.items()}
        for symbol, conditions in dict(model.boundary_conditions).items():
            model.boundary_conditions[wide(symbol)] = conditions

    # --- space ---------------------------------------------------------------------------------

    @property
    def domain(self) -> Sequence[str]:
        """All regions, from the plate on."""
        return list(self.regions)

    def over(self, values: Mapping[str, pybamm.Symbol | float]) -> pybamm.Symbol:
        """A field over the whole cell from its values on the regions."""
        return pybamm.concatenation(*[r.spread(values[name]) for name, r in self.regions.items()])

    def faces(self, names: Sequence[str]) -> pybamm.Symbol:
        """Places of the faces of some neighbouring regions [m]."""
        return pybamm.SpatialVariableEdge("x", domain=list(names), coord_sys="cartesian")

    def integral(self, symbol: pybamm.Symbol) -> pybamm.Symbol:
        """Integral of a field over the whole cell; a flux is averaged to the cells' centres."""
        x = pybamm.SpatialVariable("x", domain=self.domain, coord_sys="cartesian")
        return pybamm.Integral(symbol, x)

    def mean(self, symbol: pybamm.Symbol) -> pybamm.Symbol:
        """Average over the region that a field belongs to."""
        if not symbol.domain:
            return symbol
        return self.regions[symbol.domain[0]].mean(symbol)

    def least(self, symbol: pybamm.Symbol) -> pybamm.Symbol:
        """The smaller of the values at both ends of a region."""
        if not symbol.domain:
            return symbol
        ends = [pybamm.boundary_value(symbol, side, "constant") for side in ("left", "right")]
        return pybamm.minimum(*ends)

    def share(self, state: pybamm.Variable, slope: pybamm.Symbol) -> pybamm.Symbol:
        """What a part of the cell adds to the change of the whole with a state."""
        return slope if state.domain else self.mean(slope)

    def change(self, slopes: Mapping[pybamm.Variable, pybamm.Symbol]) -> pybamm.Symbol:
        """Rate of a quantity of which the changes with some states are known, `slopes`."""
        sections = {s: slope for s, slope in slopes.items() if s in self._sections}
        total: pybamm.Symbol = pybamm.Scalar(0)
        for state, slope in slopes.items():
            if state not in sections:
                total = total + self.mean(slope * self.rate(state))
        for component in dict.fromkeys(self._sections[s][0] for s in sections):
            weights: dict[str, pybamm.Symbol | float] = dict.fromkeys(self.regions, 0.0)
            for state, slope in sections.items():
                if self._sections[state][0] == component:
                    name = self._sections[state][1]
                    weights[name] = slope / self.regions[name].thickness
            total = total + self.integral(self.over(weights) * self.whole_rate(component))
        return total
