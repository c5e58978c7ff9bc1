"""Make the demo's synthetic record: ``python -m benchmarks.demo_record [--simulate] [--seed N]``.

A thousand cycles of an LG M50 cell whose ageing parameters are chosen here, simulated by PyBaMM's
IDAKLU cycle by cycle at tight tolerances (never by the solver of cellmodels), with check-ups beside
the life. ``--simulate`` makes the noise-free tables in ``benchmarks/data`` anew (some minutes);
without it they are read from there. Noise is added with a seed, so that any number of records of
the same cell can be had; the one with seed 0 is ``cellmodels/demo``.
"""

from __future__ import annotations

import argparse
import platform
from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pandas as pd
import pybamm

from benchmarks.pybamm_reference import Reference, Test
from cellmodels.cell import Cell

ROOT = Path(__file__).resolve().parent.parent
NOISE_FREE = ROOT / "benchmarks" / "data"
DEMO = ROOT / "cellmodels" / "demo"

CYCLES = 1000
CHECKUP_EVERY = 100
CYCLE = ("Discharge at 1C until 2.5 V", "Charge at 0.5C until 4.2 V", "Hold at 4.2 V until C/50")
CURVE_AT = tuple(0.5 * k for k in range(1, 9))  # A.h discharged at C/20
TESTS = (
    Test("1C", ("Discharge at 1C until 2.5 V",)),
    Test("C20", ("Discharge at C/20 until 2.5 V",), voltages_at=CURVE_AT),
    Test(
        "10s",
        ("Discharge at 0.5C for 1 hour", "Rest for 1 hour", "Discharge at 1C for 10 seconds"),
        measure="resistance",
    ),
)

#: What a fit is to find. Start values are in cellmodels/demo/demo.toml.
TRUTH = MappingProxyType(
    {
        "SEI solvent diffusivity [m2.s-1]": 2.1e-21,
        "Negative electrode LAM constant proportional term [s-1]": 2.6e-6,
        "Positive electrode LAM constant proportional term [s-1]": 6.5e-6,
        "Dead lithium decay constant [s-1]": 1.6e-5,
    }
)

#: Standard deviations of the noise, normal and independent.
CAPACITY_NOISE = 1e-3  # A.h
VOLTAGE_NOISE = 1e-3  # V, of one reading
PULSE_CURRENT = 5.0  # A, the 1C pulse from rest
RESISTANCE_NOISE = 2**0.5 * VOLTAGE_NOISE / PULSE_CURRENT  # ohm: two readings a resistance

RTOL, ATOL = 1e-8, 1e-10


def demo_cell() -> Cell:
    """The cell with the parameter set's own ageing parameters, fully charged."""
    return Cell(
        "lithium_ion",
        parameters="nmc_graphite_siox",
        model="SPM",
        mechanisms=["SEI", "lithium plating", "loss of active material"],
        initial_soc=1.0,
    )


def simulate(
    truth: dict[str, float] | None = None, cycles: int = CYCLES
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Simulate the life with PyBaMM.

    Parameters
    ----------
    truth
        Values of the ageing parameters, by default `TRUTH`.
    cycles
        Number of cycles.

    Returns
    -------
    life, checkups : pandas.DataFrame
        Tables without noise, with units in the headers.
    """
    truth = dict(TRUTH if truth is None else truth)
    reference = Reference(demo_cell(), CYCLE, tests=TESTS, free=truth, rtol=RTOL, atol=ATOL)
    found = reference.run(cycles, truth, range(0, cycles + 1, CHECKUP_EVERY))
    life = {
        "cycle": found["cycle"],
        "elapsed_time [s]": found["elapsed_time"],
        "throughput [A.h]": found["throughput"],
        "discharge_capacity [A.h]": found["discharge_capacity"],
        "charge_capacity [A.h]": found["charge_capacity"],
    }
    place = found["checkup"] - 1  # cycle 0 is the fresh cell
    checkups = {
        "cycle": found["checkup"],
        "elapsed_time [s]": _at(found["elapsed_time"], place),
        "throughput [A.h]": _at(found["throughput"], place),
        "capacity_1C [A.h]": found["capacity_1C"],
        "capacity_C20 [A.h]": found["capacity_C20"],
        "resistance_10s [ohm]": found["resistance_10s"],
    }
    for column, charge in enumerate(CURVE_AT):
        checkups[curve_header(charge)] = found["voltage_C20"][:, column]
    return pd.DataFrame(life), pd.DataFrame(checkups)


def curve_header(charge: float) -> str:
    """Header of the slow discharge's voltage after `charge` (A.h)."""
    return f"voltage_C20 @ {charge:g} A.h [V]"


def deviation_header(header: str) -> str:
    """Header of the noise's standard deviation beside a column, as records name it."""
    name, _, rest = header.partition(" ")
    return f"{name}_std {rest}"


def noise_of(header: str) -> float:
    """Standard deviation of the noise on a column; 0 for places and counters."""
    if "capacity" in header:
        return CAPACITY_NOISE
    if header.startswith("resistance"):
        return RESISTANCE_NOISE
    return VOLTAGE_NOISE if header.startswith("voltage") else 0.0


def add_noise(
    life: pd.DataFrame, checkups: pd.DataFrame, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Copies of the tables with independent normal noise, and beside them its deviation.

    Parameters
    ----------
    life, checkups
        Tables without noise.
    seed
        Seed of NumPy's PCG64.

    Returns
    -------
    life, checkups : pandas.DataFrame
    """
    random = np.random.default_rng(seed)
    noisy = []
    for table in (life.copy(), checkups.copy()):
        for header in list(table.columns):
            deviation = noise_of(str(header))
            if deviation:
                table[header] += deviation * random.standard_normal(len(table))
                table[deviation_header(str(header))] = deviation
        noisy.append(table)
    return noisy[0], noisy[1]


def noise_free() -> tuple[pd.DataFrame, pd.DataFrame]:
    """The stored tables without noise: life and check-ups."""
    return read(NOISE_FREE / "demo_life.csv"), read(NOISE_FREE / "demo_checkups.csv")


def read(path: Path) -> pd.DataFrame:
    """A table written by `write`."""
    return pd.read_csv(path, comment="#")


def write(table: pd.DataFrame, path: Path, lines: Sequence[str], digits: int) -> None:
    """Write a table after comment lines, with so many significant digits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = table.to_csv(index=False, float_format=f"%.{digits}g", lineterminator="\n")
    path.write_text("".join(f"# {line}\n" for line in lines) + text, encoding="utf-8")


def _at(values: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Cumulative values after cycles; 0 before the first."""
    return np.where(place < 0, 0.0, values[place])


def _made_by() -> str:
    return (
        f"SYNTHETIC: simulated by PyBaMM {pybamm.__version__} (SPM, IDAKLU, rtol {RTOL:g}, "
        f"atol {ATOL:g}) with benchmarks/demo_record.py on {platform.machine()}"
    )


def _write_truth(path: Path) -> None:
    lines = [
        "# What the demo's synthetic record was made with (benchmarks/demo_record.py).",
        "# Read only to be printed beside what the fit has found.",
        "[truth]",
        *(f'"{name}" = {value!r}' for name, value in TRUTH.items()),
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--simulate", action="store_true", help="make the noise-free tables anew")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=DEMO, help="folder for the noisy tables")
    chosen = parser.parse_args()
    if chosen.simulate:
        for table, name in zip(simulate(), ("demo_life", "demo_checkups"), strict=True):
            write(table, NOISE_FREE / f"{name}.csv", [_made_by() + ", without noise"], 12)
    noise = (
        f"SYNTHETIC: benchmarks/data with normal noise of {CAPACITY_NOISE * 1e3:g} mA.h, "
        f"{VOLTAGE_NOISE * 1e3:g} mV, {RESISTANCE_NOISE * 1e3:.3f} mohm; seed {chosen.seed}"
    )
    noisy = add_noise(*noise_free(), chosen.seed)
    for table, name in zip(noisy, ("nmc_life", "nmc_checkups"), strict=True):
        write(table, chosen.out / f"{name}.csv", [noise], 7)
    _write_truth(chosen.out / "demo_truth.toml")
    life = noisy[0]["discharge_capacity [A.h]"]
    print(f"{len(life)} cycles, capacity {life.iloc[1]:.3f} -> {life.iloc[-1]:.3f} A.h")


if __name__ == "__main__":
    main()
