"""The content of Battery Parameter eXchange (BPX) files as parameters.

BPX (https://bpxstandard.com) describes a lithium-ion cell. Where BPX and PyBaMM differ in what they
call a quantity, the relations are those of the BPX standard:

* reaction rate constant K: j0 = F K sqrt((c_e/c_e0) (c/c_max) (1 - c/c_max)), c_e0 the initial
  concentration of the electrolyte;
* surface area per unit volume a = 3 eps / r, eps the active material's volume fraction;
* transport efficiency = porosity ** Bruggeman coefficient; the electrodes' conductivity is the
  effective one;
* properties follow an Arrhenius law exp(E/R (1/T_ref - 1/T)).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cellmodels.bpx_file import CELL, LAYERS, OPEN_CIRCUIT, PARTICLE, read_file
from cellmodels.charge_limits import ELECTRODES, limits_at_voltages
from cellmodels.errors import InputError, did_you_mean
from cellmodels.expressions import Expression
from cellmodels.law_values import REFERENCE_TEMPERATURE, arrhenius, value_at
from cellmodels.parameter import Parameter, Status, Value, finite
from cellmodels.tables import Table
from cellmodels.units import unit_of_name

#: Key of the citation that every parameter of a file names.
CITATION = "BPX"
#: Key of the citation of numbers that a file leaves open.
ASSUMED = "assumed"
_HYSTERESIS = {
    "OCP (lithiation) [V]": ("{} electrode lithiation OCP [V]",),
    "OCP (delithiation) [V]": ("{} electrode delithiation OCP [V]",),
    "OCP hysteresis decay constant": (
        "{} particle lithiation hysteresis decay rate",
        "{} particle delithiation hysteresis decay rate",
    ),
}
_DEFAULT_TEMPERATURE = 298.15
_DEFAULT_CONCENTRATION = 1000.0
#: Of current collectors [S.m-1], as pybamm.ParameterValues.create_from_bpx has it.
_CONDUCTIVITY = 4e7


@dataclass(frozen=True)
class BpxContent:
    """What a BPX file says.

    Parameters
    ----------
    title, description : str
        From its header.
    citations : mapping of str to str
        What the parameters' sources begin with.
    parameters : mapping of str to Parameter
        By PyBaMM's names.
    """

    title: str
    description: str
    citations: Mapping[str, str]
    parameters: Mapping[str, Parameter]


def read(path: str | Path, status: Status = "literature") -> BpxContent:
    """Read a BPX file.

    Parameters
    ----------
    path : str or pathlib.Path
        The JSON file, BPX 1.x or 0.x.
    status : {"measured", "fitted", "literature", "estimate"}, optional
        How well its numbers are known; BPX does not say.

    Returns
    -------
    BpxContent
        Its content. The section "Validation" is not read.

    Raises
    ------
    InputError
        If it is no BPX file, or describes what the lithium-ion models do not have: blended
        electrodes, an aged state, nested user-defined sections.
    """
    try:
        data, functions = read_file(path)
        return _Reader(data, functions, status, Path(path).name).content()
    except InputError as error:
        raise type(error)(f"{path}: {error}") from None


class _Reader:
    """Turns the checked content of one file into parameters."""

    def __init__(
        self,
        data: dict[str, Any],
        functions: Mapping[tuple[str, ...], Expression],
        status: Status,
        file: str,
    ) -> None:
        self.header: dict[str, Any] = data["Header"]
        self.sections: dict[str, Any] = data["Parameterisation"]
        self.state: dict[str, Any] = data.get("State", {})
        self.functions = functions
        self.status = status
        self.file = file
        self.found: dict[str, Parameter] = {}

    def content(self) -> BpxContent:
        """Return all parameters."""
        self._refuse()
        self._cell()
        for which in ELECTRODES:
            self._electrode(which)
        if "Electrolyte" in self.sections:
            self._electrolyte()
        if "Separator" in self.sections:
            self._porous("Separator", "Separator")
            self._number("Separator thickness [m]", "Separator", "Thickness [m]")
        else:
            self._no_electrolyte()
        self._user_defined()
        self._initial_charge()
        references = self.header.get("References") or self.header.get("Description") or ""
        citations = {CITATION: f"BPX file {self.file}" + (f": {references}" if references else "")}
        if any(p.source.startswith(ASSUMED) for p in self.found.values()):
            citations[ASSUMED] = "Not in the BPX file; what the note says is assumed."
        return BpxContent(
            title=(self.header.get("Title") or "").strip() or self.file,
            description=self.header.get("Description") or "",
            citations=citations,
            parameters=self.found,
        )

    # --- sections ------------------------------------------------------------------------------

    def _refuse(self) -> None:
        """Refuse what the models do not have."""
        for section in ("Cell", *(f"{which} electrode" for which in ELECTRODES)):
            if section not in self.sections:
                raise InputError(f"there is no section '{section}'.")
            if "Particle" in self.sections[section]:
                blend = ", ".join(self.sections[section]["Particle"])
                raise InputError(
                    f"{section}: a blend of {blend}; our lithium-ion models have one active "
                    "material in each electrode."
                )
        aged = self.state.get("Degradation", {})
        if any(value for value in aged.values()):
            raise InputError("State -> Degradation: an aged cell cannot be described; set it to 0.")

    def _cell(self) -> None:
        section = self.sections["Cell"]
        for theirs, ours in CELL.items():
            if theirs in section:
                self._number(ours, "Cell", theirs)
        side = math.sqrt(self._positive("Cell", "Electrode area [m2]"))
        for name in ("Electrode height [m]", "Electrode width [m]"):
            self._add(name, side, "Cell", note="of a square of the electrode's area")
        reference = section.get(REFERENCE_TEMPERATURE)
        if reference is None:
            self._assume(REFERENCE_TEMPERATURE, _DEFAULT_TEMPERATURE, "no reference temperature")
        else:
            self._number(REFERENCE_TEMPERATURE, "Cell", REFERENCE_TEMPERATURE)
        self._add("Number of cells connected in series to make a battery", 1.0, "Cell")
        self._add(
            "Current function [A]",
            finite(section["Nominal cell capacity [A.h]"], "Nominal cell capacity [A.h]"),
            "Cell",
            note="1C",
        )
        for charge, limit in ((0, "Lower"), (100, "Upper")):
            value = self.found[f"{limit} voltage cut-off [V]"].value
            self._add(OPEN_CIRCUIT.format(charge), value, "Cell")
        self._thermal()
        initial = self.state.get("Initial conditions", {})
        around = self.state.get("Thermal environment", {})
        start = initial.get("Initial temperature [K]")
        ambient = around.get("Ambient temperature [K]", start)
        for name, value in (
            ("Initial temperature [K]", start),
            ("Ambient temperature [K]", ambient),
        ):
            if value is None:
                value = self.found[REFERENCE_TEMPERATURE].value
            self._add(name, value, "State")
        name, theirs = (
            f"{each} [W.m-2.K-1]"
            for each in ("Total heat transfer coefficient", "Heat transfer coefficient")
        )
        if theirs in around:
            self._add(name, around[theirs], "State")
        else:
            self._assume(name, 0.0, "no heat transfer coefficient: adiabatic")
        concentration = "Initial electrolyte concentration [mol.m-3]"
        name = "Initial concentration in electrolyte [mol.m-3]"
        if concentration in initial:
            self._add(name, initial[concentration], "State")
        else:
            self._assume(name, _DEFAULT_CONCENTRATION, "no concentration of the electrolyte")

    def _thermal(self) -> None:
        """Density and heat capacity of the whole cell, which every layer gets.

        Current collectors, which BPX does not have, get PyBaMM's values for such files: no
        thickness, so that they neither store heat nor lose any.
        """
        section = self.sections["Cell"]
        names = {
            "Density [kg.m-3]": "density [kg.m-3]",
            "Specific heat capacity [J.K-1.kg-1]": "specific heat capacity [J.kg-1.K-1]",
        }
        for theirs, ours in names.items():
            for layer in LAYERS if theirs in section else ():
                self._add(f"{layer} {ours}", section[theirs], "Cell", note="of the whole cell")
        for which in ELECTRODES:
            lumped = "the layers are the whole cell"
            self._add(f"{which} current collector thickness [m]", 0.0, "Cell", note=lumped)
            name = f"{which} current collector conductivity [S.m-1]"
            source, note = f"{CITATION}, PyBaMM's convention", "without effect at no thickness"
            self._put(name, _CONDUCTIVITY, source, self.status, note)

    def _electrode(self, which: str) -> None:
        place = f"{which} electrode"
        low = which.lower()
        section = self.sections[place]
        for theirs, ours in PARTICLE.items():
            self._number(ours.format(which, low=low), place, theirs)
        area = self._positive(place, "Surface area per unit volume [m-1]")
        fraction = area * self._positive(place, "Particle radius [m]") / 3
        if fraction > 1:
            raise InputError(f"{place}: surface area and radius make {fraction:.3g} of its volume.")
        name = f"{place} active material volume fraction"
        self._add(name, fraction, place, note="surface area per unit volume times radius, over 3")
        if "Porosity" in section:
            self._porous(place, place)
            self._number(f"{place} conductivity [S.m-1]", place, "Conductivity [S.m-1]")
            name = f"{place} Bruggeman coefficient (electrode)"
            self._add(name, 0.0, place, note="the conductivity is the effective one")
        self._add(f"{place} OCP [V]", self._law(place, "OCP [V]", "sto"), place)
        entropic, name = (
            "Entropic change coefficient [V.K-1]",
            f"{place} OCP entropic change [V.K-1]",
        )
        if entropic in section:
            self._add(name, self._law(place, entropic, "sto"), place)
        else:
            self._assume(name, 0.0, "no entropic change")
        for theirs, names in _HYSTERESIS.items():
            for each in names if theirs in section else ():
                self._add(each.format(which), self._law(place, theirs, "sto"), place)
        self._with_temperature(
            f"{which} particle diffusivity [m2.s-1]", place, "Diffusivity [m2.s-1]", "sto"
        )
        self._exchange_current(place)

    def _exchange_current(self, place: str) -> None:
        rate, energy = (
            f"{place} reaction rate constant [mol.m-2.s-1]",
            self._energy(place, "Reaction rate constant", f"{place} reaction rate constant"),
        )
        self._number(rate, place, "Reaction rate constant [mol.m-2.s-1]")
        reference = self.found["Initial concentration in electrolyte [mol.m-3]"].value
        formula = (
            f'F * "{rate}"{arrhenius(energy) if energy else ""}'
            f" * (c_e/{reference!r})**0.5 * (c_s_surf/c_s_max)**0.5 * (1 - c_s_surf/c_s_max)**0.5"
        )
        law = Expression(formula, ("c_e", "c_s_surf", "c_s_max", "T"))
        self._add(f"{place} exchange-current density [A.m-2]", law, place)

    def _initial_charge(self) -> None:
        """The particles' concentrations: at a stated state of charge, otherwise of a full cell.

        States of charge are those between the voltage limits, as for PyBaMM; the stoichiometries
        of the file say how much lithium there is.
        """
        limits = np.array([self._limits(f"{which} electrode") for which in ELECTRODES])
        start, note = np.array([limits[0, 1], limits[1, 0]]), "full"
        stated = self.state.get("Initial conditions", {}).get("Initial state-of-charge")
        if stated is not None:
            charge = finite(stated, "Initial state-of-charge")
            if not 0 <= charge <= 1:
                raise InputError(
                    f"State: the initial state-of-charge {charge:g} is not from 0 to 1."
                )
            voltages = [float(value_at(self._value, OPEN_CIRCUIT.format(k))) for k in (0, 100)]
            limits = limits_at_voltages(self._value, start, (voltages[0], voltages[1]))
            start = limits[:, 0] + np.array([charge, 1 - charge]) * (limits[:, 1] - limits[:, 0])
            note = f"at a state of charge of {charge:g} between the voltage limits"
        for which, filled in zip(ELECTRODES, start, strict=True):
            place = f"{which} electrode"
            most = self._positive(place, "Maximum concentration [mol.m-3]")
            self._add(
                f"Initial concentration in {place.lower()} [mol.m-3]", filled * most, place, note
            )

    def _limits(self, place: str) -> tuple[float, float]:
        """The stoichiometries of an electrode."""
        low, high = (self._at(place, f"{bound} stoichiometry") for bound in ("Minimum", "Maximum"))
        if not 0 <= low < high <= 1:
            raise InputError(f"{place}: stoichiometries from {low:g} to {high:g} are impossible.")
        return low, high

    def _value(self, name: str) -> Value:
        return self.found[name].value

    def _electrolyte(self) -> None:
        self._number("Cation transference number", "Electrolyte", "Cation transference number")
        self._add("Thermodynamic factor", 1.0, "Electrolyte", note="BPX has none")
        for theirs in ("Diffusivity [m2.s-1]", "Conductivity [S.m-1]"):
            name = f"Electrolyte {theirs[0].lower()}{theirs[1:]}"
            self._with_temperature(name, "Electrolyte", theirs, "c_e")

    def _no_electrolyte(self) -> None:
        """What PyBaMM's SPM asks for, though its voltage does not depend on it."""
        note = "a scale, without effect on the single particle model"
        self._assume("Separator thickness [m]", 1e-5, note)

    def _porous(self, layer: str, place: str) -> None:
        porosity = self._positive(place, "Porosity")
        efficiency = self._positive(place, "Transport efficiency")
        if porosity > 1 or efficiency > 1 or (porosity == 1 and efficiency < 1):
            raise InputError(
                f"{place}: a porosity of {porosity:g} and a transport efficiency of "
                f"{efficiency:g} are impossible."
            )
        self._number(f"{layer} porosity", place, "Porosity")
        exponent = math.log(efficiency) / math.log(porosity) if porosity < 1 else 1.0
        note = f"of the transport efficiency {efficiency:g}"
        self._add(f"{layer} Bruggeman coefficient (electrolyte)", exponent, place, note=note)

    def _user_defined(self) -> None:
        place = "User-defined"
        for name, value in self.sections.get(place, {}).items():
            if name == "description":
                continue
            if isinstance(value, dict) and not {"x", "y"} <= set(value):
                raise InputError(f"{place} -> {name}: sections inside it cannot be read.")
            self._add(name, self._law(place, name, "x"), place)

    # --- entries -------------------------------------------------------------------------------

    def _with_temperature(self, name: str, place: str, theirs: str, argument: str) -> None:
        """Add a property of one argument and of temperature."""
        value = self._law(place, theirs, argument)
        stem, bracket, unit = name.partition(" [")
        energy = self._energy(place, theirs.partition(" [")[0], stem)
        arguments = (argument, "T")
        if not energy:
            if isinstance(value, Expression):
                value = Expression(value.text, arguments)
            elif isinstance(value, Table):
                value = Table(value.x, value.y, argument, arguments)
            self._add(name, value, place)
            return
        reference = f"{stem} at reference temperature{bracket}{unit}"
        self._add(reference, value, place)
        at = f'"{reference}"' if isinstance(value, float) else f'"{reference}"({argument})'
        self._add(name, Expression(at + arrhenius(energy), arguments), place)

    def _energy(self, place: str, theirs: str, stem: str) -> str:
        """Add an activation energy and return its name, or an empty text if there is none."""
        key = f"{theirs} activation energy [J.mol-1]"
        if not self.sections[place].get(key):
            return ""
        name = f"{stem} activation energy [J.mol-1]"
        self._number(name, place, key)
        return name

    def _law(self, place: str, theirs: str, argument: str) -> Value:
        """Return a number, function or table of a file."""
        function = self.functions.get((place, theirs))
        if function is not None:  # 'x' stands alone in it: no other name holds it as a word
            return Expression(re.sub(r"\bx\b", argument, function.text), (argument,))
        value = self.sections[place][theirs]
        if not isinstance(value, dict):
            return finite(value, f"{place} -> {theirs}")
        rows = sorted(zip(value["x"], value["y"], strict=True))
        try:
            x, y = tuple(x for x, _ in rows), tuple(y for _, y in rows)
            return Table(x, y, argument, (argument,))
        except InputError as error:
            raise InputError(f"{place} -> {theirs}: {error}") from None

    def _at(self, place: str, theirs: str) -> float:
        section = self.sections[place]
        if theirs not in section:
            hint = did_you_mean(theirs, section)
            raise InputError(f"{place}: '{theirs}' is missing.{hint}")
        return finite(section[theirs], f"{place} -> {theirs}")

    def _positive(self, place: str, theirs: str) -> float:
        value = self._at(place, theirs)
        if value <= 0:
            raise InputError(f"{place} -> {theirs}: {value:g} is not positive.")
        return value

    def _number(self, name: str, place: str, theirs: str) -> None:
        self._add(name, self._at(place, theirs), place)

    def _add(self, name: str, value: Any, place: str, note: str = "") -> None:
        source = f"{CITATION}, section {place}"
        self._put(name, value, source, self.status, note)

    def _assume(self, name: str, value: float, note: str) -> None:
        self._put(name, value, f"{ASSUMED}, {note}", "estimate", "")

    def _put(self, name: str, value: Any, source: str, status: Status, note: str) -> None:
        if not isinstance(value, (Expression, Table)):
            value = finite(value, name)
        unit = unit_of_name(name) or "-"
        self.found[name] = Parameter(name, value, unit, source, status, None, note)
