"""Batches of fits: what a worker's death, an error, a time limit and a kill leave behind."""

import json
import os
import signal
import string
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import cellmodels as cm
from cellmodels.errors import CellModelsError, InputError
from cellmodels.fitting.model_selection.task import aicc_of
from cellmodels.many import limits
from cellmodels.many.batch import Batch, fit_many
from cellmodels.many.slots import Job, run_in_slots
from cellmodels.many.store import Store, key_of
from cellmodels.many.task import FitTask, fit_tasks, plain_tree, tree_of
from tests.many import workers

ROOT = Path(__file__).parents[2]
LIFE = ROOT / "tests" / "data" / "short_life.csv"
SEI, TRUTH = "SEI solvent diffusivity [m2.s-1]", 4e-21  # see the record's first line


@pytest.fixture(scope="module")
def cell():
    return cm.Cell("lithium_ion", "nmc_graphite_siox", "SPM", ["SEI"], initial_soc=1.0)


@pytest.fixture(scope="module")
def protocol():
    return cm.Protocol(
        ["Discharge at 1C until 2.5 V", "Charge at 0.5C until 4.2 V", "Hold at 4.2 V until C/10"]
    )


@pytest.fixture(scope="module")
def tasks(cell, protocol):
    """Two starts, of a record in a file and in memory."""
    options = {"noise": {"discharge_capacity": 2e-4}, "bounds": {SEI: (1e-24, 1e-18)}}
    records = {"file": LIFE, "memory": cm.read_record(LIFE, synthetic=True)}
    starts = {"low": {SEI: 1e-21}, "high": {SEI: 2e-20}}
    return fit_tasks(records, cell, protocol, [SEI], starts=starts, options=options)


@pytest.fixture(scope="module")
def batch(tasks, cell, protocol, tmp_path_factory):
    """All of them in one process of our own, with one that cannot be fitted."""
    folder = tmp_path_factory.mktemp("batch")
    wrong = FitTask("wrong", cell, LIFE, protocol, [SEI], options={"observables": ["nonsense"]})
    return fit_many([*tasks, wrong], folder, workers=1, progress=False)


# Tasks ------------------------------------------------------------------------------------


def test_tasks_are_the_product_of_records_sets_and_starts(cell, protocol):
    made = fit_tasks(
        {"A": LIFE, "B": LIFE},
        cell,
        {"A": protocol, "B": protocol},
        {"film": [SEI], "none": ["SEI resistivity [Ohm.m]"]},
        mechanism_sets={"film": ["SEI"], "none": [cm.SEI(limit="reaction")]},
        starts={"low": {SEI: 1e-22}, "high": {SEI: 1e-20}},
        labels={"A": {"temperature": 25.0}},
    )
    assert [t.name for t in made][:3] == ["A | film | low", "A | film | high", "A | none | low"]
    assert len({t.name for t in made}) == 8
    assert made[0].labels == {
        "record": "A", "mechanisms": "film", "start": "low", "temperature": 25.0
    }  # fmt: skip
    assert made[1].options["start"] == {SEI: 1e-20} and made[2].options["start"] == {}
    assert made[2].cell.mechanisms == (cm.SEI(limit="reaction"),)


def test_mechanism_sets_leave_what_does_not_age_the_cell(cell, protocol):
    warm = cell.with_mechanisms([cm.LumpedThermal(), "SEI"])
    sets = {"loss": ["LAM"], "film": ["SEI"]}
    free = {"loss": ["Negative electrode LAM constant proportional term [s-1]"], "film": [SEI]}
    loss, film = fit_tasks({"A": LIFE}, warm, protocol, free, mechanism_sets=sets)
    names = [m.short_name for m in loss.cell.mechanisms]
    assert sorted(names) == ["loss of active material", "lumped thermal"]
    assert film.cell == warm


def test_labels_may_be_numpys(cell, protocol):
    labels = {"n": np.int64(3), "t": np.float32(25.5), "kind": np.str_("A"), "old": np.bool_(True)}
    task = FitTask("one", cell, LIFE, protocol, [SEI], labels=labels)
    assert task.labels == {"n": 3, "t": 25.5, "kind": "A", "old": True}
    assert json.loads(json.dumps(task.to_plain()["labels"])) == task.labels
    with pytest.raises(InputError, match="label 'day'"):
        FitTask("one", cell, LIFE, protocol, [SEI], labels={"day": np.datetime64("2026-01-01")})


def test_a_task_survives_as_plain_data(tasks):
    for task in tasks:
        plain = task.to_plain()
        again = FitTask.from_plain(plain)
        assert again.fingerprint == task.fingerprint
        assert again.cell == task.cell and again.free == task.free


def test_a_fingerprint_knows_what_the_result_depends_on(tmp_path, cell, protocol):
    path = tmp_path / "life.csv"
    path.write_bytes(LIFE.read_bytes())

    def mark(**changes):
        settings = {"name": "one", "cell": cell, "record": path, "protocol": protocol}
        return FitTask(**{**settings, "free": [SEI], **changes}).fingerprint

    first = mark()
    assert mark(name="two") == mark(labels={"of": "it"}) == first
    other = cell.with_parameters({"Ambient temperature [K]": 300.0})
    longer = {"max_evaluations": 7}
    changed = [mark(cell=other), mark(options=longer), mark(adapt=True)]
    path.write_bytes(LIFE.read_bytes() + b"\n")
    changed.append(mark())
    assert len({first, *changed}) == 5
    moved = tmp_path / "elsewhere.csv"
    moved.write_bytes(LIFE.read_bytes())
    assert mark(record=moved) == first


def test_a_record_in_memory_is_hashed_by_its_numbers(tasks, cell, protocol):
    record = cm.read_record(LIFE, synthetic=True)
    one = FitTask("one", cell, record, protocol, [SEI]).fingerprint
    assert FitTask("one", cell, record.copy(deep=True), protocol, [SEI]).fingerprint == one
    record["cycles"]["discharge_capacity"].values[3] += 1e-9
    assert FitTask("one", cell, record, protocol, [SEI]).fingerprint != one


def test_trees_travel_as_dicts_and_arrays():
    tree = xr.DataTree.from_dict({"a": xr.Dataset({"x": ("n", [1.0, np.nan])}, attrs={"u": "V"})})
    tree.attrs["title"] = "root"
    again = tree_of(plain_tree(tree))
    assert again.identical(tree)
    assert again.attrs == tree.attrs


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"free": ["SEI solvent difusivity [m2.s-1]"]}, "Task 'one'.*Did you mean 'SEI solvent"),
        ({"options": {"nois": {}}}, "'nois' is no option of a fit.*noise"),
        ({"options": {"resume": True}}, "no option"),
        ({"options": {"loss": "hubris"}}, "Unknown loss"),
        ({"read": {"column": {}}}, "no argument of read_record.*columns"),
        ({"relative_bounds": {SEI: (2.0, 3.0)}}, "outside its bounds"),
        ({"labels": {"of": [1]}}, "label 'of'"),
        ({"name": " "}, "needs a name"),
    ],
)
def test_a_wrong_task_is_refused_before_anything_runs(cell, protocol, changes, message):
    settings = {"name": "one", "cell": cell, "record": LIFE, "protocol": protocol, "free": [SEI]}
    with pytest.raises(InputError, match=message):
        FitTask(**{**settings, **changes})


# Results ----------------------------------------------------------------------------------


def test_every_fit_is_there_with_its_summary_and_a_failed_one_with_its_reason(batch, tasks):
    assert batch.names == [task.name for task in tasks]
    table = batch.table
    assert (table["status"] == "converged").all()
    assert np.allclose(table[SEI], TRUTH, rtol=0.05)
    assert np.ptp(np.log(table[SEI])) < 1e-3  # from all starts, of the file and of the tree
    assert (table[f"{SEI} low"] < TRUTH).all() and (table[f"{SEI} high"] > TRUTH).all()
    assert (table["peak_memory_MB"] > 50).all()
    assert list(batch.failed.index) == ["wrong"]
    assert "InputError: The record has no variable 'nonsense'" in batch.failed["reason"]["wrong"]
    assert "4 fitted, 1 failed" in repr(batch)
    fit = batch.fit("file | low")
    assert fit.values[SEI] == table.loc["file | low", SEI]
    assert float(batch.parameters["value"].sel(task="file | low", parameter=SEI)) == fit.values[SEI]
    with pytest.raises(InputError, match="Did you mean 'file"):
        batch.fit("file | lo")


def test_fits_of_a_batch_have_the_criterion_of_a_comparison(batch):
    found = [aicc_of(batch.fit(name)) for name in batch.names]
    assert np.all(np.isfinite(found)) and np.ptp(found) < 1e-2  # of the same optimum


def test_tables_are_written(batch):
    import pandas as pd

    table = pd.read_csv(batch.folder / "table.csv", index_col="task")
    assert table.loc["file | low", SEI] == batch.table.loc["file | low", SEI]
    assert pd.read_csv(batch.folder / "failed.csv", index_col="task").index.tolist() == ["wrong"]
    assert repr(Batch.load(batch.folder)).startswith("Batch in ")
    assert not list((batch.folder / "checkpoints").glob("*low*"))


def test_what_is_done_is_not_done_again(batch, tasks, monkeypatch):
    monkeypatch.setattr("cellmodels.many.batch.run_in_slots", lambda jobs, *_: seen.extend(jobs))
    seen = []
    again = fit_many(tasks, batch.folder, progress=False)
    assert seen == [] and again.table.equals(batch.table.loc[again.names])
    changed = FitTask(**{**vars(tasks[0]), "options": {**tasks[0].options, "max_evaluations": 50}})
    fit_many([changed, *tasks[1:]], batch.folder, progress=False)
    assert [job.key for job in seen] == [key_of(changed.name)]
    seen.clear()
    fit_many(tasks, batch.folder, resume=False, progress=False)
    assert len(seen) == len(tasks)


def test_a_failed_task_is_tried_again_on_request(batch, cell, protocol, monkeypatch):
    monkeypatch.setattr("cellmodels.many.batch.run_in_slots", lambda jobs, *_: seen.extend(jobs))
    seen = []
    wrong = FitTask("wrong", cell, LIFE, protocol, [SEI], options={"observables": ["nonsense"]})
    fit_many([wrong], batch.folder, progress=False)
    assert not seen
    fit_many([wrong], batch.folder, retry_failed=True, progress=False)
    assert len(seen) == 1


def test_a_half_written_summary_counts_as_none(batch, tasks, tmp_path):
    store = Store(tmp_path)
    key = key_of("one")
    (tmp_path / "tasks" / f"{key}.json").write_text('{"schema": "cellmodels-batch/1", "sta')
    assert store.read(key) is None
    summary = {"schema": "cellmodels-batch/1", "state": "fitted", "name": "one"}
    (tmp_path / "tasks" / f"{key}.json").write_text(json.dumps(summary))
    assert store.read(key) is None  # its fit is not there


SAFE = set(string.ascii_letters + string.digits + ".+-_")


def test_what_a_killed_process_had_begun_to_write_is_no_result(batch, tmp_path):
    store = Store(tmp_path)
    key = key_of("one")
    begun = tmp_path / "tasks" / f".{key}.json.a1b2c3d4.json"
    begun.write_text((batch.folder / "tasks" / f"{key_of('file | low')}.json").read_text())
    assert store.read_all() == []
    store.tidy()
    assert not begun.exists()


def test_keys_tell_names_apart():
    names = ["A/1", "A 1", "A_1", "ä", "ö", "x" * 300, "x" * 301]
    keys = {key_of(name) for name in names}
    assert len(keys) == len(names)
    assert all(len(key) < 120 and set(key) <= SAFE for key in keys)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"workers": 0}, "workers is 0"),
        ({"retries": -1}, "retries"),
        ({"time_limit": 0.0}, "time_limit"),
    ],
)
def test_wrong_settings_are_named(tasks, tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        fit_many(tasks, tmp_path, progress=False, **options)


def test_names_are_unique_and_records_there(tasks, cell, protocol, tmp_path):
    with pytest.raises(InputError, match="Two tasks are called 'file | low'"):
        fit_many([tasks[0], tasks[0]], tmp_path, progress=False)
    lost = FitTask("lost", cell, tmp_path / "no.csv", protocol, [SEI])
    with pytest.raises(InputError, match="Task 'lost': there is no record"):
        fit_many([lost], tmp_path, progress=False)
    with pytest.raises(InputError, match="not the folder of a batch"):
        Batch.load(tmp_path / "nothing")


# Other executors --------------------------------------------------------------------------


def test_results_do_not_depend_on_executor_and_order(batch, tasks, tmp_path):
    with ThreadPoolExecutor(1) as executor:
        other = fit_many(reversed(tasks), tmp_path, executor=executor, progress=False)
    assert other.names == [task.name for task in reversed(tasks)]
    for name in batch.names:
        assert other.table.loc[name, SEI] == batch.table.loc[name, SEI]
        assert other.table.loc[name, "aicc"] == batch.table.loc[name, "aicc"]


@pytest.mark.slow
def test_a_dask_cluster_is_an_executor(tasks, batch, tmp_path):
    distributed = pytest.importorskip("distributed")
    cluster = distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, dashboard_address=None, silence_logs=50
    )
    with cluster, distributed.Client(cluster) as client:
        other = fit_many(tasks[:1], tmp_path, executor=client.get_executor(), progress=False)
    assert other.table.loc[tasks[0].name, SEI] == batch.table.loc[tasks[0].name, SEI]


# Deaths, with work that needs no model ----------------------------------------------------


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Run jobs of `workers.work`: key -> what it does."""
    monkeypatch.setattr("cellmodels.many.slots.run_alone", workers.work)
    monkeypatch.setattr("cellmodels.many.slots.run_task", workers.work)

    def call(orders, count=2, retries=1, by=run_in_slots, limit=None):
        outcomes = {}
        jobs = [
            Job(k, {"order": o, "folder": str(tmp_path), "key": k, "time_limit": limit})
            for k, o in orders.items()
        ]
        by(jobs, count, retries, outcomes.__setitem__)
        return outcomes

    return call


@pytest.mark.parametrize("death", ["exit", "kill", "segfault"])
def test_a_dead_worker_loses_its_task_alone(run, death):
    orders = {"a": "work", "bad": death, "b": "work", "c": "work"}
    found = run(orders)
    assert {k for k, o in found.items() if o["state"] == "fitted"} == {"a", "b", "c"}
    assert found["bad"]["state"] == "failed" and found["bad"]["deaths"] == 2
    assert "the worker process died" in found["bad"]["reason"]
    assert "2 times" in found["bad"]["reason"]
    # the others were done once: no death took them along
    assert all(found[key]["attempts"] == 1 for key in "abc")


def test_a_task_that_dies_once_is_done_the_second_time(run):
    found = run({"a": "die once", "b": "work"})
    assert found["a"] == {"state": "fitted", "attempts": 2}
    assert run({"once more": "die once"}, retries=0)["once more"]["state"] == "failed"


def test_what_hangs_in_a_library_is_ended_from_inside(run, monkeypatch):
    found = run({"hangs": "hang", "a": "work"}, retries=0, limit=0.2)
    assert found["a"]["state"] == "fitted"
    assert found["hangs"]["state"] == "failed"
    assert "times its limit" in found["hangs"]["reason"]


def test_processes_that_never_come_up_are_an_error_that_says_why(run, monkeypatch):
    monkeypatch.setattr("cellmodels.processes.prepare_worker", workers.never)
    with pytest.raises(CellModelsError, match="No worker process comes up"):
        run({"a": "work"})


def test_a_process_that_dies_between_two_jobs_is_replaced(run, monkeypatch):
    found = run({"a": "die after", "b": "work", "c": "work"}, count=1)
    assert {outcome["state"] for outcome in found.values()} == {"fitted"}


def test_a_broken_executor_hands_over_to_processes_of_our_own(run, monkeypatch):
    from cellmodels.many.slots import run_on_executor

    def both(jobs, count, retries, done):
        import multiprocessing

        context = multiprocessing.get_context("spawn")
        with (
            ProcessPoolExecutor(1, mp_context=context) as executor,
            pytest.warns(UserWarning, match="The executor broke"),
        ):
            left = run_on_executor(executor, jobs, retries, done)
        run_in_slots(left, count, retries, done)

    found = run({"a": "work", "bad": "kill", "b": "work"}, by=both)
    assert found["a"]["state"] == found["b"]["state"] == "fitted"
    assert found["bad"]["state"] == "failed"


def test_a_time_limit_ends_a_loop_in_any_thread():
    def loop():
        with limits.time_limit(0.2) as watch:
            while True:
                time.sleep(0.01)
        return watch.over

    with ThreadPoolExecutor(1) as executor:
        assert executor.submit(loop).result(timeout=20)
    with limits.time_limit(30.0) as watch:
        pass
    assert not watch.over


def test_a_fit_over_its_time_is_failed_and_keeps_its_checkpoint(tasks, tmp_path):
    found = fit_many(tasks[:1], tmp_path, workers=1, time_limit=0.05, progress=False)
    assert "not done within the time limit of 0.05 s" in found.failed["reason"].iloc[0]


# Kill and resume of the whole -------------------------------------------------------------

SCRIPT = """
import sys
import cellmodels as cm
if __name__ == "__main__":
    sei = "SEI solvent diffusivity [m2.s-1]"
    cell = cm.Cell("lithium_ion", "nmc_graphite_siox", "SPM", ["SEI"], initial_soc=1.0)
    protocol = cm.Protocol(["Discharge at 1C until 2.5 V", "Charge at 0.5C until 4.2 V",
                            "Hold at 4.2 V until C/10"])
    starts = {str(k): {sei: 1e-21 * 1.5**k} for k in range(4)}
    options = {"noise": {"discharge_capacity": 2e-4}, "bounds": {sei: (1e-24, 1e-18)}}
    records = {"life": sys.argv[1]}
    tasks = cm.fit_tasks(records, cell, protocol, [sei], starts=starts, options=options)
    print(cm.fit_many(tasks, sys.argv[2], workers=1, progress=False))
"""


def start(tmp_path, folder):
    script = tmp_path / "batch.py"
    script.write_text(textwrap.dedent(SCRIPT))
    return subprocess.Popen(
        [sys.executable, script, LIFE, folder],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        start_new_session=True,
    )


def wait_for_summaries(process, folder, count):
    for _ in range(2400):
        done = list((folder / "tasks").glob("[!.]*.json"))
        if len(done) >= count:
            return {path.name: path.stat().st_mtime_ns for path in done}
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    raise AssertionError("nothing was done")


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_batch_that_is_killed_goes_on_where_it_was(tmp_path, how):
    folder = tmp_path / "out"
    process = start(tmp_path, folder)
    done = wait_for_summaries(process, folder, 1)
    os.killpg(process.pid, how)
    process.communicate(timeout=60)
    before = {p.name: p.stat().st_mtime_ns for p in (folder / "tasks").glob("[!.]*.json")}
    assert set(done) <= set(before)
    again = start(tmp_path, folder)
    said, errors = again.communicate(timeout=300)
    assert "4 fitted, 0 failed" in said, errors
    after = {p.name: p.stat().st_mtime_ns for p in (folder / "tasks").glob("[!.]*.json")}
    assert len(after) == 4
    assert {name: after[name] for name in before} == before  # none of them was made again
    values = Batch.load(folder).table[SEI]
    assert np.ptp(np.log(values)) < 1e-3


@pytest.mark.slow
def test_workers_end_when_their_parent_is_killed(tmp_path):
    folder = tmp_path / "out"
    process = start(tmp_path, folder)
    wait_for_summaries(process, folder, 1)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    if not children.exists():
        pytest.skip("children of a process are only listed on Linux")
    pids = [int(pid) for pid in children.read_text().split()]
    assert pids
    os.kill(process.pid, signal.SIGKILL)  # the parent alone
    process.communicate(timeout=60)
    for _ in range(200):
        alive = [pid for pid in pids if Path(f"/proc/{pid}").exists() and not _zombie(pid)]
        if not alive:
            return
        time.sleep(0.1)
    raise AssertionError(f"still running: {alive}")


def _zombie(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True
