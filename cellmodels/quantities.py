"""Names, units and limits of what a state of a cell is described by, in records and check-ups."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Quantity:
    """What a variable is.

    Parameters
    ----------
    unit : str
        In which it is kept.
    long_name : str
        In words, for axes.
    above : float
        Possible values are larger than this.
    most : float
        The largest possible value.
    """

    unit: str
    long_name: str
    above: float = -math.inf
    most: float = math.inf


#: Quantities of a cell's state. A model gives those that it has; amounts are per area of cell.
STATE_VARIABLES: Mapping[str, Quantity] = MappingProxyType(
    {
        "loss_of_lithium_inventory": Quantity("%", "loss of lithium inventory"),
        "loss_of_active_material_negative": Quantity("%", "loss of negative active material"),
        "loss_of_active_material_positive": Quantity("%", "loss of positive active material"),
        "sei_lithium_loss": Quantity("mol", "lithium in the SEI"),
        "plating_lithium_loss": Quantity("mol", "lithium lost by plating"),
        "total_lithium": Quantity("mol", "total lithium"),
        "cell_temperature": Quantity("K", "cell temperature", 0.0, 2000.0),
        "open_circuit_voltage": Quantity("V", "open-circuit voltage", -1e4, 1e4),
        "metal_state_of_charge": Quantity("-", "state of charge by the metal"),
        "halogen_state_of_charge": Quantity("-", "state of charge by the halogen"),
        "halide_utilisation": Quantity("-", "share of the halide that is oxidised"),
        "inventory_imbalance": Quantity("mol.m-2", "halogen in excess of metal"),
        "aqueous_halogen": Quantity("mol.m-3", "dissolved halogen at the positive electrode"),
        "crossed_halogen": Quantity("mol.m-3", "dissolved halogen at the negative electrode"),
        "metal_amount": Quantity("mol.m-2", "metal on the negative electrode"),
        "halogen_amount": Quantity("mol.m-2", "halogen at the positive electrode"),
        "dead_metal": Quantity("mol.m-2", "metal without contact"),
        "hydrogen": Quantity("mol.m-2", "hydrogen made"),
        "precipitate": Quantity("mol.m-2", "metal that has settled as hydroxide"),
        "ph_negative": Quantity("-", "pH at the negative electrode", -5.0, 20.0),
        "ph_positive": Quantity("-", "pH at the positive electrode", -5.0, 20.0),
        "self_discharge": Quantity("A.m-2", "self-discharge current density"),
        "standby_power": Quantity("W.m-2", "standby power"),
        "standby_power_per_energy": Quantity("h-1", "standby power per stored energy"),
        "plate_margin": Quantity("-", "metal ion at the plate over that in the electrolyte"),
        "agent_activity": Quantity("-", "share of the complexing agent that binds"),
        "fused_salt": Quantity("mol.m-2", "complexing agent in its fused salt"),
        "positive_area_factor": Quantity("-", "share of the positive electrode's area"),
        "separator_resistance_factor": Quantity("-", "factor on the separator's resistance"),
        "pump_power": Quantity("W.m-2", "power that the pumps take"),
        "pump_energy": Quantity("W.h", "energy that the pumps have taken"),
    }
)

#: Those of them that tell what was lost, compared with the fresh cell.
DEGRADATION_MODES = (
    "loss_of_lithium_inventory",
    "loss_of_active_material_negative",
    "loss_of_active_material_positive",
)

#: Quantities of the state that may end a step, and on which side they are reached: "with charge"
#: rises on a charge and falls otherwise.
STATE_ENDS: Mapping[str, str] = MappingProxyType(
    {
        "halide_utilisation": "with charge",
        "metal_state_of_charge": "with charge",
        "halogen_state_of_charge": "with charge",
        "metal_amount": "with charge",
        "plate_margin": "falling",
        "ph_negative": "rising",
        "cell_temperature": "rising",
    }
)

#: What a test of a check-up may measure beside a quantity of the state at its end; the name of the
#: test follows after an underscore.
MEASURES: Mapping[str, Quantity] = MappingProxyType(
    {
        "capacity": Quantity("A.h", "capacity", 0.0),
        "energy": Quantity("W.h", "energy", 0.0),
        "voltage": Quantity("V", "voltage", 0.0, 1e4),
        "resistance": Quantity("ohm", "resistance", 0.0),
        "discharged": Quantity("A.h", "charge discharged by the whole test"),
        "end_voltage": Quantity("V", "voltage at the end", -1e4, 1e4),
    }
)


#: What stands before the test in the names of the places along a voltage curve, by their kind.
CURVE_PLACES: Mapping[str, Quantity] = MappingProxyType(
    {
        "charge": Quantity("A.h", "discharged charge", 0.0, 1e4),
        "time": Quantity("s", "time since the step began", 0.0),
    }
)
#: The test of pulses whose resistances are named by their time alone.
PULSE = "pulse"


def pulse_variable(time: float, test: str) -> str:
    """The name of a pulse's resistance at a time after its start.

    Parameters
    ----------
    time : float
        [s], a whole number of milliseconds.
    test : str
        Name of the test.

    Returns
    -------
    str
        Such as ``"resistance_10s_d20"`` or ``"resistance_100ms"``.
    """
    whole = time == round(time)
    text = f"{round(time)}s" if whole else f"{round(1000 * time)}ms"
    return f"resistance_{text}" if test == PULSE else f"resistance_{text}_{test}"


def measure_of(variable: str) -> tuple[str, str] | None:
    """Split the name of a check-up variable into what was measured and the test.

    Parameters
    ----------
    variable : str
        Such as ``"capacity_C20"`` or ``"self_discharge_top"``.

    Returns
    -------
    tuple of (str, str), or None
        None where no known measure begins the name; of several the longest counts.
    """
    found = [name for name in (*MEASURES, *STATE_VARIABLES) if variable.startswith(f"{name}_")]
    measure = max(found, key=len, default="")
    test = variable[len(measure) + 1 :]
    return (measure, test) if measure and test else None


def unit_of(variable: str) -> str:
    """The unit of a check-up variable, such as that of ``"capacity_C20"``.

    Parameters
    ----------
    variable : str
        A quantity of the state, or one that begins with what was measured.

    Returns
    -------
    str

    Raises
    ------
    KeyError
        If it is neither.
    """
    if variable in STATE_VARIABLES:
        return STATE_VARIABLES[variable].unit
    found = measure_of(variable)
    if found is None:
        raise KeyError(variable)
    return (MEASURES.get(found[0]) or STATE_VARIABLES[found[0]]).unit
