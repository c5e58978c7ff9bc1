"""Every file of the shared data is read as it must be, or refused for its reason."""

from __future__ import annotations

import importlib.util
import os
import tomllib
import warnings
from pathlib import Path

import numpy as np
import pytest

from cellmodels.errors import InputError
from cellmodels.record import read_record
from cellmodels.record.files.current_sign import sign_by_voltage

pytestmark = pytest.mark.data

VENDORS, LABORATORIES = (
    tomllib.loads(Path(__file__).with_name(f"{name}.toml").read_text("utf-8"))
    for name in ("vendor_formats", "laboratory_files")
)
MANIFEST = VENDORS | LABORATORIES
BINARY = (".nda", ".ndax", ".xlsx", ".res.gz", ".nda.zip", ".parquet")

#: Texts about the data, which nobody would give to a reader.
ABOUT = {
    "SOURCE.md", "README.md", "README_upstream.md", "datasets_README.md", "LICENSE",
    "LICENSE_PyBaMM.txt", "sources_upstream.txt",
}  # fmt: skip


@pytest.fixture(scope="session")
def data():
    """The folder of measured data that is not part of the repository."""
    folder = os.environ.get("CELLMODELS_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("CELLMODELS_DATA names no folder of measured data")
    missing = [one for one in ("vendor_formats", "bdf_examples") if not Path(folder, one).is_dir()]
    if missing:
        pytest.skip(f"CELLMODELS_DATA has no {' and no '.join(missing)}")
    return Path(folder)


def read(path=None, **options):
    """A record, and what was warned of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        record = read_record(path, **options)
    return record, " ".join(str(one.message) for one in caught)


def throughput(traces, sign):
    """Charge of one direction [A.h], by the trapezoidal rule."""
    current = np.clip(sign * traces["current"].values, 0, None)
    return float(np.trapezoid(current, traces["time"].values)) / 3600


def test_the_manifest_names_every_file(data):
    there = {path.relative_to(data).as_posix() for path in data.rglob("*") if path.is_file()}
    about = {name for name in there - set(VENDORS) if Path(name).name in ABOUT}
    assert there - about == set(MANIFEST)
    assert not VENDORS.keys() & LABORATORIES.keys()


@pytest.mark.parametrize("name", [name for name, entry in MANIFEST.items() if "refused" in entry])
def test_what_must_be_refused(data, name):
    needs_readers(name)
    with pytest.raises(InputError) as caught:
        read(data / name)
    assert MANIFEST[name]["words"] in str(caught.value)
    assert Path(name).name in str(caught.value)


@pytest.mark.parametrize("name", [name for name, entry in MANIFEST.items() if "rows" in entry])
def test_what_must_be_read(data, name):
    needs_readers(name)
    entry = MANIFEST[name]
    record, said = read(data / name, columns=entry.get("columns"), where=entry.get("where"))
    traces = record["traces"].to_dataset()
    assert traces.sizes["sample"] == entry["rows"]
    assert entry.get("warns", "") in said
    assert sign_by_voltage(traces["current"].values, traces["voltage"].values) >= 0
    found = throughput(traces, +1)
    for key, value in (("discharge", found), ("charge", throughput(traces, -1))):
        if key in entry:
            assert value == pytest.approx(entry[key], rel=2e-6, abs=1e-13)
    if "counter" in entry:
        assert found == pytest.approx(entry["counter"], rel=entry["counter_within"])
    if "span" in entry:
        assert float(np.ptp(traces["time"].values)) == pytest.approx(entry["span"])


@pytest.mark.parametrize("name", [name for name, entry in MANIFEST.items() if "repair" in entry])
def test_what_is_read_after_repairs(data, name):
    """A row that is put back into the order of time moves within the interval around it."""
    entry = MANIFEST[name]
    expected = entry.get("repaired", entry)
    record, _ = read(data / name, repair=entry["repair"])
    traces = record["traces"].to_dataset()
    assert traces.sizes["sample"] == expected["rows"]
    for key, sign in (("discharge", +1), ("charge", -1)):
        assert throughput(traces, sign) == pytest.approx(expected[key], rel=1e-5)
    if "span" in expected:
        assert float(np.ptp(traces["time"].values)) == pytest.approx(expected["span"])
    for kind in entry["repair"]:
        assert kind in record.attrs["repaired"]


@pytest.mark.parametrize(
    "name", [name for name, entry in MANIFEST.items() if "frequencies" in entry]
)
def test_impedance(data, name):
    entry = MANIFEST[name]
    options = {entry["as"]: data / name} if "as" in entry else {"path": data / name}
    found = read(**options)[0]["impedance"].to_dataset()
    assert found.sizes["frequency_point"] == entry["frequencies"]
    assert len(np.unique(found["spectrum"])) == entry["spectra"]
    names = ["frequency", "impedance_real", "impedance_imaginary"]
    for row, expected in ((0, entry["first"]), (-1, entry["last"])):
        assert [float(found[one][row]) for one in names] == expected


@pytest.mark.parametrize("name", [name for name, entry in MANIFEST.items() if "oracle" in entry])
def test_what_another_reader_made_of_it(data, name):
    """To the oracle's last digits: 1 ms, 0.1 mV, and 0.1 µA or single precision."""
    needs_readers(name)
    pandas = pytest.importorskip("pandas")
    oracle = MANIFEST[name]["oracle"]
    frame = pandas.read_parquet(data / f"vendor_formats/neware_fastnda/expected/{oracle}.parquet")
    traces = read(data / name)[0]["traces"].to_dataset()
    voltage, current = frame["Voltage(mV)"] / 1e3, frame["Current(uA)"] / 1e6
    np.testing.assert_allclose(traces["time"], frame["Total Time"], atol=1.01e-3)
    np.testing.assert_allclose(traces["voltage"], voltage, rtol=1e-6, atol=5.1e-5)
    np.testing.assert_allclose(traces["current"], -current, rtol=1e-6, atol=5.1e-8)
    np.testing.assert_array_equal(traces["step"], frame["Step Count"])
    if MANIFEST[name].get("oracle_cycles", True):
        np.testing.assert_array_equal(traces["cycle"], frame["Cycle Index"])


def test_the_same_test_in_two_formats(data):
    """The shared notes say how far the two are apart: dt 7 ms, dV 3e-7 V, dI 1e-8 A."""
    needs_readers(".nda")
    folder = data / "vendor_formats/neware_fastnda"
    raw = read(folder / "SINTEF__G20M7_BTS91.nda.zip")[0]["traces"].to_dataset()
    name = "SINTEF__G20M7-202512-Gru6mV__20251228__C30__25degC__Neware.bdf.csv.gz"
    plain = read(data / "bdf_examples" / name)[0]["traces"].to_dataset()
    np.testing.assert_allclose(raw["time"], plain["time"], atol=0.008)
    np.testing.assert_allclose(raw["voltage"], plain["voltage"], atol=4e-7)
    np.testing.assert_allclose(raw["current"], plain["current"], atol=2e-8)


@pytest.mark.parametrize("name", [name for name, entry in MANIFEST.items() if "sums" in entry])
def test_tables_of_cycles_and_checkups(data, name):
    entry = MANIFEST[name]
    record = read(data / name, columns=entry.get("columns"), where=entry.get("where"))[0]
    group = "cycles" if "cycles" in entry else "checkups"
    for variable, total in entry["sums"].items():
        assert record[group][variable].size == entry[group]
        assert float(record[group][variable].sum()) == pytest.approx(total, rel=1e-8)


def test_capacities_of_a_summary(data):
    """The charge of each slow cycle of the raw file is that of the summary beside it.

    Cycles 5 and 6 are pulses, of which the file has too few rows for the trapezoidal rule.
    """
    folder = data / "vendor_formats/batterydata_energy_gov"
    traces = read(folder / "p492-13-raw.csv")[0]["traces"].to_dataset()
    names = {"Q_dis": "discharge_capacity [A.h]", "Q_chg": "charge_capacity [A.h]"}
    others = dict.fromkeys(("Time_d", "q_dis", "q_chg", "E_chg", "E_dis", "CE", "EE"))
    others |= dict.fromkeys(("e_chg", "e_dis", "tsecs_start", "tsecs_end", "tsecs_cycle"))
    summary = read(folder / "p492-13-summary.csv", columns=names | others)[0]["cycles"].to_dataset()
    for cycle in (1, 2, 4, 8, 9):
        own = traces.isel(sample=np.flatnonzero(traces["cycle"].values == cycle))
        expected = summary["discharge_capacity"].values[summary["cycle"].values == cycle]
        assert throughput(own, +1) == pytest.approx(float(expected[0]), rel=0.005)


def test_charges_and_energies_of_a_zinc_iodine_cell(data):
    """To the last digit of the summary beside the trace, and of Arbin's own statistics.

    Arbin's energies are those that the shared notes quote; the summary's are by another rule.
    """
    folder = data / "pnnl_ezbattery_flow"
    traces = read(folder / "ZnI2_trace_tidy.csv")[0]["traces"].to_dataset()
    where = {"cell": "Zn-I2 1.5M ZnI2"}
    summary = read(folder / "per_cycle_summary_derived.csv", where=where)[0]["cycles"]
    for name, sign, arbin in (("discharge", 1, 3.758), ("charge", -1, 4.226)):
        own = traces.isel(sample=np.flatnonzero(sign * traces["current"].values > 0))
        capacity = float(summary[f"{name}_capacity"].values[0])
        assert throughput(own, sign) == pytest.approx(capacity, abs=5.1e-5)
        power = own.assign(current=own["current"] * own["voltage"])
        assert throughput(power, sign) == pytest.approx(arbin, abs=5.1e-4)


def test_magnitude_and_phase_beside_the_parts(data):
    """Columns that were not used: |Z| and its phase, as the instruments give them."""
    pandas = pytest.importorskip("pandas")
    folder = data / "vendor_formats"
    for name, options, magnitude, phase in (
        ("eis/exampleDataBioLogic.mpt", {"sep": "\t", "skiprows": 60}, "|Z|/Ohm", "Phase(Z)/deg"),
        ("eis/exampleDataGamry.DTA", {"sep": "\t", "skiprows": [*range(446), 447]}, "Zmod", "Zphz"),
        ("batterydata_energy_gov/p492-13-raw.csv", {}, "Z_Mag_Ohm", "Z_Phase_Degree"),
    ):
        path = folder / name
        table = pandas.read_csv(path, encoding="latin1", skip_blank_lines=False, **options)
        table = table[table[magnitude].notna()]
        found = read(path)[0]["impedance"].to_dataset()
        z = found["impedance_real"].values + 1j * found["impedance_imaginary"].values
        np.testing.assert_allclose(np.abs(z), table[magnitude], rtol=2e-4)
        np.testing.assert_allclose(np.angle(z, deg=True), table[phase], atol=2e-2)


def test_spectra_of_a_parquet_file(data):
    """Against pandas: the spectra in the file's own numbers, phase [rad] from the parts."""
    needs_readers(".parquet")
    path = data / "pybop_kuhn2026_mj1_eis/18650_LG_3500_MJ1_EIS_anode_discharge.parquet"
    if not path.is_file():
        pytest.skip(f"CELLMODELS_DATA has no {path.parent.name}")
    table = pytest.importorskip("pandas").read_parquet(path)
    found = read(path)[0]["impedance"].to_dataset()
    np.testing.assert_array_equal(found["spectrum"], table["indices"])
    np.testing.assert_array_equal(found["frequency"], table["frequencies [Hz]"])
    z = found["impedance_real"].values + 1j * found["impedance_imaginary"].values
    np.testing.assert_array_equal(z.real, table["real_impedances [Ω]"])
    np.testing.assert_allclose(np.angle(z), table["phases [rad]"], atol=1e-9)


def needs_readers(name):
    """Skip where the optional packages are not installed."""
    if name.endswith(BINARY):
        for package in ("bdf", "fastnda", "fastexcel", "access_parser", "pyarrow"):
            if importlib.util.find_spec(package) is None:
                pytest.skip(f"{package} is not installed (extra 'data')")
