"""CasADi's scalar functions evaluated at many points at once.

A CasADi function of scalar expressions is a list of elementary operations on numbered
work places. CasADi runs the list once for each point; here every operation is applied to
a group of points before the next one is looked at, which the processor does several times
faster. Operations and their order are CasADi's, so that the results are the same to
rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import casadi as ca
import numba
import numpy as np

from cellmodels.solver import simd

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

#: Operations that can be evaluated here.
_KNOWN = frozenset(
    value
    for name, value in dict(globals()).items()
    if name.startswith("_") and isinstance(value, int) and name not in ("_LANES", "_FEW")
)


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
        _RUN[_FEW if len(points) <= _FEW else _LANES](
            self._lines,
            self._constants,
            self._size,
            np.ascontiguousarray(points, float),
            np.ascontiguousarray(theta, float),
            out,
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

    def read(self, place: int) -> int:
        """Number of the place; a constant is numbered from -1 downwards."""
        return -1 - self._holds[place] if place in self._holds else place


def _shift(lines: np.ndarray, where: np.ndarray, column: int, constants: int) -> None:
    """From the numbering of `_Places.read` to rows of the work array."""
    old = lines[where, column]
    lines[where, column] = np.where(old < 0, -1 - old, old + constants)


def _compiled(lanes: int) -> Callable[..., None]:
    """The evaluation of so many points together."""
    # unsigned numbers, so that no index has to be checked for being negative
    wide = np.uint64(lanes)
    one, zero = simd.constant(1.0, lanes), simd.constant(0.0, lanes)
    mul = simd.operation(lambda on, x, y: on.fmul(x, y), 2, lanes)
    add = simd.operation(lambda on, x, y: on.fadd(x, y), 2, lanes)
    sub = simd.operation(lambda on, x, y: on.fsub(x, y), 2, lanes)
    div = simd.operation(lambda on, x, y: on.fdiv(x, y), 2, lanes)
    neg = simd.operation(lambda on, x: on.fneg(x), 1, lanes)
    twice = simd.operation(lambda on, x: on.fadd(x, x), 1, lanes)
    sq = simd.operation(lambda on, x: on.fmul(x, x), 1, lanes)
    sqrt = simd.operation(simd.square_root, 1, lanes)
    le = simd.operation(
        lambda on, x, y: on.select(on.fcmp_ordered("<=", x, y), one, zero), 2, lanes
    )
    lt = simd.operation(lambda on, x, y: on.select(on.fcmp_ordered("<", x, y), one, zero), 2, lanes)

    @numba.njit(cache=True, nogil=True, error_model="numpy")
    def run(
        lines: np.ndarray,
        constants: np.ndarray,
        size: int,
        points: np.ndarray,
        theta: np.ndarray,
        out: np.ndarray,
    ) -> None:
        """Carry out the lines (operation, target, first, second) for all points."""
        work = np.empty(size * lanes)
        for k in range(len(constants)):
            for m in range(lanes):
                work[k * lanes + m] = constants[k]
        for begin in range(0, len(points), lanes):
            count = min(lanes, len(points) - begin)
            last = np.int64(count - 1)
            for k in range(len(lines)):
                op = lines[k, 0]
                w, a, b = lines[k, 1] * wide, lines[k, 2] * wide, lines[k, 3] * wide
                if op == _MUL:
                    mul(work, w, a, b)
                elif op == _ADD:
                    add(work, w, a, b)
                elif op == _DIV:
                    div(work, w, a, b)
                elif op == _SUB:
                    sub(work, w, a, b)
                elif op == _NEG:
                    neg(work, w, a, b)
                elif op == _TWICE:
                    twice(work, w, a, b)
                elif op == _SQ:
                    sq(work, w, a, b)
                elif op == _LE:
                    le(work, w, a, b)
                elif op == _LT:
                    lt(work, w, a, b)
                elif op == _SQRT:
                    sqrt(work, w, a, b)
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
                elif op == _EXP:
                    for m in range(wide):
                        work[w + m] = np.exp(work[a + m])
                elif op == _LOG:
                    for m in range(wide):
                        work[w + m] = np.log(work[a + m])
                elif op == _TANH:
                    for m in range(wide):
                        work[w + m] = np.tanh(work[a + m])
                elif op == _FMAX:
                    for m in range(wide):
                        work[w + m] = (
                            work[a + m]
                            if work[a + m] > work[b + m] or work[b + m] != work[b + m]
                            else work[b + m]
                        )
                elif op == _FMIN:
                    for m in range(wide):
                        work[w + m] = (
                            work[a + m]
                            if work[a + m] < work[b + m] or work[b + m] != work[b + m]
                            else work[b + m]
                        )
                elif op in (_POW, _CONSTPOW):
                    for m in range(wide):
                        work[w + m] = work[a + m] ** work[b + m]
                elif op == _HYPOT:
                    for m in range(wide):
                        work[w + m] = np.hypot(work[a + m], work[b + m])
                elif op == _ASINH:
                    for m in range(wide):
                        work[w + m] = np.arcsinh(work[a + m])
                elif op == _SINH:
                    for m in range(wide):
                        work[w + m] = np.sinh(work[a + m])
                elif op == _COSH:
                    for m in range(wide):
                        work[w + m] = np.cosh(work[a + m])
                elif op == _FABS:
                    for m in range(wide):
                        work[w + m] = abs(work[a + m])
                elif op == _INV:
                    for m in range(wide):
                        work[w + m] = 1.0 / work[a + m]
                elif op == _ASSIGN:
                    for m in range(wide):
                        work[w + m] = work[a + m]
                elif op == _IF_ELSE_ZERO:
                    for m in range(wide):
                        work[w + m] = work[b + m] if work[a + m] != 0.0 else 0.0
                elif op == _SIGN:
                    for m in range(wide):
                        work[w + m] = np.sign(work[a + m])
                elif op == _EQ:
                    for m in range(wide):
                        work[w + m] = 1.0 if work[a + m] == work[b + m] else 0.0
                elif op == _NE:
                    for m in range(wide):
                        work[w + m] = 1.0 if work[a + m] != work[b + m] else 0.0
                elif op == _NOT:
                    for m in range(wide):
                        work[w + m] = 1.0 if work[a + m] == 0.0 else 0.0
                elif op == _AND:
                    for m in range(wide):
                        work[w + m] = 1.0 if work[a + m] != 0.0 and work[b + m] != 0.0 else 0.0
                elif op == _OR:
                    for m in range(wide):
                        work[w + m] = 1.0 if work[a + m] != 0.0 or work[b + m] != 0.0 else 0.0
                elif op == _EXPM1:
                    for m in range(wide):
                        work[w + m] = np.expm1(work[a + m])
                elif op == _LOG1P:
                    for m in range(wide):
                        work[w + m] = np.log1p(work[a + m])
                elif op == _ERF:
                    for m in range(wide):
                        work[w + m] = math.erf(work[a + m])
                elif op == _SIN:
                    for m in range(wide):
                        work[w + m] = np.sin(work[a + m])
                elif op == _COS:
                    for m in range(wide):
                        work[w + m] = np.cos(work[a + m])
                elif op == _TAN:
                    for m in range(wide):
                        work[w + m] = np.tan(work[a + m])
                elif op == _ASIN:
                    for m in range(wide):
                        work[w + m] = np.arcsin(work[a + m])
                elif op == _ACOS:
                    for m in range(wide):
                        work[w + m] = np.arccos(work[a + m])
                elif op == _ATAN:
                    for m in range(wide):
                        work[w + m] = np.arctan(work[a + m])
                elif op == _ATAN2:
                    for m in range(wide):
                        work[w + m] = np.arctan2(work[a + m], work[b + m])
                elif op == _ACOSH:
                    for m in range(wide):
                        work[w + m] = np.arccosh(work[a + m])
                elif op == _ATANH:
                    for m in range(wide):
                        work[w + m] = np.arctanh(work[a + m])
                elif op == _FLOOR:
                    for m in range(wide):
                        work[w + m] = np.floor(work[a + m])
                elif op == _CEIL:
                    for m in range(wide):
                        work[w + m] = np.ceil(work[a + m])
                elif op == _COPYSIGN:
                    for m in range(wide):
                        work[w + m] = np.copysign(work[a + m], work[b + m])
                elif op == _FMOD:
                    for m in range(wide):
                        work[w + m] = np.fmod(work[a + m], work[b + m])

    return run


_RUN = {lanes: _compiled(lanes) for lanes in (_FEW, _LANES)}
