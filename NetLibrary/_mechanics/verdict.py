"""How every topic says what it found: checks, and the one verdict that follows from them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from NetLibrary.types.quantities import bitrate_text


class Status(Enum):
    """What a measurement was judged to be; the record has the same word as the status of the keyword that judged."""

    PASSED = "passed"
    FAILED = "failed"
    """The network or the product did not do what was asked of it."""
    ERROR = "error"
    """The measurement could not be made or is incomplete: it says nothing about the network."""
    SKIPPED = "skipped"
    """The cluster lacks what the measurement needs."""
    NOT_JUDGED = "not judged"
    """No limit was given."""


@dataclass(frozen=True)
class Check:
    """One expectation and what was seen.

    Args:
        rule: What was asked for, for instance `throughput at least`; the same text in each run, so that checks of two
            runs can be compared.
        expected: The limit, in `unit`.
        seen: What was measured, in `unit`; None when nothing was.
        unit: Unit of both, for instance `bit/s`, `ms`, `%`; empty for counts and words.
        passed: Whether the expectation was met.
        text: Sentence for the reader when it was not met; made of the other fields when left out.

    Example:
        >>> at_least("throughput", 1e9, 4e8, "bit/s").passed
        False
        >>> at_most("lost", 1, 0.2, "%").sentence
        'lost at most 1 %: seen 0.2 %.'
    """

    rule: str
    expected: Any
    seen: Any
    unit: str = ""
    passed: bool = False
    text: str = ""

    @property
    def sentence(self) -> str:
        """The check in words."""
        if self.text:
            return self.text
        seen = "nothing was measured" if self.seen is None else f"seen {_amount(self.seen, self.unit)}"
        return f"{self.rule} {_amount(self.expected, self.unit)}: {seen}."


def at_least(quantity: str, expected: float, seen: float | None, unit: str = "", text: str = "") -> Check:
    """Returns the check of a lower limit; what was not measured does not meet it."""
    return Check(f"{quantity} at least", expected, seen, unit, seen is not None and seen >= expected, text)


def at_most(quantity: str, expected: float, seen: float | None, unit: str = "", text: str = "") -> Check:
    """Returns the check of an upper limit; what was not measured does not meet it."""
    return Check(f"{quantity} at most", expected, seen, unit, seen is not None and seen <= expected, text)


def equal(rule: str, expected: Any, seen: Any, unit: str = "", text: str = "") -> Check:
    """Returns the check of a value that must be just so."""
    return Check(rule, expected, seen, unit, seen == expected, text)


@dataclass
class Verdict:
    """What a measurement was judged to be.

    Args:
        passed: None when nothing was asked of it, or when it could not be made.
        reasons: One sentence for each expectation that was missed, or why there is no result.
        status: The status in a word; follows from `passed` when left out.
    """

    passed: bool | None = None
    reasons: list[str] = field(default_factory=list)
    status: Status | None = None

    def __post_init__(self) -> None:
        if self.status is None:
            self.status = {True: Status.PASSED, False: Status.FAILED, None: Status.NOT_JUDGED}[self.passed]


def verdict(checks: Sequence[Check], errors: Sequence[str] = (), skip: str = "") -> Verdict:
    """Returns the verdict that follows from checks.

    Args:
        checks: What was asked for and seen.
        errors: Why the measurement could not be made or is not whole; then no check counts.
        skip: Why it does not apply to this cluster.

    Example:
        >>> verdict([at_most("lost", 1, 0, "%")]).status.value
        'passed'
        >>> verdict([at_most("lost", 1, 0, "%")], errors=["the server's result is missing"]).passed is None
        True
    """
    if skip:
        return Verdict(None, [skip], Status.SKIPPED)
    if errors:
        return Verdict(None, list(errors), Status.ERROR)
    missed = failed(checks)
    if missed:
        return Verdict(False, [check.sentence for check in missed])
    return Verdict(True if checks else None)


def failed(checks: Iterable[Check]) -> list[Check]:
    """Returns the checks that were not met."""
    return [check for check in checks if not check.passed]


def _amount(value: Any, unit: str) -> str:
    if unit == "bit/s" and isinstance(value, (int, float)):
        return bitrate_text(value)
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return f"{text} {unit}" if unit else text
