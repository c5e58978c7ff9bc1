"""The complexed halogen as a second liquid: equilibria, balances, the first law and limits."""

from __future__ import annotations

import functools

import numpy as np
import pybamm
import pytest

import cellmodels as cm
from cellmodels.errors import InputError
from cellmodels.observations import Points, PointSet

from .conftest import FAST, averaged, drift, marcher, mechanisms_of, solve
from .test_thermal import FARADAY, Enthalpy, assert_first_law, with_heat_counted, work

STEPS = (
    "Charge at 0.5C for 90 minutes",
    "Rest for 10 minutes",
    "Discharge at 0.5C until 0.5 V",
    "Hold at 0.5 V for 10 minutes",
)
#: No halogen leaves the positive side, and none of the agent comes to it.
CLOSED = (
    ("Separator neutral partition coefficient", 1e-12),
    ("Separator polyhalide partition coefficient", 1e-12),
    ("Complexing agent diffusivity [m2.s-1]", 1e-20),
)
MODELS = ("lumped", "porous")
BODIES = {"lumped": "Positive compartment", "porous": "Positive electrode"}
SALT, ADDED = "fused salt [mol.m-2]", "fused salt additional bromine [mol.m-2]"


@functools.cache
def salted(
    model: str = "lumped", changes: tuple = (), others: tuple = (), flow: str = ""
) -> cm.Cell:
    mechanisms = [cm.FusedSalt(), *others, *([cm.Flow(flow)] if flow else [])]
    parameters = "zinc_bromine_flow" if flow else "zinc_bromine_static"
    mesh = {"x_n": 4, "x_s": 4, "x_p": 6} if model == "porous" else None
    cell = cm.Cell("zinc_bromine", parameters, model=model, mechanisms=mechanisms, mesh=mesh)
    return cell.with_parameters(dict(changes), source="a test") if changes else cell


@functools.cache
def cycled(model: str, flow: str = "") -> pybamm.Solution:
    return solve(salted(model, flow=flow), *STEPS, rtol=1e-6)


@pytest.mark.parametrize("model", MODELS)
def test_at_rest_it_is_saturated_and_loaded(model):
    """c_Q y b = K (1 - theta)^n with theta = b / (b + c*), everywhere."""
    cell = salted(model, CLOSED)
    solution = solve(cell, STEPS[0], "Rest for 24 hours")
    body, value = BODIES[model], cell.value

    def at_end(name: str) -> np.ndarray:
        return np.atleast_2d(solution[name].entries)[:, -1]

    felt = slice(None) if model == "lumped" else slice(-6, None)
    word = "" if model == "porous" else f"{body} "

    def found(what: str) -> np.ndarray:
        name = f"{word}{what} concentration [mol.m-3]"
        return at_end(name if word else name[0].upper() + name[1:])[felt]

    agent, y, b = found("complexing agent"), found("free bromide"), found("free bromine")
    salt, added = at_end(f"{body} {SALT}"), at_end(f"{body} {ADDED}")
    places = value("Fused salt halogen capacity")
    filled = added / salt / places
    half = value("Fused salt half-loading halogen concentration [mol.m-3]")
    assert np.all(salt > 0.5)
    np.testing.assert_allclose(filled, b / (b + half), rtol=1e-4)
    product = value("Fused salt solubility product [mol3.m-9]")
    np.testing.assert_allclose(agent * y * b, product * (1 - filled) ** places, rtol=1e-3)


@pytest.mark.parametrize(
    ("model", "flow"),
    [
        ("lumped", ""),
        ("porous", ""),
        ("lumped", "well-mixed"),
        ("lumped", "plug-flow"),
        ("porous", "well-mixed"),
    ],
)
def test_amounts_are_conserved(model, flow):
    solution, cell = cycled(model, flow), salted(model, flow=flow)
    assert len(solution.cycles[0].steps) == len(STEPS)
    place = "Positive tank" if flow else BODIES[model]
    formed = averaged(solution[f"{place} {SALT}"].entries)
    assert formed.max() > 1.0 > 0.1 > formed[-1]
    for key, balance in cell.pybamm_model().balances.items():
        amounts = {state: averaged(solution[state].entries) for state in balance}
        assert drift(balance, amounts) < 1e-10, f"{key} is not conserved"


@pytest.mark.parametrize("flow", ["", "well-mixed"], ids=["static", "flow"])
def test_amounts_are_conserved_by_our_solver(flow):
    cell = salted("lumped", flow=flow)
    march = marcher(cell)("Charge at 1C for 40 minutes", "Discharge at 1C until 0.5 V")
    for key, balance in cell.pybamm_model().balances.items():
        amounts = {state: march[state] for state in balance}
        assert drift(balance, amounts) < 1e-10, f"{key} is not conserved"


def test_amounts_are_conserved_with_all_else():
    cell = salted("lumped", tuple(FAST.items()), tuple(mechanisms_of("zinc_bromine")))
    march = marcher(cell)("Charge at 0.5C for 1 hour", "Discharge at 0.5C until 0.5 V")
    for key, balance in cell.pybamm_model().balances.items():
        amounts = {state: march[state] for state in balance}
        assert drift(balance, amounts) < 1e-10, f"{key} is not conserved"


def test_both_liquids_fill_the_cell():
    value, solution, body = salted().value, cycled("lumped"), BODIES["lumped"]
    volume = value("Fused salt molar volume [m3.mol-1]") * solution[f"{body} {SALT}"].entries
    added = value("Fused salt halogen molar volume [m3.mol-1]")
    volume = volume + added * solution[f"{body} {ADDED}"].entries
    height = solution[f"{body} electrolyte height [m]"].entries
    share = solution[f"{body} fused salt volume fraction"].entries
    np.testing.assert_allclose(height + volume, height[0] + volume[0], rtol=1e-9)
    np.testing.assert_allclose(share, volume / (height + volume), rtol=1e-9, atol=1e-12)
    assert share.max() > 0.05


def test_our_solver_agrees_with_idaklu():
    ours, theirs = marcher(salted())(*STEPS), solve(salted(), *STEPS)
    assert ours["Zinc areal amount [mol.m-2]"][-1] == pytest.approx(
        theirs["Zinc areal amount [mol.m-2]"].entries[-1], rel=1e-4, abs=1e-5
    )
    charged = theirs.cycles[0].steps[0]
    assert ours.steps[0].voltage.ravel()[-1] == pytest.approx(
        charged["Voltage [V]"].entries[-1], abs=1e-4
    )


def capacity(**changes: float) -> float:
    """Of the discharge after a charge [A.h]."""
    cell = salted("lumped", tuple(changes.items()))
    march = marcher(cell)(*STEPS[:3])
    charges = march["Discharge capacity [A.h]"]
    return float(charges[-1] - charges.min())


def test_rates_count_only_where_they_are_slow():
    """Ten times faster changes little at 0.5C; a thousand times slower transfer is felt at once."""
    transfer = "Fused salt halogen transfer rate [m3.mol-1.s-1]"
    formation = "Fused salt formation rate [mol.m-3.s-1]"
    own = {name: salted().value(name) for name in (transfer, formation)}
    fast = {name: 100 * rate for name, rate in own.items()}
    faster = {name: 10 * rate for name, rate in fast.items()}
    assert capacity(**faster) == pytest.approx(capacity(**fast), rel=1e-3)
    assert capacity(**{formation: 1e-3 * own[formation]}) < 0.8 * capacity(**fast)
    assert capacity(**{transfer: 1e-3 * own[transfer]}) < 0.95 * capacity(**fast)


def test_the_salt_of_the_tank_returns_by_the_valve():
    """With the valve shut, what has settled dissolves in the tank alone."""
    shut = {
        "Complexed phase return fraction on discharge": 0.0,
        "Fused salt formation rate [mol.m-3.s-1]": 1e-3,
    }
    opened = {**shut, "Complexed phase return fraction on discharge": 1.0}
    left = {}
    for word, changes in (("shut", shut), ("open", opened)):
        march = marcher(salted("lumped", tuple(changes.items()), flow="well-mixed"))(
            STEPS[0], "Discharge at 0.5C for 30 minutes"
        )
        left[word] = march[f"Positive tank {SALT}"][-1], march[f"Positive compartment {SALT}"][-1]
    assert left["open"][0] < left["shut"][0]
    assert left["open"][1] > 2 * left["shut"][1]


@pytest.mark.parametrize("soc", [0.05, 0.5, 0.9])
@pytest.mark.parametrize("model", MODELS)
def test_a_charged_cell_begins_at_equilibrium(model, soc):
    cell = salted(model, (*CLOSED, ("Initial state of charge", soc)))
    solution = solve(cell, "Rest for 2 hours")
    assert np.ptp(solution["Voltage [V]"].entries) < 1.5e-3
    salt = averaged(solution[f"{BODIES[model]} {SALT}"].entries)
    assert salt[0] == pytest.approx(salt[-1], rel=0.02)


def test_no_salt_holds_agent_that_has_lost_its_capacity():
    """Half of the agent is left: the salt falls to less than half of it, and gives bromine back."""
    changes = (*CLOSED, ("Initial state of charge", 0.8))
    losing = ("Complexing agent loss rate [s-1]", 3e-5)
    cell = salted("lumped", (*changes, losing), (cm.ComplexingAgentLoss(),))
    solution = solve(cell, "Rest for 3 hours")
    active = solution["Complexing agent activity"].entries
    salt = solution[f"{BODIES['lumped']} {SALT}"].entries
    whole = salt + solution["Positive compartment complexing agent [mol.m-2]"].entries
    assert active[-1] < 0.6 and salt[0] > 0.6 * whole[0]
    assert salt[-1] < 1.01 * active[-1] * whole[-1]
    dissolved = solution["Positive compartment aqueous bromine concentration [mol.m-3]"].entries
    assert dissolved[-1] > 1.5 * dissolved[0]


class SaltEnthalpy(Enthalpy):
    """Of a cell with fused salt, of which agent and halogen are zero."""

    def volume(self, amount, part: str) -> float:
        if not part.startswith("Positive"):
            return 0.0
        volume = self.value("Fused salt molar volume [m3.mol-1]") * amount(f"{part} {SALT}")
        added = self.value("Fused salt halogen molar volume [m3.mol-1]")
        return volume + added * amount(f"{part} {ADDED}")

    def height(self, amount, part: str) -> float:
        return super().height(amount, part) - self.volume(amount, part)

    def __call__(self, amount, temperature: float) -> float:
        offset = self.value("Positive electrode formal potential offset [V]")
        per_halide = -FARADAY * (self.thermoneutral("bromine") + offset)
        per_salt = per_halide - self.value("Fused salt dissolution enthalpy [J.mol-1]")
        loaded = self.value("Fused salt loading enthalpy [J.mol-1]")
        total = super().__call__(amount, temperature)
        for part in self.parts:
            if part.startswith("Positive"):
                total += per_salt * amount(f"{part} {SALT}") + loaded * amount(f"{part} {ADDED}")
        return total


@pytest.mark.parametrize("flow", ["", "well-mixed"], ids=["static", "flow"])
def test_the_first_law(flow):
    """H(t) - H(0) = -int iV dt - int h (T - T_amb) dt, with the heat of complexation."""
    # of an isotherm that the model does not read: the enthalpy's own equilibria have none then
    none = (("Complexing agent bromine capacity", 1e-12),)
    cell = salted("lumped", none, (cm.LumpedThermal(),), flow)
    model = cell.pybamm_model()
    ambient = cell.value("Ambient temperature [K]")
    model.variables["Loss"] = cell.value("Heat transfer coefficient [W.m-2.K-1]") * (
        model.variables["Cell temperature [K]"] - ambient
    ) - model.variables.get("Hydraulic power [W.m-2]", 0)
    solution = solve(cell, *STEPS, model=with_heat_counted(model, "Loss"))
    enthalpy = SaltEnthalpy(cell)
    entries = {v.name: solution[v.name].entries for v in cell.pybamm_model().rhs}
    warmth = solution["Cell temperature [K]"].entries
    some = np.unique(np.linspace(0, len(warmth) - 1, 40).astype(int))
    gained = np.array(
        # what is used up may be off by a solver's error below zero
        [enthalpy(lambda name: max(entries[name][k], 1e-12), warmth[k]) for k in some]  # noqa: B023
    )
    moved = work(solution, cell)
    scale = np.sum(np.abs(np.diff(moved)))
    assert_first_law(gained, (moved + solution["Counted"].entries)[some], scale)


def test_gradients_are_those_of_differences():
    names = [
        "Fused salt solubility product [mol3.m-9]",
        "Fused salt half-loading halogen concentration [mol.m-3]",
        "Fused salt halogen transfer rate [m3.mol-1.s-1]",
    ]
    simulator = cm.Simulator(salted(), cm.Protocol(list(STEPS[:3])), names)
    at = np.array([1.0, 2.0])
    points = Points((PointSet("cycles", "discharge_capacity", "cycle", at),))
    base = simulator.predict(simulator.nominal, points)
    assert base.outcome.ok
    for k in range(len(names)):
        step = 0.03 * simulator.nominal * np.eye(len(names))[k]
        up, down = (
            simulator.predict(
                simulator.nominal + sign * step, points, jacobian=False, state=base.state
            )
            for sign in (1, -1)
        )
        difference = (up.values - down.values) / (2 * step[k])
        size = np.abs(difference).max()
        assert size * simulator.nominal[k] > 1e-4, names[k]
        np.testing.assert_allclose(base.jacobian[:, k], difference, atol=5e-3 * size)


def test_a_life_of_some_cycles():
    life = cm.simulate(salted(), cm.Protocol(list(STEPS[:3])), cycles=3)
    assert life.attrs["outcome"] == "completed"
    efficiency = life["cycles"]["coulombic_efficiency"].values
    assert np.all((efficiency > 0.7) & (efficiency < 1.0))


def test_it_needs_an_agent():
    with pytest.raises(InputError, match="fused salt"):
        cm.Cell("zinc_iodine", mechanisms=[cm.FusedSalt()])
