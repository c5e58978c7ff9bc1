"""Cell modelling for lithium-ion and zinc-halogen cells: lives, fits and forecasts.

Everything a user needs is here, by convention as ``import cellmodels as cm``. Names are
imported when they are first used, so that importing the package costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from cellmodels import errors as errors

if TYPE_CHECKING:
    from cellmodels.cell import Cell as Cell
    from cellmodels.checkups import CheckupsFound as CheckupsFound
    from cellmodels.checkups import find_checkups as find_checkups
    from cellmodels.chemistry import Chemistry as Chemistry
    from cellmodels.experiments.datasets import simulate_experiments as simulate_experiments
    from cellmodels.experiments.from_records import checkup_experiments as checkup_experiments
    from cellmodels.experiments.from_records import trace_experiment as trace_experiment
    from cellmodels.experiments.logged import logged_steps as logged_steps
    from cellmodels.experiments.values import EquilibriumCurve as EquilibriumCurve
    from cellmodels.experiments.values import ImpedanceSpectrum as ImpedanceSpectrum
    from cellmodels.experiments.values import VoltageTrace as VoltageTrace
    from cellmodels.fitting import Fit as Fit
    from cellmodels.fitting import TraceFit as TraceFit
    from cellmodels.fitting.adapt import adapt as adapt
    from cellmodels.fitting.fit import fit as fit
    from cellmodels.fitting.fresh import fit_fresh as fit_fresh
    from cellmodels.fitting.fresh_fit import FreshFit as FreshFit
    from cellmodels.fitting.model_selection import MechanismComparison as MechanismComparison
    from cellmodels.fitting.model_selection import compare_mechanisms as compare_mechanisms
    from cellmodels.fitting.trace import fit_trace as fit_trace
    from cellmodels.many.batch import Batch as Batch
    from cellmodels.many.batch import fit_many as fit_many
    from cellmodels.many.pooled import fit_pooled as fit_pooled
    from cellmodels.many.pooled_result import PooledFit as PooledFit
    from cellmodels.many.predictive import predict_cells as predict_cells
    from cellmodels.many.task import FitTask as FitTask
    from cellmodels.many.task import fit_tasks as fit_tasks
    from cellmodels.models.mechanisms import SEI as SEI
    from cellmodels.models.mechanisms import DoubleLayer as DoubleLayer
    from cellmodels.models.mechanisms import LithiumPlating as LithiumPlating
    from cellmodels.models.mechanisms import LossOfActiveMaterial as LossOfActiveMaterial
    from cellmodels.models.mechanisms import LumpedThermal as LumpedThermal
    from cellmodels.models.mechanisms import ParticleCracking as ParticleCracking
    from cellmodels.models.zinc_halogen.closures import ActivityCoefficients as ActivityCoefficients
    from cellmodels.models.zinc_halogen.closures import FusedSalt as FusedSalt
    from cellmodels.models.zinc_halogen.closures import HalogenKinetics as HalogenKinetics
    from cellmodels.models.zinc_halogen.closures import NegativeFelt as NegativeFelt
    from cellmodels.models.zinc_halogen.flow import Flow as Flow
    from cellmodels.models.zinc_halogen.mechanisms import CarbonOxidation as CarbonOxidation
    from cellmodels.models.zinc_halogen.mechanisms import (
        CathodeSelfDischarge as CathodeSelfDischarge,
    )
    from cellmodels.models.zinc_halogen.mechanisms import ComplexingAgentLoss as ComplexingAgentLoss
    from cellmodels.models.zinc_halogen.mechanisms import Crystallisation as Crystallisation
    from cellmodels.models.zinc_halogen.mechanisms import DeadZinc as DeadZinc
    from cellmodels.models.zinc_halogen.mechanisms import Dendrites as Dendrites
    from cellmodels.models.zinc_halogen.mechanisms import HalogenLoss as HalogenLoss
    from cellmodels.models.zinc_halogen.mechanisms import HydrogenEvolution as HydrogenEvolution
    from cellmodels.models.zinc_halogen.mechanisms import Precipitation as Precipitation
    from cellmodels.models.zinc_halogen.mechanisms import SeparatorFouling as SeparatorFouling
    from cellmodels.models.zinc_halogen.mechanisms import WaterLoss as WaterLoss
    from cellmodels.models.zinc_halogen.zinc_complexes import ZincComplexes as ZincComplexes
    from cellmodels.modes.analysis import DegradationModes as DegradationModes
    from cellmodels.modes.analysis import degradation_modes as degradation_modes
    from cellmodels.modes.balance import BalancePrior as BalancePrior
    from cellmodels.modes.balance import ElectrodeBalance as ElectrodeBalance
    from cellmodels.modes.balance import balance_electrodes as balance_electrodes
    from cellmodels.modes.curve_errors import CurveError as CurveError
    from cellmodels.modes.half_cells import HalfCells as HalfCells
    from cellmodels.parameter_set import ParameterSet as ParameterSet
    from cellmodels.protocol import Checkup as Checkup
    from cellmodels.protocol import End as End
    from cellmodels.protocol import Protocol as Protocol
    from cellmodels.protocol import Step as Step
    from cellmodels.protocol import Test as Test
    from cellmodels.record import build_record as build_record
    from cellmodels.record import check_quality as check_quality
    from cellmodels.record import differential_voltage as differential_voltage
    from cellmodels.record import incremental_capacity as incremental_capacity
    from cellmodels.record import irregular_cycles as irregular_cycles
    from cellmodels.record import kramers_kronig as kramers_kronig
    from cellmodels.record import read_record as read_record
    from cellmodels.record import summarise_cycles as summarise_cycles
    from cellmodels.record import write_bdf as write_bdf
    from cellmodels.record import write_record as write_record
    from cellmodels.record import write_tables as write_tables
    from cellmodels.scale_factors import scaled as scaled
    from cellmodels.simulator import Simulator as Simulator
    from cellmodels.simulator import simulate as simulate

__version__ = "0.1.0"

_HOMES = {
    "cell": ("Cell",),
    "checkups": ("CheckupsFound", "find_checkups"),
    "chemistry": ("Chemistry",),
    "experiments.datasets": ("simulate_experiments",),
    "experiments.from_records": ("checkup_experiments", "trace_experiment"),
    "experiments.logged": ("logged_steps",),
    "experiments.values": ("EquilibriumCurve", "ImpedanceSpectrum", "VoltageTrace"),
    "fitting": ("Fit", "TraceFit", "adapt", "fit", "fit_trace"),
    "fitting.model_selection": ("MechanismComparison", "compare_mechanisms"),
    "fitting.fresh": ("fit_fresh",),
    "fitting.fresh_fit": ("FreshFit",),
    "many.batch": ("Batch", "fit_many"),
    "many.pooled": ("fit_pooled",),
    "many.pooled_result": ("PooledFit",),
    "many.predictive": ("predict_cells",),
    "many.task": ("FitTask", "fit_tasks"),
    "models.mechanisms": (
        "SEI",
        "DoubleLayer",
        "LithiumPlating",
        "LossOfActiveMaterial",
        "LumpedThermal",
        "ParticleCracking",
    ),
    "models.zinc_halogen.closures": (
        "ActivityCoefficients",
        "FusedSalt",
        "HalogenKinetics",
        "NegativeFelt",
    ),
    "models.zinc_halogen.zinc_complexes": ("ZincComplexes",),
    "models.zinc_halogen.flow": ("Flow",),
    "models.zinc_halogen.mechanisms": (
        "CarbonOxidation",
        "CathodeSelfDischarge",
        "ComplexingAgentLoss",
        "Crystallisation",
        "DeadZinc",
        "Dendrites",
        "HalogenLoss",
        "HydrogenEvolution",
        "Precipitation",
        "SeparatorFouling",
        "WaterLoss",
    ),
    "modes.analysis": ("DegradationModes", "degradation_modes"),
    "modes.balance": ("BalancePrior", "ElectrodeBalance", "balance_electrodes"),
    "modes.curve_errors": ("CurveError",),
    "modes.half_cells": ("HalfCells",),
    "parameter_set": ("ParameterSet",),
    "protocol": ("Checkup", "End", "Protocol", "Step", "Test"),
    "record": (
        "build_record",
        "check_quality",
        "differential_voltage",
        "incremental_capacity",
        "irregular_cycles",
        "kramers_kronig",
        "read_record",
        "summarise_cycles",
        "write_bdf",
        "write_record",
        "write_tables",
    ),
    "scale_factors": ("scaled",),
    "simulator": ("Simulator", "simulate"),
}
_HOME = {name: f"cellmodels.{module}" for module, names in _HOMES.items() for name in names}

__all__ = ["__version__", "errors", *_HOME]


def __getattr__(name: str) -> Any:
    """Import a public name on first use (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(
            f"module 'cellmodels' has no attribute '{name}'.{errors.did_you_mean(name, __all__)}"
        )
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
