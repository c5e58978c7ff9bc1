"""CasADi's scalar functions evaluated at many points at once.

A CasADi function of scalar expressions is a list of elementary operations on numbered
work places. CasADi runs the list once for each point; here every operation is applied to
a group of points before the next one is looked at, which the processor does several times
faster. Operations and their order are CasADi's, so that the results are the same to
rounding.
"""

from __future__ import annotations

import math

import casadi as ca
import numpy as np

from cellmodels.solver import simd, vector_math
from cellmodels.solver.compiled import compiled

#: Points that are treated together: their work places should fit the processor's cache.
_LANES, _FEW = 16, 4

# What compiled code uses has to be plain numbers of this module.
_CONST, _INPUT, _OUTPUT = ca.OP_CONST, ca.OP_INPUT, ca.OP_OUTPUT
_ADD, _SUB, _MUL, _DIV, _NEG = ca.OP_ADD, ca.OP_SUB, ca.OP_MUL, ca.OP_DIV, ca.OP_NEG
_TWICE, _SQ, _SQRT, _INV, _ASSIGN = ca.OP_TWICE, ca.OP_SQ, ca.OP_SQRT, ca.OP_INV, ca.OP_ASSIGN
_FMIN, _FMAX, _FABS, _SIGN = ca.OP_FMIN, ca.OP_FMAX, ca.OP_FABS, ca.OP_SIGN
_LT, _LE, _EQ, _NE = ca.OP_LT, ca.OP_LE, ca.OP_EQ, ca.OP_NE
_NOT, _AND, _OR, _IF_ELSE_ZERO = ca.OP_NOT, ca.OP_AND, ca.OP_OR, ca.OP_IF_ELSE_ZERO
_EXP, _LOG, _POW, _CONSTPOW = ca.OP_EXP, ca.OP_LOG, ca.OP_POW, ca.OP_CONSTPOW
_EXPM1, _LOG1P, _HYPOT, _ERF = ca.OP_EXPM1, ca.OP_LOG1P, ca.OP_HYPOT, ca.OP_ERF
_SIN, _COS, _TAN = ca.OP_SIN, ca.OP_COS, ca.OP_TAN
_ASIN, _ACOS, _ATAN, _ATAN2 = ca.OP_ASIN, ca.OP_ACOS, ca.OP_ATAN, ca.OP_ATAN2
_SINH, _COSH, _TANH = ca.OP_SINH, ca.OP_COSH, ca.OP_TANH
_ASINH, _ACOSH, _ATANH = ca.OP_ASINH, ca.OP_ACOSH, ca.OP_ATANH
_FLOOR, _CEIL, _COPYSIGN, _FMOD = ca.OP_FLOOR, ca.OP_CEIL, ca.OP_COPYSIGN, ca.OP_FMOD

#: Operations of CasADi that can be evaluated here.
_KNOWN = frozenset(
    value
    for name, value in dict(globals()).items()
    if name.startswith("_") and isinstance(value, int) and name not in ("_LANES", "_FEW")
)
#: Ours, for powers with this exponent, as porous electrodes have (Bruggeman).
_THREE_HALVES = 1000


class Program:
    """A CasADi function (v, theta) -> dense vector, evaluated at M points in one call.

    Parameters
    ----------
    function : casadi.Function
        Of scalar (SX) expressions, with two inputs and one dense output.

    Raises
    ------
    LookupError
        If the function uses an operation that is not known here.
    """

    def __init__(self, function: ca.Function) -> None:
        self._size_out = function.numel_out(0)
        count = function.n_instructions()
        operation = np.array([function.instruction_id(k) for k in range(count)], np.int32)
        unknown = set(operation.tolist()) - _KNOWN
        if unknown:
            raise LookupError(f"CasADi operations {sorted(unknown)}")
        places = _Places()
        lines = np.empty((count, 4), np.int32)
        used = 0
        for k, op in enumerate(operation.tolist()):
            inputs, outputs = function.instruction_input(k), function.instruction_output(k)
            if op == _CONST:
                places.constant(outputs[0], function.instruction_constant(k))
                continue
            if op == _INPUT:
                line = (op, places.work(outputs[0]), inputs[0], inputs[1])
            elif op == _OUTPUT:
                line = (op, outputs[1], places.read(inputs[0]), 0)
            else:
                first = places.read(inputs[0])
                second = places.read(inputs[1]) if len(inputs) > 1 else first
                if op == _CONSTPOW and places.number(inputs[1]) == 1.5:
                    op = _THREE_HALVES
                line = (op, places.work(outputs[0]), first, second)
            lines[used] = line
            used += 1
        lines = lines[:used]
        # work places come after the constants
        constants = len(places.constants)
        calculates = (lines[:, 0] != _INPUT) & (lines[:, 0] != _OUTPUT)
        _shift(lines, calculates | (lines[:, 0] == _INPUT), 1, constants)
        _shift(lines, calculates | (lines[:, 0] == _OUTPUT), 2, constants)
        _shift(lines, calculates, 3, constants)
        self._lines = lines.astype(np.uint64)
        self._constants = np.array(places.constants, float)
        self._size = constants + function.sz_w()

    def __call__(self, points: np.ndarray, theta: np.ndarray) -> np.ndarray:
        """Values at the points, (M, n), shape (M, size of the output)."""
        out = np.empty((len(points), self._size_out))
        points, theta = np.ascontiguousarray(points, float), np.ascontiguousarray(theta, float)
        rest = len(points) % _LANES
        whole = len(points) - rest if rest <= _FEW else len(points)
        for lanes, part in ((_LANES, slice(0, whole)), (_FEW, slice(whole, None))):
            if len(points[part]):
                _run(
                    self._lines,
                    self._constants,
                    self._size,
                    points[part],
                    theta,
                    out[part],
                    (0,) * lanes,
                )
        return out


class _Places:
    """What each of CasADi's work places holds: a constant (given a place of its own) or not."""

    def __init__(self) -> None:
        self.constants: list[float] = []
        self._index: dict[float, int] = {}
        self._holds: dict[int, int] = {}

    def constant(self, place: int, value: float) -> None:
        if value not in self._index:
            self._index[value] = len(self.constants)
            self.constants.append(value)
        self._holds[place] = self._index[value]

    def work(self, place: int) -> int:
        self._holds.pop(place, None)
        return place

    def number(self, place: int) -> float | None:
        """The constant that a place holds, if any."""
        return self.constants[self._holds[place]] if place in self._holds else None

    def read(self, place: int) -> int:
        """Number of the place; a constant is numbered from -1 downwards."""
        return -1 - self._holds[place] if place in self._holds else place


def _shift(lines: np.ndarray, where: np.ndarray, column: int, constants: int) -> None:
    """From the numbering of `_Places.read` to rows of the work array."""
    old = lines[where, column]
    lines[where, column] = np.where(old < 0, -1 - old, old + constants)


@compiled
def _scalar(op: int, x: float, y: float) -> float:
    """The operations that have no vector instruction, or are rare."""
    if op in (_POW, _CONSTPOW):
        return x**y
    if op == _COSH:
        return np.cosh(x)
    if op == _FABS:
        return abs(x)
    if op == _INV:
        return 1.0 / x
    if op == _ASSIGN:
        return x
    if op == _IF_ELSE_ZERO:
        return y if x != 0.0 else 0.0
    if op == _SIGN:
        return np.sign(x)
    if op == _EQ:
        return 1.0 if x == y else 0.0
    if op == _NE:
        return 1.0 if x != y else 0.0
    if op == _NOT:
        return 1.0 if x == 0.0 else 0.0
    if op == _AND:
        return 1.0 if x != 0.0 and y != 0.0 else 0.0
    if op == _OR:
        return 1.0 if x != 0.0 or y != 0.0 else 0.0
    if op == _EXPM1:
        return np.expm1(x)
    if op == _LOG1P:
        return np.log1p(x)
    if op == _ERF:
        return math.erf(x)
    if op == _SIN:
        return np.sin(x)
    if op == _COS:
        return np.cos(x)
    if op == _TAN:
        return np.tan(x)
    if op == _ASIN:
        return np.arcsin(x)
    if op == _ACOS:
        return np.arccos(x)
    if op == _ATAN:
        return np.arctan(x)
    if op == _ATAN2:
        return np.arctan2(x, y)
    if op == _ACOSH:
        return np.arccosh(x)
    if op == _ATANH:
        return np.arctanh(x)
    if op == _FLOOR:
        return np.floor(x)
    if op == _CEIL:
        return np.ceil(x)
    if op == _COPYSIGN:
        return np.copysign(x, y)
    return np.fmod(x, y)  # only known operations come here


_mul = simd.operation(lambda on, x, y: on.fmul(x, y), 2)
_add = simd.operation(lambda on, x, y: on.fadd(x, y), 2)
_sub = simd.operation(lambda on, x, y: on.fsub(x, y), 2)
_div = simd.operation(lambda on, x, y: on.fdiv(x, y), 2)
_neg = simd.operation(lambda on, x: on.fneg(x), 1)
_twice = simd.operation(lambda on, x: on.fadd(x, x), 1)
_sq = simd.operation(lambda on, x: on.fmul(x, x), 1)
_sqrt = simd.operation(lambda on, x: simd.call(on, "sqrt", x), 1)
_le = simd.operation(lambda on, x, y: simd.truth(on, on.fcmp_ordered("<=", x, y)), 2)
_lt = simd.operation(lambda on, x, y: simd.truth(on, on.fcmp_ordered("<", x, y)), 2)
_fmax = simd.operation(vector_math.larger, 2)
_fmin = simd.operation(vector_math.smaller, 2)
_hypot = simd.operation(vector_math.hypot, 2)
_exp = simd.operation(vector_math.exp, 1)
_log = simd.operation(vector_math.log, 1)
_tanh = simd.operation(vector_math.tanh, 1)
_sinh = simd.operation(vector_math.sinh, 1)
_asinh = simd.operation(vector_math.asinh, 1)
_three_halves = simd.operation(vector_math.to_three_halves, 1)


@compiled
def _run(
    lines: np.ndarray,
    constants: np.ndarray,
    size: int,
    points: np.ndarray,
    theta: np.ndarray,
    out: np.ndarray,
    lanes: tuple[int, ...],
) -> None:
    """Carry out the lines (operation, target, first, second), for `lanes` points together."""
    # unsigned numbers, so that no index has to be checked for being negative
    wide = np.uint64(len(lanes))
    work = np.empty(size * len(lanes))
    for k in range(len(constants)):
        for m in range(len(lanes)):
            work[k * len(lanes) + m] = constants[k]
    for begin in range(0, len(points), len(lanes)):
        count = min(len(lanes), len(points) - begin)
        last = np.int64(count - 1)
        for k in range(len(lines)):
            op = lines[k, 0]
            w, a, b = lines[k, 1] * wide, lines[k, 2] * wide, lines[k, 3] * wide
            if op == _MUL:
                _mul(work, w, a, b, lanes)
            elif op == _ADD:
                _add(work, w, a, b, lanes)
            elif op == _DIV:
                _div(work, w, a, b, lanes)
            elif op == _SUB:
                _sub(work, w, a, b, lanes)
            elif op == _NEG:
                _neg(work, w, a, b, lanes)
            elif op == _TWICE:
                _twice(work, w, a, b, lanes)
            elif op == _SQ:
                _sq(work, w, a, b, lanes)
            elif op == _LE:
                _le(work, w, a, b, lanes)
            elif op == _LT:
                _lt(work, w, a, b, lanes)
            elif op == _SQRT:
                _sqrt(work, w, a, b, lanes)
            elif op == _FMAX:
                _fmax(work, w, a, b, lanes)
            elif op == _FMIN:
                _fmin(work, w, a, b, lanes)
            elif op == _HYPOT:
                _hypot(work, w, a, b, lanes)
            elif op == _EXP:
                _exp(work, w, a, b, lanes)
            elif op == _TANH:
                _tanh(work, w, a, b, lanes)
            elif op == _THREE_HALVES:
                _three_halves(work, w, a, b, lanes)
            elif op == _LOG:
                _log(work, w, a, b, lanes)
            elif op == _SINH:
                _sinh(work, w, a, b, lanes)
            elif op == _ASINH:
                _asinh(work, w, a, b, lanes)
            elif op == _INPUT:
                if lines[k, 2] == 0:
                    for m in range(wide):
                        work[w + m] = points[begin + min(np.int64(m), last), lines[k, 3]]
                else:
                    for m in range(wide):
                        work[w + m] = theta[lines[k, 3]]
            elif op == _OUTPUT:
                for m in range(np.uint64(count)):
                    out[begin + np.int64(m), lines[k, 1]] = work[a + m]
            else:
                for m in range(wide):
                    work[w + m] = _scalar(op, work[a + m], work[b + m])
