"""Lives with known ageing parameters for `benchmarks.coverage`, simulated by PyBaMM alone.

Each kind of life is a cell with mechanisms, ranges from which the parameters of each life are
drawn log-uniformly, and what a fit of it is told: its own mechanisms and free parameters, which
are those of the life ("right") or lack one ("wrong"). A life that does not last to the end of
the forecast is drawn anew. Lives are simulated cycle by cycle by IDAKLU at a relative tolerance
of 3e-8, and are the truth without noise.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import xarray as xr

import cellmodels as cm
from benchmarks.pybamm_reference import IncompleteLife, Reference
from benchmarks.pybamm_reference import Test as ReferenceTest
from cellmodels.cell import Cell
from cellmodels.protocol import Checkup, Protocol, Test
from cellmodels.steps import Step

#: A record has so many cycles, a check-up every so many; the life goes on to the horizon.
CYCLES, CHECKUP_EVERY, HORIZON = 240, 40, 360
CYCLE = ("Discharge at 1C until 2.5 V", "Charge at 0.5C until 4.2 V")
TESTS = {
    "capacity_C5": ("Discharge at C/5 until 2.5 V",),
    "resistance_10s": (
        "Discharge at 0.5C for 1 hour",
        "Rest for 1 hour",
        "Discharge at 1C for 10 seconds",
    ),
}
#: Standard deviations of the noise, normal and independent [A.h, ohm].
NOISE = {"discharge_capacity": 5e-3, "capacity_C5": 2.5e-3, "resistance_10s": 3e-4}
MESH = {"x_n": 3, "x_s": 3, "x_p": 3, "r_n": 10, "r_p": 10}
RTOL, ATOL = 3e-8, 3e-10
#: A life that falls below this fraction of its second cycle's capacity before the horizon is dead.
DEAD = 0.6

D = "SEI solvent diffusivity [m2.s-1]"
J = "SEI reaction exchange current density [A.m-2]"
LAM_N = "Negative electrode LAM constant proportional term [s-1]"
LAM_P = "Positive electrode LAM constant proportional term [s-1]"
PLATING = "Lithium plating kinetic rate constant [m.s-1]"
DEAD_LITHIUM = "Dead lithium decay constant [s-1]"
INTERSTITIAL = "SEI lithium interstitial diffusivity [m2.s-1]"

#: Bounds of fits.
BOUNDS = {
    D: (1e-23, 1e-19),
    LAM_N: (1e-8, 1e-4),
    LAM_P: (1e-7, 1e-3),
    PLATING: (1e-10, 1e-7),
    DEAD_LITHIUM: (1e-8, 1e-3),
}

LAM, PLATES = "loss of active material", "lithium plating"
#: Loss of active material is a mechanism of every cell, since with it PyBaMM lets stress speed up
#: diffusion; where it is to be missing, its rates are this small [s-1].
NONE = 1e-11
#: As much plating as diffusion allows [m.s-1].
FAST_PLATING = 2e-8


@dataclass(frozen=True)
class Kind:
    """A kind of life, and what a fit of it is told.

    Parameters
    ----------
    name
        What the fit lacks; of a right one, what ages the cell.
    mechanisms
        Of the life.
    ranges
        Ranges of the parameters that are drawn, log-uniformly; a single number is fixed.
    fitted
        Mechanisms of the fit's cell.
    free
        Parameters that are fitted.
    fixed
        Parameters of the fit's cell that differ from the parameter set's.
    rise
        Ranges of a rise of the capacity, ``size (1 - exp(-cycle / cycles))`` [A.h, cycles], which
        is added to what PyBaMM gives.
    """

    name: str
    mechanisms: tuple[Any, ...]
    ranges: Mapping[str, tuple[float, float] | float]
    fitted: tuple[Any, ...]
    free: tuple[str, ...]
    fixed: Mapping[str, float] = field(default_factory=dict)
    rise: tuple[tuple[float, float], tuple[float, float]] | None = None

    def cell(self, mechanisms: tuple[Any, ...] | None = None) -> Cell:
        """The cell of the life, or one with other mechanisms."""
        return Cell(
            "lithium_ion",
            parameters="nmc_graphite_siox",
            model="SPM",
            mechanisms=list(mechanisms or self.mechanisms),
            initial_soc=1.0,
            mesh=MESH,
        )

    def fitted_cell(self) -> Cell:
        """The cell that is fitted."""
        return _fitted_cell(self.name)


SEI_LAM = {
    "fitted": ("SEI", LAM),
    "free": (D, LAM_N),
    "fixed": {LAM_P: NONE},
}
SEI_PLATING = {
    "fitted": ("SEI", PLATES, LAM),
    "free": (D, DEAD_LITHIUM),
    "fixed": {LAM_N: NONE, LAM_P: NONE, PLATING: FAST_PLATING},
}

RIGHT = (
    Kind(
        "SEI, LAM of both electrodes",
        ("SEI", LAM),
        {D: (1e-21, 8e-21), LAM_N: (3e-6, 6e-6), LAM_P: (4.5e-5, 8e-5)},
        ("SEI", LAM),
        (D, LAM_N, LAM_P),
    ),
    Kind(
        "SEI, plating",
        ("SEI", PLATES, LAM),
        {
            D: (5e-22, 6e-21),
            PLATING: (1e-8, 5e-8),
            DEAD_LITHIUM: (3e-6, 3e-5),
            LAM_N: NONE,
            LAM_P: NONE,
        },
        ("SEI", PLATES, LAM),
        (D, PLATING, DEAD_LITHIUM),
        {LAM_N: NONE, LAM_P: NONE},
    ),
)

WRONG = (
    Kind(
        "loss of active material",
        ("SEI", PLATES, LAM),
        {
            D: (5e-22, 6e-21),
            PLATING: FAST_PLATING,
            DEAD_LITHIUM: (3e-6, 2e-5),
            LAM_N: (2e-6, 6e-6),
            LAM_P: NONE,
        },
        **SEI_PLATING,
    ),
    Kind(
        "lithium plating",
        ("SEI", PLATES, LAM),
        {
            D: (5e-22, 6e-21),
            PLATING: FAST_PLATING,
            DEAD_LITHIUM: (5e-6, 3e-5),
            LAM_N: (1e-6, 6e-6),
            LAM_P: NONE,
        },
        **SEI_LAM,
    ),
    Kind(
        "loss of active material, with a knee",
        ("SEI", PLATES, LAM),
        {
            D: (5e-22, 4e-21),
            PLATING: FAST_PLATING,
            DEAD_LITHIUM: (3e-6, 1e-5),
            LAM_N: (8e-6, 1.3e-5),
            LAM_P: (1e-6, 3e-5),
        },
        **SEI_PLATING,
    ),
    Kind(
        "law of the SEI's growth",
        (cm.SEI(limit="reaction"), LAM),
        {J: (2e-8, 3e-7), LAM_N: (1e-6, 4e-6), LAM_P: NONE},
        **SEI_LAM,
    ),
    Kind(
        "rise of the capacity at first",
        ("SEI", LAM),
        {D: (5e-22, 6e-21), LAM_N: (2e-6, 6e-6), LAM_P: NONE},
        **SEI_LAM,
        rise=((0.01, 0.06), (10.0, 60.0)),
    ),
    # not among those with which the forecast was developed
    Kind(
        "law of the SEI's growth, and lithium plating",
        (cm.SEI(limit="interstitial diffusion"), PLATES, LAM),
        {
            INTERSTITIAL: (1e-20, 1e-19),
            PLATING: FAST_PLATING,
            DEAD_LITHIUM: (2e-6, 1e-5),
            LAM_N: (1e-6, 4e-6),
            LAM_P: NONE,
        },
        **SEI_LAM,
    ),
)

KINDS = {kind.name: kind for kind in (*RIGHT, *WRONG)}


@lru_cache
def _fitted_cell(kind: str) -> Cell:
    chosen = KINDS[kind]
    cell = chosen.cell(chosen.fitted)
    return cell.with_parameters(dict(chosen.fixed), source="benchmarks.coverage")


@dataclass(frozen=True)
class Life:
    """A life without noise.

    Parameters
    ----------
    kind, number
        Which life it is.
    values
        What was drawn for it.
    capacity
        Of the cycles up to the horizon, from the first on [A.h].
    checkups
        What the tests give, every `CHECKUP_EVERY` cycles from 0 to `CYCLES`.
    redrawn
        How many draws before it died too early.
    """

    kind: str
    number: int
    values: dict[str, float]
    capacity: list[float]
    checkups: dict[str, list[float]]
    redrawn: int


def protocol() -> Protocol:
    """What is done to the cells, as the fit is told."""
    tests = [
        Test(name.split("_")[1], tuple(map(Step.parse, steps)), measure=name.split("_")[0])
        for name, steps in TESTS.items()
    ]
    return Protocol(list(CYCLE), every={CHECKUP_EVERY: Checkup(tests=tuple(tests))})


@lru_cache(maxsize=4)
def _reference(kind: str) -> Reference:
    chosen = KINDS[kind]
    tests = [
        ReferenceTest(name.split("_")[1], steps, measure=name.split("_")[0])
        for name, steps in TESTS.items()
    ]
    return Reference(
        chosen.cell(), CYCLE, tests=tests, free=tuple(chosen.ranges), rtol=RTOL, atol=ATOL, chunk=30
    )


def simulate(kind: str, number: int, horizon: int = HORIZON) -> Life:
    """Draw and simulate a life that lasts to the horizon.

    Parameters
    ----------
    kind
        One of `KINDS`.
    number
        Of the life; it seeds the draw.
    horizon
        Last cycle.

    Returns
    -------
    Life
    """
    chosen = KINDS[kind]
    random = np.random.default_rng([_code(kind), number])
    for redrawn in range(100):
        values = {name: _drawn(random, given) for name, given in chosen.ranges.items()}
        rise = None if chosen.rise is None else [_drawn(random, given) for given in chosen.rise]
        try:
            found = _reference(kind).run(horizon, values, range(0, CYCLES + 1, CHECKUP_EVERY))
        except IncompleteLife:
            continue
        capacity = found["discharge_capacity"]
        if capacity.min() < DEAD * capacity[1]:
            continue
        checkups = {name: found[name] for name in TESTS}
        if rise is not None:
            values |= {"rise [A.h]": rise[0], "cycles of the rise": rise[1]}
            capacity = capacity + _risen(found["cycle"], rise)
            checkups["capacity_C5"] = checkups["capacity_C5"] + _risen(found["checkup"], rise)
        return Life(
            kind,
            number,
            values,
            capacity.round(8).tolist(),
            {name: part.round(9).tolist() for name, part in checkups.items()},
            redrawn,
        )
    raise IncompleteLife(f"{kind}: no life of a hundred lasts for {horizon} cycles")


def record(life: Life, draw: int | None) -> xr.DataTree:
    """The record of a life: its first `CYCLES` cycles with the noise of a draw.

    Parameters
    ----------
    life
    draw
        Seeds the noise; None for a record without noise, whose stated noise is the same.
    """
    random = np.random.default_rng([seed(life), 1 + (draw or 0)])

    def measured(name: str, values: list[float], dimension: str) -> dict[str, Any]:
        noise = 0.0 if draw is None else NOISE[name] * random.standard_normal(len(values))
        units = {"units": "ohm" if name.startswith("resistance") else "A.h"}
        return {
            name: (dimension, np.array(values) + noise, units),
            f"{name}_std": (dimension, np.full(len(values), NOISE[name]), units),
        }

    cycles = measured("discharge_capacity", life.capacity[:CYCLES], "point")
    tests: dict[str, Any] = {}
    for name, values in life.checkups.items():
        tests |= measured(name, values, "checkup")
    tree = xr.DataTree.from_dict(
        {
            "cycles": xr.Dataset(cycles, {"cycle": ("point", np.arange(1, CYCLES + 1))}),
            "checkups": xr.Dataset(
                tests, {"cycle": ("checkup", np.arange(0, CYCLES + 1, CHECKUP_EVERY))}
            ),
        }
    )
    tree.attrs = {
        "schema": "cellmodels-record/1",
        "title": f"{life.kind}, life {life.number}, draw {draw}",
        "synthetic": 1,
    }
    return tree


def seed(life: Life) -> int:
    """A number of its own for each life."""
    return 1000 * _code(life.kind) + life.number


def _code(kind: str) -> int:
    return zlib.crc32(kind.encode())


def _drawn(random: np.random.Generator, given: tuple[float, float] | float) -> float:
    if isinstance(given, tuple):
        return float(np.exp(random.uniform(*np.log(given))))
    return given


def _risen(cycle: np.ndarray, rise: list[float]) -> np.ndarray:
    return rise[0] * (1 - np.exp(-cycle / rise[1]))
