"""Measurements of one cell in several parts, put one after another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cellmodels.errors import InputError

#: Seconds by which dates of parts may overlap: clocks are rounded, and set.
_OVERLAP = 60.0


def join(
    frames: Sequence[pd.DataFrame],
    starts: Sequence[float],
    names: Sequence[str],
    where: str,
    time: str,
    cycle: str,
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Put traces one after another.

    Parameters
    ----------
    frames : sequence of pandas.DataFrame
        Each with its own time [s], ascending.
    starts : sequence of float
        Date of the first row of each [s]; NaN where there is none.
    names : sequence of str
        What they are called in messages.
    where : str
        The file or folder, for messages.
    time, cycle : str
        Names of the columns of time and of the cycle's number.

    Returns
    -------
    frame : pandas.DataFrame
        The rows of all. Time goes on: by their dates if all have them, in whose order they then
        are; else each begins where the one before ends, in the given order. A part whose cycle
        numbers begin anew goes on from the last.
    attrs : dict of str to str
        How, and in which order; empty for one part.

    Raises
    ------
    InputError
        If two overlap by their dates.
    """
    if len(frames) == 1:
        return frames[0], {}
    dated = bool(np.isfinite(starts).all())
    order = sorted(range(len(frames)), key=lambda k: starts[k]) if dated else range(len(frames))
    parts: list[pd.DataFrame] = []
    end, cycles = 0.0, 0.0
    for k in order:
        frame = frames[k].copy(deep=False)
        own = frame[time].to_numpy()
        begin = starts[k] - starts[order[0]] + own[0] if dated or not parts else end
        if parts and begin < end - _OVERLAP:
            raise InputError(
                f"{where}: by its dates, {names[k]} begins {(end - begin) / 3600:.3g} hours before "
                "the part before it ends. Are these tests of different cells?"
            )
        begin = max(begin, end) if parts else float(own[0])
        frame[time] = own - own[0] + begin
        end = begin + float(own[-1] - own[0])
        if cycle in frame and np.isfinite(frame[cycle]).any():
            numbers = frame[cycle].to_numpy(dtype=float)
            first = float(np.nanmin(numbers))
            if parts and (first < cycles or first <= 1):
                frame[cycle] = numbers - first + cycles + 1
            cycles = max(cycles, float(np.nanmax(frame[cycle])))
        parts.append(frame)
    how = "by their dates" if dated else "each where the one before ends, as they have no dates"
    attrs = {"joined": f"{len(parts)} parts, {how}", "parts": ", ".join(names[k] for k in order)}
    return pd.concat(parts, ignore_index=True), attrs


def going_on(time: NDArray[np.float64], numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    """A time that begins anew where a number changes, going on from where it was.

    Parameters
    ----------
    time : ndarray, shape (n,)
        Elapsed time.
    numbers : ndarray, shape (n,)
        Of the cycle or the step in which each row is.

    Returns
    -------
    ndarray, shape (n,)
        Where the time goes back while the number stays, it still goes back.
    """
    change = np.diff(time)
    begins = (change < 0) & (numbers[1:] != numbers[:-1])
    return time + np.concatenate([[0.0], np.cumsum(np.where(begins, -change, 0.0))])
