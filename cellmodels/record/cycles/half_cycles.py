"""Cycles counted by throughput, where a file does not number them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

_SHARE = 0.25  # of the largest half-cycle: less is no half-cycle


def count_cycles(charge: ArrayLike, share: float = _SHARE) -> NDArray[np.int64]:
    """Number the cycles of a test from the charges of its steps.

    The cumulative charge turns where it goes back by more than a share of the largest half-cycle:
    pulses, rests and the short charges of a pulse test turn nothing. A cycle is two half-cycles and
    begins with the direction of the first; rests belong to the half-cycle before them.

    Parameters
    ----------
    charge : array_like, shape (steps,)
        Of each step, in order [A.h]; positive on discharge.
    share : float
        Of the largest half-cycle, between 0 and 1.

    Returns
    -------
    ndarray of int, shape (steps,)
        Cycle of each step, from 1.
    """
    steps = np.nan_to_num(np.asarray(charge, dtype=float))
    if not steps.size:
        return np.empty(0, dtype=np.int64)
    total = np.concatenate([[0.0], np.cumsum(steps)])
    least, turns = 0.0, [0]
    for _ in range(20):  # the largest half-cycle is known only once small turns are left out
        turns = _turns(total, least)
        largest = float(np.max(np.abs(np.diff(total[turns]))))
        if share * largest <= least * (1 + 1e-9):
            break
        least = share * largest
    moves = np.abs(steps) > 1e-4 * float(np.max(np.abs(np.diff(total[turns])), initial=0.0))
    begins = np.zeros(len(steps), dtype=np.int64)
    for turn in turns[2:-1:2]:
        later = np.flatnonzero(moves[turn:])
        begins[turn + int(later[0]) if later.size else turn] = 1
    return 1 + np.cumsum(begins)


def _turns(total: NDArray[np.float64], least: float) -> list[int]:
    """Places where a running total turns back by more than `least`; its first and its last too."""
    turns = [0]
    best, sign = 0, 0
    low = high = 0
    for k, value in enumerate(total):
        if sign == 0:
            low = k if value < total[low] else low
            high = k if value > total[high] else high
            if total[high] - total[low] > least:
                sign = 1 if high > low else -1
                if min(low, high) > 0 and least > 0:
                    turns = [0]
                best = k
        elif sign * (value - total[best]) >= 0:
            best = k if sign * (value - total[best]) > 0 else best
        elif sign * (total[best] - value) > least:
            turns.append(best)
            sign, best = -sign, k
    if turns[-1] != len(total) - 1:
        turns.append(len(total) - 1)
    return turns
