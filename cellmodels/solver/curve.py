"""Voltage of a solved step at given amounts of charge, or at given times, with derivatives.

The state is interpolated by the collocation polynomial of its interval, the algebraic
states and the voltage are then solved for at that state: potentials bend far more than
the states they follow from.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from cellmodels.solver import radau
from cellmodels.solver.algebraic import algebraic_matrix
from cellmodels.solver.collocation import Collocation
from cellmodels.solver.dae import Dae, Pattern
from cellmodels.solver.outcome import Reason, SolveFailure
from cellmodels.solver.sensitivity import StepSensitivity
from cellmodels.solver.step import HOUR, Control, StepSolution

#: Integrals of the stage polynomials from 0 to s, as coefficients of powers of s, shape (3, 4).
_INTEGRALS = np.array(
    [
        np.polynomial.Polynomial.fromroots(np.delete(radau.ABSCISSAE, k)).integ().coef
        / np.prod(radau.ABSCISSAE[k] - np.delete(radau.ABSCISSAE, k))
        for k in range(3)
    ]
)


#: Change of voltage over the largest asked charge with which a curve is continued [V].
BEYOND = 1.0


def voltage_at_charge(
    collocation: Collocation,
    control: Control,
    step: StepSolution,
    theta: np.ndarray,
    charges: np.ndarray,
    sensitivity: StepSensitivity | None = None,
    *,
    from_end: bool = False,
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    """Voltage when so much charge has passed since the step began, or is missing to its end.

    Parameters
    ----------
    control : Control
        What the step holds.
    charges : numpy.ndarray
        Magnitudes [A.h], shape (m,).
    sensitivity : StepSensitivity, optional
        Derivatives of the step along the parameters, with its stages.
    from_end : bool
        Whether charges are those that are missing to the step's end.

    Returns
    -------
    voltage : numpy.ndarray
        [V], shape (m,). Beyond the step's end (with `from_end` its start) it is continued with a
        fixed slope, `BEYOND`, so that a fit knows in which direction the curve is too short.
    directions : numpy.ndarray or None
        Shape (m, n_theta).
    reached : numpy.ndarray of bool
        Whether the step passed that much charge.

    Raises
    ------
    SolveFailure
        If no algebraic state fits an interpolated state.
    """
    sign = np.sign(step.charge) or 1.0
    passed = np.concatenate(
        [[0.0], np.cumsum(sign * (step.quadrature * step.current).sum(axis=1) / HOUR)]
    )
    # beyond its limit the curve goes on downwards, or upwards
    falls = sign * BEYOND / float(np.max(charges)) * (-1.0 if from_end else 1.0)
    within = charges <= passed[-1]
    since = np.maximum(passed[-1] - charges, 0.0) if from_end else np.minimum(charges, passed[-1])
    moved = None
    if sensitivity is not None:
        longer = sign * sensitivity.charge
        moved = np.where(from_end & within[:, None], longer, 0.0)
    values, slopes = _before_the_end(
        collocation, control, step, theta, passed, since, sensitivity, moved
    )
    values -= np.where(within, 0.0, falls * (charges - passed[-1]))
    if slopes is not None and sensitivity is not None:
        if not from_end:
            slopes[~within] = sensitivity.voltage[-1, -1]
        slopes[~within] += falls * longer
    return values, slopes, np.asarray(charges) <= passed[-1] * (1.0 + 1e-9)


def _before_the_end(
    collocation: Collocation,
    control: Control,
    step: StepSolution,
    theta: np.ndarray,
    passed: np.ndarray,
    charges: np.ndarray,
    sensitivity: StepSensitivity | None,
    moved: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Voltage at charges that the step passes, which move along `moved`, shape (m, k).

    `passed` is the charge at interval ends.
    """
    sign, widths = np.sign(step.charge) or 1.0, np.diff(step.mesh)
    owner = np.clip(np.searchsorted(passed, charges, side="right") - 1, 0, len(widths) - 1)
    place = np.array(
        [_position(step, i, sign, c - passed[i]) for i, c in zip(owner, charges, strict=True)]
    )
    where = interpolation(step.mesh, step.mesh[owner] + widths[owner] * place)
    points = where.at(step.stages, step.start)
    if sensitivity is None:
        return voltage_at_points(collocation, control, points, theta)
    stages = sensitivity.stages
    assert stages is not None
    # the last direction is along the step: what a change of the place does
    along = where.along(step.stages, step.start)
    parameters = np.column_stack([np.eye(len(theta)), np.zeros(len(theta))])

    def moves(unknowns: np.ndarray | slice) -> np.ndarray:
        fixed = where.at(stages, sensitivity.start, unknowns)
        return np.concatenate([fixed, along[:, unknowns, None]], axis=2)

    values, slopes = voltage_at_points(collocation, control, points, theta, moves, parameters)
    assert slopes is not None
    # the current whose integral the charge is
    basis = radau.lagrange_basis(radau.ABSCISSAE, place)
    rate = step.duration * np.abs(np.sum(basis * step.current[owner], axis=1)) / HOUR
    shift = np.array(
        [
            _charge_directions(step, sensitivity, i, s, sign)
            for i, s in zip(owner, place, strict=True)
        ]
    )
    return values, slopes[:, :-1] + slopes[:, -1:] * (moved - shift) / rate[:, None]


def _position(step: StepSolution, i: int, sign: float, charge: float) -> float:
    """Relative position in interval i where so much of its charge has passed."""
    scale = step.duration * np.diff(step.mesh)[i] * sign / HOUR
    polynomial = np.polynomial.Polynomial(scale * (step.current[i] @ _INTEGRALS))
    s = min(charge / polynomial(1.0), 1.0)
    for _ in range(20):
        change = (polynomial(s) - charge) / polynomial.deriv()(s)
        s -= change
        if abs(change) < 1e-13:
            break
    return float(min(s, 1.0))


def _charge_directions(
    step: StepSolution, sensitivity: StepSensitivity, i: int, s: float, sign: float
) -> np.ndarray:
    """Derivative of the charge passed at a fixed relative position of the step, shape (k,)."""
    widths = np.diff(step.mesh)
    weights = widths[:, None] * radau.WEIGHTS
    weights[i + 1 :] = 0.0
    weights[i] = widths[i] * (_INTEGRALS @ s ** np.arange(4))
    by_current = step.duration * np.einsum("ij,ijk->k", weights, sensitivity.current)
    by_duration = float(np.sum(weights * step.current)) * sensitivity.duration
    return sign * (by_current + by_duration) / HOUR


# --- at given times ------------------------------------------------------------------------------

#: The Lagrange polynomials over the nodes of an interval as coefficients of powers, and their
#: derivatives, shape (4, 4): power, node.
_POWERS = np.linalg.inv(radau.NODES[:, None] ** np.arange(4))
_SLOPES = np.arange(1, 4)[:, None] * _POWERS[1:]

#: Weights that extrapolate the stages of an interval to its start, shape (3,).
_AT_START = radau.lagrange_basis(radau.ABSCISSAE, 0.0)[0]

#: A point this long after a step's end still belongs to it [s].
_AFTER = 1e-6
#: Corrections of the algebraic states: the largest that is left, and how many there may be.
_TOLERANCE, _MOST = 1e-8, 20


@dataclass(frozen=True)
class StepDirections:
    """How a step, and the times at which it is asked for, move along k directions.

    Attributes
    ----------
    step : StepSensitivity
        With its stages.
    parameters : numpy.ndarray
        dtheta, shape (n_theta, k).
    times : numpy.ndarray
        Of all times since the step began [s], shape (k,).
    """

    step: StepSensitivity
    parameters: np.ndarray
    times: np.ndarray


@dataclass(frozen=True)
class AtTimes:
    """Voltage and outputs at m times.

    Attributes
    ----------
    voltage : numpy.ndarray
        [V], shape (m,).
    slopes : numpy.ndarray or None
        Its derivatives along k directions, shape (m, k).
    outputs : numpy.ndarray
        The model's outputs, shape (m, o).
    output_slopes : numpy.ndarray or None
        Their derivatives, shape (m, o, k).
    """

    voltage: np.ndarray
    slopes: np.ndarray | None
    outputs: np.ndarray
    output_slopes: np.ndarray | None


def voltage_at_times(
    collocation: Collocation,
    control: Control,
    step: StepSolution,
    theta: np.ndarray,
    times: np.ndarray,
    directions: StepDirections | None = None,
    beyond: float = 0.0,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Voltage at times since the step began; `at_times` without the outputs."""
    found = at_times(collocation, control, step, theta, times, directions, beyond)
    return found.voltage, found.slopes


def at_times(
    collocation: Collocation,
    control: Control,
    step: StepSolution,
    theta: np.ndarray,
    times: np.ndarray,
    directions: StepDirections | None = None,
    beyond: float = 0.0,
) -> AtTimes:
    """Voltage and outputs at times since the step began.

    Parameters
    ----------
    control : Control
        What the step holds.
    times : numpy.ndarray
        [s], not negative, shape (m,).
    directions : StepDirections, optional
        Along which derivatives are wanted.
    beyond : float
        Rate of change with which the voltage is continued after the step's end [V.s-1]; outputs
        stay as they are then.

    Returns
    -------
    AtTimes

    Raises
    ------
    SolveFailure
        If no algebraic state fits an interpolated state.
    """
    k, o = 0 if directions is None else len(directions.times), len(collocation.dae.output_names)
    values, outputs = np.empty(len(times)), np.empty((len(times), o))
    slopes, output_slopes = np.empty((len(times), k)), np.empty((len(times), o, k))
    within = np.zeros(len(times), bool) if step.skipped else times <= step.duration + _AFTER
    if within.any():
        inner = _inside(collocation, control, step, theta, times[within], directions)
        values[within], outputs[within] = inner.voltage, inner.outputs
        if inner.slopes is not None:
            slopes[within], output_slopes[within] = inner.slopes, inner.output_slopes
    if not within.all():
        values[~within] = step.voltage[-1, -1] + beyond * (times[~within] - step.duration)
        end = _end_outputs(collocation, step, theta, directions)
        outputs[~within] = end.outputs
        if directions is not None:
            last = _end_directions(collocation, step, theta, directions)
            slopes[~within] = last + beyond * (directions.times - directions.step.duration)
            output_slopes[~within] = end.output_slopes
    if directions is None:
        return AtTimes(values, None, outputs, None)
    return AtTimes(values, slopes, outputs, output_slopes)


def _inside(
    collocation: Collocation,
    control: Control,
    step: StepSolution,
    theta: np.ndarray,
    times: np.ndarray,
    directions: StepDirections | None,
) -> AtTimes:
    """Voltage and outputs, and their directions, at times before the step's end."""
    place = np.minimum(times / step.duration, 1.0)
    where = interpolation(step.mesh, place)
    points = where.at(step.stages, step.start)
    if control.kind == "current":
        points[:, -1] = control.value
    if directions is None:
        outputs = outputs_at_points(collocation.dae, points, theta)
        return AtTimes(*voltage_at_points(collocation, control, points, theta), *outputs)
    along = where.along(step.stages, step.start)
    rate = (directions.times - place[:, None] * directions.step.duration) / step.duration
    stages = directions.step.stages
    assert stages is not None

    def moves(unknowns: np.ndarray | slice) -> np.ndarray:
        fixed = where.at(stages, directions.step.start, unknowns)
        return fixed + along[:, unknowns, None] * rate[:, None, :]

    parameters = directions.parameters
    outputs = outputs_at_points(collocation.dae, points, theta, moves, parameters)
    voltage = voltage_at_points(collocation, control, points, theta, moves, parameters)
    return AtTimes(*voltage, *outputs)


def outputs_at_points(
    dae: Dae,
    points: np.ndarray,
    theta: np.ndarray,
    moves: Callable[[np.ndarray | slice], np.ndarray] | None = None,
    parameters: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray | None]:
    """The model's outputs at many points, which are affine in the differential states.

    A temperature is, for one; arguments as in `voltage_at_points`.

    Returns
    -------
    outputs : numpy.ndarray
        Shape (m, o).
    directions : numpy.ndarray or None
        Shape (m, o, k).
    """
    count = len(dae.output_names)
    if not count:
        none = None if parameters is None else np.empty((len(points), 0, parameters.shape[1]))
        return np.empty((len(points), 0)), none
    values = dae.outputs(points, theta)
    if moves is None or parameters is None:
        return values, None
    by_point, by_theta = dae.outputs_jacobian(points[0], theta)
    seen = np.flatnonzero(np.any(by_point, axis=0))
    change = np.einsum("os,msk->mok", by_point[:, seen], moves(seen))
    return values, change + by_theta @ parameters


def _end_outputs(
    collocation: Collocation,
    step: StepSolution,
    theta: np.ndarray,
    directions: StepDirections | None,
) -> AtTimes:
    """Outputs at the step's end, (1, o), and their directions; the voltage is left out."""
    point = step.stages[-1, -1][None].copy()
    if step.skipped:
        point[0, : step.nx] = step.start
    if directions is None:
        found = outputs_at_points(collocation.dae, point, theta)
        return AtTimes(np.empty(1), None, *found)
    moved = directions.step.end if step.skipped else directions.step.last

    def moves(unknowns: np.ndarray | slice) -> np.ndarray:
        return moved[None, unknowns]

    found = outputs_at_points(collocation.dae, point, theta, moves, directions.parameters)
    return AtTimes(np.empty(1), None, *found)


@dataclass(frozen=True)
class Interpolation:
    """Weights that give a step's values at some places from those at its stages.

    Attributes
    ----------
    owner : numpy.ndarray
        The interval of each place, shape (m,).
    states : scipy.sparse.csr_matrix
        Weights of the differential states at the very start and at all stages, (m, 1 + 3 N).
    others : scipy.sparse.csr_matrix
        Weights of the other unknowns, which may jump where a step begins, at all stages, (m, 3 N).
    states_slope, others_slope : scipy.sparse.csr_matrix
        The same for derivatives by the place.
    """

    owner: np.ndarray
    states: sp.csr_matrix
    others: sp.csr_matrix
    states_slope: sp.csr_matrix
    others_slope: sp.csr_matrix

    def at(
        self, stages: np.ndarray, start: np.ndarray, unknowns: np.ndarray | slice | None = None
    ) -> np.ndarray:
        """Values (or directions) at the places, shape (m, s, ...).

        `stages` has shape (N, 3, n, ...), `start` the differential part at the very start;
        `unknowns` ascend.
        """
        return _sums(self.states, self.others, stages, start, unknowns)

    def along(self, stages: np.ndarray, start: np.ndarray) -> np.ndarray:
        """Derivatives of the values by the place, shape (m, n)."""
        return _sums(self.states_slope, self.others_slope, stages, start, None)


def _sums(
    states: sp.csr_matrix,
    others: sp.csr_matrix,
    stages: np.ndarray,
    start: np.ndarray,
    unknowns: np.ndarray | slice | None,
) -> np.ndarray:
    chosen = np.arange(stages.shape[2])[slice(None) if unknowns is None else unknowns]
    count = int(np.searchsorted(chosen, len(start)))
    flat = stages.reshape(len(stages) * 3, *stages.shape[2:])[:, chosen]
    x = np.concatenate([start[None, chosen[:count]], flat[:, :count]])
    out = np.empty((states.shape[0], len(chosen), *stages.shape[3:]))
    out[:, :count] = (states @ x.reshape(len(x), -1)).reshape(out[:, :count].shape)
    if count < len(chosen):
        rest = flat[:, count:]
        out[:, count:] = (others @ rest.reshape(len(rest), -1)).reshape(out[:, count:].shape)
    return out


def interpolation(
    mesh: np.ndarray, places: np.ndarray, firsts: np.ndarray | None = None
) -> Interpolation:
    """How to interpolate at places of a mesh (interval ends, shape (N + 1,)).

    `firsts` are the intervals with which steps begin; by default only the first.
    """
    owner = np.clip(np.searchsorted(mesh, places) - 1, 0, len(mesh) - 2)
    width = np.diff(mesh)[owner]
    powers = ((places - mesh[owner]) / width)[:, None] ** np.arange(4)
    jumps = np.isin(owner, [0] if firsts is None else firsts)
    value = powers @ _POWERS
    slope = powers[:, :3] @ _SLOPES / width[:, None]
    # column of an interval's beginning and of its stages; the very start comes first
    columns = 3 * owner[:, None] + np.arange(4)

    def matrices(weights: np.ndarray) -> tuple[sp.csr_matrix, sp.csr_matrix]:
        extrapolated = weights[:, 1:] + weights[:, :1] * _AT_START
        other = np.where(jumps[:, None], np.column_stack([0.0 * width, extrapolated]), weights)
        rows = 4 * np.arange(len(places) + 1)
        shape = (len(places), 3 * (len(mesh) - 1) + 1)
        both = [
            sp.csr_matrix((w.ravel(), columns.ravel(), rows), shape=shape) for w in (weights, other)
        ]
        return both[0], both[1][:, 1:]

    states, others = matrices(value)
    return Interpolation(owner, states, others, *matrices(slope))


def _end_directions(
    collocation: Collocation, step: StepSolution, theta: np.ndarray, directions: StepDirections
) -> np.ndarray:
    """Directions of the voltage at the step's end, shape (k,)."""
    if not step.skipped:
        return directions.step.voltage[-1, -1]
    point, start = step.stages[-1, -1], directions.step.start
    moved = np.concatenate([start, np.zeros((len(point) - len(start), start.shape[1]))])
    held = Control("current", float(point[-1]))
    _, slopes = voltage_at_points(
        collocation,
        held,
        point[None],
        theta,
        lambda unknowns: moved[None, unknowns],
        directions.parameters,
    )
    assert slopes is not None
    return np.asarray(slopes[0])


def voltage_at_points(
    collocation: Collocation,
    control: Control,
    points: np.ndarray,
    theta: np.ndarray,
    moves: Callable[[np.ndarray | slice], np.ndarray] | None = None,
    parameters: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray | None]:
    """The voltage at many states, algebraic states and a free current following them.

    Parameters
    ----------
    points : numpy.ndarray
        v = [x, z, I], shape (m, n); z is a guess, and so is I unless it is held.
    moves : callable, optional
        Directions of some unknowns of the points, shape (m, s, k).
    parameters : numpy.ndarray, optional
        dtheta, shape (n_theta, k).

    Returns
    -------
    voltage : numpy.ndarray
        [V], shape (m,).
    directions : numpy.ndarray or None
        Shape (m, k).
    """
    dae = collocation.dae
    if dae.nz or control.kind != "current":
        return _following(collocation, control, points, theta, moves, parameters)
    if moves is None or parameters is None:
        voltage, slopes = dae.voltage(points, theta), None
    else:
        voltage, by_point, by_theta = dae.voltage_slopes(points, theta)
        change = np.matmul(by_point[:, None, :], moves(dae.voltage_sees))[:, 0]
        slopes = change + by_theta @ parameters
    if not np.all(np.isfinite(voltage)):
        raise SolveFailure(Reason.NON_FINITE, "the voltage is not finite")
    return voltage, slopes


def _following(
    collocation: Collocation,
    control: Control,
    points: np.ndarray,
    theta: np.ndarray,
    moves: Callable[[np.ndarray | slice], np.ndarray] | None,
    parameters: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray | None]:
    """`voltage_at_points` where something follows."""
    dae, count = collocation.dae, len(points)
    nx, last = dae.nx, dae.n - 1
    groups = _in_threes(points)
    matrix = algebraic_matrix(dae, control.kind)
    for _ in range(_MOST):
        at = collocation.evaluate(groups, theta, jacobian=True)
        change, blocks, weight_v = matrix.correction(control, groups, at.system, at.jacobian)
        size = float(np.max(np.abs(change) / (1e-2 + np.abs(groups[:, :, nx:]))))
        if not np.isfinite(size):
            raise SolveFailure(Reason.NON_FINITE, "algebraic states between the stages")
        groups[:, :, nx:] += change / max(1.0, size)
        if size < _TOLERANCE:
            break
    else:
        raise SolveFailure(Reason.NO_CONSISTENT_START, "between the stages")
    values = at.system[:, :, -1].reshape(-1)[:count]
    if moves is None or parameters is None:
        return values, None
    # what the differential states and the parameters change in [g, V], and what follows
    shift = np.zeros((*groups.shape[:2], dae.nz + 1, parameters.shape[1]))
    given = _in_threes(moves(slice(nx)))
    _add_products(shift, dae.pattern, at.jacobian, given, nx, slice(0, nx))
    nonzeros = dae.parametric(groups.reshape(-1, dae.n), theta).reshape(*groups.shape[:2], -1)
    wanted = np.broadcast_to(parameters, (*groups.shape[:2], *parameters.shape))
    _add_products(shift, dae.parametric_pattern, nonzeros, wanted, nx, slice(0, len(theta)))
    rhs = -shift
    rhs[:, :, -1] *= weight_v[:, :, None]
    follows = matrix.solve(blocks, rhs)
    _add_products(shift, dae.pattern, at.jacobian, follows, last, slice(nx, dae.n))
    return values, shift[:, :, -1].reshape(-1, shift.shape[3])[:count]


def _add_products(
    out: np.ndarray,
    pattern: Pattern,
    nonzeros: np.ndarray,
    moved: np.ndarray,
    first: int,
    columns: slice,
) -> None:
    """Add the last rows, from `first` on, of a sparse matrix times directions.

    `out` ends with these rows, (G, 3, r, k); `moved`, (G, 3, c, k), are the directions of the
    given columns.
    """
    inside = (pattern.cols >= columns.start) & (pattern.cols < columns.stop)
    keep = np.flatnonzero((pattern.rows >= first) & inside)
    if not len(keep):
        return
    keep = keep[np.argsort(pattern.rows[keep], kind="stable")]
    rows, firsts = np.unique(pattern.rows[keep], return_index=True)
    products = nonzeros[:, :, keep, None] * moved[:, :, pattern.cols[keep] - columns.start]
    out[:, :, rows - pattern.height] += np.add.reduceat(products, firsts, axis=2)


def _in_threes(rows: np.ndarray) -> np.ndarray:
    """Rows in groups of three, the last one repeated where some are missing."""
    missing = -len(rows) % 3
    full = np.concatenate([rows, np.repeat(rows[-1:], missing, axis=0)])
    return full.reshape(-1, 3, *rows.shape[1:])
