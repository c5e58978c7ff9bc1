"""Simpler models that are fitted first: predictors of the analytic fade stand for them."""

import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

import cellmodels.fitting  # noqa: F401 - the package, before its module of the same name
from cellmodels.cell import Cell
from cellmodels.errors import InputError
from cellmodels.fitting.checkpoint import read_checkpoint
from cellmodels.fitting.fit import fit, fit_with, free_parameters, simpler_levels
from cellmodels.fitting.least_squares import FitError, minimise
from cellmodels.fitting.problem import Problem
from cellmodels.fitting.residuals import observe
from cellmodels.fitting.result import Fit
from cellmodels.fitting.simpler import SimplerModel, fit_simpler
from cellmodels.protocol import Protocol
from cellmodels.record import read_record

FAR = (0.002, 4e-3, 3e-4)  # ten times off the truth in every parameter


@dataclass
class Biased:
    """A predictor whose parameters mean something else by a factor: a simpler model."""

    predict: object
    factor: float = 1.2

    @property
    def calls(self):
        return self.predict.calls

    def __call__(self, values, *arguments, **options):
        found = self.predict(np.asarray(values) * self.factor, *arguments, **options)
        return replace(found, jacobian=found.jacobian * self.factor) if found.outcome.ok else found


class Interrupted:
    """A predictor at whose n-th call the user presses Ctrl-C."""

    def __init__(self, predict, call):
        self.predict, self.left = predict, call

    def __call__(self, *arguments, **options):
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt
        return self.predict(*arguments, **options)


def model(name, predict):
    return SimplerModel(name, lambda: predict)


def refused(name):
    """A model that cannot be built, or must not be."""

    def predictor():
        raise NotImplementedError(f"no {name} with\nthese options")

    return SimplerModel(name, predictor)


def run(predict, simpler, record, scaling, **options):
    """Simpler models, then the fit itself, as `fit_with` has it."""
    options = {"progress": False, **options}
    problem = Problem(predict, observe(record), scaling)
    found = fit_simpler(simpler, problem, **options)
    return minimise(problem, simpler=found, **options)


# Where the fit starts ---------------------------------------------------------------------


def test_each_model_starts_where_the_simpler_one_ended(record, fade_of, scaling_of):
    coarse, medium, fine = Biased(fade_of(), 1.5), Biased(fade_of(), 1.2), fade_of()
    scaling = scaling_of(FAR)
    models = [model("coarse", coarse), model("medium", medium)]
    optimum = run(fine, models, record, scaling)
    first, second = optimum.simpler
    assert [first.model, second.model] == ["coarse", "medium"]
    np.testing.assert_allclose(coarse.calls[0], 1.5 * scaling.start)
    np.testing.assert_allclose(medium.calls[0], 1.2 * scaling.to_values(first.scaled))
    np.testing.assert_allclose(fine.calls[0], scaling.to_values(second.scaled))
    assert (first.evaluations, second.evaluations) == (len(coarse.calls), len(medium.calls))
    assert len(optimum.trials) == len(fine.calls)  # those of the simpler ones are not among them


def test_the_optimum_is_the_same_for_fewer_evaluations(record, fade_of, scaling_of):
    alone, after = fade_of(), fade_of()
    expected = run(alone, [], record, scaling_of(FAR))
    optimum = run(after, [model("simple", Biased(fade_of()))], record, scaling_of(FAR))
    assert expected.converged and optimum.converged
    np.testing.assert_allclose(optimum.best.values, expected.best.values, rtol=1e-4)
    assert len(after.calls) < len(alone.calls) - 3


def test_a_simpler_model_is_not_fitted_to_the_last_digit(record, fade_of, scaling_of):
    loose, tight = fade_of(), fade_of()
    (found,) = run(fade_of(), [model("simple", loose)], record, scaling_of(FAR)).simpler
    run(tight, [], record, scaling_of(FAR))
    assert found.status == "good enough"
    assert len(loose.calls) < len(tight.calls)


def test_a_failure_where_the_simpler_model_ended_falls_back_to_the_start(
    record, fade_of, scaling_of, truth
):
    scaling = scaling_of(FAR)
    fine = fade_of()
    simple = model("simple", Biased(fade_of(), 0.5))  # ends at twice the truth
    fine.fails = lambda values: values[0] > 1.5 * truth[0]
    optimum = run(fine, [simple], record, scaling)
    assert [trial.ok for trial in optimum.trials[:2]] == [False, True]
    np.testing.assert_allclose(fine.calls[1], scaling.start, rtol=1e-9)
    assert optimum.converged
    np.testing.assert_allclose(optimum.best.values, truth, rtol=0.05)


def test_the_start_is_kept_where_the_simpler_model_leads_astray(record, fade_of, scaling_of, truth):
    scaling = scaling_of(tuple(1.1 * truth))
    fine = fade_of()
    optimum = run(fine, [model("wrong", Biased(fade_of(), 0.05))], record, scaling)
    np.testing.assert_allclose(fine.calls[1], scaling.start, rtol=1e-9)
    assert optimum.trials[1].cost < optimum.trials[0].cost
    assert [trial.accepted for trial in optimum.trials[:2]] == [True, True]
    assert optimum.converged


def test_a_better_start_costs_no_evaluation_at_the_given_one(record, fade_of, scaling_of):
    fine, scaling = fade_of(), scaling_of(FAR)
    run(fine, [model("simple", Biased(fade_of()))], record, scaling)
    assert not any(np.allclose(call, scaling.start, rtol=1e-6) for call in fine.calls)


# What cannot be fitted --------------------------------------------------------------------


def test_a_model_that_cannot_be_built_or_started_is_left_out(record, fade_of, scaling_of):
    class Cannot(fade_of):
        def __call__(self, *arguments, **options):
            raise InputError("no such observable")

    fine, scaling = fade_of(), scaling_of(FAR)
    failing = fade_of(fails=lambda values: True)
    models = [refused("first"), model("second", failing), model("third", Cannot())]
    optimum = run(fine, models, record, scaling)
    assert [fit.status for fit in optimum.simpler] == ["left out"] * 3
    reasons = [fit.message for fit in optimum.simpler]
    assert reasons[0] == "no first with these options"
    assert "no solution" in reasons[1] and reasons[2] == "no such observable"
    np.testing.assert_allclose(fine.calls[0], scaling.start)
    assert optimum.converged


def test_the_limit_on_evaluations_holds_for_each_model(record, fade_of, scaling_of):
    simple, fine = fade_of(), fade_of()
    optimum = run(fine, [model("simple", simple)], record, scaling_of(FAR), max_evaluations=2)
    assert (len(simple.calls), len(fine.calls)) == (2, 2)
    assert optimum.simpler[0].status == optimum.status == "evaluations"


def test_a_start_that_cannot_be_simulated_is_still_an_error(record, fade_of, scaling):
    with pytest.raises(FitError, match="no solution"):
        run(fade_of(fails=lambda _: True), [model("simple", fade_of())], record, scaling)


# Interrupting and resuming ----------------------------------------------------------------


@pytest.mark.parametrize("call", [1, 3])
def test_models_that_were_fitted_before_an_interrupt_are_not_fitted_again(
    record, fade_of, scaling_of, tmp_path, call
):
    path, scaling = tmp_path / "fit.json", scaling_of(FAR)
    first, second = Biased(fade_of(), 1.5), Biased(fade_of(), 1.2)
    whole = run(fade_of(), [model("first", first), model("second", second)], record, scaling)
    with pytest.raises(KeyboardInterrupt):
        run(
            fade_of(),
            [model("first", first), model("second", Interrupted(second, call))],
            record,
            scaling,
            checkpoint=path,
        )
    resumed = run(
        fade_of(),
        [refused("first"), model("second", second)],
        record,
        scaling,
        checkpoint=path,
        resume=True,
    )
    assert resumed.simpler == whole.simpler
    np.testing.assert_array_equal(resumed.best.values, whole.best.values)
    assert resumed.trials == whole.trials


@pytest.mark.parametrize("call", [1, 2, 3])
def test_a_fit_interrupted_after_the_simpler_models_goes_on_without_them(
    record, fade_of, scaling_of, tmp_path, call
):
    path, scaling = tmp_path / "fit.json", scaling_of(FAR)
    simple = [model("simple", Biased(fade_of()))]
    whole = run(fade_of(), simple, record, scaling)
    if call == 1:
        with pytest.raises(KeyboardInterrupt):
            run(Interrupted(fade_of(), call), simple, record, scaling, checkpoint=path)
    else:
        stopped = run(Interrupted(fade_of(), call), simple, record, scaling, checkpoint=path)
        assert stopped.status == "interrupted"
    options, another = {"checkpoint": path, "resume": True}, fade_of()
    models = [refused("simple")] + ([model("another", another)] if call > 1 else [])
    resumed = run(fade_of(), models, record, scaling, **options)
    assert resumed.simpler == whole.simpler and not another.calls
    assert resumed.converged
    np.testing.assert_allclose(resumed.best.values, whole.best.values, rtol=1e-4)


def test_a_checkpoint_of_another_fit_is_refused_before_anything_is_fitted(
    record, fade_of, scaling_of, tmp_path
):
    path = tmp_path / "fit.json"
    run(fade_of(), [model("simple", fade_of())], record, scaling_of(FAR), checkpoint=path)
    simple, options = fade_of(), {"checkpoint": path, "resume": True}
    with pytest.raises(InputError, match="another fit"):
        run(fade_of(), [model("simple", simple)], record, scaling_of(), **options)
    assert not simple.calls


def test_a_checkpoint_keeps_models_that_were_left_out(record, fade_of, scaling_of, tmp_path):
    path = tmp_path / "fit.json"
    optimum = run(fade_of(), [refused("simple")], record, scaling_of(FAR), checkpoint=path)
    mark = json.loads(path.read_text())["fingerprint"]
    assert read_checkpoint(path, mark).simpler == optimum.simpler


# The result -------------------------------------------------------------------------------


def test_a_fit_tells_what_was_fitted_first(cell, protocol, cell_fade, record, tmp_path):
    names = [
        "SEI solvent diffusivity [m2.s-1]",
        "SEI kinetic rate constant [m.s-1]",
        "SEI resistivity [Ohm.m]",
    ]
    scaling = free_parameters(cell, names, start={name: 2 * cell.value(name) for name in names})
    found = fit_with(
        Problem(cell_fade, observe(record), scaling),
        cell,
        record,
        protocol,
        simpler=[refused("point"), model("simple", Biased(cell_fade))],
        progress=False,
    )
    assert found.converged
    rows = found.simpler_models
    assert rows["model"].values.tolist() == ["point", "simple"]
    assert rows["status"].values.tolist() == ["left out", "good enough"]
    evaluations = int(rows["evaluations"].sel(model="simple"))
    assert f"before them {evaluations} of the simple" in repr(found)
    assert "The point could not be fitted first: no point with these options" in found.notes
    assert found.parameters["start"].values == pytest.approx(scaling.start)  # the user's
    found.save(tmp_path / "fit.nc")
    loaded = Fit.load(tmp_path / "fit.nc")
    assert loaded.simpler_models.identical(rows) and repr(loaded) == repr(found)


# Cells ------------------------------------------------------------------------------------


@pytest.fixture
def stubs(monkeypatch):
    """Simulators that only say of which model level they are."""

    class Stub:
        def __init__(self, cell, protocol, free):
            self.model = cell.model

        def predict(self, *arguments, **options):
            raise Asked(self.model)

    monkeypatch.setattr(sys.modules["cellmodels.fitting.fit"], "Simulator", Stub)


class Asked(Exception):
    """A simulation was asked for."""


@pytest.mark.parametrize(
    ("level", "options", "first"),
    [
        ("DFN", {}, "SPMe"),
        ("DFN", {"simpler_models": ()}, "DFN"),
        ("DFN", {"simpler_models": ["spm", "SPMe"]}, "SPM"),
        ("SPMe", {}, "SPMe"),
        ("SPM", {}, "SPM"),
    ],
)
def test_which_model_is_simulated_first(stubs, cell, protocol, record, level, options, first):
    names = ["SEI solvent diffusivity [m2.s-1]"]
    with pytest.raises(Asked, match=f"^{first}$"):
        fit(cell.with_model(level), record, protocol, names, progress=False, **options)


def test_lives_of_the_simpler_model_are_simulated():
    charge = ["Charge at 0.5C until 4.2 V", "Hold at 4.2 V until C/10"]
    names = ["SEI solvent diffusivity [m2.s-1]", "Initial SEI thickness [m]"]
    found = fit(
        Cell("lithium_ion", "nmc_graphite_siox", "SPMe", ["SEI"], initial_soc=1.0),
        read_record(Path(__file__).parents[1] / "data" / "short_life.csv", synthetic=True),
        Protocol(["Discharge at 1C until 2.5 V", *charge]),
        names,
        start={names[0]: 2.5e-22},
        simpler_models=["SPM"],
        max_evaluations=2,
        progress=False,
    )
    assert found.simpler_models["evaluations"].values.tolist() == [2]
    simple = found.simpler_models["values"].sel(model="SPM").values
    assert not np.allclose(simple, found.parameters["start"], rtol=1e-3, atol=0)
    np.testing.assert_array_equal(found.trials["values"][0], simple)


@pytest.mark.parametrize(
    ("models", "message"),
    [(["SPMee"], "SPMe"), (["DFN"], "own model"), (["SPM", "spm"], "2 times")],
)
def test_impossible_simpler_models_are_refused(cell, models, message):
    with pytest.raises(InputError, match=message):
        simpler_levels(cell.with_model("DFN"), models)


def test_a_familys_simpler_models_are_levels_of_it():
    from cellmodels.models import lithium_ion

    assert set(lithium_ion.SIMPLER) == set(lithium_ion.LEVELS)
    order = list(lithium_ion.LEVELS)
    for level, simpler in lithium_ion.SIMPLER.items():
        places = [order.index(name) for name in (*simpler, level)]
        assert places == sorted(set(places))
    assert Cell("lithium_ion", model="DFN").simpler_models == ("SPMe",)


def test_failed_predictions_of_a_simpler_model_are_counted(record, fade_of, scaling_of):
    def fails(values):
        return values[0] > 0.0205

    simple = fade_of(fails=fails)
    scaling = scaling_of((0.002, 1e-4, 1e-5))
    (found,) = run(fade_of(), [model("simple", simple)], record, scaling).simpler
    assert found.failed == sum(fails(call) for call in simple.calls) > 0
