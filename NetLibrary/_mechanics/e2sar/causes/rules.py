"""What a rule is: the causes it can find, the scope it looks at, and the fact that supports them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from NetLibrary._mechanics.e2sar.facts import Cause, Facts, Judgement, ReceiverFacts, SenderFacts

Look = Callable[[Facts, Judgement], Iterable[Cause]]


@dataclass(frozen=True)
class Rule:
    """One rule.

    Args:
        kinds: The words of the causes that it can find.
        scope: What it looks at: `sender`, `receiver`, `either end` or `path`.
        fact: What must be seen, in words.
        look: Returns the causes that the facts support.
        fatal: Whether it explains a run that could not work at all; such rules are asked even when nothing was lost.
    """

    kinds: tuple[str, ...]
    scope: str
    fact: str
    look: Look
    fatal: bool = False


def named(side: SenderFacts | ReceiverFacts) -> str:
    """How an end is called in sentences."""
    return f"{'Sender' if isinstance(side, SenderFacts) else 'Receiver'} '{side.name}'"


def missing(judgement: Judgement) -> float:
    """A weight above that of any single kind of lost datagrams."""
    return float(judgement.frames.planned)


def older_than(version: str | None, *wanted: int) -> bool:
    """Whether a version of e2sar_perf is known and older than another.

    >>> older_than("0.1.4", 0, 2, 1), older_than("0.3.2", 0, 2, 1), older_than("netlibrary-stand-in", 1)
    (True, False, False)
    """
    parts = (version or "").split(".")
    return all(part.isdigit() for part in parts) and tuple(map(int, parts)) < wanted
