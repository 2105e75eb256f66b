"""What an agent counts. Counters only grow, so that a lost report loses nothing."""

from __future__ import annotations

from typing import Any

_CLIENT = (
    "conn_initiated", "conn_succeeded", "conn_failed", "conn_aborted", "bytes_sent", "bytes_received",
    "payload_sent", "payload_received", "apps_initiated", "apps_succeeded", "apps_failed", "timed_out",
    "requests", "responses_1xx", "responses_2xx", "responses_3xx", "responses_4xx", "responses_5xx",
    "responses_404", "responses_503", "premature", "connect_us", "first_byte_us", "first_byte_count",
    "last_byte_us", "last_byte_count", "retransmitted", "resets", "open", "users",
)  # fmt: skip
_SERVER = (
    "conn_received", "bytes_sent", "bytes_received", "payload_sent", "payload_received", "requests",
    "responses", "responses_404", "aborted", "open", "health_checks", "retransmitted",
)  # fmt: skip
_DNS = ("sent", "resolved", "cached", "refused", "timed_out", "server_failure")


class ClientCounters:
    """Counters of one application on a client; `open` and `users` are present values."""

    __slots__ = (*_CLIENT, "first_byte_max", "first_byte_min")

    def __init__(self) -> None:
        for name in _CLIENT:
            setattr(self, name, 0)
        self.first_byte_min = self.first_byte_max = 0

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
        shown = {name: getattr(self, name) for name in self.__slots__}
        self.first_byte_min = self.first_byte_max = 0
        return shown


class ServerCounters:
    """Counters of one listening port."""

    __slots__ = _SERVER

    def __init__(self) -> None:
        for name in _SERVER:
            setattr(self, name, 0)

    def report(self) -> dict[str, int]:
        """Returns the counters."""
        return {name: getattr(self, name) for name in _SERVER}


class DnsCounters:
    """Counters of the name resolution."""

    __slots__ = _DNS

    def __init__(self) -> None:
        for name in _DNS:
            setattr(self, name, 0)

    def report(self) -> dict[str, Any]:
        """Returns the counters."""
        return {name: getattr(self, name) for name in _DNS}
