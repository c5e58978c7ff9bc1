"""Parameters as the models read them, and the temperature laws they share."""

from __future__ import annotations

from typing import Any

import pybamm

FARADAY = 96485.33212331001
GAS = 8.31446261815324
#: Temperature at which temperature-dependent parameters are given [K].
REFERENCE_TEMPERATURE = 298.15
#: Concentration of the standard state, 1 mol per litre [mol.m-3].
STANDARD = 1000.0
LN10 = 2.302585092994046
#: Rounds off a quotient of zeros.
_SMALL = 1e-6


class Numbers:
    """PyBaMM parameters by name, at the cell's temperature.

    Parameters
    ----------
    temperature
        Symbol of the cell's temperature [K].

    Attributes
    ----------
    names : dict
        Names of all parameters asked for so far, in order; a set must hold each of them.
    """

    def __init__(self, temperature: pybamm.Symbol) -> None:
        self.temperature = temperature
        self.names: dict[str, None] = {}

    def __call__(self, name: str) -> pybamm.Parameter:
        """A scalar parameter."""
        self.names[name] = None
        return pybamm.Parameter(name)

    def law(self, name: str, **arguments: Any) -> pybamm.FunctionParameter:
        """A parameter that may be a formula or a table of `arguments`."""
        self.names[name] = None
        return pybamm.FunctionParameter(name, arguments)

    def activated(self, name: str, energy: str) -> pybamm.Symbol:
        """A rate: its value at 25 degC times exp(E/R (1/T0 - 1/T)), after Arrhenius."""
        return self(name) * pybamm.exp(-self(energy) / GAS * self._inverse())

    def equilibrium(self, name: str, enthalpy: str, sign: int = 1) -> pybamm.Symbol:
        """An equilibrium constant: its value at 25 degC times exp(-dH/R (1/T - 1/T0)).

        After van 't Hoff, for a constant reaction enthalpy; `sign` is -1 for the constant of the
        reverse reaction.
        """
        return self(name) * pybamm.exp(-sign * self(enthalpy) / GAS * self._inverse())

    @property
    def f(self) -> pybamm.Symbol:
        """F/RT [V-1]."""
        return FARADAY / GAS / self.temperature

    def _inverse(self) -> pybamm.Symbol:
        return 1 / self.temperature - 1 / REFERENCE_TEMPERATURE


def langevin(square: pybamm.Symbol) -> pybamm.Symbol:
    r"""Langevin's function over its argument, :math:`(x \coth x - 1)/x^2`, from the square of x.

    A third at zero, and smooth there, for which a part in ten million is given up.
    """
    x = pybamm.sqrt(square + _SMALL)
    return (x / pybamm.tanh(x) - 1) / x**2
