"""Importing the library is what a dry run, libdoc and editors wait for: nothing is loaded that only keywords need."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from robot.api import TypeInfo

from NetLibrary import NetLibrary
from NetLibrary.types import CONVERTERS, Bitrate

ROOT = Path(__file__).parents[1]
# What keyword files may import at their top
LIGHT = {"contract", "defaults", "encoded", "errors", "paths", "secrets"}
HEAVY = {"jinja2", "kubernetes", "matplotlib", "numpy", "requests", "scipy", "tabulate", "urllib3", "websocket"}
SUITES = sorted((ROOT / "suites").glob("*.robot"))
# Steps of these are RequestsLibrary's, which is imported with its suite
WITH_OTHER_LIBRARIES = {"cluster_health", "cyperf"}
DRY_RUN = """
import json, sys
from robot import run
code = run(sys.argv[1], dryrun=True, output=None, log=None, report=None, console="none")
print(json.dumps([code, sorted(sys.modules)]))
"""


@pytest.mark.parametrize("suite", SUITES, ids=lambda path: path.stem)
def test_dry_run_loads_no_mechanics(suite: Path) -> None:
    """A dry run took four times as long as one without the library: types of signatures pulled in 245 modules."""
    ran = subprocess.run(
        [sys.executable, "-c", DRY_RUN, str(suite)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    code, modules = json.loads(ran.stdout.splitlines()[-1])
    assert code == 0, ran.stderr
    mechanics = {name.removeprefix("NetLibrary._mechanics.") for name in modules if "NetLibrary._mechanics." in name}
    assert mechanics <= LIGHT
    assert not [name for name in modules if name.startswith(("NetLibrary.lab", "NetLibrary.standins"))]
    if suite.stem not in WITH_OTHER_LIBRARIES:
        assert not HEAVY & set(modules)


def unknown(kind: TypeInfo) -> set[str]:
    """Names in a hint that are no type when the library is imported."""
    own = {kind.name or ""} if kind.type is None and kind.name != "..." else set()
    return own.union(*(unknown(each) for each in kind.nested or ()))


def test_arguments_that_robot_converts_have_types_that_are_there_at_start_up() -> None:
    """A type that only type checkers import is a name to Robot, and its argument stays the text of the suite."""
    by_name = {
        f"{keyword}: {argument}"
        for keyword in NetLibrary().get_keyword_names()
        for argument, kind in getattr(NetLibrary, keyword).__annotations__.items()
        if argument != "return" and unknown(kind) - {"Measurement", "E2SARResult"}
    }
    assert by_name == set()


def test_none_may_be_given_where_it_means_something_other_than_the_default() -> None:
    """`exit_status=${None}` takes any status, where the default is 0; it "cannot be converted to integer"."""
    assert str(NetLibrary.run_in_pod.__annotations__["exit_status"]) == "int | None"
    assert NetLibrary.run_in_pod.__annotations__["container"].type is str


def test_robot_gets_the_names_that_it_would_find_itself() -> None:
    library = NetLibrary()
    assert library.get_keyword_names() == [
        name for name in dir(library) if hasattr(getattr(library, name), "robot_name")
    ]


def test_converters_keep_their_documentation_and_what_they_accept() -> None:
    found = NetLibrary.ROBOT_LIBRARY_CONVERTERS
    assert {kind: each.__doc__ for kind, each in found.items()} == {
        kind: each.__doc__ for kind, each in CONVERTERS.items()
    }
    assert str(found[Bitrate].robot_types["value"]) == "str | int | float | Bitrate"
    assert found[Bitrate]("1k") == Bitrate(1000)
