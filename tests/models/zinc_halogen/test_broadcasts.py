"""Jacobians that PyBaMM's solvers get: those of sums of fields and scalars among them."""

from __future__ import annotations

import casadi
import numpy as np
import pybamm
import pytest

import cellmodels as cm
from cellmodels.models.zinc_halogen.broadcasts import Widening


def in_reverse(expression: casadi.MX, of: casadi.MX) -> casadi.MX:
    return casadi.jacobian(expression, of, {"helper_options": {"ad_weight": 1.0}})


def test_why_ones_are_written():
    """CasADi's reverse mode on a stacked sum; should this ever fail, `broadcasts` can go."""
    y = casadi.MX.sym("y", 5)
    for ones, right in ((1.0, False), (np.ones((4, 1)), True)):
        stacked = casadi.vertcat(ones * y[4] + y[:4], y[:4] ** 2)
        jacobian = casadi.Function("J", [y], [in_reverse(stacked, y)])
        assert np.allclose(jacobian(np.ones(5)).full()[:4, 4], 1.0) is right


@pytest.mark.parametrize("edges", [False, True], ids=["nodes", "edges"])
def test_only_sums_with_scalars_that_change_are_rewritten(edges):
    x = pybamm.SpatialVariable("x", domain=["separator"], coord_sys="cartesian")
    field = pybamm.Variable("field", domain=["separator"])
    if edges:
        field = pybamm.grad(field)
    scalar, wide = pybamm.Variable("scalar"), Widening()
    for same in (field + 1, field * scalar, scalar + 2, field + pybamm.Parameter("a"), field * x):
        assert wide(same) is same
    for sums in (field + scalar, scalar - field, 2 * (field - scalar) ** 2):
        found = wide(sums)
        assert found != sums
        assert found.evaluates_on_edges("primary") == edges
        both = [c for c in found.pre_order() if isinstance(c, pybamm.Addition | pybamm.Subtraction)]
        assert all(child.domain == ["separator"] for node in both for child in node.children)


def test_pybamms_jacobian_is_that_of_every_element():
    """Against CasADi's of scalar graphs, where no vectors are left."""
    cell = cm.Cell("zinc_bromine", "zinc_bromine_flow", model="porous", mechanisms=[cm.Flow()])
    simulation = pybamm.Simulation(
        cell.pybamm_model(),
        parameter_values=cell.parameter_values(),
        experiment=pybamm.Experiment(["Charge at 0.5C for 1 second"]),
        var_pts=cell.var_pts(),
    )
    solution = simulation.solve()
    (model,) = simulation.steps_to_built_models.values()
    inputs = casadi.vertcat(
        *[float(np.ravel(value)[0]) for value in solution.all_inputs[0].values()]
    )
    at = (0.5, solution.y[:, -1], inputs)
    expanded = model.rhs_algebraic_eval.expand()
    t, y, p = expanded.sx_in()
    by_element = casadi.Function("J", [t, y, p], [casadi.jacobian(expanded(t, y, p), y)])
    expected = by_element(*at).full()
    found = model.jac_rhs_algebraic_eval(*at).full()
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12 * np.abs(expected).max())
