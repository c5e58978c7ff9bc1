"""Tables of impedance over frequency: what their columns hold, and how they become one form.

A line of headers is that of such a table if it has a frequency and either both parts of the
impedance or its magnitude and phase. Z = Z' + jZ'': an imaginary part is negative where the cell
is capacitive. Files that give -Z'', or magnitude and phase, are converted here and nowhere else.

The headers were taken from files of Gamry, BioLogic, Scribner (ZPlot, ZView), CH Instruments,
Ametek (VersaStudio, PowerSuite, Parstat) and batterydata.energy.gov; those of Metrohm (NOVA),
Zahner, Ivium and PalmSens (PSTrace) from published readers of their exports.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cellmodels.errors import InputError
from cellmodels.record.files.text_formats import split_unit
from cellmodels.units import convert

Numbers = NDArray[np.float64]

_OTHER_NAMES: dict[str, tuple[str, ...]] = {
    "frequency": ("freq", "frequencies", "frequencyhz", "f"),
    "impedance_real": (
        "re(z)", "z'", "z'(a)", "zre", "zreal", "zr", "rez", "z1", "zdash", "realimpedance",
        "realimpedances", "impedancereal", "re",
    ),
    "impedance_imaginary": (
        "im(z)", "z''", "z''(b)", "zim", "zimg", "zimag", "zi", "imz", "z2", "imaginaryimpedance",
        "imaginaryimpedances", "impedanceimaginary", "im",
    ),
    "-impedance_imaginary": ("zdashneg",),
    "magnitude": ("|z|", "z", "zmod", "zmag", "absoluteimpedance", "impedance"),
    "phase": ("phase(z)", "zphz", "zphase", "zphasedegree", "phases", "theta", "phaseangle"),
    "time": ("elapsedtime", "testtime"),
    "voltage": ("<ewe>", "ewe", "ecell", "<ecell>", "vdc", "potential", "e"),
    "current": ("<i>", "i", "idc"),
    "temperature": ("surfacetemperature", "celltemperature", "t"),
    "cycle": ("cyclenumber", "cyclecount", "cycleindex", "cycle"),
    "spectrum": ("indices", "loop", "loopnumber"),
}  # fmt: skip
_NAMES = {name: name for name in _OTHER_NAMES} | {
    other: name for name, others in _OTHER_NAMES.items() for other in others
}
_UNITS = {
    "frequency": "Hz", "impedance_real": "ohm", "impedance_imaginary": "ohm", "magnitude": "ohm",
    "phase": "deg", "time": "s", "voltage": "V", "current": "A", "temperature": "K",
}  # fmt: skip
_DEFAULT_UNITS = {**_UNITS, "temperature": "degC"}
_SPELLINGS = {
    "ohms": "ohm", "Ohms": "ohm", "\u03a9": "ohm", "\u2126": "ohm", "m\u03a9": "mohm",
    "°": "deg", "Deg": "deg", "degree": "deg", "Degree": "deg", "degrees": "deg", "hz": "Hz",
    "sec": "s", "Sec": "s",
    "C": "degC", "°C": "degC", "deg C": "degC",
}  # fmt: skip
_NEEDED = ("frequency", "impedance_real", "impedance_imaginary")
#: What a trace has too.
_SHARED = ("time", "voltage", "current", "temperature", "cycle")
_OWN_CURRENT = re.compile(r"current\s*\[\w+\]", re.IGNORECASE)
_PRIMES = str.maketrans({"′": "'", "’": "'", "´": "'", "″": "''", '"': "''", "−": "-", "–": "-"})

#: A sweep ends where the frequency jumps back by more than this factor, …
_LEAST_JUMP = 5.0
#: … and by more than this share of what it has covered (of logarithms).
_SHARE = 0.5
#: By how much magnitude and parts in one file may differ, as a share of the magnitude.
_AGREEMENT = 0.02


@dataclass(frozen=True)
class ImpedanceColumn:
    """What a column of such a table holds.

    Parameters
    ----------
    header : str
        As in the file.
    name : str
        A variable of /impedance, or "magnitude" or "phase".
    unit : str
        Of its numbers.
    sign : float
        -1 where the file gives the negative of it.
    """

    header: str
    name: str
    unit: str
    sign: float = 1.0


def impedance_columns(
    headers: Iterable[str], columns: Mapping[str, str | None] | None = None
) -> dict[int, ImpedanceColumn]:
    """What the columns of a table of impedance hold, by their place.

    Parameters
    ----------
    headers : iterable of str
        Of the table.
    columns : mapping of str to (str or None), optional
        What the caller says that columns hold, by their headers: ``{"X": "impedance_real [ohm]"}``.

    Returns
    -------
    dict of int to ImpedanceColumn
        Empty for a table that is none of impedance.

    Raises
    ------
    InputError
        If a unit in the headers does not fit.
    """
    columns = columns or {}
    found: dict[int, tuple[str, str]] = {}
    for k, header in enumerate(headers):
        target = columns.get(header.strip(), header)
        if target is not None and (name := _name(target)) is not None:
            found.setdefault(k, (header.strip(), name))
    names = {name.removeprefix("-") for _, name in found.values()}
    parts = {"impedance_real", "impedance_imaginary"} <= names
    if "frequency" not in names or not (parts or {"magnitude", "phase"} <= names):
        return {}
    out: dict[int, ImpedanceColumn] = {}
    for k, (header, name) in found.items():
        own = name.removeprefix("-")
        if own not in {column.name for column in out.values()}:
            unit = _unit(own, columns.get(header) or header, header)
            out[k] = ImpedanceColumn(header, own, unit, -1.0 if name != own else 1.0)
    return out


def _name(header: str) -> str | None:
    """The variable of a header, with a minus in front where it holds the negative."""
    for text in (header, split_unit(header)[0]):
        plain = re.sub(r"[\s_.]+", "", text.strip().strip("~").lower().translate(_PRIMES))
        negative = plain.startswith("-")
        found = _NAMES.get(plain.removeprefix("-"))
        if found is not None:
            return f"-{found}" if negative else found
    return None


def _unit(name: str, written: str, header: str) -> str:
    if name not in _UNITS:
        return "-"
    unit = split_unit(written)[1]
    if unit is None or unit in ("a", "b"):  # Scribner's Z'(a) and Z''(b)
        return _DEFAULT_UNITS[name]
    unit = _SPELLINGS.get(unit, unit)
    convert(1.0, unit, _UNITS[name], what=f"Column '{header}'")
    return unit


def split_impedance(
    frame: pd.DataFrame,
    columns: Mapping[int, ImpedanceColumn],
    where: str,
    starts: NDArray[np.bool_] | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """Take the rows of impedance out of a table.

    Parameters
    ----------
    frame : pandas.DataFrame
        The table.
    columns : mapping of int to ImpedanceColumn
        From :func:`impedance_columns`; empty for a table without impedance.
    where : str
        The file, for messages.
    starts : ndarray of bool, shape (rows,), optional
        Where a spectrum begins for sure.

    Returns
    -------
    others : pandas.DataFrame
        The rows without a frequency, and without the columns of impedance.
    table : pandas.DataFrame or None
        As :func:`tabulate` gives it; None where no row has a frequency.

    Raises
    ------
    InputError
        If frequency or impedance are no numbers, or contradict each other.
    """
    if not columns:
        return frame, None
    alone = [k for k, c in columns.items() if c.name not in _SHARED]
    values = {c.name: _numbers(frame.iloc[:, k], c, where) for k, c in columns.items()}
    measured = np.nan_to_num(values["frequency"]) != 0.0
    others = frame.drop(columns=[frame.columns[k] for k in alone])
    if not measured.any():
        return others, None
    places = np.flatnonzero(measured)
    breaks = np.diff(places, prepend=places[0]) > 1
    if starts is not None:
        breaks |= starts[places]
    raw = {name: v[places] for name, v in values.items()}
    return others[~measured], tabulate(raw, columns.values(), where, breaks)


def _numbers(series: pd.Series, column: ImpedanceColumn, where: str) -> Numbers:
    numbers = pd.to_numeric(series, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    if column.name not in _SHARED and not pd.api.types.is_numeric_dtype(series):
        text = series.fillna("").astype(str).str.strip()
        bad = np.isnan(numbers) & ~text.isin(("", "nan", "NaN", "N/A", "-", "---")).to_numpy()
        if bad.any():
            raise InputError(
                f"{where}: column '{column.header}' holds no number but "
                f"'{text[bad].iloc[0]}'; data row {int(np.flatnonzero(bad)[0]) + 1}."
            )
    return numbers


def tabulate(
    raw: Mapping[str, Numbers],
    columns: Iterable[ImpedanceColumn],
    where: str,
    breaks: NDArray[np.bool_] | None = None,
) -> pd.DataFrame:
    """Turn the columns of a file into the variables of /impedance.

    Parameters
    ----------
    raw : mapping of str to ndarray, shape (rows,)
        Values by the names of `columns`, in the units of the file.
    columns : iterable of ImpedanceColumn
        What they hold.
    where : str
        The file, for messages.
    breaks : ndarray of bool, shape (rows,), optional
        Where a spectrum begins for sure: after other measurements, or in a new section.

    Returns
    -------
    pandas.DataFrame
        In the schema's names and units; a current that is positive on charge is named
        ``Current / A``, as in the Battery Data Format. Columns without any value are left out.

    Raises
    ------
    InputError
        If magnitude and parts contradict each other.
    """
    values, names = {}, {}
    for column in columns:
        values[column.name] = column.sign * _in_unit(raw[column.name], column.unit, column.name)
        names[column.name] = column.header
    magnitude, phase = values.pop("magnitude", None), values.pop("phase", None)
    if "impedance_real" not in values or "impedance_imaginary" not in values:
        assert magnitude is not None
        assert phase is not None
        values["impedance_real"] = magnitude * np.cos(np.deg2rad(phase))
        values["impedance_imaginary"] = magnitude * np.sin(np.deg2rad(phase))
    elif magnitude is not None:
        _check_magnitude(values, magnitude, names, where)
    if "current" in values and not _OWN_CURRENT.fullmatch(names["current"]):
        values["Current / A"] = values.pop("current")
    values = {n: v for n, v in values.items() if n in _NEEDED or np.isfinite(v).any()}
    if "spectrum" not in values:
        starts = np.zeros(len(values["frequency"]), dtype=bool) if breaks is None else breaks
        if "cycle" in values:
            starts = starts | (np.diff(values["cycle"], prepend=values["cycle"][0]) != 0)
        values["spectrum"] = spectra(values["frequency"], starts)
    return pd.DataFrame(values)


def _in_unit(values: Numbers, unit: str, name: str) -> Numbers:
    wanted = _UNITS.get(name, unit)
    if unit == wanted:
        return values
    offset = convert(0.0, unit, wanted)
    return values * (convert(1.0, unit, wanted) - offset) + offset


def _check_magnitude(
    values: Mapping[str, Numbers], magnitude: Numbers, names: Mapping[str, str], where: str
) -> None:
    """A magnitude beside the parts must be theirs: columns that are mixed up are found."""
    own = np.hypot(values["impedance_real"], values["impedance_imaginary"])
    with np.errstate(invalid="ignore", divide="ignore"):
        apart = np.abs(own - magnitude) / magnitude
    if np.isfinite(apart).any() and float(np.nanmedian(apart)) > _AGREEMENT:
        raise InputError(
            f"{where}: '{names['impedance_real']}' and '{names['impedance_imaginary']}' do not "
            f"give the magnitude in '{names['magnitude']}': they are "
            f"{100 * float(np.nanmedian(apart)):.3g} % apart."
        )


def spectra(frequency: Numbers, starts: NDArray[np.bool_]) -> Numbers:
    """Number the sweeps of a table; the first is 1.

    Parameters
    ----------
    frequency : ndarray, shape (rows,)
        In the order of the file [Hz].
    starts : ndarray of bool, shape (rows,)
        Where a sweep begins for sure.

    Returns
    -------
    ndarray, shape (rows,)
        A sweep also begins where the frequency jumps back by more than a factor of five and
        more than half of what the sweep has covered, both as logarithms.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        steps = np.log(frequency)
    out = np.ones(len(frequency))
    first = 0
    for k in range(1, len(frequency)):
        covered = steps[k - 1] - steps[first]
        step = steps[k] - steps[k - 1]
        back = step * covered < 0 and abs(step) > max(np.log(_LEAST_JUMP), _SHARE * abs(covered))
        if starts[k] or back:
            first = k
        out[k] = out[k - 1] + (first == k)
    return out


def unordered(table: pd.DataFrame) -> list[int]:
    """Numbers of the spectra whose frequencies neither only rise nor only fall."""
    found = []
    for number, sweep in table.groupby("spectrum", sort=False):
        steps = np.diff(sweep["frequency"].to_numpy())
        if (steps > 0).any() and (steps < 0).any():
            found.append(int(float(str(number))))
    return found


def inductive(table: pd.DataFrame) -> list[int]:
    """Numbers of the spectra whose imaginary part is positive at their lowest frequency."""
    lowest = table.loc[table.groupby("spectrum")["frequency"].idxmin()]
    found = lowest.loc[lowest["impedance_imaginary"] > 0, "spectrum"]
    return [int(number) for number in found]
