"""Sources, targets, cells and tables of the Service matrix."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from NetLibrary._mechanics.probing.types import Observation, Outcome, Source, Target

MARKS = {
    Outcome.CONNECTED: ".",
    Outcome.REFUSED: "R",
    Outcome.TIMEOUT: "T",
    Outcome.RESET: "S",
    Outcome.UNREACHABLE: "U",
    Outcome.DNS: "D",
    Outcome.NO_ANSWER: "N",
    Outcome.ERROR: "!",
}


@dataclass(frozen=True)
class Expected:
    """What a cell should show.

    Args:
        outcomes: Outcomes that are right.
        responders: Names that may answer; None when it does not matter.
        clients: Addresses that the server may see; None when it does not matter.
        reason: Why, in words.
        judged: Whether the cell counts at all.
        one_responder: All connections of the cell must have gone to the same responder.
        records: Addresses that a lookup must return, exactly.
        an_address: A lookup must return at least one address, whichever it is.
        status: HTTP status that must come.
        slow_ms: Above this latency the cell is slow, which is wrong.
        promised: Kubernetes promises the outcome. Where it does not, the outcome is an observed fact and never wrong;
            who answers is judged all the same.
        preferred: Of the responders those that hints ask for; nobody has to follow hints, so this is a fact too.
    """

    outcomes: frozenset[Outcome]
    responders: frozenset[str] | None = None
    clients: frozenset[str] | None = None
    reason: str = ""
    judged: bool = True
    one_responder: bool = False
    records: frozenset[str] | None = None
    an_address: bool = False
    status: int | None = None
    slow_ms: float | None = None
    promised: bool = True
    preferred: frozenset[str] | None = None

    @property
    def a_no(self) -> bool:
        """No connection may come about; whether it is refused, unreachable or silent is not promised."""
        return bool(self.outcomes) and Outcome.CONNECTED not in self.outcomes and len(self.outcomes) > 1

    def __str__(self) -> str:
        if not self.promised:
            return "anything (not promised)"
        if self.a_no:
            return "no connection"
        words = " or ".join(sorted(str(o) for o in self.outcomes))
        if self.responders and Outcome.CONNECTED in self.outcomes:
            names = sorted(self.responders)
            words += f" by {', '.join(names[:4])}" + (f" and {len(names) - 4} more" if len(names) > 4 else "")
        return words


@dataclass
class Cell:
    """One source, one target, what was expected and what was seen."""

    source: Source
    target: Target
    expected: Expected
    observed: Observation
    right: bool = True
    symptom: str = ""
    why: str = ""
    transient: bool = False
    """Something was changed just before, so late answers say nothing about the network."""

    @property
    def wrong(self) -> bool:
        """The cell counts and is not as expected."""
        return self.expected.judged and not self.right

    def describe(self) -> str:
        """One line for people."""
        where = f"{self.target.host}:{self.target.port}" if self.target.kind != "dns" else self.target.extra
        way = f"{self.source} → {self.target.name} ({where}/{self.target.protocol})"
        return f"{way}: {self.difference()}"

    def difference(self) -> str:
        """What was expected and what came instead; only that in which the two differ."""
        expected, observed = self.expected, self.observed
        if self.symptom == "client" and expected.clients is not None:
            return (
                f"expected client address {_list(expected.clients)}, got {_list(observed.clients - expected.clients)}"
            )
        if self.symptom == "responder" and expected.responders is not None:
            strangers = set(observed.responders) - expected.responders
            got = _list(strangers) if strangers else (observed.detail or "a server that does not give its name")
            return f"expected an answer by {_list(expected.responders)}, got one by {got}"
        if self.symptom in ("", "blocked", "flapping", "open", "reason", "dns", "error"):
            return f"expected {expected}, got {observed}"
        return self.why or f"expected {expected}, got {observed}"

    @property
    def fact(self) -> str:
        """What was seen of that which Kubernetes leaves to the implementation; empty where it leaves nothing."""
        observed = self.observed
        if self.wrong or not self.expected.judged or observed.outcome is Outcome.ERROR:
            return ""
        if not self.expected.promised or self.expected.a_no:
            return str(observed.outcome)
        if self.expected.preferred and observed.responders:
            return "follows hints" if set(observed.responders) <= self.expected.preferred else "does not follow hints"
        if self.source.host_network and observed.clients and self.expected.clients is None:
            return f"seen as {_list(observed.clients)}"
        return ""

    def as_json(self) -> dict[str, Any]:
        """The cell as it is written to files."""
        observed = self.observed
        return {
            "source": self.source.name,
            "source_node": self.source.node,
            "target": self.target.name,
            "target_node": self.target.node,
            "kind": self.target.kind,
            "address": self.target.host,
            "port": self.target.port,
            "protocol": self.target.protocol,
            "service": self.target.service,
            "expected": str(self.expected),
            "expected_because": self.expected.reason,
            "judged": self.expected.judged,
            "promised": self.expected.promised,
            "fact": self.fact,
            "outcome": observed.outcome.value,
            "detail": observed.detail,
            "responders": dict(observed.responders),
            "failures": dict(observed.failures),
            "clients": sorted(observed.clients),
            "latency_ms": observed.latency_ms,
            "attempts": observed.attempts,
            "first_attempts": observed.first_attempts,
            "first_lost": observed.first_lost,
            "right_after_s": observed.right_after_s,
            "rounds": observed.rounds,
            "right": self.right,
            "symptom": self.symptom,
            "why": self.why,
        }


@dataclass
class Table:
    """The cells of one case.

    Args:
        case: Key of the case.
        title: Heading for people.
        cells: All cells.
        seconds: Time that probing took.
        probers: Which prober ran in which source.
        notes: Facts that the reader should know.
    """

    case: str
    title: str
    cells: list[Cell]
    seconds: float = 0.0
    probers: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def wrong(self) -> list[Cell]:
        """Cells that are not as expected."""
        return [cell for cell in self.cells if cell.wrong]

    @property
    def counted(self) -> list[Cell]:
        """Cells whose first attempts say something about the network: those that must be connected."""
        return [
            c
            for c in self.cells
            if c.expected.judged and c.expected.promised and c.expected.outcomes == {Outcome.CONNECTED}
            and c.target.kind != "dns" and not c.transient
        ]  # fmt: skip

    @property
    def first_attempts(self) -> tuple[int, int]:
        """(all, lost) first attempts of the cells that count."""
        seen = [c.observed for c in self.counted]
        return sum(o.first_attempts for o in seen), sum(o.first_lost for o in seen)

    @property
    def facts(self) -> list[Cell]:
        """Cells that show something which Kubernetes leaves to the implementation."""
        return [cell for cell in self.cells if cell.fact]

    def observed_facts(self) -> list[tuple[str, str, int]]:
        """(what, how it was seen, in how many cells) of everything that Kubernetes leaves to the implementation."""
        found: Counter[tuple[str, str]] = Counter()
        for cell in self.facts:
            where = (
                "from outside" if cell.source.outside else ("from nodes" if cell.source.host_network else "from pods")
            )
            what = cell.target.service or cell.target.name
            if cell.fact.startswith("seen as"):
                what, where = f"client address of {cell.source.node}", "at pods"
            found[f"{what} {cell.target.protocol} {where}", cell.fact] += 1
        return [(what, seen, number) for (what, seen), number in sorted(found.items())]

    def count(self) -> str:
        """How many cells are as promised, how many not, and how many nobody promises."""
        free = sum(not c.expected.promised and not c.wrong for c in self.cells)
        right = len(self.cells) - len(self.wrong) - free
        return f"{right} of {len(self.cells) - free} cells as expected" + (f", {free} not promised" if free else "")

    @property
    def sources(self) -> list[Source]:
        """Rows, in order."""
        return list(dict.fromkeys(cell.source for cell in self.cells))

    @property
    def columns(self) -> list[tuple[str, str]]:
        """(target name, protocol) in order."""
        return list(dict.fromkeys((cell.target.name, cell.target.protocol) for cell in self.cells))


def _list(items: Iterable[str], most: int = 4) -> str:
    names = sorted(items)
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
