"""Every example in Robot syntax, of pages and of keywords, passes a dry run: names and arguments are right."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from robot.api import ExecutionResult
from robot.libdocpkg import LibraryDocumentation

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^[ \t]*```robotframework\n(.*?)^[ \t]*```", re.DOTALL | re.MULTILINE)
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LIBRARIES = "*** Settings ***\nLibrary    NetLibrary\nLibrary    Collections\n\n"


def texts() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        yield page.name, page.read_text()
    library = LibraryDocumentation("NetLibrary")
    yield "introduction", library.doc
    for keyword in library.keywords:
        yield keyword.name, keyword.doc
    for kind in library.type_docs:
        yield f"type {kind.name}", kind.doc


@cache
def examples() -> dict[str, str]:
    """Returns the examples by where they are and their number there."""
    return {
        f"{place} {number}": re.sub(r"^ {4}", "", block, flags=re.MULTILINE) if block.startswith("    ***") else block
        for place, text in texts()
        for number, block in enumerate(BLOCK.findall(text), start=1)
    }


def suite(example: str) -> str:
    """Returns a suite that holds an example: with sections as it is, else as the steps of a test."""
    if "***" not in example:
        steps = "".join(f"    {line}\n" for line in example.splitlines())
        return f"{LIBRARIES}*** Test Cases ***\nExample\n{steps}"
    if not re.search(r"^(Library|Resource) ", example, re.MULTILINE):
        example = LIBRARIES + example
    return example if "*** Test Cases ***" in example else f"{example}\n*** Test Cases ***\nExample\n    No Operation\n"


@pytest.fixture(scope="module")
def dry_run(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Runs all examples at once; returns what is wrong with each."""
    folder = tmp_path_factory.mktemp("examples")
    names = {f"example{number:03}": place for number, place in enumerate(examples())}
    for name, place in names.items():
        (folder / f"{name}.robot").write_text(suite(examples()[place]))
    output = folder / "output.xml"
    run = subprocess.run(
        [sys.executable, "-m", "robot", "--dryrun", "--output", output, "--log", "NONE", "--report", "NONE", folder],
        capture_output=True, text=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT), "CYPERF_PASSWORD": "x"},
    )  # fmt: skip
    assert output.is_file(), run.stderr
    result = ExecutionResult(output)
    found: dict[str, list[str]] = {place: [] for place in names.values()}
    for each in result.suite.suites:
        place = names[each.source.stem]
        found[place] += [f"{test.name}: {test.message}" for test in each.all_tests if test.status == "FAIL"]
    for message in result.errors:
        where = re.search(r"(example\d{3})\.robot", message.message)
        if where:
            found[names[where[1]]].append(message.message)
    return found


def test_there_are_examples() -> None:
    assert len(examples()) > 50


@pytest.mark.parametrize("place", examples())
def test_example(place: str, dry_run: dict[str, list[str]]) -> None:
    assert dry_run[place] == []
