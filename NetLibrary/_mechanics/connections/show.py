"""Tables of connections and names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from NetLibrary._mechanics.connections import judge
from NetLibrary._mechanics.connections.results import Answer, Pair
from NetLibrary._mechanics.report import Cell, Table
from NetLibrary._mechanics.verdict import Check


def connections(pairs: Sequence[Pair], checks: Sequence[Check], caption: str) -> Table:
    """Returns a row for each pair: the first attempt of all, those that were judged, and how long they took."""
    wrong = {check.rule for check in checks if not check.passed}
    rows: list[list[object]] = []
    for pair in pairs:
        first = [*pair.settling, *pair.attempts][0]
        bad = bool(wrong & judge.rules_of(pair))
        times = sorted(attempt.ms for attempt in pair.attempts)
        rows.append(
            [
                pair.source,
                pair.target,
                f"{first.result}, {first.ms:.0f} ms",
                len(pair.settling) or "",
                Cell(pair.seen, "bad" if bad else "good"),
                f"{times[0]:.0f} to {times[-1]:.0f} ms",
            ]
        )
    return Table(["from", "to", "first attempt", "attempts while settling", "judged attempts", "time"], rows, caption)


def names(answers: Sequence[tuple[str, Answer]], checks: Sequence[Check], name: str) -> Table:
    """Returns a row for each source."""
    rows: list[list[object]] = []
    # A check of the records for each source, in the order of the answers; those of the time come after their own
    records = [check for check in checks if not judge.is_about_time(check)]
    for (source, answer), check in zip(answers, records, strict=True):
        values = ", ".join(answer.values) or "none"
        rows.append([source, answer.status, Cell(values, "good" if check.passed else "bad"), f"{answer.ms:.1f} ms"])
    return Table(["from", "status", "records", "time"], rows, name)


def samples(pairs: Sequence[Pair]) -> list[dict[str, Any]]:
    """Returns every attempt, for the record."""
    return [asdict(pair) for pair in pairs]
