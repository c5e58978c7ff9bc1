"""Elementary functions of vectors, as rules for `simd.operation`.

A library's exp treats one number at a time, and a cell's equations spend half of their time
there. These are the usual reductions of the argument to a short interval, with a polynomial
there; errors are a few units of the last place (the tests say how few). Results that would be
subnormal are zero, their logarithm is minus infinity.

Sources: J.-M. Muller et al., Handbook of Floating-Point Arithmetic (2018), chapter 10,
doi:10.1007/978-3-319-76526-6; the polynomial of the logarithm is a truncated series of
artanh.
"""

from __future__ import annotations

import math
from typing import Any

from llvmlite import ir

from cellmodels.solver.simd import call

#: exp(r) = 1 + r q(r), |r| <= log(2) / 2; the coefficients of q, the highest first.
_EXP = tuple(1.0 / math.factorial(k) for k in range(13, 0, -1))
#: artanh(s) = s + s^3 t(s^2), |s| <= 0.1716; the coefficients of t, the highest first.
_ARTANH = tuple(1.0 / k for k in range(21, 1, -2))
#: log(2) in two parts: multiples of the first by whole numbers of 11 bits are exact.
_LOG2_HIGH = float.fromhex("0x1.62e42fefa38p-1")
_LOG2_LOW = float.fromhex("0x1.ef35793c7673p-45")
#: Added to a number and taken away it leaves a whole number, whose bits it has shown.
_MAGIC = 1.5 * 2.0**52
#: Exponent field of 2^52, and the number with which it is taken away again, bias included.
_BIAS_BITS, _BIAS = 0x4330000000000000, 2.0**52 + 1023.0
_LARGEST, _SMALLEST, _TINY = 709.782712893384, -708.3964185322641, 2.0**-1022
_ONE_BITS, _MANTISSA = 0x3FF0000000000000, 0x000FFFFFFFFFFFFF


def _number(like: Any, value: float) -> Any:
    return ir.Constant(like.type, [value] * like.type.count)


def _whole(like: Any) -> Any:
    return ir.VectorType(ir.IntType(64), like.type.count)


def _bits(like: Any, value: int) -> Any:
    return ir.Constant(_whole(like), [value] * like.type.count)


def _times_plus(on: Any, x: Any, y: Any, z: Any) -> Any:
    return call(on, "fmuladd", x, y, z)


def _polynomial(on: Any, x: Any, coefficients: tuple[float, ...]) -> Any:
    value = _number(x, coefficients[0])
    for coefficient in coefficients[1:]:
        value = _times_plus(on, value, x, _number(x, coefficient))
    return value


def _exp_parts(on: Any, x: Any) -> tuple[Any, Any, Any]:
    """2^(n - 1) and p of exp(x) = 2^n (1 + p), and where n is zero; for |x| < 709.8.

    Half the power, because 2^1024 is too large where exp(x) is not.
    """
    shifted = _times_plus(on, x, _number(x, 1.0 / math.log(2.0)), _number(x, _MAGIC))
    n = on.fsub(shifted, _number(x, _MAGIC))
    rest = _times_plus(on, n, _number(x, -_LOG2_HIGH), x)
    rest = _times_plus(on, n, _number(x, -_LOG2_LOW), rest)
    p = on.fmul(rest, _polynomial(on, rest, _EXP))
    # the bits of the shifted number count n
    exponent = on.add(on.bitcast(shifted, _whole(x)), _bits(x, 1022))
    half = on.bitcast(on.shl(exponent, _bits(x, 52)), x.type)
    return half, p, on.fcmp_ordered("==", n, _number(x, 0.0))


def exp(on: Any, x: Any) -> Any:
    """The exponential function."""
    half, p, _ = _exp_parts(on, x)
    value = on.fmul(half, on.fadd(p, _number(x, 1.0)))
    value = on.fadd(value, value)
    large = on.fcmp_ordered(">", x, _number(x, _LARGEST))
    value = on.select(large, _number(x, math.inf), value)
    small = on.fcmp_ordered("<", x, _number(x, _SMALLEST))
    return on.select(small, _number(x, 0.0), value)


def _expm1(on: Any, x: Any) -> Any:
    """exp(x) - 1 for 0 <= x < 709."""
    half, p, unscaled = _exp_parts(on, x)
    power = on.fadd(half, half)
    whole = _times_plus(on, power, p, on.fsub(power, _number(x, 1.0)))
    return on.select(unscaled, p, whole)


def _magnitude(on: Any, x: Any) -> Any:
    return call(on, "fabs", x)


def _with_sign_of(on: Any, value: Any, x: Any) -> Any:
    return call(on, "copysign", value, x)


def tanh(on: Any, x: Any) -> Any:
    """The hyperbolic tangent."""
    twice = on.fmul(_magnitude(on, x), _number(x, 2.0))
    beyond = on.fcmp_ordered(">", twice, _number(x, 60.0))
    e = _expm1(on, on.select(beyond, _number(x, 60.0), twice))
    return _with_sign_of(on, on.fdiv(e, on.fadd(e, _number(x, 2.0))), x)


def sinh(on: Any, x: Any) -> Any:
    """The hyperbolic sine; infinite from 709 on."""
    size = _magnitude(on, x)
    e = _expm1(on, size)
    value = on.fadd(e, on.fdiv(e, on.fadd(e, _number(x, 1.0))))
    value = on.fmul(value, _number(x, 0.5))
    large = on.fcmp_ordered(">", size, _number(x, 709.0))
    return _with_sign_of(on, on.select(large, _number(x, math.inf), value), x)


def log(on: Any, x: Any) -> Any:
    """The natural logarithm."""
    bits = on.bitcast(x, _whole(x))
    fraction = on.or_(on.and_(bits, _bits(x, _MANTISSA)), _bits(x, _ONE_BITS))
    m = on.bitcast(fraction, x.type)
    field = on.or_(on.lshr(bits, _bits(x, 52)), _bits(x, _BIAS_BITS))
    k = on.fsub(on.bitcast(field, x.type), _number(x, _BIAS))
    # m from the square root of a half on
    high = on.fcmp_ordered(">", m, _number(x, math.sqrt(2.0)))
    m = on.select(high, on.fmul(m, _number(x, 0.5)), m)
    k = on.select(high, on.fadd(k, _number(x, 1.0)), k)
    # log(m) = 2 artanh(s) = f - s (f - 2 s^2 t), f = m - 1
    f = on.fsub(m, _number(x, 1.0))
    s = on.fdiv(f, on.fadd(m, _number(x, 1.0)))
    square = on.fmul(s, s)
    t = on.fmul(on.fadd(square, square), _polynomial(on, square, _ARTANH))
    low = _times_plus(on, k, _number(x, _LOG2_LOW), on.fmul(s, on.fsub(t, f)))
    value = _times_plus(on, k, _number(x, _LOG2_HIGH), on.fadd(f, low))
    value = on.select(on.fcmp_ordered("<", x, _number(x, _TINY)), _number(x, -math.inf), value)
    wrong = on.fcmp_unordered("<", x, _number(x, 0.0))
    value = on.select(wrong, _number(x, math.nan), value)
    return on.select(on.fcmp_ordered("==", x, _number(x, math.inf)), x, value)


def asinh(on: Any, x: Any) -> Any:
    """The inverse hyperbolic sine."""
    whole = _magnitude(on, x)
    large = on.fcmp_ordered(">", whole, _number(x, 1e8))
    size = on.select(large, _number(x, 1e8), whole)
    square = on.fmul(size, size)
    root = call(on, "sqrt", on.fadd(square, _number(x, 1.0)))
    u = on.fadd(size, on.fdiv(square, on.fadd(root, _number(x, 1.0))))
    # log(1 + u), with what 1 + u loses of u
    w = on.fadd(u, _number(x, 1.0))
    lost = on.fsub(u, on.fsub(w, _number(x, 1.0)))
    value = on.fadd(log(on, w), on.fdiv(lost, w))
    # log(2 x) for a large one
    twice = on.fadd(log(on, whole), _number(x, math.log(2.0)))
    value = on.select(on.fcmp_unordered(">", whole, _number(x, 1e8)), twice, value)
    return _with_sign_of(on, value, x)


def hypot(on: Any, x: Any, y: Any) -> Any:
    """The root of the sum of two squares."""
    x, y = _magnitude(on, x), _magnitude(on, y)
    high, low = larger(on, x, y), smaller(on, x, y)
    ratio = on.fdiv(low, high)
    value = on.fmul(high, call(on, "sqrt", _times_plus(on, ratio, ratio, _number(x, 1.0))))
    return on.select(on.fcmp_ordered("==", high, _number(x, 0.0)), high, value)


def to_three_halves(on: Any, x: Any) -> Any:
    """x to the power of 3/2."""
    return on.fmul(x, call(on, "sqrt", x))


def _first_if(condition: str) -> Any:
    def rule(on: Any, x: Any, y: Any) -> Any:
        first = on.or_(on.fcmp_ordered(condition, x, y), on.fcmp_unordered("uno", y, y))
        return on.select(first, x, y)

    return rule


#: The larger and the smaller of two numbers, or the one of them that is a number.
larger, smaller = _first_if(">"), _first_if("<")
