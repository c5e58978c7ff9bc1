"""Run files: what they become, and what is said about wrong ones. Nothing is solved here."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellmodels import Cell, Protocol, fit_file
from cellmodels.errors import InputError, UnitError
from cellmodels.fit_file import read_fit_file, read_simulate_file
from cellmodels.fitting.loss import Loss

SEI = "SEI solvent diffusivity [m2.s-1]"

RUN = f"""
protocol = "protocol.toml"

[cell]
chemistry = "lithium_ion"
parameters = "nmc_graphite_siox"
model = "SPM"
mechanisms = ["SEI", {{ mechanism = "lithium plating", kind = "irreversible" }}]
mesh = {{ r_n = 8 }}
initial_soc = "100 %"
values = {{ "Ambient temperature [K]" = "45 degC" }}

[record]
path = "life.csv"
columns = {{ Q = "discharge_capacity [mA.h]" }}
where = {{ cell = "B" }}
synthetic = true

[fit]
free = ["{SEI}"]
noise = {{ discharge_capacity = "2 mA.h" }}
tolerance = "0.1 mA.h"
max_evaluations = 7

[simulate]
cycles = 12
method = "direct"

[output]
folder = "here"
name = "cell B"
"""
PROTOCOL = """
[protocol]
cycle = ["Discharge at 1C until 2.5 V", "Charge at C/2 until 4.2 V"]

[[checkup]]
every = 5
"""
LIFE = "cell,cycle,Q\n" + "".join(
    f"{cell},{n},{5000 - 3 * n - 100 * (cell == 'A')}\n" for cell in "AB" for n in range(1, 11)
)


@pytest.fixture
def files(tmp_path):
    """A run file, its protocol and its record."""
    (tmp_path / "run.toml").write_text(RUN)
    (tmp_path / "protocol.toml").write_text(PROTOCOL)
    (tmp_path / "life.csv").write_text(LIFE)
    return tmp_path


def changed(folder, old, new):
    """The run file with a piece of its text replaced."""
    text = (folder / "run.toml").read_text()
    assert text.count(old) == 1
    path = folder / "changed.toml"
    path.write_text(text.replace(old, new))
    return path


# --- what it becomes ---------------------------------------------------------------------------


def test_simpler_models_of_a_fit(files):
    path = changed(files, "max_evaluations = 7", 'simpler_models = ["SPMe"]')
    assert read_fit_file(path).settings["simpler_models"] == ["SPMe"]


@pytest.mark.parametrize(
    ("written", "loss"),
    [
        ('"Cauchy"', Loss("Cauchy")),
        ('{ name = "pseudo-Huber", threshold = 2 }', Loss("pseudo-Huber", 2.0)),
    ],
)
def test_loss_and_prior_of_a_fit(files, written, loss):
    free = f'free = {{ "{SEI}" = {{ prior = ["20 nm2.s-1", 0.5] }} }}\nloss = {written}'
    settings = read_fit_file(changed(files, f'free = ["{SEI}"]', free)).settings
    assert settings["loss"] == loss
    assert settings["prior"] == {SEI: (pytest.approx(2e-17), 0.5)}


def test_fit(files):
    job = read_fit_file(files / "run.toml")
    mechanisms = ["SEI", {"mechanism": "lithium plating", "kind": "irreversible"}]
    expected = Cell(
        "lithium_ion", "nmc_graphite_siox", "SPM", mechanisms, mesh={"r_n": 8}, initial_soc=1.0
    )
    assert job.cell == expected.with_parameters({"Ambient temperature [K]": 318.15}, "run.toml")
    assert job.protocol == Protocol.load(files / "protocol.toml")
    capacity = job.record["cycles"]["discharge_capacity"]
    np.testing.assert_allclose(capacity, 5 - 0.003 * np.arange(1, 11))
    assert job.record.attrs["synthetic"] == 1
    assert job.adapt is False
    settings = dict(job.settings)
    assert settings.pop("tolerance") == pytest.approx(1e-4)
    assert settings.pop("noise") == {"discharge_capacity": pytest.approx(2e-3)}
    nothing = {"start": {}, "bounds": {}, "observables": None, "coordinate": None}
    nothing |= {"simpler_models": None, "prior": {}, "loss": Loss()}
    assert settings == {"free": [SEI], "max_evaluations": 7, **nothing}
    assert job.output.path(".nc") == files / "here" / "cell B.nc"
    assert set(job.inputs) == {files / n for n in ("run.toml", "protocol.toml", "life.csv")}


def test_simulation(files):
    job = read_simulate_file(files / "run.toml")
    assert job.cell == read_fit_file(files / "run.toml").cell
    assert (job.cycles, job.method, job.tolerance) == (12, "direct", None)
    assert read_simulate_file(files / "run.toml", cycles=3).cycles == 3


def test_results_go_beside_the_file_by_default(files):
    path = changed(files, '[output]\nfolder = "here"\nname = "cell B"', "")
    assert read_fit_file(path).output.path(".nc") == files / "changed-results" / "fit.nc"
    assert read_simulate_file(path).output.path(".nc") == files / "changed-results" / "life.nc"
    assert read_fit_file(path, Path("else")).output.path(".nc") == Path("else/fit.nc")


def test_protocol_in_the_file(files):
    path = changed(files, 'protocol = "protocol.toml"', "")
    path.write_text(path.read_text() + PROTOCOL)
    assert read_fit_file(path).protocol == Protocol.load(files / "protocol.toml")


def test_starts_and_bounds(files):
    table = f"""[fit.free]
"{SEI}" = {{ start = "1e-17 cm2/s", bounds = [1e-23, "1e-15 cm2.s-1"] }}
"Dead lithium decay constant [s-1]" = "0.036 h-1"
"SEI resistivity [Ohm.m]" = {{}}
"""
    path = changed(files, f'free = ["{SEI}"]\n', "")
    path.write_text(path.read_text() + table)
    settings = read_fit_file(path).settings
    assert settings["free"] == [SEI, "Dead lithium decay constant [s-1]", "SEI resistivity [Ohm.m]"]
    assert settings["start"] == {
        SEI: pytest.approx(1e-21),
        "Dead lithium decay constant [s-1]": pytest.approx(1e-5),
    }
    assert settings["bounds"] == {SEI: (1e-23, pytest.approx(1e-19))}


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ('"throughput"', {"cycles": "throughput", "checkups": "throughput"}),
        ('{ checkups = "elapsed_time" }', {"checkups": "elapsed_time"}),
    ],
)
def test_coordinate(files, written, expected):
    # a record that knows them all
    rows = "".join(f"B,{n},{5000 - n},{5 * n},{n}\n" for n in range(1, 11))
    (files / "life.csv").write_text("cell,cycle,Q,throughput [A.h],elapsed_time [h]\n" + rows)
    path = changed(files, "max_evaluations = 7", f"coordinate = {written}")
    assert read_fit_file(path).settings["coordinate"] == expected


def test_observables_of_any_kind(files):
    names = ["coulombic_efficiency", "loss_of_lithium_inventory", "voltage_relax"]
    header = "cell,cycle,Q,coulombic_efficiency [%],loss_of_lithium_inventory [%]"
    rows = "".join(f"B,{n},4990,99.9,0.1,4.0,4.1\n" for n in (5, 10))
    curve = "voltage_relax at 1 min [V],voltage_relax at 10 min [V]"
    (files / "life.csv").write_text(f"{header},{curve}\n{rows}")
    test = """
[[checkup.test]]
name = "relax"
measure = "voltage"
steps = ["Discharge at 1C for 10 seconds", "Rest for 1 hour"]
times_at = ["1 min", 600, "1 hour"]
"""
    (files / "protocol.toml").write_text(PROTOCOL + test)
    noise = 'noise = { coulombic_efficiency = "0.1 %", loss_of_lithium_inventory = "0.5 %" }'
    path = changed(files, 'noise = { discharge_capacity = "2 mA.h" }', noise)
    path.write_text(path.read_text().replace("tolerance", f"observables = {names}\ntolerance"))
    job = read_fit_file(path)
    assert job.settings["observables"] == names
    assert job.settings["noise"] == {
        "coulombic_efficiency": pytest.approx(1e-3), "loss_of_lithium_inventory": 0.5
    }  # fmt: skip
    assert job.record["checkups"]["time_relax"].values.tolist() == [60.0, 600.0]
    path.write_text(path.read_text().replace("voltage_relax", "mean_temperature"))
    with pytest.raises(InputError, match="no variable 'mean_temperature'"):
        read_fit_file(path)


def test_a_column_can_be_left_out(files):
    rows = "".join(f"B,{n},4990,4.99,{n}\n" for n in range(1, 11))
    (files / "life.csv").write_text("cell,cycle,Q,charge_capacity [A.h],qc [A.h]\n" + rows)
    with pytest.raises(InputError, match="both are 'charge_capacity'"):
        read_fit_file(files / "run.toml")
    path = changed(files, "columns = { Q", 'columns = { "qc [A.h]" = false, Q')
    assert read_fit_file(path).record["cycles"]["charge_capacity"][9] == pytest.approx(4.99)


def test_files_beside_it(files):
    """Parameter sets of one's own are found relative to the run file, wherever one is."""
    (files / "mine.toml").write_text(
        'format = 1\nname = "mine"\ntitle = "mine"\nchemistry = "lithium_ion"\n'
        'base = "nmc_graphite_siox"\n'
    )
    job = read_fit_file(changed(files, '"nmc_graphite_siox"', '"mine.toml"'))
    assert job.cell.parameters.name == "mine"
    assert files / "mine.toml" in job.inputs


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_are_kept_to_the_last_bit(value):
    assert fit_file._amount(value).to("A.h", "x") == value
    assert fit_file._amount(f"{value!r} A.h").to("A.h", "x") == value
    assert fit_file._amount(f" {value!r}mA.h ").to("A.h", "x") == pytest.approx(value / 1e3)


# --- what is said about wrong ones -------------------------------------------------------------

SECTIONS = {
    "misspelt": ("[simulate]", "[simulat]", "unknown key 'simulat'. Did you mean 'simulate'"),
    "not TOML": ("[fit]", "[fit", "not a TOML file"),
    "protocol": ('"protocol.toml"', '"protocl.toml"', "There is no file .* mean 'protocol.toml'"),
    "protocol's type": ('"protocol.toml"', "3", "protocol: a text or a table, not 3"),
    "check-ups twice": ("[output]", "[[checkup]]\nevery = 1\n[output]", "in the file 'protocol.to"),
    "no cycles": ("cycles = 12", "cycles = 0", "simulate -> cycles"),
    "method": ('"direct"', '"drect"', "simulate -> method: 'drect' is not valid"),
    "name with a folder": ('"cell B"', '"../cell B"', "output -> name"),
}
CELL = {
    "key": ("initial_soc", "intial_soc", "cell: unknown key 'intial_soc'. .* 'initial_soc'"),
    "parameter set": ('"nmc_graphite_siox"', '"nmc_graphite_six"', "cell: .* 'nmc_graphite_siox'"),
    "mechanism": ('["SEI",', '["SIE",', "cell: .*'SEI'"),
    "mechanism's type": ('["SEI",', "[3,", "mechanisms -> 0: a text or a table, not 3"),
    "state of charge": ('"100 %"', '"130 %"', "cell: initial_soc: 1.3 is not"),
    "value": ("Ambient temp", "Ambent temp", "cell: .*Did you mean 'Ambient temperature"),
    "its unit": ("45 degC", "45 V", "cell: Ambient temperature .* the unit 'V'"),
}
RECORD = {
    "file": ('"life.csv"', '"lief.csv"', "record: .*lief.csv"),
    "column": ("Q = ", "q = ", "record: columns: there is no column 'q'"),
    "its unit": ("[mA.h]", "[mV]", "record: .*'mV'"),
    "its type": (
        '"discharge_capacity [mA.h]"',
        "true",
        "columns -> Q: a name and a unit, or false",
    ),
}
FIT = {
    "key": ("max_evaluations", "max_evaluation", "fit: unknown key .* 'max_evaluations'"),
    "type": ("max_evaluations = 7", "max_evaluations = 7.5", "fit -> max_evaluations"),
    "no model": ("max_evaluations = 7", 'simpler_models = ["SPMee"]', "fit: .*no model 'SPMee'"),
    "own model": ("max_evaluations = 7", 'simpler_models = ["SPM"]', "fit: simpler_models: 'SPM'"),
    "no number": ('"0.1 mA.h"', '"a little"', "fit -> tolerance: a number"),
    "no unit": ('"0.1 mA.h"', '"0.1"', "fit -> tolerance: a number"),
    "not finite": ('"0.1 mA.h"', "nan", "fit: tolerance: nan A.h is not a positive charge"),
    "negative": ('"0.1 mA.h"', "-1", "fit: tolerance: -1 A.h is not a positive charge"),
    "wrong unit": ('"0.1 mA.h"', '"0.1 mV"', "fit: tolerance: the unit 'mV'"),
    "unit of noise": ('"2 mA.h"', '"2 mV"', "fit: discharge_capacity: the unit 'mV'"),
    "noise of nothing": ("{ discharge_cap", "{ discharg_cap", "mean 'discharge_capacity'"),
    "observable": ("[fit]", '[fit]\nobservables = ["discharg_capacity"]', "'discharge_capacity'"),
    "coordinate": ("[fit]", '[fit]\ncoordinate = "time"', "coordinate -> cycles: 'time' is not"),
    "parameter": (f'["{SEI}"]', '["SEI solvent difusivity [m2.s-1]"]', "mean 'SEI solvent diff"),
    "twice": (f'["{SEI}"]', f'["{SEI}", "{SEI}"]', "fit -> free: .* is named twice"),
    "no name": (f'["{SEI}"]', "[1]", "fit -> free: the names of parameters, not 1"),
    "nothing": (f'["{SEI}"]', "[]", "fit -> free"),
    "one bound": (f'["{SEI}"]', f'{{ "{SEI}" = {{ bounds = [1] }} }}', "free -> SEI .* -> bounds"),
    "prior": (f'["{SEI}"]', f'{{ "{SEI}" = {{ prior = [1e-21, 0] }} }}', "fit: .* positive error"),
    "start": (f'["{SEI}"]', f'{{ "{SEI}" = 1e-15 }}', "fit: The start of .* outside its bounds"),
    "start's unit": (f'["{SEI}"]', f'{{ "{SEI}" = "1 m" }}', "fit: SEI .*: the unit 'm' "),
    "option": (f'["{SEI}"]', f'{{ "{SEI}" = {{ strat = 1 }} }}', "unknown key 'strat'. .* 'start'"),
}
WRONG = [*SECTIONS.items(), *CELL.items(), *RECORD.items(), *FIT.items()]


@pytest.mark.parametrize("case", [case for _, case in WRONG], ids=[name for name, _ in WRONG])
def test_what_is_wrong_is_said_with_its_place(files, case):
    old, new, message = case
    with pytest.raises(InputError, match=message) as error:
        read_fit_file(changed(files, old, new))
    assert str(error.value).startswith(f"{files / 'changed.toml'}: ")


def test_a_wrong_unit_stays_a_unit_error(files):
    with pytest.raises(UnitError):
        read_fit_file(changed(files, '"0.1 mA.h"', '"0.1 mV"'))


@pytest.mark.parametrize("section", ["fit", "record"])
def test_a_fit_needs_its_sections(files, section):
    start = RUN.index(f"[{section}]")
    path = files / "run.toml"
    path.write_text(RUN[:start] + RUN[RUN.index("\n[", start) + 1 :])
    with pytest.raises(InputError, match=rf"a fit needs a section \[{section}\]"):
        read_fit_file(path)


def test_a_simulation_needs_a_number_of_cycles(files):
    path = changed(files, '[simulate]\ncycles = 12\nmethod = "direct"\n', "")
    with pytest.raises(InputError, match="how many cycles"):
        read_simulate_file(path)
    assert read_simulate_file(path, cycles=4).cycles == 4


def test_a_wrong_protocol_in_the_file_names_the_file(files):
    path = changed(files, 'protocol = "protocol.toml"', "")
    path.write_text(path.read_text() + PROTOCOL.replace("every", "evry"))
    with pytest.raises(InputError, match=r"(?s)unknown key 'evry'. Did you mean 'every'") as error:
        read_fit_file(path)
    assert str(error.value).startswith(f"{path}: ")
