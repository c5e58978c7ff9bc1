"""How well quantities are measured: the noise that is assumed, and the least that is believed.

A standard deviation that is estimated from the scatter of a series tells how well a reading
repeats, not how well it is known: the instrument's gain and offset are the same in all of them. No
series is therefore believed better than a *floor*. Where there are too few points to see any
scatter, a standard deviation is *assumed*. Both are a share of the series' median magnitude or an
absolute number, whichever is larger. They are assumptions about good laboratory instruments, with
their reasons beside them; a standard deviation that is given, or stands in the record, replaces
them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from cellmodels.quantities import DEGRADATION_MODES, measure_of

__all__ = ["Instrument", "instrument_of"]


@dataclass(frozen=True)
class Instrument:
    """How well a kind of quantity is measured.

    Parameters
    ----------
    floor : tuple of (float, float)
        Least standard deviation that is believed: as a share, and in the quantity's unit.
    assumed : tuple of (float, float)
        The one that is assumed where scatter cannot be seen, likewise.
    """

    floor: tuple[float, float]
    assumed: tuple[float, float]

    def least(self, size: float) -> float:
        """The least standard deviation believed of a series with this median magnitude."""
        return max(self.floor[0] * size, self.floor[1])

    def guess(self, size: float) -> float:
        """The standard deviation assumed of such a series."""
        return max(self.assumed[0] * size, self.assumed[1])


# Cyclers state 1e-4 of a reading for the gain of current and voltage at their best; charge follows
# the current, energy has both.
_CHARGE = Instrument((1e-4, 0.0), (5e-3, 0.0))
_ENERGY = Instrument((2e-4, 0.0), (5e-3, 0.0))
_CURRENT = Instrument((1e-4, 0.0), (5e-3, 0.0))
# A voltage of a few volts is resolved to 0.1 mV; its offset drifts by as much again.
_VOLTAGE = Instrument((0.0, 2e-4), (0.0, 3e-3))
# A resistance divides a drop of some 100 mV by the current.
_RESISTANCE = Instrument((1e-3, 0.0), (2e-2, 0.0))
# The gain cancels in a ratio of two charges of the same channel, the offset of the current does
# not. What counts is the loss, 1 - CE, so that a share of the efficiency itself means nothing. To
# know it to 1e-4 takes high-precision coulometry (A. J. Smith, J. C. Burns, S. Trussler,
# J. R. Dahn, J. Electrochem. Soc. 157 (2010) A196, doi:10.1149/1.3268129).
_COULOMBIC = Instrument((0.0, 2e-4), (0.0, 1e-3))
# Energies also have the voltage's error, and the temperature's: the resistance depends on it.
_OF_ENERGY = Instrument((0.0, 5e-4), (0.0, 3e-3))
# A thermocouple is read to 0.1 K, and differs from the cell by some tenths where it is glued.
_TEMPERATURE = Instrument((0.0, 0.1), (0.0, 0.5))
# The end of a hold is seen at the next sample.
_TIME = Instrument((1e-3, 1.0), (1e-2, 10.0))
# Modes come from fits of half-cell curves: shares of a capacity, in points of percent.
_MODE = Instrument((0.0, 0.1), (0.0, 1.0))
_PH = Instrument((0.0, 0.02), (0.0, 0.1))
_SHARE = Instrument((0.0, 1e-3), (0.0, 1e-2))
_OTHER = Instrument((1e-3, 0.0), (5e-2, 0.0))

_BY_NAME: Mapping[str, Instrument] = MappingProxyType(
    {
        "coulombic_efficiency": _COULOMBIC,
        "energy_efficiency": _OF_ENERGY,
        "voltage_efficiency": _OF_ENERGY,
        "ph_negative": _PH,
        "ph_positive": _PH,
        **dict.fromkeys(DEGRADATION_MODES, _MODE),
    }
)
_BY_UNIT: Mapping[str, Instrument] = MappingProxyType(
    {
        "A.h": _CHARGE,
        "W.h": _ENERGY,
        "A": _CURRENT,
        "V": _VOLTAGE,
        "ohm": _RESISTANCE,
        "ohm.m2": _RESISTANCE,
        "K": _TEMPERATURE,
        "s": _TIME,
        "-": _SHARE,
    }
)


def instrument_of(name: str, unit: str) -> Instrument:
    """How well a variable of a record is measured.

    Parameters
    ----------
    name : str
        Its name, such as ``"coulombic_efficiency"`` or ``"capacity_C20"``.
    unit : str
        The schema's unit.

    Returns
    -------
    Instrument
    """
    # a quantity of the state may be that at the end of a test, such as "ph_negative_top"
    found = measure_of(name)
    own = _BY_NAME.get(name) or (_BY_NAME.get(found[0]) if found else None)
    return own or _BY_UNIT.get(unit, _OTHER)
