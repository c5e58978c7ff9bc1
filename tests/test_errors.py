import pytest

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
