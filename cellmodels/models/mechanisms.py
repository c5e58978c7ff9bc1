"""Ageing mechanisms of a lithium-ion cell, as values.

Each mechanism is a small frozen dataclass: what it is, its equation and source, the parameters it
ages by, what PyBaMM needs to run it, and the slow quantities it moves. The equations are PyBaMM's
own; these classes only say which of them are wanted. `cellmodels.models.lithium_ion` turns a list
of them into PyBaMM options.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any, ClassVar

from cellmodels.errors import InputError, nearest

ELECTRODES = ("negative", "positive")
SEI_LIMITS = ("solvent diffusion", "reaction", "electron migration", "interstitial diffusion")
PLATING_KINDS = ("partially reversible", "irreversible", "reversible")
LAM_DRIVERS = ("stress", "reaction", "stress and reaction")


def choose(value: Any, choices: Iterable[str], what: str) -> str:
    """Return `value` if it is one of `choices`.

    Parameters
    ----------
    value
        What was given.
    choices
        The valid values.
    what
        Name of the quantity, for the message.

    Raises
    ------
    InputError
        Naming the value, the nearest valid choice and all choices.
    """
    choices = tuple(choices)
    if value in choices:
        return str(value)
    near = nearest(str(value), choices)
    hint = f" Did you mean {near!r}?" if near else ""
    raise InputError(f"{what}: {value!r} is not known.{hint} Choose from {list(choices)}.")


def _electrodes(value: Any, what: str) -> tuple[str, ...]:
    """Electrodes as a tuple in the order negative, positive, each once."""
    given = (value,) if isinstance(value, str) else tuple(value)
    for name in given:
        choose(name, ELECTRODES, what)
    if not given:
        raise InputError(f"{what}: no electrode given. Choose from {list(ELECTRODES)}.")
    return tuple(name for name in ELECTRODES if name in given)


def _boolean(value: Any, what: str) -> None:
    if not isinstance(value, bool):
        raise InputError(f"{what}: {value!r} is not true or false.")


class Mechanism:
    """Base of all mechanisms: a name, the parameters it ages by and the states it moves.

    Attributes
    ----------
    short_name : str
        Name by which a chemistry file or a user may ask for the mechanism with its defaults.
    aliases : tuple of str
        Other accepted names.
    ages : bool
        Whether it ages the cell, or else chooses another law or part.
    """

    short_name: ClassVar[str] = ""
    aliases: ClassVar[tuple[str, ...]] = ()
    ages: ClassVar[bool] = True

    @property
    def parameters(self) -> Mapping[str, str]:
        """Scalar parameters the cell ages by: PyBaMM name -> what a larger value does."""
        return MappingProxyType({})

    @property
    def rates(self) -> tuple[str, ...]:
        """Of its parameters those that say how much it ages the cell, one for each place."""
        return tuple(self.parameters)[:1] if self.ages else ()

    @property
    def requires(self) -> tuple[str, ...]:
        """PyBaMM parameters the equations read; a parameter set must hold all of them."""
        return ()

    @property
    def states(self) -> tuple[str, ...]:
        """Slow quantities it moves: PyBaMM variables that exist in every model level."""
        return ()

    def variants(self) -> tuple[Mechanism, ...]:
        """The same mechanism with other choices, where those read other parameters."""
        return ()

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; `mechanism` reads them back."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]
        plain = {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}
        return {"mechanism": self.short_name, **plain}


@dataclass(frozen=True)
class SEI(Mechanism):
    r"""Growth of the solid-electrolyte interphase on the negative electrode.

    The film of thickness L consumes lithium at the current density j (A m-2, negative), which adds
    a film resistance and lowers the inventory of lithium:

    .. math:: \frac{dc_{SEI}}{dt} = -\frac{a\,j}{F z}, \qquad L = \frac{c_{SEI}\bar V}{a}

    with, by what limits the growth (:math:`\Delta\phi = \phi_s - \phi_e`; all times
    :math:`e^{E/R\,(1/T_{ref} - 1/T)}`),

    * ``"solvent diffusion"``: :math:`j = -D_{sol} c_{sol} F / L`
    * ``"reaction"``: :math:`j = -j_0 e^{-F\eta/2RT}`, :math:`\eta = \Delta\phi - U - j_{tot} L R`
    * ``"electron migration"``: :math:`j = \kappa (\Delta\phi - U) / L` where negative, else 0
    * ``"interstitial diffusion"``: :math:`j = -D_{Li} c_{Li} F / L\; e^{-F\Delta\phi/RT}`

    Sources: S. G. Marquis, Long-term degradation of lithium-ion batteries, PhD thesis, University
    of Oxford, 2020, eqs 5.91 to 5.96; F. Single, A. Latz, B. Horstmann, ChemSusChem 11 (2018)
    1950, doi:10.1002/cssc.201800077. With `porosity_change` the film fills the pores:
    S. E. J. O'Kane et al., Phys. Chem. Chem. Phys. 24 (2022) 7909, doi:10.1039/D2CP00417H.

    Parameters
    ----------
    limit
        What limits the growth, see above.
    porosity_change
        Whether the growing film takes up pore volume.

    Raises
    ------
    InputError
        If a choice is unknown.
    """

    limit: str = "solvent diffusion"
    porosity_change: bool = True

    short_name: ClassVar[str] = "SEI"
    aliases: ClassVar[tuple[str, ...]] = ("sei growth", "solid-electrolyte interphase")

    def __post_init__(self) -> None:
        choose(self.limit, SEI_LIMITS, "SEI limit")
        _boolean(self.porosity_change, "SEI porosity_change")

    @property
    def parameters(self) -> Mapping[str, str]:
        """Scalar parameters the cell ages by: PyBaMM name -> what a larger value does."""
        own = {
            "solvent diffusion": {
                "SEI solvent diffusivity [m2.s-1]": "faster growth, slowing as the film thickens",
                "Bulk solvent concentration [mol.m-3]": "as the diffusivity: only their product "
                "matters",
            },
            "reaction": {
                "SEI reaction exchange current density [A.m-2]": "faster growth at constant rate",
                "SEI open-circuit potential [V]": "faster growth, as exp(F/2RT)",
            },
            "electron migration": {
                "SEI electron conductivity [S.m-1]": "faster growth, slowing as the film thickens",
                "SEI open-circuit potential [V]": "faster growth, linearly",
            },
            "interstitial diffusion": {
                "SEI lithium interstitial diffusivity [m2.s-1]": "faster growth, strongest at "
                "high state of charge",
                "Lithium interstitial reference concentration [mol.m-3]": "as the diffusivity: "
                "only their product matters",
            },
        }[self.limit]
        shared = {
            "Initial SEI thickness [m]": "slower growth at first, more resistance",
            "SEI resistivity [Ohm.m]": "more resistance for the same film",
            "SEI growth activation energy [J.mol-1]": "faster growth above the reference "
            "temperature, slower below",
        }
        return MappingProxyType({**own, **shared})

    @property
    def requires(self) -> tuple[str, ...]:
        """PyBaMM parameters the equations read."""
        shared = ("SEI partial molar volume [m3.mol-1]", "Ratio of lithium moles to SEI moles")
        return (*self.parameters, *shared)

    @property
    def states(self) -> tuple[str, ...]:
        """Film thickness and the lithium it holds."""
        return (
            "X-averaged negative SEI thickness [m]",
            "Loss of lithium to negative SEI [mol]",
        )


@dataclass(frozen=True)
class LithiumPlating(Mechanism):
    r"""Lithium plating and stripping on the negative electrode.

    .. math::
        j = j_{0,s}\, e^{F\alpha_s\eta/RT} - j_{0,p}\, e^{-F\alpha_p\eta/RT}, \qquad
        \eta = \phi_s - \phi_e + \eta_{SEI}

        \frac{dc_{Li}}{dt} = -\frac{a\,j}{F} - \gamma c_{Li}, \qquad
        \frac{dc_{dead}}{dt} = \gamma c_{Li}, \qquad \gamma = \gamma_0 L_{SEI,0}/L_{SEI}

    as ``"partially reversible"``; ``"reversible"`` has no dead lithium (:math:`\gamma = 0`) and
    ``"irreversible"`` no stripping: what is plated is dead at once.

    Sources: S. E. J. O'Kane et al., J. Electrochem. Soc. 167 (2020) 090540,
    doi:10.1149/1945-7111/ab90ac (reversible, irreversible); S. E. J. O'Kane et al., Phys. Chem.
    Chem. Phys. 24 (2022) 7909, doi:10.1039/D2CP00417H (partially reversible, pore filling).

    Parameters
    ----------
    kind
        "partially reversible", "irreversible" or "reversible".
    porosity_change
        Whether the deposit takes up pore volume.

    Raises
    ------
    InputError
        If a choice is unknown.
    """

    kind: str = "partially reversible"
    porosity_change: bool = True

    short_name: ClassVar[str] = "lithium plating"
    aliases: ClassVar[tuple[str, ...]] = ("plating",)

    def __post_init__(self) -> None:
        choose(self.kind, PLATING_KINDS, "LithiumPlating kind")
        _boolean(self.porosity_change, "LithiumPlating porosity_change")

    @property
    def parameters(self) -> Mapping[str, str]:
        """Scalar parameters the cell ages by: PyBaMM name -> what a larger value does."""
        names = {
            "Lithium plating kinetic rate constant [m.s-1]": "faster plating and stripping",
            "Lithium plating transfer coefficient": "plating more sensitive to the potential",
        }
        if self.kind == "partially reversible":
            names["Dead lithium decay constant [s-1]"] = "more of the plated lithium is lost"
        return MappingProxyType(names)

    @property
    def rates(self) -> tuple[str, ...]:
        """The decay of what is plated, where there is one: it acts on nothing else."""
        return tuple(self.parameters)[-1:] if self.kind == "partially reversible" else super().rates

    @property
    def requires(self) -> tuple[str, ...]:
        """PyBaMM parameters the equations read."""
        names: tuple[str, ...] = (
            "Exchange-current density for plating [A.m-2]",
            "Lithium plating transfer coefficient",
            "Lithium metal partial molar volume [m3.mol-1]",
            "Typical plated lithium concentration [mol.m-3]",
            "Initial plated lithium concentration [mol.m-3]",
        )
        if self.kind == "irreversible":
            return names
        names = (*names, "Exchange-current density for stripping [A.m-2]")
        if self.kind == "reversible":
            return names
        # PyBaMM lets the plated lithium decay under an SEI film, which it keeps constant where
        # no growth is asked for.
        film = (
            "Initial SEI thickness [m]",
            "SEI partial molar volume [m3.mol-1]",
            "SEI resistivity [Ohm.m]",
        )
        return (*names, "Dead lithium decay rate [s-1]", *film)

    @property
    def states(self) -> tuple[str, ...]:
        """Plated and dead lithium, and the lithium they hold together."""
        return (
            "X-averaged negative lithium plating concentration [mol.m-3]",
            "X-averaged negative dead lithium concentration [mol.m-3]",
            "Loss of lithium to negative lithium plating [mol]",
        )


@dataclass(frozen=True)
class LossOfActiveMaterial(Mechanism):
    r"""Loss of active material (LAM) of an electrode.

    .. math::
        \frac{d\varepsilon_s}{dt} = -\beta \left(\frac{\sigma_h}{\sigma_c}\right)^{m}
        [\sigma_h > 0] \;+\; \beta_{SEI}\,\frac{a\,j_{SEI}}{F}

    The first term is ``driver="stress"`` (hydrostatic surface stress :math:`\sigma_h`, tension
    only), the second ``driver="reaction"`` (side reaction :math:`j_{SEI} \le 0`). Lithium in the
    lost particles is lost too.

    Sources: stress: J. M. Reniers, G. Mulder, D. A. Howey, J. Electrochem. Soc. 166 (2019) A3189,
    doi:10.1149/2.0281914jes, after I. Laresgoiti et al., J. Power Sources 300 (2015) 112,
    doi:10.1016/j.jpowsour.2015.09.033; the stress itself: W. Ai et al., J. Electrochem. Soc. 167
    (2020) 013512, doi:10.1149/2.0122001JES; reaction: Reniers et al., as above.

    Parameters
    ----------
    driver
        "stress", "reaction" or "stress and reaction". The reaction needs `SEI` beside it and acts
        on the negative electrode only, where the film grows: for "stress and reaction" the
        positive electrode, if chosen, loses material by stress alone.
    electrodes
        "negative", "positive" or both; by default all the driver acts on.

    Raises
    ------
    InputError
        If a choice is unknown, or for a reaction-driven loss in the positive electrode alone.
    """

    driver: str = "stress"
    electrodes: tuple[str, ...] = ()

    short_name: ClassVar[str] = "loss of active material"
    aliases: ClassVar[tuple[str, ...]] = ("LAM",)

    def __post_init__(self) -> None:
        choose(self.driver, LAM_DRIVERS, "LossOfActiveMaterial driver")
        acts_on = ("negative",) if self.driver == "reaction" else ELECTRODES
        electrodes = _electrodes(self.electrodes or acts_on, "LossOfActiveMaterial electrodes")
        object.__setattr__(self, "electrodes", electrodes)
        if self.driver == "reaction" and "positive" in electrodes:
            raise InputError(
                "LossOfActiveMaterial: a reaction-driven loss follows the SEI, which grows on the "
                "negative electrode only. Choose electrodes=('negative',) or driver='stress'."
            )
        if self.driver == "stress and reaction" and "negative" not in electrodes:
            raise InputError(
                "LossOfActiveMaterial: 'stress and reaction' in the positive electrode alone is "
                "stress alone. Choose driver='stress' or add the negative electrode."
            )

    def driver_in(self, electrode: str) -> str:
        """What drives the loss in `electrode`: "none", "stress", "reaction" or both."""
        if electrode not in self.electrodes:
            return "none"
        return "stress" if electrode == "positive" else self.driver

    @property
    def parameters(self) -> Mapping[str, str]:
        """Scalar parameters the cell ages by: PyBaMM name -> what a larger value does."""
        names: dict[str, str] = {}
        for electrode in self.electrodes:
            name, driver = electrode.capitalize(), self.driver_in(electrode)
            if "stress" in driver:
                names |= {
                    f"{name} electrode LAM constant proportional term [s-1]": "faster loss at the "
                    "same stress",
                    f"{name} electrode LAM constant exponential term": "loss more sensitive to "
                    "the stress, and so to the current",
                    f"{name} electrode critical stress [Pa]": "slower loss",
                }
            if "reaction" in driver:
                names[f"{name} electrode reaction-driven LAM factor [m3.mol-1]"] = (
                    "more loss for each mole of side reaction"
                )
        return MappingProxyType(names)

    @property
    def rates(self) -> tuple[str, ...]:
        """The factors of stress and of the side reaction, of each electrode."""
        factors = ("LAM constant proportional term", "reaction-driven LAM factor")
        return tuple(n for n in self.parameters if any(factor in n for factor in factors))

    @property
    def requires(self) -> tuple[str, ...]:
        """PyBaMM parameters the equations read."""
        stressed = [e for e in self.electrodes if "stress" in self.driver_in(e)]
        # With both electrodes swelling PyBaMM adds up the thickness of the cell.
        cell = ("Cell thermal expansion coefficient [m.K-1]",) if len(stressed) == 2 else ()
        return (*self.parameters, *_mechanics_parameters(stressed), *cell)

    @property
    def states(self) -> tuple[str, ...]:
        """Active material volume fraction and the lithium lost with the particles."""
        return tuple(
            name
            for e in self.electrodes
            for name in (
                f"X-averaged {e} electrode active material volume fraction",
                f"Loss of lithium due to loss of active material in {e} electrode [mol]",
            )
        )


@dataclass(frozen=True)
class ParticleCracking(Mechanism):
    r"""Fatigue cracks in the particles, with SEI growing on the crack faces.

    .. math::
        \frac{dl}{dt} = \frac{k}{t_0} \left(\sigma_t\, b \sqrt{\pi l}\right)^{m} [\sigma_t > 0],
        \qquad a_{cr} = 2\, l\, w\, \rho\, a, \qquad t_0 = 3600\ \mathrm{s}

    (Paris' law for the crack length l under the tangential surface stress; the crack faces add
    the area :math:`a_{cr}`, on which the SEI grows as on the surface.)

    Sources: R. Deshpande et al., J. Electrochem. Soc. 159 (2012) A1730, doi:10.1149/2.049210jes;
    W. Ai et al., J. Electrochem. Soc. 167 (2020) 013512, doi:10.1149/2.0122001JES;
    S. E. J. O'Kane et al., Phys. Chem. Chem. Phys. 24 (2022) 7909, doi:10.1039/D2CP00417H.

    Parameters
    ----------
    electrodes
        "negative", "positive" or both.
    sei_on_cracks
        Whether SEI grows on the crack faces of the negative electrode. Without it cracks grow but
        change nothing else in the model.

    Raises
    ------
    InputError
        If a choice is unknown, or if SEI is asked for on cracks of the positive electrode alone.
    """

    electrodes: tuple[str, ...] = ("negative",)
    sei_on_cracks: bool = True

    short_name: ClassVar[str] = "particle cracking"
    aliases: ClassVar[tuple[str, ...]] = ("cracking", "cracks")

    def __post_init__(self) -> None:
        electrodes = _electrodes(self.electrodes, "ParticleCracking electrodes")
        object.__setattr__(self, "electrodes", electrodes)
        _boolean(self.sei_on_cracks, "ParticleCracking sei_on_cracks")
        if self.sei_on_cracks and "negative" not in electrodes:
            raise InputError(
                "ParticleCracking: SEI grows on the negative electrode only. Choose "
                "sei_on_cracks=False or add the negative electrode."
            )

    @property
    def parameters(self) -> Mapping[str, str]:
        """Scalar parameters the cell ages by: PyBaMM name -> what a larger value does."""
        names: dict[str, str] = {}
        for electrode in self.electrodes:
            name = electrode.capitalize()
            names |= {
                f"{name} electrode cracking rate": "faster crack growth",
                f"{name} electrode initial crack length [m]": "more crack area, faster growth",
                f"{name} electrode initial crack width [m]": "more crack area",
                f"{name} electrode number of cracks per unit area [m-2]": "more crack area",
                f"{name} electrode Paris' law constant b": "faster crack growth",
                f"{name} electrode Paris' law constant m": "crack growth more sensitive to stress",
            }
        return MappingProxyType(names)

    @property
    def rates(self) -> tuple[str, ...]:
        """How fast the cracks grow on which the film grows; none where there is no film."""
        return tuple(self.parameters)[:1] if self.sei_on_cracks else ()

    @property
    def requires(self) -> tuple[str, ...]:
        """PyBaMM parameters the equations read."""
        film = ["Initial SEI on cracks thickness [m]"] if self.sei_on_cracks else []
        cell = ["Cell thermal expansion coefficient [m.K-1]"] if len(self.electrodes) == 2 else []
        return (*self.parameters, *_mechanics_parameters(self.electrodes), *cell, *film)

    @property
    def states(self) -> tuple[str, ...]:
        """Crack length and, with SEI on cracks, the film there and the lithium it holds."""
        cracks = tuple(f"X-averaged {e} particle crack length [m]" for e in self.electrodes)
        film = (
            "X-averaged negative SEI on cracks thickness [m]",
            "Loss of lithium to negative SEI on cracks [mol]",
        )
        return cracks + (film if self.sei_on_cracks else ())


@dataclass(frozen=True)
class LumpedThermal(Mechanism):
    r"""One temperature for the whole cell, heated by its losses and cooled by its surroundings.

    .. math:: \overline{\rho c_p}\, V \frac{dT}{dt} = \bar Q V - h A_{cool} (T - T_{amb})

    Source: R. Timms et al., SIAM J. Appl. Math. 81 (2021) 765, doi:10.1137/20M1336898. Not an
    ageing mechanism by itself: it warms those that depend on temperature.
    """

    short_name: ClassVar[str] = "lumped thermal"
    aliases: ClassVar[tuple[str, ...]] = ("thermal",)
    ages: ClassVar[bool] = False

    @property
    def parameters(self) -> Mapping[str, str]:
        """Scalar parameters that set the temperature: PyBaMM name -> what a larger value does."""
        return MappingProxyType(
            {"Total heat transfer coefficient [W.m-2.K-1]": "cooler under load"}
        )

    @property
    def requires(self) -> tuple[str, ...]:
        """PyBaMM parameters the equations read."""
        thermal = ("density [kg.m-3]", "specific heat capacity [J.kg-1.K-1]")
        layers = (
            "Negative current collector",
            "Negative electrode",
            "Separator",
            "Positive electrode",
            "Positive current collector",
        )
        properties = tuple(f"{layer} {name}" for layer in layers for name in thermal)
        collectors = tuple(
            f"{side} current collector {name}"
            for side in ("Negative", "Positive")
            for name in ("conductivity [S.m-1]", "thickness [m]")
        )
        return (
            *self.parameters,
            "Initial temperature [K]",
            "Cell cooling surface area [m2]",
            "Cell volume [m3]",
            *properties,
            *collectors,
        )

    @property
    def states(self) -> tuple[str, ...]:
        """The cell's temperature."""
        return ("Volume-averaged cell temperature [K]",)


@dataclass(frozen=True)
class DoubleLayer(Mechanism):
    r"""Capacitance of the double layers, which answer a step of the current in milliseconds.

    The charge of a double layer is that part of the current which does not react:

    .. math::
        a\,C_{dl} \frac{\partial (\phi_s - \phi_e)}{\partial t}
        = \nabla\cdot i_e - a \textstyle\sum j

    averaged over the electrode in the SPM and SPMe. The voltage falls at once by what is ohmic, and
    then by the charge-transfer overpotential with the time constant :math:`C_{dl} R_{ct}`; for
    small steps and transfer coefficients of one half :math:`R_{ct} = RT/(F j_0)`, with PyBaMM's
    :math:`j = 2 j_0 \sinh(F\eta/2RT)`. Without this the potentials follow the current at once. Not
    an ageing mechanism.

    The anion charges the double layer: the cation's balance has the reactions alone. The SPM has no
    ohmic resistance, so that all of its voltage is then a state: it cannot be held at a value
    unless there is a "Contact resistance [Ohm]". In a zinc-halogen cell this stands for the double
    layers of its own models, with their defaults.

    Sources: I. J. Ong, J. Newman, J. Electrochem. Soc. 146 (1999) 4360; J. Newman, K. E.
    Thomas-Alyea, Electrochemical Systems, 3rd ed., Wiley 2004, chapter 22; in the form of PyBaMM
    ("surface form"): V. Sulzer et al., J. Electrochem. Soc. 166 (2019) A2363,
    doi:10.1149/2.0301910jes.
    """

    short_name: ClassVar[str] = "double layer"
    aliases: ClassVar[tuple[str, ...]] = ("double-layer capacitance",)
    ages: ClassVar[bool] = False

    @property
    def parameters(self) -> Mapping[str, str]:
        """Scalar parameters of the double layers: PyBaMM name -> what a larger value does."""
        return MappingProxyType(
            {
                f"{e.capitalize()} electrode double-layer capacity [F.m-2]": "slower rise of the "
                "charge-transfer overpotential"
                for e in ELECTRODES
            }
        )

    @property
    def requires(self) -> tuple[str, ...]:
        """PyBaMM parameters the equations read."""
        return (*self.parameters, "Initial temperature [K]")

    @property
    def states(self) -> tuple[str, ...]:
        """Potential differences across the double layers."""
        return tuple(
            f"X-averaged {e} electrode surface potential difference [V]" for e in ELECTRODES
        )


MECHANISMS: tuple[type[Mechanism], ...] = (
    SEI,
    LithiumPlating,
    LossOfActiveMaterial,
    ParticleCracking,
    LumpedThermal,
    DoubleLayer,
)

#: Those that another family may have in a form of its own, under the same name.
SHARED = (LumpedThermal, DoubleLayer)


def mechanism(
    spec: Mechanism | str | Mapping[str, Any], kinds: tuple[type[Mechanism], ...] = MECHANISMS
) -> Mechanism:
    """The mechanism meant by `spec`.

    Parameters
    ----------
    spec
        A mechanism, a short name such as "SEI" (case does not matter; class names and aliases are
        accepted), or a mapping ``{"mechanism": short name, **settings}`` as `to_dict` writes.
    kinds
        The mechanisms of the family.

    Returns
    -------
    Mechanism

    Raises
    ------
    InputError
        If the name or a setting is unknown, naming the nearest valid one, or the mechanism is one
        of another family.
    """
    if isinstance(spec, Mechanism):
        if not isinstance(spec, kinds):
            names = [kind.short_name for kind in kinds]
            raise InputError(
                f"mechanism: {type(spec).__name__} is not one of this family of cells. Choose from "
                f"{names}."
            )
        return spec
    if isinstance(spec, str):
        return _class_of(spec, kinds)()
    if not isinstance(spec, Mapping) or "mechanism" not in spec:
        raise InputError(
            f"mechanism {spec!r}: give an object such as SEI(), a short name such as 'SEI', or a "
            "table with the key 'mechanism'."
        )
    kind = _class_of(spec["mechanism"], kinds)
    settings = {k: v for k, v in spec.items() if k != "mechanism"}
    known = [f.name for f in fields(kind)]  # type: ignore[arg-type]
    for name, value in settings.items():
        if not known:
            raise InputError(f"{kind.short_name}: setting {name!r} is not known; it has none.")
        choose(name, known, f"{kind.short_name} setting")
        settings[name] = tuple(value) if isinstance(value, list) else value
    return kind(**settings)


def mechanism_names() -> tuple[str, ...]:
    """Short names of all lithium-ion mechanisms."""
    return tuple(kind.short_name for kind in MECHANISMS)


def canonical(mechanisms: Iterable[Mechanism]) -> tuple[Mechanism, ...]:
    """Mechanisms sorted by name, each once.

    Parameters
    ----------
    mechanisms
        In any order.

    Returns
    -------
    tuple of Mechanism

    Raises
    ------
    InputError
        If one is given twice.
    """
    given = tuple(sorted(mechanisms, key=lambda m: m.short_name))
    names = [m.short_name for m in given]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"mechanisms: {name!r} is given {names.count(name)} times.")
    return given


def _class_of(name: Any, kinds: tuple[type[Mechanism], ...]) -> type[Mechanism]:
    """The class a short name, alias or class name stands for."""
    for kind in kinds:
        names = (kind.short_name, kind.__name__, *kind.aliases)
        if str(name).casefold() in [n.casefold() for n in names]:
            return kind
    choose(str(name), tuple(kind.short_name for kind in kinds), "mechanism")
    raise AssertionError("unreachable")  # pragma: no cover


def _mechanics_parameters(electrodes: Iterable[str]) -> tuple[str, ...]:
    """What the stress in the particles of `electrodes` reads (Ai et al. 2020)."""
    names = (
        "Poisson's ratio",
        "Young's modulus [Pa]",
        "partial molar volume [m3.mol-1]",
        "reference concentration for free of deformation [mol.m-3]",
        "volume change",
    )
    return tuple(f"{e.capitalize()} electrode {name}" for e in electrodes for name in names)
