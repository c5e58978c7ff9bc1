"""What reacts in a cell: species, reactions, property laws, mechanisms and defaults.

A chemistry is a TOML file in ``chemistries/``. It holds no material's numbers (those are parameter
sets), only what is common to every cell of the kind. Loading it checks that every reaction is
balanced in atoms and charge, and that every name it uses is one it declares.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, field_validator, model_validator
from pydantic.dataclasses import dataclass
from pydantic_core import to_jsonable_python

from cellmodels.errors import InputError, did_you_mean
from cellmodels.expressions import Expression
from cellmodels.paths import named_files
from cellmodels.toml_io import read_toml, validate
from cellmodels.units import parse_unit, unit_of_name

#: Families of models that a chemistry may ask for.
Family = Literal["lithium_ion", "zinc_halogen"]

#: Tables that a chemistry may do without.
_OPTIONAL = ("equilibria", "isotherms", "saturations")

_CONFIG = ConfigDict(extra="forbid", str_strip_whitespace=True)
_Text = Annotated[str, Field(min_length=1)]
_Names = Annotated[tuple[str, ...], Field(min_length=1)]

_ELEMENT = re.compile(r"([A-Z][a-z]?)(\d*)")
_TERM = re.compile(
    r"(?:(?P<count>\d+(?:\.\d+)?)\s+)?(?P<species>[A-Za-z(][^\s\[\]]*)(?:\[(?P<phase>[^\[\]]+)\])?"
)


@dataclass(frozen=True, config=_CONFIG)
class Species:
    """A substance that takes part in the reactions, or carries charge.

    Parameters
    ----------
    title : str
        What it is, in words.
    formula : str
        Atoms, without charge: ``"C3H4O3"``. Used to balance the reactions.
    charge : int
        Charge number: 1 for ``Li+``.
    phases : tuple of str
        Phases it occurs in.
    """

    title: _Text
    formula: _Text
    charge: Annotated[int, Field(strict=True)]
    phases: _Names

    @field_validator("formula")
    @classmethod
    def _check_formula(cls, formula: str) -> str:
        if not re.fullmatch(rf"(?:{_ELEMENT.pattern})+", formula):
            raise InputError(f"'{formula}' is not a formula such as 'C3H4O3'.")
        return formula

    @property
    def atoms(self) -> Counter[str]:
        """Number of atoms of each element."""
        atoms: Counter[str] = Counter()
        for element, count in _ELEMENT.findall(self.formula):
            atoms[element] += int(count or 1)
        return atoms


@dataclass(frozen=True)
class Term:
    """One species in a reaction: how many of it, and in which phase (``""`` for electrons)."""

    count: float
    species: str
    phase: str


@dataclass(frozen=True, config=_CONFIG)
class Reaction:
    """A reaction, written as text.

    Parameters
    ----------
    equation : str
        For example ``"Li+[electrolyte] + electron <=> Li[negative]"``: counts before the
        species, phases in brackets, ``<=>`` for a reversible and ``=>`` for an irreversible
        reaction. ``electron`` stands for an electron taken from the electrode.
    title : str
        What it is, in words.

    Attributes
    ----------
    reversible : bool
        Whether it is written with ``<=>``.
    reactants, products : tuple of Term
        Left and right of the arrow.
    """

    equation: str
    title: _Text
    reversible: bool = field(init=False)
    reactants: tuple[Term, ...] = field(init=False)
    products: tuple[Term, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Read the equation."""
        sides = re.split(r"<=>|=>", self.equation)
        if len(sides) != 2:
            raise InputError(f"'{self.equation}' needs one '<=>' (reversible) or '=>'.")
        object.__setattr__(self, "reversible", "<=>" in self.equation)
        object.__setattr__(self, "reactants", _read_side(sides[0], self.equation))
        object.__setattr__(self, "products", _read_side(sides[1], self.equation))

    @property
    def electrons(self) -> float:
        """Electrons that the reaction takes from the electrode, as written [-].

        Positive for a reduction, negative for an oxidation, zero for a chemical reaction.
        """
        return -sum(count for count, species, _ in self._signed() if species == "electron")

    def _signed(self) -> list[tuple[float, str, str]]:
        """All terms with products counted positive."""
        left = [(-term.count, term.species, term.phase) for term in self.reactants]
        return left + [(term.count, term.species, term.phase) for term in self.products]

    def check(self, species: Mapping[str, Species]) -> None:
        """Check that it uses known species in their phases, and is balanced.

        Parameters
        ----------
        species : mapping
            The chemistry's species.

        Raises
        ------
        InputError
            If a species or its phase is unknown, or atoms or charge do not balance.
        """
        balance: Counter[str] = Counter()
        for count, name, phase in self._signed():
            if name == "electron":
                balance["charge"] -= count  # type: ignore[assignment]
                continue
            if name not in species:
                hint = did_you_mean(name, [*species, "electron"])
                raise InputError(f"'{self.equation}': unknown species '{name}'.{hint}")
            if phase not in species[name].phases:
                hint = did_you_mean(phase, species[name].phases)
                raise InputError(f"'{self.equation}': '{name}' is not in phase '{phase}'.{hint}")
            balance["charge"] += count * species[name].charge  # type: ignore[assignment]
            for element, atoms in species[name].atoms.items():
                balance[element] += count * atoms  # type: ignore[assignment]
        wrong = [f"{what} by {excess:+g}" for what, excess in balance.items() if abs(excess) > 1e-9]
        if wrong:
            raise InputError(f"'{self.equation}' is not balanced: {', '.join(wrong)}.")


@dataclass(frozen=True, config=_CONFIG)
class Equilibrium:
    """A reaction of the electrolyte that is always at equilibrium.

    Parameters
    ----------
    reaction : str
        Name of the reaction, with the one species that it forms on the right.
    constant : str
        Parameter that holds its formation constant at 25 degC.
    enthalpy : str
        Parameter that holds its reaction enthalpy.
    source : tuple of str
        Citation keys.
    """

    reaction: str
    constant: _Text
    enthalpy: _Text
    source: _Names


@dataclass(frozen=True, config=_CONFIG)
class Isotherm:
    """Sites that hold a dissolved neutral species, in equilibrium with it.

    Parameters
    ----------
    title : str
        What it is, in words.
    host : str
        A species, each of whose molecules is a site, or "positive electrode".
    capacity : str
        Parameter: molecules that a site holds at most, or sites in a volume of the electrode.
    half_loading : str
        Parameter: dissolved concentration at which half of the sites are taken, at 25 degC.
    enthalpy : str
        Parameter: enthalpy of binding.
    source : tuple of str
        Citation keys.
    """

    title: _Text
    host: _Text
    capacity: _Text
    half_loading: _Text
    enthalpy: _Text
    source: _Names


@dataclass(frozen=True, config=_CONFIG)
class Saturation:
    """A dissolved species that settles as a solid above its saturation.

    Parameters
    ----------
    reaction : str
        Name of the reaction, the dissolved species left and the solid right.
    constant : str
        Parameter that holds the saturation concentration at 25 degC.
    enthalpy : str
        Parameter that holds the enthalpy of the reaction as written.
    source : tuple of str
        Citation keys.
    """

    reaction: str
    constant: _Text
    enthalpy: _Text
    source: _Names


@dataclass(frozen=True, config=_CONFIG)
class Mechanism:
    """A mechanism that cells of this chemistry may have.

    Parameters
    ----------
    title : str
        What it does, in words.
    reactions : tuple of str
        The reactions it runs; may be empty.
    source : tuple of str
        Citation keys.
    """

    title: _Text
    reactions: tuple[str, ...]
    source: _Names


@dataclass(frozen=True, config=_CONFIG)
class ModelLevel:
    """A level of model detail.

    Parameters
    ----------
    title : str
        What it resolves, in words.
    source : tuple of str
        Citation keys.
    """

    title: _Text
    source: _Names


@dataclass(frozen=True, config=_CONFIG)
class PropertyLaw:
    """A formula for a parameter, used where the parameter set gives none of its own.

    Parameters
    ----------
    formula : str
        The formula, see :mod:`cellmodels.expressions`; it gives the unit in the name's bracket.
    arguments : tuple of str
        Its variables, in the order in which the model passes them.
    title : str
        What it says, in words.
    source : tuple of str
        Citation keys.
    """

    formula: str
    arguments: _Names
    title: _Text
    source: _Names

    def __post_init__(self) -> None:
        """Check the formula."""
        Expression(self.formula, self.arguments)

    @property
    def expression(self) -> Expression:
        """The formula, ready to evaluate."""
        return Expression(self.formula, self.arguments)


@dataclass(frozen=True, config=_CONFIG)
class Defaults:
    """What a cell gets when its maker does not say.

    Parameters
    ----------
    model : str
        Model level.
    parameters : str
        Parameter set.
    """

    model: str
    parameters: str


@dataclass(frozen=True, config=_CONFIG)
class Chemistry:
    """What reacts in a cell.

    Parameters
    ----------
    format : int
        Version of the file format: 1.
    name : str
        The chemistry's name, by which it is loaded.
    title, description : str
        What it is, in words.
    family : {"lithium_ion", "zinc_halogen"}
        Which models describe it.
    phases : mapping of str to str
        Phase -> what it is.
    species : mapping of str to Species
        Species by name.
    reactions : mapping of str to Reaction
        Reactions by name.
    mechanisms : mapping of str to Mechanism
        Mechanisms by their short name.
    models : mapping of str to ModelLevel
        Model levels by name.
    properties : mapping of str to PropertyLaw
        Parameter name -> formula, used where a parameter set has none.
    defaults : Defaults
        What a cell gets when its maker does not say.
    citations : mapping of str to str
        Key -> reference.
    equilibria : mapping of str to Equilibrium
        Reactions of the electrolyte that are always at equilibrium, by name.
    isotherms : mapping of str to Isotherm
        Sites that hold a dissolved species, by name.
    saturations : mapping of str to Saturation
        Dissolved species that settle as solids, by name.

    Raises
    ------
    InputError
        From :meth:`load` and :meth:`from_dict`: for an unknown or missing key, a name that is
        used but not declared or declared but not used, or an unbalanced reaction.
    """

    format: Literal[1]
    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    title: _Text
    description: _Text
    family: Family
    phases: Mapping[str, str]
    species: Mapping[str, Species]
    reactions: Mapping[str, Reaction]
    mechanisms: Mapping[str, Mechanism]
    models: Mapping[str, ModelLevel]
    properties: Mapping[str, PropertyLaw]
    defaults: Defaults
    citations: Mapping[str, str]
    equilibria: Mapping[str, Equilibrium] = field(default_factory=dict)
    isotherms: Mapping[str, Isotherm] = field(default_factory=dict)
    saturations: Mapping[str, Saturation] = field(default_factory=dict)

    @classmethod
    def load(cls, name_or_path: str | Path) -> Chemistry:
        """Load a chemistry by name, or from a file.

        Parameters
        ----------
        name_or_path : str or pathlib.Path
            One of :func:`names`, or the path of a TOML file.

        Returns
        -------
        Chemistry
            The chemistry.

        Raises
        ------
        InputError
            If there is no such chemistry, or the file is wrong.
        """
        text = str(name_or_path)
        if isinstance(name_or_path, Path) or text.endswith(".toml"):
            return cls.from_dict(read_toml(name_or_path), where=text)
        return _load_named(text)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], where: str = "chemistry") -> Chemistry:
        """Make a chemistry from the content of a file.

        Parameters
        ----------
        data : mapping
            The content, as in the TOML file or from :meth:`to_dict`.
        where : str, optional
            The file's name, for error messages.

        Returns
        -------
        Chemistry
            The chemistry.

        Raises
        ------
        InputError
            If the content is wrong.
        """
        return validate(_ADAPTER, data, where)

    def to_dict(self) -> dict[str, Any]:
        """Return the content as plain JSON types; :meth:`from_dict` reads it back.

        Returns
        -------
        dict
            As in the TOML file; optional tables that are empty are left out.
        """
        data: dict[str, Any] = to_jsonable_python(self)
        return {key: value for key, value in data.items() if value or key not in _OPTIONAL}

    def check_model(self, model: str) -> str:
        """Return the model level, if the chemistry has it.

        Parameters
        ----------
        model : str
            A model level's name, in any case.

        Returns
        -------
        str
            The name as the chemistry writes it.

        Raises
        ------
        InputError
            If the chemistry has no such level.
        """
        return _choose(model, self.models, f"The chemistry '{self.name}' has no model")

    def check_mechanism(self, short_name: str) -> str:
        """Return the mechanism's short name, if the chemistry has it.

        Parameters
        ----------
        short_name : str
            A mechanism's short name, in any case.

        Returns
        -------
        str
            The name as the chemistry writes it.

        Raises
        ------
        InputError
            If the chemistry has no such mechanism.
        """
        lead = f"The chemistry '{self.name}' has no mechanism"
        return _choose(short_name, self.mechanisms, lead)

    def references(self, names: Iterable[str] = ()) -> list[str]:
        """Return the references behind models, mechanisms and property laws.

        Parameters
        ----------
        names : iterable of str, optional
            Names of model levels, mechanisms or parameters with a property law. Default: all.

        Returns
        -------
        list of str
            Full references, each once, in the file's order.

        Raises
        ------
        InputError
            If a name is none of these.
        """
        sources = self._sources()
        for name in (wanted := list(names) or list(sources)):
            _require(name, sources, f"The chemistry '{self.name}' has no entry")
        keys = {key for name in wanted for key in sources[name]}
        return [text for key, text in self.citations.items() if key in keys]

    def _sources(self) -> dict[str, tuple[str, ...]]:
        """Citation keys of each model level, mechanism and property law."""
        sources = {name: each.source for name, each in self.models.items()}
        for group in (self.mechanisms, self.equilibria, self.isotherms, self.saturations):
            sources |= {name: each.source for name, each in group.items()}
        return sources | {name: each.source for name, each in self.properties.items()}

    def __hash__(self) -> int:
        """Hash of the content."""
        return hash(json.dumps(self.to_dict(), sort_keys=True))

    @model_validator(mode="after")
    def _check(self) -> Chemistry:
        """Check every name that one part of the file uses and another declares."""
        for reaction in self.reactions.values():
            reaction.check(self.species)
        for name, species in self.species.items():
            for phase in species.phases:
                _require(phase, self.phases, f"species -> {name}: unknown phase")
        for name, mechanism in self.mechanisms.items():
            for reaction_name in mechanism.reactions:
                _require(reaction_name, self.reactions, f"mechanisms -> {name}: unknown reaction")
        for group in ("equilibria", "saturations"):
            for name, each in getattr(self, group).items():
                _require(each.reaction, self.reactions, f"{group} -> {name}: unknown reaction")
        for name, isotherm in self.isotherms.items():
            hosts = [*self.species, "positive electrode"]
            _require(isotherm.host, hosts, f"isotherms -> {name}: unknown host")
        for name, law in self.properties.items():
            _check_law(name, law)
        _require(self.defaults.model, self.models, "defaults -> model: unknown model")
        self._check_neutral()
        self._check_citations()
        self._check_used()
        return self

    def _check_neutral(self) -> None:
        """A phase with ions must be able to be electrically neutral."""
        for phase in self.phases:
            charges = [s.charge for s in self.species.values() if phase in s.phases and s.charge]
            if charges and (min(charges) > 0 or max(charges) < 0):
                raise InputError(f"phases -> {phase}: its ions all carry charge of one sign.")

    def _check_citations(self) -> None:
        """Every citation is given, and every one given is cited."""
        cited = self._sources()
        for name, keys in cited.items():
            for key in keys:
                _require(key, self.citations, f"{name}: unknown citation")
        unused = set(self.citations) - {key for keys in cited.values() for key in keys}
        if unused:
            raise InputError(f"citations: nothing cites {', '.join(sorted(unused))}.")

    def _check_used(self) -> None:
        """Every phase holds a species; every neutral species reacts in each of its phases."""
        places = {(name, phase) for name, s in self.species.items() for phase in s.phases}
        terms = [t for r in self.reactions.values() for t in (*r.reactants, *r.products)]
        reacting = {(term.species, term.phase) for term in terms}
        empty = set(self.phases) - {phase for _, phase in places}
        idle = {p for p in places - reacting if self.species[p[0]].charge == 0}
        if empty:
            raise InputError(f"phases: no species is in {', '.join(sorted(empty))}.")
        if idle:
            listed = ", ".join(f"{name}[{phase}]" for name, phase in sorted(idle))
            raise InputError(f"species: no reaction uses {listed}.")


def names() -> list[str]:
    """Return the names of the chemistries that come with cellmodels.

    Returns
    -------
    list of str
        Sorted names, for :meth:`Chemistry.load`.
    """
    return sorted(named_files("chemistries"))


def _load_named(name: str) -> Chemistry:
    files = named_files("chemistries")
    if name not in files:
        raise InputError(f"There is no chemistry '{name}'.{did_you_mean(name, files)}")
    return Chemistry.from_dict(read_toml(files[name]), where=f"chemistries/{files[name].name}")


def _read_side(text: str, equation: str) -> tuple[Term, ...]:
    """Read the terms left or right of a reaction's arrow."""
    terms = []
    for part in re.split(r"\s\+\s", text.strip()):
        match = _TERM.fullmatch(part.strip())
        if match is None:
            raise InputError(f"'{equation}': cannot read '{part.strip()}'.")
        count, species, phase = match["count"], match["species"], match["phase"]
        if (phase is None) != (species == "electron"):
            raise InputError(f"'{equation}': write '{species}' with its phase, as 'Li[negative]'.")
        terms.append(Term(float(count or 1), species, phase or ""))
    return tuple(terms)


def _check_law(name: str, law: PropertyLaw) -> None:
    """Check that a property law's name carries a unit that can be read."""
    unit = unit_of_name(name)
    if unit is not None:
        parse_unit(unit)
    if name in law.expression.parameters:
        raise InputError(f"properties -> {name}: the formula quotes itself.")
    for called in law.expression.calls:
        raise InputError(f"properties -> {name}: a law cannot call '{called}', only quote numbers.")


def _require(name: str, known: Iterable[str], lead: str) -> None:
    """Raise if a name is not among the known ones."""
    known = list(known)
    if name not in known:
        raise InputError(f"{lead} '{name}'.{did_you_mean(name, known)}")


def _choose(name: str, known: Iterable[str], lead: str) -> str:
    """Return the known name that equals a name but for its case."""
    known = list(known)
    for candidate in known:
        if candidate.lower() == str(name).lower():
            return candidate
    raise InputError(f"{lead} '{name}'.{did_you_mean(str(name), known)}")


_ADAPTER: TypeAdapter[Chemistry] = TypeAdapter(Chemistry)
