"""Joint fits of mixed observables to records that PyBaMM has made, cycle by cycle."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import cellmodels as cm
from cellmodels.errors import InputError
from cellmodels.fitting.matching import observe_with_protocol
from cellmodels.fitting.residuals import observe
from tests.reference import charge_of, energy_of, pybamm_cycles, series

DAY = 86400.0
D_SEI = "SEI solvent diffusivity [m2.s-1]"
LAM = "Positive electrode LAM constant proportional term [s-1]"
HEAT = "Total heat transfer coefficient [W.m-2.K-1]"
LLI = "loss_of_lithium_inventory"
LOST = "loss_of_active_material_positive"
KELVIN = "Volume-averaged cell temperature [K]"
CYCLE = (
    "Discharge at 1C until 2.5 V",
    "Charge at C/2 until 4.2 V",
    "Hold at 4.2 V until C/20",
    "Rest for 10 minutes",
)


def noisy(rng, values, std: float, unit: str, dimension: str):
    return dimension, np.array(values) + std * rng.standard_normal(len(values)), {"units": unit}


# --- cycling with a pause ------------------------------------------------------------------------

TRUTH = {D_SEI: 2e-20, LAM: 2.4e-5, HEAT: 15.0}
#: Standard deviations of the noise.
NOISE = {
    "discharge_capacity": 1e-3,
    "coulombic_efficiency": 3e-4,
    "energy_efficiency": 8e-4,
    "cv_charge_capacity": 1e-3,
    "mean_temperature": 0.15,
    LLI: 0.02,
    LOST: 0.02,
}
PAUSED, CYCLES = 4, 8


def cycling_cell() -> cm.Cell:
    mechanisms = [cm.SEI(), cm.LossOfActiveMaterial(), cm.LumpedThermal()]
    return cm.Cell("lithium_ion", "nmc_graphite_siox", "SPM", mechanisms)


@pytest.fixture(scope="module")
def cycled():
    """A life of eight cycles with a rest of sixty days in the middle."""
    pause = ("Rest for 1440 hours (1 hour period)",)
    cycles = pybamm_cycles(
        cycling_cell().with_parameters(TRUTH),
        [*[CYCLE] * PAUSED, pause, *[CYCLE] * (CYCLES - PAUSED)],
        period="5 seconds",
    )
    return [cycle for k, cycle in enumerate(cycles) if k != PAUSED], cycles


@pytest.fixture(scope="module")
def cycled_record(cycled):
    cycles, everything = cycled
    rng = np.random.default_rng(0)
    out = np.array([charge_of(cycle.steps[0]) for cycle in cycles])
    into = np.array([-charge_of(cycle.steps[1]) - charge_of(cycle.steps[2]) for cycle in cycles])
    energy = [energy_of(cycle.steps[0]) for cycle in cycles]
    charged = [-energy_of(cycle.steps[1]) - energy_of(cycle.steps[2]) for cycle in cycles]
    time = np.array([cycle.steps[-1].t[-1] for cycle in cycles])
    kelvin = [
        sum(np.trapezoid(series(step, KELVIN), step.t) for step in cycle.steps)
        / (cycle.steps[-1].t[-1] - cycle.steps[0].t[0])
        for cycle in cycles
    ]
    values = {
        "discharge_capacity": (out, "A.h"),
        "coulombic_efficiency": (out / into, "-"),
        "energy_efficiency": (np.array(energy) / np.array(charged), "-"),
        "cv_charge_capacity": ([-charge_of(cycle.steps[2]) for cycle in cycles], "A.h"),
        "mean_temperature": (kelvin, "K"),
    }
    group = {
        name: noisy(rng, data, NOISE[name], unit, "point") for name, (data, unit) in values.items()
    }
    states = {
        LLI: "Loss of lithium inventory [%]",
        LOST: "Loss of active material in positive electrode [%]",
    }
    before = [series(cycles[PAUSED].steps[0], name)[0] for name in states.values()]
    at_end = [
        [series(c.steps[-1], name)[-1] for c in (cycles[1], cycles[-1])] for name in states.values()
    ]
    # a check-up in the life, one right at the end of the pause, and one after the last cycle
    checkups, places = {}, [time[1], everything[PAUSED].steps[-1].t[-1], time[-1]]
    for name, inside, (first, last) in zip(states, before, at_end, strict=True):
        checkups[name] = noisy(rng, [first, inside, last], NOISE[name], "%", "checkup")
        checkups[f"{name}_std"] = ("checkup", np.full(3, NOISE[name]), {"units": "%"})
    return cm.build_record(
        cycles={n: v[1] for n, v in group.items()}
        | {"elapsed_time": time, "throughput": np.cumsum(out), "cycle": np.arange(1, CYCLES + 1)},
        checkups={n: v[1] for n, v in checkups.items()} | {"elapsed_time": np.array(places)},
        synthetic=True,
        flag=False,
    )


PROTOCOL = cm.Protocol(
    CYCLE,
    every={100: cm.Checkup(cm.Test("1C", CYCLE[:1]))},
    pauses={PAUSED: "Rest for 60 days"},
)
EVERYTHING = tuple(NOISE)


@pytest.mark.parametrize("coordinate", ["cycle", "throughput", "elapsed_time"])
def test_a_joint_fit_over_a_pause_finds_the_truth(cycled_record, coordinate: str) -> None:
    fit = cm.fit(
        cycling_cell(),
        cycled_record,
        PROTOCOL,
        list(TRUTH),
        observables=EVERYTHING,
        coordinate={"cycles": coordinate, "checkups": "elapsed_time"},
        start={D_SEI: 6e-21, LAM: 8e-6, HEAT: 25.0},
        noise=NOISE,
        progress=False,
    )
    assert fit.converged, fit
    parameters = fit.parameters
    for k, (name, true) in enumerate(TRUTH.items()):
        assert bool(parameters["identifiable"][k])
        error = float(parameters["scaled_standard_error"][k])
        assert error < 0.2
        assert abs(np.log(float(parameters["value"][k]) / true)) < 3.5 * error, name
    normalised = fit.tree["points"]["normalised_residual"].values
    assert 0.6 < np.sqrt(np.mean(normalised**2)) < 1.4


def test_throughput_cannot_tell_before_and_after_a_rest(cycled_record) -> None:
    """The pause passes no charge; over time the check-up after it is placed behind it."""
    observations, _ = observe_with_protocol(
        cycled_record, cycling_cell(), PROTOCOL, [LLI], coordinate="elapsed_time"
    )
    simulator = cm.Simulator(cycling_cell().with_parameters(TRUTH), PROTOCOL)
    lost = simulator.predict(np.empty(0), observations.points, jacobian=False).values
    assert lost[1] - lost[0] > 5.0 * (lost[2] - lost[1]) > 0.0


# --- storage -------------------------------------------------------------------------------------

MONTHS = (0, 3, 6, 12)
CHECK_UP = ("Charge at C/2 until 4.2 V", "Hold at 4.2 V until C/20", "Discharge at 1C until 2.5 V")
STORED = {
    "rest": ("Rest for 30 days", "Rest for {} hours (6 hours period)"),
    "float": ("Hold at 4.0 V for 30 days", "Hold at 4.0 V for {} hours (6 hours period)"),
}


def storage_cell(value: float | None = None) -> cm.Cell:
    cell = cm.Cell("lithium_ion", "nmc_graphite_siox", "SPM", [cm.SEI()], initial_soc=0.9)
    return cell if value is None else cell.with_parameters({D_SEI: value})


def stored(kind: str, months: int) -> float:
    """Capacity after some months, by PyBaMM: check-ups do not disturb, so each has its own life."""
    before = [STORED[kind][1].format(720 * months)] if months else []
    steps = pybamm_cycles(storage_cell(TRUTH[D_SEI]), [[*before, *CHECK_UP]])[0].steps
    return charge_of(steps[-1])


@pytest.mark.parametrize("kind", list(STORED))
def test_a_stored_cell_is_fitted_over_time(kind: str) -> None:
    capacities = np.array([stored(kind, months) for months in MONTHS])
    protocol = cm.Protocol(STORED[kind][0], every={3: cm.Checkup(cm.Test("1C", CHECK_UP))})
    record = cm.build_record(
        checkups={
            "elapsed_time": np.array(MONTHS) * 30 * DAY,
            "throughput": np.zeros(len(MONTHS)),  # places nothing
            "capacity_1C": capacities,
            "capacity_1C_std": np.full(len(MONTHS), 1e-3),
        },
        synthetic=True,
        flag=False,
    )
    simulator = cm.Simulator(storage_cell(TRUTH[D_SEI]), protocol)
    observations, _ = observe_with_protocol(record, storage_cell(), protocol)
    assert observations.variables[0].coordinate == "elapsed_time"
    mine = simulator.predict(np.empty(0), observations.points, jacobian=False).values
    assert np.allclose(mine, capacities, rtol=0.0, atol=1e-5)
    fit = cm.fit(storage_cell(), record, protocol, [D_SEI], start={D_SEI: 5e-21}, progress=False)
    assert fit.converged
    assert fit.values[D_SEI] == pytest.approx(TRUTH[D_SEI], rel=1e-3)


def test_a_long_storage_is_simulated_cycle_by_cycle() -> None:
    """The integration over cycle number measures its error by charge: here there is none."""
    simulator = cm.Simulator(storage_cell(), cm.Protocol("Rest for 30 days"))
    assert simulator.simulate(40).attrs["simulated_cycles"] == 40


# --- what fits and what does not -----------------------------------------------------------------


def small_record(**more) -> xr.DataTree:
    cycles = {"cycle": [1, 2], "discharge_capacity": [5.0, 4.9], **more}
    return cm.build_record(cycles=cycles, flag=False)


@pytest.mark.parametrize(
    ("more", "asked", "words"),
    [
        ({}, "temperature", "has no variable 'temperature'. Choose from: discharge_capacity"),
        ({"mean_temperature": [300.0, 301.0]}, "temperature", "Did you mean 'mean_temperature'?"),
        ({"mean_temperature": [300.0, 301.0]}, "mean_temperature", "The cell is isothermal"),
        ({"rest_voltage_after_charge": [4.1, 4.1]}, "rest_voltage_after_charge", "no rest follows"),
        ({"gap": [0.0, 1.0]}, "gap", "A simulated cycle does not give 'gap'. It gives"),
        ({"swelling [mm]": [0.1, 0.2]}, "swelling", "no quantity whose unit the schema knows"),
    ],
)
def test_what_cannot_be_fitted_says_what_could(more, asked: str, words: str) -> None:
    cell, protocol = storage_cell(), cm.Protocol(CYCLE[:3])
    with pytest.raises(InputError) as caught:
        observe_with_protocol(small_record(**more), cell, protocol, [asked])
    assert words in str(caught.value)


def test_a_variable_in_another_unit_is_refused() -> None:
    record = small_record()
    record["cycles"]["discharge_capacity"].attrs["units"] = "mA.h"
    with pytest.raises(InputError, match="is in 'mA.h', not in 'A.h'"):
        observe_with_protocol(record, storage_cell(), PROTOCOL, ["discharge_capacity"])


def test_what_was_not_asked_for_is_told() -> None:
    record = small_record(coulombic_efficiency=[0.99, 0.99], **{"swelling [mm]": [0.1, 0.2]})
    observations, remarks = observe_with_protocol(record, storage_cell(), PROTOCOL)
    assert [variable.name for variable in observations.variables] == ["discharge_capacity"]
    assert "cycles/coulombic_efficiency" in remarks[0] and "cycles/swelling (it is no" in remarks[0]
    assert set(observations.left_out) == {"cycles/coulombic_efficiency", "cycles/swelling"}
    # who asks knows
    assert not observe_with_protocol(record, storage_cell(), PROTOCOL, ["discharge_capacity"])[1]


def test_degradation_modes_are_fitted_where_the_record_knows_how_well_it_knows_them() -> None:
    checkups = {"cycle": [0, 10], "capacity_1C": [5.0, 4.9], LLI: [0.0, 1.0], LOST: [0.0, 0.5]}
    record = cm.build_record(checkups=checkups | {f"{LLI}_std": [0.1, 0.1]}, flag=False)
    observations, _ = observe_with_protocol(record, cycling_cell(), PROTOCOL)
    assert [variable.name for variable in observations.variables] == ["capacity_1C", LLI]
    assert f"checkups/{LOST}" in observations.left_out


def test_states_that_the_model_has_not_are_refused() -> None:
    record = cm.build_record(checkups={"cycle": [0], "hydrogen": [0.1]}, flag=False)
    with pytest.raises(
        InputError, match="check-ups do not measure 'hydrogen'. Choose from: capacity_1C"
    ):
        observe_with_protocol(record, cycling_cell(), PROTOCOL, ["hydrogen"])


def test_curves_over_time_are_matched_by_time() -> None:
    relax = cm.Test(
        "relax", ("Discharge at 1C for 10 s", "Rest for 1 h"), "voltage", (), [1, 60, 600]
    )
    protocol = cm.Protocol(CYCLE, every={10: cm.Checkup(relax)})
    curve = {"cycle": [0, 10], "voltage_relax": [[4.0, 4.1], [3.9, 4.0]]}
    record = cm.build_record(checkups=curve | {"time_relax [min]": [1.0, 10.0]}, flag=False)
    observations, _ = observe_with_protocol(record, cycling_cell(), protocol)
    assert [points.column for points in observations.points] == [1, 2]
    assert observations.time.tolist() == [60.0, 60.0, 600.0, 600.0]
    assert np.all(np.isnan(observations.charge))
    record = cm.build_record(checkups=curve | {"time_relax": [60.0, 700.0]}, flag=False)
    with pytest.raises(InputError, match=r"at 700 s.*only at 1, 60, 600 s.*\(times_at\)"):
        observe_with_protocol(record, cycling_cell(), protocol)
    record = cm.build_record(checkups=curve | {"charge_relax": [1.0, 2.0]}, flag=False)
    with pytest.raises(InputError, match="over charge, the protocol's test over time"):
        observe_with_protocol(record, cycling_cell(), protocol)


# --- noise ---------------------------------------------------------------------------------------

KINDS = {
    "cycles/discharge_capacity": (4.9, "A.h", 2e-3),
    "cycles/discharge_energy": (18.0, "W.h", 1e-2),
    "cycles/coulombic_efficiency": (0.9995, "-", 4e-4),
    "cycles/energy_efficiency": (0.92, "-", 1e-3),
    "cycles/mean_charge_voltage": (3.8, "V", 2e-3),
    "cycles/cv_charge_time": (2000.0, "s", 12.0),
    "cycles/max_temperature": (305.0, "K", 0.4),
    "checkups/resistance_10s": (0.02, "ohm", 2e-4),
    f"checkups/{LLI}": (4.0, "%", 0.3),
    "checkups/ph_negative": (3.0, "-", 0.1),
    "checkups/hydrogen": (0.5, "mol.m-2", 0.01),
}


def noise_record(rows: int, times: float) -> xr.DataTree:
    rng = np.random.default_rng(3)
    groups: dict[str, dict] = {"cycles": {}, "checkups": {}}
    for key, (value, _, std) in KINDS.items():
        group, name = key.split("/")
        trend = 0.05 * std * np.arange(rows)
        groups[group][name] = value + trend + times * std * rng.standard_normal(rows)
    place = {"cycle": np.arange(1, rows + 1)}
    return cm.build_record(*({**place, **groups[g]} for g in ("cycles", "checkups")), flag=False)


def first_of_each(observations) -> dict[str, float]:
    """Standard deviation of the first point of every variable."""
    return {
        variable.key: float(observations.std[observations.owner == k][0])
        for k, variable in enumerate(observations.variables)
    }


def test_the_noise_of_every_kind_is_seen_in_its_scatter() -> None:
    observations = observe(noise_record(300, 1.0), list(KINDS))
    for k, variable in enumerate(observations.variables):
        _, unit, std = KINDS[variable.key]
        assert (variable.noise, variable.unit) == ("estimated", unit)
        assert observations.std[observations.owner == k][0] == pytest.approx(std, rel=0.25)
    # weighted by it, all kinds count alike
    slopes = np.concatenate([np.full(300, std) for _, _, std in KINDS.values()])
    shares = np.bincount(observations.owner, (slopes / observations.std) ** 2)
    assert np.allclose(shares, 300.0, rtol=0.5)


def test_a_series_without_scatter_is_believed_as_far_as_its_instrument() -> None:
    observations = observe(noise_record(300, 0.0), list(KINDS))
    floors = first_of_each(observations)
    assert floors["cycles/discharge_capacity"] == pytest.approx(4.9e-4, rel=0.01)
    assert floors["cycles/discharge_energy"] == pytest.approx(3.6e-3, rel=0.01)
    # what counts of an efficiency is the loss, whatever the efficiency
    assert floors["cycles/coulombic_efficiency"] == 2e-4
    assert floors["cycles/energy_efficiency"] == 5e-4
    assert floors["cycles/mean_charge_voltage"] == 2e-4
    assert floors["cycles/cv_charge_time"] == pytest.approx(2.1, rel=0.01)
    assert floors["cycles/max_temperature"] == 0.1
    assert floors["checkups/resistance_10s"] == pytest.approx(2e-5, rel=0.1)
    assert floors[f"checkups/{LLI}"] == 0.1
    assert floors["checkups/ph_negative"] == 0.02


def test_few_points_get_the_noise_that_their_kind_has_usually() -> None:
    observations = observe(noise_record(3, 1.0), list(KINDS))
    assert {variable.noise for variable in observations.variables} == {"assumed"}
    assumed = first_of_each(observations)
    assert assumed["cycles/discharge_capacity"] == pytest.approx(0.005 * 4.9, rel=0.01)
    assert assumed["cycles/coulombic_efficiency"] == 1e-3
    assert assumed["cycles/max_temperature"] == 0.5
    assert assumed["checkups/resistance_10s"] == pytest.approx(4e-4, rel=0.1)
    assert assumed[f"checkups/{LLI}"] == 1.0
    assert assumed["checkups/hydrogen"] == pytest.approx(0.025, rel=0.1)
