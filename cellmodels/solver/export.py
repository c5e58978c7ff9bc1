"""PyBaMM model -> `Dae`: the one place where the solver meets PyBaMM."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import casadi as ca
import numpy as np
import pybamm

from cellmodels.solver.dae import Dae

#: Events that the protocol replaces by its own end conditions.
_PROTOCOL_EVENTS = ("voltage [V]", "voltage switch [V]")

#: As a free parameter: what flows through the cell beyond the current that the steps hold [A].
CURRENT_OFFSET = "Current offset [A]"


def export_dae(
    model: pybamm.BaseModel,
    parameter_values: pybamm.ParameterValues,
    *,
    free: Sequence[str] = (),
    outputs: Sequence[str] = (),
    var_pts: Mapping[str, int] | None = None,
) -> Dae:
    """Discretise a PyBaMM model and export it with the current and `free` symbolic.

    Parameters
    ----------
    model : pybamm.BaseModel
        A battery model that has "Voltage [V]" among its variables.
    parameter_values : pybamm.ParameterValues
        Numbers for all of its parameters; not changed.
    free : sequence of str
        Scalar parameters to keep symbolic; `CURRENT_OFFSET` may be one of them.
    outputs : sequence of str
        Names of scalar variables to evaluate beside the voltage; those that the model
        does not have are left out.
    var_pts : mapping of str to int, optional
        Mesh points, as in `pybamm.Simulation`.

    Returns
    -------
    Dae

    Raises
    ------
    LookupError
        If the model does not contain a free parameter; the message is its name.
    ValueError
        If the model depends on time itself, which a repeated cycle cannot.
    """
    values = parameter_values.copy()
    own = [name for name in free if name != CURRENT_OFFSET]
    nominal = np.array([0.0 if name == CURRENT_OFFSET else float(values[name]) for name in free])
    for name in own:
        values[name] = pybamm.InputParameter(name)
    values["Current function [A]"] = pybamm.InputParameter("Current [A]")
    points = None if var_pts is None else {**model.default_var_pts, **var_pts}
    simulation = pybamm.Simulation(model, parameter_values=values, var_pts=points)
    simulation.build()
    built = simulation.built_model

    present = [i.name for i in built.input_parameters]
    kept = [name for name in outputs if name in built.variables]
    order = [name for name in ("Current [A]", *own) if name in present]
    idle = [name for name in own if name not in present]
    if idle:
        raise LookupError(", ".join(idle))
    exported = built.export_casadi_objects(["Voltage [V]", *kept], input_parameter_order=order)

    x, z = exported["x"], exported["z"]
    nx, nz = x.shape[0], z.shape[0]
    point = ca.MX.sym("v", nx + nz + 1)
    theta = ca.MX.sym("theta", len(free))
    scale = np.where(nominal == 0.0, 1.0, nominal)
    symbols = {name: scale[k] * theta[k] for k, name in enumerate(free)}
    symbols["Current [A]"] = point[nx + nz] + symbols.get(CURRENT_OFFSET, 0.0)
    inputs = ca.vertcat(*[symbols[name] for name in order])

    dynamics = _stack(exported["rhs"], exported["algebraic"], exported["variables"]["Voltage [V]"])
    if ca.depends_on(dynamics, exported["t"]):
        raise ValueError("The model depends on time itself; a repeated cycle cannot.")

    def bind(expressions: list) -> list:
        old = [exported["t"], x, z, exported["inputs"]]
        new = [ca.MX(0), point[:nx], point[nx : nx + nz], inputs]
        return ca.substitute(expressions, old, new)

    variables = [exported["variables"][name] for name in ("Voltage [V]", *kept)]
    bound = bind(
        [exported["rhs"], exported["algebraic"], *variables, _stack(exported["x0"], exported["z0"])]
    )
    rhs, algebraic, voltage, start = bound[0], bound[1], bound[2], bound[-1]
    slices = _state_slices(built, nx)
    # the start may not depend on the current; it is read at rest
    start = ca.substitute([start], [point], [ca.MX.zeros(point.shape[0])])[0]
    return Dae(
        point,
        theta,
        _stack(rhs, algebraic, voltage),
        start,
        nx=nx,
        nz=nz,
        names=free,
        nominal=scale,
        outputs=dict(zip(kept, bound[3:-1], strict=True)),
        events=_events(built, order, bind, exported),
        state_names=slices,
        fractions=[name for name in slices if "volume fraction" in name],
        reference=nominal / scale,
    )


def _stack(*expressions: ca.MX) -> ca.MX:
    """One column of all, whatever shape the empty ones have."""
    return ca.vertcat(*[ca.vec(e) for e in expressions if e.numel()])


def _events(
    built: pybamm.BaseModel, order: list[str], bind: Callable[[list], list], exported: dict
) -> dict[str, ca.MX]:
    """Termination events of the model itself (porosity, concentration limits)."""
    y = ca.vertcat(exported["x"], exported["z"])
    stacked = exported["inputs"]
    inputs = {name: stacked[k] for k, name in enumerate(order)}
    found = {}
    for event in built.events:
        if event.event_type != pybamm.EventType.TERMINATION or event.name.endswith(
            _PROTOCOL_EVENTS
        ):
            continue
        expression = event.expression.to_casadi(exported["t"], y, inputs=inputs)
        found[event.name] = bind([ca.mmin(expression)])[0]
    return found


def _state_slices(built: pybamm.BaseModel, nx: int) -> dict[str, slice]:
    slices = {variable.name: where[0] for variable, where in built.y_slices.items()}
    return {name: where for name, where in slices.items() if where.stop <= nx}
