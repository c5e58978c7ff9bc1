import pytest

import cellmodels as cm
from cellmodels.errors import CellModelsError, InputError, UnitError, did_you_mean, nearest


def test_every_error_is_one_of_ours_and_a_value_error():
    assert issubclass(UnitError, InputError)
    assert issubclass(InputError, CellModelsError)
    assert issubclass(InputError, ValueError)


def test_nearest_ignores_case():
    assert nearest("spme", ["SPM", "SPMe", "DFN"]) == "SPMe"
    assert nearest("qqq", ["SPM", "SPMe", "DFN"]) is None


@pytest.mark.parametrize(
    ("word", "choices", "expected"),
    [
        ("SPMx", ["SPM", "DFN"], " Did you mean 'SPM'?"),
        ("zzz", ["SPM", "DFN"], " Choose from: SPM, DFN."),
        ("zzz", [f"choice {i}" for i in range(40)], ""),
        ("zzz", [], ""),
    ],
)
def test_hint(word, choices, expected):
    assert did_you_mean(word, choices) == expected


def test_warnings_name_the_line_that_called_the_library(tmp_path):
    path = tmp_path / "trace.csv"
    path.write_text("Time [s],Voltage [V],Current [A]\n0,4,1\n10,3.99,1\n20,3.98,1\n30,4.1,0\n")
    for read in (cm.read_record, cm.check_quality, cm.find_checkups):
        with pytest.warns(UserWarning, match="which sign") as said:
            read(path)
        assert {warning.filename for warning in said} == {__file__}
