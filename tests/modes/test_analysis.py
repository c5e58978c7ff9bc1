import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

import cellmodels as cm
from cellmodels.errors import InputError
from cellmodels.modes.derived import MODES

LOSSES = [(0, 0, 0), (6, 4, 0), (10, 2, 8)]  # lithium, negative, positive [%]


@pytest.fixture(scope="module")
def modes(cell, aged):
    return cm.degradation_modes(cell, [aged(*losses) for losses in LOSSES], cycles=[0, 100, 200])


def found_in(modes):
    return np.stack([modes.dataset[name].values for name in MODES], axis=1)


def errors_of(modes):
    return np.stack([modes.dataset[f"{name}_std"].values for name in MODES], axis=1)


def test_known_losses_are_found_within_half_a_per_cent(modes):
    np.testing.assert_allclose(found_in(modes), LOSSES, atol=0.5)
    assert np.all(np.abs(found_in(modes) - LOSSES)[1:] < 3.5 * errors_of(modes)[1:])
    assert np.all(errors_of(modes)[1:] < 0.5)


def test_capacity_falls_as_measured(modes, aged):
    charges = [aged(*losses, overvoltage=0.0)[0][-1] for losses in LOSSES]
    found = modes.dataset["capacity"].values
    np.testing.assert_allclose(found - found[0], np.array(charges) - charges[0], atol=0.03)


def test_the_fresh_cell_has_no_loss_and_no_error(modes):
    assert np.all(found_in(modes)[0] == 0) and np.all(errors_of(modes)[0] < 1e-9)


def test_covariance_is_that_of_the_errors(modes):
    covariance = modes.covariance.transpose("checkup", "mode", "other_checkup", "other_mode").values
    np.testing.assert_allclose(np.sqrt(np.einsum("kiki->ki", covariance)), errors_of(modes))
    flat = covariance[1:, :, 1:].reshape(6, 6)
    np.testing.assert_allclose(flat, flat.T, atol=1e-12)
    assert np.linalg.eigvalsh(flat).min() > 0
    # both aged check-ups refer to the same fresh one
    assert covariance[1, 2, 2, 2] > 0


def test_table_and_text_name_cycles(modes):
    assert modes.table["cycle"].tolist() == [0, 100, 200]
    assert modes.table["LAM_PE [%]"].iloc[2] == pytest.approx(8, abs=0.5)
    assert "cycle 200" in repr(modes) and "LLI" in repr(modes)


def test_figures_are_drawn(modes):
    for figure in (modes.plot(), modes.plot_curves(), modes.plot_curves(1)):
        assert isinstance(figure, Figure)
    with pytest.raises(InputError, match="no check-up 3"):
        modes.plot_curves(3)


def test_another_reference_gives_losses_relative_to_it(cell, aged):
    curves = [aged(*LOSSES[1]), aged()]
    modes = cm.degradation_modes(cell, curves, reference=1)
    np.testing.assert_allclose(found_in(modes)[0], LOSSES[1], atol=0.5)


def record_of(aged, points=60):
    """A record with coarse curves, as a table of check-ups has them."""
    curves = [aged(*losses) for losses in LOSSES]
    charge = np.linspace(0.02, curves[0][0][-1], points)
    voltages = [np.interp(charge, q, v, right=np.nan) for q, v in curves]
    data = {
        "voltage_C20": (("checkup", "charge_C20"), np.array(voltages), {"units": "V"}),
        "capacity_C20": ("checkup", [q[-1] for q, _ in curves], {"units": "A.h"}),
        "end_voltage_C20": ("checkup", [v[-1] for _, v in curves], {"units": "V"}),
    }
    coords = {"cycle": ("checkup", [0, 100, 200]), "charge_C20": charge}
    tree = xr.DataTree.from_dict({"checkups": xr.Dataset(data, coords)})
    tree.attrs = {"schema": "cellmodels-record/1", "title": "a cell"}
    return tree


def test_modes_of_a_record_go_back_into_it_and_through_a_file(cell, aged, tmp_path):
    record = record_of(aged)
    modes = cm.degradation_modes(cell, record)
    # white noise of one millivolt on only sixty points
    np.testing.assert_allclose(found_in(modes), LOSSES, atol=1.5)
    assert np.all(np.abs(found_in(modes) - LOSSES)[1:] < 3.5 * errors_of(modes)[1:])
    changed = modes.add_to(record)
    cm.write_record(changed, tmp_path / "record.nc")
    read = cm.read_record(tmp_path / "record.nc")
    name = "loss_of_lithium_inventory"
    values = read["checkups"][name].values
    assert np.isnan(values[0])  # the fresh check-up measures no loss
    np.testing.assert_allclose(values[1:], modes.dataset[name].values[1:])
    std = read["checkups"][f"{name}_std"].values
    np.testing.assert_allclose(std[1:], modes.dataset[f"{name}_std"].values[1:])
    assert name not in record["checkups"]


def test_a_check_up_without_a_curve_is_left_out(cell, aged):
    record = record_of(aged)
    record["checkups"]["voltage_C20"][1] = np.nan
    modes = cm.degradation_modes(cell, record)
    assert modes.dataset["number"].values.tolist() == [0, 2]
    values = modes.add_to(record)["checkups"]["loss_of_active_material_negative"].values
    assert np.isnan(values[:2]).all() and np.isfinite(values[2])


def test_modes_of_another_record_are_not_taken(cell, aged, modes):
    record = record_of(aged)
    record["checkups"] = record["checkups"].to_dataset().assign_coords(cycle=("checkup", [0, 1, 2]))
    with pytest.raises(InputError, match="not those that the modes belong to"):
        modes.add_to(record)


def test_modes_make_check_ups_where_there_are_none(modes):
    record = modes.add_to(xr.DataTree.from_dict({"/": xr.Dataset()}))
    assert record["checkups"]["cycle"].values.tolist() == [0, 100, 200]


def test_curves_are_found_in_traces(cell, aged):
    q, v = aged(overvoltage=0.0)
    up = v[::-1] + 0.01
    hours = q / 0.25
    rest = np.arange(1, 61) / 60
    parts = [
        (hours, np.full(q.size, 0.25), v - 0.01),
        (hours[-1] + rest, np.zeros(60), np.full(60, v[-1])),
        (hours[-1] + 1 + 1e-3 + hours, np.full(q.size, -0.25), up),
        (2 * hours[-1] + 1.01 + rest, np.zeros(60), np.full(60, up[-1])),
    ]
    time, current, voltage = (np.concatenate(each) for each in zip(*parts, strict=True))
    record = cm.build_record(
        traces={"time": 3600 * time, "current": current, "voltage": voltage}, flag=False
    )
    found = cm.find_checkups(record, nominal_capacity=5.0)
    names = [str(name) for name in found.tests["name"].values]
    slow = next(n for n in names if n.startswith("C") and not n.endswith("charge"))
    for source in (found, record):
        modes = cm.degradation_modes(cell, source, slow)
        assert float(modes.electrodes["negative_capacity"][0]) == pytest.approx(5.8, rel=0.02)
    mean = cm.degradation_modes(cell, found, "pocv")
    assert float(mean.electrodes["negative_capacity"][0]) == pytest.approx(5.8, rel=0.02)
    with pytest.raises(InputError, match=f"There are {slow}"):
        cm.degradation_modes(cell, found, "C99")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"ocv": "C25"}, "Did you mean 'voltage_C20'"),
        ({"reference": 3}, "curves 0 to 2"),
        ({"cycles": [0, 1]}, "2 numbers are given for 3 curves"),
    ],
)
def test_bad_requests_are_refused(cell, aged, arguments, words):
    with pytest.raises(InputError, match=words):
        cm.degradation_modes(cell, record_of(aged), **arguments)


def test_no_curves_are_refused(cell, aged):
    with pytest.raises(InputError, match="no curves"):
        cm.degradation_modes(cell, [])
    with pytest.raises(InputError, match="charge .* and voltage"):
        cm.degradation_modes(cell, [(1, 2, 3)])
    with pytest.raises(InputError, match="not from a Dataset"):
        cm.degradation_modes(cell, xr.Dataset())
    record = record_of(aged, points=5)
    with pytest.raises(InputError, match="no check-up with 8 points"):
        cm.degradation_modes(cell, record)


def test_flat_lithium_iron_phosphate_tells_little_of_its_electrode():
    """Curves on the plateau: capacity of the positive electrode hardly matters."""
    from cellmodels.modes.electrodes import Electrodes, usable_charge

    cell = cm.Cell("lithium_ion", parameters="lfp_graphite", model="SPM")
    half_cells = cm.HalfCells.of(cell)
    curves = []
    for left in (1.0, 0.95):
        electrodes = Electrodes(np.array([2.9 * left, 3.3]), np.array([0.80, 0.06]))
        charge = np.linspace(0, usable_charge(electrodes, half_cells, 2.5), 1000)
        noise = 1e-3 * np.random.default_rng(0).standard_normal(charge.size)
        curves.append((charge, electrodes.voltage(charge, half_cells) + noise))
    modes = cm.degradation_modes(cell, curves)
    _, negative, positive = errors_of(modes)[1]
    assert negative < 0.5
    assert positive > 5.0 and positive > 10 * negative


def wrong_half_cells(seed):
    """Errors of the stated size: sums of random waves with the spectrum of a Matérn process."""
    rng = np.random.default_rng(seed)
    waves = {
        (side, k): (rng.standard_t(3, 200) / 0.1, rng.uniform(0, 2 * np.pi, 200))
        for side in ("negative", "positive")
        for k in (0, 1)
    }

    def wrong(side, at):
        sizes = (3e-3, 2e-3)
        return tuple(
            size
            * 0.1
            * np.cos(np.multiply.outer(at, waves[side, k][0]) + waves[side, k][1]).sum(-1)
            for k, size in enumerate(sizes)
        )

    return wrong


@pytest.mark.slow
def test_errors_cover_where_half_cells_are_wrong(cell, aged):
    """Twelve cells whose half cells are wrong as stated: of 95 % intervals some are missed."""
    scores = []
    for seed in range(12):
        wrong = wrong_half_cells(seed)
        curves = [aged(*losses, wrong=wrong, seed=seed) for losses in LOSSES]
        modes = cm.degradation_modes(cell, curves)
        scores.append((found_in(modes) - LOSSES)[1:] / errors_of(modes)[1:])
    scores = np.array(scores)
    assert np.mean(np.abs(scores) > 1.96) < 0.15
    assert 0.3 < np.sqrt(np.mean(scores**2)) < 1.5
