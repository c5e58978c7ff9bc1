"""The cells of ``benchmarks.batch``: records, protocols by name, and sets of mechanisms.

Tongji (TJU): J. Zhu et al., Nature Communications 13 (2022) 2261, doi:10.1038/s41467-022-29837-w,
data doi:10.5281/zenodo.6405084, CC BY 4.0. XJTU: F. Wang et al., Nature Communications 15 (2024)
4332, doi:10.1038/s41467-024-48779-z, data doi:10.5281/zenodo.10963339, CC BY 4.0. Both as reduced
to one row a cycle by the authors of the latter.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

import cellmodels as cm

FILES = ("tju/capacity_per_cycle.csv.gz", "xjtu_ncm/capacity_per_cycle.csv.gz")
POINTS = 24  # of each variable and cell: a life costs the same with more
NOISE = 0.003  # A.h: no model here is meant to be better

DIFFUSIVITY = "SEI solvent diffusivity [m2.s-1]"
RATE = "SEI reaction exchange current density [A.m-2]"
FILM = "SEI resistivity [Ohm.m]"
LOSS = "Negative electrode LAM constant proportional term [s-1]"
PLATING = "Lithium plating kinetic rate constant [m.s-1]"
SIZE = "Electrode width [m]"
SERIES = "Contact resistance [Ohm]"

DIFFUSION_FILM = cm.SEI(limit="solvent diffusion", porosity_change=False)
REACTION_FILM = cm.SEI(limit="reaction", porosity_change=False)
SETS: dict[str, list[Any]] = {
    "film, diffusion": [DIFFUSION_FILM],
    "film, reaction": [REACTION_FILM],
    "film, diffusion + LAM": [
        DIFFUSION_FILM,
        cm.LossOfActiveMaterial(driver="stress", electrodes=("negative",)),
    ],
    "film, diffusion + plating": [
        DIFFUSION_FILM,
        cm.LithiumPlating(kind="irreversible", porosity_change=False),
    ],
}
RATES: dict[str, list[str]] = {
    "film, diffusion": [DIFFUSIVITY, FILM],
    "film, reaction": [RATE, FILM],
    "film, diffusion + LAM": [DIFFUSIVITY, FILM, LOSS],
    "film, diffusion + plating": [DIFFUSIVITY, FILM, PLATING],
}
FREE = {name: [*rates, SIZE, SERIES] for name, rates in RATES.items()}
START = {DIFFUSIVITY: 3e-21, RATE: 1.5e-7, FILM: 2e5, LOSS: 2e-5, PLATING: 1e-11, SERIES: 0.02}
BOUNDS = {
    DIFFUSIVITY: (1e-24, 1e-17),
    RATE: (1e-10, 1e-4),
    FILM: (2e2, 2e8),
    LOSS: (1e-8, 1e-2),
    PLATING: (1e-14, 1e-6),
    SERIES: (1e-4, 0.2),
}
#: With these there is next to no ageing in the cycles to which the cell's size is adapted.
UNAGED = {DIFFUSIVITY: 1e-24, RATE: 1e-11, LOSS: 1e-10, PLATING: 1e-15}
#: Step of the protocol whose charge is measured: the end of the hold.
HOLD = "charge_of_step_3"


@dataclass(frozen=True)
class Kind:
    """Cells that were cycled alike.

    Parameters
    ----------
    name : str
    celsius, charge, discharge : float
        Temperature, and rates in 1/h.
    low : float
        Voltage at which the discharge ends.
    tail : str
        Current at which the hold ends.
    """

    name: str
    celsius: float
    charge: float
    discharge: float
    low: float
    tail: str

    @property
    def protocol(self) -> cm.Protocol:
        """The hold in two parts: the data count its charge from 0.5 A on."""
        return cm.Protocol(
            [
                f"Charge at {self.charge:g}C until 4.2 V",
                "Hold at 4.2 V until 0.5 A",
                f"Hold at 4.2 V until {self.tail}",
                "Rest for 30 minutes",
                f"Discharge at {self.discharge:g}C until {self.low:g} V",
            ],
            name=self.name,
        )


def kind_of(cell: str) -> Kind | None:
    """How a cell was cycled, by its name; None where not at constant rates."""
    tju = re.fullmatch(r"D1_NCA_battery/CY(\d\d)-(\d+)_(\d)-#\d+", cell)
    if tju:
        digits = tju[2]
        rate = float(digits[0] + "." + digits[1:]) if len(digits) > 1 else float(digits)
        # 0.05C of 3.5 A.h; the file's mean current of the hold is that of 0.5 to 0.175 A
        name = f"NCA {tju[1]} °C, {rate:g}C / {tju[3]}C"
        return Kind(name, float(tju[1]), rate, float(tju[3]), 2.65, "0.175 A")
    xjtu = re.fullmatch(r"([23])C_battery-\d+", cell)
    if xjtu:  # at room temperature, of which no more is said
        return Kind(f"NCM {xjtu[1]}C / 1C", 25.0, float(xjtu[1]), 1.0, 2.5, "0.1 A")
    return None


@dataclass(frozen=True, eq=False)
class Measured:
    """A cell: its name, kind and record."""

    name: str
    kind: Kind
    record: xr.DataTree
    flagged: int


def measured(data: Path) -> tuple[list[Measured], list[str]]:
    """All cells at constant rates, and the names of those that are not."""
    cells, left_out = [], []
    for file in FILES:
        table = pd.read_csv(data / file)
        for cell, rows in table.groupby("cell", sort=False):
            kind = kind_of(str(cell))
            if kind is None:
                left_out.append(str(cell))
            else:
                cells.append(_measured(str(cell), kind, rows, file))
    return cells, left_out


def _measured(cell: str, kind: Kind, rows: pd.DataFrame, file: str) -> Measured:
    whole = cm.build_record(
        cycles={
            "cycle": rows["cycle"].to_numpy(),
            "discharge_capacity [A.h]": rows["capacity_Ah"].to_numpy(),
            f"{HOLD} [A.h]": rows["cv_Q_Ah"].to_numpy(),
        },
        title=cell,
        source=file,
    )
    cycles = whole["cycles"].to_dataset()
    # The first cycle is often unlike the others; the last ones are part of the curve.
    chosen = np.unique(np.linspace(1, cycles.sizes["point"] - 1, POINTS).round().astype(int))
    flags = [cycles[name].values for name in cycles.data_vars if str(name).endswith("_flag")]
    whole["cycles"] = cycles.isel(point=chosen)
    return Measured(cell, kind, whole, int(sum(flag.sum() for flag in flags)))


def tasks(cells: list[Measured]) -> list[cm.FitTask]:
    """A task for each cell and set of mechanisms."""
    made: list[cm.FitTask] = []
    for name in SETS:  # one after another: the tables of one set are whole before the next
        unaged = {k: v for k, v in UNAGED.items() if k in RATES[name]}
        made += cm.fit_tasks(
            {c.name: c.record for c in cells},
            {c.name: _cell(c.kind, name, unaged) for c in cells},
            {c.name: c.kind.protocol for c in cells},
            {name: FREE[name]},
            mechanism_sets={name: SETS[name]},
            labels={c.name: dict(_labels(c)) for c in cells},
            adapt=True,
            relative_bounds={SIZE: (0.85, 1.3)},
            options={
                "observables": ["discharge_capacity", HOLD],
                "start": START,
                "bounds": BOUNDS,
                "noise": {"discharge_capacity": NOISE, HOLD: NOISE},
                "loss": "pseudo-Huber",
                "max_evaluations": 40,
            },
        )
    return made


def _cell(kind: Kind, name: str, unaged: dict[str, float]) -> cm.Cell:
    kelvin = kind.celsius + 273.15
    cell = cm.Cell(
        "lithium_ion",
        parameters="nmc_graphite_siox",
        model="SPM",
        mechanisms=SETS[name],
        initial_soc=0.0,
    )
    chamber = {"Ambient temperature [K]": kelvin, "Initial temperature [K]": kelvin}
    return cell.with_parameters({**chamber, **unaged}, source="start of the batch")


def _labels(cell: Measured) -> Iterator[tuple[str, str | float]]:
    yield "kind", cell.kind.name
    yield "celsius", cell.kind.celsius
    yield "charge", cell.kind.charge
    yield "discharge", cell.kind.discharge
    cycles = cell.record["cycles"].to_dataset()
    data = cycles["discharge_capacity"].values
    yield "fade", float(data[0] - data[-1])
    yield "cycles", float(cycles["cycle"].values[-1])
