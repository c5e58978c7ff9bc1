"""Measured discharges against DFN and SPMe, before and after a fit of the fresh cell.

Fitted at slow rates and judged at faster ones, which the fit never sees:

- LG M50 (``pybop_lgm50_ecm``), 0.1C and 0.5C with the cell's temperature, judged at 1C and 2C.
  Parameters of Chen et al. (2020) as in PyBaMM's OKane2022 (our ``nmc_graphite_siox``), whose
  entropic changes, zero there, are those measured on the same cell by O'Regan et al. (2022); and
  PyBaMM's ORegan2022, which has that publication's diffusivities too.
- About:Energy's cells, LFP (2 A.h) and NMC (12.5 A.h), BPX files against their own curves
  (``about_energy_bpx``): C/20 and C/2, judged at 1C; isothermal, as no temperature was measured.

What is free follows from what differs between one cell and a publication's, and from what slow
discharges can tell; it is the same for all cells and was not chosen by the judged curves (but the
set ORegan2022 was added after OKane2022 had been seen to miss the target):

- the balance: active material of both electrodes, and the lithium that they share;
- both particle diffusivities, as factors on the set's functions, with a prior of a factor of
  three: a half-cell's GITT is no better known;
- a contact resistance: tabs, foils and welds are in the cell, but not in its set;
- with measured temperatures, heat transfer and heat capacity, the chamber's and the can's; the
  latter with a prior of a factor of one and a half, as all cells have about 1 kJ/kg/K.

Exchange-current densities stay: at slow rates they act as a resistance does. Root mean squares are
over times spread evenly from the first second under load to the measured end; where the simulated
cell is empty before, its voltage goes on falling there, and counts.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pybamm
from matplotlib.figure import Figure

import cellmodels as cm
from benchmarks.report import Target, parser, report
from cellmodels.fresh_figures import draw_experiment
from cellmodels.plotting import STYLE
from cellmodels.steps import Step

KELVIN = 273.15
POINTS = 150
NOISE, KELVIN_NOISE = 5e-3, 0.5  # what models of cells miss, V and K
WITHIN = 20.0  # mV
#: Of factors on diffusivities and on the heat capacity: standard deviations of their logarithms.
KNOWN, KNOWN_HEAT = np.log(3.0), np.log(1.5)
SETTLED = 1.0  # s under load from which on voltages are compared

LAYERS = (
    "Negative current collector", "Negative electrode", "Separator", "Positive electrode",
    "Positive current collector",
)  # fmt: skip
BALANCE = (
    "Negative electrode active material volume fraction",
    "Positive electrode active material volume fraction",
    "Initial concentration in negative electrode [mol.m-3]",
)
DIFFUSIVITIES = tuple(
    cm.scaled(f"{side} particle diffusivity [m2.s-1]") for side in ("Negative", "Positive")
)
RESISTANCE = "Contact resistance [Ohm]"
COOLING = "Total heat transfer coefficient [W.m-2.K-1]"
HEAT_CAPACITY = cm.scaled(
    *[f"{layer} specific heat capacity [J.kg-1.K-1]" for layer in LAYERS],
    name="Heat capacity scale factor",
)
ENTROPY = tuple(
    f"{side} electrode OCP entropic change [V.K-1]" for side in ("Negative", "Positive")
)


@dataclass(frozen=True, eq=False)
class Case:
    """A cell, what is fitted, and what is judged."""

    name: str
    cell: cm.Cell
    fitted: Mapping[str, cm.VoltageTrace]
    judged: Mapping[str, cm.VoltageTrace]

    @property
    def curves(self) -> list[cm.VoltageTrace]:
        return [*self.fitted.values(), *self.judged.values()]

    @property
    def free(self) -> list[Any]:
        thermal = any(trace.temperature is not None for trace in self.curves)
        return [
            *BALANCE,
            *DIFFUSIVITIES,
            RESISTANCE,
            *((COOLING, HEAT_CAPACITY) if thermal else ()),
        ]


# --- measured curves -----------------------------------------------------------------------------


def discharge(
    time: np.ndarray,
    current: np.ndarray,
    voltage: np.ndarray,
    kelvin: np.ndarray | None = None,
    **given: Any,
) -> cm.VoltageTrace:
    """The stretch under load, at times spread evenly; currents are positive on discharge."""
    loaded = np.flatnonzero(current > 0.9 * np.median(current))
    first, last = loaded[0], loaded[-1]
    begin, length = time[first], float(time[last] - time[first])
    charge = np.trapezoid(current[first : last + 1], time[first : last + 1])
    wanted = np.linspace(begin + SETTLED, time[last], POINTS)
    rows = np.unique(np.searchsorted(time[loaded], wanted).clip(max=len(loaded) - 1))
    chosen = loaded[rows[np.diff(time[loaded][rows], prepend=begin) > 0]]
    step = Step("current", float(charge) / length, "A", max_duration=length + 1e-6)
    warm = {} if kelvin is None else {"temperature": kelvin[chosen], "ambient": float(kelvin[0]),
                                      "initial_temperature": float(kelvin[0]),
                                      "temperature_noise": KELVIN_NOISE}  # fmt: skip
    at = time[chosen] - begin
    return cm.VoltageTrace(at, voltage[chosen], [step], noise=NOISE, **warm, **given)


def lg_m50(data: Path) -> dict[str, cm.VoltageTrace]:
    """Discharges at 25 °C with temperature, from rest at full charge."""
    rows = pd.read_csv(data / "pybop_lgm50_ecm" / "rate_test_discharges.csv.gz")
    found = {}
    for rate, one in rows[rows["chamber_C"] == 25].groupby("c_rate"):
        columns = [one[n].to_numpy(float) for n in ("time_s", "current_A", "voltage_V")]
        kelvin = one["cell_temp_mid_C"].to_numpy(float) + KELVIN
        rest = float(columns[2][0])
        name = f"{rate:g}C"
        found[name] = discharge(
            columns[0], -columns[1], columns[2], kelvin, name=name, rest_voltage=rest
        )
    return found


def about_energy(data: Path, cell: str, **start: float) -> dict[str, cm.VoltageTrace]:
    """Discharges of About:Energy's cells, from rest after a full charge."""
    found = {}
    for name, file in (("0.05C", "Co20"), ("0.5C", "Co2"), ("1C", "1C")):
        path = data / "about_energy_bpx" / cell / "data" / "validation"
        rows = pd.read_csv(path / f"{cell}_25degC_{file}.csv").to_numpy(float)
        given = start or {"rest_voltage": float(rows[0, 2])}
        found[name] = discharge(rows[:, 0], -rows[:, 1], rows[:, 2], name=name, **given)
    return found


# --- cells ---------------------------------------------------------------------------------------


def lg_m50_cell(parameters: str, model: str) -> cm.Cell:
    """LG M50 with its temperature; entropic changes of O'Regan et al. where there are none."""
    measured = pybamm.ParameterValues("ORegan2022")
    chosen = cm.ParameterSet.load(parameters)
    mesh = None
    if parameters == "ORegan2022":
        # its diffusivity of graphite dips sharply along the stoichiometry
        mesh = {"r_n": 40} | ({"x_n": 8, "x_s": 5, "x_p": 8, "r_p": 12} if model == "DFN" else {})
    else:
        source = "K. O'Regan et al., Electrochim. Acta 425 (2022) 140700"
        taken = cm.ParameterSet.from_pybamm(
            {name: measured[name] for name in ENTROPY}, "entropy", source=source
        )
        values = {name: taken.parameters[name].value for name in ENTROPY}
        chosen = chosen.replace(values, source=source, status="literature")
    return cm.Cell(
        "lithium_ion", parameters=chosen, model=model, mechanisms=[cm.LumpedThermal()], mesh=mesh
    )


def cases(data: Path, quick: bool) -> list[Case]:
    """All cells, models and sets; in the quick form one of each laboratory."""
    rates = lg_m50(data)
    slow = {name: rates[name] for name in ("0.1C", "0.5C")}
    fast = {name: rates[name] for name in ("1C", "2C")}
    found = []
    for parameters in ("nmc_graphite_siox",) if quick else ("nmc_graphite_siox", "ORegan2022"):
        for model in ("SPMe",) if quick else ("SPMe", "DFN"):
            cell = lg_m50_cell(parameters, model)
            found.append(Case(f"LG M50, {parameters}, {model}", cell, slow, fast))
    for chemistry, file, start in (
        ("NMC", "nmc_pouch_cell_BPX.json", {}),
        ("LFP", "lfp_18650_cell_BPX.json", {"soc": 1.0}),
    ):
        curves = about_energy(data, chemistry, **start)
        judged = {"1C": curves.pop("1C")}
        path = data / "about_energy_bpx" / chemistry / file
        for model in ("SPMe",) if quick else ("SPMe", "DFN"):
            cell = cm.Cell("lithium_ion", parameters=path, model=model)
            found.append(Case(f"About:Energy {chemistry}, {model}", cell, curves, judged))
        if quick:
            break
    return found


# --- fits ----------------------------------------------------------------------------------------


def run(case: Case) -> tuple[list[dict[str, Any]], list[dict[str, Any]], cm.FreshFit, list[Any]]:
    """Rows of curves and of parameters, the fit, and the simulated curves before and after."""
    begin = time.process_time()
    known = dict.fromkeys(DIFFUSIVITIES, (1.0, KNOWN))
    known |= {HEAT_CAPACITY: (1.0, KNOWN_HEAT)} if HEAT_CAPACITY in case.free else {}
    fit = cm.fit_fresh(case.cell, list(case.fitted.values()), case.free, prior=known,
                       progress=False)  # fmt: skip
    seconds = time.process_time() - begin
    both = [cm.simulate_experiments(cell, case.curves) for cell in (case.cell, fit.cell)]
    rows = [row(case, trace, *(tree[trace.name] for tree in both)) for trace in case.curves]
    print(f"{case.name}: {fit.status} after {fit.statistics['evaluations']:.0f} evaluations, "
          f"{seconds:.1f} s of CPU time", flush=True)  # fmt: skip
    table = [
        {
            "cell": case.name,
            "parameter": str(name),
            "value": float(one["value"]),
            "standard error": float(one["standard error"]),
            "identifiable": bool(one["identifiable"]),
        }
        for name, one in fit.table.iterrows()
    ]
    return rows, table, fit, both


def row(case: Case, trace: cm.VoltageTrace, before: Any, after: Any) -> dict[str, Any]:
    """How one curve is described before and after, and without the last tenth of its time."""
    found = {
        "cell": case.name,
        "rate": trace.name,
        "": "fitted" if trace.name in case.fitted else "judged",
        "before mV": 1e3 * before["voltage_residual"].attrs["rms"],
        "after mV": 1e3 * after["voltage_residual"].attrs["rms"],
        "to 90 % mV": 1e3 * _rms_of_most(after),
        "rise K": np.nan,
        "simulated K": np.nan,
    }
    if trace.temperature is not None:
        first = float(np.asarray(trace.initial_temperature))
        found["rise K"] = float(np.max(trace.temperature)) - first
        found["simulated K"] = float(after["temperature_simulated"].max()) - first
    return found | {"empty early": str(after.attrs["ends_early"])}


def _rms_of_most(found: Any) -> float:
    """Root mean square over the first 90 % of the time, without the knee."""
    at, residual = (found[name].values for name in ("voltage_at", "voltage_residual"))
    return float(np.sqrt(np.mean(residual[at <= 0.9 * at[-1]] ** 2)))


def figure(case: Case, both: Sequence[Any]) -> Figure:
    """Measured voltages by rate, with those simulated before and after."""
    count = len(case.curves)
    with mpl.rc_context(STYLE):
        picture = Figure(figsize=(3.2 * count, 4.4), layout="constrained")
        picture.suptitle(case.name, fontweight="bold", fontsize=10)
        panels = picture.subplots(2, count, squeeze=False, height_ratios=[2.2, 1.0])
        for k, trace in enumerate(case.curves):
            before, after = (tree[trace.name] for tree in both)
            at = after["voltage_at"].values / 3600.0
            draw_experiment(
                panels[0, k], panels[1, k], at, after["voltage"].values,
                after["voltage_simulated"].values, before["voltage_simulated"].values, 1e3,
            )  # fmt: skip
            role = "fitted" if trace.name in case.fitted else "judged"
            panels[0, k].set_title(f"{trace.name}, {role}")
            low, high = float(np.min(trace.voltage)), float(np.max(trace.voltage))
            panels[0, k].set_ylim(low - 0.15, high + 0.1)
            panels[1, k].set_ylim(-120, 120)
            panels[1, k].set_xlabel("Time [h]")
        panels[0, 0].set_ylabel("Voltage [V]")
        panels[1, 0].set_ylabel("Simulated −\nmeasured [mV]")
        panels[0, 0].legend(loc="best")
    return picture


def main() -> None:
    """Run it."""
    options = parser(__doc__ or "")
    options.add_argument("--figures", type=Path, help="folder for a figure of each cell")
    chosen = options.parse_args()
    folder = os.environ.get("CELLMODELS_DATA")
    if not folder or not (Path(folder) / "pybop_lgm50_ecm").is_dir():
        print("CELLMODELS_DATA does not name a folder with the measured curves: nothing is judged.")
        report("fresh_cell", [{"cell": "none"}], [], chosen.quick)
        return
    pybamm.set_logging_level("ERROR")
    curves: list[dict[str, Any]] = []
    parameters: list[dict[str, Any]] = []
    targets = []
    for case in cases(Path(folder), chosen.quick):
        rows, table, _, both = run(case)
        curves += rows
        parameters += table
        worst = next(r["after mV"] for r in rows if r["rate"] == "1C")
        targets.append(Target(f"{case.name}: rms at 1C after the fit, mV", worst, WITHIN))
        if chosen.figures:
            chosen.figures.mkdir(parents=True, exist_ok=True)
            name = "".join(c if c.isalnum() else "_" for c in case.name)
            figure(case, both).savefig(chosen.figures / f"{name}.png", dpi=120)
    report("fresh_cell", [*curves, *parameters], targets, chosen.quick)


if __name__ == "__main__":
    main()
