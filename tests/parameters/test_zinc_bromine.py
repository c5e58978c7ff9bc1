"""The zinc-bromine sets make plausible cells, with the losses that their numbers say by hand."""

import numpy as np
import pytest
from scipy.optimize import brentq

import cellmodels as cm
from cellmodels import parameter_set

FARADAY = 96485.33212331001
MILLIAMPERE_HOURS = 10 * 3600 / (2 * FARADAY)  # mol.m-2 in 1 mAh.cm-2
CAPACITY = "Complexing agent bromine capacity"
HALF_LOADING = "Complexing agent half-loading bromine concentration [mol.m-3]"


def cycled(cell, current, capacity, cycles=3):
    """Some cycles at a current [mA.cm-2], charge limited by capacity [mAh.cm-2], and a rest."""
    charge = f"Charge at {current} mA/cm2 until {capacity} mAh/cm2"
    discharge = f"Discharge at {current} mA/cm2 until 0.8 V"
    rest = "Rest for 10 minutes"
    tests = (
        cm.Test("now", [charge, discharge]),
        cm.Test("next_day", [charge, "Rest for 24 hours", discharge]),
        cm.Test("loss", [charge, rest], "self_discharge"),
        cm.Test("top", [charge, rest], "aqueous_halogen"),
    )
    protocol = cm.Protocol([charge, discharge], every={cycles: cm.Checkup(tests)})
    life = cm.simulate(cell, protocol, cycles=cycles)
    assert life.attrs["outcome"] == "completed"
    rows = life["cycles"].to_dataset().isel(point=-1)
    after = life["checkups"].to_dataset().isel(checkup=-1)
    found = {name: float(value) for name, value in {**rows.data_vars, **after.data_vars}.items()}
    return found | {"lost": 1 - found["capacity_next_day"] / found["capacity_now"]}


def heights_of(cell):
    """Electrolyte at the negative and at the positive electrode, tanks included, per area [m]."""
    v = cell.value
    tanks = [0.0, 0.0]
    if cell.mechanisms:
        tanks = [v(f"{side} tank volume per area [m]") for side in ("Negative", "Positive")]
    shared = v("Separator porosity") * v("Separator thickness [m]") / 2
    felt = v("Positive electrode porosity") * v("Positive electrode thickness [m]")
    negative = v("Negative compartment electrolyte height [m]")
    return negative + shared + tanks[0], felt + shared + tanks[1]


def recipe_of(cell):
    """Zinc, agent and the bromide that closes the electroneutrality [mol.m-3]."""
    words = {"zinc": "zinc ion", "agent": "complexing agent", "chloride": "chloride"}
    found = {k: cell.value(f"Initial {w} concentration [mol.m-3]") for k, w in words.items()}
    return found | {"bromide": 2 * found["zinc"] + found["agent"] - found["chloride"]}


def by_hand(cell, capacity):
    """Dissolved bromine [mol.m-3] and self-discharge [A.m-2] of a charged cell, with a pencil.

    Bromine in the positive compartment by the isotherms and the polybromides' constants, in the
    bromide that the whole cell has left; it diffuses to the zinc through the separator.
    """
    v = cell.value
    negative, positive = heights_of(cell)
    recipe = recipe_of(cell)
    amount = capacity * MILLIAMPERE_HOURS
    bromide = recipe["bromide"] - 2 * amount / (positive + negative)
    carbon = v("Positive electrode bromine adsorption capacity [mol.m-3]") * v(
        "Positive electrode thickness [m]"
    )
    k3 = v("Tribromide formation constant [m3.mol-1]")
    k5 = v("Pentabromide formation constant [m6.mol-2]")

    def species(free):
        y = bromide / (1 + k3 * free + k5 * free**2)
        return free, k3 * y * free, k5 * y * free**2

    def excess(log_free):
        free = np.exp(log_free)
        bound = v(CAPACITY) * recipe["agent"] * free / (free + v(HALF_LOADING))
        half = v("Positive electrode half-loading bromine concentration [mol.m-3]")
        adsorbed = carbon / positive * free / (free + half)
        alone, three, five = species(free)
        return alone + three + 2 * five + bound + adsorbed - amount / positive

    found = species(np.exp(brentq(excess, -15.0, 6.0)))
    path = v("Separator MacMullin number") * v("Separator thickness [m]")
    viscosity = v("Electrolyte diffusivity viscosity factor")
    names = ("Bromine", "Tribromide", "Pentabromide")
    crossing = sum(
        count * viscosity * v(f"{name} diffusivity [m2.s-1]") / path * concentration
        for count, name, concentration in zip((1, 1, 2), names, found, strict=True)
    )
    return found[0] + found[1] + 2 * found[2], 2 * FARADAY * crossing


#: Set -> current [mA.cm-2], capacity [mAh.cm-2], bands of coulombic efficiency, voltage efficiency
#: and loss in a day.
EXPECTED = {
    # The reference calculation of such a cell has 90.8 %, 91.4 % and 66 % of 20 mAh.cm-2 a day.
    "zinc_bromine_static": (10, 20, (0.89, 0.93), (0.89, 0.93), (0.60, 0.75)),
    # A tenth of the half-loading concentration, but with less capacity to bind it than in the
    # reference calculation (98.8 %, 89.1 %, 13.5 % a day): more is lost. Little free bromine makes
    # the bromine electrode slower: a voltage efficiency below that of the liquid agent.
    "zinc_bromine_strong_agent": (10, 12, (0.98, 0.995), (0.86, 0.91), (0.135, 0.30)),
    # Half the current. About 3 ohm.cm2 of electrolyte and contacts, and next to nothing else: at
    # 5 mA.cm-2 charge and discharge lie 30 mV apart, 2 % of 1.75 V. Between the two agents.
    "zinc_bromine_activated_carbon": (5, 8, (0.95, 0.985), (0.97, 0.99), (0.25, 0.50)),
    # Pumped through rests too. Published flow cells have an energy efficiency of 70 to 80 %: 74 %
    # at 40 mA.cm-2 (Wu et al. 2017). By hand 3 A.m-2 cross at the end of charge, 1.6 % of the
    # charge are lost in a cycle. A gap of 2 mm and the separator cost 5 ohm.cm2 and more.
    "zinc_bromine_flow": (20, 75, (0.97, 0.995), (0.75, 0.82), (0.05, 0.15)),
}


def cell_of(name):
    """A cell of a set, with its tanks if it has some."""
    return cm.Cell("zinc_bromine", name, mechanisms=[cm.Flow()] if name.endswith("flow") else [])


@pytest.fixture(scope="module")
def results():
    made = {}
    for name, (current, capacity, *_) in EXPECTED.items():
        cell = cell_of(name)
        made[name] = cell, cycled(cell, current, capacity)
    return made


def test_every_set_is_tried_here():
    assert set(EXPECTED) == set(parameter_set.names("zinc_bromine"))


@pytest.mark.parametrize("name", EXPECTED)
def test_a_set_makes_a_plausible_cell(results, name):
    _, found = results[name]
    measured = (found["coulombic_efficiency"], found["voltage_efficiency"], found["lost"])
    for value, (low, high) in zip(measured, EXPECTED[name][2:], strict=True):
        assert low < value < high


# With tanks the bromide of the two sides differs by more than the pencil can leave out.
@pytest.mark.parametrize("name", [name for name in EXPECTED if not name.endswith("flow")])
def test_losses_are_those_of_the_isotherm_and_the_separator(results, name):
    cell, found = results[name]
    current, capacity, *_ = EXPECTED[name]
    # what crosses in the cycle is missing, and the bromide is not the same on both sides
    dissolved, crossing = by_hand(cell, capacity * found["coulombic_efficiency"])
    assert found["aqueous_halogen_top"] == pytest.approx(dissolved, rel=0.15)
    assert found["self_discharge_loss"] == pytest.approx(crossing, rel=0.15)
    # the mean of a cycle is about half of that at its end, and acts on charge and discharge
    assert 1 - found["coulombic_efficiency"] == pytest.approx(crossing / (10 * current), rel=0.3)


@pytest.mark.parametrize("name", EXPECTED)
def test_there_is_zinc_and_bromide_for_the_capacity(name):
    cell = cell_of(name)
    current, capacity, *_ = EXPECTED[name]
    assert cell.nominal_capacity == pytest.approx(capacity * 10 * cell.electrode_area)
    heights, recipe = heights_of(cell), recipe_of(cell)
    amount = capacity * MILLIAMPERE_HOURS
    assert amount < cell.value("Maximum zinc areal capacity [mol.m-2]")
    assert amount < 0.9 * recipe["zinc"] * sum(heights)
    assert 2 * amount < 0.8 * recipe["bromide"] * sum(heights)  # utilisation as such cells are used
    assert current < 2 * capacity  # more than half an hour of charge: no power cells


@pytest.mark.parametrize(("half_loading", "a_day"), [(2.0, 0.66), (0.5, 0.29), (0.2, 0.135)])
def test_self_discharge_follows_the_half_loading_concentration(half_loading, a_day):
    """Independent calculations of the static cell lose 66, 29 and 13.5 % of 20 mAh.cm-2 a day."""
    cell = cm.Cell("zinc_bromine", parameters="zinc_bromine_static")
    found = cycled(cell.with_parameters({HALF_LOADING: half_loading}), 10, 20)
    assert found["lost"] == pytest.approx(a_day, rel=0.05)
