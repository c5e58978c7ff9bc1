"""An analytic life with a known Jacobian, in place of a simulator."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
import xarray as xr

from cellmodels.fitting.scaling import FreeParameter, Scaling
from cellmodels.observations import Outcome, Points, Prediction

NAMES = ("Film growth [-]", "Linear loss [-]", "Resistance growth [-]")
TRUTH = np.array([0.02, 4e-4, 3e-5])
CHARGES = (1.0, 2.0, 3.0)


@dataclass
class Fade:
    """``Q = 5 - a sqrt(n) - b n``, ``R = 0.03 + c n``, ``V = 4 - 0.2 q - 0.02 (a sqrt n + R)``.

    Counts its calls, and fails wherever `fails` says so.
    """

    fails: object = None
    calls: list[np.ndarray] = field(default_factory=list)
    states: list[object] = field(default_factory=list)
    tolerances: list[object] = field(default_factory=list)

    def __call__(self, values, points: Points, jacobian=True, tolerance=None, state=None):
        values = np.asarray(values, dtype=float)
        self.calls.append(values.copy())
        self.states.append(state)
        self.tolerances.append(tolerance)
        if self.fails is not None and self.fails(values):
            return Prediction(None, None, Outcome(False, "newton failed", "no solution", 12))
        parts = [self._one(s.variable, s.at, s.column, values) for s in points]
        return Prediction(
            np.concatenate([v for v, _ in parts]),
            np.concatenate([j for _, j in parts])[:, : values.size],
            Outcome(True, "completed"),
            error=1e-6,
            state=f"state {len(self.calls)}",
        )

    @staticmethod
    def _one(variable, n, column, values):
        a, b, c = (*values, *TRUTH[len(values) :])
        root, zero = np.sqrt(n), np.zeros_like(n)
        if variable.startswith("resistance"):
            return 0.03 + c * n, np.stack([zero, zero, n], axis=1)
        if variable.startswith("voltage"):
            volts = 4 - 0.2 * CHARGES[column] - 0.02 * (a * root + 0.03 + c * n)
            return volts, np.stack([-0.02 * root, zero, -0.02 * n], axis=1)
        return 5 - a * root - b * n, np.stack([-root, -n, zero], axis=1)


def make_record(noise: float = 1.0, seed: int = 0, cycles: int = 400) -> xr.DataTree:
    """A record of the true fade with white noise of 2 mA.h, 0.2 mOhm and 1 mV times `noise`."""
    rng = np.random.default_rng(seed)
    n, k = np.arange(1, cycles + 1), np.arange(0, cycles + 1, 50)

    def measured(variable, at, std, column=None):
        values, _ = Fade._one(variable, np.asarray(at, float), column, TRUTH)
        return values + noise * std * rng.standard_normal(len(at))

    capacity = measured("discharge_capacity", n, 2e-3)
    cycle_group = xr.Dataset(
        {"discharge_capacity": ("point", capacity, {"units": "A.h"})},
        coords={"cycle": ("point", n), "throughput": ("point", np.cumsum(capacity))},
    )
    voltages = np.stack([measured("voltage_C20", k, 1e-3, c) for c in range(3)], axis=1)
    checkups = xr.Dataset(
        {
            "capacity_C20": ("checkup", measured("capacity_C20", k, 1e-3), {"units": "A.h"}),
            "capacity_C20_std": ("checkup", np.full(k.size, 1e-3), {"units": "A.h"}),
            "resistance_pulse": (
                "checkup",
                measured("resistance_pulse", k, 2e-4),
                {"units": "ohm"},
            ),
            "resistance_pulse_std": ("checkup", np.full(k.size, 2e-4), {"units": "ohm"}),
            "voltage_C20": (("checkup", "charge_C20"), voltages, {"units": "V"}),
            "voltage_C20_std": ("checkup", np.full(k.size, 1e-3), {"units": "V"}),
        },
        coords={"cycle": ("checkup", k), "charge_C20": list(CHARGES)},
    )
    tree = xr.DataTree.from_dict({"cycles": cycle_group, "checkups": checkups})
    tree.attrs = {"schema": "cellmodels-record/1", "title": "analytic fade", "synthetic": 1}
    return tree


def make_scaling(start=(0.05, 1e-4, 1e-4), factor: float = 100.0, count: int = 3) -> Scaling:
    return Scaling(
        [
            FreeParameter(name, s, s / factor, s * factor, unit="-")
            for name, s in zip(NAMES[:count], start[:count], strict=True)
        ]
    )


@pytest.fixture
def record() -> xr.DataTree:
    return make_record()


@pytest.fixture
def record_of():
    """Makes records: see `make_record`."""
    return make_record


@pytest.fixture
def fade() -> Fade:
    return Fade()


@pytest.fixture
def fade_of():
    """Makes predictors: see `Fade`."""
    return Fade


@pytest.fixture
def scaling() -> Scaling:
    return make_scaling()


@pytest.fixture
def scaling_of():
    """Makes scalings of the fade's parameters: see `make_scaling`."""
    return make_scaling


@pytest.fixture
def truth() -> np.ndarray:
    return TRUTH.copy()


# A real cell, whose parameters stand for those of the fade ---------------------------------

CELL_NAMES = (
    "SEI solvent diffusivity [m2.s-1]",
    "SEI kinetic rate constant [m.s-1]",
    "SEI resistivity [Ohm.m]",
)


@pytest.fixture(scope="session")
def cell():
    from cellmodels.cell import Cell

    return Cell("lithium_ion", parameters="OKane2022", model="SPM", mechanisms=["SEI"])


@pytest.fixture(scope="session")
def protocol():
    from cellmodels.protocol import Checkup, Protocol, Step, Test

    slow = [Step.parse("Charge at C/3 until 4.2 V"), Step.parse("Discharge at C/20 until 2.5 V")]
    pulse = [Step.parse("Rest for 1 hour"), Step.parse("Discharge at 1C for 10 seconds")]
    tests = (
        Test("C20", tuple(slow), measure="capacity", voltages_at=CHARGES),
        Test("pulse", tuple(pulse), measure="resistance"),
    )
    cycle = ["Discharge at 1C until 2.5 V", "Charge at C/2 until 4.2 V"]
    return Protocol(cycle, every={50: Checkup(tests=tests)})


@dataclass
class CellFade:
    """The fade, driven by parameters of a real cell: proportional to those of the fade."""

    units: np.ndarray
    fade: Fade = field(default_factory=Fade)

    def __call__(self, values, *arguments, **options):
        prediction = self.fade(np.asarray(values) / self.units, *arguments, **options)
        if not prediction.outcome.ok:
            return prediction
        return Prediction(
            prediction.values,
            prediction.jacobian / self.units,
            prediction.outcome,
            prediction.error,
            prediction.state,
        )


@pytest.fixture
def cell_fade(cell) -> CellFade:
    """At the cell's own values it gives the true fade."""
    return CellFade(np.array([cell.value(name) for name in CELL_NAMES]) / TRUTH)
