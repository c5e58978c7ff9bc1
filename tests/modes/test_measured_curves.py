"""Electrode balance of measured cells; their files are named by CELLMODELS_DATA."""

import os
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import cellmodels as cm

pytestmark = pytest.mark.data


def measured(pattern):
    folder = os.environ.get("CELLMODELS_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("CELLMODELS_DATA names no folder of measured data")
    files = sorted(Path(folder).glob(pattern))
    if not files:
        pytest.skip(f"CELLMODELS_DATA has no {pattern}")
    return files[0]


def test_reference_test_of_an_lg_m50(cell):
    """Both capacities are near those of Chen et al. (2020), the errors say that curves differ."""
    pytest.importorskip("pyarrow", reason="needs the extra data")
    path = measured("pyprobe_lgm50_rpt0/*.parquet")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = cm.find_checkups(cm.read_record(path))
    modes = cm.degradation_modes(cell, found, "C10")
    electrodes = modes.electrodes.isel(checkup=0)
    assert float(electrodes["rmse"]) < 2e-3
    assert float(electrodes["capacity"]) == pytest.approx(4.85, abs=0.08)
    assert float(electrodes["negative_capacity"]) == pytest.approx(5.5, rel=0.15)
    assert float(electrodes["positive_capacity"]) == pytest.approx(8.0, rel=0.2)
    assert electrodes.attrs["curve_error_factor"] > 2.0


def test_slow_discharge_of_an_lg_m50t(cell):
    scipy_io = pytest.importorskip("scipy.io")
    data = scipy_io.loadmat(measured("cobrapro_lgm50t_w8/capacity_test*.mat"))
    time, current = data["t_data"].ravel() / 3600.0, -data["I_data"].ravel()
    charge = np.concatenate([[0.0], np.cumsum(np.diff(time) * (current[1:] + current[:-1]) / 2)])
    balance = cm.balance_electrodes(cell, charge, data["V_data"].ravel())
    assert balance.rmse < 3e-3
    assert float(balance.electrodes["capacity"]) == pytest.approx(4.92, abs=0.08)


def test_own_half_cells_of_a_three_electrode_cell(cell):
    """With branches over chosen stoichiometries 0.03 to 0.93 and 0.25 to 0.9 these come back."""
    table = pd.read_csv(measured("pybop_tesla4680_pocv/*.txt.gz"), sep="\t", decimal=",")
    columns = ["Capacity/mA.h", "Ewe-Ece/V", "Ewe/VReal", "Ece/VReal"]
    up, down = (table.loc[table["I/mA"] * s > 0, columns].to_numpy().T for s in (1, -1))
    held = up[0] / up[0][-1], 1.0 - down[0] / up[0][-1]
    half_cells = cm.HalfCells.of(
        cell,
        negative={
            "lithiation": (0.03 + 0.90 * held[0], up[3]),
            "delithiation": (0.03 + 0.90 * held[1], down[3]),
        },
        positive={
            "delithiation": (0.90 - 0.65 * held[0], up[2]),
            "lithiation": (0.90 - 0.65 * held[1], down[2]),
        },
    )
    balance = cm.balance_electrodes(cell, down[0] / 1e3, down[1], half_cells=half_cells)
    full = up[0][-1] / 1e3
    for name, truth in (("negative_capacity", full / 0.90), ("positive_capacity", full / 0.65)):
        value, error = balance.table.loc[name, ["value", "standard error"]]
        assert abs(value - truth) < 2 * error
        assert error < 0.02 * truth
    for name in ("voltage", "positive_potential", "negative_potential"):
        assert np.isfinite(balance.curves[name]).all()
    curves = balance.curves
    place = curves["charge"].values
    measured_positive = np.interp(place, down[0] / 1e3, down[2])
    assert np.abs(curves["positive_potential"].values - measured_positive)[12:].max() < 0.01
