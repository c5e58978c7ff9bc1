"""The same input gives the same bits, in one process or many, and a killed fit ends as another.

Run as a program, it prints what it computes, so that processes can be compared.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import cellmodels as cm

ROOT = Path(__file__).parents[1]
FORK = multiprocessing.get_context("fork")
LIFE = Path(__file__).parent / "data" / "short_life.csv"
SEI = "SEI solvent diffusivity [m2.s-1]"
RATE = "Initial SEI thickness [m]"
CYCLE = ["Discharge at 1C until 2.5 V", "Charge at 0.5C until 4.2 V", "Hold at 4.2 V until C/10"]


def simulated() -> xr.DataTree:
    """A life over cycle number, with check-ups."""
    mechanisms = ["SEI", "lithium plating", "loss of active material"]
    cell = cm.Cell("lithium_ion", "nmc_graphite_siox", "SPM", mechanisms)
    return cm.simulate(cell, cm.Protocol(CYCLE, every={20: cm.Checkup.default()}), cycles=60)


def fitted(checkpoint: Path | None = None) -> cm.Fit:
    """A fit of two parameters to a short record, continued if there is a checkpoint."""
    cell = cm.Cell("lithium_ion", "nmc_graphite_siox", "SPM", ["SEI"], initial_soc=1.0)
    return cm.fit(
        cell,
        cm.read_record(LIFE, synthetic=True),
        cm.Protocol(CYCLE),
        free=[SEI, RATE],
        start={SEI: 2.5e-22},
        noise={"discharge_capacity": 2e-4},
        checkpoint=checkpoint,
        resume=checkpoint is not None,
        progress=False,
    )


def digest(*arrays: np.ndarray) -> str:
    """A hash of all bits."""
    found = hashlib.sha256()
    for array in arrays:
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


def digest_of_simulation() -> str:
    """All numbers of a simulated life."""
    tree = simulated()
    return digest(*(v.values for group in tree.children.values() for v in group.variables.values()))


def answer(fit: cm.Fit) -> dict[str, list[float]]:
    """Values and standard errors of a fit; JSON keeps every bit of them."""
    table = fit.parameters
    return {"values": list(fit.values.values()), "errors": list(map(float, table.standard_error))}


def everything() -> dict[str, Any]:
    """What is compared between processes."""
    return {"simulation": digest_of_simulation(), "fit": answer(fitted())}


@pytest.fixture(scope="module")
def elsewhere() -> dict[str, Any]:
    """The same from a process of its own, with another order of its sets."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "1"}
    out = subprocess.run(
        [sys.executable, __file__], text=True, stdout=subprocess.PIPE, env=environment, check=True
    )
    return json.loads(out.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def whole() -> dict[str, list[float]]:
    """The answer of a fit that nothing interrupts."""
    return answer(fitted())


def test_a_simulation_gives_the_same_bits_in_one_process_and_in_another(elsewhere) -> None:
    first = digest_of_simulation()
    assert digest_of_simulation() == first
    assert elsewhere["simulation"] == first


def test_a_simulator_gives_the_same_bits_whatever_it_did_before() -> None:
    cell = cm.Cell("lithium_ion", "nmc_graphite_siox", "SPM", ["SEI"])
    simulator = cm.Simulator(cell, cm.Protocol(CYCLE), [SEI])
    before = simulator.simulate(5)
    simulator.simulate(5, {SEI: 1e-20})
    after = simulator.simulate(5)
    for name, column in before["cycles"].variables.items():
        np.testing.assert_array_equal(column, after["cycles"][name])


def test_a_fit_gives_the_same_bits_in_one_process_and_in_another(whole, elsewhere) -> None:
    assert answer(fitted()) == whole
    assert elsewhere["fit"] == whole


def test_a_fit_killed_at_any_instant_resumes_to_the_same_answer(whole, tmp_path) -> None:
    checkpoint = tmp_path / "fit.json"
    instants, kills = random.Random(7), 0
    for _ in range(3):
        process, before = FORK.Process(target=fitted, args=(checkpoint,)), _trials(checkpoint)
        process.start()
        while process.is_alive() and _trials(checkpoint) == before:
            time.sleep(0.01)
        time.sleep(instants.uniform(0.0, 0.5))
        process.kill()
        process.join()
        kills += process.exitcode == -signal.SIGKILL
        _trials(checkpoint)
    assert kills
    resumed = answer(fitted(checkpoint))
    change = np.subtract(resumed["values"], whole["values"]) / whole["errors"]
    # a resumed fit starts without the meshes of the killed one: equal within the solver's tolerance
    assert np.max(np.abs(change)) < 0.02
    np.testing.assert_allclose(resumed["errors"], whole["errors"], rtol=2e-3)


def _trials(checkpoint: Path) -> int:
    """Trials in a checkpoint, which is whole whenever it is there."""
    return len(json.loads(checkpoint.read_text())["trials"]) if checkpoint.exists() else 0


if __name__ == "__main__":
    print(json.dumps(everything()))
