"""What is known of activation energies before the data, and the law that follows."""

import numpy as np
import pytest
import scipy.constants

from cellmodels.cell import Cell
from cellmodels.errors import InputError
from cellmodels.fitting.fit import free_parameters
from cellmodels.many.activation import law
from cellmodels.many.laws import Law

RATE = "SEI solvent diffusivity [m2.s-1]"
PLATING = "Lithium plating kinetic rate constant [m.s-1]"


def law_of(name, free=(RATE,), arrhenius=None, energies=None, mechanisms=("SEI",)):
    cell = Cell("lithium_ion", parameters=name, model="SPM", mechanisms=mechanisms)
    bounds = {n: (1e-3 * cell.value(n), 1e3 * cell.value(n)) for n in free}
    scaling = free_parameters(cell, list(free), bounds=bounds)
    return law([cell, cell], scaling, arrhenius, energies)


@pytest.mark.parametrize(
    ("name", "built_in", "words"),
    [
        ("Chen2020", 0.0, "an estimate without source: Chen2020 has 0, no value"),
        ("Mohtat2020", 0.0, "an estimate without source: Mohtat2020 has 0, no value"),
        ("OKane2022", 38.0, "an estimate without source: OKane2022 has 38 kJ/mol, without a range"),
    ],
)
def test_a_set_that_says_nothing_leaves_the_estimate(name, built_in, words):
    energy = law_of(name).energies[RATE]
    assert (energy.built_in, energy.mean, energy.deviation) == (built_in, 40.0, 40.0)
    assert energy.source == words


def test_a_set_with_value_and_range_is_the_prior():
    energy = law_of("nmc_graphite_siox").energies[RATE]
    assert (energy.built_in, energy.mean, energy.deviation) == (38.0, 38.0, 25.0)
    assert energy.source.startswith("OKane2022") and "a quarter of its range" in energy.source


def test_a_rate_without_a_law_in_the_model_has_the_estimate():
    line = law_of("OKane2022", (PLATING,), [PLATING], mechanisms=("lithium plating",))
    energy = line.energies[PLATING]
    assert (energy.built_in, energy.mean, energy.deviation) == (0.0, 40.0, 40.0)
    assert energy.source == "an estimate without source: the model has none for this rate"


def test_what_is_given_goes_before_the_set():
    energy = law_of("Chen2020", energies={RATE: (50e3, 5e3)}).energies[RATE]
    assert (energy.built_in, energy.mean, energy.deviation) == (0.0, 50.0, 5.0)
    assert energy.source == "given"
    with pytest.raises(InputError, match="positive error"):
        law_of("Chen2020", energies={RATE: (50e3, 0.0)})


def test_the_law_is_that_of_arrhenius_and_survives_as_plain_data():
    line = law_of("OKane2022")
    again = Law.from_plain(line.to_plain())
    assert again.labels == line.labels and again.to_plain() == line.to_plain()
    slope = 1e3 / scipy.constants.R * (1 / line.reference - 1 / 320.0)
    np.testing.assert_allclose(again.design(320.0), [[1.0, slope]], rtol=1e-12)
