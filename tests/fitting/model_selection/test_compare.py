"""Comparison of mechanisms: on analytic fades, and on lives that PyBaMM made cycle by cycle."""

import concurrent.futures
import multiprocessing
import os
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import cellmodels as cm
from cellmodels.errors import InputError
from cellmodels.fitting.model_selection.result import assemble
from cellmodels.fitting.model_selection.task import SetResult, early_points
from cellmodels.fitting.statistics import VariableFit
from cellmodels.observations import Outcome, Prediction

PAGE = Path(__file__).parents[3] / "docs" / "fits.md"
D = "SEI solvent diffusivity [m2.s-1]"
LAM = "Negative electrode LAM constant proportional term [s-1]"
PLATING = "Dead lithium decay constant [s-1]"
LOSS = cm.LossOfActiveMaterial(electrodes=("negative",))
SETS = {
    "SEI": [cm.SEI()],
    "LAM": [LOSS],
    "SEI + LAM": ["SEI", LOSS],
    "all": [cm.SEI(), LOSS, cm.LithiumPlating()],
}


class Fades:
    """Capacity lost with the root of time, in proportion to it, or (plating) to its square.

    What a rate does is in proportion to it; rates are those of the cell times `rates`.
    """

    def __init__(self, cell, protocol, names, fails=(), like_lam=False):
        self.names = names
        self.own = {n: cell.value(n) for n in (D, LAM, PLATING)}
        self.acting = {n for m in cell.mechanisms for n in m.rates}
        self.fails, self.like_lam = fails, like_lam

    def shape(self, name, n):
        power = {D: 0.5, LAM: 1.0, PLATING: 1.0 if self.like_lam else 2.0}[name]
        return 0.5 * (n / 400) ** power

    def __call__(self, values, points, jacobian=True, tolerance=None, state=None):
        if any(name in self.fails for name in self.acting):
            return Prediction(None, None, Outcome(False, "newton failed", "no solution", 3))
        at = np.concatenate([s.at for s in points])
        level, slopes = np.full(at.size, 5.0), np.zeros((at.size, len(self.names)))
        for name in self.acting:
            rate = dict(zip(self.names, values, strict=True)).get(name, self.own[name])
            level -= rate / self.own[name] * self.shape(name, at)
            if name in self.names:
                k = list(self.names).index(name)
                slopes[:, k] = -self.shape(name, at) / self.own[name]
        return Prediction(level, slopes, Outcome(True, "completed"))


def record(rates, noise=1e-3, n=80, seed=0, wave=0.0):
    at = np.linspace(5.0, 400.0, n)
    level = 5.0 - sum(r * 0.5 * (at / 400) ** p for r, p in zip(rates, (0.5, 1, 2), strict=True))
    level += noise * np.random.default_rng(seed).standard_normal(n) + wave * np.sin(at / 25)
    cycles = xr.Dataset(
        {"discharge_capacity": ("point", level, {"units": "A.h"}),
         "discharge_capacity_std": ("point", np.full(n, noise))},
        coords={"cycle": ("point", at)},
    )  # fmt: skip
    tree = xr.DataTree.from_dict({"cycles": cycles})
    tree.attrs = {"schema": "cellmodels-record/1", "title": "analytic fade", "synthetic": 1}
    return tree


@pytest.fixture(scope="module")
def cell():
    return cm.Cell("lithium_ion", "nmc_graphite_siox", "SPM")


@pytest.fixture(scope="module")
def plain():
    return cm.Protocol(["Discharge at 1C until 2.5 V", "Charge at C/2 until 4.2 V"])


def compare(cell, plain, data, sets=SETS, maker=Fades, **options):
    return cm.compare_mechanisms(cell, data, plain, sets, maker=maker, progress=False, **options)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_right_set_is_found_and_the_rest_adds_nothing(cell, plain, seed):
    found = compare(cell, plain, record((1.3, 0.4, 0.0), seed=seed))
    assert found.verdict.startswith("SEI + LAM explains this cell.")
    assert "What all has beyond SEI + LAM adds nothing the data can see" in found.verdict
    assert "not determined: Dead lithium decay constant" in found.verdict
    assert "Worse in AICc: " in found.verdict
    delta = found.sets["delta_aicc"]
    assert delta.sel(set="SEI + LAM") == 0 or delta.sel(set="all") == 0
    assert np.all(delta.sel(set=["SEI", "LAM"]) > 10)
    assert found.sets["weight"].sum() == pytest.approx(1.0)
    # the page about fits names what is there
    section = PAGE.read_text(encoding="utf8").split("## Comparing mechanisms")[1]
    rows = re.findall(r"^\| (`[^|]*) \|", section.split("\n## ")[0], re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)} - {"scores"}
    assert "aicc" in named and named <= {*found.sets.data_vars, *found.scores.data_vars}
    assert not named & {*found.table.columns} - {"weight"}  # those have other names
    # it predicts the rest, and knows how well
    scores = found.scores.sel(set="SEI + LAM")
    assert np.all(scores["rmse"] < 2) and scores["coverage"].mean() > 0.8
    assert np.all(scores["log_score"] > found.scores["log_score"].sel(set="LAM"))
    values = found.parameters["value"]
    loss = values.sel(set="SEI + LAM", parameter=LAM)
    assert loss == pytest.approx(0.4 * cell.value(LAM), rel=0.1)
    assert np.isnan(values.sel(set="SEI", parameter=LAM))


def test_one_mechanism_is_enough_where_one_acts(cell, plain):
    found = compare(cell, plain, record((1.0, 0.0, 0.0)))
    assert found.verdict.startswith("SEI explains this cell.")
    for larger in ("SEI + LAM", "all"):
        assert f"What {larger} has beyond SEI adds nothing" in found.verdict


def test_sets_that_do_the_same_are_not_told_apart(cell, plain):
    def alike(*arguments):
        return Fades(*arguments, like_lam=True)

    sets = {"LAM": [LOSS], "plating": [cm.LithiumPlating()], "SEI": [cm.SEI()]}
    bounds = {PLATING: (1e-3 * cell.value(PLATING), 1e3 * cell.value(PLATING))}
    data = record((0.0, 0.8, 0.0))
    found = compare(cell, plain, data, sets, alike, bounds=bounds)
    assert found.verdict.startswith("These data do not tell LAM from plating.")
    assert "Worse in AICc: SEI" in found.verdict


def test_a_misfit_of_all_sets_is_said(cell, plain):
    """None explains a wave; what follows it a little better is not told from the other."""
    found = compare(cell, plain, record((1.0, 0.3, 0.0), wave=0.02))
    assert "does not explain it" in found.verdict and "alike from point to point" in found.verdict
    sets = found.sets
    assert np.all(sets["autocorrelated"])
    white = sets["aicc_white"] - sets["aicc_white"].min()
    assert float(sets["delta_aicc"].max()) < 0.5 * float(white.max())


@pytest.mark.parametrize(("p", "alike"), [(0.03, False), (0.005, True)])
def test_residuals_are_alike_where_a_fit_says_so(cell, plain, p, alike):
    """By the one constant with which fits judge their residuals."""
    fit = compare(cell, plain, record((1.0, 0.3, 0.0)), cuts=()).fit("SEI + LAM")
    tree = fit.tree.copy(deep=True)
    tree["variables"]["autocorrelation"].values[:] = 0.4
    tree["variables"]["autocorrelation_p"].values[:] = p
    result = SetResult(cm.Fit(fit.cell, fit.protocol, tree))
    found = assemble({"one": result, "two": result}, {"one": [cm.SEI()], "two": [LOSS]}, "made")
    assert np.all(found.sets["autocorrelated"] == alike)
    assert VariableFit("one", 1.0, 1.0, 0.4, p).autocorrelated == alike


def test_a_set_starts_where_a_smaller_one_ended(cell, plain):
    found = compare(cell, plain, record((1.3, 0.4, 0.0)), start={D: 0.02 * cell.value(D)})
    chi = found.sets["chi_square"]
    for smaller, larger in (("SEI", "SEI + LAM"), ("LAM", "SEI + LAM"), ("SEI + LAM", "all")):
        # what the larger one has besides acts by a hundredth at least: its bound
        assert chi.sel(set=larger) <= chi.sel(set=smaller) + 5.0


def test_a_set_that_fails_is_a_row(cell, plain):
    def failing(*arguments):
        return Fades(*arguments, fails=(PLATING,))

    found = compare(cell, plain, record((1.3, 0.4, 0.0)), maker=failing)
    assert found.sets["status"].sel(set="all") == "failed"
    assert "all could not be fitted: " in found.verdict
    assert found.verdict.startswith("SEI + LAM explains this cell.")
    assert np.isnan(found.sets["aicc"].sel(set="all")) and found.sets["weight"].sel(set="all") == 0
    with pytest.raises(InputError, match="has no fit"):
        found.fit("all")
    found.plot().draw_without_rendering()
    none = compare(cell, plain, record((1.3, 0.4, 0.0)),
                   maker=lambda *a: Fades(*a, fails=(D, LAM)))  # fmt: skip
    assert none.verdict.startswith("No set could be fitted.")


def test_it_is_kept_in_one_file(cell, plain, tmp_path):
    found = compare(cell, plain, record((1.3, 0.4, 0.0)))
    found.save(tmp_path / "sets.nc")
    again = cm.MechanismComparison.load(tmp_path / "sets.nc")
    assert again.verdict == found.verdict and repr(again) == repr(found)
    xr.testing.assert_identical(again.tree.to_dataset(), found.tree.to_dataset())
    for group in ("sets", "scores", "parameters"):
        xr.testing.assert_identical(again.tree[group].to_dataset(), found.tree[group].to_dataset())
    fit = again.fit("SEI + LAM")
    assert isinstance(fit, cm.Fit) and fit.values == found.fit("SEI + LAM").values
    assert [m.short_name for m in fit.cell.mechanisms] == ["loss of active material", "SEI"] or [
        m.short_name for m in fit.cell.mechanisms
    ] == ["SEI", "loss of active material"]
    with pytest.raises(InputError, match="no set 'SEI \\+ LAN'. Did you mean 'SEI \\+ LAM'"):
        again.fit("SEI + LAN")
    fit.save(tmp_path / "fit.nc")
    with pytest.raises(InputError, match="is not a comparison of mechanisms"):
        cm.MechanismComparison.load(tmp_path / "fit.nc")
    figure = again.plot()
    figure.draw_without_rendering()
    assert any("AICc" in ax.get_xlabel() for ax in figure.findobj() if hasattr(ax, "get_xlabel"))


def test_what_is_done_is_not_done_again(cell, plain, tmp_path):
    calls = []

    def counting(*arguments):
        calls.append(arguments[0].mechanisms)
        return Fades(*arguments)

    data = record((1.3, 0.4, 0.0))
    first = compare(cell, plain, data, maker=counting, folder=tmp_path)
    assert len(calls) == 4
    again = compare(cell, plain, data, maker=counting, folder=tmp_path)
    assert len(calls) == 4 and repr(again) == repr(first)
    compare(cell, plain, record((1.3, 0.5, 0.0)), maker=counting, folder=tmp_path)
    assert len(calls) == 8  # other data


def test_an_executor_gives_the_same(cell, plain):
    data = record((1.3, 0.4, 0.0))
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        found = compare(cell, plain, data, executor=pool)
    assert repr(found) == repr(compare(cell, plain, data))


class Unsure(concurrent.futures.Executor):
    """Does work here, but for what `breaks` says of a set: an error of the executor's."""

    def __init__(self, breaks, later=None):
        self.breaks, self.later, self.calls = breaks, later, []

    def submit(self, function, task):
        if self.later is not None and any(name in self.breaks for name in self.calls):
            raise self.later
        self.calls.append(task.name)
        future = concurrent.futures.Future()
        if task.name in self.breaks:
            future.set_exception(self.breaks[task.name])
        else:
            future.set_result(function(task))
        return future


class Deadly(Fades):
    """Ends the process in which a loss of active material alone is simulated, but not this one."""

    def __call__(self, *arguments, **options):
        if self.acting == {LAM} and multiprocessing.parent_process() is not None:
            os._exit(7)
        return super().__call__(*arguments, **options)


def test_what_a_broken_executor_leaves_is_done_in_a_process_of_its_own(cell, plain, tmp_path):
    gone = concurrent.futures.BrokenExecutor("gone")
    executor = Unsure({"LAM": gone}, later=gone)
    data = record((1.3, 0.4, 0.0))
    with pytest.warns(UserWarning, match="The executor broke .gone."):
        found = compare(cell, plain, data, executor=executor, folder=tmp_path, cuts=())
    assert executor.calls == ["SEI", "LAM"]
    assert repr(found) == repr(compare(cell, plain, data, cuts=()))
    assert len(list(tmp_path.iterdir())) == 4


def test_a_worker_that_an_executor_lost_is_no_result(cell, plain):
    """Such as dask's KilledWorker: the executor goes on, the set in a process of its own."""
    executor = Unsure({"LAM": RuntimeError("killed worker")})
    data = record((1.3, 0.4, 0.0))
    found = compare(cell, plain, data, executor=executor, cuts=())
    assert executor.calls == list(SETS)
    assert repr(found) == repr(compare(cell, plain, data, cuts=()))


def test_a_set_of_which_processes_die_takes_no_other_along_and_is_not_kept(cell, plain, tmp_path):
    data, options = record((1.0, 0.0, 0.0)), {"folder": tmp_path, "cuts": ()}
    sets = {"LAM": [LOSS], "SEI": [cm.SEI()]}
    context = multiprocessing.get_context("spawn")
    with (
        concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool,
        pytest.warns(UserWarning, match="The executor broke"),
    ):
        found = compare(cell, plain, data, sets, Deadly, executor=pool, **options)
    assert "LAM could not be fitted: its worker died, 2 times" in found.verdict
    assert found.verdict.startswith("SEI explains this cell.")
    assert [path.name.partition("-")[0] for path in tmp_path.iterdir()] == ["SEI"]
    again = compare(cell, plain, data, sets, **options)
    assert list(again.sets["status"].values) == ["converged"] * 2


def test_what_a_fit_raises_in_a_worker_is_raised_here(cell, plain):
    class Wrong(Fades):
        def __call__(self, *arguments, **options):
            raise ZeroDivisionError("a mistake")

    with (
        concurrent.futures.ThreadPoolExecutor(1) as pool,
        pytest.raises(ZeroDivisionError, match="a mistake"),
    ):
        compare(cell, plain, record((1.3, 0.4, 0.0)), maker=Wrong, executor=pool)


def test_ctrl_c_keeps_what_is_finished_and_nothing_else(cell, plain, tmp_path):
    class Interrupted(Fades):
        calls = 0

        def __call__(self, *arguments, **options):
            type(self).calls += len(self.acting) == 2
            if self.calls > 3:
                raise KeyboardInterrupt
            return super().__call__(*arguments, **options)

    data = record((1.3, 0.4, 0.0))
    with pytest.raises(KeyboardInterrupt):
        compare(cell, plain, data, maker=Interrupted, folder=tmp_path)
    assert sorted(path.name.partition("-")[0] for path in tmp_path.iterdir()) == ["LAM", "SEI"]


def test_tasks_and_results_go_to_other_processes_and_back(cell, plain):
    sent = []

    class Pickling(concurrent.futures.Executor):
        def submit(self, function, task):
            future = concurrent.futures.Future()
            task = pickle.loads(pickle.dumps(task))
            sent.append(task.name)
            future.set_result(pickle.loads(pickle.dumps(function(task))))
            return future

    data = record((1.3, 0.4, 0.0))
    found = compare(cell, plain, data, executor=Pickling())
    assert sorted(sent) == sorted(SETS) and repr(found) == repr(compare(cell, plain, data))


def test_early_points_by_each_coordinate(cell, plain):
    from cellmodels.fitting.residuals import observe

    observed = observe(record((1.0, 0.0, 0.0)))
    early = early_points(observed, 0.5)
    assert np.array_equal(early, observed.points.sets[0].at <= 200.0)


def test_too_short_a_life_is_not_predicted(cell, plain):
    data = record((1.0, 0.0, 0.0), n=4)
    found = compare(cell, plain, data, {"SEI": ["SEI"], "SEI + LAM": ["SEI", LOSS]}, cuts=(0.3,))
    assert set(found.scores["status"].values.ravel()) == {"too few points on one side"}
    assert "No prediction" in found.verdict
    assert compare(cell, plain, data, {"SEI": ["SEI"], "LAM": [LOSS]}, cuts=()).verdict


def test_mechanisms_that_do_not_age_stay(plain):
    warm = cm.Cell("lithium_ion", "nmc_graphite_siox", "SPM", [cm.LumpedThermal(), "SEI"])
    found = compare(warm, plain, record((1.3, 0.4, 0.0)), {"SEI": ["SEI"], "LAM": [LOSS]}, cuts=())
    names = [m.short_name for m in found.fit("LAM").cell.mechanisms]
    assert sorted(names) == ["loss of active material", "lumped thermal"]
    assert list(found.fit("LAM").values) == [LAM]


@pytest.mark.parametrize(
    ("sets", "options", "message"),
    [
        ({"SEI": ["SEI"]}, {}, "at least two sets"),
        ({"SEI": ["SEI"], "x": ["SEJ"]}, {}, "The set 'x': .*SEJ"),
        ({"SEI": ["SEI"], "fresh": []}, {}, "'fresh' has nothing to fit"),
        (SETS, {"free": {"SEJ": [D]}}, "no set 'SEJ'. Did you mean 'SEI'"),
        (SETS, {"free": {"SEI": [LAM]}}, "'SEI': .*does not act in it"),
        (SETS, {"also": ["No such thing"]}, "is no parameter of the cell"),
        (SETS, {"start": {"SEI resistivity [Ohm.m]": 1.0}}, "which no set fits"),
        (SETS, {"cuts": (0.5, 1.2)}, "1.2 is not a share of the life"),
    ],
)
def test_wrong_requests_are_refused_before_anything_is_solved(cell, plain, sets, options, message):
    def never(*arguments):
        raise AssertionError("a predictor was made")

    with pytest.raises(InputError, match=message):
        compare(cell, plain, record((1.0, 0.4, 0.0)), sets, never, **options)


# Lives by PyBaMM --------------------------------------------------------------------------

CYCLE = ("Discharge at 1C until 2.5 V", "Charge at C/2 until 4.2 V", "Hold at 4.2 V until C/20")
PULSE = ("Discharge at 0.5C for 1 hour", "Rest for 1 hour", "Discharge at 1C for 10 seconds")
NOISE = {"discharge_capacity": 1e-3, "capacity_C10": 1e-3, "resistance_10s": 1e-4}


def pybamm_life(mechanisms, truth, cycles=60, every=10):
    from benchmarks.pybamm_reference import Reference, Test

    cell = cm.Cell("lithium_ion", "nmc_graphite_siox", "SPM", mechanisms, initial_soc=1.0)
    tests = (Test("C10", ("Discharge at C/10 until 2.5 V",)), Test("10s", PULSE, "resistance"))
    reference = Reference(cell, CYCLE, tests=tests, free=truth, rtol=1e-7, atol=1e-9)
    found = reference.run(cycles, truth, range(0, cycles + 1, every))
    rng = np.random.default_rng(0)
    noisy = {n: found[n] + s * rng.standard_normal(len(found[n])) for n, s in NOISE.items()}
    data = cm.build_record(
        cycles={"cycle": found["cycle"], "discharge_capacity": noisy.pop("discharge_capacity")},
        checkups={"cycle": found["checkup"], **noisy},
        title="PyBaMM, " + " + ".join(str(m) for m in mechanisms),
    )
    data.attrs["synthetic"] = 1
    tests = (
        cm.Test("C10", ["Discharge at C/10 until 2.5 V"]),
        cm.Test("10s", list(PULSE), measure="resistance"),
    )
    return data, cm.Protocol(list(CYCLE), every={every: cm.Checkup(tests)})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mechanisms", "truth", "answer"),
    [(["SEI"], {D: 2e-20}, "SEI"), (["SEI", LOSS], {D: 2e-20, LAM: 2e-5}, "SEI + LAM")],
)
def test_a_life_by_pybamm_tells_its_mechanisms(mechanisms, truth, answer):
    data, protocol = pybamm_life(mechanisms, truth)
    cell = cm.Cell("lithium_ion", "nmc_graphite_siox", "SPM", initial_soc=1.0)
    found = cm.compare_mechanisms(
        cell, data, protocol, SETS, noise=NOISE, cuts=(0.6,), progress=False
    )
    assert found.verdict.startswith(f"{answer} explains this cell.")
    assert f"What all has beyond {answer} adds nothing the data can see" in found.verdict
    values = found.parameters["value"].sel(set=answer)
    for name, value in truth.items():
        assert values.sel(parameter=name) == pytest.approx(value, rel=0.05)
    assert float(found.scores["rmse"].sel(set=answer).max()) < 2.0
