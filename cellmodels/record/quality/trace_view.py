"""A trace as its faults are looked for: rows that are known, scales, and what is found."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Mask = NDArray[np.bool_]

REFUSED, NOTED = "refused", "noted"

FEWEST = 20  # rows, for what is told by the trace's own habits
FLOWS = 0.01  # of the largest current
LONG = 0.02  # of the charge that the trace moves


class Found(NamedTuple):
    """A fault, at samples instead of at rows of a file."""

    kind: str
    variable: str
    samples: NDArray[np.intp]
    severity: str
    message: str
    repair: str = ""


@dataclass(frozen=True)
class View:
    """Times, voltages and currents of a trace, those rows that have all three.

    Parameters
    ----------
    dataset : xarray.Dataset
        /traces of a record, whether its numbers are possible or not.
    """

    dataset: xr.Dataset

    @cached_property
    def known(self) -> NDArray[np.intp] | None:
        """Samples of these rows; None for all."""
        good: Mask = np.ones(self.dataset.sizes["sample"], dtype=bool)
        for name in ("time", "voltage", "current"):
            good &= np.isfinite(self.dataset[name].values)
        return None if good.all() else np.flatnonzero(good)

    def of(self, name: str) -> Numbers:
        """A variable in these rows."""
        values = self.dataset[name].values
        return values if self.known is None else values[self.known]

    def samples(self, found: Mask | NDArray[np.intp]) -> NDArray[np.intp]:
        """From places among these rows to samples."""
        places = np.flatnonzero(found) if found.dtype == bool else np.asarray(found, np.intp)
        return places if self.known is None else self.known[places]

    @cached_property
    def time(self) -> Numbers:
        """Times [s]."""
        return self.of("time")

    @cached_property
    def voltage(self) -> Numbers:
        """Voltages [V]."""
        return self.of("voltage")

    @cached_property
    def current(self) -> Numbers:
        """Currents [A], positive on discharge."""
        return self.of("current")

    @cached_property
    def intervals(self) -> Numbers:
        """Seconds from each row to the next; 0 where the time goes back."""
        return np.maximum(np.diff(self.time), 0.0)

    @cached_property
    def ordered(self) -> bool:
        """Whether the time never goes back."""
        return not behind(self.time).any()

    @cached_property
    def interval(self) -> float:
        """The usual one [s]."""
        positive = self.intervals[self.intervals > 0]
        return float(np.median(positive)) if positive.size else 0.0

    @cached_property
    def charges(self) -> Numbers:
        """Charge from each row to the next [A.h], by the trapezoidal rule."""
        mean = self.current[1:] + self.current[:-1]
        mean *= self.intervals
        mean /= 2 * 3600.0
        return mean

    @cached_property
    def moved(self) -> float:
        """Range of the charge [A.h], of the part of the trace that is not a drift."""
        if len(self.time) < 2:
            return 0.0
        charge = np.cumsum(self.charges)
        return float(max(charge.max(), 0.0) - min(charge.min(), 0.0))

    @cached_property
    def largest(self) -> float:
        """Largest current [A] but for single spikes."""
        size = np.abs(self.current)
        size = size[size > 0]
        return float(np.quantile(size, 0.99)) if size.size else 0.0

    @cached_property
    def span(self) -> float:
        """Range of the voltages [V] but for single spikes."""
        if not len(self.voltage):
            return 0.0
        low, high = np.quantile(self.voltage, (0.005, 0.995))
        return float(high - low)

    @cached_property
    def runs(self) -> NDArray[np.intp]:
        """Stretches [a, b) of rows in which the current keeps its sign, or rests; shape (n, 2)."""
        state = np.sign(np.where(np.abs(self.current) > FLOWS * self.largest, self.current, 0.0))
        edges = np.flatnonzero(np.diff(state)) + 1
        ends = np.r_[0, edges, len(state)]
        return np.stack([ends[:-1], ends[1:]], axis=1)


def behind(time: Numbers) -> Mask:
    """Rows whose time is before one that was reached already."""
    return time < np.maximum.accumulate(time)


def last_digit(values: Numbers) -> float:
    """The smallest step of a channel: of its first rows, where these are many."""
    steps = np.abs(np.diff(values[:100_000]))
    steps = steps[steps > 0]
    return float(steps.min()) if steps.size else 0.0
