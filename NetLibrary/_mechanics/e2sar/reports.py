"""What `e2sar_perf` says of itself: of a sender, of a receiver, and what counted as lost."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field


@dataclass(frozen=True)
class LostEvent:
    """One entry of the receiver's list of lost events; `fragments` is not printed before 0.2."""

    number: int
    data_id: int
    fragments: int | None = None


@dataclass
class StatsBlock:
    """One complete report of a receiver. Counts are cumulative; `at` is when the line was read, in seconds.

    Only the last block of a report keeps the list of lost events; it contains those of all blocks before.
    """

    received: int
    lost_in_reassembly: int
    mangled: int = 0
    lost_in_enqueue: int = 0
    data_errors: int = 0
    grpc_errors: int = 0
    bytes: int | None = None
    packets: int | None = None
    bad_headers: int | None = None
    last_data_error: str = ""
    last_error: str = ""
    lost_events: list[LostEvent] = field(default_factory=list)
    at: float | None = None

    @property
    def lost(self) -> int:
        """Events of which at least one fragment arrived, but not all."""
        return self.lost_in_reassembly + self.lost_in_enqueue


@dataclass
class Report:
    """What one run of `e2sar_perf` said; None means that the line was never seen.

    `role` is `sender`, `receiver` or None while unknown. `failures` holds the program's own words of despair, in
    order: exit code 0 proves nothing, these do. `truncated` tells that the last line had no end.
    """

    role: str | None = None
    version: str | None = None
    completed: bool = False
    stopping: bool = False
    truncated: bool = False
    failures: list[str] = field(default_factory=list)
    lines: int = 0
    # sender
    rate_gbps: float | None = None
    event_bytes: int | None = None
    event_hz: float | None = None
    sleep_us: int | None = None
    events: int | None = None
    mtu: int | None = None
    interface: str | None = None
    frames_sent: int | None = None
    frames_expected: int | None = None
    frame_shortfall: int | None = None
    errors: int | None = None
    last_error: str = ""
    elapsed_us: int | None = None
    throughput_gbps: float | None = None
    goodput_gbps: float | None = None
    started_sending_at: float | None = None
    completed_at: float | None = None
    # receiver
    duration_s: int | None = None
    address: str | None = None
    ports: tuple[int, int] | None = None
    timeout_ms: int | None = None
    blocks: list[StatsBlock] = field(default_factory=list)
    broken_blocks: int = 0
    port_stats: dict[int, int] = field(default_factory=dict)
    total_frames: int | None = None

    @property
    def final(self) -> StatsBlock | None:
        """The last complete block of a receiver."""
        return self.blocks[-1] if self.blocks else None

    @property
    def looks_bound(self) -> bool:
        """Whether the log alone proves that the receiver's socket is bound: a block, and no complaint about sockets."""
        enough = 1 if any(block.packets is not None for block in self.blocks) else 2
        return len(self.blocks) >= enough and not any("open receive sockets" in text for text in self.failures)

    def as_dict(self) -> dict[str, object]:
        """Plain data for a record."""
        return asdict(self)
