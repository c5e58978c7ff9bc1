"""The documentation says what is there."""

import ast
import importlib.util
import inspect
import re
import tomllib
from pathlib import Path

import pytest

import cellmodels as cm
from cellmodels.batch_file import read_batch_file
from cellmodels.checkups_file import read_checkups_file
from cellmodels.chemistry import Chemistry
from cellmodels.fit_file import read_fit_file, read_simulate_file
from cellmodels.models import family
from cellmodels.parameter_set import ParameterSet
from cellmodels.protocol import Protocol, Step
from cellmodels.record import read_record

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PACKAGE = ROOT / "cellmodels"
README = ROOT / "README.md"


def modules_there():
    """Modules, and packages with a slash at the end."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        name = path.relative_to(PACKAGE).as_posix()
        found.add(name.removesuffix("__init__.py"))
    return found - {""}


def modules_in_the_tables():
    text = (DOCS / "architecture.md").read_text(encoding="utf8")
    return re.findall(r"^\| `([a-z_/]+(?:\.py|/))` \|", text, flags=re.MULTILINE)


def test_architecture_names_every_module_once_and_no_other():
    named = modules_in_the_tables()
    assert sorted(named) == sorted(modules_there())


def pages():
    return [*sorted(DOCS.glob("*.md")), ROOT / "README.md", ROOT / "CHANGELOG.md"]


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_links_inside_the_repository_lead_somewhere(page):
    text = page.read_text(encoding="utf8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        other = page.parent / name if name else page
        assert other.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", other.read_text(encoding="utf8"), re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", h).strip().lower().replace(" ", "-") for h in headings}
            assert anchor in slugs, target


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_modules_named_in_a_page_exist(page):
    for name in re.findall(r"`((?:[a-z_]+/)*[a-z_]+\.py)`", page.read_text(encoding="utf8")):
        assert any((root / name).exists() for root in (PACKAGE, ROOT)), name


def snippets():
    """Page and text of each Python snippet."""
    found = []
    for page in pages():
        text = page.read_text(encoding="utf8")
        blocks = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
        found += [(page, block) for block in blocks]
    return found


#: What names in snippets stand for.
STAND_FOR = {
    "fit": (cm.Fit, cm.FreshFit),
    "batch": (cm.Batch,),
    "pooled": (cm.PooledFit,),
    "modes": (cm.DegradationModes,),
    "balance": (cm.ElectrodeBalance,),
    "cell": (cm.Cell, cm.ParameterSet),
}


def meant(node):
    """Objects that ``cm.name`` or a method of a known name may be, and whether they need self."""
    if not (isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)):
        return []
    base = node.value.id
    if base == "cm":
        return [(getattr(cm, node.attr), False)]
    owners = [kind for kind in STAND_FOR.get(base, ()) if hasattr(kind, node.attr)]
    return [(getattr(kind, node.attr), True) for kind in owners]


def refused(call, function, bound):
    """Why a function does not take the arguments of a call; None where it does."""
    if any(isinstance(each, ast.Starred) for each in call.args):
        return None
    named = {each.arg: None for each in call.keywords if each.arg}
    method = bound and not inspect.ismethod(function)
    try:
        inspect.signature(function).bind(*([None] * (len(call.args) + method)), **named)
    except TypeError as error:
        return str(error)
    return None


def test_snippets_call_what_is_there_as_it_is():
    checked = 0
    for page, block in snippets():
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.Call) and (choices := meant(node.func)):
                reasons = [refused(node, *choice) for choice in choices]
                assert None in reasons, (page.name, ast.unparse(node), reasons)
                checked += 1
    assert checked > 60


def test_snippets_read_attributes_that_are_there():
    for page, block in snippets():
        for node in ast.walk(ast.parse(block)):
            owners = STAND_FOR.get(getattr(getattr(node, "value", None), "id", ""), ())
            if isinstance(node, ast.Attribute) and owners:
                known = {n for kind in owners for n in (*dir(kind), *inspect.get_annotations(kind))}
                assert node.attr in known, (page.name, ast.unparse(node))


def test_every_public_name_is_in_a_page():
    text = "".join(page.read_text(encoding="utf8") for page in [*DOCS.glob("*.md"), README])
    for name in set(cm.__all__) - {"__version__"}:
        assert re.search(rf"\b{name}\b", text), name


def test_the_pooled_snippet_continues_the_batchs():
    """Its parameters are those of the set of mechanisms that it takes."""
    (batch,) = [block for _, block in snippets() if "cm.fit_tasks(" in block]
    (pooled,) = [block for _, block in snippets() if "cm.fit_pooled(" in block]
    (call,) = [n for n in ast.walk(ast.parse(batch)) if isinstance(n, ast.Call)
               and ast.unparse(n.func) == "cm.fit_tasks"]  # fmt: skip
    free = ast.literal_eval(call.args[3])
    chosen = re.search(r'endswith\("\| (.+?)"\)', pooled)
    named = re.findall(r'"([^"]+ \[[^"]+\])"', pooled)
    assert named and set(named) <= set(free[chosen.group(1)])
    assert not [other for other in free if other != chosen.group(1)
                and f"017 | {other}".endswith(f"| {chosen.group(1)}")]  # fmt: skip


def examples():
    """File name -> text of the fenced blocks of files.md, whose first line names the file."""
    text = (DOCS / "files.md").read_text(encoding="utf8")
    blocks = re.findall(r"^```(toml|csv)\n# (\S+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert len(blocks) == text.count("```toml") + text.count("```csv")
    assert all(name.endswith(f".{kind}") for kind, name, _ in blocks)
    return {name: f"# {name}\n{text}" for _, name, text in blocks}


def readers(text):
    """What reads a file with this content."""
    if text.splitlines()[0].endswith(".csv"):
        table_of_a_batch = text.splitlines()[1].startswith("name,")
        return [] if table_of_a_batch else [read_record]
    keys = tomllib.loads(text).keys()
    if "batch" in keys:
        return [read_batch_file]
    if "data" in keys:
        return [read_checkups_file]
    if "cell" in keys:
        return [read_fit_file, read_simulate_file]
    kinds = {"species": Chemistry.load, "parameters": ParameterSet.load, "protocol": Protocol.load}
    return [next(load for key, load in kinds.items() if key in keys)]


@pytest.fixture
def folder(tmp_path):
    for name, text in examples().items():
        (tmp_path / name).write_text(text, encoding="utf8")
    return tmp_path


@pytest.mark.parametrize("name", examples())
def test_example_files_can_be_read(folder, name):
    for read in readers(examples()[name]):
        assert read(folder / name) is not None


def test_the_examples_are_of_every_kind():
    kinds = {read for text in examples().values() for read in readers(text)}
    assert len(kinds) == 8


# --- the page about zinc-halogen cells -----------------------------------------------------------

ZINC = DOCS / "zinc_halogen.md"


@pytest.fixture(scope="module")
def zinc_page():
    return ZINC.read_text(encoding="utf8")


@pytest.fixture(scope="module")
def zinc_models():
    """Models of every level with all mechanisms that it has, and their chemistry."""
    chemistry = Chemistry.load("zinc_bromine")
    models = family(chemistry.family)
    every = models.resolve(list(chemistry.mechanisms))
    return [
        models.build(level, [m for m in every if level in m.levels], chemistry)
        for level in models.LEVELS
    ], chemistry


@pytest.fixture(scope="module")
def parameter_tables():
    spec = importlib.util.spec_from_file_location("tables", DOCS / "parameter_tables.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_tables_of_parameters_are_those_of_the_sets(parameter_tables, zinc_page):
    made = parameter_tables.written(zinc_page)
    assert made == zinc_page, "run python docs/parameter_tables.py"
    assert set(re.findall("<!-- table: (.+?) -->", zinc_page)) == set(parameter_tables.TABLES)


def test_tables_hold_every_parameter_and_what_it_means(parameter_tables):
    rows = [p for name in ("every cell", "mechanisms") for _, p in parameter_tables.TABLES[name]()]
    assert sorted(p.name for p in rows) == sorted(
        ParameterSet.load("zinc_bromine_static").parameters
    )
    for make in parameter_tables.TABLES.values():
        assert [p.name for _, p in make() if not p.note] == []


def test_the_zinc_page_names_every_mechanism_state_and_event(zinc_page, zinc_models):
    models, chemistry = zinc_models
    mechanisms = family(chemistry.family).resolve(list(chemistry.mechanisms))
    names = [f"`{type(m).__name__}`" for m in mechanisms]
    names += [f"`{name}`" for name in family(chemistry.family).state_variables(chemistry)]
    text = " ".join(zinc_page.split())
    assert [name for name in names if name not in text] == []
    events = {event.name for model in models for event in model.events}
    events = {name for name in events if "crystallises" not in name}
    assert [name for name in events if f'"{name}"' not in text] == []


@pytest.mark.slow
def test_the_code_of_the_zinc_page_runs(zinc_page, capsys):
    blocks = re.findall(r"^```python\n(.*?)^```$", zinc_page, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 3
    scope = {}
    for block in blocks:
        exec(compile(block, "zinc_halogen.md", "exec"), scope)  # noqa: S102
    assert scope["life"].attrs["outcome"] == "completed"
    assert float(scope["bromine"].max()) > 10
    assert "numbers of this cell are estimates" in capsys.readouterr().out


def test_protocols_of_the_zinc_page_can_be_read(zinc_page):
    steps = re.findall(r'"((?:Charge|Discharge|Hold|Rest) [^"…]*)"', zinc_page)
    assert len(steps) > 10
    for step in steps:
        Step.parse(step)
