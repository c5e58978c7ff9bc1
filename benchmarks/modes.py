"""Degradation modes from slow curves: known ones recovered, intervals counted, measured cells.

The aged cells are PyBaMM's: active material fractions and lithium inventory are set in a parameter
set, and the curve is its open-circuit voltage (``ElectrodeSOHSolver`` and the set's own potentials)
or a slow discharge simulated as SPM or DFN, with 1 mV of noise. In part of them the half-cell
curves are wrong in ways that the analysis does not know. An error is told as the larger of that of
the loss in per cent and that of the lost charge, as a share of the fresh cell's capacity.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pybamm
import scipy.io
from numpy.typing import NDArray

import cellmodels as cm
from benchmarks.report import Target, parser, report
from cellmodels.modes.derived import MODES

Array = NDArray[np.float64]

#: Losses of lithium, negative and positive material [%].
AGED = ((0, 0, 0), (4, 0, 0), (6, 10, 0), (8, 2, 10), (15, 5, 5), (25, 15, 10))
NOISE = 1e-3  # V
LIMIT = 0.5  # % of capacity
CONFIDENCE = 1.96
MISSES = 0.08  # share of 95 % intervals
SEEDS = 40
POTENTIAL, STOICHIOMETRY = 3e-3, 2e-3  # errors of half cells, as `CurveError` has them
FARADAY = 96485.33212


class AgedCell:
    """A cell of PyBaMM with losses, full."""

    def __init__(self, name: str, losses: tuple[float, float, float]) -> None:
        lithium, negative, positive = (1 - loss / 100 for loss in losses)
        self.values = pybamm.ParameterValues(name)
        fresh = self._capacities()
        held = [
            self.values[f"Initial concentration in {side} electrode [mol.m-3]"]
            / self.values[f"Maximum concentration in {side} electrode [mol.m-3]"]
            for side in ("negative", "positive")
        ]
        for side, left in (("Negative", negative), ("Positive", positive)):
            self.values[f"{side} electrode active material volume fraction"] *= left
        capacities = self._capacities()
        self.fresh = np.array([fresh @ held, *fresh])
        inventory = lithium * float(fresh @ held)
        parameters = pybamm.LithiumIonParameters()
        solver = pybamm.lithium_ion.ElectrodeSOHSolver(self.values, parameters)
        inputs = {"Q_n": capacities[0], "Q_p": capacities[1], "Q_Li": inventory}
        self.state = solver.solve(inputs)
        self.capacities = capacities

    def _capacities(self) -> Array:
        return np.array([
            FARADAY / 3600
            * self.values[f"Maximum concentration in {side} electrode [mol.m-3]"]
            * self.values[f"{side.capitalize()} electrode active material volume fraction"]
            * self.values[f"{side.capitalize()} electrode thickness [m]"]
            * self.values["Electrode height [m]"] * self.values["Electrode width [m]"]
            * self.values["Number of electrodes connected in parallel to make a cell"]
            for side in ("negative", "positive")
        ])  # fmt: skip

    def potential(self, side: str, stoichiometry: Array) -> Array:
        law = self.values[f"{side} electrode OCP [V]"]
        symbol = self.values.process_symbol(law(pybamm.Vector(stoichiometry)))
        return np.asarray(symbol.evaluate(), dtype=float).ravel()

    def open_circuit(self, wrong: Callable[[str, Array], tuple[Array, Array]]) -> tuple[Array, ...]:
        """Charge and voltage between the limits of 4.2 and 2.5 V, with wrong half cells."""
        full = float(self.state["x_100"]), float(self.state["y_100"])
        charge = np.linspace(0.0, float(self.state["Q"]), 3000)
        sides = (
            ("Negative", full[0] - charge / self.capacities[0]),
            ("Positive", full[1] + charge / self.capacities[1]),
        )
        potentials = []
        for side, at in sides:
            lifted, shifted = wrong(side, at)
            potentials.append(self.potential(side, np.clip(at + shifted, 1e-3, 1 - 1e-3)) + lifted)
        return charge, potentials[1] - potentials[0]

    def discharge(self, model: str, rate: float) -> tuple[Array, Array]:
        """Charge and voltage of a slow discharge from full."""
        values = self.values.copy()
        for side, key in (("negative", "x_100"), ("positive", "y_100")):
            most = values[f"Maximum concentration in {side} electrode [mol.m-3]"]
            values[f"Initial concentration in {side} electrode [mol.m-3]"] = self.state[key] * most
        current = rate * values["Nominal cell capacity [A.h]"]
        values["Current function [A]"] = current
        simulation = pybamm.Simulation(
            getattr(pybamm.lithium_ion, model)(),
            parameter_values=values,
            solver=pybamm.IDAKLUSolver(rtol=1e-6, atol=1e-6, output_variables=["Voltage [V]"]),
        )
        end = 1.3 / rate * 3600
        solution = simulation.solve([0.0, end], t_interp=np.linspace(0.0, end, 6000))
        return current * solution.t / 3600, solution["Voltage [V]"].entries


def right(side: str, at: Array) -> tuple[Array, Array]:
    """Half cells as the analysis has them."""
    return np.zeros_like(at), np.zeros_like(at)


def wrong_curves(seed: int) -> Callable[[str, Array], tuple[Array, Array]]:
    """Half cells that are wrong: random waves whose spectrum is that of the stated error."""
    rng = np.random.default_rng(1000 + seed)
    waves = {}
    for side in ("Negative", "Positive"):
        for kind, size in (("potential", POTENTIAL), ("stoichiometry", STOICHIOMETRY)):
            # Matérn 3/2: its spectral density is Student's t of three degrees of freedom
            frequency = rng.standard_t(3, 400) / 0.1
            phase = rng.uniform(0, 2 * np.pi, 400)
            waves[side, kind] = (frequency, phase, size * np.sqrt(2 / 400))

    def wave(side: str, kind: str, at: Array) -> Array:
        frequency, phase, size = waves[side, kind]
        return size * np.cos(np.outer(at, frequency) + phase).sum(axis=1)

    return lambda side, at: (wave(side, "potential", at), wave(side, "stoichiometry", at))


def analysed(cell: Any, cells: list[AgedCell], curves: list[tuple[Array, ...]]) -> dict[str, Any]:
    """Errors of all modes, in % of capacity, and in standard errors."""
    begin = time.process_time()
    modes = cm.degradation_modes(cell, curves)
    seconds = time.process_time() - begin
    truth = np.array(AGED[: len(cells)], dtype=float)
    found = np.stack([modes.dataset[name].values for name in MODES], axis=1)
    std = np.stack([modes.dataset[f"{name}_std"].values for name in MODES], axis=1)
    off = (found - truth)[1:]
    charge = off * cells[0].fresh / float(cells[0].state["Q"])
    return {
        "error": np.maximum(np.abs(off), np.abs(charge)),
        "missed": np.abs(off) > CONFIDENCE * std[1:],
        "std": std[1:].mean(axis=0),
        "rmse": 1e3 * modes.electrodes["rmse"].values.max(),
        "seconds": seconds,
    }


def row(what: str, results: list[dict[str, Any]]) -> dict[str, Any]:
    errors = np.concatenate([result["error"] for result in results])
    worst = errors.max(axis=0)
    std = np.mean([result["std"] for result in results], axis=0)
    names = ("LLI", "LAM_NE", "LAM_PE")
    return {
        "aged cells": what,
        "sets": len(results),
        **{f"{name}, worst error %": float(w) for name, w in zip(names, worst, strict=True)},
        **{f"{name}, mean std %": float(s) for name, s in zip(names, std, strict=True)},
        "all, rms %": float(np.sqrt(np.mean(errors**2))),
        "95 % intervals missed": float(np.mean([result["missed"] for result in results])),
        "RMSE mV": float(np.max([result["rmse"] for result in results])),
        "CPU s a set": float(np.mean([result["seconds"] for result in results])),
    }


def noisy(curve: tuple[Array, ...], rng: np.random.Generator) -> tuple[Array, Array]:
    charge, voltage = curve
    return charge, voltage + NOISE * rng.standard_normal(voltage.size)


def synthetic(quick: bool) -> Iterator[dict[str, Any]]:
    """Rows of aged cells whose losses are known."""
    cell = cm.Cell("lithium_ion", parameters="nmc_graphite_siox", model="SPM")
    aged = AGED[:4] if quick else AGED
    cells = [AgedCell("Chen2020", losses) for losses in aged]
    seeds = range(2 if quick else 5)

    def over(curves: list[tuple[Array, ...]]) -> list[dict[str, Any]]:
        found = []
        for seed in seeds:
            rng = np.random.default_rng(seed)
            found.append(analysed(cell, cells, [noisy(curve, rng) for curve in curves]))
        return found

    yield row("open circuit", over([one.open_circuit(right) for one in cells]))
    slow = (("SPM", 1 / 20),) if quick else (("SPM", 1 / 20), ("DFN", 1 / 20), ("DFN", 1 / 30))
    for model, rate in slow:
        curves = [one.discharge(model, rate) for one in cells]
        yield row(f"{model}, C/{1 / rate:.0f}", over(curves))
    results = []
    for seed in range(4 if quick else SEEDS):
        rng, wrong = np.random.default_rng(seed), wrong_curves(seed)
        results.append(
            analysed(cell, cells, [noisy(one.open_circuit(wrong), rng) for one in cells])
        )
    yield row("open circuit, wrong half cells", results)


# --- measured cells ------------------------------------------------------------------------------


def measured(folder: Path, figures: Path | None) -> Iterator[dict[str, Any]]:
    """Rows of measured pseudo-open-circuit curves."""
    cell = cm.Cell("lithium_ion", parameters="nmc_graphite_siox", model="SPM")
    for name, charge, voltage, options in _curves(folder, cell):
        begin = time.process_time()
        balance = cm.balance_electrodes(cell, charge, voltage, **options)
        seconds = time.process_time() - begin
        if figures is not None:
            figures.mkdir(parents=True, exist_ok=True)
            balance.plot().savefig(figures / f"{name.replace(' ', '_').replace('/', '_')}.png")
        table = balance.table
        found: dict[str, Any] = {"measured cell": name, "OCV RMSE mV": 1e3 * balance.rmse}
        for quantity, short in (
            ("negative_capacity", "Q_n A.h"),
            ("positive_capacity", "Q_p A.h"),
            ("lithium_inventory", "Q_Li A.h"),
        ):
            value, error = table.loc[quantity, ["value", "standard error"]]
            found[short] = f"{value:.4g} ± {error:.2g}"
        found["half cells wrong by mV"] = 3.0 * balance.electrodes.attrs["curve_error_factor"]
        found["CPU s"] = seconds
        yield found


def _curves(folder: Path, cell: Any) -> Iterator[tuple[str, Array, Array, dict[str, Any]]]:
    for path in sorted(folder.glob("pyprobe_lgm50_rpt0/*.parquet")):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on the sign of the current, which is right
            found = cm.find_checkups(cm.read_record(path))
        curves = found.curves
        for k, name in enumerate(curves["name"].values):
            one = curves.isel(curve=k)
            known = {"C10": "discharge", "C10_charge": "charge", "pocv": "mean"}
            options = {"direction": known[str(name)]}
            yield f"LG M50T, {name}", one["charge"].values, one["voltage"].values, options
    for path in sorted(folder.glob("cobrapro_lgm50t_w8/capacity_test*.mat")):
        data = {k: v.ravel() for k, v in scipy.io.loadmat(path).items() if k.endswith("_data")}
        hours, current = data["t_data"].astype(float) / 3600, -data["I_data"]
        steps = np.diff(hours) * (current[1:] + current[:-1]) / 2
        charge = np.concatenate([[0.0], np.cumsum(steps)])
        yield "LG M50T W8, C/20", charge, data["V_data"], {}
    for path in sorted(folder.glob("pybop_tesla4680_pocv/*.txt.gz")):
        yield from _tesla(pd.read_csv(path, sep="\t", decimal=","), cell)


def _tesla(table: pd.DataFrame, cell: Any) -> Iterator[tuple[str, Array, Array, dict[str, Any]]]:
    """Both directions with the nearest set, and the discharge with the cell's own half cells.

    The file has both electrodes against a reference: they are branches of half cells, over
    stoichiometries that are chosen here (0.03 to 0.93 and 0.25 to 0.9).
    """
    up, down = table[table["I/mA"] > 0], table[table["I/mA"] < 0]
    columns = ["Capacity/mA.h", "Ewe-Ece/V", "Ewe/VReal", "Ece/VReal"]
    parts = [np.array(part[columns], dtype=float).T for part in (up, down)]
    for name, (charge, voltage, *_) in zip(("charge", "discharge"), parts, strict=True):
        yield f"Tesla 4680 T-cell, {name}", charge / 1e3, voltage, {}
    (charged, _, up_positive, up_negative), (out, _, down_positive, down_negative) = parts
    full = charged / charged[-1], 1.0 - out / charged[-1]  # share of the charge that is stored
    half_cells = cm.HalfCells.of(
        cell,
        negative={
            "lithiation": (0.03 + 0.90 * full[0], up_negative),
            "delithiation": (0.03 + 0.90 * full[1], down_negative),
        },
        positive={
            "delithiation": (0.90 - 0.65 * full[0], up_positive),
            "lithiation": (0.90 - 0.65 * full[1], down_positive),
        },
    )
    options = {"half_cells": half_cells}
    yield "Tesla 4680 T-cell, discharge, own half cells", out / 1e3, voltage, options


def main() -> None:
    options = parser(__doc__ or "")
    options.add_argument("--figures", type=Path, help="a folder for figures of the measured cells")
    given = options.parse_args()
    rows = list(synthetic(given.quick))
    folder = os.environ.get("CELLMODELS_DATA")
    real = list(measured(Path(folder), given.figures)) if folder else []
    targets = [
        Target(
            f"largest error of {name} from {each['aged cells']} curves, % of capacity",
            each[f"{name}, worst error %"],
            LIMIT,
        )
        for each in rows[:-1]
        for name in ("LLI", "LAM_NE", "LAM_PE")
    ]
    wrong = rows[-1]
    targets += [
        Target(
            "root mean square error, wrong half cells, % of capacity", wrong["all, rms %"], LIMIT
        ),
        Target(
            "share of 95 % intervals missed, wrong half cells",
            wrong["95 % intervals missed"],
            MISSES,
        ),
    ]
    names = ("LG M50T,", "LG M50T W8", "Tesla 4680")
    done = sum(any(each["measured cell"].startswith(n) for each in real) for n in names)
    if folder:
        targets.append(Target("measured data sets that do not run", len(names) - done, 0))
    report("modes", [*rows, *real], targets, given.quick)


if __name__ == "__main__":
    main()
