"""Errors that cellmodels raises, its warnings, and the words they use to help."""

from __future__ import annotations

import difflib
import sys
import warnings
from collections.abc import Iterable
from itertools import islice

#: Longest word that is compared with others, and most others: comparing takes the square of both.
_LONGEST = 200
_MOST = 10_000


class CellModelsError(Exception):
    """Base class of every error raised on purpose by cellmodels."""


class InputError(CellModelsError, ValueError):
    """A file, number, unit, formula or protocol given by the user is wrong."""


class UnitError(InputError):
    """A unit is unknown, or has the wrong dimension."""


def warn(message: str) -> None:
    """Warn the user, at the line of his that called the library.

    Parameters
    ----------
    message : str
        What he should know.
    """
    level = 2  # 1 is this function
    frame = sys._getframe(1)
    while frame.f_back is not None and _is_own(frame.f_globals.get("__name__", "")):
        frame = frame.f_back
        level += 1
    warnings.warn(message, UserWarning, stacklevel=level)


def _is_own(module: str) -> bool:
    return module.partition(".")[0] == __name__.partition(".")[0]


def nearest(word: str, choices: Iterable[str]) -> str | None:
    """Return the choice that looks most like a word, or None.

    Parameters
    ----------
    word : str
        What the user wrote.
    choices : iterable of str
        What would have been valid.

    Returns
    -------
    str or None
        The closest choice, ignoring case; None when nothing is close.
    """
    by_lower = {choice.lower(): choice for choice in choices}
    found = close_matches(word.lower(), by_lower, 1, 0.6)
    return by_lower[found[0]] if found else None


def close_matches(word: str, choices: Iterable[str], most: int, likeness: float) -> list[str]:
    """Return the choices that look like a word, the best first.

    Parameters
    ----------
    word : str
        What the user wrote.
    choices : iterable of str
        What would have been valid.
    most : int
        How many are returned at most.
    likeness : float
        The least ratio of :func:`difflib.get_close_matches`, 0 to 1.

    Returns
    -------
    list of str
        Long texts are like nothing: to compare what a file holds must not take for ever.
    """
    if len(word) > _LONGEST:
        return []
    short = (choice for choice in choices if len(choice) <= _LONGEST)
    return difflib.get_close_matches(word, list(islice(short, _MOST)), n=most, cutoff=likeness)


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """Return the end of an error message that names the nearest valid choice.

    Parameters
    ----------
    word : str
        What the user wrote.
    choices : iterable of str
        What would have been valid.

    Returns
    -------
    str
        ``" Did you mean 'x'?"``, or the list of choices where there are at most twelve
        and none is close, or an empty string.
    """
    choices = list(choices)
    close = nearest(word, choices)
    if close is not None:
        return f" Did you mean '{close}'?"
    if 0 < len(choices) <= 12 and sum(map(len, choices)) <= 12 * _LONGEST:
        return " Choose from: " + ", ".join(choices) + "."
    return ""
