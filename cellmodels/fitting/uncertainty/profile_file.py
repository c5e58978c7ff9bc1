"""Profiles that are done, on disk: plain JSON, replaced in one step."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from cellmodels.errors import InputError
from cellmodels.fitting.uncertainty.profile_path import Met, ProfilePoint
from cellmodels.fitting.uncertainty.profile_path import Path as Side
from cellmodels.fitting.uncertainty.profile_way import Followed, Way
from cellmodels.fitting.uncertainty.workers import Refit
from cellmodels.writing import replacing

__all__ = ["ProfileFile"]

_SCHEMA = "cellmodels-profile/1"


class ProfileFile:
    """What was followed so far; on disk where there is a file.

    Parameters
    ----------
    path : path, optional
        Continued where it exists.
    mark : str
        Identifies the problem.

    Raises
    ------
    InputError
        When the file is of another problem, or none of profiles.
    """

    def __init__(self, path: str | os.PathLike[str] | None, mark: str) -> None:
        self._file = None if path is None else Path(path).absolute()
        self._mark = mark
        self._done: dict[str, Followed] = {}
        if self._file is None:
            return
        if self._file.exists():
            self._done = self._read(self._file)
        elif not self._file.parent.is_dir():
            raise InputError(f"The folder of the checkpoint {self._file} does not exist.")

    def get(self, way: Way) -> Followed | None:
        """What was found on a way, if it was followed."""
        return self._done.get(repr(way))

    def add(self, way: Way, found: Followed) -> None:
        """Keep what was found on a way."""
        self._done[repr(way)] = found
        if self._file is None:
            return
        done = {key: _written(each) for key, each in self._done.items()}
        content = {"schema": _SCHEMA, "mark": self._mark, "done": done}
        with replacing(self._file) as temporary:
            temporary.write_text(json.dumps(content, allow_nan=False), encoding="utf8")

    def _read(self, file: Path) -> dict[str, Followed]:
        try:
            content = json.loads(file.read_text(encoding="utf8"))
            if content["schema"] != _SCHEMA:
                raise ValueError(f"schema {content['schema']!r}")
            done = {str(key): _followed(each) for key, each in content["done"].items()}
            same = content["mark"] == self._mark
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise InputError(f"{file} is not a checkpoint of profiles: {error!r}.") from error
        if not same:
            raise InputError(f"The checkpoint {file} belongs to another fit.")
        return done


def _written(found: Followed) -> dict[str, Any]:
    return {
        "low": _side_written(found.low),
        "high": _side_written(found.high),
        "behind": [_plain(asdict(end)) for end in found.behind],
    }


def _side_written(side: Side) -> dict[str, Any]:
    best = None if side.best is None else {"values": side.best.values, "cost": side.best.cost}
    points = [
        {name: getattr(point, name) for name in ProfilePoint.__dataclass_fields__}
        for point in side.points
    ]
    written: dict[str, Any] = _plain(
        {
            "points": points,
            "end": side.end,
            "crossing": side.crossing,
            "evaluations": side.evaluations,
            "failures": side.failures,
            "best": best,
        }
    )
    return written


def _plain(value: Any) -> Any:
    """In JSON's types; numbers that it does not have as texts."""
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    return value


def _followed(entry: Mapping[str, Any]) -> Followed:
    behind = tuple(
        Refit(
            _floats(end["scaled"]),
            float(end["cost"]),
            str(end["status"]),
            int(end["evaluations"]),
            str(end["message"]),
            _floats(end["information"]),
        )
        for end in entry["behind"]
    )
    return Followed(_side(entry["low"]), _side(entry["high"]), behind)


def _side(entry: Mapping[str, Any]) -> Side:
    best = entry["best"]
    return Side(
        points=[_point(point) for point in entry["points"]],
        end=str(entry["end"]),
        crossing=float(entry["crossing"]),
        evaluations=int(entry["evaluations"]),
        failures=int(entry["failures"]),
        best=None if best is None else Met(np.array(_floats(best["values"])), float(best["cost"])),
    )


def _point(entry: Mapping[str, Any]) -> ProfilePoint:
    return ProfilePoint(
        at=float(entry["at"]),
        scaled=np.array(_floats(entry["scaled"])),
        deviance=float(entry["deviance"]),
        slope=float(entry["slope"]),
        tangent=np.array(_floats(entry["tangent"])),
        settled=bool(entry["settled"]),
    )


def _floats(values: Any) -> tuple[float, ...]:
    return tuple(float(x) for x in values)
