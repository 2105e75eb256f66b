"""What an iperf3 client saw that ran beside something else until it was told to end: totals, and the longest gap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from NetLibrary._mechanics.iperf3.fields import number_of, settings_of, sums_of, total_of, version_of
from NetLibrary._mechanics.secrets import tail

#: Size of a block where a result does not say it
BLOCK = 1000


@dataclass(frozen=True)
class IperfResult:
    """One paced stream.

    TCP is sent by the client, which alone knows at any moment what it has sent again; UDP is received by it, so that it
    sees what is missing.

    Args:
        name: Path and protocol.
        bits_per_second: On average.
        bytes: In all.
        longest_gap_ms: Longest run of intervals (0.1 s each) without a byte received; None for a sender, whose socket
            buffer hides a gap.
        retransmits: TCP segments sent again.
        lost_packets: UDP packets lost.
        packets: UDP packets.
        blocks: Blocks of data sent, which at a paced rate are segments as well.
        error: Why there is no result, or why it is cut short.
        version: Version of iperf3.
    """

    name: str
    bits_per_second: float = 0.0
    bytes: int = 0
    longest_gap_ms: float | None = None
    retransmits: int | None = None
    lost_packets: int | None = None
    packets: int | None = None
    blocks: int = 0
    error: str | None = None
    version: str = ""


def retransmit_percent(run: IperfResult) -> float | None:
    """Returns the share of a TCP stream's segments that were sent again, in percent; None when it is not known."""
    if run.retransmits is None or not run.blocks:
        return None
    return 100 * run.retransmits / (run.blocks + run.retransmits)


def iperf_result(event: Mapping[str, Any]) -> IperfResult:
    """Reads the event that a prober reports when its iperf3 client ended.

    The exit status decides nothing: versions differ (3.12 ends with 0 after an error, 3.19 with 0 after a signal).
    """
    name, document = str(event["name"]), event.get("document")
    if not isinstance(document, dict):
        said = tail(str(event.get("stderr") or "").strip(), 300)
        return IperfResult(name, error=said or f"no JSON output, exit status {event.get('exit_code')}")
    end = document.get("end") or {}
    error = document.get("error")
    if error and str(error).startswith("interrupt"):
        error = None  # that was us, at the end of the measurement
    intervals = sums_of(document)
    sending = bool(intervals) and bool(intervals[0].get("sender")) and "retransmits" in intervals[0]
    # A client that is told to end has not heard what the other side received
    received = total_of(end, "sum_sent" if sending else "sum_received") or total_of(end, "sum")
    total = int(number_of(received, "bytes") or 0) or int(_added(intervals, "bytes"))
    seconds = number_of(received, "seconds") or _added(intervals, "seconds")
    if not total and not error:
        error = "nothing was transferred"
    packets = number_of(received, "packets") if "jitter_ms" in received else None
    if packets is None and intervals and "packets" in intervals[0]:
        packets = _added(intervals, "packets")
    lost = number_of(received, "lost_packets")
    if lost is None and packets is not None:
        lost = _added(intervals, "lost_packets")
    return IperfResult(
        name,
        bits_per_second=8 * total / seconds if seconds else 0.0,
        bytes=total,
        longest_gap_ms=None if sending else 1000 * longest_zero_run(intervals),
        retransmits=_count(number_of(total_of(end, "sum_sent"), "retransmits")),
        lost_packets=_count(lost),
        packets=_count(packets),
        blocks=total // max(1, int(number_of(settings_of(document), "blksize") or BLOCK)),
        error=None if error is None else str(error),
        version=version_of(document),
    )


def _added(intervals: Sequence[Mapping[str, Any]], key: str) -> float:
    return sum(number_of(each, key) or 0.0 for each in intervals)


def _count(value: float | None) -> int | None:
    return None if value is None else int(value)


def longest_zero_run(intervals: Sequence[Mapping[str, Any]]) -> float:
    """Returns the longest time without a byte in seconds; omitted and sliver intervals do not count.

    >>> longest_zero_run([{"bytes": 5, "seconds": 0.1}, {"bytes": 0, "seconds": 0.1}, {"bytes": 0.0, "seconds": 0.1}])
    0.2
    """
    longest = run = 0.0
    for interval in intervals:
        seconds = number_of(interval, "seconds") or 0.0
        if interval.get("omitted") or seconds < 0.02:
            continue
        run = 0.0 if number_of(interval, "bytes") else run + seconds
        longest = max(longest, run)
    return longest
