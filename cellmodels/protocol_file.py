"""The form of a protocol file; see :meth:`cellmodels.protocol.Protocol.load`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from cellmodels.toml_io import validate

_Step = Annotated[str, Field(max_length=1000)]
_Steps = Annotated[list[_Step], Field(min_length=1, max_length=1000)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class CycleSection(_Section):
    """``[protocol]``."""

    name: str = ""
    cycle: _Steps


class TestSection(_Section):
    """``[[checkup.test]]``."""

    __test__ = False

    name: str
    steps: _Steps
    measure: str = "capacity"
    voltages_at: Annotated[list[float | str], Field(max_length=10_000)] = []
    times_at: Annotated[list[float | str], Field(max_length=10_000)] = []


class CheckupSection(_Section):
    """``[[checkup]]``; without tests the usual ones."""

    every: Annotated[int, Field(ge=1)]
    disturbs: bool = False
    counts: bool = False
    test: Annotated[list[TestSection], Field(max_length=1000)] = []


class PauseSection(_Section):
    """``[[pause]]``."""

    after_cycle: Annotated[int, Field(ge=0)]
    step: _Step | _Steps


class ProtocolFile(_Section):
    """A whole file."""

    protocol: CycleSection
    checkup: Annotated[list[CheckupSection], Field(max_length=1000)] = []
    pause: Annotated[list[PauseSection], Field(max_length=10_000)] = []


_ADAPTER = TypeAdapter(ProtocolFile)


def protocol_file(data: Mapping[str, Any], where: str) -> ProtocolFile:
    """Check the content of a protocol file.

    Parameters
    ----------
    data : mapping
        What was read.
    where : str
        The file's name, for the error message.

    Returns
    -------
    ProtocolFile

    Raises
    ------
    InputError
        If keys are missing or unknown, or values have the wrong type.
    """
    return validate(_ADAPTER, data, where)
