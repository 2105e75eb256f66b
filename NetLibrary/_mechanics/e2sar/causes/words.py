"""Phrases that several rules share."""

from __future__ import annotations

from NetLibrary._mechanics.e2sar.facts import ReceiverFacts, SenderFacts


def throttling(side: ReceiverFacts | SenderFacts) -> tuple[float, str] | None:
    """Returns in which share of the periods a container was throttled, and that in words; None when in none."""
    counted = side.evidence.throttled
    if not counted or counted[1] <= 0 or counted[0] <= 0:
        return None
    share = min(1.0, counted[0] / counted[1])
    limit = side.cpu_limit or (f"{side.evidence.cpus:g}" if side.evidence.cpus else "?")
    return (
        share,
        f"its CPU limit of {limit} throttled it in {100 * share:.0f} % of the periods ({counted[0]} of {counted[1]})",
    )
