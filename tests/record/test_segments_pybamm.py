"""The steps of an experiment of PyBaMM, from its trace alone."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from cellmodels.record.cycles.segments import kinds, segment

pybamm = pytest.importorskip("pybamm")

STEPS = [
    ("Discharge at 1C for 20 minutes (10 second period)", "current"),
    ("Rest for 10 minutes (30 second period)", "rest"),
    ("Discharge at 10 W for 10 minutes (10 second period)", "power"),
    ("Rest for 10 minutes (30 second period)", "rest"),
    ("Discharge at 2C for 10 seconds (1 second period)", "current"),
    ("Rest for 40 seconds (1 second period)", "rest"),
    ("Charge at 1.5C for 10 seconds (1 second period)", "current"),
    ("Rest for 40 seconds (1 second period)", "rest"),
    ("Charge at 0.7C until 4.2 V (30 second period)", "current"),
    ("Hold at 4.2 V until C/20 (30 second period)", "voltage"),
    ("Rest for 30 minutes (60 second period)", "rest"),
]


@pytest.mark.parametrize("numbered", [False, True])
def test_steps_that_pybamm_names(numbered):
    model = pybamm.lithium_ion.SPM()
    experiment = pybamm.Experiment([text for text, _ in STEPS])
    values = pybamm.ParameterValues("Chen2020")
    simulation = pybamm.Simulation(model, parameter_values=values, experiment=experiment)
    solution = simulation.solve(initial_soc=0.9)
    names = ("Time [s]", "Voltage [V]", "Current [A]")
    parts = [[cycle[name].entries for name in names] for cycle in solution.cycles]
    assert len(parts) == len(STEPS)
    joined = [np.concatenate(one) for one in zip(*parts, strict=True)]
    columns = dict(zip(("time", "voltage", "current"), joined, strict=True))
    if numbered:
        columns["step"] = np.repeat(np.arange(1.0, len(parts) + 1), [len(p[0]) for p in parts])
    steps = segment(xr.Dataset({name: ("sample", one) for name, one in columns.items()}))
    assert kinds(steps) == [kind for _, kind in STEPS]
    charges = [np.trapezoid(p[2], p[0]) / 3600 for p in parts]
    # without numbers the hold may be seen to begin half an interval of 30 s late, at 3.5 A
    within = 1e-6 if numbered else 3.51 * 15 / 3600
    np.testing.assert_allclose(steps["charge"], charges, atol=within)
    assert float(steps["charge"].sum()) == pytest.approx(
        np.trapezoid(columns["current"], columns["time"]) / 3600, abs=1e-6
    )
