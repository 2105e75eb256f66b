"""What a row demands of every cell, in place of what is computed."""

from __future__ import annotations

from collections.abc import Callable

from NetLibrary._mechanics.matrix.model.types import Expected
from NetLibrary._mechanics.probing.types import Outcome, Source, Target

EXPECTATIONS = {
    "as computed": None,
    "connected": frozenset({Outcome.CONNECTED}),
    "refused": frozenset({Outcome.REFUSED}),
    "timed out": frozenset({Outcome.TIMEOUT}),
    "blocked": frozenset({Outcome.REFUSED, Outcome.TIMEOUT, Outcome.UNREACHABLE, Outcome.RESET}),
}


def override(expectation: str) -> Callable[[Source, Target, Expected], Expected] | None:
    """Returns what changes an expectation into the one of that name; None for `as computed`."""
    outcomes = EXPECTATIONS[expectation]
    if outcomes is None:
        return None

    def change(source: Source, target: Target, computed: Expected) -> Expected:
        keep = outcomes == computed.outcomes
        responders, clients = (computed.responders, computed.clients) if keep else (None, None)
        return Expected(outcomes, responders, clients, "the row says so")

    return change
