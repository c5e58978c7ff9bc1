"""The README's commands are those that are run, and its example is one that can be."""

import ast
import functools
import inspect
import re
import runpy
import subprocess
import typing
from pathlib import Path

import pytest

import cellmodels as cm

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf8")


def fenced(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def example():
    (text,) = fenced("python")
    return ast.parse(text)


def test_the_first_two_sh_blocks_are_the_two_commands():
    job, tests = fenced("sh")[:2]
    assert "cellmodels demo" in job
    assert "pytest" in tests
    for block in (job, tests):
        assert "pip install" in block
        # one command, which fails when any part of it fails
        assert len(block.splitlines()) == 1
        assert subprocess.run(["sh", "-n"], input=block, text=True, check=False).returncode == 0


@pytest.mark.parametrize("number", [1, 2])
def test_ci_runs_the_two_commands_word_for_word(number):
    script = ROOT / ".ci" / "run"
    command = ["bash", str(script), "block", str(number)]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert shown == fenced("sh")[number - 1]
    assert f'sh -ec "$(block {number})"' in script.read_text(encoding="utf8")


def public(node):
    """What an expression such as ``cm.Fit.load`` stands for, or None if it is nothing of ours."""
    if isinstance(node, ast.Name):
        return cm if node.id == "cm" else None
    if isinstance(node, ast.Attribute):
        owner = public(node.value)
        return None if owner is None else getattr(owner, node.attr)
    return None


def test_the_example_uses_public_names_with_arguments_that_they_take(example):
    calls = [node for node in ast.walk(example) if isinstance(node, ast.Call)]
    ours = [(node, public(node.func)) for node in calls if public(node.func) is not None]
    assert len(ours) > 8
    for node, function in ours:
        values = {keyword.arg: None for keyword in node.keywords}
        inspect.signature(function).bind(*node.args, **values)


def test_the_example_uses_attributes_that_results_have(example):
    """Of variables that are made by a function of ours which says what it returns."""
    kinds = {}
    for node in ast.walk(example):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            made = public(node.value.func)
            kind = made if inspect.isclass(made) else typing.get_type_hints(made)["return"]
            kinds[node.targets[0].id] = kind
    assert kinds["fit"] is cm.Fit
    for node in ast.walk(example):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            kind = kinds.get(node.value.id)
            assert kind is None or hasattr(kind, node.attr), f"{node.value.id}.{node.attr}"


def test_the_cell_and_protocol_of_the_example_can_be_made(example, tmp_path):
    script = tmp_path / "example.py"
    ends = next(k for k, node in enumerate(example.body) if "simulate" in ast.unparse(node))
    script.write_text("\n".join(ast.unparse(node) for node in example.body[:ends]))
    made = runpy.run_path(str(script))
    names = [node.value for node in ast.walk(example) if is_parameter(node)]
    assert names
    assert set(names) <= set(made["cell"].ageing_parameters)


def is_parameter(node):
    is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
    return is_text and re.search(r" \[[^\]]+\]$", node.value) is not None


@functools.cache
def commands():
    """Names of the command line's commands."""
    from cellmodels.cli import app

    return {command.name or command.callback.__name__ for command in app.registered_commands}


def test_the_commands_it_names_exist():
    named = set(re.findall(r"cellmodels (\w+) (?:\w+\.toml)", README)) | {"demo"}
    assert named <= commands()


def test_the_benchmarks_it_names_exist():
    section = README.split("## How accuracy is measured")[1]
    for name in re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE):
        assert (ROOT / "benchmarks" / f"{name}.py").exists(), name
