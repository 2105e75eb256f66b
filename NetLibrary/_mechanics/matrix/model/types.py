"""Sources, targets, cells and tables of the Service matrix."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class Outcome(Enum):
    """How a probe ended."""

    CONNECTED = "connected"
    REFUSED = "refused"
    TIMEOUT = "timed out"
    RESET = "reset"
    UNREACHABLE = "no route"
    DNS = "name not resolved"
    NO_ANSWER = "connected, no answer"
    ERROR = "probe error"

    def __str__(self) -> str:
        return self.value


BLOCKED = frozenset({Outcome.REFUSED, Outcome.TIMEOUT, Outcome.UNREACHABLE, Outcome.RESET, Outcome.NO_ANSWER})
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
class Source:
    """Where probes start.

    Args:
        name: Its row in the tables; pod name, with its namespace in front where there are several, or `outside`.
        node: Node it runs on; empty outside the cluster.
        address: Its own address; empty when not known.
        namespace: Namespace of the pod.
        host_network: The pod uses its node's network.
        outside: It is not in the cluster at all.
        container: Container of the pod that probes.
    """

    name: str
    node: str
    address: str = ""
    namespace: str = ""
    host_network: bool = False
    outside: bool = False
    container: str = "agnhost"

    @property
    def pod(self) -> str:
        """Name of its pod."""
        return self.name.rpartition("/")[2]


@dataclass(frozen=True)
class Target:
    """What a probe asks.

    Args:
        name: Its column in the tables.
        kind: `pod`, `vip`, `nodeport`, `loadbalancer`, `externalip`, `name` (a DNS name of any of these),
            `dns` (a lookup), or `check` (something whose expectation is given).
        host: Address or name; for lookups the DNS server or `-` for the source's own.
        port: Port number.
        protocol: `TCP`, `UDP` or `SCTP`.
        probe: How to ask: `http` (agnhost netexec), `udp` (netexec), `udpsize` (a datagram of that size), `tcp`
            (banner), `connect`, `sctp`, `dns`.
        extra: Argument of the probe: a path, `size=BYTES`, BYTES, or TYPE/NAME of a lookup, with /BYTES for the largest
            answer; `-` for none.
        service: Name of the Service behind it.
        service_port: Port of that Service; the same as `port` except for NodePorts.
        node: Entry node of a NodePort, or node of the pod.
        pod: Pod behind it when there is exactly one.
        repeat: How many new connections one cell makes.
        limit_ms: A longer time limit than that of the plan; 0 for that.
    """

    name: str
    kind: str
    host: str
    port: int
    protocol: str = "TCP"
    probe: str = "http"
    extra: str = "-"
    service: str = ""
    service_port: int = 0
    node: str = ""
    pod: str = ""
    repeat: int = 1
    limit_ms: int = 0


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
class Observation:
    """What a cell showed.

    Args:
        outcome: Worst outcome of its connections.
        detail: Reason in the words of the operating system or the server.
        responders: How often each name answered.
        failures: How often each outcome other than connected was seen.
        clients: Source addresses that the server saw.
        latency_ms: Median over the connections that succeeded; time to connect for TCP, to the answer for UDP.
        attempts: Datagrams or connections that the prober needed.
        slowest_ms: The longest that one of its connections took to its answer, as far as the prober told.
        right_after_s: Seconds from the start of the table until the cell was right for the first time.
        rounds: How often the cell was probed.
        first_attempts: Connections of the first round.
        first_lost: Those of them whose first packet stayed without an answer, whatever came later.
    """

    outcome: Outcome
    detail: str = ""
    responders: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    clients: frozenset[str] = frozenset()
    latency_ms: float | None = None
    attempts: int = 1
    slowest_ms: float | None = None
    right_after_s: float | None = None
    rounds: int = 1
    first_attempts: int = 1
    first_lost: int = 0

    @property
    def mixed(self) -> bool:
        """Some connections succeeded and some did not."""
        return bool(self.responders) and bool(self.failures)

    def __str__(self) -> str:
        if self.outcome is Outcome.ERROR:
            return f"probe error: {self.detail}"
        text = str(self.outcome)
        if self.mixed:
            good, bad = sum(self.responders.values()), sum(self.failures.values())
            text = f"{good} of {good + bad} connected, else {', '.join(sorted(self.failures))}"
        if self.responders:
            text += " by " + ", ".join(
                f"{name} ({count})" if len(self.responders) > 1 else name
                for name, count in sorted(self.responders.items())
            )
        return text + (f" ({self.detail})" if self.detail and not self.responders else "")


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
    """Something was changed just before, so what came late says nothing about the network."""

    @property
    def wrong(self) -> bool:
        """The cell counts and is not as expected."""
        return self.expected.judged and not self.right

    def describe(self) -> str:
        """One line for people."""
        where = f"{self.target.host}:{self.target.port}" if self.target.kind != "dns" else self.target.extra
        way = f"{self.source.name} → {self.target.name} ({where}/{self.target.protocol})"
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
            got = _list(strangers) if strangers else (observed.detail or "a server that does not say its name")
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


def observation(outcome: Outcome, **more: Any) -> Observation:
    """Short form for tests and follow-ups."""
    return dataclasses.replace(Observation(outcome), **more)
