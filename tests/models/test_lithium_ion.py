"""Mechanisms -> PyBaMM options -> models of every level."""

import numpy as np
import pybamm
import pytest

from cellmodels.errors import InputError
from cellmodels.models import FAMILIES, family
from cellmodels.models.lithium_ion import LEVELS, build, electrode_area, options, resolve
from cellmodels.models.mechanisms import (
    SEI,
    SEI_LIMITS,
    DoubleLayer,
    LithiumPlating,
    LossOfActiveMaterial,
    LumpedThermal,
    ParticleCracking,
)

EVERYTHING = (
    SEI(),
    LithiumPlating(),
    LossOfActiveMaterial("stress and reaction"),
    ParticleCracking(electrodes=("negative", "positive")),
    LumpedThermal(),
    DoubleLayer(),
)
COMBINATIONS = [
    (),
    EVERYTHING,
    *[(SEI(limit),) for limit in SEI_LIMITS],
    *[(LithiumPlating(kind),) for kind in ("reversible", "irreversible", "partially reversible")],
    (LossOfActiveMaterial(electrodes=("positive",)),),
    (SEI(), LossOfActiveMaterial("reaction")),
    (SEI(), ParticleCracking(), LossOfActiveMaterial(electrodes=("negative",))),
    (ParticleCracking(electrodes=("positive",), sei_on_cracks=False),),
    (DoubleLayer(), SEI()),
]


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("mechanisms", COMBINATIONS, ids=lambda m: "+".join(map(repr, m)))
def test_every_combination_builds_at_every_level_with_its_states(level, mechanisms):
    model = build(level, mechanisms)
    assert isinstance(model, LEVELS[level])
    for mechanism in mechanisms:
        assert set(mechanism.states) <= set(model.variables)


NEEDS = [
    *[(SEI(limit), ()) for limit in SEI_LIMITS],
    *[
        (LithiumPlating(kind), ())
        for kind in ("reversible", "irreversible", "partially reversible")
    ],
    (LossOfActiveMaterial(), ()),
    (LossOfActiveMaterial("reaction"), (SEI(),)),
    (LossOfActiveMaterial("stress and reaction"), (SEI(),)),
    (ParticleCracking(), (SEI(),)),
    (ParticleCracking(("negative", "positive"), sei_on_cracks=False), ()),
    (LumpedThermal(), ()),
    (DoubleLayer(), ()),
]


@pytest.mark.parametrize(("mechanism", "beside"), NEEDS, ids=repr)
def test_required_parameters_are_exactly_those_that_pybamm_reads(mechanism, beside):
    asked = {p.name for p in build("SPM", (mechanism, *beside)).parameters}
    without = {p.name for p in build("SPM", beside).parameters}
    assert asked - without <= set(mechanism.requires) <= asked


def test_options_of_all_mechanisms_together():
    assert options(EVERYTHING) == {
        "SEI": ("solvent-diffusion limited", "none"),
        "SEI porosity change": "true",
        "lithium plating": ("partially reversible", "none"),
        "lithium plating porosity change": "true",
        "loss of active material": ("stress and reaction-driven", "stress-driven"),
        "SEI on cracks": ("true", "false"),
        "particle mechanics": ("swelling and cracking", "swelling and cracking"),
        "stress-induced diffusion": ("true", "true"),
        "thermal": "lumped",
        "surface form": "differential",
    }
    assert options() == {}


def test_loss_in_one_electrode_leaves_the_other_without_mechanics():
    chosen = options([LossOfActiveMaterial(electrodes=("positive",))])
    assert chosen["particle mechanics"] == ("none", "swelling only")
    assert chosen["stress-induced diffusion"] == ("false", "true")


@pytest.mark.parametrize(
    ("mechanisms", "words"),
    [
        ([SEI(porosity_change=False), LithiumPlating()], ["porosity_change", "both"]),
        ([LossOfActiveMaterial("reaction")], ["Add SEI()"]),
        (["particle cracking"], ["Add SEI()", "sei_on_cracks=False"]),
        (["SEI", SEI("reaction")], ["2 times"]),
    ],
)
def test_impossible_combinations_are_refused(mechanisms, words):
    with pytest.raises(InputError) as error:
        resolve(mechanisms)
    for word in words:
        assert word in str(error.value)


def test_order_and_spelling_do_not_matter():
    assert resolve(["SEI", LithiumPlating()]) == resolve([{"mechanism": "plating"}, SEI()])
    assert resolve("SEI") == resolve([SEI()])


def test_an_unknown_level_is_refused():
    with pytest.raises(InputError, match="SPMe"):
        build("P2D")


def test_an_unknown_family_is_refused():
    assert set(FAMILIES) == {"lithium_ion", "zinc_halogen"}
    with pytest.raises(InputError, match="lithium_ion"):
        family("lithium_iron")


def test_electrode_area_counts_pairs_in_parallel():
    values = pybamm.ParameterValues("OKane2022")
    one = electrode_area(values)
    assert one == pytest.approx(0.065 * 1.58)
    values["Number of electrodes connected in parallel to make a cell"] = 3
    assert electrode_area(values) == pytest.approx(3 * one)


def test_a_model_with_all_mechanisms_runs_and_ages():
    values = pybamm.ParameterValues("OKane2022")
    steps = ["Discharge at 1C for 30 minutes", "Charge at 1C for 10 minutes"]
    simulation = pybamm.Simulation(
        build("SPM", EVERYTHING), experiment=pybamm.Experiment(steps), parameter_values=values
    )
    solution = simulation.solve()
    for name in (name for m in EVERYTHING for name in m.states):
        values = solution[name].entries
        assert np.isfinite(values).all()
        assert values[-1] != values[0], name
