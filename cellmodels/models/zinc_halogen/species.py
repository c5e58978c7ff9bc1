"""What is dissolved in a zinc-halogen electrolyte, read from its chemistry.

The composition is counted in components that no local equilibrium changes: the metal ion, the
*halide* (all halogen of oxidation state -1, wherever it is bound), the *halogen* (all of oxidation
state 0, counted as X2), the supporting ions, the complexing agent, and the acid [H+] - [OH-].
A polyhalide such as Br5- is one halide and two halogen. Total halogen atoms are halide + 2 halogen,
so that no equilibrium can break the balance of atoms. Complexes of the metal ion count where a
model asks for them, see `Electrolyte.with_complexes`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from types import MappingProxyType

from cellmodels.chemistry import Chemistry, Reaction
from cellmodels.errors import InputError, did_you_mean

#: Components with a state on either side of the separator, beside the supporting ions.
METAL_ION, HALIDE, HALOGEN, AGENT, ACID = "metal ion", "halide", "halogen", "agent", "acid"

#: What no reaction can change, beside the ions, the agent and the acid; see `balances`.
METAL, ATOMS, REDOX = "metal", "halogen atoms", "redox state"
#: The same of one atom of the metal that is not dissolved.
ELEMENT = MappingProxyType({METAL: 1.0, REDOX: -1.0})

_ELECTROLYTE = "electrolyte"
_METAL, _HALOGEN, _WATER = "metal electrode", "halogen electrode", "water"


@dataclass(frozen=True)
class Solute:
    """A dissolved species that moves through the separator.

    Attributes
    ----------
    key : str
        Name in the chemistry, such as "Br3-".
    name : str
        In words, such as "tribromide".
    charge : int
        Charge number.
    contents : tuple of (str, float)
        How much of each component one of it holds.
    """

    key: str
    name: str
    charge: int
    contents: tuple[tuple[str, float], ...]

    @property
    def diffusivity(self) -> str:
        """Name of the parameter that holds its diffusivity."""
        return f"{self.name.capitalize()} diffusivity [m2.s-1]"


@dataclass(frozen=True)
class Polyhalide:
    """A complex of `halogen` X2 with `halide` X-, at equilibrium with them."""

    key: str
    halogen: float
    halide: float
    constant: str
    enthalpy: str


@dataclass(frozen=True)
class Complex:
    """A complex of one metal ion with `count` of the component `ligand`, at equilibrium."""

    solute: Solute
    ligand: str
    count: float
    constant: str
    enthalpy: str

    @property
    def key(self) -> str:
        """Name in the chemistry."""
        return self.solute.key


@dataclass(frozen=True)
class Sites:
    """Sites that hold the halogen: on an agent (`component`) or on the positive electrode."""

    name: str
    component: str | None
    capacity: str
    half_loading: str
    enthalpy: str


@dataclass(frozen=True)
class Solid:
    """The halogen as a solid, above its saturation."""

    constant: str
    enthalpy: str


@dataclass(frozen=True)
class Electrolyte:
    """The dissolved species of a zinc-halogen cell.

    Attributes
    ----------
    metal, metal_ion, halide, halogen : str
        Their names in words, such as "zinc", "zinc ion", "bromide", "bromine".
    agent : str or None
        The complexing agent, in words; None where the chemistry has none.
    supporting : tuple of str
        Other ions, in words.
    solutes : tuple of Solute
        All that moves through the separator.
    polyhalides : tuple of Polyhalide
    sites : tuple of Sites
    solid : Solid or None
    complexes : tuple of Complex
        Complexes of the metal ion that the chemistry knows.
    complexed : bool
        Whether they count; without, the metal ion and its ligands are all free.
    """

    metal: str
    metal_ion: str
    halide: str
    halogen: str
    agent: str | None
    supporting: tuple[str, ...]
    solutes: tuple[Solute, ...]
    polyhalides: tuple[Polyhalide, ...]
    sites: tuple[Sites, ...]
    solid: Solid | None
    complexes: tuple[Complex, ...] = ()
    complexed: bool = False

    @property
    def ligands(self) -> tuple[str, ...]:
        """Components that complex the metal ion; none where complexes do not count."""
        return tuple(dict.fromkeys(c.ligand for c in self.complexes)) if self.complexed else ()

    def with_complexes(self) -> Electrolyte:
        """The same with the complexes of the metal ion among what is dissolved."""
        if self.complexed:
            return self
        moving = tuple(c.solute for c in self.complexes)
        return replace(self, solutes=(*self.solutes, *moving), complexed=True)

    def without_bound_agent(self) -> Electrolyte:
        """The same without the isotherm by which the agent binds the halogen."""
        return replace(self, sites=tuple(s for s in self.sites if s.component != AGENT))

    @property
    def components(self) -> tuple[str, ...]:
        """Components with an amount on either side of the separator."""
        agent = (AGENT,) if self.agent else ()
        return (METAL_ION, HALIDE, HALOGEN, *self.supporting, *agent, ACID)

    def word(self, component: str) -> str:
        """A component in words."""
        words = {METAL_ION: self.metal_ion, HALIDE: self.halide, HALOGEN: self.halogen}
        return words.get(component, self.agent if component == AGENT else component) or component

    def conserved(self, component: str) -> dict[str, float]:
        """How much of each conserved quantity one of a component holds."""
        held = {METAL_ION: {METAL: 1.0}, HALIDE: {ATOMS: 1.0}, HALOGEN: {ATOMS: 2.0, REDOX: 1.0}}
        return held.get(component, {component: 1.0})

    def charge(self, component: str) -> int:
        """Charge that one of a component brings, in whatever species it is bound."""
        given = {METAL_ION: 2, HALIDE: -1, HALOGEN: 0, AGENT: 1, ACID: 1}
        return given[component] if component in given else self._supporting_charge(component)

    def _supporting_charge(self, component: str) -> int:
        return next(s.charge for s in self.solutes if s.name == component)


def electrolyte(chemistry: Chemistry) -> Electrolyte:
    """The electrolyte that a chemistry describes.

    Parameters
    ----------
    chemistry
        Of the family "zinc_halogen".

    Returns
    -------
    Electrolyte

    Raises
    ------
    InputError
        If a reaction that the model needs is missing or has another form.
    """
    metal = _reaction(chemistry, _METAL)
    positive = _reaction(chemistry, _HALOGEN)
    water = _reaction(chemistry, _WATER)
    ion_key, metal_key = _one(metal.reactants, _METAL), _one(metal.products, _METAL)
    halogen_key, halide_key = _one(positive.reactants, _HALOGEN), _one(positive.products, _HALOGEN)
    of_metal = {
        name
        for name, each in chemistry.equilibria.items()
        if ion_key in {t.species for t in chemistry.reactions[each.reaction].reactants}
    }
    polyhalides = _polyhalides(chemistry, halide_key, halogen_key, of_metal)
    complexes = _complexes(chemistry, ion_key, halide_key, of_metal)
    agents = [h.host for h in chemistry.isotherms.values() if h.host in chemistry.species]
    if len(set(agents)) > 1:
        raise InputError(f"isotherms: one complexing agent at most, not {', '.join(agents)}.")
    contents: dict[str, tuple[tuple[str, float], ...]] = {
        ion_key: ((METAL_ION, 1.0),),
        halide_key: ((HALIDE, 1.0),),
        halogen_key: ((HALOGEN, 1.0),),
        **{p.key: ((HALIDE, p.halide), (HALOGEN, p.halogen)) for p in polyhalides},
        **dict.fromkeys(agents, ((AGENT, 1.0),)),
        **{
            t.species: ((ACID, float(chemistry.species[t.species].charge)),) for t in water.products
        },
    }
    supporting = [
        key
        for key, s in chemistry.species.items()
        if _ELECTROLYTE in s.phases
        and s.charge
        and key not in contents
        and key not in {c.key for c in complexes}
    ]
    word = {key: s.title for key, s in chemistry.species.items()}
    contents |= {key: ((word[key], 1.0),) for key in supporting}
    return Electrolyte(
        metal=word[metal_key],
        metal_ion=word[ion_key],
        halide=word[halide_key],
        halogen=word[halogen_key],
        agent=word[agents[0]] if agents else None,
        supporting=tuple(word[key] for key in supporting),
        solutes=tuple(
            Solute(key, word[key], chemistry.species[key].charge, held)
            for key, held in contents.items()
        ),
        polyhalides=polyhalides,
        sites=tuple(
            Sites(name, AGENT if h.host in agents else None, h.capacity, h.half_loading, h.enthalpy)
            for name, h in chemistry.isotherms.items()
        ),
        solid=_solid(chemistry, halogen_key),
        complexes=complexes,
    )


def _reaction(chemistry: Chemistry, name: str) -> Reaction:
    if name not in chemistry.reactions:
        hint = did_you_mean(name, chemistry.reactions)
        raise InputError(f"The chemistry '{chemistry.name}' lacks the reaction '{name}'.{hint}")
    return chemistry.reactions[name]


def _one(side: tuple, name: str) -> str:
    """The one species beside electrons on a side of a reaction."""
    found = [term.species for term in side if term.species != "electron"]
    if len(found) != 1:
        raise InputError(f"The reaction '{name}' has one species on either side, not {found}.")
    return str(found[0])


def _polyhalides(
    chemistry: Chemistry, halide: str, halogen: str, others: Collection[str]
) -> tuple[Polyhalide, ...]:
    found = []
    for name, each in chemistry.equilibria.items():
        if name in others:
            continue
        reaction = chemistry.reactions[each.reaction]
        counts = {term.species: term.count for term in reaction.reactants}
        if set(counts) != {halide, halogen} or len(reaction.products) != 1:
            raise InputError(
                f"equilibria -> {name}: '{reaction.equation}' must form one species from "
                f"{halogen} and {halide}."
            )
        key = reaction.products[0].species
        made = reaction.products[0].count
        found.append(
            Polyhalide(
                key, counts[halogen] / made, counts[halide] / made, each.constant, each.enthalpy
            )
        )
    return tuple(found)


def _complexes(
    chemistry: Chemistry, metal_ion: str, halide: str, names: Collection[str]
) -> tuple[Complex, ...]:
    found = []
    for name, each in chemistry.equilibria.items():
        if name not in names:
            continue
        reaction = chemistry.reactions[each.reaction]
        counts = {term.species: term.count for term in reaction.reactants}
        products = [(term.species, term.count) for term in reaction.products]
        anions = [key for key in counts if chemistry.species[key].charge < 0]
        if len(counts) != 2 or counts[metal_ion] != 1 or len(anions) != 1 or len(products) != 1:
            raise InputError(
                f"equilibria -> {name}: '{reaction.equation}' must form one species from one "
                f"{metal_ion} and anions of one kind."
            )
        (anion,), key = anions, products[0][0]
        ligand = HALIDE if anion == halide else chemistry.species[anion].title
        made, count = chemistry.species[key], counts[anion]
        held = ((METAL_ION, 1.0), (ligand, count))
        solute = Solute(key, made.title, made.charge, held)
        found.append(Complex(solute, ligand, count, each.constant, each.enthalpy))
    return tuple(found)


def _solid(chemistry: Chemistry, halogen: str) -> Solid | None:
    for name, each in chemistry.saturations.items():
        reaction = chemistry.reactions[each.reaction]
        species = [
            (t.species, t.phase == _ELECTROLYTE) for t in (*reaction.reactants, *reaction.products)
        ]
        if species != [(halogen, True), (halogen, False)]:
            raise InputError(
                f"saturations -> {name}: '{reaction.equation}' must turn dissolved {halogen} into "
                "a solid."
            )
        return Solid(each.constant, each.enthalpy)
    return None
