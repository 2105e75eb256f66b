"""The tests as a table, those that did not pass first."""

from __future__ import annotations

from NetLibrary._mechanics.conformance.run import Outcome
from NetLibrary._mechanics.report import Cell, Table

COLOURS = {"passed": "good", "skipped": "idle"}


def tests(outcome: Outcome, caption: str) -> Table:
    """Returns a row for each test."""
    ordered = sorted(outcome.tests, key=lambda test: (test.status == "passed", test.status == "skipped", test.name))
    rows = [
        [test.name, Cell(test.status, COLOURS.get(test.status, "bad")), f"{test.seconds:.1f} s", test.words]
        for test in ordered
    ]
    wrong = any(test.status not in COLOURS for test in outcome.tests)
    return Table(["test", "status", "time", "words"], rows, caption, headline=wrong)
