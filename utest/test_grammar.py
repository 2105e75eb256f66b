"""One grammar for all keywords: verbs, limits, rates, waits and places mean the same whatever the topic."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import pytest
from robot.libdocpkg import LibraryDocumentation

# The verbs; what is judged is named first instead, with "Should" behind it
VERBS = {
    # kubectl's, and the like for what is set up
    "Apply", "Create", "Delete", "Deploy", "Label", "Restart", "Scale", "Connect", "Share", "Prepare", "Build", "Grant",
    "Annotate", "Cordon", "Uncordon", "Drain", "Taint", "Untaint", "Evict", "Undo", "Copy", "Patch", "Check", "Redeem", "Assign", "Use", "Aim", "Set", "Open", "Close", "Keep", "Sweep", "Skip",
    # what runs
    "Measure", "Run", "Send", "Start", "Stop", "Abort", "Wait", "Let", "Probe", "Transfer",
    # what breaks
    "Break", "Restore", "Kill", "Reload",
    # what is read and told
    "Get", "Read", "Parse", "Compare", "Describe", "Explain", "Show", "Log", "Save", "Download", "Watch", "Forget",
}  # fmt: skip
SPANS = {"timeout", "grace", "duration", "settle", "quiet", "pause", "for", "interval", "recovery"}


@cache
def keywords() -> list[Any]:
    return [k for k in LibraryDocumentation("NetLibrary").keywords if "deprecated" not in k.doc[:20].lower()]


def arguments() -> list[tuple[str, Any]]:
    """Arguments of all keywords, without those that are former names."""
    return [(k.name, a) for k in keywords() for a in k.args
            if not a.is_marker and not (a.doc or "").startswith("Deprecated name of")]  # fmt: skip


def test_names_begin_with_a_verb_of_the_grammar() -> None:
    others = {k.name.split()[0] for k in keywords() if " Should " not in k.name} - VERBS
    assert not others


def test_verbs_are_all_used() -> None:
    assert not VERBS - {k.name.split()[0] for k in keywords()}, "a verb that no keyword has is no grammar"


def test_limits_name_the_quantity_first() -> None:
    wrong = {f"{name}: {a.name}" for name, a in arguments()
             if re.match(r"(at_least|at_most|min|max)_", a.name)}  # fmt: skip
    assert not wrong


def test_limits_have_a_type_with_a_unit() -> None:
    """`CyPerf Statistic …` judges columns whose unit only the column knows."""
    wrong = {f"{name}: {a.name}" for name, a in arguments()
             if re.search(r"(^|_)at_(least|most)$", a.name) and str(a.type) == "str" and "CyPerf Statistic" not in name}  # fmt: skip
    assert not wrong


@pytest.mark.parametrize(
    ("kind", "pattern"), [("Bitrate", r"(.*_)?(bitrate|rate)"), ("Percentage", r"share|tolerance")]
)
def test_rates_and_shares_have_one_type(kind: str, pattern: str) -> None:
    assert {f"{name}: {a.name} is {a.type}" for name, a in arguments()
            if re.fullmatch(pattern, a.name) and kind not in str(a.type)} == set()  # fmt: skip


def test_spans_of_time_have_one_type() -> None:
    assert {f"{name}: {a.name} is {a.type}" for name, a in arguments()
            if a.name in SPANS and "timedelta" not in str(a.type)} == set()  # fmt: skip


def test_waits_are_called_timeout() -> None:
    found = {a.name for _, a in arguments() if re.fullmatch(r"limit|time_limit|wait_for|.+_timeout", a.name)
             and "timedelta" in str(a.type)}  # fmt: skip
    assert not found, "a second bound in a keyword is `<what>_within`; how long no answer must come is `silence`"


def test_cluster_and_namespace_mean_the_same_everywhere() -> None:
    wrong = set()
    for name, a in arguments():
        if a.name == "cluster" and (a.kind != "NAMED_ONLY" or a.required or str(a.type) != "str"):
            wrong.add(f"{name}: cluster")
        if a.name == "namespace" and "str" not in str(a.type):
            wrong.add(f"{name}: namespace")
    assert not wrong
