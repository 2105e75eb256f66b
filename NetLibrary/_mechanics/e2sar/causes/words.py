"""Phrases that several rules share."""

from __future__ import annotations

from NetLibrary._mechanics.e2sar.facts import ReceiverFacts, SenderFacts


def throttling(side: ReceiverFacts | SenderFacts) -> tuple[bool, str] | None:
    """Returns whether a container was throttled often, and that in words; None when never."""
    held = side.evidence.held
    return (held.often, held.words(side.cpu_limit)) if held and held.occurred else None
