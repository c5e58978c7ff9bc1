"""Mechanisms as values: names, settings, refusals."""

import json
import pickle
from dataclasses import FrozenInstanceError

import pytest

from cellmodels.errors import InputError
from cellmodels.models.mechanisms import (
    MECHANISMS,
    SEI,
    DoubleLayer,
    LithiumPlating,
    LossOfActiveMaterial,
    LumpedThermal,
    ParticleCracking,
    mechanism,
    mechanism_names,
)

VARIANTS = [
    SEI(),
    SEI(limit="reaction", porosity_change=False),
    LithiumPlating(kind="irreversible"),
    LossOfActiveMaterial(),
    LossOfActiveMaterial("stress and reaction", electrodes=("negative",)),
    ParticleCracking(electrodes=("negative", "positive")),
    LumpedThermal(),
    DoubleLayer(),
]


@pytest.mark.parametrize("given", VARIANTS, ids=repr)
def test_a_table_gives_back_the_mechanism(given):
    table = json.loads(json.dumps(given.to_dict()))
    assert mechanism(table) == given
    assert pickle.loads(pickle.dumps(given)) == given
    assert hash(mechanism(table)) == hash(given)


@pytest.mark.parametrize("kind", MECHANISMS)
def test_every_name_of_a_mechanism_is_understood(kind):
    for name in (kind.short_name, kind.__name__, *kind.aliases):
        assert mechanism(name.upper()) == kind()


def test_names_and_aliases_are_unique():
    names = [n.casefold() for k in MECHANISMS for n in (k.short_name, *k.aliases)]
    assert len(set(names)) == len(names)
    assert mechanism_names() == tuple(k.short_name for k in MECHANISMS)


@pytest.mark.parametrize("kind", MECHANISMS)
def test_every_mechanism_names_its_source(kind):
    assert "Source" in kind.__doc__ and "doi:10." in kind.__doc__


def test_mechanisms_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        SEI().limit = "reaction"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: SEI(limit="solvent difusion"), ["'solvent diffusion'", "reaction"]),
        (lambda: SEI(porosity_change="yes"), ["porosity_change", "'yes'"]),
        (lambda: LithiumPlating(kind="reversable"), ["'reversible'"]),
        (lambda: LossOfActiveMaterial(driver="stres"), ["'stress'"]),
        (lambda: LossOfActiveMaterial(electrodes=("anode",)), ["anode", "negative"]),
        (lambda: LossOfActiveMaterial("reaction", ("positive",)), ["negative electrode only"]),
        (lambda: LossOfActiveMaterial("stress and reaction", ("positive",)), ["stress alone"]),
        (lambda: ParticleCracking(electrodes=("positive",)), ["sei_on_cracks=False"]),
        (lambda: ParticleCracking(electrodes=()), ["no electrode"]),
        (lambda: mechanism("SIE"), ["'SEI'"]),
        (lambda: mechanism({"mechanism": "SEI", "limits": "reaction"}), ["'limit'"]),
        (lambda: mechanism({"mechanism": "lumped thermal", "h": 1}), ["'h'", "none"]),
        (lambda: mechanism({"limit": "reaction"}), ["'mechanism'"]),
        (lambda: mechanism(3), ["3"]),
    ],
)
def test_what_cannot_be_is_refused_with_the_valid_choice(make, words):
    with pytest.raises(InputError) as error:
        make()
    for word in words:
        assert word in str(error.value)


def test_electrodes_are_put_in_order():
    both = LossOfActiveMaterial(electrodes=("positive", "negative"))
    assert both == LossOfActiveMaterial()
    assert LossOfActiveMaterial(electrodes="positive").electrodes == ("positive",)
    assert LossOfActiveMaterial("reaction").electrodes == ("negative",)


def test_each_electrode_has_the_driver_that_can_act_there():
    loss = LossOfActiveMaterial("stress and reaction")
    assert [loss.driver_in(e) for e in ("negative", "positive")] == [
        "stress and reaction",
        "stress",
    ]
    assert LossOfActiveMaterial(electrodes=("negative",)).driver_in("positive") == "none"


def test_ageing_parameters_follow_the_settings():
    assert "SEI solvent diffusivity [m2.s-1]" in SEI().parameters
    assert "SEI solvent diffusivity [m2.s-1]" not in SEI("reaction").parameters
    assert "Dead lithium decay constant [s-1]" in LithiumPlating().parameters
    assert "Dead lithium decay constant [s-1]" not in LithiumPlating("reversible").parameters
    positive = LossOfActiveMaterial(electrodes=("positive",))
    assert all(name.startswith("Positive") for name in positive.parameters)


@pytest.mark.parametrize("given", VARIANTS, ids=repr)
def test_rates_are_some_of_the_parameters_of_what_ages(given):
    assert set(given.rates) <= set(given.parameters)
    assert bool(given.rates) == given.ages == (not isinstance(given, LumpedThermal | DoubleLayer))


def test_rates_of_each_place():
    assert SEI("reaction").rates == ("SEI reaction exchange current density [A.m-2]",)
    assert LithiumPlating().rates == ("Dead lithium decay constant [s-1]",)
    assert LithiumPlating("reversible").rates == ("Lithium plating kinetic rate constant [m.s-1]",)
    assert LossOfActiveMaterial().rates == (
        "Negative electrode LAM constant proportional term [s-1]",
        "Positive electrode LAM constant proportional term [s-1]",
    )
    assert LossOfActiveMaterial("reaction").rates == (
        "Negative electrode reaction-driven LAM factor [m3.mol-1]",
    )
    assert ParticleCracking(sei_on_cracks=False).rates == ()
