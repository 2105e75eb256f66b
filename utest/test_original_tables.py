"""The tables "in the original | here": whatever they name is there, and each documented variable is read."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from robot.api import get_model
from robot.libdocpkg import LibraryDocumentation

from NetLibrary._mechanics.contract import LIBRARY

ROOT = Path(__file__).parents[1]
PAGES = {path.stem: path for path in (ROOT / "docs").glob("*.md") if "in the original | here" in path.read_text()}
#: Environment variables, and words in capitals that are no variables of a suite
NO_VARIABLES = {
    "CYPERF_PASSWORD", "CYPERF_PROXY_PASSWORD", "DIRECT_MODE", "BUF_SIZE", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "HTTP",
    "HTTPS", "ICMP", "UDP", "TCP", "DNS", "SCTP", "JSON", "IPV6", "REJECT", "DROP", "REFUSED", "TIMEOUT", "CIDR", "API",
    "MTU", "CPU", "FQDN", "CNI", "VPC", "AWS", "EKS", "NTP", "DPDK", "SNAT", "KIND", "README", "YAML", "CSV", "TIME_WAIT",
    "UPDATE", "EJFAT_URI", "EJFAT", "FABRIC", "GET", "POST", "SYN",
}  # fmt: skip


@cache
def keywords() -> dict[str, Any]:
    return {keyword.name: keyword for keyword in LibraryDocumentation("NetLibrary").keywords}


@cache
def arguments() -> set[str]:
    return {name for keyword in keywords().values() for name in keyword.args.argument_names}


def of_suite(page: str) -> list[Path]:
    """The suite of a page and the resources that it imports."""
    (suite,) = [path for path in (ROOT / "suites").glob("*.robot") if path.stem == page]
    found, left = [], [suite]
    while left:
        found.append(left.pop())
        for name in re.findall(r"^Resource\s+NetLibrary/(resources/\S+)", found[-1].read_text(), re.MULTILINE):
            left.append(ROOT / name)
    return found


def variables(page: str) -> set[str]:
    text = "\n".join(path.read_text() for path in of_suite(page))
    return {*re.findall(r"^[$@&]\{(\w+)[:}]", text, re.MULTILINE), *LIBRARY}


def rows(page: str) -> list[tuple[str, str]]:
    table = PAGES[page].read_text().split("in the original | here")[1].split("\n\n")[0]
    cells = [re.split(r"(?<!\\)\|", line) for line in table.splitlines()[2:] if line.startswith("|")]
    return [(cell[1].strip(), cell[2].strip()) for cell in cells]


def test_five_scenarios_are_compared_with_their_originals() -> None:
    assert sorted(PAGES) == ["cyperf", "e2sar", "network_break", "service_matrix", "skupper_iperf3"]


@pytest.mark.parametrize("page", sorted(PAGES))
def test_each_row_says_what_is_here(page: str) -> None:
    assert len(rows(page)) > 10
    assert [left for left, right in rows(page) if not left or not right] == []


@pytest.mark.parametrize("page", sorted(PAGES))
def test_variables_that_are_named_exist(page: str) -> None:
    known = variables(page) | NO_VARIABLES
    named = {name for _left, right in rows(page) for name in re.findall(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b", right)}
    assert sorted(named - known) == []


@pytest.mark.parametrize("page", sorted(PAGES))
def test_keywords_arguments_files_and_rows_that_are_named_exist(page: str) -> None:
    """A keyword is in code with a capital letter, an argument ends with `=`, a file has a slash, a row is quoted."""
    tests = {test.name for test in get_model(of_suite(page)[0]).sections[-1].body if hasattr(test, "name")}
    own = {
        item.name
        for path in of_suite(page)
        for section in get_model(path).sections
        for item in getattr(section, "body", [])
        if hasattr(item, "name")
    }
    wrong = []
    for _left, right in rows(page):
        for code in re.findall(r"`([^`]+)`", right):
            if re.fullmatch(r"[A-Z]\w+(?: [A-Z0-9]\w*)+", code) and code not in keywords() and code not in own:
                wrong.append(f"keyword {code}")
            if (match := re.fullmatch(r"(\w+)=.*", code)) and match[1] not in arguments() | variables(page):
                wrong.append(f"argument {code}")
            if re.fullmatch(r"(?:manifests|containers|suites|resources|benchmarks|atest)/[\w./-]*", code):
                wrong += [] if (ROOT / code).exists() else [f"file {code}"]
        for row in re.findall(r'\brow "([^"]+)"', right):
            wrong += [] if row in tests else [f"row {row}"]
        for row in re.findall(r"\brow ((?:[A-Z]\w+ ?)+)", right):
            wrong += [] if row.strip() in tests else [f"row {row}"]
    assert wrong == []


def tabled(page: str) -> set[str]:
    """Variables of the table under the heading Variables of a page."""
    text = (ROOT / "docs" / f"{page}.md").read_text()
    section = text.split("## Variables")[1].split("\n## ")[0]
    lines = [line.split("|")[1] for line in section.splitlines() if line.startswith("|")]
    return {name for cell in lines for name in re.findall(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*\b", cell)} - NO_VARIABLES


@pytest.mark.parametrize("page", sorted(path.stem for path in (ROOT / "suites").glob("*.robot")))
def test_each_documented_variable_is_defined_and_read(page: str) -> None:
    """A variable that stands in the table, and that no step uses, would do nothing without a word."""
    text = "\n".join(path.read_text() for path in of_suite(page))
    code = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith(("#", "...  *")))
    missing, unread = [], []
    for name in sorted(tabled(page)):
        if name not in variables(page):
            missing.append(name)
        definition = rf"^[$@&]\{{{name}(?::[^}}]*)?\}}"
        uses = re.sub(definition, "", code, flags=re.MULTILINE)
        used = re.search(rf"[$@&]\{{{name}\b|\${name}\b", uses)
        if not used and name not in LIBRARY:
            unread.append(name)
    assert (missing, unread) == ([], [])


@pytest.mark.parametrize("page", sorted(PAGES))
def test_each_variable_of_a_topic_is_documented(page: str) -> None:
    own = {
        name for path in of_suite(page)[:2] for name in re.findall(r"^[$@&]\{(\w+)[:}]", path.read_text(), re.MULTILINE)
    }
    own -= {name for name in own if name.endswith(("_MANIFESTS", "_OLD_LIMITS"))}
    told = (ROOT / "docs" / f"{page}.md").read_text()
    assert sorted(name for name in own if not re.search(rf"\b{name}\b", told)) == []
