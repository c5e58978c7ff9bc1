"""The energy balance, through an enthalpy of all that is in the cell.

The enthalpy is computed here from the amounts alone, with local equilibria of its own: nothing of
the heat equation is used.
"""

from __future__ import annotations

import numpy as np
import pybamm
import pytest
from scipy.optimize import brentq

import cellmodels as cm

from .conftest import CHEMISTRIES, FAST, FLOW_SETS, cell_of, mechanisms_of, solve

FARADAY, GAS, WARM = 96485.33212331001, 8.31446261815324, 298.15
CYCLE = (
    "Charge at 0.5C for 2 hours",
    "Rest for 30 minutes",
    "Discharge at 0.5C until 0.5 V",
    "Hold at 0.05 V for 30 minutes",
)


class Enthalpy:
    """Enthalpy of a cell from its amounts and its temperature [J.m-2].

    Zero are those of metal, X2 in water, H+, OH-, hydrogen, water, carbon and its oxide.
    """

    def __init__(self, cell: cm.Cell) -> None:
        self.cell, self.chemistry = cell, cell.chemistry
        self.complexed = any(m.short_name == "zinc complexes" for m in cell.mechanisms)
        self.value = cell.value
        self.words = {key: s.title for key, s in self.chemistry.species.items()}
        metal = self.chemistry.reactions["metal electrode"]
        halogen = self.chemistry.reactions["halogen electrode"]
        self.rest: dict[str, float] = {}  # potentials where the double layers hold nothing
        self.flows = any(isinstance(m, cm.Flow) for m in cell.mechanisms)
        kinds = ("compartment", "tank") if self.flows else ("compartment",)
        self.parts = [f"{side} {kind}" for side in SIDES for kind in kinds]
        self.metal, self.metal_ion = metal.products[0].species, metal.reactants[0].species
        self.halogen, self.halide = halogen.reactants[0].species, halogen.products[0].species

    def __call__(self, amount, temperature: float) -> float:
        """`amount` gives a state by its name."""
        metal, ion, halide = (self.words[k] for k in (self.metal, self.metal_ion, self.halide))
        ions = sum(amount(f"{part} {ion} [mol.m-2]") for part in self.parts)
        halides = sum(amount(f"{part} {halide} [mol.m-2]") for part in self.parts)
        settled = self.optional(amount, "Zinc precipitate [mol.m-2]")
        offset = self.value("Positive electrode formal potential offset [V]")
        per_ion = 2 * FARADAY * self.thermoneutral(metal)
        per_halide = -FARADAY * (self.thermoneutral(self.words[self.halogen]) + offset)
        vapour = sum(self.optional(amount, f"{side} compartment water lost [m]") for side in SIDES)
        return (
            self.value("Cell areal heat capacity [J.K-1.m-2]") * (temperature - WARM)
            + per_ion * (ions + settled)
            + per_halide * halides
            + 44000.0 * vapour / 1.807e-5
            + sum(self.held(amount, part, temperature) for part in self.parts)
            + sum(self.charged(amount, side, per_halide) for side in SIDES)
        )

    def charged(self, amount, side: str, per_halide: float) -> float:
        """Energy of a double layer and of the halide in it: the integral of phi F dq."""
        held = self.optional(amount, f"{side} electrode double layer [mol.m-2]")
        if not held:
            return 0.0
        area = 1.0
        if side == "Positive":
            area = self.value("Positive electrode surface area to volume ratio [m-1]")
            area *= self.value("Positive electrode thickness [m]")
        capacitance = area * self.value(f"{side} electrode double-layer capacitance [F.m-2]")
        charge = FARADAY * held
        return charge * (self.rest[side] + charge / capacitance / 2) + per_halide * held

    def thermoneutral(self, word: str) -> float:
        """E - T dE/dT of a couple, the same at every temperature [V]."""
        name = word.capitalize()
        slope = self.value(f"{name} standard potential change [V.K-1]")
        return self.value(f"{name} standard potential [V]") - WARM * slope

    def optional(self, amount, name: str) -> float:
        try:
            return amount(name)
        except KeyError:
            return 0.0

    def held(self, amount, part: str, temperature: float) -> float:
        """Enthalpy of polyhalides, of what sites hold and of the solid."""
        height = self.height(amount, part)
        total = {
            key: amount(f"{part} {self.words[key]} [mol.m-2]") / height
            for key in (self.halide, self.halogen)
        }
        inverse = 1 / temperature - 1 / WARM

        def constant(each, name: str, sign: int) -> float:
            change = sign * self.value(each.enthalpy) / GAS * inverse
            return self.value(name) * np.exp(-change)

        poly, complexes = [], []
        for each in self.chemistry.equilibria.values():
            counts = {t.species: t.count for t in self.chemistry.reactions[each.reaction].reactants}
            if self.metal_ion not in counts:
                found = constant(each, each.constant, 1), self.value(each.enthalpy)
                poly.append((counts[self.halogen], *found))
            elif self.complexed:
                (ligand,) = set(counts) - {self.metal_ion}
                found = constant(each, each.constant, 1), self.value(each.enthalpy)
                complexes.append((ligand, counts[ligand], *found))
        ligands = sorted({ligand for ligand, *_ in complexes})
        for key in (self.metal_ion, *ligands):
            total[key] = amount(f"{part} {self.words[key]} [mol.m-2]") / height
        sites, settling = [], []
        for each in self.chemistry.isotherms.values():
            places = self.value(each.capacity)
            if each.host == "positive electrode":
                thickness = self.value("Positive electrode thickness [m]")
                places *= thickness / height if part == "Positive compartment" else 0.0
            else:
                active = self.optional(amount, "Complexing agent activity") or 1.0
                agent = active * amount(f"{part} {self.words[each.host]} [mol.m-2]") / height
                if part == "Positive tank":
                    settling = [(agent, places, constant(each, each.half_loading, -1))]
                places *= agent
            half = constant(each, each.half_loading, -1)
            sites.append((places, half, self.value(each.enthalpy)))
        solids = [
            (constant(each, each.constant, -1), self.value(each.enthalpy))
            for each in self.chemistry.saturations.values()
        ]

        held_by = np.array([[n * (own == x) for own, n, *_ in complexes] for x in ligands])
        constants = np.array([k for *_, k, _ in complexes])
        enthalpy = np.array([h for *_, h in complexes])
        guess = [np.array([np.log(total[x]) - 1 for x in ligands])]

        def in_complexes(halide: float, poly: float) -> tuple[float, float]:
            """Free halide beside complexes, and their enthalpy; `poly` is what polyhalides add.

            Newton's method on the ligands' balances, in logarithms of the free ligands.
            """
            if not complexes:
                return halide / (1 + poly), 0.0
            totals = np.array([halide if x == self.halide else total[x] for x in ligands])
            own = np.array([1 + poly if x == self.halide else 1.0 for x in ligands])
            logs = guess[-1]
            for _ in range(30):
                ratios = constants * np.exp(logs @ held_by)
                shares = ratios / (1 + ratios.sum())
                formed = total[self.metal_ion] * shares
                free = own * np.exp(logs)
                found = free + held_by @ formed
                off = np.log(found / totals)
                if np.max(np.abs(off)) < 1e-13:
                    break
                slope = np.diag(free) + (held_by * formed) @ held_by.T
                slope -= np.outer(held_by @ formed, held_by @ shares)
                logs = logs - np.linalg.solve(slope / found[:, None], off)
            assert np.max(np.abs(off)) < 1e-12
            guess.append(logs)
            return np.exp(logs[ligands.index(self.halide)]), enthalpy @ formed

        def parts(b: float) -> list[tuple[float, float]]:
            """Halogen of each kind and its enthalpy, where `b` is free [mol.m-3, J.m-3]."""
            away = sum(agent * (1 - (c / (b + c)) ** m) for agent, m, c in settling)
            poly_ratio = sum(k * b**n for n, k, _ in poly)
            free, formed = in_complexes(total[self.halide] - away, poly_ratio)
            found = [(b, 0.0), (0.0, formed)]
            found += [(n * k * free * b**n, h * k * free * b**n) for n, k, h in poly]
            found += [(s * b / (b + c), h * s * b / (b + c)) for s, c, h in sites]
            return found

        def everything(unknown: float) -> list[tuple[float, float]]:
            """All kinds; the unknown is ln b, and goes on beyond the saturation."""
            log, settled = unknown, []
            for saturation, enthalpy in solids:
                over = 0.005 * np.logaddexp(0.0, (unknown - np.log(saturation)) / 0.005)
                log = unknown - (1 - 0.001) * over
                settled = [(1000 * over, 1000 * over * enthalpy)]
            return [*parts(np.exp(log)), *settled]

        def excess(unknown: float) -> float:
            return sum(held for held, _ in everything(unknown)) - total[self.halogen]

        top = np.log(total[self.halogen])
        if solids:
            top = min(top, np.log(solids[0][0]) + 1.1e-3 * total[self.halogen] + 0.1)
        unknown = brentq(excess, np.log(1e-15), top, xtol=1e-14, rtol=1e-15)
        return height * sum(h for _, h in everything(unknown))

    def height(self, amount, part: str) -> float:
        side, kind = part.split()
        lost = self.optional(amount, f"{side} compartment water lost [m]")
        if kind == "tank":
            return self.value(f"{side} tank volume per area [m]") - lost
        shared = self.value("Separator porosity") * self.value("Separator thickness [m]") / 2
        own = self.value("Negative compartment electrolyte height [m]")
        if side == "Positive":
            porosity = self.value("Positive electrode porosity")
            own = porosity * self.value("Positive electrode thickness [m]")
            own += self.value("Positive reservoir electrolyte height [m]")
        return own + shared - (0.0 if self.flows else lost)


SIDES = ("Negative", "Positive")


def with_heat_counted(model: pybamm.BaseModel, variable: str) -> pybamm.BaseModel:
    """The model with the integral of a variable as one more state, "Counted" [J.m-2]."""
    counted = pybamm.Variable("Counted", scale=1e4)
    model.rhs[counted] = model.variables[variable]
    model.initial_conditions[counted] = pybamm.Scalar(0)
    model.variables["Counted"] = counted
    return model


def work(solution: pybamm.Solution, cell: cm.Cell) -> np.ndarray:
    """Energy that has left through the terminals [J.m-2]."""
    return solution["Discharge energy [W.h]"].entries * 3600 / cell.electrode_area


def some(solution: pybamm.Solution) -> np.ndarray:
    """About a hundred of a solution's times, the last among them."""
    count = len(solution.t)
    return np.unique(np.linspace(0, count - 1, min(count, 100)).astype(int))


def enthalpies(cell: cm.Cell, solution: pybamm.Solution, times: np.ndarray) -> np.ndarray:
    """The enthalpy at some times of a solution."""
    enthalpy = Enthalpy(cell)
    enthalpy.rest = {
        side: float(solution[f"{side} electrode potential [V]"].entries[0]) for side in SIDES
    }
    names = [v.name for v in cell.pybamm_model().rhs]
    entries = {name: solution[name].entries for name in names}
    warmth = solution["Cell temperature [K]"].entries
    return np.array(
        [enthalpy(lambda name: entries[name][k], warmth[k]) for k in times]  # noqa: B023
    )


def assert_first_law(gained: np.ndarray, given_off: np.ndarray, scale: float) -> None:
    np.testing.assert_allclose(gained - gained[0] + given_off, 0.0, atol=1e-6 * scale)


def everything(name: str, flow: bool, without: str = "") -> cm.Cell:
    """A cell that does everything, with tanks or without."""
    mechanisms = tuple(m for m in mechanisms_of(name) if m != without)
    if not flow:
        return cell_of(name, mechanisms, tuple(FAST.items()))
    return cell_of(name, (*mechanisms, cm.Flow()), tuple(FAST.items()), FLOW_SETS[name])


@pytest.mark.parametrize("flow", [False, True], ids=["static", "flow"])
@pytest.mark.parametrize("name", CHEMISTRIES)
def test_the_first_law_with_every_mechanism(name, flow):
    """H(t) - H(0) = -int iV dt - int h (T - T_amb) dt, and the friction of what is pumped."""
    cell = everything(name, flow)
    model = cell.pybamm_model()
    ambient = cell.value("Ambient temperature [K]")
    model.variables["Loss"] = cell.value("Heat transfer coefficient [W.m-2.K-1]") * (
        model.variables["Cell temperature [K]"] - ambient
    ) - model.variables.get("Hydraulic power [W.m-2]", 0)
    solution = solve(cell, *CYCLE, model=with_heat_counted(model, "Loss"))
    assert len(solution.cycles[0].steps) == len(CYCLE)
    moved = work(solution, cell)
    if cell.chemistry.saturations:
        (solid,) = (v for v in model.variables if v.startswith("Positive compartment solid"))
        assert solution[solid].entries.max() > 10.0  # its enthalpy is in the balance
    warmth = solution["Cell temperature [K]"].entries
    assert np.ptp(warmth) > (0.1 if flow else 0.5)
    scale = np.sum(np.abs(np.diff(moved)))
    times = some(solution)
    gained = enthalpies(cell, solution, times)
    assert np.ptp(gained) > 0.5 * scale / 2
    assert_first_law(gained, (moved + solution["Counted"].entries)[times], scale)


@pytest.mark.parametrize("flow", [False, True], ids=["static", "flow"])
@pytest.mark.parametrize("name", CHEMISTRIES)
def test_isothermal_heat_of_the_same_enthalpy(name, flow):
    """H(t) - H(0) = -int iV dt - int (Q - P) dt at constant temperature, P of the pumped."""
    cell = everything(name, flow, "lumped thermal")
    model = cell.pybamm_model()
    model.variables["Loss"] = model.variables["Heat generation [W.m-2]"] - model.variables.get(
        "Hydraulic power [W.m-2]", 0
    )
    model = with_heat_counted(model, "Loss")
    solution = solve(cell, *CYCLE, model=model)
    moved = work(solution, cell)
    scale = np.sum(np.abs(np.diff(moved)))
    times = some(solution)
    given_off = (moved + solution["Counted"].entries)[times]
    assert_first_law(enthalpies(cell, solution, times), given_off, scale)
