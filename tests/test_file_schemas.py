import tomllib
from pathlib import Path

import pytest

from cellmodels.errors import InputError
from cellmodels.file_schemas import KINDS, schema

ROOT = Path(__file__).parents[1]
PROTOCOL = """
[protocol]
cycle = ["Discharge at 1C until 2.5 V"]
[[checkup]]
every = 100
[[checkup.test]]
name = "C20"
steps = ["Discharge at C/20 until 2.5 V"]
voltages_at = ["10 %", 1]
[[pause]]
after_cycle = 2
step = "Rest for 1 hour"
"""
CHECKUPS = f"""
format = 1
nominal_capacity = 5.0
[read]
columns = {{ "U" = "voltage [V]", "I2" = false }}
where = {{ "cell" = 3 }}
time_restarts = "cycle"
repair = ["clock"]
[data]
rows = 100
sha256 = "{64 * "0"}"
[[checkup]]
after_cycle = 0
[[checkup.test]]
name = "C20"
kind = "slow discharge"
segments = [3, 4]
"""


def files(kind):
    if kind in ("protocol", "checkups"):
        return [tomllib.loads({"protocol": PROTOCOL, "checkups": CHECKUPS}[kind])]
    folder, pattern = {
        "parameters": ("parameters", "*/*.toml"),
        "chemistry": ("chemistries", "*.toml"),
    }[kind]
    return [tomllib.loads(path.read_text("utf-8")) for path in (ROOT / folder).glob(pattern)]


@pytest.mark.parametrize("kind", KINDS)
def test_our_files_fit_their_schema_and_misspelt_ones_do_not(kind):
    jsonschema = pytest.importorskip("jsonschema", reason="needs the package jsonschema")
    jsonschema.Draft202012Validator.check_schema(schema(kind))
    validator = jsonschema.Draft202012Validator(schema(kind))
    for data in files(kind):
        assert [error.message for error in validator.iter_errors(data)] == []
        key = next(k for k in data if k != "properties")
        wrong = {**data, key + "s": data[key]}
        assert not validator.is_valid(wrong)
        del wrong[key]
        assert not validator.is_valid(wrong)


def test_a_schema_explains_the_keys():
    entry = schema("parameters")["$defs"]["_ParameterEntry"]["properties"]
    assert {"value", "formula", "table", "unit", "source", "status", "range"} <= set(entry)
    assert entry["status"]["enum"] == ["measured", "fitted", "literature", "estimate"]


def test_unknown_kind():
    with pytest.raises(InputError, match="Did you mean 'protocol'"):
        schema("protocols")
