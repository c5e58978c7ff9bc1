"""Parameter sets: the numbers of a cell, each with its unit, source, status and range.

A parameter set is a TOML file in ``parameters/``. It builds on a base, one of PyBaMM's parameter
sets or another of ours, and lists what it adds or changes. Everything in the file is checked when
it is loaded; no model is needed for that.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pybamm

from cellmodels import bpx_file, bpx_reader, bpx_writer, parameter_file, pybamm_symbols
from cellmodels.base_sets import base_names, base_values, known_names, property_laws
from cellmodels.chemistry import names as chemistry_names
from cellmodels.errors import InputError, did_you_mean
from cellmodels.expressions import Expression
from cellmodels.parameter import STATUSES, Parameter, Status, Value, finite
from cellmodels.parameter_file import nearest_parameters
from cellmodels.paths import named_files
from cellmodels.tables import Table
from cellmodels.toml_io import beside, read_toml, toml_text
from cellmodels.units import unit_of_name
from cellmodels.writing import replacing

__all__ = ["STATUSES", "Parameter", "ParameterSet", "Status", "Value", "known_names", "names"]

_MOST_BASES = 20


@dataclass(frozen=True)
class ParameterSet:
    """The numbers of a cell: a base, and what is added or changed.

    Parameters
    ----------
    name : str
        The set's name, by which it is loaded.
    title, description : str
        What it describes, in words.
    chemistry : str
        Name of the chemistry it belongs to.
    base : str
        PyBaMM's parameter set that it builds on, or ``""``. (Where a file builds on another of
        our sets, loading merges the two, and this is PyBaMM's set at the bottom.)
    parameters : mapping of str to Parameter
        What is added or changed.
    citations : mapping of str to str
        Key -> reference.
    """

    name: str
    title: str
    chemistry: str
    base: str
    description: str = ""
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    citations: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check what the formulas call."""
        parameter_file.check_calls(self.parameters)

    @classmethod
    def load(cls, name_or_path: str | Path) -> ParameterSet:
        """Load a parameter set.

        Parameters
        ----------
        name_or_path : str or pathlib.Path
            One of :func:`names`; the path of a TOML file; that of a BPX file, ``.json`` (see
            :meth:`from_bpx`); or the name of one of PyBaMM's parameter sets, such as
            ``"OKane2022"``, which is loaded without changes.

        Returns
        -------
        ParameterSet
            The set.

        Raises
        ------
        InputError
            If there is no such set, or the file is wrong; the message names the file, the
            parameter, and the nearest valid choice.

        Examples
        --------
        >>> ParameterSet.load("OKane2022").base
        'OKane2022'
        """
        return _load(name_or_path, ())

    @classmethod
    def from_dict(
        cls, data: Mapping[str, Any], where: str = "parameter set", folder: Path | None = None
    ) -> ParameterSet:
        """Make a parameter set from the content of a file.

        Parameters
        ----------
        data : mapping
            The content, as in the TOML file or from :meth:`to_dict`.
        where : str, optional
            The file's name, for error messages.
        folder : pathlib.Path, optional
            Where the CSV files of tables are. Without it, tables must be written out.

        Returns
        -------
        ParameterSet
            The set.

        Raises
        ------
        InputError
            If the content is wrong.
        """
        return _from_dict(data, where, folder, ())

    @classmethod
    def from_bpx(
        cls, path: str | Path, *, name: str = "", status: Status = "literature"
    ) -> ParameterSet:
        """Read a Battery Parameter eXchange (BPX) file of a lithium-ion cell.

        Needs the package ``bpx`` (``pip install 'cellmodels[data]'``). Functions become formulas
        or tables; nothing in the file is executed. A file without electrolyte serves the SPM.

        Parameters
        ----------
        path : str or pathlib.Path
            The JSON file, BPX 1.x or 0.x.
        name : str, optional
            The set's name; by default the file's.
        status : {"measured", "fitted", "literature", "estimate"}, optional
            How well its numbers are known; BPX does not say.

        Returns
        -------
        ParameterSet
            The set, complete in itself, full unless the file states a state of charge.

        Raises
        ------
        InputError
            If it is no BPX file, or describes what the lithium-ion models do not have: blended
            electrodes, an aged state, nested user-defined sections.
        """
        found = bpx_reader.read(path, status)
        return cls(
            name=_slug(name or Path(path).stem),
            title=found.title,
            chemistry="lithium_ion",
            base="",
            description=found.description,
            parameters=_marked_new(found.parameters, "lithium_ion"),
            citations=found.citations,
        )

    @classmethod
    def from_pybamm(
        cls,
        values: Mapping[str, Any],
        name: str,
        *,
        source: str,
        status: Status = "literature",
        title: str = "",
        chemistry: str = "lithium_ion",
    ) -> ParameterSet:
        """Take over the content of a :class:`pybamm.ParameterValues`.

        Python functions are called once with symbols; what they return is read as a formula, and
        interpolants as tables, exactly. A function of one argument that has no such form becomes
        a table, linear between its rows and wrong by at most about 1e-6 of the value (of the
        median of all values where that is larger), over the range stated in
        :data:`cellmodels.pybamm_symbols.SAMPLED`: stoichiometries from 0 to 1, concentrations of
        the electrolyte up to 4000 mol.m-3, -40 to 100 °C.

        Parameters
        ----------
        values : pybamm.ParameterValues or mapping
            Full parameter name -> number or function.
        name : str
            The new set's name.
        source : str
            Where the numbers are from, as a reference with page or table: it is the set's citation,
            and stands at every number.
        status : {"measured", "fitted", "literature", "estimate"}, optional
            How well they are known.
        title : str, optional
            What it describes; by default the name.
        chemistry : str, optional
            The chemistry it belongs to.

        Returns
        -------
        ParameterSet
            The set, complete in itself.

        Raises
        ------
        InputError
            If a value is neither a number nor a function that can be taken over.
        """
        found, failed = pybamm_symbols.plain_values(values)
        if failed:
            more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
            raise InputError(f"{next(iter(failed.values()))}{more}")
        parameters = {
            n: Parameter(n, value, unit_of_name(n) or "-", f"pybamm, {source}", status)
            for n, value in found.items()
        }
        return cls(
            name=_slug(name),
            title=title or name,
            chemistry=chemistry,
            base="",
            parameters=_marked_new(parameters, chemistry),
            citations={"pybamm": source},
        )

    def to_bpx(self, path: str | Path) -> list[str]:
        """Write a Battery Parameter eXchange (BPX) file of a lithium-ion cell.

        Needs the package ``bpx`` (``pip install 'cellmodels[data]'``). Formulas stay formulas
        where BPX has their functions; others become tables, linear between rows and wrong by at
        most about 1e-5 of the value (of the median of all values where that is larger).
        Parameters beyond BPX's own, such as those of ageing, are user-defined under their names;
        numbers that a formula quotes are put into it.

        Parameters
        ----------
        path : str or pathlib.Path
            Usually ending in ``.json``; replaced if it exists.

        Returns
        -------
        list of str
            Parameters that BPX cannot hold, functions of more than one argument; not those that
            are the chemistry's own laws, which hold for every set.

        Raises
        ------
        InputError
            If a parameter is missing, or a law has not BPX's form: an exchange-current density
            that is not proportional to sqrt(c_e c (c_max - c)), a temperature dependence that is
            no Arrhenius law, a thermodynamic factor other than 1.
        """
        laws = property_laws(self.chemistry)
        own = {name: each.value for name, each in self.parameters.items()}
        base = {name: each for name, each in base_values(self.base).items() if name not in own}
        found, failed = pybamm_symbols.plain_values(base)
        header = {
            "Title": self.title,
            "Description": " ".join(self.description.split()),
            "References": "; ".join(self.citations.values()),
        }
        values = {**found, **own}
        try:
            common = {
                name
                for name, law in laws.items()
                if name in values and bpx_writer.same_law(values, name, law.expression)
            }
            data, left_out = bpx_writer.content(values, header, frozenset(common))
        except InputError as error:
            raise InputError(f"The parameter set '{self.name}': {error}") from None
        _write(Path(path), bpx_file.text(data))
        return sorted({*left_out, *failed})

    def to_dict(self) -> dict[str, Any]:
        """Return the set as plain JSON types; :meth:`from_dict` reads exactly the same set back.

        Returns
        -------
        dict
            As in the TOML file, with tables written out.
        """
        return {
            "format": 1,
            "name": self.name,
            "title": self.title,
            "chemistry": self.chemistry,
            "base": self.base,
            "description": self.description,
            "citations": dict(self.citations),
            "parameters": {
                name: parameter_file.entry(each) for name, each in self.parameters.items()
            },
        }

    def write(self, path: str | Path) -> None:
        """Write the set as a TOML file, which :meth:`load` reads back.

        A source that begins with no citation, as of numbers changed by :meth:`replace`, becomes a
        citation of its own.

        Parameters
        ----------
        path : str or pathlib.Path
            Ending in ``.toml``; replaced if it exists.

        Raises
        ------
        InputError
            If the path ends otherwise, or the file cannot be written.
        """
        path = Path(path)
        if path.suffix != ".toml":
            raise InputError(f"{path}: the name of a parameter file ends in '.toml'.")
        keys = dict.fromkeys(each.source.split(",")[0].strip() for each in self.parameters.values())
        cited = {key: key for key in keys if key not in self.citations}
        data = replace(self, citations={**self.citations, **cited}).to_dict()
        _write(path, toml_text(data))

    def differences(self, other: ParameterSet) -> dict[str, tuple[Value | None, Value | None]]:
        """Compare the values of two sets, their bases included.

        Parameters
        ----------
        other : ParameterSet
            The other set.

        Returns
        -------
        dict of str to tuple
            Parameter name -> value in this set and in the other, where they differ; None where a
            set does not have it. Functions are compared as formulas, letter by letter.
        """
        mine, theirs = self._plain(), other._plain()
        return {
            name: (mine.get(name), theirs.get(name))
            for name in sorted({*mine, *theirs})
            if mine.get(name) != theirs.get(name)
        }

    def _plain(self) -> dict[str, Value]:
        """Every value, those of the base too, as far as they can be read."""
        own = {name: each.value for name, each in self.parameters.items()}
        base = {name: each for name, each in base_values(self.base).items() if name not in own}
        return {**pybamm_symbols.plain_values(base)[0], **own}

    def bibtex(self) -> dict[str, str]:
        """Return the references of the set's numbers as BibTeX.

        Returns
        -------
        dict of str to str
            Citation key -> entry of the type ``@misc``, for the citations that a source names;
            those that stand for no publication (estimates, assumptions) are left out.
        """
        named = {each.source.split(",")[0].strip() for each in self.parameters.values()}
        return {
            key: _bibtex(f"{self.name}-{key}", text)
            for key, text in self.citations.items()
            if key in named and key not in ("estimate", bpx_reader.ASSUMED)
        }

    def cite(self) -> None:
        """Let :func:`pybamm.print_citations` name where the numbers are from, the base's too."""
        known = base_values(self.base).get("citations", ())
        entries = self.bibtex()
        for each in (*known, *(entries[key] for key in entries if key not in known)):
            pybamm.citations.register(each)

    def parameter_values(self) -> pybamm.ParameterValues:
        """Return base and changes together, as PyBaMM wants them, and :meth:`cite` them.

        Returns
        -------
        pybamm.ParameterValues
            A new object: the chemistry's property laws where neither base nor set has its own,
            then the base, then the set's own values.
        """
        self.cite()
        own = {name: each.to_pybamm() for name, each in self.parameters.items()}
        if not self.base and not own:
            return pybamm.ParameterValues({})
        base = base_values(self.base)
        laws = property_laws(self.chemistry)
        common = {name: law.expression.to_pybamm(name) for name, law in laws.items()}
        return pybamm.ParameterValues({**common, **base, **own})

    def value(self, name: str) -> Any:
        """Return a parameter's value.

        Parameters
        ----------
        name : str
            Full name.

        Returns
        -------
        float, Expression, Table or object
            The value in the unit of the name's bracket; for a function of the base, whatever
            PyBaMM holds.

        Raises
        ------
        InputError
            If the set has no such parameter.
        """
        if name in self.parameters:
            return self.parameters[name].value
        base = base_values(self.base)
        if name in base:
            return base[name]
        laws = property_laws(self.chemistry)
        if name in laws:
            return laws[name].expression
        known = {*self.parameters, *base, *laws}
        raise InputError(
            f"The parameter set '{self.name}' has no '{name}'.{nearest_parameters(name, known)}"
        )

    def range(self, name: str) -> tuple[float, float] | None:
        """Return a parameter's plausible range.

        Parameters
        ----------
        name : str
            Full name.

        Returns
        -------
        tuple of (float, float), or None
            Lowest and highest plausible value in the unit of the name's bracket; None where the
            set states none.

        Raises
        ------
        InputError
            If the set has no such parameter.
        """
        self.value(name)
        return self.parameters[name].range if name in self.parameters else None

    def replace(
        self,
        values: Mapping[str, Value | int],
        *,
        source: str,
        status: Status | None = "fitted",
        note: str = "",
    ) -> ParameterSet:
        """Return a set with some values changed, which says where they come from.

        Parameters
        ----------
        values : mapping
            Full parameter name -> new value in the unit of the name's bracket.
        source : str
            Where the values are from, such as ``"fit to cell_017.csv"``.
        status : {"measured", "fitted", "literature", "estimate"} or None, optional
            How well they are known. With None an estimate that is changed stays an estimate;
            anything else counts as fitted.
        note : str, optional
            Anything else. The earlier value and its source are noted in any case.

        Returns
        -------
        ParameterSet
            The new set; this one is unchanged. A range that does not hold the new value is
            widened to it, and the note says so.

        Raises
        ------
        InputError
            If a name is known neither to the set nor to PyBaMM, or a value is not finite.
        """
        changed = dict(self.parameters)
        known = known_names(self.chemistry, self.base) | set(self.parameters)
        for name, value in values.items():
            if name not in known:
                hint = nearest_parameters(name, known)
                raise InputError(f"The parameter set '{self.name}' has no '{name}'.{hint}")
            changed[name] = self._replaced(name, value, source, status, note)
        return replace(self, parameters=changed)

    def _replaced(
        self, name: str, value: Value | int, source: str, status: Status | None, note: str
    ) -> Parameter:
        """Return the parameter with a new value and a note of what it was."""
        if not isinstance(value, (Expression, Table)):
            value = finite(value, name)
        old = self.parameters.get(name)
        before = self._earlier(name)
        bounds = old.range if old is not None and isinstance(value, float) else None
        if status is None:
            status = "estimate" if old is not None and old.status == "estimate" else "fitted"
        notes = [note, before]
        if bounds is not None and isinstance(value, float) and not bounds[0] <= value <= bounds[1]:
            notes.append(f"outside the earlier range [{bounds[0]:g}, {bounds[1]:g}]")
            bounds = (min(bounds[0], value), max(bounds[1], value))
        unit = unit_of_name(name) or "-"
        text = "; ".join(part for part in notes if part)
        new = old is not None and old.new
        return Parameter(name, value, unit, source, status, bounds, text, new)

    @property
    def estimates(self) -> tuple[str, ...]:
        """Parameters of status "estimate", in the set's order."""
        return tuple(n for n, each in self.parameters.items() if each.status == "estimate")

    def _earlier(self, name: str) -> str:
        """Say what a parameter was before it is replaced."""
        old = self.parameters.get(name)
        if old is not None:
            source, value = old.source, old.value
        elif name in base_values(self.base):
            source, value = f"PyBaMM's {self.base}", base_values(self.base)[name]
        else:
            return ""
        shown = f"{value:g}" if isinstance(value, (int, float)) else "a function"
        return f"was {shown} ({source})"

    def __hash__(self) -> int:
        """Hash of the content."""
        return hash(json.dumps(self.to_dict(), sort_keys=True))

    def __repr__(self) -> str:
        """One line: name, base and how much is changed."""
        base = f" on PyBaMM's '{self.base}'" if self.base else ""
        count = len(self.parameters)
        return f"<ParameterSet '{self.name}'{base}: {count} parameters added or changed>"


def names(chemistry: str | None = None) -> list[str]:
    """Return the names of the parameter sets that come with cellmodels.

    Parameters
    ----------
    chemistry : str, optional
        Only those in the folder of this chemistry.

    Returns
    -------
    list of str
        Sorted names, for :meth:`ParameterSet.load`.
    """
    files = named_files("parameters")
    return sorted(n for n, path in files.items() if chemistry in (None, path.parent.name))


def _load(name_or_path: str | Path, below: tuple[str, ...]) -> ParameterSet:
    """Load a set; ``below`` holds those whose base it is, to stop a circle."""
    text = str(name_or_path)
    if len(below) > _MOST_BASES:
        raise InputError(f"more than {_MOST_BASES} parameter sets build on each other.")
    if text in below:
        raise InputError(f"The parameter sets {' -> '.join((*below, text))} build on each other.")
    if text.endswith(".json"):
        return ParameterSet.from_bpx(name_or_path)
    if isinstance(name_or_path, Path) or text.endswith(".toml"):
        path = Path(name_or_path)
        return _from_dict(read_toml(path), text, path.resolve().parent, (*below, text))
    files = named_files("parameters")
    if text in files:
        return _load_named(text, below)
    if text in base_names():
        return _bare(text)
    hint = did_you_mean(text, [*files, *base_names()])
    raise InputError(f"There is no parameter set '{text}'.{hint}")


def _load_named(name: str, below: tuple[str, ...]) -> ParameterSet:
    path = named_files("parameters")[name]
    where = f"parameters/{path.parent.name}/{path.name}"
    return _from_dict(read_toml(path), where, path.parent, (*below, name))


def _bare(name: str) -> ParameterSet:
    """Return one of PyBaMM's sets without changes."""
    chemistry = base_values(name).get("chemistry", "lithium_ion")
    if chemistry not in chemistry_names():
        known = ", ".join(chemistry_names())
        raise InputError(f"PyBaMM's set '{name}' is for {chemistry}; cellmodels knows {known}.")
    description = "As it comes with PyBaMM, which see for its sources."
    return ParameterSet(name, f"PyBaMM's parameter set {name}", chemistry, name, description)


def _from_dict(
    data: Mapping[str, Any], where: str, folder: Path | None, below: tuple[str, ...]
) -> ParameterSet:
    """Check a file's content and turn it into a set."""
    file = parameter_file.read(data, where)
    try:
        _check_chemistry(file.chemistry, folder)
        base = _load_base(file.base, folder, below)
        if base is not None and base.chemistry != file.chemistry:
            raise InputError(f"base: '{file.base}' is for {base.chemistry}, not {file.chemistry}.")
        bottom = base.base if base is not None else ""
        inherited = base.parameters if base is not None else {}
        citations = {**(base.citations if base is not None else {}), **file.citations}
        own = parameter_file.parameters(file, folder)
        known = known_names(file.chemistry, bottom)
        available = {*base_values(bottom), *inherited, *own}
        parameter_file.check_names(own, known | set(inherited) if known else known, available)
        if folder is not None:
            parameter_file.check_sources(own, citations)
    except InputError as error:
        raise type(error)(f"{where}: {error}") from None
    return ParameterSet(
        name=file.name,
        title=file.title,
        chemistry=file.chemistry,
        base=bottom,
        description=file.description,
        parameters={**inherited, **own},
        citations=citations,
    )


def _write(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _slug(text: str) -> str:
    """Return a text as the name of a parameter set."""
    return re.sub(r"[^A-Za-z0-9.+-]+", "_", text).strip("_.+-") or "unnamed"


def _bibtex(key: str, text: str) -> str:
    """Return a reference as a BibTeX entry that holds its text, and its DOI if it has one."""
    plain = re.sub(r"[{}\\]", "", " ".join(text.split()))
    escaped = re.sub(r"([%&#_$])", r"\\\1", plain)
    doi = re.search(r"doi:\s*(10\.[^\s,;]+)", plain)
    field = f",\n  doi = {{{doi[1]}}}" if doi else ""
    return f"@misc{{{re.sub(r'[^A-Za-z0-9:.-]+', '-', key)},\n  note = {{{escaped}}}{field}\n}}"


def _marked_new(parameters: Mapping[str, Parameter], chemistry: str) -> dict[str, Parameter]:
    """Return the parameters, with those marked whose names PyBaMM does not know."""
    known = known_names(chemistry)
    return {name: replace(each, new=name not in known) for name, each in parameters.items()}


def _check_chemistry(name: str, folder: Path | None) -> None:
    """A file's chemistry comes with cellmodels, or lies beside the file."""
    if folder is None or beside(folder, f"{name}.toml", "chemistry: its file").is_file():
        return
    if name not in chemistry_names():
        hint = did_you_mean(name, chemistry_names())
        raise InputError(f"chemistry: there is no chemistry '{name}'.{hint}")


def _load_base(base: str, folder: Path | None, below: tuple[str, ...]) -> ParameterSet | None:
    """Load the set that a file builds on; a path is taken from the file's own folder."""
    if not base:
        return None
    if not base.endswith((".toml", ".json")):
        return _load(base, below)
    if folder is None:
        raise InputError(f"base: the file '{base}' cannot be found from here.")
    return _load(beside(folder, base, "base: the file"), below)
