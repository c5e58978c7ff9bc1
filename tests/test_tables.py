import pickle

import numpy as np
import pybamm
import pytest

from cellmodels.errors import InputError
from cellmodels.tables import Table, read_table

X = (0.0, 0.2, 0.5, 0.7, 1.0)
Y = (1.0, 0.6, 0.3, 0.2, 0.0)


@pytest.mark.parametrize("interpolation", ["linear", "cubic"])
def test_numpy_and_pybamm_agree(interpolation):
    table = Table(X, Y, interpolation=interpolation)
    at = np.linspace(0, 1, 21)
    symbol = table.to_pybamm("U [V]")(pybamm.Vector(at))
    np.testing.assert_allclose(table.evaluate({"sto": at}), symbol.evaluate()[:, 0], atol=1e-12)
    np.testing.assert_allclose(table.evaluate({"sto": np.array(X)}), Y, atol=1e-12)


def test_only_its_own_argument_matters():
    table = Table((280.0, 320.0), (1.0, 2.0), argument="T", arguments=("sto", "T"))
    symbol = table.to_pybamm()(pybamm.Scalar(0.5), pybamm.Scalar(300.0))
    assert symbol.evaluate() == pytest.approx(1.5)
    with pytest.raises(InputError, match="passes 1"):
        table.to_pybamm("D [m2.s-1]")(pybamm.Scalar(0.5))


def test_pickle_and_equality():
    table = Table(X, Y)
    assert pickle.loads(pickle.dumps(table.to_pybamm("U [V]"))) == table.to_pybamm("U [V]")
    assert table == Table(list(X), list(Y))
    assert hash(table) == hash(Table(X, Y))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x": (0, 0.5, 0.5, 0.7, 1)}, "increase"),
        ({"x": (0, 1)}, "pairs"),
        ({"x": (0, np.nan, 0.5, 0.7, 1)}, "finite"),
        ({"argument": "T"}, "not one of its arguments"),
        ({"interpolation": "spline"}, "linear nor cubic"),
        ({"x": (0, 1), "y": (0, 1), "interpolation": "cubic"}, "4 to"),
    ],
)
def test_what_is_no_table(changes, message):
    with pytest.raises(InputError, match=message):
        Table(**{"x": X, "y": Y, **changes})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sto [-],U [V]\n", "rows"),
        ("sto [-],U [V]\n0,1,2\n", "two columns"),
        ("sto,U\n0,1\n1,0\n", "units in the header"),
        ("sto [-],U [V]\n0,one\n1,0\n", "one"),
        ("sto [-],U [A]\n0,1\n1,0\n", "does not fit"),
        ("soc [-],U [V]\n0,1\n1,0\n", "not one of its arguments"),
        ("sto [-],U [V]\n1,1\n0,0\n", "increase"),
    ],
)
def test_what_is_no_table_file(tmp_path, text, message):
    path = tmp_path / "table.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        read_table(path, "V", ("sto",))
    assert "table.csv" in str(caught.value)


def test_read(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("# source: here\nsto [-],U [mV]\n\n0,1000\n1,0\n")
    assert read_table(path, "V", ("sto",)) == Table((0, 1), (1.0, 0.0))
