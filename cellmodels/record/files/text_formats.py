"""The text exports of cyclers: how each is told, and what its columns hold.

A format is told by its headers, which are compared without regard to capitals, spaces and signs.
Each known column is named with what it holds and the unit that it has where its header does not
say one; a unit in the header goes before. Currents are positive on charge in all of them, or
without sign beside a column that says whether the step charges or discharges.

The names were taken from files of these instruments and, for Landt text and Digatron, from the
tables of batterydf (Apache-2.0).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cellmodels.record.columns import plain_name, split_header

_SLASH = re.compile(r"(.+)[/#]([^/#\s]+)")


@dataclass(frozen=True)
class Format:
    """A text export.

    Parameters
    ----------
    name : str
        Of the instrument, for people.
    columns : mapping of str to str
        What a column holds, ``"current [mA]"``, by its header in small letters and underscores.
        ``wall`` is the date and time of a row, ``state`` says whether it charges or discharges,
        ``frequency`` is that of a row of impedance.
    tells : tuple of tuple of str
        Headers, in the same spelling, one of each tuple of which the file must have, beside
        those of time, voltage and current.
    blank : int
        Columns in front that are empty in rows of measurements; other rows are summaries. The
        first of them holds the number of the cycle that begins.
    sections : bool
        Whether the header may come again further down, after a new description of the test.
    unsigned : bool
        Whether currents may be without sign.
    """

    name: str
    columns: Mapping[str, str]
    tells: tuple[tuple[str, ...], ...] = ()
    blank: int = 0
    sections: bool = False
    unsigned: bool = False

    def fits(self, names: Sequence[str]) -> bool:
        """Whether a line with these names is this format's line of headers."""
        found = {self.columns.get(name, "").partition(" ")[0] for name in names}
        own = all(any(one in names for one in group) for group in self.tells)
        return own and {"time", "voltage", "current"} <= found


_MACCOR = Format(
    "Maccor",
    {
        "testtime": "time [s]", "test_time": "time [s]", "test": "time [s]",
        "volts": "voltage [V]", "voltage": "voltage [V]",
        "amps": "current [A]", "mamps": "current [mA]", "current": "current [A]",
        "state": "state", "md": "state",
        "dpt_time": "wall",
        "cyc": "cycle", "cycle_c": "cycle", "cycle": "cycle", "step": "step",
        "temp_1": "temperature [degC]",
        "amp_hr": "step_capacity [A.h]", "mamp_hr": "step_capacity [mA.h]",
        "cap": "step_capacity [A.h]", "capacity": "step_capacity [A.h]",
    },
    (("rec",), ("step",), ("dpt_time", "es", "state", "md")),
    unsigned=True,
)  # fmt: skip

_NEWARE_COLUMNS = {
    "total_time": "time [s]", "cumulative_time": "time [s]", "test_time": "time [s]",
    "voltage": "voltage [V]",
    "current": "current [A]",
    "step_type": "state",
    "date": "wall", "absolute_time": "wall", "realtime": "wall",
    "cycle_index": "cycle", "cycle_id": "cycle", "step_number": "step", "step_index": "step",
    "t1": "temperature [degC]",
    "chg_cap": "charge_capacity [A.h]", "dchg_cap": "discharge_capacity [A.h]",
    "capacity": "step_capacity [A.h]",
}  # fmt: skip

_ARBIN_COLUMNS = {
    "test_time": "time [s]",
    "voltage": "voltage [V]",
    "current": "current [A]",
    "date_time": "wall", "datetime": "wall",
    "cycle_index": "cycle", "step_index": "step",
    "temperature": "temperature [degC]", "aux_temperature_1": "temperature [degC]",
    "cell_temperature": "temperature [degC]",
    "environment_temperature": "ambient_temperature [degC]",
    "charge_capacity": "charge_capacity [A.h]", "discharge_capacity": "discharge_capacity [A.h]",
}  # fmt: skip

#: In the order in which they are tried.
FORMATS: tuple[Format, ...] = (
    _MACCOR,
    Format("Neware", _NEWARE_COLUMNS, (("datapoint", "record_id"), ("step_type",))),
    # three levels of rows, one in the other: cycles, steps, measurements
    Format("Neware, nested", _NEWARE_COLUMNS, (("datapoint", "record_id"),), blank=2),
    Format(
        "BioLogic",
        {
            "time": "time [s]",
            # against the counter electrode where there is a reference besides
            "ecell": "voltage [V]", "ewe_ece": "voltage [V]", "ewe": "voltage [V]",
            "i": "current [mA]",
            "cycle_number": "cycle", "ns": "step",
            "temperature": "temperature [degC]",
            "q_charge": "charge_capacity [mA.h]", "q_discharge": "discharge_capacity [mA.h]",
            "freq": "frequency",
        },
        (("ns", "mode", "ox_red", "control_changes", "ns_changes", "ewe"),),
    ),
    Format(
        "Basytec",
        {
            "time": "time [s]",
            "u": "voltage [V]", "voltage": "voltage [V]",
            "i": "current [A]", "current": "current [A]",
            "cyc_count": "cycle", "line": "step",
            "t1": "temperature [degC]",
            "ah_step": "step_capacity [A.h]",
        },
        (("dataset",), ("line", "command")),
    ),
    Format(
        "PEC",
        {
            "total_time": "time [s]",
            "voltage": "voltage [V]",
            "current": "current [A]",
            "real_time": "wall",
            "cycle": "cycle", "step": "step",
            "temp": "temperature [degC]",
            "charge_capacity": "charge_capacity [mA.h]",
            "discharge_capacity": "discharge_capacity [mA.h]",
        },
        (("load_on_time", "reasoncode"), ("rack", "shelf", "position")),
    ),
    Format(
        "Novonix",
        {
            "run_time": "time [h]",
            "potential": "voltage [V]",
            "current": "current [A]",
            "date_and_time": "wall",
            "cycle_number": "cycle", "step_number": "step",
            "temperature": "temperature [degC]",
            "capacity": "step_capacity [A.h]",
        },
        (("run_time",), ("potential",)),
        sections=True,
    ),
    Format(
        "Landt",
        {
            "test_time": "time [s]", "test": "time [s]",
            "voltage": "voltage [V]", "volts": "voltage [V]",
            "current": "current [A]", "amps": "current [A]",
            "date_time_iso_string": "wall", "dpt_time": "wall",
            "cycle_index": "cycle", "cyc": "cycle", "step_index": "step", "step": "step",
            "temperature_1": "temperature [degC]", "temperature_1_c": "temperature [degC]",
        },
        (("channel_index", "rec", "step_name"), ("date_time_iso_string", "dpt_time", "step_name")),
    ),
    Format(
        "Digatron",
        {
            "program_duration": "time [s]", "prog_time": "time [s]", "program_time": "time [s]",
            "voltage": "voltage [V]",
            "current": "current [A]",
            "timestamp": "wall",
            "cycle": "cycle", "step": "step",
            "t1": "temperature [degC]", "logtemp001": "temperature [degC]",
            "tenv": "ambient_temperature [degC]",
        },
        (("ahaccu", "status", "whaccu"),),
    ),
    Format(
        "batterydata.energy.gov",
        {
            "time": "time [s]",
            "voltage": "voltage [V]",
            "current": "current [A]",
            "datenum": "wall [d]",
            "cycle_index": "cycle", "step": "step",
            "cell_temperature_c": "temperature [degC]",
            "charge_capacity": "charge_capacity [A.h]",
            "discharge_capacity": "discharge_capacity [A.h]",
            "frequency_hz": "frequency",
        },
        (("amphr", "charge_throughput"),),
    ),
    Format(
        "Parstat",
        {
            "elapsed_time": "time [s]",
            "potential": "voltage [V]",
            "current": "current [A]",
            "frequency": "frequency",
        },
        (("zre",), ("zim",)),
    ),
    Format(
        "Arbin",
        _ARBIN_COLUMNS,
        (("data_point", "date_time", "datetime", "step_index"), ("charge_capacity",)),
    ),
)  # fmt: skip


def names_and_units(headers: Sequence[str]) -> list[tuple[str, str | None]]:
    """Headers as these formats write them: names in small letters and underscores, and units.

    Parameters
    ----------
    headers : sequence of str
        As in the file.

    Returns
    -------
    list of (str, str or None)
        The unit as written, or None.
    """
    return [_split(header.strip().strip('"').lstrip("~").strip()) for header in headers]


def split_unit(header: str) -> tuple[str, str | None]:
    """Split a header into a name and a unit, also ``"Ewe/V"`` and ``"|Z|/Ohm"``.

    Parameters
    ----------
    header : str
        As in the file.

    Returns
    -------
    name : str
    unit : str or None
        As written; None where there is none.
    """
    name, unit = split_header(header)
    if unit is None and len(header) < 300 and (found := _SLASH.fullmatch(header)) is not None:
        name, unit = found[1], found[2]
    return name, unit


def _split(header: str) -> tuple[str, str | None]:
    name, unit = split_unit(header)
    return plain_name(name), unit


def matching(names: Sequence[str]) -> Format | None:
    """The format to which a line of headers belongs.

    Parameters
    ----------
    names : sequence of str
        The headers' names, as :func:`names_and_units` gives them.

    Returns
    -------
    Format or None
    """
    return next((one for one in FORMATS if one.fits(names)), None)
