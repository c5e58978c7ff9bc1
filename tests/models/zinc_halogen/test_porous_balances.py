"""What the porous model conserves, with every mechanism on, and its energy balance."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cellmodels as cm
from cellmodels.solver.outcome import Reason, SolveFailure

from .conftest import CHEMISTRIES, FAST, averaged, marcher, mechanisms_of, solve
from .test_balances import one_step
from .test_thermal import (
    FARADAY,
    WARM,
    Enthalpy,
    assert_first_law,
    with_heat_counted,
    work,
)

#: Relative to all that takes part in a balance; less than is there of anything [mol.m-2].
RELATIVE, ROUNDING = 1e-10, 1e-15
MESH = {"x_n": 4, "x_s": 3, "x_p": 4}
CYCLE = (
    "Charge at 0.5C for 1 hour",
    "Rest for 10 minutes",
    "Discharge at 0.3C until 0.05 V",
    "Hold at 0.01 V for 30 minutes",
    "Rest for 24 hours",
)
#: What a set of a flow cell needs to be one without tanks: a gap, and no reservoirs.
WITHOUT_TANKS = {
    "zinc_iodine": {
        "Negative gap thickness [m]": 5e-4,
        "Negative compartment electrolyte height [m]": 5e-4,
        "Positive reservoir electrolyte height [m]": 0.0,
        "Nominal cell capacity [A.h]": 0.2,
        "Maximum zinc areal capacity [mol.m-2]": 2.0,
    },
}


@functools.cache
def cell_of(name: str, without: tuple[str, ...] = ()) -> cm.Cell:
    """A cell that does everything that this model can, fast."""
    own = ["negative felt", *mechanisms_of(name)]
    mechanisms = [short for short in own if short not in without]
    changes = WITHOUT_TANKS.get(name, {})
    parameters = cm.Cell(name).parameters
    if changes:
        parameters = parameters.replace(changes, source="a test")
    cell = cm.Cell(name, parameters, "porous", mechanisms, MESH)
    known = cell.parameter_values()
    fast = {key: value for key, value in FAST.items() if key in known}
    return cell.with_parameters(fast, source="a test")


#: The negative electrode as a plate, and as a felt.
VARIANTS = {"plate": ("double layer", "negative felt"), "felt": ("double layer",)}


def assert_conserved(balances, amounts) -> None:
    for key, balance in balances.items():
        total = sum(factor * amounts[name] for name, factor in balance.items())
        gross = np.max(sum(abs(factor * amounts[name]) for name, factor in balance.items()))
        assert np.ptp(total) < RELATIVE * gross + ROUNDING, f"{key} is not conserved"


@pytest.mark.parametrize("without", VARIANTS.values(), ids=VARIANTS)
@pytest.mark.parametrize("name", CHEMISTRIES)
class TestConservation:
    @settings(max_examples=4)
    @given(data=st.data())
    def test_in_our_solver(self, name, without, data):
        cell = cell_of(name, without)
        steps = data.draw(st.lists(one_step(*cell.voltage_limits), min_size=1, max_size=3))
        run = marcher(cell)
        for count in range(len(steps), 0, -1):
            try:
                march = run(*steps[:count])
            except SolveFailure as failure:
                if failure.reason not in (Reason.MODEL_EVENT, Reason.EXHAUSTED):
                    raise
                continue
            assert np.all(np.isfinite(march.points)) and np.all(np.isfinite(march.voltage))
            assert_conserved(run.model.balances, march)
            return

    @pytest.mark.slow
    def test_in_pybamm(self, name, without):
        cell = cell_of(name, without)
        solution = solve(cell, *CYCLE, rtol=1e-5)
        assert len(solution.cycles[0].steps) == len(CYCLE)
        balances = cell.pybamm_model().balances
        states = {state for balance in balances.values() for state in balance}
        amounts = {state: averaged(solution[state].entries) for state in states}
        assert_conserved(balances, amounts)
        for key, balance in balances.items():
            total = sum(factor * amounts[state] for state, factor in balance.items())
            np.testing.assert_allclose(solution[key].entries, total, rtol=1e-12, atol=1e-14)


# --- energy --------------------------------------------------------------------------------------

#: Layer -> side of the cell whose water it loses, and where its electrolyte is.
SIDE = {"Negative electrode": "Negative", "Separator": None, "Positive electrode": "Positive"}


class LayeredEnthalpy(Enthalpy):
    """Enthalpy of a cell whose layers have profiles: the mean over the volumes of each."""

    def __call__(self, amount, temperature: float) -> float:
        """`amount` gives a state by its name, one that varies in a layer by volume."""
        total = 0.0
        for layer, side in SIDE.items():
            volumes = len(amount(f"{layer} {self.words[self.halide]} [mol.m-2]"))
            found = (self._volume(amount, layer, k, temperature) for k in range(volumes))
            total += sum(found) / volumes
            if side is not None:
                lost = self.optional(amount, f"{side} compartment water lost [m]")
                total += 44000.0 * lost / 1.807e-5
        settled = self.optional(amount, "Zinc precipitate [mol.m-2]")
        total += 2 * FARADAY * self.thermoneutral(self.words[self.metal]) * np.mean(settled)
        return total + self.value("Cell areal heat capacity [J.K-1.m-2]") * (temperature - WARM)

    def _volume(self, amount, layer: str, k: int, temperature: float) -> float:
        """As if all of the layer were as one of its volumes."""
        side = SIDE[layer]
        self._layer = layer

        def at(name: str) -> float:
            plain = name.replace("Positive compartment", layer).replace(
                "Negative compartment", layer
            )
            value = amount(name if "water lost" in name else plain)
            return value[k] if np.ndim(value) else value

        ion, halide = (self.words[key] for key in (self.metal_ion, self.halide))
        offset = self.value("Positive electrode formal potential offset [V]")
        per_halide = -FARADAY * (self.thermoneutral(self.words[self.halogen]) + offset)
        per_ion = 2 * FARADAY * self.thermoneutral(self.words[self.metal])
        held = self.held(at, f"{side or 'Negative'} compartment", temperature)
        return (
            per_ion * at(f"{layer} {ion} [mol.m-2]")
            + per_halide * at(f"{layer} {halide} [mol.m-2]")
            + held
        )

    def height(self, amount, part: str) -> float:
        """Of the layer's electrolyte."""
        if self._layer == "Separator":
            return self.value("Separator porosity") * self.value("Separator thickness [m]")
        if self._layer == "Negative electrode":
            own = self.value("Negative compartment electrolyte height [m]")
        else:
            porosity = self.value("Positive electrode porosity")
            own = porosity * self.value("Positive electrode thickness [m]")
        return own - self.optional(amount, f"{part} water lost [m]")


def enthalpies(cell: cm.Cell, solution, every: int) -> np.ndarray:
    """The enthalpy at some times of a solution."""
    enthalpy = LayeredEnthalpy(cell)
    model = cell.pybamm_model()
    names = {child.name for v in model.rhs for child in (v, *getattr(v, "orphans", ()))}
    entries = {name: solution[name].entries for name in names if name in model.variables}
    warmth = solution["Cell temperature [K]"].entries
    times = range(0, len(warmth), every)
    return np.array(
        [enthalpy(lambda name: entries[name][..., k], warmth[k]) for k in times]  # noqa: B023
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", CHEMISTRIES)
@pytest.mark.parametrize("isothermal", [False, True])
def test_the_first_law_with_every_mechanism(name, isothermal):
    """H(t) - H(0) = -int iV dt - int Q dt, with Q the heat generated or, not isothermal, lost."""
    without = ("double layer", "negative felt", *(["lumped thermal"] if isothermal else []))
    cell = cell_of(name, without)
    model = cell.pybamm_model()
    if isothermal:
        given_off = "Heat generation [W.m-2]"
    else:
        given_off = "Loss"
        warmer = model.variables["Cell temperature [K]"] - cell.value("Ambient temperature [K]")
        model.variables[given_off] = cell.value("Heat transfer coefficient [W.m-2.K-1]") * warmer
    steps = CYCLE[:3]
    solution = solve(cell, *steps, model=with_heat_counted(model, given_off), rtol=1e-8)
    assert len(solution.cycles[0].steps) == len(steps)
    every = len(solution.t) // 100
    moved, lost = (v[::every] for v in (work(solution, cell), solution["Counted"].entries))
    scale = np.sum(np.abs(np.diff(moved)))
    gained = enthalpies(cell, solution, every)
    assert np.ptp(gained) > 0.2 * scale
    assert_first_law(gained, moved + lost, scale)
