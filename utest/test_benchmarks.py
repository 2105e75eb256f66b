"""Benchmarks are run by hand and seldom, so a renamed module would go unnoticed in them."""

import runpy
from pathlib import Path

import pytest

SCRIPTS = sorted((Path(__file__).parents[1] / "benchmarks").glob("*.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_what_a_benchmark_uses_is_there(script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(script.parent))  # as `python SCRIPT` does
    found = runpy.run_path(str(script), run_name="imported")
    assert callable(found["main"])
    assert found["__doc__"].strip()
