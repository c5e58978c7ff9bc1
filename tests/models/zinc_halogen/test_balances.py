"""What a zinc-halogen cell conserves, in whatever is done to it, with every mechanism on."""

from __future__ import annotations

import numpy as np
import pybamm
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cellmodels as cm
from cellmodels.models.zinc_halogen.closures import ActivityCoefficients, HalogenKinetics
from cellmodels.models.zinc_halogen.kinetics import HALOGEN_LAWS
from cellmodels.models.zinc_halogen.species import Solute
from cellmodels.models.zinc_halogen.thermodynamics import ACTIVITIES
from cellmodels.models.zinc_halogen.transport import migrating, separator_fluxes
from cellmodels.solver.outcome import Reason, SolveFailure

from .conftest import (
    CHEMISTRIES,
    FAST,
    March,
    cell_of,
    drift,
    fast_cell,
    marcher,
    mechanisms_of,
    solve,
)

#: Relative to all that takes part in a balance.
TOLERANCE = 1e-10
CYCLE = ["Charge at 0.5C for 1 hour", "Rest for 10 minutes", "Discharge at 0.5C until 0.6 V"]

#: What each state of a zinc-bromine cell with all mechanisms holds, by mole: zinc, bromine atoms,
#: chloride, potassium, agent, protons less hydroxide, and oxidised less reduced pairs of electrons.
HOLDS = {
    **{
        f"{side} compartment {what} [mol.m-2]": held
        for side in ("Negative", "Positive")
        for what, held in {
            "zinc ion": (1, 0, 0, 0, 0, 0, 0),
            "bromide": (0, 1, 0, 0, 0, 0, 0),
            "bromine": (0, 2, 0, 0, 0, 0, 1),
            "chloride": (0, 0, 1, 0, 0, 0, 0),
            "potassium ion": (0, 0, 0, 1, 0, 0, 0),
            "complexing agent": (0, 0, 0, 0, 1, 0, 0),
            "acid": (0, 0, 0, 0, 0, 1, 0),
        }.items()
    },
    "Zinc areal amount [mol.m-2]": (1, 0, 0, 0, 0, 0, -1),
    "Zinc on the positive electrode [mol.m-2]": (1, 0, 0, 0, 0, 0, -1),
    "Negative electrode double layer [mol.m-2]": (0, 1, 0, 0, 0, 0, 0.5),
    "Positive electrode double layer [mol.m-2]": (0, 1, 0, 0, 0, 0, 0.5),
    "Dead zinc [mol.m-2]": (1, 0, 0, 0, 0, 0, -1),
    "Zinc precipitate [mol.m-2]": (1, 0, 0, 0, 0, -2, 0),  # Zn(OH)2 less two waters
    "Hydrogen [mol.m-2]": (0, 0, 0, 0, 0, 2, -1),
    "Halogen lost as vapour [mol.m-2]": (0, 2, 0, 0, 0, 0, 1),
    "Halogen lost by reaction [mol.m-2]": (0, 2, 0, 0, 0, 0, 1),
    "Carbon oxidised [mol.m-2]": (0, 0, 0, 0, 0, -2, 1),  # C(O) less carbon and water
    "Carbon oxidised with area loss [mol.m-2]": (0, 0, 0, 0, 0, -2, 1),
}
TOTALS = (
    "Total zinc [mol.m-2]",
    "Total bromine atoms [mol.m-2]",
    "Total chloride [mol.m-2]",
    "Total potassium ion [mol.m-2]",
    "Total complexing agent [mol.m-2]",
    "Total acid [mol.m-2]",
    "Redox balance [mol.m-2]",
)
CHARGES = {
    "zinc ion": 2,
    "bromide": -1,
    "chloride": -1,
    "potassium ion": 1,
    "complexing agent": 1,
    "acid": 1,
}


def test_the_balances_count_what_the_states_hold():
    model = cell_of("zinc_bromine", tuple(mechanisms_of("zinc_bromine"))).pybamm_model()
    for column, name in enumerate(TOTALS):
        expected = {state: held[column] for state, held in HOLDS.items() if held[column]}
        assert dict(model.balances[name]) == expected, name
    for side in ("Negative", "Positive"):
        charges = {f"{side} compartment {c} [mol.m-2]": z for c, z in CHARGES.items()}
        assert dict(model.balances[f"{side} compartment charge [mol.m-2]"]) == charges
    assert len(model.balances) == len(TOTALS) + 2
    # all other states are no amounts of matter
    others = {v.name for v in model.rhs} - set(HOLDS)
    assert not [name for name in others if name.endswith("[mol.m-2]")]


def rounded(low: float, high: float) -> st.SearchStrategy[float]:
    """Numbers of three digits, evenly spread in logarithms."""
    exponents = st.floats(np.log10(low), np.log10(high))
    return exponents.map(lambda power: float(f"{10**power:.3g}"))


def one_step(lower: float, upper: float, pybamm_reads: bool = False) -> st.SearchStrategy[str]:
    """A step as such cells have them; `lower` and `upper` are the cell's cut-offs [V].

    PyBaMM reads no charge that ends a step, and a power that the cell no longer gives is an error.
    """
    seconds, ocv = rounded(10, 1e4), 0.8 * upper
    ends = st.sampled_from([lower, 0.7 * ocv, 0.05]).map(lambda v: round(v, 3))
    holds = st.sampled_from([0.001, 0.05, 0.8 * ocv, ocv, 1.05 * ocv]).map(lambda v: round(v, 3))
    both = [
        st.builds("Charge at {} C for {} seconds".format, rounded(0.05, 1.5), seconds),
        st.builds("Charge at {} W for {} seconds".format, rounded(0.1, 3), seconds),
        st.builds("Discharge at {} C until {} V".format, rounded(0.05, 2), ends),
        st.builds("Hold at {} V for {} seconds".format, holds, seconds),
        st.builds("Rest for {} seconds".format, rounded(10, 1e5)),
        st.just("Discharge at 0.1 C until 0.05 V"),
    ]
    ours = [
        st.builds("Charge at {} C until {} %".format, rounded(0.05, 1.0), rounded(1, 100)),
        st.builds("Discharge at {} W until {} V".format, rounded(0.1, 3), ends),
    ]
    return st.one_of(both if pybamm_reads else both + ours)


def assert_conserved(march: March) -> None:
    for name, balance in march.cell.model.balances.items():
        assert drift(balance, march) < TOLERANCE, f"{name} is not conserved"


def charged_and_stripped(cell) -> tuple[str, ...]:
    """A cycle with the usual steps, one of them at constant power."""
    power = 0.3 * cell.nominal_capacity * cell.voltage_limits[1]
    return (
        "Charge at 0.5C for 1 hour",
        f"Discharge at {power:.3g} W for 20 minutes",
        "Discharge at 0.3C until 0.05 V",
        "Hold at 0.01 V for 30 minutes",
        "Rest for 24 hours",
    )


@pytest.mark.parametrize("name", CHEMISTRIES)
class TestConservation:
    @settings(max_examples=30)
    @given(data=st.data())
    def test_in_our_solver(self, name, data):
        cell = fast_cell(name, data.draw(st.booleans(), label="double layer"))
        steps = data.draw(st.lists(one_step(*cell.voltage_limits), min_size=1, max_size=6))
        march = self.as_far_as_it_goes(marcher(cell), steps)
        if march is not None:
            assert np.all(np.isfinite(march.points)) and np.all(np.isfinite(march.voltage))
            assert_conserved(march)

    def as_far_as_it_goes(self, run, steps) -> March | None:
        """Steps up to the one that meets a limit of the model; no other failure is allowed."""
        for count in range(len(steps), 0, -1):
            try:
                return run(*steps[:count])
            except SolveFailure as failure:
                if failure.reason not in (Reason.MODEL_EVENT, Reason.EXHAUSTED):
                    raise
        return None

    @settings(max_examples=6)
    @given(data=st.data())
    def test_with_some_mechanisms(self, name, data):
        """Other laws of kinetics and activity among them."""
        laws = ("halogen kinetics", "activity coefficients")
        having = [m for m in mechanisms_of(name) if m not in laws]
        some = sorted(data.draw(st.sets(st.sampled_from(having))))
        law = HalogenKinetics(data.draw(st.sampled_from(HALOGEN_LAWS)))
        of_salt = ACTIVITIES if "zinc complexes" not in some else ("constant", "ideal")
        activity = ActivityCoefficients(data.draw(st.sampled_from(of_salt)))
        cell = cell_of(name, (*some, law, activity), tuple(FAST.items()))
        assert_conserved(marcher(cell)(*charged_and_stripped(cell)))

    @pytest.mark.parametrize("double_layer", [False, True])
    def test_in_pybamm(self, name, double_layer):
        cell = fast_cell(name, double_layer)
        solution = solve(cell, *charged_and_stripped(cell))
        assert len(solution.cycles[0].steps) == len(charged_and_stripped(cell))
        self.check(cell, solution)

    def check(self, cell, solution):
        for key, balance in cell.pybamm_model().balances.items():
            amounts = {state: solution[state].entries for state in balance}
            assert drift(balance, amounts) < TOLERANCE, f"{key} is not conserved"
            total = sum(factor * amounts[state] for state, factor in balance.items())
            np.testing.assert_allclose(solution[key].entries, total, rtol=1e-12, atol=1e-14)

    def test_in_a_life_over_cycle_number(self, name):
        # a little potassium: the drift of nothing at all would be rounding over a floor
        salt = {"Initial potassium ion concentration [mol.m-3]": 300.0}
        cell = cell_of(name, tuple(mechanisms_of(name)), tuple(salt.items()))
        simulator = cm.Simulator(cell, cm.Protocol(CYCLE))
        life = simulator.life(np.ones(0), 60, sensitivities=False)
        assert life.failure is None and life.simulated < life.cycles
        states, _ = life.states(np.arange(life.cycles + 1))
        dae, scales = simulator.dae, marcher(cell).scales
        for key, balance in cell.pybamm_model().balances.items():
            amounts = {s: states[:, dae.state_names[s]][:, 0] * scales[s] for s in balance}
            assert drift(balance, amounts) < TOLERANCE, f"{key} is not conserved"

    @pytest.mark.slow
    @settings(max_examples=3)
    @given(data=st.data())
    def test_in_pybamm_whatever_is_done(self, name, data):
        cell = fast_cell(name, data.draw(st.booleans(), label="double layer"))
        step = one_step(*cell.voltage_limits, pybamm_reads=True)
        steps = data.draw(st.lists(step, min_size=2, max_size=4))
        try:
            solution = solve(cell, "Charge at 0.5C for 20 minutes", *steps)
        except pybamm.SolverError as error:  # a named event at the start of a step
            if "Events [" not in str(error):
                raise
            return
        self.check(cell, solution)


# --- charge --------------------------------------------------------------------------------------

IONS = [Solute(f"{z:+d}", f"{z:+d}", z, ()) for z in (-2, -1, 0, 1, 2)]
CONCENTRATIONS = st.lists(st.floats(1e-6, 5e3), min_size=5, max_size=5)


@given(CONCENTRATIONS, CONCENTRATIONS, st.floats(-20, 20), st.floats(-1e3, 1e3))
def test_ions_carry_the_current(negative, positive, drop, current):
    """F sum z N = i, whatever is on either side and however far the drop is from solved."""
    sides = [dict(zip([s.key for s in IONS], c, strict=True)) for c in (negative, positive)]
    permeable = {s.key: 1e-7 * (3 + s.charge) for s in IONS}
    moving = migrating(IONS, *sides, pybamm.Scalar(drop))
    fluxes = separator_fluxes(IONS, permeable, *sides, moving, pybamm.Scalar(current))
    carried = [s.charge * float(fluxes[s.key].evaluate()) for s in IONS if s.charge]
    size = max(abs(flux) for flux in carried)
    assert sum(carried) == pytest.approx(current / 96485.33212331001, abs=1e-12 * size)


@pytest.mark.parametrize("name", CHEMISTRIES)
@pytest.mark.parametrize("double_layer", [False, True])
def test_partial_currents_add_up_to_the_current(name, double_layer):
    """At both electrodes, at every point of a cycle."""
    words = cm.Chemistry.load(name).species
    halogen = next(s.title for s in words.values() if s.title in ("bromine", "iodine"))
    couples = ("zinc", halogen, *(["double-layer"] if double_layer else []))
    currents = {
        side: [f"{side} electrode {couple} current density [A.m-2]" for couple in couples]
        for side in ("Negative", "Positive")
    }
    inside, gas = "Internal current density [A.m-2]", "Hydrogen evolution current density [A.m-2]"
    outputs = (*currents["Negative"], *currents["Positive"], inside, gas)
    cell = fast_cell(name, double_layer)
    march = marcher(cell, outputs)(*charged_and_stripped(cell))
    negative = sum(march.output(o) for o in currents["Negative"]) - march.output(gas)
    positive = sum(march.output(o) for o in currents["Positive"])
    np.testing.assert_allclose(negative, march.output(inside), atol=1e-5)
    np.testing.assert_allclose(positive, -march.output(inside), atol=1e-5)
