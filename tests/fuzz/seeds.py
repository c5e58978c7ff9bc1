"""Small files of every kind, from which a search begins.

``python -m tests.fuzz.seeds <folder>`` writes them, one folder a harness. They are made here, from
this project's own files and formats; none is a measurement.
"""

from __future__ import annotations

import gzip
import io
import json
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np

from cellmodels.checkups import find_checkups
from cellmodels.parameter_set import ParameterSet
from cellmodels.paths import data_folder
from cellmodels.record import build_record, write_record
from cellmodels.record.files.text_formats import FORMATS, Format
from tests.fuzz.harnesses import FIT, ageing

FORMULAS = (
    "3.3e-14 * exp(30300/R * (1/298.15 - 1/T))",
    'F * "Lithium plating kinetic rate constant [m.s-1]" * sto ** 0.5 + max(sto, T, 2)',
    '"p"(sto)*-2+arcsinh(sto)/abs(T)',
)
WORDS = (
    "Discharge at 1C for 2 hours or until 2.5 V",
    "Charge at 20 mA/cm2 until 70 % bromide utilisation or after 3 d (1 minute period)",
    "Hold at 4.2 V until C/50",
    "Rest for 10 minutes",
    "m2.s-1 (km2/h)",
    "mA/cm2",
)
SET = """\
format = 1
name = "small"
title = "t"
chemistry = "lithium_ion"
base = "OKane2022"
[citations]
a = "b"
[parameters."SEI solvent diffusivity [m2.s-1]"]
value = 1e-20
unit = "cm2.s-1"
source = "a, table 1"
status = "fitted"
range = [1e-22, 1e-18]
[parameters."Positive electrode OCP [V]"]
table = "table.csv"
arguments = ["sto"]
interpolation = "linear"
unit = "V"
source = "a"
status = "measured"
[parameters."Own [A.m-2]"]
formula = '2 * sto * "SEI solvent diffusivity [m2.s-1]"'
arguments = ["sto"]
unit = "A.m-2"
source = "a"
status = "estimate"
new = true
"""
PROTOCOL = """\
[protocol]
name = "1C"
cycle = ["Discharge at 1C until 2.5 V", "Charge at C/2 until 4.2 V"]
[[checkup]]
every = 100
[[checkup]]
every = 50
disturbs = true
[[checkup.test]]
name = "C20"
steps = ["Charge at C/2 until 4.2 V", "Discharge at C/20 until 2.5 V"]
measure = "capacity"
voltages_at = ["10 %", "20 %"]
[[pause]]
after_cycle = 200
step = "Rest for 30 days"
"""
RUN = """\
[cell]
chemistry = "lithium_ion"
parameters = "nmc_graphite_siox"
model = "SPM"
mechanisms = ["SEI", { mechanism = "lithium plating", kind = "irreversible" }]
initial_soc = "100 %"
values = { "Ambient temperature [K]" = "45 degC" }
[protocol]
cycle = ["Discharge at 1C until 2.5 V", "Charge at C/2 until 4.2 V"]
[record]
path = "cycles.csv"
columns = { "Q" = "discharge_capacity [A.h]", "Q2" = false }
[fit]
free = ["SEI solvent diffusivity [m2.s-1]"]
noise = { discharge_capacity = "2 mA.h" }
tolerance = "0.1 mA.h"
[simulate]
cycles = 10
[output]
folder = "results"
name = "cell"
"""
CYCLES = "cycle,discharge_capacity [A.h],resistance_10s [mohm],voltage_C20 @ 0.5 A.h [V]\n" + (
    "1,4.9,20,3.7\n2,4.8,,\n3,4.7,21,3.6\n"
)
BDF = (
    "Test Time / s,Voltage / V,Current / A,Cycle Count / 1,Unix Time / s\n"
    "0,4.0,0,1,1600000000\n10,3.9,-1.5,1,1600000010\n20,4.1,0.5,2,1600000020\n"
)
IMPEDANCE = (
    "EC-Lab ASCII FILE\nNb header lines : 4\nRun on channel : 7\n"
    "freq/Hz\tRe(Z)/Ohm\t-Im(Z)/Ohm\tEwe/V\t<I>/mA\tcycle number\n"
    "1000\t0.01\t-0.002\t3.9\t0\t1\n10\t0.02\t0.001\t3.9\t0\t1\n1\t0.03\t0.004\t3.9\t0\t1\n",
    "EXPLAIN\nTAG\tGALVEIS\nTITLE\tLABEL\tx\nZCURVE\tTABLE\n"
    "\tPt\tTime\tFreq\tZreal\tZimag\n\t#\ts\tHz\tohm\tohm\n"
    "\t0\t1\t1000\t0.01\t0.002\n\t1\t2\t10\t0.02\t-0.001\n\t2\t3\t1\t0.03\t-0.004\n",
    "Name=VersaStudio\nDefinition=Segment #, Frequency(Hz), Zre(ohms), Zim(ohms)\n"
    "0,1000,0.01,0.002\n0,10,0.02,-0.001\n0,1,0.03,-0.004\n",
    "frequency [Hz],impedance_real [ohm],impedance_imaginary [ohm]\n1000,0.01,0.002\n"
    "10,0.02,-0.001\n",
    "1000,0.01,0.002\n10,0.02,-0.001\n1,0.03,-0.004\n",
)


def seeds() -> dict[str, list[bytes]]:
    """Return the seeds of each harness."""
    texts = [CYCLES, BDF, *(_text(one) for one in FORMATS), _text(FORMATS[0]).replace(",", "\t")]
    loaders = (SET, _small_chemistry(), PROTOCOL, RUN, RUN, _corrections())
    binaries = [_parquet(), _workbook(), _netcdf(), _ndax(), b"NEWARE" + bytes(range(250)) * 2]
    binaries += [b"\x00\x01\x00\x00Standard Jet DB\x00" + bytes(4096)]
    return {
        "expression": [one.encode() for one in FORMULAS],
        "words": [one.encode() for one in WORDS],
        "toml": [bytes([k]) + one.encode() for k, one in enumerate(loaders)],
        "table": [b"sto [-],U [V]\n0,4.2\n0.5,3.8\n1,3.0\n", b"# c\nsto [-],U [mV]\n0,1\n1,2\n"],
        "bpx": [_bpx()],
        "checkpoint": [_checkpoint()],
        "text": [one.encode("utf-8") for one in (*texts, *IMPEDANCE)],
        "impedance": [one.encode("utf-8") for one in IMPEDANCE],
        "packed": [bytes([k]) + BDF.encode() for k in range(5)] + [b"\0" + gzip.compress(b"a,b\n")],
        "binary": binaries,
        "fit": [bytes([k]) + one.encode() for k, one in enumerate(_fit())],
    }


def _text(known: Format) -> str:
    """A file of a cycler's format, with three rows."""
    headers = [*dict.fromkeys([*(group[0] for group in known.tells), *known.columns])]
    used: set[str] = set()
    rows: list[list[str]] = [[], [], []]
    names = []
    for name in headers:
        role, _, unit = known.columns.get(name, "").partition(" ")
        if role and role in used:
            continue
        used.add(role)
        names.append(f"{name}({unit.strip('[]')})" if unit else name)
        for k, row in enumerate(rows):
            row.append(_VALUES.get(role, ("1", "2", "3"))[k])
    blank = known.blank
    lines = [["Procedure: ageing"], [""] * blank + names, *([""] * blank + row for row in rows)]
    return "\n".join(",".join(line) for line in lines) + "\n"


_VALUES = {
    "time": ("0", "00:00:10", "1d 00:00:20.5"),
    "voltage": ("3.9", "3.8", "4.1"),
    "current": ("0", "-1.5", "0.5"),
    "wall": ("2024-01-01 10:00:00", "2024-01-01 10:00:10", "2024-01-01 10:00:20"),
    "state": ("R", "CC DChg", "CC Chg"),
    "temperature": ("25", "25.5", "26"),
    "frequency": ("0", "", "0"),
}


def _small_chemistry() -> str:
    return (data_folder("chemistries") / "zinc_bromine.toml").read_text(encoding="utf-8")


def _corrections() -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "checkups.toml")
        find_checkups(ageing()).write_corrections(path)
        return path.read_text(encoding="utf-8")


def _bpx() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "cell.json")
        ParameterSet.load("lfp_graphite").to_bpx(path)
        return json.dumps(json.loads(path.read_bytes())).encode()


def _checkpoint() -> bytes:
    trial = {"values": [1.0], "cost": 2.0, "ok": True, "accepted": False, "reason": ""}
    simpler = {"model": "SPM", "status": "good enough", "message": "", "scaled": [0.0],
               "start_cost": None, "cost": 1.0, "evaluations": 3, "failed": 0}  # fmt: skip
    content = {"schema": "cellmodels-fit-checkpoint/1", "fingerprint": "abc", "scaled": [0.5],
               "trials": [trial], "simpler": [simpler]}  # fmt: skip
    return json.dumps(content).encode()


def _parquet() -> bytes:
    import pyarrow
    from pyarrow import parquet

    table = pyarrow.table(
        {"Test Time / s": [0.0, 10.0], "Voltage / V": [4.0, 3.9], "Current / A": [0.0, -1.0],
         "note": ["a", None]}
    )  # fmt: skip
    out = io.BytesIO()
    parquet.write_table(table, out, compression="snappy")
    return out.getvalue()


def _archive(files: dict[str, str]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def _workbook() -> bytes:
    """The smallest workbook: one sheet with texts in its cells."""
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    package = "http://schemas.openxmlformats.org/package/2006"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    rows = "".join(
        "<row>" + "".join(f'<c t="inlineStr"><is><t>{c}</t></is></c>' for c in line.split(","))
        + "</row>"
        for line in BDF.splitlines()
    )  # fmt: skip
    return _archive(
        {
            "[Content_Types].xml": f'<Types xmlns="{package}/content-types"/>',
            "_rels/.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="a" '
            f'Type="{office}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
            "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}/relationships">'
            f'<Relationship Id="b" Type="{office}/worksheet" Target="worksheets/sheet1.xml"/>'
            "</Relationships>",
            "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{office}"><sheets>'
            '<sheet name="s" sheetId="1" r:id="b"/></sheets></workbook>',
            "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{main}"><sheetData>{rows}</sheetData>'
            "</worksheet>",
        }
    )


def _ndax() -> bytes:
    return _archive({"VersionInfo.xml": "<root><config/></root>", "data.ndc": "\x05" * 600})


def _netcdf() -> bytes:
    record = build_record(
        cycles={"cycle": [1, 2, 3], "discharge_capacity": [3.0, 2.9, np.nan]},
        checkups={"cycle": [0, 2], "capacity_C20": [3.1, 3.0],
                  "charge_C20": [0.5, 1.0], "voltage_C20": [[4.0, 3.5], [4.0, 3.4]]},
        title="made up",
        synthetic=True,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        write_record(record, Path(folder, "cell.nc"))
        return Path(folder, "cell.nc").read_bytes()


def _fit() -> list[str]:
    """What the file of a fit says of its cell, here with a parameter more, and of its cycle."""
    cell = json.loads(FIT["cell"])
    cell["parameters"]["parameters"] = {
        "Own [m]": {"formula": "2*sto", "arguments": ["sto"], "unit": "m", "source": "a",
                    "status": "fitted", "new": True, "note": ""}
    }  # fmt: skip
    return [json.dumps(cell), FIT["protocol"], *FIT.values()]


def write(folder: Path) -> None:
    """Write all seeds, one folder a harness."""
    for harness, files in seeds().items():
        (folder / harness).mkdir(parents=True, exist_ok=True)
        for k, data in enumerate(files):
            (folder / harness / f"seed-{k}").write_bytes(data)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
