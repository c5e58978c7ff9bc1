"""Raw traces cut into the steps of the test, by the file's own step numbers and by the current.

Where a file has no step numbers, and inside each step that it numbers, a new step begins where the
current changes its level. A level is held for three samples or more; a shorter one that lies
outside its neighbours (a pulse sampled once) is a step of its own, one between them (a ramp)
belongs to the step that it leads to. Where the current never holds a level (a drive cycle), all of
it is one step of the kind "other". A charge that ends at a held voltage is cut where the current
begins to fall.

Charges and energies are integrated by the trapezoidal rule. Who has the interval between the last
sample of a step and the first of the next? Where the file numbers its steps, the last sample of a
step is its end, as cyclers record it: the interval is the next one's, which holds its first current
from then on. Where it does not, the change may lie anywhere: each has half, and holds its own
current, so that the sum over all steps is the integral over the trace, and a charge never cancels a
discharge. A first current that was recorded as the step began and had not settled is taken to be
the second. Nothing is integrated over a gap: an interval that is longer than a minute and twenty
times as long as the usual ones of its step, or that `time_flag` says is not known. Of a rest that
is sampled rarely, the interval that leads out of it is the rest's, but for as much as the next step
usually samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from cellmodels.errors import InputError
from cellmodels.record.cycles.half_cycles import count_cycles

__all__ = ["KINDS", "kinds", "segment"]

#: What a step holds, by its code in the variable `kind`.
KINDS = ("rest", "current", "voltage", "power", "other")
_REST, _CURRENT, _VOLTAGE, _POWER, _OTHER = range(5)

_LEVEL = 0.02  # relative change of current that is another level
_NOISE = 6.0  # standard deviations that are no change
_FLOOR = 5e-4  # of the trace's largest current: what is taken for zero
_MOST_AT_REST = 3e-3  # of the largest current
_NOISE_AT_REST = 1e-2  # of the largest current, by noise
_REST_HOURS = 200.0  # a current that needs longer for the trace's capacity is a rest's
_VOLTAGE_LEVEL = 3e-4  # of the voltage: what does not change between two samples of a hold
_VOLTAGE_BAND = 2.5e-3  # of the voltage: within which a hold stays
_FALLS = 0.5  # of its current is left, at least, from one piece of a hold to the next
_RISES = 0.5  # of its current, by noise
_FEWEST = 3  # samples of a level that is held
_BLOCK = 16  # samples from which the noise around one is estimated
_RAMP = 10  # samples that a ramp may have,
_WILD = 0.2  # mean change from sample to sample, of the current: no level at all
_OVERSHOOT = 0.25  # of its level, of the first sample of a step
_RAMP_TIME = 2.0  # s, or how long it may last
_AT_ONCE = 0.1  # of the interval to the next sample: a sample recorded as the step begins
_GAP = 20.0  # times the usual interval
_SHORTEST_GAP = 60.0  # s
_WINDOW = 50_000  # rows of each piece from which the noise of a long trace is estimated
_WINDOWS = 20

Array = NDArray[np.float64]
Rows = NDArray[np.int64]
Mask = NDArray[np.bool_]


def segment(traces: xr.Dataset) -> xr.Dataset:
    """Cut a trace into the steps of the test.

    Parameters
    ----------
    traces : xarray.Dataset
        The group /traces of a record, dimension ``sample``: ``time`` [s], ``voltage`` [V] and
        ``current`` [A], positive on discharge; ``temperature`` [K], ``cycle``, ``step`` and
        ``time_flag`` are used where they are there.

    Returns
    -------
    xarray.Dataset
        Dimension ``segment``, one row a step:

        - ``first``, ``last``: its rows in the trace, both included;
        - ``kind``: 0 rest, 1 constant current, 2 constant voltage, 3 constant power, 4 other; see
          :func:`kinds`;
        - ``start_time``, ``duration`` [s]: steps follow each other without a gap. By the file's
          numbers, a step begins with the last sample of the one before it; else in the middle of
          the interval between them;
        - ``charge`` [A.h], ``energy`` [W.h]: positive on discharge;
        - ``discharge_capacity``, ``charge_capacity`` [A.h], ``discharge_energy``,
          ``charge_energy`` [W.h]: of the samples of each direction; none is negative;
        - ``gap`` [s]: time without samples, which the charge and the energy do not cover;
        - ``current`` [A], the mean over time; ``start_current``, ``end_current`` [A],
          ``start_voltage``, ``end_voltage``, ``min_voltage``, ``max_voltage`` [V];
        - ``temperature`` [K], the mean of its samples, and ``temperature_rise`` [K], from its first
          sample to its last; NaN without a temperature;
        - ``sampling_interval`` [s], the median; NaN for a single sample;
        - ``cycle``: the file's, or counted
        (:func:`cellmodels.record.cycles.half_cycles.count_cycles`),
          from 1; the attribute ``cycles`` says which;
        - ``step``: the file's step number, or NaN.

    Raises
    ------
    InputError
        If time, voltage or current are missing.
    """
    trace = _Trace.of(traces)
    scales = _Scales.of(trace)
    file_cuts = _file_cuts(trace)
    first = _cut(trace, scales, file_cuts)
    first = _split_holds(trace, scales, first)
    first = _joined_holds(trace, scales, first, file_cuts)
    return _described(trace, scales, first, file_cuts)


def kinds(steps: xr.Dataset) -> list[str]:
    """What each step holds, in words.

    Parameters
    ----------
    steps : xarray.Dataset
        From :func:`segment`.

    Returns
    -------
    list of str
        "rest", "current", "voltage", "power" or "other".
    """
    return [KINDS[code] for code in steps["kind"].values]


# --- the trace and its scales ------------------------------------------------------------------


@dataclass(frozen=True)
class _Trace:
    """Columns of a trace, shape (samples,); None where there is no such column."""

    time: Array
    voltage: Array
    current: Array
    temperature: Array | None
    cycle: Array | None
    step: Array | None
    unknown: Mask  # of the intervals between samples, shape (samples - 1,)

    @classmethod
    def of(cls, traces: xr.Dataset) -> _Trace:
        for name in ("time", "voltage", "current"):
            if name not in traces:
                raise InputError(f"A trace needs '{name}' to be cut into steps.")
        if not traces.sizes.get("sample"):
            raise InputError("A trace without samples cannot be cut into steps.")
        names = ("time", "voltage", "current", "temperature", "cycle", "step")
        columns: dict[str, Any] = {
            n: np.asarray(traces[n].values, dtype=float) if n in traces else None for n in names
        }
        unknown = np.zeros(traces.sizes["sample"] - 1, dtype=bool)
        if "time_flag" in traces:
            unknown |= traces["time_flag"].values[1:] == 1
        return cls(**columns, unknown=unknown)


@dataclass(frozen=True)
class _Scales:
    """What counts as no change.

    Parameters
    ----------
    current : float
        Change of a current that may be noise [A].
    rest : float
        Largest mean current of a rest [A].
    most_at_rest : float
        Largest current of any sample of a rest, where the current is noisy [A].
    voltage : float
        Change of a voltage that may be noise [V].
    band : float
        Within which a held voltage stays [V].
    """

    current: float
    rest: float
    most_at_rest: float
    voltage: float
    band: float

    @classmethod
    def of(cls, trace: _Trace) -> _Scales:
        largest = float(max(trace.current.max(), -trace.current.min()))
        volts = float(np.median(np.abs(_sample(trace.voltage))))
        most_at_rest = _NOISE_AT_REST * largest
        noise = _noise(trace.current, most_at_rest)
        current = max(noise, _FLOOR * largest)
        throughput = float(np.sum(np.diff(trace.time) * np.abs(trace.current[1:])) / 3600)
        slow = min(throughput / _REST_HOURS, _MOST_AT_REST * largest)
        rest = max(noise, _FLOOR * largest, slow)
        level = max(_noise(trace.voltage, _VOLTAGE_BAND * volts), _VOLTAGE_LEVEL * volts)
        return cls(
            current, rest, max(rest, most_at_rest), level, max(2.0 * level, _VOLTAGE_BAND * volts)
        )


def _sample(values: Array) -> Array:
    """All values, or of a long trace some stretches of it."""
    if len(values) <= _WINDOW * _WINDOWS:
        return values
    begins = np.linspace(0, len(values) - _WINDOW, _WINDOWS).astype(np.int64)
    return np.concatenate([values[k : k + _WINDOW] for k in begins])


def _noise(values: Array, most: float) -> float:
    """Change between samples that noise and rounding explain, from the quietest second differences.

    The quarter that is smallest is at rest or holds a level; of normal noise with the standard
    deviation s it lies below 0.3186 sqrt(6) s.
    """
    if len(values) < 4:
        return 0.0
    values = _sample(values)
    steps = np.abs(np.diff(values))
    second = np.abs(values[2:] - 2.0 * values[1:-1] + values[:-2])
    spread = _NOISE * float(np.quantile(second, 0.25)) / (0.3186 * np.sqrt(6.0))
    moved = steps[steps > 1e-9 * max(np.abs(values).max(), 1e-300)]
    digit = 1.5 * float(moved.min()) if moved.size else 0.0
    return min(max(spread, digit), most)


def _local_noise(values: Array) -> Array:
    """The same around every sample, from the blocks of samples that it lies in and between."""
    blocks = len(values) // _BLOCK
    if blocks < 1:
        return np.zeros(len(values))
    second = np.zeros(len(values))
    second[1:-1] = np.abs(values[2:] - 2.0 * values[1:-1] + values[:-2])
    table = second[: blocks * _BLOCK].reshape(blocks, _BLOCK)
    rank = _BLOCK // 4
    spread = np.partition(table, rank, axis=1)[:, rank] * _NOISE / (0.3186 * np.sqrt(6.0))
    padded = np.pad(spread, 1, mode="edge")
    largest = np.maximum(np.maximum(padded[:-2], padded[1:-1]), padded[2:])
    places = np.minimum(np.arange(len(values)) // _BLOCK, blocks - 1)
    return np.asarray(largest[places])


def _file_cuts(trace: _Trace) -> Mask:
    """Whether the file's own numbers change after each sample; shape (samples - 1,)."""
    cuts = np.zeros(len(trace.time) - 1, dtype=bool)
    for numbers in (trace.step, trace.cycle):
        if numbers is not None and _usable(numbers):
            known = np.nan_to_num(numbers, nan=-1.0)
            cuts |= known[1:] != known[:-1]
    return cuts


def _usable(numbers: Array) -> bool:
    """Whether a column may number steps or cycles: not each row, and not none."""
    known = np.isfinite(numbers)
    changes = int(np.count_nonzero(np.diff(numbers[known])))
    return bool(known.any()) and changes < max(len(numbers) / 2, 2)


# --- where the current changes -----------------------------------------------------------------


def _cut(trace: _Trace, scales: _Scales, file_cuts: Mask) -> Rows:
    """First row of each stretch between changes of the current."""
    jump, falls = _jumps(trace, scales)
    runs = _starts(file_cuts | jump)
    wild = _roughness(trace.current, runs, scales, falls) > _WILD
    block = np.cumsum(np.concatenate([[False], file_cuts]))[runs]
    return _joined_runs(runs, block, wild, trace, scales)


def _starts(cuts: Mask) -> Rows:
    return np.concatenate([[0], np.flatnonzero(cuts) + 1]).astype(np.int64)


def _jumps(trace: _Trace, scales: _Scales) -> tuple[Mask, Mask]:
    """Whether the current changes its level after each sample, and whether it falls in a hold.

    A current that falls while the voltage stays is that of a hold, sampled rarely.
    """
    current, voltage = trace.current, trace.voltage
    size = np.abs(current)
    noise = _local_noise(current)
    at_rest = size <= np.maximum(scales.rest, np.minimum(noise, scales.most_at_rest))
    change = np.abs(np.diff(current))
    larger = np.maximum(size[1:], size[:-1])
    larger *= _LEVEL
    jump = change > np.maximum(larger, scales.current)
    jump &= change > noise[:-1]
    del change, larger, noise
    falls = (size[1:] < size[:-1]) & (np.abs(np.diff(voltage)) <= scales.voltage)
    falls &= current[1:] * current[:-1] > 0
    jump &= ~falls
    jump |= at_rest[1:] != at_rest[:-1]
    jump |= current[1:] * current[:-1] < -(scales.rest**2)
    jump &= ~(at_rest[1:] & at_rest[:-1])
    return jump, falls


def _joined_runs(runs: Rows, block: Rows, wild: Mask, trace: _Trace, scales: _Scales) -> Rows:
    """First rows of steps, from those of levels: ramps joined, and what holds no level.

    Parameters
    ----------
    runs : ndarray of int
        First row of each level.
    block : ndarray of int
        Which of the file's own steps it is in.
    wild : ndarray of bool
        Whether it is no level, but a current that changes all the time.
    trace : _Trace
    scales : _Scales
    """
    lengths = np.diff(np.append(runs, len(trace.time)))
    level = np.add.reduceat(trace.current, runs) / lengths
    begun = np.append(trace.time[runs], trace.time[-1])
    wild = wild & (lengths >= _FEWEST)
    short = (lengths < _FEWEST) | wild
    keep = np.ones(len(runs), dtype=bool)  # whether a step begins with the run
    # groups of short levels, one after another, in the same step of the file
    edge = np.concatenate([[True], (short[1:] != short[:-1]) | (block[1:] != block[:-1])])
    begins = np.flatnonzero(edge)
    ends = np.append(begins[1:], len(runs))
    irregular = np.zeros(len(runs), dtype=bool)
    for begin, end in zip(begins[short[begins]], ends[short[begins]], strict=True):
        before = begin > 0 and block[begin - 1] == block[begin]
        after = end < len(runs) and block[end] == block[begin]
        brief = lengths[begin:end].sum() <= _RAMP or begun[end] - begun[begin] <= _RAMP_TIME
        single = end - begin == 1
        if (before or after) and brief and not (single and lengths[begin] > 1):
            # before the first and after the last row of a step of the file there is no current
            way = [level[begin - 1]] if before else [0.0]
            way += [*level[begin:end], level[end] if after else 0.0]
            ramp = _is_monotone(np.array(way), scales) or (single and not (before and after))
            ramp |= single and after and _overshoots(way[0], level[begin], level[end], scales)
        else:
            ramp = False
        if ramp:
            keep[begin:end] = False
            if after:
                keep[begin], keep[end] = True, False
        elif end - begin > 2 or wild[begin:end].any():
            keep[begin + 1 : end] = False
            irregular[begin:end] = True
    return _without_pauses(runs, lengths, block, keep, irregular)


def _roughness(current: Array, first: Rows, scales: _Scales, but: Mask | None = None) -> Array:
    """Mean change from sample to sample in each stretch, in parts of its mean current.

    Changes where `but` holds do not count. A current near that of a rest is not divided by.
    """
    change = np.zeros(len(current))
    np.abs(np.diff(current), out=change[1:])
    change[first] = 0.0
    if but is not None:
        change[1:][but] = 0.0
    lengths = np.diff(np.append(first, len(current)))
    mean = np.add.reduceat(change, first) / np.maximum(lengths - 1, 1)
    np.abs(current, out=change)
    size = np.add.reduceat(change, first) / lengths
    return np.asarray(mean / np.maximum(size, 10.0 * scales.rest + 1e-300))


def _is_monotone(levels: Array, scales: _Scales) -> bool:
    way = np.diff(levels)
    return bool(np.all(way >= -scales.current) or np.all(way <= scales.current))


def _overshoots(before: float, level: float, after: float, scales: _Scales) -> bool:
    """Whether the first sample of a step, after a rest or the other direction, is too large."""
    starts = abs(before) <= scales.rest or before * after < 0
    return starts and level * after > 0 and abs(level - after) <= _OVERSHOOT * abs(after)


def _without_pauses(runs: Rows, lengths: Rows, block: Rows, keep: Mask, irregular: Mask) -> Rows:
    """Join stretches without a level over the short pauses between them, as in a drive cycle."""
    begins = np.flatnonzero(keep)
    rows = np.add.reduceat(lengths, begins)
    odd = np.maximum.reduceat(irregular, begins)
    same = block[begins]
    inner = np.zeros(len(begins), dtype=bool)
    inner[1:-1] = (
        ~odd[1:-1] & odd[:-2] & odd[2:]
        & (same[1:-1] == same[:-2]) & (same[1:-1] == same[2:])
        & (rows[1:-1] < rows[:-2] + rows[2:])
    )  # fmt: skip
    joined = odd | inner
    keep[begins[1:][joined[1:] & joined[:-1] & (same[1:] == same[:-1])]] = False
    return runs[keep]


# --- where the voltage is held -----------------------------------------------------------------


def _split_holds(trace: _Trace, scales: _Scales, first: Rows) -> Rows:
    """Cut each stretch that ends at a held voltage where the current begins to fall."""
    current, voltage = trace.current, trace.voltage
    size = np.abs(current)
    last = np.append(first[1:], len(size)) - 1
    lengths = last - first + 1
    # the level at the end: the median of three, away from a last row that may be the next step's
    near = [np.maximum(last - back, first) for back in (1, 2, 3)]
    held = np.median([voltage[rows] for rows in near], axis=0)
    away = np.abs(voltage - np.repeat(held, lengths)) > scales.band
    away[last] = False
    rows = np.arange(len(size))
    begin = np.maximum.reduceat(np.where(away, rows, -1), first) + 1
    begin = np.maximum(begin, first)
    # from there on the current falls below the level it had
    level = np.median([size[np.maximum(begin - back, first)] for back in (1, 2, 3)], axis=0)
    limit = level - np.maximum(0.005 * level, scales.current)
    stays = (rows >= np.repeat(begin, lengths)) & (size >= np.repeat(limit, lengths))
    begin = np.maximum(np.maximum.reduceat(np.where(stays, rows, -1), first) + 1, begin)
    end = size[np.maximum(last - 1, first)]
    falls = (level - end > _LEVEL * level) & (level - end > 2.0 * scales.current)
    falls &= size[np.minimum(begin, last)] - end > 0.5 * _LEVEL * level
    before = np.minimum(begin, last) - first
    split = falls & (begin > first) & (last - begin + 1 >= _FEWEST) & (level > scales.rest)
    split &= _moved(voltage, first, begin, held) > scales.band
    split &= before >= 1
    return np.sort(np.concatenate([first, begin[split]]))


def _moved(voltage: Array, first: Rows, begin: Rows, held: Array) -> Array:
    """How far from the held voltage a stretch began."""
    second = np.minimum(first + 1, np.maximum(begin - 1, first))
    return np.maximum(np.abs(voltage[first] - held), np.abs(voltage[second] - held))


def _joined_holds(trace: _Trace, scales: _Scales, first: Rows, file_cuts: Mask) -> Rows:
    """Join the pieces of one hold, which noise of the voltage made look like new levels."""
    if len(first) < 2:
        return first
    current, voltage = trace.current, trace.voltage
    kind = _kinds(trace, scales, first)
    last = np.append(first[1:], len(current)) - 1
    spread = np.maximum.reduceat(voltage, first) - np.minimum.reduceat(voltage, first)
    steady = (kind == _CURRENT) & (last - first + 1 >= _FEWEST)
    holds = (kind != _REST) & (kind != _POWER) & (spread <= scales.band)
    before, after = last[:-1], first[1:]
    ends, begins = np.abs(current[before]), np.abs(current[after])
    joins = holds[:-1] & holds[1:] & ~file_cuts[before]
    joins &= (current[before] * current[after] > 0) & (begins <= (1 + _RISES) * ends)
    numbered = trace.step is not None and _usable(trace.step)
    joins &= begins >= (0.0 if numbered else _FALLS) * ends
    joins &= np.abs(voltage[after] - voltage[before]) <= scales.band
    group = np.concatenate([[0], np.cumsum(~joins)])
    groups = np.flatnonzero(np.concatenate([[True], ~joins]))
    real = np.maximum.reduceat(kind == _VOLTAGE, groups)
    ended = np.append(groups[1:], len(first)) - 1
    falls = np.abs(current[last[ended]]) < _FALLS * np.abs(current[first[groups]])
    falls &= last[ended] - first[groups] + 1 >= _FEWEST
    real |= falls & ~np.maximum.reduceat(steady, groups)
    return first[np.concatenate([[True], ~(joins & real[group[1:]])])]


# --- what each step is -------------------------------------------------------------------------


def _described(trace: _Trace, scales: _Scales, first: Rows, file_cuts: Mask) -> xr.Dataset:
    last = np.append(first[1:], len(trace.time)) - 1
    time, voltage, current = trace.time, trace.voltage, trace.current
    interval = np.array(
        [
            float(np.median(np.diff(time[a : b + 1]))) if b > a else np.nan
            for a, b in _pairs(first, last)
        ]
    )
    kind = _kinds(trace, scales, first)
    numbered = file_cuts[last[:-1]]
    span = _Spans.of(time, first, last, interval, kind == _REST, numbered, trace.unknown)
    weight = span.weights(time, first, last)
    charges, energies = [], []
    settled = _settled(trace, first, last, kind)
    for sign in (1.0, -1.0):
        weighted = np.maximum(sign * settled, 0.0)
        weighted *= weight
        charges.append(np.add.reduceat(weighted, first) / 3600)
        weighted *= voltage
        energies.append(np.add.reduceat(weighted, first) / 3600)
    charge, energy = charges[0] - charges[1], energies[0] - energies[1]
    covered = np.add.reduceat(weight, first)
    del weight, weighted
    mean = np.add.reduceat(current, first) / (last - first + 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(covered > 0, charge * 3600 / covered, mean)
    warm, rise = _temperatures(trace.temperature, first, last)
    columns: dict[str, tuple[NDArray[Any], str, str]] = {
        "first": (first, "-", "first row in the trace"),
        "last": (last, "-", "last row in the trace"),
        "start_time": (span.start, "s", "start"),
        "duration": (span.end - span.start, "s", "duration"),
        "charge": (charge, "A.h", "charge, positive on discharge"),
        "energy": (energy, "W.h", "energy, positive on discharge"),
        "discharge_capacity": (charges[0], "A.h", "charge of its samples that discharge"),
        "charge_capacity": (charges[1], "A.h", "charge of its samples that charge"),
        "discharge_energy": (energies[0], "W.h", "energy of its samples that discharge"),
        "charge_energy": (energies[1], "W.h", "energy of its samples that charge"),
        "gap": (span.gap, "s", "time without samples, not integrated"),
        "current": (mean, "A", "mean current, positive on discharge"),
        "start_current": (current[first], "A", "current of the first sample"),
        "end_current": (current[last], "A", "current of the last sample"),
        "start_voltage": (voltage[first], "V", "voltage of the first sample"),
        "end_voltage": (voltage[last], "V", "voltage of the last sample"),
        "min_voltage": (np.minimum.reduceat(voltage, first), "V", "lowest voltage"),
        "max_voltage": (np.maximum.reduceat(voltage, first), "V", "highest voltage"),
        "temperature": (warm, "K", "mean temperature"),
        "temperature_rise": (rise, "K", "temperature of the last sample less that of the first"),
        "sampling_interval": (interval, "s", "median interval between samples"),
    }
    cycle, how = _cycles(trace.cycle, first, charge)
    columns["cycle"] = (cycle, "-", "cycle number")
    nan = np.full(len(first), np.nan)
    steps = nan if trace.step is None else trace.step[first]
    columns["step"] = (steps, "-", "step number of the file")
    dataset = xr.Dataset(
        {
            name: ("segment", values, {"units": unit, "long_name": words})
            for name, (values, unit, words) in columns.items()
        },
        attrs={"cycles": how},
    )
    flags = {"flag_values": np.arange(len(KINDS), dtype=np.int8), "flag_meanings": " ".join(KINDS)}
    dataset["kind"] = ("segment", kind, {"units": "-", "long_name": "what is held", **flags})
    return dataset


def _settled(trace: _Trace, first: Rows, last: Rows, kind: NDArray[np.int8]) -> Array:
    """Currents to integrate: a step's first that was recorded before it had settled is the second.

    Where a step's first sample is recorded as it begins, right after the sample before, and the
    next only much later, a first current that is not yet that of the step stands for milliseconds.
    """
    current, time = trace.current, trace.time
    rows = first[(kind == _CURRENT) & (last - first >= 2) & (first > 0)]
    before, after = time[rows] - time[rows - 1], time[rows + 1] - time[rows]
    level = current[rows + 1]
    size = np.abs(level)
    chosen = (before <= _AT_ONCE * after) & (np.abs(current[rows + 2] - level) <= _LEVEL * size)
    chosen &= np.abs(current[rows] - level) > _LEVEL * size
    settled = current.copy()
    settled[rows[chosen]] = level[chosen]
    return settled


def _pairs(first: Rows, last: Rows) -> Sequence[tuple[int, int]]:
    return list(zip(first.tolist(), last.tolist(), strict=True))


def _kinds(trace: _Trace, scales: _Scales, first: Rows) -> NDArray[np.int8]:
    """What is held, from how far current, voltage and power are from their means.

    The first tenth of a longer step and its last row are left out: they may be on the way.
    """
    last = np.append(first[1:], len(trace.time)) - 1
    lengths = last - first + 1
    half = np.diff(trace.time) / 2
    weight = np.full(len(trace.time), 1e-9)  # for samples that all have the same time
    weight[:-1] += half
    weight[1:] += half
    del half
    long = lengths >= 5
    trimmed = np.where(long, np.maximum(lengths // 10, 1), 0)
    edge = np.zeros(len(weight) + 1, dtype=np.int8)
    np.add.at(edge, first, long)
    np.add.at(edge, first + trimmed, -long.astype(np.int8))
    weight[np.cumsum(edge[:-1], dtype=np.int8) > 0] = 0.0
    weight[last[long]] = 0.0
    del edge
    count = lengths - trimmed - long
    total = np.add.reduceat(weight, first)

    def spread(values: Array) -> tuple[Array, Array]:
        mean = np.add.reduceat(weight * values, first) / total
        off = values - np.repeat(mean, lengths)
        np.abs(off, out=off)
        off *= weight
        return mean, np.add.reduceat(off, first) / total

    amps, amps_spread = spread(trace.current)
    volts, volts_spread = spread(trace.voltage)
    watts, watts_spread = spread(trace.current * trace.voltage)
    with np.errstate(invalid="ignore", divide="ignore"):
        i, v, p = (
            np.nan_to_num(s / np.abs(m), posinf=0.0)
            for m, s in (
                (amps, amps_spread),
                (volts, volts_spread),
                (watts, watts_spread),
            )
        )
    most = np.maximum.reduceat(np.abs(trace.current) * (weight > 0), first)
    rough = _roughness(trace.current, first, scales)
    noisy = np.where(rough < _WILD, rough, 0.0)
    kind = np.full(len(first), _OTHER, dtype=np.int8)
    kind[(i <= np.maximum(_LEVEL, noisy)) | (count < 2)] = _CURRENT
    starts, ends = np.abs(trace.current[first]), np.abs(trace.current[last])
    starts = np.maximum(starts, np.abs(trace.current[np.minimum(first + 1, last)]))
    trend = (i > 1.5 * rough) | (ends < _FALLS * starts)
    real = (i > 3e-3) & trend & (lengths >= _FEWEST)
    kind[real & (p <= 0.25 * i) & (v > 0.5 * i)] = _POWER
    flat = (v <= 0.1 * i) & (volts_spread <= scales.band)
    kind[real & flat & (i > 0.5 * _LEVEL) & (ends < starts)] = _VOLTAGE
    quiet = (np.abs(amps) <= scales.rest) & (most <= scales.most_at_rest)
    kind[quiet | (most <= scales.rest)] = _REST
    return kind


def _temperatures(values: Array | None, first: Rows, last: Rows) -> tuple[Array, Array]:
    if values is None:
        nan = np.full(len(first), np.nan)
        return nan, nan.copy()
    known = np.isfinite(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.add.reduceat(np.where(known, values, 0.0), first) / np.add.reduceat(
            known, first, dtype=np.int64
        )
    return mean, values[last] - values[first]


def _cycles(numbers: Array | None, first: Rows, charge: Array) -> tuple[Rows, str]:
    """Cycle of each step, from 1, and whose numbers these are."""
    how = "counted by throughput"
    if numbers is not None:
        own = numbers[first]
        known = np.flatnonzero(np.isfinite(own))
        if not known.size or not _usable(numbers) or np.ptp(own[known]) == 0:
            how += ", as the file does not number them"
        elif np.any(np.diff(own[known]) < 0):
            how += ", as the file's numbers go back"
        else:
            places = np.where(np.isfinite(own), np.arange(len(own)), known[0])
            own = own[np.maximum.accumulate(places)]
            if own[0] >= 1:
                return own.astype(np.int64), "the file's"
            return (own - own[0] + 1).astype(np.int64), f"the file's, from 1 instead of {own[0]:g}"
    return count_cycles(charge), how


@dataclass(frozen=True)
class _Spans:
    """Where each step begins and ends [s], and how long it has no samples."""

    start: Array
    end: Array
    gap: Array
    missing: Mask

    @classmethod
    def of(
        cls,
        time: Array,
        first: Rows,
        last: Rows,
        interval: Array,
        rest: Mask,
        numbered: Mask,
        unknown: Mask,
    ) -> _Spans:
        """Share the intervals between steps, and find the gaps."""
        usual = np.where(np.isfinite(interval), interval, 0.0)
        limit = np.maximum(_GAP * usual, _SHORTEST_GAP)
        between = np.diff(time)
        missing = np.zeros(len(between), dtype=bool)
        suspects = np.flatnonzero((between > _SHORTEST_GAP) | unknown)
        owner = np.searchsorted(first, suspects, side="right") - 1
        inner = suspects < last[owner]
        long = (between[suspects] > limit[owner]) | unknown[suspects]
        chosen = inner & ~rest[owner] & long
        missing[suspects[chosen]] = True
        gap = np.zeros(len(first))
        np.add.at(gap, owner[chosen], between[suspects[chosen]])
        # the interval between two steps: the second's, or half of it each
        width = between[last[:-1]]
        share = np.where(numbered, 1.0, 0.5)
        flows = ~rest
        right = share * width
        single = ~np.isfinite(interval)
        rare = rest[:-1] & flows[1:] & ~single[1:] & (width > 2 * usual[1:])
        right = np.where(rare, share * usual[1:], right)
        rare = flows[:-1] & rest[1:] & ~single[:-1] & (width > 2 * usual[:-1]) & ~numbered
        right = np.where(rare, width - usual[:-1] / 2, right)
        left = width - right
        both = flows[1:] & (flows[:-1] | single[1:])
        both &= (width > np.maximum(limit[:-1], limit[1:])) | unknown[last[:-1]]
        start, end = time[first].copy(), time[last].copy()
        end[:-1] += left
        start[1:] = end[:-1]
        gap[:-1] += np.where(both, left, 0.0)
        gap[1:] += np.where(both, right, 0.0)
        missing[last[:-1][both]] = True
        return cls(start, end, gap, missing)

    def weights(self, time: Array, first: Rows, last: Rows) -> Array:
        """Duration for which each sample stands [s]: integrals are sums of weight times value."""
        half = np.diff(time)
        half *= 0.5
        half[self.missing] = 0.0
        weight = np.zeros(len(time))
        weight[:-1] += half
        weight[1:] += half
        inner = last[:-1]
        shared = ~self.missing[inner]
        own = half[inner[shared]]
        left = self.end[:-1][shared] - time[inner[shared]]
        weight[inner[shared]] += left - own
        weight[first[1:][shared]] += own - left
        return weight
