"""Benchmarks are run by hand and seldom, so a renamed module would go unnoticed in them."""

import ast
import runpy
from pathlib import Path
from types import ModuleType

import pytest

FILES = sorted((Path(__file__).parents[1] / "benchmarks").glob("*.py"))
# What several share is no script
SCRIPTS = [path for path in FILES if "__main__" in path.read_text()]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_what_a_benchmark_uses_is_there(script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(script.parent))  # as `python SCRIPT` does
    found = runpy.run_path(str(script), run_name="imported")
    assert callable(found["main"])
    assert found["__doc__"].strip()
    modules = {name: value for name, value in found.items() if isinstance(value, ModuleType)}
    for node in ast.walk(ast.parse(script.read_text())):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules:
            assert hasattr(modules[node.value.id], node.attr), f"{node.value.id}.{node.attr} is no more"
