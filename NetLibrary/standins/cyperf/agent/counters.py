"""What an agent counts. Counters only grow, so that a lost report loses nothing."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(slots=True)
class ClientCounters:
    """Counters of one application on a client; `open` and `users` are present values."""

    conn_initiated: int = 0
    conn_succeeded: int = 0
    conn_failed: int = 0
    conn_aborted: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    payload_sent: int = 0
    payload_received: int = 0
    apps_initiated: int = 0
    apps_succeeded: int = 0
    apps_failed: int = 0
    timed_out: int = 0
    requests: int = 0
    responses_1xx: int = 0
    responses_2xx: int = 0
    responses_3xx: int = 0
    responses_4xx: int = 0
    responses_5xx: int = 0
    responses_404: int = 0
    responses_503: int = 0
    premature: int = 0
    connect_us: int = 0
    first_byte_us: int = 0
    first_byte_count: int = 0
    last_byte_us: int = 0
    last_byte_count: int = 0
    retransmitted: int = 0
    resets: int = 0
    stream_sent: int = 0
    open: int = 0
    users: int = 0
    first_byte_max: int = 0
    first_byte_min: int = 0

    def time_to_first_byte(self, microseconds: int) -> None:
        """Counts one answer; minimum and maximum are those since the last report."""
        self.first_byte_us += microseconds
        self.first_byte_count += 1
        if microseconds > self.first_byte_max:
            self.first_byte_max = microseconds
        if not self.first_byte_min or microseconds < self.first_byte_min:
            self.first_byte_min = microseconds

    def report(self) -> dict[str, int]:
        """Returns the counters and forgets minimum and maximum."""
        shown = asdict(self)
        self.first_byte_min = self.first_byte_max = 0
        return shown


@dataclass(slots=True)
class ServerCounters:
    """Counters of one listening port."""

    conn_received: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    payload_sent: int = 0
    payload_received: int = 0
    requests: int = 0
    responses: int = 0
    responses_404: int = 0
    aborted: int = 0
    open: int = 0
    health_checks: int = 0
    retransmitted: int = 0

    def report(self) -> dict[str, int]:
        """Returns the counters."""
        return asdict(self)


@dataclass(slots=True)
class DnsCounters:
    """Counters of the name resolution."""

    sent: int = 0
    resolved: int = 0
    cached: int = 0
    refused: int = 0
    timed_out: int = 0
    server_failure: int = 0

    def report(self) -> dict[str, int]:
        """Returns the counters."""
        return asdict(self)
