import copy
import json
import pickle

import pytest

from cellmodels import chemistry
from cellmodels.chemistry import Chemistry
from cellmodels.errors import InputError

DATA = Chemistry.load("lithium_ion").to_dict()


def paths(node, path=()):
    """Every key and list entry of the file, as a path."""
    for key, value in node.items() if isinstance(node, dict) else enumerate(node):
        yield (*path, key)
        if isinstance(value, (dict, list)):
            yield from paths(value, (*path, key))


def without(path):
    data = copy.deepcopy(DATA)
    node = data
    for key in path[:-1]:
        node = node[key]
    del node[path[-1]]
    return data


def changed(path, value):
    data = copy.deepcopy(DATA)
    node = data
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    return data


def answers(it):
    """All that the rest of the library asks a chemistry."""
    return (
        it.family,
        it.title,
        it.description,
        it.defaults,
        list(it.models.items()),
        list(it.mechanisms.items()),
        [(name, law.expression, law.title) for name, law in it.properties.items()],
        [
            (name, r.reactants, r.products, r.reversible, r.title)
            for name, r in it.reactions.items()
        ],
        {name: it.references([name]) for name in [*it.models, *it.mechanisms, *it.properties]},
    )


def test_it_is_there():
    assert "lithium_ion" in chemistry.names()
    it = Chemistry.load("lithium_ion")
    assert list(it.models) == ["SPM", "SPMe", "DFN"]
    assert it.defaults.model == "SPM"
    assert it.reactions["film growth"].electrons == 2
    assert not it.reactions["isolation"].reversible
    assert it.species["EC"].atoms == {"C": 3, "H": 4, "O": 3}


@pytest.mark.parametrize("path", list(paths(DATA)), ids=lambda path: ".".join(map(str, path)))
def test_every_key_is_used(path):
    """Deleting any entry is an error, or changes what the chemistry answers."""
    try:
        it = Chemistry.from_dict(without(path))
    except InputError:
        return
    assert answers(it) != answers(Chemistry.load("lithium_ion"))


def test_mechanisms_and_models_are_those_of_the_models():
    from cellmodels.models import mechanisms

    known = {each.short_name for each in mechanisms.MECHANISMS}
    assert set(Chemistry.load("lithium_ion").mechanisms) == known


def test_default_parameters_exist():
    from cellmodels import parameter_set

    it = Chemistry.load("lithium_ion")
    assert it.defaults.parameters in parameter_set.names(it.name)


def test_property_laws_are_pybamms():
    """The laws that a set without ageing falls back on are OKane2022's."""
    import pybamm

    base = pybamm.ParameterValues("OKane2022")
    for name, law in Chemistry.load("lithium_ion").properties.items():
        arguments = [pybamm.Scalar(3.0 + i) for i in range(len(law.arguments))]
        ours = base.process_symbol(law.expression.to_pybamm(name)(*arguments))
        theirs = base.process_symbol(base[name](*arguments))
        assert ours.evaluate() == pytest.approx(theirs.evaluate(), rel=1e-12)


def test_round_trip():
    it = Chemistry.load("lithium_ion")
    assert Chemistry.from_dict(json.loads(json.dumps(DATA))) == it
    assert pickle.loads(pickle.dumps(it)) == it
    assert hash(it) == hash(Chemistry.load("lithium_ion"))


def test_check_model_and_mechanism():
    it = Chemistry.load("lithium_ion")
    assert it.check_model("spme") == "SPMe"
    assert it.check_mechanism("sei") == "SEI"
    with pytest.raises(InputError, match="no model 'SPMx'.*Did you mean"):
        it.check_model("SPMx")
    with pytest.raises(InputError, match="Did you mean 'lithium plating'"):
        it.check_mechanism("lithium plateing")


def test_references():
    it = Chemistry.load("lithium_ion")
    assert any("10.1149/1.2221597" in text for text in it.references(["DFN"]))
    assert set(it.references()) == set(it.citations.values())
    with pytest.raises(InputError, match="Did you mean 'DFN'"):
        it.references(["DNF"])


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("speceis",), {}, "unknown key 'speceis'.*Did you mean 'species'"),
        (("species", "Li+", "charg"), 1, "species -> Li\\+: unknown key 'charg'.*'charge'"),
        (("format",), 2, "format"),
        (("family",), "lead_acid", "lithium_ion, zinc_halogen"),
        (("name",), "Lithium Ion", "name"),
        (("species", "Li+", "charge"), "1", "charge"),
        (("species", "Li+", "formula"), "lithium", "formula"),
        (("species", "Li+", "phases"), ["elyte"], "electrolyte"),
        (("species", "PF6-", "charge"), 1, "one sign"),
        (("defaults", "model"), "P2D", "unknown model 'P2D'"),
        (("mechanisms", "SEI", "source"), ["Nobody1999"], "unknown citation 'Nobody1999'"),
        (("mechanisms", "SEI", "reactions"), ["film growht"], "Did you mean 'film growth'"),
        (("citations", "Extra2000"), "text", "nothing cites Extra2000"),
        (("phases", "vapour"), "text", "no species is in vapour"),
        (("properties", "Rate [furlong]"),
         {"formula": "1", "arguments": ["T"], "title": "t", "source": ["OKane2022"]}, "furlong"),
        (("properties", "Dead lithium decay rate [s-1]", "formula"), "L_se", "'L_sei'"),
        (("properties", "Dead lithium decay rate [s-1]", "formula"), "open('x')", "character"),
        (("properties", "Dead lithium decay rate [s-1]", "formula"),
         '"Dead lithium decay rate [s-1]"', "quotes itself"),
        (("reactions", "plating", "equation"), "Li+[electrolyte] <=> Li[deposit]",
         "not balanced: charge by -1"),
        (("reactions", "plating", "equation"),
         "2 Li+[electrolyte] + 2 electron <=> Li[deposit]", "Li by -1"),
        (("reactions", "plating", "equation"), "Li+[electrolyte] + electron", "'<=>'"),
        (("reactions", "plating", "equation"), "Li + electron <=> Li[deposit]", "with its phase"),
        (("reactions", "plating", "equation"), "Na+[electrolyte] + electron <=> Li[deposit]",
         "unknown species 'Na\\+'"),
        (("reactions", "plating", "equation"), "Li+[negative] + electron <=> Li[deposit]",
         "not in phase 'negative'"),
        (("reactions", "plating", "equation"), "Li+[electrolyte] + + <=> Li[deposit]",
         "cannot read '\\+'"),
    ],
)  # fmt: skip
def test_wrong_entry(path, value, message):
    with pytest.raises(InputError, match=message) as caught:
        Chemistry.from_dict(changed(path, value), where="mine.toml")
    assert str(caught.value).startswith("mine.toml: ")


def test_unknown_chemistry_and_file(tmp_path):
    with pytest.raises(InputError, match="Did you mean 'lithium_ion'"):
        Chemistry.load("lithium_iom")
    with pytest.raises(InputError, match="no file"):
        Chemistry.load(tmp_path / "absent.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("name = = 1")
    with pytest.raises(InputError, match="not a TOML file.*line 1"):
        Chemistry.load(broken)
    broken.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="UTF-8"):
        Chemistry.load(broken)


def test_a_file_of_ones_own(tmp_path):
    from cellmodels.paths import named_files

    copied = tmp_path / "mine.toml"
    text = named_files("chemistries")["lithium_ion"].read_text(encoding="utf-8")
    copied.write_text(text.replace('model = "SPM"', 'model = "DFN"'), encoding="utf-8")
    assert Chemistry.load(copied).defaults.model == "DFN"


def test_another_chemistry_fits_the_same_schema():
    """A zinc-bromine cell: two-electron metal, halogen and its complex, a side reaction."""
    data = {
        "format": 1,
        "name": "zinc_bromine",
        "title": "t",
        "description": "d",
        "family": "zinc_halogen",
        "phases": {"electrolyte": "e", "deposit": "d", "gas": "g"},
        "species": {
            "Zn+2": {"title": "t", "formula": "Zn", "charge": 2, "phases": ["electrolyte"]},
            "Br-": {"title": "t", "formula": "Br", "charge": -1, "phases": ["electrolyte"]},
            "Br3-": {"title": "t", "formula": "Br3", "charge": -1, "phases": ["electrolyte"]},
            "Br2": {"title": "t", "formula": "Br2", "charge": 0, "phases": ["electrolyte"]},
            "Zn": {"title": "t", "formula": "Zn", "charge": 0, "phases": ["deposit"]},
            "H+": {"title": "t", "formula": "H", "charge": 1, "phases": ["electrolyte"]},
            "H2": {"title": "t", "formula": "H2", "charge": 0, "phases": ["gas"]},
        },
        "reactions": {
            "zinc": {"title": "t", "equation": "Zn+2[electrolyte] + 2 electron <=> Zn[deposit]"},
            "bromine": {"title": "t",
                        "equation": "Br2[electrolyte] + 2 electron <=> 2 Br-[electrolyte]"},
            "complex": {"title": "t",
                        "equation": "Br2[electrolyte] + Br-[electrolyte] <=> Br3-[electrolyte]"},
            "hydrogen": {"title": "t", "equation": "2 H+[electrolyte] + 2 electron => H2[gas]"},
            "self-discharge": {
                "title": "t",
                "equation": "Zn[deposit] + Br2[electrolyte] => Zn+2[electrolyte] + "
                            "2 Br-[electrolyte]",
            },
        },
        "mechanisms": {"corrosion": {"title": "t", "reactions": ["hydrogen"], "source": ["A"]}},
        "models": {"lumped": {"title": "t", "source": ["A"]}},
        "properties": {},
        "defaults": {"model": "lumped", "parameters": "generic"},
        "citations": {"A": "text"},
    }  # fmt: skip
    it = Chemistry.from_dict(data)
    assert it.reactions["bromine"].electrons == 2
    assert it.reactions["complex"].electrons == 0
