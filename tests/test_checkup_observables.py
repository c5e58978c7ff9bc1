"""What check-ups are observed by: values against PyBaMM's own experiment, derivatives against
differences of both."""

from __future__ import annotations

import numpy as np
import pytest

import cellmodels as cm
from cellmodels.observations import Points, PointSet
from cellmodels.record import check_record
from cellmodels.simulator import SolverOptions
from cellmodels.solver.mesh import MeshOptions
from tests.reference import charge_of, energy_of, pybamm_cycles, series

CYCLE = ("Discharge at 1C until 2.5 V", "Charge at C/2 until 4.2 V", "Hold at 4.2 V until C/20")
FULL = (*CYCLE[1:], "Rest for 1 hour")
EMPTY = (*FULL, "Discharge at 1C until 2.5 V", "Rest for 1 hour")
HALF = (*FULL, "Discharge at C/2 for 1 hour", "Rest for 1 hour")
CHARGES = (0.5, 2.5, 4.0)
TIMES = (1.0, 10.0, 30.0)
RELAXED = (1.0, 60.0, 1800.0)
TESTS = (
    cm.Test("1C", (*FULL, "Discharge at 1C until 2.5 V"), voltages_at=CHARGES),
    cm.Test("2C", (*FULL, "Discharge at 2C until 2.5 V")),
    cm.Test("C2_charge", (*EMPTY, *CYCLE[1:]), voltages_at=CHARGES),
    cm.Test("pulse", (*HALF, "Discharge at 1C for 30 s"), "resistance", times_at=TIMES),
    cm.Test("charge_pulse", (*HALF, "Charge at C/2 for 30 s"), "resistance", times_at=TIMES),
    cm.Test(
        "relax", (*HALF, "Discharge at 1C for 30 s", "Rest for 1 hour"), "voltage", times_at=RELAXED
    ),
    cm.Test("empty", EMPTY, "end_voltage"),
    cm.Test("net", EMPTY, "discharged"),
)
FREE = (
    "Initial concentration in negative electrode [mol.m-3]",
    "SEI solvent diffusivity [m2.s-1]",
)
STEP = 3e-3
CYCLES = 3
MESH = MeshOptions(share=1.0).finer(3.0)


def aged_cell(**changes: float) -> cm.Cell:
    mechanisms = [cm.SEI(), cm.LossOfActiveMaterial()]
    cell = cm.Cell("lithium_ion", "nmc_graphite_siox", "SPM", mechanisms)
    cell = cell.with_parameters({FREE[1]: 1e-20})
    return cell.with_parameters(
        {name: factor * cell.value(name) for name, factor in changes.items()}
    )


def make_simulator(**options) -> cm.Simulator:
    protocol = cm.Protocol(CYCLE, every={CYCLES: cm.Checkup(TESTS)})
    return cm.Simulator(aged_cell(), protocol, FREE, SolverOptions(method="direct", mesh=MESH))


@pytest.fixture(scope="module")
def simulator() -> cm.Simulator:
    return make_simulator()


def points_at(simulator: cm.Simulator, cycle: float) -> Points:
    """All that check-ups give, after so many cycles."""
    curves = {"voltage_1C": CHARGES, "voltage_C2_charge": CHARGES, "voltage_relax": RELAXED}
    sets = []
    for name in simulator.checkup_variables:
        columns = range(len(curves[name])) if name in curves else (None,)
        sets += [PointSet("checkups", name, "cycle", np.array([cycle]), c) for c in columns]
    return Points(tuple(sets))


def keys(points: Points) -> list[tuple[str, int | None]]:
    return [(s.variable, s.column) for s in points]


@pytest.fixture(scope="module")
def fresh(simulator):
    points = points_at(simulator, 0.0)
    found = simulator.predict(simulator.nominal, points)
    assert found.outcome.ok
    rows = zip(found.values, found.jacobian * simulator.nominal, strict=True)
    return dict(zip(keys(points), rows, strict=True))


def over(steps, wanted, at):
    """The voltage where a charge [A.h], or a time [s], since a step began has passed."""
    volts = series(steps, "Voltage [V]")
    time = steps.t - steps.t[0]
    if wanted == "time":
        return np.interp(at, time, volts)
    amps = np.abs(series(steps, "Current [A]"))
    passed = np.append(0.0, np.cumsum(0.5 * (amps[1:] + amps[:-1]) * np.diff(time))) / 3600.0
    return np.interp(passed[-1] - np.array(at) if wanted == "missing" else at, passed, volts)


def of_pybamm(cell: cm.Cell) -> dict[tuple[str, int | None], float]:
    """What the tests of a fresh cell give."""
    done = ("1C", "2C", "C2_charge", "charge_pulse", "relax")  # the others are parts of these
    steps = {
        test.name: pybamm_cycles(cell, [[str(step) for step in test.steps]])[0].steps
        for test in TESTS
        if test.name in done
    }
    steps["pulse"], steps["empty"] = steps["relax"][:-1], steps["C2_charge"][:-2]
    found: dict[tuple[str, int | None], float] = {}
    for name in ("1C", "2C"):
        found[f"capacity_{name}", None] = charge_of(steps[name][-1])
        found[f"energy_{name}", None] = energy_of(steps[name][-1])
    *_, bulk, hold = steps["C2_charge"]
    found["capacity_C2_charge", None] = -charge_of(bulk) - charge_of(hold)
    found["energy_C2_charge", None] = -energy_of(bulk) - energy_of(hold)
    curves = {
        "voltage_1C": over(steps["1C"][-1], "charge", CHARGES),
        "voltage_C2_charge": over(bulk, "missing", CHARGES),
        "voltage_relax": over(steps["relax"][-1], "time", RELAXED),
    }
    for name, values in curves.items():
        found.update({(name, c): float(value) for c, value in enumerate(values)})
    for test, ending, current in (("pulse", "", 5.0), ("charge_pulse", "_charge_pulse", -2.5)):
        before = float(series(steps[test][-2], "Voltage [V]")[-1])
        after = over(steps[test][-1], "time", TIMES)
        for time, value in zip(TIMES, after, strict=True):
            found[f"resistance_{time:g}s{ending}", None] = (before - float(value)) / current
    found["end_voltage_empty", None] = float(series(steps["empty"][-1], "Voltage [V]")[-1])
    found["discharged_net", None] = sum(charge_of(step) for step in steps["empty"])
    return found


def test_what_check_ups_of_a_fresh_cell_give_is_that_of_pybamm(fresh) -> None:
    expected = of_pybamm(aged_cell())
    states = {"loss_of_lithium_inventory", "total_lithium", "cell_temperature"}
    assert {name for name, _ in fresh} - {name for name, _ in expected} > states
    for key, value in expected.items():
        # a resistance is the small difference of two voltages
        rel = 2e-4 if key[0].startswith("resistance") else 2e-5
        assert fresh[key][0] == pytest.approx(value, rel=rel, abs=1e-8), key


@pytest.mark.slow
def test_derivatives_of_check_ups_of_a_fresh_cell_are_those_of_pybamm(fresh) -> None:
    up, down = (of_pybamm(aged_cell(**{FREE[0]: 1.0 + s * STEP})) for s in (1.0, -1.0))
    for key in up:
        value, slopes = fresh[key]
        difference = (up[key] - down[key]) / (2.0 * STEP)
        assert slopes[0] == pytest.approx(difference, rel=2e-2, abs=2e-3 * abs(value)), key


def test_derivatives_in_the_life_are_those_of_differences(simulator) -> None:
    points = points_at(simulator, float(CYCLES))
    base = simulator.predict(simulator.nominal, points)
    for k, step in enumerate((1e-3, 1e-2)):
        h = step * simulator.nominal[k] * np.eye(len(FREE))[k]
        up, down = (
            simulator.predict(simulator.nominal + s * h, points, jacobian=False, state=base.state)
            for s in (1.0, -1.0)
        )
        difference = (up.values - down.values) / (2.0 * step)
        mine = base.jacobian[:, k] * simulator.nominal[k]
        for key, slope, other, value in zip(
            keys(points), mine, difference, base.values, strict=True
        ):
            size = 1e-3 * abs(value) if k == 0 else 1e-5 * abs(value)
            assert slope == pytest.approx(other, rel=1e-2, abs=size), key
        # ageing moves all that it should
        aged = {key[0] for key, slope in zip(keys(points), mine, strict=True) if abs(slope) > 1e-9}
        assert {"loss_of_lithium_inventory", "resistance_1s", "energy_2C", "voltage_relax"} <= aged


def test_a_simulated_life_holds_all_of_it(simulator, tmp_path) -> None:
    life = simulator.simulate(CYCLES)
    check_record(life)
    checkups = life["checkups"]
    assert checkups["voltage_relax"].dims == ("checkup", "time_relax")
    assert checkups["time_relax"].values.tolist() == list(RELAXED)
    assert checkups["time_relax"].attrs["units"] == "s"
    assert checkups["energy_2C"].attrs["units"] == "W.h"
    # over discharged charge both voltages fall, the charge's above the discharge's
    down, up = (checkups[f"voltage_{name}"].values for name in ("1C", "C2_charge"))
    assert np.all(np.diff(down, axis=1) < 0) and np.all(np.diff(up, axis=1) < 0)
    assert np.all(up > down)
    assert np.all(np.diff(checkups["voltage_relax"].values, axis=1) > 0)
    resistances = [checkups[f"resistance_{t:g}s"].values for t in TIMES]
    assert np.all(np.diff(resistances, axis=0) > 0)
    cm.write_tables(life, tmp_path / "life")
    again = cm.read_record(tmp_path / "life")
    np.testing.assert_array_equal(again["checkups"]["voltage_relax"], checkups["voltage_relax"])
    cm.write_record(life, tmp_path / "life.nc")
    assert cm.read_record(tmp_path / "life.nc")["checkups"]["time_relax"].size == len(RELAXED)


@pytest.mark.parametrize(
    ("test", "beyond", "limit"),
    [
        (cm.Test("long", (*FULL, "Discharge at 1C until 2.5 V"), voltages_at=[1.0, 6.0]), -1, 2.5),
        (cm.Test("long", (*EMPTY, *CYCLE[1:]), voltages_at=[1.0, 6.0]), -1, 3.0),
        (
            cm.Test("long", (*FULL, "Discharge at 1C until 2.5 V"), "voltage", (), [60, 9e3]),
            -1,
            2.5,
        ),
        (cm.Test("long", (*EMPTY, "Charge at 1C until 4.1 V"), "voltage", (), [60, 9e3]), 1, 4.1),
    ],
)
def test_curves_that_are_too_short_go_on_for_a_fit_and_end_in_a_table(test, beyond, limit) -> None:
    protocol = cm.Protocol(CYCLE, every={CYCLES: cm.Checkup(test)})
    simulator = cm.Simulator(aged_cell(), protocol, FREE)
    points = Points(
        tuple(PointSet("checkups", "voltage_long", "cycle", np.zeros(1), c) for c in (0, 1))
    )
    base = simulator.predict(simulator.nominal, points)
    table = simulator.simulate(1)["checkups"]["voltage_long"].values[0]
    assert table[0] == pytest.approx(base.values[0], abs=1e-6) and np.isnan(table[1])
    assert beyond * (base.values[1] - limit) > 0
    step = 1e-3
    h = step * simulator.nominal * np.eye(2)[0]
    up, down = (
        simulator.predict(simulator.nominal + s * h, points, jacobian=False, state=base.state)
        for s in (1.0, -1.0)
    )
    slope = base.jacobian[1, 0] * simulator.nominal[0]
    assert abs(slope) > 0.1
    assert slope == pytest.approx((up.values - down.values)[1] / (2 * step), rel=1e-2)


def test_a_pulse_that_ends_too_early_is_missing_in_a_table() -> None:
    pulse = cm.Test(
        "pulse", (*EMPTY, "Discharge at C/10 until 2.6 V"), "resistance", times_at=[1, 36000]
    )
    life = cm.simulate(aged_cell(), cm.Protocol(CYCLE, every={1: cm.Checkup(pulse)}), 1)
    assert np.all(life["checkups"]["resistance_1s"].values > 0)
    assert np.all(np.isnan(life["checkups"]["resistance_36000s"].values))


def test_resistances_and_relaxation_are_the_same_with_a_dfn() -> None:
    """The voltage between the solver's points needs its algebraic states."""
    mesh = {"x_n": 6, "x_s": 4, "x_p": 6, "r_n": 8, "r_p": 8}
    cell = cm.Cell("lithium_ion", "nmc_graphite_siox", "DFN", [cm.SEI()], mesh=mesh)
    relax = ("Discharge at 1C for 30 s", "Rest for 1 hour")
    tests = (
        cm.Test("pulse", ("Rest for 1 minute", relax[0]), "resistance", times_at=TIMES),
        cm.Test("relax", relax, "voltage", times_at=RELAXED),
    )
    life = cm.simulate(cell, cm.Protocol(CYCLE, every={1: cm.Checkup(tests)}), 1)["checkups"]
    rest, pulse, relaxed = pybamm_cycles(cell, [("Rest for 1 minute", *relax)])[0].steps
    before, after = series(rest, "Voltage [V]")[-1], over(pulse, "time", TIMES)
    mine = [float(life[f"resistance_{t:g}s"][0]) for t in TIMES]
    assert np.allclose(mine, (before - after) / 5.0, rtol=1e-4)
    assert np.allclose(life["voltage_relax"][0], over(relaxed, "time", RELAXED), atol=1e-5)


ZINC = ("Charge at 20 mA/cm2 for 60 minutes", "Discharge at 20 mA/cm2 for 50 minutes")


def test_states_of_a_zinc_cell_are_those_of_pybamm() -> None:
    """All that its model reports, hydrogen and imbalance among them, and their derivatives."""
    mechanisms = ["hydrogen evolution", "dead zinc", "lumped thermal"]
    cell = cm.Cell("zinc_bromine", mechanisms=mechanisms)
    free = ["Dead zinc fraction", "Hydrogen evolution exchange-current density [A.m-2]"]
    protocol = cm.Protocol(ZINC, every={CYCLES: cm.Checkup(cm.Test("more", ZINC[:1], "hydrogen"))})
    simulator = cm.Simulator(cell, protocol, free, SolverOptions(mesh=MESH))
    names = [name for name, changes in cell.reported_states().items() if changes]
    assert {"hydrogen", "inventory_imbalance", "dead_metal", "cell_temperature"} < set(names)
    points = Points(
        tuple(
            PointSet("checkups", name, "cycle", np.array([float(CYCLES)]))
            for name in (*names, "hydrogen_more")
        )
    )
    base = simulator.predict(simulator.nominal, points)
    amps = 200.0 * cell.electrode_area
    steps = [f"Charge at {amps} A for 1 hour", f"Discharge at {amps} A for 50 minutes"]
    *_, rest = pybamm_cycles(cell, [steps] * CYCLES + [["Rest for 1 second"]], "1 minute", 1e-8)
    for name, value in zip(names, base.values, strict=False):
        expected = float(series(rest.steps[-1], cell.state_variables[name])[-1])
        assert value == pytest.approx(expected, rel=2e-4, abs=1e-9), name
    assert base.values[-1] > base.values[names.index("hydrogen")]
    for k in range(len(free)):
        h = 1e-2 * simulator.nominal[k] * np.eye(len(free))[k]
        up, down = (
            simulator.predict(simulator.nominal + s * h, points, jacobian=False, state=base.state)
            for s in (1.0, -1.0)
        )
        difference = (up.values - down.values) / 2e-2
        mine = base.jacobian[:, k] * simulator.nominal[k]
        assert np.allclose(mine, difference, rtol=1e-2, atol=5e-5 * np.abs(base.values))
