"""Speciated zinc: fractions, transference, the film, potentials, balances, and hard starts."""

from __future__ import annotations

import functools

import numpy as np
import pybamm
import pytest
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

import cellmodels as cm
from cellmodels.errors import InputError

from .conftest import CHEMISTRIES, drift, marcher, solve

FARADAY, GAS, T = 96485.33212331001, 8.31446261815324, 298.15
#: Thermoddem: log10 of the cumulative constants of ZnBr_n, n = 1 to 4, by mol per litre.
LOG_BETA = (-0.6, -1.0, -1.8, -1.3)
COMPLEXES = ("Zinc monobromide", "Zinc dibromide", "Zinc tribromide", "Zinc tetrabromide")
#: One diffusivity for all zinc, as the figures that the transference numbers are compared with.
EQUAL = {f"{name} diffusivity [m2.s-1]": 5.5e-10 for name in ("Zinc ion", *COMPLEXES)}
SIMPLE = {
    "Initial chloride concentration [mol.m-3]": 0.0,
    "Initial complexing agent concentration [mol.m-3]": 0.0,
    "Initial pH": 7.0,
}
STEPS = (
    "Charge at 0.5C for 1 hour",
    "Rest for 10 minutes",
    "Discharge at 0.5C until 0.6 V",
    "Hold at 0.01 V for 20 minutes",
)


@functools.cache
def complexed(name: str, model: str = "lumped", changes: tuple = (), others: tuple = ()) -> cm.Cell:
    mechanisms = [cm.ZincComplexes(), *others]
    if model == "porous" and name == "zinc_iodine":
        mechanisms.append(cm.NegativeFelt())  # its set has no gap
    cell = cm.Cell(name)
    cell = cell.with_parameters(dict(changes)) if changes else cell
    return cm.Cell(name, model=model, parameters=cell.parameters, mechanisms=mechanisms)


def at_rest(cell: cm.Cell, seconds: float = 1.0) -> pybamm.Solution:
    values = cell.parameter_values()
    values["Current function [A]"] = 0.0
    solver = pybamm.IDAKLUSolver(rtol=1e-8, atol=1e-10, root_method="lm")
    model = cell.pybamm_model()
    return pybamm.Simulation(model, parameter_values=values, solver=solver).solve([0, seconds])


def zinc_bromide(molar: float, **more: float) -> pybamm.Solution:
    """A discharged cell of plain zinc bromide [mol.l-1]."""
    changes = {**SIMPLE, **EQUAL, "Initial zinc ion concentration [mol.m-3]": 1000 * molar, **more}
    return at_rest(complexed("zinc_bromine", changes=tuple(changes.items())))


def by_hand(molar: float) -> tuple[float, np.ndarray]:
    """Free bromide [mol.l-1] and the shares of Zn+2, ZnBr+, ..."""
    n = np.arange(5)
    beta = np.array([1.0, *(10**b for b in LOG_BETA)])

    def shares(free: float) -> np.ndarray:
        return beta * free**n / np.sum(beta * free**n)

    free = brentq(lambda y: y + molar * np.sum(n * shares(y)) - 2 * molar, 0, 2 * molar)
    return free, shares(free)


def start(solution: pybamm.Solution, name: str) -> float:
    return float(solution[f"Negative compartment {name}"].entries[0])


def shares_of(solution: pybamm.Solution) -> np.ndarray:
    names = ("free zinc ion", *(c.lower() for c in COMPLEXES))
    found = np.array([start(solution, f"{n} concentration [mol.m-3]") for n in names])
    return found / start(solution, "zinc ion concentration [mol.m-3]")


@pytest.mark.parametrize("molar", [0.1, 2.0, 3.0, 4.0])
def test_fractions_are_those_of_the_constants(molar):
    solution = zinc_bromide(molar)
    free, shares = by_hand(molar)
    np.testing.assert_allclose(shares_of(solution), shares, rtol=2e-4)
    found = start(solution, "free bromide concentration [mol.m-3]")
    assert found == pytest.approx(1000 * free, rel=2e-4)


def test_three_molar_zinc_bromide():
    """Figures of the science reference: bromide, Zn+2, ZnBr+, ZnBr2, ZnBr4-2, ligand number."""
    solution = zinc_bromide(3.0)
    shares = shares_of(solution)
    assert start(solution, "free bromide concentration [mol.m-3]") == pytest.approx(1800, abs=50)
    np.testing.assert_allclose(shares[[0, 1, 2, 4]], [0.43, 0.19, 0.13, 0.21], atol=0.005)
    assert shares @ np.arange(5) == pytest.approx(1.4, abs=0.05)


@pytest.mark.parametrize(("molar", "expected"), [(2.0, 0.27), (3.0, 0.24), (4.0, 0.21)])
def test_the_transference_number_of_zinc_falls(molar, expected):
    """With one diffusivity for all zinc; 0.40 without complexes."""
    found = start(zinc_bromide(molar), "zinc transference number")
    assert found == pytest.approx(expected, abs=0.006)


def test_conductivity_of_three_molar_zinc_bromide():
    """Nernst and Einstein's, with the Walden factor 0.41: 12.8 S/m, 11.88 measured."""
    solution = zinc_bromide(3.0)
    ions = 3000 * shares_of(solution) @ np.array([4, 1, 0, 1, 4]) * 5.5e-10
    ions += start(solution, "free bromide concentration [mol.m-3]") * 2.08e-9
    assert 0.41 * FARADAY**2 / GAS / T * ions == pytest.approx(12.8, rel=0.01)


class TestFilm:
    def limit(self, solution: pybamm.Solution) -> float:
        return float(solution["Limiting plating current density [A.m-2]"].entries[0])

    def test_without_constants_it_is_that_of_free_ions(self):
        """One salt: 2F 3 D c / delta."""
        none = [f"{c} formation constant [m{3 * k}.mol-{k}]" for k, c in enumerate(COMPLEXES, 1)]
        none[0] = "Zinc monobromide formation constant [m3.mol-1]"
        solution = zinc_bromide(2.0, **dict.fromkeys(none, 1e-30))
        expected = 2 * FARADAY * 3 * 0.45 * 5.5e-10 * 2000 / 0.00035
        assert self.limit(solution) == pytest.approx(expected, rel=1e-3)

    def gradients(self, logs: np.ndarray) -> np.ndarray:
        """Of ln [Zn+2], of ln [Br-] and of the potential by RT/F, by the flux of zinc.

        The gradients at which zinc alone flows, by the species' own Nernst-Planck fluxes.
        """
        zinc, bromide = np.exp(logs)
        n = np.arange(5)
        c = np.array([*(zinc * bromide**n * np.array([1, *(10**b for b in LOG_BETA)])), bromide])
        z, ones = np.array([2, 1, 0, -1, -2, -1]), np.array([1, 1, 1, 1, 1, 0])
        ligands, d = np.array([*n, 1]), np.array([5.5e-10] * 5 + [2.08e-9])
        slopes = c[:, None] * np.stack([ones, ligands, np.zeros(6)], axis=1)
        fluxes = -d[:, None] * (slopes + np.outer(z * c, [0, 0, 1]))
        system = np.array([ones @ fluxes, ligands @ fluxes, z @ slopes])
        return np.linalg.solve(system, [1.0, 0.0, 0.0])

    def bulk(self, molar: float) -> np.ndarray:
        free, shares = by_hand(molar)
        return np.log([molar * shares[0], free])

    @pytest.mark.parametrize("molar", [1.0, 3.0])
    def test_it_is_that_of_the_fluxes_of_all_species(self, molar):
        """By the gradient of the free ion in the bulk."""
        slope = -self.gradients(self.bulk(molar))[0]
        expected = 2 * FARADAY * 0.45 * 1000 / slope / 0.00035
        assert self.limit(zinc_bromide(molar)) == pytest.approx(expected, rel=1e-3)

    @pytest.mark.parametrize(("molar", "above"), [(1.0, 0.25), (2.0, 0.1), (3.0, 0.1)])
    def test_it_is_near_the_integral_over_the_film(self, molar, above):
        """From the bulk to where there is no zinc left."""
        start = self.bulk(molar)

        def along(log_zinc: float, state: np.ndarray) -> list[float]:
            slope = self.gradients(np.array([log_zinc, state[0]]))
            return [slope[1] / slope[0], 1 / slope[0]]

        found = solve_ivp(along, [start[0], start[0] - 15], [start[1], 0.0], rtol=1e-8, atol=1e-20)
        expected = 2 * FARADAY * 0.45 * 1000 * found.y[1, -1] / 0.00035
        assert self.limit(zinc_bromide(molar)) == pytest.approx(expected, rel=above)


@pytest.mark.parametrize("law", ["constant", "ideal"])
@pytest.mark.parametrize("name", CHEMISTRIES)
def test_rest_voltage_is_nernsts_of_the_free_ions(name, law):
    """Half charged, without crossover: the potentials of both couples, and that of diffusion."""
    halogen, halide = {"b": ("bromine", "bromide"), "i": ("iodine", "iodide")}[name[5]]
    closed = {f"Separator {k} partition coefficient": 1e-9 for k in ("neutral", "polyhalide")}
    changes = {"Initial state of charge": 0.5, **closed}
    cell = complexed(name, "lumped", tuple(changes.items()), (cm.ActivityCoefficients(law),))
    solution = at_rest(cell, 60.0)

    def last(what: str) -> float:
        return float(solution[what].entries[-1])

    def molar(side: str, what: str) -> float:
        return last(f"{side} compartment free {what} concentration [mol.m-3]") / 1000

    factor = 1.0
    if law == "constant":
        factor = cell.value(f"Zinc {halide} free-ion activity factor")
    kt = GAS * T / FARADAY
    negative = cell.value("Zinc standard potential [V]")
    negative += kt / 2 * np.log(factor ** (1 / 3) * molar("Negative", "zinc ion"))
    positive = cell.value(f"{halogen.capitalize()} standard potential [V]")
    positive += cell.value("Positive electrode formal potential offset [V]")
    activity = factor ** (1 / 3) * molar("Positive", halide)
    positive += kt / 2 * np.log(molar("Positive", halogen) / activity**2)
    expected = positive - negative + last("Diffusion potential [V]")
    assert last("Voltage [V]") == pytest.approx(expected, abs=2e-4)


@pytest.mark.parametrize("name", CHEMISTRIES)
def test_the_sets_keep_their_open_circuit_voltage(name):
    """The free ions' factor is chosen so that the recipe rests at the voltage it has without."""
    with_them, without = (
        float(at_rest(cell)["Open-circuit voltage [V]"].entries[0])
        for cell in (complexed(name), cm.Cell(name))
    )
    assert with_them == pytest.approx(without, abs=1e-4)


@pytest.mark.parametrize("model", ["lumped", "porous"])
@pytest.mark.parametrize("name", CHEMISTRIES)
def test_amounts_are_conserved(name, model):
    changes, steps = (), STEPS
    if (name, model) == ("zinc_iodine", "porous"):  # felts without tanks, which hold little
        changes = (("Positive reservoir electrolyte height [m]", 0.0),)
        steps = ("Charge at 0.05C for 1 hour", STEPS[1], "Discharge at 0.05C until 0.9 V")
    cell = complexed(name, model, changes)
    solution = solve(cell, *steps, rtol=1e-6)
    assert len(solution.cycles[0].steps) == len(steps)
    for key, balance in cell.pybamm_model().balances.items():
        entries = {state: np.atleast_2d(solution[state].entries) for state in balance}
        amounts = {state: values.mean(axis=0) for state, values in entries.items()}
        assert drift(balance, amounts) < 1e-10, f"{key} is not conserved"


@pytest.mark.parametrize("name", CHEMISTRIES)
def test_our_solver_agrees_with_idaklu(name):
    cell = complexed(name)
    ours, theirs = marcher(cell)(*STEPS), solve(cell, *STEPS)
    for state in ("Zinc areal amount [mol.m-2]", "Negative compartment zinc ion [mol.m-2]"):
        found, expected = ours[state][-1], theirs[state].entries[-1]
        assert found == pytest.approx(expected, rel=1e-4, abs=1e-5)
    charged = theirs.cycles[0].steps[0]["Voltage [V]"].entries[-1]
    assert ours.steps[0].voltage.ravel()[-1] == pytest.approx(charged, abs=1e-4)


def test_a_life_of_some_cycles():
    protocol = cm.Protocol(list(STEPS[:3]))
    life = cm.simulate(complexed("zinc_bromine"), protocol, cycles=3)
    assert life.attrs["outcome"] == "completed"
    efficiency = life["cycles"]["coulombic_efficiency"].values
    assert np.all((efficiency > 0.8) & (efficiency < 1.0))


@pytest.mark.parametrize(
    "changes",
    [
        {"Initial bromine concentration [mol.m-3]": 0.0},
        {"Initial zinc areal amount [mol.m-2]": 0.0},
        {"Initial chloride concentration [mol.m-3]": 0.0},
        {
            "Initial zinc ion concentration [mol.m-3]": 1.0,
            "Initial chloride concentration [mol.m-3]": 0.0,
            "Initial potassium ion concentration [mol.m-3]": 2000.0,
        },
    ],
    ids=["no bromine", "no zinc plated", "no chloride", "hardly any zinc ions"],
)
def test_starts_with_next_to_nothing_of_a_component(changes):
    cell = complexed("zinc_bromine", changes=tuple(changes.items()))
    model, values = cell.pybamm_model(), cell.parameter_values()
    values["Current function [A]"] = 0.0
    model.events = []  # of which "Zinc ion exhausted" is one
    solver = pybamm.IDAKLUSolver(rtol=1e-6, atol=1e-8, root_method="lm")
    solution = pybamm.Simulation(model, parameter_values=values, solver=solver).solve([0, 600])
    assert np.all(np.isfinite(solution.y)) and np.isfinite(solution["Voltage [V]"].entries[-1])


def test_pitzers_coefficients_are_of_the_whole_salt():
    with pytest.raises(InputError, match="cannot be had with Pitzer"):
        complexed("zinc_bromine", others=(cm.ActivityCoefficients("Pitzer"),)).pybamm_model()
