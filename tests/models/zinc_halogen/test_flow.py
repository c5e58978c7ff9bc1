"""Flow cells: balances, limits, the settled phase, pumps, and the same life in PyBaMM."""

from __future__ import annotations

import functools

import numpy as np
import pybamm
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cellmodels as cm
from cellmodels.errors import InputError
from cellmodels.models.zinc_halogen.flow import CELLS
from cellmodels.observations import Points, PointSet
from cellmodels.simulator import SolverOptions
from cellmodels.solver.outcome import Reason, SolveFailure

from .conftest import CHEMISTRIES, FAST, FLOW_SETS, cell_of, drift, marcher, mechanisms_of, solve
from .test_balances import TOLERANCE, assert_conserved, charged_and_stripped, one_step

FARADAY = 96485.33212331001
#: Well-mixed, well-mixed that stops, plug flow, plug flow that stops.
FLOWS = [cm.Flow(cell, stops) for cell in CELLS for stops in (False, True)]
TANKS = {side: f"{side} tank volume per area [m]" for side in ("Negative", "Positive")}
RATES = {side: f"{side} flow rate per area [m.s-1]" for side in TANKS}
VALVE = "Complexed phase return fraction on {}"
#: Halogen of a chemistry.
HALOGENS = {"zinc_bromine": "bromine", "zinc_iodine": "iodine"}


def flow_cell(name: str, *mechanisms, changes: dict[str, float] | None = None) -> cm.Cell:
    """A cell of a chemistry's set with tanks; changes that it does not know are left out."""
    return cell_of(name, mechanisms, tuple((changes or {}).items()), FLOW_SETS[name])


@functools.cache
def fast_flow(name: str, flow: cm.Flow) -> cm.Cell:
    """A flow cell that does everything, fast."""
    return flow_cell(name, *mechanisms_of(name), flow, changes=FAST)


def last(solution: pybamm.Solution, name: str, step: int = -1) -> float:
    """A variable at the end of a step."""
    return float(solution.cycles[0].steps[step][name].entries[-1])


# --- what is conserved ----------------------------------------------------------------------------


def test_tanks_hold_what_compartments_hold():
    balances = fast_flow("zinc_bromine", cm.Flow()).pybamm_model().balances
    for total in (name for name in balances if not name.endswith("charge [mol.m-2]")):
        held = balances[total]
        for side in TANKS:
            in_cell = {s: f for s, f in held.items() if s.startswith(f"{side} compartment")}
            in_tank = {s.replace("compartment", "tank"): f for s, f in in_cell.items()}
            assert in_cell and in_tank.items() <= held.items(), total
    charged = {name for name in balances if name.endswith("charge [mol.m-2]")}
    assert charged == {f"{s} {k} charge [mol.m-2]" for s in TANKS for k in ("compartment", "tank")}
    for side in TANKS:
        of_cell = balances[f"{side} compartment charge [mol.m-2]"]
        of_tank = {name.replace("compartment", "tank"): z for name, z in of_cell.items()}
        assert dict(balances[f"{side} tank charge [mol.m-2]"]) == of_tank


@pytest.mark.parametrize("name", CHEMISTRIES)
class TestConservation:
    """Of everything, with every mechanism on."""

    @settings(max_examples=10)
    @given(data=st.data())
    def test_in_our_solver(self, name, data):
        cell = fast_flow(name, data.draw(st.sampled_from(FLOWS[1:3])))
        steps = data.draw(st.lists(one_step(*cell.voltage_limits), min_size=1, max_size=5))
        for count in range(len(steps), 0, -1):
            try:
                march = marcher(cell)(*steps[:count])
            except SolveFailure as failure:
                if failure.reason not in (Reason.MODEL_EVENT, Reason.EXHAUSTED):
                    raise
            else:
                assert np.all(np.isfinite(march.points)) and np.all(np.isfinite(march.voltage))
                assert_conserved(march)
                return

    def test_in_pybamm(self, name):
        cell = fast_flow(name, FLOWS[1] if name == "zinc_bromine" else FLOWS[2])
        steps = charged_and_stripped(cell)
        solution = solve(cell, *steps)
        assert len(solution.cycles[0].steps) == len(steps)
        for key, balance in cell.pybamm_model().balances.items():
            amounts = {state: solution[state].entries for state in balance}
            assert drift(balance, amounts) < TOLERANCE, f"{key} is not conserved"


# --- limits ---------------------------------------------------------------------------------------


def without_valve(name: str) -> dict[str, float]:
    """All that is in the tank returns."""
    return {VALVE.format("charge"): 1.0} if name == "zinc_bromine" else {}


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("name", CHEMISTRIES)
def test_infinite_flow_is_a_cell_with_all_its_electrolyte(name, kind):
    """Carbon that adsorbs halogen is in the cell alone, and its halogen does not flow."""
    steps = ("Charge at 0.5C for 1 hour", "Rest for 2 hours", "Discharge at 0.5C until 0.6 V")
    free = dict.fromkeys((f"{side} hydraulic resistance [Pa.s.m-1]" for side in TANKS), 0.0)
    carbon = {f"Positive electrode {HALOGENS[name]} adsorption capacity [mol.m-3]": 500.0}
    fast = {**dict.fromkeys(RATES.values(), 1e3), **free, **without_valve(name), **carbon}
    pumped = flow_cell(name, cm.Flow(kind), changes=fast)
    heights = (
        "Negative compartment electrolyte height [m]",
        "Positive reservoir electrolyte height [m]",
    )
    volumes = zip(heights, TANKS.values(), strict=True)
    larger = {h: pumped.value(h) + pumped.value(tank) for h, tank in volumes}
    still = flow_cell(name, changes={**larger, **carbon})
    ours, theirs = solve(pumped, *steps), solve(still, *steps)
    ends = [s["Time [s]"].entries[-1] for s in ours.cycles[0].steps]
    assert ends == pytest.approx(
        [s["Time [s]"].entries[-1] for s in theirs.cycles[0].steps], rel=1e-6
    )
    # not in the last minute of a discharge, where the voltage falls between stored points
    spans = zip([0, *ends], ends, strict=False)
    times = np.concatenate([np.linspace(a + 1, b - 60, 20) for a, b in spans])
    for variable in ("Voltage [V]", "Zinc state of charge"):
        np.testing.assert_allclose(ours[variable](times), theirs[variable](times), atol=2e-6)
    aqueous = f"Positive aqueous {HALOGENS[name]} concentration [mol.m-3]"
    if not without_valve(name):  # an agent that settles holds its halide
        np.testing.assert_allclose(ours[aqueous](times), theirs[aqueous](times), rtol=1e-4)


@pytest.mark.parametrize("name", CHEMISTRIES)
def test_no_flow_is_a_cell_without_tanks(name):
    steps = ("Charge at 0.1C for 1 hour", "Rest for 2 hours", "Discharge at 0.1C until 0.6 V")
    ours = solve(flow_cell(name, cm.Flow(), changes=dict.fromkeys(RATES.values(), 0.0)), *steps)
    theirs = solve(flow_cell(name), *steps)
    for step, other in zip(ours.cycles[0].steps, theirs.cycles[0].steps, strict=True):
        assert step["Time [s]"].entries[-1] == pytest.approx(
            other["Time [s]"].entries[-1], rel=1e-7
        )
        assert last(ours, "Voltage [V]", 1) == pytest.approx(
            last(theirs, "Voltage [V]", 1), abs=1e-7
        )
    tank = ours[f"Positive tank {HALOGENS[name]} [mol.m-2]"].entries
    assert np.ptp(tank) == 0.0
    assert np.all(ours["Pump power [W.m-2]"].entries == 0.0)


def no_crossover(name: str) -> dict[str, float]:
    """A membrane that only cations pass."""
    kinds = ("anion", "neutral", "polyhalide")
    return dict.fromkeys((f"Separator {kind} partition coefficient" for kind in kinds), 0.0)


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("name", CHEMISTRIES)
def test_a_pass_takes_up_what_the_current_makes(name, kind):
    """Outlet less inlet is i/2FQ, but for what the compartment's own electrolyte keeps.

    All halogen follows dn/dt = i/2F, and cell and tank rise together: the share V/(V + h) of it
    goes to the tank. A well-mixed cell differs from its tank by all of that, one in plug flow by
    half.
    """
    cell = flow_cell(name, cm.Flow(kind), changes={**no_crossover(name), **without_valve(name)})
    halogen = HALOGENS[name]
    solution = solve(cell, "Charge at 0.2C for 2 hours")
    i = 0.2 * cell.nominal_capacity / cell.electrode_area
    flow, volume = cell.value(RATES["Positive"]), cell.value(TANKS["Positive"])
    height = last(solution, "Positive compartment electrolyte height [m]")
    made = i / (2 * FARADAY * flow) * volume / (volume + height)
    c = {
        place: last(solution, f"Positive {place} {halogen} concentration [mol.m-3]")
        for place in ("compartment inlet", "compartment outlet", "compartment", "tank")
    }
    assert c["compartment outlet"] - c["compartment inlet"] == pytest.approx(made, rel=1e-5)
    assert c["compartment inlet"] == pytest.approx(c["tank"], rel=1e-12)
    share = {"well-mixed": 1.0, "plug-flow": 0.5}[kind]
    assert c["compartment"] - c["tank"] == pytest.approx(share * made, rel=1e-5)


@pytest.mark.parametrize("name", CHEMISTRIES)
def test_plug_flow_never_takes_out_more_halogen_than_flows_in(name):
    """A discharge ends where the current is what all halogen that flows in gives."""
    foil = {
        "Initial zinc areal amount [mol.m-2]": 5.0,
        "Positive electrode mass-transfer coefficient [m.s-1]": 1e-2,
    }
    cell = flow_cell(name, cm.Flow("plug-flow"), changes=foil)
    solution = solve(cell, "Charge at 0.2C for 2 hours", "Discharge at 0.4C until 0.3 V")
    inlet, outlet, mean = (
        solution[f"Positive compartment {word}{HALOGENS[name]} concentration [mol.m-3]"].entries
        for word in ("inlet ", "outlet ", "")
    )
    assert 2 * mean[-1] - inlet[-1] < -1.0  # what the linear profile would leave
    assert 0 < outlet[-1] < 0.15 * inlet[-1] and outlet.min() > 0.0
    given = 2 * FARADAY * cell.value(RATES["Positive"]) * (inlet[-1] - outlet[-1])
    current = 0.4 * cell.nominal_capacity / cell.electrode_area
    kept = last(solution, "Positive compartment electrolyte height [m]")
    # the compartment's own electrolyte gives the rest, as it is emptied with the tank
    assert 1 - 1.5 * kept / cell.value(TANKS["Positive"]) < given / current < 1.02


def test_plug_flow_of_a_cell_that_holds_no_halogen():
    """A solver's error below zero is not amplified."""
    march = marcher(flow_cell("zinc_iodine", cm.Flow("plug-flow")))(
        "Hold at 0.001 V for 5000 seconds"
    )
    for place in ("compartment", "tank"):
        amount = march[f"Positive {place} iodine [mol.m-2]"]
        assert amount[-1] == pytest.approx(0.0, abs=1e-6)
        assert np.all(np.abs(amount) <= amount[0] * 1.01 + 1e-6)


def test_an_ion_that_is_used_up_at_the_outlet_ends_the_model():
    slow = {RATES["Negative"]: 1e-7}
    cell = flow_cell("zinc_bromine", cm.Flow("plug-flow"), changes=slow)
    with pytest.raises(SolveFailure, match="Zinc ion exhausted at the outlet"):
        marcher(cell)("Charge at 0.2C for 6 hours")


# --- the settled phase ----------------------------------------------------------------------------

AGENT = "complexing agent concentration [mol.m-3]"
FREE = "free bromine concentration [mol.m-3]"


@pytest.fixture(scope="module")
def rested():
    """A zinc-bromine cell that was charged and has rested with its pumps on.

    Nothing crosses, so that cell and tank come to equilibrium.
    """
    still = {"Complexing agent diffusivity [m2.s-1]": 1e-18}
    cell = flow_cell("zinc_bromine", cm.Flow(), changes={**no_crossover("zinc_bromine"), **still})
    steps = (
        "Charge at 2 A for 3 hours",
        "Rest for 2 hours",
        "Discharge at 2 A for 1 hour",
    )
    return cell, solve(cell, *steps)


def test_the_complexed_phase_stays_in_the_tank_and_the_cell_is_at_equilibrium_with_it(rested):
    _, solution = rested
    settled = last(solution, "Share of the complexing agent that has settled", 1)
    assert 0.5 < settled < 0.9
    free = last(solution, f"Positive tank {FREE}", 1)
    theta = free / (free + 2.0)  # with three places, half full at 2 mol.m-3
    assert settled == pytest.approx(1 - (1 - theta) ** 3, rel=1e-6)
    # on charge too
    agents = [last(solution, f"Positive {place} {AGENT}", 0) for place in ("compartment", "tank")]
    left = 1 - last(solution, "Share of the complexing agent that has settled", 0)
    assert agents[0] == pytest.approx(left * agents[1], rel=0.02)
    # the cell has the agent that has not settled, no less loaded, and as much free bromine
    agents = [last(solution, f"Positive {place} {AGENT}", 1) for place in ("compartment", "tank")]
    assert agents[0] == pytest.approx((1 - settled) * agents[1], rel=1e-6)
    assert last(solution, f"Positive compartment {FREE}", 1) == pytest.approx(free, rel=1e-6)
    dissolved = [
        last(solution, f"Positive {place} aqueous bromine concentration [mol.m-3]", 1)
        for place in ("compartment", "tank")
    ]
    assert dissolved[0] == pytest.approx(dissolved[1], rel=1e-6)
    # the cell's share of the bromine is far below its share of the volume
    held = [
        last(solution, f"Positive {place} bromine concentration [mol.m-3]", 1)
        for place in ("compartment", "tank")
    ]
    assert held[0] < 0.4 * held[1]


def test_the_settled_phase_returns_on_discharge(rested):
    """With the valve open the cell is filled with what is in the tank."""
    _, solution = rested
    agents = [last(solution, f"Positive {place} {AGENT}") for place in ("compartment", "tank")]
    assert agents[0] == pytest.approx(agents[1], rel=0.02)
    assert agents[0] == pytest.approx(800.0, rel=0.02)
    assert last(solution, "Share of the complexing agent that has settled") > 0.3


def test_what_settles_is_neutral(rested):
    cell, solution = rested
    settled = [
        solution[f"Positive tank settled {word} [mol.m-2]"].entries
        for word in ("complexing agent", "bromide", "bromine")
    ]
    np.testing.assert_array_equal(settled[0], settled[1])
    places = cell.value("Complexing agent bromine capacity") * settled[0]
    assert np.all(settled[2] <= places) and settled[2].max() > 0.2 * places.max()


# --- rest, pumps, gauges --------------------------------------------------------------------------


@pytest.mark.parametrize("name", CHEMISTRIES)
def test_a_cell_that_stands_loses_no_more_than_it_holds(name):
    steps = ("Charge at 0.25C for 3 hours", "Rest for 480 hours")
    lost, held = {}, {}
    for stops in (True, False):
        solution = solve(flow_cell(name, cm.Flow(stops_at_rest=stops)), *steps)
        lost[stops] = last(solution, "Zinc areal amount [mol.m-2]", 0) - last(
            solution, "Zinc areal amount [mol.m-2]"
        )
        held[stops] = sum(
            last(solution, f"{side} compartment {HALOGENS[name]} [mol.m-2]", 0) for side in TANKS
        )
        tank = solution.cycles[0].steps[1][f"Positive tank {HALOGENS[name]} [mol.m-2]"].entries
        assert bool(np.ptp(tank) == 0.0) is stops
    assert 0.9 * held[True] < lost[True] < held[True] * (1 + 1e-6)
    assert lost[False] > 2 * held[False]


def test_power_and_energy_of_the_pumps():
    steps = ("Charge at 2 A for 30 minutes", "Rest for 30 minutes")
    for stops in (False, True):
        cell = flow_cell("zinc_bromine", cm.Flow(stops_at_rest=stops))
        solution = solve(cell, *steps)
        hydraulic = sum(
            cell.value(f"{side} hydraulic resistance [Pa.s.m-1]") * cell.value(RATES[side]) ** 2
            for side in TANKS
        )
        power = hydraulic / cell.value("Pump efficiency")
        charging = last(solution, "Pump power [W.m-2]", 0)
        assert charging == pytest.approx(power, rel=2e-4)  # all but open at 200 times the threshold
        assert last(solution, "Pump power [W.m-2]") == pytest.approx(
            0.0 if stops else power, abs=1e-12
        )
        hours = 0.5 if stops else 1.0
        spent = last(solution, "Pump energy [W.h]")
        assert spent == pytest.approx(power * cell.electrode_area * hours, rel=2e-4)
        net = last(solution, "Power [W]", 0) - charging * cell.electrode_area
        assert last(solution, "Net power [W]", 0) == pytest.approx(net)
        assert last(solution, "Hydraulic power [W.m-2]", 0) == pytest.approx(hydraulic, rel=2e-4)
        drop = cell.value("Positive hydraulic resistance [Pa.s.m-1]") * cell.value(
            RATES["Positive"]
        )
        assert last(solution, "Positive pressure drop [Pa]", 0) == pytest.approx(drop, rel=2e-4)


@pytest.mark.parametrize("name", CHEMISTRIES)
def test_gauges_count_the_tanks(name):
    """A charged start has its halogen in cell and tank, and all gauges say so."""
    cell = cm.Cell(name, FLOW_SETS[name], mechanisms=[cm.Flow()], initial_soc=0.5)
    solution = solve(cell, "Rest for 1 second")
    start = {v: float(solution[v].entries[0]) for v in gauges(name)}
    zinc, halogen, utilisation, imbalance, amount, aqueous = start.values()
    most = cell.value("Maximum zinc areal capacity [mol.m-2]")
    assert zinc == pytest.approx(0.5, abs=1e-3) and halogen == pytest.approx(0.5, abs=1e-3)
    assert amount == pytest.approx(halogen * most)
    assert utilisation == pytest.approx(
        2 * amount / (total_halide(cell, solution) + 2 * amount), rel=1e-3
    )
    assert imbalance == 0.0
    places = ("compartment", "tank")
    heights = [last(solution, f"Positive {p} electrolyte height [m]") for p in places]
    of = [f"Positive {p} aqueous {HALOGENS[name]} concentration [mol.m-3]" for p in places]
    mean = sum(h * float(solution[v].entries[0]) for h, v in zip(heights, of, strict=True)) / sum(
        heights
    )
    assert aqueous == pytest.approx(mean)


def gauges(name: str) -> list[str]:
    """Variables that count the tanks."""
    halogen, halide = HALOGENS[name], {"bromine": "Bromide", "iodine": "Iodide"}[HALOGENS[name]]
    return [
        "Zinc state of charge",
        f"{halogen.capitalize()} state of charge",
        f"{halide} utilisation",
        "Inventory imbalance [mol.m-2]",
        f"{halogen.capitalize()} areal amount [mol.m-2]",
        f"Positive aqueous {halogen} concentration [mol.m-3]",
    ]


def total_halide(cell: cm.Cell, solution: pybamm.Solution) -> float:
    halide = {"zinc_bromine": "bromide", "zinc_iodine": "iodide"}[cell.chemistry.name]
    places = (
        f"{side} {kind} {halide} [mol.m-2]" for side in TANKS for kind in ("compartment", "tank")
    )
    return sum(float(solution[place].entries[0]) for place in places)


def test_water_is_lost_from_the_tanks():
    cell = flow_cell("zinc_bromine", cm.Flow(), "water loss", changes=FAST)
    solution = solve(cell, "Rest for 10 hours")
    for side, tank in TANKS.items():
        lost = last(solution, f"{side} compartment water lost [m]")
        height = solution[f"{side} tank electrolyte height [m]"].entries
        assert lost > 1e-6
        assert height[-1] == pytest.approx(cell.value(tank) - lost)
        assert np.ptp(solution[f"{side} compartment electrolyte height [m]"].entries) == 0.0
    events = {event.name for event in cell.pybamm_model().events}
    assert {"Negative tank dry", "Positive tank dry"} <= events


# --- lives ----------------------------------------------------------------------------------------

CYCLE = [
    "Charge at 20 mA/cm2 until 40 mAh/cm2",
    "Rest for 10 minutes",
    "Discharge at 20 mA/cm2 until 0.8 V",
]
PLAIN = ("Charge at {} A for 2 hours", "Rest for 10 minutes", "Discharge at {} A until 0.8 V")
AGEING = ("dead zinc", "hydrogen evolution", "precipitation", "separator fouling")


@pytest.mark.slow
@pytest.mark.parametrize("flow", [FLOWS[1], FLOWS[2]], ids=str)
@pytest.mark.parametrize("name", CHEMISTRIES)
def test_a_life_is_that_of_pybamm_cycle_by_cycle(name, flow):
    cycles = 30
    cell = flow_cell(name, flow, *AGEING, changes={"Dead zinc fraction": 5e-3})
    life = cm.simulate(cell, cm.Protocol(CYCLE), cycles=cycles)
    assert life.attrs["outcome"] == "completed"
    current = 200 * cell.electrode_area
    simulation = pybamm.Simulation(
        cell.pybamm_model(),
        parameter_values=cell.parameter_values(),
        experiment=pybamm.Experiment([tuple(s.format(current) for s in PLAIN)] * cycles),
        solver=pybamm.IDAKLUSolver(rtol=1e-8, atol=1e-10, root_method="lm"),
    )
    solution = simulation.solve()
    theirs = [np.ptp(c.steps[2]["Discharge capacity [A.h]"].entries) for c in solution.cycles]
    ours = life["cycles"]["discharge_capacity"].values
    np.testing.assert_allclose(ours, theirs, atol=1e-4 * ours.max())
    assert np.ptp(ours) > 1e-2 * ours.max()  # it ages


@pytest.mark.parametrize("name", CHEMISTRIES)
def test_gradients_agree_with_central_differences(name):
    names = [
        RATES["Positive"],
        TANKS["Positive"],
        "Separator MacMullin number",
        *([VALVE.format("discharge")] if name == "zinc_bromine" else []),
    ]
    changes = {
        VALVE.format("discharge"): 0.8,
        "Separator MacMullin number": 5.0,
    }
    cell = flow_cell(name, cm.Flow("plug-flow"), "dead zinc", changes=changes)
    simulator = cm.Simulator(cell, cm.Protocol(CYCLE), names, SolverOptions(method="direct"))
    values = np.array([cell.value(n) for n in names])
    at = np.array([1.0, 3.0, 5.0])
    points = Points((PointSet("cycles", "discharge_capacity", "cycle", at),))
    exact = simulator.predict(values, points).jacobian
    for k in range(len(names)):
        step = 1e-2 * values[k]
        up, down = (
            simulator.predict(values + s * np.eye(len(names))[k], points, False)
            for s in (step, -step)
        )
        difference = (up.values - down.values) / (2 * step)
        size = np.abs(difference).max()
        np.testing.assert_allclose(exact[:, k], difference, atol=1e-3 * size, err_msg=names[k])
        assert size * values[k] > 1e-6, names[k]


# --- what is refused ------------------------------------------------------------------------------


def test_bad_choices_are_refused():
    with pytest.raises(
        InputError, match="Flow cell: 'plug flow' is not known. Did you mean 'plug-flow'"
    ):
        cm.Flow("plug flow")
    with pytest.raises(InputError, match="stops_at_rest: 1 is not true or false"):
        cm.Flow(stops_at_rest=1)


@pytest.mark.parametrize("name", CHEMISTRIES)
def test_a_set_without_tanks_is_refused_and_one_with_them_named(name):
    with pytest.raises(
        InputError, match=f"'flow' needs: Negative tank volume.*'{FLOW_SETS[name]}'"
    ):
        cm.Cell(name, mechanisms=["flow"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({TANKS["Negative"]: 0.0}, "above 0"),
        ({RATES["Positive"]: -1e-4}, "cannot be negative"),
        ({"Pump efficiency": 1.2}, "above 0 to 1"),
        ({"Pump efficiency": 0.0}, "above 0 to 1"),
        ({"Flow threshold current density [A.m-2]": 0.0}, "above 0"),
        ({VALVE.format("charge"): 1.5}, "from 0 to 1"),
    ],
    ids=str,
)
def test_impossible_numbers_are_named(changes, message):
    (wrong,) = changes
    with pytest.raises(InputError, match=message) as caught:
        flow_cell("zinc_bromine", cm.Flow(), changes=changes)
    assert f"'{wrong}'" in str(caught.value)


def test_a_charged_start_takes_its_salt_from_the_tanks_too():
    full = {"parameters": "zinc_bromine_flow", "initial_soc": 1.0}
    with pytest.raises(InputError, match="The recipe leaves -.* mol.m-3 of zinc ion"):
        cm.Cell("zinc_bromine", **full)
    assert cm.Cell("zinc_bromine", mechanisms=[cm.Flow()], **full).initial_soc == 1.0
