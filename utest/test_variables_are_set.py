"""Every variable of every suite is set from the command line by a test on the lab, or listed here with a reason.

`atest/variables.robot` sets them to what is not the default and looks at what comes of it. A variable that nothing reads,
or that breaks on the text of a command line, is found there and nowhere else.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from NetLibrary._mechanics.contract import LIBRARY

ROOT = Path(__file__).parents[1]
SUITES = sorted(path.stem for path in (ROOT / "suites").glob("*.robot"))
#: Same in all suites: name → the file whose test sets it, and looks at all suites that it is about
COMMON = {
    **dict.fromkeys(
        ("TOLERATIONS", "NODE_SELECTOR", "PRIORITY_CLASS", "POD_LABELS", "POD_ANNOTATIONS"), "atest/guests.py"
    ),
    **dict.fromkeys(("POD_REQUESTS", "PULL_SECRET", "IMAGE_PULL_POLICY", "REGISTRY"), "atest/guests.py"),
    **dict.fromkeys(("POD_LIMITS", "POD_USER", "POD_READ_ONLY_ROOT"), "atest/kinds.py"),
    **dict.fromkeys(("KUBECONFIG", "CONTEXT", "CLUSTER"), "atest/variables.robot"),
    "ALLOW_DISRUPTION": "utest/kube/test_eviction.py",
}
#: Set by another test: name → file
ELSEWHERE = {
    "SKUPPER_HUB_KUBECONFIG": "atest/skupper_two_clusters.robot",
    "SKUPPER_CLIENT_KUBECONFIG": "atest/skupper_two_clusters.robot",
    "SKUPPER_WORKLOAD_KUBECONFIG": "atest/skupper_two_clusters.robot",
}
#: Not for the command line: name → why
NOT_SET = {
    "E2E_TEST": "upstream's program of the cluster's version, which a lab has not",
    "CYPERF_PASSWORD": "a secret, from the environment",
    "CYPERF_PROXY_PASSWORD": "a secret, from the environment",
    "CYPERF_PROXY_USERNAME": "belongs to a proxy that controllers connect to, which the stand-in has not",
    "OUTAGE_OLD_LIMITS": "a table of former names",
    "POLICY_CELLS": "follows from the nine pods and the ports that the rows are about",
    "POLICY_PODS": "the label that the suite itself gives to its pods",
}
#: Suites that measure nothing which could be compared with an earlier run
NO_FIGURES = {"cluster_health", "network_policies"}


def variables(path: Path) -> set[str]:
    found = re.search(r"^\*\*\* Variables \*\*\*\n(.*?)(?=^\*\*\*|\Z)", path.read_text(), re.MULTILINE | re.DOTALL)
    return set(re.findall(r"^[$@&]\{(\w+)[:}]", found[1] if found else "", re.MULTILINE))


def of_suite(suite: str) -> set[str]:
    """Variables of a suite and of the resources that it imports, those of the contract included."""
    names, left = set(LIBRARY), [ROOT / "suites" / f"{suite}.robot"]
    while left:
        path = left.pop()
        names |= variables(path)
        found = re.findall(r"^Resource\s+NetLibrary/(resources/\S+)", path.read_text(), re.MULTILINE)
        left += [ROOT / name for name in found]
    return names


@cache
def given() -> dict[str, set[str]]:
    """Suite → names that the test on the lab sets for it."""
    text = "\n".join(path.read_text() for path in sorted((ROOT / "atest").glob("variables*.robot")))
    lists = dict(re.findall(r"VAR    @\{(\w+)\}((?:\n +\.\.\. .*)+)", text))
    names: dict[str, set[str]] = {suite: set() for suite in SUITES}
    for suite, words in re.findall(r"Run Suite With    (\w+)(.*(?:\n +\.\.\. .*)*)", text):
        for name in re.findall(r"@\{(\w+)\}", words):
            words += lists[name]
        names[suite] |= set(re.findall(r" ([A-Z][A-Z0-9_]+):", words))
    return names


@pytest.mark.parametrize("suite", SUITES)
def test_every_variable_is_set_on_the_command_line_by_a_test(suite: str) -> None:
    """Four could not be set: a Secret, a list, limits and a switch ended the run with an error of Robot's."""
    wanted = of_suite(suite) - set(COMMON) - set(ELSEWHERE) - set(NOT_SET)
    if suite in NO_FIGURES:
        wanted -= {"BASELINE", "TOLERANCE"}
    if suite == "service_matrix":
        wanted -= {"TOLERANCE"}  # tables are equal or not
    assert sorted(wanted - given()[suite]) == []


@pytest.mark.parametrize("suite", SUITES)
def test_only_variables_that_exist_are_set(suite: str) -> None:
    assert sorted(given()[suite] - of_suite(suite)) == []


def test_what_is_set_elsewhere_is_set_there() -> None:
    missing = []
    for name, place in {**COMMON, **ELSEWHERE}.items():
        path = ROOT / place
        files = [path] if path.is_file() else [*path.glob("*.py"), *path.glob("*.robot")]
        if not any(name in each.read_text() for each in files):
            missing.append(f"{name} in {place}")
    assert missing == []


def test_reasons_are_about_variables_that_exist() -> None:
    present = {name for suite in SUITES for name in of_suite(suite)}
    assert sorted({*COMMON, *ELSEWHERE, *NOT_SET} - present) == []
