r"""Rate laws of the electrodes, each explicit in the electrode's potential.

Both electrodes carry both couples: an electrode's potential is the mixed potential at which its
partial currents add up to the cell's (C. Wagner, W. Traud, Z. Elektrochem. 44 (1938) 391). So
halogen that reaches the plated zinc corrodes it, at the rate at which it arrives; once the zinc is
stripped, a discharge oxidises halide there and the voltage falls towards zero, as in a cell that is
taken to short circuit; and where the positive electrode runs out of halogen, zinc is plated on it.
Every law is bounded by the transport of what it consumes, and none has a singularity.

Current densities are per area of the electrode, positive for an oxidation [A.m-2].
"""

from __future__ import annotations

import pybamm

from cellmodels.models.zinc_halogen.numbers import FARADAY, LN10, STANDARD, Numbers

#: Slope of a limiting current's plateau, by RT/F. Without it the potential would fall off a cliff
#: where a limiting current passes the cell's current, within a time that no integrator resolves.
_SLOPE = 1e-3
#: Largest exponent that is taken.
_LARGEST = 250.0

HALOGEN_LAWS = ("Volmer", "two-electron")


def metal_current(
    numbers: Numbers,
    metal: str,
    overpotential: pybamm.Symbol,
    concentration: pybamm.Symbol,
    amount: pybamm.Symbol,
    limit: pybamm.Symbol,
) -> pybamm.Symbol:
    r"""Plating and stripping of the metal.

    .. math::
        j = \frac{\theta\,s - (\theta + (1 - \theta)\,g)\,p}
        {1 + \theta s/j_{max} + (\theta + (1 - \theta)\,g)\, p/j_L}, \qquad
        s = j_0^{ref} e^{\alpha_a f\eta}, \qquad
        p = j_0^{ref} \frac{c}{c_{ref}} e^{-\alpha_c f\eta}

        \theta = \frac{n}{n + n_{min}}, \qquad
        g = \left(\frac{p}{p + s\,e^{2 f \eta_{nuc}}}\right)^2, \qquad
        j_{max} = \frac{2F n}{\tau}

    with :math:`\alpha_a + \alpha_c = 2` (two one-electron steps; apparent
    :math:`\alpha_a \approx 1.5`: J. O'M. Bockris, Z. Nagy, A. Damjanovic, J. Electrochem. Soc. 119
    (1972) 285, doi:10.1149/1.2404188), first order in the metal ion for plating and zero order for
    stripping. The first term of the denominator lets the last of the metal dissolve with the time
    constant :math:`\tau`, so that a fast discharge leaves some for a slow strip; the second is the
    diffusion of metal ions to the plate in a quasi-steady film: :math:`c_s = c\,(1 + j/j_L)`.
    Bare substrate takes metal only at a supersaturation, by g: nucleation costs about
    :math:`\eta_{nuc}`. At the equilibrium potential it takes next to none, so that this is where
    the current is zero whatever the coverage. The coverage and the nucleation law are forms chosen
    for this model.

    Parameters
    ----------
    numbers
        Parameters.
    metal
        The metal in words.
    overpotential
        Potential less the formal potential at 1 mol per litre of metal ion [V].
    concentration
        Metal ion in the electrolyte [mol.m-3].
    amount
        Metal on the electrode, per area [mol.m-2].
    limit
        Limiting current density of plating, j_L [A.m-2].

    Returns
    -------
    pybamm.Symbol
    """
    name = metal.capitalize()
    rate = numbers.activated(
        f"{name} exchange-current density [A.m-2]", f"{name} kinetics activation energy [J.mol-1]"
    )
    anodic = numbers(f"{name} anodic transfer coefficient")
    cathodic = 2 - anodic
    f = numbers.f
    covered = coverage(numbers, metal, amount)
    bare = 1 - pybamm.maximum(covered, 0)
    dilution = concentration / STANDARD
    hindrance = pybamm.exp(2 * f * numbers(f"{name} nucleation overpotential [V]"))
    nucleated = 1 / (1 + hindrance / dilution * _exp(2 * f * overpotential, 100.0)) ** 2
    strip = rate * _exp(anodic * f * overpotential)
    plate = rate * dilution * _exp(-cathodic * f * overpotential) * (1 - bare + bare * nucleated)
    whole = pybamm.AbsoluteValue(amount) + numbers(f"Residual {metal} threshold [mol.m-2]")
    # covered * strip / j_max, written so that it holds without metal too
    most = 2 * FARADAY * whole / numbers(f"{name} dissolution time [s]")
    share = strip / _plateau(most, f * overpotential)
    arriving = _plateau(limit, -f * overpotential)
    return (covered * strip - plate) / (1 + share + plate / arriving)


def coverage(numbers: Numbers, metal: str, amount: pybamm.Symbol) -> pybamm.Symbol:
    """Share of an electrode that the metal covers [-].

    It has the sign of the amount: where a solver's error has left less than nothing, the metal is
    plated, not dissolved.
    """
    threshold = numbers(f"Residual {metal} threshold [mol.m-2]")
    return amount / (pybamm.AbsoluteValue(amount) + threshold)


def halogen_current(
    numbers: Numbers,
    halogen: str,
    law: str,
    overpotential: pybamm.Symbol,
    halide: pybamm.Symbol,
    free: pybamm.Symbol,
    area: pybamm.Symbol,
    limit: pybamm.Symbol,
    film: pybamm.Symbol | None = None,
) -> pybamm.Symbol:
    r"""Oxidation of halide and reduction of halogen on carbon.

    "Volmer", the discharge of one halide ion rate-determining, as on carbon (S. Ferro, A. De
    Battisti, J. Appl. Electrochem. 34 (2004) 981):

    .. math:: j = F k_0\left[y\,e^{\alpha f\eta} - \sqrt{b_s c^\circ}\,e^{-(1-\alpha)f\eta}\right]

    "two-electron":

    .. math:: j = F k_0\left[\frac{y^2}{c^\circ}\,e^{2\alpha f\eta}
              - b_s\,e^{-2(1-\alpha)f\eta}\right]

    Both are zero at the Nernst potential. The wall concentration :math:`b_s = b\,(1 + j/j_L)` with
    :math:`j_L` for all dissolved halogen, which the polyhalides replenish at once; the law is
    solved for j (a quadratic equation for "Volmer").

    Parameters
    ----------
    numbers
        Parameters.
    halogen
        The halogen in words.
    law
        One of `HALOGEN_LAWS`.
    overpotential
        Potential less the formal potential at 1 mol per litre of X2 and of X- [V].
    halide, free
        X- and X2 [mol.m-3].
    area
        Area that reacts in an area of cell [-].
    limit
        Limiting current density of the reduction, per area of cell [A.m-2].
    film
        The same of a film in series with that, whose plateau has no slope; by default none.

    Returns
    -------
    pybamm.Symbol
        Per area of cell.
    """
    rate, alpha = _halogen_rate(numbers, halogen, area)
    f = numbers.f
    limit = _plateau(limit, -f * overpotential)
    if film is not None:
        limit = limit / (1 + limit / film)
    if law == "Volmer":
        forward = rate * halide * _exp(alpha * f * overpotential)
        back = rate * pybamm.sqrt(free * STANDARD) * _exp((alpha - 1) * f * overpotential)
        both = limit + forward
        root = 2 * both / (back + pybamm.sqrt(back**2 + 4 * limit * both))
        return forward - back * root
    forward = rate * halide**2 / STANDARD * _exp(2 * alpha * f * overpotential)
    back = rate * free * _exp(2 * (alpha - 1) * f * overpotential)
    return (forward - back) / (1 + back / limit)


def halogen_slope(
    numbers: Numbers,
    halogen: str,
    law: str,
    halide: pybamm.Symbol,
    free: pybamm.Symbol,
    area: pybamm.Symbol,
) -> pybamm.Symbol:
    r"""Change of the halogen's current with the potential at equilibrium [S.m-2 of cell].

    With the exchange current that the forward and the backward rate of `halogen_current` share,
    :math:`f j_0` for "Volmer" and :math:`2 f j_0` for "two-electron".

    Parameters
    ----------
    numbers, halogen, law, halide, free, area
        As for `halogen_current`.

    Returns
    -------
    pybamm.Symbol
    """
    rate, alpha = _halogen_rate(numbers, halogen, area)
    ratio = pybamm.log(free * STANDARD) / 2 - pybamm.log(halide)
    if law == "Volmer":
        return numbers.f * rate * halide * pybamm.exp(alpha * ratio)
    return 2 * numbers.f * rate * halide**2 / STANDARD * pybamm.exp(2 * alpha * ratio)


def _halogen_rate(
    numbers: Numbers, halogen: str, area: pybamm.Symbol
) -> tuple[pybamm.Symbol, pybamm.Symbol]:
    """F k_0 per area of cell [A.m.mol-1], and the transfer coefficient."""
    name = halogen.capitalize()
    exchange = numbers.activated(
        f"{name} exchange-current density [A.m-2]", f"{name} kinetics activation energy [J.mol-1]"
    )
    return area * exchange / STANDARD, numbers(f"{name} transfer coefficient")


def hydrogen_current(
    numbers: Numbers, potential: pybamm.Symbol, ph: pybamm.Symbol
) -> pybamm.Symbol:
    r"""Evolution of hydrogen on the metal, a reduction.

    .. math:: j = -j_0\,e^{-\alpha f(\phi + (RT/F)\ln 10\;\mathrm{pH})}

    (118 mV per decade for :math:`\alpha = 1/2`; the exchange current on zinc as in W. D. Callister,
    D. G. Rethwisch, Fundamentals of materials science and engineering, 3rd ed. (2008), p. 677.)

    Parameters
    ----------
    numbers
        Parameters.
    potential
        Electrode potential against the standard hydrogen electrode [V].
    ph
        pH at the electrode.

    Returns
    -------
    pybamm.Symbol
    """
    exchange = numbers.activated(
        "Hydrogen evolution exchange-current density [A.m-2]",
        "Hydrogen evolution activation energy [J.mol-1]",
    )
    alpha = numbers("Hydrogen evolution transfer coefficient")
    return -exchange * _exp(-alpha * (numbers.f * potential + ph * LN10))


def _plateau(limit: pybamm.Symbol, drive: pybamm.Symbol) -> pybamm.Symbol:
    """A limiting current that grows slightly, and linearly, with the overpotential behind it."""
    return limit * (1 + _SLOPE * (drive + pybamm.sqrt(drive**2 + 4)) / 2)


def _exp(exponent: pybamm.Symbol, largest: float = _LARGEST) -> pybamm.Symbol:
    """An exponential that does not overflow."""
    return pybamm.exp(pybamm.minimum(exponent, largest))
