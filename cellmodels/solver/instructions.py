"""CasADi's scalar functions instruction by instruction: read, and built anew with changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import casadi as ca


class Instruction(NamedTuple):
    """One elementary operation; inputs and outputs are work places.

    Those of `OP_INPUT` read (argument, component), `OP_OUTPUT` writes (result, component).
    """

    operation: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def instructions(function: ca.Function) -> list[Instruction]:
    """All instructions of a function of scalar (SX) expressions, in their order."""
    return [
        Instruction(
            function.instruction_id(k),
            tuple(function.instruction_input(k)),
            tuple(function.instruction_output(k)),
        )
        for k in range(function.n_instructions())
    ]


def rebuild(
    function: ca.Function,
    arguments: tuple[ca.SX, ca.SX],
    change: Callable[[int, list[ca.SX], ca.SX], ca.SX],
) -> list[ca.SX]:
    """The components of a function's only result, built anew.

    Parameters
    ----------
    function : casadi.Function
        (v, theta) -> vector, of scalar (SX) expressions.
    arguments : (casadi.SX, casadi.SX)
        What to put in for v and theta.
    change : callable
        Given the number of an instruction that calculates, its arguments and its result, the
        result to go on with.
    """
    work: dict[int, ca.SX] = {}
    results = [ca.SX(0)] * function.numel_out(0)
    for k, (operation, inputs, outputs) in enumerate(instructions(function)):
        if operation == ca.OP_INPUT:
            work[outputs[0]] = arguments[inputs[0]][inputs[1]]
        elif operation == ca.OP_CONST:
            work[outputs[0]] = ca.SX(function.instruction_constant(k))
        elif operation == ca.OP_OUTPUT:
            results[outputs[1]] = work[inputs[0]]
        else:
            given = [work[place] for place in inputs]
            build = ca.SX.unary if len(given) == 1 else ca.SX.binary
            work[outputs[0]] = change(k, given, build(operation, *given))
    return results
