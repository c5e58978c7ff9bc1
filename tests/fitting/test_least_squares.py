import json

import numpy as np
import pytest

from cellmodels.errors import InputError
from cellmodels.fitting.checkpoint import Checkpoint, Trial, read_checkpoint, write_checkpoint
from cellmodels.fitting.least_squares import FitError, minimise
from cellmodels.fitting.problem import Problem
from cellmodels.fitting.residuals import observe
from cellmodels.observations import Outcome, Prediction


def fit(predict, record, scaling, tolerance=None, **options):
    problem = Problem(predict, observe(record), scaling, tolerance=tolerance)
    return minimise(problem, progress=False, **options)


def test_true_parameters_are_recovered_from_data_without_noise(record_of, fade, scaling, truth):
    record = record_of(noise=0.0)
    optimum = fit(fade, record, scaling)
    assert optimum.converged
    np.testing.assert_allclose(optimum.best.values, truth, rtol=1e-3)


def test_optimum_is_that_of_linear_least_squares(record, fade, scaling):
    # The fade is linear in its parameters, so the exact optimum is known.
    observations = observe(record)
    zero = fade(np.zeros(3), observations.points)
    exact = np.linalg.lstsq(
        zero.jacobian / observations.std[:, None],
        (observations.data - zero.values) / observations.std,
        rcond=None,
    )[0]
    optimum = minimise(Problem(fade, observations, scaling), progress=False)
    assert optimum.converged
    np.testing.assert_allclose(optimum.best.values, exact, rtol=1e-5)


def test_each_point_is_predicted_once_and_few_are_needed(record, fade, scaling):
    optimum = fit(fade, record, scaling)
    assert len({tuple(call) for call in fade.calls}) == len(fade.calls) == len(optimum.trials)
    assert len(fade.calls) <= 12


def test_warm_start_is_the_state_of_the_last_accepted_point(record, fade_of, scaling_of):
    fade = fade_of(fails=lambda values: values[0] > 0.0205)
    optimum = fit(fade, record, scaling_of((0.002, 1e-4, 1e-5)))
    assert not all(trial.accepted for trial in optimum.trials)
    accepted = None
    for trial, state, number in zip(optimum.trials, fade.states, range(1, 99), strict=False):
        assert state == accepted
        if trial.accepted:
            accepted = f"state {number}"


def test_a_known_start_is_not_predicted_again_and_warms_the_next(record, fade, scaling):
    problem = Problem(fade, observe(record), scaling)
    start = problem.evaluate(np.full(3, 0.1))
    fade.calls.clear()
    optimum = minimise(problem, start=start, progress=False)
    assert optimum.converged and len(optimum.trials) == len(fade.calls)
    assert not any(np.array_equal(call, start.values) for call in fade.calls)
    assert fade.states[1] == start.prediction.state
    again = minimise(problem, start=optimum.best, progress=False)
    assert again.converged and again.best is optimum.best and not again.trials


def test_solver_tolerance_follows_the_noise_and_can_only_be_tightened(record, fade_of, scaling):
    limit = observe(record).solver_tolerance
    for wanted, expected in ((None, limit), (1.0, limit), (1e-6, 1e-6)):
        fade = fade_of()
        fit(fade, record, scaling, tolerance=wanted)
        assert fade.tolerances == [pytest.approx(expected)] * len(fade.calls)


@pytest.mark.parametrize("seed", range(8))
def test_convergence_from_far_starts(record, fade, scaling_of, truth, seed):
    start = truth * 10 ** np.random.default_rng(seed).uniform(-1, 1, 3)
    optimum = fit(fade, record, scaling_of(tuple(start)))
    assert optimum.converged
    np.testing.assert_allclose(optimum.best.values, truth, rtol=0.05)


# Failures ---------------------------------------------------------------------------------


def test_failed_trials_are_left_behind_and_counted(record, fade_of, scaling_of, truth):
    # From small values a step in the logarithm overshoots, to where the simulation fails.
    fade = fade_of(fails=lambda values: values[0] > 0.0205)
    optimum = fit(fade, record, scaling_of((0.002, 1e-4, 1e-5)))
    assert optimum.converged
    np.testing.assert_allclose(optimum.best.values, truth, rtol=0.05)
    assert optimum.failures["newton failed"] >= 1
    assert all(np.isinf(trial.cost) for trial in optimum.trials if not trial.ok)


def test_a_wall_of_failures_before_the_optimum_is_not_convergence(record, fade_of, scaling):
    fade = fade_of(fails=lambda values: values[0] < 0.03)  # the truth is 0.02
    optimum = fit(fade, record, scaling)
    assert optimum.status == "blocked"
    assert not optimum.converged
    assert optimum.best.outcome.ok and optimum.best.values[0] >= 0.03
    assert len(optimum.trials) < 70


def test_everything_but_the_start_fails(record, fade_of, scaling):
    start = scaling.start
    fade = fade_of(fails=lambda values: not np.allclose(values, start, rtol=1e-9, atol=0))
    optimum = fit(fade, record, scaling)
    assert optimum.status == "blocked"
    np.testing.assert_allclose(optimum.best.values, start)
    assert len(optimum.trials) <= 20


def test_numbers_that_are_not_finite_are_a_failure(record, fade_of, scaling):
    class Blind(fade_of):
        def __call__(self, values, *arguments, **options):
            prediction = super().__call__(values, *arguments, **options)
            if values[1] > 3e-4:
                prediction.values[5] = np.nan
            return prediction

    optimum = fit(Blind(), record, scaling)
    assert optimum.failures["not finite"] >= 1
    assert np.isfinite(optimum.best.cost)
    assert optimum.status == "blocked"


def test_a_failing_start_moves_toward_the_nominal_values(record, fade_of, scaling_of, truth):
    import dataclasses

    from cellmodels.fitting.scaling import Scaling

    far = scaling_of((0.3, 1e-4, 1e-4))
    parameters = [
        dataclasses.replace(p, nominal=n) for p, n in zip(far.parameters, truth, strict=True)
    ]
    fade = fade_of(fails=lambda values: values[0] > 0.1)
    optimum = fit(fade, record, Scaling(parameters))
    assert not optimum.trials[0].ok
    assert optimum.converged
    np.testing.assert_allclose(optimum.best.values, truth, rtol=0.05)


def test_a_start_that_cannot_be_simulated_is_a_clear_error(record, fade_of, scaling):
    with pytest.raises(FitError, match=r"cycle 12 .* no solution\. Last tried: Film growth"):
        fit(fade_of(fails=lambda values: True), record, scaling)


def test_the_limit_on_evaluations_is_kept(record, fade, scaling):
    optimum = fit(fade, record, scaling, max_evaluations=3)
    assert optimum.status == "evaluations"
    assert len(fade.calls) == 3
    costs = [trial.cost for trial in optimum.trials]
    assert optimum.best.cost == min(costs)


def test_a_jacobian_with_wrong_sign_does_not_converge(record, fade_of, scaling):
    class Wrong(fade_of):
        def __call__(self, *arguments, **options):
            prediction = super().__call__(*arguments, **options)
            return Prediction(
                prediction.values, -prediction.jacobian, prediction.outcome, 0.0, None
            )

    optimum = fit(Wrong(), record, scaling)
    assert optimum.status == "stalled"
    assert len(optimum.trials) < 20


def test_solver_noise_ends_the_fit_soon(record, fade_of, scaling, truth):
    class Noisy(fade_of):
        def __call__(self, *arguments, **options):
            prediction = super().__call__(*arguments, **options)
            jitter = 1e-5 * np.random.default_rng(len(self.calls)).standard_normal(
                prediction.values.size
            )
            return Prediction(
                prediction.values + jitter, prediction.jacobian, prediction.outcome, 0.0, None
            )

    optimum = fit(Noisy(), record, scaling)
    assert optimum.converged
    assert len(optimum.trials) < 25
    np.testing.assert_allclose(optimum.best.values, truth, rtol=0.05)


def test_a_parameter_without_influence_stays_and_does_not_disturb(record, fade, scaling):
    observations = observe(record, ["discharge_capacity"])  # says nothing of the resistance
    optimum = minimise(Problem(fade, observations, scaling), progress=False)
    assert optimum.converged
    assert optimum.best.values[2] == pytest.approx(scaling.start[2])


def test_bounds_hold_the_parameter(record, fade, truth):
    from cellmodels.fitting.scaling import FreeParameter, Scaling

    names = ("a", "b", "c")
    bounded = [FreeParameter(n, t, t / 10, t * 10) for n, t in zip(names, truth, strict=True)]
    bounded[0] = FreeParameter("a", 0.05, 0.03, 0.1)
    optimum = fit(fade, record, Scaling(bounded))
    assert optimum.converged
    assert optimum.best.values[0] == pytest.approx(0.03, rel=1e-2)


def test_fewer_points_than_parameters_are_refused(record_of, fade, scaling):
    record = record_of(cycles=2)
    with pytest.raises(InputError, match="2 points cannot determine 3"):
        minimise(Problem(fade, observe(record, ["discharge_capacity"]), scaling), progress=False)


# Interrupting and resuming ----------------------------------------------------------------


class _Interrupted:
    """A predictor at whose n-th call the user presses Ctrl-C."""

    def __init__(self, predict, call):
        self.predict, self.left = predict, call

    def __call__(self, *arguments, **options):
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt
        return self.predict(*arguments, **options)


@pytest.mark.parametrize("call", [2, 3, 4])
def test_resuming_ends_at_the_same_answer(record, fade_of, scaling, tmp_path, call):
    whole = fit(fade_of(), record, scaling)
    path = tmp_path / "fit.json"
    first = fit(_Interrupted(fade_of(), call), record, scaling, checkpoint=path)
    assert first.status == "interrupted"
    assert first.best.outcome.ok
    second = fit(fade_of(), record, scaling, checkpoint=path, resume=True)
    assert second.converged
    np.testing.assert_allclose(second.best.values, whole.best.values, rtol=1e-4)
    assert second.trials[: len(first.trials)] == first.trials


def test_resuming_a_finished_fit_costs_one_evaluation(record, fade_of, scaling, tmp_path):
    path = tmp_path / "fit.json"
    done = fit(fade_of(), record, scaling, checkpoint=path)
    again = fade_of()
    resumed = fit(again, record, scaling, checkpoint=path, resume=True)
    assert len(again.calls) == 1
    assert resumed.converged
    np.testing.assert_array_equal(resumed.best.values, done.best.values)


def test_the_limit_counts_evaluations_before_a_resume(record, fade_of, scaling, tmp_path):
    path = tmp_path / "fit.json"
    fit(fade_of(), record, scaling, checkpoint=path, max_evaluations=3)
    more = fade_of()
    resumed = fit(more, record, scaling, checkpoint=path, resume=True, max_evaluations=3)
    assert len(more.calls) == 1  # the point itself, which a fit needs
    assert resumed.status == "evaluations"


def test_interrupt_before_the_first_result_is_raised(record, fade, scaling):
    with pytest.raises(KeyboardInterrupt):
        fit(_Interrupted(fade, 1), record, scaling)


def test_checkpoint_is_plain_json_and_leaves_no_other_file(record, fade, scaling, tmp_path):
    path = tmp_path / "fit.json"
    fit(fade, record, scaling, checkpoint=path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["fit.json"]
    content = json.loads(path.read_text())
    assert content["schema"] == "cellmodels-fit-checkpoint/1"
    assert len(content["scaled"]) == 3


def test_failed_trials_survive_in_strict_json(tmp_path):
    trials = (
        Trial((1.0,), 2.0, ok=True, accepted=True),
        Trial((3.0,), float("inf"), ok=False, reason="newton failed"),
    )
    path = tmp_path / "fit.json"
    write_checkpoint(path, Checkpoint("mark", (0.5,), trials))
    json.loads(path.read_text(), parse_constant=lambda text: pytest.fail(text))
    assert read_checkpoint(path, "mark").trials == trials


def test_a_failing_write_keeps_the_previous_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "fit.json"
    write_checkpoint(path, Checkpoint("mark", (1.0,), ()))

    def broken(*_):
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", broken)
    with pytest.raises(InputError, match="disk full"):
        write_checkpoint(path, Checkpoint("mark", (2.0,), ()))
    assert read_checkpoint(path, "mark").scaled == (1.0,)
    assert [entry.name for entry in tmp_path.iterdir()] == ["fit.json"]


def test_a_checkpoint_of_another_fit_is_refused(
    record, record_of, fade, scaling, scaling_of, tmp_path
):
    path = tmp_path / "fit.json"
    noise = {"capacity_C20": 1e-3}
    observations = observe(record, ["capacity_C20"], noise=noise)
    minimise(Problem(fade, observations, scaling_of(count=2)), progress=False, checkpoint=path)
    for other, context in (
        ((record_of(seed=1), noise, {"count": 2}), ""),
        ((record, {"capacity_C20": 2e-3}, {"count": 2}), ""),
        ((record, noise, {"count": 2, "factor": 50.0}), ""),
        ((record, noise, {"count": 2}), "another cell"),
    ):
        data, std, parameters = other
        problem = Problem(
            fade, observe(data, ["capacity_C20"], noise=std), scaling_of(**parameters)
        )
        with pytest.raises(InputError, match="another fit"):
            minimise(
                problem,
                progress=False,
                checkpoint=path,
                resume=True,
                context=context,
            )


def test_resume_without_a_file_starts_anew_and_without_a_name_is_refused(
    record, fade, scaling, tmp_path
):
    assert fit(fade, record, scaling, checkpoint=tmp_path / "new.json", resume=True).converged
    with pytest.raises(InputError, match="name its checkpoint"):
        fit(fade, record, scaling, resume=True)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": "other"}', "\x00"])
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path, text):
    path = tmp_path / "fit.json"
    path.write_text(text)
    with pytest.raises(InputError, match="not a checkpoint"):
        read_checkpoint(path, "mark")


def test_progress_bar_shows_cost_and_evaluations(record, fade, scaling, capsys):
    optimum = minimise(Problem(fade, observe(record), scaling), progress=True)
    shown = capsys.readouterr().err
    assert "chi2/n 1.0" in shown
    assert f"{len(optimum.trials)}/{len(optimum.trials)}" in shown


def test_a_predictor_that_breaks_its_contract_is_a_programming_error(record, scaling):
    def broken(values, points, **_):
        return Prediction(np.zeros(3), np.zeros((3, 3)), Outcome(True))

    with pytest.raises(ValueError, match="shapes"):
        fit(broken, record, scaling)
