"""Reads what `e2e.test` writes: the JUnit report of each of its processes."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

# Ginkgo writes the labels of a test behind its name once more
_LABELS = re.compile(r" \[[^\[\]]*\]$")
RAN = frozenset({"passed", "failed", "timedout", "panicked", "aborted", "interrupted"})
MOST_WORDS = 600


@dataclass(frozen=True)
class Test:
    """One test of the report.

    Args:
        name: Its name, as `-ginkgo.focus` finds it.
        status: `passed`, `failed`, `skipped`, `timedout`, `panicked`, `aborted` or `interrupted`.
        seconds: How long it took.
        words: Why it did not pass.
    """

    __test__ = False

    name: str
    status: str
    seconds: float = 0.0
    words: str = ""

    @property
    def serial(self) -> bool:
        """It disturbs others, and so must run alone."""
        return "[Serial]" in self.name or "[Disruptive]" in self.name


def read(report: Path) -> tuple[list[Test], list[str]]:
    """Returns the tests of a report that ran or were skipped by themselves, and what went wrong around them.

    Tests that the focus left out are not among them.
    """
    tests: list[Test] = []
    around: list[str] = []
    try:
        cases = list(ElementTree.parse(report).iter("testcase"))
    except ElementTree.ParseError as error:  # a process that was killed may leave half a report
        return [], [f"the report '{report.name}' cannot be read: {error}"]
    for case in cases:
        title, status = str(case.get("name")), str(case.get("status"))
        words = _words(case)
        if title.startswith("[It] "):
            if status in RAN or (status == "skipped" and words not in ("", "skipped")):
                tests.append(Test(_LABELS.sub("", title[5:]), status, float(case.get("time") or 0), words))
        elif status not in ("passed", "skipped"):
            around.append(f"{title}: {words or status}")
    return tests, around


def _words(case: ElementTree.Element) -> str:
    for kind in ("failure", "error", "skipped"):
        found = case.find(kind)
        if found is not None:
            text = found.get("message") or found.text or ""
            return " ".join(text.split())[:MOST_WORDS]
    return ""
