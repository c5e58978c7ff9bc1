"""Parameters of a lithium-ion cell as a Battery Parameter eXchange (BPX) file.

The relations are those of :mod:`cellmodels.bpx_reader`, read backwards. BPX has one form for each
law, so an exchange-current density of another form, or a property whose temperature dependence is
no Arrhenius law, is refused rather than approximated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

from cellmodels.bpx_file import CELL, LAYERS, OPEN_CIRCUIT, PARTICLE, check
from cellmodels.charge_limits import ELECTRODES, limits_at_voltages
from cellmodels.errors import InputError
from cellmodels.expressions import CONSTANTS, Expression
from cellmodels.formula_text import FormulaText, function
from cellmodels.law_values import REFERENCE_TEMPERATURE, value_at
from cellmodels.parameter import Value
from cellmodels.pybamm_symbols import adaptive_table
from cellmodels.tables import Table

#: Functions that every reader of BPX has, and how others are written with them.
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{name: function(name) for name in ("exp", "tanh", "cosh")},
    "sqrt": lambda x: x**0.5,
    "sinh": lambda x: _FUNCTIONS["cosh"](x) * _FUNCTIONS["tanh"](x),
}
#: Largest error of a table made of a formula that BPX does not have, relative to the value or the
#: median of all.
TABLE_ERROR = 1e-5
#: How well a law must have BPX's form, relative.
_FORM_ERROR = 1e-8
#: Where laws are compared with BPX's form, and formulas become tables.
_STOICHIOMETRY, _CONCENTRATION = (0.0, 1.0), (0.0, 4000.0)
_SAMPLES = {"sto": np.linspace(0.05, 0.95, 7), "c_e": np.linspace(200.0, 2000.0, 7)}
_WARMER = np.array([-20.0, -5.0, 10.0, 30.0])
_BOUNDS = ("minimum", "maximum")


class _NotInBpxError(Exception):
    """A function or a table inside a formula, which BPX does not have."""


def content(
    values: Mapping[str, Value], header: Mapping[str, str], omit: frozenset[str] = frozenset()
) -> tuple[dict[str, Any], list[str]]:
    """Return parameters as the content of a BPX file.

    Parameters
    ----------
    values : mapping of str to Value
        Every parameter, by PyBaMM's names.
    header : mapping
        "Title", "Description" and "References"; empty ones are left out.
    omit : frozenset of str, optional
        Parameters that are not to be written as user-defined.

    Returns
    -------
    data : dict
        For a JSON file. Without an electrolyte's conductivity it describes an SPM. What has no
        place in BPX's sections is user-defined, under its own name.
    left_out : list of str
        Parameters that BPX cannot hold: functions of more than one argument.

    Raises
    ------
    InputError
        If a parameter is missing, a law has not BPX's form, or the result is not valid BPX.
    """
    writer = _Writer(values)
    data = writer.data(header)
    left_out = writer.user_defined(data["Parameterisation"], omit)
    check(data)
    return data, left_out


def same_law(values: Mapping[str, Value], name: str, law: Value) -> bool:
    """Return whether a parameter is the same function as another law.

    Parameters
    ----------
    values : mapping of str to Value
        Every parameter.
    name : str
        The parameter.
    law : Value
        The other law, of the same arguments.

    Returns
    -------
    bool
        Whether both give the same numbers, at some points.
    """
    mine = values[name]
    arguments = getattr(mine, "arguments", ())
    if len(arguments) != len(getattr(law, "arguments", ())):
        return False
    points = [np.linspace(0.6, 1.4, 5) * (k + 1) for k in range(len(arguments))]
    try:
        one, other = (_Writer({**values, name: each}).at(name, *points) for each in (mine, law))
    except InputError:
        return False
    return bool(np.allclose(one, other, rtol=1e-12, atol=0))


class _Writer:
    """Collects the sections of one file, and which parameters went into them."""

    def __init__(self, values: Mapping[str, Value]) -> None:
        self.values = values
        self.used: set[str] = set()
        self.reference = self.number(REFERENCE_TEMPERATURE)

    # --- sections ------------------------------------------------------------------------------

    def data(self, header: Mapping[str, str]) -> dict[str, Any]:
        """Return header, sections and state."""
        single = "Electrolyte conductivity [S.m-1]" not in self.values
        sections = {"Cell": self._cell()}
        if not single:
            sections["Electrolyte"] = self._electrolyte()
        for which in ELECTRODES:
            sections[f"{which} electrode"] = self._electrode(which, single)
        thickness = self.number("Separator thickness [m]")
        if not single:
            sections["Separator"] = {"Thickness [m]": thickness, **self._porous("Separator")}
        state = self._state(sections)
        filled = {key: each for key, each in header.items() if each}
        return {
            "Header": {"BPX": "1.0.0", **filled, "Model": "SPM" if single else "DFN"},
            "Parameterisation": sections,
            "State": state,
        }

    def user_defined(self, sections: dict[str, Any], omit: frozenset[str]) -> list[str]:
        """Add what has no place yet, and return what has none at all."""
        made = {
            "Current function [A]",
            "Thermodynamic factor",
            "Number of cells connected in series to make a battery",
        }
        for charge, limit in ((0, "Lower"), (100, "Upper")):
            name = OPEN_CIRCUIT.format(charge)
            if self.values.get(name) == self.values[f"{limit} voltage cut-off [V]"]:
                made.add(name)
        self._check_fixed()
        extra: dict[str, Any] = {}
        left_out = []
        for name in sorted(set(self.values) - self.used - made - omit):
            value = self.values[name]
            if isinstance(value, (int, float)):
                extra[name] = value
            elif len(value.arguments) == 1:
                try:
                    extra[name] = self.function(name, value.arguments[0], _STOICHIOMETRY)
                except InputError:
                    left_out.append(name)
            else:
                left_out.append(name)
        if extra:
            sections["User-defined"] = extra
        return left_out

    def _check_fixed(self) -> None:
        """What BPX takes for granted."""
        for name in (
            "Thermodynamic factor",
            "Number of cells connected in series to make a battery",
        ):
            if name in self.values and self.number(name) != 1:
                raise InputError(f"'{name}' is {self.number(name):g}; in BPX it is 1.")

    def _cell(self) -> dict[str, Any]:
        section = {
            theirs: self.number(ours) for theirs, ours in CELL.items() if ours in self.values
        }
        pairs = "Number of electrode pairs connected in parallel to make a cell"
        if not float(section[pairs]).is_integer():
            raise InputError(f"'{CELL[pairs]}' is {section[pairs]:g}; BPX has whole numbers.")
        section[pairs] = int(section[pairs])
        height, width = (self.number(f"Electrode {each} [m]") for each in ("height", "width"))
        section["Electrode area [m2]"] = height * width
        section[REFERENCE_TEMPERATURE] = self.reference
        return section | self._thermal()

    def _thermal(self) -> dict[str, float]:
        """Density and heat capacity of all layers together, if all are known."""
        names = ("thickness [m]", "density [kg.m-3]", "specific heat capacity [J.kg-1.K-1]")
        if any(f"{layer} {name}" not in self.values for layer in LAYERS for name in names):
            return {}
        try:
            rows = [[self.number(f"{layer} {name}") for name in names] for layer in LAYERS]
        except InputError:  # of temperature, for example: BPX has numbers
            return {}
        thickness, density, capacity = np.array(rows).T
        mass = density * thickness
        return {
            "Density [kg.m-3]": float(mass.sum() / thickness.sum()),
            "Specific heat capacity [J.K-1.kg-1]": float((mass * capacity).sum() / mass.sum()),
        }

    def _electrolyte(self) -> dict[str, Any]:
        section: dict[str, Any] = {
            "Cation transference number": self.number("Cation transference number")
        }
        for name in ("Diffusivity", "Conductivity"):
            unit = {"Diffusivity": "[m2.s-1]", "Conductivity": "[S.m-1]"}[name]
            ours = f"Electrolyte {name.lower()} {unit}"
            section |= self._with_temperature(ours, name, unit, "c_e", _CONCENTRATION)
        return section

    def _electrode(self, which: str, single: bool) -> dict[str, Any]:
        place, low = f"{which} electrode", which.lower()
        section: dict[str, Any] = {
            theirs: self.number(ours.format(which, low=low))
            for theirs, ours in PARTICLE.items()
            if "stoichiometry" not in theirs
        }
        fraction = self.number(f"{place} active material volume fraction")
        radius = section["Particle radius [m]"]
        section["Surface area per unit volume [m-1]"] = 3 * fraction / radius
        if not single:
            section |= self._porous(place)
            solid = 1 - section["Porosity"]
            exponent = self.number(f"{place} Bruggeman coefficient (electrode)")
            conductivity = self.number(f"{place} conductivity [S.m-1]")
            section["Conductivity [S.m-1]"] = conductivity * solid**exponent
        section["OCP [V]"] = self.function(f"{place} OCP [V]", "sto", _STOICHIOMETRY)
        section["Entropic change coefficient [V.K-1]"] = self.function(
            f"{place} OCP entropic change [V.K-1]", "sto", _STOICHIOMETRY
        )
        ours = f"{which} particle diffusivity [m2.s-1]"
        section |= self._with_temperature(ours, "Diffusivity", "[m2.s-1]", "sto", _STOICHIOMETRY)
        return section | self._exchange_current(place, section["Maximum concentration [mol.m-3]"])

    def _porous(self, layer: str) -> dict[str, float]:
        porosity = self.number(f"{layer} porosity")
        exponent = self.number(f"{layer} Bruggeman coefficient (electrolyte)")
        return {"Porosity": porosity, "Transport efficiency": porosity**exponent}

    def _exchange_current(self, place: str, full: float) -> dict[str, float]:
        """The rate constant, if the law has BPX's form."""
        name = f"{place} exchange-current density [A.m-2]"
        at_rest = self.number("Initial concentration in electrolyte [mol.m-3]")
        filled, salt = (grid.ravel() for grid in np.meshgrid(_SAMPLES["sto"], _SAMPLES["c_e"]))

        def rate(temperature: float) -> np.ndarray:
            current = self.at(name, salt, filled * full, full, temperature)
            form = np.sqrt(salt / at_rest * filled * (1 - filled))
            return current / (CONSTANTS["F"] * form)

        rates = rate(self.reference)
        constant = float(np.mean(rates))
        if not np.allclose(rates, constant, rtol=_FORM_ERROR, atol=0):
            raise InputError(
                f"'{name}' is not proportional to sqrt(c_e * c_s_surf * (c_s_max - c_s_surf)), "
                "as BPX has it."
            )
        energy = self._energy(name, rate)
        key = "Reaction rate constant"
        found = {f"{key} [mol.m-2.s-1]": constant}
        return found | ({f"{key} activation energy [J.mol-1]": energy} if energy else {})

    def _state(self, sections: dict[str, Any]) -> dict[str, Any]:
        """The initial state; the sections get the stoichiometries of an empty and a full cell."""
        charge = self._charge(sections)
        initial = {} if charge is None else {"Initial state-of-charge": charge}
        initial |= {
            "Initial temperature [K]": self._number_or("Initial temperature [K]", self.reference),
            "Initial electrolyte concentration [mol.m-3]": self.number(
                "Initial concentration in electrolyte [mol.m-3]"
            ),
        }
        around = {
            "Ambient temperature [K]": self._number_or("Ambient temperature [K]", self.reference)
        }
        transfer = "Total heat transfer coefficient [W.m-2.K-1]"
        if transfer in self.values:
            around["Heat transfer coefficient [W.m-2.K-1]"] = self.number(transfer)
        return {"Initial conditions": initial, "Thermal environment": around}

    def _charge(self, sections: dict[str, Any]) -> float | None:
        """Add the limiting stoichiometries, and return the state of charge, or None if full.

        The limits are the set's own, as from a BPX file, if they hold the lithium of the initial
        state; otherwise those at the voltage limits. States of charge are those at the voltage
        limits, as for PyBaMM; without one, a cell starts at the stoichiometries of the full cell.
        """
        start = np.array([self._start(which) for which in ELECTRODES])
        voltages = (
            self._number_or(OPEN_CIRCUIT.format(0), self.number("Lower voltage cut-off [V]")),
            self._number_or(OPEN_CIRCUIT.format(100), self.number("Upper voltage cut-off [V]")),
        )
        reached = limits_at_voltages(self._value, start, voltages)
        limits = self._own_limits(start)
        if limits is None:  # the initial state lies between them
            both = np.column_stack([reached, start])
            limits = np.column_stack([both.min(axis=1), both.max(axis=1)])
        for which, (low, high) in zip(ELECTRODES, limits, strict=True):
            sections[f"{which} electrode"]["Minimum stoichiometry"] = float(low)
            sections[f"{which} electrode"]["Maximum stoichiometry"] = float(high)
        if abs(start[0] - limits[0, 1]) < 1e-9 * limits[0, 1]:
            return None
        charge = float((start[0] - reached[0, 0]) / (reached[0, 1] - reached[0, 0]))
        if not -1e-9 <= charge <= 1 + 1e-9:
            raise InputError(f"the initial state of charge is {charge:.6g}, not from 0 to 1.")
        return round(min(max(charge, 0.0), 1.0), 12)

    def _own_limits(self, start: np.ndarray) -> np.ndarray | None:
        """The set's own limits, if the initial state lies on the line between them."""
        names = [f"{which} electrode {b} stoichiometry" for which in ELECTRODES for b in _BOUNDS]
        self.used.update(names)
        if any(name not in self.values for name in names):
            return None
        limits = np.array([self.number(name) for name in names]).reshape(2, 2)
        filled = (start - limits[:, 0]) / (limits[:, 1] - limits[:, 0])
        return limits if abs(filled[0] + filled[1] - 1) < 1e-6 else None

    def _start(self, which: str) -> float:
        low = which.lower()
        full = self.number(f"Maximum concentration in {low} electrode [mol.m-3]")
        return self.number(f"Initial concentration in {low} electrode [mol.m-3]") / full

    # --- laws ----------------------------------------------------------------------------------

    def _with_temperature(
        self, ours: str, theirs: str, unit: str, argument: str, span: tuple[float, float]
    ) -> dict[str, Any]:
        """A property at the reference temperature, and its activation energy."""
        energy = self._energy(
            ours, lambda temperature: self.at(ours, _SAMPLES[argument], temperature)
        )
        found: dict[str, Any] = {f"{theirs} {unit}": self.function(ours, argument, span)}
        return found | ({f"{theirs} activation energy [J.mol-1]": energy} if energy else {})

    def _energy(self, name: str, law: Callable[[float], Any]) -> float:
        """Return the activation energy of a law [J.mol-1]."""
        base = np.asarray(law(self.reference), dtype=float)
        if np.any(base <= 0) or not np.all(np.isfinite(base)):
            raise InputError(f"'{name}' is not positive everywhere.")
        temperatures = self.reference + _WARMER
        logs = np.array([np.log(law(t) / base) for t in temperatures])
        reciprocal = (1 / self.reference - 1 / temperatures) / CONSTANTS["R"]
        energies = logs.reshape(len(temperatures), -1) / reciprocal[:, None]
        energy = float(f"{np.mean(energies):.9g}")
        if not np.allclose(energies, energy, rtol=1e-7, atol=1e-4):
            raise InputError(
                f"'{name}' depends on temperature by no Arrhenius law, which is all that BPX has."
            )
        return energy if abs(energy) > 1e-4 else 0.0

    def function(
        self, name: str, argument: str, span: tuple[float, float]
    ) -> float | str | dict[str, list[float]]:
        """Return a law of one argument, at the reference temperature, as BPX writes it."""
        value = self._value(name)
        if isinstance(value, Table) and value.interpolation == "linear":
            return {"x": list(value.x), "y": list(value.y)}
        if not isinstance(value, (Expression, Table)):
            return self.number(name)
        try:
            found = self._as_text(name, FormulaText("x"), self.reference)
            return str(found) if isinstance(found, FormulaText) else float(found)
        except (_NotInBpxError, InputError):
            return self._sampled(name, value, span)

    def _as_text(self, name: str, *arguments: Any) -> Any:
        """Return a formula with a text for its first argument."""
        value = self._value(name)
        if isinstance(value, Table):
            raise _NotInBpxError(name)
        if not isinstance(value, Expression):
            return value
        given: dict[str, Any] = dict(zip(value.arguments, arguments, strict=False))
        given |= {
            each: partial(self._as_text, each) if each in value.calls else self.number(each)
            for each in value.parameters
        }
        return value.evaluate(given, _Allowed(_FUNCTIONS))

    def _sampled(
        self, name: str, value: Expression | Table, span: tuple[float, float]
    ) -> dict[str, list[float]]:
        tables = [value, *(self.values[n] for n in getattr(value, "calls", ()))]
        rows = [x for each in tables if isinstance(each, Table) for x in each.x]
        low, high = (min(rows), max(rows)) if rows else span
        knots = np.unique([*np.linspace(low, high, 65), *(x for x in rows if low <= x <= high)])
        with _about(name):
            x, y = adaptive_table(lambda x: self.at(name, x, self.reference), knots, TABLE_ERROR)
        return {"x": x.tolist(), "y": y.tolist()}

    # --- values --------------------------------------------------------------------------------

    def number(self, name: str) -> float:
        """Return a parameter that must be a number."""
        value = self._value(name)
        if isinstance(value, (Expression, Table)):
            some = np.linspace(0.1, 0.9, 4)
            found = np.atleast_1d(self.at(name, *(some * 300 for _ in value.arguments)))
            if np.ptp(found) != 0:
                raise InputError(f"'{name}' is a function; in BPX it is a number.")
            return float(found[0])
        return float(value)

    def _number_or(self, name: str, otherwise: float) -> float:
        return self.number(name) if name in self.values else otherwise

    def _value(self, name: str) -> Value:
        if name not in self.values:
            raise InputError(f"'{name}' is missing, which BPX needs.")
        self.used.add(name)
        return self.values[name]

    def at(self, name: str, *arguments: Any) -> Any:
        """Return a parameter at numbers for its arguments, in their order."""
        return value_at(self._value, name, *arguments)


class _Allowed(dict[str, Callable[..., Any]]):
    """Functions by name, of which a missing one is not BPX's."""

    def __missing__(self, name: str) -> Callable[..., Any]:
        raise _NotInBpxError(name)


@contextmanager
def _about(name: str) -> Iterator[None]:
    try:
        yield
    except InputError as error:
        raise InputError(f"'{name}': {error}") from None
