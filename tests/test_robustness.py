"""Cells far from their nominal ageing: draws of benchmarks/robustness.py that once failed."""

import os
import time

import numpy as np
import pytest

import cellmodels as cm
from benchmarks.robustness import LEVELS, MECHANISMS, PROTOCOLS, Draw, apart

#: Capacities by PyBaMM's IDAKLU at a relative tolerance of 1e-8 [A.h].
COMPLETED = {
    # a thin film on the cracks grows as its inverse
    "SPM/dry/current/9": [4.9671, 4.711, 4.7109, 4.7109, 4.7108, 4.7107],
    "SPM/dry/rests/4": [5.0024, 4.1695, 4.1626, 4.1558, 4.1491, 4.1426],
    "SPM/warm/fast/7": [2.0183, 1.9022, 1.9287, 1.9532, 1.9788, 2.0081],
}


def simulate(name: str):
    """A draw of seed 0, and how far it gets."""
    level, mechanisms, protocol, number = name.split("/")
    draw = Draw(level, mechanisms, protocol, int(number))
    cell = cm.Cell("lithium_ion", "nmc_graphite_siox", level, MECHANISMS[mechanisms])
    simulator = cm.Simulator(cell, cm.Protocol(PROTOCOLS[protocol]), cell.ageing_parameters)
    return simulator.simulate(LEVELS[level][0], draw.values(cell, 0))


@pytest.mark.parametrize("name", COMPLETED)
def test_what_pybamm_completes_is_completed(name: str) -> None:
    life = simulate(name)
    assert life.attrs["outcome"] == "completed"
    capacity = life["cycles"]["discharge_capacity"].values
    np.testing.assert_allclose(capacity, COMPLETED[name], rtol=1e-4)


def test_a_hold_ends_where_its_current_turns_round() -> None:
    # the positive electrode is lost within 20 microseconds of the hold
    life = simulate("SPM/usual/fast/0")
    assert life.attrs["completed_cycles"] >= 1
    np.testing.assert_allclose(life["cycles"]["discharge_capacity"][0], 4.7621, rtol=1e-4)


@pytest.mark.parametrize(
    ("name", "limit"),
    [("SPM/reactions/hold/1", "porosity"), ("SPM/reactions/hold/5", "crack length")],
)
def test_the_limit_of_the_model_is_named(name: str, limit: str) -> None:
    life = simulate(name)
    assert life.attrs["outcome"] == "limit of the model reached"
    assert limit in life.attrs["message"]


def test_a_discharge_ends_where_the_electrolyte_is_depleted() -> None:
    life = simulate("SPMe/reactions/truncated/1")
    assert life.attrs["completed_cycles"] >= 3
    assert life.attrs["steps_abrupt"] > 0
    expected = [3.3333, 0.2168, 0.2060]
    np.testing.assert_allclose(life["cycles"]["discharge_capacity"][:3], expected, rtol=1e-3)


def test_an_electrode_that_vanishes_is_not_charged_with_less_than_nothing() -> None:
    # 210 s into the first charge nothing of the positive electrode is left
    life = simulate("SPM/usual/truncated/17")
    by_pybamm = 2909.9259
    np.testing.assert_allclose(life["cycles"]["elapsed_time"][0], by_pybamm, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "capacities"),
    [
        # electrolyte runs out: it hangs on a hair whether an integration gets through
        ("SPMe/dry/fast/0", [3.3914]),
        # one place of the positive electrode vanishes, the rest goes on
        ("DFN/reactions/power/6", [4.9200, 4.5189]),
    ],
)
def test_what_a_step_survives(name: str, capacities: list[float]) -> None:
    found = simulate(name)["cycles"]["discharge_capacity"].values
    np.testing.assert_allclose(found[: len(capacities)], capacities, rtol=1e-4)


@pytest.mark.parametrize(
    ("function", "result"),
    [
        (lambda: (1, "one"), (1, "one")),
        (lambda: time.sleep(60.0), "hang"),
        (lambda: all(iter(lambda: True, False)), "hang"),
        (lambda: os._exit(3), "crash"),
    ],
    ids=["in time", "asleep", "busy", "ended"],
)
def test_what_cannot_be_interrupted_is_run_apart(function, result) -> None:
    assert apart(function, 0.3) == result
