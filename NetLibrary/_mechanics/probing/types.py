"""What is probed, from where, and what a probe showed."""

from __future__ import annotations

import dataclasses
from collections import Counter
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
        title: Its name for people where the pod's name says nothing, for instance the node's.
        by_hand: Command line that stands for it where the pod is gone when somebody reads of it; what it asked goes
            behind it.
    """

    name: str
    node: str
    address: str = ""
    namespace: str = ""
    host_network: bool = False
    outside: bool = False
    container: str = "agnhost"
    title: str = ""
    by_hand: str = ""

    def __str__(self) -> str:
        return self.title or self.name

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


def observation(outcome: Outcome, **more: Any) -> Observation:
    """Short form for tests and follow-ups."""
    return dataclasses.replace(Observation(outcome), **more)
