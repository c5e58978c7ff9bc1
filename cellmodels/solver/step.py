"""What one protocol step asks of the solver, and the solved step.

Values are absolute: amperes, watts, volts, seconds and ampere-hours; positive current
discharges.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from cellmodels.solver import radau
from cellmodels.solver.dae import Dae

#: Seconds in an hour: charge and energy are reported in A.h and W.h.
HOUR = 3600.0


@dataclass(frozen=True)
class Control:
    """What is held during the step: `kind` is "current" [A], "power" [W] or "voltage" [V]."""

    kind: str
    value: float

    def residual(self, current: np.ndarray, voltage: np.ndarray) -> np.ndarray:
        """The control equation, zero when met; same shape as the arguments."""
        if self.kind == "current":
            return current - self.value
        if self.kind == "power":
            return current * voltage - self.value
        return voltage - self.value

    def weights(self, current: np.ndarray, voltage: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Its derivatives with respect to the current and the voltage."""
        if self.kind == "current":
            return np.ones_like(current), np.zeros_like(voltage)
        if self.kind == "power":
            return voltage, current
        return np.zeros_like(current), np.ones_like(voltage)


@dataclass(frozen=True)
class Stop:
    """An end condition: the step ends when sign * (quantity - value) reaches zero.

    `quantity` is "voltage" [V], "current" (magnitude) [A], "time" [s], "charge"
    (magnitude) [A.h] or "output", that output of the model which has the `name`.
    """

    quantity: str
    value: float
    sign: int = 1
    name: str = ""

    def distance(
        self,
        current: float,
        voltage: float,
        time: float,
        charge: float,
        direction: float = 0.0,
        output: float = np.nan,
    ) -> float:
        """Signed distance past the condition: not negative once it is met.

        With the `direction` that the current had before, 1 or -1, one that has turned round
        since counts as less than none: it has passed through zero. `output` is the model's,
        where the condition watches one.
        """
        quantity = {
            "voltage": voltage,
            "current": direction * current if direction else abs(current),
            "time": time,
            "charge": abs(charge),
            "output": output,
        }
        return self.sign * (quantity[self.quantity] - self.value)

    @property
    def slack(self) -> float:
        """How close to the condition counts as met: 1e-5 of a current or charge, 1 uV, 1 us."""
        return {"voltage": 1e-6, "time": 1e-6}.get(self.quantity, 1e-5 * abs(self.value))


def watched(dae: Dae, stop: Stop, points: np.ndarray, theta: np.ndarray) -> np.ndarray:
    """The output of the model that a condition watches at M points, shape (M,), if it does."""
    if stop.quantity != "output":
        return np.full(len(points), np.nan)
    return dae.outputs(points, theta)[:, dae.output_names.index(stop.name)]


@dataclass(frozen=True)
class StepSpec:
    """One step: a control, the conditions that end it, and how long it may take at most [s].

    `limit_is_end` tells whether reaching `limit` is an ordinary end of the step (the
    protocol gave a duration) or a failure (its end condition was never met).
    """

    control: Control
    stops: tuple[Stop, ...]
    limit: float
    limit_is_end: bool = False

    def met_at_start(
        self, dae: Dae, point: np.ndarray, voltage: float, theta: np.ndarray
    ) -> int | None:
        """Index of an end condition that is met before the step begins at `point`, or None."""
        for k, stop in enumerate(self.all_stops):
            output = float(watched(dae, stop, point[None], theta)[0])
            if stop.distance(point[-1], voltage, 0.0, 0.0, output=output) >= -stop.slack:
                return k
        return None

    @property
    def all_stops(self) -> tuple[Stop, ...]:
        """The end conditions and, last, the time limit."""
        return (*self.stops, Stop("time", self.limit))


@dataclass(frozen=True)
class StepSolution:
    """A solved step.

    Attributes
    ----------
    mesh : numpy.ndarray
        Interval ends in relative time, 0 … 1, shape (N + 1,).
    stages : numpy.ndarray
        v = [x, z, I] at the collocation points, shape (N, 3, n).
    duration : float
        [s].
    stop : int
        Index into `StepSpec.all_stops` of the condition that ended it.
    start : numpy.ndarray
        x at the start, shape (nx,).
    voltage : numpy.ndarray
        [V], shape (N, 3).
    skipped : bool
        The end condition was already met: the step takes no time.
    """

    mesh: np.ndarray
    stages: np.ndarray
    duration: float
    stop: int
    start: np.ndarray
    voltage: np.ndarray
    skipped: bool = False
    #: factorised Newton matrix of a neighbouring solution, reused while it contracts
    chord: object = field(default=None, compare=False, repr=False)

    @property
    def nx(self) -> int:
        """Number of differential states."""
        return len(self.start)

    @property
    def end(self) -> np.ndarray:
        """x at the end, shape (nx,)."""
        return self.start if self.skipped else self.stages[-1, -1, : self.nx]

    @property
    def current(self) -> np.ndarray:
        """[A], shape (N, 3)."""
        return self.stages[:, :, -1]

    @property
    def quadrature(self) -> np.ndarray:
        """Weights of an integral over the step's time [s], shape (N, 3)."""
        return self.duration * np.diff(self.mesh)[:, None] * radau.WEIGHTS

    @property
    def charge(self) -> float:
        """Integral of the current [A.h], positive when discharged."""
        return float(np.sum(self.quadrature * self.current)) / HOUR

    @property
    def energy(self) -> float:
        """Integral of the power [W.h], positive when discharged."""
        return float(np.sum(self.quadrature * self.current * self.voltage)) / HOUR

    @property
    def end_voltage(self) -> float:
        """Voltage at the end [V]."""
        return float(self.voltage[-1, -1])

    @property
    def times(self) -> np.ndarray:
        """Times of the collocation points [s], shape (N, 3)."""
        widths = np.diff(self.mesh)[:, None]
        return self.duration * (self.mesh[:-1, None] + widths * radau.ABSCISSAE)

    def nodes(self, interval: int) -> tuple[np.ndarray, np.ndarray]:
        """Nodes of an interval, relative to it, and the points v there.

        The start of an interval is the end of the one before; the first has none, because
        algebraic states may jump there.
        """
        if interval == 0:
            return radau.ABSCISSAE, self.stages[0]
        before = self.stages[interval - 1, -1:]
        return radau.NODES, np.concatenate([before, self.stages[interval]])

    def without_chord(self) -> StepSolution:
        """The same solution without its factorised matrix."""
        return replace(self, chord=None)


def skipped_step(start: np.ndarray, point: np.ndarray, voltage: float, stop: int) -> StepSolution:
    """A step whose end condition is met before it begins; `point` is v at its start."""
    stages = np.tile(point, (1, 3, 1))
    return StepSolution(
        mesh=np.array([0.0, 1.0]),
        stages=stages,
        duration=0.0,
        stop=stop,
        start=start,
        voltage=np.full((1, 3), voltage),
        skipped=True,
    )
