"""From what a cycler wrote to a parameter set: a life made by PyBaMM, as a file of raw rows."""

import numpy as np
import pybamm
import pytest

import cellmodels as cm

NAME = "SEI solvent diffusivity [m2.s-1]"
TRUE = 4e-21
CYCLE = [
    "Discharge at 1C until 2.5 V",
    "Charge at C/2 until 4.2 V",
    "Hold at 4.2 V until C/20",
]
CHECK = ["Discharge at C/10 until 2.5 V", "Rest for 1 hour", *CYCLE[1:], "Rest for 1 hour"]
BETWEEN = 12
CELL = {"parameters": "nmc_graphite_siox", "model": "SPM", "mechanisms": ["SEI"]}


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """Twenty-four cycles with check-ups after 0, 12 and 24, with noise, in the BDF."""
    cell = cm.Cell("lithium_ion", **CELL)
    values = cell.parameter_values()
    values[NAME] = TRUE
    life = [tuple(CHECK), *([tuple(CYCLE)] * BETWEEN + [tuple(CHECK)]) * 2]
    solution = pybamm.Simulation(
        cell.pybamm_model(),
        parameter_values=values,
        experiment=pybamm.Experiment(life, period="1 minute"),
        solver=pybamm.IDAKLUSolver(rtol=1e-7, atol=1e-9),
    ).solve(initial_soc=1.0)
    steps = [step for cycle in solution.cycles for step in cycle.steps]
    time = solution["Time [s]"].entries
    later = np.diff(time, prepend=-1.0) > 0
    noise = np.random.default_rng(1).normal(0.0, 2e-4, len(time))
    traces = {
        "time": time,
        "voltage": solution["Voltage [V]"].entries + noise,
        "current": solution["Current [A]"].entries,
        "step": np.repeat(np.arange(1.0, len(steps) + 1), [len(step.t) for step in steps]),
    }
    path = tmp_path_factory.mktemp("life") / "cell_017.bdf.csv"
    record = cm.build_record(traces={name: column[later] for name, column in traces.items()})
    cm.write_bdf(record, path)
    return path


@pytest.fixture(scope="module")
def found(file):
    return cm.find_checkups(file, nominal_capacity=5.0)


def test_the_first_cycle_after_a_check_up_is_a_cycle(found):
    """Though it has rested, and has the rate of no other test."""
    record = found.record
    assert record["checkups"]["cycle"].values.tolist() == [0, 12, 24]
    assert record["cycles"]["cycle"].values.tolist() == list(range(1, 25))
    assert "irregular_cycles" not in record["cycles"].attrs
    capacity = record["cycles"]["discharge_capacity"].values
    assert (np.diff(capacity) < 0).all()  # also the first after a check-up counts from its start
    assert np.isfinite(record["checkups"]["capacity_C10"]).all()


@pytest.mark.slow
def test_a_fit_of_what_was_found_gives_the_true_parameter_and_a_set(found, tmp_path):
    checkup = cm.Checkup([cm.Test("C10", CHECK[:1])])
    protocol = cm.Protocol(CYCLE, every={BETWEEN: checkup}, pauses={0: CHECK, BETWEEN: CHECK})
    fit = cm.fit(
        cm.Cell("lithium_ion", **CELL),
        found.record,
        protocol,
        free=[NAME],
        start={NAME: 1e-21},
        bounds={NAME: (1e-23, 1e-19)},
        observables=["discharge_capacity", "capacity_C10"],
        progress=False,
    )
    assert fit.values[NAME] == pytest.approx(TRUE, rel=0.01)
    path = tmp_path / "cell_017.toml"
    fit.parameter_set("cell_017").write(path)
    again = cm.Cell("lithium_ion", **CELL | {"parameters": str(path)})
    assert again.parameter_values()[NAME] == pytest.approx(fit.values[NAME], rel=1e-12)
    assert "cell_017.bdf.csv" in path.read_text(encoding="utf8")
