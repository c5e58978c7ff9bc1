"""Impedance: what is read from which file, in which sign, and whether it can be trusted."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellmodels.errors import InputError
from cellmodels.plotting import plot_impedance
from cellmodels.record import build_record, kramers_kronig, read_record, write_record
from cellmodels.record.files.impedance_tables import impedance_columns, spectra

FREQUENCY = np.geomspace(1e4, 1e-1, 26)


def arc(frequency=FREQUENCY, resistance=0.02, capacitance=0.05):
    """A resistance in front of a resistance beside a capacitance [ohm]."""
    return 0.01 + resistance / (1 + 2j * np.pi * frequency * resistance * capacitance)


Z = arc()


def text(header, *columns, before="", separator="\t", form=repr):
    rows = zip(*columns, strict=True)
    lines = [separator.join(form(float(v)) for v in row) for row in rows]
    return before + header + "\n" + "\n".join(lines) + "\n"


def degrees(z):
    return np.angle(z, deg=True)


#: A file of each kind with the same spectrum in it.
FILES = {
    "BioLogic": text(
        "freq/Hz\tRe(Z)/Ohm\t-Im(Z)/Ohm\t|Z|/Ohm\tPhase(Z)/deg\ttime/s\t<Ewe>/V\t<I>/mA",
        *(FREQUENCY, Z.real, -Z.imag, np.abs(Z), degrees(Z), FREQUENCY, Z.real, Z.real),
        before="EC-Lab ASCII FILE\nNb header lines : 4\n\n",
    ),
    "BioLogic, decimal commas": text(
        "freq/Hz\tRe(Z)/Ohm\t-Im(Z)/Ohm",
        *(FREQUENCY, Z.real, -Z.imag),
        form=lambda v: repr(v).replace(".", ","),
    ),
    "Gamry": text(
        "\tPt\tTime\tFreq\tZreal\tZimag\n\t#\ts\tHz\tohm\tohm",
        *(0 * FREQUENCY, 0 * FREQUENCY, FREQUENCY, Z.real, Z.imag),
        before="EXPLAIN\nTAG\tEISPOT\nOCVCURVE\tTABLE\t1\n\tPt\tT\tVf\n\t0\t0.2\t-0.3\nZCURVE\tTABLE\n",
    ).replace("\n0.0\t", "\n\t0\t")
    + "EXPERIMENTABORTED\tTOGGLE\tT\n\tPt\tT\tVf\n\t0\t0.2\t-0.3\n",
    "ZPlot": text(
        "  Freq(Hz)\tAmpl\tBias\tTime(Sec)\tZ'(a)\tZ''(b)\nEnd Comments",
        *(FREQUENCY, Z.real, Z.real, FREQUENCY, Z.real, Z.imag),
        before="ZPLOT2 ASCII\n  Date:  10-12-2018\n",
    ),
    "Z60W": text(
        '"  Freq (Hz)    Ampl     Bias   Time(Sec)   Z\'(a)    Z\'\'(b)"',
        *(FREQUENCY, Z.real, Z.real, FREQUENCY, Z.real, Z.imag),
        before='"Z60W Data File: Version 1.1"\n""\n41\n',
        separator=",",
    ),
    "CH Instruments": text(
        "Freq/Hz, Z'/ohm, Z\"/ohm, Z/ohm, Phase/deg\n",
        *(FREQUENCY, Z.real, Z.imag, np.abs(Z), degrees(Z)),
        before="A.C. Impedance\nInstrument Model:  CHI660E\nHigh Frequency (Hz) = 2e+6\n",
        separator=", ",
    ),
    "NOVA": text(
        "Index;Frequency (Hz);Z' (Ω);-Z'' (Ω);Z (Ω);-Phase (°);Time (s)",
        *(0 * FREQUENCY, FREQUENCY, Z.real, -Z.imag, np.abs(Z), -degrees(Z), FREQUENCY),
        separator=";",
    ),
    "Zahner": text(
        "Number  Frequency/Hz  Impedance/Ohm  Phase/deg",
        *(0 * FREQUENCY, FREQUENCY, np.abs(Z), degrees(Z)),
        separator="   ",
    ),
    "Ivium": text("freq. /Hz\tZ1 /ohm\tZ2 /ohm", FREQUENCY, Z.real, Z.imag),
    "PSTrace": text("Frequency\tZdash\tZdashneg", FREQUENCY, Z.real, -Z.imag),
    "PowerSuite": text("Frequency\t Zre\t Zimg", FREQUENCY, Z.real, Z.imag, separator="\t "),
    "VersaStudio": text(
        "Definition=Segment #, E(V), I(A), Elapsed Time(s), Frequency(Hz), Z Real, Z Imag",
        *(0 * FREQUENCY, Z.real, Z.real, FREQUENCY, FREQUENCY, Z.real, Z.imag),
        before="<Application>\nName=VersaStudio\n</Application>\n<Segment1>\nType=2\n",
        separator=",",
    )
    + "</Segment1>\n<Graph1>\nType=1\n",
    "in milliohms": text(
        "f [Hz],Re(Z) [mohm],Im(Z) [mohm]",
        *(FREQUENCY, 1e3 * Z.real, 1e3 * Z.imag),
        separator=",",
    ),
    "in radians": text(
        "Frequency [Hz],|Z| [ohm],Phase [rad]",
        *(FREQUENCY, np.abs(Z), np.angle(Z)),
        separator=",",
    ),
    "Battery Data Format": text(
        "Frequency / Hz,Real Impedance / ohm,Imaginary Impedance / ohm",
        *(FREQUENCY, Z.real, Z.imag),
        separator=",",
    ),
}  # fmt: skip


@pytest.fixture
def write(tmp_path):
    """Write a file and return its path."""

    def _write(content, name="cell.txt"):
        path = tmp_path / name
        path.write_text(content, encoding="utf-8")
        return path

    return _write


def of(record):
    data = record["impedance"].to_dataset()
    return data, data["impedance_real"].values + 1j * data["impedance_imaginary"].values


@pytest.mark.parametrize("kind", FILES)
def test_every_kind_of_file_gives_the_same_spectrum(write, kind):
    data, z = of(read_record(write(FILES[kind])))
    np.testing.assert_allclose(data["frequency"], FREQUENCY, rtol=1e-12)
    np.testing.assert_allclose(z, Z, rtol=1e-12)
    assert (data["spectrum"] == 1).all()
    assert data["spectrum"].dtype == np.int64
    assert (data["impedance_imaginary"] < 0).all()


def test_what_else_is_known(write):
    data, _ = of(read_record(write(FILES["BioLogic"])))
    np.testing.assert_allclose(data["time"], FREQUENCY)
    np.testing.assert_allclose(data["voltage"], Z.real)
    np.testing.assert_allclose(data["current"], -Z.real / 1e3)  # mA, positive on charge there
    record = read_record(write(FILES["CH Instruments"]))
    assert record.attrs["cycler"] == "CH Instruments"
    assert record.attrs["instrument_high_frequency_hz"] == "2e+6"
    assert read_record(write(FILES["Gamry"])).attrs["cycler"] == "Gamry"


def test_segments_are_spectra(write):
    again = FILES["VersaStudio"].partition("<Segment1>")[2].partition("<Graph1>")[0]
    data, z = of(read_record(write(FILES["VersaStudio"] + "<Segment1>" + again)))
    np.testing.assert_array_equal(data["spectrum"], np.repeat([1, 2], len(FREQUENCY)))
    np.testing.assert_allclose(z, np.tile(Z, 2))


def test_sweeps_of_one_table_are_told_apart(write):
    twice = np.tile(FREQUENCY, 2)
    data, _ = of(
        read_record(write(text("freq/Hz\tzreal\tzimag", twice, arc(twice).real, arc(twice).imag)))
    )
    np.testing.assert_array_equal(data["spectrum"], np.repeat([1, 2], len(FREQUENCY)))


def test_cycles_are_spectra(write):
    """One frequency a cycle: there is no jump."""
    one = np.full(3, 1000.0)
    content = text("freq/Hz\tRe(Z)/Ohm\t-Im(Z)/Ohm\tcycle number", one, one, one, [1, 2, 3])
    assert of(read_record(write(content)))[0]["spectrum"].values.tolist() == [1, 2, 3]


@given(
    st.lists(st.integers(8, 40), min_size=1, max_size=5),
    st.booleans(),
    st.floats(1.0, 7.0),
)
def test_sweeps_of_any_length(lengths, rising, decades):
    sweeps = [np.geomspace(1e4, 1e4 / 10**decades, n)[:: -1 if rising else 1] for n in lengths]
    frequency = np.concatenate(sweeps)
    found = spectra(frequency, np.zeros(len(frequency), dtype=bool))
    np.testing.assert_array_equal(found, np.repeat(np.arange(len(lengths)) + 1, lengths))


INTERLEAVED = (
    "mode\tNs\ttime/s\tEwe/V\tI/mA\tfreq/Hz\tRe(Z)/Ohm\t-Im(Z)/Ohm\tcycle number\n"
    "1\t0\t0\t3.9\t-100\t0\t0\t0\t1\n1\t0\t10\t3.8\t-100\t0\t0\t0\t1\n"
    "3\t1\t11\t3.8\t0\t1000\t0.01\t0.001\t1\n3\t1\t12\t3.8\t0\t10\t0.02\t0.005\t1\n"
    "1\t2\t20\t3.7\t-100\t0\t0\t0\t1\n"
    "3\t3\t21\t3.7\t0\t1000\t0.03\t0.002\t1\n"
)


def test_impedance_between_cycling(write):
    record = read_record(write(INTERLEAVED))
    traces, (data, z) = record["traces"].to_dataset(), of(record)
    np.testing.assert_array_equal(traces["time"], [0, 10, 20])
    np.testing.assert_allclose(traces["current"], 0.1)
    np.testing.assert_array_equal(data["time"], [11, 12, 21])
    np.testing.assert_array_equal(data["spectrum"], [1, 1, 2])
    np.testing.assert_allclose(z, [0.01 - 0.001j, 0.02 - 0.005j, 0.03 - 0.002j])
    assert "left_out" not in record.attrs


def test_impedance_between_cycling_of_other_instruments(write):
    parstat = (
        "Potential (V)\tCurrent (A)\tElapsed Time (s)\tFrequency (Hz)\tZre (ohms)\tZim (ohms)\n"
        "3.5\t-0.15\t10\t0\t0\t0\n3.4\t-0.15\t20\t0\t0\t0\n3.4\t0\t30\t1e3\t0.1\t-0.02\n"
    )
    bdf = (
        "Test Time / s,Voltage / V,Current / A,Frequency / Hz,Real Impedance / ohm,"
        "Imaginary Impedance / ohm\n10,3.5,-0.15,,,\n20,3.4,-0.15,,,\n30,3.4,0,1e3,0.1,-0.02\n"
    )
    for content in (parstat, bdf):
        record = read_record(write(content))
        data, z = of(record)
        np.testing.assert_allclose(record["traces/current"], 0.15)
        np.testing.assert_allclose(z, [0.1 - 0.02j])
        np.testing.assert_allclose(data["time"], [30])


def test_a_trace_with_empty_columns_of_impedance_is_a_trace(write):
    content = (
        "Test Time / s,Voltage / V,Current / A,Frequency / Hz,Real Impedance / ohm,"
        "Imaginary Impedance / ohm\n10,3.5,-0.15,,,\n20,3.4,-0.15,,,\n"
    )
    assert list(read_record(write(content)).children) == ["traces"]


def test_three_columns_without_headers(write):
    path = write("\n".join(f"{f},{z.real},{z.imag}" for f, z in zip(FREQUENCY, Z, strict=True)))
    with pytest.raises(InputError, match=r"no headers.*read_record\(impedance="):
        read_record(path)
    np.testing.assert_allclose(of(read_record(impedance=path))[1], Z)


def test_columns_that_a_user_names(write):
    path = write(text("nu,X,Y", FREQUENCY, Z.real, -Z.imag, separator=","))
    names = {
        "nu": "frequency [Hz]",
        "X": "impedance_real [ohm]",
        "Y": "-impedance_imaginary [ohm]",
    }
    np.testing.assert_allclose(of(read_record(path, columns=names))[1], Z)
    with pytest.raises(InputError, match="there is no column 'W'"):
        read_record(path, columns={**names, "W": "voltage [V]"})


def test_a_folder_of_spectra(tmp_path):
    for k in (1, 2):
        (tmp_path / f"{k}.DTA").write_text(FILES["Gamry"])
    (tmp_path / "3.csv").write_text("Test Time / s,Voltage / V,Current / A\n0,4,0\n10,3.9,-1\n")
    record = read_record(tmp_path)
    np.testing.assert_array_equal(of(record)[0]["spectrum"], np.repeat([1, 2], len(FREQUENCY)))
    assert record["traces"].sizes["sample"] == 2


# --- what cannot be, and what is unusual -------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (text("freq/Hz\tzreal\tzimag\tzmod", FREQUENCY, Z.real, Z.imag, Z.real / 2), "% apart"),
        (text("freq/Hz\tzreal\tzimag", -FREQUENCY, Z.real, Z.imag), "more than 0"),
        (text("freq/s\tzreal\tzimag", FREQUENCY, Z.real, Z.imag), "freq/s"),
        ("freq/Hz\tzreal\tzimag\n", "no rows"),
        ("freq/Hz\tzreal\tzimag\n0\t1\t2\n", "no frequencies"),
        ("freq/Hz\tzreal\tzimag\n1\t1\tx\n", "no number but 'x'"),
        ("freq/Hz\tzreal\tzimag\n1\t1\t\n", "'impedance_imaginary' is missing"),
        ("A.C. Impedance\nnothing\n", "impedance without a table"),
    ],
)
def test_what_cannot_be_is_refused(write, content, words):
    with pytest.raises(InputError) as caught:
        read_record(write(content))
    assert words in str(caught.value)
    assert "cell.txt" in str(caught.value) or "Column" in str(caught.value)


def test_a_wrong_sign_is_told(write):
    with pytest.warns(UserWarning, match="imaginary part is positive at the lowest frequency"):
        read_record(write(text("freq/Hz\tzreal\tzimag", FREQUENCY, Z.real, -Z.imag)))


def test_an_order_that_goes_up_and_down_is_told(write):
    order = np.r_[1, 0, np.arange(2, len(FREQUENCY))]
    content = text("freq/Hz\tzreal\tzimag", FREQUENCY[order], Z.real[order], Z.imag[order])
    with pytest.warns(UserWarning, match="spectrum 1: its frequencies go up and down"):
        read_record(write(content))


def test_real_parts_that_no_cell_has_are_flagged(write):
    real = Z.real.copy()
    real[0] = -0.1
    record = read_record(write(text("freq/Hz\tzreal\tzimag", FREQUENCY, real, Z.imag)))
    assert record["impedance/impedance_real_flag"].values.tolist() == [1] + [0] * 25


def test_columns_are_those_of_impedance_only_with_all_that_it_needs():
    assert not impedance_columns(["freq/Hz", "Re(Z)/Ohm"])
    assert not impedance_columns(["Re(Z)/Ohm", "Im(Z)/Ohm"])
    assert len(impedance_columns(["freq/Hz", "|Z|/Ohm", "Phase(Z)/deg"])) == 3


def test_netcdf_gives_it_back(tmp_path):
    record = made(Z, spectrum=np.ones(26), cycle=np.full(26, 3))
    write_record(record, tmp_path / "z.nc")
    found = read_record(tmp_path / "z.nc")
    assert found.identical(record)
    assert found["impedance"].dims == {"frequency_point": 26}


# --- Kramers and Kronig ------------------------------------------------------------------------

WIDE = np.geomspace(1e4, 1e-2, 61)
S = 2j * np.pi * WIDE
RANDLES = 0.01 + 1 / (1.5 * S + 1 / (0.02 + 0.015 / np.sqrt(S)))


def made(z, frequency=FREQUENCY, **others):
    parts = {"impedance_real": np.real(z), "impedance_imaginary": np.imag(z)}
    return build_record(impedance={"frequency": frequency, **parts, **others})


@pytest.mark.parametrize(
    ("z", "largest"),
    [
        (np.full(61, 1.0), 1e-9),  # a resistance
        (0.01 + 1e-7 * S + 1 / (100 * S), 1e-6),  # with inductance and capacitance
        (0.01 + 0.02 / (1 + 0.03 * S), 0.5),  # one arc
        (0.01 + 0.02 / (1 + (0.1 * S) ** 0.8), 0.01),  # a depressed one
        (RANDLES, 0.5),
    ],
)
def test_circuits_are_consistent(z, largest):
    found = kramers_kronig(made(z, WIDE))
    assert float(found["largest"][0]) < largest


def test_drift_is_not_consistent():
    """The arc grows while it is measured: by 10 % and by 30 % at the end of the sweep."""
    elapsed = np.cumsum(1 / WIDE) / np.sum(1 / WIDE)
    largest = [
        float(kramers_kronig(made(0.01 + (1 + g * elapsed) * (RANDLES - 0.01), WIDE))["largest"][0])
        for g in (0.0, 0.1, 0.3)
    ]
    assert largest[1] > 1.5
    assert largest[2] > 4
    assert largest[0] < 0.5


def test_noise_stays_in_the_residuals():
    random = np.random.default_rng(1)
    noise = 0.005 * (random.normal(size=61) + 1j * random.normal(size=61))
    found = kramers_kronig(made(RANDLES * (1 + noise), WIDE))
    rms = float(np.sqrt((found["residual_real"] ** 2).mean()))
    assert 0.3 < rms < 0.6


def test_each_spectrum_by_itself():
    two = np.concatenate([RANDLES, 1.2 * RANDLES.conj()])
    record = made(two, np.tile(WIDE, 2), spectrum=np.repeat([4, 7], 61))
    found = kramers_kronig(record)
    assert found["number"].values.tolist() == [4, 7]
    assert found["residual_real"].shape == (122,)
    assert float(found["largest"][0]) < 0.5
    assert float(found["largest"][1]) > 5  # the sign of the imaginary part is wrong


def test_the_order_of_frequencies_does_not_matter():
    forwards, backwards = made(RANDLES, WIDE), made(RANDLES[::-1], WIDE[::-1])
    found = kramers_kronig(forwards)["residual_imaginary"].values
    again = kramers_kronig(backwards)["residual_imaginary"].values
    np.testing.assert_allclose(found, again[::-1], atol=1e-6)


def test_too_few_frequencies_are_refused():
    with pytest.raises(InputError, match="4 different frequencies"):
        kramers_kronig(made(Z[:4], FREQUENCY[:4]))
    with pytest.raises(InputError, match="no impedance"):
        kramers_kronig(build_record(cycles={"cycle": [1], "discharge_capacity": [1.0]}))


# --- figure ------------------------------------------------------------------------------------


def test_figure():
    number = np.repeat(np.arange(9), 26)
    many = made(np.tile(Z, 9), np.tile(FREQUENCY, 9), spectrum=number)
    for record, lines in ((made(Z), 1), (many, 9)):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            figure = plot_impedance(record)
        nyquist = figure.axes[0]
        assert nyquist.get_aspect() == 1.0
        curve = nyquist.lines[0]
        np.testing.assert_allclose(curve.get_xdata(), Z.real)
        np.testing.assert_allclose(curve.get_ydata(), -Z.imag)
        assert len([line for line in nyquist.lines if line.get_marker() == "o"]) == lines
    with pytest.raises(InputError, match="no group /impedance"):
        plot_impedance(build_record(cycles={"cycle": [1], "discharge_capacity": [1.0]}))
