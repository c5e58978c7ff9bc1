"""Lithium-ion models: SPM, SPMe and DFN with ageing mechanisms, as PyBaMM builds them.

The one place where a list of `cellmodels.models.mechanisms` becomes PyBaMM options. The equations
are PyBaMM's (V. Sulzer et al., J. Open Res. Softw. 9 (2021) 14, doi:10.5334/jors.309).

Levels: the single particle model (SPM) and the SPM with electrolyte (SPMe), S. G. Marquis et al.,
J. Electrochem. Soc. 166 (2019) A3693, doi:10.1149/2.0341915jes; the Doyle-Fuller-Newman model
(DFN), M. Doyle, T. F. Fuller, J. Newman, J. Electrochem. Soc. 140 (1993) 1526,
doi:10.1149/1.2221597; side reactions in the SPM and SPMe, F. Brosa Planella, W. D. Widanage,
J. Electrochem. Soc. 169 (2022).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import pybamm

from cellmodels.chemistry import Chemistry
from cellmodels.errors import InputError
from cellmodels.models.mechanisms import (
    ELECTRODES,
    SEI,
    DoubleLayer,
    LithiumPlating,
    LossOfActiveMaterial,
    LumpedThermal,
    Mechanism,
    ParticleCracking,
    canonical,
    choose,
    mechanism,
)

LEVELS: Mapping[str, Any] = MappingProxyType(
    {
        "SPM": pybamm.lithium_ion.SPM,
        "SPMe": pybamm.lithium_ion.SPMe,
        "DFN": pybamm.lithium_ion.DFN,
    }
)

#: The SPM is no step on the way: without the electrolyte its plating is that of another cell, and
#: its fit to the data of an SPMe or a DFN ends far from either (benchmarks/README.md, fit_life).
SIMPLER: Mapping[str, tuple[str, ...]] = MappingProxyType({"SPM": (), "SPMe": (), "DFN": ("SPMe",)})

_STATE_VARIABLES: Mapping[str, str] = MappingProxyType(
    {
        "loss_of_lithium_inventory": "Loss of lithium inventory [%]",
        "loss_of_active_material_negative": "Loss of active material in negative electrode [%]",
        "loss_of_active_material_positive": "Loss of active material in positive electrode [%]",
        "sei_lithium_loss": "Loss of lithium to negative SEI [mol]",
        "plating_lithium_loss": "Loss of lithium to negative lithium plating [mol]",
        "total_lithium": "Total lithium [mol]",
        "cell_temperature": "Volume-averaged cell temperature [K]",
    }
)
_SEI_OPTION = {
    "solvent diffusion": "solvent-diffusion limited",
    "reaction": "reaction limited",
    "electron migration": "electron-migration limited",
    "interstitial diffusion": "interstitial-diffusion limited",
}
_LAM_OPTION = {
    "none": "none",
    "stress": "stress-driven",
    "reaction": "reaction-driven",
    "stress and reaction": "stress and reaction-driven",
}


def resolve(mechanisms: Iterable[Mechanism | str | Mapping[str, Any]]) -> tuple[Mechanism, ...]:
    """Mechanisms as objects, in one canonical order, after checking that they go together.

    Parameters
    ----------
    mechanisms
        Objects, short names or tables, see `cellmodels.models.mechanisms.mechanism`.

    Returns
    -------
    tuple of Mechanism
        Sorted by name, so that the order in which they were written does not matter.

    Raises
    ------
    InputError
        If a mechanism is unknown or given twice, or if the combination is impossible.
    """
    if isinstance(mechanisms, (str, Mechanism, Mapping)):
        mechanisms = [mechanisms]
    given = canonical(mechanism(m) for m in mechanisms)
    _check_porosity(given)
    _check_needs_sei(given)
    return given


def options(mechanisms: Iterable[Mechanism | str | Mapping[str, Any]] = ()) -> dict[str, Any]:
    """PyBaMM options for `mechanisms`; those left out keep PyBaMM's defaults.

    Parameters
    ----------
    mechanisms
        Objects, short names or tables.

    Returns
    -------
    dict
        For `pybamm.lithium_ion.SPM` and its siblings.

    Raises
    ------
    InputError
        As `resolve`.
    """
    given = resolve(mechanisms)
    sei, plating = _find(SEI, given), _find(LithiumPlating, given)
    chosen: dict[str, Any] = {}
    if sei:
        chosen["SEI"] = (_SEI_OPTION[sei.limit], "none")
    if plating:
        chosen["lithium plating"] = (plating.kind, "none")
    if sei and sei.porosity_change:
        chosen["SEI porosity change"] = "true"
    if plating and plating.porosity_change:
        chosen["lithium plating porosity change"] = "true"
    if _find(LumpedThermal, given):
        chosen["thermal"] = "lumped"
    if _find(DoubleLayer, given):
        chosen["surface form"] = "differential"
    return chosen | _mechanical_options(given)


def build(
    level: str,
    mechanisms: Iterable[Mechanism | str | Mapping[str, Any]] = (),
    chemistry: Chemistry | None = None,
    present: Callable[[str], bool] = lambda name: False,
) -> pybamm.BaseModel:
    """A fresh PyBaMM model.

    PyBaMM ignores a contact resistance unless the model is built with it.

    Parameters
    ----------
    level
        "SPM", "SPMe" or "DFN".
    mechanisms
        Objects, short names or tables.
    chemistry
        Not used: PyBaMM's models are the same for all.
    present
        Whether a parameter is not zero, or may be varied.

    Returns
    -------
    pybamm.BaseModel

    Raises
    ------
    InputError
        If the level is unknown, or as `resolve`.
    """
    chosen = options(mechanisms)
    if present("Contact resistance [Ohm]"):
        chosen["contact resistance"] = "true"
    with _linear_stripping():
        return LEVELS[choose(level, LEVELS, "model level")](chosen)


def required(level: str, mechanisms: Iterable[Mechanism], chemistry: Chemistry) -> tuple[str, ...]:
    """None beyond those of the mechanisms: PyBaMM's sets are complete for PyBaMM's models.

    Parameters
    ----------
    level, mechanisms, chemistry
        As for `build`.

    Returns
    -------
    tuple of str
    """
    return ()


def known(chemistry: Chemistry) -> tuple[str, ...]:
    """None: PyBaMM's models check the names of their parameters.

    Parameters
    ----------
    chemistry
        What reacts.

    Returns
    -------
    tuple of str
    """
    return ()


def state_variables(chemistry: Chemistry) -> Mapping[str, str]:
    """Quantities of a cell's state, as PyBaMM's models call them.

    Parameters
    ----------
    chemistry
        What reacts.

    Returns
    -------
    mapping of str to str
    """
    return _STATE_VARIABLES


@contextmanager
def _linear_stripping() -> Iterator[None]:
    """Let the stripping rate stay linear in the plated lithium through zero.

    PyBaMM cuts the plated lithium off at zero in the rate (`maximum(c_Li, 0)`). Once it is
    stripped the state sits at that kink, where the Jacobian of an implicit solver jumps between
    stiff and not stiff and Newton's method cycles. The plated lithium itself never becomes
    negative, so the linear law gives the same solution.
    """
    tolerances = pybamm.settings.tolerances
    before = tolerances["j0__c_Li"]
    tolerances["j0__c_Li"] = -1e9
    try:
        yield
    finally:
        tolerances["j0__c_Li"] = before


def set_initial_soc(
    values: pybamm.ParameterValues, soc: float, mechanisms: Iterable[Mechanism] = ()
) -> None:
    """Set the initial concentrations to a state of charge, in place.

    Solves for the stoichiometries between the open-circuit voltages at 0 and 100 % (P. Mohtat et
    al., J. Power Sources 427 (2019) 101, doi:10.1016/j.jpowsour.2019.03.104), at the cyclable
    lithium of the set's own initial concentrations.

    Parameters
    ----------
    values
        The cell's parameter values; changed.
    soc
        State of charge, 0 to 1.
    mechanisms
        The cell's mechanisms.
    """
    values.set_initial_state(soc, options=pybamm.BatteryModelOptions(options(mechanisms)))


def electrode_area(values: pybamm.ParameterValues) -> float:
    """Area of the electrode pair that an area-specific current refers to [m2].

    Height times width times the number of pairs in parallel, as in PyBaMM's current density.

    Parameters
    ----------
    values
        The cell's parameter values.

    Returns
    -------
    float
    """
    pairs = values["Number of electrodes connected in parallel to make a cell"]
    return float(values["Electrode height [m]"] * values["Electrode width [m]"] * pairs)


def _find(kind: type, given: Iterable[Mechanism]) -> Any:
    """The mechanism of this class among `given`, or None."""
    return next((m for m in given if isinstance(m, kind)), None)


def _mechanical_options(given: tuple[Mechanism, ...]) -> dict[str, Any]:
    """Options of each electrode's particles: cracking includes swelling, stress needs it."""
    lam, cracking = _find(LossOfActiveMaterial, given), _find(ParticleCracking, given)
    mechanics = tuple(_mechanics(e, lam, cracking) for e in ELECTRODES)
    chosen: dict[str, Any] = {}
    if lam:
        chosen["loss of active material"] = tuple(_LAM_OPTION[lam.driver_in(e)] for e in ELECTRODES)
    if cracking and cracking.sei_on_cracks:
        chosen["SEI on cracks"] = ("true", "false")
    if any(m != "none" for m in mechanics):
        chosen["particle mechanics"] = mechanics
        # PyBaMM's own default where there are mechanics; said per electrode, because its check
        # of the default compares a single string.
        chosen["stress-induced diffusion"] = tuple(
            "false" if m == "none" else "true" for m in mechanics
        )
    return chosen


def _mechanics(
    electrode: str, lam: LossOfActiveMaterial | None, cracking: ParticleCracking | None
) -> str:
    """PyBaMM's "particle mechanics" of one electrode."""
    if cracking and electrode in cracking.electrodes:
        return "swelling and cracking"
    if lam and "stress" in lam.driver_in(electrode):
        return "swelling only"
    return "none"


def _check_porosity(given: tuple[Mechanism, ...]) -> None:
    """PyBaMM fills pores with every film or with none."""
    sei, plating = _find(SEI, given), _find(LithiumPlating, given)
    if sei and plating and sei.porosity_change != plating.porosity_change:
        raise InputError(
            f"mechanisms: SEI has porosity_change={sei.porosity_change} and LithiumPlating has "
            f"porosity_change={plating.porosity_change}, but PyBaMM lets all films fill the pores "
            "or none. Choose True for both or False for both."
        )


def _check_needs_sei(given: tuple[Mechanism, ...]) -> None:
    """Some mechanisms act through the SEI and would silently do nothing without it."""
    if _find(SEI, given):
        return
    lam, cracking = _find(LossOfActiveMaterial, given), _find(ParticleCracking, given)
    if lam and "reaction" in lam.driver:
        raise InputError(
            f"mechanisms: LossOfActiveMaterial(driver={lam.driver!r}) follows the SEI reaction. "
            "Add SEI() or choose driver='stress'."
        )
    if cracking and cracking.sei_on_cracks:
        raise InputError(
            "mechanisms: ParticleCracking(sei_on_cracks=True) needs an SEI that grows. Add SEI() "
            "or choose sei_on_cracks=False."
        )
