"""Record files from strangers: what they may not lead to, fill or hold up."""

from __future__ import annotations

import gzip
import io
import subprocess
import sys
import zipfile

import h5netcdf
import h5py
import numpy as np
import pytest
import xarray as xr

from cellmodels.errors import InputError
from cellmodels.fitting import Fit
from cellmodels.record import build_record, read_record, write_record
from cellmodels.record.files import contents, reader_process
from cellmodels.record.files.contents import Content
from cellmodels.record.files.text_layout import MOST_COLUMNS
from cellmodels.record.netcdf import read_tree

TRACE = b"Test Time / s,Voltage / V,Current / A\n0,4.0,0\n10,3.9,-1.5\n"


@pytest.fixture
def path(tmp_path):
    """A record as netCDF, which the tests spoil."""
    record = build_record(
        cycles={"cycle": [1, 2, 3], "discharge_capacity": [3.0, 2.9, np.nan]},
        checkups={
            "cycle": [0, 2], "capacity_C20": [3.1, 3.0],
            "charge_C20": [0.5, 1.0], "voltage_C20": [[4.0, 3.5], [4.0, 3.4]],
        },
        title="made up",
    )  # fmt: skip
    write_record(record, tmp_path / "cell.nc")
    write_record(record, tmp_path / "other.nc")
    return tmp_path / "cell.nc"


# --- netCDF ------------------------------------------------------------------------------------


def test_netcdf_is_read_as_xarray_reads_it(path, tmp_path):
    tree = xr.open_datatree(path, engine="h5netcdf", decode_timedelta=False).load()
    tree["/texts/inner"] = xr.Dataset(
        {"flag": ("x", [True, False]), "count": ((), np.int8(3)), "word": ("x", ["a", "ö"])},
        attrs={"list": ["a", "b"], "numbers": np.array([1, 2], np.int32), "one": np.float32(0.5)},
    )
    tree["cycles"]["discharge_capacity"].encoding["_FillValue"] = -1.0
    tree["cycles"]["discharge_capacity"].encoding["zlib"] = True
    tree.to_netcdf(tmp_path / "tree.nc", engine="h5netcdf")
    with xr.open_datatree(
        tmp_path / "tree.nc", engine="h5netcdf", decode_times=False, decode_timedelta=False
    ) as opened:
        expected = opened.load()
    found = read_tree(Content("tree.nc", "netcdf", tmp_path / "tree.nc"))
    xr.testing.assert_identical(found, expected)
    for one, other in zip(found.subtree, expected.subtree, strict=True):
        assert {n: v.dtype for n, v in one.variables.items()} == {
            n: v.dtype for n, v in other.variables.items()
        }
        assert {n: type(v) for n, v in one.attrs.items()} == {
            n: type(v) for n, v in other.attrs.items()
        }


def link_to_a_file(file, other):
    file["cycles/x"] = h5py.ExternalLink(other, "/cycles/discharge_capacity")


def group_in_a_file(file, other):
    file["x"] = h5py.ExternalLink(other, "/cycles")


def values_in_a_file(file, other):
    file["cycles"].create_dataset("charge_capacity", (3,), "f8", external=[(other, 0, 24)])


def virtual(file, other):
    layout = h5py.VirtualLayout((3,), "f8")
    layout[:] = h5py.VirtualSource(other, "cycles/discharge_capacity", (3,))
    file["cycles"].create_virtual_dataset("charge_capacity", layout)


def soft_link(file, other):
    file["cycles/x"] = h5py.SoftLink("/checkups")


def loop(file, other):
    file["cycles/x"] = file["/"]


def deep(file, other):
    file.create_group("/".join("a" * 50))


def many(file, other):
    for k in range(2500):
        file.create_group(f"g{k}")


def opaque(file, other):
    file["cycles"].create_dataset("x", data=np.void(b"code"))


def reference(file, other):
    file.attrs["x"] = file["cycles"].ref


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (link_to_a_file, "link to another place"),
        (group_in_a_file, "link to another place"),
        (values_in_a_file, "in another file"),
        (virtual, "in another file"),
        (soft_link, "link to another place"),
        (loop, "in two places"),
        (deep, "levels deep"),
        (many, "more than 2000"),
        (opaque, "neither numbers nor texts"),
        (reference, "cannot be read"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_netcdf_leads_nowhere(path, spoil, words):
    with h5py.File(path, "r+") as file:
        spoil(file, str(path.with_name("other.nc")))
    with pytest.raises(InputError, match=words) as caught:
        read_record(path)
    assert "cell.nc" in str(caught.value)


@pytest.mark.parametrize("length", [10**12, 10**8])
@pytest.mark.skipif("os.name != 'posix'")
def test_a_small_netcdf_file_cannot_fill_the_memory(path, length):
    with h5netcdf.File(path, "a") as file:
        file["cycles"].dimensions["many"] = length
        file["cycles"].create_variable("charge_capacity", ("many",), "f8", chunks=(10**6,))
    with pytest.raises(InputError, match="more memory|too large"):
        read_record(path)


def test_a_damaged_file_ends_the_reader_only(path):
    data = bytearray(path.read_bytes())
    for k in range(96, len(data), 97):
        data[k] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(InputError, match="cell.nc"):
        read_record(path)
    with pytest.raises(InputError, match="cell.nc"):
        Fit.load(path)


# --- packed files and long lines ---------------------------------------------------------------


def test_what_a_file_may_become_counts_from_the_file_as_given(tmp_path, monkeypatch):
    monkeypatch.setattr(contents, "_SMALL", 100_000)
    inner = gzip.compress(TRACE + b"20,3.8,0\n" * 3_000_000, 9)
    outer = gzip.compress(inner, 9)
    rows = gzip.decompress(inner)
    assert len(inner) * contents.MOST_EXPANSION > 100_000 > len(outer) * contents.MOST_EXPANSION / 3
    assert len(rows) > contents.MOST_EXPANSION * len(outer)
    (tmp_path / "cell.csv").write_bytes(outer)
    with pytest.raises(InputError, match=r"cell\.csv: expands to more than"):
        read_record(tmp_path / "cell.csv")


def test_rows_without_values_do_not_fill_the_memory(tmp_path):
    path = tmp_path / "cell.csv.gz"
    path.write_bytes(gzip.compress(TRACE + b"\n" * 600_000))
    with pytest.raises(InputError, match="rows without a value"):
        read_record(path)


def test_an_archive_with_many_names_is_opened_once(tmp_path, monkeypatch):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for k in range(50):
            archive.writestr(f"__MACOSX/{k}", "")
        archive.writestr("cell.csv", TRACE)
    (tmp_path / "cell.zip").write_bytes(out.getvalue())
    opened = []
    real = zipfile.ZipFile
    monkeypatch.setattr(zipfile, "ZipFile", lambda *a: opened.append(a) or real(*a))
    assert read_record(tmp_path / "cell.zip")["traces"].sizes["sample"] == 2
    assert len(opened) < 20


@pytest.mark.parametrize("names", ["c{}", "Voltage {}", "discharge_capacity{} [A.h]"])
def test_very_many_columns_are_refused(tmp_path, names):
    header = ",".join(names.format(k) for k in range(MOST_COLUMNS + 1))
    (tmp_path / "cell.csv").write_text(f"{header}\n1,2,3\n")
    with pytest.raises(InputError, match="columns"):
        read_record(tmp_path / "cell.csv")


def test_a_very_long_line_is_not_cut_into_cells(tmp_path, monkeypatch):
    (tmp_path / "cell.csv").write_text("1," * 2_000_000)
    monkeypatch.setattr("csv.reader", lambda *a, **k: pytest.fail("cut"))
    with pytest.raises(InputError, match="columns"):
        read_record(tmp_path / "cell.csv")


def test_a_link_that_leads_nowhere(tmp_path):
    (tmp_path / "cell.csv").symlink_to("nothing.csv")
    with pytest.raises(InputError, match="leads nowhere"):
        read_record(tmp_path / "cell.csv")


def test_a_header_that_comes_again_and_again(tmp_path):
    header = "Run Time (h),Potential (V),Current (A)\n"
    once = f"[Data]\n{header}0,3.9,0\n0.1,3.8,0.1\n"
    (tmp_path / "cell.csv").write_text(once + f"{header}0.2,3.7,0.1\n")
    assert read_record(tmp_path / "cell.csv")["traces"].sizes["sample"] == 3
    (tmp_path / "cell.csv").write_text(once + f"{header}0.2,3.7,0.1\n" * 600)
    with pytest.raises(InputError, match="601 times"):
        read_record(tmp_path / "cell.csv")


# --- the reader's process ----------------------------------------------------------------------


def test_a_small_file_gets_small_limits(tmp_path, monkeypatch):
    given = []

    def run(command, **options):
        given.append([*map(int, command[-3:]), options["timeout"]])
        raise subprocess.SubprocessError("enough")

    monkeypatch.setattr(subprocess, "run", run)
    for size in (100, 10_000_000, 10**9):
        (tmp_path / "cell.nda").write_bytes(b"NEWARE")
        with (tmp_path / "cell.nda").open("r+b") as file:
            file.truncate(size)
        monkeypatch.setattr("shutil.copyfileobj", lambda source, target, n=size: target.truncate(n))
        with pytest.raises(InputError, match="enough"):
            read_record(tmp_path / "cell.nda")
    small, middle, large = given
    assert small == pytest.approx([4e9, 2e8, 61, 60], rel=0.01)
    assert all(a < b <= c for a, b, c in zip(small, middle, large, strict=True))
    assert large[:2] == [reader_process.MAX_MEMORY, reader_process.MAX_WRITTEN]
    assert large[3] == reader_process.MAX_SECONDS


def test_the_reader_imports_nothing_of_cellmodels():
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import foreign_readers\n"
        "print([name for name in sys.modules if name.startswith(('cellmodels', 'pandas'))])"
    )
    folder = str(contents.Path(reader_process.foreign_readers.__file__).parent)
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, folder], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
