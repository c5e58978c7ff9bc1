"""A cell: a chemistry, a parameter set, a model level and the mechanisms it has."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

import pybamm

from cellmodels.chemistry import Chemistry
from cellmodels.errors import InputError, did_you_mean
from cellmodels.expressions import Expression
from cellmodels.models import family, parameters_of_mesh, parameters_read
from cellmodels.models.mechanisms import Mechanism
from cellmodels.parameter_set import ParameterSet, Status
from cellmodels.parameter_set import names as set_names

_FORMAT = "cellmodels-cell/1"


class Cell:
    """A cell: what is in it, its numbers, and how it is modelled. Immutable.

    Parameters
    ----------
    chemistry : str, pathlib.Path or Chemistry
        Name or file of a chemistry.
    parameters : str, pathlib.Path, ParameterSet or None
        Name or file of a parameter set, ours or PyBaMM's; by default the chemistry's.
    model : str or None
        Model level, for lithium-ion "SPM", "SPMe" or "DFN"; by default the chemistry's.
    mechanisms : iterable of Mechanism, str or mapping
        What ages the cell, as objects (``SEI(limit="reaction")``), short names (``"SEI"``) or
        tables (``{"mechanism": "SEI", "limit": "reaction"}``); their order does not matter.
    mesh : mapping of str to int, optional
        Mesh points by PyBaMM's coordinate (``{"x_n": 10, "r_p": 15}``); those left out keep
        PyBaMM's default.
    initial_soc : float, optional
        State of charge at the start, 0 to 1; by default the parameter set's initial state.

    Raises
    ------
    InputError
        If a name is unknown, a parameter that the model or a mechanism needs is missing, or the
        combination is impossible. The message names the valid choices.

    Examples
    --------
    >>> cell = Cell("lithium_ion", parameters="OKane2022", model="SPMe", mechanisms=["SEI"])
    >>> cell.nominal_capacity
    5.0
    """

    chemistry: Chemistry
    parameters: ParameterSet
    model: str
    mechanisms: tuple[Mechanism, ...]
    mesh: Mapping[str, int] | None
    initial_soc: float | None

    def __init__(
        self,
        chemistry: str | Path | Chemistry,
        parameters: str | Path | ParameterSet | None = None,
        model: str | None = None,
        mechanisms: Iterable[Mechanism | str | Mapping[str, Any]] = (),
        mesh: Mapping[str, int] | None = None,
        initial_soc: float | None = None,
    ) -> None:
        if not isinstance(chemistry, Chemistry):
            chemistry = Chemistry.load(chemistry)
        parameters = chemistry.defaults.parameters if parameters is None else parameters
        if not isinstance(parameters, ParameterSet):
            parameters = ParameterSet.load(parameters)
        resolved = family(chemistry.family).resolve(mechanisms)
        for mechanism in resolved:
            chemistry.check_mechanism(mechanism.short_name)
        self.__dict__.update(
            chemistry=chemistry,
            parameters=parameters,
            model=chemistry.check_model(chemistry.defaults.model if model is None else model),
            mechanisms=resolved,
            mesh=None if not mesh else MappingProxyType(dict(sorted(mesh.items()))),
            initial_soc=None if initial_soc is None else _check_soc(initial_soc),
        )
        self._check_chemistry()
        self._check_parameters()
        self._check_numbers()
        self._check_mesh()
        self.parameters.cite()

    # --- what the solvers need -----------------------------------------------------------------

    def pybamm_model(self, free: Iterable[str] = ()) -> pybamm.BaseModel:
        """A fresh PyBaMM model of this cell, with its options set.

        Parameters
        ----------
        free
            Parameters that will be varied: the model must see them even where they are zero.

        Returns
        -------
        pybamm.BaseModel
        """
        free = tuple(free)

        def present(name: str) -> bool:
            return name in free or self._values.get(name, 0.0) != 0.0

        return self._family.build(self.model, self.mechanisms, self.chemistry, present)

    def parameter_values(self) -> pybamm.ParameterValues:
        """The numbers and functions of this cell, with `initial_soc` applied.

        Returns
        -------
        pybamm.ParameterValues
            A copy that may be changed.
        """
        return self._values.copy()

    def var_pts(self) -> dict[str, int] | None:
        """Mesh points for `pybamm.Simulation`, or None for PyBaMM's defaults.

        Returns
        -------
        dict of str to int, or None
        """
        if self.mesh is None:
            return None
        return {**self.pybamm_model().default_var_pts, **self.mesh}

    # --- its numbers ---------------------------------------------------------------------------

    def value(self, name: str) -> float:
        """A scalar parameter, in the unit in the name's bracket.

        Parameters
        ----------
        name
            Name of the parameter, for example "Nominal cell capacity [A.h]".

        Returns
        -------
        float

        Raises
        ------
        InputError
            If there is no such parameter, or it is a function.
        """
        values = self._values
        if name not in values:
            hint = did_you_mean(name, values.keys())
            raise InputError(f"Parameter set '{self.parameters.name}' has no '{name}'.{hint}")
        if not _is_number(values[name]):
            raise InputError(f"'{name}' is a function in '{self.parameters.name}', not a number.")
        return float(values[name])

    @property
    def nominal_capacity(self) -> float:
        """Nominal capacity, which C-rates refer to [A.h]."""
        return self.value("Nominal cell capacity [A.h]")

    @property
    def electrode_area(self) -> float:
        """Area that area-specific currents refer to [m2]."""
        return self._family.electrode_area(self._values)

    @property
    def voltage_limits(self) -> tuple[float, float]:
        """Lower and upper cut-off voltage [V]."""
        return self.value("Lower voltage cut-off [V]"), self.value("Upper voltage cut-off [V]")

    @property
    def ageing_parameters(self) -> tuple[str, ...]:
        """Scalar parameters by which the mechanisms age this cell, in the mechanisms' order."""
        names = dict.fromkeys(name for m in self.mechanisms for name in m.parameters)
        values = self._values
        return tuple(n for n in names if n in values and _is_number(values[n]))

    @cached_property
    def parameters_read(self) -> tuple[str, ...]:
        """Parameters that the equations read: numbers, functions, and what functions read."""
        return tuple(sorted(parameters_read(self.pybamm_model(), self._values)))

    @cached_property
    def parameters_of_mesh(self) -> tuple[str, ...]:
        """Parameters that the mesh is built with: a fit cannot move them."""
        return parameters_of_mesh(self.pybamm_model())

    @cached_property
    def estimates(self) -> tuple[str, ...]:
        """Parameters of status "estimate" that the equations read.

        Those by which mechanisms age the cell come first. What is fitted or measured no longer
        counts; figures and tables made with such a cell say "estimate" until none is left.
        """
        if not self.parameters.estimates:
            return ()
        read = set(self.parameters_read)
        found = [name for name in self.parameters.estimates if name in read]
        first = [name for m in self.mechanisms for name in m.parameters if name in found]
        # sets list dimensions first, which are soon measured, and kinetics last
        return tuple(dict.fromkeys([*first, *reversed(found)]))

    @property
    def simpler_models(self) -> tuple[str, ...]:
        """Model levels whose fit to the same data is a start for this one's, simplest first."""
        simpler = self._family.SIMPLER.get(self.model, ())
        return tuple(model for model in simpler if model in self.chemistry.models)

    @property
    def state_variables(self) -> Mapping[str, str]:
        """Quantities of the state (`cellmodels.quantities`) -> the model's variables."""
        return self._family.state_variables(self.chemistry)

    def reported_states(self) -> dict[str, bool]:
        """Quantities of the state that this cell's model has, and whether each can change.

        Returns
        -------
        dict of str to bool
            By the names of `cellmodels.quantities`; False for a number that nothing moves, such
            as the temperature of an isothermal cell. The model is built for it.
        """
        variables = self.pybamm_model().variables
        return {
            name: any(isinstance(s, pybamm.VariableBase) for s in variables[known].pre_order())
            for name, known in self.state_variables.items()
            if known in variables
        }

    @property
    def slow_states(self) -> tuple[str, ...]:
        """PyBaMM variables that the mechanisms move, in the mechanisms' order."""
        return tuple(dict.fromkeys(name for m in self.mechanisms for name in m.states))

    # --- other cells ---------------------------------------------------------------------------

    def with_parameters(
        self,
        values: Mapping[str, float],
        source: str = "set by the user",
        status: Status | None = None,
        note: str = "",
    ) -> Cell:
        """A new cell with other numbers.

        Parameters
        ----------
        values
            Parameter name -> value, in the unit in the name's bracket.
        source
            Where they come from; kept with the parameters.
        status
            "measured", "fitted", "literature" or "estimate". By default an estimate stays one,
            as a number that is merely changed is no better known; anything else is "fitted".
        note
            Anything else to be kept with them, such as a standard error.

        Returns
        -------
        Cell

        Raises
        ------
        InputError
            If a parameter is unknown or its value is not possible.
        """
        changed = self.parameters.replace(dict(values), source=source, status=status, note=note)
        return self._with(parameters=changed)

    def with_model(self, model: str) -> Cell:
        """The same cell at another model level.

        Parameters
        ----------
        model
            Model level.

        Returns
        -------
        Cell

        Raises
        ------
        InputError
            If the chemistry has no such level.
        """
        return self._with(model=model, mesh=None)

    def with_mechanisms(self, mechanisms: Iterable[Mechanism | str | Mapping[str, Any]]) -> Cell:
        """The same cell with other mechanisms.

        Parameters
        ----------
        mechanisms
            Objects, short names or tables; all that the new cell has.

        Returns
        -------
        Cell

        Raises
        ------
        InputError
            If a mechanism is unknown, or lacks parameters, or they do not go together.
        """
        return self._with(mechanisms=tuple(mechanisms))

    def with_ageing(
        self, mechanisms: Mechanism | str | Iterable[Mechanism | str | Mapping[str, Any]]
    ) -> Cell:
        """The same cell aged by other mechanisms.

        Parameters
        ----------
        mechanisms
            As for `with_mechanisms`; they take the place of those that age the cell. Those that
            do not (``Mechanism.ages``), such as a lumped temperature, stay, unless one of the same
            name is given.

        Returns
        -------
        Cell

        Raises
        ------
        InputError
            If a mechanism is unknown, or lacks parameters, or they do not go together.
        """
        given = self._family.resolve(mechanisms)
        names = {each.short_name for each in given}
        kept = [m for m in self.mechanisms if not m.ages and m.short_name not in names]
        return self.with_mechanisms([*given, *kept])

    def _with(self, **changes: Any) -> Cell:
        fields = ("chemistry", "parameters", "model", "mechanisms", "mesh", "initial_soc")
        return Cell(**({name: getattr(self, name) for name in fields} | changes))

    # --- plain data ----------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """All that makes the cell, as plain JSON types; `from_dict` reads it back exactly.

        The chemistry and the parameter set are held in full, so that the cell can be remade after
        their files have changed.

        Returns
        -------
        dict
        """
        return {
            "format": _FORMAT,
            "chemistry": self.chemistry.to_dict(),
            "parameters": self.parameters.to_dict(),
            "model": self.model,
            "mechanisms": [m.to_dict() for m in self.mechanisms],
            "mesh": None if self.mesh is None else dict(self.mesh),
            "initial_soc": self.initial_soc,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Cell:
        """Remake a cell from `to_dict`.

        Parameters
        ----------
        data
            As `to_dict` returns it.

        Returns
        -------
        Cell

        Raises
        ------
        InputError
            If a key is missing or unknown, or a value is not valid.
        """
        known = {"chemistry", "parameters", "model", "mechanisms", "mesh", "initial_soc"}
        given = {k: v for k, v in data.items() if k != "format"}
        if data.get("format") != _FORMAT:
            raise InputError(f"cell: format is {data.get('format')!r}, expected {_FORMAT!r}.")
        for key in given.keys() - known:
            raise InputError(f"cell: unknown key '{key}'.{did_you_mean(key, known)}")
        for key in sorted(known - given.keys()):
            raise InputError(f"cell: the key '{key}' is missing.")
        given["chemistry"] = Chemistry.from_dict(given["chemistry"])
        given["parameters"] = ParameterSet.from_dict(given["parameters"])
        return cls(**given)

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the cell's canonical JSON (hex); the same in every process."""
        text = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    # --- Python --------------------------------------------------------------------------------

    def __repr__(self) -> str:
        """One line, as it could be typed."""
        parts = [repr(self.chemistry.name), f"parameters={self.parameters.name!r}"]
        parts += [f"model={self.model!r}", f"mechanisms={list(self.mechanisms)!r}"]
        if self.mesh is not None:
            parts.append(f"mesh={dict(self.mesh)!r}")
        if self.initial_soc is not None:
            parts.append(f"initial_soc={self.initial_soc!r}")
        return f"Cell({', '.join(parts)})"

    def __eq__(self, other: object) -> bool:
        """Whether two cells have the same content."""
        return self.hash == other.hash if isinstance(other, Cell) else NotImplemented

    def __hash__(self) -> int:
        """Hash of the content."""
        return int(self.hash[:15], 16)

    def __setattr__(self, name: str, value: Any) -> None:
        """Refuse: cells are immutable."""
        raise AttributeError(
            f"A Cell is immutable: '{name}' cannot be set. Make a new one, for example with "
            "with_parameters."
        )

    def __delattr__(self, name: str) -> None:
        """Refuse: cells are immutable."""
        raise AttributeError(f"A Cell is immutable: '{name}' cannot be deleted.")

    def __reduce__(self) -> Any:
        """Pickle and copy by content, without what was computed from it."""
        return Cell.from_dict, (self.to_dict(),)

    # --- checks --------------------------------------------------------------------------------

    @property
    def _family(self) -> ModuleType:
        return family(self.chemistry.family)

    @cached_property
    def _laws(self) -> dict[str, Any]:
        """The chemistry's property laws that the parameter set does not replace by its own."""
        return {n: law for n, law in self.chemistry.properties.items() if not self._holds(n)}

    def _holds(self, name: str) -> bool:
        """Whether the parameter set itself, or its base, has a parameter."""
        if name in self.parameters.parameters:
            return True
        try:
            # Where there is nothing but a law of the named chemistry, that is what comes back.
            return not isinstance(self.parameters.value(name), Expression)
        except InputError:
            return False

    @cached_property
    def _values(self) -> pybamm.ParameterValues:
        """Parameter values with the chemistry's laws filled in and the initial state set."""
        values = self.parameters.parameter_values()
        functions = {name: law.expression.to_pybamm(name) for name, law in self._laws.items()}
        values.update(functions, check_already_exists=False)
        if self.initial_soc is not None:
            self._family.set_initial_soc(values, self.initial_soc, self.mechanisms)
        return values

    def _check_chemistry(self) -> None:
        if self.parameters.chemistry != self.chemistry.name:
            raise InputError(
                f"Parameter set '{self.parameters.name}' is of the chemistry "
                f"'{self.parameters.chemistry}', not '{self.chemistry.name}'."
            )

    def _check_parameters(self) -> None:
        """Every mechanism and the model must find their parameters, before anything is solved."""
        for mechanism in self.mechanisms:
            self._check_found(mechanism.requires, f"the mechanism '{mechanism.short_name}'")
        arguments = (self.model, self.mechanisms, self.chemistry)
        self._check_found(self._family.required(*arguments), f"the model '{self.model}'")
        known = self._family.known(self.chemistry)
        for name in self.parameters.parameters if known else ():
            if name not in known and not self.parameters.parameters[name].new:
                raise InputError(
                    f"Parameter set '{self.parameters.name}': no model of '{self.chemistry.name}' "
                    f"reads '{name}'.{did_you_mean(name, known)}"
                )

    def _check_numbers(self) -> None:
        """What the family knows to be impossible."""
        check = getattr(self._family, "check_values", None)
        if check is None:
            return
        try:
            check(self._values, self.chemistry, self.mechanisms, self.model)
        except InputError as error:
            raise InputError(f"Parameter set '{self.parameters.name}': {error}") from None

    def _check_found(self, names: Iterable[str], what: str) -> None:
        """The parameters `names`, and those that their laws quote, must be there."""
        names = tuple(names)
        laws = [self._laws[name] for name in names if name in self._laws]
        quoted = [name for law in laws for name in law.expression.parameters]
        needed = dict.fromkeys([*names, *quoted])
        missing = [name for name in needed if name not in self._laws and not self._holds(name)]
        if missing:
            more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
            raise InputError(
                f"Parameter set '{self.parameters.name}' lacks what {what} needs: "
                f"{', '.join(missing[:3])}{more}. Choose a set "
                f"that has it, such as '{self._set_with(missing)}', or add it."
            )

    def _set_with(self, needed: Iterable[str]) -> str:
        """A set of this chemistry that has parameters, else the chemistry's default."""
        default = self.chemistry.defaults.parameters
        for name in (default, *set_names(self.chemistry.name)):
            held = ParameterSet.load(name).parameters
            if all(each in held for each in needed):
                return name
        return default

    def _check_mesh(self) -> None:
        if self.mesh is None:
            return
        kind = (self.chemistry.name, self.model, repr(self.mechanisms))
        if kind not in _COORDINATES:  # building a model takes long, and changes no coordinate
            model = self.pybamm_model()
            _COORDINATES[kind] = tuple(model.default_var_pts), getattr(model, "least_points", 2)
        known, least = _COORDINATES[kind]
        for name, points in self.mesh.items():
            if name not in known:
                raise InputError(f"mesh: no coordinate '{name}'.{did_you_mean(name, known)}")
            if isinstance(points, bool) or not isinstance(points, int) or points < least:
                raise InputError(f"mesh: '{name}' needs a whole number of points from {least} on.")


#: Coordinates of models that were built, and the fewest points that they need.
_COORDINATES: dict[tuple[str, str, str], tuple[tuple[str, ...], int]] = {}


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _check_soc(soc: Any) -> float:
    if not _is_number(soc) or not math.isfinite(soc) or not 0 <= soc <= 1:
        raise InputError(f"initial_soc: {soc!r} is not a state of charge from 0 to 1.")
    return float(soc)
