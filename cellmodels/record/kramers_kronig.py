"""Whether a spectrum can be the impedance of a linear cell that did not change meanwhile."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from cellmodels.errors import InputError
from cellmodels.record.checks import check_record

__all__ = ["kramers_kronig"]

Array = NDArray[np.float64]

_FEWEST = 5
_MOST = 100  # elements
_PER_DECADE = 3  # elements; an ideal arc is then described to 0.3 % of its magnitude


def kramers_kronig(record: xr.DataTree, *, most_balance: float = 0.85) -> xr.Dataset:
    r"""Test the spectra of a record for consistency after Kramers and Kronig.

    The real and the imaginary part of the impedance of a linear, causal and stable system belong to
    each other. A chain of Voigt elements fulfils this relation, whatever its resistances, so that
    what it cannot describe contradicts the relation (Boukamp 1995, doi:10.1149/1.2044210):

    .. math:: Z(\omega) = R_0 + j \omega L + \frac{1}{j \omega C}
              + \sum_{k=1}^{M} \frac{R_k}{1 + j \omega \tau_k}

    with time constants from 1/ω of the highest to that of the lowest frequency, evenly spaced in
    their logarithms. It is linear in R₀, L, 1/C and R_k: least squares of both parts, divided
    by the magnitude. Elements are added until the balance of negative to positive resistances,
    μ = 1 − Σ|R_k < 0| / Σ|R_k ≥ 0|, is at or below `most_balance`: more of them would describe
    the noise (Schönleber, Klotz and Ivers-Tiffée 2014, doi:10.1016/j.electacta.2014.01.034). There
    are at least three for each decade of frequency: with fewer, a single arc cannot be described,
    and its resistances are negative for that reason.

    Parameters
    ----------
    record : xarray.DataTree
        A record with the group ``/impedance``.
    most_balance : float
        The largest μ at which elements are no longer added.

    Returns
    -------
    xarray.Dataset
        ``residual_real`` and ``residual_imaginary`` [%], measured less fitted over the measured
        magnitude, with the rows of ``/impedance`` (dimension ``frequency_point``) and its
        ``frequency`` and ``spectrum``. Along ``sweep``: ``number`` of the spectrum, ``largest``
        [%], the largest residual, and ``elements``, how many were taken. Spectra of a cell that
        can be trusted stay below about 1 %.

    Raises
    ------
    InputError
        If the record has no impedance, or a spectrum fewer than 5 different frequencies.
    """
    check_record(record)
    if "impedance" not in record.children:
        raise InputError("The record has no impedance to test.")
    data = record["impedance"].to_dataset()
    frequency, number = data["frequency"].values, _numbers(data)
    impedance = data["impedance_real"].values + 1j * data["impedance_imaginary"].values
    residual = np.zeros(len(frequency), dtype=complex)
    names = list(dict.fromkeys(number.tolist()))
    elements = []
    for name in names:
        own = number == name
        if len(np.unique(frequency[own])) < _FEWEST:
            raise InputError(
                f"Spectrum {name} has {len(np.unique(frequency[own]))} different frequencies; the "
                f"test needs {_FEWEST}."
            )
        residual[own], taken = _residuals(frequency[own], impedance[own], most_balance)
        elements.append(taken)
    percent = {"units": "%"}
    largest = [float(np.max(_larger(residual[number == name]))) for name in names]
    return xr.Dataset(
        {
            "residual_real": ("frequency_point", 100 * residual.real, percent),
            "residual_imaginary": ("frequency_point", 100 * residual.imag, percent),
            "number": ("sweep", np.array(names), {"units": "-"}),
            "largest": ("sweep", 100 * np.array(largest), percent),
            "elements": ("sweep", np.array(elements), {"units": "-"}),
        },
        {
            "frequency": ("frequency_point", frequency, {"units": "Hz"}),
            "spectrum": ("frequency_point", number, {"units": "-"}),
        },
    )


def _numbers(data: xr.Dataset) -> NDArray[np.int64]:
    if "spectrum" not in data:
        return np.ones(data.sizes["frequency_point"], dtype=np.int64)
    return np.asarray(data["spectrum"].values, dtype=np.int64)


def _larger(residual: NDArray[np.complex128]) -> Array:
    return np.maximum(np.abs(residual.real), np.abs(residual.imag))


def _residuals(
    frequency: Array, impedance: NDArray[np.complex128], most_balance: float
) -> tuple[NDArray[np.complex128], int]:
    """Residuals over the magnitude, and the number of elements."""
    magnitude = np.abs(impedance)
    if not magnitude.all():
        raise InputError("An impedance is zero.")
    most = min(_MOST, len(np.unique(frequency)))
    decades = float(np.log10(frequency.max() / frequency.min()))
    for elements in range(min(max(2, round(_PER_DECADE * decades)), most), most + 1):
        matrix = _matrix(2 * np.pi * frequency, elements)
        system = matrix / magnitude[:, None]
        scale = np.linalg.norm(np.vstack([system.real, system.imag]), axis=0)
        target = impedance / magnitude
        found = np.linalg.lstsq(
            np.vstack([system.real, system.imag]) / scale,
            np.concatenate([target.real, target.imag]),
            rcond=None,
        )[0]
        residual = target - (system / scale) @ found
        if _balance((found / scale)[3:]) <= most_balance:
            break
    return residual, elements


def _matrix(omega: Array, elements: int) -> NDArray[np.complex128]:
    """Impedance of every element for a resistance of one; shape (frequencies, 3 + elements)."""
    times = np.geomspace(1 / omega.max(), 1 / omega.min(), elements)
    voigt = 1 / (1 + 1j * omega[:, None] * times)
    return np.column_stack([np.ones(len(omega)), 1j * omega, 1 / (1j * omega), voigt])


def _balance(resistances: Array) -> float:
    """μ of Schönleber et al.: 1 where no resistance is negative."""
    positive = float(resistances[resistances >= 0].sum())
    negative = float(-resistances[resistances < 0].sum())
    return 1 - negative / positive if positive > 0 else 0.0
