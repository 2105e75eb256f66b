"""A check for each test, and what of the run is not whole."""

from __future__ import annotations

from NetLibrary._mechanics.conformance.run import Outcome
from NetLibrary._mechanics.verdict import Check

MOST_NAMED = 5


def checks(outcome: Outcome) -> list[Check]:
    """Returns a check for each test that ran; those that skipped themselves are none."""
    return [
        Check(
            test.name, "passed", test.status, "", test.status == "passed", f"{test.name}: {test.status}. {test.words}"
        )
        for test in outcome.tests
        if test.status not in ("skipped", "interrupted")
    ]


def errors(outcome: Outcome) -> list[str]:
    """Returns why the run is not whole: no statement about the cluster."""
    found = list(outcome.around)
    cut = [test.name for test in outcome.tests if test.status == "interrupted"]
    if lost := [*cut, *outcome.missing]:
        more = f" and {len(lost) - MOST_NAMED} more" if len(lost) > MOST_NAMED else ""
        found.append(f"{len(lost)} of {len(outcome.wanted)} tests did not end: {'; '.join(lost[:MOST_NAMED])}{more}.")
    if not found and not checks(outcome):
        found.append("All tests skipped themselves: " + "; ".join(sorted({test.words for test in outcome.tests})[:3]))
    return found
