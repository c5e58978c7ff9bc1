"""Efficiencies of a static zinc-bromine cell against an independent simulation.

The figures are those of a zero-dimensional model of the same cell that was written independently:
the electrodes' overpotentials inverted by hand, polybromide and binding solved by bisection,
integrated by SciPy's BDF. It has no film at the plate, no resistance of the gap, no pentabromide
and no nucleation, bare zinc that dissolves at once, and 20 mAh cm-2 charged from a bare plate and
discharged to 0.8 V.
"""

from __future__ import annotations

import numpy as np
import pytest

import cellmodels as cm

#: What that model has otherwise than the parameter set.
SAME = {
    "Zinc diffusion-layer thickness [m]": 1e-9,
    "Negative gap thickness [m]": 0.0,
    "Pentabromide formation constant [m6.mol-2]": 0.0,
    "Zinc nucleation overpotential [V]": 0.0,
    "Positive electrode mass-transfer coefficient [m.s-1]": 1.0,
    "Initial bromine concentration [mol.m-3]": 0.5,
    "Residual zinc threshold [mol.m-2]": 1e-4,
    "Zinc dissolution time [s]": 0.01,
    "Bromine standard potential [V]": 1.0978,
    "Zinc bromide mean activity factor": 0.19,
    "Chloride diffusivity [m2.s-1]": 2.032e-9,
}
HALF_LOADING = "Complexing agent half-loading bromine concentration [mol.m-3]"

#: mA cm-2, half-loading -> CE, VE, EE [%], mean voltages of charge and discharge [V].
EXPECTED = {
    (2.5, 2.0): (71.5, 97.4, 69.7, 1.753, 1.708),
    (5, 2.0): (83.3, 95.3, 79.4, 1.775, 1.691),
    (10, 2.0): (90.8, 91.4, 83.0, 1.812, 1.656),
    (20, 2.0): (95.1, 85.3, 81.1, 1.874, 1.599),
    (30, 2.0): (96.6, 80.6, 77.9, 1.926, 1.552),
    (40, 2.0): (97.5, 76.6, 74.6, 1.971, 1.510),
    (10, 0.2): (98.8, 89.1, 88.0, 1.805, 1.608),
}


@pytest.mark.parametrize(("current", "half_loading"), EXPECTED)
def test_efficiencies_are_those_of_an_independent_model(current, half_loading):
    cell = cm.Cell("zinc_bromine", "zinc_bromine_static", mechanisms=["hydrogen evolution"])
    cell = cell.with_parameters({**SAME, HALF_LOADING: half_loading})
    protocol = cm.Protocol(
        [f"Charge at {current} mA/cm2 until 2 A.h", f"Discharge at {current} mA/cm2 until 0.8 V"]
    )
    cycle = cm.simulate(cell, protocol, 1)["cycles"].isel(point=0)
    into, out = float(cycle["charge_capacity"]), float(cycle["discharge_capacity"])
    charging = float(cycle["charge_energy"]) / into
    discharging = float(cycle["discharge_energy"]) / out
    found = np.array([out / into, discharging / charging, out * discharging / into / charging])
    expected = EXPECTED[current, half_loading]
    np.testing.assert_allclose(100 * found, expected[:3], atol=0.5)  # half a point
    np.testing.assert_allclose([charging, discharging], expected[3:], atol=0.005)
