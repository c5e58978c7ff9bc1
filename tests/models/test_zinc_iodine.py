"""Zinc-iodine: solid iodine, a membrane that ions cross unevenly, and the felt's resistance."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pybamm
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

import cellmodels as cm
from cellmodels.models.zinc_halogen import transport
from cellmodels.models.zinc_halogen.numbers import Numbers, langevin
from cellmodels.models.zinc_halogen.species import HALIDE, HALOGEN, Solute

ROOT = Path(__file__).parents[2]
F, RT = 96485.33212, 8.314462618 * 298.15
AREA = 0.004
SOLVER = pybamm.IDAKLUSolver(rtol=1e-8, atol=1e-10, root_method="lm")
ONLY_CATIONS = {
    "Separator anion partition coefficient": 0.0,
    "Separator polyhalide partition coefficient": 0.0,
    "Separator neutral partition coefficient": 0.0,
}


def solve(cell, *steps):
    simulation = pybamm.Simulation(
        cell.pybamm_model(),
        parameter_values=cell.parameter_values(),
        experiment=pybamm.Experiment([steps], period="30 seconds"),
        solver=SOLVER,
    )
    return simulation.solve().cycles[0].steps


def last(step, name):
    return float(step[name].entries[-1])


@pytest.fixture(scope="module")
def cycle():
    cell = cm.Cell("zinc_iodine")
    steps = ("Charge at 0.8 A for 4 hours", "Rest for 1 hour", "Discharge at 0.8 A until 0.5 V")
    return solve(cell, *steps)


# --- what the electrolyte holds ------------------------------------------------------------------


def equilibrium(iodide, iodine, constant=0.698, saturation=1.34):
    """Free iodide, free iodine and solid iodine, all concentrations in mol.m-3."""

    def excess(log_free):
        free = np.exp(log_free)
        return free + constant * free * iodide / (1 + constant * free) - iodine

    free = min(np.exp(brentq(excess, -40, 12)), saturation)
    halide = iodide / (1 + constant * free)
    return halide, free, iodine - free - constant * free * halide


@pytest.mark.parametrize("share", [0.1, 0.5, 0.8, 0.9, 1.0])
def test_triiodide_and_the_solid_are_at_equilibrium(cycle, share):
    charge = cycle[0]
    index = int(share * (len(charge.t) - 1))

    def at(name):
        return float(charge[f"Positive compartment {name} concentration [mol.m-3]"].entries[index])

    halide, free, solid = equilibrium(at("iodide"), at("iodine"))
    assert at("free iodide") == pytest.approx(halide, rel=0.01)
    assert at("free iodine") == pytest.approx(free, rel=0.01)
    assert at("solid iodine") == pytest.approx(solid, abs=6)


def test_iodine_settles_late_in_the_charge_and_dissolves_again(cycle):
    name = "Positive compartment solid iodine concentration [mol.m-3]"
    charge, _, discharge = cycle
    assert charge[name].entries[len(charge.t) // 2] < 1e-6
    assert last(charge, name) > 100
    assert last(discharge, name) < 1e-6


def test_the_voltage_stops_rising_with_the_state_of_charge_where_iodine_settles(cycle):
    charge = cycle[0]
    solid = charge["Positive compartment solid iodine concentration [mol.m-3]"].entries
    slope = np.diff(charge["Open-circuit voltage [V]"].entries) / np.diff(charge.t[: len(solid)])
    settled = solid[1:] > 30
    before = np.flatnonzero(solid[1:] > 1)[0] - 20
    assert slope[settled].max() < 0.4 * slope[before]


@pytest.mark.parametrize("level", [0.3, 1.0])
def test_a_cell_may_start_with_solid_iodine(level):
    """More iodine than iodide could hold, at the first moment of a simulation."""
    little = {
        "Initial zinc ion concentration [mol.m-3]": 1000.0,
        "Maximum zinc areal capacity [mol.m-2]": 14.0,
    }
    cell = cm.Cell("zinc_iodine", initial_soc=level).with_parameters(little)
    (rest,) = solve(cell, "Rest for 5 minutes")
    solid = last(rest, "Positive compartment solid iodine concentration [mol.m-3]")
    assert (solid > 500) == (level == 1.0)
    assert 1.1 < last(rest, "Voltage [V]") < 1.4


# --- what crosses the membrane -------------------------------------------------------------------


def test_no_amount_becomes_negative(cycle):
    """Iodine is drawn out of the negative side on charge, where there is none."""
    for step in cycle:
        for side in ("Negative", "Positive"):
            for what in ("iodine", "iodide", "zinc ion"):
                assert step[f"{side} compartment {what} [mol.m-2]"].entries.min() > 0


def test_an_open_cell_has_the_voltage_of_its_positive_side_behind_a_membrane_for_zinc():
    """Zinc ions pass the membrane freely: their potential is the same on both sides.

    Then the salt of the positive side alone decides, with any activity coefficients.
    """
    pitzer = cm.ActivityCoefficients("Pitzer")
    for mechanisms in ([], [pitzer]):
        cell = cm.Cell("zinc_iodine", mechanisms=mechanisms).with_parameters(ONLY_CATIONS)
        _, rest = solve(cell, "Charge at 0.8 A for 3 hours", "Rest for 1 minute")
        zinc = {
            side: last(rest, f"{side} compartment zinc ion concentration [mol.m-3]")
            for side in ("Negative", "Positive")
        }
        assert zinc["Negative"] > 1.5 * zinc["Positive"]
        assert zinc["Negative"] == pytest.approx(1500, rel=1e-3)  # what is plated, comes across
        gamma = [log_gamma(zinc[side]) if mechanisms else 0.0 for side in ("Negative", "Positive")]
        expected = RT / 2 / F * (np.log(zinc["Negative"] / zinc["Positive"]) + gamma[0] - gamma[1])
        # the potential of one ion that crosses alone; the model's field is constant
        assert last(rest, "Diffusion potential [V]") == pytest.approx(expected, abs=2e-4)


def log_gamma(concentration):
    """Mean activity coefficient of zinc iodide by volume, written down a second time."""
    molality = concentration / 997 / (1 - 5.8e-5 * concentration)
    strength, root = 3 * molality, np.sqrt(3 * molality)
    debye = -0.3915 * (root / (1 + 1.2 * root) + 2 / 1.2 * np.log(1 + 1.2 * root))
    decay = (1 + 2 * root - 2 * strength) * np.exp(-2 * root)
    second = 2 * 0.526 + 2 * 2.317 / (4 * strength) * (1 - decay)
    third = 1.5 * -0.08623
    molal = 2 * debye + 4 / 3 * molality * second + 2**2.5 / 3 * molality**2 * third
    return molal + np.log(1000 * molality / concentration)


def numbers(value):
    return pybamm.convert_to_symbol(float(value))


@given(
    charge=st.sampled_from([-2, -1, 1, 2]),
    left=st.floats(0, 3000),
    right=st.floats(0, 3000),
    drop=st.floats(-12, 12).filter(lambda x: abs(x) > 0.05),
)
@settings(max_examples=100)
def test_ions_cross_as_goldman_says(charge, left, right, drop):
    ion = Solute("X", "ion", charge, ())
    moving = transport.migrating([ion], {"X": numbers(left)}, {"X": numbers(right)}, numbers(drop))
    x = charge * drop
    flux = left - right + x * float(moving["X"].evaluate())
    exact = x * (left - right * np.exp(-x)) / -np.expm1(-x)
    assert flux == pytest.approx(exact, rel=1e-6, abs=1e-3)


def test_the_charges_that_cross_add_up_to_the_current():
    """Fluxes are those of the drop at which ions migrate, and carry the current."""
    ions = [Solute(key, key, z, ()) for key, z in {"M": 2, "X": -1, "Y": -1}.items()]
    permeabilities = {key: numbers(p) for key, p in {"M": 1e-7, "X": 3e-7, "Y": 1e-7}.items()}
    sides = [
        {key: numbers(c) for key, c in {"M": left, "X": 2 * left - other, "Y": other}.items()}
        for left, other in ((1500, 0.0), (900, 700.0))
    ]
    current = 200.0

    def at(drop):
        moving = transport.migrating(ions, *sides, numbers(drop))
        arguments = (ions, permeabilities, *sides, moving, numbers(current))
        return transport.separator_drop(*arguments), transport.separator_fluxes(*arguments)

    drop = brentq(lambda x: x - float(at(x)[0].evaluate()), 0.1, 50)
    fluxes = {key: float(at(drop)[1][key].evaluate()) for key in permeabilities}
    assert 2 * fluxes["M"] - fluxes["X"] - fluxes["Y"] == pytest.approx(current / F, rel=1e-12)
    x, left, right = drop * -1, 0.0, 700.0
    goldman = 1e-7 * x * (left - right * np.exp(-x)) / -np.expm1(-x)
    assert fluxes["Y"] == pytest.approx(goldman, rel=1e-5)


@given(st.sampled_from(["I3-", "I-", "Zn+2", "I2"]))
@settings(max_examples=4)
def test_polyhalides_have_a_partition_coefficient_of_their_own(key):
    """All else being equal; zinc-bromine's two polyhalides share one."""
    kinds = {"I3-": "polyhalide", "I-": "anion", "Zn+2": "cation", "I2": "neutral"}
    held = {"I3-": ((HALIDE, 1.0), (HALOGEN, 1.0)), "I2": ((HALOGEN, 1.0),)}
    charge = {"I3-": -1, "I-": -1, "Zn+2": 2, "I2": 0}[key]
    read = Numbers(pybamm.Parameter("Ambient temperature [K]"))
    solute = Solute(key, "it", charge, held.get(key, ((HALIDE, 1.0),)))
    transport.permeability(read, solute, pybamm.Scalar(1))
    named = [name for name in read.names if name.endswith("partition coefficient")]
    assert named == [f"Separator {kinds[key]} partition coefficient"]


# --- the felt ------------------------------------------------------------------------------------


@given(st.floats(0, 40))
def test_langevin(x):
    exact = 1 / 3 - x**2 / 45 if x < 0.03 else (x / np.tanh(x) - 1) / x**2
    assert float(langevin(numbers(x**2)).evaluate()) == pytest.approx(exact, rel=1e-5)


@pytest.mark.parametrize("law", ["Volmer", "two-electron"])
@pytest.mark.parametrize("exchange", [0.01, 1.0, 100.0])
def test_the_felt_has_the_resistance_of_newman_and_tobias(law, exchange):
    r"""R = L/kappa coth(nu)/nu, with kinetics and ionic path together, for a small current."""
    thickness, porosity, area, conductivity = 0.004, 0.67, 132000.0, 11.4
    bare = {
        "Iodine exchange-current density [A.m-2]": exchange,
        "Zinc exchange-current density [A.m-2]": 1e5,
        "Membrane area resistance [Ohm.m2]": 0.0,
        "Contact resistance [Ohm.m2]": 0.0,
        "Positive electrode mass-transfer coefficient [m.s-1]": 1e-3,
        "Zinc diffusion-layer thickness [m]": 1e-6,
        "Zinc dissolution time [s]": 1.0,
        "Zinc nucleation overpotential [V]": 0.0,
    }
    kinetics = cm.HalogenKinetics(law)
    cell = cm.Cell("zinc_iodine", mechanisms=[kinetics], initial_soc=0.5).with_parameters(bare)

    def start(current):
        values = cell.parameter_values()
        values.update({"Current function [A]": current}, check_already_exists=False)
        solver = pybamm.IDAKLUSolver(rtol=1e-6, atol=1e-8, root_method="lm")
        simulation = pybamm.Simulation(cell.pybamm_model(), parameter_values=values, solver=solver)
        return simulation.solve([0, 1e-6])

    rest = start(0.0)
    halide, free = (
        float(rest[f"Positive compartment free {x} concentration [mol.m-3]"].entries[0]) / 1000
        for x in ("iodide", "iodine")
    )
    slope = {
        "Volmer": exchange * halide**0.5 * free**0.25 * F / RT,
        "two-electron": 2 * exchange * halide * free**0.5 * F / RT,
    }[law]
    effective = conductivity * porosity**1.5
    nu = np.sqrt(area * slope * thickness**2 / effective)
    expected = thickness / effective / np.tanh(nu) / nu
    small = 1e-3 / expected * AREA  # a millivolt
    charging, discharging = (float(start(i)["Voltage [V]"].entries[0]) for i in (-small, small))
    membrane = 1.27e-4 / conductivity
    found = (charging - discharging) / (2 * small) * AREA - membrane
    assert found == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5, 0.8, 0.95])
@pytest.mark.parametrize("limit", [220.0, 500.0, 2000.0])
def test_a_felt_reacts_no_faster_than_it_is_supplied(share, limit):
    """Fast kinetics, and in every depth at most an even share of the limiting current.

    The closure's loss is compared with that of the resolved depth, in which the ionic current i
    falls from the separator by i' = -(i_L/L)(1 - exp(-2 f eta)), and eta by i/kappa.
    """
    path = 0.004 / 0.67**1.5 / 11.4
    drop, f = limit * path, F / RT

    def felt(log_eta):
        start = [0.0, np.exp(log_eta)]
        slopes = lambda z, y: [-np.expm1(-2 * f * y[1]), drop * y[0]]  # noqa: E731
        return solve_ivp(slopes, (0, 1), start, rtol=1e-8, atol=1e-12).y[:, -1]

    exact = felt(brentq(lambda e: felt(e)[0] - share, -40, 1))[1]
    used, slope = numbers(share), numbers(2 * f * limit)
    resistance = float(transport.depth_resistance(numbers(path), slope, used).evaluate())
    closed = -np.log1p(-share) / (2 * f) + share * limit * resistance
    assert closed == pytest.approx(exact, rel=0.15)
    even = -np.log1p(-share) / (2 * f) + share * drop * langevin(slope * path).evaluate()
    assert share < 0.5 or abs(closed - exact) < abs(even - exact) / 2


# --- against the measured cell -------------------------------------------------------------------


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.skipif(
    not os.environ.get("CELLMODELS_DATA"),
    reason="CELLMODELS_DATA does not name a folder with measured data",
)
def test_the_measured_cell_is_met(tmp_path):
    """What the example promises, of the cell of Pacific Northwest National Laboratory."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CELLMODELS_OUTPUT": str(tmp_path)}
    example = ROOT / "docs" / "examples" / "zinc_iodine_pnnl.py"
    done = subprocess.run(
        [sys.executable, example], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "no fitted parameter" in done.stdout and "calibration" in done.stdout
    assert (tmp_path / "zinc_iodine_pnnl.png").stat().st_size > 10_000
    found = xr.load_dataset(tmp_path / "zinc_iodine_pnnl.nc")
    assert found["predicted_mid_line"] < 10
    assert found["predicted_open_circuit"] < 10
    assert found["calibrated_charge_middle_rows"] < 6
    assert found["calibrated_discharge_middle_rows"] < 6
    assert found["fitted_resistance"] > 0
    assert abs(found["predicted_efficiency"] - found["measured_efficiency"]) < 0.03
    # the first rows are the double layers', and those of the flicker cannot be met by a smooth law
    assert found["charge_all_rows_with_double_layers"] < 0.6 * found["calibrated_charge_all_rows"]
    assert found["charge_all_rows_nucleation_fitted"] > 15
