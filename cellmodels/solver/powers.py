"""Powers whose exponent is a free parameter, differentiable where their base is zero.

The derivative of b^m by m is b^m log(b): at b = 0, where a stress that only acts in tension
vanishes, that is 0 times minus infinity. With a base a little above zero it is zero, as it
should be, and no value changes.
"""

from __future__ import annotations

import casadi as ca

from cellmodels.solver.instructions import instructions, rebuild

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
    unsafe = _with_free_exponent(function)
    if not unsafe:
        return function
    v, p = ca.SX.sym("v", function.numel_in(0)), ca.SX.sym("p", function.numel_in(1))

    def guard(k: int, arguments: list[ca.SX], value: ca.SX) -> ca.SX:
        return (arguments[0] + _TINY) ** arguments[1] if k in unsafe else value

    return ca.Function(function.name(), [v, p], [ca.vertcat(*rebuild(function, (v, p), guard))])


def _with_free_exponent(function: ca.Function) -> set[int]:
    """The instructions that are powers with an exponent that depends on theta."""
    found: set[int] = set()
    free: dict[int, bool] = {}  # whether what a work place holds depends on theta
    for k, (operation, inputs, outputs) in enumerate(instructions(function)):
        if operation == ca.OP_OUTPUT:
            continue
        if operation == ca.OP_INPUT:
            depends = inputs[0] == 1
        else:
            depends = any(free[place] for place in inputs)
        if operation == ca.OP_POW and free[inputs[1]]:
            found.add(k)
        free[outputs[0]] = depends
    return found
