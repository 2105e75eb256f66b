"""The kinds of failed probes, in words."""

from __future__ import annotations

from NetLibrary._mechanics.outages.types import StreamResult, Window

KINDS = {
    "LOST": "no answer",
    "LATE": "no answer in time",
    "REFUSED": "refused",
    "RESET": "reset",
    "CLOSED": "closed without an answer",
    "UNREACHABLE": "unreachable",
    "UNSENT": "could not be sent",
    "WRONG": "wrong answer",
    "STRANDED": "given up",
}


def failures(stream: StreamResult) -> dict[str, int]:
    """Returns the failed probes of a stream by kind."""
    return {KINDS[name]: count for name, count in sorted(stream.outcomes.items()) if name in KINDS and count}


def mixed(window: Window) -> str:
    """Returns an outage's kinds with their counts where its probes ended in several ways, else an empty text."""
    found: dict[str, int] = {}
    for name, count in window.outcomes.items():
        if name in KINDS and count:
            found[KINDS[name]] = found.get(KINDS[name], 0) + count
    return counts(found) if len(found) > 1 else ""


def counts(kinds: dict[str, int]) -> str:
    """Returns kinds with their counts as text, the most frequent first.

    Example:
        >>> counts({"reset": 2, "refused": 10})
        'refused 10, reset 2'
    """
    return ", ".join(f"{kind} {count}" for kind, count in sorted(kinds.items(), key=lambda item: -item[1]))
