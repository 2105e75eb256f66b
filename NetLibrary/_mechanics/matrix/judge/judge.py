"""Compares what was seen with what was expected, and names what is wrong about a cell."""

from __future__ import annotations

from NetLibrary._mechanics.addresses import is_address
from NetLibrary._mechanics.matrix.model.types import Cell, Expected
from NetLibrary._mechanics.probing.types import Observation, Outcome, Source, Target

# `agnhost connect` tells whether a connection came about and nothing else
UNASKED = "identity not asked"
# Symptoms, the words that the diagnosis works with
SYMPTOMS = (
    "blocked",
    "flapping",
    "open",
    "reason",
    "responder",
    "client",
    "affinity",
    "records",
    "dns",
    "slow",
    "lost",
    "status",
    "object",
    "error",
)


def judge(source: Source, target: Target, expected: Expected, observed: Observation) -> Cell:
    """Builds the cell with its verdict.

    A probe that could not run is wrong by itself: it is neither connected nor blocked.
    """
    symptom, why = _verdict(expected, observed)
    return Cell(source, target, expected, observed, right=not symptom, symptom=symptom, why=why)


def _verdict(expected: Expected, observed: Observation) -> tuple[str, str]:
    wanted = expected.outcomes
    if observed.outcome is Outcome.ERROR:
        return "error", f"the probe could not run: {observed.detail}"
    if observed.mixed and observed.outcome not in wanted:
        return "flapping", f"only some connections succeed: {observed}"
    if observed.outcome not in wanted:
        if observed.outcome is Outcome.CONNECTED:
            return "open", f"must be {expected}, but {observed}"
        if Outcome.CONNECTED not in wanted:
            return "reason", f"must be {expected}, but is {observed}"
        kind = "dns" if observed.outcome is Outcome.DNS else "blocked"
        return kind, f"must be {expected}, but is {observed}"
    if observed.outcome is not Outcome.CONNECTED and not observed.responders:
        return "", ""
    return _content(expected, observed)


def _content(expected: Expected, observed: Observation) -> tuple[str, str]:
    """A connection came about; was it the right one?"""
    if observed.detail == UNASKED:
        return "", ""
    if expected.status is not None and not observed.detail.startswith(f"HTTP {expected.status} "):
        return "status", f"must answer with HTTP status {expected.status}, but answered '{observed.detail}'"
    if expected.records is not None and _records(observed) != expected.records:
        return "records", f"the records must be {_names(expected.records)}, but are {_names(_records(observed))}"
    if expected.an_address and not any(map(is_address, _records(observed))):
        return "records", f"the name must resolve to an address, but its records are {_names(_records(observed))}"
    if expected.responders is not None and expected.records is None:
        strangers = set(observed.responders) - expected.responders
        if strangers or not observed.responders:
            who = _names(strangers) if strangers else (observed.detail or "a server that did not give its name")
            return "responder", f"must be answered by {_names(expected.responders)}, but {who} answered"
    if expected.one_responder and len(observed.responders) > 1:
        return "affinity", f"session affinity must keep one backend, but {_names(observed.responders)} answered"
    if expected.clients is not None:
        others = observed.clients - expected.clients
        if others:
            return "client", f"the server must see {_names(expected.clients)}, but it saw {_names(others)}"
    took = max(observed.latency_ms or 0.0, observed.slowest_ms or 0.0)
    if expected.slow_ms is not None and took > expected.slow_ms:
        return "slow", f"must take at most {expected.slow_ms:g} ms, but took {took:.0f} ms"
    return "", ""


def _records(observed: Observation) -> frozenset[str]:
    return frozenset(record for text in observed.responders for record in text.split(",") if record)


def _names(items: object) -> str:
    names = sorted(map(str, items))  # type: ignore[call-overload]
    return (", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")) or "nothing"
