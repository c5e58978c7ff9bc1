"""What a file says about itself in the lines before its table."""

from __future__ import annotations

import re
from collections.abc import Iterable

_MOST = 100
_LONGEST = 500
_ENTRY = re.compile(r"[~#\s\"]*([A-Za-z][^:=\t,;]{1,60}?)\s*(?:[:=]\s*[\t,;]?|[\t,;])\s*(.+)")


def described(lines: Iterable[str]) -> dict[str, str]:
    """Read lines such as "Channel: 1" as attributes of a record.

    Parameters
    ----------
    lines : iterable of str
        Before the table.

    Returns
    -------
    dict of str to str
        Names begin with ``instrument_``.
    """
    found: dict[str, str] = {}
    for line in (one for one in lines if len(one) < _LONGEST):
        match = _ENTRY.fullmatch(line.strip().rstrip(",;\t"))
        if match is not None and len(found) < _MOST:
            key = re.sub(r"[^A-Za-z0-9]+", "_", match[1]).strip("_").lower()
            if key:
                found.setdefault(f"instrument_{key}", match[2].strip()[:200])
    return found
