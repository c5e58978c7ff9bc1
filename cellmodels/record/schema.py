"""The form of a record: what its groups hold, under which names and in which units.

A record is an :class:`xarray.DataTree` with up to five groups.

``/cycles``, dimension ``point``
    One row a cycle: ``discharge_capacity``, ``charge_capacity``, ``cc_charge_capacity``,
    ``cv_charge_capacity`` [A.h], ``discharge_energy``, ``charge_energy`` [W.h],
    ``coulombic_efficiency``, ``energy_efficiency``, ``voltage_efficiency`` [-] and
    ``area_specific_resistance`` [ohm.m2], half the difference of the mean voltages over the mean
    current density; also ``charge_of_step_<k>`` [A.h], the charge that the k-th step of the
    protocol's cycle passes in its direction. From traces also ``mean_discharge_current``,
    ``mean_charge_current`` [A],
    ``mean_discharge_voltage``, ``mean_charge_voltage``, ``end_of_discharge_voltage``,
    ``end_of_charge_voltage``, ``rest_voltage_after_discharge``, ``rest_voltage_after_charge`` [V],
    ``cv_charge_time`` [s], ``mean_temperature``, ``max_temperature`` [K] and ``gap`` [s], the time
    without samples.
``/checkups``, dimension ``checkup``
    One row a check-up: ``capacity_<test>``, ``discharged_<test>`` [A.h], ``resistance_<test>``
    [ohm], ``end_voltage_<test>`` [V], ``voltage_<test>`` [V] with the second dimension
    ``charge_<test>`` [A.h], and quantities of the cell's state, before any test (``hydrogen``)
    or at the end of one (``aqueous_halogen_<test>``), see :mod:`cellmodels.quantities`.
``/traces``, dimension ``sample``
    ``time`` [s], ``voltage`` [V], ``current`` [A], positive on discharge; also
    ``temperature``, ``ambient_temperature`` [K], ``cycle``, ``step``, and the instrument's own
    counters ``charge_capacity``, ``discharge_capacity`` and ``step_capacity`` [A.h], which begin
    anew when the instrument lets them. ``time_flag`` is 1 where the interval before a row is a
    gap, whose charge is not known.
``/impedance``, dimension ``frequency_point``
    One row a measured frequency: ``frequency`` [Hz], ``impedance_real`` and
    ``impedance_imaginary`` [ohm], Z = Z' + jZ'', so that the imaginary part is negative where the
    cell is capacitive; ``spectrum``, the number of the sweep; also ``voltage`` [V] and ``current``
    [A] (direct, positive on discharge), ``temperature`` [K], ``time`` [s] and ``cycle``.
``/tests``, dimension ``test``
    One row a test that was found in /traces, with how its numbers were obtained: the texts
    ``name``, ``kind`` and ``remarks``, the row ``checkup`` in /checkups, and
    :data:`TEST_VARIABLES`.

Rows of the first two are placed by ``cycle`` (in /cycles 1 is the first; in /checkups k means
after k cycles, 0 is the fresh cell), ``throughput`` (cumulative discharged charge, A.h) and
``elapsed_time`` [s]; at least one of them is there. NaN is a missing value. A variable may have
two companions: ``<name>_std``, the standard deviation of its noise, and ``<name>_flag``, 1 for an
outlier. Attributes of the root: ``schema``, ``title``, ``source``, ``synthetic`` (1 for made-up
data), ``checkups_count_as_cycles`` (1 where the cycle numbers count check-ups).

Simulated lives have the same form, and may hold further variables with their own units.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from cellmodels.quantities import MEASURES, STATE_VARIABLES, Quantity, measure_of

SCHEMA = "cellmodels-record/1"

#: Dimension of each group's rows.
DIMENSIONS: Mapping[str, str] = MappingProxyType(
    {
        "cycles": "point",
        "checkups": "checkup",
        "traces": "sample",
        "impedance": "frequency_point",
        "tests": "test",
    }
)

#: Endings of a variable's companions.
COMPANIONS = ("_std", "_flag")


#: Coordinates of /cycles and /checkups, in order of preference.
COORDINATES: Mapping[str, Quantity] = MappingProxyType(
    {
        "cycle": Quantity("-", "cycle number"),
        "throughput": Quantity("A.h", "cumulative discharged charge"),
        "elapsed_time": Quantity("s", "elapsed time"),
    }
)

_MOST_EFFICIENT = 2.0  # possible in a first cycle that began charged; quality/ is stricter

CYCLE_VARIABLES: Mapping[str, Quantity] = MappingProxyType(
    {
        "discharge_capacity": Quantity("A.h", "discharge capacity", 0.0),
        "charge_capacity": Quantity("A.h", "charge capacity", 0.0),
        "cc_charge_capacity": Quantity("A.h", "charge at constant current", -1e-9),
        "cv_charge_capacity": Quantity("A.h", "charge at constant voltage", -1e-9),
        "discharge_energy": Quantity("W.h", "discharge energy", 0.0),
        "charge_energy": Quantity("W.h", "charge energy", 0.0),
        "coulombic_efficiency": Quantity("-", "coulombic efficiency", 0.0, _MOST_EFFICIENT),
        "energy_efficiency": Quantity("-", "energy efficiency", 0.0, _MOST_EFFICIENT),
        "voltage_efficiency": Quantity("-", "voltage efficiency", 0.0, _MOST_EFFICIENT),
        "area_specific_resistance": Quantity("ohm.m2", "area-specific resistance"),
    }
)

#: Further variables of /cycles, which are made from traces.
SUMMARY_VARIABLES: Mapping[str, Quantity] = MappingProxyType(
    {
        "mean_discharge_current": Quantity("A", "mean current of discharge", 0.0),
        "mean_charge_current": Quantity("A", "mean current of charge", 0.0),
        "mean_discharge_voltage": Quantity("V", "mean voltage of discharge", -1e4, 1e4),
        "mean_charge_voltage": Quantity("V", "mean voltage of charge", -1e4, 1e4),
        "end_of_discharge_voltage": Quantity("V", "voltage at the end of discharge", -1e4, 1e4),
        "end_of_charge_voltage": Quantity("V", "voltage at the end of charge", -1e4, 1e4),
        "rest_voltage_after_discharge": Quantity("V", "rest voltage after discharge", -1e4, 1e4),
        "rest_voltage_after_charge": Quantity("V", "rest voltage after charge", -1e4, 1e4),
        "cv_charge_time": Quantity("s", "time of charge at constant voltage", -1e-9),
        "mean_temperature": Quantity("K", "mean cell temperature", 0.0, 2000.0),
        "max_temperature": Quantity("K", "highest cell temperature", 0.0, 2000.0),
        "gap": Quantity("s", "time without samples", -1e-9),
    }
)

#: Further variables of /cycles: what one step of the protocol's cycle passes.
STEP_CHARGE = re.compile(r"charge_of_step_[1-9][0-9]?")

TRACE_VARIABLES: Mapping[str, Quantity] = MappingProxyType(
    {
        "time": Quantity("s", "time"),
        "voltage": Quantity("V", "voltage", -1e4, 1e4),
        "current": Quantity("A", "current, positive on discharge"),
        "temperature": Quantity("K", "cell temperature", 0.0, 2000.0),
        "ambient_temperature": Quantity("K", "ambient temperature", 0.0, 2000.0),
        "cycle": Quantity("-", "cycle number"),
        "step": Quantity("-", "step number"),
        "charge_capacity": Quantity("A.h", "charge by the instrument's counter"),
        "discharge_capacity": Quantity("A.h", "discharge by the instrument's counter"),
        "step_capacity": Quantity("A.h", "charge or discharge of a step by the counter"),
    }
)

IMPEDANCE_VARIABLES: Mapping[str, Quantity] = MappingProxyType(
    {
        "frequency": Quantity("Hz", "frequency", 0.0),
        "impedance_real": Quantity("ohm", "real part of the impedance"),
        "impedance_imaginary": Quantity("ohm", "imaginary part, negative where capacitive"),
        "spectrum": Quantity("-", "number of the spectrum", -1.0),
        **{
            name: TRACE_VARIABLES[name]
            for name in ("time", "voltage", "current", "temperature", "cycle")
        },
    }
)

#: Texts of /tests.
TEST_TEXTS = ("name", "kind", "remarks")

#: Numbers of /tests; charges, energies and currents are positive on discharge.
TEST_VARIABLES: Mapping[str, Quantity] = MappingProxyType(
    {
        "checkup": Quantity("-", "row of its check-up in /checkups", -0.5),
        "cycle": Quantity("-", "cycles before it", -0.5),
        "first_segment": Quantity("-", "first segment", -0.5),
        "last_segment": Quantity("-", "last segment", -0.5),
        "first": Quantity("-", "first row in the trace", -0.5),
        "last": Quantity("-", "last row in the trace", -0.5),
        "start_time": Quantity("s", "time at its start"),
        "duration": Quantity("s", "duration without the hold", 0.0),
        "current": Quantity("A", "mean current before the hold"),
        "c_rate": Quantity("h-1", "C-rate", 0.0),
        "temperature": Quantity("K", "mean temperature", 0.0, 2000.0),
        "temperature_rise": Quantity("K", "temperature at the end less that at the start"),
        "rest_before": Quantity("s", "rest before it", -1e-9),
        "rest_after": Quantity("s", "rest after it", -1e-9),
        "start_voltage": Quantity("V", "voltage before it", -1e4, 1e4),
        "end_voltage": Quantity("V", "voltage at its end, before the hold", -1e4, 1e4),
        "rest_voltage": Quantity("V", "voltage at the end of the rest after it", -1e4, 1e4),
        "charge": Quantity("A.h", "charge, with the hold"),
        "counter_charge": Quantity("A.h", "charge by the instrument's counter"),
        "energy": Quantity("W.h", "energy, with the hold"),
        "cv_charge": Quantity("A.h", "charge of the hold"),
        "cv_duration": Quantity("s", "duration of the hold", -1e-9),
        "depth": Quantity("A.h", "charge discharged before it, since the cell was full"),
        **{
            f"{kind}_{t}s": Quantity("ohm", f"resistance {t} s after {words}")
            for kind, words in (("resistance", "its start"), ("relaxation", "its end"))
            for t in (1, 10, 30)
        },
    }
)


#: The instrument's own counters of charge in /traces: read where they can be, never needed.
COUNTERS = ("charge_capacity", "discharge_capacity", "step_capacity")


def quantity(group: str, name: str) -> Quantity | None:
    """What the schema says about a variable or coordinate.

    Parameters
    ----------
    group : {"cycles", "checkups", "traces", "impedance", "tests"}
        Where it is.
    name : str
        Its name, without the ending of a companion.

    Returns
    -------
    Quantity or None
        None for a name that the schema does not know.
    """
    if group == "traces":
        return TRACE_VARIABLES.get(name)
    if group == "impedance":
        return IMPEDANCE_VARIABLES.get(name)
    if group == "tests":
        return TEST_VARIABLES.get(name)
    if name in COORDINATES:
        return COORDINATES[name]
    if group == "cycles":
        if STEP_CHARGE.fullmatch(name):
            return Quantity("A.h", f"charge of step {name.rpartition('_')[2]}", -1e-9)
        return CYCLE_VARIABLES.get(name) or SUMMARY_VARIABLES.get(name)
    if name in STATE_VARIABLES:
        return STATE_VARIABLES[name]
    for kind, unit, words in (("charge", "A.h", "discharged charge"), ("voltage", "V", "voltage")):
        if name.startswith(f"{kind}_"):
            return Quantity(unit, f"{words}, {name[len(kind) + 1 :]}", 0.0, 1e4)
    found = measure_of(name)
    if found is None:
        return None
    measure, test = found
    known = MEASURES.get(measure) or STATE_VARIABLES[measure]
    return Quantity(known.unit, f"{known.long_name}, {test}", known.above, known.most)


def without_companion(name: str) -> tuple[str, str]:
    """Split a name into the variable's own and the ending of a companion.

    Parameters
    ----------
    name : str
        Such as ``"capacity_1C_std"``.

    Returns
    -------
    name, ending : str
        ``("capacity_1C", "_std")``; the ending is empty for a variable itself.
    """
    for ending in COMPANIONS:
        if name.endswith(ending):
            return name.removesuffix(ending), ending
    return name, ""


def known_names(group: str) -> list[str]:
    """The names that the schema knows in a group, for error messages."""
    if group == "traces":
        return list(TRACE_VARIABLES)
    if group == "impedance":
        return list(IMPEDANCE_VARIABLES)
    if group == "tests":
        return list(TEST_VARIABLES)
    if group == "cycles":
        return [*COORDINATES, *CYCLE_VARIABLES]
    tests = ("capacity_1C", "resistance_10s", "voltage_C20", "charge_C20")
    return [*COORDINATES, *tests, *STATE_VARIABLES]
