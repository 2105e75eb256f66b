"""All keywords at once: documented, tagged, without clashes; and importing them costs little."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from typing import Any

import pytest
from robot.libdocpkg import LibraryDocumentation

HEAVY = (
    "kubernetes",
    "requests",
    "urllib3",
    "matplotlib",
    "scipy",
    "numpy",
    "jinja2",
    "tabulate",
    "websocket",
    "KubeLibrary",
    "cryptography",
)


@cache
def documentation(name: str) -> Any:
    os.environ["INIT_FOR_LIBDOC_ONLY"] = "1"  # KubeLibrary would connect
    return LibraryDocumentation(name)


def keywords() -> list[Any]:
    return list(documentation("NetLibrary").keywords)


def plain(name: str) -> str:
    return name.lower().replace(" ", "").replace("_", "")


def arguments(keyword: Any) -> list[Any]:
    return [argument for argument in keyword.args if not argument.is_marker]


@pytest.mark.parametrize("keyword", keywords(), ids=lambda keyword: keyword.name)
def test_keyword_is_documented(keyword: Any) -> None:
    summary = keyword.short_doc
    first = summary.split(" ")[0]
    assert summary.endswith("."), "the summary is a sentence"
    assert first.endswith("s") or summary.startswith("*DEPRECATED!*"), (
        f"the summary is in the third person, not '{first}'"
    )
    assert keyword.tags, "a tag says which topic it is"
    silent = [argument.name for argument in arguments(keyword) if not argument.doc]
    assert not silent, "every argument is documented"
    unknown = set(keyword.args.docs) - {argument.name for argument in arguments(keyword)}
    assert not unknown, "only arguments that exist are documented"


@pytest.mark.parametrize("keyword", keywords(), ids=lambda keyword: keyword.name)
def test_every_argument_has_a_type(keyword: Any) -> None:
    untyped = [a.name for a in arguments(keyword) if not a.type and a.kind != "VAR_NAMED"]
    assert not untyped
    positional = [a for a in arguments(keyword) if a.kind in ("POSITIONAL_ONLY", "POSITIONAL_OR_NAMED")]
    assert len(positional) <= 4, "the rest is named"


@pytest.mark.parametrize("keyword", keywords(), ids=lambda keyword: keyword.name)
def test_what_is_returned_is_documented(keyword: Any) -> None:
    returns_something = str(keyword.args.return_type or "None") != "None"
    told = bool(keyword.args.return_doc) or "returns" in keyword.short_doc.lower()
    assert told == returns_something


@pytest.mark.parametrize("other", ["BuiltIn", "KubeLibrary", "RequestsLibrary", "Process", "Collections", "String"])
def test_no_keyword_has_the_name_of_another_librarys(other: str) -> None:
    names = {plain(keyword.name): keyword.name for keyword in keywords()}
    taken = {plain(keyword.name) for keyword in documentation(other).keywords}
    assert [names[name] for name in set(names) & taken] == []


def test_every_topic_is_there() -> None:
    tags = {str(tag) for keyword in keywords() for tag in keyword.tags}
    assert tags >= {"cluster", "iperf3", "skupper"}
    assert documentation("NetLibrary").scope == "GLOBAL"
    assert documentation("NetLibrary").doc_format == "MARKDOWN"


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=False, env=dict(os.environ)
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


LOADED = f"import sys; print([m for m in {HEAVY!r} if m in sys.modules])"
SUITE = """*** Settings ***
Library    NetLibrary    timeout=5s
*** Test Cases ***
T
    Wait Until Pods Are Ready    demo    app=x    timeout=3s
"""


@pytest.mark.parametrize(
    "code",
    [
        "import NetLibrary; NetLibrary.NetLibrary()",
        "from robot.libdocpkg import LibraryDocumentation; LibraryDocumentation('NetLibrary')",
        f"from robot.api import TestSuite; s = TestSuite.from_string({SUITE!r})\n"
        "r = s.run(dryrun=True, output=None, log=None, report=None, console='none'); assert r.return_code == 0",
    ],
    ids=["import", "libdoc", "dry run"],
)
def test_nothing_heavy_is_loaded_before_it_is_needed(code: str) -> None:
    assert run(f"{code}\n{LOADED}").strip() == "[]"


def test_import_is_quick() -> None:
    """Processor time, which a loaded machine does not stretch much, beyond what Robot itself takes."""
    code = "import time, robot.api, robot.libraries.BuiltIn; t = time.process_time(); import NetLibrary; "
    assert float(run(code + "print(time.process_time() - t)")) < 1.0
