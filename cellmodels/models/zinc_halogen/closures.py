"""Choices of a closure: another law, or another part, in place of what a cell has by itself.

Each is a small frozen dataclass which names its source and its parameters; the equations are in the
module it chooses from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

from cellmodels.errors import InputError
from cellmodels.models.mechanisms import Mechanism, choose
from cellmodels.models.zinc_halogen import double_layer, fused_salt, kinetics, thermodynamics
from cellmodels.models.zinc_halogen.assembly import SIDES, Assembly
from cellmodels.models.zinc_halogen.mechanism_base import ZincMechanism
from cellmodels.models.zinc_halogen.reactions import REDUCTION, Change
from cellmodels.models.zinc_halogen.species import HALOGEN


@dataclass(frozen=True)
class HalogenKinetics(ZincMechanism):
    """The rate law of the halogen electrode.

    See `kinetics.halogen_current` for the equations. Source: S. Ferro, A. De Battisti, J. Appl.
    Electrochem. 34 (2004) 981.

    Parameters
    ----------
    law
        "Volmer" (what a cell has without this) or "two-electron".

    Raises
    ------
    InputError
        If the law is unknown.
    """

    law: str = "Volmer"

    short_name: ClassVar[str] = "halogen kinetics"
    ages: ClassVar[bool] = False
    runs: ClassVar[tuple[Change, ...]] = (REDUCTION,)

    def __post_init__(self) -> None:
        choose(self.law, kinetics.HALOGEN_LAWS, "HalogenKinetics law")

    def prepare(self, cell: Assembly) -> None:
        """Choose the law."""
        cell.halogen_law = self.law


@dataclass(frozen=True)
class ActivityCoefficients(ZincMechanism):
    """The mean activity coefficient of the metal halide.

    "constant" (what a cell has without this) reads "... mean activity factor", the cube of the
    coefficient; "ideal" is one; "Pitzer" follows the concentration up to the limit of its
    coefficients. Source: K. S. Pitzer, J. Phys. Chem. 77 (1973) 268, doi:10.1021/j100621a026.

    Parameters
    ----------
    law
        "constant", "ideal" or "Pitzer".

    Raises
    ------
    InputError
        If the law is unknown.
    """

    law: str = "constant"

    short_name: ClassVar[str] = "activity coefficients"
    ages: ClassVar[bool] = False

    def __post_init__(self) -> None:
        choose(self.law, thermodynamics.ACTIVITIES, "ActivityCoefficients law")

    def variants(self) -> tuple[Mechanism, ...]:
        """The other laws."""
        return tuple(ActivityCoefficients(law) for law in thermodynamics.ACTIVITIES)

    def prepare(self, cell: Assembly) -> None:
        """Choose the law."""
        cell.activity = self.law


@dataclass(frozen=True)
class FusedSalt(ZincMechanism):
    """The complexing agent forms a second liquid with the halogen, instead of binding it.

    The salt forms, dissolves, and takes up and gives halogen at finite rates, displaces electrolyte
    and conducts beside it, and its complexation gives off heat. It takes the place of the agent's
    isotherm. See `fused_salt` for the equations. Source: D. J. Eustace, J. Electrochem. Soc. 127
    (1980) 528.
    """

    short_name: ClassVar[str] = "fused salt"
    ages: ClassVar[bool] = False
    aliases: ClassVar[tuple[str, ...]] = ("second phase",)
    runs: ClassVar[tuple[Change, ...]] = (
        {**dict.fromkeys(fused_salt.CONTENTS, -1.0), "fused salt": 1.0},
        {HALOGEN: -1.0, "fused salt": 1.0},
    )

    @property
    def parameters(self) -> Mapping[str, str]:
        """Parameter -> what a larger value does."""
        return fused_salt.PARAMETERS

    def prepare(self, cell: Assembly) -> None:
        """Let the salt take the place of the isotherm."""
        if cell.electrolyte.agent is None:
            raise InputError("mechanisms: 'fused salt' needs a chemistry with a complexing agent.")
        cell.electrolyte = cell.electrolyte.without_bound_agent()
        cell.fused_salt = True

    def act(self, cell: Assembly) -> None:
        """Form and load the salt of the positive electrode."""
        fused_salt.react(cell, cell.positive, cell.salts[cell.positive.place])


@dataclass(frozen=True)
class NegativeFelt(ZincMechanism):
    """The metal is plated in a felt, which it fills, instead of on a planar plate.

    See `negatives.Felt` for the equations. Source: J. Newman, W. Tiedemann, AIChE J. 21 (1975) 25,
    doi:10.1002/aic.690210103.
    """

    short_name: ClassVar[str] = "negative felt"
    ages: ClassVar[bool] = False
    levels: ClassVar[tuple[str, ...]] = ("porous",)

    @property
    def parameters(self) -> Mapping[str, str]:
        """Parameter -> what a larger value does."""
        return MappingProxyType(
            {
                "Negative electrode thickness [m]": "more room for metal, a longer ionic path",
                "Negative electrode porosity": "more room for metal, less ionic resistance",
                "Negative electrode surface area to volume ratio [m-1]": "less overpotential",
                "Negative electrode conductivity [S.m-1]": "metal is plated further from the "
                "collector",
                "Negative electrode mass-transfer coefficient [m.s-1]": "a higher limiting current",
            }
        )

    @property
    def requires(self) -> tuple[str, ...]:
        """Parameters that the equations read."""
        return (*self.parameters, "Zinc molar volume [m3.mol-1]")

    def prepare(self, cell: Assembly) -> None:
        """Choose the felt."""
        cell.negative_felt = True


@dataclass(frozen=True)
class LumpedThermal(ZincMechanism):
    """One temperature for the whole cell, from all its heats; see `thermal` for the equation.

    Source: D. Bernardi, E. Pawlikowski, J. Newman, J. Electrochem. Soc. 132 (1985) 5,
    doi:10.1149/1.2113792. Not an ageing mechanism by itself: it warms those that depend on
    temperature.
    """

    short_name: ClassVar[str] = "lumped thermal"
    ages: ClassVar[bool] = False
    aliases: ClassVar[tuple[str, ...]] = ("thermal",)

    @property
    def parameters(self) -> Mapping[str, str]:
        """Parameter -> what a larger value does."""
        return MappingProxyType(
            {
                "Heat transfer coefficient [W.m-2.K-1]": "cooler under load",
                "Cell areal heat capacity [J.K-1.m-2]": "warms and cools more slowly",
            }
        )

    @property
    def states(self) -> tuple[str, ...]:
        """The cell's temperature."""
        return ("Cell temperature [K]",)

    def prepare(self, cell: Assembly) -> None:
        """The temperature becomes a state."""
        ambient = cell.numbers("Ambient temperature [K]")
        cell.temperature_state = cell.state("Cell temperature [K]", ambient)
        cell.numbers.temperature = cell.temperature_state


@dataclass(frozen=True)
class DoubleLayer(ZincMechanism):
    """Both electrodes have a double layer: their potentials follow a step of current in time.

    For steps of milliseconds to seconds; a cell without it answers at once. See `double_layer` for
    the equations. Source: J. Newman, K. E. Thomas-Alyea, Electrochemical systems, 3rd ed., Wiley
    2004, ch. 7 and 22.

    Parameters
    ----------
    start
        "charged": the zinc and the halogen electrode begin at their equilibrium potentials; or
        "never charged": both begin at that of the halogen, and the voltage at zero.

    Raises
    ------
    InputError
        If the start is unknown.
    """

    start: str = "charged"

    short_name: ClassVar[str] = "double layer"
    ages: ClassVar[bool] = False

    def __post_init__(self) -> None:
        choose(self.start, double_layer.STARTS, "DoubleLayer start")

    @property
    def parameters(self) -> Mapping[str, str]:
        """Parameter -> what a larger value does."""
        return MappingProxyType(
            {
                "Negative electrode double-layer capacitance [F.m-2]": "follows more slowly",
                "Positive electrode double-layer capacitance [F.m-2]": "follows more slowly",
            }
        )

    @property
    def states(self) -> tuple[str, ...]:
        """Halide that balances the charges of the electrodes."""
        return tuple(f"{side.capitalize()} electrode double layer [mol.m-2]" for side in SIDES)

    def prepare(self, cell: Assembly) -> None:
        """The potentials become states."""
        cell.double_layer_start = self.start
