"""Auxiliary algebraic states that keep the model's Jacobian sparse.

A mean over the cell (of the electrolyte's potential in an SPMe, say) that many states
enter, and that enters many equations, fills the Jacobian with the product of both. As an
algebraic state of its own, u with 0 = u - mean, it adds only their sum. Solutions are
the same.
"""

from __future__ import annotations

import casadi as ca

from cellmodels.solver.instructions import instructions, rebuild

#: Share of the Jacobian's entries that an auxiliary state has to save.
_WORTHWHILE = 0.1
#: Entries from which a Jacobian gains by it. Smaller ones are cheap as they are, and without
#: auxiliary states their equations conserve what they conserve to rounding errors.
_LARGE = 1000
#: Auxiliary states at most.
_MOST = 20


def lift(function: ca.Function) -> ca.Function:
    """A function ([x, z, I], theta) -> [f, g, V] with auxiliary states appended to z.

    Parameters
    ----------
    function : casadi.Function
        Of scalar (SX) expressions.

    Returns
    -------
    casadi.Function
        ([x, z, u, I], theta) -> [f, g, u - mean, V]; the same function if nothing is gained.
    """
    if function.jac_sparsity(0, 0).nnz() < _LARGE:
        return function
    for _ in range(_MOST):
        place = _worst_bottleneck(function)
        if place is None:
            return function
        function = _cut(function, place)
    return function


def _worst_bottleneck(function: ca.Function) -> int | None:
    """The instruction whose result, as a state, would save most entries of the Jacobian."""
    lines = instructions(function)
    holder: dict[int, int] = {}  # which instruction's result a work place holds
    arguments: list[tuple[int, ...]] = []
    depends: list[int] = []  # bits: inputs that a result depends on
    for k, (operation, inputs, outputs) in enumerate(lines):
        bits = 0
        used: tuple[int, ...] = ()
        if operation == ca.OP_INPUT:
            bits = 1 << inputs[1] if inputs[0] == 0 else 0
        elif operation != ca.OP_CONST:
            reads = inputs[:1] if operation == ca.OP_OUTPUT else inputs
            used = tuple(holder[place] for place in reads)
            for argument in used:
                bits |= depends[argument]
        arguments.append(used)
        depends.append(bits)
        if operation != ca.OP_OUTPUT:
            holder[outputs[0]] = k
    enters = [0] * len(lines)  # bits: outputs that a result enters
    best: int | None = None
    saved = int(_WORTHWHILE * function.jac_sparsity(0, 0).nnz())
    for k in range(len(lines) - 1, -1, -1):
        operation, _, outputs = lines[k]
        if operation == ca.OP_OUTPUT:
            enters[k] |= 1 << outputs[1]
        for argument in arguments[k]:
            enters[argument] |= enters[k]
        if operation in (ca.OP_INPUT, ca.OP_CONST, ca.OP_OUTPUT):
            continue
        many, few = depends[k].bit_count(), enters[k].bit_count()
        if many * few - many - few > saved:
            best, saved = k, many * few - many - few
    return best


def _cut(function: ca.Function, place: int) -> ca.Function:
    """Make the result of an instruction a state, the last before the current."""
    size = function.numel_in(0)
    point, theta = ca.SX.sym("v", size + 1), ca.SX.sym("p", function.numel_in(1))
    state = point[size - 1]
    old = ca.vertcat(point[: size - 1], point[size])
    values: list[ca.SX] = []

    def cut(k: int, _: list[ca.SX], value: ca.SX) -> ca.SX:
        if k != place:
            return value
        values.append(value)
        return state

    results = rebuild(function, (old, theta), cut)
    system = ca.vertcat(*results[:-1], state - values[0], results[-1])
    return ca.Function(function.name(), [point, theta], [system])
