r"""Equilibrium potentials of the two couples, against the standard hydrogen electrode.

.. math::
    E_{M} = E^\circ_{M} + \frac{RT}{2F}\ln\frac{\gamma_\pm c_{M}}{c^\circ}, \qquad
    E_{X} = E^\circ_{X_2(aq)} + \frac{RT}{2F}\ln\frac{b\,c^\circ}{(\gamma_\pm y)^2}

The potential is written with the free dissolved halogen b; at equilibrium it equals that of the
polyhalides and of a complexed phase, so that one formula serves every way of holding the halogen.
Where complexes of the metal ion count, :math:`c_M` and y are those of the free ions.
Standard potentials change linearly with temperature.

Sources: standard potentials computed from the NBS tables (1982) and from thermodynamic databases;
activity coefficients: K. S. Pitzer, J. Phys. Chem. 77 (1973) 268, doi:10.1021/j100621a026.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pybamm

from cellmodels.models.zinc_halogen.numbers import REFERENCE_TEMPERATURE, STANDARD, Numbers
from cellmodels.models.zinc_halogen.species import Electrolyte

ACTIVITIES = ("constant", "ideal", "Pitzer")
#: The constant coefficient of the ions that are free, where complexes count.
FREE_IONS = "constant, of free ions"

#: Debye-Hueckel constant of the osmotic coefficient at 25 degC [kg^(1/2).mol^(-1/2)], and Pitzer's
#: b and alpha [kg^(1/2).mol^(-1/2)].
_A_PHI, _B, _ALPHA = 0.3915, 1.2, 2.0
#: Density of water [kg.m-3].
_WATER = 997.0


@dataclass(frozen=True)
class Potentials:
    """Formal potentials, at 1 mol per litre of every species that is not the solvent [V].

    Attributes
    ----------
    metal, halogen : pybamm.Symbol
        Activity coefficients included.
    metal_slope, halogen_slope : pybamm.Symbol
        Their change with temperature at fixed composition [V.K-1].
    log_gamma : pybamm.Symbol
        Logarithm of the mean activity coefficient.
    """

    metal: pybamm.Symbol
    halogen: pybamm.Symbol
    metal_slope: pybamm.Symbol
    halogen_slope: pybamm.Symbol
    log_gamma: pybamm.Symbol


def formal_potentials(
    electrolyte: Electrolyte, numbers: Numbers, activity: str, metal_ion: pybamm.Symbol
) -> Potentials:
    """Formal potentials of both couples where the metal ion has the concentration `metal_ion`.

    Parameters
    ----------
    electrolyte
        What is dissolved.
    numbers
        Parameters.
    activity
        One of `ACTIVITIES`, or `FREE_IONS`.
    metal_ion
        Metal ion [mol.m-3].

    Returns
    -------
    Potentials
    """
    metal, halogen = electrolyte.metal.capitalize(), electrolyte.halogen.capitalize()
    log_gamma = log_gamma_of(electrolyte, numbers, activity, metal_ion)
    offset = numbers("Positive electrode formal potential offset [V]")
    slopes = [numbers(f"{name} standard potential change [V.K-1]") for name in (metal, halogen)]
    warmer = numbers.temperature - REFERENCE_TEMPERATURE
    kt = 1 / numbers.f
    # per kelvin: the standard potential's own change, and the activities' share of RT/F
    per_kelvin = kt * log_gamma / numbers.temperature
    return Potentials(
        metal=numbers(f"{metal} standard potential [V]") + slopes[0] * warmer + kt / 2 * log_gamma,
        halogen=numbers(f"{halogen} standard potential [V]")
        + offset
        + slopes[1] * warmer
        - kt * log_gamma,
        metal_slope=slopes[0] + per_kelvin / 2,
        halogen_slope=slopes[1] - per_kelvin,
        log_gamma=log_gamma,
    )


def metal_nernst(numbers: Numbers, ion: pybamm.Symbol) -> pybamm.Symbol:
    """Equilibrium potential of the metal less its formal potential [V]."""
    return pybamm.log(ion / STANDARD) / (2 * numbers.f)


def halogen_nernst(
    numbers: Numbers, halide: pybamm.Symbol, log_halogen: pybamm.Symbol
) -> pybamm.Symbol:
    """Equilibrium potential of the halogen less its formal potential [V]."""
    return (log_halogen + pybamm.log(STANDARD) - 2 * pybamm.log(halide)) / (2 * numbers.f)


def log_gamma_of(
    electrolyte: Electrolyte, numbers: Numbers, activity: str, metal_ion: pybamm.Symbol
) -> pybamm.Symbol:
    """Logarithm of the mean activity coefficient of the metal halide, by mol per litre."""
    salt = f"{electrolyte.metal} {electrolyte.halide}".capitalize()
    if activity == "ideal":
        return pybamm.Scalar(0)
    if activity == FREE_IONS:
        return pybamm.log(numbers(f"{salt} free-ion activity factor")) / 3
    if activity == "constant":
        return pybamm.log(numbers(f"{salt} mean activity factor")) / 3
    volume = numbers(f"{salt} partial molar volume [m3.mol-1]")
    water = _WATER * (1 - volume * metal_ion)  # [kg.m-3]
    molality = metal_ion / water
    names = ("beta0 [kg.mol-1]", "beta1 [kg.mol-1]", "Cphi [kg2.mol-2]", "limit [mol.kg-1]")
    beta0, beta1, cphi, most = (numbers(f"{salt} Pitzer {name}") for name in names)
    molal = pitzer_log_gamma(pybamm.minimum(molality, most), beta0, beta1, cphi)
    return molal + pybamm.log(STANDARD / water)  # concentrations are by volume here


def pitzer_log_gamma(molality: Any, beta0: Any, beta1: Any, cphi: Any) -> Any:
    r"""Logarithm of the mean activity coefficient of a 2-1 salt, after Pitzer (1973).

    .. math:: \ln\gamma_\pm = 2 f^\gamma + \tfrac43 m B^\gamma + \tfrac{2^{5/2}}{3} m^2 C^\gamma

    Parameters
    ----------
    molality
        [mol.kg-1], a number, an array or a PyBaMM symbol; clamp it where the coefficients end.
    beta0, beta1, cphi
        Pitzer's coefficients of the salt.

    Returns
    -------
    float, array or pybamm.Symbol
    """
    strength = 3 * molality
    root = strength**0.5
    f_gamma = -_A_PHI * (root / (1 + _B * root) + 2 / _B * np.log(1 + _B * root))
    decay = np.exp(-_ALPHA * root)
    bracket = 1 - (1 + _ALPHA * root - _ALPHA**2 * strength / 2) * decay
    b_gamma = 2 * beta0 + 2 * beta1 / (_ALPHA**2 * strength) * bracket
    return 2 * f_gamma + 4 / 3 * molality * b_gamma + 2**2.5 / 3 * molality**2 * 1.5 * cphi
