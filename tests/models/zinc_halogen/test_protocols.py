"""Protocols as zinc-halogen cells are really run: float, standby, strips."""

import numpy as np
import pytest

import cellmodels as cm

CHARGE = "Charge at 10 mA/cm2 until 10 mAh/cm2"
DISCHARGE = "Discharge at 10 mA/cm2 until 0.8 V"


@pytest.fixture(scope="module")
def cell():
    return cm.Cell("zinc_bromine", mechanisms=["hydrogen evolution", "precipitation"])


def checked(cell, *tests, cycle=(CHARGE, DISCHARGE)):
    """The check-ups of the fresh cell."""
    protocol = cm.Protocol(list(cycle), every={1: cm.Checkup(tests)})
    life = cm.simulate(cell, protocol, cycles=1)
    assert life.attrs["outcome"] == "completed"
    return {name: float(v[0]) for name, v in life["checkups"].data_vars.items() if v.ndim == 1}


def test_a_float_takes_what_the_cell_loses(cell):
    """After a day at a held voltage nothing changes but what the loss takes."""
    tests = [
        cm.Test(f"f{hours}", [CHARGE, f"Hold at 1.75 V for {hours} hours"], "discharged")
        for hours in (72, 73)
    ]
    loss = cm.Test("loss", [CHARGE, "Hold at 1.75 V for 73 hours"], "self_discharge")
    found = checked(cell, *tests, loss)
    taken = found["discharged_f72"] - found["discharged_f73"]
    lost = found["self_discharge_loss"] * cell.electrode_area
    assert taken == pytest.approx(lost, rel=0.02)
    assert lost > 0.01


def test_a_standby_is_topped_up(cell):
    """Rests and short charges: the cell gives at the end nearly what it held at first."""
    top_up = ["Rest for 1 hour", "Charge at 10 mA/cm2 for 3 minutes"]
    rest = cm.Test("rest", [CHARGE, "Rest for 4 hours", DISCHARGE])
    standby = cm.Test("standby", [CHARGE, *top_up * 4, DISCHARGE])
    fresh = cm.Test("fresh", [CHARGE, DISCHARGE])
    found = checked(cell, rest, standby, fresh)
    gone = found["capacity_fresh"] - found["capacity_rest"]
    assert gone > 0.05
    assert abs(found["capacity_standby"] - found["capacity_fresh"]) < 0.5 * gone


def test_a_strip_finds_what_a_fast_discharge_leaves(cell):
    """The faster the discharge, the more zinc is left for the strip; none is left after it."""
    strip = "Discharge at 1 mA/cm2 until 0.05 V"
    amounts = []
    for density in (5, 20):
        steps = [CHARGE, f"Discharge at {density} mA/cm2 until 0.8 V"]
        found = checked(
            cell,
            cm.Test("before", steps, "metal_amount"),
            cm.Test("after", [*steps, strip], "metal_amount"),
            cm.Test("strip", [*steps, strip]),
        )
        amounts.append(found["metal_amount_before"])
        assert found["metal_amount_after"] < 0.3 * found["metal_amount_before"]
        assert found["capacity_strip"] > 0.0
    assert np.diff(amounts)[0] > 0.0
