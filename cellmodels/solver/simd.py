"""Vector instructions for compiled functions: a fixed number of neighbouring numbers at once.

Loops over places of one array are not turned into vector instructions by the compiler,
because places might overlap. Each function here reads what it needs before it writes.
Offsets are unsigned numbers of places in the (one-dimensional) arrays.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

#: What computes a vector from one or two others, by the compiler's builder.
Rule = Callable[..., Any]


def operation(rule: Rule, operands: int) -> Any:
    """A compiled function (array, target, first, second, lanes) for an elementwise operation.

    As many numbers are treated at once as the tuple `lanes` is long.

    Parameters
    ----------
    rule
        Called with the builder and one or two vectors, returns a vector.
    operands
        One or two; the second offset of a unary operation is ignored.
    """

    @intrinsic
    def apply(_: Any, array: Any, target: Any, first: Any, second: Any, lanes: Any) -> Any:
        vector = ir.VectorType(ir.DoubleType(), lanes.count)

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            places = [
                _pointer(context, builder, signature.args[0], args[0], offset, vector)
                for offset in args[1:4]
            ]
            values = [_load(builder, place) for place in places[1 : 1 + operands]]
            _store(builder, rule(builder, *values), places[0])
            return context.get_dummy_value()

        return types.void(array, target, first, second, lanes), generate

    return apply


def block_product(rows: tuple[tuple[int, ...], ...], lanes: int) -> Any:
    """A compiled function (y, at, b, of, x, place) that does y -= B x for a 3 x 3 block B.

    Parameters
    ----------
    rows
        For each row of B, which of the block's numbers stand in its columns; -1 for none.
    lanes
        Columns of x and y, shape (3, lanes) each.
    """
    double, whole = ir.DoubleType(), ir.IntType(64)
    vector = ir.VectorType(double, lanes)

    @intrinsic
    def apply(_: Any, y: Any, at: Any, b: Any, of: Any, x: Any, place: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            kinds = signature.args

            def vectors(k: int) -> list[Any]:
                offsets = [
                    builder.add(args[k + 1], ir.Constant(whole, j * lanes)) for j in range(3)
                ]
                return [
                    _pointer(context, builder, kinds[k], args[k], offset, vector)
                    for offset in offsets
                ]

            numbers = context.make_array(kinds[2])(context, builder, args[2]).data
            targets = vectors(0)
            operands = [_load(builder, pointer) for pointer in vectors(4)]
            results = [_load(builder, pointer) for pointer in targets]
            for j, row in enumerate(rows):
                for operand, number in zip(operands, row, strict=True):
                    if number < 0:
                        continue
                    offset = builder.add(args[3], ir.Constant(whole, number))
                    value = builder.fneg(builder.load(builder.gep(numbers, [offset])))
                    spread = _spread(builder, value, vector)
                    results[j] = call(builder, "fmuladd", spread, operand, results[j])
            for result, pointer in zip(results, targets, strict=True):
                _store(builder, result, pointer)
            return context.get_dummy_value()

        return types.void(y, at, b, of, x, place), generate

    return apply


def _pointer(context: Any, builder: Any, kind: Any, array: Any, offset: Any, vector: Any) -> Any:
    data = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [offset]), vector.as_pointer())


def _load(builder: Any, pointer: Any) -> Any:
    value = builder.load(pointer)
    value.align = 8
    return value


def _store(builder: Any, value: Any, pointer: Any) -> None:
    builder.store(value, pointer).align = 8


def _spread(builder: Any, value: Any, vector: Any) -> Any:
    """A vector of equal numbers."""
    empty = ir.Constant(vector, ir.Undefined)
    one = builder.insert_element(empty, value, ir.Constant(ir.IntType(32), 0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), vector.count), [0] * vector.count)
    return builder.shuffle_vector(one, empty, zeros)


def truth(builder: Any, condition: Any) -> Any:
    """Ones where a vector of conditions holds, else zeros, for rules."""
    return builder.uitofp(condition, ir.VectorType(ir.DoubleType(), condition.type.count))


def call(builder: Any, name: str, *values: Any) -> Any:
    """Call one of LLVM's functions of vectors of one type, for rules."""
    vector = values[0].type
    kind = ir.FunctionType(vector, [vector] * len(values))
    name = f"llvm.{name}.v{vector.count}f64"
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), values)
