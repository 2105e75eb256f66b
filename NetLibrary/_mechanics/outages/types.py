"""What a break measurement is made of: probes, windows, streams, steps, results."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import NamedTuple

from NetLibrary._mechanics.outages.run.inpod.wire import Outcome
from NetLibrary.types import ProbeKind

__all__ = [
    "KEPT",
    "NEW",
    "NS",
    "Identity",
    "OutageKind",
    "Probe",
    "ProbeKind",
    "Step",
    "StreamLog",
    "StreamResult",
    "StreamSpec",
    "Window",
]

NS = 1_000_000_000
#: Probes that open a connection each time, and those that keep one.
NEW = (ProbeKind.TCP_NEW, ProbeKind.HTTP)
KEPT = (ProbeKind.TCP_KEPT, ProbeKind.HTTP_KEPT, ProbeKind.TCP_IDLE)
#: For each of these, prober and server have to run in turns, some times over.
IN_TURNS = (ProbeKind.TCP_NEW, ProbeKind.DNS, ProbeKind.HTTP, ProbeKind.HTTP_KEPT)


class OutageKind(enum.Enum):
    """What an outage looked like to the probes."""

    SILENT_DROP = "silent drop"
    RESET = "reset"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    STALLED = "stalled and resumed"
    STRANDED = "stranded connection"
    SLOW = "slow"
    WRONG_ANSWER = "wrong answer"


class Probe(NamedTuple):
    """One probe and what became of it; times in nanoseconds of the prober's monotonic clock."""

    sequence: int
    sent_ns: int
    outcome: Outcome
    code: int
    elapsed_ns: int


@dataclass(frozen=True)
class StreamSpec:
    """One kind of probe on one path.

    Args:
        number: Number of the stream within its prober.
        path: Name of the path.
        kind: How it is probed.
        address: Address that the probes go to.
        port: Port, where the kind has one.
        period_ms: Time between two probes.
        timeout_ms: A probe without answer counts as lost after this time.
        query: DNS name to ask for, or path of an HTTP request.
        exchange: For new connections: whether a message is echoed (else the handshake alone counts).
        size: Bytes of payload of an echo.
        host: Name of the server for the head of an HTTP request.
        connections: How many connections of this kind there are at once on the path.
        phase: Which share of a period it begins later than others of its kind on its path; None where that is all one.
    """

    number: int
    path: str
    kind: ProbeKind
    address: str
    port: int = 0
    period_ms: float = 10
    timeout_ms: float = 1000
    query: str = ""
    query_type: str = "A"
    exchange: bool = True
    endpoint: str = ""
    size: int = 56
    host: str = ""
    connections: int = 1
    phase: float | None = None

    @property
    def base_path(self) -> str:
        """The path without the address family that it has in its name where both families are measured."""
        return self.path.removesuffix(" IPv4").removesuffix(" IPv6")

    @property
    def name(self) -> str:
        """Path and kind, for people."""
        many = f" ({self.connections} connections)" if self.connections > 1 else ""
        return f"{self.path} {self.kind.value}{many}"


@dataclass(frozen=True)
class Window:
    """One outage of one stream.

    The true outage began after the last good probe and not later than the first bad one, and ended between the last
    bad and the first good one after it. `start_ns` and `end_ns` are the middles; `shortest_ms` and `longest_ms` are
    what the probes allow at least and at most. `way` says which direction lost the packets, where that is known.
    """

    start_ns: int
    end_ns: int
    shortest_ms: float
    longest_ms: float
    kind: OutageKind
    outcomes: dict[str, int]
    probes: int
    open_start: bool = False
    open_end: bool = False
    pieces: tuple[Window, ...] = ()
    code: int = 0
    way: str = ""
    connections: int = 1  # how many of the connections at once were hit together

    @property
    def length_ms(self) -> float:
        """Best estimate of the outage's length."""
        return (self.end_ns - self.start_ns) / 1e6

    @property
    def is_outage(self) -> bool:
        """Whether answers were missing or wrong; a path that is only slow still carries everything."""
        return self.kind is not OutageKind.SLOW


@dataclass
class StreamLog:
    """All that one prober recorded about one stream."""

    spec: StreamSpec
    probes: list[Probe] = field(default_factory=list)
    first_ns: int | None = None
    end_ns: int | None = None  # when the prober stopped, None while it runs or after it was killed
    skipped: int = 0
    sent: int | None = None
    latest_ms: float = 0.0
    duplicates: int = 0
    kept_broken: list[tuple[int, str, int]] = field(default_factory=list)  # (time, how, errno)
    kept_opened: list[int] = field(default_factory=list)
    stranded: list[tuple[int, int]] = field(default_factory=list)  # (silent, new ones worked since), milliseconds
    ended_by_server: list[float] = field(default_factory=list)  # after how many seconds, in good order
    paused: list[tuple[int, int]] = field(default_factory=list)
    overflows: list[tuple[int, int, int]] = field(default_factory=list)  # (since, until, datagrams dropped by a buffer)
    ways: list[tuple[int, int, int, int]] = field(default_factory=list)  # (since, until, missing, reached the server)
    cannot: str | None = None


@dataclass(frozen=True)
class Step:
    """One step of a disturbance on the controller's monotonic clock."""

    name: str
    start_ns: int
    end_ns: int | None = None
    error: str | None = None


@dataclass
class StreamResult:
    """What one stream says: counts, windows, totals."""

    spec: StreamSpec
    planned: int = 0
    sent: int = 0
    answered: int = 0
    late: int = 0
    unsent: int = 0
    skipped: int = 0
    duplicates: int = 0
    prober_failures: int = 0
    excused: int = 0  # lost attempts that prober or echo server explain, so that they say nothing about the path
    outcomes: dict[str, int] = field(default_factory=dict)
    windows: list[Window] = field(default_factory=list)
    median_ms: float | None = None
    spacing_ms: float = 0.0  # the longest time between two probes: what is shorter may have been missed
    path_spacing_ms: float = 0.0  # the same over all connections of the path together
    times_ms: dict[str, float] = field(default_factory=dict)  # p50, p90, p99 and max of the good answers
    slow_ms: float = 0.0
    kept_breaks: int = 0
    kept_resets: int = 0
    notes: list[str] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)  # what the path did beyond its windows, as sentences
    invalid: str | None = None  # why nothing can be said about this stream

    @property
    def lost(self) -> int:
        """Probes that were due, could be tried by the prober, and got no right answer in time."""
        return self.sent - self.answered

    @property
    def failed(self) -> int:
        """Lost probes without the excused ones."""
        return self.lost - self.excused

    @property
    def loss_ratio(self) -> float:
        """Lost probes as a share of the tried ones."""
        return self.lost / self.sent if self.sent else 0.0

    @property
    def outages(self) -> list[Window]:
        """The windows without those that were only slow."""
        return [window for window in self.windows if window.is_outage]

    @property
    def longest(self) -> Window | None:
        """The longest outage."""
        return max(self.outages, key=lambda window: window.length_ms, default=None)

    @property
    def longest_ms(self) -> float:
        """Length of the longest outage, 0 without one."""
        return self.longest.length_ms if self.longest else 0.0

    @property
    def total_ms(self) -> float:
        """Sum of all outages."""
        return sum(window.length_ms for window in self.outages)

    @property
    def kept_survived(self) -> bool | None:
        """Whether the kept connection is the one of the beginning; None for other kinds."""
        return self.kept_breaks == 0 if self.spec.kind in KEPT else None


@dataclass(frozen=True)
class Identity:
    """Whose counters they are: another pod, another container or a restart starts again from zero."""

    pod_uid: str = ""
    container_id: str = ""
    restarts: int = 0
