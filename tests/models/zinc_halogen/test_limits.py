"""Analytic limits of the lumped model: open circuit, small signals, crossover, self-discharge."""

from __future__ import annotations

import numpy as np
import pytest

import cellmodels as cm
from cellmodels.models.zinc_halogen.closures import ActivityCoefficients, HalogenKinetics
from cellmodels.models.zinc_halogen.thermodynamics import pitzer_log_gamma
from cellmodels.solver.consistent import consistent_point
from cellmodels.solver.step import Control

from .conftest import CHEMISTRIES, Marcher, solve

FARADAY, GAS, T = 96485.33212331001, 8.31446261815324, 298.15
KT = GAS * T / FARADAY

OHMIC = "Ohmic area resistance [Ohm.m2]"
LOSS = "Self-discharge current density [A.m-2]"


class Words:
    """Names of a chemistry's parameters and variables."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.chemistry = cm.Cell(name).chemistry
        species = self.chemistry.species
        halogen = self.chemistry.reactions["halogen electrode"]
        self.halogen = species[halogen.reactants[0].species].title
        self.halide = species[halogen.products[0].species].title

    def bare(self) -> dict[str, float]:
        """Halogen that is nowhere but dissolved as X2, and no limits to its or the metal's way."""
        c = self.chemistry
        nothing = [e.constant for e in c.equilibria.values()]
        nothing += [i.capacity for i in c.isotherms.values()]
        return {
            **dict.fromkeys(nothing, 0.0),
            **{s.constant: 1e9 for s in c.saturations.values()},
            "Zinc diffusion-layer thickness [m]": 1e-9,
            "Zinc dissolution time [s]": 1e-3,
            "Positive electrode mass-transfer coefficient [m.s-1]": 1.0,
        }

    def cell(self, changes: dict[str, float] | None = None, mechanisms=()) -> cm.Cell:
        """Half charged, with nothing to begin with on the negative side."""
        changes = {
            **self.bare(),
            f"Initial {self.halogen} concentration [mol.m-3]": 1e-6,
            "Initial state of charge": 0.5,
            **(changes or {}),
        }
        return cm.Cell(self.name, mechanisms=mechanisms).with_parameters(changes)


@pytest.fixture(params=CHEMISTRIES)
def words(request) -> Words:
    return Words(request.param)


def voltage(cell: Marcher, current: float) -> float:
    """Voltage of the fresh cell at the first instant of a current [V]."""
    x, z = cell.dae.start(np.ones(0))
    guess = np.concatenate([x, z, [current]])
    control = Control("current", current)
    return consistent_point(cell.collocation, control, x, np.ones(0), guess)[1]


def start(cell: Marcher, current: float = 0.0) -> dict[str, float]:
    """The compiled outputs there."""
    x, z = cell.dae.start(np.ones(0))
    guess = np.concatenate([x, z, [current]])
    control = Control("current", current)
    point, _ = consistent_point(cell.collocation, control, x, np.ones(0), guess)
    values = cell.dae.outputs(point[None], np.ones(0))[0]
    return dict(zip(cell.dae.output_names, values, strict=True))


# --- open circuit --------------------------------------------------------------------------------

NO_CROSSOVER = {"Separator neutral partition coefficient": 0.0}


def variations(words: Words) -> list[tuple[dict[str, float], tuple]]:
    halogen = words.halogen.capitalize()
    return [
        ({}, ()),
        ({f"{halogen} exchange-current density [A.m-2]": 0.1}, ()),
        ({"Zinc exchange-current density [A.m-2]": 1000.0}, ()),
        ({f"{halogen} transfer coefficient": 0.35}, ()),
        ({"Zinc anodic transfer coefficient": 1.5}, ()),
        ({"Electrolyte conductivity at 25 degC [S.m-1]": 30.0}, ()),
        ({}, (HalogenKinetics("two-electron"),)),
        ({f"{halogen} transfer coefficient": 0.6}, (HalogenKinetics("two-electron"),)),
    ]


def test_without_current_and_crossover_the_voltage_is_that_of_nernst(words):
    """Whatever kinetics and conductivity are (to 1 uV)."""
    for changes, mechanisms in variations(words):
        cell = words.cell(NO_CROSSOVER | changes, mechanisms)
        cubed = cell.value(f"Zinc {words.halide} mean activity factor")
        c, y, b = composition(cell, words)
        nernst = (
            cell.value(f"{words.halogen.capitalize()} standard potential [V]")
            + cell.value("Positive electrode formal potential offset [V]")
            - cell.value("Zinc standard potential [V]")
            + KT / 2 * np.log(b * 1e3 / y**2)
            - KT / 2 * np.log(c / 1e3)
            - KT / 2 * np.log(cubed)
        )
        assert voltage(Marcher(cell), 0.0) == pytest.approx(nernst, abs=1e-6)


def composition(cell: cm.Cell, words: Words) -> tuple[float, float, float]:
    """Metal ion and halide on both sides, and halogen on the positive one [mol.m-3]."""
    values = Marcher(
        cell,
        [
            "Negative compartment zinc ion concentration [mol.m-3]",
            f"Positive compartment {words.halide} concentration [mol.m-3]",
            f"Positive compartment {words.halogen} concentration [mol.m-3]",
        ],
    )
    return tuple(start(values).values())


def test_the_recipe_less_what_the_charge_took(words):
    """Mass by hand: half of the capacity came out of both sides' salt."""
    cell = words.cell()
    value = cell.value
    shared = value("Separator porosity") * value("Separator thickness [m]") / 2
    negative = value("Negative compartment electrolyte height [m]") + shared
    felt = value("Positive electrode porosity") * value("Positive electrode thickness [m]")
    positive = felt + value("Positive reservoir electrolyte height [m]") + shared
    charged = 0.5 * value("Maximum zinc areal capacity [mol.m-2]")
    c, _, b = composition(cell, words)
    salt = value("Initial zinc ion concentration [mol.m-3]")
    assert c == pytest.approx(salt - charged / (negative + positive), rel=1e-12)
    assert b == pytest.approx(1e-6 + charged / positive, rel=1e-12)


# --- small signals -------------------------------------------------------------------------------


@pytest.mark.parametrize("law", ["Volmer", "two-electron"])
@pytest.mark.parametrize("anodic", [1.0, 1.5])
def test_resistance_to_a_small_current(words, law, anodic):
    """Ohmic, and kT/F over the exchange currents times the electrons of the slow steps (to 1 %)."""
    halogen = words.halogen.capitalize()
    changes = {"Zinc anodic transfer coefficient": anodic, f"{halogen} transfer coefficient": 0.4}
    cell = words.cell(NO_CROSSOVER | changes, [HalogenKinetics(law)])
    c, y, b = composition(cell, words)
    value = cell.value
    plate = value("Zinc exchange-current density [A.m-2]") * (c / 1e3) ** (anodic / 2)
    area = value("Positive electrode surface area to volume ratio [m-1]") * value(
        "Positive electrode thickness [m]"
    )
    rate = area * value(f"{halogen} exchange-current density [A.m-2]")
    if law == "Volmer":
        felt = rate * (y / 1e3) ** 0.6 * (b / 1e3) ** 0.2
    else:
        felt = 2 * rate * (y / 1e3) ** 1.2 * (b / 1e3) ** 0.4
    compiled = Marcher(cell, [OHMIC])
    expected = start(compiled)[OHMIC] + KT / (2 * plate) + KT / felt
    step = 1e-3 * plate * cell.electrode_area
    slope = (voltage(compiled, step) - voltage(compiled, -step)) / (2 * step)
    assert -slope * cell.electrode_area == pytest.approx(expected, rel=0.01)


def test_ohmic_resistance_by_its_parts(words):
    """Gap, separator and contact in series; the positive electrode adds at most L/(3 kappa_p)."""
    cell = words.cell()
    value = cell.value
    kappa = value("Electrolyte conductivity at 25 degC [S.m-1]")
    path = value("Negative gap thickness [m]") + value("Separator MacMullin number") * value(
        "Separator thickness [m]"
    )
    series = path / kappa
    series += value("Contact resistance [Ohm.m2]") + value("Membrane area resistance [Ohm.m2]")
    felt = value("Positive electrode thickness [m]") / (
        3 * kappa * value("Positive electrode porosity") ** 1.5
    )
    found = start(Marcher(cell, [OHMIC]))[OHMIC]
    assert series < found <= (series + felt) * (1 + 1e-12)


# --- symmetry ------------------------------------------------------------------------------------


def test_voltage_depends_on_the_current_density_alone(words):
    one, two = words.cell(), words.cell({"Electrode area [m2]": 0.02})
    single, double = Marcher(one), Marcher(two)
    ratio = two.electrode_area / one.electrode_area
    for density in (-200.0, 0.0, 50.0, 400.0):
        current = density * one.electrode_area
        assert voltage(double, ratio * current) == pytest.approx(
            voltage(single, current), abs=1e-12
        )


def test_overpotentials_change_sign_with_the_current(words):
    """With symmetric transfer coefficients, nothing that limits them, and a covered plate."""
    halogen = words.halogen.capitalize()
    changes = {
        "Zinc anodic transfer coefficient": 1.0,
        f"{halogen} transfer coefficient": 0.5,
        "Residual zinc threshold [mol.m-2]": 1e-9,
    }
    cell = words.cell(NO_CROSSOVER | changes)
    names = ["Zinc overpotential [V]", f"{halogen} overpotential [V]"]
    compiled = Marcher(cell, names)
    # iodine's kinetics is so fast that a small current moves its potential by less than 10 uV
    densities, least = ((50.0, 300.0), 1e-6) if halogen == "Iodine" else ((1.0, 50.0, 300.0), 1e-5)
    for density in densities:
        current = density * cell.electrode_area
        forth, back = start(compiled, current), start(compiled, -current)
        for name in names:
            assert abs(forth[name]) > least
            assert forth[name] == pytest.approx(-back[name], rel=1e-6, abs=1e-8)


# --- crossover -----------------------------------------------------------------------------------


def crossover(words: Words, cell: cm.Cell) -> tuple[float, float]:
    """Self-discharge after ten minutes of rest [A.m-2], and the halogen behind it [mol.m-3]."""
    held = f"Positive compartment aqueous {words.halogen} concentration [mol.m-3]"
    march = Marcher(cell, [LOSS, held])("Rest for 10 minutes")
    return march.output(LOSS)[-1], march.output(held)[-1]


def permeability(words: Words, cell: cm.Cell) -> float:
    """Of the separator for X2 [m.s-1]."""
    value = cell.value
    path = value("Separator MacMullin number") * value("Separator thickness [m]")
    diffusivity = value("Electrolyte diffusivity viscosity factor") * value(
        f"{words.halogen.capitalize()} diffusivity [m2.s-1]"
    )
    return value("Separator neutral partition coefficient") * diffusivity / path


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"Initial state of charge": 0.25},
        {"Separator MacMullin number": 3.0},
        {"Separator thickness [m]": 1.4e-3},
        {"Separator neutral partition coefficient": 0.5},
    ],
    ids=str,
)
def test_steady_crossover_of_neutral_halogen(words, changes):
    """i = 2 F P c: linear in c, inverse in N_M and L (to 1 %)."""
    open_way = {
        "Separator neutral partition coefficient": 1.0,
        "Zinc chemical attack velocity [m.s-1]": 0.01,
    }
    cell = words.cell({**open_way, **changes})
    current, held = crossover(words, cell)
    expected = 2 * FARADAY * permeability(words, cell) * held
    assert expected > 10.0
    assert current == pytest.approx(expected, rel=0.01)


def test_pure_self_discharge_is_exponential(words):
    """c(t) = c_0 exp(-P t / h_p) in a rest (to 1e-3 of c_0)."""
    changes = {
        "Separator neutral partition coefficient": 1.0,
        "Zinc chemical attack velocity [m.s-1]": 0.01,
        "Initial zinc areal amount [mol.m-2]": 1.0,
    }
    cell = words.cell(changes)
    compiled = Marcher(cell)
    march = compiled("Rest for 4 hours")
    amount = march[f"Positive compartment {words.halogen} [mol.m-2]"]
    times = np.concatenate([[0.0], march.steps[0].times.ravel()])
    value = cell.value
    shared = value("Separator porosity") * value("Separator thickness [m]") / 2
    felt = value("Positive electrode porosity") * value("Positive electrode thickness [m]")
    height = felt + value("Positive reservoir electrolyte height [m]") + shared
    expected = amount[0] * np.exp(-permeability(words, cell) * times / height)
    assert expected[-1] < 0.8 * amount[0]
    np.testing.assert_allclose(amount, expected, atol=1e-3 * amount[0])


# --- an empty cell -------------------------------------------------------------------------------

EMPTY = (
    "Discharge at 0.2C until 0.5 V",
    "Hold at 0.01 V for 10 minutes",
    "Rest for 1 hour",
    "Charge at 0.5C for 30 minutes",
    "Discharge at 1C until 0.5 V",
    "Discharge at 0.1C until 0.05 V",
    "Hold at 0.001 V for 1 hour",
    "Rest for 1 hour",
)


@pytest.mark.parametrize("nothing", [("halogen",), ("zinc",), ("halogen", "zinc")], ids=str)
def test_a_cell_without_halogen_or_zinc(words, nothing):
    """Every step ends as it should, smoothly, and no value is lost."""
    names = {
        "halogen": f"Initial {words.halogen} concentration [mol.m-3]",
        "zinc": "Initial zinc areal amount [mol.m-2]",
    }
    plain = cm.Cell(words.name)
    cell = plain.with_parameters({names[what]: 0.0 for what in nothing})
    march = Marcher(cell)(*EMPTY)
    assert np.all(np.isfinite(march.points)) and np.all(np.isfinite(march.voltage))
    ends = [step.voltage[-1, -1] for step in march.steps]
    assert ends[0] <= 0.5 and ends[4] == pytest.approx(0.5, abs=1e-3)
    assert ends[5] == pytest.approx(0.05, abs=1e-3)
    solution = solve(cell, *EMPTY[1:])
    assert len(solution.cycles[0].steps) == len(EMPTY) - 1
    assert all(np.all(np.isfinite(step.y)) for step in solution.cycles[0].steps)
    ours = sum(step.charge for step in march.steps[4:6])
    theirs = -sum(
        step["Discharge capacity [A.h]"].entries[0] - step["Discharge capacity [A.h]"].entries[-1]
        for step in solution.cycles[0].steps[3:5]
    )
    assert ours == pytest.approx(theirs, rel=1e-3)


# --- activity coefficients -----------------------------------------------------------------------

#: beta0, beta1 and Cphi (the pyEQL database, credited to doi:10.1021/je2009329), and the free
#: enthalpy of Zn + X2 = Zn+2 + 2 X- with X2 as a liquid (NBS tables, 1982) or a solid (llnl.dat of
#: PHREEQC) [J.mol-1].
SALTS = {
    "ZnBr2": (0.4122, 1.926, -0.08267, -354980.0),
    "ZnI2": (0.526, 2.317, -0.08623, -251100.0),
}


def gamma(salt: str, molality: float) -> float:
    beta0, beta1, cphi, _ = SALTS[salt]
    return float(np.exp(pitzer_log_gamma(molality, beta0, beta1, cphi)))


@pytest.mark.parametrize(
    ("molality", "expected"),
    [(0.1, 0.551), (0.5, 0.514), (1.0, 0.552), (1.5, 0.579), (2.0, 0.568)],
)
def test_mean_activity_coefficient_of_zinc_bromide(molality, expected):
    assert gamma("ZnBr2", molality) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(
    ("salt", "molality", "expected"),
    [
        ("ZnBr2", 0.1, 1.934),
        ("ZnBr2", 0.5, 1.875),
        ("ZnBr2", 1.0, 1.845),
        ("ZnBr2", 1.5, 1.828),
        ("ZnBr2", 2.0, 1.817),
        ("ZnI2", 0.1, 1.393),
        ("ZnI2", 0.5, 1.327),
        ("ZnI2", 1.0, 1.292),
        ("ZnI2", 1.5, 1.269),
        ("ZnI2", 2.0, 1.253),
    ],
)
def test_open_circuit_voltage_over_the_pure_halogen(salt, molality, expected):
    """Zn | ZnX2 | X2(l or s), E = E0 - kT/2F ln(4 m^3 gamma^3) (to 1 mV)."""
    activity = 4 * (molality * gamma(salt, molality)) ** 3
    found = -SALTS[salt][3] / (2 * FARADAY) - KT / 2 * np.log(activity)
    assert found == pytest.approx(expected, abs=1e-3)


def test_pitzer_shifts_the_open_circuit_voltage(words):
    """By -(3 kT/2F) ln gamma at the molality of the salt, not beyond where the fit ends."""
    laws = {law: words.cell(NO_CROSSOVER, [ActivityCoefficients(law)]) for law in LAWS}
    at = {law: voltage(Marcher(cell), 0.0) for law, cell in laws.items()}
    cubed = laws["ideal"].value(f"Zinc {words.halide} mean activity factor")
    assert at["constant"] - at["ideal"] == pytest.approx(-KT / 2 * np.log(cubed), abs=1e-6)
    assert 0.0 < at["Pitzer"] - at["ideal"] < 0.1


LAWS = ("ideal", "constant", "Pitzer")
