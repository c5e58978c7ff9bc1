"""The chemistry files of zinc-halogen cells: every key of them is consumed."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest

import cellmodels as cm
from cellmodels import parameter_set
from cellmodels.chemistry import Chemistry
from cellmodels.errors import InputError
from cellmodels.models.zinc_halogen.mechanisms import MECHANISMS

from .conftest import CHEMISTRIES, FLOW_SETS, LUMPED

DATA = {name: Chemistry.load(name).to_dict() for name in CHEMISTRIES}


def paths(node: Any, path: tuple = ()) -> Iterator[tuple]:
    """Every key and list entry of the file, as a path."""
    for key, value in node.items() if isinstance(node, dict) else enumerate(node):
        yield (*path, key)
        if isinstance(value, (dict, list)):
            yield from paths(value, (*path, key))


def without(name: str, path: tuple) -> dict:
    """The file without an entry."""
    data = copy.deepcopy(DATA[name])
    node = data
    for key in path[:-1]:
        node = node[key]
    del node[path[-1]]
    return data


def changed(name: str, path: tuple, value: Any) -> dict:
    """The file with another entry."""
    data = copy.deepcopy(DATA[name])
    node = data
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    return data


def cited(it: Chemistry) -> dict[str, list]:
    """References of all that has some."""
    named = [*it.models, *it.mechanisms, *it.properties, *it.equilibria, *it.isotherms]
    return {key: it.references([key]) for key in [*named, *it.saturations]}


def begins_with(it: Chemistry) -> tuple:
    """What a cell begins with, and its mechanisms."""
    first = cm.Cell(it)
    every = [kind.short_name for kind in MECHANISMS if kind.short_name in it.mechanisms]
    return first.model, first.parameters.name, every


def model_of(it: Chemistry) -> tuple:
    """The model that does everything, by its equations."""
    lumped = [name for name in LUMPED if name in it.mechanisms]
    cell = cm.Cell(it, FLOW_SETS[it.name], mechanisms=lumped)
    model = cell.pybamm_model()
    return (
        sorted((v.name, e.id) for v, e in (model.rhs | model.algebraic).items()),
        sorted((event.name, event.expression.id) for event in model.events),
        str(cell.parameter_values()["Electrolyte conductivity [S.m-1]"](2000.0, 300.0)),
    )


#: The cheapest first: a model takes a second to build.
ASPECTS = (cited, begins_with, model_of)


@pytest.fixture(scope="module")
def whole() -> dict[str, list]:
    loaded = {name: Chemistry.load(name) for name in CHEMISTRIES}
    return {name: [aspect(it) for aspect in ASPECTS] for name, it in loaded.items()}


KEYS = [(name, path) for name in CHEMISTRIES for path in paths(DATA[name])]


@pytest.mark.parametrize(
    ("name", "path"), KEYS, ids=[".".join(map(str, (name, *path))) for name, path in KEYS]
)
def test_every_key_is_used(name, path, whole):
    """Deleting any entry is an error, or changes the model, what a cell begins with or cites."""
    try:
        it = Chemistry.from_dict(without(name, path))
        assert any(aspect(it) != known for aspect, known in zip(ASPECTS, whole[name], strict=True))
    except InputError:
        return


@pytest.mark.parametrize("name", CHEMISTRIES)
def test_what_a_chemistry_names_exists(name):
    it = Chemistry.load(name)
    assert set(it.mechanisms) <= {kind.short_name for kind in MECHANISMS}
    assert it.defaults.parameters in parameter_set.names(it.name)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (
            ("reactions", "metal electrode", "equation"),
            "Zn+2[electrolyte] + 2 electron <=> Zn[isolated]",
            "'metal electrode' must make -1 zinc ion, \\+1 deposit",
        ),
        (
            ("reactions", "halogen electrode", "equation"),
            "2 Br2[electrolyte] + 4 electron <=> 4 Br-[electrolyte]",
            "'halogen electrode' must make -1 bromine, \\+2 bromide",
        ),
        (
            ("reactions", "attack", "equation"),
            "Zn[deposit] + Br3-[electrolyte] => Zn+2[electrolyte] + 3 Br-[electrolyte]",
            None,  # the bromine of the tribromide: the same change of the components
        ),
        (
            ("reactions", "isolation", "equation"),
            "Zn[isolated] => Zn[deposit]",
            "mechanisms -> dead zinc: the model runs no reaction 'Zn\\[isolated\\]",
        ),
        (
            ("reactions", "hydrogen evolution", "equation"),
            "2 H2O[electrolyte] + 2 electron => H2[gas] + 2 OH-[electrolyte]",
            None,  # two hydroxide made are two protons used
        ),
        (
            ("mechanisms", "precipitation", "reactions"),
            [],
            "mechanisms -> precipitation: no reaction is listed that makes -1 zinc ion",
        ),
        (
            ("mechanisms", "water loss", "reactions"),
            ["water"],
            "mechanisms -> water loss: the model runs no reaction 'H2O",
        ),
    ],
)
def test_reactions_are_those_that_the_model_runs(path, value, message):
    it = Chemistry.from_dict(changed("zinc_bromine", path, value))
    every = LUMPED
    if message is None:
        assert cm.Cell(it, "zinc_bromine_flow", mechanisms=every).mechanisms
        return
    with pytest.raises(InputError, match=message):
        cm.Cell(it, "zinc_bromine_flow", mechanisms=every)
