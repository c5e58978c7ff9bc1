"""Where an experiment begins: electrodes in equilibrium at a voltage or a state of charge.

Both electrodes are uniform; together they hold the lithium of the cell's own initial
concentrations. The open-circuit potentials are those of PyBaMM's model, with all that is free
kept as symbols, so that the start follows the parameters, with exact derivatives:

    U_p(x_p, T) - U_n(x_n, T) = V,     a_n c_n + a_p c_p = a_n c_n0 + a_p c_p0,

with a = volume fraction of active material times thickness. A state of charge lies linearly
between the stoichiometries at the set's open-circuit voltages at 0 and 100 % (P. Mohtat et al.,
J. Power Sources 427 (2019) 101, doi:10.1016/j.jpowsour.2019.03.104).
"""

from __future__ import annotations

from collections.abc import Sequence

import casadi as ca
import numpy as np
import pybamm
import scipy.optimize
from numpy.typing import NDArray

from cellmodels.cell import Cell
from cellmodels.errors import InputError
from cellmodels.solver.outcome import Reason, SolveFailure

__all__ = ["INITIAL", "Equilibrium"]

Array = NDArray[np.float64]

SIDES = ("negative", "positive")
#: Names of the initial concentrations.
INITIAL = tuple(f"Initial concentration in {side} electrode [mol.m-3]" for side in SIDES)
#: A stoichiometry is kept this far from 0 and 1.
_EDGE = 1e-6
#: Slope with which an open-circuit potential is continued beyond [V].
_BEYOND = 10.0
_FARADAY = 96485.33212331001
_HOUR = 3600.0


class Equilibrium:
    """Open-circuit voltage and equilibrium of a lithium-ion cell, as functions of what is free.

    Parameters
    ----------
    cell : Cell
        With initial concentrations as numbers.
    free : sequence of str
        Scalar parameters that stay variable.

    Raises
    ------
    InputError
        If the cell is not a lithium-ion cell, or one of its balance's numbers is a function.
    """

    def __init__(self, cell: Cell, free: Sequence[str]) -> None:
        if cell.chemistry.family != "lithium_ion":
            raise InputError(
                "A state of charge or a rest voltage as the start of an experiment, and "
                "open-circuit curves, are known for lithium-ion cells only; give initial "
                "concentrations."
            )
        self._cell, self._free = cell, tuple(free)
        self._theta = ca.MX.sym("theta", len(free))
        self._build()

    # --- symbols ------------------------------------------------------------------------------

    def _symbol(self, name: str) -> ca.MX:
        if name in self._free:
            return self._theta[self._free.index(name)]
        return ca.MX(self._cell.value(name))

    def _potentials(self, x: Sequence[ca.MX], kelvin: ca.MX) -> list[ca.MX]:
        """Open-circuit potentials at stoichiometries, continued linearly beyond 0 and 1 [V]."""
        values = self._cell.parameter_values()
        for name in self._free:
            values[name] = pybamm.InputParameter(name)
        parameters = self._cell.pybamm_model(self._free).param
        inputs = {name: self._theta[k] for k, name in enumerate(self._free)}
        found = []
        for electrode, sto in zip((parameters.n, parameters.p), x, strict=True):
            inside = ca.fmin(ca.fmax(sto, _EDGE), 1.0 - _EDGE)
            arguments = pybamm.InputParameter("sto"), pybamm.InputParameter("kelvin")
            symbol = values.process_symbol(electrode.prim.U(*arguments))
            potential = symbol.to_casadi(inputs={**inputs, "sto": inside, "kelvin": kelvin})
            found.append(potential - _BEYOND * (sto - inside))
        return found

    def _build(self) -> None:
        negative, kelvin, charge = ca.MX.sym("c_n"), ca.MX.sym("T"), ca.MX.sym("q")
        positive = ca.MX.sym("c_p")
        largest = [self._symbol(f"Maximum concentration in {side} electrode [mol.m-3]")
                   for side in SIDES]  # fmt: skip
        amount = [
            self._symbol(f"{side.capitalize()} electrode active material volume fraction")
            * self._symbol(f"{side.capitalize()} electrode thickness [m]")
            for side in SIDES
        ]
        first = [self._symbol(name) for name in INITIAL]
        lithium = amount[0] * first[0] + amount[1] * first[1]
        theta = self._theta

        # in equilibrium: both concentrations, and the voltage, by the negative one
        other = (lithium - amount[0] * negative) / amount[1]
        u = self._potentials([negative / largest[0], other / largest[1]], kelvin)
        both = ca.vertcat(negative, other)
        voltage = u[1] - u[0]
        self._voltage = _function("V", [negative, kelvin, theta], voltage)
        self._voltage_slopes = _function(
            "dV", [negative, kelvin, theta],
            ca.horzcat(ca.jacobian(voltage, negative), ca.jacobian(voltage, theta)),
        )  # fmt: skip
        self._both = _function(
            "c", [negative, theta],
            ca.horzcat(both, ca.jacobian(both, negative), ca.jacobian(both, theta)),
        )  # fmt: skip
        low = ca.fmax(0.0, (lithium - amount[1] * largest[1]) / amount[0])
        high = ca.fmin(largest[0], lithium / amount[0])
        self._range = _function("range", [theta], ca.vertcat(low, high, largest[0]))

        # after a charge from given concentrations
        faraday = _FARADAY * self._area() / _HOUR
        x = [
            (negative - charge / (faraday * amount[0])) / largest[0],
            (positive + charge / (faraday * amount[1])) / largest[1],
        ]
        u = self._potentials(x, kelvin)
        curve, given = u[1] - u[0], ca.vertcat(negative, positive)
        self._curve = _function(
            "curve", [charge, negative, positive, kelvin, theta],
            ca.horzcat(curve, ca.jacobian(curve, given), ca.jacobian(curve, theta)),
        )  # fmt: skip

    def _area(self) -> ca.MX:
        """Area of all electrode pairs [m2]."""
        names = ("Electrode height [m]", "Electrode width [m]")
        pairs = "Number of electrodes connected in parallel to make a cell"
        return self._symbol(names[0]) * self._symbol(names[1]) * self._symbol(pairs)

    # --- numbers ------------------------------------------------------------------------------

    def at_voltage(self, voltage: float, kelvin: float, theta: Array) -> tuple[Array, Array]:
        """Concentrations at which the cell rests at a voltage.

        Parameters
        ----------
        voltage : float
            [V].
        kelvin : float
            Temperature [K].
        theta : ndarray, shape (p,)
            Values of what is free.

        Returns
        -------
        ndarray, shape (2,)
            Of the negative and the positive electrode [mol.m-3].
        ndarray, shape (2, p)
            Their derivatives.

        Raises
        ------
        SolveFailure
            If the cell has no such voltage.
        """
        concentration, by_theta = self._negative(voltage, kelvin, theta)
        return self._pair(concentration, by_theta, theta)

    def at_soc(self, soc: float, kelvin: float, theta: Array) -> tuple[Array, Array]:
        """Concentrations at a state of charge; as :meth:`at_voltage`."""
        empty, full = (self._negative(v, kelvin, theta) for v in self.window)
        concentration = empty[0] + soc * (full[0] - empty[0])
        by_theta = empty[1] + soc * (full[1] - empty[1])
        return self._pair(concentration, by_theta, theta)

    @property
    def window(self) -> tuple[float, float]:
        """Open-circuit voltages at 0 and 100 % state of charge [V]."""
        values = self._cell.parameter_values()
        names = ("Open-circuit voltage at 0% SOC [V]", "Open-circuit voltage at 100% SOC [V]")
        limits = self._cell.voltage_limits
        found = [
            float(values[name]) if name in values else limit
            for name, limit in zip(names, limits, strict=True)
        ]
        return found[0], found[1]

    def curve(
        self, charges: Array, start: Array, kelvin: float, theta: Array
    ) -> tuple[Array, Array, Array]:
        """Open-circuit voltages after charges, and their derivatives.

        Parameters
        ----------
        charges : ndarray, shape (m,)
            Discharged [A.h].
        start : ndarray, shape (2,)
            Concentrations before [mol.m-3].
        kelvin : float
        theta : ndarray, shape (p,)

        Returns
        -------
        voltage : ndarray, shape (m,)
        by_start : ndarray, shape (m, 2)
        by_theta : ndarray, shape (m, p)
        """
        rows = np.vstack(
            [self._curve(q, start[0], start[1], kelvin, theta).full() for q in charges]
        )
        return rows[:, 0], rows[:, 1:3], rows[:, 3:]

    def _negative(self, voltage: float, kelvin: float, theta: Array) -> tuple[float, Array]:
        low, high, largest = self._range(theta).full().ravel()
        edge = _EDGE * largest

        def above(concentration: float) -> float:
            return float(self._voltage(concentration, kelvin, theta)) - voltage

        ends = low + edge, high - edge
        if not (ends[0] < ends[1] and above(ends[0]) < 0.0 < above(ends[1])):
            raise SolveFailure(
                Reason.NO_CONSISTENT_START, f"no equilibrium of the electrodes at {voltage:.4g} V"
            )
        concentration = scipy.optimize.brentq(above, *ends, xtol=1e-9 * largest, rtol=1e-14)
        slopes = self._voltage_slopes(concentration, kelvin, theta).full().ravel()
        concentration -= above(concentration) / slopes[0]  # from 1e-9 to the last digits
        return float(concentration), -slopes[1:] / slopes[0]

    def _pair(self, negative: float, by_theta: Array, theta: Array) -> tuple[Array, Array]:
        found = self._both(negative, theta).full()
        return found[:, 0], found[:, 2:] + found[:, 1:2] * by_theta


def _function(name: str, arguments: list[ca.MX], result: ca.MX) -> ca.Function:
    made = ca.Function(name, arguments, [ca.densify(result)])
    try:
        return made.expand()
    except RuntimeError:  # a spline has no scalar form
        return made
