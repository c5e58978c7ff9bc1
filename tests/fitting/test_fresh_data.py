"""Fits of fresh cells to measured pulses, GITT and impedance: what they can and cannot describe.

The sets are those of like cells, not of these ones; what is asserted is what physics demands and
what the fit must say of itself, not agreement to the noise.
"""

import os
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import cellmodels as cm
from cellmodels.fitting.adapt import resize

pytestmark = pytest.mark.data
RESISTANCE = "Contact resistance [Ohm]"
MESH = {"x_n": 6, "x_s": 4, "x_p": 6, "r_n": 12, "r_p": 12}


def measured(pattern):
    """The one file of a pattern."""
    folder = os.environ.get("CELLMODELS_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("CELLMODELS_DATA names no folder of measured data")
    files = sorted(Path(folder).glob(pattern))
    if not files:
        pytest.skip(f"CELLMODELS_DATA has no {pattern}")
    needed = {".parquet": "pyarrow", ".xlsx": "fastexcel"}.get(files[0].suffix)
    if needed is not None:
        pytest.importorskip(needed, reason="needs the extra data")
    return files[0]


def read(path, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of signs, counters and a row that is repaired
        return cm.read_record(path, **options)


def series(before, after):
    """Root mean squares of all voltages before and after."""
    return [
        float(node["voltage_residual"].attrs["rms"])
        for tree in (before, after)
        for node in tree.children.values()
    ]


def test_pulses_of_a_samsung_cell():
    """Fitted to a pulse of 3 A, judged at another of 6 A twelve minutes later."""
    columns = {"Time": "time [s]", "Current": "current [A]", "Voltage": "voltage [V]"}
    path = measured("pybop_samsung21700/multipulse_hppc.xlsx")
    record = read(path, columns=columns)
    noise = {"noise": 1e-3}
    first = cm.trace_experiment(record, 10.0, 49.9, name="3 A", **noise)
    later = cm.trace_experiment(record, 784.7, 830.0, name="6 A", **noise)
    assert first.rest_voltage == pytest.approx(4.186, abs=2e-3)
    cell = cm.Cell("lithium_ion", model="SPMe", mesh=MESH)
    free = [
        RESISTANCE,
        *(cm.scaled(f"{side} electrode exchange-current density [A.m-2]")
          for side in ("Negative", "Positive")),
    ]  # fmt: skip
    fit = cm.fit_fresh(cell, first, free, progress=False)
    assert fit.converged
    assert fit.values[RESISTANCE] < 0.021  # 62 mV at 3 A after 10 s are all that there is
    # one pulse cannot tell a resistance from slow reactions, and the fit says so
    assert not fit.table.loc[RESISTANCE, "identifiable"]
    before, after = (cm.simulate_experiments(each, [first, later]) for each in (cell, fit.cell))
    rms = series(before, after)
    assert rms[2] < 4e-3 and rms[2] < 0.1 * rms[0]
    assert rms[3] < 6e-3 and rms[3] < 0.15 * rms[1]


def test_a_charge_of_a_gitt_of_an_lfp_cell():
    """A123, a part of a fifth of the capacity and an hour of rest, on the plateau.

    A rest voltage says nothing of the state there, so that it is given. What is left is mostly one
    offset, 50 mV: the cell rests above the set's open-circuit potential after a charge (hysteresis,
    and another LFP). No transport parameter makes up for it, and the fit says that it misses
    something.
    """
    record = read(measured("a123_gitt_attia2020/2019-01-14-GITT_CH16*.csv.gz"), repair="clock")
    trace = cm.trace_experiment(
        record, 46212.3, 49992.0, name="GITT", soc=0.2, ambient=302.9, points=150, noise=2e-3
    )
    assert np.min(trace.current) == pytest.approx(-4.4, abs=0.05)
    cell = cm.Cell("lithium_ion", parameters="lfp_graphite", model="SPMe", mesh=MESH,
                   mechanisms=[cm.LumpedThermal()])  # fmt: skip
    cell = resize(cell, 1.1 / cell.nominal_capacity, "nominal capacity")
    free = [RESISTANCE, cm.scaled("Negative particle diffusivity [m2.s-1]")]
    fit = cm.fit_fresh(cell, trace, free, progress=False)
    assert fit.values[RESISTANCE] < 0.06  # 0.3 V at 4.4 A would be 68 mOhm
    node = fit.curves["GITT"]
    before = cm.simulate_experiments(cell, trace)["GITT"]
    found, first = (float(n["voltage_residual"].attrs["rms"]) for n in (node, before))
    assert found < 0.05 and found < first
    resting = node["voltage_residual"].values[node["voltage_at"].values > 1800.0]
    assert resting.mean() == pytest.approx(-0.05, abs=0.015) and np.ptp(resting) < 0.01
    assert any("misses something systematic" in note for note in fit.notes)


def spectrum_of(pattern, index, low, high):
    """Median impedance over frequencies of one of a file's spectra."""
    rows = pd.read_parquet(measured(pattern))
    rows.columns = ["index", "frequency", "real", "imaginary", "phase"]
    own = rows[(rows["index"] == index) & rows["frequency"].between(low, high)]
    places = np.geomspace(low, high, 25)
    own = own.groupby(np.digitize(own["frequency"], places)).median()
    return own["frequency"].to_numpy(), (own["real"] + 1j * own["imaginary"]).to_numpy()


@pytest.mark.parametrize(
    ("pattern", "index", "low", "high", "side", "area"),
    [
        # graphite of an LG MJ1; neither its sample's area nor its counter electrode are known
        ("pybop_kuhn2026_mj1_eis/*.parquet", 50, 0.01, 1e4, "negative", 2.5e-4),
        # GITT of a thin electrode, as impedance by its authors; its area is not known
        ("pybop_gunther2025_gitt/*.parquet", 10, 1e-3, 80.0, "positive", 1e-4),
    ],
)
def test_impedance_of_one_electrode(pattern, index, low, high, side, area):
    """Three factors describe the arc's size and place, not its shape: and the fit says so."""
    frequency, impedance = spectrum_of(pattern, index, low, high)
    cell = cm.Cell("lithium_ion", parameters="Chen2020", model="SPM", mesh=MESH,
                   mechanisms=[cm.DoubleLayer()])  # fmt: skip
    spectrum = cm.ImpedanceSpectrum(
        frequency, impedance, electrode=side, area=area, soc=0.5, noise=0.05 * np.abs(impedance)
    )
    title = side.capitalize()
    free = [
        cm.scaled(f"{title} electrode exchange-current density [A.m-2]"),
        f"{title} electrode double-layer capacity [F.m-2]",
        f"{title} particle diffusivity [m2.s-1]",
    ]
    wide = {free[1]: (1e-3, 1e3), free[0]: (1e-4, 1e4), free[2]: (1e-18, 1e-10)}
    fit = cm.fit_fresh(cell, spectrum, free, bounds=wide, progress=False)
    first = float(fit.trials["cost"][0])
    assert 2.0 * first > 2.0 * fit.statistics["chi_square"]
    (node,) = fit.curves.children.values()
    real = node["impedance_real_simulated"].values
    assert np.all(real > 0.0) and np.all(np.diff(real[np.argsort(frequency)]) < 0.0)
    rms = fit.variables["rms"].values
    assert np.all(np.isfinite(rms)) and rms.max() > 1.0
