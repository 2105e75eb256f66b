"""What a run of iperf3 comes to: a measurement, or a problem that says why there is none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# Ends that only the network between the two programs, or the server, can bring about. Everything else is the suite's
# or the client image's: no statement about the network.
OF_THE_NETWORK = frozenset(
    {"refused", "unreachable", "timed out", "reset", "closed", "unresolved", "nothing arrived", "no data"}
)


@dataclass(frozen=True)
class Interval:
    """A part of a run, as the client saw it; for datagrams as the receiver saw it, where that is known."""

    start_seconds: float
    end_seconds: float
    bits_per_second: float
    retransmits: int | None = None
    lost_packets: int | None = None


@dataclass(frozen=True)
class Sent:
    """What the sending end counted, all that is known when the other end's count is missing."""

    bytes: int
    seconds: float
    packets: int | None = None

    @property
    def bits_per_second(self) -> float:
        """Rate at the sender."""
        return self.bytes * 8 / self.seconds if self.seconds else 0.0


class Iperf3Problem(Exception):
    """iperf3 measured nothing usable.

    Args:
        kind: `refused`, `busy`, `unresolved`, `unreachable`, `timed out`, `reset`, `closed`, `interrupted`,
            `nothing arrived`, `no data`, `one-sided` (only the sender's figures), `contradiction`, `cut off`,
            `unsupported`, `cannot start`, `crashed`, `killed`, `unreadable` or `failed`.
        text: iperf3's own words.
        exit_status: What the client ended with, where that is known.
        intervals: What had been measured until then.
        sent: What the sender counted, where that is all there is.
        version: The client's version, where it said it.
    """

    def __init__(
        self, kind: str, text: str, *, exit_status: int | None = None, intervals: tuple[Interval, ...] = (),
        sent: Sent | None = None, version: str = "",
    ) -> None:  # fmt: skip
        super().__init__(f"{kind}: {text}" if kind != text else kind)
        self.kind = kind
        self.text = text
        self.exit_status = exit_status
        self.intervals = intervals
        self.sent = sent
        self.version = version

    @property
    def broke_after(self) -> float | None:
        """Seconds of traffic before it ended; None when there was none."""
        carried = [i for i in self.intervals if i.bits_per_second > 0]
        return carried[-1].end_seconds if carried else None

    @property
    def of_the_network(self) -> bool:
        """Whether network or server ended it, not the suite, the image or what iperf3 can tell."""
        return self.kind in OF_THE_NETWORK or (self.kind == "failed" and self.broke_after is not None)


@dataclass(frozen=True)
class Measurement:
    """Result of one run.

    Args:
        bits_per_second: Rate at the receiver.
        bytes: Data that the receiver got.
        duration_seconds: Time the receiver counted.
        sent_bits_per_second: Rate at the sender; with TCP it may be higher by what is still buffered.
        sent_bytes: Data that the sender handed to its system.
        retransmits: TCP segments sent again by the sender; None where its system does not count them.
        packets: UDP datagrams sent.
        received_packets: UDP datagrams that arrived.
        lost_packets: UDP datagrams that did not arrive: sent less received. None where it cannot be told.
        lost_percent: Their share of those sent.
        lost_percent_at_most: The most it can have been: iperf3 does not tell late datagrams from doubled ones.
        out_of_order: UDP datagrams that came late or twice; None where unknown.
        jitter_ms: UDP jitter at the receiver.
        rtt_ms: Mean TCP round trip at the sender; None where unknown.
        intervals: The run over time, without omitted parts.
        version: The client's version, as it says itself.
        protocol: `tcp` or `udp`.
        streams: Parallel streams.
        reverse: Whether the server sent.
        remote: Address and port of the data connection.
        target_bits_per_second: The rate that was asked for, per stream; 0 for no limit.
        client_cpu_percent: Processor time of the client's process, 100 for one core; None where unknown.
        server_cpu_percent: That of the server's.
        client_node_cores: Processors of the client's node that were busy meanwhile; None where they were not read.
        server_node_cores: Those of the server's node.
        nodes_share_processors: Whether both nodes, or one node for both ends, count the same processors.
        unread_packets: How many of the lost datagrams had arrived, and were lost in the receiver's own buffer; None
            where nobody counted.
        unread_certain: Whether these are the receiver's for sure; its network may be others' too.
        held_back: How their CPU limits held the two ends back, as sentences.
        held_back_often: Whether so often that it decides a rate.
        omitted_seconds: Time at the start that does not count.
        silent_streams: Parallel TCP streams that carried nothing to the receiver in the whole run.
        contradictions: Where the two ends, or two figures of one end, cannot both be true: such a run is no result.
        notes: What a reader should know about the figures.
        uncounted_bytes: Fewer than so many bytes more arrived than `bytes`, 0 where all are counted.
    """

    bits_per_second: float
    bytes: int
    duration_seconds: float
    sent_bits_per_second: float
    sent_bytes: int = 0
    retransmits: int | None = None
    packets: int | None = None
    received_packets: int | None = None
    lost_packets: int | None = None
    lost_percent: float | None = None
    lost_percent_at_most: float | None = None
    out_of_order: int | None = None
    jitter_ms: float | None = None
    rtt_ms: float | None = None
    intervals: tuple[Interval, ...] = ()
    version: str = ""
    protocol: str = "tcp"
    streams: int = 1
    reverse: bool = False
    remote: str = ""
    target_bits_per_second: float | None = None
    client_cpu_percent: float | None = None
    server_cpu_percent: float | None = None
    client_node_cores: float | None = None
    server_node_cores: float | None = None
    nodes_share_processors: bool = False
    unread_packets: int | None = None
    unread_certain: bool = False
    held_back: tuple[str, ...] = ()
    held_back_often: bool = False
    omitted_seconds: float = 0.0
    silent_streams: int = 0
    contradictions: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    uncounted_bytes: int = 0
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def lost_on_the_way(self) -> tuple[float | None, float | None]:
        """Least and most that the network lost, in percent: all but what the receiver's own buffer threw away."""
        least, most = self.lost_percent, self.lost_percent_at_most
        if least is None or not self.packets or not self.unread_packets:
            return least, most
        share = 100 * self.unread_packets / self.packets
        least = max(0.0, least - share)
        return least, max(least, most - share) if most is not None and self.unread_certain else most

    @property
    def cpu_seconds_per_gigabit(self) -> float | None:
        """Processor seconds of both ends for each gigabit that arrived."""
        if self.client_cpu_percent is None or self.server_cpu_percent is None or not self.bits_per_second:
            return None
        return (self.client_cpu_percent + self.server_cpu_percent) / 100 / (self.bits_per_second / 1e9)

    @property
    def cpu_seconds_per_gigabit_text(self) -> str:
        """The same for a reader."""
        value = self.cpu_seconds_per_gigabit
        return "unknown" if value is None else f"{value:.2g}"

    @property
    def node_cpu_seconds_per_gigabit(self) -> float | None:
        """Processor seconds of both nodes, all that ran there, for each gigabit that arrived."""
        if self.client_node_cores is None or self.server_node_cores is None or not self.bits_per_second:
            return None
        both = (self.client_node_cores, self.server_node_cores)
        # Counted twice otherwise
        cores = max(both) if self.nodes_share_processors else sum(both)
        return cores / (self.bits_per_second / 1e9)

    @property
    def node_cpu_seconds_per_gigabit_text(self) -> str:
        """The same for a reader."""
        value = self.node_cpu_seconds_per_gigabit
        return "unknown" if value is None else f"{value:.2g}"
