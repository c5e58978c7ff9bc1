"""Our zinc-halogen models and sets in plain PyBaMM, through their entry points' callables."""

import pybamm
import pytest

import cellmodels as cm
from cellmodels import pybamm_models, pybamm_sets
from cellmodels.errors import InputError

PAIRS = {
    "bromine": (pybamm_models.ZincBromineLumped, pybamm_sets.zinc_bromine_static, 2.0, 1.7),
    "iodine": (pybamm_models.ZincIodineLumped, pybamm_sets.zinc_iodine_pnnl, 0.8, 1.2),
}


@pytest.mark.parametrize("name", PAIRS)
def test_a_plain_simulation_with_an_experiment(name):
    model, values, current, voltage = PAIRS[name]
    experiment = pybamm.Experiment(
        [
            (
                f"Charge at {current} A for 30 minutes",
                "Rest for 10 minutes",
                f"Discharge at {current} A until 0.8 V",
            )
        ]
        * 2
    )
    simulation = pybamm.Simulation(
        model(mechanisms=["hydrogen evolution", cm.DeadZinc()]),
        parameter_values=pybamm.ParameterValues(values()),
        experiment=experiment,
    )
    solution = simulation.solve()
    charge, _, discharge = solution.cycles[1].steps
    assert len(solution.cycles) == 2
    assert charge["Voltage [V]"].entries[-1] > voltage
    assert discharge["Voltage [V]"].entries[-1] == pytest.approx(0.8, abs=1e-3)
    assert solution["Hydrogen [mol.m-2]"].entries[-1] > 0
    assert solution["Dead zinc [mol.m-2]"].entries[-1] > 0


@pytest.mark.parametrize("name", PAIRS)
def test_a_model_brings_its_parameters_along(name):
    """Without any other word PyBaMM lets the cell rest."""
    model, values, _, _ = PAIRS[name]
    solution = pybamm.Simulation(model()).solve([0, 60])
    assert solution.t[-1] == 60
    assert set(model().default_parameter_values) >= set(values()) - {"chemistry"}


@pytest.mark.parametrize("name", PAIRS)
def test_it_is_the_model_of_the_cell(name):
    model = PAIRS[name][0](mechanisms=["halogen loss"])
    cell = cm.Cell(f"zinc_{name}", mechanisms=["halogen loss"]).pybamm_model()
    assert model.name == cell.name
    assert {str(k): str(v) for k, v in model.rhs.items()} == {
        str(k): str(v) for k, v in cell.rhs.items()
    }
    assert PAIRS[name][0].__doc__


def test_a_mechanism_that_the_chemistry_lacks_is_refused():
    with pytest.raises(InputError, match="complexing agent loss"):
        pybamm_models.ZincIodineLumped(mechanisms=["complexing agent loss"])
