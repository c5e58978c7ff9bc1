"""Workbooks: a long test is spread over sheets, and other sheets describe it."""

from __future__ import annotations

import zipfile
from xml.sax.saxutils import escape

import numpy as np
import pytest

from cellmodels.errors import InputError
from cellmodels.record import read_record

pytest.importorskip("fastexcel", reason="needs the extra 'data'")

HEADERS = [
    "Data_Point", "Test_Time(s)", "Step_Index", "Cycle_Index", "Current(A)", "Voltage(V)",
    "Charge_Capacity(Ah)", "Discharge_Capacity(Ah)",
]  # fmt: skip
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_KIND = "application/vnd.openxmlformats-officedocument.spreadsheetml"


def _cell(value):
    if isinstance(value, str):
        return f'<c t="inlineStr"><is><t>{escape(value)}</t></is></c>'
    return f"<c><v>{value!r}</v></c>"


def _sheet(rows):
    lines = "".join("<row>" + "".join(map(_cell, row)) + "</row>" for row in rows)
    return f'<worksheet xmlns="{_MAIN}"><sheetData>{lines}</sheetData></worksheet>'


def _workbook(path, sheets):
    """A workbook of these sheets: rows of texts and numbers by name."""
    numbered = list(enumerate(sheets, start=1))
    overrides = "".join(
        f'<Override PartName="/xl/worksheets/sheet{k}.xml" ContentType="{_KIND}.worksheet+xml"/>'
        for k, _ in numbered
    )
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types">'
        '<Default Extension="rels" '
        'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{_KIND}.sheet.main+xml"/>'
        f"{overrides}</Types>",
        "_rels/.rels": f'<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="r0" '
        f'Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><sheets>'
        + "".join(f'<sheet name="{name}" sheetId="{k}" r:id="r{k}"/>' for k, name in numbered)
        + "</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{_PACKAGE}/relationships">'
        + "".join(
            f'<Relationship Id="r{k}" Type="{_OFFICE}/worksheet" Target="worksheets/sheet{k}.xml"/>'
            for k, _ in numbered
        )
        + "</Relationships>",
    }
    parts |= {f"xl/worksheets/sheet{k}.xml": _sheet(sheets[name]) for k, name in numbered}
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in parts.items():
            archive.writestr(name, '<?xml version="1.0" encoding="UTF-8"?>' + text)
    return path


def _measured(begin, end):
    """Rows of a discharge at 1.5 A, a sample every ten seconds."""
    return [
        [k, 10.0 * k, 1, 1, -1.5, 4.0 - 1e-3 * k, 0.0, 1.5 * 10 * k / 3600]
        for k in range(begin, end)
    ]


def test_a_test_over_two_sheets_is_one_trace(tmp_path):
    sheets = {
        "Info": [["Item", "Value"], ["Procedure", "ageing"]],
        "Channel_1-006_1": [HEADERS, *_measured(0, 30)],
        "Channel_1-006_2": [HEADERS, *_measured(30, 50)],
    }
    record = read_record(_workbook(tmp_path / "long.xlsx", sheets))
    traces = record["traces"]
    np.testing.assert_allclose(traces["time"], 10.0 * np.arange(50))
    np.testing.assert_allclose(traces["voltage"], 4.0 - 1e-3 * np.arange(50))
    np.testing.assert_array_equal(traces["current"], 1.5)
    assert record.attrs["sheet"] == "Channel_1-006_1, Channel_1-006_2"


def test_sheets_of_different_tests_are_refused(tmp_path):
    again = {
        "Channel_1": [HEADERS, *_measured(0, 30)],
        "Channel_2": [HEADERS, *_measured(0, 20)],
    }
    with pytest.raises(InputError, match="several sheets hold measurements.*Channel_1, Channel_2"):
        read_record(_workbook(tmp_path / "two.xlsx", again))
    other = [row[:-1] for row in [HEADERS, *_measured(30, 50)]]
    unlike = {"Channel_1": [HEADERS, *_measured(0, 30)], "Channel_2": other}
    with pytest.raises(InputError, match="several sheets hold measurements"):
        read_record(_workbook(tmp_path / "unlike.xlsx", unlike))
