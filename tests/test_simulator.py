"""The simulator: what is simulated, predicted and refused."""

import numpy as np
import pytest

from cellmodels.cell import Cell
from cellmodels.errors import InputError
from cellmodels.observations import Points, PointSet
from cellmodels.protocol import Checkup, Protocol
from cellmodels.record import check_record
from cellmodels.simulator import Simulator, SolverOptions, simulate
from cellmodels.solver.mesh import MeshOptions

CYCLE = ["Discharge at 1C until 2.5 V", "Charge at C/2 until 4.2 V", "Hold at 4.2 V until C/50"]
FREE = (
    "SEI solvent diffusivity [m2.s-1]",
    "Positive electrode LAM constant proportional term [s-1]",
)
CYCLES = 24


def fast_ageing() -> Cell:
    cell = Cell("lithium_ion", "nmc_graphite_siox", "SPM", ["SEI", "loss of active material"])
    return cell.with_parameters({FREE[0]: 2e-21, FREE[1]: 6e-6})


@pytest.fixture(scope="module")
def simulator() -> Simulator:
    return Simulator(fast_ageing(), Protocol(CYCLE, every={12: Checkup.default()}), FREE)


@pytest.fixture(scope="module")
def life(simulator):
    return simulator.simulate(CYCLES)


def test_the_charge_of_a_single_step_is_an_observable(simulator, life) -> None:
    at = np.array([2.0, 11.0])
    names = [f"charge_of_step_{k}" for k in (1, 2, 3)]
    points = Points(tuple(PointSet("cycles", name, "cycle", at) for name in names))
    found = simulator.predict(simulator.nominal, points)
    of_step = dict(zip(names, found.values.reshape(3, 2), strict=True))
    cycles = life["cycles"].to_dataset().isel(point=[1, 10])
    for name, same in zip(
        names, ("discharge_capacity", "cc_charge_capacity", "cv_charge_capacity"), strict=True
    ):
        assert np.allclose(of_step[name], cycles[same].values, rtol=1e-6), name
    step = 1e-2 * simulator.nominal[0] * np.array([1.0, 0.0])
    up, down = (
        simulator.predict(simulator.nominal + s * step, points, jacobian=False, state=found.state)
        for s in (1.0, -1.0)
    )
    difference = (up.values - down.values) / (2 * step[0])
    size = np.abs(found.jacobian[:, 0]).max()
    assert np.allclose(found.jacobian[:, 0], difference, rtol=0, atol=5e-3 * size)
    beyond = Points((PointSet("cycles", "charge_of_step_4", "cycle", at),))
    with pytest.raises(InputError, match="gives no 'charge_of_step_4'"):
        simulator.predict(simulator.nominal, beyond)


def asked(coordinate: str, cycles: np.ndarray, checkups: np.ndarray) -> Points:
    return Points(
        (
            PointSet("cycles", "discharge_capacity", coordinate, cycles),
            PointSet("cycles", "energy_efficiency", coordinate, cycles),
            PointSet("checkups", "capacity_C20", coordinate, checkups),
            PointSet("checkups", "resistance_10s", coordinate, checkups),
            PointSet("checkups", "voltage_C20", coordinate, checkups, column=8),
        )
    )


def test_a_simulated_life_is_a_record(life) -> None:
    check_record(life)
    assert life.attrs["outcome"] == "completed" and life.attrs["synthetic"] == 1
    cycles = life["cycles"]
    assert cycles["cycle"].values.tolist() == list(range(1, CYCLES + 1))
    assert np.allclose(np.cumsum(cycles["discharge_capacity"]), cycles["throughput"], rtol=1e-5)
    assert np.all(np.diff(cycles["discharge_capacity"].values[2:]) < 0)
    total = cycles["cc_charge_capacity"] + cycles["cv_charge_capacity"]
    assert np.allclose(total, cycles["charge_capacity"], rtol=1e-9)
    checkups = life["checkups"]
    assert checkups["cycle"].values.tolist() == [0, 12, 24]
    assert np.all(checkups["capacity_C20"].values > checkups["capacity_1C"].values)
    assert np.all(np.diff(checkups["resistance_10s"].values) > 0)
    assert np.all(np.diff(checkups["voltage_C20"].values, axis=1) < 0)


def test_prediction_is_what_is_simulated(simulator, life) -> None:
    n, k = np.arange(1.0, CYCLES + 1), np.array([0.0, 12.0, 24.0])
    found = simulator.predict(simulator.nominal, asked("cycle", n, k), jacobian=False)
    assert found.outcome.ok and found.jacobian is None
    checkups = life["checkups"]
    expected = np.concatenate(
        [
            life["cycles"]["discharge_capacity"].values,
            life["cycles"]["energy_efficiency"].values,
            checkups["capacity_C20"].values,
            checkups["resistance_10s"].values,
            checkups["voltage_C20"].values[:, 8],
        ]
    )
    assert np.allclose(found.values, expected, rtol=1e-6)


@pytest.mark.parametrize("coordinate", ["cycle", "throughput", "elapsed_time"])
def test_derivatives_agree_with_central_differences(simulator, life, coordinate: str) -> None:
    places = life["cycles"][coordinate].values[[3, 13, 20]].astype(float)
    # between whole cycles too, where the coordinate allows it
    where = places if coordinate == "cycle" else places + 0.3 * np.diff(places[:2]) / 10
    points = asked(coordinate, where, where[1:])
    base = simulator.predict(simulator.nominal, points)
    assert base.outcome.ok
    for k in range(2):
        step = 1e-2 * simulator.nominal[k] * np.eye(2)[k]
        up, down = (
            simulator.predict(
                simulator.nominal + s * step, points, jacobian=False, state=base.state
            )
            for s in (1.0, -1.0)
        )
        difference = (up.values - down.values) / (2.0 * step[k])
        for part in points.slices():
            size = np.abs(base.jacobian[part, k]).max()
            assert np.allclose(base.jacobian[part, k], difference[part], rtol=0, atol=5e-3 * size)


def test_a_life_that_ends_too_early_is_an_outcome() -> None:
    cell = fast_ageing().with_parameters({FREE[1]: 2.7e-1})
    simulator = Simulator(cell, Protocol(CYCLE), FREE)
    points = Points((PointSet("cycles", "discharge_capacity", "cycle", np.array([500.0])),))
    found = simulator.predict(simulator.nominal, points)
    assert not found.outcome.ok and found.values is None
    assert found.outcome.reason and found.outcome.message


def test_a_pause_and_a_disturbing_checkup_take_time_and_age_the_cell() -> None:
    cell = fast_ageing()
    plain = simulate(cell, Protocol(CYCLE), 12, method="direct")
    paused = simulate(
        cell,
        Protocol(CYCLE, every={6: Checkup.default(disturbs=True)}, pauses={6: "Rest for 60 days"}),
        12,
        method="direct",
    )
    late = paused["cycles"]["elapsed_time"].values - plain["cycles"]["elapsed_time"].values
    assert np.all(np.diff(late[:5]) == pytest.approx(0.0, abs=60.0))
    assert late[6] - late[5] > 60 * 86400.0
    loss = (plain["cycles"]["discharge_capacity"] - paused["cycles"]["discharge_capacity"]).values
    assert loss[-1] > 5e-4
    # the check-up after six cycles is measured before the pause
    assert paused["checkups"]["cycle"].values.tolist() == [0, 6, 12]


def test_calendar_life_without_cycling() -> None:
    cell = Cell("lithium_ion", "nmc_graphite_siox", "SPM", ["SEI"], initial_soc=0.9)
    discharge = (
        "Charge at C/2 until 4.2 V",
        "Hold at 4.2 V until C/50",
        "Discharge at 1C until 2.5 V",
    )
    checkup = Checkup.default(charge=discharge[:2], lower_voltage=2.5)
    life = simulate(cell, Protocol(["Rest for 30 days"], every={6: checkup}), 12)
    capacity = life["checkups"]["capacity_1C"].values
    assert np.all(np.diff(capacity) < 0)
    # solvent diffusion through the film: a square root of time, so the loss slows down
    assert capacity[0] - capacity[1] > capacity[1] - capacity[2]
    assert np.all(np.isnan(life["cycles"]["coulombic_efficiency"].values))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"free": ["SEI solvent difusivity [m2.s-1]"]}, "SEI solvent diffusivity"),
        ({"free": [FREE[0], FREE[0]]}, "twice"),
        ({"free": ["Nominal cell capacity [A.h]"]}, "cannot be free"),
        ({"options": {"method": "makro"}}, "macro"),
        ({"options": {"tolerance": -1.0}}, "positive"),
    ],
)
def test_bad_arguments_are_refused_before_solving(change: dict, message: str) -> None:
    cell, protocol = fast_ageing(), Protocol(CYCLE)
    with pytest.raises(InputError, match=message):
        Simulator(cell, protocol, change.get("free", ()), _options(change.get("options")))


def _options(settings: dict | None) -> SolverOptions | None:
    return None if settings is None else SolverOptions(**settings)


def test_bad_points_and_cycles_are_refused(simulator) -> None:
    points = Points((PointSet("checkups", "capacity_C10", "cycle", np.array([0.0])),))
    with pytest.raises(InputError, match="capacity_C20"):
        simulator.predict(simulator.nominal, points)
    for cycles in (0, -3, 2.5):
        with pytest.raises(InputError, match="whole number"):
            simulator.simulate(cycles)
    with pytest.raises(InputError, match="free parameter"):
        simulator.simulate(2, values={"Contact resistance [Ohm]": 1.0})


def test_a_point_that_no_life_reaches_is_an_outcome() -> None:
    """A resting cell passes no charge, however long the life."""
    simulator = Simulator(fast_ageing(), Protocol(["Rest for 30 days"]), FREE)
    points = Points((PointSet("cycles", "discharge_capacity", "throughput", np.array([20.0])),))
    found = simulator.predict(simulator.nominal, points)
    assert not found.outcome.ok and found.outcome.reason == "end condition not reached"


def relative(life, other, group: str, name: str) -> float:
    """Largest difference of a variable of two lives."""
    one, two = life[group][name].values, other[group][name].values
    return float(np.nanmax(np.abs(one / two - 1.0)))


def with_mesh(*, disturbs: bool = False, **mesh) -> Simulator:
    protocol = Protocol(CYCLE, every={2: Checkup.default(disturbs=disturbs)})
    return Simulator(fast_ageing(), protocol, FREE, SolverOptions(mesh=MeshOptions(**mesh)))


def test_cycles_simulated_one_by_one_have_finer_meshes() -> None:
    # check-ups that disturb are part of the life
    exact = with_mesh(disturbs=True, rtol=1e-5, atol=3e-7, energy=1e-6).simulate(5)
    default = with_mesh(disturbs=True).simulate(5)
    ten_times = with_mesh(disturbs=True, rtol=1e-2, atol=3e-4, energy=1e-3).simulate(5)
    # charges are set by the cut-offs: exact to Newton's tolerance
    assert relative(default, exact, "cycles", "charge_capacity") < 1e-9
    for name in ("discharge_energy", "charge_energy"):
        errors = [relative(life, exact, "cycles", name) for life in (default, ten_times)]
        assert errors[0] < 2e-5
        assert errors[0] < 0.3 * errors[1]


def test_checkups_are_a_little_looser_than_cycles() -> None:
    loose, exact = with_mesh().simulate(2), with_mesh(share=1.0).simulate(2)
    assert relative(loose, exact, "checkups", "capacity_C20") < 1e-6
    found = relative(loose, exact, "checkups", "voltage_C20")
    assert 0.0 < found < 3e-5
