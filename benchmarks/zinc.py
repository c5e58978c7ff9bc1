"""Zinc-bromine cells: lives and fits against PyBaMM on the same model.

Run with ``python -m benchmarks.zinc``. The cell is `zinc_bromine_static` with five mechanisms; a
cycle charges 20 mA/cm2 for an hour, rests, discharges to 0.8 V and rests; every tenth cycle is
followed by a strip to 0.05 V. Times are CPU seconds of one thread, all in one process; building
and compiling is not counted, nor is reading results.

- *Cost of a cycle*: PyBaMM's `Experiment` with IDAKLU, at its default tolerances and at the
  tightest, against ours, every cycle simulated.
- *Life*: a thousand cycles, with strips (every cycle simulated) and without (integrated over
  cycle number), against PyBaMM cycle by cycle; errors against PyBaMM at a relative tolerance
  of 1e-8.
- *Gradients*: exact derivatives against central differences of our own life on the same time
  meshes, and of PyBaMM's.
- *Fit*: a record of 500 cycles made by PyBaMM cycle by cycle, with noise, is fitted from starts up
  to ten times off. The half-loading of the complexing agent and the factor of the diffusivities
  enter the self-discharge as a product; the rows tell how well the product is determined and how
  well each factor is, with a titration and without.

The first three are done for the lumped and for the porous-electrode model, the fit for the lumped.
All numbers of the cell but these are those of the set, most of them estimates.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

import cellmodels as cm
from benchmarks.pybamm_reference import Reference, Test
from benchmarks.report import Target, arguments, report
from cellmodels.observations import Points, PointSet
from cellmodels.simulator import SolverOptions

MECHANISMS = (
    "dead zinc",
    "cathode self-discharge",
    "carbon oxidation",
    "separator fouling",
    "hydrogen evolution",
)
HALF = "Complexing agent half-loading bromine concentration [mol.m-3]"
VISCOSITY = "Electrolyte diffusivity viscosity factor"
#: What a fit is to find.
TRUTH = {
    HALF: 1.6,
    VISCOSITY: 0.4,
    "Dead zinc fraction": 2e-3,
    "Carbon oxidation rate [m3.mol-1.s-1]": 8e-8,
    "Separator fouling rate [m2.A-1.h-1]": 1.5e-6,
    "Cathode self-discharge rate [m.s-1]": 3e-9,
}
#: Factors on the truth from which the fit starts, within the parameters' ranges.
START = (5.0, 1.3, 0.2, 0.1, 5.0, 0.1)


def steps_of(current: int) -> tuple[str, ...]:
    """A cycle at a current [A] that charges by 2 A.h; 2 A are 20 mA/cm2 of the set's 100 cm2."""
    return (
        f"Charge at {current} A for {2 // current} hours",
        "Rest for 10 minutes",
        f"Discharge at {current} A until 0.8 V",
        "Rest for 10 minutes",
    )


CYCLE = steps_of(2)
STRIP = ("Discharge at 0.2 A until 0.05 V",)
EVERY = 10
AQUEOUS = "Positive compartment aqueous bromine concentration [mol.m-3]"
HALF_CHARGED = ("Charge at 2 A for 30 minutes", "Rest for 10 minutes")
TESTS = (
    Test("low", (*HALF_CHARGED, "Discharge at 0.5 A for 10 seconds"), "resistance"),
    Test("high", (*HALF_CHARGED, "Discharge at 6 A for 10 seconds"), "resistance"),
    Test("rest", (*CYCLE[:1], "Rest for 24 hours", CYCLE[2])),
    Test("top", CYCLE[:1], AQUEOUS),
)
#: Standard deviations of the noise, normal and independent.
NOISE = {
    "discharge_capacity": 2e-3,
    "discharge_energy": 4e-3,
    "discharged_strip": 1e-4,
    "resistance_low": 2e-4,
    "resistance_high": 2e-5,
    "capacity_rest": 2e-3,
    "aqueous_halogen_top": 1.0,
}
SEED = 3


@dataclass(frozen=True)
class Size:
    """How much is done at a model level.

    The current of its cycle [A], long lives with and without strips, their cycles, single cycles,
    cycles of the gradients and the parameters of these. A resolved plate starves at 2 A.
    """

    level: str
    current: int
    strips: tuple[bool, ...]
    life: int
    single: int
    gradients: int
    parameters: tuple[str, ...]


FULL = (
    Size("lumped", 2, (True, False), 1000, 100, 50, tuple(TRUTH)),
    Size("porous", 1, (False,), 1000, 100, 20, tuple(TRUTH)[:4]),
)
QUICK = (
    Size("lumped", 2, (True, False), 60, 20, 20, tuple(TRUTH)),
    Size("porous", 1, (False,), 40, 20, 10, tuple(TRUTH)[1:2]),
)
#: Cycles of the record, full and quick.
RECORD = (500, 100)


def cell_of(level: str = "lumped", truth: Mapping[str, float] = TRUTH) -> cm.Cell:
    """The cell, with the values that a fit is to find."""
    cell = cm.Cell("zinc_bromine", model=level, mechanisms=MECHANISMS)
    return cell.with_parameters(dict(truth))


def protocol(
    strips: bool = True, tests: bool = False, cycle: tuple[str, ...] = CYCLE
) -> cm.Protocol:
    """The cycle, its strips, and the check-ups beside the life."""
    strip = cm.Checkup((cm.Test("strip", STRIP, "discharged"),), disturbs=True)
    measures = {AQUEOUS: "aqueous_halogen"}
    beside = [cm.Test(t.name, t.steps, measures.get(t.measure, t.measure)) for t in TESTS]
    every: dict[int, cm.Checkup] = {EVERY: strip} if strips else {}
    if tests:
        every[2 * EVERY] = cm.Checkup(tuple(beside))
    return cm.Protocol(cycle, every=every)


def reference(
    steps: tuple[str, ...], rtol: float, atol: float, level: str = "lumped", **more: Any
) -> Reference:
    """PyBaMM's life of the cell, a strip and ten cycles at a time or single cycles."""
    settings: dict[str, Any] = {"states": (AQUEOUS,), "root_method": "lm", "may_skip": True}
    return Reference(cell_of(level), steps, rtol=rtol, atol=atol, **(settings | more))


def cpu(call: Any) -> tuple[Any, float]:
    """A call's result and the CPU time that it took [s]."""
    start = time.process_time()
    result = call()
    return result, time.process_time() - start


# --- costs and errors of lives --------------------------------------------------------------------


def capacities(life: Mapping[str, Any], strips: bool) -> np.ndarray:
    """Discharge capacity of every cycle of PyBaMM's life [A.h]."""
    charge = life["step_charge"]
    return charge[:, 3::4].ravel() if strips else charge[:, 2]


def lives(size: Size) -> tuple[list[dict[str, Any]], list[Target]]:
    """A long life with and without strips, ours and PyBaMM's."""
    rows, targets = [], []
    cycle = steps_of(size.current)
    for strips in size.strips:
        steps = (*STRIP, *cycle * EVERY) if strips else cycle
        kind = "strip every 10" if strips else "no strips"
        count = size.life // EVERY if strips else size.life
        chunk = 2 if strips else 20
        loose = reference(steps, 1e-4, 1e-6, size.level, chunk=chunk).run(count)
        tight = reference(steps, 1e-8, 1e-10, size.level, chunk=chunk).run(count)
        simulator = cm.Simulator(cell_of(size.level), protocol(strips, cycle=cycle))
        simulator.simulate(40)
        ours, seconds = cpu(lambda s=simulator: s.simulate(size.life))
        exact = capacities(tight, strips)
        error = np.abs(ours["cycles"]["discharge_capacity"].values - exact)
        of_loose = np.abs(capacities(loose, strips) - exact)
        rows.append(
            {
                "life": f"{size.level}: {size.life} cycles, {kind}",
                "ours [CPU s]": seconds,
                "simulated": ours.attrs["simulated_cycles"],
                "IDAKLU default [CPU s]": loose["cpu_time"],
                "IDAKLU 1e-8 [CPU s]": tight["cpu_time"],
                "ratio": loose["cpu_time"] / seconds,
                "error [A.h]": float(error.max()),
                "error of default [A.h]": float(of_loose.max()),
            }
        )
        name = rows[-1]["life"]
        targets.append(
            Target(f"{name}: our time over PyBaMM's", seconds / loose["cpu_time"], 1 / 10)
        )
        targets.append(Target(f"{name}: capacity error over 2 A.h", float(error.max()) / 2.0, 1e-4))
    return rows, targets


def cost_of_a_cycle(size: Size) -> tuple[list[dict[str, Any]], list[Target]]:
    """A cycle without strips, every one simulated, the first ones included."""
    count, cell, cycle = size.single, cell_of(size.level), steps_of(size.current)
    simulator = cm.Simulator(
        cell, protocol(False, cycle=cycle), options=SolverOptions(method="direct")
    )
    simulator.simulate(5)
    _, ours = cpu(lambda: simulator.simulate(count))
    rows = []
    for rtol, atol in ((1e-4, 1e-6), (1e-6, 1e-8), (1e-8, 1e-10)):
        theirs = reference(cycle, rtol, atol, size.level).run(count)["cpu_time"]
        rows.append(
            {
                "model": size.level,
                "IDAKLU rtol": rtol,
                "theirs [ms/cycle]": 1e3 * theirs / count,
                "ours [ms/cycle]": 1e3 * ours / count,
                "ratio": theirs / ours,
            }
        )
    name = f"{size.level}: a cycle: our time over PyBaMM's default"
    return rows, [Target(name, 1 / rows[0]["ratio"], 1 / 10)]


# --- gradients ------------------------------------------------------------------------------------


def gradients(size: Size) -> tuple[list[dict[str, Any]], list[Target]]:
    """Derivatives of capacities and strips, against central differences."""
    names, n, cell = list(size.parameters), size.gradients, cell_of(size.level)
    cycle = steps_of(size.current)
    simulator = cm.Simulator(cell, protocol(cycle=cycle), names, SolverOptions(method="direct"))
    at = np.arange(1.0, n + 1)
    points = Points((PointSet("cycles", "discharge_capacity", "cycle", at),))
    values = np.array([TRUTH[name] for name in names])
    exact = simulator.predict(values, points)
    assert exact.jacobian is not None
    steps = (*STRIP, *cycle * EVERY)
    peer = reference(steps, 1e-9, 1e-11, size.level, chunk=2, free=tuple(names))
    rows: list[dict[str, Any]] = []
    for k, name in enumerate(names):
        scaled = exact.jacobian[:, k] * values[k]
        own = _difference(lambda v: simulator.predict(v, points, False).values, values, k, 1e-3)
        theirs = _difference(lambda v: _peer_capacities(peer, names, v, n), values, k, 5e-2)
        size_of = float(np.abs(scaled).max())
        rows.append(
            {
                "model": size.level,
                "parameter": name,
                "largest [A.h]": size_of,
                "own difference": float(np.abs(own - scaled).max()) / size_of,
                "IDAKLU difference": float(np.abs(theirs - scaled).max()) / size_of,
            }
        )
    own_worst = max(row["own difference"] for row in rows)
    peer_worst = max(row["IDAKLU difference"] for row in rows)
    return rows, [
        Target(f"{size.level}: gradient against our own differences", own_worst, 1e-3),
        Target(f"{size.level}: gradient against IDAKLU's differences", peer_worst, 1e-2),
    ]


def _difference(life: Any, values: np.ndarray, k: int, h: float) -> np.ndarray:
    up, down = values.copy(), values.copy()
    up[k] *= 1.0 + h
    down[k] *= 1.0 - h
    return (life(up) - life(down)) / (2.0 * h)


def _peer_capacities(
    peer: Reference, names: list[str], values: np.ndarray, cycles: int
) -> np.ndarray:
    inputs = dict(zip(names, map(float, values), strict=True))
    return capacities(peer.run(cycles // EVERY, inputs), True)


# --- fit ------------------------------------------------------------------------------------------


def record(size: int) -> tuple[xr.DataTree, float]:
    """The noisy record of PyBaMM's life, and that life's CPU time at default tolerances."""
    steps = (*STRIP, *CYCLE * EVERY)
    blocks = size // EVERY
    places = range(0, blocks, 2)
    made = reference(steps, 1e-8, 1e-10, chunk=2, tests=TESTS).run(blocks, checkups=places)
    once = reference(steps, 1e-4, 1e-6, chunk=2, tests=TESTS).run(blocks, checkups=places)
    random = np.random.default_rng(SEED)
    energy = made["step_energy"][:, 3::4].ravel()
    cycles = {
        "cycle": np.arange(1, size + 1),
        "discharge_capacity [A.h]": capacities(made, True),
        "discharge_energy [W.h]": energy,
    }
    strip = made["step_charge"][:, 0]
    at = EVERY * np.arange(blocks)
    tests = {
        "resistance_low": "ohm",
        "resistance_high": "ohm",
        "capacity_rest": "A.h",
        "aqueous_halogen_top": "mol.m-3",
    }
    table: dict[str, np.ndarray] = {"cycle": at, "discharged_strip [A.h]": strip}
    for name, unit in tests.items():
        column = np.full(blocks, np.nan)
        found = made[f"state_{name.split('_')[-1]}" if name.startswith("aqueous") else name]
        column[::2] = found
        table[f"{name} [{unit}]"] = column
    for group in (cycles, table):
        for header in list(group):
            name = header.split(" ")[0]
            if name in NOISE:
                noise = random.normal(0.0, NOISE[name], len(group[header]))
                group[header] = group[header] + noise
    tree = cm.build_record(cycles, table, title=f"zinc-bromine, {size} cycles", synthetic=True)
    return tree, once["cpu_time"] + once["checkup_cpu_time"]


def fits(size: int) -> tuple[list[dict[str, Any]], list[Target]]:
    """Fits with and without the titration."""
    data, theirs = record(size)
    names = list(TRUTH)
    start = {name: TRUTH[name] * f for name, f in zip(names, START, strict=True)}
    rows: list[dict[str, Any]] = []
    targets = []
    for titrated in (False, True):
        wanted = [name for name in NOISE if titrated or not name.startswith("aqueous")]
        cm.Simulator(cell_of(), protocol(tests=True), names).simulate(20)
        found, seconds = cpu(
            lambda wanted=wanted: cm.fit(
                cell_of(),
                data,
                protocol(tests=True),
                names,
                observables=wanted,
                start=start,
                noise={name: NOISE[name] for name in wanted},
                progress=False,
            )
        )
        label = "with titration" if titrated else "without titration"
        mine = [*_fit_rows(found, label), _product(found, label)]
        rows += mine
        # the factor of the diffusivities stands for the product here
        counted = [row for row in mine if row["parameter"] != VISCOSITY]
        rows_found = sum(row["recovered"] == "yes" and row["identifiable"] for row in counted)
        targets.append(Target(f"{label}: missing of four parameters", 4 - rows_found, 0))
        targets.append(Target(f"{label}: fit over one PyBaMM life", seconds / theirs, 1.0))
        print(found)
    return rows, targets


def _fit_rows(found: cm.Fit, label: str) -> list[dict[str, Any]]:
    """Each parameter of a fit, and whether the truth is within three standard errors."""
    table = found.table
    rows = []
    for name, truth in TRUTH.items():
        row = dict(table.loc[name])
        error = float(row["standard error"])
        away = (float(row["value"]) - truth) / error if error > 0 else np.nan
        good = bool(row["identifiable"]) and abs(away) < 3.0
        rows.append(
            {
                "fit": label,
                "parameter": name,
                "truth": truth,
                "found": float(row["value"]),
                "standard error": error,
                "away [s.e.]": away,
                "identifiable": bool(row["identifiable"]),
                "recovered": "yes" if good else "no",
            }
        )
    return rows


def _product(found: cm.Fit, label: str) -> dict[str, Any]:
    """The product by which half-loading and diffusivities enter the self-discharge."""
    names = list(TRUTH)
    pair = [names.index(HALF), names.index(VISCOSITY)]
    values = found.table["value"].to_numpy()[pair]
    covariance = found.covariance.values[np.ix_(pair, pair)] / np.outer(values, values)
    product, truth = float(np.prod(values)), TRUTH[HALF] * TRUTH[VISCOSITY]
    error = product * float(np.sqrt(covariance.sum()))
    away = (product - truth) / error
    return {
        "fit": label,
        "parameter": "product of the first two",
        "truth": truth,
        "found": product,
        "standard error": error,
        "away [s.e.]": away,
        "identifiable": error < 0.3 * product,
        "recovered": "yes" if abs(away) < 3.0 else "no",
    }


def main() -> None:
    """Run all parts and report."""
    options = arguments(__doc__)
    sizes = QUICK if options.quick else FULL
    count = len(cell_of().estimates)
    print(f"ESTIMATE: {count} numbers of this cell are neither fitted nor measured.\n")
    rows: list[dict[str, Any]] = []
    targets: list[Target] = []
    found = [part(size) for size in sizes for part in (cost_of_a_cycle, lives, gradients)]
    found.append(fits(RECORD[options.quick]))
    for more, aims in found:
        rows += more
        targets += aims
    report("zinc", rows, targets, options.quick)


if __name__ == "__main__":
    main()
