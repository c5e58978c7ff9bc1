"""Analytic limits of the porous model: transition time, limiting current, felt, lumped model."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest

import cellmodels as cm
from cellmodels.models.zinc_halogen.closures import HalogenKinetics
from cellmodels.solver.collocation import Collocation
from cellmodels.solver.consistent import consistent_point
from cellmodels.solver.export import export_dae
from cellmodels.solver.step import Control

from .conftest import solve

FARADAY, GAS, T = 96485.33212331001, 8.31446261815324, 298.15
KT = GAS * T / FARADAY

SALT = 1000.0
#: Zinc bromide in water and nothing else: no halogen, and next to no acid.
BINARY = {
    "Initial zinc ion concentration [mol.m-3]": SALT,
    "Initial chloride concentration [mol.m-3]": 0.0,
    "Initial complexing agent concentration [mol.m-3]": 0.0,
    "Initial bromine concentration [mol.m-3]": 0.0,
    "Initial pH": 6.0,
}


def porous(changes: dict[str, float], mesh: tuple[int, int, int], mechanisms=()) -> cm.Cell:
    """A zinc-bromine cell with volumes in gap, separator and positive electrode."""
    points = dict(zip(("x_n", "x_s", "x_p"), mesh, strict=True))
    cell = cm.Cell("zinc_bromine", model="porous", mechanisms=mechanisms, mesh=points)
    return cell.with_parameters(changes)


def diffusivities(cell: cm.Cell) -> tuple[float, float]:
    """Of zinc ion and bromide [m2.s-1]."""
    factor = cell.value("Electrolyte diffusivity viscosity factor")
    return factor * cell.value("Zinc ion diffusivity [m2.s-1]"), factor * cell.value(
        "Bromide diffusivity [m2.s-1]"
    )


def at_the_plate(solution) -> np.ndarray:
    """Zinc ion at the plate [mol.m-3]."""
    mean = solution["Negative compartment zinc ion concentration [mol.m-3]"].entries
    return solution["Plate concentration margin"].entries * mean


# --- transport to the plate ----------------------------------------------------------------------


@pytest.mark.parametrize("current", [300.0, 600.0])
def test_transition_time_of_a_binary_salt(current):
    r"""Sand: the wall's concentration falls as sqrt(t) and is zero after tau (to 0.5 %).

    tau = pi D (2 F c / (2 i (1 - t)))^2 with the salt's D and the metal ion's transference number.
    """
    gap = 3.3e-3 * 300.0 / current
    changes = {
        "Negative gap thickness [m]": gap,
        "Negative compartment electrolyte height [m]": gap,
        "Initial zinc areal amount [mol.m-2]": 1.0,
    }
    cell = porous(BINARY | changes, (70, 3, 3))
    zinc, bromide = diffusivities(cell)
    salt, carried = 3 * zinc * bromide / (2 * zinc + bromide), 2 * zinc / (2 * zinc + bromide)
    tau = np.pi * salt * (2 * FARADAY * SALT / (2 * current * (1 - carried))) ** 2
    amperes = current * cell.electrode_area
    solution = solve(cell, f"Charge at {amperes} A for {2 * tau:.3f} seconds", rtol=1e-6)
    assert solution.termination == "event: Zinc depletion at the plate"
    time, wall = solution.t, at_the_plate(solution)
    # the model ends where a hundredth is left; to the square of what is gone
    found = time[-1] / (1 - wall[-1] / SALT) ** 2
    assert found == pytest.approx(tau, rel=0.005)
    late = time > 0.1 * tau
    np.testing.assert_allclose(
        wall[late], SALT * (1 - np.sqrt(time[late] / tau)), atol=0.005 * SALT
    )


class TestLimitingCurrent:
    """Zinc on both electrodes, without halogen: the positive electrode is a thin layer of it.

    A discharge takes zinc to the positive electrode, a charge brings it back. A steady current has
    a linear profile with the slope g = i / (6 F D_Zn), N_M times as steep in the separator; the
    zinc ion in the cell is what it was.
    """

    FELT = 1e-5
    CHANGES: ClassVar[dict[str, float]] = BINARY | {
        "Initial zinc areal amount [mol.m-2]": 20.0,
        "Positive electrode thickness [m]": FELT,
        "Negative compartment electrolyte height [m]": 5e-4,
        "Electrolyte conductivity at 25 degC [S.m-1]": 1e3,
        "Separator porosity": 0.7,
        "Lower voltage cut-off [V]": 0.0,
    }

    def limit(self, cell: cm.Cell) -> float:
        """Current density at which none is left at the plate [A.m-2]."""
        value = cell.value
        gap, width = value("Negative gap thickness [m]"), value("Separator thickness [m]")
        layers = (
            (gap, 1.0, 1.0),
            (width, value("Separator porosity"), value("Separator MacMullin number")),
            (self.FELT, value("Positive electrode porosity"), 0.0),
        )
        height = path = surplus = 0.0
        for thickness, porosity, tortuous in layers:
            surplus += porosity * thickness * (path + tortuous * thickness / 2)
            height += porosity * thickness
            path += tortuous * thickness
        return 6 * FARADAY * diffusivities(cell)[0] * SALT * height / surplus

    def charged(self, cell: cm.Cell, share: float):
        """Hours of discharge, then a charge at a share of the limiting current."""
        limit = self.limit(cell) * cell.electrode_area
        steps = (
            f"Discharge at {0.3 * limit:.6f} A for 8 hours",
            f"Charge at {share * limit:.6f} A for {2 * min(1, 1 / share):.4f} hours",
        )
        return solve(cell, *steps, rtol=1e-6)

    @pytest.mark.parametrize("tortuous", [1.0, 3.0])
    def test_steady_profile(self, tortuous):
        cell = porous(self.CHANGES | {"Separator MacMullin number": tortuous}, (3, 3, 3))
        solution = self.charged(cell, 0.9)
        assert solution.termination == "final time"
        there, back = (at_the_plate(step)[-1] for step in solution.cycles[0].steps)
        limit = self.limit(cell)
        assert 0.3 * limit / (there / SALT - 1) == pytest.approx(limit, rel=0.005)
        assert 0.9 * limit / (1 - back / SALT) == pytest.approx(limit, rel=0.005)

    def test_equal_layers_have_the_textbook_limit(self):
        """12 F D_Zn c / L, for a cell that is one layer of free electrolyte."""
        changes = {"Separator MacMullin number": 1.0, "Separator porosity": 1.0}
        cell = porous(self.CHANGES | changes, (3, 3, 3))
        value = cell.value
        length = value("Negative gap thickness [m]") + value("Separator thickness [m]")
        expected = 12 * FARADAY * diffusivities(cell)[0] * SALT / length
        assert self.limit(cell) == pytest.approx(expected, rel=0.01)  # but for the thin felt
        solution = self.charged(cell, 0.9)
        assert 0.9 * self.limit(cell) / (1 - at_the_plate(solution)[-1] / SALT) == pytest.approx(
            self.limit(cell), rel=0.005
        )

    @pytest.mark.slow
    def test_a_charge_beyond_it_ends(self):
        cell = porous(self.CHANGES, (3, 3, 3))
        assert self.charged(cell, 0.985).termination == "final time"
        assert self.charged(cell, 1.005).termination == "event: Zinc depletion at the plate"


# --- the porous electrode ------------------------------------------------------------------------


class Felt:
    """A cell with kinetics and conductivity of its positive electrode left open."""

    FREE = ("Bromine exchange-current density [A.m-2]", "Positive electrode conductivity [S.m-1]")
    HALIDE = "Positive compartment bromide concentration [mol.m-3]"
    HALOGEN = "Positive compartment bromine concentration [mol.m-3]"
    DROPS = ("Voltage [V]", "Negative electrode potential [V]", "Diffusion potential [V]")
    #: Half charged, with all halogen free, and hardly a film at the plate.
    CHANGES: ClassVar[dict[str, float]] = {
        "Negative gap thickness [m]": 1e-5,
        "Negative compartment electrolyte height [m]": 1e-5,
        "Initial state of charge": 0.5,
        "Initial bromine concentration [mol.m-3]": 1e-6,
        "Tribromide formation constant [m3.mol-1]": 0.0,
        "Pentabromide formation constant [m6.mol-2]": 0.0,
        "Complexing agent bromine capacity": 0.0,
        "Positive electrode mass-transfer coefficient [m.s-1]": 1.0,
        "Bromine transfer coefficient": 0.4,
    }

    def __init__(self, law: str, volumes: int) -> None:
        self.law = law
        self.cell = porous(self.CHANGES, (3, 3, volumes), [HalogenKinetics(law)])
        self.dae = export_dae(
            self.cell.pybamm_model(),
            self.cell.parameter_values(),
            free=self.FREE,
            outputs=[self.HALIDE, self.HALOGEN, *self.DROPS],
            var_pts=self.cell.var_pts(),
        )
        self.collocation = Collocation(self.dae)
        value = self.cell.value
        self.thickness = value("Positive electrode thickness [m]")
        free = value("Electrolyte conductivity at 25 degC [S.m-1]")
        self.kappa = free * value("Positive electrode porosity") ** 1.5
        path = value("Separator MacMullin number") * value("Separator thickness [m]")
        path += value("Negative gap thickness [m]")
        self.series = path / free + value("Contact resistance [Ohm.m2]")

    def start(self, current: float, theta: np.ndarray) -> dict[str, float]:
        """Outputs at the first instant of a current [A]."""
        x, z = self.dae.start(theta)
        guess = np.concatenate([x, z, [current]])
        point, _ = consistent_point(self.collocation, Control("current", current), x, theta, guess)
        values = self.dae.outputs(point[None], theta)[0]
        return dict(zip(self.dae.output_names, values, strict=True))

    def slope(self) -> float:
        """Of the rate law at equilibrium, for an exchange-current density of one [S.A-1]."""
        at = self.start(0.0, np.ones(2))
        y, b = at[self.HALIDE] / 1e3, at[self.HALOGEN] / 1e3
        area = self.cell.value("Positive electrode surface area to volume ratio [m-1]")
        each = y**0.6 * b**0.2 if self.law == "Volmer" else 2 * y**1.2 * b**0.4
        return area * self.thickness * each / KT

    def resistance(self, nu: float, sigma: float) -> float:
        """Of the positive electrode, from the separator to the collector [Ohm.m2]."""
        layer = self.thickness * (1 / self.kappa + 1 / sigma)
        exchange = nu**2 / layer / self.slope()
        wanted = (exchange, sigma)
        theta = np.array(
            [w / self.cell.value(name) for w, name in zip(wanted, self.FREE, strict=True)]
        )
        current = 1e-3 * KT / layer * self.cell.electrode_area
        there, back = (self.start(sign * current, theta) for sign in (1, -1))
        voltage, plate, diffusion = (there[name] - back[name] for name in self.DROPS)
        density = 2 * current / self.cell.electrode_area
        return -(voltage + plate - diffusion) / density - self.series


@pytest.fixture(scope="module", params=["Volmer", "two-electron"])
def felt(request) -> Felt:
    return Felt(request.param, 32)


@pytest.mark.parametrize("nu", [0.3, 1.0, 3.0, 6.0])
class TestFeltResistance:
    """Linear kinetics in a uniform felt (to 1 %)."""

    def test_well_conducting_carbon(self, felt, nu):
        """Newman and Tobias (1962): L/kappa coth(nu)/nu, nu^2 = L (dj/deta)/kappa."""
        expected = felt.thickness / felt.kappa / np.tanh(nu) / nu
        assert felt.resistance(nu, 1e8) == pytest.approx(expected, rel=0.01)

    @pytest.mark.parametrize("sigma", [200.0, 20.0, 2.0])
    def test_carbon_of_finite_conductivity(self, felt, nu, sigma):
        """Newman and Thomas-Alyea, Electrochemical systems, 3rd ed., ch. 22."""
        kappa = felt.kappa
        both = sigma / kappa + kappa / sigma
        shape = 1 + (2 + both * np.cosh(nu)) / (nu * np.sinh(nu))
        expected = felt.thickness / (kappa + sigma) * shape
        assert felt.resistance(nu, sigma) == pytest.approx(expected, rel=0.01)


# --- the lumped model ----------------------------------------------------------------------------

#: All is even on either side of a separator that is tight and holds nothing.
EVEN = {
    "Electrolyte diffusivity viscosity factor": 4.5e3,
    "Electrolyte conductivity at 25 degC [S.m-1]": 1e6,
    "Positive electrode conductivity [S.m-1]": 1e6,
    "Separator MacMullin number": 1.3e4,
    "Separator porosity": 1e-3,
    "Negative compartment electrolyte height [m]": 5e-4,
    "Zinc diffusion-layer thickness [m]": 1e-9,
}


@pytest.mark.parametrize(
    "more",
    [
        {},
        {
            "Separator neutral partition coefficient": 0.0,
            "Separator anion partition coefficient": 0.5,
        },
    ],
    ids=["porous separator", "membrane"],
)
def test_where_all_is_even_it_is_the_lumped_model(more):
    """Voltages of a charge, a rest and a discharge (to 1 mV), and how long they take."""
    steps = ("Charge at 1 A for 1.5 hours", "Rest for 30 minutes", "Discharge at 1 A until 0.8 V")
    resolved = solve(porous(EVEN | more, (4, 10, 5)), *steps, rtol=1e-6)
    lumped = solve(cm.Cell("zinc_bromine").with_parameters(EVEN | more), *steps, rtol=1e-6)
    for one, other in zip(resolved.cycles[0].steps, lumped.cycles[0].steps, strict=True):
        ends = one.t[-1] - one.t[0], other.t[-1] - other.t[0]
        assert ends[0] == pytest.approx(ends[1], rel=1e-3)
        # up to where the voltage breaks down: there it would be a comparison of times
        times = np.linspace(0.0, 0.99 * min(ends), 300)
        found, expected = (
            np.interp(times, s.t - s.t[0], s["Voltage [V]"].entries) for s in (one, other)
        )
        np.testing.assert_allclose(found, expected, atol=1e-3)
