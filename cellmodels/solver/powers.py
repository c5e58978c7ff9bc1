"""Powers whose exponent is a free parameter, differentiable where their base is zero.

The derivative of b^m by m is b^m log(b): at b = 0, where a stress that only acts in tension
vanishes, that is 0 times minus infinity. With a base a little above zero it is zero, as it
should be, and no value changes.
"""

from __future__ import annotations

import casadi as ca

#: Added to the base; lost in rounding unless the base is zero.
_TINY = 1e-200


def guard_powers(function: ca.Function) -> ca.Function:
    """A function (v, theta) -> F without powers of zero to an exponent that depends on theta.

    Parameters
    ----------
    function : casadi.Function
        Of scalar (SX) expressions.

    Returns
    -------
    casadi.Function
        The same function if it has no such power.
    """
    inputs = [ca.SX.sym(name, function.numel_in(k)) for k, name in enumerate(("v", "p"))]
    result = [ca.SX(0)] * function.numel_out(0)
    work: dict[int, ca.SX] = {}
    free: dict[int, bool] = {}  # whether what a work place holds depends on theta
    guarded = False
    for k in range(function.n_instructions()):
        operation = function.instruction_id(k)
        reads, writes = function.instruction_input(k), function.instruction_output(k)
        if operation == ca.OP_OUTPUT:
            result[writes[1]] = work[reads[0]]
            continue
        if operation == ca.OP_INPUT:
            found, depends = inputs[reads[0]][reads[1]], reads[0] == 1
        elif operation == ca.OP_CONST:
            found, depends = ca.SX(function.instruction_constant(k)), False
        else:
            depends = any(free[place] for place in reads)
            arguments = [work[place] for place in reads]
            if operation == ca.OP_POW and free[reads[1]]:
                arguments[0] = arguments[0] + _TINY
                guarded = True
            build = ca.SX.unary if len(arguments) == 1 else ca.SX.binary
            found = build(operation, *arguments)
        work[writes[0]], free[writes[0]] = found, depends
    if not guarded:
        return function
    return ca.Function(function.name(), inputs, [ca.vertcat(*result)])
