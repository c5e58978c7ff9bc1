"""Writes the tables of parameters in docs/zinc_halogen.md from the parameter sets.

    python docs/parameter_tables.py

A table stands between `<!-- table: NAME -->` and `<!-- end of table -->`. tests/test_docs.py checks
that the page has what this makes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

from cellmodels.chemistry import Chemistry
from cellmodels.models import family, parameters_read
from cellmodels.parameter import Parameter
from cellmodels.parameter_set import ParameterSet, names

PAGE = Path(__file__).parent / "zinc_halogen.md"
CHEMISTRY, BASE = "zinc_bromine", "zinc_bromine_static"
_BLOCK = re.compile(r"(<!-- table: (.+?) -->\n).*?(<!-- end of table -->)", re.DOTALL)
_HEAD = ("parameter", "unit", "value", "range", "status", "meaning")


def written(text: str) -> str:
    """The page's text with its tables made anew."""
    return _BLOCK.sub(lambda m: f"{m[1]}\n{_table(TABLES[m[2]]())}\n\n{m[3]}", text)


def _every_cell() -> list[tuple[str, Parameter]]:
    reads = _read_by_mechanism()
    return [("", p) for name, p in _set(BASE).items() if name not in reads]


def _mechanisms() -> list[tuple[str, Parameter]]:
    held = _set(BASE)
    return [(who, held[name]) for name, who in _read_by_mechanism().items() if name in held]


def _of(name: str) -> Callable[[], list[tuple[str, Parameter]]]:
    """What a set changes in the one that it builds on."""
    base = _set(BASE)
    return lambda: [("", p) for key, p in _set(name).items() if p != base.get(key)]


def _set(name: str) -> dict[str, Parameter]:
    return dict(ParameterSet.load(name).parameters)


def _read_by_mechanism() -> dict[str, str]:
    """Parameters that no cell reads without a certain mechanism, and its name."""
    chemistry = Chemistry.load(CHEMISTRY)
    models = family(chemistry.family)
    laws = [law.expression.parameters for law in chemistry.properties.values()]
    always = {name for quoted in laws for name in quoted}
    for level in models.LEVELS:
        model = models.build(level, (), chemistry)
        always |= {*models.required(level, (), chemistry), *parameters_read(model)}
    found: dict[str, str] = {}
    for title in chemistry.mechanisms:
        (mechanism,) = models.resolve([title])
        for each in (mechanism, *mechanism.variants()):
            for name in (*each.requires, *models.required(each.levels[0], (each,), chemistry)):
                if name not in always:
                    found.setdefault(name, title)
    return found


def _table(rows: Iterable[tuple[str, Parameter]]) -> str:
    rows = list(rows)
    by = ("mechanism",) if any(who for who, _ in rows) else ()
    lines = [(*by, *_HEAD), ("---",) * (len(by) + len(_HEAD))]
    before = None
    for who, p in rows:
        span = "" if p.range is None else f"{p.range[0]:g} to {p.range[1]:g}"
        first = (who if who != before else "",) if by else ()
        name = p.name.partition(" [")[0]
        value = f"{p.value:g}" if isinstance(p.value, float) else "a function"
        lines.append((*first, name, _unit(p.unit), value, span, p.status, p.note))
        before = who
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _unit(unit: str) -> str:
    return "" if unit == "-" else unit


TABLES: dict[str, Callable[[], list[tuple[str, Parameter]]]] = {
    "every cell": _every_cell,
    "mechanisms": _mechanisms,
    **{name: _of(name) for name in names(CHEMISTRY) if name != BASE},
}

if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf8")), encoding="utf8")
