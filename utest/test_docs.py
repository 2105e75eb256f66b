"""Documentation: what is told about keywords, types and suites is there."""

from __future__ import annotations

import importlib.util
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from robot.libdocpkg import LibraryDocumentation

from NetLibrary._mechanics.contract import FORMER
from NetLibrary.types import MatrixCase

ROOT = Path(__file__).parents[1]
HEADINGS = ("Topology", "Traffic", "Passes when", "Skipped when", "Variables")
PAGES = {path.stem: ROOT / "docs" / f"{path.stem}.md" for path in sorted((ROOT / "suites").glob("*.robot"))}


@cache
def library() -> Any:
    return LibraryDocumentation("NetLibrary")


def plain(name: str) -> str:
    return re.sub(r"[ _]", "", name).lower()


def texts() -> dict[str, str]:
    found = {"the introduction": library().doc}
    for keyword in library().keywords:
        found[keyword.name] = "\n".join([keyword.doc, *keyword.args.docs.values(), keyword.args.return_doc or ""])
    found |= {f"type {kind.name}": kind.doc for kind in library().type_docs if kind.type != "Standard"}
    return found


def links(text: str) -> set[str]:
    """Names in brackets outside of code, which libdoc makes into links."""
    text = re.sub(r"```.*?```|`[^`]*`", "", text, flags=re.DOTALL)
    return set(re.findall(r"(?<![\w\]\\])\[([A-Z][\w -]+)\](?![\[(:])", text))


def test_every_link_of_the_keyword_documentation_leads_somewhere() -> None:
    sections = set(re.findall(r"^#+ (.+)$", library().doc, re.MULTILINE))
    known = {
        plain(name)
        for name in [*(k.name for k in library().keywords), *(t.name for t in library().type_docs), *sections]
    }
    dead = {place: sorted(n for n in links(text) if plain(n) not in known) for place, text in texts().items()}
    assert {place: names for place, names in dead.items() if names} == {}


def test_types_of_ours_have_names_of_their_own() -> None:
    """A class `Path` of ours would be documented as a path of a file."""
    import builtins
    import pathlib

    enums = {kind.name for kind in library().type_docs if kind.type == "Enum"}
    assert not enums & {*vars(builtins), *vars(pathlib), "Path"}


SPELLED = {
    "CyPerf": r"\bCyperf\b", "E2SAR": r"\bE2sar\b", "DNS": r"\bDns\b", "TLS": r"\bTls\b", "CNI": r"\bCni\b",
    "KubeLibrary": r"\bKubelibrary\b", "RequestsLibrary": r"\bRequestslibrary\b", "API": r"\bApi\b", "IP": r"\bIp\b",
}  # fmt: skip
# Still written otherwise; names are only ever taken away here
MISSPELLED: set[str] = set()


@pytest.mark.parametrize("word", SPELLED)
def test_products_are_written_as_their_makers_do(word: str) -> None:
    wrong = {k.name for k in library().keywords if re.search(SPELLED[word], k.name)}
    assert wrong <= MISSPELLED


@pytest.mark.parametrize("name", PAGES)
def test_each_suite_has_a_page_with_the_same_headings(name: str) -> None:
    text = PAGES[name].read_text()
    missing = [heading for heading in HEADINGS if not re.search(rf"^## {heading}$", text, re.MULTILINE)]
    assert not missing


def test_pages_are_in_the_navigation() -> None:
    listed = (ROOT / "mkdocs.yml").read_text()
    assert [path.name for path in sorted((ROOT / "docs").glob("*.md")) if f" {path.name}\n" not in listed] == []


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.stem)
def test_tables_of_causes_are_those_of_the_rules(page: Path) -> None:
    spec = importlib.util.spec_from_file_location("_tables", ROOT / "docs" / "_tables.py")
    assert spec is not None and spec.loader is not None
    tables = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tables)
    text = page.read_text()
    assert tables.filled(text) == text, "run 'python docs/_tables.py'"


@pytest.mark.parametrize(
    "word",
    ["Bitrate", "Percentage", "ThroughputPath", "OutagePath", "E2SARPath", "MatrixCase", "OutageTarget", "Source",
     "500 ms"],
)  # fmt: skip
def test_the_introduction_tells_how_values_are_written(word: str) -> None:
    """`libdoc NetLibrary show` prints the introduction and keywords, and no types."""
    values = library().doc.partition("# Values of arguments")[2].partition("\n# ")[0]
    assert word in values


def test_every_keyword_that_the_page_about_kubectl_names_exists() -> None:
    rows = re.findall(r"^\| (.+) \| (.+) \|$", (ROOT / "docs" / "kubectl.md").read_text(), re.MULTILINE)
    named = {name for _, cell in rows for name in re.findall(r"`([A-Z][^`]+)`", cell)}
    assert len(named) > 30
    assert sorted(named - {keyword.name for keyword in library().keywords}) == []


def test_what_kubectl_has_a_word_for_says_so_in_its_own_documentation() -> None:
    """So that who looks for `kubectl drain` in libdoc or in an editor finds it."""
    text = (ROOT / "docs" / "kubectl.md").read_text().partition("## Commands without")[0]
    named = {name for row in re.findall(r"^\|.+\|$", text, re.MULTILINE) for name in re.findall(r"`([A-Z][^`]+)`", row)}
    assert len(named) > 30
    assert sorted(k.name for k in library().keywords if k.name in named and "kubectl" not in k.doc) == ["Start Prober"]


def test_every_row_of_the_service_matrix_names_the_documentation_that_promises_it() -> None:
    text = (ROOT / "docs" / "service_matrix.md").read_text(encoding="utf-8")
    table = text.partition("## Promised or not")[2].partition("<!-- quotes")[0]
    lines = [line.split("|")[1:4] for line in table.splitlines() if line.startswith("| `")]
    named = {name for row in lines for name in re.findall(r"`([^`]+)`", row[0])}
    assert named == {case.value for case in MatrixCase} - {"endless"}, "endless is the old name of 'no endpoints'"
    without = {row[0].strip() for row in lines if "](https://kubernetes.io/docs/" not in row[1]}
    assert without == {"`large packets`", "`host backends`"}, "these two say 'the same' as the row above them"


# The commands of kubectl 1.35, as its reference lists them (https://kubernetes.io/docs/reference/kubectl/generated/)
COMMANDS = (
    "annotate", "api-resources", "api-versions", "apply", "attach", "auth", "autoscale", "certificate", "cluster-info",
    "completion", "config", "cordon", "cp", "create", "debug", "delete", "describe", "diff", "drain", "edit", "events",
    "exec", "explain", "expose", "get", "kuberc", "kustomize", "label", "logs", "options", "patch", "plugin",
    "port-forward", "proxy", "replace", "rollout", "run", "scale", "set", "taint", "top", "uncordon", "version", "wait",
)  # fmt: skip
SUBCOMMANDS = (
    "auth can-i", "create namespace", "delete namespace", "logs -f", "rollout history", "rollout pause",
    "rollout restart", "rollout resume", "rollout status", "rollout undo", "set env", "set image", "set resources",
)  # fmt: skip


@pytest.mark.parametrize("command", [*COMMANDS, *SUBCOMMANDS])
def test_every_command_of_kubectl_is_answered(command: str) -> None:
    rows = re.findall(r"^\| (.+?) \| .+ \|$", (ROOT / "docs" / "kubectl.md").read_text(), re.MULTILINE)
    assert any(re.search(rf"`{re.escape(command)}(?![\w-])", row) for row in rows)


ALL_PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", ALL_PAGES, ids=lambda page: page.stem)
def test_commands_of_pages_use_present_names_of_variables(page: Path) -> None:
    """The tutorial's first command gave `-v BANDWIDTH:100M`, whose name was replaced, and warned."""
    assert set(re.findall(r"-v \"?(\w+):", page.read_text())) & set(FORMER) == set()
